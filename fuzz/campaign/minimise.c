/* SPDX-License-Identifier: Apache-2.0
 *
 * A finding made small: records are left out while it still shows, largest pieces first, then the octets of payloads.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz/campaign/campaign.h"
#include "fuzz/talk.h"

struct piece {
    uint32_t at, len;
};

enum { PIECES_MAX = 4096 };

static uint32_t cut(const struct talk *talk, struct piece *out)
{
    struct talk_record record;
    size_t pos = 0;
    uint32_t n = 0;
    while (n < PIECES_MAX && talk_next(view_of(talk->octets, talk->len), &pos, &record))
        out[n++] = (struct piece){ (uint32_t)record.offset, (uint32_t)record.len };
    return n;
}

static bool same(const struct outcome *a, const struct outcome *b)
{
    bool named = strcmp(b->oracle, "crash") == 0 || strcmp(b->oracle, "sanitizer") == 0;
    return a->found && strcmp(a->oracle, b->oracle) == 0 && strcmp(a->rule, b->rule) == 0 &&
           (!named || strcmp(a->title, b->title) == 0);
}

/* Does the talk still show it? Restarts the broker where that needs it. */
static bool shows(struct stage *s, const struct talk *talk, const struct outcome *wanted)
{
    struct plan plan;
    struct outcome o = { 0 };
    struct run *run = NULL;
    bool news, ok = talk_plan(talk, &plan) && stage_perform(s, &plan, true, &o, &news, &run);
    run_free(run);
    plan_free(&plan);
    if (ok && (strcmp(o.oracle, "crash") == 0 || strcmp(o.oracle, "hang") == 0))
        ok = stage_restart(s);
    return ok && same(&o, wanted);
}

/* The talk without pieces [from, from + n). */
static void without(const struct talk *talk, const struct piece *piece, uint32_t from, uint32_t n, struct talk *out)
{
    uint32_t start = piece[from].at, end = piece[from + n - 1].at + piece[from + n - 1].len;
    memcpy(out->octets, talk->octets, start);
    memcpy(out->octets + start, talk->octets + end, talk->len - end);
    out->len = talk->len - (end - start);
    out->version = talk->version;
}

static void adopt(struct talk *talk, const struct talk *smaller)
{
    memcpy(talk->octets, smaller->octets, smaller->len);
    talk->len = smaller->len;
}

static void drop_records(struct stage *s, struct talk *talk, struct talk *room, const struct outcome *wanted,
                         int64_t until)
{
    struct piece *piece = calloc(PIECES_MAX, sizeof *piece);
    uint32_t n = piece != NULL ? cut(talk, piece) : 0;
    for (uint32_t size = n / 2; size >= 1 && runner_now_ns() < until && !mqfuzz_stop;) {
        bool dropped = false;
        for (uint32_t from = 0; n > 1 && from + size <= n && runner_now_ns() < until && !mqfuzz_stop;) {
            without(talk, piece, from, size, room);
            if (room->len > 0 && shows(s, room, wanted)) {
                adopt(talk, room);
                n = cut(talk, piece);
                dropped = true;
            } else {
                from += size;
            }
        }
        if (!dropped || size > 1)
            size /= 2;
    }
    free(piece);
}

unsigned talk_minimise(struct stage *s, struct talk *talk, const struct outcome *wanted, unsigned seconds,
                       unsigned tries)
{
    struct talk room = { .octets = malloc(talk->len + 1) };
    int64_t until = runner_now_ns() + (int64_t)seconds * 1000000000;
    unsigned shown = 0;
    if (room.octets != NULL)
        drop_records(s, talk, &room, wanted, until);
    free(room.octets);
    for (unsigned i = 0; i < tries && !mqfuzz_stop; i++)
        shown += shows(s, talk, wanted);
    return shown;
}
