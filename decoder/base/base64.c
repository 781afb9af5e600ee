/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/base/base64.c -- Base 64. */
#include "decoder/base/base64.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t base64_write(struct view octets, char *out)
{
    size_t n = 0;
    for (size_t at = 0; at < octets.len; at += 3) {
        size_t left = octets.len - at;
        uint32_t group = (uint32_t)octets.ptr[at] << 16;
        if (left > 1)
            group |= (uint32_t)octets.ptr[at + 1] << 8;
        if (left > 2)
            group |= octets.ptr[at + 2];
        out[n++] = digits[group >> 18];
        out[n++] = digits[group >> 12 & 63];
        out[n++] = left > 1 ? digits[group >> 6 & 63] : '=';
        out[n++] = left > 2 ? digits[group & 63] : '=';
    }
    return n;
}
