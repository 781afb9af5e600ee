/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/handover/stock.h"
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    CHUNK = 1024 * 1024, /* octets */
    SMALL = 4096,        /* less, or more than a large one, is not worth it: malloc(3) has it */
    LARGE = CHUNK / 16,
    ALIGN = 16,
    SIZES = 32, /* of what is kept; records come in a few */
};

struct chunk {
    struct chunk *next;
    _Alignas(ALIGN) uint8_t octets[];
};

struct kept {
    size_t size; /* 0: no more */
    void *first; /* each begins with a pointer to the next */
};

struct stock {
    _Atomic(struct chunk *) ready; /* the one that the taker has next; NULL: none */
    struct chunk *chunks;          /* in use, the newest first */
    size_t used;                   /* octets of that one */
    struct kept kept[SIZES];
};

struct stock *stock_new(void)
{
    return calloc(1, sizeof(struct stock));
}

void stock_free(struct stock *s)
{
    if (s == NULL)
        return;
    struct chunk *ready = atomic_load(&s->ready);
    if (ready != NULL)
        munmap(ready, CHUNK);
    for (struct chunk *c = s->chunks, *next; c != NULL; c = next) {
        next = c->next;
        munmap(c, CHUNK);
    }
    free(s);
}

static struct chunk *make_chunk(void)
{
    void *p = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    return p != MAP_FAILED ? p : NULL;
}

bool stock_up(struct stock *s)
{
    if (atomic_load_explicit(&s->ready, memory_order_relaxed) != NULL)
        return false;
    struct chunk *c = make_chunk();
    atomic_store(&s->ready, c);
    return c != NULL;
}

static struct chunk *next_chunk(struct stock *s)
{
    struct chunk *c = atomic_exchange(&s->ready, NULL);
    return c != NULL ? c : make_chunk();
}

static struct kept *kept_of(struct stock *s, size_t size)
{
    for (unsigned i = 0; i < SIZES; i++)
        if (s->kept[i].size == size || s->kept[i].size == 0)
            return &s->kept[i];
    return NULL;
}

static void *take(struct stock *s, size_t size)
{
    struct kept *k = kept_of(s, size);
    if (k != NULL && k->first != NULL) {
        void *p = k->first;
        memcpy(&k->first, p, sizeof k->first);
        return memset(p, 0, size);
    }
    size_t n = (size + ALIGN - 1) / ALIGN * ALIGN;
    if (s->chunks == NULL || n > CHUNK - sizeof(struct chunk) - s->used) {
        struct chunk *c = next_chunk(s);
        if (c == NULL)
            return NULL;
        c->next = s->chunks;
        s->chunks = c;
        s->used = 0;
    }
    void *p = s->chunks->octets + s->used;
    s->used += n;
    return p;
}

/* Of more sizes than are expected, it comes back at the end only. */
static void give(struct stock *s, void *p, size_t size)
{
    struct kept *k = kept_of(s, size);
    if (k == NULL)
        return;
    k->size = size;
    memcpy(p, &k->first, sizeof k->first);
    k->first = p;
}

static bool is_ours(size_t size)
{
    return size >= SMALL && size <= LARGE;
}

void *stock_resize(void *stock, void *old, size_t old_size, size_t size)
{
    void *new = NULL;
    if (size > 0 && (new = is_ours(size) ? take(stock, size) : calloc(1, size)) == NULL)
        return NULL;
    if (new != NULL && old != NULL)
        memcpy(new, old, old_size < size ? old_size : size);
    if (old != NULL && is_ours(old_size))
        give(stock, old, old_size);
    else
        free(old);
    return new;
}
