/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/talk/probe.h -- octets of one direction that cannot be framed yet: the protocol is not known, or the next
 * packet border is not. Kept in order with their stamps, PROBE_OCTETS and PROBE_PIECES at most; the oldest go first. */
#pragma once
#include "capture/stream/segment.h"

enum { PROBE_OCTETS = 64 * 1024, PROBE_PIECES = 512 };

struct probe_piece {
    uint32_t at; /* in the octets */
    uint64_t acked;
    struct stamp stamp;
};

struct probe {
    uint8_t *octets;
    struct probe_piece *piece;
    uint32_t len, cap, n, n_cap;
    uint32_t segments; /* taken in all */
    uint32_t alive;    /* no packet that begins before this one of the octets is plausible any more */
    uint64_t first_at; /* place in the stream of the first octet kept */
    uint64_t dropped;  /* octets let go from the front */
    uint64_t gap;      /* octets never captured before the first one */
    const char *why;   /* static; of the gap row to come. NULL: nothing was lost yet */
    struct stamp since;
};

struct probe *probe_new(void); /* NULL: no memory */
void probe_free(struct probe *p);

/* Returns the octets of memory taken more (or less, negative). Without memory the octets are let go, and counted. */
int64_t probe_add(struct probe *p, uint64_t at, struct view octets, const struct stamp *stamp, uint64_t acked);
void probe_drop(struct probe *p, uint32_t octets); /* from the front */
uint64_t probe_memory(const struct probe *p);
/* The octets of piece i. */
struct view probe_piece_octets(const struct probe *p, uint32_t i);
