/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/decoder/octets.h -- octets written as text: "30 05 00 01 61", and "61*300" for three hundred octets 61. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct octets {
    uint8_t *ptr; /* from malloc, of exactly len octets, so that AddressSanitizer sees a read that is one too long */
    size_t len;
};

/* One group: two hex digits, perhaps "*count". Returns where the next one starts. */
static inline const char *octets_group(const char *text, uint8_t *octet, size_t *count)
{
    char pair[3] = { text[0], text[1], '\0' };
    char *end;
    *octet = (uint8_t)strtoul(pair, NULL, 16);
    *count = 1;
    text += 2;
    if (*text == '*') {
        *count = strtoul(text + 1, &end, 10);
        text = end;
    }
    return text + strspn(text, " ");
}

static inline struct octets octets_from(const char *text)
{
    uint8_t octet;
    size_t count, len = 0, at = 0;
    for (const char *t = text; *t != '\0'; len += count)
        t = octets_group(t, &octet, &count);
    struct octets o = { malloc(len > 0 ? len : 1), len };
    if (o.ptr == NULL)
        abort();
    for (const char *t = text; *t != '\0'; at += count) {
        t = octets_group(t, &octet, &count);
        memset(o.ptr + at, octet, count);
    }
    return o;
}

/* The first n of them, likewise on their own. */
static inline struct octets octets_prefix(struct octets from, size_t n)
{
    struct octets o = { malloc(n > 0 ? n : 1), n };
    if (o.ptr == NULL)
        abort();
    memcpy(o.ptr, from.ptr, n);
    return o;
}

static inline void octets_free(struct octets o)
{
    free(o.ptr);
}
