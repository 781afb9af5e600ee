/* SPDX-License-Identifier: Apache-2.0
 *
 * The topics: a tree with rates and sizes, and the last value of the one under the cursor. */
#include "tui/detail.h"
#include <stdio.h>
#include <string.h>

static int by_messages(const struct topic_node *a, const struct topic_node *b)
{
    return (b->all > a->all) - (b->all < a->all);
}

static int by_octets(const struct topic_node *a, const struct topic_node *b)
{
    return (b->octets > a->octets) - (b->octets < a->octets);
}

static int by_time(const struct topic_node *a, const struct topic_node *b)
{
    return (b->last_ns > a->last_ns) - (b->last_ns < a->last_ns);
}

static const struct {
    const char *name;
    topics_order order;
} orders[] = { { "name", NULL }, { "messages", by_messages }, { "octets", by_octets }, { "time", by_time } };
enum { ORDERS = sizeof orders / sizeof *orders };

static int64_t now_ns(const struct app *a)
{
    return a->source.live && !a->source.ended ? a->wall_ns : store_totals(a->store)->last_ns;
}

static uint32_t make_lines(struct app *a)
{
    return topics_lines(a->topics, orders[a->topic_list.sort].order, a->topic_list.reverse);
}

static void peers_text(char out[TEXT_CAP], uint8_t n)
{
    snprintf(out, TEXT_CAP, n > TOPICS_PEERS ? "%d+" : "%d", n > TOPICS_PEERS ? TOPICS_PEERS : n);
}

static void draw_line(struct app *a, struct grid *g, int y, int w, const struct topic_node *n)
{
    char text[TEXT_CAP];
    bool own = n->published + n->delivered > 0;
    int right = w - 1, x = 1 + 2 * (n->depth - 1 < 12 ? n->depth - 1 : 12);
    grid_put(g, y, x, n->child == 0 ? ' ' : n->open ? '-' : '+', STYLE_KEY);
    int name_w = right - (w >= 100 ? 56 : 38) - x - 2;
    if (n->name_len == 0)
        grid_text(g, y, x + 2, name_w, STYLE_DIM, "(empty level)");
    else
        grid_view(g, y, x + 2, name_w, own ? STYLE_HEAD : STYLE_NORMAL, view_of(n->name, n->name_len));
    grid_right(g, y, right - 37, 6, STYLE_NORMAL, text_count(text, n->all));
    if (!own)
        return;
    snprintf(text, sizeof text, "%.1f", topics_rate(n, now_ns(a)));
    grid_right(g, y, right - 30, 7, STYLE_NORMAL, text);
    grid_right(g, y, right - 22, 8, STYLE_NORMAL, text_octets(text, n->octets));
    snprintf(text, sizeof text, "%c q%u", n->retained ? 'R' : ' ', n->last_qos);
    grid_text(g, y, right - 13, 4, n->retained ? STYLE_NOTE : STYLE_NORMAL, text);
    peers_text(text, n->n_publishers);
    grid_right(g, y, right - 8, 3, STYLE_NORMAL, text);
    peers_text(text, n->n_receivers);
    grid_right(g, y, right - 4, 3, STYLE_NORMAL, text);
    if (w >= 100)
        grid_text(g, y, right - 55, 13, STYLE_DIM, text_time(text, n->last_ns));
}

struct value_lines {
    struct grid *g;
    struct rect r;
    int line, skip;
};

static void value_line(void *ctx, struct view text, int indent)
{
    struct value_lines *v = ctx;
    int y = v->line++ - v->skip, x = 2 * (indent < 20 ? indent : 20);
    if (y >= 0 && y < v->r.h)
        grid_view(v->g, v->r.y + y, v->r.x + x, v->r.w - x, STYLE_NORMAL, text);
}

static void draw_peers(struct app *a, struct grid *g, int y, int x, int w, const char *what, const uint32_t *peers,
                       uint8_t n)
{
    struct track_session s;
    char buffer[72];
    int end = x + w;
    if (n == 0)
        return;
    x += grid_text(g, y, x, end - x, STYLE_DIM, what);
    for (int i = 0; i < n && i < TOPICS_PEERS; i++)
        if (app_session(a, peers[i], &s)) {
            x += grid_text(g, y, x, end - x, STYLE_DIM, " ");
            x += grid_view(g, y, x, end - x < 24 ? end - x : 24, STYLE_NORMAL,
                           text_client(buffer, s.client_id, &s.client));
        }
    if (n > TOPICS_PEERS)
        grid_text(g, y, x, end - x, STYLE_DIM, " and more");
}

static void draw_value(struct app *a, struct grid *g, struct rect r, uint32_t index)
{
    static const char *const formats[] = { "text", "JSON", "octets" };
    const struct topic_node *n = topics_node(a->topics, index);
    uint8_t path[1024];
    char text[TEXT_CAP];
    if (n == NULL || r.h < 3)
        return;
    grid_hline(g, r.y, 0, r.w, STYLE_DIM);
    int x = 2 + grid_text(g, r.y, 2, r.w - 4, STYLE_DIM, " ");
    x +=
        grid_view(g, r.y, x, r.w - x - 20, STYLE_HEAD, view_of(path, topics_path(a->topics, index, path, sizeof path)));
    grid_text(g, r.y, x, r.w - x, STYLE_DIM, " ");
    if (n->published + n->delivered == 0)
        return;
    x = 1 + grid_printf(g, r.y + 1, 1, r.w - 2, STYLE_DIM, "%llu published, %llu delivered, last %s of %s as %s%s%s",
                        (unsigned long long)n->published, (unsigned long long)n->delivered,
                        text_octets(text, n->payload_len), text_time((char[TEXT_CAP]){ 0 }, n->last_ns),
                        formats[a->topic_list.format],
                        n->retained         ? ", retained"
                        : n->retained_known ? ", retained value cleared"
                                            : "",
                        n->cut ? ", cut" : "");
    draw_peers(a, g, r.y + 2, 1, r.w / 2 - 1, "from", n->publishers, n->n_publishers);
    draw_peers(a, g, r.y + 2, r.w / 2, r.w / 2 - 1, "to", n->receivers, n->n_receivers);
    struct value_lines v = { .g = g, .r = { r.y + 3, 1, r.h - 3, r.w - 2 }, .skip = (int)a->topic_list.value.top };
    detail_payload(view_of(n->value, n->value_len), a->topic_list.format, 300, value_line, &v);
}

static void draw(struct app *a, struct grid *g, struct rect body)
{
    struct topics_screen *s = &a->topic_list;
    uint32_t n = make_lines(a);
    int right = body.w - 1, below = s->zoom ? body.h : body.h >= 14 ? body.h * 2 / 5 : 0;
    list_settle(&s->list, n, body.h - 1 - below > 0 ? body.h - 1 - below : 1);
    uint32_t at = topics_line(a->topics, (uint32_t)s->list.at);
    if (s->zoom) {
        draw_value(a, g, body, at);
        return;
    }
    char title[80], lost[TEXT_CAP];
    snprintf(title, sizeof title, "topic, by %s", orders[s->sort].name);
    int x = 3 + grid_text(g, body.y, 3, 30, STYLE_HEAD, title);
    if (topics_lost(a->topics) > 0)
        grid_printf(g, body.y, x + 1, 20, STYLE_WARNING, "%s not listed", text_count(lost, topics_lost(a->topics)));
    if (body.w >= 100)
        grid_text(g, body.y, right - 55, 13, STYLE_HEAD, "last");
    grid_right(g, body.y, right - 37, 6, STYLE_HEAD, "msgs");
    grid_right(g, body.y, right - 30, 7, STYLE_HEAD, "per s");
    grid_right(g, body.y, right - 22, 8, STYLE_HEAD, "octets");
    grid_text(g, body.y, right - 13, 4, STYLE_HEAD, "R q");
    grid_right(g, body.y, right - 9, 4, STYLE_HEAD, "from");
    grid_right(g, body.y, right - 4, 3, STYLE_HEAD, "to");
    if (n == 0)
        grid_text(g, body.y + 2, 2, body.w - 4, STYLE_DIM, "no PUBLISH yet");
    for (int i = 0; i < s->list.page && s->list.top + (uint64_t)i < n; i++) {
        uint64_t line = s->list.top + (uint64_t)i;
        draw_line(a, g, body.y + 1 + i, body.w, topics_node(a->topics, topics_line(a->topics, (uint32_t)line)));
        if (line == s->list.at)
            grid_mark(g, body.y + 1 + i, 0, body.w, GRID_SELECTED);
    }
    if (below > 0)
        draw_value(a, g, (struct rect){ body.y + body.h - below, 0, below, body.w }, at);
}

static void open_packet(struct app *a, const struct topic_node *n)
{
    if (n == NULL || n->value_seq_frame == 0)
        return;
    uint64_t seq = store_at_frame(a->store, n->value_seq_frame);
    app_push(a, SCREEN_PACKETS);
    packets_open(a, 0, UINT32_MAX, seq);
}

static bool action(struct app *a, enum action action, unsigned count)
{
    struct topics_screen *s = &a->topic_list;
    uint32_t n = make_lines(a), index = topics_line(a->topics, (uint32_t)s->list.at);
    struct topic_node *node = topics_node(a->topics, index);
    if (s->zoom || s->value_pane ? list_action(&s->value, action, count, 300)
                                 : list_action(&s->list, action, count, n)) {
        s->value.top = s->value.at;
        if (!s->zoom && !s->value_pane)
            s->value.at = s->value.top = 0;
        return true;
    }
    switch (action) {
    case ACTION_RIGHT:
    case ACTION_LEFT:
    case ACTION_OPEN:
        if (node != NULL)
            topics_open(a->topics, index, action == ACTION_RIGHT || (action == ACTION_OPEN && !node->open));
        return true;
    case ACTION_BACK:
        if (!s->zoom && !s->value_pane)
            return false;
        s->zoom = s->value_pane = false;
        return true;
    case ACTION_ZOOM:
        s->zoom = !s->zoom;
        return true;
    case ACTION_PANE:
        s->value_pane = !s->value_pane;
        return true;
    case ACTION_FORMAT:
        s->format = (s->format + 1) % 3;
        return true;
    case ACTION_DETAIL:
        open_packet(a, node);
        return true;
    case ACTION_SORT_LEFT:
        s->sort = (s->sort + ORDERS - 1) % ORDERS;
        return true;
    case ACTION_SORT_RIGHT:
        s->sort = (s->sort + 1) % ORDERS;
        return true;
    case ACTION_SORT_REVERSE:
        s->reverse = !s->reverse;
        return true;
    default:
        return false;
    }
}

static struct list *listed(struct app *a, uint64_t *lines)
{
    *lines = make_lines(a);
    return &a->topic_list.list;
}

static bool line_has(struct app *a, uint64_t line)
{
    uint8_t path[1024];
    uint32_t node = topics_line(a->topics, (uint32_t)line);
    return app_contains(view_of(path, topics_path(a->topics, node, path, sizeof path)), a->find_text);
}

static void click(struct app *a, int y, int x)
{
    (void)x;
    uint64_t line = a->topic_list.list.top + (uint64_t)(y > 0 ? y - 1 : 0);
    if (y >= 1 && y <= a->topic_list.list.page && line < make_lines(a))
        a->topic_list.list.at = line;
}

const struct screen screen_topics = {
    .draw = draw, .action = action, .list = listed, .line_has = line_has, .click = click
};
