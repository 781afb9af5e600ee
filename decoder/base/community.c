/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/base/community.c -- Community ID. */
#include "decoder/base/community.h"
#include "decoder/base/base64.h"
#include "decoder/base/sha1.h"
#include <string.h>

enum { ADDRESS_MAX = 16, TCP = 6 };

static size_t put_u16(uint8_t *out, size_t at, uint16_t value)
{
    out[at] = (uint8_t)(value >> 8);
    out[at + 1] = (uint8_t)value;
    return at + 2;
}

static size_t put(uint8_t *out, size_t at, const uint8_t *octets, size_t len)
{
    memcpy(out + at, octets, len);
    return at + len;
}

void community_tcp(const uint8_t *src, const uint8_t *dst, size_t address_len, uint16_t src_port, uint16_t dst_port,
                   uint16_t seed, char out[COMMUNITY_SIZE])
{
    uint8_t message[2 + 2 * ADDRESS_MAX + 2 + 4], digest[SHA1_OCTETS];
    size_t len = address_len <= ADDRESS_MAX ? address_len : ADDRESS_MAX;
    int order = memcmp(src, dst, len);
    bool swap = order > 0 || (order == 0 && src_port > dst_port);
    size_t at = put_u16(message, 0, seed);
    at = put(message, at, swap ? dst : src, len);
    at = put(message, at, swap ? src : dst, len);
    message[at++] = TCP;
    message[at++] = 0;
    at = put_u16(message, at, swap ? dst_port : src_port);
    at = put_u16(message, at, swap ? src_port : dst_port);
    sha1(view_of(message, at), digest);
    out[0] = '1';
    out[1] = ':';
    out[2 + base64_write(view_of(digest, sizeof digest), out + 2)] = '\0';
}
