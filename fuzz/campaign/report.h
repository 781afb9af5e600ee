/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/campaign/report.h -- results for people and for CI: table, JUnit XML, SARIF 2.1.0, and files per finding. */
#pragma once
#include <stdio.h>

#include "fuzz/campaign/conform.h"

/* One line of the reports: a probe that was run, or something that fuzzing found. */
struct report_entry {
    char rule[32];   /* id of the rule, or name of what was found ("crash") */
    char version[8]; /* "3.1.1", "" */
    char title[200];
    char why[300];    /* what is wrong, one sentence; "" for a pass */
    char oracle[24];  /* "conformance", "crash", "hang", "violation", "reaction", "resources" */
    uint8_t severity; /* enum mqtt_severity of a finding; NONE: none (pass, unknown, not applicable) */
    enum run_end end;
    bool hint;
    uint32_t took_ms;
    char *plan, *trace; /* owned; may be NULL */
    char file[120];     /* base name of its files under --out, "" without */
};

struct report {
    struct report_entry *at;
    uint32_t n, cap;
    char target[256];
    uint64_t seed;
    /* False: the name of a file belongs to another report; NULL: there is none. */
    bool (*claim)(void *ctx, const char *name);
    void *claim_ctx;
};

struct report_entry *report_add(struct report *r); /* zeroed; NULL: no memory */
void report_free(struct report *r);
bool report_is_finding(const struct report_entry *e);

/* Each writes the whole file; false: errno says why. */
bool report_junit(const struct report *r, const char *path);
bool report_sarif(const struct report *r, const char *path, const char *dir); /* dir: of the findings' files, or NULL */
/* DIR/NAME.plan, NAME.pcapng, NAME.md; run may be NULL. e is one of r's; its file gets a name of its own there. */
bool report_files(const struct report *r, struct report_entry *e, const char *dir, const struct run *run);
/* The conversation of a run as a capture that analyzers open: TCP over IPv4 with handshakes, made from the log. */
bool report_pcapng(const struct run *run, FILE *f);
