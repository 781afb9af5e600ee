/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/track/publish.c -- PUBLISH: a new message, or one sent again (session.md sections 2, 3 and 20, points 3 to
 * 6). */
#include "decoder/track/state.h"

enum { LOOPS_TOLD = 5, PARKED_SEEN = 64 };
static const int64_t loop_ns = 1000000000;

struct message { /* the PUBLISH under way */
    const struct track_input *in;
    const struct mqtt_publish *p;
    struct view name;    /* the topic, a Topic Alias resolved; ptr NULL: not known */
    struct topic *alias; /* what a Topic Alias stands for; NULL: it has none, or that is not known */
    uint32_t print;
    unsigned slot;
    bool printed;
};

static enum mqtt_rule reuse_rule(const struct conn *c, unsigned slot)
{
    return slot == 0 ? by_version(c, MQTT_R4_2_3_1_2, MQTT_R5_2_2_1_3)
                     : by_version(c, MQTT_R4_2_3_1_4, MQTT_R5_2_2_1_4);
}

/* DUP 1 at first sight is wrong only where no earlier transmission can exist (session.md 3.5, note b). */
static bool first_for_sure(const struct track *t, struct conn *c, const struct message *m)
{
    if (!conn_sure(c) || (c->flags & C_CONNECT) == 0)
        return false;
    bool fresh = (c->flags & (C_UP | C_RESUMED)) == C_UP;
    bool anew = (c->flags & C_CLEAN) != 0 || (m->slot == 1 && fresh) ||
                (m->slot == 0 && fresh && c->version == MQTT_V5 && connack_reached(t, c, m->in));
    if (!anew)
        return false;
    /* 3.1.1 may send again although the acknowledgement is on its way */
    return c->version == MQTT_V5 || (c->ids[m->slot] >> (m->in->packet->id & 63) & 1) == 0;
}

static bool copies_dup(const struct track *t, uint32_t print)
{
    for (unsigned i = 0; i < DUP_RING; i++)
        if (t->dup[i].print == print && print != 0)
            return true;
    return false;
}

static void judge_first_dup(struct track *t, struct conn *c, const struct message *m)
{
    enum mqtt_rule rule = m->p->qos == 1 ? by_version(c, MQTT_R4_4_3_2_1, MQTT_R5_4_3_2_2)
                                         : by_version(c, MQTT_R4_4_3_3_1, MQTT_R5_4_3_3_2);
    if (m->slot == 1 && m->printed && copies_dup(t, m->print))
        rule = by_version(c, MQTT_R4_3_3_1_3, MQTT_R5_3_3_1_3);
    judge(t, c, rule, MQTT_SEVERITY_NONE, slot_side(c, m->slot));
}

/* A refused message is not sent again, once the refusal has surely arrived. */
static bool judge_refused(struct track *t, struct conn *c, const struct message *m)
{
    const struct session *s = c->session;
    const struct refusal *r = &past_of(s)->refused_msg[m->slot];
    if (c->version != MQTT_V5 || r->id != m->in->packet->id || !m->printed || r->print != m->print || !session_sure(c))
        return false;
    if (m->in->time_first_ns - r->time_ns < t->cfg.reach_ns)
        return false;
    judge(t, c, MQTT_R5_4_4_0_2, MQTT_SEVERITY_NONE, slot_side(c, m->slot));
    return true;
}

/* The message waits under another identifier: not the one it was first sent with? Likeness is no proof: a note. */
static void judge_other_id(struct track *t, struct conn *c, const struct message *m)
{
    if (!m->printed || !session_sure(c))
        return;
    unsigned seen = 0;
    for (const struct exch *x = c->session->parked; x != NULL && seen < PARKED_SEEN; x = x->next, seen++) {
        if (x->slot != m->slot || (x->marks & X_PRINTED) == 0 || x->print != m->print || x->qos != m->p->qos)
            continue;
        enum mqtt_rule rule = by_version(c, m->slot == 0 ? MQTT_R4_2_3_1_3 : MQTT_R4_4_4_0_1, MQTT_R5_4_4_0_1);
        judge(t, c, rule, MQTT_SEVERITY_NOTE, slot_side(c, m->slot));
        return;
    }
}

static unsigned judge_dup(struct track *t, struct conn *c, const struct message *m)
{
    if (first_for_sure(t, c, m)) {
        if (!judge_refused(t, c, m))
            judge_first_dup(t, c, m);
        return TRACK_DUP;
    }
    if (!judge_refused(t, c, m))
        judge_other_id(t, c, m);
    return TRACK_DUP | TRACK_RETRANSMITTED | TRACK_NO_START;
}

/* The topic, held for an exchange. */
static struct topic *hold(struct track *t, const struct message *m)
{
    if (t->cfg.brief)
        return NULL;
    return m->alias != NULL || m->name.ptr == NULL ? topic_share(m->alias) : topic_hold(t, m->name);
}

static void await_answer(struct track *t, struct conn *c, struct exch *x, const struct message *m)
{
    x->stage = 1;
    exch_owes(t, x, 1 - m->slot, x->kind == TRACK_QOS1 ? MQTT_PUBACK : MQTT_PUBREC);
    if (m->slot == 1) /* what comes again may be answered twice, or by what was owed for the first time */
        x->seq = m->p->dup ? 0 : ++c->arrived[x->kind == TRACK_QOS1 ? 0 : 1];
    quota_take(t, c, x, m->in);
    exch_note(t, x);
}

static void new_message(struct track *t, struct conn *c, const struct message *m, unsigned flags)
{
    const struct mqtt_packet *packet = m->in->packet;
    struct exch *x = exch_open(t, c, m->p->qos == 1 ? TRACK_QOS1 : TRACK_QOS2, m->slot, packet->id, m->in);
    if (x == NULL)
        return;
    x->qos = m->p->qos;
    x->topic = hold(t, m);
    x->print = m->print;
    x->marks |= m->printed ? X_PRINTED : 0;
    x->marks |= (packet->props.seen >> MQTT_PROP_MESSAGE_EXPIRY_INTERVAL & 1) != 0 ? X_EXPIRES : 0;
    x->payload_len = m->p->payload_len;
    c->ids[m->slot] |= 1ull << (packet->id & 63);
    if (past_of(c->session)->refused_msg[m->slot].id == packet->id) /* the refusal has not arrived, or is done with */
        past_make(t, c->session)->refused_msg[m->slot] = (struct refusal){ 0 };
    exch_step(t, x, c, 0, flags, m->in);
    await_answer(t, c, x, m);
}

static void send_again(struct track *t, struct conn *c, struct exch *x, const struct message *m, unsigned flags)
{
    if (x->topic == NULL)
        x->topic = hold(t, m);
    if (x->kind == TRACK_QOS2) { /* the handshake begins again */
        exch_unstep(x, 1);
        exch_unstep(x, 2);
    }
    c->ids[m->slot] |= 1ull << (x->id & 63);
    exch_step(t, x, c, 0, flags | TRACK_RETRANSMITTED | (m->p->dup ? TRACK_DUP : 0), m->in);
    await_answer(t, c, x, m);
}

static void replace(struct track *t, struct conn *c, struct exch *x, const struct message *m, unsigned flags)
{
    exch_finish(t, x, exch_tainted(x) ? TRACK_UNKNOWN : TRACK_REPLACED);
    new_message(t, c, m, flags | (m->p->dup ? TRACK_DUP : 0));
}

static bool differs(const struct exch *x, const struct message *m)
{
    if (x->qos != m->p->qos)
        return true;
    return (x->marks & X_PRINTED) != 0 && m->printed && x->print != m->print;
}

static bool equals(const struct exch *x, const struct message *m)
{
    return x->qos == m->p->qos && (x->marks & X_PRINTED) != 0 && m->printed && x->print == m->print;
}

/* Re-sent PUBLISH packets keep their original order; only what was first sent in the capture has one. */
static void judge_order(struct track *t, struct conn *c, const struct exch *x, unsigned slot)
{
    if (slot != 0 || !session_sure(c) || exch_tainted(x))
        return;
    if (x->number < rare_of(c)->resent_number)
        judge(t, c, by_version(c, MQTT_R4_4_6_0_1, MQTT_R5_4_6_0_1), MQTT_SEVERITY_NONE, MQTT_CLIENT);
    else
        rare_make(t, c)->resent_number = x->number;
}

/* The exchange comes from an earlier connection of the session. */
static void on_resumed(struct track *t, struct conn *c, struct exch *x, const struct message *m)
{
    unsigned side = slot_side(c, m->slot);
    bool sure = session_sure(c) && !exch_tainted(x);
    if (m->p->dup &&
        differs(x, m)) { /* not what the tracker knows of: no accusation, and the old one is no longer known */
        exch_finish(t, x, TRACK_UNKNOWN);
        new_message(t, c, m, TRACK_DUP | TRACK_NO_START);
        return;
    }
    bool released = x->kind == TRACK_QOS2 && exch_at(x, 2)->type != 0;
    if (m->p->dup || (equals(x, m) && x->stage == 1)) {
        if (sure && !m->p->dup) /* or a new message that says the same, the old one having expired */
            judge(t, c, by_version(c, MQTT_R4_3_3_1_1, MQTT_R5_3_3_1_1),
                  (x->marks & X_EXPIRES) != 0 ? reuse_severity(x) : MQTT_SEVERITY_NONE, side);
        else if (sure && released)
            judge(t, c, by_version(c, MQTT_R4_4_3_3_1, MQTT_R5_4_3_3_6), MQTT_SEVERITY_NONE, side);
        judge_order(t, c, x, m->slot);
        if (released)
            misuse(t, c, m->slot, x->id, m->slot); /* the answer to its PUBREL may still come */
        send_again(t, c, x, m, TRACK_RESUMED);
        return;
    }
    if (sure)
        judge(t, c, reuse_rule(c, m->slot), reuse_severity(x), side);
    replace(t, c, x, m, 0);
}

/* The rule for a repeat on a live connection. *severity NONE: the rule's own. */
static enum mqtt_rule repeat_rule(const struct conn *c, const struct exch *x, const struct message *m,
                                  unsigned *severity)
{
    bool released = x->kind == TRACK_QOS2 && exch_at(x, 2)->type != 0;
    bool acked = x->stage > 1;
    *severity = MQTT_SEVERITY_NONE;
    if (released && m->p->dup)
        return by_version(c, MQTT_R4_4_3_3_1, MQTT_R5_4_3_3_6);
    if (acked && !m->p->dup)
        return reuse_rule(c, m->slot);
    if (c->version == MQTT_V5)
        return MQTT_R5_4_4_0_1;
    if (!m->p->dup && equals(x, m))
        return by_version(c, MQTT_R4_3_3_1_1, MQTT_RULE_NONE);
    if (!m->p->dup)
        return reuse_rule(c, m->slot);
    return by_version(c, MQTT_S4_4_4_A, MQTT_RULE_NONE);
}

static void on_repeat(struct track *t, struct conn *c, struct exch *x, const struct message *m)
{
    unsigned side = slot_side(c, m->slot), severity = MQTT_SEVERITY_NONE;
    bool sure = conn_sure(c) && !exch_tainted(x);
    bool request = x->kind == TRACK_SUBSCRIBE || x->kind == TRACK_UNSUBSCRIBE;
    sure = sure && is_sane(c, m->slot, x->id);
    c->flags |= C_RESENT;
    misuse(t, c, m->slot, x->id, m->slot);
    if (request || differs(x, m)) {
        if (sure)
            judge(t, c, reuse_rule(c, m->slot), MQTT_SEVERITY_NONE, side);
        replace(t, c, x, m, TRACK_OUT_OF_PLACE);
        return;
    }
    enum mqtt_rule rule = repeat_rule(c, x, m, &severity);
    if (sure)
        judge(t, c, rule, severity, side);
    send_again(t, c, x, m, m->p->dup ? 0 : TRACK_OUT_OF_PLACE);
}

/* What comes back to its publisher, and is answered again. */
static void watch_loop(struct track *t, struct conn *c, const struct message *m)
{
    struct session *s = c->session;
    int64_t now = m->in->time_ns;
    if (m->slot == 0) {
        if (past_of(s)->echo_print == m->print && now - past_of(s)->echo_ns < loop_ns) {
            struct past *p = past_make(t, s);
            if (++p->loops == LOOPS_TOLD && (s->flags & S_LOOPED) == 0) {
                s->flags |= S_LOOPED;
                found(t,
                      &(struct found){ .diag = TRACK_DIAG_PUBLISH_LOOP,
                                       .side = MQTT_CLIENT,
                                       .conn = c,
                                       .topic = m->name,
                                       .time_ns = now,
                                       .frame = { c->connect_frame, m->in->frame } },
                      "The client gets its own message back and sends the same again, %u times in a row: it is "
                      "subscribed to the topic "
                      "that it answers on",
                      p->loops);
            }
        } else if (s->print != m->print && s->past != NULL) {
            s->past->loops = 0;
        }
        s->print = m->print;
        return;
    }
    if (s->own != NULL && s->own->print == m->print)
        own_forget(t, s);
    if (s->print != m->print || s->print == 0)
        return;
    t->note->flags |= TRACK_LOOPED;
    struct past *p = past_make(t, s);
    p->echo_print = m->print;
    p->echo_ns = now;
    if ((s->flags & S_ECHOED) != 0)
        return;
    s->flags |= S_ECHOED;
    found(t,
          &(struct found){ .diag = TRACK_DIAG_ECHO,
                           .side = MQTT_SERVER,
                           .conn = c,
                           .topic = m->name,
                           .time_ns = now,
                           .frame = { m->in->frame } },
          "The client receives what it published itself");
}

static void watch(struct track *t, struct conn *c, const struct message *m)
{
    if (m->slot == 0 && m->p->dup) {
        t->dup[t->dup_at++ % DUP_RING] = (struct dup_seen){ m->print, m->in->time_ns };
    }
    if (c->session->subs != NULL && (c->flags & C_ROLES) != 0)
        watch_loop(t, c, m);
}

/* Its acknowledgement was captured before it. */
static void on_early(struct track *t, struct conn *c, struct exch *x, const struct message *m)
{
    x->marks &= (uint16_t)~X_EARLY;
    c->ids[m->slot] |= 1ull << (x->id & 63);
    x->qos = m->p->qos;
    x->topic = hold(t, m);
    x->payload_len = m->p->payload_len;
    exch_step(t, x, c, 0, 0, m->in);
    exch_owes(t, x, m->slot, x->kind == TRACK_QOS2 ? MQTT_PUBREL : 0);
    exch_note(t, x);
    if (x->kind == TRACK_QOS1)
        exch_finish(t, x, TRACK_COMPLETE);
}

/* Begun on an earlier connection, and not yet sent again on this one: an acknowledgement may have come first. */
static bool comes_from_before(const struct conn *c, const struct exch *x, const struct message *m)
{
    bool message = x->kind == TRACK_QOS1 || x->kind == TRACK_QOS2; /* a request is of one connection */
    return x->conn == NULL ||
           (message && m->p->dup && (c->flags & C_RESUMED) != 0 && (c->ids[m->slot] >> (x->id & 63) & 1) == 0);
}

static void on_qos(struct track *t, struct conn *c, const struct message *m)
{
    struct exch *x = id_open(t, c, m->slot, m->in->packet->id);
    if (x == NULL)
        new_message(t, c, m, m->p->dup ? judge_dup(t, c, m) : 0);
    else if ((x->marks & X_EARLY) != 0 && x->conn == c)
        on_early(t, c, x, m);
    else if (comes_from_before(c, x, m))
        on_resumed(t, c, x, m);
    else
        on_repeat(t, c, x, m);
}

/* The topic; ptr NULL: not known, or an alias that nothing is known of. */
static inline struct view name_of(const struct mqtt_publish *p, const struct topic *alias, bool aliased)
{
    if (alias != NULL)
        return topic_view(alias);
    return p->topic.len > 0 || (p->qos > 0 && !aliased) ? p->topic : view_of(NULL, 0);
}

void on_publish(struct track *t, struct conn *c, unsigned slot, const struct track_input *in)
{
    const struct mqtt_publish *p = &in->packet->publish;
    struct session *s = c->session;
    if (p->qos > 2)
        return;
    tally_add(t, s, TALLY_PUBLISHED + 3 * slot + p->qos, 1);
    tally_add(t, s, TALLY_PUBLISHED_OCTETS + slot, p->payload_len);
    bool known = p->topic.ptr != NULL;
    bool aliased = c->version == MQTT_V5 && (in->packet->props.seen >> MQTT_PROP_TOPIC_ALIAS & 1) != 0;
    bool wanted =
        p->qos > 0 || aliased || s->subs != NULL || (slot == 1 && t->n_due_wills > 0) || (slot == 0 && t->n_subs > 0);
    if (c->version == MQTT_V5) {
        c->alias_lost[slot] |=
            p->payload.ptr == NULL; /* the capture cut it in front of its payload: an alias, perhaps */
        judge_publish_limits(t, c, slot, in);
    }
    if (slot == 1 && s->subs == NULL && known && !aliased)
        judge_stray(t, c, p->topic);
    if (!wanted)
        return;
    struct message m;
    m.in = in;
    m.p = p;
    m.slot = slot;
    m.alias = aliased ? resolve_alias(t, c, slot, in, &known) : NULL;
    m.name = name_of(p, m.alias, aliased);
    m.printed = known && m.name.ptr != NULL && p->payload.len == p->payload_len && p->payload.ptr != NULL;
    uint32_t name_print = m.name.ptr != NULL ? print_of(m.name, 0) : 0;
    m.print = m.printed ? print_of(p->payload, name_print) : 0;
    if (slot == 1 && t->n_due_wills > 0 && m.name.ptr != NULL)
        will_match(t, c, in, name_print);
    if (m.printed)
        watch(t, c, &m);
    if (slot == 0 && t->n_subs > 0 && m.printed && !p->dup && (c->flags & C_ROLES) != 0)
        sent_keep(t, c, in, m.print);
    const struct sent *from = slot == 1 && m.printed ? sent_find(t, c, in, m.print) : NULL;
    if (slot == 1 && s->subs != NULL && m.name.ptr != NULL)
        judge_delivery(t, c, in, m.name, from);
    if (p->qos > 0 && in->packet->has_id && in->packet->id != 0) {
        if (slot == 0 && s->subs != NULL && m.printed && !p->dup && s->own == NULL)
            expect_own(t, c, in, m.name, m.print);
        on_qos(t, c, &m);
    }
    if (m.alias != NULL)
        topic_drop(t, m.alias);
}
