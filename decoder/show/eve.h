/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/show/eve.h -- -T eve: events as Suricata's EVE spells them, one JSON object a line (docs/eve.md).
 *
 * Every line carries the same envelope with community_id and client_id, so that a shipper can partition by either.
 * Events of the tracker name their connection by stream number only; its addresses are those that eve_connection() or a
 * row taught. The table of connections has a fixed size: one that was pushed out of it writes its later events without
 * addresses. */
#pragma once
#include "decoder/base/community.h"
#include "decoder/base/out.h"
#include "decoder/show/row.h"
#include "decoder/track/track.h"

enum { EVE_SCHEMA = 1, EVE_PAYLOAD_LIMIT = 1024, EVE_CONNECTIONS = 16384 };

struct eve_connection_slot {
    bool used;
    uint32_t stream;
    uint32_t interface_id;
    struct row_endpoint src, dst; /* as first seen */
    char community_id[COMMUNITY_SIZE];
};

struct eve {
    /* set by the caller */
    const char *sensor;                                              /* NULL: no such key */
    const char *(*interface_name)(void *ctx, uint32_t interface_id); /* live: in_iface; NULL: pcap_cnt */
    void *interface_ctx;
    uint32_t payload_limit; /* octets of a payload written; 0: none of it */
    bool secrets;           /* user names and passwords as they are */
    uint16_t community_seed;
    struct eve_connection_slot *connections; /* EVE_CONNECTIONS of them, zeroed; lent */
};

/* A connection's addresses, before any event names it. A row teaches its own. */
void eve_connection(struct eve *e, uint32_t stream, uint32_t interface_id, const struct row_endpoint *src,
                    const struct row_endpoint *dst);

/* Event "mqtt" or "mqtt_gap", and one "mqtt_finding" for each verdict of the packet. */
void eve_row(struct eve *e, struct out *o, const struct row *row);

void eve_exchange(struct eve *e, struct out *o, const struct track_exchange *x);
/* t may be NULL: then only the change itself is told. */
void eve_session(struct eve *e, struct out *o, const struct track_session_event *change, const struct track *t);
void eve_finding(struct eve *e, struct out *o, const struct track_finding *f);

struct eve_counter {
    const char *name; /* text of ours: lower case and underscores */
    uint64_t value;
};

/* Event "stats". */
void eve_stats(struct eve *e, struct out *o, int64_t time_ns, const struct eve_counter *counters, unsigned n);
