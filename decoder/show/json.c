/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/show/json.c -- -T json: a row as one flat object, keys as in decoder/show/fields.def, values typed.
 *
 * A field met more than once in a row becomes an array at its first place; those of mqtt.violation.* always are. A
 * first pass over the items keeps them (the usual case) and learns which repeat; a packet with more items than are kept
 * is walked again, once for each field that repeats, so time stays linear. */
#include "decoder/base/json.h"
#include "decoder/show/json_parts.h"

enum { KEPT_MAX = 160 };

struct items {
    struct item_walk walk; /* holds the text of a communityid */
    struct item kept[KEPT_MAX];
    uint32_t n;
    bool all; /* kept holds every item */
    struct field_set seen, repeated, escaped;
    struct field_set done; /* arrays already written */
    bool begun;            /* the object has a member */
};

struct key {
    const char *text; /* "name": */
    size_t len;
};

static const struct key keys[FIELD_COUNT] = {
#define FIELD(sym, name, type, base, meaning) { "\"" name "\":", sizeof name + 2 },
#include "decoder/show/fields.def"
};

static bool is_violation(unsigned f)
{
    return f >= FIELD_VIOLATION_RULE && f <= FIELD_VIOLATION_ALSO;
}

static bool ill_formed(const struct item *it)
{
    return it->type == FIELD_STRING && it->text.len > 0 && utf8_check(it->text).worst == UTF8_ILL_FORMED;
}

static void note(struct items *all, const struct item *it, const struct show_style *style)
{
    enum field f = (enum field)it->field;
    if (field_set_has(&all->seen, f) || is_violation(f))
        field_set_add(&all->repeated, f);
    field_set_add(&all->seen, f);
    if (ill_formed(it) && (style->secrets || !show_secret(f)))
        field_set_add(&all->escaped, f);
}

static void gather(struct items *all, const struct row *row, const struct show_style *style,
                   const struct field_set *want)
{
    struct item it;
    all->walk = item_walk_of(row, want);
    all->n = 0;
    all->all = true;
    all->begun = false;
    all->seen = all->repeated = all->escaped = all->done = (struct field_set){ { 0 } };
    while (item_next(&all->walk, &it)) {
        note(all, &it, style);
        if (all->n < KEPT_MAX)
            all->kept[all->n++] = it;
        else
            all->all = false;
    }
}

static void string(struct out *o, const struct item *it, const struct show_style *style, const struct items *all)
{
    if (show_secret(it->field) && !style->secrets)
        out_text(o, "\"" SHOW_MASK "\"");
    else if (field_set_has(&all->escaped, (enum field)it->field))
        out_json_escaped(o, it->text);
    else
        out_json_string(o, it->text);
}

static void value(struct out *o, const struct item *it, const struct show_style *style, const struct items *all)
{
    switch ((enum field_type)it->type) {
    case FIELD_UINT:
        out_uint(o, it->number);
        break;
    case FIELD_BOOL:
        out_text(o, it->number != 0 ? "true" : "false");
        break;
    case FIELD_NONE:
        out_text(o, "true");
        break;
    case FIELD_TIME:
        out_seconds(o, (int64_t)it->number, 9);
        break;
    case FIELD_STRING:
    case FIELD_TEXT:
        string(o, it, style, all);
        break;
    case FIELD_BYTES:
        out_char(o, '"');
        out_hex(o, it->text, ':');
        out_char(o, '"');
        break;
    case FIELD_IPV4:
    case FIELD_IPV6:
        out_char(o, '"');
        out_ip(o, it->text);
        out_char(o, '"');
        break;
    }
}

static void element(struct out *o, const struct item *it, const struct show_style *style, const struct items *all,
                    bool first)
{
    if (!first)
        out_char(o, ',');
    value(o, it, style, all);
}

/* Every value of one field. */
static void array(struct out *o, enum field f, const struct row *row, const struct show_style *style,
                  const struct items *all)
{
    bool first = true;
    out_char(o, '[');
    if (all->all) {
        for (uint32_t i = 0; i < all->n; i++)
            if (all->kept[i].field == f) {
                element(o, &all->kept[i], style, all, first);
                first = false;
            }
    } else {
        struct field_set one = { { 0 } };
        struct item it;
        field_set_add(&one, f);
        struct item_walk walk = item_walk_of(row, &one);
        for (; item_next(&walk, &it); first = false)
            element(o, &it, style, all, first);
    }
    out_char(o, ']');
}

static void key(struct out *o, enum field f, struct items *all)
{
    out_char(o, all->begun ? ',' : '{');
    out_octets(o, keys[f].text, keys[f].len);
    all->begun = true;
}

static void member(struct out *o, const struct item *it, const struct row *row, const struct show_style *style,
                   struct items *all)
{
    enum field f = (enum field)it->field;
    if (!field_set_has(&all->repeated, f)) {
        key(o, f, all);
        value(o, it, style, all);
    } else if (!field_set_has(&all->done, f)) {
        field_set_add(&all->done, f);
        key(o, f, all);
        array(o, f, row, style, all);
    }
}

static void members(struct out *o, const struct row *row, const struct show_style *style, const struct field_set *want,
                    struct items *all)
{
    if (all->all) {
        for (uint32_t i = 0; i < all->n; i++)
            member(o, &all->kept[i], row, style, all);
        return;
    }
    struct item_walk walk = item_walk_of(row, want);
    struct item it;
    while (item_next(&walk, &it))
        member(o, &it, row, style, all);
}

/* The fields whose values are in the escaped form. */
static void escaped_names(struct out *o, const struct items *all)
{
    bool first = true;
    for (unsigned f = 0; f < FIELD_COUNT; f++) {
        if (!field_set_has(&all->escaped, (enum field)f))
            continue;
        out_text(o, first ? ",\"mqtt.invalid_utf8\":[\"" : ",\"");
        out_octets(o, field_table[f].name, field_table[f].name_len);
        out_char(o, '"');
        first = false;
    }
    if (!first)
        out_char(o, ']');
}

struct field_set show_json_fields(const struct row *row)
{
    static const uint16_t left_out[] = { FIELD_IP_ADDR,           FIELD_IPV6_ADDR,           FIELD_TCP_PORT,
                                         FIELD_FRAME_TIME,        FIELD_FRAME_TIME_RELATIVE, FIELD_FRAME_TIME_DELTA,
                                         FIELD_COMMUNITYID,       FIELD_MQTT_MSG_DECODED_AS, FIELD_WS_EXPERT,
                                         FIELD_WS_EXPERT_MESSAGE, FIELD_WS_EXPERT_SEVERITY };
    struct field_set set;
    for (size_t i = 0; i < sizeof set.bits / sizeof set.bits[0]; i++)
        set.bits[i] = UINT64_MAX;
    for (size_t i = 0; i < sizeof left_out / sizeof left_out[0]; i++)
        field_set_remove(&set, (enum field)left_out[i]);
    if (row->frame_first == row->frame) {
        field_set_remove(&set, FIELD_FIRST_FRAME);
        field_set_remove(&set, FIELD_FIRST_TIME_EPOCH);
    }
    return set;
}

/* A key that is always there. */
static void null_unless_seen(struct out *o, enum field f, const struct field_set *want, struct items *all)
{
    if (!field_set_has(want, f) || field_set_has(&all->seen, f))
        return;
    key(o, f, all);
    out_text(o, "null");
}

void show_json(struct out *o, const struct row *row, const struct show_style *style, const struct field_set *only)
{
    struct items all;
    struct field_set usual;
    const struct field_set *want = only;
    if (only == NULL) {
        if (json_fast(o, row))
            return;
        usual = show_json_fields(row);
        want = &usual;
    }
    gather(&all, row, style, want);
    members(o, row, style, want, &all);
    null_unless_seen(o, FIELD_MQTT_VER, want, &all);
    if (row->kind == ROW_PACKET)
        null_unless_seen(o, FIELD_MQTT_LEN, want, &all); /* a Remaining Length that cannot be */
    escaped_names(o, &all);
    out_text(o, all.begun ? "}\n" : "{}\n");
}
