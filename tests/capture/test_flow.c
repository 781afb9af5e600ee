/* SPDX-License-Identifier: Apache-2.0
 *
 * The flow table finds what was put in, in both directions, and stays within its bound (capture/stream/flow.h). */
#include "capture/stream/flow.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/capture/build.h"

struct key {
    uint8_t src[16], dst[16];
    struct segment g;
};

/* Connection n; every third over IPv6; reversed: as the other side sends it. */
static struct segment *segment_of(struct key *k, uint32_t n, bool reversed)
{
    memset(k, 0, sizeof *k);
    put_u32(k->src, 0x0a000000 + n % 97);
    put_u32(k->dst, 0x0a010000 + n % 5);
    k->g = (struct segment){ .family = n % 3 == 0 ? 6 : 4,
                             .src = reversed ? k->dst : k->src,
                             .dst = reversed ? k->src : k->dst,
                             .src_port = reversed ? 1883 : (uint16_t)(1024 + n / 97),
                             .dst_port = reversed ? (uint16_t)(1024 + n / 97) : 1883 };
    return &k->g;
}

struct released {
    unsigned n, evicted;
    uint32_t last;
};

static void on_release(void *ctx, struct flow *f, bool evicted)
{
    struct released *r = ctx;
    r->n++;
    r->evicted += evicted;
    r->last = f->number;
}

static void both_directions_are_one_flow(void **state)
{
    (void)state;
    struct released r = { 0 };
    struct flow_table *t = flow_table_new(100000, sizeof(struct flow), 42, on_release, &r);
    struct key k;
    unsigned dir;
    for (uint32_t n = 0; n < 50000; n++) {
        struct flow *f = flow_find(t, segment_of(&k, n, n % 2), n, &dir);
        assert_int_equal(f->number, UINT32_MAX); /* new */
        assert_int_equal(dir, 0);
        f->number = n;
    }
    assert_int_equal(flow_count(t), 50000);
    for (uint32_t n = 0; n < 50000; n++) {
        for (unsigned reversed = 0; reversed < 2; reversed++) {
            assert_int_equal(flow_find(t, segment_of(&k, n, reversed), 50000 + n, &dir)->number, n);
            assert_int_equal(dir, reversed != n % 2);
        }
    }
    flow_table_free(t);
    assert_int_equal(r.n, 50000);
    assert_int_equal(r.evicted, 0);
}

/* A record that was found ahead may be free, or another one's, when it is asked for. */
static void what_is_likely_need_not_be(void **state)
{
    (void)state;
    struct released r = { 0 };
    struct flow_table *t = flow_table_new(1, sizeof(struct flow), 42, on_release, &r);
    struct key one, other;
    struct segment *g = segment_of(&one, 1, false), *h = segment_of(&other, 2, false);
    unsigned dir;
    struct flow *first = flow_find(t, g, 0, &dir);
    first->number = 1;
    assert_ptr_equal(flow_prefetch(t, flow_hash(t, g)), first);
    assert_int_equal(flow_find_hashed(t, segment_of(&one, 1, true), flow_hash(t, g), first, 1, &dir)->number, 1);
    assert_int_equal(dir, 1);
    segment_of(&one, 1, false);
    struct flow *second = flow_find_hashed(t, h, flow_hash(t, h), first, 2, &dir);
    assert_int_equal(second->number, UINT32_MAX); /* the first had to go, and its record was taken */
    second->number = 2;
    assert_int_equal(flow_find_hashed(t, g, flow_hash(t, g), second, 3, &dir)->number, UINT32_MAX);
    flow_remove(t, flow_find(t, g, 4, &dir), false);
    assert_int_equal(flow_count(t), 0);
    assert_int_equal(flow_find_hashed(t, g, flow_hash(t, g), second, 5, &dir)->number, UINT32_MAX);
    assert_int_equal(flow_count(t), 1);
    flow_table_free(t);
}

/* Random finds and removals beside a plain array of what must be there. */
static void removal_loses_no_other(void **state)
{
    (void)state;
    enum { KEYS = 3000 };
    static struct flow *there[KEYS];
    struct released r = { 0 };
    struct flow_table *t = flow_table_new(KEYS, sizeof(struct flow), 7, on_release, &r);
    uint64_t random = 3;
    uint32_t n_there = 0;
    struct key k;
    unsigned dir;
    memset(there, 0, sizeof there);
    for (unsigned i = 0; i < 200000; i++) {
        uint32_t n = next_random(&random) % KEYS;
        if (next_random(&random) % 3 == 0 && there[n] != NULL) {
            flow_remove(t, there[n], false);
            there[n] = NULL;
            n_there--;
            continue;
        }
        struct flow *f = flow_find(t, segment_of(&k, n, false), i, &dir);
        if (there[n] == NULL) {
            assert_int_equal(f->number, UINT32_MAX);
            f->number = n;
            there[n] = f;
            n_there++;
        }
        assert_ptr_equal(f, there[n]);
        assert_int_equal(f->number, n);
        assert_int_equal(flow_count(t), n_there);
    }
    uint32_t pos = 0, walked = 0;
    for (struct flow *f; (f = flow_next(t, &pos)) != NULL; walked++)
        assert_ptr_equal(there[f->number], f);
    assert_int_equal(walked, n_there);
    flow_table_free(t);
}

static void the_least_recently_used_makes_room(void **state)
{
    (void)state;
    struct released r = { 0 };
    struct flow_table *t = flow_table_new(3, sizeof(struct flow), 1, on_release, &r);
    struct key k;
    unsigned dir;
    for (uint32_t n = 0; n < 3; n++)
        flow_find(t, segment_of(&k, n, false), n, &dir)->number = n;
    flow_find(t, segment_of(&k, 0, true), 10, &dir); /* used again */
    flow_find(t, segment_of(&k, 3, false), 11, &dir)->number = 3;
    assert_int_equal(r.n, 1);
    assert_int_equal(r.evicted, 1);
    assert_int_equal(r.last, 1);
    assert_int_equal(flow_evicted(t), 1);
    assert_int_equal(flow_count(t), 3);
    flow_table_free(t);
}

static void the_idle_are_forgotten(void **state)
{
    (void)state;
    struct released r = { 0 };
    struct flow_table *t = flow_table_new(100, sizeof(struct flow), 1, on_release, &r);
    struct key k;
    unsigned dir;
    for (uint32_t n = 0; n < 10; n++)
        flow_find(t, segment_of(&k, n, false), 100 * (n + 1), &dir)->number = n;
    flow_find(t, segment_of(&k, 0, false), 2000, &dir);
    assert_int_equal(flow_expire(t, 501), 4); /* 2, 3, 4, 5: the first was used since */
    assert_int_equal(flow_count(t), 6);
    assert_int_equal(flow_find(t, segment_of(&k, 0, false), 2001, &dir)->number, 0);
    flow_table_free(t);
}

static void the_ended_linger_and_go_first(void **state)
{
    (void)state;
    static const int64_t second = 1000000000;
    struct released r = { 0 };
    struct flow_table *t = flow_table_new(4, sizeof(struct flow), 1, on_release, &r);
    struct key k;
    struct flow *f[4];
    unsigned dir;
    for (uint32_t n = 0; n < 4; n++) {
        f[n] = flow_find(t, segment_of(&k, n, false), n * second, &dir);
        f[n]->number = n;
    }
    flow_linger(t, f[2], 10 * second);
    flow_linger(t, f[3], 20 * second);
    assert_null(flow_lingered(t, 10 * second - 1));
    assert_ptr_equal(flow_lingered(t, 11 * second), f[2]);
    flow_revive(t, f[2]);
    assert_null(flow_lingered(t, 11 * second));
    uint32_t pos = 0, walked = 0;
    while (flow_next(t, &pos) != NULL)
        walked++;
    assert_int_equal(walked, 4);
    flow_find(t, segment_of(&k, 4, false), 12 * second, &dir)->number = 4;
    assert_int_equal(r.last, 3); /* though three others were used earlier */
    flow_find(t, segment_of(&k, 5, false), 12 * second, &dir)->number = 5;
    assert_int_equal(r.last, 0);
    flow_table_free(t);
    assert_int_equal(r.n, 6);
}

static void memory_is_bounded(void **state)
{
    (void)state;
    struct released r = { 0 };
    struct flow_table *t = flow_table_new(1000, sizeof(struct flow), 9, on_release, &r);
    struct key k;
    unsigned dir;
    uint64_t at_limit = 0;
    for (uint32_t n = 0; n < 200000; n++) {
        flow_find(t, segment_of(&k, n, false), n, &dir)->number = n;
        if (n == 2000)
            at_limit = flow_memory(t);
    }
    assert_int_equal(flow_memory(t), at_limit);
    assert_int_equal(flow_count(t), 1000);
    assert_int_equal(r.evicted, 199000);
    assert_true(at_limit < 1024 * 256 + 65536); /* a quarter KiB a flow, and the chunk under way */
    flow_table_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_directions_are_one_flow),
        cmocka_unit_test(what_is_likely_need_not_be),
        cmocka_unit_test(removal_loses_no_other),
        cmocka_unit_test(the_least_recently_used_makes_room),
        cmocka_unit_test(the_idle_are_forgotten),
        cmocka_unit_test(the_ended_linger_and_go_first),
        cmocka_unit_test(memory_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
