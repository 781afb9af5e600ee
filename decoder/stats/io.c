/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/stats/io.c -- -z io,INTERVAL[,FILTER]: packets and octets in each interval of capture time. When the
 * intervals run out, each two become one, so that a run of any length fits. */
#include "decoder/filter/filter.h"
#include "decoder/stats/parts.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(columns) (sizeof(columns) / sizeof(columns)[0])

enum { INTERVALS = 4096 };

struct interval {
    uint64_t packets, octets, matched, matched_octets;
};

struct io {
    struct interval *at;
    int64_t length_ns, given_ns;
    uint32_t used;
    struct filter *filter;
    char text[FILTER_TEXT_MAX + 1];
};

/* Seconds with decimals; 0 is the whole run. */
static bool read_interval(const char *text, size_t len, int64_t *ns)
{
    int64_t whole = 0, fraction = 0, unit = 1000000000;
    size_t i = 0;
    for (; i < len && text[i] >= '0' && text[i] <= '9' && whole < 1000000000; i++)
        whole = whole * 10 + (text[i] - '0');
    if (i < len && text[i] == '.')
        for (i++; i < len && text[i] >= '0' && text[i] <= '9' && unit > 1; i++)
            fraction += (unit /= 10) * (text[i] - '0');
    *ns = whole * 1000000000 + fraction;
    return len > 0 && i == len && (*ns == 0 || *ns >= 1000000);
}

static bool open_filter(struct stats *s, struct io *io, const char *text, char *error)
{
    struct filter_error fault;
    size_t len = strlen(text);
    void *memory = keep_take(&s->keep, FILTER_MEMORY / 2);
    if (memory == NULL)
        return stats_fail(error, "too little memory for a statistic");
    io->filter = filter_compile(text, len, memory, FILTER_MEMORY / 2, &fault);
    if (io->filter == NULL) {
        filter_error_text(&fault, text, len, error, STATS_ERROR_MAX);
        return false;
    }
    memcpy(io->text, text, len + 1);
    return true;
}

static bool open_io(struct stats *s, const char *arguments, char *error)
{
    size_t len = strcspn(arguments, ",");
    struct io *io = s->state = keep_take(&s->keep, sizeof *io);
    if (io == NULL || (io->at = keep_take(&s->keep, INTERVALS * sizeof *io->at)) == NULL)
        return stats_fail(error, "too little memory for a statistic");
    if (!read_interval(arguments, len, &io->length_ns))
        return stats_fail(
            error,
            "io takes an interval in seconds, 0.001 or more, or 0 for the whole run: -z io,1 or -z io,0.5,FILTER");
    if (io->length_ns == 0)
        io->length_ns = INT64_MAX;
    io->given_ns = io->length_ns;
    return arguments[len] == '\0' || open_filter(s, io, arguments + len + 1, error);
}

static void join_intervals(struct io *io)
{
    for (uint32_t i = 0; i < INTERVALS / 2; i++) {
        const struct interval *a = &io->at[2 * i], *b = &io->at[2 * i + 1];
        io->at[i] = (struct interval){ a->packets + b->packets, a->octets + b->octets, a->matched + b->matched,
                                       a->matched_octets + b->matched_octets };
    }
    memset(io->at + INTERVALS / 2, 0, INTERVALS / 2 * sizeof *io->at);
    io->used = (io->used + 1) / 2;
    io->length_ns = io->length_ns > INT64_MAX / 2 ? INT64_MAX : io->length_ns * 2;
}

static void row_io(struct stats *s, const struct row *row)
{
    struct io *io = s->state;
    if (!stats_is_packet(row))
        return;
    int64_t since = row->time_ns > s->start_ns ? row->time_ns - s->start_ns : 0;
    while (since / io->length_ns >= INTERVALS)
        join_intervals(io);
    uint32_t at = (uint32_t)(since / io->length_ns);
    struct interval *i = &io->at[at];
    if (at + 1 > io->used)
        io->used = at + 1;
    i->packets++;
    i->octets += stats_octets(row);
    if (io->filter != NULL && filter_match(io->filter, row)) {
        i->matched++;
        i->matched_octets += stats_octets(row);
    }
}

static void print_io(struct stats *s, struct out *o, bool json, const struct track *track)
{
    static const struct column all[] = { { "from s", "from_s", 14, false },
                                         { "to s", "to_s", 14, false },
                                         { "packets", "packets", 10, false },
                                         { "octets", "octets", 12, false },
                                         { "matching", "matching_packets", 10, false },
                                         { "octets", "matching_octets", 12, false } };
    (void)track;
    const struct io *io = s->state;
    int64_t run = s->rows > 0 ? s->last_ns - s->start_ns : 0;
    struct table t = table_begin(
        o, json, "io", io->filter != NULL ? "Packets over time, and those that match the filter" : "Packets over time",
        all, io->filter != NULL ? 6 : 4);
    for (uint32_t i = 0; i < io->used; i++) {
        int64_t from = (int64_t)i * (io->length_ns == INT64_MAX ? 0 : io->length_ns);
        table_row(&t);
        table_seconds(&t, from);
        table_seconds(&t, io->length_ns == INT64_MAX || run - from < io->length_ns ? run : from + io->length_ns);
        table_count(&t, io->at[i].packets);
        table_count(&t, io->at[i].octets);
        table_count(&t, io->at[i].matched);
        table_count(&t, io->at[i].matched_octets);
        table_row_end(&t);
    }
    if (io->length_ns != io->given_ns)
        table_remark(&t, "ms an interval, longer than asked for: the run did not fit otherwise",
                     (uint64_t)(io->length_ns / 1000000));
    if (io->filter != NULL && filter_gave_up(io->filter))
        table_remark(&t, "or more comparisons of the filter took too long and count as not met", 1);
}

const struct stats_kind stats_io = {
    "io", ",SECONDS[,FILTER]", "packets and octets over time", open_io, row_io, NULL, NULL, print_io
};
