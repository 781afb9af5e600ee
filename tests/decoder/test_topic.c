/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/decoder/test_topic.c -- topic names, topic filters, shared filters, matching. */
#include "decoder/mqtt/topic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct view text(const char *s)
{
    return view_of(s, strlen(s));
}

/* An allocation of the exact size, so that AddressSanitizer sees a read that is one octet too long. */
static struct view exact(const char *s)
{
    size_t len = strlen(s);
    uint8_t *copy = malloc(len > 0 ? len : 1);
    assert_non_null(copy);
    memcpy(copy, s, len);
    return view_of(copy, len);
}

static void drop(struct view v)
{
    free((void *)(uintptr_t)v.ptr);
}

struct check {
    const char *text;
    enum topic_fault fault;
    size_t offset, len;
};

static void run_checks(const struct check *c, size_t n, struct topic_result (*check)(struct view))
{
    for (size_t i = 0; i < n; i++) {
        struct view v = exact(c[i].text);
        struct topic_result r = check(v);
        drop(v);
        if (r.fault != c[i].fault || r.offset != c[i].offset || r.len != c[i].len)
            fail_msg("\"%s\": fault %d at %zu+%zu, expected %d at %zu+%zu", c[i].text, r.fault, r.offset, r.len,
                     c[i].fault, c[i].offset, c[i].len);
    }
}

static struct topic_result check_plain(struct view v)
{
    return topic_check_filter(v, false);
}

static struct topic_result check_shared(struct view v)
{
    return topic_check_filter(v, true);
}

static void names(void **state)
{
    (void)state;
    static const struct check c[] = {
        { "a", TOPIC_OK, 0, 0 },         { "/", TOPIC_OK, 0, 0 },           { "//", TOPIC_OK, 0, 0 },
        { " a b ", TOPIC_OK, 0, 0 },     { "$SYS/x", TOPIC_OK, 0, 0 },      { "$share/g/t", TOPIC_OK, 0, 0 },
        { "", TOPIC_EMPTY, 0, 0 },       { "#", TOPIC_WILDCARD, 0, 1 },     { "a/#", TOPIC_WILDCARD, 2, 1 },
        { "ab+", TOPIC_WILDCARD, 2, 1 }, { "a+b#c", TOPIC_WILDCARD, 1, 1 }, { "a#b+c", TOPIC_WILDCARD, 1, 1 },
        { "+#", TOPIC_WILDCARD, 0, 1 },
    };
    run_checks(c, sizeof c / sizeof *c, topic_check_name);
}

static void filters(void **state)
{
    (void)state;
    static const struct check c[] = {
        { "#", TOPIC_OK, 0, 0 },     { "+", TOPIC_OK, 0, 0 },         { "/", TOPIC_OK, 0, 0 },
        { "//", TOPIC_OK, 0, 0 },    { "+/+", TOPIC_OK, 0, 0 },       { "/+", TOPIC_OK, 0, 0 },
        { "a//b", TOPIC_OK, 0, 0 },  { "sport/+/x", TOPIC_OK, 0, 0 }, { "sport/#", TOPIC_OK, 0, 0 },
        { "+/a/#", TOPIC_OK, 0, 0 }, { " a b ", TOPIC_OK, 0, 0 },     { "/#", TOPIC_OK, 0, 0 },
        { "+/", TOPIC_OK, 0, 0 },    { "$SYS/#", TOPIC_OK, 0, 0 },    { "$share/a+/b", TOPIC_PLUS, 8, 1 },
        { "", TOPIC_EMPTY, 0, 0 },   { "a#", TOPIC_HASH, 1, 1 },      { "a/#/b", TOPIC_HASH, 2, 1 },
        { "#/", TOPIC_HASH, 0, 1 },  { "##", TOPIC_HASH, 0, 1 },      { "#a", TOPIC_HASH, 0, 1 },
        { "a+", TOPIC_PLUS, 1, 1 },  { "+a/b", TOPIC_PLUS, 0, 1 },    { "a/b+/c", TOPIC_PLUS, 3, 1 },
        { "++", TOPIC_PLUS, 0, 1 },  { "a/+#", TOPIC_PLUS, 2, 1 },    { "$share//x", TOPIC_OK, 0, 0 },
    };
    run_checks(c, sizeof c / sizeof *c, check_plain);
}

static void shared_filters(void **state)
{
    (void)state;
    static const struct check c[] = {
        { "$share/g/a/b", TOPIC_OK, 0, 0 },
        { "$share/g//", TOPIC_OK, 0, 0 }, /* the filter is "/" */
        { "$share/g/+/#", TOPIC_OK, 0, 0 },
        { "$share", TOPIC_OK, 0, 0 }, /* a plain filter: no '/' behind it */
        { "$shared/x", TOPIC_OK, 0, 0 },
        { "$SHARE/g", TOPIC_OK, 0, 0 },
        { "$share/", TOPIC_SHARE_NAME, 0, 7 },
        { "$share//t", TOPIC_SHARE_NAME, 0, 8 },
        { "$share/g", TOPIC_SHARE_FORM, 0, 8 },
        { "$share/g/", TOPIC_SHARE_FORM, 0, 9 },
        { "$share/g+/t", TOPIC_SHARE_FORM, 8, 1 },
        { "$share/#/t", TOPIC_SHARE_FORM, 7, 1 },
        { "$share/g/t#", TOPIC_HASH, 10, 1 },
        { "$share/g/t+", TOPIC_PLUS, 10, 1 },
        { "a#", TOPIC_HASH, 1, 1 },
        { "", TOPIC_EMPTY, 0, 0 },
    };
    run_checks(c, sizeof c / sizeof *c, check_shared);
}

static void share_parts(void **state)
{
    (void)state;
    struct view name = topic_share_name(text("$share/grp/a/b"));
    struct view inner = topic_share_filter(text("$share/grp/a/b"));
    assert_int_equal(name.len, 3);
    assert_memory_equal(name.ptr, "grp", 3);
    assert_int_equal(inner.len, 3);
    assert_memory_equal(inner.ptr, "a/b", 3);
    assert_null(topic_share_name(text("a/b")).ptr);
    assert_int_equal(topic_share_filter(text("a/b")).len, 3);
    /* ill-formed ones stay inside */
    assert_int_equal(topic_share_filter(text("$share/g")).len, 0);
    assert_int_equal(topic_share_filter(text("$share/")).len, 0);
    assert_int_equal(topic_share_name(text("$share/")).len, 0);
}

static void matching(void **state)
{
    (void)state;
    static const struct {
        const char *filter, *name;
        bool match;
    } c[] = {
        { "a", "a", true },
        { "a", "A", false },
        { "a", "a/", false },
        { "a/", "a", false },
        { "a/", "a/", true },
        { "a", "ab", false },
        { "ab", "a", false },
        { "/a", "/a", true },
        { "/a", "a", false },
        { "a//b", "a//b", true },
        { "a/+/b", "a//b", true },
        { "sport/+", "sport", false },
        { "sport/+", "sport/", true },
        { "sport/+", "sport/a", true },
        { "sport/+", "sport/a/b", false },
        { "+", "a", true },
        { "+", "/a", false },
        { "+/+", "/a", true },
        { "/+", "/a", true },
        { "+/", "a/", true },
        { "+", "a/", false },
        { "#", "a/b/c", true },
        { "#", "/", true },
        { "sport/#", "sport", true },
        { "sport/#", "sport/", true },
        { "sport/#", "sport/a/b", true },
        { "sport/#", "sports", false },
        { "sport/#", "spor", false },
        { "sport/+/#", "sport", false },
        { "sport/+/#", "sport/a", true },
        { "+/#", "a", true },
        { "+/a/#", "x/a", true },
        { "+/a/#", "x/b", false },
        { "/#", "/", true },
        { "/#", "a", false },
        { "#", "$SYS/x", false },
        { "+/x", "$SYS/x", false },
        { "+", "$SYS", false },
        { "$SYS/#", "$SYS/x", true },
        { "$SYS/#", "$SYS", true },
        { "$SYS/+", "$SYS/x", true },
        { "a/+", "a/$b", true },
        { "a/#", "a/$b", true },
        { "/+", "/$b", true },
        { "", "a", false },
        { "a", "", false },
        { "a/b/c", "a/b", false },
        { "a/b", "a/b/c", false },
        { "a/b/+", "a/b", false },
    };
    for (size_t i = 0; i < sizeof c / sizeof *c; i++) {
        struct view f = exact(c[i].filter), n = exact(c[i].name);
        if (topic_matches(f, n) != c[i].match)
            fail_msg("\"%s\" %s \"%s\"", c[i].filter, c[i].match ? "must match" : "must not match", c[i].name);
        drop(f);
        drop(n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),       cmocka_unit_test(filters),  cmocka_unit_test(shared_filters),
        cmocka_unit_test(share_parts), cmocka_unit_test(matching),
    };
    return cmocka_run_group_tests_name("topic", tests, NULL, NULL);
}
