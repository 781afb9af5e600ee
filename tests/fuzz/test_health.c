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
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { MIB = 1 << 20 };

struct habit {
    unsigned files, threads, mib;
    unsigned mib_before; /* from the start on */
    bool spins;
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
    if (h->spins)
        setpriority(PRIO_PROCESS, 0, -20); /* where that is allowed */
    take(h->mib_before);
    if (write(out, "b", 1) != 1 || read(in, &word, 1) != 1)
        _exit(1);
    for (unsigned i = 0; i < h->files; i++)
        if (open("/dev/null", O_RDONLY) < 0)
            _exit(1);
    for (unsigned i = 0; i < h->threads; i++)
        start_thread(h->spins ? spin : idle);
    take(h->mib);
    if (write(out, "x", 1) == 1)
        idle(NULL);
    _exit(1);
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
    struct process_usage before, after;
    int64_t began = runner_now_ns();
    process_usage(&process, &before);
    bool found = health_check(&health, &process, 64 * 1024, 3, &ailment);
    process_usage(&process, &after);
    bool starved = (int64_t)(after.cpu_ms - before.cpu_ms) * 10 < (runner_now_ns() - began) / 1000000 * 9;
    kill(process.pid, SIGKILL);
    waitpid(process.pid, NULL, 0);
    for (unsigned i = 0; i < 2; i++) {
        close(to[i]);
        close(from[i]);
    }
    if (habit.spins && tired && !found && starved)
        skip(); /* the machine is too busy to let anything spin */
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

/* Many threads spin, so that a busy machine leaves them one processor's time in any case. */
static void processor(void **state)
{
    (void)state;
    told((struct habit){ .threads = 32 }, true, "");
    told((struct habit){ .threads = 32, .spins = true }, true, "processor");
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
