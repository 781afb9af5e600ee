/* SPDX-License-Identifier: Apache-2.0
 *
 * A finding made small: records are left out while it still shows, largest pieces first, then the octets of payloads.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz/campaign/campaign.h"
#include "fuzz/campaign/ledger.h"
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

bool outcome_same(const struct outcome *a, const struct outcome *b)
{
    bool by_rule =
        strcmp(b->oracle, "violation") == 0 || strcmp(b->oracle, "resources") == 0 || strcmp(b->oracle, "hang") == 0;
    return a->found && b->found && strcmp(a->oracle, b->oracle) == 0 && strcmp(a->rule, b->rule) == 0 &&
           strcmp(a->version, b->version) == 0 && (by_rule || strcmp(a->title, b->title) == 0);
}

static bool is_wanted(void *ctx, const struct outcome *o)
{
    return outcome_same(o, ctx);
}

/* Does the talk still show it? Restarts the broker where that needs it. hasty: what may only be late counts, too. */
static bool shows(struct stage *s, const struct talk *talk, struct outcome *wanted, bool hasty)
{
    struct plan plan = { 0 };
    struct outcome o = { 0 };
    struct run *run = NULL;
    bool (*const wants)(void *, const struct outcome *) = s->wants;
    void *const ctx = s->wants_ctx;
    s->wants = is_wanted;
    s->wants_ctx = wanted;
    bool news, ok = hasty ? stage_glance(s, talk, &o) : stage_play(s, talk, &plan, &o, &news, &run);
    s->wants = wants;
    s->wants_ctx = ctx;
    run_free(run);
    plan_free(&plan);
    if (ok && (strcmp(o.oracle, "crash") == 0 || strcmp(o.oracle, "hang") == 0))
        ok = stage_restart(s);
    return ok && outcome_same(&o, wanted);
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

static void drop_records(struct stage *s, struct talk *talk, struct talk *room, struct outcome *wanted, int64_t until)
{
    struct piece *piece = calloc(PIECES_MAX, sizeof *piece);
    uint32_t n = piece != NULL ? cut(talk, piece) : 0;
    for (uint32_t size = n / 2; size >= 1 && runner_now_ns() < until && !mqfuzz_stop;) {
        bool dropped = false;
        for (uint32_t from = 0; n > 1 && from + size <= n && runner_now_ns() < until && !mqfuzz_stop;) {
            without(talk, piece, from, size, room);
            if (room->len > 0 && shows(s, room, wanted, true)) {
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

char *talk_text(const struct talk *talk, const struct outcome *outcome)
{
    struct plan plan;
    const char *title = outcome->title;
    bool slow = false;
    for (unsigned g = 0; g < GUARANTEE_COUNT; g++)
        slow = slow || (guarantee_info((enum guarantee)g)->slow &&
                        strcmp(title, guarantee_info((enum guarantee)g)->title) == 0);
    char *text = talk_plan(talk, TALK_PREFIX, slow, &plan) ? plan_print(&plan) : NULL;
    plan_free(&plan);
    return text;
}

unsigned talk_minimise(struct stage *s, struct talk *talk, const struct outcome *outcome, unsigned seconds,
                       unsigned tries)
{
    struct outcome kept = *outcome, *wanted = &kept;
    struct talk room = { .octets = malloc(talk->len + 1) };
    int64_t until = runner_now_ns() + (int64_t)seconds * 1000000000;
    unsigned shown = 0;
    if (room.octets != NULL)
        drop_records(s, talk, &room, wanted, until);
    free(room.octets);
    for (unsigned i = 0; i < tries && !mqfuzz_stop; i++)
        shown += shows(s, talk, wanted, false);
    return shown;
}
