/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/decoder/test_tables.c -- the look-ups against facts written down by hand from the standards. */
#include "decoder/mqtt/tables.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void types(void **state)
{
    (void)state;
    assert_string_equal(mqtt_type_name(0), "Reserved");
    assert_string_equal(mqtt_type_name(3), "PUBLISH");
    assert_string_equal(mqtt_type_name(15), "AUTH");
    assert_string_equal(mqtt_type_name(16), "?");
    assert_int_equal(mqtt_type_sender(1, MQTT_V5), MQTT_CLIENT);
    assert_int_equal(mqtt_type_sender(14, MQTT_V311), MQTT_CLIENT);
    assert_int_equal(mqtt_type_sender(14, MQTT_V5), MQTT_BOTH);
    assert_int_equal(mqtt_type_sender(15, MQTT_V31), MQTT_NOBODY);
    assert_int_equal(mqtt_type_sender(15, MQTT_V5), MQTT_BOTH);
    assert_int_equal(mqtt_type_sender(16, MQTT_V5), MQTT_NOBODY);
    for (unsigned type = 0; type < 16; type++)
        assert_int_equal(mqtt_type_flags(type), type == 6 || type == 8 || type == 10 ? 2 : 0);
}

static void properties(void **state)
{
    (void)state;
    unsigned known = 0;
    for (uint32_t id = 0; id < 300; id++)
        known += mqtt_prop_info(id)->name != NULL;
    assert_int_equal(known, 27);
    assert_null(mqtt_prop_info(0)->name);
    assert_null(mqtt_prop_info(0x2b)->name);
    assert_null(mqtt_prop_info(UINT32_MAX)->name);
    const struct mqtt_prop_info *p = mqtt_prop_info(0x0b);
    assert_string_equal(p->name, "Subscription Identifier");
    assert_int_equal(p->wire, MQTT_WIRE_VBI);
    assert_int_equal(p->allowed, MQTT_IN(3) | MQTT_IN(8));
    assert_int_equal(p->repeats, MQTT_IN(3));
    p = mqtt_prop_info(0x26);
    assert_string_equal(p->snake, "user_property");
    assert_int_equal(p->allowed, 0xffff & ~(MQTT_IN(12) | MQTT_IN(13)));
    assert_int_equal(p->repeats, p->allowed);
    assert_int_equal(mqtt_prop_info(0x18)->allowed, MQTT_IN_WILL);
}

static void reasons(void **state)
{
    (void)state;
    assert_string_equal(mqtt_reason_name(2, 0), "Success");
    assert_string_equal(mqtt_reason_name(11, 0), "Success");
    assert_string_equal(mqtt_reason_name(9, 0), "Granted QoS 0");
    assert_string_equal(mqtt_reason_name(14, 0), "Normal disconnection");
    assert_null(mqtt_reason_name(3, 0));
    assert_null(mqtt_reason_name(9, 3));
    assert_null(mqtt_reason_name(6, 0x10));
    assert_null(mqtt_reason_name(16, 0));
    assert_null(mqtt_reason_name(2, 0x100));
    /* how many codes each packet has: 5.0 sections 3.2.2.2, 3.4.2.1 to 3.7.2.1, 3.9.3, 3.11.3, 3.14.2.1, 3.15.2.1;
     * DISCONNECT has 0x8c from table 2-6 besides its own 29 */
    static const unsigned counts[16] = {
        [2] = 22, [4] = 9, [5] = 9, [6] = 2, [7] = 2, [9] = 12, [11] = 7, [14] = 30, [15] = 3
    };
    for (unsigned type = 0; type < 16; type++) {
        unsigned n = 0;
        for (unsigned code = 0; code < 256; code++)
            n += mqtt_reason_name(type, code) != NULL;
        assert_int_equal(n, counts[type]);
    }
    for (unsigned code = 0; code < 256; code++) /* exactly the codes of DISCONNECT have a sender there */
        assert_int_equal(mqtt_disconnect_sender(code) != MQTT_NOBODY, mqtt_reason_name(14, code) != NULL);
    assert_int_equal(mqtt_disconnect_sender(0x04), MQTT_CLIENT);
    assert_int_equal(mqtt_disconnect_sender(0x8e), MQTT_SERVER);
    assert_int_equal(mqtt_disconnect_sender(0x9b), MQTT_BOTH); /* 3.3.4 tells a client to use it */
    assert_int_equal(mqtt_disconnect_sender(0x100), MQTT_NOBODY);
    assert_non_null(mqtt_return_name(5));
    assert_null(mqtt_return_name(6));
}

static void rules(void **state)
{
    (void)state;
    assert_string_equal(mqtt_rule_info(MQTT_RULE_NONE)->id, "");
    assert_string_equal(mqtt_rule_info(MQTT_RULE_COUNT)->id, "");
    assert_string_equal(mqtt_rule_info(MQTT_R5_3_3_2_2)->id, "MQTT-3.3.2-2");
    unsigned versions[8] = { 0 };
    for (unsigned r = 1; r < MQTT_RULE_COUNT; r++) {
        const struct mqtt_rule_info *i = mqtt_rule_info((enum mqtt_rule)r);
        versions[i->version & 7]++;
        assert_int_equal(mqtt_rule_by_id(i->id, i->version), r); /* ids are unique within a version */
        if (i->also[0] != '\0' && mqtt_rule_by_id(i->also, i->version) == MQTT_RULE_NONE)
            fail_msg("%s names %s, which the table lacks", i->id, i->also);
        assert_true(i->statement[0] != '\0');
        assert_null(strstr(i->statement, "Observer:"));
        if (i->where == MQTT_WHERE_PACKET && i->fault[0] == '\0')
            fail_msg("%s has no sentence for a verdict", i->id);
        assert_true(i->version == MQTT_V5 || i->reason == 0); /* reason codes are of 5.0 */
    }
    assert_int_equal(versions[MQTT_V311], 141 + 19);
    assert_int_equal(versions[MQTT_V5], 251 + 100);
    assert_int_equal(mqtt_rule_by_id("MQTT-3.3.1-4", MQTT_V311), MQTT_R4_3_3_1_4);
    assert_int_equal(mqtt_rule_by_id("MQTT-3.3.1-4", MQTT_V31), MQTT_RULE_NONE);
    assert_int_equal(mqtt_rule_by_id("", MQTT_V5), MQTT_RULE_NONE);
}

static void names(void **state)
{
    (void)state;
    assert_string_equal(mqtt_version_name(3), "3.1");
    assert_string_equal(mqtt_version_name(4), "3.1.1");
    assert_string_equal(mqtt_version_name(5), "5.0");
    assert_string_equal(mqtt_version_name(0), "?");
    assert_string_equal(mqtt_severity_name(MQTT_SEVERITY_WARNING), "warning");
    assert_string_equal(mqtt_severity_name(77), "");
    assert_string_equal(mqtt_side_name(MQTT_CLIENT), "client");
    assert_string_equal(mqtt_side_name(MQTT_NOBODY), "?");
    assert_string_equal(mqtt_side_name(9), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types), cmocka_unit_test(properties), cmocka_unit_test(reasons),
        cmocka_unit_test(rules), cmocka_unit_test(names),
    };
    return cmocka_run_group_tests_name("tables", tests, NULL, NULL);
}
