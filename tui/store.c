/* SPDX-License-Identifier: Apache-2.0 */
#include "tui/store.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
    RELABEL_ROWS = 20000 /* as far back as a CONNECT is looked for */,
    CHUNK_ROWS = 1024,
    CHUNK_OCTETS = 1 << 20 /* a chunk is full with either */,
    CONN_BUCKETS = 256
};

struct conn { /* what the rows of one connection share */
    struct row_endpoint src, dst;
    uint32_t stream, interface_id;
    uint32_t client; /* place of the client identifier in the blob */
    uint16_t client_len;
    uint16_t next; /* in the bucket, 1-based */
    bool has_client;
};

struct chunk {
    uint64_t first;    /* sequence number of rows[0] */
    uint32_t n, shown; /* shown: packets and gaps among them */
    uint32_t blob_len, blob_cap;
    uint16_t n_conns, cap_conns;
    uint8_t *blob;
    struct conn *conns;
    uint16_t buckets[CONN_BUCKETS]; /* 1-based */
    struct store_row rows[CHUNK_ROWS];
};

struct store {
    pthread_mutex_t gate, lock; /* the gate makes the lock fair: who waits, waits in it */
    struct chunk **chunks;      /* oldest first */
    size_t n_chunks, cap_chunks;
    uint64_t first, next;           /* sequence numbers held */
    size_t hint;                    /* the chunk looked at last */
    uint64_t relabelled;            /* lowest row with another session than it began with; UINT64_MAX: none */
    int64_t start_ns;               /* of the first frame of the capture */
    struct store_finding *findings; /* a ring once it is STORE_FINDINGS long */
    uint32_t findings_from, n_findings, cap_findings;
    struct store_totals totals;
};

static const char *const gap_reasons[] = {
    "", "lost segment", "snaplen", "start in mid-stream", "framing lost", "later copy with other octets", "gap"
};

struct store *store_new(uint64_t budget)
{
    struct store *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->relabelled = UINT64_MAX;
    pthread_mutex_init(&s->gate, NULL);
    pthread_mutex_init(&s->lock, NULL);
    s->totals.budget = budget < STORE_BUDGET_LEAST ? STORE_BUDGET_LEAST : budget;
    return s;
}

static uint64_t chunk_memory(const struct chunk *c)
{
    return sizeof *c + c->blob_cap + (uint64_t)c->cap_conns * sizeof *c->conns;
}

static void chunk_free(struct store *s, struct chunk *c)
{
    s->totals.memory -= chunk_memory(c);
    free(c->blob);
    free(c->conns);
    free(c);
}

void store_clear(struct store *s)
{
    for (size_t i = 0; i < s->n_chunks; i++)
        chunk_free(s, s->chunks[i]);
    for (uint32_t i = 0; i < s->cap_findings; i++)
        free(s->findings[i].sentence);
    free(s->findings);
    s->findings = NULL;
    s->cap_findings = 0;
    s->n_chunks = s->hint = 0;
    s->first = s->next;
    s->n_findings = s->findings_from = 0;
    s->totals = (struct store_totals){ .budget = s->totals.budget, .changes = s->totals.changes + 1 };
}

void store_free(struct store *s)
{
    if (s == NULL)
        return;
    store_clear(s);
    pthread_mutex_destroy(&s->gate);
    pthread_mutex_destroy(&s->lock);
    free(s->chunks);
    free(s);
}

void store_lock(struct store *s)
{
    pthread_mutex_lock(&s->gate);
    pthread_mutex_lock(&s->lock);
    pthread_mutex_unlock(&s->gate);
}

void store_unlock(struct store *s)
{
    pthread_mutex_unlock(&s->lock);
}

/* ---- filling ---------------------------------------------------------------------------------------------------- */

static void evict_oldest(struct store *s)
{
    s->totals.evicted_rows += s->chunks[0]->shown;
    s->totals.held -= s->chunks[0]->shown;
    s->first += s->chunks[0]->n;
    s->hint = 0;
    chunk_free(s, s->chunks[0]);
    s->n_chunks--;
    memmove(s->chunks, s->chunks + 1, s->n_chunks * sizeof *s->chunks);
}

static void stay_in_budget(struct store *s)
{
    while (s->totals.memory > s->totals.budget && s->n_chunks > 1)
        evict_oldest(s);
}

/* The chunk that takes the next row; NULL: no memory even after making room. */
static struct chunk *open_chunk(struct store *s)
{
    struct chunk *last = s->n_chunks > 0 ? s->chunks[s->n_chunks - 1] : NULL;
    if (last != NULL && last->n < CHUNK_ROWS && last->blob_len < CHUNK_OCTETS)
        return last;
    stay_in_budget(s);
    if (s->n_chunks == s->cap_chunks) {
        size_t cap = s->cap_chunks > 0 ? 2 * s->cap_chunks : 64;
        struct chunk **grown = realloc(s->chunks, cap * sizeof(struct chunk *));
        if (grown == NULL)
            return NULL;
        s->chunks = grown;
        s->cap_chunks = cap;
    }
    struct chunk *c = calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    c->first = s->next;
    s->chunks[s->n_chunks++] = c;
    s->totals.memory += chunk_memory(c);
    return c;
}

/* Room for len octets at the end of the blob; NULL: no memory. */
static uint8_t *blob_room(struct store *s, struct chunk *c, size_t len)
{
    if (c->blob == NULL || c->blob_cap - c->blob_len < len) {
        uint64_t cap = c->blob_cap > 0 ? c->blob_cap : 16384;
        while (cap - c->blob_len < len)
            cap *= 2;
        if (cap > UINT32_MAX)
            return NULL;
        uint8_t *grown = realloc(c->blob, cap);
        if (grown == NULL)
            return NULL;
        s->totals.memory += cap - c->blob_cap;
        c->blob = grown;
        c->blob_cap = (uint32_t)cap;
    }
    uint8_t *at = c->blob + c->blob_len;
    c->blob_len += (uint32_t)len;
    return at;
}

static bool same_endpoint(const struct row_endpoint *a, const struct row_endpoint *b)
{
    return a->port == b->port && a->addr.family == b->addr.family &&
           memcmp(a->addr.octets, b->addr.octets, sizeof a->addr.octets) == 0;
}

static bool same_client(const struct chunk *c, const struct conn *conn, struct view client)
{
    if (client.ptr == NULL || !conn->has_client)
        return (client.ptr != NULL) == conn->has_client;
    return conn->client_len == client.len && memcmp(c->blob + conn->client, client.ptr, client.len) == 0;
}

static bool add_conn(struct store *s, struct chunk *c, const struct conn *conn, struct view client)
{
    if (c->n_conns == c->cap_conns) {
        uint16_t cap = c->cap_conns > 0 ? (uint16_t)(2 * c->cap_conns) : 8;
        struct conn *grown = realloc(c->conns, cap * sizeof *grown);
        if (grown == NULL)
            return false;
        s->totals.memory += (uint64_t)(cap - c->cap_conns) * sizeof *grown;
        c->conns = grown;
        c->cap_conns = cap;
    }
    uint8_t *text = blob_room(s, c, client.len);
    if (text == NULL && client.len > 0)
        return false;
    if (client.len > 0)
        memcpy(text, client.ptr, client.len);
    struct conn *added = &c->conns[c->n_conns++];
    *added = *conn;
    added->has_client = client.ptr != NULL;
    added->client = c->blob_len - (uint32_t)client.len;
    added->client_len = (uint16_t)client.len;
    added->next = c->buckets[conn->stream % CONN_BUCKETS];
    c->buckets[conn->stream % CONN_BUCKETS] = c->n_conns;
    return true;
}

/* The place of the connection among those of the chunk; -1: no memory. Directions and client ids make entries of their
 * own. */
static int find_conn(struct store *s, struct chunk *c, const struct conn *conn, struct view client)
{
    if (client.len > UINT16_MAX)
        client.len = UINT16_MAX;
    for (uint16_t i = c->buckets[conn->stream % CONN_BUCKETS]; i != 0; i = c->conns[i - 1].next) {
        const struct conn *old = &c->conns[i - 1];
        if (old->stream == conn->stream && old->interface_id == conn->interface_id &&
            same_endpoint(&old->src, &conn->src) && same_endpoint(&old->dst, &conn->dst) && same_client(c, old, client))
            return i - 1;
    }
    return add_conn(s, c, conn, client) ? c->n_conns - 1 : -1;
}

static uint32_t back(uint64_t from, uint64_t to)
{
    return to == 0 || to > from ? 0 : from - to > UINT32_MAX ? UINT32_MAX : (uint32_t)(from - to);
}

static void copy_note(struct store_row *m, const struct track_note *n)
{
    m->latency_ns = m->step_ns = -1;
    if (n == NULL)
        return;
    m->latency_ns = n->latency_ns;
    m->step_ns = n->step_ns;
    m->answers_back = back(m->frame, n->answers_frame);
    m->first_back = back(m->frame, n->first_frame);
    m->session = (uint32_t)n->session;
    m->exchange = (uint32_t)n->exchange;
    m->resent = n->resent;
    m->flags = n->flags;
    m->inflight = n->inflight;
    m->window = n->window;
    m->x_kind = n->kind;
    m->x_outcome = n->outcome;
    m->x_step = n->step;
    m->x_starter = n->starter;
    m->owed_by = n->owed_by;
    m->owed_type = n->owed_type;
}

static uint8_t reason_index(const char *reason)
{
    if (reason == NULL)
        return 0;
    for (uint8_t i = 1; i < sizeof gap_reasons / sizeof *gap_reasons; i++)
        if (strcmp(gap_reasons[i], reason) == 0)
            return i;
    return sizeof gap_reasons / sizeof *gap_reasons - 1;
}

static struct view cut(struct view v, size_t most)
{
    return (struct view){ v.ptr, v.len < most ? v.len : most };
}

/* Octets, verdicts, alias topic and topic of the exchange, one behind the other. */
static bool copy_blob(struct store *s, struct chunk *c, struct store_row *m, const struct row *row)
{
    const struct mqtt_packet *p = row->packet;
    struct view alias = cut(row->alias_topic, UINT16_MAX);
    struct view topic = row->note != NULL ? cut(row->note->topic, UINT16_MAX) : (struct view){ 0 };
    if (p == NULL)
        return true;
    if (p->type == MQTT_PUBLISH && p->publish.topic.len > 0)
        topic.len = 0; /* it is in the octets */
    size_t verdicts = row->n_verdicts * sizeof *row->verdicts;
    uint32_t aligned = (c->blob_len + 7u) & ~7u;
    uint8_t *at = blob_room(s, c, aligned - c->blob_len + verdicts + m->held + alias.len + topic.len);
    if (at == NULL)
        return false;
    at += aligned - (uint32_t)(at - c->blob);
    m->blob = aligned;
    m->n_verdicts = (uint16_t)row->n_verdicts;
    m->alias_len = (uint16_t)alias.len;
    m->topic_len = (uint16_t)topic.len;
    if (verdicts > 0)
        memcpy(at, row->verdicts, verdicts);
    at += verdicts;
    if (m->held > 0)
        memcpy(at, p->octets, m->held);
    if (alias.len > 0)
        memcpy(at + m->held, alias.ptr, alias.len);
    if (topic.len > 0)
        memcpy(at + m->held + alias.len, topic.ptr, topic.len);
    return true;
}

static void count_row(struct store *s, const struct store_row *m)
{
    struct store_totals *t = &s->totals;
    t->rows++;
    t->changes++;
    if (t->first_ns == 0 || m->time_ns < t->first_ns)
        t->first_ns = m->time_ns;
    if (m->time_ns > t->last_ns)
        t->last_ns = m->time_ns;
    if (m->kind != STORE_PACKET)
        return;
    t->packets++;
    t->octets += m->total;
    t->cut_packets += m->held < m->total;
    t->by_type[m->first_octet >> 4][m->sender < 3 ? m->sender : 0]++;
}

static bool grow_findings(struct store *s)
{
    uint32_t cap = s->cap_findings > 0 ? 4 * s->cap_findings : 64;
    cap = cap < STORE_FINDINGS ? cap : STORE_FINDINGS;
    struct store_finding *grown = realloc(s->findings, cap * sizeof *grown);
    if (grown == NULL)
        return false;
    memset(grown + s->cap_findings, 0, (cap - s->cap_findings) * sizeof *grown);
    s->findings = grown;
    s->cap_findings = cap;
    return true;
}

/* The oldest makes room when there is no more to be had. NULL: there is none at all. */
static struct store_finding *new_finding(struct store *s, unsigned severity)
{
    s->totals.by_severity[severity < 4 ? severity : 0]++;
    s->totals.changes++;
    bool full = s->n_findings == s->cap_findings && (s->cap_findings == STORE_FINDINGS || !grow_findings(s));
    if (s->cap_findings == 0)
        return NULL;
    uint32_t at = (s->findings_from + s->n_findings) % s->cap_findings;
    if (full) {
        s->findings_from = (s->findings_from + 1) % s->cap_findings;
        s->totals.evicted_findings++;
    } else {
        s->n_findings++;
    }
    free(s->findings[at].sentence);
    s->findings[at] = (struct store_finding){ .seq = UINT64_MAX, .severity = (uint8_t)severity };
    return &s->findings[at];
}

static void set_client(struct store_finding *f, struct view client)
{
    f->client_len = (uint8_t)(client.len < sizeof f->client ? client.len : sizeof f->client);
    if (f->client_len > 0)
        memcpy(f->client, client.ptr, f->client_len);
}

static void add_verdicts(struct store *s, const struct store_row *m, const struct row *row)
{
    for (uint32_t i = 0; i < row->n_verdicts; i++) {
        const struct mqtt_verdict *v = &row->verdicts[i];
        struct store_finding *f = new_finding(s, v->severity);
        if (f == NULL)
            return;
        f->seq = s->next;
        f->frame[0] = row->frame;
        f->time_ns = row->time_ns;
        f->session = m->session;
        f->exchange = m->exchange;
        f->stream = row->stream;
        f->rule = v->rule;
        f->side = v->side;
        f->version = row->version;
        f->of_packet = true;
        set_client(f, row->client_id);
    }
}

static struct store_row meta_of(const struct row *row)
{
    struct store_row m = {
        .time_ns = row->time_ns,
        .time_first_ns = row->time_first_ns,
        .time_before_ns = row->time_before_ns,
        .frame = row->frame,
        .number = row->number,
        .frame_back = back(row->frame, row->frame_first),
        .stream = row->stream,
        .frame_len = row->frame_len,
        .kind = row->kind == ROW_GAP ? STORE_GAP : STORE_PACKET,
        .sender = row->sender,
        .version = row->version,
        .version_source = row->version_source,
    };
    copy_note(&m, row->note);
    if (row->packet != NULL) {
        const struct mqtt_packet *p = row->packet;
        m.held = p->held < STORE_PACKET_LIMIT ? p->held : STORE_PACKET_LIMIT;
        m.total = p->header_len + p->remaining;
        m.id = p->has_id ? p->id : 0;
        m.first_octet = (uint8_t)(p->type << 4 | p->flags);
    } else {
        m.total = row->gap_octets > UINT32_MAX ? UINT32_MAX : (uint32_t)row->gap_octets;
        m.skipped = row->skipped_octets > UINT32_MAX ? UINT32_MAX : (uint32_t)row->skipped_octets;
        m.gap_reason = reason_index(row->gap_reason);
    }
    for (uint32_t i = 0; i < row->n_verdicts; i++)
        if (row->verdicts[i].severity > m.severity)
            m.severity = row->verdicts[i].severity;
    return m;
}

static struct chunk *chunk_of(struct store *s, uint64_t seq);

/* CONNACK tells to which session the packets before it belong (struct track_note of CONNECT has a number of its own
 * then). */
static void relabel(struct store *s, const struct store_row *connack)
{
    uint64_t least = s->next - s->first > RELABEL_ROWS ? s->next - RELABEL_ROWS : s->first;
    for (uint64_t seq = s->next; seq-- > least;) {
        struct chunk *c = chunk_of(s, seq);
        struct store_row *m = &c->rows[seq - c->first];
        if (m->kind != STORE_PACKET || m->exchange != connack->exchange)
            continue;
        if (m->session != connack->session && seq < s->relabelled)
            s->relabelled = seq;
        m->session = connack->session;
        if (m->first_octet >> 4 == MQTT_CONNECT)
            return;
    }
}

uint64_t store_take_relabelled(struct store *s)
{
    uint64_t out = s->relabelled;
    s->relabelled = UINT64_MAX;
    return out;
}

static void append(struct store *s, struct chunk *c, const struct store_row *m)
{
    bool shown = m->kind == STORE_PACKET || m->kind == STORE_GAP;
    c->rows[c->n++] = *m;
    c->shown += shown;
    s->totals.held += shown;
    s->next++;
    count_row(s, m);
    stay_in_budget(s);
}

void store_add(struct store *s, const struct row *row)
{
    struct chunk *c = open_chunk(s);
    if (c == NULL)
        return;
    struct store_row m = meta_of(row);
    struct conn conn = { .src = row->src, .dst = row->dst, .stream = row->stream, .interface_id = row->interface_id };
    int at = find_conn(s, c, &conn, row->client_id);
    if (at < 0 || !copy_blob(s, c, &m, row)) { /* out of memory: the row is as good as evicted */
        s->totals.evicted_rows++;
        return;
    }
    m.conn = (uint16_t)at;
    s->start_ns = row->time_start_ns;
    add_verdicts(s, &m, row);
    if (m.first_octet >> 4 == MQTT_CONNACK && m.x_kind == TRACK_CONNECT && m.session != 0)
        relabel(s, &m);
    append(s, c, &m);
}

/* Who owes what in the session at this moment: the exchange that waits longest. */
static void owed_at_close(struct store_row *m, const struct track *tracker)
{
    struct track_exchange x;
    uint32_t pos = 0;
    int64_t since = INT64_MAX;
    while (m->session != 0 && tracker != NULL && track_exchange_of(tracker, m->session, &pos, &x)) {
        if (x.owed_by == MQTT_NOBODY || x.kind == TRACK_PING || x.stream != m->stream)
            continue; /* what is under way on a newer connection does not wait for this one */
        if (m->exchange != 0)
            m->owed_more++;
        if (x.owed_since_ns >= since)
            continue;
        since = x.owed_since_ns;
        m->exchange = (uint32_t)x.number;
        m->x_kind = x.kind;
        m->x_starter = x.starter;
        m->owed_by = x.owed_by;
        m->owed_type = x.owed_type;
        m->id = x.id;
        m->latency_ns = m->time_ns - x.owed_since_ns;
    }
}

void store_add_link(struct store *s, const struct store_link *link, const struct track *tracker)
{
    struct chunk *c = open_chunk(s);
    if (c == NULL)
        return;
    struct store_row m = { .time_ns = link->time_ns,
                           .time_first_ns = link->time_ns,
                           .latency_ns = -1,
                           .step_ns = -1,
                           .frame = link->frame,
                           .session = link->session,
                           .stream = link->stream,
                           .kind = link->open ? STORE_OPEN : STORE_CLOSE,
                           .sender = link->sender,
                           .close = (uint8_t)link->close,
                           .from_syn = link->from_syn };
    struct conn conn = { .src = link->src, .dst = link->dst, .stream = link->stream };
    struct track_session session;
    struct view client = { 0 };
    if (tracker != NULL && m.session != 0 && track_session_find(tracker, m.session, &session))
        client = session.client_id;
    if (!link->open)
        owed_at_close(&m, tracker);
    int at = find_conn(s, c, &conn, client);
    if (at < 0)
        return;
    m.conn = (uint16_t)at;
    append(s, c, &m);
}

void store_add_finding(struct store *s, const struct track_finding *in)
{
    struct store_finding *f = new_finding(s, in->severity);
    if (f == NULL)
        return;
    memcpy(f->frame, in->frame, sizeof f->frame);
    f->time_ns = in->time_ns;
    f->session = (uint32_t)in->session;
    f->exchange = (uint32_t)in->exchange;
    f->stream = in->stream;
    f->rule = in->rule;
    f->diagnosis = in->diagnosis;
    f->side = in->side;
    f->version = in->version;
    f->sentence = strdup(in->sentence);
    set_client(f, in->client_id);
}

/* ---- looking ---------------------------------------------------------------------------------------------------- */

uint64_t store_first(const struct store *s)
{
    return s->first;
}

uint64_t store_end(const struct store *s)
{
    return s->next;
}

static bool in_chunk(const struct chunk *c, uint64_t seq)
{
    return seq >= c->first && seq - c->first < c->n;
}

static struct chunk *chunk_of(struct store *s, uint64_t seq)
{
    if (seq < s->first || seq >= s->next)
        return NULL;
    if (in_chunk(s->chunks[s->hint], seq))
        return s->chunks[s->hint];
    size_t low = 0, high = s->n_chunks; /* chunks[low]->first <= seq < chunks[high]->first */
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        if (s->chunks[mid]->first <= seq)
            low = mid;
        else
            high = mid;
    }
    s->hint = low;
    return s->chunks[low];
}

const struct store_row *store_meta(struct store *s, uint64_t seq)
{
    struct chunk *c = chunk_of(s, seq);
    return c == NULL ? NULL : &c->rows[seq - c->first];
}

static void fill_note(struct track_note *n, const struct store_row *m, struct view client, struct view topic,
                      struct view alias)
{
    *n = (struct track_note){
        .session = m->session,
        .exchange = m->exchange,
        .first_frame = m->frame - m->first_back,
        .answers_frame = m->answers_back == 0 ? 0 : m->frame - m->answers_back,
        .latency_ns = m->latency_ns,
        .step_ns = m->step_ns,
        .kind = m->x_kind,
        .outcome = m->x_outcome,
        .step = m->x_step,
        .starter = m->x_starter,
        .owed_by = m->owed_by,
        .owed_type = m->owed_type,
        .resent = m->resent,
        .flags = m->flags,
        .inflight = m->inflight,
        .window = m->window,
        .client_id = client,
        .topic = topic,
        .alias_topic = alias,
    };
}

static struct view optional(const uint8_t *at, size_t len)
{
    return len > 0 ? view_of(at, len) : (struct view){ 0 };
}

static struct view conn_client(const struct chunk *c, const struct conn *conn)
{
    return conn->has_client ? view_of(c->blob + conn->client, conn->client_len) : (struct view){ 0 };
}

static void fill_packet(struct store_entry *out, const struct chunk *c, struct view client)
{
    const struct store_row *m = out->meta;
    const uint8_t *at = c->blob + m->blob;
    out->row.verdicts = m->n_verdicts > 0 ? (const struct mqtt_verdict *)(const void *)at : NULL;
    out->row.n_verdicts = m->n_verdicts;
    at += m->n_verdicts * sizeof(struct mqtt_verdict);
    struct mqtt_context context = { .version = m->version, .sender = m->sender };
    mqtt_decode(view_of(at, m->held), context, &out->packet, NULL);
    struct view alias = optional(at + m->held, m->alias_len);
    struct view topic = optional(at + m->held + m->alias_len, m->topic_len);
    if (out->packet.type == MQTT_PUBLISH && out->packet.publish.topic.len > 0)
        topic = out->packet.publish.topic;
    out->row.packet = &out->packet;
    out->row.alias_topic = alias;
    fill_note(&out->note, m, client, topic, alias);
    out->row.note = &out->note;
}

bool store_get(struct store *s, uint64_t seq, struct store_entry *out)
{
    struct chunk *c = chunk_of(s, seq);
    if (c == NULL)
        return false;
    const struct store_row *m = &c->rows[seq - c->first];
    const struct conn *conn = &c->conns[m->conn];
    *out = (struct store_entry){ .seq = seq, .meta = m };
    out->row = (struct row){
        .kind = m->kind == STORE_GAP ? ROW_GAP : ROW_PACKET,
        .number = m->number,
        .frame = m->frame,
        .frame_first = m->frame - m->frame_back,
        .time_ns = m->time_ns,
        .time_first_ns = m->time_first_ns,
        .time_before_ns = m->time_before_ns,
        .time_start_ns = s->start_ns,
        .frame_len = m->frame_len,
        .interface_id = conn->interface_id,
        .stream = m->stream,
        .src = conn->src,
        .dst = conn->dst,
        .sender = m->sender,
        .version = m->version,
        .version_source = m->version_source,
        .client_id = conn_client(c, conn),
    };
    if (m->kind == STORE_PACKET)
        fill_packet(out, c, out->row.client_id);
    if (m->kind == STORE_GAP) {
        out->row.gap_octets = m->total;
        out->row.skipped_octets = m->skipped;
        out->row.gap_reason = gap_reasons[m->gap_reason];
    }
    return true;
}

uint64_t store_at_frame(struct store *s, uint64_t frame)
{
    uint64_t low = s->first, high = s->next;
    while (low < high) {
        uint64_t mid = low + (high - low) / 2;
        if (store_meta(s, mid)->frame < frame)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

const struct store_totals *store_totals(const struct store *s)
{
    return &s->totals;
}

struct view store_client(struct store *s, const struct store_row *meta, uint64_t seq)
{
    struct chunk *c = chunk_of(s, seq);
    return c == NULL ? (struct view){ 0 } : conn_client(c, &c->conns[meta->conn]);
}

bool store_endpoints(struct store *s, uint64_t seq, struct row_endpoint *src, struct row_endpoint *dst)
{
    struct chunk *c = chunk_of(s, seq);
    if (c == NULL)
        return false;
    const struct conn *conn = &c->conns[c->rows[seq - c->first].conn];
    *src = conn->src;
    *dst = conn->dst;
    return true;
}

uint32_t store_findings(const struct store *s)
{
    return s->n_findings;
}

const struct store_finding *store_finding(const struct store *s, uint32_t index)
{
    return index < s->n_findings ? &s->findings[(s->findings_from + index) % s->cap_findings] : NULL;
}

/* The row of the latest evidence that belongs to the finding's connection or session. */
uint64_t store_finding_seq(struct store *s, const struct store_finding *f)
{
    if (f->of_packet)
        return f->seq >= s->first && f->seq < s->next ? f->seq : UINT64_MAX;
    uint64_t frame = 0;
    for (int i = 0; i < TRACK_EVIDENCE; i++)
        if (f->frame[i] > frame)
            frame = f->frame[i];
    if (frame == 0)
        return UINT64_MAX;
    uint64_t near = UINT64_MAX;
    for (uint64_t seq = store_at_frame(s, frame); seq < s->next && store_meta(s, seq)->frame == frame; seq++) {
        const struct store_row *m = store_meta(s, seq);
        if (near == UINT64_MAX || m->exchange == f->exchange || (f->exchange == 0 && m->session == f->session))
            near = seq;
    }
    return near;
}
