/* SPDX-License-Identifier: Apache-2.0
 *
 * The first screen: one line a session, live, sortable, columns chosen. */
#include "tui/app.h"
#include <stdlib.h>
#include <string.h>

enum column {
    COL_CLIENT,
    COL_ADDRESS,
    COL_VERSION,
    COL_STATE,
    COL_CONNECTIONS,
    COL_UP,
    COL_DOWN,
    COL_OPEN,
    COL_FINDINGS,
    COL_LAST,
    COL_RTT,
    COL_OWED,
    COL_FIRST,
    COL_KEEP_ALIVE,
    COL_SUBSCRIPTIONS,
    COL_IN_FLIGHT,
    COL_WILL,
    COL_BROKER,
    COL_OCTETS,
    COL_COUNT
};

static const struct {
    const char *name, *title, *meaning;
    uint8_t width;
    bool right;
} columns[COL_COUNT] = {
    [COL_CLIENT] = { "client", "client", "client identifier, or the address while it is not known", 12, false },
    [COL_ADDRESS] = { "address", "address", "address of the latest connection", 15, false },
    [COL_VERSION] = { "version", "MQTT", "protocol version", 5, false },
    [COL_STATE] = { "state", "state", "of the latest connection", 10, false },
    [COL_CONNECTIONS] = { "connections", "conn", "TCP connections of the session", 4, true },
    [COL_UP] = { "up", "up", "packets from the client", 5, true },
    [COL_DOWN] = { "down", "down", "packets from the broker", 5, true },
    [COL_OPEN] = { "open", "open", "exchanges that wait for an answer", 4, true },
    [COL_FINDINGS] = { "findings", "! w i", "errors, warnings and notes", 9, true },
    [COL_LAST] = { "last", "last packet", "time of the latest packet", 13, false },
    [COL_RTT] = { "rtt", "answer", "time of the broker's latest answer", 8, true },
    [COL_OWED] = { "owed", "waits for", "the packet that is missing longest", 24, false },
    [COL_FIRST] = { "began", "first packet", "time of the first packet", 13, false },
    [COL_KEEP_ALIVE] = { "keep-alive", "keep", "keep alive in seconds", 5, true },
    [COL_SUBSCRIPTIONS] = { "subscriptions", "subs", "subscriptions held", 5, true },
    [COL_IN_FLIGHT] = { "in-flight", "flight", "QoS 1 and 2 messages under way, up and down", 7, true },
    [COL_WILL] = { "will", "will", "state of the will", 8, false },
    [COL_BROKER] = { "broker", "broker", "address and port of the broker", 21, false },
    [COL_OCTETS] = { "octets", "octets", "octets of packets, both ways", 7, true },
};

static int column_find(const char *name, size_t len)
{
    for (int c = 0; c < COL_COUNT; c++)
        if (strlen(columns[c].name) == len && memcmp(columns[c].name, name, len) == 0)
            return c;
    return -1;
}

/* The columns that fit into `width`, in the order of the settings; returns how many, *client the width of the first
 * one. */
static int columns_that_fit(const struct app *a, int width, uint8_t out[COL_COUNT], int *client)
{
    const char *word = a->config.word[CONFIG_SESSION_COLUMNS];
    int n = 0, used = 2;
    for (; *word != 0; word += strcspn(word, " "), word += strspn(word, " ")) {
        int c = column_find(word, strcspn(word, " "));
        if (c < 0 || n == COL_COUNT)
            continue;
        if (used + columns[c].width + (n > 0) > width)
            break;
        used += columns[c].width + (n > 0);
        out[n++] = (uint8_t)c;
    }
    *client = columns[COL_CLIENT].width + (width > used ? width - used : 0);
    if (*client > 40)
        *client = 40;
    return n;
}

/* ---- order ------------------------------------------------------------------------------------------------------ */

static uint64_t text_key(struct view v)
{
    uint64_t key = 0;
    for (size_t i = 0; i < 8; i++)
        key = key << 8 | (i < v.len ? v.ptr[i] : 0);
    return key;
}

static uint64_t time_key(int64_t ns)
{
    return (uint64_t)ns ^ 1ull << 63;
}

static uint64_t key_of(const struct app *a, const struct track_session *s, int column)
{
    switch (column) {
    case COL_CLIENT:
        return text_key(s->client_id);
    case COL_ADDRESS:
        return text_key(view_of(s->client.addr.octets, 8));
    case COL_BROKER:
        return text_key(view_of(s->broker.addr.octets, 8));
    case COL_VERSION:
        return s->version;
    case COL_STATE:
        return s->link;
    case COL_CONNECTIONS:
        return s->connections;
    case COL_UP:
        return s->packets[0];
    case COL_DOWN:
        return s->packets[1];
    case COL_OPEN:
        return s->open;
    case COL_FINDINGS:
        return (uint64_t)s->violations[3] << 42 | (uint64_t)s->violations[2] << 21 | s->violations[1];
    case COL_LAST:
        return time_key(s->last_ns);
    case COL_FIRST:
        return time_key(s->first_ns);
    case COL_RTT:
        return stats_rtt_us(a->stats, s->number);
    case COL_OWED:
        return s->owed_by == MQTT_NOBODY ? 0 : UINT64_MAX - time_key(s->owed_since_ns);
    case COL_KEEP_ALIVE:
        return s->keep_alive_s;
    case COL_SUBSCRIPTIONS:
        return s->subscriptions;
    case COL_IN_FLIGHT:
        return s->inflight[0] + s->inflight[1];
    case COL_WILL:
        return s->will;
    case COL_OCTETS:
        return s->octets[0] + s->octets[1];
    default:
        return s->number;
    }
}

static int client_order(const struct app *a, uint64_t x, uint64_t y)
{
    struct track_session s, t;
    uint8_t copy[256];
    if (!app_session(a, x, &s))
        return 0;
    size_t len = s.client_id.len < sizeof copy ? s.client_id.len : sizeof copy;
    if (len > 0)
        memcpy(copy, s.client_id.ptr, len);
    if (!app_session(a, y, &t))
        return 0;
    size_t least = len < t.client_id.len ? len : t.client_id.len;
    int order = least > 0 ? memcmp(copy, t.client_id.ptr, least) : 0;
    return order != 0 ? order : (len > t.client_id.len) - (len < t.client_id.len);
}

static bool goes_before(const struct app *a, const struct session_line *x, const struct session_line *y)
{
    int order = (x->key > y->key) - (x->key < y->key);
    if (order == 0 && a->sessions.sort == COL_CLIENT)
        order = client_order(a, x->number, y->number);
    if (order == 0)
        order = (x->number > y->number) - (x->number < y->number);
    return (a->sessions.reverse ? -order : order) < 0;
}

static void sift_down(const struct app *a, struct session_line *lines, uint32_t root, uint32_t n)
{
    for (uint32_t child; (child = 2 * root + 1) < n; root = child) {
        if (child + 1 < n && goes_before(a, &lines[child], &lines[child + 1]))
            child++;
        if (!goes_before(a, &lines[root], &lines[child]))
            return;
        struct session_line swap = lines[root];
        lines[root] = lines[child];
        lines[child] = swap;
    }
}

/* Heap sort: no memory, no worst case. */
static void sort_lines(const struct app *a, struct session_line *lines, uint32_t n)
{
    for (uint32_t i = n / 2; i-- > 0;)
        sift_down(a, lines, i, n);
    for (uint32_t i = n; i-- > 1;) {
        struct session_line swap = lines[0];
        lines[0] = lines[i];
        lines[i] = swap;
        sift_down(a, lines, 0, i);
    }
}

static bool room_for(struct sessions_screen *s, uint32_t n)
{
    if (n <= s->cap)
        return true;
    uint32_t cap = s->cap > 0 ? 2 * s->cap : 256;
    struct session_line *grown = realloc(s->lines, cap * sizeof *grown);
    if (grown == NULL)
        return false;
    s->lines = grown;
    s->cap = cap;
    return true;
}

/* Makes the lines again when something has changed; many sessions not more than twice a second. */
static void refresh(struct app *a)
{
    struct sessions_screen *s = &a->sessions;
    uint64_t changes = store_totals(a->store)->changes + a->matching.n;
    bool again = s->seen_changes == UINT64_MAX;
    if (!again && (a->paused || changes == s->seen_changes || (s->n > 2000 && a->now_ms - s->made_ms < 500)))
        return;
    struct track_session session;
    uint32_t pos = 0;
    s->n = 0;
    while (a->tracker != NULL && track_session_next(a->tracker, &pos, &session) && room_for(s, s->n + 1))
        if (app_session_matches(a, session.number))
            s->lines[s->n++] = (struct session_line){ session.number, key_of(a, &session, s->sort) };
    if (s->sort >= 0 || s->reverse)
        sort_lines(a, s->lines, s->n);
    s->seen_changes = changes;
    s->made_ms = a->now_ms;
    for (uint32_t i = 0; i < s->n; i++)
        if (s->lines[i].number == s->selected) {
            s->list.at = i;
            break;
        }
}

/* ---- drawing ---------------------------------------------------------------------------------------------------- */

static uint8_t worst(const struct track_session *s)
{
    return s->violations[3] > 0 ? 3 : s->violations[2] > 0 ? 2 : s->violations[1] > 0 ? 1 : 0;
}

static void findings_text(char out[TEXT_CAP], const struct track_session *s)
{
    char n[3][TEXT_CAP];
    if (worst(s) == 0)
        snprintf(out, TEXT_CAP, "-");
    else
        snprintf(out, TEXT_CAP, "%.5s %.5s %.5s", text_count(n[0], s->violations[3]),
                 text_count(n[1], s->violations[2]), text_count(n[2], s->violations[1]));
}

static int64_t age_ns(const struct app *a, int64_t since)
{
    int64_t now = a->source.live && !a->source.ended ? a->wall_ns : store_totals(a->store)->last_ns;
    return now > since ? now - since : 0;
}

static void column_text(const struct app *a, const struct track_session *s, int column, char out[TEXT_CAP])
{
    char t[TEXT_CAP], address[72];
    switch (column) {
    case COL_ADDRESS:
        snprintf(out, TEXT_CAP, "%s", text_address(address, &s->client.addr));
        break;
    case COL_BROKER:
        snprintf(out, TEXT_CAP, "%.47s", text_endpoint(address, &s->broker));
        break;
    case COL_VERSION:
        snprintf(out, TEXT_CAP, "%s", mqtt_version_name(s->version));
        break;
    case COL_STATE:
        snprintf(out, TEXT_CAP, "%s", track_link_name(s->link));
        break;
    case COL_CONNECTIONS:
        text_count(out, s->connections);
        break;
    case COL_UP:
        text_count(out, s->packets[0]);
        break;
    case COL_DOWN:
        text_count(out, s->packets[1]);
        break;
    case COL_OPEN:
        text_count(out, s->open);
        break;
    case COL_FINDINGS:
        findings_text(out, s);
        break;
    case COL_LAST:
        text_time(out, s->last_ns);
        break;
    case COL_FIRST:
        text_time(out, s->first_ns);
        break;
    case COL_KEEP_ALIVE:
        text_count(out, s->keep_alive_s);
        break;
    case COL_SUBSCRIPTIONS:
        text_count(out, s->subscriptions);
        break;
    case COL_IN_FLIGHT:
        snprintf(out, TEXT_CAP, "%u/%u", s->inflight[0], s->inflight[1]);
        break;
    case COL_WILL:
        snprintf(out, TEXT_CAP, "%s", track_will_name(s->will));
        break;
    case COL_OCTETS:
        text_octets(out, s->octets[0] + s->octets[1]);
        break;
    case COL_RTT: {
        uint32_t rtt = stats_rtt_us(a->stats, s->number);
        snprintf(out, TEXT_CAP, "%s", rtt > 0 ? text_duration(t, (int64_t)rtt * 1000) : "-");
        break;
    }
    case COL_OWED:
        if (s->owed_by == MQTT_NOBODY || s->owed_since_ns == INT64_MIN)
            snprintf(out, TEXT_CAP, "-");
        else
            snprintf(out, TEXT_CAP, "%s %s %s", mqtt_type_name(s->owed_type & 15), text_side(s->owed_by),
                     text_duration(t, age_ns(a, s->owed_since_ns)));
        break;
    default:
        out[0] = 0;
    }
}

static uint8_t column_style(const struct track_session *s, int column)
{
    if (column == COL_FINDINGS)
        return text_severity_style(worst(s));
    if (column == COL_OPEN && s->open > 0)
        return STYLE_OWED;
    if (column == COL_OWED && s->owed_by != MQTT_NOBODY)
        return STYLE_OWED;
    if (column == COL_STATE)
        return s->connected ? STYLE_REQUEST : STYLE_DIM;
    return STYLE_NORMAL;
}

static bool is_chosen(const struct app *a, uint64_t number)
{
    for (int i = 0; i < a->sessions.n_chosen; i++)
        if (a->sessions.chosen[i] == number)
            return true;
    return false;
}

static char mark_of(const struct app *a, uint64_t session)
{
    for (int i = 0; i < 26; i++)
        if (a->marks[i].session == session && session != 0)
            return (char)('a' + i);
    return ' ';
}

static void draw_line(struct app *a, struct grid *g, int y, int w, uint64_t number)
{
    uint8_t shown[COL_COUNT];
    int client, n = columns_that_fit(a, w, shown, &client), x = 2;
    struct track_session s;
    char text[TEXT_CAP], buffer[72];
    if (!app_session(a, number, &s))
        return;
    uint8_t severity = worst(&s);
    grid_put(g, y, 0, (uint8_t)(is_chosen(a, number) ? '*' : mark_of(a, number)), STYLE_HEAD);
    grid_put(g, y, 1, (uint8_t)text_severity_sign(severity), text_severity_style(severity));
    for (int i = 0; i < n; i++) {
        int width = shown[i] == COL_CLIENT ? client : columns[shown[i]].width;
        if (shown[i] == COL_CLIENT) {
            grid_view(g, y, x, width, s.client_id.len > 0 ? STYLE_HEAD : STYLE_DIM,
                      text_client(buffer, s.client_id, &s.client));
        } else {
            column_text(a, &s, shown[i], text);
            if (columns[shown[i]].right)
                grid_right(g, y, x, width, column_style(&s, shown[i]), text);
            else
                grid_text(g, y, x, width, column_style(&s, shown[i]), text);
        }
        x += width + 1;
    }
}

static void draw_heads(struct app *a, struct grid *g, int y, int w)
{
    uint8_t shown[COL_COUNT];
    int client, n = columns_that_fit(a, w, shown, &client), x = 2;
    grid_fill(g, (struct rect){ y, 0, 1, w }, ' ', STYLE_HEAD);
    for (int i = 0; i < n; i++) {
        int width = shown[i] == COL_CLIENT ? client : columns[shown[i]].width;
        char title[32];
        bool sorted = shown[i] == a->sessions.sort;
        snprintf(title, sizeof title, "%s%s", columns[shown[i]].title, !sorted ? "" : a->sessions.reverse ? "v" : "^");
        if (columns[shown[i]].right)
            grid_right(g, y, x, width, STYLE_HEAD, title);
        else
            grid_text(g, y, x, width, STYLE_HEAD, title);
        x += width + 1;
    }
}

static bool is_shown(const struct app *a, int column)
{
    const char *word = a->config.word[CONFIG_SESSION_COLUMNS];
    for (; *word != 0; word += strcspn(word, " "), word += strspn(word, " "))
        if (column_find(word, strcspn(word, " ")) == column)
            return true;
    return false;
}

static void draw_columns(struct app *a, struct grid *g, struct rect body)
{
    struct rect box = { body.y + 1, 4, body.h - 2 < COL_COUNT + 2 ? body.h - 2 : COL_COUNT + 2,
                        body.w - 8 < 70 ? body.w - 8 : 70 };
    struct rect in = grid_box(g, box, STYLE_NORMAL, "columns: Space chooses, < > move, q closes");
    list_settle(&a->sessions.columns, COL_COUNT, in.h);
    for (int i = 0; i < in.h && a->sessions.columns.top + (uint64_t)i < COL_COUNT; i++) {
        int c = (int)a->sessions.columns.top + i;
        grid_printf(g, in.y + i, in.x + 1, in.w - 2, STYLE_NORMAL, "[%c] %-14s %s", is_shown(a, c) ? 'x' : ' ',
                    columns[c].name, columns[c].meaning);
        if ((uint64_t)c == a->sessions.columns.at)
            grid_mark(g, in.y + i, in.x, in.w, GRID_SELECTED);
    }
}

static void draw(struct app *a, struct grid *g, struct rect body)
{
    struct sessions_screen *s = &a->sessions;
    refresh(a);
    draw_heads(a, g, body.y, body.w);
    list_settle(&s->list, s->n, body.h - 1);
    if (s->list.at < s->n)
        s->selected = s->lines[s->list.at].number;
    if (s->n == 0)
        grid_text(g, body.y + 2, 2, body.w - 4, STYLE_DIM,
                  a->filter != NULL                    ? "no session has a packet that passes the filter"
                  : a->source.live && !a->source.ended ? "waiting for MQTT packets"
                  : a->source.ended                    ? "no MQTT in this capture"
                                                       : "reading");
    for (int i = 0; i < body.h - 1 && s->list.top + (uint64_t)i < s->n; i++) {
        uint64_t line = s->list.top + (uint64_t)i;
        draw_line(a, g, body.y + 1 + i, body.w, s->lines[line].number);
        if (line == s->list.at)
            grid_mark(g, body.y + 1 + i, 0, body.w, GRID_SELECTED);
    }
    if (s->columns_open)
        draw_columns(a, g, body);
}

/* ---- keys ------------------------------------------------------------------------------------------------------- */

static void toggle_column(struct app *a, int column)
{
    char *words = a->config.word[CONFIG_SESSION_COLUMNS];
    size_t cap = sizeof a->config.word[0], len = strlen(words);
    const char *name = columns[column].name;
    if (!is_shown(a, column)) {
        if (len + strlen(name) + 2 <= cap)
            snprintf(words + len, cap - len, "%s%s", len > 0 ? " " : "", name);
        return;
    }
    char kept[sizeof a->config.word[0]] = "";
    size_t n = 0;
    for (const char *w = words; *w != 0; w += strcspn(w, " "), w += strspn(w, " "))
        if (column_find(w, strcspn(w, " ")) != column)
            n += (size_t)snprintf(kept + n, sizeof kept - n, "%s%.*s", n > 0 ? " " : "", (int)strcspn(w, " "), w);
    memcpy(words, kept, sizeof kept);
}

/* Moves the column one place to the left or right in the settings. */
static void move_column(struct app *a, int column, int step)
{
    char *words = a->config.word[CONFIG_SESSION_COLUMNS];
    int order[COL_COUNT], n = 0, at = -1;
    for (const char *w = words; *w != 0 && n < COL_COUNT; w += strcspn(w, " "), w += strspn(w, " ")) {
        int c = column_find(w, strcspn(w, " "));
        if (c >= 0)
            order[n++] = c;
        if (c == column)
            at = n - 1;
    }
    if (at < 0 || at + step < 0 || at + step >= n)
        return;
    order[at] = order[at + step];
    order[at + step] = column;
    size_t len = 0;
    for (int i = 0; i < n; i++)
        len += (size_t)snprintf(words + len, sizeof a->config.word[0] - len, "%s%s", i > 0 ? " " : "",
                                columns[order[i]].name);
}

static bool columns_action(struct app *a, enum action action, unsigned count)
{
    int column = (int)a->sessions.columns.at;
    if (list_action(&a->sessions.columns, action, count, COL_COUNT))
        return true;
    if (action == ACTION_SELECT || action == ACTION_OPEN)
        toggle_column(a, column);
    else if (action == ACTION_SORT_LEFT || action == ACTION_SORT_RIGHT)
        move_column(a, column, action == ACTION_SORT_LEFT ? -1 : 1);
    else if (action == ACTION_BACK || action == ACTION_COLUMNS) {
        a->sessions.columns_open = false;
        a->wish |= WISH_STORE_SETTINGS;
    } else
        return false;
    return true;
}

static void sort_by(struct app *a, int step)
{
    uint8_t shown[COL_COUNT];
    int client, n = columns_that_fit(a, GRID_MAX_COLS, shown, &client), at = -1;
    for (int i = 0; i < n; i++)
        if (shown[i] == a->sessions.sort)
            at = i;
    at += step;
    if (at < -1)
        at = n - 1;
    a->sessions.sort = at < 0 || at >= n ? -1 : shown[at];
    a->sessions.seen_changes = UINT64_MAX;
    strcpy(a->config.word[CONFIG_SESSION_SORT], a->sessions.sort < 0 ? "first" : columns[a->sessions.sort].name);
    app_say(a, false, "sorted by %s", a->sessions.sort < 0 ? "appearance" : columns[a->sessions.sort].title);
}

void sessions_sort_by(struct app *a, const char *column)
{
    a->sessions.sort = column_find(column, strlen(column));
    a->sessions.seen_changes = UINT64_MAX;
}

static void open_chosen(struct app *a)
{
    struct sessions_screen *s = &a->sessions;
    uint32_t number = (uint32_t)s->selected;
    if (s->n == 0)
        return;
    if (s->n_chosen > 0)
        ladder_open(a, s->chosen, s->n_chosen, 0);
    else
        ladder_open(a, &number, 1, 0);
    app_push(a, SCREEN_LADDER);
}

static void choose(struct app *a)
{
    struct sessions_screen *s = &a->sessions;
    for (int i = 0; i < s->n_chosen; i++)
        if (s->chosen[i] == s->selected) {
            memmove(&s->chosen[i], &s->chosen[i + 1], (size_t)(--s->n_chosen - i) * sizeof *s->chosen);
            return;
        }
    if (s->n_chosen == APP_SESSIONS_CHOSEN)
        app_say(a, true, "%d sessions are the most that fit on a ladder", APP_SESSIONS_CHOSEN);
    else
        s->chosen[s->n_chosen++] = (uint32_t)s->selected;
}

static bool troubled(struct app *a, uint32_t line)
{
    struct track_session s;
    return app_session(a, a->sessions.lines[line].number, &s) &&
           (s.violations[3] + s.violations[2] > 0 || s.owed_by != MQTT_NOBODY || s.finished[TRACK_ABANDONED] > 0 ||
            s.resumed > 0);
}

static void next_trouble(struct app *a, bool forward)
{
    struct sessions_screen *s = &a->sessions;
    for (uint32_t i = 1; i <= s->n; i++) {
        uint32_t line = (uint32_t)((s->list.at + (forward ? i : s->n - i)) % s->n);
        if (troubled(a, line)) {
            s->list.at = line;
            return;
        }
    }
    app_say(a, false, "no session with trouble");
}

static bool action(struct app *a, enum action action, unsigned count)
{
    struct sessions_screen *s = &a->sessions;
    refresh(a);
    if (s->selected == 0 && s->list.at < s->n)
        s->selected = s->lines[s->list.at].number;
    bool known = true;
    if (s->columns_open)
        return columns_action(a, action, count);
    if (!list_action(&s->list, action, count, s->n))
        switch (action) {
        case ACTION_OPEN:
            open_chosen(a);
            break;
        case ACTION_SELECT:
            choose(a);
            break;
        case ACTION_COLUMNS:
            s->columns_open = true;
            break;
        case ACTION_SORT_LEFT:
            sort_by(a, -1);
            break;
        case ACTION_SORT_RIGHT:
            sort_by(a, 1);
            break;
        case ACTION_SORT_REVERSE:
            s->reverse = !s->reverse;
            s->seen_changes = UINT64_MAX;
            break;
        case ACTION_TROUBLE_NEXT:
            next_trouble(a, true);
            break;
        case ACTION_TROUBLE_PREVIOUS:
            next_trouble(a, false);
            break;
        case ACTION_PACKETS:
            app_push(a, SCREEN_PACKETS);
            packets_open(a, (uint32_t)(count > 0 ? 0 : s->selected), UINT32_MAX, UINT64_MAX);
            break;
        default:
            known = false;
        }
    if (s->seen_changes != UINT64_MAX && s->list.at < s->n)
        s->selected = s->lines[s->list.at].number;
    return known;
}

static struct list *listed(struct app *a, uint64_t *lines)
{
    refresh(a);
    a->sessions.selected = 0; /* the cursor is moved by line */
    *lines = a->sessions.n;
    return &a->sessions.list;
}

static bool line_has(struct app *a, uint64_t line)
{
    struct track_session s;
    char buffer[72];
    if (!app_session(a, a->sessions.lines[line].number, &s))
        return false;
    return app_contains(s.client_id, a->find_text) ||
           app_contains(view_of(buffer, strlen(text_endpoint(buffer, &s.client))), a->find_text);
}

static void click(struct app *a, int y, int x)
{
    struct sessions_screen *s = &a->sessions;
    (void)x;
    uint64_t line = s->list.top + (uint64_t)(y > 0 ? y - 1 : 0);
    if (y < 1 || line >= s->n)
        return;
    if (line == s->list.at)
        open_chosen(a);
    s->list.at = line;
    s->selected = s->lines[line].number;
}

const struct screen screen_sessions = {
    .draw = draw, .action = action, .list = listed, .line_has = line_has, .click = click
};
