/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/stream/segment.h -- what is left of a frame once its headers are read: one TCP segment, and the frame's
 * stamp. */
#pragma once
#include "decoder/base/cursor.h"

/* Where and when octets were seen. */
struct stamp {
    uint64_t frame; /* from 1 */
    int64_t time_ns;
    int64_t before_ns;  /* of the frame before; time_ns for the first */
    uint32_t frame_len; /* on the wire */
    uint32_t interface_id;
};

enum { TCP_FIN = 0x01, TCP_SYN = 0x02, TCP_RST = 0x04, TCP_ACK = 0x10 };

/* Everything borrowed from the frame (or from the reassembled datagram). */
struct segment {
    const uint8_t *src, *dst; /* 4 or 16 octets, by family */
    uint8_t family;           /* 4 or 6 */
    uint8_t flags;            /* TCP_* and the others of the octet */
    uint16_t src_port, dst_port;
    uint32_t seq, ack;
    struct view payload; /* what was captured of it */
    uint32_t cut;        /* octets of payload on the wire behind `payload` that the capture left out (snaplen) */
};
