/* SPDX-License-Identifier: Apache-2.0
 *
 * The item walk: names, values and places of fields (decoder/show/item.h). Expected places are counted from the packet
 * layouts of the standards by hand. */
#include "decoder/mqtt/conn.h"
#include "decoder/show/show.h"
#include "decoder/track/track.h"
#include "tests/decoder/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The wire items of a sample as lines "name offset+len value", aliases with a ~ in front. */
static void listing(const struct sample *s, char *text, size_t cap)
{
    struct out o = out_over(text, cap - 1);
    struct show_style style = { .secrets = true };
    struct item_walk walk = item_walk_of(&s->row, NULL);
    struct item it;
    while (item_next(&walk, &it)) {
        if (it.field >= FIELD_VIOLATION_RULE)
            continue;
        if (it.len == 0 && it.text.ptr == NULL && it.field != FIELD_MQTT_ILLEGAL_TOPIC_LENGTH)
            continue;
        if (strncmp(field_info((enum field)it.field)->name, "mqtt.", 5) != 0 || it.field == FIELD_MQTT_VER_SOURCE)
            continue;
        out_text(&o, it.alias ? "~" : "");
        out_text(&o, field_info((enum field)it.field)->name);
        out_char(&o, ' ');
        out_uint(&o, it.offset);
        out_char(&o, '+');
        out_uint(&o, it.len);
        out_char(&o, ' ');
        show_value(&o, &it, &style);
        out_char(&o, '\n');
    }
    text[o.len] = '\0';
}

static void expect(const char *octets, size_t len, unsigned version, unsigned sender, const char *want)
{
    char text[8192];
    struct sample s;
    sample_of(&s, octets, len, version, sender);
    listing(&s, text, sizeof text);
    free(s.octets);
    assert_string_equal(text, want);
}

#define EXPECT(octets, version, sender, want) expect(octets, sizeof octets - 1, version, sender, want)

static void connect_of_311(void **state)
{
    (void)state;
    EXPECT("\x10\x1e\x00\x04MQTT\x04\xe6\x00\x0a\x00\x02"
           "ab\x00\x01w\x00\x02hi\x00\x01u\x00\x03pwd",
           MQTT_V311, MQTT_CLIENT,
           "mqtt.hdrflags 0+1 0x10\nmqtt.msgtype 0+1 1\nmqtt.hdr_reserved 0+1 0\nmqtt.len 1+1 30\n"
           "mqtt.proto_len 2+2 4\nmqtt.protoname 4+4 MQTT\nmqtt.ver 8+1 4\nmqtt.conflags 9+1 0xe6\n"
           "mqtt.conflag.uname 9+1 1\nmqtt.conflag.passwd 9+1 1\nmqtt.conflag.retain 9+1 1\nmqtt.conflag.qos 9+1 0\n"
           "mqtt.conflag.willflag 9+1 1\nmqtt.conflag.cleansess 9+1 1\nmqtt.conflag.reserved 9+1 0\n"
           "mqtt.kalive 10+2 10\nmqtt.clientid_len 12+2 2\nmqtt.clientid 14+2 ab\nmqtt.willtopic_len 16+2 1\n"
           "mqtt.willtopic 18+1 w\nmqtt.willmsg_len 19+2 2\nmqtt.willmsg 21+2 6869\n~mqtt.willmsg_text 21+2 hi\n"
           "mqtt.username_len 23+2 1\nmqtt.username 25+1 u\nmqtt.passwd_len 26+2 3\nmqtt.passwd 28+3 pwd\n");
}

static void publish_with_properties(void **state)
{
    (void)state;
    /* 5.0, QoS 1, topic "t", id 9; Content Type "c", Topic Alias 5, User Property k=v, Correlation Data ff; payload {}
     */
    EXPECT("\x32\x1b\x00\x01t\x00\x09\x12\x03\x00\x01"
           "c\x23\x00\x05\x26\x00\x01k\x00\x01v\x09\x00\x01\xff{}",
           MQTT_V5, MQTT_CLIENT,
           "mqtt.hdrflags 0+1 0x32\nmqtt.msgtype 0+1 3\nmqtt.dupflag 0+1 0\nmqtt.qos 0+1 1\nmqtt.retain 0+1 0\n"
           "mqtt.len 1+1 27\nmqtt.topic_len 2+2 1\nmqtt.topic 4+1 t\nmqtt.msgid 5+2 9\nmqtt.properties 7+19 1\n"
           "mqtt.property_len 7+1 18\n"
           "mqtt.property_id 8+1 0x03\nmqtt.property.content_type 11+1 c\n"
           "mqtt.property_id 12+1 0x23\nmqtt.property.topic_alias 13+2 5\n"
           "mqtt.property_id 15+1 0x26\n~mqtt.property.user_property 15+7 1\nmqtt.prop_key_len 16+2 "
           "1\nmqtt.property.user_property.name 18+1 k\n"
           "~mqtt.prop_key 18+1 k\nmqtt.prop_value_len 19+2 1\nmqtt.property.user_property.value 21+1 v\n"
           "~mqtt.prop_value 21+1 v\n"
           "mqtt.property_id 22+1 0x09\nmqtt.prop_string_len 23+2 1\nmqtt.property.correlation_data 25+1 ff\n"
           "~mqtt.prop_string 25+1 \\xff\n"
           "mqtt.msg 26+2 7b7d\n~mqtt.msg_text 26+2 {}\n~mqtt.msg_decoded_as 0+0 json\n");
}

static void subscribe_of_each_version(void **state)
{
    (void)state;
    EXPECT("\x82\x0a\x00\x01\x00\x01"
           "a\x01\x00\x01#\x02",
           MQTT_V31, MQTT_CLIENT,
           "mqtt.hdrflags 0+1 0x82\nmqtt.msgtype 0+1 8\nmqtt.dupflag 0+1 0\nmqtt.qos 0+1 1\n"
           "mqtt.retain_reserved 0+1 0\nmqtt.len 1+1 10\nmqtt.msgid 2+2 1\n"
           "mqtt.topic_len 4+2 1\nmqtt.topic 6+1 a\nmqtt.sub.qos 7+1 1\n"
           "mqtt.topic_len 8+2 1\nmqtt.topic 10+1 #\nmqtt.sub.qos 11+1 2\n");
    EXPECT("\x82\x08\x00\x01\x02\x0b\x07\x00\x00\x2d", MQTT_V5, MQTT_CLIENT,
           "mqtt.hdrflags 0+1 0x82\nmqtt.msgtype 0+1 8\nmqtt.hdr_reserved 0+1 2\nmqtt.len 1+1 8\nmqtt.msgid 2+2 1\n"
           "mqtt.properties 4+3 1\nmqtt.property_len 4+1 2\nmqtt.property_id 5+1 0x0b\n"
           "mqtt.property.subscription_identifier 6+1 7\n~mqtt.prop_number 6+1 7\n"
           "mqtt.topic_len 7+2 0\nmqtt.topic 9+0 \nmqtt.illegal_topic_length 7+2 1\n"
           "mqtt.subscription_options 9+1 0x2d\nmqtt.subscription_options_reserved 9+1 0x00\n"
           "mqtt.subscription_options_retain 9+1 2\nmqtt.subscription_options_rap 9+1 1\n"
           "mqtt.subscription_options_nl 9+1 1\nmqtt.subscription_options_qos 9+1 1\n");
}

static void codes_and_answers(void **state)
{
    (void)state;
    EXPECT("\x90\x04\x00\x02\x01\x80", MQTT_V311, MQTT_SERVER,
           "mqtt.hdrflags 0+1 0x90\nmqtt.msgtype 0+1 9\nmqtt.hdr_reserved 0+1 0\nmqtt.len 1+1 4\nmqtt.msgid 2+2 2\n"
           "mqtt.suback.qos 4+1 1\nmqtt.suback.qos 5+1 128\n");
    EXPECT("\x90\x05\x00\x02\x00\x01\x87", MQTT_V5, MQTT_SERVER,
           "mqtt.hdrflags 0+1 0x90\nmqtt.msgtype 0+1 9\nmqtt.hdr_reserved 0+1 0\nmqtt.len 1+1 5\nmqtt.msgid 2+2 2\n"
           "mqtt.properties 4+1 1\nmqtt.property_len 4+1 0\nmqtt.suback.reason_code 5+1 1\n"
           "mqtt.suback.reason_code 6+1 135\n");
    EXPECT("\x40\x02\x00\x03", MQTT_V5, MQTT_SERVER,
           "mqtt.hdrflags 0+1 0x40\nmqtt.msgtype 0+1 4\nmqtt.hdr_reserved 0+1 0\nmqtt.len 1+1 2\nmqtt.msgid 2+2 3\n");
    EXPECT("\x62\x03\x00\x03\x92", MQTT_V5, MQTT_CLIENT,
           "mqtt.hdrflags 0+1 0x62\nmqtt.msgtype 0+1 6\nmqtt.hdr_reserved 0+1 2\nmqtt.len 1+1 3\nmqtt.msgid 2+2 3\n"
           "mqtt.pubrel.reason_code 4+1 146\n");
    EXPECT("\x20\x02\x01\x00", MQTT_V311, MQTT_SERVER,
           "mqtt.hdrflags 0+1 0x20\nmqtt.msgtype 0+1 2\nmqtt.hdr_reserved 0+1 0\nmqtt.len 1+1 2\n"
           "mqtt.conack.flags 2+1 0x01\nmqtt.conack.flags.reserved 2+1 0\nmqtt.conack.flags.sp 2+1 1\n"
           "mqtt.conack.val 3+1 0\n");
    EXPECT("\x20\x06\x00\x00\x03\x24\x01\x21", MQTT_V5, MQTT_SERVER, /* ends inside Receive Maximum */
           "mqtt.hdrflags 0+1 0x20\nmqtt.msgtype 0+1 2\nmqtt.hdr_reserved 0+1 0\nmqtt.len 1+1 6\n"
           "mqtt.conack.flags 2+1 0x00\nmqtt.conack.flags.reserved 2+1 0\nmqtt.conack.flags.sp 2+1 0\n"
           "mqtt.connack.reason_code 3+1 0\nmqtt.properties 4+4 1\nmqtt.property_len 4+1 3\n"
           "mqtt.property_id 5+1 0x24\nmqtt.property.maximum_qos 6+1 1\n~mqtt.property.max_qos 6+1 1\n"
           "mqtt.property_id 7+1 0x21\n");
}

/* Every item lies inside the octets at hand, on any input: here every packet cut at every length and every octet
 * turned. */
static void stays_inside(void **state)
{
    static const char whole[] = "\x10\x49\x00\x04MQTT\x05\xe6\x00\x0a\x05\x11\x00\x00\x00\x05\x00\x02"
                                "ab\x0b\x03\x00\x01"
                                "c\x26\x00\x01k\x00\x01v\x00\x01w\x00\x02hi\x00\x01u\x00\x03pwd";
    static const char list[] = "\x82\x10\x00\x01\x02\x0b\x07\x00\x01"
                               "a\x01\x00\x03"
                               "a/#\x2a";
    static const struct {
        const char *octets;
        size_t len;
    } seeds[] = { { whole, sizeof whole - 1 }, { list, sizeof list - 1 } };
    (void)state;
    for (size_t k = 0; k < 2; k++) {
        for (size_t cut = 1; cut <= seeds[k].len; cut++) {
            for (unsigned turn = 0; turn < 256; turn += 3) {
                char octets[128];
                memcpy(octets, seeds[k].octets, cut);
                octets[cut * turn / 256] = (char)(octets[cut * turn / 256] + (int)turn);
                struct sample s;
                sample_of(&s, octets, cut, turn % 3 + 3, MQTT_CLIENT);
                struct item_walk walk = item_walk_of(&s.row, NULL);
                struct item it;
                size_t items = 0;
                while (item_next(&walk, &it)) {
                    assert_true(it.offset <= cut && it.len <= cut - it.offset);
                    assert_true(it.field < FIELD_COUNT);
                    items++;
                }
                assert_true(items < 600);
                free(s.octets);
            }
        }
    }
}

static void wanted_alone(void **state)
{
    struct field_set want = { { 0 } };
    struct sample s;
    struct item it;
    (void)state;
    sample_of(&s, "\x30\x06\x00\x01tabc", 8, MQTT_V311, MQTT_CLIENT);
    field_set_add(&want, FIELD_MQTT_TOPIC);
    field_set_add(&want, FIELD_COMMUNITYID);
    struct item_walk walk = item_walk_of(&s.row, &want);
    assert_true(item_next(&walk, &it));
    assert_int_equal(it.field, FIELD_COMMUNITYID);
    assert_int_equal(it.text.len, 30);
    assert_true(item_next(&walk, &it));
    assert_int_equal(it.field, FIELD_MQTT_TOPIC);
    assert_false(item_next(&walk, &it));
    free(s.octets);
}

enum { ITEMS_MAX = 200 };

/* Asked for one field, the walk yields what the whole walk yields of it, neither less nor in another order. */
static void same_alone(const struct row *row)
{
    static struct item all[ITEMS_MAX];
    struct item_walk whole = item_walk_of(row, NULL);
    struct item it;
    size_t n = 0;
    while (n < ITEMS_MAX && item_next(&whole, &all[n]))
        n++;
    assert_in_range(n, 10, ITEMS_MAX - 1);
    for (unsigned f = 0; f < FIELD_COUNT; f++) {
        struct field_set want = { { 0 } };
        field_set_add(&want, (enum field)f);
        struct item_walk walk = item_walk_of(row, &want);
        for (size_t i = 0; i < n; i++) {
            if (all[i].field != f)
                continue;
            if (!item_next(&walk, &it))
                fail_msg("%s is not yielded alone", field_info((enum field)f)->name);
            assert_int_equal(it.field, f);
            assert_int_equal(it.number, all[i].number);
            assert_int_equal(it.offset, all[i].offset);
            assert_int_equal(it.text.len, all[i].text.len);
            assert_ptr_equal(it.text.ptr, all[i].text.ptr);
        }
        if (f != FIELD_COMMUNITYID) /* which the whole walk leaves out */
            assert_false(item_next(&walk, &it));
    }
}

static void one_field_of_many(void **state)
{
    static const struct {
        const char *octets;
        size_t len;
        unsigned version;
    } packets[] = {
#define PACKET(text, version) { text, sizeof text - 1, version }
        PACKET("\x10\x49\x00\x04MQTT\x05\xe6\x00\x0a\x05\x11\x00\x00\x00\x05\x00\x02"
               "ab\x0b\x03\x00\x01"
               "c\x26\x00\x01k\x00\x01v\x00\x01w\x00\x02hi\x00\x01u\x00\x03pwd",
               MQTT_V5), /* cut */
        PACKET("\x20\x09\x01\x00\x06\x24\x01\x12\x00\x01z", MQTT_V5),
        PACKET("\x20\x02\x00\x05", MQTT_V311),
        PACKET("\x33\x0b\x00\x00\x00\x07\x03\x23\x00\x01{}", MQTT_V5), /* Topic Alias alone */
        PACKET("\x38\x06\x00\x03t/#ab", MQTT_V311),                    /* two rules broken */
        PACKET("\x30\x04\x00\x00hi", MQTT_V311),
        PACKET("\x62\x04\x00\x07\x92\x00", MQTT_V5),
        PACKET("\x82\x10\x00\x01\x02\x0b\x07\x00\x01"
               "a\x01\x00\x03"
               "a/#\x2a",
               MQTT_V5),
        PACKET("\x82\x06\x00\x01\x00\x01t\x02", MQTT_V311),
        PACKET("\x90\x05\x00\x01\x00\x01\x87", MQTT_V5),
        PACKET("\xe0\x02\x8e\x00", MQTT_V5),
        PACKET("\xc0\x00", MQTT_V31),
#undef PACKET
    };
    struct track_note note = { .session = 3,
                               .exchange = 4,
                               .first_frame = 5,
                               .answers_frame = 6,
                               .kind = TRACK_QOS1,
                               .step = 2,
                               .owed_by = MQTT_SERVER,
                               .owed_type = MQTT_PUBACK,
                               .resent = 1,
                               .flags = TRACK_RETRANSMITTED | TRACK_RESUMED | TRACK_TAKEOVER,
                               .window = 9,
                               .topic = view_of("t", 1) };
    struct sample s;
    (void)state;
    for (size_t i = 0; i < sizeof packets / sizeof *packets; i++) {
        sample_of(&s, packets[i].octets, packets[i].len, packets[i].version, MQTT_CLIENT);
        s.row.note = &note;
        s.row.client_id = view_of("me", 2);
        s.row.version_source = MQTT_SOURCE_INFERRED;
        same_alone(&s.row);
        s.row.src.addr.family = s.row.dst.addr.family = 6;
        same_alone(&s.row);
        s.row.kind = ROW_GAP;
        s.row.packet = NULL;
        s.row.verdicts = NULL;
        s.row.n_verdicts = 0;
        s.row.gap_reason = "lost segment";
        same_alone(&s.row);
        free(s.octets);
    }
}

static void verdicts_are_parallel(void **state)
{
    struct sample s;
    struct item it;
    unsigned n[FIELD_COUNT] = { 0 };
    (void)state;
    sample_of(&s, "\x36\x05\x00\x01+\x00\x00", 7, MQTT_V311, MQTT_CLIENT); /* QoS 3, a wildcard, id 0 */
    assert_true(s.row.n_verdicts >= 2);
    struct item_walk walk = item_walk_of(&s.row, NULL);
    while (item_next(&walk, &it))
        n[it.field]++;
    for (unsigned f = FIELD_VIOLATION_RULE; f <= FIELD_VIOLATION_ALSO; f++)
        assert_int_equal(n[f], s.row.n_verdicts);
    free(s.octets);
}

static void names(void **state)
{
    (void)state;
    assert_int_equal(field_find("mqtt.topic", 10), FIELD_MQTT_TOPIC);
    assert_int_equal(field_find("mqtt.topic_len", 10), FIELD_MQTT_TOPIC);
    assert_int_equal(field_find("mqtt.topi", 9), -1);
    assert_int_equal(field_find("", 0), -1);
    assert_string_equal(field_nearest("mqtt.topc", 9), "mqtt.topic");
    assert_string_equal(field_nearest("topic", 5), "mqtt.topic");
    assert_null(field_nearest("entirely.else", 13));
    for (unsigned f = 0; f < FIELD_COUNT; f++) /* one name, one field */
        assert_int_equal(field_find(field_table[f].name, field_table[f].name_len), f);
    for (uint32_t id = 0; id < MQTT_PROP_LIMIT; id++) { /* as in properties.def */
        const char *snake = mqtt_prop_info(id)->snake;
        char name[80];
        if (snake == NULL)
            continue;
        int len = snprintf(name, sizeof name, "mqtt.property.%s", snake);
        int f = field_find(name, (size_t)len);
        assert_true(f >= 0);
        struct view label = field_label((enum field)f);
        assert_int_equal(label.len, strlen(mqtt_prop_info(id)->name));
        assert_memory_equal(label.ptr, mqtt_prop_info(id)->name, label.len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connect_of_311),
        cmocka_unit_test(publish_with_properties),
        cmocka_unit_test(subscribe_of_each_version),
        cmocka_unit_test(codes_and_answers),
        cmocka_unit_test(stays_inside),
        cmocka_unit_test(wanted_alone),
        cmocka_unit_test(one_field_of_many),
        cmocka_unit_test(verdicts_are_parallel),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
