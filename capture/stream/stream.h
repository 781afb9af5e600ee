/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/stream/stream.h -- the octets of one direction of a TCP connection, in order: data, gap, end.
 *
 * A segment that comes in order passes through uncopied and without allocation; one that comes early is copied and
 * held. A hole is given up as far as the peer has acknowledged it when STREAM_GRACE_NS of capture time have gone by (a
 * tap may show an acknowledgment before the octets it is for), or whole when a budget is reached, or at the end. The
 * first copy of an octet wins; a later copy that differs from one still held, or from the beginning of the segment that
 * was passed on last, is told. */
#pragma once
#include "capture/stream/segment.h"

enum stream_gap { STREAM_LOST, STREAM_SNAPLEN, STREAM_EVICTED };

#define STREAM_GRACE_NS INT64_C(20000000)

struct stream;

/* Events go up. Views and stamps are borrowed for the call; `at` counts octets from the first one of the stream. A
 * stream is not to be touched from its own events. */
struct stream_events {
    void (*data)(void *ctx, const struct stream *s, uint64_t at, struct view octets, const struct stamp *stamp);
    void (*gap)(void *ctx, const struct stream *s, uint64_t at, uint64_t len, enum stream_gap why,
                const struct stamp *stamp);
    void (*end)(void *ctx, const struct stream *s, uint64_t at, const struct stamp *stamp);
    /* From `at` on a later copy, of which len octets can be compared, is not as the first one, which came in
     * first_frame. NULL: not wanted. */
    void (*differ)(void *ctx, const struct stream *s, uint64_t at, uint64_t len, uint64_t first_frame,
                   const struct stamp *stamp);
};

/* The beginning of the segment that a stream passed on last, for comparison with a copy. Streams share the places. */
enum { STREAM_RECENT = 128, STREAM_RECENT_OCTETS = 64 };
struct stream_recent {
    const struct stream *owner;
    uint64_t frame;
    uint32_t seq, len;
    uint8_t octets[STREAM_RECENT_OCTETS];
};

/* What all streams of a pipeline share. */
struct stream_shared {
    const struct stream_events *events;
    void *ctx;
    uint32_t limit;       /* octets held for one stream, with STREAM_PIECE_COST for each piece */
    uint64_t total_limit; /* for all streams */
    uint64_t held;        /* octets held now, likewise */
    struct stream_holds {
        struct stream_hold *first, *last; /* longest first */
    } waiting, acked;                     /* streams with a hole; those whose hole the peer has acknowledged */
    int64_t due_ns;                       /* stream_tick() has work from here on; INT64_MAX: none */
    uint64_t retransmitted, reordered, conflicts, evicted; /* segments, segments, pieces, holes */
    struct stream_recent recent[STREAM_RECENT];
    struct stream_hold **holds; /* of the streams that have one, at stream.hold - 1 */
    uint32_t n_holds, cap_holds;
};

enum {
    STREAM_PIECE_COST = 64,
    STREAM_REACH = 1 << 30,        /* the widest window TCP has */
    STREAM_LATE = 1 << 20,         /* octets that may be missing between an acknowledgment and the first segment seen */
    STREAM_OPENING_COST = 1 << 17, /* held until it is known where a stream begins, at most */
};

enum stream_flag {
    STREAM_KNOWN = 1,    /* `next` is set */
    STREAM_FROM_SYN = 2, /* the first octet is the one behind the SYN */
    STREAM_SOFT = 4,     /* `next` comes from a segment without data: a keepalive probe is one octet behind */
    STREAM_ACKED = 8,    /* `acked` is set */
    STREAM_FIN = 16,     /* `fin` is set */
    STREAM_ENDED = 32,   /* the end event went out */
    STREAM_STRAY = 64,   /* the last segment lay far outside; the next one alike begins anew */
    STREAM_OPENING = 128 /* in mid-stream: the first segment may have come out of order, so all is held */
};

struct stream {
    uint32_t at_low; /* of stream_at() */
    uint16_t at_high;
    uint8_t flags;  /* enum stream_flag */
    uint8_t side;   /* of the owner */
    uint32_t next;  /* sequence number expected; before STREAM_KNOWN: the one acknowledged first */
    uint32_t acked; /* highest acknowledgment number of the peer */
    uint32_t fin;   /* sequence number of the FIN */
    uint32_t hold;  /* number of what it holds; 0: in order */
};

/* Octets passed on, gaps included, modulo 2^48. Two loads, each as wide as the store before it: a wider one would wait
 * for all stores before it to reach the cache. */
static inline uint64_t stream_at(const struct stream *s)
{
    return (uint64_t)s->at_high << 32 | s->at_low;
}

void stream_shared_init(struct stream_shared *shared, const struct stream_events *events, void *ctx, uint32_t limit,
                        uint64_t total_limit);

/* A zeroed struct stream is ready: its start is then where the first segment is. */
void stream_syn(struct stream *s, uint32_t seq);
/* False: the segment lies so far outside that it must belong to another connection of the same ports. */
bool stream_segment(struct stream *s, struct stream_shared *shared, const struct segment *g, const struct stamp *stamp);
/* The peer acknowledges. */
void stream_ack(struct stream *s, struct stream_shared *shared, uint32_t ack, const struct stamp *stamp);
/* The peer has acknowledged octets that were not captured so far. One more than there are may be a FIN. */
static inline bool stream_unseen(const struct stream *s)
{
    uint32_t ahead = s->acked - s->next;
    return (s->flags & (STREAM_KNOWN | STREAM_ACKED)) == (STREAM_KNOWN | STREAM_ACKED) && ahead > 1 && ahead < 1U << 31;
}
/* No more will come: holes are given up, what is held is passed on, and the stream ends if it has not. */
void stream_finish(struct stream *s, struct stream_shared *shared, const struct stamp *stamp);
void stream_drop(struct stream *s, struct stream_shared *shared); /* frees what is held, without events */
/* Gives up the holes whose grace is over. Call it when shared->due_ns <= stamp->time_ns. */
void stream_tick(struct stream_shared *shared, const struct stamp *stamp);
