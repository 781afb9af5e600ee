/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/broker/publish.c -- messages from clients and the acknowledgements of both directions (sections 3.3
 * to 3.7, 4.3).
 *
 * A QoS 2 message is kept when its PUBLISH comes and forwarded when its PUBREL does. */
#include "decoder/base/utf8.h"
#include "fuzz/broker/internal.h"
#include <stdlib.h>
#include <string.h>

/* ---- Topic Alias of the client ---- */

static bool alias_set(struct broker_conn *c, struct alias *alias, struct view topic)
{
    struct memory *m = &c->broker->memory;
    uint8_t *copy = mem_resize(m, NULL, 0, topic.len);
    if (copy == NULL)
        return false;
    memcpy(copy, topic.ptr, topic.len);
    mem_free(m, alias->topic, alias->len);
    *alias = (struct alias){ copy, (uint16_t)topic.len };
    return true;
}

/* The topic meant. False: the connection was closed. */
static bool resolve_alias(struct broker_conn *c, const struct mqtt_packet *p, struct view *topic)
{
    struct broker *b = c->broker;
    *topic = p->publish.topic;
    if ((p->props.seen & UINT64_C(1) << MQTT_PROP_TOPIC_ALIAS) == 0)
        return true;
    uint32_t alias = mqtt_props_number(&p->props, MQTT_PROP_TOPIC_ALIAS, 0);
    if (alias == 0 || alias > b->config.alias_maximum) {
        conn_violation(c, MQTT_S5_3_3_4_B, 0x94, "Topic Alias 0 or above the maximum");
        return false;
    }
    if (c->alias_in == NULL &&
        (c->alias_in = mem_zero(&b->memory, b->config.alias_maximum * sizeof *c->alias_in)) == NULL) {
        conn_close(c, 0x97, MQTT_RULE_NONE, "no memory for Topic Aliases");
        return false;
    }
    struct alias *a = &c->alias_in[alias - 1];
    if (topic->len > 0 && !alias_set(c, a, *topic)) {
        conn_close(c, 0x97, MQTT_RULE_NONE, "no memory for Topic Aliases");
        return false;
    }
    if (topic->len == 0 && a->topic == NULL) {
        conn_violation(c, MQTT_S5_3_3_4_C, 0x82, "Topic Alias without a topic");
        return false;
    }
    *topic = view_of(a->topic, a->len);
    return true;
}

/* ---- PUBLISH ---- */

/* Reason to refuse the message itself, 0: none. 3.x has no way to tell and acknowledges. */
static uint8_t refusal(struct broker_conn *c, const struct publication *pub)
{
    struct broker *b = c->broker;
    if (c->version == MQTT_V31 && utf8_check(pub->topic).worst >= UTF8_NUL)
        return 0x90; /* 3.1 lets it pass, its subscribers of 3.1.1 and 5.0 do not [MQTT-3.3.2-1] */
    if (pub->topic.ptr[0] == '$' && !FAULTY(b, DOLLAR_TOPICS)) /* reserved for the server, section 4.7.2 */
        return 0x87;
    if (b->acl.given && !acl_allows(b, c->session, pub->topic, ACL_WRITE))
        return 0x87;
    if (!mem_has_room(&b->memory, pub->topic.len + pub->props.len + pub->payload.len, MEMORY_QUARTER))
        return 0x97;
    return 0;
}

/* Faults of health, each on a rare packet. */
static void misbehave(const struct broker *b, const struct mqtt_packet *p, struct view topic)
{
    const uint64_t both = UINT64_C(1) << MQTT_PROP_CORRELATION_DATA | UINT64_C(1) << MQTT_PROP_CONTENT_TYPE;
    bool crash = FAULTY(b, CRASH_PUBLISH) && p->publish.qos == 2 && p->publish.retain;
    crash |= FAULTY(b, CRASH_PROPERTY) && (p->props.seen & both) == both;
    if (crash)
        abort();
    for (size_t i = 0; FAULTY(b, HANG_PUBLISH) && i + 4 <= topic.len; i++) {
        bool level = (i == 0 || topic.ptr[i - 1] == '/') && (i + 4 == topic.len || topic.ptr[i + 4] == '/');
        for (volatile bool hang = level && memcmp(topic.ptr + i, "hang", 4) == 0; hang;)
            ;
    }
}

static bool lost(struct broker *b, const struct publication *pub)
{
    return FAULTY(b, LOSE_QOS1) && pub->qos == 1 && ++b->fault_turn % 8 == 0;
}

/* The reason for PUBACK or PUBREC. */
static uint8_t forward(struct broker *b, struct publication *pub)
{
    if (lost(b, pub))
        return 0;
    if (pub->retain && !retained_store(b, pub))
        return 0x97;
    unsigned n = deliver_all(b, pub);
    return n > 0 ? 0 : 0x10;
}

static void acknowledge(struct broker_conn *c, uint8_t type, uint16_t id, uint8_t reason)
{
    const struct broker *b = c->broker;
    bool mute = (type == MQTT_PUBACK && FAULTY(b, NO_PUBACK)) || (type == MQTT_PUBREC && FAULTY(b, NO_PUBREC));
    if (mute)
        return;
    if (FAULTY(b, PUBREC_FOR_QOS1) && type == MQTT_PUBACK)
        type = MQTT_PUBREC;
    else if (FAULTY(b, PUBACK_FOR_QOS2) && type == MQTT_PUBREC)
        type = MQTT_PUBACK;
    if (FAULTY(b, UNKNOWN_REASON))
        reason = 0x7f;
    else if (FAULTY(b, WRONG_REASON) && reason >= 0x80)
        reason = 0x80;
    send_ack(c, type, id, reason);
}

static void take_qos1(struct broker_conn *c, const struct mqtt_packet *p, struct publication *pub)
{
    if (c->version == MQTT_V5 && idmap_get(&c->session->in, p->id) != NULL) {
        acknowledge(c, MQTT_PUBACK, p->id, 0x91);
        return;
    }
    uint8_t reason = refusal(c, pub);
    if (reason == 0)
        reason = forward(c->broker, pub);
    if (c->state == CONN_UP)
        acknowledge(c, MQTT_PUBACK, p->id, reason);
}

/* Counts an exchange against our Receive Maximum, once a connection. False: it is exceeded, the connection was closed.
 */
static bool count_inbound(struct broker_conn *c, struct inbound *in)
{
    if (in->connection == c->serial)
        return true;
    if (c->version == MQTT_V5 && !FAULTY(c->broker, LIMITS_IGNORED) &&
        c->receive_used >= c->broker->config.receive_maximum) {
        conn_violation(c, MQTT_S5_3_3_4_D, 0x93, "more QoS 2 messages open than Receive Maximum");
        return false;
    }
    in->connection = c->serial;
    c->receive_used++;
    return true;
}

static void inbound_done(struct broker_conn *c, struct inbound *in)
{
    struct broker *b = c->broker;
    if (in->connection == c->serial)
        c->receive_used--;
    idmap_del(&c->session->in, in->id);
    message_drop(b, in->message);
    mem_free(&b->memory, in, sizeof *in);
}

/* Keeps the message until PUBREL. A reason of 0x80 or above: refused. */
static uint8_t keep_qos2(struct broker_conn *c, const struct mqtt_packet *p, struct publication *pub)
{
    struct broker *b = c->broker;
    uint8_t reason = refusal(c, pub);
    bool allowed = reason == 0 || c->version != MQTT_V5;
    if (!allowed)
        return reason;
    struct inbound *in = mem_zero(&b->memory, sizeof *in);
    if (in == NULL)
        return 0x97;
    in->id = p->id;
    if (!idmap_put(&c->session->in, &b->memory, p->id, in)) {
        mem_free(&b->memory, in, sizeof *in);
        return 0x97;
    }
    if (reason == 0 && (in->message = message_keep(b, pub)) == NULL) {
        inbound_done(c, in);
        return 0x97;
    }
    count_inbound(c, in);
    if (FAULTY(b, EARLY_FORWARD) && c->state == CONN_UP)
        forward(b, pub);
    return 0;
}

static void take_qos2(struct broker_conn *c, const struct mqtt_packet *p, struct publication *pub)
{
    struct broker *b = c->broker;
    struct inbound *in = idmap_get(&c->session->in, p->id);
    if (in != NULL) { /* a repetition: acknowledged again, kept once [MQTT-4.3.3-10] */
        if (!count_inbound(c, in))
            return;
        if (FAULTY(b, TWICE_QOS2))
            forward(b, pub);
        acknowledge(c, MQTT_PUBREC, p->id, 0);
        return;
    }
    if (c->version != MQTT_V5 && c->session->in.n >= b->config.max_queued) {
        conn_close(c, 0x97, MQTT_RULE_NONE, "too many QoS 2 messages without PUBREL");
        return;
    }
    uint8_t reason = keep_qos2(c, p, pub);
    if (c->state != CONN_UP)
        return;
    if (reason >= 0x80 && c->version != MQTT_V5)
        conn_close(c, reason, MQTT_RULE_NONE, "no memory for a QoS 2 message");
    else
        acknowledge(c, MQTT_PUBREC, p->id, reason);
}

void handle_publish(struct broker_conn *c, struct mqtt_packet *p)
{
    struct broker *b = c->broker;
    struct publication pub = { .payload = p->publish.payload,
                               .qos = p->publish.qos,
                               .retain = p->publish.retain,
                               .from = c->session,
                               .deadline = UINT64_MAX };
    b->stats.publish_in++;
    if (p->publish.qos > (FAULTY(b, QOS_NOT_TOLD) || FAULTY(b, SUBSCRIBE_MAXIMUM) ? 1 : b->config.max_qos)) {
        conn_violation(c, c->version == MQTT_V5 ? MQTT_R5_3_2_2_11 : MQTT_RULE_NONE, 0x9b, "QoS above Maximum QoS");
        return;
    }
    if (p->publish.retain && !b->config.retain_available) {
        conn_violation(c, c->version == MQTT_V5 ? MQTT_R5_3_2_2_14 : MQTT_RULE_NONE, 0x9a,
                       "retained messages are not supported");
        return;
    }
    if (!resolve_alias(c, p, &pub.topic) || pub.topic.len == 0)
        return;
    misbehave(b, p, pub.topic);
    if (c->version == MQTT_V5 && !message_props(b, &p->props, &pub)) {
        conn_close(c, 0x97, MQTT_RULE_NONE, "no memory for this message");
        return;
    }
    if (pub.qos == 2)
        take_qos2(c, p, &pub);
    else if (pub.qos == 1)
        take_qos1(c, p, &pub);
    else if (refusal(c, &pub) == 0)
        forward(b, &pub);
}

/* ---- acknowledgements ---- */

static void release(struct broker_conn *c, const struct mqtt_packet *p)
{
    struct broker *b = c->broker;
    struct inbound *in = idmap_get(&c->session->in, p->id);
    uint8_t reason = in == NULL && c->version == MQTT_V5 ? 0x92 : 0;
    if (in != NULL) {
        struct message *m = in->message;
        in->message = NULL;
        inbound_done(c, in);
        if (m != NULL) {
            struct publication pub = message_view(m);
            pub.from = c->session;
            forward(b, &pub);
            message_drop(b, m);
        }
    }
    if (c->state == CONN_UP && !FAULTY(b, NO_PUBCOMP))
        send_ack(c, MQTT_PUBCOMP, p->id, reason); /* [MQTT-4.3.3-11] */
}

static void finished(struct broker_conn *c, struct delivery *d)
{
    deliver_done(c->broker, c->session, d);
    if (c->quota < c->quota_max)
        c->quota++;
    deliver_pump(c->broker, c->session);
}

static void wrong_ack(struct broker_conn *c)
{
    conn_violation(c, c->version == MQTT_V5 ? MQTT_R5_2_2_1_5 : MQTT_R4_2_3_1_6, 0x82,
                   "this acknowledgement does not fit the QoS or the state of the exchange");
}

/* PUBREC: the message is no longer needed, the identifier is. */
static void received(struct broker_conn *c, const struct mqtt_packet *p, struct delivery *d)
{
    struct broker *b = c->broker;
    if (p->reason >= 0x80) { /* refused: neither PUBREL nor a re-send [MQTT-4.4.0-2] */
        if (d->state != DELIVERY_PUBCOMP)
            finished(c, d);
        return;
    }
    if (d->state == DELIVERY_PUBREC) {
        message_drop(b, d->message);
        d->message = NULL;
        d->state = DELIVERY_PUBCOMP;
        if (FAULTY(b, QUOTA_AT_PUBREC)) {
            c->quota++;
            deliver_pump(b, c->session);
        }
    }
    if (!FAULTY(b, NO_PUBREL))
        send_ack(c, MQTT_PUBREL, p->id, 0);
}

static void on_pubrec(struct broker_conn *c, const struct mqtt_packet *p, struct delivery *d)
{
    bool v5 = c->version == MQTT_V5;
    if (d != NULL && d->qos != 2)
        wrong_ack(c);
    else if (d != NULL)
        received(c, p, d);
    else if (!v5 || p->reason < 0x80)
        send_ack(c, MQTT_PUBREL, p->id, v5 ? 0x92 : 0);
}

void handle_ack(struct broker_conn *c, const struct mqtt_packet *p)
{
    if (p->type == MQTT_PUBREL) {
        release(c, p);
        return;
    }
    struct delivery *d = idmap_get(&c->session->out, p->id);
    if (d != NULL && d->state == DELIVERY_QUEUED) /* an answer to the connection before, ahead of the re-send */
        deliver_adopt(c->broker, c->session, d);
    if (p->type == MQTT_PUBREC) {
        on_pubrec(c, p, d);
        return;
    }
    if (d == NULL)
        conn_log(c, BROKER_DEBUG, "acknowledge", "no message has this Packet Identifier", p->reason, MQTT_RULE_NONE);
    else if (d->qos != (p->type == MQTT_PUBACK ? 1 : 2) || d->state == DELIVERY_PUBREC)
        wrong_ack(c);
    else
        finished(c, d);
}
