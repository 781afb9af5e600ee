/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/stream/tcp.h"
#include <stdlib.h>
#include <string.h>

/* A closed connection is remembered for as long as copies of its last segments may still come. */
static const int64_t LINGER_NS = 60 * INT64_C(1000000000);
static const int64_t IDLE_STEP_NS = INT64_C(1000000000);
static const int64_t LINGER_STEP_NS = INT64_C(250000000); /* between two looks for those to be forgotten */

enum { CLOSED_BOTH = 3, CLOSED_RST = 4 };

struct tcp {
    struct flow_table *flows;
    struct stream_shared shared;
    const struct tcp_events *events;
    void *ctx;
    struct tcp_limits limits;
    uint32_t next_number;
    uint32_t restarts; /* connections that go by the number of another one */
    int64_t next_idle_ns, next_linger_ns;
    uint64_t expired, unfollowed;
    uint32_t half_reset;       /* connections that linger and are not done */
    enum tcp_end how;          /* of what is going on: for the events of streams */
    const struct stamp *stamp; /* of the segment at hand */
};

static struct flow *flow_of(const struct stream *s)
{
    const struct stream *first = s - s->side;
    return (struct flow *)(uintptr_t)((const char *)first - offsetof(struct flow, dir));
}

/* ---- events of the streams ---- */

static void on_data(void *ctx, const struct stream *s, uint64_t at, struct view octets, const struct stamp *stamp)
{
    struct tcp *t = ctx;
    struct flow *f = flow_of(s);
    if (!(f->flags & (TCP_FLOW_IGNORED | TCP_FLOW_DONE)))
        t->events->data(t->ctx, f, s->side, at, octets, stamp);
}

static void on_gap(void *ctx, const struct stream *s, uint64_t at, uint64_t len, enum stream_gap why,
                   const struct stamp *stamp)
{
    struct tcp *t = ctx;
    struct flow *f = flow_of(s);
    if (!(f->flags & (TCP_FLOW_IGNORED | TCP_FLOW_DONE)))
        t->events->gap(t->ctx, f, s->side, at, len, why, stamp);
}

static void on_differ(void *ctx, const struct stream *s, uint64_t at, uint64_t len, uint64_t first_frame,
                      const struct stamp *stamp)
{
    struct tcp *t = ctx;
    struct flow *f = flow_of(s);
    if (!(f->flags & (TCP_FLOW_IGNORED | TCP_FLOW_DONE)) && t->events->differ != NULL)
        t->events->differ(t->ctx, f, s->side, at, len, first_frame, stamp);
}

static void on_end(void *ctx, const struct stream *s, uint64_t at, const struct stamp *stamp)
{
    (void)at;
    struct tcp *t = ctx;
    struct flow *f = flow_of(s);
    f->closed |= (uint8_t)(1u << s->side);
    if (!(f->flags & (TCP_FLOW_IGNORED | TCP_FLOW_DONE)))
        t->events->end(t->ctx, f, s->side, t->how, stamp);
}

static const struct stream_events stream_events = {
    .data = on_data, .gap = on_gap, .differ = on_differ, .end = on_end
};

/* ---- life of a connection ---- */

static void done(struct tcp *t, struct flow *f, enum tcp_end how, const struct stamp *stamp)
{
    if (f->flags & TCP_FLOW_DONE)
        return;
    enum tcp_end before = t->how;
    t->how = how;
    for (unsigned side = 0; side < 2; side++)
        stream_finish(&f->dir[side], &t->shared, stamp);
    t->how = before;
    f->flags |= TCP_FLOW_DONE;
    t->half_reset -= f->lingers;
    t->events->release(t->ctx, f, how, stamp);
}

static void on_release(void *ctx, struct flow *f, bool evicted)
{
    struct tcp *t = ctx;
    struct stamp none = { 0 };
    if (t->events != NULL)
        done(t, f, evicted ? TCP_END_EVICTED : TCP_END_INPUT, t->stamp != NULL ? t->stamp : &none);
    for (unsigned side = 0; side < 2; side++)
        stream_drop(&f->dir[side], &t->shared);
    f->number = UINT32_MAX;
}

static void forget_closed(struct tcp *t, struct flow *f)
{
    done(t, f, TCP_END_RST, t->stamp);
    flow_remove(t->flows, f, false);
}

static void linger(struct tcp *t, struct flow *f, int64_t now_ns)
{
    if (f->lingers)
        return;
    t->half_reset += (f->flags & TCP_FLOW_DONE) == 0;
    flow_linger(t->flows, f, now_ns + (LINGER_NS < t->limits.idle_ns ? LINGER_NS : t->limits.idle_ns));
}

static void begin(struct tcp *t, struct flow *f, const struct stamp *stamp)
{
    f->number = t->next_number++;
    f->dir[1].side = 1;
    if (flow_make_extra(t->flows, f))
        *f->extra = (struct flow_extra){ .first_ns = stamp->time_ns, .first_frame = stamp->frame };
}

/* The same ports, another connection. */
static void begin_again(struct tcp *t, struct flow *f, const struct stamp *stamp)
{
    done(t, f, TCP_END_EVICTED, stamp);
    for (unsigned side = 0; side < 2; side++) {
        stream_drop(&f->dir[side], &t->shared);
        f->dir[side] = (struct stream){ 0 };
    }
    if (f->lingers)
        flow_revive(t->flows, f);
    f->flags = f->closed = 0;
    f->client = 2;
    begin(t, f, stamp);
}

/* Segments that cannot belong to what was seen so far, and no SYN: the middle of another connection whose beginning was
 * not captured. tshark goes on counting it as the same, and so do we. */
static void restart(struct tcp *t, struct flow *f, const struct stamp *stamp)
{
    uint32_t number = f->number, next = t->next_number;
    begin_again(t, f, stamp);
    f->number = number;
    t->next_number = next;
    t->restarts++;
}

struct tcp *tcp_new(const struct tcp_limits *limits, uint64_t secret, const struct tcp_events *events, void *ctx)
{
    struct tcp *t = calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    size_t record = events->record_size > sizeof(struct flow) ? events->record_size : sizeof(struct flow);
    t->flows = flow_table_new(limits->flows, record, secret, on_release, t);
    if (t->flows == NULL) {
        free(t);
        return NULL;
    }
    t->limits = *limits;
    t->events = events;
    t->ctx = ctx;
    stream_shared_init(&t->shared, &stream_events, t, limits->flow_order, limits->total_order);
    return t;
}

void tcp_free(struct tcp *t)
{
    if (t == NULL)
        return;
    t->events = NULL;
    flow_table_free(t->flows);
    free(t);
}

/* ---- segments ---- */

static bool begins_another(const struct flow *f, unsigned dir, const struct segment *g)
{
    if ((g->flags & (TCP_SYN | TCP_ACK)) != TCP_SYN || !(f->flags & TCP_FLOW_SEEN << dir))
        return false;
    return g->seq != f->first_seq[dir] || f->closed != 0;
}

static void take_syn(struct flow *f, unsigned dir, const struct segment *g)
{
    if (f->client == 2)
        f->client = (uint8_t)(g->flags & TCP_ACK ? !dir : dir);
    struct stream *s = &f->dir[dir];
    bool other = (s->flags & STREAM_KNOWN) && stream_at(s) == 0 && s->hold == 0 && g->seq != f->first_seq[dir];
    if (!(s->flags & STREAM_KNOWN) || other) { /* other: the SYN-ACK of a later attempt */
        stream_syn(s, g->seq);
        f->first_seq[dir] = g->seq;
    }
}

static void tell_unseen(struct tcp *t, struct flow *f, unsigned dir)
{
    if (!(f->flags & (TCP_FLOW_IGNORED | TCP_FLOW_DONE)) && t->events->unseen != NULL)
        t->events->unseen(t->ctx, f, dir);
}

static void take_octets(struct tcp *t, struct flow *f, unsigned dir, const struct segment *g, const struct stamp *stamp)
{
    t->how = TCP_END_FIN;
    if (g->flags & TCP_ACK) {
        stream_ack(&f->dir[!dir], &t->shared, g->ack, stamp);
        if (stream_unseen(&f->dir[!dir]))
            tell_unseen(t, f, !dir);
    }
    if (g->flags & TCP_RST) {
        t->how = TCP_END_RST;
        f->closed |= CLOSED_RST;
        uint32_t ahead = g->seq - f->dir[dir].next;
        if ((f->dir[dir].flags & STREAM_KNOWN) && ahead > 1 && ahead < STREAM_REACH) /* one more may be a FIN */
            tell_unseen(t, f, dir);
        stream_finish(&f->dir[dir], &t->shared, stamp);
        return;
    }
    if (stream_segment(&f->dir[dir], &t->shared, g, stamp)) {
        if (f->dir[dir].hold != 0)
            tell_unseen(t, f, dir);
        return;
    }
    restart(t, f, stamp);
    f->first_seq[dir] = g->seq - 1;
    f->flags |= (uint8_t)(TCP_FLOW_SEEN << dir);
    stream_segment(&f->dir[dir], &t->shared, g, stamp);
}

uint32_t tcp_segment(struct tcp *t, const struct segment *g, uint32_t hash, struct flow *likely,
                     const struct stamp *stamp)
{
    unsigned dir;
    t->stamp = stamp;
    struct flow *f = flow_find_hashed(t->flows, g, hash, likely, stamp->time_ns, &dir);
    if (f == NULL) {
        t->unfollowed++;
        return UINT32_MAX;
    }
    if (f->number == UINT32_MAX)
        begin(t, f, stamp);
    else if (begins_another(f, dir, g))
        begin_again(t, f, stamp);
    if (!(f->flags & TCP_FLOW_SEEN << dir)) {
        f->flags |= (uint8_t)(TCP_FLOW_SEEN << dir);
        f->first_seq[dir] = g->flags & TCP_SYN ? g->seq : g->seq - 1;
    }
    if (g->flags & TCP_SYN)
        take_syn(f, dir, g);
    if (f->flags & (TCP_FLOW_IGNORED | TCP_FLOW_DONE)) {
        if (g->flags & TCP_RST)
            f->closed |= CLOSED_RST;
        else if (g->flags & TCP_FIN)
            f->closed |= (uint8_t)(1u << dir);
    } else {
        take_octets(t, f, dir, g, stamp);
        if ((f->closed & CLOSED_BOTH) == CLOSED_BOTH)
            done(t, f, TCP_END_FIN, stamp);
    }
    if (f->closed >= CLOSED_BOTH)
        linger(t, f, stamp->time_ns);
    if (f->extra != NULL && (f->flags & TCP_FLOW_PLAIN) != 0 && f->extra->transport == NULL)
        flow_drop_extra(t->flows, f);
    return f->number;
}

uint32_t tcp_hash(const struct tcp *t, const struct segment *g)
{
    return flow_hash(t->flows, g);
}

void tcp_prefetch_slot(const struct tcp *t, uint32_t hash)
{
    flow_prefetch_slot(t->flows, hash);
}

struct flow *tcp_prefetch_flow(const struct tcp *t, uint32_t hash)
{
    return flow_prefetch(t->flows, hash);
}

uint32_t tcp_flows(const struct tcp *t)
{
    return flow_count(t->flows);
}

void tcp_time(struct tcp *t, const struct stamp *stamp)
{
    t->stamp = stamp;
    t->how = TCP_END_FIN;
    if (t->shared.due_ns <= stamp->time_ns)
        stream_tick(&t->shared, stamp);
    if (stamp->time_ns < t->next_linger_ns)
        return;
    t->next_linger_ns = stamp->time_ns + LINGER_STEP_NS;
    for (struct flow *f; (f = flow_lingered(t->flows, stamp->time_ns)) != NULL;)
        forget_closed(t, f);
    if (stamp->time_ns < t->next_idle_ns)
        return;
    t->next_idle_ns = stamp->time_ns + IDLE_STEP_NS;
    t->expired += flow_expire(t->flows, stamp->time_ns - t->limits.idle_ns);
}

void tcp_finish(struct tcp *t, const struct stamp *stamp)
{
    uint32_t pos = t->half_reset > 0 ? 0 : flow_first_open(t->flows);
    t->stamp = stamp;
    for (struct flow *f; (f = flow_next(t->flows, &pos)) != NULL;)
        done(t, f, f->closed & CLOSED_RST ? TCP_END_RST : TCP_END_INPUT, stamp);
}

void tcp_ignore(struct flow *f)
{
    f->flags |= TCP_FLOW_IGNORED;
}

void tcp_count(const struct tcp *t, struct tcp_counters *out)
{
    *out = (struct tcp_counters){
        .connections = (uint64_t)t->next_number + t->restarts,
        .evicted_flows = flow_evicted(t->flows),
        .expired_flows = t->expired,
        .evicted_order = t->shared.evicted,
        .unfollowed = t->unfollowed,
        .retransmitted = t->shared.retransmitted,
        .reordered = t->shared.reordered,
        .conflicts = t->shared.conflicts,
        .flows = flow_count(t->flows),
        .order_octets = t->shared.held,
        .memory = flow_memory(t->flows) + t->shared.held,
    };
}
