/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/peer/process.h -- the broker under test as a process of ours: started, watched, stopped, its output kept. */
#pragma once
#include <sys/types.h>

#include "fuzz/peer/runner.h"

enum { PROCESS_TAIL = 16384, PROCESS_ERROR = 256 };

struct process {
    pid_t pid;        /* 0: not running */
    int output;       /* pipe with its stdout and stderr */
    int64_t heard_ns; /* when that was last read while somebody waited */
    uint16_t port;
    int status; /* of waitpid(), once it has ended */
    bool ended;
    bool stopping;           /* we asked it to end */
    char tail[PROCESS_TAIL]; /* the latest output, as it came */
    size_t n_tail;
    bool sanitizer; /* its output holds the report of a sanitizer */
    char command[1024];
};

struct process_usage {
    uint64_t rss_kib, virtual_kib, cpu_ms;
    uint32_t fds, threads;
};

/* Runs `command` with every {port} replaced by a free port of loopback (the same one again when p->port is set), and
 * waits until something listens there, at most wait_ms. False: error says why; what it printed is in p->tail. */
bool process_start(struct process *p, const char *command, int wait_ms, char *error);
/* Takes what it printed and notices its end. True while it runs. */
bool process_watch(struct process *p);
/* SIGTERM, then SIGKILL after wait_ms. Its exit status is in p->status. */
void process_stop(struct process *p, int wait_ms);
bool process_usage(const struct process *p, struct process_usage *out);
/* How often its threads have gone to sleep; when a processor was taken from them does not count. */
uint64_t process_sleeps(const struct process *p);
/* Where it is; who waits for it reads its output meanwhile, so *p stays where it is. */
void process_target(struct process *p, struct runner_target *out);
/* "ended by signal 11 (Segmentation fault)", "ended with status 0" */
void process_end_text(const struct process *p, char *out, size_t cap);
