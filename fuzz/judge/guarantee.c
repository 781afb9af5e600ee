/* SPDX-License-Identifier: Apache-2.0
 *
 * What a ledger proves. Accused is only what the clients' own view makes certain: the broker acknowledged, granted, and
 * had time; the clients broke no rule, lived to the end and held no limit; names belong to this run alone; a message is
 * known by a topic and a payload that nothing else in the run has. Everything else is unknown and stays unsaid. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "decoder/base/utf8.h"
#include "fuzz/judge/weighing.h"

enum {
    LONG_S = 30, /* an expiry of at least this does not matter within a run */
    CLOCK_SLACK_MS = 200,
    QUOTA = 100, /* messages of a run; brokers may limit what they hold for one session */
    ROOMY = 4096 /* octets; a Maximum Packet Size beyond message and this does not matter */
};

static const struct guarantee_info infos[] = {
#define GUARANTEE(sym, oracle, in31, id311, id5, slow, title) { oracle, id311, id5, title, slow, in31 },
#include "fuzz/judge/guarantees.def"
};

const struct guarantee_info *guarantee_info(enum guarantee g)
{
    return &infos[g < GUARANTEE_COUNT ? g : 0];
}

void accuse(const struct weighing *w, enum guarantee what, unsigned version, bool hasty, const char *why, ...)
{
    struct accusation a = { .what = what, .version = (uint8_t)version, .hasty = hasty };
    const struct guarantee_info *info = guarantee_info(what);
    a.rule = version == MQTT_V5 ? info->id5 : info->id311;
    if (a.rule[0] == '-' || (version == MQTT_V31 && !info->in31))
        return;
    va_list args;
    va_start(args, why);
    vsnprintf(a.why, sizeof a.why, why, args);
    va_end(args);
    w->accuse(w->ctx, &a);
}

/* ---- small questions ---- */

bool ours(const struct weighing *w, struct view name)
{
    const char *prefix = w->l->run->plan->prefix;
    size_t n = strlen(prefix);
    return n > 1 && name.len >= n && memcmp(name.ptr, prefix, n) == 0 && utf8_check(name).worst < UTF8_NUL;
}

bool lived(const struct weighing *w, const struct ledger_party *p)
{
    return p->accepted && !p->faulty && !p->taken && p->end_at >= w->tail_at && !p->left && p->told == 0;
}

/* 3.1 has no rules for filters: what a broker makes of a strange one is its own affair. */
static bool has_strange_filter(const struct weighing *w, int16_t session)
{
    for (uint32_t i = 0; i < w->l->n_subs; i++) {
        const struct ledger_sub *s = &w->l->sub[i];
        if (s->session == session && w->l->party[s->party].version == MQTT_V31 &&
            (topic_check_filter(s->filter, false).fault != TOPIC_OK || utf8_check(s->filter).worst >= UTF8_NUL))
            return true;
    }
    return false;
}

/* Its subscriptions are known: it began in this run, and every connection was clear. */
bool known(const struct weighing *w, const struct ledger_session *s)
{
    int16_t i = s->last;
    for (; i != s->first && i >= 0; i = w->l->party[i].previous)
        if (w->l->party[i].faulty || w->raced[i])
            return false;
    const struct ledger_party *p = &w->l->party[s->first];
    return i >= 0 && !p->faulty && !w->raced[i] && (p->clean || p->ours) && !has_strange_filter(w, p->session);
}

static unsigned handling(const struct weighing *w, const struct ledger_sub *s)
{
    return w->l->party[s->party].version == MQTT_V5 ? s->options >> 4 & 3u : 0;
}

/* No other message of the run has this topic and payload: what arrives with them is this one. */
static bool unique(const struct weighing *w, struct view topic, uint64_t payload)
{
    unsigned n = 0;
    for (uint32_t i = 0; i < w->l->n_pubs; i++)
        n += w->l->pub[i].payload == payload && same(w->l->pub[i].topic, topic);
    for (uint32_t i = 0; i < w->l->n_parties; i++) {
        const struct ledger_will *will = &w->l->party[i].will;
        n += will->there && will->payload == payload && same(will->topic, topic);
    }
    return n == 1;
}

static bool is_of(const struct ledger_delivery *d, int16_t session, struct view topic, uint64_t payload)
{
    return d->session == session && d->payload == payload && same(d->topic, topic);
}

static const struct ledger_delivery *delivered(const struct weighing *w, int16_t session, struct view topic,
                                               uint64_t payload, uint32_t after)
{
    for (uint32_t i = 0; i < w->l->n_deliveries; i++)
        if (w->l->delivery[i].at > after && is_of(&w->l->delivery[i], session, topic, payload))
            return &w->l->delivery[i];
    return NULL;
}

static bool owes_acks(const struct weighing *w, int16_t session)
{
    for (uint32_t i = 0; i < w->l->n_deliveries; i++) {
        const struct ledger_delivery *d = &w->l->delivery[i];
        if (d->session == session && d->qos > 0 && d->answered_at == LEDGER_NEVER && !d->again)
            return true;
    }
    return false;
}

/* A missing PUBREL keeps the window shut: that is told, not what no longer comes. */
static bool waits_for_release(const struct weighing *w, int16_t session)
{
    for (uint32_t i = 0; i < w->l->n_deliveries; i++)
        if (w->l->delivery[i].session == session && w->l->delivery[i].received && !w->l->delivery[i].released)
            return true;
    return false;
}

static bool outlives(const struct ledger_party *p)
{
    return p->expiry_s >= LONG_S && !p->left_strange;
}

/* From `since` to the end the session was there, and its last connection lived. */
static bool stayed(const struct weighing *w, const struct ledger_session *s, int16_t since)
{
    const struct ledger_party *last = &w->l->party[s->last];
    if (!lived(w, last))
        return false;
    for (int16_t i = s->last; i != since;) {
        const struct ledger_party *p = &w->l->party[i];
        i = p->previous;
        if (i < 0 || p->clean || !p->present || !w->l->party[i].accepted || !outlives(&w->l->party[i]) ||
            w->l->party[i].taken || w->l->party[i].end_at > p->connect_at)
            return false;
    }
    return true;
}

/* No connection of the session since then set a Maximum Packet Size that a message of this length could exceed. */
static bool roomy(const struct weighing *w, const struct ledger_session *s, int16_t since, uint32_t payload_len)
{
    for (int16_t i = s->last; i >= 0; i = w->l->party[i].previous) {
        if (w->l->party[i].max_packet < payload_len + ROOMY)
            return false;
        if (i == since)
            break;
    }
    return true;
}

static bool connected_throughout(const struct weighing *w, const struct ledger_session *s, uint32_t from, uint32_t to)
{
    for (int16_t i = s->last; i >= 0; i = w->l->party[i].previous)
        if (w->l->party[i].accepted && w->l->party[i].accepted_at < from && w->l->party[i].end_at > to)
            return true;
    return false;
}

/* The broker took it over: acknowledged to the end, by a publisher without fault, with nothing that lets it go. */
static bool firm(const struct weighing *w, const struct ledger_pub *pub)
{
    return pub->qos > 0 && pub->acked_at != LEDGER_NEVER && !pub->refused && !w->l->party[pub->party].faulty &&
           w->l->party[pub->party].accepted && ours(w, pub->topic) && (!pub->expires || pub->expiry_s >= LONG_S);
}

/* ---- messages ---- */

static void weigh_lost(const struct weighing *w, const struct ledger_pub *pub, const struct ledger_sub *s)
{
    const struct ledger_session *session = &w->l->session[s->session];
    const struct ledger_party *last = &w->l->party[session->last];
    bool own = w->l->party[pub->party].session == s->session;
    if (s->granted_at >= pub->sent_at || s->code == 0 || s->code > 2 || s->remove_at != LEDGER_NEVER || shared(s) ||
        (own && asked_no_local(w, s)) || !matches(s, pub->topic) || !known(w, session) ||
        !stayed(w, session, s->party) || last->pong_for < pub->acked_at || owes_acks(w, s->session) ||
        waits_for_release(w, s->session) || !roomy(w, session, s->party, pub->payload_len) ||
        delivered(w, s->session, pub->topic, pub->payload, pub->sent_at))
        return;
    bool there = connected_throughout(w, session, pub->sent_at, pub->acked_at);
    bool hasty = ms(last->pong_ns - pub->acked_ns) < ENOUGH_MS ||
                 ms(last->pong_ns - time_of(w, last->accepted_at)) < ENOUGH_MS ||
                 ms(pub->sent_ns - time_of(w, s->granted_at)) < SETTLED_MS;
    accuse(
        w, there ? GUARANTEE_LOST : GUARANTEE_LOST_AWAY, last->version, hasty,
        "a QoS %u message that the broker acknowledged did not reach client %c, which is subscribed with QoS %u and %s",
        pub->qos, 'a' + w->l->run->log[last->accepted_at].client, s->code,
        there ? "was connected" : "came back to its session");
}

/* More copies than subscriptions could ask for. */
static void weigh_copies(const struct weighing *w, enum guarantee what, struct view topic, uint64_t payload,
                         unsigned qos, bool retain, int16_t session)
{
    unsigned copies = 0, allowed = 0;
    uint32_t at = 0;
    if (w->faulty || !known(w, &w->l->session[session])) /* a broken packet may hold the same message once more */
        return;
    for (uint32_t i = 0; i < w->l->n_deliveries; i++) {
        const struct ledger_delivery *d = &w->l->delivery[i];
        if (!is_of(d, session, topic, payload) || d->again || d->dup)
            continue;
        copies++;
        at = d->at;
    }
    for (uint32_t i = 0; i < w->l->n_subs && copies > 1; i++)
        if (w->l->sub[i].session == session && w->l->sub[i].sent_at < at && matches(&w->l->sub[i], topic))
            allowed += retain ? 2 : 1;
    if (copies > 1 && copies > allowed && allowed > 0)
        accuse(
            w, what, w->l->party[w->l->session[session].last].version, false,
            "client %c got %u copies of a QoS %u message that was to be sent once, and has %u matching subscription%s",
            'a' + w->l->run->log[at].client, copies, qos, allowed, allowed == 1 ? "" : "s");
}

/* A message sent again is the same message only while its session lasts. */
static bool sent_once(const struct weighing *w, const struct ledger_pub *pub)
{
    const struct ledger_party *me = &w->l->party[pub->party];
    if (me->faulty || pub->refused)
        return false;
    for (uint32_t i = 0; i < w->l->n_parties && pub->again; i++)
        if (w->l->party[i].session == me->session && (int16_t)i != pub->party && !w->l->party[i].present)
            return false;
    return !pub->again || pub->qos == 2;
}

static void weigh_subscription(const struct weighing *w, const struct ledger_pub *pub, const struct ledger_delivery *d)
{
    unsigned asking = 0, gone = 0, dropped = 0, no_local = 0;
    bool settled = true;
    for (uint32_t i = 0; i < w->l->n_subs; i++) {
        const struct ledger_sub *s = &w->l->sub[i];
        if (s->session != d->session || s->sent_at > d->at || !matches(s, pub->topic))
            continue;
        bool removed = s->removed_at < pub->sent_at;
        asking++;
        gone += removed;
        dropped += removed && s->dropped;
        no_local += !removed && !shared(s) && v5_option(w, s, NO_LOCAL);
        settled = settled && (!removed || ms(pub->sent_ns - time_of(w, s->removed_at)) >= SETTLED_MS);
    }
    unsigned version = w->l->party[d->party].version;
    char client = (char)('a' + w->l->run->log[d->at].client);
    bool own = w->l->party[pub->party].session == d->session;
    if (asking == gone)
        accuse(w, asking == 0 || dropped > 0 ? GUARANTEE_STRAY : GUARANTEE_UNSUBSCRIBED, version, !settled,
               "client %c got a message that was published %s", client,
               asking == 0   ? "to a topic it never subscribed"
               : dropped > 0 ? "after its subscriptions ended with their session"
                             : "after UNSUBACK");
    else if (own && !pub->will && !d->retain && asking == gone + no_local) /* of stored ones the standard is silent */
        accuse(w, GUARANTEE_NO_LOCAL, version, false, "client %c got its own message although it asked for No Local",
               client);
}

static void weigh_qos(const struct weighing *w, const struct ledger_pub *pub, const struct ledger_delivery *d)
{
    unsigned fits = 0, n = 0, unclear = 0, granted = 0;
    for (uint32_t i = 0; i < w->l->n_subs; i++) {
        const struct ledger_sub *s = &w->l->sub[i];
        if (s->session != d->session || s->sent_at > d->at || !matches(s, pub->topic))
            continue;
        unclear += s->granted_at == LEDGER_NEVER || s->code > 2;
        fits += d->qos == (pub->qos < s->code ? pub->qos : s->code);
        granted = s->code;
        n++;
    }
    if (n > 0 && fits == 0 && unclear == 0)
        accuse(w, GUARANTEE_QOS, w->l->party[d->party].version, false,
               "published with QoS %u, granted QoS %u, delivered with QoS %u", pub->qos, granted, d->qos);
}

static void weigh_retain(const struct weighing *w, const struct ledger_pub *pub, const struct ledger_delivery *d)
{
    unsigned n = 0, live = 0, later = 0, as_published = 0;
    bool settled = true;
    for (uint32_t i = 0; i < w->l->n_subs; i++) {
        const struct ledger_sub *s = &w->l->sub[i];
        if (s->session != d->session || s->sent_at > d->at || !matches(s, pub->topic))
            continue;
        n++;
        live += s->granted_at < pub->sent_at;
        later += !pub->will && pub->acked_at < s->sent_at && !shared(s);
        as_published += v5_option(w, s, AS_PUBLISHED);
        settled = settled && (pub->acked_at > s->sent_at || ms(time_of(w, s->sent_at) - pub->acked_ns) >= SETTLED_MS);
    }
    unsigned version = w->l->party[d->party].version;
    if (n > 0 && live == n && as_published == 0 && d->retain)
        accuse(w, GUARANTEE_RETAIN_LIVE, version, false,
               "the subscription was granted before the message was sent, yet it comes with RETAIN 1");
    else if (n > 0 && live == n && as_published == n && d->retain != pub->retain)
        accuse(w, GUARANTEE_AS_PUBLISHED, version, false, "published with RETAIN %u, delivered with RETAIN %u",
               pub->retain, d->retain);
    else if (n > 0 && later == n && pub->retain && !d->retain)
        accuse(w, GUARANTEE_RETAINED_FLAG, version, !settled,
               "the message was stored before the subscription was made, yet it comes with RETAIN 0");
}

static void weigh_expiry(const struct weighing *w, const struct ledger_pub *pub, const struct ledger_delivery *d)
{
    int64_t waited_ms = ms(d->ns - pub->sent_ns);
    if (!pub->expires || pub->will || w->l->party[d->party].version != MQTT_V5 || d->again || pub->again)
        return;
    if (waited_ms > (int64_t)pub->expiry_s * 1000 + 1000 + CLOCK_SLACK_MS)
        accuse(w, GUARANTEE_EXPIRED, MQTT_V5, false,
               "a message with a Message Expiry Interval of %u s comes %lld ms after it was sent", pub->expiry_s,
               (long long)waited_ms);
    else if (d->expires &&
             (d->expiry_s > pub->expiry_s ||
              (int64_t)d->expiry_s * 1000 > (int64_t)pub->expiry_s * 1000 - waited_ms + 1000 + CLOCK_SLACK_MS))
        accuse(w, GUARANTEE_EXPIRY, MQTT_V5, false,
               "a Message Expiry Interval of %u s is still %u s after %lld ms of waiting", pub->expiry_s, d->expiry_s,
               (long long)waited_ms);
}

/* Two messages of one publisher, topic and QoS that arrive the other way round. */
static void weigh_order(const struct weighing *w, const struct ledger_pub *a, const struct ledger_pub *b,
                        int16_t session)
{
    const struct ledger_delivery *da = NULL, *db = NULL;
    unsigned asking = 0, copies = 0;
    if (a->party != b->party || a->qos != b->qos || !same(a->topic, b->topic) || a->again || b->again ||
        (a->qos == 2 && a->acked_at > b->sent_at))
        return;
    for (uint32_t i = 0; i < w->l->n_subs; i++)
        if (w->l->sub[i].session == session && matches(&w->l->sub[i], a->topic))
            asking += shared(&w->l->sub[i]) ? 2 : 1;
    for (uint32_t i = 0; i < w->l->n_deliveries; i++) {
        const struct ledger_delivery *d = &w->l->delivery[i];
        if (is_of(d, session, a->topic, a->payload))
            da = d;
        else if (is_of(d, session, a->topic, b->payload))
            db = d;
        else
            continue;
        copies++;
    }
    if (asking == 1 && copies == 2 && da != NULL && db != NULL && da > db && da->party == db->party &&
        da->qos == db->qos && !da->dup && !db->dup && !da->retain && !db->retain)
        accuse(w, GUARANTEE_ORDER, w->l->party[da->party].version, false,
               "client %c got the later of two QoS %u messages of one publisher and topic before the earlier",
               'a' + w->l->run->log[da->at].client, a->qos);
}

static void weigh_delivery(const struct weighing *w, const struct ledger_pub *pub, const struct ledger_delivery *d)
{
    if (d->at < pub->sent_at || !known(w, &w->l->session[d->session]))
        return;
    weigh_subscription(w, pub, d);
    weigh_qos(w, pub, d);
    weigh_retain(w, pub, d);
    weigh_expiry(w, pub, d);
}

static void weigh_shared(const struct weighing *w, const struct ledger_pub *pub, const struct ledger_sub *group)
{
    unsigned copies = 0;
    bool counted[LEDGER_PARTIES] = { false };
    if (pub->again) /* to the broker that may be another message */
        return;
    for (uint32_t i = 0; i < w->l->n_deliveries; i++) {
        const struct ledger_delivery *d = &w->l->delivery[i];
        bool stored = pub->retain && d->retain; /* comes with a SUBSCRIBE, which is another fault */
        if (!is_of(d, d->session, pub->topic, pub->payload) || d->again || d->dup || stored || counted[d->session])
            continue;
        counted[d->session] = true;
        unsigned in_group = 0, others = 0;
        for (uint32_t k = 0; k < w->l->n_subs; k++) {
            const struct ledger_sub *s = &w->l->sub[k];
            if (s->session != d->session || !matches(s, pub->topic))
                continue;
            in_group += same(s->filter, group->filter);
            others += !same(s->filter, group->filter);
        }
        if (!known(w, &w->l->session[d->session]) || !lived(w, &w->l->party[d->party]))
            return; /* what was given to somebody who went away may be given to another */
        copies += in_group > 0 && others == 0;
    }
    if (copies > 1 && w->l->party[group->party].version == MQTT_V5)
        accuse(w, GUARANTEE_SHARED, MQTT_V5, false, "%u sessions of one shared subscription got the same message",
               copies);
}

/* Of what came nothing is said when somebody's broken packets may hold the same message, too (w->faulty). */
static void weigh_messages(const struct weighing *w)
{
    const struct ledger *l = w->l;
    for (uint32_t i = 0; i < l->n_pubs; i++) {
        const struct ledger_pub *pub = &l->pub[i];
        if (!ours(w, pub->topic) || !unique(w, pub->topic, pub->payload) || l->party[pub->party].faulty)
            continue;
        for (uint32_t k = 0; k < l->n_subs; k++) {
            if (firm(w, pub) && l->n_pubs < QUOTA)
                weigh_lost(w, pub, &l->sub[k]);
            if (!w->faulty && shared(&l->sub[k]) && matches(&l->sub[k], pub->topic))
                weigh_shared(w, pub, &l->sub[k]);
        }
        for (uint32_t k = 0; k < l->n_deliveries && !w->faulty; k++)
            if (is_of(&l->delivery[k], l->delivery[k].session, pub->topic, pub->payload))
                weigh_delivery(w, pub, &l->delivery[k]);
        for (uint32_t k = 0; k < l->n_sessions; k++) {
            if (pub->qos != 1 && sent_once(w, pub))
                weigh_copies(w, pub->qos == 2 ? GUARANTEE_TWICE : GUARANTEE_TWICE_QOS0, pub->topic, pub->payload,
                             pub->qos, pub->retain, (int16_t)k);
            for (uint32_t n = i + 1; n < l->n_pubs && !w->faulty && known(w, &l->session[k]); n++)
                if (unique(w, l->pub[n].topic, l->pub[n].payload))
                    weigh_order(w, pub, &l->pub[n], (int16_t)k);
        }
    }
}

static void weigh_unknown_messages(const struct weighing *w)
{
    for (uint32_t i = 0; i < w->l->n_deliveries && !w->faulty && !w->nameless; i++) {
        const struct ledger_delivery *d = &w->l->delivery[i];
        bool found = !ours(w, d->topic);
        for (uint32_t k = 0; k < w->l->n_pubs && !found; k++)
            found = is_of(d, d->session, w->l->pub[k].topic, w->l->pub[k].payload);
        for (uint32_t k = 0; k < w->l->n_parties && !found; k++)
            found = w->l->party[k].will.there &&
                    is_of(d, d->session, w->l->party[k].will.topic, w->l->party[k].will.payload);
        if (!found)
            accuse(w, GUARANTEE_ALTERED, w->l->party[d->party].version, false,
                   "client %c got a message whose topic and payload nobody sent in this run",
                   'a' + w->l->run->log[d->at].client);
    }
}

/* Its subscriptions ask for it only if # and + stood for a first level that starts with $. */
static void weigh_dollars(const struct weighing *w)
{
    for (uint32_t i = 0; i < w->l->n_deliveries; i++) {
        const struct ledger_delivery *d = &w->l->delivery[i];
        unsigned asking = 0, by_wildcard = 0;
        if (d->topic.len < 2 || d->topic.ptr[0] != '$' || !known(w, &w->l->session[d->session]))
            continue;
        for (uint32_t k = 0; k < w->l->n_subs; k++) {
            const struct ledger_sub *s = &w->l->sub[k];
            struct view filter = shared(s) ? topic_share_filter(s->filter) : s->filter;
            if (s->session != d->session || s->sent_at > d->at)
                continue;
            asking += matches(s, d->topic);
            by_wildcard += filter.len > 0 && (filter.ptr[0] == '#' || filter.ptr[0] == '+') &&
                           topic_matches(filter, view_of(d->topic.ptr + 1, d->topic.len - 1));
        }
        if (asking == 0 && by_wildcard > 0)
            accuse(w, GUARANTEE_DOLLAR, w->l->party[d->party].version, false,
                   "client %c has only filters that start with a wildcard, and gets a message of a topic that starts "
                   "with $",
                   'a' + w->l->run->log[d->at].client);
    }
}

static void weigh_resends(const struct weighing *w)
{
    for (uint32_t i = 0; i < w->l->n_deliveries; i++) {
        const struct ledger_delivery *d = &w->l->delivery[i];
        const struct ledger_session *session = &w->l->session[d->session];
        const struct ledger_party *last = &w->l->party[session->last];
        if (d->qos == 0 || d->answered_at != LEDGER_NEVER || d->expires || last->previous != d->party || d->again ||
            !ours(w, d->topic) || !known(w, session) || !stayed(w, session, d->party) || last->receive_max < QUOTA ||
            last->max_packet < UINT32_MAX || w->l->n_pubs >= QUOTA || last->pong_for < last->accepted_at ||
            delivered(w, d->session, d->topic, d->payload, last->connect_at) != NULL)
            continue;
        accuse(
            w, GUARANTEE_NOT_RESENT, last->version, ms(last->pong_ns - time_of(w, last->accepted_at)) < ENOUGH_MS,
            "client %c came back to its session, but a QoS %u message that it had not acknowledged is not sent again",
            'a' + w->l->run->log[last->accepted_at].client, d->qos);
    }
}

/* ---- retained messages ---- */

/* What the topic's retained message is when `at` comes: the last one, when all are acknowledged in a row. NULL: none
 * was sent; *clear: that is certain. */
static const struct ledger_pub *retained_at(const struct weighing *w, struct view topic, uint32_t at, bool *clear)
{
    const struct ledger_pub *last = NULL;
    *clear = !w->faulty && !w->nameless;
    for (uint32_t i = 0; i < w->l->n_pubs; i++) {
        const struct ledger_pub *pub = &w->l->pub[i];
        if (!pub->retain || !same(pub->topic, topic))
            continue;
        *clear = *clear && firm(w, pub) && !pub->expires && !pub->again && pub->acked_at < at &&
                 (last == NULL || last->acked_at < pub->sent_at);
        last = pub;
    }
    for (uint32_t i = 0; i < w->l->n_parties; i++)
        if (w->l->party[i].will.there && w->l->party[i].will.retain && same(w->l->party[i].will.topic, topic))
            *clear = false;
    return last;
}

/* Which retained deliveries of this topic came since, and is the latest stored message among them? */
struct arrivals {
    unsigned n, flagged, right, older;
    uint32_t first_at;
};

static struct arrivals arrivals_of(const struct weighing *w, int16_t session, struct view topic, uint32_t since,
                                   const struct ledger_pub *stored)
{
    struct arrivals a = { 0 };
    for (uint32_t i = 0; i < w->l->n_deliveries; i++) {
        const struct ledger_delivery *d = &w->l->delivery[i];
        if (d->session != session || d->at < since || !same(d->topic, topic) || d->again)
            continue;
        bool right = stored != NULL && d->payload == stored->payload;
        a.n++;
        a.flagged += d->retain;
        a.right += right;
        for (uint32_t k = 0; k < w->l->n_pubs && d->retain && !right; k++)
            a.older += w->l->pub[k].retain && is_of(d, session, w->l->pub[k].topic, w->l->pub[k].payload);
    }
    return a;
}

static void weigh_new_subscription(const struct weighing *w, const struct ledger_sub *s, struct view topic)
{
    bool clear;
    const struct ledger_pub *stored = retained_at(w, topic, s->sent_at, &clear);
    const struct ledger_party *p = &w->l->party[s->party];
    const struct ledger_session *session = &w->l->session[s->session];
    if (!clear || s->granted_at == LEDGER_NEVER || s->code > 2 || s->remove_at != LEDGER_NEVER || !known(w, session) ||
        session->last != s->party || v5_option(w, s, AS_PUBLISHED))
        return;
    struct arrivals a = arrivals_of(w, s->session, topic, s->sent_at, stored);
    char client = (char)('a' + w->l->run->log[s->sent_at].client);
    bool empty = stored != NULL && stored->payload_len == 0, unasked = handling(w, s) == 2;
    bool settled = stored == NULL || ms(time_of(w, s->sent_at) - stored->acked_ns) >= SETTLED_MS;
    if (a.flagged > 0 && shared(s))
        accuse(w, GUARANTEE_RETAINED_SHARED, p->version, false, "client %c got a retained message", client);
    else if (shared(s))
        return;
    else if (a.flagged > 0 && stored == NULL)
        accuse(w, GUARANTEE_RETAINED_NEVER, p->version, false,
               "client %c got a retained message, though no message of this topic was sent with RETAIN 1", client);
    else if (a.flagged > 0 && unasked)
        accuse(w, GUARANTEE_RETAINED_UNASKED, p->version, false, "client %c got a retained message", client);
    else if (a.flagged > 0 && empty)
        accuse(w, GUARANTEE_RETAINED_ERASED, p->version, !settled,
               "client %c got a retained message, though an empty one was acknowledged before it subscribed", client);
    else if (a.older > 0)
        accuse(w, GUARANTEE_RETAINED_OLD, p->version, !settled,
               "client %c got a retained message, though a newer one was acknowledged before it subscribed", client);
    else if (stored != NULL && !empty && !unasked && a.right == 0 && lived(w, p) && p->pong_for > s->granted_at &&
             !owes_acks(w, s->session) && p->max_packet >= stored->payload_len + ROOMY)
        accuse(
            w, GUARANTEE_RETAINED_LOST, p->version, !settled || ms(p->pong_ns - time_of(w, s->granted_at)) < ENOUGH_MS,
            "client %c subscribed after the broker had acknowledged the retained message, and does not get it", client);
}

/* The same filter once more with Retain Handling 1: nothing comes again. */
static void weigh_repeated_subscription(const struct weighing *w, const struct ledger_sub *old,
                                        const struct ledger_sub *s, struct view topic)
{
    bool clear;
    const struct ledger_pub *stored = retained_at(w, topic, old->sent_at, &clear);
    if (!clear || stored == NULL || stored->payload_len == 0 || handling(w, s) != 1 || shared(s) ||
        !same(old->filter, s->filter) || old->granted_at >= s->sent_at || old->code > 2 || s->code > 2 ||
        old->remove_at != LEDGER_NEVER || old->party != s->party || !known(w, &w->l->session[s->session]) ||
        v5_option(w, old, AS_PUBLISHED) || v5_option(w, s, AS_PUBLISHED))
        return;
    struct arrivals a = arrivals_of(w, s->session, topic, old->sent_at, stored);
    if (a.flagged > (handling(w, old) == 2 ? 0u : 1u))
        accuse(w, GUARANTEE_RETAINED_AGAIN, MQTT_V5, false, "client %c got the retained message %u times",
               'a' + w->l->run->log[s->sent_at].client, a.flagged);
}

static void weigh_retained(const struct weighing *w)
{
    for (uint32_t i = 0; i < w->l->n_pubs; i++) {
        struct view topic = w->l->pub[i].topic;
        bool first = ours(w, topic);
        for (uint32_t k = 0; k < i; k++)
            first = first && !same(w->l->pub[k].topic, topic);
        for (int16_t session = 0; first && session < (int16_t)w->l->n_sessions; session++) {
            const struct ledger_sub *at[3] = { NULL };
            unsigned n = 0;
            for (uint32_t k = 0; k < w->l->n_subs; k++)
                if (w->l->sub[k].session == session && matches(&w->l->sub[k], topic))
                    at[n < 2 ? n++ : 2] = &w->l->sub[k];
            if (n == 1)
                weigh_new_subscription(w, at[0], topic);
            else if (n == 2 && at[2] == NULL)
                weigh_repeated_subscription(w, at[0], at[1], topic);
        }
    }
}

/* ---- wills ---- */

/* The broker had nothing to write to it when it closed: else that fails, and the connection may be gone to the broker
 * before it has read the DISCONNECT. */
static bool owed_nothing(const struct weighing *w, const struct ledger_party *p)
{
    bool owed = p->pings != p->pongs;
    for (uint32_t i = 0; i < w->l->n_subs; i++)
        owed = owed || w->l->sub[i].session == p->session;
    for (uint32_t i = 0; i < w->l->n_pubs; i++)
        owed = owed || (&w->l->party[w->l->pub[i].party] == p && w->l->pub[i].qos > 0 && !w->l->pub[i].will &&
                        w->l->pub[i].acked_at == LEDGER_NEVER);
    return !owed;
}

/* Did the broker take all that came before its DISCONNECT? One packet that it refuses by closing, for whatever reason,
 * and the will is due before the DISCONNECT is read. */
static bool heard_out(const struct weighing *w, const struct ledger_party *p)
{
    const struct ledger *l = w->l;
    for (uint32_t i = 0; i < l->n_pubs; i++) {
        const struct ledger_pub *pub = &l->pub[i];
        bool answered = pub->qos > 0 ? pub->acked_at != LEDGER_NEVER : p->pong_for > pub->sent_at;
        if (&l->party[pub->party] == p && !pub->will && !answered)
            return false;
    }
    for (uint32_t i = 0; i < l->n_subs; i++)
        if (&l->party[l->sub[i].party] == p && l->sub[i].granted_at == LEDGER_NEVER)
            return false;
    for (uint32_t i = 0; i < l->n_unsubs; i++)
        if (&l->party[l->unsub[i].party] == p && l->unsub[i].answered_at == LEDGER_NEVER)
            return false;
    return !p->answers;
}

static void weigh_will_at(const struct weighing *w, const struct ledger_party *p, const struct ledger_sub *s)
{
    const struct ledger_session *session = &w->l->session[s->session];
    const struct ledger_party *watcher = &w->l->party[session->last];
    if (!known(w, session) || s->session == p->session || shared(s) || !matches(s, p->will.topic) ||
        s->party != session->last || s->remove_at != LEDGER_NEVER || s->granted_at > p->end_at || s->code > 2)
        return;
    const struct ledger_delivery *d = delivered(w, s->session, p->will.topic, p->will.payload, p->connect_at);
    uint32_t delay_s = p->version != MQTT_V5 ? 0 : p->will.delay_s < p->expiry_s ? p->will.delay_s : p->expiry_s;
    int64_t due_ns = p->end_ns + (int64_t)delay_s * 1000000000;
    const struct ledger_party *back = NULL;
    for (uint32_t i = 0; i < w->l->n_parties; i++)
        if (w->l->party[i].session == p->session && w->l->party[i].connect_at > p->connect_at && back == NULL)
            back = &w->l->party[i];
    if (p->left) {
        if (d != NULL && heard_out(w, p) && (!p->closed_here || owed_nothing(w, p)))
            accuse(w, GUARANTEE_WILL_UNDUE, p->version, false, "the client had said DISCONNECT, yet its will comes");
        return;
    }
    bool returned = back != NULL && back->accepted && back->connect_ns < due_ns;
    if (d != NULL && delay_s > 0 && back == NULL && ms(due_ns - d->ns) > CLOCK_SLACK_MS)
        accuse(w, GUARANTEE_WILL_EARLY, p->version, false,
               "the will comes %lld ms after the connection broke; its delay is %u s", (long long)ms(d->ns - p->end_ns),
               delay_s);
    if (d != NULL && returned && back->present && !back->clean && d->ns > due_ns &&
        ms(due_ns - time_of(w, back->accepted_at)) > CLOCK_SLACK_MS)
        accuse(w, GUARANTEE_WILL_CANCELLED, p->version, false,
               "the client was back %lld ms before its will was due, yet it comes",
               (long long)ms(due_ns - back->connect_ns));
    if (d == NULL && !returned && back == NULL && lived(w, watcher) && ms(watcher->pong_ns - due_ns) > 0 &&
        s->code > 0 && p->will.qos > 0 && watcher->max_packet == UINT32_MAX && !owes_acks(w, s->session))
        accuse(w, GUARANTEE_WILL_LOST, p->version,
               ms(watcher->pong_ns - due_ns) < ENOUGH_MS + (delay_s > 0 ? 1000 : 0) ||
                   ms(p->end_ns - time_of(w, s->granted_at)) < SETTLED_MS,
               "the connection broke without DISCONNECT, and a subscriber got no will within %lld ms",
               (long long)ms(watcher->pong_ns - due_ns));
}

static void weigh_wills(const struct weighing *w)
{
    for (uint32_t i = 0; i < w->l->n_parties; i++) {
        const struct ledger_party *p = &w->l->party[i];
        bool ended = p->end_at < w->tail_at && !p->taken && !p->left_strange && (!p->left || !p->reset_here);
        if (!p->will.there || !p->accepted || p->faulty || !ended || !ours(w, p->will.topic) ||
            !unique(w, p->will.topic, p->will.payload) || (!p->left && !p->closed_here && !p->reset_here))
            continue;
        for (uint32_t k = 0; k < w->l->n_subs; k++)
            weigh_will_at(w, p, &w->l->sub[k]);
        for (uint32_t k = 0; k < w->l->n_sessions && p->will.qos != 1; k++)
            weigh_copies(w, GUARANTEE_WILL_TWICE, p->will.topic, p->will.payload, p->will.qos, p->will.retain,
                         (int16_t)k);
    }
}

/* ---- sessions and reactions ---- */

static void weigh_sessions(const struct weighing *w)
{
    for (uint32_t i = 0; i < w->l->n_parties; i++) {
        const struct ledger_party *p = &w->l->party[i];
        if (!p->accepted || p->faulty || p->clean || !p->ours || p->version < MQTT_V311 || w->raced[i])
            continue;
        char client = (char)('a' + w->l->run->log[p->accepted_at].client);
        if (p->previous < 0) {
            if (p->present)
                accuse(w, GUARANTEE_SESSION_INVENTED, p->version, false,
                       "client %c connects for the first time, with a client identifier nobody else has", client);
            continue;
        }
        const struct ledger_party *q = &w->l->party[p->previous];
        int64_t away_ms = ms(p->connect_ns - q->end_ns);
        if (!q->accepted || q->faulty || q->taken || w->raced[p->previous] || q->left_strange ||
            q->end_at > p->connect_at || q->version != p->version)
            continue;
        if (!p->present && outlives(q) && away_ms < (LONG_S - 10) * 1000)
            accuse(w, GUARANTEE_SESSION_GONE, p->version, false,
                   "client %c comes back after %lld ms to a session that was to be kept", client, (long long)away_ms);
        if (p->present && (uint64_t)away_ms > q->expiry_s * 1000ull + (q->expiry_s > 0 ? 2000 : SETTLED_MS))
            accuse(w, GUARANTEE_SESSION_INVENTED, p->version, q->expiry_s == 0 && away_ms < ENOUGH_MS,
                   "the session of client %c had ended %lld ms before", client,
                   (long long)away_ms - (int64_t)q->expiry_s * 1000);
    }
}

/* What an unclear client sent holds the prefix of the run, or came in pieces too small to tell. */
static bool speaks_of_ours(const struct weighing *w, const struct ledger_party *p)
{
    const struct run *run = w->l->run;
    size_t n = strlen(run->plan->prefix);
    for (uint32_t i = 0; i < run->n_log; i++) {
        const struct log_entry *e = &run->log[i];
        if (e->what != LOG_SENT || e->client != p->client || e->connection != p->number)
            continue;
        for (uint32_t k = 0; k + n <= e->len; k++)
            if (memcmp(run->octets + e->at + k, run->plan->prefix, n) == 0)
                return true;
        if (e->len < n)
            return true;
    }
    return false;
}

void ledger_judge(const struct ledger *l, void (*accuse_)(void *ctx, const struct accusation *a), void *ctx)
{
    struct weighing w = { .l = l, .tail_at = l->run->n_log, .accuse = accuse_, .ctx = ctx };
    if (l->full)
        return;
    while (w.tail_at > 0 && l->run->log[w.tail_at - 1].what == LOG_CLOSED_BY_US)
        w.tail_at--;
    if (w.tail_at == 0)
        return;
    for (uint32_t i = 0; i < l->n_parties; i++)
        w.raced[i] = ledger_raced(l, i);
    for (uint32_t i = 0; i < l->n_parties; i++)
        w.faulty = w.faulty || (l->party[i].faulty && speaks_of_ours(&w, &l->party[i]));
    for (uint32_t i = 0; i < l->n_pubs; i++)
        w.nameless = w.nameless || l->pub[i].topic.len == 0;
    weigh_messages(&w);
    weigh_unknown_messages(&w);
    weigh_dollars(&w);
    weigh_resends(&w);
    weigh_retained(&w);
    weigh_wills(&w);
    weigh_sessions(&w);
    weigh_reactions(&w);
}
