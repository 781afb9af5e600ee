/* SPDX-License-Identifier: Apache-2.0 */
#define _XOPEN_SOURCE_EXTENDED 1
#include "tui/term.h"
#include <curses.h>
#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <term.h>
#include <termios.h>
#include <unistd.h>

static struct {
    SCREEN *screen;
    int wake[2]; /* pipe: signals and other threads write, term_wait() reads */
    bool started, colour, mouse;
    bool can_colour;
    int empty_reads; /* readable without a key, in a row: the terminal is gone */
} term;

static volatile sig_atomic_t got_stop, got_gone, got_resize, got_continue;

static void on_signal(int number)
{
    int saved = errno;
    if (number == SIGHUP)
        got_gone = 1;
    else if (number == SIGWINCH)
        got_resize = 1;
    else if (number == SIGCONT)
        got_continue = 1;
    else
        got_stop = 1;
    ssize_t ignored = write(term.wake[1], "s", 1); /* full pipe: it wakes anyway */
    (void)ignored;
    errno = saved;
}

static void catch (int number)
{
    struct sigaction action = { .sa_handler = on_signal };
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

const char *term_refusal(bool *is_pipe)
{
    *is_pipe = !isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO);
    if (!isatty(STDOUT_FILENO))
        return "stdout is not a terminal";
    if (!isatty(STDIN_FILENO))
        return "stdin is not a terminal";
    const char *name = getenv("TERM");
    if (name == NULL || *name == 0)
        return "TERM is not set";
    if (strcmp(name, "dumb") == 0)
        return "TERM is dumb";
    int error = 0;
    if (setupterm(name, STDOUT_FILENO, &error) != OK)
        return "TERM names a terminal that is not known here";
    bool full = cursor_address != NULL && clear_screen != NULL;
    del_curterm(cur_term);
    return full ? NULL : "the terminal cannot move its cursor";
}

bool term_unicode(void)
{
    return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

/* Colour pairs are numbered by style; the background stays the terminal's own. */
static void init_pairs(void)
{
    static const struct {
        uint8_t style;
        short front, back;
    } pairs[] = {
        { STYLE_ERROR, COLOR_WHITE, COLOR_RED },  { STYLE_WARNING, COLOR_YELLOW, -1 },
        { STYLE_NOTE, COLOR_CYAN, -1 },           { STYLE_REQUEST, COLOR_GREEN, -1 },
        { STYLE_ANSWER, COLOR_BLUE, -1 },         { STYLE_RESET, COLOR_RED, -1 },
        { STYLE_OWED, COLOR_YELLOW, -1 },         { STYLE_KEY, COLOR_CYAN, -1 },
        { STYLE_LIT, COLOR_BLACK, COLOR_YELLOW }, { STYLE_BAD, COLOR_WHITE, COLOR_RED },
    };
    start_color();
    use_default_colors();
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        init_pair(pairs[i].style, pairs[i].front, pairs[i].back);
    if (COLORS >= 256) /* the plain blue of many terminals is too dark to read */
        init_pair(STYLE_ANSWER, 75, -1);
}

static attr_t attributes_of(const struct cell *c)
{
    static const attr_t plain[STYLE_COUNT] = {
        [STYLE_TITLE] = A_REVERSE, [STYLE_HEAD] = A_BOLD,
        [STYLE_DIM] = A_DIM,       [STYLE_ERROR] = A_BOLD | A_REVERSE,
        [STYLE_WARNING] = A_BOLD,  [STYLE_RESET] = A_BOLD,
        [STYLE_OWED] = A_BOLD,     [STYLE_KEY] = A_BOLD,
        [STYLE_LIT] = A_REVERSE,   [STYLE_BAD] = A_UNDERLINE | A_BOLD,
    };
    static const attr_t coloured[STYLE_COUNT] = {
        [STYLE_TITLE] = A_REVERSE, [STYLE_HEAD] = A_BOLD, [STYLE_DIM] = A_DIM,    [STYLE_ERROR] = A_BOLD,
        [STYLE_OWED] = A_BOLD,     [STYLE_BAD] = A_BOLD,  [STYLE_RESET] = A_BOLD,
    };
    attr_t out = term.colour ? coloured[c->style] : plain[c->style];
    if (c->flags & GRID_SELECTED) /* one bar over the whole line: it has to be seen, also in monochrome */
        out = A_REVERSE | (out & A_BOLD);
    if (c->flags & GRID_BOLD)
        out |= A_BOLD;
    return out;
}

static short pair_of(const struct cell *c)
{
    bool has = c->style >= STYLE_ERROR && c->style < STYLE_COUNT;
    return term.colour && has && !(c->flags & GRID_SELECTED) ? (short)c->style : 0;
}

void term_set_colour(bool on)
{
    term.colour = on && term.can_colour;
    if (term.started)
        term_redraw();
}

bool term_has_colour(void)
{
    return term.colour;
}

void term_set_mouse(bool on)
{
    term.mouse = on;
    if (term.started) {
        mousemask(on ? BUTTON1_PRESSED | BUTTON1_CLICKED | BUTTON4_PRESSED | BUTTON5_PRESSED : 0, NULL);
        mouseinterval(0);
    }
}

bool term_start(enum term_colour colour, bool mouse, const char **why)
{
    if (pipe(term.wake) != 0) {
        *why = strerror(errno);
        return false;
    }
    for (int i = 0; i < 2; i++) {
        fcntl(term.wake[i], F_SETFL, O_NONBLOCK);
        fcntl(term.wake[i], F_SETFD, FD_CLOEXEC);
    }
    set_escdelay(25);
    term.screen = newterm(NULL, stdout, stdin);
    if (term.screen == NULL) {
        *why = "the terminal cannot be set up";
        return false;
    }
    term.started = true;
    raw(); /* Ctrl-C, Ctrl-Z and the like are keys of ours */
    noecho();
    nonl();
    nodelay(stdscr, TRUE);
    keypad(stdscr, TRUE);
    intrflush(stdscr, FALSE);
    curs_set(0);
    const char *no_color = getenv("NO_COLOR");
    bool refused = colour == TERM_COLOUR_NEVER || (colour == TERM_COLOUR_AUTO && no_color != NULL && *no_color != 0);
    term.can_colour = has_colors();
    if (term.can_colour)
        init_pairs();
    term.colour = term.can_colour && !refused;
    term_set_mouse(mouse);
    static const int caught[] = { SIGHUP, SIGINT, SIGTERM, SIGWINCH, SIGCONT };
    for (size_t i = 0; i < sizeof caught / sizeof *caught; i++)
        catch (caught[i]);
    signal(SIGPIPE, SIG_IGN);
    return true;
}

void term_end(void)
{
    if (!term.started)
        return;
    term.started = false;
    if (got_gone) /* nobody is there to be told; writing could only fail or block */
        return;
    endwin();
    delscreen(term.screen);
    term.screen = NULL;
}

void term_size(int *rows, int *cols)
{
    getmaxyx(stdscr, *rows, *cols);
}

void term_redraw(void)
{
    clearok(curscr, TRUE);
}

static void show_cell(int y, int x, const struct cell *c)
{
    wchar_t text[2] = { (wchar_t)c->ch, 0 };
    cchar_t out;
    if (setcchar(&out, text, attributes_of(c), pair_of(c), NULL) == OK)
        mvadd_wch(y, x, &out);
}

void term_show(const struct grid *g)
{
    int rows, cols;
    term_size(&rows, &cols);
    for (int y = 0; y < g->rows && y < rows; y++)
        for (int x = 0; x < g->cols && x < cols; x++) {
            const struct cell *c = &g->cells[y * g->cols + x];
            if (!(c->flags & GRID_WIDE_TAIL))
                show_cell(y, x, c);
        }
    if (g->cursor_y >= 0 && g->cursor_y < rows && g->cursor_x < cols) {
        move(g->cursor_y, g->cursor_x);
        curs_set(1);
    } else {
        curs_set(0);
    }
    refresh();
}

void term_suspend(void)
{
    endwin();
    raise(SIGSTOP);
    refresh();
    term_redraw();
}

void term_wake(void)
{
    ssize_t ignored = write(term.wake[1], "w", 1);
    (void)ignored;
}

static uint32_t key_of(int curses_key)
{
    static const struct {
        int from;
        uint32_t to;
    } keys[] = {
        { KEY_UP, KEYC_UP },
        { KEY_DOWN, KEYC_DOWN },
        { KEY_LEFT, KEYC_LEFT },
        { KEY_RIGHT, KEYC_RIGHT },
        { KEY_PPAGE, KEYC_PGUP },
        { KEY_NPAGE, KEYC_PGDN },
        { KEY_HOME, KEYC_HOME },
        { KEY_END, KEYC_END },
        { KEY_BTAB, KEYC_BACKTAB },
        { KEY_DC, KEYC_DELETE },
        { KEY_BACKSPACE, KEYC_BACKSPACE },
        { KEY_ENTER, '\r' },
        { KEY_RESIZE, KEYC_RESIZE },
    };
    if (curses_key > KEY_F0 && curses_key <= KEY_F(12))
        return KEYC_F0 + (uint32_t)(curses_key - KEY_F0);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (keys[i].from == curses_key)
            return keys[i].to;
    return KEYC_NONE;
}

static uint32_t mouse_key(struct key_event *key)
{
    MEVENT event;
    if (getmouse(&event) != OK)
        return KEYC_NONE;
    key->y = event.y;
    key->x = event.x;
    if (event.bstate & BUTTON4_PRESSED)
        return KEYC_WHEEL_UP;
    if (event.bstate & BUTTON5_PRESSED)
        return KEYC_WHEEL_DOWN;
    return KEYC_CLICK;
}

/* One key that is there already; false: none. */
static bool read_key(struct key_event *key)
{
    wint_t code;
    int kind = get_wch(&code);
    if (kind == ERR)
        return false;
    *key = (struct key_event){ 0 };
    if (kind == KEY_CODE_YES)
        key->key = code == KEY_MOUSE ? mouse_key(key) : key_of((int)code);
    else
        key->key = code == '\n' ? '\r' : code == 0x7f || code == '\b' ? KEYC_BACKSPACE : (uint32_t)code;
    return true;
}

static bool after_signal(struct key_event *key, enum term_event *event)
{
    if (got_gone) {
        *event = TERM_GONE;
        return true;
    }
    if (got_stop) {
        got_stop = 0;
        *event = TERM_STOP;
        return true;
    }
    if (!got_resize && !got_continue)
        return false;
    struct winsize size = { 0 };
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0)
        resize_term(size.ws_row, size.ws_col);
    if (got_continue)
        raw();
    got_resize = got_continue = 0;
    term_redraw();
    *key = (struct key_event){ .key = KEYC_RESIZE };
    *event = TERM_KEY;
    return true;
}

static bool drain_wake(void)
{
    char buffer[256];
    bool woken = false;
    for (ssize_t n; (n = read(term.wake[0], buffer, sizeof buffer)) > 0;)
        woken = woken || memchr(buffer, 'w', (size_t)n) != NULL;
    return woken;
}

enum term_event term_wait(int timeout_ms, struct key_event *key)
{
    enum term_event event;
    if (after_signal(key, &event))
        return event;
    if (read_key(key)) { /* ncurses may hold keys that poll() cannot see */
        term.empty_reads = 0;
        return TERM_KEY;
    }
    struct pollfd fds[2] = { { .fd = STDIN_FILENO, .events = POLLIN }, { .fd = term.wake[0], .events = POLLIN } };
    int ready = poll(fds, 2, timeout_ms);
    bool woken = drain_wake();
    if (after_signal(key, &event))
        return event;
    if (ready < 0)
        return errno == EINTR ? TERM_TIMEOUT : TERM_GONE;
    if (fds[0].revents & POLLIN) {
        if (read_key(key)) {
            term.empty_reads = 0;
            return TERM_KEY;
        }
        if (++term.empty_reads > 20) /* readable, yet nothing to read: end of file */
            got_gone = 1;
    } else if (fds[0].revents & (POLLHUP | POLLERR | POLLNVAL)) {
        got_gone = 1;
    }
    if (got_gone)
        return TERM_GONE;
    return woken ? TERM_WAKE : TERM_TIMEOUT;
}
