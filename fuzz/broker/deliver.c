/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/broker/deliver.c -- from a message to its subscribers: matching, queues, Packet Identifiers, flow control.
 *
 * A delivery waits in session.queue until it may be sent, then (QoS 1 and 2) in session.sent until it is acknowledged.
 * On a new connection what was sent goes back to the front of the queue, in order and with its Packet Identifier. */
#include "decoder/mqtt/topic.h"
#include "fuzz/broker/internal.h"
#include <string.h>

/* ---- lists ---- */

static void list_append(struct delivery_list *l, struct delivery *d)
{
    d->next = NULL;
    d->prev = l->tail;
    *(l->tail != NULL ? &l->tail->next : &l->head) = d;
    l->tail = d;
    l->n++;
}

static void list_prepend(struct delivery_list *l, struct delivery *d)
{
    d->prev = NULL;
    d->next = l->head;
    *(l->head != NULL ? &l->head->prev : &l->tail) = d;
    l->head = d;
    l->n++;
}

static void list_remove(struct delivery_list *l, struct delivery *d)
{
    *(d->prev != NULL ? &d->prev->next : &l->head) = d->next;
    *(d->next != NULL ? &d->next->prev : &l->tail) = d->prev;
    l->n--;
}

static struct delivery_list *list_of(struct session *s, const struct delivery *d)
{
    return d->state == DELIVERY_QUEUED ? &s->queue : &s->sent;
}

static void delivery_free(struct broker *b, struct delivery *d)
{
    message_drop(b, d->message);
    mem_free(&b->memory, d->ids, d->more * sizeof *d->ids);
    mem_free(&b->memory, d, sizeof *d);
}

void deliver_done(struct broker *b, struct session *s, struct delivery *d)
{
    if (d->state == DELIVERY_QUEUED)
        b->stats.queued--;
    list_remove(list_of(s, d), d);
    if (d->id != 0)
        idmap_del(&s->out, d->id);
    delivery_free(b, d);
}

void deliver_forget(struct broker *b, struct session *s)
{
    while (s->sent.head != NULL)
        deliver_done(b, s, s->sent.head);
    while (s->queue.head != NULL)
        deliver_done(b, s, s->queue.head);
    idmap_done(&s->out, &b->memory);
}

/* ---- sending ---- */

enum { IDS_MAX = 32768 };

static bool allot_id(struct broker *b, struct session *s, struct delivery *d)
{
    uint16_t id = s->last_id;
    do
        id = (uint16_t)(id == UINT16_MAX ? 1 : id + 1);
    while (idmap_get(&s->out, id) != NULL); /* IDS_MAX of 65,535 are in use at most */
    if (!idmap_put(&s->out, &b->memory, id, d))
        return false;
    s->last_id = id;
    d->id = id;
    return true;
}

/* A client that never sends PUBCOMP and reconnects collects exchanges that cost no quota: hence the second limit. */
static bool may_send(const struct broker_conn *c, const struct delivery *d)
{
    if (d->qos == 0)
        return true;
    if (d->id == 0 && c->session->out.n >= IDS_MAX)
        return false;
    return c->quota > 0 || FAULTY(c->broker, OVER_RECEIVE_MAXIMUM); /* [MQTT-3.3.4-9] */
}

static void sent(struct session *s, struct delivery *d)
{
    if (s->conn->quota > 0)
        s->conn->quota--;
    d->state = d->qos == 1 ? DELIVERY_PUBACK : DELIVERY_PUBREC;
    d->sent = true;
    list_append(&s->sent, d);
}

static void resend_live(struct broker_conn *c, const struct publication *pub, const struct delivery *d)
{
    struct delivery again = *d;
    again.sent = true;
    if (FAULTY(c->broker, LIVE_RESEND) && d->qos == 1)
        send_publish(c, pub, &again);
}

/* Sends the delivery, which is in no list, or forgets it when it is too large for the client, as if it had been
 * delivered [MQTT-3.1.2-25]. False: no memory now, nothing happened. */
static bool send_now(struct broker *b, struct session *s, struct delivery *d)
{
    if (d->qos > 0 && d->id == 0 && !allot_id(b, s, d))
        return false;
    struct publication pub = message_view(d->message);
    enum send_result result = send_publish(s->conn, &pub, d);
    if (result == SEND_NO_MEMORY)
        return false;
    if (result == SEND_DONE)
        resend_live(s->conn, &pub, d);
    if (result == SEND_DONE && d->qos > 0) {
        sent(s, d);
        return true;
    }
    if (d->id != 0)
        idmap_del(&s->out, d->id);
    delivery_free(b, d);
    return true;
}

/* Expiry ends with the first transmission [MQTT-3.3.2-5], [MQTT-4.3.3-7]. */
static bool expired(const struct broker *b, const struct delivery *d)
{
    return !d->sent && d->message->deadline < b->now_ms && !FAULTY(b, DELIVER_EXPIRED);
}

static struct delivery *next_queued(const struct broker *b, struct session *s)
{
    struct delivery *d = s->queue.head;
    if (FAULTY(b, SWAP_ORDER) && d != NULL && d->next != NULL && (s->skip = !s->skip))
        return d->next;
    return d;
}

void deliver_pump(struct broker *b, struct session *s)
{
    while (s->conn != NULL && s->conn->state == CONN_UP && s->queue.head != NULL && !output_full(s->conn)) {
        struct delivery *d = next_queued(b, s);
        if (expired(b, d)) {
            b->stats.expired++;
            deliver_done(b, s, d);
            continue;
        }
        if (!may_send(s->conn, d))
            return;
        list_remove(&s->queue, d);
        if (!send_now(b, s, d)) {
            list_prepend(&s->queue, d);
            return;
        }
        b->stats.queued--;
    }
}

/* PUBREL costs no quota and goes at once; PUBLISH goes back to the queue, keeping identifier and order. */
void deliver_resume(struct broker *b, struct session *s)
{
    for (struct delivery *d = s->sent.tail, *prev; d != NULL; d = prev) {
        prev = d->prev;
        if (FAULTY(b, NO_RESEND)) {
            deliver_done(b, s, d);
        } else if (d->state != DELIVERY_PUBCOMP) {
            list_remove(&s->sent, d);
            d->state = DELIVERY_QUEUED;
            list_prepend(&s->queue, d);
            b->stats.queued++;
        }
    }
    for (struct delivery *d = s->sent.head; d != NULL; d = d->next)
        send_ack(s->conn, MQTT_PUBREL, d->id, 0);
    deliver_pump(b, s);
}

void deliver_adopt(struct broker *b, struct session *s, struct delivery *d)
{
    list_remove(&s->queue, d);
    b->stats.queued--;
    d->state = d->qos == 1 ? DELIVERY_PUBACK : DELIVERY_PUBREC;
    list_append(&s->sent, d);
}

/* ---- taking on ---- */

struct copy { /* what one session gets of a publication */
    uint8_t qos;
    bool retain, must; /* must: not subject to max_queued (retained messages of a new subscription) */
    uint32_t first_id, more;
    uint32_t ids; /* index into broker.ids plus one of the chain that starts with first_id */
};

static uint32_t *copy_ids(struct broker *b, const struct copy *c)
{
    uint32_t *ids = mem_resize(&b->memory, NULL, 0, c->more * sizeof *ids);
    if (ids == NULL)
        return NULL;
    uint32_t at = b->ids[c->ids - 1].next;
    for (uint32_t i = 0; i < c->more; i++, at = b->ids[at - 1].next)
        ids[i] = b->ids[at - 1].id;
    return ids;
}

static void dropped(struct broker *b, struct session *s, const char *why)
{
    b->stats.dropped++;
    if (s->dropped++ == 0 && b->host.log != NULL)
        b->host.log(b->host.ctx, &(struct broker_log){ .level = BROKER_WARNING,
                                                       .event = "limit",
                                                       .detail = why,
                                                       .client_id = session_client(s),
                                                       .reason = -1 });
}

/* One reference less; with the last one the publication has no message any more either. */
static void let_go(struct broker *b, struct publication *pub, struct message *m)
{
    if (m != NULL && m->refs == 1 && pub->stored == m)
        pub->stored = NULL;
    message_drop(b, m);
}

static struct delivery *delivery_new(struct broker *b, struct publication *pub, const struct copy *c)
{
    struct delivery *d = mem_zero(&b->memory, sizeof *d);
    if (d == NULL)
        return NULL;
    *d = (struct delivery){ .qos = c->qos, .retain = c->retain, .first_id = c->first_id };
    struct message *m = message_keep(b, pub);
    if (m == NULL || (c->more > 0 && (d->ids = copy_ids(b, c)) == NULL)) {
        let_go(b, pub, m);
        delivery_free(b, d);
        return NULL;
    }
    d->message = m;
    d->more = c->more;
    return d;
}

static void queue_copy(struct broker *b, struct session *s, struct publication *pub, const struct copy *c)
{
    if (s->queue.n >= b->config.max_queued && !c->must) {
        dropped(b, s, "the queue of this session is full, messages are dropped");
        return;
    }
    struct delivery *d = mem_has_room(&b->memory, 0, MEMORY_QUARTER) ? delivery_new(b, pub, c) : NULL;
    if (d == NULL) {
        dropped(b, s, "no memory, messages are dropped");
        return;
    }
    list_append(&s->queue, d);
    b->stats.queued++;
    struct message *m = d->message;
    m->refs++; /* what is sent, or too large to be sent, may be over at once; the publication goes on to others */
    deliver_pump(b, s);
    let_go(b, pub, m);
}

/* QoS 0 to a client that reads: no copy is kept. */
static void send_qos0(struct broker *b, struct session *s, struct publication *pub, const struct copy *c)
{
    struct delivery d = { .retain = c->retain, .first_id = c->first_id };
    if (c->more > 0 && (d.ids = copy_ids(b, c)) != NULL)
        d.more = c->more;
    if (send_publish(s->conn, pub, &d) == SEND_NO_MEMORY)
        dropped(b, s, "no memory, messages are dropped");
    mem_free(&b->memory, d.ids, d.more * sizeof *d.ids);
}

static void give(struct broker *b, struct session *s, struct publication *pub, struct copy c)
{
    bool up = s->conn != NULL && s->conn->state == CONN_UP;
    if (FAULTY(b, QOS_DOWNGRADE))
        c.qos = 0;
    if (c.qos > 0 || c.must) {
        if (c.qos == 0 && up && s->queue.head == NULL && !output_full(s->conn))
            send_qos0(b, s, pub, &c);
        else
            queue_copy(b, s, pub, &c);
    } else if (up && !output_full(s->conn)) {
        send_qos0(b, s, pub, &c);
    } else if (up) {
        dropped(b, s, "this client reads too slowly, QoS 0 messages are dropped");
    } else if (b->config.queue_qos0) {
        queue_copy(b, s, pub, &c);
    }
}

/* ---- matching ---- */

struct match {
    struct broker *b;
    struct publication *pub;
    struct session *first, **last; /* matched by subscriptions that are not shared */
    unsigned n;
};

static uint8_t granted(const struct broker *b, uint8_t published, uint8_t options)
{
    uint8_t qos = options & OPTION_QOS;
    return qos < published || FAULTY(b, QOS_UPGRADE) ? qos : published; /* [MQTT-3.8.4-8] */
}

/* One more Subscription Identifier for the chain that starts at index `chain` (plus one, 0: none). */
static uint32_t chain_id(struct broker *b, uint32_t chain, uint32_t id)
{
    if (id == 0)
        return chain;
    if (b->ids_n == b->ids_cap) {
        uint32_t cap = b->ids_cap == 0 ? 16 : b->ids_cap * 2;
        void *ids = mem_resize(&b->memory, b->ids, b->ids_cap * sizeof *b->ids, cap * sizeof *b->ids);
        if (ids == NULL)
            return chain;
        b->ids = ids;
        b->ids_cap = cap;
    }
    b->ids[b->ids_n].id = id;
    b->ids[b->ids_n].next = chain;
    return ++b->ids_n;
}

static bool readable(const struct broker *b, const struct session *s, struct view topic)
{
    return !b->acl.given || acl_allows(b, s, topic, ACL_READ);
}

static void on_subscription(void *ctx, struct subscription *sub)
{
    struct match *m = ctx;
    struct session *s = sub->session;
    bool local = (sub->options & OPTION_NO_LOCAL) != 0 && !FAULTY(m->b, IGNORE_NO_LOCAL);
    if (local && s == m->pub->from) /* [MQTT-3.8.3-3] */
        return;
    uint8_t qos = granted(m->b, m->pub->qos, sub->options);
    if (s->match_serial != m->b->match_serial) {
        if (!readable(m->b, s, m->pub->topic))
            return;
        s->match_serial = m->b->match_serial;
        s->match_next = NULL;
        s->match_qos = qos;
        s->match_ids = 0;
        s->match_as_published = false;
        *m->last = s;
        m->last = &s->match_next;
        m->n++;
    } else if (qos > s->match_qos) {
        s->match_qos = qos; /* one copy at the highest QoS [MQTT-3.3.4-2] */
    }
    s->match_ids = chain_id(m->b, s->match_ids, sub->id); /* [MQTT-3.3.4-4] */
    s->match_as_published |= (sub->options & OPTION_AS_PUBLISHED) != 0;
}

static void copy_chain(const struct broker *b, struct copy *c, uint32_t chain)
{
    c->ids = chain;
    if (chain == 0)
        return;
    c->first_id = b->ids[chain - 1].id;
    for (uint32_t at = b->ids[chain - 1].next; at != 0; at = b->ids[at - 1].next)
        c->more++;
}

static void give_subscription(struct match *m, struct subscription *sub)
{
    bool as_published = (sub->options & OPTION_AS_PUBLISHED) != 0;
    struct copy c = { .qos = granted(m->b, m->pub->qos, sub->options),
                      .retain = m->pub->retain && as_published,
                      .first_id = sub->id };
    give(m->b, sub->session, m->pub, c);
    m->n++;
}

/* The member whose turn it is; one that is connected and reads goes before one that does not. */
static struct subscription *choose(const struct broker *b, struct group *g, struct view topic)
{
    struct subscription *start = g->turn != NULL ? g->turn : g->members, *second = NULL, *sub = start;
    do {
        const struct broker_conn *c = sub->session->conn;
        if (readable(b, sub->session, topic)) {
            if (c != NULL && c->state == CONN_UP && !output_full(c))
                return sub;
            if (second == NULL)
                second = sub;
        }
        sub = sub->next != NULL ? sub->next : g->members;
    } while (sub != start);
    return second;
}

static void on_group(void *ctx, struct group *g)
{
    struct match *m = ctx;
    if (FAULTY(m->b, SHARED_TO_ALL)) {
        for (struct subscription *sub = g->members; sub != NULL; sub = sub->next)
            give_subscription(m, sub);
        return;
    }
    struct subscription *sub = choose(m->b, g, m->pub->topic);
    if (sub == NULL)
        return;
    g->turn = sub->next;
    give_subscription(m, sub);
}

unsigned deliver_all(struct broker *b, struct publication *pub)
{
    static const struct match_events events = { on_subscription, on_group };
    struct match m = { .b = b, .pub = pub };
    if (pub->deadline < b->now_ms && !FAULTY(b, DELIVER_EXPIRED)) {
        b->stats.expired++; /* it waited for PUBREL or as a will too long */
        return 0;
    }
    m.last = &m.first;
    b->match_serial++;
    b->ids_n = 0;
    tree_match(b, pub->topic, &events, &m);
    for (struct session *s = m.first, *next; s != NULL; s = next) {
        next = s->match_next;
        struct copy c = { .qos = s->match_qos };
        c.retain = (pub->retain && s->match_as_published) ||
                   FAULTY(b, RETAIN_FLAG_LIVE); /* [MQTT-3.3.1-12], [MQTT-3.3.1-13] */
        copy_chain(b, &c, s->match_ids);
        give(b, s, pub, c);
    }
    return m.n;
}

/* ---- retained messages ---- */

bool deliver_retained(struct broker *b, struct session *s, struct node *n, const struct subscription *sub)
{
    struct publication pub = message_view(n->retained);
    if (!readable(b, s, pub.topic) || (pub.deadline < b->now_ms && !FAULTY(b, DELIVER_EXPIRED)))
        return true;
    struct copy c = { .qos = granted(b, pub.qos, sub->options),
                      .retain = !FAULTY(b, RETAIN_FLAG_LOST),
                      .first_id = sub->id };
    c.must = true;
    if (s->queue.n >= b->config.max_queued + b->config.max_retained) {
        dropped(b, s, "the queue of this session is full, retained messages are dropped");
        return false;
    }
    give(b, s, &pub, c);
    return true;
}

bool retained_store(struct broker *b, struct publication *pub)
{
    struct node *n = tree_node(b, pub->topic, false);
    bool erase = pub->payload.len == 0 && !FAULTY(b, KEEP_EMPTY_RETAINED); /* [MQTT-3.3.1-6], [MQTT-3.3.1-7] */
    if (FAULTY(b, LOSE_RETAINED))
        return true;
    if (erase || n == NULL || n->retained == NULL) {
        if (erase && (n == NULL || n->retained == NULL))
            return true;
        if (erase) {
            message_drop(b, n->retained);
            n->retained = NULL;
            b->stats.retained--;
            tree_prune(b, n);
            return true;
        }
        if (b->stats.retained >= b->config.max_retained || (n == NULL && (n = tree_node(b, pub->topic, true)) == NULL))
            return false;
    }
    struct message *m = message_keep(b, pub);
    if (m == NULL) {
        tree_prune(b, n);
        return false;
    }
    b->stats.retained += n->retained == NULL;
    message_drop(b, n->retained);
    n->retained = m;
    return true;
}

void retained_sweep(struct broker *b)
{
    for (uint32_t i = 0; i < b->tree.cap; i++) {
        for (struct node *n = b->tree.table[i], *next; n != NULL; n = next) {
            next = n->chain;
            if (n->retained == NULL || n->retained->deadline >= b->now_ms)
                continue;
            message_drop(b, n->retained);
            n->retained = NULL;
            b->stats.retained--;
            tree_prune(b, n);
            next = b->tree.table[i]; /* pruning may have taken parents out of this chain too */
        }
    }
}
