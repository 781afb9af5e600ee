/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/track/forward.c -- from the publisher to the subscriber: which PUBLISH of a client one of the server hands
 * on, how long that took, and what of it is not as it was (5.0 section 4.5; session.md sections 11 and 17).
 *
 * Two messages are taken for the same when topic, payload and broker are alike. Another client may have sent the like
 * unseen, and servers subscribe for clients: what rests on this is a note, never more. */
#include "decoder/track/state.h"

#include "decoder/mqtt/topic.h"

#include <string.h>

enum { SENT_PLACES = 2048 };
static const int64_t second_ns = 1000000000;

/* The messages lie in the order of their coming, the oldest is overwritten: what is written to places here and there
 * waits for memory each time. Most of what is looked up is not there, which the index alone tells. */
struct sent_book {
    struct sent_key {
        uint32_t print, number;
    } index[SENT_PLACES];
    uint32_t next; /* number */
    struct sent message[SENT_PLACES];
};

static const struct {
    uint32_t prop;
    uint16_t rule;
} facts[SENT_FACTS] = {
    [SENT_FORMAT] = { MQTT_PROP_PAYLOAD_FORMAT_INDICATOR, MQTT_R5_3_3_2_4 },
    [SENT_RESPONSE] = { MQTT_PROP_RESPONSE_TOPIC, MQTT_R5_3_3_2_15 },
    [SENT_CORRELATION] = { MQTT_PROP_CORRELATION_DATA, MQTT_R5_3_3_2_16 },
    [SENT_USER] = { MQTT_PROP_USER_PROPERTY, MQTT_R5_3_3_2_18 },
    [SENT_USER_SET] = { 0, MQTT_R5_3_3_2_17 },
    [SENT_TYPE] = { MQTT_PROP_CONTENT_TYPE, MQTT_R5_3_3_2_20 },
};

static const uint64_t carried = 1ull << MQTT_PROP_PAYLOAD_FORMAT_INDICATOR | 1ull << MQTT_PROP_RESPONSE_TOPIC |
                                1ull << MQTT_PROP_CORRELATION_DATA | 1ull << MQTT_PROP_USER_PROPERTY |
                                1ull << MQTT_PROP_CONTENT_TYPE;

static unsigned fact_of(uint32_t prop)
{
    unsigned i = 0;
    while (i < SENT_FACTS && facts[i].prop != prop)
        i++;
    return i;
}

/* Returns the Message Expiry Interval, which lies among them. */
static uint32_t read_facts(const struct mqtt_packet *p, uint32_t fact[SENT_FACTS])
{
    struct mqtt_prop prop;
    struct mqtt_prop_walk walk = mqtt_props_walk(&p->props);
    uint32_t expiry_s = UINT32_MAX;
    memset(fact, 0, SENT_FACTS * sizeof *fact);
    if ((p->props.seen & (carried | 1ull << MQTT_PROP_MESSAGE_EXPIRY_INTERVAL)) == 0)
        return expiry_s;
    while (mqtt_props_next(&walk, &prop)) {
        if (prop.id == MQTT_PROP_MESSAGE_EXPIRY_INTERVAL && expiry_s == UINT32_MAX)
            expiry_s = prop.number;
        unsigned i = fact_of(prop.id);
        if (i == SENT_FACTS)
            continue;
        if (i == SENT_USER) {
            uint32_t pair = print_of(prop.value, print_of(prop.text, 1));
            fact[i] = print_of(view_of(&pair, sizeof pair), fact[i] + 1);
            fact[SENT_USER_SET] += pair; /* the same in any order */
        } else if (prop.text.ptr != NULL) {
            fact[i] = print_of(prop.text, 1) | 1;
        } else {
            fact[i] = prop.number; /* Payload Format 0 says what none says */
        }
    }
    return expiry_s;
}

static uint32_t broker_of(struct conn *c)
{
    if (c->broker_print == 0) {
        struct row_endpoint e = session_endpoint(c->session, 1);
        c->broker_print = print_of(view_of(e.addr.octets, sizeof e.addr.octets), e.port + 1u) | 1;
    }
    return c->broker_print;
}

void sent_free(struct track *t)
{
    mem_give(t, t->sent, sizeof *t->sent);
    t->sent = NULL;
}

/* The first of the two that a message may have. */
static struct sent_key *keys_of(struct sent_book *b, uint32_t print, uint32_t broker)
{
    return &b->index[(print ^ broker) % SENT_PLACES & ~1u];
}

static struct sent *message_of(struct sent_book *b, const struct sent_key *k)
{
    return &b->message[k->number % SENT_PLACES];
}

static struct sent_key *look_up(struct sent_book *b, uint32_t print, uint32_t broker)
{
    struct sent_key *k = keys_of(b, print, broker);
    for (unsigned i = 0; i < 2; i++, k++)
        if (k->print == print && message_of(b, k)->print == print && message_of(b, k)->broker == broker)
            return k;
    return NULL;
}

static bool has_memory(struct track *t)
{
    if (t->sent != NULL)
        return true;
    t->sent = mem_take(t, sizeof *t->sent);
    if (t->sent != NULL)
        memset(t->sent, 0, sizeof *t->sent);
    return t->sent != NULL;
}

/* Where the next message goes; k leads to it. */
static struct sent *append(struct sent_book *b, struct sent_key *k, uint32_t print)
{
    *k = (struct sent_key){ print, b->next++ };
    return message_of(b, k);
}

static void keep_new(struct track *t, struct conn *c, const struct track_input *in, uint32_t print, uint32_t broker)
{
    struct sent_book *b = t->sent;
    struct sent_key *two = keys_of(b, print, broker);
    uint32_t age[] = { b->next - two[0].number, b->next - two[1].number };
    struct sent *e = append(b, &two[age[1] > age[0]], print); /* no branch: a guess */
    const struct mqtt_packet *p = in->packet;
    e->time_ns = in->time_ns;
    e->session = c->session->number;
    e->frame = in->frame;
    e->print = print;
    e->broker = broker;
    e->times = 1;
    e->qos = p->publish.qos;
    e->marks = (uint8_t)((p->publish.retain ? SENT_RETAIN : SENT_PLAIN) | SENT_CLEAR);
    e->expiry_s = UINT32_MAX;
    if (c->version != MQTT_V5)
        return;
    e->marks |= SENT_SAME;
    e->expiry_s = read_facts(p, e->fact);
}

static void keep_again(struct track *t, struct conn *c, const struct track_input *in, struct sent_key *k)
{
    const struct mqtt_packet *p = in->packet;
    struct sent *e = message_of(t->sent, k), *old = e;
    uint32_t fact[SENT_FACTS];
    if (t->sent->next - k->number > SENT_PLACES / 2) { /* it would be overwritten soon */
        e = append(t->sent, k, e->print);
        *e = *old;
    }
    e->marks = (uint8_t)(e->marks & ~SENT_CLEAR);
    e->marks |= in->time_ns - e->time_ns > t->cfg.answer_ns ? SENT_CLEAR : 0;
    e->marks |= p->publish.retain ? SENT_RETAIN : SENT_PLAIN;
    if ((e->marks & SENT_SAME) != 0) {
        read_facts(p, fact);
        if (c->version != MQTT_V5 || memcmp(e->fact, fact, sizeof fact) != 0)
            e->marks = (uint8_t)(e->marks & ~SENT_SAME);
    }
    e->qos = p->publish.qos > e->qos ? p->publish.qos : e->qos;
    if (e->times < UINT16_MAX)
        e->times++;
    e->time_ns = in->time_ns;
    e->frame = in->frame;
    if (e->session != c->session->number)
        e->session = 0;
}

/* A PUBLISH of a client, not one sent again. */
void sent_keep(struct track *t, struct conn *c, const struct track_input *in, uint32_t print)
{
    if (!has_memory(t))
        return;
    uint32_t broker = broker_of(c);
    struct sent_key *k = look_up(t->sent, print, broker);
    if (k != NULL)
        keep_again(t, c, in, k);
    else
        keep_new(t, c, in, print, broker);
}

const struct sent *sent_find(struct track *t, struct conn *c, const struct track_input *in, uint32_t print)
{
    const struct mqtt_publish *p = &in->packet->publish;
    if (t->sent == NULL || p->dup)
        return NULL;
    const struct sent_key *k = look_up(t->sent, print, broker_of(c));
    if (k == NULL)
        return NULL;
    const struct sent *e = message_of(t->sent, k);
    int64_t took = in->time_ns - e->time_ns;
    bool known = e->times == 1 || ((e->marks & SENT_CLEAR) != 0 && took < t->cfg.answer_ns);
    if (known && !p->retain) { /* with RETAIN it may answer a SUBSCRIBE */
        t->note->forward_ns = took;
        t->note->published_frame = e->frame;
    }
    return e;
}

static void note(struct track *t, struct conn *c, enum mqtt_rule v311, enum mqtt_rule v5)
{
    judge(t, c, by_version(c, v311, v5), MQTT_SEVERITY_NOTE, MQTT_SERVER);
}

static void judge_facts(struct track *t, struct conn *c, const struct track_input *in, const struct sent *from)
{
    uint32_t fact[SENT_FACTS];
    if ((from->marks & SENT_SAME) == 0 || c->version != MQTT_V5 || in->packet->cut)
        return;
    read_facts(in->packet, fact);
    for (unsigned i = 0; i < SENT_FACTS; i++)
        if (fact[i] != from->fact[i] && (i != SENT_USER || fact[SENT_USER_SET] == from->fact[SENT_USER_SET]))
            note(t, c, MQTT_RULE_NONE, (enum mqtt_rule)facts[i].rule);
}

static void judge_expiry(struct track *t, struct conn *c, const struct track_input *in, const struct sent *from)
{
    if (c->version != MQTT_V5 || from->expiry_s == UINT32_MAX || from->times > 1 || in->packet->cut)
        return;
    uint32_t expiry = mqtt_props_number(&in->packet->props, MQTT_PROP_MESSAGE_EXPIRY_INTERVAL, UINT32_MAX);
    if (expiry > from->expiry_s)
        note(t, c, MQTT_RULE_NONE, MQTT_R5_3_3_2_6);
    else if (in->time_first_ns - from->time_ns > ((int64_t)from->expiry_s + 2) * second_ns)
        note(t, c, MQTT_RULE_NONE, MQTT_R5_3_3_2_5);
}

/* 3.1.1, and 5.0 without Retain As Published: what reaches an established subscription has RETAIN 0. */
static void judge_retain(struct track *t, struct conn *c, const struct track_input *in, const struct sent *from,
                         const struct reach *r)
{
    bool retain = in->packet->publish.retain;
    if ((c->flags & C_ODD_NAME) != 0 || r->matches == 0 || r->open) /* a bridge may ask for more */
        return;
    if (retain && r->published == 0 && r->settled)
        note(t, c, MQTT_R4_3_3_1_9, MQTT_R5_3_3_1_12);
    else if (r->published == r->matches && c->version == MQTT_V5 &&
             (retain ? (from->marks & SENT_RETAIN) == 0 && r->settled : (from->marks & SENT_PLAIN) == 0))
        note(t, c, MQTT_RULE_NONE, MQTT_R5_3_3_1_13);
}

void judge_forwarded(struct track *t, struct conn *c, const struct track_input *in, const struct sent *from,
                     const struct reach *r)
{
    judge_retain(t, c, in, from, r);
    if (in->packet->publish.retain)
        return; /* perhaps an older one that was kept */
    judge_facts(t, c, in, from);
    judge_expiry(t, c, in, from);
    if (in->packet->publish.qos > from->qos && !r->above)
        note(t, c, MQTT_R4_3_8_4_6, MQTT_R5_3_8_4_8);
}
