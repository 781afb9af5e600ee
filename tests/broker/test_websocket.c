/* SPDX-License-Identifier: Apache-2.0
 *
 * The WebSocket layer against the examples of RFC 6455 and against every way to cut its octets. */
#include "fuzz/broker/websocket.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char hello[] =
    "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";

/* Feeds octets in chunks of this size; what comes out goes to data and answer. False: the connection ends. */
static bool feed(struct websocket *w, const void *octets, size_t len, size_t step, uint8_t *data, size_t *ndata,
                 uint8_t *answer, size_t *nanswer)
{
    for (size_t at = 0; at < len; at += step) {
        size_t n = len - at < step ? len - at : step, used = 0;
        uint8_t *chunk = memcpy(malloc(n), (const uint8_t *)octets + at, n);
        enum websocket_status status;
        struct view v;
        do {
            status = websocket_take(w, chunk, n, &used, &v);
            if (status == WEBSOCKET_DATA) {
                memcpy(data + *ndata, v.ptr, v.len);
                *ndata += v.len;
            } else if (v.len > 0) {
                memcpy(answer + *nanswer, v.ptr, v.len);
                *nanswer += v.len;
            }
        } while (status != WEBSOCKET_MORE && status != WEBSOCKET_CLOSE);
        free(chunk);
        if (status == WEBSOCKET_CLOSE)
            return false;
        assert_int_equal(used, n);
    }
    return true;
}

static void test_conversation_cut_anywhere(void **state)
{
    (void)state;
    /* masked "Hello" of section 5.7 as a binary frame; the same in two fragments with a ping between; a close */
    static const uint8_t frames[] = { 0x82, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
                                      0x02, 0x83, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x89, 0x81,
                                      0,    0,    0,    0,    'p',  0x80, 0x82, 0,    0,    0,    0,
                                      'l',  'o',  0x88, 0x80, 0,    0,    0,    0 };
    static const uint8_t answers[] = { 0x8a, 1, 'p', 0x88, 0 };
    for (size_t step = 1; step <= sizeof hello; step++) {
        struct websocket w;
        uint8_t data[100], answer[600];
        size_t ndata = 0, nanswer = 0;
        websocket_init(&w);
        assert_true(feed(&w, hello, sizeof hello - 1, step, data, &ndata, answer, &nanswer));
        answer[nanswer] = '\0';
        assert_non_null(
            strstr((char *)answer, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n")); /* section 1.3 */
        nanswer = 0;
        assert_false(feed(&w, frames, sizeof frames, step, data, &ndata, answer, &nanswer));
        assert_int_equal(ndata, 10);
        assert_memory_equal(data, "HelloHello", 10);
        assert_int_equal(nanswer, sizeof answers);
        assert_memory_equal(answer, answers, sizeof answers);
    }
}

static void test_long_lengths(void **state)
{
    (void)state;
    uint8_t out[10];
    static const uint8_t long_header[] = { 0x82, 126, 1, 0 }, longer[] = { 0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0 };
    assert_int_equal(websocket_header(125, out), 2);
    assert_int_equal(websocket_header(256, out), 4); /* section 5.7: 256 octets */
    assert_memory_equal(out, long_header, 4);
    assert_int_equal(websocket_header(65536, out), 10); /* section 5.7: 64 KiB */
    assert_memory_equal(out, longer, 10);
    struct websocket w;
    uint8_t data[300], answer[600], frame[8 + 300] = { 0x82, 0xfe, 1, 44 };
    size_t ndata = 0, nanswer = 0;
    websocket_init(&w);
    assert_true(feed(&w, hello, sizeof hello - 1, 100, data, &ndata, answer, &nanswer));
    assert_true(feed(&w, frame, sizeof frame, 7, data, &ndata, answer, &nanswer));
    assert_int_equal(ndata, 300);
}

static void test_what_ends_it(void **state)
{
    (void)state;
    static const uint8_t bad[][8] = {
        { 0x81, 0x80 },         /* text */
        { 0x82, 0x01 },         /* not masked */
        { 0xc2, 0x80 },         /* a reserved bit */
        { 0x83, 0x80 },         /* a reserved opcode */
        { 0x09, 0x80 },         /* a fragmented ping */
        { 0x89, 0xfe, 0, 126 }, /* a ping of more than 125 octets */
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct websocket w;
        uint8_t data[10], answer[600];
        size_t ndata = 0, nanswer = 0;
        websocket_init(&w);
        assert_true(feed(&w, hello, sizeof hello - 1, 100, data, &ndata, answer, &nanswer));
        assert_false(feed(&w, bad[i], sizeof bad[i], 1, data, &ndata, answer, &nanswer));
        assert_int_equal(ndata, 0);
    }
    struct websocket w;
    uint8_t data[10], answer[600], endless[WEBSOCKET_HEAD_MAX + 1];
    size_t ndata = 0, nanswer = 0;
    memset(endless, 'x', sizeof endless);
    websocket_init(&w);
    assert_false(feed(&w, endless, sizeof endless, 100, data, &ndata, answer, &nanswer));
    assert_memory_equal(answer, "HTTP/1.1 400 ", 13);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_conversation_cut_anywhere),
                                        cmocka_unit_test(test_long_lengths), cmocka_unit_test(test_what_ends_it) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
