/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/broker/output.c -- packets to a client: encoded straight into the octets that wait for it. */
#include "fuzz/broker/internal.h"
#include <string.h>

void output_ready(struct broker_conn *c)
{
    if (!c->told) {
        c->told = true;
        c->broker->host.ready(c->broker->host.ctx, c->user);
    }
}

bool output_full(const struct broker_conn *c)
{
    return c->out.len >= c->broker->config.max_output;
}

static bool too_large(const struct broker_conn *c, const struct mqtt_packet *p, size_t len)
{
    bool fault = FAULTY(c->broker, OVER_PACKET_SIZE) || (FAULTY(c->broker, LONG_REASON) && p->type != MQTT_PUBLISH);
    return len > c->max_packet && !fault;
}

/* Encodes into the room behind the output; `guess` is no less than what the packet takes. */
static enum send_result emit(struct broker_conn *c, const struct mqtt_packet *p, size_t guess)
{
    struct broker *b = c->broker;
    uint8_t *room = buffer_reserve(&c->out, &b->memory, guess);
    if (room == NULL)
        return SEND_NO_MEMORY;
    size_t len = mqtt_encode(p, room, guess);
    if (len == 0 || len > guess || too_large(c, p, len))
        return SEND_TOO_LARGE; /* [MQTT-3.1.2-24] */
    c->out.len += (uint32_t)len;
    b->stats.packets_out++;
    output_ready(c);
    return SEND_DONE;
}

/* The fault adds a Reason String wherever one may be. */
static struct mqtt_packet with_long_reason(const struct broker_conn *c, const struct mqtt_packet *p)
{
    static const char text[] = "\x1f\x00\x40" /* 64 octets */
                               "................................................................";
    struct mqtt_packet out = *p;
    bool refusal = p->type == MQTT_DISCONNECT || (p->type == MQTT_CONNACK && p->reason != 0);
    bool may = refusal || (c->problem_information && p->type != MQTT_CONNACK && p->type != MQTT_AUTH &&
                           p->type != MQTT_PINGRESP && p->type != MQTT_PUBLISH);
    if (c->version == MQTT_V5 && may && p->props.block.len == 0) {
        out.has_reason = true;
        out.props.block = view_of(text, sizeof text - 1);
    }
    return out;
}

bool send_packet(struct broker_conn *c, const struct mqtt_packet *p)
{
    struct mqtt_packet faulty;
    if (FAULTY(c->broker, LONG_REASON)) {
        faulty = with_long_reason(c, p);
        p = &faulty;
    }
    size_t fields = p->props.block.len;
    if (p->type == MQTT_SUBACK || p->type == MQTT_UNSUBACK)
        fields += p->list.payload.len;
    return emit(c, p, fields + 24) == SEND_DONE;
}

bool send_ack(struct broker_conn *c, uint8_t type, uint16_t id, uint8_t reason)
{
    struct mqtt_packet p = { .type = type,
                             .flags = mqtt_type_flags(type),
                             .version = c->version,
                             .has_id = true,
                             .id = id,
                             .has_reason = c->version == MQTT_V5 && reason != 0,
                             .reason = reason };
    if (FAULTY(c->broker, WRONG_ACK_ID))
        p.id = (uint16_t)(id == UINT16_MAX ? 1 : id + 1);
    return send_packet(c, &p);
}

bool send_reasoned(struct broker_conn *c, struct mqtt_packet *p, enum mqtt_rule rule)
{
    struct broker *b = c->broker;
    uint8_t block[400];
    bool allowed =
        c->problem_information || p->type == MQTT_CONNACK || p->type == MQTT_DISCONNECT; /* [MQTT-3.1.2-29] */
    if (b->config.reason_strings && rule != MQTT_RULE_NONE && allowed && p->props.block.len == 0) {
        const struct mqtt_rule_info *info = mqtt_rule_info(rule);
        char text[320];
        size_t id = strlen(info->id), len = strlen(info->statement);
        if (len > sizeof text - id - 2)
            len = sizeof text - id - 2;
        memcpy(text, info->id, id);
        memcpy(text + id, ": ", 2);
        memcpy(text + id + 2, info->statement, len);
        struct mqtt_prop prop = { .id = MQTT_PROP_REASON_STRING,
                                  .wire = MQTT_WIRE_UTF8,
                                  .text = view_of(text, id + 2 + len) };
        struct mqtt_packet told = *p;
        told.props.block = view_of(block, mqtt_prop_write(block, 0, sizeof block, &prop));
        if (send_packet(c, &told))
            return true; /* else without it: too large for this client [MQTT-3.14.2-3] and its like */
    }
    return send_packet(c, p);
}

/* The alias for a topic towards this client: 0 none. *known: the client has it already. */
static uint16_t alias_for(struct broker_conn *c, struct view topic, bool *known)
{
    *known = false;
    for (uint16_t i = 0; i < c->nalias_out; i++) {
        if (c->alias_out[i].len == topic.len && memcmp(c->alias_out[i].topic, topic.ptr, topic.len) == 0) {
            *known = true;
            return (uint16_t)(i + 1);
        }
    }
    return c->nalias_out < c->alias_out_max ? (uint16_t)(c->nalias_out + 1) : 0;
}

static void alias_learn(struct broker_conn *c, struct view topic)
{
    struct memory *m = &c->broker->memory;
    if (c->alias_out == NULL && (c->alias_out = mem_zero(m, c->alias_out_max * sizeof *c->alias_out)) == NULL)
        return;
    uint8_t *copy = mem_resize(m, NULL, 0, topic.len);
    if (copy == NULL)
        return;
    memcpy(copy, topic.ptr, topic.len);
    c->alias_out[c->nalias_out++] = (struct alias){ copy, (uint16_t)topic.len };
}

static size_t write_number(uint8_t *block, size_t len, size_t cap, uint32_t id, enum mqtt_wire wire, uint32_t number)
{
    struct mqtt_prop prop = { .id = id, .wire = (uint8_t)wire, .number = number };
    return mqtt_prop_write(block, len, cap, &prop);
}

/* Seconds that are left, less the time spent waiting here [MQTT-3.3.2-6]. */
static void count_down(struct broker *b, uint8_t *block, const struct publication *pub)
{
    if (pub->deadline == UINT64_MAX || FAULTY(b, EXPIRY_NOT_COUNTED))
        return;
    uint64_t left = pub->deadline > b->now_ms ? (pub->deadline - b->now_ms + 999) / 1000 : 0;
    for (int i = 0; i < 4; i++)
        block[pub->expiry_at + (unsigned)i] = (uint8_t)(left >> (24 - 8 * i));
}

/* The properties of this copy, in b->scratch unless the message's own will do. */
static bool publish_props(struct broker_conn *c, const struct publication *pub, const struct delivery *d,
                          uint16_t alias, struct view *out)
{
    struct broker *b = c->broker;
    bool ids = d->first_id != 0 && !FAULTY(b, NO_SUBSCRIPTION_ID);
    *out = view_of(pub->props.ptr != NULL ? pub->props.ptr : (const uint8_t *)"", pub->props.len);
    if (!ids && alias == 0 && pub->deadline == UINT64_MAX)
        return true;
    size_t cap = pub->props.len + 3 + (d->more + 2) * (size_t)5, len = pub->props.len;
    buffer_done(&b->scratch, &b->memory);
    uint8_t *block = buffer_reserve(&b->scratch, &b->memory, cap);
    if (block == NULL)
        return false;
    if (len > 0)
        memcpy(block, pub->props.ptr, len);
    count_down(b, block, pub);
    if (ids) {
        len = write_number(block, len, cap, MQTT_PROP_SUBSCRIPTION_IDENTIFIER, MQTT_WIRE_VBI, d->first_id);
        for (uint32_t i = 0; i < d->more; i++)
            len = write_number(block, len, cap, MQTT_PROP_SUBSCRIPTION_IDENTIFIER, MQTT_WIRE_VBI, d->ids[i]);
        if (FAULTY(b, FOREIGN_SUBSCRIPTION_ID))
            len = write_number(block, len, cap, MQTT_PROP_SUBSCRIPTION_IDENTIFIER, MQTT_WIRE_VBI, 268435455);
    }
    if (alias != 0)
        len = write_number(block, len, cap, MQTT_PROP_TOPIC_ALIAS, MQTT_WIRE_U16, alias);
    *out = view_of(block, len);
    return true;
}

static bool faulty_dup(const struct broker *b, const struct delivery *d)
{
    return d->qos > 0 &&
           ((d->sent && !FAULTY(b, FORGET_DUP)) || FAULTY(b, DUP_FIRST)); /* [MQTT-3.3.1-1], [MQTT-3.3.1-2] */
}

static uint16_t id_out(const struct broker_conn *c, const struct delivery *d)
{
    const struct delivery *under_way = c->session->sent.head;
    if (FAULTY(c->broker, ZERO_ID))
        return 0;
    return FAULTY(c->broker, REUSE_ID) && !d->sent && under_way != NULL ? under_way->id : d->id;
}

static struct view topic_out(const struct broker *b, const struct publication *pub)
{
    struct view topic = pub->topic;
    if (FAULTY(b, STRIP_BOM) && topic.len > 3 && memcmp(topic.ptr, "\xef\xbb\xbf", 3) == 0)
        topic = view_of(topic.ptr + 3, topic.len - 3);
    return topic;
}

enum send_result send_publish(struct broker_conn *c, const struct publication *pub, const struct delivery *d)
{
    struct broker *b = c->broker;
    bool dup = faulty_dup(b, d), known = false;
    struct mqtt_packet p = { .type = MQTT_PUBLISH,
                             .flags = (uint8_t)(dup << 3 | d->qos << 1 | d->retain),
                             .version = c->version,
                             .has_id = d->qos > 0,
                             .id = id_out(c, d),
                             .publish = { .dup = dup,
                                          .retain = d->retain,
                                          .qos = d->qos,
                                          .topic = topic_out(b, pub),
                                          .payload = pub->payload,
                                          .payload_len = (uint32_t)pub->payload.len } };
    uint16_t alias = 0;
    if (c->version == MQTT_V5) {
        alias = c->alias_out_max > 0 ? alias_for(c, p.publish.topic, &known) : 0;
        uint16_t told = FAULTY(b, ALIAS_OVER_MAXIMUM) ? (uint16_t)(c->alias_out_max + 1) : alias;
        if (FAULTY(b, ALIAS_UNMAPPED)) {
            told = 1;
            known = c->nalias_out == 0;
        }
        if (!publish_props(c, pub, d, told, &p.props.block))
            return SEND_NO_MEMORY;
    }
    struct view topic = p.publish.topic;
    if (known)
        p.publish.topic = view_of("", 0);
    enum send_result result = emit(c, &p, p.publish.topic.len + p.props.block.len + pub->payload.len + 16);
    if (result == SEND_DONE) {
        b->stats.publish_out++;
        if (alias != 0 && !known)
            alias_learn(c, topic);
    }
    return result;
}
