/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/tables.c -- statistics of a run. */
#include "capture/tables.h"
#include <stdio.h>
#include <stdlib.h>

static bool no_room(char *error, const char *message)
{
    snprintf(error, STATS_ERROR_MAX, "%s\n", message);
    return false;
}

bool tables_add(struct tables *t, const char *spec, char *error)
{
    if (t->n == TABLES_MAX)
        return no_room(error, "too many statistics");
    void *memory = calloc(1, STATS_MEMORY);
    if (memory == NULL)
        return no_room(error, "no memory for a statistic");
    t->at[t->n] = stats_open(spec, memory, STATS_MEMORY, error);
    if (t->at[t->n] == NULL) {
        free(memory);
        return false;
    }
    t->memory[t->n++] = memory;
    return true;
}

void tables_row(struct tables *t, const struct row *row)
{
    for (unsigned i = 0; i < t->n; i++)
        stats_row(t->at[i], row);
}

void tables_exchange(struct tables *t, const struct track_exchange *x)
{
    for (unsigned i = 0; i < t->n; i++)
        stats_exchange(t->at[i], x);
}

void tables_finding(struct tables *t, const struct track_finding *f)
{
    for (unsigned i = 0; i < t->n; i++)
        stats_finding(t->at[i], f);
}

void tables_print(struct tables *t, struct out *o, bool json, const struct track *tracker)
{
    for (unsigned i = 0; i < t->n; i++) {
        if (i > 0 && !json)
            out_char(o, '\n');
        stats_print(t->at[i], o, json, tracker);
    }
}

void tables_free(struct tables *t)
{
    for (unsigned i = 0; i < t->n; i++)
        free(t->memory[i]);
    t->n = 0;
}
