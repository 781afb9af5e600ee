/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/stream/flow.h"
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 512, SLOTS_MIN = 1024, LINE = 64 /* octets of a cache line */ };

_Static_assert(sizeof(struct flow) % LINE == 0, "flows begin with a cache line");

struct slot {
    uint32_t hash;
    uint32_t flow; /* index + 1; 0: empty */
};

struct flow_table {
    struct slot *slots;
    uint32_t mask; /* slots - 1 */
    uint32_t n, limit;
    struct flow **chunks;
    uint32_t n_chunks, made; /* made: flows ever taken from the chunks */
    uint32_t free_list;      /* by flow.newer */
    uint32_t oldest, newest;
    uint64_t secret[2];
    uint64_t evicted;
    flow_release *release;
    void *ctx;
};

static struct flow *at(const struct flow_table *t, uint32_t index_plus_1)
{
    uint32_t i = index_plus_1 - 1;
    return &t->chunks[i / CHUNK][i % CHUNK];
}

struct flow_table *flow_table_new(uint32_t limit, uint64_t secret, flow_release *release, void *ctx)
{
    struct flow_table *t = calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    t->slots = calloc(SLOTS_MIN, sizeof *t->slots);
    if (t->slots == NULL) {
        free(t);
        return NULL;
    }
    t->mask = SLOTS_MIN - 1;
    t->limit = limit > 0 ? limit : 1;
    t->secret[0] = secret ^ UINT64_C(0x9e3779b97f4a7c15);
    t->secret[1] = (secret << 32 | secret >> 32) ^ UINT64_C(0xbf58476d1ce4e5b9);
    t->release = release;
    t->ctx = ctx;
    return t;
}

void flow_table_free(struct flow_table *t)
{
    if (t == NULL)
        return;
    for (uint32_t i = t->oldest; i != 0; i = at(t, i)->newer)
        t->release(t->ctx, at(t, i), false);
    for (uint32_t i = 0; i < t->n_chunks; i++)
        free(t->chunks[i]);
    free(t->chunks);
    free(t->slots);
    free(t);
}

/* ---- hash: the same for both directions, and not to be aimed at without the secret ---- */

static uint64_t fold(uint64_t a, uint64_t b)
{
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t endpoint_bits(const struct flow_table *t, const uint8_t *addr, uint16_t port, uint8_t family)
{
    uint64_t high, low;
    if (family == 4) {
        uint32_t v4;
        memcpy(&v4, addr, 4);
        return (uint64_t)v4 << 16 | port;
    }
    memcpy(&high, addr, 8);
    memcpy(&low, addr + 8, 8);
    return fold(high ^ t->secret[1], low ^ t->secret[0] ^ port);
}

uint32_t flow_hash(const struct flow_table *t, const struct segment *g)
{
    uint64_t a = endpoint_bits(t, g->src, g->src_port, g->family), b = endpoint_bits(t, g->dst, g->dst_port, g->family);
    uint64_t low = a < b ? a : b, high = a < b ? b : a;
    return (uint32_t)fold(fold(low ^ t->secret[0], high ^ t->secret[1]), UINT64_C(0x94d049bb133111eb));
}

/* Comparisons of fixed length: the compiler makes a load of each. */
static bool is_addr(const uint8_t *a, const uint8_t *b, uint8_t family)
{
    return family == 4 ? memcmp(a, b, 4) == 0 : memcmp(a, b, 16) == 0;
}

static bool is_endpoint(const struct flow *f, unsigned side, const uint8_t *addr, uint16_t port)
{
    return f->port[side] == port && is_addr(f->addr[side], addr, f->family);
}

static bool is_flow(const struct flow *f, const struct segment *g, unsigned *dir)
{
    if (f->family != g->family)
        return false;
    if (is_endpoint(f, 0, g->src, g->src_port) && is_endpoint(f, 1, g->dst, g->dst_port)) {
        *dir = 0;
        return true;
    }
    *dir = 1;
    return is_endpoint(f, 1, g->src, g->src_port) && is_endpoint(f, 0, g->dst, g->dst_port);
}

/* ---- queue ---- */

static void queue_put(struct flow_table *t, uint32_t i)
{
    struct flow *f = at(t, i);
    f->queued_ns = f->last_ns;
    f->newer = 0;
    f->older = t->newest;
    if (t->newest != 0)
        at(t, t->newest)->newer = i;
    else
        t->oldest = i;
    t->newest = i;
}

static void queue_take(struct flow_table *t, uint32_t i)
{
    struct flow *f = at(t, i);
    if (f->older != 0)
        at(t, f->older)->newer = f->newer;
    else
        t->oldest = f->newer;
    if (f->newer != 0)
        at(t, f->newer)->older = f->older;
    else
        t->newest = f->older;
}

/* ---- slots ---- */

static void slot_put(struct slot *slots, uint32_t mask, uint32_t hash, uint32_t flow)
{
    uint32_t i = hash & mask;
    while (slots[i].flow != 0)
        i = (i + 1) & mask;
    slots[i] = (struct slot){ hash, flow };
}

static bool grow_slots(struct flow_table *t)
{
    uint32_t mask = t->mask * 2 + 1;
    struct slot *slots = calloc((size_t)mask + 1, sizeof *slots);
    if (slots == NULL)
        return false;
    for (uint32_t i = 0; i <= t->mask; i++)
        if (t->slots[i].flow != 0)
            slot_put(slots, mask, t->slots[i].hash, t->slots[i].flow);
    free(t->slots);
    t->slots = slots;
    t->mask = mask;
    return true;
}

/* Empties the slot and closes the hole, so that searches need no tombstones. */
static void slot_take(struct flow_table *t, uint32_t hash, uint32_t flow)
{
    uint32_t i = hash & t->mask;
    while (t->slots[i].flow != flow)
        i = (i + 1) & t->mask;
    for (uint32_t j = (i + 1) & t->mask; t->slots[j].flow != 0; j = (j + 1) & t->mask) {
        uint32_t home = t->slots[j].hash & t->mask;
        if (((j - home) & t->mask) <
            ((j - i) & t->mask)) /* it lies behind its home as it is: the hole is before that */
            continue;
        t->slots[i] = t->slots[j];
        i = j;
    }
    t->slots[i] = (struct slot){ 0 };
}

/* ---- flows ---- */

static bool grow_chunks(struct flow_table *t)
{
    struct flow **chunks = realloc(t->chunks, (t->n_chunks + 1) * sizeof *chunks);
    if (chunks == NULL)
        return false;
    t->chunks = chunks;
    chunks[t->n_chunks] = aligned_alloc(LINE, CHUNK * sizeof(struct flow));
    if (chunks[t->n_chunks] == NULL)
        return false;
    t->n_chunks++;
    return true;
}

static void forget(struct flow_table *t, uint32_t i, bool evicted)
{
    struct flow *f = at(t, i);
    t->release(t->ctx, f, evicted);
    queue_take(t, i);
    slot_take(t, f->hash, i);
    f->newer = t->free_list;
    t->free_list = i;
    t->n--;
}

/* The oldest flow that was not used since it was queued. */
static void evict(struct flow_table *t)
{
    for (;;) {
        uint32_t i = t->oldest;
        struct flow *f = at(t, i);
        if (f->last_ns == f->queued_ns) {
            t->evicted++;
            forget(t, i, true);
            return;
        }
        queue_take(t, i);
        queue_put(t, i);
    }
}

static uint32_t take_flow(struct flow_table *t)
{
    if (t->n >= t->limit)
        evict(t);
    if (t->n >= t->mask / 4 * 3 && !grow_slots(t))
        return 0;
    uint32_t i = t->free_list;
    if (i != 0) {
        t->free_list = at(t, i)->newer;
        return i;
    }
    if (t->made == t->n_chunks * CHUNK && !grow_chunks(t))
        return 0;
    return ++t->made;
}

static struct flow *make(struct flow_table *t, const struct segment *g, uint32_t hash, int64_t now_ns)
{
    uint32_t i = take_flow(t);
    if (i == 0)
        return NULL;
    struct flow *f = at(t, i);
    *f = (struct flow){ .port = { g->src_port, g->dst_port },
                        .family = g->family,
                        .client = 2,
                        .number = UINT32_MAX,
                        .hash = hash,
                        .last_ns = now_ns };
    memcpy(f->addr[0], g->src, g->family == 4 ? 4 : 16);
    memcpy(f->addr[1], g->dst, g->family == 4 ? 4 : 16);
    slot_put(t->slots, t->mask, hash, i);
    queue_put(t, i);
    t->n++;
    return f;
}

struct flow *flow_find_hashed(struct flow_table *t, const struct segment *g, uint32_t hash, int64_t now_ns,
                              unsigned *dir)
{
    for (uint32_t i = hash & t->mask; t->slots[i].flow != 0; i = (i + 1) & t->mask) {
        if (t->slots[i].hash != hash)
            continue;
        struct flow *f = at(t, t->slots[i].flow);
        if (is_flow(f, g, dir)) {
            f->last_ns = now_ns;
            return f;
        }
    }
    *dir = 0;
    return make(t, g, hash, now_ns);
}

struct flow *flow_find(struct flow_table *t, const struct segment *g, int64_t now_ns, unsigned *dir)
{
    return flow_find_hashed(t, g, flow_hash(t, g), now_ns, dir);
}

void flow_prefetch_slot(const struct flow_table *t, uint32_t hash)
{
    __builtin_prefetch(&t->slots[hash & t->mask]);
}

const struct flow *flow_prefetch(const struct flow_table *t, uint32_t hash)
{
    uint32_t i = hash & t->mask;
    while (t->slots[i].flow != 0 && t->slots[i].hash != hash)
        i = (i + 1) & t->mask;
    if (t->slots[i].flow == 0)
        return NULL;
    const struct flow *f = at(t, t->slots[i].flow);
    __builtin_prefetch(f);
    __builtin_prefetch((const char *)f + LINE);
    return f;
}

uint32_t flow_expire(struct flow_table *t, int64_t before_ns)
{
    uint32_t n = 0;
    while (t->oldest != 0) {
        uint32_t i = t->oldest;
        struct flow *f = at(t, i);
        if (f->queued_ns >= before_ns)
            break;
        if (f->last_ns < before_ns) {
            forget(t, i, true);
            n++;
        } else {
            queue_take(t, i);
            queue_put(t, i);
        }
    }
    return n;
}

void flow_remove(struct flow_table *t, struct flow *f, bool evicted)
{
    uint32_t i = f->hash & t->mask;
    while (t->slots[i].flow == 0 || at(t, t->slots[i].flow) != f)
        i = (i + 1) & t->mask;
    forget(t, t->slots[i].flow, evicted);
}

struct flow *flow_next(const struct flow_table *t, uint32_t *pos)
{
    uint32_t i = *pos == 0 ? t->oldest : *pos;
    if (i == 0 || i == UINT32_MAX)
        return NULL;
    struct flow *f = at(t, i);
    *pos = f->newer != 0 ? f->newer : UINT32_MAX;
    return f;
}

uint32_t flow_count(const struct flow_table *t)
{
    return t->n;
}

uint64_t flow_evicted(const struct flow_table *t)
{
    return t->evicted;
}

uint64_t flow_memory(const struct flow_table *t)
{
    return sizeof *t + ((uint64_t)t->mask + 1) * sizeof *t->slots + (uint64_t)t->n_chunks * CHUNK * sizeof(struct flow);
}
