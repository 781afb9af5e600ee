/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/track/query.c -- what tables and the screen read. */
#include "decoder/track/state.h"

static void fill_waiting(const struct session *s, struct track_session *out)
{
    const struct conn *c = s->conn;
    const struct exch *oldest = c != NULL ? c->wait : NULL;
    for (const struct exch *x = s->parked; x != NULL; x = x->next) /* parked in the order of becoming late */
        if (x->conn == c && c != NULL && x->owed_type != 0) {
            oldest = x;
            break;
        }
    out->owed_since_ns = INT64_MIN;
    if (oldest == NULL || oldest->owed_type == 0)
        return;
    out->owed_by = (uint8_t)slot_side(c, oldest->owed_slot);
    out->owed_type = oldest->owed_type;
    out->owed_since_ns = oldest->last_ns;
}

static void fill(const struct session *s, struct track_session *out)
{
    const struct conn *c = s->conn;
    const struct past *p = past_of(s);
    *out = (struct track_session){
        .number = s->number,
        .client_id = s->client_id != NULL ? view_of(s->client_id, s->client_id_len) : (struct view){ 0 },
        .assigned = (s->flags & S_ASSIGNED) != 0,
        .whole = (s->flags & S_WHOLE) != 0,
        .clean = (s->flags & S_CLEAN) != 0,
        .present = (s->flags & S_PRESENT) != 0,
        .connected = c != NULL && (c->flags & C_UP) != 0,
        .version = s->version,
        .link = c != NULL      ? c->link
                : s->link != 0 ? s->link
                               : TRACK_LINK_CLOSED,
        .will = s->will,
        .return_code = s->return_code,
        .stream = s->stream,
        .client = session_endpoint(s, 0),
        .broker = session_endpoint(s, 1),
        .connections = s->connections,
        .resumed = p->resumed,
        .restarted = p->restarted,
        .taken_over = p->taken_over,
        .refused = p->refused,
        .abnormal_ends = p->abnormal_ends,
        .expiry_s = s->expiry_s,
        .keep_alive_s = s->keep_alive_s,
        .keep_alive_by_server = (s->flags & S_KEEP_SERVER) != 0,
        .first_ns = s->first_ns,
        .last_ns = s->last_sent_ns[0] > s->last_sent_ns[1] ? s->last_sent_ns[0] : s->last_sent_ns[1],
        .connected_ns = s->connected_ns,
        .silence_ns = s->silence_ns,
        .last_sent_ns = { s->last_sent_ns[0], s->last_sent_ns[1] },
        .subscriptions = s->n_subs,
        .open = s->open,
    };
    if (c != NULL && (c->flags & C_CONNECT) == 0)
        out->link = TRACK_LINK_MIDSTREAM;
    for (unsigned i = 0; i < 2; i++) {
        out->packets[i] = tally_of(s, TALLY_PACKETS + i);
        out->octets[i] = tally_of(s, TALLY_OCTETS + i);
        out->published_octets[i] = tally_of(s, TALLY_PUBLISHED_OCTETS + i);
        out->inflight[i] = s->inflight[i];
        out->inflight_max[i] = s->inflight_max[i];
        out->window[i] = c != NULL ? bounds_of(c)->window[i] : 0;
        out->alias_max[i] = c != NULL ? bounds_of(c)->alias_max[i] : 0;
        out->packet_max[i] = c != NULL ? bounds_of(c)->packet_max[i] : 0;
        for (unsigned q = 0; q < 3; q++)
            out->published[i][q] = tally_of(s, TALLY_PUBLISHED + 3 * i + q);
    }
    for (unsigned i = 0; i < TRACK_OUTCOMES; i++)
        out->finished[i] = i == TRACK_COMPLETE ? (uint32_t)tally_of(s, TALLY_COMPLETE) : p->finished[i];
    for (unsigned i = 0; i < 4; i++)
        out->violations[i] = (uint32_t)tally_of(s, TALLY_VIOLATIONS + i);
    fill_waiting(s, out);
}

/* By these the walks below know the records in use: the first pointer of one that is free is a link. */
_Static_assert(offsetof(struct session, client_id) == 0, "the number of a free session is 0");
_Static_assert(offsetof(struct exch, chain) == 0, "the number of a free exchange is 0");

bool track_session_next(const struct track *t, uint32_t *pos, struct track_session *out)
{
    while (*pos < t->sessions.held) {
        const struct session *s = slab_at(&t->sessions, (*pos)++);
        if (s->number == 0)
            continue;
        fill(s, out);
        return true;
    }
    return false;
}

static const struct session *by_number(const struct track *t, uint64_t number)
{
    for (uint32_t i = 0; number != 0 && i < t->sessions.held; i++) {
        const struct session *s = slab_at(&t->sessions, i);
        if (s->number == number)
            return s;
    }
    return NULL;
}

bool track_session_find(const struct track *t, uint64_t number, struct track_session *out)
{
    const struct session *s = by_number(t, number);
    if (s != NULL)
        fill(s, out);
    return s != NULL;
}

static bool next_exchange(const struct track *t, const struct session *s, uint32_t *pos, struct track_exchange *out)
{
    while (*pos < t->exchs.held) {
        const struct exch *x = slab_at(&t->exchs, (*pos)++);
        if (x->number == 0 || (s != NULL && x->session != s))
            continue;
        exch_fill(x, out);
        return true;
    }
    return false;
}

bool track_exchange_next(const struct track *t, uint32_t *pos, struct track_exchange *out)
{
    return next_exchange(t, NULL, pos, out);
}

bool track_exchange_of(const struct track *t, uint64_t session, uint32_t *pos, struct track_exchange *out)
{
    const struct session *s = by_number(t, session);
    return s != NULL && s->open > 0 && next_exchange(t, s, pos, out);
}

bool track_subscription_next(const struct track *t, uint64_t session, uint32_t *pos, struct track_subscription *out)
{
    const struct session *s = by_number(t, session);
    uint32_t at = 0;
    for (const struct sub *b = s != NULL ? s->subs : NULL; b != NULL; b = b->next) {
        if (b->gone || at++ < *pos)
            continue;
        (*pos)++;
        *out = (struct track_subscription){ .filter = sub_filter(b),
                                            .options = (uint8_t)b->options,
                                            .granted = (uint8_t)b->granted,
                                            .identifier = b->identifier,
                                            .frame = b->frame,
                                            .matched = b->matched };
        return true;
    }
    return false;
}

struct view track_client_of(const struct track *t, track_conn h)
{
    const struct conn *c = conn_of(t, h);
    bool known = c != NULL && c->session != NULL && c->session->client_id != NULL;
    return known ? view_of(c->session->client_id, c->session->client_id_len) : (struct view){ 0 };
}

uint64_t track_session_of(const struct track *t, track_conn h)
{
    const struct conn *c = conn_of(t, h);
    return c != NULL && c->session != NULL ? c->session->number : 0;
}

void track_count(const struct track *t, struct track_counts *out)
{
    *out = t->counts;
    out->connections = t->conns.used - t->n_closed;
    out->sessions = t->sessions.used;
    out->open = t->exchs.used;
    out->topics = t->n_topics;
    out->subscriptions = t->n_subs;
}
