/* SPDX-License-Identifier: Apache-2.0 */
#include "tui/copies.h"
#include <stdlib.h>
#include <string.h>

enum { SLOTS = 4096 };
static const int64_t WITHIN_NS = 60000000000; /* a copy that comes later is told from chance by nothing */

struct copies {
    struct {
        uint64_t hash; /* 0: free */
        int64_t time_ns;
    } published[SLOTS];
    uint32_t exchanges[SLOTS]; /* 0: free */
};

struct copies *copies_new(void)
{
    return calloc(1, sizeof(struct copies));
}

void copies_free(struct copies *c)
{
    free(c);
}

void copies_clear(struct copies *c)
{
    memset(c, 0, sizeof *c);
}

static uint64_t mix(uint64_t h, struct view v)
{
    for (size_t i = 0; i < v.len; i++)
        h = (h ^ v.ptr[i]) * 1099511628211u;
    return (h ^ v.len) * 1099511628211u;
}

static uint64_t hash_of(struct view topic, struct view payload)
{
    return mix(mix(14695981039346656037u, topic), payload) | 1;
}

void copies_published(struct copies *c, struct view topic, struct view payload, int64_t time_ns)
{
    uint64_t h = hash_of(topic, payload);
    c->published[h >> 20 & (SLOTS - 1)].hash = h;
    c->published[h >> 20 & (SLOTS - 1)].time_ns = time_ns;
}

bool copies_delivered(struct copies *c, struct view topic, struct view payload, int64_t time_ns, uint32_t exchange)
{
    uint64_t h = hash_of(topic, payload), slot = h >> 20 & (SLOTS - 1);
    if (c->published[slot].hash != h || time_ns - c->published[slot].time_ns > WITHIN_NS)
        return false;
    if (exchange != 0)
        c->exchanges[exchange % SLOTS] = exchange;
    return true;
}

bool copies_exchange(const struct copies *c, uint32_t exchange)
{
    return exchange != 0 && c->exchanges[exchange % SLOTS] == exchange;
}
