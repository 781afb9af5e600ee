/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/base/out_text.c -- text of the wire, for a terminal and for JSON. */
#include "decoder/base/out.h"
#include "decoder/base/utf8.h"

/* Code points above ASCII that steer a terminal or deceive its reader: C1 controls, marks and overrides of direction,
 * invisible characters, line separators, interlinear marks, tags and non-characters. */
bool out_steers(uint32_t code)
{
    if (code < 0xa0)
        return code < 0x20 || code >= 0x7f;
    if (code == 0xad || code == 0x61c || code == 0x180e || code == 0xfeff)
        return true;
    if (code >= 0x200b && code <= 0x206f)
        return code <= 0x200f || (code >= 0x2028 && code <= 0x202e) || code >= 0x2060;
    if (code >= 0xfdd0 && code <= 0xffff)
        return code <= 0xfdef || (code >= 0xfff9 && code <= 0xfffb) || code >= 0xfffe;
    return (code >= 0xe0000 && code <= 0xe007f) || (code & 0xfffe) == 0xfffe;
}

static char hex_digit(unsigned n)
{
    return "0123456789abcdef"[n & 15];
}

static void escaped_octet(struct out *o, uint8_t octet)
{
    const char text[] = { '\\', 'x', hex_digit(octet >> 4), hex_digit(octet) };
    out_octets(o, text, sizeof text);
}

static void escaped_ascii(struct out *o, uint8_t octet)
{
    static const char short_forms[][3] = { ['\n'] = "\\n", ['\r'] = "\\r", ['\t'] = "\\t", ['\\'] = "\\\\" };
    if (octet < sizeof short_forms / sizeof short_forms[0] && short_forms[octet][0] != '\0')
        out_octets(o, short_forms[octet], 2);
    else
        escaped_octet(o, octet);
}

static void escaped_code(struct out *o, uint32_t code)
{
    unsigned shift = 12;
    while (code >> shift > 15)
        shift += 4;
    out_text(o, "\\u{");
    for (;; shift -= 4) {
        out_char(o, hex_digit(code >> shift));
        if (shift == 0)
            break;
    }
    out_char(o, '}');
}

/* Octets from the front of text that go out as they are on every output: plain ASCII without quote and backslash. */
static size_t plain_run(struct view text)
{
    size_t n = 0;
    while (n < text.len && text.ptr[n] >= 0x20 && text.ptr[n] < 0x7f && text.ptr[n] != '\\' && text.ptr[n] != '"')
        n++;
    return n;
}

static struct view past(struct view text, size_t n)
{
    return view_of(text.ptr + n, text.len - n);
}

/* One character from the front of text; returns its octets. */
static size_t terminal_character(struct out *o, struct view text)
{
    uint32_t code = text.ptr[0];
    if (code < 0x80) {
        if (code < 0x20 || code == 0x7f || code == '\\')
            escaped_ascii(o, (uint8_t)code);
        else
            out_char(o, (char)code);
        return 1;
    }
    size_t len = utf8_next(text, &code);
    if (len == 0) {
        escaped_octet(o, text.ptr[0]);
        return 1;
    }
    if (out_steers(code))
        escaped_code(o, code);
    else
        out_octets(o, text.ptr, len);
    return len;
}

void out_terminal(struct out *o, struct view text)
{
    while (text.len > 0) {
        size_t n = plain_run(text);
        out_octets(o, text.ptr, n);
        text = past(text, n);
        if (text.len > 0)
            text = past(text, terminal_character(o, text));
    }
}

/* As many characters as fit into the columns; *columns is what is left of them. Returns what is left of the text. */
static struct view terminal_part(struct out *o, struct view text, size_t *columns, bool quoted)
{
    while (text.len > 0 && *columns > 0) {
        size_t n = plain_run(text.len < *columns ? text : view_of(text.ptr, *columns));
        out_octets(o, text.ptr, n);
        text = past(text, n);
        *columns -= n;
        if (n > 0)
            continue;
        if (quoted && text.ptr[0] == '"')
            out_char(o, '\\');
        text = past(text, terminal_character(o, text));
        --*columns;
    }
    return text;
}

void out_terminal_cut(struct out *o, struct view text, size_t columns)
{
    if (terminal_part(o, text, &columns, false).len > 0)
        out_text(o, "...");
}

static bool is_word(struct view text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] <= ' ' || text.ptr[i] == '"' || text.ptr[i] == ',' || text.ptr[i] == 0x7f)
            return false;
    return text.len > 0;
}

void out_terminal_word(struct out *o, struct view text, size_t columns)
{
    if (is_word(text)) {
        out_terminal_cut(o, text, columns);
        return;
    }
    out_char(o, '"');
    text = terminal_part(o, text, &columns, true);
    out_text(o, text.len > 0 ? "\"..." : "\"");
}

static void json_unit(struct out *o, unsigned unit)
{
    const char text[] = {
        '\\', 'u', hex_digit(unit >> 12), hex_digit(unit >> 8), hex_digit(unit >> 4), hex_digit(unit)
    };
    out_octets(o, text, sizeof text);
}

static void json_ascii(struct out *o, uint8_t octet)
{
    static const char short_forms[][3] = {
        ['\b'] = "\\b", ['\t'] = "\\t", ['\n'] = "\\n", ['\f'] = "\\f", ['\r'] = "\\r", ['"'] = "\\\"", ['\\'] = "\\\\"
    };
    if (octet < sizeof short_forms / sizeof short_forms[0] && short_forms[octet][0] != '\0')
        out_octets(o, short_forms[octet], 2);
    else
        json_unit(o, octet);
}

static void json_code(struct out *o, uint32_t code)
{
    if (code < 0x10000) {
        json_unit(o, code);
    } else {
        json_unit(o, 0xd800 + ((code - 0x10000) >> 10));
        json_unit(o, 0xdc00 + (code & 0x3ff));
    }
}

/* One character that is no plain ASCII; returns its octets. `doubled`: the lossless form. */
static size_t json_character(struct out *o, struct view text, bool doubled)
{
    uint32_t code = text.ptr[0];
    if (code < 0x80) {
        if (doubled && code == '\\')
            out_text(o, "\\\\");
        json_ascii(o, (uint8_t)code);
        return 1;
    }
    size_t len = utf8_next(text, &code);
    if (len == 0) {
        out_char(o, '\\');
        escaped_octet(o, text.ptr[0]);
        return 1;
    }
    if (out_steers(code))
        json_code(o, code);
    else
        out_octets(o, text.ptr, len);
    return len;
}

static void json(struct out *o, struct view text, bool doubled)
{
    out_char(o, '"');
    while (text.len > 0) {
        size_t n = plain_run(text);
        out_octets(o, text.ptr, n);
        text = past(text, n);
        if (text.len > 0)
            text = past(text, json_character(o, text, doubled));
    }
    out_char(o, '"');
}

void out_json_string(struct out *o, struct view text)
{
    json(o, text, false);
}

void out_json_escaped(struct out *o, struct view text)
{
    json(o, text, true);
}
