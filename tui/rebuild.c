/* SPDX-License-Identifier: Apache-2.0 */
#include "tui/rebuild.h"
#include <stdlib.h>
#include <string.h>

enum { LINKTYPE_RAW = 101, SEGMENT = 60000, HEADERS_MAX = 60, FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16 };

struct talk { /* a connection: the next sequence number of each end */
    uint32_t stream, seq[2];
    struct row_endpoint first; /* the end that seq[0] belongs to */
    bool used;
};

struct rebuild {
    FILE *to;
    struct talk *talks; /* open addressing, never more than half full */
    uint32_t n, cap;
    bool failed;
};

/* ---- pcapng ----------------------------------------------------------------------------------------------------- */

static void put(struct rebuild *r, const void *octets, size_t n)
{
    r->failed = r->failed || fwrite(octets, 1, n, r->to) != n;
}

static void put_u32(struct rebuild *r, uint32_t n) /* in the byte order of this machine, as the section header says */
{
    put(r, &n, sizeof n);
}

static void put_option(struct rebuild *r, uint16_t code, const void *value, uint16_t len)
{
    static const uint8_t zeroes[4] = { 0 };
    put(r, &code, sizeof code);
    put(r, &len, sizeof len);
    put(r, value, len);
    put(r, zeroes, (4u - len % 4u) % 4u);
}

static uint32_t option_size(size_t len)
{
    return (uint32_t)(4 + (len + 3) / 4 * 4);
}

static void put_heads(struct rebuild *r)
{
    static const char comment[] = "Rebuilt by mqshark from the MQTT packets it held: IP and TCP headers are made up.";
    static const uint8_t nanoseconds = 9;
    uint32_t section = 28 + option_size(sizeof comment - 1) + 4, interface = 20 + option_size(1) + 4;
    uint16_t version[2] = { 1, 0 }, link[2] = { LINKTYPE_RAW, 0 };
    put_u32(r, 0x0a0d0d0a);
    put_u32(r, section);
    put_u32(r, 0x1a2b3c4d);
    put(r, version, sizeof version);
    put_u32(r, UINT32_MAX); /* section length: not said */
    put_u32(r, UINT32_MAX);
    put_option(r, 1, comment, sizeof comment - 1);
    put_option(r, 0, "", 0);
    put_u32(r, section);
    put_u32(r, 1);
    put_u32(r, interface);
    put(r, link, sizeof link);
    put_u32(r, 0); /* snaplen: none */
    put_option(r, 9, &nanoseconds, 1);
    put_option(r, 0, "", 0);
    put_u32(r, interface);
}

static void put_frame(struct rebuild *r, int64_t time_ns, const uint8_t *head, size_t head_len, struct view data,
                      uint32_t wire)
{
    static const uint8_t zeroes[4] = { 0 };
    uint32_t captured = (uint32_t)(head_len + data.len), padding = (4 - captured % 4) % 4,
             size = 32 + captured + padding;
    uint64_t time = time_ns < 0 ? 0 : (uint64_t)time_ns;
    put_u32(r, 6);
    put_u32(r, size);
    put_u32(r, 0);
    put_u32(r, (uint32_t)(time >> 32));
    put_u32(r, (uint32_t)time);
    put_u32(r, captured);
    put_u32(r, (uint32_t)head_len + wire);
    put(r, head, head_len);
    put(r, data.ptr, data.len);
    put(r, zeroes, padding);
    put_u32(r, size);
}

/* ---- headers ---------------------------------------------------------------------------------------------------- */

static size_t u16(uint8_t *at, uint32_t n)
{
    at[0] = (uint8_t)(n >> 8);
    at[1] = (uint8_t)n;
    return 2;
}

static size_t u32(uint8_t *at, uint32_t n)
{
    u16(at, n >> 16);
    u16(at + 2, n);
    return 4;
}

static void ipv4_checksum(uint8_t *h)
{
    uint32_t sum = 0;
    for (int i = 0; i < 20; i += 2)
        sum += (uint32_t)(h[i] << 8 | h[i + 1]);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    u16(h + 10, ~sum & 0xffff);
}

static size_t ip_header(uint8_t *h, const struct row_endpoint *src, const struct row_endpoint *dst, uint32_t payload)
{
    size_t n = 0;
    if (src->addr.family == 6) {
        n += u32(h, 6u << 28);
        n += u16(h + n, payload);
        h[n++] = 6; /* TCP */
        h[n++] = 64;
        memcpy(h + n, src->addr.octets, 16);
        memcpy(h + n + 16, dst->addr.octets, 16);
        return n + 32;
    }
    h[n++] = 0x45;
    h[n++] = 0;
    n += u16(h + n, 20 + payload);
    n += u32(h + n, 0x4000); /* no identification; do not fragment */
    h[n++] = 64;
    h[n++] = 6;
    n += u16(h + n, 0);
    memcpy(h + n, src->addr.octets, 4);
    memcpy(h + n + 4, dst->addr.octets, 4);
    ipv4_checksum(h);
    return n + 8;
}

static size_t tcp_header(uint8_t *h, uint16_t from, uint16_t to, uint32_t seq, uint32_t ack, uint8_t flags)
{
    size_t n = u16(h, from);
    n += u16(h + n, to);
    n += u32(h + n, seq);
    n += u32(h + n, ack);
    h[n++] = 5 << 4;
    h[n++] = flags;
    n += u16(h + n, 65535);
    n += u32(h + n, 0); /* checksum and urgent pointer */
    return n;
}

/* ---- connections ------------------------------------------------------------------------------------------------ */

static struct talk *slot_of(struct talk *talks, uint32_t cap, uint32_t stream)
{
    uint32_t at = stream * 2654435761u % cap;
    while (talks[at].used && talks[at].stream != stream)
        at = (at + 1) % cap;
    return &talks[at];
}

static bool grow(struct rebuild *r)
{
    uint32_t cap = r->cap > 0 ? 2 * r->cap : 64;
    struct talk *talks = calloc(cap, sizeof *talks);
    if (talks == NULL)
        return false;
    for (uint32_t i = 0; i < r->cap; i++)
        if (r->talks[i].used)
            *slot_of(talks, cap, r->talks[i].stream) = r->talks[i];
    free(r->talks);
    r->talks = talks;
    r->cap = cap;
    return true;
}

static struct talk *talk_of(struct rebuild *r, const struct store_entry *e)
{
    if (2 * (r->n + 1) > r->cap && !grow(r))
        return NULL;
    struct talk *t = slot_of(r->talks, r->cap, e->row.stream);
    if (!t->used) {
        *t = (struct talk){ .stream = e->row.stream, .seq = { 1, 1 }, .first = e->row.src, .used = true };
        r->n++;
    }
    return t;
}

static bool same_end(const struct row_endpoint *a, const struct row_endpoint *b)
{
    return a->port == b->port && memcmp(a->addr.octets, b->addr.octets, sizeof a->addr.octets) == 0;
}

/* One segment from `dir`; `wire` octets of payload, of which `data` is at hand. */
static void segment(struct rebuild *r, struct talk *t, const struct store_entry *e, unsigned dir, uint8_t flags,
                    struct view data, uint32_t wire)
{
    uint8_t head[HEADERS_MAX];
    bool forward = dir == (same_end(&e->row.src, &t->first) ? 0u : 1u);
    const struct row_endpoint *src = forward ? &e->row.src : &e->row.dst, *dst = forward ? &e->row.dst : &e->row.src;
    size_t n = ip_header(head, src, dst, 20 + wire);
    n += tcp_header(head + n, src->port, dst->port, t->seq[dir], flags & SYN && !(flags & ACK) ? 0 : t->seq[1 - dir],
                    flags);
    put_frame(r, e->row.time_ns, head, n, data, wire);
    t->seq[dir] += wire + (flags & (SYN | FIN) ? 1 : 0);
}

static void link_row(struct rebuild *r, struct talk *t, const struct store_entry *e, unsigned dir)
{
    const struct view none = { (const uint8_t *)"", 0 };
    if (e->meta->kind == STORE_OPEN && e->meta->from_syn) {
        segment(r, t, e, dir, SYN, none, 0);
        segment(r, t, e, 1 - dir, SYN | ACK, none, 0);
        segment(r, t, e, dir, ACK, none, 0);
    } else if (e->meta->kind == STORE_CLOSE && e->meta->close != STORE_ENDED) {
        segment(r, t, e, dir, e->meta->close == STORE_RST ? RST | ACK : FIN | ACK, none, 0);
    }
}

static void packet_row(struct rebuild *r, struct talk *t, const struct store_entry *e, unsigned dir)
{
    uint32_t held = e->meta->held, total = e->meta->total;
    for (uint32_t at = 0; at < total; at += SEGMENT) {
        uint32_t wire = total - at < SEGMENT ? total - at : SEGMENT;
        uint32_t have = at >= held ? 0 : held - at < wire ? held - at : wire;
        segment(r, t, e, dir, PSH | ACK, view_of(e->packet.octets + (have > 0 ? at : 0), have), wire);
    }
}

struct rebuild *rebuild_new(FILE *to)
{
    struct rebuild *r = calloc(1, sizeof *r);
    if (r == NULL)
        return NULL;
    r->to = to;
    put_heads(r);
    return r;
}

bool rebuild_row(struct rebuild *r, const struct store_entry *e)
{
    struct talk *t = talk_of(r, e);
    if (t == NULL)
        return false;
    unsigned dir = same_end(&e->row.src, &t->first) ? 0 : 1;
    if (e->meta->kind == STORE_PACKET)
        packet_row(r, t, e, dir);
    else if (e->meta->kind == STORE_GAP)
        t->seq[dir] += e->meta->total;
    else
        link_row(r, t, e, dir);
    return !r->failed;
}

bool rebuild_free(struct rebuild *r)
{
    bool good = r == NULL || !r->failed;
    if (r != NULL)
        free(r->talks);
    free(r);
    return good;
}
