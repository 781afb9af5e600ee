/* SPDX-License-Identifier: Apache-2.0
 *
 * tui/feed.h -- the capturing thread: runs the pipeline and fills store, topics and figures, never waiting for the
 * screen longer than it takes to draw a page of cells into memory. */
#pragma once
#include "capture/pipeline.h"
#include "tui/app.h"

struct feed;

/* Opens the input; NULL: `error` says why, *usage whether it is the user's fault. The app outlives the feed; `wake` is
 * called from the capturing thread when there is news for the screen, at most once between two feed_seen(). */
struct feed *feed_open(struct app *app, const struct pipeline_options *options, void (*wake)(void), char *error,
                       bool *usage);
bool feed_start(struct feed *f);        /* false: no thread */
void feed_run(struct feed *f);          /* instead of a thread: runs to the end (files; for tests) */
void feed_seen(struct feed *f);         /* the screen has drawn what there was */
bool feed_failed(const struct feed *f); /* the input ended badly; after feed_close_input() */
const char *feed_error(const struct feed *f);
void feed_counters(struct feed *f, struct pipeline_counters *out);
/* Ends capturing, waits for the thread; a recording is complete after this. */
void feed_stop(struct feed *f);
void feed_close(struct feed *f); /* NULL is fine; the tracker's sessions are gone after this */
