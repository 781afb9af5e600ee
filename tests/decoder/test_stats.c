/* SPDX-License-Identifier: Apache-2.0
 *
 * Statistics over packets written by hand; the expected figures were added up by hand. */
#include "decoder/stats/stats.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MEMORY = 2 << 20, TEXT = 1 << 20 };

static uint8_t memory[MEMORY] __attribute__((aligned(16)));
static char text[TEXT];

struct feed {
    struct stats *s;
    struct mqtt_packet packet;
    struct mqtt_verdict verdicts[4];
    struct row row;
    uint8_t octets[300]; /* of the row, from publish() */
};

static struct feed open_stats(const char *spec)
{
    char error[STATS_ERROR_MAX];
    memset(memory, 0, sizeof memory);
    struct feed f = { .s = stats_open(spec, memory, sizeof memory, error) };
    if (f.s == NULL)
        fail_msg("%s: %s", spec, error);
    return f;
}

/* One packet of this client at this second. */
static void feed(struct feed *f, unsigned sender, const char *client, int64_t second, const void *octets, size_t len)
{
    struct mqtt_context context = { .version = MQTT_V311, .sender = (uint8_t)sender };
    struct mqtt_verdicts v = { .at = f->verdicts, .cap = 4 };
    struct row_endpoint device = { .addr = { .family = 4, .octets = { 10, 0, 0, (uint8_t)client[1] } }, .port = 50000 };
    struct row_endpoint broker = { .addr = { .family = 4, .octets = { 10, 0, 0, 1 } }, .port = 1883 };
    mqtt_decode(view_of(octets, len), context, &f->packet, &v);
    f->row = (struct row){ .kind = ROW_PACKET,
                           .time_start_ns = 1000000000,
                           .time_ns = (second + 1) * 1000000000,
                           .stream = (uint32_t)client[1],
                           .src = sender == MQTT_CLIENT ? device : broker,
                           .dst = sender == MQTT_CLIENT ? broker : device,
                           .sender = (uint8_t)sender,
                           .version = MQTT_V311,
                           .client_id = view_of(client, strlen(client)),
                           .packet = &f->packet,
                           .verdicts = f->verdicts,
                           .n_verdicts = v.n };
    stats_row(f->s, &f->row);
}

static void publish(struct feed *f, unsigned sender, const char *client, int64_t second, unsigned flags,
                    const char *topic, const char *payload)
{
    uint8_t *octets = f->octets;
    size_t n = strlen(topic), at = 4 + n;
    octets[0] = (uint8_t)(0x30 | flags);
    octets[2] = 0;
    octets[3] = (uint8_t)n;
    memcpy(octets + 4, topic, n);
    if ((flags & 6) != 0) {
        octets[at++] = 0;
        octets[at++] = 9;
    }
    memcpy(octets + at, payload, strlen(payload));
    at += strlen(payload);
    assert_true(at - 2 < 128);
    octets[1] = (uint8_t)(at - 2);
    feed(f, sender, client, second, octets, at);
}

static const char *printed(struct feed *f, bool json)
{
    struct out o = out_over(text, sizeof text - 1);
    stats_print(f->s, &o, json, NULL);
    assert_int_equal(o.lost, 0);
    text[o.len] = '\0';
    return text;
}

/* No line of a table is wider than 100 columns (everything here is ASCII). */
static void check_width(const char *lines)
{
    for (const char *line = lines; *line != '\0'; line += strcspn(line, "\n") + 1)
        if (strcspn(line, "\n") > 100)
            fail_msg("wider than 100 columns: %.*s", (int)strcspn(line, "\n"), line);
}

static void has(const char *lines, const char *part)
{
    if (strstr(lines, part) == NULL)
        fail_msg("\"%s\" is not in:\n%s", part, lines);
}

static void some_traffic(struct feed *f)
{
    publish(f, MQTT_CLIENT, "d1", 0, 0, "home/kitchen/temp", "21.5");
    publish(f, MQTT_CLIENT, "d1", 1, 3, "home/kitchen/temp", "21.6"); /* QoS 1, RETAIN */
    publish(f, MQTT_CLIENT, "d2", 2, 4, "home/hall/temp", "19");      /* QoS 2 */
    publish(f, MQTT_CLIENT, "d2", 3, 0, "home", "hello");
    publish(f, MQTT_SERVER, "a1", 4, 0, "home/hall/temp", "19");
    publish(f, MQTT_SERVER, "a1", 5, 1, "$SYS/uptime", "42 s"); /* RETAIN */
    publish(f, MQTT_SERVER, "b1", 10, 0, "home/hall/temp", "19");
    feed(f, MQTT_CLIENT, "a1", 10, "\x82\x1b\0\x01\0\x06home/#\x01\0\x0d$share/g/home\x02", 29);
    feed(f, MQTT_CLIENT, "b1", 10, "\x82\x0b\0\x02\0\x06home/#\x00", 13);
    feed(f, MQTT_CLIENT, "b1", 10, "\xa2\x0a\0\x03\0\x06home/#", 12);
}

static void test_topics(void **state)
{
    (void)state;
    struct feed f = open_stats("topics");
    some_traffic(&f);
    const char *json = printed(&f, true);
    /* home: all but $SYS: 4 in, 2 out; 4+4+2+5+2+2 octets; d1 d2 publish, a1 b1 receive */
    has(json, "{\"stat\":\"topics\",\"topic\":\"home\",\"level\":0,\"own\":1,\"in\":4,\"out\":2,\"per_s\":0.600,"
              "\"octets\":19,"
              "\"publishers\":2,\"receivers\":2,\"qos0\":4,\"qos1\":1,\"qos2\":1,\"retained\":1}\n");
    has(json, "\"topic\":\"home/kitchen/"
              "temp\",\"level\":2,\"own\":2,\"in\":2,\"out\":0,\"per_s\":0.200,\"octets\":8,\"publishers\":1,"
              "\"receivers\":0,\"qos0\":1,\"qos1\":1,\"qos2\":0,\"retained\":1}\n");
    has(json, "\"topic\":\"home/hall\",\"level\":1,\"own\":0,\"in\":1,\"out\":2,");
    has(json, "\"topic\":\"$SYS/uptime\",\"level\":1,\"own\":1,\"in\":0,\"out\":1,");
    assert_true(strstr(json, "$SYS") > strstr(json, "home/kitchen/temp")); /* apart, behind the others */
    has(json, "{\"stat\":\"topics\",\"filter\":\"home/"
              "#\",\"shared\":0,\"subscribes\":2,\"clients\":2,\"qos0\":1,\"qos1\":1,\"qos2\":0,"
              "\"unsubscribes\":1}\n");
    has(json, "{\"stat\":\"topics\",\"filter\":\"$share/g/home\",\"shared\":1,\"subscribes\":1,\"clients\":1,");
    const char *table = printed(&f, false);
    check_width(table);
    has(table, "\nhome                                4      2   0.600       19     2     2     4     1     1     1\n");
    has(table, "\n  hall                              1      2   0.300        6     1     2     2     0     1     0\n");
    has(table, "$ topics\n");
    has(table, "Shared subscriptions");
}

static void test_types(void **state)
{
    (void)state;
    struct feed f = open_stats("types");
    some_traffic(&f);
    const char *json = printed(&f, true);
    has(json, "\"type\":\"PUBLISH\",\"packets\":7,\"packets_percent\":70.0,");
    has(json, "\"from_client\":4,\"from_server\":3}");
    has(json, "\"type\":\"SUBSCRIBE\",\"packets\":2,\"packets_percent\":20.0,\"packets_per_s\":0.200,\"octets\":42,");
    assert_null(strstr(json, "CONNECT"));
    check_width(printed(&f, false));
}

static void test_clients_and_conv(void **state)
{
    (void)state;
    struct feed f = open_stats("clients");
    some_traffic(&f);
    has(printed(&f, true),
        "{\"stat\":\"clients\",\"client_id\":\"d1\",\"tcp.stream\":null,\"mqtt.ver\":\"3.1.1\",\"connects\":0,"
        "\"client_packets\":2,\"client_octets\":52,\"client_published\":2,\"client_published_qos0\":1,"
        "\"client_published_qos1\":1,\"client_published_qos2\":0,\"client_payload_octets\":8,");
    check_width(printed(&f, false));
    f = open_stats("conv");
    some_traffic(&f);
    has(printed(&f, true), "\"client\":\"10.0.0.49:50000\",\"server\":\"10.0.0.1:1883\",");
    check_width(printed(&f, false));
    f = open_stats("stats");
    some_traffic(&f);
    has(printed(&f, true), "{\"stat\":\"stats\",\"figure\":\"publish_retained\",\"value\":2}\n");
    check_width(printed(&f, false));
}

static void test_io(void **state)
{
    (void)state;
    struct feed f = open_stats("io,5,mqtt.qos == 1");
    some_traffic(&f);
    const char *json = printed(&f, true);
    has(json, "{\"stat\":\"io\",\"from_s\":0.000000000,\"to_s\":5.000000000,\"packets\":5,\"octets\":107,\"matching_"
              "packets\":1,"
              "\"matching_octets\":27}\n");
    has(json, "\"from_s\":10.000000000,\"to_s\":10.000000000,\"packets\":4,");
    check_width(printed(&f, false));
    /* a long run: the intervals grow, and nothing is lost */
    f = open_stats("io,0.001");
    publish(&f, MQTT_CLIENT, "d1", 0, 0, "a", "");
    publish(&f, MQTT_CLIENT, "d1", 86400 * 365, 0, "a", "");
    json = printed(&f, true);
    unsigned packets = 0;
    for (const char *at = json; (at = strstr(at, "\"packets\":1,")) != NULL; at++)
        packets++;
    assert_int_equal(packets, 2);
    has(printed(&f, false), "longer than asked for");
    f = open_stats("io,0");
    some_traffic(&f);
    has(printed(&f, true), "{\"stat\":\"io\",\"from_s\":0.000000000,\"to_s\":10.000000000,\"packets\":10,");
}

static void test_findings(void **state)
{
    (void)state;
    struct feed f = open_stats("findings");
    feed(&f, MQTT_CLIENT, "d1", 1,
         "\x36\x05\0\x01"
         "a\0\x01",
         7); /* both QoS bits: [MQTT-3.3.1-4] */
    struct track_finding late = { .number = 1,
                                  .frame = { 5, 9 },
                                  .time_ns = 4000000000,
                                  .diagnosis = TRACK_DIAG_UNANSWERED,
                                  .severity = MQTT_SEVERITY_WARNING,
                                  .side = MQTT_SERVER,
                                  .name = "unanswered",
                                  .sentence = "PUBLISH 7 has waited for PUBACK for 3 s",
                                  .client_id = view_of("d\x1b[2J", 5) };
    stats_finding(f.s, &late);
    const char *table = printed(&f, false);
    check_width(table);
    has(table, "MQTT-3.3.1-4");
    has(table, "PUBLISH 7 has waited");
    has(table, "1 errors\n1 warnings\n0 notes\n");
    assert_null(strchr(table, '\x1b'));
    has(printed(&f, true), "\"severity\":\"warning\",\"side\":\"server\",\"name\":\"unanswered\",\"rule\":null,");
}

/* An answer of this type, so long after what it answers. */
static void answer(struct feed *f, unsigned sender, const char *client, const char *octets, size_t len,
                   const struct track_note *note)
{
    static struct track_note kept;
    kept = *note;
    struct mqtt_context context = { .version = MQTT_V311, .sender = (uint8_t)sender };
    struct mqtt_verdicts v = { .at = f->verdicts, .cap = 4 };
    mqtt_decode(view_of(octets, len), context, &f->packet, &v);
    f->row = (struct row){ .kind = ROW_PACKET,
                           .sender = (uint8_t)sender,
                           .version = MQTT_V311,
                           .client_id = view_of(client, strlen(client)),
                           .packet = &f->packet,
                           .note = &kept };
    stats_row(f->s, &f->row);
}

static void puback(struct feed *f, const char *client, const char *topic, int64_t us)
{
    struct track_note note = { .latency_ns = us * 1000,
                               .step_ns = us * 1000,
                               .forward_ns = -1,
                               .kind = TRACK_QOS1,
                               .topic = view_of(topic, strlen(topic)) };
    answer(f, MQTT_SERVER, client, "\x40\x02\0\x01", 4, &note);
}

/* The number behind this key in the line that begins so. */
static long number_in(const char *lines, const char *start, const char *key)
{
    const char *line = strstr(lines, start);
    const char *at = line != NULL ? strstr(line, key) : NULL;
    if (at == NULL)
        fail_msg("no %s behind %s in:\n%s", key, start, lines);
    return atol(at + strlen(key));
}

static void test_latency(void **state)
{
    (void)state;
    struct feed f = open_stats("latency");
    for (int64_t i = 100; i >= 1; i--) /* d1: 1 to 100 ms, down; d2: 7 and 3 us */
        puback(&f, "d1", i % 2 != 0 ? "odd" : "even", i * 1000);
    puback(&f, "d2", "odd", 7);
    puback(&f, "d2", "odd", 3);
    const char *json = printed(&f, true);
    const char *d1 = "\"by\":\"server\",\"client_id\":\"d1\",\"topic\":null,\"count\":100,\"min_us\":1000,";
    has(json, d1);
    assert_in_range(number_in(json, d1, "\"p50_us\":"), 50000 * 31 / 32, 50000 * 33 / 32 + 1);
    assert_in_range(number_in(json, d1, "\"p90_us\":"), 90000 * 31 / 32, 90000 * 33 / 32 + 1);
    assert_in_range(number_in(json, d1, "\"p99_us\":"), 99000 * 31 / 32, 99000 * 33 / 32 + 1);
    assert_int_equal(number_in(json, d1, "\"max_us\":"), 100000);
    has(json, "{\"stat\":\"latency\",\"step\":\"PUBLISH-PUBACK\",\"by\":\"server\",\"client_id\":\"d2\",\"topic\":null,"
              "\"count\":2,\"min_us\":3,\"p50_us\":3,\"p90_us\":7,\"p99_us\":7,\"max_us\":7}\n");
    has(json, "\"client_id\":null,\"topic\":null,\"count\":102,\"min_us\":3,");
    has(json, "\"client_id\":null,\"topic\":\"odd\",\"count\":52,\"min_us\":3,");
    has(json, "\"client_id\":null,\"topic\":\"even\",\"count\":50,\"min_us\":2000,");
    check_width(printed(&f, false));
}

/* Every step has its name, and what is no answer has no time. */
static void test_latency_steps(void **state)
{
    (void)state;
    struct feed f = open_stats("latency");
    static const struct {
        uint8_t sender, kind, outcome;
        const char *octets;
        size_t len;
        const char *step;
    } steps[] = {
        { MQTT_SERVER, TRACK_CONNECT, TRACK_COMPLETE, "\x20\x02\0\0", 4, "CONNECT-CONNACK" },
        { MQTT_SERVER, TRACK_QOS2, TRACK_OPEN, "\x50\x02\0\x01", 4, "PUBLISH-PUBREC" },
        { MQTT_CLIENT, TRACK_QOS2, TRACK_OPEN, "\x62\x02\0\x01", 4, "PUBREC-PUBREL" },
        { MQTT_SERVER, TRACK_QOS2, TRACK_COMPLETE, "\x70\x02\0\x01", 4, "PUBREL-PUBCOMP" },
        { MQTT_SERVER, TRACK_SUBSCRIBE, TRACK_COMPLETE, "\x90\x03\0\x01\0", 5, "SUBSCRIBE-SUBACK" },
        { MQTT_SERVER, TRACK_UNSUBSCRIBE, TRACK_COMPLETE, "\xb0\x02\0\x01", 4, "UNSUBSCRIBE-UNSUBACK" },
        { MQTT_SERVER, TRACK_PING, TRACK_COMPLETE, "\xd0\0", 2, "PINGREQ-PINGRESP" },
    };
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct track_note note = { .latency_ns = 5000000 + (int64_t)i * 1000,
                                   .step_ns = 1000000 + (int64_t)i * 1000,
                                   .forward_ns = -1,
                                   .kind = steps[i].kind,
                                   .outcome = steps[i].outcome,
                                   .topic = view_of("t", 1) };
        answer(&f, steps[i].sender, "d1", steps[i].octets, steps[i].len, &note);
        note.flags = TRACK_OUT_OF_PLACE; /* none of these adds a step; the whole of an exchange may be told */
        note.latency_ns = -1;
        answer(&f, steps[i].sender, "d1", steps[i].octets, steps[i].len, &note);
        note.flags = TRACK_RESUMED;
        answer(&f, steps[i].sender, "d1", steps[i].octets, steps[i].len, &note);
        note.flags = 0;
        note.step_ns = -1;
        answer(&f, steps[i].sender, "d1", steps[i].octets, steps[i].len, &note);
    }
    struct track_note forward = { .latency_ns = -1, .step_ns = -1, .forward_ns = 42000 };
    answer(&f, MQTT_SERVER, "d2", "\x30\x05\0\x01tmm", 7, &forward);
    const char *json = printed(&f, true);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        char line[160];
        snprintf(line, sizeof line,
                 "\"step\":\"%s\",\"by\":\"%s\",\"client_id\":\"d1\",\"topic\":null,\"count\":1,\"min_us\":%u,",
                 steps[i].step, steps[i].sender == MQTT_CLIENT ? "client" : "server",
                 (unsigned)((steps[i].kind == TRACK_CONNECT ? 5000 : 1000) + i));
        has(json, line);
    }
    has(json, "\"step\":\"PUBLISH-PUBCOMP\",\"by\":\"server\",\"client_id\":\"d1\",\"topic\":null,\"count\":1,\"min_"
              "us\":5003,");
    has(json, "\"step\":\"PUBREC-PUBREL\",\"by\":\"client\",\"client_id\":null,\"topic\":\"t\",\"count\":1,");
    has(json, "\"step\":\"publisher-subscriber\",\"by\":\"server\",\"client_id\":\"d2\",\"topic\":null,\"count\":1,"
              "\"min_us\":42,");
    has(json, "\"step\":\"publisher-subscriber\",\"by\":\"server\",\"client_id\":null,\"topic\":\"t\",\"count\":1,");
    assert_null(strstr(json, "\"topic\":\"t\",\"count\":2"));
    assert_null(strstr(json, "SUBACK\",\"by\":\"server\",\"client_id\":null,\"topic\":\"t\""));
}

/* More clients and topics than there is room for: the sums for all stay right. */
static void test_latency_bounds(void **state)
{
    (void)state;
    struct feed f = open_stats("latency");
    for (unsigned n = 0; n < 30000; n++) {
        char client[32];
        snprintf(client, sizeof client, "c%u", n);
        puback(&f, client, client, 5);
    }
    for (unsigned n = 0; n < 1000 * 20; n++) { /* histograms for all of them have no room either */
        char client[32];
        snprintf(client, sizeof client, "c%u", n % 1000);
        puback(&f, client, "t", 5);
    }
    const char *json = printed(&f, true);
    has(json, "\"client_id\":null,\"topic\":null,\"count\":50000,\"min_us\":5,\"p50_us\":5,");
    has(json, "\"count\":21,\"min_us\":5,\"p50_us\":null,\"p90_us\":null,\"p99_us\":null,\"max_us\":5}");
    has(printed(&f, false), " steps are only in the sums for all: the table is full\n");
    has(printed(&f, false), " rows have no percentiles: the memory is used up\n");
}

static void test_exchanges(void **state)
{
    (void)state;
    struct feed f = open_stats("exchanges");
    struct track_exchange x = { .kind = TRACK_QOS1,
                                .outcome = TRACK_ABANDONED,
                                .starter = MQTT_CLIENT,
                                .client_id = view_of("d1", 2),
                                .last_ns = 3600000000000,
                                .owed_by = MQTT_SERVER,
                                .owed_type = MQTT_PUBACK,
                                .topic = view_of("a/very/long/topic/that/does/not/fit/the/column", 45) };
    stats_exchange(f.s, &x);
    check_width(printed(&f, false));
    has(printed(&f, true), "\"kind\":\"qos1\",\"starter\":\"client\",\"mqtt.msgid\":0,\"outcome\":\"abandoned\",");
}

/* Connections and client identifiers are counted once each, also where a connection tells another name, or none. The
 * connection is the second letter of the name. */
static void test_totals(void **state)
{
    static const char connect[] = "\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02zz";
    (void)state;
    struct feed f = open_stats("stats");
    publish(&f, MQTT_CLIENT, "d1", 0, 0, "t", "1");
    publish(&f, MQTT_CLIENT, "d1", 0, 0, "t", "2");
    publish(&f, MQTT_CLIENT, "e1", 0, 0, "t", "3"); /* told by no CONNECT: not looked at again */
    feed(&f, MQTT_CLIENT, "f1", 1, connect, sizeof connect - 1);
    publish(&f, MQTT_CLIENT, "f1", 1, 0, "t", "4");
    feed(&f, MQTT_CLIENT, "d2", 2, connect, sizeof connect - 1);
    feed(&f, MQTT_CLIENT, "d1-again", 2, connect, sizeof connect - 1); /* connection '1' */
    feed(&f, MQTT_CLIENT, "f1", 3, connect, sizeof connect - 1);
    const char *lines = printed(&f, true);
    has(lines, "\"figure\":\"connections\",\"value\":2}");
    has(lines, "\"figure\":\"clients\",\"value\":4}"); /* d1 f1 d2 d1-again */
    has(lines, "\"figure\":\"packets\",\"value\":8}");
    has(lines, "\"figure\":\"publish_qos0\",\"value\":4}");
}

/* Thousands of topics and clients in little memory: the sums stay right, the rest is counted together. */
static void test_bounds(void **state)
{
    (void)state;
    static const char *const specs[] = { "topics", "clients", "conv", "stats", "exchanges", "latency", "findings" };
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        struct feed f = open_stats(specs[i]);
        for (unsigned n = 0; n < 30000; n++) {
            char topic[64], client[32];
            snprintf(topic, sizeof topic, "t/%u/%u", n, n * 7);
            snprintf(client, sizeof client, "c%u", n);
            publish(&f, MQTT_CLIENT, client, n, 0, topic, "x");
            f.row.stream = n;
            stats_row(f.s, &f.row);
            struct track_exchange x = { .kind = TRACK_QOS2, .outcome = TRACK_COMPLETE, .client_id = f.row.client_id };
            struct track_finding late = { .severity = 1, .name = "n", .client_id = f.row.client_id };
            stats_exchange(f.s, &x);
            stats_finding(f.s, &late);
        }
        struct out o = out_over(text, sizeof text - 1);
        stats_print(f.s, &o, false, NULL);
        text[o.len] = '\0';
        if (strcmp(specs[i], "topics") == 0)
            has(text, "\n(others) ");
    }
}

static void test_names(void **state)
{
    (void)state;
    char error[STATS_ERROR_MAX];
    static const char *const bad[] = { "",          "topic", "topics,1",        "io",     "io,", "io,x",
                                       "io,0.0001", "io,-1", "io,1,mqtt.topik", "\x1b[2J" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        memset(memory, 0, sizeof memory);
        if (stats_open(bad[i], memory, sizeof memory, error) != NULL)
            fail_msg("should be refused: %s", bad[i]);
        assert_null(strchr(error, '\x1b'));
        assert_int_equal(error[strlen(error) - 1], '\n');
    }
    memset(memory, 0, sizeof memory);
    stats_open("io,1,mqtt.topik", memory, sizeof memory, error);
    has(error, "did you mean mqtt.topic?");
    for (unsigned i = 0; stats_name(i) != NULL && strcmp(stats_name(i), "help") != 0; i++)
        if (strcmp(stats_name(i), "io") != 0) {
            struct feed f = open_stats(stats_name(i));
            check_width(printed(&f, false)); /* nothing fed */
            printed(&f, true);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_topics),           cmocka_unit_test(test_types),
                                        cmocka_unit_test(test_clients_and_conv), cmocka_unit_test(test_io),
                                        cmocka_unit_test(test_findings),         cmocka_unit_test(test_latency),
                                        cmocka_unit_test(test_latency_steps),    cmocka_unit_test(test_latency_bounds),
                                        cmocka_unit_test(test_exchanges),        cmocka_unit_test(test_bounds),
                                        cmocka_unit_test(test_totals),           cmocka_unit_test(test_names) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
