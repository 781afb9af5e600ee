/* SPDX-License-Identifier: Apache-2.0
 *
 * One direction of TCP comes out in order, once, and with its holes named (capture/stream/stream.h). */
#include "capture/stream/stream.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/capture/build.h"

enum { SPAN = 600 };
static const uint32_t FIRST = 0xffffff00; /* so that sequence numbers wrap */

struct seen {
    uint8_t data[2 * SPAN]; /* '.' a gap, else the octet */
    uint64_t at;
    unsigned gaps, ends, cuts;
    uint64_t last_frame;
    unsigned differences; /* of copies; and of the last one: */
    uint64_t differ_at, differ_len, differ_first;
};

static uint8_t octet(uint64_t at)
{
    return (uint8_t)('A' + at % 23);
}

static void on_data(void *ctx, const struct stream *s, uint64_t at, struct view octets, const struct stamp *stamp)
{
    struct seen *seen = ctx;
    (void)s;
    assert_int_equal(at, seen->at);
    assert_int_equal(seen->ends, 0);
    memcpy(seen->data + at, octets.ptr, octets.len);
    seen->at += octets.len;
    seen->last_frame = stamp->frame;
}

static void on_gap(void *ctx, const struct stream *s, uint64_t at, uint64_t len, enum stream_gap why,
                   const struct stamp *stamp)
{
    struct seen *seen = ctx;
    (void)s;
    (void)stamp;
    assert_int_equal(at, seen->at);
    memset(seen->data + at, '.', len);
    seen->at += len;
    seen->gaps++;
    seen->cuts += why == STREAM_SNAPLEN;
}

static void on_end(void *ctx, const struct stream *s, uint64_t at, const struct stamp *stamp)
{
    struct seen *seen = ctx;
    (void)s;
    (void)stamp;
    assert_int_equal(at, seen->at);
    seen->ends++;
}

static void on_differ(void *ctx, const struct stream *s, uint64_t at, uint64_t len, uint64_t first_frame,
                      const struct stamp *stamp)
{
    struct seen *seen = ctx;
    (void)s;
    (void)stamp;
    seen->differences++;
    seen->differ_at = at;
    seen->differ_len = len;
    seen->differ_first = first_frame;
}

static const struct stream_events events = { on_data, on_gap, on_end, on_differ };

struct bench {
    struct seen seen;
    struct stream_shared shared;
    struct stream stream;
    struct stamp stamp;
};

static void begin(struct bench *b, uint32_t limit)
{
    memset(b, 0, sizeof *b);
    stream_shared_init(&b->shared, &events, &b->seen, limit, 1 << 20);
    stream_syn(&b->stream, FIRST - 1);
}

/* Octets [from, from + len) of the stream, of which the last `cut` were not captured. */
static bool feed(struct bench *b, uint32_t from, uint32_t len, uint32_t cut, uint8_t flags)
{
    uint8_t *exact = malloc(len > 0 ? len : 1);
    for (uint32_t i = 0; i < len; i++)
        exact[i] = octet(from + i);
    struct segment g = { .seq = FIRST + from, .flags = flags | TCP_ACK, .payload = { exact, len - cut }, .cut = cut };
    b->stamp.frame++;
    b->stamp.time_ns += 1000;
    bool mine = stream_segment(&b->stream, &b->shared, &g, &b->stamp);
    free(exact);
    return mine;
}

static void is_whole(const struct bench *b, uint64_t len)
{
    assert_int_equal(b->seen.at, len);
    for (uint64_t i = 0; i < len; i++)
        assert_int_equal(b->seen.data[i], octet(i));
    assert_int_equal(b->seen.gaps, 0);
    assert_int_equal(b->shared.held, 0);
}

static void any_order_gives_the_same(void **state)
{
    (void)state;
    uint64_t random = 1;
    for (unsigned round = 0; round < 3000; round++) {
        struct {
            uint32_t from, len;
        } piece[80];
        unsigned n = 0;
        for (uint32_t at = 0; at < SPAN;) { /* a tiling, then overlapping copies */
            uint32_t len = 1 + next_random(&random) % 40;
            len = len < SPAN - at ? len : SPAN - at;
            piece[n].from = at;
            piece[n++].len = len;
            at += len;
        }
        for (unsigned i = 0; i < 12; i++) {
            piece[n].from = next_random(&random) % SPAN;
            piece[n].len = 1 + next_random(&random) % (SPAN - piece[n].from);
            n++;
        }
        for (unsigned i = n; i > 1; i--) { /* shuffled */
            unsigned j = next_random(&random) % i;
            uint32_t from = piece[j].from, len = piece[j].len;
            piece[j] = piece[i - 1];
            piece[i - 1].from = from;
            piece[i - 1].len = len;
        }
        struct bench b;
        begin(&b, 1 << 20);
        if (round % 2)
            feed(&b, SPAN, 0, 0, TCP_FIN); /* the end comes first and is waited for */
        for (unsigned i = 0; i < n; i++)
            assert_true(feed(&b, piece[i].from, piece[i].len, 0, 0));
        is_whole(&b, SPAN);
        assert_int_equal(b.seen.ends, round % 2);
        assert_int_equal(b.shared.conflicts, 0);
        stream_finish(&b.stream, &b.shared, &b.stamp);
        assert_int_equal(b.seen.ends, 1);
    }
}

static void in_order_is_not_copied(void **state)
{
    (void)state;
    struct bench b;
    begin(&b, 1000);
    for (uint32_t i = 0; i < SPAN; i++) {
        feed(&b, i, 1, 0, 0);
        assert_int_equal(b.stream.hold, 0);
    }
    is_whole(&b, SPAN);
}

static void a_hole_is_given_up_after_its_grace(void **state)
{
    (void)state;
    struct bench b;
    begin(&b, 1 << 20);
    feed(&b, 0, 10, 0, 0);
    feed(&b, 20, 10, 0, 0);
    assert_int_equal(b.seen.at, 10);
    assert_int_equal(b.shared.due_ns, INT64_MAX); /* not acknowledged: it may still come */
    stream_ack(&b.stream, &b.shared, FIRST + 30, &b.stamp);
    assert_int_equal(b.shared.due_ns, b.stamp.time_ns + STREAM_GRACE_NS);
    b.stamp.time_ns += STREAM_GRACE_NS - 1;
    stream_tick(&b.shared, &b.stamp);
    assert_int_equal(b.seen.at, 10);
    b.stamp.time_ns += 1;
    stream_tick(&b.shared, &b.stamp);
    assert_int_equal(b.seen.at, 30);
    assert_int_equal(b.seen.gaps, 1);
    assert_memory_equal(b.seen.data + 8, "IJ..........UV", 14);
    feed(&b, 10, 10, 0, 0); /* too late */
    assert_int_equal(b.seen.at, 30);
    assert_int_equal(b.shared.retransmitted, 1);
}

/* The peer acknowledged a part of the hole: the rest may still come. */
static void a_hole_is_given_up_as_far_as_it_is_acknowledged(void **state)
{
    (void)state;
    for (unsigned filled = 0; filled < 2; filled++) {
        struct bench b;
        begin(&b, 1 << 20);
        feed(&b, 0, 4, 0, 0);
        feed(&b, 20, 10, 0, 0);
        stream_ack(&b.stream, &b.shared, FIRST + 15, &b.stamp);
        b.stamp.time_ns += STREAM_GRACE_NS;
        stream_tick(&b.shared, &b.stamp);
        assert_int_equal(b.seen.at, 15);
        assert_int_equal(b.seen.gaps, 1);
        assert_int_equal(b.shared.due_ns, INT64_MAX);
        if (filled)
            feed(&b, 12, 8, 0, 0);
        else
            stream_ack(&b.stream, &b.shared, FIRST + 18, &b.stamp);
        b.stamp.time_ns += STREAM_GRACE_NS;
        if (b.shared.due_ns <= b.stamp.time_ns)
            stream_tick(&b.shared, &b.stamp);
        assert_int_equal(b.seen.at, filled ? 30 : 18);
        assert_int_equal(b.seen.gaps, filled ? 1 : 2);
        assert_memory_equal(b.seen.data, filled ? "ABCD...........PQRSTUVW" : "ABCD..............", filled ? 23 : 18);
        stream_finish(&b.stream, &b.shared, &b.stamp);
        assert_int_equal(b.seen.at, 30);
        assert_int_equal(b.shared.held, 0);
    }
}

static void a_filled_hole_is_none(void **state)
{
    (void)state;
    struct bench b;
    begin(&b, 1 << 20);
    feed(&b, 5, 5, 0, 0);
    stream_ack(&b.stream, &b.shared, FIRST + 10, &b.stamp); /* a tap may show it before the octets */
    feed(&b, 0, 5, 0, 0);
    is_whole(&b, 10);
    b.stamp.time_ns += 10 * STREAM_GRACE_NS;
    stream_tick(&b.shared, &b.stamp);
    is_whole(&b, 10);
}

static void the_budget_gives_up_the_oldest_hole(void **state)
{
    (void)state;
    struct bench b;
    begin(&b, 3 * (STREAM_PIECE_COST + 10));
    for (uint32_t i = 0; i < 20; i++) {
        feed(&b, 5 + 20 * i, 10, 0, 0);
        assert_true(b.shared.held <= 3 * (STREAM_PIECE_COST + 10));
    }
    assert_int_equal(b.shared.evicted, 17);
    assert_int_equal(b.seen.gaps, 17);
    stream_finish(&b.stream, &b.shared, &b.stamp);
    assert_int_equal(b.seen.gaps, 20);
    assert_int_equal(b.shared.held, 0);
}

static void the_total_budget_is_shared(void **state)
{
    (void)state;
    struct bench b;
    begin(&b, 1 << 20);
    b.shared.total_limit = 150;
    struct stream other = { 0 };
    stream_syn(&other, FIRST - 1);
    feed(&b, 5, 10, 0, 0);
    b.stream.side = 0;
    struct seen first = b.seen;
    assert_int_equal(first.gaps, 0);
    struct segment g = { .seq = FIRST + 50, .payload = { (const uint8_t *)"0123456789012345678901234567890", 30 } };
    stream_segment(&other, &b.shared, &g, &b.stamp); /* 74 + 94 octets: the first stream gives way */
    assert_int_equal(b.seen.gaps, 1);
    assert_int_equal(b.shared.evicted, 1);
    assert_int_not_equal(other.hold, 0);
    stream_drop(&other, &b.shared);
    assert_int_equal(b.shared.held, 0);
}

static void the_first_copy_wins(void **state)
{
    (void)state;
    struct bench b;
    begin(&b, 1 << 20);
    feed(&b, 10, 10, 0, 0);
    struct segment g = { .seq = FIRST + 5, .payload = { (const uint8_t *)"####################", 20 } };
    stream_segment(&b.stream, &b.shared, &g, &b.stamp);
    assert_int_equal(b.shared.conflicts, 1);
    feed(&b, 0, 5, 0, 0);
    assert_int_equal(b.seen.at, 25);
    assert_memory_equal(b.seen.data, "ABCDE#####KLMNOPQRST#####", 25);
    assert_int_equal(b.seen.differences, 1);
    assert_int_equal(b.seen.differ_at, 10);
    assert_int_equal(b.seen.differ_len, 10);
}

static void say(struct bench *b, uint32_t at, const char *text)
{
    struct segment g = { .seq = FIRST + at, .payload = { (const uint8_t *)text, strlen(text) } };
    b->stamp.frame++;
    stream_segment(&b->stream, &b->shared, &g, &b->stamp);
}

/* Also where the first copy has been passed on already. */
static void a_later_copy_that_differs_is_told(void **state)
{
    (void)state;
    struct bench b;
    begin(&b, 1 << 20);
    b.stamp.frame = 0;
    say(&b, 0, "0123456789");
    say(&b, 10, "temp=20;");
    say(&b, 10, "temp=20;"); /* the same once more */
    say(&b, 12, "mp=20;ok");
    say(&b, 19, "k");
    assert_int_equal(b.seen.differences, 0);
    say(&b, 17, "X"); /* a keepalive probe */
    assert_int_equal(b.seen.differences, 0);
    say(&b, 18, "ok"); /* passed on as part of frame 4, which is the last one that is known */
    assert_int_equal(b.seen.differences, 0);
    say(&b, 16, "0;nottrue");
    assert_int_equal(b.seen.differences, 1);
    assert_int_equal(b.seen.differ_at, 18);
    assert_int_equal(b.seen.differ_len, 2);
    assert_int_equal(b.seen.differ_first, 4);
    assert_int_equal(b.shared.conflicts, 1);
    assert_memory_equal(b.seen.data, "0123456789temp=20;okttrue", 25);
    stream_drop(&b.stream, &b.shared); /* another connection in the same place */
    b.stream = (struct stream){ 0 };
    b.seen.at = 0;
    stream_syn(&b.stream, FIRST - 1);
    say(&b, 20, "other");
    say(&b, 0, "abcdefghijklmnopqrst");
    assert_int_equal(b.seen.differences, 1);
    stream_drop(&b.stream, &b.shared);
}

static void the_snaplen_is_a_gap_of_its_own(void **state)
{
    (void)state;
    struct bench b;
    begin(&b, 1 << 20);
    feed(&b, 0, 10, 4, 0);
    feed(&b, 20, 10, 10, 0);
    feed(&b, 10, 10, 0, 0);
    assert_int_equal(b.seen.at, 30);
    assert_int_equal(b.seen.cuts, 2);
    assert_memory_equal(b.seen.data, "ABCDEF....KLMNOPQRST..........", 30);
}

static void a_start_in_midstream(void **state)
{
    (void)state;
    struct bench b;
    begin(&b, 1 << 20);
    b.stream = (struct stream){ 0 };
    feed(&b, 99, 0, 0, 0); /* a keepalive probe: one octet behind */
    feed(&b, 100, 3, 0, 0);
    stream_ack(&b.stream, &b.shared, FIRST + 103, &b.stamp);
    assert_int_equal(b.seen.at, 3);
    b.stream = (struct stream){ 0 };
    b.seen = (struct seen){ 0 };
    feed(&b, 0, 0, 0, 0); /* no keepalive probe: the octet follows */
    feed(&b, 1, 3, 0, 0);
    feed(&b, 0, 1, 0, 0);
    stream_ack(&b.stream, &b.shared, FIRST + 4, &b.stamp);
    is_whole(&b, 4);
    assert_int_equal(b.seen.gaps, 0);
    b.stream = (struct stream){ 0 };
    b.seen = (struct seen){ 0 };
    stream_ack(&b.stream, &b.shared, FIRST + 100, &b.stamp);
    feed(&b, 99, 1, 0, 0); /* the same with its garbage octet */
    assert_int_equal(b.seen.at, 0);
    feed(&b, 100, 3, 0, 0);
    assert_int_equal(b.seen.at, 3);
}

/* The first segment seen is the second one sent: what came before it counts until the peer acknowledges, or for the
 * grace. */
static void in_midstream_the_first_segment_may_be_out_of_order(void **state)
{
    (void)state;
    for (unsigned how = 0; how < 3; how++) {
        struct bench b;
        begin(&b, 1 << 20);
        b.stream = (struct stream){ 0 };
        feed(&b, 5, 5, 0, 0);
        feed(&b, 20, 5, 0, 0);
        feed(&b, 1, 4, 0, 0);
        feed(&b, 0, 1, 0, 0);
        assert_int_equal(b.seen.at, 0);
        if (how == 0)
            stream_ack(&b.stream, &b.shared, FIRST + 8, &b.stamp);
        b.stamp.time_ns += STREAM_GRACE_NS;
        if (how == 1 && b.shared.due_ns <= b.stamp.time_ns)
            stream_tick(&b.shared, &b.stamp);
        if (how < 2) {
            assert_int_equal(b.seen.at, 10);
            feed(&b, 10, 10, 0, 0);
            is_whole(&b, 25);
        }
        stream_finish(&b.stream, &b.shared, &b.stamp);
        assert_int_equal(b.seen.at, 25);
        assert_int_equal(b.seen.gaps, how == 2);
        assert_memory_equal(b.seen.data, "ABCDEFGHIJ", 10);
        assert_int_equal(b.shared.held, 0);
    }
}

/* The peer waits for octet 0, and the first segment that is seen begins at 4: the hole may still be filled. */
static void an_acknowledgment_tells_where_a_stream_begins(void **state)
{
    (void)state;
    struct bench b;
    begin(&b, 1 << 20);
    b.stream = (struct stream){ 0 };
    feed(&b, 4, 6, 0, 0);
    stream_ack(&b.stream, &b.shared, FIRST, &b.stamp);
    assert_int_equal(b.seen.at, 0);
    feed(&b, 0, 4, 0, 0);
    is_whole(&b, 10);
    feed(&b, 10, 5, 0, 0);
    is_whole(&b, 15);
}

/* The peer had acknowledged all before octet 0; the first segment that is seen begins at 4. */
static void what_lacks_before_the_first_segment_is_a_gap(void **state)
{
    (void)state;
    for (unsigned empty = 0; empty < 2; empty++) {
        struct bench b;
        begin(&b, 1 << 20);
        b.stream = (struct stream){ 0 };
        stream_ack(&b.stream, &b.shared, FIRST, &b.stamp);
        stream_ack(&b.stream, &b.shared, FIRST + 4, &b.stamp);
        if (empty != 0)
            feed(&b, 4, 0, 0, TCP_ACK);
        feed(&b, 4, 6, 0, 0);
        assert_int_equal(b.seen.at, 0);
        stream_finish(&b.stream, &b.shared, &b.stamp);
        assert_int_equal(b.seen.gaps, 1);
        assert_memory_equal(b.seen.data, "....EFGHIJ", 10);
        assert_int_equal(b.seen.at, 10);
    }
}

/* A segment without data where the peer had acknowledged up to is no probe of one octet behind. */
static void an_empty_first_segment_is_believed(void **state)
{
    (void)state;
    struct bench b;
    begin(&b, 1 << 20);
    b.stream = (struct stream){ 0 };
    stream_ack(&b.stream, &b.shared, FIRST, &b.stamp);
    feed(&b, 0, 0, 0, TCP_ACK);
    feed(&b, 1, 9, 0, 0);
    feed(&b, 0, 1, 0, 0);
    is_whole(&b, 10);
}

static void keepalives_and_probes_add_nothing(void **state)
{
    (void)state;
    struct bench b;
    begin(&b, 1 << 20);
    feed(&b, 0, 10, 0, 0);
    feed(&b, 9, 1, 0, 0);
    feed(&b, 9, 0, 0, 0);
    feed(&b, 10, 10, 0, 0);
    feed(&b, 10, 11, 0, 0); /* retransmitted with one more */
    is_whole(&b, 21);
}

static void the_lost_tail_is_named_at_the_end(void **state)
{
    (void)state;
    struct bench b;
    begin(&b, 1 << 20);
    feed(&b, 0, 10, 0, 0);
    stream_ack(&b.stream, &b.shared, FIRST + 30, &b.stamp);
    stream_finish(&b.stream, &b.shared, &b.stamp);
    assert_int_equal(b.seen.at, 30);
    assert_int_equal(b.seen.gaps, 1);
    assert_int_equal(b.seen.ends, 1);
    begin(&b, 1 << 20);
    feed(&b, 0, 10, 0, 0);
    stream_ack(&b.stream, &b.shared, FIRST + 11, &b.stamp); /* of a FIN that was not captured, perhaps */
    stream_finish(&b.stream, &b.shared, &b.stamp);
    assert_int_equal(b.seen.gaps, 0);
}

static void another_connection_shows_itself(void **state)
{
    (void)state;
    struct bench b;
    begin(&b, 1 << 20);
    assert_true(feed(&b, 0, 10, 0, 0));
    assert_true(feed(&b, 0x50000000, 10, 0, 0)); /* once may be an intruder */
    assert_false(feed(&b, 0x5000000a, 10, 0, 0));
    assert_int_equal(b.seen.at, 10);
    assert_true(feed(&b, 10, 10, 0, 0));
    is_whole(&b, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_order_gives_the_same),
        cmocka_unit_test(in_order_is_not_copied),
        cmocka_unit_test(a_hole_is_given_up_after_its_grace),
        cmocka_unit_test(a_hole_is_given_up_as_far_as_it_is_acknowledged),
        cmocka_unit_test(a_filled_hole_is_none),
        cmocka_unit_test(the_budget_gives_up_the_oldest_hole),
        cmocka_unit_test(the_total_budget_is_shared),
        cmocka_unit_test(the_first_copy_wins),
        cmocka_unit_test(a_later_copy_that_differs_is_told),
        cmocka_unit_test(the_snaplen_is_a_gap_of_its_own),
        cmocka_unit_test(a_start_in_midstream),
        cmocka_unit_test(in_midstream_the_first_segment_may_be_out_of_order),
        cmocka_unit_test(an_acknowledgment_tells_where_a_stream_begins),
        cmocka_unit_test(what_lacks_before_the_first_segment_is_a_gap),
        cmocka_unit_test(an_empty_first_segment_is_believed),
        cmocka_unit_test(keepalives_and_probes_add_nothing),
        cmocka_unit_test(the_lost_tail_is_named_at_the_end),
        cmocka_unit_test(another_connection_shows_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
