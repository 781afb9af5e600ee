/* SPDX-License-Identifier: Apache-2.0
 *
 * A finding made small: records are left out while it still shows, largest pieces first, then what is left is said
 * simpler. */
#include <stdlib.h>
#include <string.h>

#include "fuzz/campaign/campaign.h"
#include "fuzz/judge/ledger.h"
#include "fuzz/talk/talk.h"

struct piece {
    uint32_t at, len;
};

enum {
    PIECES_MAX = 65536,
    QUICK_START_MS = 400,
    REPLAYS = 20,
    REPLAYS_SLOW = 5,
    SLOW_MS = 1000,
    SIMPLE_MAX = 65536,
    AGAIN_MS = 1000
};
#define REPLAY_NS 30000000000 /* replays may take so long behind the time for making small */

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

/* Does the talk still show it? Restarts the broker where that needs it. hasty: what may only be late counts, too. *plan
 * and *run are what was carried out; free both in any case. */
static bool try_once(struct stage *s, const struct talk *talk, struct outcome *wanted, bool hasty, struct plan *plan,
                     struct run **run)
{
    struct outcome o = { 0 };
    bool (*const wants)(void *, const struct outcome *) = s->wants;
    void *const ctx = s->wants_ctx;
    s->wants = is_wanted;
    s->wants_ctx = wanted;
    s->canary.wait_ms = AGAIN_MS;
    bool news, ok = hasty ? stage_glance(s, talk, &o) : stage_play(s, talk, false, plan, &o, &news, run);
    if (ok && !o.found && (strcmp(wanted->oracle, "crash") == 0 || strcmp(wanted->oracle, "sanitizer") == 0))
        stage_second_look(s, &o);
    if (ok && strcmp(wanted->oracle, "end") == 0) { /* shows when the broker is asked to end */
        stage_farewell(s, &o);
        ok = stage_restart(s);
    }
    s->wants = wants;
    s->wants_ctx = ctx;
    s->canary.wait_ms = 0;
    if (ok && (strcmp(o.oracle, "crash") == 0 || strcmp(o.oracle, "hang") == 0))
        ok = stage_restart(s);
    return ok && outcome_same(&o, wanted);
}

static bool shows(struct stage *s, const struct talk *talk, struct outcome *wanted, bool hasty)
{
    struct plan plan = { 0 };
    struct run *run = NULL;
    bool shown = !(s->fresh_tries && !stage_fresh(s)) && try_once(s, talk, wanted, hasty, &plan, &run);
    run_free(run);
    plan_free(&plan);
    return shown;
}

struct run *talk_show(struct stage *s, const struct talk *talk, const struct outcome *wanted, struct plan *plan)
{
    struct outcome kept = *wanted;
    struct run *run = NULL;
    *plan = (struct plan){ 0 };
    s->in_haste = true;
    bool shown = !mqfuzz_stop && stage_fresh(s) && try_once(s, talk, &kept, false, plan, &run);
    s->in_haste = false;
    if (shown)
        return run;
    run_free(run);
    return NULL;
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

/* Each record that is sent, in simpler forms, until none of them shows it any more. */
static void simplify_records(struct stage *s, struct talk *talk, struct talk *room, struct outcome *wanted,
                             int64_t until)
{
    enum { FORMS_MAX = 400 };
    uint8_t *simple = malloc(SIMPLE_MAX);
    struct talk_record record;
    for (size_t pos = 0; simple != NULL && talk_next(view_of(talk->octets, talk->len), &pos, &record);) {
        bool sends = (record.op == TALK_SEND || record.op == TALK_SPLIT) && !record.by_server;
        for (unsigned form = 0; sends && form < FORMS_MAX && runner_now_ns() < until && !mqfuzz_stop;) {
            size_t n = simpler_octets(record.octets, talk->version, form, simple, SIMPLE_MAX);
            if (n == 0)
                break;
            struct talk_record less = record;
            less.octets = view_of(simple, n);
            memcpy(room->octets, talk->octets, record.offset);
            size_t end = talk_write(room->octets, record.offset, talk->len, &less);
            if (n >= record.octets.len || end == 0) {
                form++;
                continue;
            }
            size_t behind = record.offset + record.len;
            memcpy(room->octets + end, talk->octets + behind, talk->len - behind);
            room->len = (uint32_t)(end + talk->len - behind);
            room->version = talk->version;
            if (!shows(s, room, wanted, true)) {
                form++;
                continue;
            }
            adopt(talk, room);
            pos = record.offset;
            talk_next(view_of(talk->octets, talk->len), &pos, &record);
            form = 0;
        }
    }
    free(simple);
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

/* How often it shows, each time on a fresh broker; not as often where that takes longer than until then. */
static unsigned replay(struct stage *s, const struct talk *talk, struct outcome *wanted, int64_t latest_ns,
                       unsigned *tries)
{
    unsigned shown = 0;
    *tries = REPLAYS;
    int64_t began = runner_now_ns();
    for (unsigned i = 0; i < *tries && !mqfuzz_stop; i++) {
        if (i > 0 && runner_now_ns() > latest_ns) {
            *tries = i;
            break;
        }
        shown += stage_fresh(s) && shows(s, talk, wanted, false);
        if (i + 1 == REPLAYS_SLOW && runner_now_ns() - began > (int64_t)REPLAYS_SLOW * SLOW_MS * 1000000)
            *tries = REPLAYS_SLOW;
    }
    return shown;
}

/* As it is, and with more time between its steps when chance decides too often. */
static unsigned replay_calmly(struct stage *s, struct talk *talk, struct outcome *wanted, int64_t latest_ns,
                              unsigned *tries)
{
    unsigned calm_tries, shown = replay(s, talk, wanted, latest_ns, tries);
    if (shown * 20 >= *tries * 19 || mqfuzz_stop || runner_now_ns() > latest_ns)
        return shown;
    talk->calm = true;
    unsigned calm_shown = replay(s, talk, wanted, latest_ns, &calm_tries);
    talk->calm = calm_shown * *tries > shown * calm_tries;
    if (!talk->calm)
        return shown;
    *tries = calm_tries;
    return calm_shown;
}

unsigned talk_minimise(struct stage *s, struct talk *talk, const struct outcome *outcome, unsigned seconds,
                       unsigned *tries)
{
    struct outcome kept = *outcome, *wanted = &kept;
    struct talk room = { .octets = malloc(talk->len + 1) }, before = { .octets = malloc(talk->len + 1) };
    bool shown = false;
    *tries = 0;
    s->in_haste = strcmp(wanted->oracle, "end") != 0;
    int64_t until = runner_now_ns() + (int64_t)seconds * 1000000000;
    for (unsigned i = 0; i < 3 && !shown && !mqfuzz_stop && (i == 0 || runner_now_ns() < until); i++)
        shown = stage_fresh(s) && shows(s, talk, wanted, false);
    if (shown && room.octets != NULL && before.octets != NULL) {
        adopt(&before, talk);
        before.version = talk->version;
        s->fresh_tries = s->bench->start_ns < (int64_t)QUICK_START_MS * 1000000;
        drop_records(s, talk, &room, wanted, until);
        simplify_records(s, talk, &room, wanted, until);
        s->fresh_tries = false;
        if (!(stage_fresh(s) && shows(s, talk, wanted, false)) && !(stage_fresh(s) && shows(s, talk, wanted, false)))
            adopt(talk, &before); /* made small beside state that a fresh broker does not have */
    }
    free(room.octets);
    free(before.octets);
    unsigned replayed = shown ? replay_calmly(s, talk, wanted, until + REPLAY_NS, tries) : 0;
    s->in_haste = false;
    return replayed;
}
