/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/engine/reach.c -- how soon mutation shows each rule: reach SECONDS [SEED]
 *
 * Four races from one valid seed each: packets through the decoder and conversations through the tracker, once with the
 * shared mutator and once with plain havoc. An input that shows a rule for the first time joins the pool, as a fuzzer
 * would have it. Prints Markdown: for every rule of class packet or session the executions until it was first shown. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fuzz/engine/shape.h"
#include "fuzz/engine/watch.h"
#include "fuzz/mutator.h"
#include "fuzz/talk/talk.h"

enum { ROOM = 40000, TALK_ROOM = 4096, POOL_MAX = 1200 }; /* 3.1: a topic of 32,768 characters is too long */

const struct fuzz_target fuzz_target = { "reach", FUZZ_TALK };

struct race {
    uint64_t runs, first[MQTT_RULE_COUNT]; /* 0: not shown */
    struct {
        uint8_t *octets;
        size_t len;
    } pool[POOL_MAX];
    unsigned n;
    bool fresh; /* this run showed something new */
};

static struct race races[4]; /* packets: ours, havoc; conversations: ours, havoc */

static void show(struct race *r, unsigned rule)
{
    const struct mqtt_rule_info *info = mqtt_rule_info((enum mqtt_rule)rule);
    enum mqtt_rule also = info->also[0] != '\0' ? mqtt_rule_by_id(info->also, info->version) : MQTT_RULE_NONE;
    if (r->first[rule] == 0) {
        r->first[rule] = r->runs;
        r->fresh = true;
    }
    if (r->first[also] == 0) /* told beside it */
        r->first[also] = r->runs;
}

static void run_packet(struct race *r, const uint8_t *octets, size_t len)
{
    struct mqtt_verdict at[32];
    struct mqtt_verdicts v = { at, 32, 0, 0 };
    struct mqtt_packet p;
    struct fuzz_scene scene = fuzz_scene(octets[0]);
    mqtt_decode(view_of(octets + 1, len - 1), (struct mqtt_context){ scene.version, scene.sender }, &p, &v);
    for (uint32_t i = 0; i < v.n; i++)
        show(r, at[i].rule);
}

static void judged(void *ctx, const struct watch_judgement *j)
{
    if (j->rule != MQTT_RULE_NONE)
        show(ctx, j->rule);
}

static void run_talk(struct race *r, const uint8_t *octets, size_t len)
{
    struct watch *w = calloc(1, sizeof *w);
    struct track_config config;
    struct talk_record record;
    size_t pos = 0;
    HOLDS(w != NULL);
    track_defaults(&config);
    config.max_connections = config.max_sessions = config.max_exchanges = config.max_topics = 256;
    w->judged = judged;
    w->ctx = r;
    HOLDS(watch_start(w, &config));
    for (unsigned n = 0; n < 300 && talk_next(view_of(octets + 1, len - 1), &pos, &record); n++)
        watch_record(w, &record);
    watch_end(w);
    free(w);
}

static void keep(struct race *r, const uint8_t *octets, size_t len)
{
    if (r->n == POOL_MAX)
        return;
    r->pool[r->n].octets = malloc(len);
    HOLDS(r->pool[r->n].octets != NULL);
    memcpy(r->pool[r->n].octets, octets, len);
    r->pool[r->n++].len = len;
}

static void run(struct race *r, unsigned number, const uint8_t *octets, size_t len)
{
    r->runs++;
    r->fresh = false;
    if (number < 2)
        run_packet(r, octets, len);
    else
        run_talk(r, octets, len);
    if (r->fresh)
        keep(r, octets, len);
}

/* Engines stack mutations: one to four of them. */
static size_t mutate(struct mutator *m, unsigned number, uint8_t *buf, size_t len)
{
    enum fuzz_shape shape = number < 2 ? FUZZ_PACKET : FUZZ_TALK;
    size_t cap = number < 2 ? ROOM : TALK_ROOM;
    for (unsigned n = 1 + mutator_below(m, 4); n > 0; n--) {
        uint64_t seed = mutator_random(m);
        struct mutator havoc = mutator_seeded(seed);
        len = number % 2 == 0 ? shape_mutate(shape, buf, len, cap, seed) : mutator_havoc(&havoc, buf, len, cap);
    }
    return len;
}

static void race(unsigned number, double seconds, uint64_t seed, const uint8_t *start, size_t start_len)
{
    struct race *r = &races[number];
    struct mutator m = mutator_seeded(seed);
    uint8_t buf[ROOM];
    clock_t end = clock() + (clock_t)(seconds * CLOCKS_PER_SEC);
    keep(r, start, start_len);
    while (clock() < end)
        for (unsigned i = 0; i < 50; i++) {
            unsigned from = mutator_below(&m, r->n);
            memcpy(buf, r->pool[from].octets, r->pool[from].len);
            run(r, number, buf, mutate(&m, number, buf, r->pool[from].len));
        }
}

static size_t seed_packet(uint8_t *out)
{
    struct mutator m = mutator_seeded(1);
    out[0] = 3 | MQTT_CLIENT << 2;
    return 1 + mutator_fresh(&m, (struct mutator_scene){ MQTT_V5, MQTT_CLIENT }, MQTT_CONNECT, out + 1, ROOM - 1);
}

static size_t seed_talk(uint8_t *out)
{
    uint8_t packet[ROOM];
    struct talk_record r = { .op = TALK_SEND, .octets = { packet, 0 } };
    size_t len = 1;
    out[0] = 0;
    r.octets.len = seed_packet(packet) - 1;
    memmove(packet, packet + 1, r.octets.len);
    return talk_write(out, len, ROOM, &r);
}

/* Rules whose breach is told as another one. */
static const char *const told_elsewhere[MQTT_RULE_COUNT] = {
#define REMARK(rule, text)
#define WHY_NOT(rule, text) [MQTT_##rule] = text,
#include "decoder/mqtt/remarks.def"
};

static void print_cell(const struct race *r, unsigned rule)
{
    if (r->first[rule] > 0)
        printf(" %llu |", (unsigned long long)r->first[rule]);
    else
        printf(told_elsewhere[rule] != NULL ? " told as another |" : " - |");
}

static void print_table(unsigned where, const char *title, const struct race *ours, const struct race *havoc)
{
    unsigned total = 0, elsewhere = 0, by_ours = 0, by_havoc = 0;
    for (unsigned rule = 1; rule < MQTT_RULE_COUNT; rule++) {
        if (mqtt_rule_info((enum mqtt_rule)rule)->where != where)
            continue;
        total++;
        by_ours += ours->first[rule] > 0;
        elsewhere += told_elsewhere[rule] != NULL && ours->first[rule] == 0;
        by_havoc += havoc->first[rule] > 0;
    }
    printf("\n### %s\n\n%u rules, %u of them told as another; ours reached %u in %llu executions, plain havoc %u in "
           "%llu.\n\n",
           title, total, elsewhere, by_ours, (unsigned long long)ours->runs, by_havoc, (unsigned long long)havoc->runs);
    printf("| version | rule | ours | plain havoc |\n|---|---|---|---|\n");
    for (unsigned rule = 1; rule < MQTT_RULE_COUNT; rule++) {
        const struct mqtt_rule_info *info = mqtt_rule_info((enum mqtt_rule)rule);
        if (info->where != where)
            continue;
        printf("| %s | `%s` |", mqtt_version_name(info->version), info->id);
        print_cell(ours, rule);
        print_cell(havoc, rule);
        printf("\n");
    }
}

int main(int argc, char **argv)
{
    static uint8_t start[ROOM];
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 0;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    if (seconds <= 0) {
        fprintf(stderr, "usage: reach SECONDS [SEED]\n");
        return 1;
    }
    for (unsigned number = 0; number < 4; number++) {
        size_t len = number < 2 ? seed_packet(start) : seed_talk(start);
        race(number, seconds, seed, start, len);
    }
    print_table(MQTT_WHERE_PACKET, "Rules of one packet", &races[0], &races[1]);
    print_table(MQTT_WHERE_SESSION, "Rules of conduct", &races[2], &races[3]);
    return 0;
}
