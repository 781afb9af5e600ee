/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of connections (capture/talk/names.h) beside a plain array of them. */
#include "capture/talk/names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { STREAMS = 500, TURNS = 20000 };

static uint32_t some(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 8;
}

/* Neighbours, and numbers whose homes are the same. */
static uint32_t stream_of(uint32_t i)
{
    return i % 2 == 0 ? i / 2 : i << 20;
}

static void as_an_array(void **state)
{
    struct names s = { .limit = 1 << 20 };
    uint32_t name[STREAMS] = { 0 }, random = 1, n = 0;
    (void)state;
    for (uint32_t turn = 0; turn < TURNS; turn++) {
        uint32_t i = some(&random) % STREAMS;
        bool set = some(&random) % 5 < (turn / 2000 % 2 ? 1 : 4); /* it fills, and empties */
        n += (uint32_t)(set && name[i] == 0) - (uint32_t)(!set && name[i] != 0);
        name[i] = set ? turn + 1 : 0;
        if (set)
            names_set(&s, stream_of(i), view_of(&name[i], 4));
        else
            names_drop(&s, stream_of(i));
        assert_int_equal(s.n, n);
        uint32_t j = some(&random) % STREAMS;
        struct view found = names_find(&s, stream_of(j));
        assert_int_equal(found.len, name[j] != 0 ? 4 : 0);
        assert_true(name[j] == 0 ? found.ptr == NULL : memcmp(found.ptr, &name[j], 4) == 0);
    }
    for (uint32_t i = 0; i < STREAMS; i++)
        names_drop(&s, stream_of(i));
    assert_int_equal(s.n, 0);
    assert_int_equal(s.octets, 0);
    names_free(&s);
}

static void limited(void **state)
{
    struct names s = { .limit = 100 };
    (void)state;
    names_set(&s, 1, view_of("name", 4));
    names_set(&s, 2,
              view_of("a name that is too long for what is left of the limit of a hundred octets, as this is", 84));
    assert_int_equal(names_find(&s, 1).len, 4);
    assert_null(names_find(&s, 2).ptr);
    names_set(&s, 1, view_of("other", 5));
    assert_int_equal(names_find(&s, 1).len, 5);
    names_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(as_an_array), cmocka_unit_test(limited) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
