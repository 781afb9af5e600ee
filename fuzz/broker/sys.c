/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/broker/sys.c -- the broker about itself: $SYS topics, under the names that mosquitto made usual. */
#include "fuzz/broker/internal.h"
#include <stdio.h>
#include <string.h>

enum { HOUSEKEEPING_S = 10 };

static void tell_text(struct broker *b, const char *name, const char *text)
{
    char topic[80];
    int len = snprintf(topic, sizeof topic, "$SYS/broker/%s", name);
    struct publication pub = { .topic = view_of(topic, (size_t)len),
                               .payload = view_of(text, strlen(text)),
                               .deadline = UINT64_MAX,
                               .retain = true };
    struct node *n = tree_node(b, pub.topic, false);
    struct message *old = n != NULL ? n->retained : NULL;
    bool same = old != NULL && old->payload_len == pub.payload.len &&
                memcmp(message_view(old).payload.ptr, text, old->payload_len) == 0;
    if (same)
        return;
    retained_store(b, &pub);
    deliver_all(b, &pub);
}

static void tell(struct broker *b, const char *name, uint64_t number)
{
    char text[32];
    snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    tell_text(b, name, text);
}

void sys_publish(struct broker *b)
{
    const struct broker_stats *s = &b->stats;
    char text[48];
    snprintf(text, sizeof text, "%llu seconds", (unsigned long long)((b->now_ms - b->start_ms) / 1000));
    tell_text(b, "version", "mqbroker");
    tell_text(b, "uptime", text);
    tell(b, "clients/connected", s->connections);
    tell(b, "clients/total", s->sessions);
    tell(b, "subscriptions/count", s->subscriptions);
    tell(b, "retained messages/count", s->retained);
    tell(b, "messages/received", s->packets_in);
    tell(b, "messages/sent", s->packets_out);
    tell(b, "publish/messages/received", s->publish_in);
    tell(b, "publish/messages/sent", s->publish_out);
    tell(b, "publish/messages/dropped", s->dropped);
    tell(b, "bytes/received", s->octets_in);
    tell(b, "bytes/sent", s->octets_out);
    tell(b, "heap/current", b->memory.used);
    tell(b, "heap/maximum", b->memory.peak);
}

void sys_due(struct broker *b)
{
    uint32_t interval_s = b->config.sys_interval_s;
    if (interval_s > 0)
        sys_publish(b);
    retained_sweep(b);
    timers_set(&b->timers, &b->memory, &b->sys_timer,
               b->now_ms + (interval_s > 0 ? interval_s : HOUSEKEEPING_S) * UINT64_C(1000));
}
