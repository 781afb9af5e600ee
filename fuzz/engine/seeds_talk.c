/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/engine/seeds_talk.c -- conversations as seeds: the usual one with fresh packets, what the probes of mqfuzz say
 * to a broker, and scripts.
 *
 * A script is text of one statement a line; # begins a comment:
 *     = NAME OCTET          a new conversation and its octet of scene, in hexadecimal
 *     = NAME OCTET faults   the same, once for each fault of the broker (fuzz/broker/fault.def)
 *     = NAME OCTET lengths  the same, with 0 to 199 octets more: some targets refuse memory by the length of the input
 *                           (a script of packets alone grows by PINGREQ)
 *     = NAME OCTET scenes   the same, for each of the first 24 values of the upper six bits of that octet, and with
 *                           some octets more
 *     repeat 9              the lines up to "end" so often, with the count for each %
 * and statements (fuzz/script.h). */
#include "fuzz/engine/seeds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/broker/fault.h"
#include "fuzz/mutator.h"
#include "fuzz/plan/plan.h"
#include "fuzz/script.h"

enum { SCENES = 24 };

static uint8_t room[SEEDS_ROOM];

static size_t add_packet(struct mutator *m, size_t len, unsigned version, unsigned client, bool by_server,
                         unsigned type)
{
    static uint8_t packet[8192];
    struct mutator_scene scene = { (uint8_t)version, by_server ? MQTT_SERVER : MQTT_CLIENT };
    struct talk_record r = { .op = TALK_SEND, .client = client, .by_server = by_server };
    r.octets = view_of(packet, mutator_fresh(m, scene, type, packet, sizeof packet));
    return r.octets.len > 0 ? talk_write(room, len, SEEDS_ROOM, &r) : len;
}

static size_t add_event(size_t len, enum talk_op op, unsigned client, bool by_server, unsigned number)
{
    struct talk_record r = { .op = op, .client = client, .by_server = by_server, .number = number };
    return talk_write(room, len, SEEDS_ROOM, &r);
}

/* Two clients that connect, subscribe, publish, are answered, wait, leave and come back; each time with other fields.
 */
static void usual_talks(void)
{
    static const struct {
        uint8_t type, client;
        bool by_server;
    } steps[] = {
        { MQTT_CONNECT, 0, false }, { MQTT_CONNACK, 0, true },     { MQTT_CONNECT, 1, false },
        { MQTT_CONNACK, 1, true },  { MQTT_SUBSCRIBE, 1, false },  { MQTT_SUBACK, 1, true },
        { MQTT_PUBLISH, 0, false }, { MQTT_PUBACK, 0, true },      { MQTT_PUBLISH, 1, true },
        { MQTT_PUBREC, 1, false },  { MQTT_PUBREL, 1, true },      { MQTT_PUBCOMP, 1, false },
        { MQTT_PUBLISH, 0, false }, { MQTT_PUBREC, 0, true },      { MQTT_PUBREL, 0, false },
        { MQTT_PUBCOMP, 0, true },  { MQTT_PINGREQ, 0, false },    { MQTT_PINGRESP, 0, true },
        { MQTT_AUTH, 1, false },    { MQTT_AUTH, 1, true },        { MQTT_UNSUBSCRIBE, 1, false },
        { MQTT_UNSUBACK, 1, true }, { MQTT_DISCONNECT, 0, false },
    };
    char name[128];
    for (unsigned n = 0; n < 36; n++) {
        unsigned version = MQTT_V31 + n % 3;
        struct mutator m = mutator_seeded(9000 + n);
        size_t len = 1;
        room[0] = seeds_scene(version, n / 3 % 3, n % 16);
        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
            if (i < 4 || mutator_below(&m, 3) > 0)
                len = add_packet(&m, len, version, steps[i].client, steps[i].by_server, steps[i].type);
        len = add_event(len, n % 2 ? TALK_RESET : TALK_CLOSE, 0, false, 0);
        len = add_event(len, n % 4 == 3 ? TALK_LONG_WAIT : TALK_WAIT, 0, false, 30 + n);
        len = add_packet(&m, len, version, 0, false, MQTT_CONNECT);
        len = add_packet(&m, len, version, 0, true, MQTT_CONNACK);
        len = add_event(len, n % 3 ? TALK_GAP : TALK_CLOSE, 1, n % 2, n);
        len = add_packet(&m, len, version, 0, false, MQTT_PUBLISH);
        snprintf(name, sizeof name, "talk-%u-%u", version, n);
        seeds_write(name, room, len);
    }
}

/* ---- plans ---- */

static size_t add_step(size_t len, const struct plan_step *step)
{
    struct talk_record r = { .client = step->client % TALK_CLIENTS };
    if (step->op == PLAN_SEND) {
        r.op = step->octetwise ? TALK_SPLIT : TALK_SEND;
        r.octets = step->octets;
        return r.octets.len > 0 ? talk_write(room, len, SEEDS_ROOM, &r) : len;
    }
    if (step->op == PLAN_WAIT)
        return add_event(len, TALK_WAIT, 0, false, step->ms / 10);
    if (step->op == PLAN_OPEN || step->op == PLAN_CLOSE || step->op == PLAN_RESET)
        return add_event(len,
                         step->op == PLAN_OPEN    ? TALK_OPEN
                         : step->op == PLAN_CLOSE ? TALK_CLOSE
                                                  : TALK_RESET,
                         r.client, false, 0);
    return len;
}

static void probe_seed(const char *script, unsigned version, unsigned number)
{
    struct plan plan;
    char name[64];
    size_t len = 1;
    if (plan_parse(&plan, view_of(script, strlen(script)), "p", version)) {
        room[0] = seeds_scene(version, 0, 0);
        for (uint32_t i = 0; i < plan.n && len > 0; i++)
            len = add_step(len, &plan.step[i]);
        snprintf(name, sizeof name, "probe-%u-%u", version, number);
        if (len > 0) /* it fits */
            seeds_write(name, room, len);
    }
    plan_free(&plan);
}

static void probe_seeds(void)
{
    static const struct {
        const char *v311, *v5, *script;
    } probes[] = {
#define PROBE(v311, v5, also_31, title, script) { v311, v5, script },
#include "fuzz/campaign/probes.def"
#undef PROBE
    };
    for (unsigned i = 0; i < sizeof probes / sizeof *probes; i++) {
        if (probes[i].v311[0] != '-')
            probe_seed(probes[i].script, MQTT_V311, i);
        if (probes[i].v5[0] != '-')
            probe_seed(probes[i].script, MQTT_V5, i);
    }
}

void seeds_of_talks(void)
{
    usual_talks();
    probe_seeds();
}

/* ---- scripts ---- */

struct file {
    struct script script;
    const char *path;
    unsigned line;
    char name[64];
    bool talk; /* else packets one behind the other */
    bool faults, lengths, scenes;
    unsigned times, held; /* of a repetition under way; its lines */
    char lines[8][256];
    size_t len; /* of the seed so far; 0: none */
};

static _Noreturn void no_sense(const struct file *s, const char *why)
{
    fprintf(stderr, "seeds: %s:%u: %s\n", s->path, s->line, why);
    exit(1);
}

/* Some octets more than were said: a connection that says nothing, or the half of a PINGREQ. */
static size_t one_octet_more(const struct file *s, unsigned more)
{
    if (s->talk)
        return add_event(s->len, TALK_OPEN, TALK_CLIENTS - 1, false, 0);
    room[s->len] = more % 2 ? MQTT_PINGREQ << 4 : 0;
    return s->len + 1;
}

static void write_longer(struct file *s, const char *what, unsigned step, unsigned most)
{
    char name[96];
    for (unsigned more = 1; more <= most; more++) {
        s->len = one_octet_more(s, more);
        snprintf(name, sizeof name, "%s%s-%u", s->name, what, more);
        if (more % step == 0)
            seeds_write(name, room, s->len);
    }
}

static void write_scenes(struct file *s)
{
    char what[16];
    for (unsigned scene = 0; scene < SCENES; scene++) {
        size_t len = s->len;
        room[0] = (uint8_t)(scene << 2 | (room[0] & 3));
        snprintf(what, sizeof what, "-%u", scene);
        write_longer(s, what, 3, 160);
        s->len = len;
    }
}

static void finish(struct file *s)
{
    char name[96];
    if (s->len > 0)
        seeds_write(s->name, room, s->len);
    for (unsigned fault = 0; s->len > 0 && s->faults && fault < FAULT_LEAK_CONNECTION; fault++) {
        snprintf(name, sizeof name, "%s-%u", s->name, fault);
        seeds_write(name, room, add_event(s->len, TALK_GAP, 0, false, fault));
    }
    if (s->len > 0 && s->lengths)
        write_longer(s, "", 1, 199);
    if (s->len > 0 && s->scenes)
        write_scenes(s);
    s->len = 0;
}

static void begin(struct file *s, const char *line)
{
    unsigned scene;
    finish(s);
    if (sscanf(line, "= %60s %x", s->name, &scene) != 2)
        no_sense(s, "a name and an octet of scene should follow");
    room[0] = (uint8_t)scene;
    s->len = 1;
    s->script.version = MQTT_V5;
    s->faults = strstr(line, " faults") != NULL;
    s->lengths = strstr(line, " lengths") != NULL;
    s->scenes = strstr(line, " scenes") != NULL;
}

/* A statement of a script of packets: their octets without the records around them. */
static bool packets_statement(struct file *s, const char *line)
{
    static uint8_t talk[SEEDS_ROOM];
    struct talk_record record;
    size_t len = 0, pos = 0;
    if (!script_statement(&s->script, line, talk, &len, sizeof talk))
        return false;
    while (talk_next(view_of(talk, len), &pos, &record)) {
        if (record.octets.len > SEEDS_ROOM - s->len)
            no_sense(s, "the packets are too long");
        if (record.octets.len > 0)
            memcpy(room + s->len, record.octets.ptr, record.octets.len);
        s->len += record.octets.len;
    }
    return true;
}

static void run_statement(struct file *s, const char *line)
{
    if (line[0] == '=') {
        begin(s, line);
        return;
    }
    if (s->len == 0)
        no_sense(s, "no conversation has begun");
    if (!(s->talk ? script_statement(&s->script, line, room, &s->len, SEEDS_ROOM) : packets_statement(s, line)))
        no_sense(s, s->script.why);
}

static void repeat(struct file *s)
{
    for (unsigned time = 0; time < s->times; time++)
        for (unsigned i = 0; i < s->held; i++) {
            char line[512], *mark = strchr(s->lines[i], '%');
            int head = mark != NULL ? (int)(mark - s->lines[i]) : (int)strlen(s->lines[i]);
            snprintf(line, sizeof line, "%.*s", head, s->lines[i]);
            if (mark != NULL)
                snprintf(line + head, sizeof line - (size_t)head, "%u%s", time, mark + 1);
            run_statement(s, line);
        }
    s->times = s->held = 0;
}

static void run_line(struct file *s, char *line)
{
    line[strcspn(line, "\n")] = '\0';
    if (line[0] == '\0' || line[0] == '#')
        return;
    if (sscanf(line, "repeat %u", &s->times) == 1)
        return;
    if (s->times == 0)
        run_statement(s, line);
    else if (strcmp(line, "end") == 0)
        repeat(s);
    else if (s->held == sizeof s->lines / sizeof *s->lines || strlen(line) >= sizeof *s->lines)
        no_sense(s, "too much to repeat");
    else
        strcpy(s->lines[s->held++], line);
}

void seeds_of_scripts(const char *path, bool talk)
{
    struct file file = { .path = path, .talk = talk };
    char line[4096];
    FILE *f = fopen(path, "r");
    if (f == NULL)
        no_sense(&file, "cannot be read");
    while (fgets(line, sizeof line, f) != NULL) {
        file.line++;
        run_line(&file, line);
    }
    fclose(f);
    finish(&file);
}
