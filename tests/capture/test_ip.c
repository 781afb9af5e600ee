/* SPDX-License-Identifier: Apache-2.0
 *
 * Every link layer and tunnel leads to the same TCP segment (capture/stream/link.h, capture/stream/ip.h,
 * capture/stream/fragment.h). */
#include "capture/stream/ip.h"
#include "capture/stream/link.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/capture/build.h"

static const uint8_t hello[] = { 0x30, 0x05, 0x00, 0x01, 't', 'o', 'n' };
static const struct made_segment usual = { .flow = 1,
                                           .flags = TCP_ACK,
                                           .port = 1883,
                                           .seq = 0xfffffff0,
                                           .ack = 77,
                                           .payload = hello,
                                           .len = sizeof hello,
                                           .keep = SIZE_MAX };

/* A frame in an allocation of its exact size, so that a sanitizer sees a read that is one octet too long. */
static enum ip_result parse(uint32_t link, const uint8_t *octets, size_t len, size_t wire, struct fragments *f,
                            struct segment *out)
{
    static uint8_t *exact;
    free(exact);
    exact = malloc(len > 0 ? len : 1);
    memcpy(exact, octets, len);
    return ip_segment(link, view_of(exact, len), (uint32_t)wire, 0, f, out);
}

static void is_usual(const struct segment *s)
{
    static const uint8_t src[] = { 10, 0, 0, 1 }, dst[] = { 10, 0, 0, 2 };
    assert_int_equal(s->family, 4);
    assert_memory_equal(s->src, src, 4);
    assert_memory_equal(s->dst, dst, 4);
    assert_int_equal(s->src_port, 20001);
    assert_int_equal(s->dst_port, 1883);
    assert_int_equal(s->seq, 0xfffffff0);
    assert_int_equal(s->ack, 77);
    assert_int_equal(s->flags, TCP_ACK);
    assert_int_equal(s->payload.len, sizeof hello);
    assert_memory_equal(s->payload.ptr, hello, sizeof hello);
    assert_int_equal(s->cut, 0);
}

/* `head` and the usual datagram behind it. */
static enum ip_result behind(uint32_t link, const uint8_t *head, size_t head_len, struct segment *out)
{
    uint8_t frame[256];
    memcpy(frame, head, head_len);
    size_t len = head_len + make_ipv4_tcp(frame + head_len, &usual);
    memset(frame + len, 0xc0, 6); /* padding */
    return parse(link, frame, len + 6, len + 6, NULL, out);
}

struct link_case {
    const char *name;
    uint32_t link;
    size_t len;
    uint8_t head[64];
};

#define MACS 2, 2, 2, 2, 2, 2, 4, 4, 4, 4, 4, 4
#define SNAP 0xaa, 0xaa, 3, 0, 0, 0, 8, 0
#define WIFI_DATA 8, 1, 0, 0, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 0, 0
#define WIFI_QOS 0x88, 1, 0, 0, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 0, 0, 0, 0

static const struct link_case links[] = {
    { "Ethernet", LINK_ETHERNET, 14, { MACS, 8, 0 } },
    { "VLAN", LINK_ETHERNET, 18, { MACS, 0x81, 0, 0, 42, 8, 0 } },
    { "QinQ", LINK_ETHERNET, 22, { MACS, 0x88, 0xa8, 0, 7, 0x81, 0, 0, 42, 8, 0 } },
    { "PPPoE", LINK_ETHERNET, 22, { MACS, 0x88, 0x64, 0x11, 0, 0, 1, 0, 50, 0, 0x21 } },
    { "MPLS", LINK_ETHERNET, 22, { MACS, 0x88, 0x47, 0, 1, 0x60, 64, 0, 1, 0x71, 64 } },
    { "802.3 with SNAP", LINK_ETHERNET, 22, { MACS, 0, 60, SNAP } },
    { "null", LINK_NULL, 4, { 2, 0, 0, 0 } },
    { "null, big-endian", LINK_NULL, 4, { 0, 0, 0, 2 } },
    { "loop", LINK_LOOP, 4, { 0, 0, 0, 2 } },
    { "raw", LINK_RAW, 0, { 0 } },
    { "raw of Linux", 12, 0, { 0 } },
    { "raw IPv4", LINK_IPV4, 0, { 0 } },
    { "SLL", LINK_SLL, 16, { 0, 0, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 8, 0 } },
    { "SLL2", LINK_SLL2, 20, { 8, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0 } },
    { "PPP", LINK_PPP, 4, { 0xff, 3, 0, 0x21 } },
    { "PPP, compressed", LINK_PPP, 1, { 0x21 } },
    { "PPP in HDLC", LINK_PPP_HDLC, 4, { 0xff, 3, 0, 0x21 } },
    { "PPPoE alone", LINK_PPPOE, 8, { 0x11, 0, 0, 1, 0, 50, 0, 0x21 } },
    { "Cisco HDLC", LINK_CHDLC, 4, { 0x0f, 0, 8, 0 } },
    { "802.11", LINK_WIFI, 32, { WIFI_DATA, SNAP } },
    { "802.11 QoS", LINK_WIFI, 34, { WIFI_QOS, SNAP } },
    { "radiotap", LINK_RADIOTAP, 40, { 0, 0, 8, 0, 0, 0, 0, 0, WIFI_DATA, SNAP } },
    { "radiotap, padded", LINK_RADIOTAP, 45, { 0, 0, 9, 0, 2, 0, 0, 0, 0x20, WIFI_QOS, 0, 0, SNAP } },
    { "radiotap with time, padded", LINK_RADIOTAP, 61, { 0, 0, 25, 0, 3, 0, 0, 0x80, 0, 0,    0,        0, 0, 0,   0,
                                                         0, 1, 2,  3, 4, 5, 6, 7,    8, 0x20, WIFI_QOS, 0, 0, SNAP } },
};

static void every_link_layer(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        struct segment s;
        if (behind(links[i].link, links[i].head, links[i].len, &s) != IP_TCP)
            fail_msg("%s: no segment", links[i].name);
        is_usual(&s);
        assert_non_null(link_name(links[i].link));
    }
}

static void what_is_no_ip(void **state)
{
    (void)state;
    static const struct link_case others[] = {
        { "ARP", LINK_ETHERNET, 14, { MACS, 8, 6 } },
        { "beacon", LINK_WIFI, 32, { 0x80, 0 } },
        { "unknown link type", 189, 0, { 0 } },
    };
    static const struct link_case sealed = { "protected 802.11", LINK_WIFI, 32, { 8, 0x41, 0, 0, 1, 1, 1,   1, 1,
                                                                                  1, 2,    2, 2, 2, 2, 2,   3, 3,
                                                                                  3, 3,    3, 3, 0, 0, SNAP } };
    struct segment s;
    assert_int_equal(behind(sealed.link, sealed.head, sealed.len, &s), IP_SEALED);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_int_equal(behind(others[i].link, others[i].head, others[i].len, &s), IP_NOT_IP);
    }
    assert_false(link_known(189));
    assert_null(link_name(189));
}

/* Cut anywhere, a frame is malformed or loses payload, and is never read beyond its end. */
static void cut_by_the_snaplen(void **state)
{
    (void)state;
    uint8_t frame[MADE_HEADERS + sizeof hello];
    memset(frame, 2, 12);
    put_u16(frame + 12, 0x0800);
    make_ipv4_tcp(frame + 14, &usual);
    for (size_t n = 0; n <= sizeof frame; n++) {
        struct segment s;
        enum ip_result r = parse(LINK_ETHERNET, frame, n, sizeof frame, NULL, &s);
        if (n < MADE_HEADERS) {
            assert_int_equal(r, IP_MALFORMED);
            continue;
        }
        assert_int_equal(r, IP_TCP);
        assert_int_equal(s.payload.len, n - MADE_HEADERS);
        assert_int_equal(s.cut, sizeof frame - n);
    }
}

static void offload_leaves_the_length_zero(void **state)
{
    (void)state;
    struct segment s;
    uint8_t frame[MADE_HEADERS + sizeof hello];
    memset(frame, 2, 12);
    put_u16(frame + 12, 0x0800);
    make_ipv4_tcp(frame + 14, &usual);
    put_u16(frame + 16, 0);
    assert_int_equal(parse(LINK_ETHERNET, frame, sizeof frame, sizeof frame, NULL, &s), IP_TCP);
    is_usual(&s);
}

static void contradicting_headers(void **state)
{
    (void)state;
    struct segment s;
    uint8_t frame[64];
    size_t len = make_ipv4_tcp(frame, &usual);
    frame[0] = 0x44; /* a header of 16 octets */
    assert_int_equal(parse(LINK_RAW, frame, len, len, NULL, &s), IP_MALFORMED);
    make_ipv4_tcp(frame, &usual);
    put_u16(frame + 2, 19); /* a datagram shorter than its header */
    assert_int_equal(parse(LINK_RAW, frame, len, len, NULL, &s), IP_MALFORMED);
    make_ipv4_tcp(frame, &usual);
    frame[32] = 4 << 4; /* a TCP header of 16 octets */
    assert_int_equal(parse(LINK_RAW, frame, len, len, NULL, &s), IP_MALFORMED);
    make_ipv4_tcp(frame, &usual);
    frame[32] = 15 << 4; /* one that is longer than the datagram */
    assert_int_equal(parse(LINK_RAW, frame, len, len, NULL, &s), IP_MALFORMED);
    make_ipv4_tcp(frame, &usual);
    frame[9] = 1; /* ICMP */
    assert_int_equal(parse(LINK_RAW, frame, len, len, NULL, &s), IP_NOT_TCP);
}

/* The TCP part of the usual datagram behind an IPv6 header with these extension headers. */
static size_t make_ipv6(uint8_t *at, uint8_t first, const uint8_t *extensions, size_t n, bool zero_length)
{
    uint8_t v4[64];
    size_t tcp = make_ipv4_tcp(v4, &usual) - 20;
    memset(at, 0, 40);
    at[0] = 0x60;
    put_u16(at + 4, zero_length ? 0 : (uint32_t)(n + tcp));
    at[6] = first;
    at[7] = 64;
    at[8] = at[24] = 0xfd;
    at[23] = 1;
    at[39] = 2;
    memcpy(at + 40, extensions, n);
    memcpy(at + 40 + n, v4 + 20, tcp);
    return 40 + n + tcp;
}

static void ipv6_and_its_extensions(void **state)
{
    (void)state;
    static const struct {
        uint8_t first;
        size_t n;
        uint8_t octets[48];
    } cases[] = {
        { 6, 0, { 0 } },
        { 0, 8, { 6, 0 } },                    /* hop by hop */
        { 0, 24, { 43, 1, [16] = 6, 0 } },     /* and routing behind a longer one */
        { 60, 8, { 6, 0 } },                   /* destination options */
        { 51, 16, { 6, 2 } },                  /* authentication header: 4 * (2 + 2) */
        { 44, 8, { 6, 0, 0, 0, 1, 2, 3, 4 } }, /* an atomic fragment */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int zero = 0; zero < 2; zero++) {
            uint8_t datagram[160];
            struct segment s;
            size_t len = make_ipv6(datagram, cases[i].first, cases[i].octets, cases[i].n, zero != 0);
            assert_int_equal(parse(LINK_IPV6, datagram, len, len, NULL, &s), IP_TCP);
            assert_int_equal(s.family, 6);
            assert_int_equal(s.src[15], 1);
            assert_int_equal(s.dst[15], 2);
            assert_int_equal(s.payload.len, sizeof hello);
            for (size_t n = 0; n < len - sizeof hello; n++)
                assert_int_not_equal(parse(LINK_IPV6, datagram, n, len, NULL, &s), IP_NOT_TCP);
        }
    }
}

/* The usual datagram in an IPv4 datagram of `protocol`, behind `head`. */
static size_t wrap(uint8_t *at, uint8_t protocol, const uint8_t *head, size_t n)
{
    size_t inner = make_ipv4_tcp(at + 20 + n, &usual);
    memset(at, 0, 20);
    at[0] = 0x45;
    put_u16(at + 2, (uint32_t)(20 + n + inner));
    at[9] = protocol;
    memcpy(at + 20, head, n);
    return 20 + n + inner;
}

static void tunnels(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint8_t protocol;
        size_t n;
        uint8_t head[48];
    } cases[] = {
        { "IP in IP", 4, 0, { 0 } },
        { "IP in IP behind an authentication header", 51, 16, { 4, 2 } },
        { "GRE", 47, 4, { 0, 0, 8, 0 } },
        { "GRE with checksum, key and number", 47, 16, { 0xb0, 0, 8, 0 } },
        { "GRE with Ethernet", 47, 18, { 0, 0, 0x65, 0x58, MACS, 8, 0 } },
        { "PPTP", 47, 20, { 0x30, 0x81, 0x88, 0x0b, [16] = 0xff, 3, 0, 0x21 } },
        { "VXLAN", 17, 30, { 1, 1, 0x12, 0xb5, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 9, 0, MACS, 8, 0 } },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t datagram[256];
        struct segment s;
        size_t len = wrap(datagram, cases[i].protocol, cases[i].head, cases[i].n);
        if (parse(LINK_RAW, datagram, len, len, NULL, &s) != IP_TCP)
            fail_msg("%s: no segment", cases[i].name);
        is_usual(&s);
        for (size_t n = 20; n < len - sizeof hello; n++)
            assert_int_not_equal(parse(LINK_RAW, datagram, n, len, NULL, &s), IP_TCP);
    }
}

static void tunnels_in_tunnels_end(void **state)
{
    (void)state;
    uint8_t datagram[1024];
    size_t len = make_ipv4_tcp(datagram, &usual);
    for (unsigned depth = 0; depth < 2 * IP_DEPTH_MAX; depth++) {
        struct segment s;
        enum ip_result r = parse(LINK_RAW, datagram, len, len, NULL, &s);
        assert_int_equal(r, depth < IP_DEPTH_MAX ? IP_TCP : IP_NOT_TCP);
        memmove(datagram + 20, datagram, len);
        memset(datagram, 0, 20);
        len += 20;
        datagram[0] = 0x45;
        put_u16(datagram + 2, (uint32_t)len);
        datagram[9] = 4;
    }
}

/* Fragment i of n (8 octets each) of the usual datagram. */
static size_t make_fragment(uint8_t *at, const uint8_t *whole, size_t whole_len, unsigned i, uint16_t id)
{
    size_t start = 20 + 8 * (size_t)i, n = whole_len - start < 8 ? whole_len - start : 8;
    memcpy(at, whole, 20);
    memcpy(at + 20, whole + start, n);
    put_u16(at + 2, (uint32_t)(20 + n));
    put_u16(at + 4, id);
    put_u16(at + 6, (start + n < whole_len ? 0x2000u : 0) | i);
    return 20 + n;
}

static void fragments_in_any_order(void **state)
{
    (void)state;
    uint8_t whole[64], piece[64];
    size_t len = make_ipv4_tcp(whole, &usual);
    unsigned n = (unsigned)((len - 20 + 7) / 8);
    uint64_t random = 5;
    struct fragments *f = fragments_new();
    for (unsigned round = 0; round < 200; round++) {
        unsigned order[16];
        for (unsigned i = 0; i < n; i++) {
            unsigned j = next_random(&random) % (i + 1);
            order[i] = order[j];
            order[j] = i;
        }
        for (unsigned i = 0; i < n; i++) {
            struct segment s;
            size_t piece_len = make_fragment(piece, whole, len, order[i], (uint16_t)round);
            if (i + 1 < n) { /* once more: a duplicate completes nothing */
                assert_int_equal(parse(LINK_RAW, piece, piece_len, piece_len, f, &s), IP_FRAGMENT);
                assert_int_equal(parse(LINK_RAW, piece, piece_len, piece_len, f, &s), IP_FRAGMENT);
                continue;
            }
            assert_int_equal(parse(LINK_RAW, piece, piece_len, piece_len, f, &s), IP_TCP_WHOLE);
            assert_int_equal(s.payload.len, sizeof hello);
            assert_memory_equal(s.payload.ptr, hello, sizeof hello);
        }
    }
    fragments_free(f);
}

static void ipv6_fragments(void **state)
{
    (void)state;
    struct fragments *f = fragments_new();
    uint8_t v4[64], piece[128];
    size_t tcp = make_ipv4_tcp(v4, &usual) - 20;
    struct segment s;
    for (unsigned i = 0; i < 2; i++) {
        size_t start = i * 16, n = i == 0 ? 16 : tcp - 16;
        uint8_t extension[8] = { 6, 0, 0, (uint8_t)(start | (i == 0)), 9, 9, 9, 9 };
        make_ipv6(piece, 44, extension, 8, false);
        put_u16(piece + 4, (uint32_t)(8 + n));
        memcpy(piece + 48, v4 + 20 + start, n);
        enum ip_result r = parse(LINK_IPV6, piece, 48 + n, 48 + n, f, &s);
        assert_int_equal(r, i == 0 ? IP_FRAGMENT : IP_TCP_WHOLE);
    }
    assert_int_equal(s.family, 6);
    assert_int_equal(s.payload.len, sizeof hello);
    fragments_free(f);
}

static void fragments_are_bounded(void **state)
{
    (void)state;
    uint8_t whole[64], piece[64];
    size_t len = make_ipv4_tcp(whole, &usual);
    struct fragments *f = fragments_new();
    struct segment s;
    for (unsigned id = 0; id < 10000; id++) { /* never completed: the oldest makes room */
        size_t n = make_fragment(piece, whole, len, 0, (uint16_t)id);
        assert_int_equal(parse(LINK_RAW, piece, n, n, f, &s), IP_FRAGMENT);
    }
    fragments_free(f);
}

/* The usual frame is read without the walk down the headers. Both read alike what is nearly usual: the same datagram
 * behind no link layer is walked through. */
static void usual_or_walked(void **state)
{
    (void)state;
    uint8_t frame[256] = { MACS, 8, 0 };
    size_t len = 14 + make_ipv4_tcp(frame + 14, &usual);
    unsigned read = 0;
    memset(frame + len, 0xc0, 6);
    for (size_t pad = 0; pad <= 6; pad += 3) {
        for (size_t at = 14; at < len; at++) {
            for (unsigned value = 0; value < 256; value++) {
                uint8_t was = frame[at];
                struct segment a = { 0 }, b = { 0 };
                frame[at] = (uint8_t)value;
                size_t n = len + pad;
                enum ip_result one = ip_segment(LINK_ETHERNET, view_of(frame, n), (uint32_t)n, 0, NULL, &a);
                enum ip_result other = ip_segment(LINK_RAW, view_of(frame + 14, n - 14), (uint32_t)n - 14, 0, NULL, &b);
                frame[at] = was;
                assert_int_equal(one, other);
                if (one != IP_TCP)
                    continue;
                read++;
                assert_ptr_equal(a.src, b.src);
                assert_ptr_equal(a.dst, b.dst);
                assert_int_equal(a.family, b.family);
                assert_int_equal(a.flags, b.flags);
                assert_int_equal(a.src_port, b.src_port);
                assert_int_equal(a.dst_port, b.dst_port);
                assert_int_equal(a.seq, b.seq);
                assert_int_equal(a.ack, b.ack);
                assert_int_equal(a.payload.len, b.payload.len);
                if (a.payload.len > 0)
                    assert_ptr_equal(a.payload.ptr, b.payload.ptr);
                assert_int_equal(a.cut, b.cut);
            }
        }
    }
    assert_in_range(read, 10000, 3 * 256 * 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_link_layer),
        cmocka_unit_test(usual_or_walked),
        cmocka_unit_test(what_is_no_ip),
        cmocka_unit_test(cut_by_the_snaplen),
        cmocka_unit_test(offload_leaves_the_length_zero),
        cmocka_unit_test(contradicting_headers),
        cmocka_unit_test(ipv6_and_its_extensions),
        cmocka_unit_test(tunnels),
        cmocka_unit_test(tunnels_in_tunnels_end),
        cmocka_unit_test(fragments_in_any_order),
        cmocka_unit_test(ipv6_fragments),
        cmocka_unit_test(fragments_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
