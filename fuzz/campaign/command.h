/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/campaign/command.h -- what mqfuzz does, once its options are read. */
#pragma once
#include <signal.h>

#include "fuzz/campaign/report.h"
#include "fuzz/peer/process.h"

enum { EXIT_CLEAN = 0, EXIT_USAGE = 1, EXIT_TROUBLE = 2, EXIT_FINDINGS = 3 };

struct command {
    const char *target, *spawn, *rule, *out, *junit, *sarif, *baseline, *replay, *minimize;
    const char *user, *password, *cafile, *websocket, *setup, *from, *corpus;
    bool allow_remote, list, verbose, has_seed, tls, insecure;
    unsigned versions;          /* bit set of 1 << version */
    uint32_t deadline_ms, jobs; /* jobs 0: as many as the command likes */
    uint64_t seed, runs, time_s;
};

extern volatile sig_atomic_t mqfuzz_stop; /* SIGINT or SIGTERM came */

uint64_t fresh_seed(void); /* that no other run has, in whatever moment and process it begins */

/* How names of clients and topics begin that one run alone uses: size - 1 letters and digits, no hexadecimal number. */
enum { RUN_NAME = 9 };
void make_name(uint64_t n, char *name, size_t size);

/* The broker under test, started when it has to be. */
struct bench {
    const struct command *command;
    struct process process; /* pid 0 with --target */
    struct runner_target target;
    struct tls_context *tls;
    int64_t start_ns; /* what its latest start took */
};

/* Starts or finds the broker and carries out the plan of --setup. False: said on stderr. */
bool bench_open(struct bench *b, const struct command *c);
bool bench_restart(struct bench *b); /* after it ended, or in its place; false: said on stderr */
void bench_close(struct bench *b);

char *plan_file(const char *path, size_t *len); /* its text, "-" is standard input; NULL: said on stderr. free() it */
bool plan_read(struct plan *plan, const char *path, const char *prefix, unsigned version); /* false: said on stderr */

/* Findings named in the file of --baseline do not count. False: it cannot be read (said on stderr). */
struct baseline {
    char **line;
    uint32_t n;
};
bool baseline_read(struct baseline *b, const char *path); /* path NULL: empty */
bool baseline_has(const struct baseline *b, const struct report_entry *e);
void baseline_free(struct baseline *b);

/* Writes --junit and --sarif; the exit status: TROUBLE when that fails, else FINDINGS or CLEAN. */
int command_reports(const struct command *c, const struct report *r);

int command_list(const struct command *c);
int command_conform(const struct command *c);
int command_run(const struct command *c);
int command_replay(const struct command *c);
int command_minimize(const struct command *c);
