/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/track/conn.c -- connections as records: opening, closing, and what a closing tells. */
#include "decoder/base/prefetch.h"
#include "decoder/track/state.h"

#include <string.h>

static const int64_t reaction_ns = 250000000; /* a server that closes because of a packet has done so by then */

const struct bounds bounds_none = { 0 };
const struct rare rare_none = { .close_due = INT64_MAX };

struct rare *rare_make(struct track *t, struct conn *c)
{
    if (c->rare != NULL)
        return c->rare;
    c->rare = slab_take(t, &t->rares);
    if (c->rare == NULL)
        conn_hole(t, c);
    struct rare *r = c->rare != NULL ? c->rare : &t->no_rare;
    *r = rare_none;
    return r;
}

struct bounds *bounds_make(struct track *t, struct conn *c)
{
    if (c->bounds != NULL)
        return c->bounds;
    c->bounds = slab_take(t, &t->bounds);
    if (c->bounds != NULL)
        return c->bounds;
    conn_hole(t, c);
    t->no_bounds = bounds_none;
    return &t->no_bounds;
}

/* What hangs on it and belongs to nobody else. */
static void drop_parts(struct track *t, struct conn *c)
{
    const struct rare *r = rare_of(c);
    if (r->taker != NULL)
        r->taker->rare->taking = NULL;
    if (r->taking != NULL)
        r->taking->rare->taker = NULL;
    if (c->rare != NULL)
        slab_give(&t->rares, c->rare);
    if (c->bounds != NULL) {
        aliases_free(t, c->bounds);
        slab_give(&t->bounds, c->bounds);
    }
    c->rare = NULL;
    c->bounds = NULL;
}

static void list_unlink(const struct track *t, struct conn *c, uint32_t *first, uint32_t *last)
{
    if (c->prev != 0)
        conn_at(t, c->prev)->next = c->next;
    else
        *first = c->next;
    if (c->next != 0)
        conn_at(t, c->next)->prev = c->prev;
    else
        *last = c->prev;
    c->prev = c->next = 0;
}

static void list_append(const struct track *t, struct conn *c, uint32_t *first, uint32_t *last)
{
    c->prev = *last;
    c->next = 0;
    if (*last != 0)
        conn_at(t, *last)->next = c->index;
    else
        *first = c->index;
    *last = c->index;
}

/* A connection that begins or ends touches more than one that goes on. */
static void prefetch_session(const struct conn *c, const struct session *s)
{
    if ((c->flags & C_UP) == 0 || c->rare != NULL) {
        prefetch_record(&c->prev, sizeof *c - offsetof(struct conn, prev));
        prefetch_record(s, sizeof *s);
        prefetch_record(c->rare, sizeof *c->rare);
    } else {
        prefetch_record(s, offsetof(struct session, parked));
    }
    prefetch_record(c->wait, sizeof *c->wait);
    prefetch_record(c->bounds, sizeof *c->bounds);
}

/* The exchange that has waited longest is most likely the one that is answered, the latest of those with an identifier
 * the one that goes on. */
static void prefetch_exchanges(const struct track *t, const struct conn *c, const struct session *s)
{
    const struct exch *x = c->wait;
    if (x != NULL) {
        prefetch_record(x->topic, sizeof *x->topic);
        prefetch_record(x->asks, sizeof *x->asks);
    }
    if (s->few != x)
        prefetch_record(s->few, sizeof *s->few);
    prefetch_record(s->subs, sizeof *s->subs);
    prefetch_record(s->own, sizeof *s->own);
    if (c->broker_print == 0 && s->family == 6)
        prefetch_record(s->v6, sizeof *s->v6);
    if ((s->flags & S_KEYED) == 0 && s->client_id != NULL)
        key_prefetch(t, s);
}

static void prefetch_asked(const struct session *s, const struct exch *wait)
{
    const struct exch *few = s->few;
    const struct ask *a = wait != NULL ? wait->asks : NULL;
    if (a != NULL) {
        prefetch_record(a->sub, sizeof *a->sub);
        prefetch_record(a->next, sizeof *a->next);
    }
    if (few != NULL && few != wait) {
        prefetch_record(few->topic, sizeof *few->topic);
        prefetch_record(few->asks, sizeof *few->asks);
    }
    if (s->subs != NULL)
        prefetch_record(s->subs->next, sizeof *s->subs);
}

void track_prefetch(const struct track *t, track_conn h, unsigned step)
{
    uint32_t index = (uint32_t)h;
    if (index == 0 || index > t->conns.held)
        return;
    const struct conn *c = slab_at(&t->conns, index - 1);
    const struct session *s = step > 0 ? c->session : NULL;
    if (step == 0)
        prefetch_record(c, offsetof(struct conn, prev));
    else if (s != NULL && step == 1)
        prefetch_session(c, s);
    else if (s != NULL && step == 2)
        prefetch_exchanges(t, c, s);
    else if (s != NULL)
        prefetch_asked(s, c->wait);
}

static void leave(struct track *t, struct conn *c)
{
    struct session *s = c->session;
    if (s == NULL)
        return;
    if (c->mate_before != 0)
        conn_at(t, c->mate_before)->mate = c->mate;
    else
        s->conns = c->mate;
    if (c->mate != 0)
        conn_at(t, c->mate)->mate_before = c->mate_before;
    c->mate_before = c->mate = 0;
}

void conn_join(struct track *t, struct conn *c, struct session *s)
{
    if (c->session != NULL && c->session != s && c->session->conn == c)
        c->session->conn = NULL;
    leave(t, c);
    c->session = s;
    if (s == NULL)
        return;
    c->mate = s->conns;
    if (s->conns != 0)
        conn_at(t, s->conns)->mate_before = c->index;
    s->conns = c->index;
}

static void evict(struct track *t)
{
    struct conn *c = conn_at(t, t->closed_first != 0 ? t->closed_first : t->open_first);
    if (c == NULL)
        return;
    if ((c->flags & C_CLOSED) == 0) {
        t->counts.evicted_connections++;
        conn_end(t, c, TRACK_CLOSE_EVICTED, 2, 0);
    }
    conn_settle(t, c);
    conn_free(t, c);
}

static bool has_session(struct track *t, struct conn *c, const struct track_opening *o)
{
    struct session *s = session_new(t, c);
    if (s == NULL)
        return false;
    unsigned client = c->flip;
    session_locate(t, s, 0, &o->side[client]);
    session_locate(t, s, 1, &o->side[1 - client]);
    s->conn = c;
    conn_join(t, c, s);
    return true;
}

static void exchange(void *two, size_t size)
{
    uint8_t first[sizeof(uint64_t)];
    memcpy(first, two, size);
    memcpy(two, (uint8_t *)two + size, size);
    memcpy((uint8_t *)two + size, first, size);
}

/* Who was taken for the client is the server: what was kept of each side is the other's. */
void conn_turn(struct track *t, struct conn *c)
{
    struct rare *r = c->rare;
    conn_release(t, c, false);
    session_turn(c->session);
    c->flip = !c->flip;
    exchange(c->seen_end, sizeof c->seen_end[0]);
    exchange(c->last_ns, sizeof c->last_ns[0]);
    exchange(c->last_frame, sizeof c->last_frame[0]);
    exchange(c->ids, sizeof c->ids[0]);
    c->pending = (uint8_t)((c->pending & P_OF_CLIENT) << 1 | (c->pending >> 1 & P_OF_CLIENT));
    if (r == NULL)
        return;
    exchange(r->bye_frame, sizeof r->bye_frame[0]);
    exchange(r->bye_reason, sizeof r->bye_reason[0]);
}

track_conn track_open(struct track *t, const struct track_opening *o)
{
    track_advance(t, o->time_ns);
    if (t->conns.used >= t->cfg.max_connections)
        evict(t);
    struct conn *c = slab_take(t, &t->conns);
    if (c == NULL)
        return 0;
    c->timer = (struct timer){ .due = INT64_MAX };
    c->stream = o->stream;
    c->asked_ns = c->connack_ns = c->last_ns[0] = c->last_ns[1] = INT64_MIN;
    c->gen = ++t->conn_gen;
    c->flip = o->client_dir == 1;
    c->max_qos = 2;
    c->flags = (o->from_syn ? C_FROM_SYN | C_START : 0) | (o->client_dir < 2 ? C_ROLES : 0);
    if (c->index == 0) /* else the place had one before */
        c->index = t->conns.held;
    list_append(t, c, &t->open_first, &t->open_last);
    if (!has_session(t, c, o)) {
        conn_free(t, c);
        return 0;
    }
    return (uint64_t)c->gen << 32 | c->index;
}

void conn_free(struct track *t, struct conn *c)
{
    if ((c->flags & C_CLOSED) != 0) {
        list_unlink(t, c, &t->closed_first, &t->closed_last);
        t->n_closed--;
    } else {
        list_unlink(t, c, &t->open_first, &t->open_last);
    }
    struct session *s = c->session;
    conn_join(t, c, NULL);
    if (s != NULL && s->conns == 0 && (s->flags & S_KEYED) == 0 &&
        tally_of(s, TALLY_PACKETS) + tally_of(s, TALLY_PACKETS + 1) == 0)
        session_free(t, s);
    drop_parts(t, c);
    timer_stop(&c->timer);
    uint32_t index = c->index;
    slab_give(&t->conns, c);
    c->index = index; /* the place keeps its number */
}

void close_is_due(struct track *t, struct conn *c, enum mqtt_rule rule, enum track_diagnosis diag, unsigned side,
                  uint64_t frame, int64_t now)
{
    if (rare_of(c)->close_due != INT64_MAX || (c->flags & (C_CLOSED | C_FROM_SYN)) != C_FROM_SYN ||
        t->cfg.close_ns <= 0)
        return;
    struct rare *r = rare_make(t, c);
    r->close_due = now + t->cfg.close_ns;
    r->due_rule = (uint16_t)rule;
    r->due_diag = (uint8_t)diag;
    r->due_side = (uint8_t)side;
    r->due_frame = frame;
    timer_set(t, c->index, r->close_due);
}

/* Exchanges leave the connection: PUBLISH ones stay with a session that lives on, the others are over. */
void conn_release(struct track *t, struct conn *c, bool lives)
{
    while (c->wait != NULL)
        exch_park(c->wait);
    if (c->session == NULL)
        return;
    for (struct exch *x = c->session->parked, *next; x != NULL; x = next) {
        next = x->next;
        if (x->conn != c)
            continue;
        bool publish = x->kind == TRACK_QOS1 || x->kind == TRACK_QOS2;
        x->marks &= (uint16_t) ~(X_COUNTED | X_RESUMED);
        if (publish && lives)
            x->conn = NULL;
        else
            exch_finish(t, x, exch_tainted(x) || (c->flags & C_HOLE) != 0 ? TRACK_UNKNOWN : TRACK_ABANDONED);
    }
    c->opening = NULL;
    if (c->rare != NULL)
        c->rare->auth = NULL;
}

static bool session_lives_on(const struct conn *c)
{
    const struct session *s = c->session;
    if ((c->flags & C_UP) == 0 || (c->flags & C_CLOSED) != 0) /* never accepted; or decided already */
        return (s->flags & S_LIVE) != 0;
    return c->version == MQTT_V5 ? s->expiry_s > 0 : (c->flags & C_CLEAN) == 0;
}

static const char *side_name(unsigned side)
{
    return side == MQTT_CLIENT ? "client" : side == MQTT_SERVER ? "server" : "peer";
}

/* CONNECT without an answer. */
static void tell_opening(struct track *t, struct conn *c, unsigned closer, uint64_t frame)
{
    const struct exch *x = c->opening;
    if (x == NULL || x->kind != TRACK_CONNECT || !conn_sure(c) ||
        (c->flags & (C_BAD_CONNECT | C_ODD_NAME | C_SAID_CONNECT)) != 0)
        return;
    bool server = closer == MQTT_SERVER;
    struct found f = { .diag = TRACK_DIAG_CONNECT_UNANSWERED,
                       .side = MQTT_SERVER,
                       .conn = c,
                       .exch = x,
                       .time_ns = rare_of(c)->closed_ns,
                       .frame = { c->connect_frame, frame } };
    if (server && c->version == MQTT_V311)
        f.rule = MQTT_S4_3_1_4_B;
    else if (!server && rare_of(c)->closed_ns - x->last_ns < t->cfg.answer_ns)
        f.severity = MQTT_SEVERITY_NOTE;
    found(t, &f, "The %s closed the connection %lld ms after CONNECT; there was no CONNACK", side_name(closer),
          (long long)((rare_of(c)->closed_ns - x->last_ns) / 1000000));
}

static void tell_open_exchanges(struct track *t, struct conn *c, uint64_t frame)
{
    const struct exch *first = NULL;
    unsigned n = 0;
    for (const struct exch *x = c->wait; x != NULL; x = x->next) {
        if (x->kind == TRACK_CONNECT || exch_tainted(x))
            continue;
        first = n++ == 0 ? x : first;
    }
    if (n == 0 || !conn_sure(c) || rare_of(c)->bad_frame != 0)
        return;
    found(
        t,
        &(struct found){ .diag = TRACK_DIAG_OPEN_AT_CLOSE,
                         .side = slot_side(c, first->owed_slot),
                         .conn = c,
                         .exch = first,
                         .time_ns = rare_of(c)->closed_ns,
                         .frame = { first->last_frame, frame } },
        "%u exchange(s) open when the connection ended; the oldest is %s id %u, which waited %lld ms for %s of the %s",
        n, track_kind_name(first->kind), first->id, (long long)((rare_of(c)->closed_ns - first->last_ns) / 1000000),
        mqtt_type_name(first->owed_type), side_name(slot_side(c, first->owed_slot)));
}

/* May a packet that explains the end be among octets that were not captured? */
static bool misses_octets(const struct conn *c)
{
    return (c->flags & C_HOLE) != 0 || (c->pending & P_UNSEEN_ANY) != 0;
}

/* A packet of the client broke a rule; how did the server take it? */
static void tell_bad(struct track *t, struct conn *c, unsigned closer, uint64_t frame)
{
    if (rare_of(c)->bad_frame == 0 || !conn_sure(c) || rare_of(c)->bye_frame[1] != 0)
        return;
    if (closer == MQTT_SERVER && c->version == MQTT_V5 && (c->flags & C_UP) != 0 && rare_of(c)->bye_frame[0] == 0)
        found(t,
              &(struct found){ .rule = MQTT_S5_4_13_1_B,
                               .side = MQTT_SERVER,
                               .conn = c,
                               .time_ns = t->now,
                               .frame = { rare_of(c)->bad_frame, frame } },
              "The server closed the connection because of the illegal packet in frame %llu without a DISCONNECT that "
              "gives the reason",
              (unsigned long long)rare_of(c)->bad_frame);
    else if (closer == MQTT_CLIENT && t->now - rare_of(c)->bad_ns > reaction_ns && (c->flags & C_UP) != 0)
        found(t,
              &(struct found){ .diag = TRACK_DIAG_TOLERATED,
                               .side = MQTT_SERVER,
                               .conn = c,
                               .time_ns = t->now,
                               .rule = by_version(c, MQTT_R4_4_8_0_1, MQTT_R5_4_13_1_1),
                               .severity = MQTT_SEVERITY_NOTE,
                               .frame = { rare_of(c)->bad_frame, frame } },
              "The server kept the connection open for %lld ms after the illegal packet in frame %llu",
              (long long)((t->now - rare_of(c)->bad_ns) / 1000000), (unsigned long long)rare_of(c)->bad_frame);
}

static int64_t client_silence(const struct conn *c, int64_t now)
{
    int64_t last = c->last_ns[0] > c->connack_ns ? c->last_ns[0] : c->connack_ns;
    return last == INT64_MIN ? 0 : now - last;
}

/* Returns true when the server's closing is explained. */
static bool tell_server_close(struct track *t, struct conn *c, uint64_t frame)
{
    int64_t silence = client_silence(c, t->now);
    int64_t budget = (int64_t)c->keep_alive_s * 1500000000;
    if (budget > 0 && silence >= budget && !is_under_way(c, 0)) {
        if ((c->flags & C_KA_SAID) == 0 && conn_sure(c))
            found(t,
                  &(struct found){ .diag = TRACK_DIAG_KEEP_ALIVE,
                                   .side = MQTT_CLIENT,
                                   .conn = c,
                                   .time_ns = t->now,
                                   .frame = { c->last_frame[0], frame } },
                  "The client was silent for %lld ms with Keep Alive %u s; the server closed the connection",
                  (long long)(silence / 1000000), c->keep_alive_s);
        return true;
    }
    return rare_of(c)->bad_frame != 0 || rare_of(c)->bye_frame[0] != 0 || rare_of(c)->bye_frame[1] != 0 ||
           (c->flags & C_UP) == 0;
}

static void tell_close(struct track *t, struct conn *c, enum track_close_how how, unsigned closer, uint64_t frame)
{
    if (closer == MQTT_SERVER && rare_of(c)->taker != NULL && (c->flags & C_TAKEN) == 0)
        takeover_confirm(t, rare_of(c)->taker, t->now, frame);
    tell_bad(t, c, closer, frame);
    const struct own *own = c->session->own;
    if (own != NULL && c->session->conn == c && t->now - own->ns > DELIVERY_MS * 1000000ll)
        tell_own(t, c, t->now - own->ns, frame);
    own_forget(t, c->session);
    if ((c->flags & C_TAKEN) != 0) {
        if (closer == MQTT_SERVER && c->version == MQTT_V5 && rare_of(c)->bye_frame[1] == 0)
            found(
                t,
                &(struct found){ .diag = TRACK_DIAG_TAKEOVER_SILENT,
                                 .side = MQTT_SERVER,
                                 .conn = c,
                                 .time_ns = t->now,
                                 .frame = { c->connect_frame,
                                            rare_of(c)->taker != NULL ? rare_of(c)->taker->connect_frame : 0, frame } },
                "The server closed the older connection of the client identifier without DISCONNECT 0x8E");
        return;
    }
    bool explained = closer == MQTT_SERVER && tell_server_close(t, c, frame);
    if (explained || misses_octets(c))
        return;
    if (closer == MQTT_SERVER) {
        found(t,
              &(struct found){ .diag = TRACK_DIAG_SILENT_CLOSE,
                               .side = MQTT_SERVER,
                               .conn = c,
                               .time_ns = t->now,
                               .frame = { c->last_frame[0], c->last_frame[1], frame } },
              "The server closed the connection; nothing in it says why");
    } else if (closer == MQTT_CLIENT && (c->flags & C_UP) != 0 && rare_of(c)->bye_frame[0] == 0 &&
               rare_of(c)->bye_frame[1] == 0) {
        found(t,
              &(struct found){ .diag = TRACK_DIAG_ABNORMAL_END,
                               .side = MQTT_CLIENT,
                               .conn = c,
                               .time_ns = t->now,
                               .frame = { c->last_frame[0], frame } },
              "The client %s the connection without DISCONNECT", how == TRACK_CLOSE_RST ? "reset" : "closed");
    }
}

/* Did the client leave as it should, so that its will is dropped? */
static bool orderly(const struct conn *c)
{
    return rare_of(c)->bye_frame[0] != 0 && (c->version != MQTT_V5 || rare_of(c)->bye_reason[0] == 0);
}

/* The capture ends with the connection open: so are its exchanges. */
static void hand_out(struct track *t, struct conn *c)
{
    while (c->wait != NULL)
        exch_finish(t, c->wait, TRACK_OPEN);
    for (struct exch *x = c->session->parked, *next; x != NULL; x = next) {
        next = x->next;
        if (x->conn == c)
            exch_finish(t, x, TRACK_OPEN);
    }
}

void conn_settle(struct track *t, struct conn *c)
{
    if (!c->lingers)
        return;
    c->lingers = false;
    timer_stop(&c->timer);
    if (c->session == NULL)
        return;
    tell_opening(t, c, rare_of(c)->closer, rare_of(c)->close_frame);
    tell_open_exchanges(t, c, rare_of(c)->close_frame);
    conn_release(t, c, session_lives_on(c));
}

static void to_closed(struct track *t, struct conn *c)
{
    list_unlink(t, c, &t->open_first, &t->open_last);
    list_append(t, c, &t->closed_first, &t->closed_last);
    c->flags |= C_CLOSED;
    c->link = TRACK_LINK_CLOSED;
    if (c->rare != NULL)
        c->rare->close_due = INT64_MAX;
    timer_stop(&c->timer);
    if (c->session != NULL && c->session->conn == c)
        c->session->link = TRACK_LINK_CLOSED;
}

static void end_seen(struct track *t, struct conn *c, enum track_close_how how, unsigned dir, uint64_t frame)
{
    struct rare *r = rare_make(t, c);
    r->closer = (uint8_t)(dir < 2 ? slot_side(c, dir ^ c->flip) : MQTT_NOBODY);
    r->close_frame = frame;
    r->closed_ns = t->now;
    if (c->session != NULL)
        tell_close(t, c, how, r->closer, frame);
    to_closed(t, c);
    c->lingers = true;
    if (c->session != NULL)
        session_detach(t, c, orderly(c), frame);
    if (how == TRACK_CLOSE_FIN)
        timer_set(t, c->index, t->now + LINGER_MS * 1000000ll);
    else
        conn_settle(t, c);
}

void conn_end(struct track *t, struct conn *c, enum track_close_how how, unsigned dir, uint64_t frame)
{
    struct session *s = c->session;
    if ((c->flags & C_CLOSED) != 0) {
        conn_settle(t, c);
        return;
    }
    if (how == TRACK_CLOSE_FIN || how == TRACK_CLOSE_RST) {
        end_seen(t, c, how, dir, frame);
    } else {
        if (how != TRACK_CLOSE_END)
            c->flags |= C_HOLE;
        if (s != NULL && how == TRACK_CLOSE_END)
            hand_out(t, c);
        else if (s != NULL)
            conn_release(t, c, session_lives_on(c));
        to_closed(t, c);
        if (s != NULL && s->conn == c)
            s->conn = NULL;
        if (s != NULL && how == TRACK_CLOSE_EVICTED)
            s->flags &= ~(uint32_t)S_WHOLE;
    }
    if (++t->n_closed > CLOSED_HELD) {
        conn_settle(t, conn_at(t, t->closed_first));
        conn_free(t, conn_at(t, t->closed_first));
    }
}

void track_close(struct track *t, track_conn h, enum track_close_how how, unsigned dir, int64_t time_ns, uint64_t frame)
{
    struct conn *c = conn_of(t, h);
    track_advance(t, time_ns);
    if (c == NULL || c != conn_of(t, h))
        return;
    conn_end(t, c, how, dir, frame);
    if (how == TRACK_CLOSE_END || how == TRACK_CLOSE_EVICTED)
        track_forget(t, h);
}

void track_forget(struct track *t, track_conn h)
{
    struct conn *c = conn_of(t, h);
    if (c == NULL)
        return;
    conn_end(t, c, TRACK_CLOSE_EVICTED, 2, 0);
    c = conn_of(t, h);
    if (c != NULL)
        conn_free(t, c);
}

void conn_hole(struct track *t, struct conn *c)
{
    c->flags |= C_HOLE;
    if (c->session != NULL) {
        past_make(t, c->session)->taint = t->next_exchange;
        c->session->flags &= ~(uint32_t)S_WHOLE;
    }
}

void track_unseen(struct track *t, track_conn h, unsigned dir)
{
    struct conn *c = conn_of(t, h);
    if (c != NULL)
        c->pending |= (uint8_t)(P_UNSEEN << ((dir ^ c->flip) & 1));
}

void track_under_way(struct track *t, track_conn h, unsigned dir)
{
    struct conn *c = conn_of(t, h);
    if (c != NULL)
        c->pending |= (uint8_t)(P_UNDER_WAY << ((dir ^ c->flip) & 1));
}

void track_gap(struct track *t, track_conn h, unsigned dir, uint64_t octets, int64_t time_ns, uint64_t frame)
{
    (void)dir;
    (void)octets;
    (void)frame;
    track_advance(t, time_ns);
    struct conn *c = conn_of(t, h);
    if (c != NULL)
        conn_hole(t, c);
}

void track_differ(struct track *t, track_conn h, const struct track_difference *d)
{
    track_advance(t, d->time_ns);
    struct conn *c = conn_of(t, h);
    if (c == NULL)
        return;
    enum mqtt_side side = slot_side(c, d->dir ^ c->flip);
    found(t,
          &(struct found){ .diag = TRACK_DIAG_OCTETS_DIFFER,
                           .side = side,
                           .conn = c,
                           .time_ns = d->time_ns,
                           .frame = { d->first_frame, d->frame } },
          "Frame %llu has other octets than an earlier one from octet %llu of the stream of the %s on (%llu compared)",
          (unsigned long long)d->frame, (unsigned long long)d->at, mqtt_side_name(side), (unsigned long long)d->octets);
}

void track_websocket(struct track *t, track_conn h, enum track_websocket_fault fault, unsigned dir, int64_t time_ns,
                     uint64_t frame)
{
    static const struct {
        uint16_t v311, v5;
        const char *sentence;
    } faults[] = {
        { MQTT_R4_6_0_0_3, MQTT_R5_6_0_0_3, "The client does not offer the WebSocket sub-protocol mqtt" },
        { MQTT_R4_6_0_0_4, MQTT_R5_6_0_0_4,
          "The server does not select the WebSocket sub-protocol mqtt that the client offered" },
        { MQTT_R4_6_0_0_1, MQTT_R5_6_0_0_1, "MQTT octets came in a WebSocket data frame that is not binary" },
    };
    track_advance(t, time_ns);
    struct conn *c = conn_of(t, h);
    if (c == NULL || (unsigned)fault >= sizeof faults / sizeof faults[0])
        return;
    unsigned rule =
        c->version == MQTT_V5 ? faults[fault].v5 : faults[fault].v311; /* both say the same before CONNECT */
    found(t,
          &(struct found){ .rule = (enum mqtt_rule)rule,
                           .side = dir < 2 ? slot_side(c, dir ^ c->flip) : MQTT_NOBODY,
                           .conn = c,
                           .time_ns = t->now,
                           .frame = { frame } },
          "%s", faults[fault].sentence);
}
