/* SPDX-License-Identifier: Apache-2.0
 *
 * Strict: a packet that breaks any rule of form that binds clients ends the connection, in 5.0 with the reason code
 * that the standard has for the rule; and the same packet without the fault does not. */
#include "fuzz/mutator.h"
#include "tests/fuzz/step.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { SEEDS = 6, CAP = 8192 };

static const uint8_t connects[][20] = {
    { 0x10, 15, 0, 6, 'M', 'Q', 'I', 's', 'd', 'p', 3, 2, 0, 0, 0, 1, 'a' },
    { 0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0, 0, 1, 'a' },
    { 0x10, 14, 0, 4, 'M', 'Q', 'T', 'T', 5, 2, 0, 0, 0, 0, 1, 'a' },
};

/* What the broker answers to the packet, its CONNACK to a first CONNECT taken off; *open: it did not close. */
static size_t react(const uint8_t *packet, size_t len, unsigned version, uint8_t *out, size_t cap, bool *open)
{
    struct step *s = calloc(1, sizeof *s);
    s->config = broker_defaults();
    assert_true(step_start(s) && step_open(s, 0));
    if (packet[0] >> 4 != MQTT_CONNECT) {
        const uint8_t *connect = connects[version - MQTT_V31];
        step_send(s, 0, view_of(connect, 2u + connect[1]));
        assert_true(s->pipes[0].len >= 4 && s->pipes[0].octets[0] == 0x20 && s->pipes[0].octets[3] == 0);
        s->pipes[0].len = 0;
    }
    step_send(s, 0, view_of(packet, len));
    *open = s->pipes[0].conn != NULL;
    int n = step_receive(s, 0, out, cap);
    step_stop(s);
    assert_int_equal(s->allocated, 0);
    free(s);
    return n > 0 ? (size_t)n : 0;
}

/* The first error the decoder sees, which is what the broker acts on. */
static enum mqtt_rule first_error(const uint8_t *packet, size_t len, unsigned version)
{
    struct mqtt_verdict at[16];
    struct mqtt_verdicts v = { .at = at, .cap = 16 };
    struct mqtt_packet p;
    mqtt_decode(view_of(packet, len), (struct mqtt_context){ (uint8_t)version, MQTT_CLIENT }, &p, &v);
    for (uint32_t i = 0; i < v.n; i++)
        if (mqtt_rule_info(at[i].rule)->severity == MQTT_SEVERITY_ERROR)
            return at[i].rule;
    return MQTT_RULE_NONE;
}

/* 3.1 and 3.1.1 have a word only for identifiers and levels. */
static bool fits_311(const uint8_t *got, size_t len)
{
    return len == 0 || (len == 4 && got[0] == 0x20 && got[1] == 2 && got[2] == 0 && (got[3] == 1 || got[3] == 2));
}

static bool fits_5(const uint8_t *packet, const uint8_t *got, size_t len, uint8_t reason, bool open)
{
    static const uint8_t before_connack[] = { 0x20, 3, 0 };
    unsigned type = packet[0] >> 4, qos = packet[0] >> 1 & 3u;
    if (type == MQTT_CONNECT && (reason == 0x84 || len == 0))
        return len == 0 && !open; /* another protocol, or no version to answer in */
    if (type == MQTT_CONNECT)
        return len == 5 && memcmp(got, before_connack, 3) == 0 && got[3] == reason && !open;
    if (reason == 0x99 && qos > 0)
        return len == 5 && got[0] >> 4 == (qos == 1 ? MQTT_PUBACK : MQTT_PUBREC) && got[4] == 0x99 && open;
    return len == 3 && got[0] == 0xe0 && got[2] == reason && !open;
}

static void complain(const struct mqtt_rule_info *info, const uint8_t *packet, size_t len, const uint8_t *got,
                     size_t answered, bool open)
{
    char text[200] = "";
    for (size_t i = 0; i < len && i < 40; i++)
        snprintf(text + strlen(text), 3, "%02x", packet[i]);
    strcat(text, " -> ");
    for (size_t i = 0; i < answered && i < 20; i++)
        snprintf(text + strlen(text), 3, "%02x", got[i]);
    print_error("MQTT %s %s (0x%02x): %s%s\n", mqtt_version_name(info->version), info->id, info->reason, text,
                open ? ", still open" : "");
}

static void test_every_rule_of_form(void **state)
{
    (void)state;
    unsigned rules = 0, failed = 0;
    for (enum mqtt_rule rule = MQTT_RULE_NONE + 1; rule < MQTT_RULE_COUNT; rule++) {
        const struct mqtt_rule_info *info = mqtt_rule_info(rule);
        bool asked = false;
        if (info->where != MQTT_WHERE_PACKET || info->severity != MQTT_SEVERITY_ERROR || !mutator_can_break(rule))
            continue;
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
            struct mutator m = mutator_seeded(seed);
            uint8_t packet[CAP], got[400], sender;
            bool open;
            size_t len = mutator_break(&m, rule, packet, 0, sizeof packet, &sender);
            enum mqtt_rule broken =
                len > 0 && sender == MQTT_CLIENT ? first_error(packet, len, info->version) : MQTT_RULE_NONE;
            if (broken == MQTT_RULE_NONE)
                continue;
            asked = true;
            size_t answered = react(packet, len, info->version, got, sizeof got, &open);
            uint8_t reason = mqtt_rule_info(broken)->reason;
            bool fits = info->version == MQTT_V5 ? fits_5(packet, got, answered, reason, open)
                                                 : fits_311(got, answered) && !open;
            if (!fits && failed++ < 40)
                complain(mqtt_rule_info(broken), packet, len, got, answered, open);
        }
        rules += asked;
    }
    print_message("%u rules asked for\n", rules);
    assert_int_equal(failed, 0);
    assert_true(rules > 150);
}

/* A client that takes no packet as large as CONNACK cannot be told anything. */
static bool takes_none(const uint8_t *packet, size_t len, unsigned version)
{
    enum { CONNACK_FITS = 64 };
    struct mqtt_packet p;
    mqtt_decode(view_of(packet, len), (struct mqtt_context){ (uint8_t)version, MQTT_CLIENT }, &p, NULL);
    return p.type == MQTT_CONNECT &&
           mqtt_props_number(&p.props, MQTT_PROP_MAXIMUM_PACKET_SIZE, CONNACK_FITS) < CONNACK_FITS;
}

/* Fresh packets are right: none of them ends a connection but DISCONNECT, AUTH and a second CONNECT, or what the state
 * forbids (acknowledgements, aliases, sizes). */
static void test_what_is_right_is_accepted(void **state)
{
    (void)state;
    static const uint8_t types[] = { MQTT_CONNECT, MQTT_SUBSCRIBE, MQTT_UNSUBSCRIBE, MQTT_PINGREQ, MQTT_PUBREL };
    for (unsigned version = MQTT_V31; version <= MQTT_V5; version++) {
        for (size_t t = 0; t < sizeof types; t++) {
            for (uint64_t seed = 0; seed < 200; seed++) {
                struct mutator m = mutator_seeded(seed);
                uint8_t packet[CAP], got[4000];
                bool open;
                size_t len = mutator_fresh(&m, (struct mutator_scene){ (uint8_t)version, MQTT_CLIENT }, types[t],
                                           packet, sizeof packet);
                assert_true(len > 0);
                size_t n = react(packet, len, version, got, sizeof got, &open);
                bool refused = types[t] == MQTT_CONNECT && n > 3 && got[0] == 0x20 &&
                               got[3] != 0; /* an Authentication Method, a $ will */
                if (!open && !refused && !takes_none(packet, len, version))
                    fail_msg("MQTT %u, packet type %u, seed %u: closed", version, types[t], (unsigned)seed);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_every_rule_of_form),
                                        cmocka_unit_test(test_what_is_right_is_accepted) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
