/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/engine/output.h"

#include <string.h>

/* RFC 3629, section 4: the octets that may follow a lead octet. 0: ill-formed here. */
static size_t character(const uint8_t *p, size_t n)
{
    uint8_t lead = p[0];
    if (lead < 0x80)
        return 1;
    size_t len = lead >= 0xc2 && lead <= 0xdf ? 2 : (lead & 0xf0) == 0xe0 ? 3 : lead >= 0xf0 && lead <= 0xf4 ? 4 : 0;
    if (len == 0 || len > n)
        return 0;
    uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return len;
}

bool output_is_text(struct view text, const char *allowed)
{
    for (size_t i = 0; i < text.len;) {
        size_t len = character(text.ptr + i, text.len - i);
        uint8_t first = text.ptr[i];
        bool control = first < 0x20 || first == 0x7f || (first == 0xc2 && len == 2 && text.ptr[i + 1] < 0xa0);
        if (len == 0 || (control && (first == 0 || strchr(allowed, first) == NULL)))
            return false;
        i += len;
    }
    return true;
}

/* ---- JSON, without recursion ---- */

enum { DEPTH_MAX = 64 };

struct json {
    const uint8_t *at, *end;
};

static bool take(struct json *j, char c)
{
    if (j->at == j->end || *j->at != (uint8_t)c)
        return false;
    j->at++;
    return true;
}

static bool take_word(struct json *j, const char *word)
{
    size_t len = strlen(word);
    if ((size_t)(j->end - j->at) < len || memcmp(j->at, word, len) != 0)
        return false;
    j->at += len;
    return true;
}

static void take_blanks(struct json *j)
{
    while (j->at < j->end && *j->at == ' ')
        j->at++;
}

static bool is_hex(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool take_string(struct json *j)
{
    if (!take(j, '"'))
        return false;
    while (j->at < j->end && *j->at != '"') {
        if (*j->at < 0x20)
            return false;
        if (*j->at++ != '\\')
            continue;
        if (j->at == j->end)
            return false;
        if (*j->at == 'u') {
            for (int i = 1; i <= 4; i++)
                if (j->end - j->at <= i || !is_hex(j->at[i]))
                    return false;
            j->at += 5;
        } else if (strchr("\"\\/bfnrt", *j->at++) == NULL) {
            return false;
        }
    }
    return take(j, '"');
}

static size_t take_digits(struct json *j)
{
    const uint8_t *start = j->at;
    while (j->at < j->end && *j->at >= '0' && *j->at <= '9')
        j->at++;
    return (size_t)(j->at - start);
}

static bool take_number(struct json *j)
{
    take(j, '-');
    bool zero = j->at < j->end && *j->at == '0';
    size_t digits = take_digits(j);
    if (digits == 0 || (zero && digits > 1))
        return false;
    if (take(j, '.') && take_digits(j) == 0)
        return false;
    if (take(j, 'e') || take(j, 'E')) {
        if (!take(j, '+'))
            take(j, '-');
        return take_digits(j) > 0;
    }
    return true;
}

static bool take_plain(struct json *j)
{
    if (j->at == j->end)
        return false;
    if (*j->at == '"')
        return take_string(j);
    return take_word(j, "true") || take_word(j, "false") || take_word(j, "null") || take_number(j);
}

/* What stands before a value inside: a name and a colon in an object, nothing in an array. */
static bool take_name(struct json *j, char open)
{
    take_blanks(j);
    if (open == '[')
        return true;
    if (!take_string(j))
        return false;
    take_blanks(j);
    bool colon = take(j, ':');
    take_blanks(j);
    return colon;
}

static bool take_value(struct json *j)
{
    char open[DEPTH_MAX];
    size_t depth = 0;
    for (;;) {
        if (j->at < j->end && (*j->at == '{' || *j->at == '[')) {
            if (depth == DEPTH_MAX)
                return false;
            open[depth++] = (char)*j->at++;
            take_blanks(j);
            if (!take(j, open[depth - 1] == '{' ? '}' : ']')) {
                if (!take_name(j, open[depth - 1]))
                    return false;
                continue;
            }
            depth--;
        } else if (!take_plain(j)) {
            return false;
        }
        for (;;) { /* behind a value */
            take_blanks(j);
            if (depth == 0)
                return true;
            if (take(j, ',')) {
                if (!take_name(j, open[depth - 1]))
                    return false;
                break;
            }
            if (!take(j, open[depth - 1] == '{' ? '}' : ']'))
                return false;
            depth--;
        }
    }
}

bool output_is_json_lines(struct view text)
{
    struct json j = { text.ptr, text.ptr + text.len };
    while (j.at < j.end)
        if (*j.at != '{' || !take_value(&j) || !take(&j, '\n'))
            return false;
    return true;
}
