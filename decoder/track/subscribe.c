/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/track/subscribe.c -- SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, and what a delivery tells of subscriptions
 * (session.md sections 11 to 13). */
#include "decoder/track/state.h"

#include "decoder/mqtt/topic.h"

#include <string.h>

enum {
    FAILURE = 0x80,
    NOT_ANSWERED = 0xff,
    NO_LOCAL = 4,
    AS_PUBLISHED = 8,
    QOS_BITS = 3,
    SUBS_WALKED = 64,
    IDENTIFIER_BITS = 0xfffffff
};
#define FRAME_BITS 0xffffffffffffu

static void want(struct track *t, struct exch *x, const struct mqtt_filter *f, uint32_t at,
                 const struct track_input *in)
{
    struct session *s = x->session;
    uint32_t identifier = mqtt_props_number(&in->packet->props, MQTT_PROP_SUBSCRIPTION_IDENTIFIER, 0);
    struct sub *b = sub_find(s, f->filter);
    if (b == NULL)
        b = sub_add(t, s, f->filter);
    else if (b->identifier != identifier) {
        b->changed = b->changed || b->identifier_was != 0;
        b->identifier_was = b->identifier;
    }
    if (b == NULL)
        return;
    b->identifier = identifier & IDENTIFIER_BITS;
    b->options = f->options;
    b->frame = in->frame & FRAME_BITS;
    if (b->gone)
        sub_grant(s, b, NOT_ANSWERED, true);
    if (!sub_ask(t, x, b, at))
        s->flags |= S_SUBS_LOST;
}

static bool has_wildcard(struct view filter)
{
    for (size_t i = 0; i < filter.len; i++)
        if (filter.ptr[i] == '#' || filter.ptr[i] == '+')
            return true;
    return false;
}

/* What CONNACK said the server does not have. */
static void judge_features(struct track *t, struct conn *c, const struct track_input *in)
{
    if (c->version != MQTT_V5 || (c->flags & (C_NO_WILDCARD | C_NO_SUBID | C_NO_SHARED)) == 0)
        return;
    unsigned severity = connack_reached(t, c, in) ? MQTT_SEVERITY_NONE : MQTT_SEVERITY_NOTE;
    bool wildcard = false, shared = false;
    struct mqtt_filter f;
    size_t pos = 0;
    while (mqtt_list_next(in->packet, &pos, &f)) {
        shared = shared || topic_is_shared(f.filter);
        wildcard = wildcard || has_wildcard(topic_is_shared(f.filter) ? topic_share_filter(f.filter) : f.filter);
    }
    if (wildcard && (c->flags & C_NO_WILDCARD) != 0)
        judge(t, c, MQTT_S5_3_2_2_3_11_C, severity, MQTT_CLIENT);
    if (shared && (c->flags & C_NO_SHARED) != 0)
        judge(t, c, MQTT_S5_3_2_2_3_13_C, severity, MQTT_CLIENT);
    if ((c->flags & C_NO_SUBID) != 0 && (in->packet->props.seen >> MQTT_PROP_SUBSCRIPTION_IDENTIFIER & 1) != 0)
        judge(t, c, MQTT_S5_3_2_2_3_12_C, severity, MQTT_CLIENT);
}

/* The identifier is in use: by a PUBLISH, or by another request of this connection. */
static bool taken_id(struct track *t, struct conn *c, struct exch *old, const struct track_input *in, uint32_t print)
{
    const struct mqtt_packet *p = in->packet;
    bool same = old->print == print && old->conn == c &&
                old->kind == (p->type == MQTT_SUBSCRIBE ? TRACK_SUBSCRIBE : TRACK_UNSUBSCRIBE);
    c->flags |= C_RESENT;
    if (same && c->version == MQTT_V31) { /* 3.1 sends requests again */
        exch_step(t, old, c, 0, TRACK_RETRANSMITTED, in);
        exch_owes(t, old, 1, old->owed_type);
        exch_note(t, old);
        return true;
    }
    bool sure = !exch_tainted(old) && is_sane(c, 0, old->id) && (old->conn == NULL ? session_sure(c) : conn_sure(c));
    if (sure)
        judge(t, c, by_version(c, MQTT_R4_2_3_1_2, MQTT_R5_2_2_1_3),
              old->conn == NULL ? reuse_severity(old) : MQTT_SEVERITY_NONE, MQTT_CLIENT);
    misuse(t, c, 0, old->id, 0);
    exch_finish(t, old, exch_tainted(old) ? TRACK_UNKNOWN : TRACK_REPLACED);
    return false;
}

static void note_filters(struct track *t, struct exch *x, const struct track_input *in)
{
    const struct mqtt_packet *p = in->packet;
    struct mqtt_filter f;
    size_t pos = 0;
    for (uint32_t at = 0; mqtt_list_next(p, &pos, &f); at++) {
        if (at == 0)
            x->topic = topic_hold(t, f.filter);
        if (p->type == MQTT_SUBSCRIBE) {
            want(t, x, &f, at, in);
            continue;
        }
        struct sub *b = sub_find(x->session, f.filter);
        if (b == NULL || b->gone)
            continue;
        x->subscribed++; /* filters that were subscribed */
        sub_ask(t, x, b, at);
    }
}

void on_request(struct track *t, struct conn *c, unsigned slot, const struct track_input *in)
{
    const struct mqtt_packet *p = in->packet;
    bool subscribe = p->type == MQTT_SUBSCRIBE;
    if (slot != 0 || !p->has_id || p->id == 0)
        return;
    uint32_t print = print_of(p->list.payload, p->type);
    struct exch *old = id_open(t, c, 0, p->id);
    if (old != NULL && taken_id(t, c, old, in, print))
        return;
    if (subscribe)
        judge_features(t, c, in);
    struct exch *x = exch_open(t, c, subscribe ? TRACK_SUBSCRIBE : TRACK_UNSUBSCRIBE, 0, p->id, in);
    if (x == NULL)
        return;
    x->stage = 1;
    x->print = print;
    x->filters = p->list.count;
    x->flags |= p->cut ? TRACK_GAPPED : 0;
    c->session->flags |= p->cut ? S_SUBS_LOST : 0; /* some filters, or which of them go, were not captured */
    if (subscribe)
        c->n_subscribe++;
    else
        c->n_unsubscribe++;
    note_filters(t, x, in);
    c->asked_ns = in->time_ns;
    exch_step(t, x, c, 0, 0, in);
    exch_owes(t, x, 1, subscribe ? MQTT_SUBACK : MQTT_UNSUBACK);
    exch_note(t, x);
}

/* SUBACK or UNSUBACK that answers nothing under way. */
static void unasked(struct track *t, struct conn *c, const struct track_input *in)
{
    bool sub = in->packet->type == MQTT_SUBACK;
    enum mqtt_rule rule;
    t->note->flags |= TRACK_NO_START | TRACK_OUT_OF_PLACE;
    if (c->ahead)
        conn_hole(t, c); /* the capture is out of order; the request will come and seem to wait */
    if (!conn_sure(c) || (c->flags & C_CONNECT) == 0 || !is_sane(c, 0, in->packet->id))
        return;
    if (in->packet->id == (sub ? c->sub_done : c->unsub_done))
        rule =
            sub ? by_version(c, MQTT_R4_3_8_4_4, MQTT_R5_3_8_4_5) : by_version(c, MQTT_R4_3_10_4_6, MQTT_R5_3_10_4_6);
    else if ((sub ? c->n_subscribe : c->n_unsubscribe) > 0)
        rule =
            sub ? by_version(c, MQTT_R4_3_8_4_2, MQTT_R5_3_8_4_2) : by_version(c, MQTT_R4_3_10_4_4, MQTT_R5_3_10_4_5);
    else
        rule = by_version(c, MQTT_R4_2_3_1_7, MQTT_R5_2_2_1_6);
    judge(t, c, rule, MQTT_SEVERITY_NONE, MQTT_SERVER);
}

static void judge_count(struct track *t, struct conn *c, const struct exch *x, const struct mqtt_packet *p)
{
    if (p->cut || (x->flags & TRACK_GAPPED) != 0 || p->list.count == x->filters || !conn_sure(c) ||
        !is_sane(c, 0, x->id))
        return;
    if (p->type == MQTT_UNSUBACK) {
        if (c->version == MQTT_V5)
            judge(t, c, MQTT_S5_3_11_3_A, MQTT_SEVERITY_NONE, MQTT_SERVER);
        return;
    }
    if (p->list.count == 0)
        return; /* the packet alone shows that */
    bool more = p->list.count > x->filters;
    judge(t, c, by_version(c, more ? MQTT_S4_3_9_3_A : MQTT_R4_3_8_4_5, MQTT_R5_3_8_4_6), MQTT_SEVERITY_NONE,
          MQTT_SERVER);
}

struct grants {
    unsigned refused, lower, higher, worst;
};

static void grant(struct session *s, struct sub *b, uint8_t code, struct grants *g)
{
    unsigned asked = b->options & QOS_BITS;
    sub_grant(s, b, code, code >= FAILURE && b->best == NOT_ANSWERED);
    if (code >= FAILURE) {
        g->refused++;
        g->worst = code;
        return;
    }
    g->lower += code < asked;
    g->higher += code > asked;
    if (b->best == NOT_ANSWERED || code > b->best)
        b->best = code;
    if (code < s->low_grant)
        s->low_grant = code & 3u;
}

static void tell_grants(struct track *t, struct conn *c, const struct exch *x, const struct grants *g,
                        const struct track_input *in)
{
    struct found f = {
        .side = MQTT_SERVER, .conn = c, .exch = x, .time_ns = in->time_ns, .frame = { x->first.frame, in->frame }
    };
    if (g->higher > 0)
        judge(t, c, by_version(c, MQTT_R4_3_8_4_5, MQTT_R5_3_8_4_7), MQTT_SEVERITY_WARNING, MQTT_SERVER);
    if (g->refused > 0) {
        f.diag = TRACK_DIAG_SUBSCRIBE_REFUSED;
        found(t, &f, "%u of %u filter(s) refused, the worst with code 0x%02x", g->refused, x->filters, g->worst);
    }
    if (g->lower > 0) {
        f.diag = TRACK_DIAG_QOS_DOWNGRADED;
        found(t, &f, "%u of %u filter(s) granted with a lower QoS than requested", g->lower, x->filters);
    }
}

static void subscribed(struct track *t, struct conn *c, struct exch *x, const struct track_input *in)
{
    const struct view codes = in->packet->list.payload;
    struct session *s = x->session;
    struct grants g = { 0 };
    for (const struct ask *a = x->asks; a != NULL; a = a->next)
        if (a->at < codes.len)
            grant(s, a->sub, codes.ptr[a->at], &g);
    asks_clear(t, x);
    x->reason = (uint8_t)g.worst;
    tell_grants(t, c, x, &g, in);
    session_event(t, s, TRACK_SESSION_SUBSCRIBED, in->frame);
    exch_finish(t, x, g.refused > 0 && g.refused >= x->filters ? TRACK_REFUSED : TRACK_COMPLETE);
}

static void unsubscribed(struct track *t, struct conn *c, struct exch *x, const struct track_input *in)
{
    const struct view codes = in->packet->list.payload;
    for (const struct ask *a = x->asks; a != NULL; a = a->next) {
        bool refused = c->version == MQTT_V5 && a->at < codes.len && codes.ptr[a->at] >= FAILURE;
        if (!refused)
            sub_grant(x->session, a->sub, a->sub->granted, true);
    }
    asks_clear(t, x);
    c->unsubscribed = true;
    session_event(t, x->session, TRACK_SESSION_UNSUBSCRIBED, in->frame);
    exch_finish(t, x, TRACK_COMPLETE);
}

void on_granted(struct track *t, struct conn *c, unsigned slot, const struct track_input *in)
{
    const struct mqtt_packet *p = in->packet;
    bool sub = p->type == MQTT_SUBACK;
    if (slot != 1 || !p->has_id || p->id == 0)
        return;
    struct exch *x = id_open(t, c, 0, p->id);
    if (x == NULL || x->kind != (sub ? TRACK_SUBSCRIBE : TRACK_UNSUBSCRIBE)) {
        unasked(t, c, in);
        return;
    }
    judge_count(t, c, x, p);
    c->session->flags |= p->cut ? S_SUBS_LOST : 0;
    exch_step(t, x, c, 1, 0, in);
    exch_owes(t, x, 0, 0);
    exch_note(t, x);
    if (sub) {
        c->asked_ns = in->time_ns;
        c->sub_done = p->id;
        subscribed(t, c, x, in);
    } else {
        c->unsub_done = p->id;
        unsubscribed(t, c, x, in);
    }
}

/* The client publishes what it has subscribed to: it should get that back. */
void expect_own(struct track *t, struct conn *c, const struct track_input *in, struct view topic, uint32_t print)
{
    struct session *s = c->session;
    unsigned n = 0;
    if (!session_sure(c) || (c->flags & C_UP) == 0)
        return;
    for (const struct sub *b = s->subs; b != NULL && n < SUBS_WALKED; b = b->next, n++) {
        struct view filter = sub_filter(b);
        if (b->gone || b->granted >= FAILURE || (b->options & NO_LOCAL) != 0 || topic_is_shared(filter) ||
            !topic_matches(filter, topic))
            continue;
        s->own = slab_take(t, &t->owns);
        if (s->own == NULL)
            return;
        *s->own = (struct own){ .frame = in->frame, .ns = in->time_ns, .print = print, .id = in->packet->id };
        timer_set(t, c->index, in->time_ns + t->cfg.answer_ns);
        return;
    }
}

void tell_own(struct track *t, struct conn *c, int64_t waited_ns, uint64_t frame)
{
    struct session *s = c->session;
    struct own own = *s->own;
    const struct exch *x = id_find(t, s, 0, own.id);
    bool taken = x == NULL || x->stage > 1; /* the server has acknowledged it */
    own_forget(t, s);
    if (!taken || !session_sure(c) || (s->flags & S_UNDELIVERED) != 0)
        return;
    s->flags |= S_UNDELIVERED;
    found(t,
          &(struct found){ .diag = TRACK_DIAG_NOT_DELIVERED,
                           .side = MQTT_SERVER,
                           .conn = c,
                           .time_ns = own.ns + waited_ns,
                           .frame = { own.frame, frame } },
          "The PUBLISH id %u in frame %llu was acknowledged but not delivered to the client's own matching "
          "subscription within %lld ms",
          own.id, (unsigned long long)own.frame, (long long)(waited_ns / 1000000));
}

static bool caused_by(const struct session *s, struct view topic, uint32_t identifier)
{
    for (const struct sub *b = s->subs; b != NULL; b = b->next) {
        bool named = b->identifier == identifier || b->identifier_was == identifier || b->changed;
        if (named && topic_matches(topic_share_filter(sub_filter(b)), topic))
            return true;
    }
    return false;
}

static void judge_identifiers(struct track *t, struct conn *c, const struct track_input *in, struct view topic)
{
    const struct mqtt_packet *p = in->packet;
    if (c->version != MQTT_V5 || (p->props.seen >> MQTT_PROP_SUBSCRIPTION_IDENTIFIER & 1) == 0 || p->publish.dup)
        return;
    struct mqtt_prop prop;
    struct mqtt_prop_walk walk = mqtt_props_walk(&p->props);
    while (mqtt_props_next(&walk, &prop)) {
        if (prop.id != MQTT_PROP_SUBSCRIPTION_IDENTIFIER || caused_by(c->session, topic, prop.number))
            continue;
        judge(t, c, MQTT_S5_3_3_4_A, MQTT_SEVERITY_NONE, MQTT_SERVER);
        return;
    }
}

/* No filter of the client matches the topic. Servers subscribe for clients and deliver what was queued: a hint. */
void judge_stray(struct track *t, struct conn *c, struct view topic)
{
    char plain[256];
    enum mqtt_rule rule = by_version(c, MQTT_R4_3_3_2_3, MQTT_R5_3_3_2_3);
    if (c->said_stray == STRAYS_SAID || !session_sure(c) || (c->session->flags & S_SUBS_LOST) != 0)
        return;
    c->said_stray++;
    if (topic.len > 0 && topic.len <= sizeof plain && topic.ptr[0] == '$') {
        memcpy(plain, topic.ptr, topic.len);
        plain[0] = '_';
        for (const struct sub *b = c->session->subs; b != NULL; b = b->next)
            if (topic_matches(topic_share_filter(sub_filter(b)), view_of(plain, topic.len)))
                rule = by_version(c, MQTT_R4_4_7_2_1, MQTT_R5_4_7_2_1);
    }
    judge(t, c, rule, MQTT_SEVERITY_NOTE, MQTT_SERVER);
}

/* A PUBLISH to a client whose subscriptions are known. Subscriptions made by the server cannot be seen: a delivery
 * above every granted QoS is a warning, one that no filter matches a note. from: what it hands on, NULL: not known. */
void judge_delivery(struct track *t, struct conn *c, const struct track_input *in, struct view topic,
                    const struct sent *from)
{
    struct session *s = c->session;
    struct reach r = { 0 };
    unsigned best = 0, shared = 0, n = 0;
    for (struct sub *b = s->subs; b != NULL && n < SUBS_WALKED; b = b->next, n++) {
        struct view filter = sub_filter(b);
        bool share = topic_is_shared(filter);
        if (!topic_matches(share ? topic_share_filter(filter) : filter, topic))
            continue;
        b->matched++;
        r.matches++;
        shared += share;
        r.local += (b->options & NO_LOCAL) != 0;
        r.published += (b->options & AS_PUBLISHED) != 0;
        r.open = r.open || b->best == NOT_ANSWERED || b->asked != NULL || b->unsure;
        if (b->best < FAILURE && b->best > best)
            best = b->best;
    }
    if (!session_sure(c) || (s->flags & S_SUBS_LOST) != 0 || n == SUBS_WALKED)
        return;
    judge_identifiers(t, c, in, topic);
    if (r.matches == 0) {
        judge_stray(t, c, topic);
        return;
    }
    r.above = in->packet->publish.qos > best && !r.open && !in->packet->publish.dup; /* sent again: as it was */
    r.settled = from != NULL && c->n_subscribe == 0 &&
                (c->asked_ns == INT64_MIN || from->time_ns - c->asked_ns > t->cfg.reach_ns);
    if (r.above)
        judge(t, c, by_version(c, MQTT_R4_3_8_4_6, shared == r.matches ? MQTT_R5_4_8_2_3 : MQTT_R5_3_8_4_8),
              MQTT_SEVERITY_WARNING, MQTT_SERVER);
    bool own = from == NULL ? (t->note->flags & TRACK_LOOPED) != 0 : from->session == s->number;
    if (own && !in->packet->publish.retain && r.local == r.matches && c->version == MQTT_V5)
        judge(t, c, MQTT_R5_3_8_3_3, MQTT_SEVERITY_NOTE, MQTT_SERVER);
    if (from != NULL)
        judge_forwarded(t, c, in, from, &r);
}
