/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/peer/last_words.h -- what a broker's latest output says of a fault: reports of sanitizers, errors that nobody
 * caught. */
#pragma once
#include "fuzz/peer/process.h"

/* Where the first report of a sanitizer begins. NULL: there is none. */
const char *words_report(const char *text);
/* The titles of the reports, one after the other: the line that names fault and place. *at starts at the output; false:
 * there is no more. */
bool words_next(const char **at, char *out, size_t cap);
/* That of the latest, or else the error that nobody caught. False: there is none. */
bool words_title(const struct process *p, char *out, size_t cap);
/* What UBSan says of the latest fault, with its values; "": nothing. */
void words_detail(const struct process *p, char *out, size_t cap);
/* How long a report takes: one that ends the process is waited for, another only until its last line. */
int words_wait_ms(const struct process *p);
/* Takes a report off the output of a broker that goes on, so that the next one can be told from it. */
void words_forget(struct process *p);
