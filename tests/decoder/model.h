/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/decoder/model.h -- several clients and a broker that keep to the standard, at random.
 *
 * Each side of a connection acts and answers on what it has received; each direction is a queue with the capture in its
 * middle, so that packets cross, and what the capture saw may never arrive. Sessions outlive connections: clean or not,
 * resumed with what was unacknowledged, taken over, closed, reset. Versions 3.1, 3.1.1 and 5.0. */
#pragma once
#include "tests/decoder/talk.h"

enum {
    M_CLIENTS = 4,
    M_QUEUE = 128,
    M_FLOWS = 24,
    M_ACKS = 64,
    M_FIRST = 4 /* talk connections from here on are the model's */
};
enum { M_PUBLISH = 1, M_RELEASED }; /* states of a flow: PUBLISH sent, PUBREL sent */

struct m_msg {
    uint8_t type, qos, code;
    uint16_t id;
    bool dup, clean, sp;
    unsigned topic, payload;
    uint64_t acked;
};

struct m_wire {
    struct m_msg q[M_QUEUE];
    unsigned head, tap, tail; /* delivered, captured, sent */
};

struct m_flow {
    uint16_t id;
    uint8_t qos, state;
    unsigned topic, payload;
    bool due; /* has to be sent again on this connection */
};

struct m_acks {
    struct m_msg q[M_ACKS];
    unsigned n;
};

struct m_end {                  /* one side's state of a session */
    struct m_flow out[M_FLOWS]; /* in the order of first sending */
    unsigned n_out;
    uint64_t in[4]; /* QoS 2 identifiers received and not released, 1..255 */
    uint16_t next_id;
    struct m_acks acks;
    int quota;
};

struct m_client {
    uint8_t version;
    bool persistent;
    struct m_end mine, servers;
    bool server_has;     /* the broker holds a session */
    unsigned subscribed; /* bit set of topics, as the broker knows it */
    uint16_t request;    /* id of a SUBSCRIBE or UNSUBSCRIBE under way, 0: none */
    bool sub_asked, pinged;
    bool live, client_up, server_up, told; /* a connection; each side's view of it; CONNACK decided */
    bool clean;
    unsigned window;
    struct m_wire wire[2];
    uint64_t received[2], encoded[2]; /* octets received by side, sent by side */
};

struct model {
    struct talk *k;
    struct m_client client[M_CLIENTS];
    uint64_t random;
    unsigned payload;
    bool calm;         /* no closing, no sending again */
    unsigned finished; /* calm: QoS 1/2 exchanges whose last packet was captured */
};

static inline uint32_t m_random(struct model *m, uint32_t below)
{
    m->random ^= m->random << 13;
    m->random ^= m->random >> 7;
    m->random ^= m->random << 17;
    return (uint32_t)(m->random >> 33) % below;
}

static inline bool m_one_in(struct model *m, uint32_t n)
{
    return m_random(m, n) == 0;
}

static inline unsigned m_waiting(const struct m_client *c)
{
    return c->wire[0].tail - c->wire[0].head + c->wire[1].tail - c->wire[1].head;
}

static inline void m_send(struct m_client *c, unsigned side, struct m_msg msg)
{
    struct m_wire *w = &c->wire[side];
    if (w->tail - w->head == M_QUEUE)
        return;
    msg.acked = c->received[side];
    w->q[w->tail++ % M_QUEUE] = msg;
}

static inline void m_text(const struct model *m, const struct m_client *c, unsigned side, const struct m_msg *g,
                          char *out, size_t cap)
{
    static const char *const names[] = { "",       "connect", "connack", "pub",    "puback", "pubrec",
                                         "pubrel", "pubcomp", "sub",     "suback", "unsub",  "unsuback",
                                         "ping",   "pong",    "disc",    "auth" };
    int n = snprintf(out, cap, "%s", names[g->type]);
    unsigned number = (unsigned)(c - m->client);
    bool v5 = c->version == MQTT_V5;
    out += n;
    cap -= (size_t)n;
    switch (g->type) {
    case MQTT_CONNECT:
        snprintf(out, cap, " v=%u id=model%u clean=%u%s", c->version, number, g->clean,
                 v5 ? g->clean ? " rm=5 am=4" : " rm=5 am=4 expiry=900" : "");
        break;
    case MQTT_CONNACK:
        snprintf(out, cap, " sp=%u%s", g->sp && c->version != MQTT_V31, v5 ? " rm=5" : "");
        break;
    case MQTT_PUBLISH:
        snprintf(out, cap, " q=%u id=%u t=m/%u p=%u%s%s", g->qos, g->id, g->topic, g->payload, g->dup ? " dup" : "",
                 v5 && side == 1 && g->topic < 3 && g->qos == 0 ? " alias=2" : "");
        break;
    case MQTT_SUBSCRIBE:
        snprintf(out, cap, " id=%u f=m/%u:2", g->id, g->topic);
        break;
    case MQTT_UNSUBSCRIBE:
        snprintf(out, cap, " id=%u f=m/%u", g->id, g->topic);
        break;
    case MQTT_SUBACK:
        snprintf(out, cap, " id=%u c=2", g->id);
        break;
    case MQTT_UNSUBACK:
        snprintf(out, cap, " id=%u%s", g->id, v5 ? " c=0" : "");
        break;
    case MQTT_PINGREQ:
    case MQTT_PINGRESP:
        break;
    case MQTT_DISCONNECT:
        snprintf(out, cap, " code=%u", g->code);
        break;
    default:
        snprintf(out, cap, " id=%u code=%u", g->id, g->code);
        break;
    }
}

static inline struct talk_conn *m_talk(struct model *m, const struct m_client *c)
{
    return &m->k->conn[M_FIRST + (c - m->client)];
}

/* The next packet of this direction passes the capture. */
static inline void m_capture(struct model *m, struct m_client *c, unsigned side)
{
    struct m_wire *w = &c->wire[side];
    if (!c->live || w->tap == w->tail)
        return;
    const struct m_msg *g = &w->q[w->tap % M_QUEUE];
    char text[160];
    m_text(m, c, side, g, text, sizeof text);
    const char *end = text + strlen(text), *p = text + strcspn(text, " ");
    struct talk_conn *t = m_talk(m, c);
    size_t len = talk_encode(m->k, g->type, c->version, (struct talk_args){ p, end });
    m->k->frame++;
    talk_octets(m->k, t, side, len, g->acked);
    w->tap++;
    m->finished += g->type == MQTT_PUBACK || g->type == MQTT_PUBCOMP || (g->type == MQTT_PUBREC && g->code >= 0x80);
}

static inline struct m_flow *m_flow_of(struct m_end *e, uint16_t id)
{
    for (unsigned i = 0; i < e->n_out; i++)
        if (e->out[i].id == id)
            return &e->out[i];
    return NULL;
}

static inline void m_flow_done(struct m_end *e, struct m_flow *f, unsigned window)
{
    size_t at = (size_t)(f - e->out);
    memmove(f, f + 1, (e->n_out - at - 1) * sizeof *f);
    e->n_out--;
    if (e->quota < (int)window)
        e->quota++;
}

static inline void m_owe(struct m_end *e, unsigned type, uint16_t id, unsigned code)
{
    if (e->acks.n < M_ACKS)
        e->acks.q[e->acks.n++] = (struct m_msg){ .type = (uint8_t)type, .id = id, .code = (uint8_t)code };
}

/* Sends one of the answers owed: the oldest of its type (a client's order), or any (a server's). */
static inline void m_answer(struct model *m, struct m_client *c, unsigned side)
{
    struct m_end *e = side == 0 ? &c->mine : &c->servers;
    if (e->acks.n == 0)
        return;
    unsigned at = m_random(m, e->acks.n);
    for (unsigned i = 0; side == 0 && i < at; i++)
        if (e->acks.q[i].type == e->acks.q[at].type)
            at = i;
    m_send(c, side, e->acks.q[at]);
    memmove(&e->acks.q[at], &e->acks.q[at + 1], (e->acks.n - at - 1) * sizeof e->acks.q[0]);
    e->acks.n--;
}

static inline void m_reset(struct m_end *e)
{
    uint16_t next = e->next_id;
    memset(e, 0, sizeof *e);
    e->next_id = next;
}

/* A new connection for the session as this side has it. */
static inline void m_resume(struct m_end *e, unsigned window)
{
    e->acks.n = 0;
    e->quota = (int)window;
    for (unsigned i = 0; i < e->n_out; i++)
        e->out[i].due = true;
}

static inline void m_send_due(struct m_client *c, unsigned side)
{
    struct m_end *e = side == 0 ? &c->mine : &c->servers;
    for (unsigned i = 0; i < e->n_out; i++) {
        struct m_flow *f = &e->out[i];
        if (!f->due)
            continue;
        if (f->state == M_PUBLISH && c->version == MQTT_V5 && e->quota <= 0)
            return;
        f->due = false;
        if (f->state == M_PUBLISH) {
            e->quota--;
            m_send(c, side,
                   (struct m_msg){ .type = MQTT_PUBLISH,
                                   .id = f->id,
                                   .qos = f->qos,
                                   .dup = true,
                                   .topic = f->topic,
                                   .payload = f->payload });
        } else {
            m_send(c, side, (struct m_msg){ .type = MQTT_PUBREL, .id = f->id });
        }
    }
}

static inline void m_publish(struct model *m, struct m_client *c, unsigned side)
{
    struct m_end *e = side == 0 ? &c->mine : &c->servers;
    struct m_msg g = {
        .type = MQTT_PUBLISH, .qos = (uint8_t)m_random(m, 3), .topic = m_random(m, 8), .payload = ++m->payload
    };
    bool up = side == 0 ? c->client_up : c->server_up;
    if (g.qos > 0) {
        if (e->n_out >= M_FLOWS || (c->version == MQTT_V5 && up && e->quota <= 0) || (!up && e->n_out >= 3))
            return;
        do
            g.id = (uint16_t)(e->next_id++ % 200 + 1);
        while (m_flow_of(e, g.id) != NULL || (side == 0 && g.id == c->request));
        e->quota--;
        e->out[e->n_out++] =
            (struct m_flow){ .id = g.id, .qos = g.qos, .state = M_PUBLISH, .topic = g.topic, .payload = g.payload };
    }
    m_send(c, side, g);
}

static inline void m_request(struct model *m, struct m_client *c)
{
    if (c->request != 0)
        return;
    uint16_t id;
    do
        id = (uint16_t)(c->mine.next_id++ % 200 + 1);
    while (m_flow_of(&c->mine, id) != NULL);
    c->request = id;
    c->sub_asked = !m_one_in(m, 3);
    m_send(
        c, 0,
        (struct m_msg){ .type = c->sub_asked ? MQTT_SUBSCRIBE : MQTT_UNSUBSCRIBE, .id = id, .topic = m_random(m, 8) });
}

/* QoS 1 and 2, the same on both sides. */
static inline void m_take(struct model *m, struct m_client *c, unsigned side, const struct m_msg *g)
{
    struct m_end *e = side == 0 ? &c->mine : &c->servers;
    struct m_flow *f = m_flow_of(e, g->id);
    bool v5 = c->version == MQTT_V5;
    uint64_t bit = 1ull << (g->id & 63), *in = &e->in[g->id / 64];
    switch (g->type) {
    case MQTT_PUBLISH:
        if (g->qos == 1) {
            m_owe(e, MQTT_PUBACK, g->id, v5 && m_one_in(m, 12) ? 0x87 : 0);
        } else if (g->qos == 2) {
            bool refuse = v5 && (*in & bit) == 0 && m_one_in(m, 12);
            *in |= refuse ? 0 : bit;
            m_owe(e, MQTT_PUBREC, g->id, refuse ? 0x97 : 0);
        }
        break;
    case MQTT_PUBACK:
        if (f != NULL && f->qos == 1)
            m_flow_done(e, f, c->window);
        break;
    case MQTT_PUBREC:
        if (f != NULL && f->qos == 2 && g->code >= 0x80) {
            m_flow_done(e, f, c->window);
        } else if (f != NULL && f->qos == 2) {
            f->state = M_RELEASED;
            f->due = false;
            m_owe(e, MQTT_PUBREL, g->id, 0);
        }
        break;
    case MQTT_PUBREL:
        m_owe(e, MQTT_PUBCOMP, g->id, v5 && (*in & bit) == 0 ? 0x92 : 0);
        *in &= ~bit;
        break;
    default:
        if (f != NULL && f->state == M_RELEASED)
            m_flow_done(e, f, c->window);
        break;
    }
}

static inline void m_hang_up(struct model *m, struct m_client *c, const char *how)
{
    char text[16];
    snprintf(text, sizeof text, "%u %s", M_FIRST + (unsigned)(c - m->client), how);
    talk_play(m->k, text);
    c->live = c->client_up = c->server_up = false;
    memset(c->wire, 0, sizeof c->wire);
    c->request = 0;
    c->pinged = false;
    if (!c->persistent) {
        m_reset(&c->mine);
        m_reset(&c->servers);
        c->server_has = false;
        c->subscribed = 0;
    }
}

/* The broker gets CONNECT. */
static inline void m_accept(struct model *m, struct m_client *c, const struct m_msg *g)
{
    if (g->clean || (c->server_has && m_one_in(m, 10))) { /* brokers may lose sessions */
        m_reset(&c->servers);
        c->server_has = false;
    }
    bool present = c->server_has;
    c->server_has = c->server_up = true;
    m_send(c, 1, (struct m_msg){ .type = MQTT_CONNACK, .sp = present });
    m_resume(&c->servers, c->window);
    m_send_due(c, 1);
}

/* The client gets CONNACK. */
static inline void m_accepted(struct model *m, struct m_client *c, const struct m_msg *g)
{
    unsigned early = c->mine.quota < 0 ? (unsigned)-c->mine.quota : 0;
    c->client_up = true;
    if (early > 0 || c->clean) { /* nothing is left from before; what was sent early counts */
        c->mine.quota = (int)c->window - (int)early;
        return;
    }
    if (!g->sp && (c->version == MQTT_V5 || m_one_in(m, 2)))
        m_reset(&c->mine);
    if (c->version == MQTT_V31 && !m_one_in(m, 2))
        m_reset(&c->mine);
    m_resume(&c->mine, c->window);
    m_send_due(c, 0);
}

static inline void m_deliver(struct model *m, struct m_client *c, unsigned from)
{
    struct m_wire *w = &c->wire[from];
    unsigned side = 1 - from;
    if (!c->live || w->head == w->tap)
        return;
    struct m_msg g = w->q[w->head++ % M_QUEUE];
    char text[160];
    m_text(m, c, from, &g, text, sizeof text);
    const char *p = text + strcspn(text, " ");
    c->received[side] += talk_encode(m->k, g.type, c->version, (struct talk_args){ p, text + strlen(text) });
    switch (g.type) {
    case MQTT_CONNECT:
        m_accept(m, c, &g);
        break;
    case MQTT_CONNACK:
        m_accepted(m, c, &g);
        break;
    case MQTT_SUBSCRIBE:
        m_owe(&c->servers, MQTT_SUBACK, g.id, 0);
        break;
    case MQTT_UNSUBSCRIBE:
        m_owe(&c->servers, MQTT_UNSUBACK, g.id, 0);
        break;
    case MQTT_SUBACK:
    case MQTT_UNSUBACK:
        c->request = 0;
        break;
    case MQTT_PINGREQ:
        m_owe(&c->servers, MQTT_PINGRESP, 0, 0);
        break;
    case MQTT_PINGRESP:
        c->pinged = false;
        break;
    case MQTT_DISCONNECT:
        m_hang_up(m, c, from == 0 ? "fin>" : "fin<");
        break;
    default:
        m_take(m, c, side, &g);
        break;
    }
    if (c->live && (side == 0 ? c->client_up : c->server_up))
        m_send_due(c, side);
}

static inline void m_connect(struct model *m, struct m_client *c)
{
    char text[16];
    snprintf(text, sizeof text, "%u open", M_FIRST + (unsigned)(c - m->client));
    talk_play(m->k, text);
    memset(c->received, 0, sizeof c->received);
    c->live = true;
    c->clean = !c->persistent || m_one_in(m, 5);
    c->window = 5;
    if (c->clean)
        m_reset(&c->mine);
    c->mine.quota = 0;
    m_send(c, 0, (struct m_msg){ .type = MQTT_CONNECT, .clean = c->clean });
    if (c->clean && m_one_in(m, 3)) /* a client need not wait for CONNACK */
        m_publish(m, c, 0);
}

/* 3.1 and 3.1.1 may send again on a live connection. */
static inline void m_again(struct model *m, struct m_client *c, unsigned side)
{
    struct m_end *e = side == 0 ? &c->mine : &c->servers;
    if (c->version == MQTT_V5 || m->calm || e->n_out == 0)
        return;
    const struct m_flow *f = &e->out[m_random(m, e->n_out)];
    if (f->state == M_PUBLISH && !f->due)
        m_send(c, side,
               (struct m_msg){ .type = MQTT_PUBLISH,
                               .id = f->id,
                               .qos = f->qos,
                               .dup = true,
                               .topic = f->topic,
                               .payload = f->payload });
}

static inline void m_act(struct model *m, struct m_client *c)
{
    unsigned side = m_random(m, 2), what = m_random(m, 100);
    bool up = side == 0 ? c->client_up : c->server_up;
    if (!up)
        return;
    if (what < 45)
        m_answer(m, c, side);
    else if (what < 75)
        m_publish(m, c, side);
    else if (what < 82 && side == 0)
        m_request(m, c);
    else if (what < 88 && side == 0 && !c->pinged) {
        c->pinged = true;
        m_send(c, 0, (struct m_msg){ .type = MQTT_PINGREQ });
    } else if (what < 90)
        m_again(m, c, side);
    else if (what == 98 && !m->calm && c->client_up && m_one_in(m, 3))
        m_hang_up(m, c, m_one_in(m, 2) ? "rst>" : "rst<");
    else if (what == 99 && !m->calm && m_waiting(c) == 0 && c->client_up && c->server_up)
        m_send(c, 0, (struct m_msg){ .type = MQTT_DISCONNECT });
}

static inline bool m_leaving(const struct m_client *c)
{
    const struct m_wire *w = &c->wire[0];
    return w->tail > w->head && w->q[(w->tail - 1) % M_QUEUE].type == MQTT_DISCONNECT;
}

static inline void m_step(struct model *m)
{
    struct m_client *c = &m->client[m_random(m, M_CLIENTS)];
    m->k->now += 1000 * (1 + m_random(m, 3000));
    if (!c->live) {
        m_connect(m, c);
        return;
    }
    switch (m_random(m, 4)) {
    case 0:
        m_capture(m, c, m_random(m, 2));
        break;
    case 1:
        m_deliver(m, c, m_random(m, 2));
        break;
    case 2:
        m_capture(m, c, m_random(m, 2));
        break;
    default:
        if (!m_leaving(c))
            m_act(m, c);
        break;
    }
}

/* Everything that is under way arrives and is answered. */
static inline void m_drain(struct model *m)
{
    for (unsigned rounds = 0; rounds < 400; rounds++)
        for (unsigned i = 0; i < M_CLIENTS; i++) {
            struct m_client *c = &m->client[i];
            for (unsigned side = 0; side < 2 && c->live; side++) {
                m_capture(m, c, side);
                m_deliver(m, c, side);
                if (c->live && (side == 0 ? c->client_up : c->server_up) && !m_leaving(c))
                    m_answer(m, c, side);
            }
        }
}

static inline struct model *model_new(struct talk *k, uint64_t seed, bool calm)
{
    struct model *m = calloc(1, sizeof *m);
    m->k = k;
    m->random = seed * 0x9e3779b97f4a7c15u + 88172645463325252u;
    m->calm = calm;
    for (unsigned i = 0; i < M_CLIENTS; i++) {
        struct m_client *c = &m->client[i];
        c->version = (uint8_t)(i == 3 ? 3 + m_random(m, 3) : 3 + i);
        c->persistent = !calm && !m_one_in(m, 3);
    }
    return m;
}
