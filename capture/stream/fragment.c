/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/stream/fragment.h"
#include <stdlib.h>
#include <string.h>

enum { DATAGRAM_MAX = 65536, UNIT = 8, UNITS = DATAGRAM_MAX / UNIT };
static const int64_t LIFETIME_NS = 30 * INT64_C(1000000000);

struct datagram {
    bool used, done;
    uint8_t addr_len, protocol;
    uint8_t src[16], dst[16];
    uint32_t id;
    uint32_t total; /* octets; 0 until the last fragment came */
    uint32_t have;  /* octets at hand */
    int64_t since_ns;
    uint8_t *octets;         /* DATAGRAM_MAX */
    uint8_t seen[UNITS / 8]; /* bit set of the units at hand */
};

struct fragments {
    struct datagram at[FRAGMENT_DATAGRAMS];
};

struct fragments *fragments_new(void)
{
    return calloc(1, sizeof(struct fragments));
}

static void release(struct datagram *d)
{
    free(d->octets);
    *d = (struct datagram){ 0 };
}

void fragments_free(struct fragments *f)
{
    if (f == NULL)
        return;
    for (size_t i = 0; i < FRAGMENT_DATAGRAMS; i++)
        release(&f->at[i]);
    free(f);
}

static bool is_same(const struct datagram *d, const struct fragment *p)
{
    /* IPv4 counts identifications per protocol; a later IPv6 fragment may name another next header than the first */
    return d->used && d->id == p->id && d->addr_len == p->addr_len &&
           (p->addr_len == 16 || d->protocol == p->protocol) && memcmp(d->src, p->src, p->addr_len) == 0 &&
           memcmp(d->dst, p->dst, p->addr_len) == 0;
}

/* The datagram this fragment belongs to, or a new one in place of the oldest. NULL: no memory. */
static struct datagram *find(struct fragments *f, const struct fragment *p, int64_t now_ns)
{
    struct datagram *oldest = &f->at[0];
    for (size_t i = 0; i < FRAGMENT_DATAGRAMS; i++) {
        struct datagram *d = &f->at[i];
        if (d->used && (d->done || now_ns - d->since_ns > LIFETIME_NS))
            release(d);
        if (is_same(d, p))
            return d;
        if (!d->used || (oldest->used && d->since_ns < oldest->since_ns))
            oldest = d;
    }
    release(oldest);
    oldest->octets = malloc(DATAGRAM_MAX);
    if (oldest->octets == NULL)
        return NULL;
    oldest->used = true;
    oldest->addr_len = p->addr_len;
    oldest->protocol = p->protocol;
    oldest->id = p->id;
    oldest->since_ns = now_ns;
    memcpy(oldest->src, p->src, p->addr_len);
    memcpy(oldest->dst, p->dst, p->addr_len);
    return oldest;
}

/* Copies the units that are not at hand yet. */
static void fill(struct datagram *d, const struct fragment *p)
{
    for (uint32_t done = 0; done < p->data.len; done += UNIT) {
        uint32_t at = p->offset + done, unit = at / UNIT;
        uint32_t n = p->data.len - done < UNIT ? (uint32_t)(p->data.len - done) : UNIT;
        if (d->seen[unit / 8] & 1u << unit % 8)
            continue;
        memcpy(d->octets + at, p->data.ptr + done, n);
        d->seen[unit / 8] |= (uint8_t)(1u << unit % 8);
        d->have += n;
    }
}

bool fragments_add(struct fragments *f, const struct fragment *p, int64_t now_ns, struct view *whole, uint8_t *protocol)
{
    bool fits = p->offset % UNIT == 0 && p->offset < DATAGRAM_MAX && p->data.len <= DATAGRAM_MAX - p->offset;
    if (!fits || p->data.len == 0 || (p->more && p->data.len % UNIT != 0) || p->addr_len > 16)
        return false;
    struct datagram *d = find(f, p, now_ns);
    if (d == NULL)
        return false;
    if (p->offset == 0)
        d->protocol = p->protocol;
    fill(d, p);
    if (!p->more && d->total == 0)
        d->total = p->offset + (uint32_t)p->data.len;
    if (d->total == 0 || d->have < d->total)
        return false;
    d->done = true;
    *whole = view_of(d->octets, d->total);
    *protocol = d->protocol;
    return true;
}
