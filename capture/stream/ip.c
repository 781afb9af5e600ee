/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/stream/ip.h"
#include "capture/stream/link.h"

enum {
    PROTO_HOPOPTS = 0,
    PROTO_IPIP = 4,
    PROTO_TCP = 6,
    PROTO_UDP = 17,
    PROTO_IPV6 = 41,
    PROTO_ROUTING = 43,
    PROTO_FRAGMENT = 44,
    PROTO_GRE = 47,
    PROTO_AH = 51,
    PROTO_DSTOPTS = 60,
    PROTO_MOBILITY = 135,
    PORT_VXLAN = 4789,
    PORT_VXLAN_LINUX = 8472, /* the kernel's default before IANA gave a number */
    EXTENSIONS_MAX = 16,
    FRAME_MAX = 1 << 20, /* octets; segmentation offload stays far below */
};

/* The walk down the headers. */
struct walk {
    struct cursor c;  /* what was captured; its end is never behind the end of the datagram */
    size_t wire_end;  /* of the innermost datagram, counted from c.base; may lie behind what was captured */
    uint8_t protocol; /* of what follows */
    const uint8_t *src, *dst;
    uint8_t family;
    int64_t time_ns;
    struct fragments *fragments;
    bool whole; /* came from fragments */
};

enum step { STEP_ON, STEP_FRAGMENT, STEP_BAD, STEP_NOT_IP, STEP_SEALED };

/* The datagram ends at `end`; what was captured behind it is padding. */
static void set_end(struct walk *w, size_t end)
{
    w->wire_end = end;
    if (w->c.end > end)
        w->c.end = end;
}

static enum step reassemble(struct walk *w, uint32_t id, uint32_t offset, bool more)
{
    if (w->fragments == NULL || w->wire_end > w->c.end) /* cut by the capture: never complete */
        return STEP_FRAGMENT;
    struct fragment piece = { .src = w->src,
                              .dst = w->dst,
                              .addr_len = w->family == 4 ? 4 : 16,
                              .protocol = w->protocol,
                              .more = more,
                              .id = id,
                              .offset = offset,
                              .data = cur_take(&w->c, cur_left(&w->c)) };
    struct view whole;
    if (!fragments_add(w->fragments, &piece, w->time_ns, &whole, &w->protocol))
        return STEP_FRAGMENT;
    w->c = cur_over(whole.ptr, whole.len);
    w->wire_end = whole.len;
    w->whole = true;
    return STEP_ON;
}

static enum step ipv4(struct walk *w)
{
    size_t start = w->c.pos;
    struct view h = cur_take(&w->c, 20);
    if (w->c.truncated)
        return STEP_BAD;
    size_t header = (size_t)(h.ptr[0] & 15) * 4, total = (size_t)h.ptr[2] << 8 | h.ptr[3];
    if (total == 0)
        total = w->wire_end - start;
    if (header < 20 || total < header)
        return STEP_BAD;
    set_end(w, start + total);
    cur_take(&w->c, header - 20);
    if (w->c.truncated)
        return STEP_BAD;
    w->family = 4;
    w->src = h.ptr + 12;
    w->dst = h.ptr + 16;
    w->protocol = h.ptr[9];
    uint32_t offset = (uint32_t)(h.ptr[6] & 0x1f) << 8 | h.ptr[7];
    bool more = h.ptr[6] & 0x20;
    if (offset == 0 && !more)
        return STEP_ON;
    return reassemble(w, (uint32_t)h.ptr[4] << 8 | h.ptr[5], offset * 8, more);
}

/* RFC 8200 section 4: one extension header. */
static enum step extension(struct walk *w)
{
    uint8_t kind = w->protocol;
    struct view h = cur_take(&w->c, 8);
    if (w->c.truncated)
        return STEP_BAD;
    w->protocol = h.ptr[0];
    if (kind == PROTO_FRAGMENT) {
        uint32_t offset = ((uint32_t)h.ptr[2] << 8 | h.ptr[3]) & 0xfff8;
        bool more = h.ptr[3] & 1;
        if (offset == 0 && !more)
            return STEP_ON;
        uint32_t id = (uint32_t)h.ptr[4] << 24 | (uint32_t)h.ptr[5] << 16 | (uint32_t)h.ptr[6] << 8 | h.ptr[7];
        return reassemble(w, id, offset, more);
    }
    /* lengths count units of 8 octets beyond the first; those of AH units of 4 beyond the second */
    size_t len = kind == PROTO_AH ? ((size_t)h.ptr[1] + 2) * 4 : ((size_t)h.ptr[1] + 1) * 8;
    if (len < 8)
        return STEP_BAD;
    cur_take(&w->c, len - 8);
    return w->c.truncated ? STEP_BAD : STEP_ON;
}

static bool is_extension(uint8_t protocol)
{
    return protocol == PROTO_HOPOPTS || protocol == PROTO_ROUTING || protocol == PROTO_FRAGMENT ||
           protocol == PROTO_AH || protocol == PROTO_DSTOPTS || protocol == PROTO_MOBILITY;
}

static enum step ipv6(struct walk *w)
{
    struct view h = cur_take(&w->c, 40);
    if (w->c.truncated)
        return STEP_BAD;
    size_t len = (size_t)h.ptr[4] << 8 | h.ptr[5];
    if (len > 0) /* 0: a jumbogram, or offload: to the end of the frame */
        set_end(w, w->c.pos + len);
    w->family = 6;
    w->src = h.ptr + 8;
    w->dst = h.ptr + 24;
    w->protocol = h.ptr[6];
    for (unsigned i = 0; i < EXTENSIONS_MAX && is_extension(w->protocol); i++) {
        enum step s = extension(w);
        if (s != STEP_ON)
            return s;
    }
    return STEP_ON;
}

static enum step datagram(struct walk *w)
{
    if (cur_left(&w->c) == 0)
        return STEP_BAD;
    switch (w->c.base[w->c.pos] >> 4) {
    case 4:
        return ipv4(w);
    case 6:
        return ipv6(w);
    default:
        return STEP_NOT_IP;
    }
}

static enum step by_link(struct walk *w, enum link_result r)
{
    (void)w;
    return r == LINK_IP ? STEP_ON : r == LINK_SHORT ? STEP_BAD : r == LINK_SEALED ? STEP_SEALED : STEP_NOT_IP;
}

/* RFC 2784, RFC 2890; version 1 is PPTP's (RFC 2637). */
static enum step gre(struct walk *w)
{
    uint16_t flags = cur_u16(&w->c), type = cur_u16(&w->c);
    unsigned version = flags & 7;
    if (version == 0) {
        if (flags & 0xc000)
            cur_take(&w->c, 4); /* checksum and offset */
        if (flags & 0x2000)
            cur_take(&w->c, 4); /* key */
        if (flags & 0x1000)
            cur_take(&w->c, 4); /* sequence number */
    } else if (version == 1) {
        cur_take(&w->c, 4); /* payload length, call id */
        if (flags & 0x1000)
            cur_take(&w->c, 4);
        if (flags & 0x0080)
            cur_take(&w->c, 4); /* acknowledgment number */
    }
    if (w->c.truncated)
        return STEP_BAD;
    if (version == 1)
        return by_link(w, type == 0x880b ? link_skip(LINK_PPP, &w->c) : LINK_OTHER);
    if (type == 0x6558) /* transparent Ethernet bridging */
        return by_link(w, link_skip(LINK_ETHERNET, &w->c));
    return by_link(w, link_skip_ethertype(type, &w->c));
}

/* RFC 7348. */
static enum step udp(struct walk *w)
{
    struct view h = cur_take(&w->c, 8);
    if (w->c.truncated)
        return STEP_BAD;
    unsigned port = (unsigned)h.ptr[2] << 8 | h.ptr[3];
    if (port != PORT_VXLAN && port != PORT_VXLAN_LINUX)
        return STEP_NOT_IP;
    struct view vxlan = cur_take(&w->c, 8);
    if (w->c.truncated || !(vxlan.ptr[0] & 0x08))
        return STEP_NOT_IP;
    return by_link(w, link_skip(LINK_ETHERNET, &w->c));
}

/* RFC 9293 section 3.1: the header at `start`; the datagram ends at `end`, on the wire at `wire_end`. */
static inline bool read_tcp(const uint8_t *base, size_t start, size_t end, size_t wire_end, struct segment *out)
{
    const uint8_t *h = base + start;
    if (end - start < 20)
        return false;
    size_t header = (size_t)(h[12] >> 4) * 4;
    if (header < 20 || header > wire_end - start)
        return false;
    size_t from = start + header, until = from < end ? end : from; /* options may be cut */
    out->flags = h[13];
    out->src_port = (uint16_t)(h[0] << 8 | h[1]);
    out->dst_port = (uint16_t)(h[2] << 8 | h[3]);
    out->seq = (uint32_t)h[4] << 24 | (uint32_t)h[5] << 16 | (uint32_t)h[6] << 8 | h[7];
    out->ack = (uint32_t)h[8] << 24 | (uint32_t)h[9] << 16 | (uint32_t)h[10] << 8 | h[11];
    out->payload = view_of(from < end ? base + from : base, until - from);
    out->cut = (uint32_t)(wire_end - until);
    return true;
}

static enum ip_result tcp(const struct walk *w, struct segment *out)
{
    out->src = w->src;
    out->dst = w->dst;
    out->family = w->family;
    if (!read_tcp(w->c.base, w->c.pos, w->c.end, w->wire_end, out))
        return IP_MALFORMED;
    return w->whole ? IP_TCP_WHOLE : IP_TCP;
}

/* What nearly every frame is: captured whole, Ethernet, IP without options, extensions or fragments, TCP. The walk down
 * the headers would give the same. False: walk. */
static bool read_usual(uint32_t link_type, struct view frame, uint32_t frame_len, struct segment *out)
{
    const uint8_t *p = frame.ptr;
    size_t start, end;
    if (link_type != LINK_ETHERNET || frame.len != frame_len || frame.len < 14 + 40)
        return false;
    if (p[12] == 0x08 && p[13] == 0x00 && p[14] == 0x45 && (p[20] & 0x3f) == 0 && p[21] == 0 && p[23] == PROTO_TCP) {
        out->family = 4;
        out->src = p + 26;
        out->dst = p + 30;
        start = 14 + 20;
        end = 14 + ((size_t)p[16] << 8 | p[17]);
    } else if (p[12] == 0x86 && p[13] == 0xdd && p[14] >> 4 == 6 && p[20] == PROTO_TCP) {
        out->family = 6;
        out->src = p + 22;
        out->dst = p + 38;
        start = 14 + 40;
        end = start + ((size_t)p[18] << 8 | p[19]);
    } else {
        return false;
    }
    return end >= start && end <= frame.len && read_tcp(p, start, end, end, out);
}

static enum ip_result result_of(enum step s, bool inner)
{
    if (s == STEP_FRAGMENT)
        return IP_FRAGMENT;
    if (s == STEP_BAD)
        return IP_MALFORMED;
    if (s == STEP_SEALED)
        return IP_SEALED;
    return inner ? IP_NOT_TCP : IP_NOT_IP;
}

static __attribute__((noinline)) enum ip_result walk(uint32_t link_type, struct view frame, uint32_t frame_len,
                                                     int64_t time_ns, struct fragments *fragments, struct segment *out)
{
    bool cut = frame_len > frame.len && frame_len <= FRAME_MAX; /* a longer one is no length that a device gives */
    struct walk w = { .c = cur_over(frame.ptr, frame.len),
                      .wire_end = cut ? frame_len : frame.len,
                      .time_ns = time_ns,
                      .fragments = fragments };
    enum step s = by_link(&w, link_skip(link_type, &w.c));
    for (unsigned depth = 0; depth < IP_DEPTH_MAX && s == STEP_ON; depth++) {
        s = datagram(&w);
        if (s == STEP_ON && w.protocol == PROTO_AH) /* of IPv4: nothing is hidden by it */
            s = extension(&w);
        if (s != STEP_ON)
            return result_of(s, depth > 0);
        switch (w.protocol) {
        case PROTO_TCP:
            return tcp(&w, out);
        case PROTO_IPIP:
        case PROTO_IPV6:
            break;
        case PROTO_GRE:
            s = gre(&w);
            break;
        case PROTO_UDP:
            s = udp(&w);
            break;
        default:
            return IP_NOT_TCP;
        }
        if (s != STEP_ON)
            return s == STEP_BAD ? IP_MALFORMED : IP_NOT_TCP;
    }
    return result_of(s == STEP_ON ? STEP_NOT_IP : s, s == STEP_ON);
}

enum ip_result ip_segment(uint32_t link_type, struct view frame, uint32_t frame_len, int64_t time_ns,
                          struct fragments *fragments, struct segment *out)
{
    if (read_usual(link_type, frame, frame_len, out))
        return IP_TCP;
    return walk(link_type, frame, frame_len, time_ns, fragments, out);
}
