/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/peer/health.h -- what the broker's process uses, between plans, beside what connections that go on may take.
 */
#pragma once
#include "fuzz/peer/process.h"

enum { HEALTH_EVERY = 64 }; /* plans */

struct health {
    struct process_usage first; /* soon after its start */
    uint64_t sent_at_first;     /* octets */
    int64_t rested_ns;          /* when it was last watched at rest */
};

struct ailment {
    char name[16], title[64], why[200];
};

bool health_tired(const struct health *h); /* the next check watches the process for a while: it should be at rest */
/* Does what is free stay resident for long, so that growth alone proves little? Heaps that are collected, which are
 * large from the start, and the quarantine of AddressSanitizer. */
bool health_lazy(const struct health *h);
void health_begin(struct health *h, const struct process *p, uint64_t octets_sent);
/* What is out of proportion: descriptors, threads, memory; or, every few seconds, a processor kept busy by nothing.
 * open: connections that are still under way. What may pass is looked at again after a while: this can take some
 * seconds. */
bool health_check(struct health *h, const struct process *p, uint64_t octets_sent, uint32_t open, struct ailment *out);
