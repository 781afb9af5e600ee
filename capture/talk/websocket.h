/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/talk/websocket.h -- an onlooker's view of MQTT over WebSocket (RFC 6455; section 6 of MQTT 3.1.1 and 5.0):
 * octets of both directions in, octets of MQTT out.
 *
 * Frames are no borders for MQTT: the payloads of data frames are one stream a direction. Memory is bounded: the head
 * of the handshake while it is incomplete (WEB_HEAD_MAX), nothing else. */
#pragma once
#include "capture/stream/segment.h"
#include "decoder/base/websocket.h"
#include "decoder/track/track.h"

enum { WEB_HEAD_MAX = 8192 };

/* What is not there of the octets of MQTT. */
enum web_loss {
    WEB_HOLE,       /* never captured; the next octets follow on them */
    WEB_HOLE_ABOUT, /* never captured, about so many */
    WEB_UNREADABLE  /* captured, about so many */
};

/* Everything borrowed for the call. */
struct web_events {
    void (*data)(void *ctx, unsigned dir, struct view octets);
    void (*gap)(void *ctx, unsigned dir, uint64_t octets, enum web_loss loss, const char *why);
    void (*fault)(void *ctx, unsigned dir, enum track_websocket_fault fault);
    void (*other)(void *ctx); /* it is no WebSocket: nothing more will come */
};

struct web;

struct web *web_new(unsigned client_dir); /* NULL: no memory */
void web_free(struct web *w);             /* NULL is fine */

uint64_t web_memory(const struct web *w); /* octets; 0 for NULL */

void web_take(struct web *w, unsigned dir, struct view octets, const struct web_events *events, void *ctx);
/* So many octets of this direction are not there. */
void web_gap(struct web *w, unsigned dir, uint64_t octets, enum web_loss loss, const char *why,
             const struct web_events *events, void *ctx);
/* Sub-protocol the client offered, as far as it matters: does the list hold mqttv3.1, the name of MQTT 3.1? */
bool web_offers_31(const struct web *w);
