/* SPDX-License-Identifier: Apache-2.0
 *
 * WebSocket as mqfuzz speaks it (fuzz/peer/wire.h), against a server of this test: what comes is the same however
 * it is cut, what is sent is what RFC 6455 says, and no octets of a server do harm. */
#include "decoder/base/websocket.h"
#include "fuzz/mutator.h"
#include "fuzz/peer/wire.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static const char answer[] =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";

static const struct wire_kind kind = { .websocket = true, .host = "broker:1", .path = "/mqtt" };

struct ends {
    int client, server;
    struct wire *wire;
};

static void begin(struct ends *e)
{
    int fd[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
    *e = (struct ends){ fd[0], fd[1], wire_begin(&kind, fd[0]) };
    assert_non_null(e->wire);
}

static void end(struct ends *e)
{
    wire_end(e->wire, true);
    close(e->client);
    close(e->server);
}

static void give(struct ends *e, const void *octets, size_t n)
{
    assert_int_equal(send(e->server, octets, n, 0), (ssize_t)n);
}

/* All that the wire hands out now. Returns the last result. */
static ssize_t take(struct ends *e, uint8_t *out, size_t *len, size_t cap, size_t piece)
{
    ssize_t n;
    while ((n = wire_recv(e->wire, e->client, out + *len, piece < cap - *len ? piece : cap - *len)) > 0)
        *len += (size_t)n;
    return n;
}

static void test_handshake(void **state)
{
    (void)state;
    struct ends e;
    uint8_t octets[64], got[1024];
    begin(&e);
    assert_int_equal(wire_send(e.wire, e.client, "\xc0\x00", 2), -1); /* not before the handshake is done */
    assert_int_equal(errno, EAGAIN);
    ssize_t n = recv(e.server, got, sizeof got, 0);
    assert_true(n > 0);
    struct view head = view_of(got, (size_t)n);
    assert_int_equal(http_head_len(head), n);
    assert_memory_equal(got, "GET /mqtt HTTP/1.1\r\nHost: broker:1\r\n", 36);
    assert_true(http_lists(http_field(head, "Sec-WebSocket-Protocol"), "mqtt")); /* [MQTT-6.0.0-3] */
    give(&e, answer, sizeof answer - 1);
    assert_int_equal(wire_recv(e.wire, e.client, octets, sizeof octets), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(wire_send(e.wire, e.client, "\xc0\x00", 2), 2);
    assert_int_equal(recv(e.server, got, sizeof got, 0), 8);
    struct ws_header h = ws_header_read(view_of(got, 8));
    assert_true(h.fin && h.masked && h.opcode == WS_BINARY && h.len == 2);
    ws_unmask(got + 6, got + 6, 2, h.mask, 0);
    assert_memory_equal(got + 6, "\xc0\x00", 2);
    end(&e);
}

/* Frames of any size with pings between them; *data: what they carry. Returns their octets. */
static size_t make_frames(struct mutator *m, uint8_t *out, uint8_t *data, size_t *n_data)
{
    size_t n = 0;
    *n_data = 0;
    for (unsigned i = 0; i < 12; i++) {
        bool ping = mutator_below(m, 4) == 0;
        size_t len = ping                       ? mutator_below(m, 126)
                     : mutator_below(m, 3) == 0 ? mutator_below(m, 3000)
                                                : mutator_below(m, 9);
        out[n++] = (uint8_t)(ping ? 0x80 | WS_PING : mutator_below(m, 2) == 0 ? WS_CONTINUATION : 0x80 | WS_BINARY);
        out[n++] = (uint8_t)(len < 126 ? len : 126);
        if (len >= 126) {
            out[n++] = (uint8_t)(len >> 8);
            out[n++] = (uint8_t)len;
        }
        for (size_t k = 0; k < len; k++)
            out[n + k] = (uint8_t)mutator_below(m, 256);
        if (!ping)
            memcpy(data + *n_data, out + n, len);
        *n_data += ping ? 0 : len;
        n += len;
    }
    return n;
}

static void open_up(struct ends *e)
{
    uint8_t got[1024];
    begin(e);
    wire_send(e->wire, e->client, "", 0);
    assert_true(recv(e->server, got, sizeof got, 0) > 0);
    give(e, answer, sizeof answer - 1);
}

static void test_cut_anywhere(void **state)
{
    (void)state;
    static uint8_t frames[40000], data[40000], got[40000];
    for (unsigned seed = 1; seed <= 300; seed++) {
        struct mutator m = mutator_seeded(seed);
        struct ends e;
        size_t n_data, n = make_frames(&m, frames, data, &n_data), len = 0;
        open_up(&e);
        for (size_t at = 0; at < n;) {
            size_t piece = 1 + mutator_below(&m, seed % 2 == 0 ? 7 : 5000);
            piece = piece < n - at ? piece : n - at;
            give(&e, frames + at, piece);
            at += piece;
            assert_int_equal(take(&e, got, &len, sizeof got, 1 + mutator_below(&m, 4000)), -1);
            assert_int_equal(errno, EAGAIN);
        }
        assert_int_equal(len, n_data);
        assert_memory_equal(got, data, n_data);
        end(&e);
    }
}

static void test_broken_frames(void **state)
{
    (void)state;
    static const struct {
        const char *octets;
        size_t n;
    } broken[] = {
        { "\x81\x01x", 3 },                                 /* text [MQTT-6.0.0-1] */
        { "\x82\x81\x01\x02\x03\x04x", 7 },                 /* masked */
        { "\xc2\x01x", 3 },                                 /* a reserved bit */
        { "\x83\x01x", 3 },                                 /* a reserved opcode */
        { "\x89\x7e\x00\x80", 4 },                          /* a control frame of 128 octets */
        { "\x09\x01x", 3 },                                 /* a control frame in parts */
        { "\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00", 10 }, /* 2^63 octets */
    };
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        struct ends e;
        uint8_t got[16];
        size_t len = 0;
        open_up(&e);
        give(&e, broken[i].octets, broken[i].n);
        assert_int_equal(take(&e, got, &len, sizeof got, sizeof got), -1);
        assert_int_equal(errno, EPROTO);
        assert_int_equal(len, 0);
        end(&e);
    }
}

/* Anything at all: it ends, and hands out no more than came. */
static void test_anything(void **state)
{
    (void)state;
    static uint8_t octets[40000], data[40000], got[40000];
    for (unsigned seed = 1; seed <= 2000; seed++) {
        struct mutator m = mutator_seeded(seed);
        struct ends e;
        size_t n_data, n = make_frames(&m, octets, data, &n_data), len = 0;
        for (unsigned i = 1 + mutator_below(&m, 6); i > 0; i--)
            octets[mutator_below(&m, (uint32_t)(seed % 3 == 0 ? n : 60))] = (uint8_t)mutator_below(&m, 256);
        if (seed % 5 != 0)
            open_up(&e);
        else
            begin(&e);
        give(&e, octets, n);
        shutdown(e.server, SHUT_WR);
        assert_true(take(&e, got, &len, sizeof got, sizeof got) <= 0);
        assert_true(len <= n);
        end(&e);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_handshake),
        cmocka_unit_test(test_cut_anywhere),
        cmocka_unit_test(test_broken_frames),
        cmocka_unit_test(test_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
