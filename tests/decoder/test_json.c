/* SPDX-License-Identifier: Apache-2.0
 *
 * -T json: keys that are always there, types, arrays, what is no UTF-8, secrets (decoder/show/json.c). */
#include "decoder/show/json_parts.h"
#include "decoder/track/track.h"
#include "tests/decoder/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static char room[1 << 20];

/* A strict reader of one JSON object of strings, numbers, literals and flat arrays, as far as NDJSON of ours goes. */
static const char *skip_string(const char *p)
{
    assert_int_equal(*p++, '"');
    for (; *p != '"'; p++) {
        assert_true((unsigned char)*p >= 0x20 && *p != 0x7f);
        if (*p != '\\')
            continue;
        p++;
        assert_non_null(strchr("\"\\/bfnrtu", *p));
        if (*p == 'u')
            for (unsigned i = 0; i < 4; i++)
                assert_non_null(strchr("0123456789abcdef", *++p));
    }
    return p + 1;
}

static const char *skip_value(const char *p)
{
    if (*p == '"')
        return skip_string(p);
    if (*p == '[') {
        for (p++; *p != ']'; p += *p == ',') {
            p = skip_value(p);
            assert_true(*p == ',' || *p == ']');
        }
        return p + 1;
    }
    size_t len = strcspn(p, ",]}");
    char *end;
    if (strncmp(p, "true", len) == 0 || strncmp(p, "false", len) == 0 || strncmp(p, "null", len) == 0)
        return p + len;
    strtod(p, &end);
    assert_ptr_equal(end, p + len);
    return p + len;
}

/* Reads the object, checks that no key comes twice, and gives the value of `key` as it is written, "" when missing. */
static const char *member(const char *line, const char *key)
{
    static char value[65536];
    static const char *keys[1024];
    size_t n = 0;
    value[0] = '\0';
    assert_int_equal(*line, '{');
    const char *p = line + 1;
    while (*p != '}') {
        const char *name = p, *from = skip_string(p);
        assert_int_equal(*from, ':');
        p = skip_value(from + 1);
        for (size_t i = 0; i < n; i++)
            assert_false(strncmp(keys[i], name, (size_t)(from - name)) == 0);
        keys[n++] = name;
        if (strlen(key) + 2 == (size_t)(from - name) && strncmp(name + 1, key, strlen(key)) == 0)
            snprintf(value, sizeof value, "%.*s", (int)(p - from - 1), from + 1);
        assert_true(*p == ',' || *p == '}');
        p += *p == ',';
    }
    assert_string_equal(p, "}\n");
    return value;
}

static const char *json_of(const struct row *row, bool secrets, const struct field_set *only)
{
    struct out o = out_over(room, sizeof room - 1);
    struct show_style style = { .secrets = secrets };
    show_json(&o, row, &style, only);
    assert_int_equal(o.lost, 0);
    room[o.len] = '\0';
    return room;
}

static void always_there(void **state)
{
    static const char *const keys[][2] = {
        { "frame.number", "7" },
        { "frame.time_epoch", "1.500000000" },
        { "tcp.stream", "3" },
        { "ip.src", "\"10.0.0.7\"" },
        { "ip.dst", "\"10.0.0.2\"" },
        { "tcp.srcport", "50001" },
        { "tcp.dstport", "1883" },
        { "mqtt.ver", "null" },
        { "mqtt.msgtype", "12" },
        { "mqtt.hdrflags", "192" },
        { "mqtt.len", "0" },
        { "mqtt.clientid", "\"c1\"" },
        { "mqtt.ver_source", "\"unknown\"" },
    };
    struct sample s;
    (void)state;
    sample_of(&s, "\xc0\x00", 2, MQTT_VERSION_UNKNOWN, MQTT_CLIENT);
    s.row.stream = 3;
    s.row.version_source = MQTT_SOURCE_UNKNOWN;
    s.row.client_id = view_of("c1", 2);
    const char *line = json_of(&s.row, false, NULL);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        assert_string_equal(member(line, keys[i][0]), keys[i][1]);
    s.row.client_id = (struct view){ NULL, 0 };
    assert_string_equal(member(json_of(&s.row, false, NULL), "mqtt.clientid"), "");
    s.row.src.addr = s.row.dst.addr = (struct net_addr){ 6, { [15] = 1 } };
    line = json_of(&s.row, false, NULL);
    assert_string_equal(member(line, "ip.src"), "");
    assert_string_equal(member(line, "ipv6.src"), "\"::1\"");
    assert_string_equal(member(line, "ipv6.dst"), "\"::1\"");
    free(s.octets);
}

static void types_and_arrays(void **state)
{
    struct sample s;
    (void)state;
    sample_of(&s,
              "\x82\x0a\x00\x01\x00\x01"
              "a\x01\x00\x01#\x02",
              12, MQTT_V311, MQTT_CLIENT);
    const char *line = json_of(&s.row, false, NULL);
    assert_string_equal(member(line, "mqtt.topic"), "[\"a\",\"#\"]");
    assert_string_equal(member(line, "mqtt.sub.qos"), "[1,2]");
    assert_string_equal(member(line, "mqtt.ver"), "4");
    assert_string_equal(member(line, "mqtt.violation.rule"), "");
    free(s.octets);
    sample_of(&s, "\x3b\x05\x00\x01t\x00\x09\xff", 7, MQTT_V311, MQTT_CLIENT);
    line = json_of(&s.row, false, NULL);
    assert_string_equal(member(line, "mqtt.dupflag"), "true");
    assert_string_equal(member(line, "mqtt.retain"), "true");
    assert_string_equal(member(line, "mqtt.qos"), "1");
    assert_string_equal(member(line, "mqtt.topic"), "\"t\"");
    assert_string_equal(member(line, "mqtt.msg_len"), "0");
    free(s.octets);
    sample_of(&s, "\x30\x05\x00\x01+ab", 7, MQTT_V311, MQTT_CLIENT); /* a wildcard: one verdict, still in arrays */
    assert_int_equal(s.row.n_verdicts, 1);
    line = json_of(&s.row, false, NULL);
    assert_string_equal(member(line, "mqtt.violation.rule"), "[\"MQTT-3.3.2-2\"]");
    assert_string_equal(member(line, "mqtt.violation.severity"), "[\"error\"]");
    assert_string_equal(member(line, "mqtt.violation.side"), "[\"client\"]");
    assert_string_equal(member(line, "mqtt.violation.offset"), "[4]");
    assert_string_equal(member(line, "mqtt.msg"), "\"61:62\"");
    free(s.octets);
}

static void octets_that_are_no_text(void **state)
{
    struct sample s;
    (void)state;
    sample_of(&s,
              "\x30\x08\x00\x03"
              "a\xff\\"
              "\xfe\x1b"
              "x",
              10, MQTT_V311, MQTT_CLIENT);
    const char *line = json_of(&s.row, false, NULL);
    assert_string_equal(member(line, "mqtt.topic"), "\"a\\\\xff\\\\\\\\\"");
    assert_string_equal(member(line, "mqtt.invalid_utf8"), "[\"mqtt.topic\"]");
    assert_string_equal(member(line, "mqtt.msg"), "\"fe:1b:78\"");
    assert_string_equal(member(line, "mqtt.msg_text"), "");
    free(s.octets);
}

static void secrets(void **state)
{
    static const char connect[] = "\x10\x17\x00\x04MQTT\x04\xc2\x00\x0a\x00\x01"
                                  "c\x00\x03"
                                  "bob\x00\x03pwd";
    struct sample s;
    (void)state;
    sample_of(&s, connect, sizeof connect - 1, MQTT_V311, MQTT_CLIENT);
    const char *line = json_of(&s.row, false, NULL);
    assert_null(strstr(line, "pwd"));
    assert_null(strstr(line, "bob"));
    assert_string_equal(member(line, "mqtt.passwd"), "\"***\"");
    line = json_of(&s.row, true, NULL);
    assert_string_equal(member(line, "mqtt.passwd"), "\"pwd\"");
    assert_string_equal(member(line, "mqtt.username"), "\"bob\"");
    free(s.octets);
}

/* More items than are kept: the second way gives what the first gives. */
static void long_lists(void **state)
{
    enum { FILTERS = 100 };
    uint8_t octets[5 + 5 * FILTERS] = { 0x82 };
    struct sample s;
    (void)state;
    size_t n = 1 + mqtt_vbi_write(2 + 5 * FILTERS, octets + 1);
    octets[n + 1] = 1;
    n += 2;
    for (unsigned i = 0; i < FILTERS; i++, n += 5)
        memcpy(octets + n, (uint8_t[]){ 0, 2, (uint8_t)('a' + i / 26), (uint8_t)('a' + i % 26), 1 }, 5);
    sample_of(&s, octets, n, MQTT_V311, MQTT_CLIENT);
    const char *line = json_of(&s.row, false, NULL);
    const char *topics = member(line, "mqtt.topic");
    assert_int_equal(strlen(topics), 2 + FILTERS * 5 - 1);
    assert_memory_equal(topics, "[\"aa\",\"ab\"", 10);
    assert_string_equal(topics + strlen(topics) - 5, "\"dv\"]");
    assert_int_equal(strlen(member(line, "mqtt.topic_len")), 1 + FILTERS * 2);
    free(s.octets);
}

static void chosen_fields(void **state)
{
    struct field_set only = { { 0 } };
    struct sample s;
    (void)state;
    sample_of(&s, "\x30\x06\x00\x01tabc", 8, MQTT_V311, MQTT_CLIENT);
    field_set_add(&only, FIELD_MQTT_TOPIC);
    field_set_add(&only, FIELD_TCP_PORT);
    assert_string_equal(json_of(&s.row, false, &only), "{\"tcp.port\":[50001,1883],\"mqtt.topic\":\"t\"}\n");
    only = (struct field_set){ { 0 } };
    field_set_add(&only, FIELD_COMMUNITYID);
    assert_string_equal(json_of(&s.row, false, &only), "{\"communityid\":\"1:HdB3fYJfgV/12rlfiS3cCZfRJiw=\"}\n");
    only = (struct field_set){ { 0 } };
    field_set_add(&only, FIELD_MQTT_WILLTOPIC);
    assert_string_equal(json_of(&s.row, false, &only), "{}\n");
    free(s.octets);
}

static void gaps(void **state)
{
    struct row row = {
        .kind = ROW_GAP, .frame = 9, .gap_octets = 700, .skipped_octets = 3, .gap_reason = "lost segment"
    };
    (void)state;
    const char *line = json_of(&row, false, NULL);
    assert_string_equal(member(line, "mqtt.gap"), "700");
    assert_string_equal(member(line, "mqtt.gap_skipped"), "3");
    assert_string_equal(member(line, "mqtt.gap_reason"), "\"lost segment\"");
    assert_string_equal(member(line, "mqtt.msgtype"), "");
    assert_string_equal(member(line, "mqtt.ver"), "null");
}

/* Whatever the octets: one line, one object, no key twice. */
static void any_octets(void **state)
{
    uint32_t seed = 1;
    (void)state;
    for (unsigned run = 0; run < 20000; run++) {
        uint8_t octets[64];
        for (size_t i = 0; i < sizeof octets; i++) {
            seed = seed * 1664525 + 1013904223;
            octets[i] = (uint8_t)(seed >> 24);
        }
        octets[1] = (uint8_t)(octets[1] % 62);
        octets[2] = (uint8_t)(octets[2] & 1);
        struct sample s;
        sample_of(&s, octets, 2 + octets[1], 3 + run % 3, 1 + run % 2);
        member(json_of(&s.row, (run & 1) != 0, NULL), "");
        free(s.octets);
    }
}

static uint32_t random_state = 7;

static uint32_t random_below(uint32_t n)
{
    random_state = random_state * 1664525 + 1013904223;
    return (random_state >> 8) % n;
}

/* Text of pieces: plain, to be escaped, wide, deceiving and ill-formed ones; seldom the last kinds. */
static size_t random_text(uint8_t *to, size_t most)
{
    static const char *const pieces[] = {
        "a",          "temperature",  "/",    "\"",       "\\",           "\n",
        "\x01",       "\x7f",         " ",    "\xc3\xbc", "\xe6\xb8\xa9", "\xf0\x9f\x98\x80",
        "{\"t\":21}", "\xe2\x80\xae", "\xff", "\xc3",     "\xc2\x9b"
    };
    size_t n = 0;
    for (uint32_t left = random_below(12); left > 0; left--) {
        uint32_t kinds = random_below(8) == 0 ? 17 : 13;
        const char *piece = pieces[random_below(kinds)];
        if (n + strlen(piece) > most)
            break;
        memcpy(to + n, piece, strlen(piece));
        n += strlen(piece);
        if (random_below(60) == 0 && n < most)
            to[n++] = 0;
    }
    return n;
}

static size_t random_publish(uint8_t *to, unsigned version)
{
    unsigned qos = random_below(3);
    size_t topic = random_text(to + 4, 60), n = 4 + topic;
    to[0] = (uint8_t)(0x30 | qos << 1 | random_below(2) | (qos > 0 ? random_below(2) << 3 : 0));
    to[2] = 0;
    to[3] = (uint8_t)topic;
    if (qos > 0) {
        to[n++] = (uint8_t)random_below(256);
        to[n++] = 1;
    }
    if (version == MQTT_V5)
        to[n++] = 0;
    n += random_text(to + n, 40);
    to[1] = (uint8_t)(n - 2);
    return n;
}

static size_t random_answer(uint8_t *to, unsigned version)
{
    static const uint8_t firsts[] = { 0x40, 0x50, 0x62, 0x70, 0xc0, 0xd0 };
    unsigned kind = random_below(6), form = kind < 4 ? 2 + (version == MQTT_V5 ? random_below(3) : 0) : 0;
    memcpy(to, (uint8_t[]){ firsts[kind], (uint8_t)form, 1, (uint8_t)random_below(256), 0x10, 0 }, 6);
    return 2 + form;
}

static void random_note(struct track_note *n, uint8_t *topic)
{
    *n = (struct track_note){ .session = random_below(3),
                              .exchange = random_below(3) * 77777,
                              .first_frame = random_below(2) * 12345,
                              .answers_frame = random_below(2) * 9,
                              .latency_ns = (int64_t)random_below(4000) - 1,
                              .step_ns = (int64_t)random_below(3) - 1,
                              .kind = (uint8_t)random_below(TRACK_KINDS),
                              .outcome = (uint8_t)random_below(TRACK_OUTCOMES),
                              .step = (uint8_t)random_below(5),
                              .owed_by = (uint8_t)random_below(3),
                              .owed_type = (uint8_t)(1 + random_below(15)),
                              .resent = (uint16_t)(random_below(4) == 0),
                              .inflight = (uint16_t)random_below(2000),
                              .window = (uint16_t)(random_below(2) * 65535) };
    if (random_below(20) == 0)
        n->flags = TRACK_RETRANSMITTED | TRACK_RESUMED | TRACK_TAKEOVER;
    if (random_below(2) == 0)
        n->topic = view_of(topic, random_text(topic, 60));
}

/* The fast way writes what the general way writes. */
static void two_ways(void **state)
{
    static char other[1 << 16];
    unsigned fast = 0;
    (void)state;
    for (unsigned run = 0; run < 30000; run++) {
        uint8_t octets[256], client[64], topic[64];
        unsigned version = 3 + random_below(3);
        struct sample s;
        struct track_note note;
        size_t n = random_below(3) != 0 ? random_publish(octets, version) : random_answer(octets, version);
        sample_of(&s, octets, n, version, MQTT_CLIENT);
        random_note(&note, topic);
        s.row.note = random_below(5) != 0 ? &note : NULL;
        s.row.client_id = view_of(random_below(4) != 0 ? client : NULL, random_text(client, 60));
        s.row.client_id.len = s.row.client_id.ptr != NULL ? s.row.client_id.len : 0;
        s.row.time_ns = (int64_t)random_below(1u << 24) * 112345678901;
        s.row.frame = random_below(3) * 1234567;
        s.row.frame_first = random_below(2) != 0 ? s.row.frame : 3;
        s.row.stream = random_below(3) * 5000;
        s.row.frame_len = random_below(70000);
        s.row.version_source = random_below(9) != 0 ? MQTT_SOURCE_CONNECT : MQTT_SOURCE_INFERRED;
        if (random_below(3) == 0)
            s.row.src.addr = s.row.dst.addr =
                (struct net_addr){ 6, { 0x20, 1, 0x0d, 0xb8, [15] = (uint8_t)random_below(256) } };
        else
            s.row.src.addr.octets[3] = (uint8_t)random_below(256);
        struct field_set all = show_json_fields(&s.row);
        snprintf(other, sizeof other, "%s", json_of(&s.row, false, &all));
        assert_string_equal(json_of(&s.row, false, NULL), other);
        struct out o = out_over(room, sizeof room);
        fast += json_fast(&o, &s.row);
        o = out_over(room, 1000); /* too small: nothing is written */
        assert_false(json_fast(&o, &s.row));
        assert_int_equal(o.len, 0);
        free(s.octets);
    }
    assert_in_range(fast, 10000, 28000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(always_there), cmocka_unit_test(types_and_arrays), cmocka_unit_test(octets_that_are_no_text),
        cmocka_unit_test(secrets),      cmocka_unit_test(long_lists),       cmocka_unit_test(chosen_fields),
        cmocka_unit_test(gaps),         cmocka_unit_test(any_octets),       cmocka_unit_test(two_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
