/* SPDX-License-Identifier: Apache-2.0 */
#include "tui/rowset.h"
#include <stdlib.h>
#include <string.h>

void rowset_init(struct rowset *r)
{
    *r = (struct rowset){ .limit = UINT64_MAX };
}

void rowset_done(struct rowset *r)
{
    free(r->seqs);
    rowset_init(r);
}

void rowset_start(struct rowset *r, const struct store *s, rowset_keep keep, void *ctx)
{
    r->keep = keep;
    r->ctx = ctx;
    r->n = r->head = r->dropped = 0;
    r->next = store_first(s);
    r->stopped = r->full = false;
}

static uint64_t end_of(const struct rowset *r, const struct store *s)
{
    uint64_t end = store_end(s);
    return end < r->limit ? end : r->limit;
}

static bool push(struct rowset *r, uint64_t seq)
{
    if (r->head + r->n == r->cap && r->head > r->cap / 2) {
        memmove(r->seqs, r->seqs + r->head, r->n * sizeof *r->seqs);
        r->head = 0;
    }
    if (r->head + r->n == r->cap) {
        uint64_t cap = r->cap > 0 ? 2 * r->cap : 256;
        uint64_t *grown = realloc(r->seqs, cap * sizeof *grown);
        if (grown == NULL)
            return false;
        r->seqs = grown;
        r->cap = cap;
    }
    r->seqs[r->head + r->n++] = seq;
    return true;
}

/* Rows that the store no longer holds leave the set. */
static void drop_evicted(struct rowset *r, const struct store *s)
{
    uint64_t first = store_first(s), low = 0, high = r->n;
    if (r->n == 0 || r->seqs[r->head] >= first)
        return;
    while (low < high) {
        uint64_t mid = low + (high - low) / 2;
        if (r->seqs[r->head + mid] < first)
            low = mid + 1;
        else
            high = mid;
    }
    r->head += low;
    r->n -= low;
    r->dropped += low;
}

bool rowset_step(struct rowset *r, struct store *s, uint32_t rows)
{
    uint64_t end = end_of(r, s);
    if (r->keep == NULL) {
        r->next = end;
        return false;
    }
    drop_evicted(r, s);
    if (r->next < store_first(s))
        r->next = store_first(s);
    for (; rows > 0 && r->next < end && !r->stopped && !r->full; rows--) {
        const struct store_row *m = store_meta(s, r->next);
        if (m != NULL && r->keep(r->ctx, s, r->next, m) && !push(r, r->next))
            r->full = true;
        r->next++;
    }
    return r->next < end && !r->stopped && !r->full;
}

uint64_t rowset_lines(const struct rowset *r, const struct store *s)
{
    if (r->keep != NULL)
        return r->n;
    uint64_t end = end_of(r, s), first = store_first(s);
    return end > first ? end - first : 0;
}

uint64_t rowset_seq(const struct rowset *r, const struct store *s, uint64_t line)
{
    if (line >= rowset_lines(r, s))
        return UINT64_MAX;
    return r->keep == NULL ? store_first(s) + line : r->seqs[r->head + line];
}

uint64_t rowset_line(const struct rowset *r, const struct store *s, uint64_t seq)
{
    if (r->keep == NULL)
        return seq > store_first(s) ? seq - store_first(s) : 0;
    uint64_t low = 0, high = r->n;
    while (low < high) {
        uint64_t mid = low + (high - low) / 2;
        if (r->seqs[r->head + mid] < seq)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

int rowset_percent(const struct rowset *r, const struct store *s)
{
    uint64_t first = store_first(s), end = end_of(r, s);
    if (r->keep == NULL || r->next >= end || end <= first)
        return 100;
    return r->next <= first ? 0 : (int)((r->next - first) * 100 / (end - first));
}
