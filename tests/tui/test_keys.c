/* SPDX-License-Identifier: Apache-2.0 */
#include "tui/keys.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool has_letter(const char *names)
{
    for (; *names != 0; names += strcspn(names, " "), names += strspn(names, " "))
        if (strcspn(names, " ") == 1)
            return true;
    return false;
}

static void every_name_is_a_key(void **state)
{
    (void)state;
    for (int a = ACTION_NONE + 1; a < ACTION_COUNT; a++)
        for (const char *n = keys_names((enum action)a); *n != 0; n += strcspn(n, " "), n += strspn(n, " "))
            if (keys_parse(n, strcspn(n, " ")) == KEYC_NONE)
                fail_msg("%s of %s is no key", n, keys_text((enum action)a));
    assert_int_equal(keys_parse("Ctrl-C", 6), 3);
    assert_int_equal(keys_parse("F12", 3), KEYC_F0 + 12);
    assert_int_equal(keys_parse("F13", 3), KEYC_NONE);
    assert_int_equal(keys_parse("Fx", 2), KEYC_NONE);
    assert_int_equal(keys_parse("Nonsense", 8), KEYC_NONE);
}

/* On one screen a key does one thing: every name of an action leads to this action. */
static void no_key_is_taken_twice(void **state)
{
    (void)state;
    for (int s = 0; s < SCREEN_COUNT; s++)
        for (int a = ACTION_NONE + 1; a < ACTION_COUNT; a++) {
            if (!keys_active((enum action)a, (enum screen_id)s))
                continue;
            for (const char *n = keys_names((enum action)a); *n != 0; n += strcspn(n, " "), n += strspn(n, " ")) {
                enum action does = keys_action(keys_parse(n, strcspn(n, " ")), (enum screen_id)s);
                if ((int)does != a)
                    fail_msg("%s on %s: meant for '%s', does '%s'", n, screen_name((enum screen_id)s),
                             keys_text((enum action)a), keys_text(does));
            }
        }
}

/* Function keys are lost in many terminals and multiplexers: each has a letter or sign beside it. */
static void function_keys_have_letters(void **state)
{
    (void)state;
    for (int a = ACTION_NONE + 1; a < ACTION_COUNT; a++) {
        const char *names = keys_names((enum action)a);
        const char *f = strstr(names, "F");
        if (f != NULL && f[1] >= '0' && f[1] <= '9' && !has_letter(names))
            fail_msg("%s has no letter", names);
    }
}

static void keys_that_ux_names(void **state)
{
    (void)state;
    assert_int_equal(keys_action('?', SCREEN_LADDER), ACTION_HELP);
    assert_int_equal(keys_action(KEYC_F0 + 1, SCREEN_TOPICS), ACTION_HELP);
    assert_int_equal(keys_action('h', SCREEN_SESSIONS), ACTION_LEFT);
    assert_int_equal(keys_action('/', SCREEN_PACKETS), ACTION_FILTER);
    assert_int_equal(keys_action(' ', SCREEN_PACKETS), ACTION_SELECT);
    assert_int_equal(keys_action(27, SCREEN_PACKETS), ACTION_BACK);
    assert_int_equal(keys_action(KEYC_F0 + 5, SCREEN_SESSIONS), ACTION_CLEAR);
    assert_int_equal(keys_action(12, SCREEN_SESSIONS), ACTION_REDRAW);
    assert_int_equal(keys_action('x', SCREEN_SESSIONS), ACTION_NONE); /* only on the ladder */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_name_is_a_key),
        cmocka_unit_test(no_key_is_taken_twice),
        cmocka_unit_test(function_keys_have_letters),
        cmocka_unit_test(keys_that_ux_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
