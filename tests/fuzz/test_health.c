/* SPDX-License-Identifier: Apache-2.0
 *
 * What a process uses too much of, each beside a neighbour that uses some and is left in peace. */
#define _GNU_SOURCE
#include "fuzz/peer/health.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { MIB = 1 << 20, UNTIL_S = 120, PIECE_NS = 10000000 };

struct habit {
    unsigned files, threads, mib;
    unsigned mib_before; /* from the start on */
    bool spins, naps;
};

static void *idle(void *unused)
{
    for (;;)
        pause();
    return unused;
}

static void *spin(void *unused)
{
    for (volatile unsigned n = 1; n > 0; n |= 1)
        ;
    return unused;
}

/* A fifth of a processor, in pieces. */
static void *nap(void *unused)
{
    for (;;) {
        struct timespec used, until;
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &until);
        until.tv_nsec += PIECE_NS;
        do
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
        while ((used.tv_sec - until.tv_sec) * 1000000000 + used.tv_nsec < until.tv_nsec);
        nanosleep(&(struct timespec){ .tv_nsec = 4 * PIECE_NS }, NULL);
    }
    return unused;
}

static void start_thread(void *(*what)(void *))
{
    pthread_t thread;
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 64 * 1024);
    if (pthread_create(&thread, &attr, what, NULL) != 0)
        _exit(1);
}

static void take(unsigned mib)
{
    volatile char *memory = mib > 0 ? malloc((size_t)mib * MIB) : NULL;
    for (size_t i = 0; memory != NULL && i < (size_t)mib * MIB; i += 4096)
        memory[i] = 1;
}

/* A child that waits for a word, takes on its habit, says so, and lives on. */
static void live(const struct habit *h, int in, int out)
{
    char word;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    take(h->mib_before);
    if (write(out, "b", 1) != 1 || read(in, &word, 1) != 1)
        _exit(1);
    for (unsigned i = 0; i < h->files; i++)
        if (open("/dev/null", O_RDONLY) < 0)
            _exit(1);
    for (unsigned i = 0; i < h->threads; i++)
        start_thread(h->spins ? spin : h->naps ? nap : idle);
    take(h->mib);
    if (write(out, "x", 1) == 1)
        idle(NULL);
    _exit(1);
}

/* A first look may fall into a time in which it got no processor: on a busy machine it is looked at again. */
static bool looks_ill(struct health *health, const struct process *process, bool works, struct ailment *ailment)
{
    bool found;
    int64_t until = runner_now_ns() + UNTIL_S * INT64_C(1000000000);
    do {
        health->rested_ns = works ? 0 : health->rested_ns;
        found = health_check(health, process, 64 * 1024, 3, ailment);
    } while (works && !found && runner_now_ns() < until);
    return found;
}

/* What is said of a process with this habit; "" nothing. */
static void told(struct habit habit, bool tired, const char *expected)
{
    int to[2], from[2];
    char word;
    struct ailment ailment = { 0 };
    assert_int_equal(pipe(to) | pipe(from), 0);
    struct process process = { .pid = fork() };
    if (process.pid == 0)
        live(&habit, to[0], from[1]);
    struct health health;
    assert_int_equal(read(from[0], &word, 1), 1);
    health_begin(&health, &process, 0);
    assert_int_equal(write(to[1], "x", 1), 1);
    assert_int_equal(read(from[0], &word, 1), 1);
    if (tired)
        health.rested_ns = 0;
    bool found = looks_ill(&health, &process, habit.spins, &ailment);
    kill(process.pid, SIGKILL);
    waitpid(process.pid, NULL, 0);
    for (unsigned i = 0; i < 2; i++) {
        close(to[i]);
        close(from[i]);
    }
    assert_int_equal(found, expected[0] != '\0');
    if (found)
        assert_string_equal(ailment.name, expected);
}

static void descriptors(void **state)
{
    (void)state;
    told((struct habit){ .files = 40 }, false, "");
    told((struct habit){ .files = 200 }, false, "descriptors");
}

static void threads(void **state)
{
    (void)state;
    told((struct habit){ .threads = 40 }, false, "");
    told((struct habit){ .threads = 200 }, false, "threads");
}

static void memory(void **state)
{
    (void)state;
    told((struct habit){ .mib = 60 }, false, "");
    told((struct habit){ .mib = 500, .mib_before = 60 }, false, ""); /* it may be a heap that is collected late */
    told((struct habit){ .mib = 900 }, false, "memory"); /* beyond what the quarantine of AddressSanitizer explains */
}

static void processor(void **state)
{
    (void)state;
    told((struct habit){ .threads = 32 }, true, "");
    told((struct habit){ .threads = 1, .naps = true }, true, "");
    told((struct habit){ .threads = 1, .spins = true }, true, "processor");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(descriptors),
        cmocka_unit_test(threads),
        cmocka_unit_test(memory),
        cmocka_unit_test(processor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
