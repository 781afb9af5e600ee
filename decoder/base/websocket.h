/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/base/websocket.h -- WebSocket (RFC 6455) as far as a server and an onlooker share it: the fields of the HTTP
 * handshake and the headers of frames. */
#pragma once
#include "decoder/base/cursor.h"

enum ws_opcode { WS_CONTINUATION = 0, WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };

enum { WS_HEADER_MAX = 14, WS_CONTROL_MAX = 125 /* octets of payload in a frame from WS_CLOSE on */ };

struct ws_header {
    uint8_t opcode;   /* enum ws_opcode, or a reserved one */
    uint8_t reserved; /* RSV1-3: 0 unless an extension was agreed on; 4: RSV1, compressed (RFC 7692) */
    bool fin, masked;
    uint8_t mask[4];
    uint64_t len; /* of the payload */
};

/* Octets of the header that begins here: 2 until those are there. */
size_t ws_header_size(struct view octets);
/* Reads a header of which ws_header_size() octets are there. */
struct ws_header ws_header_read(struct view octets);
/* May a frame begin so? Section 5.2: a known opcode, a length below 2^63, control frames whole and short. */
bool ws_header_plausible(const struct ws_header *h);
/* out may be in. `at`: octets of this payload before these. */
void ws_unmask(uint8_t *out, const uint8_t *in, size_t len, const uint8_t mask[4], uint64_t at);

/* Length of the head that begins here, the empty line included; 0: it does not end within these octets. */
size_t http_head_len(struct view octets);
/* The value of a field of the head, without surrounding blanks; ptr NULL: not there. */
struct view http_field(struct view head, const char *name);
/* Is the word one of a comma-separated list, upper and lower case alike? */
bool http_lists(struct view list, const char *word);
