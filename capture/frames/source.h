/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/frames/source.h -- frames, whether they come from devices, a file, a pipe or memory. */
#pragma once
#include "capture/frames/capfile.h"
#include "capture/pipeline.h"

struct source;

/* error: PIPELINE_ERROR_MAX octets. */
struct source *source_open(const struct pipeline_options *options, char *error, bool *usage);
void source_on_secrets(struct source *s, capfile_secrets *secrets, void *ctx); /* as capfile_on_secrets() */
bool source_never_waits(const struct source *s);                               /* a file, or memory */
bool source_lend(struct source *s, const struct capfile_blocks *blocks);       /* of a file; as capfile_lend() */
bool source_start(struct source *s, char *error);
void source_close(struct source *s); /* NULL is fine */

/* SOURCE_IDLE: nothing at once (source_wait() waits). The octets of a frame stay until source_release(). */
enum source_status source_next(struct source *s, struct frame *out);
/* False: the next frame may take the memory of those handed out; release them first. */
bool source_can_go_on(const struct source *s);
void source_release(struct source *s);
bool source_wait(struct source *s, int timeout_ms);
void source_stop(struct source *s); /* async-signal-safe; what was captured so far still comes */
bool source_is_live(const struct source *s);

bool source_progress(const struct source *s, uint64_t *done, uint64_t *total); /* as capfile_progress() */

const char *source_error(const struct source *s);
bool source_warning(struct source *s, char *text); /* PIPELINE_ERROR_MAX octets */
void source_count(const struct source *s, struct pipeline_counters *out);
struct capfile_interface source_interface(const struct source *s, uint32_t id);
uint32_t source_interfaces(const struct source *s);
