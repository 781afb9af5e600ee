/* SPDX-License-Identifier: Apache-2.0
 *
 * Two packets beside each other, field by field; what differs is marked. */
#include "tui/detail.h"
#include <stdlib.h>
#include <string.h>

enum { LINES_MOST = 600 };

struct pairs {
    struct packet_line left[LINES_MOST], right[LINES_MOST];
    int n_left, n_right;
    int of_left[2 * LINES_MOST], of_right[2 * LINES_MOST]; /* index or -1 */
    int n;
};

void compare_open(struct app *a, uint64_t left, uint64_t right)
{
    a->compare = (struct compare_screen){ .left = left, .right = right };
    app_push(a, SCREEN_COMPARE);
}

bool compare_act(struct app *a, enum action action, uint64_t seq)
{
    if (action == ACTION_SELECT && seq != UINT64_MAX)
        app_select(a, seq);
    else if (action == ACTION_COMPARE && seq != UINT64_MAX && a->n_selected > 0)
        compare_open(a, a->selected[a->n_selected - 1], seq);
    else if (action == ACTION_COMPARE)
        app_say(a, true, "Space selects the packet to compare with");
    return action == ACTION_SELECT || action == ACTION_COMPARE;
}

/* Where line i of `from` has its like in `other`, at or behind `after`; -1: nowhere. */
static int like(const struct packet_line *line, const struct packet_line *other, int after, int n)
{
    for (int i = after; i < n; i++)
        if (other[i].field == line->field && other[i].depth == line->depth && strcmp(other[i].label, line->label) == 0)
            return i;
    return -1;
}

/* Lines of the same field stand beside each other; both orders are kept. */
static void align(struct pairs *p)
{
    int i = 0, k = 0;
    p->n = 0;
    while (i < p->n_left || k < p->n_right) {
        int at = i < p->n_left ? like(&p->left[i], p->right, k, p->n_right) : -1;
        if (i < p->n_left && at < 0) {
            p->of_left[p->n] = i++;
            p->of_right[p->n++] = -1;
        } else if (k < p->n_right && (at < 0 || k < at)) {
            p->of_left[p->n] = -1;
            p->of_right[p->n++] = k++;
        } else {
            p->of_left[p->n] = i++;
            p->of_right[p->n++] = k++;
        }
    }
}

static void draw_side(struct grid *g, int y, int x, int w, const struct packet_line *l, bool differs)
{
    int at = x + 2 * l->depth;
    at += grid_text(g, y, at, x + w - at, differs ? STYLE_WARNING : STYLE_HEAD, l->label);
    if (l->label[0] != 0 && l->value[0] != 0)
        at += grid_text(g, y, at, x + w - at, STYLE_NORMAL, ": ");
    grid_text(g, y, at, x + w - at, differs ? STYLE_WARNING : STYLE_NORMAL, l->value);
}

static void draw_pair(struct grid *g, int y, struct rect r, const struct pairs *p, int line)
{
    int half = (r.w - 3) / 2, i = p->of_left[line], k = p->of_right[line];
    bool differs = i < 0 || k < 0 || strcmp(p->left[i].value, p->right[k].value) != 0;
    if (i >= 0)
        draw_side(g, y, r.x, half, &p->left[i], differs);
    grid_put(g, y, r.x + half + 1,
             differs ? (i < 0   ? '+'
                        : k < 0 ? '-'
                                : '*')
                     : grid_line(g, LINE_V),
             differs ? STYLE_WARNING : STYLE_DIM);
    if (k >= 0)
        draw_side(g, y, r.x + half + 3, half, &p->right[k], differs);
}

static void draw_head(struct app *a, struct grid *g, int y, int x, int w, const struct store_entry *e)
{
    struct label label;
    char text[TEXT_CAP];
    (void)a;
    label_of(&label, e);
    int at = x + grid_printf(g, y, x, w, STYLE_HEAD, "#%s %s ", text_count(text, e->meta->number),
                             text_time((char[TEXT_CAP]){ 0 }, e->meta->time_ns));
    label_draw(g, y, at, x + w - at, text_style(e->meta), &label);
}

static bool fill(struct app *a, struct pairs *p, struct store_entry *left, struct store_entry *right)
{
    struct detail_options options = { .secrets = a->config.number[CONFIG_PASSWORDS] != 0, .format = 0 };
    if (!store_get(a->store, a->compare.left, left) || !store_get(a->store, a->compare.right, right))
        return false;
    p->n_left = detail_lines(left, &options, p->left, LINES_MOST);
    p->n_right = detail_lines(right, &options, p->right, LINES_MOST);
    align(p);
    return true;
}

static void draw(struct app *a, struct grid *g, struct rect body)
{
    struct store_entry left, right;
    struct pairs *p = malloc(sizeof *p);
    int half = (body.w - 3) / 2, differ = 0;
    char text[TEXT_CAP];
    if (p == NULL || !fill(a, p, &left, &right)) {
        grid_text(g, body.y + 1, 2, body.w - 4, STYLE_DIM, "one of the packets is no longer held");
        free(p);
        return;
    }
    list_settle(&a->compare.list, (uint64_t)p->n, body.h - 2);
    draw_head(a, g, body.y, 0, half, &left);
    draw_head(a, g, body.y, half + 3, half, &right);
    for (int i = 0; i < p->n; i++)
        differ += p->of_left[i] < 0 || p->of_right[i] < 0 ||
                  strcmp(p->left[p->of_left[i]].value, p->right[p->of_right[i]].value) != 0;
    grid_hline(g, body.y + 1, 0, body.w, STYLE_DIM);
    grid_printf(g, body.y + 1, 2, body.w - 4, STYLE_DIM, " %d lines differ; the right one came %s %s ", differ,
                text_duration(text, llabs((long long)(right.meta->time_ns - left.meta->time_ns))),
                right.meta->time_ns < left.meta->time_ns ? "earlier" : "later");
    for (int i = 0; i < body.h - 2 && (int)a->compare.list.top + i < p->n; i++) {
        int line = (int)a->compare.list.top + i;
        draw_pair(g, body.y + 2 + i, body, p, line);
        if ((uint64_t)line == a->compare.list.at)
            grid_mark(g, body.y + 2 + i, 0, body.w, GRID_SELECTED);
    }
    free(p);
}

static bool action(struct app *a, enum action action, unsigned count)
{
    struct store_entry left, right;
    if (action == ACTION_PANE) {
        uint64_t swap = a->compare.left;
        a->compare.left = a->compare.right;
        a->compare.right = swap;
        return true;
    }
    struct pairs *p = malloc(sizeof *p);
    uint64_t n = p != NULL && fill(a, p, &left, &right) ? (uint64_t)p->n : 0;
    free(p);
    return list_action(&a->compare.list, action, count, n);
}

const struct screen screen_compare = { .draw = draw, .action = action };
