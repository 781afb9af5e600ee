/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/stream/flow.h"
#include <stdlib.h>
#include <string.h>

enum {
    CHUNK = 512,
    PIECES = 128, /* of the records that hang on flows */
    SLOTS_MIN = 1024,
    TICK_SHIFT = 28, /* times in queues are kept in units of about a quarter of a second */
    TICK_MAX = (1 << 30) - 1
};

/* Records of one size that some flows have. */
struct pieces {
    size_t size;
    void *chunks; /* chained by their beginnings, as the free ones are */
    void *free;
    uint32_t n_chunks;
};

struct slot {
    uint32_t hash;
    uint32_t flow; /* index + 1; 0: empty */
};

struct queue {
    uint32_t oldest, newest;
};

struct flow_table {
    struct slot *slots;
    uint32_t mask; /* slots - 1 */
    uint32_t n, limit;
    char **chunks;
    size_t size;             /* of a record */
    uint32_t n_chunks, made; /* made: flows ever taken from the chunks */
    uint32_t free_list;      /* by flow.newer */
    struct queue open, lingering;
    struct pieces pairs, extras;
    int64_t base_ns; /* ticks are counted from here */
    uint64_t secret[2];
    uint64_t evicted;
    flow_release *release;
    void *ctx;
};

static struct flow *at(const struct flow_table *t, uint32_t index_plus_1)
{
    uint32_t i = index_plus_1 - 1;
    return (struct flow *)(void *)(t->chunks[i / CHUNK] + i % CHUNK * t->size);
}

static void *piece_take(struct pieces *p)
{
    if (p->free == NULL) {
        void **link = malloc(sizeof *link + PIECES * p->size);
        if (link == NULL)
            return NULL;
        *link = p->chunks;
        p->chunks = link;
        p->n_chunks++;
        char *first = (char *)(link + 1);
        for (unsigned i = 0; i < PIECES; i++) {
            memcpy(first + i * p->size, &p->free, sizeof p->free);
            p->free = first + i * p->size;
        }
    }
    void *piece = p->free;
    memcpy(&p->free, piece, sizeof p->free);
    return piece;
}

static void piece_give(struct pieces *p, void *piece)
{
    memcpy(piece, &p->free, sizeof p->free);
    p->free = piece;
}

static void pieces_free(struct pieces *p)
{
    while (p->chunks != NULL) {
        void *next;
        memcpy(&next, p->chunks, sizeof next);
        free(p->chunks);
        p->chunks = next;
    }
}

static uint64_t pieces_memory(const struct pieces *p)
{
    return p->n_chunks * (uint64_t)(sizeof(void *) + PIECES * p->size);
}

struct flow_table *flow_table_new(uint32_t limit, size_t size, uint64_t secret, flow_release *release, void *ctx)
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
    t->size = size;
    t->pairs.size = sizeof(struct flow_pair);
    t->extras.size = sizeof(struct flow_extra);
    t->base_ns = INT64_MIN;
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
    for (uint32_t i = 1; i <= t->made; i++) /* as they lie in memory */
        if (at(t, i)->family != 0)
            t->release(t->ctx, at(t, i), false);
    for (uint32_t i = 0; i < t->n_chunks; i++)
        free(t->chunks[i]);
    pieces_free(&t->pairs);
    pieces_free(&t->extras);
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

static uint32_t hash_of(const struct flow_table *t, uint64_t a, uint64_t b)
{
    uint64_t low = a < b ? a : b, high = a < b ? b : a;
    return (uint32_t)fold(fold(low ^ t->secret[0], high ^ t->secret[1]), UINT64_C(0x94d049bb133111eb));
}

uint32_t flow_hash(const struct flow_table *t, const struct segment *g)
{
    return hash_of(t, endpoint_bits(t, g->src, g->src_port, g->family),
                   endpoint_bits(t, g->dst, g->dst_port, g->family));
}

static uint32_t hash_again(const struct flow_table *t, const struct flow *f)
{
    return hash_of(t, endpoint_bits(t, flow_addr(f, 0), f->port[0], f->family),
                   endpoint_bits(t, flow_addr(f, 1), f->port[1], f->family));
}

/* Comparisons of fixed length: the compiler makes a load of each. */
static bool is_addr(const uint8_t *a, const uint8_t *b, uint8_t family)
{
    return family == 4 ? memcmp(a, b, 4) == 0 : memcmp(a, b, 16) == 0;
}

static inline bool is_endpoint(const struct flow *f, unsigned side, const uint8_t *addr, uint16_t port)
{
    return f->port[side] == port && is_addr(flow_addr(f, side), addr, f->family);
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

/* ---- queues ---- */

static uint32_t tick_of(const struct flow_table *t, int64_t ns)
{
    if (ns <= t->base_ns)
        return 0;
    uint64_t ticks = ((uint64_t)ns - (uint64_t)t->base_ns) >> TICK_SHIFT;
    return ticks < TICK_MAX ? (uint32_t)ticks : TICK_MAX;
}

static void queue_put(struct flow_table *t, struct queue *q, uint32_t i)
{
    struct flow *f = at(t, i);
    f->newer = 0;
    f->older = q->newest;
    if (q->newest != 0)
        at(t, q->newest)->newer = i;
    else
        q->oldest = i;
    q->newest = i;
}

static void queue_take(struct flow_table *t, uint32_t i)
{
    struct flow *f = at(t, i);
    struct queue *q = f->lingers ? &t->lingering : &t->open;
    if (f->older != 0)
        at(t, f->older)->newer = f->newer;
    else
        q->oldest = f->newer;
    if (f->newer != 0)
        at(t, f->newer)->older = f->older;
    else
        q->newest = f->older;
}

/* As the one used last. */
static void queue_open(struct flow_table *t, uint32_t i)
{
    struct flow *f = at(t, i);
    f->queued = tick_of(t, f->last_ns) & TICK_MAX;
    f->used = f->lingers = 0;
    queue_put(t, &t->open, i);
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
    char **chunks = realloc(t->chunks, (t->n_chunks + 1) * sizeof *chunks);
    if (chunks == NULL)
        return false;
    t->chunks = chunks;
    chunks[t->n_chunks] = aligned_alloc(CACHE_LINE, CHUNK * t->size);
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
    slot_take(t, hash_again(t, f), i);
    flow_drop_extra(t, f);
    if (f->family == 6)
        piece_give(&t->pairs, f->v6);
    f->family = 0; /* not in use */
    f->newer = t->free_list;
    t->free_list = i;
    t->n--;
}

/* One that lingers, or the oldest flow that was not used since it was queued. */
static void evict(struct flow_table *t)
{
    uint32_t i = t->lingering.oldest;
    while (i == 0) {
        i = t->open.oldest;
        if (!at(t, i)->used)
            break;
        queue_take(t, i);
        queue_open(t, i);
        i = 0;
    }
    t->evicted++;
    forget(t, i, true);
}

static uint32_t take_flow(struct flow_table *t)
{
    if (t->n >= t->limit)
        evict(t);
    if (t->n >= t->mask - t->mask / 8 && !grow_slots(t))
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

static bool set_addresses(struct flow_table *t, struct flow *f, const struct segment *g)
{
    if (g->family == 4) {
        memcpy(f->v4[0], g->src, 4);
        memcpy(f->v4[1], g->dst, 4);
        return true;
    }
    f->v6 = piece_take(&t->pairs);
    if (f->v6 == NULL)
        return false;
    memcpy(f->v6->addr[0], g->src, 16);
    memcpy(f->v6->addr[1], g->dst, 16);
    return true;
}

static struct flow *make(struct flow_table *t, const struct segment *g, uint32_t hash, int64_t now_ns)
{
    uint32_t i = take_flow(t);
    if (i == 0)
        return NULL;
    struct flow *f = at(t, i);
    memset(f, 0, t->size);
    *f = (struct flow){
        .port = { g->src_port, g->dst_port }, .family = g->family, .client = 2, .number = UINT32_MAX, .last_ns = now_ns
    };
    if (!set_addresses(t, f, g)) {
        f->family = 0;
        f->newer = t->free_list;
        t->free_list = i;
        return NULL;
    }
    if (t->base_ns == INT64_MIN)
        t->base_ns = now_ns;
    slot_put(t->slots, t->mask, hash, i);
    queue_open(t, i);
    t->n++;
    return f;
}

bool flow_make_extra(struct flow_table *t, struct flow *f)
{
    if (f->extra == NULL)
        f->extra = piece_take(&t->extras);
    if (f->extra == NULL)
        return false;
    *f->extra = (struct flow_extra){ 0 };
    return true;
}

void flow_drop_extra(struct flow_table *t, struct flow *f)
{
    if (f->extra != NULL)
        piece_give(&t->extras, f->extra);
    f->extra = NULL;
}

static struct flow *find(const struct flow_table *t, const struct segment *g, uint32_t hash, unsigned *dir)
{
    for (uint32_t i = hash & t->mask; t->slots[i].flow != 0; i = (i + 1) & t->mask)
        if (t->slots[i].hash == hash && is_flow(at(t, t->slots[i].flow), g, dir))
            return at(t, t->slots[i].flow);
    return NULL;
}

struct flow *flow_find_hashed(struct flow_table *t, const struct segment *g, uint32_t hash, struct flow *likely,
                              int64_t now_ns, unsigned *dir)
{
    bool is = likely != NULL && is_flow(likely, g, dir); /* its record may have become that of another one */
    struct flow *f = is ? likely : find(t, g, hash, dir);
    if (f == NULL) {
        *dir = 0;
        return make(t, g, hash, now_ns);
    }
    f->last_ns = now_ns;
    f->used = 1;
    return f;
}

struct flow *flow_find(struct flow_table *t, const struct segment *g, int64_t now_ns, unsigned *dir)
{
    return flow_find_hashed(t, g, flow_hash(t, g), NULL, now_ns, dir);
}

void flow_prefetch_slot(const struct flow_table *t, uint32_t hash)
{
    prefetch_line(&t->slots[hash & t->mask]);
}

struct flow *flow_prefetch(const struct flow_table *t, uint32_t hash)
{
    uint32_t i = hash & t->mask;
    while (t->slots[i].flow != 0 && t->slots[i].hash != hash)
        i = (i + 1) & t->mask;
    if (t->slots[i].flow == 0)
        return NULL;
    struct flow *f = at(t, t->slots[i].flow);
    prefetch_record(f, 2 * CACHE_LINE);
    return f;
}

uint32_t flow_expire(struct flow_table *t, int64_t before_ns)
{
    uint32_t n = 0, before = tick_of(t, before_ns);
    while (t->open.oldest != 0) {
        uint32_t i = t->open.oldest;
        struct flow *f = at(t, i);
        if (f->last_ns < before_ns) {
            forget(t, i, true);
            n++;
        } else if (!f->used || f->queued > before) {
            break;
        } else {
            queue_take(t, i);
            queue_open(t, i);
        }
    }
    return n;
}

static uint32_t index_of(const struct flow_table *t, const struct flow *f)
{
    uint32_t i = hash_again(t, f) & t->mask;
    while (t->slots[i].flow == 0 || at(t, t->slots[i].flow) != f)
        i = (i + 1) & t->mask;
    return t->slots[i].flow;
}

void flow_remove(struct flow_table *t, struct flow *f, bool evicted)
{
    forget(t, index_of(t, f), evicted);
}

void flow_linger(struct flow_table *t, struct flow *f, int64_t due_ns)
{
    uint32_t i = index_of(t, f), due = tick_of(t, due_ns);
    if (f->lingers)
        return;
    queue_take(t, i);
    f->lingers = 1;
    f->queued = (due < TICK_MAX ? due + 1 : due) & TICK_MAX;
    queue_put(t, &t->lingering, i);
}

void flow_revive(struct flow_table *t, struct flow *f)
{
    uint32_t i = index_of(t, f);
    if (!f->lingers)
        return;
    queue_take(t, i);
    queue_open(t, i);
}

struct flow *flow_lingered(const struct flow_table *t, int64_t now_ns)
{
    struct flow *f = t->lingering.oldest != 0 ? at(t, t->lingering.oldest) : NULL;
    return f != NULL && f->queued <= tick_of(t, now_ns) ? f : NULL;
}

/* Those that linger come first. */
struct flow *flow_next(const struct flow_table *t, uint32_t *pos)
{
    uint32_t i = *pos == 0 && t->lingering.oldest != 0 ? t->lingering.oldest : *pos == 0 ? t->open.oldest : *pos;
    if (i == 0 || i == UINT32_MAX)
        return NULL;
    struct flow *f = at(t, i);
    uint32_t next = f->newer == 0 && f->lingers ? t->open.oldest : f->newer;
    if (next != 0)
        prefetch_line(at(t, next));
    *pos = next != 0 ? next : UINT32_MAX;
    return f;
}

uint32_t flow_first_open(const struct flow_table *t)
{
    return t->open.oldest != 0 ? t->open.oldest : UINT32_MAX;
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
    return sizeof *t + ((uint64_t)t->mask + 1) * sizeof *t->slots + (uint64_t)t->n_chunks * CHUNK * t->size +
           pieces_memory(&t->pairs) + pieces_memory(&t->extras);
}
