/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/stream/flow.h -- the table of TCP connections: five-tuple to state, bounded, oldest out first.
 *
 * Flows lie in chunks and never move; an open-addressing table of 8-octet slots finds them. A flow is the beginning of
 * a record of its owner, so that what the owner knows of a connection lies beside it. "Oldest" is one that lingers
 * after its end, else the least recently used by second chance: a flow that was used since it was queued goes to the
 * end of the queue once more. */
#pragma once
#include "capture/stream/stream.h"
#include "decoder/base/prefetch.h"

struct transport; /* of the owner */

/* What a flow has at its beginning, and later only with something around its octets. */
struct flow_extra {
    int64_t first_ns; /* of the first segment */
    uint64_t first_frame;
    struct transport *transport; /* NULL: none */
};

struct flow_pair {
    uint8_t addr[2][16];
};

/* Small, for a fleet of idle connections: with what the owner adds it is to fill two cache lines. */
struct flow {
    union { /* of side 0, which sent the first segment that was seen, and of side 1; side n sends in direction n */
        uint8_t v4[2][4];
        struct flow_pair *v6;
    };
    int64_t last_ns;
    uint16_t port[2];
    uint8_t family;       /* 4 or 6; 0: not in use */
    uint8_t flags;        /* of the owner */
    uint8_t client;       /* the side that sent the SYN; 2: not known */
    uint8_t closed;       /* bit 0, 1: that direction has ended; 4: RST */
    uint32_t number;      /* tcp.stream */
    uint32_t queued : 30; /* when it came into its queue; of one that lingers: when it is to go */
    uint32_t used : 1;    /* since then */
    uint32_t lingers : 1;
    struct stream dir[2];
    uint32_t older, newer; /* queue; index + 1, 0: none */
    uint32_t first_seq[2];
    struct flow_extra *extra; /* NULL: nothing of it */
};

static inline const uint8_t *flow_addr(const struct flow *f, unsigned side)
{
    return f->family == 4 ? f->v4[side] : f->v6->addr[side];
}

static inline struct transport *flow_transport(const struct flow *f)
{
    return f->extra != NULL ? f->extra->transport : NULL;
}

struct flow_table;

/* Called before a flow is forgotten or given to another connection. */
typedef void flow_release(void *ctx, struct flow *f, bool evicted);

/* size: of a record, which begins with its struct flow; its rest is zero at first. NULL: no memory. */
struct flow_table *flow_table_new(uint32_t limit, size_t size, uint64_t secret, flow_release *release, void *ctx);
void flow_table_free(struct flow_table *t); /* calls release for each flow left */

/* The flow of this segment and the direction of it (0, 1); a new one when there is none, marked by number UINT32_MAX
 * for the owner to fill. NULL: no memory. */
struct flow *flow_find(struct flow_table *t, const struct segment *g, int64_t now_ns, unsigned *dir);
/* The hash of its connection, for flow_prefetch() some segments ahead. */
uint32_t flow_hash(const struct flow_table *t, const struct segment *g);
/* likely: what flow_prefetch() gave; NULL is fine. */
struct flow *flow_find_hashed(struct flow_table *t, const struct segment *g, uint32_t hash, struct flow *likely,
                              int64_t now_ns, unsigned *dir);
void flow_prefetch_slot(const struct flow_table *t, uint32_t hash);
/* Most likely the flow with this hash, and its memory is on the way; NULL: there is none. */
struct flow *flow_prefetch(const struct flow_table *t, uint32_t hash);
/* And once that has come, what lies apart from it. */
static inline void flow_prefetch_parts(const struct flow *f)
{
    if (f->family == 6)
        prefetch_line(f->v6);
    if (f->extra != NULL)
        prefetch_line(f->extra);
}

/* Forgets the flows that were silent since before_ns. */
uint32_t flow_expire(struct flow_table *t, int64_t before_ns);
void flow_remove(struct flow_table *t, struct flow *f, bool evicted);

/* It has ended, and is kept until due_ns for what may still come late. */
void flow_linger(struct flow_table *t, struct flow *f, int64_t due_ns);
void flow_revive(struct flow_table *t, struct flow *f);                 /* it lingered, and its ports are used anew */
struct flow *flow_lingered(const struct flow_table *t, int64_t now_ns); /* one whose time is over; NULL: none */

bool flow_make_extra(struct flow_table *t, struct flow *f); /* false: no memory */
void flow_drop_extra(struct flow_table *t, struct flow *f);

/* Walks all flows: *pos starts at 0. NULL at the end. */
struct flow *flow_next(const struct flow_table *t, uint32_t *pos);
uint32_t flow_first_open(const struct flow_table *t); /* where it starts for those alone that do not linger */

uint32_t flow_count(const struct flow_table *t);
uint64_t flow_evicted(const struct flow_table *t);
uint64_t flow_memory(const struct flow_table *t); /* octets of the table and its flows */
