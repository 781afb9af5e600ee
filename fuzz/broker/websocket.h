/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/broker/websocket.h -- the server's side of WebSocket (RFC 6455) as MQTT uses it (section 6 of both standards):
 * the subprotocol `mqtt`, binary frames whose borders mean nothing.
 *
 * Pure: octets in, octets of MQTT and answers out. Memory is the struct itself; a handshake has at most
 * WEBSOCKET_HEAD_MAX octets, frames may have any length. */
#pragma once
#include "decoder/base/cursor.h"

enum { WEBSOCKET_HEAD_MAX = 4096, WEBSOCKET_ANSWER_MAX = 256 };

struct websocket {
    uint8_t head[WEBSOCKET_HEAD_MAX]; /* the request; then the header of the frame under way */
    uint16_t have;
    bool open; /* the handshake is done */
    uint8_t opcode, mask[4];
    uint64_t left, at; /* of the payload of the frame under way */
    bool in_frame;
    uint8_t control[125];
    uint8_t answer[WEBSOCKET_ANSWER_MAX];
};

enum websocket_status {
    WEBSOCKET_MORE,   /* all octets are used up */
    WEBSOCKET_DATA,   /* *out: octets of MQTT, in the chunk */
    WEBSOCKET_ANSWER, /* *out: to be sent as it is */
    WEBSOCKET_CLOSE,  /* *out: to be sent as it is (may be empty), then the connection ends */
};

void websocket_init(struct websocket *w);

/* Takes octets from chunk[*used..len) until there is something to do; unmasks in place. Call again until MORE or CLOSE.
 */
enum websocket_status websocket_take(struct websocket *w, uint8_t *chunk, size_t len, size_t *used, struct view *out);

/* The header of a binary frame with so many octets of payload; returns its length. */
size_t websocket_header(size_t payload, uint8_t out[10]);
