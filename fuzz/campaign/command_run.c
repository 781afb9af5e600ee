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

#include "fuzz/campaign/run.h"
#include "fuzz/talk/recorded.h"
#include "fuzz/talk/talk.h"

enum {
    REFRESH_STARTS = 20,
    SELDOM = 24,
    NAMELESS_SELDOM = 64, /* they go one by one */
    CROWD_AT = 500,       /* plans, the next kind so many later, and all of them every so many: */
    CROWD_EVERY = 20000,
    CROWDS = 16,     /* of the first kind, the one that costs least */
    FEW_CROWDS = 4,  /* of others */
    CROWD_KIB = 512, /* for 256 connections: 2 KiB each; of others twice as much */
    CROWD_ROUNDS = 3
};
#define SYNC_NS 30000000000

bool talk_copy(struct talk *to, const struct talk *from)
{
    *to = *from;
    to->octets = malloc(from->len > 0 ? from->len : 1);
    if (to->octets != NULL && from->len > 0)
        memcpy(to->octets, from->octets, from->len);
    return to->octets != NULL;
}

static void keep(struct campaign *c, const struct talk *talk)
{
    uint32_t at = c->n_kept < KEPT_MAX ? c->n_kept++ : mutator_below(&c->mutator, KEPT_MAX);
    free(c->kept[at].octets);
    if (!talk_copy(&c->kept[at], talk) && at + 1 == c->n_kept)
        c->n_kept--;
}

static bool claim_name(void *ctx, const char *name)
{
    char text[200];
    snprintf(text, sizeof text, "file %s", name);
    return shared_claim(ctx, text);
}

/* What takes seconds is begun in the first quarters of a block, so that it has ended when the next one begins. */
bool run_slow_now(const struct campaign *c, unsigned quarters)
{
    return c->plans % BLOCK > 0 && c->plans % BLOCK < BLOCK / 4 * quarters;
}

static uint8_t random_version(struct campaign *c)
{
    for (;;) {
        unsigned version = MQTT_V31 + mutator_below(&c->mutator, 3);
        if ((c->stage.versions & 1u << version) != 0)
            return (uint8_t)version;
    }
}

/* The next conversation: a fresh one, or a kept one changed. */
static void make(struct campaign *c, struct talk *talk)
{
    struct mutator *m = &c->mutator;
    if (mutator_below(m, 4) == 0) {
        talk->version = random_version(c);
        talk->len = (uint32_t)talk_scenario(m, c->words, talk->version, run_slow_now(c, 1), talk->octets, TALK_MAX);
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
    if (mutator_below(m, NAMELESS_SELDOM) != 0)
        talk_give_names(talk, TALK_MAX);
    if (mutator_below(m, SELDOM) != 0 || !run_slow_now(c, 1) || !talk_has_names(talk))
        talk_hurry(talk);
}

static void say_progress(struct campaign *c, bool last)
{
    if (!last && c->plans % 16 != 0)
        return;
    c->shared->job[c->job].plans = c->plans;
    c->shared->job[c->job].packets = c->stage.packets - c->shrinking_packets;
    c->shared->job[c->job].connections = c->stage.connections - c->shrinking_connections;
    c->shared->job[c->job].fuzzed_ms = (uint64_t)(runner_now_ns() - c->began_ns - c->shrinking_ns) / 1000000;
    c->shared->job[c->job].states = c->stage.n_states;
    c->shared->job[c->job].edges = c->stage.n_edges;
    c->shared->job[c->job].findings = c->report->n;
    if (c->command->jobs <= 1) /* else the parent says it for all */
        campaign_progress(c->shared, 1, c->began_ns, &c->said_ns, last);
}

bool run_over(const struct campaign *c)
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
    if (health_tired(&c->stage.health)) /* the broker is to be watched at rest */
        flights_drain(&c->flights, false);
    stage_checkup(&c->stage, &o);
    if (!o.found)
        return;
    if (run_known(c, &o) == NULL && run_claim_finding(c, &o)) {
        struct report_entry *e = run_add_entry(c, &o);
        if (e != NULL) {
            struct talk whole;
            e->plan = run_whole_history(c, &whole) ? talk_text(&whole, &o) : NULL;
            free(whole.octets);
            e->trace = strdup("(all that was done since the broker was started)\n");
            run_save(c, e, NULL);
            run_announce(e);
        }
    }
    c->trouble = !stage_restart(&c->stage);
    run_forget_history(c);
}

/* Thousands of connections that come and go: true if the broker keeps so much memory for them, each time anew. */
static bool crowds_stay(struct campaign *c, struct talk *talk, unsigned crowds, uint64_t least_kib, uint64_t *grown_kib,
                        unsigned *rounds)
{
    struct process_usage before, after;
    struct outcome o;
    if (!stage_glance(&c->stage, talk, &o) || !process_usage(&c->bench.process, &before))
        return false;
    uint64_t first_kib = before.rss_kib;
    for (*rounds = 0; *rounds < CROWD_ROUNDS; ++*rounds) {
        for (unsigned i = 0; i < crowds && !mqfuzz_stop; i++)
            if (!stage_glance(&c->stage, talk, &o) || (o.found && strcmp(o.oracle, "crash") == 0))
                return false;
        poll(NULL, 0, 100);
        if (!process_usage(&c->bench.process, &after) || after.rss_kib < before.rss_kib + least_kib)
            return false;
        before = after;
    }
    *grown_kib = before.rss_kib - first_kib;
    return true;
}

static void crowd(struct campaign *c, unsigned kind)
{
    struct talk talk = { .octets = malloc(TALK_CROWD_MAX), .version = c->stage.canary.version };
    struct outcome o = { .found = true, .severity = MQTT_SEVERITY_ERROR, .oracle = "resources", .rule = "memory" };
    uint64_t grown_kib;
    unsigned rounds, size = talk_crowd_size(kind), crowds = kind == 0 ? CROWDS : FEW_CROWDS;
    uint64_t least_kib = (uint64_t)crowds * CROWD_KIB * (kind == 0 ? 1 : 2);
    crowds *= TALK_CROWD / size;
    if (talk.octets == NULL || c->bench.process.pid <= 0 || health_lazy(&c->stage.health)) {
        free(talk.octets);
        return;
    }
    flights_drain(&c->flights, false);
    talk.len = (uint32_t)talk_crowd(kind, talk.version, talk.octets, TALK_CROWD_MAX);
    if (talk.len == 0 && (c->stage.versions & 1u << MQTT_V5) != 0) {
        talk.version = MQTT_V5;
        talk.len = (uint32_t)talk_crowd(kind, MQTT_V5, talk.octets, TALK_CROWD_MAX);
    }
    if (talk.len > 0 && crowds_stay(c, &talk, crowds, least_kib, &grown_kib, &rounds)) {
        snprintf(o.title, sizeof o.title, "memory is kept for connections that are gone");
        snprintf(o.why, sizeof o.why,
                 "%llu KiB more after %u times %u connections that %s, each closed before the next",
                 (unsigned long long)grown_kib, rounds, crowds * size, talk_crowd_does(kind));
        struct report_entry *e = run_known(c, &o) == NULL && run_claim_finding(c, &o) ? run_add_entry(c, &o) : NULL;
        if (e != NULL) {
            e->plan = talk_text(&talk, &o);
            run_save(c, e, NULL);
            run_announce(e);
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
    if (!o.found || run_known(c, &o) != NULL || !run_claim_finding(c, &o))
        return;
    struct report_entry *e = run_add_entry(c, &o);
    struct talk whole;
    if (e == NULL)
        return;
    e->trace = strdup(c->bench.process.tail);
    bool has = run_whole_history(c, &whole);
    e->plan = has ? talk_text(&whole, &o) : NULL;
    run_save(c, e, NULL);
    run_announce(e);
    unsigned tries, shown = 0;
    if (has && !e->hint && !mqfuzz_stop && stage_restart(&c->stage)) {
        shown = talk_minimise(&c->stage, &whole, &o, run_budget(c, HISTORY_S), &tries);
        if (shown > 0) {
            free(e->plan);
            e->plan = talk_text(&whole, &o);
            size_t n = strlen(e->why);
            snprintf(e->why + n, sizeof e->why - n, " (replays %u of %u)", shown, tries);
            run_save(c, e, NULL);
        }
    }
    free(whole.octets);
}

/* Between two blocks all is at rest: findings are made small, and now and then the broker starts anew. It is stopped
 * cleanly, and what plans leave behind does not pile up. */
static void end_block(struct campaign *c)
{
    if (c->plans % BLOCK != 0)
        return;
    flights_drain(&c->flights, true);
    run_attend(c, true);
    flights_look(&c->flights);
    if (!c->trouble)
        run_shrink_some(c, false);
    bool recent = runner_now_ns() - c->stage.started_ns < REFRESH_STARTS * c->bench.start_ns;
    if (c->trouble || c->command->spawn == NULL || c->n_history < BLOCK / 4 || recent)
        return;
    farewell(c);
    c->trouble = c->trouble || !stage_restart(&c->stage);
    run_forget_history(c);
}

static void on_learned(void *ctx, const struct flight *f, bool news)
{
    struct campaign *c = ctx;
    if (news)
        keep(c, &f->talk);
    if (news && f->own)
        run_write_down(c, &f->talk, false);
}

static void carry_out(struct campaign *c, const struct talk *talk, bool own)
{
    flights_learn(&c->flights, ++c->plans);
    if (flights_begin(&c->flights, talk, c->plans, 0, 0, own))
        run_remember(c, talk);
    else
        c->trouble = true;
    run_attend(c, false);
    flights_look(&c->flights);
    run_follow_suspicions(c);
    if (!c->trouble)
        checkup(c);
    uint64_t turn = c->plans % CROWD_EVERY;
    if (!c->trouble && turn > 0 && turn % CROWD_AT == 0 && turn / CROWD_AT <= TALK_CROWDS && c->job == 0)
        crowd(c, (unsigned)(turn / CROWD_AT) - 1);
    if (!c->trouble)
        end_block(c);
    say_progress(c, false);
}

/* All to its end, and what comes of it. */
static void settle(struct campaign *c)
{
    while ((flights_any(&c->flights) || c->n_pending > 0) && !c->trouble && !mqfuzz_stop) {
        flights_drain(&c->flights, true);
        run_attend(c, true);
        flights_look(&c->flights);
        flights_learn(&c->flights, UINT64_MAX);
        run_follow_suspicions(c);
    }
}

static void try_seed(void *ctx, const struct talk *talk)
{
    struct campaign *c = ctx;
    if (run_over(c) || (c->stage.versions & 1u << talk->version) == 0)
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
    while (room != NULL && !run_over(c)) {
        struct talk talk = { .octets = room };
        make(c, &talk);
        carry_out(c, &talk, true);
        if (c->command->corpus != NULL && runner_now_ns() - synced > SYNC_NS) {
            queue_sync(&c->queue, try_seed, c);
            synced = runner_now_ns();
        }
    }
    settle(c);
    run_shrink_some(c, true);
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

static void say_versions(const struct campaign *c)
{
    for (unsigned v = MQTT_V31; c->job == 0 && v <= MQTT_V5; v++)
        if ((c->command->versions & ~c->stage.versions & 1u << v) != 0)
            fprintf(stderr, "mqfuzz: MQTT %s is left out: %s\n", mqtt_version_name(v), c->stage.left_out[v - MQTT_V31]);
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
        /* A broker that was there before may still have what an earlier run of this seed left. */
        c->stage.seed = command->spawn != NULL ? seed_of(command->seed, job) : fresh_seed();
        c->words = words_of_command(command->spawn);
        say_versions(c);
        c->stage.wants = run_is_news;
        c->stage.wants_ctx = c;
        struct flights_host host = { .ctx = c, .ended = run_suspect, .learned = on_learned };
        flights_init(&c->flights, &c->stage, &host);
        c->began_ns = c->said_ns = runner_now_ns();
        if (seeds_ready(c)) {
            campaign_loop(c);
            say_progress(c, true);
            farewell(c);
        }
        status = c->trouble ? EXIT_TROUBLE : EXIT_CLEAN;
    }
    flights_free(&c->flights);
    for (uint32_t i = 0; i < c->n_pending; i++)
        free(c->pending[i].talk.octets);
    stage_close(&c->stage);
    for (uint32_t i = 0; i < c->n_kept; i++)
        free(c->kept[i].octets);
    run_forget_history(c);
    free(c->words);
    free(c->beside);
    baseline_free(&c->baseline);
    free(c);
    return status;
}
