/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/talk/names.h -- client identifiers of the few connections for which the tracker holds none, or another. */
#pragma once
#include "decoder/base/cursor.h"

struct name; /* of one connection */

struct names {
    struct name *slots; /* open addressing */
    uint32_t mask, n;   /* mask: slots - 1; 0: none yet */
    uint64_t octets, limit;
};

void names_free(struct names *s);
struct view names_find(const struct names *s, uint32_t stream);     /* ptr NULL: none */
void names_set(struct names *s, uint32_t stream, struct view name); /* not without memory, or over the limit */
void names_drop(struct names *s, uint32_t stream);
