/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/stream/flow.h -- the table of TCP connections: five-tuple to state, bounded, oldest out first.
 *
 * Flows lie in chunks and never move; an open-addressing table of 8-octet slots finds them. "Oldest" is the least
 * recently used by second chance: a flow that was used since it was queued goes to the end of the queue once more. */
#pragma once
#include "capture/stream/stream.h"

/* What every segment touches lies in the first two cache lines. */
struct flow {
    void *upper; /* of the owner */
    int64_t last_ns;
    uint8_t addr[2][16]; /* side 0 sent the first segment that was seen; side n sends in direction n */
    uint16_t port[2];
    uint8_t family;  /* 4 or 6 */
    uint8_t flags;   /* of the owner */
    uint8_t client;  /* the side that sent the SYN; 2: not known */
    uint8_t closed;  /* bit 0, 1: that direction has ended; 4: RST */
    uint32_t number; /* tcp.stream */
    uint32_t hash;
    struct stream dir[2];
    uint32_t older, newer; /* queue; index + 1, 0: none */
    uint32_t first_seq[2];
    int64_t queued_ns;
    int64_t first_ns; /* of the first segment */
    uint64_t first_frame;
    struct transport *transport; /* of the owner */
    uint8_t unused[16];          /* to whole cache lines */
};

struct flow_table;

/* Called before a flow is forgotten or given to another connection. */
typedef void flow_release(void *ctx, struct flow *f, bool evicted);

struct flow_table *flow_table_new(uint32_t limit, uint64_t secret, flow_release *release,
                                  void *ctx); /* NULL: no memory */
void flow_table_free(struct flow_table *t);   /* calls release for each flow left */

/* The flow of this segment and the direction of it (0, 1); a new one when there is none, marked by number UINT32_MAX
 * for the owner to fill. NULL: no memory. */
struct flow *flow_find(struct flow_table *t, const struct segment *g, int64_t now_ns, unsigned *dir);
/* The hash of its connection, for flow_prefetch() some segments ahead. */
uint32_t flow_hash(const struct flow_table *t, const struct segment *g);
struct flow *flow_find_hashed(struct flow_table *t, const struct segment *g, uint32_t hash, int64_t now_ns,
                              unsigned *dir);
void flow_prefetch_slot(const struct flow_table *t, uint32_t hash);
/* Most likely the flow with this hash, and its memory is on the way; NULL: there is none. */
const struct flow *flow_prefetch(const struct flow_table *t, uint32_t hash);

/* Forgets the flows that were silent since before_ns. */
uint32_t flow_expire(struct flow_table *t, int64_t before_ns);
void flow_remove(struct flow_table *t, struct flow *f, bool evicted);

/* Walks all flows: *pos starts at 0. NULL at the end. */
struct flow *flow_next(const struct flow_table *t, uint32_t *pos);

uint32_t flow_count(const struct flow_table *t);
uint64_t flow_evicted(const struct flow_table *t);
uint64_t flow_memory(const struct flow_table *t); /* octets of the table and its flows */
