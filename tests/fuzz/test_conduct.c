/* SPDX-License-Identifier: Apache-2.0
 *
 * Every recipe of fuzz/conduct.def breaks the rule that it is for, before the tracker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fuzz/engine/watch.h"
#include "fuzz/script.h"
#include "fuzz/target/target.h"

const struct fuzz_target fuzz_target = { "conduct", FUZZ_TALK };

static const struct {
    enum mqtt_rule rule;
    const char *name, *script;
} recipes[] = {
#define CONDUCT(rule, script) { MQTT_##rule, #rule, script },
#include "fuzz/conduct.def"
};

struct shown {
    enum mqtt_rule wanted;
    bool seen;
};

static void judged(void *ctx, const struct watch_judgement *j)
{
    struct shown *s = ctx;
    s->seen = s->seen || j->rule == (unsigned)s->wanted;
}

static bool breaks(const char *script, enum mqtt_rule rule)
{
    uint8_t talk[1024];
    struct shown shown = { rule, false };
    struct watch *w = calloc(1, sizeof *w);
    struct track_config config;
    struct talk_record record;
    size_t n = script_write(script, talk, sizeof talk), pos = 0;
    assert_non_null(w);
    track_defaults(&config);
    w->judged = judged;
    w->ctx = &shown;
    assert_true(watch_start(w, &config));
    while (talk_next(view_of(talk, n), &pos, &record))
        watch_record(w, &record);
    watch_end(w);
    free(w);
    return n > 0 && shown.seen;
}

static void every_recipe_breaks_its_rule(void **state)
{
    (void)state;
    unsigned failed = 0;
    for (size_t i = 0; i < sizeof recipes / sizeof *recipes; i++)
        if (!breaks(recipes[i].script, recipes[i].rule)) {
            print_error("%s is not broken by: %s\n", recipes[i].name, recipes[i].script);
            failed++;
        }
    assert_int_equal(failed, 0);
}

static void what_is_wrong_in_a_script_is_told(void **state)
{
    (void)state;
    static const char *const wrong[] = { "a", "i > open", "a > nonsense", "version 6", "a > connect id" };
    struct script s = { .version = MQTT_V5 };
    uint8_t talk[64];
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        size_t len = 0;
        s.why[0] = '\0';
        assert_false(script_statement(&s, wrong[i], talk, &len, sizeof talk));
        assert_int_not_equal(s.why[0], '\0');
        assert_int_equal(len, 0);
        assert_int_equal(script_write(wrong[i], talk, sizeof talk), 0);
    }
    size_t len = 0;
    assert_false(script_statement(&s, "a > publish topic=t size=100", talk, &len, sizeof talk));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_recipe_breaks_its_rule),
        cmocka_unit_test(what_is_wrong_in_a_script_is_told),
    };
    return cmocka_run_group_tests_name("recipes of conduct", tests, NULL, NULL);
}
