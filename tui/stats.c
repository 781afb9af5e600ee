/* SPDX-License-Identifier: Apache-2.0 */
#include "tui/stats.h"
#include <stdlib.h>
#include <string.h>

enum { RTT_MOST = 1 << 20 };

struct stats *stats_new(void)
{
    return calloc(1, sizeof(struct stats));
}

void stats_free(struct stats *s)
{
    if (s == NULL)
        return;
    free(s->rtt_us);
    free(s);
}

void stats_clear(struct stats *s)
{
    uint32_t *rtt = s->rtt_us, cap = s->rtt_cap;
    *s = (struct stats){ .rtt_us = rtt, .rtt_cap = cap };
}

static void add_rate(struct stats *s, const struct row *row)
{
    int64_t second = row->time_ns / 1000000000;
    if (second > s->second) {
        int64_t fresh = second - s->second;
        if (fresh > STATS_SECONDS)
            fresh = STATS_SECONDS;
        for (int64_t i = 0; i < fresh; i++)
            s->packets[(second - i) % STATS_SECONDS] = s->octets[(second - i) % STATS_SECONDS] = 0;
        s->second = second;
    }
    if (second < 0 || s->second - second >= STATS_SECONDS)
        return;
    s->packets[second % STATS_SECONDS]++;
    s->octets[second % STATS_SECONDS] += row->packet->header_len + row->packet->remaining;
}

uint32_t stats_rate(const struct stats *s, int64_t second, bool octets)
{
    if (second < 0 || second > s->second || s->second - second >= STATS_SECONDS)
        return 0;
    return octets ? s->octets[second % STATS_SECONDS] : s->packets[second % STATS_SECONDS];
}

int64_t stats_bucket_ns(unsigned bucket)
{
    int64_t ns = (int64_t)1000 << bucket / 2;
    return bucket % 2 != 0 ? ns + ns * 414 / 1000 : ns;
}

static void add_answer(struct stats_histogram *h, int64_t ns)
{
    unsigned bucket = 0;
    while (bucket < STATS_BUCKETS - 1 && stats_bucket_ns(bucket) < ns)
        bucket++;
    h->bucket[bucket]++;
    if (h->n == 0 || ns < h->least_ns)
        h->least_ns = ns;
    if (h->n == 0 || ns > h->most_ns)
        h->most_ns = ns;
    h->n++;
    h->sum_ns += ns;
}

int64_t stats_percentile(const struct stats_histogram *h, double p)
{
    uint64_t wanted = (uint64_t)((double)h->n * p + 0.999999), seen = 0;
    for (unsigned i = 0; i < STATS_BUCKETS && h->n > 0; i++) {
        seen += h->bucket[i];
        if (seen >= wanted && seen > 0) { /* as if the values lay evenly in the bucket */
            int64_t low = i > 0 ? stats_bucket_ns(i - 1) : 0, high = stats_bucket_ns(i);
            int64_t at = high - (int64_t)((double)(high - low) * (double)(seen - wanted) / (double)h->bucket[i]);
            return at > h->most_ns ? h->most_ns : at < h->least_ns ? h->least_ns : at;
        }
    }
    return -1;
}

const char *stats_answer_name(enum stats_answer a)
{
    static const char *const names[ANSWER_COUNT] = { "CONNECT to CONNACK",  "PUBLISH to PUBACK",
                                                     "PUBLISH to PUBREC",   "PUBREC to PUBREL",
                                                     "PUBREL to PUBCOMP",   "QoS 2 in all",
                                                     "SUBSCRIBE to SUBACK", "UNSUBSCRIBE to UNSUBACK",
                                                     "PINGREQ to PINGRESP" };
    return names[a];
}

static int answer_of(unsigned type)
{
    switch (type) {
    case MQTT_CONNACK:
        return ANSWER_CONNACK;
    case MQTT_PUBACK:
        return ANSWER_PUBACK;
    case MQTT_PUBREC:
        return ANSWER_PUBREC;
    case MQTT_PUBREL:
        return ANSWER_PUBREL;
    case MQTT_PUBCOMP:
        return ANSWER_PUBCOMP;
    case MQTT_SUBACK:
        return ANSWER_SUBACK;
    case MQTT_UNSUBACK:
        return ANSWER_UNSUBACK;
    case MQTT_PINGRESP:
        return ANSWER_PINGRESP;
    default:
        return -1;
    }
}

static void keep_rtt(struct stats *s, uint64_t session, int64_t ns)
{
    if (session == 0 || session >= RTT_MOST)
        return;
    if (session >= s->rtt_cap) {
        uint32_t cap = s->rtt_cap > 0 ? s->rtt_cap : 256;
        while (cap <= session)
            cap *= 2;
        uint32_t *grown = realloc(s->rtt_us, cap * sizeof *grown);
        if (grown == NULL)
            return;
        memset(grown + s->rtt_cap, 0, (cap - s->rtt_cap) * sizeof *grown);
        s->rtt_us = grown;
        s->rtt_cap = cap;
    }
    s->rtt_us[session] = ns < 1000 ? 1 : ns / 1000 > UINT32_MAX ? UINT32_MAX : (uint32_t)(ns / 1000);
}

uint32_t stats_rtt_us(const struct stats *s, uint64_t session)
{
    return session < s->rtt_cap ? s->rtt_us[session] : 0;
}

void stats_add(struct stats *s, const struct row *row)
{
    if (row->packet == NULL)
        return;
    add_rate(s, row);
    const struct track_note *n = row->note;
    int answer = answer_of(row->packet->type);
    /* a step that went over a reconnect says how long the client was away, not how fast the broker is */
    if (n == NULL || answer < 0 || n->step_ns < 0 || (n->flags & (TRACK_RESUMED | TRACK_OUT_OF_PLACE)))
        return;
    add_answer(&s->answers[answer], n->step_ns);
    if (row->packet->type == MQTT_PUBCOMP && n->outcome == TRACK_COMPLETE && n->latency_ns >= 0)
        add_answer(&s->answers[ANSWER_QOS2], n->latency_ns);
    if (row->sender == MQTT_SERVER)
        keep_rtt(s, n->session, n->step_ns);
}
