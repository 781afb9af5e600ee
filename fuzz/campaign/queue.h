/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/campaign/queue.h -- a corpus on disk, laid out as AFL++ lays out its own: DIR/NAME/queue/id:000000,... holds
 * what gave NAME something new, DIR/NAME/crashes what ended the broker, and whoever else writes DIR/OTHER/queue is read
 * now and then. Plain files in DIR are read once, so that a flat corpus will do to begin with.
 *
 * A file is one octet (bits 0 and 1: version, 1 to 3 for 3.1, 3.1.1, 5.0) and a conversation as in fuzz/talk/talk.h:
 * the input of the fuzz targets that take conversations, so that AFL++ can run on one of these beside mqfuzz: its main
 * instance (-M) takes over what mqfuzz has, the others take it from there. */
#pragma once
#include "fuzz/campaign/campaign.h"

enum { QUEUE_PEERS = 64, QUEUE_NAME = 64 };

struct queue {
    char dir[512], name[QUEUE_NAME];
    uint32_t next, next_crash; /* numbers of the files to come */
    struct {
        char name[QUEUE_NAME];
        uint32_t next;
    } peer[QUEUE_PEERS];
    uint32_t n_peers;
};

typedef void queue_each(void *ctx, const struct talk *talk); /* the talk is borrowed for the call */

/* Makes the folders. False: errno says why. */
bool queue_open(struct queue *q, const char *dir, const char *name);
/* What there is: plain files, own ones, those of the others. */
void queue_load(struct queue *q, queue_each *each, void *ctx);
/* What others have added since. */
void queue_sync(struct queue *q, queue_each *each, void *ctx);
/* Whole or not at all. False: errno says why. */
bool queue_add(struct queue *q, const struct talk *talk, bool crash, uint64_t ms, uint64_t plans);
