/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/campaign/ends.h -- how the broker of conform ended; or what sanitizers reported while it went on, which is as
 * good as an end the first time that it is said. */
#pragma once
#include "fuzz/peer/process.h"

enum { ENDS_REPORTS = 64, ENDS_TITLE = 160 };

struct ends {
    bool ended;            /* and it is not known why; set here, cleared by who tells it */
    bool goes_on;          /* of the latest: reports, and no end */
    char how[ENDS_TITLE];  /* "ended by signal 6 (Aborted)" */
    char said[ENDS_TITLE]; /* of an end, ": " before it; "": nothing */
    char *tail;            /* the broker's last words; owned */
    unsigned n;
    struct {
        char title[ENDS_TITLE];
        bool here, told; /* here: among the latest */
    } report[ENDS_REPORTS];
};

/* Does it run, and says nothing that was not told? */
bool ends_lives(struct ends *e, struct process *p);
/* Marks the next report to be told, the latest or any, as told. NULL: there is none. */
const char *ends_tell(struct ends *e, bool any);
/* Is all told that was seen? */
bool ends_settled(const struct ends *e);
void ends_free(struct ends *e);
