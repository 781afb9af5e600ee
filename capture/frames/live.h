/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/frames/live.h -- devices to frames, on a thread of their own. */
#pragma once
#include "capture/frames/capfile.h"

struct live;

struct live_options {
    const char *const *interfaces;
    uint32_t n_interfaces;
    const char *filter; /* NULL: none */
    uint32_t snaplen;
    uint32_t buffer_mib; /* the kernel's ring for each device */
    bool promiscuous;
};

enum { LIVE_ERROR_MAX = 512 };

/* Opens the devices; nothing is captured before live_start(). NULL: error says why and what helps; *usage: the filter.
 */
struct live *live_open(const struct live_options *options, char *error, bool *usage);
bool live_start(struct live *l, char *error);
void live_close(struct live *l); /* NULL is fine */

/* The next frame, at once or not at all (SOURCE_IDLE). Frames stay where they are until live_release(). SOURCE_END
 * after live_stop(), when all that was captured before has been handed out; SOURCE_ERROR when no device is left. */
enum source_status live_next(struct live *l, struct frame *out);
void live_release(struct live *l);
bool live_wait(struct live *l, int timeout_ms); /* until there is a frame, or an end */
void live_stop(struct live *l);

const char *live_error(const struct live *l);
bool live_warning(struct live *l, char *text); /* a device went away, others are left: once for each */

struct live_counters {
    uint64_t received, kernel_drops, interface_drops;
};
struct live_counters live_count(struct live *l); /* no older than half a second */
struct capfile_interface live_interface(const struct live *l, uint32_t id);
uint32_t live_interfaces(const struct live *l);

/* -D */
bool live_list(void (*each)(void *ctx, const char *name, const char *description), void *ctx, char *error);
