/* SPDX-License-Identifier: Apache-2.0
 *
 * tui/save.h -- rows to a file: text, NDJSON, or the frames of their connections as pcapng. */
#pragma once
#include "capture/pipeline.h"
#include "tui/app.h"

/* Writes what app->save asks for. A file that exists is not written over. `input` is what the rows came from: frames
 * are read again from its file; those of a live capture or a pipe, and masked ones, are rebuilt from the packets. Takes
 * the lock in slices. The result, good or bad, is said with app_say(). */
void save_rows(struct app *app, const struct pipeline_options *input);
