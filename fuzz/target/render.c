/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/target/render.c -- rows in every output. Claims: text, tree, octets and columns are well-formed UTF-8 without
 * control characters; JSON and EVE are one valid object a line; a buffer that is too small loses octets, counts them
 * and changes nothing else; octets of items lie inside the packet. */
#include "fuzz/target/target.h"

#include <string.h>

#include "decoder/show/eve.h"
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
    unsigned rest;
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
    show_json(o, row, &s->style, s->rest & 1 ? &s->columns.set : NULL);
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

static void each(void *ctx, const struct row *row)
{
    struct screen *s = ctx;
    check_items(row);
    check_text(s, row, line, s->style.color ? "\n\x1b" : "\n");
    check_text(s, row, tree, s->style.color ? "\n\x1b" : "\n");
    check_text(s, row, hex, s->style.color ? "\n\x1b" : "\n");
    check_text(s, row, columns, "\n\t");
    check_text(s, row, json, "\n");
    check_json(s, row, json);
    check_text(s, row, eve, "\n");
    check_json(s, row, eve);
}

/* Cleared for each input: allocating as much would take longer than all the rest. */
static char room[ROOM];
static struct eve_connection_slot connections[EVE_CONNECTIONS];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum field fields[] = { FIELD_FRAME_NUMBER, FIELD_MQTT_TOPIC,    FIELD_MQTT_CLIENTID,
                                         FIELD_MQTT_MSG,     FIELD_MQTT_USERNAME, FIELD_COMMUNITYID };
    if (size < 2)
        return 0;
    struct fuzz_scene scene = fuzz_scene(data[0]);
    struct screen s = { .rest = scene.rest, .columns = show_columns_default() };
    s.style.secrets = (scene.rest & 2) != 0;
    s.style.color = (scene.rest & 4) != 0;
    s.style.time = (uint8_t)(size % (SHOW_TIME_UTC_DATE + 1));
    s.eve.payload_limit = EVE_PAYLOAD_LIMIT;
    s.eve.secrets = s.style.secrets;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        HOLDS(show_columns_add(&s.columns, fields[i]));
    memset(connections, 0, sizeof connections);
    s.room = room;
    s.eve.connections = connections;
    rows_of(view_of(data + 1, size - 1), scene, each, &s);
    return 0;
}
