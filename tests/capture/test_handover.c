/* SPDX-License-Identifier: Apache-2.0
 *
 * What lies between two threads: blocks of a file that are read ahead, and memory that is made ready. That rows are
 * those of one thread is for tests/program/threads.py. */
#include "capture/handover/blocks.h"
#include "capture/handover/stock.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { FILE_LEN = 5 * 1000 * 1000, LONG = 700 * 1000 };

static uint8_t octet_at(size_t i)
{
    return (uint8_t)(i * 31 + (i >> 8) * 7 + (i >> 16));
}

static int make_file(void)
{
    FILE *f = tmpfile();
    assert_non_null(f);
    for (size_t i = 0; i < FILE_LEN; i++)
        putc(octet_at(i), f);
    assert_int_equal(fflush(f), 0);
    int fd = dup(fileno(f));
    fclose(f);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

struct taker {
    struct blocks *blocks;
    atomic_bool stop;
    uint64_t reads;
};

static void *read_ahead(void *taker)
{
    struct taker *t = taker;
    while (!atomic_load(&t->stop))
        t->reads += blocks_read_ahead(t->blocks);
    return NULL;
}

/* Records of all lengths, each in one piece, up to `longest` octets; what was read of the file. */
static size_t read_records(struct blocks *b, struct tide *done, int fd, size_t longest)
{
    uint8_t none = 0, *octets = &none;
    size_t at = 0, left = 0, step = 1;
    for (;;) {
        size_t n = step % longest + 1;
        step = step * 7 + 13;
        while (left < n) {
            ssize_t got = blocks_read(b, done, fd, view_of(octets, left), n, &octets);
            assert_in_range(got, 0, FILE_LEN);
            if (got == 0)
                return at + left;
            left += (size_t)got;
        }
        for (size_t i = 0; i < n; i++)
            if (octets[i] != octet_at(at + i))
                fail_msg("octet %zu", at + i);
        octets += n;
        at += n;
        left -= n;
    }
}

struct lender {
    struct blocks blocks;
    struct tide done;
};

static void begin(struct lender *l)
{
    *l = (struct lender){ 0 };
}

static void end(struct lender *l, int fd)
{
    close(fd);
    blocks_destroy(&l->blocks);
}

static void read_whole(size_t longest, bool with_taker)
{
    struct lender l;
    begin(&l);
    int fd = make_file();
    struct taker t = { .blocks = &l.blocks };
    pthread_t thread;
    if (with_taker)
        assert_int_equal(pthread_create(&thread, NULL, read_ahead, &t), 0);
    assert_int_equal(read_records(&l.blocks, &l.done, fd, longest), FILE_LEN);
    atomic_store(&t.stop, true);
    if (with_taker)
        pthread_join(thread, NULL);
    end(&l, fd);
}

static void whole_file(void **state)
{
    (void)state;
    for (unsigned with_taker = 0; with_taker < 2; with_taker++) {
        read_whole(1500, with_taker);
        read_whole(100 * 1000, with_taker); /* longer than the room before what is read */
        read_whole(LONG, with_taker);       /* than what is read at once */
    }
}

/* The taker does read, and the giver waits for it. */
static void read_by_the_taker(void **state)
{
    (void)state;
    struct lender l;
    begin(&l);
    int fd = make_file();
    uint8_t none = 0, *octets;
    assert_false(blocks_read_ahead(&l.blocks)); /* nobody has asked */
    ssize_t got = blocks_read(&l.blocks, &l.done, fd, view_of(&none, 0), 0, &octets);
    assert_in_range(got, 1, FILE_LEN);
    assert_true(blocks_read_ahead(&l.blocks));
    assert_false(blocks_read_ahead(&l.blocks)); /* once */
    off_t at = lseek(fd, 0, SEEK_CUR);
    uint8_t *before = octets;
    assert_in_range(blocks_read(&l.blocks, &l.done, fd, view_of(before + got - 10, 10), 0, &octets), 1, FILE_LEN);
    assert_int_equal(lseek(fd, 0, SEEK_CUR), at);
    assert_memory_equal(octets, before + got - 10, 10);
    assert_int_equal(octets[10], octet_at((size_t)got));
    end(&l, fd);
}

static atomic_uint naps;

/* In place of that of the C library: tells that a thread waits. */
int nanosleep(const struct timespec *length, struct timespec *left)
{
    (void)length;
    (void)left;
    atomic_fetch_add(&naps, 1);
    sched_yield();
    return 0;
}

struct giver {
    struct lender *lender;
    int fd;
    atomic_bool finished;
};

static void *read_once_more(void *giver)
{
    struct giver *g = giver;
    uint8_t none = 0, *octets;
    blocks_read(&g->lender->blocks, &g->lender->done, g->fd, view_of(&none, 0), 0, &octets);
    atomic_store(&g->finished, true);
    return NULL;
}

/* A block of which a batch borrows is read to again when that is done, and not before. */
static void borrowed(void **state)
{
    (void)state;
    struct lender l;
    begin(&l);
    struct giver g = { .lender = &l, .fd = make_file() };
    uint8_t none = 0, *octets, *first = NULL;
    for (unsigned i = 0; i < BLOCKS; i++) {
        assert_in_range(blocks_read(&l.blocks, &l.done, g.fd, view_of(&none, 0), 0, &octets), 1, FILE_LEN);
        first = i == 0 ? octets : first;
        blocks_current(&l.blocks)->until = i + 1;
    }
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, read_once_more, &g), 0);
    unsigned before = atomic_load(&naps);
    while (atomic_load(&naps) - before < 3 && !atomic_load(&g.finished))
        sched_yield();
    assert_false(atomic_load(&g.finished));
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(first[i], octet_at(i));
    tide_rise(&l.done);
    pthread_join(thread, NULL);
    assert_int_not_equal(memcmp(first, (uint8_t[]){ octet_at(0), octet_at(1), octet_at(2) }, 3), 0);
    end(&l, g.fd);
}

/* What is left stays in reach. */
static void cannot_read(void **state)
{
    (void)state;
    struct lender l;
    begin(&l);
    int fd = open("tests", O_RDONLY | O_DIRECTORY);
    uint8_t *octets;
    for (unsigned i = 0; i < 2; i++) {
        struct view left = view_of((const uint8_t *)"left", 4);
        assert_int_equal(blocks_read(&l.blocks, &l.done, fd, left, 9, &octets), -1);
        assert_int_equal(errno, EISDIR);
        assert_memory_equal(octets, "left", 4);
    }
    end(&l, fd);
}

/* Sizes of all sorts, taken, resized and given back: contents stay, and nobody has another's. */
static void memory(void **state)
{
    (void)state;
    enum { PARTS = 200, STEPS = 20000 };
    struct stock *s = stock_new();
    uint8_t *part[PARTS] = { NULL };
    size_t size[PARTS] = { 0 };
    uint32_t random = 1;
    assert_true(stock_up(s));
    assert_false(stock_up(s));
    for (unsigned step = 0; step < STEPS; step++) {
        random = random * 1664525 + 1013904223;
        unsigned i = random >> 8 & 0xff;
        if (i >= PARTS)
            continue;
        for (size_t at = 0; at < size[i]; at += 97)
            if (part[i][at] != (uint8_t)(i + at))
                fail_msg("part %u, octet %zu of %zu", i, at, size[i]);
        size_t to = random % 5 == 0 ? 0 : (size_t)1 << (4 + random % 13);
        part[i] = stock_resize(s, part[i], size[i], to);
        assert_true((part[i] != NULL) == (to > 0));
        for (size_t at = size[i]; at < to; at++)
            if (part[i][at] != 0)
                fail_msg("part %u, octet %zu is not zero", i, at);
        for (size_t at = size[i] < to ? 0 : to; at < to; at++)
            part[i][at] = (uint8_t)(i + at);
        for (size_t at = 0; at < to && at < size[i]; at += 97)
            assert_int_equal(part[i][at], (uint8_t)(i + at));
        size[i] = to;
        if (step % 50 == 0)
            stock_up(s);
    }
    for (unsigned i = 0; i < PARTS; i++)
        stock_resize(s, part[i], size[i], 0);
    stock_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(whole_file), cmocka_unit_test(read_by_the_taker),
                                        cmocka_unit_test(borrowed), cmocka_unit_test(cannot_read),
                                        cmocka_unit_test(memory) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
