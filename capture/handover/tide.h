/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/handover/tide.h -- a number that one thread raises and the other waits for. */
#pragma once
#include "decoder/base/prefetch.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct tide {
    _Alignas(CACHE_LINE) _Atomic uint64_t at; /* in a line of the cache of its own, with what belongs to it */
    _Atomic uint64_t awaited;                 /* somebody sleeps until it is at this; 0: nobody */
    pthread_mutex_t mutex;                    /* of who goes to sleep, and who wakes it */
    pthread_cond_t more;
};

void tide_init(struct tide *t); /* at 0 */
void tide_destroy(struct tide *t);

/* What was written before it rose is seen by who sees it so high. */
static inline uint64_t tide_at(const struct tide *t)
{
    return atomic_load_explicit(&t->at, memory_order_acquire);
}

void tide_rise(struct tide *t);  /* by one */
void tide_flood(struct tide *t); /* above all: nobody waits for it any more */

/* Until it is at `to`. meanwhile: called with ctx while it is not; true: looks again at once. NULL is fine. */
void tide_await(struct tide *t, uint64_t to, bool (*meanwhile)(void *ctx), void *ctx);
