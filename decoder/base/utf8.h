/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/base/utf8.h -- UTF-8 as MQTT wants it (3.1.1 section 1.5.3, 5.0 section 1.5.4). */
#pragma once
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

/* Linear in len. */
struct utf8_result utf8_check(struct view text);

/* One code point from the front of text (text.len > 0). Returns its length in octets (1..4) and sets *code; ill-formed
 * input returns 0: show one octet escaped and go on. */
size_t utf8_next(struct view text, uint32_t *code);
