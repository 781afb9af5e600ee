/* SPDX-License-Identifier: Apache-2.0 */
#include "decoder/base/websocket.h"
#include <string.h>
#include <strings.h>

/* ---- frames, RFC 6455 section 5.2 ---- */

static size_t length_octets(uint8_t second)
{
    unsigned len = second & 0x7fu;
    return len == 126 ? 2 : len == 127 ? 8 : 0;
}

size_t ws_header_size(struct view octets)
{
    if (octets.len < 2)
        return 2;
    return 2 + length_octets(octets.ptr[1]) + (octets.ptr[1] & 0x80 ? 4 : 0);
}

struct ws_header ws_header_read(struct view octets)
{
    const uint8_t *at = octets.ptr;
    size_t n = length_octets(at[1]);
    struct ws_header h = { .opcode = at[0] & 0x0f,
                           .reserved = at[0] >> 4 & 7,
                           .fin = at[0] & 0x80,
                           .masked = at[1] & 0x80,
                           .len = n == 0 ? at[1] & 0x7fu : 0 };
    for (size_t i = 0; i < n; i++)
        h.len = h.len << 8 | at[2 + i];
    if (h.masked)
        memcpy(h.mask, at + 2 + n, sizeof h.mask);
    return h;
}

bool ws_header_plausible(const struct ws_header *h)
{
    if (h->opcode >= WS_CLOSE)
        return h->opcode <= WS_PONG && h->fin && h->len <= WS_CONTROL_MAX && h->reserved == 0;
    return h->opcode <= WS_BINARY && h->len >> 63 == 0;
}

void ws_unmask(uint8_t *out, const uint8_t *in, size_t len, const uint8_t mask[4], uint64_t at)
{
    for (size_t i = 0; i < len; i++)
        out[i] = in[i] ^ mask[(at + i) & 3];
}

/* ---- the handshake, section 4 ---- */

size_t http_head_len(struct view octets)
{
    for (size_t i = 3; i < octets.len; i++)
        if (octets.ptr[i] == '\n' && memcmp(octets.ptr + i - 3, "\r\n\r\n", 4) == 0)
            return i + 1;
    return 0;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

struct view http_field(struct view head, const char *name)
{
    size_t len = strlen(name), at = 0;
    for (const uint8_t *line; at < head.len && (line = memchr(head.ptr + at, '\n', head.len - at)) != NULL;) {
        at = (size_t)(line - head.ptr) + 1;
        const uint8_t *stop = at < head.len ? memchr(head.ptr + at, '\r', head.len - at) : NULL;
        size_t end = stop != NULL ? (size_t)(stop - head.ptr) : at, from = at + len + 1;
        if (end - at <= len || head.ptr[at + len] != ':' || strncasecmp((const char *)head.ptr + at, name, len) != 0)
            continue;
        while (from < end && is_blank(head.ptr[from]))
            from++;
        while (end > from && is_blank(head.ptr[end - 1]))
            end--;
        return view_of(head.ptr + from, end - from);
    }
    return view_of(NULL, 0);
}

bool http_lists(struct view list, const char *word)
{
    size_t len = strlen(word);
    for (size_t i = 0; list.ptr != NULL && i + len <= list.len; i++) {
        bool front = i == 0 || list.ptr[i - 1] == ',' || is_blank(list.ptr[i - 1]);
        bool back = i + len == list.len || strchr(",; \t", list.ptr[i + len]) != NULL;
        if (front && back && strncasecmp((const char *)list.ptr + i, word, len) == 0)
            return true;
    }
    return false;
}
