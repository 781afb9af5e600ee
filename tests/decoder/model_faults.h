/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/decoder/model_faults.h -- one fault, planted where the model's conversation has come to.
 *
 * A fault waits until a client of its version is where it can happen (an exchange in that state, on a connection that
 * was not resumed where it needs one). What is under way on that connection arrives first; nothing on it is answered
 * after the fault. Of each fault the rule, the side and the frame are known. */
#pragma once
#include "tests/decoder/model.h"

enum m_place {
    AT_UP,            /* connected */
    AT_FRESH,         /* connected, and the session began with the connection */
    AT_QUIET,         /* the same, and no request under way */
    AT_SENT1,         /* the side has a QoS 1 PUBLISH under way */
    AT_SENT2,         /* a QoS 2 one before PUBREC */
    AT_RELEASED,      /* one whose PUBREL was sent */
    AT_TWO_SENT,      /* two PUBLISH packets under way, of a session that is kept */
    AT_KEPT1,         /* as AT_SENT1, of a session that is kept */
    AT_KEPT_RELEASED, /* as AT_RELEASED, of a session that is kept */
    AT_OTHERS1,       /* the other side has a QoS 1 PUBLISH under way */
    AT_OTHERS2,       /* a QoS 2 one before PUBREC */
    AT_TWO_PUBACK,    /* it owes two PUBACKs of this connection, and so on */
    AT_TWO_PUBREC,
    AT_TWO_PUBREL,
    AT_SUBSCRIBE, /* a SUBSCRIBE of less than QoS 2 under way */
    AT_UNSUBSCRIBE,
    AT_GRANTED, /* subscribed to a topic with QoS 0 or 1, on a session that began with the connection */
    AT_QUOTA,   /* connected; repeated until the quota is used up */
};

struct m_fault {
    const char *name;
    enum m_place at;
    enum mqtt_rule v311[2], v5[2]; /* by the client, by the server; NONE: cannot happen there */
    /* Steps as in talk.h without connection and direction (the faulty side's; '^' the other's, '!' an event); %i %j:
     * the identifiers found, %t %p %q: topic, payload, QoS of the first, %T: of the second, %c: the client, %v:
     * version. */
    const char *text;
};

static const struct m_fault m_faults[] = {
#define BOTH(r)                                                                                                        \
    {                                                                                                                  \
        MQTT_R4_##r, MQTT_R4_##r                                                                                       \
    }
#define FIVE(r)                                                                                                        \
    {                                                                                                                  \
        MQTT_R5_##r, MQTT_R5_##r                                                                                       \
    }
#define NO                                                                                                             \
    {                                                                                                                  \
        MQTT_RULE_NONE, MQTT_RULE_NONE                                                                                 \
    }
#define BY_CLIENT(r)                                                                                                   \
    {                                                                                                                  \
        MQTT_##r, MQTT_RULE_NONE                                                                                       \
    }
#define BY_SERVER(r)                                                                                                   \
    {                                                                                                                  \
        MQTT_RULE_NONE, MQTT_##r                                                                                       \
    }
#define REUSED                                                                                                         \
    { MQTT_R4_2_3_1_2, MQTT_R4_2_3_1_4 },                                                                              \
    {                                                                                                                  \
        MQTT_R5_2_2_1_3, MQTT_R5_2_2_1_4                                                                               \
    }
#define BACK "!rst>; !open; > connect v=%v id=model%c clean=0 expiry=900 ka=60; < connack sp=1; "
    { "PUBACK for nothing", AT_FRESH, BOTH(2_3_1_6), FIVE(2_2_1_5), "puback id=250" },
    { "PUBREC for nothing", AT_FRESH, BOTH(2_3_1_6), FIVE(2_2_1_5), "pubrec id=250" },
    { "PUBREL for nothing", AT_FRESH, BOTH(2_3_1_6), FIVE(2_2_1_5), "pubrel id=250" },
    { "PUBCOMP for nothing", AT_FRESH, { MQTT_S4_2_3_1_B, MQTT_S4_2_3_1_B }, FIVE(2_2_1_5), "pubcomp id=250" },
    { "PUBREC for QoS 1", AT_OTHERS1, BOTH(3_3_4_1), FIVE(3_3_4_1), "pubrec id=%i" },
    { "PUBACK for QoS 2", AT_OTHERS2, BOTH(3_3_4_1), FIVE(3_3_4_1), "puback id=%i" },
    { "PUBCOMP before PUBREL", AT_OTHERS2, BOTH(4_3_3_2), FIVE(4_3_3_11), "pubcomp id=%i" },
    { "PUBREL before PUBREC", AT_SENT2, BOTH(4_3_3_1), FIVE(4_3_3_4), "pubrel id=%i" },
    { "another QoS 1 message with an id in use", AT_SENT1, REUSED, "pub q=1 id=%i p=fault t=stray" },
    { "another QoS 2 message with an id in use", AT_SENT2, REUSED, "pub q=2 id=%i p=fault t=stray" },
    { "SUBSCRIBE with an id in use", AT_SENT1, BY_CLIENT(R4_2_3_1_2), BY_CLIENT(R5_2_2_1_3), "sub id=%i f=z:0" },
    { "UNSUBSCRIBE with an id in use", AT_SENT2, BY_CLIENT(R4_2_3_1_2), BY_CLIENT(R5_2_2_1_3), "unsub id=%i f=z" },
    { "PUBLISH with the id of a request", AT_SUBSCRIBE, BY_CLIENT(R4_2_3_1_2), BY_CLIENT(R5_2_2_1_3),
      "pub q=1 id=%i p=fault t=stray" },
    { "the same again without DUP", AT_SENT1, BOTH(3_3_1_1), FIVE(4_4_0_1), "pub q=1 id=%i t=m/%t p=%p" },
    { "the same again", AT_SENT2, NO, FIVE(4_4_0_1), "pub q=2 id=%i t=m/%t p=%p dup" },
    { "PUBREL again", AT_RELEASED, NO, FIVE(4_4_0_1), "pubrel id=%i" },
    { "PUBLISH after PUBREL", AT_RELEASED, BOTH(4_3_3_1), FIVE(4_3_3_6), "pub q=2 id=%i t=m/%t p=%p dup" },
    { "DUP on a new QoS 1 message", AT_FRESH, BOTH(4_3_2_1), FIVE(4_3_2_2), "pub q=1 id=250 dup t=stray p=fault" },
    { "DUP on a new QoS 2 message", AT_FRESH, BOTH(4_3_3_1), FIVE(4_3_3_2), "pub q=2 id=250 dup t=stray p=fault" },
    { "second CONNECT", AT_UP, BY_CLIENT(R4_3_1_0_2), BY_CLIENT(R5_3_1_0_2), "connect v=%v id=other" },
    { "PINGREQ after DISCONNECT", AT_UP, BY_CLIENT(R4_3_14_4_2), BY_CLIENT(R5_3_14_4_1), "disc; ping" },
    { "PUBLISH after DISCONNECT", AT_UP, NO, BY_SERVER(R5_3_14_4_1), "disc code=0x8b; pub t=m/1 p=fault" },
    { "PUBACKs out of order", AT_TWO_PUBACK, BY_CLIENT(R4_4_6_0_2), BY_CLIENT(R5_4_6_0_2),
      "puback id=%j; puback id=%i" },
    { "PUBRECs out of order", AT_TWO_PUBREC, BY_CLIENT(R4_4_6_0_3), BY_CLIENT(R5_4_6_0_3),
      "pubrec id=%j; pubrec id=%i" },
    { "PUBRELs out of order", AT_TWO_PUBREL, BY_CLIENT(R4_4_6_0_4), BY_CLIENT(R5_4_6_0_4),
      "pubrel id=%j; pubrel id=%i" },
    { "more than Receive Maximum",
      AT_QUOTA,
      NO,
      { MQTT_R5_3_3_4_7, MQTT_R5_3_3_4_9 },
      "pub q=2 id=25%n t=stray p=fault%n" },
    { "Topic Alias above the maximum", AT_UP, NO, { MQTT_R5_3_3_2_9, MQTT_R5_3_3_2_11 }, "pub t=m/1 p=fault alias=5" },
    { "Topic Alias never set", AT_FRESH, NO, { MQTT_S5_3_3_4_C, MQTT_S5_3_3_4_C }, "pub t= p=fault alias=4" },
    { "AUTH without a method", AT_UP, NO, { MQTT_R5_4_12_0_7, MQTT_R5_4_12_0_6 }, "auth code=0x18 method=M" },
    { "SUBACK for nothing", AT_QUIET, BY_SERVER(R4_2_3_1_7), BY_SERVER(R5_2_2_1_6), "suback id=250 c=0" },
    { "UNSUBACK for nothing", AT_QUIET, BY_SERVER(R4_2_3_1_7), BY_SERVER(R5_2_2_1_6), "unsuback id=250%U" },
    { "SUBACK with another id", AT_SUBSCRIBE, BY_SERVER(R4_3_8_4_2), BY_SERVER(R5_3_8_4_2), "suback id=250 c=0" },
    { "UNSUBACK with another id", AT_UNSUBSCRIBE, BY_SERVER(R4_3_10_4_4), BY_SERVER(R5_3_10_4_5), "unsuback id=250%U" },
    { "a code too many", AT_SUBSCRIBE, BY_SERVER(S4_3_9_3_A), BY_SERVER(R5_3_8_4_6), "suback id=%i c=0 c=0" },
    { "a code too many in UNSUBACK", AT_UNSUBSCRIBE, NO, BY_SERVER(S5_3_11_3_A), "unsuback id=%i c=0 c=0" },
    { "SUBACK again", AT_SUBSCRIBE, BY_SERVER(R4_3_8_4_4), BY_SERVER(R5_3_8_4_5),
      "suback id=%i c=0; suback id=%i c=0" },
    { "UNSUBACK again", AT_UNSUBSCRIBE, BY_SERVER(R4_3_10_4_6), BY_SERVER(R5_3_10_4_6),
      "unsuback id=%i%U; unsuback id=%i%U" },
    { "more granted than asked for", AT_SUBSCRIBE, BY_SERVER(R4_3_8_4_5), BY_SERVER(R5_3_8_4_7), "suback id=%i c=2" },
    { "second CONNACK", AT_UP, NO, BY_SERVER(R5_3_2_0_2), "connack" },
    { "delivered above the grant", AT_GRANTED, BY_SERVER(R4_3_8_4_6), BY_SERVER(R5_3_8_4_8),
      "pub q=2 id=250 t=m/%t p=fault" },
    { "a Subscription Identifier of no subscription", AT_GRANTED, NO, BY_SERVER(S5_3_3_4_A),
      "pub t=m/%t p=fault sid=77" },
    { "Session Present after a clean start", AT_UP, BY_SERVER(R4_3_2_2_1), BY_SERVER(R5_3_2_2_2),
      "!rst>; !open; > connect v=%v id=model%c; < connack sp=1" },
    { "PUBLISH before CONNACK", AT_UP, BY_SERVER(R4_3_2_0_1), BY_SERVER(R5_3_2_0_1),
      "!rst>; !open; > connect v=%v id=model%c; < pub t=m/1 p=fault" },
    { "sent again on the next connection without DUP", AT_KEPT1, BOTH(3_3_1_1), FIVE(3_3_1_1),
      BACK "pub q=1 id=%i t=m/%t p=%p" },
    { "sent again after PUBREL on the next connection", AT_KEPT_RELEASED, BOTH(4_3_3_1), FIVE(4_3_3_6),
      BACK "pub q=2 id=%i t=m/%t p=%p dup" },
    { "sent again in another order", AT_TWO_SENT, BY_CLIENT(R4_4_6_0_1), BY_CLIENT(R5_4_6_0_1),
      BACK "pub q=%Q id=%j t=m/%T p=%P dup; pub q=%q id=%i t=m/%t p=%p dup" },
#undef BOTH
#undef FIVE
#undef NO
#undef BY_CLIENT
#undef BY_SERVER
#undef REUSED
#undef BACK
};

struct m_found {
    struct m_flow one, two;
};

static inline bool m_owes(const struct m_end *e, unsigned type, uint16_t id)
{
    for (unsigned i = 0; i < e->acks.n; i++)
        if (e->acks.q[i].type == type && e->acks.q[i].id == id)
            return true;
    return false;
}

/* A flow of this side in this state; from: the place to look from. */
static inline const struct m_flow *m_find(const struct m_end *e, unsigned *from, unsigned qos, unsigned state)
{
    for (; *from < e->n_out; (*from)++) {
        const struct m_flow *f = &e->out[*from];
        if (!f->due && !f->again && f->state == state && (qos == 0 || f->qos == qos) &&
            (state == M_PUBLISH || !m_owes(e, MQTT_PUBREL, f->id)))
            return &e->out[(*from)++];
    }
    return NULL;
}

static inline bool m_flow_at(const struct m_end *e, struct m_found *x, unsigned qos, unsigned state)
{
    unsigned from = 0;
    const struct m_flow *f = m_find(e, &from, qos, state);
    if (f != NULL)
        x->one = *f;
    return f != NULL;
}

/* Two answers of one type are owed, neither sent again: their order is that of arrival here. */
static inline bool m_two_owed(const struct m_end *e, struct m_found *x, unsigned type)
{
    unsigned n = 0;
    for (unsigned i = 0; i < e->acks.n && n < 2; i++) {
        if (e->acks.q[i].type != type || e->acks.q[i].code != 0 || (n > 0 && e->acks.q[i].id == x->one.id))
            continue;
        (n == 0 ? &x->one : &x->two)->id = e->acks.q[i].id;
        n++;
    }
    return n == 2;
}

static inline bool m_two_sent(const struct m_end *e, struct m_found *x)
{
    unsigned from = 0;
    const struct m_flow *a = m_find(e, &from, 0, M_PUBLISH), *b = m_find(e, &from, 0, M_PUBLISH);
    if (b == NULL)
        return false;
    x->one = *a;
    x->two = *b;
    return true;
}

static inline bool m_granted(const struct m_client *c, struct m_found *x)
{
    for (unsigned i = 0; i < 6; i++)
        if (c->grant[i] == 1 || c->grant[i] == 2) {
            x->one.topic = i;
            return !m_owes(&c->servers, MQTT_SUBACK, c->request) && c->request == 0;
        }
    return false;
}

static inline bool m_is_at(const struct m_client *c, enum m_place at, unsigned side, struct m_found *x)
{
    const struct m_end *e = side == 0 ? &c->mine : &c->servers, *other = side == 0 ? &c->servers : &c->mine;
    bool early = c->version == MQTT_V5 && c->mine.quota < 0; /* sent more than allowed before CONNACK */
    if (!c->live || !c->client_up || !c->server_up || early)
        return false;
    bool room = c->version != MQTT_V5 || e->quota > 0, fresh = c->clean && room;
    bool kept = c->persistent && (c->version == MQTT_V5 || !c->clean); /* the session outlives this connection */
    x->one.id = c->request;
    switch (at) {
    case AT_UP:
        return true;
    case AT_QUOTA:
        return e->quota >= 0 && e->quota <= 4 && c->clean;
    case AT_FRESH:
        return fresh;
    case AT_QUIET:
        return fresh && c->request == 0;
    case AT_KEPT1:
        return kept && m_flow_at(e, x, 1, M_PUBLISH);
    case AT_SENT1:
        return m_flow_at(e, x, 1, M_PUBLISH);
    case AT_SENT2:
        return fresh && m_flow_at(e, x, 2, M_PUBLISH);
    case AT_KEPT_RELEASED:
        return kept && m_flow_at(e, x, 2, M_RELEASED);
    case AT_RELEASED:
        return fresh && m_flow_at(e, x, 2, M_RELEASED);
    case AT_TWO_SENT:
        return kept && m_two_sent(e, x);
    case AT_OTHERS1:
        return m_flow_at(other, x, 1, M_PUBLISH);
    case AT_OTHERS2:
        return fresh && m_flow_at(other, x, 2, M_PUBLISH) && !m_owes(other, MQTT_PUBREL, x->one.id);
    case AT_TWO_PUBACK:
        return fresh && m_two_owed(e, x, MQTT_PUBACK);
    case AT_TWO_PUBREC:
        return fresh && m_two_owed(e, x, MQTT_PUBREC);
    case AT_TWO_PUBREL:
        return fresh && m_two_owed(e, x, MQTT_PUBREL);
    case AT_SUBSCRIBE:
        return c->request != 0 && c->sub_asked && c->asked_qos < 2;
    case AT_UNSUBSCRIBE:
        return c->request != 0 && !c->sub_asked;
    default:
        return fresh && m_granted(c, x);
    }
}

/* What is under way on this connection arrives; nothing is answered. */
static inline void m_settle(struct model *m, struct m_client *c)
{
    struct m_ghost *o = &m->ghost[c - m->client];
    for (unsigned rounds = 0; rounds < 4 * M_QUEUE && c->live && m_waiting(c) > 0; rounds++)
        for (unsigned side = 0; side < 2; side++) {
            m_capture(m, c, side);
            m_deliver(m, c, side);
        }
    for (unsigned rounds = 0; rounds < 2 * M_QUEUE && o->live && o->told; rounds++)
        m_fade(m, o, rounds % 2);
}

static inline size_t m_put(char *out, size_t cap, const struct model *m, const struct m_client *c, char what,
                           const struct m_found *x, unsigned nth)
{
    const unsigned values[] = {
        ['i'] = x->one.id,
        ['j'] = x->two.id,
        ['t'] = x->one.topic,
        ['T'] = x->two.topic,
        ['q'] = x->one.qos,
        ['Q'] = x->two.qos,
        ['p'] = x->one.payload,
        ['P'] = x->two.payload,
        ['v'] = c->version,
        ['n'] = nth,
        ['c'] = (unsigned)(c - m->client),
    };
    if (what == 'U')
        return (size_t)snprintf(out, cap, "%s", c->version == MQTT_V5 ? " c=0" : "");
    return (size_t)snprintf(out, cap, "%u", values[(unsigned char)what & 127]);
}

/* One step: connection and direction before it. */
static inline void m_say(struct model *m, struct m_client *c, unsigned side, const char *step, size_t len,
                         const struct m_found *x, unsigned nth)
{
    char text[256];
    size_t n;
    bool event = *step == '!', placed = *step == '>' || *step == '<';
    char arrow = placed ? *step : side == 0 ? '>' : '<';
    if (event)
        n = (size_t)snprintf(text, sizeof text, "%x ", m_number(m, c));
    else
        n = (size_t)snprintf(text, sizeof text, "%x%c ", m_number(m, c), arrow);
    for (size_t i = event || placed; i < len && n < sizeof text - 16; i++)
        if (step[i] == '%')
            n += m_put(text + n, sizeof text - n, m, c, step[++i], x, nth);
        else
            text[n++] = step[i];
    text[n] = '\0';
    talk_play(m->k, text);
}

static inline void m_prepare(struct model *m, const struct m_fault *f, uint8_t version)
{
    m->sober = true; /* what is repeated leaves much open */
    for (unsigned i = 0; i < M_CLIENTS; i++)
        if (m->client[i].version == version && (f->at == AT_TWO_SENT || f->at == AT_KEPT1 || f->at == AT_KEPT_RELEASED))
            m->client[i].persistent = true;
}

/* Plants the fault; returns the frame of the packet that is to blame, 0: the model never came there. */
static inline uint64_t m_plant(struct model *m, const struct m_fault *f, unsigned side, uint8_t version)
{
    for (unsigned tries = 0; tries < 300000; tries++) {
        struct m_client *c = &m->client[m_random(m, M_CLIENTS)];
        struct m_found x = { 0 };
        m_step(m);
        if (c->version != version || m_leaving(c))
            continue;
        if (m_one_in(m, 500) && c->live && c->client_up)
            m_hang_up(m, c, "rst>", true); /* another beginning, another chance */
        if (!m_is_at(c, f->at, side, &x))
            continue;
        m_settle(m, c);
        if (m_leaving(c) || m->ghost[c - m->client].live || !m_is_at(c, f->at, side, &x))
            continue;
        unsigned times = 1;
        if (f->at == AT_QUOTA)
            times = (unsigned)(side == 0 ? c->mine.quota : c->servers.quota) + 1;
        for (unsigned i = 0; i < times; i++)
            for (const char *step = f->text; *step != '\0';) {
                step += strspn(step, " ;");
                size_t len = strcspn(step, ";");
                m_say(m, c, side, step, len, &x, i);
                step += len;
            }
        return m->k->frame;
    }
    return 0;
}
