/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/bench/gen_tcp.c -- groups of packets to TCP segments, segments to Ethernet frames of a pcap file. */
#include "tests/bench/gen.h"
#include <stdlib.h>
#include <string.h>

enum { ETHERNET_MIN = 60, ETHERNET_HEADER = 14, RECORD_HEADER = 16 };

FILE *packets_output;

static FILE *capture;
static uint64_t now_us = UINT64_C(1700000000000000);

static uint32_t sum_add(uint32_t sum, const uint8_t *p, size_t n)
{
    uint64_t all = sum;
    for (size_t i = 0; i < n; i++)
        all += i % 2 == 0 ? (uint32_t)p[i] << 8 : p[i];
    while (all > 0xffff)
        all = (all & 0xffff) + (all >> 16);
    return (uint32_t)all;
}

static uint8_t *put_native32(uint8_t *p, uint64_t v)
{
    uint32_t native = (uint32_t)v;
    memcpy(p, &native, sizeof native);
    return p + sizeof native;
}

struct addresses {
    uint8_t of[2][16]; /* client, server */
    uint32_t len;
    uint32_t port[2];
};

static struct addresses addresses_of(const struct flow *f)
{
    struct addresses a = { .len = f->ipv6 ? 16 : 4, .port = { 20000 + f->tuple % 16000, options.port } };
    uint32_t host = f->tuple / 16000;
    if (f->ipv6) {
        a.of[0][0] = a.of[1][0] = 0xfd;
        a.of[0][7] = 1;
        a.of[1][7] = 2;
        put32(a.of[0] + 12, 1 + host);
        a.of[1][15] = 1;
    } else {
        put32(a.of[0], 0x0a010001u + host);
        put32(a.of[1], 0x0aff0001u);
    }
    return a;
}

static uint8_t *write_ip(uint8_t *ip, const struct flow *f, const struct addresses *a, uint8_t dir, uint32_t payload)
{
    const uint8_t *src = a->of[dir], *dst = a->of[!dir];
    if (f->ipv6) {
        put32(ip, 0x60000000u);
        put16(ip + 4, payload);
        ip[6] = 6;
        ip[7] = 64;
        memcpy(ip + 8, src, 16);
        memcpy(ip + 24, dst, 16);
        return ip + 40;
    }
    put16(ip, 0x4500);
    put16(ip + 2, 20 + payload);
    put16(ip + 4, (uint32_t)truth.frames);
    put16(ip + 6, 0x4000);
    put16(ip + 8, 64 << 8 | 6);
    put16(ip + 10, 0);
    memcpy(ip + 12, src, 4);
    memcpy(ip + 16, dst, 4);
    put16(ip + 10, ~sum_add(0, ip, 20));
    return ip + 20;
}

static uint8_t *write_tcp_options(uint8_t *p, const struct flow *f, const struct segment *s)
{
    uint32_t clock = (uint32_t)(now_us / 1000), echo = s->flags & TCP_ACK ? clock - 1 : 0;
    if (s->flags & TCP_SYN) {
        p = put32(p, 0x02040000u | (f->ipv6 ? 1440u : 1460u));
        if (options.timestamps) {
            p = put16(p, 0x0402);
            p = put32(put32(put16(p, 0x080a), clock), echo);
        }
        return put32(p, 0x01030307);
    }
    if (options.timestamps)
        p = put32(put32(put32(p, 0x0101080a), clock), echo);
    return p;
}

static void count_frame(const struct segment *s, uint64_t octets)
{
    truth.file_octets += octets;
    truth.frames++;
    truth.segments += s->len > 0;
    truth.tcp_octets += s->len;
    truth.resent += s->kind == 1;
    truth.keepalives += s->kind == 2;
    truth.syn += (s->flags & TCP_SYN) != 0;
    truth.fin += (s->flags & TCP_FIN) != 0;
}

void capture_frame(const struct flow *f, const struct segment *s)
{
    static uint8_t record[RECORD_HEADER + 66000];
    static const uint8_t mac[2][6] = { { 2, 0, 0, 0, 0, 1 }, { 2, 0, 0, 0, 0, 2 } };
    if (options.loss > 0 && s->len > 0 && per_million(options.loss)) {
        truth.lost++;
        return;
    }
    struct addresses a = addresses_of(f);
    uint32_t option_octets = s->flags & TCP_SYN ? (options.timestamps ? 20 : 8) : (options.timestamps ? 12 : 0);
    uint32_t tcp_octets = 20 + option_octets + s->len;
    uint8_t *frame = record + RECORD_HEADER;
    memcpy(frame, mac[!s->dir], 6);
    memcpy(frame + 6, mac[s->dir], 6);
    put16(frame + 12, f->ipv6 ? 0x86dd : 0x0800);
    uint8_t *tcp = write_ip(frame + ETHERNET_HEADER, f, &a, s->dir, tcp_octets);
    put16(put16(tcp, a.port[s->dir]), a.port[!s->dir]);
    put32(put32(tcp + 4, s->seq), s->flags & TCP_ACK ? s->ack : 0);
    tcp[12] = (uint8_t)((20 + option_octets) / 4 << 4);
    tcp[13] = s->flags;
    put32(put16(tcp + 14, 64240), 0);
    uint8_t *data = write_tcp_options(tcp + 20, f, s);
    if (s->len > 0)
        memcpy(data, f->buf + s->off, s->len);
    uint8_t pseudo[4] = { 0, 6 };
    put16(pseudo + 2, tcp_octets);
    uint32_t sum = sum_add(sum_add(sum_add(0, a.of[0], a.len), a.of[1], a.len), pseudo, sizeof pseudo);
    put16(tcp + 16, ~sum_add(sum, tcp, tcp_octets));
    uint32_t octets = (uint32_t)(tcp - frame) + tcp_octets;
    uint32_t kept = octets < ETHERNET_MIN ? ETHERNET_MIN : octets; /* padding, as a network card delivers it */
    memset(frame + octets, 0, kept - octets);
    put_native32(put_native32(put_native32(put_native32(record, now_us / 1000000), now_us % 1000000), kept), kept);
    if (capture != NULL)
        fwrite(record, 1, RECORD_HEADER + kept, capture);
    count_frame(s, RECORD_HEADER + kept);
    now_us += 1 + random_below(2 * (1000000 / options.pps));
}

bool capture_open(const char *path)
{
    uint8_t header[24], *p = header;
    capture = strcmp(path, "-") == 0 ? stdout : fopen(path, "wb");
    if (capture == NULL)
        return false;
    setvbuf(capture, NULL, _IOFBF, 1 << 20);
    p = put_native32(put_native32(p, 0xa1b2c3d4u), 2 | 4 << 16);
    p = put_native32(put_native32(put_native32(put_native32(p, 0), 0), 262144), 1 /* Ethernet */);
    truth.file_octets = sizeof header;
    return fwrite(header, 1, sizeof header, capture) == sizeof header;
}

bool capture_close(void)
{
    if (capture == NULL)
        return true;
    bool good = !ferror(capture);
    return fclose(capture) == 0 && good;
}

static void *grown(void *old, size_t size)
{
    void *p = realloc(old, size);
    if (p == NULL) {
        perror("generate");
        exit(2);
    }
    return p;
}

uint8_t *flow_room(struct flow *f, uint32_t n)
{
    if (f->len + n > f->cap) {
        while (f->cap < f->len + n)
            f->cap = f->cap > 0 ? f->cap * 2 : 256;
        f->buf = grown(f->buf, f->cap);
    }
    return f->buf + f->len;
}

/* Puts a segment at a place of the list; those behind it move on. */
static void insert(struct flow *f, uint32_t at, struct segment s)
{
    if (f->n_segments == f->cap_segments) {
        f->cap_segments = f->cap_segments > 0 ? f->cap_segments * 2 : 8;
        f->segments = grown(f->segments, f->cap_segments * sizeof s);
    }
    memmove(f->segments + at + 1, f->segments + at, (f->n_segments - at) * sizeof s);
    f->segments[at] = s;
    f->n_segments++;
}

void flow_control(struct flow *f, uint8_t dir, uint8_t flags)
{
    insert(f, f->n_segments, (struct segment){ .seq = f->next[dir], .ack = f->next[!dir], .dir = dir, .flags = flags });
    if (flags & (TCP_SYN | TCP_FIN))
        f->next[dir]++;
}

/* A cut inside a Remaining Length field moves to its border: tshark 4.0 misreads such cuts (see --hdrcut). */
static uint32_t avoid_header_cut(const struct flow *f, uint32_t off, uint32_t n, uint32_t packet)
{
    uint32_t cut = off + n;
    while (packet < f->n_ends && f->ends[packet] <= cut)
        packet++;
    uint32_t start = packet > 0 ? f->ends[packet - 1] : 0, length_octets = 1;
    if (start >= cut)
        return n;
    while (f->buf[f->group + start + length_octets] & 0x80)
        length_octets++;
    if (cut - start < 2 || cut - start >= length_octets + 1)
        return n;
    return start > off ? start - off : length_octets + 1 + start - off;
}

static void cut_group(struct flow *f, bool coalesced, uint32_t mss)
{
    uint32_t total = f->len - f->group, base = f->next[f->group_dir], packet = 0;
    bool split = percent(options.split);
    for (uint32_t off = 0, n; off < total; off += n) {
        n = !coalesced && packet < f->n_ends ? f->ends[packet] - off : total - off;
        n = n < mss ? n : mss;
        if (split && n > 1) {
            uint32_t shorter = percent(20) ? 1 + random_below(4) : 1 + random_below(n);
            n = shorter < n ? shorter : n;
        }
        if (!options.header_cut && off + n < total)
            n = avoid_header_cut(f, off, n, packet);
        uint8_t flags = off + n < total && n == mss ? TCP_ACK : TCP_ACK | TCP_PSH;
        insert(f, f->n_segments,
               (struct segment){ base + off, f->next[!f->group_dir], f->group + off, n, f->group_dir, flags, 0 });
        while (packet < f->n_ends && f->ends[packet] <= off + n)
            packet++;
    }
    f->next[f->group_dir] = base + total;
}

static void reorder(struct flow *f, uint32_t first)
{
    for (uint32_t i = first; i + 1 < f->n_segments; i++) {
        if (!per_million(options.reorder))
            continue;
        uint32_t behind = f->n_segments - i - 1, to = i + 1 + random_below(behind < 4 ? behind : 4);
        struct segment moved = f->segments[i];
        memmove(f->segments + i, f->segments + i + 1, (to - i) * sizeof moved);
        f->segments[to] = moved;
        truth.reordered++;
        i = to;
    }
}

/* The segment once more, with other borders and the same octets. */
static struct segment overlapping(const struct flow *f, struct segment s, uint32_t mss)
{
    uint32_t before = s.off - f->group, behind = f->len - (s.off + s.len);
    uint32_t back = random_below((before < 700 ? before : 700) + 1);
    uint32_t on = random_below((behind < 300 ? behind : 300) + 1);
    s.seq -= back;
    s.off -= back;
    s.len += back + on;
    s.len = s.len < mss ? s.len : mss;
    s.kind = 1;
    return s;
}

static void repeat(struct flow *f, uint32_t first, uint32_t mss)
{
    for (uint32_t i = first; i < f->n_segments; i++) {
        struct segment s = f->segments[i];
        if (s.kind != 0 || s.len == 0)
            continue;
        if (per_million(options.resend)) {
            uint32_t to = i + 1 + random_below(3);
            s.kind = 1;
            insert(f, to < f->n_segments ? to : f->n_segments, s);
        } else if (per_million(options.overlap)) {
            insert(f, i + 1, overlapping(f, s, mss));
            truth.overlaps++;
            i++;
        }
    }
}

static void tell_packets(const struct flow *f)
{
    uint32_t base = f->next[f->group_dir];
    for (uint32_t i = 0, start = 0; i < f->n_ends; start = f->ends[i++]) {
        uint8_t first = f->buf[f->group + start];
        fprintf(packets_output, "%u %u %u %u %u %u %u\n", f->id, f->group_dir, 20000 + f->tuple % 16000, base + start,
                f->ends[i] - start, first >> 4, first >> 1 & 3);
    }
}

void flow_send_group(struct flow *f, bool coalesced)
{
    if (f->len == f->group)
        return;
    if (packets_output != NULL)
        tell_packets(f);
    uint8_t dir = f->group_dir;
    uint32_t first = f->n_segments, mss = f->ipv6 && options.mss > 1428 && options.mss < 1461 ? 1428 : options.mss;
    cut_group(f, coalesced, mss);
    bool in_order = f->midstream && !f->seen[dir];
    f->seen[dir] = true;
    if (!in_order) {
        reorder(f, first);
        repeat(f, first, mss);
    }
    flow_control(f, !dir, TCP_ACK);
    if (per_million(options.spurious)) {
        struct segment s = f->segments[first + random_below(f->n_segments - 1 - first)];
        s.kind = 1;
        insert(f, f->n_segments, s);
        flow_control(f, !dir, TCP_ACK);
    }
    if (per_million(options.keepalive)) {
        flow_control(f, dir, TCP_ACK);
        f->segments[f->n_segments - 1].seq--;
        f->segments[f->n_segments - 1].kind = 2;
        flow_control(f, !dir, TCP_ACK);
    }
    f->group = f->len;
}
