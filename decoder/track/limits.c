/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/track/limits.c -- what the two sides announced in CONNECT and CONNACK, and what ran against it (5.0;
 * session.md sections 5, 6 and 16). The limits of CONNACK bind the client when CONNACK has reached it; before that is
 * proved a breach is a note (session.md section 20, point 2). */
#include "decoder/track/state.h"

#include <string.h>

enum { ALIASES_FIRST = 16 };

bool connack_reached(const struct track *t, struct conn *c, const struct track_input *in)
{
    if ((c->flags & C_CONNACK) == 0)
        return false;
    if ((c->flags & C_REACHED) == 0 &&
        ((c->connack_end != 0 && in->acked >= c->connack_end) || in->time_first_ns - c->connack_ns >= t->cfg.reach_ns))
        c->flags |= C_REACHED;
    return (c->flags & C_REACHED) != 0;
}

/* A breach of what CONNACK announced, by the client; or of what CONNECT announced, by the server. */
static void judge_limit(struct track *t, struct conn *c, unsigned slot, enum mqtt_rule rule,
                        const struct track_input *in)
{
    bool proved = slot == 1 || connack_reached(t, c, in);
    judge(t, c, rule, proved ? MQTT_SEVERITY_NONE : MQTT_SEVERITY_NOTE, slot_side(c, slot));
}

/* Octets of the Reason String, of the User Properties, in the block. */
static size_t octets_of(const struct mqtt_props *props, uint32_t id)
{
    size_t n = 0;
    struct mqtt_prop prop;
    struct mqtt_prop_walk walk = mqtt_props_walk(props);
    while (mqtt_props_next(&walk, &prop))
        if (prop.id == id)
            n += prop.len;
    return n;
}

static const struct {
    uint8_t type;
    uint16_t reason_string, user_property;
} left_out[] = {
    { MQTT_CONNACK, MQTT_R5_3_2_2_19, MQTT_R5_3_2_2_20 },  { MQTT_PUBACK, MQTT_R5_3_4_2_2, MQTT_R5_3_4_2_3 },
    { MQTT_PUBREC, MQTT_R5_3_5_2_2, MQTT_R5_3_5_2_3 },     { MQTT_PUBREL, MQTT_R5_3_6_2_2, MQTT_R5_3_6_2_3 },
    { MQTT_PUBCOMP, MQTT_R5_3_7_2_2, MQTT_R5_3_7_2_3 },    { MQTT_SUBACK, MQTT_R5_3_9_2_1, MQTT_R5_3_9_2_2 },
    { MQTT_UNSUBACK, MQTT_R5_3_11_2_1, MQTT_R5_3_11_2_2 }, { MQTT_DISCONNECT, MQTT_R5_3_14_2_3, MQTT_R5_3_14_2_4 },
    { MQTT_AUTH, MQTT_R5_3_15_2_2, MQTT_R5_3_15_2_3 },
};

/* Larger than the receiver takes. What could have been left out is named before the size itself. */
void judge_size(struct track *t, struct conn *c, unsigned slot, const struct track_input *in)
{
    const struct mqtt_packet *p = in->packet;
    uint64_t size = (uint64_t)p->header_len + p->remaining, max = bounds_of(c)->packet_max[slot];
    enum mqtt_rule rule = slot == 0 ? MQTT_R5_3_2_2_15 : MQTT_R5_3_1_2_24;
    bool unsure = slot == 1 && (c->flags & C_BAD_CONNECT) != 0; /* a limit out of a broken CONNECT */
    if (size <= max || p->type == MQTT_CONNECT || unsure)
        return;
    uint64_t string = 0, user = 0;
    unsigned i = 0, n = sizeof left_out / sizeof left_out[0];
    while (i < n && left_out[i].type != p->type)
        i++;
    if (i < n) {
        string = octets_of(&p->props, MQTT_PROP_REASON_STRING);
        user = octets_of(&p->props, MQTT_PROP_USER_PROPERTY);
    }
    if (string + user == 0 || size - string - user > max) {
        judge_limit(t, c, slot, rule, in);
        return;
    }
    if (user > 0)
        judge_limit(t, c, slot, (enum mqtt_rule)left_out[i].user_property, in);
    if (string > 0 && (user == 0 || size - user > max))
        judge_limit(t, c, slot, (enum mqtt_rule)left_out[i].reason_string, in);
}

void aliases_free(struct track *t, struct bounds *b)
{
    for (unsigned slot = 0; slot < 2; slot++) {
        for (uint32_t i = 0; i < b->alias_cap[slot]; i++)
            topic_drop(t, b->alias[slot][i]);
        mem_give(t, b->alias[slot], b->alias_cap[slot] * sizeof *b->alias[slot]);
        t->text -= b->alias_cap[slot] * sizeof *b->alias[slot];
        b->alias[slot] = NULL;
        b->alias_cap[slot] = 0;
    }
}

static bool alias_room(struct track *t, struct bounds *b, unsigned slot, uint32_t alias)
{
    if (alias < b->alias_cap[slot])
        return true;
    uint32_t cap = b->alias_cap[slot] > 0 ? b->alias_cap[slot] : ALIASES_FIRST;
    while (cap <= alias)
        cap *= 2;
    uint64_t more = (cap - b->alias_cap[slot]) * sizeof(struct topic *);
    bool room = b != &t->no_bounds && t->text + more <= t->cfg.max_text;
    struct topic **table = room ? mem_take(t, cap * sizeof *table) : NULL;
    if (table == NULL)
        return false;
    t->text += more;
    memset(table, 0, cap * sizeof *table);
    if (b->alias_cap[slot] > 0)
        memcpy(table, b->alias[slot], b->alias_cap[slot] * sizeof *table);
    mem_give(t, b->alias[slot], b->alias_cap[slot] * sizeof *table);
    b->alias[slot] = table;
    b->alias_cap[slot] = cap;
    return true;
}

static void judge_alias(struct track *t, struct conn *c, unsigned slot, uint32_t alias, const struct track_input *in)
{
    uint32_t max = bounds_of(c)->alias_max[slot];
    if ((c->flags & C_CONNECT) == 0 || alias <= max || !conn_sure(c))
        return;
    if (slot == 0 && (c->flags & C_CONNACK) == 0)
        return; /* a guess that CONNACK may still confirm */
    enum mqtt_rule none = slot == 0 ? MQTT_R5_3_2_2_18 : MQTT_R5_3_1_2_27;
    enum mqtt_rule above = slot == 0 ? MQTT_R5_3_3_2_9 : MQTT_R5_3_3_2_11;
    judge_limit(t, c, slot, max == 0 ? none : above, in);
}

static void judge_unmapped(struct track *t, struct conn *c, unsigned slot, uint32_t alias)
{
    if (!conn_sure(c) || (c->flags & C_CONNECT) == 0 || c->alias_lost[slot])
        return;
    bool carried = alias <= PREV_ALIASES && (past_of(c->session)->prev_aliases[slot] >> (alias - 1) & 1) != 0;
    judge(t, c, carried ? MQTT_R5_3_3_2_7 : MQTT_S5_3_3_4_C, MQTT_SEVERITY_NONE, slot_side(c, slot));
}

/* The topic of a PUBLISH with a Topic Alias, held; *known false: it cannot be told. */
struct topic *resolve_alias(struct track *t, struct conn *c, unsigned slot, const struct track_input *in, bool *known)
{
    const struct mqtt_packet *p = in->packet;
    uint32_t alias = mqtt_props_number(&p->props, MQTT_PROP_TOPIC_ALIAS, 0);
    if (alias == 0)
        return topic_hold(t, p->publish.topic);
    judge_alias(t, c, slot, alias, in);
    struct bounds *b = bounds_make(t, c);
    bool room = alias <= (b->alias_max[slot] > 0 ? b->alias_max[slot] : 64u) && alias_room(t, b, slot, alias);
    if (p->publish.topic.len > 0) {
        struct topic *w = topic_hold(t, p->publish.topic);
        c->alias_lost[slot] = c->alias_lost[slot] || w == NULL || !room;
        if (room) {
            topic_drop(t, b->alias[slot][alias]);
            b->alias[slot][alias] = topic_share(w);
        }
        return w;
    }
    struct topic *w = room ? b->alias[slot][alias] : NULL;
    *known = w != NULL;
    if (w == NULL && alias <= b->alias_max[slot])
        judge_unmapped(t, c, slot, alias);
    t->note->alias_topic = topic_view(w);
    return topic_share(w);
}

void judge_publish_limits(struct track *t, struct conn *c, unsigned slot, const struct track_input *in)
{
    const struct mqtt_publish *p = &in->packet->publish;
    if (slot != 0 || (c->flags & C_CONNACK) == 0 || (c->flags & C_CONNECT) == 0)
        return;
    if (p->qos > c->max_qos && p->qos < 3)
        judge_limit(t, c, 0, MQTT_R5_3_2_2_11, in);
    if (p->retain && (c->flags & C_NO_RETAIN) != 0)
        judge_limit(t, c, 0, MQTT_R5_3_2_2_14, in);
}

/* Section 4.9: one of the send quota for each QoS 1/2 PUBLISH. */
void quota_take(struct track *t, struct conn *c, struct exch *x, const struct track_input *in)
{
    unsigned slot = x->slot;
    if (c->version != MQTT_V5 || (x->marks & X_COUNTED) != 0)
        return;
    bool bound =
        slot == 1 ? (c->flags & C_CONNECT) != 0 : (c->flags & (C_CONNECT | C_CONNACK)) == (C_CONNECT | C_CONNACK);
    struct bounds *b = bounds_make(t, c);
    const struct rare *r = rare_of(c);
    if (bound && b->quota[slot] <= 0 && conn_sure(c) && r->odd[0][slot] == 0 && r->odd[1][slot] == 0)
        judge_limit(t, c, slot, slot == 0 ? MQTT_R5_3_3_4_7 : MQTT_R5_3_3_4_9, in);
    b->quota[slot]--;
    x->marks |= X_COUNTED;
}

/* One back for PUBACK, PUBCOMP and a PUBREC that refuses. Those of an exchange of which no PUBLISH was sent here give
 * one back, too, if the sender has used any by the time they get there; when that is cannot be seen, so they always
 * count. */
void quota_give(struct track *t, struct conn *c, struct exch *x)
{
    if (c->version == MQTT_V5 && (x->marks & (X_COUNTED | X_RESUMED)) != 0)
        bounds_make(t, c)->quota[x->slot]++;
    x->marks &= (uint16_t)~X_COUNTED;
}
