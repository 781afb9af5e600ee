/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/campaign/canary.h -- a client that does nothing wrong, beside the fuzzing: is it still served? */
#pragma once
#include "fuzz/campaign/runner.h"

enum { CANARY_MS = 3000 }; /* what it waits for an answer */

struct canary {
    int fd; /* -1: not connected */
    struct wire *wire;
    uint32_t wait_ms; /* for an answer; 0: CANARY_MS */
    uint8_t refused;  /* return code of the CONNACK when it was not 0 */
    int error;        /* errno of a connection that was not made */
};
#define CANARY_NONE ((struct canary){ .fd = -1 })

bool canary_connect(struct canary *c, const struct runner_target *target); /* anew: CONNECT and CONNACK */
bool canary_lives(struct canary *c, const struct runner_target *target);   /* PINGREQ and PINGRESP, or connected anew */
void canary_complain(const struct canary *c);                              /* on stderr, why it could not connect */
void canary_close(struct canary *c);
