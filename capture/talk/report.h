/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/talk/report.h -- what is told of a connection, one thing after the other: capture/talk/talk.h says it,
 * capture/talk/rows.h makes rows of it.
 *
 * A report holds all that is needed, but for octets that it borrows; what goes back is what a packet teaches of version
 * and roles, which may be learned twice. So the two may be far apart. */
#pragma once
#include "capture/stream/tcp.h"
#include "capture/talk/transport.h"
#include "decoder/base/endpoint.h"
#include "decoder/mqtt/conn.h"

enum report_kind {
    REPORT_OPENED, /* comes first, right before the first packet or gap; sets `handle` */
    REPORT_PACKET, /* learns `conn` */
    REPORT_GAP,
    REPORT_DIFFERENCE, /* a later copy of octets of the stream is not as the first one, which counts */
    REPORT_UNSEEN,     /* tcp_events.unseen */
    REPORT_UNDER_WAY,  /* a packet has been coming for a while */
    REPORT_CLOSED,     /* the first FIN or RST, or the end */
    REPORT_FORGOTTEN,  /* comes last, unless nothing is wanted any more */
};

/* Views and pointers are borrowed for the call. */
struct report {
    uint8_t kind; /* enum report_kind */
    uint8_t dir;
    bool wrapped; /* TLS or WebSocket is around it */
    struct mqtt_conn conn;
    uint32_t stream;             /* tcp.stream */
    struct row_endpoint side[2]; /* the sender of direction 0 and 1 */
    uint64_t handle;             /* of who takes the reports */
    struct stamp stamp;
    union {
        struct {
            bool from_syn[2]; /* of each direction */
            uint8_t client;   /* the side that sent the SYN; 2: not known */
            int64_t time_ns;  /* of its first segment */
            uint64_t frame;
        } opened;
        struct {
            const uint8_t *octets;
            uint32_t held;        /* of its octets: those at hand */
            uint64_t frame_first; /* that holds its first octet */
            int64_t time_first_ns;
            uint64_t end;     /* place in the stream behind its last octet; 0: not known */
            uint64_t acked;   /* octets of the other direction that the sender had acknowledged; 0: not known */
            uint32_t seq_end; /* sequence number behind its last octet */
            uint32_t n_faults;
            const struct transport_fault *faults; /* of the WebSocket around it */
        } packet;
        struct {
            uint64_t octets, skipped; /* never captured; captured, but of no use */
            const char *why;          /* static */
        } gap;
        struct {
            uint64_t at, octets, first_frame;
        } difference;
        struct {
            uint8_t how;   /* enum tcp_end */
            bool from_syn; /* of this direction */
        } closed;
    };
};
