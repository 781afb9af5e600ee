/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/decoder/test_docs_fields.c -- docs/fields.md and the FIELDS of mqshark-filter(7), printed from the table of
 * fields. `make docs-tables` writes both, the test compares. */
#include "decoder/show/item.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SIZE = 1 << 18 };

static const char fields_md[] = "docs/fields.md", manual[] = "docs/mqshark-filter.7.scd";
static const char begin_mark[] = "; FIELDS, written by make docs-tables\n", end_mark[] = "; end of FIELDS\n";

struct group {
    enum field first;
    const char *title;
};

/* In the order of the table: a group ends where the next begins. */
static const struct group groups[] = {
    { FIELD_FRAME_NUMBER, "Frame and connection" },
    { FIELD_MQTT_HDRFLAGS, "Fixed header" },
    { FIELD_MQTT_PROTO_LEN, "Variable header and payload" },
    { FIELD_MQTT_PROPERTIES, "Properties of 5.0 under Wireshark's names" },
    { FIELD_PROPERTY_PAYLOAD_FORMAT_INDICATOR, "Properties of 5.0 by name" },
    { FIELD_WILL_PROPERTY_PAYLOAD_FORMAT_INDICATOR, "Properties of the Will" },
    { FIELD_MQTT_ILLEGAL_TOPIC_LENGTH, "Marks of Wireshark" },
    { FIELD_VIOLATION_RULE, "Rules that the packet breaks" },
    { FIELD_MQTT_GAP, "Octets never captured" },
    { FIELD_FLOW_ID, "Exchange of the packet" },
    { FIELD_SESSION_ID, "Session of the packet" },
};

enum { GROUPS = sizeof groups / sizeof groups[0] };

static const char *type_name(unsigned type)
{
    switch (type) {
    case FIELD_NONE:
        return "presence";
    case FIELD_UINT:
        return "number";
    case FIELD_BOOL:
        return "boolean";
    case FIELD_BYTES:
        return "octets";
    case FIELD_IPV4:
        return "IPv4 address";
    case FIELD_IPV6:
        return "IPv6 address";
    case FIELD_TIME:
        return "time";
    default:
        return "text";
    }
}

struct page {
    char *at;
    size_t len;
};

__attribute__((format(printf, 2, 3))) static void put(struct page *p, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(p->at + p->len, SIZE - p->len, format, args);
    va_end(args);
    assert_true(n >= 0 && (size_t)n < SIZE - p->len);
    p->len += (size_t)n;
}

/* Text with a backslash before what the format would take for a sign of its own. */
static void put_escaped(struct page *p, const char *text, const char *signs)
{
    for (; *text != '\0'; text++)
        put(p, strchr(signs, *text) != NULL ? "\\%c" : "%c", *text);
}

static const struct group *group_of(enum field f)
{
    for (unsigned g = 0; g < GROUPS; g++)
        if (groups[g].first == f)
            return &groups[g];
    return NULL;
}

static struct page print_markdown(void)
{
    struct page p = { .at = calloc(1, SIZE) };
    assert_non_null(p.at);
    put(&p, "# Fields\n\nThe names of the display filter (`-Y`, mqshark-filter(7)), of `-e`, and of `-T json`; `mqdump "
            "-G fields` prints "
            "the same fields, with tshark's words for their types.\nWritten from `decoder/show/fields.def` by `make "
            "docs-tables`.\n");
    for (int f = 0; f < FIELD_COUNT; f++) {
        const struct field_info *info = field_info((enum field)f);
        const struct group *group = group_of((enum field)f);
        if (group != NULL)
            put(&p, "\n## %s\n\n| field | type | meaning |\n| --- | --- | --- |\n", group->title);
        put(&p, "| `%s` | %s | ", info->name, type_name(info->type));
        put_escaped(&p, info->meaning, "|*_<");
        put(&p, " |\n");
    }
    return p;
}

static struct page print_manual(void)
{
    struct page p = { .at = calloc(1, SIZE) };
    assert_non_null(p.at);
    put(&p, "%s\n", begin_mark);
    for (int f = 0; f < FIELD_COUNT; f++) {
        const struct field_info *info = field_info((enum field)f);
        const struct group *group = group_of((enum field)f);
        if (group != NULL)
            put(&p, "## %s\n\n", group->title);
        put(&p, "*");
        put_escaped(&p, info->name, "_");
        put(&p, "* (%s)\n\t", type_name(info->type));
        put_escaped(&p, info->meaning, "_*\\");
        put(&p, "\n\n");
    }
    put(&p, "%s", end_mark);
    return p;
}

static struct page read_page(const char *name)
{
    struct page p = { .at = calloc(1, SIZE) };
    FILE *file = fopen(name, "r");
    assert_non_null(p.at);
    if (file == NULL) {
        fprintf(stderr, "%s is not there\n", name);
        return p;
    }
    p.len = fread(p.at, 1, SIZE - 1, file);
    fclose(file);
    return p;
}

static void write_page(const char *name, const char *text, size_t len)
{
    FILE *file = fopen(name, "w");
    if (file == NULL || fwrite(text, 1, len, file) != len || fclose(file) != 0) {
        perror(name);
        exit(2);
    }
}

/* The manual with its FIELDS replaced. */
static struct page renewed_manual(const struct page *old, const struct page *fields)
{
    struct page p = { .at = calloc(1, SIZE) };
    const char *from = strstr(old->at, begin_mark), *to = strstr(old->at, end_mark);
    assert_non_null(p.at);
    assert_non_null(from);
    assert_non_null(to);
    put(&p, "%.*s%s%s", (int)(from - old->at), old->at, fields->at, to + sizeof end_mark - 1);
    return p;
}

static void rewrite(void)
{
    struct page markdown = print_markdown(), fields = print_manual(), old = read_page(manual);
    struct page page = renewed_manual(&old, &fields);
    write_page(fields_md, markdown.at, markdown.len);
    write_page(manual, page.at, page.len);
    free(markdown.at);
    free(fields.at);
    free(old.at);
    free(page.at);
}

static void test_markdown(void **state)
{
    (void)state;
    struct page want = print_markdown(), got = read_page(fields_md);
    assert_string_equal(got.at, want.at); /* make docs-tables writes it */
    free(want.at);
    free(got.at);
}

static void test_manual(void **state)
{
    (void)state;
    struct page fields = print_manual(), got = read_page(manual), want = renewed_manual(&got, &fields);
    assert_string_equal(got.at, want.at);
    free(fields.at);
    free(got.at);
    free(want.at);
}

static void test_groups(void **state)
{
    (void)state;
    assert_int_equal(groups[0].first, 0);
    for (unsigned g = 1; g < GROUPS; g++)
        assert_true(groups[g].first > groups[g - 1].first);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_groups), cmocka_unit_test(test_markdown),
                                        cmocka_unit_test(test_manual) };
    if (argc > 1 && strcmp(argv[1], "--write") == 0) {
        rewrite();
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
