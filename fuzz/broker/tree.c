/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/broker/tree.c -- one tree for topic filters and retained topics, a node per level.
 *
 * Children are found through one hash table keyed by (parent, name) under a random seed, so a level with a million
 * names costs the same as one with three. Depth is limited when a node is made; walking recurses no deeper than that.
 */
#include "fuzz/broker/internal.h"
#include <string.h>

uint32_t tree_hash(const struct broker *b, const void *octets, size_t len, uint64_t salt)
{
    const uint8_t *p = octets;
    uint64_t h = b->seed[0] ^ salt;
    for (; len >= 8; p += 8, len -= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        h = (h ^ word) * 0x9e3779b97f4a7c15u;
        h ^= h >> 29;
    }
    uint64_t word = len;
    for (size_t i = 0; i < len; i++)
        word = word << 8 | p[i];
    h = (h ^ word ^ b->seed[1]) * 0xbf58476d1ce4e5b9u;
    return (uint32_t)(h >> 32 ^ h);
}

static uint32_t node_key(const struct broker *b, const struct node *parent, struct view name)
{
    return tree_hash(b, name.ptr, name.len, (uint64_t)(uintptr_t)parent);
}

static struct node *find_child(const struct broker *b, const struct node *parent, struct view name)
{
    const struct tree *t = &b->tree;
    if (parent->child == NULL)
        return NULL;
    uint32_t key = node_key(b, parent, name);
    for (struct node *n = t->table[key & (t->cap - 1)]; n != NULL; n = n->chain)
        if (n->key == key && n->parent == parent && n->name_len == name.len && memcmp(n->name, name.ptr, name.len) == 0)
            return n;
    return NULL;
}

static bool tree_grow(struct broker *b)
{
    struct tree *t = &b->tree;
    uint32_t cap = t->cap == 0 ? 64 : t->cap * 2;
    struct node **table = mem_zero(&b->memory, cap * sizeof *table);
    if (table == NULL)
        return t->cap > 0; /* longer chains, then */
    for (uint32_t i = 0; i < t->cap; i++) {
        for (struct node *n = t->table[i], *next; n != NULL; n = next) {
            next = n->chain;
            n->chain = table[n->key & (cap - 1)];
            table[n->key & (cap - 1)] = n;
        }
    }
    mem_free(&b->memory, t->table, t->cap * sizeof *t->table);
    t->table = table;
    t->cap = cap;
    return true;
}

static bool is(struct view name, char wildcard)
{
    return name.len == 1 && name.ptr[0] == wildcard;
}

static struct node *add_child(struct broker *b, struct node *parent, struct view name)
{
    struct tree *t = &b->tree;
    if (t->n >= t->cap && !tree_grow(b))
        return NULL;
    struct node *n = mem_zero(&b->memory, sizeof *n + name.len);
    if (n == NULL)
        return NULL;
    n->parent = parent;
    n->depth = (uint16_t)(parent->depth + 1);
    n->name_len = (uint16_t)name.len;
    memcpy(n->name, name.ptr, name.len);
    n->key = node_key(b, parent, name);
    n->chain = t->table[n->key & (t->cap - 1)];
    t->table[n->key & (t->cap - 1)] = n;
    t->n++;
    n->next = parent->child;
    n->at = &parent->child;
    if (n->next != NULL)
        n->next->at = &n->next;
    parent->child = n;
    if (is(name, '+'))
        parent->plus = n;
    else if (is(name, '#'))
        parent->hash = n;
    return n;
}

/* The level that starts at pos; *next is the start of the one behind it, path.len + 1 behind the last. */
static struct view level_at(struct view path, size_t pos, size_t *next)
{
    const uint8_t *start = path.ptr + pos;
    const uint8_t *slash = memchr(start, '/', path.len - pos);
    size_t len = slash == NULL ? path.len - pos : (size_t)(slash - start);
    *next = pos + len + 1;
    return view_of(start, len);
}

unsigned tree_levels(struct view path)
{
    unsigned n = 1;
    for (size_t i = 0; i < path.len; i++)
        n += path.ptr[i] == '/';
    return n;
}

struct node *tree_node(struct broker *b, struct view path, bool make)
{
    struct tree *t = &b->tree;
    if (t->root == NULL && (!make || (t->root = mem_zero(&b->memory, sizeof *t->root)) == NULL))
        return NULL;
    if (make && tree_levels(path) > b->config.max_levels)
        return NULL;
    struct node *n = t->root;
    for (size_t pos = 0; pos <= path.len;) {
        struct view name = level_at(path, pos, &pos);
        struct node *child = find_child(b, n, name);
        if (child == NULL && (!make || (child = add_child(b, n, name)) == NULL)) {
            if (make)
                tree_prune(b, n);
            return NULL;
        }
        n = child;
    }
    return n;
}

static void unchain(struct tree *t, struct node *n)
{
    struct node **at = &t->table[n->key & (t->cap - 1)];
    while (*at != n)
        at = &(*at)->chain;
    *at = n->chain;
    t->n--;
}

void tree_prune(struct broker *b, struct node *n)
{
    while (n->parent != NULL && n->child == NULL && n->subs == NULL && n->groups == NULL && n->retained == NULL) {
        struct node *parent = n->parent;
        unchain(&b->tree, n);
        *n->at = n->next;
        if (n->next != NULL)
            n->next->at = n->at;
        if (parent->plus == n)
            parent->plus = NULL;
        if (parent->hash == n)
            parent->hash = NULL;
        mem_free(&b->memory, n, sizeof *n + n->name_len);
        n = parent;
    }
}

/* Everybody who refers to a node is gone by now, except retained messages. */
void tree_done(struct broker *b)
{
    struct node *n = b->tree.root;
    while (n != NULL) {
        if (n->child != NULL) {
            n = n->child;
            continue;
        }
        struct node *up = n->parent;
        message_drop(b, n->retained);
        if (up != NULL)
            up->child = n->next;
        mem_free(&b->memory, n, sizeof *n + n->name_len);
        n = up;
    }
    mem_free(&b->memory, b->tree.table, b->tree.cap * sizeof *b->tree.table);
    b->tree = (struct tree){ NULL, NULL, 0, 0 };
}

struct walk {
    struct broker *b;
    struct view topic;
    const struct match_events *events;
    void *ctx;
    bool dollar; /* the topic starts with $: wildcards of the first level do not match it [MQTT-4.7.2-1] */
};

static void tell(const struct walk *w, const struct node *n)
{
    for (struct subscription *s = n->subs, *next; s != NULL; s = next) {
        next = s->next;
        w->events->subscription(w->ctx, s);
    }
    for (struct group *g = n->groups, *next; g != NULL; g = next) {
        next = g->next;
        w->events->group(w->ctx, g);
    }
}

/* n matches the levels before pos. */
static void match(const struct walk *w, const struct node *n, size_t pos)
{
    bool wildcards = n->parent != NULL || !w->dollar;
    if (n->hash != NULL && wildcards)
        tell(w, n->hash); /* # is any number of levels, none included */
    if (pos > w->topic.len) {
        tell(w, n);
        return;
    }
    size_t next;
    struct view name = level_at(w->topic, pos, &next);
    const struct node *child = find_child(w->b, n, name);
    if (child != NULL && child != n->hash && child != n->plus)
        match(w, child, next);
    if (n->plus != NULL && wildcards)
        match(w, n->plus, next);
}

void tree_match(struct broker *b, struct view topic, const struct match_events *events, void *ctx)
{
    if (b->tree.root == NULL || topic.len == 0)
        return;
    struct walk w = { b, topic, events, ctx, topic.ptr[0] == '$' && !FAULTY(b, DOLLAR_WILDCARD) };
    match(&w, b->tree.root, 0);
}

struct retained_walk {
    struct broker *b;
    struct view filter;
    bool (*each)(void *ctx, struct node *n);
    void *ctx;
};

static bool hidden(const struct retained_walk *w, const struct node *parent, const struct node *n)
{
    return parent->parent == NULL && n->name_len > 0 && n->name[0] == '$' && !FAULTY(w->b, DOLLAR_WILDCARD);
}

static bool all_below(const struct retained_walk *w, struct node *n)
{
    if (n->retained != NULL && !w->each(w->ctx, n))
        return false;
    for (struct node *child = n->child; child != NULL; child = child->next)
        if (!hidden(w, n, child) && !all_below(w, child))
            return false;
    return true;
}

static bool retained(const struct retained_walk *w, struct node *n, size_t pos)
{
    if (pos > w->filter.len)
        return n->retained == NULL || w->each(w->ctx, n);
    size_t next;
    struct view name = level_at(w->filter, pos, &next);
    if (is(name, '#'))
        return all_below(w, n);
    if (!is(name, '+')) {
        struct node *child = find_child(w->b, n, name);
        return child == NULL || retained(w, child, next);
    }
    for (struct node *child = n->child; child != NULL; child = child->next)
        if (!hidden(w, n, child) && !retained(w, child, next))
            return false;
    return true;
}

void tree_retained(struct broker *b, struct view filter, bool (*each)(void *ctx, struct node *n), void *ctx)
{
    if (b->tree.root == NULL)
        return;
    struct retained_walk w = { b, filter, each, ctx };
    retained(&w, b->tree.root, 0);
}
