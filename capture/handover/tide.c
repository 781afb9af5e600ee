/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/handover/tide.h"
#include <time.h>

/* Most waits are short: looks that cost no more than asking the kernel for a nap, about 40 microseconds of them. The
 * naps are short, too, and nobody has to wake who takes one, which costs the other thread more than this one's late
 * return: what it waits for comes in batches, several ahead. No sched_yield(2): two threads that yield to each other
 * share one processor for long while another one has nothing to do. */
enum { LOOKS = 2000, NAP_NS = 50000 };

static inline void rest(void)
{
#if defined __x86_64__ || defined __i386__
    __builtin_ia32_pause();
#elif defined __aarch64__
    __asm__ volatile("isb");
#endif
}

void tide_await(const struct tide *t, uint64_t to, bool (*meanwhile)(void *ctx), void *ctx)
{
    for (unsigned looks = 0; tide_at(t) < to; looks++) {
        if (meanwhile != NULL && meanwhile(ctx))
            continue;
        if (looks < LOOKS)
            rest();
        else
            nanosleep(&(struct timespec){ .tv_nsec = NAP_NS }, NULL);
    }
}
