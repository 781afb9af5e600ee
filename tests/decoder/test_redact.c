/* SPDX-License-Identifier: Apache-2.0
 *
 * Redaction: what is masked, what stays, and that the same value always gets the same mask. */
#include "decoder/show/redact.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static uint8_t memory[REDACT_MEMORY];

static struct redact redactor(unsigned kinds)
{
    return (struct redact){ .kinds = kinds, .key = "0123456789abcde", .memory = memory, .size = sizeof memory };
}

/* CONNECT 5.0: will d1/status = "gone", user alice, password hunter2, client d1 */
static const uint8_t connect[] = "\x10\x35\0\x04MQTT\x05\xc6\0\x3c\0\0\x06sensor\0\0\x09"
                                 "d1/status\0\x04gone\0\x05"
                                 "alice\0\x07hunter2";

static struct row row_of(struct mqtt_packet *p, const void *octets, size_t len)
{
    struct mqtt_context context = { .version = MQTT_V5, .sender = MQTT_CLIENT };
    mqtt_decode(view_of(octets, len), context, p, NULL);
    return (struct row){
        .kind = ROW_PACKET, .packet = p, .sender = MQTT_CLIENT, .version = MQTT_V5, .client_id = view_of("sensor", 6)
    };
}

static bool same(struct view a, struct view b)
{
    return a.len == b.len && memcmp(a.ptr, b.ptr, a.len) == 0;
}

static void test_connect(void **state)
{
    (void)state;
    struct mqtt_packet p;
    struct row row = row_of(&p, connect, sizeof connect - 1);
    assert_true(same(p.connect.password, view_of("hunter2", 7))); /* the packet is what it should be */
    struct redact r = redactor(REDACT_ALL);
    const struct mqtt_connect *m = &redact_row(&r, &row)->packet->connect;
    assert_int_equal(m->password.len, 7);
    assert_false(same(m->password, p.connect.password));
    assert_false(same(m->username, p.connect.username));
    assert_false(same(m->client_id, p.connect.client_id));
    assert_false(same(m->will_payload, p.connect.will_payload));
    assert_int_equal(m->will_topic.len, 9);
    assert_int_equal(m->will_topic.ptr[2], '/');
    assert_memory_not_equal(m->will_topic.ptr, "d1", 2);
    assert_true(same(m->protocol_name, view_of("MQTT", 4)));
    assert_int_equal(m->keep_alive_s, 60);
    assert_true(same(r.row.client_id, m->client_id));                /* the same value, the same mask */
    assert_memory_equal(connect + sizeof connect - 8, "hunter2", 7); /* the input stays */
}

static void test_chosen(void **state)
{
    (void)state;
    struct mqtt_packet p;
    struct row row = row_of(&p, connect, sizeof connect - 1);
    struct redact r = redactor(REDACT_CLIENTS);
    const struct mqtt_connect *m = &redact_row(&r, &row)->packet->connect;
    assert_false(same(m->client_id, p.connect.client_id));
    assert_true(same(m->password, p.connect.password));
    assert_true(same(m->will_topic, p.connect.will_topic));
    struct view first = { (const uint8_t *)"", 0 };
    uint8_t kept[6];
    memcpy(kept, m->client_id.ptr, 6);
    first = view_of(kept, 6);
    r.key[0] ^= 1;
    m = &redact_row(&r, &row)->packet->connect;
    assert_false(same(m->client_id, first)); /* another run, another mask */
}

static void test_topics(void **state)
{
    (void)state;
    static const uint8_t subscribe[] = "\x82\x2a\0\x01\0\0\x0bhome/+/home\0\0\x16$share/g/$SYS/home/x/#\0";
    struct mqtt_packet p;
    struct mqtt_filter f;
    size_t pos = 0;
    struct row row = row_of(&p, subscribe, sizeof subscribe - 1);
    struct redact r = redactor(REDACT_TOPICS);
    const struct mqtt_packet *m = redact_row(&r, &row)->packet;
    assert_true(mqtt_list_next(m, &pos, &f));
    assert_int_equal(f.filter.len, 11);
    assert_memory_equal(f.filter.ptr + 4, "/+/", 3);
    assert_memory_not_equal(f.filter.ptr, "home", 4);
    assert_memory_equal(f.filter.ptr, f.filter.ptr + 7, 4);
    uint8_t level[4];
    memcpy(level, f.filter.ptr, 4);
    assert_true(mqtt_list_next(m, &pos, &f));
    assert_memory_equal(f.filter.ptr, "$share/", 7);
    assert_memory_equal(f.filter.ptr + 8, "/$SYS/", 6);
    assert_memory_equal(f.filter.ptr + 14, level, 4);
    assert_int_equal(f.filter.ptr[f.filter.len - 1], '#');
}

static void test_properties(void **state)
{
    (void)state;
    /* PUBLISH t: Response Topic r/x, Correlation Data abc, User Property k=secret; payload hello */
    static const uint8_t publish[] = "\x30\x22\0\x01t\x18\x08\0\x03r/x\x09\0\x03"
                                     "abc\x26\0\x01k\0\x06secrethello!";
    struct mqtt_packet p;
    struct row row = row_of(&p, publish, sizeof publish - 1);
    struct mqtt_prop prop;
    struct redact r = redactor(REDACT_PAYLOADS);
    const struct mqtt_packet *m = redact_row(&r, &row)->packet;
    assert_false(same(m->publish.payload, p.publish.payload));
    assert_true(mqtt_props_find(&m->props, MQTT_PROP_RESPONSE_TOPIC, &prop));
    assert_true(same(prop.text, view_of("r/x", 3)));
    assert_true(mqtt_props_find(&m->props, MQTT_PROP_CORRELATION_DATA, &prop));
    assert_false(same(prop.text, view_of("abc", 3)));
    assert_true(mqtt_props_find(&m->props, MQTT_PROP_USER_PROPERTY, &prop));
    assert_true(same(prop.text, view_of("k", 1)));
    assert_false(same(prop.value, view_of("secret", 6)));
    r.kinds = REDACT_TOPICS;
    m = redact_row(&r, &row)->packet;
    assert_true(mqtt_props_find(&m->props, MQTT_PROP_RESPONSE_TOPIC, &prop));
    assert_false(same(prop.text, view_of("r/x", 3)));
}

static void test_option(void **state)
{
    (void)state;
    assert_int_equal(redact_kinds("all"), REDACT_ALL);
    assert_int_equal(redact_kinds("topics"), REDACT_TOPICS);
    assert_int_equal(redact_kinds("clientids,payloads"), REDACT_CLIENTS | REDACT_PAYLOADS);
    assert_int_equal(redact_kinds("clientids,"), 0);
    assert_int_equal(redact_kinds(""), 0);
    assert_int_equal(redact_kinds("topic"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_connect), cmocka_unit_test(test_chosen),
                                        cmocka_unit_test(test_topics), cmocka_unit_test(test_properties),
                                        cmocka_unit_test(test_option) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
