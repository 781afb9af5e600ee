/* SPDX-License-Identifier: Apache-2.0
 *
 * What goes on beside others is only suspected: who gets a second look, alone or with patience, and who it was when the
 * broker is gone. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/campaign/run.h"

enum {
    PATIENT_TRIES = 3,
    LOOKING_MAX = 2, /* second looks at one kind at a time */
    IGNORED_FIRST = 64,
    IGNORED_MAX = 8192,   /* plans */
    CONFIRMING_SHARE = 8, /* of the time may go to trying something alone that takes its time */
    SUSPECTS = 256,
    GROUP = 8,
    BESIDE = 96,
    AGAIN_MS = 1000
};
#define LATE_NS 10000000000
#define TOGETHER_NS 10000000000 /* to find which of those beside each other it takes */

static struct kind *kind_of(struct campaign *c, const struct outcome *o)
{
    for (struct kind *k = c->kind; k < c->kind + KINDS; k++)
        if (k->outcome.found && outcome_same(&k->outcome, o))
            return k;
    return NULL;
}

/* The kind of this outcome, in the place of one that is not looked at. NULL: all are. */
static struct kind *make_kind(struct campaign *c, const struct outcome *o)
{
    struct kind *k = kind_of(c, o), *free_one = NULL;
    if (k != NULL)
        return k;
    for (k = c->kind; k < c->kind + KINDS; k++)
        if (k->looking == 0 && (free_one == NULL || k->ignored < free_one->ignored))
            free_one = k;
    if (free_one != NULL)
        *free_one = (struct kind){ .outcome = *o };
    return free_one;
}

/* Each time that a suspicion comes to nothing, its like is passed over for longer. */
static void came_to_nothing(struct campaign *c, struct kind *k)
{
    uint64_t plans = IGNORED_FIRST;
    for (unsigned i = 0; i < k->failed && plans < IGNORED_MAX; i++)
        plans *= 2;
    k->failed++;
    k->ignored = c->plans + plans;
}

bool run_is_news(void *ctx, const struct outcome *o)
{
    struct campaign *c = ctx;
    const struct kind *k = kind_of(c, o);
    return run_known(c, o) == NULL && (k == NULL || k->ignored <= c->plans);
}

/* ---- suspicions ---- */

static bool put_off(struct campaign *c, struct kind *k, const struct talk *talk, unsigned look, bool patient)
{
    struct suspicion *s = &c->pending[c->n_pending];
    if (c->n_pending == PENDING)
        return false;
    *s = (struct suspicion){ .kind = (uint16_t)(k - c->kind), .look = (uint8_t)look, .patient = patient };
    if (!talk_copy(&s->talk, talk))
        return false;
    c->n_pending++;
    return true;
}

static void looked_again(struct campaign *c, const struct flight *f, const struct outcome *o)
{
    struct kind *k = &c->kind[f->kind];
    bool certain = o->found && !o->hasty && run_known(c, o) == NULL;
    bool guarantee = strcmp(o->oracle, "guarantee") == 0; /* others' messages might push the broker to its limits */
    if (certain && !f->alone && (!guarantee || talk_keeps_to_itself(&f->talk))) {
        k->looking--;
        run_learn(c, &f->talk, o, f->run);
        return;
    }
    unsigned left = certain ? 0 : f->look - 1u;
    if ((certain || (left > 0 && run_known(c, &k->outcome) == NULL)) && put_off(c, k, &f->talk, left, true))
        return;
    came_to_nothing(c, k);
    k->looking--;
}

void run_suspect(void *ctx, struct flight *f, const struct outcome *o)
{
    struct campaign *c = ctx;
    if (f->look > 0) {
        looked_again(c, f, o);
        return;
    }
    struct kind *k = o->found && run_is_news(c, o) ? make_kind(c, o) : NULL;
    if (k == NULL || k->looking >= LOOKING_MAX)
        return;
    unsigned tries = !o->hasty ? 0 : run_over(c) ? 1 : PATIENT_TRIES;
    if (tries == 0) {
        k->looking += put_off(c, k, &f->talk, 0, false);
        return;
    }
    struct talk named = f->talk; /* what takes its time goes on beside others: with names, or alone after all */
    named.octets = malloc(TALK_MAX);
    if (named.octets == NULL)
        return;
    memcpy(named.octets, f->talk.octets, f->talk.len);
    talk_give_names(&named, TALK_MAX);
    bool beside = talk_has_names(&named);
    k->looking += put_off(c, k, &named, beside ? tries : 0, !beside);
    free(named.octets);
}

/* Alone, and looked at from all sides. */
static void perform(struct campaign *c, const struct talk *talk, bool patient)
{
    struct plan plan;
    struct outcome o;
    struct run *run = NULL;
    bool news, ok = stage_play(&c->stage, talk, patient, &plan, &o, &news, &run);
    if (ok)
        run_learn(c, talk, &o, run);
    c->trouble = c->trouble || !ok;
    run_free(run);
    plan_free(&plan);
}

static void confirm(struct campaign *c, const struct suspicion *s)
{
    struct kind *k = &c->kind[s->kind];
    int64_t began = runner_now_ns();
    flights_drain(&c->flights, false);
    if (run_known(c, &k->outcome) == NULL)
        perform(c, &s->talk, s->patient);
    if (run_known(c, &k->outcome) == NULL)
        came_to_nothing(c, k);
    k->looking--;
    c->confirming_ns += s->patient ? runner_now_ns() - began : 0;
}

/* Begun beside the others, or done. False: it has to wait. */
static bool follow(struct campaign *c, const struct suspicion *s)
{
    bool late = run_over(c) && runner_now_ns() - c->began_ns > LATE_NS + (int64_t)c->command->time_s * 1000000000;
    if (mqfuzz_stop || c->trouble || late) {
        c->kind[s->kind].looking--;
        return true;
    }
    int64_t share = (runner_now_ns() - c->began_ns) / CONFIRMING_SHARE;
    if (s->look == 0 && (!s->patient || c->confirming_ns < share || run_over(c))) {
        confirm(c, s);
        return true;
    }
    if (s->look == 0 || (!run_over(c) && !run_slow_now(c, 2)))
        return false;
    if (!flights_begin(&c->flights, &s->talk, c->plans, s->look, s->kind, true))
        c->kind[s->kind].looking--;
    return true;
}

void run_follow_suspicions(struct campaign *c)
{
    uint32_t n = c->n_pending, kept = 0;
    if (n == 0)
        return;
    for (uint32_t i = 0; i < n; i++) {
        struct suspicion s = c->pending[i];
        if (follow(c, &s))
            free(s.talk.octets);
        else
            c->pending[kept++] = s;
    }
    for (uint32_t i = n; i < c->n_pending; i++) /* that came meanwhile */
        c->pending[kept++] = c->pending[i];
    c->n_pending = kept;
}

/* ---- who did it? ---- */

static bool ended_by(const struct outcome *o)
{
    return strcmp(o->oracle, "crash") == 0 || strcmp(o->oracle, "hang") == 0;
}

/* The broker is gone, or to begin anew. */
static void begin_anew(struct campaign *c)
{
    c->trouble = !stage_restart(&c->stage) || c->trouble;
}

void run_learn(struct campaign *c, const struct talk *talk, const struct outcome *o, struct run *run)
{
    if (o->found && run_known(c, o) == NULL && run_claim_finding(c, o)) {
        run_found(c, talk, o, run);
    } else if (o->found && ended_by(o)) {
        begin_anew(c);
        run_forget_history(c);
    }
}

/* Some of them, beside each other as they were, on a broker that is fresh or was blameless so far. One that shows it by
 * itself is the finding. */
static bool group_shows(struct campaign *c, const struct flight *const *suspects, unsigned n,
                        const struct outcome *wanted)
{
    struct flight *again = calloc(n, sizeof *again);
    struct stage *s = &c->stage;
    struct outcome o;
    if (again == NULL)
        return false;
    for (unsigned i = 0; i < n; i++)
        if (stage_prepare(s, &suspects[i]->talk, 0, false, &again[i]))
            stage_begin(s, &again[i]);
    for (unsigned i = 0; i < n; i++)
        while (again[i].run != NULL && !again[i].ended)
            stage_turn(s, 1000);
    if (!stage_alarm(s, true, &o))
        stage_second_look(s, &o);
    bool shown = outcome_same(&o, wanted);
    if (shown && n == 1)
        run_learn(c, &again[0].talk, &o, again[0].run);
    else if (shown || (o.found && ended_by(&o)))
        begin_anew(c);
    for (struct flight **f = &s->ended; *f != NULL;)
        if (*f >= again && *f < again + n)
            *f = (*f)->next_ended;
        else
            f = &(*f)->next_ended;
    for (unsigned i = 0; i < n; i++)
        flight_clear(&again[i]);
    free(again);
    return shown;
}

/* Of those that show it beside each other, as few as do so in some seconds; at least two. */
static unsigned fewer(struct campaign *c, const struct outcome *wanted, const struct flight **suspects, unsigned n)
{
    int64_t until = runner_now_ns() + TOGETHER_NS;
    for (unsigned size = n / 2; size >= 1 && !c->trouble && !mqfuzz_stop; size /= 2)
        for (unsigned from = 0; n > 2 && from + size <= n && n - size >= 2 && runner_now_ns() < until && !c->trouble;) {
            const struct flight *rest[FLIGHTS];
            memcpy(rest, suspects, from * sizeof *rest);
            memcpy(rest + from, suspects + from + size, (n - from - size) * sizeof *rest);
            if (!group_shows(c, rest, n - size, wanted)) {
                from += size;
                continue;
            }
            n -= size;
            memcpy(suspects, rest, n * sizeof *rest);
        }
    return n;
}

/* None of them showed it alone: do all, beside each other? Says what is known. */
static void try_together(struct campaign *c, struct outcome *o, const struct flight **suspects, unsigned n)
{
    const struct outcome wanted = *o;
    size_t len = strlen(o->why), size = 0;
    bool shown = n > 1 && !c->trouble && !mqfuzz_stop && group_shows(c, suspects, n, &wanted);
    unsigned few = shown ? fewer(c, &wanted, suspects, n) : n;
    if (!shown) {
        snprintf(o->why + len, sizeof o->why - len, "; the plan is the latest of the %u that may have done it", n);
        return;
    }
    snprintf(o->why + len, sizeof o->why - len, "; seen again with %u plans beside each other, with none of them alone",
             few);
    FILE *f = open_memstream(&c->beside, &size);
    for (unsigned i = 0; f != NULL && i < few && i < GROUP; i++) {
        char *text = talk_text(&suspects[i]->talk, o);
        fprintf(f, "# %u of %u plans that were under way beside each other\n%s\n", i + 1, few,
                text != NULL ? text : "");
        free(text);
    }
    if (f != NULL)
        fclose(f);
}

static bool hunt(struct campaign *c, const struct outcome *wanted, const struct flight *const *suspects, unsigned n)
{
    for (unsigned from = 0; from < n && !c->trouble && !mqfuzz_stop; from += GROUP) {
        unsigned size = n - from < GROUP ? n - from : GROUP;
        if (!group_shows(c, suspects + from, size, wanted))
            continue;
        for (unsigned i = from; i < from + size && !c->trouble && !mqfuzz_stop; i++)
            if (group_shows(c, suspects + i, 1, wanted))
                return true;
    }
    return false;
}

void run_attend(struct campaign *c, bool now)
{
    struct outcome o;
    const struct flight *suspects[FLIGHTS];
    if (c->trouble || !stage_alarm(&c->stage, now, &o) || (!ended_by(&o) && run_known(c, &o) != NULL))
        return;
    unsigned n = flights_suspects(&c->flights, suspects);
    n = n < SUSPECTS ? n : SUSPECTS;
    flights_fewer(&c->flights);
    if (run_known(c, &o) != NULL || c->command->spawn == NULL || n == 0) {
        run_learn(c, n > 0 ? &suspects[0]->talk : &(struct talk){ .version = MQTT_V311 }, &o, NULL);
        return;
    }
    begin_anew(c);
    uint32_t patience = c->stage.canary.wait_ms;
    c->stage.canary.wait_ms = AGAIN_MS;
    bool shown = hunt(c, &o, suspects, n);
    c->stage.canary.wait_ms = patience;
    if (!shown)
        try_together(c, &o, suspects, n < BESIDE ? n : BESIDE);
    if (!shown && !c->trouble)
        run_learn(c, &suspects[0]->talk, &o, NULL);
    run_forget_history(c);
}
