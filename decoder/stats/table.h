/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/stats/table.h -- a table written cell by cell, as text columns or as one JSON object a row. */
#pragma once
#include "decoder/base/out.h"
#include "decoder/show/row.h"

enum { TABLE_WIDTH = 100 };

struct column {
    const char *heading; /* NULL: only in JSON */
    const char *key;     /* NULL: only in text */
    uint8_t width;
    bool left; /* text; numbers stand to the right */
};

struct table {
    struct out *o;
    bool json;
    const char *stat; /* "stat":"topics" */
    const struct column *columns;
    unsigned n, at;
};

/* Title and headings (text only). The widths and a space between them sum to TABLE_WIDTH at most. */
struct table table_begin(struct out *o, bool json, const char *stat, const char *title, const struct column *columns,
                         unsigned n);
void table_row(struct table *t);     /* begins a row */
void table_row_end(struct table *t); /* after its last cell; cells not given stay empty */

/* Cells, in the order of the columns. */
void table_text(struct table *t, const char *text); /* of ours; NULL: an empty cell */
void table_wire(struct table *t, struct view text,
                unsigned indent);                   /* of the wire; ptr NULL: an empty cell, null in JSON */
void table_uint(struct table *t, uint64_t number);  /* as it is: a name, like a stream number */
void table_count(struct table *t, uint64_t number); /* text: with k, M, G when its column is too narrow */
void table_seconds(struct table *t, int64_t ns);    /* three digits behind the point; JSON: nine */
void table_duration(struct table *t, int64_t ns);   /* 12us 3.4ms 1.2s; negative: empty; JSON: microseconds */
void table_share(struct table *t, uint64_t part, uint64_t whole); /* per cent, one digit behind the point */
void table_rate(struct table *t, uint64_t count, int64_t ns);     /* per second */
void table_endpoint(struct table *t, const struct row_endpoint *e);

/* A line of text under a row, cut to TABLE_WIDTH; nothing in JSON. */
void table_sentence(struct table *t, struct view text, unsigned indent);
/* A line of text under a table, nothing in JSON. */
void table_remark(struct table *t, const char *text, uint64_t number);
