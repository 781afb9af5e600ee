/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/filter/filter.c -- compiling and asking a filter, and its errors as text. */
#include "decoder/filter/filter.h"
#include "decoder/base/out.h"
#include "decoder/base/utf8.h"
#include "decoder/filter/parts.h"
#include "decoder/mqtt/topic.h"
#include <string.h>

enum { COMBINATIONS_MAX = 100000 }; /* of the values on both sides of one comparison */

struct filter *filter_compile(const char *text, size_t len, void *memory, size_t memory_size,
                              struct filter_error *error)
{
    struct arena arena = { .base = memory, .size = memory_size };
    *error = (struct filter_error){ 0 };
    struct filter *f = arena_take(&arena, sizeof *f);
    if (f == NULL) {
        filter_fail(error, 0, 0, "no memory for a filter");
        return NULL;
    }
    if (len > FILTER_TEXT_MAX) {
        filter_fail(error, FILTER_TEXT_MAX, len - FILTER_TEXT_MAX,
                    "the filter has %zu characters; at most %d are taken", len, FILTER_TEXT_MAX);
        return NULL;
    }
    f->arena = arena;
    return parse_filter(f, text, len, error) ? f : NULL;
}

bool filter_gave_up(const struct filter *f)
{
    return f->gave_up;
}

/* --- one test --- */

static bool is_member(struct filter *f, const struct row *row, const struct test *t, const struct value *left,
                      const struct value *leaves)
{
    struct value low, high;
    for (unsigned i = 0; i < t->n_members; i++) {
        const struct member *m = &t->members[i];
        if (!operand_value(f, row, m->low, leaves, &low))
            continue;
        if (m->high == NULL) {
            if (value_equal(left, &low))
                return true;
        } else if (operand_value(f, row, m->high, leaves, &high) && value_order(left, &low) >= 0 &&
                   value_order(left, &high) <= 0) {
            return true;
        }
    }
    return false;
}

/* Its octets with the letter case that lower() or upper() gave them. False: they are too many. */
static bool fold_text(struct filter *f, const struct test *t, const struct value *v, struct view *out)
{
    *out = v->text;
    if (v->fold == FOLD_NONE)
        return true;
    if (v->text.len > SUBJECT_MAX) {
        f->gave_up = true;
        return false;
    }
    value_write_folded(v, 0, v->text.len, t->subject);
    *out = view_of(t->subject, v->text.len);
    return true;
}

static bool matches(struct filter *f, const struct test *t, const struct value *v)
{
    struct view subject;
    if (!fold_text(f, t, v, &subject))
        return false;
    enum regex_result result = regex_match(t->regex, subject);
    f->gave_up |= result == REGEX_GAVE_UP;
    return result == REGEX_YES;
}

/* The comparison for one choice of values. */
static bool holds(struct filter *f, const struct row *row, const struct test *t, const struct value *leaves)
{
    struct value left, right;
    if (!operand_value(f, row, t->left, leaves, &left))
        return false;
    switch (t->compare) {
    case COMPARE_PRESENT:
        return true;
    case COMPARE_TRUE:
        return left.number != 0;
    case COMPARE_MATCHES:
        return matches(f, t, &left);
    case COMPARE_IN:
        return is_member(f, row, t, &left, leaves);
    default:
        break;
    }
    if (!operand_value(f, row, t->right, leaves, &right))
        return false;
    switch (t->compare) {
    case COMPARE_EQ:
        return value_equal(&left, &right);
    case COMPARE_NE:
        return !value_equal(&left, &right);
    case COMPARE_GT:
        return value_order(&left, &right) > 0;
    case COMPARE_GE:
        return value_order(&left, &right) >= 0;
    case COMPARE_LT:
        return value_order(&left, &right) < 0;
    case COMPARE_LE:
        return value_order(&left, &right) <= 0;
    case COMPARE_CONTAINS:
        return value_contains(&left, &right);
    case COMPARE_TOPIC:
        return fold_text(f, t, &left, &left.text) && topic_matches(right.text, left.text);
    default:
        return false;
    }
}

/* Every combination of the values of the leaves, like an odometer: the last leaf turns fastest. */
static bool ask_test(struct filter *f, const struct row *row, const struct test *t)
{
    struct value_cursor cursors[FILTER_LEAVES_MAX];
    struct value values[FILTER_LEAVES_MAX];
    unsigned n = t->n_leaves, at = 0;
    uint32_t tried = 0;
    values[0] = (struct value){ 0 };
    if (n == 0)
        return holds(f, row, t, values);
    values_start(&cursors[0], f, row, t->leaves[0]);
    for (;;) {
        if (!values_next(&cursors[at], &values[at])) {
            if (at == 0)
                return t->all && tried > 0;
            at--;
        } else if (at + 1 < n) {
            at++;
            values_start(&cursors[at], f, row, t->leaves[at]);
        } else {
            if (++tried > COMBINATIONS_MAX && n > 1) {
                f->gave_up = true;
                return false;
            }
            if (holds(f, row, t, values) != t->all)
                return !t->all;
        }
    }
}

static bool ask_branch(const struct row *row, const struct test *t)
{
    struct item_walk walk = item_walk_of(row, t->branch);
    struct item i;
    return item_next(&walk, &i);
}

bool filter_match(struct filter *f, const struct row *row)
{
    uint16_t at = f->entry;
    f->walked = false;
    while (at < STEP_ACCEPT) {
        const struct test *t = &f->steps[at].test;
        bool met = t->branch != NULL ? ask_branch(row, t) : ask_test(f, row, t);
        at = f->steps[at].next[met];
    }
    return at == STEP_ACCEPT;
}

/* --- errors --- */

enum { SHOWN = 100, BEFORE = 60 }; /* characters of a long filter shown, and how many of them before the fault */

/* The start of the character that holds octet `at`. */
static size_t character(const char *text, size_t at)
{
    while (at > 0 && ((unsigned char)text[at] & 0xc0) == 0x80)
        at--;
    return at;
}

static void show_octets(struct out *o, struct view v)
{
    uint32_t code;
    for (size_t i = 0; i < v.len;) {
        size_t n = utf8_next(view_of(v.ptr + i, v.len - i), &code);
        if (n == 0 || out_steers(code))
            out_char(o, '?');
        else
            out_octets(o, v.ptr + i, n);
        i += n > 0 ? n : 1;
    }
}

static size_t columns(struct view v)
{
    uint32_t code;
    size_t width = 0;
    for (size_t i = 0; i < v.len; width++) {
        size_t n = utf8_next(view_of(v.ptr + i, v.len - i), &code);
        i += n > 0 ? n : 1;
    }
    return width;
}

/* Without the part of a character that did not fit. */
static size_t whole_characters(const char *text, size_t len)
{
    uint32_t code;
    size_t last = len;
    while (last > 0 && len - last < 4 && ((unsigned char)text[--last] & 0xc0) == 0x80)
        continue;
    return len > 0 && utf8_next(view_of(text + last, len - last), &code) != len - last ? last : len;
}

size_t filter_error_text(const struct filter_error *error, const char *text, size_t len, char *out, size_t cap)
{
    if (cap == 0)
        return 0;
    struct out o = out_over(out, cap - 1);
    size_t at = error->at < len ? error->at : len;
    size_t from = at > BEFORE ? character(text, at - BEFORE) : 0;
    size_t to = len - from > SHOWN ? character(text, from + SHOWN) : len;
    size_t carets = error->len < to - at ? error->len : to - at;
    show_octets(&o, view_of(error->message, strlen(error->message)));
    out_text(&o, from > 0 ? "\n    ..." : "\n    ");
    show_octets(&o, view_of(text + from, to - from));
    out_text(&o, to < len ? "...\n    " : "\n    ");
    out_fill(&o, ' ', columns(view_of(text + from, at - from)) + (from > 0 ? 3 : 0));
    out_fill(&o, '^', 1);
    size_t wide = columns(view_of(text + at, carets));
    out_fill(&o, '~', wide > 1 ? wide - 1 : 0);
    out_char(&o, '\n');
    size_t n = o.lost > 0 ? whole_characters(out, o.len) : o.len;
    out[n] = '\0';
    return n;
}
