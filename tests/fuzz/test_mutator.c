/* SPDX-License-Identifier: Apache-2.0
 *
 * The mutator against the decoder, which shares its tables but none of its code. */
#include "fuzz/mutator.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fuzz/talk/talk.h"

enum { ROOM = 65536 };
static uint8_t room[ROOM];

static uint32_t judge(size_t n, unsigned version, unsigned sender, struct mqtt_verdicts *v)
{
    struct mqtt_packet p;
    uint8_t *exact = malloc(n > 0 ? n : 1);
    memcpy(exact, room, n);
    v->n = v->lost = 0;
    mqtt_decode(view_of(exact, n), (struct mqtt_context){ (uint8_t)version, (uint8_t)sender }, &p, v);
    free(exact);
    return v->n;
}

static void fresh_packets_are_valid(void **state)
{
    (void)state;
    struct mqtt_verdict at[16];
    struct mqtt_verdicts v = { at, 16, 0, 0 };
    unsigned made = 0;
    for (uint64_t seed = 0; seed < 20000; seed++) {
        struct mutator m = mutator_seeded(seed);
        struct mutator_scene scene = { (uint8_t)(3 + seed % 3), (uint8_t)(1 + seed / 3 % 2) };
        unsigned type = (unsigned)(seed / 6 % 16);
        size_t n = mutator_fresh(&m, scene, type, room, sizeof room);
        bool may = (mqtt_type_sender(type, scene.version) & scene.sender) != 0;
        assert_int_equal(n > 0, may);
        if (n > 0 && judge(n, scene.version, scene.sender, &v) != 0)
            fail_msg("seed %llu type %u version %u: %s", (unsigned long long)seed, type, scene.version,
                     mqtt_rule_info(at[0].rule)->id);
        made += n > 0;
    }
    assert_true(made > 12000);
}

/* Does the packet break this rule, in its own name or as the umbrella of a narrower one? */
static bool broken(const struct mqtt_verdicts *v, enum mqtt_rule rule)
{
    const struct mqtt_rule_info *info = mqtt_rule_info(rule);
    for (uint32_t i = 0; i < v->n; i++) {
        const struct mqtt_rule_info *got = mqtt_rule_info(v->at[i].rule);
        if (v->at[i].rule == rule || (got->version == info->version && strcmp(got->also, info->id) == 0))
            return true;
    }
    return false;
}

static void every_packet_rule_can_be_broken(void **state)
{
    (void)state;
    struct mqtt_verdict at[32];
    struct mqtt_verdicts v = { at, 32, 0, 0 };
    unsigned rules = 0, missing = 0;
    for (unsigned rule = 1; rule < MQTT_RULE_COUNT; rule++) {
        const struct mqtt_rule_info *info = mqtt_rule_info((enum mqtt_rule)rule);
        if (info->where != MQTT_WHERE_PACKET)
            continue;
        rules++;
        unsigned hits = 0;
        for (uint64_t seed = 0; seed < 200; seed++) {
            struct mutator m = mutator_seeded(seed);
            uint8_t sender = 0;
            size_t n = mutator_break(&m, (enum mqtt_rule)rule, room, 0, sizeof room, &sender);
            judge(n, info->version, sender, &v);
            hits += broken(&v, (enum mqtt_rule)rule);
        }
        if (hits < 200) {
            print_message("%s (%s): %u of 200\n", info->id, mqtt_version_name(info->version), hits);
            missing++;
        }
    }
    assert_true(rules > 200);
    assert_int_equal(missing, 0);
}

/* A whole packet again, in 8 KiB, and mostly longer. */
static void parts_are_made_long(void **state)
{
    (void)state;
    unsigned longer = 0, tries = 0;
    for (uint64_t seed = 0; seed < 20000; seed++) {
        struct mutator m = mutator_seeded(seed);
        struct mutator_scene scene = { (uint8_t)(3 + seed % 3), MQTT_CLIENT };
        size_t was = mutator_fresh(&m, scene, seed / 3 % 2 ? MQTT_SUBSCRIBE : MQTT_PUBLISH, room, sizeof room);
        size_t n = mutator_swell(&m, scene, room, was, 8192);
        struct mqtt_packet p;
        mqtt_decode(view_of(room, n), (struct mqtt_context){ scene.version, MQTT_CLIENT }, &p, NULL);
        assert_in_range(n, 1, 8192);
        assert_int_equal(p.header_len + (size_t)p.remaining, n);
        tries++;
        longer += n > was;
        assert_in_range(mutator_swell(&m, scene, room, n, n), 1, n); /* no room */
    }
    assert_true(longer > tries / 2);
}

/* Same seed, same octets; never past the buffer (AddressSanitizer); always at least one octet. */
static void deterministic_and_bounded(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 3000; seed++) {
        for (size_t cap = 1; cap <= 1024; cap *= 4) {
            uint8_t *first = calloc(1, cap), *second = calloc(1, cap);
            size_t n[2] = { 0, 0 };
            for (unsigned round = 0; round < 2; round++) {
                uint8_t *buf = round == 0 ? first : second;
                struct mutator m = mutator_seeded(seed);
                struct mutator_scene scene = { (uint8_t)(3 + seed % 3), MQTT_CLIENT };
                for (unsigned i = 0; i < 12; i++) {
                    n[round] = i % 2 ? mutator_stream(&m, scene, buf, n[round], cap)
                                     : talk_mutate(&m, scene.version, buf, n[round], cap);
                    assert_in_range(n[round], 1, cap);
                }
            }
            assert_int_equal(n[0], n[1]);
            assert_memory_equal(first, second, n[0]);
            free(first);
            free(second);
        }
    }
}

static void a_talk_reads_back(void **state)
{
    (void)state;
    const struct talk_record records[] = {
        { .op = TALK_OPEN, .client = 7 },
        { .op = TALK_SEND, .client = 1, .by_server = true, .octets = view_of("\xd0\x00", 2) },
        { .op = TALK_SPLIT, .octets = view_of("", 0) },
        { .op = TALK_WAIT, .client = 2, .number = 65535 },
        { .op = TALK_RESET, .by_server = true },
        { .op = TALK_GAP, .number = 3 },
    };
    size_t n = 0, pos = 0;
    for (size_t i = 0; i < 6; i++) {
        n = talk_write(room, n, sizeof room, &records[i]);
        assert_true(n > 0);
    }
    for (size_t i = 0; i < 6; i++) {
        struct talk_record got;
        assert_true(talk_next(view_of(room, n), &pos, &got));
        assert_true(got.op == records[i].op && got.client == records[i].client &&
                    got.by_server == records[i].by_server);
        assert_int_equal(got.number, records[i].number);
        assert_int_equal(got.octets.len, records[i].octets.len);
    }
    assert_int_equal(pos, n);
    struct talk_record cut;
    pos = 0;
    assert_true(talk_next(view_of("\x01\x00\x09"
                                  "ab",
                                  5),
                          &pos, &cut)); /* says 9, holds 2 */
    assert_int_equal(cut.octets.len, 2);
    assert_false(talk_next(view_of("\x01\x00\x09"
                                   "ab",
                                   5),
                           &pos, &cut));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fresh_packets_are_valid), cmocka_unit_test(every_packet_rule_can_be_broken),
        cmocka_unit_test(parts_are_made_long),     cmocka_unit_test(deterministic_and_bounded),
        cmocka_unit_test(a_talk_reads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
