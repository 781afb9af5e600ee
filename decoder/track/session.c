/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/track/session.c -- sessions over connections: begin, resume, take over, detach, expire; and the will.
 *
 * A connection has a session record from its first packet. For a CONNECT without clean start that is the record of the
 * client identifier, if one is held; else a fresh one that becomes the client's when CONNACK accepts (3.1.1
 * section 3.1.2.4, 5.0 section 3.1.2.4; session.md section 7). */
#include "decoder/track/state.h"

#include <string.h>

enum { LOOP_TAKEOVERS = 3 };
static const int64_t second_ns = 1000000000;
static const int64_t loop_window_ns = 60 * 1000000000ll;

const struct after after_none = { .timer = { .due = INT64_MAX } };
const struct past past_none = { .takeover_ns = { INT64_MIN, INT64_MIN, INT64_MIN } };

struct after *after_make(struct track *t, struct session *s)
{
    if (s->after != NULL)
        return s->after;
    s->after = slab_take(t, &t->afters);
    if (s->after == NULL)
        return NULL;
    uint32_t index = s->after->index != 0 ? s->after->index : t->afters.held; /* the place keeps its number */
    *s->after = (struct after){ .session = s, .timer = { .due = INT64_MAX }, .index = index };
    return s->after;
}

struct past *past_make(struct track *t, struct session *s)
{
    if (s->past != NULL)
        return s->past;
    s->past = slab_take(t, &t->pasts);
    struct past *p = s->past != NULL ? s->past : &t->no_past;
    *p = past_none;
    return p;
}

void own_forget(struct track *t, struct session *s)
{
    if (s->own != NULL)
        slab_give(&t->owns, s->own);
    s->own = NULL;
}

struct row_endpoint session_endpoint(const struct session *s, unsigned slot)
{
    struct row_endpoint e = { .addr.family = s->family, .port = s->port[slot] };
    if (s->family == 6)
        memcpy(e.addr.octets, s->v6->addr[slot], 16);
    else
        memcpy(e.addr.octets, s->v4[slot], 4);
    return e;
}

/* The client and the server of a connection, and all clients of a server, are of one family. */
void session_locate(struct track *t, struct session *s, unsigned slot, const struct row_endpoint *e)
{
    if (e->addr.family == 6 && s->family != 6)
        s->v6 = slab_take(t, &t->sixes);
    if (e->addr.family != 6 && s->family == 6) {
        slab_give(&t->sixes, s->v6);
        s->v6 = NULL;
    }
    s->family = e->addr.family == 6 && s->v6 == NULL ? 0 : e->addr.family;
    s->port[slot] = e->port;
    if (s->family == 6)
        memcpy(s->v6->addr[slot], e->addr.octets, 16);
    else
        memcpy(s->v4[slot], e->addr.octets, 4);
}

void session_turn(struct session *s)
{
    struct session was = *s;
    s->port[0] = was.port[1];
    s->port[1] = was.port[0];
    if (s->family == 6) {
        struct six six = *s->v6;
        memcpy(s->v6->addr[0], six.addr[1], 16);
        memcpy(s->v6->addr[1], six.addr[0], 16);
    } else {
        memcpy(s->v4[0], was.v4[1], 4);
        memcpy(s->v4[1], was.v4[0], 4);
    }
}

static void drop_parts(struct track *t, struct session *s)
{
    own_forget(t, s);
    if (s->family == 6)
        slab_give(&t->sixes, s->v6);
    s->v6 = NULL;
    s->family = 0;
    if (s->after != NULL) {
        uint32_t index = s->after->index;
        slab_give(&t->afters, s->after);
        s->after->index = index;
    }
    if (past_of(s)->tallies != NULL)
        slab_give(&t->tallies, s->past->tallies);
    if (s->past != NULL)
        slab_give(&t->pasts, s->past);
    s->after = NULL;
    s->past = NULL;
}

static void age_unlink(struct track *t, struct session *s)
{
    if (s->older != 0)
        session_at(t, s->older)->newer = s->newer;
    else
        t->session_first = s->newer;
    if (s->newer != 0)
        session_at(t, s->newer)->older = s->older;
    else
        t->session_last = s->older;
}

static void age_append(struct track *t, struct session *s)
{
    s->older = t->session_last;
    s->newer = 0;
    if (t->session_last != 0)
        session_at(t, t->session_last)->newer = s->index;
    else
        t->session_first = s->index;
    t->session_last = s->index;
}

void tally_carry(struct track *t, struct session *s, unsigned which, uint64_t n)
{
    struct past *p = past_make(t, s);
    if (p == &t->no_past)
        return;
    if (p->tallies == NULL)
        p->tallies = slab_take(t, &t->tallies);
    if (p->tallies != NULL)
        p->tallies->rest[which] += n;
}

void session_event(struct track *t, const struct session *s, enum track_session_change change, uint64_t frame)
{
    if (t->on.session == NULL)
        return;
    struct track_session_event e = { .change = change,
                                     .session = s->number,
                                     .frame = frame,
                                     .time_ns = t->now,
                                     .stream = s->stream,
                                     .version = s->version,
                                     .client_id = s->client_id != NULL ? view_of(s->client_id, s->client_id_len)
                                                                       : (struct view){ 0 } };
    t->on.session(t->on.ctx, &e);
}

static void finish_parked(struct track *t, struct session *s, enum track_outcome outcome, unsigned slots)
{
    for (struct exch *x = s->parked, *next; x != NULL; x = next) {
        next = x->next;
        if (x->conn == NULL && (slots >> x->slot & 1) != 0)
            exch_finish(t, x, exch_tainted(x) ? TRACK_UNKNOWN : outcome);
    }
}

static void unlink_conn(struct track *t, struct conn *c)
{
    while (c->wait != NULL)
        exch_finish(t, c->wait, TRACK_UNKNOWN);
    conn_join(t, c, NULL);
    c->flags |= C_HOLE;
}

void session_free(struct track *t, struct session *s)
{
    while (s->conns != 0)
        unlink_conn(t, conn_at(t, s->conns));
    while (s->parked != NULL)
        exch_finish(t, s->parked, TRACK_UNKNOWN);
    will_forget(t, s);
    subs_clear(t, s, NULL);
    key_remove(t, s);
    drop_parts(t, s);
    if (s->client_id != NULL) {
        t->text -= s->client_id_len;
        pool_give(t, &t->texts, s->client_id, s->client_id_len);
    }
    age_unlink(t, s);
    uint32_t index = s->index;
    slab_give(&t->sessions, s);
    s->index = index; /* the place keeps its number */
}

/* The one whose latest CONNECT is oldest, one without a connection if there is one near. */
static void evict(struct track *t)
{
    struct session *s = session_at(t, t->session_first);
    for (unsigned i = 0; i < 64 && s != NULL && s->conn != NULL; i++)
        s = session_at(t, s->newer);
    if (s == NULL || s->conn != NULL)
        s = session_at(t, t->session_first);
    if (s == NULL)
        return;
    t->counts.evicted_sessions++;
    session_event(t, s, TRACK_SESSION_EVICTED, 0);
    session_free(t, s);
}

struct session *session_new(struct track *t, const struct conn *c)
{
    if (t->sessions.used >= t->cfg.max_sessions)
        evict(t);
    struct session *s = slab_take(t, &t->sessions);
    if (s == NULL)
        return NULL;
    if (s->index == 0) /* else the place had one before */
        s->index = t->sessions.held;
    s->number = ++t->next_session & NUMBER_MAX;
    s->first_ns = t->now;
    s->connected_ns = s->last_sent_ns[0] = s->last_sent_ns[1] = s->closed_ns = INT64_MIN;
    s->stream = c->stream;
    s->version = c->version & 7u;
    s->low_grant = 2;
    age_append(t, s);
    return s;
}

static void take(struct track *t, struct conn *taker, struct conn *old)
{
    if (rare_make(t, taker) == &t->no_rare || rare_make(t, old) == &t->no_rare)
        return;
    if (old->rare->taker != NULL)
        old->rare->taker->rare->taking = NULL;
    if (taker->rare->taking != NULL)
        taker->rare->taking->rare->taker = NULL;
    taker->rare->taking = old;
    old->rare->taker = taker;
}

/* Others that asked for the same session and were not answered yet: until it is known who has it, what one of them does
 * may be taken for what another did, so nothing is held against either. Returns whether there are any. */
static bool contested(struct track *t, struct conn *c, struct session *s)
{
    enum { NEAR = 8 };
    bool any = false;
    struct conn *o = conn_at(t, s->conns);
    for (unsigned n = 0; o != NULL && n < NEAR; o = conn_at(t, o->mate), n++) {
        bool open = o != c && o != s->conn && (o->flags & (C_CLOSED | C_TAKEN)) == 0;
        if (open && ((o->flags & C_CONNACK) == 0 || o->wait != NULL)) {
            o->flags |= C_RIVAL;
            any = true;
        }
    }
    if (any) {
        c->flags |= C_RIVAL;
        past_make(t, s)->taint = t->next_exchange;
    }
    return any;
}

/* CONNECT: what the connection's packets belong to until CONNACK. */
void session_attach(struct track *t, struct conn *c, struct view client_id)
{
    struct session *fresh = c->session;
    if (client_id.ptr == NULL || client_id.len == 0)
        return;
    struct row_endpoint client = session_endpoint(fresh, 0), broker = session_endpoint(fresh, 1);
    struct session *known = key_find(t, &broker, client_id);
    bool elsewhere = known != NULL && known->conn != NULL && known->conn != c;
    if (elsewhere) {
        take(t, c, known->conn);
        t->note->flags |= TRACK_TAKEOVER;
    }
    bool apart = known == NULL || elsewhere || contested(t, c, known);
    if (apart || (c->flags & C_CLEAN) != 0) {
        name_set(t, fresh, client_id);
        return;
    }
    for (struct exch *x = c->wait, *next; x != NULL; x = next) { /* begun before CONNECT: it belongs nowhere */
        next = x->next;
        if (x->session == fresh)
            exch_finish(t, x, TRACK_UNKNOWN);
    }
    session_locate(t, known, 0, &client);
    conn_join(t, c, known);
    if (fresh->number == t->next_session)
        t->next_session--;
    session_free(t, fresh);
}

/* One of the same identifier that an earlier connection left: the later one goes on for it. */
static void move_exchange(struct track *t, struct exch *x, struct session *to)
{
    struct exch *old = x->id != 0 ? id_find(t, to, x->slot, x->id) : NULL;
    if (old != NULL)
        exch_finish(t, old, TRACK_UNKNOWN);
    exch_rekey(t, x, to);
}

static void move_into(struct track *t, struct conn *c, struct session *from, struct session *to)
{
    for (struct exch *x = c->wait; x != NULL; x = x->next)
        move_exchange(t, x, to);
    while (from->parked != NULL)
        move_exchange(t, from->parked, to);
    subs_move(t, from, to);
    for (unsigned i = 0; i < TALLIES; i++)
        if (i != TALLY_COMPLETE)
            tally_add(t, to, i, tally_of(from, i));
    for (unsigned i = 0; i < 2; i++)
        if (from->last_sent_ns[i] > to->last_sent_ns[i])
            to->last_sent_ns[i] = from->last_sent_ns[i];
    struct row_endpoint client = session_endpoint(from, 0);
    session_locate(t, to, 0, &client);
    to->expiry_s = from->expiry_s;
    struct after *after = from->after != NULL ? after_make(t, to) : to->after;
    if (after != NULL)
        after->will = after_of(from)->will;
    to->return_code = from->return_code;
    to->flags = (to->flags & ~(uint32_t)(S_CLEAN | S_ASSIGNED)) | (from->flags & (S_CLEAN | S_ASSIGNED));
    conn_join(t, c, to);
    session_free(t, from);
}

static void doubt_parked(struct session *s)
{
    for (struct exch *x = s->parked; x != NULL; x = x->next)
        if (x->conn == NULL)
            x->marks |= X_OLD;
}

/* The server's state for this client begins anew. */
static void restart(struct track *t, struct conn *c, struct session *s)
{
    /* A 3.1.1 client that did not ask for a clean start may go on with its messages, or drop them (session.md 3.5). */
    bool may_go_on = c->version != MQTT_V5 && (c->flags & C_CLEAN) == 0;
    finish_parked(t, s, TRACK_REPLACED, may_go_on ? 2 : 3);
    subs_clear(t, s, c);
    doubt_parked(s);
    if (s->past != NULL) {
        s->past->taint = 0;
        s->past->prev_aliases[0] = s->past->prev_aliases[1] = 0;
        s->past->refused_msg[0] = s->past->refused_msg[1] = (struct refusal){ 0 };
    }
    s->flags &= ~(uint32_t)(S_ECHOED | S_LOOPED | S_UNDELIVERED);
    s->flags |= S_WHOLE;
    if (may_go_on)
        s->flags |= S_CLIENT_OLD;
    else if ((c->flags & C_CLEAN) != 0)
        s->flags &= ~(uint32_t)S_CLIENT_OLD;
}

static void lost(struct track *t, struct conn *c, struct session *s)
{
    if ((c->flags & C_CLEAN) != 0 || (s->flags & S_LIVE) == 0)
        return;
    found(t,
          &(struct found){ .diag = TRACK_DIAG_SESSION_LOST,
                           .side = MQTT_SERVER,
                           .conn = c,
                           .time_ns = t->now,
                           .frame = { c->connect_frame, c->connack_frame } },
          "The client asked to resume its session, but the server has none left: %u subscription(s) and %u open "
          "exchange(s) are gone",
          s->n_subs, s->open);
}

/* Closed connections whose last answers might still have come. */
static void settle_closed(struct track *t, const struct conn *by, struct session *s)
{
    unsigned n = 0;
    if (s->conns == 0 || (s->conns == by->index && by->mate == 0)) /* none but the one that begins */
        return;
    for (struct conn *c = conn_at(t, t->closed_last), *before; c != NULL && n < CLOSED_HELD; c = before, n++) {
        before = conn_at(t, c->prev);
        if (c->session == s)
            conn_settle(t, c);
    }
}

/* Session Present of a session that had ended. It may have begun anew on a connection that was not captured: a note. */
static void judge_ended(struct track *t, struct conn *c, const struct session *s)
{
    if (s->connections > 0 && conn_sure(c) && s->closed_ns != INT64_MIN && t->now - s->closed_ns > t->cfg.reach_ns)
        judge(t, c, by_version(c, MQTT_R4_3_1_2_6, MQTT_R5_4_1_0_2), MQTT_SEVERITY_NOTE, MQTT_SERVER);
}

/* CONNACK accepts. */
void session_start(struct track *t, struct conn *c, bool present, uint64_t frame)
{
    struct session *s = c->session;
    struct session *known = s;
    if (s->client_id != NULL && (s->flags & S_KEYED) == 0)
        known = key_find_like(t, s);
    if (known != NULL && known->conn != NULL && known->conn != c)
        take(t, c, known->conn);
    takeover_confirm(t, c, t->now, frame);
    if (known != NULL) {
        settle_closed(t, c, known);
        contested(t, c, known);
    }
    if (known == NULL) {
        key_put(t, s);
    } else if (known != s) {
        if ((known->flags & S_WILL_WAITS) != 0 && (c->flags & C_CLEAN) != 0)
            will_due(t, known, frame); /* a clean start ends the old session and so releases the will */
        move_into(t, c, s, known);
        s = known;
    }
    bool had = (s->flags & S_LIVE) != 0;
    if (!present) {
        if (had)
            lost(t, c, s);
        restart(t, c, s);
        if (had)
            past_make(t, s)->restarted++;
    } else {
        past_make(t, s)->resumed++;
        c->flags |= C_RESUMED;
        if (!had) {
            judge_ended(t, c, s);
            s->flags &= ~(uint32_t)S_WHOLE;
        }
        if (s->will == TRACK_WILL_DUE && (s->flags & S_WILL_WAITS) != 0) {
            s->will = TRACK_WILL_DROPPED;
            will_forget(t, s);
            session_event(t, s, TRACK_SESSION_WILL_DROPPED, frame);
        }
    }
    if ((c->flags & (C_START | C_HOLE | C_RIVAL)) != C_START)
        s->flags &= ~(uint32_t)S_WHOLE;
    age_unlink(t, s);
    age_append(t, s);
    s->flags = (s->flags & ~(uint32_t)(S_PRESENT | S_EXPIRES | S_WILL_WAITS | S_KEEP_SERVER)) | S_LIVE |
               (present ? S_PRESENT : 0) | (c->server_ka ? S_KEEP_SERVER : 0);
    if (s->after != NULL)
        timer_stop(&s->after->timer);
    s->conn = c;
    s->stream = c->stream;
    s->version = c->version & 7u;
    s->connections++;
    s->connected_ns = t->now;
    s->keep_alive_s = c->keep_alive_s;
    session_event(t, s, present ? TRACK_SESSION_RESUMED : had ? TRACK_SESSION_RESTARTED : TRACK_SESSION_STARTED, frame);
    if ((c->flags & C_WILL) != 0) {
        will_forget(t, s);
        s->will = TRACK_WILL_ARMED;
        session_event(t, s, TRACK_SESSION_WILL_ARMED, frame);
    } else if (s->will != TRACK_WILL_DUE) {
        s->will = TRACK_WILL_NONE;
    }
}

void session_refuse(struct track *t, struct conn *c, uint64_t frame)
{
    struct session *s = c->session;
    if (rare_of(c)->taking != NULL) {
        c->rare->taking->rare->taker = NULL;
        c->rare->taking = NULL;
    }
    past_make(t, s)->refused++;
    session_event(t, s, TRACK_SESSION_REFUSED, frame);
}

/* A refusal that came right before the end of its connection may not have arrived. */
static void doubt_refusals(const struct track *t, struct session *s)
{
    for (unsigned slot = 0; slot < 2 && s->past != NULL; slot++)
        if (t->now - s->past->refused_msg[slot].time_ns < t->cfg.reach_ns)
            s->past->refused_msg[slot] = (struct refusal){ 0 };
}

static bool looping(struct past *p, int64_t now)
{
    p->takeover_ns[0] = p->takeover_ns[1];
    p->takeover_ns[1] = p->takeover_ns[2];
    p->takeover_ns[2] = now;
    return p->takeover_ns[0] != INT64_MIN && now - p->takeover_ns[0] < loop_window_ns;
}

/* The server has given the session to `taker`: it accepted it, or closed the older connection. */
void takeover_confirm(struct track *t, struct conn *taker, int64_t time_ns, uint64_t frame)
{
    struct conn *old = rare_of(taker)->taking;
    if (old == NULL || (old->flags & C_TAKEN) != 0)
        return;
    struct session *s = old->session;
    old->flags |= C_TAKEN;
    if (s == NULL)
        return;
    conn_release(t, old, true);
    doubt_parked(s); /* the end of the old connection was not seen, nor what may have come before it */
    doubt_refusals(t, s);
    struct past *p = past_make(t, s);
    p->taken_over++;
    session_event(t, s, TRACK_SESSION_TAKEN_OVER, taker->connect_frame);
    found(t,
          &(struct found){ .diag = TRACK_DIAG_TAKEOVER,
                           .side = MQTT_CLIENT,
                           .conn = old,
                           .session = s,
                           .time_ns = time_ns,
                           .frame = { old->connect_frame, taker->connect_frame, frame } },
          "tcp.stream %u takes the session over from tcp.stream %u: same client identifier", taker->stream,
          old->stream);
    if (looping(p, time_ns) && p->taken_over % LOOP_TAKEOVERS == 0)
        found(t,
              &(struct found){ .diag = TRACK_DIAG_TAKEOVER_LOOP,
                               .side = MQTT_CLIENT,
                               .conn = old,
                               .session = s,
                               .time_ns = time_ns,
                               .frame = { old->connect_frame, taker->connect_frame, frame } },
              "%u take-overs of one client identifier, the last three within %lld s: two programs use it and "
              "reconnect; give each its own",
              p->taken_over, (long long)((time_ns - p->takeover_ns[0]) / second_ns));
    if (s->conn == old)
        s->conn = NULL;
    if ((old->flags & C_CLOSED) == 0)
        close_is_due(t, old, by_version(old, MQTT_R4_3_1_4_2, MQTT_R5_3_1_4_3), TRACK_DIAG_TAKEOVER_OPEN, MQTT_SERVER,
                     taker->connect_frame, time_ns);
}

void will_forget(struct track *t, struct session *s)
{
    for (uint32_t i = 0; i < t->n_due_wills; i++)
        if (t->due_will[i] == s) {
            t->due_will[i] = t->due_will[--t->n_due_wills];
            return;
        }
}

void will_due(struct track *t, struct session *s, uint64_t frame)
{
    s->will = TRACK_WILL_DUE;
    s->flags &= ~(uint32_t)S_WILL_WAITS;
    session_event(t, s, TRACK_SESSION_WILL_DUE, frame);
    will_forget(t, s);
    if (t->n_due_wills == DUE_WILLS) {
        for (uint32_t i = 1; i < DUE_WILLS; i++)
            t->due_will[i - 1] = t->due_will[i];
        t->n_due_wills--;
    }
    t->due_will[t->n_due_wills++] = s;
}

/* A PUBLISH of the server: is it a will that is due? Called only while some are. */
void will_match(struct track *t, struct conn *c, const struct track_input *in, uint32_t topic_print)
{
    const struct mqtt_publish *p = &in->packet->publish;
    if (p->payload.len != p->payload_len)
        return;
    uint32_t payload = print_of(p->payload, 1);
    for (uint32_t i = 0; i < t->n_due_wills; i++) {
        struct session *s = t->due_will[i];
        const struct will *w = &after_of(s)->will;
        if (w->topic != topic_print || w->payload != payload || s->will != TRACK_WILL_DUE)
            continue;
        s->will = TRACK_WILL_SENT;
        session_event(t, s, TRACK_SESSION_WILL_SENT, in->frame);
        found(t,
              &(struct found){ .diag = TRACK_DIAG_WILL_SENT,
                               .side = MQTT_SERVER,
                               .session = s,
                               .conn = c,
                               .time_ns = in->time_ns,
                               .frame = { w->frame, in->frame } },
              "The server publishes the will that frame %llu had announced", (unsigned long long)w->frame);
        will_forget(t, s);
        return;
    }
}

void session_end(struct track *t, struct session *s, uint64_t frame)
{
    if ((s->flags & S_WILL_WAITS) != 0)
        will_due(t, s, frame);
    finish_parked(t, s, TRACK_ABANDONED, 3);
    subs_clear(t, s, NULL);
    if ((s->flags & S_LIVE) != 0)
        session_event(t, s, TRACK_SESSION_ENDED, frame);
    s->flags &= ~(uint32_t)(S_LIVE | S_EXPIRES);
}

static void release_will(struct track *t, struct session *s, const struct conn *c, uint64_t frame)
{
    if (s->will != TRACK_WILL_ARMED)
        return;
    uint32_t delay_s = after_of(s)->will.delay_s;
    if (c->version == MQTT_V5 && delay_s > 0 && s->expiry_s > 0) {
        s->will = TRACK_WILL_DUE;
        s->flags |= S_WILL_WAITS;
        timer_set(t, AFTER_OWNER | s->after->index, s->closed_ns + (int64_t)delay_s * second_ns);
    } else {
        will_due(t, s, frame);
    }
}

static int64_t state_ends(const struct session *s)
{
    return s->closed_ns + (int64_t)s->expiry_s * second_ns;
}

/* The connection has ended; its exchanges are parked or finished already. */
void session_detach(struct track *t, struct conn *c, bool orderly, uint64_t frame)
{
    struct session *s = c->session;
    if (s->conn != c)
        return;
    s->conn = NULL;
    s->closed_ns = t->now;
    doubt_refusals(t, s);
    const struct bounds *b = bounds_of(c);
    for (unsigned slot = 0; slot < 2; slot++) {
        uint64_t bits = 0;
        for (uint32_t i = 1; i <= PREV_ALIASES && i < b->alias_cap[slot]; i++)
            bits |= b->alias[slot][i] != NULL ? 1ull << (i - 1) : 0;
        if (bits != past_of(s)->prev_aliases[slot])
            past_make(t, s)->prev_aliases[slot] = bits;
    }
    if ((s->flags & S_LIVE) == 0)
        return;
    if (orderly && s->will == TRACK_WILL_ARMED) {
        s->will = TRACK_WILL_DROPPED;
        session_event(t, s, TRACK_SESSION_WILL_DROPPED, frame);
    }
    if (!orderly)
        past_make(t, s)->abnormal_ends++;
    release_will(t, s, c, frame);
    bool lives = c->version == MQTT_V5 ? s->expiry_s > 0 : (c->flags & C_CLEAN) == 0;
    if (!lives) {
        session_end(t, s, frame);
        return;
    }
    session_event(t, s, TRACK_SESSION_DETACHED, frame);
    if (c->version == MQTT_V5 && s->expiry_s != UINT32_MAX && after_make(t, s) != NULL) {
        s->flags |= S_EXPIRES;
        timer_set(t, AFTER_OWNER | s->after->index, state_ends(s));
    }
}

int64_t session_check(struct track *t, struct session *s, int64_t now)
{
    int64_t next = INT64_MAX;
    if ((s->flags & S_WILL_WAITS) != 0) {
        int64_t due = s->closed_ns + (int64_t)after_of(s)->will.delay_s * second_ns;
        if (due <= now)
            will_due(t, s, 0);
        else
            next = due;
    }
    if ((s->flags & S_EXPIRES) != 0) {
        int64_t ends = state_ends(s);
        if (ends <= now)
            session_end(t, s, 0);
        else if (ends < next)
            next = ends;
    }
    return next;
}
