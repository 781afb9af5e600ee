/* SPDX-License-Identifier: Apache-2.0
 *
 * The program mqbroker: the probe table over real sockets, its manners, its crashes on purpose. */
#include "fuzz/broker/fault.h"
#include "tests/fuzz/server.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* ---- the probe table ---- */

static bool play(const struct probe *probe, size_t number, unsigned version, uint16_t port)
{
    struct server own = { .pid = -1 };
    struct sockets sockets = { .port = port };
    struct probe_wire wire = sockets_wire(&sockets);
    struct probe_result result = { .passed = false };
    char prefix[16];
    snprintf(prefix, sizeof prefix, "p%zuv%u", number, version);
    if (probe->needs[0] != '\0' && !server_start(&own, probe->needs))
        return false;
    if (own.pid > 0)
        sockets.port = own.port;
    bool fine = probe_run(probe, version, prefix, true, &wire, &result);
    if (own.pid > 0)
        fine &= server_stop(&own) == 0;
    if (!fine)
        print_error("MQTT %u, %s: line %u: %s\n", version, probe->title, result.line, result.what);
    return fine;
}

/* Probes that let time pass do so at the same time, each in a child of its own. */
static void test_probes_over_sockets(void **state)
{
    (void)state;
    struct server s;
    unsigned failed = 0, children = 0;
    assert_true(server_start(&s, ""));
    for (size_t i = 0; i < probe_count; i++) {
        for (const char *v = probes[i].versions; *v != '\0'; v++) {
            unsigned version = (unsigned)(*v - '0');
            if (strstr(probes[i].script, "wait ") == NULL) {
                failed += !play(&probes[i], i, version, s.port);
                continue;
            }
            pid_t child = fork();
            assert_true(child >= 0);
            if (child == 0)
                _exit(!play(&probes[i], i, version, s.port));
            children++;
        }
    }
    for (int status; children > 0; children--) {
        pid_t child = -1;
        while (child <= 0 || child == s.pid)
            child = wait(&status);
        failed += !WIFEXITED(status) || WEXITSTATUS(status) != 0;
    }
    assert_int_equal(server_stop(&s), 0);
    assert_int_equal(failed, 0);
}

/* ---- manners ---- */

static int exit_status(const char *options)
{
    int status, pipes[2];
    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    if (child == 0)
        server_exec(options, pipes[1]);
    close(pipes[1]);
    waitpid(child, &status, 0);
    close(pipes[0]);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_options(void **state)
{
    (void)state;
    assert_int_equal(exit_status("--help"), 0);
    assert_int_equal(exit_status("--version"), 0);
    assert_int_equal(exit_status("--fault help"), 0);
    assert_int_equal(exit_status("--no-such-option"), 1);
    assert_int_equal(exit_status("--max-qos 3"), 1);
    assert_int_equal(exit_status("--max-queued -1"), 1);
    assert_int_equal(exit_status("--max-queued 1x"), 1);
    assert_int_equal(exit_status("--fault no-such-fault"), 1);
    assert_int_equal(exit_status("--bind 0.0.0.0"), 1);
    assert_int_equal(exit_status("word"), 1);
    assert_int_equal(exit_status("--bind 192.0.2.1 --allow-anonymous"), 2);
    assert_int_equal(exit_status("--password-file /no/such/file"), 2);
    assert_int_equal(exit_status("--acl-file tests/broker/passwords"), 2);
}

static void test_shutdown_says_goodbye(void **state)
{
    (void)state;
    static const uint8_t connect[] = { 0x10, 14, 0, 4, 'M', 'Q', 'T', 'T', 5, 2, 0, 0, 0, 0, 1, 'a' };
    struct server s;
    uint8_t got[64];
    size_t len = 0;
    assert_true(server_start(&s, "--server-reference other:1883"));
    struct sockets sockets = { .port = s.port };
    assert_true(sockets_open(&sockets, 0));
    assert_true(sockets_send(&sockets, 0, view_of(connect, sizeof connect)));
    int n = sockets_receive(&sockets, 0, got, sizeof got, 4000);
    assert_true(n > 0 && got[0] == 0x20);
    assert_int_equal(server_stop(&s), 0);
    for (; (n = sockets_receive(&sockets, 0, got + len, sizeof got - len, 4000)) > 0; len += (size_t)n)
        ;
    static const uint8_t moved[] = { 0xe0, 2 + 13, 0x9c, 13,  0x1c, 0,   10,  'o', 't',
                                     'h',  'e',    'r',  ':', '1',  '8', '8', '3' };
    assert_int_equal(n, 0);
    assert_int_equal(len, sizeof moved);
    assert_memory_equal(got, moved, sizeof moved);
    sockets_close(&sockets, 0, false);
}

/* ---- crashes and hangs ---- */

static const struct {
    const char *name, *script;
} deaths[] = {
    { "crash-publish", "a up\na > publish t=%/t q=2 r=1 id=1\na gone\n" },
    { "crash-subscribe", "a up\na > subscribe %/+/#\na gone\n" },
    { "crash-takeover", "a up\nb open\nb > connect id=%a\nb gone\n" },
    { "crash-property", "a up\na > publish t=%/t cd=x ct=y\na gone\n" },
};

static void test_faults_that_kill(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof deaths / sizeof deaths[0]; i++) {
        char options[64];
        struct server s;
        int status;
        snprintf(options, sizeof options, "--fault %s", deaths[i].name);
        assert_true(server_start(&s, options));
        struct sockets sockets = { .port = s.port };
        struct probe_wire wire = sockets_wire(&sockets);
        struct probe probe = { "5", "", "", "", deaths[i].script };
        struct probe_result result;
        assert_true(probe_run(&probe, 5, "p", true, &wire, &result));
        assert_int_equal(waitpid(s.pid, &status, 0), s.pid);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGABRT);
        close(s.said);
    }
}

static void test_fault_that_hangs(void **state)
{
    (void)state;
    struct server s;
    int status;
    assert_true(server_start(&s, "--fault hang-publish"));
    struct sockets sockets = { .port = s.port };
    struct probe_wire wire = sockets_wire(&sockets);
    struct probe probe = { "5", "", "", "", "a up\na pub t=%/t p=x\na > publish t=%/hang\na > pingreq\n" };
    struct probe_result result;
    assert_true(probe_run(&probe, 5, "p", true, &wire, &result));
    assert_int_equal(waitpid(s.pid, &status, WNOHANG), 0);
    assert_int_equal(kill(s.pid, SIGKILL), 0);
    assert_int_equal(waitpid(s.pid, &status, 0), s.pid);
    close(s.said);
}

/* A fault is never on silently. */
static void test_faults_are_announced(void **state)
{
    (void)state;
    for (enum broker_fault i = 0; i < FAULT_COUNT; i++) {
        char options[64], line[300];
        int status, pipes[2];
        if (i % 8 != 0)
            continue;
        snprintf(options, sizeof options, "--fault %s", broker_fault_name(i));
        assert_int_equal(pipe(pipes), 0);
        pid_t child = fork();
        if (child == 0)
            server_exec(options, pipes[1]);
        close(pipes[1]);
        struct server s = { .pid = child, .said = pipes[0] };
        assert_true(server_await(&s, "mqbroker: FAULT ", line, sizeof line));
        assert_non_null(strstr(line, broker_fault_name(i)));
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
        close(pipes[0]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_probes_over_sockets),   cmocka_unit_test(test_options),
        cmocka_unit_test(test_shutdown_says_goodbye), cmocka_unit_test(test_faults_that_kill),
        cmocka_unit_test(test_fault_that_hangs),      cmocka_unit_test(test_faults_are_announced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
