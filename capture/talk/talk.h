/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/talk/talk.h -- a connection that carries MQTT, or may do so: from ordered octets to packets.
 *
 * Takes the events of capture/stream/tcp.h (octets, gap or end of one direction) and tells what came of them
 * (capture/talk/report.h). What lies between, TLS or WebSocket, is taken off first (capture/talk/transport.h). */
#pragma once
#include "capture/stream/tcp.h"

struct report;
struct talks;
struct tls_keys;

typedef bool talks_tell(void *ctx, struct report *r); /* false: no more reports are wanted */

struct talks_options {
    talks_tell *tell;
    void *ctx;                    /* of `tell` */
    const uint16_t *forced_ports; /* -d; borrowed */
    uint32_t n_forced_ports;
    uint32_t packet_limit;
    uint64_t total_limit;
    struct tls_keys *keys; /* NULL: TLS stays closed; borrowed */
};

struct talks_counters {
    uint64_t connections, rows, packets, packet_octets, gaps, gap_octets, skipped_octets, cut_packets;
    uint64_t evicted_probes; /* connections given up before it was clear what they carry: there was no room */
    uint64_t websockets, tls, tls_opened, tls_no_key,
        tls_unknown;       /* connections; of TLS also how they went, once over */
    uint64_t held, memory; /* octets of unfinished packets and undecided streams; of all connections */
};

struct talks *talks_new(const struct talks_options *options); /* NULL: no memory */
void talks_free(struct talks *t);                             /* NULL is fine */
void talks_stop(struct talks *t);                             /* no more reports; memory is still given back */
bool talks_stopped(const struct talks *t);                    /* no more are wanted */
void talks_current_frame(struct talks *t, uint64_t frame);    /* of the segment that is taken apart now */
uint64_t talks_handle(const struct flow *f);                  /* report.handle of its connection; 0: none */
void talks_count(const struct talks *t, struct talks_counters *out);

extern const struct tcp_events talks_tcp_events; /* ctx: struct talks */
