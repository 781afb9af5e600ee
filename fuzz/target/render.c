/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/target/render.c -- rows in every output, as they are or masked. Claims: text, tree, octets and columns are
 * well-formed UTF-8 without control characters; JSON and EVE are one valid object a line; the quick way to JSON writes
 * what the walk writes; a buffer that is too small loses octets, counts them and changes nothing else, one that is
 * emptied on the way loses none; octets of items lie inside the packet; masks keep lengths and are the same again.
 *
 * The scene chooses what is shown and the length of the input how: time, columns, EVE, masks (style_of). */
#include "fuzz/target/target.h"

#include <limits.h>
#include <string.h>

#include "decoder/show/eve.h"
#include "decoder/show/redact.h"
#include "decoder/show/show.h"
#include "fuzz/engine/output.h"
#include "fuzz/engine/rows.h"

const struct fuzz_target fuzz_target = { "render", FUZZ_STREAM };

enum { ROOM = 4 << 20, SMALL = 100 };

struct screen {
    char *room;
    struct show_style style;
    struct show_columns columns;
    struct eve eve;
    struct redact redact; /* kinds 0: rows as they are */
    bool few_fields;      /* of JSON */
    size_t drained;
};

static struct view written(const struct out *o)
{
    return view_of(o->at, o->len);
}

static void check_items(const struct row *row)
{
    struct item_walk walk = item_walk_of(row, NULL);
    struct item item;
    unsigned n = 0;
    while (item_next(&walk, &item)) {
        HOLDS(item.field < FIELD_COUNT);
        if (row->kind == ROW_PACKET)
            HOLDS((uint64_t)item.offset + item.len <= row->packet->held);
        HOLDS(item.text.len == 0 || item.text.ptr != NULL);
        n++;
    }
    HOLDS(n > 5);
}

/* Of an output that is written for the second time, through a small buffer. */
static void compare(struct out *o)
{
    struct screen *s = o->owner;
    HOLDS(memcmp(s->room + s->drained, o->at, o->len) == 0);
    s->drained += o->len;
    o->len = 0;
}

static void check_text(struct screen *s, const struct row *row,
                       void (*show)(struct screen *, struct out *, const struct row *), const char *allowed)
{
    char small[SMALL + 8];
    struct out o = out_over(s->room, ROOM), cut = out_over(small, SMALL);
    show(s, &o, row);
    HOLDS(o.lost == 0 && output_is_text(written(&o), allowed));
    memset(small, 0x5a, sizeof small);
    show(s, &cut, row);
    HOLDS(cut.len + cut.lost == o.len && cut.len <= SMALL && memcmp(small, s->room, cut.len) == 0);
    HOLDS(small[SMALL] == 0x5a);
    struct out in_parts = { .at = small, .cap = SMALL, .drain = compare, .owner = s };
    s->drained = 0;
    show(s, &in_parts, row);
    compare(&in_parts);
    HOLDS(in_parts.lost == 0 && s->drained == o.len);
}

static void line(struct screen *s, struct out *o, const struct row *row)
{
    struct show_style style = s->style;
    show_text(o, row, &style);
}

static void tree(struct screen *s, struct out *o, const struct row *row)
{
    show_tree(o, row, &s->style);
}

static void hex(struct screen *s, struct out *o, const struct row *row)
{
    show_hex(o, row, &s->style);
}

static void columns(struct screen *s, struct out *o, const struct row *row)
{
    show_columns(o, row, &s->style, &s->columns);
}

static void json(struct screen *s, struct out *o, const struct row *row)
{
    show_json(o, row, &s->style, s->few_fields ? &s->columns.set : NULL);
}

static void eve(struct screen *s, struct out *o, const struct row *row)
{
    eve_row(&s->eve, o, row);
}

static void check_json(struct screen *s, const struct row *row,
                       void (*show)(struct screen *, struct out *, const struct row *))
{
    struct out o = out_over(s->room, ROOM);
    show(s, &o, row);
    HOLDS(o.lost == 0 && o.len > 0 && output_is_json_lines(written(&o)));
}

/* The usual row has a writer of its own, for speed; with the fields said, all go the long way. */
static void check_quick(struct screen *s, const struct row *row)
{
    struct field_set usual = show_json_fields(row);
    struct out o = out_over(s->room, ROOM / 2), again = out_over(s->room + ROOM / 2, ROOM / 2);
    show_json(&o, row, &s->style, NULL);
    show_json(&again, row, &s->style, &usual);
    HOLDS(o.lost == 0 && o.len == again.len && memcmp(o.at, again.at, o.len) == 0);
}

static bool same_shape(const struct row *a, const struct row *b)
{
    if (a->kind != b->kind || a->client_id.len != b->client_id.len || a->alias_topic.len != b->alias_topic.len)
        return false;
    if (a->kind == ROW_GAP)
        return true;
    const struct mqtt_packet *p = a->packet, *q = b->packet;
    return p->type == q->type && p->held == q->held && p->remaining == q->remaining && p->cut == q->cut &&
           p->header_len == q->header_len;
}

/* The row with its values masked, as the kinds say. Masking it again gives the same. */
static const struct row *masked(struct screen *s, const struct row *row)
{
    struct out o = out_over(s->room, ROOM / 2), again = out_over(s->room + ROOM / 2, ROOM / 2);
    show_json(&o, redact_row(&s->redact, row), &s->style, NULL);
    const struct row *result = redact_row(&s->redact, row);
    show_json(&again, result, &s->style, NULL);
    HOLDS(o.lost == 0 && o.len == again.len && memcmp(o.at, again.at, o.len) == 0);
    HOLDS(same_shape(row, result));
    return result;
}

static void each(void *ctx, const struct row *row)
{
    struct screen *s = ctx;
    if (s->redact.kinds != 0)
        row = masked(s, row);
    check_items(row);
    check_quick(s, row);
    check_text(s, row, line, s->style.color ? "\n\x1b" : "\n");
    check_text(s, row, tree, s->style.color ? "\n\x1b" : "\n");
    check_text(s, row, hex, s->style.color ? "\n\x1b" : "\n");
    check_text(s, row, columns, "\n\t");
    check_text(s, row, json, "\n");
    check_json(s, row, json);
    check_text(s, row, eve, "\n");
    check_json(s, row, eve);
}

/* Whatever a number is, it has a name, or none. */
static void check_names(unsigned n)
{
    const char *const names[] = { mqtt_type_name(n),     mqtt_version_name(n),    mqtt_severity_name(n),
                                  mqtt_side_name(n),     track_kind_name(n),      track_outcome_name(n),
                                  track_link_name(n),    track_will_name(n),      track_change_name(n),
                                  mqtt_rule_info(n)->id, track_diag_info(n)->name };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        HOLDS(names[i] != NULL && output_is_text(view_of(names[i], strlen(names[i])), ""));
    HOLDS(n < 16 || (mqtt_type_sender(n, MQTT_V5) == MQTT_NOBODY && mqtt_type_flags(n) == 0));
    HOLDS(n <= 0xff || (mqtt_reason_name(MQTT_CONNACK, n) == NULL && mqtt_disconnect_sender(n) == MQTT_NOBODY));
    HOLDS(n < 16 || (mqtt_reason_name(n, 0) == NULL && mqtt_return_name(n) == NULL));
    const struct mqtt_rule_info *rule = mqtt_rule_info(n);
    HOLDS(n == 0 || n >= MQTT_RULE_COUNT ||
          strcmp(mqtt_rule_info(mqtt_rule_by_id(rule->id, rule->version))->id, rule->id) == 0);
    HOLDS(mqtt_rule_by_id("MQTT-0.0.0-0", n) == MQTT_RULE_NONE);
}

/* What is written around rows. */
static void check_frame(struct screen *s)
{
    static const struct eve_counter counters[] = { { "packets", 3 }, { "octets", UINT64_MAX } };
    struct out o = out_over(s->room, ROOM);
    show_columns_header(&o, &s->columns);
    HOLDS(o.lost == 0 && output_is_text(written(&o), "\n\t"));
    o.len = 0;
    eve_stats(&s->eve, &o, -1, counters, 2);
    HOLDS(o.lost == 0 && output_is_text(written(&o), "\n") && output_is_json_lines(written(&o)));
}

static int32_t west_of_utc(int64_t epoch_s)
{
    return epoch_s < 1700000000 ? -3600 : -34200;
}

static const char *interface_name(void *ctx, uint32_t interface_id)
{
    (void)ctx;
    return interface_id == 0 ? "eth0" : "wlan\"1";
}

static void columns_of(struct show_columns *c, unsigned how)
{
    static const enum field few[] = { FIELD_FRAME_NUMBER, FIELD_MQTT_TOPIC,    FIELD_MQTT_CLIENTID,
                                      FIELD_MQTT_MSG,     FIELD_MQTT_USERNAME, FIELD_COMMUNITYID };
    *c = show_columns_default();
    for (size_t i = 0; i < sizeof few / sizeof *few; i++)
        HOLDS(show_columns_add(c, few[i]));
    for (unsigned f = 0; how % 4 == 3 && f < FIELD_COUNT; f++)
        HOLDS(show_columns_add(c, (enum field)f) == (c->n < SHOW_COLUMNS_MAX || c->fields[c->n - 1] == f));
    c->occurrence = "afla"[how % 4];
    c->quote = how % 4 == 1 ? '"' : 0;
}

static void style_of(struct screen *s, unsigned rest, size_t size, uint8_t *masks)
{
    static const char *const kinds[] = { "passwords,usernames", "clientids,topics", "payloads", "all", "none" };
    static const uint32_t limits[] = { EVE_PAYLOAD_LIMIT, 0, 5, EVE_PAYLOAD_LIMIT };
    unsigned how = (unsigned)(size / (SHOW_TIME_UTC_DATE + 1));
    s->few_fields = rest & 1;
    s->style.secrets = s->eve.secrets = (rest & 2) != 0;
    s->style.color = (rest & 4) != 0;
    s->style.time = (uint8_t)(size % (SHOW_TIME_UTC_DATE + 1));
    s->style.utc_offset_s = how % 2 ? west_of_utc : NULL;
    s->eve.payload_limit = limits[how % 4];
    s->eve.sensor = how % 4 == 1 ? "sensor \"1\"" : NULL;
    s->eve.interface_name = how % 4 == 2 ? interface_name : NULL;
    columns_of(&s->columns, how);
    s->redact = (struct redact){ .kinds = how % 3 == 2 ? redact_kinds(kinds[how / 3 % 5]) : 0,
                                 .key = "sixteen octets",
                                 .memory = masks,
                                 .size = REDACT_TEXTS + 65536 };
}

/* Cleared for each input: allocating as much would take longer than all the rest. */
static char room[ROOM];
static uint8_t masks[REDACT_TEXTS + 65536];
static struct eve_connection_slot connections[EVE_CONNECTIONS];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct fuzz_scene scene = fuzz_scene(data[0]);
    struct screen s = { .room = room };
    style_of(&s, scene.rest, size, masks);
    memset(connections, 0, sizeof connections);
    s.eve.connections = connections;
    check_names((unsigned)size);
    check_names((unsigned)size / 16);
    check_names(UINT_MAX - (unsigned)size);
    check_frame(&s);
    rows_of(view_of(data + 1, size - 1), scene, each, &s);
    return 0;
}
