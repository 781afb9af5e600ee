/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/show/eve_packet.c -- what one control packet says, as an object under the name of its type; keys as
 * Suricata's where it has them, properties by the names of decoder/mqtt/properties.def. */
#include "decoder/show/eve_parts.h"

const char *eve_type(unsigned type)
{
    static const char *const names[] = { "reserved", "connect",  "connack",    "publish", "puback",      "pubrec",
                                         "pubrel",   "pubcomp",  "subscribe",  "suback",  "unsubscribe", "unsuback",
                                         "pingreq",  "pingresp", "disconnect", "auth" };
    return names[type & 15];
}

static void open_object(struct eve_line *l, const char *key)
{
    json_key(&l->j, key);
    json_open(&l->j, '{');
}

static void secret(struct eve_line *l, const char *key, struct view text)
{
    if (l->e->secrets)
        eve_string(l, key, text);
    else if (text.ptr != NULL)
        eve_text(l, key, "***");
}

/* --- properties --- */

static void user_properties(struct eve_line *l, const struct mqtt_props *props)
{
    struct mqtt_prop_walk walk = mqtt_props_walk(props);
    struct mqtt_prop p;
    json_key(&l->j, "user_property");
    json_open(&l->j, '[');
    while (mqtt_props_next(&walk, &p)) {
        if (p.id != MQTT_PROP_USER_PROPERTY)
            continue;
        json_open(&l->j, '{');
        eve_string(l, "name", p.text);
        eve_string(l, "value", p.value);
        json_close(&l->j, '}');
    }
    json_close(&l->j, ']');
}

static void subscription_ids(struct eve_line *l, const struct mqtt_props *props)
{
    struct mqtt_prop_walk walk = mqtt_props_walk(props);
    struct mqtt_prop p;
    json_key(&l->j, "subscription_identifier");
    json_open(&l->j, '[');
    while (mqtt_props_next(&walk, &p))
        if (p.id == MQTT_PROP_SUBSCRIPTION_IDENTIFIER)
            json_uint(&l->j, p.number);
    json_close(&l->j, ']');
}

static void hex_string(struct eve_line *l, const char *key, struct view octets)
{
    json_key(&l->j, key);
    json_separate(&l->j);
    out_char(l->j.o, '"');
    out_hex(l->j.o, octets, '\0');
    out_char(l->j.o, '"');
}

static void property(struct eve_line *l, const struct mqtt_prop *p)
{
    const char *key = mqtt_prop_info(p->id)->snake;
    if (p->wire == MQTT_WIRE_UTF8)
        eve_string(l, key, p->text);
    else if (p->wire == MQTT_WIRE_BINARY)
        hex_string(l, key, p->text);
    else
        eve_uint(l, key, p->number);
}

/* Each property once: what may repeat is an array, what may not but does keeps its first value (the verdicts tell). */
static void properties(struct eve_line *l, const struct mqtt_props *props)
{
    struct mqtt_prop_walk walk = mqtt_props_walk(props);
    struct mqtt_prop p;
    uint64_t done = 0;
    if (props->block.ptr == NULL || props->block.len == 0)
        return;
    open_object(l, "properties");
    while (mqtt_props_next(&walk, &p)) {
        uint64_t bit = p.id < 64 ? (uint64_t)1 << p.id : 0;
        if ((done & bit) != 0)
            continue;
        done |= bit;
        if (p.id == MQTT_PROP_USER_PROPERTY)
            user_properties(l, props);
        else if (p.id == MQTT_PROP_SUBSCRIPTION_IDENTIFIER)
            subscription_ids(l, props);
        else if (mqtt_prop_info(p.id)->snake != NULL)
            property(l, &p);
    }
    json_close(&l->j, '}');
}

/* --- packets --- */

static void will(struct eve_line *l, const struct mqtt_connect *c)
{
    open_object(l, "will");
    eve_string(l, "topic", c->will_topic);
    eve_uint(l, "qos", c->will_qos);
    eve_bool(l, "retain", c->will_retain);
    eve_payload(l, "payload", c->will_payload, c->will_payload.len);
    properties(l, &c->will_props);
    json_close(&l->j, '}');
}

static void connect(struct eve_line *l, const struct mqtt_packet *p)
{
    const struct mqtt_connect *c = &p->connect;
    eve_string(l, "protocol_string", c->protocol_name);
    eve_uint(l, "protocol_version", c->level & 0x7f);
    eve_string(l, "client_id", c->client_id);
    eve_bool(l, "clean_session", c->clean);
    eve_uint(l, "keep_alive_s", c->keep_alive_s);
    if (c->has_username)
        secret(l, "username", c->username);
    if (c->has_password)
        secret(l, "password", c->password);
    properties(l, &p->props);
    if (c->will)
        will(l, c);
}

static void reason(struct eve_line *l, const struct mqtt_packet *p)
{
    if (!p->has_reason)
        return;
    bool old = p->type == MQTT_CONNACK && p->version != MQTT_V5;
    eve_uint(l, old ? "return_code" : "reason_code", p->reason);
    eve_text(l, "reason", old ? mqtt_return_name(p->reason) : mqtt_reason_name(p->type, p->reason));
}

static void publish(struct eve_line *l, const struct row *row)
{
    const struct mqtt_packet *p = row->packet;
    eve_uint(l, "qos", p->publish.qos);
    eve_bool(l, "retain", p->publish.retain);
    eve_bool(l, "dup", p->publish.dup);
    eve_string(l, "topic", p->publish.topic);
    eve_string(l, "topic_resolved", row->alias_topic);
    properties(l, &p->props);
    eve_payload(l, "payload", p->publish.payload, p->publish.payload_len);
}

static void subscribe(struct eve_line *l, const struct mqtt_packet *p)
{
    struct mqtt_filter f;
    size_t pos = 0;
    properties(l, &p->props);
    json_key(&l->j, "topics");
    json_open(&l->j, '[');
    while (mqtt_list_next(p, &pos, &f)) {
        json_open(&l->j, '{');
        eve_string(l, "topic", f.filter);
        if (f.has_options)
            eve_uint(l, "qos", f.options & 3);
        if (f.has_options && p->version == MQTT_V5) {
            eve_bool(l, "no_local", (f.options & 4) != 0);
            eve_bool(l, "retain_as_published", (f.options & 8) != 0);
            eve_uint(l, "retain_handling", f.options >> 4 & 3);
        }
        json_close(&l->j, '}');
    }
    json_close(&l->j, ']');
}

static void unsubscribe(struct eve_line *l, const struct mqtt_packet *p)
{
    struct mqtt_filter f;
    size_t pos = 0;
    bool escaped = false;
    properties(l, &p->props);
    json_key(&l->j, "topics");
    json_open(&l->j, '[');
    while (mqtt_list_next(p, &pos, &f))
        escaped |= !json_view(&l->j, f.filter);
    json_close(&l->j, ']');
    if (escaped && l->n_escaped < EVE_ESCAPED_MAX)
        l->escaped[l->n_escaped++] = "topics";
}

static void codes(struct eve_line *l, const struct mqtt_packet *p)
{
    properties(l, &p->props);
    json_key(&l->j, p->type == MQTT_SUBACK && p->version != MQTT_V5 ? "qos_granted" : "reason_codes");
    json_open(&l->j, '[');
    for (size_t i = 0; i < p->list.payload.len && i < p->list.count; i++)
        json_uint(&l->j, p->list.payload.ptr[i]);
    json_close(&l->j, ']');
}

void eve_packet(struct eve_line *l, const struct row *row)
{
    const struct mqtt_packet *p = row->packet;
    if (p->header_len == 0)
        return;
    open_object(l, eve_type(p->type));
    if (p->has_id)
        eve_uint(l, "message_id", p->id);
    switch (p->type) {
    case MQTT_CONNECT:
        connect(l, p);
        break;
    case MQTT_CONNACK:
        eve_bool(l, "session_present", p->connack.session_present);
        reason(l, p);
        properties(l, &p->props);
        break;
    case MQTT_PUBLISH:
        publish(l, row);
        break;
    case MQTT_SUBSCRIBE:
        subscribe(l, p);
        break;
    case MQTT_UNSUBSCRIBE:
        unsubscribe(l, p);
        break;
    case MQTT_SUBACK:
    case MQTT_UNSUBACK:
        codes(l, p);
        break;
    default:
        reason(l, p);
        properties(l, &p->props);
        break;
    }
    json_close(&l->j, '}');
}
