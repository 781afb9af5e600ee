/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/broker/packets.c -- a whole packet: decoded, judged, handed to whom it concerns. */
#include "fuzz/broker/internal.h"
#include <string.h>

/* ---- from verdicts to the reaction ---- */

static bool overlooked(const struct broker *b, enum mqtt_rule rule)
{
    switch (rule) {
    case MQTT_R4_1_5_3_1:
    case MQTT_R4_1_5_3_2:
    case MQTT_R4_3_3_2_1:
    case MQTT_R4_3_8_3_1:
    case MQTT_R4_4_7_3_2:
    case MQTT_R5_1_5_4_1:
    case MQTT_R5_1_5_4_2:
    case MQTT_R5_3_3_2_1:
    case MQTT_R5_3_8_3_1:
    case MQTT_R5_4_7_3_2:
        return FAULTY(b, ACCEPT_BAD_UTF8);
    case MQTT_R4_2_2_2_1:
    case MQTT_R4_3_6_1_1:
    case MQTT_R4_3_8_1_1:
    case MQTT_R4_3_10_1_1:
    case MQTT_R5_2_1_3_1:
    case MQTT_R5_3_6_1_1:
    case MQTT_R5_3_8_1_1:
    case MQTT_R5_3_10_1_1:
        return FAULTY(b, ACCEPT_BAD_FLAGS);
    case MQTT_R4_3_3_2_2:
    case MQTT_R4_4_7_1_1:
    case MQTT_R5_3_3_2_2:
    case MQTT_R5_4_7_0_1:
        return FAULTY(b, ACCEPT_WILDCARD_TOPIC);
    default:
        return false;
    }
}

/* Discouraged characters may be treated as malformed, and a strict receiver does so (5.0 section 1.5.4). */
static bool discouraged(enum mqtt_rule rule)
{
    return rule == MQTT_S5_1_5_4_A || rule == MQTT_S4_1_5_3_A;
}

enum mqtt_rule reaction(const struct broker *b, const struct mqtt_verdicts *v, uint8_t *reason)
{
    enum mqtt_rule found = MQTT_RULE_NONE;
    for (uint32_t i = 0; i < v->n; i++) {
        enum mqtt_rule rule = v->at[i].rule;
        if (overlooked(b, rule))
            continue;
        if (mqtt_rule_info(rule)->severity == MQTT_SEVERITY_ERROR) {
            found = rule;
            break;
        }
        if (discouraged(rule) && !FAULTY(b, ACCEPT_BAD_UTF8))
            found = rule;
    }
    *reason = discouraged(found) ? 0x81 : mqtt_rule_info(found)->reason;
    if (*reason < 0x80)
        *reason = 0x82;
    return found;
}

/* ---- one packet ---- */

/* The fault: as if a message had been taken that there is not. */
static void keep_refused(struct broker_conn *c, uint16_t id)
{
    struct memory *m = &c->broker->memory;
    struct inbound *in = mem_zero(m, sizeof *in);
    if (in == NULL)
        return;
    in->id = id;
    if (idmap_get(&c->session->in, id) != NULL || !idmap_put(&c->session->in, m, id, in))
        mem_free(m, in, sizeof *in);
}

static void wrong_payload(struct broker_conn *c, const struct mqtt_packet *p, enum mqtt_rule rule)
{
    if (p->publish.qos == 0)
        conn_violation(c, rule, 0x99, "the payload is not the UTF-8 it says to be");
    else
        send_ack(c, p->publish.qos == 1 ? MQTT_PUBACK : MQTT_PUBREC, p->id, 0x99);
    if (p->publish.qos == 2 && FAULTY(c->broker, KEEP_REFUSED_ID))
        keep_refused(c, p->id);
}

static void dispatch(struct broker_conn *c, struct mqtt_packet *p)
{
    switch (p->type) {
    case MQTT_PUBLISH:
        handle_publish(c, p);
        break;
    case MQTT_PUBACK:
    case MQTT_PUBREC:
    case MQTT_PUBREL:
    case MQTT_PUBCOMP:
        handle_ack(c, p);
        break;
    case MQTT_SUBSCRIBE:
        on_subscribe(c, p);
        break;
    case MQTT_UNSUBSCRIBE:
        on_unsubscribe(c, p);
        break;
    case MQTT_PINGREQ:
        if (!FAULTY(c->broker, NO_PINGRESP))
            send_packet(c, &(struct mqtt_packet){ .type = MQTT_PINGRESP, .version = c->version });
        break;
    case MQTT_DISCONNECT:
        handle_disconnect(c, p);
        break;
    case MQTT_AUTH:
        handle_auth(c, p);
        break;
    default: /* a packet that only servers send: the decoder has said so */
        conn_violation(c, MQTT_RULE_NONE, 0x82, "a packet that clients do not send");
        break;
    }
}

static void up(struct broker_conn *c, struct mqtt_packet *p, const struct mqtt_verdicts *v)
{
    bool v5 = c->version == MQTT_V5;
    if (p->type == MQTT_CONNECT && !FAULTY(c->broker, SECOND_CONNECT)) {
        conn_violation(c, v5 ? MQTT_R5_3_1_0_2 : MQTT_R4_3_1_0_2, 0x82, "a second CONNECT");
        return;
    }
    if (p->type == MQTT_CONNECT) {
        send_packet(c, &(struct mqtt_packet){ .type = MQTT_CONNACK, .version = c->version, .has_reason = true });
        return;
    }
    uint8_t reason;
    enum mqtt_rule rule = reaction(c->broker, v, &reason);
    if (rule == MQTT_S5_3_3_2_3_2_C)
        wrong_payload(c, p, rule);
    else if (rule != MQTT_RULE_NONE)
        conn_violation(c, rule, reason, mqtt_rule_info(rule)->statement);
    else
        dispatch(c, p);
}

void conn_packet(struct broker_conn *c, struct view octets)
{
    struct mqtt_verdict at[16];
    struct mqtt_verdicts v = { .at = at, .cap = sizeof at / sizeof at[0] };
    struct mqtt_packet p;
    mqtt_decode(octets, (struct mqtt_context){ .version = c->version, .sender = MQTT_CLIENT }, &p, &v);
    c->broker->stats.packets_in++;
    c->heard_ms = c->broker->now_ms;
    switch (c->state) {
    case CONN_NEW:
        if (p.type == MQTT_CONNECT)
            handle_connect(c, &p, &v);
        else
            conn_violation(c, MQTT_R4_3_1_0_1, 0, "the first packet is not a CONNECT");
        break;
    case CONN_AUTH: /* [MQTT-3.1.2-30] */
        if (p.type == MQTT_AUTH || p.type == MQTT_DISCONNECT)
            up(c, &p, &v);
        else
            connect_refuse(c, 0x82, MQTT_R5_3_1_2_30, "neither AUTH nor DISCONNECT before CONNACK");
        break;
    default:
        up(c, &p, &v);
        break;
    }
}
