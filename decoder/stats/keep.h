/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/stats/keep.h -- memory of a statistic: handed out front to back, and a table of entries found by key. */
#pragma once
#include "decoder/base/cursor.h"

struct keep {
    uint8_t *base; /* zeroed */
    size_t size, used;
};

void *keep_take(struct keep *k, size_t size); /* zeroed, aligned; NULL when the memory is used up */

#define KEEP_NONE UINT32_MAX

/* Entries of one size, numbered from 0 in the order of their arrival; each begins with its struct keep_key. */
struct keep_key {
    struct view text;
    uint64_t number; /* part of the key beside the text */
    uint64_t hash;
};

struct keep_table {
    struct keep *keep;
    uint32_t *buckets; /* number of an entry and 1; a power of two of them */
    uint8_t *entries;
    size_t entry_size;
    uint32_t n, cap, n_buckets;
};

/* Takes its arrays from the keep; cap entries at most. False: no memory. */
bool keep_table_init(struct keep_table *t, struct keep *k, size_t entry_size, uint32_t cap);
void *keep_at(const struct keep_table *t, uint32_t i);
/* The entry of this key, added (zeroed but for its key, whose text is copied) when new. KEEP_NONE: new, and there is no
 * room. */
uint32_t keep_find(struct keep_table *t, struct view text, uint64_t number, bool *added);
