/* SPDX-License-Identifier: Apache-2.0
 *
 * The probe table against the step function: our broker keeps every rule asked for, in no time; every statement that
 * only a probe can show is asked for; and every misbehaviour on purpose fails a probe. */
#include "tests/fuzz/step.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

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

/* Plays one probe against a broker of its own; checks that nothing is left of it. */
static bool play(const struct probe *probe, unsigned version, int fault, struct probe_result *result)
{
    struct step *s = calloc(1, sizeof *s);
    s->config = broker_defaults();
    if (fault >= 0)
        s->config.faults[fault] = true;
    configure(s, probe->needs);
    struct probe_wire wire = step_wire(s);
    bool fine = probe_run(probe, version, "p7", true, &wire, result);
    step_stop(s);
    if (fault != FAULT_LEAK_CONNECTION)
        assert_int_equal(s->allocated, 0);
    else if (s->allocated != 0)
        fine = false;
    free(s);
    return fine;
}

static void test_every_probe_passes(void **state)
{
    (void)state;
    unsigned failed = 0;
    for (size_t i = 0; i < probe_count; i++) {
        for (const char *v = probes[i].versions; *v != '\0'; v++) {
            struct probe_result result;
            if (!play(&probes[i], (unsigned)(*v - '0'), -1, &result)) {
                print_error("MQTT %c, %s: line %u: %s\n", *v, probes[i].title, result.line, result.what);
                failed++;
            }
        }
    }
    assert_int_equal(failed, 0);
}

static bool answers_for(const struct probe *probe, const char *id, unsigned version)
{
    char want[40];
    snprintf(want, sizeof want, "%u:%s", version, id);
    const char *at = strstr(probe->rules, want);
    return at != NULL && (at[strlen(want)] == ' ' || at[strlen(want)] == '\0');
}

/* WebSocket rows are asked by tests/fuzz/test_server.c: they are about another transport. */
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
        for (size_t i = 0; i < probe_count && !found; i++)
            found = answers_for(&probes[i], info->id, info->version);
        if (!found) {
            print_error("no probe for %s of MQTT %s: %s\n", info->id, mqtt_version_name(info->version),
                        info->statement);
            missing++;
        }
    }
    assert_int_equal(missing, 0);
    assert_int_equal(asked, 45 + 75 + 2 + 2);
}

static bool seen_by_a_probe(int fault)
{
    for (size_t i = 0; i < probe_count; i++) {
        for (const char *v = probes[i].versions; *v != '\0'; v++) {
            struct probe_result result;
            if (!play(&probes[i], (unsigned)(*v - '0'), fault, &result))
                return true;
        }
    }
    return false;
}

static void test_every_fault_is_seen(void **state)
{
    (void)state;
    unsigned unseen = 0;
    for (int fault = 0; fault < FAULT_COUNT; fault++) {
        const char *name = broker_fault_name((enum broker_fault)fault);
        if (strncmp(name, "crash-", 6) == 0 || strncmp(name, "hang-", 5) == 0)
            continue; /* tests/fuzz/test_server.c: they take the process with them */
        if (!seen_by_a_probe(fault)) {
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
    return cmocka_run_group_tests(tests, NULL, NULL);
}
