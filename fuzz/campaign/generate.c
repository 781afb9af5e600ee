/* SPDX-License-Identifier: Apache-2.0
 *
 * Conversations out of nothing, and as plans. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/campaign/campaign.h"
#include "fuzz/talk.h"

enum { WAIT_MAX_MS = 1, PACKET_ROOM = 8192 };

static size_t say(struct mutator *m, unsigned version, unsigned client, unsigned type, uint8_t *out, size_t len,
                  size_t cap)
{
    uint8_t room[PACKET_ROOM];
    struct mutator_scene scene = { (uint8_t)version, MQTT_CLIENT };
    size_t n = mutator_fresh(m, scene, type, room, sizeof room);
    if (n == 0)
        return len;
    struct talk_record record = { .op = TALK_SEND, .client = client, .octets = view_of(room, n) };
    size_t more = talk_write(out, len, cap, &record);
    return more > 0 ? more : len;
}

static size_t happen(enum talk_op op, unsigned client, uint32_t number, uint8_t *out, size_t len, size_t cap)
{
    struct talk_record record = { .op = op, .client = client, .number = number };
    size_t more = talk_write(out, len, cap, &record);
    return more > 0 ? more : len;
}

size_t talk_fresh(struct mutator *m, unsigned version, uint8_t *out, size_t cap)
{
    static const uint8_t likely[] = { MQTT_SUBSCRIBE, MQTT_PUBLISH, MQTT_PUBLISH,     MQTT_PUBLISH,
                                      MQTT_PUBREL,    MQTT_PUBACK,  MQTT_UNSUBSCRIBE, MQTT_PINGREQ,
                                      MQTT_PUBREC,    MQTT_PUBCOMP, MQTT_DISCONNECT,  MQTT_AUTH };
    unsigned clients = 1 + mutator_below(m, 4);
    size_t len = 0;
    for (unsigned c = 0; c < clients; c++)
        len = say(m, version, c, MQTT_CONNECT, out, len, cap);
    for (unsigned steps = 2 + mutator_below(m, 20); steps > 0; steps--) {
        unsigned c = mutator_below(m, clients), dice = mutator_below(m, 24);
        if (dice == 0) {
            len = happen(mutator_below(m, 2) ? TALK_RESET : TALK_CLOSE, c, 0, out, len, cap);
            len = say(m, version, c, MQTT_CONNECT, out, len, cap);
        } else if (dice == 1) {
            len = happen(TALK_WAIT, c, 1 + mutator_below(m, 2), out, len, cap);
        } else {
            len = say(m, version, c, likely[mutator_below(m, sizeof likely)], out, len, cap);
        }
    }
    return len;
}

/* Whole packets, the first a CONNECT that nobody need refuse: then a PINGREQ behind them will be answered. */
static bool well_formed(struct view octets, unsigned version, bool *connected)
{
    for (size_t at = 0; at < octets.len;) {
        struct mqtt_packet p;
        struct mqtt_verdict room[1];
        struct mqtt_verdicts v = { room, 1, 0, 0 };
        mqtt_decode(view_of(octets.ptr + at, octets.len - at), (struct mqtt_context){ (uint8_t)version, MQTT_CLIENT },
                    &p, &v);
        size_t total = p.header_len + (size_t)p.remaining;
        if (p.header_len == 0 || total > octets.len - at || v.n > 0 || (p.type == MQTT_CONNECT) == *connected ||
            p.type == MQTT_DISCONNECT)
            return false;
        *connected = true;
        at += total;
    }
    return *connected;
}

static bool add_step(struct plan *plan, const struct plan_step *step)
{
    if (plan->n == plan->cap) {
        uint32_t cap = plan->cap == 0 ? 32 : plan->cap * 2;
        struct plan_step *more = realloc(plan->step, cap * sizeof *more);
        if (more == NULL)
            return false;
        plan->step = more;
        plan->cap = cap;
    }
    plan->step[plan->n++] = *step;
    return true;
}

bool talk_plan(const struct talk *talk, struct plan *out)
{
    bool usual[TALK_CLIENTS], connected[TALK_CLIENTS] = { false }, ok = true;
    size_t pos = 0;
    struct talk_record record;
    *out = (struct plan){ 0 };
    memset(usual, true, sizeof usual);
    while (ok && talk_next(view_of(talk->octets, talk->len), &pos, &record)) {
        struct plan_step step = { .client = (uint8_t)record.client, .version = talk->version, .line = out->n + 1 };
        bool sends = record.op == TALK_SEND || record.op == TALK_SPLIT;
        if (record.by_server || record.op == TALK_GAP || (sends && record.octets.len == 0))
            continue;
        if (sends) {
            step.op = PLAN_SEND;
            step.octetwise = record.op == TALK_SPLIT && record.octets.len <= 256;
            step.octets = record.octets;
            step.ms = 300;
            usual[record.client] =
                usual[record.client] && well_formed(record.octets, talk->version, &connected[record.client]);
        } else if (record.op == TALK_WAIT || record.op == TALK_LONG_WAIT) {
            step.op = PLAN_WAIT;
            step.ms = record.number < WAIT_MAX_MS ? record.number : WAIT_MAX_MS;
        } else {
            step.op = record.op == TALK_OPEN ? PLAN_OPEN : record.op == TALK_CLOSE ? PLAN_CLOSE : PLAN_RESET;
            usual[record.client] = true;
            connected[record.client] = false;
        }
        ok = add_step(out, &step);
    }
    for (unsigned c = 0; ok && c < TALK_CLIENTS; c++) {
        struct plan_step alive = {
            .op = PLAN_EXPECT, .want = PLAN_ALIVE, .client = (uint8_t)c, .version = talk->version, .ms = 100
        };
        if (usual[c] && connected[c])
            ok = add_step(out, &alive);
    }
    return ok;
}

char *talk_text(const struct talk *talk)
{
    size_t cap = talk->len * 8 + 65536, n = 0, pos = 0;
    char *text = malloc(cap);
    struct talk_record record;
    if (text == NULL)
        return NULL;
    n += (size_t)snprintf(text, cap, "version %s\n", talk->version == MQTT_V5 ? "5" : mqtt_version_name(talk->version));
    while (talk_next(view_of(talk->octets, talk->len), &pos, &record)) {
        char client = (char)('a' + record.client);
        bool sends = record.op == TALK_SEND || record.op == TALK_SPLIT;
        if (record.by_server || record.op == TALK_GAP || (sends && record.octets.len == 0) || n + 256 > cap)
            continue;
        if (record.op == TALK_WAIT || record.op == TALK_LONG_WAIT) {
            uint32_t ms = record.number < WAIT_MAX_MS ? record.number : WAIT_MAX_MS;
            n += (size_t)snprintf(text + n, cap - n, "wait %ums\n", ms);
        } else if (!sends) {
            n += (size_t)snprintf(text + n, cap - n, "%c %s\n", client,
                                  record.op == TALK_OPEN    ? "open"
                                  : record.op == TALK_CLOSE ? "close"
                                                            : "reset");
        } else {
            size_t start = n;
            n += (size_t)snprintf(text + n, cap - n, "%c %s ", client,
                                  record.op == TALK_SPLIT && record.octets.len <= 256 ? ">>" : ">");
            size_t used = plan_print_packet(record.octets, talk->version, text + n, cap - n - 2);
            if (strncmp(text + n, "raw", 3) == 0) { /* "a raw ..", without the arrow */
                memmove(text + start + 2, text + n, used + 1);
                n = start + 2;
            }
            n += used;
            text[n++] = '\n';
        }
    }
    text[n < cap ? n : cap - 1] = '\0';
    return text;
}
