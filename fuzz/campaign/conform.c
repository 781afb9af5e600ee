/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/campaign/conform.h"

#include <poll.h>
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

/* A broker may be at a stand, or at work for seconds: many subscriptions are much to do for some. */
static bool is_heavy(const char *script)
{
    return strstr(script, " deaf; ") != NULL || strstr(script, " sub*") != NULL;
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
            list->at[list->n - 1].turn = is_heavy(written[i].script) ? TURN_LAST : TURN_TOGETHER;
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
    if (ok && is_connect)
        list->at[list->n - 1].turn = TURN_ONE;
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
    bool told; /* how it ended; it is asked again to see whether it kills */
    struct plan plan;
};

static bool wanted(const struct probe *p, const char *rule)
{
    return rule == NULL ? !p->later : strcmp(p->rule, rule) == 0 || strstr(p->title, rule) != NULL;
}

static struct under_way *start(struct runner *r, const struct probe *p, const struct conform_options *o,
                               uint32_t number, bool *memory)
{
    char prefix[24];
    struct under_way *u = calloc(1, sizeof *u);
    *memory = u != NULL;
    if (u == NULL)
        return NULL;
    snprintf(prefix, sizeof prefix, "%sp%u", o->name, number);
    u->probe = p;
    if (!plan_parse(&u->plan, view_of(p->script, strlen(p->script)), prefix, p->version)) {
        fprintf(stderr, "mqfuzz: probe '%s': %s\n", p->title, u->plan.error); /* a fault of ours: a test looks for it */
        plan_free(&u->plan);
        free(u);
        return NULL;
    }
    *memory = runner_start(r, &u->plan, u, false) != NULL;
    return *memory ? u : NULL;
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

static void forget(struct run *run)
{
    struct under_way *u = run->tag;
    run_free(run);
    plan_free(&u->plan);
    free(u);
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
    forget(run);
    return go_on;
}

/* ---- a broker that ends ---- */

enum { RECENT = 32, LATE_DEATH_MS = 40 };

struct suspect {
    const struct probe *probe;
    int64_t sent_ns; /* when it said its last word */
    bool told;       /* how it ended */
};

struct asking {
    const struct probe_list *list;
    const struct runner_target *target;
    const struct conform_options *o;
    struct runner r;
    uint32_t next[TURNS];          /* of those whose turn it is then */
    bool memory, one, gone;        /* one: of TURN_ONE is under way; gone: the broker, for good */
    struct suspect *again;         /* to be asked again, the last first */
    uint32_t n_again, numbers;     /* numbers: probes begun */
    struct suspect recent[RECENT]; /* that have ended */
    uint32_t n_recent;
    const struct probe *beside; /* it ended beside others: they are asked one by one until it is known who did it */
};

static bool tell_end(const struct asking *a, const struct probe *p, enum probe_killed killed, struct run *run)
{
    struct probe_result result = { .probe = p, .rule = p->rule, .end = RUN_FAILED, .killed = killed };
    result.told = run == NULL || ((struct under_way *)run->tag)->told;
    result.trace = run != NULL ? run_trace(run) : NULL;
    bool go_on = a->o->each(a->o->ctx, &result, run);
    free(result.trace);
    return go_on;
}

/* A process that dies closes its connections a little before it is gone; and what kills may be that a client went. */
static enum broker_is look(const struct asking *a, const struct run *ended)
{
    bool closed = ended->end == RUN_NO_BROKER;
    for (uint32_t i = 0; i < ended->n_log; i++)
        closed = closed || ended->log[i].what == LOG_CLOSED_BY_BROKER || ended->log[i].what == LOG_RESET_BY_BROKER;
    if (a->o->look == NULL)
        return BROKER_RUNS;
    if (closed || a->beside != NULL)
        poll(NULL, 0, a->beside != NULL ? LATE_DEATH_MS : 1);
    return a->o->look(a->o->ctx, a->beside != NULL || ended->end == RUN_FAILED || ended->end == RUN_UNKNOWN);
}

static struct suspect suspect(const struct run *run)
{
    const struct under_way *u = run->tag;
    struct suspect s = { .probe = u->probe, .told = u->told };
    for (uint32_t i = 0; i < run->n_log; i++)
        if (run->log[i].what == LOG_SENT)
            s.sent_ns = run->log[i].time_ns;
    return s;
}

static void ask_again(struct asking *a, struct run *run)
{
    a->again[a->n_again++] = suspect(run);
    forget(run);
}

/* How it went is told, but of one that was only asked again for what it might do. */
static bool tell(struct asking *a, struct run *run)
{
    if (((struct under_way *)run->tag)->told) {
        forget(run);
        return true;
    }
    struct suspect *s = &a->recent[a->n_recent++ % RECENT];
    *s = suspect(run);
    s->told = true;
    return finish(run, a->o);
}

static int sent_sooner(const void *a, const void *b)
{
    const struct suspect *x = a, *y = b;
    return x->sent_ns < y->sent_ns ? -1 : x->sent_ns > y->sent_ns;
}

/* Those under way, and those that have just ended. */
static void suspect_all(struct asking *a, struct run *ended)
{
    a->beside = ((struct under_way *)ended->tag)->probe;
    ask_again(a, ended);
    runner_abort(&a->r, "the broker ended");
    for (struct run *left; a->r.n > 0 && (left = runner_step(&a->r, 0)) != NULL;)
        ask_again(a, left);
    for (uint32_t i = 0; i < RECENT && i < a->n_recent; i++)
        a->again[a->n_again++] = a->recent[i];
    a->n_recent = 0;
    qsort(a->again, a->n_again, sizeof *a->again, sent_sooner);
}

/* It is known who did it: the others are asked beside each other, for what they were to tell. */
static void clear_the_others(struct asking *a)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < a->n_again; i++)
        if (!a->again[i].told)
            a->again[kept++] = a->again[i];
    a->n_again = kept;
    a->beside = NULL;
}

/* This one did it, alone. When the broker goes on, what was asked has an answer, too. */
static bool blame(struct asking *a, struct run *ended, bool goes_on)
{
    bool go_on = tell_end(a, ((struct under_way *)ended->tag)->probe, KILLED_ALONE, ended);
    if (goes_on && go_on)
        go_on = tell(a, ended);
    else
        forget(ended);
    if (a->o->settled(a->o->ctx))
        clear_the_others(a);
    return go_on;
}

static bool after_the_end(struct asking *a, struct run *ended, bool goes_on)
{
    bool go_on = true;
    if (a->beside != NULL)
        go_on = blame(a, ended, goes_on);
    else
        suspect_all(a, ended);
    a->one = false;
    a->gone = go_on && !a->o->restart(a->o->ctx);
    a->r.target = *a->target;
    return go_on && !a->gone;
}

/* ---- all of them ---- */

static void ask(struct asking *a, const struct probe *p, bool told)
{
    struct under_way *u = start(&a->r, p, a->o, ++a->numbers, &a->memory);
    a->one = (u != NULL && p->turn == TURN_ONE) || a->one;
    if (u != NULL)
        u->told = told;
}

static bool may_begin(const struct asking *a, unsigned turn)
{
    return turn == TURN_TOGETHER ? a->r.n < a->o->parallel : turn == TURN_ONE ? !a->one : a->r.n == 0;
}

static void ask_more(struct asking *a)
{
    while (a->memory && a->n_again > 0 && (a->r.n == 0 || (a->beside == NULL && a->r.n < a->o->parallel))) {
        const struct suspect *s = &a->again[--a->n_again];
        ask(a, s->probe, s->told);
    }
    if (a->n_again > 0 || a->beside != NULL)
        return;
    for (unsigned turn = 0; turn < TURNS; turn++)
        while (a->memory && a->next[turn] < a->list->n && may_begin(a, turn)) {
            const struct probe *p = &a->list->at[a->next[turn]++];
            if (p->turn == turn && wanted(p, a->o->rule))
                ask(a, p, false);
        }
}

static bool more_to_ask(const struct asking *a)
{
    bool more = a->n_again > 0 || a->r.n > 0;
    for (unsigned turn = 0; turn < TURNS; turn++)
        more = more || a->next[turn] < a->list->n;
    return more;
}

bool conform_run(const struct probe_list *list, const struct runner_target *target, const struct conform_options *o)
{
    struct asking a = { .list = list, .target = target, .o = o, .memory = true };
    bool ok = (a.again = calloc(o->parallel + 2 + RECENT, sizeof *a.again)) != NULL;
    runner_init(&a.r, target, o->deadline_ms);
    memcpy(a.r.lacks, o->lacks, sizeof a.r.lacks);
    while (ok && a.memory && more_to_ask(&a)) {
        if (a.beside != NULL && a.n_again == 0 && a.r.n == 0) {
            ok = tell_end(&a, a.beside, KILLED_BESIDE, NULL);
            a.beside = NULL;
        }
        ask_more(&a);
        struct run *ended = runner_step(&a.r, -1);
        if (ended == NULL)
            continue;
        a.one = a.one && ((struct under_way *)ended->tag)->probe->turn != TURN_ONE;
        enum broker_is broker = ok ? look(&a, ended) : BROKER_RUNS;
        ok = ok && (broker == BROKER_RUNS ? tell(&a, ended) : after_the_end(&a, ended, broker == BROKER_REPORTED));
    }
    if ((ok || a.gone) && a.beside != NULL)
        tell_end(&a, a.beside, KILLED_BESIDE, NULL);
    if (!ok)
        runner_abort(&a.r, "stopped");
    for (struct run *left; a.r.n > 0 && (left = runner_step(&a.r, 0)) != NULL;)
        forget(left);
    runner_done(&a.r);
    free(a.again);
    return ok && a.memory;
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
