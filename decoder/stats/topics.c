/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/stats/topics.c -- -z topics: the tree of topic names with what was published below each level, $ topics
 * apart; then the topic filters that were subscribed to, shared ones apart. */
#include "decoder/mqtt/topic.h"
#include "decoder/stats/parts.h"
#include <stdlib.h>
#include <string.h>

enum { LEVELS_MAX = 64, PATH_MAX_OCTETS = 65536 + LEVELS_MAX };

#define COUNT(columns) (sizeof(columns) / sizeof(columns)[0])

struct node {
    struct keep_key key; /* text: the level; number: the node above and 1, or 0 */
    uint32_t depth;
    uint64_t in, out, own, octets, qos[3], retained;
    uint32_t publishers, receivers; /* distinct clients */
    int64_t last_ns;
};

struct subscribed {
    struct keep_key key; /* text: the filter */
    uint64_t requests, qos[3], unsubscribed;
    uint32_t clients;
};

struct topics {
    struct keep_table nodes, filters, clients, pairs;
    struct node others; /* what found no room */
    uint64_t unknown_alias, lost_filters, lost_pairs;
    struct node **order; /* for printing */
    char *path;
};

static bool open_topics(struct stats *s, const char *arguments, char *error)
{
    (void)arguments;
    struct topics *t = s->state = keep_take(&s->keep, sizeof *t);
    size_t part = s->keep.size / 16;
    bool ok =
        t != NULL &&
        keep_table_init(&t->nodes, &s->keep, sizeof(struct node), (uint32_t)(4 * part / sizeof(struct node))) &&
        keep_table_init(&t->filters, &s->keep, sizeof(struct subscribed),
                        (uint32_t)(part / sizeof(struct subscribed))) &&
        keep_table_init(&t->clients, &s->keep, sizeof(struct keep_key), (uint32_t)(part / sizeof(struct keep_key))) &&
        keep_table_init(&t->pairs, &s->keep, sizeof(struct keep_key), (uint32_t)(3 * part / sizeof(struct keep_key))) &&
        (t->order = keep_take(&s->keep, t->nodes.cap * sizeof *t->order)) != NULL &&
        (t->path = keep_take(&s->keep, PATH_MAX_OCTETS)) != NULL;
    return stats_enough(ok, error);
}

/* True the first time this client is seen with this thing in this role. */
static bool new_pair(struct topics *t, uint32_t thing, unsigned role, uint32_t client)
{
    bool added = false;
    if (client == KEEP_NONE)
        return false;
    uint64_t number = (uint64_t)thing << 34 | (uint64_t)(role & 3) << 32 | client;
    if (keep_find(&t->pairs, (struct view){ 0 }, number, &added) == KEEP_NONE)
        t->lost_pairs++;
    return added;
}

enum { ROLE_PUBLISHES, ROLE_RECEIVES, ROLE_SUBSCRIBES };

static uint32_t client_of(struct topics *t, const struct row *row)
{
    struct stats_client_key key = stats_client_of(row);
    bool added;
    return keep_find(&t->clients, key.text, key.number, &added);
}

static void count_publish(struct topics *t, struct node *n, uint32_t number, const struct row *row, uint32_t client)
{
    const struct mqtt_publish *p = &row->packet->publish;
    bool from_server = row->sender == MQTT_SERVER;
    n->in += !from_server;
    n->out += from_server;
    n->octets += p->payload_len;
    n->retained += p->retain;
    if (p->qos < 3)
        n->qos[p->qos]++;
    n->last_ns = row->time_ns;
    if (number == KEEP_NONE || row->sender == MQTT_NOBODY)
        return;
    if (new_pair(t, number, from_server ? ROLE_RECEIVES : ROLE_PUBLISHES, client))
        (*(from_server ? &n->receivers : &n->publishers))++;
}

/* One level after the other; the levels beyond LEVELS_MAX count for the last. */
static void publish(struct topics *t, const struct row *row, struct view topic)
{
    uint32_t client = client_of(t, row);
    uint64_t above = 0;
    struct node *n = NULL;
    size_t at = 0;
    for (unsigned depth = 0; depth < LEVELS_MAX && at <= topic.len; depth++) {
        const uint8_t *slash = at < topic.len ? memchr(topic.ptr + at, '/', topic.len - at) : NULL;
        size_t end = slash != NULL && depth + 1 < LEVELS_MAX ? (size_t)(slash - topic.ptr) : topic.len;
        bool added;
        uint32_t number = keep_find(&t->nodes, view_of(topic.ptr + at, end - at), above, &added);
        if (number == KEEP_NONE) {
            count_publish(t, &t->others, KEEP_NONE, row, client);
            return;
        }
        n = keep_at(&t->nodes, number);
        n->depth = depth;
        count_publish(t, n, number, row, client);
        above = (uint64_t)number + 1;
        at = end + 1;
    }
    if (n != NULL)
        n->own++;
}

static void subscribe(struct topics *t, const struct row *row)
{
    uint32_t client = client_of(t, row);
    struct mqtt_filter f;
    size_t pos = 0;
    while (mqtt_list_next(row->packet, &pos, &f)) {
        bool added;
        uint32_t number = keep_find(&t->filters, f.filter, 0, &added);
        if (number == KEEP_NONE) {
            t->lost_filters++;
            continue;
        }
        struct subscribed *s = keep_at(&t->filters, number);
        if (row->packet->type == MQTT_UNSUBSCRIBE) {
            s->unsubscribed++;
            continue;
        }
        s->requests++;
        if ((f.options & 3) < 3)
            s->qos[f.options & 3]++;
        s->clients += new_pair(t, number, ROLE_SUBSCRIBES, client);
    }
}

static void row_topics(struct stats *s, const struct row *row)
{
    struct topics *t = s->state;
    if (!stats_is_packet(row))
        return;
    const struct mqtt_packet *p = row->packet;
    if (p->type == MQTT_SUBSCRIBE || p->type == MQTT_UNSUBSCRIBE)
        subscribe(t, row);
    if (p->type != MQTT_PUBLISH || p->publish.topic.ptr == NULL)
        return;
    struct view topic = p->publish.topic.len > 0 ? p->publish.topic : row->alias_topic;
    if (topic.ptr != NULL && topic.len > 0)
        publish(t, row, topic);
    else
        t->unknown_alias++;
}

/* --- printing --- */

static int order_nodes(const void *a, const void *b)
{
    const struct node *x = *(struct node *const *)a, *y = *(struct node *const *)b;
    if (x->key.number != y->key.number)
        return x->key.number < y->key.number ? -1 : 1;
    size_t n = x->key.text.len < y->key.text.len ? x->key.text.len : y->key.text.len;
    int order = n > 0 ? memcmp(x->key.text.ptr, y->key.text.ptr, n) : 0;
    return order != 0 ? order : (x->key.text.len > y->key.text.len) - (x->key.text.len < y->key.text.len);
}

/* The first of the ordered nodes below `above`. */
static uint32_t first_below(const struct topics *t, uint64_t above)
{
    uint32_t low = 0, high = t->nodes.n;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (t->order[middle]->key.number < above)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static uint64_t number_of(const struct topics *t, const struct node *n)
{
    return (uint64_t)((const uint8_t *)n - t->nodes.entries) / t->nodes.entry_size;
}

static void node_cells(struct stats *s, struct table *table, const struct node *n, struct view name)
{
    table_row(table);
    table_wire(table, name, table->json ? 0 : n->depth * 2);
    table_count(table, n->depth);
    table_count(table, n->own);
    table_count(table, n->in);
    table_count(table, n->out);
    table_rate(table, n->in + n->out, s->last_ns - s->first_ns);
    table_count(table, n->octets);
    table_count(table, n->publishers);
    table_count(table, n->receivers);
    for (unsigned qos = 0; qos < 3; qos++)
        table_count(table, n->qos[qos]);
    table_count(table, n->retained);
    table_row_end(table);
}

/* The full name of a node at the end of the path of the node above it. */
static size_t extend_path(struct topics *t, size_t above_len, const struct node *n)
{
    size_t at = above_len;
    if (n->depth > 0)
        t->path[at++] = '/';
    if (n->key.text.len > 0)
        memcpy(t->path + at, n->key.text.ptr, n->key.text.len);
    return at + n->key.text.len;
}

/* The trees whose top begins with $, or all others; depth first without recursion. */
static void print_trees(struct stats *s, struct table *table, bool dollar)
{
    struct topics *t = s->state;
    uint32_t next[LEVELS_MAX + 1];
    size_t path_len[LEVELS_MAX + 1];
    unsigned level = 0;
    uint64_t above[LEVELS_MAX + 1] = { 0 };
    next[0] = first_below(t, 0);
    path_len[0] = 0;
    for (;;) {
        if (next[level] >= t->nodes.n || t->order[next[level]]->key.number != above[level]) {
            if (level-- == 0)
                return;
            continue;
        }
        const struct node *n = t->order[next[level]++];
        if (level == 0 && (n->key.text.len > 0 && n->key.text.ptr[0] == '$') != dollar)
            continue;
        size_t len = extend_path(t, path_len[level], n);
        node_cells(s, table, n,
                   table->json               ? view_of(t->path, len)
                   : n->key.text.ptr != NULL ? n->key.text
                                             : view_of("", 0));
        if (level + 1 > LEVELS_MAX)
            continue;
        level++;
        above[level] = number_of(t, n) + 1;
        next[level] = first_below(t, above[level]);
        path_len[level] = len;
    }
}

static bool any_tree(const struct topics *t, bool dollar)
{
    for (uint32_t i = 0; i < t->nodes.n; i++) {
        const struct node *n = keep_at(&t->nodes, i);
        if (n->key.number == 0 && (n->key.text.len > 0 && n->key.text.ptr[0] == '$') == dollar)
            return true;
    }
    return false;
}

static void print_filters(struct topics *t, struct out *o, bool json, bool shared)
{
    static const struct column columns[] = {
        { "filter", "filter", 56, true },
        { NULL, "shared", 0, false },
        { "requests", "subscribes", 8, false },
        { "clients", "clients", 7, false },
        { "q0", "qos0", 5, false },
        { "q1", "qos1", 5, false },
        { "q2", "qos2", 5, false },
        { "undone", "unsubscribes", 6, false },
    };
    struct table table = { 0 };
    for (uint32_t i = 0; i < t->filters.n; i++) {
        const struct subscribed *s = keep_at(&t->filters, i);
        struct view filter = s->key.text.ptr != NULL ? s->key.text : view_of("", 0);
        if (topic_is_shared(filter) != shared)
            continue;
        if (table.o == NULL) {
            if (!json)
                out_char(o, '\n');
            table = table_begin(o, json, "topics", shared ? "Shared subscriptions ($share)" : "Subscriptions", columns,
                                COUNT(columns));
        }
        table_row(&table);
        table_wire(&table, filter, 0);
        table_count(&table, shared);
        table_count(&table, s->requests);
        table_count(&table, s->clients);
        for (unsigned qos = 0; qos < 3; qos++)
            table_count(&table, s->qos[qos]);
        table_count(&table, s->unsubscribed);
        table_row_end(&table);
    }
}

static void print_topics(struct stats *s, struct out *o, bool json, const struct track *track)
{
    static const struct column columns[] = {
        { "topic", "topic", 30, true },   { NULL, "level", 0, false },        { NULL, "own", 0, false },
        { "in", "in", 6, false },         { "out", "out", 6, false },         { "per s", "per_s", 7, false },
        { "octets", "octets", 8, false }, { "pubs", "publishers", 5, false }, { "subs", "receivers", 5, false },
        { "q0", "qos0", 5, false },       { "q1", "qos1", 5, false },         { "q2", "qos2", 5, false },
        { "ret", "retained", 5, false },
    };
    (void)track;
    struct topics *t = s->state;
    for (uint32_t i = 0; i < t->nodes.n; i++)
        t->order[i] = keep_at(&t->nodes, i);
    qsort(t->order, t->nodes.n, sizeof *t->order, order_nodes);
    struct table table =
        table_begin(o, json, "topics", "Topics: PUBLISH to (in) and from (out) the server; a level counts all below it",
                    columns, COUNT(columns));
    print_trees(s, &table, false);
    if (t->others.in + t->others.out > 0)
        node_cells(s, &table, &t->others, view_of("(others)", 8));
    if (any_tree(t, true)) {
        if (!json)
            out_char(o, '\n');
        table = table_begin(o, json, "topics", "$ topics", columns, COUNT(columns));
        print_trees(s, &table, true);
    }
    print_filters(t, o, json, false);
    print_filters(t, o, json, true);
    if (t->unknown_alias > 0)
        table_remark(&table, "PUBLISH packets whose Topic Alias is not known", t->unknown_alias);
    if (t->lost_pairs > 0)
        table_remark(&table, "times the count of distinct clients may be short: the table of clients is full",
                     t->lost_pairs);
    if (t->lost_filters > 0)
        table_remark(&table, "requests for topic filters beyond those counted", t->lost_filters);
}

const struct stats_kind stats_topics = {
    "topics",    "",          "topic tree: messages, rate, octets, clients, QoS; subscriptions",
    open_topics, row_topics,  NULL,
    NULL,        print_topics
};
