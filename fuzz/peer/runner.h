/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/peer/runner.h -- carries plans out against a broker: many at once, each with its own connections and
 * deadlines.
 *
 * One thread, epoll(7). Every octet sent and received is kept in a log, from which judgement, report and capture file
 * are made afterwards. */
#pragma once
#include <netinet/in.h>
#include <sys/socket.h>

#include "fuzz/peer/wire.h"
#include "fuzz/plan/plan.h"

struct runner_target {
    struct sockaddr_storage addr;
    socklen_t addr_len;
    struct login login; /* for every CONNECT that breaks no rule and names no user */
    struct wire_kind wire;
    /* Called again and again while somebody waits for this broker, which may wait for its output to be read; or NULL.
     */
    void (*hear)(void *ctx);
    void *hear_ctx;
};

enum log_what {
    LOG_OPENED,
    LOG_SENT,
    LOG_RECEIVED,
    LOG_CLOSED_BY_US,
    LOG_RESET_BY_US,
    LOG_CLOSED_BY_BROKER,
    LOG_RESET_BY_BROKER,
    LOG_REFUSED /* the connection was not accepted */
};

struct log_entry {
    uint8_t what; /* enum log_what */
    uint8_t client;
    uint16_t connection; /* of this client: 0 first, then 1 after a reconnect */
    uint16_t port;       /* ours */
    uint32_t step;       /* of the plan, when it happened */
    int64_t time_ns;     /* of the day */
    uint32_t at, len;    /* octets in run->octets */
};

enum run_end {
    RUN_GOING,
    RUN_PASSED,         /* every expectation was met */
    RUN_FAILED,         /* a judged expectation was not: run->step, run->why */
    RUN_UNKNOWN,        /* an expectation that prepares the judged one was not met */
    RUN_NOT_APPLICABLE, /* the broker says it lacks what the plan needs */
    RUN_NO_BROKER,      /* no connection could be made */
};

enum { RUN_WHY = 200 };

struct run {
    const struct plan *plan;
    void *tag; /* the caller's */
    enum run_end end;
    uint32_t step;     /* where it stands, or ended */
    char why[RUN_WHY]; /* one sentence about a FAILED, UNKNOWN, ... */
    uint8_t code;      /* reason of a DISCONNECT or CONNACK before a close that was expected; 0: none */
    uint16_t vars[PLAN_VARS];
    struct log_entry *log;
    uint32_t n_log, log_cap;
    uint8_t *octets;                                      /* sent and received, in order */
    uint32_t n_octets, octets_cap, received;              /* received: how many of them */
    uint64_t sent_packets, received_packets, connections; /* so far */
    struct link *link;                                    /* [PLAN_CLIENTS]; private */
    int64_t since_ns, deadline_ns;                        /* of the step; private, as all below */
    int64_t again_ns;                                     /* when a connection that does not come is asked for again */
    int64_t began_ns;
    uint32_t sent_part;
    uint8_t *logged_in; /* the CONNECT of a step with a user in it */
    uint32_t n_logged_in, logged_in_step;
    bool alive_sent, lenient;
    bool ready;             /* something happened to it since its last turn */
    bool lacks[PLAN_NEEDS]; /* as CONNACK says */
};

struct runner {
    struct runner_target target;
    uint32_t deadline_ms;   /* of an expectation without its own */
    uint32_t answer_us;     /* how long an answer took of late, at most; an impatient wait is a few of these */
    uint32_t mean_us;       /* and on the average */
    bool lacks[PLAN_NEEDS]; /* what is known of the broker before a run begins */
    uint32_t octets_max;    /* received octets kept a run; a broker that sends more ends it as FAILED */
    struct run **runs;
    uint32_t n, cap;
    uint8_t *room; /* what was read last */
    int poll_fd;
    bool open;
};

void runner_init(struct runner *e, const struct runner_target *target, uint32_t deadline_ms);
void runner_done(struct runner *e);

/* Starts a plan. lenient: what cannot be sent because the connection is closed is left out (fuzzing), else the run ends
 * as UNKNOWN. NULL: no memory. It ends in runner_step(); the caller frees it with run_free(). */
struct run *runner_start(struct runner *e, const struct plan *plan, void *tag, bool lenient);
/* Works until some run ends (it is returned and no longer the engine's) or the time is over (NULL). */
struct run *runner_step(struct runner *e, int timeout_ms);
/* Ends all runs as RUN_UNKNOWN with this reason; runner_step() hands them out. */
void runner_abort(struct runner *e, const char *why);
void run_free(struct run *r);
uint32_t runner_open(const struct runner *e); /* connections of the runs that go on */

const char *run_end_name(enum run_end end); /* "pass", "fail", "unknown", "n/a" */

/* "HOST:PORT", "[::1]:PORT", "PORT". False: error says why. Only loopback addresses unless allow_remote. */
bool runner_resolve(const char *text, bool allow_remote, struct runner_target *out, char *error, size_t cap);
void runner_hear(const struct runner_target *target);
bool runner_is_near(const struct runner_target *target); /* on this machine */
int64_t runner_now_ns(void);                             /* monotonic */
