/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/talk/guess.h"
#include "capture/talk/talk_parts.h"
#include <stdlib.h>
#include <string.h>

static const struct transport_events transport_events;

enum { SPARE_MORE = 64 };

_Static_assert(sizeof(struct talk) == 128, "two cache lines");

struct talks *talks_new(const struct talks_options *options)
{
    struct talks *t = calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    t->options = *options;
    t->transports = (struct transports){ .events = &transport_events, .ctx = t, .keys = options->keys };
    return t;
}

void talks_free(struct talks *t)
{
    if (t == NULL)
        return;
    while (t->spare_partial != NULL) {
        struct partial *next = t->spare_partial->next;
        free(t->spare_partial);
        t->spare_partial = next;
    }
    while (t->spare_more != NULL) {
        struct talk_more *next = t->spare_more->next;
        free(t->spare_more);
        t->spare_more = next;
    }
    free(t);
}

void talks_stop(struct talks *t)
{
    t->stopped = true;
}

bool talks_stopped(const struct talks *t)
{
    return t->stopped;
}

void talks_current_frame(struct talks *t, uint64_t frame)
{
    t->current_frame = frame;
}

uint64_t talks_handle(const struct flow *f)
{
    return f->flags & TALK_HERE ? ((const struct talk *)f)->handle : 0;
}

void talks_count(const struct talks *t, struct talks_counters *out)
{
    *out = t->n;
    out->memory += t->transports.memory;
    out->websockets = t->transports.websockets;
    out->tls = t->transports.tls;
    out->tls_opened = t->transports.tls_opened;
    out->tls_no_key = t->transports.tls_no_key;
    out->tls_unknown = t->transports.tls_unknown;
}

/* ---- what is it ---- */

static bool has_port(const struct flow *f, uint16_t port)
{
    return f->port[0] == port || f->port[1] == port;
}

static bool is_forced(const struct talks *t, const struct flow *f)
{
    for (uint32_t i = 0; i < t->options.n_forced_ports; i++)
        if (has_port(f, t->options.forced_ports[i]))
            return true;
    return false;
}

enum mqtt_side talk_likely_sender(const struct flow *f, unsigned dir)
{
    if (f->client < 2)
        return f->client == dir ? MQTT_CLIENT : MQTT_SERVER;
    if (f->port[!dir] == GUESS_MQTT_PORT && f->port[dir] != GUESS_MQTT_PORT)
        return MQTT_CLIENT;
    return f->port[dir] == GUESS_MQTT_PORT && f->port[!dir] != GUESS_MQTT_PORT ? MQTT_SERVER : MQTT_NOBODY;
}

static enum guess guess(const struct talks *t, const struct flow *f, unsigned dir, struct view octets,
                        unsigned segments, bool whole, bool final, uint32_t *alive)
{
    if (is_forced(t, f))
        return GUESS_MQTT;
    bool expected = has_port(f, GUESS_MQTT_PORT);
    if (whole && f->client == dir)
        return guess_client(octets, expected, final);
    return guess_run(octets, expected, talk_likely_sender(f, dir), segments, final, alive);
}

struct talk_more *talk_more(struct talks *t, struct talk *k)
{
    if (k->more != NULL)
        return k->more;
    k->more = t->spare_more;
    if (k->more != NULL) {
        t->spare_more = k->more->next;
        t->n_spare_more--;
    } else {
        k->more = malloc(sizeof *k->more);
    }
    if (k->more == NULL)
        return NULL;
    *k->more = (struct talk_more){ 0 };
    t->n.memory += sizeof *k->more;
    return k->more;
}

void talk_trim(struct talks *t, struct talk *k)
{
    struct talk_more *m = k->more;
    if (m == NULL || m->partial[0] != NULL || m->partial[1] != NULL || m->probe[0] != NULL || m->probe[1] != NULL)
        return;
    k->more = NULL;
    t->n.memory -= sizeof *m;
    if (t->n_spare_more == SPARE_MORE) {
        free(m);
        return;
    }
    m->next = t->spare_more;
    t->spare_more = m;
    t->n_spare_more++;
}

static struct talk *make_talk(struct flow *f)
{
    struct talk *k = (struct talk *)f;
    k->decided = k->opened = k->closed = false;
    k->state[0] = k->state[1] = STATE_PROBING;
    k->handle = 0;
    k->more = NULL;
    mqtt_conn_init(&k->conn);
    if (f->client < 2)
        mqtt_conn_client(&k->conn, f->client);
    f->flags |= TALK_HERE;
    return k;
}

static void drop_talk(struct talks *t, struct flow *f)
{
    struct talk *k = talk_of(f);
    if (k == NULL)
        return;
    f->flags &= (uint8_t)~TALK_HERE;
    if (k->more == NULL)
        return;
    for (unsigned dir = 0; dir < 2; dir++) {
        talk_drop_partial(t, k, dir);
        talk_release_probe(t, k->more->probe[dir]);
        k->more->probe[dir] = NULL;
    }
    talk_trim(t, k);
}

/* It is MQTT: directions that are whole from the SYN are framed from their first octet, others are searched. */
static void decide(const struct arrival *a, unsigned dir)
{
    struct talk *k = a->k;
    struct probe *p = talk_probe(k, dir);
    bool whole = (a->f->dir[dir].flags & STREAM_FROM_SYN) && (p == NULL || (p->gap == 0 && p->dropped == 0));
    if (k->state[dir] != STATE_PROBING)
        return;
    struct arrival there = *a;
    there.dir = dir;
    if (!whole) {
        if (talk_begin_search(&there, 0, 0, NULL))
            talk_search(&there, SEARCH_ON);
        return;
    }
    k->state[dir] = STATE_FRAMING;
    if (p == NULL)
        return;
    k->more->probe[dir] = NULL;
    talk_feed_probe(&there, p, 0);
    talk_release_probe(a->t, p);
}

static void probe(const struct arrival *a, uint64_t at, struct view octets, bool final)
{
    struct talk *k = a->k;
    struct probe *p = talk_probe(k, a->dir);
    if (p == NULL) {
        p = talk_more(a->t, k) != NULL ? probe_new() : NULL;
        if (p == NULL) {
            tcp_ignore(a->f);
            return;
        }
        k->more->probe[a->dir] = p;
        a->t->n.held += probe_memory(p);
    }
    if (octets.len > 0)
        a->t->n.held += (uint64_t)probe_add(p, at, octets, a->stamp, a->acked);
    bool whole = (a->f->dir[a->dir].flags & STREAM_FROM_SYN) && p->gap == 0 && p->dropped == 0;
    enum guess g = guess(a->t, a->f, a->dir, view_of(p->octets, p->len), p->segments, whole, final, &p->alive);
    if (g == GUESS_MORE && a->t->n.held > a->t->options.total_limit) {
        g = GUESS_OTHER;
        a->t->n.evicted_probes++;
    }
    if (g == GUESS_OTHER) {
        drop_talk(a->t, a->f);
        tcp_ignore(a->f);
    } else if (g == GUESS_MQTT) {
        k->decided = true;
        decide(a, a->dir);
        decide(a, !a->dir);
    }
}

/* ---- events of TCP ---- */

/* Octets of the other direction that the sender had acknowledged with this segment; 0: not known. */
static uint64_t acked_by(const struct talks *t, const struct flow *f, unsigned dir, const struct stamp *stamp)
{
    const struct stream *other = &f->dir[!dir];
    uint8_t needed = STREAM_KNOWN | STREAM_ACKED;
    if (stamp->frame != t->current_frame || (other->flags & needed) != needed || f->flags & TALK_WRAPPED)
        return 0;
    uint32_t behind = other->next - other->acked;
    if (behind >= 1U << 31) /* it has octets that have not come this far: lost, or captured out of order */
        return stream_at(other) + (other->acked - other->next);
    return behind > stream_at(other) ? 0 : stream_at(other) - behind;
}

/* TLS or WebSocket is around it; `at` counts what is inside. */
static bool begin_transport(struct talks *t, struct flow *f, unsigned dir, struct view octets)
{
    if (f->client != dir || !(f->dir[dir].flags & STREAM_FROM_SYN) || is_forced(t, f) || !transport_begins(octets) ||
        !transport_open(&t->transports, f, dir))
        return false;
    f->flags |= TALK_WRAPPED;
    return true;
}

static void unwrap(struct flow *f)
{
    if (f->flags & TALK_WRAPPED && flow_transport(f) == NULL)
        f->flags &= (uint8_t)~TALK_WRAPPED;
}

/* Octets of MQTT, or of what may be MQTT. */
static void take(void *ctx, struct flow *f, unsigned dir, uint64_t at, struct view octets, const struct stamp *stamp)
{
    struct talks *t = ctx;
    unwrap(f);
    if (t->stopped)
        return;
    struct arrival a = { t, f, talk_of(f), dir, stamp, acked_by(t, f, dir, stamp) };
    if (a.k == NULL) {
        bool whole = f->dir[dir].flags & STREAM_FROM_SYN;
        uint32_t alive = 0;
        enum guess g = guess(t, f, dir, octets, 1, whole, false, &alive);
        if (g == GUESS_OTHER) { /* most of what is no MQTT needs no memory */
            tcp_ignore(f);
            return;
        }
        a.k = make_talk(f);
        if (g == GUESS_MQTT && whole) { /* nor does the usual beginning need a probe */
            a.k->decided = true;
            a.k->state[dir] = STATE_FRAMING;
            decide(&a, !dir);
        }
    }
    if (!a.k->decided) {
        probe(&a, at, octets, false);
    } else if (a.k->state[dir] == STATE_FRAMING) {
        talk_frame(&a, at, octets);
    } else if (a.k->state[dir] == STATE_SEARCHING) {
        t->n.held += (uint64_t)probe_add(talk_probe(a.k, dir), at, octets, stamp, a.acked);
        talk_search(&a, SEARCH_ON);
    }
    if (a.k->more != NULL)
        talk_trim(t, a.k);
}

static void on_data(void *ctx, struct flow *f, unsigned dir, uint64_t at, struct view octets, const struct stamp *stamp)
{
    struct talks *t = ctx;
    if (f->flags & TALK_WRAPPED || (!(f->flags & TALK_HERE) && begin_transport(t, f, dir, octets)))
        transport_data(&t->transports, f, dir, octets, stamp);
    else
        take(t, f, dir, at, octets, stamp);
}

/* Octets that are missing. */
struct loss {
    uint64_t len;
    const char *why; /* static */
    enum web_loss kind;
};

static bool search_behind(const struct arrival *a, const struct loss *l, uint64_t skipped)
{
    bool captured = l->kind == WEB_UNREADABLE;
    return talk_begin_search(a, captured ? 0 : l->len, skipped + (captured ? l->len : 0), l->why);
}

static const char snaplen[] = "snaplen";

static const char *reason_of(enum stream_gap why)
{
    switch (why) {
    case STREAM_SNAPLEN:
        return snaplen;
    case STREAM_EVICTED:
        return "out-of-order budget";
    default:
        return "lost segment";
    }
}

static void gap_while_framing(const struct arrival *a, uint64_t at, const struct loss *l)
{
    struct partial *p = talk_partial(a->k, a->dir);
    struct mqtt_frame out;
    bool complete = false;
    if (p == NULL) { /* between two packets: nobody knows how many are lost */
        search_behind(a, l, 0);
        return;
    }
    uint64_t begun = p->framer.total == 0 ? p->framer.seen : 0; /* of a header that stays incomplete */
    uint64_t rest = p->framer.total - p->framer.seen;
    bool bridged = l->kind == WEB_HOLE && mqtt_framer_hole(&p->framer, l->len, &out, &complete);
    if (bridged && l->why != snaplen) /* octets that the snaplen cut show in the packet itself */
        talk_give_gap(a, l->len, 0, l->why);
    if (complete)
        talk_give_packet(a, &out, &p->first, at + rest);
    if (!bridged)
        search_behind(a, l, begun);
    else if (complete)
        talk_drop_partial(a->t, a->k, a->dir);
}

/* Octets of MQTT are missing. */
static void lose(struct talks *t, struct flow *f, unsigned dir, uint64_t at, const struct loss *l,
                 const struct stamp *stamp)
{
    struct arrival a = { t, f, talk_of(f), dir, stamp, 0 };
    if (t->stopped)
        return;
    if (a.k == NULL)
        a.k = make_talk(f);
    struct probe *p = talk_probe(a.k, dir);
    if (a.k->decided && a.k->state[dir] == STATE_FRAMING) {
        gap_while_framing(&a, at, l);
    } else if (p != NULL || !a.k->decided) { /* what was not understood before the hole will not be behind it */
        if (p != NULL && p->len > 0) {
            if (a.k->decided)
                talk_search(&a, l->why == snaplen ? SEARCH_SNAPLEN : SEARCH_HOLE);
            if (a.k->state[dir] == STATE_FRAMING) {
                gap_while_framing(&a, at, l);
                return;
            }
            p = talk_probe(a.k, dir);
            probe_drop(p, p->len);
        }
        uint8_t state = a.k->state[dir];
        if (search_behind(&a, l, 0))
            a.k->state[dir] = state;
    }
}

static void on_differ(void *ctx, struct flow *f, unsigned dir, uint64_t at, uint64_t len, uint64_t first_frame,
                      const struct stamp *stamp)
{
    struct talks *t = ctx;
    struct arrival a = { t, f, talk_of(f), dir, stamp, 0 };
    if (!t->stopped && a.k != NULL && a.k->decided)
        talk_give_difference(&a, at, len, first_frame);
}

static void on_gap(void *ctx, struct flow *f, unsigned dir, uint64_t at, uint64_t len, enum stream_gap why,
                   const struct stamp *stamp)
{
    struct talks *t = ctx;
    if (f->flags & TALK_WRAPPED)
        transport_gap(&t->transports, f, dir, len, reason_of(why), stamp);
    else
        lose(t, f, dir, at, &(struct loss){ len, reason_of(why), WEB_HOLE }, stamp);
}

static void on_unseen(void *ctx, struct flow *f, unsigned dir)
{
    struct talks *t = ctx;
    struct arrival a = { t, f, talk_of(f), dir, &t->report.stamp, 0 };
    if (!t->stopped && a.k != NULL)
        talk_give_unseen(&a);
}

static void lose_inside(void *ctx, struct flow *f, unsigned dir, uint64_t at, uint64_t len, enum web_loss kind,
                        const char *why, const struct stamp *stamp)
{
    lose(ctx, f, dir, at, &(struct loss){ len, why, kind }, stamp);
}

static void no_mqtt_inside(void *ctx, struct flow *f)
{
    if (f->flags & TALK_HERE && talk_of(f)->opened)
        return; /* there was some */
    drop_talk(ctx, f);
    tcp_ignore(f);
}

static const struct transport_events transport_events = { take, lose_inside, no_mqtt_inside };

/* The end of one direction: what is still undecided is decided by what there is. */
static void settle(const struct arrival *a, enum tcp_end how)
{
    struct talk *k = a->k;
    struct probe *p = talk_probe(k, a->dir);
    if (!k->decided) {
        if (p != NULL && p->len > 0)
            probe(a, 0, view_of(NULL, 0), true);
        if (talk_of(a->f) == NULL || !k->decided)
            return;
        p = talk_probe(k, a->dir);
    }
    if (k->state[a->dir] == STATE_SEARCHING && p != NULL) {
        talk_search(a, how == TCP_END_FIN ? SEARCH_FIN : SEARCH_HOLE);
        if (k->state[a->dir] == STATE_SEARCHING) {
            uint32_t left = p->len;
            probe_drop(p, left);
            talk_give_probe_gap(a, p);
            p->gap = p->dropped = 0;
        }
    }
    struct partial *partial = talk_partial(k, a->dir);
    if (k->state[a->dir] == STATE_FRAMING && partial != NULL && how != TCP_END_INPUT)
        talk_give_gap(a, 0, partial->framer.seen - partial->framer.missing,
                      "packet cut off by the end of the connection");
    k->state[a->dir] = STATE_OVER;
}

static void on_end(void *ctx, struct flow *f, unsigned dir, enum tcp_end how, const struct stamp *stamp)
{
    struct talks *t = ctx;
    if (f->flags & TALK_WRAPPED && !t->stopped)
        transport_end(&t->transports, f, stamp);
    struct arrival a = { t, f, talk_of(f), dir, stamp, 0 };
    if (t->stopped || a.k == NULL || a.k->state[dir] == STATE_OVER)
        return;
    settle(&a, how);
    if (talk_of(f) != NULL)
        talk_give_close(&a, how, dir);
}

static void on_release(void *ctx, struct flow *f, enum tcp_end how, const struct stamp *stamp)
{
    struct talks *t = ctx;
    struct arrival a = { t, f, talk_of(f), 0, stamp, 0 };
    transport_close(&t->transports, f);
    if (a.k != NULL && !t->stopped) { /* else nobody is told any more, but the memory goes back */
        talk_give_close(&a, how, f->client < 2 ? f->client : 0);
        talk_give_up(&a);
    }
    drop_talk(t, f);
    if (t->report_flow == f)
        t->report_flow = NULL;
}

const struct tcp_events talks_tcp_events = { .record_size = sizeof(struct talk),
                                             .data = on_data,
                                             .gap = on_gap,
                                             .differ = on_differ,
                                             .end = on_end,
                                             .release = on_release,
                                             .unseen = on_unseen };
