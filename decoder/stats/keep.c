/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/stats/keep.c -- memory and hash tables of the statistics. */
#include "decoder/stats/keep.h"
#include "decoder/base/prefetch.h"
#include "decoder/base/utf8.h"
#include <string.h>

enum { UNIT = 16, SET_FIRST = 2048 };

void *keep_take(struct keep *k, size_t size)
{
    if (k->size - k->used < UNIT || size > k->size - k->used - UNIT)
        return NULL;
    size_t whole = (size + UNIT - 1) / UNIT * UNIT;
    void *p = k->base + k->used;
    k->used += whole;
    return p;
}

bool keep_table_init(struct keep_table *t, struct keep *k, size_t entry_size, uint32_t cap)
{
    *t = (struct keep_table){ .keep = k, .entry_size = entry_size, .cap = cap, .n_buckets = 16 };
    while (t->n_buckets < 2 * cap)
        t->n_buckets *= 2;
    t->buckets = keep_take(k, t->n_buckets * sizeof *t->buckets);
    t->entries = keep_take(k, cap * entry_size);
    return t->buckets != NULL && t->entries != NULL;
}

void *keep_at(const struct keep_table *t, uint32_t i)
{
    return t->entries + (size_t)i * t->entry_size;
}

static uint64_t stir(uint64_t h, uint64_t word)
{
    h = (h ^ word) * 0x9e3779b97f4a7c15u;
    return h ^ h >> 29;
}

/* Eight octets at a time; topics differ in few octets, often the last. The seed (an address) keeps a peer from choosing
 * keys that all fall on one bucket. */
static uint64_t hash_of(uint64_t seed, struct view text, uint64_t number)
{
    uint64_t h = stir(seed, number), last = 0;
    size_t at = 0;
    for (; text.len - at >= 8; at += 8)
        h = stir(h, utf8_load(text.ptr + at, 8));
    if (at < text.len)
        last = utf8_load(text.ptr + at, text.len - at);
    return stir(stir(h, last), text.len);
}

static bool same(const struct keep_key *k, struct view text, uint64_t number, uint64_t hash)
{
    return k->hash == hash && k->number == number && k->text.len == text.len &&
           (text.len == 0 || memcmp(k->text.ptr, text.ptr, text.len) == 0);
}

uint32_t keep_find(struct keep_table *t, struct view text, uint64_t number, bool *added)
{
    uint64_t hash = hash_of((uintptr_t)t->buckets, text, number);
    uint32_t mask = t->n_buckets - 1, at = (uint32_t)(hash >> 20) & mask;
    *added = false;
    for (; t->buckets[at] != 0; at = (at + 1) & mask)
        if (same(keep_at(t, t->buckets[at] - 1), text, number, hash))
            return t->buckets[at] - 1;
    uint8_t *copy = text.len > 0 && t->n < t->cap ? keep_take(t->keep, text.len) : NULL;
    if (t->n == t->cap || (text.len > 0 && copy == NULL))
        return KEEP_NONE;
    if (text.len > 0)
        memcpy(copy, text.ptr, text.len);
    struct keep_key *k = keep_at(t, t->n);
    *k = (struct keep_key){ .text = { copy, text.len }, .number = number, .hash = hash };
    t->buckets[at] = ++t->n;
    *added = true;
    return t->n - 1;
}

static uint64_t *set_places(struct keep_set *t, uint32_t n)
{
    size_t size = n * sizeof *t->places;
    if (size > t->left)
        return NULL;
    uint64_t *places = keep_take(t->keep, size);
    if (places != NULL)
        t->left -= size;
    return places;
}

bool keep_set_init(struct keep_set *t, struct keep *k, size_t size)
{
    uint32_t n = SET_FIRST;
    while (n > 16 && n * sizeof *t->places > size)
        n /= 2;
    *t = (struct keep_set){ .keep = k, .left = size, .seed = (uintptr_t)k->base, .mask = n - 1 };
    t->places = set_places(t, n);
    return t->places != NULL;
}

static uint32_t set_place(const struct keep_set *t, uint64_t hash)
{
    return (uint32_t)(hash >> 20) & t->mask;
}

static uint32_t set_find(const struct keep_set *t, uint64_t hash)
{
    uint32_t at = set_place(t, hash);
    while (t->places[at] != 0 && t->places[at] != hash)
        at = (at + 1) & t->mask;
    return at;
}

/* Four times the places, so that those given up, which do not come back, are few beside them; twice, if no more fit. */
static bool set_grow(struct keep_set *t)
{
    struct keep_set old = *t;
    for (uint32_t times = 4; times > 1; times /= 2) {
        uint64_t n = ((uint64_t)old.mask + 1) * times;
        t->places = n < 1u << 28 ? set_places(t, (uint32_t)n) : NULL;
        if (t->places == NULL)
            continue;
        t->mask = (uint32_t)n - 1;
        for (uint32_t i = 0; i <= old.mask; i++)
            if (old.places[i] != 0)
                t->places[set_find(t, old.places[i])] = old.places[i];
        return true;
    }
    *t = old;
    return false;
}

static bool set_add(struct keep_set *t, uint64_t hash)
{
    uint32_t at = set_find(t, hash);
    if (t->places[at] == hash)
        return true;
    if (t->n >= t->mask - t->mask / 8) {
        if (!set_grow(t))
            return false;
        at = set_find(t, hash);
    }
    t->places[at] = hash;
    t->n++;
    return true;
}

bool keep_count(struct keep_set *t, struct view text)
{
    uint64_t *place = &t->waiting[t->turn++ % KEEP_WAITING], waited = *place;
    *place = hash_of(t->seed, text, 0) | 1;
    prefetch_line(&t->places[set_place(t, *place)]);
    return waited == 0 || set_add(t, waited);
}

uint32_t keep_counted(struct keep_set *t)
{
    for (uint32_t i = 0; i < KEEP_WAITING; i++)
        if (t->waiting[i] != 0)
            set_add(t, t->waiting[i]);
    return t->n;
}
