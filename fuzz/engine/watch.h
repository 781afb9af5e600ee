/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/engine/watch.h -- the tracker over up to eight connections whose octets come from a target, with every promise
 * of its header that can be checked from outside. */
#pragma once
#include "decoder/mqtt/framer.h"
#include "decoder/show/eve.h"
#include "decoder/track/track.h"
#include "fuzz/talk/talk.h"

enum {
    WATCH_CLIENTS = 8,
    WATCH_OTHER = 6 /* clients from this one on have another server */,
    WATCH_PUSHED = 5 /* as if its connections had been pushed out of the table that knows their addresses */,
    WATCH_ROOM = 4096
};
#define WATCH_START_NS INT64_C(1700000000000000000)

/* A verdict of a packet, or a finding (sentence not NULL). */
struct watch_judgement {
    unsigned rule, severity, side;
    const char *sentence;
    bool of_conduct; /* more than the packet alone told it */
};

struct watch {
    struct track *track;
    struct watched {
        track_conn conn; /* 0: none */
        struct track_opening opening;
        struct mqtt_conn mqtt;
        uint64_t octets[2];           /* of each direction, so far */
        bool ended[2];                /* this side has sent FIN; the other one may go on */
        struct mqtt_framer framer[2]; /* 0: of the client */
        uint8_t room[2][WATCH_ROOM];
    } conns[WATCH_CLIENTS];
    uint64_t memory, frame, finished, packets;
    int64_t time_ns;
    bool ending;
    bool written; /* everything handed out is written as EVE, too, and all tables are walked now and then */
    struct eve eve;
    void (*judged)(void *ctx, const struct watch_judgement *j); /* this and the following may be NULL */
    void (*row)(void *ctx, const struct row *row);
    void (*exchange)(void *ctx, const struct track_exchange *x);
    void (*session)(void *ctx, const struct track_session_event *e);
    void (*finding)(void *ctx, const struct track_finding *f);
    void *ctx;
    uint64_t rows, late;   /* late: packets of connections that one side has ended; time may have ended them wholly */
    bool no_acks;          /* nothing is known of what TCP acknowledged; else everything that came before */
    bool skewed;           /* what comes octet by octet has the time of another clock */
    int64_t skew_ns;       /* added to the time of packets, whose first octet then seems to come after the last */
    uint32_t refuse_after; /* 0: memory as asked for; else so many takings, and then none */
    uint32_t taken;
};

/* Zeroed, with what is told, ctx, written and refuse_after set. False: no memory for a tracker. */
bool watch_start(struct watch *w, const struct track_config *config);
void watch_open(struct watch *w, unsigned client, bool from_syn);
void watch_octets(struct watch *w, unsigned client, bool by_server, struct view octets);
void watch_gap(struct watch *w, unsigned client, bool by_server, uint32_t octets);
void watch_close(struct watch *w, unsigned client, enum track_close_how how, bool by_server);
void watch_wait(struct watch *w, int64_t ns);
/* What the WebSocket around the octets does wrong. */
void watch_websocket(struct watch *w, unsigned client, bool by_server, enum track_websocket_fault fault);
/* One record of a conversation, by what is above. */
void watch_record(struct watch *w, const struct talk_record *r);
void watch_end(struct watch *w);
