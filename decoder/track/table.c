/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/track/table.c -- hash tables: exchanges by identifier, sessions by client, topics and subscriptions by text.
 */
#include "decoder/track/state.h"

#include "decoder/base/utf8.h"

#include <string.h>

enum {
    FIRST_PLACES = 256,
    PRINT_WHOLE = 256,
    PRINT_END = 64,
    IDLE_TOPICS = 512, /* kept for their next use */
    FEW_EXCHANGES = 8
};

static uint32_t mix(uint64_t h)
{
    h ^= h >> 32;
    h *= 0x9e3779b97f4a7c15u;
    return (uint32_t)(h >> 32);
}

static uint64_t stir(uint64_t h, uint64_t word)
{
    h = (h ^ word) * 0x9e3779b97f4a7c15u;
    return h ^ h >> 29;
}

/* Octets that are no more than eight: the first, the middle and the last ones, which may be the same. */
static uint64_t few_octets(const uint8_t *p, size_t len)
{
    if (len >= 4)
        return utf8_load(p, 4) << 32 | utf8_load(p + len - 4, 4);
    return len > 0 ? (uint64_t)p[0] << 16 | (uint64_t)p[len / 2] << 8 | p[len - 1] : 0;
}

/* Eight octets at a time; the last eight may have been met in part. */
static uint64_t fold(uint64_t h, const uint8_t *p, size_t len)
{
    if (len < 8)
        return stir(h, few_octets(p, len));
    for (size_t at = 0; at + 8 < len; at += 8)
        h = stir(h, utf8_load(p + at, 8));
    return stir(h, utf8_load(p + len - 8, 8));
}

/* Long payloads: their ends and their length; whoever compares prints compares for likeness, not for proof. */
uint32_t print_of(struct view octets, uint32_t seed)
{
    uint64_t h = seed * 0x2545f4914f6cdd1du + octets.len;
    if (octets.len <= PRINT_WHOLE)
        return mix(fold(h, octets.ptr, octets.len));
    h = fold(h, octets.ptr, PRINT_WHOLE - PRINT_END);
    return mix(fold(h, octets.ptr + octets.len - PRINT_END, PRINT_END));
}

static void *zeroed(struct track *t, size_t size)
{
    void *p = mem_take(t, size);
    if (p != NULL)
        memset(p, 0, size);
    return p;
}

bool tables_init(struct track *t)
{
    t->n_ids = t->n_keys = t->n_words = t->n_filters = FIRST_PLACES;
    t->ids = zeroed(t, FIRST_PLACES * sizeof *t->ids);
    t->keys = zeroed(t, FIRST_PLACES * sizeof *t->keys);
    t->words = zeroed(t, FIRST_PLACES * sizeof *t->words);
    t->filters = zeroed(t, FIRST_PLACES * sizeof *t->filters);
    return t->ids != NULL && t->keys != NULL && t->words != NULL && t->filters != NULL;
}

static void free_topics(struct track *t)
{
    for (uint32_t i = 0; t->words != NULL && i < t->n_words; i++)
        for (struct topic *w = t->words[i]; w != NULL; w = w->chain)
            mem_give(t, w->text, w->len);
}

void tables_free(struct track *t)
{
    free_topics(t);
    mem_give(t, t->ids, t->n_ids * sizeof *t->ids);
    mem_give(t, t->keys, t->n_keys * sizeof *t->keys);
    mem_give(t, t->words, t->n_words * sizeof *t->words);
    mem_give(t, t->filters, t->n_filters * sizeof *t->filters);
}

/* Twice the places when more records than places are held. Without memory the chains get longer. */
#define GROW(t, table, places, type, used, place_of)                                                                   \
    do {                                                                                                               \
        if ((used) <= (t)->places)                                                                                     \
            break;                                                                                                     \
        uint32_t n_ = 2 * (t)->places;                                                                                 \
        type **fresh_ = mem_take((t), n_ * sizeof *fresh_);                                                            \
        if (fresh_ == NULL)                                                                                            \
            break;                                                                                                     \
        memset(fresh_, 0, n_ * sizeof *fresh_);                                                                        \
        for (uint32_t i_ = 0; i_ < (t)->places; i_++) {                                                                \
            for (type *r_ = (t)->table[i_], *next_; r_ != NULL; r_ = next_) {                                          \
                next_ = r_->chain;                                                                                     \
                uint32_t place_ = (place_of) & (n_ - 1);                                                               \
                r_->chain = fresh_[place_];                                                                            \
                fresh_[place_] = r_;                                                                                   \
            }                                                                                                          \
        }                                                                                                              \
        mem_give((t), (t)->table, (t)->places * sizeof *fresh_);                                                       \
        (t)->table = fresh_;                                                                                           \
        (t)->places = n_;                                                                                              \
    } while (0)

static uint32_t id_hash(const struct session *s, unsigned slot, uint16_t id)
{
    return mix((s->number << 17 | (uint64_t)slot << 16 | id) * 0xd6e8feb86659fd93u);
}

struct exch *id_find(const struct track *t, const struct session *s, unsigned slot, uint16_t id)
{
    struct exch *x = s->few;
    while (x != NULL && (x->id != id || x->slot != slot))
        x = x->chain;
    if (x != NULL || s->n_hashed == 0)
        return x;
    x = t->ids[id_hash(s, slot, id) & (t->n_ids - 1)];
    while (x != NULL && (x->id != id || x->slot != slot || x->session != s))
        x = x->chain;
    return x;
}

static void chain_put(struct exch **at, struct exch *x)
{
    x->chain = *at;
    *at = x;
}

static void chain_take(struct exch **at, struct exch *x)
{
    while (*at != x)
        at = &(*at)->chain;
    *at = x->chain;
    x->chain = NULL;
}

void id_add(struct track *t, struct exch *x)
{
    struct session *s = x->session;
    if (s->n_few < FEW_EXCHANGES) {
        s->n_few++;
        x->marks |= X_FEW;
        chain_put(&s->few, x);
        return;
    }
    s->n_hashed++;
    t->n_hashed++;
    GROW(t, ids, n_ids, struct exch, t->n_hashed, id_hash(r_->session, r_->slot, r_->id));
    chain_put(&t->ids[id_hash(s, x->slot, x->id) & (t->n_ids - 1)], x);
}

void id_remove(struct track *t, struct exch *x)
{
    struct session *s = x->session;
    if ((x->marks & X_FEW) != 0) {
        s->n_few--;
        x->marks &= (uint16_t)~X_FEW;
        chain_take(&s->few, x);
        return;
    }
    s->n_hashed--;
    t->n_hashed--;
    chain_take(&t->ids[id_hash(s, x->slot, x->id) & (t->n_ids - 1)], x);
}

static uint32_t key_hash(const struct row_endpoint *broker, struct view id)
{
    size_t n = broker->addr.family == 6 ? 16 : 4;
    uint32_t seed = print_of(view_of(broker->addr.octets, n), broker->port);
    return print_of(id, seed);
}

static bool same_endpoint(const struct row_endpoint *a, const struct row_endpoint *b)
{
    return a->port == b->port && a->addr.family == b->addr.family &&
           memcmp(a->addr.octets, b->addr.octets, sizeof a->addr.octets) == 0;
}

struct session *key_find(const struct track *t, const struct row_endpoint *broker, struct view id)
{
    uint32_t hash = key_hash(broker, id);
    struct session *s = t->keys[hash & (t->n_keys - 1)];
    while (s != NULL && (s->hash != hash || s->client_id_len != id.len || memcmp(s->client_id, id.ptr, id.len) != 0 ||
                         !same_endpoint(&s->broker, broker)))
        s = s->chain;
    return s;
}

bool name_set(struct track *t, struct session *s, struct view id)
{
    if (s->client_id != NULL || t->text + id.len > t->cfg.max_text)
        return false;
    char *copy = mem_take(t, id.len > 0 ? id.len : 1);
    if (copy == NULL)
        return false;
    if (id.len > 0)
        memcpy(copy, id.ptr, id.len);
    t->text += id.len;
    s->client_id = copy;
    s->client_id_len = (uint32_t)id.len;
    s->hash = key_hash(&s->broker, id);
    return true;
}

void key_put(struct track *t, struct session *s)
{
    s->flags |= S_KEYED;
    GROW(t, keys, n_keys, struct session, t->sessions.used, r_->hash);
    struct session **at = &t->keys[s->hash & (t->n_keys - 1)];
    s->chain = *at;
    *at = s;
}

void key_remove(struct track *t, struct session *s)
{
    if ((s->flags & S_KEYED) == 0)
        return;
    struct session **at = &t->keys[s->hash & (t->n_keys - 1)];
    while (*at != NULL && *at != s)
        at = &(*at)->chain;
    if (*at == s)
        *at = s->chain;
    s->chain = NULL;
    s->flags &= ~(uint32_t)S_KEYED;
}

static void idle_unlink(struct track *t, struct topic *w)
{
    if (w->prev != NULL)
        w->prev->next = w->next;
    else
        t->idle_first = w->next;
    if (w->next != NULL)
        w->next->prev = w->prev;
    else
        t->idle_last = w->prev;
    w->prev = w->next = NULL;
    t->n_idle--;
}

static void topic_forget(struct track *t, struct topic *w)
{
    idle_unlink(t, w);
    struct topic **at = &t->words[w->hash & (t->n_words - 1)];
    while (*at != w)
        at = &(*at)->chain;
    *at = w->chain;
    t->text -= w->len;
    mem_give(t, w->text, w->len);
    slab_give(&t->topics, w);
}

static bool room_for(struct track *t, size_t len)
{
    while (t->topics.used >= t->cfg.max_topics || t->text + len > t->cfg.max_text) {
        if (t->idle_first == NULL)
            return false;
        topic_forget(t, t->idle_first);
    }
    return true;
}

static struct topic *topic_new(struct track *t, struct view text, uint32_t hash)
{
    struct topic *w = room_for(t, text.len) ? slab_take(t, &t->topics) : NULL;
    char *copy = w != NULL && text.len > 0 ? mem_take(t, text.len) : NULL;
    if (w == NULL || (text.len > 0 && copy == NULL)) {
        if (w != NULL)
            slab_give(&t->topics, w);
        t->counts.topics_lost++;
        return NULL;
    }
    if (text.len > 0)
        memcpy(copy, text.ptr, text.len);
    t->text += text.len;
    w->text = copy;
    w->len = (uint16_t)text.len;
    w->hash = hash;
    w->refs = 1;
    GROW(t, words, n_words, struct topic, t->topics.used, r_->hash);
    struct topic **at = &t->words[hash & (t->n_words - 1)];
    w->chain = *at;
    *at = w;
    return w;
}

struct topic *topic_hold(struct track *t, struct view text)
{
    if (text.ptr == NULL || text.len > UINT16_MAX)
        return NULL;
    uint32_t hash = print_of(text, 0);
    struct topic *w = t->words[hash & (t->n_words - 1)];
    while (w != NULL &&
           (w->hash != hash || w->len != text.len || (text.len > 0 && memcmp(w->text, text.ptr, text.len) != 0)))
        w = w->chain;
    if (w == NULL)
        return topic_new(t, text, hash);
    if (w->refs++ == 0)
        idle_unlink(t, w);
    return w;
}

struct topic *topic_share(struct topic *w)
{
    if (w != NULL)
        w->refs++;
    return w;
}

void topic_drop(struct track *t, struct topic *w)
{
    if (w == NULL || --w->refs > 0)
        return;
    w->prev = t->idle_last;
    w->next = NULL;
    if (t->idle_last != NULL)
        t->idle_last->next = w;
    else
        t->idle_first = w;
    t->idle_last = w;
    if (++t->n_idle > IDLE_TOPICS)
        topic_forget(t, t->idle_first);
}

static uint32_t sub_hash(const struct session *s, const struct topic *filter)
{
    return mix(s->number * 0x9e3779b97f4a7c15u ^ (uint64_t)filter->hash << 7);
}

struct sub *sub_find(const struct track *t, const struct session *s, const struct topic *filter)
{
    struct sub *b = t->filters[sub_hash(s, filter) & (t->n_filters - 1)];
    while (b != NULL && (b->filter != filter || b->session != s))
        b = b->chain;
    return b;
}

struct sub *sub_add(struct track *t, struct session *s, struct topic *filter)
{
    struct sub *b = t->subs.used < t->cfg.max_subscriptions ? slab_take(t, &t->subs) : NULL;
    if (b == NULL) {
        topic_drop(t, filter);
        t->counts.subscriptions_lost++;
        s->flags |= S_SUBS_LOST;
        return NULL;
    }
    b->session = s;
    b->filter = filter;
    b->granted = 0xff;
    b->next = s->subs;
    s->subs = b;
    GROW(t, filters, n_filters, struct sub, t->subs.used, sub_hash(r_->session, r_->filter));
    struct sub **at = &t->filters[sub_hash(s, filter) & (t->n_filters - 1)];
    b->chain = *at;
    *at = b;
    return b;
}

static void unhash(struct track *t, struct sub *b)
{
    struct sub **at = &t->filters[sub_hash(b->session, b->filter) & (t->n_filters - 1)];
    while (*at != NULL && *at != b)
        at = &(*at)->chain;
    if (*at == b)
        *at = b->chain;
}

static void sub_drop(struct track *t, struct sub *b)
{
    unhash(t, b);
    sub_unask(b);
    topic_drop(t, b->filter);
    slab_give(&t->subs, b);
}

void sub_unask(struct sub *b)
{
    struct sub **at = b->asked != NULL ? &b->asked->subs : NULL;
    while (at != NULL && *at != NULL && *at != b)
        at = &(*at)->asked_next;
    if (at != NULL && *at == b)
        *at = b->asked_next;
    b->asked = NULL;
    b->asked_next = NULL;
}

void subs_clear(struct track *t, struct session *s, const struct conn *asker)
{
    struct sub **at = &s->subs;
    for (struct sub *b; (b = *at) != NULL;) {
        if (asker != NULL && b->frame >= asker->connect_frame) {
            b->granted = b->best = 0xff;
            b->gone = false;
            at = &b->next;
            continue;
        }
        *at = b->next;
        sub_drop(t, b);
    }
    s->n_subs = 0;
    s->low_grant = 2;
    s->flags &= ~(uint32_t)S_SUBS_LOST;
}

void subs_move(struct track *t, struct session *from, struct session *to)
{
    for (struct sub *b; (b = from->subs) != NULL;) {
        from->subs = b->next;
        struct sub *old = sub_find(t, to, b->filter);
        if (old != NULL) { /* what is asked now replaces it */
            struct sub **at = &to->subs;
            while (*at != old)
                at = &(*at)->next;
            *at = old->next;
            b->best = old->best;
            b->granted = old->granted;
            b->changed = b->changed || b->identifier_was != 0 || old->changed;
            b->identifier_was = old->identifier;
            sub_drop(t, old);
        }
        unhash(t, b);
        b->session = to;
        b->next = to->subs;
        to->subs = b;
        struct sub **place = &t->filters[sub_hash(to, b->filter) & (t->n_filters - 1)];
        b->chain = *place;
        *place = b;
    }
}
