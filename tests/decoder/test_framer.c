/* SPDX-License-Identifier: Apache-2.0
 *
 * Framing: the same packets come out however the octets arrive (decoder/mqtt/framer.h). */
#include "decoder/mqtt/framer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MAX_PACKETS = 32 };

struct seen {
    size_t n;
    uint32_t total[MAX_PACKETS], missing[MAX_PACKETS];
    uint8_t octets[MAX_PACKETS][512];
    size_t len[MAX_PACKETS];
    bool bad;
};

/* Feeds one chunk, lending memory as asked; the chunk gets an allocation of its exact size for AddressSanitizer. */
static void feed(struct mqtt_framer *f, const uint8_t *chunk, size_t len, struct seen *s)
{
    uint8_t *exact = malloc(len > 0 ? len : 1);
    memcpy(exact, chunk, len);
    struct cursor in = cur_over(exact, len);
    for (;;) {
        struct mqtt_frame out;
        enum mqtt_frame_status status = mqtt_framer_next(f, &in, &out);
        if (status == MQTT_FRAME_MORE)
            break;
        if (status == MQTT_FRAME_MEMORY) {
            assert_true(f->want > f->lent_cap && f->want <= f->limit);
            mqtt_framer_lend(f, realloc(f->lent, f->want), f->want);
            continue;
        }
        if (status == MQTT_FRAME_BAD) {
            s->bad = true;
            assert_int_equal(out.octets.len, 5);
            continue;
        }
        assert_true(s->n < MAX_PACKETS);
        s->total[s->n] = out.total;
        s->missing[s->n] = out.missing;
        s->len[s->n] = out.octets.len < sizeof s->octets[0] ? out.octets.len : sizeof s->octets[0];
        memcpy(s->octets[s->n], out.octets.ptr, s->len[s->n]);
        s->n++;
    }
    assert_int_equal(in.pos, in.end);
    free(exact);
}

/* PINGREQ, PUBLISH "t" "on", a PUBLISH of 200 octets (two-octet Remaining Length), PINGRESP. */
static size_t stream(uint8_t *out)
{
    static const uint8_t head[] = {
        0xc0, 0x00, 0x30, 0x05, 0x00, 0x01, 't', 'o', 'n', 0x30, 0xc8, 0x01, 0x00, 0x01, 'b'
    };
    memcpy(out, head, sizeof head);
    memset(out + sizeof head, 'x', 197);
    out[sizeof head + 197] = 0xd0;
    out[sizeof head + 198] = 0x00;
    return sizeof head + 199;
}

static void check_stream(const struct seen *s)
{
    assert_int_equal(s->n, 4);
    assert_false(s->bad);
    assert_int_equal(s->total[0], 2);
    assert_int_equal(s->total[1], 7);
    assert_int_equal(s->total[2], 203);
    assert_int_equal(s->total[3], 2);
    assert_memory_equal(s->octets[1], "\x30\x05\x00\x01ton", 7);
    assert_int_equal(s->len[2], 203);
    assert_int_equal(s->octets[2][202], 'x');
    assert_int_equal(s->octets[3][0], 0xd0);
}

static void split_anywhere(void **state)
{
    (void)state;
    uint8_t octets[512];
    size_t n = stream(octets);
    for (size_t a = 0; a <= n; a++) {
        for (size_t b = a; b <= n; b += 7) {
            struct mqtt_framer f;
            struct seen s = { 0 };
            mqtt_framer_init(&f, 1024);
            feed(&f, octets, a, &s);
            feed(&f, octets + a, b - a, &s);
            feed(&f, octets + b, n - b, &s);
            check_stream(&s);
            free(f.lent);
        }
    }
}

static void octet_by_octet(void **state)
{
    (void)state;
    uint8_t octets[512];
    size_t n = stream(octets);
    struct mqtt_framer f;
    struct seen s = { 0 };
    mqtt_framer_init(&f, 1024);
    for (size_t i = 0; i < n; i++)
        feed(&f, octets + i, 1, &s);
    check_stream(&s);
    free(f.lent);
}

static void large_packet_needs_only_the_limit(void **state)
{
    (void)state;
    static const uint8_t head[] = { 0x30, 0xff, 0xff, 0xff, 0x7f, 0x00, 0x01, 't' };
    static uint8_t chunk[1 << 20];
    struct mqtt_framer f;
    struct seen s = { 0 };
    mqtt_framer_init(&f, 4096);
    feed(&f, head, sizeof head, &s);
    uint64_t left = 268435455u + 5 - sizeof head;
    while (left > 0) {
        size_t n = left < sizeof chunk ? (size_t)left : sizeof chunk;
        assert_int_equal(s.n, 0);
        feed(&f, chunk, n, &s);
        left -= n;
    }
    feed(&f, (const uint8_t *)"\xc0\x00", 2, &s);
    assert_int_equal(s.n, 2);
    assert_int_equal(s.total[0], 268435460);
    assert_int_equal(s.missing[0], 0);
    assert_int_equal(f.lent_cap, 4096);
    assert_int_equal(s.total[1], 2);
    free(f.lent);
}

static void fifth_length_octet_loses_framing(void **state)
{
    (void)state;
    static const uint8_t octets[] = { 0xc0, 0x00, 0x30, 0xff, 0xff, 0xff, 0xff, 0x7f, 0xc0, 0x00 };
    for (size_t cut = 0; cut <= sizeof octets; cut++) {
        struct mqtt_framer f;
        struct seen s = { 0 };
        mqtt_framer_init(&f, 64);
        feed(&f, octets, cut, &s);
        feed(&f, octets + cut, sizeof octets - cut, &s);
        assert_true(s.bad && f.lost);
        assert_int_equal(s.n, 1);
        mqtt_framer_restart(&f);
        feed(&f, octets, 2, &s);
        assert_int_equal(s.n, 2);
        free(f.lent);
    }
}

static void hole_inside_a_packet_is_bridged(void **state)
{
    (void)state;
    uint8_t octets[512];
    size_t n = stream(octets);
    struct mqtt_frame out;
    bool complete;
    for (size_t hole = 1; hole <= 197; hole++) { /* in the payload of the 203-octet packet, which starts at 9 */
        struct mqtt_framer f;
        struct seen s = { 0 };
        mqtt_framer_init(&f, 1024);
        feed(&f, octets, 15, &s);
        assert_true(mqtt_framer_hole(&f, hole, &out, &complete));
        assert_int_equal(complete, hole == 197);
        if (complete)
            assert_true(out.total == 203 && out.missing == 197 && out.octets.len == 6);
        feed(&f, octets + 15 + hole, n - 15 - hole, &s);
        assert_int_equal(s.n, complete ? 3 : 4);
        if (!complete) {
            assert_int_equal(s.missing[2], hole);
            assert_int_equal(s.len[2], 6); /* what lay before the hole; what follows is not contiguous */
        }
        free(f.lent);
    }
}

static void hole_past_the_end_loses_framing(void **state)
{
    (void)state;
    uint8_t octets[512];
    stream(octets);
    struct mqtt_framer f;
    struct seen s = { 0 };
    struct mqtt_frame out;
    bool complete;
    mqtt_framer_init(&f, 1024);
    feed(&f, octets, 15, &s);
    assert_false(mqtt_framer_hole(&f, 198, &out, &complete));
    assert_true(complete && f.lost);
    assert_int_equal(out.missing, 197);
    feed(&f, octets, 2, &s);
    assert_int_equal(s.n, 2); /* nothing is framed while lost */
    free(f.lent);

    mqtt_framer_init(&f, 1024);
    assert_false(mqtt_framer_hole(&f, 1, &out, &complete)); /* at a border: what was in it is unknown */
    assert_true(!complete && f.lost);

    mqtt_framer_init(&f, 1024);
    s.n = 0;
    feed(&f, octets + 9, 2, &s); /* half a Remaining Length */
    assert_false(mqtt_framer_hole(&f, 1, &out, &complete));
    assert_true(!complete && f.lost);
    free(f.lent);
}

enum { V311 = 1 << MQTT_V311, BITS = 32, WAIT = 1 << 15 };

static size_t search(const char *octets, size_t len)
{
    struct mqtt_run run;
    uint8_t *exact = malloc(len);
    memcpy(exact, octets, len);
    size_t at = mqtt_resync(view_of(exact, len), V311, MQTT_CLIENT, BITS, WAIT, &run);
    free(exact);
    return at;
}

/* "08" and the string behind it would be a PUBLISH of 58 octets; two such packets that meet are believed. */
static void the_end_of_a_string_and_another_string_are_no_packet(void **state)
{
    (void)state;
    static const char connect[] = "dev-000008\0\x14site/15/dev-000008/x\0\7offline\0\6sensor\0\17s3cret-token-01";
    assert_int_equal(sizeof connect - 1, 8 + 58);
    assert_int_equal(search(connect, sizeof connect - 1), sizeof connect - 1);
    static const char two[] = "xyz\x30\x2b\0\x14site/15/dev-000008/x{\"t\":1,\"n\":234567890}"
                              "\x30\x2b\0\x14site/15/dev-000008/x{\"t\":1,\"n\":234567890}";
    assert_int_equal(search(two, sizeof two - 1), 3);
}

/* What 5.0 puts behind an identifier fits by chance as rarely as more octets would: a Property Length that reaches to
 * the end, an alias where the topic is empty. */
static void what_5_0_adds_counts(void **state)
{
    (void)state;
    static const uint8_t acks[] = { 2, 0, 9, 0x40, 4, 0, 10, 0, 0, 0x40, 2, 0, 11, 0x50 };
    static const uint8_t other[] = { 2, 0, 9, 0x40, 4, 0, 10, 0, 1, 0x40, 2, 0, 11, 0x50 };
    static const uint8_t alias[] = { 'x', 0x32, 10, 0, 0, 0, 1,  3, 35, 0,   4,   '{',
                                     '}', 0x30, 7,  0, 0, 3, 35, 0, 4,  '1', 0x30 };
    static const uint8_t none[] = { 'x', 0x32, 10, 0, 0, 0, 1, 3, 2, 0,   4,   '{',
                                    '}', 0x30, 7,  0, 0, 3, 2, 0, 4, '1', 0x30 };
    unsigned five = 1U << MQTT_V5;
    struct mqtt_run run;
    assert_int_equal(mqtt_resync(view_of(acks, sizeof acks), five, MQTT_SERVER, BITS, WAIT, &run), 3);
    assert_int_equal(mqtt_resync(view_of(other, sizeof other), five, MQTT_SERVER, BITS, WAIT, &run), sizeof other);
    assert_int_equal(mqtt_resync(view_of(alias, sizeof alias), five, MQTT_CLIENT, BITS, WAIT, &run), 1);
    assert_int_equal(mqtt_resync(view_of(none, sizeof none), five, MQTT_CLIENT, BITS, WAIT, &run), sizeof none);
}

/* Octets of a payload: a PINGREQ, and the beginning of a PUBLISH with a topic of 9,354 octets. */
static void a_long_topic_and_half_a_character_are_no_proof(void **state)
{
    (void)state;
    static const char octets[] = "\xa6\x43\x1f\x91\xc0\0\x35\xb0\x77\x24\x8a\x77\x5e\x75\x3b\xda\x92\xe0\x26\xc0";
    assert_int_equal(search(octets, sizeof octets - 1), sizeof octets - 1);
    static const char cut[] = "xyz\xc0\0\x30\x7f\0\x5dsite/15/dev-000008/t\xe2\x82";
    assert_int_equal(search(cut, sizeof cut - 1), 3);
    static const char wrong[] = "xyz\xc0\0\x30\x7f\0\x5dsite/15/dev-000008/t\xe2t";
    assert_int_equal(search(wrong, sizeof wrong - 1), sizeof wrong - 1);
}

/* Its name tells a CONNECT, though the end of it is missing. */
static void the_beginning_of_a_connect_is_enough(void **state)
{
    (void)state;
    static const char octets[] = "\x07\xff\x10\x2c\0\4MQTT\4\xc2\0\x3c\0\12dev-0000";
    assert_int_equal(search(octets, sizeof octets - 1), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(split_anywhere),
        cmocka_unit_test(octet_by_octet),
        cmocka_unit_test(large_packet_needs_only_the_limit),
        cmocka_unit_test(fifth_length_octet_loses_framing),
        cmocka_unit_test(hole_inside_a_packet_is_bridged),
        cmocka_unit_test(hole_past_the_end_loses_framing),
        cmocka_unit_test(the_end_of_a_string_and_another_string_are_no_packet),
        cmocka_unit_test(what_5_0_adds_counts),
        cmocka_unit_test(a_long_topic_and_half_a_character_are_no_proof),
        cmocka_unit_test(the_beginning_of_a_connect_is_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
