/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/filter/arena.c -- the caller's memory, handed out front to back and never taken back; errors. */
#include "decoder/base/out.h"
#include "decoder/base/utf8.h"
#include "decoder/filter/parts.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { UNIT = 16 };

static size_t round_up(size_t size)
{
    return (size + UNIT - 1) / UNIT * UNIT;
}

void *arena_take(struct arena *a, size_t size)
{
    if (size > a->size - a->used || a->size - a->used - size < UNIT)
        return NULL;
    size_t whole = round_up(size);
    void *p = a->base + a->used;
    a->used += whole;
    memset(p, 0, whole);
    return p;
}

void arena_trim(struct arena *a, const void *last, size_t size)
{
    a->used = (size_t)((const uint8_t *)last - a->base) + round_up(size);
}

/* The message may quote the filter, and that may hold anything, also a character that the end of the message cut. */
static void make_printable(char *message)
{
    size_t len = strlen(message);
    for (size_t i = 0; i < len;) {
        uint32_t code = 0;
        size_t n = utf8_next(view_of(message + i, len - i), &code);
        if (n == 0 || out_steers(code))
            memset(message + i, '?', n > 0 ? n : 1);
        i += n > 0 ? n : 1;
    }
}

bool filter_fail(struct filter_error *error, size_t at, size_t len, const char *format, ...)
{
    if (error->message[0] != '\0')
        return false;
    va_list args;
    va_start(args, format);
    vsnprintf(error->message, sizeof error->message, format, args);
    va_end(args);
    make_printable(error->message);
    error->at = at;
    error->len = len;
    return false;
}
