/* SPDX-License-Identifier: Apache-2.0
 *
 * tui/term.h -- the terminal: grid to screen, keys from it. term.c is the only file that touches ncurses.
 *
 * One terminal a process. The terminal is put back as it was by term_end(), on suspending, and on SIGTERM, SIGINT and
 * SIGHUP (through term_event() reporting TERM_GONE or TERM_STOP). */
#pragma once
#include "tui/grid.h"
#include "tui/keys.h"

enum term_colour { TERM_COLOUR_AUTO, TERM_COLOUR_ALWAYS, TERM_COLOUR_NEVER };

/* NULL: a full screen can be shown. Else why not, as half a sentence ("stdout is not a terminal"); *is_pipe tells that
 * stdin or stdout is no terminal, which is a wish for text, not an error. */
const char *term_refusal(bool *is_pipe);

/* false: the terminal cannot be set up; *why says so. */
bool term_start(enum term_colour colour, bool mouse, const char **why);
void term_end(void);     /* may be called at any time, also twice */
bool term_unicode(void); /* the locale is UTF-8 */
void term_size(int *rows, int *cols);
void term_show(const struct grid *g);
void term_redraw(void); /* the next term_show() sends everything again */
void term_set_colour(bool on);
bool term_has_colour(void);
void term_set_mouse(bool on);
void term_suspend(void); /* SIGTSTP to ourselves with the terminal put back; returns after SIGCONT */

enum term_event {
    TERM_KEY,
    TERM_TIMEOUT,
    TERM_WAKE /* term_wake() was called */,
    TERM_STOP /* SIGINT or SIGTERM */,
    TERM_GONE /* SIGHUP, end of file or error: there is no terminal any more */
};
/* Waits at most timeout_ms (-1: for ever). */
enum term_event term_wait(int timeout_ms, struct key_event *key);
/* Ends a waiting term_wait(); from any thread. */
void term_wake(void);
