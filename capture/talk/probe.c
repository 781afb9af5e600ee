/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/talk/probe.h"
#include <stdlib.h>
#include <string.h>

struct probe *probe_new(void)
{
    return calloc(1, sizeof(struct probe));
}

void probe_free(struct probe *p)
{
    if (p == NULL)
        return;
    free(p->octets);
    free(p->piece);
    free(p);
}

uint64_t probe_memory(const struct probe *p)
{
    return sizeof *p + p->cap + (uint64_t)p->n_cap * sizeof *p->piece;
}

struct view probe_piece_octets(const struct probe *p, uint32_t i)
{
    uint32_t end = i + 1 < p->n ? p->piece[i + 1].at : p->len;
    return view_of(p->octets + p->piece[i].at, end - p->piece[i].at);
}

void probe_drop(struct probe *p, uint32_t octets)
{
    uint32_t first = 0;
    if (p->len == 0)
        return;
    while (first + 1 < p->n && p->piece[first + 1].at <= octets)
        first++;
    memmove(p->octets, p->octets + octets, p->len - octets);
    memmove(p->piece, p->piece + first, (p->n - first) * sizeof *p->piece);
    p->n -= first;
    for (uint32_t i = 0; i < p->n; i++)
        p->piece[i].at = p->piece[i].at > octets ? p->piece[i].at - octets : 0;
    p->len -= octets;
    p->alive = p->alive > octets ? p->alive - octets : 0;
    p->dropped += octets;
    p->first_at += octets;
    if (p->len == 0)
        p->n = 0;
}

static bool make_room(struct probe *p, uint32_t more)
{
    uint32_t cap = p->cap > 0 ? p->cap : 512;
    while (cap < p->len + more)
        cap *= 2;
    if (cap != p->cap) {
        uint8_t *octets = realloc(p->octets, cap);
        if (octets == NULL)
            return false;
        p->octets = octets;
        p->cap = cap;
    }
    if (p->n < p->n_cap)
        return true;
    uint32_t n_cap = p->n_cap > 0 ? p->n_cap * 2 : 4;
    struct probe_piece *piece = realloc(p->piece, n_cap * sizeof *piece);
    if (piece == NULL)
        return false;
    p->piece = piece;
    p->n_cap = n_cap;
    return true;
}

int64_t probe_add(struct probe *p, uint64_t at, struct view octets, const struct stamp *stamp, uint64_t acked)
{
    int64_t before = (int64_t)probe_memory(p);
    p->segments++;
    if (octets.len > PROBE_OCTETS / 2) { /* only its end can matter */
        size_t skip = octets.len - PROBE_OCTETS / 2;
        probe_drop(p, p->len);
        p->dropped += skip;
        octets = view_of(octets.ptr + skip, PROBE_OCTETS / 2);
        at += skip;
    }
    uint32_t len = (uint32_t)octets.len;
    if (p->len + len > PROBE_OCTETS)
        probe_drop(p, p->len < PROBE_OCTETS / 2 ? p->len : PROBE_OCTETS / 2);
    if (p->n == PROBE_PIECES)
        probe_drop(p, p->piece[PROBE_PIECES / 2].at);
    if (!make_room(p, len)) {
        p->dropped += len;
        return 0;
    }
    if (p->len == 0)
        p->first_at = at;
    p->piece[p->n++] = (struct probe_piece){ .at = p->len, .acked = acked, .stamp = *stamp };
    memcpy(p->octets + p->len, octets.ptr, len);
    p->len += len;
    return (int64_t)probe_memory(p) - before;
}
