/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/broker/acl.c -- who may read and write what: a file in mosquitto's format.
 *
 *     topic [read|write|readwrite|deny] FILTER     for clients without a user name, or for the user named before
 *     user NAME
 *     pattern [read|write|readwrite|deny] FILTER   for everybody; %c is the client identifier, %u the user name
 *
 * With such a file, what no line allows is forbidden; a deny wins over everything. */
#include "decoder/mqtt/topic.h"
#include "fuzz/broker/internal.h"
#include <string.h>

enum { ACL_DENY = 4 };

struct acl_rule {
    struct view user;   /* ptr NULL: without a user name; meaningless for patterns */
    struct view filter; /* in broker.acl_text */
    uint8_t access;     /* enum acl_access, ACL_DENY */
    bool pattern;
};

/* ---- reading the file ---- */

static bool blank(uint8_t octet)
{
    return octet == ' ' || octet == '\t';
}

static struct view trim(struct view v)
{
    while (v.len > 0 && blank(v.ptr[0]))
        v = view_of(v.ptr + 1, v.len - 1);
    while (v.len > 0 && (blank(v.ptr[v.len - 1]) || v.ptr[v.len - 1] == '\r'))
        v.len--;
    return v;
}

/* Takes a word off the front if it is this one. */
static bool word(struct view *v, const char *text)
{
    size_t len = strlen(text);
    if (v->len < len || memcmp(v->ptr, text, len) != 0 || (v->len > len && !blank(v->ptr[len])))
        return false;
    *v = trim(view_of(v->ptr + len, v->len - len));
    return true;
}

static uint8_t take_access(struct view *line)
{
    if (word(line, "readwrite"))
        return ACL_READ | ACL_WRITE;
    if (word(line, "read"))
        return ACL_READ;
    if (word(line, "write"))
        return ACL_WRITE;
    if (word(line, "deny"))
        return ACL_DENY;
    return ACL_READ | ACL_WRITE;
}

/* One line; *user is the one named last. *made: it gave a rule. */
static bool acl_line(struct view line, struct view *user, struct acl_rule *rule, bool *made)
{
    *made = false;
    line = trim(line);
    if (line.len == 0 || line.ptr[0] == '#')
        return true;
    if (word(&line, "user")) {
        *user = line;
        return line.len > 0;
    }
    bool pattern = word(&line, "pattern");
    if (!pattern && !word(&line, "topic"))
        return false;
    *rule = (struct acl_rule){ .user = *user, .pattern = pattern, .access = take_access(&line) };
    rule->filter = line;
    *made = true;
    return topic_check_filter(line, false).fault == TOPIC_OK;
}

void acl_done(struct broker *b)
{
    mem_free(&b->memory, b->acl_text, b->acl_len);
    mem_free(&b->memory, b->acl, b->nacl * sizeof *b->acl);
    b->acl_text = NULL;
    b->acl = NULL;
    b->nacl = b->acl_len = 0;
}

static size_t count_lines(struct view text)
{
    size_t n = 1;
    for (size_t i = 0; i < text.len; i++)
        n += text.ptr[i] == '\n';
    return n;
}

int broker_acl(struct broker *b, struct view text)
{
    size_t lines = count_lines(text), n = 0;
    uint8_t *copy = mem_resize(&b->memory, NULL, 0, text.len + 1);
    struct acl_rule *list = mem_zero(&b->memory, lines * sizeof *list);
    int bad = copy == NULL || list == NULL ? -1 : 0;
    if (bad == 0 && text.len > 0)
        memcpy(copy, text.ptr, text.len);
    struct view user = view_of(NULL, 0);
    size_t pos = 0;
    for (int line = 1; bad == 0 && pos < text.len; line++) {
        const uint8_t *end = memchr(copy + pos, '\n', text.len - pos);
        size_t len = end == NULL ? text.len - pos : (size_t)(end - (copy + pos));
        bool made;
        if (!acl_line(view_of(copy + pos, len), &user, &list[n], &made))
            bad = line;
        n += made;
        pos += len + 1;
    }
    if (bad != 0) {
        mem_free(&b->memory, copy, text.len + 1);
        mem_free(&b->memory, list, lines * sizeof *list);
        return bad;
    }
    acl_done(b);
    b->acl_text = copy;
    b->acl_len = text.len + 1;
    b->acl = list;
    b->nacl = lines;
    b->has_acl = true;
    return 0;
}

/* ---- asking ---- */

static bool for_session(const struct acl_rule *rule, const struct session *s)
{
    struct view user = session_user(s);
    if (rule->pattern || rule->user.ptr == NULL)
        return rule->pattern || user.len == 0;
    return rule->user.len == user.len && memcmp(rule->user.ptr, user.ptr, user.len) == 0;
}

/* The filter with %c and %u put in; empty when it does not fit, or when a name would bring a wildcard with it. */
static struct view substitute(const struct acl_rule *rule, const struct session *s, uint8_t *out, size_t cap)
{
    struct view f = rule->filter;
    size_t len = 0;
    if (!rule->pattern || memchr(f.ptr, '%', f.len) == NULL)
        return f;
    for (size_t i = 0; i < f.len; i++) {
        bool mark = f.ptr[i] == '%' && i + 1 < f.len && (f.ptr[i + 1] == 'c' || f.ptr[i + 1] == 'u');
        struct view piece = view_of(f.ptr + i, 1);
        if (mark)
            piece = f.ptr[++i] == 'c' ? session_client(s) : session_user(s);
        bool unsafe = mark && (piece.len == 0 || memchr(piece.ptr, '+', piece.len) != NULL ||
                               memchr(piece.ptr, '#', piece.len) != NULL || memchr(piece.ptr, '/', piece.len) != NULL);
        if (unsafe || piece.len > cap - len)
            return view_of(NULL, 0);
        memcpy(out + len, piece.ptr, piece.len);
        len += piece.len;
    }
    return view_of(out, len);
}

bool acl_allows(const struct broker *b, const struct session *s, struct view topic, enum acl_access access)
{
    uint8_t room[1024];
    bool allowed = false;
    for (size_t i = 0; i < b->nacl; i++) {
        const struct acl_rule *rule = &b->acl[i];
        if (rule->filter.ptr == NULL || !for_session(rule, s) || (allowed && rule->access != ACL_DENY))
            continue;
        if ((rule->access & (access | ACL_DENY)) == 0)
            continue;
        struct view filter = substitute(rule, s, room, sizeof room);
        if (filter.len == 0 || !topic_matches(filter, topic))
            continue;
        if (rule->access == ACL_DENY)
            return false;
        allowed = true;
    }
    return allowed;
}

static struct view next_level(struct view *v, bool *more)
{
    const uint8_t *slash = memchr(v->ptr, '/', v->len);
    size_t len = slash == NULL ? v->len : (size_t)(slash - v->ptr);
    struct view level = view_of(v->ptr, len);
    *more = slash != NULL;
    *v = slash == NULL ? view_of(v->ptr + len, 0) : view_of(slash + 1, v->len - len - 1);
    return level;
}

static bool wild(struct view level, char which)
{
    return level.len == 1 && level.ptr[0] == which;
}

/* Is there a topic that both filters match? */
static bool overlap(struct view a, struct view b)
{
    for (bool more_a = true, more_b = true; more_a && more_b;) {
        struct view x = next_level(&a, &more_a), y = next_level(&b, &more_b);
        if (wild(x, '#') || wild(y, '#'))
            return true;
        bool equal = x.len == y.len && memcmp(x.ptr, y.ptr, x.len) == 0;
        if (!equal && !wild(x, '+') && !wild(y, '+'))
            return false;
        if (!more_a && !more_b)
            return true;
        if (!more_a)
            return b.len == 1 && b.ptr[0] == '#';
        if (!more_b)
            return a.len == 1 && a.ptr[0] == '#';
    }
    return false;
}

bool acl_may_subscribe(const struct broker *b, const struct session *s, struct view filter)
{
    uint8_t room[1024];
    for (size_t i = 0; i < b->nacl; i++) {
        const struct acl_rule *rule = &b->acl[i];
        if (rule->filter.ptr == NULL || !for_session(rule, s) || (rule->access & ACL_READ) == 0)
            continue;
        struct view allowed = substitute(rule, s, room, sizeof room);
        if (allowed.len > 0 && overlap(filter, allowed))
            return true;
    }
    return false;
}
