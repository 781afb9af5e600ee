/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/decoder/test_track_rules.c -- every rule of conduct: a conversation that breaks it, a neighbour that does not,
 * or the reason why it is not told by itself (decoder/mqtt/remarks.def). */
#include "tests/decoder/talk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct rule_case {
    enum mqtt_rule rule;
    const char *symbol;
    enum mqtt_severity severity;
    const char *broken, *neighbour;
} cases[] = {
#define CASE(sym, severity, broken, neighbour) { MQTT_##sym, #sym, MQTT_SEVERITY_##severity, broken, neighbour },
#include "tests/decoder/track_cases.def"
};

static const char *const why_not[MQTT_RULE_COUNT] = {
    [MQTT_RULE_NONE] = "",
#define REMARK(sym, text)
#define WHY_NOT(sym, text) [MQTT_##sym] = text,
#include "decoder/mqtt/remarks.def"
};

static const char *const symbols[MQTT_RULE_COUNT] = {
    "",
#define RULE(sym, version, id, who, level, severity, where, reason, also, statement, fault) #sym,
#include "decoder/mqtt/rules.def"
};

static struct talk *play(const char *text)
{
    struct talk *k = talk_new(NULL);
    talk_play(k, text);
    talk_finish(k);
    return k;
}

static unsigned check_broken(const struct rule_case *c)
{
    struct talk *k = play(c->broken);
    bool fine = !k->bad && talk_says(k, c->rule, c->severity) > 0;
    if (!fine) {
        print_error("%s is not told of: %s\n", c->symbol, c->broken);
        talk_print(k);
    }
    talk_free(k);
    return !fine;
}

static unsigned check_neighbour(const struct rule_case *c)
{
    bool strict = c->neighbour[0] != '!';
    struct talk *k = play(c->neighbour + !strict);
    bool fine = !k->bad && talk_says(k, c->rule, c->severity) == 0 && (!strict || talk_worst(k) <= MQTT_SEVERITY_NOTE);
    if (!fine) {
        print_error("%s: the neighbour is accused: %s\n", c->symbol, c->neighbour);
        talk_print(k);
    }
    talk_free(k);
    return !fine;
}

static void every_case_holds(void **state)
{
    (void)state;
    unsigned failed = 0;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        failed += check_broken(&cases[i]) + check_neighbour(&cases[i]);
    assert_int_equal(failed, 0);
}

/* A verdict names the version of the connection, and a side. */
static void verdicts_fit_the_version(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct talk *k = play(cases[i].broken);
        unsigned version = mqtt_rule_info(cases[i].rule)->version;
        for (uint32_t f = 0; f < k->n_found; f++)
            if (k->found[f].rule != MQTT_RULE_NONE && mqtt_rule_info(k->found[f].rule)->version != version) {
                print_error("%s: %s of another version\n", cases[i].symbol, mqtt_rule_info(k->found[f].rule)->id);
                fail();
            }
        talk_free(k);
    }
}

static void every_session_rule_has_a_case(void **state)
{
    (void)state;
    unsigned missing = 0;
    for (unsigned r = 1; r < MQTT_RULE_COUNT; r++) {
        if (mqtt_rule_info((enum mqtt_rule)r)->where != MQTT_WHERE_SESSION)
            continue;
        bool found = why_not[r] != NULL;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
            found = found || cases[i].rule == (enum mqtt_rule)r;
        if (!found)
            print_error("%s has neither a case nor a reason\n", symbols[r]);
        missing += !found;
    }
    assert_int_equal(missing, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_holds),
        cmocka_unit_test(verdicts_fit_the_version),
        cmocka_unit_test(every_session_rule_has_a_case),
    };
    return cmocka_run_group_tests_name("rules of conduct", tests, NULL, NULL);
}
