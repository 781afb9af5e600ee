/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/campaign/campaign.h -- conversations made, carried out one after the other, and weighed; private to run, replay
 * and minimize. */
#pragma once
#include "fuzz/campaign/command.h"
#include "fuzz/peer/canary.h"
#include "fuzz/peer/health.h"
#include "fuzz/talk/conversation.h"

enum { COVERAGE_SIZE = 1 << 18 };

/* What a conversation showed. */
struct outcome {
    char oracle[24], rule[32], version[8], title[200], why[300];
    uint8_t severity;
    bool found;
    bool hasty; /* it may only be late */
};

/* Do two outcomes tell of the same fault? */
bool outcome_same(const struct outcome *a, const struct outcome *b);

/* Carries out one plan and looks: the broker's end, its canary, what it said. new_state: an answer shape or an edge of
 * the broker's code that was not seen before. False: the broker cannot be had any more (said on stderr). */
struct stage {
    struct bench *bench;
    struct runner runner;
    struct canary canary;
    unsigned versions;            /* bit set of 1 << version: wanted, and spoken by the broker */
    char left_out[3][CANARY_WHY]; /* why others are not */
    bool hangs;                   /* the canary was not served at last */
    uint8_t *edges;               /* the broker's coverage map, when it was built with one; NULL */
    uint8_t *edges_seen;
    uint64_t *states; /* hash set of answer shapes */
    uint32_t n_states, n_edges;
    uint64_t packets, connections, plans, octets_sent;
    struct health health;
    uint64_t plans_at_start, starts; /* of the broker that runs */
    uint64_t plans_at_checkup;
    unsigned quick, slow; /* flights under way */
    struct flight *ended; /* those that have ended and were not looked at */
    bool traced;          /* the broker does count edges */
    int64_t sung_ns;      /* when the canary was last heard */
    int64_t started_ns;
    bool fresh_tries;     /* while something is made small */
    bool in_haste;        /* the broker need not end in its own time */
    uint64_t seed, named; /* what makes names, and how many without a number were made */
    /* Of all that a run shows, what the caller wants to hear of first; NULL: all is welcome. */
    bool (*wants)(void *ctx, const struct outcome *o);
    void *wants_ctx;
};

bool stage_open(struct stage *s, struct bench *b, uint32_t deadline_ms);
void stage_close(struct stage *s);
bool stage_perform(struct stage *s, const struct plan *plan, bool lenient, struct outcome *out, bool *new_state,
                   struct run **kept);
/* The talk under names of its own; what may only be late is tried again with more time; patient: it has it at once.
 * *plan is what was carried out in the end; free it in any case. */
bool stage_play(struct stage *s, const struct talk *talk, bool patient, struct plan *plan, struct outcome *out,
                bool *new_state, struct run **kept);
/* A talk that goes on beside others, under names of its own. What it shows is only what the broker said. */
struct flight {
    struct talk talk; /* owned */
    struct plan plan;
    struct run *run; /* NULL: not begun, or looked at */
    bool slow;       /* takes its time on purpose */
    bool ended, lost, edges, looked, own;
    bool alone, waiting; /* no other that goes alone is under way beside it; its turn has not come */
    uint8_t look;        /* patient tries that are left; 0: it is no second look */
    uint16_t kind;       /* of what it was suspected of */
    uint64_t starts;     /* of the broker, when it began */
    uint64_t begun, states;
    struct flight *next_ended;
};
/* number: of the plan, 0: it is none. False: no memory. */
bool stage_prepare(struct stage *s, const struct talk *talk, uint64_t number, bool patient, struct flight *out);
bool stage_begin(struct stage *s, struct flight *f);
void stage_turn(struct stage *s, int timeout_ms); /* works until one has ended, which is marked, or so long */
/* At one that has ended. False: the broker was started anew meanwhile, so that it shows nothing. */
bool stage_look(struct stage *s, struct flight *f, struct outcome *out);
bool stage_new_shape(struct stage *s, uint64_t states); /* of answers: not seen before */
/* Did the broker end, has a sanitizer reported, or, now and then, is the canary not served? */
bool stage_alarm(struct stage *s, bool now, struct outcome *out);
/* One impatient run: what may only be late counts. */
bool stage_glance(struct stage *s, const struct talk *talk, struct outcome *out);
/* Between plans, now and then: does the broker use more than it should? */
void stage_checkup(struct stage *s, struct outcome *out);
bool stage_restart(struct stage *s); /* the broker anew, with a canary */
bool stage_fresh(struct stage *s);   /* the same unless it is fresh, not ours to start, or takes seconds to do so */
/* A little later: is it dead after all? */
void stage_second_look(struct stage *s, struct outcome *out);
/* The broker is asked to end; leaks and bad ends are findings. */
void stage_farewell(struct stage *s, struct outcome *out);

/* Fewer records, then fewer octets, while the same oracle and rule still answer; about `seconds`. The talk is changed
 * in place. Returns how often of *tries (20 where that is quick) the result shows the finding, on a fresh broker each
 * time where it is ours to start; 0: not even the whole talk did. */
unsigned talk_minimise(struct stage *s, struct talk *talk, const struct outcome *wanted, unsigned seconds,
                       unsigned *tries);
/* Carries it out once more. Its run if that shows the outcome and was kept, or NULL; free it, and *plan in any case. */
struct run *talk_show(struct stage *s, const struct talk *talk, const struct outcome *wanted, struct plan *plan);
/* The plan that shows the outcome, for its file: patient where time matters. free() it. */
char *talk_text(const struct talk *talk, const struct outcome *outcome);
