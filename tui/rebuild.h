/* SPDX-License-Identifier: Apache-2.0
 *
 * tui/rebuild.h -- rows to a pcapng file when their frames are gone: IP and TCP headers are made up around the octets
 * of the packets, with addresses, ports, order and times as they were. The file says so in a comment.
 *
 * What the store has not kept of a packet is not captured in the file either (captured length below original length);
 * octets of a gap are missing in the sequence numbers. */
#pragma once
#include "tui/store.h"
#include <stdio.h>

struct rebuild;

struct rebuild *rebuild_new(FILE *to);                            /* borrowed; NULL: no memory */
bool rebuild_row(struct rebuild *r, const struct store_entry *e); /* false: no memory, or writing failed */
bool rebuild_free(struct rebuild *r); /* false: something could not be written. NULL is fine and true */
