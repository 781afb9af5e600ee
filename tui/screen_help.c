/* SPDX-License-Identifier: Apache-2.0
 *
 * Help: the keys of the screen it was called from, out of the one table, and what the signs mean. */
#include "tui/app.h"
#include <string.h>

static const char *const signs[][2] = {
    { "! w i", "error, warning, note; d shows what is wrong where" },
    { "! close", "the connection ended while somebody owed a packet" },
    { "~", "sent again (retransmission of MQTT, not of TCP)" },
    { "?", "unknown: octets are missing, or the start was not captured" },
    { "D R q1 #7", "in a label: DUP, RETAIN, QoS 1, Packet Identifier 7" },
    { "*", "selected with Space" },
    { "+ - |", "the handshake under the cursor is held together by a bracket" },
};
enum { SIGNS = sizeof signs / sizeof *signs };

static int count_lines(enum screen_id of)
{
    int n = 0;
    for (int action = ACTION_NONE + 1; action < ACTION_COUNT; action++)
        n += keys_active((enum action)action, of);
    return n + SIGNS + 3;
}

static void draw_line(struct grid *g, int y, int w, const char *left, const char *right, uint8_t style)
{
    grid_text(g, y, 2, 14, style, left);
    grid_text(g, y, 17, w - 18, STYLE_NORMAL, right);
}

/* The keys of this screen alone come first. */
static int nth_action(enum screen_id of, int n)
{
    for (int pass = 0; pass < 2; pass++)
        for (int action = ACTION_NONE + 1; action < ACTION_COUNT; action++) {
            bool everywhere = keys_active((enum action)action, SCREEN_HELP);
            if (keys_active((enum action)action, of) && everywhere == (pass == 1) && n-- == 0)
                return action;
        }
    return ACTION_NONE;
}

static void draw(struct app *a, struct grid *g, struct rect body)
{
    int n = count_lines(a->help.of), page = body.h - 1, keys = n - SIGNS - 3;
    char title[80];
    snprintf(title, sizeof title, "help: %s", screen_name(a->help.of));
    grid_text(g, body.y, 1, body.w - 2, STYLE_HEAD, title);
    if (n > page)
        grid_right(g, body.y, body.w - 24, 23, STYLE_DIM, "j and k scroll");
    a->help.list.page = page;
    int most = n > page ? n - page : 0;
    if ((int)a->help.list.top > most)
        a->help.list.top = (uint64_t)most;
    for (int i = 0; i < page && (int)a->help.list.top + i < n; i++) {
        int line = (int)a->help.list.top + i, y = body.y + 1 + i;
        if (line < keys) {
            int action = nth_action(a->help.of, line);
            draw_line(g, y, body.w, keys_names((enum action)action), keys_text((enum action)action), STYLE_KEY);
        } else if (line == keys + 1) {
            grid_text(g, y, 1, body.w - 2, STYLE_HEAD, "signs");
        } else if (line >= keys + 2 && line < n - 1) {
            draw_line(g, y, body.w, signs[line - keys - 2][0], signs[line - keys - 2][1], STYLE_WARNING);
        }
    }
}

static bool action(struct app *a, enum action action, unsigned count)
{
    struct list *l = &a->help.list;
    if (action == ACTION_HELP) {
        app_pop(a);
        return true;
    }
    l->at = l->top;
    if (!list_action(l, action, count, (uint64_t)count_lines(a->help.of)))
        return false;
    l->top = l->at;
    return true;
}

const struct screen screen_help = { .draw = draw, .action = action };
