/* SPDX-License-Identifier: Apache-2.0
 *
 * The output buffer and its escaping (decoder/base/out.h): nothing of the wire reaches a terminal as it is. */
#include "decoder/base/json.h"
#include "decoder/base/out.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static char room[4096];

static const char *text_of(struct out *o)
{
    o->at[o->len < o->cap ? o->len : o->cap - 1] = '\0';
    return o->at;
}

#define OVER() out_over(room, sizeof room - 1)

static const char *terminal(const void *octets, size_t len)
{
    struct out o = OVER();
    out_terminal(&o, view_of(octets, len));
    return text_of(&o);
}

static void steering_is_escaped(void **state)
{
    (void)state;
    assert_string_equal(terminal("a\033[2Jb", 6), "a\\x1b[2Jb");
    assert_string_equal(terminal("\n\r\t\\\0", 5), "\\n\\r\\t\\\\\\x00");
    assert_string_equal(terminal("\xc2\x9b"
                                 "31m",
                                 5),
                        "\\u{009b}31m"); /* C1 CSI */
    assert_string_equal(terminal("\xe2\x80\xae"
                                 "abc",
                                 6),
                        "\\u{202e}abc"); /* right-to-left override */
    assert_string_equal(terminal("\xe2\x81\xa6\xef\xbb\xbf\xe2\x80\x8b", 9), "\\u{2066}\\u{feff}\\u{200b}");
    assert_string_equal(terminal("\xff\xc0\x80\xed\xa0\x80", 6), "\\xff\\xc0\\x80\\xed\\xa0\\x80");
    assert_string_equal(terminal("\xf3\xa0\x81\x81", 4), "\\u{e0041}"); /* a tag character */
    assert_string_equal(terminal("\x7f", 1), "\\x7f");
    assert_string_equal(terminal("Gr\xc3\xbc\xc3\x9f\x65 \xe6\xb8\xa9\xe5\xba\xa6 \xf0\x9f\x98\x80", 19),
                        "Gr\xc3\xbc\xc3\x9f\x65 \xe6\xb8\xa9\xe5\xba\xa6 \xf0\x9f\x98\x80");
}

/* No control octet, no C1, whatever two octets come in, in each of the forms. */
static void no_pair_steers(void **state)
{
    (void)state;
    for (unsigned pair = 0; pair < 0x10000; pair++) {
        uint8_t octets[2] = { (uint8_t)(pair >> 8), (uint8_t)pair };
        struct view v = view_of(octets, 2);
        struct out o = OVER();
        out_terminal(&o, v);
        out_terminal_cut(&o, v, 1);
        out_terminal_word(&o, v, 9);
        out_json_escaped(&o, v);
        for (size_t i = 0; i < o.len; i++) {
            uint8_t c = (uint8_t)o.at[i];
            assert_true(c >= 0x20 && c != 0x7f);
            if (c == 0xc2) /* the first of a C1 control is the lead of two */
                assert_true((uint8_t)o.at[i + 1] >= 0xa0);
            if (c >= 0x80 && c < 0xc0)
                assert_true(i > 0 && (uint8_t)o.at[i - 1] >= 0xc2);
        }
    }
}

static void words(void **state)
{
    (void)state;
    struct out o = OVER();
    out_terminal_word(&o, view_of("plain/topic", 11), 40);
    out_char(&o, ' ');
    out_terminal_word(&o, view_of("", 0), 40);
    out_char(&o, ' ');
    out_terminal_word(&o, view_of("a b\"", 4), 40);
    out_char(&o, ' ');
    out_terminal_word(&o, view_of("abcdef", 6), 3);
    assert_string_equal(text_of(&o), "plain/topic \"\" \"a b\\\"\" abc...");
}

static void json_strings(void **state)
{
    (void)state;
    struct out o = OVER();
    out_json_string(&o, view_of("a\"\\/\n\x01\x7f\xc3\xbc", 9));
    assert_string_equal(text_of(&o), "\"a\\\"\\\\/\\n\\u0001\\u007f\xc3\xbc\"");
    o = OVER();
    out_json_string(&o, view_of("\xe2\x80\xae\xf3\xa0\x81\x81", 7)); /* U+202E, U+E0041 */
    assert_string_equal(text_of(&o), "\"\\u202e\\udb40\\udc41\"");
    o = OVER();
    out_json_escaped(&o, view_of("a\\\xff\xc3\xbc", 5));
    assert_string_equal(text_of(&o), "\"a\\\\\\\\\\\\xff\xc3\xbc\"");
}

static void json_lines(void **state)
{
    (void)state;
    struct out o = OVER();
    struct json j = json_on(&o);
    json_line_begin(&j);
    json_key(&j, "a");
    json_uint(&j, 18446744073709551615u);
    json_key(&j, "b");
    json_open(&j, '[');
    json_bool(&j, true);
    json_null(&j);
    json_close(&j, ']');
    json_key(&j, "c");
    assert_false(json_view(&j, view_of("\xff", 1)));
    json_line_end(&j);
    assert_string_equal(text_of(&o), "{\"a\":18446744073709551615,\"b\":[true,null],\"c\":\"\\\\xff\"}\n");
}

static void numbers(void **state)
{
    (void)state;
    struct out o = OVER();
    static const uint64_t values[] = { 0, 9, 10, 99, 100, 101, 65535, 268435455, 18446744073709551615u };
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        out_uint(&o, values[i]);
        out_char(&o, ' ');
    }
    assert_string_equal(text_of(&o), "0 9 10 99 100 101 65535 268435455 18446744073709551615 ");
    o = OVER();
    out_seconds(&o, 1585066910541952000, 9);
    out_char(&o, ' ');
    out_seconds(&o, -1500000, 6);
    out_char(&o, ' ');
    out_seconds(&o, INT64_MIN, 0);
    out_char(&o, ' ');
    out_hex_uint(&o, 10, 2);
    out_char(&o, ' ');
    out_hex_uint(&o, 0x1234, 2);
    out_char(&o, ' ');
    out_hex(&o, view_of("\x00\xff", 2), ':');
    assert_string_equal(text_of(&o), "1585066910.541952000 -0.001500 -9223372036 0x0a 0x1234 00:ff");
    o = OVER(); /* RFC 4648 section 10 */
    out_base64(&o, view_of("fooba", 5));
    out_char(&o, ' ');
    out_base64(&o, view_of("foob", 4));
    assert_string_equal(text_of(&o), "Zm9vYmE= Zm9vYg==");
    o = OVER(); /* more than one piece: base64 of "0123456789" five times */
    out_base64(&o, view_of("01234567890123456789012345678901234567890123456789", 50));
    assert_string_equal(text_of(&o), "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODk=");
}

/* RFC 5952, sections 4 and 5 */
static void addresses(void **state)
{
    static const struct {
        uint8_t octets[16];
        const char *text;
    } cases[] = {
        { { 0 }, "::" },
        { { [15] = 1 }, "::1" },
        { { 0x20, 1, 0x0d, 0xb8, [15] = 1 }, "2001:db8::1" },
        { { 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1 }, "2001:db8:0:1:1:1:1:1" },
        { { 0x20, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1 }, "2001:0:0:1::1" },
        { { 0xfe, 0x80 }, "fe80::" },
        { { [10] = 0xff, 0xff, 192, 0, 2, 1 }, "::ffff:192.0.2.1" },
        { { 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1 }, "2001:db8::1:0:0:1" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct out o = OVER();
        out_ip(&o, view_of(cases[i].octets, 16));
        assert_string_equal(text_of(&o), cases[i].text);
    }
}

static size_t drained;
static char all[64];

static void drain(struct out *o)
{
    for (size_t i = 0; i < o->len; i++)
        all[drained++] = o->at[i];
    o->len = 0;
}

static void fills_and_drains(void **state)
{
    (void)state;
    char small[5];
    struct out o = out_over(small, sizeof small);
    out_text(&o, "hello world");
    assert_int_equal(o.len, 5);
    assert_int_equal(o.lost, 6);
    out_char(&o, '!');
    assert_int_equal(o.lost, 7);
    o = out_over(small, sizeof small);
    o.drain = drain;
    out_text(&o, "hello world");
    out_uint(&o, 1234567);
    out_char(&o, '!');
    drain(&o);
    assert_int_equal(o.lost, 0);
    all[drained] = '\0';
    assert_string_equal(all, "hello world1234567!");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steering_is_escaped), cmocka_unit_test(no_pair_steers),   cmocka_unit_test(words),
        cmocka_unit_test(json_strings),        cmocka_unit_test(json_lines),       cmocka_unit_test(numbers),
        cmocka_unit_test(addresses),           cmocka_unit_test(fills_and_drains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
