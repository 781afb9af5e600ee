/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/mqtt/topic.c -- see topic.h. */
#include "decoder/mqtt/topic.h"

#include "decoder/base/utf8.h"

#include <string.h>

enum { SHARE_LEN = 7 }; /* of $share/ */

static struct topic_result fault(enum topic_fault what, size_t offset, size_t len)
{
    return (struct topic_result){ what, offset, len };
}

/* Octets from text[at] to the next '/' or to the end. */
static size_t level_len(struct view text, size_t at)
{
    const uint8_t *slash = memchr(text.ptr + at, '/', text.len - at);
    return slash != NULL ? (size_t)(slash - text.ptr) - at : text.len - at;
}

struct topic_result topic_check_name(struct view name)
{
    if (name.len == 0)
        return fault(TOPIC_EMPTY, 0, 0);
    const uint8_t *plus = memchr(name.ptr, '+', name.len);
    size_t before = plus != NULL ? (size_t)(plus - name.ptr) : name.len;
    const uint8_t *hash = before > 0 ? memchr(name.ptr, '#', before) : NULL;
    if (hash != NULL)
        return fault(TOPIC_WILDCARD, (size_t)(hash - name.ptr), 1);
    return plus != NULL ? fault(TOPIC_WILDCARD, before, 1) : fault(TOPIC_OK, 0, 0);
}

/* The wildcards of the plain filter that starts at text[at]; what lies before is not looked at. */
static struct topic_result check_wildcards(struct view text, size_t at)
{
    size_t level = at; /* where the level under way began */
    for (size_t i = at; i < text.len; i++) {
        uint8_t octet = text.ptr[i];
        if (octet == '/')
            level = i + 1;
        else if (octet == '#' && (i != level || i + 1 != text.len))
            return fault(TOPIC_HASH, i, 1);
        else if (octet == '+' && (i != level || (i + 1 < text.len && text.ptr[i + 1] != '/')))
            return fault(TOPIC_PLUS, i, 1);
    }
    return fault(TOPIC_OK, 0, 0);
}

/* $share/NAME/FILTER, [MQTT-4.8.2-1] and [MQTT-4.8.2-2]. */
static struct topic_result check_shared(struct view filter)
{
    if (filter.len == SHARE_LEN || filter.ptr[SHARE_LEN] == '/')
        return fault(TOPIC_SHARE_NAME, 0, filter.len == SHARE_LEN ? SHARE_LEN : SHARE_LEN + 1);
    size_t name_len = level_len(filter, SHARE_LEN);
    for (size_t i = SHARE_LEN; i < SHARE_LEN + name_len; i++)
        if (filter.ptr[i] == '+' || filter.ptr[i] == '#')
            return fault(TOPIC_SHARE_FORM, i, 1);
    if (SHARE_LEN + name_len + 1 >= filter.len) /* no '/' behind the name, or nothing behind the '/' */
        return fault(TOPIC_SHARE_FORM, 0, filter.len);
    return check_wildcards(filter, SHARE_LEN + name_len + 1);
}

struct topic_result topic_check_filter(struct view filter, bool shared)
{
    if (filter.len == 0)
        return fault(TOPIC_EMPTY, 0, 0);
    return shared && topic_is_shared(filter) ? check_shared(filter) : check_wildcards(filter, 0);
}

bool topic_is_shared(struct view filter)
{
    return filter.len >= SHARE_LEN && memcmp(filter.ptr, "$share/", SHARE_LEN) == 0;
}

struct view topic_share_name(struct view filter)
{
    if (!topic_is_shared(filter))
        return view_of(NULL, 0);
    return view_of(filter.ptr + SHARE_LEN, level_len(filter, SHARE_LEN));
}

struct view topic_share_filter(struct view filter)
{
    if (!topic_is_shared(filter))
        return filter;
    size_t skip = SHARE_LEN + level_len(filter, SHARE_LEN);
    if (skip < filter.len)
        skip++; /* the '/' behind the ShareName */
    return view_of(filter.ptr + skip, filter.len - skip);
}

/* Octets up to the last level in front of the first difference: the levels before it are the same, and none is a #. */
static size_t same_levels(struct view a, struct view b)
{
    size_t n = a.len < b.len ? a.len : b.len, at = 0;
    while (n - at >= 8 && utf8_load(a.ptr + at, 8) == utf8_load(b.ptr + at, 8))
        at += 8;
    while (at < n && a.ptr[at] == b.ptr[at])
        at++;
    while (at > 0 && a.ptr[at - 1] != '/')
        at--;
    return at == 0 || memchr(a.ptr, '#', at) != NULL ? 0 : at;
}

bool topic_matches(struct view filter, struct view name)
{
    if (filter.len == 0 || name.len == 0)
        return false;
    if (name.ptr[0] == '$' && (filter.ptr[0] == '#' || filter.ptr[0] == '+')) /* [MQTT-4.7.2-1] */
        return false;
    size_t f = same_levels(filter, name), n = f;
    for (;;) { /* f and n stand at the start of a level, or at the end */
        bool single = f < filter.len && (f + 1 == filter.len || filter.ptr[f + 1] == '/');
        if (single && filter.ptr[f] == '#')
            return f + 1 == filter.len;
        if (single && filter.ptr[f] == '+') {
            f++;
            n += level_len(name, n);
        }
        size_t same = 0, most = filter.len - f < name.len - n ? filter.len - f : name.len - n;
        while (same < most && filter.ptr[f + same] == name.ptr[n + same] && name.ptr[n + same] != '/')
            same++;
        f += same, n += same;
        if ((f < filter.len && filter.ptr[f] != '/') || (n < name.len && name.ptr[n] != '/'))
            return false;
        if (n == name.len) /* a trailing "/#" matches the parent, too */
            return f == filter.len || (filter.len - f == 2 && filter.ptr[f + 1] == '#');
        if (f == filter.len)
            return false;
        f++, n++; /* both stand at a '/' */
    }
}
