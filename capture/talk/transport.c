/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/talk/transport.h"
#include <stdlib.h>
#include <string.h>

enum kind { KIND_OPEN /* more octets are needed */, KIND_PLAIN, KIND_WEB, KIND_TLS };

enum { FIRST_MAX = 6 };

struct transport {
    struct tls *tls;
    struct web *web;
    uint8_t client;
    bool known; /* what lies under the MQTT, or in the TLS */
    bool other; /* there is no MQTT to be seen in it */
    uint8_t n_first, first[FIRST_MAX];
    uint64_t at[2]; /* octets given */
    uint64_t memory;
    bool pending[TRANSPORT_FAULTS];
    struct transport_fault faults[TRANSPORT_FAULTS];
};

/* An event on its way. */
struct passage {
    struct transports *t;
    struct flow *f;
    struct transport *x;
    const struct stamp *stamp;
};

/* ---- what is it ---- */

static enum kind kind_of(const uint8_t *at, size_t len)
{
    static const char get[] = "GET ";
    size_t n = sizeof get - 1;
    if (memcmp(at, get, len < n ? len : n) == 0)
        return len < n ? KIND_OPEN : KIND_WEB;
    bool hello = at[0] == 0x16 && (len < 2 || at[1] == 3) && (len < 3 || at[2] <= 4) && (len < 6 || at[5] == 1);
    if (hello)
        return len < FIRST_MAX ? KIND_OPEN : KIND_TLS;
    return KIND_PLAIN;
}

bool transport_begins(struct view octets)
{
    return kind_of(octets.ptr, octets.len < FIRST_MAX ? octets.len : FIRST_MAX) != KIND_PLAIN;
}

bool transport_open(struct transports *t, struct flow *f, unsigned client_dir)
{
    struct transport *x = f->extra != NULL ? calloc(1, sizeof *x) : NULL;
    if (x == NULL)
        return false;
    x->client = (uint8_t)client_dir;
    f->extra->transport = x;
    t->memory += x->memory = sizeof *x;
    return true;
}

static void drop_layers(struct transports *t, struct transport *x)
{
    enum tls_fate fate = x->tls != NULL ? tls_fate(x->tls) : TLS_WAITING;
    t->tls_opened += fate == TLS_OPENED;
    t->tls_no_key += fate == TLS_NO_KEY;
    t->tls_unknown += fate == TLS_UNKNOWN;
    web_free(x->web);
    tls_free(x->tls);
    x->web = NULL;
    x->tls = NULL;
}

void transport_close(struct transports *t, struct flow *f)
{
    struct transport *x = flow_transport(f);
    if (x == NULL)
        return;
    t->memory -= x->memory;
    drop_layers(t, x);
    free(x);
    f->extra->transport = NULL;
}

bool transport_fault(struct transport *x, struct transport_fault *out)
{
    for (unsigned i = 0; i < TRANSPORT_FAULTS; i++) {
        if (!x->pending[i])
            continue;
        x->pending[i] = false;
        *out = x->faults[i];
        out->offers_31 = x->web != NULL && web_offers_31(x->web);
        return true;
    }
    return false;
}

/* ---- up ---- */

static void give(void *ctx, unsigned dir, struct view octets)
{
    const struct passage *p = ctx;
    uint64_t at = p->x->at[dir];
    p->x->at[dir] += octets.len;
    p->t->events->data(p->t->ctx, p->f, dir, at, octets, p->stamp);
}

static void give_gap(void *ctx, unsigned dir, uint64_t octets, enum web_loss loss, const char *why)
{
    const struct passage *p = ctx;
    uint64_t at = p->x->at[dir];
    p->x->at[dir] += octets;
    p->t->events->gap(p->t->ctx, p->f, dir, at, octets, loss, why, p->stamp);
}

static void give_fault(void *ctx, unsigned dir, enum track_websocket_fault fault)
{
    const struct passage *p = ctx;
    p->x->pending[fault] = true;
    p->x->faults[fault] = (struct transport_fault){ fault, dir, p->stamp->time_ns, p->stamp->frame, false };
}

static void give_up(void *ctx)
{
    const struct passage *p = ctx;
    p->x->other = true;
}

static const struct web_events web_events = { give, give_gap, give_fault, give_up };

/* ---- layers ---- */

static void carry(const struct passage *p, unsigned dir, struct view octets);

static void *hand(const struct passage *p)
{
    return (void *)(uintptr_t)p;
}

static void tls_plain(void *ctx, unsigned dir, struct view octets)
{
    carry(ctx, dir, octets);
}

static void tls_gap(void *ctx, unsigned dir, uint64_t octets, bool captured, const char *why)
{
    const struct passage *p = ctx;
    enum web_loss loss = captured ? WEB_UNREADABLE : WEB_HOLE_ABOUT;
    if (p->x->web != NULL)
        web_gap(p->x->web, dir, octets, loss, why, &web_events, ctx);
    else
        give_gap(ctx, dir, octets, loss, why);
}

static const struct tls_events tls_events = { tls_plain, tls_gap, give_up };

static void begin_web(const struct passage *p)
{
    struct transport *x = p->x;
    p->t->websockets++;
    x->known = true;
    x->web = web_new(x->client);
    x->other = x->web == NULL;
}

static void decrypt(const struct passage *p, unsigned dir, struct view octets)
{
    if (octets.len > 0 && !p->x->other)
        tls_take(p->x->tls, dir, octets, &tls_events, hand(p));
}

static void begin_tls(const struct passage *p)
{
    struct transport *x = p->x;
    p->t->tls++;
    x->n_first = 0;
    bool hope = p->t->keys != NULL && tls_keys_hopeful(p->t->keys);
    x->tls = hope ? tls_new(x->client, p->t->keys) : NULL;
    x->other = x->tls == NULL;
    p->t->tls_no_key += !hope;
}

/* Octets of the client until it is known what they begin. */
static void recognise(const struct passage *p, unsigned dir, struct view octets)
{
    struct transport *x = p->x;
    uint8_t first[FIRST_MAX];
    size_t n = 0;
    enum kind kind = dir == x->client ? KIND_OPEN : KIND_PLAIN;
    while (n < octets.len && kind == KIND_OPEN) {
        x->first[x->n_first++] = octets.ptr[n++];
        kind = kind_of(x->first, x->n_first);
    }
    if (kind == KIND_OPEN)
        return;
    size_t n_first = x->n_first;
    memcpy(first, x->first, n_first);
    void (*to)(const struct passage *, unsigned, struct view) = carry;
    if (kind == KIND_TLS && x->tls == NULL) {
        begin_tls(p);
        to = decrypt;
    } else if (kind == KIND_WEB) {
        begin_web(p);
    } else {
        x->known = true;
        if (x->tls == NULL) /* there is no transport after all: settle() frees it */
            p->f->extra->transport = NULL;
    }
    to(p, x->client, view_of(first, n_first));
    to(p, dir, view_of(octets.ptr + n, octets.len - n));
}

/* Octets that TLS does not hide. */
static void carry(const struct passage *p, unsigned dir, struct view octets)
{
    struct transport *x = p->x;
    if (octets.len == 0 || x->other)
        return;
    if (!x->known)
        recognise(p, dir, octets);
    else if (x->web != NULL)
        web_take(x->web, dir, octets, &web_events, hand(p));
    else
        give(hand(p), dir, octets);
}

/* ---- in ---- */

static struct passage passage_of(struct transports *t, struct flow *f, const struct stamp *stamp)
{
    return (struct passage){ t, f, flow_transport(f), stamp };
}

/* What an event leaves behind. */
static void settle(const struct passage *p)
{
    struct transport *x = p->x;
    if (flow_transport(p->f) == NULL) {
        p->t->memory -= x->memory;
        free(x);
        return;
    }
    if (x->other) {
        drop_layers(p->t, x);
        p->t->events->other(p->t->ctx, p->f);
    }
    uint64_t memory = sizeof *x + web_memory(x->web) + tls_memory(x->tls);
    p->t->memory += memory - x->memory;
    x->memory = memory;
}

void transport_data(struct transports *t, struct flow *f, unsigned dir, struct view octets, const struct stamp *stamp)
{
    struct passage p = passage_of(t, f, stamp);
    if (p.x->tls != NULL)
        decrypt(&p, dir, octets);
    else
        carry(&p, dir, octets);
    settle(&p);
}

void transport_gap(struct transports *t, struct flow *f, unsigned dir, uint64_t len, const char *why,
                   const struct stamp *stamp)
{
    struct passage p = passage_of(t, f, stamp);
    if (p.x->other)
        return;
    if (p.x->tls != NULL)
        tls_lose(p.x->tls, dir, len, why, &tls_events, &p);
    else if (p.x->web != NULL)
        web_gap(p.x->web, dir, len, WEB_HOLE, why, &web_events, &p);
    else
        p.x->other = true; /* its first octets are incomplete: nobody can tell what it is */
    settle(&p);
}

void transport_end(struct transports *t, struct flow *f, const struct stamp *stamp)
{
    struct passage p = passage_of(t, f, stamp);
    struct transport *x = p.x;
    if (!x->known && !x->other && x->tls == NULL && x->n_first > 0) { /* too short for what it began like */
        uint8_t first[FIRST_MAX];
        memcpy(first, x->first, x->n_first);
        f->extra->transport = NULL;
        x->known = true;
        carry(&p, x->client, view_of(first, x->n_first));
    }
    settle(&p);
}
