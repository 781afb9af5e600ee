/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/campaign/command.h"
#include "fuzz/campaign/ends.h"
#include "fuzz/peer/canary.h"

enum { PROBES_AT_ONCE = 24, LATE_MS = 250 };

struct conform {
    const struct command *command;
    struct bench bench;
    struct baseline baseline;
    struct report report;
    char name[RUN_NAME];
    uint32_t ended[RUN_NO_BROKER + 1], hints;
    bool trouble, broker_ended;
    uint8_t version; /* that the broker speaks */
    struct ends ends;
    unsigned n_ends, reports;
};

int command_list(const struct command *c)
{
    struct probe_list list;
    if (!probes_make(&list, c->versions))
        return EXIT_TROUBLE;
    uint32_t n = 0;
    for (uint32_t i = 0; i < list.n; i++) {
        const struct probe *p = &list.at[i];
        if (c->rule != NULL && strcmp(c->rule, p->rule) != 0 && strstr(p->title, c->rule) == NULL)
            continue;
        printf("%-6s %-20s %s\n", mqtt_version_name(p->version), p->rule, p->title);
        n++;
    }
    fprintf(stderr, "%u probes\n", n);
    probes_free(&list);
    return fflush(stdout) == 0 ? EXIT_CLEAN : EXIT_TROUBLE;
}

/* One statement a line reads better than semicolons. */
static char *pretty(const char *script)
{
    char *text = strdup(script);
    char *to = text;
    for (const char *c = text; c != NULL && *c != '\0'; c++) {
        bool end = *c == ';';
        c += end && c[1] == ' ';
        *to++ = end ? '\n' : *c;
    }
    if (to != NULL)
        *to = '\0';
    return text;
}

static void print(const struct report_entry *e)
{
    const char *word = e->end == RUN_FAILED ? (e->hint ? "hint" : "FAIL") : run_end_name(e->end);
    printf("%-8s %-6s %-20s %s\n", word, e->version, e->rule, e->title);
    if (e->why[0] != '\0')
        printf("         %s\n", e->why);
}

static void save(struct conform *c, struct report_entry *e, const struct run *run)
{
    if (c->command->out == NULL || report_files(&c->report, e, c->command->out, run))
        return;
    if (!c->trouble)
        fprintf(stderr, "mqfuzz: %s: %s\n", c->command->out, strerror(errno));
    c->trouble = true;
}

/* ---- a broker that ends ---- */

enum { ENDS_MAX = 100 };

static bool go_on(void *ctx)
{
    process_watch(ctx); /* or the broker waits for somebody to read what it prints */
    return !mqfuzz_stop;
}

/* A plain client gets no answer, not even with patience. One that is refused is answered. */
static bool hangs(struct conform *c)
{
    enum { PATIENCE_MS = 6000 };
    struct canary canary = CANARY_NONE;
    canary.version = c->version;
    canary.meanwhile = go_on;
    canary.ctx = &c->bench.process;
    bool served = canary_connect(&canary, &c->bench.target);
    if (!served && canary.n_first == 0 && !canary.closed && !canary_helpless(&canary) && !mqfuzz_stop) {
        canary.wait_ms = PATIENCE_MS;
        served = canary_connect(&canary, &c->bench.target);
    }
    bool silent = !served && canary.n_first == 0 && !canary.closed && (canary.error == 0 || canary.error == ETIMEDOUT);
    canary_close(&canary);
    return silent && !mqfuzz_stop;
}

static enum broker_is look(void *ctx, bool doubt)
{
    struct conform *c = ctx;
    enum broker_is broker = ends_look(&c->ends, &c->bench.process);
    if (broker != BROKER_RUNS || !doubt || !hangs(c) || !process_watch(&c->bench.process))
        return broker != BROKER_RUNS ? broker : ends_look(&c->ends, &c->bench.process);
    ends_hung(&c->ends, &c->bench.process);
    return BROKER_ENDED;
}

static bool settled(void *ctx)
{
    const struct conform *c = ctx;
    return ends_settled(&c->ends);
}

/* report: of a sanitizer; NULL: the broker ended. result: NULL: while no probe was under way. */
static void entitle(const struct conform *c, struct report_entry *e, const struct probe_result *result,
                    const struct ends_report *report)
{
    bool goes_on = report != NULL, beside = result != NULL && result->killed == KILLED_BESIDE;
    const char *name = goes_on ? "sanitizer" : c->ends.hung ? "hang" : "crash", *broker = goes_on ? "" : "the broker ";
    const char *what = goes_on ? report->title : c->ends.how;
    *e = (struct report_entry){ .end = RUN_FAILED, .severity = MQTT_SEVERITY_ERROR };
    snprintf(e->oracle, sizeof e->oracle, "%s", name);
    snprintf(e->rule, sizeof e->rule, "%s", name);
    if (result == NULL) {
        snprintf(e->title, sizeof e->title, "%s%.100s with no probe under way", broker, what);
    } else {
        snprintf(e->version, sizeof e->version, "%s", mqtt_version_name(result->probe->version));
        snprintf(e->title, sizeof e->title, "%s%.90s during '%.80s'", broker, what, result->probe->title);
        e->plan = pretty(result->probe->script);
    }
    snprintf(e->why, sizeof e->why, "%s%.100s%s%s%.100s", broker, what, goes_on ? "; the broker goes on" : "",
             beside ? ", with several probes under way; none of them did it alone" : "", goes_on ? "" : c->ends.said);
}

static bool tell_end(struct conform *c, const struct probe_result *result, const struct run *run,
                     const struct ends_report *report)
{
    struct report_entry *e = report_add(&c->report);
    if (e == NULL)
        return false;
    entitle(c, e, result, report);
    const char *trace = result != NULL ? result->trace : NULL, *tail = report != NULL ? report->tail : c->ends.tail;
    if (asprintf(&e->trace, "%s\nThe broker's last words:\n%s", trace != NULL ? trace : "", tail != NULL ? tail : "") <
        0)
        e->trace = NULL;
    e->hint = baseline_has(&c->baseline, e);
    c->reports += report != NULL;
    printf("%-8s        %-20s %s%s\n", e->hint ? "hint" : "FAIL", report != NULL ? "sanitizer" : "broker", e->title,
           result != NULL && result->killed == KILLED_BESIDE ? " (or a probe beside it)" : "");
    save(c, e, run);
    if (report == NULL && result != NULL && !result->told) {
        c->ended[RUN_FAILED]++;
        c->hints += e->hint;
    }
    return true;
}

/* Of one that did it alone, what it did; else all that nobody did alone. A crash speaks for the reports before it. */
static bool tell_ends(struct conform *c, const struct probe_result *result, const struct run *run)
{
    bool alone = result->killed == KILLED_ALONE, crashed = c->bench.process.ended, ok = true;
    if (c->ends.ended && (crashed || !alone)) {
        c->ends.ended = false;
        ok = tell_end(c, result, run, NULL);
    }
    for (const struct ends_report *report; ok && (report = ends_tell(&c->ends, !alone)) != NULL;)
        ok = (alone && crashed) || tell_end(c, result, run, report);
    fflush(stdout);
    return ok && !mqfuzz_stop;
}

/* What it says before the first probe, or does behind the last one, is told of none. */
static void tell_beside(struct conform *c, bool last)
{
    enum broker_is broker = c->command->spawn != NULL ? look(c, false) : BROKER_RUNS;
    if (broker == BROKER_ENDED && last)
        tell_end(c, NULL, NULL, NULL);
    for (const struct ends_report *report; broker == BROKER_REPORTED && (report = ends_tell(&c->ends, false)) != NULL;)
        tell_end(c, NULL, NULL, report);
}

static bool restart(void *ctx)
{
    struct conform *c = ctx;
    c->broker_ended = true;
    bool again = ++c->n_ends < ENDS_MAX && !mqfuzz_stop && bench_restart(&c->bench);
    if (again)
        tell_beside(c, false);
    else if (!mqfuzz_stop)
        fprintf(stderr, "mqfuzz: the broker %s; the other probes are left out\n",
                c->n_ends < ENDS_MAX ? "does not start again" : "had to start anew too often");
    return again;
}

static bool each(void *ctx, const struct probe_result *result, const struct run *run)
{
    struct conform *c = ctx;
    if (result->killed != KILLED_NOBODY)
        return tell_ends(c, result, run);
    struct report_entry *e = report_add(&c->report);
    if (e == NULL)
        return false;
    e->end = result->end;
    e->hint = result->probe->hint && (result->rule == result->probe->rule || result->probe->version == MQTT_V31);
    e->took_ms = result->took_ms;
    snprintf(e->rule, sizeof e->rule, "%s", result->rule);
    snprintf(e->version, sizeof e->version, "%s", mqtt_version_name(result->probe->version));
    snprintf(e->title, sizeof e->title, "%s", result->probe->title);
    snprintf(e->why, sizeof e->why, "%s", result->why);
    snprintf(e->oracle, sizeof e->oracle, "conformance");
    e->severity = e->end == RUN_FAILED ? MQTT_SEVERITY_ERROR : MQTT_SEVERITY_NONE;
    e->plan = pretty(result->probe->script);
    if (result->trace != NULL)
        e->trace = strdup(result->trace);
    e->hint = e->hint || (e->end == RUN_FAILED && baseline_has(&c->baseline, e));
    c->ended[e->end]++;
    c->hints += e->end == RUN_FAILED && e->hint;
    if (e->end != RUN_PASSED || c->command->verbose)
        print(e);
    if (report_is_finding(e))
        save(c, e, run);
    fflush(stdout);
    return !mqfuzz_stop;
}

/* ---- which versions, and what it lacks ---- */

enum { HOW = RUN_WHY + 16 };

static struct view first_answer(const struct run *run)
{
    for (uint32_t i = 0; i < run->n_log; i++)
        if (run->log[i].what == LOG_RECEIVED)
            return view_of(run->octets + run->log[i].at, run->log[i].len);
    return (struct view){ 0 };
}

/* How a plain client was turned away, by what came back. A broker that does not know 5.0 answers in the form of 3.1.1.
 */
static void how_refused(const struct run *run, char *how, size_t cap)
{
    struct view in = first_answer(run);
    bool connack = in.len >= 4 && in.ptr[0] == MQTT_CONNACK << 4 && in.ptr[1] < 0x80;
    if (connack && in.ptr[1] == 2 && in.ptr[3] < 0x80) {
        const char *name = mqtt_return_name(in.ptr[3]);
        snprintf(how, cap, "CONNECT was answered with return code %u (%s)", in.ptr[3], name != NULL ? name : "unknown");
    } else if (connack) {
        const char *name = mqtt_reason_name(MQTT_CONNACK, in.ptr[3]);
        snprintf(how, cap, "CONNECT was answered with 0x%02x (%s)", in.ptr[3], name != NULL ? name : "unknown");
    } else if (run->end == RUN_NO_BROKER) {
        snprintf(how, cap, "%s", run->why);
    } else if (in.len > 0) {
        int at = snprintf(how, cap, "CONNECT was answered with");
        for (size_t i = 0; i < in.len && i < 8; i++)
            at += snprintf(how + at, cap - (size_t)at, " %02x", in.ptr[i]);
        snprintf(how + at, cap - (size_t)at, "%s, which is no CONNACK", in.len > 8 ? " ..." : "");
    } else {
        bool closed = false;
        for (uint32_t i = 0; i < run->n_log; i++)
            closed = closed || run->log[i].what == LOG_CLOSED_BY_BROKER || run->log[i].what == LOG_RESET_BY_BROKER;
        snprintf(how, cap, closed ? "CONNECT was answered with a close" : "CONNECT was not answered in time");
    }
}

/* The versions in which the broker lets a plain client in, or answers it with what no broker may say; of the others,
 * how it turned it away. */
static unsigned spoken(const struct bench *b, unsigned versions, const char *name, char how[][HOW])
{
    static const char script[] = "a > connect; a < connack reason=0";
    struct plan plan[MQTT_V5 + 1] = { 0 };
    struct runner runner;
    char prefix[24];
    unsigned passed = 0;
    runner_init(&runner, &b->target, b->command->deadline_ms < 5000 ? 5000 : b->command->deadline_ms);
    for (unsigned v = MQTT_V31; v <= MQTT_V5; v++) {
        snprintf(prefix, sizeof prefix, "%shello%u", name, v);
        if ((versions & 1u << v) != 0 && plan_parse(&plan[v], view_of(script, sizeof script - 1), prefix, v))
            runner_start(&runner, &plan[v], &plan[v], false);
    }
    for (struct run *run; (run = runner_step(&runner, -1)) != NULL; run_free(run)) {
        unsigned v = (unsigned)((struct plan *)run->tag - plan);
        struct view in = first_answer(run);
        bool connack = in.len >= 2 && in.ptr[0] >> 4 == MQTT_CONNACK && in.ptr[1] < 0x80;
        bool in_wire = in.len == 0; /* what failed, then, is the WebSocket around an answer */
        passed |= run->end == RUN_PASSED || (run->end == RUN_FAILED && (connack || in_wire)) ? 1u << v : 0;
        how_refused(run, how[v], HOW);
    }
    runner_done(&runner);
    for (unsigned v = MQTT_V31; v <= MQTT_V5; v++)
        plan_free(&plan[v]);
    return passed;
}

/* The versions in which not even a plain message comes. It may be that nobody has the right to it: messages that stay
 * away are then held against nobody, but what was asked is not answered either. */
static unsigned deaf(struct conform *c, unsigned versions)
{
    static const char script[] =
        "b > connect; b < connack reason=0; b > subscribe id=1 sub=0:~/t; b < suback id=1; wait 60ms; "
        "a > connect; a < connack reason=0; a > publish topic=~/t payload=x; b < publish topic=~/t";
    struct plan plan[MQTT_V5 + 1] = { 0 };
    struct runner runner;
    char prefix[24];
    unsigned lost = 0;
    runner_init(&runner, &c->bench.target, c->command->deadline_ms < 5000 ? 5000 : c->command->deadline_ms);
    for (unsigned v = MQTT_V31; v <= MQTT_V5; v++) {
        snprintf(prefix, sizeof prefix, "%sp0v%u", c->name, v);
        if ((versions & 1u << v) != 0 && plan_parse(&plan[v], view_of(script, sizeof script - 1), prefix, v))
            runner_start(&runner, &plan[v], &plan[v], false);
    }
    for (struct run *run; (run = runner_step(&runner, -1)) != NULL; run_free(run))
        lost |= strstr(run->why, "no PUBLISH came") != NULL ? 1u << ((struct plan *)run->tag - plan) : 0;
    runner_done(&runner);
    for (unsigned v = MQTT_V31; v <= MQTT_V5; v++) {
        if ((lost & 1u << v) != 0)
            fprintf(
                stderr,
                "mqfuzz: no message of MQTT %s to %s/t reaches its subscriber: has %s the right to topics like that?\n",
                mqtt_version_name(v), plan[v].prefix,
                c->command->user != NULL ? c->command->user : "an anonymous client");
        plan_free(&plan[v]);
    }
    c->trouble = c->trouble || lost != 0;
    return lost;
}

/* What the broker says it lacks; of 3.1 and 3.1.1, in which it cannot say so, that counts, too. */
static void ask_what_it_lacks(const struct bench *b, const char *name, bool lacks[PLAN_NEEDS])
{
    static const char script[] =
        "a > connect keep=300; a < connack reason=0; a > disconnect reason=0 session_expiry_interval=0";
    struct plan plan;
    struct runner runner;
    runner_init(&runner, &b->target, b->command->deadline_ms);
    if (plan_parse(&plan, view_of(script, sizeof script - 1), name, MQTT_V5))
        runner_start(&runner, &plan, NULL, false);
    for (struct run *run; (run = runner_step(&runner, -1)) != NULL; run_free(run)) {
        struct mqtt_packet connack;
        mqtt_decode(first_answer(run), (struct mqtt_context){ MQTT_V5, MQTT_SERVER }, &connack, NULL);
        memcpy(lacks, run->lacks, sizeof run->lacks);
        lacks[PLAN_SESSIONS] =
            connack.type == MQTT_CONNACK && connack.reason == 0 &&
            mqtt_props_number(&connack.props, MQTT_PROP_SESSION_EXPIRY_INTERVAL, UINT32_MAX) < FORGETFUL_S;
    }
    runner_done(&runner);
    plan_free(&plan);
}

/* A version that the broker does not speak is left out, and said. What is spoken is what is left; 0: nothing could be
 * asked, said on stderr. */
static unsigned agree_on_versions(struct conform *c)
{
    char how[MQTT_V5 + 1][HOW] = { 0 };
    unsigned wanted = c->command->versions, has = spoken(&c->bench, wanted, c->name, how);
    for (unsigned v = MQTT_V31; v <= MQTT_V5; v++) {
        struct report_entry *e = NULL;
        if ((wanted & ~has & 1u << v) != 0 && has == 0)
            fprintf(stderr, "mqfuzz: MQTT %s cannot be tested: %s\n", mqtt_version_name(v), how[v]);
        else if ((wanted & ~has & 1u << v) != 0 && (e = report_add(&c->report)) == NULL)
            return 0;
        if (e == NULL)
            continue;
        e->end = RUN_NOT_APPLICABLE;
        snprintf(e->rule, sizeof e->rule, "-");
        snprintf(e->version, sizeof e->version, "%s", mqtt_version_name(v));
        snprintf(e->title, sizeof e->title, "not tested: %.140s", how[v]);
        snprintf(e->oracle, sizeof e->oracle, "conformance");
        print(e);
    }
    if (has == 0)
        fprintf(stderr, "mqfuzz: the broker lets no plain client in%s\n",
                c->command->user == NULL ? "; --user and --password log in" : "");
    return has;
}

int command_conform(const struct command *command)
{
    struct conform c = { .command = command };
    struct probe_list list;
    if (!baseline_read(&c.baseline, command->baseline) || !bench_open(&c.bench, command))
        return EXIT_TROUBLE;
    c.report.seed = command->seed;
    make_name(command->seed, c.name, sizeof c.name);
    snprintf(c.report.target, sizeof c.report.target, "%s", command->spawn != NULL ? command->spawn : command->target);
    struct conform_options o = { .rule = command->rule,
                                 .parallel = command->jobs != 0 ? command->jobs : PROBES_AT_ONCE,
                                 .deadline_ms = command->deadline_ms,
                                 .name = c.name,
                                 .look = command->spawn != NULL ? look : NULL,
                                 .restart = restart,
                                 .settled = settled,
                                 .each = each,
                                 .ctx = &c };
    int64_t began = runner_now_ns();
    unsigned versions = agree_on_versions(&c);
    if (versions == 0) {
        bench_close(&c.bench);
        baseline_free(&c.baseline);
        return EXIT_TROUBLE;
    }
    c.version = (versions & 1u << MQTT_V311) != 0 ? MQTT_V311 : (versions & 1u << MQTT_V5) != 0 ? MQTT_V5 : MQTT_V31;
    if (!probes_make(&list, versions)) {
        fprintf(stderr, "mqfuzz: no memory\n");
        return EXIT_TROUBLE;
    }
    ask_what_it_lacks(&c.bench, c.name, o.lacks);
    o.deaf = deaf(&c, versions);
    tell_beside(&c, false);
    bool complete = conform_run(&list, &c.bench.target, &o);
    if (complete) {
        poll(NULL, 0, LATE_MS);
        tell_beside(&c, true);
    }
    bench_close(&c.bench);
    uint32_t asked = 0;
    for (unsigned end = 0; end <= RUN_NO_BROKER; end++)
        asked += c.ended[end];
    if (asked == 0 && command->rule != NULL && complete) {
        fprintf(stderr, "mqfuzz: no probe is for '%s' or has it in its title: see --list\n", command->rule);
        c.trouble = true;
    }
    printf("%u probes: %u pass, %u fail, %u hints, %u unknown, %u not applicable", asked, c.ended[RUN_PASSED],
           c.ended[RUN_FAILED] - c.hints, c.hints, c.ended[RUN_UNKNOWN], c.ended[RUN_NOT_APPLICABLE]);
    if (c.reports > 0)
        printf(", %u reports of sanitizers", c.reports);
    printf(" (%.1f s)\n", (double)(runner_now_ns() - began) / 1e9);
    int status = command_reports(command, &c.report);
    if (!complete && status == EXIT_CLEAN && !mqfuzz_stop)
        status = EXIT_TROUBLE;
    if (c.ended[RUN_NO_BROKER] > 0 && !c.broker_ended) {
        fprintf(stderr, "mqfuzz: the broker does not accept connections at %s\n", c.report.target);
        status = EXIT_TROUBLE;
    }
    if (mqfuzz_stop)
        fprintf(stderr, "mqfuzz: stopped by a signal; what was found until then is reported\n");
    probes_free(&list);
    ends_free(&c.ends);
    report_free(&c.report);
    baseline_free(&c.baseline);
    return c.trouble || fflush(stdout) != 0 ? EXIT_TROUBLE : status;
}
