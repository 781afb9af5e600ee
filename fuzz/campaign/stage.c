/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz/campaign/campaign.h"
#include "fuzz/peer/last_words.h"

enum { STATES_CAP = 1 << 22, GLANCE_MS = 400, PATIENT_TRIES = 3 };
#define CANARY_EVERY_NS 100000000
#define SLOW_START_NS 2000000000

/* ---- feedback ---- */

/* A broker built by afl-clang-fast counts its edges into shared memory named by this variable, if it is set. */
static void share_edges(struct stage *s)
{
    int id = shmget(IPC_PRIVATE, COVERAGE_SIZE, IPC_CREAT | 0600);
    void *at = id >= 0 ? shmat(id, NULL, 0) : (void *)-1;
    if (at == (void *)-1)
        return;
    char text[32];
    snprintf(text, sizeof text, "%d", id);
    setenv("__AFL_SHM_ID", text, 1);
    snprintf(text, sizeof text, "%d", (int)COVERAGE_SIZE);
    setenv("AFL_MAP_SIZE", text, 1);
    s->edges = at;
}

static bool new_edges(struct stage *s)
{
    bool found = false;
    bool looked_at = s->edges != NULL && (s->traced || s->n_states == 0); /* a broker counts from its start or never */
    for (uint32_t i = 0; looked_at && i < COVERAGE_SIZE; i += 8) {
        uint64_t eight;
        memcpy(&eight, s->edges + i, sizeof eight);
        if (eight == 0)
            continue;
        for (uint32_t k = i; k < i + 8; k++) {
            if (s->edges[k] != 0 && s->edges_seen[k] == 0) {
                s->edges_seen[k] = 1;
                s->n_edges++;
                found = true;
            }
        }
    }
    if (looked_at)
        memset(s->edges, 0, COVERAGE_SIZE);
    return found;
}

bool stage_new_shape(struct stage *s, uint64_t shape)
{
    uint32_t at = (uint32_t)(shape ^ shape >> 32) % STATES_CAP;
    if (s->n_states > STATES_CAP / 2)
        return false;
    while (s->states[at] != 0 && s->states[at] != shape)
        at = (at + 1) % STATES_CAP;
    if (s->states[at] == shape)
        return false;
    s->states[at] = shape;
    s->n_states++;
    return true;
}

/* ---- the stage ---- */

static bool watch(void *ctx)
{
    process_watch(ctx); /* or the broker waits for somebody to read what it prints */
    return !mqfuzz_stop;
}

/* A plain client of each version knocks. The canary speaks 3.1.1 where there is a choice. False: nobody is let in. */
static bool find_versions(struct stage *s)
{
    static const uint8_t order[] = { MQTT_V311, MQTT_V5, MQTT_V31 };
    struct canary first = CANARY_NONE;
    bool asked = false;
    for (unsigned i = 0; i < sizeof order; i++) {
        struct canary c = s->canary;
        c.version = order[i];
        if ((s->bench->command->versions & 1u << c.version) == 0)
            continue;
        bool spoken = canary_connect(&c, &s->bench->target);
        if (!spoken)
            canary_why(&c, s->left_out[c.version - MQTT_V31], sizeof *s->left_out);
        if (!asked || (spoken && s->versions == 0))
            first = c;
        asked = true;
        s->versions |= (unsigned)spoken << c.version;
        canary_close(&c);
    }
    s->canary.version = first.version;
    if (s->versions == 0)
        canary_complain(&first);
    return s->versions != 0;
}

bool stage_open(struct stage *s, struct bench *b, uint32_t deadline_ms)
{
    *s = (struct stage){ .bench = b, .canary = CANARY_NONE };
    s->states = calloc(STATES_CAP, sizeof *s->states);
    s->edges_seen = calloc(1, COVERAGE_SIZE);
    if (s->states == NULL || s->edges_seen == NULL) {
        fprintf(stderr, "mqfuzz: no memory\n");
        return false;
    }
    if (b->command->spawn != NULL)
        share_edges(s);
    if (!bench_open(b, b->command))
        return false;
    runner_init(&s->runner, &b->target, deadline_ms);
    s->started_ns = runner_now_ns();
    if (!find_versions(s))
        return false;
    if (!canary_connect(&s->canary, &s->bench->target)) {
        canary_complain(&s->canary);
        return false;
    }
    s->canary.meanwhile = watch;
    s->canary.ctx = &b->process;
    health_begin(&s->health, &b->process, s->octets_sent);
    s->traced = new_edges(s);
    return true;
}

void stage_close(struct stage *s)
{
    canary_close(&s->canary);
    runner_done(&s->runner);
    free(s->states);
    free(s->edges_seen);
    if (s->edges != NULL) {
        const char *id = getenv("__AFL_SHM_ID");
        shmdt(s->edges);
        if (id != NULL)
            shmctl(atoi(id), IPC_RMID, NULL);
    }
    bench_close(s->bench);
}

bool stage_fresh(struct stage *s)
{
    bool dear = s->bench->start_ns > SLOW_START_NS; /* then what went before is put up with */
    return s->bench->command->spawn == NULL || dear || s->plans == s->plans_at_start || stage_restart(s);
}

bool stage_restart(struct stage *s)
{
    if (s->bench->command->spawn == NULL) {
        fprintf(stderr, "mqfuzz: the broker is gone, and it is not ours to start again\n");
        return false;
    }
    runner_abort(&s->runner, "the broker is started anew");
    if ((s->hangs || s->in_haste) && s->bench->process.pid > 0)
        kill(-s->bench->process.pid, SIGKILL); /* it would not hear a request, or not soon */
    s->hangs = false;
    if (!bench_restart(s->bench))
        return false;
    s->runner.target = s->bench->target;
    s->plans_at_start = s->plans;
    s->starts++;
    s->started_ns = runner_now_ns();
    s->canary.meanwhile = NULL; /* Ctrl-C does not make this fail */
    bool ok = canary_connect(&s->canary, &s->bench->target);
    s->canary.meanwhile = watch;
    health_begin(&s->health, &s->bench->process, s->octets_sent);
    return ok;
}

static void set(struct outcome *o, const char *oracle, const char *rule, unsigned severity)
{
    *o = (struct outcome){ .found = true, .severity = (uint8_t)severity };
    snprintf(o->oracle, sizeof o->oracle, "%s", oracle);
    snprintf(o->rule, sizeof o->rule, "%s", rule);
}

/* The broker ended; or it goes on after a sanitizer's report, which is then taken off its output. A dying process
 * closes its sockets, or prints its report, before it can be waited for: hence wait_ms. */
static bool broker_ended(struct stage *s, struct outcome *o, int wait_ms)
{
    struct process *p = &s->bench->process;
    char end[96], said[160];
    if (p->pid <= 0)
        return false;
    for (int waited = 0; process_watch(p) && waited < (wait_ms > 0 ? wait_ms : words_wait_ms(p)); waited += 10)
        poll(NULL, 0, 10);
    bool runs = process_watch(p);
    if (runs && !p->sanitizer)
        return false;
    process_end_text(p, end, sizeof end);
    set(o, runs ? "sanitizer" : "crash", runs ? "sanitizer" : "crash", MQTT_SEVERITY_ERROR);
    if (!words_title(p, o->title, sizeof o->title))
        snprintf(o->title, sizeof o->title, "the broker %s", end);
    words_detail(p, said, sizeof said);
    if (runs)
        snprintf(o->why, sizeof o->why, "%s; the broker goes on", said[0] != '\0' ? said : "a sanitizer reported");
    else
        snprintf(o->why, sizeof o->why, "the broker %s", end);
    if (runs)
        words_forget(p);
    return true;
}

static void count(struct stage *s, const struct run *run)
{
    s->packets += run->sent_packets;
    s->connections += run->connections;
    s->plans++;
    for (uint32_t i = 0; i < run->n_log; i++)
        s->octets_sent += run->log[i].what == LOG_SENT ? run->log[i].len : 0;
}

static void tell_fault(struct outcome *o, const struct judge_fault *f)
{
    set(o, f->oracle, f->name, f->severity);
    o->hasty = f->hasty;
    snprintf(o->version, sizeof o->version, "%s", f->version != 0 ? mqtt_version_name(f->version) : "");
    if (f->title[0] != '\0')
        snprintf(o->title, sizeof o->title, "%s", f->title);
    else
        snprintf(o->title, sizeof o->title, "the broker breaks %s", f->name);
    snprintf(o->why, sizeof o->why, "%s", f->sentence);
}

/* The fault to tell of: a certain one that is wanted, else one that is wanted and may be late, else a certain one. */
static void choose_fault(const struct stage *s, const struct judge_result *judged, struct outcome *o)
{
    unsigned best = 0;
    for (uint32_t i = 0; i < judged->n; i++) {
        struct outcome told;
        tell_fault(&told, &judged->fault[i]);
        bool wanted = s->wants == NULL || s->wants(s->wants_ctx, &told);
        unsigned rank = wanted ? told.hasty ? 2 : 3 : told.hasty ? 0 : 1;
        if (rank > best)
            *o = told;
        best = rank > best ? rank : best;
    }
}

void stage_checkup(struct stage *s, struct outcome *o)
{
    struct ailment a;
    *o = (struct outcome){ 0 };
    if (s->bench->process.pid <= 0 || s->plans - s->plans_at_checkup < HEALTH_EVERY)
        return;
    s->plans_at_checkup = s->plans;
    if (!health_check(&s->health, &s->bench->process, s->octets_sent, runner_open(&s->runner), &a))
        return;
    set(o, "resources", a.name, MQTT_SEVERITY_ERROR);
    snprintf(o->title, sizeof o->title, "%s", a.title);
    snprintf(o->why, sizeof o->why, "%s", a.why);
}

/* Nobody was served for so long; is anybody later? A machine, or a broker, that was only slow is not accused. */
static bool comes_back(struct stage *s)
{
    enum { LATER_MS = 4000, NO_SOCKET_TRIES = 10 };
    uint32_t wait_ms = s->canary.wait_ms;
    bool lives = false;
    s->canary.wait_ms = wait_ms != 0 ? wait_ms : LATER_MS; /* short while something is tried again and again */
    if (wait_ms == 0)
        lives = canary_lives(&s->canary, &s->bench->target);
    for (unsigned i = 0; i < NO_SOCKET_TRIES && !lives && canary_helpless(&s->canary); i++) {
        poll(NULL, 0, 500);
        lives = canary_lives(&s->canary, &s->bench->target);
    }
    s->canary.wait_ms = wait_ms;
    return lives || canary_helpless(&s->canary);
}

static uint64_t cpu_ms(const struct stage *s)
{
    struct process_usage now;
    return process_usage(&s->bench->process, &now) ? now.cpu_ms : 0;
}

/* What the broker did all the time that the canary waited. */
static void tell_hang(struct stage *s, int64_t waited_ms, uint64_t used_ms, struct outcome *o)
{
    const struct canary *c = &s->canary;
    s->hangs = true;
    set(o, "hang", "canary", MQTT_SEVERITY_ERROR);
    snprintf(o->title, sizeof o->title, "a well-behaved client is not served");
    if (c->error != 0)
        snprintf(o->why, sizeof o->why, "connections are not accepted any more: %s", strerror(c->error));
    else
        snprintf(o->why, sizeof o->why, "no answer to CONNECT or PINGREQ within %d ms", CANARY_MS);
    size_t n = strlen(o->why);
    if (s->bench->process.pid > 0)
        snprintf(o->why + n, sizeof o->why - n, " (nor in %lld ms, of which it worked %llu)", (long long)waited_ms,
                 (unsigned long long)used_ms);
}

static bool canary_sings(struct stage *s, struct outcome *o)
{
    bool lives = canary_lives(&s->canary, &s->bench->target);
    s->sung_ns = runner_now_ns();
    if (lives || broker_ended(s, o, CANARY_MS))
        return lives;
    int64_t began = runner_now_ns();
    uint64_t used_ms = cpu_ms(s);
    if (mqfuzz_stop || comes_back(s) || mqfuzz_stop)
        return true;
    if (!broker_ended(s, o, 0))
        tell_hang(s, (runner_now_ns() - began) / 1000000, cpu_ms(s) - used_ms, o);
    return false;
}

bool stage_alarm(struct stage *s, bool now, struct outcome *o)
{
    *o = (struct outcome){ 0 };
    if (broker_ended(s, o, 0))
        return true;
    return (now || runner_now_ns() - s->sung_ns > CANARY_EVERY_NS) && !canary_sings(s, o);
}

static void weigh(struct stage *s, const struct run *run, struct outcome *o, bool *new_state)
{
    struct judge_result judged;
    judge_run(run, MQTT_SEVERITY_ERROR, &judged);
    *new_state = stage_new_shape(s, judged.states);
    *new_state = new_edges(s) || *new_state;
    if (broker_ended(s, o, 0))
        return;
    if (!canary_sings(s, o))
        return;
    if (!o->found)
        choose_fault(s, &judged, o);
    if (!o->found && run->end == RUN_FAILED) {
        set(o, "expectation", "plan", MQTT_SEVERITY_ERROR);
        snprintf(o->title, sizeof o->title, "an expectation of the plan is not met");
        snprintf(o->why, sizeof o->why, "%s", run->why);
    }
}

static void mark_ended(struct stage *s, struct run *run)
{
    struct flight *f = run->tag;
    if (f == NULL)
        return;
    f->ended = true;
    f->lost = f->starts != s->starts;
    f->edges = s->traced && !f->slow && new_edges(s);
    *(f->slow ? &s->slow : &s->quick) -= 1;
    f->next_ended = s->ended;
    s->ended = f;
}

void stage_turn(struct stage *s, int timeout_ms)
{
    struct run *ended = runner_step(&s->runner, timeout_ms);
    if (ended != NULL)
        mark_ended(s, ended);
}

/* Goes on until this run has ended. The others are marked when they end. */
static void await(struct stage *s, const struct run *run)
{
    for (struct run *ended = NULL; ended != run;) {
        ended = runner_step(&s->runner, 1000);
        if (ended != NULL)
            mark_ended(s, ended);
    }
}

bool stage_perform(struct stage *s, const struct plan *plan, bool lenient, struct outcome *o, bool *new_state,
                   struct run **kept)
{
    *o = (struct outcome){ 0 };
    *kept = NULL;
    struct run *run = runner_start(&s->runner, plan, NULL, lenient);
    if (run == NULL)
        return false;
    await(s, run);
    count(s, run);
    weigh(s, run, o, new_state);
    if (o->found)
        *kept = run;
    else
        run_free(run);
    return true;
}

/* A name for one run, as long as the place it takes in a talk: that of a plan depends on its number alone, 0 is any
 * other run. */
static void name_run(struct stage *s, uint64_t number, char prefix[TALK_PREFIX_LEN + 1])
{
    make_name(s->seed * 7919 + (number > 0 ? 2 * number : 2 * s->named++ + 1), prefix, TALK_PREFIX_LEN + 1);
}

static bool play_once(struct stage *s, const struct talk *talk, bool patient, struct plan *plan, struct outcome *o,
                      bool *new_state, struct run **kept)
{
    char prefix[TALK_PREFIX_LEN + 1];
    name_run(s, 0, prefix);
    return talk_plan(talk, prefix, patient, plan) && stage_perform(s, plan, true, o, new_state, kept);
}

bool stage_play(struct stage *s, const struct talk *talk, bool patient, struct plan *plan, struct outcome *o,
                bool *new_state, struct run **kept)
{
    *o = (struct outcome){ 0 };
    *plan = (struct plan){ 0 };
    bool news, ok = play_once(s, talk, patient, plan, o, new_state, kept);
    bool suspected = ok && !patient && o->found && o->hasty;
    for (unsigned tries = 0; suspected && ok && (!o->found || o->hasty) && tries < PATIENT_TRIES; tries++) {
        run_free(*kept);
        plan_free(plan);
        *kept = NULL;
        ok = play_once(s, talk, true, plan, o, &news, kept);
    }
    if (o->found && o->hasty) {
        run_free(*kept);
        *kept = NULL;
        *o = (struct outcome){ 0 };
    }
    return ok;
}

bool stage_prepare(struct stage *s, const struct talk *talk, uint64_t number, bool patient, struct flight *f)
{
    char prefix[TALK_PREFIX_LEN + 1];
    name_run(s, number, prefix);
    return talk_copy(&f->talk, talk) && talk_plan(&f->talk, prefix, patient, &f->plan);
}

bool stage_begin(struct stage *s, struct flight *f)
{
    f->starts = s->starts;
    f->run = runner_start(&s->runner, &f->plan, f, true);
    *(f->slow ? &s->slow : &s->quick) += f->run != NULL;
    return f->run != NULL;
}

bool stage_look(struct stage *s, struct flight *f, struct outcome *o)
{
    struct judge_result judged;
    *o = (struct outcome){ 0 };
    count(s, f->run);
    if (f->lost)
        return false;
    judge_run(f->run, MQTT_SEVERITY_ERROR, &judged);
    f->states = judged.states;
    choose_fault(s, &judged, o);
    return true;
}

bool stage_glance(struct stage *s, const struct talk *talk, struct outcome *o)
{
    struct plan plan = { 0 };
    struct run *run = NULL;
    uint32_t wait_ms = s->canary.wait_ms;
    s->canary.wait_ms = GLANCE_MS;
    bool news, ok = play_once(s, talk, false, &plan, o, &news, &run);
    s->canary.wait_ms = wait_ms;
    run_free(run);
    plan_free(&plan);
    return ok;
}

void stage_second_look(struct stage *s, struct outcome *o)
{
    enum { LATE_DEATH_MS = 40 };
    *o = (struct outcome){ 0 };
    poll(NULL, 0, LATE_DEATH_MS);
    if (!broker_ended(s, o, 0) && s->bench->process.pid > 0 && !canary_lives(&s->canary, &s->bench->target))
        broker_ended(s, o, CANARY_MS);
}

void stage_farewell(struct stage *s, struct outcome *o)
{
    struct process *p = &s->bench->process;
    char end[96];
    *o = (struct outcome){ 0 };
    if (p->pid <= 0)
        return;
    canary_close(&s->canary);
    process_stop(p, 5000);
    process_end_text(p, end, sizeof end);
    if (p->sanitizer || (p->ended && WIFSIGNALED(p->status) && WTERMSIG(p->status) != SIGTERM)) {
        set(o, "end", "end", MQTT_SEVERITY_ERROR);
        if (!words_title(p, o->title, sizeof o->title))
            snprintf(o->title, sizeof o->title, "the broker %s when asked to end", end);
        snprintf(o->why, sizeof o->why, "the broker %s when asked to end", end);
    }
}
