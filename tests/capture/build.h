/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/capture/build.h -- captures made in memory: frames of TCP over IPv4 over Ethernet, one after the other. */
#pragma once
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "capture/stream/segment.h"
#include "decoder/base/cursor.h"

struct image {
    uint8_t *octets;
    size_t len, cap;
    int64_t time_us, step_us; /* of the next frame; how much later each one is */
    uint32_t frames;
};

static inline void put_u16(uint8_t *at, uint32_t v)
{
    at[0] = (uint8_t)(v >> 8);
    at[1] = (uint8_t)v;
}

static inline void put_u32(uint8_t *at, uint32_t v)
{
    put_u16(at, v >> 16);
    put_u16(at + 2, v);
}

static inline uint8_t *image_room(struct image *i, size_t n)
{
    if (i->cap - i->len < n) {
        i->cap = (i->len + n) * 2;
        i->octets = realloc(i->octets, i->cap);
    }
    uint8_t *at = i->octets + i->len;
    i->len += n;
    return at;
}

/* A pcap file in the byte order of this machine, with microseconds. */
static inline void image_begin(struct image *i, uint32_t link_type)
{
    i->len = 0;
    i->frames = 0;
    i->time_us = INT64_C(1700000000000000);
    i->step_us = 100;
    uint32_t header[] = { 0xa1b2c3d4, 2 | 4 << 16, 0, 0, 262144, link_type };
    memcpy(image_room(i, sizeof header), header, sizeof header);
}

static inline void image_frame(struct image *i, const uint8_t *octets, size_t len, size_t wire_len)
{
    uint32_t header[] = { (uint32_t)(i->time_us / 1000000), (uint32_t)(i->time_us % 1000000), (uint32_t)len,
                          (uint32_t)wire_len };
    memcpy(image_room(i, sizeof header), header, sizeof header);
    memcpy(image_room(i, len), octets, len);
    i->time_us += i->step_us;
    i->frames++;
}

static inline void image_free(struct image *i)
{
    free(i->octets);
    *i = (struct image){ 0 };
}

/* One segment of connection `flow`: 10.0.0.1:20000+flow (direction 0, the client) and 10.0.0.2:port. */
struct made_segment {
    unsigned flow, dir, flags;
    uint16_t port;
    uint32_t seq, ack;
    const uint8_t *payload;
    size_t len;
    size_t keep; /* octets of the payload that were captured; SIZE_MAX: all */
};

enum { MADE_HEADERS = 14 + 20 + 20 };

static inline size_t make_ipv4_tcp(uint8_t *at, const struct made_segment *s)
{
    uint16_t client = (uint16_t)(20000 + s->flow);
    memset(at, 0, 40);
    at[0] = 0x45;
    put_u16(at + 2, (uint32_t)(40 + s->len));
    at[8] = 64;
    at[9] = 6;
    put_u32(at + 12, s->dir == 0 ? 0x0a000001 : 0x0a000002);
    put_u32(at + 16, s->dir == 0 ? 0x0a000002 : 0x0a000001);
    put_u16(at + 20, s->dir == 0 ? client : s->port);
    put_u16(at + 22, s->dir == 0 ? s->port : client);
    put_u32(at + 24, s->seq);
    put_u32(at + 28, s->ack);
    at[32] = 5 << 4;
    at[33] = (uint8_t)s->flags;
    if (s->len > 0)
        memcpy(at + 40, s->payload, s->len);
    return 40 + s->len;
}

static inline void image_segment(struct image *i, const struct made_segment *s)
{
    uint8_t *frame = malloc(MADE_HEADERS + s->len + 8);
    memset(frame, 2, 12);
    put_u16(frame + 12, 0x0800);
    size_t len = 14 + make_ipv4_tcp(frame + 14, s), captured = len;
    if (s->keep < s->len)
        captured -= s->len - s->keep;
    while (captured == len && len < 60) { /* a device pads short frames; that is no payload */
        frame[len++] = 0xc0;
        captured = len;
    }
    image_frame(i, frame, captured, len);
    free(frame);
}

/* A small generator of random numbers, the same on every machine. */
static inline uint32_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*state >> 33);
}
