/* SPDX-License-Identifier: Apache-2.0
 *
 * What people read: the line, the tree, the octets (decoder/show/). Expected lines are written by hand. */
#include "decoder/show/show.h"
#include "tests/decoder/sample.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static char room[1 << 16];

static const char *line_of(const struct sample *s, struct show_style style)
{
    struct out o = out_over(room, sizeof room - 1);
    show_text(&o, &s->row, &style);
    room[o.len] = '\0';
    return room;
}

static void says(const char *octets, size_t len, unsigned version, unsigned sender, const char *want)
{
    static const char envelope[] = "00:00:01.500000   0 10.0.0.7:50001 > 10.0.0.2:1883       -            ";
    struct sample s;
    sample_of(&s, octets, len, version, sender);
    const char *line = line_of(&s, (struct show_style){ .time = SHOW_TIME_UTC });
    assert_memory_equal(line, envelope, sizeof envelope - 1);
    assert_string_equal(line + sizeof envelope - 1, want);
    free(s.octets);
}

#define SAYS(octets, version, sender, want) says(octets, sizeof octets - 1, version, sender, want)

static void packets(void **state)
{
    (void)state;
    SAYS("\x10\x17\x00\x04MQTT\x04\xc2\x00\x0a\x00\x01"
         "c\x00\x03"
         "bob\x00\x03pwd",
         MQTT_V311, MQTT_CLIENT, "3.1.1 CONNECT clean=1 keepalive=10 user=*** password=***\n");
    SAYS("\x20\x02\x00\x05", MQTT_V311, MQTT_SERVER,
         "3.1.1 CONNACK present=0 0x05 Connection Refused: not authorized\n");
    SAYS("\x3b\x0e\x00\x03t/2\x00\x09{\"a\":1}", MQTT_V311, MQTT_CLIENT,
         "3.1.1 PUBLISH q1 #9 dup retain t/2 7B \"{\"a\":1}\"\n");
    SAYS("\x30\x07\x00\x03t t\x00\x01", MQTT_V5, MQTT_CLIENT, "5.0   PUBLISH q0 \"t t\" 1B\n");
    SAYS("\x82\x0a\x00\x01\x00\x01"
         "a\x01\x00\x01#\x02",
         MQTT_V311, MQTT_CLIENT, "3.1.1 SUBSCRIBE #1 a q1, # q2\n");
    SAYS("\x90\x04\x00\x01\x01\x80", MQTT_V311, MQTT_SERVER, "3.1.1 SUBACK #1 q1, 0x80 failure\n");
    SAYS("\x40\x03\x00\x03\x10", MQTT_V5, MQTT_SERVER, "5.0   PUBACK #3 0x10 No matching subscribers\n");
    SAYS("\xe0\x01\x8e", MQTT_V5, MQTT_SERVER, "5.0   DISCONNECT 0x8e Session taken over\n");
    SAYS("\xc0\x00", MQTT_V31, MQTT_CLIENT, "3.1   PINGREQ\n");
}

static void times(void **state)
{
    static const struct {
        enum show_time format;
        const char *want;
    } cases[] = {
        { SHOW_TIME_UTC, "16:21:50.541952 " },     { SHOW_TIME_UTC_DATE, "2020-03-24 16:21:50.541952 " },
        { SHOW_TIME_EPOCH, "1585066910.541952 " }, { SHOW_TIME_RELATIVE, "    2.500000 " },
        { SHOW_TIME_DELTA, "    0.250000 " },      { SHOW_TIME_DELTA_SHOWN, "   86.541952 " },
    };
    struct sample s;
    (void)state;
    sample_of(&s, "\xc0\x00", 2, MQTT_V311, MQTT_CLIENT);
    s.row.time_ns = 1585066910541952000;
    s.row.time_start_ns = s.row.time_ns - 2500000000;
    s.row.time_before_ns = s.row.time_ns - 250000000;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct show_style style = { .time = (uint8_t)cases[i].format, .shown_before_ns = 1585066824000000000 };
        const char *line = line_of(&s, style);
        assert_memory_equal(line, cases[i].want, strlen(cases[i].want));
    }
    s.row.time_ns = 951782400000000000; /* a leap day: date -u -d @951782400 */
    assert_memory_equal(line_of(&s, (struct show_style){ .time = SHOW_TIME_UTC_DATE }), "2000-02-29 00:00:00.000000 ",
                        27);
    s.row.time_ns = 4107542400000000000; /* 2100 is none: date -u -d @4107542400 */
    assert_memory_equal(line_of(&s, (struct show_style){ .time = SHOW_TIME_UTC_DATE }), "2100-03-01 00:00:00.000000 ",
                        27);
    s.row.time_ns = 1798761599999999000; /* date -u -d @1798761599 */
    assert_memory_equal(line_of(&s, (struct show_style){ .time = SHOW_TIME_UTC_DATE }), "2026-12-31 23:59:59.999999 ",
                        27);
    s.row.time_ns = -1;
    assert_memory_equal(line_of(&s, (struct show_style){ .time = SHOW_TIME_UTC_DATE }), "1969-12-31 23:59:59.999999 ",
                        27);
    free(s.octets);
}

static void colors(void **state)
{
    struct sample s;
    (void)state;
    sample_of(&s, "\x30\x05\x00\x01+ab", 7, MQTT_V311, MQTT_CLIENT);
    assert_null(strchr(line_of(&s, (struct show_style){ .color = false }), '\033'));
    assert_non_null(
        strstr(line_of(&s, (struct show_style){ .color = true }), "\033[1;37;41m[error MQTT-3.3.2-2]\033[0m\n"));
    free(s.octets);
}

/* Nothing of the wire steers the terminal: every octet, in a topic, a client id, a payload and a filter. */
static void nothing_raw(void **state)
{
    (void)state;
    for (unsigned octet = 0; octet < 256; octet++) {
        char topic[] = "\x30\x07\x00\x03t?/pp";
        char connect[] = "\x10\x0f\x00\x04MQTT\x04\x02\x00\x0a\x00\x03"
                         "c?d";
        char payload[] = "\x30\x06\x00\x01tp?p";
        char filter[] = "\x82\x08\x00\x01\x00\x03"
                        "a?b\x01";
        const struct {
            char *octets;
            size_t len;
        } all[] = { { topic, 9 }, { connect, 17 }, { payload, 8 }, { filter, 10 } };
        for (size_t i = 0; i < 4; i++) {
            struct sample s;
            struct show_style style = { .time = SHOW_TIME_UTC };
            struct out o = out_over(room, sizeof room);
            *(char *)memchr(all[i].octets, '?', all[i].len) = (char)octet;
            sample_of(&s, all[i].octets, all[i].len, MQTT_V311, MQTT_CLIENT);
            s.row.client_id = view_of(all[i].octets, all[i].len);
            show_text(&o, &s.row, &style);
            show_tree(&o, &s.row, &style);
            show_hex(&o, &s.row, &style);
            show_json(&o, &s.row, &style, NULL);
            for (size_t at = 0; at < o.len; at++) {
                unsigned char c = (unsigned char)o.at[at];
                assert_true((c >= 0x20 && c < 0x7f) || c == '\n');
            }
            free(s.octets);
        }
    }
}

static void verdict_stands_at_its_field(void **state)
{
    struct sample s;
    struct show_style style = { .time = SHOW_TIME_UTC };
    struct out o = out_over(room, sizeof room - 1);
    (void)state;
    sample_of(&s, "\x30\x05\x00\x01+ab", 7, MQTT_V311, MQTT_CLIENT);
    show_tree(&o, &s.row, &style);
    room[o.len] = '\0';
    const char *topic = strstr(room, "            4  Topic: \"+\"\n");
    assert_non_null(topic);
    const char *next = strchr(topic, '\n') + 1;
    static const char verdict[] = "            4  ! error MQTT-3.3.2-2 of MQTT 3.1.1, by the client";
    assert_memory_equal(next, verdict, sizeof verdict - 1);
    assert_ptr_equal(strstr(room, "! error"), strstr(next, "! error")); /* once */
    assert_null(strstr(strstr(next, "! error") + 1, "! error"));
    assert_non_null(strstr(next, "then:   the server has to close the connection\n"));
    assert_non_null(strstr(next, "          5-6  Payload: \"ab\"\n"));
    free(s.octets);
}

static void octets(void **state)
{
    static const char connect[] = "\x10\x17\x00\x04MQTT\x04\xc2\x00\x0a\x00\x01"
                                  "c\x00\x03"
                                  "bob\x00\x03pwd";
    struct sample s;
    struct show_style style = { .secrets = false };
    struct out o = out_over(room, sizeof room - 1);
    (void)state;
    sample_of(&s, connect, sizeof connect - 1, MQTT_V311, MQTT_CLIENT);
    show_hex(&o, &s.row, &style);
    room[o.len] = '\0';
    assert_string_equal(room, "0000  10 17 00 04 4d 51 54 54  04 c2 00 0a 00 01 63 00  ....MQTT......c.\n"
                              "0010  03 ** ** ** 00 03 ** **  **                       .***..***\n\n");
    free(s.octets);
}

static void gap_line(void **state)
{
    struct sample s = { .row = { .kind = ROW_GAP, .gap_octets = 700, .gap_reason = "lost segment" } };
    (void)state;
    assert_non_null(
        strstr(line_of(&s, (struct show_style){ .time = SHOW_TIME_UTC }), " -- gap of 700 octets: lost segment --\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packets),     cmocka_unit_test(times),  cmocka_unit_test(colors),
        cmocka_unit_test(nothing_raw), cmocka_unit_test(octets), cmocka_unit_test(verdict_stands_at_its_field),
        cmocka_unit_test(gap_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
