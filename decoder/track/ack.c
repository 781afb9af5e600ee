/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/track/ack.c -- PUBACK, PUBREC, PUBREL, PUBCOMP (session.md sections 2 to 4). */
#include "decoder/track/state.h"

enum { FAILURE = 0x80, NO_MATCH = 0x10, NOT_FOUND = 0x92 };

/* PUBACKs and PUBRECs of a client follow the order of arrival of the PUBLISH packets, its PUBRELs that of the PUBRECs.
 * A repeated PUBLISH leaves the order undecided, and what came on an earlier connection is not in it. */
static void judge_order(struct track *t, struct conn *c, const struct exch *x, unsigned which)
{
    static const uint16_t v311[] = { MQTT_R4_4_6_0_2, MQTT_R4_4_6_0_3, MQTT_R4_4_6_0_4 };
    static const uint16_t v5[] = { MQTT_R5_4_6_0_2, MQTT_R5_4_6_0_3, MQTT_R5_4_6_0_4 };
    if (x->seq == 0 || x->conn != c || (c->flags & C_RESENT) != 0)
        return;
    if (x->seq < c->answered[which] && conn_sure(c))
        judge(t, c, by_version(c, (enum mqtt_rule)v311[which], (enum mqtt_rule)v5[which]), MQTT_SEVERITY_NONE,
              MQTT_CLIENT);
    else
        c->answered[which] = x->seq;
}

static void tell_refusal(struct track *t, struct conn *c, struct exch *x, const struct track_input *in, unsigned slot)
{
    const struct mqtt_packet *p = in->packet;
    struct session *s = c->session;
    if (x->slot == 0 && s->own != NULL && s->own->id == x->id)
        own_forget(t, s);
    past_make(t, s)->refused_msg[x->slot] = (struct refusal){ .time_ns = in->time_ns, .print = x->print, .id = x->id };
    const char *name = mqtt_reason_name(p->type, p->reason);
    if (c->said_codes == CODES_SAID)
        return;
    c->said_codes++;
    found(t,
          &(struct found){ .diag = TRACK_DIAG_PUBLISH_REFUSED,
                           .side = slot_side(c, slot),
                           .conn = c,
                           .exch = x,
                           .time_ns = in->time_ns,
                           .frame = { x->first.frame, in->frame } },
          "%s id %u refuses the PUBLISH with reason 0x%02x (%s)", mqtt_type_name(p->type), x->id, p->reason,
          name != NULL ? name : "not in the standard");
}

static void tell_code(struct track *t, struct conn *c, struct exch *x, const struct track_input *in, unsigned slot)
{
    if (c->said_codes == CODES_SAID)
        return;
    c->said_codes++;
    if (in->packet->reason == NO_MATCH)
        found(t,
              &(struct found){ .diag = TRACK_DIAG_NO_SUBSCRIBERS,
                               .side = slot_side(c, slot),
                               .conn = c,
                               .exch = x,
                               .time_ns = in->time_ns,
                               .frame = { x->first.frame, in->frame } },
              "The PUBLISH with id %u matched no subscription", x->id);
    else if (in->packet->reason == NOT_FOUND)
        found(t,
              &(struct found){ .diag = TRACK_DIAG_UNKNOWN_ID,
                               .side = slot_side(c, slot),
                               .conn = c,
                               .exch = x,
                               .time_ns = in->time_ns,
                               .frame = { x->first.frame, in->frame } },
              "%s says that Packet Identifier %u is not known", mqtt_type_name(in->packet->type), x->id);
}

static void on_puback(struct track *t, struct conn *c, struct exch *x, unsigned slot, const struct track_input *in)
{
    bool failed = c->version == MQTT_V5 && in->packet->reason >= FAILURE;
    if (slot == 0)
        judge_order(t, c, x, 0);
    x->marks |= x->conn == NULL ? X_RESUMED : 0;
    exch_last_step(t, x, c, 1, in);
    exch_owes(t, x, 0, 0);
    x->reason = in->packet->reason;
    quota_give(t, c, x);
    exch_note(t, x);
    if (failed)
        tell_refusal(t, c, x, in, slot);
    else if (x->reason != 0)
        tell_code(t, c, x, in, slot);
    exch_finish(t, x, failed ? TRACK_REFUSED : TRACK_COMPLETE);
}

static void on_pubrec(struct track *t, struct conn *c, struct exch *x, unsigned slot, const struct track_input *in)
{
    bool failed = c->version == MQTT_V5 && in->packet->reason >= FAILURE;
    bool again = exch_at(x, 1)->type != 0;
    if (slot == 0 && !again)
        judge_order(t, c, x, 1);
    if (again && x->conn == c)
        misuse(t, c, x->slot, x->id, slot); /* what follows comes twice, too */
    x->marks |= x->conn == NULL ? X_RESUMED : 0;
    exch_step(t, x, c, 1, again ? TRACK_RETRANSMITTED : 0, in);
    x->marks |= X_RECEIVED;
    if (failed) {
        x->reason = in->packet->reason;
        exch_owes(t, x, 0, 0);
        quota_give(t, c, x);
        exch_note(t, x);
        tell_refusal(t, c, x, in, slot);
        exch_finish(t, x, TRACK_REFUSED);
        return;
    }
    if (in->packet->reason != 0)
        tell_code(t, c, x, in, slot);
    if (x->stage < 3) {
        x->stage = 2;
        x->seq = slot == 1 && !again ? ++c->arrived[2] : 0;
        exch_owes(t, x, x->slot, MQTT_PUBREL);
    }
    exch_note(t, x);
}

/* PUBREL again on one connection, or one that no PUBREC asked for. */
static void judge_pubrel(struct track *t, struct conn *c, const struct exch *x, bool resumed)
{
    unsigned side = slot_side(c, x->slot);
    if (x->stage == 1 && (x->marks & X_RECEIVED) == 0) {
        bool sure = (resumed ? session_sure(c) : conn_sure(c)) && is_sane(c, x->slot, x->id);
        if (sure && !exch_tainted(x))
            judge(t, c, by_version(c, MQTT_R4_4_3_3_1, MQTT_R5_4_3_3_4),
                  (x->marks & X_WRONG) != 0 ? MQTT_SEVERITY_NOTE : MQTT_SEVERITY_NONE, side);
    } else if (x->stage == 3 && !resumed && conn_sure(c) && (c->flags & C_RESENT) == 0 && !exch_tainted(x) &&
               is_sane(c, x->slot, x->id)) {
        if (x->resent == 0) /* a repeated PUBREC may be answered again */
            judge(t, c, by_version(c, MQTT_S4_4_4_A, MQTT_R5_4_4_0_1), MQTT_SEVERITY_NONE, side);
    }
}

static void on_pubrel(struct track *t, struct conn *c, struct exch *x, unsigned slot, const struct track_input *in)
{
    bool resumed = x->conn == NULL, again = exch_at(x, 2)->type != 0;
    judge_pubrel(t, c, x, resumed);
    if (x->stage == 1 && (x->marks & (X_RECEIVED | X_WRONG)) == 0)
        misuse(t, c, slot, x->id, slot);
    if (slot == 0 && !again)
        judge_order(t, c, x, 2);
    if (again && !resumed)
        misuse(t, c, slot, x->id, slot); /* its PUBCOMP comes twice, too */
    x->marks |= resumed ? X_RESUMED : 0;
    exch_step(t, x, c, 2, (again ? TRACK_RETRANSMITTED : 0) | (x->stage == 1 ? TRACK_OUT_OF_PLACE : 0), in);
    x->stage = 3;
    exch_owes(t, x, 1 - slot, MQTT_PUBCOMP);
    if (in->packet->reason != 0)
        tell_code(t, c, x, in, slot);
    if (exch_at(x, 3)->type == 0) {
        exch_note(t, x);
        return;
    }
    quota_give(t, c, x); /* its PUBCOMP was captured before it */
    exch_owes(t, x, 0, 0);
    exch_note(t, x);
    exch_finish(t, x, TRACK_COMPLETE);
}

static void on_pubcomp(struct track *t, struct conn *c, struct exch *x, unsigned slot, const struct track_input *in)
{
    bool early = x->stage < 3;
    if (early && !exch_tainted(x) && is_sane(c, x->slot, x->id) && (x->conn == NULL ? session_sure(c) : conn_sure(c)))
        judge(t, c, by_version(c, MQTT_R4_4_3_3_2, MQTT_R5_4_3_3_11), MQTT_SEVERITY_NONE, slot_side(c, slot));
    if (early)
        misuse(t, c, x->slot, x->id, slot);
    if (early)
        exch_step(t, x, c, 3, TRACK_OUT_OF_PLACE, in);
    else
        exch_last_step(t, x, c, 3, in);
    x->reason = in->packet->reason;
    if (x->reason != 0)
        tell_code(t, c, x, in, slot);
    if (early) { /* PUBREL may still come: the capture is out of order, or the receiver is */
        exch_note(t, x);
        return;
    }
    quota_give(t, c, x);
    exch_owes(t, x, 0, 0);
    exch_note(t, x);
    exch_finish(t, x, TRACK_COMPLETE);
}

/* PUBACK for QoS 2, or PUBREC for QoS 1. The exchange goes on waiting for the right one. */
static void wrong_answer(struct track *t, struct conn *c, struct exch *x, unsigned slot, const struct track_input *in)
{
    unsigned side = slot_side(c, slot);
    t->note->flags |= TRACK_OUT_OF_PLACE;
    x->marks |= X_WRONG;
    x->flags |= TRACK_OUT_OF_PLACE;
    exch_note(t, x);
    bool sure = conn_sure(c) && !exch_tainted(x) && is_sane(c, x->slot, x->id);
    misuse(t, c, x->slot, x->id, slot);
    if (!sure)
        return;
    if (c->version != MQTT_V31) {
        judge(t, c, by_version(c, MQTT_R4_3_3_4_1, MQTT_R5_3_3_4_1), MQTT_SEVERITY_NONE, side);
        return;
    }
    found(t,
          &(struct found){ .diag = TRACK_DIAG_WRONG_ANSWER,
                           .side = side,
                           .conn = c,
                           .exch = x,
                           .time_ns = in->time_ns,
                           .frame = { x->first.frame, in->frame } },
          "The %s answers a QoS %u PUBLISH with %s", mqtt_side_name(side), x->qos, mqtt_type_name(in->packet->type));
}

/* May an acknowledgement that belongs to nothing be held against its sender? */
static bool unknown_is_wrong(const struct conn *c, const struct mqtt_packet *p, unsigned starter)
{
    if (!session_sure(c) || (c->flags & (C_RESENT | C_CONNECT)) != C_CONNECT)
        return false;
    if (starter == 0 && (c->session->flags & S_CLIENT_OLD) != 0)
        return false;
    if ((c->flags & C_RESUMED) != 0 && past_of(c->session)->taken_over > 0)
        return false;
    if (p->type == MQTT_PUBREL && c->version != MQTT_V5 && (c->ids[starter] >> (p->id & 63) & 1) != 0)
        return false; /* sent again, and crossed the PUBCOMP */
    bool recovery = p->type == MQTT_PUBREL || p->type == MQTT_PUBCOMP;
    bool resumes = (c->flags & C_RESUMED) != 0 || (c->flags & (C_CONNACK | C_CLEAN)) == 0; /* or hopes to */
    return !recovery || (!resumes && p->reason != NOT_FOUND);
}

/* It may answer what came on an earlier connection of the session, too: then it is one more, and likeness is no proof.
 */
static unsigned unknown_severity(const struct conn *c, const struct mqtt_packet *p, unsigned starter)
{
    bool again = (c->flags & C_RESUMED) != 0 && (c->ids[starter] >> (p->id & 63) & 1) != 0;
    bool dropped = starter == 1 && (c->session->flags & S_CLIENT_OLD) != 0;
    bool answer = p->type == MQTT_PUBACK || p->type == MQTT_PUBREC;
    return answer && (again || dropped) ? MQTT_SEVERITY_NOTE : MQTT_SEVERITY_NONE;
}

static void unknown_ack(struct track *t, struct conn *c, unsigned slot, unsigned starter, bool taken,
                        const struct track_input *in)
{
    const struct mqtt_packet *p = in->packet;
    const struct refusal *r = &past_of(c->session)->refused_msg[starter];
    if (p->type == MQTT_PUBREL && r->id == p->id && c->version == MQTT_V5) {
        found(t,
              &(struct found){ .diag = TRACK_DIAG_PUBREL_AFTER_REFUSAL,
                               .side = slot_side(c, slot),
                               .conn = c,
                               .time_ns = in->time_ns,
                               .frame = { in->frame } },
              "PUBREL for identifier %u, whose PUBLISH PUBREC had refused", p->id);
    } else if (unknown_is_wrong(c, p, starter) && is_sane(c, starter, p->id)) {
        enum mqtt_rule v311 = p->type == MQTT_PUBCOMP ? MQTT_S4_2_3_1_B : MQTT_R4_2_3_1_6;
        judge(t, c, by_version(c, v311, MQTT_R5_2_2_1_5), unknown_severity(c, p, starter), slot_side(c, slot));
    }
    misuse(t, c, starter, p->id, slot);
    t->note->flags |= TRACK_NO_START | TRACK_OUT_OF_PLACE;
    if (taken || p->type == MQTT_PUBCOMP || (p->type == MQTT_PUBACK && !c->ahead))
        return;
    unsigned kind = p->type == MQTT_PUBACK ? TRACK_QOS1 : TRACK_QOS2;
    struct exch *x = exch_open(t, c, kind, starter, p->id, in); /* what follows can be joined to it */
    if (x == NULL)
        return;
    x->qos = kind == TRACK_QOS2 ? 2 : 1;
    x->marks |= c->ahead && p->type != MQTT_PUBREL ? X_EARLY : 0;
    unsigned place = p->type == MQTT_PUBREL ? 2 : 1;
    x->stage = (uint8_t)(place + 1);
    exch_step(t, x, c, place, TRACK_NO_START | ((c->flags & C_RESUMED) != 0 ? TRACK_RESUMED : 0), in);
    if (place == 1 && p->reason >= FAILURE && c->version == MQTT_V5) {
        exch_note(t, x);
        exch_finish(t, x, TRACK_UNKNOWN);
        return;
    }
    if (kind == TRACK_QOS1)
        exch_owes(t, x, starter, MQTT_PUBLISH);
    else
        exch_owes(t, x, place == 1 ? starter : 1 - starter, place == 1 ? MQTT_PUBREL : MQTT_PUBCOMP);
    exch_note(t, x);
}

void on_ack(struct track *t, struct conn *c, unsigned slot, const struct track_input *in)
{
    const struct mqtt_packet *p = in->packet;
    unsigned type = p->type, starter = type == MQTT_PUBREL ? slot : 1 - slot;
    if (!p->has_id || p->id == 0)
        return;
    struct exch *x = id_answered(t, c, starter, p->id);
    if (c->ahead && (x == NULL || x->conn != c))
        misuse(t, c, starter, p->id, slot); /* what it answers may still come, and then looks like one more */
    if (slot == 0 && starter == 1 && x != NULL && x->conn == c && (c->flags & C_CONNACK) != 0)
        c->flags |= C_REACHED; /* it answers what the server sent after CONNACK */
    if (x == NULL || (x->kind != TRACK_QOS1 && x->kind != TRACK_QOS2) || (type == MQTT_PUBREL && x->kind == TRACK_QOS1))
        unknown_ack(t, c, slot, starter, x != NULL, in);
    else if ((type == MQTT_PUBACK) != (x->kind == TRACK_QOS1))
        wrong_answer(t, c, x, slot, in);
    else if (type == MQTT_PUBACK)
        on_puback(t, c, x, slot, in);
    else if (type == MQTT_PUBREC)
        on_pubrec(t, c, x, slot, in);
    else if (type == MQTT_PUBREL)
        on_pubrel(t, c, x, slot, in);
    else
        on_pubcomp(t, c, x, slot, in);
}
