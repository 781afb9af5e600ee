/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/broker/subscribe.c -- SUBSCRIBE and UNSUBSCRIBE (sections 3.8 to 3.11, 4.8.2). */
#include "decoder/mqtt/topic.h"
#include "fuzz/broker/internal.h"
#include <stdlib.h>
#include <string.h>

/* ---- subscriptions on the tree ---- */

static struct group *find_group(struct node *n, struct view name)
{
    for (struct group *g = n->groups; g != NULL; g = g->next)
        if (g->name_len == name.len && memcmp(g->name, name.ptr, name.len) == 0)
            return g;
    return NULL;
}

static struct group *make_group(struct broker *b, struct node *n, struct view name)
{
    struct group *g = mem_zero(&b->memory, sizeof *g + name.len);
    if (g == NULL)
        return NULL;
    g->node = n;
    g->name_len = (uint16_t)name.len;
    memcpy(g->name, name.ptr, name.len);
    g->next = n->groups;
    g->at = &n->groups;
    if (g->next != NULL)
        g->next->at = &g->next;
    n->groups = g;
    return g;
}

static void prune_group(struct broker *b, struct group *g)
{
    if (g == NULL || g->members != NULL)
        return;
    *g->at = g->next;
    if (g->next != NULL)
        g->next->at = g->at;
    mem_free(&b->memory, g, sizeof *g + g->name_len);
}

/* Looks through the node's list and the session's at once: the shorter one decides. */
static struct subscription *find_subscription(struct session *s, struct node *n, struct group *g, bool shared)
{
    if (n == NULL || (shared && g == NULL))
        return NULL;
    struct subscription *theirs = shared ? g->members : n->subs, *mine = s->subs;
    for (; theirs != NULL && mine != NULL; theirs = theirs->next, mine = mine->mine) {
        if (theirs->session == s)
            return theirs;
        if (mine->node == n && mine->group == g)
            return mine;
    }
    return NULL;
}

static void link_subscription(struct subscription *sub)
{
    struct subscription **list = sub->group != NULL ? &sub->group->members : &sub->node->subs;
    sub->next = *list;
    sub->at = list;
    if (sub->next != NULL)
        sub->next->at = &sub->next;
    *list = sub;
    struct session *s = sub->session;
    sub->mine = s->subs;
    sub->mine_at = &s->subs;
    if (sub->mine != NULL)
        sub->mine->mine_at = &sub->mine;
    s->subs = sub;
    s->nsubs++;
}

void unsubscribe(struct broker *b, struct subscription *sub)
{
    struct node *n = sub->node;
    struct group *g = sub->group;
    if (g != NULL && g->turn == sub)
        g->turn = sub->next;
    *sub->at = sub->next;
    if (sub->next != NULL)
        sub->next->at = sub->at;
    *sub->mine_at = sub->mine;
    if (sub->mine != NULL)
        sub->mine->mine_at = sub->mine_at;
    sub->session->nsubs--;
    b->stats.subscriptions--;
    mem_free(&b->memory, sub, sizeof *sub);
    prune_group(b, g);
    tree_prune(b, n);
}

struct wanted { /* one filter of a SUBSCRIBE */
    struct view filter, share, inner;
    bool shared;
    uint8_t options;
    uint32_t id;
};

static struct wanted want(const struct broker_conn *c, const struct mqtt_filter *f, uint32_t id)
{
    struct wanted w = { .filter = f->filter, .inner = f->filter, .options = f->options, .id = id };
    w.shared = c->version == MQTT_V5 && topic_is_shared(f->filter);
    if (w.shared) {
        w.share = topic_share_name(f->filter);
        w.inner = topic_share_filter(f->filter);
    }
    return w;
}

static struct subscription *lookup(struct broker *b, struct session *s, const struct wanted *w)
{
    struct node *n = tree_node(b, w->inner, false);
    struct group *g = n != NULL && w->shared ? find_group(n, w->share) : NULL;
    return find_subscription(s, n, g, w->shared);
}

/* NULL: a limit or no memory. */
static struct subscription *subscribe(struct broker *b, struct session *s, const struct wanted *w)
{
    struct node *n = s->nsubs < b->config.max_subscriptions ? tree_node(b, w->inner, true) : NULL;
    if (n == NULL)
        return NULL;
    struct group *g = w->shared ? find_group(n, w->share) : NULL;
    if (w->shared && g == NULL)
        g = make_group(b, n, w->share);
    struct subscription *sub = w->shared && g == NULL ? NULL : mem_zero(&b->memory, sizeof *sub);
    if (sub == NULL) {
        prune_group(b, g);
        tree_prune(b, n);
        return NULL;
    }
    *sub = (struct subscription){ .node = n, .group = g, .session = s };
    link_subscription(sub);
    b->stats.subscriptions++;
    return sub;
}

/* ---- SUBSCRIBE ---- */

enum { SEND_RETAINED = 0x40 }; /* beside a granted QoS in the list under construction */

static bool has_wildcard(struct view filter)
{
    return memchr(filter.ptr, '+', filter.len) != NULL || memchr(filter.ptr, '#', filter.len) != NULL;
}

static bool ends_with(struct view filter, const char *tail)
{
    size_t len = strlen(tail);
    return filter.len >= len && memcmp(filter.ptr + filter.len - len, tail, len) == 0;
}

static bool denied(const struct broker *b, struct view filter)
{
    struct view no = b->config.deny_subscribe;
    return no.ptr != NULL && no.len == filter.len && memcmp(no.ptr, filter.ptr, no.len) == 0;
}

/* Why not, 0: no reason. */
static uint8_t subscribe_refusal(struct broker_conn *c, const struct wanted *w)
{
    struct broker *b = c->broker;
    if (!b->config.wildcard_available && has_wildcard(w->inner))
        return 0xa2;
    if (denied(b, w->filter))
        return 0x80;
    if (b->acl.given && !acl_may_subscribe(b, c->session, w->inner))
        return 0x87;
    if (!mem_has_room(&b->memory, 1024, MEMORY_EIGHTH))
        return 0x97;
    return 0;
}

/* The code for SUBACK, SEND_RETAINED beside it. */
static uint8_t subscribe_one(struct broker_conn *c, const struct wanted *w)
{
    struct broker *b = c->broker;
    uint8_t qos = w->options & OPTION_QOS, handling = w->options & OPTION_HANDLING;
    uint8_t code = subscribe_refusal(c, w);
    if (FAULTY(b, CRASH_SUBSCRIBE) && ends_with(w->filter, "+/#"))
        abort();
    if (code != 0)
        return code;
    struct subscription *sub = lookup(b, c->session, w);
    bool existed = sub != NULL;
    if (sub == NULL && (sub = subscribe(b, c->session, w)) == NULL)
        return 0x97;
    sub->options = w->options;
    sub->id = w->id;
    if (FAULTY(b, IGNORE_RETAIN_HANDLING))
        return qos | SEND_RETAINED;
    bool retained =
        !w->shared && (handling == 0 || (handling == 0x10 && !existed)); /* [MQTT-3.3.1-9] to [MQTT-3.3.1-11] */
    return retained ? qos | SEND_RETAINED : qos;
}

struct retained_for {
    struct broker *b;
    struct session *session;
    struct subscription *sub;
};

static bool send_retained(void *ctx, struct node *n)
{
    struct retained_for *r = ctx;
    return deliver_retained(r->b, r->session, n, r->sub);
}

static void send_all_retained(struct broker_conn *c, const struct mqtt_packet *p, uint32_t id, const uint8_t *retained)
{
    struct broker *b = c->broker;
    size_t pos = 0, i = 0;
    for (struct mqtt_filter f; c->state == CONN_UP && mqtt_list_next(p, &pos, &f); i++) {
        if (!retained[i])
            continue;
        struct wanted w = want(c, &f, id);
        struct retained_for r = { b, c->session, lookup(b, c->session, &w) };
        if (r.sub != NULL)
            tree_retained(b, w.inner, send_retained, &r);
    }
}

static void send_list(struct broker_conn *c, uint8_t type, uint16_t id, struct view codes)
{
    struct broker *b = c->broker;
    struct mqtt_packet p = { .type = type, .version = c->version, .has_id = true, .id = id };
    if (type == MQTT_SUBACK ? FAULTY(b, NO_SUBACK) : FAULTY(b, NO_UNSUBACK))
        return;
    if (FAULTY(b, SHORT_SUBACK) && codes.len > 1)
        codes.len--;
    if (FAULTY(b, SUBACK_ID) && type == MQTT_SUBACK)
        p.id ^= 0x100;
    if (type == MQTT_SUBACK || c->version == MQTT_V5) {
        p.list.payload = codes;
        p.list.count = (uint32_t)codes.len;
    }
    if (!send_packet(c, &p))
        conn_close(c, 0x95, MQTT_RULE_NONE, "the answer does not fit the client's Maximum Packet Size, or no memory");
}

/* A refusal has one code in 3.1.1 and none at all in 3.1. */
static uint8_t told(const struct broker_conn *c, uint8_t code, uint8_t options)
{
    if (code < 0x80 || c->version == MQTT_V5)
        return code >= 0x80 && FAULTY(c->broker, WRONG_REASON) ? 0x80 : code;
    return c->version == MQTT_V311 ? 0x80 : options & OPTION_QOS;
}

/* Features we announced not to have [S5-3.2.2.3.11-c to 13-c]. False: the connection was closed. */
static bool features(struct broker_conn *c, const struct mqtt_packet *p, uint32_t id)
{
    const struct broker_config *config = &c->broker->config;
    if (c->version != MQTT_V5)
        return true;
    if (id != 0 && !config->subscription_id_available) {
        conn_violation(c, MQTT_S5_3_2_2_3_12_C, 0xa1, "Subscription Identifiers are not supported");
        return false;
    }
    size_t pos = 0;
    for (struct mqtt_filter f; mqtt_list_next(p, &pos, &f);) {
        if (FAULTY(c->broker, SUBSCRIBE_MAXIMUM) && (f.options & OPTION_QOS) == 2) {
            conn_close(c, 0x9b, MQTT_RULE_NONE, "QoS above Maximum QoS");
            return false;
        }
        if (!config->shared_available && topic_is_shared(f.filter)) {
            conn_violation(c, MQTT_S5_3_2_2_3_13_C, 0x9e, "Shared Subscriptions are not supported");
            return false;
        }
        if (!config->wildcard_available && has_wildcard(f.filter)) {
            conn_violation(c, MQTT_S5_3_2_2_3_11_C, 0xa2, "Wildcard Subscriptions are not supported");
            return false;
        }
    }
    return true;
}

void on_subscribe(struct broker_conn *c, const struct mqtt_packet *p)
{
    struct broker *b = c->broker;
    uint32_t id = mqtt_props_number(&p->props, MQTT_PROP_SUBSCRIPTION_IDENTIFIER, 0), n = p->list.count;
    if (!features(c, p, id))
        return;
    uint8_t *codes = mem_zero(&b->memory, n * (size_t)2);
    if (codes == NULL) {
        conn_close(c, 0x97, MQTT_RULE_NONE, "no memory for this SUBSCRIBE");
        return;
    }
    uint8_t *retained = codes + n;
    bool in_use = c->version == MQTT_V5 && idmap_get(&c->session->in, p->id) != NULL;
    size_t pos = 0, i = 0;
    for (struct mqtt_filter f; i < n && mqtt_list_next(p, &pos, &f); i++) {
        struct wanted w = want(c, &f, id);
        uint8_t code = in_use ? 0x91 : subscribe_one(c, &w);
        retained[i] = code < 0x80 && (code & SEND_RETAINED) != 0;
        codes[i] = told(c, code < 0x80 ? code & OPTION_QOS : code, f.options);
    }
    send_list(c, MQTT_SUBACK, p->id, view_of(codes, i));
    send_all_retained(c, p, id, retained);
    mem_free(&b->memory, codes, n * (size_t)2);
}

/* ---- UNSUBSCRIBE ---- */

void on_unsubscribe(struct broker_conn *c, const struct mqtt_packet *p)
{
    struct broker *b = c->broker;
    uint32_t n = p->list.count;
    uint8_t *codes = mem_zero(&b->memory, n);
    if (codes == NULL) {
        conn_close(c, 0x97, MQTT_RULE_NONE, "no memory for this UNSUBSCRIBE");
        return;
    }
    bool in_use = c->version == MQTT_V5 && idmap_get(&c->session->in, p->id) != NULL;
    size_t pos = 0, i = 0;
    for (struct mqtt_filter f; i < n && mqtt_list_next(p, &pos, &f); i++) {
        struct wanted w = want(c, &f, 0);
        struct subscription *sub = in_use ? NULL : lookup(b, c->session, &w);
        codes[i] = in_use ? 0x91 : sub != NULL ? 0x00 : 0x11;
        if (sub != NULL && !FAULTY(b, KEEP_UNSUBSCRIBED))
            unsubscribe(b, sub);
    }
    send_list(c, MQTT_UNSUBACK, p->id, view_of(codes, i));
    mem_free(&b->memory, codes, n);
}
