/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/stats/latency.c -- -z latency: how long each step of an exchange took, for all, by client and by topic.
 *
 * Least and most are exact. Percentiles (nearest rank) are exact up to FEW values; beyond that they come from a
 * histogram of 16 steps to each doubling of microseconds, whose middle is at most 1/32 and a microsecond off.
 * Memory: 144 octets for each client and step and each topic and step, 1,856 more for one with more than FEW values. */
#include "decoder/stats/parts.h"
#include <stdlib.h>
#include <string.h>

#define COUNT(columns) (sizeof(columns) / sizeof(columns)[0])

enum { FEW = 16, STEPS = 16, BUCKETS = 29 * STEPS /* up to 2^32 us */ };

enum step { CONNACK, AUTH, PUBACK, PUBREC, PUBREL, PUBCOMP, RELEASED, SUBACK, UNSUBACK, PINGRESP, FORWARD, STEP_COUNT };

static const char *const names[STEP_COUNT] = {
    [CONNACK] = "CONNECT-CONNACK",       [AUTH] = "AUTH",
    [PUBACK] = "PUBLISH-PUBACK",         [PUBREC] = "PUBLISH-PUBREC",
    [PUBREL] = "PUBREC-PUBREL",          [PUBCOMP] = "PUBREL-PUBCOMP",
    [RELEASED] = "PUBLISH-PUBCOMP",      [SUBACK] = "SUBSCRIBE-SUBACK",
    [UNSUBACK] = "UNSUBSCRIBE-UNSUBACK", [PINGRESP] = "PINGREQ-PINGRESP",
    [FORWARD] = "publisher-subscriber",
};

struct times {
    uint64_t n;
    int64_t least_ns, most_ns;
    uint32_t *at; /* the histogram; NULL: only the first FEW values are known */
    uint32_t few_us[FEW];
};

struct entry {
    struct keep_key key; /* text: client identifier or topic; number: see number_of() */
    struct times times;
};

struct latency {
    struct keep_table table;
    struct times all[STEP_COUNT][2]; /* answered by the client, by the server */
    uint32_t all_at[STEP_COUNT][2][BUCKETS];
    struct entry **order; /* for printing */
    uint64_t lost;        /* steps that found no room in the table */
    uint64_t coarse;      /* entries whose histogram found no room */
};

enum scope { BY_CLIENT, BY_TOPIC };

/* Streams without a client identifier are told apart by their number. */
static uint64_t number_of(uint64_t stream, enum scope scope, unsigned by, enum step step)
{
    return stream << 8 | (uint64_t)scope << 5 | (uint64_t)(by & 1) << 4 | step;
}

static bool open_latency(struct stats *s, const char *arguments, char *error)
{
    (void)arguments;
    struct latency *l = s->state = keep_take(&s->keep, sizeof *l);
    uint32_t cap = (uint32_t)(s->keep.size / 2 / (sizeof(struct entry) + 8 * sizeof(uint32_t)));
    if (l == NULL || !keep_table_init(&l->table, &s->keep, sizeof(struct entry), cap) ||
        (l->order = keep_take(&s->keep, cap * sizeof *l->order)) == NULL)
        return stats_fail(error, "too little memory for a statistic");
    for (unsigned step = 0; step < STEP_COUNT; step++)
        for (unsigned by = 0; by < 2; by++)
            l->all[step][by].at = l->all_at[step][by];
    return true;
}

static unsigned bucket_of(uint64_t us)
{
    unsigned exponent = 0;
    if (us < STEPS)
        return (unsigned)us;
    while (us >> exponent >= 2 * STEPS)
        exponent++;
    unsigned at = exponent * STEPS + (unsigned)(us >> exponent);
    return at < BUCKETS ? at : BUCKETS - 1;
}

/* The middle of a bucket in ns. */
static int64_t bucket_middle(unsigned at)
{
    if (at < STEPS)
        return (int64_t)at * 1000 + 500;
    unsigned exponent = at / STEPS - 1;
    return ((int64_t)(at % STEPS + STEPS) * 1000 + 500) << exponent;
}

static uint64_t us_of(int64_t ns)
{
    return ns > 0 ? (uint64_t)ns / 1000 : 0;
}

static void spread(struct stats *s, struct times *t)
{
    t->at = keep_take(&s->keep, BUCKETS * sizeof *t->at);
    for (unsigned i = 0; t->at != NULL && i < FEW; i++)
        t->at[bucket_of(t->few_us[i])]++;
}

static void add_time(struct stats *s, struct times *t, int64_t ns)
{
    struct latency *l = s->state;
    uint64_t us = us_of(ns);
    if (t->n == FEW && t->at == NULL) {
        spread(s, t);
        l->coarse += t->at == NULL;
    }
    if (t->n < FEW)
        t->few_us[t->n] = us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
    if (t->at != NULL)
        t->at[bucket_of(us)]++;
    if (t->n++ == 0 || ns < t->least_ns)
        t->least_ns = ns;
    if (ns > t->most_ns)
        t->most_ns = ns;
}

static void add_key(struct stats *s, struct view text, uint64_t number, int64_t ns)
{
    struct latency *l = s->state;
    bool added;
    uint32_t at = keep_find(&l->table, text, number, &added);
    if (at == KEEP_NONE)
        l->lost++;
    else
        add_time(s, &((struct entry *)keep_at(&l->table, at))->times, ns);
}

static void add(struct stats *s, const struct row *row, enum step step, int64_t ns)
{
    struct latency *l = s->state;
    unsigned by = row->sender == MQTT_SERVER;
    struct stats_client_key client = stats_client_of(row);
    struct view topic = row->note->topic;
    add_time(s, &l->all[step][by], ns);
    add_key(s, client.text, number_of(client.number, BY_CLIENT, by, step), ns);
    if (step == FORWARD)
        topic = row->note->alias_topic.ptr != NULL ? row->note->alias_topic : row->packet->publish.topic;
    if (topic.ptr != NULL && topic.len > 0 && (step == FORWARD || (step >= PUBACK && step <= RELEASED)))
        add_key(s, topic, number_of(0, BY_TOPIC, by, step), ns);
}

/* What a row answers, and how soon. Answers over two connections, repeated or out of place have no time of their own.
 */
static void row_latency(struct stats *s, const struct row *row)
{
    static const uint8_t steps[16] = {
        [MQTT_PUBACK] = PUBACK, [MQTT_PUBREC] = PUBREC,     [MQTT_PUBREL] = PUBREL,     [MQTT_PUBCOMP] = PUBCOMP,
        [MQTT_SUBACK] = SUBACK, [MQTT_UNSUBACK] = UNSUBACK, [MQTT_PINGRESP] = PINGRESP, [MQTT_AUTH] = AUTH,
    };
    const struct track_note *n = row->note;
    if (n == NULL || !stats_is_packet(row))
        return;
    unsigned type = row->packet->type & 15u;
    if (type == MQTT_PUBLISH && n->forward_ns >= 0)
        add(s, row, FORWARD, n->forward_ns);
    if (type == MQTT_CONNACK && n->latency_ns >= 0)
        add(s, row, CONNACK, n->latency_ns);
    if (type == MQTT_PUBCOMP && n->kind == TRACK_QOS2 && n->outcome == TRACK_COMPLETE && n->latency_ns >= 0)
        add(s, row, RELEASED, n->latency_ns);
    bool plain = (n->flags & (TRACK_OUT_OF_PLACE | TRACK_RESUMED | TRACK_RETRANSMITTED)) == 0;
    if (n->step_ns >= 0 && plain && (steps[type] != 0 || type == MQTT_AUTH))
        add(s, row, (enum step)steps[type], n->step_ns);
}

static int compare_us(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static int64_t within(const struct times *t, int64_t ns)
{
    return ns < t->least_ns ? t->least_ns : ns > t->most_ns ? t->most_ns : ns;
}

/* The value that `percent` of all do not exceed: the nearest rank. -1: not known. */
static int64_t percentile(const struct times *t, unsigned percent)
{
    uint64_t rank = t->n / 100 * percent + (t->n % 100 * percent + 99) / 100, seen = 0;
    if (t->n <= FEW) {
        uint32_t sorted[FEW];
        memcpy(sorted, t->few_us, sizeof sorted);
        qsort(sorted, t->n, sizeof *sorted, compare_us);
        return within(t, rank > 0 ? (int64_t)sorted[rank - 1] * 1000 : 0);
    }
    for (unsigned i = 0; t->at != NULL && i < BUCKETS; i++) {
        seen += t->at[i];
        if (seen >= rank)
            return within(t, bucket_middle(i));
    }
    return -1;
}

static void cells(struct table *t, unsigned step, unsigned by, struct view client, struct view topic,
                  const struct times *times)
{
    table_row(t);
    table_text(t, names[step]);
    table_text(t, mqtt_side_name(by != 0 ? MQTT_SERVER : MQTT_CLIENT));
    table_wire(t, client, 0);
    table_wire(t, topic, 0);
    table_count(t, times->n);
    table_duration(t, times->least_ns);
    table_duration(t, percentile(times, 50));
    table_duration(t, percentile(times, 90));
    table_duration(t, percentile(times, 99));
    table_duration(t, times->most_ns);
    table_row_end(t);
}

static int compare_entries(const void *a, const void *b)
{
    const struct keep_key *x = &(*(struct entry *const *)a)->key, *y = &(*(struct entry *const *)b)->key;
    size_t least = x->text.len < y->text.len ? x->text.len : y->text.len;
    int order = least > 0 ? memcmp(x->text.ptr, y->text.ptr, least) : 0;
    if (order == 0 && x->text.len != y->text.len)
        order = x->text.len < y->text.len ? -1 : 1;
    return order != 0 ? order : x->number < y->number ? -1 : x->number > y->number;
}

static void print_scope(struct latency *l, struct table *t, enum scope scope)
{
    char buffer[32];
    for (uint32_t i = 0; i < l->table.n; i++) {
        const struct entry *e = l->order[i];
        unsigned step = e->key.number & 15, by = e->key.number >> 4 & 1;
        struct view text = stats_client_name(e->key.text, e->key.number >> 8, buffer), none = { 0 };
        if ((e->key.number >> 5 & 1) == scope)
            cells(t, step, by, scope == BY_CLIENT ? text : none, scope == BY_TOPIC ? text : none, &e->times);
    }
}

enum { NAME_COLUMN = 24 };
#define TIMES                                                                                                          \
    { "number", "count", 7, false }, { "least", "min_us", 7, false }, { "median", "p50_us", 7, false },                \
        { "90%", "p90_us", 7, false }, { "99%", "p99_us", 7, false },                                                  \
    {                                                                                                                  \
        "most", "max_us", 7, false                                                                                     \
    }

static void print_latency(struct stats *s, struct out *o, bool json, const struct track *track)
{
    static const struct column all[] = { { "step", "step", 20, true },
                                         { "by", "by", 6, true },
                                         { "for all", "client_id", NAME_COLUMN, true },
                                         { NULL, "topic", 0, true },
                                         TIMES };
    static const struct column clients[] = { { "step", "step", 20, true },
                                             { "by", "by", 6, true },
                                             { "client id", "client_id", NAME_COLUMN, true },
                                             { NULL, "topic", 0, true },
                                             TIMES };
    static const struct column topics[] = { { "step", "step", 20, true },
                                            { "by", "by", 6, true },
                                            { NULL, "client_id", 0, true },
                                            { "topic", "topic", NAME_COLUMN, true },
                                            TIMES };
    struct latency *l = s->state;
    const struct view none = { 0 };
    (void)track;
    for (uint32_t i = 0; i < l->table.n; i++)
        l->order[i] = keep_at(&l->table, i);
    if (l->table.n > 0)
        qsort(l->order, l->table.n, sizeof *l->order, compare_entries);
    struct table t = table_begin(o, json, "latency", "Time of each step, from a packet to its answer", all, COUNT(all));
    for (unsigned step = 0; step < STEP_COUNT; step++)
        for (unsigned by = 0; by < 2; by++)
            if (l->all[step][by].n > 0)
                cells(&t, step, by, none, none, &l->all[step][by]);
    out_text(o, json ? "" : "\n");
    t = table_begin(o, json, "latency", "By client", clients, COUNT(clients));
    print_scope(l, &t, BY_CLIENT);
    out_text(o, json ? "" : "\n");
    t = table_begin(o, json, "latency", "By topic", topics, COUNT(topics));
    print_scope(l, &t, BY_TOPIC);
    if (l->lost > 0)
        table_remark(&t, "steps are only in the sums for all: the table is full", l->lost);
    if (l->coarse > 0)
        table_remark(&t, "rows have no percentiles: the memory is used up", l->coarse);
}

const struct stats_kind stats_latency = {
    "latency",    "",           "time of each step of an exchange, by client and topic: percentiles",
    open_latency, row_latency,  NULL,
    NULL,         print_latency
};
