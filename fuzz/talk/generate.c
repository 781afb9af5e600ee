/* SPDX-License-Identifier: Apache-2.0
 *
 * Conversations out of nothing, and as plans. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/talk/conversation.h"
#include "fuzz/talk/talk.h"

enum {
    WAIT_MAX_MS = 1,
    LONG_WAIT_MAX_S = 3,
    SOFT_MS = 60,
    PATIENCE_MS = 1200,
    SETTLE_MS = 50,
    CALM_MS = 25,
    CALM_END_MS = 100,
    PACKET_ROOM = 8192
};

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

void talk_hurry(struct talk *talk)
{
    struct talk_record record;
    for (size_t pos = 0; talk_next(view_of(talk->octets, talk->len), &pos, &record);)
        if (record.op == TALK_LONG_WAIT && record.len == TALK_HEAD_MAX)
            talk->octets[record.offset + 1] = 0xff; /* hours: nobody waits for those */
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

/* The talk's octets with the run's own name for every TALK_PREFIX: what several runs say does not meet. */
static bool own_names(struct plan *plan, const struct talk *talk, const char *prefix, const uint8_t **octets, bool *any)
{
    *any = false;
    plan->memory_left = talk->len;
    uint8_t *memory = plan_take(plan, talk->len);
    *octets = memory;
    if (memory == NULL)
        return false;
    memcpy(memory, talk->octets, talk->len);
    snprintf(plan->prefix, sizeof plan->prefix, "%s", prefix);
    for (size_t i = 0; i + TALK_PREFIX_LEN <= talk->len;) {
        const uint8_t *tilde = memchr(memory + i, '~', talk->len - i);
        i = tilde != NULL ? (size_t)(tilde - memory) : talk->len;
        bool whole = i + TALK_PREFIX_LEN <= talk->len && memcmp(memory + i, TALK_PREFIX, TALK_PREFIX_LEN) == 0;
        if (whole)
            memcpy(memory + i, prefix, TALK_PREFIX_LEN);
        i += whole ? TALK_PREFIX_LEN : 1;
        *any = *any || whole;
    }
    return true;
}

/* What the server said when the talk was made: waited for, so that cause and effect keep their order, but not long. */
static struct plan_step wait_for(const struct talk_record *record, bool patient)
{
    unsigned type = record->octets.ptr[0] >> 4;
    return (struct plan_step){ .op = PLAN_EXPECT,
                               .want = type == MQTT_PINGRESP ? PLAN_ALIVE : PLAN_PACKET,
                               .type = (uint8_t)type,
                               .soft = true,
                               .ms = patient ? PATIENCE_MS : SOFT_MS };
}

static struct plan_step step_of(const struct talk_record *record, bool patient)
{
    struct plan_step step = { .op = PLAN_SEND, .octets = record->octets, .ms = 300 };
    switch (record->op) {
    case TALK_SEND:
    case TALK_SPLIT:
        if (record->by_server)
            return wait_for(record, patient);
        step.octetwise = record->op == TALK_SPLIT && record->octets.len <= 256;
        return step;
    case TALK_WAIT:
        return (struct plan_step){ .op = PLAN_WAIT, .ms = record->number < WAIT_MAX_MS ? record->number : WAIT_MAX_MS };
    case TALK_LONG_WAIT: /* a real one, for what the standards count in seconds; chance seldom makes one so short */
        return (struct plan_step){ .op = PLAN_WAIT,
                                   .ms = record->number <= LONG_WAIT_MAX_S ? record->number * 1000 : WAIT_MAX_MS };
    case TALK_OPEN:
        return (struct plan_step){ .op = PLAN_OPEN };
    case TALK_CLOSE:
        return (struct plan_step){ .op = PLAN_CLOSE };
    default:
        return (struct plan_step){ .op = PLAN_RESET };
    }
}

/* Waiting is for talks that were made with names of their own, whose causes and effects matter. */
static bool left_out(const struct talk_record *record, bool waits)
{
    bool octets = record->op == TALK_SEND || record->op == TALK_SPLIT;
    if (octets && record->by_server && record->octets.len > 0 && record->octets.ptr[0] >> 4 == MQTT_RESERVED)
        return true; /* no packet to wait for */
    return record->op == TALK_GAP ||
           (octets ? record->octets.len == 0 || (record->by_server && !waits) : record->by_server);
}

uint8_t talk_version_from(struct view octets, uint8_t before)
{
    struct mqtt_packet p;
    if (octets.len < 2 || octets.ptr[0] >> 4 != MQTT_CONNECT)
        return before;
    mqtt_decode(octets, (struct mqtt_context){ MQTT_VERSION_UNKNOWN, MQTT_CLIENT }, &p, NULL);
    bool named = p.header_len > 0 && !p.cut && p.connect.level >= MQTT_V31 && p.connect.level <= MQTT_V5;
    return named ? p.version : before;
}

bool talk_plan(const struct talk *talk, const char *prefix, bool patient, struct plan *out)
{
    uint8_t version[TALK_CLIENTS];
    bool usual[TALK_CLIENTS], connected[TALK_CLIENTS] = { false };
    size_t pos = 0;
    struct talk_record record;
    *out = (struct plan){ 0 };
    memset(usual, true, sizeof usual);
    memset(version, talk->version, sizeof version);
    const uint8_t *octets = NULL;
    bool waits, ok = own_names(out, talk, prefix, &octets, &waits);
    unsigned before = TALK_CLIENTS;
    struct plan_step calm = { .op = PLAN_WAIT, .ms = CALM_MS, .version = talk->version };
    while (ok && talk_next(view_of(octets, talk->len), &pos, &record)) {
        if (left_out(&record, waits))
            continue;
        unsigned c = record.client;
        struct plan_step step = step_of(&record, patient);
        version[c] = step.op == PLAN_SEND ? talk_version_from(record.octets, version[c]) : version[c];
        step.client = (uint8_t)c;
        step.version = version[c];
        step.line = out->n + 1;
        if (step.op == PLAN_SEND)
            usual[c] = usual[c] && well_formed(record.octets, version[c], &connected[c]);
        if (step.op == PLAN_OPEN || step.op == PLAN_CLOSE || step.op == PLAN_RESET) {
            usual[c] = true;
            connected[c] = false;
        }
        if (talk->calm && c != before && before != TALK_CLIENTS)
            ok = add_step(out, &calm);
        before = c;
        ok = ok && add_step(out, &step);
        struct plan_step settle = { .op = PLAN_WAIT, .ms = SETTLE_MS, .version = talk->version };
        if (patient && step.soft)
            ok = ok && add_step(out, &settle);
    }
    struct plan_step pause = { .op = PLAN_WAIT, .ms = PATIENCE_MS, .version = talk->version };
    ok = ok && (!patient || add_step(out, &pause));
    calm.ms = CALM_END_MS;
    ok = ok && (!talk->calm || patient || add_step(out, &calm));
    for (unsigned c = 0; ok && c < TALK_CLIENTS; c++) {
        struct plan_step alive = { .op = PLAN_EXPECT,
                                   .want = PLAN_ALIVE,
                                   .client = (uint8_t)c,
                                   .version = version[c],
                                   .soft = true,
                                   .ms = patient ? PATIENCE_MS : 100 };
        if (usual[c] && connected[c])
            ok = add_step(out, &alive);
    }
    return ok;
}

bool talk_of_plan(const struct plan *plan, struct talk *out, size_t cap)
{
    out->len = 0;
    for (uint32_t i = 0; i < plan->n; i++) {
        const struct plan_step *s = &plan->step[i];
        uint8_t kind;
        struct talk_record record = { .client = s->client, .octets = s->octets, .number = s->ms / 10 };
        switch ((enum plan_op)s->op) {
        case PLAN_OPEN:
            record.op = TALK_OPEN;
            break;
        case PLAN_SEND:
            record.op = s->octetwise ? TALK_SPLIT : TALK_SEND;
            break;
        case PLAN_WAIT:
            record.op = s->ms % 1000 == 0 && s->ms > 0 ? TALK_LONG_WAIT : TALK_WAIT;
            record.number = record.op == TALK_WAIT ? s->ms : s->ms / 1000;
            break;
        case PLAN_CLOSE:
            record.op = TALK_CLOSE;
            break;
        case PLAN_RESET:
            record.op = TALK_RESET;
            break;
        case PLAN_EXPECT:
            if (!s->soft)
                continue;
            record.op = TALK_SEND;
            record.by_server = true;
            kind = (uint8_t)((s->want == PLAN_ALIVE ? MQTT_PINGRESP : s->type) << 4);
            record.octets = view_of(&kind, 1);
            break;
        default:
            continue;
        }
        out->version = s->version;
        size_t len = s->client < TALK_CLIENTS ? talk_write(out->octets, out->len, cap, &record) : 0;
        if (len == 0) {
            fprintf(stderr, "mqfuzz: line %u does not fit a conversation that can be made smaller\n", s->line);
            return false;
        }
        out->len = (uint32_t)len;
    }
    return out->len > 0;
}
