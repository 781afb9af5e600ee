/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/show/item.h -- a row as a list of named, typed, placed values, in wire order.
 *
 * One walk feeds the -V tree, -e, JSON, EVE, the display filter and the screen's detail pane, so that a field has one
 * name, one type and one place everywhere. Names are those of decoder/show/fields.def (Wireshark's exactly where it has
 * one). */
#pragma once
#include "decoder/show/row.h"

enum field_type {
    FIELD_NONE /* presence only */,
    FIELD_UINT,
    FIELD_BOOL,
    FIELD_STRING,
    FIELD_BYTES,
    FIELD_IPV4,
    FIELD_IPV6,
    FIELD_TIME /* ns since the epoch or a duration in ns */,
    FIELD_TEXT /* static text of ours */
};

enum field {
#define FIELD(sym, name, type, base, meaning) FIELD_##sym,
#include "decoder/show/fields.def"
    FIELD_COUNT
};

struct field_info {
    const char *name;    /* "mqtt.topic" */
    const char *meaning; /* "Keep Alive, in seconds" */
    uint8_t name_len;
    uint8_t type; /* enum field_type */
    uint8_t base; /* how numbers are shown in text: 10 or 16; 0: no number */
};

extern const struct field_info field_table[FIELD_COUNT];

static inline const struct field_info *field_info(enum field f)
{
    return &field_table[f];
}

struct view field_label(enum field f); /* the words of its meaning before the first comma: "Keep Alive" */
/* Field by exact name; -1 if unknown. */
int field_find(const char *name, size_t len);
/* The known name closest to this one (edit distance), for error messages; NULL if none is near. */
const char *field_nearest(const char *name, size_t len);

struct item {
    uint16_t field;       /* enum field */
    uint8_t depth;        /* in the tree */
    uint8_t type;         /* enum field_type */
    bool alias;           /* the item before once more under another name: for filters and records, not for the tree */
    uint64_t number;      /* UINT, BOOL, TIME (as int64_t) */
    struct view text;     /* STRING, BYTES, TEXT, IPV4 (4), IPV6 (16) */
    uint32_t offset, len; /* octets of the packet it was read from; len 0: none (computed or envelope) */
};

/* The set of fields a walk is asked for: with it, the walk yields these alone and does no work for the others. */
struct field_set {
    uint64_t bits[(FIELD_COUNT + 63) / 64];
};

static inline void field_set_add(struct field_set *s, enum field f)
{
    s->bits[f / 64] |= 1ull << (f % 64);
}

static inline void field_set_remove(struct field_set *s, enum field f)
{
    s->bits[f / 64] &= ~(1ull << (f % 64));
}

static inline bool field_set_has(const struct field_set *s, enum field f)
{
    return (s->bits[f / 64] >> (f % 64) & 1) != 0;
}

/* Start with item_walk_of() (or zeroes, row and want); each call gives the next item: the envelope, the packet in wire
 * order (or the gap), the verdicts, then what connection and tracker know. Linear in the packet, no allocation; views
 * of items live as long as the row, that of communityid as long as the walk. The octets of a PUBLISH
 * payload and of a password come as they are: masking is up to the output. communityid (a hash) is yielded only when
 * `want` asks for it. */
struct item_walk {
    const struct row *row;
    const struct field_set *want; /* NULL: all */
    uint32_t stage, step, inner;
    uint32_t stages; /* bit set of those that may yield what is wanted; 0: not yet looked at */
    size_t pos;      /* in the packet */
    size_t list_pos;
    bool will; /* the block under way is that of the Will */
    struct mqtt_prop_walk props;
    struct mqtt_prop prop;
    struct mqtt_filter filter;
    char scratch[32];
};

static inline struct item_walk item_walk_of(const struct row *row, const struct field_set *want)
{
    return (struct item_walk){ .row = row, .want = want };
}

bool item_next(struct item_walk *w, struct item *out);
