/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* sched_getaffinity */
#include "capture/pipeline.h"
#include "capture/frames/live.h"
#include "capture/frames/privilege.h"
#include "capture/frames/record.h"
#include "capture/frames/source.h"
#include "capture/frames/spool.h"
#include "capture/handover/handover.h"
#include "capture/handover/stock.h"
#include "capture/stream/ip.h"
#include "capture/stream/link.h"
#include "capture/stream/tcp.h"
#include "capture/talk/rows.h"
#include "capture/talk/talk.h"
#include "capture/talk/tls_keys.h"
#include "decoder/track/track.h"
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum {
    BATCH = 32,       /* frames taken apart ahead, so that the memory of their flows is on its way */
    NEAR_FLOWS = 512, /* up to so many the caches of the processor hold, and all that hangs on them */
    NAMES_SHARE = 8,  /* of the budget for packets that client identifiers may take which the tracker does not hold */
    WARNINGS = 8,
    MIB = 1024 * 1024,
};

/* A live frame is here so long after its time stamp, at the latest. */
static const int64_t FRAMES_LATE_NS = 300 * INT64_C(1000000);

struct pending {
    struct segment segment;
    struct stamp stamp;
    uint32_t hash;
    struct flow *likely; /* the flow that has this hash; NULL: not looked for, or not there */
    struct frame frame;  /* set only for the spool */
};

struct pipeline {
    struct pipeline_options options;
    struct pipeline_events events;
    void *ctx;
    struct source *source;
    struct fragments *fragments;
    struct tcp *tcp;
    struct talks *talks;
    struct rows *rows;
    struct stock *stock;       /* of the tracker; NULL: the common heap */
    struct handover *handover; /* NULL: one thread */
    struct handover_step told; /* what the other thread said last */
    uint32_t step_frames;
    pthread_t giver;
    struct track *track;
    struct tls_keys *keys;
    struct recorder *recorder; /* NULL: nothing is recorded */
    struct spool *spool;       /* NULL: frames are recorded as they come */
    struct pipeline_counters n;
    struct stamp last; /* of the last frame */
    struct pending batch[BATCH];
    uint32_t n_batch;
    atomic_bool stop;
    bool ended, finished, link_warned, recording_over, started;
    int64_t deadline_ns; /* of -a duration, on the monotonic clock; 0: not set yet */
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
    uint32_t n = p->handover != NULL ? p->told.warnings : p->n_warnings;
    return p->warnings_given < n ? p->warning[p->warnings_given++] : NULL;
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
    uint64_t part = octets / 32; /* shares of 6, 10, 8, 1, 4, 3; the default takes 100,000 connections at once */
    c.max_connections = (uint32_t)at_most(c.max_connections, part * 6 / TRACK_COST_CONNECTION);
    c.max_sessions = (uint32_t)at_most(c.max_sessions, part * 10 / TRACK_COST_SESSION);
    c.max_exchanges = (uint32_t)at_most(c.max_exchanges, part * 8 / TRACK_COST_EXCHANGE);
    c.max_topics = (uint32_t)at_most(c.max_topics, part / TRACK_COST_TOPIC);
    c.max_subscriptions = (uint32_t)at_most(c.max_subscriptions, part * 4 / TRACK_COST_SUBSCRIPTION);
    c.max_text = (uint32_t)at_most(c.max_text, part * 3);
    c.terse = p->options.terse;
    c.brief = p->options.brief;
    struct track_events e = {
        .finding = p->events.finding, .exchange = p->events.exchange, .session = p->events.session, .ctx = p->ctx
    };
    struct track_memory memory = { .resize = resize };
    if (p->options.threads > 1) {
        memory = (struct track_memory){ .resize = stock_resize, .ctx = p->stock = stock_new(), .zeroed = true };
        if (p->stock == NULL)
            return false;
    }
    p->track = track_new(&c, memory, e);
    return p->track != NULL;
}

struct track *pipeline_tracker(const struct pipeline *p)
{
    return p->track;
}

/* ---- opening ---- */

static void take_secrets(void *keys, uint32_t type, struct view secrets)
{
    if (type == 0x544c534b) /* "TLSK" */
        tls_keys_text(keys, secrets);
}

static bool open_keys(struct pipeline *p, char *error)
{
    const char *path = p->options.key_log;
    p->keys = tls_keys_new();
    if (p->keys == NULL) {
        snprintf(error, PIPELINE_ERROR_MAX, "no memory");
        return false;
    }
    source_on_secrets(p->source, take_secrets, p->keys);
    if (path == NULL || tls_keys_file(p->keys, path))
        return true;
    snprintf(error, PIPELINE_ERROR_MAX, "key log %s: %s", path, strerror(errno));
    return false;
}

/* Not a part of tell(): what it needs to be saved would be saved for every packet of one thread, too. */
__attribute__((noinline)) static bool tell_taker(struct handover *h, struct report *r)
{
    return handover_put(h, r);
}

static bool tell(void *pipeline, struct report *r)
{
    struct pipeline *p = pipeline;
    return p->handover != NULL ? tell_taker(p->handover, r) : rows_take(p->rows, r);
}

static bool make_rows(struct pipeline *p, const struct pipeline_budget *b)
{
    if (!p->options.no_tracker && !make_tracker(p, b->tracker))
        return false;
    p->rows = rows_new(&(struct rows_options){ .events = &p->events,
                                               .ctx = p->ctx,
                                               .names_limit = b->total_packet / NAMES_SHARE,
                                               .track = p->track,
                                               .brief = p->options.brief });
    return p->rows != NULL;
}

static bool make_parts(struct pipeline *p)
{
    struct pipeline_budget b = budget_of(&p->options);
    if (!make_rows(p, &b))
        return false;
    struct talks_options to = { .tell = tell,
                                .ctx = p,
                                .forced_ports = p->options.mqtt_ports,
                                .n_forced_ports = p->options.n_mqtt_ports,
                                .packet_limit = b.packet,
                                .total_limit = b.total_packet,
                                .keys = p->keys };
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

static bool is_dropping(const struct pipeline *p)
{
    return source_is_live(p->source) && !p->options.keep_privileges;
}

static bool open_recording(struct pipeline *p, char *error)
{
    const struct pipeline_record *o = &p->options.record;
    if (is_dropping(p) && !privilege_user_exists(p->options.user, error, PIPELINE_ERROR_MAX))
        return false; /* before a file is begun */
    if (o->file == NULL)
        return true;
    p->recorder = record_open(o, p->source, error);
    if (p->recorder == NULL || (!o->matching_only && o->mask == NULL))
        return p->recorder != NULL;
    p->spool = spool_open(o->file, error);
    return p->spool != NULL;
}

/* What has to be opened with privileges is open. */
static bool go_unprivileged(const struct pipeline *p, char *error)
{
    if (is_dropping(p) && !privilege_drop(p->options.user, error, PIPELINE_ERROR_MAX))
        return false;
    return p->recorder == NULL || record_begin(p->recorder, error);
}

/* Two threads on it would wait for each other in vain. */
static bool has_one_processor(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) == 1;
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
    if (has_one_processor())
        p->options.threads = 1;
    p->events = *events;
    p->ctx = ctx;
    p->source = source_open(options, error, usage);
    if (p->source == NULL || !open_keys(p, error))
        ;
    else if (!make_parts(p))
        snprintf(error, PIPELINE_ERROR_MAX, "no memory");
    else if (open_recording(p, error) && go_unprivileged(p, error) && source_start(p->source, error))
        return p;
    pipeline_close(p);
    return NULL;
}

static void join_giver(struct pipeline *p)
{
    pthread_join(p->giver, NULL);
    handover_free(p->handover);
    p->handover = NULL;
}

void pipeline_close(struct pipeline *p)
{
    if (p == NULL)
        return;
    if (p->handover != NULL) { /* in the middle */
        pipeline_stop(p);
        handover_abandon(p->handover);
        join_giver(p);
    }
    if (p->tcp != NULL && p->talks != NULL && !p->finished) { /* what hangs on connections goes back; nobody is told */
        talks_stop(p->talks);
        tcp_finish(p->tcp, &p->last);
    }
    spool_close(p->spool);
    record_close(p->recorder, NULL);
    tcp_free(p->tcp);
    talks_free(p->talks);
    rows_free(p->rows);
    track_free(p->track);
    stock_free(p->stock);
    tls_keys_free(p->keys);
    fragments_free(p->fragments);
    source_close(p->source);
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
    uint64_t number = p->last.frame + 1;
    int64_t before_ns = number > 1 ? p->last.time_ns : f->time_ns;
    *stamp = (struct stamp){ .frame = number,
                             .time_ns = f->time_ns,
                             .before_ns = before_ns,
                             .frame_len = f->wire_len,
                             .interface_id = f->interface_id };
    if (p->last.frame == 0) {
        p->n.first_ns = f->time_ns;
        if (p->handover != NULL)
            handover_first_time(p->handover, f->time_ns);
        else
            rows_first_time(p->rows, f->time_ns);
    }
    p->last.frame = number;
    p->last.before_ns = before_ns;
    p->last.time_ns = f->time_ns;
    p->last.frame_len = f->wire_len;
    p->last.interface_id = f->interface_id;
    p->n.frames++;
    p->n.octets += f->wire_len;
}

/* Recording cannot go on, or has what -a asked for: the run ends. */
static void stop_recording(struct pipeline *p, const char *error)
{
    if (error[0] != '\0' && p->error[0] == '\0')
        snprintf(p->error, sizeof p->error, "%s", error);
    pipeline_stop(p);
    p->recording_over = true;
}

/* A frame on its way to the file, or to the spool with what is known of its connection. */
static void record(struct pipeline *p, const struct frame *f, uint32_t connection)
{
    if (p->recorder == NULL || p->recording_over)
        return;
    if (p->spool != NULL && !spool_put(p->spool, f, connection))
        stop_recording(p, spool_error(p->spool));
    else if (p->spool == NULL && !record_frame(p->recorder, f))
        stop_recording(p, record_error(p->recorder));
}

static bool is_kept(const void *rows, uint32_t connection)
{
    return rows_keep(rows, connection);
}

static void end_recording(struct pipeline *p)
{
    char error[RECORD_ERROR_MAX] = "";
    if (p->spool != NULL && !spool_record(p->spool, p->recorder, is_kept, p->rows, &p->options.record) &&
        p->error[0] == '\0')
        snprintf(p->error, sizeof p->error, "%s", spool_error(p->spool));
    if (!record_close(p->recorder, error) && p->error[0] == '\0')
        snprintf(p->error, sizeof p->error, "%s", error);
    p->recorder = NULL;
}

/* Takes the headers off. True: the frame's segment is last in the batch, and its memory may not wait for more frames.
 */
static bool take_apart(struct pipeline *p, const struct frame *f)
{
    struct pending *b = &p->batch[p->n_batch];
    stamp_frame(p, f, &b->stamp);
    if (p->recorder != NULL && p->spool == NULL)
        record(p, f, 0);
    enum ip_result r = ip_segment(f->link_type, f->octets, f->wire_len, f->time_ns, p->fragments, &b->segment);
    switch (r) {
    case IP_TCP:
    case IP_TCP_WHOLE:
        if (p->spool != NULL)
            b->frame = *f;
        b->hash = tcp_hash(p->tcp, &b->segment);
        b->likely = NULL;
        tcp_prefetch_slot(p->tcp, b->hash);
        p->n.segments++;
        p->n.payload_octets += b->segment.payload.len + b->segment.cut;
        p->n_batch++;
        return r == IP_TCP_WHOLE;
    case IP_NOT_IP:
        p->n.not_ip++;
        check_link(p, f);
        break;
    case IP_SEALED:
        p->n.sealed++;
        break;
    case IP_NOT_TCP:
        p->n.not_tcp++;
        break;
    case IP_FRAGMENT:
        p->n.fragments++;
        if (p->spool != NULL)
            record(p, f, SPOOL_ALWAYS);
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

/* What the segments of the batch are about to touch comes from memory all at once and not one after the other: flows,
 * what hangs on them, what hangs on that. */
static void prefetch(struct pipeline *p)
{
    const struct flow *flows[BATCH];
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->n_batch; i++)
        p->batch[i].likely = tcp_prefetch_flow(p->tcp, p->batch[i].hash);
    for (uint32_t i = 0; i < p->n_batch; i++) {
        const struct pending *b = &p->batch[i];
        const struct flow *f = b->likely;
        if (f == NULL)
            continue;
        flow_prefetch_parts(f);
        if ((b->segment.payload.len > 0 || (b->segment.flags & (TCP_FIN | TCP_RST)) != 0))
            flows[n++] = f;
    }
    for (unsigned step = 0; p->handover == NULL && step < ROWS_PREFETCH_STEPS; step++)
        for (uint32_t i = 0; i < n; i++)
            rows_prefetch(p->rows, talks_handle(flows[i]), step);
}

static void process_batch(struct pipeline *p)
{
    if (tcp_flows(p->tcp) > NEAR_FLOWS)
        prefetch(p);
    for (uint32_t i = 0; i < p->n_batch && !talks_stopped(p->talks); i++) {
        const struct pending *b = &p->batch[i];
        talks_current_frame(p->talks, b->stamp.frame);
        tcp_time(p->tcp, &b->stamp);
        uint32_t connection = tcp_segment(p->tcp, &b->segment, b->hash, b->likely, &b->stamp);
        if (p->spool != NULL)
            record(p, &b->frame, connection);
    }
    p->n_batch = 0;
}

/* Then the tracker says what is missing, and the recording is done. */
static void end_rows(struct pipeline *p)
{
    if (p->track != NULL && !rows_stopped(p->rows))
        track_finish(p->track, p->last.time_ns);
    end_recording(p);
}

/* Everything under way comes out. */
static enum pipeline_status end(struct pipeline *p, enum pipeline_status status)
{
    if (p->ended)
        return status;
    p->ended = true;
    if (!talks_stopped(p->talks)) {
        tcp_finish(p->tcp, &p->last);
        p->finished = true;
    }
    if (p->handover == NULL)
        end_rows(p);
    return p->error[0] != '\0' ? PIPELINE_ERROR : status;
}

/* A batch: as many frames as are there, or as their memory allows. */
static enum source_status take_frames(struct pipeline *p, uint32_t *left)
{
    enum source_status status = SOURCE_FRAME;
    while (*left > 0 && p->n_batch < BATCH) {
        struct frame f;
        if (p->n_batch > 0 && !source_can_go_on(p->source))
            break;
        status = source_next(p->source, &f);
        if (status != SOURCE_FRAME)
            break;
        --*left;
        bool alone = take_apart(p, &f);
        if (p->options.stop_after_frames > 0 && p->n.frames >= p->options.stop_after_frames)
            status = SOURCE_END;
        if (alone || status == SOURCE_END)
            break;
    }
    process_batch(p);
    source_release(p->source);
    return status;
}

static int64_t clock_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Nothing came: the clock of the machine stands in for that of the frames. */
static void pass_time(struct pipeline *p)
{
    struct stamp now = p->last;
    int64_t clock = clock_ns(CLOCK_REALTIME) - FRAMES_LATE_NS;
    if (!source_is_live(p->source) || p->last.frame == 0 || clock <= p->last.time_ns)
        return;
    now.time_ns = clock;
    tcp_time(p->tcp, &now);
    if (p->track != NULL)
        track_advance(p->track, clock);
}

/* Waits no longer than to the end that -a duration sets. */
static int until_deadline(struct pipeline *p, int timeout_ms)
{
    if (p->options.stop_after_s == 0 || !source_is_live(p->source))
        return timeout_ms;
    int64_t now = clock_ns(CLOCK_MONOTONIC);
    if (p->deadline_ns == 0)
        p->deadline_ns = now + (int64_t)p->options.stop_after_s * 1000000000;
    int64_t left_ms = (p->deadline_ns - now) / 1000000;
    if (left_ms <= 0) {
        pipeline_stop(p);
        return 0;
    }
    return timeout_ms < 0 || timeout_ms > left_ms ? (int)(left_ms + 1) : timeout_ms;
}

static void collect_warnings(struct pipeline *p)
{
    char text[PIPELINE_ERROR_MAX];
    while (source_warning(p->source, text))
        warn(p, text);
}

static enum pipeline_status step(struct pipeline *p, uint32_t frames, int timeout_ms)
{
    if (p->ended)
        return p->error[0] != '\0' ? PIPELINE_ERROR : PIPELINE_END;
    if (talks_stopped(p->talks)) /* by a row of the last step: nothing that may still come is wanted */
        return end(p, PIPELINE_END);
    bool live = source_is_live(p->source);
    timeout_ms = until_deadline(p, timeout_ms);
    if (!source_wait(p->source, timeout_ms)) {
        pass_time(p);
        if (p->recorder != NULL && p->spool == NULL && !record_flush(p->recorder))
            stop_recording(p, record_error(p->recorder));
        collect_warnings(p);
        return !live && is_stopped(p) ? end(p, PIPELINE_END) : PIPELINE_IDLE;
    }
    while (frames > 0 && (live ? !talks_stopped(p->talks) : !is_stopped(p))) { /* live: the rest is still wanted */
        switch (take_frames(p, &frames)) {
        case SOURCE_FRAME:
            break;
        case SOURCE_IDLE:
            return PIPELINE_MORE;
        case SOURCE_END:
            return end(p, PIPELINE_END);
        case SOURCE_ERROR:
            snprintf(p->error, sizeof p->error, "%s", source_error(p->source));
            return end(p, PIPELINE_ERROR);
        }
    }
    return frames > 0 ? end(p, PIPELINE_END) : PIPELINE_MORE;
}

/* All but what the rows hold. */
static void count(const struct pipeline *p, struct pipeline_counters *out)
{
    struct tcp_counters tcp;
    struct talks_counters talks;
    tcp_count(p->tcp, &tcp);
    talks_count(p->talks, &talks);
    *out = p->n;
    source_count(p->source, out);
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
    out->unfollowed = tcp.unfollowed;
    out->evicted_probes = talks.evicted_probes;
    out->cut_packets = talks.cut_packets;
    out->websockets = talks.websockets;
    out->tls = talks.tls;
    out->tls_opened = talks.tls_opened;
    out->tls_no_key = talks.tls_no_key;
    out->tls_unknown = talks.tls_unknown;
    out->flows = tcp.flows;
    out->order_octets = tcp.order_octets;
    out->packet_octets_held = talks.held;
    out->memory = tcp.memory + talks.memory + out->packet_octets_held;
}

/* ---- two threads: one steps as above, and its reports become rows in the caller's ---- */

/* Rows may borrow of what is read. */
static bool lend_input(struct pipeline *p)
{
    if (p->options.file != NULL)
        return source_lend(p->source, &(struct capfile_blocks){ p->handover, handover_room, handover_read });
    handover_lend(p->handover, p->options.image);
    return true;
}

static void *run_giver(void *pipeline)
{
    struct pipeline *p = pipeline;
    struct handover_step s;
    bool ready = lend_input(p);
    if (!ready)
        snprintf(p->error, sizeof p->error, "no memory");
    do {
        s.status = ready ? step(p, p->step_frames, 0) : PIPELINE_ERROR;
        s.warnings = p->n_warnings;
        count(p, &s.counters);
        handover_end_step(p->handover, &s);
    } while (s.status == PIPELINE_MORE || s.status == PIPELINE_IDLE);
    return NULL;
}

static bool begin_giver(struct pipeline *p)
{
    sigset_t all, before; /* signals are for the caller's thread */
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int status = pthread_create(&p->giver, NULL, run_giver, p);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status == 0;
}

static bool is_divisible(const struct pipeline *p)
{
    return p->options.threads > 1 && p->recorder == NULL && source_never_waits(p->source);
}

/* Where there is no thread to be had, one does it all. */
static void divide(struct pipeline *p, uint32_t frames)
{
    p->started = true;
    p->step_frames = frames;
    p->handover = is_divisible(p) ? handover_new(p->stock) : NULL;
    if (p->handover == NULL || begin_giver(p))
        return;
    handover_free(p->handover);
    p->handover = NULL;
}

static enum pipeline_status take_step(struct pipeline *p)
{
    bool ends;
    do {
        ends = handover_take(p->handover, p->rows, p->told.counters.flows > NEAR_FLOWS, &p->told);
        if (rows_stopped(p->rows))
            handover_refuse(p->handover);
    } while (!ends);
    enum pipeline_status status = p->told.status;
    if (status == PIPELINE_END || status == PIPELINE_ERROR) {
        join_giver(p);
        end_rows(p);
    }
    return status;
}

enum pipeline_status pipeline_step(struct pipeline *p, uint32_t frames, int timeout_ms)
{
    if (!p->started)
        divide(p, frames);
    return p->handover != NULL ? take_step(p) : step(p, frames, timeout_ms);
}

/* ---- from outside ---- */

void pipeline_stop(struct pipeline *p)
{
    atomic_store_explicit(&p->stop, true, memory_order_relaxed);
    source_stop(p->source);
}

bool pipeline_wait(struct pipeline *p, int timeout_ms)
{
    return source_wait(p->source, timeout_ms);
}

bool pipeline_progress(const struct pipeline *p, uint64_t *done, uint64_t *total)
{
    return source_progress(p->source, done, total);
}

const char *pipeline_link_name(const struct pipeline *p)
{
    const char *name = link_name(source_interface(p->source, 0).link_type);
    return name != NULL ? name : "";
}

const char *pipeline_interface(const struct pipeline *p, uint32_t interface_id)
{
    return source_interface(p->source, interface_id).name;
}

void pipeline_counters(const struct pipeline *p, struct pipeline_counters *out)
{
    if (p->handover != NULL)
        *out = p->told.counters;
    else
        count(p, out);
    out->packet_octets_held += rows_names(p->rows);
    out->memory += rows_names(p->rows);
}

bool pipeline_interfaces(void (*each)(void *ctx, const char *name, const char *description), void *ctx, char *error)
{
    return live_list(each, ctx, error);
}
