/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/broker/broker.c -- the broker as a whole: birth, deadlines, figures, end. */
#include "fuzz/broker/internal.h"
#include <string.h>

struct broker_config broker_defaults(void)
{
    return (struct broker_config){
        .max_connections = 50000,
        .max_sessions = 100000,
        .max_queued = 1000,
        .max_inflight = 100,
        .max_retained = 100000,
        .max_subscriptions = 10000,
        .max_levels = 200,
        .max_packet = MQTT_REMAINING_MAX + MQTT_HEADER_MAX,
        .max_output = 256 * 1024,
        .max_session_expiry_s = UINT32_MAX,
        .max_memory = UINT64_C(1) << 30,
        .receive_maximum = 20,
        .alias_maximum = 10,
        .max_keep_alive_s = 60,
        .max_qos = 2,
        .retain_available = true,
        .wildcard_available = true,
        .shared_available = true,
        .subscription_id_available = true,
        .connect_timeout_ms = 10000,
        .sys_interval_s = 10,
        .deny_subscribe = { (const uint8_t *)"test/nosubscribe", 16 },
    };
}

static void clamp(struct broker_config *c)
{
    if (c->max_inflight == 0 || c->max_inflight > 16384)
        c->max_inflight = c->max_inflight == 0 ? 1 : 16384;
    if (c->max_levels == 0 || c->max_levels > 1000)
        c->max_levels = 1000;
    if (c->receive_maximum == 0)
        c->receive_maximum = 1;
    if (c->max_output < 1024)
        c->max_output = 1024;
    if (c->max_packet > MQTT_REMAINING_MAX + MQTT_HEADER_MAX)
        c->max_packet = MQTT_REMAINING_MAX + MQTT_HEADER_MAX;
}

struct broker *broker_new(const struct broker_config *config, const struct broker_host *host, uint64_t now_ms)
{
    struct broker *b = host->resize(host->ctx, NULL, 0, sizeof *b);
    if (b == NULL)
        return NULL;
    *b = (struct broker){ .config = *config, .host = *host, .now_ms = now_ms, .start_ms = now_ms };
    clamp(&b->config);
    b->memory =
        (struct memory){ .host = &b->host, .used = sizeof *b, .peak = sizeof *b, .limit = b->config.max_memory };
    host->random(host->ctx, (uint8_t *)b->seed, sizeof b->seed);
    b->sys_timer.kind = TIMER_SYS;
    if (!timers_set(&b->timers, &b->memory, &b->sys_timer, now_ms)) {
        host->resize(host->ctx, b, sizeof *b, 0);
        return NULL;
    }
    return b;
}

static void end_sessions(struct broker *b)
{
    for (uint32_t i = 0; i < b->sessions_cap; i++) {
        while (b->sessions[i] != NULL) {
            session_will_cancel(b, b->sessions[i]);
            broker_session_end(b->sessions[i], b);
        }
    }
    mem_free(&b->memory, b->sessions, b->sessions_cap * sizeof(struct session *));
}

void broker_free(struct broker *b)
{
    if (b == NULL)
        return;
    while (b->conns != NULL) {
        if (b->conns->session != NULL)
            session_will_cancel(b, b->conns->session);
        broker_closed(b->conns, b->now_ms);
    }
    end_sessions(b);
    tree_done(b);
    lines_done(&b->passwords, &b->memory);
    lines_done(&b->acl, &b->memory);
    buffer_done(&b->scratch, &b->memory);
    buffer_done(&b->passed, &b->memory);
    mem_free(&b->memory, b->ids, b->ids_cap * sizeof *b->ids);
    mem_free(&b->memory, b->timers.heap, b->timers.cap * sizeof(struct timer *));
    b->host.resize(b->host.ctx, b, sizeof *b, 0);
}

#define OWNER(timer, type) ((type *)(void *)((char *)(timer)-offsetof(type, timer)))

static void fire(struct broker *b, struct timer *timer)
{
    timers_stop(&b->timers, timer);
    switch (timer->kind) {
    case TIMER_CONN:
        conn_due(OWNER(timer, struct broker_conn));
        break;
    case TIMER_SESSION:
        session_due(b, OWNER(timer, struct session));
        break;
    default:
        sys_due(b);
        break;
    }
}

uint64_t broker_advance(struct broker *b, uint64_t now_ms)
{
    b->now_ms = now_ms;
    while (b->timers.n > 0 && b->timers.heap[0]->due <= now_ms)
        fire(b, b->timers.heap[0]);
    return b->timers.n > 0 ? b->timers.heap[0]->due : UINT64_MAX;
}

void broker_shutdown(struct broker *b, uint64_t now_ms)
{
    b->now_ms = now_ms;
    b->shutting_down = true;
    for (struct broker_conn *c = b->conns; c != NULL; c = c->next)
        conn_close(c, 0x8b, MQTT_RULE_NONE, "server shutting down");
}

void broker_stats(const struct broker *b, struct broker_stats *out)
{
    *out = b->stats;
    out->memory = b->memory.used;
    out->memory_peak = b->memory.peak;
}
