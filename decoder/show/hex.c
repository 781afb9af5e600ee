/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/show/hex.c -- -x: octets of a packet, sixteen a line, as hex and as characters. */
#include "decoder/show/show.h"

enum { LINE = 16, MASKED_MAX = 2 };

/* Octets that hold secrets. */
struct masks {
    struct {
        size_t from, to;
    } at[MASKED_MAX];
    size_t n;
};

static void mask(struct masks *m, const struct mqtt_packet *p, struct view secret)
{
    if (secret.ptr == NULL || m->n == MASKED_MAX)
        return;
    m->at[m->n].from = (size_t)(secret.ptr - p->octets);
    m->at[m->n].to = m->at[m->n].from + secret.len;
    m->n++;
}

static bool masked(const struct masks *m, size_t offset)
{
    for (size_t i = 0; i < m->n; i++)
        if (offset >= m->at[i].from && offset < m->at[i].to)
            return true;
    return false;
}

static void line(struct out *o, const struct mqtt_packet *p, const struct masks *m, size_t at, size_t end)
{
    char hex[3 * LINE + 1], text[LINE];
    size_t n = end - at < LINE ? end - at : LINE;
    memset(hex, ' ', sizeof hex);
    for (size_t i = 0; i < n; i++) {
        uint8_t octet = p->octets[at + i];
        size_t column = 3 * i + (i >= LINE / 2);
        bool hide = masked(m, at + i);
        hex[column] = hide ? '*' : "0123456789abcdef"[octet >> 4];
        hex[column + 1] = hide ? '*' : "0123456789abcdef"[octet & 15];
        text[i] = hide ? '*' : octet >= 0x20 && octet < 0x7f ? (char)octet : '.';
    }
    for (unsigned shift = 16; shift > 0; shift -= 4)
        out_char(o, "0123456789abcdef"[at >> (shift - 4) & 15]);
    out_text(o, "  ");
    out_octets(o, hex, sizeof hex);
    out_char(o, ' ');
    out_octets(o, text, n);
    out_char(o, '\n');
}

void show_hex(struct out *o, const struct row *row, const struct show_style *style)
{
    struct masks m = { .n = 0 };
    if (row->kind != ROW_PACKET)
        return;
    const struct mqtt_packet *p = row->packet;
    size_t whole = (size_t)p->header_len + p->remaining;
    size_t end = p->header_len > 0 && whole < p->held ? whole : p->held;
    if (p->type == MQTT_CONNECT && p->header_len > 0 && !style->secrets) {
        mask(&m, p, p->connect.username);
        mask(&m, p, p->connect.password);
    }
    for (size_t at = 0; at < end; at += LINE)
        line(o, p, &m, at, end);
    out_char(o, '\n');
}
