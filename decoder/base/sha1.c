/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/base/sha1.c -- SHA-1, FIPS 180-4 section 6.1. */
#include "decoder/base/sha1.h"
#include <string.h>

enum { BLOCK = 64 };

static uint32_t rotate(uint32_t x, unsigned n)
{
    return x << n | x >> (32 - n);
}

static uint32_t round_function(unsigned t, uint32_t b, uint32_t c, uint32_t d)
{
    if (t < 20)
        return ((b & c) | (~b & d)) + 0x5a827999u;
    if (t < 40)
        return (b ^ c ^ d) + 0x6ed9eba1u;
    if (t < 60)
        return ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdcu;
    return (b ^ c ^ d) + 0xca62c1d6u;
}

static void add_block(uint32_t state[5], const uint8_t block[BLOCK])
{
    uint32_t w[80];
    struct cursor in = cur_over(block, BLOCK);
    for (unsigned t = 0; t < 16; t++)
        w[t] = cur_u32(&in);
    for (unsigned t = 16; t < 80; t++)
        w[t] = rotate(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
    for (unsigned t = 0; t < 80; t++) {
        uint32_t next = rotate(a, 5) + round_function(t, b, c, d) + e + w[t];
        e = d;
        d = c;
        c = rotate(b, 30);
        b = a;
        a = next;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
}

void sha1(struct view message, uint8_t digest[SHA1_OCTETS])
{
    uint32_t state[5] = { 0x67452301u, 0xefcdab89u, 0x98badcfeu, 0x10325476u, 0xc3d2e1f0u };
    uint8_t last[2 * BLOCK] = { 0 };
    size_t whole = message.len / BLOCK * BLOCK, rest = message.len - whole;
    for (size_t at = 0; at < whole; at += BLOCK)
        add_block(state, message.ptr + at);
    if (rest > 0)
        memcpy(last, message.ptr + whole, rest);
    last[rest] = 0x80;
    size_t padded = rest + 9 <= BLOCK ? BLOCK : 2 * BLOCK;
    uint64_t bits = (uint64_t)message.len * 8;
    for (unsigned i = 0; i < 8; i++)
        last[padded - 1 - i] = (uint8_t)(bits >> (8 * i));
    for (size_t at = 0; at < padded; at += BLOCK)
        add_block(state, last + at);
    for (unsigned i = 0; i < SHA1_OCTETS; i++)
        digest[i] = (uint8_t)(state[i / 4] >> (24 - 8 * (i % 4)));
}
