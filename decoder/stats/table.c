/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/stats/table.c -- cells. */
#include "decoder/stats/table.h"
#include "decoder/base/json.h"
#include <stdio.h>
#include <string.h>

/* The next column; false when it is not for this kind of output (or there is none). */
static bool cell(struct table *t, const struct column **c)
{
    if (t->at >= t->n)
        return false;
    *c = &t->columns[t->at++];
    if (t->json ? (*c)->key == NULL : (*c)->heading == NULL)
        return false;
    if (t->json) {
        out_octets(t->o, ",\"", 2);
        out_text(t->o, (*c)->key);
        out_octets(t->o, "\":", 2);
    } else if (*c != t->columns) {
        out_char(t->o, ' ');
    }
    return true;
}

/* Are the columns behind this one for JSON alone? */
static bool is_last(const struct table *t)
{
    for (unsigned i = t->at; i < t->n; i++)
        if (t->columns[i].heading != NULL)
            return false;
    return true;
}

/* Text of known width in columns: padded to the column. */
static void pad(struct table *t, const struct column *c, const char *text, size_t len, size_t columns)
{
    size_t fill = columns < c->width ? c->width - columns : 0;
    if (!c->left)
        out_fill(t->o, ' ', fill);
    out_octets(t->o, text, len);
    if (c->left && !is_last(t))
        out_fill(t->o, ' ', fill);
}

static void plain(struct table *t, const struct column *c, const char *text)
{
    pad(t, c, text, strlen(text), strlen(text));
}

struct table table_begin(struct out *o, bool json, const char *stat, const char *title, const struct column *columns,
                         unsigned n)
{
    struct table t = { .o = o, .json = json, .stat = stat, .columns = columns, .n = n };
    if (json)
        return t;
    out_text(o, title);
    out_char(o, '\n');
    for (t.at = 0; t.at < n;) {
        const struct column *c = &columns[t.at++];
        if (c->heading == NULL)
            continue;
        if (c != columns)
            out_char(o, ' ');
        plain(&t, c, c->heading);
    }
    out_char(o, '\n');
    return t;
}

void table_row(struct table *t)
{
    t->at = 0;
    if (!t->json)
        return;
    out_text(t->o, "{\"stat\":\"");
    out_text(t->o, t->stat);
    out_char(t->o, '"');
}

void table_row_end(struct table *t)
{
    while (!t->json && t->o->len > 0 && t->o->at[t->o->len - 1] == ' ') /* the last cells are empty */
        t->o->len--;
    out_text(t->o, t->json ? "}\n" : "\n");
}

void table_text(struct table *t, const char *text)
{
    const struct column *c;
    if (!cell(t, &c))
        return;
    size_t len = text != NULL ? strlen(text) : 0;
    if (!t->json)
        pad(t, c, text != NULL ? text : "", len < c->width ? len : c->width, len);
    else if (text == NULL)
        out_text(t->o, "null");
    else
        out_json_string(t->o, view_of(text, strlen(text)));
}

static void json_wire(struct table *t, struct view text)
{
    if (text.ptr == NULL)
        out_text(t->o, "null");
    else if (text.len == 0 || utf8_check(text).worst < UTF8_ILL_FORMED)
        out_json_string(t->o, text);
    else
        out_json_escaped(t->o, text);
}

enum { SHOWN_MAX = 256 }; /* octets of the wire that a cell looks at; no column is that wide */

/* Escapes the text and cuts it to so many characters, the last two of which are then dots. Returns the characters. */
static size_t cut_text(struct out *o, struct view text, size_t columns)
{
    size_t start = o->len, shown = 0, room = start;
    out_terminal(o, view_of(text.ptr, text.len < SHOWN_MAX ? text.len : SHOWN_MAX));
    for (size_t i = start; i < o->len; i++) {
        if (((unsigned char)o->at[i] & 0xc0) == 0x80)
            continue;
        if (shown + 2 == columns)
            room = i;
        if (shown++ == columns) {
            o->len = room;
            out_text(o, "..");
            return columns;
        }
    }
    return shown;
}

void table_sentence(struct table *t, struct view text, unsigned indent)
{
    char buffer[SHOWN_MAX * 8];
    struct out o = out_over(buffer, sizeof buffer);
    if (t->json)
        return;
    cut_text(&o, text, TABLE_WIDTH - indent);
    out_fill(t->o, ' ', indent);
    out_octets(t->o, buffer, o.len);
    out_char(t->o, '\n');
}

void table_wire(struct table *t, struct view text, unsigned indent)
{
    const struct column *c;
    char buffer[SHOWN_MAX * 8];
    struct out o = out_over(buffer, sizeof buffer);
    if (!cell(t, &c))
        return;
    if (t->json) {
        json_wire(t, text);
        return;
    }
    unsigned most = c->width / 2u, used = indent < most ? indent : most;
    out_fill(&o, ' ', used);
    size_t shown = text.ptr != NULL ? cut_text(&o, text, c->width - used) : 0;
    pad(t, c, buffer, o.len, used + shown);
}

void table_uint(struct table *t, uint64_t number)
{
    const struct column *c;
    char text[24];
    if (!cell(t, &c))
        return;
    snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    if (t->json)
        out_text(t->o, text);
    else
        plain(t, c, text);
}

/* A number that is too wide for its column, in thousands, millions... */
static void scaled(struct table *t, const struct column *c, uint64_t number)
{
    static const char units[] = "kMGTPE";
    char text[24];
    unsigned unit = 0, digits = (unsigned)snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    uint64_t rest = number / 100; /* tenths of a thousand */
    if (digits <= c->width) {
        plain(t, c, text);
        return;
    }
    for (; unit < 5; unit++, rest /= 1000)
        if ((unsigned)snprintf(text, sizeof text, "%llu.%llu%c", (unsigned long long)(rest / 10),
                               (unsigned long long)(rest % 10), units[unit]) <= c->width)
            break;
    plain(t, c, text);
}

void table_count(struct table *t, uint64_t number)
{
    const struct column *c;
    if (!cell(t, &c))
        return;
    if (t->json)
        out_uint(t->o, number);
    else
        scaled(t, c, number);
}

void table_seconds(struct table *t, int64_t ns)
{
    const struct column *c;
    char buffer[40];
    struct out o = out_over(buffer, sizeof buffer);
    if (!cell(t, &c))
        return;
    out_seconds(&o, ns, t->json ? 9 : 3);
    if (t->json)
        out_octets(t->o, buffer, o.len);
    else
        pad(t, c, buffer, o.len, o.len);
}

void table_duration(struct table *t, int64_t ns)
{
    const struct column *c;
    char text[32] = "";
    long long us = (long long)ns / 1000;
    if (!cell(t, &c))
        return;
    if (t->json) {
        snprintf(text, sizeof text, ns < 0 ? "null" : "%lld", us);
        out_text(t->o, text);
        return;
    }
    if (ns >= 0 && us < 1000)
        snprintf(text, sizeof text, "%lldus", us);
    else if (ns >= 0 && us < 1000000)
        snprintf(text, sizeof text, "%lld.%lldms", us / 1000, us / 100 % 10);
    else if (ns >= 0)
        snprintf(text, sizeof text, "%lld.%02llds", us / 1000000, us / 10000 % 100);
    plain(t, c, text);
}

void table_share(struct table *t, uint64_t part, uint64_t whole)
{
    const struct column *c;
    char text[24];
    uint64_t thousandth = whole == 0 ? 0 : (uint64_t)((double)part / (double)whole * 1000 + 0.5);
    if (!cell(t, &c))
        return;
    snprintf(text, sizeof text, "%llu.%llu%s", (unsigned long long)(thousandth / 10),
             (unsigned long long)(thousandth % 10), t->json ? "" : "%");
    if (t->json)
        out_text(t->o, text);
    else
        plain(t, c, text);
}

void table_rate(struct table *t, uint64_t count, int64_t ns)
{
    const struct column *c;
    char text[40];
    double rate = ns > 0 ? (double)count * 1e9 / (double)ns : 0;
    if (!cell(t, &c))
        return;
    if (ns <= 0)
        snprintf(text, sizeof text, "%s", t->json ? "null" : "-");
    else
        snprintf(text, sizeof text, rate >= 1000 ? "%.0f" : rate >= 10 ? "%.1f" : "%.3f", rate);
    if (t->json)
        out_text(t->o, text);
    else
        plain(t, c, text);
}

void table_endpoint(struct table *t, const struct row_endpoint *e)
{
    const struct column *c;
    char buffer[64];
    struct out o = out_over(buffer, sizeof buffer);
    if (!cell(t, &c))
        return;
    if (e->addr.family == 6)
        out_char(&o, '[');
    if (e->addr.family != 0)
        out_ip(&o, view_of(e->addr.octets, e->addr.family == 4 ? 4 : 16));
    if (e->addr.family == 6)
        out_char(&o, ']');
    out_char(&o, ':');
    out_uint(&o, e->port);
    if (t->json) {
        out_json_string(t->o, view_of(buffer, o.len));
    } else if (o.len <= c->width) {
        pad(t, c, buffer, o.len, o.len);
    } else { /* the end tells more than the middle */
        out_octets(t->o, buffer, 4);
        out_text(t->o, "..");
        out_octets(t->o, buffer + o.len - (c->width - 6u), c->width - 6u);
    }
}

void table_remark(struct table *t, const char *text, uint64_t number)
{
    if (t->json)
        return;
    out_uint(t->o, number);
    out_char(t->o, ' ');
    out_text(t->o, text);
    out_char(t->o, '\n');
}
