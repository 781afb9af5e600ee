/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/target/stats.c -- a conversation, through the tracker, into one of the tables of -z, as it is or masked. Claims:
 * what is no table is refused with a printable message; every table is printable text, and as JSON one valid object a
 * line; memory that is too small is refused, and whatever suffices takes any rows.
 *
 * The six upper bits of the octet of scene choose the table, the length of the input its memory and the masks. */
#include "fuzz/target/target.h"

#include <stdlib.h>
#include <string.h>

#include "decoder/stats/stats.h"
#include "fuzz/engine/output.h"
#include "fuzz/engine/watch.h"
#include "fuzz/talk/talk.h"

const struct fuzz_target fuzz_target = { "stats", FUZZ_TALK };

enum { ROOM = 4 << 20, MEMORY = 1 << 20, LITTLE = 96 << 10, RECORDS_MAX = 400 };

static const char *const specs[] = { "types",
                                     "conv",
                                     "topics",
                                     "clients",
                                     "io,0.001,mqtt.qos > 0",
                                     "sessions",
                                     "exchanges",
                                     "findings",
                                     "latency",
                                     "stats",
                                     "io,0",
                                     "io,1.5",
                                     "io,0.0005",
                                     "io,1x",
                                     "io,",
                                     "io,1,mqtt.qos >",
                                     "io,10000000000",
                                     "io,.1234567890",
                                     "io,0.001,mqtt.msg matches \"(a+)+$\"",
                                     "types,1",
                                     "no\x1b[1m\xff" };

static char room[ROOM];
static _Alignas(64) uint8_t memory[MEMORY], masks[REDACT_TEXTS + 65536];

struct run {
    struct stats *stats;
    struct redact redact; /* kinds 0: nothing is masked */
};

static void on_row(void *ctx, const struct row *row)
{
    struct run *r = ctx;
    stats_row(r->stats, r->redact.kinds != 0 ? redact_row(&r->redact, row) : row);
}

static void on_exchange(void *ctx, const struct track_exchange *x)
{
    struct run *r = ctx;
    struct track_exchange masked = redact_exchange(&r->redact, x);
    HOLDS(masked.number == x->number && masked.client_id.len == x->client_id.len && masked.topic.len == x->topic.len);
    stats_exchange(r->stats, &masked);
}

static void on_finding(void *ctx, const struct track_finding *f)
{
    struct run *r = ctx;
    struct track_finding masked = redact_finding(&r->redact, f);
    HOLDS(masked.number == f->number && masked.client_id.len == f->client_id.len && masked.topic.len == f->topic.len);
    stats_finding(r->stats, &masked);
}

static void on_session(void *ctx, const struct track_session_event *e)
{
    struct run *r = ctx;
    struct track_session_event masked = redact_session(&r->redact, e);
    HOLDS(masked.session == e->session && masked.client_id.len == e->client_id.len);
}

static void check_text(const struct out *o, bool json)
{
    struct view text = view_of(o->at, o->len);
    HOLDS(o->lost == 0 && output_is_text(text, "\n"));
    HOLDS(!json || output_is_json_lines(text));
}

static void check_printed(struct stats *s, const struct track *track)
{
    static const struct stats_figure figures[] = { { "frames", "frames", UINT64_MAX }, { "octets", "octets", 1 } };
    stats_figures(s, figures, 2);
    for (unsigned json = 0; json < 2; json++) {
        struct out o = out_over(room, ROOM), without = out_over(room, ROOM);
        stats_print(s, &o, json, track);
        check_text(&o, json);
        stats_print(s, &without, json, NULL);
        check_text(&without, json);
    }
}

/* The list that a refusal points to has every table in it. */
static void check_help(void)
{
    struct out o = out_over(room, ROOM);
    stats_help(&o);
    check_text(&o, false);
    room[o.len] = '\0';
    for (unsigned i = 0; stats_name(i) != NULL; i++)
        HOLDS(strstr(room, stats_name(i)) != NULL);
}

static void follow(struct run *r, struct view talk)
{
    struct watch *w = calloc(1, sizeof *w);
    struct track_config config;
    struct talk_record record;
    size_t pos = 0;
    HOLDS(w != NULL);
    track_defaults(&config);
    config.max_sessions = talk.len % 2 ? 3 : config.max_sessions;
    w->row = on_row;
    w->exchange = on_exchange;
    w->finding = on_finding;
    w->session = on_session;
    w->ctx = r;
    HOLDS(watch_start(w, &config));
    for (unsigned n = 0; n < RECORDS_MAX && talk_next(talk, &pos, &record); n++)
        watch_record(w, &record);
    check_printed(r->stats, w->track);
    watch_end(w);
    check_printed(r->stats, NULL);
    free(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned kinds[] = { 0, REDACT_ALL, REDACT_CLIENTS, REDACT_TOPICS };
    char error[STATS_ERROR_MAX];
    if (size < 2)
        return 0;
    const char *spec = specs[(data[0] >> 2) % (sizeof specs / sizeof *specs)];
    size_t given = size % 2 ? size * 40503 % LITTLE : MEMORY; /* any size, from one length to the next */
    struct run run = { .redact = { .kinds = kinds[size / 8 % 4], .memory = masks, .size = sizeof masks } };
    memset(memory, 0, given);
    run.stats = stats_open(spec, memory, given, error);
    if (run.stats == NULL) {
        HOLDS(memchr(error, '\0', sizeof error) != NULL && error[0] != '\0');
        HOLDS(output_is_text(view_of(error, strlen(error)), "\n"));
        check_help();
        return 0;
    }
    if (run.redact.kinds != 0)
        stats_redact(run.stats, &run.redact);
    follow(&run, view_of(data + 1, size - 1));
    return 0;
}
