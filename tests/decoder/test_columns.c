/* SPDX-License-Identifier: Apache-2.0
 *
 * -T fields: columns as tshark writes them (decoder/show/columns.c). */
#include "decoder/show/show.h"
#include "tests/decoder/sample.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static char room[4096];

static struct show_columns chosen(void)
{
    struct show_columns c = show_columns_default();
    assert_true(show_columns_add(&c, FIELD_FRAME_NUMBER));
    assert_true(show_columns_add(&c, FIELD_MQTT_TOPIC));
    assert_true(show_columns_add(&c, FIELD_MQTT_WILLTOPIC));
    assert_true(show_columns_add(&c, FIELD_MQTT_HDRFLAGS));
    return c;
}

static void prints(const struct show_columns *c, const char *want)
{
    static const char subscribe[] = "\x82\x0a\x00\x01\x00\x01"
                                    "a\x01\x00\x01#\x02";
    struct sample s;
    struct show_style style = { .secrets = false };
    struct out o = out_over(room, sizeof room - 1);
    sample_of(&s, subscribe, sizeof subscribe - 1, MQTT_V311, MQTT_CLIENT);
    if (c->header)
        show_columns_header(&o, c);
    show_columns(&o, &s.row, &style, c);
    room[o.len] = '\0';
    assert_string_equal(room, want);
    free(s.octets);
}

static void as_tshark(void **state)
{
    struct show_columns c = chosen();
    (void)state;
    prints(&c, "7\ta,#\t\t0x82\n");
    c.occurrence = 'f';
    prints(&c, "7\ta\t\t0x82\n");
    c.occurrence = 'l';
    prints(&c, "7\t#\t\t0x82\n");
    c = chosen();
    c.separator = ';';
    c.aggregator = '|';
    c.quote = '"';
    c.header = true;
    prints(&c, "frame.number;mqtt.topic;mqtt.willtopic;mqtt.hdrflags\n\"7\";\"a|#\";;\"0x82\"\n");
}

/* More values than are kept: the second way gives what the first gives. */
static void long_lists(void **state)
{
    enum { FILTERS = 100 };
    uint8_t octets[5 + 5 * FILTERS] = { 0x82 };
    struct show_columns c = show_columns_default();
    struct show_style style = { .secrets = false };
    struct sample s;
    (void)state;
    size_t n = 1 + mqtt_vbi_write(2 + 5 * FILTERS, octets + 1);
    octets[n + 1] = 1;
    n += 2;
    for (unsigned i = 0; i < FILTERS; i++, n += 5)
        memcpy(octets + n, (uint8_t[]){ 0, 2, (uint8_t)('a' + i / 26), (uint8_t)('a' + i % 26), 1 }, 5);
    sample_of(&s, octets, n, MQTT_V311, MQTT_CLIENT);
    show_columns_add(&c, FIELD_MQTT_TOPIC);
    show_columns_add(&c, FIELD_MQTT_MSGID);
    struct out o = out_over(room, sizeof room - 1);
    show_columns(&o, &s.row, &style, &c);
    room[o.len] = '\0';
    assert_int_equal(o.len, FILTERS * 3 - 1 + 3);
    assert_memory_equal(room, "aa,ab,", 6);
    assert_string_equal(room + o.len - 6, ",dv\t1\n");
    free(s.octets);
}

static void community(void **state)
{
    struct show_columns c = show_columns_default();
    (void)state;
    show_columns_add(&c, FIELD_COMMUNITYID);
    show_columns_add(&c, FIELD_TCP_STREAM);
    /* python: base64(sha1(0000 0a000002 0a000007 06 00 075b c351)) */
    prints(&c, "1:HdB3fYJfgV/12rlfiS3cCZfRJiw=\t0\n");
}

static void bounded(void **state)
{
    struct show_columns c = show_columns_default();
    (void)state;
    for (unsigned i = 0; i < SHOW_COLUMNS_MAX; i++)
        assert_true(show_columns_add(&c, FIELD_MQTT_TOPIC));
    assert_false(show_columns_add(&c, FIELD_MQTT_TOPIC));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(as_tshark), cmocka_unit_test(long_lists),
                                        cmocka_unit_test(community), cmocka_unit_test(bounded) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
