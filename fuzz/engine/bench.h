/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/engine/bench.h -- the broker's step function with eight clients whose doings come from a conversation. */
#pragma once
#include "fuzz/broker/broker.h"
#include "fuzz/talk/talk.h"
#include "fuzz/target/target.h"

enum { BENCH_MEMORY = 4 << 20, BENCH_RECORDS = 200, BENCH_DEADLINES = 128 };

/* What kind of broker, from bits 2 and 3 of the octet of scene; bits 4 to 7 choose among its settings. */
enum bench_kind {
    BENCH_OPEN,   /* for everybody */
    BENCH_FILES,  /* with a password file and an ACL file */
    BENCH_TIGHT,  /* with little of everything: clients that read slowly, small limits, memory that is refused */
    BENCH_FAULTS, /* misbehaving: a record "gap N" turns on fault N, but those that crash, hang or leak */
};

static inline enum bench_kind bench_kind(uint8_t octet)
{
    return (enum bench_kind)(octet >> 2 & 3);
}

/* What a bench tells; any may be NULL. Octets are borrowed for the call. */
struct bench_events {
    void (*opened)(void *ctx, unsigned client);
    void (*octets)(void *ctx, unsigned client, bool by_server, struct view octets);
    void (*closed)(void *ctx, unsigned client, bool by_server, bool reset);
    void (*waited)(void *ctx, uint64_t ms);
    void *ctx;
};

/* Runs the conversation from beginning to end. TIGHT tells no octets: they come in pieces. */
void bench_run(struct view talk, enum bench_kind kind, unsigned settings, const struct bench_events *events);
