/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/base/siphash.c -- SipHash-2-4. */
#include "decoder/base/siphash.h"
#include <string.h>

struct state {
    uint64_t v[4];
};

static uint64_t rotate(uint64_t x, unsigned n)
{
    return x << n | x >> (64 - n);
}

static uint64_t read_word(const uint8_t *octets, size_t len) /* little-endian, len <= 8 */
{
    uint64_t word = 0;
    for (size_t i = 0; i < len; i++)
        word |= (uint64_t)octets[i] << (8 * i);
    return word;
}

static void rounds(struct state *s, unsigned n)
{
    uint64_t *v = s->v;
    for (; n > 0; n--) {
        v[0] += v[1];
        v[2] += v[3];
        v[1] = rotate(v[1], 13) ^ v[0];
        v[3] = rotate(v[3], 16) ^ v[2];
        v[0] = rotate(v[0], 32);
        v[2] += v[1];
        v[0] += v[3];
        v[1] = rotate(v[1], 17) ^ v[2];
        v[3] = rotate(v[3], 21) ^ v[0];
        v[2] = rotate(v[2], 32);
    }
}

static void add_word(struct state *s, uint64_t word)
{
    s->v[3] ^= word;
    rounds(s, 2);
    s->v[0] ^= word;
}

uint64_t siphash(const uint8_t key[SIPHASH_KEY], struct view message)
{
    uint64_t k0 = read_word(key, 8), k1 = read_word(key + 8, 8);
    struct state s = { { k0 ^ 0x736f6d6570736575u, k1 ^ 0x646f72616e646f6du, k0 ^ 0x6c7967656e657261u,
                         k1 ^ 0x7465646279746573u } };
    size_t whole = message.len / 8 * 8;
    for (size_t at = 0; at < whole; at += 8)
        add_word(&s, read_word(message.ptr + at, 8));
    uint64_t last = (uint64_t)message.len << 56;
    if (message.len > whole)
        last |= read_word(message.ptr + whole, message.len - whole);
    add_word(&s, last);
    s.v[2] ^= 0xff;
    rounds(&s, 4);
    return s.v[0] ^ s.v[1] ^ s.v[2] ^ s.v[3];
}
