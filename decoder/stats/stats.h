/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/stats/stats.h -- -z: tables over all rows of a run, printed at its end as text (100 columns) or NDJSON.
 *
 * A statistic lives in memory of the caller and never grows beyond it. When a table is full, what is new goes into one
 * row
 * "(others)": sums stay right, and the row shows how much was not told apart. Lists (exchanges, findings) keep the
 * first entries and count the rest. */
#pragma once
#include "decoder/base/out.h"
#include "decoder/show/redact.h"
#include "decoder/track/track.h"

enum { STATS_MEMORY = 16 << 20, STATS_ERROR_MAX = 1024 };

struct stats;

/* spec is what stands behind -z: a name and, for io, its arguments. NULL: not a statistic; error (STATS_ERROR_MAX
 * octets) holds the message, with the lines of filter_error_text() when a filter is at fault, each line ended by a
 * newline. memory is aligned for any type and zeroed: what is never used is never touched. A table needs some KiB of
 * it, with a filter half a MiB more. */
struct stats *stats_open(const char *spec, void *memory, size_t size, char *error);

/* What the tracker itself lends at the end is masked with this one, which lives until then; what is fed comes masked.
 */
void stats_redact(struct stats *s, struct redact *r);

/* Feeding. Rows that the display filter keeps back are not fed. */
void stats_row(struct stats *s, const struct row *row);
void stats_exchange(struct stats *s, const struct track_exchange *x); /* one that is over */
bool stats_wants_exchanges(const struct stats *s);                    /* else they need not be fed */
void stats_finding(struct stats *s, const struct track_finding *f);
bool stats_wants_sentences(const struct stats *s); /* of the findings; else they may be fed without */
bool stats_wants_notes(const struct stats *s);     /* of the tracker, in rows; likewise */

/* t: the tracker after track_finish(), NULL without one (then the tables that need it say so). */
/* What the capture counted, for -z stats: borrowed until it is printed; other tables pass over it. */
struct stats_figure {
    const char *name, *key;
    uint64_t value;
};
void stats_figures(struct stats *s, const struct stats_figure *figures, size_t n);

void stats_print(struct stats *s, struct out *o, bool json, const struct track *t);

/* -z help, and the names for shell completion: NULL after the last. */
void stats_help(struct out *o);
const char *stats_name(unsigned i);
