/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/campaign/flights.h"

#include <stdlib.h>

enum {
    QUICK_MAX = 64, /* at a time */
    QUICK_FIRST = 8,
    SLOW_MAX = 48,
    SLOW_MS = 200,    /* of waits on purpose */
    WINDOW = 1024,    /* plans until one is learned from */
    PLANS_PER_MS = 4, /* and as many more for what waits on purpose */
    EASY_US = 5000,   /* answers this quick leave room for more */
    HEAVY_US = 15000
};

void flights_init(struct flights *fs, struct stage *stage, const struct flights_host *host)
{
    *fs = (struct flights){ .stage = stage, .host = *host, .limit = QUICK_FIRST };
}

void flight_clear(struct flight *f)
{
    run_free(f->run);
    plan_free(&f->plan);
    free(f->talk.octets);
    *f = (struct flight){ 0 };
}

static bool take_off(struct flights *fs, struct flight *f)
{
    f->begun = fs->begun++;
    return stage_begin(fs->stage, f);
}

/* Those that go alone wait for each other, and hold up nobody else. */
static void begin_lone(struct flights *fs)
{
    const struct flight *lone = fs->lone;
    if (fs->n_waiting == 0 || (lone != NULL && lone->alone && lone->run != NULL && !lone->ended))
        return;
    struct flight *f = &fs->at[fs->waiting[fs->first_waiting]];
    if (!f->slow && fs->stage->quick >= fs->limit)
        return;
    fs->first_waiting = (fs->first_waiting + 1) % FLIGHTS;
    fs->n_waiting--;
    f->waiting = false;
    fs->lone = f;
    take_off(fs, f); /* no memory: it is not looked at */
}

static void turn(struct flights *fs)
{
    begin_lone(fs);
    stage_turn(fs->stage, 1000);
    begin_lone(fs);
}

static void learn(struct flights *fs, struct flight *f)
{
    while (f->waiting || (f->run != NULL && !f->ended)) {
        if (mqfuzz_stop)
            runner_abort(&fs->stage->runner, "stopped");
        turn(fs);
    }
    flights_look(fs);
    if (f->looked && f->look == 0)
        fs->host.learned(fs->host.ctx, f, stage_new_shape(fs->stage, f->states) || f->edges);
    flight_clear(f);
    fs->due[f - fs->at] = 0;
}

/* The one whose turn comes first. Where two have the same, the earlier place goes first. NULL: there is none. */
static struct flight *next_due(struct flights *fs)
{
    uint64_t least = UINT64_MAX;
    uint32_t first = FLIGHTS;
    for (uint32_t i = 0; i < FLIGHTS; i++) {
        bool sooner = fs->due[i] != 0 && fs->due[i] < least;
        first = sooner ? i : first;
        least = sooner ? fs->due[i] : least;
    }
    return first < FLIGHTS ? &fs->at[first] : NULL;
}

void flights_learn(struct flights *fs, uint64_t number)
{
    for (struct flight *f; (f = next_due(fs)) != NULL && fs->due[f - fs->at] <= number && !mqfuzz_stop;)
        learn(fs, f);
}

static uint32_t free_place(struct flights *fs)
{
    for (;;) {
        for (uint32_t i = 0; i < FLIGHTS; i++, fs->next_free++)
            if (fs->due[fs->next_free % FLIGHTS] == 0)
                return fs->next_free++ % FLIGHTS;
        learn(fs, next_due(fs));
    }
}

static uint32_t waits_ms(const struct plan *plan)
{
    uint32_t ms = 0;
    for (uint32_t i = 0; i < plan->n; i++)
        ms += plan->step[i].op == PLAN_WAIT ? plan->step[i].ms : 0;
    return ms;
}

/* As many beside each other as are answered soon. Whose edges are counted goes alone, but for what only waits. */
static void find_pace(struct flights *fs)
{
    uint32_t us = fs->stage->runner.mean_us;
    if (fs->stage->traced)
        fs->limit = 1;
    else if (us > HEAVY_US && fs->limit > 2)
        fs->limit--;
    else if (us < EASY_US && fs->limit < QUICK_MAX && fs->begun % 4 == 0)
        fs->limit++;
}

static bool begin(struct flights *fs, struct flight *f)
{
    find_pace(fs);
    if (f->alone) {
        f->waiting = true;
        fs->waiting[(fs->first_waiting + fs->n_waiting++) % FLIGHTS] = (uint16_t)(f - fs->at);
        begin_lone(fs);
        return true;
    }
    while (f->slow ? fs->stage->slow >= SLOW_MAX : fs->stage->quick >= fs->limit)
        turn(fs);
    return take_off(fs, f);
}

bool flights_begin(struct flights *fs, const struct talk *talk, uint64_t number, unsigned look, unsigned kind, bool own)
{
    uint32_t place = free_place(fs);
    struct flight *f = &fs->at[place];
    *f = (struct flight){ .look = (uint8_t)look, .kind = (uint16_t)kind, .own = own, .alone = !talk_has_names(talk) };
    if (!stage_prepare(fs->stage, talk, look > 0 ? 0 : number, look > 0, f)) {
        flight_clear(f);
        return false;
    }
    uint32_t ms = waits_ms(&f->plan);
    f->slow = ms >= SLOW_MS;
    if (begin(fs, f)) {
        fs->due[place] = number + WINDOW + (f->slow ? (uint64_t)ms * PLANS_PER_MS : 0);
        return true;
    }
    flight_clear(f);
    return false;
}

void flights_look(struct flights *fs)
{
    while (fs->stage->ended != NULL) {
        struct flight *f = fs->stage->ended;
        struct outcome o;
        fs->stage->ended = f->next_ended;
        f->looked = stage_look(fs->stage, f, &o);
        if (f->looked)
            fs->host.ended(fs->host.ctx, f, &o);
        run_free(f->run);
        plan_free(&f->plan);
        f->run = NULL;
    }
}

void flights_drain(struct flights *fs, bool all)
{
    const struct stage *s = fs->stage;
    while (!all && s->quick > 0 && !mqfuzz_stop)
        stage_turn(fs->stage, 1000); /* those that wait for their turn wait on */
    while (all && (s->quick > 0 || s->slow > 0 || fs->n_waiting > 0) && !mqfuzz_stop)
        turn(fs);
}

bool flights_any(const struct flights *fs)
{
    for (uint32_t i = 0; i < FLIGHTS; i++)
        if (fs->due[i] != 0)
            return true;
    return false;
}

void flights_fewer(struct flights *fs)
{
    fs->limit = fs->limit > 1 ? fs->limit / 2 : 1;
}

static int likelier(const void *a, const void *b)
{
    const struct flight *x = *(const struct flight *const *)a, *y = *(const struct flight *const *)b;
    if (x->ended != y->ended)
        return x->ended - y->ended;
    return x->begun < y->begun ? 1 : -1;
}

unsigned flights_suspects(const struct flights *fs, const struct flight *out[FLIGHTS])
{
    unsigned n = 0;
    for (uint32_t i = 0; i < FLIGHTS; i++)
        if (fs->due[i] != 0 && !fs->at[i].waiting && fs->at[i].starts == fs->stage->starts)
            out[n++] = &fs->at[i];
    qsort(out, n, sizeof *out, likelier);
    return n;
}

void flights_free(struct flights *fs)
{
    if (fs->stage == NULL)
        return;
    runner_abort(&fs->stage->runner, "stopped");
    while (fs->stage->quick > 0 || fs->stage->slow > 0)
        stage_turn(fs->stage, 0);
    for (struct flight *f = fs->at; f < fs->at + FLIGHTS; f++)
        flight_clear(f);
    fs->stage->ended = NULL;
}
