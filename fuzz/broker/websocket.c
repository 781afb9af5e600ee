/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/broker/websocket.h"
#include "decoder/base/out.h"
#include "decoder/base/sha1.h"
#include "decoder/base/websocket.h"
#include <stdio.h>
#include <string.h>

void websocket_init(struct websocket *w)
{
    *w = (struct websocket){ .open = false };
}

/* ---- the handshake, RFC 6455 section 4.2 ---- */

static size_t accept_key(struct view key, char *out, size_t cap)
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    uint8_t text[128], digest[20];
    if (key.len > sizeof text - sizeof guid)
        return 0;
    memcpy(text, key.ptr, key.len);
    memcpy(text + key.len, guid, sizeof guid - 1);
    sha1(view_of(text, key.len + sizeof guid - 1), digest);
    struct out o = out_over(out, cap);
    out_base64(&o, view_of(digest, sizeof digest));
    return o.len;
}

static enum websocket_status refuse(struct websocket *w, struct view *out)
{
    static const char bad[] = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    memcpy(w->answer, bad, sizeof bad - 1);
    *out = view_of(w->answer, sizeof bad - 1);
    return WEBSOCKET_CLOSE;
}

static enum websocket_status shake(struct websocket *w, struct view *out)
{
    struct view head = view_of(w->head, w->have);
    struct view key = http_field(head, "Sec-WebSocket-Key"), protocols = http_field(head, "Sec-WebSocket-Protocol");
    bool asked = w->have > 4 && memcmp(w->head, "GET ", 4) == 0 &&
                 http_lists(http_field(head, "Upgrade"), "websocket") &&
                 http_lists(http_field(head, "Connection"), "upgrade");
    char accept[40];
    size_t len = key.ptr != NULL ? accept_key(key, accept, sizeof accept) : 0;
    if (!asked || len == 0 || !http_lists(protocols, "mqtt")) /* [MQTT-6.0.0-3], [MQTT-6.0.0-4] */
        return refuse(w, out);
    int n = snprintf((char *)w->answer, sizeof w->answer,
                     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Accept: %.*s\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n",
                     (int)len, accept);
    w->open = true;
    w->have = 0;
    *out = view_of(w->answer, (size_t)n);
    return WEBSOCKET_ANSWER;
}

static enum websocket_status take_request(struct websocket *w, const uint8_t *chunk, size_t len, size_t *used,
                                          struct view *out)
{
    while (*used < len) {
        if (w->have == sizeof w->head)
            return refuse(w, out);
        w->head[w->have++] = chunk[(*used)++];
        if (w->have >= 4 && memcmp(w->head + w->have - 4, "\r\n\r\n", 4) == 0)
            return shake(w, out);
    }
    return WEBSOCKET_MORE;
}

/* ---- frames, RFC 6455 section 5.2 ---- */

/* The header is whole. False: no frame that a client may send here. */
static bool begin_frame(struct websocket *w)
{
    struct ws_header h = ws_header_read(view_of(w->head, w->have));
    w->opcode = h.opcode;
    w->left = h.len;
    memcpy(w->mask, h.mask, sizeof w->mask);
    w->at = 0;
    w->have = 0;
    w->in_frame = true;
    return ws_header_plausible(&h) && h.reserved == 0 && h.opcode != WS_TEXT; /* [MQTT-6.0.0-1] */
}

static struct view answer_frame(struct websocket *w, uint8_t opcode, size_t len)
{
    w->answer[0] = 0x80 | opcode;
    w->answer[1] = (uint8_t)len;
    memcpy(w->answer + 2, w->control, len);
    return view_of(w->answer, len + 2);
}

static enum websocket_status end_control(struct websocket *w, struct view *out)
{
    if (w->opcode == WS_PONG)
        return WEBSOCKET_MORE;
    *out = answer_frame(w, w->opcode == WS_PING ? WS_PONG : WS_CLOSE, (size_t)w->at);
    return w->opcode == WS_PING ? WEBSOCKET_ANSWER : WEBSOCKET_CLOSE;
}

static struct view unmask(struct websocket *w, uint8_t *octets, size_t len)
{
    ws_unmask(octets, octets, len, w->mask, w->at);
    if (w->opcode >= WS_CLOSE)
        memcpy(w->control + w->at, octets, len);
    w->at += len;
    w->left -= len;
    return view_of(octets, len);
}

/* What is in the chunk of the frame under way. */
static enum websocket_status take_payload(struct websocket *w, uint8_t *chunk, size_t len, size_t *used,
                                          struct view *out)
{
    size_t take = len - *used < w->left ? len - *used : (size_t)w->left;
    struct view octets = unmask(w, chunk + *used, take);
    *used += take;
    w->in_frame = w->left > 0;
    if (w->opcode < WS_CLOSE) {
        *out = octets;
        return take > 0 ? WEBSOCKET_DATA : WEBSOCKET_MORE;
    }
    return w->in_frame ? WEBSOCKET_MORE : end_control(w, out);
}

static enum websocket_status take_frames(struct websocket *w, uint8_t *chunk, size_t len, size_t *used,
                                         struct view *out)
{
    enum websocket_status status = WEBSOCKET_MORE;
    while (status == WEBSOCKET_MORE && *used < len) {
        if (w->in_frame) {
            status = take_payload(w, chunk, len, used, out);
            continue;
        }
        w->head[w->have++] = chunk[(*used)++];
        if (w->have == 2 && (w->head[1] & 0x80) == 0) /* clients mask, RFC 6455 section 5.1 */
            return WEBSOCKET_CLOSE;
        if (w->have < ws_header_size(view_of(w->head, w->have)))
            continue;
        if (!begin_frame(w))
            return WEBSOCKET_CLOSE;
        if (w->left == 0) /* nothing more will come of it */
            status = take_payload(w, chunk, *used, used, out);
    }
    return status;
}

enum websocket_status websocket_take(struct websocket *w, uint8_t *chunk, size_t len, size_t *used, struct view *out)
{
    *out = view_of(NULL, 0);
    return w->open ? take_frames(w, chunk, len, used, out) : take_request(w, chunk, len, used, out);
}

size_t websocket_header(size_t payload, uint8_t out[10])
{
    out[0] = 0x80 | WS_BINARY;
    if (payload < 126) {
        out[1] = (uint8_t)payload;
        return 2;
    }
    size_t octets = payload <= 0xffff ? 2 : 8;
    out[1] = octets == 2 ? 126 : 127;
    for (size_t i = 0; i < octets; i++)
        out[2 + i] = (uint8_t)(payload >> 8 * (octets - 1 - i));
    return 2 + octets;
}
