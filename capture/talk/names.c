/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/talk/names.h"
#include <stdlib.h>
#include <string.h>

struct name {
    uint8_t *octets; /* NULL: free */
    uint32_t stream, len;
};

enum { SLOTS_MIN = 64 };

static uint32_t home(const struct names *s, uint32_t stream)
{
    return stream * 0x9e3779b1u & s->mask;
}

/* Its slot, or the free one where it would be; there is always one. */
static struct name *find(const struct names *s, uint32_t stream)
{
    uint32_t i = home(s, stream);
    while (s->slots[i].octets != NULL && s->slots[i].stream != stream)
        i = (i + 1) & s->mask;
    return &s->slots[i];
}

void names_free(struct names *s)
{
    for (uint32_t i = 0; s->slots != NULL && i <= s->mask; i++)
        free(s->slots[i].octets);
    free(s->slots);
}

struct view names_find(const struct names *s, uint32_t stream)
{
    if (s->n == 0)
        return view_of(NULL, 0);
    const struct name *at = find(s, stream);
    return view_of(at->octets, at->octets != NULL ? at->len : 0);
}

/* No more than half of the slots are taken. */
static bool grow(struct names *s)
{
    struct names grown = *s;
    grown.mask = s->slots != NULL ? s->mask * 2 + 1 : SLOTS_MIN - 1;
    grown.slots = calloc((size_t)grown.mask + 1, sizeof *grown.slots);
    if (grown.slots == NULL)
        return false;
    for (uint32_t i = 0; s->slots != NULL && i <= s->mask; i++)
        if (s->slots[i].octets != NULL)
            *find(&grown, s->slots[i].stream) = s->slots[i];
    free(s->slots);
    *s = grown;
    return true;
}

void names_set(struct names *s, uint32_t stream, struct view name)
{
    if (s->octets + sizeof(struct name) + name.len > s->limit || (s->n >= s->mask / 2 && !grow(s)))
        return;
    uint8_t *copy = malloc(name.len > 0 ? name.len : 1);
    if (copy == NULL)
        return;
    memcpy(copy, name.ptr, name.len);
    names_drop(s, stream);
    struct name *at = find(s, stream);
    at->octets = copy;
    at->stream = stream;
    at->len = (uint32_t)name.len;
    s->n++;
    s->octets += sizeof(struct name) + name.len;
}

/* Names behind the one that goes move up, so that each is found from its home on. */
static void close_up(struct names *s, uint32_t hole)
{
    for (uint32_t i = (hole + 1) & s->mask; s->slots[i].octets != NULL; i = (i + 1) & s->mask) {
        uint32_t from = home(s, s->slots[i].stream);
        if (((i - from) & s->mask) < ((i - hole) & s->mask))
            continue;
        s->slots[hole] = s->slots[i];
        s->slots[i].octets = NULL;
        hole = i;
    }
}

void names_drop(struct names *s, uint32_t stream)
{
    struct name *at = s->n > 0 ? find(s, stream) : NULL;
    if (at == NULL || at->octets == NULL)
        return;
    s->n--;
    s->octets -= sizeof *at + at->len;
    free(at->octets);
    at->octets = NULL;
    close_up(s, (uint32_t)(at - s->slots));
}
