/* SPDX-License-Identifier: Apache-2.0
 *
 * A pipeline with two threads that is stopped or closed in the middle: by a row, from outside, by its owner. That its
 * rows are those of one thread is for tests/program/threads.py; here the giver is ahead by all the room it has. */
#include "capture/pipeline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { COPIES = 250, PCAP_HEADER = 24, PCAP_RECORD = 16, ADDRESSES = 14 + 12 /* Ethernet, IPv4 */ };

struct image {
    uint8_t *octets;
    size_t len;
};

struct seen {
    uint64_t rows, connections, octets, stop_at; /* stop_at: row that is answered with PIPELINE_STOP; 0: none */
    uint64_t hash;
    int64_t start_ns;
};

static unsigned on_row(void *ctx, const struct row *r)
{
    struct seen *s = ctx;
    s->rows++;
    assert_int_equal(r->number, s->rows);
    s->start_ns = r->time_start_ns;
    if (r->kind == ROW_PACKET) {
        s->octets += r->packet->held;
        for (uint32_t i = 0; i < r->packet->held; i++)
            s->hash = (s->hash ^ r->packet->octets[i]) * UINT64_C(0x100000001b3);
    }
    return s->rows == s->stop_at ? PIPELINE_STOP : PIPELINE_GO_ON;
}

static void on_connection(void *ctx, const struct pipeline_connection *c)
{
    struct seen *s = ctx;
    s->connections += c->what == PIPELINE_OPENED;
}

/* Other addresses make other connections. */
static void move(uint8_t *records, size_t len, uint8_t by)
{
    uint32_t captured;
    for (size_t at = 0; at < len; at += PCAP_RECORD + captured) {
        uint8_t *addresses = records + at + PCAP_RECORD + ADDRESSES;
        memcpy(&captured, records + at + 8, sizeof captured);
        addresses[1] ^= by;
        addresses[5] ^= by;
    }
}

/* A capture of a few connections, many times: more reports than lie between two threads. */
static struct image long_image(void)
{
    uint8_t once[1 << 18];
    FILE *f = fopen("tests/captures/mqtt311_basics.pcap", "rb");
    assert_non_null(f);
    size_t len = fread(once, 1, sizeof once, f), records = len - PCAP_HEADER;
    fclose(f);
    assert_true(len > PCAP_HEADER && len < sizeof once);
    struct image i = { malloc(PCAP_HEADER + COPIES * records), PCAP_HEADER + COPIES * records };
    assert_non_null(i.octets);
    memcpy(i.octets, once, PCAP_HEADER);
    for (size_t n = 0; n < COPIES; n++) {
        memcpy(i.octets + PCAP_HEADER + n * records, once + PCAP_HEADER, records);
        move(i.octets + PCAP_HEADER + n * records, records, (uint8_t)n);
    }
    return i;
}

static struct pipeline *open_threads(const struct image *i, uint32_t threads, struct seen *s)
{
    struct pipeline_options o = { .image = view_of(i->octets, i->len), .threads = threads };
    struct pipeline_events events = { .row = on_row, .connection = on_connection };
    char error[PIPELINE_ERROR_MAX];
    bool usage;
    struct pipeline *p = pipeline_open(&o, &events, s, error, &usage);
    if (p == NULL)
        fail_msg("%s", error);
    return p;
}

static struct pipeline_counters run(const struct image *i, uint32_t threads, struct seen *s)
{
    struct pipeline_counters n;
    struct pipeline *p = open_threads(i, threads, s);
    while (pipeline_step(p, 100, -1) == PIPELINE_MORE) {
        pipeline_counters(p, &n);
        assert_int_equal(n.rows, s->rows); /* they go over with the step they are of */
    }
    pipeline_counters(p, &n);
    assert_string_equal(pipeline_error(p), "");
    assert_int_equal(pipeline_step(p, 100, -1), PIPELINE_END);
    pipeline_close(p);
    return n;
}

static void same(void **state)
{
    (void)state;
    struct image i = long_image();
    struct seen one = { 0 }, two = { 0 };
    struct pipeline_counters n1 = run(&i, 1, &one), n2 = run(&i, 2, &two);
    assert_memory_equal(&one, &two, sizeof one);
    assert_memory_equal(&n1, &n2, sizeof n1);
    assert_in_range(one.rows, 8000, 20000);
    assert_in_range(one.connections, COPIES, 10 * COPIES);
    free(i.octets);
}

static void stopped_by_a_row(void **state)
{
    (void)state;
    struct image i = long_image();
    for (uint64_t at = 1; at < 6000; at = at * 3 + 1) {
        struct seen s = { .stop_at = at };
        struct pipeline *p = open_threads(&i, 2, &s);
        while (pipeline_step(p, 100, -1) == PIPELINE_MORE)
            ;
        assert_int_equal(s.rows, at);
        pipeline_close(p);
    }
    free(i.octets);
}

static void stopped_from_outside(void **state)
{
    (void)state;
    struct image i = long_image();
    struct seen s = { 0 };
    struct pipeline *p = open_threads(&i, 2, &s);
    assert_int_equal(pipeline_step(p, 100, -1), PIPELINE_MORE);
    pipeline_stop(p);
    while (pipeline_step(p, 100, -1) == PIPELINE_MORE)
        ;
    struct pipeline_counters n;
    pipeline_counters(p, &n);
    assert_int_equal(n.rows, s.rows);
    assert_true(n.frames < COPIES * 60); /* not the whole of it */
    pipeline_close(p);
    free(i.octets);
}

static void closed(void **state)
{
    (void)state;
    struct image i = long_image();
    for (unsigned steps = 0; steps < 40; steps = steps * 2 + (steps < 3)) {
        struct seen s = { 0 };
        struct pipeline *p = open_threads(&i, 2, &s);
        for (unsigned n = 0; n < steps; n++)
            assert_int_equal(pipeline_step(p, 100, -1), PIPELINE_MORE);
        pipeline_close(p);
    }
    free(i.octets);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(same), cmocka_unit_test(stopped_by_a_row),
                                        cmocka_unit_test(stopped_from_outside), cmocka_unit_test(closed) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
