/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/handover/blocks.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    READ = 256 * 1024, /* octets read at once */
    HEAD = 64 * 1024,  /* room before them, for what is left of the last block: most often a part of a frame */
};

void blocks_destroy(struct blocks *b)
{
    for (unsigned i = 0; i < BLOCKS; i++)
        free(b->block[i].octets);
}

static struct block *next_of(struct blocks *b)
{
    return &b->block[(b->current + 1) % BLOCKS];
}

/* What was in it is lost. */
static bool grow(struct block *block, size_t size)
{
    if (block->cap >= size)
        return true;
    free(block->octets);
    block->octets = malloc(size);
    block->cap = block->octets != NULL ? size : 0;
    return block->octets != NULL;
}

uint8_t *blocks_room(struct blocks *b, struct tide *done, size_t size, size_t *cap)
{
    b->current = (b->current + 1) % BLOCKS;
    struct block *block = blocks_current(b);
    tide_await(done, block->until, NULL, NULL);
    bool good = grow(block, size);
    *cap = block->cap;
    return good ? block->octets : NULL;
}

/* ---- reading ahead ---- */

static void read_next(struct blocks *b)
{
    b->got = read(b->fd, next_of(b)->octets + HEAD, READ);
    b->error = errno;
}

bool blocks_read_ahead(struct blocks *b)
{
    if (!atomic_load_explicit(&b->wanted, memory_order_relaxed) || !atomic_exchange(&b->wanted, false))
        return false;
    read_next(b);
    tide_rise(&b->reads);
    return true;
}

/* It has been large enough since it was made; nobody asks for octets of it when it is not. */
static void ask(struct blocks *b)
{
    b->ahead = next_of(b)->octets != NULL || grow(next_of(b), HEAD + READ);
    if (b->ahead)
        atomic_store(&b->wanted, true);
}

/* The next block is read, and the current one. */
static bool advance(struct blocks *b, struct tide *done)
{
    if (!b->ahead || atomic_exchange(&b->wanted, false)) {
        tide_await(done, next_of(b)->until, NULL, NULL);
        if (!grow(next_of(b), HEAD + READ))
            return false;
        read_next(b);
    } else {
        tide_await(&b->reads, ++b->by_taker, NULL, NULL);
    }
    b->ahead = false;
    b->current = (b->current + 1) % BLOCKS;
    return true;
}

/* What is left and what came, and more until there are n octets, in a block that holds them. */
static uint8_t *gather(struct blocks *b, struct view left, size_t n, size_t *got)
{
    struct block *block = blocks_current(b);
    size_t have = left.len + *got, cap = HEAD + (n > have ? n : have) + READ;
    uint8_t *octets = malloc(cap);
    if (octets == NULL)
        return NULL;
    memcpy(octets, left.ptr, left.len);
    memcpy(octets + left.len, block->octets + HEAD, *got);
    free(block->octets);
    *block = (struct block){ .octets = octets, .cap = cap };
    for (ssize_t more = (ssize_t)*got; have < n && more > 0; have += more > 0 ? (size_t)more : 0)
        more = read(b->fd, octets + have, cap - have);
    *got = have - left.len;
    return octets;
}

ssize_t blocks_read(struct blocks *b, struct tide *done, int fd, struct view left, size_t n, uint8_t **octets)
{
    if (!b->ahead) /* else it is that already, and the taker may look at it */
        b->fd = fd;
    bool good = advance(b, done);
    size_t got = good && b->got > 0 ? (size_t)b->got : 0;
    uint8_t *begin = NULL;
    if (good && left.len <= HEAD && (got == 0 || left.len + got >= n))
        begin = memcpy(blocks_current(b)->octets + HEAD - left.len, left.ptr, left.len);
    else if (good)
        begin = gather(b, left, n, &got);
    if (begin == NULL) {
        errno = ENOMEM;
        return -1;
    }
    *octets = begin;
    if (got > 0) {
        ask(b);
        return (ssize_t)got;
    }
    errno = b->error;
    return b->got;
}
