/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/peer/link.h -- one client's connection while a plan runs; private to the runner. */
#pragma once
#include "fuzz/peer/runner.h"

/* One packet that came and that no expectation has taken yet. */
struct arrival {
    uint32_t at, len; /* in link.in */
    bool taken;
};

struct link {
    struct run *run;
    int fd;                                   /* -1: none */
    uint32_t watched;                         /* for which events */
    struct wire *wire;                        /* NULL: plain TCP */
    bool connecting, closed_by_broker, ended; /* ended: opened once and closed since, by whomever */
    bool manual, deaf;
    bool silent; /* something waited for did not come: what is waited for softly is not waited for long any more */
    uint8_t version;
    uint16_t opened, port;
    uint32_t pings; /* PINGREQ sent on this connection */
    uint8_t *in;    /* all octets received on this connection */
    uint32_t n_in, in_cap, parsed;
    struct arrival *arrival;
    uint32_t n_arrival, arrival_cap;
    uint8_t out[64]; /* automatic answers that the socket did not take at once */
    uint32_t n_out;
};

/* The run is over, for a reason. */
void run_finish(struct run *r, enum run_end end, const char *why, ...) __attribute__((format(printf, 3, 4)));
void run_next_step(struct run *r);
void link_decode(const struct link *l, const struct arrival *a, struct mqtt_packet *p);
/* As much as the socket takes; returns how many octets. */
uint32_t link_send(struct run *r, struct link *l, const uint8_t *octets, uint32_t n);
/* One expectation. late: its time is over. True: it is met, and the next step begins; else the run may be over, or have
 * gone on without. */
bool link_expect(struct run *r, struct link *l, const struct plan_step *s, bool late);
