/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/decoder/model.h -- several clients and a broker that keep to the standard, at random.
 *
 * Each side of a connection acts and answers on what it has received; each direction is a queue with the capture in its
 * middle, so that packets cross, and what the capture saw may never arrive. Sessions outlive connections: clean or not,
 * resumed with what was unacknowledged, taken over, closed, reset, ended by DISCONNECT. What clients publish comes out
 * to others, at the QoS granted; wills, Topic Aliases, Receive Maximum, shared subscriptions, Subscription Identifiers,
 * Server Keep Alive. Versions 3.1, 3.1.1 and 5.0. */
#pragma once
#include "tests/decoder/talk.h"

enum {
    M_CLIENTS = 4,
    M_QUEUE = 128,
    M_FLOWS = 24,
    M_ACKS = 64,
    M_TOPICS = 8,
    M_RING = 16,
    M_FIRST = 4 /* talk connections from here on are the model's */
};
enum { M_PUBLISH = 1, M_RELEASED }; /* states of a flow: PUBLISH sent, PUBREL sent */

struct m_msg {
    uint8_t type, qos, code;
    uint16_t id;
    bool dup, clean, sp, shared, will, expires,
        ends;      /* expires: has a Message Expiry Interval; ends: DISCONNECT with Session Expiry Interval 0 */
    uint8_t alias; /* 1: topic and alias, 2: alias alone */
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
    bool expires;
    bool due;   /* has to be sent again on this connection */
    bool again; /* was sent again */
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
    bool server_has;         /* the broker holds a session */
    uint8_t grant[M_TOPICS]; /* as the broker knows it: highest QoS ever granted and 1; 0: not subscribed */
    uint16_t request;        /* id of a SUBSCRIBE or UNSUBSCRIBE under way, 0: none */
    uint8_t asked_qos;
    bool sub_asked, pinged;
    bool live, client_up, server_up, told; /* a connection; each side's view of it; CONNACK decided */
    bool early;                            /* sent what was left before CONNACK came */
    bool clean, second;                    /* second: on the other one of its two talk connections */
    uint8_t mapped[2];                     /* Topic Aliases in use, by side: bits of the topics */
    bool will, will_waits;
    unsigned taken;                /* how often it was taken over */
    unsigned will_payload, window; /* window: Receive Maximum of both sides */
    struct m_wire wire[2];
    uint64_t received[2], encoded[2]; /* octets received by side, sent by side */
};

struct m_ghost { /* a connection whose session was taken over: it passes the capture, and nobody listens */
    struct m_wire wire[2];
    bool live, told;
    uint8_t version;
    unsigned number;
};

struct model {
    struct talk *k;
    struct m_client client[M_CLIENTS];
    struct m_ghost ghost[M_CLIENTS];
    struct m_msg ring[M_RING]; /* what the broker has got to hand on */
    unsigned n_ring;
    uint64_t random;
    unsigned payload;
    bool calm;                                             /* no closing, no sending again */
    bool sober;                                            /* no sending again on a live connection, nothing expires */
    unsigned takeovers, wills, forwards, aliases, endings; /* how often */
    unsigned finished;                                     /* calm: QoS 1/2 exchanges whose last packet was captured */
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

/* What a packet says depends on nothing but itself and the version: it is written when it passes and when it arrives.
 */
static inline void m_text(uint8_t version, const struct m_msg *g, char *out, size_t cap)
{
    static const char *const names[] = { "",       "connect", "connack", "pub",    "puback", "pubrec",
                                         "pubrel", "pubcomp", "sub",     "suback", "unsub",  "unsuback",
                                         "ping",   "pong",    "disc",    "auth" };
    int n = snprintf(out, cap, "%s", names[g->type]);
    bool v5 = version == MQTT_V5;
    out += n;
    cap -= (size_t)n;
    switch (g->type) {
    case MQTT_CONNECT: /* topic: number of the client; code: Receive Maximum */
        n = snprintf(out, cap, " v=%u id=model%u clean=%u ka=60", version, g->topic, g->clean);
        if (v5)
            n += snprintf(out + n, cap - (size_t)n, " rm=%u am=4%s", g->code, g->ends ? "" : " expiry=900");
        if (g->will)
            snprintf(out + n, cap - (size_t)n, " will=m/%u wp=%u%s", M_TOPICS + g->topic, g->payload,
                     v5 && g->dup ? " wdelay=100" : "");
        break;
    case MQTT_CONNACK: /* alias: with Server Keep Alive */
        n = snprintf(out, cap, " sp=%u code=%u", g->sp && version != MQTT_V31, g->code);
        if (v5)
            snprintf(out + n, cap - (size_t)n, " rm=%u am=4%s", g->topic, g->alias != 0 ? " ska=30" : "");
        break;
    case MQTT_PUBLISH:
        n = snprintf(out, cap, " q=%u p=%u%s", g->qos, g->payload, g->dup ? " dup" : "");
        if (g->qos > 0)
            n += snprintf(out + n, cap - (size_t)n, " id=%u", g->id);
        if (v5 && g->expires)
            n += snprintf(out + n, cap - (size_t)n, " mei=1");
        n += g->alias == 2 ? snprintf(out + n, cap - (size_t)n, " t=")
                           : snprintf(out + n, cap - (size_t)n, " t=m/%u", g->topic);
        if (v5 && g->alias != 0)
            n += snprintf(out + n, cap - (size_t)n, " alias=%u", g->topic + 1);
        if (v5 && g->shared)
            snprintf(out + n, cap - (size_t)n, " sid=%u", g->topic + 1);
        break;
    case MQTT_SUBSCRIBE:
        n = snprintf(out, cap, " id=%u f=%sm/%u:%u", g->id, v5 && g->topic >= 6 ? "$share/g/" : "", g->topic, g->qos);
        if (v5)
            snprintf(out + n, cap - (size_t)n, " sid=%u", g->topic + 1);
        break;
    case MQTT_UNSUBSCRIBE:
        snprintf(out, cap, " id=%u f=%sm/%u", g->id, v5 && g->topic >= 6 ? "$share/g/" : "", g->topic);
        break;
    case MQTT_SUBACK:
        snprintf(out, cap, " id=%u c=%u", g->id, g->code);
        break;
    case MQTT_UNSUBACK:
        snprintf(out, cap, " id=%u%s", g->id, v5 ? " c=0" : "");
        break;
    case MQTT_PINGREQ:
    case MQTT_PINGRESP:
        break;
    case MQTT_DISCONNECT:
        snprintf(out, cap, " code=%u%s", g->code, g->ends ? " expiry=0" : "");
        break;
    default:
        snprintf(out, cap, " id=%u code=%u", g->id, g->code);
        break;
    }
}

static inline unsigned m_number(const struct model *m, const struct m_client *c)
{
    return M_FIRST + (unsigned)(c - m->client) + (c->second ? M_CLIENTS : 0);
}

static inline void m_event(struct model *m, unsigned number, const char *what)
{
    char text[24];
    snprintf(text, sizeof text, "%x %s", number, what);
    talk_play(m->k, text);
}

static inline void m_pass(struct model *m, unsigned number, uint8_t version, unsigned side, const struct m_msg *g)
{
    char text[160];
    m_text(version, g, text, sizeof text);
    const char *end = text + strlen(text), *p = text + strcspn(text, " ");
    size_t len = talk_encode(m->k, g->type, version, (struct talk_args){ p, end });
    m->k->frame++;
    talk_octets(m->k, &m->k->conn[number], side, len, g->acked);
}

/* The next packet of this direction passes the capture. */
static inline void m_capture(struct model *m, struct m_client *c, unsigned side)
{
    struct m_wire *w = &c->wire[side];
    if (!c->live || w->tap == w->tail)
        return;
    const struct m_msg *g = &w->q[w->tap % M_QUEUE];
    m_pass(m, m_number(m, c), c->version, side, g);
    w->tap++;
    m->finished += g->type == MQTT_PUBACK || g->type == MQTT_PUBCOMP || (g->type == MQTT_PUBREC && g->code >= 0x80);
}

/* What is left on a connection whose session was taken over passes; when the broker knows, and all has, it closes. */
static inline void m_fade(struct model *m, struct m_ghost *o, unsigned side)
{
    struct m_wire *w = &o->wire[side];
    if (!o->live)
        return;
    if (w->tap != w->tail) {
        m_pass(m, o->number, o->version, side, &w->q[w->tap % M_QUEUE]);
        w->tap++;
    } else if (o->told && o->wire[1 - side].tap == o->wire[1 - side].tail) {
        m_event(m, o->number, "fin<");
        o->live = false;
    }
}

static inline void m_keep(struct model *m, struct m_msg g)
{
    m->ring[m->n_ring++ % M_RING] = g;
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

/* What has expired goes without a packet, and its identifier is free. */
static inline void m_expire(struct model *m, struct m_end *e)
{
    for (unsigned i = 0; i < e->n_out; i++)
        if (e->out[i].expires && m_one_in(m, 2)) {
            e->next_id = (uint16_t)(e->out[i].id - 1);
            memmove(&e->out[i], &e->out[i + 1], (e->n_out - i - 1) * sizeof e->out[0]);
            e->n_out--;
            i--;
        }
}

/* What a client owed on the connection before it leaves, or says on this one; what it released will be asked anew. */
static inline void m_drop_acks(struct model *m, struct m_end *e, bool all)
{
    all = all || m->sober || m_one_in(m, 2);
    unsigned kept = 0;
    for (unsigned i = 0; i < e->acks.n && !all; i++)
        if (e->acks.q[i].type == MQTT_PUBACK || e->acks.q[i].type == MQTT_PUBREC)
            e->acks.q[kept++] = e->acks.q[i];
    e->acks.n = kept;
}

/* A new connection for the session as this side has it. */
static inline void m_resume(struct model *m, struct m_client *c, unsigned side)
{
    struct m_end *e = side == 0 ? &c->mine : &c->servers;
    m_expire(m, e);
    m_drop_acks(m, e, side == 1);
    e->quota = (int)c->window;
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
        f->again = true;
        if (f->state == M_PUBLISH) {
            e->quota--;
            m_send(c, side,
                   (struct m_msg){ .type = MQTT_PUBLISH,
                                   .id = f->id,
                                   .qos = f->qos,
                                   .dup = true,
                                   .expires = f->expires,
                                   .topic = f->topic,
                                   .payload = f->payload });
        } else {
            m_send(c, side, (struct m_msg){ .type = MQTT_PUBREL, .id = f->id });
        }
    }
}

/* The broker hands on what it has got; with the QoS that the client's subscription allows. */
static inline void m_choose(struct model *m, const struct m_client *c, struct m_msg *g)
{
    unsigned have = m->n_ring < M_RING ? m->n_ring : M_RING;
    if (have > 0 && m_one_in(m, 2)) {
        const struct m_msg *from = &m->ring[m_random(m, have)];
        g->topic = from->topic;
        g->payload = from->payload;
        g->qos = from->qos;
        m->forwards++;
    } else {
        g->payload = ++m->payload;
    }
    unsigned grant = g->topic < M_TOPICS ? c->grant[g->topic] : 0;
    if (grant > 0 && g->qos > grant - 1)
        g->qos = (uint8_t)(grant - 1);
    g->shared = grant > 0 && c->version == MQTT_V5;
}

static inline void m_alias(struct model *m, struct m_client *c, unsigned side, struct m_msg *g)
{
    struct m_wire *w = &c->wire[side];
    if (c->version != MQTT_V5 || g->topic >= 3 || w->tail - w->head == M_QUEUE || m_one_in(m, 3))
        return;
    bool known = (c->mapped[side] >> g->topic & 1) != 0;
    g->alias = known && m_one_in(m, 2) ? 2 : 1;
    c->mapped[side] = (uint8_t)(c->mapped[side] | 1u << g->topic);
    m->aliases++;
}

static inline void m_publish(struct model *m, struct m_client *c, unsigned side)
{
    struct m_end *e = side == 0 ? &c->mine : &c->servers;
    struct m_msg g = { .type = MQTT_PUBLISH, .qos = (uint8_t)m_random(m, 3), .topic = m_random(m, M_TOPICS) };
    bool up = side == 0 ? c->client_up : c->server_up;
    if (side == 1)
        m_choose(m, c, &g);
    else
        g.payload = ++m->payload;
    if (g.qos > 0) {
        if (e->n_out >= M_FLOWS || (c->version == MQTT_V5 && up && e->quota <= 0) || (!up && e->n_out >= 3))
            return;
        do
            g.id = (uint16_t)(e->next_id++ % 200 + 1);
        while (m_flow_of(e, g.id) != NULL || (side == 0 && g.id == c->request));
        e->quota--;
        g.expires = c->version == MQTT_V5 && g.qos == 1 && side == 0 && !m->sober && m_one_in(m, 4);
        e->out[e->n_out++] = (struct m_flow){
            .id = g.id, .qos = g.qos, .state = M_PUBLISH, .expires = g.expires, .topic = g.topic, .payload = g.payload
        };
    }
    if (up)
        m_alias(m, c, side, &g);
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
    c->asked_qos = (uint8_t)m_random(m, 3);
    m_send(c, 0,
           (struct m_msg){ .type = c->sub_asked ? MQTT_SUBSCRIBE : MQTT_UNSUBSCRIBE,
                           .id = id,
                           .topic = m_random(m, M_TOPICS),
                           .qos = c->asked_qos });
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
            bool refuse = v5 && m_one_in(m, 12);
            m_owe(e, MQTT_PUBACK, g->id, refuse ? 0x87 : 0);
            if (side == 1 && !refuse)
                m_keep(m, *g);
        } else if (g->qos == 2) {
            bool known = (*in & bit) != 0, refuse = v5 && !known && m_one_in(m, 12);
            *in |= refuse ? 0 : bit;
            if (side == 1 && !refuse && !known)
                m_keep(m, *g);
            m_owe(e, MQTT_PUBREC, g->id, refuse ? 0x97 : 0);
        } else if (side == 1) {
            m_keep(m, *g);
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

static inline void m_forget(struct m_client *c)
{
    m_reset(&c->mine);
    m_reset(&c->servers);
    c->server_has = false;
    memset(c->grant, 0, sizeof c->grant);
}

/* The connection is over for both sides. will: it is published (not one that waits: the client comes back in time). */
static inline void m_leave(struct model *m, struct m_client *c, bool will)
{
    if (will && c->will && !c->will_waits && c->server_up) {
        m_keep(m, (struct m_msg){ .topic = M_TOPICS + (unsigned)(c - m->client), .payload = c->will_payload });
        m->wills++;
    }
    c->live = c->client_up = c->server_up = false;
    memset(c->wire, 0, sizeof c->wire);
    c->request = 0;
    c->pinged = false;
    c->mapped[0] = c->mapped[1] = 0;
    if (!c->persistent || (c->clean && c->version != MQTT_V5))
        m_forget(c);
}

static inline void m_hang_up(struct model *m, struct m_client *c, const char *how, bool will)
{
    struct m_ghost *o = &m->ghost[c - m->client];
    m_event(m, m_number(m, c), how);
    if (o->live && !o->told) { /* the broker never heard of the new connection: the client closes the old one, too */
        m_event(m, o->number, "rst>");
        o->live = false;
    }
    m_leave(m, c, will);
}

/* The broker gets CONNECT. */
static inline void m_accept(struct model *m, struct m_client *c, const struct m_msg *g)
{
    struct m_ghost *o = &m->ghost[c - m->client];
    if (o->live && !o->told) {
        struct m_wire *w = &o->wire[1];
        o->told = true;
        if (o->version == MQTT_V5 && w->tail - w->head < M_QUEUE && m_one_in(m, 2))
            w->q[w->tail++ % M_QUEUE] = (struct m_msg){ .type = MQTT_DISCONNECT, .code = 0x8e, .acked = 1 };
    }
    if (g->clean || (c->server_has && m_one_in(m, 10))) { /* brokers may lose sessions */
        m_reset(&c->servers);
        memset(c->grant, 0, sizeof c->grant);
        c->server_has = false;
    }
    bool present = c->server_has;
    c->server_has = c->server_up = true;
    m_send(c, 1, (struct m_msg){ .type = MQTT_CONNACK, .sp = present, .topic = c->window, .alias = m_one_in(m, 3) });
    m_resume(m, c, 1);
    m_send_due(c, 1);
}

/* The client gets CONNACK. */
static inline void m_accepted(struct model *m, struct m_client *c, const struct m_msg *g)
{
    unsigned early = c->mine.quota < 0 ? (unsigned)-c->mine.quota : 0;
    c->client_up = true;
    if (c->early) { /* it goes on, whatever the server has; 5.0 drops what the server has not */
        if (c->version == MQTT_V5 && !g->sp)
            m_reset(&c->mine);
        return;
    }
    if (early > 0 || c->clean) { /* nothing is left from before; what was sent early counts */
        c->mine.quota = (int)c->window - (int)early;
        return;
    }
    if (!g->sp && (c->version == MQTT_V5 || m_one_in(m, 2)))
        m_reset(&c->mine);
    if (c->version == MQTT_V31 && !m_one_in(m, 2))
        m_reset(&c->mine);
    m_resume(m, c, 0);
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
    m_text(c->version, &g, text, sizeof text);
    const char *p = text + strcspn(text, " ");
    c->received[side] += talk_encode(m->k, g.type, c->version, (struct talk_args){ p, text + strlen(text) });
    switch (g.type) {
    case MQTT_CONNECT:
        m_accept(m, c, &g);
        break;
    case MQTT_CONNACK:
        m_accepted(m, c, &g);
        break;
    case MQTT_SUBSCRIBE: {
        unsigned code = m_random(m, g.qos + 1u);
        if (c->grant[g.topic] < code + 1)
            c->grant[g.topic] = (uint8_t)(code + 1);
        m_owe(&c->servers, MQTT_SUBACK, g.id, code);
        break;
    }
    case MQTT_UNSUBSCRIBE: /* what was granted may still be queued: the grant stays */
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
        m_hang_up(m, c, m_one_in(m, 2) ? "fin>" : "fin<", g.code == 4);
        if (g.ends) {
            m_forget(c);
            m->endings++;
        }
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
    m_event(m, m_number(m, c), "open");
    m->k->conn[m_number(m, c)].version = c->version;
    memset(c->received, 0, sizeof c->received);
    c->live = true;
    c->clean = !c->persistent || m_one_in(m, 5);
    c->window = 2 + m_random(m, 5);
    c->will = m_one_in(m, 2);
    c->will_waits = c->will && c->persistent && c->version == MQTT_V5 && m_one_in(m, 2);
    c->will_payload = ++m->payload;
    if (c->clean)
        m_reset(&c->mine);
    c->mine.quota = 0;
    m_send(c, 0,
           (struct m_msg){ .type = MQTT_CONNECT,
                           .clean = c->clean,
                           .topic = (unsigned)(c - m->client),
                           .code = (uint8_t)c->window,
                           .ends = !c->persistent,
                           .will = c->will,
                           .dup = c->will_waits,
                           .payload = c->will_payload });
    c->early = !c->clean && m_one_in(m, 3);
    if (c->early) { /* a client need not wait for CONNACK */
        m_resume(m, c, 0);
        m_send_due(c, 0);
    } else if (c->clean && m_one_in(m, 3)) {
        m_publish(m, c, 0);
    }
}

/* It tries, and is refused or gives up. */
static inline void m_try(struct model *m, struct m_client *c)
{
    struct m_msg connect = { .type = MQTT_CONNECT, .topic = (unsigned)(c - m->client), .code = 9, .ends = true };
    unsigned number = m_number(m, c);
    m_event(m, number, "open");
    m->k->conn[number].version = c->version;
    m_pass(m, number, c->version, 0, &connect);
    if (m_one_in(m, 2)) {
        m_event(m, number, "rst>");
        return;
    }
    m_pass(m, number, c->version, 1,
           &(struct m_msg){ .type = MQTT_CONNACK, .topic = 9, .code = c->version == MQTT_V5 ? 0x88 : 3 });
    m_event(m, number, "fin<");
}

/* The client connects anew while its old connection is up. */
static inline void m_take_over(struct model *m, struct m_client *c)
{
    struct m_ghost *o = &m->ghost[c - m->client];
    if (o->live || m->calm || c->taken == 2) /* three in a minute are two programs with one name */
        return;
    c->taken++;
    *o = (struct m_ghost){ .live = true, .version = c->version, .number = m_number(m, c) };
    memcpy(o->wire, c->wire, sizeof o->wire);
    m_leave(m, c, true);
    c->second = !c->second;
    m->takeovers++;
    m_connect(m, c);
}

/* 3.1 and 3.1.1 may send again on a live connection. */
static inline void m_again(struct model *m, struct m_client *c, unsigned side)
{
    struct m_end *e = side == 0 ? &c->mine : &c->servers;
    if (c->version == MQTT_V5 || m->calm || m->sober || e->n_out == 0)
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
        m_hang_up(m, c, (const char *[]){ "rst>", "rst<", "fin>", "fin<" }[m_random(m, 4)], true);
    else if (what == 97 && c->client_up && c->server_up && m_one_in(m, 3))
        m_take_over(m, c);
    else if (what == 99 && !m->calm && m_waiting(c) == 0 && c->client_up && c->server_up)
        m_send(c, 0,
               (struct m_msg){ .type = MQTT_DISCONNECT,
                               .ends = c->version == MQTT_V5 && c->persistent && m_one_in(m, 3),
                               .code = c->version == MQTT_V5 && m_one_in(m, 4) ? 4 : 0 });
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
    if (!c->live && !m->calm && m_one_in(m, 6)) {
        m_try(m, c);
        return;
    }
    if (!c->live) {
        m_connect(m, c);
        return;
    }
    if (m_one_in(m, 3))
        m_fade(m, &m->ghost[c - m->client], m_random(m, 2));
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
            for (unsigned side = 0; side < 2; side++)
                m_fade(m, &m->ghost[i], side);
            for (unsigned side = 0; side < 2 && c->live; side++) {
                m_capture(m, c, side);
                m_deliver(m, c, side);
                if (c->live && (side == 0 ? c->client_up : c->server_up) && !m_leaving(c))
                    m_answer(m, c, side);
            }
        }
}

/* Time passes while nothing is under way: less than the Keep Alive that any of them has. */
static inline void m_rest(struct model *m)
{
    m_drain(m);
    m->k->now += (int64_t)m_random(m, 25) * 1000000000;
    track_advance(m->k->track, m->k->now);
    for (unsigned i = 0; i < M_CLIENTS; i++) {
        struct m_client *c = &m->client[i];
        if (!c->live || !c->client_up || m_leaving(c))
            continue;
        c->pinged = true;
        m_send(c, 0, (struct m_msg){ .type = MQTT_PINGREQ });
    }
    m_drain(m);
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
