/* SPDX-License-Identifier: Apache-2.0
 *
 * Properties: 5.0 section 2.2.2. One reader by wire type serves all 27 of them. */
#include <string.h>

#include "decoder/mqtt/usual.h"

enum { MQTT_WILL = MQTT_RESERVED }; /* the Will's properties take the row of the reserved type */

static const uint16_t once_rule[16][MQTT_PROP_LIMIT] = {
#define ONCE(packet, prop, rule) [MQTT_##packet][MQTT_PROP_##prop] = MQTT_##rule,
#define RANGE(packet, prop, low, high, rule)
#include "decoder/mqtt/prop_rules.def"
};

struct range {
    uint32_t low, high;
    uint16_t rule;
};

static const struct range ranges[] = {
    { 0 },
#define ONCE(packet, prop, rule)
#define RANGE(packet, prop, low, high, rule) { low, high, MQTT_##rule },
#include "decoder/mqtt/prop_rules.def"
};

/* Index into ranges[]: the n-th RANGE row of the table is at n. */
enum range_row {
    RANGE_ROW_NONE,
#define ONCE(packet, prop, rule)
#define RANGE(packet, prop, low, high, rule) RANGE_ROW_##packet##_##prop,
#include "decoder/mqtt/prop_rules.def"
};

static const uint8_t range_row[16][MQTT_PROP_LIMIT] = {
#define ONCE(packet, prop, rule)
#define RANGE(packet, prop, low, high, rule) [MQTT_##packet][MQTT_PROP_##prop] = RANGE_ROW_##packet##_##prop,
#include "decoder/mqtt/prop_rules.def"
};

static uint32_t cur_vbi(struct cursor *c, bool *minimal)
{
    uint32_t value = 0;
    if (!c->truncated && c->pos < c->end && c->base[c->pos] < 0x80) {
        *minimal = true;
        return c->base[c->pos++];
    }
    int used = c->truncated ? 0 : mqtt_vbi_read(view_of(c->base + c->pos, c->end - c->pos), &value);
    if (used <= 0) {
        c->truncated = true;
        return 0;
    }
    *minimal = mqtt_vbi_size(value) == (size_t)used;
    c->pos += (size_t)used;
    return value;
}

/* One property off the front. False (nothing consumed, c->truncated if octets ran out) when it is unknown or cut. */
static bool next_prop(struct cursor *c, struct mqtt_prop *out, bool *minimal)
{
    size_t start = c->pos;
    bool short_id = true, short_value = true;
    *out = (struct mqtt_prop){ .offset = start };
    out->id = cur_vbi(c, &short_id);
    out->wire = (uint8_t)mqtt_prop_info(out->id)->wire;
    switch ((enum mqtt_wire)out->wire) {
    case MQTT_WIRE_BYTE:
        out->number = cur_u8(c);
        break;
    case MQTT_WIRE_U16:
        out->number = cur_u16(c);
        break;
    case MQTT_WIRE_U32:
        out->number = cur_u32(c);
        break;
    case MQTT_WIRE_VBI:
        out->number = cur_vbi(c, &short_value);
        break;
    case MQTT_WIRE_UTF8:
    case MQTT_WIRE_BINARY:
        out->text = cur_str16(c);
        break;
    case MQTT_WIRE_PAIR:
        out->text = cur_str16(c);
        out->value = cur_str16(c);
        break;
    case MQTT_WIRE_NONE:
        break;
    }
    *minimal = short_id && short_value;
    out->len = c->pos - start;
    if (c->truncated || out->wire == MQTT_WIRE_NONE) {
        c->pos = start;
        return false;
    }
    return true;
}

bool mqtt_props_next(struct mqtt_prop_walk *walk, struct mqtt_prop *out)
{
    bool minimal;
    return cur_left(&walk->c) > 0 && next_prop(&walk->c, out, &minimal);
}

bool mqtt_props_find(const struct mqtt_props *props, uint32_t id, struct mqtt_prop *out)
{
    if (id >= MQTT_PROP_LIMIT || (props->seen >> id & 1) == 0)
        return false;
    struct mqtt_prop_walk walk = mqtt_props_walk(props);
    while (mqtt_props_next(&walk, out))
        if (out->id == id)
            return true;
    return false;
}

uint32_t mqtt_props_number(const struct mqtt_props *props, uint32_t id, uint32_t otherwise)
{
    struct mqtt_prop prop;
    return mqtt_props_find(props, id, &prop) ? prop.number : otherwise;
}

static void check_value_text(struct reader *r, const struct mqtt_prop *prop, unsigned where)
{
    static const struct rule3 plain = { .v5 = MQTT_R5_1_5_4_1 }, pair = { .v5 = MQTT_R5_1_5_7_1 };
    static const struct rule3 content_type = { .v5 = MQTT_R5_3_3_2_19 }, response = { .v5 = MQTT_R5_3_3_2_13 };
    static const struct rule3 wildcard = { .v5 = MQTT_R5_3_3_2_14 }, will_wildcard = { .v5 = MQTT_R5_4_7_0_1 };
    bool publish = where == MQTT_PUBLISH;
    if (prop->wire == MQTT_WIRE_PAIR) {
        rd_check_text(r, prop->text, pair, RULE_TEXT_NUL);
        rd_check_text(r, prop->value, pair, RULE_TEXT_NUL);
    } else if (prop->id == MQTT_PROP_RESPONSE_TOPIC) { /* it serves as a Topic Name */
        rd_check_name(r, prop->text, publish ? response : plain, publish ? wildcard : will_wildcard);
        if (prop->text.len == 0)
            rd_rule(r, MQTT_R5_4_7_3_1, rd_offset(r, prop->text) - 2, 2);
    } else {
        rd_check_text(r, prop->text, publish && prop->id == MQTT_PROP_CONTENT_TYPE ? content_type : plain,
                      RULE_TEXT_NUL);
    }
}

/* The rules of who may send a property that the packet itself allows. */
static void check_sender(struct reader *r, const struct mqtt_prop *prop, unsigned where, size_t at)
{
    if (where == MQTT_PUBLISH && prop->id == MQTT_PROP_SUBSCRIPTION_IDENTIFIER && r->sender == MQTT_CLIENT)
        rd_rule(r, MQTT_R5_3_3_4_6, at, prop->len);
    if (where != MQTT_DISCONNECT)
        return;
    if (prop->id == MQTT_PROP_SESSION_EXPIRY_INTERVAL && r->sender == MQTT_SERVER)
        rd_rule(r, MQTT_R5_3_14_2_2, at, prop->len);
    if (prop->id == MQTT_PROP_SERVER_REFERENCE && r->sender == MQTT_CLIENT)
        rd_rule(r, MQTT_S5_3_14_2_2_5_B, at, prop->len);
}

static void check_prop(struct reader *r, const struct mqtt_props *props, const struct mqtt_prop *prop, unsigned where)
{
    size_t at = (size_t)(props->block.ptr - r->octets) + prop->offset;
    const struct mqtt_prop_info *info = mqtt_prop_info(prop->id);
    if ((info->allowed & MQTT_IN(where)) == 0) {
        rd_rule(r, MQTT_S5_2_2_2_2_A, at, prop->len);
        return;
    }
    if ((props->seen >> prop->id & 1) != 0 && (info->repeats & MQTT_IN(where)) == 0)
        rd_rule(r, (enum mqtt_rule)once_rule[where][prop->id], at, prop->len);
    const struct range *range = &ranges[range_row[where][prop->id]];
    if (range->rule != MQTT_RULE_NONE && (prop->number < range->low || prop->number > range->high))
        rd_rule(r, (enum mqtt_rule)range->rule, at, prop->len);
    check_sender(r, prop, where, at);
    if (prop->id == MQTT_PROP_PAYLOAD_FORMAT_INDICATOR)
        r->payload_format = prop->number == 1;
    if (prop->wire == MQTT_WIRE_UTF8 || prop->wire == MQTT_WIRE_PAIR)
        check_value_text(r, prop, where);
}

/* Where the walk stopped before the end of the block: an unknown identifier, a value cut by the Property Length, or
 * octets that were not captured. */
static void judge_stop(struct reader *r, const struct cursor *c, const struct mqtt_prop *prop, bool whole)
{
    size_t at = (size_t)(c->base - r->octets) + c->pos;
    size_t left = c->end - c->pos;
    uint32_t id;
    int used = mqtt_vbi_read(view_of(c->base + c->pos, left), &id);
    if (used < 0)
        rd_rule(r, MQTT_S5_1_5_5_A, at, 4);
    else if (used > 0 && prop->wire == MQTT_WIRE_NONE)
        rd_rule(r, MQTT_S5_2_2_2_2_A, at, (size_t)used);
    else if (!whole)
        r->p->cut = true;
    else if (used > 0 && prop->wire == MQTT_WIRE_VBI && left - (size_t)used >= 4)
        rd_rule(r, MQTT_S5_1_5_5_A, at + (size_t)used, 4);
    else
        rd_rule(r, MQTT_S5_2_2_2_2_B, at, left);
}

/* Octets of the property at the front when its value is whole and good; 0: look closer. */
static size_t plain_value(enum mqtt_wire wire, const uint8_t *at, size_t left, uint32_t *number)
{
    size_t len;
    switch (wire) {
    case MQTT_WIRE_BYTE:
        *number = left >= 2 ? at[1] : 0;
        return 2;
    case MQTT_WIRE_U16:
        *number = left >= 3 ? (uint32_t)(at[1] << 8 | at[2]) : 0;
        return 3;
    case MQTT_WIRE_U32:
        *number = 1;
        return 5; /* the one rule on these, not 0, is looked at closer */
    case MQTT_WIRE_UTF8:
    case MQTT_WIRE_BINARY:
    case MQTT_WIRE_PAIR:
        len = left >= 3 ? 3 + (size_t)(at[1] << 8 | at[2]) : left + 1;
        if (len > left || (wire != MQTT_WIRE_BINARY && !utf8_is_good(view_of(at + 3, len - 3))))
            return 0;
        if (wire != MQTT_WIRE_PAIR)
            return len;
        size_t value = left - len >= 2 ? 2 + (size_t)(at[len] << 8 | at[len + 1]) : left;
        return value <= left - len && utf8_is_good(view_of(at + len + 2, value - 2)) ? len + value : 0;
    default:
        return 0;
    }
}

/* Nearly every property is allowed, new, in range, not bound to one side, and good UTF-8 where it is text: that is
 * seen here at once. False: nothing was consumed, look closer. */
static inline bool usual_prop(struct mqtt_props *props, unsigned where, struct cursor *c, uint8_t *payload_format)
{
    const uint8_t *at = c->base + c->pos;
    size_t left = c->end - c->pos;
    unsigned id = at[0];
    if (id >= MQTT_PROP_LIMIT || id == MQTT_PROP_RESPONSE_TOPIC || id == MQTT_PROP_MAXIMUM_PACKET_SIZE ||
        where == MQTT_DISCONNECT)
        return false;
    const struct mqtt_prop_info *info = mqtt_prop_info(id);
    if ((info->allowed & MQTT_IN(where)) == 0 ||
        ((props->seen >> id & 1) != 0 && (info->repeats & MQTT_IN(where)) == 0))
        return false;
    uint32_t number = 0;
    size_t len = plain_value(info->wire, at, left, &number);
    if (len == 0 || len > left)
        return false;
    const struct range *range = &ranges[range_row[where][id]];
    if (range->rule != MQTT_RULE_NONE && (number < range->low || number > range->high))
        return false;
    if (id == MQTT_PROP_PAYLOAD_FORMAT_INDICATOR)
        *payload_format = number == 1;
    c->pos += len;
    props->seen |= UINT64_C(1) << id;
    return true;
}

static void walk_props(struct reader *r, struct mqtt_props *props, unsigned where, bool whole)
{
    struct cursor c = cur_over(props->block.ptr, props->block.len);
    r->payload_format = 0;
    while (cur_left(&c) > 0) {
        struct mqtt_prop prop;
        bool minimal;
        if (usual_prop(props, where, &c, &r->payload_format))
            continue;
        if (!next_prop(&c, &prop, &minimal)) {
            judge_stop(r, &c, &prop, whole);
            return;
        }
        if (!minimal)
            rd_rule(r, MQTT_R5_1_5_5_1, (size_t)(props->block.ptr - r->octets) + prop.offset, prop.len);
        check_prop(r, props, &prop, where);
        props->seen |= UINT64_C(1) << prop.id;
    }
    r->props_whole = whole;
}

struct usual_props usual_props(struct mqtt_packet *p, uint32_t pos)
{
    const uint8_t *at = p->octets + p->header_len + pos;
    uint32_t left = p->remaining - pos;
    if (left == 0 || at[0] >= 0x80 || at[0] >= left)
        return (struct usual_props){ 0 };
    uint8_t payload_format = 0;
    struct cursor c = cur_over(at + 1, at[0]);
    p->props.block = view_of(at + 1, at[0]);
    while (cur_left(&c) > 0)
        if (!usual_prop(&p->props, MQTT_PUBLISH, &c, &payload_format))
            return (struct usual_props){ 0 };
    return (struct usual_props){ pos + 1u + at[0], payload_format == 1 };
}

void rd_props(struct reader *r, struct mqtt_props *props, unsigned where)
{
    r->props_whole = false;
    if (r->over)
        return;
    if (rd_left(r) == 0) {
        rd_rule(r, MQTT_R5_2_2_2_1, r->pos, 0);
        r->over = true;
        return;
    }
    size_t at_hand = r->end - r->pos;
    uint32_t len = 0;
    int used = mqtt_vbi_read(view_of(r->octets + r->pos, at_hand), &len);
    if (used <= 0) {
        r->over = true;
        if (used < 0)
            rd_rule(r, MQTT_S5_1_5_5_A, r->pos, 4);
        else if (r->held < r->stop)
            r->p->cut = true;
        else
            rd_fault(r, RULE_SURPLUS, r->pos, r->stop - r->pos);
        return;
    }
    if (mqtt_vbi_size(len) != (size_t)used)
        rd_rule(r, MQTT_R5_1_5_5_1, r->pos, (size_t)used);
    size_t length_at = r->pos;
    r->pos += (size_t)used;
    if (len > r->stop - r->pos) { /* the block claims octets that the packet does not have: its end is not known */
        rd_rule(r, MQTT_S5_2_2_2_2_B, length_at, (size_t)used);
        r->over = true;
        return;
    }
    size_t here = len < r->held - r->pos ? len : r->held - r->pos;
    props->block = view_of(r->octets + r->pos, here);
    walk_props(r, props, where, here == len);
    r->pos += here;
    if (here < len)
        r->p->cut = r->over = true;
}

size_t mqtt_prop_write(uint8_t *buf, size_t len, size_t cap, const struct mqtt_prop *prop)
{
    uint8_t octets[4];
    struct writer w = { NULL, cap, len, false };
    for (int pass = 0; pass < 2; pass++) {
        w.n = len;
        wr_octets(&w, view_of(octets, mqtt_vbi_write(prop->id, octets)));
        switch ((enum mqtt_wire)prop->wire) {
        case MQTT_WIRE_BYTE:
            wr_u8(&w, prop->number);
            break;
        case MQTT_WIRE_U16:
            wr_u16(&w, prop->number);
            break;
        case MQTT_WIRE_U32:
            wr_u32(&w, prop->number);
            break;
        case MQTT_WIRE_VBI:
            wr_vbi(&w, prop->number);
            break;
        case MQTT_WIRE_PAIR:
            wr_str16(&w, prop->text);
            wr_str16(&w, prop->value);
            break;
        case MQTT_WIRE_UTF8:
        case MQTT_WIRE_BINARY:
            wr_str16(&w, prop->text);
            break;
        case MQTT_WIRE_NONE:
            return 0;
        }
        if (w.too_long || w.n > cap)
            return 0;
        w.buf = buf;
    }
    return w.n;
}
