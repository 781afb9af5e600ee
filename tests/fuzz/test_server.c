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

/* ---- WebSocket ---- */

struct web_sockets {
    struct sockets under;
    unsigned sent;
    uint8_t in[PROBE_CLIENTS][70000]; /* framed, not yet taken */
    size_t have[PROBE_CLIENTS];
};

static bool web_open(void *ctx, unsigned client)
{
    struct web_sockets *w = ctx;
    static const char hello[] =
        "GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: chat, mqtt\r\nSec-WebSocket-Version: "
        "13\r\n\r\n";
    char answer[1000];
    size_t len = 0;
    w->have[client] = 0;
    if (!sockets_open(&w->under, client) || !sockets_send(&w->under, client, view_of(hello, sizeof hello - 1)))
        return false;
    while (len < 4 || memcmp(answer + len - 4, "\r\n\r\n", 4) != 0)
        if (len == sizeof answer - 1 || sockets_receive(&w->under, client, (uint8_t *)answer + len++, 1, 4000) != 1)
            return false;
    answer[len] = '\0';
    /* the answer to this key is in RFC 6455, section 1.3 */
    return strncmp(answer, "HTTP/1.1 101 ", 13) == 0 &&
           strstr(answer, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n") != NULL &&
           strstr(answer, "Sec-WebSocket-Protocol: mqtt\r\n") != NULL;
}

static void web_frame(struct web_sockets *w, unsigned client, uint8_t first, struct view octets)
{
    uint8_t frame[16 + 128] = { first, (uint8_t)(0x80 | octets.len), 1, 2, 3, 4 };
    for (size_t i = 0; i < octets.len; i++)
        frame[6 + i] = octets.ptr[i] ^ frame[2 + i % 4];
    sockets_send(&w->under, client, view_of(frame, 6 + octets.len));
}

/* Frames of 1 to 7 octets, empty ones and pings between, fragments every other time. */
static bool web_send(void *ctx, unsigned client, struct view octets)
{
    struct web_sockets *w = ctx;
    for (size_t at = 0; at < octets.len;) {
        size_t n = 1 + w->sent++ % 7;
        if (n > octets.len - at)
            n = octets.len - at;
        bool more = w->sent % 2 == 0 && at + n < octets.len;
        web_frame(w, client, more ? 0x02 : 0x82, view_of(octets.ptr + at, n));
        at += n;
        if (more)
            web_frame(w, client, 0x80, view_of("", 0));
        if (w->sent % 5 == 0)
            web_frame(w, client, 0x89, view_of("ping", 4));
    }
    return true;
}

/* One frame out of what has come: its payload, or nothing of a PONG; -1: the end. */
static int web_unwrap(struct web_sockets *w, unsigned client, uint8_t *buf, size_t cap, bool *more)
{
    uint8_t *in = w->in[client];
    size_t have = w->have[client], head = 2, len = have >= 2 ? in[1] : 0;
    *more = false;
    if (have >= 4 && len == 126) {
        len = (size_t)(in[2] << 8 | in[3]);
        head = 4;
    }
    if (have < head || have < head + len || (in[1] == 126 && have < 4))
        return *more = true, 0;
    bool data = in[0] == 0x82;
    int result = in[0] == 0x88 ? -1 : data ? (int)len : 0;
    assert_true(!data || len <= cap);
    if (data)
        memcpy(buf, in + head, len);
    memmove(in, in + head + len, have - head - len);
    w->have[client] -= head + len;
    return result;
}

static int web_receive(void *ctx, unsigned client, uint8_t *buf, size_t cap, unsigned timeout_ms)
{
    struct web_sockets *w = ctx;
    for (;;) {
        bool more;
        int n = web_unwrap(w, client, buf, cap, &more);
        if (n != 0)
            return n < 0 ? 0 : n;
        if (!more)
            continue;
        n = sockets_receive(&w->under, client, w->in[client] + w->have[client], sizeof w->in[client] - w->have[client],
                            timeout_ms);
        if (n <= 0)
            return n;
        w->have[client] += (size_t)n;
    }
}

static void web_close(void *ctx, unsigned client, bool reset)
{
    sockets_close(&((struct web_sockets *)ctx)->under, client, reset);
}

/* [MQTT-6.0.0-2] of both versions: the borders of frames are not those of packets. */
static void test_probes_over_websocket(void **state)
{
    (void)state;
    struct server s;
    static struct web_sockets sockets;
    unsigned failed = 0;
    assert_true(server_start(&s, "--websocket-port 0"));
    sockets.under.port = s.web_port;
    struct probe_wire wire = { &sockets, web_open, web_send, web_receive, web_close, sockets_wait };
    for (size_t i = 0; i < probe_count; i++) {
        for (const char *v = probes[i].versions; *v != '\0'; v++) {
            struct probe_result result;
            char prefix[40];
            if (strstr(probes[i].script, "wait ") != NULL || probes[i].needs[0] != '\0')
                continue;
            snprintf(prefix, sizeof prefix, "w%zuv%c", i, *v);
            if (!probe_run(&probes[i], (unsigned)(*v - '0'), prefix, true, &wire, &result)) {
                print_error("MQTT %c, %s: line %u: %s\n", *v, probes[i].title, result.line, result.what);
                failed++;
            }
        }
    }
    assert_int_equal(failed, 0);
    assert_int_equal(server_stop(&s), 0);
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
    struct sockets sockets = { .port = s.web_port };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char answer[200] = "";
        size_t len = 0;
        int n;
        assert_true(sockets_open(&sockets, 0));
        assert_true(sockets_send(&sockets, 0, view_of(bad[i], strlen(bad[i]))));
        while ((n = sockets_receive(&sockets, 0, (uint8_t *)answer + len, sizeof answer - 1 - len, 4000)) > 0)
            len += (size_t)n;
        assert_int_equal(n, 0);
        assert_memory_equal(answer, "HTTP/1.1 400 ", 13);
        sockets_close(&sockets, 0, false);
    }
    /* a text frame, and one without a mask: the connection ends [MQTT-6.0.0-1] */
    static struct web_sockets web;
    web.under.port = s.web_port;
    for (int i = 0; i < 2; i++) {
        uint8_t got[16];
        assert_true(web_open(&web, 0));
        if (i == 0)
            web_frame(&web, 0, 0x81, view_of("x", 1));
        else
            sockets_send(&web.under, 0, view_of("\x82\x01x", 3));
        assert_int_equal(sockets_receive(&web.under, 0, got, sizeof got, 4000), 0);
        sockets_close(&web.under, 0, false);
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
        cmocka_unit_test(test_probes_over_sockets),   cmocka_unit_test(test_probes_over_websocket),
        cmocka_unit_test(test_websocket_refusals),    cmocka_unit_test(test_options),
        cmocka_unit_test(test_shutdown_says_goodbye), cmocka_unit_test(test_faults_that_kill),
        cmocka_unit_test(test_fault_that_hangs),      cmocka_unit_test(test_faults_are_announced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
