/* SPDX-License-Identifier: Apache-2.0
 *
 * What one thread puts into the ring the other gets out, whole and in order, however full it is
 * (capture/frames/ring.h). */
#include "capture/frames/ring.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/capture/build.h"

enum { FRAMES = 60000, LONGEST = 3000 };

struct writer {
    struct ring ring;
    atomic_bool stop, done;
};

static size_t length_of(uint32_t n)
{
    return n * 2654435761u % LONGEST;
}

static void *write_frames(void *arg)
{
    struct writer *w = arg;
    static uint8_t octets[LONGEST];
    for (uint32_t n = 0; n < FRAMES; n++) {
        size_t len = length_of(n);
        memset(octets, (int)(n % 251), len);
        struct frame f = { .octets = { octets, len }, .wire_len = n, .interface_id = n % 3, .time_ns = n };
        if (!ring_put(&w->ring, &f, &w->stop))
            break;
        if (n % 16 == 0)
            ring_wake(&w->ring);
    }
    atomic_store(&w->done, true);
    atomic_store(&w->ring.reader_waits, true);
    ring_wake(&w->ring);
    return NULL;
}

static void is_frame(const struct frame *f, uint32_t n)
{
    assert_int_equal(f->wire_len, n);
    assert_int_equal(f->time_ns, n);
    assert_int_equal(f->interface_id, n % 3);
    assert_int_equal(f->octets.len, length_of(n));
    if (f->octets.len > 0) {
        assert_int_equal(f->octets.ptr[0], n % 251);
        assert_int_equal(f->octets.ptr[f->octets.len - 1], n % 251);
    }
}

static void frames_come_whole_and_in_order(void **state)
{
    (void)state;
    static struct writer w;
    pthread_t thread;
    assert_true(ring_init(&w.ring, 1 << 20)); /* a hundredth of what goes through it */
    assert_int_equal(pthread_create(&thread, NULL, write_frames, &w), 0);
    uint32_t n = 0;
    struct frame f;
    struct pollfd fds[1];
    while (n < FRAMES) {
        bool done = atomic_load(&w.done);
        uint32_t batch = 0;
        while (batch < 20 && ring_get(&w.ring, &f)) { /* what was handed out stays until it is released */
            is_frame(&f, n++);
            batch++;
        }
        ring_release(&w.ring);
        assert_true(batch > 0 || !done || n == FRAMES);
        if (batch == 0)
            ring_wait(&w.ring, fds, 0, 1000);
    }
    assert_int_equal(n, FRAMES);
    assert_false(ring_get(&w.ring, &f));
    pthread_join(thread, NULL);
    ring_done(&w.ring);
}

static void a_writer_without_room_can_be_stopped(void **state)
{
    (void)state;
    static struct writer w;
    pthread_t thread;
    assert_true(ring_init(&w.ring, 1 << 20));
    assert_int_equal(pthread_create(&thread, NULL, write_frames, &w), 0);
    struct pollfd fds[1];
    while (!atomic_load(&w.ring.writer_waits)) /* the ring is full */
        ring_wait(&w.ring, fds, 0, 0);
    atomic_store(&w.stop, true);
    pthread_join(thread, NULL);
    struct frame f;
    uint32_t n = 0;
    while (ring_get(&w.ring, &f))
        is_frame(&f, n++);
    assert_true(n > 100 && n < FRAMES);
    ring_done(&w.ring);
}

/* Memory costs time when it is touched first: a ring that is emptied again and again begins anew. */
static void an_empty_ring_begins_anew(void **state)
{
    (void)state;
    struct writer w = { 0 };
    struct frame f;
    size_t farthest = 0;
    assert_true(ring_init(&w.ring, 16 << 20));
    for (uint32_t n = 0; n < 10 * FRAMES; n++) {
        static uint8_t octets[LONGEST];
        memset(octets, (int)(n % 251), sizeof octets);
        f = (struct frame){ .octets = { octets, length_of(n) }, .wire_len = n, .interface_id = n % 3, .time_ns = n };
        assert_true(ring_put(&w.ring, &f, &w.stop));
        if (n % 100 != 99)
            continue;
        for (uint32_t k = n - 99; k <= n; k++) {
            assert_true(ring_get(&w.ring, &f));
            is_frame(&f, k);
            size_t at = (size_t)(f.octets.ptr - w.ring.memory);
            farthest = at > farthest ? at : farthest;
        }
        ring_rewind(&w.ring); /* nothing happens while frames are handed out */
        assert_int_equal(atomic_load(&w.ring.head) - atomic_load(&w.ring.tail), w.ring.taken);
        ring_release(&w.ring);
        ring_rewind(&w.ring);
    }
    assert_in_range(farthest, 100 << 10, 100 * (LONGEST + 32));
    ring_done(&w.ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_come_whole_and_in_order),
        cmocka_unit_test(an_empty_ring_begins_anew),
        cmocka_unit_test(a_writer_without_room_can_be_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
