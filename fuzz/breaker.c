/* SPDX-License-Identifier: Apache-2.0
 *
 * Rule-directed mutation: one row of breaks.def, or of the decoder's own prop_rules.def, a rule. */
#include <string.h>

#include "fuzz/fresh.h"

struct breaker {
    struct mutator *m;
    struct draft d;
    struct view text; /* of the row */
    uint8_t raw[64];  /* octets behind or instead of the packet */
    size_t n_raw;
    bool raw_only, pad_length;
    uint8_t long_text[33000];
};

typedef void recipe(struct breaker *b);

static void make_raw(struct breaker *b)
{
    memcpy(b->raw, b->text.ptr, b->text.len);
    b->n_raw = b->text.len;
    b->raw_only = true;
}

static void make_surplus(struct breaker *b)
{
    make_raw(b);
    b->raw_only = false;
}

static void make_padded(struct breaker *b)
{
    b->pad_length = true;
}

static void make_flags(struct breaker *b)
{
    b->d.p.flags = (uint8_t)(mqtt_type_flags(b->d.p.type) ^ b->text.ptr[0]);
}

static void make_publish_flags(struct breaker *b)
{
    b->d.p.flags = b->text.ptr[0];
    b->d.p.has_id = (b->text.ptr[0] & 6) != 0;
}

static void make_topic(struct breaker *b)
{
    b->d.p.publish.topic = b->text;
}

static void make_topic_alone(struct breaker *b)
{
    b->d.p.publish.topic = b->text;
    b->d.p.props.block = (struct view){ NULL, 0 };
}

static void make_long_topic(struct breaker *b)
{
    memset(b->long_text, 'a', sizeof b->long_text);
    b->d.p.publish.topic = view_of(b->long_text, 32768);
}

static void make_id(struct breaker *b)
{
    b->d.p.id = b->text.ptr[0];
    b->d.p.has_id = true;
}

static void make_reason(struct breaker *b)
{
    b->d.p.reason = b->text.ptr[0];
    b->d.p.has_reason = true;
}

static void make_client_id(struct breaker *b)
{
    b->d.p.connect.client_id = b->text;
    b->d.p.connect.flags |= 0x02;
}

static void make_client_id_kept(struct breaker *b)
{
    b->d.p.connect.client_id = b->text;
    b->d.p.connect.flags &= 0xfd;
}

static void make_protocol_name(struct breaker *b)
{
    b->d.p.connect.protocol_name = b->text;
}

static void no_will(struct breaker *b)
{
    struct mqtt_connect *c = &b->d.p.connect;
    c->flags &= 0xc3;
    c->will_props.block = c->will_topic = c->will_payload = (struct view){ NULL, 0 };
}

static const struct view none = { NULL, 0 };

static void credentials(struct breaker *b, unsigned flags, struct view username, struct view password)
{
    struct mqtt_connect *c = &b->d.p.connect;
    c->flags = (uint8_t)((c->flags & 0x3f) | flags);
    c->username = username;
    c->password = password;
}

static void will(struct breaker *b)
{
    b->d.p.connect.will_props = (struct mqtt_props){ { NULL, 0 }, 0 };
    draft_will(b->m, &b->d);
}

static void make_connect_flags(struct breaker *b) /* text: a mask and the bits to set */
{
    if ((b->text.ptr[0] & 0x04) == 0)
        no_will(b);
    b->d.p.connect.flags = (uint8_t)((b->d.p.connect.flags & b->text.ptr[0]) | b->text.ptr[1]);
}

static void make_will_flags(struct breaker *b)
{
    will(b);
    b->d.p.connect.flags |= b->text.ptr[0];
}

static void make_will_topic(struct breaker *b)
{
    will(b);
    b->d.p.connect.will_topic = b->text;
}

static void make_username(struct breaker *b)
{
    credentials(b, 0x80, b->text, none);
}

static void make_extra_username(struct breaker *b)
{
    credentials(b, 0, b->text, none);
}

static void make_extra_password(struct breaker *b)
{
    credentials(b, 0x80, b->text, b->text);
}

static void make_password_alone(struct breaker *b)
{
    credentials(b, 0x40, none, b->text);
}

static void make_ends_before_username(struct breaker *b)
{
    credentials(b, 0x80, none, none);
}

static void make_ends_before_password(struct breaker *b)
{
    credentials(b, 0xc0, view_of("u", 1), none);
}

static void make_ends_before_will(struct breaker *b)
{
    credentials(b, 0, none, none);
    no_will(b);
    b->d.p.connect.flags |= 0x04;
}

static void make_ends_before_client_id(struct breaker *b)
{
    credentials(b, 0, none, none);
    no_will(b);
    b->d.p.connect.client_id = (struct view){ NULL, 0 };
}

static void add_property(struct breaker *b, bool in_will, unsigned id, uint32_t number, struct view text)
{
    struct mqtt_prop prop = { .id = id, .wire = (uint8_t)mqtt_prop_info(id)->wire, .number = number, .text = text };
    draft_property(&b->d, in_will, &prop);
}

static void make_user_property(struct breaker *b)
{
    add_property(b, false, MQTT_PROP_USER_PROPERTY, 0, b->text);
}

static void make_lone_auth_data(struct breaker *b)
{
    b->d.p.props.block = (struct view){ NULL, 0 };
    add_property(b, false, MQTT_PROP_AUTHENTICATION_DATA, 0, b->text);
}

static void make_will_payload_format(struct breaker *b)
{
    will(b);
    b->d.p.connect.will_props.block = (struct view){ NULL, 0 };
    add_property(b, true, MQTT_PROP_PAYLOAD_FORMAT_INDICATOR, 1, b->text);
    b->d.p.connect.will_payload = b->text;
}

static void make_payload_format(struct breaker *b)
{
    b->d.p.props.block = (struct view){ NULL, 0 };
    add_property(b, false, MQTT_PROP_PAYLOAD_FORMAT_INDICATOR, 1, b->text);
    b->d.p.publish.payload = b->text;
}

static void make_properties(struct breaker *b)
{
    b->d.p.props.block = b->text;
    b->d.p.has_reason = b->d.p.type == MQTT_DISCONNECT;
}

static void make_connack(struct breaker *b)
{
    b->d.p.connack.flags = b->text.ptr[0];
    b->d.p.reason = b->text.ptr[1];
}

static void make_no_entries(struct breaker *b)
{
    b->d.p.list.payload.len = 0;
}

static void make_filter(struct breaker *b)
{
    draft_filter(&b->d, b->text, 0);
}

static void make_options(struct breaker *b)
{
    draft_filter(&b->d, view_of("a", 1), b->text.ptr[0]);
}

static void make_no_local_shared(struct breaker *b)
{
    draft_filter(&b->d, b->text, 0x04);
}

static void make_codes(struct breaker *b)
{
    b->d.p.list.payload = b->text;
}

static const struct row {
    enum mqtt_rule rule;
    uint8_t type, sender;
    recipe *make;
    const char *text;
    uint8_t len;
} rows[] = {
#define BREAK(rule, type, sender, recipe, text)                                                                        \
    { MQTT_##rule, MQTT_##type, MQTT_##sender, make_##recipe, text, sizeof(text) - 1 },
#include "fuzz/breaks.def"
};

/* The tables of properties say themselves how they are broken. */
enum { MQTT_WILL = MQTT_RESERVED };

static const struct prop_row {
    enum mqtt_rule rule;
    uint8_t where, prop;
    bool once;
    uint32_t low, high;
} prop_rows[] = {
#define ONCE(packet, prop, rule) { MQTT_##rule, MQTT_##packet, MQTT_PROP_##prop, true, 0, 0 },
#define RANGE(packet, prop, low, high, rule) { MQTT_##rule, MQTT_##packet, MQTT_PROP_##prop, false, low, high },
#include "decoder/mqtt/prop_rules.def"
};

static const struct row *row_of(enum mqtt_rule rule)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].rule == rule)
            return &rows[i];
    return NULL;
}

static const struct prop_row *prop_row_of(enum mqtt_rule rule)
{
    for (size_t i = 0; i < sizeof prop_rows / sizeof *prop_rows; i++)
        if (prop_rows[i].rule == rule)
            return &prop_rows[i];
    return NULL;
}

bool mutator_can_break(enum mqtt_rule rule)
{
    return row_of(rule) != NULL || prop_row_of(rule) != NULL;
}

static void break_property(struct breaker *b, const struct prop_row *row)
{
    bool in_will = row->where == MQTT_WILL;
    struct mqtt_prop prop = draft_value(b->m, row->prop);
    if (in_will)
        will(b);
    if (!row->once)
        prop.number = row->low > 0 ? 0 : row->high + 1;
    (in_will ? &b->d.p.connect.will_props : &b->d.p.props)->block = (struct view){ NULL, 0 };
    draft_property(&b->d, in_will, &prop);
    if (row->once)
        draft_property(&b->d, in_will, &prop);
    b->d.p.has_reason = b->d.p.has_reason || b->d.p.type == MQTT_DISCONNECT;
}

/* The Remaining Length with an octet more than needed. */
static size_t pad(uint8_t *buf, size_t len, size_t cap)
{
    uint32_t remaining = 0;
    int used = mqtt_vbi_read(view_of(buf + 1, len - 1), &remaining);
    if (used <= 0 || used >= 4 || len >= cap)
        return 0;
    memmove(buf + 2 + used, buf + 1 + used, len - 1 - (size_t)used);
    buf[used] |= 0x80;
    buf[used + 1] = 0;
    return len + 1;
}

static size_t finish(struct breaker *b, uint8_t *buf, size_t cap)
{
    size_t n = b->raw_only ? 0 : mqtt_encode(&b->d.p, buf, cap);
    if (n > cap || n + b->n_raw > cap || (n == 0 && !b->raw_only))
        return 0;
    if (b->n_raw > 0)
        memcpy(buf + n, b->raw, b->n_raw);
    if (!b->raw_only)
        buf[1] = (uint8_t)(buf[1] + b->n_raw); /* surplus of short packets only: one length octet */
    return b->pad_length ? pad(buf, n, cap) : n + b->n_raw;
}

size_t mutator_break(struct mutator *m, enum mqtt_rule rule, uint8_t *buf, size_t len, size_t cap, uint8_t *sender)
{
    const struct row *row = row_of(rule);
    const struct prop_row *prop = row == NULL ? prop_row_of(rule) : NULL;
    if (row == NULL && prop == NULL)
        return 0;
    unsigned type = row != NULL ? row->type : prop->where == MQTT_WILL ? MQTT_CONNECT : prop->where;
    struct mutator_scene scene = { mqtt_rule_info(rule)->version, MQTT_CLIENT };
    if (row != NULL)
        scene.sender = row->sender;
    else if ((mqtt_type_sender(type, scene.version) & MQTT_CLIENT) == 0 || rule == MQTT_S5_3_14_2_2_5_A)
        scene.sender = MQTT_SERVER;
    *sender = scene.sender;

    struct breaker b;
    uint8_t copy[4096];
    b.m = m;
    b.n_raw = 0;
    b.raw_only = b.pad_length = false;
    bool fits = len > 0 && len <= sizeof copy && buf[0] >> 4 == (int)type;
    if (fits)
        memcpy(copy, buf, len);
    if (!fits || !draft_take_apart(&b.d, scene, view_of(copy, len)) || b.d.p.version != scene.version)
        draft_fresh(m, &b.d, scene, type);
    if (row != NULL) {
        b.text = view_of(row->text, row->len);
        row->make(&b);
    } else {
        break_property(&b, prop);
    }
    return finish(&b, buf, cap);
}
