/* SPDX-License-Identifier: Apache-2.0
 *
 * What the reference broker does with the same octets in the same order, where that has to be the same: a connection
 * that it goes on with, and no rule was broken on, may not be closed for a Malformed Packet or a Protocol Error. */
#include <stdlib.h>

#include "fuzz/broker/broker.h"
#include "fuzz/heap.h"
#include "fuzz/judge/ledger.h"

struct twin { /* of one connection of the log */
    struct broker_conn *conn;
    uint8_t client;
    uint16_t number;
    bool closed; /* by the model */
};

struct model {
    struct broker *broker;
    struct twin twin[LEDGER_PARTIES];
    unsigned n;
    uint64_t now_ms, random;
};

static void give_random(void *ctx, uint8_t *out, size_t len)
{
    struct model *m = ctx;
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)((m->random = m->random * 6364136223846793005u + 1442695040888963407u) >> 56);
}

static void on_ready(void *ctx, void *user)
{
    (void)ctx;
    (void)user;
}

/* Takes what the model says, and lets go whom it is done with: closing one may wake another. */
static void settle(struct model *m)
{
    for (bool busy = true; busy;) {
        busy = false;
        for (struct twin *t = m->twin; t < m->twin + m->n; t++) {
            if (t->conn == NULL)
                continue;
            size_t waiting = broker_output(t->conn).len;
            if (waiting > 0)
                broker_sent(t->conn, waiting, m->now_ms);
            busy = busy || waiting > 0;
            if (waiting > 0 || !broker_done(t->conn))
                continue;
            t->closed = busy = true;
            broker_closed(t->conn, m->now_ms);
            t->conn = NULL;
        }
    }
}

static struct twin *twin_of(struct model *m, const struct log_entry *e)
{
    for (unsigned i = 0; i < m->n; i++)
        if (m->twin[i].client == e->client && m->twin[i].number == e->connection)
            return &m->twin[i];
    return NULL;
}

static void follow(struct model *m, const struct run *run, const struct log_entry *e)
{
    struct twin *t = twin_of(m, e);
    if (e->what == LOG_OPENED && t == NULL && m->n < LEDGER_PARTIES) {
        t = &m->twin[m->n++];
        *t = (struct twin){ .client = e->client, .number = e->connection };
        t->conn = broker_open(m->broker, t, m->n, m->now_ms);
    } else if (t == NULL || t->conn == NULL) {
        return;
    } else if (e->what == LOG_SENT) {
        broker_input(t->conn, view_of(run->octets + e->at, e->len), m->now_ms);
    } else if (e->what != LOG_RECEIVED) {
        broker_closed(t->conn, m->now_ms);
        t->conn = NULL;
    }
    settle(m);
}

bool model_goes_on(const struct run *run, unsigned client, unsigned number)
{
    struct model *m = calloc(1, sizeof *m);
    if (m == NULL)
        return false;
    struct broker_config config = broker_defaults();
    struct broker_host host = { .ctx = m, .resize = heap_resize, .random = give_random, .ready = on_ready };
    bool goes_on = false, over = (m->broker = broker_new(&config, &host, 0)) == NULL;
    for (uint32_t i = 0; i < run->n_log && !over; i++) {
        const struct log_entry *e = &run->log[i];
        m->now_ms = (uint64_t)(e->time_ns - run->log[0].time_ns) / 1000000;
        broker_advance(m->broker, m->now_ms);
        settle(m);
        over = e->client == client && e->connection == number &&
               (e->what == LOG_CLOSED_BY_BROKER || e->what == LOG_RESET_BY_BROKER);
        if (over) {
            const struct twin *t = twin_of(m, e);
            goes_on = t != NULL && t->conn != NULL && !t->closed;
        } else {
            follow(m, run, e);
        }
    }
    broker_free(m->broker);
    free(m);
    return goes_on;
}
