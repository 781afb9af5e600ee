/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/stream/stream.h"
#include <stdlib.h>
#include <string.h>

/* Octets of one early segment, or the place of octets that the capture cut off it (data is false). */
struct piece {
    uint32_t seq, len;
    bool data;
    struct stamp stamp;
    uint8_t octets[];
};

/* What a stream with a hole holds: pieces sorted by sequence number that do not overlap. */
struct stream_hold {
    struct stream_hold *prev, *next;
    struct stream_holds *list;
    struct stream *owner;
    int64_t acked_ns; /* in the list `acked`: capture time at which the peer acknowledged past the first hole */
    uint32_t n, cap;
    uint32_t cost;
    struct piece **at;
};

void stream_shared_init(struct stream_shared *shared, const struct stream_events *events, void *ctx, uint32_t limit,
                        uint64_t total_limit)
{
    *shared = (struct stream_shared){
        .events = events, .ctx = ctx, .limit = limit, .total_limit = total_limit, .due_ns = INT64_MAX
    };
}

/* a - b in sequence space (RFC 9293 section 3.4). */
static int32_t distance(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b);
}

static uint32_t piece_cost(const struct piece *p)
{
    return STREAM_PIECE_COST + (p->data ? p->len : 0);
}

/* ---- holds ---- */

static void hold_link(struct stream_hold *h, struct stream_holds *list)
{
    h->list = list;
    h->prev = list->last;
    h->next = NULL;
    if (h->prev != NULL)
        h->prev->next = h;
    else
        list->first = h;
    list->last = h;
}

static void hold_unlink(struct stream_hold *h)
{
    if (h->prev != NULL)
        h->prev->next = h->next;
    else
        h->list->first = h->next;
    if (h->next != NULL)
        h->next->prev = h->prev;
    else
        h->list->last = h->prev;
}

/* The hole was given up or filled: its grace ends. */
static void hold_unacked(struct stream_hold *h, struct stream_shared *shared)
{
    if (h->list == &shared->waiting)
        return;
    hold_unlink(h);
    hold_link(h, &shared->waiting);
}

static struct stream_hold *hold_of(const struct stream *s, const struct stream_shared *shared)
{
    return s->hold != 0 ? shared->holds[s->hold - 1] : NULL;
}

static void hold_free(struct stream *s, struct stream_shared *shared)
{
    struct stream_hold *h = hold_of(s, shared);
    if (h == NULL)
        return;
    hold_unlink(h);
    shared->held -= h->cost;
    for (uint32_t i = 0; i < h->n; i++)
        free(h->at[i]);
    free(h->at);
    struct stream_hold *last = shared->holds[--shared->n_holds]; /* takes its place */
    shared->holds[s->hold - 1] = last;
    last->owner->hold = s->hold;
    free(h);
    s->hold = 0;
    if (shared->n_holds > 0)
        return;
    free(shared->holds);
    shared->holds = NULL;
    shared->cap_holds = 0;
}

static bool holds_room(struct stream_shared *shared)
{
    if (shared->n_holds < shared->cap_holds)
        return true;
    uint32_t cap = shared->cap_holds > 0 ? shared->cap_holds * 2 : 16;
    struct stream_hold **holds = realloc(shared->holds, cap * sizeof *holds);
    if (holds == NULL)
        return false;
    shared->holds = holds;
    shared->cap_holds = cap;
    return true;
}

static struct stream_hold *hold_make(struct stream *s, struct stream_shared *shared)
{
    if (s->hold != 0)
        return hold_of(s, shared);
    struct stream_hold *h = holds_room(shared) ? calloc(1, sizeof *h) : NULL;
    if (h == NULL)
        return NULL;
    h->owner = s;
    shared->holds[shared->n_holds] = h;
    s->hold = ++shared->n_holds;
    hold_link(h, &shared->waiting);
    return h;
}

static bool hold_room(struct stream_hold *h)
{
    if (h->n < h->cap)
        return true;
    uint32_t cap = h->cap > 0 ? h->cap * 2 : 8;
    struct piece **at = realloc(h->at, cap * sizeof *at);
    if (at == NULL)
        return false;
    h->at = at;
    h->cap = cap;
    return true;
}

/* The first piece that ends behind seq. */
static uint32_t hold_search(const struct stream_hold *h, uint32_t seq)
{
    uint32_t low = 0, high = h->n;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (distance(h->at[mid]->seq + h->at[mid]->len, seq) > 0)
            high = mid;
        else
            low = mid + 1;
    }
    return low;
}

/* One piece at place i. */
static void hold_put(struct stream_hold *h, struct stream_shared *shared, uint32_t i, uint32_t seq, uint32_t len,
                     const uint8_t *octets, const struct stamp *stamp)
{
    struct piece *p = hold_room(h) ? malloc(sizeof *p + (octets != NULL ? len : 0)) : NULL;
    if (p == NULL)
        return; /* as if it had not been captured */
    *p = (struct piece){ .seq = seq, .len = len, .data = octets != NULL, .stamp = *stamp };
    if (octets != NULL)
        memcpy(p->octets, octets, len);
    memmove(h->at + i + 1, h->at + i, (h->n - i) * sizeof *h->at);
    h->at[i] = p;
    h->n++;
    h->cost += piece_cost(p);
    shared->held += piece_cost(p);
}

/* Tells where the n octets of a later copy, which begins at seq, are not as the first one. */
static void compare(const struct stream *s, struct stream_shared *shared, uint32_t seq, const uint8_t *first,
                    const uint8_t *later, uint32_t n, uint64_t first_frame, const struct stamp *stamp)
{
    if (memcmp(first, later, n) == 0)
        return;
    uint32_t i = 0;
    while (first[i] == later[i])
        i++;
    shared->conflicts++;
    if (shared->events->differ != NULL)
        shared->events->differ(shared->ctx, s, stream_at(s) + (uint64_t)(int64_t)distance(seq + i, s->next), n - i,
                               first_frame, stamp);
}

static void compare_held(const struct stream *s, struct stream_shared *shared, const struct piece *p, uint32_t seq,
                         uint32_t len, const uint8_t *octets, const struct stamp *stamp)
{
    uint32_t skip = distance(p->seq, seq) < 0 ? seq - p->seq : 0;
    uint32_t n = p->len - skip < len ? p->len - skip : len;
    if (p->data && octets != NULL)
        compare(s, shared, seq, p->octets + skip, octets, n, p->stamp.frame, stamp);
}

/* ---- what was passed on last ---- */

static struct stream_recent *recent_of(struct stream_shared *shared, const struct stream *s)
{
    return &shared->recent[((uintptr_t)s / 8 * 0x9e3779b9u >> 16) % STREAM_RECENT];
}

static void remember(struct stream *s, struct stream_shared *shared, const uint8_t *octets, uint32_t len,
                     const struct stamp *stamp)
{
    struct stream_recent *r = recent_of(shared, s);
    r->owner = s;
    r->frame = stamp->frame;
    r->seq = s->next;
    if (len >= STREAM_RECENT_OCTETS) {
        r->len = STREAM_RECENT_OCTETS;
        memcpy(r->octets, octets, STREAM_RECENT_OCTETS);
    } else {
        r->len = len;
        memcpy(r->octets, octets, len);
    }
}

/* A copy of octets that were passed on: the part of it that is remembered. */
static void compare_recent(const struct stream *s, struct stream_shared *shared, uint32_t seq, struct view octets,
                           const struct stamp *stamp)
{
    const struct stream_recent *r = recent_of(shared, s);
    int32_t ahead = distance(r->seq, seq);
    uint32_t from = ahead > 0 ? (uint32_t)ahead : 0, skip = ahead < 0 ? (uint32_t)-ahead : 0;
    if (r->owner != s || from >= octets.len || skip >= r->len)
        return;
    size_t left = octets.len - from;
    compare(s, shared, seq + from, r->octets + skip, octets.ptr + from,
            left < r->len - skip ? (uint32_t)left : r->len - skip, r->frame, stamp);
}

/* Adds [seq, seq + len) where nothing is held yet. octets NULL: the capture cut them. */
static void hold_add(struct stream_hold *h, struct stream_shared *shared, uint32_t seq, uint32_t len,
                     const uint8_t *octets, const struct stamp *stamp)
{
    const struct stream *s = h->owner;
    uint32_t i = hold_search(h, seq);
    while (len > 0) {
        uint32_t free_len = len;
        if (i < h->n) {
            int32_t ahead = distance(h->at[i]->seq, seq);
            free_len = ahead <= 0 ? 0 : (uint32_t)ahead < len ? (uint32_t)ahead : len;
        }
        uint32_t step = free_len;
        if (free_len > 0) {
            uint32_t before = h->n;
            hold_put(h, shared, i, seq, free_len, octets, stamp);
            i += h->n - before;
        } else {
            compare_held(s, shared, h->at[i], seq, len, octets, stamp);
            uint32_t covered = h->at[i]->seq + h->at[i]->len - seq;
            step = covered < len ? covered : len;
            i++;
        }
        seq += step;
        len -= step;
        octets = octets != NULL ? octets + step : NULL;
    }
}

/* ---- passing on ---- */

static void check_end(struct stream *s, struct stream_shared *shared, const struct stamp *stamp)
{
    if ((s->flags & (STREAM_FIN | STREAM_ENDED)) != STREAM_FIN || distance(s->next, s->fin) < 0)
        return;
    s->flags |= STREAM_ENDED;
    hold_free(s, shared); /* behind the FIN: nothing a peer would take */
    shared->events->end(shared->ctx, s, stream_at(s), stamp);
}

static void advance(struct stream *s, uint64_t at, uint32_t len)
{
    s->next += len;
    s->at_low = (uint32_t)(at + len);
    s->at_high = (uint16_t)((at + len) >> 32);
}

static void pass_data(struct stream *s, struct stream_shared *shared, const uint8_t *octets, uint32_t len,
                      const struct stamp *stamp)
{
    uint64_t at = stream_at(s);
    remember(s, shared, octets, len, stamp);
    advance(s, at, len);
    shared->events->data(shared->ctx, s, at, view_of(octets, len), stamp);
}

static void pass_gap(struct stream *s, struct stream_shared *shared, uint32_t len, enum stream_gap why,
                     const struct stamp *stamp)
{
    uint64_t at = stream_at(s);
    advance(s, at, len);
    shared->events->gap(shared->ctx, s, at, len, why, stamp);
}

static void start_grace(struct stream_hold *h, struct stream_shared *shared, int64_t now_ns)
{
    if (h->list == &shared->acked)
        return;
    h->acked_ns = now_ns;
    hold_unlink(h);
    hold_link(h, &shared->acked);
    shared->due_ns = shared->acked.first->acked_ns + STREAM_GRACE_NS;
}

static void note_ack(struct stream *s, struct stream_shared *shared, int64_t now_ns)
{
    struct stream_hold *h = hold_of(s, shared);
    bool past = (s->flags & STREAM_ACKED) && distance(s->acked, s->next) > 0;
    if (h != NULL && past)
        start_grace(h, shared, now_ns);
}

/* Passes on what is held and in order now. */
static void drain(struct stream *s, struct stream_shared *shared)
{
    struct stream_hold *h = hold_of(s, shared);
    uint32_t i = 0;
    struct stamp last = { 0 };
    while (i < h->n && h->at[i]->seq == s->next) {
        struct piece *p = h->at[i++];
        last = p->stamp;
        h->cost -= piece_cost(p);
        shared->held -= piece_cost(p);
        if (p->data)
            pass_data(s, shared, p->octets, p->len, &p->stamp);
        else
            pass_gap(s, shared, p->len, STREAM_SNAPLEN, &p->stamp);
        free(p);
    }
    if (i == 0)
        return;
    memmove(h->at, h->at + i, (h->n - i) * sizeof *h->at);
    h->n -= i;
    hold_unacked(h, shared);
    if (h->n == 0)
        hold_free(s, shared);
    check_end(s, shared, &last);
}

/* It begins with the first octet that is held, or where `next` says. */
static void open_up(struct stream *s, struct stream_shared *shared)
{
    s->flags &= (uint8_t)~STREAM_OPENING;
    if (s->hold == 0)
        return;
    hold_unacked(hold_of(s, shared), shared);
    drain(s, shared);
}

/* The first hole will not be filled any more, or its first `most` octets. */
static void give_up(struct stream *s, struct stream_shared *shared, uint32_t most, enum stream_gap why)
{
    if (s->flags & STREAM_OPENING) {
        open_up(s, shared);
        return;
    }
    struct stream_hold *h = hold_of(s, shared);
    struct stamp stamp = h->at[0]->stamp;
    uint32_t hole = h->at[0]->seq - s->next, to_fin = s->fin - s->next;
    hole = hole < most ? hole : most;
    hold_unacked(h, shared);
    bool holds_fin = (s->flags & STREAM_FIN) && to_fin < hole;
    hole = holds_fin ? to_fin : hole;
    if (hole > 0) /* the FIN may be next, with octets held behind it */
        pass_gap(s, shared, hole, why, &stamp);
    if (holds_fin)
        check_end(s, shared, &stamp);
    else
        drain(s, shared);
}

static void keep_budgets(struct stream *s, struct stream_shared *shared)
{
    while (s->hold != 0 && hold_of(s, shared)->cost > shared->limit) {
        shared->evicted++;
        give_up(s, shared, UINT32_MAX, STREAM_EVICTED);
    }
    while (shared->held > shared->total_limit) {
        struct stream_hold *h = shared->acked.first != NULL ? shared->acked.first : shared->waiting.first;
        if (h == NULL)
            return;
        shared->evicted++;
        give_up(h->owner, shared, UINT32_MAX, STREAM_EVICTED);
    }
}

/* ---- segments ---- */

void stream_syn(struct stream *s, uint32_t seq)
{
    s->next = seq + 1;
    s->flags = (uint8_t)((s->flags & STREAM_ACKED) | STREAM_KNOWN | STREAM_FROM_SYN);
}

/* The first segment of a stream whose SYN was not captured. What the peer acknowledged first tells where the next octet
 * was to be: what lies between is missing. */
static void start_midstream(struct stream *s, const struct segment *g, uint32_t seq)
{
    uint32_t len = (uint32_t)g->payload.len + g->cut;
    int32_t missing = s->flags & STREAM_ACKED ? distance(seq, s->next) : 0;
    s->flags |= STREAM_KNOWN;
    if (missing > 0 && missing < STREAM_LATE)
        return;
    bool sure = (s->flags & STREAM_ACKED) && missing == 0;
    s->next = seq;
    if (len == 0 && !(g->flags & TCP_FIN) && !sure)
        s->flags |= STREAM_SOFT;
    /* an octet that the peer has long acknowledged is a keepalive probe with its garbage octet */
    else if (len == 1 && (s->flags & STREAM_ACKED) && s->acked == seq + 1)
        s->next = seq + 1;
    else if (len > 0 && !(s->flags & STREAM_ACKED))
        s->flags |= STREAM_OPENING;
}

static void hold_octets(struct stream *s, struct stream_shared *shared, uint32_t seq, struct view payload, uint32_t cut,
                        const struct stamp *stamp)
{
    struct stream_hold *h = hold_make(s, shared);
    if (h == NULL)
        return;
    if (payload.len > 0)
        hold_add(h, shared, seq, (uint32_t)payload.len, payload.ptr, stamp);
    if (cut > 0)
        hold_add(h, shared, seq + (uint32_t)payload.len, cut, NULL, stamp);
    if (h->n == 0) /* no memory */
        hold_free(s, shared);
}

static void hold_segment(struct stream *s, struct stream_shared *shared, uint32_t seq, struct view payload,
                         uint32_t cut, const struct stamp *stamp)
{
    if (seq != s->next)
        shared->reordered++;
    hold_octets(s, shared, seq, payload, cut, stamp);
    if (s->hold == 0)
        return;
    note_ack(s, shared, stamp->time_ns);
    drain(s, shared);
    keep_budgets(s, shared);
}

/* Where it begins is not known for sure: an earlier segment may follow until its grace is over, or the peer
 * acknowledges. */
static void hold_opening(struct stream *s, struct stream_shared *shared, uint32_t seq, const struct segment *g,
                         const struct stamp *stamp)
{
    int32_t behind = distance(s->next, seq);
    if (behind >= STREAM_LATE) {
        shared->retransmitted++;
        return;
    }
    if (behind > 0) {
        shared->reordered++;
        s->next = seq;
    }
    hold_octets(s, shared, seq, g->payload, g->cut, stamp);
    struct stream_hold *h = hold_of(s, shared);
    if (h == NULL)
        return;
    start_grace(h, shared, stamp->time_ns);
    if (h->cost > STREAM_OPENING_COST)
        open_up(s, shared);
    keep_budgets(s, shared);
}

/* Takes off what has passed already. False: nothing is left. */
static bool trim(const struct stream *s, uint32_t *seq, struct view *payload, uint32_t *cut)
{
    int32_t behind = distance(s->next, *seq);
    if (behind <= 0)
        return true;
    uint64_t old = (uint32_t)behind;
    if (old >= payload->len + (uint64_t)*cut)
        return false;
    size_t from_payload = old < payload->len ? (size_t)old : payload->len;
    payload->ptr += from_payload;
    payload->len -= from_payload;
    *cut -= (uint32_t)(old - from_payload);
    *seq = s->next;
    return true;
}

static bool is_stray(struct stream *s, uint32_t seq, uint32_t len)
{
    int32_t off = distance(seq, s->next), end = distance(seq + len, s->next);
    if (off < STREAM_REACH && end > -STREAM_REACH / 16) {
        s->flags &= (uint8_t)~STREAM_STRAY;
        return false;
    }
    return true;
}

bool stream_segment(struct stream *s, struct stream_shared *shared, const struct segment *g, const struct stamp *stamp)
{
    uint32_t seq = g->seq + ((g->flags & TCP_SYN) ? 1 : 0), cut = g->cut;
    struct view payload = g->payload;
    uint32_t len = (uint32_t)payload.len + cut;
    if (!(s->flags & STREAM_KNOWN))
        start_midstream(s, g, seq);
    if (len == 0 && !(g->flags & TCP_FIN))
        return true;
    if (is_stray(s, seq, len)) {
        bool again = s->flags & STREAM_STRAY;
        s->flags |= STREAM_STRAY;
        return !again;
    }
    if (s->flags & STREAM_SOFT) {
        if (seq == s->next + 1) {
            s->next = seq;
            s->flags |= s->flags & STREAM_ACKED ? 0 : STREAM_OPENING; /* or the octet before comes late */
        }
        s->flags &= (uint8_t)~STREAM_SOFT;
    }
    if (g->flags & TCP_FIN && !(s->flags & STREAM_FIN)) {
        s->flags |= STREAM_FIN;
        s->fin = seq + len;
    }
    if (s->flags & STREAM_OPENING) {
        if (len > 0)
            hold_opening(s, shared, seq, g, stamp);
        return true;
    }
    if (distance(s->next, seq) > 0 && payload.len > 1) /* a keepalive probe brings one octet, whichever */
        compare_recent(s, shared, seq, payload, stamp);
    if (len > 0 && !trim(s, &seq, &payload, &cut)) {
        shared->retransmitted++;
    } else if (len > 0 && (s->flags & STREAM_ENDED)) {
        shared->retransmitted++; /* behind the FIN: nothing a peer would take */
    } else if (len > 0 && (seq != s->next || s->hold != 0)) {
        hold_segment(s, shared, seq, payload, cut, stamp);
    } else if (len > 0) {
        if (payload.len > 0)
            pass_data(s, shared, payload.ptr, (uint32_t)payload.len, stamp);
        if (cut > 0)
            pass_gap(s, shared, cut, STREAM_SNAPLEN, stamp);
    }
    check_end(s, shared, stamp);
    return true;
}

void stream_ack(struct stream *s, struct stream_shared *shared, uint32_t ack, const struct stamp *stamp)
{
    if ((s->flags & STREAM_ACKED) && distance(ack, s->acked) <= 0)
        return;
    if ((s->flags & STREAM_KNOWN) && distance(ack, s->next) >= STREAM_REACH)
        return;
    if (!(s->flags & (STREAM_KNOWN | STREAM_ACKED)))
        s->next = ack; /* see start_midstream() */
    s->acked = ack;
    s->flags |= STREAM_ACKED;
    if (s->flags & STREAM_OPENING) {
        int32_t before = distance(s->next, ack);
        if (before > 0 && before < STREAM_LATE) /* the peer waits for what lies before the first octet */
            s->next = ack;
        open_up(s, shared);
    }
    if (s->hold != 0)
        note_ack(s, shared, stamp->time_ns);
}

/* Octets that the peer acknowledged and nobody captured. Its acknowledgment of a FIN that was not captured counts one
 * more, so a single one proves nothing. */
static uint32_t lost_tail(const struct stream *s)
{
    if (!(s->flags & STREAM_KNOWN) || !(s->flags & STREAM_ACKED) || (s->flags & STREAM_ENDED))
        return 0;
    uint32_t end = s->flags & STREAM_FIN ? s->fin : s->acked;
    int32_t missing = distance(end, s->next);
    return missing > 1 || (missing == 1 && (s->flags & STREAM_FIN)) ? (uint32_t)missing : 0;
}

void stream_finish(struct stream *s, struct stream_shared *shared, const struct stamp *stamp)
{
    while (s->hold != 0)
        give_up(s, shared, UINT32_MAX, STREAM_LOST);
    uint32_t tail = lost_tail(s);
    if (tail > 0)
        pass_gap(s, shared, tail, STREAM_LOST, stamp);
    if (s->flags & STREAM_ENDED)
        return;
    s->flags |= STREAM_ENDED;
    shared->events->end(shared->ctx, s, stream_at(s), stamp);
}

void stream_drop(struct stream *s, struct stream_shared *shared)
{
    struct stream_recent *r = recent_of(shared, s);
    if (r->owner == s)
        r->owner = NULL;
    hold_free(s, shared);
}

void stream_tick(struct stream_shared *shared, const struct stamp *stamp)
{
    struct stream_hold *h;
    while ((h = shared->acked.first) != NULL && h->acked_ns + STREAM_GRACE_NS <= stamp->time_ns) {
        struct stream *s = h->owner;
        give_up(s, shared, s->acked - s->next, STREAM_LOST);
        note_ack(s, shared, stamp->time_ns); /* the next hole has its own grace */
    }
    shared->due_ns = h != NULL ? h->acked_ns + STREAM_GRACE_NS : INT64_MAX;
}
