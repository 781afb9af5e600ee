/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/show/redact.h -- --redact: values that name people, devices and contents, replaced by letters and digits of
 * the same length before any output sees them.
 *
 * The same value of the same kind gets the same mask as long as the key is the same; other values get other masks, but
 * for very short ones (a single character has only 36 masks). Topics keep their levels, wildcards and $ levels, so that
 * trees, matching and shared subscriptions still read right. Lengths do not change, so offsets of verdicts still point
 * right. */
#pragma once
#include "decoder/show/row.h"
#include "decoder/track/track.h"

enum redact_kind {                       /* bit set */
                   REDACT_PASSWORDS = 1, /* passwords, Authentication Data */
                   REDACT_USERS = 2,
                   REDACT_CLIENTS = 4, /* client identifiers, assigned ones too */
                   REDACT_TOPICS = 8, /* topic names and filters, Will Topic, Response Topic and Response Information */
                   REDACT_PAYLOADS =
                       16, /* payloads, also of the Will; Correlation Data; values of User Properties; Reason Strings */
                   REDACT_ALL = 31,
};

enum { REDACT_KEY = 16, REDACT_TEXTS = 3 * 65536, REDACT_MEMORY = (1 << 20) + REDACT_TEXTS };

struct redact {
    unsigned kinds;
    uint8_t key[REDACT_KEY]; /* random for each run, or masks could be looked up */
    uint8_t *memory;         /* lent; the first REDACT_TEXTS octets are for single values, the rest for a packet */
    size_t size;             /* at least REDACT_TEXTS + 65536; what is held of a packet beyond it is left out */
    size_t texts_used;
    struct row row;
    struct mqtt_packet packet;
    struct track_note note;
};

/* Names separated by commas: passwords, usernames, clientids, topics, payloads, all. 0: one of them is unknown. */
unsigned redact_kinds(const char *list);

/* The row with its values masked; the result lives until the next call. Verdicts are those of the true octets. */
const struct row *redact_row(struct redact *r, const struct row *row);

/* Copies with their texts masked, which live until the next call. */
struct track_exchange redact_exchange(struct redact *r, const struct track_exchange *x);
struct track_finding redact_finding(struct redact *r, const struct track_finding *f);
struct track_session_event redact_session(struct redact *r, const struct track_session_event *e);
struct view redact_client(struct redact *r, struct view client_id);

/* Masks octets in place. A topic by levels, all else as a whole. */
void redact_octets(const struct redact *r, unsigned kind, uint8_t *octets, size_t len);

/* Masks what the packet (decoded, its octets at p->octets) holds in a copy of these octets; `copy_len` of them. */
void redact_packet(const struct redact *r, const struct mqtt_packet *p, uint8_t *copy, size_t copy_len);
