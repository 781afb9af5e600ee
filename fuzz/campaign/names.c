/* SPDX-License-Identifier: Apache-2.0
 *
 * What sets one run of mqfuzz apart from all others, for a broker may still have what they left. */
#include <time.h>
#include <unistd.h>

#include "fuzz/campaign/command.h"
#include "fuzz/mutator.h"

enum { SEED_BITS = 48 }; /* fifteen digits to type */

uint64_t fresh_seed(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct mutator m = mutator_seeded((uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec);
    m.state = mutator_random(&m) + (uint64_t)getpid();
    return mutator_random(&m) >> (64 - SEED_BITS);
}

void make_name(uint64_t n, char *name, size_t size)
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    name[0] = 'm';
    for (size_t i = 1; i < size - 1; i++, n /= 36)
        name[i] = digits[n % 36];
    name[size - 1] = '\0';
}
