/* SPDX-License-Identifier: Apache-2.0
 *
 * The program mqbroker: the plans of tests/fuzz/mqbroker.def over real sockets, its manners, its crashes on purpose. */
#include "fuzz/broker/fault.h"
#include "fuzz/campaign/conform.h"
#include "tests/fuzz/own.h"
#include "tests/fuzz/server.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* ---- plans ---- */

static bool tell_failure(void *ctx, const struct probe_result *result, const struct run *run)
{
    (void)run;
    if (result->end == RUN_PASSED)
        return true;
    print_error("MQTT %s, %s: %s: %s\n", mqtt_version_name(result->probe->version), result->probe->title,
                run_end_name(result->end), result->why);
    ++*(unsigned *)ctx;
    return true;
}

/* How many of these fail at this port, many at a time. */
static unsigned failures(struct probe *probes, uint32_t n, uint16_t port, bool websocket)
{
    struct runner_target target = { .wire = { .websocket = websocket, .host = "localhost", .path = "/mqtt" } };
    const struct probe_list list = { .at = probes, .n = n };
    unsigned failed = 0;
    const struct conform_options options = {
        .deadline_ms = 4000, .parallel = 24, .name = "m7", .each = tell_failure, .ctx = &failed
    };
    char address[16], error[100];
    snprintf(address, sizeof address, "%u", port);
    assert_true(runner_resolve(address, false, &target, error, sizeof error));
    assert_true(conform_run(&list, &target, &options));
    return failed;
}

static struct probe probe_of(const struct own *row, unsigned version)
{
    struct probe probe = { .rule = "", .version = (uint8_t)version, .script = strdup(row->script) };
    probe.turn =
        strstr(row->script, " id=0") != NULL ? TURN_ONE : TURN_TOGETHER; /* a client identifier of another's, too */
    snprintf(probe.title, sizeof probe.title, "%s", row->title);
    return probe;
}

/* Those that want no options; free_probes() them. */
static uint32_t ordinary(struct probe *probes, uint32_t cap)
{
    uint32_t n = 0;
    for (size_t i = 0; i < own_count; i++)
        for (const char *v = own[i].versions; *v != '\0' && own[i].options[0] == '\0'; v++) {
            assert_true(n < cap);
            probes[n++] = probe_of(&own[i], (unsigned)(*v - '0'));
        }
    return n;
}

static void free_probes(struct probe *probes, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        free(probes[i].script);
}

/* What mqfuzz asks everybody is asked in tests/program/mqfuzz.py; this is what only our own broker is asked. */
static void test_plans_over_sockets(void **state)
{
    (void)state;
    static struct probe probes[300];
    uint32_t n = ordinary(probes, 300);
    struct server s;
    assert_true(server_start(&s, ""));
    assert_int_equal(failures(probes, n, s.port, false), 0);
    assert_int_equal(server_stop(&s), 0);
    free_probes(probes, n);
}

static void test_plans_with_options(void **state)
{
    (void)state;
    for (size_t i = 0; i < own_count; i++)
        for (const char *v = own[i].versions; *v != '\0' && own[i].options[0] != '\0'; v++) {
            struct probe probe = probe_of(&own[i], (unsigned)(*v - '0'));
            struct server s;
            assert_true(server_start(&s, own[i].options));
            assert_int_equal(failures(&probe, 1, s.port, false), 0);
            assert_int_equal(server_stop(&s), 0);
            free(probe.script);
        }
}

/* "a > PACKET" to "a >> PACKET": octet by octet. */
static char *in_pieces(const char *script)
{
    char *out = malloc(strlen(script) * 2 + 1), *to = out;
    for (const char *from = script; *from != '\0'; from++) {
        *to++ = *from;
        if (from > script && from[-1] == ' ' && from[0] == '>' && from[1] == ' ')
            *to++ = '>';
    }
    *to = '\0';
    return out;
}

/* [MQTT-6.0.0-2] of both versions: the borders of frames are not those of packets. Each octet comes in one of its own.
 */
static void test_plans_over_websocket(void **state)
{
    (void)state;
    static struct probe probes[300];
    uint32_t n = ordinary(probes, 300);
    struct server s;
    for (uint32_t i = 0; i < n; i++) {
        char *script = probes[i].script;
        probes[i].script = in_pieces(script);
        free(script);
    }
    assert_true(server_start(&s, "--websocket-port 0"));
    assert_int_equal(failures(probes, n, s.web_port, true), 0);
    assert_int_equal(server_stop(&s), 0);
    free_probes(probes, n);
}

/* ---- WebSocket ---- */

static int web_open(uint16_t port)
{
    static const char hello[] =
        "GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: chat, mqtt\r\nSec-WebSocket-Version: "
        "13\r\n\r\n";
    char answer[1000];
    size_t len = 0;
    int fd = socket_to(port);
    assert_true(fd >= 0 && socket_send(fd, view_of(hello, sizeof hello - 1)));
    while (len < 4 || memcmp(answer + len - 4, "\r\n\r\n", 4) != 0)
        assert_true(len < sizeof answer - 1 && socket_receive(fd, (uint8_t *)answer + len++, 1) == 1);
    answer[len] = '\0';
    /* the answer to this key is in RFC 6455, section 1.3 */
    assert_memory_equal(answer, "HTTP/1.1 101 ", 13);
    assert_non_null(strstr(answer, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    assert_non_null(strstr(answer, "Sec-WebSocket-Protocol: mqtt\r\n"));
    return fd;
}

static void test_websocket_refusals(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "GET / HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: "
        "x\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n",
        "GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: "
        "x\r\nSec-WebSocket-Protocol: chat\r\n\r\n",
        "GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n",
    };
    struct server s;
    assert_true(server_start(&s, "--websocket-port 0"));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char answer[200] = "";
        size_t len = 0;
        int n;
        int fd = socket_to(s.web_port);
        assert_true(fd >= 0 && socket_send(fd, view_of(bad[i], strlen(bad[i]))));
        while ((n = socket_receive(fd, (uint8_t *)answer + len, sizeof answer - 1 - len)) > 0)
            len += (size_t)n;
        assert_int_equal(n, 0);
        assert_memory_equal(answer, "HTTP/1.1 400 ", 13);
        close(fd);
    }
    /* a text frame, and one without a mask: the connection ends [MQTT-6.0.0-1] */
    static const char *const frames[] = { "\x81\x81\x01\x02\x03\x04y", "\x82\x01x" };
    for (int i = 0; i < 2; i++) {
        uint8_t got[16];
        int fd = web_open(s.web_port);
        socket_send(fd, view_of(frames[i], strlen(frames[i])));
        assert_int_equal(socket_receive(fd, got, sizeof got), 0);
        close(fd);
    }
    assert_int_equal(server_stop(&s), 0);
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
    int fd = socket_to(s.port);
    assert_true(fd >= 0 && socket_send(fd, view_of(connect, sizeof connect)));
    int n = socket_receive(fd, got, sizeof got);
    assert_true(n > 0 && got[0] == 0x20);
    assert_int_equal(server_stop(&s), 0);
    for (; (n = socket_receive(fd, got + len, sizeof got - len)) > 0; len += (size_t)n)
        ;
    static const uint8_t moved[] = { 0xe0, 2 + 13, 0x9c, 13,  0x1c, 0,   10,  'o', 't',
                                     'h',  'e',    'r',  ':', '1',  '8', '8', '3' };
    assert_int_equal(n, 0);
    assert_int_equal(len, sizeof moved);
    assert_memory_equal(got, moved, sizeof moved);
    close(fd);
}

/* ---- crashes and hangs ---- */

static const struct {
    const char *name, *script;
} deaths[] = {
    { "crash-publish", "a > connect; a < connack; a > publish topic=~/t qos=2 retain=1 id=1; a <! closed" },
    { "crash-subscribe", "a > connect; a < connack; a > subscribe sub=0:~/+/#; a <! closed" },
    { "crash-takeover", "a > connect; a < connack; b > connect id=~a; b <! closed" },
    { "crash-property",
      "a > connect; a < connack; a > publish topic=~/t correlation_data=x content_type=y; a <! closed" },
};

static void play(uint16_t port, const char *script)
{
    struct probe probe = { .rule = "", .version = MQTT_V5, .script = (char *)(uintptr_t)script };
    assert_int_equal(failures(&probe, 1, port, false), 0);
}

static void test_faults_that_kill(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof deaths / sizeof deaths[0]; i++) {
        char options[64];
        struct server s;
        int status;
        snprintf(options, sizeof options, "--fault %s", deaths[i].name);
        assert_true(server_start(&s, options));
        play(s.port, deaths[i].script);
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
    play(s.port, "a > connect; a < connack; a > publish topic=~/t payload=x; a <! alive; a > publish topic=~/hang\n"
                 "a > pingreq; a <! no pingresp 300ms");
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
        cmocka_unit_test(test_plans_over_sockets),
        cmocka_unit_test(test_plans_with_options),
        cmocka_unit_test(test_plans_over_websocket),
        cmocka_unit_test(test_websocket_refusals),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_shutdown_says_goodbye),
        cmocka_unit_test(test_faults_that_kill),
        cmocka_unit_test(test_fault_that_hangs),
        cmocka_unit_test(test_faults_are_announced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
