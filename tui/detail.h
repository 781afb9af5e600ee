/* SPDX-License-Identifier: Apache-2.0
 *
 * tui/detail.h -- one packet as lines of fields, with the octets each was read from. */
#pragma once
#include "tui/app.h"

struct detail_options {
    bool secrets; /* passwords and user names in clear */
    int format;   /* of payloads: 0 text, 1 JSON, 2 octets */
};

/* Fills at most cap lines; returns how many. */
int detail_lines(const struct store_entry *e, const struct detail_options *options, struct packet_line *lines, int cap);
/* The innermost line that was read from this octet; -1: none. */
int detail_line_at(const struct packet_line *lines, int n, uint32_t octet);
/* Octets that must not be shown: fields of the packet that hold secrets. False: show it. */
bool detail_masked(const struct store_entry *e, const struct detail_options *options, uint32_t octet);

/* A payload as lines of text: calls back with each line, indented JSON when it is JSON and format says so. Bounded. */
typedef void (*detail_text)(void *ctx, struct view line, int indent);
void detail_payload(struct view payload, int format, int max_lines, detail_text each, void *ctx);
