/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/target/broker.c -- the broker's step function under several clients and its timers. Claims: everything it sends
 * is framed and breaks no rule of form in the version of its client; memory stays below the limit and all of it comes
 * back; deadlines lie ahead; nothing is sent to a connection that is done. */
#include "fuzz/target/target.h"

#include <stdlib.h>
#include <string.h>

#include "decoder/mqtt/packet.h"
#include "fuzz/broker/broker.h"
#include "fuzz/talk.h"

const struct fuzz_target fuzz_target = { "broker", FUZZ_TALK };

enum { MEMORY_LIMIT = 4 << 20, RECORDS_MAX = 200 };

struct client {
    struct broker_conn *conn;
    uint8_t version; /* of its CONNECT; 0: none yet */
};

struct bench {
    struct broker *broker;
    struct client clients[TALK_CLIENTS];
    uint64_t memory, now_ms, random;
};

static void *resize(void *ctx, void *memory, size_t old_len, size_t new_len)
{
    struct bench *b = ctx;
    HOLDS(b->memory >= old_len);
    b->memory = b->memory - old_len + new_len;
    HOLDS(b->memory <= 2 * MEMORY_LIMIT);
    if (new_len == 0) {
        free(memory);
        return NULL;
    }
    return realloc(memory, new_len);
}

static void give_random(void *ctx, uint8_t *out, size_t len)
{
    struct bench *b = ctx;
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)((b->random = b->random * 6364136223846793005u + 1442695040888963407u) >> 56);
}

static void on_ready(void *ctx, void *user)
{
    (void)ctx;
    (void)user;
}

/* One whole packet from the server: no verdict of form. */
static void check_packet(struct view octets, unsigned version)
{
    struct mqtt_verdict at[4];
    struct mqtt_verdicts v = { at, 4, 0, 0 };
    struct mqtt_packet p;
    mqtt_decode(octets, (struct mqtt_context){ (uint8_t)version, MQTT_SERVER }, &p, &v);
    HOLDS(!p.cut && p.header_len > 0);
    for (uint32_t i = 0; i < v.n; i++)
        HOLDS(at[i].severity < MQTT_SEVERITY_ERROR);
}

static void drain(struct bench *b, struct client *c)
{
    struct view out = broker_output(c->conn);
    size_t pos = 0;
    while (pos < out.len) {
        uint32_t remaining = 0;
        int used = mqtt_vbi_read(view_of(out.ptr + pos + 1, out.len - pos - 1), &remaining);
        HOLDS(used > 0 && remaining <= out.len - pos - 1 - (size_t)used);
        size_t len = 1 + (size_t)used + remaining;
        if (c->version != 0)
            check_packet(view_of(out.ptr + pos, len), c->version);
        pos += len;
    }
    if (pos > 0)
        broker_sent(c->conn, pos, b->now_ms);
    HOLDS(broker_output(c->conn).len == 0);
}

/* Sends what waits and closes what is done, until nothing changes: closing one may wake another. */
static void settle(struct bench *b)
{
    for (unsigned round = 0, busy = 1; busy && round < 64; round++) {
        busy = 0;
        for (unsigned i = 0; i < TALK_CLIENTS; i++) {
            struct client *c = &b->clients[i];
            if (c->conn == NULL)
                continue;
            busy |= broker_output(c->conn).len > 0;
            drain(b, c);
            if (broker_done(c->conn)) {
                broker_closed(c->conn, b->now_ms);
                *c = (struct client){ NULL, 0 };
                busy = 1;
            }
        }
    }
}

/* The version that the broker will answer in: of the first whole CONNECT. */
static void learn_version(struct client *c, struct view octets)
{
    struct mqtt_packet p;
    if (c->version != 0 || octets.len < 12 || octets.ptr[0] >> 4 != MQTT_CONNECT)
        return;
    mqtt_decode(octets, (struct mqtt_context){ 0, MQTT_CLIENT }, &p, NULL);
    unsigned level = p.connect.level & 0x7fu;
    if (!p.cut && p.held == p.header_len + p.remaining && level >= MQTT_V31 && level <= MQTT_V5)
        c->version = p.version;
}

static void deliver(struct bench *b, struct client *c, struct view octets)
{
    uint8_t *exact = malloc(octets.len > 0 ? octets.len : 1);
    HOLDS(exact != NULL);
    if (octets.len > 0)
        memcpy(exact, octets.ptr, octets.len);
    learn_version(c, octets);
    broker_input(c->conn, view_of(exact, octets.len), b->now_ms);
    free(exact);
}

static void pass_time(struct bench *b, uint64_t ms)
{
    uint64_t until = b->now_ms + ms;
    for (unsigned n = 0; n < 100; n++) {
        uint64_t due = broker_advance(b->broker, b->now_ms);
        HOLDS(due > b->now_ms);
        settle(b);
        if (due >= until)
            break;
        b->now_ms = due;
    }
    b->now_ms = until;
    broker_advance(b->broker, b->now_ms);
}

static void run_record(struct bench *b, const struct talk_record *r)
{
    struct client *c = &b->clients[r->client];
    switch (r->op) {
    case TALK_OPEN:
        if (c->conn == NULL)
            *c = (struct client){ broker_open(b->broker, c, r->client + 1, b->now_ms), 0 };
        break;
    case TALK_SEND:
    case TALK_SPLIT:
        if (c->conn == NULL)
            *c = (struct client){ broker_open(b->broker, c, r->client + 1, b->now_ms), 0 };
        if (c->conn == NULL || r->by_server)
            break;
        if (r->op == TALK_SEND)
            deliver(b, c, r->octets);
        for (size_t i = 0; r->op == TALK_SPLIT && i < r->octets.len && i < 64; i++) {
            learn_version(c, r->octets);
            deliver(b, c, view_of(r->octets.ptr + i, 1));
        }
        break;
    case TALK_CLOSE:
    case TALK_RESET:
        if (c->conn != NULL)
            broker_closed(c->conn, b->now_ms);
        *c = (struct client){ NULL, 0 };
        break;
    case TALK_WAIT:
        pass_time(b, r->number * 10u);
        break;
    case TALK_LONG_WAIT:
        pass_time(b, r->number * 1000u);
        break;
    case TALK_GAP:
        break;
    }
    settle(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct bench *b = calloc(1, sizeof *b);
    HOLDS(b != NULL);
    struct broker_host host = { .ctx = b, .resize = resize, .random = give_random, .ready = on_ready };
    struct broker_config config = broker_defaults();
    unsigned rest = fuzz_scene(data[0]).rest;
    config.max_memory = MEMORY_LIMIT;
    config.max_queued = rest & 1 ? 2 : 100;
    config.receive_maximum = rest & 2 ? 1 : 20;
    config.max_qos = rest & 4 ? 1 : 2;
    config.shared_available = config.wildcard_available = config.subscription_id_available = (rest & 8) == 0;
    config.sys_interval_s = rest == 15 ? 60 : 0;
    b->now_ms = 1000;
    b->broker = broker_new(&config, &host, b->now_ms);
    HOLDS(b->broker != NULL);
    struct talk_record record;
    struct view talk = view_of(data + 1, size - 1);
    size_t pos = 0;
    for (unsigned n = 0; n < RECORDS_MAX && talk_next(talk, &pos, &record); n++)
        run_record(b, &record);
    broker_shutdown(b->broker, b->now_ms);
    settle(b);
    broker_free(b->broker);
    HOLDS(b->memory == 0);
    free(b);
    return 0;
}
