/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/talk/talk_parts.h -- what the parts of capture/talk/talk.h share: talk.c decides what a connection is and
 * takes the events of TCP, talk_frame.c frames and searches for borders, talk_report.c tells what came of it. */
#pragma once
#include "capture/talk/probe.h"
#include "capture/talk/report.h"
#include "capture/talk/talk.h"
#include "capture/talk/transport.h"
#include "decoder/mqtt/conn.h"
#include "decoder/mqtt/framer.h"

enum direction_state {
    STATE_FRAMING,
    STATE_PROBING,   /* the protocol is not known yet */
    STATE_SEARCHING, /* it is MQTT, but the next packet border is not known */
    STATE_OVER,      /* ended */
};

/* Of the packet under way. */
struct first_octet {
    struct stamp stamp;
    uint64_t acked; /* octets of the other direction that the sender had acknowledged by then; 0: not known */
};

/* A packet that is under way in one direction. */
struct partial {
    struct mqtt_framer framer;
    struct first_octet first;
    bool told;            /* that it takes long */
    struct partial *next; /* in the list of spare ones */
};

/* What only some connections have, most of them for a short time. */
struct talk_more {
    struct partial *partial[2]; /* NULL: between two packets */
    struct probe *probe[2];
    struct talk_more *next; /* in the list of spare ones */
};

/* The record of the flow table. Small, for a fleet of idle connections. */
struct talk {
    struct flow flow;
    struct mqtt_conn conn;
    bool decided : 1, opened : 1, closed : 1;
    uint8_t state[2];       /* enum direction_state */
    uint64_t handle;        /* of who is told of it; once opened */
    struct talk_more *more; /* NULL: nothing of it */
};

enum talk_flow_flag {                                 /* of flow.flags */
                      TALK_WRAPPED = TCP_FLOW_UPPER,  /* flow_transport() is set */
                      TALK_HERE = 2 * TCP_FLOW_UPPER, /* it may be MQTT: what struct talk has beyond its flow is set */
};

struct talks {
    struct talks_options options;
    struct talks_counters n;
    struct transports transports;
    bool stopped;
    uint64_t current_frame;
    struct report report;           /* what does not change from one to the next stays */
    const struct flow *report_flow; /* whose endpoints and handle are in it */
    struct talk_more *spare_more;
    struct partial *spare_partial;
    uint32_t n_spare_more, n_spare_partial;
};

/* NULL: the flow carries no MQTT, as far as is known. */
static inline struct talk *talk_of(struct flow *f)
{
    return f->flags & TALK_HERE ? (struct talk *)f : NULL;
}

static inline struct partial *talk_partial(const struct talk *k, unsigned dir)
{
    return k->more != NULL ? k->more->partial[dir] : NULL;
}

static inline struct probe *talk_probe(const struct talk *k, unsigned dir)
{
    return k->more != NULL ? k->more->probe[dir] : NULL;
}

/* What octets come with. */
struct arrival {
    struct talks *t;
    struct flow *f;
    struct talk *k;
    unsigned dir;
    const struct stamp *stamp;
    uint64_t acked;
};

/* ---- talk.c ---- */

struct talk_more *talk_more(struct talks *t, struct talk *k); /* made if there is none; NULL: no memory */
void talk_trim(struct talks *t, struct talk *k);              /* frees it if it is empty */

/* ---- talk.c ---- */

/* The side that sends in this direction, as far as TCP or the port tells. */
enum mqtt_side talk_likely_sender(const struct flow *f, unsigned dir);

/* ---- talk_report.c ---- */

void talk_open(const struct arrival *a); /* right before the first row */
void talk_give_gap(const struct arrival *a, uint64_t gap, uint64_t skipped, const char *why);
/* A later copy of octets of the stream is not as the first one, which counts. */
void talk_give_difference(const struct arrival *a, uint64_t at, uint64_t len, uint64_t first_frame);
/* `end`: place in the stream behind its last octet. */
void talk_give_packet(const struct arrival *a, const struct mqtt_frame *frame, const struct first_octet *first,
                      uint64_t end);
void talk_give_unseen(const struct arrival *a);
void talk_give_under_way(const struct arrival *a);
void talk_give_close(const struct arrival *a, enum tcp_end how, unsigned dir);
void talk_give_up(const struct arrival *a); /* it is forgotten */

/* ---- talk_frame.c ---- */

void talk_frame(const struct arrival *a, uint64_t at, struct view octets);
void talk_drop_partial(struct talks *t, struct talk *k, unsigned dir);
/* From here on the next border is searched for. gap: octets never captured before it; skipped: captured, but of no use;
 * why: of the gap row to come, NULL: nothing was lost. False: no memory to search with. */
bool talk_begin_search(const struct arrival *a, uint64_t gap, uint64_t skipped, const char *why);
enum search_end {
    SEARCH_ON,      /* more octets may follow */
    SEARCH_SNAPLEN, /* what follows was cut off by the capture, in the middle of a segment */
    SEARCH_HOLE,    /* what follows is lost, or nothing does */
    SEARCH_FIN      /* nothing follows: the sender said so */
};
void talk_search(const struct arrival *a, enum search_end end);
void talk_feed_probe(const struct arrival *a, struct probe *p, uint32_t start); /* its octets from `start` on */
void talk_give_probe_gap(const struct arrival *a, struct probe *p);             /* if anything was lost or skipped */
void talk_release_probe(struct talks *t, struct probe *p);
