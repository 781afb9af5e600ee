/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/target/stats.c -- rows into the tables of -z. Claims: every table is printable text, and as JSON one valid
 * object a line; a table in a fixed memory takes any rows. */
#include "fuzz/target/target.h"

#include <stdio.h>
#include <string.h>

#include "decoder/stats/stats.h"
#include "fuzz/engine/output.h"
#include "fuzz/engine/rows.h"

const struct fuzz_target fuzz_target = { "stats", FUZZ_STREAM };

enum { ROOM = 4 << 20 };

static char room[ROOM];
static _Alignas(64) uint8_t memory[STATS_MEMORY_MIN];

static void each(void *ctx, const struct row *row)
{
    stats_row(ctx, row);
}

static void check_printed(struct stats *s, bool json)
{
    struct out o = out_over(room, ROOM);
    stats_print(s, &o, json, NULL);
    struct view text = view_of(o.at, o.len);
    HOLDS(o.lost == 0 && output_is_text(text, "\n"));
    HOLDS(!json || output_is_json_lines(text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char error[STATS_ERROR_MAX], spec[64];
    if (size < 2)
        return 0;
    struct fuzz_scene scene = fuzz_scene(data[0]);
    unsigned kinds = 0;
    while (stats_name(kinds) != NULL)
        kinds++;
    const char *name = stats_name((unsigned)(size + scene.rest) % kinds);
    snprintf(spec, sizeof spec, "%s%s", name, strncmp(name, "io", 2) == 0 ? ",0.001,mqtt.qos > 0" : "");
    memset(memory, 0, sizeof memory);
    struct stats *s = stats_open(spec, memory, sizeof memory, error);
    if (s == NULL) {
        HOLDS(memchr(error, '\0', sizeof error) != NULL && output_is_text(view_of(error, strlen(error)), "\n"));
        return 0;
    }
    rows_of(view_of(data + 1, size - 1), scene, each, s);
    check_printed(s, false);
    check_printed(s, true);
    return 0;
}
