/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/fuzz/probe/probe.h -- conversations that ask a broker whether it keeps a rule: the table (probes.def), and what
 * plays it.
 *
 * They are the tests of mqbroker: short scripts that run against the step function, where waiting takes no time, with
 * faults, with memory that is refused, octet by octet, and over TCP and WebSocket. What mqfuzz asks brokers on the
 * network is in fuzz/campaign/, written for many in parallel and for answers that differ.
 *
 * Nothing here knows sockets or time: struct probe_wire lends them, so a probe runs against a broker on the network and
 * against the step function of our own, where waiting takes no time. Every packet the broker sends is judged by the
 * decoder on the way: a broken packet rule fails the probe, whatever it was about.
 *
 * A script is lines of words; the first is a client, `a` to `h`, or `wait`. `%` in a value is the prefix of the run,
 * \xNN an octet. Clients speak the version of the probe unless their CONNECT has v=.
 * - a open: a connection, nothing said yet
 * - a up KEY=VALUE...: open, CONNECT, and a CONNACK with these KEYs follows (present=1; reason=0 by default)
 * - a sub FILTER KEYs: SUBSCRIBE and its SUBACK; likewise a unsub FILTER
 * - a pub t=TOPIC p=TEXT KEYs: PUBLISH and all its acknowledgements (QoS 0: until the broker has seen it)
 * - a got t=TOPIC p=TEXT KEYs: the next packet is this PUBLISH; it is acknowledged to the end
 * - a none: nothing is on its way to this client (PINGREQ, and PINGRESP is what comes next)
 * - a gone [REASON]: the broker closes; 5.0: after DISCONNECT with this reason
 * - a refused [REASON]: CONNACK with this reason, then the broker closes
 * - a bye, a cut, a fin: DISCONNECT and close; reset; close
 * - a > TYPE KEYs, a < TYPE KEYs, a > raw HEX...
 * - wait MILLISECONDS
 *
 * A value of a KEY to expect may be alternatives, 1|2, or a range of numbers, 3..5; KEY=- wants the property absent. */
#pragma once
#include "decoder/mqtt/packet.h"

struct probe {
    const char *versions; /* "4", "5" or "45" */
    const char
        *rules; /* statement ids it answers for, separated by spaces; "4:" or "5:" in front binds one to a version */
    const char *title;
    const char *needs; /* options of mqbroker that make the broker fit the probe, "" none */
    const char *script;
};

extern const struct probe probes[];
extern const size_t probe_count;

enum { PROBE_CLIENTS = 8 };

struct probe_wire {
    void *ctx;
    bool (*open)(void *ctx, unsigned client);
    bool (*send)(void *ctx, unsigned client, struct view octets);
    /* Waits for octets of the broker: how many were put into buf, 0 closed, -1 nothing within timeout_ms. */
    int (*receive)(void *ctx, unsigned client, uint8_t *buf, size_t cap, unsigned timeout_ms);
    void (*close)(void *ctx, unsigned client, bool reset);
    void (*wait)(void *ctx, unsigned ms);
};

struct probe_result {
    bool passed;
    unsigned line;  /* of the script, from 1 */
    char what[200]; /* one line, printable */
};

/* Plays a probe with clients of this version. Strict: what a standard leaves open (a DISCONNECT before closing, a
 * refusing CONNACK) is asked for too. prefix makes topics and client identifiers of this run its own. */
bool probe_run(const struct probe *probe, unsigned version, const char *prefix, bool strict,
               const struct probe_wire *wire, struct probe_result *result);
