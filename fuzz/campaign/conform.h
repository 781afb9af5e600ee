/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/campaign/conform.h -- a deterministic probe for every rule a broker can be held to from outside. */
#pragma once
#include "fuzz/judge/judge.h"

/* Together; its client identifier is not its own: one of these at a time; it may hold up all others: the last, and by
 * itself. */
enum probe_turn { TURN_TOGETHER, TURN_ONE, TURN_LAST, TURNS };

struct probe {
    const char *rule; /* statement it asks about, of this version (3.1: of 3.1.1, as a hint) */
    uint8_t version;  /* enum mqtt_version */
    uint8_t turn;     /* enum probe_turn */
    bool later;       /* it takes long: only when asked for by its name */
    bool hint;        /* 3.1 has no numbered statements, or the answer is left to the broker: no failure */
    char title[160];
    char *script; /* plan text */
};

struct probe_list {
    struct probe *at;
    uint32_t n, cap;
};

/* All probes of these versions (bit set of 1 << version), in a fixed order. False: no memory. */
bool probes_make(struct probe_list *list, unsigned versions);
void probes_free(struct probe_list *list);

/* A broker whose sanitizer reported goes on, and is started anew all the same: who was it? */
enum broker_is { BROKER_RUNS, BROKER_REPORTED, BROKER_ENDED };

/* That happened; while only this probe was under way, or others, too, and none of them does it alone. */
enum probe_killed { KILLED_NOBODY, KILLED_ALONE, KILLED_BESIDE };

struct probe_result {
    const struct probe *probe;
    enum run_end end; /* RUN_FAILED also when the broker broke a rule on the way */
    const char *rule; /* the probe's, or the one that the broker broke on the way */
    char why[RUN_WHY + 64];
    struct judge_result judged;
    char *trace; /* what was sent and received, a line each; NULL unless failed or asked for */
    uint32_t took_ms;
    bool told;                /* with killed: its own result was told before, or is told yet */
    enum probe_killed killed; /* not KILLED_NOBODY: of the rest only the probe counts, and there may be no run */
};

struct conform_options {
    const char *rule;  /* only probes of this rule, or whose title holds this; NULL: all */
    uint32_t parallel; /* probes under way at once */
    uint32_t deadline_ms;
    unsigned deaf;          /* bit set of 1 << version: no message reaches its clients, maybe by right */
    bool lacks[PLAN_NEEDS]; /* what the broker says it lacks, also to clients of 3.x */
    const char *name;       /* how topics and client identifiers of this run begin */
    bool keep_traces;
    /* What is the broker now, which is said once? doubt: something was not as it should be, so that it may serve nobody
     * any more; then it has ended, too. And to start it anew: false when that does not go. NULL: it is not ours. What
     * was under way when it ended or reported is asked again, one probe after the other, until it is settled who did
     * what. */
    enum broker_is (*look)(void *ctx, bool doubt);
    bool (*restart)(void *ctx);
    bool (*settled)(void *ctx);
    /* Called for each result, in the order in which they end; the result is borrowed for the call. False: stop. */
    bool (*each)(void *ctx, const struct probe_result *result, const struct run *run);
    void *ctx;
};

/* False: stopped, out of memory, or the broker cannot be started again. */
bool conform_run(const struct probe_list *list, const struct runner_target *target,
                 const struct conform_options *options);

/* The log of a run as text: time, client, direction, packet; free() it. */
char *run_trace(const struct run *run);
