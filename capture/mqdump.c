/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/mqdump.c -- MQTT control packets of a capture, decoded and judged, on standard output.
 *
 * This file has the signals, the loop and the exit status; the packets come from capture/pipeline.h, their looks from
 * decoder/show/. Rows go to standard output, all else to standard error. */
#include "capture/frames/masked.h"
#include "capture/options.h"
#include "capture/pipeline.h"
#include "capture/progress.h"
#include "capture/sink.h"
#include "capture/target.h"
#include "decoder/filter/filter.h"
#include "decoder/show/eve.h"
#include "decoder/show/redact.h"
#include "decoder/show/show.h"
#include "decoder/stats/stats.h"
#include "decoder/track/track.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_DONE, EXIT_USAGE, EXIT_INPUT, EXIT_FINDINGS };
enum { STEP_FRAMES = 512, STEP_MS = 200 };

struct dump {
    struct options o;
    struct sink sink;
    struct pipeline *pipeline;
    struct filter *filter; /* NULL: every row */
    void *filter_memory;
    struct eve eve;
    struct stats *stats[OPTIONS_STATISTICS];
    void *stats_memory[OPTIONS_STATISTICS];
    struct masked *masked; /* --redact with -w */
    struct redact redact;  /* kinds 0: nothing is masked */
    int64_t counted_ns;    /* capture time of the last event "stats" */
    uint64_t shown;        /* packets */
    uint64_t found[4];     /* verdicts and findings, by enum mqtt_severity */
    bool live, rows, stopped;
};

/* ---- signals ---- */

static struct pipeline *volatile running;
static volatile sig_atomic_t ends, counts_wanted, reopen_wanted;

static void on_end(int number)
{
    if (ends++ > 0)
        _exit(128 + number);
    if (running != NULL)
        pipeline_stop(running);
}

static void on_counts(int number)
{
    (void)number;
    counts_wanted = 1;
}

static void on_hangup(int number)
{
    (void)number;
    reopen_wanted = 1;
}

/* No SA_RESTART: a read that waits has to notice. */
static void catch_signal(int number, void (*handler)(int))
{
    struct sigaction action = { .sa_handler = handler };
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

/* ---- what it says ---- */

static int complain(int status, const char *text)
{
    fprintf(stderr, "mqdump: %s\n", text);
    return status;
}

static void say_counts(const struct dump *d)
{
    struct pipeline_counters c;
    pipeline_counters(d->pipeline, &c);
    fprintf(stderr,
            "%" PRIu64 " packets captured\n%" PRIu64 " packets received by filter\n%" PRIu64
            " packets dropped by kernel\n",
            c.frames, c.received, c.kernel_drops);
    if (c.interface_drops > 0)
        fprintf(stderr, "%" PRIu64 " packets dropped by interface\n", c.interface_drops);
    if (c.ring_drops > 0)
        fprintf(stderr, "%" PRIu64 " packets dropped by mqdump: it could not keep up\n", c.ring_drops);
    fprintf(stderr,
            "%" PRIu64 " MQTT packets on %" PRIu64 " connections, %" PRIu64 " octets lost in %" PRIu64 " gaps\n",
            c.packets, c.mqtt_connections, c.gap_octets, c.gaps);
    fprintf(stderr, "%" PRIu64 " errors, %" PRIu64 " warnings, %" PRIu64 " notes\n", d->found[MQTT_SEVERITY_ERROR],
            d->found[MQTT_SEVERITY_WARNING], d->found[MQTT_SEVERITY_NOTE]);
}

static void say_one_limit(uint64_t n, const char *what)
{
    if (n > 0)
        fprintf(stderr, "mqdump: %" PRIu64 " %s\n", n, what);
}

static void say_closed(uint64_t n, const char *why)
{
    if (n > 0)
        fprintf(stderr, "mqdump: %" PRIu64 " TLS connection%s closed: %s\n", n, n == 1 ? " stays" : "s stay", why);
}

static void say_limits(const struct dump *d)
{
    struct pipeline_counters c;
    struct track_counts n = { 0 };
    pipeline_counters(d->pipeline, &c);
    track_count(pipeline_tracker(d->pipeline), &n);
    say_one_limit(n.evicted_connections + n.evicted_sessions + n.evicted_exchanges,
                  "sessions, exchanges and their connections were forgotten early to stay within the memory allowed "
                  "(--max-memory)");
    say_one_limit(c.evicted_flows, "connections were forgotten early to stay within the memory allowed (--max-memory)");
    say_one_limit(c.unfollowed, "TCP segments are not in this: there was no memory for their connections");
    say_one_limit(n.refused, "times there was no memory to follow a session: some conduct was not judged");
    say_one_limit(c.evicted_order,
                  "out-of-order segments were given up to stay within the memory allowed (--max-memory)");
    say_one_limit(c.evicted_probes,
                  "connections were given up before it was clear whether they carry MQTT, to stay within "
                  "the memory allowed (--max-memory)");
    if (d->o.input.budget.packet > 0 || d->o.input.budget.total_packet > 0) /* else the row says it: 1 MiB of each */
        say_one_limit(c.cut_packets, "packets were kept and decoded only in part to stay within the memory allowed "
                                     "(--max-memory, --budget packet, packets)");
    say_one_limit(c.sealed, "frames of the Wi-Fi are encrypted: what they carry is not seen");
    if (d->o.input.key_log != NULL || c.mqtt_connections == 0) /* otherwise nobody may have expected MQTT in them */
        say_closed(c.tls_no_key, "no key (-o tls.keylog_file:FILE)");
    say_closed(d->o.input.key_log != NULL ? c.tls_unknown : 0,
               "neither TLS 1.2 nor 1.3, or a cipher suite that is not known");
}

static void say_warnings(const struct dump *d)
{
    const char *warning;
    while ((warning = pipeline_warning(d->pipeline)) != NULL)
        complain(0, warning);
}

/* ---- rows ---- */

static int32_t local_offset_s(int64_t epoch_s)
{
    enum { STEADY_S = 900 }; /* no zone changes within a quarter of an hour */
    static int64_t quarter = INT64_MIN;
    static int32_t offset;
    if (epoch_s / STEADY_S != quarter) {
        time_t t = (time_t)epoch_s;
        struct tm local;
        quarter = epoch_s / STEADY_S;
        offset = localtime_r(&t, &local) != NULL ? (int32_t)local.tm_gmtoff : 0;
    }
    return offset;
}

static void show(struct dump *d, const struct row *row)
{
    struct out *o = &d->sink.out;
    struct options *opt = &d->o;
    switch (opt->format) {
    case OPTIONS_TEXT:
        show_text(o, row, &opt->style);
        if (opt->tree)
            show_tree(o, row, &opt->style);
        if (opt->hex)
            show_hex(o, row, &opt->style);
        break;
    case OPTIONS_FIELDS:
        show_columns(o, row, &opt->style, &opt->columns);
        break;
    case OPTIONS_JSON:
        show_json(o, row, &opt->style, opt->columns.n > 0 ? &opt->columns.set : NULL);
        break;
    case OPTIONS_EVE:
        eve_row(&d->eve, o, row);
        break;
    }
    if (opt->line_buffered)
        sink_flush(&d->sink);
}

/* After SIGHUP: lines are whole in the sink, so the old output ends with one and the new output begins with one. */
static void reopen_output(struct dump *d)
{
    char error[TARGET_ERROR];
    reopen_wanted = 0;
    sink_flush(&d->sink);
    int fd = target_open(d->o.output, error);
    if (fd < 0) {
        fprintf(stderr, "mqdump: %s; rows go on to where they went%s\n", error,
                d->live && geteuid() != 0 ? " (root's rights are given up: the user of -Z opens it)" : "");
        return;
    }
    close(d->sink.fd);
    d->sink.fd = fd;
    d->sink.error = 0;
}

static unsigned stop(struct dump *d)
{
    d->stopped = true;
    return PIPELINE_STOP;
}

/* Apart from on_row(), so that a run that shows nothing does not save its registers. */
__attribute__((noinline)) static unsigned show_row(struct dump *d, const struct row *row)
{
    if (d->rows)
        show(d, row);
    if (d->sink.error != 0 || (d->o.count > 0 && d->shown == d->o.count))
        return PIPELINE_KEEP | stop(d);
    return PIPELINE_KEEP;
}

/* Of a run that shows nothing and leaves no row out. */
static unsigned count_row(void *ctx, const struct row *row)
{
    struct dump *d = ctx;
    for (uint32_t i = 0; i < row->n_verdicts; i++)
        d->found[row->verdicts[i].severity & 3]++;
    for (uint32_t i = 0; i < d->o.n_statistics; i++)
        stats_row(d->stats[i], row);
    return PIPELINE_GO_ON;
}

static unsigned on_row(void *ctx, const struct row *row)
{
    struct dump *d = ctx;
    if (reopen_wanted)
        reopen_output(d);
    if (d->masked != NULL && !masked_packet(d->masked, row))
        return stop(d);
    if (d->stopped || (d->filter != NULL && !filter_match(d->filter, row)))
        return PIPELINE_GO_ON;
    if (d->redact.kinds != 0)
        row = redact_row(&d->redact, row);
    count_row(d, row);
    if (row->kind == ROW_PACKET)
        d->shown++;
    if (d->rows || d->o.count > 0)
        return show_row(d, row);
    return d->o.input.record.file != NULL ? PIPELINE_KEEP : PIPELINE_GO_ON;
}

static void on_finding(void *ctx, const struct track_finding *finding)
{
    struct dump *d = ctx;
    struct track_finding masked;
    d->found[finding->severity & 3]++;
    if (d->redact.kinds != 0) {
        masked = redact_finding(&d->redact, finding);
        finding = &masked;
    }
    for (uint32_t i = 0; i < d->o.n_statistics; i++)
        stats_finding(d->stats[i], finding);
    if (d->rows && d->o.format == OPTIONS_EVE)
        eve_finding(&d->eve, &d->sink.out, finding);
}

static void on_connection(void *ctx, const struct pipeline_connection *c)
{
    struct dump *d = ctx;
    if (c->what == PIPELINE_OPENED)
        eve_connection(&d->eve, c->stream, c->interface_id, &c->src, &c->dst);
}

static void on_exchange(void *ctx, const struct track_exchange *exchange)
{
    struct dump *d = ctx;
    struct track_exchange masked;
    if (d->redact.kinds != 0) {
        masked = redact_exchange(&d->redact, exchange);
        exchange = &masked;
    }
    for (uint32_t i = 0; i < d->o.n_statistics; i++)
        stats_exchange(d->stats[i], exchange);
    if (d->rows && d->o.format == OPTIONS_EVE)
        eve_exchange(&d->eve, &d->sink.out, exchange);
}

static void on_session(void *ctx, const struct track_session_event *change)
{
    struct dump *d = ctx;
    struct track_session_event masked;
    if (d->redact.kinds != 0) {
        masked = redact_session(&d->redact, change);
        change = &masked;
    }
    eve_session(&d->eve, &d->sink.out, change, pipeline_tracker(d->pipeline));
}

static const char *interface_name(void *ctx, uint32_t interface_id)
{
    const struct dump *d = ctx;
    return pipeline_interface(d->pipeline, interface_id);
}

static void eve_counters(struct dump *d)
{
    struct pipeline_counters c;
    pipeline_counters(d->pipeline, &c);
    const struct eve_counter list[] = {
        { "frames", c.frames },
        { "octets", c.octets },
        { "kernel_drops", c.kernel_drops },
        { "ring_drops", c.ring_drops },
        { "packets", c.packets },
        { "connections", c.mqtt_connections },
        { "gaps", c.gaps },
        { "gap_octets", c.gap_octets },
        { "skipped_octets", c.skipped_octets },
        { "evicted_flows", c.evicted_flows },
        { "evicted_order", c.evicted_order },
        { "errors", d->found[MQTT_SEVERITY_ERROR] },
        { "warnings", d->found[MQTT_SEVERITY_WARNING] },
        { "notes", d->found[MQTT_SEVERITY_NOTE] },
        { "memory", c.memory },
    };
    eve_stats(&d->eve, &d->sink.out, c.last_ns, list, sizeof list / sizeof list[0]);
    d->counted_ns = c.last_ns;
}

/* Every minute of capture time. */
static void eve_tick(struct dump *d)
{
    const int64_t minute = 60ll * 1000000000;
    struct pipeline_counters c;
    if (!d->rows || d->o.format != OPTIONS_EVE)
        return;
    pipeline_counters(d->pipeline, &c);
    if (d->counted_ns == 0)
        d->counted_ns = c.first_ns;
    if (c.last_ns - d->counted_ns >= minute)
        eve_counters(d);
}

/* ---- set up ---- */

static int compile_filter(struct dump *d)
{
    const char *text = d->o.display_filter;
    struct filter_error error;
    char lines[1024];
    if (text == NULL)
        return EXIT_DONE;
    d->filter_memory = malloc(FILTER_MEMORY);
    if (d->filter_memory == NULL)
        return complain(EXIT_INPUT, strerror(ENOMEM));
    d->filter = filter_compile(text, strlen(text), d->filter_memory, FILTER_MEMORY, &error);
    if (d->filter != NULL)
        return EXIT_DONE;
    filter_error_text(&error, text, strlen(text), lines, sizeof lines);
    fprintf(stderr, "mqdump: display filter: %s", lines);
    return EXIT_USAGE;
}

static int open_stats(struct dump *d)
{
    char error[STATS_ERROR_MAX];
    for (uint32_t i = 0; i < d->o.n_statistics; i++) {
        d->stats_memory[i] = calloc(1, STATS_MEMORY);
        if (d->stats_memory[i] == NULL)
            return complain(EXIT_INPUT, strerror(ENOMEM));
        d->stats[i] = stats_open(d->o.statistics[i], d->stats_memory[i], STATS_MEMORY, error);
        if (d->stats[i] == NULL) {
            fprintf(stderr, "mqdump: -z: %s", error);
            return EXIT_USAGE;
        }
        if (d->redact.kinds != 0)
            stats_redact(d->stats[i], &d->redact);
    }
    return EXIT_DONE;
}

static void print_stats(struct dump *d)
{
    struct pipeline_counters c;
    struct track_counts n = { 0 };
    pipeline_counters(d->pipeline, &c);
    track_count(pipeline_tracker(d->pipeline), &n);
    const struct stats_figure figures[] = {
        { "frames", "frames", c.frames },
        { "octets of them", "frame_octets", c.octets },
        { "frames dropped by the kernel", "kernel_drops", c.kernel_drops },
        { "frames dropped by the interface", "interface_drops", c.interface_drops },
        { "frames that are not IP", "frames_not_ip", c.not_ip },
        { "Wi-Fi frames that are encrypted", "frames_encrypted", c.sealed },
        { "frames that are not TCP", "frames_not_tcp", c.not_tcp },
        { "frames that contradict themselves or are cut", "frames_malformed", c.malformed_frames },
        { "IP fragments that waited for others", "fragments", c.fragments },
        { "TCP segments", "segments", c.segments },
        { "segments seen before", "segments_retransmitted", c.retransmitted },
        { "segments out of order", "segments_reordered", c.reordered },
        { "segments that differ from their first copy", "overlap_conflicts", c.overlap_conflicts },
        { "TCP connections", "tcp_connections", c.connections },
        { "connections that asked for WebSocket", "websockets", c.websockets },
        { "TLS connections", "tls", c.tls },
        { "TLS connections that a key log opened", "tls_opened", c.tls_opened },
        { "TLS connections without a key", "tls_no_key", c.tls_no_key },
        { "TLS connections of unknown kind", "tls_unknown", c.tls_unknown },
        { "connections forgotten for room", "evicted_connections", c.evicted_flows },
        { "connections forgotten for silence", "expired_connections", c.expired_flows },
        { "holes given up for room", "evicted_order", c.evicted_order },
        { "connections given up undecided for room", "evicted_probes", c.evicted_probes },
        { "packets of which only a part was kept", "packets_kept_in_part", c.cut_packets },
        { "connections no longer followed for room", "evicted_followed", n.evicted_connections },
        { "sessions forgotten for room", "evicted_sessions", n.evicted_sessions },
        { "exchanges forgotten for room", "evicted_exchanges", n.evicted_exchanges },
    };
    for (uint32_t i = 0; i < d->o.n_statistics; i++) {
        stats_figures(d->stats[i], figures, sizeof figures / sizeof figures[0]);
        stats_print(d->stats[i], &d->sink.out, d->o.format == OPTIONS_JSON || d->o.format == OPTIONS_EVE,
                    pipeline_tracker(d->pipeline));
    }
}

static int prepare_eve(struct dump *d)
{
    if (d->o.format != OPTIONS_EVE)
        return EXIT_DONE;
    d->eve = (struct eve){
        .payload_limit = d->o.payload_limit, .sensor = d->o.sensor, .secrets = d->o.style.secrets, .interface_ctx = d
    };
    d->eve.interface_name = d->live ? interface_name : NULL;
    d->eve.connections = calloc(EVE_CONNECTIONS, sizeof d->eve.connections[0]);
    return d->eve.connections != NULL ? EXIT_DONE : complain(EXIT_INPUT, strerror(ENOMEM));
}

static bool mask_frame(void *ctx, uint8_t *octets, size_t len, uint32_t wire_len, uint32_t link_type,
                       uint32_t connection)
{
    struct dump *d = ctx;
    return masked_frame(d->masked, octets, len, wire_len, link_type, connection);
}

static int prepare_masked(struct dump *d)
{
    char error[MASKED_ERROR_MAX];
    d->masked = masked_open(d->o.input.record.file, &d->redact, error);
    if (d->masked == NULL)
        return complain(EXIT_INPUT, error);
    d->o.input.record.mask = mask_frame;
    d->o.input.record.mask_ctx = d;
    return EXIT_DONE;
}

static int prepare_redact(struct dump *d)
{
    if (d->o.redact == 0)
        return EXIT_DONE;
    d->redact = (struct redact){ .kinds = d->o.redact, .memory = malloc(REDACT_MEMORY), .size = REDACT_MEMORY };
    if (d->redact.memory == NULL)
        return complain(EXIT_INPUT, strerror(ENOMEM));
    if (getrandom(d->redact.key, sizeof d->redact.key, 0) != (ssize_t)sizeof d->redact.key)
        return complain(EXIT_INPUT, "no random numbers for --redact");
    return d->o.input.record.file != NULL ? prepare_masked(d) : EXIT_DONE;
}

/* --output, or standard output. */
static int open_output(struct dump *d)
{
    char error[TARGET_ERROR];
    if (d->o.output == NULL)
        return fcntl(STDOUT_FILENO, F_GETFD) < 0 ? complain(EXIT_INPUT, "standard output is closed") : EXIT_DONE;
    int fd = target_open(d->o.output, error);
    if (fd < 0)
        return complain(EXIT_INPUT, error);
    sink_init(&d->sink, fd);
    catch_signal(SIGHUP, on_hangup);
    return EXIT_DONE;
}

static bool any_wants_exchanges(const struct dump *d)
{
    bool any = false;
    for (uint32_t i = 0; i < d->o.n_statistics; i++)
        any |= stats_wants_exchanges(d->stats[i]);
    return any;
}

static bool any_wants_sentences(const struct dump *d)
{
    bool any = false;
    for (uint32_t i = 0; i < d->o.n_statistics; i++)
        any |= stats_wants_sentences(d->stats[i]);
    return any;
}

static bool any_wants_notes(const struct dump *d)
{
    bool any = false;
    for (uint32_t i = 0; i < d->o.n_statistics; i++)
        any |= stats_wants_notes(d->stats[i]);
    return any;
}

static int open_pipeline(struct dump *d)
{
    bool eve = d->o.format == OPTIONS_EVE && d->rows;
    bool shows =
        d->rows || d->o.count > 0 || d->filter != NULL || d->redact.kinds != 0 || d->o.input.record.file != NULL;
    const struct pipeline_events events = { .row = shows ? on_row : count_row,
                                            .finding = on_finding,
                                            .connection = eve ? on_connection : NULL,
                                            .exchange = eve || any_wants_exchanges(d) ? on_exchange : NULL,
                                            .session = eve ? on_session : NULL };
    char error[PIPELINE_ERROR_MAX];
    bool usage = false;
    d->o.input.record.matching_only = d->filter != NULL;
    d->o.input.terse = !eve && !any_wants_sentences(d);
    d->o.input.brief = !shows && !any_wants_notes(d) && !any_wants_exchanges(d);
    d->pipeline = pipeline_open(&d->o.input, &events, d, error, &usage);
    if (d->pipeline == NULL)
        return complain(usage ? EXIT_USAGE : EXIT_INPUT, error);
    running = d->pipeline;
    catch_signal(SIGINT, on_end);
    catch_signal(SIGTERM, on_end);
    catch_signal(SIGUSR1, on_counts);
    say_warnings(d);
    if (d->live) { /* who reads this may send a signal at once */
        fprintf(stderr, "mqdump: listening on ");
        for (uint32_t i = 0; i < d->o.input.n_interfaces; i++)
            fprintf(stderr, "%s%s", i > 0 ? ", " : "", pipeline_interface(d->pipeline, i));
        fprintf(stderr, ", link type %s\n", pipeline_link_name(d->pipeline));
    }
    return EXIT_DONE;
}

/* ---- the run ---- */

static enum pipeline_status run(struct dump *d)
{
    enum pipeline_status status;
    bool terminal = isatty(d->sink.fd) == 1;
    struct progress progress;
    progress_begin(&progress, d->pipeline, d->rows ? d->sink.fd : -1);
    do {
        status = pipeline_step(d->pipeline, STEP_FRAMES, STEP_MS);
        progress_step(&progress, d->pipeline, d->found[1] + d->found[2] + d->found[3]);
        say_warnings(d);
        eve_tick(d);
        if (reopen_wanted)
            reopen_output(d);
        if (terminal || status == PIPELINE_IDLE)
            sink_flush(&d->sink);
        if (counts_wanted) {
            counts_wanted = 0;
            say_counts(d);
        }
        if (d->stopped || d->sink.error != 0)
            pipeline_stop(d->pipeline);
    } while (status == PIPELINE_MORE || status == PIPELINE_IDLE);
    progress_end(&progress);
    return status;
}

static int finish(struct dump *d, enum pipeline_status status)
{
    int result = EXIT_DONE;
    uint64_t failing = 0;
    if (d->rows && d->o.format == OPTIONS_EVE)
        eve_counters(d);
    print_stats(d);
    sink_flush(&d->sink);
    if (d->live)
        say_counts(d);
    say_limits(d);
    if (d->filter != NULL && filter_gave_up(d->filter))
        complain(0, "display filter: a comparison took too many steps and counted as not met: rows may be missing");
    for (unsigned s = d->o.fail_on; s > MQTT_SEVERITY_NONE && s < 4; s++)
        failing += d->found[s];
    if (failing > 0) {
        fprintf(stderr, "mqdump: %" PRIu64 " finding%s of severity %s or above\n", failing, failing == 1 ? "" : "s",
                mqtt_severity_name(d->o.fail_on));
        result = EXIT_FINDINGS;
    }
    if (d->masked != NULL && masked_error(d->masked)[0] != '\0')
        result = complain(EXIT_INPUT, masked_error(d->masked));
    if (status == PIPELINE_ERROR)
        result = complain(EXIT_INPUT, pipeline_error(d->pipeline));
    if (d->sink.error != 0 && !sink_reader_gone(&d->sink)) {
        fprintf(stderr, "mqdump: %s: %s\n", d->o.output != NULL ? d->o.output : "standard output",
                strerror(d->sink.error));
        result = EXIT_INPUT;
    }
    return result;
}

static int dump(struct dump *d)
{
    int status;
    d->live = d->o.input.file == NULL;
    d->rows = !d->o.quiet && !(d->o.input.record.file != NULL && strcmp(d->o.input.record.file, "-") == 0);
    d->o.style.color = options_use_color(&d->o, stdout);
    d->o.style.utc_offset_s = local_offset_s;
    if ((status = compile_filter(d)) != EXIT_DONE || (status = prepare_redact(d)) != EXIT_DONE ||
        (status = open_stats(d)) != EXIT_DONE || (status = prepare_eve(d)) != EXIT_DONE ||
        (status = open_output(d)) != EXIT_DONE)
        return status;
    if ((status = open_pipeline(d)) != EXIT_DONE)
        return status;
    if (d->rows && d->o.format == OPTIONS_FIELDS && d->o.columns.header)
        show_columns_header(&d->sink.out, &d->o.columns);
    return finish(d, run(d));
}

static void one_interface(void *ctx, const char *name, const char *description)
{
    unsigned *n = ctx;
    bool described = description != NULL && description[0] != '\0';
    printf("%u. %s%s%s%s\n", ++*n, name, described ? " (" : "", described ? description : "", described ? ")" : "");
}

static int list_interfaces(void)
{
    char error[PIPELINE_ERROR_MAX];
    unsigned n = 0;
    return pipeline_interfaces(one_interface, &n, error) ? EXIT_DONE : complain(EXIT_INPUT, error);
}

static int act(struct dump *d)
{
    int status = EXIT_DONE;
    switch (d->o.action) {
    case OPTIONS_RUN:
        return dump(d);
    case OPTIONS_HELP:
        options_help(stdout, OPTIONS_D);
        break;
    case OPTIONS_VERSION:
        options_version(stdout, OPTIONS_D);
        break;
    case OPTIONS_COMPLETION:
        options_completion(stdout, OPTIONS_D, d->o.shell);
        break;
    case OPTIONS_LIST_FIELDS:
        options_fields(stdout);
        break;
    case OPTIONS_LIST_STATISTICS:
        stats_help(&d->sink.out);
        sink_flush(&d->sink);
        break;
    case OPTIONS_LIST_INTERFACES:
        status = list_interfaces();
        break;
    }
    if (fflush(stdout) != 0 && errno != EPIPE) {
        fprintf(stderr, "mqdump: standard output: %s\n", strerror(errno));
        return EXIT_INPUT;
    }
    return status;
}

int main(int argc, char **argv)
{
    static struct dump d; /* large */
    char error[OPTIONS_ERROR];
    int status;
    signal(SIGPIPE, SIG_IGN);
    sink_init(&d.sink, STDOUT_FILENO);
    if (options_parse(&d.o, OPTIONS_D, argc, argv, error)) {
        status = act(&d);
    } else {
        fprintf(stderr, "mqdump: %s\nmqdump: --help lists the options\n", error);
        status = EXIT_USAGE;
    }
    running = NULL;
    pipeline_close(d.pipeline);
    free(d.filter_memory);
    free(d.eve.connections);
    masked_close(d.masked);
    free(d.redact.memory);
    for (uint32_t i = 0; i < OPTIONS_STATISTICS; i++)
        free(d.stats_memory[i]);
    return status;
}
