/* SPDX-License-Identifier: Apache-2.0 */
#include "tui/prompt.h"
#include "decoder/show/item.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static bool is_letter_prompt(enum prompt_kind kind) /* one key answers it */
{
    return kind == PROMPT_MARK || kind == PROMPT_GO_MARK || kind == PROMPT_CLEAR || kind == PROMPT_QUIT;
}

/* Tries the filter as it stands; an empty one is no filter. */
static void check(struct app *a)
{
    struct prompt *p = &a->prompt;
    p->wrong = false;
    if (p->kind == PROMPT_FILTER && strspn(p->text, " ") < p->len)
        p->wrong = filter_compile(p->text, p->len, a->prompt_memory, FILTER_MEMORY, &p->error) == NULL;
}

static void set_text(struct app *a, const char *text)
{
    struct prompt *p = &a->prompt;
    snprintf(p->text, sizeof p->text, "%s", text);
    p->len = p->at = strlen(p->text);
    p->complete_len = 0;
    check(a);
}

void prompt_open(struct app *a, enum prompt_kind kind, const char *text)
{
    a->prompt.kind = kind;
    a->prompt.history_at = a->prompt.n_history;
    set_text(a, text);
}

static void remember(struct prompt *p)
{
    if (p->len == 0 || (p->n_history > 0 && strcmp(p->history[p->n_history - 1], p->text) == 0))
        return;
    if (p->n_history == 8) {
        memmove(p->history[0], p->history[1], 7 * sizeof p->history[0]);
        p->n_history--;
    }
    memcpy(p->history[p->n_history++], p->text, sizeof p->text);
}

/* ---- editing ---------------------------------------------------------------------------------------------------- */

static size_t encode(uint32_t c, char out[4])
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)((n == 2 ? 0xc0 : n == 3 ? 0xe0 : 0xf0) | c);
    return n;
}

static void insert(struct prompt *p, const char *text, size_t n)
{
    if (p->len + n >= sizeof p->text)
        return;
    memmove(p->text + p->at + n, p->text + p->at, p->len - p->at + 1);
    memcpy(p->text + p->at, text, n);
    p->len += n;
    p->at += n;
}

static size_t left_of(const struct prompt *p, size_t at)
{
    while (at > 0 && ((uint8_t)p->text[--at] & 0xc0) == 0x80)
        ;
    return at;
}

static size_t right_of(const struct prompt *p, size_t at)
{
    if (at < p->len)
        at++;
    while (at < p->len && ((uint8_t)p->text[at] & 0xc0) == 0x80)
        at++;
    return at;
}

static void erase(struct prompt *p, size_t from, size_t to)
{
    memmove(p->text + from, p->text + to, p->len - to + 1);
    p->len -= to - from;
    p->at = from;
}

static size_t word_left(const struct prompt *p)
{
    size_t at = p->at;
    while (at > 0 && p->text[at - 1] == ' ')
        at--;
    while (at > 0 && p->text[at - 1] != ' ')
        at--;
    return at;
}

static bool edit(struct prompt *p, uint32_t key)
{
    switch (key) {
    case KEYC_LEFT:
        p->at = left_of(p, p->at);
        return true;
    case KEYC_RIGHT:
        p->at = right_of(p, p->at);
        return true;
    case KEYC_HOME:
    case 1:
        p->at = 0;
        return true;
    case KEYC_END:
    case 5:
        p->at = p->len;
        return true;
    case KEYC_BACKSPACE:
        erase(p, left_of(p, p->at), p->at);
        return true;
    case KEYC_DELETE:
    case 4:
        erase(p, p->at, right_of(p, p->at));
        return true;
    case 21:
        erase(p, 0, p->at);
        return true; /* Ctrl-U */
    case 11:
        erase(p, p->at, p->len);
        return true; /* Ctrl-K */
    case 23:
        erase(p, word_left(p), p->at);
        return true; /* Ctrl-W */
    default:
        break;
    }
    char text[4];
    if (key < 0x20 || key >= 0x110000 || (key >= 0x7f && key < 0xa0))
        return false;
    insert(p, text, encode(key, text));
    return true;
}

static void go_history(struct app *a, int step)
{
    struct prompt *p = &a->prompt;
    int at = p->history_at + step;
    if (at < 0 || at > p->n_history)
        return;
    p->history_at = at;
    set_text(a, at == p->n_history ? "" : p->history[at]);
}

/* ---- completion ------------------------------------------------------------------------------------------------- */

static bool word_char(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '.';
}

/* Tab: the next field whose name begins with the word left of the cursor; again: the one after it. */
static void complete(struct app *a)
{
    struct prompt *p = &a->prompt;
    size_t from = p->at;
    if (p->complete_len == 0) {
        while (from > 0 && word_char(p->text[from - 1]))
            from--;
        p->complete_from = from;
        p->complete_len = p->at - from;
        p->complete_next = 0;
        if (p->complete_len == 0)
            return;
    }
    for (int tried = 0; tried <= FIELD_COUNT; tried++) {
        int f = p->complete_next++ % FIELD_COUNT;
        const char *name = field_info((enum field)f)->name;
        if (strncmp(name, p->text + p->complete_from, p->complete_len) != 0)
            continue;
        size_t stem = p->complete_len, length = strlen(name);
        erase(p, p->complete_from + stem, p->at > p->complete_from + stem ? p->at : p->complete_from + stem);
        insert(p, name + stem, length - stem);
        check(a);
        return;
    }
}

/* ---- answers ---------------------------------------------------------------------------------------------------- */

static void go_to_line(struct app *a, unsigned long line)
{
    char number[24];
    struct key_event key = { .key = 'G' };
    snprintf(number, sizeof number, "%lu", line);
    a->count = line > 100000000 ? 100000000 : (unsigned)line;
    app_key(a, &key);
}

static void command(struct app *a, const char *text)
{
    while (*text == ' ')
        text++;
    size_t len = strcspn(text, " ");
    const char *rest = text + len + strspn(text + len, " ");
    char *end;
    unsigned long line = strtoul(text, &end, 10);
    if (isdigit((unsigned char)*text) && *end == 0 && line > 0)
        go_to_line(a, line);
    else if (strcmp(text, "q") == 0 || strcmp(text, "quit") == 0 || strcmp(text, "q!") == 0)
        a->wish |= WISH_QUIT;
    else if (len == 6 && strncmp(text, "filter", 6) == 0)
        app_set_filter(a, rest);
    else if ((len == 1 && *text == 'w') || (len == 4 && strncmp(text, "save", 4) == 0)) {
        snprintf(a->save.text, sizeof a->save.text, "%s", rest);
        app_key(a, &(struct key_event){ .key = 's' });
    } else if (len == 2 && strncmp(text, "go", 2) == 0 && atol(rest) > 0)
        go_to_line(a, strtoul(rest, NULL, 10));
    else if (len == 3 && strncmp(text, "set", 3) == 0) {
        char name[64] = "";
        size_t n = strcspn(rest, " ");
        if (n < sizeof name)
            memcpy(name, rest, n);
        const char *wrong = config_set(&a->config, name, rest + n + strspn(rest + n, " "));
        app_settings_changed(a);
        app_say(a, wrong != NULL, wrong != NULL ? "set %s: %s" : "%s is set", name, wrong);
    } else if (*text != 0)
        app_say(a, true, "commands: quit, filter EXPR, save FILE, go LINE, set KEY VALUE");
}

static void answer_letter(struct app *a, enum prompt_kind kind, uint32_t key)
{
    if (kind == PROMPT_CLEAR && (key == 'y' || key == 'Y'))
        a->wish |= WISH_CLEAR;
    else if (kind == PROMPT_QUIT && (key == 'y' || key == 'Y' || key == 3))
        a->wish |= WISH_QUIT;
    else if (kind == PROMPT_QUIT && (key == 's' || key == 'S'))
        app_key(a, &(struct key_event){ .key = 's' });
    else if (kind == PROMPT_MARK || kind == PROMPT_GO_MARK)
        app_mark(a, kind == PROMPT_MARK, key);
}

static void accept(struct app *a)
{
    struct prompt *p = &a->prompt;
    enum prompt_kind kind = p->kind;
    if (kind == PROMPT_FILTER && p->wrong) {
        p->at = p->error.at < p->len ? p->error.at : p->len; /* where it is wrong */
        return;
    }
    remember(p);
    p->kind = PROMPT_NONE;
    if (kind == PROMPT_FILTER) {
        app_set_filter(a, p->text);
    } else if (kind == PROMPT_FIND) {
        snprintf(a->find_text, sizeof a->find_text, "%s", p->text);
        if (p->len > 0)
            app_find(a);
    } else if (kind == PROMPT_COMMAND) {
        char text[APP_INPUT];
        snprintf(text, sizeof text, "%s", p->text);
        command(a, text);
    } else if (kind == PROMPT_FILE) {
        snprintf(a->save.text, sizeof a->save.text, "%.*s", (int)sizeof a->save.text - 1, p->text);
    } else if (kind == PROMPT_VALUE) {
        const char *name = config_name((enum config_key)a->settings.choice[0]);
        const char *wrong = config_set(&a->config, name, p->text);
        app_settings_changed(a);
        if (wrong != NULL)
            app_say(a, true, "%s: %s", name, wrong);
    }
}

void prompt_key(struct app *a, uint32_t key)
{
    struct prompt *p = &a->prompt;
    if (is_letter_prompt(p->kind)) {
        enum prompt_kind kind = p->kind;
        p->kind = PROMPT_NONE;
        answer_letter(a, kind, key);
        return;
    }
    if (key == 27 || key == 3 || (key == KEYC_BACKSPACE && p->len == 0)) {
        p->kind = PROMPT_NONE;
        return;
    }
    if (key == '\r') {
        accept(a);
        return;
    }
    if (key == '\t' && p->kind == PROMPT_FILTER) {
        complete(a);
        return;
    }
    p->complete_len = 0;
    if (key == KEYC_UP || key == KEYC_DOWN)
        go_history(a, key == KEYC_UP ? -1 : 1);
    else if (edit(p, key))
        check(a);
}

void prompt_draw(struct app *a, struct grid *g, int y)
{
    static const char *const titles[] = {
        [PROMPT_FILTER] = "filter: ",
        [PROMPT_FIND] = "find: ",
        [PROMPT_COMMAND] = ":",
        [PROMPT_MARK] = "mark this line with a letter a to z",
        [PROMPT_GO_MARK] = "go to the mark of letter a to z",
        [PROMPT_CLEAR] = "forget all rows? y forgets them, any other key does not",
        [PROMPT_QUIT] = "the live capture is not saved: y quits, s saves, any other key stays",
        [PROMPT_FILE] = "file: ",
        [PROMPT_VALUE] = "value: ",
    };
    struct prompt *p = &a->prompt;
    uint8_t style = p->wrong ? STYLE_BAD : STYLE_NORMAL;
    int x = 1 + grid_text(g, y, 1, g->cols - 2, STYLE_HEAD, titles[p->kind]);
    if (is_letter_prompt(p->kind))
        return;
    if (p->wrong && p->len > 0)
        x += grid_text(g, y, x, 2, STYLE_BAD, "! ");
    int room = g->cols - x - 2;
    size_t from = 0;
    while (grid_plain_width(view_of(p->text + from, p->at - from), g->unicode) >= room) /* keep the cursor in view */
        from = right_of(p, from);
    int used = grid_plain(g, y, x, room, style, view_of(p->text + from, p->len - from));
    g->cursor_y = y;
    g->cursor_x = x + grid_plain_width(view_of(p->text + from, p->at - from), g->unicode);
    if (p->wrong && room - used > 10)
        grid_printf(g, y, x + used + 2, room - used - 2, STYLE_WARNING, "%s", p->error.message);
}
