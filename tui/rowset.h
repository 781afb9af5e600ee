/* SPDX-License-Identifier: Apache-2.0
 *
 * tui/rowset.h -- the rows of the store that a screen shows, in order: all, or those a condition keeps.
 *
 * A set of all rows needs no memory. Any other is found by looking at every row once, in slices, so that a million rows
 * never stop the screen; what is found can be looked at while the rest is being searched. Lines are 0-based places in
 * the set. */
#pragma once
#include "tui/store.h"

/* Is this row in the set? Called once for each row, in order. */
typedef bool (*rowset_keep)(void *ctx, struct store *s, uint64_t seq, const struct store_row *m);

struct rowset {
    rowset_keep keep; /* NULL: all rows */
    void *ctx;
    uint64_t *seqs;        /* owned */
    uint64_t n, head, cap; /* seqs[head .. head + n) */
    uint64_t next;         /* the row to look at next */
    uint64_t dropped;      /* lines that left at the front because the store evicted them */
    uint64_t limit;        /* paused: rows from here on are not looked at; UINT64_MAX: none */
    bool stopped;          /* the user stopped the search */
    bool full;             /* no memory for more lines */
};

void rowset_init(struct rowset *r);
void rowset_done(struct rowset *r);
/* Starts again with another condition. */
void rowset_start(struct rowset *r, const struct store *s, rowset_keep keep, void *ctx);
/* Looks at up to `rows` more rows. True: there is more to look at. */
bool rowset_step(struct rowset *r, struct store *s, uint32_t rows);
uint64_t rowset_lines(const struct rowset *r, const struct store *s);
uint64_t rowset_seq(const struct rowset *r, const struct store *s, uint64_t line); /* UINT64_MAX: no such line */
/* The line of this row, or of the first one behind it. */
uint64_t rowset_line(const struct rowset *r, const struct store *s, uint64_t seq);
/* How much has been looked at: 0..100. */
int rowset_percent(const struct rowset *r, const struct store *s);
