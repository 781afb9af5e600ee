/* SPDX-License-Identifier: Apache-2.0
 *
 * How the runner of plans (fuzz/peer/runner.h) learns a broker's pace, against a server of this test. */
#include "fuzz/peer/runner.h"

#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static int listening(struct runner_target *target)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_return_code(bind(fd, (struct sockaddr *)&a, len), 0);
    assert_return_code(listen(fd, 4), 0);
    assert_return_code(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    memcpy(&target->addr, &a, sizeof a);
    target->addr_len = len;
    return fd;
}

/* What an answer took counts from when it was waited for, whatever patience others have taught the runner since. */
static void an_answer_takes_what_it_takes(void **state)
{
    enum { SLOW_US = 90000, LEAST_US = 20000 };
    (void)state;
    static const char script[] = "a > connect; a <? connack 100ms";
    static const uint32_t learned[] = { 0, SLOW_US };
    for (unsigned i = 0; i < 2; i++) {
        struct runner_target target = { 0 };
        struct runner e;
        struct plan plan;
        uint8_t octets[64];
        int server = listening(&target);
        runner_init(&e, &target, 2000);
        assert_true(plan_parse(&plan, view_of(script, sizeof script - 1), "mzzzz1", MQTT_V311));
        int64_t began = runner_now_ns();
        assert_non_null(runner_start(&e, &plan, NULL, false));
        assert_null(runner_step(&e, 1)); /* connects, sends, begins to wait */
        int client = accept(server, NULL, NULL);
        while (recv(client, octets, sizeof octets, MSG_DONTWAIT) <= 0)
            assert_null(runner_step(&e, 1));
        while (runner_now_ns() - began < LEAST_US * INT64_C(1000))
            assert_null(runner_step(&e, 1));
        e.answer_us = learned[i];
        assert_int_equal(send(client, "\x20\x02\0", 4, 0), 4);
        struct run *run = NULL;
        while ((run = runner_step(&e, 100)) == NULL)
            continue;
        uint32_t most_us = (uint32_t)((runner_now_ns() - began) / 1000);
        assert_int_equal(run->end, RUN_PASSED);
        assert_in_range(e.mean_us, LEAST_US / 2 / 64, most_us / 64);
        run_free(run);
        runner_done(&e);
        plan_free(&plan);
        close(client);
        close(server);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_takes_what_it_takes),
    };
    return cmocka_run_group_tests_name("fuzz/peer/runner.h", tests, NULL, NULL);
}
