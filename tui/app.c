/* SPDX-License-Identifier: Apache-2.0 */
#include "tui/app.h"
#include "tui/copies.h"
#include "tui/prompt.h"
#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { SEARCH_LINES = 3000, WORK_ROWS = 4000, DETAIL_LINES = 2, LEAST_ROWS = 15, LEAST_COLS = 60 };

static const struct screen *const screens[SCREEN_COUNT] = {
    [SCREEN_SESSIONS] = &screen_sessions, [SCREEN_LADDER] = &screen_ladder, [SCREEN_PACKETS] = &screen_packets,
    [SCREEN_FINDINGS] = &screen_findings, [SCREEN_TOPICS] = &screen_topics, [SCREEN_STATISTICS] = &screen_statistics,
    [SCREEN_COMPARE] = &screen_compare,   [SCREEN_HELP] = &screen_help,     [SCREEN_SAVE] = &screen_save,
    [SCREEN_SETTINGS] = &screen_settings,
};

void app_settings_changed(struct app *a)
{
    const char *time = a->config.word[CONFIG_TIME];
    a->time_mode = strcmp(time, "relative") == 0 ? TIME_SINCE_START
                   : strcmp(time, "delta") == 0  ? TIME_DELTA
                                                 : TIME_OF_DAY;
    sessions_sort_by(a, a->config.word[CONFIG_SESSION_SORT]);
}

bool app_init(struct app *a, struct store *store, const struct config *config)
{
    memset(a, 0, sizeof *a);
    a->store = store;
    a->config = *config;
    a->depth = 1;
    a->stack[0] = SCREEN_SESSIONS;
    a->filter_memory = malloc(FILTER_MEMORY);
    a->prompt_memory = malloc(FILTER_MEMORY);
    a->packets.lines = calloc(APP_ITEMS, sizeof *a->packets.lines);
    a->topics = topics_new();
    a->stats = stats_new();
    a->ladder.copies = copies_new();
    a->ladder.tails = calloc(LADDER_TAILS, sizeof *a->ladder.tails);
    rowset_init(&a->matching);
    rowset_init(&a->ladder.rows);
    rowset_init(&a->packets.rows);
    a->packets.session = 0;
    a->packets.stream = UINT32_MAX;
    a->packets.shown = UINT64_MAX;
    a->sessions.seen_changes = a->findings.seen_changes = UINT64_MAX;
    a->sessions.sort = -1;
    app_settings_changed(a);
    if (a->filter_memory == NULL || a->prompt_memory == NULL || a->packets.lines == NULL || a->topics == NULL ||
        a->stats == NULL || a->ladder.copies == NULL || a->ladder.tails == NULL) {
        app_done(a);
        return false;
    }
    return true;
}

void app_done(struct app *a)
{
    free(a->filter_memory);
    free(a->prompt_memory);
    free(a->match_sessions);
    free(a->packets.lines);
    free(a->sessions.lines);
    free(a->findings.order);
    copies_free(a->ladder.copies);
    free(a->ladder.tails);
    rowset_done(&a->matching);
    rowset_done(&a->ladder.rows);
    rowset_done(&a->packets.rows);
    topics_free(a->topics);
    stats_free(a->stats);
    memset(a, 0, sizeof *a);
}

void app_say(struct app *a, bool bad, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(a->message, sizeof a->message, format, args);
    va_end(args);
    a->message_bad = bad;
}

bool app_session(const struct app *a, uint64_t number, struct track_session *out)
{
    if (a->tracker == NULL || number == 0 || !track_session_find(a->tracker, number, out))
        return false;
    if (a->redact != NULL)
        out->client_id = redact_client(a->redact, out->client_id);
    return true;
}

enum screen_id app_screen(const struct app *a)
{
    return a->stack[a->depth - 1];
}

void app_push(struct app *a, enum screen_id screen)
{
    for (int i = 0; i < a->depth; i++)
        if (a->stack[i] == screen) { /* one of each kind: going there again goes back to it */
            a->depth = i + 1;
            return;
        }
    if (a->depth < APP_STACK)
        a->stack[a->depth++] = screen;
}

void app_pop(struct app *a)
{
    if (a->depth > 1)
        a->depth--;
}

/* ---- lists ------------------------------------------------------------------------------------------------------ */

static uint64_t up_by(uint64_t at, uint64_t n)
{
    return at > n ? at - n : 0;
}

bool list_action(struct list *l, enum action a, unsigned count, uint64_t n)
{
    uint64_t last = n > 0 ? n - 1 : 0, page = l->page > 1 ? (uint64_t)l->page - 1 : 1, times = count > 0 ? count : 1;
    switch (a) {
    case ACTION_UP:
        l->at = up_by(l->at, times);
        break;
    case ACTION_DOWN:
        l->at += times;
        break;
    case ACTION_PAGE_UP:
        l->at = up_by(l->at, page * times);
        break;
    case ACTION_PAGE_DOWN:
        l->at += page * times;
        break;
    case ACTION_HALF_UP:
        l->at = up_by(l->at, (page + 1) / 2 * times);
        break;
    case ACTION_HALF_DOWN:
        l->at += (page + 1) / 2 * times;
        break;
    case ACTION_TOP:
        l->at = count > 0 ? count - 1 : 0;
        break;
    case ACTION_BOTTOM:
        l->at = count > 0 ? count - 1 : last;
        break;
    default:
        return false;
    }
    if (l->at > last)
        l->at = last;
    l->follow = l->follow && l->at == last;
    if (l->page > 0) /* where the list stands must not depend on how often it is drawn */
        list_settle(l, n, l->page);
    return true;
}

void list_settle(struct list *l, uint64_t n, int page)
{
    uint64_t rows = page > 0 ? (uint64_t)page : 1, last = n > 0 ? n - 1 : 0;
    l->page = page;
    if (l->at > last || l->follow)
        l->at = last;
    if (l->at < l->top)
        l->top = l->at;
    if (l->at >= l->top + rows)
        l->top = l->at - rows + 1;
    if (l->top + rows > n)
        l->top = n > rows ? n - rows : 0;
}

/* ---- filter ----------------------------------------------------------------------------------------------------- */

static void remember_session(struct app *a, uint32_t session)
{
    if (session >= a->match_sessions_cap) {
        uint32_t cap = a->match_sessions_cap > 0 ? a->match_sessions_cap : 4096;
        while (cap <= session && cap < 1u << 24)
            cap *= 2;
        if (cap <= session)
            return;
        uint64_t *grown = realloc(a->match_sessions, cap / 8);
        if (grown == NULL)
            return;
        memset((uint8_t *)grown + a->match_sessions_cap / 8, 0, (cap - a->match_sessions_cap) / 8);
        a->match_sessions = grown;
        a->match_sessions_cap = cap;
    }
    a->match_sessions[session / 64] |= 1ull << session % 64;
}

static bool keep_matching(void *ctx, struct store *s, uint64_t seq, const struct store_row *m)
{
    struct app *a = ctx;
    struct store_entry e;
    if (m->kind == STORE_OPEN || m->kind == STORE_CLOSE || !store_get(s, seq, &e) || !filter_match(a->filter, &e.row))
        return false;
    remember_session(a, m->session);
    return true;
}

bool app_session_matches(const struct app *a, uint64_t session)
{
    if (a->filter == NULL)
        return true;
    return session < a->match_sessions_cap && (a->match_sessions[session / 64] >> session % 64 & 1);
}

static void restart_sets(struct app *a)
{
    if (a->match_sessions != NULL)
        memset(a->match_sessions, 0, a->match_sessions_cap / 8);
    rowset_start(&a->matching, a->store, a->filter != NULL ? keep_matching : NULL, a);
    a->sessions.seen_changes = a->findings.seen_changes = UINT64_MAX;
    uint64_t line = rowset_seq(&a->packets.rows, a->store, a->packets.list.at);
    packets_open(a, a->packets.session, a->packets.stream, line);
    if (a->ladder.n_sessions > 0)
        ladder_open(a, a->ladder.sessions, a->ladder.n_sessions, a->ladder.stream);
}

bool app_set_filter(struct app *a, const char *text)
{
    struct filter_error error;
    struct filter *f = NULL;
    size_t len = strlen(text);
    if (strspn(text, " ") < len) {
        f = filter_compile(text, len, a->prompt_memory, FILTER_MEMORY, &error);
        if (f == NULL) {
            app_say(a, true, "filter: %s", error.message);
            return false;
        }
        void *swap = a->filter_memory;
        a->filter_memory = a->prompt_memory;
        a->prompt_memory = swap;
    }
    a->filter = f;
    snprintf(a->filter_text, sizeof a->filter_text, "%s", f != NULL ? text : "");
    restart_sets(a);
    return true;
}

static void limit_sets(struct app *a, uint64_t end)
{
    a->matching.limit = a->ladder.rows.limit = a->packets.rows.limit = end;
}

/* A slice of a search; true: there is more of it. */
static bool work_search(struct app *a)
{
    const struct screen *s = screens[app_screen(a)];
    uint64_t n;
    if (!a->search.active || a->search.screen != app_screen(a))
        return a->search.active = false;
    struct list *l = s->list(a, &n);
    for (int i = 0; i < SEARCH_LINES && a->search.left > 0 && a->search.line < n; i++, a->search.left--) {
        uint64_t line = a->search.line;
        if (s->line_has(a, line)) {
            l->at = line;
            l->follow = a->search.active = false;
            a->message[0] = 0;
            return false;
        }
        a->search.line = a->search.forward ? (line + 1) % n : (line + n - 1) % n;
    }
    a->search.active = a->search.left > 0 && a->search.line < n;
    if (a->search.active)
        app_say(a, false, "searching; any key stops");
    else
        app_say(a, true, "not found: %s", a->find_text);
    return a->search.active;
}

/* Rows that were looked at before they got their session are looked at again. */
static void catch_up(struct app *a)
{
    uint64_t seq = store_take_relabelled(a->store);
    if (seq < a->ladder.rows.next && a->ladder.n_sessions > 0)
        ladder_open(a, a->ladder.sessions, a->ladder.n_sessions, a->ladder.stream);
    if (seq < a->packets.rows.next && a->packets.session != 0)
        packets_open(a, a->packets.session, a->packets.stream,
                     rowset_seq(&a->packets.rows, a->store, a->packets.list.at));
}

bool app_work(struct app *a)
{
    catch_up(a);
    bool more = rowset_step(&a->matching, a->store, WORK_ROWS);
    const struct screen *s = screens[app_screen(a)];
    more = (s->work != NULL && s->work(a)) || more;
    return work_search(a) || more;
}

void app_cleared(struct app *a)
{
    topics_clear(a->topics);
    stats_clear(a->stats);
    copies_clear(a->ladder.copies);
    memset(a->marks, 0, sizeof a->marks);
    a->n_selected = 0;
    a->packets.shown = UINT64_MAX;
    a->paused = false;
    limit_sets(a, UINT64_MAX);
    restart_sets(a);
}

/* ---- selection -------------------------------------------------------------------------------------------------- */

bool app_is_selected(const struct app *a, uint64_t seq)
{
    for (int i = 0; i < a->n_selected; i++)
        if (a->selected[i] == seq)
            return true;
    return false;
}

void app_select(struct app *a, uint64_t seq)
{
    for (int i = 0; i < a->n_selected; i++)
        if (a->selected[i] == seq) {
            memmove(&a->selected[i], &a->selected[i + 1], (size_t)(--a->n_selected - i) * sizeof *a->selected);
            return;
        }
    if (a->n_selected == APP_SELECTED)
        app_say(a, true, "%d packets are selected already: no more can be", APP_SELECTED);
    else
        a->selected[a->n_selected++] = seq;
}

bool app_contains(struct view text, const char *what)
{
    size_t len = strlen(what);
    for (size_t i = 0; len > 0 && i + len <= text.len; i++) {
        size_t k = 0;
        while (k < len && tolower(text.ptr[i + k]) == tolower((unsigned char)what[k]))
            k++;
        if (k == len)
            return true;
    }
    return false;
}

void app_time(const struct app *a, char out[TEXT_CAP], int64_t ns, int64_t before_ns)
{
    if (a->time_mode == TIME_OF_DAY)
        text_time(out, ns);
    else if (a->time_mode == TIME_SINCE_START)
        text_seconds(out, ns - store_totals(a->store)->first_ns);
    else
        text_delta(out, ns - before_ns);
}

/* ---- marks ------------------------------------------------------------------------------------------------------ */

static uint64_t current_seq(const struct app *a)
{
    if (app_screen(a) == SCREEN_LADDER)
        return rowset_seq(&a->ladder.rows, a->store, a->ladder.list.at);
    if (app_screen(a) == SCREEN_PACKETS)
        return rowset_seq(&a->packets.rows, a->store, a->packets.list.at);
    return UINT64_MAX;
}

void app_mark(struct app *a, bool set, uint32_t letter)
{
    if (letter < 'a' || letter > 'z') {
        app_say(a, true, "marks are the letters a to z");
        return;
    }
    unsigned i = letter - 'a';
    uint64_t seq = current_seq(a);
    if (set) {
        a->marks[i].seq = seq == UINT64_MAX ? 0 : seq + 1;
        a->marks[i].session = app_screen(a) == SCREEN_SESSIONS ? a->sessions.selected : 0;
        app_say(a, false, "mark %c is set", letter);
        return;
    }
    uint64_t row = a->marks[i].seq - 1;
    if (a->marks[i].session != 0) {
        a->depth = 1;
        a->sessions.selected = a->marks[i].session;
        a->sessions.seen_changes = UINT64_MAX;
    } else if (a->marks[i].seq == 0 || store_meta(a->store, row) == NULL) {
        app_say(a, true, "mark %c is not set", letter);
    } else if (app_screen(a) == SCREEN_LADDER) {
        ladder_go(a, row);
    } else {
        app_push(a, SCREEN_PACKETS);
        packets_open(a, a->packets.session, a->packets.stream, row);
    }
}

/* ---- keys ------------------------------------------------------------------------------------------------------- */

/* Begins a search from the cursor on, around the end; app_work() goes on with it. */
static void start_search(struct app *a, bool forward, bool from_here)
{
    uint64_t n;
    const struct list *l = screens[app_screen(a)]->list(a, &n);
    a->search.active = n > 0;
    a->search.forward = forward;
    a->search.screen = app_screen(a);
    a->search.left = n;
    a->search.line = from_here || n == 0 ? l->at : forward ? (l->at + 1) % n : (l->at + n - 1) % n;
    if (n == 0)
        app_say(a, true, "not found: %s", a->find_text);
    work_search(a); /* what is near is found at once */
}

static void toggle_pause(struct app *a)
{
    a->paused = !a->paused;
    a->paused_end = store_end(a->store);
    limit_sets(a, a->paused ? a->paused_end : UINT64_MAX);
    app_say(a, false, a->paused ? "paused: new rows are kept and shown after p" : "");
}

static void toggle_follow(struct app *a)
{
    struct list *l = app_screen(a) == SCREEN_LADDER ? &a->ladder.list : &a->packets.list;
    l->follow = !l->follow;
    a->packets.list.follow = a->ladder.list.follow = l->follow;
    app_say(a, false, l->follow ? "following the newest row" : "no longer following");
}

static void find_again(struct app *a, bool forward)
{
    if (screens[app_screen(a)]->line_has == NULL)
        app_say(a, true, "nothing to search on this screen");
    else if (a->find_text[0] == 0)
        app_say(a, true, "f first: no text to find yet");
    else
        start_search(a, forward, false);
}

static void want_quit(struct app *a)
{
    if (a->source.live && a->source.unsaved && !a->source.ended)
        prompt_open(a, PROMPT_QUIT, "");
    else
        a->wish |= WISH_QUIT;
}

static void open_packets(struct app *a)
{
    uint32_t session = 0, stream = UINT32_MAX;
    uint64_t seq = UINT64_MAX;
    if (app_screen(a) == SCREEN_LADDER) {
        session = a->ladder.n_sessions == 1 ? a->ladder.sessions[0] : 0;
        stream = session == 0 && a->ladder.n_sessions == 1 ? a->ladder.stream : UINT32_MAX;
        seq = rowset_seq(&a->ladder.rows, a->store, a->ladder.list.at);
    } else if (app_screen(a) == SCREEN_PACKETS) { /* again: all of them */
        seq = rowset_seq(&a->packets.rows, a->store, a->packets.list.at);
    }
    app_push(a, SCREEN_PACKETS);
    packets_open(a, session, stream, seq);
}

static void open_plain(struct app *a, enum screen_id screen, struct plain_screen *p)
{
    enum screen_id of = app_screen(a);
    if (of == screen)
        return;
    p->of = of;
    p->list = (struct list){ 0 };
    app_push(a, screen);
}

static void go_back(struct app *a)
{
    if (a->depth > 1)
        app_pop(a);
    else
        want_quit(a);
}

static bool global_action(struct app *a, enum action action)
{
    switch (action) {
    case ACTION_BACK:
        go_back(a);
        break;
    case ACTION_QUIT:
        want_quit(a);
        break;
    case ACTION_HELP:
        open_plain(a, SCREEN_HELP, &a->help);
        break;
    case ACTION_SAVE:
        open_plain(a, SCREEN_SAVE, &a->save);
        break;
    case ACTION_SETTINGS:
        open_plain(a, SCREEN_SETTINGS, &a->settings);
        break;
    case ACTION_STATISTICS:
        open_plain(a, SCREEN_STATISTICS, &a->statistics);
        break;
    case ACTION_FILTER:
        prompt_open(a, PROMPT_FILTER, a->filter_text);
        break;
    case ACTION_FIND:
        prompt_open(a, PROMPT_FIND, a->find_text);
        break;
    case ACTION_COMMAND:
        prompt_open(a, PROMPT_COMMAND, "");
        break;
    case ACTION_NEXT:
        find_again(a, true);
        break;
    case ACTION_PREVIOUS:
        find_again(a, false);
        break;
    case ACTION_PAUSE:
        toggle_pause(a);
        break;
    case ACTION_FOLLOW:
        toggle_follow(a);
        break;
    case ACTION_CLEAR:
        prompt_open(a, PROMPT_CLEAR, "");
        break;
    case ACTION_STOP:
        a->matching.stopped = a->packets.rows.stopped = a->ladder.rows.stopped = true;
        break;
    case ACTION_SESSIONS:
        a->depth = 1;
        break;
    case ACTION_PACKETS:
        open_packets(a);
        break;
    case ACTION_FINDINGS:
        app_push(a, SCREEN_FINDINGS);
        break;
    case ACTION_TOPICS:
        app_push(a, SCREEN_TOPICS);
        break;
    case ACTION_MARK:
        prompt_open(a, PROMPT_MARK, "");
        break;
    case ACTION_GO_MARK:
        prompt_open(a, PROMPT_GO_MARK, "");
        break;
    case ACTION_TIME:
        a->time_mode = (enum time_mode)((a->time_mode + 1) % TIME_MODES);
        break;
    case ACTION_COLOUR:
        a->colour = !a->colour;
        a->wish |= WISH_COLOUR;
        break;
    case ACTION_MOUSE:
        a->mouse = !a->mouse;
        a->wish |= WISH_MOUSE;
        break;
    case ACTION_REDRAW:
        a->wish |= WISH_REDRAW;
        break;
    case ACTION_SUSPEND:
        a->wish |= WISH_SUSPEND;
        break;
    default:
        return false;
    }
    return true;
}

static bool is_count(const struct app *a, uint32_t key)
{
    return (key >= '1' && key <= '9') || (key == '0' && a->count > 0);
}

static void mouse_key(struct app *a, const struct key_event *key)
{
    const struct screen *s = screens[app_screen(a)];
    if (key->key == KEYC_CLICK && s->click != NULL && key->y > 0)
        s->click(a, key->y - 1, key->x);
    else if (key->key == KEYC_WHEEL_UP || key->key == KEYC_WHEEL_DOWN)
        s->action(a, key->key == KEYC_WHEEL_UP ? ACTION_UP : ACTION_DOWN, 3);
}

void app_key(struct app *a, const struct key_event *key)
{
    if (key->key == KEYC_RESIZE || key->key == KEYC_NONE)
        return;
    catch_up(a);
    if (a->prompt.kind != PROMPT_NONE) {
        prompt_key(a, key->key);
        return;
    }
    a->message[0] = 0;
    a->search.active = false;
    if (key->key == KEYC_CLICK || key->key == KEYC_WHEEL_UP || key->key == KEYC_WHEEL_DOWN) {
        mouse_key(a, key);
        return;
    }
    if (is_count(a, key->key)) {
        a->count = a->count < 100000000 ? a->count * 10 + (key->key - '0') : a->count;
        return;
    }
    unsigned count = a->count;
    a->count = 0;
    enum action action = keys_action(key->key, app_screen(a));
    if (action == ACTION_NONE || screens[app_screen(a)]->action(a, action, count) || global_action(a, action))
        return;
    app_say(a, true, "%s: not on this screen", keys_names(action));
}

/* ---- the frame -------------------------------------------------------------------------------------------------- */

static void draw_title(struct app *a, struct grid *g)
{
    const struct store_totals *t = store_totals(a->store);
    const struct source *s = &a->source;
    char rows[TEXT_CAP], held[TEXT_CAP], used[TEXT_CAP], most[TEXT_CAP], right[160];
    char gone[TEXT_CAP], drops[TEXT_CAP];
    grid_fill(g, (struct rect){ 0, 0, 1, g->cols }, ' ', STYLE_TITLE);
    uint64_t shown =
        a->filter != NULL ? rowset_lines(&a->matching, a->store) : rowset_lines(&a->packets.rows, a->store);
    if (a->filter == NULL)
        shown = t->held;
    int n = snprintf(right, sizeof right, "%s/%s rows", text_count(rows, shown), text_count(held, t->held));
    if (t->evicted_rows + s->evicted > 0)
        n += snprintf(right + n, sizeof right - (size_t)n, " -%s", text_count(gone, t->evicted_rows + s->evicted));
    if (s->live || s->drops > 0)
        n += snprintf(right + n, sizeof right - (size_t)n, "  drops %s", text_count(drops, s->drops));
    if (s->lost_octets > 0)
        n += snprintf(right + n, sizeof right - (size_t)n, "  lost %s", text_octets(gone, s->lost_octets));
    snprintf(right + n, sizeof right - (size_t)n, "  mem %s/%s ", text_mib(used, t->memory + s->memory),
             text_mib(most, t->budget + s->budget));
    const char *mode = a->paused  ? "paused"
                       : !s->live ? (s->ended ? "offline" : "reading")
                       : s->ended ? "ended"
                                  : "live";
    int x = grid_printf(g, 0, 1, g->cols - 1, STYLE_TITLE, "%s%s %s ", mode, s->recording ? " rec" : "", s->name);
    int width = (int)strlen(right);
    if (x + 2 + width > g->cols) { /* memory gives way first, then the name */
        char *mem = strstr(right, "  mem ");
        if (mem != NULL)
            strcpy(mem, " ");
        width = (int)strlen(right);
    }
    if (g->cols > width + 12)
        grid_right(g, 0, g->cols - width, width, STYLE_TITLE, right);
}

static void draw_filter_line(struct app *a, struct grid *g, int y)
{
    int percent = a->filter != NULL ? rowset_percent(&a->matching, a->store) : 100;
    int x = 1;
    if (a->message[0] != 0) {
        grid_text(g, y, 1, g->cols - 2, a->message_bad ? STYLE_WARNING : STYLE_HEAD, a->message);
        return;
    }
    if (a->count > 0) {
        grid_printf(g, y, 1, g->cols - 2, STYLE_HEAD, "%u", a->count);
        return;
    }
    if (a->filter != NULL) {
        x += grid_text(g, y, x, g->cols - 2 - x, STYLE_HEAD, "filter: ");
        if (percent < 100)
            x += grid_printf(g, y, x, g->cols - 2 - x, STYLE_OWED,
                             a->matching.stopped ? "(stopped at %d%%) " : "(%d%%, X stops) ", percent);
        x += grid_text(g, y, x, g->cols - 2 - x, STYLE_NORMAL, a->filter_text);
        if (filter_gave_up(a->filter))
            grid_text(g, y, x + 1, g->cols - 3 - x, STYLE_WARNING, "(some comparisons took too long)");
        return;
    }
    if (a->source.trouble[0] != 0)
        grid_text(g, y, 1, g->cols - 2, STYLE_WARNING, a->source.trouble);
    else
        grid_text(g, y, 1, g->cols - 2, STYLE_DIM, "no filter");
}

/* The last line: the keys that matter most here. */
static void draw_keys(struct app *a, struct grid *g)
{
    static const struct {
        enum action action;
        const char *word;
    } shown[SCREEN_COUNT][12] = {
        [SCREEN_SESSIONS] = { { ACTION_HELP, "help" },
                              { ACTION_OPEN, "ladder" },
                              { ACTION_PACKETS, "packets" },
                              { ACTION_FINDINGS, "findings" },
                              { ACTION_TOPICS, "topics" },
                              { ACTION_STATISTICS, "stats" },
                              { ACTION_FILTER, "filter" },
                              { ACTION_SAVE, "save" },
                              { ACTION_BACK, "quit" } },
        [SCREEN_LADDER] = { { ACTION_HELP, "help" },
                            { ACTION_EXCHANGE, "handshake" },
                            { ACTION_TROUBLE_NEXT, "trouble" },
                            { ACTION_DETAIL, "packet" },
                            { ACTION_SELECT, "select" },
                            { ACTION_TIME, "time" },
                            { ACTION_FILTER, "filter" },
                            { ACTION_SAVE, "save" },
                            { ACTION_BACK, "back" } },
        [SCREEN_PACKETS] = { { ACTION_HELP, "help" },
                             { ACTION_PANE, "pane" },
                             { ACTION_ZOOM, "zoom" },
                             { ACTION_FORMAT, "payload" },
                             { ACTION_SELECT, "select" },
                             { ACTION_FILTER, "filter" },
                             { ACTION_SAVE, "save" },
                             { ACTION_BACK, "back" } },
        [SCREEN_FINDINGS] = { { ACTION_HELP, "help" },
                              { ACTION_OPEN, "evidence" },
                              { ACTION_DETAIL, "packet" },
                              { ACTION_SORT_RIGHT, "sort" },
                              { ACTION_FILTER, "filter" },
                              { ACTION_BACK, "back" } },
        [SCREEN_TOPICS] = { { ACTION_HELP, "help" },
                            { ACTION_RIGHT, "open" },
                            { ACTION_LEFT, "close" },
                            { ACTION_FORMAT, "value" },
                            { ACTION_DETAIL, "packet" },
                            { ACTION_SORT_RIGHT, "sort" },
                            { ACTION_BACK, "back" } },
        [SCREEN_STATISTICS] = { { ACTION_HELP, "help" },
                                { ACTION_DOWN, "down" },
                                { ACTION_UP, "up" },
                                { ACTION_BACK, "back" } },
        [SCREEN_COMPARE] = { { ACTION_HELP, "help" },
                             { ACTION_DOWN, "down" },
                             { ACTION_UP, "up" },
                             { ACTION_BACK, "back" } },
        [SCREEN_HELP] = { { ACTION_DOWN, "down" }, { ACTION_UP, "up" }, { ACTION_BACK, "back" } },
        [SCREEN_SAVE] = { { ACTION_DOWN, "down" },
                          { ACTION_RIGHT, "change" },
                          { ACTION_OPEN, "save" },
                          { ACTION_BACK, "cancel" } },
        [SCREEN_SETTINGS] = { { ACTION_DOWN, "down" },
                              { ACTION_OPEN, "change" },
                              { ACTION_SAVE, "store" },
                              { ACTION_BACK, "back" } },
    };
    int x = 1, y = g->rows - 1;
    for (int i = 0; i < 12 && shown[app_screen(a)][i].word != NULL; i++) {
        char key[16];
        keys_first(shown[app_screen(a)][i].action, key);
        int need = (int)(strlen(key) + strlen(shown[app_screen(a)][i].word)) + 3;
        if (x + need > g->cols)
            break;
        x += grid_text(g, y, x, 16, STYLE_KEY, key) + 1;
        x += grid_text(g, y, x, 16, STYLE_NORMAL, shown[app_screen(a)][i].word) + 2;
    }
}

void app_draw(struct app *a, struct grid *g)
{
    catch_up(a);
    grid_clear(g);
    if (g->rows < LEAST_ROWS || g->cols < LEAST_COLS) {
        grid_printf(g, g->rows / 2, 0, g->cols, STYLE_HEAD, "%dx%d: more room, please", g->cols, g->rows);
        return;
    }
    draw_title(a, g);
    struct rect body = { 1, 0, g->rows - 1 - DETAIL_LINES, g->cols };
    screens[app_screen(a)]->draw(a, g, body);
    if (a->prompt.kind != PROMPT_NONE)
        prompt_draw(a, g, g->rows - DETAIL_LINES);
    else
        draw_filter_line(a, g, g->rows - DETAIL_LINES);
    draw_keys(a, g);
}

void app_find(struct app *a)
{
    if (screens[app_screen(a)]->line_has == NULL)
        app_say(a, true, "nothing to search on this screen");
    else
        start_search(a, true, true);
}
