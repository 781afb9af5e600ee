/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/tables.h -- the statistics asked for with -z in one run: their memory, feeding, printing. */
#pragma once
#include "decoder/stats/stats.h"

enum { TABLES_MAX = 16 };

struct tables { /* zeroed at the start */
    struct stats *at[TABLES_MAX];
    void *memory[TABLES_MAX];
    unsigned n;
};

/* Adds the statistic of one -z. False: error (STATS_ERROR_MAX octets, lines) says why. */
bool tables_add(struct tables *t, const char *spec, char *error);

void tables_row(struct tables *t, const struct row *row);
void tables_exchange(struct tables *t, const struct track_exchange *x);
void tables_finding(struct tables *t, const struct track_finding *f);

/* One after the other, an empty line between them (not in JSON). `tracker` may be NULL. */
void tables_print(struct tables *t, struct out *o, bool json, const struct track *tracker);
void tables_free(struct tables *t);
