/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/base/prefetch.h -- memory that is asked for before it is needed. */
#pragma once
#include <stddef.h>

enum { CACHE_LINE = 64 }; /* octets */

/* gcc takes a function that does nothing but prefetch for one without effect, and drops the calls of it: the empty asm
 * is an effect. */
static inline void prefetch_line(const void *p)
{
    __builtin_prefetch(p);
    __asm__ volatile("");
}

/* It is written to: another processor that has it gives it up. The compiler asks for it to be read where it does not
 * know that the machine can do better; those that can't pass over the instruction. */
static inline void prefetch_line_to_write(void *p)
{
#ifdef __x86_64__
    __asm__ volatile("prefetchw %0" : : "m"(*(char *)p));
#else
    __builtin_prefetch(p, 1);
    __asm__ volatile("");
#endif
}

static inline void prefetch_record_to_write(void *p, size_t size)
{
    for (size_t at = 0; at < size; at += CACHE_LINE)
        prefetch_line_to_write((char *)p + at);
    prefetch_line_to_write((char *)p + size - 1);
}

/* Every line that a record has a part in; NULL is fine. */
static inline void prefetch_record(const void *p, size_t size)
{
    if (p == NULL)
        return;
    for (size_t at = 0; at < size; at += CACHE_LINE)
        prefetch_line((const char *)p + at);
    prefetch_line((const char *)p + size - 1);
}
