/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/peer/canary.h -- a client that does nothing wrong, beside the fuzzing: is it still served? */
#pragma once
#include "fuzz/peer/runner.h"

enum { CANARY_MS = 3000 /* what it waits for an answer */, CANARY_WHY = 200 };

struct canary {
    int fd; /* -1: not connected */
    struct wire *wire;
    uint32_t wait_ms;             /* for an answer; 0: CANARY_MS */
    uint8_t version;              /* that it speaks */
    uint8_t refused;              /* reason of the CONNACK when it was not 0 */
    uint8_t first[8], n_first;    /* what came first after CONNECT, at most so much of it */
    bool closed;                  /* by the broker, without an answer */
    int error;                    /* errno of a connection that was not made */
    bool (*meanwhile)(void *ctx); /* done again and again while it waits; false: it need not wait on. May be NULL */
    void *ctx;
};
#define CANARY_NONE ((struct canary){ .fd = -1, .version = MQTT_V311 })

bool canary_connect(struct canary *c, const struct runner_target *target); /* anew: CONNECT and CONNACK */
bool canary_lives(struct canary *c, const struct runner_target *target);   /* PINGREQ and PINGRESP, or connected anew */
bool canary_helpless(const struct canary *c);                   /* it was this machine that had no connection */
void canary_why(const struct canary *c, char *out, size_t cap); /* it could not connect: what happened */
void canary_complain(const struct canary *c);                   /* the same on stderr */
void canary_close(struct canary *c);
