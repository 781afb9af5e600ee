/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/track/table.c -- hash tables: exchanges by identifier, sessions by client; and the texts of topics. */
#include "decoder/track/state.h"

#include "decoder/base/prefetch.h"
#include "decoder/base/utf8.h"

#include <string.h>

enum { FIRST_PLACES = 256, PRINT_WHOLE = 256, PRINT_END = 64, FEW_EXCHANGES = 8 };

static uint32_t mix(uint64_t h)
{
    h ^= h >> 32;
    h *= 0x9e3779b97f4a7c15u;
    return (uint32_t)(h >> 32);
}

/* Octets that are no more than eight: the first, the middle and the last ones, which may be the same. */
static uint64_t few_octets(const uint8_t *p, size_t len)
{
    if (len >= 4)
        return utf8_load(p, 4) << 32 | utf8_load(p + len - 4, 4);
    return len > 0 ? (uint64_t)p[0] << 16 | (uint64_t)p[len / 2] << 8 | p[len - 1] : 0;
}

/* Eight octets, the n-th of those that a sum is made of: none of these products waits for another. */
static inline uint64_t stir(uint64_t word, unsigned n)
{
    static const uint64_t odd[] = { 0x9e3779b97f4a7c15u, 0xd6e8feb86659fd93u, 0xc2b2ae3d27d4eb4fu,
                                    0x165667b19e3779f9u, 0xff51afd7ed558ccdu, 0xa0761d6478bd642fu };
    return (word ^ word >> 32) * odd[n];
}

static inline uint64_t sum_of_48(const uint8_t *front, const uint8_t *back)
{
    return stir(utf8_load(front, 8), 0) + stir(utf8_load(front + 8, 8), 1) + stir(utf8_load(front + 16, 8), 2) +
           stir(utf8_load(back, 8), 3) + stir(utf8_load(back + 8, 8), 4) + stir(utf8_load(back + 16, 8), 5);
}

/* Lengths fall into few classes, in each of which all octets are read, some of them twice. */
static inline uint64_t fold_48(uint64_t h, const uint8_t *p, size_t len)
{
    if (len > 24)
        return h + sum_of_48(p, p + len - 24);
    if (len >= 8)
        return h + stir(utf8_load(p, 8), 0) + stir(utf8_load(p + (len - 8) / 2, 8), 1) +
               stir(utf8_load(p + len - 8, 8), 2);
    return h + stir(few_octets(p, len), 0);
}

/* More than 48 octets. */
static uint64_t fold(uint64_t h, const uint8_t *p, size_t len)
{
    const uint8_t *end = p + len;
    for (; end - p > 48; p += 48)
        h = stir(h + sum_of_48(p, p + 24), 0);
    return h + sum_of_48(end - 48, end - 24);
}

/* Long payloads: their ends and their length; whoever compares prints compares for likeness, not for proof. */
__attribute__((noinline)) static uint32_t print_long(struct view octets, uint64_t h)
{
    if (octets.len <= PRINT_WHOLE)
        return mix(fold(h, octets.ptr, octets.len));
    h = fold(h, octets.ptr, PRINT_WHOLE - PRINT_END);
    return mix(fold(h, octets.ptr + octets.len - PRINT_END, PRINT_END));
}

uint32_t print_of(struct view octets, uint32_t seed)
{
    uint64_t h = seed * 0x2545f4914f6cdd1du + octets.len;
    return octets.len <= 48 ? mix(fold_48(h, octets.ptr, octets.len)) : print_long(octets, h);
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
    t->n_ids = t->n_keys = FIRST_PLACES;
    t->ids = zeroed(t, FIRST_PLACES * sizeof *t->ids);
    t->keys = zeroed(t, FIRST_PLACES * sizeof *t->keys);
    return t->ids != NULL && t->keys != NULL;
}

void tables_free(struct track *t)
{
    mem_give(t, t->ids, t->n_ids * sizeof *t->ids);
    mem_give(t, t->keys, t->n_keys * sizeof *t->keys);
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
    if (id > s->id_high[slot]) /* nearly every sender counts up */
        return NULL;
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

/* What it was begun on is closed and waits for answers that cross the FIN: the client has come back, none will. */
RARELY static struct exch *id_settled(struct track *t, const struct session *s, struct exch *x)
{
    unsigned slot = x->slot;
    uint16_t id = x->id;
    conn_settle(t, x->conn);
    return id_find(t, s, slot, id);
}

struct exch *id_open(struct track *t, const struct conn *c, unsigned slot, uint16_t id)
{
    struct exch *x = id_find(t, c->session, slot, id);
    return x == NULL || x->conn == c || x->conn == NULL ? x : id_settled(t, c->session, x);
}

struct exch *id_answered(struct track *t, const struct conn *c, unsigned slot, uint16_t id)
{
    struct exch *x = c->wait;
    if (x != NULL && x->id == id && x->slot == slot && x->session == c->session)
        return x;
    return id_open(t, c, slot, id);
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
    if (x->id > s->id_high[x->slot])
        s->id_high[x->slot] = x->id;
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
    } else {
        s->n_hashed--;
        t->n_hashed--;
        chain_take(&t->ids[id_hash(s, x->slot, x->id) & (t->n_ids - 1)], x);
    }
    if (s->n_few + s->n_hashed == 0)
        s->id_high[0] = s->id_high[1] = 0;
}

static uint32_t key_hash(const struct row_endpoint *broker, struct view id)
{
    size_t n = broker->addr.family == 6 ? 16 : 4;
    uint32_t seed = print_of(view_of(broker->addr.octets, n), broker->port);
    return print_of(id, seed);
}

static bool is_at(const struct session *s, const struct row_endpoint *broker)
{
    if (s->port[1] != broker->port || s->family != broker->addr.family)
        return false;
    return s->family == 6 ? memcmp(s->v6->addr[1], broker->addr.octets, 16) == 0
                          : memcmp(s->v4[1], broker->addr.octets, 4) == 0;
}

static bool is_named(const struct session *s, const struct row_endpoint *broker, struct view id)
{
    return s->client_id_len == id.len && memcmp(s->client_id, id.ptr, id.len) == 0 && is_at(s, broker);
}

static struct session *named(const struct track *t, uint32_t hash, const struct row_endpoint *broker, struct view id)
{
    for (uint32_t at = hash & (t->n_keys - 1); t->keys[at].session != 0; at = (at + 1) & (t->n_keys - 1)) {
        struct session *s = t->keys[at].hash == hash ? session_at(t, t->keys[at].session) : NULL;
        if (s != NULL && is_named(s, broker, id))
            return s;
    }
    return NULL;
}

struct session *key_find(const struct track *t, const struct row_endpoint *broker, struct view id)
{
    return named(t, key_hash(broker, id), broker, id);
}

struct session *key_find_like(const struct track *t, const struct session *s)
{
    struct row_endpoint broker = session_endpoint(s, 1);
    return named(t, s->hash, &broker, view_of(s->client_id, s->client_id_len));
}

void key_prefetch(const struct track *t, const struct session *s)
{
    prefetch_line(&t->keys[s->hash & (t->n_keys - 1)]);
}

bool name_set(struct track *t, struct session *s, struct view id)
{
    if (s->client_id != NULL || id.len > UINT16_MAX || t->text + id.len > t->cfg.max_text)
        return false;
    char *copy = pool_take(t, &t->texts, id.len);
    if (copy == NULL)
        return false;
    if (id.len > 0)
        memcpy(copy, id.ptr, id.len);
    t->text += id.len;
    s->client_id = copy;
    s->client_id_len = (uint16_t)id.len;
    struct row_endpoint broker = session_endpoint(s, 1);
    s->hash = key_hash(&broker, id);
    return true;
}

static uint32_t place_for(const struct key *keys, uint32_t n, uint32_t hash)
{
    uint32_t at = hash & (n - 1);
    while (keys[at].session != 0)
        at = (at + 1) & (n - 1);
    return at;
}

static void keys_grow(struct track *t)
{
    uint32_t n = 2 * t->n_keys;
    struct key *keys = zeroed(t, n * sizeof *keys);
    if (keys == NULL)
        return;
    for (uint32_t i = 0; i < t->n_keys; i++)
        if (t->keys[i].session != 0)
            keys[place_for(keys, n, t->keys[i].hash)] = t->keys[i];
    mem_give(t, t->keys, t->n_keys * sizeof *keys);
    t->keys = keys;
    t->n_keys = n;
}

void key_put(struct track *t, struct session *s)
{
    if (t->n_keyed >= t->n_keys - t->n_keys / 8)
        keys_grow(t);
    if (t->n_keyed + 1 >= t->n_keys) /* no memory: it will not be known again */
        return;
    t->keys[place_for(t->keys, t->n_keys, s->hash)] = (struct key){ s->hash, s->index };
    t->n_keyed++;
    s->flags |= S_KEYED;
}

/* What lies behind the hole and could not come nearer to its place for it does so now. */
void key_remove(struct track *t, struct session *s)
{
    uint32_t mask = t->n_keys - 1, at = s->hash & mask;
    if ((s->flags & S_KEYED) == 0)
        return;
    while (t->keys[at].session != s->index)
        at = (at + 1) & mask;
    for (uint32_t next = (at + 1) & mask; t->keys[next].session != 0; next = (next + 1) & mask) {
        if (((next - t->keys[next].hash) & mask) < ((next - at) & mask))
            continue;
        t->keys[at] = t->keys[next];
        at = next;
    }
    t->keys[at] = (struct key){ 0 };
    t->n_keyed--;
    s->flags &= ~(uint32_t)S_KEYED;
}

struct topic *topic_hold(struct track *t, struct view text)
{
    if (text.ptr == NULL || text.len > UINT16_MAX)
        return NULL;
    struct topic *w = NULL;
    if (t->n_topics < t->cfg.max_topics && t->text + text.len <= t->cfg.max_text)
        w = pool_take(t, &t->texts, offsetof(struct topic, text) + text.len);
    if (w == NULL) {
        t->counts.topics_lost++;
        return NULL;
    }
    if (text.len > 0)
        memcpy(w->text, text.ptr, text.len);
    w->len = (uint16_t)text.len;
    w->refs = 1;
    t->text += text.len;
    t->n_topics++;
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
    t->text -= w->len;
    t->n_topics--;
    pool_give(t, &t->texts, w, offsetof(struct topic, text) + w->len);
}
