/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/frames/masked.c -- masked packets in a file, found again by connection, direction and TCP sequence number. */
#include "capture/frames/masked.h"
#include "capture/frames/spool.h"
#include "capture/stream/ip.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COVER = 'x', TCP_CHECKSUM = 16, TCP_HEADER_MIN = 20, TCP_HEADER_MAX = 60 };

struct piece {   /* one packet */
    uint64_t at; /* of its first octet, as a sequence number without wrapping */
    uint64_t file_at;
    uint32_t len, held; /* on the wire; in the file */
};

struct direction {
    struct piece *pieces;
    uint32_t n, cap;
    uint64_t last; /* where packets, and then frames, have come to */
};

struct connection {
    struct row_endpoint first; /* sends in direction 0 */
    struct direction dir[2];
};

struct masked {
    const struct redact *redact;
    FILE *file;
    uint64_t file_len;
    struct connection **connections; /* by number; NULL: no packet yet */
    uint32_t n_connections;
    uint32_t n_pieces;
    uint8_t *packet; /* one, under the mask */
    size_t packet_cap;
    bool laying; /* packets are all here; frames come, again from the start */
    char error[MASKED_ERROR_MAX];
};

static bool fail(struct masked *m, const char *why)
{
    if (m->error[0] == '\0')
        snprintf(m->error, sizeof m->error, "the file that holds masked packets: %s", why);
    return false;
}

struct masked *masked_open(const char *beside, const struct redact *redact, char *error)
{
    struct masked *m = calloc(1, sizeof *m);
    if (m == NULL) {
        snprintf(error, MASKED_ERROR_MAX, "%s", strerror(ENOMEM));
        return NULL;
    }
    m->redact = redact;
    m->file = spool_nameless(beside, error, MASKED_ERROR_MAX);
    if (m->file != NULL)
        return m;
    free(m);
    return NULL;
}

const char *masked_error(const struct masked *m)
{
    return m->error;
}

void masked_close(struct masked *m)
{
    if (m == NULL)
        return;
    for (uint32_t i = 0; i < m->n_connections; i++)
        if (m->connections[i] != NULL) {
            free(m->connections[i]->dir[0].pieces);
            free(m->connections[i]->dir[1].pieces);
            free(m->connections[i]);
        }
    free(m->connections);
    free(m->packet);
    fclose(m->file);
    free(m);
}

/* --- putting aside --- */

static struct connection *connection_of(struct masked *m, const struct row *row)
{
    if (row->stream >= m->n_connections) {
        uint32_t n = row->stream + 1 > 2 * m->n_connections ? row->stream + 1 : 2 * m->n_connections;
        struct connection **grown = realloc(m->connections, n * sizeof *grown);
        if (grown == NULL)
            return NULL;
        memset(grown + m->n_connections, 0, (n - m->n_connections) * sizeof *grown);
        m->connections = grown;
        m->n_connections = n;
    }
    struct connection **c = &m->connections[row->stream];
    if (*c == NULL && (*c = calloc(1, sizeof **c)) != NULL)
        (*c)->first = row->src;
    return *c;
}

static struct piece *new_piece(struct masked *m, struct direction *d)
{
    if (m->n_pieces == MASKED_PACKETS_MAX)
        return NULL;
    if (d->n == d->cap) {
        uint32_t cap = d->cap > 0 ? 2 * d->cap : 16;
        struct piece *grown = realloc(d->pieces, cap * sizeof *grown);
        if (grown == NULL)
            return NULL;
        d->pieces = grown;
        d->cap = cap;
    }
    m->n_pieces++;
    return &d->pieces[d->n++];
}

/* The place nearest to `last` with this sequence number. */
static uint64_t unwrap(uint64_t last, uint32_t seq)
{
    return last + (uint64_t)(int64_t)(int32_t)(seq - (uint32_t)last);
}

static bool same_endpoint(const struct row_endpoint *a, const struct row_endpoint *b)
{
    return a->port == b->port && memcmp(&a->addr, &b->addr, sizeof a->addr) == 0;
}

static bool put_octets(struct masked *m, const struct mqtt_packet *p, uint32_t len)
{
    if (len > m->packet_cap) {
        uint8_t *grown = realloc(m->packet, len);
        if (grown == NULL)
            return fail(m, strerror(ENOMEM));
        m->packet = grown;
        m->packet_cap = len;
    }
    memcpy(m->packet, p->octets, len);
    redact_packet(m->redact, p, m->packet, len);
    if (fwrite(m->packet, 1, len, m->file) != len)
        return fail(m, strerror(errno));
    m->file_len += len;
    return true;
}

bool masked_packet(struct masked *m, const struct row *row)
{
    const struct mqtt_packet *p = row->packet;
    if (m->error[0] != '\0')
        return false;
    if (row->kind != ROW_PACKET || !row->plain || p->held == 0)
        return true;
    struct connection *c = connection_of(m, row);
    struct direction *d = c != NULL ? &c->dir[!same_endpoint(&c->first, &row->src)] : NULL;
    struct piece *piece = d != NULL ? new_piece(m, d) : NULL;
    if (piece == NULL)
        return fail(m, "no memory for so many packets");
    uint32_t whole = p->header_len > 0 ? p->header_len + p->remaining : p->held; /* a fixed header that has no end */
    if (d->n == 1)
        d->last = ((uint64_t)1 << 32) + row->seq_end; /* so that earlier octets have a place too */
    d->last = unwrap(d->last, row->seq_end);
    *piece = (struct piece){ .at = d->last - whole, .file_at = m->file_len, .len = whole };
    piece->held = p->held < whole ? p->held : whole;
    return put_octets(m, p, piece->held);
}

/* --- laying over --- */

static bool sends(const struct row_endpoint *e, const struct segment *s)
{
    return e->port == s->src_port && e->addr.family == s->family &&
           memcmp(e->addr.octets, s->src, s->family == 4 ? 4 : 16) == 0;
}

/* The first packet that ends behind `at`; they lie in order but for what was sent twice. */
static uint32_t first_behind(const struct direction *d, uint64_t at)
{
    uint32_t low = 0, high = d->n;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (d->pieces[middle].at + d->pieces[middle].len <= at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool lay_piece(struct masked *m, const struct piece *p, uint64_t at, uint8_t *payload, size_t len)
{
    uint64_t from = p->at > at ? p->at : at, to = p->at + p->held < at + len ? p->at + p->held : at + len;
    if (from >= to)
        return true;
    size_t n = (size_t)(to - from);
    if (fseeko(m->file, (off_t)(p->file_at + (from - p->at)), SEEK_SET) != 0 ||
        fread(payload + (from - at), 1, n, m->file) != n)
        return fail(m, strerror(EIO));
    return true;
}

static bool lay_over(struct masked *m, struct direction *d, uint64_t at, uint8_t *payload, size_t len)
{
    memset(payload, COVER, len);
    if (d == NULL)
        return true;
    for (uint32_t i = first_behind(d, at); i < d->n && d->pieces[i].at < at + len; i++)
        if (!lay_piece(m, &d->pieces[i], at, payload, len))
            return false;
    return true;
}

/* One's complement sum, RFC 1071. */
static uint32_t sum_words(const uint8_t *octets, size_t len)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < len; i++)
        sum += (uint64_t)octets[i] << (i % 2 == 0 ? 8 : 0);
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint32_t)sum;
}

/* The TCP header in front of the payload: the only place whose length, ports and sequence number fit. */
static uint8_t *header_of(uint8_t *payload, size_t before, const struct segment *s)
{
    for (size_t len = TCP_HEADER_MIN; len <= TCP_HEADER_MAX && len <= before; len += 4) {
        uint8_t *h = payload - len;
        struct cursor c = cur_over(h, len);
        if (cur_u16(&c) == s->src_port && cur_u16(&c) == s->dst_port && cur_u32(&c) == s->seq && h[12] >> 4 == len / 4)
            return h;
    }
    return NULL;
}

/* RFC 1624: what was right for the old octets is right for the new ones, and what was wrong stays as wrong. */
static void mend_checksum(uint8_t *header, uint32_t before, uint32_t after)
{
    uint32_t sum = (uint32_t)(header[TCP_CHECKSUM] << 8 | header[TCP_CHECKSUM + 1]);
    sum = (~sum & 0xffff) + (~before & 0xffff) + after;
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    sum = ~sum & 0xffff;
    header[TCP_CHECKSUM] = (uint8_t)(sum >> 8);
    header[TCP_CHECKSUM + 1] = (uint8_t)sum;
}

static void begin_laying(struct masked *m)
{
    m->laying = true;
    for (uint32_t i = 0; i < m->n_connections; i++)
        for (unsigned dir = 0; m->connections[i] != NULL && dir < 2; dir++) {
            struct direction *d = &m->connections[i]->dir[dir];
            d->last = d->n > 0 ? d->pieces[0].at : 0;
        }
}

bool masked_frame(struct masked *m, uint8_t *octets, size_t len, uint32_t wire_len, uint32_t link_type,
                  uint32_t connection)
{
    struct segment s;
    if (!m->laying)
        begin_laying(m);
    if (ip_segment(link_type, view_of(octets, len), wire_len, 0, NULL, &s) != IP_TCP)
        return false;
    if (s.payload.len == 0)
        return true;
    size_t offset = (size_t)(s.payload.ptr - octets);
    uint8_t *payload = octets + offset, *header = header_of(payload, offset, &s);
    struct connection *c = connection < m->n_connections ? m->connections[connection] : NULL;
    struct direction *d = c != NULL ? &c->dir[!sends(&c->first, &s)] : NULL;
    uint64_t at = 0;
    if (header == NULL)
        return false;
    if (d != NULL && d->n > 0) {
        at = unwrap(d->last, s.seq + ((s.flags & TCP_SYN) != 0));
        d->last = at;
    }
    uint32_t before = sum_words(payload, s.payload.len);
    if (!lay_over(m, d, at, payload, s.payload.len))
        return false;
    mend_checksum(header, before, sum_words(payload, s.payload.len));
    return true;
}
