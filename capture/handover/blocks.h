/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/handover/blocks.h -- where a file is read to, while rows borrow of what was read before.
 *
 * The block that comes next is read ahead by whoever of the two threads has time first: one is always ahead of the
 * other. */
#pragma once
#include "capture/handover/tide.h"
#include "decoder/base/cursor.h"
#include <stddef.h>
#include <sys/types.h>

enum { BLOCKS = 4 };

struct block {
    uint8_t *octets;
    size_t cap;
    uint64_t until; /* in use until so many batches are done */
};

struct blocks { /* zeroed at first */
    struct block block[BLOCKS];
    unsigned current;
    uint64_t by_taker; /* reads of the taker that the giver has had */
    bool ahead;        /* the next block is asked for */
    /* the next block: whose it is to read; what came */
    atomic_bool wanted; /* nobody has begun: who takes this back does */
    struct tide reads;  /* of the taker */
    int fd, error;
    ssize_t got; /* as read(2) says */
};

void blocks_destroy(struct blocks *b);

static inline struct block *blocks_current(struct blocks *b)
{
    return &b->block[b->current];
}

/* ---- the giver; done: batches ---- */

/* As struct capfile_blocks asks for. */
uint8_t *blocks_room(struct blocks *b, struct tide *done, size_t size, size_t *cap);
ssize_t blocks_read(struct blocks *b, struct tide *done, int fd, struct view left, size_t n, uint8_t **octets);

/* ---- the taker, when all that was given is done ---- */

bool blocks_read_ahead(struct blocks *b); /* false: there is nothing to read */
