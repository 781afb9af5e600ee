/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/target/stream.c -- stream reassembly against a naive model. The input is a list of segments of one stream whose
 * octet at every place is known. Claims: events are in order and tile the stream; every octet passed on is the right
 * one; a gap covers octets that no segment brought; what was brought, in time and within the budget, is passed on; what
 * is held stays within the budget; no copy is said to differ. */
#include "fuzz/target/target.h"

#include <stdlib.h>
#include <string.h>

#include "capture/stream/stream.h"
#include "decoder/base/cursor.h"

const struct fuzz_target fuzz_target = { "stream", FUZZ_OCTETS };

enum { SPAN = 4096, LIMIT = 65536 };

struct model {
    uint8_t brought[SPAN]; /* an octet was in a segment, at any time */
    uint8_t seen[SPAN];    /* 1: passed on as data, 2: as a gap */
    uint64_t at;
    unsigned ends;
    bool hurried; /* holes were given up before the end, so later segments come too late */
};

static uint8_t octet_at(uint64_t at)
{
    return (uint8_t)(at * 31 + at / 251);
}

static void on_data(void *ctx, const struct stream *s, uint64_t at, struct view octets, const struct stamp *stamp)
{
    struct model *m = ctx;
    HOLDS(s != NULL && stamp != NULL && m->ends == 0);
    HOLDS(at == m->at && octets.len > 0 && octets.len <= SPAN - at);
    for (size_t i = 0; i < octets.len; i++) {
        HOLDS(octets.ptr[i] == octet_at(at + i) && m->brought[at + i]);
        m->seen[at + i] = 1;
    }
    m->at += octets.len;
}

static void on_gap(void *ctx, const struct stream *s, uint64_t at, uint64_t len, enum stream_gap why,
                   const struct stamp *stamp)
{
    struct model *m = ctx;
    HOLDS(s != NULL && stamp != NULL && m->ends == 0 && why <= STREAM_EVICTED);
    HOLDS(at == m->at && len > 0 && len <= 2 * SPAN);
    for (uint64_t i = at; i < at + len && i < SPAN; i++) {
        HOLDS(m->hurried || !m->brought[i]);
        m->seen[i] = 2;
    }
    m->at += len;
}

/* Every copy of an octet is the right one. */
static void on_differ(void *ctx, const struct stream *s, uint64_t at, uint64_t len, uint64_t first_frame,
                      const struct stamp *stamp)
{
    (void)ctx, (void)s, (void)at, (void)len, (void)first_frame, (void)stamp;
    HOLDS(false);
}

static void on_end(void *ctx, const struct stream *s, uint64_t at, const struct stamp *stamp)
{
    struct model *m = ctx;
    HOLDS(s != NULL && stamp != NULL && at == m->at);
    m->ends++;
}

struct bench {
    struct model model;
    struct stream stream;
    struct stream_shared shared;
    struct stamp stamp;
    uint32_t start;
};

static void send_segment(struct bench *b, uint16_t at, uint8_t len, uint8_t flags)
{
    uint8_t octets[256];
    static const uint8_t address[4] = { 192, 0, 2, 1 };
    at %= SPAN - 256;
    for (size_t i = 0; i < len; i++) {
        octets[i] = octet_at(at + i);
        b->model.brought[at + i] = 1;
    }
    struct segment g = { .src = address,
                         .dst = address,
                         .family = 4,
                         .flags = (uint8_t)(TCP_ACK | (flags & 1 ? TCP_FIN : 0)),
                         .seq = b->start + 1 + at,
                         .payload = view_of(octets, len),
                         .cut = flags & 2 ? 1u + len : 0 };
    b->model.hurried |= g.cut > 0 || (g.flags & TCP_FIN) != 0;
    HOLDS(stream_segment(&b->stream, &b->shared, &g, &b->stamp));
}

/* One record of the input: an octet of what, then its numbers. */
static void run_record(struct bench *b, struct cursor *c)
{
    uint8_t what = cur_u8(c);
    uint16_t number = cur_u16(c);
    uint8_t len = cur_u8(c);
    b->stamp.frame++;
    b->stamp.before_ns = b->stamp.time_ns;
    b->stamp.time_ns += (what & 0x30) * INT64_C(1000000);
    if (b->shared.due_ns <= b->stamp.time_ns) {
        b->model.hurried = true;
        stream_tick(&b->shared, &b->stamp);
    }
    if ((what & 7) == 7)
        stream_ack(&b->stream, &b->shared, b->start + 1 + number % SPAN, &b->stamp);
    else
        send_segment(b, number, len, (what & 7) == 6 ? 1 : (what & 7) == 5 ? 2 : 0);
    HOLDS(b->shared.held <= LIMIT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct stream_events events = { on_data, on_gap, on_end, on_differ };
    if (size < 4)
        return 0;
    struct bench *b = calloc(1, sizeof *b);
    HOLDS(b != NULL);
    struct cursor c = cur_over(data, size);
    uint32_t limit = cur_u8(&c) & 1 ? 600 : LIMIT;
    b->start = (uint32_t)0 - cur_u16(&c) % 2048; /* the sequence number wraps on the way */
    b->model.hurried = limit < LIMIT;
    b->stamp.time_ns = 1;
    stream_shared_init(&b->shared, &events, &b->model, limit, LIMIT);
    stream_syn(&b->stream, b->start);
    for (unsigned n = 0; n < 200 && cur_left(&c) >= 4; n++)
        run_record(b, &c);
    stream_finish(&b->stream, &b->shared, &b->stamp);
    HOLDS(b->model.ends == 1);
    for (uint64_t i = 0; i < SPAN && !b->model.hurried; i++)
        HOLDS(b->model.seen[i] == (b->model.brought[i] ? 1 : i < b->model.at ? 2 : 0));
    stream_drop(&b->stream, &b->shared);
    HOLDS(b->shared.held == 0);
    free(b);
    return 0;
}
