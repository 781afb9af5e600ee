/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/engine/bench.h"

#include <stdlib.h>
#include <string.h>

struct client {
    struct broker_conn *conn; /* NULL: not connected */
};

struct bench {
    struct broker *broker;
    struct client clients[TALK_CLIENTS];
    uint64_t memory, now_ms, random;
    const struct bench_events *events;
};

static void *resize(void *ctx, void *memory, size_t old_len, size_t new_len)
{
    struct bench *b = ctx;
    HOLDS(b->memory >= old_len);
    b->memory = b->memory - old_len + new_len;
    HOLDS(b->memory <= 2 * BENCH_MEMORY);
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

static void tell_octets(struct bench *b, const struct client *c, bool by_server, struct view octets)
{
    if (b->events->octets != NULL && octets.len > 0)
        b->events->octets(b->events->ctx, (unsigned)(c - b->clients), by_server, octets);
}

static void hang_up(struct bench *b, struct client *c, bool by_server, bool reset)
{
    if (c->conn == NULL)
        return;
    if (b->events->closed != NULL)
        b->events->closed(b->events->ctx, (unsigned)(c - b->clients), by_server, reset);
    broker_closed(c->conn, b->now_ms);
    c->conn = NULL;
}

/* Sends what waits and closes what is done, until nothing changes: closing one may wake another. */
static void settle(struct bench *b)
{
    for (unsigned round = 0, busy = 1; busy && round < 64; round++) {
        busy = 0;
        for (struct client *c = b->clients; c < b->clients + TALK_CLIENTS; c++) {
            if (c->conn == NULL)
                continue;
            struct view out = broker_output(c->conn);
            tell_octets(b, c, true, out);
            if (out.len > 0) {
                broker_sent(c->conn, out.len, b->now_ms);
                busy = 1;
            }
            if (broker_output(c->conn).len == 0 && broker_done(c->conn)) {
                hang_up(b, c, true, false);
                busy = 1;
            }
        }
    }
}

static void connect(struct bench *b, struct client *c)
{
    if (c->conn != NULL)
        return;
    c->conn = broker_open(b->broker, c, (uint64_t)(c - b->clients) + 1, b->now_ms);
    if (c->conn != NULL && b->events->opened != NULL)
        b->events->opened(b->events->ctx, (unsigned)(c - b->clients));
}

/* In an allocation of its exact size. */
static void deliver(struct bench *b, struct client *c, struct view octets)
{
    uint8_t *exact = malloc(octets.len > 0 ? octets.len : 1);
    HOLDS(exact != NULL);
    if (octets.len > 0)
        memcpy(exact, octets.ptr, octets.len);
    tell_octets(b, c, false, octets);
    broker_input(c->conn, view_of(exact, octets.len), b->now_ms);
    free(exact);
    settle(b);
}

static void pass_time(struct bench *b, uint64_t ms)
{
    uint64_t until = b->now_ms + ms;
    for (unsigned n = 0; n < 100 && b->now_ms < until; n++) {
        uint64_t due = broker_advance(b->broker, b->now_ms);
        HOLDS(due > b->now_ms);
        settle(b);
        due = due < until ? due : until;
        if (b->events->waited != NULL)
            b->events->waited(b->events->ctx, due - b->now_ms);
        b->now_ms = due;
    }
    broker_advance(b->broker, b->now_ms);
}

static void send_octets(struct bench *b, struct client *c, const struct talk_record *r)
{
    connect(b, c);
    if (r->by_server)
        return;
    if (r->op == TALK_SEND && c->conn != NULL)
        deliver(b, c, r->octets);
    for (size_t i = 0; r->op == TALK_SPLIT && i < r->octets.len && i < 64 && c->conn != NULL; i++)
        deliver(b, c, view_of(r->octets.ptr + i, 1));
}

static void run_record(struct bench *b, const struct talk_record *r)
{
    struct client *c = &b->clients[r->client];
    switch (r->op) {
    case TALK_OPEN:
        connect(b, c);
        break;
    case TALK_SEND:
    case TALK_SPLIT:
        send_octets(b, c, r);
        break;
    case TALK_CLOSE:
    case TALK_RESET:
        hang_up(b, c, false, r->op == TALK_RESET);
        break;
    case TALK_WAIT:
        pass_time(b, r->number * UINT64_C(10));
        break;
    case TALK_LONG_WAIT:
        pass_time(b, r->number * UINT64_C(1000));
        break;
    case TALK_GAP:
        break;
    }
    settle(b);
}

void bench_run(struct view talk, unsigned rest, const struct bench_events *events)
{
    struct bench *b = calloc(1, sizeof *b);
    struct broker_host host = { .ctx = b, .resize = resize, .random = give_random, .ready = on_ready };
    struct broker_config config = broker_defaults();
    struct talk_record record;
    size_t pos = 0;
    HOLDS(b != NULL);
    config.max_memory = BENCH_MEMORY;
    config.max_queued = rest & 1 ? 2 : 100;
    config.receive_maximum = rest & 2 ? 1 : 20;
    config.max_qos = rest & 4 ? 1 : 2;
    config.shared_available = config.wildcard_available = config.subscription_id_available = (rest & 8) == 0;
    config.auth_secret = view_of("secret", 6);
    config.deny_subscribe = view_of("a/b", 3);
    config.response_information = view_of("reply/", 6);
    config.server_reference = rest & 8 ? view_of("other:1883", 10) : (struct view){ NULL, 0 };
    config.max_session_expiry_s = rest & 4 ? 100 : UINT32_MAX;
    config.max_keep_alive_s = rest & 2 ? 30 : 0;
    config.sys_interval_s = rest == 15 ? 60 : 0;
    const char *faults = getenv("FUZZ_FAULT"); /* as mqbroker --fault: crash-* proves that the target can fail */
    if (faults != NULL)
        HOLDS(broker_fault_parse(faults, config.faults) == NULL);
    b->now_ms = 1000;
    b->events = events;
    b->broker = broker_new(&config, &host, b->now_ms);
    HOLDS(b->broker != NULL);
    for (unsigned n = 0; n < BENCH_RECORDS && talk_next(talk, &pos, &record); n++)
        run_record(b, &record);
    broker_shutdown(b->broker, b->now_ms);
    settle(b);
    broker_free(b->broker);
    HOLDS(b->memory == 0);
    free(b);
}
