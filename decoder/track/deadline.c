/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/track/deadline.c -- what silence tells: unanswered packets, Keep Alive, connections that should have closed.
 *
 * The standards give no deadline for an answer (session.md section 20, point 10): the finding is a named diagnosis with
 * the rule that the answer would obey, and a warning at most. */
#include "decoder/track/state.h"

#include <stdio.h>

static const struct {
    uint8_t kind, type;
    uint16_t v311[2], v5[2]; /* owed by the client, by the server */
} duties[] = {
    { TRACK_CONNECT, MQTT_CONNACK, { 0, MQTT_R4_3_1_4_4 }, { 0, MQTT_R5_3_1_4_5 } },
    { TRACK_QOS1, MQTT_PUBACK, { MQTT_R4_4_5_0_2, MQTT_R4_4_3_2_2 }, { MQTT_R5_4_5_0_2, MQTT_R5_4_3_2_4 } },
    { TRACK_QOS2, MQTT_PUBREC, { MQTT_R4_4_5_0_2, MQTT_R4_4_3_3_2 }, { MQTT_R5_4_5_0_2, MQTT_R5_4_3_3_8 } },
    { TRACK_QOS2, MQTT_PUBREL, { MQTT_R4_4_3_3_1, MQTT_R4_4_3_3_1 }, { MQTT_R5_4_3_3_4, MQTT_R5_4_3_3_4 } },
    { TRACK_QOS2, MQTT_PUBCOMP, { MQTT_R4_4_3_3_2, MQTT_R4_4_3_3_2 }, { MQTT_R5_4_3_3_11, MQTT_R5_4_3_3_11 } },
    { TRACK_SUBSCRIBE, MQTT_SUBACK, { 0, MQTT_R4_3_8_4_1 }, { 0, MQTT_R5_3_8_4_1 } },
    { TRACK_UNSUBSCRIBE, MQTT_UNSUBACK, { 0, MQTT_R4_3_10_4_4 }, { 0, MQTT_R5_3_10_4_4 } },
    { TRACK_PING, MQTT_PINGRESP, { 0, MQTT_R4_3_12_4_1 }, { 0, MQTT_R5_3_12_4_1 } },
};

static enum mqtt_rule duty_of(const struct exch *x, const struct conn *c)
{
    if (x->kind == TRACK_UNSUBSCRIBE && x->subscribed == 0) /* none of its filters was subscribed */
        return by_version(c, MQTT_R4_3_10_4_5, MQTT_R5_3_10_4_5);
    if (x->kind == TRACK_QOS2 && x->owed_type == MQTT_PUBREL && x->owed_slot == 1 && c->unsubscribed)
        return by_version(c, MQTT_R4_3_10_4_3, MQTT_R5_3_10_4_3);
    if (x->kind == TRACK_QOS2 && x->owed_type == MQTT_PUBREC && x->owed_slot == 1 && x->resent > 0 &&
        c->version == MQTT_V5)
        return MQTT_R5_4_3_3_10;
    for (unsigned i = 0; i < sizeof duties / sizeof duties[0]; i++)
        if (duties[i].kind == x->kind && duties[i].type == x->owed_type)
            return (enum mqtt_rule)by_version(c, (enum mqtt_rule)duties[i].v311[x->owed_slot],
                                              (enum mqtt_rule)duties[i].v5[x->owed_slot]);
    return MQTT_RULE_NONE;
}

static void tell_late(struct track *t, struct conn *c, struct exch *x, int64_t now)
{
    if (x->kind == TRACK_CONNECT)
        c->flags |= C_SAID_CONNECT;
    c->said_late++;
    char id[16] = "";
    if (x->id != 0 && !t->cfg.terse)
        snprintf(id, sizeof id, " id %u", x->id);
    found(t,
          &(struct found){ .diag = x->kind == TRACK_CONNECT ? TRACK_DIAG_CONNECT_UNANSWERED : TRACK_DIAG_UNANSWERED,
                           .rule = duty_of(x, c),
                           .side = slot_side(c, x->owed_slot),
                           .conn = c,
                           .exch = x,
                           .time_ns = now,
                           .frame = { x->last_frame } },
          "The %s owes %s for the %s%s of frame %llu since %lld ms%s", x->owed_slot == 1 ? "server" : "client",
          mqtt_type_name(x->owed_type), mqtt_type_name(x->last_type), id, (unsigned long long)x->last_frame,
          (long long)((now - x->last_ns) / 1000000),
          c->said_late == LATE_SAID ? "; further ones of this connection are not listed" : "");
}

static int64_t check_answers(struct track *t, struct conn *c, int64_t now)
{
    const struct rare *r = rare_of(c);
    for (struct exch *x; (x = c->wait) != NULL;) {
        int64_t due = x->last_ns + exch_patience(t, x);
        if (due > now)
            return due;
        if (is_under_way(c, x->owed_slot)) /* it may come behind that */
            return now + exch_patience(t, x);
        bool say = conn_sure(c) && !exch_tainted(x) && (x->marks & X_REPORTED) == 0 && x->owed_type != 0 &&
                   c->said_late < LATE_SAID && (x->id == 0 || !misused_by(c, x->slot, x->id, 1u - x->owed_slot)) &&
                   r->bad_frame == 0 && r->bye_frame[0] == 0 && r->bye_frame[1] == 0;
        x->marks |= X_REPORTED;
        exch_park(x);
        if (say)
            tell_late(t, c, x, due);
    }
    return INT64_MAX;
}

/* A PUBLISH that should have come back to its sender. */
static int64_t check_own(struct track *t, struct conn *c, int64_t now)
{
    const struct session *s = c->session;
    if (s->own == NULL || s->conn != c)
        return INT64_MAX;
    if (s->own->ns + t->cfg.answer_ns > now)
        return s->own->ns + t->cfg.answer_ns;
    tell_own(t, c, t->cfg.answer_ns, 0);
    return INT64_MAX;
}

static int64_t check_keep_alive(struct track *t, struct conn *c, int64_t now)
{
    const struct rare *r = rare_of(c);
    if ((c->flags & C_UP) == 0 || c->keep_alive_s == 0 || !conn_sure(c) || r->bye_frame[0] != 0 ||
        r->bye_frame[1] != 0 || (c->flags & C_KA_RULE) != 0)
        return INT64_MAX;
    int64_t last = c->last_ns[0] > c->connack_ns ? c->last_ns[0] : c->connack_ns;
    int64_t budget = (int64_t)c->keep_alive_s * 1500000000;
    if (is_under_way(c, 0))
        return now + budget;
    int64_t slack = t->cfg.keep_alive_slack_ns;
    int64_t expired = last + budget + slack;
    int64_t overdue = last + budget + (slack > budget / 2 ? slack : budget / 2);
    if (now < expired)
        return expired;
    if ((c->flags & C_KA_SAID) == 0) {
        c->flags |= C_KA_SAID;
        found(t,
              &(struct found){ .diag = TRACK_DIAG_KEEP_ALIVE,
                               .side = MQTT_CLIENT,
                               .conn = c,
                               .time_ns = expired,
                               .frame = { c->last_frame[0] } },
              "The client has been silent for more than 1.5 times its Keep Alive of %u s%s", c->keep_alive_s,
              c->server_ka ? " (set by the server)" : "");
    }
    if (now < overdue)
        return overdue;
    c->flags |= C_KA_RULE;
    found(t,
          &(struct found){ .rule = by_version(c, MQTT_R4_3_1_2_24, MQTT_R5_3_1_2_22),
                           .side = MQTT_SERVER,
                           .conn = c,
                           .time_ns = overdue,
                           .frame = { c->last_frame[0], c->connack_frame } },
          "The server has not closed the connection although the client was silent for %lld ms with Keep Alive %u s",
          (long long)((overdue - last) / 1000000), c->keep_alive_s);
    return INT64_MAX;
}

static int64_t check_close(struct track *t, struct conn *c, int64_t now)
{
    struct rare *r = c->rare;
    if (r == NULL || r->close_due > now)
        return r == NULL ? INT64_MAX : r->close_due;
    r->close_due = INT64_MAX;
    if ((c->flags & C_HOLE) != 0)
        return INT64_MAX;
    struct found f = { .rule = (enum mqtt_rule)r->due_rule,
                       .diag = (enum track_diagnosis)r->due_diag,
                       .side = r->due_side,
                       .conn = c,
                       .time_ns = now,
                       .frame = { r->due_frame } };
    if (f.rule != MQTT_RULE_NONE)
        f.severity = mqtt_rule_info(f.rule)->severity;
    found(t, &f, "The connection was still open %lld s after frame %llu, which obliged the %s to close it",
          (long long)(t->cfg.close_ns / 1000000000), (unsigned long long)r->due_frame, mqtt_side_name(r->due_side));
    if (r->bye != 0 && f.diag == TRACK_DIAG_STAYS_OPEN)
        found(t,
              &(struct found){
                  .rule = by_version(c, r->bye == MQTT_CLIENT ? MQTT_S4_3_14_4_A : MQTT_RULE_NONE, MQTT_S5_3_14_4_A),
                  .side = r->bye ^ MQTT_BOTH,
                  .conn = c,
                  .time_ns = now,
                  .frame = { r->due_frame } },
              "The receiver of DISCONNECT has not closed the connection either");
    return INT64_MAX;
}

int64_t conn_check(struct track *t, struct conn *c, int64_t now)
{
    if ((c->flags & C_CLOSED) != 0 || c->session == NULL) {
        conn_settle(t, c);
        return INT64_MAX;
    }
    c->ahead = is_blind(c, 0) || is_blind(c, 1);
    int64_t next = check_answers(t, c, now);
    int64_t other = check_keep_alive(t, c, now);
    if (other < next)
        next = other;
    other = check_own(t, c, now);
    if (other < next)
        next = other;
    other = check_close(t, c, now);
    return other < next ? other : next;
}
