/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/heap.h -- malloc(3) in the shape in which the tracker and the broker ask their host for memory: size 0 gives it
 * back, NULL means there is none. */
#pragma once
#include <stdlib.h>

static inline void *heap_resize(void *ctx, void *old, size_t old_size, size_t size)
{
    (void)ctx;
    (void)old_size;
    if (size > 0)
        return realloc(old, size);
    free(old);
    return NULL;
}
