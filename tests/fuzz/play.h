/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/fuzz/play.h -- plans (fuzz/plan/plan.h) against the step function, where waiting takes no time. They are
 * carried out as fuzz/peer/runner.c does it on sockets, and the log is judged as mqfuzz judges it. */
#pragma once
#include "fuzz/judge/judge.h"
#include "tests/fuzz/step.h"
#include <stdio.h>

enum { PLAY_ARRIVALS = 512, PLAY_ROOM = 65536, PLAY_DEADLINE_MS = 1500, PLAY_QUIET_MS = 200 };

struct play_link {
    uint8_t version, code; /* code: reason of the last CONNACK or DISCONNECT */
    bool open, ended, manual;
    uint16_t opened;
    uint8_t *in; /* of this connection */
    uint32_t n_in, in_cap, parsed;
    struct {
        uint32_t at, len;
        bool taken;
    } arrival[PLAY_ARRIVALS];
    unsigned n;
};

struct play {
    struct step *s;
    struct plan plan;
    struct run run; /* the log, for judgement */
    struct play_link link[STEP_CLIENTS];
    bool over; /* the rest is not for this broker */
    char why[300];
};

static bool play_fails(struct play *p, const struct plan_step *step, const char *what)
{
    if (p->why[0] == '\0')
        snprintf(p->why, sizeof p->why, "line %u: %s", step->line, what);
    return false;
}

/* ---- the log ---- */

static void play_note(struct play *p, unsigned client, enum log_what what, const uint8_t *octets, size_t n)
{
    struct run *r = &p->run;
    r->log = realloc(r->log, (r->n_log + 1) * sizeof *r->log);
    r->octets = realloc(r->octets, r->n_octets + n + 1);
    r->log[r->n_log++] = (struct log_entry){ .what = (uint8_t)what,
                                             .client = (uint8_t)client,
                                             .connection = (uint16_t)(p->link[client].opened - 1),
                                             .port = (uint16_t)(1000 + client * 100 + p->link[client].opened),
                                             .step = r->step,
                                             .time_ns = (int64_t)p->s->now_ms * 1000000,
                                             .at = r->n_octets,
                                             .len = (uint32_t)n };
    if (n > 0)
        memcpy(r->octets + r->n_octets, octets, n);
    r->n_octets += (uint32_t)n;
}

/* ---- connections ---- */

static void play_send(struct play *p, unsigned client, struct view octets)
{
    play_note(p, client, LOG_SENT, octets.ptr, octets.len);
    step_send(p->s, client, octets);
}

static struct mqtt_packet play_packet(const struct play_link *l, unsigned i)
{
    struct mqtt_packet packet;
    mqtt_decode(view_of(l->in + l->arrival[i].at, l->arrival[i].len), (struct mqtt_context){ l->version, MQTT_SERVER },
                &packet, NULL);
    return packet;
}

/* What a client in order answers. */
static void play_answer(struct play *p, unsigned client, const struct mqtt_packet *packet)
{
    unsigned type = packet->type == MQTT_PUBLISH  ? (packet->publish.qos == 1 ? MQTT_PUBACK : MQTT_PUBREC)
                    : packet->type == MQTT_PUBREL ? MQTT_PUBCOMP
                    : packet->type == MQTT_PUBREC && packet->reason < 0x80 ? MQTT_PUBREL
                                                                           : 0;
    uint8_t answer[] = { (uint8_t)(type << 4 | mqtt_type_flags(type)), 2, (uint8_t)(packet->id >> 8),
                         (uint8_t)packet->id };
    if (type != 0 && packet->has_id && !p->link[client].manual)
        play_send(p, client, view_of(answer, sizeof answer));
}

static void play_parse(struct play *p, unsigned client)
{
    struct play_link *l = &p->link[client];
    uint32_t remaining;
    for (int used; l->n_in - l->parsed >= 2 && l->n < PLAY_ARRIVALS; l->n++) {
        used = mqtt_vbi_read(view_of(l->in + l->parsed + 1, l->n_in - l->parsed - 1), &remaining);
        uint32_t len = 1 + (uint32_t)used + remaining;
        if (used <= 0 || l->n_in - l->parsed < len)
            return;
        l->arrival[l->n].at = l->parsed;
        l->arrival[l->n].len = len;
        l->arrival[l->n].taken = false;
        l->parsed += len;
        struct mqtt_packet packet = play_packet(l, l->n);
        if (packet.type == MQTT_CONNACK)
            plan_learn(p->run.lacks, &packet);
        if (packet.type == MQTT_CONNACK || packet.type == MQTT_DISCONNECT)
            l->code = packet.reason;
        play_answer(p, client, &packet);
    }
}

/* All that the broker has for anybody, until nothing follows from it. */
static void play_receive(struct play *p)
{
    for (bool busy = true; busy;) {
        busy = false;
        for (unsigned c = 0; c < STEP_CLIENTS; c++) {
            struct play_link *l = &p->link[c];
            if (l->open && l->in_cap - l->n_in < PLAY_ROOM)
                l->in = realloc(l->in, l->in_cap = l->in_cap * 2 + PLAY_ROOM);
            int n = l->open ? step_receive(p->s, c, l->in + l->n_in, l->in_cap - l->n_in) : -1;
            if (n < 0)
                continue;
            busy = true;
            play_note(p, c, n > 0 ? LOG_RECEIVED : LOG_CLOSED_BY_BROKER, l->in + l->n_in, (size_t)n);
            l->n_in += (uint32_t)n;
            l->open = n > 0;
            l->ended = l->ended || n == 0;
            play_parse(p, c);
        }
    }
}

static bool play_open(struct play *p, const struct plan_step *step)
{
    struct play_link *l = &p->link[step->client];
    l->n_in = l->parsed = l->n = 0;
    l->ended = false;
    l->opened++;
    l->open = step_open(p->s, step->client);
    play_note(p, step->client, l->open ? LOG_OPENED : LOG_REFUSED, NULL, 0);
    return l->open || play_fails(p, step, "cannot connect");
}

static void play_close(struct play *p, unsigned client, bool reset)
{
    if (!p->link[client].open)
        return;
    play_note(p, client, reset ? LOG_RESET_BY_US : LOG_CLOSED_BY_US, NULL, 0);
    p->link[client].open = false;
    p->link[client].ended = true;
    step_close(p->s, client);
}

/* ---- statements ---- */

static bool play_packet_out(struct play *p, const struct plan_step *step)
{
    struct play_link *l = &p->link[step->client];
    bool connect = step->octets.len > 0 && !step->part && step->octets.ptr[0] >> 4 == MQTT_CONNECT;
    if (!l->open && (!l->ended || connect) && !play_open(p, step))
        return false;
    if (!l->open)
        return true; /* as on a socket whose other end has just gone */
    if (connect)
        l->version = step->version;
    uint8_t *octets = memcpy(malloc(step->octets.len + 1), step->octets.ptr, step->octets.len);
    if (step->var != 0) {
        octets[step->id_at] = (uint8_t)(p->run.vars[step->var] >> 8);
        octets[step->id_at + 1] = (uint8_t)p->run.vars[step->var];
    }
    size_t piece = step->octetwise ? 1 : step->octets.len;
    for (size_t at = 0; at < step->octets.len; at += piece)
        play_send(p, step->client, view_of(octets + at, piece));
    free(octets);
    return true;
}

/* The packet waited for: 1 it is there, 0 not yet, -1 another one is. */
static int play_find(struct play *p, const struct plan_step *step, char *text, size_t cap)
{
    struct play_link *l = &p->link[step->client];
    for (unsigned i = 0; i < l->n; i++) {
        bool candidate;
        const char *field = NULL;
        struct mqtt_packet packet = play_packet(l, i);
        if (l->arrival[i].taken)
            continue;
        bool matches = plan_matches(step, &packet, p->run.vars, &candidate, &field);
        if (matches) {
            l->arrival[i].taken = step->want == PLAN_PACKET;
            if (step->var != 0)
                p->run.vars[step->var] = packet.id;
            return 1;
        }
        if (step->want == PLAN_PACKET && (candidate || (step->next && packet.type == step->type))) {
            snprintf(text, cap, "the %s is wrong in '%s'", mqtt_type_name(step->type), field);
            return -1;
        }
    }
    snprintf(text, cap, "no %s came", mqtt_type_name(step->type));
    return l->open ? 0 : -1;
}

static bool play_refuses(const struct mqtt_packet *packet)
{
    if (packet->type == MQTT_PUBACK || packet->type == MQTT_PUBREC)
        return packet->reason >= 0x80;
    bool all = (packet->type == MQTT_SUBACK || packet->type == MQTT_UNSUBACK) && packet->list.payload.len > 0;
    for (size_t i = 0; all && i < packet->list.payload.len; i++)
        all = packet->list.payload.ptr[i] >= 0x80;
    return all;
}

static int play_closed(struct play *p, const struct plan_step *step, char *text, size_t cap)
{
    struct play_link *l = &p->link[step->client];
    for (unsigned i = 0; step->want == PLAN_REFUSED && i < l->n; i++) {
        struct mqtt_packet packet = play_packet(l, i);
        if (!l->arrival[i].taken && play_refuses(&packet)) {
            l->arrival[i].taken = true;
            return 1;
        }
    }
    snprintf(text, cap, "the broker keeps the connection open");
    for (unsigned i = 0; !l->open && i < step->n_match; i++)
        if (l->code != 0 && l->code != step->match[i].number) {
            snprintf(text, cap, "closed with reason 0x%02x", l->code);
            return -1;
        }
    return !l->open;
}

static int play_look(struct play *p, const struct plan_step *step, char *text, size_t cap)
{
    struct plan_step pong = { .client = step->client, .want = PLAN_PACKET, .type = MQTT_PINGRESP };
    if (step->want == PLAN_ALIVE)
        return play_find(p, &pong, text, cap);
    return step->want == PLAN_PACKET || step->want == PLAN_NO_PACKET ? play_find(p, step, text, cap)
                                                                     : play_closed(p, step, text, cap);
}

static bool play_expect(struct play *p, const struct plan_step *step)
{
    uint32_t until = step->ms != 0 ? step->ms : step->want == PLAN_NO_PACKET ? PLAY_QUIET_MS : PLAY_DEADLINE_MS;
    char text[120] = "";
    if (step->want == PLAN_ALIVE && p->link[step->client].open)
        play_send(p, step->client, view_of("\xc0\x00", 2));
    for (uint32_t waited = 0;; waited += 10) {
        play_receive(p);
        int found = play_look(p, step, text, sizeof text);
        if (step->want == PLAN_NO_PACKET ? found == 1 : found < 0)
            return step->soft ||
                   play_fails(p, step, step->want == PLAN_NO_PACKET ? "a packet that must not come" : text);
        if (found == 1)
            return true;
        if (waited >= until)
            return step->soft || step->want == PLAN_NO_PACKET || play_fails(p, step, text);
        step_wait(p->s, 10);
    }
}

/* The plan goes on with what a broker may refuse; this one accepts it. */
static bool play_is_optional(const struct plan_step *step)
{
    for (unsigned i = 0; i < step->n_match; i++)
        if (step->match[i].field == PLAN_F_REASON && (step->match[i].least || step->match[i].most) && !step->judged)
            return true;
    return false;
}

static bool play_step(struct play *p, const struct plan_step *step)
{
    bool ok = true;
    switch ((enum plan_op)step->op) {
    case PLAN_OPEN:
        ok = play_open(p, step);
        break;
    case PLAN_SEND:
        ok = play_packet_out(p, step);
        break;
    case PLAN_EXPECT:
        ok = play_expect(p, step);
        p->over = !ok && play_is_optional(step);
        ok = ok || p->over;
        break;
    case PLAN_WAIT:
        step_wait(p->s, step->ms);
        break;
    case PLAN_CLOSE:
    case PLAN_RESET:
        play_close(p, step->client, step->op == PLAN_RESET);
        break;
    case PLAN_MANUAL:
    case PLAN_AUTO:
        p->link[step->client].manual = step->op == PLAN_MANUAL;
        break;
    case PLAN_DEAF:
    case PLAN_HEAR: /* there is no network between */
        break;
    case PLAN_NEED:
        p->over = p->run.lacks[step->want] != step->lacking;
        break;
    }
    play_receive(p);
    return ok;
}

/* What the broker broke on the way, whatever the plan was about. */
static bool play_judge(struct play *p)
{
    struct judge_result *judged = calloc(1, sizeof *judged);
    judge_run(&p->run, MQTT_SEVERITY_ERROR, judged);
    bool ok = judged->n == 0;
    if (!ok)
        snprintf(p->why, sizeof p->why, "the broker breaks %s: %s", judged->fault[0].name, judged->fault[0].sentence);
    free(judged);
    return ok;
}

/* A client that does not read matters only where something stands between it and the broker. */
static inline bool play_needs_network(const char *script)
{
    return strstr(script, " deaf; ") != NULL;
}

/* Carries a plan out with a broker that runs. False: why says the reason. */
static bool play_plan(struct step *s, const char *script, const char *prefix, unsigned version, char *why, size_t cap)
{
    struct play *p = calloc(1, sizeof *p);
    p->s = s;
    p->run.plan = &p->plan;
    bool ok = plan_parse(&p->plan, view_of(script, strlen(script)), prefix, version);
    if (!ok)
        snprintf(p->why, sizeof p->why, "%s", p->plan.error);
    for (uint32_t i = 0; ok && !p->over && i < p->plan.n; i++) {
        p->run.step = i;
        ok = p->plan.step[i].client < STEP_CLIENTS && play_step(p, &p->plan.step[i]);
    }
    for (unsigned c = 0; c < STEP_CLIENTS; c++)
        play_close(p, c, false);
    ok = ok && play_judge(p);
    snprintf(why, cap, "%s", p->why);
    for (unsigned c = 0; c < STEP_CLIENTS; c++)
        free(p->link[c].in);
    free(p->run.log);
    free(p->run.octets);
    plan_free(&p->plan);
    free(p);
    return ok;
}
