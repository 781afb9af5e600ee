/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/stream/ip.h -- from a frame to the TCP segment in it: IPv4 and IPv6 with extension headers and fragments,
 * through GRE, VXLAN and IP-in-IP tunnels (IP_DEPTH_MAX of them at most).
 *
 * Checksums are not looked at: offload leaves them wrong in most captures. Octets behind the IP total length are
 * padding. A length of 0 is segmentation offload: the datagram reaches to the end of the frame. */
#pragma once
#include "capture/stream/fragment.h"
#include "capture/stream/segment.h"

enum { IP_DEPTH_MAX = 8 };

enum ip_result {
    IP_TCP,       /* *out is set */
    IP_TCP_WHOLE, /* likewise, from fragments: *out borrows until the next call */
    IP_NOT_IP,
    IP_SEALED, /* what the link carries is encrypted */
    IP_NOT_TCP,
    IP_FRAGMENT,  /* a part of a datagram that is not complete */
    IP_MALFORMED, /* a header that contradicts itself, or is cut by the capture */
};

/* `frame` is what was captured of frame_len octets. `fragments` may be NULL: fragments are then IP_FRAGMENT. */
enum ip_result ip_segment(uint32_t link_type, struct view frame, uint32_t frame_len, int64_t time_ns,
                          struct fragments *fragments, struct segment *out);
