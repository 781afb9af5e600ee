/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/fuzz/step.h -- a broker in memory for plans and tests: eight clients, a clock that only moves when told. */
#pragma once
#include "fuzz/broker/broker.h"
#include <stdlib.h>
#include <string.h>

enum { STEP_CLIENTS = 8 };

struct step_pipe {
    struct broker_conn *conn; /* NULL: closed by the broker, or never open */
    uint8_t *octets;          /* from the broker, not yet taken */
    size_t len, cap;
    bool stuck; /* does not read: what the broker has for it stays there */
};

struct step {
    struct broker *broker;
    struct broker_config config;
    struct step_pipe pipes[STEP_CLIENTS];
    uint64_t now_ms, seed, allocated;
    uint64_t refuse_after; /* allocations that succeed before one is refused; 0: all do */
    void *leaked[64];      /* by the fault leak-connection, so that it is the only one who leaks */
    unsigned nleaked;
    bool ready;
    bool octetwise; /* what clients send comes octet by octet */
};

static void *step_resize(void *ctx, void *memory, size_t old_len, size_t new_len)
{
    struct step *s = ctx;
    if (new_len == 0) {
        s->allocated -= old_len;
        free(memory);
        return NULL;
    }
    if (s->refuse_after > 0 && new_len > old_len && --s->refuse_after == 0)
        return NULL;
    void *p = realloc(memory, new_len);
    if (p != NULL)
        s->allocated += new_len - old_len;
    if (p != NULL && memory == NULL && new_len == 4096 && s->config.faults[FAULT_LEAK_CONNECTION] && s->nleaked < 64)
        s->leaked[s->nleaked++] = p;
    return p;
}

static void step_random(void *ctx, uint8_t *out, size_t len)
{
    struct step *s = ctx;
    for (size_t i = 0; i < len; i++) {
        s->seed = s->seed * 6364136223846793005u + 1442695040888963407u;
        out[i] = (uint8_t)(s->seed >> 56);
    }
}

static void step_ready(void *ctx, void *user)
{
    (void)user;
    ((struct step *)ctx)->ready = true;
}

/* Takes what the broker has to say to everybody, and lets go whom it is done with. */
static void step_settle(struct step *s)
{
    do {
        s->ready = false;
        for (unsigned i = 0; i < STEP_CLIENTS; i++) {
            struct step_pipe *p = &s->pipes[i];
            if (p->conn == NULL || p->stuck)
                continue;
            for (struct view v; (v = broker_output(p->conn)).len > 0;) {
                if (p->len + v.len > p->cap)
                    p->octets = realloc(p->octets, p->cap = (p->len + v.len) * 2);
                memcpy(p->octets + p->len, v.ptr, v.len);
                p->len += v.len;
                broker_sent(p->conn, v.len, s->now_ms);
            }
            if (broker_done(p->conn)) {
                broker_closed(p->conn, s->now_ms);
                p->conn = NULL;
            }
        }
    } while (s->ready);
}

static inline bool step_open(struct step *s, unsigned client)
{
    s->pipes[client].len = 0;
    s->pipes[client].conn = broker_open(s->broker, &s->pipes[client], client + 1, s->now_ms);
    return s->pipes[client].conn != NULL;
}

static inline void step_send(struct step *s, unsigned client, struct view octets)
{
    if (s->pipes[client].conn == NULL)
        return; /* as a socket whose other end has just gone */
    size_t step = s->octetwise ? 1 : octets.len;
    for (size_t at = 0; at < octets.len && s->pipes[client].conn != NULL; at += step) {
        uint8_t *exact = memcpy(malloc(step), octets.ptr + at, step); /* so that a read beyond it shows */
        broker_input(s->pipes[client].conn, view_of(exact, step), s->now_ms);
        free(exact);
        step_settle(s);
    }
}

/* How many octets of the broker were put into buf; 0: closed; -1: nothing has come. */
static inline int step_receive(struct step *s, unsigned client, uint8_t *buf, size_t cap)
{
    struct step_pipe *p = &s->pipes[client];
    if (p->len == 0)
        return p->conn == NULL ? 0 : -1;
    size_t n = p->len < cap ? p->len : cap;
    memcpy(buf, p->octets, n);
    memmove(p->octets, p->octets + n, p->len - n);
    p->len -= n;
    return (int)n;
}

static inline void step_close(struct step *s, unsigned client)
{
    struct step_pipe *p = &s->pipes[client];
    p->len = 0;
    if (p->conn != NULL)
        broker_closed(p->conn, s->now_ms);
    p->conn = NULL;
    step_settle(s);
}

static inline void step_wait(struct step *s, unsigned ms)
{
    for (uint64_t end = s->now_ms + ms; s->now_ms < end;) {
        s->now_ms += end - s->now_ms < 100 ? end - s->now_ms : 100;
        broker_advance(s->broker, s->now_ms);
        step_settle(s);
    }
}

static bool step_start(struct step *s)
{
    struct broker_host host = { s, step_resize, step_random, step_ready, NULL };
    s->now_ms = 1000000;
    s->broker = broker_new(&s->config, &host, s->now_ms);
    if (s->broker != NULL)
        broker_advance(s->broker, s->now_ms);
    return s->broker != NULL;
}

static void step_stop(struct step *s)
{
    for (unsigned i = 0; i < STEP_CLIENTS; i++) {
        if (s->pipes[i].conn != NULL)
            broker_closed(s->pipes[i].conn, s->now_ms);
        s->pipes[i].conn = NULL;
        free(s->pipes[i].octets);
        s->pipes[i] = (struct step_pipe){ .octets = NULL };
    }
    broker_free(s->broker);
    s->broker = NULL;
    while (s->nleaked > 0)
        free(s->leaked[--s->nleaked]);
}
