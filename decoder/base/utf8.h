/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/base/utf8.h -- UTF-8 as MQTT wants it (3.1.1 section 1.5.3, 5.0 section 1.5.4). */
#pragma once
#include <string.h>

#include "decoder/base/cursor.h"

enum utf8_class {
    UTF8_OK,
    UTF8_DISCOURAGED, /* U+0001..1F, U+007F..9F or a non-character: SHOULD NOT */
    UTF8_NUL,         /* U+0000 as the octet 00 */
    UTF8_ILL_FORMED,  /* over-long, surrogate, above U+10FFFF, stray or missing continuation, cut short */
};

struct utf8_result {
    enum utf8_class worst; /* the highest class met */
    size_t offset, len;    /* of its first occurrence */
};

/* Octets outside 0x20..0x7e among eight, as 0x80 in their place: a borrow or carry from octet to octet can only add a
 * mark where there is one already. */
static inline uint64_t utf8_special8(uint64_t w)
{
    const uint64_t ones = 0x0101010101010101u;
    return (w | (w - ones * 0x20) | (w + ones)) & ones * 0x80;
}

/* Octets in front of the first of these marks, of which there is one. */
static inline unsigned utf8_before(uint64_t marks)
{
    return (unsigned)(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? __builtin_ctzll(marks) : __builtin_clzll(marks)) / 8;
}

static inline uint64_t utf8_load(const uint8_t *p, size_t n) /* n <= 8 */
{
    uint64_t w = 0;
    memcpy(&w, p, n);
    return w;
}

/* Printable ASCII, as nearly every string on the wire? Eight octets at a time; false only means: look closer. */
static inline bool utf8_is_plain(struct view text)
{
    const uint8_t *p = text.ptr;
    size_t n = text.len;
    if (n >= 8) {
        uint64_t special = utf8_special8(utf8_load(p + n - 8, 8));
        for (size_t i = 0; i + 8 < n; i += 8)
            special |= utf8_special8(utf8_load(p + i, 8));
        return special == 0;
    }
    if (n >= 4)
        return utf8_special8(utf8_load(p, 4) << 32 | utf8_load(p + n - 4, 4)) == 0;
    return n == 0 ||
           utf8_special8((uint64_t)p[0] << 16 | (uint64_t)p[n / 2] << 8 | p[n - 1] | 0x6161616161000000u) == 0;
}

/* Linear in len. */
struct utf8_result utf8_check(struct view text);

static inline bool utf8_is_good(struct view text)
{
    return utf8_is_plain(text) || utf8_check(text).worst == UTF8_OK;
}

/* Code points in well-formed text; in other text, the octets that are no continuation. */
size_t utf8_characters(struct view text);

/* One code point from the front of text (text.len > 0). Returns its length in octets (1..4) and sets *code; ill-formed
 * input returns 0: show one octet escaped and go on. */
size_t utf8_next(struct view text, uint32_t *code);
