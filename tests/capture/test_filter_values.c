/* SPDX-License-Identifier: Apache-2.0
 *
 * What the filter reads straight from a row is what a walk over its items gives: every field of every packet of the
 * captures, and no walk is left out where it would have found a value. */
#include "capture/pipeline.h"
#include "decoder/filter/parts.h"
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct filter filter;
static uint64_t compared;

static bool same(const struct value *v, const struct item *i)
{
    return v->type == i->type && v->number == (int64_t)i->number && v->text.len == i->text.len &&
           (v->text.len == 0 || memcmp(v->text.ptr, i->text.ptr, v->text.len) == 0);
}

static void check_field(const struct row *row, unsigned field)
{
    struct field_set only = { { 0 } };
    struct value_cursor cursor;
    struct value value;
    struct item item;
    filter.want = (struct field_set){ { 0 } };
    filter.walked = false;
    values_want(&filter, field);
    values_start(&cursor, &filter, row, field);
    field_set_add(&only, (enum field)field);
    struct item_walk walk = item_walk_of(row, &only);
    while (item_next(&walk, &item)) {
        if (!values_next(&cursor, &value) || !same(&value, &item))
            fail_msg("frame %llu: %s: a value is missing or another", (unsigned long long)row->frame,
                     field_info((enum field)field)->name);
        compared++;
    }
    if (values_next(&cursor, &value))
        fail_msg("frame %llu: %s: one value too many", (unsigned long long)row->frame,
                 field_info((enum field)field)->name);
}

static unsigned on_row(void *ctx, const struct row *row)
{
    (void)ctx;
    for (unsigned field = 0; field < FIELD_COUNT; field++)
        check_field(row, field);
    return PIPELINE_GO_ON;
}

static void check_capture(const char *path)
{
    const struct pipeline_options options = { .file = path };
    const struct pipeline_events events = { .row = on_row };
    char error[PIPELINE_ERROR_MAX];
    bool usage;
    struct pipeline *p = pipeline_open(&options, &events, NULL, error, &usage);
    if (p == NULL)
        fail_msg("%s: %s", path, error);
    enum pipeline_status status = PIPELINE_MORE;
    while (status == PIPELINE_MORE)
        status = pipeline_step(p, 1000, -1);
    pipeline_close(p);
}

static void test_captures(void **state)
{
    (void)state;
    glob_t found;
    assert_int_equal(glob("tests/captures/*mqtt*.pcap*", 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++)
        if (strstr(found.gl_pathv[i], ".t") == NULL)
            check_capture(found.gl_pathv[i]);
    globfree(&found);
    check_capture("tests/captures/der_missing_segment.pcap"); /* with gap rows */
    check_capture("tests/filter/rare_fields.pcap");
    assert_true(compared > 30000);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_captures) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
