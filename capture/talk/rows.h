/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/talk/rows.h -- from reports to the tracker, and to the rows and events of a pipeline. */
#pragma once
#include "capture/pipeline.h"
#include "capture/talk/report.h"
#include "decoder/track/track.h"

struct rows;

struct rows_options {
    const struct pipeline_events *events;
    void *ctx;
    uint64_t names_limit; /* octets of client identifiers that the tracker does not hold */
    struct track *track;  /* NULL: none; borrowed */
    bool brief;           /* rows have no note */
};

struct rows *rows_new(const struct rows_options *options); /* NULL: no memory */
void rows_free(struct rows *s);                            /* NULL is fine */
bool rows_take(struct rows *s, struct report *r);          /* false: no more are wanted */
bool rows_stopped(const struct rows *s);                   /* a row was answered with PIPELINE_STOP */
void rows_first_time(struct rows *s, int64_t time_ns);     /* of the first frame */
bool rows_keep(const struct rows *s, uint32_t connection); /* one of its rows was answered with PIPELINE_KEEP */
uint64_t rows_names(const struct rows *s);                 /* octets of client identifiers */
/* Packets of the connection with this handle come soon: each step brings more, by what the one before brought. */
enum { ROWS_PREFETCH_STEPS = TRACK_PREFETCH_STEPS };
void rows_prefetch(const struct rows *s, uint64_t handle, unsigned step);
