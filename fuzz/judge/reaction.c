/* SPDX-License-Identifier: Apache-2.0
 *
 * What a broker has to do at once: answer, refuse, close, and say the right reason for it. As in guarantee.c only what
 * the clients saw themselves counts, and only where it is certain. */
#include <stdarg.h>
#include <stdio.h>

#include "fuzz/judge/weighing.h"

/* By another rule than the one of guarantees.def. */
__attribute__((format(printf, 5, 6))) static void accuse_of(const struct weighing *w, enum guarantee what,
                                                            const char *rule, unsigned version, const char *why, ...)
{
    struct accusation a = { .what = what, .rule = rule, .version = (uint8_t)version };
    va_list args;
    va_start(args, why);
    vsnprintf(a.why, sizeof a.why, why, args);
    va_end(args);
    w->accuse(w->ctx, &a);
}

bool rule_forces_refusal(const struct mqtt_rule_info *info)
{
    /* What a server may check, or that names a case in which it has a choice. */
    static const char *const free_choice[] = { "S5-3.3.2.3.2-c", "S5-3.1.3.2.3-c", "MQTT-3.1.2-1", "S5-3.15.2.2.2-a" };
    for (size_t i = 0; i < sizeof free_choice / sizeof *free_choice; i++)
        if (strcmp(info->id, free_choice[i]) == 0)
            return false;
    if (strstr(info->statement, "not spelled out") != NULL)
        return false; /* the standard names no class of error */
    return info->version != MQTT_V31 && info->severity >= MQTT_SEVERITY_ERROR && info->where == MQTT_WHERE_PACKET;
}

/* Nothing came in answer to what was sent at `at`, though a later PINGREQ was answered. */
static void weigh_answer(const struct weighing *w, const struct ledger_party *p, enum guarantee what, uint32_t at)
{
    if (lived(w, p) && at != LEDGER_NEVER && p->pong_for > at)
        accuse(w, what, p->version, ms(p->pong_ns - time_of(w, at)) < ENOUGH_MS,
               "%lld ms later the connection answers PINGREQ, and the answer is still missing",
               (long long)ms(p->pong_ns - time_of(w, at)));
}

static void weigh_answers(const struct weighing *w)
{
    const struct ledger *l = w->l;
    for (uint32_t i = 0; i < l->n_pubs; i++) {
        const struct ledger_pub *pub = &l->pub[i];
        const struct ledger_party *p = &l->party[pub->party];
        if (pub->refused || pub->again || pub->qos == 0 || pub->acked_at != LEDGER_NEVER)
            continue;
        if (pub->qos == 1 || pub->received_at == LEDGER_NEVER)
            weigh_answer(w, p, pub->qos == 1 ? GUARANTEE_NO_PUBACK : GUARANTEE_NO_PUBREC, pub->sent_at);
        else
            weigh_answer(w, p, GUARANTEE_NO_PUBCOMP, pub->released_at);
    }
    for (uint32_t i = 0; i < l->n_subs; i++)
        if (l->sub[i].granted_at == LEDGER_NEVER)
            weigh_answer(w, &l->party[l->sub[i].party], GUARANTEE_NO_SUBACK, l->sub[i].sent_at);
    for (uint32_t i = 0; i < l->n_unsubs; i++)
        if (l->unsub[i].answered_at == LEDGER_NEVER)
            weigh_answer(w, &l->party[l->unsub[i].party], GUARANTEE_NO_UNSUBACK, l->unsub[i].sent_at);
}

/* The message came on this connection, and this connection said PUBREC: PUBREL is due on it. */
static void weigh_releases(const struct weighing *w)
{
    for (uint32_t i = 0; i < w->l->n_deliveries; i++) {
        const struct ledger_delivery *d = &w->l->delivery[i];
        const struct ledger_party *p = &w->l->party[d->party];
        if (d->received && !d->released && p->max_packet == UINT32_MAX)
            weigh_answer(w, p, GUARANTEE_NO_PUBREL, d->answered_at);
    }
}

static void weigh_served(const struct weighing *w)
{
    for (uint32_t i = 0; i < w->l->n_parties; i++) {
        const struct ledger_party *p = &w->l->party[i];
        if (p->bad_at == LEDGER_NEVER || p->served_at == LEDGER_NEVER || p->bad_refused || p->end_at < w->tail_at)
            continue;
        const struct mqtt_rule_info *info = mqtt_rule_info((enum mqtt_rule)p->bad_rule);
        struct accusation a = { .what = GUARANTEE_ACCEPTED, .rule = info->id, .version = info->version };
        a.hasty = ms(time_of(w, w->tail_at - 1) - time_of(w, p->bad_at)) < ENOUGH_MS;
        snprintf(a.why, sizeof a.why, "%s: %s; the broker goes on serving the connection", mqtt_type_name(p->bad_type),
                 info->fault);
        w->accuse(w->ctx, &a);
    }
}

/* Called malformed or a protocol error, though neither decoder nor tracker nor the reference broker find it so. Only of
 * clients that answered nothing: which Packet Identifiers a broker gives its messages is its own affair. And not where
 * a broker may have a limit: mosquitto has 0x81 for a filter of more than 200 levels. */
static void weigh_refused(const struct weighing *w)
{
    enum { MALFORMED = 0x81, PROTOCOL_ERROR = 0x82 };
    for (uint32_t i = 0; i < w->l->n_parties; i++) {
        const struct ledger_party *p = &w->l->party[i];
        if (p->version != MQTT_V5 || p->faulty || p->answers || !p->ours || (p->did & DID_FAR) != 0 ||
            p->end_at >= w->tail_at || (p->told != MALFORMED && p->told != PROTOCOL_ERROR) ||
            !model_goes_on(w->l->run, p->client, p->number))
            continue;
        accuse(w, GUARANTEE_REFUSED, MQTT_V5, false,
               "client %c broke no rule, mqbroker goes on with the same octets, and the broker closes with 0x%02x",
               'a' + p->client, p->told);
    }
}

/* ---- late ---- */

enum { LATE_MS = 1000 };

/* Answered in the end, but a PINGREQ that was sent later was answered long before: the broker had time. */
static void weigh_late(const struct weighing *w, const struct ledger_party *p, enum guarantee what, bool served,
                       uint32_t asked_at, uint32_t answered_at)
{
    if (!served || p->faulty || asked_at == LEDGER_NEVER || answered_at == LEDGER_NEVER)
        return;
    int64_t took_ms = ms(time_of(w, answered_at) - time_of(w, asked_at));
    if (took_ms < LATE_MS)
        return;
    const struct guarantee_info *info = guarantee_info(what);
    accuse_of(w, GUARANTEE_LATE, p->version == MQTT_V5 ? info->id5 : info->id311, p->version,
              "the answer took %lld ms, though the connection was served meanwhile", (long long)took_ms);
}

static void weigh_all_late(const struct weighing *w)
{
    const struct ledger *l = w->l;
    for (uint32_t i = 0; i < l->n_pubs; i++) {
        const struct ledger_pub *pub = &l->pub[i];
        const struct ledger_party *p = &l->party[pub->party];
        if (pub->refused || pub->again || pub->qos == 0)
            continue;
        weigh_late(w, p, pub->qos == 1 ? GUARANTEE_NO_PUBACK : GUARANTEE_NO_PUBREC, pub->served, pub->sent_at,
                   pub->qos == 1 ? pub->acked_at : pub->received_at);
        weigh_late(w, p, GUARANTEE_NO_PUBCOMP, pub->comp_served, pub->released_at, pub->acked_at);
    }
    for (uint32_t i = 0; i < l->n_subs; i++)
        weigh_late(w, &l->party[l->sub[i].party], GUARANTEE_NO_SUBACK, l->sub[i].served, l->sub[i].sent_at,
                   l->sub[i].granted_at);
    for (uint32_t i = 0; i < l->n_unsubs; i++)
        weigh_late(w, &l->party[l->unsub[i].party], GUARANTEE_NO_UNSUBACK, l->unsub[i].served, l->unsub[i].sent_at,
                   l->unsub[i].answered_at);
}

/* ---- wrong reason codes ---- */

static const struct {
    uint8_t code;
    uint16_t needs; /* enum ledger_did */
    const char *rule, *why;
} reasons[] = {
#define REASON(code, needs, rule, why) { code, needs, rule, why },
#include "fuzz/judge/reasons.def"
};

/* All that a code could speak of, some of it only known now. */
static unsigned deeds(const struct weighing *w, const struct ledger_party *p)
{
    unsigned did = p->did;
    if (p->promises > p->their_receive_max)
        did |= DID_EXCEED;
    if (p->largest > p->their_max_packet)
        did |= DID_LARGE;
    for (uint32_t i = 0; i < w->l->n_parties; i++)
        if (!p->ours || (&w->l->party[i] != p && w->l->party[i].session == p->session))
            did |= DID_MEET;
    return did;
}

static void weigh_take_over(const struct weighing *w, const struct ledger_party *p)
{
    bool taken = false;
    for (uint32_t i = 0; i < w->l->n_parties; i++) {
        const struct ledger_party *q = &w->l->party[i];
        taken = taken || (q->previous >= 0 && &w->l->party[q->previous] == p && q->accepted && !q->faulty &&
                          q->connect_at < p->told_at && q->accepted_at > p->accepted_at);
    }
    if (p->accepted && p->taken && p->ours && taken &&
        (p->told == 0x80 || p->told == 0x83)) /* others may be true as well */
        accuse(w, GUARANTEE_WRONG_TAKE_OVER, MQTT_V5, false,
               "client %c is taken over by another connection, and DISCONNECT says 0x%02x", 'a' + p->client, p->told);
}

static void weigh_connack(const struct weighing *w, const struct ledger_party *p)
{
    unsigned v = p->version;
    uint8_t identifier = v == MQTT_V5 ? 0x85 : 2, version = v == MQTT_V5 ? 0x84 : 1;
    bool spoken = false;
    for (uint32_t i = 0; i < w->l->n_parties; i++)
        spoken = spoken || (w->l->party[i].accepted && w->l->party[i].version == v);
    if (p->told == identifier && p->plain_id)
        accuse(w, GUARANTEE_WRONG_IDENTIFIER, v, false,
               "the client identifier of client %c has 1 to 23 letters and digits, and CONNACK says 0x%02x",
               'a' + p->client, p->told);
    if (p->told == version && spoken && p->known_level)
        accuse(w, GUARANTEE_WRONG_VERSION, v, false,
               "CONNACK says 0x%02x to client %c, and others of the same version are accepted", p->told,
               'a' + p->client);
}

static void weigh_closings(const struct weighing *w)
{
    for (uint32_t i = 0; i < w->l->n_parties; i++) {
        const struct ledger_party *p = &w->l->party[i];
        if (p->faulty || p->left || w->raced[i] || p->told == 0 || p->told_at == LEDGER_NEVER)
            continue;
        if (!p->accepted)
            weigh_connack(w, p);
        if (p->version != MQTT_V5)
            continue;
        weigh_take_over(w, p);
        unsigned did = deeds(w, p);
        for (size_t k = 0; k < sizeof reasons / sizeof *reasons; k++)
            if (reasons[k].code == p->told && (did & reasons[k].needs) == 0)
                accuse_of(w, GUARANTEE_WRONG_CLOSE, reasons[k].rule, MQTT_V5, "the broker says 0x%02x to client %c: %s",
                          p->told, 'a' + p->client, reasons[k].why);
    }
}

/* Is there a session that surely had to get it, from before it was sent until it was answered? */
static const struct ledger_sub *asking(const struct weighing *w, const struct ledger_pub *pub, uint32_t until)
{
    for (uint32_t i = 0; i < w->l->n_subs; i++) {
        const struct ledger_sub *s = &w->l->sub[i];
        const struct ledger_party *p = &w->l->party[s->party];
        bool own = s->party == pub->party && asked_no_local(w, s);
        if (s->granted_at < pub->sent_at && s->code <= 2 && s->remove_at == LEDGER_NEVER && !shared(s) && !own &&
            matches(s, pub->topic) && !p->faulty && !p->taken && !p->left && p->told == 0 && p->end_at > until &&
            known(w, &w->l->session[s->session]) && ms(pub->sent_ns - time_of(w, s->granted_at)) >= SETTLED_MS)
            return s;
    }
    return NULL;
}

/* Has nothing else of this connection the Packet Identifier? */
static bool alone_with(const struct weighing *w, int16_t party, uint16_t id, uint32_t at)
{
    const struct ledger *l = w->l;
    unsigned n = 0;
    uint32_t before = LEDGER_NEVER;
    for (uint32_t i = 0; i < l->n_pubs; i++)
        n += l->pub[i].party == party && l->pub[i].qos > 0 && l->pub[i].id == id;
    for (uint32_t i = 0; i < l->n_subs; i++)
        if (l->sub[i].party == party && l->sub[i].id == id && l->sub[i].sent_at != before) {
            before = l->sub[i].sent_at;
            n++;
        }
    for (uint32_t i = 0; i < l->n_unsubs; i++)
        n += l->unsub[i].party == party && l->unsub[i].id == id && l->unsub[i].place == 0;
    return n == 1 && at != LEDGER_NEVER && l->party[party].clean;
}

static void weigh_in_use(const struct weighing *w, int16_t party, uint16_t id, uint32_t at, const char *what)
{
    if (alone_with(w, party, id, at))
        accuse(w, GUARANTEE_WRONG_IN_USE, MQTT_V5, false,
               "%s says 0x91 to identifier %u, which the session, a new one, has used only once", what, id);
}

static void weigh_pub_codes(const struct weighing *w, const struct ledger_pub *pub)
{
    const struct ledger_party *p = &w->l->party[pub->party];
    const char *what = pub->qos == 1 ? "PUBACK" : "PUBREC";
    uint32_t until = pub->qos == 1 ? pub->acked_at : pub->received_at;
    if (p->faulty || p->version != MQTT_V5 || pub->qos == 0 || pub->again)
        return;
    const struct ledger_sub *s = pub->reason == 0x10 && until != LEDGER_NEVER && ours(w, pub->topic) && !pub->expires
                                     ? asking(w, pub, until)
                                     : NULL;
    if (s != NULL)
        accuse_of(w, GUARANTEE_WRONG_NOBODY, pub->qos == 1 ? "MQTT-3.4.2-1" : "MQTT-3.5.2-1", MQTT_V5,
                  "%s says 0x10, and client %c has had a matching subscription all the time", what,
                  'a' + w->l->party[s->party].client);
    if (pub->reason == 0x91)
        weigh_in_use(w, pub->party, pub->id, pub->sent_at, what);
    if (pub->reason == 0x99 && !pub->formatted)
        accuse(w, GUARANTEE_WRONG_FORMAT, MQTT_V5, false, "%s says 0x99, and PUBLISH has no Payload Format Indicator",
               what);
    if (pub->comp_reason == 0x92 && pub->received_at != LEDGER_NEVER && pub->released_by == pub->party &&
        w->l->session[p->session].first == w->l->session[p->session].last && !p->stray_release &&
        alone_with(w, pub->party, pub->id, pub->sent_at))
        accuse(w, GUARANTEE_WRONG_NOT_FOUND, MQTT_V5, false,
               "PUBCOMP says 0x92 to identifier %u, though PUBREC and PUBREL came on the same connection", pub->id);
}

static void weigh_suback(const struct weighing *w, const struct ledger_sub *s)
{
    const struct ledger_party *p = &w->l->party[s->party];
    if (p->faulty || p->version != MQTT_V5 || s->granted_at == LEDGER_NEVER)
        return;
    const char *why = s->code == 0x9e && !shared(s)                ? "the filter is not a shared one"
                      : s->code == 0xa1 && !s->identified          ? "there is no Subscription Identifier"
                      : s->code == 0xa2 && !ledger_wild(s->filter) ? "the filter has no wildcard"
                                                                   : NULL;
    if (why != NULL)
        accuse(w, GUARANTEE_WRONG_SUBACK, MQTT_V5, false, "SUBACK says 0x%02x to client %c: %s", s->code,
               'a' + p->client, why);
    if (s->code == 0x91 && s->place == 0)
        weigh_in_use(w, s->party, s->id, s->sent_at, "SUBACK");
}

/* A filter that was surely subscribed is not told to be none, one that never was not told to be deleted. */
static void weigh_unsuback(const struct weighing *w, const struct ledger_request *r)
{
    const struct ledger_party *p = &w->l->party[r->party];
    const struct ledger_sub *had = NULL;
    bool ever = false, twice = false;
    if (p->faulty || p->version != MQTT_V5 || r->answered_at == LEDGER_NEVER || !p->clean)
        return;
    for (uint32_t i = 0; i < w->l->n_subs; i++) {
        const struct ledger_sub *s = &w->l->sub[i];
        if (s->session != p->session || !same(s->filter, r->filter))
            continue;
        ever = true;
        if (s->party == r->party && s->granted_at < r->sent_at && s->code <= 2 && s->remove_at >= r->sent_at &&
            ms(time_of(w, r->sent_at) - time_of(w, s->granted_at)) >= SETTLED_MS)
            had = s;
    }
    for (uint32_t i = 0; i < w->l->n_unsubs; i++)
        twice = twice ||
                (&w->l->unsub[i] != r && w->l->unsub[i].party == r->party && same(w->l->unsub[i].filter, r->filter));
    if (r->code == 0x11 && had != NULL && !twice)
        accuse(w, GUARANTEE_WRONG_UNSUBACK, MQTT_V5, false,
               "UNSUBACK says 0x11 (no subscription existed) to client %c, which has subscribed to this filter",
               'a' + p->client);
    if (r->code == 0 && !ever)
        accuse(w, GUARANTEE_WRONG_UNSUBACK, MQTT_V5, false,
               "UNSUBACK says 0x00 (deleted) to client %c, which has never subscribed to this filter", 'a' + p->client);
    if (r->code == 0x91 && r->place == 0)
        weigh_in_use(w, r->party, r->id, r->sent_at, "UNSUBACK");
}

static void weigh_codes(const struct weighing *w)
{
    for (uint32_t i = 0; i < w->l->n_pubs; i++)
        weigh_pub_codes(w, &w->l->pub[i]);
    for (uint32_t i = 0; i < w->l->n_subs; i++)
        weigh_suback(w, &w->l->sub[i]);
    for (uint32_t i = 0; i < w->l->n_unsubs; i++)
        weigh_unsuback(w, &w->l->unsub[i]);
}

void weigh_reactions(const struct weighing *w)
{
    weigh_answers(w);
    weigh_releases(w);
    weigh_all_late(w);
    weigh_served(w);
    weigh_refused(w);
    weigh_closings(w);
    weigh_codes(w);
}
