/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/talk/tls.h"
#include "capture/talk/tls_cipher.h"
#include <stdlib.h>
#include <string.h>

enum { HEADER = 5, BODY_MAX = 16384 + 2048, TLS_1_2 = 0x0303 };
enum content { CHANGE_CIPHER_SPEC = 20, ALERT, HANDSHAKE, APPLICATION_DATA };
enum { CLIENT_HELLO = 1, SERVER_HELLO = 2, ENCRYPT_THEN_MAC = 22 };
enum {
    SLACK_MAX = 64,   /* sequence numbers tried ahead of the one expected */
    FAILURES_MAX = 16 /* records on end that no key opens, before a direction is given up */
};

struct side {
    uint8_t header[HEADER];
    uint8_t n_header;
    uint16_t have; /* of the body */
    uint8_t *body; /* NULL: none is under way, or it lies in the octets at hand */
    uint64_t skip; /* octets of a damaged record */
    bool sealed;   /* 1.2: ChangeCipherSpec was seen */
    bool searching, over, opened;
    bool passed_over; /* a record is missing that may have held application data */
    uint64_t lost;    /* octets, before the first application data */
    const char *why;  /* static; of them */
    uint8_t stage;    /* 1.3: of the labels of this side */
    uint8_t slack, failures;
    uint64_t sequence;
    struct tls_cipher *cipher;
};

struct tls {
    struct tls_keys *keys;
    unsigned client;
    bool client_hello, server_hello, etm, unknown, no_key;
    uint8_t client_random[TLS_RANDOM], server_random[TLS_RANDOM];
    const struct tls_suite *suite;
    struct side side[2];
};

struct hand {
    struct tls *t;
    struct side *s;
    unsigned dir;
    const struct tls_events *events;
    void *ctx;
};

struct tls *tls_new(unsigned client_dir, struct tls_keys *keys)
{
    struct tls *t = calloc(1, sizeof *t);
    if (t != NULL)
        *t = (struct tls){ .keys = keys, .client = client_dir };
    return t;
}

void tls_free(struct tls *t)
{
    if (t == NULL)
        return;
    for (unsigned dir = 0; dir < 2; dir++) {
        free(t->side[dir].body);
        tls_cipher_free(t->side[dir].cipher);
    }
    free(t);
}

uint64_t tls_memory(const struct tls *t)
{
    if (t == NULL)
        return 0;
    return sizeof *t + (t->side[0].body != NULL ? BODY_MAX : 0) + (t->side[1].body != NULL ? BODY_MAX : 0);
}

enum tls_fate tls_fate(const struct tls *t)
{
    if (t->side[0].opened || t->side[1].opened)
        return TLS_OPENED;
    return t->unknown ? TLS_UNKNOWN : t->no_key ? TLS_NO_KEY : TLS_WAITING;
}

/* ---- the hellos ---- */

static unsigned get16(const uint8_t *at)
{
    return (unsigned)at[0] << 8 | at[1];
}

static void client_hello(struct tls *t, struct view m)
{
    if (m.len < 2 + TLS_RANDOM)
        return;
    memcpy(t->client_random, m.ptr + 2, TLS_RANDOM);
    t->client_hello = true;
}

static void server_hello(struct tls *t, struct view m)
{
    size_t id = 2 + TLS_RANDOM, at;
    if (m.len < id + 1 || m.len < (at = id + 1 + m.ptr[id]) + 3)
        return;
    memcpy(t->server_random, m.ptr + 2, TLS_RANDOM);
    t->suite = tls_suite_of((uint16_t)get16(m.ptr + at));
    t->server_hello = true;
    t->unknown = t->suite == NULL || get16(m.ptr) != TLS_1_2;       /* 1.3 says 1.2 here */
    for (at += 5; at + 4 <= m.len; at += 4 + get16(m.ptr + at + 2)) /* extensions, behind their length */
        t->etm |= get16(m.ptr + at) == ENCRYPT_THEN_MAC;
}

/* Messages in clear. Only the first of a record is looked at: a hello begins its flight. */
static void handshake(struct tls *t, struct view body)
{
    if (body.len < 4)
        return;
    size_t len = (size_t)body.ptr[1] << 16 | get16(body.ptr + 2), there = body.len - 4;
    struct view message = view_of(body.ptr + 4, len < there ? len : there);
    if (body.ptr[0] == CLIENT_HELLO)
        client_hello(t, message);
    else if (body.ptr[0] == SERVER_HELLO)
        server_hello(t, message);
}

/* ---- keys ---- */

enum { STAGES = 3 };

static enum tls_label label_of(const struct hand *h, unsigned stage)
{
    static const enum tls_label client[STAGES] = { TLS_CLIENT_EARLY, TLS_CLIENT_HANDSHAKE, TLS_CLIENT_TRAFFIC };
    static const enum tls_label server[STAGES] = { TLS_SERVER_HANDSHAKE, TLS_SERVER_HANDSHAKE, TLS_SERVER_TRAFFIC };
    return h->dir == h->t->client ? client[stage] : server[stage];
}

static struct tls_cipher *cipher_of(const struct hand *h, enum tls_label label)
{
    struct tls *t = h->t;
    uint8_t secret[TLS_SECRET_MAX];
    size_t len = tls_keys_find(t->keys, label, t->client_random, secret);
    if (len == 0)
        return NULL;
    if (label == TLS_MASTER)
        return tls_cipher_12(t->suite, view_of(secret, len), t->client_random, t->server_random, h->dir != t->client,
                             t->etm);
    return tls_cipher_13(t->suite, view_of(secret, len));
}

/* Takes the cipher if it opens the record with one of these sequence numbers; frees it otherwise. */
static struct view try_cipher(const struct hand *h, struct tls_cipher *c, uint64_t from, uint64_t to,
                              struct view record, uint8_t *plain, uint8_t *type)
{
    struct side *s = h->s;
    struct view text = view_of(NULL, 0);
    if (c == NULL)
        return text;
    uint64_t finished = from == 0 && !tls_suite_is_13(h->t->suite); /* the first record of 1.2 is no application data */
    for (uint64_t n = from; n <= to && text.ptr == NULL; n++) {
        text = tls_cipher_open(c, n, record, plain, type);
        if (text.ptr == NULL)
            continue;
        s->sequence = n + 1;
        s->passed_over = (c == s->cipher && s->passed_over) || n > from + finished;
    }
    if (c == s->cipher)
        return text;
    if (text.ptr == NULL) {
        tls_cipher_free(c);
        return text;
    }
    tls_cipher_free(s->cipher);
    s->cipher = c;
    return text;
}

/* The key at hand, the ones of later stages, or the one after a KeyUpdate. */
static struct view open_13(const struct hand *h, struct view record, uint8_t *plain, uint8_t *type)
{
    struct side *s = h->s;
    uint64_t first = s->sequence;
    struct view text = try_cipher(h, s->cipher, first, first + s->slack, record, plain, type);
    for (unsigned stage = s->cipher != NULL ? s->stage + 1u : 0; text.ptr == NULL && stage < STAGES; stage++) {
        text = try_cipher(h, cipher_of(h, label_of(h, stage)), 0, s->slack, record, plain, type);
        if (text.ptr != NULL)
            s->stage = (uint8_t)stage;
    }
    if (text.ptr == NULL && s->cipher != NULL && s->stage == STAGES - 1)
        text = try_cipher(h, tls_cipher_updated(s->cipher), 0, s->slack, record, plain, type);
    return text;
}

static struct view open_12(const struct hand *h, struct view record, uint8_t *plain, uint8_t *type)
{
    struct side *s = h->s;
    if (s->cipher == NULL)
        s->cipher = cipher_of(h, TLS_MASTER);
    return try_cipher(h, s->cipher, s->sequence, s->sequence + s->slack, record, plain, type);
}

/* ---- records ---- */

static void failed(const struct hand *h, size_t len)
{
    struct side *s = h->s;
    h->t->no_key = true;
    if (h->t->suite != NULL && !tls_suite_is_13(h->t->suite))
        s->sequence++; /* it had a number all the same */
    else if (s->slack < SLACK_MAX)
        s->slack++;
    bool either = tls_fate(h->t) == TLS_OPENED; /* a key log may hold the secrets of one direction alone */
    if (either)
        h->events->gap(h->ctx, h->dir, len, true, "TLS record that no key opens");
    s->over = ++s->failures >= FAILURES_MAX;
    if (s->over && !either)
        h->events->other(h->ctx);
}

static void open_record(const struct hand *h, struct view record)
{
    struct tls *t = h->t;
    struct side *s = h->s;
    uint8_t plain[TLS_PLAIN_MAX], type = 0;
    if (!t->client_hello || !t->server_hello || t->suite == NULL) {
        t->unknown = true;
        h->events->other(h->ctx);
        return;
    }
    struct view text = tls_suite_is_13(t->suite) ? open_13(h, record, plain, &type) : open_12(h, record, plain, &type);
    if (text.ptr == NULL) {
        failed(h, record.len - HEADER);
        return;
    }
    s->slack = s->failures = 0;
    if (type != APPLICATION_DATA || text.len == 0)
        return;
    if (!s->opened && s->passed_over && s->lost > 0)
        h->events->gap(h->ctx, h->dir, s->lost, false, s->why);
    s->opened = true;
    h->events->data(h->ctx, h->dir, text);
}

static void on_record(const struct hand *h, struct view record)
{
    uint8_t type = record.ptr[0];
    bool is_13 = h->t->server_hello && h->t->suite != NULL && tls_suite_is_13(h->t->suite);
    bool early = h->dir == h->t->client && type == APPLICATION_DATA; /* before ServerHello: 0-RTT, or nonsense */
    if (type == CHANGE_CIPHER_SPEC)
        h->s->sealed = !is_13; /* 1.3 sends it for the eyes of others only */
    else if (h->s->sealed || (h->t->server_hello && type == APPLICATION_DATA))
        open_record(h, record);
    else if (type == HANDSHAKE)
        handshake(h->t, view_of(record.ptr + HEADER, record.len - HEADER));
    else if (early && h->s->slack < SLACK_MAX)
        h->s->slack++;
}

static bool header_plausible(const uint8_t *at)
{
    return at[0] >= CHANGE_CIPHER_SPEC && at[0] <= APPLICATION_DATA && at[1] == 3 && at[2] <= 4 &&
           get16(at + 3) <= BODY_MAX && get16(at + 3) > 0;
}

/* Where a record of application data may begin, in octets behind a hole; octets.len: nowhere. */
static size_t find_record(struct view octets)
{
    for (size_t i = 0; i + HEADER <= octets.len; i++)
        if (octets.ptr[i] == APPLICATION_DATA && octets.ptr[i + 1] == 3 && octets.ptr[i + 2] == 3 &&
            header_plausible(octets.ptr + i))
            return i;
    return octets.len;
}

static void give_up(const struct hand *h, const char *why)
{
    h->s->over = true;
    if (h->s->opened) {
        h->events->gap(h->ctx, h->dir, HEADER, true, why);
        return;
    }
    h->t->unknown = true;
    h->events->other(h->ctx);
}

static size_t take_header(const struct hand *h, struct view octets)
{
    struct side *s = h->s;
    size_t n = 0;
    while (n < octets.len && s->n_header < HEADER)
        s->header[s->n_header++] = octets.ptr[n++];
    if (s->n_header == HEADER && !header_plausible(s->header))
        give_up(h, "TLS framing lost");
    return n;
}

/* The body of the record under way, or as much of it as is there. */
static size_t take_body(const struct hand *h, struct view octets)
{
    struct side *s = h->s;
    size_t len = get16(s->header + 3), n = len - s->have < octets.len ? len - s->have : octets.len;
    uint8_t *body = s->body;
    if (body == NULL)
        body = s->body = malloc(HEADER + BODY_MAX);
    if (body == NULL) {
        give_up(h, "no memory for a TLS record");
        return octets.len;
    }
    memcpy(body, s->header, HEADER);
    memcpy(body + HEADER + s->have, octets.ptr, n);
    s->have = (uint16_t)(s->have + n);
    if (s->have < len)
        return n;
    s->have = s->n_header = 0;
    s->body = NULL;
    on_record(h, view_of(body, HEADER + len));
    free(body);
    return n;
}

static size_t take_some(const struct hand *h, struct view octets)
{
    struct side *s = h->s;
    if (s->skip > 0) {
        size_t n = octets.len < s->skip ? octets.len : (size_t)s->skip;
        s->skip -= n;
        return n;
    }
    if (s->searching) {
        size_t at = find_record(octets);
        s->searching = at == octets.len;
        return at;
    }
    return s->n_header < HEADER ? take_header(h, octets) : take_body(h, octets);
}

void tls_take(struct tls *t, unsigned dir, struct view octets, const struct tls_events *events, void *ctx)
{
    struct hand h = { t, &t->side[dir], dir, events, ctx };
    size_t used = 0;
    while (used < octets.len && !h.s->over)
        used += take_some(&h, view_of(octets.ptr + used, octets.len - used));
    if (used < octets.len && tls_fate(t) == TLS_OPENED)
        events->gap(ctx, dir, octets.len - used, true, "TLS cannot be read any more");
}

void tls_lose(struct tls *t, unsigned dir, uint64_t octets, const char *why, const struct tls_events *events, void *ctx)
{
    struct side *s = &t->side[dir];
    size_t len = s->n_header == HEADER ? get16(s->header + 3) : 0;
    if (s->over)
        return;
    if (s->skip >= octets) {
        s->skip -= octets;
        return;
    }
    if (s->skip == 0 && len > 0 && octets <= len - s->have) { /* within one record: its end is known */
        s->skip = len - s->have - octets;
        s->slack = s->slack < SLACK_MAX ? (uint8_t)(s->slack + 1) : SLACK_MAX;
    } else {
        s->searching = true;
        s->skip = 0;
        s->slack = SLACK_MAX;
    }
    s->have = s->n_header = 0;
    free(s->body);
    s->body = NULL;
    if (s->opened)
        events->gap(ctx, dir, octets, false, why);
    s->lost += octets;
    s->why = why;
}
