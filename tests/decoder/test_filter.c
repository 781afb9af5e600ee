/* SPDX-License-Identifier: Apache-2.0
 *
 * The display filter on packets written by hand. What each expression should give was asked of tshark 4.0.17 on packets
 * of the same content where tshark has the field; tests/filter compares the two on whole captures. */
#include "decoder/filter/filter.h"
#include "decoder/show/item.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint8_t memory[FILTER_MEMORY] __attribute__((aligned(16)));

struct made {
    struct mqtt_packet packet;
    struct mqtt_verdict verdict[8];
    struct row row;
};

static struct row *make(struct made *m, const void *octets, size_t len, unsigned version)
{
    struct mqtt_verdicts v = { .at = m->verdict, .cap = 8 };
    struct mqtt_context context = { .version = (uint8_t)version, .sender = MQTT_CLIENT };
    mqtt_decode(view_of(octets, len), context, &m->packet, &v);
    m->row = (struct row){ .kind = ROW_PACKET,
                           .number = 7,
                           .frame = 12,
                           .frame_first = 11,
                           .time_ns = 1700000000500000000,
                           .time_start_ns = 1700000000000000000,
                           .time_before_ns = 1700000000490000000,
                           .frame_len = 90,
                           .stream = 3,
                           .src = { .addr = { .family = 4, .octets = { 10, 0, 0, 7 } }, .port = 51422 },
                           .dst = { .addr = { .family = 4, .octets = { 192, 168, 1, 2 } }, .port = 1883 },
                           .sender = MQTT_CLIENT,
                           .version = (uint8_t)version,
                           .version_source = 2,
                           .client_id = { (const uint8_t *)"sensor-17", 9 },
                           .packet = &m->packet,
                           .verdicts = m->verdict,
                           .n_verdicts = v.n };
    return &m->row;
}

/* 1: passes, 0: does not, -1: no filter */
static int ask(const char *text, const struct row *row)
{
    struct filter_error error;
    struct filter *f = filter_compile(text, strlen(text), memory, sizeof memory, &error);
    return f == NULL ? -1 : filter_match(f, row);
}

static void yes(const char *text, const struct row *row)
{
    if (ask(text, row) != 1)
        fail_msg("should pass: %s", text);
}

static void no(const char *text, const struct row *row)
{
    if (ask(text, row) != 0)
        fail_msg("should be a filter and not pass: %s", text);
}

/* PUBLISH QoS 1 RETAIN, topic t/1/temp, id 2, payload 21.5C */
static const uint8_t publish[] = "\x33\x11\0\x08t/1/temp\0\x02"
                                 "21.5C";
/* SUBSCRIBE id 10: t/+/temp QoS 1, u/# QoS 2 (3.1.1) */
static const uint8_t subscribe[] = "\x82\x13\0\x0a\0\x08t/+/temp\x01\0\x03u/#\x02";

static void test_relations(void **state)
{
    (void)state;
    struct made m;
    const struct row *r = make(&m, publish, sizeof publish - 1, MQTT_V311);
    static const char *const pass[] = {
        "",
        "  ",
        "mqtt",
        "mqtt.qos",
        "mqtt.qos == 1",
        "mqtt.qos eq 1",
        "mqtt.qos==01",
        "mqtt.qos == 0x1",
        "mqtt.qos == 0b1",
        "mqtt.qos == '\\x01'",
        "mqtt.qos != 2",
        "mqtt.qos >= 1",
        "mqtt.qos ge 1",
        "mqtt.qos < 2",
        "mqtt.qos lt 2",
        "mqtt.qos le 1",
        "mqtt.qos gt 0",
        "mqtt.qos ne 0",
        "mqtt.retain == 1",
        "mqtt.retain == True",
        "mqtt.retain == \"Set\"",
        "mqtt.retain == 2",
        "mqtt.dupflag == 0",
        "mqtt.msgtype == 3",
        "mqtt.msgtype == PUBLISH",
        "mqtt.msgtype == \"publish message\"",
        "mqtt.msgtype in {1, 3..5}",
        "mqtt.msgtype in {\"Publish Ack\", PUBLISH}",
        "mqtt.msgtype not in {1,2}",
        "mqtt.msgtype !in {1}",
        "mqtt.topic == \"t/1/temp\"",
        "mqtt.topic == \"t\\x2f1\\057temp\"",
        "mqtt.topic contains temp",
        "mqtt.topic contains \"/1/\"",
        "mqtt.topic matches \"^T/\\\\d/\"",
        "mqtt.topic matches r\"^t/\\d/temp$\"",
        "mqtt.topic ~ \"TEMP\"",
        "mqtt.topic > \"t\"",
        "mqtt.topic in {\"a\", \"t/1/temp\"}",
        "mqtt.topic in {\"t\"..\"u\"}",
        "mqtt.topic mqtt_match \"t/+/#\"",
        "mqtt.topic mqtt_match \"$share/g/t/+/temp\"",
        "upper(mqtt.topic) mqtt_match \"T/+/TEMP\"",
        "mqtt\ror\rmqtt\ror\rmqtt\ror\rmqtt",
        "mqtt.topic[0] == \"t\"",
        "mqtt.topic[0] == 74",
        "mqtt.topic[0:3] == 74:2f:31",
        "mqtt.topic[-4:] == \"temp\"",
        "mqtt.topic[1-2] == \"/1\"",
        "mqtt.topic[:1] == 't'",
        "mqtt.topic[2:] == \"1/temp\"",
        "mqtt.topic[0,2:2] == \"t1/\"",
        "mqtt.topic[-1]",
        "mqtt.msg[0] == 0x32",
        "mqtt.msg[0:2] == 3231",
        "mqtt.msg[0:2] == 32-31",
        "mqtt.msg contains \"1.5\"",
        "mqtt.msg contains 31:2e",
        "mqtt.msg matches \"c$\"",
        "mqtt.msg == \"21.5C\"",
        "mqtt.msg > 32",
        "mqtt.msgid == 2",
        "mqtt.msgid + 1 == 3",
        "mqtt.msgid*2==4",
        "{mqtt.msgid + 1} * 2 == 6",
        "mqtt.msgid - 5 < 0",
        "mqtt.msgid == {1+1}",
        "mqtt.msgid % 2 == 0",
        "mqtt.hdrflags & 0xf0 == 0x30",
        "mqtt.hdrflags & 2",
        "mqtt.hdrflags bitwise_and 2",
        "not mqtt.hdrflags & 8",
        "mqtt.msgid > mqtt.qos",
        "mqtt.qos == mqtt.retain",
        "len(mqtt.topic) == 8",
        "len(mqtt.topic) in {4,8}",
        "count(mqtt.topic) == 1",
        "upper(mqtt.topic) == \"T/1/TEMP\"",
        "lower(mqtt.topic) contains \"temp\"",
        "upper(mqtt.topic) matches \"(?-i)TEMP\"",
        "upper(mqtt.topic)[0] == \"T\"",
        "string(mqtt.qos) == \"1\"",
        "max(mqtt.qos, 5) == 5",
        "min(mqtt.qos, mqtt.msgid) == 1",
        "abs(mqtt.msgid - 5) == 3",
        "abs(mqtt.qos) == 1",
        "not mqtt.qos == 2",
        "!mqtt.qos == 2",
        "not not mqtt.qos",
        "mqtt.qos == 1 or mqtt.qos == 2 and mqtt.qos == 3",
        "(mqtt.qos == 1 || mqtt.qos == 2) && mqtt.msgid == 2",
        "any mqtt.topic == \"t/1/temp\"",
        "all mqtt.topic contains \"t\"",
        "mqtt.topic === \"t/1/temp\"",
        "mqtt.topic !== \"x\"",
        "mqtt.topic ~= \"x\"",
        "lower(mqtt.topic) == mqtt.topic",
        "mqtt.msgid == -2 or mqtt.qos == 1",
        "mqtt.ver == 4",
        "mqtt.ver == \"MQTT v3.1.1\"",
        "mqtt.clientid == sensor-17",
        "mqtt.topic matches \"\"",
        "mqtt.msg_text == \"21.5C\"",
        "mqtt.len == 17",
        "-mqtt.qos == -1",
        "mqtt.topic_len - 7 == mqtt.qos",
    };
    for (size_t i = 0; i < sizeof pass / sizeof pass[0]; i++)
        yes(pass[i], r);
    static const char *const stop[] = {
        "mqtt.qos == 2",
        "mqtt.qos != 1",
        "mqtt.kalive",
        "!mqtt.qos",
        "mqtt.topic contains 74:65",
        "mqtt.topic == \"\"",
        "mqtt.topic[8]",
        "mqtt.topic[100] == 1",
        "mqtt.topic[-9:1] == \"t\"",
        "mqtt.topic[7:2] == \"p\"",
        "mqtt.msg == 32",
        "mqtt.topic contains \"TEMP\"",
        "mqtt.topic matches \"(?-i)TEMP\"",
        "mqtt.topic mqtt_match \"t/+\"",
        "upper(mqtt.topic) mqtt_match \"t/+/temp\"",
        "mqtt.kalive != 60",
        "not mqtt.kalive != 60 and mqtt.kalive",
        "count(mqtt.kalive) == 0",
        "mqtt.kalive == mqtt.qos",
        "mqtt.msgid / 0 == 1",
        "mqtt.qos in {2..1}",
        "mqtt.topic !== \"t/1/temp\"",
        "all mqtt.kalive == 60",
        "mqtt.msgid * 9223372036854775807 == 0",
        "mqtt.qos == 1 and (mqtt.msgid == 3 or mqtt.msgid == 4)",
        "mqtt.hdrflags & 8",
        "ipv6",
        "mqtt.violation",
        "mqtt.gap",
    };
    for (size_t i = 0; i < sizeof stop / sizeof stop[0]; i++)
        no(stop[i], r);
}

/* == is any, != is all, ~= is any: as tshark 4.0 has it. */
static void test_many_values(void **state)
{
    (void)state;
    struct made m;
    const struct row *r = make(&m, subscribe, sizeof subscribe - 1, MQTT_V311);
    static const char *const pass[] = {
        "mqtt.topic == \"u/#\"",
        "mqtt.topic == \"t/+/temp\"",
        "mqtt.topic ~= \"u/#\"",
        "mqtt.topic any_ne \"u/#\"",
        "count(mqtt.topic) == 2",
        "any mqtt.topic != \"u/#\"",
        "all mqtt.topic contains \"/\"",
        "any mqtt.topic matches \"^u\"",
        "mqtt.sub.qos in {2}",
        "all mqtt.sub.qos in {1, 2}",
        "mqtt.topic_len == 3",
        "max(mqtt.sub.qos) == 2",
        "min(mqtt.sub.qos) == 1",
        "mqtt.sub.qos == mqtt.sub.qos",
        "mqtt.sub.qos > mqtt.sub.qos",
        "mqtt.msgid == 10",
        "tcp.port == 1883",
        "tcp.port ~= 1883",
        "ip.addr == 10.0.0.0/8",
        "mqtt.sub.qos + mqtt.sub.qos == 3",
        "mqtt.topic !== \"u/#\"",
    };
    for (size_t i = 0; i < sizeof pass / sizeof pass[0]; i++)
        yes(pass[i], r);
    static const char *const stop[] = {
        "mqtt.topic != \"u/#\"",
        "mqtt.topic ne \"u/#\"",
        "mqtt.topic all_ne \"u/#\"",
        "mqtt.topic === \"u/#\"",
        "mqtt.topic all_eq \"u/#\"",
        "all mqtt.topic == \"u/#\"",
        "all mqtt.topic matches \"^u\"",
        "mqtt.sub.qos not in {2}",
        "tcp.port != 1883",
        "all mqtt.sub.qos in {2}",
        "all mqtt.sub.qos == mqtt.sub.qos",
        "mqtt.sub.qos == 3",
        "all ip.addr == 10.0.0.0/8",
    };
    for (size_t i = 0; i < sizeof stop / sizeof stop[0]; i++)
        no(stop[i], r);
}

static void test_envelope(void **state)
{
    (void)state;
    struct made m;
    const struct row *r = make(&m, publish, sizeof publish - 1, MQTT_V311);
    static const char *const pass[] = {
        "frame.number == 12",
        "frame.len > 80",
        "tcp.stream eq 3",
        "ip.src == 10.0.0.7",
        "ip.addr == 192.168.1.2",
        "ip.src == 10.0.0.0/8",
        "ip.src == 10.0.0.7/32",
        "ip.src == 0.0.0.0/0",
        "ip.src in {10.0.0.1 .. 10.0.0.9}",
        "ip.src in {10.0.0.1..10.0.0.9}",
        "ip.src[0] == 0a",
        "ip.src[3:1] == 07",
        "ip.src != 10.0.0.8",
        "ip.src > 10.0.0.6",
        "ip.src != ip.dst",
        "ip.addr == ip.src",
        "tcp.dstport == 1883",
        "tcp",
        "ip",
        "frame",
        "tcp.srcport in {51000..52000}",
        "frame.time_relative < 0.6",
        "frame.time_relative > 400ms",
        "frame.time_delta == 0.01",
        "frame.time_delta == 10ms",
        "frame.time_epoch > 1700000000.4",
        "frame.time >= \"2023-11-14 22:13:20\"",
        "frame.time < 2023-11-15",
        "frame.time == \"Nov 14, 2023 22:13:20.5\"",
        "frame.time == 2023-11-14T22:13:20.5Z",
        "mqtt.first_frame == 11",
        "communityid matches \"^1:.{27}=$\"",
        "string(ip.src) == \"10.0.0.7\"",
    };
    for (size_t i = 0; i < sizeof pass / sizeof pass[0]; i++)
        yes(pass[i], r);
    no("ip.src == 10.0.0.8", r);
    no("ip.src == 11.0.0.0/8", r);
    no("ip.src == 10.0.0.8/31 or ip.src == 10.0.0.0/30", r);
    yes("ip.src == 10.0.0.6/31", r);
    no("ipv6.addr == ::1", r);
    static const uint8_t v6[16] = { 0xfe, 0x80, [15] = 1 };
    m.row.src.addr.family = m.row.dst.addr.family = 6;
    memcpy(m.row.src.addr.octets, v6, 16);
    yes("ipv6.src == fe80::1 and ipv6.src == fe80::/10 and ipv6.addr != ::1 and ipv6.src[0:2] == fe:80", r);
    no("ip.src == 10.0.0.7", r);
}

static void test_v5_and_violations(void **state)
{
    (void)state;
    struct made m;
    /* PUBLISH 5.0 QoS 0 topic a, Message Expiry 60, User Property k=v, payload x */
    static const uint8_t v5[] = "\x30\x11\0\x01"
                                "a\x0c\x02\0\0\0\x3c\x26\0\x01k\0\x01v"
                                "x";
    const struct row *r = make(&m, v5, sizeof v5 - 1, MQTT_V5);
    yes("mqtt.property.message_expiry_interval == 60", r);
    yes("mqtt.prop_key == \"k\" and mqtt.prop_value == \"v\" and mqtt.property.user_property.name == k", r);
    yes("mqtt.property_id in {0x26} and mqtt.properties and mqtt.property", r);
    /* a PUBLISH with both QoS bits: [MQTT-3.3.1-4] */
    static const uint8_t qos3[] = "\x36\x05\0\x01"
                                  "a\0\x01";
    r = make(&m, qos3, sizeof qos3 - 1, MQTT_V311);
    yes("mqtt.violation", r);
    yes("mqtt.violation.rule == \"MQTT-3.3.1-4\"", r);
    yes("mqtt.violation.severity >= warning", r);
    yes("mqtt.violation.severity == error", r);
    no("mqtt.violation.severity < error", r);
    yes("_ws.expert.severity == error", r);
}

static void refused(const char *text, size_t at, const char *part)
{
    struct filter_error error;
    if (filter_compile(text, strlen(text), memory, sizeof memory, &error) != NULL)
        fail_msg("should be refused: %s", text);
    if (error.at != at || strstr(error.message, part) == NULL)
        fail_msg("%s: at %zu: %s", text, error.at, error.message);
}

static void test_errors(void **state)
{
    (void)state;
    refused("mqtt.topik", 0, "did you mean mqtt.topic?");
    refused("mqtt.topik == \"a\"", 0, "did you mean mqtt.topic?");
    refused("tcp.port == 1883 and mqtt.qoss == 1", 21, "did you mean mqtt.qos?");
    refused("mqtt.topic ==", 13, "ends where");
    refused("mqtt.topic mqtt.qos", 11, "stands where");
    refused("and mqtt.topic", 0, "stands where");
    refused("(mqtt.topic", 11, "ends where");
    refused("mqtt.topic)", 10, "\")\" stands where");
    refused("mqtt.qos = 1", 9, "equal is");
    refused("mqtt.qos <> 1", 10, "stands where");
    refused("1 == mqtt.qos", 0, "no field");
    refused("\"t\" == \"t\"", 0, "left side");
    refused("mqtt.qos == one", 12, "not a number");
    refused("mqtt.qos == \"1\"", 12, "without quotes");
    refused("mqtt.qos == 99999999999999999999", 12, "not a number");
    refused("mqtt.qos == 09", 12, "not a number");
    refused("mqtt.qos contains 1", 0, "this is a number");
    refused("mqtt.qos matches \"1\"", 0, "this is a number");
    refused("mqtt.qos[0] == 1", 0, "no octets");
    refused("mqtt.topic matches u", 19, "in quotes");
    refused("mqtt.topic matches \"(\"", 19, "regular expression: missing closing parenthesis");
    refused("mqtt.topic matches \"^u\\d\"", 22, "not an escape");
    refused("mqtt.topic == \"u", 14, "quote is missing");
    refused("mqtt.topic == \"u\\", 16, "not an escape");
    refused("mqtt.topic[", 10, "bracket is missing");
    refused("mqtt.topic[]", 10, "not a slice");
    refused("mqtt.topic[a]", 10, "not a slice");
    refused("mqtt.topic[0:0]", 10, "not a slice");
    refused("mqtt.topic[3-1]", 10, "not a slice");
    refused("mqtt.topic == mqtt.msg", 14, "cannot compare");
    refused("mqtt.topic == tcp.port", 14, "cannot compare");
    refused("mqtt.properties == 1", 0, "no value");
    refused("ip.src == 300.1.1.1", 10, "not an IPv4");
    refused("ip.src == 10.0.0.0/33", 10, "not an IPv4");
    refused("ip.src == \"10.0.0.1\"", 10, "not an IPv4");
    refused("frame.time_epoch > soon", 19, "not a time");
    refused("mqtt.msg == xy", 12, "not octets");
    refused("mqtt.retain == maybe", 15, "true or false");
    refused("mqtt.qos in 1", 12, "\"{\"");
    refused("mqtt.qos in {}", 13, "stands where");
    refused("mqtt.qos in {1 3}", 15, "comma");
    refused("mqtt.qos in {1,}", 15, "stands where");
    refused("mqtt.qos in {1..}", 16, "stands where");
    refused("mqtt.topic mqtt_match \"a/#/b\"", 22, "topic filter");
    refused("len(mqtt.topic)", 0, "comparison");
    refused("len(mqtt.qos) == 1", 4, "text or octets");
    refused("len() == 1", 0, "one argument");
    refused("len(mqtt.topic, 1) == 1", 0, "one argument");
    refused("foo(mqtt.topic) == 1", 0, "no such function");
    refused("lower(\"A\") == \"a\"", 6, "not a field");
    refused("lower(mqtt.topik) == \"a\"", 6, "did you mean");
    refused("mqtt.retain + 1 == 2", 0, "takes numbers");
    refused("all mqtt.topic === \"a\"", 15, "twice");
    refused("any mqtt.topic", 14, "ends where");
    refused("mqtt.topic == u/two", 14, "no");
    refused("mqtt.qos == 1;", 13, "no meaning");
    refused("mqtt.qos == 1 # c", 14, "no meaning");
    refused("mqtt.msgid == 1 == 1", 16, "stands where");
    refused("mqtt.qos + mqtt.qos + mqtt.qos + mqtt.qos + mqtt.qos == 1", 44, "too many fields");
}

static void test_error_text(void **state)
{
    (void)state;
    char out[1024];
    struct filter_error error;
    const char *text = "mqtt.qos == 1 and mqtt.topik";
    assert_null(filter_compile(text, strlen(text), memory, sizeof memory, &error));
    filter_error_text(&error, text, strlen(text), out, sizeof out);
    assert_string_equal(out, "\"mqtt.topik\" is no field; did you mean mqtt.topic?\n"
                             "    mqtt.qos == 1 and mqtt.topik\n"
                             "                      ^~~~~~~~~~\n");
    const char *hostile = "mqtt.topic == \"\x1b[2J\xe6\xb8\xa9\" \x07";
    assert_null(filter_compile(hostile, strlen(hostile), memory, sizeof memory, &error));
    filter_error_text(&error, hostile, strlen(hostile), out, sizeof out);
    assert_null(strchr(out, '\x1b'));
    assert_null(strchr(out, '\x07'));
    assert_non_null(strstr(out, "\n                          ^\n")); /* the wide character counts as one */
}

static char *repeat(const char *text, unsigned n, const char *between)
{
    size_t len = strlen(text) + strlen(between);
    char *out = calloc(n, len + 1);
    assert_non_null(out);
    for (unsigned i = 0; i < n; i++)
        sprintf(out + strlen(out), "%s%s", i > 0 ? between : "", text);
    return out;
}

/* Long, deep and explosive filters end at once, with a message or a result. */
static void test_bounds(void **state)
{
    (void)state;
    struct made m;
    struct filter_error error;
    struct row *r = make(&m, publish, sizeof publish - 1, MQTT_V311);
    char *deep = repeat("(", 1000, "");
    refused(deep, 100, "nested deeper");
    free(deep);
    char *braces = repeat("{", 1000, "");
    refused(braces, 100, "nested deeper");
    free(braces);
    char *minus = repeat("-", 8000, "");
    refused(minus, 100, "nested deeper");
    free(minus);
    char *longer = repeat("x", 10000, "");
    refused(longer, FILTER_TEXT_MAX, "10000 characters");
    free(longer);
    char *not = repeat("not", 1000, " ");
    refused(not, strlen(not ), "ends where");
    free(not );
    char *chain = repeat("mqtt.qos == 2", 450, " or ");
    no(chain, r);
    free(chain);
    chain = repeat("mqtt.qos==1", 500, " and ");
    yes(chain, r);
    free(chain);
    char *sum = repeat("1", 500, "+");
    char text[2048];
    snprintf(text, sizeof text, "mqtt.qos == %s", sum);
    assert_int_equal(ask(text, r), -1);
    free(sum);
    /* memory that does not suffice is an error, whatever the size */
    const char *some =
        "mqtt.topic matches \"^a.*b\" and lower(mqtt.topic) matches \"(x+x+)+y\" and mqtt.topic[0,2] in {\"a\",\"b\"}";
    for (size_t size = 0; size < sizeof memory; size += size < 4096 ? 16 : 4093) {
        uint8_t *exact = malloc(size + 1);
        assert_non_null(exact);
        struct filter *f = filter_compile(some, strlen(some), exact, size, &error);
        assert_true(f != NULL || error.message[0] != '\0');
        if (f != NULL)
            filter_match(f, r);
        free(exact);
    }
}

static void test_catastrophe(void **state)
{
    (void)state;
    struct made m;
    uint8_t octets[64] = { 0x30, 62, 0, 60 };
    memset(octets + 4, 'a', 59);
    octets[63] = '!';
    const struct row *r = make(&m, octets, sizeof octets, MQTT_V311);
    static const char *const bombs[] = { "mqtt.topic matches \"(a+)+$\"", "mqtt.topic matches \"(a|aa)+$\"",
                                         "mqtt.topic matches \"^(([a-z])+.)+[A-Z]([a-z])+$\"",
                                         "mqtt.topic matches \"(.*)*(.*)*(.*)*b\"" };
    for (size_t i = 0; i < sizeof bombs / sizeof bombs[0]; i++) {
        struct filter_error error;
        struct filter *f = filter_compile(bombs[i], strlen(bombs[i]), memory, sizeof memory, &error);
        assert_non_null(f);
        assert_false(filter_match(f, r));
    }
    struct filter_error error;
    struct filter *f = filter_compile(bombs[0], strlen(bombs[0]), memory, sizeof memory, &error);
    filter_match(f, r);
    assert_true(filter_gave_up(f));
    for (unsigned row = 0; row < 100000; row++) /* a millisecond each, were it tried every time */
        assert_false(filter_match(f, r));
    assert_int_equal(ask("mqtt.topic matches \"((a{1,200}){1,200}){1,200}\"", r), -1);
}

/* More values than the pool holds: the walk is done again, and the last one is still found. */
static void test_spill(void **state)
{
    (void)state;
    struct made m;
    enum { FILTERS = 2000 };
    static uint8_t octets[5 + 2 + FILTERS * 8 + 1]; /* and the NUL of snprintf */
    size_t at = 5;
    octets[at++] = 0;
    octets[at++] = 1;
    for (unsigned i = 0; i < FILTERS; i++)
        at += (size_t)snprintf((char *)octets + at, 9, "%c%c%05u%c", 0, 5, i, 1);
    size_t body = at - 5;
    octets[0] = 0x82;
    octets[1] = (uint8_t)(body | 0x80);
    octets[2] = (uint8_t)(body >> 7 | 0x80);
    octets[3] = (uint8_t)(body >> 14 | 0x80);
    octets[4] = 0;
    const struct row *r = make(&m, octets, at, MQTT_V311);
    yes("count(mqtt.topic) == 2000", r);
    yes("mqtt.topic == \"01999\"", r);
    yes("all mqtt.topic matches \"^[0-9]+$\"", r);
    no("mqtt.topic == \"02000\"", r);
    no("mqtt.topic != \"01999\"", r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_relations), cmocka_unit_test(test_many_values),
        cmocka_unit_test(test_envelope),  cmocka_unit_test(test_v5_and_violations),
        cmocka_unit_test(test_errors),    cmocka_unit_test(test_error_text),
        cmocka_unit_test(test_bounds),    cmocka_unit_test(test_catastrophe),
        cmocka_unit_test(test_spill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
