/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/tui/rows.h"
#include "tui/rowset.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void a_row_comes_back_as_it_was(void **state)
{
    struct store *s = store_new(0);
    struct made m;
    struct store_entry e;
    struct mqtt_verdict v = {
        .rule = 3, .side = MQTT_CLIENT, .severity = MQTT_SEVERITY_ERROR, .offset = 1, .length = 2
    };
    (void)state;
    make_publish(&m, 7, "a/b", 4660);
    m.row.verdicts = &v;
    m.row.n_verdicts = 1;
    store_add(s, &m.row);
    memset(m.octets, 0xee, sizeof m.octets); /* the store has its own copy */
    assert_int_equal(store_end(s), 1);
    assert_true(store_get(s, 0, &e));
    assert_int_equal(e.row.number, 8);
    assert_int_equal(e.row.frame, 8);
    assert_int_equal(e.row.stream, 1);
    assert_int_equal(e.row.dst.port, 1883);
    assert_int_equal(e.row.src.addr.octets[3], 2);
    assert_memory_equal(e.row.client_id.ptr, "one", 3);
    assert_int_equal(e.packet.type, MQTT_PUBLISH);
    assert_int_equal(e.packet.id, 4660);
    assert_int_equal(e.packet.publish.topic.len, 3);
    assert_memory_equal(e.packet.publish.topic.ptr, "a/b", 3);
    assert_memory_equal(e.packet.publish.payload.ptr, "abc", 3);
    assert_int_equal(e.row.n_verdicts, 1);
    assert_int_equal(e.row.verdicts[0].length, 2);
    assert_int_equal(e.note.session, 2);
    assert_int_equal(e.note.exchange, 8);
    assert_int_equal(e.note.first_frame, 8);
    assert_int_equal(e.meta->severity, MQTT_SEVERITY_ERROR);
    assert_int_equal(store_findings(s), 1);
    assert_int_equal(store_finding_seq(s, store_finding(s, 0)), 0);
    assert_false(store_get(s, 1, &e));
    store_free(s);
}

/* The budget is kept, the oldest rows go, and every row that is held is whole. */
static void the_budget_holds(void **state)
{
    enum { ROWS = 200000 };
    struct store *s = store_new(STORE_BUDGET_LEAST);
    struct made m;
    struct store_entry e;
    char topic[64];
    (void)state;
    for (uint64_t n = 0; n < ROWS; n++) {
        snprintf(topic, sizeof topic, "topic/%llu", (unsigned long long)n);
        store_add(s, make_publish(&m, n, topic, (uint16_t)n));
        if (n % 1000 == 0) /* one chunk may be beyond the budget while it fills */
            assert_true(store_totals(s)->memory <= STORE_BUDGET_LEAST + (4 << 20));
    }
    assert_int_equal(store_end(s), ROWS);
    assert_true(store_first(s) > 0);
    assert_int_equal(store_totals(s)->evicted_rows, store_first(s));
    assert_null(store_meta(s, store_first(s) - 1));
    for (uint64_t seq = store_first(s); seq < ROWS; seq += 97) {
        snprintf(topic, sizeof topic, "topic/%llu", (unsigned long long)seq);
        assert_true(store_get(s, seq, &e));
        assert_int_equal(e.row.number, seq + 1);
        assert_int_equal(e.packet.publish.topic.len, strlen(topic));
        assert_memory_equal(e.packet.publish.topic.ptr, topic, strlen(topic));
    }
    assert_int_equal(store_at_frame(s, ROWS - 5), ROWS - 6);
    store_clear(s);
    assert_int_equal(store_totals(s)->memory, 0);
    assert_int_equal(store_first(s), ROWS);
    store_free(s);
}

static void findings_are_a_ring(void **state)
{
    struct store *s = store_new(0);
    struct track_finding f = { .severity = MQTT_SEVERITY_NOTE, .sentence = "something" };
    (void)state;
    for (uint32_t i = 0; i < STORE_FINDINGS + 10; i++) {
        f.session = i;
        store_add_finding(s, &f);
    }
    assert_int_equal(store_findings(s), STORE_FINDINGS);
    assert_int_equal(store_finding(s, 0)->session, 10);
    assert_int_equal(store_finding(s, STORE_FINDINGS - 1)->session, STORE_FINDINGS + 9);
    assert_int_equal(store_totals(s)->evicted_findings, 10);
    assert_null(store_finding(s, STORE_FINDINGS));
    store_free(s);
}

static bool of_session_2(void *ctx, struct store *s, uint64_t seq, const struct store_row *m)
{
    (void)s;
    (void)seq;
    ++*(uint64_t *)ctx;
    return m->session == 2;
}

/* Rows 1, 4, 7... are of session 2: found in slices, each row asked for once, also those that come later. */
static void a_set_is_found_in_slices(void **state)
{
    struct store *s = store_new(0);
    struct rowset r;
    struct made m;
    uint64_t asked = 0;
    (void)state;
    rowset_init(&r);
    for (uint64_t n = 0; n < 3000; n++)
        store_add(s, make_publish(&m, n, "t", 1));
    rowset_start(&r, s, of_session_2, &asked);
    assert_true(rowset_step(&r, s, 300));
    assert_int_equal(rowset_percent(&r, s), 10);
    assert_int_equal(rowset_lines(&r, s), 100);
    while (rowset_step(&r, s, 300))
        ;
    assert_int_equal(rowset_lines(&r, s), 1000);
    assert_int_equal(rowset_seq(&r, s, 10), 31);
    assert_int_equal(rowset_line(&r, s, 31), 10);
    assert_int_equal(rowset_line(&r, s, 32), 11);
    assert_int_equal(rowset_seq(&r, s, 1000), UINT64_MAX);
    r.limit = store_end(s); /* paused */
    for (uint64_t n = 3000; n < 3030; n++)
        store_add(s, make_publish(&m, n, "t", 1));
    assert_false(rowset_step(&r, s, 300));
    assert_int_equal(rowset_lines(&r, s), 1000);
    r.limit = UINT64_MAX;
    rowset_step(&r, s, 300);
    assert_int_equal(rowset_lines(&r, s), 1010);
    assert_int_equal(asked, 3030);
    r.stopped = true;
    store_add(s, make_publish(&m, 3031, "t", 1));
    assert_false(rowset_step(&r, s, 300));
    rowset_done(&r);
    store_free(s);
}

static void evicted_rows_leave_the_set(void **state)
{
    struct store *s = store_new(STORE_BUDGET_LEAST);
    struct rowset r;
    struct made m;
    uint64_t asked = 0;
    (void)state;
    rowset_init(&r);
    rowset_start(&r, s, of_session_2, &asked);
    for (uint64_t n = 0; n < 100000; n++) {
        store_add(s, make_publish(&m, n, "t", 1));
        if (n % 500 == 0)
            rowset_step(&r, s, 1000);
    }
    rowset_step(&r, s, 1000);
    assert_true(r.dropped > 0);
    uint64_t lines = rowset_lines(&r, s);
    for (uint64_t i = 0; i < lines; i++)
        assert_non_null(store_meta(s, rowset_seq(&r, s, i)));
    assert_int_equal(lines + r.dropped, 33333);
    rowset_done(&r);
    store_free(s);
}

/* Two threads that want the lock all the time both get it: whoever waits is next. */
struct contest {
    struct store *s;
    uint64_t rounds;
};

static void *hog(void *ctx)
{
    struct contest *c = ctx;
    struct made m;
    for (uint64_t n = 0; n < c->rounds; n++) {
        store_lock(c->s);
        for (int i = 0; i < 20; i++)
            store_add(c->s, make_publish(&m, n, "t", 1));
        store_unlock(c->s);
    }
    return NULL;
}

static void the_lock_is_fair(void **state)
{
    struct contest c = { .s = store_new(STORE_BUDGET_LEAST), .rounds = 20000 };
    pthread_t thread;
    uint64_t mine = 0, last = 0, most_between = 0;
    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, hog, &c), 0);
    for (bool over = false; !over; mine++) {
        store_lock(c.s);
        uint64_t end = store_end(c.s) / 20;
        if (mine > 0 && end - last > most_between)
            most_between = end - last;
        last = end;
        over = end == c.rounds;
        store_unlock(c.s);
    }
    pthread_join(thread, NULL);
    /* between two turns of ours the other one has a turn or two; the scheduler may hold this thread now and then */
    assert_true(mine > c.rounds / 50);
    store_free(c.s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_comes_back_as_it_was), cmocka_unit_test(the_budget_holds),
        cmocka_unit_test(findings_are_a_ring),        cmocka_unit_test(a_set_is_found_in_slices),
        cmocka_unit_test(evicted_rows_leave_the_set), cmocka_unit_test(the_lock_is_fair),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
