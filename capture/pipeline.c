/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/pipeline.h"
#include "capture/bpf.h"
#include "capture/capfile.h"
#include "capture/ip.h"
#include "capture/link.h"
#include "capture/talk.h"
#include "capture/tcp.h"
#include "decoder/track/track.h"
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum {
    BATCH = 32, /* frames taken apart ahead, so that the memory of their flows is on its way */
    AHEAD = 6,  /* segments between the look-up of a flow and its turn */
    WARNINGS = 8,
    MIB = 1024 * 1024,
};

struct pending {
    struct segment segment;
    struct stamp stamp;
    uint32_t hash;
};

struct pipeline {
    struct pipeline_options options;
    struct pipeline_events events;
    void *ctx;
    struct capfile *file;
    struct bpf *bpf;
    struct fragments *fragments;
    struct tcp *tcp;
    struct talks *talks;
    struct track *track;
    struct pipeline_counters n;
    struct stamp last; /* of the last frame */
    struct pending batch[BATCH];
    uint32_t n_batch;
    atomic_bool stop;
    bool ended, link_warned;
    char error[PIPELINE_ERROR_MAX];
    char warning[WARNINGS][PIPELINE_ERROR_MAX];
    uint32_t n_warnings, warnings_given;
};

/* ---- budgets ---- */

struct pipeline_budget pipeline_budget_default(void)
{
    return (struct pipeline_budget){
        .flows = 262144,
        .flow_order = 4 * MIB,
        .total_order = 32 * MIB,
        .packet = 1 * MIB,
        .total_packet = 64 * MIB,
        .idle_s = 86400,
        .tracker = 256 * MIB,
    };
}

static uint64_t at_most(uint64_t value, uint64_t limit)
{
    return value < limit ? value : limit;
}

struct pipeline_budget pipeline_budget_of(uint64_t max_memory)
{
    uint64_t m = max_memory > 8 * MIB ? max_memory : 8 * MIB;
    return (struct pipeline_budget){
        .flows = (uint32_t)at_most(m / 4 / 512, 16 * MIB), /* a flow and its MQTT state */
        .flow_order = (uint32_t)at_most(m / 32, 4 * MIB),
        .total_order = m / 8,
        .packet = (uint32_t)at_most(m / 64, MIB),
        .total_packet = m / 8,
        .idle_s = 86400,
        .tracker = m / 2,
    };
}

static struct pipeline_budget budget_of(const struct pipeline_options *o)
{
    struct pipeline_budget b = o->budget, d = pipeline_budget_default();
    b.flows = b.flows > 0 ? b.flows : d.flows;
    b.flow_order = b.flow_order > 0 ? b.flow_order : d.flow_order;
    b.total_order = b.total_order > 0 ? b.total_order : d.total_order;
    b.packet = b.packet > 0 ? b.packet : d.packet;
    b.total_packet = b.total_packet > 0 ? b.total_packet : d.total_packet;
    b.idle_s = b.idle_s > 0 ? b.idle_s : d.idle_s;
    b.tracker = b.tracker > 0 ? b.tracker : d.tracker;
    return b;
}

/* ---- remarks ---- */

static void warn(struct pipeline *p, const char *text)
{
    if (p->n_warnings < WARNINGS)
        snprintf(p->warning[p->n_warnings++], PIPELINE_ERROR_MAX, "%s", text);
}

const char *pipeline_warning(struct pipeline *p)
{
    return p->warnings_given < p->n_warnings ? p->warning[p->warnings_given++] : NULL;
}

const char *pipeline_error(const struct pipeline *p)
{
    return p->error;
}

/* ---- tracker ---- */

static void *resize(void *ctx, void *old, size_t old_size, size_t size)
{
    (void)ctx;
    (void)old_size;
    if (size > 0)
        return realloc(old, size);
    free(old);
    return NULL;
}

static bool make_tracker(struct pipeline *p, uint64_t octets)
{
    struct track_config c;
    track_defaults(&c);
    uint64_t sixteenth = octets / 16; /* shares of 2, 4, 6, 1, 1, 2 */
    c.max_connections = (uint32_t)at_most(c.max_connections, sixteenth * 2 / 448);
    c.max_sessions = (uint32_t)at_most(c.max_sessions, sixteenth * 4 / 552);
    c.max_exchanges = (uint32_t)at_most(c.max_exchanges, sixteenth * 6 / 232);
    c.max_topics = (uint32_t)at_most(c.max_topics, sixteenth / 56);
    c.max_subscriptions = (uint32_t)at_most(c.max_subscriptions, sixteenth / 96);
    c.max_text = (uint32_t)at_most(c.max_text, sixteenth * 2);
    struct track_events e = {
        .finding = p->events.finding, .exchange = p->events.exchange, .session = p->events.session, .ctx = p->ctx
    };
    p->track = track_new(&c, (struct track_memory){ .resize = resize }, e);
    return p->track != NULL;
}

struct track *pipeline_tracker(const struct pipeline *p)
{
    return p->track;
}

/* ---- opening ---- */

static bool open_input(struct pipeline *p, char *error, bool *usage)
{
    const struct pipeline_options *o = &p->options;
    p->file = capfile_open(o->file, o->image, error);
    if (p->file == NULL)
        return false;
    uint32_t link = capfile_interfaces(p->file) > 0 ? capfile_interface(p->file, 0).link_type : LINK_ETHERNET;
    if (!link_known(link)) {
        snprintf(error, PIPELINE_ERROR_MAX, "%s: link type %u is not one that mqshark knows",
                 o->file ? o->file : "memory", link);
        return false;
    }
    if (o->capture_filter == NULL || o->capture_filter[0] == '\0')
        return true;
    p->bpf = bpf_new(o->capture_filter, link, error, PIPELINE_ERROR_MAX);
    *usage = p->bpf == NULL;
    return p->bpf != NULL;
}

static bool make_parts(struct pipeline *p)
{
    struct pipeline_budget b = budget_of(&p->options);
    if (!p->options.no_tracker && !make_tracker(p, b.tracker))
        return false;
    struct talks_options to = { .events = &p->events,
                                .ctx = p->ctx,
                                .forced_ports = p->options.mqtt_ports,
                                .n_forced_ports = p->options.n_mqtt_ports,
                                .packet_limit = b.packet,
                                .total_limit = b.total_packet,
                                .track = p->track };
    struct tcp_limits limits = { .flows = b.flows,
                                 .flow_order = b.flow_order,
                                 .total_order = b.total_order,
                                 .idle_ns = (int64_t)b.idle_s * 1000000000 };
    uint64_t secret = 0; /* of the flow table's hash; rows do not depend on it */
    if (getrandom(&secret, sizeof secret, GRND_NONBLOCK) < 0)
        secret = (uint64_t)(uintptr_t)p;
    p->talks = talks_new(&to);
    p->fragments = fragments_new();
    p->tcp = p->talks != NULL ? tcp_new(&limits, secret, &talks_tcp_events, p->talks) : NULL;
    return p->tcp != NULL && p->fragments != NULL;
}

struct pipeline *pipeline_open(const struct pipeline_options *options, const struct pipeline_events *events, void *ctx,
                               char *error, bool *usage)
{
    *usage = false;
    struct pipeline *p = calloc(1, sizeof *p);
    if (p == NULL) {
        snprintf(error, PIPELINE_ERROR_MAX, "no memory");
        return NULL;
    }
    p->options = *options;
    p->events = *events;
    p->ctx = ctx;
    if (!open_input(p, error, usage)) {
        pipeline_close(p);
        return NULL;
    }
    if (!make_parts(p)) {
        snprintf(error, PIPELINE_ERROR_MAX, "no memory");
        pipeline_close(p);
        return NULL;
    }
    return p;
}

void pipeline_close(struct pipeline *p)
{
    if (p == NULL)
        return;
    tcp_free(p->tcp);
    talks_free(p->talks);
    track_free(p->track);
    fragments_free(p->fragments);
    bpf_free(p->bpf);
    capfile_close(p->file);
    free(p);
}

/* ---- frames ---- */

static void check_link(struct pipeline *p, const struct frame *f)
{
    if (link_known(f->link_type) || p->link_warned)
        return;
    char text[PIPELINE_ERROR_MAX];
    snprintf(text, sizeof text,
             "interface %u has link type %u, which mqshark does not know: its frames are passed over", f->interface_id,
             f->link_type);
    p->link_warned = true;
    warn(p, text);
}

static void stamp_frame(struct pipeline *p, const struct frame *f, struct stamp *stamp)
{
    *stamp = (struct stamp){ .frame = p->last.frame + 1,
                             .time_ns = f->time_ns,
                             .before_ns = p->last.frame > 0 ? p->last.time_ns : f->time_ns,
                             .frame_len = f->wire_len,
                             .interface_id = f->interface_id };
    if (p->last.frame == 0) {
        p->n.first_ns = f->time_ns;
        talks_first_time(p->talks, f->time_ns);
    }
    p->last = *stamp;
    p->n.frames++;
    p->n.octets += f->wire_len;
}

/* Takes the headers off. True: the frame's segment is last in the batch, and its memory may not wait for more frames.
 */
static bool take_apart(struct pipeline *p, const struct frame *f)
{
    struct pending *b = &p->batch[p->n_batch];
    stamp_frame(p, f, &b->stamp);
    enum ip_result r = ip_segment(f->link_type, f->octets, f->wire_len, f->time_ns, p->fragments, &b->segment);
    switch (r) {
    case IP_TCP:
    case IP_TCP_WHOLE:
        b->hash = tcp_hash(p->tcp, &b->segment);
        tcp_prefetch_slot(p->tcp, b->hash);
        p->n.segments++;
        p->n.payload_octets += b->segment.payload.len + b->segment.cut;
        p->n_batch++;
        return r == IP_TCP_WHOLE;
    case IP_NOT_IP:
        p->n.not_ip++;
        check_link(p, f);
        break;
    case IP_NOT_TCP:
        p->n.not_tcp++;
        break;
    case IP_FRAGMENT:
        p->n.fragments++;
        break;
    case IP_MALFORMED:
        p->n.malformed_frames++;
        break;
    }
    return false;
}

static bool is_stopped(const struct pipeline *p)
{
    return talks_stopped(p->talks) || atomic_load_explicit(&p->stop, memory_order_relaxed);
}

static void process_batch(struct pipeline *p)
{
    for (uint32_t i = 0; i < p->n_batch && i < AHEAD; i++)
        tcp_prefetch_flow(p->tcp, p->batch[i].hash);
    for (uint32_t i = 0; i < p->n_batch && !talks_stopped(p->talks); i++) {
        if (i + AHEAD < p->n_batch)
            tcp_prefetch_flow(p->tcp, p->batch[i + AHEAD].hash);
        const struct pending *b = &p->batch[i];
        talks_current_frame(p->talks, b->stamp.frame);
        tcp_time(p->tcp, &b->stamp);
        tcp_segment(p->tcp, &b->segment, b->hash, &b->stamp);
    }
    p->n_batch = 0;
}

/* Everything under way comes out, and the tracker says what is missing. */
static enum pipeline_status end(struct pipeline *p, enum pipeline_status status)
{
    if (p->ended)
        return status;
    p->ended = true;
    if (!talks_stopped(p->talks)) {
        tcp_finish(p->tcp, &p->last);
        if (p->track != NULL)
            track_finish(p->track, p->last.time_ns);
    }
    return status;
}

/* Frames up to the next point where the file has to be read on. */
static enum source_status take_frames(struct pipeline *p, uint32_t *left)
{
    enum source_status status = SOURCE_FRAME;
    while (*left > 0 && p->n_batch < BATCH) {
        if (p->n_batch > 0 && !capfile_has_frame(p->file))
            break; /* reading on moves the octets of the frames in the batch */
        struct frame f;
        status = capfile_next(p->file, &f);
        if (status != SOURCE_FRAME)
            break;
        if (p->bpf != NULL && !bpf_matches(p->bpf, &f))
            continue;
        --*left;
        if (take_apart(p, &f))
            break;
        if (p->options.stop_after_frames > 0 && p->n.frames >= p->options.stop_after_frames) {
            pipeline_stop(p);
            break;
        }
    }
    process_batch(p);
    return status;
}

enum pipeline_status pipeline_step(struct pipeline *p, uint32_t frames, int timeout_ms)
{
    (void)timeout_ms;
    if (p->ended)
        return p->error[0] != '\0' ? PIPELINE_ERROR : PIPELINE_END;
    while (frames > 0 && !is_stopped(p)) {
        switch (take_frames(p, &frames)) {
        case SOURCE_FRAME:
            break;
        case SOURCE_IDLE:
            return PIPELINE_IDLE;
        case SOURCE_END:
            return end(p, PIPELINE_END);
        case SOURCE_ERROR:
            snprintf(p->error, sizeof p->error, "%s", capfile_error(p->file));
            return end(p, PIPELINE_ERROR);
        }
    }
    return is_stopped(p) ? end(p, PIPELINE_END) : PIPELINE_MORE;
}

void pipeline_stop(struct pipeline *p)
{
    atomic_store_explicit(&p->stop, true, memory_order_relaxed);
}

int pipeline_fd(const struct pipeline *p)
{
    return capfile_fd(p->file);
}

const char *pipeline_link_name(const struct pipeline *p)
{
    const char *name = link_name(capfile_interface(p->file, 0).link_type);
    return name != NULL ? name : "";
}

const char *pipeline_interface(const struct pipeline *p, uint32_t interface_id)
{
    return capfile_interface(p->file, interface_id).name;
}

void pipeline_counters(const struct pipeline *p, struct pipeline_counters *out)
{
    struct tcp_counters tcp;
    struct talks_counters talks;
    tcp_count(p->tcp, &tcp);
    talks_count(p->talks, &talks);
    *out = p->n;
    out->last_ns = p->last.time_ns;
    out->retransmitted = tcp.retransmitted;
    out->reordered = tcp.reordered;
    out->overlap_conflicts = tcp.conflicts;
    out->connections = tcp.connections;
    out->mqtt_connections = talks.connections;
    out->rows = talks.rows;
    out->packets = talks.packets;
    out->packet_octets = talks.packet_octets;
    out->gaps = talks.gaps;
    out->gap_octets = talks.gap_octets;
    out->skipped_octets = talks.skipped_octets;
    out->evicted_flows = tcp.evicted_flows;
    out->expired_flows = tcp.expired_flows;
    out->evicted_order = tcp.evicted_order;
    out->cut_packets = talks.cut_packets;
    out->flows = tcp.flows;
    out->order_octets = tcp.order_octets;
    out->packet_octets_held = talks.held;
    out->memory = tcp.memory + talks.memory + talks.held;
}
