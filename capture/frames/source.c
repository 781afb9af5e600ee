/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/frames/source.h"
#include "capture/frames/bpf.h"
#include "capture/frames/live.h"
#include "capture/stream/link.h"
#include <pcap/pcap.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

enum { SNAPLEN = 262144, BUFFER_MIB = 16 };

struct source {
    struct capfile *file; /* one of the two */
    struct live *live;
    struct bpf *bpf; /* of files: devices filter by themselves */
};

static bool refuse_link(const char *of, uint32_t link, char *error)
{
    const char *name = pcap_datalink_val_to_name((int)link);
    snprintf(error, PIPELINE_ERROR_MAX, "%s: link type %u%s%s%s is not one of those that mqshark knows", of, link,
             name != NULL ? " (" : "", name != NULL ? name : "", name != NULL ? ")" : "");
    return false;
}

/* The first one that is known of those at the beginning of the file, else the first; a file may name them later. */
static uint32_t link_of(const struct capfile *file)
{
    uint32_t n = capfile_interfaces(file);
    for (uint32_t i = 0; i < n; i++)
        if (link_known(capfile_interface(file, i).link_type))
            return capfile_interface(file, i).link_type;
    return n > 0 ? capfile_interface(file, 0).link_type : LINK_ETHERNET;
}

static bool open_file(struct source *s, const struct pipeline_options *o, char *error, bool *usage)
{
    s->file = capfile_open(o->file, o->image, error);
    if (s->file == NULL)
        return false;
    uint32_t link = link_of(s->file);
    if (!link_known(link))
        return refuse_link(o->file != NULL ? o->file : "memory", link, error);
    if (o->capture_filter == NULL || o->capture_filter[0] == '\0')
        return true;
    s->bpf = bpf_new(o->capture_filter, link, error, PIPELINE_ERROR_MAX);
    *usage = s->bpf == NULL;
    return s->bpf != NULL;
}

static bool open_live(struct source *s, const struct pipeline_options *o, char *error, bool *usage)
{
    struct live_options lo = { .interfaces = o->interfaces,
                               .n_interfaces = o->n_interfaces,
                               .filter = o->capture_filter,
                               .snaplen = o->snaplen > 0 ? o->snaplen : SNAPLEN,
                               .buffer_mib = o->buffer_mib > 0 ? o->buffer_mib : BUFFER_MIB,
                               .promiscuous = !o->no_promiscuous };
    s->live = live_open(&lo, error, usage);
    for (uint32_t i = 0; s->live != NULL && i < o->n_interfaces; i++) {
        struct capfile_interface device = live_interface(s->live, i);
        if (!link_known(device.link_type))
            return refuse_link(device.name, device.link_type, error);
    }
    return s->live != NULL;
}

struct source *source_open(const struct pipeline_options *o, char *error, bool *usage)
{
    struct source *s = calloc(1, sizeof *s);
    if (s == NULL) {
        snprintf(error, PIPELINE_ERROR_MAX, "no memory");
        return NULL;
    }
    bool good = o->n_interfaces > 0 ? open_live(s, o, error, usage) : open_file(s, o, error, usage);
    if (good)
        return s;
    source_close(s);
    return NULL;
}

void source_on_secrets(struct source *s, capfile_secrets *secrets, void *ctx)
{
    if (s->file != NULL)
        capfile_on_secrets(s->file, secrets, ctx);
}

bool source_never_waits(const struct source *s)
{
    return s->file != NULL && capfile_fd(s->file) < 0;
}

bool source_lend(struct source *s, const struct capfile_blocks *blocks)
{
    return capfile_lend(s->file, blocks);
}

bool source_start(struct source *s, char *error)
{
    return s->live == NULL || live_start(s->live, error);
}

void source_close(struct source *s)
{
    if (s == NULL)
        return;
    bpf_free(s->bpf);
    capfile_close(s->file);
    live_close(s->live);
    free(s);
}

enum source_status source_next(struct source *s, struct frame *out)
{
    if (s->live != NULL)
        return live_next(s->live, out);
    for (;;) {
        enum source_status status = capfile_next(s->file, out);
        if (status != SOURCE_FRAME || s->bpf == NULL || bpf_matches(s->bpf, out))
            return status;
        if (!source_can_go_on(s))
            return SOURCE_IDLE;
    }
}

bool source_can_go_on(const struct source *s)
{
    return s->live != NULL || capfile_has_frame(s->file);
}

void source_release(struct source *s)
{
    if (s->live != NULL)
        live_release(s->live);
}

bool source_wait(struct source *s, int timeout_ms)
{
    if (s->live != NULL)
        return live_wait(s->live, timeout_ms);
    int fd = capfile_fd(s->file);
    if (fd < 0 || capfile_has_frame(s->file))
        return true;
    struct pollfd p = { .fd = fd, .events = POLLIN };
    return poll(&p, 1, timeout_ms) > 0;
}

void source_stop(struct source *s)
{
    if (s->live != NULL)
        live_stop(s->live);
}

bool source_is_live(const struct source *s)
{
    return s->live != NULL;
}

bool source_progress(const struct source *s, uint64_t *done, uint64_t *total)
{
    return s->live == NULL && capfile_progress(s->file, done, total);
}

const char *source_error(const struct source *s)
{
    return s->live != NULL ? live_error(s->live) : capfile_error(s->file);
}

bool source_warning(struct source *s, char *text)
{
    return s->live != NULL && live_warning(s->live, text);
}

void source_count(const struct source *s, struct pipeline_counters *out)
{
    if (s->live == NULL)
        return;
    struct live_counters n = live_count(s->live);
    out->received = n.received;
    out->kernel_drops = n.kernel_drops;
    out->interface_drops = n.interface_drops;
}

struct capfile_interface source_interface(const struct source *s, uint32_t id)
{
    return s->live != NULL ? live_interface(s->live, id) : capfile_interface(s->file, id);
}

uint32_t source_interfaces(const struct source *s)
{
    return s->live != NULL ? live_interfaces(s->live) : capfile_interfaces(s->file);
}
