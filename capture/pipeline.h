/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/pipeline.h -- options in, rows out: the one way from a device, a capture file or an image in memory to
 * decoded, judged control packets. mqdump and mqshark stand on it and on nothing below it.
 *
 *     source -> link/IP/TCP segment -> flow -> stream (data | gap | end) -> [TLS] -> [WebSocket] -> guess -> framer ->
 * row
 *
 * A pipeline belongs to one thread. pipeline_stop() alone may be called from a signal handler
 * or another thread. A live pipeline starts one more thread, which only takes frames from the devices. With
 * pipeline_options.threads a pipeline of a file starts one, too: callbacks still come from pipeline_step() alone, in
 * the same order and with the same content. */
#pragma once
#include "decoder/show/row.h"

struct track;         /* decoder/track/track.h */
struct track_finding; /* likewise, as the next two */
struct track_exchange;
struct track_session_event;

/* What input can grow, and how far. 0 takes the default; pipeline_budget_of() sets all of them from one figure. */
struct pipeline_budget {
    uint32_t flows;        /* TCP connections remembered; the least recently used one makes room */
    uint32_t flow_order;   /* out-of-order octets held for one direction of a flow */
    uint64_t total_order;  /* the same for all flows together */
    uint32_t packet;       /* octets kept of one control packet that does not lie whole in one segment */
    uint64_t total_packet; /* octets kept of unfinished packets, all flows together; an eighth more of client ids */
    uint32_t idle_s;       /* a connection silent for this long is forgotten */
    uint64_t tracker;      /* octets for sessions and exchanges */
};

struct pipeline_budget pipeline_budget_default(void);
struct pipeline_budget pipeline_budget_of(uint64_t max_memory); /* --max-memory; at least 8 MiB */

/* -w, -b, -a. Zero: no such limit. */
struct pipeline_record {
    const char *file;      /* NULL: nothing is recorded; "-": standard output */
    bool matching_only;    /* only connections for which a row answered PIPELINE_KEEP */
    uint64_t ring_kb;      /* -b filesize:KB  start the next file */
    uint32_t ring_s;       /* -b duration:S */
    uint32_t ring_files;   /* -b files:N      keep the newest N */
    uint32_t ring_packets; /* -b packets:N    frames */
    uint64_t stop_kb;      /* -a filesize:KB  end the run */
    uint32_t stop_files;   /* -a files:N */
    /* --redact: changes the octets of a frame before it is recorded (false: it is not to be). Everything is then held
     * back until the end. `connection` is the row's stream. */
    bool (*mask)(void *ctx, uint8_t *octets, size_t len, uint32_t wire_len, uint32_t link_type, uint32_t connection);
    void *mask_ctx;
};

struct pipeline_options {
    /* Input: interfaces (live), a file, or an image of one; the first of these that is set. Borrowed until close. */
    const char *const *interfaces;
    uint32_t n_interfaces;
    const char *file;           /* "-": standard input. pcap or pcapng, plain or gz, seen by content */
    struct view image;          /* a capture file in memory */
    const char *capture_filter; /* -f; NULL: all */
    uint32_t snaplen;           /* -s; 0: 262144 */
    uint32_t buffer_mib;        /* -B of the kernel's ring per interface; 0: default */
    bool no_promiscuous;        /* -p */
    const char *user;           /* -Z: become this one once the devices are open; NULL: the default unprivileged user */
    bool keep_privileges;       /* for tests and for libraries: neither drop nor sandbox */

    const char *key_log;        /* -o tls.keylog_file: secrets of TLS connections; NULL: those in the capture alone */
    const uint16_t *mqtt_ports; /* -d tcp.port==N,mqtt: streams of these ports are MQTT whatever they look like */
    uint32_t n_mqtt_ports;

    struct pipeline_budget budget;
    struct pipeline_record record;
    uint32_t stop_after_s;      /* -a duration:S */
    uint64_t stop_after_frames; /* -a packets:N */
    uint32_t threads;           /* 2: frames are taken apart in a thread of their own. Files alone; not with `record` */
    bool no_tracker;            /* rows carry no note; sessions and exchanges are not followed */
    bool terse;                 /* findings come without their sentence */
    bool brief;                 /* rows come without a note, though sessions and exchanges are followed */
};

/* Answer to a row: a bit set. */
enum { PIPELINE_GO_ON = 0, PIPELINE_STOP = 1, PIPELINE_KEEP = 2 };

/* What happens to a connection that carries MQTT, beside its packets. */
enum pipeline_link {
    PIPELINE_OPENED,
    PIPELINE_CLOSED_FIN,
    PIPELINE_CLOSED_RST,
    PIPELINE_CLOSED_END /* of the input, or forgotten */
};

struct pipeline_connection {
    enum pipeline_link what;
    uint32_t stream; /* tcp.stream, as in its rows */
    uint32_t interface_id;
    struct row_endpoint src,
        dst;          /* who did it (OPENED: sent the SYN) and the other side; nobody known: as in the first row */
    uint8_t sender;   /* enum mqtt_side of src; NOBODY: not known, or nobody did it */
    bool from_syn;    /* the handshake of TCP was seen */
    int64_t time_ns;  /* OPENED: of the SYN where it was seen, else of the first octet */
    uint64_t frame;   /* likewise; 0: none */
    uint64_t session; /* number in the tracker, 0: none (always so for OPENED) */
};

/* Called from pipeline_step(), with the ctx of pipeline_open(); NULL: not wanted. Everything is borrowed for the call.
 */
struct pipeline_events {
    /* OPENED comes right before the first row of the connection; the first FIN or RST, or the end, right before the
     * tracker learns of it: what is open in the session is still open in it. One end for each connection that was
     * opened. */
    void (*connection)(void *ctx, const struct pipeline_connection *connection);
    unsigned (*row)(void *ctx, const struct row *row);
    /* What no packet carries: a timeout, a missing answer, a session that ends (also at the end of the input). */
    void (*finding)(void *ctx, const struct track_finding *finding);
    /* An exchange that is over (or open at the end of the input), and what happens to a session: track_events of the
     * tracker, handed on. EVE writes them down. */
    void (*exchange)(void *ctx, const struct track_exchange *exchange);
    void (*session)(void *ctx, const struct track_session_event *change);
};

struct pipeline_counters {
    uint64_t frames, octets;                                       /* taken from the source (octets on the wire) */
    uint64_t received, kernel_drops, interface_drops, ring_drops;  /* live: as the devices say; our own ring was full */
    uint64_t not_ip, sealed, not_tcp, malformed_frames, fragments; /* frames without a TCP segment for us, and why */
    uint64_t segments, payload_octets;                             /* TCP segments seen, their payload on the wire */
    uint64_t retransmitted, reordered,
        overlap_conflicts;                  /* segments: all octets known; held for order; octets differ */
    uint64_t connections, mqtt_connections; /* seen so far */
    uint64_t rows, packets, packet_octets;  /* rows given; control packets among them and their octets on the wire */
    uint64_t gaps, gap_octets, skipped_octets;
    uint64_t websockets, tls, tls_opened; /* connections; of TLS, those that gave MQTT or other data */
    uint64_t tls_no_key, tls_unknown;     /* no secret was known; an unknown version or cipher suite */
    uint64_t evicted_flows, expired_flows, evicted_order, evicted_probes, cut_packets; /* a budget was reached */
    uint64_t unfollowed;                       /* segments of connections for which there was no memory */
    uint32_t flows;                            /* in memory now */
    uint64_t order_octets, packet_octets_held; /* likewise */
    uint64_t memory;                           /* octets of the flow table and all that hangs on it, now */
    int64_t first_ns, last_ns;                 /* capture time of the first and last frame; 0, 0: none */
};

enum pipeline_status {
    PIPELINE_MORE,  /* there is more at once */
    PIPELINE_IDLE,  /* live: nothing came within the timeout */
    PIPELINE_END,   /* end of the input, or stopped; all rows and findings were given */
    PIPELINE_ERROR, /* as END, but the input ended badly (cut short, device gone, recording failed): pipeline_error() */
};

struct pipeline;

/* Opens the input, drops privileges (live) and is ready for the first step. NULL: it cannot be; `error` (at least
 * PIPELINE_ERROR_MAX octets) holds one line without the program's name, which says what, why and, where there is one,
 * the remedy. `usage` is set when the fault is in an option (a capture filter that does not compile) and not in the
 * input. */
enum { PIPELINE_ERROR_MAX = 512 };
struct pipeline *pipeline_open(const struct pipeline_options *options, const struct pipeline_events *events, void *ctx,
                               char *error, bool *usage);

/* Takes frames, at most `frames` of them, and calls back for every row. Live: waits up to timeout_ms (-1: until
 * something comes or pipeline_stop()) for the first; a file is never waited for. Give what you have to the screen after
 * each step. */
enum pipeline_status pipeline_step(struct pipeline *p, uint32_t frames, int timeout_ms);

/* Until a step has something to do; at once for files. For who steps with a lock held and waits without it. */
bool pipeline_wait(struct pipeline *p, int timeout_ms);

void pipeline_stop(struct pipeline *p); /* the next step gives what is under way and ends; async-signal-safe */

/* Octets of the file read so far, and its size. False: live, a pipe or memory. */
bool pipeline_progress(const struct pipeline *p, uint64_t *done, uint64_t *total);

const char *pipeline_error(const struct pipeline *p); /* "" when there is none */
const char *pipeline_warning(struct pipeline *p);     /* next remark for the user (one line), NULL if none is left */
const char *pipeline_link_name(const struct pipeline *p); /* "Ethernet" */
void pipeline_counters(const struct pipeline *p, struct pipeline_counters *out);
struct track *pipeline_tracker(const struct pipeline *p);                        /* NULL with no_tracker */
const char *pipeline_interface(const struct pipeline *p, uint32_t interface_id); /* its name, "" if not known */

void pipeline_close(struct pipeline *p); /* NULL is fine */

/* -D: calls `each` for every interface one may capture on. False: error is set as above. */
bool pipeline_interfaces(void (*each)(void *ctx, const char *name, const char *description), void *ctx, char *error);
