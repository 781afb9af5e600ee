/* SPDX-License-Identifier: Apache-2.0
 *
 * Captures as seeds: what is in them comes out, and hostile files do no harm. */
#include "fuzz/talk/recorded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fuzz/mutator.h"
#include "fuzz/talk/talk.h"

static uint8_t *slurp(const char *path, size_t *len)
{
    FILE *f = fopen(path, "re");
    uint8_t *octets = malloc(1 << 20);
    assert_non_null(f);
    assert_non_null(octets);
    *len = fread(octets, 1, 1 << 20, f);
    fclose(f);
    assert_in_range(*len, 100, (1 << 20) - 1);
    return octets;
}

static struct recorded *read_octets(uint8_t *octets, size_t len, bool *ok)
{
    char error[300];
    struct recorded *r = malloc(sizeof *r);
    FILE *f = fmemopen(octets, len, "r");
    assert_non_null(r);
    assert_non_null(f);
    *ok = recorded_read(r, f, error, sizeof error);
    return r;
}

static unsigned count(const struct talk *talk, enum talk_op op, unsigned type)
{
    struct talk_record record;
    size_t pos = 0;
    unsigned n = 0;
    while (talk_next(view_of(talk->octets, talk->len), &pos, &record))
        n += record.op == op && (op != TALK_SEND || record.octets.ptr[0] >> 4 == type);
    return n;
}

/* The numbers are what tshark shows: -Y 'mqtt.msgtype == 1', the client's PUBLISH packets and so on. */
static void what_is_recorded(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        uint32_t talks, connects, publishes, subscribes, resets;
        uint8_t version;
    } cases[] = {
        { "tests/captures/mqtt311_qos2_killed.pcap", 1, 8, 8, 2, 5, MQTT_V311 },
        { "tests/captures/mqtt5_basics_ipv6.pcap", 1, 2, 7, 1, 0, MQTT_V5 },
        { "tests/captures/mqtt311_any_sll2.pcap", 1, 2, 7, 1, 0, MQTT_V311 },
        { "tests/captures/der_vlan.pcap", 1, 2, 7, 1, 0, MQTT_V311 },
        { "tests/captures/der_null_nanosecond.pcap", 1, 2, 7, 1, 0, MQTT_V311 },
        { "tests/captures/der_rawip_bigendian.pcap", 1, 2, 7, 1, 0, MQTT_V311 },
        { "tests/captures/mqtt5_tls13.pcap", 0, 0, 0, 0, 0, 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t len;
        bool ok;
        uint8_t *octets = slurp(cases[i].path, &len);
        struct recorded *r = read_octets(octets, len, &ok);
        assert_true(ok);
        assert_int_equal(r->n, cases[i].talks);
        for (uint32_t k = 0; k < r->n; k++) {
            const struct talk *t = &r->talk[k];
            unsigned n[4] = { count(t, TALK_SEND, MQTT_CONNECT), count(t, TALK_SEND, MQTT_PUBLISH),
                              count(t, TALK_SEND, MQTT_SUBSCRIBE), count(t, TALK_RESET, 0) };
            if (n[0] != cases[i].connects || n[1] != cases[i].publishes || n[2] != cases[i].subscribes ||
                n[3] != cases[i].resets || t->version != cases[i].version)
                fail_msg("%s: %u CONNECT, %u PUBLISH, %u SUBSCRIBE, %u resets", cases[i].path, n[0], n[1], n[2], n[3]);
        }
        recorded_free(r);
        free(r);
        free(octets);
    }
}

/* Octets changed anywhere, and files cut anywhere: no crash, and never more than the bounds say. */
static void hostile_files(void **state)
{
    (void)state;
    static const char *const paths[] = { "tests/captures/mqtt311_qos2_killed.pcap",
                                         "tests/captures/mqtt5_basics_ipv6.pcap", "tests/captures/der_pcapng.pcapng",
                                         "tests/captures/der_vlan.pcap" };
    struct mutator m = mutator_seeded(1);
    unsigned read = 0;
    for (unsigned i = 0; i < 2000; i++) {
        size_t len;
        bool ok;
        uint8_t *octets = slurp(paths[i % 4], &len);
        for (unsigned k = 1 + mutator_below(&m, 12); k > 0; k--)
            octets[24 + mutator_below(&m, (uint32_t)len - 24)] = (uint8_t)mutator_random(&m);
        if (mutator_below(&m, 4) == 0)
            len = 24 + mutator_below(&m, (uint32_t)len - 24);
        struct recorded *r = read_octets(octets, len, &ok);
        for (uint32_t t = 0; t < r->n; t++)
            assert_in_range(r->talk[t].len, 0, TALK_MAX);
        read += r->n;
        recorded_free(r);
        free(r);
        free(octets);
    }
    assert_true(read > 1000); /* most can still be read: else this tests nothing */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_recorded),
        cmocka_unit_test(hostile_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
