/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/filter/lex.c -- the words and signs of a display filter. */
#include "decoder/filter/parts.h"
#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int hex_digit(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool is_word(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '.' || c == ':' ||
           (unsigned char)c >= 0x80;
}

static char peek(const struct lexer *l, size_t ahead)
{
    return ahead < l->len - l->pos ? l->text[l->pos + ahead] : '\0';
}

static struct token token(const struct lexer *l, enum token_kind kind, size_t at)
{
    return (struct token){ .kind = (uint8_t)kind, .at = at, .len = l->pos - at };
}

static struct token bad(struct lexer *l, size_t at, size_t len, const char *message)
{
    filter_fail(l->error, at, len, "%s", message);
    return (struct token){ .kind = TOKEN_BAD, .at = at, .len = len };
}

/* --- quoted text --- */

static size_t put_code_point(uint8_t *out, uint32_t code)
{
    if (code < 0x80) {
        out[0] = (uint8_t)code;
        return 1;
    }
    size_t len = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = len - 1; i > 0; i--, code >>= 6)
        out[i] = (uint8_t)(0x80 | (code & 0x3f));
    out[0] = (uint8_t)((0xf00 >> len & 0xf0) | code);
    return len;
}

/* Hexadecimal or octal digits after a backslash; at least `least`, at most `most`. */
static bool read_digits(struct lexer *l, unsigned base, unsigned least, unsigned most, uint32_t *value)
{
    unsigned n = 0;
    *value = 0;
    for (; n < most; n++, l->pos++) {
        int digit = hex_digit(peek(l, 0));
        if (digit < 0 || (unsigned)digit >= base)
            break;
        *value = *value * base + (unsigned)digit;
    }
    return n >= least;
}

/* What stands behind a backslash. Returns the octets written, 0: no such escape. */
static size_t read_escape(struct lexer *l, uint8_t *out)
{
    static const char names[] = "abfnrtv\"'\\", octets[] = "\a\b\f\n\r\t\v\"'\\";
    char c = peek(l, 0);
    const char *name = c != '\0' ? strchr(names, c) : NULL;
    uint32_t code = 0;
    if (l->pos >= l->len)
        return 0;
    if (name != NULL) {
        l->pos++;
        out[0] = (uint8_t)octets[name - names];
        return 1;
    }
    if (c >= '0' && c <= '7') {
        if (!read_digits(l, 8, 1, 3, &code) || code > 0xff)
            return 0;
        out[0] = (uint8_t)code;
        return 1;
    }
    l->pos++;
    if (c == 'x' && read_digits(l, 16, 1, 2, &code)) {
        out[0] = (uint8_t)code;
        return 1;
    }
    bool wide = c == 'U';
    if ((c != 'u' && !wide) || !read_digits(l, 16, wide ? 8 : 4, wide ? 8 : 4, &code))
        return 0;
    return code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff) ? 0 : put_code_point(out, code);
}

/* Text up to the closing quote; l->pos stands behind the opening one. */
static struct token read_quoted(struct lexer *l, size_t at, char quote, bool raw, enum token_kind kind)
{
    uint8_t *out = arena_take(l->arena, l->len - l->pos + 4);
    size_t n = 0;
    if (out == NULL)
        return bad(l, at, 1, "the filter is too large");
    while (l->pos < l->len && l->text[l->pos] != quote) {
        char c = l->text[l->pos++];
        if (c != '\\') {
            out[n++] = (uint8_t)c;
            continue;
        }
        if (raw) { /* the backslash stays, and keeps a quote from ending the text */
            out[n++] = '\\';
            if (l->pos < l->len)
                out[n++] = (uint8_t)l->text[l->pos++];
            continue;
        }
        size_t escape = l->pos - 1, octets = read_escape(l, out + n);
        if (octets == 0)
            return bad(l, escape, l->len - escape < 2 ? l->len - escape : 2,
                       "not an escape sequence; in r\"...\" a backslash is a backslash");
        n += octets;
    }
    if (l->pos >= l->len)
        return bad(l, at, 1, "the closing quote is missing");
    l->pos++;
    arena_trim(l->arena, out, n);
    struct token t = token(l, kind, at);
    t.text = view_of(out, n);
    return t;
}

/* --- words --- */

struct keyword {
    const char *word;
    uint8_t kind, compare;
    bool quantified, all;
};

static const struct keyword keywords[] = {
    { "and", TOKEN_AND, 0, false, false },
    { "or", TOKEN_OR, 0, false, false },
    { "not", TOKEN_NOT, 0, false, false },
    { "any", TOKEN_ANY, 0, false, false },
    { "all", TOKEN_ALL, 0, false, false },
    { "in", TOKEN_IN, COMPARE_IN, false, false },
    { "eq", TOKEN_COMPARE, COMPARE_EQ, false, false },
    { "any_eq", TOKEN_COMPARE, COMPARE_EQ, true, false },
    { "all_eq", TOKEN_COMPARE, COMPARE_EQ, true, true },
    { "ne", TOKEN_COMPARE, COMPARE_NE, false, true },
    { "all_ne", TOKEN_COMPARE, COMPARE_NE, true, true },
    { "any_ne", TOKEN_COMPARE, COMPARE_NE, true, false },
    { "gt", TOKEN_COMPARE, COMPARE_GT, false, false },
    { "ge", TOKEN_COMPARE, COMPARE_GE, false, false },
    { "lt", TOKEN_COMPARE, COMPARE_LT, false, false },
    { "le", TOKEN_COMPARE, COMPARE_LE, false, false },
    { "contains", TOKEN_COMPARE, COMPARE_CONTAINS, false, false },
    { "matches", TOKEN_COMPARE, COMPARE_MATCHES, false, false },
    { "mqtt_match", TOKEN_COMPARE, COMPARE_TOPIC, false, false },
    { "bitwise_and", TOKEN_BITS, 0, false, false },
};

/* Longer signs first. */
static const struct keyword signs[] = {
    { "===", TOKEN_COMPARE, COMPARE_EQ, true, true },
    { "!==", TOKEN_COMPARE, COMPARE_NE, true, false },
    { "==", TOKEN_COMPARE, COMPARE_EQ, false, false },
    { "!=", TOKEN_COMPARE, COMPARE_NE, false, true },
    { "~=", TOKEN_COMPARE, COMPARE_NE, true, false },
    { ">=", TOKEN_COMPARE, COMPARE_GE, false, false },
    { "<=", TOKEN_COMPARE, COMPARE_LE, false, false },
    { "&&", TOKEN_AND, 0, false, false },
    { "||", TOKEN_OR, 0, false, false },
    { "..", TOKEN_RANGE, 0, false, false },
    { ">", TOKEN_COMPARE, COMPARE_GT, false, false },
    { "<", TOKEN_COMPARE, COMPARE_LT, false, false },
    { "~", TOKEN_COMPARE, COMPARE_MATCHES, false, false },
    { "!", TOKEN_NOT, 0, false, false },
    { "(", TOKEN_OPEN, 0, false, false },
    { ")", TOKEN_CLOSE, 0, false, false },
    { "{", TOKEN_BRACE, 0, false, false },
    { "}", TOKEN_UNBRACE, 0, false, false },
    { ",", TOKEN_COMMA, 0, false, false },
    { "+", TOKEN_PLUS, 0, false, false },
    { "-", TOKEN_MINUS, 0, false, false },
    { "*", TOKEN_STAR, 0, false, false },
    { "/", TOKEN_SLASH, 0, false, false },
    { "%", TOKEN_PERCENT, 0, false, false },
    { "&", TOKEN_BITS, 0, false, false },
};

static struct token from_keyword(const struct lexer *l, const struct keyword *k, size_t at)
{
    struct token t = token(l, k->kind, at);
    t.compare = k->compare;
    t.quantified = k->quantified;
    t.all = k->all;
    return t;
}

/* Does the word so far look like an address in front of /BITS? */
static bool is_network(const struct lexer *l, size_t at)
{
    bool sign = false;
    for (size_t i = at; i < l->pos; i++) {
        if (l->text[i] == '.' || l->text[i] == ':')
            sign = true;
        else if (hex_digit(l->text[i]) < 0)
            return false;
    }
    return sign && peek(l, 0) == '/' && is_digit(peek(l, 1));
}

static struct token read_word(struct lexer *l)
{
    size_t at = l->pos;
    while (l->pos < l->len && (is_word(peek(l, 0)) || peek(l, 0) == '-')) {
        if (peek(l, 0) == '.' && peek(l, 1) == '.')
            break;
        l->pos++;
    }
    if (is_network(l, at))
        for (l->pos++; is_digit(peek(l, 0));)
            l->pos++;
    size_t len = l->pos - at;
    for (size_t k = 0; k < sizeof keywords / sizeof keywords[0]; k++)
        if (strlen(keywords[k].word) == len && memcmp(keywords[k].word, l->text + at, len) == 0)
            return from_keyword(l, &keywords[k], at);
    struct token t = token(l, TOKEN_WORD, at);
    uint8_t *copy = arena_take(l->arena, len);
    if (copy == NULL)
        return bad(l, at, len, "the filter is too large");
    memcpy(copy, l->text + at, len);
    t.text = view_of(copy, len);
    return t;
}

static struct token read_slice(struct lexer *l)
{
    size_t at = l->pos++;
    while (l->pos < l->len && l->text[l->pos] != ']')
        l->pos++;
    if (l->pos >= l->len)
        return bad(l, at, 1, "the closing bracket is missing");
    l->pos++;
    struct token t = token(l, TOKEN_SLICE, at);
    t.text = view_of(l->text + at + 1, l->pos - at - 2);
    return t;
}

/* "!in" and "! in" are "not in"; "not in" likewise: the parser never sees a NOT between an operand and IN. */
static struct token join_not_in(struct lexer *l, struct token not )
{
    struct lexer ahead = *l;
    while (peek(&ahead, 0) == ' ' || peek(&ahead, 0) == '\t')
        ahead.pos++;
    if (peek(&ahead, 0) != 'i' || peek(&ahead, 1) != 'n' || is_word(peek(&ahead, 2)) || peek(&ahead, 2) == '-')
        return not ;
    l->pos = ahead.pos + 2;
    struct token t = token(l, TOKEN_NOT_IN, not .at);
    t.compare = COMPARE_IN;
    return t;
}

static struct token read_sign(struct lexer *l)
{
    size_t at = l->pos;
    for (size_t k = 0; k < sizeof signs / sizeof signs[0]; k++) {
        size_t len = strlen(signs[k].word);
        if (len <= l->len - at && memcmp(signs[k].word, l->text + at, len) == 0) {
            l->pos += len;
            return from_keyword(l, &signs[k], at);
        }
    }
    return bad(l, at, 1,
               l->text[at] == '=' ? "\"=\" is not a comparison; equal is \"==\""
                                  : "this sign has no meaning here; text goes in quotes");
}

struct token lex_next(struct lexer *l)
{
    while (l->pos < l->len && strchr(" \t\r\n", l->text[l->pos]) != NULL && l->text[l->pos] != '\0')
        l->pos++;
    size_t at = l->pos;
    char c = peek(l, 0);
    if (at >= l->len)
        return token(l, TOKEN_END, at);
    if (c == '"' || c == '\'') {
        l->pos++;
        return read_quoted(l, at, c, false, c == '"' ? TOKEN_STRING : TOKEN_CHAR);
    }
    if ((c == 'r' || c == 'R') && peek(l, 1) == '"') {
        l->pos += 2;
        return read_quoted(l, at, '"', true, TOKEN_STRING);
    }
    if (c == '[')
        return read_slice(l);
    struct token t = is_word(c) && !(c == '.' && peek(l, 1) == '.') ? read_word(l) : read_sign(l);
    return t.kind == TOKEN_NOT ? join_not_in(l, t) : t;
}
