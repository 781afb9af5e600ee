/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/handover/handover.h"
#include "capture/handover/blocks.h"
#include "capture/handover/stock.h"
#include "decoder/base/prefetch.h"
#include <stdlib.h>
#include <string.h>

enum {
    BATCHES = 16,
    REPORTS = 128,      /* of a batch */
    COPIES = 64 * 1024, /* octets of a batch that are copied */
    TO_WRITE = 8, /* reports that are asked for ahead: the other processor had them last, and that may be far away */
    TO_READ = 16,
};

struct batch {
    uint32_t n;
    bool step_ends;
    int64_t first_ns; /* as of handover_first_time() */
    struct handover_step step;
    size_t copies_len;
    _Alignas(16) uint8_t copies[COPIES]; /* of what packets borrow, but what lies in a block */
    struct report report[REPORTS];
};

struct handover {
    struct batch batch[BATCHES];
    struct tide given, done; /* batches */
    struct blocks blocks;
    struct stock *stock;
    atomic_bool refused;
    /* the giver's */
    _Alignas(CACHE_LINE) struct view lent; /* what lies here is borrowed */
    int64_t first_ns;
    uint32_t *free_slots, n_free, free_cap, made;
    /* the taker's */
    _Alignas(CACHE_LINE) uint64_t *handles; /* by slot: what the rows know the connection by */
    uint32_t n_handles;
};

struct handover *handover_new(struct stock *stock)
{
    size_t size = (sizeof(struct handover) + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    struct handover *h = aligned_alloc(CACHE_LINE, size);
    if (h == NULL)
        return NULL;
    memset(h, 0, size);
    h->stock = stock;
    return h;
}

void handover_free(struct handover *h)
{
    if (h == NULL)
        return;
    free(h->free_slots);
    free(h->handles);
    blocks_destroy(&h->blocks);
    free(h);
}

/* ---- the giver ---- */

static uint64_t given(const struct handover *h)
{
    return tide_at(&h->given);
}

static struct batch *filling(struct handover *h)
{
    return &h->batch[given(h) % BATCHES];
}

static bool stock_some(void *stock)
{
    return stock != NULL && stock_up(stock);
}

/* The batch goes over, and the next one is empty. */
static void give(struct handover *h)
{
    filling(h)->first_ns = h->first_ns;
    blocks_current(&h->blocks)->until = given(h) + 1;
    tide_rise(&h->given);
    if (tide_at(&h->done) + BATCHES <= given(h)) /* full: a while, so that one nap is enough */
        tide_await(&h->done, given(h) - BATCHES / 2, stock_some, h->stock);
    struct batch *b = filling(h);
    b->n = 0;
    b->step_ends = false;
    b->copies_len = 0;
    for (unsigned i = 0; i < TO_WRITE; i++)
        prefetch_record_to_write(&b->report[i], sizeof b->report[i]);
}

static size_t aligned(size_t n)
{
    return (n + 15) / 16 * 16;
}

static const void *copied(struct batch *b, const void *octets, size_t n)
{
    if (n == 0)
        return octets;
    void *to = memcpy(b->copies + b->copies_len, octets, n);
    b->copies_len += aligned(n);
    return to;
}

static bool is_lent(const struct handover *h, const uint8_t *octets)
{
    return octets >= h->lent.ptr && octets < h->lent.ptr + h->lent.len;
}

/* What a packet borrows is copied to the batch; of what is long, the giver waits until it is not needed any more. */
RARELY static void put_borrowed(struct handover *h, const struct report *r)
{
    size_t len = is_lent(h, r->packet.octets) ? 0 : r->packet.held;
    size_t faults = r->packet.n_faults * sizeof *r->packet.faults, n = aligned(len) + aligned(faults);
    struct batch *b = filling(h);
    if (n <= COPIES && n > COPIES - b->copies_len) {
        give(h);
        b = filling(h);
    }
    struct report *to = &b->report[b->n++];
    *to = *r;
    if (n > COPIES) {
        give(h);
        tide_await(&h->done, given(h), NULL, NULL);
        return;
    }
    to->packet.octets = copied(b, r->packet.octets, len);
    to->packet.faults = copied(b, r->packet.faults, faults);
}

static void put_packet(struct handover *h, struct report *r)
{
    struct batch *b = filling(h);
    if (r->packet.n_faults > 0 || !is_lent(h, r->packet.octets))
        put_borrowed(h, r);
    else
        b->report[b->n++] = *r;
    struct view octets = view_of(r->packet.octets, r->packet.held);
    if (r->conn.source != MQTT_SOURCE_CONNECT || octets.len == 0 || octets.ptr[0] >> 4 == MQTT_CONNECT) {
        struct mqtt_packet p;
        mqtt_conn_learn(&r->conn, r->dir, octets, &p, NULL);
    }
}

/* ---- slots: numbers of the connections that are open; one is free again before the taker has heard of it ---- */

static uint64_t take_slot(struct handover *h)
{
    return h->n_free > 0 ? h->free_slots[--h->n_free] : h->made++;
}

static void free_slot(struct handover *h, uint64_t slot)
{
    if (h->n_free == h->free_cap) {
        uint32_t cap = h->free_cap > 0 ? h->free_cap * 2 : 256;
        uint32_t *grown = realloc(h->free_slots, cap * sizeof *grown);
        if (grown == NULL)
            return; /* its number is not used any more */
        h->free_slots = grown;
        h->free_cap = cap;
    }
    h->free_slots[h->n_free++] = (uint32_t)slot;
}

bool handover_put(struct handover *h, struct report *r)
{
    if (atomic_load_explicit(&h->refused, memory_order_relaxed))
        return false;
    struct batch *b = filling(h);
    if (b->n == REPORTS) {
        give(h);
        b = filling(h);
    }
    if (b->n + TO_WRITE < REPORTS)
        prefetch_record_to_write(&b->report[b->n + TO_WRITE], sizeof *b->report);
    if (r->kind == REPORT_PACKET) {
        put_packet(h, r);
        return true;
    }
    if (r->kind == REPORT_OPENED)
        r->handle = take_slot(h);
    else if (r->kind == REPORT_FORGOTTEN)
        free_slot(h, r->handle);
    b->report[b->n++] = *r;
    return true;
}

void handover_end_step(struct handover *h, const struct handover_step *step)
{
    struct batch *b = filling(h);
    b->step = *step;
    b->step_ends = true;
    give(h);
}

void handover_first_time(struct handover *h, int64_t time_ns)
{
    h->first_ns = time_ns;
}

void handover_lend(struct handover *h, struct view image)
{
    h->lent = image;
}

/* Reports of a batch borrow of one block. */
static struct blocks *leave_block(struct handover *h)
{
    if (filling(h)->n > 0)
        give(h);
    return &h->blocks;
}

static void enter_block(struct handover *h)
{
    const struct block *b = blocks_current(&h->blocks);
    h->lent = view_of(b->octets, b->cap);
}

uint8_t *handover_room(void *handover, size_t size, size_t *cap)
{
    struct handover *h = handover;
    uint8_t *octets = blocks_room(leave_block(h), &h->done, size, cap);
    enter_block(h);
    return octets;
}

ssize_t handover_read(void *handover, int fd, struct view left, size_t n, uint8_t **octets)
{
    struct handover *h = handover;
    ssize_t got = blocks_read(leave_block(h), &h->done, fd, left, n, octets);
    enter_block(h);
    return got;
}

/* ---- the taker ---- */

static void learn_handle(struct handover *h, uint64_t slot, uint64_t handle)
{
    if (slot >= h->n_handles) {
        uint32_t n = (uint32_t)slot * 2 + 256;
        uint64_t *grown = realloc(h->handles, n * sizeof *grown);
        if (grown == NULL)
            return;
        memset(grown + h->n_handles, 0, (n - h->n_handles) * sizeof *grown);
        h->handles = grown;
        h->n_handles = n;
    }
    h->handles[slot] = handle;
}

static uint64_t handle_of(const struct handover *h, uint64_t slot)
{
    return slot < h->n_handles ? h->handles[slot] : 0;
}

static void take_report(struct handover *h, struct rows *rows, struct report *r)
{
    uint64_t slot = r->handle;
    r->handle = handle_of(h, slot);
    rows_take(rows, r);
    if (r->kind == REPORT_OPENED)
        learn_handle(h, slot, r->handle);
}

/* Their octets, which the other processor has, and what is known of their connections, level by level. */
static void ask_ahead(const struct handover *h, const struct rows *rows, const struct batch *b)
{
    uint64_t handle[REPORTS];
    for (uint32_t i = 0; i < b->n; i++) {
        const struct report *r = &b->report[i];
        if (r->handle < h->n_handles)
            prefetch_line(&h->handles[r->handle]);
        if (r->kind == REPORT_PACKET)
            prefetch_line(r->packet.octets);
        if (r->kind == REPORT_PACKET && ((uintptr_t)r->packet.octets & (CACHE_LINE - 1)) + r->packet.held > CACHE_LINE)
            prefetch_line(r->packet.octets + CACHE_LINE);
    }
    for (uint32_t i = 0; i < b->n; i++)
        handle[i] = handle_of(h, b->report[i].handle);
    for (unsigned step = 0; step < ROWS_PREFETCH_STEPS; step++)
        for (uint32_t i = 0; i < b->n; i++)
            rows_prefetch(rows, handle[i], step);
}

static bool read_ahead(void *blocks)
{
    return blocks_read_ahead(blocks);
}

bool handover_take(struct handover *h, struct rows *rows, bool far, struct handover_step *step)
{
    uint64_t done = tide_at(&h->done);
    struct batch *b = &h->batch[done % BATCHES];
    tide_await(&h->given, done + 1, read_ahead, &h->blocks);
    rows_first_time(rows, b->first_ns);
    if (far)
        ask_ahead(h, rows, b);
    for (uint32_t i = 0; i < b->n; i++) {
        if (i + TO_READ < b->n)
            prefetch_record(&b->report[i + TO_READ], sizeof *b->report);
        take_report(h, rows, &b->report[i]);
    }
    bool ends = b->step_ends;
    if (ends)
        *step = b->step;
    tide_rise(&h->done);
    return ends;
}

void handover_refuse(struct handover *h)
{
    atomic_store(&h->refused, true);
}

void handover_abandon(struct handover *h)
{
    handover_refuse(h);
    tide_flood(&h->done);
}
