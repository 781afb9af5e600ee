/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/handover/handover.h -- reports from the thread that takes frames apart (the giver) to the one that makes rows
 * of them (the taker).
 *
 * Reports go over in order and in batches, through a ring: who is far ahead waits. What a report borrows stays until
 * its batch is done: octets of a block of the file lie where they were read to, others are copied, and of long ones the
 * giver waits until they are not needed any more. */
#pragma once
#include "capture/pipeline.h"
#include "capture/talk/rows.h"
#include <sys/types.h>

/* What the taker is told behind a step of the giver. */
struct handover_step {
    enum pipeline_status status;
    uint32_t warnings;
    struct pipeline_counters counters;
};

struct handover;

struct stock;

/* stock: where the rows have memory of; NULL: none. NULL: no memory. */
struct handover *handover_new(struct stock *stock);
void handover_free(struct handover *h); /* NULL is fine; without a giver */

/* ---- the giver ---- */

bool handover_put(struct handover *h, struct report *r); /* false: no more are wanted */
void handover_end_step(struct handover *h, const struct handover_step *step);
void handover_first_time(struct handover *h, int64_t time_ns); /* of the first frame; before the first report */
/* An input in memory that outlives all reports. */
void handover_lend(struct handover *h, struct view image);
/* As struct capfile_blocks asks for, with a handover as ctx; earlier blocks stay as they are while a report borrows of
 * them. */
uint8_t *handover_room(void *handover, size_t size, size_t *cap);
ssize_t handover_read(void *handover, int fd, struct view left, size_t n, uint8_t **octets);

/* ---- the taker ---- */

/* Waits for reports, and makes rows of them. far: the connections are so many that their memory is asked for ahead.
 * True: a step ends, as *step says. */
bool handover_take(struct handover *h, struct rows *rows, bool far, struct handover_step *step);
void handover_refuse(struct handover *h);  /* nothing more is wanted */
void handover_abandon(struct handover *h); /* and nothing more will be taken: the giver waits for nobody */
