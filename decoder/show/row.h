/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/show/row.h -- what every output, the display filter and the screen get: one control packet (or one gap) with
 * where and when it was seen, what it breaks, and what the tracker knows of it. Everything borrowed; valid during the
 * call. */
#pragma once
#include "decoder/base/endpoint.h"
#include "decoder/mqtt/packet.h"

enum row_kind { ROW_PACKET, ROW_GAP };

struct track_note; /* decoder/track/track.h: exchange and session of this packet */

struct row {
    enum row_kind kind;
    uint64_t number;        /* of this row, from 1 */
    uint64_t frame;         /* frame.number that completes it (of its last octet, in order), from 1 */
    uint64_t frame_first;   /* that begins it; <= frame */
    int64_t time_ns;        /* since the epoch, of the last octet; INT64_MIN never occurs */
    int64_t time_first_ns;  /* of the first octet */
    int64_t time_start_ns;  /* of the first frame of the capture */
    int64_t time_before_ns; /* of the frame before `frame`; time_ns when there is none */
    uint32_t frame_len;     /* on the wire, of the last frame */
    uint32_t interface_id;  /* 0-based, in the order of -i or of the file */
    uint32_t stream;        /* tcp.stream: 0-based, in order of first appearance */
    uint32_t seq_end;       /* ROW_PACKET with `plain`: TCP sequence number behind its last octet */
    bool plain;             /* its octets are those of the TCP stream: neither TLS nor WebSocket around them */
    struct row_endpoint src, dst;
    uint8_t sender;         /* enum mqtt_side */
    uint8_t version;        /* enum mqtt_version, 0 unknown */
    uint8_t version_source; /* enum mqtt_version_source */
    struct view client_id;  /* ptr NULL until known on this connection */

    /* ROW_PACKET */
    const struct mqtt_packet *packet;
    const struct mqtt_verdict *verdicts;
    uint32_t n_verdicts;
    struct view alias_topic;       /* 5.0: topic a Topic Alias stands for; ptr NULL if none or unknown */
    const struct track_note *note; /* NULL without a tracker */

    /* ROW_GAP: octets never captured, and octets skipped before framing held again */
    uint64_t gap_octets, skipped_octets;
    const char *gap_reason; /* "lost segment", "snaplen", "start in mid-stream", "framing lost": static */
};
