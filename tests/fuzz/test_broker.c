/* SPDX-License-Identifier: Apache-2.0
 *
 * The step function at its limits: what is refused and with which reason, slow readers, memory that is not there, input
 * in pieces, access control, enhanced authentication. */
#include "tests/fuzz/step.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct step *step_new(void)
{
    struct step *s = calloc(1, sizeof *s);
    s->config = broker_defaults();
    s->config.sys_interval_s = 0;
    return s;
}

static void step_end(struct step *s)
{
    step_stop(s);
    assert_int_equal(s->allocated, 0);
    free(s);
}

static void play(struct step *s, unsigned version, const char *script)
{
    struct probe probe = { "", "", "", "", script };
    struct probe_wire wire = step_wire(s);
    struct probe_result result;
    if (!probe_run(&probe, version, "t", true, &wire, &result))
        fail_msg("line %u: %s\n%s", result.line, result.what, script);
}

/* The same, and the clients stay. */
static void begin(struct step *s)
{
    assert_true(step_start(s));
}

/* ---- limits ---- */

static void test_connections(void **state)
{
    (void)state;
    struct step *s = step_new();
    s->config.max_connections = 2;
    begin(s);
    play(s, 5,
         "a up\nb up\nc open\nc > connect\nc refused 0x97\nd open v=4\nd > connect\nd refused 3\na none\na bye\nc "
         "up\nc none\nb none\n");
    step_end(s);
}

static void test_sessions(void **state)
{
    (void)state;
    struct step *s = step_new();
    s->config.max_sessions = 2;
    begin(s);
    play(s, 5,
         "a up sei=60\na bye\nb up\nc open\nc > connect\nc refused 0x97\na up clean=0 sei=60 present=1\nb bye\nc up\n");
    step_end(s);
}

static void test_subscriptions(void **state)
{
    (void)state;
    struct step *s = step_new();
    s->config.max_subscriptions = 2;
    s->config.max_levels = 3;
    begin(s);
    play(s, 5,
         "a up\na sub t/1 t/2 t/3 codes=0,0,0x97\na sub t/2 q=1 codes=1\na unsub t/1\na sub t/3 codes=0\nb up\nb sub "
         "a/b/c a/b/c/d codes=0,0x97\n");
    play(s, 4, "c up\nc sub a/b/c/d codes=0x80\n");
    step_end(s);
}

static void test_retained(void **state)
{
    (void)state;
    struct step *s = step_new();
    s->config.max_retained = 1;
    begin(s);
    play(s, 5,
         "a up\na pub t=t/1 p=x q=1 r=1\na pub t=t/2 p=x q=1 r=1 reason=0x97\na pub t=t/1 p=y q=1 r=1\na pub t=t/1 q=1 "
         "r=1\na pub t=t/2 p=x q=1 r=1\n"
         "b up\nb sub #\nb got t=t/2 p=x r=1\nb none\n");
    step_end(s);
}

/* A message that is over at once for one client, because it is too large for it, still goes to the others. */
static void test_too_large_for_one(void **state)
{
    (void)state;
    struct step *s = step_new();
    begin(s);
    play(s, 5,
         "a up mps=30\nb up\nc up\nd up mps=30\na sub t q=1\nb sub t q=1\nc sub t q=1\nd sub t q=1\n"
         "e up\ne pub t=t q=1 p=0123456789012345678901234567890123456789\n"
         "b got t=t q=1 p=0123456789012345678901234567890123456789\n"
         "c got t=t q=1 p=0123456789012345678901234567890123456789\na none\nd none\n");
    step_end(s);
}

static void test_queue(void **state)
{
    (void)state;
    struct step *s = step_new();
    struct broker_stats stats;
    s->config.max_queued = 3;
    begin(s);
    play(s, 5,
         "a up sei=60\na sub t q=1\na bye\nb up\nb pub t=t p=1 q=1\nb pub t=t p=2 q=1\nb pub t=t p=3 q=1\nb pub t=t "
         "p=4 q=1\nb none\n"
         "a up clean=0\na got t=t p=1 q=1\na got t=t p=2 q=1\na got t=t p=3 q=1\na none\n");
    broker_stats(s->broker, &stats);
    assert_int_equal(stats.dropped, 1);
    step_end(s);
}

/* Nobody can fill the memory: one is refused with 0x97, the others go on. */
static void test_memory(void **state)
{
    (void)state;
    struct step *s = step_new();
    struct broker_stats stats;
    char script[3000] = "a up\n";
    s->config.max_memory = 100000;
    begin(s);
    for (int i = 0; i < 24; i++)
        snprintf(script + strlen(script), 80, "a pub t=t/%d p=@4000 q=1 r=1 reason=%s\n", i,
                 i < 15 ? "0x10" : "0x10|0x97");
    strcat(script,
           "a pub t=t/last p=@4000 q=1 r=1 reason=0x97\nb up\nb sub x\nc up\nc pub t=x p=small\nb got t=x p=small\n");
    play(s, 5, script);
    broker_stats(s->broker, &stats);
    assert_true(stats.memory_peak <= 100000);
    step_end(s);
}

/* ---- a reader that does not read ---- */

static size_t packet_publish(uint8_t *out, unsigned qos, uint16_t id, size_t payload)
{
    struct mqtt_packet p = {
        .type = MQTT_PUBLISH, .flags = (uint8_t)(qos << 1), .version = MQTT_V311, .has_id = qos > 0, .id = id
    };
    static uint8_t text[2000];
    p.publish.qos = (uint8_t)qos;
    p.publish.topic = view_of("t", 1);
    p.publish.payload = view_of(text, payload);
    p.publish.payload_len = (uint32_t)payload;
    return mqtt_encode(&p, out, 4096);
}

static void up(struct step *s, unsigned client, char name)
{
    uint8_t connect[] = { 0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0, 0, 1, (uint8_t)name };
    assert_true(step_open(s, client));
    step_send(s, client, view_of(connect, sizeof connect));
}

static void test_slow_reader(void **state)
{
    (void)state;
    static const uint8_t subscribe[] = { 0x82, 6, 0, 1, 0, 1, 't', 1 };
    struct step *s = step_new();
    struct broker_stats stats;
    uint8_t packet[4096];
    s->config.max_output = 20000;
    begin(s);
    for (unsigned i = 0; i < 3; i++)
        up(s, i, (char)('a' + i));
    step_send(s, 0, view_of(subscribe, sizeof subscribe));
    step_send(s, 1, view_of(subscribe, sizeof subscribe));
    s->pipes[0].stuck = true;
    s->pipes[1].len = s->pipes[2].len = 0;
    for (uint16_t i = 1; i <= 3000; i++) {
        size_t len = packet_publish(packet, i % 2, i, 1000);
        step_send(s, 2, view_of(packet, len));
        if (i % 2 == 1) { /* the reader acknowledges */
            uint16_t id = (uint16_t)((i + 1) / 2);
            uint8_t puback[] = { 0x40, 2, (uint8_t)(id >> 8), (uint8_t)id };
            step_send(s, 1, view_of(puback, sizeof puback));
        }
    }
    broker_stats(s->broker, &stats);
    assert_true(s->pipes[1].len > 3000 * 1000u); /* the other has everything */
    assert_int_equal(s->pipes[2].len, 1500 * 4); /* and the publisher its answers */
    assert_true(broker_output(s->pipes[0].conn).len < 20000 + 1100);
    assert_false(broker_wants_input(s->pipes[0].conn));
    assert_true(stats.queued <= 1000);
    assert_true(stats.memory_peak < 2000000); /* 1,000 queued messages of 1,000 octets, and little else */
    s->pipes[0].stuck = false;
    step_settle(s);
    assert_true(broker_wants_input(s->pipes[0].conn));
    step_end(s);
}

/* A client that subscribes to everything again and again without reading costs one walk over the retained messages, not
 * one each time. */
static void test_greedy_subscriber(void **state)
{
    (void)state;
    enum { RETAINED = 2000, TIMES = 3000 };
    static const uint8_t subscribe[] = { 0x82, 6, 0, 1, 0, 1, '#', 0 };
    struct step *s = step_new();
    struct broker_stats stats;
    uint8_t packet[64];
    s->config.max_output = 2000;
    s->config.max_queued = 10;
    s->config.max_retained = RETAINED;
    begin(s);
    up(s, 0, 'a');
    up(s, 1, 'b');
    for (int i = 0; i < RETAINED; i++) {
        int len = snprintf((char *)packet + 4, 20, "t/%d", i);
        packet[0] = 0x31;
        packet[1] = (uint8_t)(len + 3);
        packet[2] = 0;
        packet[3] = (uint8_t)len;
        packet[4 + len] = 'x';
        step_send(s, 1, view_of(packet, (size_t)len + 5));
    }
    s->pipes[0].stuck = true;
    for (int i = 0; i < TIMES; i++)
        step_send(s, 0, view_of(subscribe, sizeof subscribe));
    broker_stats(s->broker, &stats);
    assert_int_equal(stats.retained, RETAINED);
    assert_true(stats.queued <= RETAINED + 10);
    assert_true(stats.dropped <= TIMES + RETAINED); /* a walk that went on would have counted TIMES * RETAINED */
    s->pipes[0].stuck = false;
    step_settle(s);
    assert_true(s->pipes[0].len > RETAINED * 8u); /* everything once, at least */
    step_end(s);
}

/* ---- memory refused at every single point; input in pieces ---- */

static void play_probe(struct step *s, const struct probe *probe, unsigned version, bool must_pass)
{
    struct probe_wire wire = step_wire(s);
    struct probe_result result;
    if (!step_start(s)) {
        assert_int_equal(s->allocated, 0);
        return;
    }
    bool fine = probe_run(probe, version, "t", true, &wire, &result);
    if (must_pass && !fine)
        fail_msg("%s: line %u: %s", probe->title, result.line, result.what);
    step_stop(s);
    assert_int_equal(s->allocated, 0);
}

static void test_no_memory_anywhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < probe_count; i++) {
        if (probes[i].needs[0] != '\0')
            continue;
        unsigned version = (unsigned)(probes[i].versions[strlen(probes[i].versions) - 1] - '0');
        for (uint64_t n = 1; n < 60; n++) {
            struct step *s = step_new();
            s->refuse_after = n;
            play_probe(s, &probes[i], version, false);
            free(s);
        }
    }
}

static void test_octet_by_octet(void **state)
{
    (void)state;
    for (size_t i = 0; i < probe_count; i++) {
        for (const char *v = probes[i].versions; *v != '\0' && probes[i].needs[0] == '\0'; v++) {
            struct step *s = step_new();
            s->config.sys_interval_s = 10;
            s->octetwise = true;
            play_probe(s, &probes[i], (unsigned)(*v - '0'), true);
            free(s);
        }
    }
}

/* ---- access control ---- */

static const char acl_text[] = "# for everybody without a name\n"
                               "topic read public/#\n"
                               "topic write in/+/x\r\n"
                               "\n"
                               "user ann\n"
                               "topic ann/#\n"
                               "topic deny ann/secret\n"
                               "pattern readwrite own/%c/#\n"
                               "pattern write by/%u\n";

static void test_acl(void **state)
{
    (void)state;
    struct step *s = step_new();
    begin(s);
    assert_int_equal(broker_acl(s->broker, view_of(acl_text, sizeof acl_text - 1)), 0);
    play(s, 5,
         "a up id=one\n"
         "a sub public/x public/# # in/1/x own/one/t own/two/t ann/x codes=0,0,0,0x87,0,0x87,0x87\n"
         "a pub t=public/x p=1 q=1 reason=0x87\n"
         "a pub t=in/1/x p=1 q=1 reason=0x10\n"
         "a pub t=in/1/y p=1 q=1 reason=0x87\n"
         "a > publish t=own/one/t p=1 q=1 id=9\n"
         "a got t=own/one/t p=1\n"
         "a < puback id=9 reason=0\n"
         "a none\n"
         "b up username=ann password=x id=two\n"
         "b sub ann/# q=1 codes=1\n"
         "b > publish t=ann/x p=1 q=1 id=9\n"
         "b got t=ann/x p=1 q=1\n"
         "b < puback id=9 reason=0\n"
         "b pub t=ann/secret p=1 q=2 reason=0x87\n"
         "b pub t=by/ann p=1 q=1 reason=0x10\n"
         "b pub t=by/bob p=1 q=1 reason=0x87\n"
         "b none\na none\n"
         /* a name with a wildcard or a slash does not widen a pattern */
         "c up id=+\n"
         "c pub t=own/one/t p=2 q=1 reason=0x87\n"
         "d up id=one/t\n"
         "d pub t=own/one/t/x p=2 q=1 reason=0x87\n"
         "a none\n");
    step_end(s);
}

static void test_bad_files(void **state)
{
    (void)state;
    struct step *s = step_new();
    begin(s);
    static const struct {
        const char *text;
        int line;
    } acls[] = {
        { "topic a\nnonsense\n", 2 }, { "topic read a/#/b\n", 1 }, { "user\n", 1 }, { "topic read\n", 1 }, { "", 0 }
    };
    for (size_t i = 0; i < sizeof acls / sizeof acls[0]; i++)
        assert_int_equal(broker_acl(s->broker, view_of(acls[i].text, strlen(acls[i].text))), acls[i].line);
    static const struct {
        const char *text;
        int line;
    } passwords[] = { { "ann\n", 1 },
                      { "# x\nann:$5$AAAA$AAAA\n", 2 },
                      { "ann:$6$AAAA$AAAA\n", 1 },
                      { "ann:$7$0$AAAA$AAAA\n", 1 },
                      { ":$6$AAAA$AAAA\n", 1 },
                      { "ann:plain\n", 1 },
                      { "\n# nobody\n", 0 } };
    for (size_t i = 0; i < sizeof passwords / sizeof passwords[0]; i++)
        assert_int_equal(broker_passwords(s->broker, view_of(passwords[i].text, strlen(passwords[i].text))),
                         passwords[i].line);
    play(s, 5, "a open\na > connect username=ann password=x\na refused 0x86\n"); /* the last file lets nobody in */
    step_end(s);
}

/* ---- enhanced authentication ---- */

static size_t take(struct step *s, uint8_t *out, size_t cap)
{
    int n = step_receive(s, 0, out, cap, 0);
    return n > 0 ? (size_t)n : 0;
}

/* The answer to the challenge in an AUTH packet, or a wrong one. */
static void answer(struct step *s, const uint8_t *auth, size_t len, const char *secret, uint8_t reason)
{
    struct mqtt_packet p;
    struct mqtt_prop nonce;
    uint8_t block[200], out[300], mac[32];
    unsigned n;
    mqtt_decode(view_of(auth, len), (struct mqtt_context){ MQTT_V5, MQTT_SERVER }, &p, NULL);
    assert_int_equal(p.type, MQTT_AUTH);
    assert_int_equal(p.reason, 0x18);
    assert_true(mqtt_props_find(&p.props, MQTT_PROP_AUTHENTICATION_DATA, &nonce));
    assert_int_equal(nonce.text.len, 16);
    HMAC(EVP_sha256(), secret, (int)strlen(secret), nonce.text.ptr, nonce.text.len, mac, &n);
    struct mqtt_prop method = { .id = MQTT_PROP_AUTHENTICATION_METHOD,
                                .wire = MQTT_WIRE_UTF8,
                                .text = view_of("CHALLENGE-SHA256", 16) };
    struct mqtt_prop data = { .id = MQTT_PROP_AUTHENTICATION_DATA, .wire = MQTT_WIRE_BINARY, .text = view_of(mac, n) };
    size_t props = mqtt_prop_write(block, mqtt_prop_write(block, 0, sizeof block, &method), sizeof block, &data);
    struct mqtt_packet back = { .type = MQTT_AUTH,
                                .version = MQTT_V5,
                                .has_reason = true,
                                .reason = reason,
                                .props.block = view_of(block, props) };
    step_send(s, 0, view_of(out, mqtt_encode(&back, out, sizeof out)));
}

static void start_auth(struct step *s)
{
    static const uint8_t connect[] = { 0x10, 33,   0,   4,   'M', 'Q', 'T', 'T', 5,   2,   0,   0,
                                       19,   0x15, 0,   16,  'C', 'H', 'A', 'L', 'L', 'E', 'N', 'G',
                                       'E',  '-',  'S', 'H', 'A', '2', '5', '6', 0,   1,   'a' };
    assert_true(step_open(s, 0));
    step_send(s, 0, view_of(connect, sizeof connect));
}

static void test_enhanced_authentication(void **state)
{
    (void)state;
    static const uint8_t again[] = { 0xf0, 21,  0x19, 19,  0x15, 0,   16,  'C', 'H', 'A', 'L', 'L',
                                     'E',  'N', 'G',  'E', '-',  'S', 'H', 'A', '2', '5', '6' };
    static const uint8_t publish[] = { 0x30, 4, 0, 1, 't', 0 };
    struct step *s = step_new();
    uint8_t got[400];
    s->config.auth_secret = view_of("secret", 6);
    begin(s);
    start_auth(s);
    size_t len = take(s, got, sizeof got);
    answer(s, got, len, "secret", 0x18);
    len = take(s, got, sizeof got);
    struct mqtt_packet p;
    struct mqtt_prop method;
    mqtt_decode(view_of(got, len), (struct mqtt_context){ MQTT_V5, MQTT_SERVER }, &p, NULL);
    assert_int_equal(p.type, MQTT_CONNACK);
    assert_int_equal(p.reason, 0);
    assert_true(mqtt_props_find(&p.props, MQTT_PROP_AUTHENTICATION_METHOD, &method)); /* [MQTT-4.12.0-5] */
    /* re-authentication, with other traffic meanwhile */
    step_send(s, 0, view_of(again, sizeof again));
    len = take(s, got, sizeof got);
    step_send(s, 0, view_of(publish, sizeof publish));
    answer(s, got, len, "secret", 0x18);
    len = take(s, got, sizeof got);
    assert_true(len > 3 && got[0] == 0xf0 && got[2] == 0x00);
    step_send(s, 0, view_of(again, sizeof again));
    len = take(s, got, sizeof got);
    answer(s, got, len, "wrong", 0x18);
    len = take(s, got, sizeof got);
    assert_true(len == 3 && got[0] == 0xe0 && got[2] == 0x87); /* [MQTT-4.12.1-2] */
    /* a wrong answer, a wrong reason, another packet before CONNACK */
    for (int i = 0; i < 3; i++) {
        start_auth(s);
        len = take(s, got, sizeof got);
        if (i < 2)
            answer(s, got, len, i == 0 ? "wrong" : "secret", i == 0 ? 0x18 : 0x19);
        else
            step_send(s, 0, view_of(publish, sizeof publish)); /* [MQTT-3.1.2-30] */
        len = take(s, got, sizeof got);
        assert_int_equal(len, 5);
        assert_int_equal(got[0], 0x20);
        assert_int_equal(got[3], i == 0 ? 0x87 : 0x82);
        assert_null(s->pipes[0].conn);
    }
    step_end(s);
}

/* ---- telling ---- */

static void test_reason_strings(void **state)
{
    (void)state;
    struct step *s = step_new();
    s->config.reason_strings = true;
    begin(s);
    play(s, 5, "a up\na > pingresp\na < disconnect reason=0x82 rstr=*\n");
    play(s, 5, "a up mps=30\na > pingresp\na < disconnect reason=0x82 rstr=-\n"); /* [MQTT-3.14.2-3] */
    play(s, 5, "a open\na > connect rm=0\na < connack reason=0x82 rstr=*\n");
    play(s, 5, "a open\na > connect rm=0 mps=20\na < connack reason=0x82 rstr=-\n");
    play(s, 5, "a open\na > connect rm=0 mps=4\na gone\nb open\nb > connect mps=4\nb gone\n"); /* [MQTT-3.1.2-24] */
    play(s, 5, "a open\na > connect mps=0\na refused 0x82\n");
    step_end(s);
}

static void test_response_information(void **state)
{
    (void)state;
    struct step *s = step_new();
    s->config.response_information = view_of("reply/", 6);
    begin(s);
    play(s, 5, "a up rri=1 ri=reply/\na up rri=0 ri=-\na up ri=-\n"); /* [MQTT-3.1.2-28] */
    step_end(s);
}

static void test_sys(void **state)
{
    (void)state;
    struct step *s = step_new();
    s->config.sys_interval_s = 10;
    begin(s);
    play(s, 5,
         "a up\nwait 10000\na sub $SYS/broker/clients/connected\na got t=$SYS/broker/clients/connected p=1 r=1\nb "
         "up\nwait 10000\n"
         "a got t=$SYS/broker/clients/connected p=2\nb bye\nwait 10000\na got t=$SYS/broker/clients/connected p=1\n");
    step_end(s);
}

/* 3.1 has no rules for its strings; what it lets pass must not reach those who have [MQTT-3.3.2-1]. */
static void test_strings_of_31(void **state)
{
    (void)state;
    struct step *s = step_new();
    begin(s);
    play(s, 3,
         "a up v=4\na sub # q=2\nb up v=5\nb sub # q=2\nc up\nc pub t=x\\xff p=1 q=1\nc pub t=x\\xed\\xa0\\x80 p=1\n"
         "c pub t=x\\x01 p=1 q=2\na none\nb none\nd open\nd > connect will=x\\xff\nd refused 5\nc pub t=fine p=2\n"
         "a got t=fine p=2\nb got t=fine p=2\n");
    step_end(s);
}

/* A version may change between connections of a session; properties go to those who understand them. */
static void test_mixed_versions(void **state)
{
    (void)state;
    struct step *s = step_new();
    begin(s);
    play(s, 5,
         "a up sei=60\na sub t q=2 subid=9\na bye\nb up\nb pub t=t p=1 q=2 user=k:v expiry=50\na up v=4 clean=0 "
         "present=1\na got t=t p=1 q=2\na bye\n"
         "b pub t=t p=2 q=1 user=k:v\na up clean=0 sei=0 present=1\na got t=t p=2 q=1 user=k:v subid=9\nc up v=3\nc "
         "sub t q=1\nb pub t=t p=3 q=1 user=k:v\n"
         "c got t=t p=3 q=1\na got t=t p=3 q=1 user=k:v subid=9\n");
    step_end(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connections),
        cmocka_unit_test(test_sessions),
        cmocka_unit_test(test_subscriptions),
        cmocka_unit_test(test_retained),
        cmocka_unit_test(test_too_large_for_one),
        cmocka_unit_test(test_queue),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_slow_reader),
        cmocka_unit_test(test_greedy_subscriber),
        cmocka_unit_test(test_no_memory_anywhere),
        cmocka_unit_test(test_octet_by_octet),
        cmocka_unit_test(test_acl),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_enhanced_authentication),
        cmocka_unit_test(test_reason_strings),
        cmocka_unit_test(test_response_information),
        cmocka_unit_test(test_sys),
        cmocka_unit_test(test_strings_of_31),
        cmocka_unit_test(test_mixed_versions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
