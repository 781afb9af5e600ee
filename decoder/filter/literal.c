/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/filter/literal.c -- words and strings as values of a type: numbers, truth, times, addresses, networks,
 * octets. */
#include "decoder/filter/parts.h"
#include <string.h>

#include <arpa/inet.h>

enum { WORD_MAX = 64 };

/* The word as a C string. False: too long for what any number or address needs. */
static bool copy_word(struct view word, char out[WORD_MAX])
{
    if (word.len >= WORD_MAX || memchr(word.ptr, '\0', word.len) != NULL)
        return false;
    memcpy(out, word.ptr, word.len);
    out[word.len] = '\0';
    return true;
}

static bool fail_literal(const struct operand *o, struct filter_error *error, const char *wanted)
{
    return filter_fail(error, o->at, o->len, "this is not %s", wanted);
}

/* --- numbers --- */

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : 99;
}

/* Decimal, 0x hexadecimal, 0b binary, 0 octal. Anything behind the digits, or more than 63 bits, is no number. */
static bool read_integer(const char *word, int64_t *number)
{
    unsigned base = 10;
    if (word[0] == '0' && (word[1] == 'x' || word[1] == 'X'))
        base = 16;
    else if (word[0] == '0' && (word[1] == 'b' || word[1] == 'B'))
        base = 2;
    else if (word[0] == '0' && word[1] != '\0')
        base = 8;
    const char *c = word + (base == 16 || base == 2 ? 2 : 0);
    uint64_t value = 0;
    if (*c == '\0')
        return false;
    for (; *c != '\0'; c++) {
        unsigned digit = (unsigned)digit_of(*c);
        if (digit >= base || value > ((uint64_t)INT64_MAX - digit) / base)
            return false;
        value = value * base + digit;
    }
    *number = (int64_t)value;
    return true;
}

static bool to_number(struct operand *o, int field, struct filter_error *error)
{
    char word[WORD_MAX];
    if (o->token == TOKEN_CHAR) {
        if (o->literal.text.len != 1)
            return fail_literal(o, error, "a single character");
        o->literal.number = o->literal.text.ptr[0];
        return true;
    }
    if (o->token == TOKEN_WORD && copy_word(o->literal.text, word) && read_integer(word, &o->literal.number))
        return true;
    if (name_value(field, o->literal.text, &o->literal.number))
        return true;
    return filter_fail(error, o->at, o->len,
                       o->token == TOKEN_STRING ? "this is not a number%s; numbers stand without quotes"
                                                : "this is not a number%s",
                       field >= 0 ? " nor the name of a value of this field" : "");
}

static bool same_word(struct view word, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < len && word.len == len; i++)
        if ((word.ptr[i] | 0x20) != (name[i] | 0x20))
            return false;
    return word.len == len;
}

static bool to_bool(struct operand *o, struct filter_error *error)
{
    char word[WORD_MAX];
    bool yes = same_word(o->literal.text, "true") || same_word(o->literal.text, "set");
    if (yes || same_word(o->literal.text, "false") || same_word(o->literal.text, "not set")) {
        o->literal.number = yes;
        return true;
    }
    if (o->token != TOKEN_WORD || !copy_word(o->literal.text, word) || !read_integer(word, &o->literal.number))
        return fail_literal(o, error, "true or false (1 or 0)");
    o->literal.number = o->literal.number != 0;
    return true;
}

/* --- times --- */

static bool read_digits(const char **c, unsigned least, unsigned most, int64_t *value)
{
    unsigned n = 0;
    for (*value = 0; n < most && **c >= '0' && **c <= '9'; n++, (*c)++)
        *value = *value * 10 + (**c - '0');
    return n >= least;
}

/* .123456789 as ns; none is 0 */
static bool read_fraction(const char **c, int64_t *ns)
{
    int64_t unit = 100000000;
    *ns = 0;
    if (**c != '.')
        return true;
    for ((*c)++; **c >= '0' && **c <= '9'; (*c)++, unit /= 10)
        *ns += unit * (**c - '0');
    return true;
}

/* Days since 1970-01-01 of a date of the Gregorian calendar. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    int64_t y = month <= 2 ? year - 1 : year, m = month <= 2 ? month + 9 : month - 3;
    return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

static bool read_month(const char **c, int64_t *month)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    for (unsigned i = 0; i < 12; i++)
        if (strncmp(*c, names + (size_t)3 * i, 3) == 0) {
            *c += 3;
            *month = i + 1;
            return true;
        }
    return false;
}

/* 2024-03-01 or "Mar 1, 2024" */
static bool read_date(const char **c, int64_t *days)
{
    int64_t year, month, day;
    if (read_month(c, &month)) {
        if (*(*c)++ != ' ' || !read_digits(c, 1, 2, &day) || *(*c)++ != ',' || *(*c)++ != ' ' ||
            !read_digits(c, 4, 4, &year))
            return false;
    } else if (!read_digits(c, 4, 4, &year) || *(*c)++ != '-' || !read_digits(c, 2, 2, &month) || *(*c)++ != '-' ||
               !read_digits(c, 2, 2, &day)) {
        return false;
    }
    *days = days_of(year, month, day);
    return month >= 1 && month <= 12 && day >= 1 && day <= 31 && year >= 1970 && year < 2262;
}

/* 12:34[:56[.789]][Z]; nothing is midnight */
static bool read_clock(const char **c, int64_t *ns)
{
    int64_t hour = 0, minute = 0, second = 0, fraction = 0;
    if (**c == ' ' || **c == 'T') {
        (*c)++;
        if (!read_digits(c, 2, 2, &hour) || *(*c)++ != ':' || !read_digits(c, 2, 2, &minute))
            return false;
        if (**c == ':') {
            (*c)++;
            if (!read_digits(c, 2, 2, &second) || !read_fraction(c, &fraction))
                return false;
        }
        if (**c == 'Z')
            (*c)++;
        else if (strcmp(*c, " UTC") == 0)
            *c += 4;
    }
    *ns = ((hour * 60 + minute) * 60 + second) * 1000000000 + fraction;
    return **c == '\0' && hour < 24 && minute < 60 && second < 61;
}

/* 1.5  20ms  300us  7ns  2s */
static bool read_seconds(const char *c, int64_t *ns)
{
    int64_t seconds, fraction;
    if (!read_digits(&c, *c == '.' ? 0 : 1, 10, &seconds) || !read_fraction(&c, &fraction) || seconds > 9000000000)
        return false;
    *ns = seconds * 1000000000 + fraction;
    int64_t divide = strcmp(c, "ms") == 0   ? 1000
                     : strcmp(c, "us") == 0 ? 1000000
                     : strcmp(c, "ns") == 0 ? 1000000000
                                            : 1;
    *ns /= divide;
    return *c == '\0' || divide > 1 || strcmp(c, "s") == 0;
}

static bool to_time(struct operand *o, struct filter_error *error)
{
    char word[WORD_MAX];
    const char *c = word;
    int64_t days, clock;
    if (!copy_word(o->literal.text, word))
        return fail_literal(o, error, "a time");
    if (o->token == TOKEN_WORD && read_seconds(word, &o->literal.number))
        return true;
    if (read_date(&c, &days) && read_clock(&c, &clock)) {
        o->literal.number = days * 86400 * 1000000000 + clock;
        return true;
    }
    return fail_literal(o, error, "a time: seconds (1.5, 20ms) or a date in UTC (\"2024-03-01 12:00:00\")");
}

/* --- addresses and octets --- */

static bool to_address(struct operand *o, unsigned type, struct arena *arena, struct filter_error *error)
{
    char word[WORD_MAX];
    unsigned size = type == FIELD_IPV4 ? 4 : 16;
    int64_t bits = (int64_t)size * 8;
    const char *wanted = type == FIELD_IPV4 ? "an IPv4 address or network (10.0.0.1, 10.0.0.0/8)"
                                            : "an IPv6 address or network (fe80::1, fe80::/10)";
    if (o->token != TOKEN_WORD || !copy_word(o->literal.text, word))
        return fail_literal(o, error, wanted);
    char *slash = strchr(word, '/');
    if (slash != NULL) {
        *slash = '\0';
        if (!read_integer(slash + 1, &bits) || bits > (int64_t)size * 8)
            return fail_literal(o, error, wanted);
        o->literal.bits = (uint8_t)(bits + 1);
    }
    uint8_t *octets = arena_take(arena, size);
    if (octets == NULL)
        return filter_fail(error, o->at, o->len, "the filter is too large");
    o->literal.text = view_of(octets, size);
    if (inet_pton(type == FIELD_IPV4 ? AF_INET : AF_INET6, word, octets) != 1)
        return fail_literal(o, error, wanted);
    return true;
}

/* aa:bb:cc, aa-bb, aa.bb, aabb, 0xaabb, one digit */
static bool to_octets(struct operand *o, struct arena *arena, struct filter_error *error)
{
    struct view in = o->literal.text;
    const char *wanted = "octets (aa:bb:cc) or text in quotes";
    if (o->token != TOKEN_WORD)
        return true;
    uint8_t *out = arena_take(arena, in.len + 1);
    size_t n = 0, i = in.len > 2 && in.ptr[0] == '0' && (in.ptr[1] | 0x20) == 'x' ? 2 : 0;
    if (out == NULL)
        return filter_fail(error, o->at, o->len, "the filter is too large");
    bool single = in.len == 1;
    while (i < in.len) {
        unsigned high = (unsigned)digit_of((char)in.ptr[i]), low = single ? high : 99;
        if (!single && i + 1 < in.len)
            low = (unsigned)digit_of((char)in.ptr[i + 1]);
        if (high > 15 || low > 15)
            return fail_literal(o, error, wanted);
        out[n++] = single ? (uint8_t)high : (uint8_t)(high << 4 | low);
        i += 2;
        if (i + 1 < in.len && strchr(":-.", in.ptr[i]) != NULL)
            i++;
    }
    o->literal.text = view_of(out, n);
    return true;
}

bool literal_convert(struct operand *o, unsigned type, int field, struct arena *arena, struct filter_error *error)
{
    bool ok = true;
    switch (type) {
    case FIELD_UINT:
        ok = to_number(o, field, error);
        break;
    case FIELD_BOOL:
        ok = to_bool(o, error);
        break;
    case FIELD_TIME:
        ok = to_time(o, error);
        break;
    case FIELD_IPV4:
    case FIELD_IPV6:
        ok = to_address(o, type, arena, error);
        break;
    case FIELD_BYTES:
        ok = to_octets(o, arena, error);
        break;
    case FIELD_STRING:
    case FIELD_TEXT:
        o->literal.ranked = name_rank(field, o->literal.text, &o->literal.number);
        break;
    default:
        ok = fail_literal(o, error, "a field");
        break;
    }
    o->plain = false;
    o->type = o->literal.type = (uint8_t)type;
    return ok;
}
