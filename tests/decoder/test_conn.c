/* SPDX-License-Identifier: Apache-2.0
 *
 * Version and roles of a connection: known from CONNECT, else inferred or unknown (decoder/mqtt/conn.h). */
#include "decoder/mqtt/conn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct step {
    unsigned dir;
    const char *octets;
    size_t len;
    unsigned version, source;
    enum mqtt_rule rule; /* the only verdict expected, or NONE */
};

#define STEP(dir, octets, version, source, rule)                                                                       \
    {                                                                                                                  \
        dir, octets, sizeof(octets) - 1, version, source, rule                                                         \
    }

static void run(struct mqtt_conn *c, const struct step *steps, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct mqtt_packet p;
        struct mqtt_verdict at[8];
        struct mqtt_verdicts v = { at, 8, 0, 0 };
        mqtt_conn_packet(c, steps[i].dir, view_of(steps[i].octets, steps[i].len), &p, &v);
        enum mqtt_rule rule = v.n > 0 ? (enum mqtt_rule)at[0].rule : MQTT_RULE_NONE;
        if (c->version != steps[i].version || c->source != steps[i].source || rule != steps[i].rule || v.n > 1)
            fail_msg("step %zu: version %u source %u, %u verdicts, first %s", i, c->version, c->source, v.n,
                     mqtt_rule_info(rule)->id);
    }
}
#define RUN(c, steps) run(c, steps, sizeof(steps) / sizeof *(steps))

static const char connect5[] = "\x10\x0e\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01"
                               "a";

static void connect_tells(void **state)
{
    (void)state;
    static const struct step steps[] = {
        STEP(1,
             "\x10\x0e\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01"
             "a",
             MQTT_V5, MQTT_SOURCE_CONNECT, MQTT_RULE_NONE),
        STEP(0, "\x20\x03\x00\x00\x00", MQTT_V5, MQTT_SOURCE_CONNECT, MQTT_RULE_NONE),
        STEP(1,
             "\x30\x05\x00\x01"
             "x\x00"
             "y",
             MQTT_V5, MQTT_SOURCE_CONNECT, MQTT_RULE_NONE),
        STEP(1, "\xd0\x00", MQTT_V5, MQTT_SOURCE_CONNECT, MQTT_S5_2_1_2_B),
    };
    struct mqtt_conn c;
    mqtt_conn_init(&c);
    RUN(&c, steps);
    assert_true(c.client_dir == 1 && c.roles_sure);
    assert_int_equal(mqtt_conn_sender(&c, 0), MQTT_SERVER);
}

static void syn_beats_a_foreign_connect(void **state)
{
    (void)state;
    struct mqtt_conn c;
    struct mqtt_packet p;
    struct mqtt_verdict at[4];
    struct mqtt_verdicts v = { at, 4, 0, 0 };
    mqtt_conn_init(&c);
    mqtt_conn_client(&c, 0);
    mqtt_conn_packet(&c, 1, view_of(connect5, sizeof connect5 - 1), &p, &v);
    assert_int_equal(v.n, 1);
    assert_int_equal(at[0].rule, MQTT_S5_2_1_2_B);
    assert_int_equal(at[0].side, MQTT_SERVER);
}

static void publish_of_text_is_not_5(void **state)
{
    (void)state;
    static const struct step steps[] = {
        STEP(0, "\xc0\x00", MQTT_V311, MQTT_SOURCE_UNKNOWN, MQTT_RULE_NONE), /* fits all */
        STEP(0, "\x30\x09\x00\x01t{\"a\":1", MQTT_V311, MQTT_SOURCE_INFERRED, MQTT_RULE_NONE),
        STEP(1, "\xd0\x00", MQTT_V311, MQTT_SOURCE_INFERRED, MQTT_RULE_NONE),
    };
    struct mqtt_conn c;
    mqtt_conn_init(&c);
    RUN(&c, steps);
    assert_true(c.client_dir == 0 && !c.roles_sure); /* by PINGREQ, and no more than likely */
}

static void properties_are_5(void **state)
{
    (void)state;
    static const struct step steps[] = {
        STEP(0, "\x20\x06\x00\x00\x03\x22\x00\x0a", MQTT_V5, MQTT_SOURCE_INFERRED, MQTT_RULE_NONE),
        STEP(1,
             "\x30\x05\x00\x01"
             "x\x00"
             "y",
             MQTT_V5, MQTT_SOURCE_INFERRED, MQTT_RULE_NONE),
        STEP(1, "\x30\x06\x00\x01x\x02\x01\x07", MQTT_V5, MQTT_SOURCE_INFERRED, MQTT_S5_3_3_2_3_2_A),
    };
    struct mqtt_conn c;
    mqtt_conn_init(&c);
    RUN(&c, steps);
    assert_int_equal(c.client_dir, 1);
}

/* Wrong in every version: told. Wrong in some of those still possible: not told, it only rules those out. */
static void only_common_verdicts(void **state)
{
    (void)state;
    static const struct step steps[] = {
        STEP(0, "\x36\x07\x00\x01x\x00\x01hi", MQTT_V311, MQTT_SOURCE_UNKNOWN, MQTT_R4_3_3_1_4),
        STEP(0, "\xf0\x00", MQTT_V5, MQTT_SOURCE_INFERRED, MQTT_S5_3_15_2_2_2_A),
    };
    struct mqtt_conn c;
    mqtt_conn_init(&c);
    RUN(&c, steps);
}

static void unsupported_level_leaves_the_version_open(void **state)
{
    (void)state;
    struct mqtt_conn c;
    struct mqtt_packet p;
    struct mqtt_verdict at[4];
    struct mqtt_verdicts v = { at, 4, 0, 0 };
    static const char level9[] = "\x10\x10\x00\x04MQTT\x09\x02\x00\x3c\x00\x04lvl9";
    mqtt_conn_init(&c);
    mqtt_conn_packet(&c, 0, view_of(level9, sizeof level9 - 1), &p, &v);
    assert_int_equal(v.n, 1);
    assert_int_equal(at[0].rule, MQTT_R5_3_1_2_2);
    assert_int_equal(at[0].offset, 8);
    assert_int_equal(c.source, MQTT_SOURCE_UNKNOWN);
    assert_int_equal(c.client_dir, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connect_tells),
        cmocka_unit_test(syn_beats_a_foreign_connect),
        cmocka_unit_test(publish_of_text_is_not_5),
        cmocka_unit_test(properties_are_5),
        cmocka_unit_test(only_common_verdicts),
        cmocka_unit_test(unsupported_level_leaves_the_version_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
