/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/stream/fragment.h -- IPv4 and IPv6 fragments to whole datagrams (RFC 791, RFC 8200 section 4.5).
 *
 * At most FRAGMENT_DATAGRAMS are under way at once, each of at most 64 KiB; the oldest makes room, and one that is not
 * complete after 30 s of capture time is let go. The first copy of an octet wins. */
#pragma once
#include "decoder/base/cursor.h"

enum { FRAGMENT_DATAGRAMS = 64 };

struct fragment {
    const uint8_t *src, *dst; /* addr_len octets each */
    uint8_t addr_len, protocol;
    bool more;
    uint32_t id;
    uint32_t offset; /* octets */
    struct view data;
};

struct fragments;

struct fragments *fragments_new(void); /* NULL: no memory */
void fragments_free(struct fragments *f);

/* Adds one. True: the datagram is complete; *whole is its payload, valid until the next call, and *protocol that of its
 * first fragment. */
bool fragments_add(struct fragments *f, const struct fragment *piece, int64_t now_ns, struct view *whole,
                   uint8_t *protocol);
