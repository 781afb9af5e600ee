/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/stream/tcp.h -- segments to connections: who is who, which stream an octet belongs to, when a connection
 * ends.
 *
 * Connections are numbered as tshark's tcp.stream: every one counts, in the order of first appearance; a SYN on the
 * ports of an earlier connection begins another one unless it repeats the SYN of that one. */
#pragma once
#include "capture/stream/flow.h"

enum tcp_end {
    TCP_END_FIN,
    TCP_END_RST,
    TCP_END_INPUT,   /* the capture ends */
    TCP_END_EVICTED, /* a budget or the idle timeout; or the ports began another connection */
};

/* Events go up; the flow is `dir` = stream's side. */
struct tcp_events {
    void (*data)(void *ctx, struct flow *f, unsigned dir, uint64_t at, struct view octets, const struct stamp *stamp);
    void (*gap)(void *ctx, struct flow *f, unsigned dir, uint64_t at, uint64_t len, enum stream_gap why,
                const struct stamp *stamp);
    void (*end)(void *ctx, struct flow *f, unsigned dir, enum tcp_end how, const struct stamp *stamp);
    /* The connection is over: what the layer above keeps of it goes. `how` is how it ended at last. */
    void (*release)(void *ctx, struct flow *f, enum tcp_end how, const struct stamp *stamp);
    void (*differ)(void *ctx, struct flow *f, unsigned dir, uint64_t at, uint64_t len, uint64_t first_frame,
                   const struct stamp *stamp); /* as in stream.h */
    void (*unseen)(void *ctx, struct flow *f,
                   unsigned dir); /* acknowledged and not captured so far, or waiting behind a hole; may be NULL */
    size_t
        record_size; /* of what the layer above keeps of a connection, which begins with its struct flow; 0: no more */
};

/* Bits of flow.flags; the rest is for the layer above. */
enum tcp_flow_flag {
    TCP_FLOW_SEEN = 1,    /* << dir: first_seq[dir] is set */
    TCP_FLOW_IGNORED = 4, /* the layer above does not want its octets */
    TCP_FLOW_DONE = 8,    /* released; only late copies may follow */
    TCP_FLOW_KNOWN = 16,  /* nor what flow.extra tells of its beginning */
    TCP_FLOW_UPPER = 32,  /* first bit for the layer above */
    TCP_FLOW_PLAIN = TCP_FLOW_IGNORED | TCP_FLOW_DONE | TCP_FLOW_KNOWN
};

struct tcp;

struct tcp_limits {
    uint32_t flows, flow_order;
    uint64_t total_order;
    int64_t idle_ns;
};

struct tcp_counters {
    uint64_t connections, evicted_flows, expired_flows, evicted_order;
    uint64_t unfollowed; /* segments of connections for which there was no memory */
    uint64_t retransmitted, reordered, conflicts;
    uint32_t flows;
    uint64_t order_octets, memory;
};

struct tcp *tcp_new(const struct tcp_limits *limits, uint64_t secret, const struct tcp_events *events, void *ctx);
void tcp_free(struct tcp *t); /* without events; NULL is fine */

/* Returns the number of its connection; UINT32_MAX: no memory for one. */
uint32_t tcp_segment(struct tcp *t, const struct segment *g, uint32_t hash, struct flow *likely,
                     const struct stamp *stamp);
uint32_t tcp_hash(const struct tcp *t, const struct segment *g); /* for tcp_segment() and the prefetches */
void tcp_prefetch_slot(const struct tcp *t, uint32_t hash);
struct flow *tcp_prefetch_flow(const struct tcp *t, uint32_t hash); /* flow_prefetch() */
uint32_t tcp_flows(const struct tcp *t);                            /* in memory now */

void tcp_time(struct tcp *t, const struct stamp *stamp);   /* capture time goes on: timeouts */
void tcp_finish(struct tcp *t, const struct stamp *stamp); /* the capture ends: every connection does */
void tcp_ignore(struct flow *f);                           /* its octets are not wanted any more */
void tcp_count(const struct tcp *t, struct tcp_counters *out);
