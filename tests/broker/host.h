/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/broker/host.h -- what the tests of the broker's parts lend it: memory (fuzz/heap.h), and numbers that only look
 * random. */
#pragma once
#include <stdint.h>

#include "fuzz/heap.h"

static uint64_t state_of_random = 1;

static inline uint32_t rnd(uint32_t below)
{
    state_of_random = state_of_random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state_of_random >> 33) % below;
}
