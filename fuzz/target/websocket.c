/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/target/websocket.c -- the broker's side of a WebSocket: what a client sends, from its request on. Claims: the
 * same octets give the same data, the same answers and the same end however they are cut; data lies in what was given;
 * the first answer is a response of HTTP, every other one whole frames that a server may send; behind the end nothing
 * follows. */
#include "fuzz/broker/websocket.h"

#include <stdlib.h>
#include <string.h>

#include "decoder/base/websocket.h"
#include "fuzz/target/target.h"

const struct fuzz_target fuzz_target = { "websocket", FUZZ_OCTETS };

enum { ROOM = 1 << 16 };

struct outcome {
    uint8_t data[ROOM], answers[ROOM];
    size_t data_len, answers_len, head_len;
    bool closed;
};

static void append(uint8_t *to, size_t *len, struct view octets)
{
    HOLDS(octets.len <= ROOM - *len);
    if (octets.len > 0)
        memcpy(to + *len, octets.ptr, octets.len);
    *len += octets.len;
}

static void answer(struct outcome *o, struct view octets)
{
    HOLDS(octets.len <= WEBSOCKET_ANSWER_MAX);
    if (o->answers_len == 0)
        o->head_len = octets.len;
    append(o->answers, &o->answers_len, octets);
}

/* A piece, in an allocation of its exact size: it is unmasked in place. */
static void take_piece(struct websocket *w, struct view piece, struct outcome *o)
{
    uint8_t *chunk = malloc(piece.len);
    size_t used = 0;
    enum websocket_status status;
    HOLDS(chunk != NULL);
    memcpy(chunk, piece.ptr, piece.len);
    do {
        struct view out = { NULL, 0 };
        size_t before = used;
        status = websocket_take(w, chunk, piece.len, &used, &out);
        HOLDS(used >= before && used <= piece.len);
        HOLDS(status != WEBSOCKET_MORE || used == piece.len);
        if (status == WEBSOCKET_DATA) {
            HOLDS(out.ptr >= chunk && out.ptr + out.len <= chunk + piece.len);
            append(o->data, &o->data_len, out);
        } else if (status != WEBSOCKET_MORE) {
            answer(o, out);
        }
    } while (status == WEBSOCKET_DATA || status == WEBSOCKET_ANSWER);
    o->closed = status == WEBSOCKET_CLOSE;
    free(chunk);
}

static void run(struct view octets, size_t piece, struct outcome *o)
{
    struct websocket *w = malloc(sizeof *w);
    HOLDS(w != NULL);
    websocket_init(w);
    memset(o, 0, sizeof *o);
    for (size_t at = 0; at < octets.len && !o->closed; at += piece) {
        size_t n = piece < octets.len - at ? piece : octets.len - at;
        take_piece(w, view_of(octets.ptr + at, n), o);
    }
    free(w);
}

static void check_answers(const struct outcome *o)
{
    struct view rest = view_of(o->answers, o->answers_len);
    HOLDS(rest.len == 0 || (rest.len > 12 && memcmp(rest.ptr, "HTTP/1.1 ", 9) == 0));
    HOLDS(rest.len == 0 || http_head_len(rest) == o->head_len);
    rest = view_of(rest.ptr + o->head_len, rest.len - o->head_len);
    while (rest.len > 0) {
        HOLDS(rest.len >= 2 && rest.len >= ws_header_size(rest));
        struct ws_header h = ws_header_read(rest);
        size_t len = ws_header_size(rest) + (size_t)h.len;
        HOLDS(ws_header_plausible(&h) && !h.masked && h.opcode >= WS_CLOSE && rest.len >= len);
        rest = view_of(rest.ptr + len, rest.len - len);
    }
}

static void check_header(size_t payload)
{
    uint8_t out[10];
    size_t len = websocket_header(payload, out);
    HOLDS(len <= sizeof out && len == ws_header_size(view_of(out, len)));
    struct ws_header h = ws_header_read(view_of(out, len));
    HOLDS(h.opcode == WS_BINARY && h.fin && !h.masked && h.len == payload && ws_header_plausible(&h));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct outcome whole, parts;
    if (size < 2 || size > ROOM)
        return 0;
    struct view octets = view_of(data + 1, size - 1);
    run(octets, octets.len, &whole);
    run(octets, data[0] % 16u + 1, &parts);
    HOLDS(whole.closed == parts.closed);
    HOLDS(whole.data_len == parts.data_len && memcmp(whole.data, parts.data, whole.data_len) == 0);
    HOLDS(whole.answers_len == parts.answers_len && memcmp(whole.answers, parts.answers, whole.answers_len) == 0);
    check_answers(&whole);
    check_header(size * 50);
    check_header((size_t)data[0]);
    return 0;
}
