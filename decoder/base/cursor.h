/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/base/cursor.h -- bounds-checked reading of wire fields, without copies.
 *
 * A read that does not fit yields 0 (or an empty view), moves nothing and latches `truncated`: read a run of fields,
 * then check once. The cursor only knows that octets ran out; its caller knows whether more may still come. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* For what few packets need, called at the end of the way all of them go: kept apart, it costs the others nothing. */
#define RARELY __attribute__((noinline, cold))

/* Borrowed octets; no NUL at the end, maybe NULs inside. ptr NULL means "no such field", len 0 with ptr set "empty". */
struct view {
    const uint8_t *ptr;
    size_t len;
};

struct cursor {
    const uint8_t *base; /* never NULL */
    size_t pos, end;     /* octets from base; pos <= end, always */
    bool truncated;
};

static inline struct view view_of(const void *octets, size_t len)
{
    return (struct view){ .ptr = octets, .len = len };
}

static inline struct cursor cur_over(const void *octets, size_t len)
{
    return (struct cursor){ .base = len > 0 ? octets : "", .end = len };
}

static inline size_t cur_left(const struct cursor *c)
{
    return c->end - c->pos;
}

static inline struct view cur_take(struct cursor *c, size_t n)
{
    if (c->truncated || n > c->end - c->pos) { /* pos + n could wrap; this cannot */
        c->truncated = true;
        return (struct view){ c->base, 0 };
    }
    struct view v = { c->base + c->pos, n };
    c->pos += n;
    return v;
}

/* The next n octets as a cursor of their own: a length inside a block cannot reach past the block, and offsets still
 * count from the same base. */
static inline struct cursor cur_sub(struct cursor *c, size_t n)
{
    struct cursor sub = *c;
    cur_take(c, n);
    sub.truncated = c->truncated;
    sub.end = c->pos;
    return sub;
}

static inline uint8_t cur_u8(struct cursor *c)
{
    struct view v = cur_take(c, 1);
    return v.len > 0 ? v.ptr[0] : 0;
}

static inline uint16_t cur_u16(struct cursor *c) /* big-endian, as all of the network's integers */
{
    struct view v = cur_take(c, 2);
    return v.len > 0 ? (uint16_t)((unsigned)v.ptr[0] << 8 | v.ptr[1]) : 0;
}

static inline uint32_t cur_u32(struct cursor *c)
{
    struct view v = cur_take(c, 4);
    return v.len > 0 ? (uint32_t)v.ptr[0] << 24 | (uint32_t)v.ptr[1] << 16 | (uint32_t)v.ptr[2] << 8 | v.ptr[3] : 0;
}

/* A u16 length and that many octets. Nothing is consumed when they do not fit. */
static inline struct view cur_str16(struct cursor *c)
{
    size_t start = c->pos;
    struct view v = cur_take(c, cur_u16(c));
    if (c->truncated)
        c->pos = start;
    return v;
}
