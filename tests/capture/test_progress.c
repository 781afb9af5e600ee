/* SPDX-License-Identifier: Apache-2.0
 *
 * The progress line (capture/progress.h). */
#include "capture/progress.h"
#include "decoder/base/out.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

static void says(uint64_t done, uint64_t total, int64_t seconds, uint64_t packets, uint64_t findings, const char *want)
{
    char text[200];
    struct out o = out_over(text, sizeof text - 1);
    progress_line(&o, done, total, seconds * 1000000000, packets, findings);
    assert_int_equal(o.lost, 0);
    text[o.len] = '\0';
    assert_string_equal(text, want);
}

static void lines(void **state)
{
    (void)state;
    says(250000000, 1000000000, 10, 2000000, 1, "25 %, 25 MB/s, 2000000 packets (200000/s), 1 finding, 30 s left");
    says(1000000, 4000000000, 2, 0, 0, "0 %, 0 MB/s, 0 packets (0/s), 0 findings, 2 h 13 min 18 s left");
    says(5, 5, 1, 7, 2, "100 %, 0 MB/s, 7 packets (7/s), 2 findings");
    says(0, 5, 1, 0, 0, "0 %, 0 MB/s, 0 packets (0/s), 0 findings");
    says(9, 5, 1, 0, 0, "100 %, 0 MB/s, 0 packets (0/s), 0 findings"); /* the file grew or shrank */
    says(UINT64_MAX, UINT64_MAX, 1, UINT64_MAX / 2, UINT64_MAX,
         "100 %, 18446744073709 MB/s, 9223372036854775807 packets (9223372036854775808/s), 18446744073709551615 "
         "findings");
}

/* Nothing goes to standard error when it is no terminal; a pipe has no share to tell. */
static void off(void **state)
{
    struct progress p;
    int kept = dup(STDERR_FILENO), nowhere = open("/dev/null", O_WRONLY);
    (void)state;
    dup2(nowhere, STDERR_FILENO);
    progress_begin(&p, NULL, -1);
    dup2(kept, STDERR_FILENO);
    close(kept);
    close(nowhere);
    assert_false(p.on);
    progress_step(&p, NULL, 0);
    progress_end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(lines), cmocka_unit_test(off) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
