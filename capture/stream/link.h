/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/stream/link.h -- from the link-layer header of a frame to its network layer.
 *
 * Link types are those of capture files (LINKTYPE_*); the few in which libpcap's DLT_* differ are known too. */
#pragma once
#include "decoder/base/cursor.h"

enum {
    LINK_NULL = 0,
    LINK_ETHERNET = 1,
    LINK_PPP = 9,
    LINK_PPP_HDLC = 50,
    LINK_PPPOE = 51,
    LINK_RAW = 101,
    LINK_CHDLC = 104,
    LINK_WIFI = 105,
    LINK_LOOP = 108,
    LINK_SLL = 113,
    LINK_PRISM = 119,
    LINK_RADIOTAP = 127,
    LINK_AVS = 163,
    LINK_IPV4 = 228,
    LINK_IPV6 = 229,
    LINK_SLL2 = 276,
};

enum link_result {
    LINK_IP,     /* the cursor stands at an IPv4 or IPv6 header (its first nibble tells which) */
    LINK_OTHER,  /* another protocol */
    LINK_SEALED, /* data, encrypted */
    LINK_SHORT,  /* the header does not fit into what was captured */
};

bool link_known(uint32_t type);
const char *link_name(uint32_t type); /* "Ethernet"; NULL when not known */

/* Moves *c from the first octet of the frame to its network layer. */
enum link_result link_skip(uint32_t type, struct cursor *c);
/* The same, from behind the EtherType `type`: tags, PPPoE, MPLS and LLC are gone through. */
enum link_result link_skip_ethertype(uint16_t type, struct cursor *c);
