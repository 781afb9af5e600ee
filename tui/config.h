/* SPDX-License-Identifier: Apache-2.0
 *
 * tui/config.h -- settings: `key value` lines, # begins a comment. Read from /etc/mqshark.conf, then from
 * $XDG_CONFIG_HOME/mqshark/config (~/.config/mqshark/config); options of the command line win over both. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum config_key {
#define SETTING(sym, name, type, value, text) CONFIG_##sym,
#include "tui/settings.def"
    CONFIG_COUNT
};

enum config_type { CONFIG_BOOL, CONFIG_NUMBER, CONFIG_WORD };

struct config {
    uint64_t number[CONFIG_COUNT]; /* BOOL and NUMBER */
    char word[CONFIG_COUNT][128];  /* WORD */
};

void config_defaults(struct config *c);
const char *config_name(enum config_key key);
const char *config_text(enum config_key key); /* what it is for */
enum config_type config_type(enum config_key key);
/* Sets one from its text; NULL, or what is wrong with it (static). */
const char *config_set(struct config *c, const char *name, const char *value);
void config_value(const struct config *c, enum config_key key, char *out, size_t cap);
/* Reads a file; a missing one is fine. Faults are reported on `err` as FILE:LINE: what. False when there was one. */
bool config_read(struct config *c, const char *path, FILE *err);
bool config_user_path(char *out, size_t cap);                /* false: neither XDG_CONFIG_HOME nor HOME is set */
bool config_write(const struct config *c, const char *path); /* makes the directory; false: errno tells */
void config_dump(const struct config *c, FILE *out);
void config_print_scdoc(FILE *out); /* the table, for the man page */
