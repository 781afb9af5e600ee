/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/filter/regex.c -- "matches": PCRE2 on octets, letter case ignored, as Wireshark does it.
 *
 * PCRE2 takes its memory from the filter's arena. What it asks for while matching (frames to go back to) comes from two
 * areas set aside at compile time: it copies from the old one to the new one and gives the old one back. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "decoder/filter/parts.h"
#include <pcre2.h>
#include <string.h>

enum {
    FRAMES_SIZE = 96 * 1024,
    MATCH_LIMIT = 100000, /* steps for one value: some ms */
    DEPTH_LIMIT = 1000,
    NEST_LIMIT = 100,
    GIVE_UPS = 100, /* after so many the expression is not tried any more: a run must not take hours */
};

struct regex_memory {
    struct arena *arena;
    bool matching; /* nothing may come from the arena any more */
    uint8_t *area[2];
    bool taken[2];
    pcre2_general_context *general;
    pcre2_compile_context *compile;
    pcre2_match_context *match;
};

struct regex {
    struct regex_memory *memory;
    pcre2_code *code;
    pcre2_match_data *data;
    unsigned gave_up;
};

static void *take(size_t size, void *owner)
{
    struct regex_memory *m = owner;
    if (!m->matching)
        return arena_take(m->arena, size);
    for (unsigned i = 0; i < 2; i++)
        if (!m->taken[i] && size <= FRAMES_SIZE) {
            m->taken[i] = true;
            return m->area[i];
        }
    return NULL;
}

static void give_back(void *p, void *owner)
{
    struct regex_memory *m = owner;
    for (unsigned i = 0; i < 2; i++)
        if (p == m->area[i])
            m->taken[i] = false;
}

static struct regex_memory *prepare(struct arena *a)
{
    struct regex_memory *m = arena_take(a, sizeof *m);
    if (m == NULL)
        return NULL;
    m->arena = a;
    m->area[0] = arena_take(a, FRAMES_SIZE);
    m->area[1] = arena_take(a, FRAMES_SIZE);
    m->general = pcre2_general_context_create(take, give_back, m);
    if (m->area[1] == NULL || m->general == NULL)
        return NULL;
    m->compile = pcre2_compile_context_create(m->general);
    m->match = pcre2_match_context_create(m->general);
    if (m->compile == NULL || m->match == NULL)
        return NULL;
    pcre2_set_parens_nest_limit(m->compile, NEST_LIMIT);
    pcre2_set_match_limit(m->match, MATCH_LIMIT);
    pcre2_set_depth_limit(m->match, DEPTH_LIMIT);
    pcre2_set_heap_limit(m->match, FRAMES_SIZE / 1024);
    return m;
}

static bool compile_error(const struct token *pattern, int code, size_t offset, struct filter_error *error)
{
    char text[128];
    if (code == PCRE2_ERROR_HEAP_FAILED)
        return filter_fail(error, pattern->at, pattern->len, "the regular expression is too large");
    if (pcre2_get_error_message(code, (PCRE2_UCHAR *)text, sizeof text) < 0)
        strcpy(text, "no regular expression");
    return filter_fail(error, pattern->at, pattern->len, "regular expression: %s (at its character %zu)", text, offset);
}

struct regex *regex_compile(struct filter *f, const struct token *pattern, struct filter_error *error)
{
    int code = 0;
    size_t offset = 0;
    if (f->regex_memory == NULL)
        f->regex_memory = prepare(&f->arena);
    struct regex *r = arena_take(&f->arena, sizeof *r);
    if (r == NULL || f->regex_memory == NULL) {
        filter_fail(error, pattern->at, pattern->len, "the filter is too large");
        return NULL;
    }
    r->memory = f->regex_memory;
    r->memory->matching = false;
    r->code = pcre2_compile(pattern->text.ptr, pattern->text.len, PCRE2_CASELESS | PCRE2_NEVER_UTF, &code, &offset,
                            r->memory->compile);
    if (r->code == NULL) {
        compile_error(pattern, code, offset, error);
        return NULL;
    }
    r->data = pcre2_match_data_create(1, r->memory->general);
    r->memory->matching = true;
    if (r->data == NULL) {
        filter_fail(error, pattern->at, pattern->len, "the filter is too large");
        return NULL;
    }
    return r;
}

enum regex_result regex_match(struct regex *r, struct view subject)
{
    static const uint8_t empty[1] = { 0 };
    const uint8_t *text = subject.ptr != NULL ? subject.ptr : empty;
    if (r->gave_up == GIVE_UPS)
        return REGEX_GAVE_UP;
    int n = pcre2_match(r->code, text, subject.len, 0, 0, r->data, r->memory->match);
    if (n >= 0)
        return REGEX_YES;
    if (n == PCRE2_ERROR_NOMATCH)
        return REGEX_NO;
    r->gave_up++;
    return REGEX_GAVE_UP;
}
