/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/campaign/run.h -- one job of mqfuzz run; private to command_run.c, run_find.c and run_suspect.c. */
#pragma once
#include "fuzz/campaign/flights.h"
#include "fuzz/campaign/jobs.h"
#include "fuzz/campaign/queue.h"

enum { LATER_MAX = 256, KEPT_MAX = 1024, BLOCK = 16384, HISTORY_MAX = 4096, HISTORY_S = 60, KINDS = 64, PENDING = 64 };

/* A finding that is still to be made small. */
struct later {
    uint32_t entry; /* of the report */
    struct outcome outcome;
    struct talk talk; /* owned */
};

/* What flights were suspected of, and how that went. */
struct kind {
    struct outcome outcome;
    unsigned failed;  /* times that a second look showed nothing */
    unsigned looking; /* second looks under way */
    uint64_t ignored; /* until this plan */
};

struct suspicion {
    struct talk talk; /* owned */
    uint16_t kind;
    uint8_t look; /* patient tries beside others that are left; 0: now alone */
    bool patient;
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
    int64_t confirming_ns;
    int64_t shrinking_ns; /* time spent on making findings small, and what was sent in it */
    uint64_t shrinking_packets, shrinking_connections;
    struct flights flights;
    struct kind kind[KINDS];
    struct suspicion pending[PENDING];
    uint32_t n_pending;
    char *beside;   /* owned; plans that show the next finding together */
    uint64_t seeds; /* plans that came from elsewhere */
    uint64_t plans; /* made; minimising carries out more */
    int64_t began_ns, said_ns;
    bool trouble;
};

void run_forget_history(struct campaign *c);
void run_remember(struct campaign *c, const struct talk *talk);
bool run_whole_history(struct campaign *c, struct talk *out); /* all since the broker was started, or none */
void run_write_down(struct campaign *c, const struct talk *talk, bool crash);
bool run_claim_finding(struct campaign *c, const struct outcome *o);
struct report_entry *run_known(struct campaign *c, const struct outcome *o);
struct report_entry *run_add_entry(struct campaign *c, const struct outcome *o);
void run_save(struct campaign *c, struct report_entry *e, const struct run *run);
void run_announce(const struct report_entry *e);
unsigned run_budget(struct campaign *c, unsigned seconds);
void run_found(struct campaign *c, const struct talk *talk, const struct outcome *o, struct run *run);
void run_shrink_some(struct campaign *c, bool all);
void run_learn(struct campaign *c, const struct talk *talk, const struct outcome *o, struct run *run);
bool run_is_news(void *ctx, const struct outcome *o);
void run_suspect(void *ctx, struct flight *f, const struct outcome *o);
void run_follow_suspicions(struct campaign *c);
void run_attend(struct campaign *c, bool now); /* to what is wrong with the broker as a whole */
bool run_over(const struct campaign *c);
bool run_slow_now(const struct campaign *c, unsigned quarters); /* may something take seconds now? */
