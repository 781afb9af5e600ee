/* SPDX-License-Identifier: Apache-2.0
 *
 * What a broker has to do at once: answer, refuse, close, and say the right reason for it. As in guarantee.c only what
 * the clients saw themselves counts, and only where it is certain. */
#include <stdio.h>

#include "fuzz/campaign/weighing.h"

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
    if (lived(w, p) && at != LEDGER_NEVER && p->pong_for > at && p->version >= MQTT_V311)
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
 * clients that answered nothing: which Packet Identifiers a broker gives its messages is its own affair. */
static void weigh_refused(const struct weighing *w)
{
    enum { MALFORMED = 0x81, PROTOCOL_ERROR = 0x82 };
    for (uint32_t i = 0; i < w->l->n_parties; i++) {
        const struct ledger_party *p = &w->l->party[i];
        if (p->version != MQTT_V5 || p->faulty || p->answers || !p->ours || p->end_at >= w->tail_at ||
            (p->told != MALFORMED && p->told != PROTOCOL_ERROR) || !model_goes_on(w->l->run, p->client, p->number))
            continue;
        accuse(w, GUARANTEE_REFUSED, MQTT_V5, false,
               "client %c broke no rule, mqbroker goes on with the same octets, and the broker closes with 0x%02x",
               'a' + p->client, p->told);
    }
}

void weigh_reactions(const struct weighing *w)
{
    weigh_answers(w);
    weigh_served(w);
    weigh_refused(w);
}
