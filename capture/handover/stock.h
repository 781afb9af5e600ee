/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/handover/stock.h -- memory for the tracker, which the taker has, made ready by the giver when that waits.
 *
 * The first touch of a page costs more than most of what is done with it, so whole chunks are asked for, touched. What
 * is given back is kept for the next of the same size. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct stock;

struct stock *stock_new(void);    /* NULL: no memory */
void stock_free(struct stock *s); /* NULL is fine; and all memory that was taken from it */

/* The taker: as struct track_memory asks for, zeroed. */
void *stock_resize(void *stock, void *old, size_t old_size, size_t size);

/* The giver. False: as much as is wanted is ready, or there is no more. */
bool stock_up(struct stock *s);
