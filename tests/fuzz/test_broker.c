/* SPDX-License-Identifier: Apache-2.0
 *
 * The step function at its limits: what is refused and with which reason, slow readers, memory that is not there, input
 * in pieces, access control, enhanced authentication. */
#include "fuzz/campaign/conform.h"
#include "tests/fuzz/own.h"
#include "tests/fuzz/play.h"
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
    char why[300];
    if (!play_plan(s, script, "t", version, why, sizeof why))
        fail_msg("%s\n%s", why, script);
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
         "a > connect; a <! connack reason=0\n"
         "b > connect; b <! connack reason=0\n"
         "c open\n"
         "c > connect\n"
         "c <! connack reason=0x97; c <! closed\n"
         "d open\n"
         "version 3.1.1; d > connect\n"
         "d <! connack reason=3; d <! closed\n"
         "a <! alive; a <! no publish 1ms\n"
         "version 5; a > disconnect; a <! closed\n"
         "c > connect; c <! connack reason=0\n"
         "c <! alive; c <! no publish 1ms\n"
         "b <! alive; b <! no publish 1ms\n");
    step_end(s);
}

static void test_sessions(void **state)
{
    (void)state;
    struct step *s = step_new();
    s->config.max_sessions = 2;
    begin(s);
    play(s, 5,
         "a > connect session_expiry_interval=60; a <! connack reason=0\n"
         "a > disconnect; a <! closed\n"
         "b > connect; b <! connack reason=0\n"
         "c open\n"
         "c > connect\n"
         "c <! connack reason=0x97; c <! closed\n"
         "a > connect keep=60; a <! connack reason=0 sp=1\n"
         "b > disconnect; b <! closed\n"
         "c > connect; c <! connack reason=0\n");
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
         "a > connect; a <! connack reason=0\n"
         "a > subscribe id=101 sub=0:t/1 sub=0:t/2 sub=0:t/3; a <! suback id=101 codes=0,0,0x97\n"
         "a > subscribe id=102 sub=1:t/2; a <! suback id=102 codes=1\n"
         "a > unsubscribe id=103 unsub=t/1; a <! unsuback id=103\n"
         "a > subscribe id=104 sub=0:t/3; a <! suback id=104 codes=0\n"
         "b > connect; b <! connack reason=0\n"
         "b > subscribe id=101 sub=0:a/b/c sub=0:a/b/c/d; b <! suback id=101 codes=0,0x97\n");
    play(s, 4,
         "c > connect; c <! connack reason=0\n"
         "c > subscribe id=101 sub=0:a/b/c/d; c <! suback id=101 codes=0x80\n");
    step_end(s);
}

static void test_retained(void **state)
{
    (void)state;
    struct step *s = step_new();
    s->config.max_retained = 1;
    begin(s);
    play(s, 5,
         "a > connect; a <! connack reason=0\n"
         "a > publish topic=t/1 payload=x qos=1 retain=1 id=101; a <! puback id=101\n"
         "a > publish topic=t/2 payload=x qos=1 retain=1 id=102; a <! puback id=102 reason=0x97\n"
         "a > publish topic=t/1 payload=y qos=1 retain=1 id=103; a <! puback id=103\n"
         "a > publish topic=t/1 qos=1 retain=1 id=104; a <! puback id=104\n"
         "a > publish topic=t/2 payload=x qos=1 retain=1 id=105; a <! puback id=105\n"
         "b > connect; b <! connack reason=0\n"
         "b > subscribe id=101 sub=0:#; b <! suback id=101\n"
         "b <! next publish topic=t/2 payload=x retain=1 qos=0\n"
         "b <! alive; b <! no publish 1ms\n");
    step_end(s);
}

/* A message that is over at once for one client, because it is too large for it, still goes to the others. */
static void test_too_large_for_one(void **state)
{
    (void)state;
    struct step *s = step_new();
    begin(s);
    play(s, 5,
         "a > connect maximum_packet_size=30; a <! connack reason=0\n"
         "b > connect; b <! connack reason=0\n"
         "c > connect; c <! connack reason=0\n"
         "d > connect maximum_packet_size=30; d <! connack reason=0\n"
         "a > subscribe id=101 sub=1:t; a <! suback id=101\n"
         "b > subscribe id=101 sub=1:t; b <! suback id=101\n"
         "c > subscribe id=101 sub=1:t; c <! suback id=101\n"
         "d > subscribe id=101 sub=1:t; d <! suback id=101\n"
         "e > connect; e <! connack reason=0\n"
         "e > publish topic=t qos=1 payload=0123456789012345678901234567890123456789 id=101; e <! puback id=101\n"
         "b <! next publish topic=t qos=1 payload=0123456789012345678901234567890123456789\n"
         "c <! next publish topic=t qos=1 payload=0123456789012345678901234567890123456789\n"
         "a <! alive; a <! no publish 1ms\n"
         "d <! alive; d <! no publish 1ms\n");
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
         "a > connect session_expiry_interval=60; a <! connack reason=0\n"
         "a > subscribe id=101 sub=1:t; a <! suback id=101\n"
         "a > disconnect; a <! closed\n"
         "b > connect; b <! connack reason=0\n"
         "b > publish topic=t payload=1 qos=1 id=101; b <! puback id=101\n"
         "b > publish topic=t payload=2 qos=1 id=102; b <! puback id=102\n"
         "b > publish topic=t payload=3 qos=1 id=103; b <! puback id=103\n"
         "b > publish topic=t payload=4 qos=1 id=104; b <! puback id=104\n"
         "b <! alive; b <! no publish 1ms\n"
         "a > connect clean=0; a <! connack reason=0\n"
         "a <! next publish topic=t payload=1 qos=1\n"
         "a <! next publish topic=t payload=2 qos=1\n"
         "a <! next publish topic=t payload=3 qos=1\n"
         "a <! alive; a <! no publish 1ms\n");
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
    char script[3000] = "a > connect; a <! connack reason=0\n";
    s->config.max_memory = 100000;
    begin(s);
    for (int i = 0; i < 24; i++)
        snprintf(script + strlen(script), 120,
                 "a > publish topic=t/%d size=4000 qos=1 retain=1 id=%d; a <! puback id=%d%s\n", i, i + 1, i + 1,
                 i < 15 ? " reason=0x10" : "");
    strcat(script, "a > publish topic=t/last size=4000 qos=1 retain=1 id=99; a <! puback id=99 reason=0x97\n"
                   "b > connect; b <! connack reason=0; b > subscribe id=1 sub=0:x; b <! suback id=1\n"
                   "c > connect; c <! connack reason=0; c > publish topic=x payload=small\n"
                   "b <! next publish topic=x payload=small\n");
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

static void play_once(struct step *s, const char *title, const char *script, unsigned version, bool must_pass)
{
    char why[300];
    if (!step_start(s)) {
        assert_int_equal(s->allocated, 0);
        return;
    }
    bool fine = play_plan(s, script, "t", version, why, sizeof why);
    if (must_pass && !fine)
        fail_msg("%s: %s", title, why);
    step_stop(s);
    assert_int_equal(s->allocated, 0);
}

/* A CONNECT that is refused, for whatever reason, leaves no session behind. */
static void test_no_session_of_a_refused_connect(void **state)
{
    (void)state;
    static const uint8_t connect[] = { 0x10, 44,  0,    4, 'M', 'Q', 'T',  'T', 5,   0x86, 0,   60,  10,  0x11, 0, 0,
                                       0,    60,  0x27, 0, 0,   0,   0x40, 0,   5,   'c',  'l', 'i', 'e', 'n',  0, 0,
                                       1,    'w', 0,    1, 'x', 0,   7,    's', 'o', 'm',  'e', 'o', 'n', 'e' };
    unsigned refused = 0;
    for (unsigned room = 0; room < 80; room++) {
        struct step *s = step_new();
        struct broker_stats stats;
        uint8_t octets[sizeof connect];
        memcpy(octets, connect, sizeof connect);
        octets[22] = (uint8_t)(room < 40 ? 0x40 : room - 40); /* CONNACK larger than Maximum Packet Size */
        begin(s);
        assert_true(step_open(s, 0));
        s->refuse_after = room < 40 ? room + 1 : 0;
        step_send(s, 0, view_of(octets, sizeof octets));
        s->refuse_after = 0;
        broker_stats(s->broker, &stats);
        if (stats.connects_accepted == 0)
            assert_int_equal(stats.sessions, 0);
        refused += stats.connects_accepted == 0;
        step_end(s);
    }
    assert_in_range(refused, 10, 60); /* some were, some were not */
}

static void refuse_memory(const char *title, const char *script, unsigned version)
{
    for (uint64_t n = 1; n < 60; n++) {
        struct step *s = step_new();
        s->refuse_after = n;
        play_once(s, title, script, version, false);
        free(s);
    }
}

static void in_pieces(const char *title, const char *script, unsigned version)
{
    struct step *s = step_new();
    s->config.sys_interval_s = 10;
    s->octetwise = true;
    play_once(s, title, script, version, true);
    free(s);
}

/* All that is asked of a broker as it comes. */
static void with_every_plan(void (*ask)(const char *title, const char *script, unsigned version))
{
    struct probe_list probes;
    assert_true(probes_make(&probes, 1u << MQTT_V31 | 1u << MQTT_V311 | 1u << MQTT_V5));
    for (uint32_t i = 0; i < probes.n; i++)
        if (!probes.at[i].hint && !play_needs_network(probes.at[i].script))
            ask(probes.at[i].title, probes.at[i].script, probes.at[i].version);
    probes_free(&probes);
    for (size_t i = 0; i < own_count; i++)
        for (const char *v = own[i].versions; *v != '\0' && own[i].options[0] == '\0'; v++)
            ask(own[i].title, own[i].script, (unsigned)(*v - '0'));
}

static void test_no_memory_anywhere(void **state)
{
    (void)state;
    with_every_plan(refuse_memory);
}

static void test_octet_by_octet(void **state)
{
    (void)state;
    with_every_plan(in_pieces);
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
         "a > connect id=one; a <! connack reason=0\n"
         "a > subscribe id=101 sub=0:public/x sub=0:public/# sub=0:# sub=0:in/1/x sub=0:own/one/t sub=0:own/two/t "
         "sub=0:ann/x; a <! suback id=101 codes=0,0,0,0x87,0,0x87,0x87\n"
         "a > publish topic=public/x payload=1 qos=1 id=102; a <! puback id=102 reason=0x87\n"
         "a > publish topic=in/1/x payload=1 qos=1 id=103; a <! puback id=103 reason=0x10\n"
         "a > publish topic=in/1/y payload=1 qos=1 id=104; a <! puback id=104 reason=0x87\n"
         "a > publish topic=own/one/t payload=1 qos=1 id=9\n"
         "a <! next publish topic=own/one/t payload=1 qos=0\n"
         "a <! puback id=9 reason=0\n"
         "a <! alive; a <! no publish 1ms\n"
         "b > connect user=ann pass=x id=two; b <! connack reason=0\n"
         "b > subscribe id=101 sub=1:ann/#; b <! suback id=101 codes=1\n"
         "b > publish topic=ann/x payload=1 qos=1 id=9\n"
         "b <! next publish topic=ann/x payload=1 qos=1\n"
         "b <! puback id=9 reason=0\n"
         "b > publish topic=ann/secret payload=1 qos=2 id=102; b <! pubrec id=102 reason=0x87\n"
         "b > publish topic=by/ann payload=1 qos=1 id=103; b <! puback id=103 reason=0x10\n"
         "b > publish topic=by/bob payload=1 qos=1 id=104; b <! puback id=104 reason=0x87\n"
         "b <! alive; b <! no publish 1ms\n"
         "a <! alive; a <! no publish 1ms\n"
         /* a name with a wildcard or a slash does not widen a pattern */
         "c > connect id=+; c <! connack reason=0\n"
         "c > publish topic=own/one/t payload=2 qos=1 id=101; c <! puback id=101 reason=0x87\n"
         "d > connect id=one/t; d <! connack reason=0\n"
         "d > publish topic=own/one/t/x payload=2 qos=1 id=101; d <! puback id=101 reason=0x87\n"
         "a <! alive; a <! no publish 1ms\n");
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
    play(s, 5,
         "a open\n"
         "a > connect user=ann pass=x\n"
         "a <! connack reason=0x86; a <! closed\n"); /* the last file lets nobody in */
    step_end(s);
}

/* ---- enhanced authentication ---- */

static size_t take(struct step *s, uint8_t *out, size_t cap)
{
    int n = step_receive(s, 0, out, cap);
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
    play(s, 5,
         "a > connect; a <! connack reason=0\n"
         "a > pingresp\n"
         "a <! disconnect reason=0x82 reason_string=*\n");
    play(s, 5,
         "a > connect maximum_packet_size=30; a <! connack reason=0\n"
         "a > pingresp\n"
         "a <! disconnect reason=0x82 reason_string=none\n"); /* [MQTT-3.14.2-3] */
    play(s, 5,
         "a open\n"
         "a > connect receive_maximum=0\n"
         "a <! connack reason=0x82 reason_string=*\n");
    play(s, 5,
         "a open\n"
         "a > connect receive_maximum=0 maximum_packet_size=20\n"
         "a <! connack reason=0x82 reason_string=none\n");
    play(s, 5,
         "a open\n"
         "a > connect receive_maximum=0 maximum_packet_size=4\n"
         "a <! closed\n"
         "b open\n"
         "b > connect maximum_packet_size=4\n"
         "b <! closed\n"); /* [MQTT-3.1.2-24] */
    play(s, 5,
         "a open\n"
         "a > connect maximum_packet_size=0\n"
         "a <! connack reason=0x82; a <! closed\n");
    step_end(s);
}

static void test_response_information(void **state)
{
    (void)state;
    struct step *s = step_new();
    s->config.response_information = view_of("reply/", 6);
    begin(s);
    play(s, 5,
         "a > connect request_response_information=1; a <! connack reason=0 response_information=reply/\n"
         "a close; a > connect request_response_information=0; a <! connack reason=0 response_information=none\n"
         "a close; a > connect; a <! connack reason=0 response_information=none\n"); /* [MQTT-3.1.2-28] */
    step_end(s);
}

static void test_sys(void **state)
{
    (void)state;
    struct step *s = step_new();
    s->config.sys_interval_s = 10;
    begin(s);
    play(s, 5,
         "a > connect; a <! connack reason=0\n"
         "wait 10000ms\n"
         "a > subscribe id=101 sub=0:$SYS/broker/clients/connected; a <! suback id=101\n"
         "a <! next publish topic=$SYS/broker/clients/connected payload=1 retain=1 qos=0\n"
         "b > connect; b <! connack reason=0\n"
         "wait 10000ms\n"
         "a <! next publish topic=$SYS/broker/clients/connected payload=2 qos=0\n"
         "b > disconnect; b <! closed\n"
         "wait 10000ms\n"
         "a <! next publish topic=$SYS/broker/clients/connected payload=1 qos=0\n");
    step_end(s);
}

/* 3.1 has no rules for its strings; what it lets pass must not reach those who have [MQTT-3.3.2-1]. */
static void test_strings_of_31(void **state)
{
    (void)state;
    struct step *s = step_new();
    begin(s);
    play(s, 3,
         "version 3.1.1; a > connect; a <! connack reason=0\n"
         "a > subscribe id=101 sub=2:#; a <! suback id=101\n"
         "version 5; b > connect; b <! connack reason=0\n"
         "b > subscribe id=101 sub=2:#; b <! suback id=101\n"
         "version 3.1; c > connect; c <! connack reason=0\n"
         "c > publish topic=x\\xff payload=1 qos=1 id=101; c <! puback id=101\n"
         "c > publish topic=x\\xed\\xa0\\x80 payload=1; c <! alive\n"
         "a <! alive; a <! no publish 1ms\n"
         "b <! alive; b <! no publish 1ms\n"
         "c > publish topic=x\\x01 payload=1 qos=2 id=103; c <! pubcomp id=103\n" /* should not, but may be */
         "a <! next publish topic=x\\x01 payload=1 qos=2\n"
         "b <! next publish topic=x\\x01 payload=1 qos=2\n"
         "d open\n"
         "d > connect will_topic=x\\xff\n"
         "d <! connack reason=5; d <! closed\n"
         "c > publish topic=fine payload=2; c <! alive\n"
         "a <! next publish topic=fine payload=2 qos=0\n"
         "b <! next publish topic=fine payload=2 qos=0\n");
    step_end(s);
}

/* A version may change between connections of a session; properties go to those who understand them. */
static void test_mixed_versions(void **state)
{
    (void)state;
    struct step *s = step_new();
    begin(s);
    play(
        s, 5,
        "a > connect session_expiry_interval=60; a <! connack reason=0\n"
        "a > subscribe id=101 sub=2:t subscription_identifier=9; a <! suback id=101\n"
        "a > disconnect; a <! closed\n"
        "b > connect; b <! connack reason=0\n"
        "b > publish topic=t payload=1 qos=2 user_property=k:v message_expiry_interval=50 id=101; b <! pubcomp id=101\n"
        "version 3.1.1; a > connect keep=300; a <! connack reason=0 sp=1\n"
        "a <! next publish topic=t payload=1 qos=2\n"
        "a > disconnect; a <! closed\n"
        "version 5; b > publish topic=t payload=2 qos=1 user_property=k:v id=102; b <! puback id=102\n"
        "a > connect keep=0; a <! connack reason=0 sp=1\n"
        "a <! next publish topic=t payload=2 qos=1 user_property=k:v subscription_identifier=9\n"
        "version 3.1; c > connect; c <! connack reason=0\n"
        "c > subscribe id=101 sub=1:t; c <! suback id=101\n"
        "version 5; b > publish topic=t payload=3 qos=1 user_property=k:v id=103; b <! puback id=103\n"
        "c <! next publish topic=t payload=3 qos=1\n"
        "a <! next publish topic=t payload=3 qos=1 user_property=k:v subscription_identifier=9\n");
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
        cmocka_unit_test(test_no_session_of_a_refused_connect),
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
