/* SPDX-License-Identifier: Apache-2.0 */
#include "tui/grid.h"
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void assert_line(const struct grid *g, int y, const char *want)
{
    char *line = malloc((size_t)g->cols * 4 + 1);
    grid_line_text(g, y, line);
    assert_string_equal(line, want);
    free(line);
}

/* What every cell promises, whatever was drawn. */
static void assert_cells_sound(const struct grid *g)
{
    for (int y = 0; y < g->rows; y++)
        for (int x = 0; x < g->cols; x++) {
            const struct cell *c = grid_at(g, y, x);
            if (c->flags & GRID_WIDE_TAIL) {
                assert_true(x > 0);
                assert_int_equal(c->ch, 0);
                assert_true(grid_at(g, y, x - 1)->ch > 0x1000);
                continue;
            }
            assert_true(c->ch >= 0x20);
            assert_false(c->ch >= 0x7f && c->ch < 0xa0);
        }
}

static struct view text(const char *s)
{
    return view_of(s, strlen(s));
}

/* Octets, what is drawn of them, and its columns; by hand from the table of escapes in tui/grid.h. */
static void hostile_text_is_escaped(void **state)
{
    static const struct {
        const char *octets;
        size_t len;
        const char *shown;
    } cases[] = {
        { "plain", 5, "plain" },
        { "\x1b[2J", 4, "\\x1b[2J" },            /* clear the screen */
        { "\x1b]0;x\x07", 6, "\\x1b]0;x\\x07" }, /* set the title */
        { "\x9b"
          "31m",
          4, "\\x9b31m" }, /* one-octet CSI: ill-formed UTF-8 */
        { "\xc2\x9b"
          "1m",
          4, "\\u{009b}1m" }, /* U+009B */
        { "a\nb\tc\rd", 7, "a\\nb\\tc\\rd" },
        { "\0z", 2, "\\x00z" },
        { "\x7f", 1, "\\x7f" },
        { "\\x1b", 4, "\\\\x1b" }, /* looks like an escape and is none */
        { "\xff\xfe", 2, "\\xff\\xfe" },
        { "\xe2\x80\xae"
          "abc",
          6, "\\u{202e}abc" },                    /* right-to-left override */
        { "e\xcc\x81", 3, "e\\u{0301}" },         /* combining acute */
        { "\xe2\x80\x8b", 3, "\\u{200b}" },       /* zero width space */
        { "\xd7\x90", 2, "\\u{05d0}" },           /* Hebrew alef: terminals may reorder the line */
        { "\xed\xa0\x80", 3, "\\xed\\xa0\\x80" }, /* surrogate */
        { "\xef\xbb\xbf", 3, "\\u{feff}" },
        { "\xc3\xa9", 2, "\xc3\xa9" },           /* e acute */
        { "\xe6\xbc\xa2", 3, "\xe6\xbc\xa2" },   /* wide */
        { "\xf0\x9f\x8f\xbd", 4, "\\u{1f3fd}" }, /* skin tone modifier */
    };
    struct grid g;
    (void)state;
    assert_true(grid_init(&g, 1, 40, true));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        grid_clear(&g);
        struct view v = view_of(cases[i].octets, cases[i].len);
        int used = grid_view(&g, 0, 0, 40, STYLE_NORMAL, v);
        assert_line(&g, 0, cases[i].shown);
        assert_int_equal(used, grid_width(v, true));
        assert_cells_sound(&g);
    }
    grid_done(&g);
}

static void without_unicode_all_is_ascii(void **state)
{
    struct grid g;
    (void)state;
    assert_true(grid_init(&g, 3, 20, false));
    grid_text(&g, 0, 0, 20, STYLE_NORMAL, "caf\xc3\xa9");
    assert_line(&g, 0, "caf\\u{00e9}");
    grid_box(&g, (struct rect){ 1, 0, 2, 4 }, STYLE_NORMAL, NULL);
    assert_line(&g, 1, "+--+");
    grid_done(&g);
}

static void text_never_leaves_its_columns(void **state)
{
    struct grid g;
    (void)state;
    assert_true(grid_init(&g, 1, 10, true));
    for (int w = 0; w <= 6; w++) {
        grid_fill(&g, grid_all(&g), '#', STYLE_NORMAL);
        int used = grid_view(&g, 0, 2, w, STYLE_NORMAL, text("\xe6\xbc\xa2\x1b\xe6\xbc\xa2xy"));
        assert_true(used <= w);
        assert_int_equal(grid_at(&g, 0, 1)->ch, '#');
        assert_int_equal(grid_at(&g, 0, 2 + w)->ch, '#');
        assert_cells_sound(&g);
    }
    grid_done(&g);
}

static void what_does_not_fit_is_said(void **state)
{
    struct grid g;
    (void)state;
    assert_true(grid_init(&g, 1, 10, true));
    grid_text(&g, 0, 0, 4, STYLE_NORMAL, "abcd");
    assert_line(&g, 0, "abcd");
    grid_clear(&g);
    grid_text(&g, 0, 0, 4, STYLE_NORMAL, "abcde");
    assert_line(&g, 0, "abc~");
    grid_clear(&g);
    grid_view(&g, 0, 0, 4, STYLE_NORMAL,
              text("\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2")); /* three wide ones: room for one and ~ */
    assert_line(&g, 0, "\xe6\xbc\xa2~");
    grid_clear(&g);
    grid_right(&g, 0, 2, 5, STYLE_NORMAL, "xy");
    assert_line(&g, 0, "     xy");
    grid_done(&g);
}

static void half_a_wide_character_never_stays(void **state)
{
    struct grid g;
    (void)state;
    assert_true(grid_init(&g, 1, 6, true));
    grid_text(&g, 0, 0, 6, STYLE_NORMAL, "\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2");
    grid_put(&g, 0, 1, 'x', STYLE_NORMAL); /* over a tail */
    assert_line(&g, 0, " x\xe6\xbc\xa2\xe6\xbc\xa2");
    grid_put(&g, 0, 2, 'y', STYLE_NORMAL); /* over a head */
    assert_line(&g, 0, " xy \xe6\xbc\xa2");
    grid_text(&g, 0, 5, 3, STYLE_NORMAL, "\xe6\xbc\xa2"); /* half outside */
    assert_cells_sound(&g);
    grid_done(&g);
}

static void drawing_outside_does_nothing(void **state)
{
    struct grid g;
    (void)state;
    assert_true(grid_init(&g, 2, 4, true));
    grid_text(&g, 5, 0, 4, STYLE_NORMAL, "x");
    grid_text(&g, 0, -3, 8, STYLE_NORMAL, "xyz");
    grid_text(&g, 0, 100, 8, STYLE_NORMAL, "xyz");
    grid_fill(&g, (struct rect){ -2, -2, 100, 100 }, '.', STYLE_NORMAL);
    grid_mark(&g, 9, 9, 9, GRID_SELECTED);
    assert_line(&g, 0, "....");
    assert_line(&g, 1, "....");
    assert_null(grid_at(&g, 2, 0));
    grid_done(&g);
}

/* Every string of two octets, and every code point, at every place of a narrow column. */
static void no_octets_get_through(void **state)
{
    struct grid g;
    (void)state;
    assert_true(grid_init(&g, 1, 12, true));
    for (unsigned pair = 0; pair < 65536; pair++) {
        const uint8_t octets[3] = { (uint8_t)(pair >> 8), (uint8_t)pair, 'x' };
        grid_view(&g, 0, 0, (int)(pair % 13), STYLE_NORMAL, view_of(octets, 3));
        assert_cells_sound(&g);
    }
    for (uint32_t c = 0x800; c < 0x110000; c += c < 0x20000 ? 1 : 257) {
        uint8_t octets[4] = { (uint8_t)(0xf0 | c >> 18), (uint8_t)(0x80 | (c >> 12 & 63)),
                              (uint8_t)(0x80 | (c >> 6 & 63)), (uint8_t)(0x80 | (c & 63)) };
        struct view v = view_of(octets, 4);
        if (c < 0x10000) {
            octets[1] = (uint8_t)(0xe0 | c >> 12);
            v = view_of(octets + 1, 3);
        }
        int used = grid_view(&g, 0, 0, 12, STYLE_NORMAL, v);
        assert_int_equal(used, grid_width(v, true) < 12 ? grid_width(v, true) : used);
        assert_cells_sound(&g);
    }
    grid_done(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_text_is_escaped),
        cmocka_unit_test(without_unicode_all_is_ascii),
        cmocka_unit_test(text_never_leaves_its_columns),
        cmocka_unit_test(what_does_not_fit_is_said),
        cmocka_unit_test(half_a_wide_character_never_stays),
        cmocka_unit_test(drawing_outside_does_nothing),
        cmocka_unit_test(no_octets_get_through),
    };
    if (setlocale(LC_CTYPE, "C.UTF-8") == NULL && setlocale(LC_CTYPE, "en_US.UTF-8") == NULL)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
