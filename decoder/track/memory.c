/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/track/memory.c -- slabs of equal records, and records of any size, from the caller's allocator. */
#include "decoder/base/prefetch.h"
#include "decoder/track/state.h"

#include <string.h>

void *mem_take(struct track *t, size_t size)
{
    void *p = t->mem.resize(t->mem.ctx, NULL, 0, size);
    if (p != NULL)
        t->counts.memory += size;
    else
        t->counts.refused++;
    return p;
}

void mem_give(struct track *t, void *p, size_t size)
{
    if (p == NULL)
        return;
    t->mem.resize(t->mem.ctx, p, size, 0);
    t->counts.memory -= size;
}

static bool slab_grow(struct track *t, struct slabs *s)
{
    if (s->n_slabs == s->cap_slabs) {
        uint32_t cap = s->cap_slabs > 0 ? 2 * s->cap_slabs : 8;
        void **list = mem_take(t, cap * sizeof *list);
        if (list == NULL)
            return false;
        if (s->n_slabs > 0)
            memcpy(list, s->slab, s->n_slabs * sizeof *list);
        mem_give(t, s->slab, s->cap_slabs * sizeof *list);
        s->slab = list;
        s->cap_slabs = cap;
    }
    void *slab = mem_take(t, (size_t)SLAB * s->size);
    if (slab == NULL)
        return false;
    if (!t->mem.zeroed)
        memset(slab, 0, (size_t)SLAB * s->size);
    s->slab[s->n_slabs++] = slab;
    return true;
}

void *slab_take(struct track *t, struct slabs *s)
{
    void *p = s->free;
    if (p != NULL) {
        memcpy(&s->free, p, sizeof s->free);
        memset(p, 0, sizeof s->free);
        prefetch_record(s->free, s->size);
    } else {
        if (s->held == s->n_slabs * SLAB && !slab_grow(t, s))
            return NULL;
        p = slab_at(s, s->held++);
        if (s->held % SLAB != 0)
            prefetch_record((char *)p + s->size, s->size);
    }
    s->used++;
    return p;
}

/* A record that is not in use is all zero but for its first pointer. */
void slab_give(struct slabs *s, void *p)
{
    memset(p, 0, s->size);
    memcpy(p, &s->free, sizeof s->free);
    s->free = p;
    s->used--;
}

void slab_free(struct track *t, struct slabs *s)
{
    for (uint32_t i = 0; i < s->n_slabs; i++)
        mem_give(t, s->slab[i], (size_t)SLAB * s->size);
    mem_give(t, s->slab, s->cap_slabs * sizeof *s->slab);
    *s = (struct slabs){ .size = s->size };
}

struct pool_chunk {
    struct pool_chunk *next;
    char room[POOL_CHUNK - sizeof(struct pool_chunk *)];
};

struct pool_large {
    struct pool_large *prev, *next;
    size_t size; /* of all */
    char room[];
};

static void *take_large(struct track *t, struct pool *p, size_t size)
{
    struct pool_large *l = mem_take(t, sizeof *l + size);
    if (l == NULL)
        return NULL;
    *l = (struct pool_large){ .next = p->large, .size = sizeof *l + size };
    if (p->large != NULL)
        p->large->prev = l;
    p->large = l;
    return l->room;
}

static void give_large(struct track *t, struct pool *p, void *record)
{
    struct pool_large *l = (struct pool_large *)(void *)((char *)record - offsetof(struct pool_large, room));
    if (l->prev != NULL)
        l->prev->next = l->next;
    else
        p->large = l->next;
    if (l->next != NULL)
        l->next->prev = l->prev;
    mem_give(t, l, l->size);
}

static void put_free(struct pool *p, char *at, size_t units)
{
    memcpy(at, &p->free[units], sizeof p->free[units]);
    p->free[units] = at;
}

static char *take_free(struct pool *p, size_t units)
{
    char *at = p->free[units];
    memcpy(&p->free[units], at, sizeof p->free[units]);
    return at;
}

/* A larger one that was given back is cut. */
static char *cut_free(struct pool *p, size_t units)
{
    for (size_t from = units + 1; from < POOL_CLASSES; from++) {
        if (p->free[from] == NULL)
            continue;
        char *at = take_free(p, from);
        put_free(p, at + units * POOL_UNIT, from - units);
        return at;
    }
    return NULL;
}

static char *bump(struct track *t, struct pool *p, size_t units)
{
    size_t room = p->chunks != NULL ? sizeof p->chunks->room - p->used : 0;
    if (room / POOL_UNIT < units) {
        struct pool_chunk *c = p->taken + POOL_CHUNK <= p->limit ? mem_take(t, POOL_CHUNK) : NULL;
        if (c == NULL)
            return cut_free(p, units);
        if (room >= POOL_UNIT)
            put_free(p, p->chunks->room + p->used, room / POOL_UNIT);
        c->next = p->chunks;
        p->chunks = c;
        p->used = 0;
        p->taken += POOL_CHUNK;
    }
    char *at = p->chunks->room + p->used;
    p->used += (uint32_t)(units * POOL_UNIT);
    return at;
}

static size_t units_of(size_t size)
{
    return size > 0 ? (size + POOL_UNIT - 1) / POOL_UNIT : 1;
}

void *pool_take(struct track *t, struct pool *p, size_t size)
{
    size_t units = units_of(size);
    void *at;
    if (units >= POOL_CLASSES)
        at = take_large(t, p, size); /* the limits of what they hold bound these */
    else
        at = p->free[units] != NULL ? take_free(p, units) : bump(t, p, units);
    return at;
}

void pool_give(struct track *t, struct pool *p, void *record, size_t size)
{
    size_t units = units_of(size);
    if (units >= POOL_CLASSES)
        give_large(t, p, record);
    else
        put_free(p, record, units);
}

void pool_free(struct track *t, struct pool *p)
{
    while (p->chunks != NULL) {
        struct pool_chunk *c = p->chunks;
        p->chunks = c->next;
        mem_give(t, c, POOL_CHUNK);
    }
    while (p->large != NULL)
        give_large(t, p, p->large->room);
    *p = (struct pool){ .limit = p->limit };
}
