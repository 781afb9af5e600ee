/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/campaign/conform.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/judge/ledger.h"
#include "fuzz/mutator.h"

static const struct {
    const char *rule311, *rule5, *title, *script;
    bool in31, hint, later;
} written[] = {
#define PROBE(rule311, rule5, in31, title, script) { rule311, rule5, title, script, in31, false, false },
#define SHOULD(rule311, rule5, title, script) { rule311, rule5, title, script, false, true, false },
#define LATER(rule311, rule5, title, script) { rule311, rule5, title, script, false, true, true },
#include "fuzz/campaign/probes.def"
};

static bool add(struct probe_list *list, const char *rule, unsigned version, bool hint, const char *title,
                const char *script)
{
    if (list->n == list->cap) {
        uint32_t cap = list->cap == 0 ? 256 : list->cap * 2;
        struct probe *more = realloc(list->at, cap * sizeof *more);
        if (more == NULL)
            return false;
        list->at = more;
        list->cap = cap;
    }
    struct probe *p = &list->at[list->n];
    *p = (struct probe){ .rule = rule, .version = (uint8_t)version, .hint = hint, .script = strdup(script) };
    snprintf(p->title, sizeof p->title, "%s", title);
    list->n += p->script != NULL;
    return p->script != NULL;
}

static bool is_recommended(const char *rule, unsigned version)
{
    unsigned level = mqtt_rule_info(mqtt_rule_by_id(rule, version))->level;
    return level == MQTT_LEVEL_SHOULD || level == MQTT_LEVEL_SHOULD_NOT || level == MQTT_LEVEL_NOTE;
}

static bool add_written(struct probe_list *list, unsigned versions)
{
    for (size_t i = 0; i < sizeof written / sizeof *written; i++) {
        for (unsigned v = MQTT_V31; v <= MQTT_V5; v++) {
            const char *rule = v == MQTT_V5 ? written[i].rule5 : written[i].rule311;
            if ((versions & 1u << v) == 0 || rule[0] == '-' || (v == MQTT_V31 && !written[i].in31))
                continue;
            bool hint = v == MQTT_V31 || written[i].hint || is_recommended(rule, v);
            if (!add(list, rule, v, hint, written[i].title, written[i].script))
                return false;
            list->at[list->n - 1].later = written[i].later;
        }
    }
    return true;
}

/* One packet of a client that breaks a rule: the broker has to refuse it. */
static bool add_broken_packet(struct probe_list *list, enum mqtt_rule rule)
{
    const struct mqtt_rule_info *info = mqtt_rule_info(rule);
    uint8_t packet[40000], sender = 0;
    struct mutator m = mutator_seeded(rule);
    size_t n = mutator_break(&m, rule, packet, 0, sizeof packet, &sender);
    if (n == 0 || sender != MQTT_CLIENT || n > 2048)
        return true;
    bool is_connect = packet[0] >> 4 == MQTT_CONNECT;
    char *script = malloc(n * 3 + 256), title[160];
    if (script == NULL)
        return false;
    int at = sprintf(script, "%sa raw", is_connect ? "a open; " : "a > connect; a < connack reason=0; ");
    for (size_t i = 0; i < n; i++)
        at += sprintf(script + at, i % 16 == 0 ? " %02x" : "%02x", packet[i]);
    sprintf(script + at, "; a <! refused");
    snprintf(title, sizeof title, "refuses a packet where %s", info->fault);
    bool ok = add(list, info->id, info->version, !rule_forces_refusal(info), title, script);
    list->at[list->n - ok].alone = ok && is_connect;
    free(script);
    return ok;
}

bool probes_make(struct probe_list *list, unsigned versions)
{
    *list = (struct probe_list){ 0 };
    if (!add_written(list, versions))
        return false;
    for (unsigned rule = 1; rule < MQTT_RULE_COUNT; rule++) {
        const struct mqtt_rule_info *info = mqtt_rule_info((enum mqtt_rule)rule);
        if (info->where == MQTT_WHERE_PACKET && (versions & 1u << info->version) != 0 &&
            !add_broken_packet(list, (enum mqtt_rule)rule))
            return false;
    }
    return true;
}

void probes_free(struct probe_list *list)
{
    for (uint32_t i = 0; i < list->n; i++)
        free(list->at[i].script);
    free(list->at);
    *list = (struct probe_list){ 0 };
}

/* ---- running them ---- */

struct under_way {
    const struct probe *probe;
    struct plan plan;
};

static bool wanted(const struct probe *p, const char *rule)
{
    return rule == NULL ? !p->later : strcmp(p->rule, rule) == 0 || strstr(p->title, rule) != NULL;
}

static bool start(struct runner *r, const struct probe *p, const struct conform_options *o, uint32_t number,
                  bool *memory)
{
    char prefix[24];
    struct under_way *u = calloc(1, sizeof *u);
    *memory = u != NULL;
    if (u == NULL)
        return false;
    snprintf(prefix, sizeof prefix, "%sp%u", o->name, number);
    u->probe = p;
    if (!plan_parse(&u->plan, view_of(p->script, strlen(p->script)), prefix, p->version)) {
        fprintf(stderr, "mqfuzz: probe '%s': %s\n", p->title, u->plan.error); /* a fault of ours: a test looks for it */
        plan_free(&u->plan);
        free(u);
        return false;
    }
    *memory = runner_start(r, &u->plan, u, false) != NULL;
    return *memory;
}

/* Without the number of the line, which says nothing: a probe is one line. */
static const char *reason(const struct run *run)
{
    static const char line[] = "line 1: ";
    return run->why + (strncmp(run->why, line, sizeof line - 1) == 0 ? sizeof line - 1 : 0);
}

/* An expectation that asks whether a connection goes on is no proof against the rule of its probe when what stays away
 * is PINGRESP on one that is open. */
static bool only_mute(const struct run *run)
{
    return run->end == RUN_FAILED && run->plan->step[run->step].want == PLAN_ALIVE &&
           run->plan->step[run->step].op == PLAN_EXPECT && strstr(run->why, "PINGREQ is not answered") != NULL;
}

/* The plan goes on only with what a broker may do or not: refuse something, or leave something out of CONNACK. */
static bool goes_another_way(const struct run *run)
{
    if (run->step >= run->plan->n)
        return false;
    const struct plan_step *s = &run->plan->step[run->step];
    bool refusal = false, absence = false;
    for (unsigned i = 0; s->op == PLAN_EXPECT && i < s->n_match; i++) {
        refusal = refusal || (s->match[i].field == PLAN_F_REASON && (s->match[i].least || s->match[i].most));
        absence = absence || (s->match[i].absent && s->type == MQTT_CONNACK);
    }
    bool wrong = strstr(run->why, "is wrong in '") != NULL, closed = strstr(run->why, "was closed") != NULL;
    return run->end == RUN_UNKNOWN && ((refusal && (wrong || closed)) || (absence && wrong));
}

/* The broker used a right of its own, so that the expectation that was missed proves nothing. That it has to end the
 * connection still counts; but with the reason that it likes. */
static bool was_free_to(const struct run *run, const char *leeway)
{
    if (run->step >= run->plan->n)
        return false;
    const struct plan_step *s = &run->plan->step[run->step];
    bool ends = s->op == PLAN_EXPECT && (s->want == PLAN_CLOSED || s->want == PLAN_REFUSED);
    if (run->end == RUN_FAILED && ends)
        return strstr(run->why, "closed with reason") != NULL &&
               (leeway_is_its_own(run->code) || (leeway[0] != '\0' && run->code >= 0x9a));
    return (run->end == RUN_FAILED || run->end == RUN_UNKNOWN) && leeway[0] != '\0';
}

/* What was too early by the clock: on a busy machine the log may have been written late. `run` asks again, alone. */
static bool hangs_on_the_clock(const struct judge_fault *f)
{
    return f->version == MQTT_V5 && (strcmp(f->name, "MQTT-3.2.2-22") == 0 || strcmp(f->name, "MQTT-3.1.2-8") == 0 ||
                                     strcmp(f->name, "MQTT-3.3.2-5") == 0 || strcmp(f->name, "MQTT-3.3.2-6") == 0);
}

/* Sessions that the broker says it does not keep are no sessions lost. */
static bool may_count(const struct judge_fault *f, const struct run *run)
{
    bool packet = f->rule != MQTT_RULE_NONE && mqtt_rule_info((enum mqtt_rule)f->rule)->where == MQTT_WHERE_PACKET;
    return !f->hasty && !hangs_on_the_clock(f) && (packet || !run->lacks[PLAN_SESSIONS]);
}

/* Session Present 0 for a session that is there: what comes in it looks wrong, and is not. */
static bool explains_others(const struct judge_fault *f)
{
    return strcmp(f->name, f->version == MQTT_V5 ? "MQTT-3.2.2-3" : "MQTT-3.2.2-2") == 0;
}

/* What the broker itself broke on the way counts, under the rule that it broke. */
static void weigh(struct probe_result *result, const struct run *run)
{
    judge_run(run, MQTT_SEVERITY_ERROR, &result->judged);
    const struct judge_fault *fault = NULL;
    bool free = was_free_to(run, result->judged.leeway);
    for (uint32_t i = result->judged.n; i-- > 0;)
        if (may_count(&result->judged.fault[i], run) && (fault == NULL || !explains_others(fault)))
            fault = &result->judged.fault[i];
    if (free) {
        result->end = RUN_NOT_APPLICABLE;
        snprintf(result->why, sizeof result->why, "%s", result->judged.leeway);
    } else if (goes_another_way(run)) {
        result->end = RUN_NOT_APPLICABLE;
        snprintf(result->why, sizeof result->why, "the broker goes another way, as it may: %.150s", reason(run));
    }
    if (fault == NULL || result->end == RUN_FAILED || result->end == RUN_NO_BROKER)
        return;
    result->end = RUN_FAILED;
    result->rule = fault->name;
    snprintf(result->why, sizeof result->why, "the broker breaks %s: %.180s", fault->name, fault->sentence);
}

static bool finish(struct run *run, const struct conform_options *o)
{
    struct under_way *u = run->tag;
    struct probe_result result = { .probe = u->probe, .rule = u->probe->rule, .end = run->end };
    result.took_ms = (uint32_t)((runner_now_ns() - run->began_ns) / 1000000);
    snprintf(result.why, sizeof result.why, "%s", reason(run));
    if (only_mute(run))
        result.rule = "MQTT-3.12.4-1";
    weigh(&result, run);
    if ((o->deaf & 1u << u->probe->version) != 0 && strstr(result.why, "no PUBLISH came") != NULL) {
        result.end = RUN_NOT_APPLICABLE;
        snprintf(result.why, sizeof result.why, "no message reaches a client of this version at all");
    }
    if (o->keep_traces || result.end == RUN_FAILED)
        result.trace = run_trace(run);
    bool go_on = o->each(o->ctx, &result, run);
    free(result.trace);
    run_free(run);
    plan_free(&u->plan);
    free(u);
    return go_on;
}

bool conform_run(const struct probe_list *list, const struct runner_target *target, const struct conform_options *o)
{
    struct runner r;
    uint32_t next[2] = { 0, 0 }; /* of those that may run together, and of the others */
    bool ok = true, memory = true, one = false;
    runner_init(&r, target, o->deadline_ms);
    memcpy(r.lacks, o->lacks, sizeof r.lacks);
    while (ok && memory && (next[0] < list->n || next[1] < list->n || r.n > 0)) {
        for (unsigned alone = 0; alone < 2; alone++)
            while (memory && next[alone] < list->n && (alone ? !one : r.n < o->parallel)) {
                const struct probe *p = &list->at[next[alone]++];
                if (p->alone == alone && wanted(p, o->rule))
                    one = (start(&r, p, o, next[alone], &memory) && alone) || one;
            }
        struct run *ended = runner_step(&r, -1);
        if (ended == NULL)
            continue;
        one = one && !((struct under_way *)ended->tag)->probe->alone;
        ok = finish(ended, o);
    }
    if (!ok)
        runner_abort(&r, "stopped");
    for (struct run *left; r.n > 0 && (left = runner_step(&r, 0)) != NULL;) {
        struct under_way *u = left->tag;
        plan_free(&u->plan);
        free(u);
        run_free(left);
    }
    runner_done(&r);
    return ok && memory;
}

char *run_trace(const struct run *run)
{
    static const char *const words[] = {
        "connected", ">", "<", "closes", "resets", "closed by the broker", "reset by the broker", "not accepted"
    };
    size_t cap = 65536, n = 0;
    char *text = malloc(cap);
    for (uint32_t i = 0; text != NULL && i < run->n_log && n + 600 < cap; i++) {
        const struct log_entry *e = &run->log[i];
        bool octets = e->what == LOG_SENT || e->what == LOG_RECEIVED;
        n += (size_t)snprintf(text + n, cap - n, "%8.3f ms  %c %s", (double)(e->time_ns - run->log[0].time_ns) / 1e6,
                              (char)('a' + e->client), words[e->what]);
        for (uint32_t k = 0; octets && k < e->len && k < 128; k++)
            n += (size_t)snprintf(text + n, cap - n, k == 0 ? " %02x" : "%02x", run->octets[e->at + k]);
        if (octets && e->len > 128)
            n += (size_t)snprintf(text + n, cap - n, "... (%u octets)", e->len);
        n += (size_t)snprintf(text + n, cap - n, "\n");
    }
    if (text != NULL)
        text[n] = '\0';
    return text;
}
