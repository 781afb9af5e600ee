/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/target/framing.c -- one direction's octets through the framer and the connection. Claims: the packets tile the
 * input; a split at any place gives the same packets; a packet beyond the limit keeps its first octets and its true
 * size; no more memory is asked for than the limit; a border that was found anew is one. */
#include "fuzz/target/target.h"

#include <stdlib.h>
#include <string.h>

#include "decoder/mqtt/conn.h"
#include "decoder/mqtt/framer.h"

const struct fuzz_target fuzz_target = { "framing", FUZZ_STREAM };

enum { FRAMES_MAX = 256 };

struct seen_frame {
    uint32_t total, held;
    uint64_t at; /* its first octet, counted from the start */
};

struct run {
    struct mqtt_framer framer;
    struct mqtt_conn conn;
    struct view input;
    uint8_t *lent;
    uint64_t at;
    struct seen_frame frames[FRAMES_MAX];
    uint32_t n;
    bool bad;
};

static void run_init(struct run *r, struct view input, uint32_t limit)
{
    *r = (struct run){ .input = input };
    mqtt_framer_init(&r->framer, limit);
    mqtt_conn_init(&r->conn);
}

static void take_frame(struct run *r, const struct mqtt_frame *f)
{
    struct mqtt_verdict at[8];
    struct mqtt_verdicts v = { at, 8, 0, 0 };
    struct mqtt_packet p;
    HOLDS(f->total >= 2 && f->total <= r->input.len - r->at && f->octets.len <= f->total && f->missing == 0);
    HOLDS(memcmp(f->octets.ptr, r->input.ptr + r->at, f->octets.len) == 0);
    mqtt_conn_packet(&r->conn, r->at & 1, f->octets, &p, &v);
    HOLDS(p.header_len > 0 && p.header_len + p.remaining == f->total);
    if (r->n < FRAMES_MAX)
        r->frames[r->n] = (struct seen_frame){ f->total, (uint32_t)f->octets.len, r->at };
    r->n++;
    r->at += f->total;
}

static void lend(struct run *r)
{
    HOLDS(r->framer.want > r->framer.lent_cap && r->framer.want <= r->framer.limit);
    r->lent = realloc(r->lent, r->framer.want);
    HOLDS(r->lent != NULL);
    mqtt_framer_lend(&r->framer, r->lent, r->framer.want);
}

static void run_chunk(struct run *r, struct view chunk)
{
    struct cursor in = cur_over(chunk.ptr, chunk.len);
    struct mqtt_frame frame;
    for (;;) {
        switch (mqtt_framer_next(&r->framer, &in, &frame)) {
        case MQTT_FRAME_MORE:
            HOLDS(cur_left(&in) == 0);
            return;
        case MQTT_FRAME_PACKET:
            take_frame(r, &frame);
            break;
        case MQTT_FRAME_MEMORY:
            lend(r);
            break;
        case MQTT_FRAME_BAD:
            HOLDS(frame.octets.len == MQTT_HEADER_MAX && r->framer.lost);
            HOLDS(memcmp(frame.octets.ptr, r->input.ptr + r->at, frame.octets.len) == 0);
            r->bad = true;
            break;
        }
    }
}

/* The same octets in pieces of `step`, handed over in allocations of their exact size. */
static void run_split(struct run *r, size_t step)
{
    for (size_t at = 0; at < r->input.len; at += step) {
        size_t n = step < r->input.len - at ? step : r->input.len - at;
        uint8_t *piece = malloc(n);
        HOLDS(piece != NULL);
        memcpy(piece, r->input.ptr + at, n);
        run_chunk(r, view_of(piece, n));
        free(piece);
    }
}

static void check_same(const struct run *a, const struct run *b)
{
    HOLDS(a->n == b->n && a->bad == b->bad && a->at == b->at);
    for (uint32_t i = 0; i < a->n && i < FRAMES_MAX; i++) {
        uint32_t kept = a->frames[i].total < b->framer.limit ? a->frames[i].total : b->framer.limit;
        HOLDS(a->frames[i].total == b->frames[i].total && a->frames[i].at == b->frames[i].at);
        HOLDS(b->frames[i].held >= kept || b->frames[i].held == b->frames[i].total);
    }
    HOLDS(a->conn.version == b->conn.version || b->framer.limit < a->input.len);
}

static void check_resync(struct view input)
{
    struct mqtt_run found, again;
    size_t at = mqtt_resync(input, 0x38, MQTT_NOBODY, 24, 0, &found);
    HOLDS(at <= input.len);
    if (at == input.len)
        return;
    again = mqtt_run_at(view_of(input.ptr + at, input.len - at), 0x38, MQTT_NOBODY);
    HOLDS(again.bits >= 24 && again.whole <= MQTT_RUN_MAX);
}

/* A hole in the middle: whatever comes of it, it is counted, and what is framed lies in the input. */
static void check_hole(struct view input, uint64_t hole)
{
    struct mqtt_framer f;
    struct mqtt_frame frame;
    uint8_t room[4096];
    bool complete;
    mqtt_framer_init(&f, sizeof room);
    mqtt_framer_lend(&f, room, sizeof room);
    for (unsigned part = 0; part < 2; part++) {
        size_t half = input.len / 2;
        struct cursor in = part == 0 ? cur_over(input.ptr, half) : cur_over(input.ptr + half, input.len - half);
        enum mqtt_frame_status status;
        while ((status = mqtt_framer_next(&f, &in, &frame)) != MQTT_FRAME_MORE) {
            HOLDS(status != MQTT_FRAME_MEMORY);
            HOLDS(frame.missing <= frame.total && (status == MQTT_FRAME_BAD || frame.octets.len <= frame.total));
        }
        if (part == 0 && mqtt_framer_hole(&f, hole, &frame, &complete) && complete)
            HOLDS(frame.missing > 0 && frame.missing <= frame.total && frame.octets.len < frame.total);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint32_t limits[] = { 1u << 20, 5, 16, 600 };
    static const size_t steps[] = { 1, 2, 7, 64 };
    if (size < 2)
        return 0;
    unsigned rest = fuzz_scene(data[0]).rest;
    struct view input = view_of(data + 1, size - 1);
    struct run whole, split;
    run_init(&whole, input, 1u << 20);
    run_init(&split, input, limits[rest & 3]);
    run_chunk(&whole, input);
    run_split(&split, steps[rest >> 2]);
    check_same(&whole, &split);
    check_resync(input);
    check_hole(input, 1 + rest);
    free(whole.lent);
    free(split.lent);
    return 0;
}
