/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/track/exchange.c -- exchanges as records: opening, steps, waiting, ending. What they mean is decided
 * elsewhere. */
#include "decoder/track/state.h"

#include <string.h>

/* Of a list the first one's prev is the last, the last one's next is NULL. */
static void list_unlink(struct exch *x, struct exch **first)
{
    if (x->prev == NULL) /* in no list yet */
        return;
    if (*first == x)
        *first = x->next;
    else
        x->prev->next = x->next;
    if (x->next != NULL)
        x->next->prev = x->prev;
    else if (*first != NULL)
        (*first)->prev = x->prev;
    x->prev = x->next = NULL;
}

static void list_append(struct exch *x, struct exch **first)
{
    x->next = NULL;
    if (*first != NULL) {
        x->prev = (*first)->prev;
        x->prev->next = x;
        (*first)->prev = x;
    } else {
        x->prev = x;
        *first = x;
    }
}

static void wait_unlink(struct exch *x)
{
    if ((x->marks & X_PARKED) != 0)
        list_unlink(x, &x->session->parked);
    else if (x->conn != NULL)
        list_unlink(x, &x->conn->wait);
    x->marks &= (uint16_t)~X_PARKED;
}

void exch_park(struct exch *x)
{
    wait_unlink(x);
    x->marks |= X_PARKED;
    list_append(x, &x->session->parked);
}

bool exch_tainted(const struct exch *x)
{
    return x->number <= past_of(x->session)->taint || (x->flags & (TRACK_NO_START | TRACK_MIDSTREAM)) != 0 ||
           (x->marks & X_OLD) != 0;
}

static bool is_publish(const struct exch *x)
{
    return x->kind == TRACK_QOS1 || x->kind == TRACK_QOS2;
}

struct exch *exch_open(struct track *t, struct conn *c, unsigned kind, unsigned slot, uint16_t id,
                       const struct track_input *in)
{
    if (t->exchs.used >= t->cfg.max_exchanges)
        exch_evict(t);
    struct exch *x = slab_take(t, &t->exchs);
    if (x == NULL) {
        conn_hole(t, c);
        return NULL;
    }
    struct session *s = c->session;
    x->number = ++t->next_exchange & NUMBER_MAX;
    x->kind = (uint8_t)kind;
    x->slot = (uint8_t)slot;
    x->id = id;
    x->session = s;
    x->version = c->version;
    x->first_stream = c->stream;
    x->last_ns = in->time_ns;
    x->flags = (c->flags & C_START) == 0 ? TRACK_MIDSTREAM : 0;
    if (id != 0)
        id_add(t, x);
    s->open++;
    if (is_publish(x) && ++s->inflight[slot] > s->inflight_max[slot])
        s->inflight_max[slot] = s->inflight[slot];
    t->counts.exchanges[kind][TRACK_OPEN]++;
    return x;
}

void exch_owes(struct track *t, struct exch *x, unsigned slot, unsigned type)
{
    x->owed_slot = (uint8_t)slot;
    x->owed_type = (uint8_t)type;
    struct conn *c = x->conn;
    if (c == NULL || type == 0)
        return;
    int64_t due = x->last_ns + exch_patience(t, x);
    if (due < c->timer.due)
        timer_set(t, c->index, due);
}

const struct xstep *exch_at(const struct exch *x, unsigned place)
{
    static const struct xstep none = { 0 };
    if (place == 0)
        return &x->first;
    return x->later != NULL ? &x->later->step[place - 1] : &none;
}

void exch_unstep(struct exch *x, unsigned place)
{
    if (x->later != NULL && place > 0)
        x->later->step[place - 1].type = 0;
}

/* Without memory it is forgotten, and nothing is held against anyone for it. */
static struct xstep *step_at(struct track *t, struct exch *x, unsigned place)
{
    if (place == 0)
        return &x->first;
    if (x->later == NULL)
        x->later = slab_take(t, &t->later);
    if (x->later != NULL)
        return &x->later->step[place - 1];
    x->session->flags &= ~(uint32_t)S_WHOLE;
    x->flags |= TRACK_NO_START;
    t->no_later = (struct later){ 0 };
    return &t->no_later.step[place - 1];
}

static void take_step(struct track *t, struct exch *x, struct conn *c, unsigned place, unsigned flags,
                      const struct track_input *in)
{
    struct track_note *n = t->note;
    wait_unlink(x);
    if (x->conn != c && x->stream != c->stream) {
        x->connections++;
        if (x->n_steps > 0)
            flags |= TRACK_RESUMED;
    } else if (x->n_steps == 0) {
        x->connections = 1;
    }
    x->marks &= (uint16_t)~X_REPORTED;
    x->conn = c;
    x->stream = c->stream;
    if (x->n_steps > 0) {
        n->latency_ns = in->time_ns - x->first.time_ns;
        if (x->first.type == 0)
            n->latency_ns = -1;
        bool early = is_publish(x) && x->last_type > in->packet->type; /* its answer was captured before it */
        n->step_ns = early ? -1 : in->time_ns - x->last_ns;
        n->answers_frame = x->last_frame;
    }
    struct xstep *step = step_at(t, x, place);
    if (step->type != 0 && (flags & TRACK_RETRANSMITTED) != 0) {
        x->resent++;
        n->answers_frame = 0;
        n->step_ns = -1;
    } else {
        *step = (struct xstep){ .time_ns = in->time_ns,
                                .frame = in->frame & 0xffffffffffffu,
                                .type = in->packet->type & 15u,
                                .flags = flags & 0x7ff,
                                .slot = (in->dir ^ c->flip) & 1u };
    }
    x->n_steps++;
    x->last_ns = in->time_ns;
    x->last_frame = in->frame & NUMBER_MAX;
    x->last_type = in->packet->type;
    x->flags |= (uint16_t)flags;
    n->flags |= (uint16_t)flags;
    n->step = (uint8_t)(place + 1);
}

void exch_step(struct track *t, struct exch *x, struct conn *c, unsigned place, unsigned flags,
               const struct track_input *in)
{
    take_step(t, x, c, place, flags, in);
    list_append(x, &c->wait);
}

void exch_last_step(struct track *t, struct exch *x, struct conn *c, unsigned place, const struct track_input *in)
{
    if (x->later == NULL) {
        t->no_later = (struct later){ 0 };
        x->later = &t->no_later;
    }
    take_step(t, x, c, place, 0, in);
}

static uint64_t first_frame(const struct exch *x)
{
    for (unsigned i = 0; i < TRACK_STEPS; i++)
        if (exch_at(x, i)->frame != 0)
            return exch_at(x, i)->frame;
    return 0;
}

/* What the row says of the exchange after the packet; the step has set its part. */
void exch_note(struct track *t, const struct exch *x)
{
    struct track_note *n = t->note;
    const struct conn *c = x->conn;
    n->exchange = x->number;
    n->starter = c != NULL ? (uint8_t)slot_side(c, x->slot) : 0;
    if (t->cfg.brief)
        return;
    n->kind = x->kind;
    n->first_frame = x->first.frame != 0 ? x->first.frame : first_frame(x);
    n->resent = x->resent;
    n->topic = topic_view(x->topic);
    n->outcome = TRACK_OPEN;
    if (c != NULL) {
        n->owed_type = x->owed_type;
        n->owed_by = x->owed_type != 0 ? (uint8_t)slot_side(c, x->owed_slot) : MQTT_NOBODY;
        n->window = is_publish(x) && c->version == MQTT_V5 ? bounds_of(c)->window[x->slot] : 0;
    }
    n->inflight = is_publish(x) ? x->session->inflight[x->slot] : 0;
}

static unsigned side_of(const struct exch *x, unsigned slot)
{
    if (x->conn != NULL)
        return slot_side(x->conn, slot);
    return (x->session->flags & (S_KEYED | S_LIVE)) != 0 ? slot == 0 ? MQTT_CLIENT : MQTT_SERVER : MQTT_NOBODY;
}

void exch_fill(const struct exch *x, struct track_exchange *out)
{
    *out = (struct track_exchange){ .number = x->number,
                                    .session = x->session->number,
                                    .stream = x->stream,
                                    .first_stream = x->first_stream,
                                    .kind = x->kind,
                                    .starter = (uint8_t)side_of(x, x->slot),
                                    .owed_by = x->owed_type != 0 ? (uint8_t)side_of(x, x->owed_slot) : MQTT_NOBODY,
                                    .owed_type = x->owed_type,
                                    .qos = x->qos,
                                    .reason = x->reason,
                                    .version = x->version,
                                    .id = x->id,
                                    .resent = x->resent,
                                    .connections = x->connections,
                                    .flags = x->flags,
                                    .n_steps = x->n_steps,
                                    .began_ns = x->last_ns,
                                    .last_ns = x->last_ns,
                                    .owed_since_ns = x->last_ns,
                                    .last_frame = x->last_frame,
                                    .topic = topic_view(x->topic),
                                    .client_id = view_of(x->session->client_id, x->session->client_id_len),
                                    .payload_len = is_publish(x) ? x->payload_len : 0,
                                    .filters = is_publish(x) ? 0 : x->filters };
    for (unsigned i = TRACK_STEPS; i-- > 0;) {
        const struct xstep *s = exch_at(x, i);
        if (s->type == 0)
            continue;
        out->step[i] = (struct track_step){ .time_ns = s->time_ns,
                                            .frame = s->frame,
                                            .type = s->type,
                                            .sender = (uint8_t)side_of(x, s->slot),
                                            .flags = s->flags };
        out->began_ns = s->time_ns;
    }
}

static void unlink_all(struct track *t, struct exch *x)
{
    wait_unlink(x);
    if (x->id != 0)
        id_remove(t, x);
}

static void unchain_ping(struct exch *x, struct conn *c)
{
    struct exch *before = c->ping;
    if (before == NULL)
        return;
    while (before->chain != x && before->chain != c->ping)
        before = before->chain;
    if (before->chain != x)
        return;
    before->chain = x->chain;
    if (c->ping == x)
        c->ping = before != x ? before : NULL;
    x->chain = NULL;
}

static void leave_conn(struct exch *x, struct conn *c)
{
    if (x->kind == TRACK_CONNECT && c->opening == x)
        c->opening = NULL;
    if (x->kind == TRACK_REAUTH && rare_of(c)->auth == x)
        c->rare->auth = NULL;
    if (x->kind == TRACK_PING)
        unchain_ping(x, c);
    if (x->kind == TRACK_SUBSCRIBE)
        c->n_subscribe--;
    if (x->kind == TRACK_UNSUBSCRIBE)
        c->n_unsubscribe--;
}

/* The record is gone after this; the note of the row under way keeps what it needs. */
void exch_finish(struct track *t, struct exch *x, enum track_outcome outcome)
{
    struct session *s = x->session;
    bool noted = t->note != NULL && t->note->exchange == x->number;
    if (noted) {
        t->note->outcome = (uint8_t)outcome;
        t->note->owed_by = t->note->owed_type = 0;
        if (t->note->inflight > 0)
            t->note->inflight--;
    }
    if (outcome != TRACK_OPEN) /* at the end of the capture somebody still owes */
        x->owed_type = 0;
    s->open--;
    if (is_publish(x))
        s->inflight[x->slot]--;
    if (outcome == TRACK_COMPLETE)
        tally_add(t, s, TALLY_COMPLETE, 1);
    else
        past_make(t, s)->finished[outcome]++;
    t->counts.exchanges[x->kind][TRACK_OPEN]--;
    t->counts.exchanges[x->kind][outcome]++;
    if (t->on.exchange != NULL) {
        struct track_exchange out;
        exch_fill(x, &out);
        out.outcome = (uint8_t)outcome;
        t->on.exchange(t->on.ctx, &out);
    }
    for (struct ask *a = x->asks; a != NULL; a = a->next)
        a->sub->unsure = a->sub->unsure || x->kind == TRACK_SUBSCRIBE;
    asks_clear(t, x);
    if (x->conn != NULL)
        leave_conn(x, x->conn);
    unlink_all(t, x);
    topic_drop(t, noted ? t->shown : x->topic);
    if (noted)
        t->shown = x->topic;
    if (x->later != NULL && x->later != &t->no_later)
        slab_give(&t->later, x->later);
    slab_give(&t->exchs, x);
}

/* An old one goes; what it was is no longer known. The hand looks at some places and takes the oldest there, so that
 * nothing needs to be kept for the day when the limit is reached. */
void exch_evict(struct track *t)
{
    struct exch *oldest = NULL;
    for (unsigned i = 0; i < t->exchs.held && (i < EVICT_LOOK || oldest == NULL); i++) {
        struct exch *x = slab_at(&t->exchs, t->hand++ % t->exchs.held);
        if (x->number != 0 && (oldest == NULL || x->number < oldest->number))
            oldest = x;
    }
    if (oldest == NULL)
        return;
    past_make(t, oldest->session)->taint = t->next_exchange;
    oldest->session->flags &= ~(uint32_t)S_WHOLE;
    if (oldest->conn != NULL)
        oldest->conn->flags |= C_HOLE;
    t->counts.evicted_exchanges++;
    exch_finish(t, oldest, TRACK_UNKNOWN);
}

/* Into another session, as when a connection's first packets turn out to belong to a known client. */
void exch_rekey(struct track *t, struct exch *x, struct session *s)
{
    struct session *from = x->session;
    bool parked = (x->marks & X_PARKED) != 0;
    if (parked)
        wait_unlink(x);
    if (x->id != 0)
        id_remove(t, x);
    from->open--;
    s->open++;
    if (is_publish(x)) {
        from->inflight[x->slot]--;
        s->inflight[x->slot]++;
    }
    x->session = s;
    if (x->id != 0)
        id_add(t, x);
    if (parked) {
        x->marks |= X_PARKED;
        list_append(x, &s->parked);
    }
}
