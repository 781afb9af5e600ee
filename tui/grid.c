/* SPDX-License-Identifier: Apache-2.0 */
#define _XOPEN_SOURCE 700 /* wcwidth */
#include "tui/grid.h"
#include "decoder/base/utf8.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

static int clamp(int value, int low, int high)
{
    return value < low ? low : value > high ? high : value;
}

bool grid_init(struct grid *g, int rows, int cols, bool unicode)
{
    *g = (struct grid){ .unicode = unicode, .cursor_y = -1, .cursor_x = -1 };
    return grid_resize(g, rows, cols);
}

bool grid_resize(struct grid *g, int rows, int cols)
{
    rows = clamp(rows, 1, GRID_MAX_ROWS);
    cols = clamp(cols, 1, GRID_MAX_COLS);
    if (g->cells == NULL || rows != g->rows || cols != g->cols) {
        struct cell *cells = calloc((size_t)rows * (size_t)cols, sizeof *cells);
        if (cells == NULL)
            return false;
        free(g->cells);
        g->cells = cells;
        g->rows = rows;
        g->cols = cols;
    }
    grid_clear(g);
    return true;
}

void grid_done(struct grid *g)
{
    free(g->cells);
    *g = (struct grid){ 0 };
}

struct rect grid_all(const struct grid *g)
{
    return (struct rect){ 0, 0, g->rows, g->cols };
}

void grid_clear(struct grid *g)
{
    grid_fill(g, grid_all(g), ' ', STYLE_NORMAL);
    g->cursor_y = g->cursor_x = -1;
}

const struct cell *grid_at(const struct grid *g, int y, int x)
{
    return y < 0 || x < 0 || y >= g->rows || x >= g->cols ? NULL : &g->cells[y * g->cols + x];
}

static struct cell *cell_at(struct grid *g, int y, int x)
{
    return y < 0 || x < 0 || y >= g->rows || x >= g->cols ? NULL : &g->cells[y * g->cols + x];
}

/* Writing over one half of a wide character must not leave the other half. */
static void unpair(struct grid *g, int y, int x)
{
    struct cell *c = cell_at(g, y, x), *left = cell_at(g, y, x - 1), *right = cell_at(g, y, x + 1);
    if (c == NULL)
        return;
    if ((c->flags & GRID_WIDE_TAIL) && left != NULL)
        left->ch = ' ';
    if (right != NULL && (right->flags & GRID_WIDE_TAIL)) {
        right->ch = ' ';
        right->flags &= (uint8_t)~GRID_WIDE_TAIL;
    }
    c->flags &= (uint8_t)~GRID_WIDE_TAIL;
}

void grid_put(struct grid *g, int y, int x, uint32_t ch, uint8_t style)
{
    struct cell *c = cell_at(g, y, x);
    if (c == NULL)
        return;
    unpair(g, y, x);
    *c = (struct cell){ .ch = ch, .style = style };
}

static void put_wide(struct grid *g, int y, int x, uint32_t ch, uint8_t style)
{
    if (cell_at(g, y, x) == NULL || cell_at(g, y, x + 1) == NULL) {
        grid_put(g, y, x, '~', style);
        return;
    }
    grid_put(g, y, x, ch, style);
    grid_put(g, y, x + 1, 0, style);
    cell_at(g, y, x + 1)->flags = GRID_WIDE_TAIL;
}

/* Characters that terminals place, join or turn round in ways of their own: never sent, always escaped. */
static bool unstable(uint32_t c)
{
    static const struct {
        uint32_t first, last;
    } ranges[] = {
        { 0xad, 0xad },       { 0x300, 0x36f },      { 0x590, 0x8ff },   { 0x1f1e6, 0x1f1ff }, { 0x180b, 0x180f },
        { 0x200b, 0x200f },   { 0x2028, 0x202e },    { 0x2060, 0x206f }, { 0xe000, 0xf8ff },   { 0xfb1d, 0xfdff },
        { 0xfe00, 0xfe0f },   { 0xfe70, 0xfeff },    { 0xfff0, 0xfffb }, { 0x10800, 0x10fff }, { 0x1e800, 0x1efff },
        { 0x1f3fb, 0x1f3ff }, { 0xe0000, 0x10ffff },
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (c >= ranges[i].first && c <= ranges[i].last)
            return true;
    return (c & 0xfffe) == 0xfffe;
}

static struct glyph escaped(const char *format, unsigned value)
{
    struct glyph out = { .code = 0 };
    out.width = snprintf(out.escape, sizeof out.escape, format, value);
    return out;
}

static struct glyph control(uint32_t code)
{
    static const char short_forms[][3] = { ['\t'] = "\\t", ['\n'] = "\\n", ['\r'] = "\\r" };
    if (code < sizeof short_forms / sizeof *short_forms && short_forms[code][0] != 0) {
        struct glyph out = { .width = 2 };
        memcpy(out.escape, short_forms[code], 3);
        return out;
    }
    return escaped("\\x%02x", code);
}

struct glyph grid_next(struct view *text, bool unicode, bool wire)
{
    uint32_t code = text->ptr[0];
    size_t taken = 1;
    if (code >= 0x80)
        taken = utf8_next(*text, &code);
    if (taken == 0) { /* ill-formed: one octet */
        struct glyph bad = escaped("\\x%02x", text->ptr[0]);
        *text = (struct view){ text->ptr + 1, text->len - 1 };
        return bad;
    }
    *text = (struct view){ text->ptr + taken, text->len - taken };
    if (code < 0x20 || code == 0x7f)
        return control(code);
    if (code == '\\' && wire)
        return (struct glyph){ .escape = "\\\\", .width = 2 };
    if (code < 0x7f)
        return (struct glyph){ .code = code, .width = 1 };
    int width = code < 0xa0 || !unicode || unstable(code) ? -1 : wcwidth((wchar_t)code);
    if (width == 1 || width == 2)
        return (struct glyph){ .code = code, .width = width };
    return escaped("\\u{%04x}", code);
}

static int width_of(struct view text, bool unicode, bool wire)
{
    int total = 0;
    while (text.len > 0 && total < GRID_MAX_COLS)
        total += grid_next(&text, unicode, wire).width;
    return total;
}

int grid_width(struct view text, bool unicode)
{
    return width_of(text, unicode, true);
}

int grid_plain_width(struct view text, bool unicode)
{
    return width_of(text, unicode, false);
}

static void draw_glyph(struct grid *g, int y, int x, uint8_t style, const struct glyph *gl)
{
    for (int i = 0; gl->escape[0] != 0 && gl->escape[i] != 0; i++)
        grid_put(g, y, x + i, (uint8_t)gl->escape[i], style);
    if (gl->escape[0] == 0 && gl->width == 2)
        put_wide(g, y, x, gl->code, style);
    else if (gl->escape[0] == 0)
        grid_put(g, y, x, gl->code, style);
}

static int draw_text(struct grid *g, int y, int x, int w, uint8_t style, struct view text, bool wire)
{
    int used = 0;
    if (x < 0 || w <= 0 || text.len == 0)
        return 0;
    while (text.len > 0) {
        struct glyph gl = grid_next(&text, g->unicode, wire);
        int room = w - used;
        if (gl.width > room || (gl.width == room && text.len > 0))
            break; /* a unit is drawn whole or not at all, and the last column tells that there is more */
        draw_glyph(g, y, x + used, style, &gl);
        used += gl.width;
        if (text.len == 0)
            return used;
    }
    if (used < w) {
        grid_put(g, y, x + used, '~', style);
        used++;
    }
    return used;
}

int grid_view(struct grid *g, int y, int x, int w, uint8_t style, struct view text)
{
    return draw_text(g, y, x, w, style, text, true);
}

int grid_plain(struct grid *g, int y, int x, int w, uint8_t style, struct view text)
{
    return draw_text(g, y, x, w, style, text, false);
}

int grid_text(struct grid *g, int y, int x, int w, uint8_t style, const char *text)
{
    return grid_plain(g, y, x, w, style, view_of(text, strlen(text)));
}

int grid_printf(struct grid *g, int y, int x, int w, uint8_t style, const char *format, ...)
{
    char buffer[512];
    va_list args;
    va_start(args, format);
    vsnprintf(buffer, sizeof buffer, format, args);
    va_end(args);
    return grid_text(g, y, x, w, style, buffer);
}

void grid_right(struct grid *g, int y, int x, int w, uint8_t style, const char *text)
{
    struct view v = view_of(text, strlen(text));
    int width = grid_plain_width(v, g->unicode);
    grid_plain(g, y, width < w ? x + w - width : x, w, style, v);
}

void grid_fill(struct grid *g, struct rect r, uint32_t ch, uint8_t style)
{
    for (int y = r.y; y < r.y + r.h; y++)
        for (int x = r.x; x < r.x + r.w; x++)
            grid_put(g, y, x, ch, style);
}

void grid_mark(struct grid *g, int y, int x, int w, uint8_t flags)
{
    for (int i = x; i < x + w; i++) {
        struct cell *c = cell_at(g, y, i);
        if (c != NULL)
            c->flags |= flags;
    }
}

void grid_restyle(struct grid *g, int y, int x, int w, uint8_t style)
{
    for (int i = x; i < x + w; i++) {
        struct cell *c = cell_at(g, y, i);
        if (c != NULL)
            c->style = style;
    }
}

uint32_t grid_line(const struct grid *g, enum grid_line which)
{
    static const struct {
        uint16_t unicode;
        char ascii;
    } lines[] = {
        [LINE_H] = { 0x2500, '-' },
        [LINE_V] = { 0x2502, '|' },
        [LINE_LEFT_TEE] = { 0x251c, '+' },
        [LINE_RIGHT_TEE] = { 0x2524, '+' },
        [LINE_UP_LEFT] = { 0x250c, '+' },
        [LINE_UP_RIGHT] = { 0x2510, '+' },
        [LINE_DOWN_LEFT] = { 0x2514, '+' },
        [LINE_DOWN_RIGHT] = { 0x2518, '+' },
        [LINE_CROSS] = { 0x253c, '+' },
        [LINE_DASH] = { 0x254c, '.' },
        [LINE_TOP_BRACKET] = { 0x250c, '/' },
        [LINE_MID_BRACKET] = { 0x2502, '|' },
        [LINE_END_BRACKET] = { 0x2514, '\\' },
    };
    return g->unicode ? lines[which].unicode : (uint8_t)lines[which].ascii;
}

void grid_hline(struct grid *g, int y, int x, int w, uint8_t style)
{
    grid_fill(g, (struct rect){ y, x, 1, w }, grid_line(g, LINE_H), style);
}

void grid_vline(struct grid *g, int y, int x, int h, uint8_t style)
{
    grid_fill(g, (struct rect){ y, x, h, 1 }, grid_line(g, LINE_V), style);
}

struct rect grid_box(struct grid *g, struct rect r, uint8_t style, const char *title)
{
    struct rect inside = { r.y + 1, r.x + 1, r.h > 2 ? r.h - 2 : 0, r.w > 2 ? r.w - 2 : 0 };
    grid_fill(g, r, ' ', STYLE_NORMAL);
    if (r.h < 2 || r.w < 2)
        return r;
    grid_hline(g, r.y, r.x, r.w, style);
    grid_hline(g, r.y + r.h - 1, r.x, r.w, style);
    grid_vline(g, r.y, r.x, r.h, style);
    grid_vline(g, r.y, r.x + r.w - 1, r.h, style);
    grid_put(g, r.y, r.x, grid_line(g, LINE_UP_LEFT), style);
    grid_put(g, r.y, r.x + r.w - 1, grid_line(g, LINE_UP_RIGHT), style);
    grid_put(g, r.y + r.h - 1, r.x, grid_line(g, LINE_DOWN_LEFT), style);
    grid_put(g, r.y + r.h - 1, r.x + r.w - 1, grid_line(g, LINE_DOWN_RIGHT), style);
    if (title != NULL && r.w > 6)
        grid_printf(g, r.y, r.x + 2, r.w - 4, STYLE_HEAD, " %s ", title);
    return inside;
}

static size_t utf8_write(uint32_t c, char *out)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

size_t grid_line_text(const struct grid *g, int y, char *out)
{
    size_t n = 0;
    int last = g->cols - 1;
    while (last >= 0 && g->cells[y * g->cols + last].ch == ' ')
        last--;
    for (int x = 0; x <= last; x++) {
        const struct cell *c = &g->cells[y * g->cols + x];
        if (!(c->flags & GRID_WIDE_TAIL))
            n += utf8_write(c->ch, out + n);
    }
    out[n] = 0;
    return n;
}
