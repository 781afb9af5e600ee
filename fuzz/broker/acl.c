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
    struct view filter; /* in broker.acl.text */
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
    while (v.len > 0 && blank(v.ptr[v.len - 1]))
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

/* One line; `user` is the one named last. */
static enum line acl_line(void *user, struct view line, void *entry)
{
    struct view *named = user;
    struct acl_rule *rule = entry;
    line = trim(line);
    if (line.len == 0 || line.ptr[0] == '#')
        return LINE_EMPTY;
    if (word(&line, "user")) {
        *named = line;
        return line.len > 0 ? LINE_EMPTY : LINE_WRONG;
    }
    bool pattern = word(&line, "pattern");
    if (!pattern && !word(&line, "topic"))
        return LINE_WRONG;
    *rule = (struct acl_rule){ .user = *named, .pattern = pattern, .access = take_access(&line) };
    rule->filter = line;
    return topic_check_filter(line, false).fault == TOPIC_OK ? LINE_ENTRY : LINE_WRONG;
}

int broker_acl(struct broker *b, struct view text)
{
    struct view user = view_of(NULL, 0);
    return lines_read(&b->acl, &b->memory, text, sizeof(struct acl_rule), acl_line, &user);
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
    for (size_t i = 0; i < b->acl.n; i++) {
        const struct acl_rule *rule = (const struct acl_rule *)b->acl.entries + i;
        if (!for_session(rule, s) || (allowed && rule->access != ACL_DENY))
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
    for (size_t i = 0; i < b->acl.n; i++) {
        const struct acl_rule *rule = (const struct acl_rule *)b->acl.entries + i;
        if (!for_session(rule, s) || (rule->access & ACL_READ) == 0)
            continue;
        struct view allowed = substitute(rule, s, room, sizeof room);
        if (allowed.len > 0 && overlap(filter, allowed))
            return true;
    }
    return false;
}
