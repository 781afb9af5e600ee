/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/track/memory.c -- slabs of equal records from the caller's allocator. */
#include "decoder/track/state.h"

#include <string.h>

void *mem_take(struct track *t, size_t size)
{
    void *p = t->mem.resize(t->mem.ctx, NULL, 0, size);
    if (p != NULL)
        t->counts.memory += size;
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
    memset(slab, 0, (size_t)SLAB * s->size);
    s->slab[s->n_slabs++] = slab;
    return true;
}

void *slab_at(const struct slabs *s, uint32_t index)
{
    return (char *)s->slab[index / SLAB] + (size_t)(index % SLAB) * s->size;
}

void *slab_take(struct track *t, struct slabs *s)
{
    void *p = s->free;
    if (p != NULL) {
        memcpy(&s->free, p, sizeof s->free);
        memset(p, 0, sizeof s->free);
    } else {
        if (s->held == s->n_slabs * SLAB && !slab_grow(t, s))
            return NULL;
        p = slab_at(s, s->held++);
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
