/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/broker/internal.h"
#include <string.h>

size_t message_size(const struct message *m)
{
    return sizeof *m + m->topic_len + m->props_len + m->payload_len;
}

static uint8_t *append(uint8_t *out, struct view v)
{
    if (v.len > 0)
        memcpy(out, v.ptr, v.len);
    return out + v.len;
}

struct message *message_keep(struct broker *b, struct publication *pub)
{
    if (pub->stored == NULL) {
        size_t len = sizeof *pub->stored + pub->topic.len + pub->props.len + pub->payload.len;
        struct message *m = mem_resize(&b->memory, NULL, 0, len);
        if (m == NULL)
            return NULL;
        *m = (struct message){ .topic_len = (uint32_t)pub->topic.len,
                               .props_len = (uint32_t)pub->props.len,
                               .payload_len = (uint32_t)pub->payload.len,
                               .expiry_at = pub->expiry_at,
                               .qos = pub->qos,
                               .retain = pub->retain,
                               .deadline = pub->deadline };
        append(append(append(m->octets, pub->topic), pub->props), pub->payload);
        pub->stored = m;
    }
    pub->stored->refs++;
    return pub->stored;
}

void message_drop(struct broker *b, struct message *m)
{
    if (m != NULL && --m->refs == 0)
        mem_free(&b->memory, m, message_size(m));
}

struct publication message_view(struct message *m)
{
    const uint8_t *props = m->octets + m->topic_len;
    return (struct publication){ .topic = view_of(m->octets, m->topic_len),
                                 .props = view_of(props, m->props_len),
                                 .payload = view_of(props + m->props_len, m->payload_len),
                                 .deadline = m->deadline,
                                 .expiry_at = m->expiry_at,
                                 .qos = m->qos,
                                 .retain = m->retain,
                                 .stored = m };
}

/* Passed on: all but what belongs to this hop, in the order it came [MQTT-3.3.2-18]. */
static bool passed_on(const struct broker *b, uint32_t id)
{
    switch (id) {
    case MQTT_PROP_TOPIC_ALIAS:
    case MQTT_PROP_SUBSCRIPTION_IDENTIFIER:
    case MQTT_PROP_WILL_DELAY_INTERVAL:
        return false;
    case MQTT_PROP_USER_PROPERTY:
        return !FAULTY(b, DROP_USER_PROPERTIES);
    default:
        return true;
    }
}

static void note_expiry(struct broker *b, struct publication *pub, const struct mqtt_prop *prop, size_t at)
{
    pub->deadline = b->now_ms + prop->number * UINT64_C(1000);
    pub->expiry_at = (uint32_t)(at + prop->len - 4);
}

static bool copy_passed(struct broker *b, const struct mqtt_props *props, struct publication *pub)
{
    buffer_done(&b->passed, &b->memory);
    uint8_t *out = buffer_reserve(&b->passed, &b->memory, props->block.len);
    if (out == NULL)
        return false;
    size_t len = 0;
    struct mqtt_prop_walk walk = mqtt_props_walk(props);
    for (struct mqtt_prop prop; mqtt_props_next(&walk, &prop);) {
        if (!passed_on(b, prop.id))
            continue;
        memcpy(out + len, props->block.ptr + prop.offset, prop.len);
        if (prop.id == MQTT_PROP_MESSAGE_EXPIRY_INTERVAL)
            note_expiry(b, pub, &prop, len);
        len += prop.len;
    }
    pub->props = view_of(out, len);
    return true;
}

bool message_props(struct broker *b, const struct mqtt_props *props, struct publication *pub)
{
    const uint64_t hop = UINT64_C(1) << MQTT_PROP_TOPIC_ALIAS | UINT64_C(1) << MQTT_PROP_SUBSCRIPTION_IDENTIFIER |
                         UINT64_C(1) << MQTT_PROP_WILL_DELAY_INTERVAL;
    pub->deadline = UINT64_MAX;
    if (props->block.len == 0)
        return true;
    if ((props->seen & hop) != 0 || FAULTY(b, DROP_USER_PROPERTIES))
        return copy_passed(b, props, pub);
    pub->props = props->block;
    struct mqtt_prop prop;
    if ((props->seen & UINT64_C(1) << MQTT_PROP_MESSAGE_EXPIRY_INTERVAL) != 0 &&
        mqtt_props_find(props, MQTT_PROP_MESSAGE_EXPIRY_INTERVAL, &prop))
        note_expiry(b, pub, &prop, prop.offset);
    return true;
}
