/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/engine/bench.h -- the broker's step function with eight clients whose doings come from a conversation. */
#pragma once
#include "fuzz/broker/broker.h"
#include "fuzz/talk.h"
#include "fuzz/target/target.h"

enum { BENCH_MEMORY = 4 << 20, BENCH_RECORDS = 200 };

/* What a bench tells; any may be NULL. Octets are borrowed for the call. */
struct bench_events {
    void (*opened)(void *ctx, unsigned client);
    void (*octets)(void *ctx, unsigned client, bool by_server, struct view octets);
    void (*closed)(void *ctx, unsigned client, bool by_server, bool reset);
    void (*waited)(void *ctx, uint64_t ms);
    void *ctx;
};

/* Runs the conversation from beginning to end; `rest` (0..15) chooses among the broker's settings. */
void bench_run(struct view talk, unsigned rest, const struct bench_events *events);
