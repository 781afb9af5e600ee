/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/broker/memory.h -- the broker's memory: counted, limited, and three small containers on top of it. */
#pragma once
#include "fuzz/broker/broker.h"

struct memory {
    const struct broker_host *host;
    uint64_t used, peak, limit;
};

/* NULL: refused by the limit or by the host; `old` is then untouched. new_len 0 frees. */
void *mem_resize(struct memory *m, void *old, size_t old_len, size_t new_len);
void *mem_zero(struct memory *m, size_t len);
void mem_free(struct memory *m, void *p, size_t len); /* NULL is fine */
/* Would `len` more octets leave this part of the limit for the rest? Messages leave a quarter of it, so that clients
 * can still come and subscribe; what grows by their doing leaves an eighth, so that acknowledgements still find room.
 */
enum memory_rest { MEMORY_QUARTER = 4, MEMORY_EIGHTH = 8 };
bool mem_has_room(const struct memory *m, uint64_t len, enum memory_rest rest);

/* Packet Identifier -> pointer. Open addressing; zeroed is empty. */
struct idmap_slot {
    uint16_t id; /* 0: free */
    void *value;
};
struct idmap {
    struct idmap_slot *slots;
    uint32_t cap, n; /* cap: 0 or a power of two */
};

void *idmap_get(const struct idmap *map, uint16_t id);
bool idmap_put(struct idmap *map, struct memory *m, uint16_t id,
               void *value); /* id is not in the map; false: no memory */
void idmap_del(struct idmap *map, uint16_t id);
void idmap_done(struct idmap *map, struct memory *m);

/* Deadlines, soonest first. A timer is part of the thing it wakes. */
struct timer {
    uint64_t due;  /* milliseconds; meaningful while slot > 0 */
    uint32_t slot; /* place in the heap plus one, 0: not set */
    uint8_t kind;  /* of the owner's choosing */
};
struct timers {
    struct timer **heap;
    uint32_t cap, n;
};

bool timers_set(struct timers *t, struct memory *m, struct timer *timer, uint64_t due); /* false: no memory, not set */
void timers_stop(struct timers *t, struct timer *timer);

/* A growing run of octets with a consumed front. */
struct buffer {
    uint8_t *at;
    uint32_t start, len, cap; /* at[start .. start + len) is in use */
};

uint8_t *buffer_reserve(struct buffer *b, struct memory *m, size_t len); /* room behind the end; NULL: no memory */
void buffer_drop(struct buffer *b, struct memory *m, size_t len);        /* from the front; frees when empty */
void buffer_done(struct buffer *b, struct memory *m);
