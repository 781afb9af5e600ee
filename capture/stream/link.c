/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/stream/link.h"

enum {
    ETHERTYPE_IPV4 = 0x0800,
    ETHERTYPE_IPV6 = 0x86dd,
    ETHERTYPE_VLAN = 0x8100,
    ETHERTYPE_QINQ = 0x88a8,
    ETHERTYPE_QINQ_OLD = 0x9100,
    ETHERTYPE_QINQ_OLDER = 0x9200,
    ETHERTYPE_PPPOE = 0x8864,
    ETHERTYPE_MPLS = 0x8847,
    ETHERTYPE_MPLS_MULTICAST = 0x8848,
    ETHERTYPE_LENGTH_MAX = 1500, /* up to here the field is an 802.3 length and LLC follows */
    PPP_IPV4 = 0x0021,
    PPP_IPV6 = 0x0057,
    TAGS_MAX = 16, /* tags and labels on top of each other */
};

static const struct {
    uint32_t type;
    const char *name;
} names[] = {
    { LINK_NULL, "BSD loopback" },
    { LINK_ETHERNET, "Ethernet" },
    { LINK_PPP, "PPP" },
    { LINK_PPP_HDLC, "PPP over serial with HDLC framing" },
    { LINK_PPPOE, "PPP over Ethernet" },
    { 12, "Raw IP" }, /* DLT_RAW of Linux */
    { 14, "Raw IP" }, /* DLT_RAW of OpenBSD */
    { LINK_RAW, "Raw IP" },
    { LINK_CHDLC, "Cisco HDLC" },
    { LINK_WIFI, "802.11" },
    { LINK_LOOP, "OpenBSD loopback" },
    { LINK_SLL, "Linux cooked v1" },
    { LINK_PRISM, "802.11 plus Prism header" },
    { LINK_RADIOTAP, "802.11 plus radiotap header" },
    { LINK_AVS, "802.11 plus AVS header" },
    { LINK_IPV4, "Raw IPv4" },
    { LINK_IPV6, "Raw IPv6" },
    { LINK_SLL2, "Linux cooked v2" },
};

const char *link_name(uint32_t type)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].type == type)
            return names[i].name;
    return NULL;
}

bool link_known(uint32_t type)
{
    return link_name(type) != NULL;
}

/* IP by its version nibble. */
static enum link_result at_ip(const struct cursor *c)
{
    if (c->truncated || cur_left(c) == 0)
        return LINK_SHORT;
    uint8_t version = c->base[c->pos] >> 4;
    return version == 4 || version == 6 ? LINK_IP : LINK_OTHER;
}

static enum link_result skip_ppp(struct cursor *c)
{
    if (cur_left(c) >= 2 && c->base[c->pos] == 0xff && c->base[c->pos + 1] == 0x03)
        cur_take(c, 2); /* address and control, left out when compressed */
    uint16_t protocol = cur_u8(c);
    if ((protocol & 1) == 0) /* two octets unless compressed: the last one alone is odd */
        protocol = (uint16_t)(protocol << 8 | cur_u8(c));
    if (c->truncated)
        return LINK_SHORT;
    return protocol == PPP_IPV4 || protocol == PPP_IPV6 ? at_ip(c) : LINK_OTHER;
}

static enum link_result skip_mpls(struct cursor *c)
{
    for (unsigned i = 0; i < TAGS_MAX; i++) {
        uint32_t entry = cur_u32(c);
        if (c->truncated)
            return LINK_SHORT;
        if (entry & 0x100) /* bottom of the stack */
            return at_ip(c);
    }
    return LINK_OTHER;
}

/* 802.2 LLC; only SNAP carries IP in practice. */
static enum link_result skip_llc(struct cursor *c)
{
    struct view llc = cur_take(c, 6);
    uint16_t type = cur_u16(c);
    if (c->truncated)
        return LINK_SHORT;
    if (llc.ptr[0] != 0xaa || llc.ptr[1] != 0xaa || llc.ptr[2] != 0x03 || type <= ETHERTYPE_LENGTH_MAX)
        return LINK_OTHER;
    return link_skip_ethertype(type, c);
}

enum link_result link_skip_ethertype(uint16_t type, struct cursor *c)
{
    for (unsigned i = 0; i < TAGS_MAX; i++) {
        switch (type) {
        case ETHERTYPE_IPV4:
        case ETHERTYPE_IPV6:
            return at_ip(c);
        case ETHERTYPE_VLAN:
        case ETHERTYPE_QINQ:
        case ETHERTYPE_QINQ_OLD:
        case ETHERTYPE_QINQ_OLDER:
            cur_take(c, 2);
            type = cur_u16(c);
            if (c->truncated)
                return LINK_SHORT;
            break;
        case ETHERTYPE_PPPOE:
            cur_take(c, 6);
            return skip_ppp(c);
        case ETHERTYPE_MPLS:
        case ETHERTYPE_MPLS_MULTICAST:
            return skip_mpls(c);
        default:
            if (type > ETHERTYPE_LENGTH_MAX)
                return LINK_OTHER;
            if (cur_left(c) < 8 || c->base[c->pos] != 0xaa)
                return LINK_OTHER;
            cur_take(c, 6); /* LLC and SNAP organisation */
            type = cur_u16(c);
            if (type <= ETHERTYPE_LENGTH_MAX)
                return LINK_OTHER;
            break;
        }
    }
    return LINK_OTHER;
}

/* IEEE 802.11 section 9.2: data frames that are not encrypted. `padded`: the body begins at a multiple of four octets.
 */
static enum link_result skip_wifi(struct cursor *c, bool padded)
{
    size_t start = c->pos;
    struct view control = cur_take(c, 2);
    if (c->truncated)
        return LINK_SHORT;
    uint8_t type = control.ptr[0] >> 2 & 3, subtype = control.ptr[0] >> 4, flags = control.ptr[1];
    if (type != 2 || (subtype & 4)) /* no data frame, or no data in it */
        return LINK_OTHER;
    if (flags & 0x40)
        return LINK_SEALED;
    cur_take(c, 22);      /* duration, three addresses, sequence control */
    if ((flags & 3) == 3) /* to and from the distribution system: a fourth address */
        cur_take(c, 6);
    bool aggregated = false;
    if (subtype & 8) { /* QoS control */
        struct view qos = cur_take(c, 2);
        if (flags & 0x80) /* HT control */
            cur_take(c, 4);
        aggregated = !c->truncated && (qos.ptr[0] & 0x80);
    }
    if (padded)
        cur_take(c, (4 - (c->pos - start) % 4) % 4);
    if (aggregated) /* A-MSDU: the first subframe */
        cur_take(c, 14);
    return skip_llc(c);
}

/* The octet of flags in a Radiotap header, 0 when it has none (radiotap.org): behind the words that say which fields
 * there are and the time stamp, which is aligned to its eight octets. */
static uint8_t radiotap_flags(struct cursor head)
{
    size_t start = head.pos;
    cur_take(&head, 4);
    uint32_t first = 0, word = 0;
    unsigned words = 0;
    do {
        struct view v = cur_take(&head, 4);
        if (head.truncated || words++ == TAGS_MAX)
            return 0;
        word = v.ptr[0] | (uint32_t)v.ptr[3] << 24;
        first = words == 1 ? word : first;
    } while (word >> 31);
    if (first & 1)
        cur_take(&head, (8 - (head.pos - start) % 8) % 8 + 8);
    return first & 2 ? cur_u8(&head) : 0;
}

/* Radiotap and AVS and Prism: a header with its own length. */
static enum link_result skip_radio(uint32_t type, struct cursor *c)
{
    struct cursor head = *c;
    size_t len;
    bool padded = type == LINK_RADIOTAP && (radiotap_flags(*c) & 0x20);
    struct view v = cur_take(&head, 8);
    if (head.truncated)
        return LINK_SHORT;
    if (type == LINK_RADIOTAP) /* little-endian */
        len = (size_t)(v.ptr[2] | v.ptr[3] << 8);
    else if (v.ptr[0] == 0x80 && v.ptr[1] == 0x21) /* AVS magic, also seen under the Prism link type */
        len = (size_t)v.ptr[6] << 8 | v.ptr[7];
    else
        len = 144;
    cur_take(c, len);
    return c->truncated ? LINK_SHORT : skip_wifi(c, padded);
}

enum link_result link_skip(uint32_t type, struct cursor *c)
{
    uint16_t protocol;
    switch (type) {
    case LINK_ETHERNET:
        cur_take(c, 12);
        protocol = cur_u16(c);
        return c->truncated ? LINK_SHORT : link_skip_ethertype(protocol, c);
    case LINK_NULL: /* an address family in the byte order of the writer */
    case LINK_LOOP: /* in network order; IP shows by itself in both */
        cur_take(c, 4);
        return at_ip(c);
    case 12:
    case 14:
    case LINK_RAW:
    case LINK_IPV4:
    case LINK_IPV6:
        return at_ip(c);
    case LINK_SLL:
        cur_take(c, 14);
        protocol = cur_u16(c);
        return c->truncated ? LINK_SHORT : link_skip_ethertype(protocol, c);
    case LINK_SLL2:
        protocol = cur_u16(c);
        cur_take(c, 18);
        return c->truncated ? LINK_SHORT : link_skip_ethertype(protocol, c);
    case LINK_PPP:
    case LINK_PPP_HDLC:
        return skip_ppp(c);
    case LINK_PPPOE:
        cur_take(c, 6);
        return skip_ppp(c);
    case LINK_CHDLC:
        cur_take(c, 2);
        protocol = cur_u16(c);
        return c->truncated ? LINK_SHORT : link_skip_ethertype(protocol, c);
    case LINK_WIFI:
        return skip_wifi(c, false);
    case LINK_RADIOTAP:
    case LINK_PRISM:
    case LINK_AVS:
        return skip_radio(type, c);
    default:
        return LINK_OTHER;
    }
}
