/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/broker/session.c -- what is kept per client identifier, for how long, and the will. */
#include "fuzz/broker/internal.h"
#include <string.h>

static struct session **bucket(const struct broker *b, uint32_t key)
{
    return &b->sessions[key & (b->sessions_cap - 1)];
}

struct session *session_find(struct broker *b, struct view client_id)
{
    if (b->stats.sessions == 0)
        return NULL;
    uint32_t key = tree_hash(b, client_id.ptr, client_id.len, 0);
    for (struct session *s = *bucket(b, key); s != NULL; s = s->chain)
        if (s->key == key && s->id_len == client_id.len && memcmp(s->text, client_id.ptr, client_id.len) == 0)
            return s;
    return NULL;
}

static bool grow(struct broker *b)
{
    uint32_t cap = b->sessions_cap == 0 ? 64 : b->sessions_cap * 2, old_cap = b->sessions_cap;
    struct session **table = mem_zero(&b->memory, cap * sizeof(struct session *)), **old = b->sessions;
    if (table == NULL)
        return old_cap > 0;
    b->sessions = table;
    b->sessions_cap = cap;
    for (uint32_t i = 0; i < old_cap; i++) {
        for (struct session *s = old[i], *next; s != NULL; s = next) {
            next = s->chain;
            s->chain = *bucket(b, s->key);
            *bucket(b, s->key) = s;
        }
    }
    mem_free(&b->memory, old, old_cap * sizeof(struct session *));
    return true;
}

bool session_set_user(struct broker *b, struct session *s, struct view user)
{
    uint8_t *copy = NULL;
    if (user.len > 0 && (copy = mem_resize(&b->memory, NULL, 0, user.len)) == NULL)
        return false;
    if (user.len > 0)
        memcpy(copy, user.ptr, user.len);
    mem_free(&b->memory, s->user, s->user_len);
    s->user = copy;
    s->user_len = (uint16_t)user.len;
    return true;
}

struct session *broker_session_new(struct broker *b, struct view client_id)
{
    if (b->stats.sessions >= b->config.max_sessions || (b->stats.sessions >= b->sessions_cap && !grow(b)))
        return NULL;
    struct session *s = mem_zero(&b->memory, sizeof *s + client_id.len);
    if (s == NULL)
        return NULL;
    memcpy(s->text, client_id.ptr, client_id.len);
    s->id_len = (uint16_t)client_id.len;
    s->expiry_due = s->will_due = UINT64_MAX;
    s->timer.kind = TIMER_SESSION;
    s->key = tree_hash(b, client_id.ptr, client_id.len, 0);
    s->chain = *bucket(b, s->key);
    *bucket(b, s->key) = s;
    b->stats.sessions++;
    return s;
}

/* One timer for two deadlines. Without memory for it the session ends at once: that is allowed, a leak is not. */
static void arm(struct broker *b, struct session *s)
{
    uint64_t due = s->expiry_due < s->will_due ? s->expiry_due : s->will_due;
    if (due == UINT64_MAX)
        timers_stop(&b->timers, &s->timer);
    else if (!timers_set(&b->timers, &b->memory, &s->timer, due))
        broker_session_end(s, b);
}

void session_will_cancel(struct broker *b, struct session *s)
{
    message_drop(b, s->will.message);
    s->will = (struct will){ NULL, 0 };
    s->will_due = UINT64_MAX;
}

void session_will_publish(struct broker *b, struct session *s)
{
    struct message *m = s->will.message;
    if (m == NULL)
        return;
    s->will.message = NULL; /* it leaves the session once published [MQTT-3.1.2-10] */
    s->will_due = UINT64_MAX;
    struct publication pub = message_view(m);
    pub.from = s;
    bool allowed = !b->acl.given || acl_allows(b, s, pub.topic, ACL_WRITE);
    if (allowed && !FAULTY(b, NO_WILL)) {
        if (pub.retain)
            retained_store(b, &pub);
        deliver_all(b, &pub);
    }
    message_drop(b, m);
}

static void inbound_forget(struct broker *b, struct session *s)
{
    for (uint32_t i = 0; i < s->in.cap; i++) {
        struct inbound *in = s->in.slots[i].id != 0 ? s->in.slots[i].value : NULL;
        if (in != NULL) {
            message_drop(b, in->message);
            mem_free(&b->memory, in, sizeof *in);
        }
    }
    idmap_done(&s->in, &b->memory);
}

void session_forget(struct broker *b, struct session *s)
{
    while (s->subs != NULL)
        unsubscribe(b, s->subs);
    deliver_forget(b, s);
    inbound_forget(b, s);
}

void broker_session_end(struct session *s, struct broker *b)
{
    timers_stop(&b->timers, &s->timer);
    session_will_publish(b, s);
    session_will_cancel(b, s);
    session_forget(b, s);
    struct session **at = bucket(b, s->key);
    while (*at != s)
        at = &(*at)->chain;
    *at = s->chain;
    b->stats.sessions--;
    mem_free(&b->memory, s->user, s->user_len);
    mem_free(&b->memory, s, sizeof *s + s->id_len);
}

void broker_session_detach(struct broker *b, struct session *s, bool keep_will)
{
    s->conn = NULL;
    if (!keep_will)
        session_will_cancel(b, s);
    if (s->expiry_s == 0 && !FAULTY(b, KEEP_EXPIRED)) { /* [MQTT-3.1.2-6] of 3.1.1, [MQTT-4.1.0-2] of 5.0 */
        broker_session_end(s, b);
        return;
    }
    if (s->expiry_s != UINT32_MAX && !FAULTY(b, KEEP_EXPIRED))
        s->expiry_due = b->now_ms + s->expiry_s * UINT64_C(1000);
    if (s->will.message != NULL) {
        if (s->will.delay_s == 0 || FAULTY(b, WILL_AT_ONCE))
            session_will_publish(b, s);
        else
            s->will_due = b->now_ms + s->will.delay_s * UINT64_C(1000);
    }
    arm(b, s);
}

void session_due(struct broker *b, struct session *s)
{
    if (s->expiry_due <= b->now_ms) {
        broker_session_end(s, b);
        return;
    }
    if (s->will_due <= b->now_ms)
        session_will_publish(b, s);
    arm(b, s);
}
