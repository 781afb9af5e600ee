/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/stats/stats.c -- the statistics by name. */
#include "decoder/stats/stats.h"
#include "decoder/stats/parts.h"
#include <stdio.h>
#include <string.h>

static const struct stats_kind *const kinds[] = { &stats_types,   &stats_conv,     &stats_topics,    &stats_clients,
                                                  &stats_io,      &stats_sessions, &stats_exchanges, &stats_findings,
                                                  &stats_latency, &stats_totals };

enum { KINDS = sizeof kinds / sizeof kinds[0] };

bool stats_fail(char *error, const char *message)
{
    snprintf(error, STATS_ERROR_MAX, "%s\n", message);
    return false;
}

bool stats_enough(bool enough, char *error)
{
    if (!enough)
        stats_fail(error, "too little memory for a statistic");
    return enough;
}

const char *stats_name(unsigned i)
{
    return i < KINDS ? kinds[i]->name : i == KINDS ? "help" : NULL;
}

void stats_help(struct out *o)
{
    for (unsigned i = 0; i < KINDS; i++) {
        size_t used = strlen(kinds[i]->name) + strlen(kinds[i]->arguments);
        out_text(o, "  ");
        out_text(o, kinds[i]->name);
        out_text(o, kinds[i]->arguments);
        out_fill(o, ' ', used < 22 ? 22 - used : 1);
        out_text(o, kinds[i]->meaning);
        out_char(o, '\n');
    }
    out_text(o, "  help                  this list\n");
}

static const struct stats_kind *find_kind(const char *spec, const char **arguments)
{
    size_t len = strcspn(spec, ",");
    *arguments = spec[len] == ',' ? spec + len + 1 : spec + len;
    for (unsigned i = 0; i < KINDS; i++)
        if (strlen(kinds[i]->name) == len && memcmp(kinds[i]->name, spec, len) == 0)
            return kinds[i];
    return NULL;
}

struct stats *stats_open(const char *spec, void *memory, size_t size, char *error)
{
    struct keep keep = { .base = memory, .size = size };
    const char *arguments;
    const struct stats_kind *kind = find_kind(spec, &arguments);
    struct stats *s = keep_take(&keep, sizeof *s);
    if (kind == NULL) {
        snprintf(error, STATS_ERROR_MAX, "no statistic \"%.40s\"; -z help lists them\n", spec);
        for (char *c = error; *c != '\0' && *c != '\n'; c++)
            if ((unsigned char)*c < 0x20 || (unsigned char)*c > 0x7e)
                *c = '?';
        return NULL;
    }
    if (s == NULL) {
        stats_fail(error, "too little memory for a statistic");
        return NULL;
    }
    if (arguments[0] != '\0' && kind->arguments[0] == '\0') {
        stats_fail(error, "this statistic takes no arguments");
        return NULL;
    }
    s->kind = kind;
    s->keep = keep;
    return kind->open(s, arguments, error) ? s : NULL;
}

void stats_redact(struct stats *s, struct redact *r)
{
    s->redact = r;
}

void stats_figures(struct stats *s, const struct stats_figure *figures, size_t n)
{
    s->figures = figures;
    s->n_figures = n;
}

void stats_row(struct stats *s, const struct row *row)
{
    if (s->rows++ == 0) {
        s->first_ns = row->time_ns;
        s->start_ns = row->time_start_ns;
    }
    if (row->time_ns > s->last_ns)
        s->last_ns = row->time_ns;
    if (s->kind->row != NULL)
        s->kind->row(s, row);
}

void stats_exchange(struct stats *s, const struct track_exchange *x)
{
    if (s->kind->exchange != NULL)
        s->kind->exchange(s, x);
}

bool stats_wants_exchanges(const struct stats *s)
{
    return s->kind->exchange != NULL;
}

bool stats_wants_sentences(const struct stats *s)
{
    return s->kind == &stats_findings;
}

bool stats_wants_notes(const struct stats *s)
{
    return s->kind == &stats_findings || s->kind == &stats_latency || s->kind == &stats_io;
}

void stats_finding(struct stats *s, const struct track_finding *f)
{
    if (s->kind->finding != NULL)
        s->kind->finding(s, f);
}

void stats_print(struct stats *s, struct out *o, bool json, const struct track *t)
{
    s->kind->print(s, o, json, t);
}

struct view keep_text(struct stats *s, struct view text)
{
    uint8_t *copy = text.ptr != NULL ? keep_take(&s->keep, text.len + 1) : NULL;
    if (copy == NULL)
        return (struct view){ 0 };
    memcpy(copy, text.ptr, text.len);
    return view_of(copy, text.len);
}

struct stats_client_key stats_client_of(const struct row *row)
{
    if (row->client_id.ptr != NULL && row->client_id.len > 0)
        return (struct stats_client_key){ .text = row->client_id };
    return (struct stats_client_key){ .number = (uint64_t)row->stream + 1 };
}

struct view stats_client_name(struct view text, uint64_t number, char buffer[32])
{
    if (text.ptr != NULL)
        return text;
    int n = snprintf(buffer, 32, "(stream %llu)", (unsigned long long)number - 1);
    return view_of(buffer, (size_t)n);
}
