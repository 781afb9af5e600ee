/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/stats/parts.h -- what the statistics share; not for use outside this folder. */
#pragma once
#include "decoder/stats/keep.h"
#include "decoder/stats/stats.h"
#include "decoder/stats/table.h"

struct stats {
    const struct stats_kind *kind;
    struct keep keep;
    int64_t start_ns, first_ns, last_ns; /* of the capture; of the first and the last row fed */
    uint64_t rows;
    struct redact *redact;              /* NULL: nothing is masked */
    const struct stats_figure *figures; /* of the capture, n_figures of them */
    size_t n_figures;
    void *state; /* of the kind */
};

struct stats_kind {
    const char *name, *arguments, *meaning;
    bool (*open)(struct stats *s, const char *arguments, char *error); /* arguments: behind the name, "" if none */
    void (*row)(struct stats *s, const struct row *row);               /* these may be NULL */
    void (*exchange)(struct stats *s, const struct track_exchange *x);
    void (*finding)(struct stats *s, const struct track_finding *f);
    void (*print)(struct stats *s, struct out *o, bool json, const struct track *t);
};

extern const struct stats_kind stats_types, stats_conv, stats_topics, stats_clients, stats_io, stats_totals,
    stats_sessions, stats_exchanges, stats_findings, stats_latency;

bool stats_fail(char *error, const char *message); /* always false */
bool stats_enough(bool enough, char *error);       /* of memory, or the error says that it is too little */
/* A copy of text that is only lent; what does not fit any more is unknown. */
struct view keep_text(struct stats *s, struct view text);

/* The client that a packet belongs to: its client identifier, or (text NULL) the number of its stream. */
struct stats_client_key {
    struct view text;
    uint64_t number;
};
struct stats_client_key stats_client_of(const struct row *row);
/* How such a key shows: the identifier, or "stream 7" in the buffer. */
struct view stats_client_name(struct view text, uint64_t number, char buffer[32]);

/* Octets of the whole packet on the wire. */
static inline uint64_t stats_octets(const struct row *row)
{
    return row->packet == NULL ? 0 : (uint64_t)row->packet->header_len + row->packet->remaining;
}

static inline bool stats_is_packet(const struct row *row)
{
    return row->kind == ROW_PACKET && row->packet != NULL && row->packet->header_len > 0;
}
