/* SPDX-License-Identifier: Apache-2.0
 *
 * The well-behaved client beside the fuzzing (fuzz/peer/canary.h) against a server of this test. */
#include "fuzz/peer/canary.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { ROOM_MS = 300, WAIT_MS = 900 }; /* the kernel's own second SYN comes after 1,000 */

static int listening(struct runner_target *target)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_return_code(bind(fd, (struct sockaddr *)&a, len), 0);
    assert_return_code(listen(fd, 0), 0); /* one connection may wait */
    assert_return_code(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    memcpy(&target->addr, &a, sizeof a);
    target->addr_len = len;
    return fd;
}

static bool connects(int fd, const struct runner_target *target)
{
    return connect(fd, (const struct sockaddr *)&target->addr, target->addr_len) == 0 ||
           poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, 50) > 0;
}

/* Takes nobody for a while, then all; the first that says anything is let in. */
static void *serve_late(void *arg)
{
    uint8_t octets[64];
    poll(NULL, 0, ROOM_MS);
    for (bool done = false; !done;) {
        int fd = accept(*(int *)arg, NULL, NULL);
        done = fd < 0 || (recv(fd, octets, sizeof octets, 0) > 0 && send(fd, "\x20\x02\0", 4, 0) == 4);
        close(fd);
    }
    return NULL;
}

/* A full queue of connections is no hang: SYNs that the kernel drops are sent again before the time is over. */
static void full_queue(void **state)
{
    (void)state;
    struct runner_target target = { 0 };
    struct canary c = CANARY_NONE;
    int server = listening(&target), first = socket(AF_INET, SOCK_STREAM, 0);
    int second = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    pthread_t thread;
    c.wait_ms = WAIT_MS;
    assert_true(connects(first, &target));
    assert_false(connects(second, &target)); /* the queue is full */
    close(first);
    close(second);
    assert_int_equal(pthread_create(&thread, NULL, serve_late, &server), 0);
    assert_true(canary_connect(&c, &target));
    pthread_join(thread, NULL);
    canary_close(&c);
    close(server);
}

struct answer {
    int server;
    struct view octets[2]; /* the second after a pause */
};

/* Answers what comes first with these octets. */
static void *answer(void *arg)
{
    const struct answer *a = arg;
    uint8_t octets[64];
    int fd = accept(a->server, NULL, NULL);
    if (recv(fd, octets, sizeof octets, 0) > 0 &&
        send(fd, a->octets[0].ptr, a->octets[0].len, MSG_NOSIGNAL) == (ssize_t)a->octets[0].len) {
        poll(NULL, 0, 30);
        if (send(fd, a->octets[1].ptr, a->octets[1].len, MSG_NOSIGNAL) >= 0)
            while (recv(fd, octets, sizeof octets, 0) > 0) /* until the canary goes */
                ;
    }
    close(fd);
    return NULL;
}

static struct canary asked(unsigned version, struct view first, struct view then, bool accepted)
{
    struct runner_target target = { 0 };
    struct answer a = { listening(&target), { first, then } };
    struct canary c = CANARY_NONE;
    pthread_t thread;
    c.version = (uint8_t)version;
    c.wait_ms = WAIT_MS;
    assert_int_equal(pthread_create(&thread, NULL, answer, &a), 0);
    assert_int_equal(canary_connect(&c, &target), accepted);
    assert_int_equal(c.fd >= 0, accepted);
    canary_close(&c);
    pthread_join(thread, NULL);
    close(a.server);
    return c;
}

#define OCTETS(text) view_of(text, sizeof(text) - 1)

/* Whole packets count, in whatever pieces they come; the reason of a refusal is kept. */
static void whole_packets(void **state)
{
    (void)state;
    char why[CANARY_WHY];
    asked(MQTT_V5, OCTETS("\x20\x06\0"), OCTETS("\0\x03\x21\0\x0a"), true);
    asked(MQTT_V311, OCTETS("\xd0\0\x20"), OCTETS("\x02\0\0"), true); /* what nobody asked for is passed over */
    struct canary c = asked(MQTT_V5, OCTETS("\x20\x03\0\x84\0"), OCTETS(""), false);
    assert_int_equal(c.refused, 0x84);
    c = asked(MQTT_V31, OCTETS("\x20\x02\0"), OCTETS("\x01"), false);
    canary_why(&c, why, sizeof why);
    assert_non_null(strstr(why, "refuses a plain MQTT 3.1 client (return code 1, Connection Refused: "));
    c = asked(MQTT_V311, OCTETS("\x20\x02\0\x7f"), OCTETS(""), false);
    canary_why(&c, why, sizeof why);
    assert_non_null(strstr(why, "(return code 127, unknown)"));
    c = asked(MQTT_V311, OCTETS("HTTP/1.1 400"), OCTETS(""), false); /* whoever it is, it is no broker */
    canary_why(&c, why, sizeof why);
    assert_non_null(strstr(why, "CONNECT with 48 54 54 50 2f 31 2e 31 ..., which is no CONNACK"));
}

static void nobody_there(void **state)
{
    (void)state;
    struct runner_target target = { 0 };
    struct canary c = CANARY_NONE;
    close(listening(&target));
    assert_false(canary_connect(&c, &target));
    assert_int_equal(c.error, ECONNREFUSED);
    canary_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_queue),
        cmocka_unit_test(whole_packets),
        cmocka_unit_test(nobody_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
