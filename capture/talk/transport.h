/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/talk/transport.h -- what may lie between a TCP connection and its MQTT: TLS, WebSocket, or WebSocket in TLS.
 * Found by the first octets of the client, on any port; a connection that begins otherwise costs nothing here.
 *
 * Octets or gap in, octets or gap out, per direction; places count the octets that go out. */
#pragma once
#include "capture/stream/flow.h"
#include "capture/talk/tls.h"
#include "capture/talk/websocket.h"

struct transport; /* of one connection: flow_transport() */

/* Events go up; everything is borrowed for the call. */
struct transport_events {
    void (*data)(void *ctx, struct flow *f, unsigned dir, uint64_t at, struct view octets, const struct stamp *stamp);
    void (*gap)(void *ctx, struct flow *f, unsigned dir, uint64_t at, uint64_t len, enum web_loss loss, const char *why,
                const struct stamp *stamp);
    void (*other)(void *ctx, struct flow *f); /* there is no MQTT in it, or none to be seen: nothing more will come */
};

enum { TRANSPORT_FAULTS = TRACK_WS_TEXT + 1 }; /* kinds of them */

struct transport_fault {
    enum track_websocket_fault fault;
    unsigned dir;
    int64_t time_ns;
    uint64_t frame;
    bool offers_31; /* the client offers mqttv3.1, the name for MQTT 3.1 */
};

/* What all connections of a pipeline share. */
struct transports {
    const struct transport_events *events;
    void *ctx;
    struct tls_keys *keys; /* borrowed */
    uint64_t tls, tls_opened, tls_no_key, tls_unknown;
    uint64_t websockets;
    uint64_t memory; /* octets, of all connections */
};

/* The first octets of a client, one at least: may a transport begin so? */
bool transport_begins(struct view octets);
/* False: no memory. flow_transport() is set, and takes all events of this connection from now on. */
bool transport_open(struct transports *t, struct flow *f, unsigned client_dir);
void transport_close(struct transports *t, struct flow *f);

/* Any of these may close the transport, when it turns out that there is none. */
void transport_data(struct transports *t, struct flow *f, unsigned dir, struct view octets, const struct stamp *stamp);
void transport_gap(struct transports *t, struct flow *f, unsigned dir, uint64_t len, const char *why,
                   const struct stamp *stamp);
void transport_end(struct transports *t, struct flow *f, const struct stamp *stamp); /* of one direction */

/* What was wrong with the WebSocket and was not asked for yet. False: nothing (more). */
bool transport_fault(struct transport *x, struct transport_fault *out);
