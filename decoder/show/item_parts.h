/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/show/item_parts.h -- the parts of the item walk; nobody else includes this. */
#pragma once
#include "decoder/show/item.h"

/* What one step of a stage did. */
enum walked {
    WALK_END,  /* the stage is over */
    WALK_SKIP, /* nothing here: go on with the next step */
    WALK_ITEM, /* *out is set; the next step is next */
    WALK_MORE, /* *out is set; this step has more */
};

/* Each runs w->step (and w->inner inside it) of its stage. */
enum walked item_walk_body(struct item_walk *w, struct item *out);
/* A property block: mark, length, and its properties. */
enum walked item_walk_props(struct item_walk *w, struct item *out, const struct mqtt_props *props, bool will);

static inline bool item_wanted(const struct item_walk *w, enum field f)
{
    return w->want == NULL || field_set_has(w->want, f);
}

/* Octets of the packet that are both at hand and inside it. */
static inline size_t item_end(const struct mqtt_packet *p)
{
    size_t whole = (size_t)p->header_len + p->remaining;
    return whole < p->held ? whole : p->held;
}

static inline enum walked item_number(struct item *out, enum field f, unsigned depth, uint64_t number, size_t offset,
                                      size_t len)
{
    *out = (struct item){ .field = (uint16_t)f,
                          .type = (uint8_t)field_info(f)->type,
                          .depth = (uint8_t)depth,
                          .number = number,
                          .offset = (uint32_t)offset,
                          .len = (uint32_t)len };
    return WALK_ITEM;
}

static inline enum walked item_text(struct item *out, enum field f, unsigned depth, struct view text, size_t offset,
                                    size_t len)
{
    *out = (struct item){ .field = (uint16_t)f,
                          .type = (uint8_t)field_info(f)->type,
                          .depth = (uint8_t)depth,
                          .text = text,
                          .offset = (uint32_t)offset,
                          .len = (uint32_t)len };
    return WALK_ITEM;
}

/* Text of ours: not on the wire. */
static inline enum walked item_static(struct item *out, enum field f, unsigned depth, const char *text)
{
    size_t len = 0;
    while (text[len] != '\0')
        len++;
    return item_text(out, f, depth, view_of(text, len), 0, 0);
}

/* A view into the packet, at its place. */
static inline enum walked item_octets(struct item *out, enum field f, unsigned depth, const struct mqtt_packet *p,
                                      struct view v)
{
    return item_text(out, f, depth, v, (size_t)(v.ptr - p->octets), v.len);
}

static inline enum walked item_again(struct item *out, enum walked did) /* the item is an alias of the one before */
{
    out->alias = true;
    return did;
}
