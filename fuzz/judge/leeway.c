/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/judge/leeway.h"

#include <stdio.h>

#include "fuzz/judge/weighing.h"

static const struct {
    uint8_t need; /* enum plan_need */
    const char *says, *does;
} lacks[] = {
#define LACK(need, says, does) { PLAN_##need, says, does },
#include "fuzz/judge/lacks.def"
};

static bool sent_qos(const struct ledger *l, const struct ledger_party *p, unsigned qos)
{
    bool sent = p->will.there && p->will.qos >= qos;
    for (uint32_t i = 0; i < l->n_pubs; i++)
        sent = sent || (l->pub[i].qos >= qos && &l->party[l->pub[i].party] == p);
    return sent;
}

/* Did this client use what the broker lacks? */
static bool used(const struct ledger *l, const struct ledger_party *p, unsigned need)
{
    switch ((enum plan_need)need) {
    case PLAN_RETAIN:
        return (p->did & DID_RETAIN) != 0;
    case PLAN_WILDCARD:
        return (p->did & DID_WILDCARD) != 0;
    case PLAN_SHARED:
        return (p->did & DID_SHARE) != 0;
    case PLAN_IDENTIFIER:
        return (p->did & DID_IDENTIFY) != 0;
    case PLAN_QOS1:
        return sent_qos(l, p, 1);
    case PLAN_QOS2:
        return sent_qos(l, p, 2);
    case PLAN_ALIAS:
        return (p->did & DID_ALIAS) != 0;
    case PLAN_SESSIONS:
        return p->version != MQTT_V5 && !p->clean;
    default:
        return false;
    }
}

static bool lacks_it(const struct ledger *l, char *why, size_t cap)
{
    for (size_t k = 0; k < sizeof lacks / sizeof *lacks; k++)
        for (uint32_t i = 0; i < l->n_parties && l->run->lacks[lacks[k].need]; i++)
            if (used(l, &l->party[i], lacks[k].need)) {
                snprintf(why, cap, "the broker says %s, and client %c %s", lacks[k].says, 'a' + l->party[i].client,
                         lacks[k].does);
                return true;
            }
    return false;
}

bool leeway_is_its_own(unsigned code)
{
    static const uint8_t own[] = { 0x83, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8b, 0x8f,
                                   0x90, 0x96, 0x97, 0x98, 0x9c, 0x9d, 0x9f, 0xa0 };
    for (size_t i = 0; i < sizeof own; i++)
        if (own[i] == code)
            return true;
    return false;
}

/* Its limits: what this connection exceeded, though no rule forbids it before CONNACK has come. */
static bool limited(const struct ledger_party *p, char *why, size_t cap)
{
    int c = 'a' + p->client;
    if (p->largest > p->their_max_packet)
        snprintf(why, cap, "the broker says Maximum Packet Size %u, and client %c sent %u octets", p->their_max_packet,
                 c, p->largest);
    else if (p->promises > p->their_receive_max && p->told == 0x93)
        snprintf(why, cap, "the broker says Receive Maximum %u, and client %c sent %u messages", p->their_receive_max,
                 c, p->promises);
    else if (p->version == MQTT_V5 && p->accepted && p->expiry_s < p->asked_expiry_s && p->expiry_s < FORGETFUL_S)
        snprintf(why, cap, "the broker says Session Expiry Interval %u, and client %c asked for %u", p->expiry_s, c,
                 p->asked_expiry_s);
    else if (p->server_keep_alive_s != 0 && p->told == 0x8d)
        snprintf(why, cap, "the broker says Server Keep Alive %u s, and client %c was silent for longer",
                 p->server_keep_alive_s, c);
    else
        return false;
    return true;
}

/* The same client was let publish to the same topic, and no less. */
static bool was_authorised(const struct ledger *l, const struct ledger_pub *pub)
{
    for (const struct ledger_pub *q = l->pub; q < l->pub + l->n_pubs; q++)
        if (q->party == pub->party && q->acked_at < pub->sent_at && q->payload_len >= pub->payload_len &&
            same(q->topic, pub->topic))
            return true;
    return false;
}

/* It ended the connection, or let nobody in, for a reason of its own; or closed at a PUBLISH, which is how a server of
 * 3.1.1 says that it is not authorised [MQTT-3.3.5-2]. */
static bool ended(const struct ledger *l, const struct ledger_party *p, char *why, size_t cap)
{
    bool old = p->version != MQTT_V5, published = false;
    for (uint32_t i = 0; i < l->n_pubs; i++)
        if (!l->pub[i].will && &l->party[l->pub[i].party] == p)
            published = !was_authorised(l, &l->pub[i]); /* the latest */
    const char *packet = p->accepted ? "DISCONNECT" : "CONNACK";
    const char *name =
        old ? mqtt_return_name(p->told) : mqtt_reason_name(p->accepted ? MQTT_DISCONNECT : MQTT_CONNACK, p->told);
    if (old ? !p->accepted && p->told >= 3 && p->told <= 5 : leeway_is_its_own(p->told))
        snprintf(why, cap, "the broker says 0x%02x (%s) to client %c in %s", p->told, name != NULL ? name : "?",
                 'a' + p->client, packet);
    else if (old && p->accepted && published && !p->faulty && !p->left && !p->taken && p->closed_there)
        snprintf(why, cap, "the broker closes at a PUBLISH of client %c, as 3.1.1 asks for when it is not authorised",
                 'a' + p->client);
    else
        return false;
    return true;
}

static bool refused_subscription(const struct ledger *l, const struct ledger_sub *s, char *why, size_t cap)
{
    const struct ledger_party *p = &l->party[s->party];
    unsigned asked = s->options & 3u;
    if (s->granted_at == LEDGER_NEVER || s->code == 0xff)
        return false;
    if (p->version == MQTT_V5 && s->code >= 0x80 && s->code != 0x80 && !leeway_is_its_own(s->code))
        return false;
    if (s->code >= 0x80)
        snprintf(why, cap, "the broker refuses a subscription of client %c with 0x%02x", 'a' + p->client, s->code);
    else if (s->code < asked)
        snprintf(why, cap, "the broker grants client %c QoS %u where it asked for %u", 'a' + p->client, s->code, asked);
    else
        return false;
    return true;
}

/* Granted more than was asked for: codes at the wrong place, and no right of anybody. */
static bool grants_too_much(const struct ledger *l)
{
    for (uint32_t i = 0; i < l->n_subs; i++)
        if (l->sub[i].granted_at != LEDGER_NEVER && l->sub[i].code <= 2 && l->sub[i].code > (l->sub[i].options & 3u))
            return true;
    return false;
}

static bool refused(const struct ledger *l, char *why, size_t cap)
{
    bool too_much = grants_too_much(l);
    for (uint32_t i = 0; i < l->n_subs && !too_much; i++)
        if (refused_subscription(l, &l->sub[i], why, cap))
            return true;
    for (uint32_t i = 0; i < l->n_unsubs; i++)
        if (l->unsub[i].answered_at != LEDGER_NEVER && leeway_is_its_own(l->unsub[i].code)) {
            snprintf(why, cap, "the broker refuses an UNSUBSCRIBE of client %c with 0x%02x",
                     'a' + l->party[l->unsub[i].party].client, l->unsub[i].code);
            return true;
        }
    for (uint32_t i = 0; i < l->n_pubs; i++)
        if (l->pub[i].reason == 0x80 || leeway_is_its_own(l->pub[i].reason)) {
            snprintf(why, cap, "the broker refuses a PUBLISH of client %c with 0x%02x",
                     'a' + l->party[l->pub[i].party].client, l->pub[i].reason);
            return true;
        }
    return false;
}

bool leeway_met(const struct ledger *l, char *why, size_t cap)
{
    if (lacks_it(l, why, cap) || refused(l, why, cap))
        return true;
    for (uint32_t i = 0; i < l->n_parties; i++)
        if (limited(&l->party[i], why, cap) || ended(l, &l->party[i], why, cap))
            return true;
    return false;
}
