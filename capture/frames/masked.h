/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/frames/masked.h -- --redact for recordings: the packets of a run with their values masked, put aside, and
 * laid over the frames they came in. Lengths stay, TCP checksums that were right stay right.
 *
 * What is not known to be harmless is covered: octets of a connection that belong to no packet put aside here (gaps,
 * other protocols, what lies beyond what was kept of a packet) become 'x', and IP fragments are left out. */
#pragma once
#include "capture/stream/segment.h"
#include "decoder/show/redact.h"

struct masked;

enum { MASKED_ERROR_MAX = 256, MASKED_PACKETS_MAX = 8 << 20 };

/* Packets are kept in a file without a name beside this path. NULL: error. `redact` is borrowed. */
struct masked *masked_open(const char *beside, const struct redact *redact, char *error);

/* Puts a packet aside. Every row of the run has to come here, in order. False: masked_error(). */
bool masked_packet(struct masked *m, const struct row *row);

/* Lays the masks over a frame of this connection. False: the frame must not be recorded. */
bool masked_frame(struct masked *m, uint8_t *octets, size_t len, uint32_t wire_len, uint32_t link_type,
                  uint32_t connection);

const char *masked_error(const struct masked *m); /* "" when there is none */
void masked_close(struct masked *m);              /* NULL is fine */
