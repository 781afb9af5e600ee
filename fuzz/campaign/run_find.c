/* SPDX-License-Identifier: Apache-2.0
 *
 * What mqfuzz run found: announced, saved, and made small. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/campaign/run.h"
#include "fuzz/talk/talk.h"

enum { SHRINKING_SHARE = 3, MINIMISE_S = 20 };

void run_forget_history(struct campaign *c)
{
    for (uint32_t i = 0; i < c->n_history; i++)
        free(c->history[i].octets);
    c->n_history = 0;
}

void run_remember(struct campaign *c, const struct talk *talk)
{
    if (c->n_history == HISTORY_MAX) {
        free(c->history[0].octets);
        memmove(c->history, c->history + 1, (HISTORY_MAX - 1) * sizeof *c->history);
        c->n_history--;
    }
    c->n_history += talk_copy(&c->history[c->n_history], talk);
}

/* Into the corpus on disk; a full one ends the run. */
void run_write_down(struct campaign *c, const struct talk *talk, bool crash)
{
    uint64_t ms = (uint64_t)(runner_now_ns() - c->began_ns) / 1000000;
    if (c->command->corpus != NULL && !queue_add(&c->queue, talk, crash, ms, c->plans)) {
        fprintf(stderr, "mqfuzz: %s: %s\n", c->command->corpus, strerror(errno));
        c->trouble = true;
    }
}

/* False: another job has it already. */
bool run_claim_finding(struct campaign *c, const struct outcome *o)
{
    char text[300];
    bool by_place = strcmp(o->oracle, "violation") != 0 && strcmp(o->oracle, "resources") != 0;
    snprintf(text, sizeof text, "finding %s %s %s %s", o->oracle, o->rule, o->version, by_place ? o->title : "");
    return shared_claim(c->shared, text);
}

struct report_entry *run_known(struct campaign *c, const struct outcome *o)
{
    for (uint32_t i = 0; i < c->report->n; i++) {
        struct report_entry *e = &c->report->at[i];
        struct outcome old = { .found = true };
        snprintf(old.oracle, sizeof old.oracle, "%s", e->oracle);
        snprintf(old.rule, sizeof old.rule, "%s", e->rule);
        snprintf(old.version, sizeof old.version, "%s", e->version);
        snprintf(old.title, sizeof old.title, "%s", e->title);
        if (outcome_same(&old, o))
            return e;
    }
    return NULL;
}

struct report_entry *run_add_entry(struct campaign *c, const struct outcome *o)
{
    struct report_entry *e = report_add(c->report);
    if (e == NULL)
        return NULL;
    e->end = RUN_FAILED;
    e->severity = o->severity;
    snprintf(e->rule, sizeof e->rule, "%s", o->rule);
    snprintf(e->version, sizeof e->version, "%s", o->version);
    snprintf(e->title, sizeof e->title, "%s", o->title);
    snprintf(e->why, sizeof e->why, "%s", o->why);
    snprintf(e->oracle, sizeof e->oracle, "%s", o->oracle);
    e->hint = baseline_has(&c->baseline, e);
    return e;
}

void run_save(struct campaign *c, struct report_entry *e, const struct run *run)
{
    if (c->command->out != NULL && !report_files(c->report, e, c->command->out, run)) {
        fprintf(stderr, "mqfuzz: %s: %s\n", c->command->out, strerror(errno));
        c->trouble = true;
    }
}

/* All that was done since the broker was started: what a single plan does not show may need its forerunners. */
bool run_whole_history(struct campaign *c, struct talk *out)
{
    size_t cap = 1;
    for (uint32_t i = 0; i < c->n_history; i++)
        cap += c->history[i].len + TALK_CLIENTS;
    *out = (struct talk){ .octets = malloc(cap), .version = MQTT_V311 };
    for (uint32_t i = 0; out->octets != NULL && i < c->n_history; i++) {
        memcpy(out->octets + out->len, c->history[i].octets, c->history[i].len);
        out->len += c->history[i].len;
        for (unsigned client = 0; client < TALK_CLIENTS; client++) {
            struct talk_record end = { .op = TALK_CLOSE, .client = client };
            out->len = (uint32_t)talk_write(out->octets, out->len, cap, &end);
        }
    }
    return out->octets != NULL && out->len > 0;
}

/* Time for making findings small: enough of it, yet no more than the run itself was to take. */
unsigned run_budget(struct campaign *c, unsigned seconds)
{
    uint64_t run_s = c->command->time_s != 0 ? c->command->time_s : 60;
    uint64_t used_s = (uint64_t)(runner_now_ns() - c->began_ns) / 1000000000;
    uint64_t left = used_s < 2 * run_s ? 2 * run_s - used_s : 0;
    return seconds < left ? seconds : left > 5 ? (unsigned)left : 5;
}

/* All since the broker was started, one plan after the other: as long as that takes when they went on beside each
 * other. */
static bool history_fits(struct campaign *c)
{
    enum { BESIDE = 32 };
    int64_t each_ns = (runner_now_ns() - c->began_ns) / (int64_t)(c->plans + 1);
    return each_ns * BESIDE * c->n_history < (int64_t)run_budget(c, HISTORY_S) * 1000000000;
}

/* As small as it gets, by itself or with what came before it. Returns how often of *tries that shows it. */
static unsigned make_small(struct campaign *c, struct talk *talk, const struct outcome *wanted, unsigned *tries)
{
    unsigned shown = talk_minimise(&c->stage, talk, wanted, run_budget(c, MINIMISE_S), tries);
    struct talk whole = { 0 };
    if (shown == 0 && c->command->spawn != NULL && history_fits(c) && run_whole_history(c, &whole)) {
        shown = talk_minimise(&c->stage, &whole, wanted, run_budget(c, HISTORY_S), tries);
        if (shown > 0) {
            free(talk->octets);
            *talk = whole;
            return shown;
        }
    }
    free(whole.octets);
    return shown;
}

void run_announce(const struct report_entry *e)
{
    printf("%s  %-10s %s%s%s: %s [%s]\n", e->hint ? "known  " : "FINDING", e->oracle, e->version,
           e->version[0] != '\0' ? " " : "", e->title, e->why, e->rule);
    fflush(stdout);
}

/* The small plan, and what is sent and received then: its run, when that shows it once more. */
static struct run *tell_small(struct campaign *c, const struct later *l, struct report_entry *e, struct plan *plan)
{
    free(e->plan);
    e->plan = talk_text(&l->talk, &l->outcome);
    struct run *run = talk_show(&c->stage, &l->talk, &l->outcome, plan);
    char *trace = NULL;
    if (run != NULL)
        trace = run_trace(run);
    else if (asprintf(&trace, "(when it was found, before the plan was made small)\n%s", e->trace) < 0)
        trace = NULL;
    if (trace != NULL) {
        free(e->trace);
        e->trace = trace;
    }
    return run;
}

/* Made small, measured and saved again. */
static void shrink(struct campaign *c, struct later *l)
{
    struct report_entry *e = &c->report->at[l->entry];
    unsigned tries = 0, shown = 0;
    int64_t began = runner_now_ns();
    uint64_t run_s = c->command->time_s != 0 ? c->command->time_s : 60, packets = c->stage.packets,
             connections = c->stage.connections;
    if (!mqfuzz_stop && !c->trouble && began - c->began_ns < (int64_t)(2 * run_s + 10) * 1000000000) {
        shown = make_small(c, &l->talk, &l->outcome, &tries);
        struct plan plan = { 0 };
        struct run *run = shown > 0 ? tell_small(c, l, e, &plan) : NULL;
        size_t n = strlen(e->why);
        if (shown > 0)
            snprintf(e->why + n, sizeof e->why - n, " (replays %u of %u)", shown, tries);
        else if (!mqfuzz_stop)
            snprintf(e->why + n, sizeof e->why - n, " (%s)",
                     c->command->spawn != NULL ? "not seen again on a fresh broker" : "not seen again");
        run_save(c, e, run);
        run_free(run);
        plan_free(&plan);
    }
    free(l->talk.octets);
    run_forget_history(c);
    c->shrinking_ns += runner_now_ns() - began;
    c->shrinking_packets += c->stage.packets - packets;
    c->shrinking_connections += c->stage.connections - connections;
}

/* Announced and saved at once, then made small and saved again: nothing announced is lost. */
void run_found(struct campaign *c, const struct talk *talk, const struct outcome *o, struct run *run)
{
    struct report_entry *e = run_add_entry(c, o);
    if (e == NULL)
        return;
    e->plan = talk_text(talk, o);
    e->trace = run != NULL ? run_trace(run) : c->beside != NULL ? c->beside : strdup("(beside others)\n");
    c->beside = run == NULL ? NULL : c->beside;
    run_save(c, e, run);
    run_announce(e);
    bool ended = strcmp(o->oracle, "crash") == 0 || strcmp(o->oracle, "hang") == 0;
    if (ended || strcmp(o->oracle, "sanitizer") == 0)
        run_write_down(c, talk, true);
    if (ended && !stage_restart(&c->stage)) {
        c->trouble = true;
        return;
    }
    if (e->hint || strcmp(o->oracle, "resources") == 0)
        return;
    struct later later = { .entry = (uint32_t)(e - c->report->at), .outcome = *o };
    if (!talk_copy(&later.talk, talk))
        return;
    bool grave = ended || strcmp(o->oracle, "sanitizer") == 0;
    if (c->n_later < LATER_MAX && !grave)
        c->later[c->n_later++] = later;
    else
        shrink(c, &later);
}

/* What was put off, so that most of the time is left for finding. */
void run_shrink_some(struct campaign *c, bool all)
{
    uint32_t done = 0;
    while (done < c->n_later && (all || c->shrinking_ns + MINIMISE_S * INT64_C(1000000000) <
                                            (runner_now_ns() - c->began_ns) / SHRINKING_SHARE))
        shrink(c, &c->later[done++]);
    c->n_later -= done;
    memmove(c->later, c->later + done, c->n_later * sizeof *c->later);
}
