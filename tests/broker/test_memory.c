/* SPDX-License-Identifier: Apache-2.0
 *
 * The broker's containers against models too simple to be wrong. */
#include "fuzz/broker/memory.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/broker/host.h"

static const struct broker_host host = { .resize = heap_resize };

static void test_limit(void **state)
{
    (void)state;
    struct memory m = { .host = &host, .limit = 1000 };
    uint8_t *p = mem_zero(&m, 600);
    assert_non_null(p);
    assert_null(mem_zero(&m, 401));
    assert_null(mem_resize(&m, p, 600, 1001));
    assert_int_equal(m.used, 600);
    assert_true(mem_has_room(&m, 150, MEMORY_QUARTER));
    assert_false(mem_has_room(&m, 151, MEMORY_QUARTER));
    assert_true(mem_has_room(&m, 275, MEMORY_EIGHTH));
    assert_false(mem_has_room(&m, UINT64_MAX, MEMORY_EIGHTH));
    assert_non_null(p = mem_resize(&m, p, 600, 1000));
    mem_free(&m, p, 1000);
    mem_free(&m, NULL, 77);
    assert_int_equal(m.used, 0);
    assert_int_equal(m.peak, 1000);
}

/* Identifiers close together and far apart, so that chains wrap around the end of the table. */
static void test_idmap(void **state)
{
    (void)state;
    struct memory m = { .host = &host, .limit = 1 << 24 };
    struct idmap map = { NULL, 0, 0 };
    static void *model[65536];
    static char things[65536];
    assert_null(idmap_get(&map, 5));
    idmap_del(&map, 5);
    for (int i = 0; i < 300000; i++) {
        uint16_t id = (uint16_t)(1 + (rnd(3) == 0 ? rnd(65535) : rnd(40) * 16 + rnd(2)));
        assert_ptr_equal(idmap_get(&map, id), model[id]);
        if (model[id] != NULL) {
            idmap_del(&map, id);
            model[id] = NULL;
        } else if (map.n < 200 || rnd(4) == 0) {
            assert_true(idmap_put(&map, &m, id, &things[id]));
            model[id] = &things[id];
        }
    }
    for (uint32_t id = 1; id < 65536; id++)
        assert_ptr_equal(idmap_get(&map, (uint16_t)id), model[id]);
    idmap_done(&map, &m);
    assert_int_equal(m.used, 0);
}

static void test_idmap_full(void **state)
{
    (void)state;
    struct memory m = { .host = &host, .limit = 1 << 24 };
    struct idmap map = { NULL, 0, 0 };
    char thing;
    for (uint32_t id = 1; id < 65536; id++)
        assert_true(idmap_put(&map, &m, (uint16_t)id, &thing));
    assert_int_equal(map.n, 65535);
    m.limit = m.used;
    idmap_del(&map, 77);
    assert_null(idmap_get(&map, 77));
    assert_true(idmap_put(&map, &m, 77, &thing));
    idmap_done(&map, &m);
}

static void test_timers(void **state)
{
    (void)state;
    enum { N = 300 };
    struct memory m = { .host = &host, .limit = 1 << 24 };
    struct timers timers = { NULL, 0, 0 };
    static struct timer all[N];
    uint64_t due[N], last = 0;
    for (int i = 0; i < N; i++)
        due[i] = UINT64_MAX;
    for (int i = 0; i < 20000; i++) {
        uint32_t k = rnd(N);
        if (rnd(3) == 0) {
            timers_stop(&timers, &all[k]);
            due[k] = UINT64_MAX;
        } else {
            due[k] = rnd(1000);
            assert_true(timers_set(&timers, &m, &all[k], due[k]));
        }
        uint64_t soonest = UINT64_MAX;
        for (int j = 0; j < N; j++)
            soonest = due[j] < soonest ? due[j] : soonest;
        assert_int_equal(timers.n > 0 ? timers.heap[0]->due : UINT64_MAX, soonest);
    }
    while (timers.n > 0) {
        assert_true(timers.heap[0]->due >= last);
        last = timers.heap[0]->due;
        timers_stop(&timers, timers.heap[0]);
    }
    mem_free(&m, timers.heap, timers.cap * sizeof(struct timer *));
    assert_int_equal(m.used, 0);
}

static void test_buffer(void **state)
{
    (void)state;
    struct memory m = { .host = &host, .limit = 1 << 20 };
    struct buffer b = { NULL, 0, 0, 0 };
    uint8_t next_in = 0, next_out = 0;
    for (int i = 0; i < 20000; i++) {
        size_t len = rnd(200);
        if (rnd(2) == 0) {
            uint8_t *room = buffer_reserve(&b, &m, len);
            assert_non_null(room);
            for (size_t k = 0; k < len; k++)
                room[k] = next_in++;
            b.len += (uint32_t)len;
        } else {
            len = len < b.len ? len : b.len;
            for (size_t k = 0; k < len; k++)
                assert_int_equal(b.at[b.start + k], next_out++);
            buffer_drop(&b, &m, len);
        }
    }
    assert_null(buffer_reserve(&b, &m, 1 << 21)); /* beyond the limit: what is there stays */
    assert_null(buffer_reserve(&b, &m, SIZE_MAX));
    while (b.len > 0) {
        assert_int_equal(b.at[b.start], next_out++);
        buffer_drop(&b, &m, 1);
    }
    assert_int_equal(m.used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_limit), cmocka_unit_test(test_idmap),
                                        cmocka_unit_test(test_idmap_full), cmocka_unit_test(test_timers),
                                        cmocka_unit_test(test_buffer) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
