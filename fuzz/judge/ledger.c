/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/judge/ledger.h"

#include <stdlib.h>
#include <string.h>

#include "decoder/mqtt/topic.h"

struct ledger *ledger_new(const struct run *run)
{
    struct ledger *l = malloc(sizeof *l);
    if (l == NULL)
        return NULL;
    l->run = run;
    l->n_parties = l->n_sessions = l->n_subs = l->n_pubs = l->n_deliveries = l->n_unsubs = 0;
    l->used = 0;
    l->full = false;
    l->end_ns = run->n_log > 0 ? run->log[run->n_log - 1].time_ns : 0;
    return l;
}

void ledger_free(struct ledger *l)
{
    free(l);
}

static uint64_t hash(struct view v)
{
    uint64_t h = 0xcbf29ce484222325u ^ v.len;
    for (size_t i = 0; i < v.len; i++)
        h = (h ^ v.ptr[i]) * 0x100000001b3u;
    return h;
}

/* The packet's octets may go before the run ends. */
static struct view keep(struct ledger *l, struct view v)
{
    if (v.ptr == NULL)
        return view_of(NULL, 0);
    if (v.len > sizeof l->text - l->used) {
        l->full = true;
        return view_of("", 0);
    }
    char *at = l->text + l->used;
    if (v.len > 0)
        memcpy(at, v.ptr, v.len);
    l->used += v.len;
    return view_of(at, v.len);
}

static bool same(struct view a, struct view b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static int64_t time_at(const struct ledger *l, uint32_t at)
{
    return l->run->log[at].time_ns;
}

static struct ledger_party *party(struct ledger *l, unsigned conn, uint32_t at)
{
    if (conn >= LEDGER_PARTIES) {
        l->full = true;
        return NULL;
    }
    for (; l->n_parties <= conn; l->n_parties++)
        l->party[l->n_parties] = (struct ledger_party){ .session = -1,
                                                        .previous = -1,
                                                        .end_at = LEDGER_NEVER,
                                                        .left_at = LEDGER_NEVER,
                                                        .accepted_at = LEDGER_NEVER,
                                                        .bad_at = LEDGER_NEVER,
                                                        .served_at = LEDGER_NEVER,
                                                        .told_at = LEDGER_NEVER,
                                                        .their_max_packet = UINT32_MAX,
                                                        .their_receive_max = UINT16_MAX };
    l->party[conn].client = l->run->log[at].client;
    l->party[conn].number = l->run->log[at].connection;
    return &l->party[conn];
}

/* ---- what clients say ---- */

bool ledger_wild(struct view filter)
{
    return filter.len > 0 &&
           (memchr(filter.ptr, '+', filter.len) != NULL || memchr(filter.ptr, '#', filter.len) != NULL);
}

static bool belongs(const struct ledger *l, struct view name)
{
    const char *prefix = l->run->plan->prefix;
    size_t n = strlen(prefix);
    for (size_t i = 0; n > 1 && i + n <= name.len; i++)
        if (memcmp(name.ptr + i, prefix, n) == 0)
            return true;
    return false;
}

/* Whether one identifier and two users are one session is for the broker to say. */
static void compare_users(struct ledger_party *me, struct ledger_party *before)
{
    if (same(me->user, before->user) && (me->user.ptr == NULL) == (before->user.ptr == NULL))
        return;
    me->faulty = before->faulty = true;
}

static void join_session(struct ledger *l, int16_t number, struct ledger_party *me, struct view id)
{
    uint32_t i = 0;
    me->ours = belongs(l, id);
    while (i < l->n_sessions && (id.len == 0 || !same(l->session[i].id, id)))
        i++;
    if (i == l->n_sessions)
        l->session[l->n_sessions++] = (struct ledger_session){ keep(l, id), number, number };
    else
        me->previous = l->session[i].last;
    me->session = (int16_t)i;
    l->session[i].last = number;
    if (me->previous < 0)
        return;
    compare_users(me, &l->party[me->previous]);
    if (l->party[me->previous].end_at == LEDGER_NEVER)
        l->party[me->previous].taken = true;
}

/* The session's subscriptions from before this connection are gone: surely once CONNACK says so. What came in one piece
 * with CONNECT is of this connection. */
static void drop_subs(struct ledger *l, const struct ledger_party *me, uint32_t removed_at)
{
    for (uint32_t i = 0; i < l->n_subs; i++) {
        struct ledger_sub *s = &l->sub[i];
        if (s->session != me->session || s->sent_at >= me->connect_at || s->removed_at != LEDGER_NEVER)
            continue;
        s->dropped = true;
        s->remove_at = s->remove_at < me->connect_at ? s->remove_at : me->connect_at;
        s->removed_at = removed_at;
    }
}

static bool has(const struct mqtt_props *props, unsigned id)
{
    return (props->seen & (uint64_t)1 << id) != 0;
}

static unsigned did_if(bool it, enum ledger_did what)
{
    return it ? (unsigned)what : 0;
}

/* 1 to 23 of 0-9a-zA-Z [MQTT-3.1.3-5]. */
static bool is_plain_id(struct view id)
{
    bool plain = id.len >= 1 && id.len <= 23;
    for (size_t i = 0; i < id.len && plain; i++)
        plain = (id.ptr[i] >= '0' && id.ptr[i] <= '9') || ((id.ptr[i] | 0x20) >= 'a' && (id.ptr[i] | 0x20) <= 'z');
    return plain;
}

/* By its own name and number. */
static bool names_version(const struct mqtt_connect *c, unsigned version)
{
    const char *name = version == MQTT_V31 ? "MQIsdp" : "MQTT";
    return c->level == version && same(c->protocol_name, view_of(name, strlen(name)));
}

static void on_connect(struct ledger *l, int16_t number, struct ledger_party *me, const struct mqtt_packet *p,
                       uint32_t at)
{
    const struct mqtt_connect *c = &p->connect;
    if (me->there) {
        me->faulty = true; /* a second CONNECT */
        return;
    }
    me->there = true;
    me->version = p->version;
    me->clean = c->clean;
    me->connect_at = at;
    me->connect_ns = time_at(l, at);
    me->keep_alive_s = c->keep_alive_s;
    me->expiry_s = mqtt_props_number(&p->props, MQTT_PROP_SESSION_EXPIRY_INTERVAL, 0);
    if (p->version != MQTT_V5)
        me->expiry_s = c->clean ? 0 : UINT32_MAX;
    me->asked_expiry_s = me->expiry_s;
    me->receive_max = (uint16_t)mqtt_props_number(&p->props, MQTT_PROP_RECEIVE_MAXIMUM, UINT16_MAX);
    me->max_packet = mqtt_props_number(&p->props, MQTT_PROP_MAXIMUM_PACKET_SIZE, UINT32_MAX);
    me->known_level = names_version(c, p->version);
    me->plain_id = is_plain_id(c->client_id);
    me->user = c->has_username ? keep(l, c->username) : view_of(NULL, 0);
    me->did |= (uint16_t)(did_if(c->will && c->will_retain, DID_RETAIN) | did_if(c->will && c->will_qos > 0, DID_QOS) |
                          did_if(me->max_packet != UINT32_MAX, DID_LARGE) |
                          did_if(c->will && has(&c->will_props, MQTT_PROP_PAYLOAD_FORMAT_INDICATOR), DID_FORMAT) |
                          did_if(has(&p->props, MQTT_PROP_AUTHENTICATION_METHOD), DID_METHOD));
    bool method = (p->props.seen & (uint64_t)1 << MQTT_PROP_AUTHENTICATION_METHOD) != 0;
    if (method || !me->known_level) /* nobody knows what comes of it: 0x83 and 0x84 are bridges to some */
        me->faulty = true;
    if (c->will) {
        me->will = (struct ledger_will){ .there = true,
                                         .topic = keep(l, c->will_topic),
                                         .payload = hash(c->will_payload),
                                         .qos = c->will_qos,
                                         .retain = c->will_retain };
        me->will.delay_s = mqtt_props_number(&c->will_props, MQTT_PROP_WILL_DELAY_INTERVAL, 0);
    }
    join_session(l, number, me, c->client_id);
}

static struct ledger_pub *open_pub(struct ledger *l, const struct ledger_party *me, uint16_t id)
{
    for (uint32_t i = l->n_pubs; i-- > 0;) {
        struct ledger_pub *pub = &l->pub[i];
        if (pub->id == id && pub->qos > 0 && pub->acked_at == LEDGER_NEVER && !pub->refused &&
            l->party[pub->party].session == me->session)
            return pub;
    }
    return NULL;
}

/* Did the session use this identifier in a way that leaves open what the broker holds under it? */
static bool muddled(const struct ledger *l, const struct ledger_party *me, uint16_t id)
{
    for (uint32_t i = 0; i < l->n_pubs; i++)
        if (l->pub[i].id == id && l->pub[i].qos > 0 && l->pub[i].refused && l->pub[i].acked_at == LEDGER_NEVER &&
            l->party[l->pub[i].party].session == me->session)
            return true;
    return false;
}

static void on_publish(struct ledger *l, int16_t number, struct ledger_party *me, const struct mqtt_packet *p,
                       struct view topic, uint32_t at)
{
    uint8_t qos = p->publish.qos;
    bool formatted = has(&p->props, MQTT_PROP_PAYLOAD_FORMAT_INDICATOR);
    me->did |= (uint16_t)(did_if(p->publish.retain, DID_RETAIN) | did_if(qos > 0, DID_QOS) |
                          did_if(formatted, DID_FORMAT) | did_if(has(&p->props, MQTT_PROP_TOPIC_ALIAS), DID_ALIAS));
    me->promises += qos > 0;
    struct ledger_pub *old = qos > 0 ? open_pub(l, me, p->id) : NULL;
    bool same_again = old != NULL && old->payload == hash(p->publish.payload) && same(old->topic, topic);
    if (same_again && p->publish.dup) {
        old->again = true;
        old->refused = old->refused || old->released_at != LEDGER_NEVER; /* after PUBREL it is no re-send */
        return;
    }
    me->faulty = me->faulty || (me->version == MQTT_V31 && old != NULL);
    if (old != NULL)
        old->refused = true; /* its identifier was used for something else: nothing is known of it any more */
    bool unclear = muddled(l, me, p->id);
    if (l->n_pubs == LEDGER_PUBS) {
        l->full = true;
        return;
    }
    struct ledger_pub *pub = &l->pub[l->n_pubs++];
    *pub = (struct ledger_pub){ .party = number,
                                .topic = keep(l, topic),
                                .payload = hash(p->publish.payload),
                                .payload_len = p->publish.payload_len,
                                .qos = qos,
                                .retain = p->publish.retain,
                                .again = p->publish.dup,
                                .id = p->id,
                                .sent_at = at,
                                .sent_ns = time_at(l, at),
                                .formatted = formatted,
                                .released_by = -1,
                                .received_at = LEDGER_NEVER,
                                .released_at = LEDGER_NEVER,
                                .acked_at = LEDGER_NEVER };
    pub->refused = old != NULL || (qos > 0 && unclear);
    pub->expires = (p->props.seen & (uint64_t)1 << MQTT_PROP_MESSAGE_EXPIRY_INTERVAL) != 0;
    pub->expiry_s = mqtt_props_number(&p->props, MQTT_PROP_MESSAGE_EXPIRY_INTERVAL, 0);
}

static void on_subscribe(struct ledger *l, int16_t number, struct ledger_party *me, const struct mqtt_packet *p,
                         uint32_t at)
{
    struct mqtt_filter f;
    size_t pos = 0;
    for (uint32_t i = 0; i < l->n_subs; i++) /* which SUBACK is for which? */
        if (l->sub[i].party == number && l->sub[i].id == p->id && l->sub[i].granted_at == LEDGER_NEVER)
            l->party[number].faulty = true;
    bool identified = has(&p->props, MQTT_PROP_SUBSCRIPTION_IDENTIFIER);
    for (uint16_t place = 0; mqtt_list_next(p, &pos, &f); place++) {
        me->did |= (uint16_t)(did_if(identified, DID_IDENTIFY) | did_if(topic_is_shared(f.filter), DID_SHARE) |
                              did_if(ledger_wild(f.filter), DID_WILDCARD));
        if (l->n_subs == LEDGER_SUBS) {
            l->full = true;
            return;
        }
        l->sub[l->n_subs++] = (struct ledger_sub){ .session = me->session,
                                                   .party = number,
                                                   .filter = keep(l, f.filter),
                                                   .options = f.options,
                                                   .identified = identified,
                                                   .id = p->id,
                                                   .place = place,
                                                   .sent_at = at,
                                                   .granted_at = LEDGER_NEVER,
                                                   .remove_at = LEDGER_NEVER,
                                                   .removed_at = LEDGER_NEVER };
    }
}

static void on_unsubscribe(struct ledger *l, int16_t number, const struct ledger_party *me, const struct mqtt_packet *p,
                           uint32_t at)
{
    struct mqtt_filter f;
    size_t pos = 0;
    for (uint32_t i = 0; i < l->n_unsubs; i++) /* which UNSUBACK is for which? */
        if (l->unsub[i].party == number && l->unsub[i].id == p->id && l->unsub[i].answered_at == LEDGER_NEVER)
            l->party[number].faulty = true;
    for (uint16_t place = 0; mqtt_list_next(p, &pos, &f); place++) {
        for (uint32_t i = 0; i < l->n_subs; i++) {
            struct ledger_sub *s = &l->sub[i];
            if (s->session != me->session || s->remove_at != LEDGER_NEVER || !same(s->filter, f.filter))
                continue;
            s->remove_at = at;
            s->remove_id = p->id;
        }
        if (l->n_unsubs == LEDGER_SUBS) {
            l->full = true;
            return;
        }
        l->unsub[l->n_unsubs++] = (struct ledger_request){ .party = number,
                                                           .id = p->id,
                                                           .place = place,
                                                           .filter = keep(l, f.filter),
                                                           .sent_at = at,
                                                           .answered_at = LEDGER_NEVER };
    }
}

/* The client acknowledges what it got. */
static void on_answer(struct ledger *l, const struct ledger_party *me, const struct mqtt_packet *p, uint32_t at)
{
    for (uint32_t i = l->n_deliveries; i-- > 0;) {
        struct ledger_delivery *d = &l->delivery[i];
        if (d->session == me->session && d->qos > 0 && d->id == p->id && d->answered_at == LEDGER_NEVER) {
            d->answered_at = at;
            d->received = p->type == MQTT_PUBREC && p->reason < 0x80 && d->qos == 2 && &l->party[d->party] == me;
            return;
        }
    }
}

static void on_leave(struct ledger_party *me, const struct mqtt_packet *p, uint32_t at)
{
    me->left = true;
    me->left_at = at;
    me->left_strange = p->reason != 0 || (p->props.seen & (uint64_t)1 << MQTT_PROP_SESSION_EXPIRY_INTERVAL) != 0;
}

static void said(struct ledger *l, int16_t number, struct ledger_party *me, const struct mqtt_packet *p,
                 struct view topic, uint32_t at)
{
    struct ledger_pub *pub;
    size_t len = p->header_len + (size_t)p->remaining;
    me->largest = len > me->largest ? (uint32_t)len : me->largest;
    me->faulty = me->faulty || me->left; /* nothing comes behind DISCONNECT */
    me->answers = me->answers || (p->type >= MQTT_PUBACK && p->type <= MQTT_PUBCOMP) || p->type == MQTT_AUTH;
    switch ((enum mqtt_type)p->type) {
    case MQTT_CONNECT:
        on_connect(l, number, me, p, at);
        break;
    case MQTT_PUBLISH:
        on_publish(l, number, me, p, topic, at);
        break;
    case MQTT_PUBREL:
        pub = open_pub(l, me, p->id);
        me->stray_release =
            me->stray_release || pub == NULL || pub->received_at == LEDGER_NEVER || pub->released_at != LEDGER_NEVER;
        if (pub != NULL && pub->qos == 2 && pub->released_at == LEDGER_NEVER) {
            pub->released_at = at;
            pub->released_by = number;
        }
        break;
    case MQTT_PUBACK:
    case MQTT_PUBREC:
        on_answer(l, me, p, at);
        break;
    case MQTT_SUBSCRIBE:
        on_subscribe(l, number, me, p, at);
        break;
    case MQTT_UNSUBSCRIBE:
        on_unsubscribe(l, number, me, p, at);
        break;
    case MQTT_PINGREQ:
        me->ping_at = at;
        me->pings++;
        break;
    case MQTT_DISCONNECT:
        on_leave(me, p, at);
        break;
    case MQTT_AUTH:
        me->faulty = true; /* as with an Authentication Method: nobody knows what comes of it */
        break;
    default:
        break;
    }
}

/* ---- what the broker says ---- */

/* The broker gives a name. What was asked for before CONNACK came is of this session, too. */
static void be_named(struct ledger *l, int16_t number, struct ledger_party *me, struct view id)
{
    int16_t nameless = me->session;
    join_session(l, number, me, id);
    for (uint32_t i = 0; i < l->n_subs; i++)
        if (l->sub[i].party == number && l->sub[i].session == nameless)
            l->sub[i].session = me->session;
}

static void on_connack(struct ledger *l, int16_t number, struct ledger_party *me, const struct mqtt_packet *p,
                       uint32_t at)
{
    struct mqtt_prop assigned;
    if (p->reason != 0 && !me->accepted) {
        me->told = p->reason;
        me->told_at = at;
    }
    if (p->reason != 0 || me->accepted)
        return;
    me->accepted = true;
    me->accepted_at = at;
    me->present = p->connack.session_present;
    if (p->version == MQTT_V31) /* it cannot tell; it has to be there */
        me->present = !me->clean && me->previous >= 0 && l->party[me->previous].accepted &&
                      l->party[me->previous].expiry_s == UINT32_MAX;
    me->their_max_packet = mqtt_props_number(&p->props, MQTT_PROP_MAXIMUM_PACKET_SIZE, UINT32_MAX);
    me->server_keep_alive_s = mqtt_props_number(&p->props, MQTT_PROP_SERVER_KEEP_ALIVE, 0);
    me->their_receive_max = mqtt_props_number(&p->props, MQTT_PROP_RECEIVE_MAXIMUM, UINT16_MAX);
    me->expiry_s = mqtt_props_number(&p->props, MQTT_PROP_SESSION_EXPIRY_INTERVAL, me->expiry_s);
    if (mqtt_props_find(&p->props, MQTT_PROP_ASSIGNED_CLIENT_IDENTIFIER, &assigned))
        be_named(l, number, me, assigned.text);
    if (me->clean || !me->present)
        drop_subs(l, me, at);
}

/* What was sent at `at` is answered now, and a PINGREQ sent after it was answered some time ago. */
static bool was_served(const struct ledger *l, const struct ledger_party *me, uint32_t sent_at, uint32_t at)
{
    enum { APART_MS = 200 };
    return me->pong_for > sent_at && time_at(l, at) - me->pong_ns >= (int64_t)APART_MS * 1000000;
}

/* With more or fewer codes than filters, nobody knows which is for which. */
static void on_codes(struct ledger *l, int16_t number, const struct ledger_party *me, const struct mqtt_packet *p,
                     uint32_t at)
{
    size_t filters = 0;
    for (uint32_t i = 0; i < l->n_subs; i++)
        filters += l->sub[i].party == number && l->sub[i].id == p->id && l->sub[i].granted_at == LEDGER_NEVER;
    for (uint32_t i = 0; i < l->n_subs; i++) {
        struct ledger_sub *s = &l->sub[i];
        if (s->party != number || s->id != p->id || s->granted_at != LEDGER_NEVER)
            continue;
        s->granted_at = at;
        s->served = was_served(l, me, s->sent_at, at);
        s->code = p->list.payload.len == filters ? p->list.payload.ptr[s->place] : 0xff;
    }
}

static void answer_unsub(const struct ledger *l, const struct ledger_party *me, struct ledger_request *r,
                         const struct mqtt_packet *p, uint32_t at)
{
    r->answered_at = at;
    r->served = was_served(l, me, r->sent_at, at);
    r->code = r->place < p->list.payload.len ? p->list.payload.ptr[r->place] : 0xff;
}

static void on_unsuback(struct ledger *l, int16_t number, const struct ledger_party *me, const struct mqtt_packet *p,
                        uint32_t at)
{
    bool refused = p->version == MQTT_V5;
    for (size_t i = 0; i < p->list.payload.len; i++)
        refused = refused && p->list.payload.ptr[i] >= 0x80;
    for (uint32_t i = 0; i < l->n_subs; i++) {
        struct ledger_sub *s = &l->sub[i];
        if (s->session == me->session && s->remove_at != LEDGER_NEVER && s->removed_at == LEDGER_NEVER &&
            s->remove_id == p->id && !refused)
            s->removed_at = at;
    }
    for (uint32_t i = 0; i < l->n_unsubs; i++)
        if (l->unsub[i].party == number && l->unsub[i].id == p->id && l->unsub[i].answered_at == LEDGER_NEVER)
            answer_unsub(l, me, &l->unsub[i], p, at);
}

static void on_ack(struct ledger *l, const struct ledger_party *me, const struct mqtt_packet *p, uint32_t at)
{
    struct ledger_pub *pub = open_pub(l, me, p->id);
    bool fits = pub != NULL && (p->type == MQTT_PUBACK ? pub->qos == 1 : pub->qos == 2);
    if (!fits)
        return;
    if (p->type == MQTT_PUBCOMP)
        pub->comp_served = pub->released_at != LEDGER_NEVER && was_served(l, me, pub->released_at, at);
    else if (pub->received_at == LEDGER_NEVER)
        pub->served = was_served(l, me, pub->sent_at, at);
    *(p->type == MQTT_PUBCOMP ? &pub->comp_reason : &pub->reason) = p->reason;
    if (p->reason >= 0x80) {
        pub->refused = true;
        return;
    }
    if (p->type == MQTT_PUBREC) {
        pub->received_at = pub->received_at == LEDGER_NEVER ? at : pub->received_at;
        return;
    }
    if (p->type == MQTT_PUBCOMP && pub->released_at == LEDGER_NEVER) {
        pub->refused = true; /* it answers another PUBREL: nothing is known of this one any more */
        return;
    }
    pub->acked_at = at;
    pub->acked_ns = time_at(l, at);
}

static void on_delivery(struct ledger *l, int16_t number, const struct ledger_party *me, const struct mqtt_packet *p,
                        struct view topic, uint32_t at)
{
    if (l->n_deliveries == LEDGER_DELIVERIES) {
        l->full = true;
        return;
    }
    struct ledger_delivery d = { .party = number,
                                 .session = me->session,
                                 .topic = keep(l, topic),
                                 .payload = hash(p->publish.payload),
                                 .qos = p->publish.qos,
                                 .dup = p->publish.dup,
                                 .retain = p->publish.retain,
                                 .id = p->id,
                                 .at = at,
                                 .answered_at = LEDGER_NEVER,
                                 .ns = time_at(l, at) };
    d.expires = (p->props.seen & (uint64_t)1 << MQTT_PROP_MESSAGE_EXPIRY_INTERVAL) != 0;
    d.expiry_s = mqtt_props_number(&p->props, MQTT_PROP_MESSAGE_EXPIRY_INTERVAL, 0);
    for (uint32_t i = 0; i < l->n_deliveries && d.qos > 0; i++) {
        const struct ledger_delivery *o = &l->delivery[i];
        d.again = d.again || (o->session == d.session && o->id == d.id && o->qos == d.qos && o->party != d.party &&
                              o->payload == d.payload && same(o->topic, d.topic));
    }
    l->delivery[l->n_deliveries++] = d;
}

static void heard(struct ledger *l, int16_t number, struct ledger_party *me, const struct mqtt_packet *p,
                  struct view topic, uint32_t at)
{
    switch ((enum mqtt_type)p->type) {
    case MQTT_CONNACK:
        on_connack(l, number, me, p, at);
        break;
    case MQTT_SUBACK:
        on_codes(l, number, me, p, at);
        break;
    case MQTT_UNSUBACK:
        on_unsuback(l, number, me, p, at);
        break;
    case MQTT_PUBACK:
    case MQTT_PUBREC:
    case MQTT_PUBCOMP:
        on_ack(l, me, p, at);
        break;
    case MQTT_PUBLISH:
        on_delivery(l, number, me, p, topic, at);
        break;
    case MQTT_PUBREL:
        for (uint32_t i = 0; i < l->n_deliveries; i++)
            l->delivery[i].released |= l->delivery[i].session == me->session && l->delivery[i].id == p->id;
        break;
    case MQTT_PINGRESP:
        me->pongs++;
        if (me->pongs != me->pings)
            break;
        me->pong_for = me->ping_at;
        me->pong_ns = time_at(l, at);
        break;
    case MQTT_DISCONNECT:
        me->told = p->reason;
        me->told_at = at;
        break;
    default:
        break;
    }
}

/* Did the broker take a packet that it had to refuse? Only what answers it, or what was said after it, tells. */
static void note_served(struct ledger_party *me, const struct mqtt_packet *p, uint32_t at)
{
    if (me->bad_at == LEDGER_NEVER)
        return;
    bool pong = p->type == MQTT_PINGRESP && me->pongs > me->pings_before;
    bool connack = p->type == MQTT_CONNACK && me->bad_connect && p->reason == 0;
    bool failing = p->reason >= 0x80;
    for (size_t i = 0; (p->type == MQTT_SUBACK || p->type == MQTT_UNSUBACK) && i < p->list.payload.len; i++)
        failing = failing || p->list.payload.ptr[i] >= 0x80;
    if (p->type != MQTT_CONNACK && p->has_id && p->id == me->bad_id && failing)
        me->bad_refused = true;
    if ((pong || connack) && me->served_at == LEDGER_NEVER)
        me->served_at = at;
}

/* A name that many a broker has a limit for, or that reads as half a shared subscription. */
static bool is_far(struct view name)
{
    enum { OCTETS = 1024, LEVELS = 100 };
    size_t slashes = 0;
    for (size_t i = 0; i < name.len; i++)
        slashes += name.ptr[i] == '/';
    return name.len > OCTETS || slashes >= LEVELS || (name.len == 6 && memcmp(name.ptr, "$share", 6) == 0);
}

static bool goes_far(const struct mqtt_packet *p)
{
    const struct mqtt_connect *c = &p->connect;
    struct mqtt_filter f;
    bool far = p->props.block.len > 1024;
    if (p->type == MQTT_CONNECT)
        return far || c->will_props.block.len > 1024 || is_far(c->client_id) || is_far(c->username) ||
               is_far(c->password) || is_far(c->will_topic);
    if (p->type == MQTT_PUBLISH)
        return far || is_far(p->publish.topic);
    if (p->type == MQTT_SUBSCRIBE || p->type == MQTT_UNSUBSCRIBE)
        for (size_t at = 0; !far && mqtt_list_next(p, &at, &f);)
            far = is_far(f.filter);
    return far;
}

void ledger_packet(struct ledger *l, unsigned conn, bool by_broker, const struct mqtt_packet *p, struct view topic,
                   uint32_t at)
{
    struct ledger_party *me = party(l, conn, at);
    if (me == NULL || l->full)
        return;
    if (by_broker) {
        heard(l, (int16_t)conn, me, p, topic, at);
        note_served(me, p, at);
    } else if (me->there || p->type == MQTT_CONNECT) {
        me->did |= (uint16_t)did_if(goes_far(p), DID_FAR);
        said(l, (int16_t)conn, me, p, topic, at);
    }
}

/* An empty Response Topic: no topic only because it is to serve as one, and no class of error is named for it. */
static bool is_implied(unsigned rule, const struct mqtt_packet *p)
{
    bool will = p->type == MQTT_CONNECT && p->connect.will_topic.len > 0;
    return rule == MQTT_R5_4_7_3_1 && (p->type == MQTT_PUBLISH || will);
}

void ledger_fault(struct ledger *l, unsigned conn, uint16_t rule, const struct mqtt_packet *p, uint32_t at)
{
    struct ledger_party *me = party(l, conn, at);
    if (me == NULL)
        return;
    bool refusal = rule_forces_refusal(mqtt_rule_info((enum mqtt_rule)rule));
    if (!me->faulty && p != NULL && refusal && !is_implied(rule, p)) {
        me->bad_rule = rule;
        me->bad_type = p->type;
        me->bad_connect = p->type == MQTT_CONNECT && !me->there; /* a second one is answered by closing */
        me->pings_before = me->pings;
        me->bad_id = p->id;
        me->bad_at = at;
    }
    me->faulty = true;
}

bool ledger_raced(const struct ledger *l, unsigned conn)
{
    if (conn >= l->n_parties || l->party[conn].session < 0)
        return false;
    const struct ledger_party *me = &l->party[conn];
    for (uint32_t i = 0; i < l->n_parties; i++) {
        const struct ledger_party *p = &l->party[i];
        if (i != conn && p->session == me->session && p->connect_at < me->accepted_at &&
            me->connect_at < p->accepted_at)
            return true;
    }
    return false;
}

void ledger_cut(struct ledger *l, unsigned conn)
{
    if (conn < l->n_parties)
        l->party[conn].faulty = true;
}

void ledger_close(struct ledger *l, unsigned conn, enum log_what what, uint32_t at)
{
    struct ledger_party *me = party(l, conn, at);
    if (me == NULL || me->end_at != LEDGER_NEVER)
        return;
    me->end_at = at;
    me->end_ns = time_at(l, at);
    me->closed_here = what == LOG_CLOSED_BY_US;
    me->reset_here = what == LOG_RESET_BY_US;
    me->closed_there = what == LOG_CLOSED_BY_BROKER || what == LOG_RESET_BY_BROKER;
}
