/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/progress.h -- one line on standard error while a long file is read: share done, rate, packets, findings, time
 * left. Only on a terminal, and only when rows do not go to one. */
#pragma once
#include "capture/pipeline.h"

struct progress {
    bool on, shown;
    int64_t began_ns, next_ns; /* monotonic clock */
};

/* rows_fd: where rows go. */
void progress_begin(struct progress *p, const struct pipeline *pipeline, int rows_fd);
void progress_step(struct progress *p, const struct pipeline *pipeline, uint64_t findings);
void progress_end(struct progress *p); /* takes the line away */

/* The line, without what steers the terminal; elapsed_ns > 0. */
struct out;
void progress_line(struct out *o, uint64_t done, uint64_t total, int64_t elapsed_ns, uint64_t packets,
                   uint64_t findings);
