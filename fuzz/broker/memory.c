/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/broker/memory.h"
#include <string.h>

void *mem_resize(struct memory *m, void *old, size_t old_len, size_t new_len)
{
    if (new_len > old_len && m->used + (new_len - old_len) > m->limit)
        return NULL;
    void *p = m->host->resize(m->host->ctx, old, old_len, new_len);
    if (p == NULL && new_len > 0)
        return NULL;
    m->used = m->used - old_len + new_len;
    if (m->used > m->peak)
        m->peak = m->used;
    return p;
}

void *mem_zero(struct memory *m, size_t len)
{
    void *p = mem_resize(m, NULL, 0, len);
    return p == NULL ? NULL : memset(p, 0, len);
}

void mem_free(struct memory *m, void *p, size_t len)
{
    if (p != NULL)
        mem_resize(m, p, len, 0);
}

bool mem_has_room(const struct memory *m, uint64_t len, enum memory_rest rest)
{
    uint64_t usable = m->limit - m->limit / rest;
    return len <= usable && m->used <= usable - len;
}

/* Packet Identifiers are handed out in sequence, so the identifier itself spreads well enough. */
static uint32_t home(const struct idmap *map, uint16_t id)
{
    return id & (map->cap - 1);
}

static struct idmap_slot *probe(const struct idmap *map, uint16_t id)
{
    uint32_t i = home(map, id);
    while (map->slots[i].id != 0 && map->slots[i].id != id)
        i = (i + 1) & (map->cap - 1);
    return &map->slots[i];
}

void *idmap_get(const struct idmap *map, uint16_t id)
{
    if (map->n == 0 || id == 0)
        return NULL;
    struct idmap_slot *slot = probe(map, id);
    return slot->id == id ? slot->value : NULL;
}

static bool idmap_grow(struct idmap *map, struct memory *m)
{
    struct idmap grown = { .cap = map->cap == 0 ? 4 : map->cap * 2, .n = map->n };
    grown.slots = mem_zero(m, grown.cap * sizeof *grown.slots);
    if (grown.slots == NULL)
        return false;
    for (uint32_t i = 0; i < map->cap; i++)
        if (map->slots[i].id != 0)
            *probe(&grown, map->slots[i].id) = map->slots[i];
    mem_free(m, map->slots, map->cap * sizeof *map->slots);
    *map = grown;
    return true;
}

bool idmap_put(struct idmap *map, struct memory *m, uint16_t id, void *value)
{
    if ((map->n + 1) * 4 > map->cap * 3 && !idmap_grow(map, m))
        return false;
    *probe(map, id) = (struct idmap_slot){ id, value };
    map->n++;
    return true;
}

/* Closes the hole by moving back whatever probed across it. */
void idmap_del(struct idmap *map, uint16_t id)
{
    if (idmap_get(map, id) == NULL)
        return;
    uint32_t mask = map->cap - 1, hole = (uint32_t)(probe(map, id) - map->slots);
    for (uint32_t i = (hole + 1) & mask; map->slots[i].id != 0; i = (i + 1) & mask) {
        if (((i - home(map, map->slots[i].id)) & mask) >= ((i - hole) & mask)) {
            map->slots[hole] = map->slots[i];
            hole = i;
        }
    }
    map->slots[hole] = (struct idmap_slot){ 0, NULL };
    map->n--;
}

void idmap_done(struct idmap *map, struct memory *m)
{
    mem_free(m, map->slots, map->cap * sizeof *map->slots);
    *map = (struct idmap){ NULL, 0, 0 };
}

static void place(struct timers *t, uint32_t i, struct timer *timer)
{
    t->heap[i] = timer;
    timer->slot = i + 1;
}

static void sift(struct timers *t, uint32_t i, struct timer *timer)
{
    while (i > 0 && t->heap[(i - 1) / 2]->due > timer->due) {
        place(t, i, t->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    for (uint32_t child; (child = 2 * i + 1) < t->n; i = child) {
        if (child + 1 < t->n && t->heap[child + 1]->due < t->heap[child]->due)
            child++;
        if (t->heap[child]->due >= timer->due)
            break;
        place(t, i, t->heap[child]);
    }
    place(t, i, timer);
}

bool timers_set(struct timers *t, struct memory *m, struct timer *timer, uint64_t due)
{
    if (timer->slot == 0) {
        if (t->n == t->cap) {
            uint32_t cap = t->cap == 0 ? 16 : t->cap * 2;
            void *heap = mem_resize(m, t->heap, t->cap * sizeof *t->heap, cap * sizeof *t->heap);
            if (heap == NULL)
                return false;
            t->heap = heap;
            t->cap = cap;
        }
        timer->slot = ++t->n;
    }
    timer->due = due;
    sift(t, timer->slot - 1, timer);
    return true;
}

void timers_stop(struct timers *t, struct timer *timer)
{
    if (timer->slot == 0)
        return;
    uint32_t hole = timer->slot - 1;
    struct timer *last = t->heap[--t->n];
    timer->slot = 0;
    if (last != timer)
        sift(t, hole, last);
}

uint8_t *buffer_reserve(struct buffer *b, struct memory *m, size_t len)
{
    if (len > UINT32_MAX / 2 - b->len)
        return NULL;
    if (b->at != NULL && b->start + b->len + len <= b->cap)
        return b->at + b->start + b->len;
    if (b->start > 0 && b->start >= b->len && b->len + len <= b->cap) {
        memcpy(b->at, b->at + b->start, b->len);
        b->start = 0;
        return b->at + b->len;
    }
    uint32_t cap = 512;
    while (cap < b->len + len)
        cap *= 2;
    uint8_t *at = mem_resize(m, NULL, 0, cap);
    if (at == NULL && (at = mem_resize(m, NULL, 0, cap = b->len + (uint32_t)len)) == NULL)
        return NULL;
    if (b->len > 0)
        memcpy(at, b->at + b->start, b->len);
    mem_free(m, b->at, b->cap);
    *b = (struct buffer){ at, 0, b->len, cap };
    return at + b->len;
}

void buffer_drop(struct buffer *b, struct memory *m, size_t len)
{
    b->start += (uint32_t)len;
    b->len -= (uint32_t)len;
    if (b->len == 0)
        buffer_done(b, m);
}

void buffer_done(struct buffer *b, struct memory *m)
{
    mem_free(m, b->at, b->cap);
    *b = (struct buffer){ NULL, 0, 0, 0 };
}
