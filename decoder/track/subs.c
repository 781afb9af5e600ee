/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/track/subs.c -- the subscriptions of a session as records with their filter; a table finds them by it once
 * they are many. */
#include "decoder/track/state.h"

#include <string.h>

enum { FEW_SUBS = 8, FAILURE = 0x80, NOT_ANSWERED = 0xff };

static size_t size_of(const struct sub *b)
{
    return offsetof(struct sub, filter) + b->len;
}

/* ---- the table: open addressing, no more than half full ---- */

static void table_put(struct past *p, struct sub *b)
{
    uint32_t at = b->hash & (p->sub_places - 1);
    while (p->sub_table[at] != NULL)
        at = (at + 1) & (p->sub_places - 1);
    p->sub_table[at] = b;
}

static void table_free(struct track *t, struct session *s)
{
    struct past *p = s->past;
    if (p == NULL)
        return;
    mem_give(t, p->sub_table, p->sub_places * sizeof *p->sub_table);
    p->sub_table = NULL;
    p->sub_places = 0;
}

/* Without memory the list is walked. */
static void table_build(struct track *t, struct session *s)
{
    uint32_t n = 0, places = 4 * FEW_SUBS;
    for (const struct sub *b = s->subs; b != NULL; b = b->next)
        n++;
    table_free(t, s);
    struct past *p = n > FEW_SUBS ? past_make(t, s) : &t->no_past;
    if (p == &t->no_past)
        return;
    while (places < 4 * n)
        places *= 2;
    p->sub_table = mem_take(t, places * sizeof *p->sub_table);
    if (p->sub_table == NULL)
        return;
    memset(p->sub_table, 0, places * sizeof *p->sub_table);
    p->sub_places = places;
    p->n_held = n;
    for (struct sub *b = s->subs; b != NULL; b = b->next)
        table_put(p, b);
}

static void table_take(struct past *p, const struct sub *b)
{
    uint32_t mask = p->sub_places - 1, at = b->hash & mask;
    while (p->sub_table[at] != b)
        at = (at + 1) & mask;
    for (uint32_t next = (at + 1) & mask; p->sub_table[next] != NULL; next = (next + 1) & mask) {
        uint32_t home = p->sub_table[next]->hash & mask;
        if (((next - home) & mask) < ((next - at) & mask)) /* it lies behind its home as it is */
            continue;
        p->sub_table[at] = p->sub_table[next];
        at = next;
    }
    p->sub_table[at] = NULL;
}

/* ---- records ---- */

static bool is_filter(const struct sub *b, struct view filter, uint32_t hash)
{
    return b->hash == hash && b->len == filter.len &&
           (filter.len == 0 || memcmp(b->filter, filter.ptr, filter.len) == 0);
}

struct sub *sub_find(const struct session *s, struct view filter)
{
    uint32_t hash = print_of(filter, 0);
    const struct past *p = past_of(s);
    struct sub *b = s->subs;
    if (p->sub_table == NULL) {
        while (b != NULL && !is_filter(b, filter, hash))
            b = b->next;
        return b;
    }
    uint32_t at = hash & (p->sub_places - 1);
    while ((b = p->sub_table[at]) != NULL && !is_filter(b, filter, hash))
        at = (at + 1) & (p->sub_places - 1);
    return b;
}

static bool many(const struct session *s)
{
    unsigned n = 0;
    for (const struct sub *b = s->subs; b != NULL && n <= FEW_SUBS; b = b->next)
        n++;
    return n > FEW_SUBS;
}

static void link(struct track *t, struct session *s, struct sub *b)
{
    b->next = s->subs;
    s->subs = b;
    s->n_subs += !b->gone && b->granted < FAILURE;
    if (past_of(s)->sub_table != NULL && 2 * ++s->past->n_held <= s->past->sub_places)
        table_put(s->past, b);
    else if (past_of(s)->sub_table != NULL || many(s))
        table_build(t, s);
}

/* *at is the place in the list where it stands. */
static struct sub *unlink(struct session *s, struct sub **at)
{
    struct sub *b = *at;
    *at = b->next;
    s->n_subs -= !b->gone && b->granted < FAILURE;
    if (past_of(s)->sub_table != NULL) {
        s->past->n_held--;
        table_take(s->past, b);
    }
    return b;
}

struct sub *sub_add(struct track *t, struct session *s, struct view filter)
{
    struct sub *b = NULL;
    if (t->n_subs < t->cfg.max_subscriptions && filter.len <= UINT16_MAX && t->text + filter.len <= t->cfg.max_text)
        b = pool_take(t, &t->texts, offsetof(struct sub, filter) + filter.len);
    if (b == NULL) {
        t->counts.subscriptions_lost++;
        s->flags |= S_SUBS_LOST;
        return NULL;
    }
    *b = (struct sub){ 0 };
    if (filter.len > 0)
        memcpy(b->filter, filter.ptr, filter.len);
    b->len = filter.len & UINT16_MAX;
    b->hash = print_of(filter, 0);
    b->granted = b->best = NOT_ANSWERED;
    t->text += filter.len;
    t->n_subs++;
    link(t, s, b);
    return b;
}

/* What SUBACK or UNSUBACK says of it, or that it is asked for anew. */
void sub_grant(struct session *s, struct sub *b, uint8_t granted, bool gone)
{
    s->n_subs -= !b->gone && b->granted < FAILURE;
    b->granted = granted;
    b->gone = gone;
    s->n_subs += !gone && granted < FAILURE;
}

static void unask(struct track *t, struct ask *a)
{
    if (a == NULL)
        return;
    if (a->prev != NULL)
        a->prev->next = a->next;
    else
        a->exch->asks = a->next;
    if (a->next != NULL)
        a->next->prev = a->prev;
    a->sub->asked = NULL;
    slab_give(&t->asks, a);
}

static void drop(struct track *t, struct sub *b)
{
    unask(t, b->asked);
    t->text -= b->len;
    t->n_subs--;
    pool_give(t, &t->texts, b, size_of(b));
}

/* ---- requests under way ---- */

bool sub_ask(struct track *t, struct exch *x, struct sub *b, uint32_t at)
{
    b->unsure = b->unsure || b->asked != NULL;
    unask(t, b->asked); /* the later request counts */
    struct ask *a = slab_take(t, &t->asks);
    if (a == NULL)
        return false;
    *a = (struct ask){ .next = x->asks, .exch = x, .sub = b, .at = at };
    if (x->asks != NULL)
        x->asks->prev = a;
    x->asks = b->asked = a;
    return true;
}

void asks_clear(struct track *t, struct exch *x)
{
    while (x->asks != NULL)
        unask(t, x->asks);
}

/* ---- all of a session ---- */

void subs_clear(struct track *t, struct session *s, const struct conn *asker)
{
    table_free(t, s);
    struct sub **at = &s->subs;
    for (struct sub *b; (b = *at) != NULL;) {
        if (asker != NULL && b->frame >= asker->connect_frame) {
            sub_grant(s, b, NOT_ANSWERED, false);
            b->best = NOT_ANSWERED;
            at = &b->next;
            continue;
        }
        drop(t, unlink(s, at));
    }
    if (many(s))
        table_build(t, s);
    s->low_grant = 2;
    s->flags &= ~(uint32_t)S_SUBS_LOST;
}

static struct sub **place_of(struct session *s, const struct sub *b)
{
    struct sub **at = &s->subs;
    while (*at != b)
        at = &(*at)->next;
    return at;
}

void subs_move(struct track *t, struct session *from, struct session *to)
{
    table_free(t, from);
    while (from->subs != NULL) {
        struct sub *b = unlink(from, &from->subs);
        struct sub *old = sub_find(to, sub_filter(b));
        if (old != NULL) { /* what is asked now replaces it */
            b->best = old->best;
            b->granted = old->granted;
            b->changed = b->changed || b->identifier_was != 0 || old->changed;
            b->identifier_was = old->identifier;
            drop(t, unlink(to, place_of(to, old)));
        }
        link(t, to, b);
    }
}
