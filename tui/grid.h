/* SPDX-License-Identifier: Apache-2.0
 *
 * tui/grid.h -- a screen as a grid of cells: what the screens draw into, what tests read, what term.c shows.
 *
 * Nothing from the wire gets into a cell raw: every drawing call goes through grid_next(), which turns control
 * characters, invalid UTF-8, zero-width, bidirectional and width-unstable characters into visible escapes (\n, \x1b,
 * \u{202e}). So no cell ever holds a code point below 0x20 or in 0x7F..0x9F, and a text never takes more columns than
 * it was given. */
#pragma once
#include "decoder/base/cursor.h"

enum grid_style { /* what a cell means; term.c decides how that looks */
                  STYLE_NORMAL,
                  STYLE_TITLE,   /* first and last line, column heads */
                  STYLE_HEAD,    /* bold */
                  STYLE_DIM,     /* less important, retransmitted */
                  STYLE_ERROR,   /* white on red, sign ! */
                  STYLE_WARNING, /* yellow, sign w */
                  STYLE_NOTE,    /* cyan, sign i */
                  STYLE_REQUEST, /* green */
                  STYLE_ANSWER,  /* blue or cyan */
                  STYLE_RESET,   /* red: connection lost */
                  STYLE_OWED,    /* yellow, bold: somebody owes a packet */
                  STYLE_KEY,     /* name of a key */
                  STYLE_LIT,     /* octets of the chosen field */
                  STYLE_BAD,     /* input line that cannot be used as it stands */
                  STYLE_COUNT
};

enum { GRID_SELECTED = 1, GRID_BOLD = 2, GRID_WIDE_TAIL = 4 /* second column of the wide character to the left */ };

struct cell {
    uint32_t ch; /* 0 only together with GRID_WIDE_TAIL */
    uint8_t style, flags;
};

enum { GRID_MAX_ROWS = 512, GRID_MAX_COLS = 1024 };

struct grid {
    struct cell *cells; /* rows * cols, owned */
    int rows, cols;
    bool unicode;           /* the terminal shows UTF-8: lines and non-ASCII text may be used */
    int cursor_y, cursor_x; /* -1: hidden */
};

/* A part of the grid; all drawing is clipped to the grid. */
struct rect {
    int y, x, h, w;
};

bool grid_init(struct grid *g, int rows, int cols,
               bool unicode);                         /* sizes are clamped to 1..GRID_MAX_*; false: no memory */
bool grid_resize(struct grid *g, int rows, int cols); /* content is cleared; false: kept as it was */
void grid_done(struct grid *g);
void grid_clear(struct grid *g);
struct rect grid_all(const struct grid *g);

/* One shown unit of hostile text: a safe code point or an escape. */
struct glyph {
    char escape[12]; /* "" when code stands for itself; ASCII */
    uint32_t code;
    int width; /* columns: of the escape or of the code point */
};
/* Takes one unit off the front of *text (text->len > 0). wire: octets of the wire, whose backslashes are doubled, so
 * that they cannot be taken for escapes; else text of ours, or escaped already. */
struct glyph grid_next(struct view *text, bool unicode, bool wire);
int grid_width(struct view text, bool unicode);       /* columns that octets of the wire take; linear */
int grid_plain_width(struct view text, bool unicode); /* likewise text of ours */

/* Draws text into w columns from (y, x), escaped; what does not fit ends in '~'. The columns behind the text are left
 * as they are. Returns the columns used. */
int grid_view(struct grid *g, int y, int x, int w, uint8_t style, struct view text);
int grid_plain(struct grid *g, int y, int x, int w, uint8_t style, struct view text); /* text of ours */
int grid_text(struct grid *g, int y, int x, int w, uint8_t style, const char *text);
int grid_printf(struct grid *g, int y, int x, int w, uint8_t style, const char *format, ...)
    __attribute__((format(printf, 6, 7)));
/* Right-aligned in w columns. */
void grid_right(struct grid *g, int y, int x, int w, uint8_t style, const char *text);
void grid_fill(struct grid *g, struct rect r, uint32_t ch, uint8_t style);
/* Adds flags (GRID_SELECTED...) to a line of cells. */
void grid_mark(struct grid *g, int y, int x, int w, uint8_t flags);
void grid_restyle(struct grid *g, int y, int x, int w, uint8_t style);

enum grid_line {
    LINE_H,
    LINE_V,
    LINE_LEFT_TEE,
    LINE_RIGHT_TEE,
    LINE_UP_LEFT,
    LINE_UP_RIGHT,
    LINE_DOWN_LEFT,
    LINE_DOWN_RIGHT,
    LINE_CROSS,
    LINE_DASH,
    LINE_TOP_BRACKET,
    LINE_MID_BRACKET,
    LINE_END_BRACKET
};
uint32_t grid_line(const struct grid *g, enum grid_line which); /* the character, ASCII where that is all there is */
void grid_put(struct grid *g, int y, int x, uint32_t ch, uint8_t style); /* ch is ours, of width 1 */
void grid_hline(struct grid *g, int y, int x, int w, uint8_t style);
void grid_vline(struct grid *g, int y, int x, int h, uint8_t style);
/* A frame; the inside is cleared. Returns the inside. */
struct rect grid_box(struct grid *g, struct rect r, uint8_t style, const char *title);

const struct cell *grid_at(const struct grid *g, int y, int x); /* NULL outside */
/* Line y as UTF-8 without trailing spaces; out holds at least 4 * cols + 1 octets. Returns the length. */
size_t grid_line_text(const struct grid *g, int y, char *out);
