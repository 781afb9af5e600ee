/* SPDX-License-Identifier: Apache-2.0
 *
 * tui/keys.h -- keys and what they do, from the one table in keys.def. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* A key is a code point, a control character (Ctrl-A is 1, Enter '\r', Tab '\t', Esc 27), or one of these. */
enum key_code {
    KEYC_NONE = 0,
    KEYC_BACKTAB = 0x110000,
    KEYC_UP,
    KEYC_DOWN,
    KEYC_LEFT,
    KEYC_RIGHT,
    KEYC_PGUP,
    KEYC_PGDN,
    KEYC_HOME,
    KEYC_END,
    KEYC_DELETE,
    KEYC_BACKSPACE,
    KEYC_F0, /* F1 is KEYC_F0 + 1 */
    KEYC_LAST = KEYC_F0 + 12,
    KEYC_CLICK, /* mouse: see struct key_event */
    KEYC_WHEEL_UP,
    KEYC_WHEEL_DOWN,
    KEYC_RESIZE,
};

struct key_event {
    uint32_t key;
    int y, x; /* of a click */
};

enum screen_id {
    SCREEN_SESSIONS,
    SCREEN_LADDER,
    SCREEN_PACKETS,
    SCREEN_FINDINGS,
    SCREEN_TOPICS,
    SCREEN_STATISTICS,
    SCREEN_COMPARE,
    SCREEN_HELP,
    SCREEN_SAVE,
    SCREEN_SETTINGS,
    SCREEN_COUNT
};

enum action {
    ACTION_NONE,
#define KEY(sym, screens, keys, text) ACTION_##sym,
#include "tui/keys.def"
    ACTION_COUNT
};

enum action keys_action(uint32_t key, enum screen_id screen); /* ACTION_NONE when the key means nothing there */
bool keys_active(enum action action, enum screen_id screen);
const char *keys_names(enum action action); /* "k Up" */
const char *keys_text(enum action action);
void keys_first(enum action action, char out[16]); /* the first name: "k", "Ctrl-B" */
uint32_t keys_parse(const char *name, size_t len); /* KEYC_NONE when there is no such key */
const char *screen_name(enum screen_id screen);    /* "sessions" */

/* The whole table: as lines of text, or as scdoc for the man page. */
void keys_print(FILE *out, bool scdoc);
