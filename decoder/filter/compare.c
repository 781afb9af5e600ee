/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/filter/compare.c -- equal, less, contains: octet by octet, with letter case folded on the fly where asked. */
#include "decoder/filter/parts.h"
#include <string.h>

static uint8_t fold_octet(uint8_t octet, unsigned fold)
{
    if (fold == FOLD_LOWER && octet >= 'A' && octet <= 'Z')
        return (uint8_t)(octet + 32);
    if (fold == FOLD_UPPER && octet >= 'a' && octet <= 'z')
        return (uint8_t)(octet - 32);
    return octet;
}

void value_write_folded(const struct value *v, size_t from, size_t n, uint8_t *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = fold_octet(v->text.ptr[from + i], v->fold);
}

/* The first n octets of both; n fits both. */
static int order_octets(const struct value *a, const struct value *b, size_t n)
{
    if (a->fold == FOLD_NONE && b->fold == FOLD_NONE)
        return n > 0 ? memcmp(a->text.ptr, b->text.ptr, n) : 0;
    for (size_t i = 0; i < n; i++) {
        int difference = fold_octet(a->text.ptr[i], a->fold) - fold_octet(b->text.ptr[i], b->fold);
        if (difference != 0)
            return difference;
    }
    return 0;
}

static bool is_number(const struct value *v)
{
    return v->type == FIELD_UINT || v->type == FIELD_BOOL || v->type == FIELD_TIME;
}

static int order_numbers(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

/* An address against a network: 0 when inside, else the order of the part that the network fixes. */
static int order_network(const struct value *a, const struct value *network)
{
    unsigned bits = (unsigned)network->bits - 1, whole = bits / 8, rest = bits % 8;
    int order = order_octets(a, network, whole);
    if (order != 0 || rest == 0)
        return order;
    unsigned mask = 0xff00u >> rest & 0xffu;
    return (int)(a->text.ptr[whole] & mask) - (int)(network->text.ptr[whole] & mask);
}

int value_order(const struct value *a, const struct value *b)
{
    int64_t rank;
    if (is_number(a))
        return order_numbers(a->number, b->number);
    if (b->ranked && name_rank(FIELD_VIOLATION_SEVERITY, a->text, &rank))
        return order_numbers(rank, b->number);
    if (b->bits != 0 && a->text.len == b->text.len)
        return order_network(a, b);
    size_t n = a->text.len < b->text.len ? a->text.len : b->text.len;
    int order = order_octets(a, b, n);
    return order != 0 ? order : (a->text.len > b->text.len) - (a->text.len < b->text.len);
}

bool value_equal(const struct value *a, const struct value *b)
{
    if (!is_number(a) && b->bits == 0 && a->text.len != b->text.len && !b->ranked)
        return false;
    return value_order(a, b) == 0;
}

/* Linear for what the wire brings: the search looks for the first octet and compares a part of at most FILTER_TEXT_MAX.
 */
bool value_contains(const struct value *whole, const struct value *part)
{
    size_t n = part->text.len;
    if (n == 0)
        return true;
    if (n > whole->text.len)
        return false;
    bool plain = whole->fold == FOLD_NONE && part->fold == FOLD_NONE;
    for (size_t at = 0; at + n <= whole->text.len; at++) {
        struct value here = *whole;
        if (plain) {
            const uint8_t *found = memchr(whole->text.ptr + at, part->text.ptr[0], whole->text.len - n - at + 1);
            if (found == NULL)
                return false;
            at = (size_t)(found - whole->text.ptr);
        }
        here.text = view_of(whole->text.ptr + at, n);
        if (order_octets(&here, part, n) == 0)
            return true;
    }
    return false;
}
