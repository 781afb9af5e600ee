/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/filter/arena.c -- the caller's memory, handed out front to back and never taken back; errors. */
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

bool filter_fail(struct filter_error *error, size_t at, size_t len, const char *format, ...)
{
    if (error->message[0] != '\0')
        return false;
    va_list args;
    va_start(args, format);
    vsnprintf(error->message, sizeof error->message, format, args);
    va_end(args);
    for (char *c = error->message; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    error->at = at;
    error->len = len;
    return false;
}
