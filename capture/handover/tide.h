/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/handover/tide.h -- a number that one thread raises and the other waits for. */
#pragma once
#include "decoder/base/prefetch.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct tide {                                 /* 0 at first */
    _Alignas(CACHE_LINE) _Atomic uint64_t at; /* in a line of the cache of its own */
};

/* What was written before it rose is seen by who sees it so high. */
static inline uint64_t tide_at(const struct tide *t)
{
    return atomic_load_explicit(&t->at, memory_order_acquire);
}

/* By one. */
static inline void tide_rise(struct tide *t)
{
    atomic_store_explicit(&t->at, atomic_load_explicit(&t->at, memory_order_relaxed) + 1, memory_order_release);
}

/* Above all: nobody waits for it any more. */
static inline void tide_flood(struct tide *t)
{
    atomic_store_explicit(&t->at, UINT64_MAX, memory_order_release);
}

/* Until it is at `to`. meanwhile: called with ctx while it is not; true: looks again at once. NULL is fine. */
void tide_await(const struct tide *t, uint64_t to, bool (*meanwhile)(void *ctx), void *ctx);
