/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/judge/judge.h -- what the broker said, held against the standards: decoder, tracker and the guarantees of a
 * whole run over its log.
 */
#pragma once
#include "fuzz/judge/leeway.h"
#include "fuzz/peer/runner.h"

enum { JUDGE_FAULTS = 16, JUDGE_SENTENCE = 224 };

struct judge_fault {
    uint16_t rule;    /* enum mqtt_rule, MQTT_RULE_NONE for a diagnosis */
    uint8_t severity; /* enum mqtt_severity */
    uint8_t version;
    const char *oracle;  /* "violation", "guarantee", "reaction" */
    uint32_t connection; /* in the order of the log; of a guarantee: none */
    bool hasty;          /* something stayed away that may only be late: the same plan with more time will tell */
    char name[32];       /* id of the rule, or name of the diagnosis */
    char title[120];     /* "": none but the name */
    char sentence[JUDGE_SENTENCE];
    struct view octets; /* the packet at fault, in the run's log; ptr NULL: none */
};

struct judge_result {
    struct judge_fault fault[JUDGE_FAULTS];
    uint32_t n, lost;
    char leeway[LEEWAY_WHY]; /* what the broker was free to do, and did, so that a missed expectation proves nothing; or
                                "" */
    uint64_t states;         /* a hash of the shapes of what came back: new ones mean new behaviour */
};

/* Faults of the broker only, of at least this severity, each rule once. */
void judge_run(const struct run *run, enum mqtt_severity least, struct judge_result *out);
