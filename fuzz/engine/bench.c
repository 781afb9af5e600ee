/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/engine/bench.h"

#include <stdlib.h>
#include <string.h>

#include "fuzz/engine/output.h"

enum { REFUSALS = 200 };

struct client {
    struct broker_conn *conn; /* NULL: not connected */
};

struct bench {
    struct broker *broker;
    struct client clients[TALK_CLIENTS];
    uint64_t memory, now_ms, random;
    size_t read_at_once;          /* 0: all */
    uint32_t taken, refuse_after; /* pieces of memory; 0: no end */
    unsigned deadlines;           /* met so far: an input is long by what clients do, not by an hour of $SYS */
    const struct bench_events *events;
};

static void *resize(void *ctx, void *memory, size_t old_len, size_t new_len)
{
    struct bench *b = ctx;
    HOLDS(b->memory >= old_len);
    if (new_len > old_len && b->refuse_after > 0 && ++b->taken > b->refuse_after)
        return NULL;
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

static void on_log(void *ctx, const struct broker_log *log)
{
    (void)ctx;
    HOLDS(log->event != NULL && log->detail != NULL && log->level <= BROKER_WARNING && log->rule < MQTT_RULE_COUNT);
    HOLDS(output_is_text(view_of(log->detail, strlen(log->detail)), "") && log->reason >= -1 && log->reason <= 0xff);
}

static void tell_octets(struct bench *b, const struct client *c, bool by_server, struct view octets)
{
    if (b->events->octets != NULL && octets.len > 0 && b->read_at_once == 0)
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
    for (unsigned round = 0, busy = 1; busy && round < (b->read_at_once > 0 ? 1 : 64); round++) {
        busy = 0;
        for (struct client *c = b->clients; c < b->clients + TALK_CLIENTS; c++) {
            if (c->conn == NULL)
                continue;
            struct view out = broker_output(c->conn);
            tell_octets(b, c, true, out);
            if (b->read_at_once > 0 && out.len > b->read_at_once)
                out.len = b->read_at_once;
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

/* A server does not read from a client that does not read. */
static bool wants_input(struct bench *b, struct client *c)
{
    for (unsigned n = 0; n < 1000 && c->conn != NULL && !broker_wants_input(c->conn); n++)
        settle(b);
    return c->conn != NULL;
}

/* In an allocation of its exact size. */
static void deliver(struct bench *b, struct client *c, struct view octets)
{
    if (!wants_input(b, c))
        return;
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
    while (b->now_ms < until && b->deadlines < BENCH_DEADLINES) {
        b->deadlines++;
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

static void set_limits(struct bench *b, struct broker_config *c, unsigned settings)
{
    c->max_connections = 3;
    c->max_sessions = 4;
    c->max_queued = 3;
    c->max_inflight = settings & 1 ? 1 : 50000;
    c->max_retained = 2;
    c->max_subscriptions = 2;
    c->max_levels = settings & 2 ? 3 : 0;
    c->max_packet = settings & 2 ? 300 : UINT32_MAX;
    c->max_output = 1;
    c->max_memory = settings & 4 ? 24 << 10 : BENCH_MEMORY;
    c->receive_maximum = 0;
    c->alias_maximum = 0;
    c->retain_available = (settings & 1) == 0;
    c->queue_qos0 = true;
    c->reason_strings = false;
    c->sys_interval_s = 1;
    c->auth_secret = (struct view){ NULL, 0 };
    c->deny_subscribe = (struct view){ NULL, 0 };
    b->read_at_once = settings & 1 ? 16 : 512;
}

/* Users with the password "pass" and what they may do; the second one's is stretched. */
static void read_files(struct broker *b)
{
    static const char passwords[] =
        "# users\n\n"
        "user:$6$c2FsdA==$cGS5SkKWZQ/PWvQvJaQfXnAAD7FAuqVmI8302iorwl8NtRaPV7Hr2WsQxAc3wacyhZByZfYZrIWygc0vxfQgfQ==\r\n"
        "ann:$7$2$c2FsdA==$s43rhX6mNwgc/mHkllciw27ljcQPU7gOQqQxV5XDlHBIC/hsgekKTxwUKqvHJz7gxaCV+6siXd6mCj0yjBXPAw==\n";
    static const char acl[] = "topic read $SYS/#\ntopic write t/+/x\nuser user\ntopic a/#\ntopic deny a/secret\n"
                              "topic read b/+\npattern readwrite %c/%u/+\npattern write own/%c\n# end";
    HOLDS(broker_passwords(b, view_of(passwords, sizeof passwords - 1)) == 0);
    HOLDS(broker_acl(b, view_of(acl, sizeof acl - 1)) == 0);
}

static void set_faults(struct view talk, bool faults[FAULT_COUNT])
{
    struct talk_record record;
    size_t pos = 0;
    while (talk_next(talk, &pos, &record))
        if (record.op == TALK_GAP && record.number < FAULT_LEAK_CONNECTION) /* it and the crashes stand last */
            HOLDS(broker_fault_parse(broker_fault_name(record.number), faults) == NULL && faults[record.number]);
}

static void set_by_environment(bool faults[FAULT_COUNT])
{
    const char *names = getenv("FUZZ_FAULT"); /* as mqbroker --fault: crash-* proves that the target can fail */
    if (names != NULL)
        HOLDS(broker_fault_parse(names, faults) == NULL);
}

static void end(struct bench *b)
{
    struct broker_stats stats;
    broker_stats(b->broker, &stats);
    HOLDS(stats.memory == b->memory && stats.memory_peak >= stats.memory && stats.connections <= TALK_CLIENTS);
    HOLDS(stats.connects_accepted <= stats.connections_total);
    if (b->random % 2)
        return; /* an end without a word */
    broker_shutdown(b->broker, b->now_ms);
    settle(b);
}

void bench_run(struct view talk, enum bench_kind kind, unsigned rest, const struct bench_events *events)
{
    struct bench *b = calloc(1, sizeof *b);
    struct broker_host host = { .ctx = b, .resize = resize, .random = give_random, .ready = on_ready, .log = on_log };
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
    if (kind == BENCH_TIGHT)
        set_limits(b, &config, rest);
    if (kind == BENCH_TIGHT && (rest & 8) != 0)
        b->refuse_after = 1 + (uint32_t)(talk.len % REFUSALS);
    if (kind == BENCH_FAULTS)
        set_faults(talk, config.faults);
    config.allow_anonymous = config.reason_strings = (rest & 1) != 0;
    set_by_environment(config.faults);
    b->now_ms = 1000;
    b->events = events;
    b->broker = broker_new(&config, &host, b->now_ms);
    HOLDS(b->broker != NULL || b->refuse_after > 0);
    if (kind == BENCH_FILES)
        read_files(b->broker);
    for (unsigned n = 0; b->broker != NULL && n < BENCH_RECORDS && talk_next(talk, &pos, &record); n++)
        run_record(b, &record);
    if (b->broker != NULL)
        end(b);
    broker_free(b->broker);
    HOLDS(b->memory == 0);
    free(b);
}
