/* SPDX-License-Identifier: Apache-2.0
 *
 * The plan language: what it says on the wire, that packets read back, and every probe. */
#include "fuzz/plan/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fuzz/campaign/campaign.h"
#include "fuzz/campaign/conform.h"
#include "fuzz/mutator.h"
#include "fuzz/talk/talk.h"

static void parsed(struct plan *plan, const char *text, unsigned version)
{
    if (!plan_parse(plan, view_of(text, strlen(text)), "P", version))
        fail_msg("%s: %s", text, plan->error);
}

/* Octets written by hand from the standard. */
static void packets_on_the_wire(void **state)
{
    (void)state;
    static const struct {
        const char *text, *octets;
        size_t len;
        unsigned version;
    } cases[] = {
        { "a > connect", "\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02Pa", 16, MQTT_V311 },
        { "b > connect id=x clean=0 keepalive=1", "\x10\x0d\x00\x04MQTT\x04\x00\x00\x01\x00\x01x", 15, MQTT_V311 },
        { "a > connect id=x", "\x10\x0f\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x01x", 17, MQTT_V31 },
        { "a > connect id=x keep=1", "\x10\x13\x00\x04MQTT\x05\x00\x00\x3c\x05\x11\x00\x00\x00\x01\x00\x01x", 21,
          MQTT_V5 },
        { "a > connect id=x user=u pass=p will_topic=w will_payload=g will_qos=1",
          "\x10\x19\x00\x04MQTT\x04\xce\x00\x3c\x00\x01x\x00\x01w\x00\x01g\x00\x01u\x00\x01p", 27, MQTT_V311 },
        { "a > publish topic=~/t payload=\"a b\"", "\x30\x08\x00\x03P/ta b", 10, MQTT_V311 },
        { "a > publish topic=t qos=1 id=258 dup=1 retain=1 payload=x", "\x3b\x06\x00\x01t\x01\x02x", 8, MQTT_V311 },
        { "a > publish topic=t payload=\\x00\\xff user_property=k:v",
          "\x30\x0d\x00\x01t\x07\x26\x00\x01k\x00\x01v\x00\xff", 15, MQTT_V5 },
        { "a > subscribe id=2 sub=1:a/# sub=2:b",
          "\x82\x0c\x00\x02\x00\x03"
          "a/#\x01\x00\x01"
          "b\x02",
          14, MQTT_V311 },
        { "a > unsubscribe id=3 unsub=a",
          "\xa2\x05\x00\x03\x00\x01"
          "a",
          7, MQTT_V311 },
        { "a > puback id=7 reason=0x10", "\x40\x03\x00\x07\x10", 5, MQTT_V5 },
        { "a > pubrel id=7 header=0", "\x60\x02\x00\x07", 4, MQTT_V311 },
        { "a > disconnect reason=4 session_expiry_interval=9", "\xe0\x07\x04\x05\x11\x00\x00\x00\x09", 9, MQTT_V5 },
        { "a > pingreq", "\xc0\x00", 2, MQTT_V5 },
        { "a raw 30 05 0001 74 6869", "\x30\x05\x00\x01thi", 7, MQTT_V5 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct plan plan;
        parsed(&plan, cases[i].text, cases[i].version);
        assert_int_equal(plan.n, 1);
        if (plan.step[0].octets.len != cases[i].len ||
            memcmp(plan.step[0].octets.ptr, cases[i].octets, cases[i].len) != 0)
            fail_msg("%s gives other octets", cases[i].text);
        plan_free(&plan);
    }
}

static void steps_are_what_was_written(void **state)
{
    (void)state;
    struct plan plan;
    parsed(&plan,
           "# a comment; with a semicolon\n"
           "a open; a manual\n"
           "a < publish topic=\"x y\" qos=1 id=$2 # behind\n"
           "a > puback id=$2\n"
           "a <! no publish topic=t 250ms\n"
           "a <! closed reason=0x8e 2s\n"
           "version 5; need shared; need no qos2; wait 10ms; b reset\n"
           "a < connack sp=1 assigned_client_identifier=* receive_maximum=none server_keep_alive>=3",
           MQTT_V311);
    static const enum plan_op ops[] = { PLAN_OPEN, PLAN_MANUAL, PLAN_EXPECT, PLAN_SEND,  PLAN_EXPECT, PLAN_EXPECT,
                                        PLAN_NEED, PLAN_NEED,   PLAN_WAIT,   PLAN_RESET, PLAN_EXPECT };
    assert_int_equal(plan.n, 11);
    for (unsigned i = 0; i < 11; i++)
        assert_int_equal(plan.step[i].op, ops[i]);
    assert_true(plan.step[2].var == 2 && plan.step[2].n_match == 2 && !plan.step[2].judged && plan.step[2].line == 3);
    assert_true(plan.step[3].var == 2 && plan.step[3].id_at == 2);
    assert_true(plan.step[4].want == PLAN_NO_PACKET && plan.step[4].judged && plan.step[4].ms == 250);
    assert_true(plan.step[5].want == PLAN_CLOSED && plan.step[5].match[0].number == 0x8e && plan.step[5].ms == 2000);
    assert_true(plan.step[6].want == PLAN_SHARED && !plan.step[6].lacking);
    assert_true(plan.step[7].want == PLAN_QOS2 && plan.step[7].lacking);
    assert_true(plan.step[9].client == 1 && plan.step[9].version == MQTT_V5);
    assert_true(plan.step[10].n_match == 4 && plan.step[10].match[1].present && plan.step[10].match[2].absent &&
                plan.step[10].match[3].least);
    plan_free(&plan);
}

static void faults_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *error;
    } cases[] = {
        { "a > publish topc=x", "line 1: publish has no field 'topc'" },
        { "\na > nothing", "line 2: what packet is to be sent?" },
        { "a > publish topic=\"x", "line 1: a quotation mark is missing" },
        { "a raw 3", "line 1: raw wants pairs of hexadecimal digits" },
        { "hello", "line 1: 'hello' is no statement" },
        { "version 4", "line 1: versions are 3.1, 3.1.1 and 5" },
        { "a jump", "line 1: 'jump': a client does open, close, reset, manual, auto, raw, >, >>, >?, >&, <, <!, <?" },
        { "wait long", "line 1: a time looks like 200ms or 2s" },
        { "a > publish qos=4", "line 1: qos wants a number of at most 3" },
        { "a > publish topic=\\{5", "line 1: a long value looks like \\{65535:x} and has at most 8388608 octets" },
        { "a > publish topic=\\{:x}", "line 1: a long value looks like \\{65535:x} and has at most 8388608 octets" },
        { "a > publish topic=\\{-1:x}", "line 1: a long value looks like \\{65535:x} and has at most 8388608 octets" },
        { "a > publish topic=\\{8388609:x}",
          "line 1: a long value looks like \\{65535:x} and has at most 8388608 octets" },
        { "a > publish topic=\\{99999999999999999999999:x}",
          "line 1: a long value looks like \\{65535:x} and has at most 8388608 octets" },
        { "a > publish topic=\\{5:}", "line 1: nothing to fill a long value with" },
        { "a > publish topic=\\{5:x", "line 1: nothing to fill a long value with" },
        { "a > publish topic=\\{5:\\", "line 1: nothing to fill a long value with" },
        { "a > publish topic=\\{65536:x}", "line 1: the packet is too long" },
        { "a > publish topic=\\{8000000:x} payload=\\{8000000:x} qos=1", "line 1: the packet is too long" },
        { "a > publish topic=t payload=\\{8388608:x} content_type=\\{8388608:x}", "line 1: no memory" },
        { "a > subscribe id=1 sub*10001=0:t", "line 1: a word stands for at most 10000, as in sub*100=0:t" },
        { "a > subscribe id=1 sub*=0:t", "line 1: a word stands for at most 10000, as in sub*100=0:t" },
        { "a > subscribe id=1 sub*9999=0:tttttttt", "line 1: the filters are too long" },
        { "a > publish topic=t cut=0", "line 1: cut wants up to 8 rising numbers with commas" },
        { "a > publish topic=t cut=2,2", "line 1: cut wants up to 8 rising numbers with commas" },
        { "a > publish topic=t cut=1,2,3,4,5,6,7,8,9", "line 1: cut wants up to 8 rising numbers with commas" },
        { "a > publish topic=t cut=1 cut=5", "line 1: cut wants places inside the packet, which names no variable" },
        { "a >& pingreq", "line 1: a holds back what it never sends" },
        { "a >& pubrel id=$1", "line 1: packets that go out together name no variable" },
        { "a >& pingreq; a > pubrel id=$1", "line 1: packets that go out together name no variable" },
        { "a > pubrel id=$1 cut=1", "line 1: cut wants places inside the packet, which names no variable" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct plan plan;
        assert_false(plan_parse(&plan, view_of(cases[i].text, strlen(cases[i].text)), NULL, MQTT_V311));
        assert_string_equal(plan.error, cases[i].error);
        plan_free(&plan);
    }
}

static struct view sent(const struct plan *plan)
{
    return plan->n == 1 ? plan->step[0].octets : view_of(NULL, 0);
}

/* Values so long that they are said and not spelled; and what is printed of them is as short. */
static void long_values(void **state)
{
    (void)state;
    static const struct {
        const char *text, *spelled, *printed;
        unsigned version;
    } cases[] = {
        { "a > publish topic=~/\\{6:ab}c payload=x", "a > publish topic=P/ababc payload=x", "~/ababc", MQTT_V311 },
        { "a > publish topic=~/\\{1:ab} payload=x", "a > publish topic=P/ payload=x", "~/", MQTT_V311 },
        { "a > publish topic=~\\{0:ab}t payload=x", "a > publish topic=Pt payload=x", "~t", MQTT_V311 },
        { "a > publish topic=\\{5:~/} payload=x", "a > publish topic=P/P/P payload=x", "~/~/~", MQTT_V311 },
        { "a > publish topic=t payload=\\{5:\\x00\\}}", "a > publish topic=t payload=\\x00\\x7d\\x00\\x7d\\x00", "",
          MQTT_V311 },
        { "a > publish topic=t payload=\"\\{5: \\x7d}\"", "a > publish topic=t payload=\" } } \"", "", MQTT_V311 },
        { "a > subscribe id=1 sub=1:\\{4:x/}#", "a > subscribe id=1 sub=1:x/x/#", "", MQTT_V311 },
        { "a > publish topic=t user_property=\\{3:k}:\\{2:v} payload=x",
          "a > publish topic=t user_property=kkk:vv payload=x", "", MQTT_V5 },
        { "a > subscribe id=1 sub*3=1:~/\\i sub=0:\\i", "a > subscribe id=1 sub=1:P/1 sub=1:P/2 sub=1:P/3 sub=0:1", "",
          MQTT_V311 },
        { "a > unsubscribe id=1 unsub*0=x unsub*2=\"a b\"", "a > unsubscribe id=1 unsub=\"a b\" unsub=\"a b\"", "",
          MQTT_V311 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct plan plan, spelled;
        parsed(&plan, cases[i].text, cases[i].version);
        parsed(&spelled, cases[i].spelled, cases[i].version);
        struct view a = sent(&plan), b = sent(&spelled);
        if (a.len != b.len || memcmp(a.ptr, b.ptr, a.len) != 0)
            fail_msg("%s gives other octets", cases[i].text);
        char *text = plan_print(&plan);
        if (strstr(text, cases[i].printed) == NULL)
            fail_msg("%s is printed as %s", cases[i].text, text);
        free(text);
        plan_free(&plan);
        plan_free(&spelled);
    }
}

static void long_values_read_back(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "a > publish topic=~/\\{65535:t} payload=\\{64:x}\\x00",
        "a > publish topic=~/\\{65535:a/} payload=\\{2097152:\\x7d}",
        "a > publish topic=\\{70:PQ}~ payload=PPPPP\\{100:PP}~",
        "a > subscribe id=1 sub=1:\\{65535:/}",
        "a > subscribe id=1 sub*20=1:~/\\i/\\{200:za}",
        "a >? connect id=\\{65535:c} user=~\\{65535:\\x00\\xff} will_topic=\\{65535:w} will_payload=\\{65535: }",
        "a > publish topic=t user_property=\\{30000:\\x3a}:\\{30000:\\x3b} payload=\"\\{99: \\x22}\"",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct plan plan, again;
        parsed(&plan, cases[i], MQTT_V5);
        char *text = plan_print(&plan);
        assert_non_null(text);
        if (strlen(text) > 1500 || strstr(text, "raw") != NULL)
            fail_msg("%s is printed as %.1500s", cases[i], text);
        parsed(&again, text, MQTT_V311);
        assert_true(sent(&plan).len > 0 && sent(&plan).len == sent(&again).len);
        assert_true(memcmp(sent(&plan).ptr, sent(&again).ptr, sent(&plan).len) == 0);
        assert_true(plan.step[0].soft == again.step[0].soft);
        free(text);
        plan_free(&plan);
        plan_free(&again);
    }
}

static void packets_are_cut(void **state)
{
    (void)state;
    static const size_t sizes[] = { 1, 0, 1, 0, 3, 0, 5 };
    struct plan plan;
    parsed(&plan, "a >? publish topic=t payload=12345 cut=1,2,5; b > pingreq", MQTT_V311);
    assert_int_equal(plan.n, 8);
    for (unsigned i = 0; i < 7; i++) {
        const struct plan_step *s = &plan.step[i];
        assert_true(s->op == (i % 2 ? PLAN_WAIT : PLAN_SEND) && s->octets.len == sizes[i]);
        assert_true(i % 2 ? s->ms > 0 && s->ms <= 50 : s->soft && s->part == (i > 0));
    }
    assert_memory_equal(plan.step[6].octets.ptr, "12345", 5);
    assert_false(plan.step[7].part);
    plan_free(&plan);
    parsed(&plan, "a >& pingreq; b >& puback id=1; a >& pingreq; b > puback id=2 cut=5; a > disconnect", MQTT_V311);
    assert_int_equal(plan.n, 4);
    assert_true(plan.step[0].client == 1 && plan.step[0].octets.len == 5 && plan.step[2].octets.len == 3);
    assert_memory_equal(plan.step[0].octets.ptr, "\x40\x02\x00\x01\x40\x02\x00\x02", 8);
    assert_true(plan.step[3].client == 0 && plan.step[3].octets.len == 6);
    assert_memory_equal(plan.step[3].octets.ptr, "\xc0\x00\xc0\x00\xe0\x00", 6);
    plan_free(&plan);
}

/* User Properties are wanted in their order, others between them allowed [MQTT-3.3.2-18]. */
static void properties_in_order(void **state)
{
    (void)state;
    static const struct {
        const char *sent, *wanted;
        bool fits;
    } cases[] = {
        { "user_property=k:1 user_property=k:2", "user_property=k:1 user_property=k:2", true },
        { "user_property=k:1 user_property=k:2", "user_property=k:2 user_property=k:1", false },
        { "user_property=k:1 user_property=k:2", "user_property=k:2", true },
        { "user_property=k:1", "user_property=k:1 user_property=k:1", false },
        { "user_property=a:x user_property=k:1 content_type=t user_property=k:2",
          "user_property=k:1 content_type=t user_property=k:2", true },
        { "content_type=t", "user_property=*", false },
        { "content_type=t", "user_property=none", true },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct plan plan;
        struct mqtt_packet p;
        char text[300];
        bool candidate;
        const char *why;
        snprintf(text, sizeof text, "a > publish topic=t %s; a < publish topic=t %s", cases[i].sent, cases[i].wanted);
        parsed(&plan, text, MQTT_V5);
        mqtt_decode(plan.step[0].octets, (struct mqtt_context){ MQTT_V5, MQTT_SERVER }, &p, NULL);
        if (plan_matches(&plan.step[1], &p, NULL, &candidate, &why) != cases[i].fits)
            fail_msg("%s", text);
        plan_free(&plan);
    }
}

/* Any packet, valid or broken, printed as a statement reads back as the same octets. */
static void packets_read_back(void **state)
{
    (void)state;
    unsigned as_fields = 0, as_octets = 0;
    for (uint64_t seed = 0; seed < 3000; seed++) {
        struct mutator m = mutator_seeded(seed);
        struct mutator_scene scene = { (uint8_t)(3 + seed % 3), MQTT_CLIENT };
        static uint8_t packet[65536];
        static char text[200000] = "a > ";
        size_t n = mutator_fresh_any(&m, scene, packet, sizeof packet);
        if (seed % 2)
            n = mutator_packet(&m, scene, packet, n, sizeof packet);
        size_t len = 4 + plan_print_packet(view_of(packet, n), scene.version, NULL, text + 4, sizeof text - 4);
        bool raw = strncmp(text + 4, "raw", 3) == 0;
        struct plan plan;
        char *statement = raw ? text + 2 : text;
        if (raw)
            statement[0] = 'a', statement[1] = ' ';
        if (!plan_parse(&plan, view_of(statement, len - (raw ? 2 : 0)), NULL, scene.version))
            fail_msg("seed %u: %s: %s", (unsigned)seed, statement, plan.error);
        assert_int_equal(plan.step[0].octets.len, n);
        assert_memory_equal(plan.step[0].octets.ptr, packet, n);
        plan_free(&plan);
        memcpy(text, "a > ", 4);
        *(raw ? &as_octets : &as_fields) += 1;
    }
    assert_true(as_fields > 1500 && as_octets > 100);
}

/* Every probe parses, judges something, and asks about a statement that exists. */
static void probes_are_sound(void **state)
{
    (void)state;
    struct probe_list list;
    unsigned versions[6] = { 0 };
    assert_true(probes_make(&list, 1u << MQTT_V31 | 1u << MQTT_V311 | 1u << MQTT_V5));
    assert_true(list.n >= 450);
    for (uint32_t i = 0; i < list.n; i++) {
        const struct probe *p = &list.at[i];
        struct plan plan;
        bool judged = false;
        parsed(&plan, p->script, p->version);
        for (uint32_t k = 0; k < plan.n; k++)
            judged = judged || plan.step[k].judged;
        unsigned of = p->version == MQTT_V31 && p->rule[1] != '3' ? MQTT_V311 : p->version;
        if (!judged || mqtt_rule_by_id(p->rule, of) == MQTT_RULE_NONE)
            fail_msg("%s %s: %s", mqtt_version_name(p->version), p->rule, p->title);
        versions[p->version]++;
        plan_free(&plan);
    }
    assert_true(versions[MQTT_V31] > 80 && versions[MQTT_V311] > 120 && versions[MQTT_V5] > 200);
    probes_free(&list);
}

/* What the campaign makes up, with names of its own in many places, says the same when it is read from its file. */
/* Every connection of a crowd fits, and ends. */
static void crowds_are_whole(void **state)
{
    (void)state;
    uint8_t *room = malloc(TALK_CROWD_MAX);
    for (unsigned kind = 0; kind < TALK_CROWDS; kind++)
        for (unsigned version = MQTT_V31; version <= MQTT_V5; version++) {
            struct talk_record record;
            unsigned ends = 0, sends = 0, size = talk_crowd_size(kind);
            size_t pos = 0, n = talk_crowd(kind, version, room, TALK_CROWD_MAX);
            if (n == 0 && version != MQTT_V5)
                continue; /* of 5.0 alone */
            while (talk_next(view_of(room, n), &pos, &record)) {
                ends += record.op == TALK_CLOSE || record.op == TALK_RESET;
                sends += record.op == TALK_SEND;
            }
            assert_int_equal(ends, size);
            assert_in_range(sends, size, 3 * size);
        }
    free(room);
}

static void scenarios_read_back(void **state)
{
    (void)state;
    static uint8_t room[TALK_MAX];
    unsigned named = 0, raw = 0;
    for (uint64_t seed = 0; seed < 600; seed++) {
        struct mutator m = mutator_seeded(seed);
        struct talk talk = { .octets = room, .version = (uint8_t)(MQTT_V31 + seed % 3) };
        struct plan made, read;
        talk.len = (uint32_t)talk_scenario(&m, NULL, talk.version, true, room, sizeof room);
        assert_true(talk.len > 0);
        for (unsigned n = mutator_below(&m, 4); n > 0; n--)
            talk.len = (uint32_t)talk_mutate(&m, talk.version, room, talk.len, sizeof room);
        assert_true(talk_plan(&talk, "mzzzz1", seed % 2 != 0, &made));
        char *text = plan_print(&made);
        assert_non_null(text);
        assert_null(strstr(text, "mzzzz1"));
        named += strchr(text, '~') != NULL;
        raw += strstr(text, "raw") != NULL;
        if (!plan_parse(&read, view_of(text, strlen(text)), "mzzzz1", MQTT_V311))
            fail_msg("seed %u: %s", (unsigned)seed, read.error);
        assert_int_equal(read.n, made.n);
        for (uint32_t i = 0; i < read.n; i++) {
            const struct plan_step *a = &made.step[i], *b = &read.step[i];
            assert_int_equal(a->op, b->op);
            assert_true(a->op == PLAN_WAIT ? a->ms == b->ms : a->client == b->client);
            assert_true(a->soft == b->soft && a->want == b->want && (a->want == PLAN_ALIVE || a->type == b->type));
            assert_int_equal(a->octets.len, b->octets.len);
            assert_true(a->octets.len == 0 || memcmp(a->octets.ptr, b->octets.ptr, a->octets.len) == 0);
        }
        free(text);
        plan_free(&made);
        plan_free(&read);
    }
    assert_true(named > 500 && raw > 20);
}

/* Names are put where names are, and nothing else changes: what is broken stays as broken as it was. */
static void names_are_given(void **state)
{
    (void)state;
    static const struct {
        const char *before, *after;
        bool apart;
    } cases[] = {
        { "a > connect id=c1", "a > connect id=~c1", true },
        { "a > connect id=~c1", "a > connect id=~c1", true },
        { "a > connect id=\"\"", "a > connect id=\"\"", true },
        { "a > connect id=c1 will_topic=a/b will_payload=x", "a > connect id=~c1 will_topic=n/~/a/b will_payload=x",
          true },
        { "a > connect id=abcdefghijklmnopqr", "a > connect id=abcdefghijklmnopqr", false }, /* no room for more */
        { "a > publish topic=a/b payload=a/b", "a > publish topic=n/~/a/b payload=a/b", true },
        { "a > publish topic=~/t payload=x", "a > publish topic=~/t payload=x", true },
        { "a > publish topic=a/# qos=1 id=0", "a > publish topic=n/~/a/# qos=1 id=0", true },
        { "a > publish topic=$SYS/x payload=x", "a > publish topic=$SYS/x payload=x", true },
        { "a > subscribe id=1 sub=0:# sub=33:$share/g/a/+ sub=1:$SYS/#",
          "a > subscribe id=1 sub=0:n/~/# sub=33:$share/g/n/~/a/+ sub=1:$SYS/#", true },
        { "a > unsubscribe id=1 unsub=a unsub=b", "a > unsubscribe id=1 unsub=n/~/a unsub=n/~/b", true },
        { "a raw 82 07 00 01 00 00 02 23 3f", "a raw 82 07 00 01 00 00 02 23 3f", true }, /* a name beyond the end */
        { "a raw 31 04 00 01 61", "a raw 31 04 00 01 61", true },                         /* half a packet */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        static uint8_t room[TALK_MAX], wanted[TALK_MAX];
        struct talk talk = { .octets = room, .version = MQTT_V5 }, want = { .octets = wanted, .version = MQTT_V5 };
        struct plan before, after;
        assert_true(plan_parse(&before, view_of(cases[i].before, strlen(cases[i].before)), TALK_PREFIX, MQTT_V5));
        assert_true(plan_parse(&after, view_of(cases[i].after, strlen(cases[i].after)), TALK_PREFIX, MQTT_V5));
        assert_true(talk_of_plan(&before, &talk, TALK_MAX) && talk_of_plan(&after, &want, TALK_MAX));
        talk_give_names(&talk, TALK_MAX);
        if (talk.len != want.len || memcmp(room, wanted, want.len) != 0)
            fail_msg("%s", cases[i].before);
        if (talk_has_names(&talk) != cases[i].apart)
            fail_msg("%s: apart from others or not", cases[i].before);
        talk_give_names(&talk, want.len); /* once is enough, and there is room for no more */
        assert_true(talk.len == want.len && memcmp(room, wanted, want.len) == 0);
        plan_free(&before);
        plan_free(&after);
    }
}

/* Whatever is thrown at it. */
static void names_are_given_to_anything(void **state)
{
    (void)state;
    static uint8_t room[TALK_MAX], once[TALK_MAX];
    unsigned named = 0;
    for (uint64_t seed = 0; seed < 2000; seed++) {
        struct mutator m = mutator_seeded(seed);
        struct talk talk = { .octets = room, .version = (uint8_t)(MQTT_V31 + seed % 3) };
        talk.len = (uint32_t)talk_fresh(&m, talk.version, room, TALK_MAX / 2);
        for (unsigned n = mutator_below(&m, 8); n > 0; n--)
            talk.len = (uint32_t)talk_mutate(&m, talk.version, room, talk.len, TALK_MAX / 2);
        talk_give_names(&talk, TALK_MAX);
        named += talk_has_names(&talk);
        memcpy(once, room, talk.len);
        uint32_t len = talk.len;
        talk_give_names(&talk, TALK_MAX);
        assert_true(talk.len == len && memcmp(room, once, len) == 0);
    }
    assert_true(named > 1500);
}

/* Memory comes as it is needed, and no more than a plan may have. */
static void memory_of_a_plan(void **state)
{
    (void)state;
    struct plan plan = { .memory_left = 100000 };
    uint8_t *a = plan_take(&plan, 60000), *b = plan_take(&plan, 30000);
    assert_true(a != NULL && b != NULL);
    memset(a, 1, 60000);
    memset(b, 2, 30000);
    assert_true(a[59999] == 1 && plan_take(&plan, 10001) == NULL && plan_take(&plan, 10000) != NULL);
    plan_free(&plan);
    char *text = malloc(60 * 5000 + 1);
    size_t n = 0;
    for (unsigned i = 0; i < 5000; i++)
        n += (size_t)sprintf(text + n, "a > publish topic=t/%u payload=\"%u and more\"\n", i, i);
    assert_true(plan_parse(&plan, view_of(text, n), "P", MQTT_V311));
    assert_true(plan.n == 5000 && plan.step[4999].octets.len == 23);
    plan_free(&plan);
    assert_false(plan_parse(&plan, view_of("a > publish topic=t size=8388608; a > publish topic=t size=8388608", 65),
                            NULL, MQTT_V311));
    plan_free(&plan);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packets_on_the_wire),   cmocka_unit_test(steps_are_what_was_written),
        cmocka_unit_test(faults_are_named),      cmocka_unit_test(long_values),
        cmocka_unit_test(long_values_read_back), cmocka_unit_test(packets_are_cut),
        cmocka_unit_test(packets_read_back),     cmocka_unit_test(probes_are_sound),
        cmocka_unit_test(scenarios_read_back),   cmocka_unit_test(crowds_are_whole),
        cmocka_unit_test(properties_in_order),   cmocka_unit_test(names_are_given),
        cmocka_unit_test(memory_of_a_plan),      cmocka_unit_test(names_are_given_to_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
