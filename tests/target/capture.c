/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/target/capture.c -- a capture file, to rows. Claims: every row is whole and points into what it borrows;
 * connections open before their rows and end once; what is counted fits together; memory stays within what the budget
 * says; the file is read to an end or to an error that is told in one printable line; from memory, a file and a pipe
 * come the same rows.
 *
 * Octet 13 chooses the way (enum way): in pcap it is a part of the accuracy of time stamps, in pcapng of the version,
 * and nobody reads either. What is compressed comes from a file. */
#define _GNU_SOURCE /* memfd_create() */
#include "fuzz/target/target.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "capture/pipeline.h"
#include "decoder/track/track.h"
#include "fuzz/engine/output.h"

const struct fuzz_target fuzz_target = { "capture", FUZZ_OCTETS };

enum way {
    FROM_MEMORY,
    FROM_FILE,
    FROM_PIPE,
    FILTERED,
    FILTERED_WRONGLY,
    LITTLE_MEMORY,
    FORGETFUL,
    UNTRACKED,
    ON_A_PORT,
    SOME_FRAMES,
    SOME_ROWS,
    KEPT,
    UNHEARD,
    WAYS
};

enum { STREAMS = 512, SOME = 4, PIPE_MAX = 60000 };

struct tally {
    uint64_t rows, packets, differences, hash;
    unsigned answer;
    uint8_t opened[STREAMS]; /* of the first of them: 1 open, 2 closed; it may begin again */
};

static void mix(struct tally *t, uint64_t value)
{
    t->hash = (t->hash ^ value) * UINT64_C(1099511628211);
}

static unsigned on_row(void *ctx, const struct row *row)
{
    struct tally *t = ctx;
    HOLDS(row->number == ++t->rows);
    HOLDS(row->frame >= 1 && row->frame_first <= row->frame);
    HOLDS(row->stream >= STREAMS || t->opened[row->stream] > 0);
    mix(t, row->frame);
    mix(t, (uint64_t)row->time_ns);
    if (row->kind == ROW_GAP) {
        HOLDS(row->gap_reason != NULL);
        t->differences += row->gap_octets + row->skipped_octets == 0;
        HOLDS(row->gap_octets + row->skipped_octets > 0 ||
              strcmp(row->gap_reason, "later copy with other octets") == 0);
        mix(t, row->gap_octets);
        mix(t, row->skipped_octets);
        return t->answer == PIPELINE_STOP && t->rows < SOME ? PIPELINE_GO_ON : t->answer;
    }
    t->packets++;
    const struct mqtt_packet *p = row->packet;
    HOLDS(p != NULL &&
          (p->header_len == 0 || p->held <= p->header_len + p->remaining)); /* 0: a fifth octet of length */
    for (uint32_t i = 0; i < row->n_verdicts; i++)
        HOLDS((uint64_t)row->verdicts[i].offset + row->verdicts[i].length <= p->held);
    for (uint32_t i = 0; i < p->held; i++)
        mix(t, p->octets[i]);
    mix(t, row->n_verdicts);
    return t->answer == PIPELINE_STOP && t->rows < SOME ? PIPELINE_GO_ON : t->answer;
}

static void on_connection(void *ctx, const struct pipeline_connection *c)
{
    struct tally *t = ctx;
    HOLDS(c->what <= PIPELINE_CLOSED_END && c->sender <= MQTT_SERVER);
    mix(t, c->stream * 4 + (unsigned)c->what);
    if (c->stream >= STREAMS)
        return;
    HOLDS((t->opened[c->stream] == 1) == (c->what != PIPELINE_OPENED));
    t->opened[c->stream] = c->what == PIPELINE_OPENED ? 1 : 2;
}

static void on_finding(void *ctx, const struct track_finding *f)
{
    mix(ctx, f->rule);
    HOLDS(output_is_text(view_of(f->sentence, strlen(f->sentence)), ""));
}

static void on_exchange(void *ctx, const struct track_exchange *x)
{
    mix(ctx, x->outcome);
}

static void on_session(void *ctx, const struct track_session_event *e)
{
    mix(ctx, e->change);
}

static void check_counters(const struct pipeline *p, const struct tally *t)
{
    struct pipeline_counters c;
    pipeline_counters(p, &c);
    HOLDS(t->rows == 0 ||
          (c.rows == t->rows && c.packets == t->packets && c.gaps == t->rows - t->packets - t->differences));
    HOLDS(c.frames >= c.segments && (c.mqtt_connections == 0 || c.connections > 0));
    HOLDS(c.memory < 64u << 20);
}

static void check_line(const char *text)
{
    HOLDS(strlen(text) < PIPELINE_ERROR_MAX && output_is_text(view_of(text, strlen(text)), ""));
}

static void run_out(struct pipeline *p, const struct tally *t)
{
    enum pipeline_status status;
    uint64_t done = 0, total = 0;
    do
        status = pipeline_step(p, 64, 0);
    while (status == PIPELINE_MORE || status == PIPELINE_IDLE);
    HOLDS(status == PIPELINE_END || status == PIPELINE_ERROR);
    HOLDS((status == PIPELINE_ERROR) == (pipeline_error(p)[0] != '\0'));
    check_line(pipeline_error(p));
    while (pipeline_warning(p) != NULL)
        ;
    HOLDS(!pipeline_progress(p, &done, &total) || done <= total);
    HOLDS(pipeline_link_name(p) != NULL && pipeline_interface(p, 0) != NULL && pipeline_wait(p, 0));
    check_counters(p, t);
}

/* Way after way with the same octets: what comes out is in *t. */
static void run(const struct pipeline_options *options, bool heard, bool wrong, struct tally *t)
{
    static const struct pipeline_events all = { on_connection, on_row, on_finding, on_exchange, on_session },
                                        none = { NULL, NULL, NULL, NULL, NULL };
    char error[PIPELINE_ERROR_MAX];
    bool usage = false;
    struct pipeline *p = pipeline_open(options, heard ? &all : &none, t, error, &usage);
    HOLDS(p == NULL || !wrong);
    if (p == NULL) {
        HOLDS((!usage || options->capture_filter != NULL) && error[0] != '\0' &&
              memchr(error, '\0', sizeof error) != NULL);
        check_line(error);
        return;
    }
    HOLDS((pipeline_tracker(p) == NULL) == options->no_tracker);
    run_out(p, t);
    pipeline_close(p);
}

/* The octets as something to open: a file in memory, or the end of a pipe that holds them. */
static int opened(struct view octets, bool pipe_wanted)
{
    int fds[2] = { -1, -1 };
    if (pipe_wanted && octets.len <= PIPE_MAX) {
        HOLDS(pipe(fds) == 0 && write(fds[1], octets.ptr, octets.len) == (ssize_t)octets.len);
        close(fds[1]);
        return fds[0];
    }
    fds[0] = memfd_create("capture", 0);
    HOLDS(fds[0] >= 0 && write(fds[0], octets.ptr, octets.len) == (ssize_t)octets.len);
    return fds[0];
}

static void run_opened(struct pipeline_options options, bool pipe_wanted, struct tally *t)
{
    char path[32];
    int fd = opened(options.image, pipe_wanted);
    snprintf(path, sizeof path, "/dev/fd/%d", fd);
    options.file = path;
    run(&options, true, false, t);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint16_t ports[] = { 5555 };
    static struct tally first, second;
    struct pipeline_options options = { .image = view_of(data, size),
                                        .budget = pipeline_budget_of(8u << 20),
                                        .keep_privileges = true };
    bool packed = size >= 2 && data[0] == 0x1f && data[1] == 0x8b;
    enum way way = packed ? FROM_FILE : size > 13 ? (enum way)(data[13] % WAYS) : FROM_MEMORY;
    memset(&first, 0, sizeof first);
    memset(&second, 0, sizeof second);
    options.capture_filter = way == FILTERED ? "tcp port 1883" : way == FILTERED_WRONGLY ? "tcp port" : NULL;
    options.stop_after_frames = way == SOME_FRAMES ? SOME : 0;
    options.no_tracker = way == UNTRACKED;
    options.mqtt_ports = ports;
    options.n_mqtt_ports = way == ON_A_PORT;
    if (way == LITTLE_MEMORY)
        options.budget = (struct pipeline_budget){ 8, 300, 900, 100, 1000, 0, 1 << 20 };
    if (way == FORGETFUL)
        options.budget = (struct pipeline_budget){ .idle_s = 1 };
    first.answer = way == SOME_ROWS ? PIPELINE_STOP : way == KEPT ? PIPELINE_KEEP : PIPELINE_GO_ON;
    if (!packed)
        run(&options, way != UNHEARD, way == FILTERED_WRONGLY, &first);
    if (way == FROM_FILE || way == FROM_PIPE)
        run_opened(options, way == FROM_PIPE, &second);
    HOLDS(packed || (way != FROM_FILE && way != FROM_PIPE) ||
          (first.rows == second.rows && first.packets == second.packets && first.hash == second.hash));
    return 0;
}
