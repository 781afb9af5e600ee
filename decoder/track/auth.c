/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/track/auth.c -- enhanced authentication of 5.0 (section 4.12; session.md section 14). */
#include "decoder/track/state.h"

enum { AUTH_SUCCESS = 0x00, AUTH_CONTINUE = 0x18, AUTH_AGAIN = 0x19 };

/* 0: the packet names no method (or it is not at hand). */
static uint32_t method_of(const struct mqtt_packet *p)
{
    struct mqtt_prop method;
    return mqtt_props_find(&p->props, MQTT_PROP_AUTHENTICATION_METHOD, &method) ? print_of(method.text, 3) : 0;
}

/* A CONNACK that accepts repeats the method of CONNECT; none has one that CONNECT had not. */
void auth_connack(struct track *t, struct conn *c, const struct track_input *in)
{
    if (c->version != MQTT_V5 || in->packet->cut || !conn_sure(c))
        return;
    uint32_t method = method_of(in->packet);
    if ((c->flags & C_METHOD) == 0 && method != 0)
        judge(t, c, MQTT_R5_4_12_0_6, MQTT_SEVERITY_NONE, MQTT_SERVER);
    else if ((c->flags & C_METHOD) != 0 && in->packet->reason == 0 && method != bounds_of(c)->method)
        judge(t, c, MQTT_R5_4_12_0_5, MQTT_SEVERITY_NONE, MQTT_SERVER);
}

/* The rule that this AUTH breaks, MQTT_RULE_NONE if none. */
static enum mqtt_rule fault_of(const struct conn *c, const struct mqtt_packet *p, unsigned slot)
{
    bool up = (c->flags & C_UP) != 0;
    uint32_t method = method_of(p);
    if ((c->flags & C_METHOD) == 0)
        return slot == 0 ? MQTT_R5_4_12_0_7 : MQTT_R5_4_12_0_6;
    if (method != 0 && method != bounds_of(c)->method)
        return slot == 0 && up && p->reason == AUTH_AGAIN ? MQTT_R5_4_12_1_1 : MQTT_R5_4_12_0_5;
    if (slot == 1)
        return !up && p->reason != AUTH_CONTINUE ? MQTT_R5_4_12_0_2 : MQTT_RULE_NONE;
    const struct exch *x = up ? rare_of(c)->auth : c->opening;
    bool asked = x != NULL && x->stage == 2; /* the server has sent AUTH 0x18 */
    if (asked)
        return p->reason != AUTH_CONTINUE ? MQTT_R5_4_12_0_3 : MQTT_RULE_NONE;
    if (!up)
        return p->reason == AUTH_AGAIN ? MQTT_R5_4_12_1_1 : MQTT_R5_4_12_0_3;
    return p->reason != AUTH_AGAIN ? MQTT_R5_4_12_1_1 : MQTT_RULE_NONE;
}

static void step_auth(struct track *t, struct exch *x, struct conn *c, unsigned slot, const struct track_input *in)
{
    bool repeated = slot == 0 ? exch_at(x, 2)->type != 0 : exch_at(x, 1)->type != 0;
    if (repeated && slot == 0)
        exch_unstep(x, 2); /* the latest one is kept */
    exch_step(t, x, c, slot == 0 ? 2 : 1, repeated && slot == 1 ? TRACK_RETRANSMITTED : 0, in);
    if (repeated && slot == 1) {
        x->resent--; /* one more round, not a re-sending */
        x->flags &= (uint16_t)~TRACK_RETRANSMITTED;
        t->note->flags &= (uint16_t)~TRACK_RETRANSMITTED;
    }
    x->stage = slot == 0 ? 1 : 2;
    exch_owes(t, x, 1 - slot, slot == 0 && x->kind == TRACK_CONNECT ? MQTT_CONNACK : MQTT_AUTH);
    exch_note(t, x);
}

static void end_auth(struct track *t, struct exch *x, struct conn *c, const struct track_input *in)
{
    exch_step(t, x, c, 3, 0, in);
    exch_owes(t, x, 0, 0);
    exch_note(t, x);
    exch_finish(t, x, TRACK_COMPLETE);
}

void on_auth(struct track *t, struct conn *c, unsigned slot, const struct track_input *in)
{
    const struct mqtt_packet *p = in->packet;
    bool up = (c->flags & C_UP) != 0;
    if (conn_sure(c) && (c->flags & C_CONNECT) != 0 && !p->cut)
        judge(t, c, fault_of(c, p, slot), MQTT_SEVERITY_NONE, slot_side(c, slot));
    if ((c->flags & C_METHOD) == 0)
        return;
    if (!up) {
        c->flags |= C_AUTH_DONE;
        c->link = TRACK_LINK_AUTH;
        if (c->opening != NULL)
            step_auth(t, c->opening, c, slot, in);
        return;
    }
    struct exch *x = rare_of(c)->auth;
    if (slot == 0 && p->reason == AUTH_AGAIN && x == NULL) {
        x = exch_open(t, c, TRACK_REAUTH, 0, 0, in);
        if (x == NULL)
            return;
        rare_make(t, c)->auth = x;
        x->stage = 1;
        exch_step(t, x, c, 0, 0, in);
        exch_owes(t, x, 1, MQTT_AUTH);
        exch_note(t, x);
        return;
    }
    if (x == NULL)
        t->note->flags |= TRACK_OUT_OF_PLACE;
    else if (slot == 1 && p->reason == AUTH_SUCCESS)
        end_auth(t, x, c, in);
    else
        step_auth(t, x, c, slot, in);
}
