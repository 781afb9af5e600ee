/* SPDX-License-Identifier: Apache-2.0
 *
 * The probes of mqfuzz and the plans of our own (tests/fuzz/mqbroker.def) against the step function: our broker keeps
 * every rule asked for, in no time; every statement that only a probe can show is asked for; and every misbehaviour on
 * purpose fails a probe. */
#include "fuzz/campaign/conform.h"
#include "tests/fuzz/own.h"
#include "tests/fuzz/play.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct probe_list probes;

static bool wants(const char *needs, const char *option, unsigned long *value)
{
    const char *at = strstr(needs, option);
    if (at != NULL)
        *value = strtoul(at + strlen(option), NULL, 10);
    return at != NULL;
}

static void read_file(const char *path, char *text, size_t cap)
{
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    text[fread(text, 1, cap - 1, f)] = '\0';
    fclose(f);
}

static void configure(struct step *s, const char *needs)
{
    unsigned long n;
    if (wants(needs, "--receive-maximum ", &n))
        s->config.receive_maximum = (uint16_t)n;
    if (wants(needs, "--max-packet-size ", &n))
        s->config.max_packet = (uint32_t)n;
    if (wants(needs, "--connect-timeout ", &n))
        s->config.connect_timeout_ms = (uint32_t)n * 1000;
    if (wants(needs, "--max-qos ", &n))
        s->config.max_qos = (uint8_t)n;
    s->config.retain_available = strstr(needs, "--no-retain") == NULL;
    s->config.wildcard_available = strstr(needs, "--no-wildcards") == NULL;
    s->config.shared_available = strstr(needs, "--no-shared") == NULL;
    s->config.subscription_id_available = strstr(needs, "--no-subscription-ids") == NULL;
    assert_true(step_start(s));
    if (strstr(needs, "--password-file") != NULL) {
        char text[2000];
        read_file("tests/broker/passwords", text, sizeof text);
        assert_int_equal(broker_passwords(s->broker, view_of(text, strlen(text))), 0);
    }
}

/* Plays one plan against a broker of its own; checks that nothing is left of it. */
static bool play(const char *script, const char *options, unsigned version, int fault, char *why, size_t cap)
{
    struct step *s = calloc(1, sizeof *s);
    s->config = broker_defaults();
    if (fault >= 0)
        s->config.faults[fault] = true;
    configure(s, options);
    bool fine = play_plan(s, script, "p7", version, why, cap);
    step_stop(s);
    if (fault != FAULT_LEAK_CONNECTION)
        assert_int_equal(s->allocated, 0);
    else if (s->allocated != 0)
        fine = false;
    free(s);
    return fine;
}

/* Plays all there are until one fails, or all of them: how many failed. */
static unsigned play_all(int fault, bool tell)
{
    char why[300];
    unsigned failed = 0;
    for (uint32_t i = 0; i < probes.n && (tell || failed == 0); i++) {
        const struct probe *p = &probes.at[i];
        if (play_needs_network(p->script) || (p->hint && !p->later) ||
            play(p->script, "", p->version, fault, why, sizeof why))
            continue;
        failed++;
        if (tell)
            print_error("MQTT %s, %s: %s\n", mqtt_version_name(p->version), p->title, why);
    }
    for (size_t i = 0; i < own_count && (tell || failed == 0); i++)
        for (const char *v = own[i].versions; *v != '\0'; v++) {
            if (play(own[i].script, own[i].options, (unsigned)(*v - '0'), fault, why, sizeof why))
                continue;
            failed++;
            if (tell)
                print_error("MQTT %c, %s: %s\n", *v, own[i].title, why);
        }
    return failed;
}

static void test_every_probe_passes(void **state)
{
    (void)state;
    assert_int_equal(play_all(-1, true), 0);
}

static bool answers_for(const struct own *row, const char *id, unsigned version)
{
    char want[40];
    snprintf(want, sizeof want, "%u:%s", version, id);
    const char *at = strstr(row->rules, want);
    return at != NULL && (at[strlen(want)] == ' ' || at[strlen(want)] == '\0');
}

/* That frames of WebSocket are no borders of packets is asked by tests/fuzz/test_server.c: every packet in pieces. */
static void test_every_statement_is_asked_for(void **state)
{
    (void)state;
    unsigned missing = 0, asked = 0;
    for (enum mqtt_rule rule = MQTT_RULE_NONE + 1; rule < MQTT_RULE_COUNT; rule++) {
        const struct mqtt_rule_info *info = mqtt_rule_info(rule);
        bool found = strcmp(info->id, "MQTT-6.0.0-2") == 0;
        if (info->where != MQTT_WHERE_PROBE)
            continue;
        asked++;
        for (uint32_t i = 0; i < probes.n && !found; i++)
            found = probes.at[i].version == info->version && strcmp(probes.at[i].rule, info->id) == 0;
        for (size_t i = 0; i < own_count && !found; i++)
            found = answers_for(&own[i], info->id, info->version);
        if (!found) {
            print_error("no probe for %s of MQTT %s: %s\n", info->id, mqtt_version_name(info->version),
                        info->statement);
            missing++;
        }
    }
    assert_int_equal(missing, 0);
    assert_int_equal(asked, 45 + 75 + 2 + 2);
}

static void test_every_fault_is_seen(void **state)
{
    (void)state;
    unsigned unseen = 0;
    for (int fault = 0; fault < FAULT_COUNT; fault++) {
        const char *name = broker_fault_name((enum broker_fault)fault);
        if (strncmp(name, "crash-", 6) == 0 || strncmp(name, "hang-", 5) == 0)
            continue; /* tests/fuzz/test_server.c: they take the process with them */
        if (play_all(fault, false) == 0) {
            print_error("no probe sees --fault %s\n", name);
            unseen++;
        }
    }
    assert_int_equal(unseen, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_probe_passes),
        cmocka_unit_test(test_every_statement_is_asked_for),
        cmocka_unit_test(test_every_fault_is_seen),
    };
    if (!probes_make(&probes, 1u << MQTT_V31 | 1u << MQTT_V311 | 1u << MQTT_V5))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    probes_free(&probes);
    return failed;
}
