/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/talk/recorded.h -- seeds from captures: what recorded clients sent, as conversations.
 *
 * Any capture libpcap reads; Ethernet (VLAN), Linux cooked, loopback or raw IP; IPv4 without fragments, IPv6, TCP on
 * any port. Segments are taken in order: one that comes too early ends its connection here, one that comes again is
 * cut. A connection whose first packet is no CONNECT is left out, what the broker said too, and time. Hostile files
 * make few or strange conversations, no harm. */
#pragma once
#include <stdio.h>

#include "fuzz/talk/conversation.h"

enum { RECORDED_TALKS = 512, RECORDED_CONNECTIONS = 1024 };

struct recorded {
    struct talk talk[RECORDED_TALKS];
    uint32_t n;
    uint64_t left_out; /* connections that are not in them wholly */
};

/* Takes over f. False: error says why; true with an error: the file ends badly, after what was read. Free it in any
 * case. */
bool recorded_read(struct recorded *r, FILE *f, char *error, size_t cap);
void recorded_free(struct recorded *r);
