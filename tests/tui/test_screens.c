/* SPDX-License-Identifier: Apache-2.0
 *
 * The screens of tests/tui/cases.txt, drawn into cells and held against tests/tui/screens. */
#include "tui/feed.h"
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { CASES = 100 };

static const struct {
    int cols, rows;
} sizes[] = { { 80, 24 }, { 120, 40 }, { 200, 50 } };

struct one {
    char name[64], capture[128], keys[256];
};

static struct one cases[CASES];
static struct CMUnitTest tests[CASES];

static void assert_sound(const struct grid *g)
{
    for (int y = 0; y < g->rows; y++)
        for (int x = 0; x < g->cols; x++) {
            const struct cell *c = grid_at(g, y, x);
            if (!(c->flags & GRID_WIDE_TAIL) && (c->ch < 0x20 || (c->ch >= 0x7f && c->ch < 0xa0)))
                fail_msg("cell %d,%d holds U+%04X", y, x, c->ch);
        }
}

static void press(struct app *a, struct grid *g, uint32_t key)
{
    app_key(a, &(struct key_event){ .key = key });
    while (app_work(a))
        ;
    app_draw(a, g);
    assert_sound(g);
}

static void type(struct app *a, struct grid *g, const char *keys)
{
    for (; *keys != 0; keys += strspn(keys, " ")) {
        size_t len = strcspn(keys, " ");
        if (keys[0] == '"')
            for (size_t i = 1; i < len; i++)
                press(a, g, (uint8_t)keys[i]);
        else
            press(a, g, keys_parse(keys, len));
        keys += len;
    }
}

static char *screen_text(const struct grid *g)
{
    char *out = malloc((size_t)g->rows * ((size_t)g->cols * 4 + 2) + 1), *at = out;
    for (int y = 0; y < g->rows; y++) {
        at += grid_line_text(g, y, at);
        *at++ = '\n';
    }
    *at = 0;
    return out;
}

static char *read_whole(const char *path)
{
    FILE *f = fopen(path, "r");
    char *out = NULL;
    size_t len = 0;
    if (f == NULL)
        return strdup("");
    FILE *to = open_memstream(&out, &len);
    for (int c; (c = fgetc(f)) != EOF;)
        fputc(c, to);
    fclose(to);
    fclose(f);
    return out;
}

static void hold_against(const struct one *c, const struct grid *g)
{
    char path[300];
    char *got = screen_text(g);
    snprintf(path, sizeof path, "tests/tui/screens/%s.%dx%d.txt", c->name, g->cols, g->rows);
    if (getenv("UPDATE") != NULL) {
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        fputs(got, f);
        fclose(f);
    }
    char *want = read_whole(path);
    if (strcmp(got, want) != 0)
        fail_msg("%s: got\n%swant\n%s", path, got, want);
    free(got);
    free(want);
}

static void draw_case(void **state)
{
    const struct one *c = *state;
    struct config config;
    char path[256], error[PIPELINE_ERROR_MAX];
    bool usage;
    snprintf(path, sizeof path, strchr(c->capture, '/') != NULL ? "tests/%s" : "tests/captures/%s", c->capture);
    struct pipeline_options options = { .file = path, .budget = pipeline_budget_default() };
    config_defaults(&config);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct store *store = store_new(config.number[CONFIG_MEMORY] << 20);
        static struct app app;
        struct grid g;
        assert_true(app_init(&app, store, &config));
        assert_true(grid_init(&g, sizes[i].rows, sizes[i].cols, true));
        struct feed *feed = feed_open(&app, &options, NULL, error, &usage);
        if (feed == NULL)
            fail_msg("%s: %s", path, error);
        feed_run(feed);
        press(&app, &g, KEYC_RESIZE);
        type(&app, &g, c->keys);
        hold_against(c, &g);
        feed_close(feed);
        app_done(&app);
        grid_done(&g);
        store_free(store);
    }
}

static int read_cases(void)
{
    FILE *f = fopen("tests/tui/cases.txt", "r");
    char line[512];
    int n = 0;
    if (f == NULL)
        return 0;
    while (n < CASES && fgets(line, sizeof line, f) != NULL) {
        line[strcspn(line, "\n")] = 0;
        int at = 0;
        if (line[0] == '#' || sscanf(line, "%63s %127s %n", cases[n].name, cases[n].capture, &at) < 2)
            continue;
        snprintf(cases[n].keys, sizeof cases[n].keys, "%s", line + at);
        tests[n] = (struct CMUnitTest){ .name = cases[n].name, .test_func = draw_case, .initial_state = &cases[n] };
        n++;
    }
    fclose(f);
    return n;
}

int main(void)
{
    if (setlocale(LC_CTYPE, "C.UTF-8") == NULL)
        return 1;
    setenv("TZ", "UTC", 1);
    int n = read_cases();
    return n == 0 ? 1 : _cmocka_run_group_tests("screens", tests, (size_t)n, NULL, NULL);
}
