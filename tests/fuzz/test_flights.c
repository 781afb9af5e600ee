/* SPDX-License-Identifier: Apache-2.0
 *
 * Who goes beside whom (fuzz/campaign/flights.h), against a server of this test that lets clients in and says nothing.
 */
#include "fuzz/campaign/flights.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

volatile sig_atomic_t mqfuzz_stop; /* the program's */

enum { STATES = 1 << 22 }; /* what a stage has room for */

struct ended {
    unsigned n;
    uint64_t beside; /* in which place the one began that may go beside others */
};

static void on_ended(void *ctx, struct flight *f, const struct outcome *o)
{
    struct ended *e = ctx;
    (void)o;
    e->n++;
    e->beside += f->alone ? 0 : f->begun;
}

static void on_learned(void *ctx, const struct flight *f, bool news)
{
    (void)ctx;
    (void)f;
    (void)news;
}

static int listening(struct runner_target *target)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_return_code(bind(fd, (struct sockaddr *)&a, len), 0);
    assert_return_code(listen(fd, 16), 0);
    assert_return_code(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    memcpy(&target->addr, &a, sizeof a);
    target->addr_len = len;
    return fd;
}

static void begin(struct flights *fs, uint64_t number, const char *script)
{
    struct plan plan;
    struct talk talk = { .octets = malloc(TALK_MAX), .version = MQTT_V311 };
    assert_non_null(talk.octets);
    assert_true(plan_parse(&plan, view_of(script, strlen(script)), TALK_PREFIX, MQTT_V311));
    assert_true(talk_of_plan(&plan, &talk, TALK_MAX));
    assert_true(flights_begin(fs, &talk, number, 0, 0, true));
    plan_free(&plan);
    free(talk.octets);
}

static unsigned lone_under_way(const struct flights *fs)
{
    unsigned n = 0;
    for (uint32_t i = 0; i < FLIGHTS; i++)
        n += fs->due[i] != 0 && fs->at[i].alone && fs->at[i].run != NULL && !fs->at[i].ended;
    return n;
}

/* Whose client names others have as well waits for its like, and for nobody else; and at the end for nobody any more.
 */
static void who_may_share_a_name_goes_alone(void **state)
{
    (void)state;
    struct runner_target target = { 0 };
    int server = listening(&target);
    struct stage *stage = calloc(1, sizeof *stage);
    struct flights *fs = calloc(1, sizeof *fs);
    struct ended ended = { 0 };
    const struct flights_host host = { .ctx = &ended, .ended = on_ended, .learned = on_learned };
    assert_true(stage != NULL && fs != NULL);
    stage->states = calloc(STATES, sizeof *stage->states);
    assert_non_null(stage->states);
    runner_init(&stage->runner, &target, 200);
    flights_init(fs, stage, &host);
    begin(fs, 1, "a > connect id=anybody; a <? connack 60ms");
    begin(fs, 2, "a > connect id=anybody; a <? connack 20ms");
    begin(fs, 3, "a > connect id=~a; a <? connack 20ms");
    assert_int_equal(lone_under_way(fs), 1);
    assert_int_equal(stage->quick, 2);
    flights_drain(fs, true);
    flights_look(fs);
    assert_int_equal(lone_under_way(fs), 0);
    assert_int_equal(ended.n, 3);
    assert_int_equal(ended.beside, 1); /* not the last: the second plan was */
    flights_free(fs);
    free(stage->states);
    runner_done(&stage->runner);
    free(stage);
    free(fs);
    close(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_may_share_a_name_goes_alone),
    };
    return cmocka_run_group_tests_name("fuzz/campaign/flights.h", tests, NULL, NULL);
}
