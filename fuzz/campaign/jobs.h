/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/campaign/jobs.h -- several campaigns side by side, each a process with a broker of its own, told as one. */
#pragma once
#include <stdatomic.h>

#include "fuzz/campaign/campaign.h"

enum { JOBS_MAX = 64, CLAIMS = 4096 };

/* Memory of all jobs. What one of them claims is its own: no finding is told twice, no file written by two. */
struct shared {
    _Atomic uint64_t claimed[CLAIMS];
    struct {
        _Atomic uint64_t plans, packets, connections, states, edges, findings;
        _Atomic uint64_t fuzzed_ms; /* without the time for making findings small, as packets and connections are */
    } job[JOBS_MAX];
};

/* True for the first who asks. */
bool shared_claim(struct shared *s, const char *text);

/* One campaign to its end: what it found is added to *report. EXIT_TROUBLE: said on stderr; else EXIT_CLEAN. */
int campaign_run(const struct command *command, struct shared *shared, unsigned job, struct report *report);
/* A line about all jobs, when it is time for one. */
struct tally { /* of all jobs */
    unsigned long long plans, packets, connections, states, edges, findings;
    double seconds; /* spent on that, on the average */
};
struct tally campaign_tally(const struct shared *shared, unsigned jobs);
void campaign_progress(const struct shared *shared, unsigned jobs, int64_t began_ns, int64_t *said_ns, bool last);
