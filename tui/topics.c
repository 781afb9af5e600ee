/* SPDX-License-Identifier: Apache-2.0 */
#include "tui/topics.h"
#include <stdlib.h>
#include <string.h>

enum { HASH = 1 << 16, FRESH_CALLS = 10 };
static const int64_t WINDOW_NS = 10000000000;

struct topics {
    struct topic_node *nodes;
    uint32_t n, cap;
    uint32_t *hash;  /* open addressing over (parent, name); 0: free */
    uint32_t *lines; /* the tree as opened */
    uint32_t n_lines, cap_lines;
    uint64_t changes, lines_made; /* lines are made again when the tree has changed */
    uint32_t calls;
    topics_order order;
    bool reverse;
    uint64_t values; /* octets of all last values */
    uint64_t lost;
};

struct topics *topics_new(void)
{
    struct topics *t = calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    t->hash = calloc(HASH, sizeof *t->hash);
    t->cap = 64;
    t->nodes = calloc(t->cap, sizeof *t->nodes);
    if (t->hash == NULL || t->nodes == NULL) {
        topics_free(t);
        return NULL;
    }
    t->n = 1;
    t->nodes[0].open = true;
    t->changes = 1;
    return t;
}

static void free_nodes(struct topics *t)
{
    for (uint32_t i = 1; i < t->n; i++) {
        free(t->nodes[i].name);
        free(t->nodes[i].value);
    }
}

void topics_free(struct topics *t)
{
    if (t == NULL)
        return;
    if (t->nodes != NULL)
        free_nodes(t);
    free(t->nodes);
    free(t->hash);
    free(t->lines);
    free(t);
}

void topics_clear(struct topics *t)
{
    free_nodes(t);
    memset(t->hash, 0, HASH * sizeof *t->hash);
    t->nodes[0] = (struct topic_node){ .open = true };
    t->n = 1;
    t->values = t->lost = 0;
    t->changes++;
}

static uint32_t hash_of(uint32_t parent, struct view name)
{
    uint32_t h = 2166136261u ^ parent * 16777619u;
    for (size_t i = 0; i < name.len; i++)
        h = (h ^ name.ptr[i]) * 16777619u;
    return h ^ h >> 15;
}

/* The slot that holds (parent, name), or the free one where it belongs. The table is never full. */
static uint32_t *slot_of(struct topics *t, uint32_t parent, struct view name)
{
    uint32_t at = hash_of(parent, name) % HASH;
    for (;; at = (at + 1) % HASH) {
        uint32_t i = t->hash[at];
        const struct topic_node *n = &t->nodes[i];
        if (i == 0 || (n->parent == parent && n->name_len == name.len &&
                       (name.len == 0 || memcmp(n->name, name.ptr, name.len) == 0)))
            return &t->hash[at];
    }
}

static uint32_t add_child(struct topics *t, uint32_t parent, struct view name, uint32_t *slot)
{
    if (t->n >= TOPICS_NODES)
        return 0;
    if (t->n == t->cap) {
        struct topic_node *grown = realloc(t->nodes, 2 * t->cap * sizeof *grown);
        if (grown == NULL)
            return 0;
        t->nodes = grown;
        t->cap *= 2;
    }
    char *copy = malloc(name.len + 1);
    if (copy == NULL)
        return 0;
    if (name.len > 0)
        memcpy(copy, name.ptr, name.len);
    uint32_t i = t->n++;
    t->nodes[i] = (struct topic_node){ .parent = parent,
                                       .next = t->nodes[parent].child,
                                       .name = copy,
                                       .name_len = (uint16_t)name.len,
                                       .depth = (uint8_t)(t->nodes[parent].depth + 1),
                                       .open = t->nodes[parent].depth < 2 };
    t->nodes[parent].child = i;
    *slot = i;
    t->changes++;
    return i;
}

/* The node of a topic, made if need be; 0: no room. The last level takes the rest of a topic that is too deep. */
static uint32_t node_of(struct topics *t, struct view topic)
{
    uint32_t at = 0;
    for (bool more = true; more;) {
        const uint8_t *slash = topic.len > 0 ? memchr(topic.ptr, '/', topic.len) : NULL;
        more = slash != NULL && t->nodes[at].depth + 1 < TOPICS_DEPTH;
        size_t len = more ? (size_t)(slash - topic.ptr) : topic.len;
        struct view name = { topic.ptr, len < TOPICS_NAME ? len : TOPICS_NAME };
        uint32_t *slot = slot_of(t, at, name);
        at = *slot != 0 ? *slot : add_child(t, at, name, slot);
        if (at == 0)
            return 0;
        if (more)
            topic = (struct view){ slash + 1, topic.len - len - 1 };
    }
    return at;
}

static void keep_value(struct topics *t, struct topic_node *n, struct view payload)
{
    uint32_t len = payload.len < TOPICS_VALUE ? (uint32_t)payload.len : TOPICS_VALUE;
    t->values -= n->value_len;
    n->value_len = 0;
    if (len == 0 || t->values + len > TOPICS_VALUES) {
        n->cut = len > 0;
        return;
    }
    uint8_t *copy = realloc(n->value, len);
    if (copy == NULL)
        return;
    memcpy(copy, payload.ptr, len);
    n->value = copy;
    n->value_len = len;
    t->values += len;
}

static void add_peer(uint32_t *peers, uint8_t *n, uint64_t session)
{
    if (session == 0)
        return;
    for (int i = 0; i < *n && i < TOPICS_PEERS; i++)
        if (peers[i] == session)
            return;
    if (*n < TOPICS_PEERS)
        peers[*n] = (uint32_t)session;
    if (*n <= TOPICS_PEERS)
        (*n)++;
}

static void count_rate(struct topic_node *n, int64_t now)
{
    if (n->window_ns == 0 || now - n->window_ns >= 2 * WINDOW_NS) {
        n->window_ns = now;
        n->before_n = n->window_n = 0;
    } else if (now - n->window_ns >= WINDOW_NS) {
        n->window_ns += WINDOW_NS;
        n->before_n = n->window_n;
        n->window_n = 0;
    }
    n->window_n++;
}

double topics_rate(const struct topic_node *n, int64_t now_ns)
{
    int64_t past = now_ns - n->window_ns;
    if (n->window_ns == 0 || past >= 2 * WINDOW_NS)
        return 0;
    double share = past < 0 ? 0 : past >= WINDOW_NS ? 1 : (double)past / (double)WINDOW_NS;
    double before = past >= WINDOW_NS ? 0 : n->before_n * (1 - share);
    return (before + n->window_n) / ((double)WINDOW_NS / 1e9);
}

void topics_add(struct topics *t, const struct row *row)
{
    const struct mqtt_packet *p = row->packet;
    if (p == NULL || p->type != MQTT_PUBLISH || p->header_len == 0)
        return;
    struct view topic = p->publish.topic.len > 0 ? p->publish.topic : row->alias_topic;
    if (topic.ptr == NULL)
        return;
    uint32_t i = node_of(t, topic);
    if (i == 0) {
        t->lost++;
        return;
    }
    struct topic_node *n = &t->nodes[i];
    bool from_broker = row->sender == MQTT_SERVER;
    n->last_ns = row->time_ns;
    n->last_qos = p->publish.qos;
    n->last_version = p->version;
    n->value_seq_frame = row->frame;
    n->payload_len = p->publish.payload_len;
    n->octets += p->publish.payload_len;
    n->cut = p->publish.payload_len > TOPICS_VALUE || p->cut;
    keep_value(t, n, p->publish.payload);
    if (from_broker)
        n->delivered++;
    else
        n->published++;
    if (p->publish.retain) {
        n->retained_known = true;
        n->retained = p->publish.payload_len > 0;
    }
    uint64_t session = row->note != NULL ? row->note->session : 0;
    add_peer(from_broker ? n->receivers : n->publishers, from_broker ? &n->n_receivers : &n->n_publishers, session);
    count_rate(n, row->time_ns);
    for (uint32_t up = i; up != 0; up = t->nodes[up].parent)
        t->nodes[up].all++;
}

uint32_t topics_count(const struct topics *t)
{
    return t->n - 1;
}

uint64_t topics_lost(const struct topics *t)
{
    return t->lost;
}

struct topic_node *topics_node(struct topics *t, uint32_t index)
{
    return index > 0 && index < t->n ? &t->nodes[index] : NULL;
}

/* ---- the tree as lines ------------------------------------------------------------------------------------------ */

static int by_name(const struct topic_node *a, const struct topic_node *b)
{
    size_t least = a->name_len < b->name_len ? a->name_len : b->name_len;
    int order = least > 0 ? memcmp(a->name, b->name, least) : 0;
    return order != 0 ? order : (int)a->name_len - (int)b->name_len;
}

static bool before(const struct topics *t, uint32_t a, uint32_t b)
{
    int order = t->order != NULL ? t->order(&t->nodes[a], &t->nodes[b]) : 0;
    if (t->reverse)
        order = -order;
    if (order == 0)
        order = by_name(&t->nodes[a], &t->nodes[b]) * (t->order == NULL && t->reverse ? -1 : 1);
    return order < 0;
}

/* Merge sort of the list of siblings, bottom up. */
static uint32_t sort_list(struct topics *t, uint32_t list)
{
    for (uint32_t width = 1;; width *= 2) {
        uint32_t rest = list, out = 0, last = 0, merges = 0;
        while (rest != 0) {
            uint32_t a = rest, b = rest, n_a = 0, n_b = width;
            merges++;
            for (; n_a < width && b != 0; n_a++)
                b = t->nodes[b].next;
            while (n_a > 0 || (n_b > 0 && b != 0)) {
                bool take_b = n_a == 0 || (n_b > 0 && b != 0 && before(t, b, a));
                uint32_t taken = take_b ? b : a;
                if (take_b) {
                    b = t->nodes[b].next;
                    n_b--;
                } else {
                    a = t->nodes[a].next;
                    n_a--;
                }
                if (last != 0)
                    t->nodes[last].next = taken;
                else
                    out = taken;
                last = taken;
            }
            rest = b;
        }
        if (last != 0)
            t->nodes[last].next = 0;
        list = out;
        if (merges <= 1)
            return list;
    }
}

static bool push_line(struct topics *t, uint32_t node)
{
    if (t->n_lines == t->cap_lines) {
        uint32_t cap = t->cap_lines > 0 ? 2 * t->cap_lines : 256;
        uint32_t *grown = realloc(t->lines, cap * sizeof *grown);
        if (grown == NULL)
            return false;
        t->lines = grown;
        t->cap_lines = cap;
    }
    t->lines[t->n_lines++] = node;
    return true;
}

void topics_open(struct topics *t, uint32_t node, bool open)
{
    if (node > 0 && node < t->n) {
        t->nodes[node].open = open;
        t->changes++;
    }
}

uint32_t topics_lines(struct topics *t, topics_order order, bool reverse)
{
    bool same = t->lines_made == t->changes && t->order == order && t->reverse == reverse;
    if (same && (order == NULL || t->calls++ % FRESH_CALLS != 0))
        return t->n_lines;
    t->lines_made = t->changes;
    t->order = order;
    t->reverse = reverse;
    t->n_lines = 0;
    uint32_t at = 0;
    /* depth first without recursion: children, else the next sibling, else that of the nearest ancestor */
    for (bool down = true;;) {
        struct topic_node *n = &t->nodes[at];
        if (down && n->open && n->child != 0) {
            n->child = sort_list(t, n->child);
            at = n->child;
        } else if (at != 0 && n->next != 0) {
            at = n->next;
            down = true;
        } else if (at == 0) {
            break;
        } else {
            at = n->parent;
            down = false;
            continue;
        }
        down = true;
        if (!push_line(t, at))
            break;
    }
    return t->n_lines;
}

uint32_t topics_line(const struct topics *t, uint32_t line)
{
    return line < t->n_lines ? t->lines[line] : 0;
}

size_t topics_path(struct topics *t, uint32_t node, uint8_t *out, size_t cap)
{
    uint32_t levels[TOPICS_DEPTH];
    int n = 0;
    size_t len = 0;
    for (uint32_t at = node; at != 0 && n < TOPICS_DEPTH; at = t->nodes[at].parent)
        levels[n++] = at;
    while (n > 0) {
        const struct topic_node *level = &t->nodes[levels[--n]];
        size_t room = cap - len, take = level->name_len < room ? level->name_len : room;
        if (take > 0)
            memcpy(out + len, level->name, take);
        len += take;
        if (n > 0 && len < cap)
            out[len++] = '/';
    }
    return len;
}
