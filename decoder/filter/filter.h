/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/filter/filter.h -- the display filter: Wireshark's grammar over the rows and fields of decoder/show.
 *
 * A filter is compiled once into memory of the caller and then asked row by row; asking allocates nothing and changes
 * only that memory (so one filter serves one thread). mqshark-filter(7) says what the language means. What bounds it:
 * the text is FILTER_TEXT_MAX characters, parentheses, braces and calls nest FILTER_DEPTH_MAX deep, one comparison
 * names FILTER_LEAVES_MAX fields, and a regular expression gets a fixed number of steps a value. */
#pragma once
#include "decoder/show/row.h"

enum {
    FILTER_MEMORY = 1 << 20, /* enough for every filter that does not lean on large regular expressions */
    FILTER_TEXT_MAX = 8192,
    FILTER_DEPTH_MAX = 100,
    FILTER_LEAVES_MAX = 4,
    FILTER_MESSAGE_MAX = 256,
};

struct filter; /* in the caller's memory; nothing to free */

/* What is wrong, and with which characters of the text. */
struct filter_error {
    size_t at, len;                   /* len 0: the end of the text */
    char message[FILTER_MESSAGE_MAX]; /* printable, no newline */
};

/* NULL and *error set when the text is no filter or does not fit the memory. memory is aligned for any type and stays
 * as it is while the filter is used; the text need not. A text of nothing but spaces is a filter that every row passes.
 */
struct filter *filter_compile(const char *text, size_t len, void *memory, size_t memory_size,
                              struct filter_error *error);

/* Does the row pass? */
bool filter_match(struct filter *f, const struct row *row);

/* True once a comparison was given up because it took too many steps (a regular expression that explodes, fields that
 * repeat thousands of times on both sides): it counted as not met, so results from there on may lack rows. */
bool filter_gave_up(const struct filter *f);

/* The error as lines: the message, the text (or the part around the fault) and carets under the fault. Ends in a
 * newline and NUL; cut to cap. Control characters are shown as '?'. Returns the length. */
size_t filter_error_text(const struct filter_error *error, const char *text, size_t len, char *out, size_t cap);
