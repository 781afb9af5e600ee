/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/decoder/test_rules_packet.c -- every rule that one packet can break, broken once, with a neighbour that breaks
 * nothing (rule_cases.def); every valid form (valid_packets.def); and what must hold for all of them: a cut packet is
 * not accused, a damaged one is survived, a valid one is written as it was read, and the work is linear. */
#include "decoder/mqtt/packet.h"
#include "tests/decoder/octets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

enum { VERDICTS = 64 };

static const struct rule_case {
    enum mqtt_rule rule;
    enum mqtt_side sender;
    const char *bad;
    uint32_t offset, length;
    enum mqtt_side neighbour_sender;
    const char *neighbour;
} cases[] = {
#define CASE(rule, sender, bad, offset, length, neighbour_sender, neighbour)                                           \
    { MQTT_##rule, MQTT_##sender, bad, offset, length, MQTT_##neighbour_sender, neighbour },
#include "tests/decoder/rule_cases.def"
};

static const struct valid {
    enum mqtt_version version;
    enum mqtt_side sender;
    const char *octets;
} valid[] = {
#define VALID(version, sender, octets) { MQTT_##version, MQTT_##sender, octets },
#include "tests/decoder/valid_packets.def"
};

enum { CASES = sizeof cases / sizeof *cases, VALIDS = sizeof valid / sizeof *valid };

struct decoded {
    struct mqtt_packet p;
    struct mqtt_verdict at[VERDICTS];
    struct mqtt_verdicts v;
};

static void decode(struct decoded *d, const uint8_t *octets, size_t len, unsigned version, unsigned sender)
{
    struct mqtt_context context = { (uint8_t)version, (uint8_t)sender };
    memset(d, 0xaa, sizeof *d); /* nothing may be left unset */
    d->v = (struct mqtt_verdicts){ d->at, VERDICTS, 0, 0 };
    mqtt_decode(view_of(octets, len), context, &d->p, &d->v);
}

static void print_verdicts(const struct decoded *d)
{
    for (uint32_t i = 0; i < d->v.n; i++)
        print_error("    %s at %u+%u\n", mqtt_rule_info((enum mqtt_rule)d->at[i].rule)->id, d->at[i].offset,
                    d->at[i].length);
}

static unsigned version_of(enum mqtt_rule rule)
{
    return mqtt_rule_info(rule)->version;
}

/* A bad packet raises exactly its rule, at its place, against its sender. */
static bool check_bad(const struct rule_case *c)
{
    struct octets o = octets_from(c->bad);
    struct decoded d;
    decode(&d, o.ptr, o.len, version_of(c->rule), c->sender);
    bool ok = d.v.n == 1 && d.v.lost == 0 && d.at[0].rule == c->rule && d.at[0].offset == c->offset &&
              d.at[0].length == c->length && d.at[0].side == c->sender;
    if (!ok) {
        print_error("%s %s at %u+%u:\n", mqtt_rule_info(c->rule)->id, c->bad, c->offset, c->length);
        print_verdicts(&d);
    }
    octets_free(o);
    return ok;
}

static bool check_clean(const char *text, unsigned version, unsigned sender, const char *why)
{
    struct octets o = octets_from(text);
    struct decoded d;
    decode(&d, o.ptr, o.len, version, sender);
    if (d.v.n > 0) {
        print_error("%s %s %s raises\n", why, mqtt_version_name(version), text);
        print_verdicts(&d);
    }
    octets_free(o);
    return d.v.n == 0;
}

static void each_rule_broken(void **state)
{
    (void)state;
    unsigned failed = 0;
    for (size_t i = 0; i < CASES; i++)
        failed += !check_bad(&cases[i]);
    assert_int_equal(failed, 0);
}

static void each_neighbour_clean(void **state)
{
    (void)state;
    unsigned failed = 0;
    for (size_t i = 0; i < CASES; i++)
        failed += !check_clean(cases[i].neighbour, version_of(cases[i].rule), cases[i].neighbour_sender,
                               mqtt_rule_info(cases[i].rule)->id);
    assert_int_equal(failed, 0);
}

static void each_valid_form_clean(void **state)
{
    (void)state;
    unsigned failed = 0;
    for (size_t i = 0; i < VALIDS; i++)
        failed += !check_clean(valid[i].octets, valid[i].version, valid[i].sender, "valid");
    assert_int_equal(failed, 0);
}

/* A rule is shown by a case of its own, or as the umbrella of one that has. */
static bool has_case(enum mqtt_rule rule)
{
    const struct mqtt_rule_info *info = mqtt_rule_info(rule);
    for (size_t i = 0; i < CASES; i++) {
        const struct mqtt_rule_info *shown = mqtt_rule_info(cases[i].rule);
        if (cases[i].rule == rule || (shown->version == info->version && strcmp(shown->also, info->id) == 0))
            return true;
    }
    return false;
}

static void each_packet_rule_has_a_case(void **state)
{
    (void)state;
    unsigned missing = 0, counted[6] = { 0 };
    for (int r = 1; r < MQTT_RULE_COUNT; r++) {
        const struct mqtt_rule_info *info = mqtt_rule_info((enum mqtt_rule)r);
        if (info->where != MQTT_WHERE_PACKET)
            continue;
        counted[info->version]++;
        if (!has_case((enum mqtt_rule)r)) {
            print_error("no case for %s\n", info->id);
            missing++;
        }
    }
    assert_int_equal(missing, 0);
    assert_int_equal(counted[MQTT_V311], 43 + 10);
    assert_int_equal(counted[MQTT_V5], 61 + 83);
}

/* No verdict on a part that the whole does not raise at the same place. */
static bool check_prefixes(const char *text, unsigned version, unsigned sender)
{
    struct octets o = octets_from(text);
    struct decoded whole, part;
    decode(&whole, o.ptr, o.len, version, sender);
    bool ok = true;
    size_t step = o.len > 2000 ? 97 : 1;
    for (size_t n = 0; n < o.len && ok; n += n < 64 ? 1 : step) {
        struct octets cut = octets_prefix(o, n);
        decode(&part, cut.ptr, cut.len, version, sender);
        for (uint32_t i = 0; i < part.v.n && ok; i++) {
            bool found = false;
            for (uint32_t k = 0; k < whole.v.n; k++)
                found |= whole.at[k].rule == part.at[i].rule && whole.at[k].offset == part.at[i].offset;
            ok = found && part.at[i].offset + part.at[i].length <= n;
        }
        if (!ok) {
            print_error("%s, the first %zu octets raise\n", text, n);
            print_verdicts(&part);
        }
        octets_free(cut);
    }
    octets_free(o);
    return ok;
}

static void cut_packets_are_not_accused(void **state)
{
    (void)state;
    unsigned failed = 0;
    for (size_t i = 0; i < CASES; i++) {
        failed += !check_prefixes(cases[i].bad, version_of(cases[i].rule), cases[i].sender);
        failed += !check_prefixes(cases[i].neighbour, version_of(cases[i].rule), cases[i].neighbour_sender);
    }
    for (size_t i = 0; i < VALIDS; i++)
        failed += !check_prefixes(valid[i].octets, valid[i].version, valid[i].sender);
    assert_int_equal(failed, 0);
}

/* All that a packet breaks is told, in the order met; and nothing behind a place where the form is lost. */
static void several_faults_are_all_told(void **state)
{
    (void)state;
    static const struct {
        unsigned version;
        const char *octets;
        enum mqtt_rule rules[6];
    } many[] = {
        /* reserved flag, Will QoS 3, password alone; client identifier, Will Topic ill-formed */
        { MQTT_V311,
          "11 15 00 04 4d 51 54 54 04 5f 00 3c 00 01 ff 00 01 ff 00 00 00 01 70",
          { MQTT_R4_3_1_2_3, MQTT_R4_3_1_2_14, MQTT_R4_3_1_2_22, MQTT_R4_3_1_3_4, MQTT_R4_3_1_3_10, MQTT_R4_2_2_2_1 } },
        /* Packet Identifier 0, then one fault in each filter: wildcard, QoS 3, empty */
        { MQTT_V5,
          "82 10 00 00 00 00 02 61 23 00 00 01 62 03 00 00 c0 00",
          { MQTT_R5_2_2_1_3, MQTT_R5_4_7_1_1, MQTT_S5_3_8_3_1_A, MQTT_R5_4_7_3_1, MQTT_R5_3_8_3_5, MQTT_S5_2_1_4_A } },
        /* DUP with QoS 0, wildcard, ill-formed and U+0000 in one topic */
        { MQTT_V311, "38 05 00 03 23 00 ff", { MQTT_R4_3_3_1_2, MQTT_R4_3_3_2_1, MQTT_R4_4_7_3_2, MQTT_R4_3_3_2_2 } },
        /* three properties, each broken in its own way, and a fourth that is not */
        { MQTT_V5,
          "30 0f 00 01 61 09 01 02 23 00 00 03 00 01 ff 78 78",
          { MQTT_S5_3_3_2_3_2_A, MQTT_R5_3_3_2_8, MQTT_R5_3_3_2_19 } },
        { MQTT_V5, "20 05 03 87 02 24 02", { MQTT_R5_3_2_2_1, MQTT_R5_3_2_2_6, MQTT_S5_3_2_2_3_4_B } },
    };
    for (size_t i = 0; i < sizeof many / sizeof *many; i++) {
        struct octets o = octets_from(many[i].octets);
        struct decoded d;
        uint32_t n = 0;
        decode(&d, o.ptr, o.len, many[i].version, MQTT_NOBODY);
        while (n < 6 && many[i].rules[n] != MQTT_RULE_NONE && n < d.v.n && d.at[n].rule == many[i].rules[n])
            n++;
        if (n != d.v.n || (n < 6 && many[i].rules[n] != MQTT_RULE_NONE)) {
            print_verdicts(&d);
            fail_msg("%s: %u of the verdicts fit", many[i].octets, n);
        }
        octets_free(o);
    }
}

static void verdicts_that_do_not_fit_are_counted(void **state)
{
    (void)state;
    static const uint8_t subscribe[] = { 0x82, 0x0a, 0x00, 0x00, 0x00, 0x01, '#', 0x03, 0x00, 0x02, 'a', '#' };
    struct mqtt_verdict room[2];
    struct mqtt_verdicts v = { room, 1, 0, 0 };
    struct mqtt_packet p;
    room[1].rule = 0x5555;
    mqtt_decode(view_of(subscribe, sizeof subscribe), (struct mqtt_context){ MQTT_V311, MQTT_CLIENT }, &p, &v);
    assert_int_equal(v.n, 1); /* Packet Identifier 0; then QoS 3, # misplaced, no QoS behind it */
    assert_int_equal(v.lost, 3);
    assert_int_equal(room[0].rule, MQTT_R4_2_3_1_1);
    assert_int_equal(room[1].rule, 0x5555);
    mqtt_decode(view_of(subscribe, sizeof subscribe), (struct mqtt_context){ MQTT_V311, MQTT_CLIENT }, &p, NULL);
    assert_int_equal(p.list.count, 1);
}

/* Where the standard leaves room the verdict is milder than its rule. */
static void severities(void **state)
{
    (void)state;
    static const struct {
        unsigned version;
        enum mqtt_severity severity;
        const char *octets;
    } c[] = {
        { MQTT_V5, MQTT_SEVERITY_WARNING, "f0 00" },            /* 3.15.2.1 against 3.15.2.2.2 */
        { MQTT_V311, MQTT_SEVERITY_WARNING, "c0 80 00" },       /* not forbidden in 3.1.1 */
        { MQTT_V5, MQTT_SEVERITY_ERROR, "c0 80 00" },           /* but in 5.0 */
        { MQTT_V311, MQTT_SEVERITY_WARNING, "30 03 00 01 01" }, /* SHOULD NOT */
        { MQTT_V31, MQTT_SEVERITY_NOTE, "30 03 00 01 ff" },     /* modified UTF-8 */
        { MQTT_V31, MQTT_SEVERITY_NOTE, "38 03 00 01 61" },     /* DUP with QoS 0 */
        { MQTT_V311, MQTT_SEVERITY_ERROR, "38 03 00 01 61" },
        { MQTT_V5, MQTT_SEVERITY_NOTE, "10 0d 00 04 4d 51 54 54 84 02 00 3c 00 01 63" }, /* the bridge bit */
        { MQTT_V5, MQTT_SEVERITY_WARNING, "10 0d 00 04 4d 51 54 54 07 02 00 3c 00 01 63" },
    };
    for (size_t i = 0; i < sizeof c / sizeof *c; i++) {
        struct octets o = octets_from(c[i].octets);
        struct decoded d;
        decode(&d, o.ptr, o.len, c[i].version, MQTT_NOBODY);
        if (d.v.n != 1 || d.at[0].severity != c[i].severity || d.at[0].side != MQTT_NOBODY)
            fail_msg("%s: %u verdicts, severity %u", c[i].octets, d.v.n, d.v.n > 0 ? d.at[0].severity : 0);
        octets_free(o);
    }
}

static bool inside(struct view v, struct octets o)
{
    return v.ptr == NULL || (v.ptr >= o.ptr && v.len <= o.len && v.ptr + v.len <= o.ptr + o.len);
}

/* Walks whatever the packet claims to hold, so that a bad length is read where it hurts. */
static void walk_all(const struct mqtt_packet *p, struct octets o)
{
    struct mqtt_prop prop;
    struct mqtt_filter filter;
    struct mqtt_prop_walk walk = mqtt_props_walk(&p->props);
    while (mqtt_props_next(&walk, &prop))
        assert_true(inside(prop.text, o) && inside(prop.value, o) && prop.offset + prop.len <= p->props.block.len);
    if (p->header_len == 0)
        return;
    if (p->type == MQTT_CONNECT) {
        walk = mqtt_props_walk(&p->connect.will_props);
        while (mqtt_props_next(&walk, &prop))
            assert_true(inside(prop.text, o) && inside(prop.value, o));
        assert_true(inside(p->connect.client_id, o) && inside(p->connect.will_topic, o) &&
                    inside(p->connect.will_payload, o) && inside(p->connect.username, o) &&
                    inside(p->connect.password, o));
    }
    if (p->type == MQTT_PUBLISH)
        assert_true(inside(p->publish.topic, o) && inside(p->publish.payload, o));
    if (p->type == MQTT_SUBSCRIBE || p->type == MQTT_UNSUBSCRIBE)
        for (size_t pos = 0; mqtt_list_next(p, &pos, &filter);)
            assert_true(inside(filter.filter, o));
}

static void survive(struct octets o, unsigned version, unsigned sender)
{
    struct decoded d;
    decode(&d, o.ptr, o.len, version, sender);
    for (uint32_t i = 0; i < d.v.n; i++) {
        assert_true((uint64_t)d.at[i].offset + d.at[i].length <= o.len);
        assert_true(d.at[i].rule > MQTT_RULE_NONE && d.at[i].rule < MQTT_RULE_COUNT);
        assert_true(d.at[i].severity >= MQTT_SEVERITY_NOTE && d.at[i].severity <= MQTT_SEVERITY_ERROR);
        assert_int_equal(d.at[i].side, sender);
        if (mqtt_rule_info((enum mqtt_rule)d.at[i].rule)->fault[0] == '\0')
            fail_msg("%s has no sentence", mqtt_rule_info((enum mqtt_rule)d.at[i].rule)->id);
    }
    walk_all(&d.p, o);
}

static void damage(const char *text, unsigned version, unsigned sender)
{
    static const uint8_t masks[] = { 0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff, 0x7f };
    struct octets o = octets_from(text);
    for (size_t i = 0; i < o.len && i < 300; i++)
        for (size_t m = 0; m < sizeof masks; m++) {
            o.ptr[i] ^= masks[m];
            for (unsigned v = MQTT_V31; v <= MQTT_V5; v++)
                survive(o, v, sender);
            o.ptr[i] ^= masks[m];
        }
    survive(o, version, MQTT_NOBODY);
    survive(o, MQTT_VERSION_UNKNOWN, sender);
    octets_free(o);
}

static void damaged_packets_are_survived(void **state)
{
    (void)state;
    for (size_t i = 0; i < CASES; i++)
        damage(cases[i].bad, version_of(cases[i].rule), cases[i].sender);
    for (size_t i = 0; i < VALIDS; i++)
        damage(valid[i].octets, valid[i].version, valid[i].sender);
}

static bool check_round_trip(const char *text, unsigned version, unsigned sender)
{
    struct octets o = octets_from(text);
    struct decoded d;
    decode(&d, o.ptr, o.len, version, sender);
    bool ok = true;
    if (d.p.header_len + (uint64_t)d.p.remaining == o.len) {
        struct octets out = octets_prefix(o, o.len);
        memset(out.ptr, 0x55, out.len);
        ok = mqtt_encode(&d.p, out.ptr, 0) == o.len && (o.len == 0 || out.ptr[0] == 0x55);
        ok = ok && mqtt_encode(&d.p, out.ptr, out.len) == o.len && memcmp(out.ptr, o.ptr, o.len) == 0;
        octets_free(out);
    }
    if (!ok)
        print_error("%s is not written as it was read\n", text);
    octets_free(o);
    return ok;
}

static void valid_packets_are_written_as_read(void **state)
{
    (void)state;
    unsigned failed = 0;
    for (size_t i = 0; i < CASES; i++)
        failed += !check_round_trip(cases[i].neighbour, version_of(cases[i].rule), cases[i].neighbour_sender);
    for (size_t i = 0; i < VALIDS; i++)
        failed += !check_round_trip(valid[i].octets, valid[i].version, valid[i].sender);
    assert_int_equal(failed, 0);
}

/* A packet that repeats a piece up to about n octets: where a codec could turn quadratic. */
struct repeated {
    const char *head, *piece; /* head: what follows the Remaining Length, up to the repeated block */
    uint8_t first;
    bool props; /* the pieces are 5.0 properties: a Property Length stands before them */
};

static struct octets repeat(const struct repeated *r, size_t n)
{
    struct octets head = octets_from(r->head), piece = octets_from(r->piece);
    size_t times = n / piece.len, block = times * piece.len;
    uint8_t length[4], remaining[4];
    size_t length_len = r->props ? mqtt_vbi_write((uint32_t)block, length) : 0;
    size_t body = head.len + length_len + block;
    size_t remaining_len = mqtt_vbi_write((uint32_t)body, remaining);
    struct octets o = { malloc(1 + remaining_len + body), 1 + remaining_len + body };
    assert_non_null(o.ptr);
    uint8_t *at = o.ptr;
    *at++ = r->first;
    at = (uint8_t *)memcpy(at, remaining, remaining_len) + remaining_len;
    at = (uint8_t *)memcpy(at, head.ptr, head.len) + head.len;
    at = (uint8_t *)memcpy(at, length, length_len) + length_len;
    for (size_t i = 0; i < times; i++)
        at = (uint8_t *)memcpy(at, piece.ptr, piece.len) + piece.len;
    octets_free(head);
    octets_free(piece);
    return o;
}

/* CPU time of the fastest of some runs, in seconds. */
static double decode_time(struct octets o)
{
    double best = 1e9;
    for (int run = 0; run < 7; run++) {
        struct decoded d;
        clock_t start = clock();
        decode(&d, o.ptr, o.len, MQTT_V5, MQTT_SERVER);
        walk_all(&d.p, o);
        double took = (double)(clock() - start) / CLOCKS_PER_SEC;
        best = took < best ? took : best;
    }
    return best;
}

static void work_is_linear(void **state)
{
    (void)state;
    static const struct repeated shapes[] = {
        { "00 01 61", "26 00 00 00 00", 0x30, true },     /* User Properties */
        { "00 01 61", "0b 01", 0x30, true },              /* Subscription Identifiers */
        { "00 01 61", "0b 00", 0x30, true },              /* each one wrong */
        { "00 01 61", "01 02", 0x30, true },              /* repeated and wrong */
        { "00 01 00", "00 01 61 00", 0x82, false },       /* filters */
        { "00 01 00", "00 03 23 00 ff 03", 0x82, false }, /* each one wrong */
        { "00 01 00", "00 00", 0xa2, false },             /* empty filters */
        { "00 01 00", "03", 0x90, false },                /* reason codes */
        { "00 01 61 02 01 01", "f4 8f bf", 0x30, false }, /* a payload that claims to be UTF-8 */
        { "00 01 61 02 01 01", "61", 0x30, false },
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct octets once = repeat(&shapes[i], 1 << 20), four = repeat(&shapes[i], 1 << 22);
        double t1 = decode_time(once), t4 = decode_time(four);
        if (t4 > 10 * t1 + 0.004) /* quadratic work would take sixteen times as long */
            fail_msg("shape %zu: %.6f s for one, %.6f s for four", i, t1, t4);
        octets_free(once);
        octets_free(four);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rule_broken),
        cmocka_unit_test(each_neighbour_clean),
        cmocka_unit_test(each_valid_form_clean),
        cmocka_unit_test(each_packet_rule_has_a_case),
        cmocka_unit_test(several_faults_are_all_told),
        cmocka_unit_test(verdicts_that_do_not_fit_are_counted),
        cmocka_unit_test(severities),
        cmocka_unit_test(cut_packets_are_not_accused),
        cmocka_unit_test(damaged_packets_are_survived),
        cmocka_unit_test(valid_packets_are_written_as_read),
        cmocka_unit_test(work_is_linear),
    };
    return cmocka_run_group_tests_name("rules of one packet", tests, NULL, NULL);
}
