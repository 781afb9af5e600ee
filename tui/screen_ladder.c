/* SPDX-License-Identifier: Apache-2.0
 *
 * The ladder: packets of one session (or one handshake of it, or several clients) as arrows between lifelines. */
#include "tui/copies.h"
#include "tui/ladder.h"
#include <stdio.h>
#include <string.h>

enum {
    WORK_ROWS = 20000,
    LOOK_AROUND = 4000,
    INNER_LEAST = 28,
    INNER_MOST = 60,
    NOTE_LEAST = 20,
    TROUBLE_ROWS = 1 << 20,
    BRACKET_WIDTH = 1
};

static void follow_exchange(struct ladder_screen *l, const struct store_row *m, uint64_t seq)
{
    if (m->exchange != 0 && m->kind == STORE_PACKET)
        l->tails[m->exchange % LADDER_TAILS] = (struct ladder_tail){ m->exchange, seq };
}

static bool is_latest(const struct ladder_screen *l, const struct store_row *m, uint64_t seq)
{
    const struct ladder_tail *t = &l->tails[m->exchange % LADDER_TAILS];
    return m->exchange != 0 && t->exchange == m->exchange && t->seq == seq;
}

/* ---- which rows ------------------------------------------------------------------------------------------------- */

static bool belongs(const struct ladder_screen *l, const struct store_row *m)
{
    for (int i = 0; i < l->n_sessions; i++)
        if (l->sessions[i] != 0 ? m->session == l->sessions[i] : m->stream == l->stream)
            return true;
    return false;
}

/* Copies that other clients got of what this one published. */
static bool is_copy(struct app *a, struct store *s, uint64_t seq, const struct store_row *m, bool own)
{
    struct store_entry e;
    bool publish = m->first_octet >> 4 == MQTT_PUBLISH;
    if (m->kind != STORE_PACKET || !a->ladder.subscriber)
        return false;
    if (!publish)
        return !own && copies_exchange(a->ladder.copies, m->exchange);
    if (!store_get(s, seq, &e))
        return false;
    struct view topic = e.packet.publish.topic.len > 0 ? e.packet.publish.topic : e.row.alias_topic;
    if (own && m->sender == MQTT_CLIENT)
        copies_published(a->ladder.copies, topic, e.packet.publish.payload, m->time_ns);
    return !own && m->sender == MQTT_SERVER &&
           copies_delivered(a->ladder.copies, topic, e.packet.publish.payload, m->time_ns, m->exchange);
}

/* One handshake: its packets, and what happens to the connection from its first packet to its last. */
static bool around_exchange(struct ladder_screen *l, const struct store_row *m)
{
    if (m->exchange == l->exchange && m->kind == STORE_PACKET) {
        l->started = true;
        l->over = m->x_outcome != TRACK_OPEN;
        return true;
    }
    unsigned type = m->first_octet >> 4;
    return l->started && !l->over &&
           (m->kind != STORE_PACKET || type == MQTT_CONNECT || type == MQTT_CONNACK || type == MQTT_DISCONNECT);
}

static bool keep(void *ctx, struct store *s, uint64_t seq, const struct store_row *m)
{
    struct app *a = ctx;
    struct ladder_screen *l = &a->ladder;
    struct store_entry e;
    bool own = belongs(l, m), copy = is_copy(a, s, seq, m, own);
    if (!own && !copy)
        return false;
    follow_exchange(l, m, seq);
    if (own && l->exchange != 0 && !around_exchange(l, m))
        return false;
    if (m->kind == STORE_OPEN && m->from_syn) /* CONNECT says it */
        return false;
    if (m->kind == STORE_CLOSE && m->close == STORE_ENDED && m->owed_by == MQTT_NOBODY)
        return false;
    if (a->filter != NULL && m->kind == STORE_PACKET && (!store_get(s, seq, &e) || !filter_match(a->filter, &e.row)))
        return false;
    return true;
}

static void restart(struct app *a)
{
    a->ladder.started = a->ladder.over = false;
    copies_clear(a->ladder.copies);
    memset(a->ladder.tails, 0, LADDER_TAILS * sizeof *a->ladder.tails);
    rowset_start(&a->ladder.rows, a->store, keep, a);
}

void ladder_open(struct app *a, const uint32_t *sessions, int n, uint32_t stream)
{
    struct ladder_screen *l = &a->ladder;
    bool same =
        n == l->n_sessions && stream == l->stream && memcmp(sessions, l->sessions, (size_t)n * sizeof *sessions) == 0;
    memmove(l->sessions, sessions, (size_t)n * sizeof *sessions);
    l->n_sessions = n;
    l->stream = stream;
    if (!same) {
        l->exchange = 0;
        l->list = (struct list){ .follow = a->source.live && !a->source.ended && a->config.number[CONFIG_FOLLOW] };
    }
    restart(a);
}

static bool work(struct app *a)
{
    return rowset_step(&a->ladder.rows, a->store, WORK_ROWS);
}

/* Puts the cursor on the row; searches on until it has been reached. */
void ladder_go(struct app *a, uint64_t seq)
{
    struct ladder_screen *l = &a->ladder;
    while (l->rows.next <= seq && rowset_step(&l->rows, a->store, WORK_ROWS))
        ;
    l->list.follow = false;
    l->list.at = rowset_line(&l->rows, a->store, seq);
}

static const struct store_row *line_meta(struct app *a, uint64_t line, uint64_t *seq)
{
    *seq = rowset_seq(&a->ladder.rows, a->store, line);
    return *seq == UINT64_MAX ? NULL : store_meta(a->store, *seq);
}

/* ---- layout ----------------------------------------------------------------------------------------------------- */

struct layout {
    int time_x, time_w, delta_x, sign_x, bracket_x;
    int life[APP_SESSIONS_CHOSEN + 2]; /* column of each lifeline: clients, broker, subscriber */
    int n_life, broker;
    int note_x, note_w;
    int inner;
};

static struct layout layout_of(const struct app *a, int w)
{
    int gaps = a->ladder.n_sessions + (a->ladder.subscriber ? 1 : 0);
    struct layout out = { .time_x = 1, .time_w = w >= (gaps > 1 ? 96 : 72) ? 13 : 0 }; /* a note is worth more */
    out.delta_x = out.time_w > 0 ? 15 : 1;
    out.sign_x = out.delta_x + 10;
    out.bracket_x = out.sign_x + 1;
    int first = out.bracket_x + 1, room = w - first - gaps - 1;
    out.inner = (room * (gaps == 1 ? 55 : 80) / 100) / gaps;
    if (out.inner > INNER_MOST)
        out.inner = INNER_MOST;
    if (gaps > 1 && out.inner < 24) /* more than fits: scroll sideways */
        out.inner = 24;
    if (gaps == 1 && out.inner < INNER_LEAST)
        out.inner = INNER_LEAST < room ? INNER_LEAST : room;
    out.n_life = gaps + 1;
    out.broker = a->ladder.n_sessions;
    for (int i = 0; i <= gaps; i++)
        out.life[i] = first + i * (out.inner + 1) - a->ladder.list.left;
    out.note_x = out.life[gaps] + 2;
    out.note_w = w - out.note_x < 6 ? 0 : w - out.note_x;
    return out;
}

/* ---- drawing ---------------------------------------------------------------------------------------------------- */

static int64_t end_ns(const struct app *a)
{
    return a->source.live && !a->source.ended ? a->wall_ns : store_totals(a->store)->last_ns;
}

static struct view lifeline_name(struct app *a, uint32_t session, char buffer[72])
{
    struct track_session s;
    if (session != 0 && app_session(a, session, &s))
        return text_client(buffer, s.client_id, &s.client);
    snprintf(buffer, 72, "stream %u", a->ladder.stream);
    return view_of(buffer, strlen(buffer));
}

static void draw_title(struct app *a, struct grid *g, int y, int w)
{
    struct ladder_screen *l = &a->ladder;
    struct track_session s;
    char buffer[72], endpoint[72], lines[TEXT_CAP], all[TEXT_CAP], right[120];
    int x = 1;
    snprintf(right, sizeof right, " %s/%s", text_count(lines, l->list.at + 1),
             text_count(all, rowset_lines(&l->rows, a->store)));
    if (rowset_percent(&l->rows, a->store) < 100)
        snprintf(right, sizeof right, " %d%%", rowset_percent(&l->rows, a->store));
    int room = w - 2 - (int)strlen(right);
    grid_fill(g, (struct rect){ y, 0, 1, w }, ' ', STYLE_NORMAL);
    x += grid_view(g, y, x, room / 3, STYLE_HEAD, lifeline_name(a, l->sessions[0], buffer));
    if (l->n_sessions > 1)
        x += grid_printf(g, y, x, room - x, STYLE_HEAD, " and %d more", l->n_sessions - 1);
    else if (app_session(a, l->sessions[0], &s)) {
        x += grid_printf(g, y, x, room - x, STYLE_NORMAL, " @ %s", text_endpoint(endpoint, &s.client));
        x += grid_printf(g, y, x, room - x, STYLE_NORMAL, " -> %s  v%s", text_endpoint(endpoint, &s.broker),
                         mqtt_version_name(s.version));
    }
    if (l->exchange != 0)
        grid_printf(g, y, x, room - x, STYLE_OWED, "  handshake %u", l->exchange);
    grid_right(g, y, w - (int)strlen(right) - 1, (int)strlen(right), STYLE_NORMAL, right);
}

static void draw_heads(struct app *a, struct grid *g, int y, const struct layout *lay)
{
    char buffer[72];
    if (lay->time_w > 0)
        grid_text(g, y, lay->time_x, lay->time_w, STYLE_HEAD,
                  a->time_mode == TIME_SINCE_START ? "since start" : "time");
    grid_right(g, y, lay->delta_x, 9, STYLE_HEAD, "delta");
    for (int i = 0; i < lay->n_life; i++) {
        int width = lay->inner - (lay->n_life > 2 ? 1 : 8);
        if (i < lay->broker)
            grid_view(g, y, lay->life[i], i + 1 == lay->broker && lay->n_life == 2 ? width : lay->inner, STYLE_HEAD,
                      lifeline_name(a, a->ladder.sessions[i], buffer));
        else if (i == lay->broker && lay->n_life == lay->broker + 1)
            grid_right(g, y, lay->life[i] - 6, 7, STYLE_HEAD, "broker");
        else if (i == lay->broker)
            grid_text(g, y, lay->life[i] - 2, 7, STYLE_HEAD, "broker");
        else
            grid_right(g, y, lay->life[i] - 11, 12, STYLE_HEAD, "subscribers");
    }
    grid_text(g, y, lay->note_x, lay->note_w, STYLE_HEAD, "note");
}

/* Between which lifelines the row runs; from > to: to the left. */
static void ends_of(const struct app *a, const struct store_entry *e, const struct layout *lay, int *from, int *to)
{
    int client = lay->n_life - 1; /* the subscriber */
    for (int i = 0; i < a->ladder.n_sessions; i++)
        if (a->ladder.sessions[i] == 0 || a->ladder.sessions[i] == e->meta->session)
            client = i;
    bool up = e->meta->sender == MQTT_CLIENT || (e->meta->sender == MQTT_NOBODY && e->row.src.port > e->row.dst.port);
    *from = up ? client : lay->broker;
    *to = up ? lay->broker : client;
}

static void draw_arrow(struct grid *g, int y, int left, int right, bool to_right, uint8_t style,
                       const struct label *label)
{
    int inner = right - left - 1;
    grid_hline(g, y, left + 1, inner, style);
    grid_put(g, y, to_right ? right - 1 : left + 1, to_right ? '>' : '<', style);
    int room = inner - 3, width = label_width(label, g->unicode);
    width = width < room ? width : room;
    int x = left + 1 + (to_right ? 1 : 2) + (inner - 3 - width) / 2;
    if (room > 0)
        label_draw(g, y, x, width, style, label);
}

/* What is no arrow: a close, an open, a gap. */
static void draw_event(struct grid *g, int y, const struct store_entry *e, int left, int right,
                       const struct label *label)
{
    uint8_t style = text_style(e->meta);
    if (e->meta->kind == STORE_GAP)
        grid_fill(g, (struct rect){ y, left + 1, 1, right - left - 1 }, grid_line(g, LINE_DASH), style);
    int width = label_width(label, g->unicode) + 2, room = right - left - 3;
    width = width < room ? width : room;
    int x = left + 1 + (right - left - 1 - width) / 2;
    grid_fill(g, (struct rect){ y, x, 1, width }, ' ', style);
    label_draw(g, y, x + 1, width - 1, style, label);
}

static void draw_line(struct app *a, struct grid *g, int y, const struct layout *lay, uint64_t seq, int64_t before_ns,
                      bool first)
{
    struct store_entry e;
    struct label label;
    char text[TEXT_CAP], note[160];
    if (!store_get(a->store, seq, &e))
        return;
    label_of(&label, &e);
    grid_put(g, y, 0, app_is_selected(a, seq) ? '*' : ' ', STYLE_HEAD);
    if (lay->time_w > 0) {
        int64_t start = store_totals(a->store)->first_ns;
        const char *time = a->time_mode == TIME_SINCE_START ? text_seconds(text, e.meta->time_ns - start)
                                                            : text_time(text, e.meta->time_ns);
        grid_text(g, y, lay->time_x, lay->time_w, STYLE_DIM, time);
    }
    if (!first)
        grid_right(g, y, lay->delta_x, 9, STYLE_NORMAL, text_delta(text, e.meta->time_ns - before_ns));
    char sign = text_sign(e.meta);
    grid_put(g, y, lay->sign_x, (uint8_t)sign,
             sign == '!'   ? STYLE_ERROR
             : sign == '~' ? STYLE_WARNING
                           : text_severity_style(e.meta->severity));
    for (int i = 0; i < lay->n_life; i++)
        grid_put(g, y, lay->life[i], grid_line(g, LINE_V), STYLE_DIM);
    int from, to;
    ends_of(a, &e, lay, &from, &to);
    int left = lay->life[from < to ? from : to], right = lay->life[from < to ? to : from];
    if (e.meta->kind == STORE_GAP)
        draw_event(g, y, &e, lay->life[0], lay->life[lay->n_life - 1], &label);
    else if (e.meta->kind != STORE_PACKET)
        draw_event(g, y, &e, left, right, &label);
    else
        draw_arrow(g, y, left, right, from < to, (e.meta->flags & TRACK_RETRANSMITTED) ? STYLE_DIM : text_style(e.meta),
                   &label);
    struct track_session session = { .connections = 1 };
    if (a->tracker != NULL && e.meta->session != 0)
        app_session(a, e.meta->session, &session);
    bool latest = is_latest(&a->ladder, e.meta, seq) && e.meta->x_outcome == TRACK_OPEN;
    uint8_t style = ladder_note(&e, latest, session.connections, end_ns(a), lay->note_w < 40, note);
    grid_text(g, y, lay->note_x, lay->note_w, style, note);
}

/* The lines over which the exchange under the cursor runs, as far as they are near. */
static void find_span(struct app *a, uint64_t at, uint32_t exchange, uint64_t *first, uint64_t *last)
{
    uint64_t seq;
    *first = *last = at;
    for (uint64_t line = at, n = 0; line-- > 0 && n < LOOK_AROUND; n++) {
        const struct store_row *m = line_meta(a, line, &seq);
        if (m != NULL && m->exchange == exchange)
            *first = line;
        if (m != NULL && m->exchange == exchange && m->first_back == 0 && m->kind == STORE_PACKET)
            break;
    }
    for (uint64_t line = at, n = 0; n < LOOK_AROUND; line++, n++) {
        const struct store_row *m = line_meta(a, line, &seq);
        if (m == NULL)
            break;
        if (m->exchange == exchange)
            *last = line;
        if (m->exchange == exchange && m->x_outcome != TRACK_OPEN && m->kind == STORE_PACKET)
            break;
    }
}

/* The handshake under the cursor is held together by a bracket. */
static void draw_bracket(struct app *a, struct grid *g, struct rect r, const struct layout *lay)
{
    uint64_t seq, first, last;
    const struct store_row *at = line_meta(a, a->ladder.list.at, &seq);
    if (at == NULL || at->exchange == 0)
        return;
    uint32_t exchange = at->exchange;
    find_span(a, a->ladder.list.at, exchange, &first, &last);
    if (first == last)
        return;
    for (int i = 0; i < r.h; i++) {
        uint64_t line = a->ladder.list.top + (uint64_t)i;
        if (line < first || line > last)
            continue;
        const struct store_row *m = line_meta(a, line, &seq);
        bool mine = m != NULL && m->exchange == exchange;
        enum grid_line which = line == first  ? LINE_TOP_BRACKET
                               : line == last ? LINE_END_BRACKET
                               : mine         ? LINE_LEFT_TEE
                                              : LINE_MID_BRACKET;
        grid_put(g, r.y + i, lay->bracket_x, grid_line(g, which), STYLE_OWED);
        if (mine)
            for (int x = lay->life[0] + 1; x < lay->life[lay->n_life - 1] && x < g->cols; x++)
                grid_mark(g, r.y + i, x, 1, GRID_BOLD);
    }
}

/* The latest packet of the exchange of this line, as far as it is near. */
static const struct store_row *latest_of(struct app *a, const struct store_row *m)
{
    uint64_t first, last, seq;
    const struct store_row *out = m;
    if (m->exchange == 0)
        return m;
    find_span(a, a->ladder.list.at, m->exchange, &first, &last);
    for (uint64_t line = a->ladder.list.at; line <= last; line++) {
        const struct store_row *at = line_meta(a, line, &seq);
        if (at != NULL && at->exchange == m->exchange && at->kind == STORE_PACKET)
            out = at;
    }
    return out;
}

static void draw_sentence(struct app *a, struct grid *g, int y, int w)
{
    struct store_entry e;
    char text[512];
    uint64_t seq = rowset_seq(&a->ladder.rows, a->store, a->ladder.list.at);
    if (seq == UINT64_MAX || !store_get(a->store, seq, &e))
        return;
    uint8_t style = ladder_sentence(&e, latest_of(a, e.meta), end_ns(a), text);
    int x = 1 + grid_text(g, y, 1, w - 2, style, text);
    if (e.note.topic.len > 0 && e.meta->kind == STORE_PACKET && x + 8 < w && e.row.n_verdicts == 0) {
        x += grid_text(g, y, x, w - x, STYLE_DIM, "  ");
        grid_view(g, y, x, w - x - 1, STYLE_NORMAL, e.note.topic);
    }
}

static void draw(struct app *a, struct grid *g, struct rect body)
{
    struct ladder_screen *l = &a->ladder;
    work(a);
    uint64_t n = rowset_lines(&l->rows, a->store), seq;
    struct rect lines = { body.y + 2, 0, body.h - 3, body.w };
    struct layout lay = layout_of(a, body.w);
    list_settle(&l->list, n, lines.h);
    draw_title(a, g, body.y, body.w);
    draw_heads(a, g, body.y + 1, &lay);
    const struct store_row *above = l->list.top > 0 ? line_meta(a, l->list.top - 1, &seq) : NULL;
    int64_t before = above != NULL ? above->time_ns : 0;
    for (int i = 0; i < lines.h && l->list.top + (uint64_t)i < n; i++) {
        const struct store_row *m = line_meta(a, l->list.top + (uint64_t)i, &seq);
        if (m == NULL)
            continue;
        draw_line(a, g, lines.y + i, &lay, seq, before, l->list.top + (uint64_t)i == 0);
        before = m->time_ns;
    }
    draw_bracket(a, g, lines, &lay);
    if (n > 0)
        grid_mark(g, lines.y + (int)(l->list.at - l->list.top), 0, body.w, GRID_SELECTED);
    else
        grid_text(g, lines.y, 2, body.w - 4, STYLE_DIM,
                  a->filter != NULL ? "no packet here passes the filter" : "no packets");
    draw_sentence(a, g, body.y + body.h - 1, body.w);
}

/* ---- keys ------------------------------------------------------------------------------------------------------- */

static bool troubled(const struct store_row *m)
{
    bool interrupted = m->kind == STORE_CLOSE && m->owed_by != MQTT_NOBODY;
    return interrupted || m->severity >= MQTT_SEVERITY_WARNING || m->kind == STORE_GAP ||
           (m->kind == STORE_PACKET && m->x_outcome == TRACK_REFUSED);
}

static void next_trouble(struct app *a, bool forward)
{
    struct list *l = &a->ladder.list;
    uint64_t n = rowset_lines(&a->ladder.rows, a->store), seq;
    for (uint64_t i = 1; i < n && i < TROUBLE_ROWS; i++) {
        uint64_t line = forward ? l->at + i : l->at - i;
        const struct store_row *m = line < n ? line_meta(a, line, &seq) : NULL;
        if (line >= n)
            break;
        if (m != NULL && troubled(m)) {
            l->at = line;
            l->follow = false;
            return;
        }
    }
    app_say(a, false, forward ? "no more trouble below" : "no more trouble above");
}

static void toggle_exchange(struct app *a)
{
    uint64_t seq;
    const struct store_row *m = line_meta(a, a->ladder.list.at, &seq);
    if (a->ladder.exchange != 0)
        a->ladder.exchange = 0;
    else if (m != NULL && m->exchange != 0)
        a->ladder.exchange = m->exchange;
    else {
        app_say(a, true, "this line belongs to no handshake");
        return;
    }
    restart(a);
    if (m != NULL)
        ladder_go(a, seq);
}

static void open_line(struct app *a, uint64_t seq, bool octets)
{
    if (a->n_selected == 2) {
        compare_open(a, a->selected[0], a->selected[1]);
        return;
    }
    app_push(a, SCREEN_PACKETS);
    packets_open(a, a->ladder.n_sessions == 1 ? a->ladder.sessions[0] : 0,
                 a->ladder.n_sessions == 1 && a->ladder.sessions[0] == 0 ? a->ladder.stream : UINT32_MAX, seq);
    a->packets.pane = octets ? PANE_OCTETS : PANE_FIELDS;
    a->packets.zoom = octets;
}

static bool scroll(struct app *a, int columns)
{
    int left = a->ladder.list.left + columns;
    int most = (a->ladder.n_sessions + a->ladder.subscriber) * 25;
    a->ladder.list.left = left < 0 ? 0 : left > most ? most : left;
    return true;
}

static bool action(struct app *a, enum action action, unsigned count)
{
    struct ladder_screen *l = &a->ladder;
    work(a);
    uint64_t seq = rowset_seq(&l->rows, a->store, l->list.at);
    if (list_action(&l->list, action, count, rowset_lines(&l->rows, a->store)))
        return true;
    switch (action) {
    case ACTION_LEFT:
        return scroll(a, -8);
    case ACTION_RIGHT:
        return scroll(a, 8);
    case ACTION_TROUBLE_NEXT:
        next_trouble(a, true);
        return true;
    case ACTION_TROUBLE_PREVIOUS:
        next_trouble(a, false);
        return true;
    case ACTION_EXCHANGE:
        toggle_exchange(a);
        return true;
    case ACTION_SUBSCRIBER:
        l->subscriber = !l->subscriber;
        restart(a);
        if (seq != UINT64_MAX)
            ladder_go(a, seq);
        return true;
    case ACTION_OPEN:
    case ACTION_DETAIL:
    case ACTION_RAW:
        if (seq != UINT64_MAX)
            open_line(a, seq, action == ACTION_RAW);
        return true;
    default:
        return compare_act(a, action, seq);
    }
}

static bool line_has(struct app *a, uint64_t line)
{
    struct store_entry e;
    struct label label;
    uint64_t seq = rowset_seq(&a->ladder.rows, a->store, line);
    if (seq == UINT64_MAX || !store_get(a->store, seq, &e))
        return false;
    label_of(&label, &e);
    char head[128];
    snprintf(head, sizeof head, "%s%s", label.head, label.tail);
    return app_contains(view_of(head, strlen(head)), a->find_text) || app_contains(label.text, a->find_text) ||
           app_contains(e.note.topic, a->find_text);
}

static struct list *listed(struct app *a, uint64_t *lines)
{
    *lines = rowset_lines(&a->ladder.rows, a->store);
    return &a->ladder.list;
}

static void click(struct app *a, int y, int x)
{
    (void)x;
    uint64_t line = a->ladder.list.top + (uint64_t)(y > 1 ? y - 2 : 0);
    if (y >= 2 && line < rowset_lines(&a->ladder.rows, a->store)) {
        a->ladder.list.at = line;
        a->ladder.list.follow = false;
    }
}

const struct screen screen_ladder = {
    .draw = draw, .action = action, .list = listed, .line_has = line_has, .click = click, .work = work
};
