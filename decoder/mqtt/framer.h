/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/mqtt/framer.h -- one direction's octets in, whole control packets out (3.1.1 section 2.2, 5.0 section 2.1).
 *
 * A packet that lies whole in one chunk is handed on without a copy. One that does not is collected in memory lent by
 * the caller, up to the caller's limit; what is beyond (a large payload) is counted and let go, so a packet of the full
 * 268,435,455 octets needs no more than the limit. */
#pragma once
#include "decoder/base/cursor.h"
#include "decoder/mqtt/tables.h"

enum mqtt_frame_status {
    MQTT_FRAME_MORE,   /* the chunk is used up; nothing complete yet (or nothing begun) */
    MQTT_FRAME_PACKET, /* *out is set; call again with the rest of the chunk */
    MQTT_FRAME_MEMORY, /* lend at least f->want octets with mqtt_framer_lend() and call again; `in` is untouched */
    MQTT_FRAME_BAD,    /* the Remaining Length has a fifth octet; *out holds the octets; framing is lost */
};

struct mqtt_frame {
    struct view octets; /* fixed header and what is at hand of the body; borrowed until the next call */
    uint32_t total;     /* octets of the whole packet on the wire (0 for BAD) */
    uint32_t missing;   /* octets of it that were never captured (inside total), or the packet ended in a hole */
};

struct mqtt_framer {
    uint8_t *lent; /* memory of the caller, lent_cap octets */
    uint32_t lent_cap;
    uint32_t limit;   /* keep at most this much of a packet that does not lie whole in a chunk; >= MQTT_HEADER_MAX */
    uint32_t want;    /* set with MQTT_FRAME_MEMORY */
    uint32_t kept;    /* octets of the packet under way in `lent` */
    uint32_t seen;    /* octets of the packet under way that have passed, kept or not, hole included */
    uint32_t total;   /* of the packet under way; 0 while its header is incomplete */
    uint32_t missing; /* octets of it that fell into a hole */
    bool lost;        /* after BAD, or a hole that nothing bridges: nothing is framed until mqtt_framer_restart() */
};

void mqtt_framer_init(struct mqtt_framer *f, uint32_t limit); /* lends nothing yet */
/* cap >= f->want; memory starts with the f->kept octets of the old one: the caller copies them (realloc does). */
void mqtt_framer_lend(struct mqtt_framer *f, uint8_t *memory, uint32_t cap);
/* mqtt_framer_next() of a packet that is long, or not whole in the chunk. */
RARELY enum mqtt_frame_status mqtt_framer_closely(struct mqtt_framer *f, struct cursor *in, struct mqtt_frame *out);

/* Takes octets from *in until one packet is complete or *in is used up. */
static inline enum mqtt_frame_status mqtt_framer_next(struct mqtt_framer *f, struct cursor *in, struct mqtt_frame *out)
{
    const uint8_t *at = in->base + in->pos;
    size_t left = cur_left(in);
    if (f->seen > 0 || f->lost || left < 2 || at[1] >= 0x80 || 2u + at[1] > left)
        return mqtt_framer_closely(f, in, out);
    uint32_t total = 2u + at[1]; /* short and whole, as nearly every packet */
    in->pos += total;
    *out = (struct mqtt_frame){ view_of(at, total), total, 0 };
    return MQTT_FRAME_PACKET;
}

/* True while a packet has begun and is not complete. */
static inline bool mqtt_framer_under_way(const struct mqtt_framer *f)
{
    return f->seen > 0;
}

/* `len` octets of the stream were never captured. A hole that ends inside or at the end of the packet under way, once
 * its total is known, is bridged: framing goes on (true), and the packet comes out with `missing` > 0, at once if the
 * hole reaches its end (then *out and *complete are set). Otherwise framing is lost (false). */
bool mqtt_framer_hole(struct mqtt_framer *f, uint64_t len, struct mqtt_frame *out, bool *complete);
void mqtt_framer_restart(struct mqtt_framer *f); /* the next octet is the first of a packet */

/* What speaks for octets that are said to begin at a packet border (decoder/mqtt/resync.c). */
struct mqtt_run {
    uint32_t bits; /* how unlikely it is that other octets look like this, as -log2; 0: they do not look like packets */
    uint32_t whole;      /* packets that are complete */
    uint32_t first;      /* octets of the first one, which may not be complete; 0: its length is not known */
    uint32_t first_bits; /* what speaks for the first one alone */
    bool exact;          /* the last of them ends where the octets end */
};

/* Judges a run of packets from the first octet to the last one, of which the end may be missing: types, flags, lengths
 * and the form of each, for one of the versions in `versions` (a bit set of 1 << version) and for this sender
 * (MQTT_CLIENT, MQTT_SERVER, MQTT_NOBODY: not known). At most MQTT_RUN_MAX packets are looked at. */
enum { MQTT_RUN_MAX = 16, MQTT_RUN_RIVALS = 12 };
struct mqtt_run mqtt_run_at(struct view octets, unsigned versions, enum mqtt_side sender);

/* A run without a whole packet, whose first octet is `first`: is it one all the same? A CONNECT by its name, or a
 * PUBLISH of more than `wait` octets; what comes behind a shorter packet will tell. */
bool mqtt_run_stands_alone(uint8_t first, struct mqtt_run run, uint32_t wait);

/* The first offset with a run of at least `bits`, or up to MQTT_RUN_RIVALS behind it one with a better run; octets.len
 * when there is none. A run without a whole packet counts only if it stands alone. Linear in octets.len. */
size_t mqtt_resync(struct view octets, unsigned versions, enum mqtt_side sender, uint32_t bits, uint32_t wait,
                   struct mqtt_run *run);
/* No run from an offset before this one can become plausible by octets that follow: the next search may begin here. */
size_t mqtt_resync_alive(struct view octets, unsigned versions, enum mqtt_side sender);
