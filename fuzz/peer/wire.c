/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/peer/wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "decoder/base/out.h"
#include "decoder/base/sha1.h"
#include "decoder/base/websocket.h"

enum { HEAD_MAX = 4096, FRAME_PAYLOAD = 16384, OUT_ROOM = 1024 + FRAME_PAYLOAD, RAW_ROOM = 16384 };

struct web {
    char host[256], path[256];
    bool asked, open, goodbye; /* goodbye: the server's close frame has come */
    uint64_t frames;           /* sent */
    uint8_t out[OUT_ROOM];     /* not yet taken by what is below */
    size_t n_out;
    uint8_t raw[RAW_ROOM]; /* received and not yet looked at: [at, n_raw) */
    size_t at, n_raw;
    struct ws_header frame; /* under way, when in_frame */
    uint64_t left;          /* of its payload */
    bool in_frame;
    uint8_t control[WS_CONTROL_MAX];
    size_t n_control;
};

struct wire {
    int fd;
    struct tls *tls; /* NULL: none */
    struct web *web; /* NULL: none */
};

static const char *trouble = "";
static char trouble_text[160];

const char *wire_trouble(void)
{
    return trouble;
}

static ssize_t breaks(const char *how)
{
    trouble = how;
    errno = EPROTO;
    return -1;
}

struct wire *wire_begin(const struct wire_kind *kind, int fd)
{
    struct wire *w = calloc(1, sizeof *w);
    if (w == NULL)
        return NULL;
    w->fd = fd;
    w->tls = kind->tls != NULL ? tls_begin(kind->tls, fd) : NULL;
    w->web = kind->websocket ? calloc(1, sizeof *w->web) : NULL;
    if ((kind->tls != NULL && w->tls == NULL) || (kind->websocket && w->web == NULL)) {
        wire_end(w, false);
        return NULL;
    }
    if (w->web != NULL) {
        memcpy(w->web->host, kind->host, sizeof w->web->host);
        memcpy(w->web->path, kind->path, sizeof w->web->path);
    }
    return w;
}

/* ---- below WebSocket ---- */

static ssize_t below_send(struct wire *w, const void *octets, size_t n)
{
    ssize_t taken = w->tls != NULL ? tls_send(w->tls, octets, n) : send(w->fd, octets, n, MSG_NOSIGNAL);
    if (taken < 0 && errno == EAGAIN)
        trouble = "no answer in time";
    else if (taken < 0)
        trouble = w->tls != NULL ? tls_trouble() : strerror(errno);
    return taken;
}

static ssize_t below_recv(struct wire *w, void *octets, size_t cap)
{
    ssize_t got = w->tls != NULL ? tls_recv(w->tls, octets, cap) : recv(w->fd, octets, cap, 0);
    if (got == 0)
        trouble = "the connection was closed";
    else if (got < 0)
        trouble = errno == EAGAIN ? "no answer in time" : w->tls != NULL ? tls_trouble() : strerror(errno);
    return got;
}

bool wire_waits(const struct wire *w)
{
    return w != NULL && w->web != NULL && w->web->n_out > 0;
}

void wire_flush(struct wire *w)
{
    if (!wire_waits(w))
        return;
    struct web *web = w->web;
    ssize_t taken = below_send(w, web->out, web->n_out);
    if (taken > 0) {
        web->n_out -= (size_t)taken;
        memmove(web->out, web->out + taken, web->n_out);
    }
}

/* ---- the handshake, RFC 6455 section 4.1 ---- */

/* The same for every connection: nobody has to be kept from guessing it. Its answer is in RFC 6455, section 1.3. */
static const char key[] = "dGhlIHNhbXBsZSBub25jZQ==", key_answer[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

static void ask(struct web *web)
{
    web->asked = true;
    web->n_out = (size_t)snprintf((char *)web->out, sizeof web->out,
                                  "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                  "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Protocol: mqtt\r\n" /* [MQTT-6.0.0-3] */
                                  "Sec-WebSocket-Version: 13\r\n\r\n",
                                  web->path, web->host, key);
}

static bool is(struct view v, const char *text)
{
    return v.len == strlen(text) && memcmp(v.ptr, text, v.len) == 0;
}

/* 1: the answer is there and agrees; 0: not whole yet; -1: no. */
static int answered(struct web *web)
{
    struct view all = view_of(web->raw, web->n_raw);
    size_t len = http_head_len(all);
    if (len == 0 && web->n_raw < HEAD_MAX)
        return 0;
    struct view head = view_of(all.ptr, len);
    if (len < 13 || memcmp(head.ptr, "HTTP/1.1 101", 12) != 0) {
        struct out o = out_over(trouble_text, sizeof trouble_text - 1);
        out_text(&o, "the answer to its request is not 101: ");
        size_t line = 0;
        while (line < all.len && line < 80 && all.ptr[line] >= ' ' && all.ptr[line] < 0x7f)
            line++;
        out_octets(&o, all.ptr, line);
        trouble_text[o.len] = '\0';
        return (int)breaks(trouble_text);
    }
    if (!http_lists(http_field(head, "Upgrade"), "websocket") ||
        !is(http_field(head, "Sec-WebSocket-Accept"), key_answer))
        return (int)breaks("its answer does not upgrade to WebSocket as RFC 6455 asks");
    if (!is(http_field(head, "Sec-WebSocket-Protocol"), "mqtt"))
        return (int)breaks("the server does not select the subprotocol mqtt [MQTT-6.0.0-4]");
    web->at = len;
    web->open = true;
    return 1;
}

/* ---- frames, RFC 6455 section 5.2 ---- */

/* A whole frame behind what waits; there is room. Clients mask, and the same octets with the same mask each time. */
static void put_frame(struct web *web, uint8_t opcode, const uint8_t *payload, size_t n)
{
    uint8_t *o = web->out + web->n_out;
    uint64_t dice = (++web->frames) * 0x9e3779b97f4a7c15u;
    uint8_t mask[4] = { (uint8_t)(dice >> 56), (uint8_t)(dice >> 48), (uint8_t)(dice >> 40), (uint8_t)(dice >> 32) };
    size_t len = 2;
    o[0] = 0x80 | opcode;
    o[1] = (uint8_t)(0x80 | (n < 126 ? n : 126));
    if (n >= 126) {
        o[2] = (uint8_t)(n >> 8);
        o[3] = (uint8_t)n;
        len = 4;
    }
    memcpy(o + len, mask, sizeof mask);
    ws_unmask(o + len + sizeof mask, payload, n, mask, 0);
    web->n_out += len + sizeof mask + n;
}

/* The header of a frame, if it is whole. 1, 0, -1 as answered(). */
static int begin_frame(struct web *web)
{
    struct view left = view_of(web->raw + web->at, web->n_raw - web->at);
    size_t size = ws_header_size(left);
    if (size > left.len)
        return 0;
    web->frame = ws_header_read(left);
    if (!ws_header_plausible(&web->frame) || web->frame.reserved != 0)
        return (int)breaks("the server sent what is no frame of WebSocket");
    if (web->frame.masked)
        return (int)breaks("the server sent a masked frame (RFC 6455, section 5.1)");
    if (web->frame.opcode == WS_TEXT)
        return (int)breaks("the server sent a text frame [MQTT-6.0.0-1]");
    web->at += size;
    web->left = web->frame.len;
    web->n_control = 0;
    web->in_frame = true;
    return 1;
}

static void end_control(struct web *web)
{
    bool room = web->n_out + sizeof web->control + WS_HEADER_MAX <= sizeof web->out;
    if (web->frame.opcode == WS_PING && room)
        put_frame(web, WS_PONG, web->control, web->n_control);
    web->goodbye = web->goodbye || web->frame.opcode == WS_CLOSE;
}

/* What is at hand of the frame under way; returns the octets of MQTT in it. */
static size_t take_payload(struct web *web, uint8_t *out, size_t cap)
{
    bool control = web->frame.opcode >= WS_CLOSE;
    size_t n = web->n_raw - web->at;
    n = n < web->left ? n : (size_t)web->left;
    n = control || n < cap ? n : cap;
    uint8_t *to = control ? web->control + web->n_control : out;
    memcpy(to, web->raw + web->at, n);
    web->n_control += control ? n : 0;
    web->at += n;
    web->left -= n;
    web->in_frame = web->left > 0;
    if (control && !web->in_frame)
        end_control(web);
    return control ? 0 : n;
}

/* MQTT out of what has come. -1: a broken rule. */
static ssize_t unwrap(struct web *web, uint8_t *out, size_t cap)
{
    size_t n = 0;
    while (n < cap && !web->goodbye) {
        int begun = web->in_frame ? 1 : begin_frame(web);
        if (begun <= 0)
            return n > 0 ? (ssize_t)n : begun;
        if (web->at == web->n_raw && web->left > 0)
            break;
        n += take_payload(web, out + n, cap - n);
    }
    return (ssize_t)n;
}

static ssize_t web_send(struct wire *w, const void *octets, size_t n)
{
    struct web *web = w->web;
    if (!web->asked)
        ask(web);
    wire_flush(w);
    if (wire_waits(w) || !web->open) {
        errno = EAGAIN;
        return -1;
    }
    n = n < FRAME_PAYLOAD ? n : FRAME_PAYLOAD;
    if (n > 0)
        put_frame(web, WS_BINARY, octets, n);
    wire_flush(w);
    return (ssize_t)n;
}

static ssize_t web_recv(struct wire *w, uint8_t *out, size_t cap)
{
    struct web *web = w->web;
    for (;;) {
        int open = web->open ? 1 : answered(web);
        ssize_t n = open == 1 ? unwrap(web, out, cap) : open;
        wire_flush(w);
        if (n != 0 || web->goodbye || cap == 0)
            return n;
        memmove(web->raw, web->raw + web->at, web->n_raw - web->at);
        web->n_raw -= web->at;
        web->at = 0;
        ssize_t got = below_recv(w, web->raw + web->n_raw, sizeof web->raw - web->n_raw);
        if (got <= 0)
            return got;
        web->n_raw += (size_t)got;
    }
}

/* ---- all of them ---- */

ssize_t wire_send(struct wire *w, int fd, const void *octets, size_t n)
{
    if (w == NULL)
        return send(fd, octets, n, MSG_NOSIGNAL);
    return w->web != NULL ? web_send(w, octets, n) : below_send(w, octets, n);
}

ssize_t wire_recv(struct wire *w, int fd, void *octets, size_t cap)
{
    if (w == NULL)
        return recv(fd, octets, cap, 0);
    return w->web != NULL ? web_recv(w, octets, cap) : below_recv(w, octets, cap);
}

void wire_end(struct wire *w, bool say_so)
{
    static const uint8_t normal[] = { 0x03, 0xe8 }; /* 1000, RFC 6455 section 7.4.1 */
    if (w == NULL)
        return;
    if (w->web != NULL && w->web->open && say_so && !wire_waits(w)) {
        put_frame(w->web, WS_CLOSE, normal, sizeof normal);
        wire_flush(w);
    }
    tls_end(w->tls, say_so);
    free(w->web);
    free(w);
}
