/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/show/item_props.c -- a block of 5.0 properties as items.
 *
 * Each property comes as its identifier, then its value under its own name (mqtt.property.NAME), then the same value
 * under the names Wireshark gives it; in the block of the Will also as mqtt.will_property.NAME. */
#include "decoder/show/item_parts.h"

enum {
    BLOCK_MARK,
    BLOCK_LENGTH,
    PROP_FETCH,
    PROP_ID,
    PROP_LEN,
    PROP_VALUE,
    PROP_COMPAT,
    PROP_WILL,
    PROP_MAX_QOS,
    PAIR_NAME_LEN,
    PAIR_NAME,
    PAIR_NAME_COMPAT,
    PAIR_NAME_WILL,
    PAIR_VALUE_LEN,
    PAIR_VALUE,
    PAIR_VALUE_COMPAT,
    PAIR_VALUE_WILL,
    BLOCK_REST,
    BLOCK_DONE
};

static const uint16_t names[MQTT_PROP_LIMIT] = {
#define PROP(id, sym, wire, allowed, repeat, name, snake) [id] = FIELD_PROPERTY_##sym,
#include "decoder/mqtt/properties.def"
};

/* 0 (a field of the envelope) where the standard allows no such property in a Will. */
static enum field will_name(uint32_t id)
{
    switch (id) {
    case MQTT_PROP_PAYLOAD_FORMAT_INDICATOR:
        return FIELD_WILL_PROPERTY_PAYLOAD_FORMAT_INDICATOR;
    case MQTT_PROP_MESSAGE_EXPIRY_INTERVAL:
        return FIELD_WILL_PROPERTY_MESSAGE_EXPIRY_INTERVAL;
    case MQTT_PROP_CONTENT_TYPE:
        return FIELD_WILL_PROPERTY_CONTENT_TYPE;
    case MQTT_PROP_RESPONSE_TOPIC:
        return FIELD_WILL_PROPERTY_RESPONSE_TOPIC;
    case MQTT_PROP_CORRELATION_DATA:
        return FIELD_WILL_PROPERTY_CORRELATION_DATA;
    case MQTT_PROP_WILL_DELAY_INTERVAL:
        return FIELD_WILL_PROPERTY_WILL_DELAY_INTERVAL;
    default:
        return 0;
    }
}

static bool is_text(const struct mqtt_prop *prop)
{
    return prop->wire == MQTT_WIRE_UTF8 || prop->wire == MQTT_WIRE_BINARY;
}

/* The value of the property under a name: its octets stand at the end of the property. */
static enum walked value(struct item_walk *w, struct item *out, enum field f)
{
    const struct mqtt_packet *p = w->row->packet;
    const struct mqtt_prop *prop = &w->prop;
    if (is_text(prop))
        return item_octets(out, f, 3, p, prop->text);
    uint32_t ignored;
    int id_len = mqtt_vbi_read(view_of(p->octets + w->pos, prop->len), &ignored);
    size_t skip = id_len > 0 ? (size_t)id_len : 0;
    return item_number(out, f, 3, prop->number, w->pos + skip, prop->len - skip);
}

static bool named_by_wireshark(uint32_t id)
{
    return id == MQTT_PROP_CONTENT_TYPE || id == MQTT_PROP_TOPIC_ALIAS || id == MQTT_PROP_MAXIMUM_QOS;
}

static enum walked one_value(struct item_walk *w, struct item *out)
{
    const struct mqtt_packet *p = w->row->packet;
    const struct mqtt_prop *prop = &w->prop;
    switch (w->inner++) {
    case PROP_LEN:
        if (!is_text(prop) || prop->id == MQTT_PROP_CONTENT_TYPE)
            return WALK_SKIP;
        return item_number(out, FIELD_MQTT_PROP_STRING_LEN, 3, prop->text.len, (size_t)(prop->text.ptr - p->octets) - 2,
                           2);
    case PROP_VALUE:
        return value(w, out, names[prop->id]);
    case PROP_COMPAT:
        if (named_by_wireshark(prop->id))
            return WALK_SKIP;
        return item_again(out, value(w, out, is_text(prop) ? FIELD_MQTT_PROP_STRING : FIELD_MQTT_PROP_NUMBER));
    case PROP_WILL:
        return w->will && will_name(prop->id) != 0 ? item_again(out, value(w, out, will_name(prop->id))) : WALK_SKIP;
    default: /* PROP_MAX_QOS */
        w->inner = PROP_FETCH;
        return prop->id == MQTT_PROP_MAXIMUM_QOS ? item_again(out, value(w, out, FIELD_MQTT_PROPERTY_MAX_QOS))
                                                 : WALK_SKIP;
    }
}

static enum walked pair_length(struct item_walk *w, struct item *out, enum field f, struct view v)
{
    return item_number(out, f, 3, v.len, (size_t)(v.ptr - w->row->packet->octets) - 2, 2);
}

static enum walked pair(struct item_walk *w, struct item *out)
{
    const struct mqtt_packet *p = w->row->packet;
    const struct mqtt_prop *prop = &w->prop;
    switch (w->inner++) {
    case PROP_LEN: /* the pair as such, for filters that ask whether there is one */
        w->inner = PAIR_NAME_LEN;
        return item_again(out, item_number(out, FIELD_PROPERTY_USER_PROPERTY, 3, 1, w->pos, prop->len));
    case PAIR_NAME_LEN:
        return pair_length(w, out, FIELD_MQTT_PROP_KEY_LEN, prop->text);
    case PAIR_NAME:
        return item_octets(out, FIELD_PROPERTY_USER_PROPERTY_NAME, 3, p, prop->text);
    case PAIR_NAME_COMPAT:
        return item_again(out, item_octets(out, FIELD_MQTT_PROP_KEY, 3, p, prop->text));
    case PAIR_NAME_WILL:
        return w->will ? item_again(out, item_octets(out, FIELD_WILL_PROPERTY_USER_PROPERTY_NAME, 3, p, prop->text))
                       : WALK_SKIP;
    case PAIR_VALUE_LEN:
        return pair_length(w, out, FIELD_MQTT_PROP_VALUE_LEN, prop->value);
    case PAIR_VALUE:
        return item_octets(out, FIELD_PROPERTY_USER_PROPERTY_VALUE, 3, p, prop->value);
    case PAIR_VALUE_COMPAT:
        return item_again(out, item_octets(out, FIELD_MQTT_PROP_VALUE, 3, p, prop->value));
    default: /* PAIR_VALUE_WILL */
        w->inner = PROP_FETCH;
        return w->will ? item_again(out, item_octets(out, FIELD_WILL_PROPERTY_USER_PROPERTY_VALUE, 3, p, prop->value))
                       : WALK_SKIP;
    }
}

/* The next property; or, where the walk ends early, the identifier it ended at; or the end of the block. */
static enum walked fetch(struct item_walk *w, struct item *out, const struct mqtt_props *props)
{
    const struct mqtt_packet *p = w->row->packet;
    size_t block = (size_t)(props->block.ptr - p->octets);
    if (mqtt_props_next(&w->props, &w->prop)) {
        w->pos = block + w->prop.offset;
        w->list_pos = w->prop.offset + w->prop.len;
        w->inner = PROP_ID;
        return WALK_SKIP;
    }
    struct view rest = view_of(props->block.ptr + w->list_pos, props->block.len - w->list_pos);
    uint32_t id;
    int id_len = mqtt_vbi_read(rest, &id);
    w->pos = block + w->list_pos;
    w->inner = BLOCK_REST;
    if (rest.len == 0 || id_len <= 0)
        return WALK_SKIP;
    w->list_pos += (size_t)id_len;
    return item_number(out, FIELD_MQTT_PROPERTY_ID, 2, id, w->pos, (size_t)id_len);
}

/* What of the block could not be read. */
static enum walked leave(struct item_walk *w, struct item *out, const struct mqtt_props *props)
{
    const struct mqtt_packet *p = w->row->packet;
    struct view rest = view_of(props->block.ptr + w->list_pos, props->block.len - w->list_pos);
    w->inner = BLOCK_DONE;
    w->pos = (size_t)(props->block.ptr - p->octets) + props->block.len;
    w->list_pos = 0;
    return rest.len > 0 ? item_octets(out, FIELD_MQTT_PROP_UNKNOWN, 2, p, rest) : WALK_SKIP;
}

static enum walked begin(struct item_walk *w, struct item *out, const struct mqtt_props *props, bool will)
{
    const struct mqtt_packet *p = w->row->packet;
    size_t block = (size_t)(props->block.ptr - p->octets);
    if (w->inner++ == BLOCK_MARK)
        return item_number(out, will ? FIELD_MQTT_WILL_PROPERTIES : FIELD_MQTT_PROPERTIES, 1, 1, w->pos,
                           block + props->block.len - w->pos);
    w->will = will;
    w->props = mqtt_props_walk(props);
    w->list_pos = 0;
    return item_number(out, FIELD_MQTT_PROPERTY_LEN, 2, props->block.len, w->pos, block - w->pos);
}

static enum walked one_step(struct item_walk *w, struct item *out, const struct mqtt_props *props, bool will)
{
    if (w->inner < PROP_FETCH)
        return begin(w, out, props, will);
    if (w->inner == PROP_FETCH)
        return fetch(w, out, props);
    if (w->inner == BLOCK_REST)
        return leave(w, out, props);
    if (w->inner == PROP_ID) {
        w->inner = PROP_LEN;
        return item_number(out, FIELD_MQTT_PROPERTY_ID, 2, w->prop.id, w->pos, mqtt_vbi_size(w->prop.id));
    }
    return w->prop.wire == MQTT_WIRE_PAIR ? pair(w, out) : one_value(w, out);
}

enum walked item_walk_props(struct item_walk *w, struct item *out, const struct mqtt_props *props, bool will)
{
    if (props->block.ptr == NULL)
        return WALK_SKIP;
    while (w->inner != BLOCK_DONE) {
        enum walked did = one_step(w, out, props, will);
        if (did == WALK_ITEM)
            return WALK_MORE;
    }
    return WALK_SKIP;
}
