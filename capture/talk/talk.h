/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/talk/talk.h -- a connection that carries MQTT, or may do so: from ordered octets to rows.
 *
 * Takes the events of capture/stream/tcp.h (octets, gap or end of one direction) and gives rows. What lies between, TLS
 * or WebSocket, is taken off first (capture/talk/transport.h). */
#pragma once
#include "capture/pipeline.h"
#include "capture/stream/tcp.h"
#include "decoder/track/track.h"

struct talks;
struct tls_keys;

struct talks_options {
    const struct pipeline_events *events;
    void *ctx;
    const uint16_t *forced_ports; /* -d; borrowed */
    uint32_t n_forced_ports;
    uint32_t packet_limit;
    uint64_t total_limit;
    struct track *track;   /* NULL: none; borrowed */
    struct tls_keys *keys; /* NULL: TLS stays closed; borrowed */
};

struct talks_counters {
    uint64_t connections, rows, packets, packet_octets, gaps, gap_octets, skipped_octets, cut_packets;
    uint64_t websockets, tls, tls_opened, tls_no_key,
        tls_unknown;       /* connections; of TLS also how they went, once over */
    uint64_t held, memory; /* octets of unfinished packets and undecided streams; of all connections */
};

struct talks *talks_new(const struct talks_options *options); /* NULL: no memory */
void talks_free(struct talks *t);                             /* NULL is fine */
void talks_stop(struct talks *t);                             /* no more rows or events; memory is still given back */
bool talks_stopped(const struct talks *t);                    /* a row was answered with PIPELINE_STOP */
void talks_first_time(struct talks *t, int64_t time_ns);      /* of the first frame */
void talks_current_frame(struct talks *t, uint64_t frame);    /* of the segment that is taken apart now */
bool talks_keeps(const struct talks *t, uint32_t connection); /* one of its rows was answered with PIPELINE_KEEP */
/* Octets of this flow come soon: step 0, 1, 2... brings more of what is known of it, each by what the one before
 * brought. */
enum { TALKS_PREFETCH_STEPS = TRACK_PREFETCH_STEPS };
void talks_prefetch(const struct talks *t, const struct flow *f, unsigned step);
void talks_count(const struct talks *t, struct talks_counters *out);

extern const struct tcp_events talks_tcp_events; /* ctx: struct talks */
