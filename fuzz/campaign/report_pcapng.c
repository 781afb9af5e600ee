/* SPDX-License-Identifier: Apache-2.0
 *
 * The log of a run as pcapng: raw IPv4, one TCP conversation a connection, with handshake, acknowledgements left to
 * imagination (each segment acknowledges what the other side had sent). */
#include <stdlib.h>
#include <string.h>

#include "fuzz/campaign/report.h"

enum {
    LINKTYPE_RAW = 101,
    HEADERS = 40,
    SEGMENT_MAX = 65000,
    FIN = 1,
    SYN = 2,
    RST = 4,
    PSH = 8,
    ACK = 16,
    TRACKED = 256
};

struct tcp {
    uint8_t client;
    uint16_t connection, port;
    uint32_t next[2]; /* sequence numbers of client and broker */
};

static void put32(FILE *f, uint32_t value) /* the section is little-endian */
{
    uint8_t octets[4] = { (uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16), (uint8_t)(value >> 24) };
    fwrite(octets, 1, 4, f);
}

static void be16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void be32(uint8_t *at, uint32_t value)
{
    be16(at, value >> 16);
    be16(at + 2, value & 0xffff);
}

static uint32_t sum16(const uint8_t *at, size_t n, uint32_t sum)
{
    for (size_t i = 0; i < n; i++)
        sum += i % 2 == 0 ? (uint32_t)at[i] << 8 : at[i];
    return sum;
}

static uint32_t fold(uint32_t sum)
{
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    return ~sum & 0xffff;
}

static void segment(FILE *f, struct tcp *t, bool by_broker, unsigned flags, int64_t time_ns, struct view octets)
{
    uint8_t head[HEADERS] = { 0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6 };
    uint32_t client = 0x7f000001, broker = 0x7f000001, length = (uint32_t)(HEADERS + octets.len);
    be16(head + 2, length);
    be32(head + 12, by_broker ? broker : client);
    be32(head + 16, by_broker ? client : broker);
    be16(head + 10, fold(sum16(head, 20, 0)));
    uint8_t *tcp = head + 20;
    be16(tcp, by_broker ? 1883 : t->port);
    be16(tcp + 2, by_broker ? t->port : 1883);
    be32(tcp + 4, t->next[by_broker]);
    be32(tcp + 8, (flags & ACK) != 0 ? t->next[!by_broker] : 0);
    tcp[12] = 5 << 4;
    tcp[13] = (uint8_t)flags;
    be16(tcp + 14, 65535);
    uint32_t sum = sum16(head + 12, 8, 6u + 20u + (uint32_t)octets.len);
    sum = sum16(tcp, 20, sum);
    be16(tcp + 16, fold(sum16(octets.ptr, octets.len, sum)));
    t->next[by_broker] += (uint32_t)octets.len + ((flags & (SYN | FIN)) != 0);

    uint32_t padded = (length + 3) & ~3u;
    put32(f, 6); /* Enhanced Packet Block */
    put32(f, 32 + padded);
    put32(f, 0);
    put32(f, (uint32_t)((uint64_t)time_ns >> 32));
    put32(f, (uint32_t)time_ns);
    put32(f, length);
    put32(f, length);
    fwrite(head, 1, HEADERS, f);
    if (octets.len > 0)
        fwrite(octets.ptr, 1, octets.len, f);
    fwrite("\0\0\0", 1, padded - length, f);
    put32(f, 32 + padded);
}

static void preamble(FILE *f)
{
    static const uint32_t section[] = { 0x0a0d0d0a, 28, 0x1a2b3c4d, 1, 0xffffffff, 0xffffffff, 28 };
    static const uint32_t interface[] = { 1, 32, LINKTYPE_RAW, 0, 1 << 16 | 9 /* if_tsresol, 1 octet */, 9 /* 10^-9 */,
                                          0, 32 };
    for (size_t i = 0; i < sizeof section / sizeof *section; i++)
        put32(f, section[i]);
    for (size_t i = 0; i < sizeof interface / sizeof *interface; i++)
        put32(f, interface[i]);
}

static void entry_segments(FILE *f, struct tcp *t, const struct run *run, const struct log_entry *e)
{
    struct view none = view_of("", 0);
    bool by_broker = e->what == LOG_RECEIVED || e->what == LOG_CLOSED_BY_BROKER || e->what == LOG_RESET_BY_BROKER;
    switch ((enum log_what)e->what) {
    case LOG_OPENED:
        segment(f, t, false, SYN, e->time_ns, none);
        segment(f, t, true, SYN | ACK, e->time_ns, none);
        segment(f, t, false, ACK, e->time_ns, none);
        break;
    case LOG_SENT:
    case LOG_RECEIVED:
        for (uint32_t at = 0; at < e->len; at += SEGMENT_MAX) {
            size_t n = e->len - at < SEGMENT_MAX ? e->len - at : SEGMENT_MAX;
            segment(f, t, by_broker, PSH | ACK, e->time_ns, view_of(run->octets + e->at + at, n));
        }
        break;
    case LOG_CLOSED_BY_US:
    case LOG_CLOSED_BY_BROKER:
        segment(f, t, by_broker, FIN | ACK, e->time_ns, none);
        break;
    case LOG_RESET_BY_US:
    case LOG_RESET_BY_BROKER:
        segment(f, t, by_broker, RST | ACK, e->time_ns, none);
        break;
    case LOG_REFUSED:
        segment(f, t, false, SYN, e->time_ns, none);
        segment(f, t, true, RST | ACK, e->time_ns, none);
        break;
    }
}

bool report_pcapng(const struct run *run, FILE *f)
{
    struct tcp *known = calloc(TRACKED, sizeof *known);
    unsigned n = 0;
    if (known == NULL)
        return false;
    preamble(f);
    for (uint32_t i = 0; i < run->n_log; i++) {
        const struct log_entry *e = &run->log[i];
        unsigned at = 0;
        while (at < n && (known[at].client != e->client || known[at].connection != e->connection))
            at++;
        if (at == n && n == TRACKED)
            continue;
        if (at == n)
            known[n++] = (struct tcp){ e->client, e->connection, e->port, { 1000, 5000 } };
        entry_segments(f, &known[at], run, e);
    }
    free(known);
    return !ferror(f);
}
