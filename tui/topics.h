/* SPDX-License-Identifier: Apache-2.0
 *
 * tui/topics.h -- the tree of topics seen: rates, last values, who publishes and who receives; bounded memory. */
#pragma once
#include "decoder/show/row.h"
#include "decoder/track/track.h"

enum {
    TOPICS_NODES = 50000,
    TOPICS_VALUE = 4096 /* octets kept of a last value */,
    TOPICS_VALUES = 16 << 20 /* of all of them */,
    TOPICS_NAME = 256 /* octets kept of a level */,
    TOPICS_DEPTH = 64,
    TOPICS_PEERS = 4
};

struct topic_node {
    uint32_t parent, child, next; /* 0: none; [0] is the root */
    uint16_t name_len;
    uint8_t depth; /* 1: first level */
    uint8_t last_qos, last_version;
    bool open;                     /* shown with its children */
    bool retained, retained_known; /* a retained value is held by the broker, as far as the packets tell */
    bool cut;                      /* the value is longer than what is kept */
    char *name;                    /* one level, owned */
    uint8_t *value;                /* last payload, owned */
    uint32_t value_len, payload_len;
    uint64_t value_seq_frame; /* frame of the last PUBLISH */
    int64_t last_ns;
    uint64_t published, delivered, octets; /* of this topic: from clients, to clients; payload octets */
    uint64_t all;                          /* messages of this topic and all below */
    uint32_t publishers[TOPICS_PEERS], receivers[TOPICS_PEERS]; /* session numbers */
    uint8_t n_publishers, n_receivers;                          /* TOPICS_PEERS + 1: more */
    int64_t window_ns;                                          /* start of the window that is being counted */
    uint32_t window_n, before_n;
};

struct topics *topics_new(void);
void topics_free(struct topics *t);
void topics_clear(struct topics *t);
void topics_add(struct topics *t, const struct row *row);
uint32_t topics_count(const struct topics *t);
uint64_t topics_lost(const struct topics *t); /* messages whose topic found no room */
struct topic_node *topics_node(struct topics *t, uint32_t index);
double topics_rate(const struct topic_node *n, int64_t now_ns); /* messages a second, over about 10 s */

/* The lines of the tree as it is opened. `order` compares two siblings; NULL: by name. */
typedef int (*topics_order)(const struct topic_node *a, const struct topic_node *b);
/* Returns the number of lines, valid until the next change. An order by what changes all the time is renewed now and
 * then. */
uint32_t topics_lines(struct topics *t, topics_order order, bool reverse);
void topics_open(struct topics *t, uint32_t node, bool open); /* shows or hides what is below */
uint32_t topics_line(const struct topics *t, uint32_t line);  /* node, 0: none */
/* The whole topic into out (at most cap octets); returns its length. */
size_t topics_path(struct topics *t, uint32_t node, uint8_t *out, size_t cap);
