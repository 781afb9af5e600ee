/* SPDX-License-Identifier: Apache-2.0
 *
 * mqfuzz run: makes conversations, carries them out, keeps those that show something new, and reports what is wrong.
 * One job; jobs.c runs several. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz/campaign/jobs.h"
#include "fuzz/campaign/queue.h"
#include "fuzz/campaign/recorded.h"
#include "fuzz/talk.h"

enum {
    LATER_MAX = 256,
    SHRINKING_SHARE = 3,
    ASIDES = 128,
    KEPT_MAX = 1024,
    HISTORY_MAX = 1024,
    MINIMISE_S = 20,
    HISTORY_S = 60,
    REFRESH_STARTS = 20,
    CROWD_AT = 500, /* plans, and then every so many: */
    CROWD_EVERY = 20000,
    CROWDS = 16,
    CROWD_KIB = 8192, /* for CROWDS times 256 connections: 2 KiB each */
    CROWD_ROUNDS = 3,
    CROWD_ROUNDS_COLLECTED = 12, /* heaps that are collected grow before they are */
    SMALL_KIB = 24 * 1024        /* resident at the start: a heap that is collected takes more */
};
#define LATE_NS 10000000000
#define SYNC_NS 30000000000

/* A finding that is still to be made small. */
struct later {
    uint32_t entry; /* of the report */
    struct outcome outcome;
    struct talk talk; /* owned */
};

struct campaign {
    const struct command *command;
    struct bench bench;
    struct stage stage;
    struct mutator mutator;
    struct words *words; /* of the broker's program */
    struct baseline baseline;
    struct report *report;
    struct shared *shared;
    unsigned job;
    struct queue queue; /* of --corpus */
    struct talk kept[KEPT_MAX];
    uint32_t n_kept;
    struct talk
        history[HISTORY_MAX]; /* since the broker was started, the latest last; for what one plan alone does not show */
    uint32_t n_history;
    struct later later[LATER_MAX];
    uint32_t n_later;
    int64_t shrinking_ns; /* time spent on making findings small */
    struct aside aside[ASIDES];
    uint32_t begun; /* of those */
    uint64_t seeds; /* plans that came from elsewhere */
    uint64_t plans; /* made; minimising carries out more */
    int64_t began_ns, said_ns;
    bool trouble;
};

bool talk_copy(struct talk *to, const struct talk *from)
{
    *to = *from;
    to->octets = malloc(from->len > 0 ? from->len : 1);
    if (to->octets != NULL && from->len > 0)
        memcpy(to->octets, from->octets, from->len);
    return to->octets != NULL;
}

static void forget_history(struct campaign *c)
{
    for (uint32_t i = 0; i < c->n_history; i++)
        free(c->history[i].octets);
    c->n_history = 0;
}

static void remember(struct campaign *c, const struct talk *talk)
{
    if (c->n_history == HISTORY_MAX) {
        free(c->history[0].octets);
        memmove(c->history, c->history + 1, (HISTORY_MAX - 1) * sizeof *c->history);
        c->n_history--;
    }
    c->n_history += talk_copy(&c->history[c->n_history], talk);
}

static void keep(struct campaign *c, const struct talk *talk)
{
    uint32_t at = c->n_kept < KEPT_MAX ? c->n_kept++ : mutator_below(&c->mutator, KEPT_MAX);
    free(c->kept[at].octets);
    if (!talk_copy(&c->kept[at], talk) && at + 1 == c->n_kept)
        c->n_kept--;
}

/* Into the corpus on disk; a full one ends the run. */
static void write_down(struct campaign *c, const struct talk *talk, bool crash)
{
    uint64_t ms = (uint64_t)(runner_now_ns() - c->began_ns) / 1000000;
    if (c->command->corpus != NULL && !queue_add(&c->queue, talk, crash, ms, c->plans)) {
        fprintf(stderr, "mqfuzz: %s: %s\n", c->command->corpus, strerror(errno));
        c->trouble = true;
    }
}

/* False: another job has it already. */
static bool claim_finding(struct campaign *c, const struct outcome *o)
{
    char text[300];
    bool by_place = strcmp(o->oracle, "violation") != 0 && strcmp(o->oracle, "resources") != 0;
    snprintf(text, sizeof text, "finding %s %s %s %s", o->oracle, o->rule, o->version, by_place ? o->title : "");
    return shared_claim(c->shared, text);
}

static bool claim_name(void *ctx, const char *name)
{
    char text[200];
    snprintf(text, sizeof text, "file %s", name);
    return shared_claim(ctx, text);
}

static uint8_t random_version(struct campaign *c)
{
    for (;;) {
        unsigned version = MQTT_V31 + mutator_below(&c->mutator, 3);
        if ((c->command->versions & 1u << version) != 0)
            return (uint8_t)version;
    }
}

/* The next conversation: a fresh one, or a kept one changed. */
static void make(struct campaign *c, struct talk *talk)
{
    struct mutator *m = &c->mutator;
    if (mutator_below(m, 4) == 0) {
        talk->version = random_version(c);
        talk->len = (uint32_t)talk_scenario(m, c->words, talk->version, talk->octets, TALK_MAX);
        if (mutator_below(m, 2) == 0)
            return;
    } else if (c->n_kept == 0 || mutator_below(m, 4) == 0) {
        talk->version = random_version(c);
        talk->len = (uint32_t)talk_fresh(m, talk->version, talk->octets, TALK_MAX);
    } else {
        const struct talk *from = &c->kept[mutator_below(m, c->n_kept)];
        memcpy(talk->octets, from->octets, from->len);
        talk->len = from->len;
        talk->version = from->version;
    }
    for (unsigned n = mutator_below(m, 6); n > 0; n--)
        talk->len = (uint32_t)talk_mutate(m, talk->version, talk->octets, talk->len, TALK_MAX);
}

static struct report_entry *known(struct campaign *c, const struct outcome *o)
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

static bool is_news(void *ctx, const struct outcome *o)
{
    return known(ctx, o) == NULL;
}

static struct report_entry *add_entry(struct campaign *c, const struct outcome *o)
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

static void save(struct campaign *c, struct report_entry *e, const struct run *run)
{
    if (c->command->out != NULL && !report_files(c->report, e, c->command->out, run)) {
        fprintf(stderr, "mqfuzz: %s: %s\n", c->command->out, strerror(errno));
        c->trouble = true;
    }
}

/* All that was done since the broker was started: what a single plan does not show may need its forerunners. */
static bool whole_history(struct campaign *c, struct talk *out)
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
static unsigned budget(struct campaign *c, unsigned seconds)
{
    uint64_t run_s = c->command->time_s != 0 ? c->command->time_s : 60;
    uint64_t used_s = (uint64_t)(runner_now_ns() - c->began_ns) / 1000000000;
    uint64_t left = used_s < 2 * run_s ? 2 * run_s - used_s : 0;
    return seconds < left ? seconds : left > 5 ? (unsigned)left : 5;
}

/* As small as it gets, by itself or with what came before it. Returns how often of *tries that shows it. */
static unsigned make_small(struct campaign *c, struct talk *talk, const struct outcome *wanted, unsigned *tries)
{
    unsigned shown = talk_minimise(&c->stage, talk, wanted, budget(c, MINIMISE_S), tries);
    struct talk whole = { 0 };
    if (shown == 0 && c->command->spawn != NULL && whole_history(c, &whole)) {
        shown = talk_minimise(&c->stage, &whole, wanted, budget(c, HISTORY_S), tries);
        if (shown > 0) {
            free(talk->octets);
            *talk = whole;
            return shown;
        }
    }
    free(whole.octets);
    return shown;
}

static void announce(const struct report_entry *e)
{
    printf("%s  %-10s %s%s%s: %s [%s]\n", e->hint ? "known  " : "FINDING", e->oracle, e->version,
           e->version[0] != '\0' ? " " : "", e->title, e->why, e->rule);
    fflush(stdout);
}

/* Made small, measured and saved again. */
static void shrink(struct campaign *c, struct later *l)
{
    struct report_entry *e = &c->report->at[l->entry];
    unsigned tries = 0, shown = 0;
    int64_t began = runner_now_ns();
    uint64_t run_s = c->command->time_s != 0 ? c->command->time_s : 60;
    if (!mqfuzz_stop && !c->trouble && began - c->began_ns < (int64_t)(2 * run_s + 10) * 1000000000) {
        shown = make_small(c, &l->talk, &l->outcome, &tries);
        if (shown > 0) {
            free(e->plan);
            e->plan = talk_text(&l->talk, &l->outcome);
        }
        size_t n = strlen(e->why);
        if (shown > 0)
            snprintf(e->why + n, sizeof e->why - n, " (replays %u of %u)", shown, tries);
        else if (!mqfuzz_stop)
            snprintf(e->why + n, sizeof e->why - n, " (not seen again)");
        save(c, e, NULL);
    }
    free(l->talk.octets);
    forget_history(c);
    c->shrinking_ns += runner_now_ns() - began;
}

/* Announced and saved at once, then made small and saved again: nothing announced is lost. */
static void found(struct campaign *c, const struct talk *talk, const struct outcome *o, struct run *run)
{
    struct report_entry *e = add_entry(c, o);
    if (e == NULL)
        return;
    e->plan = talk_text(talk, o);
    e->trace = run_trace(run);
    save(c, e, run);
    announce(e);
    bool ended = strcmp(o->oracle, "crash") == 0 || strcmp(o->oracle, "hang") == 0;
    if (ended || strcmp(o->oracle, "sanitizer") == 0)
        write_down(c, talk, true);
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
    if (c->n_later < LATER_MAX && !grave && c->shrinking_ns > (runner_now_ns() - c->began_ns) / SHRINKING_SHARE)
        c->later[c->n_later++] = later;
    else
        shrink(c, &later);
}

/* What was put off, so that most of the time is left for finding. */
static void shrink_the_rest(struct campaign *c)
{
    for (uint32_t i = 0; i < c->n_later; i++)
        shrink(c, &c->later[i]);
    c->n_later = 0;
}

static void say_progress(struct campaign *c, bool last)
{
    c->shared->job[c->job].plans = c->plans;
    c->shared->job[c->job].packets = c->stage.packets;
    c->shared->job[c->job].connections = c->stage.connections;
    c->shared->job[c->job].states = c->stage.n_states;
    c->shared->job[c->job].edges = c->stage.n_edges;
    c->shared->job[c->job].findings = c->report->n;
    if (c->command->jobs <= 1) /* else the parent says it for all */
        campaign_progress(c->shared, 1, c->began_ns, &c->said_ns, last);
}

static bool over(const struct campaign *c)
{
    const struct command *command = c->command;
    uint64_t seconds = command->time_s != 0 ? command->time_s : command->runs != 0 ? UINT64_MAX / 2000000000 : 60;
    return mqfuzz_stop || c->trouble || (command->runs != 0 && c->plans - c->seeds >= command->runs) ||
           runner_now_ns() - c->began_ns >= (int64_t)seconds * 1000000000;
}

/* What the broker uses too much of shows in no single plan; it starts anew so that the next check is a fair one. */
static void checkup(struct campaign *c)
{
    struct outcome o;
    stage_checkup(&c->stage, &o);
    if (!o.found)
        return;
    if (known(c, &o) == NULL && claim_finding(c, &o)) {
        struct report_entry *e = add_entry(c, &o);
        if (e != NULL) {
            struct talk whole;
            e->plan = whole_history(c, &whole) ? talk_text(&whole, &o) : NULL;
            free(whole.octets);
            e->trace = strdup("(all that was done since the broker was started)\n");
            save(c, e, NULL);
            announce(e);
        }
    }
    c->trouble = !stage_restart(&c->stage);
    forget_history(c);
}

static void end_all_asides(struct campaign *c);

/* Thousands of connections that come and go: true if the broker keeps so much memory for them, each time anew. */
static bool crowds_stay(struct campaign *c, struct talk *talk, uint64_t *grown_kib, unsigned *rounds)
{
    struct process_usage before, after;
    struct outcome o;
    unsigned wanted = c->stage.health.first.rss_kib < SMALL_KIB ? CROWD_ROUNDS : CROWD_ROUNDS_COLLECTED;
    if (!stage_glance(&c->stage, talk, &o) || !process_usage(&c->bench.process, &before))
        return false;
    uint64_t first_kib = before.rss_kib;
    for (*rounds = 0; *rounds < wanted; ++*rounds) {
        for (unsigned i = 0; i < CROWDS && !mqfuzz_stop; i++)
            if (!stage_glance(&c->stage, talk, &o) || (o.found && strcmp(o.oracle, "crash") == 0))
                return false;
        poll(NULL, 0, 100);
        if (!process_usage(&c->bench.process, &after) || after.rss_kib < before.rss_kib + CROWD_KIB)
            return false;
        before = after;
    }
    *grown_kib = before.rss_kib - first_kib;
    return true;
}

static void crowd(struct campaign *c)
{
    struct talk talk = { .octets = malloc(TALK_MAX), .version = MQTT_V311 };
    struct outcome o = { .found = true, .severity = MQTT_SEVERITY_ERROR, .oracle = "resources", .rule = "memory" };
    uint64_t grown_kib;
    unsigned rounds;
    if (talk.octets == NULL || c->bench.process.pid <= 0) {
        free(talk.octets);
        return;
    }
    end_all_asides(c);
    talk.len = (uint32_t)talk_crowd(talk.version, talk.octets, TALK_MAX);
    if (crowds_stay(c, &talk, &grown_kib, &rounds)) {
        snprintf(o.title, sizeof o.title, "memory is kept for connections that are gone");
        snprintf(o.why, sizeof o.why, "%llu KiB more after %u times %u connections, each closed before the next",
                 (unsigned long long)grown_kib, rounds, CROWDS * TALK_CROWD);
        struct report_entry *e = known(c, &o) == NULL && claim_finding(c, &o) ? add_entry(c, &o) : NULL;
        if (e != NULL) {
            e->plan = talk_text(&talk, &o);
            save(c, e, NULL);
            announce(e);
        }
    }
    free(talk.octets);
    checkup(c);
}

/* The broker is asked to end: leaks show then, and bad manners. */
static void farewell(struct campaign *c)
{
    struct outcome o;
    stage_farewell(&c->stage, &o);
    if (!o.found || known(c, &o) != NULL || !claim_finding(c, &o))
        return;
    struct report_entry *e = add_entry(c, &o);
    struct talk whole;
    if (e == NULL)
        return;
    e->trace = strdup(c->bench.process.tail);
    bool has = whole_history(c, &whole);
    e->plan = has ? talk_text(&whole, &o) : NULL;
    save(c, e, NULL);
    announce(e);
    unsigned tries, shown = 0;
    if (has && !e->hint && !mqfuzz_stop && stage_restart(&c->stage)) {
        shown = talk_minimise(&c->stage, &whole, &o, budget(c, HISTORY_S), &tries);
        if (shown > 0) {
            free(e->plan);
            e->plan = talk_text(&whole, &o);
            size_t n = strlen(e->why);
            snprintf(e->why + n, sizeof e->why - n, " (replays %u of %u)", shown, tries);
            save(c, e, NULL);
        }
    }
    free(whole.octets);
}

/* Now and then the broker starts anew: it is stopped cleanly, and what plans leave behind does not pile up. */
static void refresh(struct campaign *c)
{
    if (c->command->spawn == NULL || c->n_history < HISTORY_MAX ||
        runner_now_ns() - c->stage.started_ns < REFRESH_STARTS * c->bench.start_ns)
        return;
    end_all_asides(c);
    farewell(c);
    c->trouble = c->trouble || !stage_restart(&c->stage);
    forget_history(c);
}

/* What a conversation showed, with all that follows from it. own: it was made here, and is saved if it is news. */
static void learn(struct campaign *c, const struct talk *talk, const struct outcome *o, struct run *run, bool news,
                  bool own)
{
    if (news)
        keep(c, talk);
    if (news && own)
        write_down(c, talk, false);
    if (o->found && known(c, o) == NULL && claim_finding(c, o)) {
        found(c, talk, o, run);
    } else if (o->found && (strcmp(o->oracle, "crash") == 0 || strcmp(o->oracle, "hang") == 0)) {
        c->trouble = !stage_restart(&c->stage);
        forget_history(c);
    }
}

/* Alone, and looked at from all sides. */
static void perform(struct campaign *c, const struct talk *talk, bool own)
{
    struct plan plan;
    struct outcome o;
    struct run *run = NULL;
    bool news = false, ok = stage_play(&c->stage, talk, &plan, &o, &news, &run);
    if (ok) {
        remember(c, talk);
        learn(c, talk, &o, run, news, own);
    }
    c->trouble = c->trouble || !ok;
    run_free(run);
    plan_free(&plan);
}

/* The oldest of those beside, to its end. What looks wrong is carried out again, alone. */
static void end_aside(struct campaign *c, struct aside *a)
{
    struct outcome o;
    bool news = false;
    if (a->run == NULL)
        return;
    bool counts = stage_end(&c->stage, a, &o, &news);
    bool late = over(c) && runner_now_ns() - c->began_ns > LATE_NS + (int64_t)c->command->time_s * 1000000000;
    if (counts && o.found && known(c, &o) == NULL && !late) /* a second look takes seconds */
        perform(c, &a->talk, true);
    else if (counts && news)
        learn(c, &a->talk, &(struct outcome){ 0 }, NULL, true, true);
    aside_free(a);
}

static void end_all_asides(struct campaign *c)
{
    for (unsigned i = 0; i < ASIDES; i++)
        end_aside(c, &c->aside[(c->begun + i) % ASIDES]);
}

/* One that has names of its own may wait, and meets nobody: it goes on beside the next ones, and is ended so many later
 * that chance does not decide when. */
static void begin_aside(struct campaign *c, const struct talk *talk)
{
    struct aside *a = &c->aside[c->begun++ % ASIDES];
    end_aside(c, a);
    if (c->trouble)
        return;
    if (stage_begin(&c->stage, talk, a))
        remember(c, talk);
    else
        aside_free(a);
}

static bool has_own_names(const struct talk *talk)
{
    return memmem(talk->octets, talk->len, TALK_PREFIX, TALK_PREFIX_LEN) != NULL;
}

static void carry_out(struct campaign *c, const struct talk *talk, bool own)
{
    c->plans++;
    if (own && has_own_names(talk))
        begin_aside(c, talk);
    else
        perform(c, talk, own);
    if (!c->trouble)
        checkup(c);
    if (!c->trouble && c->plans % CROWD_EVERY == CROWD_AT && c->job == 0)
        crowd(c);
    if (!c->trouble)
        refresh(c);
    say_progress(c, false);
}

static void try_seed(void *ctx, const struct talk *talk)
{
    struct campaign *c = ctx;
    if (over(c) || (c->command->versions & 1u << talk->version) == 0)
        return;
    c->seeds++;
    carry_out(c, talk, false);
}

static bool read_recording(struct campaign *c)
{
    char error[300] = "";
    FILE *f = fopen(c->command->from, "re");
    struct recorded *recorded = f != NULL ? calloc(1, sizeof *recorded) : NULL;
    bool ok = recorded != NULL && recorded_read(recorded, f, error, sizeof error);
    if (!ok || error[0] != '\0')
        fprintf(stderr, "mqfuzz: %s: %s\n", c->command->from, recorded == NULL ? strerror(errno) : error);
    if (ok && c->job == 0)
        fprintf(stderr, "mqfuzz: %s: %u conversations%s\n", c->command->from, recorded->n,
                recorded->left_out > 0 ? ", some connections not wholly" : "");
    for (uint32_t i = 0; ok && i < recorded->n; i++)
        try_seed(c, &recorded->talk[i]);
    if (recorded != NULL)
        recorded_free(recorded);
    else if (f != NULL)
        fclose(f);
    free(recorded);
    return ok;
}

/* What --from and --corpus bring is carried out first. False: said on stderr. */
static bool seeds_ready(struct campaign *c)
{
    char name[QUEUE_NAME] = "mqfuzz";
    if (c->job > 0)
        snprintf(name, sizeof name, "mqfuzz-%u", c->job + 1);
    if (c->command->corpus != NULL) {
        if (!queue_open(&c->queue, c->command->corpus, name)) {
            fprintf(stderr, "mqfuzz: %s: %s\n", c->command->corpus, strerror(errno));
            c->trouble = true;
            return false;
        }
        queue_load(&c->queue, try_seed, c);
    }
    c->trouble = (c->command->from != NULL && !read_recording(c)) || c->trouble;
    return !c->trouble;
}

static void campaign_loop(struct campaign *c)
{
    uint8_t *room = malloc(TALK_MAX);
    int64_t synced = runner_now_ns();
    while (room != NULL && !over(c)) {
        struct talk talk = { .octets = room };
        make(c, &talk);
        carry_out(c, &talk, true);
        if (c->command->corpus != NULL && runner_now_ns() - synced > SYNC_NS) {
            queue_sync(&c->queue, try_seed, c);
            synced = runner_now_ns();
        }
    }
    end_all_asides(c);
    shrink_the_rest(c);
    free(room);
}

/* Each job has a seed of its own, the first the one that is printed. */
static uint64_t seed_of(uint64_t seed, unsigned job)
{
    struct mutator m = mutator_seeded(seed);
    for (unsigned i = 0; i < job; i++)
        seed = mutator_random(&m);
    return seed;
}

int campaign_run(const struct command *command, struct shared *shared, unsigned job, struct report *report)
{
    struct campaign *c = calloc(1, sizeof *c);
    if (c == NULL)
        return EXIT_TROUBLE;
    c->command = c->bench.command = command;
    c->report = report;
    c->shared = shared;
    c->job = job;
    c->mutator = mutator_seeded(seed_of(command->seed, job));
    report->claim = claim_name;
    report->claim_ctx = shared;
    int status = EXIT_TROUBLE;
    if (baseline_read(&c->baseline, command->baseline) && stage_open(&c->stage, &c->bench, 1000)) {
        c->stage.seed = seed_of(command->seed, job);
        c->words = words_of_command(command->spawn);
        c->stage.wants = is_news;
        c->stage.wants_ctx = c;
        c->began_ns = c->said_ns = runner_now_ns();
        if (seeds_ready(c)) {
            campaign_loop(c);
            say_progress(c, true);
            farewell(c);
        }
        status = c->trouble ? EXIT_TROUBLE : EXIT_CLEAN;
    }
    stage_close(&c->stage);
    for (uint32_t i = 0; i < c->n_kept; i++)
        free(c->kept[i].octets);
    forget_history(c);
    free(c->words);
    baseline_free(&c->baseline);
    free(c);
    return status;
}
