/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/options_parts.h -- reading the arguments of options; private to capture/options*.c. */
#pragma once
#include "capture/options.h"

struct parsing {
    struct options *o;
    char *error;
    uint64_t number;
};

/* Sets the error to "WHAT 'WORD'", the word escaped ("" leaves it out); always false. */
bool options_fault(struct parsing *p, const char *what, const char *word);
/* A whole decimal number from least to most. */
bool options_number(struct parsing *p, const char *option, const char *value, uint64_t least, uint64_t most,
                    uint64_t *number);

bool options_decode_as(struct parsing *p, const char *value);
bool options_preference(struct parsing *p, const char *value);
bool options_memory(struct parsing *p, const char *value);
bool options_budget(struct parsing *p, const char *value);
void options_merge_budget(struct options *o);
bool options_ring(struct parsing *p, const char *value);
bool options_autostop(struct parsing *p, const char *value);
bool options_format(struct parsing *p, const char *value);
bool options_field(struct parsing *p, const char *value);
bool options_columns(struct parsing *p, const char *value);
bool options_time(struct parsing *p, const char *value);
bool options_color(struct parsing *p, const char *value);
bool options_severity(struct parsing *p, const char *value);
bool options_shell(struct parsing *p, const char *value);
