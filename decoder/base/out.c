/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/base/out.c -- the buffer, numbers, octets as hex and base64. */
#include "decoder/base/out.h"
#include "decoder/base/base64.h"

void out_octets_slow(struct out *o, const void *octets, size_t len)
{
    const char *from = octets;
    while (len > 0) {
        if (o->len == o->cap && o->drain != NULL)
            o->drain(o);
        size_t room = o->cap - o->len, n = len < room ? len : room;
        if (n == 0) {
            o->lost += len;
            return;
        }
        memcpy(o->at + o->len, from, n);
        o->len += n;
        from += n;
        len -= n;
    }
}

void out_fill(struct out *o, char c, size_t n)
{
    while (n-- > 0)
        out_char(o, c);
}

static const char two_digits[] =
    "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243"
    "4445464748495051525354555657585960616263646566676869707172737475767778798081828384858687"
    "888990919293949596979899";

enum { UINT_DIGITS = 20 };

/* Decimal digits to the end of text[UINT_DIGITS]; returns where they start. */
static size_t digits_of(uint64_t number, char text[UINT_DIGITS])
{
    size_t at = UINT_DIGITS;
    while (number >= 100) {
        at -= 2;
        memcpy(text + at, two_digits + number % 100 * 2, 2);
        number /= 100;
    }
    if (number >= 10) {
        at -= 2;
        memcpy(text + at, two_digits + number * 2, 2);
    } else {
        text[--at] = (char)('0' + number);
    }
    return at;
}

void out_uint(struct out *o, uint64_t number)
{
    char text[UINT_DIGITS];
    size_t at = digits_of(number, text);
    out_octets(o, text + at, UINT_DIGITS - at);
}

void out_uint_wide(struct out *o, uint64_t number, unsigned digits)
{
    char text[UINT_DIGITS];
    size_t at = digits_of(number, text);
    if (digits > UINT_DIGITS - at)
        out_fill(o, '0', digits - (UINT_DIGITS - at));
    out_octets(o, text + at, UINT_DIGITS - at);
}

static const char hex_digits[] = "0123456789abcdef";

void out_hex_uint(struct out *o, uint64_t number, unsigned digits)
{
    char text[16];
    size_t at = sizeof text;
    do {
        text[--at] = hex_digits[number & 15];
        number >>= 4;
    } while (at > 0 && (number > 0 || sizeof text - at < digits));
    out_text(o, "0x");
    out_octets(o, text + at, sizeof text - at);
}

void out_seconds(struct out *o, int64_t ns, unsigned digits)
{
    static const uint32_t scale[] = { 1000000000, 100000000, 10000000, 1000000, 100000, 10000, 1000, 100, 10, 1 };
    uint64_t size = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
    unsigned behind = digits <= 9 ? digits : 9;
    if (ns < 0)
        out_char(o, '-');
    out_uint(o, size / 1000000000);
    if (behind == 0)
        return;
    out_char(o, '.');
    out_uint_wide(o, size % 1000000000 / scale[behind], behind);
}

void out_hex(struct out *o, struct view octets, char between)
{
    for (size_t i = 0; i < octets.len; i++) {
        char text[3] = { between, hex_digits[octets.ptr[i] >> 4], hex_digits[octets.ptr[i] & 15] };
        bool joined = between == '\0' || i == 0;
        out_octets(o, text + joined, sizeof text - joined);
    }
}

void out_base64(struct out *o, struct view octets)
{
    enum { PIECE = 48 }; /* a multiple of three, so that only the last piece is padded */
    char text[PIECE / 3 * 4];
    for (size_t at = 0; at < octets.len; at += PIECE) {
        size_t n = octets.len - at < PIECE ? octets.len - at : PIECE;
        out_octets(o, text, base64_write(view_of(octets.ptr + at, n), text));
    }
}

static void ipv4(struct out *o, const uint8_t *octets)
{
    for (unsigned i = 0; i < 4; i++) {
        if (i > 0)
            out_char(o, '.');
        out_uint(o, octets[i]);
    }
}

/* RFC 5952: the longest run of two or more zero groups, the first of equals, becomes "::". */
static void ipv6(struct out *o, const uint8_t *octets)
{
    unsigned group[8], run_at = 8, run_len = 1, len = 0;
    for (unsigned i = 0; i < 8; i++) {
        group[i] = (unsigned)octets[2 * i] << 8 | octets[2 * i + 1];
        len = group[i] == 0 ? len + 1 : 0;
        if (len > run_len) {
            run_len = len;
            run_at = i + 1 - len;
        }
    }
    for (unsigned i = 0; i < 8; i++) {
        if (i == run_at) {
            out_text(o, "::");
            i += run_len - 1;
            continue;
        }
        if (i > 0 && i != run_at + run_len)
            out_char(o, ':');
        char text[4];
        size_t at = sizeof text;
        for (unsigned g = group[i]; at == sizeof text || g > 0; g >>= 4)
            text[--at] = hex_digits[g & 15];
        out_octets(o, text + at, sizeof text - at);
    }
}

void out_ip(struct out *o, struct view address)
{
    static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
    if (address.len == 4) {
        ipv4(o, address.ptr);
    } else if (address.len == 16 && memcmp(address.ptr, mapped, sizeof mapped) == 0) {
        out_text(o, "::ffff:");
        ipv4(o, address.ptr + 12);
    } else if (address.len == 16) {
        ipv6(o, address.ptr);
    }
}
