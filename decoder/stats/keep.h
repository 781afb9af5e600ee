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

/* How many different texts there were, and nothing else of them: eight octets each. Texts are told apart by 64 bits of
 * hash, so that among 100,000 two count as one in one run of thousands of millions. The place of one is far away in
 * memory: it is asked for, and looked at when some more have come. */
enum { KEEP_WAITING = 8 };

struct keep_set {
    struct keep *keep;
    uint64_t *places; /* hashes; 0: empty. A power of two of them, at most seven of eight in use */
    uint64_t seed;
    size_t left; /* octets that it may still take */
    uint32_t n, mask, turn;
    uint64_t waiting[KEEP_WAITING]; /* hashes; 0: none */
};

bool keep_set_init(struct keep_set *t, struct keep *k, size_t size); /* takes `size` octets at most. False: no memory */
bool keep_count(struct keep_set *t, struct view text); /* false: one that waited is new, and there is no room */
uint32_t keep_counted(struct keep_set *t);
