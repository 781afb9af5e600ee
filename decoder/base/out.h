/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/base/out.h -- a bounded output buffer, and the ways octets of the wire are written into it.
 *
 * The caller lends the buffer. When it is full, `drain` empties it (o->len = 0 and what the caller does with the
 * octets); without one, what does not fit is counted in `lost`. Only out_octets() and out_text() write octets as they
 * are: they are for text of ours. */
#pragma once
#include "decoder/base/cursor.h"
#include <string.h>

struct out {
    char *at;
    size_t cap, len;
    void (*drain)(struct out *o); /* NULL: none */
    void *owner;                  /* for drain */
    size_t lost;
};

static inline struct out out_over(char *buffer, size_t cap)
{
    return (struct out){ .at = buffer, .cap = cap };
}

void out_octets_slow(struct out *o, const void *octets, size_t len);

static inline void out_octets(struct out *o, const void *octets, size_t len)
{
    if (len > o->cap - o->len) {
        out_octets_slow(o, octets, len);
        return;
    }
    memcpy(o->at + o->len, octets, len);
    o->len += len;
}

static inline void out_char(struct out *o, char c)
{
    if (o->len < o->cap)
        o->at[o->len++] = c;
    else
        out_octets_slow(o, &c, 1);
}

static inline void out_text(struct out *o, const char *text)
{
    out_octets(o, text, strlen(text));
}

void out_fill(struct out *o, char c, size_t n);
void out_uint(struct out *o, uint64_t number);
void out_uint_wide(struct out *o, uint64_t number, unsigned digits); /* with zeroes in front, at least so many digits */
void out_hex_uint(struct out *o, uint64_t number, unsigned digits);  /* 0x and at least so many digits */
void out_seconds(struct out *o, int64_t ns, unsigned digits);        /* "-1.500000": digits (0 to 9) behind the point */
void out_hex(struct out *o, struct view octets, char between); /* "6d71", or "6d:71" with between ':'; '\0' none */
void out_base64(struct out *o, struct view octets);
void out_ip(struct out *o, struct view address); /* 4 or 16 octets; IPv6 in the form of RFC 5952 */

/* For a terminal: what could steer it or deceive the reader (controls, ill-formed UTF-8, bidirectional overrides,
 * invisible and non-characters) is written as \n, \t, \r, \xNN (one octet) or \u{NNNN} (a code point); a backslash as
 * \\. */
void out_terminal(struct out *o, struct view text);
/* Likewise, at most `columns` characters; ends in "..." when text was left out. */
void out_terminal_cut(struct out *o, struct view text, size_t columns);

/* Likewise in double quotes, where a quote inside comes as \"; without quotes when it is a plain word that needs none.
 */
void out_terminal_word(struct out *o, struct view text, size_t columns);

/* A JSON string with its quotes; `text` is well-formed UTF-8. What steers or deceives a terminal comes as \uNNNN. */
void out_json_string(struct out *o, struct view text);
/* A JSON string for octets that are not all UTF-8, lossless: each octet that is not part of well-formed UTF-8 comes as
 * the four characters \xNN, each backslash as two backslashes. Say beside it that this form was used. */
void out_json_escaped(struct out *o, struct view text);

/* True for code points that out_terminal() escapes. */
bool out_steers(uint32_t code);
