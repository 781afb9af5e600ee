/* SPDX-License-Identifier: Apache-2.0
 *
 * What a plan waits for: a packet, none, the end of the connection, an answer to PINGREQ. */
#include <stdio.h>
#include <string.h>

#include "fuzz/peer/link.h"

static void expectation_missed(struct run *r, const struct plan_step *s, const char *what)
{
    if (s->soft) {
        r->link[s->client].silent = true;
        run_next_step(r);
        return;
    }
    run_finish(r, s->judged ? RUN_FAILED : RUN_UNKNOWN, "line %u: %s", s->line, what);
}

enum { TOLD = 96 };

/* The first arrival not taken that matches; *wrong: a candidate came that differs in *why, where it has `told`. */
static struct arrival *find_arrival(struct run *r, struct link *l, const struct plan_step *s, bool *wrong,
                                    const char **why, char told[TOLD])
{
    for (uint32_t i = 0; i < l->n_arrival; i++) {
        struct mqtt_packet p;
        bool candidate;
        const char *field;
        if (l->arrival[i].taken)
            continue;
        link_decode(l, &l->arrival[i], &p);
        bool matches = plan_matches(s, &p, r->vars, &candidate, &field);
        if (s->next && !matches && p.type == s->type) {
            *wrong = true;
            *why = "order";
            return NULL;
        }
        if (matches) {
            if (s->var != 0)
                r->vars[s->var] = p.id;
            return &l->arrival[i];
        }
        if (candidate && !*wrong) {
            *wrong = true;
            *why = field;
            plan_tell(s, &p, field, told, TOLD);
        }
    }
    return NULL;
}

static bool do_expect_packet(struct run *r, struct link *l, const struct plan_step *s, bool late)
{
    bool wrong = false;
    const char *why = NULL;
    char text[200], told[TOLD] = "";
    struct arrival *a = find_arrival(r, l, s, &wrong, &why, told);
    if (s->want == PLAN_NO_PACKET) {
        if (a != NULL) {
            snprintf(text, sizeof text, "a %s came that must not", mqtt_type_name(s->type));
            expectation_missed(r, s, text);
        } else if (late) {
            run_next_step(r);
            return true;
        }
        return false;
    }
    if (a != NULL) {
        a->taken = true;
        run_next_step(r);
        return true;
    }
    if (wrong)
        snprintf(text, sizeof text, "the %s is wrong in '%s'%s%s", mqtt_type_name(s->type), why,
                 told[0] != '\0' ? ": " : "", told);
    else if (l->fd < 0)
        snprintf(text, sizeof text, "the connection was closed (code 0x%02x) instead of a %s", r->code,
                 mqtt_type_name(s->type));
    else
        snprintf(text, sizeof text, "no %s came in time", mqtt_type_name(s->type));
    /* Where subscriptions overlap, one copy has to come at the highest QoS: others may come before it [MQTT-3.3.5-1].
     * Copies may come one by one, each with its own Subscription Identifier [MQTT-3.3.4-5]. */
    bool another_may_come =
        wrong && s->type == MQTT_PUBLISH && (strcmp(why, "qos") == 0 || strcmp(why, "subscription_identifier") == 0);
    if ((wrong && !another_may_come) || late || l->fd < 0)
        expectation_missed(r, s, text);
    return false;
}

/* A SUBACK, UNSUBACK, PUBACK or PUBREC that says failure throughout. */
static bool refuses(const struct link *l, const struct arrival *a)
{
    struct mqtt_packet p;
    link_decode(l, a, &p);
    if (p.type == MQTT_PUBACK || p.type == MQTT_PUBREC)
        return p.reason >= 0x80;
    bool all = (p.type == MQTT_SUBACK || p.type == MQTT_UNSUBACK) && p.list.payload.len > 0;
    for (size_t i = 0; all && i < p.list.payload.len; i++)
        all = p.list.payload.ptr[i] >= 0x80;
    return all;
}

static bool do_expect_closed(struct run *r, struct link *l, const struct plan_step *s, bool late)
{
    for (uint32_t i = 0; s->want == PLAN_REFUSED && i < l->n_arrival; i++)
        if (!l->arrival[i].taken && refuses(l, &l->arrival[i])) {
            l->arrival[i].taken = true;
            run_next_step(r);
            return true;
        }
    if (l->fd < 0) {
        for (unsigned i = 0; i < s->n_match; i++)
            if (s->match[i].field == PLAN_F_REASON && r->code != 0 && r->code != s->match[i].number) {
                char text[96];
                snprintf(text, sizeof text, "closed with reason 0x%02x instead of 0x%02x", r->code, s->match[i].number);
                expectation_missed(r, s, text);
                return false;
            }
        run_next_step(r);
        return true;
    }
    if (late)
        expectation_missed(r, s, "the broker keeps the connection open");
    return false;
}

static bool do_expect_alive(struct run *r, struct link *l, const struct plan_step *s, bool late)
{
    static const uint8_t ping[] = { MQTT_PINGREQ << 4, 0 };
    if (!r->alive_sent && l->fd >= 0 && !l->connecting) {
        r->alive_sent = link_send(r, l, ping, sizeof ping) == sizeof ping;
        l->pings += r->alive_sent;
    }
    uint32_t pongs = 0; /* those for earlier ones come first */
    for (uint32_t i = 0; i < l->n_arrival; i++) {
        bool pong = l->in[l->arrival[i].at] >> 4 == MQTT_PINGRESP;
        l->arrival[i].taken = l->arrival[i].taken || (pong && r->alive_sent);
        pongs += pong;
    }
    if (r->alive_sent && pongs >= l->pings) {
        run_next_step(r);
        return true;
    }
    if (l->fd < 0 && r->lenient) {
        run_next_step(r);
        return true;
    }
    if (l->fd < 0)
        expectation_missed(r, s, "the connection was closed instead of going on");
    else if (late)
        expectation_missed(r, s, "a PINGREQ is not answered");
    return false;
}

bool link_expect(struct run *r, struct link *l, const struct plan_step *s, bool late)
{
    if (s->want == PLAN_CLOSED || s->want == PLAN_REFUSED)
        return do_expect_closed(r, l, s, late);
    return s->want == PLAN_ALIVE ? do_expect_alive(r, l, s, late) : do_expect_packet(r, l, s, late);
}
