/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/handover/tide.h"
#include <sched.h>

/* Looks before one goes to sleep: that costs more than some looks, and most waits are short. */
enum { PATIENCE = 1000 };

void tide_init(struct tide *t)
{
    pthread_mutex_init(&t->mutex, NULL);
    pthread_cond_init(&t->more, NULL);
    atomic_init(&t->at, 0);
    atomic_init(&t->awaited, 0);
}

void tide_destroy(struct tide *t)
{
    pthread_cond_destroy(&t->more);
    pthread_mutex_destroy(&t->mutex);
}

static void sleep_until(struct tide *t, uint64_t to)
{
    pthread_mutex_lock(&t->mutex);
    atomic_store(&t->awaited, to);
    while (atomic_load(&t->at) < to)
        pthread_cond_wait(&t->more, &t->mutex);
    atomic_store(&t->awaited, 0);
    pthread_mutex_unlock(&t->mutex);
}

void tide_await(struct tide *t, uint64_t to, bool (*meanwhile)(void *ctx), void *ctx)
{
    for (unsigned i = 0; i < PATIENCE; i++) {
        if (tide_at(t) >= to)
            return;
        if (meanwhile == NULL || !meanwhile(ctx))
            sched_yield();
    }
    sleep_until(t, to);
}

static void wake(struct tide *t)
{
    uint64_t awaited = atomic_load(&t->awaited);
    if (awaited == 0 || atomic_load(&t->at) < awaited)
        return;
    pthread_mutex_lock(&t->mutex);
    pthread_cond_signal(&t->more);
    pthread_mutex_unlock(&t->mutex);
}

void tide_rise(struct tide *t)
{
    atomic_store(&t->at, atomic_load_explicit(&t->at, memory_order_relaxed) + 1);
    wake(t);
}

void tide_flood(struct tide *t)
{
    atomic_store(&t->at, UINT64_MAX);
    wake(t);
}
