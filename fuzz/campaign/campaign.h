/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/campaign/campaign.h -- conversations made, carried out one after the other, and weighed; private to run, replay
 * and minimize. */
#pragma once
#include "fuzz/campaign/canary.h"
#include "fuzz/campaign/command.h"
#include "fuzz/mutator.h"

enum { TALK_MAX = 32768, COVERAGE_SIZE = 1 << 18 };

/* One conversation: records of fuzz/talk.h, sent in the forms of one version. */
struct talk {
    uint8_t *octets;
    uint32_t len;
    uint8_t version;
};

size_t talk_fresh(struct mutator *m, unsigned version, uint8_t *out, size_t cap); /* several clients, mostly valid */
/* A plan with views into the talk; what the server would have sent is left out. False: no memory. */
bool talk_plan(const struct talk *talk, struct plan *out);
char *talk_text(const struct talk *talk); /* as a plan to read and to replay; free() it */

/* What a conversation showed. */
struct outcome {
    char oracle[24], rule[32], version[8], title[200], why[300];
    uint8_t severity;
    bool found;
};

/* Carries out one plan and looks: the broker's end, its canary, what it said. new_state: an answer shape or an edge of
 * the broker's code that was not seen before. False: the broker cannot be had any more (said on stderr). */
struct stage {
    struct bench *bench;
    struct runner runner;
    struct canary canary;
    uint8_t *edges; /* the broker's coverage map, when it was built with one; NULL */
    uint8_t *edges_seen;
    uint64_t *states; /* hash set of answer shapes */
    uint32_t n_states, n_edges;
    uint64_t packets, connections, plans, octets_sent;
    struct process_usage first, latest; /* of the broker: soon after its start, and now */
    uint64_t sent_at_first;
};

bool stage_open(struct stage *s, struct bench *b, uint32_t deadline_ms);
void stage_close(struct stage *s);
bool stage_perform(struct stage *s, const struct plan *plan, bool lenient, struct outcome *out, bool *new_state,
                   struct run **kept);
bool stage_restart(struct stage *s); /* the broker anew, with a canary */
/* The broker is asked to end; leaks and bad ends are findings. */
void stage_farewell(struct stage *s, struct outcome *out);

/* Fewer records, then fewer octets, while the same oracle and rule still answer; at most `seconds`. The talk is changed
 * in place. Returns how often of `tries` the result shows the finding. */
unsigned talk_minimise(struct stage *s, struct talk *talk, const struct outcome *wanted, unsigned seconds,
                       unsigned tries);
