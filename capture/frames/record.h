/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/frames/record.h -- frames to pcapng files: one, or a ring of them (-w, -b, -a).
 *
 * Blocks are written whole: when the disk is full, the file is cut back to the last whole block and stays readable. */
#pragma once
#include "capture/frames/source.h"
#include "capture/pipeline.h"
#include <sys/types.h>

struct recorder;

enum { RECORD_ERROR_MAX = 400 };

/* Opens the file, but not the first one of a ring. `source` tells the interfaces; it outlives the recorder. NULL: error
 * says why. */
struct recorder *record_open(const struct pipeline_record *options, const struct source *source, char *error);
/* Once privileges are gone: opens the first file of a ring, as whoever makes, and at last removes, the others. */
bool record_begin(struct recorder *r, char *error);

/* False: it failed, or -a is reached (record_error() tells which); nothing more is written. */
bool record_frame(struct recorder *r, const struct frame *f);
bool record_flush(struct recorder *r);
const char *record_error(const struct recorder *r); /* "" when there is none */

/* Writes what is left. False: error. NULL is fine and true. */
bool record_close(struct recorder *r, char *error);
