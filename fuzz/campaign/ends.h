/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/campaign/ends.h -- how the broker of conform ended; or what sanitizers reported while it went on, which is
 * looked into like an end the first time that it is said. */
#pragma once
#include "fuzz/campaign/conform.h"
#include "fuzz/peer/process.h"

enum { ENDS_REPORTS = 64, ENDS_TITLE = 160 };

struct ends_report {
    char title[ENDS_TITLE];
    char *tail;      /* the broker's words then; owned */
    bool here, told; /* here: among the latest */
};

struct ends {
    bool ended;            /* and it is not told yet: cleared by who tells it */
    bool hung;             /* that was no end of its own */
    char how[ENDS_TITLE];  /* "ended by signal 6 (Aborted)" */
    char said[ENDS_TITLE]; /* of the end, ": " before it; "": nothing */
    char *tail;            /* the broker's last words; owned */
    unsigned n;
    struct ends_report report[ENDS_REPORTS]; /* a table that is full passes over the rest */
};

/* What is new since. */
enum broker_is ends_look(struct ends *e, struct process *p);
/* It serves nobody any more: that is its end, and it is killed. */
void ends_hung(struct ends *e, struct process *p);
/* Marks the next report to be told, of the latest or any, as told. NULL: there is none. */
const struct ends_report *ends_tell(struct ends *e, bool any);
/* Is all told that was seen? */
bool ends_settled(const struct ends *e);
void ends_free(struct ends *e);
