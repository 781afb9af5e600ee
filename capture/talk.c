/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/talk.h"
#include "capture/guess.h"
#include "capture/probe.h"
#include "decoder/mqtt/conn.h"
#include "decoder/mqtt/framer.h"
#include <stdlib.h>
#include <string.h>

enum {
    VERDICTS = 64,
    SPARE_PARTIALS = 64,
    SCAN_ALWAYS = 8192, /* octets up to which every segment starts a search through all of them */
    SCAN_STEP = 1024,   /* beyond: so many new ones */
    RECENT_PIECES = 16, /* starts of segments that are looked at first */
    BITS_FIRST = 15,    /* evidence asked for: of the first segment after the hole, if it ends with a packet */
    BITS_EXACT = 20,    /* of a later one, likewise */
    BITS_OPEN = 26,     /* of any segment */
    BITS_ANYWHERE = 34, /* of an offset inside a segment */
    BITS_LINKED = 14,   /* of one from which the packets lead up to a border that is found already */
};

enum direction_state {
    STATE_FRAMING,
    STATE_PROBING,   /* the protocol is not known yet */
    STATE_SEARCHING, /* it is MQTT, but the next packet border is not known */
    STATE_OVER,      /* ended */
};

struct first_octet {
    uint64_t frame, acked;
    int64_t time_ns;
};

/* A packet that is under way in one direction. */
struct partial {
    struct mqtt_framer framer;
    struct first_octet first;
    struct partial *next; /* in the list of spare ones */
};

/* Small, for a fleet of idle connections: what only some of them need hangs on pointers. */
struct talk {
    struct mqtt_conn conn;
    bool decided, opened, closed;
    uint8_t state[2]; /* enum direction_state */
    uint32_t client_id_len;
    uint8_t *client_id;         /* NULL: not known */
    struct partial *partial[2]; /* NULL: between two packets */
    struct probe *probe[2];
    track_conn track;
};

struct talks {
    struct talks_options options;
    struct talks_counters n;
    bool stopped;
    uint64_t current_frame;
    int64_t start_ns;
    struct row row;
    const struct flow *row_flow; /* whose endpoints are in `row`, in direction row_dir */
    unsigned row_dir;
    struct mqtt_packet packet;
    struct track_note note;
    struct mqtt_verdict verdicts[VERDICTS];
    struct talk *spare; /* one, so that short connections need no allocation */
    struct partial *spare_partial;
    uint32_t n_spare_partial;
    uint8_t *kept;     /* bit set of the connections with a row that was answered with PIPELINE_KEEP */
    uint32_t kept_len; /* octets */
};

/* What one packet comes with. */
struct arrival {
    struct talks *t;
    struct flow *f;
    struct talk *k;
    unsigned dir;
    const struct stamp *stamp;
    uint64_t acked;
};

struct talks *talks_new(const struct talks_options *options)
{
    struct talks *t = calloc(1, sizeof *t);
    if (t != NULL)
        t->options = *options;
    return t;
}

void talks_free(struct talks *t)
{
    if (t == NULL)
        return;
    while (t->spare_partial != NULL) {
        struct partial *next = t->spare_partial->next;
        free(t->spare_partial);
        t->spare_partial = next;
    }
    free(t->spare);
    free(t->kept);
    free(t);
}

void talks_stop(struct talks *t)
{
    t->stopped = true;
}

bool talks_stopped(const struct talks *t)
{
    return t->stopped;
}

void talks_first_time(struct talks *t, int64_t time_ns)
{
    t->start_ns = time_ns;
}

void talks_current_frame(struct talks *t, uint64_t frame)
{
    t->current_frame = frame;
}

bool talks_keeps(const struct talks *t, uint32_t connection)
{
    return connection / 8 < t->kept_len && t->kept[connection / 8] >> connection % 8 & 1;
}

static void keep(struct talks *t, uint32_t connection)
{
    if (connection / 8 >= t->kept_len) {
        uint32_t len = (connection / 8 + 1) * 2;
        uint8_t *grown = realloc(t->kept, len);
        if (grown == NULL)
            return;
        memset(grown + t->kept_len, 0, len - t->kept_len);
        t->kept = grown;
        t->kept_len = len;
    }
    t->kept[connection / 8] |= (uint8_t)(1u << connection % 8);
}

void talks_count(const struct talks *t, struct talks_counters *out)
{
    *out = t->n;
}

/* ---- rows ---- */

static void set_endpoint(struct row_endpoint *e, const struct flow *f, unsigned side)
{
    e->addr.family = f->family;
    memcpy(e->addr.octets, f->addr[side], sizeof e->addr.octets);
    e->port = f->port[side];
}

/* The parts of a row that hold for packets and gaps. */
static struct row *begin_row(const struct arrival *a)
{
    struct talks *t = a->t;
    struct row *r = &t->row;
    if (t->row_flow != a->f || t->row_dir != a->dir) {
        set_endpoint(&r->src, a->f, a->dir);
        set_endpoint(&r->dst, a->f, !a->dir);
        t->row_flow = a->f;
        t->row_dir = a->dir;
    }
    r->number = t->n.rows + 1;
    r->frame = r->frame_first = a->stamp->frame;
    r->time_ns = r->time_first_ns = a->stamp->time_ns;
    r->time_start_ns = t->start_ns;
    r->time_before_ns = a->stamp->before_ns;
    r->frame_len = a->stamp->frame_len;
    r->interface_id = a->stamp->interface_id;
    r->stream = a->f->number;
    r->sender = (uint8_t)mqtt_conn_sender(&a->k->conn, a->dir);
    r->version = a->k->conn.version;
    r->version_source = a->k->conn.source;
    r->client_id = view_of(a->k->client_id, a->k->client_id_len);
    return r;
}

static void give_row(const struct arrival *a)
{
    struct talks *t = a->t;
    t->n.rows++;
    if (t->options.events->row == NULL)
        return;
    unsigned answer = t->options.events->row(t->options.ctx, &t->row);
    if (answer & PIPELINE_STOP)
        t->stopped = true;
    if (answer & PIPELINE_KEEP)
        keep(t, a->f->number);
}

static void give_link(const struct arrival *a, enum pipeline_link what, unsigned dir)
{
    if (a->t->options.events->connection == NULL || a->t->stopped)
        return;
    struct pipeline_connection c = {
        .what = what,
        .stream = a->f->number,
        .interface_id = a->stamp->interface_id,
        .sender = (uint8_t)mqtt_conn_sender(&a->k->conn, dir),
        .from_syn = a->f->dir[dir].flags & STREAM_FROM_SYN,
        .time_ns = what == PIPELINE_OPENED ? a->f->first_ns : a->stamp->time_ns,
        .frame = what == PIPELINE_OPENED ? a->f->first_frame : a->stamp->frame,
        .session =
            what != PIPELINE_OPENED && a->t->options.track ? track_session_of(a->t->options.track, a->k->track) : 0,
    };
    set_endpoint(&c.src, a->f, dir);
    set_endpoint(&c.dst, a->f, !dir);
    a->t->options.events->connection(a->t->options.ctx, &c);
}

static bool is_from_syn(const struct flow *f)
{
    return f->dir[0].flags & f->dir[1].flags & STREAM_FROM_SYN;
}

/* Right before the first row. */
static void open_connection(const struct arrival *a)
{
    struct talk *k = a->k;
    if (k->opened)
        return;
    k->opened = true;
    a->t->n.connections++;
    give_link(a, PIPELINE_OPENED, a->f->client < 2 ? a->f->client : a->dir);
    if (a->t->options.track == NULL)
        return;
    struct track_opening o = { .stream = a->f->number,
                               .client_dir = a->f->client,
                               .from_syn = is_from_syn(a->f),
                               .time_ns = a->f->first_ns,
                               .frame = a->f->first_frame };
    set_endpoint(&o.side[0], a->f, 0);
    set_endpoint(&o.side[1], a->f, 1);
    k->track = track_open(a->t->options.track, &o);
}

static void give_gap(const struct arrival *a, uint64_t gap, uint64_t skipped, const char *why)
{
    if (a->t->stopped)
        return;
    open_connection(a);
    if (a->t->options.track != NULL)
        track_gap(a->t->options.track, a->k->track, a->dir, gap + skipped, a->stamp->time_ns, a->stamp->frame);
    struct row *r = begin_row(a);
    r->kind = ROW_GAP;
    r->packet = NULL;
    r->verdicts = NULL;
    r->n_verdicts = 0;
    r->alias_topic = view_of(NULL, 0);
    r->note = NULL;
    r->gap_octets = gap;
    r->skipped_octets = skipped;
    r->gap_reason = why;
    a->t->n.gaps++;
    a->t->n.gap_octets += gap;
    a->t->n.skipped_octets += skipped;
    give_row(a);
}

static void set_client_id(const struct arrival *a, struct view id)
{
    struct talk *k = a->k;
    if (id.ptr == NULL || id.len == 0 || (k->client_id_len == id.len && memcmp(k->client_id, id.ptr, id.len) == 0))
        return;
    if (a->t->n.held + id.len > a->t->options.total_limit)
        return;
    uint8_t *copy = realloc(k->client_id, id.len);
    if (copy == NULL)
        return;
    a->t->n.held += id.len;
    a->t->n.held -= k->client_id_len;
    memcpy(copy, id.ptr, id.len);
    k->client_id = copy;
    k->client_id_len = (uint32_t)id.len;
}

/* CONNECT names the client; with 5.0 CONNACK may do so instead. */
static void learn_client_id(const struct arrival *a, const struct mqtt_packet *p)
{
    struct mqtt_prop assigned;
    if (p->header_len == 0)
        return;
    if (p->type == MQTT_CONNECT)
        set_client_id(a, p->connect.client_id);
    else if (p->type == MQTT_CONNACK && mqtt_props_find(&p->props, MQTT_PROP_ASSIGNED_CLIENT_IDENTIFIER, &assigned))
        set_client_id(a, assigned.text);
}

/* Sessions and exchanges; adds the verdicts of conduct. */
static void track(const struct arrival *a, const struct first_octet *first, uint64_t end, struct mqtt_verdicts *v)
{
    struct talks *t = a->t;
    const struct mqtt_conn *c = &a->k->conn;
    bool counted = is_from_syn(a->f);
    struct track_input in = { .packet = &t->packet,
                              .dir = (uint8_t)a->dir,
                              .sender = (uint8_t)mqtt_conn_sender(c, a->dir),
                              .version = c->version,
                              .version_source = c->source,
                              .roles_sure = c->roles_sure,
                              .frame = a->stamp->frame,
                              .frame_first = first->frame,
                              .time_ns = a->stamp->time_ns,
                              .time_first_ns = first->time_ns,
                              .end = counted ? end : 0,
                              .acked = counted ? first->acked : 0 };
    track_packet(t->options.track, a->k->track, &in, v, &t->note);
}

/* One packet. `end`: place in the stream behind its last octet. */
static void give_packet(const struct arrival *a, const struct mqtt_frame *frame, const struct first_octet *first,
                        uint64_t end)
{
    struct talks *t = a->t;
    if (t->stopped)
        return;
    open_connection(a);
    struct mqtt_verdicts v = { .at = t->verdicts, .cap = VERDICTS };
    mqtt_conn_packet(&a->k->conn, a->dir, frame->octets, &t->packet, &v);
    learn_client_id(a, &t->packet);
    if (t->options.track != NULL)
        track(a, first, end, &v);
    struct row *r = begin_row(a);
    r->kind = ROW_PACKET;
    r->frame_first = first->frame;
    r->time_first_ns = first->time_ns;
    r->packet = &t->packet;
    r->verdicts = t->verdicts;
    r->n_verdicts = v.n;
    r->note = t->options.track != NULL ? &t->note : NULL;
    r->alias_topic = r->note != NULL ? t->note.alias_topic : view_of(NULL, 0);
    r->gap_octets = r->skipped_octets = 0;
    r->gap_reason = NULL;
    t->n.packets++;
    t->n.packet_octets += frame->total;
    if (frame->octets.len + frame->missing < frame->total)
        t->n.cut_packets++;
    give_row(a);
}

/* ---- framing ---- */

/* Memory for a packet that does not lie whole in a segment. Over the budget it keeps no more than it has. */
static bool lend(const struct arrival *a, struct mqtt_framer *fr)
{
    struct talks *t = a->t;
    uint32_t want = fr->want;
    if (fr->lent_cap > 0 && t->n.held + want - fr->lent_cap > t->options.total_limit) {
        fr->limit = fr->lent_cap;
        return true;
    }
    uint8_t *memory = realloc(fr->lent, want);
    if (memory == NULL)
        return false;
    t->n.held += want - fr->lent_cap;
    mqtt_framer_lend(fr, memory, want);
    return true;
}

static void take_back(struct talks *t, struct mqtt_framer *fr)
{
    if (fr->lent == NULL)
        return;
    t->n.held -= fr->lent_cap;
    free(fr->lent);
    mqtt_framer_lend(fr, NULL, 0);
}

/* The packet under way is to be gone on with later. False: no memory. */
static bool suspend(struct talks *t, struct talk *k, unsigned dir, const struct mqtt_framer *fr,
                    const struct first_octet *first)
{
    struct partial *p = t->spare_partial;
    if (p != NULL) {
        t->spare_partial = p->next;
        t->n_spare_partial--;
    } else {
        p = malloc(sizeof *p);
    }
    if (p == NULL)
        return false;
    *p = (struct partial){ .framer = *fr, .first = *first };
    t->n.memory += sizeof *p;
    k->partial[dir] = p;
    return true;
}

/* No packet is under way any more. */
static void drop_partial(struct talks *t, struct talk *k, unsigned dir)
{
    struct partial *p = k->partial[dir];
    if (p == NULL)
        return;
    k->partial[dir] = NULL;
    take_back(t, &p->framer);
    t->n.memory -= sizeof *p;
    if (t->n_spare_partial == SPARE_PARTIALS) {
        free(p);
        return;
    }
    p->next = t->spare_partial;
    t->spare_partial = p;
    t->n_spare_partial++;
}

static void search(const struct arrival *a, bool final);

static bool begin_search(const struct arrival *a, uint64_t gap, uint64_t skipped, const char *why)
{
    struct talk *k = a->k;
    struct probe *p = k->probe[a->dir] != NULL ? k->probe[a->dir] : probe_new();
    drop_partial(a->t, k, a->dir);
    if (p == NULL) {
        give_gap(a, gap, skipped, why);
        k->state[a->dir] = STATE_OVER;
        return false;
    }
    if (k->probe[a->dir] == NULL)
        a->t->n.held += probe_memory(p);
    k->probe[a->dir] = p;
    k->state[a->dir] = STATE_SEARCHING;
    p->gap += gap;
    p->dropped += skipped;
    if (why != NULL && p->why == NULL) {
        p->why = why;
        p->since = *a->stamp;
    }
    return true;
}

/* Framing is lost at `at`: the rest of the segment is where the search begins. */
static void lose_framing(const struct arrival *a, uint64_t at, struct view rest)
{
    if (!begin_search(a, 0, 0, "framing lost") || rest.len == 0)
        return;
    a->t->n.held += (uint64_t)probe_add(a->k->probe[a->dir], at, rest, a->stamp, a->acked);
    search(a, false);
}

static void frame_octets(const struct arrival *a, uint64_t at, struct view octets)
{
    struct partial *partial = a->k->partial[a->dir];
    struct first_octet here = { a->stamp->frame, a->acked, a->stamp->time_ns };
    struct first_octet first = partial != NULL ? partial->first : here;
    struct mqtt_framer usual, *fr = &usual;
    struct cursor in = cur_over(octets.ptr, octets.len);
    struct mqtt_frame out;
    enum mqtt_frame_status status;
    if (partial != NULL)
        fr = &partial->framer;
    else
        mqtt_framer_init(fr, a->t->options.packet_limit);
    while ((status = mqtt_framer_next(fr, &in, &out)) != MQTT_FRAME_MORE) {
        if (status == MQTT_FRAME_MEMORY && lend(a, fr))
            continue;
        if (status != MQTT_FRAME_MEMORY)
            give_packet(a, &out, &first, at + in.pos);
        if (status != MQTT_FRAME_PACKET || a->t->stopped)
            break;
        first = here;
    }
    bool lost = status == MQTT_FRAME_BAD || status == MQTT_FRAME_MEMORY;
    bool under_way = status == MQTT_FRAME_MORE && mqtt_framer_under_way(fr);
    if (partial == NULL && under_way && !suspend(a->t, a->k, a->dir, fr, &first)) {
        under_way = false;
        lost = true;
    }
    if (!under_way) {
        drop_partial(a->t, a->k, a->dir);
        if (partial == NULL)
            take_back(a->t, fr);
    }
    if (lost)
        lose_framing(a, at + in.pos, view_of(in.base + in.pos, cur_left(&in)));
}

/* ---- searching for a border ---- */

static unsigned versions_of(const struct talk *k)
{
    return k->conn.possible != 0 ? k->conn.possible : 1u << MQTT_V31 | 1u << MQTT_V311 | 1u << MQTT_V5;
}

static struct view from(const struct probe *p, uint32_t at)
{
    return view_of(p->octets + at, p->len - at);
}

/* A border at the start of a segment; UINT32_MAX: none. */
static uint32_t search_pieces(const struct talk *k, unsigned dir)
{
    const struct probe *p = k->probe[dir];
    enum mqtt_side sender = mqtt_conn_sender(&k->conn, dir);
    uint32_t i = p->n > RECENT_PIECES ? p->n - RECENT_PIECES : 0;
    for (; i < p->n; i++) {
        struct mqtt_run run = mqtt_run_at(from(p, p->piece[i].at), versions_of(k), sender);
        bool first = i == 0 && p->dropped == 0;
        if (run.bits >= BITS_OPEN || (run.exact && run.bits >= (first ? BITS_FIRST : BITS_EXACT)))
            return p->piece[i].at;
    }
    return UINT32_MAX;
}

/* The earliest offset from which packets lead exactly up to this border. */
static uint32_t search_back(const struct talk *k, unsigned dir, uint32_t border)
{
    const struct probe *p = k->probe[dir];
    struct mqtt_run run;
    uint32_t at = 0;
    while (at < border) {
        struct view before = view_of(p->octets + at, border - at);
        at += (uint32_t)mqtt_resync(before, versions_of(k), mqtt_conn_sender(&k->conn, dir), BITS_LINKED, &run);
        if (at < border && run.exact)
            return at;
        at++;
    }
    return border;
}

static uint32_t find_border(const struct talk *k, unsigned dir, bool final)
{
    struct probe *p = k->probe[dir];
    uint32_t at = search_pieces(k, dir);
    if (at != UINT32_MAX)
        return at > 0 ? search_back(k, dir, at) : 0;
    if (!final && p->len > SCAN_ALWAYS && p->len - p->scanned < SCAN_STEP)
        return UINT32_MAX;
    p->scanned = p->len;
    struct mqtt_run run;
    size_t found = mqtt_resync(from(p, 0), versions_of(k), mqtt_conn_sender(&k->conn, dir), BITS_ANYWHERE, &run);
    if (found < p->len)
        return (uint32_t)found;
    return final ? search_back(k, dir, p->len) : UINT32_MAX;
}

/* Hands the pieces from octet `start` on to the framer. */
static void feed_probe(const struct arrival *a, struct probe *p, uint32_t start)
{
    for (uint32_t i = 0; i < p->n; i++) {
        struct view octets = probe_piece_octets(p, i);
        uint32_t at = p->piece[i].at;
        if (at + octets.len <= start)
            continue;
        uint32_t skip = start > at ? start - at : 0;
        struct arrival then = *a;
        then.stamp = &p->piece[i].stamp;
        then.acked = p->piece[i].acked;
        struct view rest = view_of(octets.ptr + skip, octets.len - skip);
        struct talk *k = a->k;
        if (k->state[a->dir] == STATE_FRAMING) {
            frame_octets(&then, p->first_at + at + skip, rest);
        } else if (k->state[a->dir] == STATE_SEARCHING) { /* framing was lost in an earlier piece */
            a->t->n.held +=
                (uint64_t)probe_add(k->probe[a->dir], p->first_at + at + skip, rest, then.stamp, then.acked);
            search(&then, false);
        }
    }
}

static void release_probe(struct talks *t, struct probe *p)
{
    if (p == NULL)
        return;
    t->n.held -= probe_memory(p);
    probe_free(p);
}

/* Tells what was lost and skipped, if anything was. */
static void give_probe_gap(const struct arrival *a, struct probe *p)
{
    if (p->gap + p->dropped == 0)
        return;
    struct arrival then = *a;
    then.stamp = p->why != NULL ? &p->since : a->stamp;
    give_gap(&then, p->gap, p->dropped, p->why != NULL ? p->why : "start in mid-stream");
}

static void search(const struct arrival *a, bool final)
{
    struct talk *k = a->k;
    struct probe *p = k->probe[a->dir];
    if (p->len == 0)
        return;
    uint32_t border = find_border(k, a->dir, final);
    if (border == UINT32_MAX || border >= p->len) {
        if (a->t->n.held > a->t->options.total_limit) /* what cannot be kept is skipped */
            probe_drop(p, p->len);
        return;
    }
    p->dropped += border;
    k->probe[a->dir] = NULL;
    k->state[a->dir] = STATE_FRAMING;
    give_probe_gap(a, p);
    feed_probe(a, p, border);
    release_probe(a->t, p);
}

/* ---- what is it ---- */

static bool has_port(const struct flow *f, uint16_t port)
{
    return f->port[0] == port || f->port[1] == port;
}

static bool is_forced(const struct talks *t, const struct flow *f)
{
    for (uint32_t i = 0; i < t->options.n_forced_ports; i++)
        if (has_port(f, t->options.forced_ports[i]))
            return true;
    return false;
}

/* The side that sends in this direction, as far as TCP or the port tells. */
static enum mqtt_side likely_sender(const struct flow *f, unsigned dir)
{
    if (f->client < 2)
        return f->client == dir ? MQTT_CLIENT : MQTT_SERVER;
    if (f->port[!dir] == GUESS_MQTT_PORT && f->port[dir] != GUESS_MQTT_PORT)
        return MQTT_CLIENT;
    return f->port[dir] == GUESS_MQTT_PORT && f->port[!dir] != GUESS_MQTT_PORT ? MQTT_SERVER : MQTT_NOBODY;
}

static enum guess guess(const struct talks *t, const struct flow *f, unsigned dir, struct view octets,
                        unsigned segments, bool whole, bool final)
{
    if (is_forced(t, f))
        return GUESS_MQTT;
    bool expected = has_port(f, GUESS_MQTT_PORT);
    if (whole && f->client == dir)
        return guess_client(octets, expected, final);
    return guess_run(octets, expected, likely_sender(f, dir), segments, final);
}

static struct talk *make_talk(struct talks *t, struct flow *f)
{
    struct talk *k = t->spare != NULL ? t->spare : malloc(sizeof *k);
    if (k == NULL)
        return NULL;
    t->spare = NULL;
    *k = (struct talk){ .state = { STATE_PROBING, STATE_PROBING } };
    t->n.memory += sizeof *k;
    mqtt_conn_init(&k->conn);
    if (f->client < 2)
        mqtt_conn_client(&k->conn, f->client);
    f->upper = k;
    return k;
}

static void drop_talk(struct talks *t, struct flow *f)
{
    struct talk *k = f->upper;
    if (k == NULL)
        return;
    f->upper = NULL;
    for (unsigned dir = 0; dir < 2; dir++) {
        drop_partial(t, k, dir);
        release_probe(t, k->probe[dir]);
    }
    t->n.held -= k->client_id_len;
    free(k->client_id);
    t->n.memory -= sizeof *k;
    free(t->spare);
    t->spare = k;
}

/* It is MQTT: directions that are whole from the SYN are framed from their first octet, others are searched. */
static void decide(const struct arrival *a, unsigned dir)
{
    struct talk *k = a->k;
    struct probe *p = k->probe[dir];
    bool whole = (a->f->dir[dir].flags & STREAM_FROM_SYN) && (p == NULL || (p->gap == 0 && p->dropped == 0));
    if (k->state[dir] != STATE_PROBING)
        return;
    struct arrival there = *a;
    there.dir = dir;
    if (!whole) {
        if (begin_search(&there, 0, 0, NULL))
            search(&there, false);
        return;
    }
    k->state[dir] = STATE_FRAMING;
    k->probe[dir] = NULL;
    if (p != NULL)
        feed_probe(&there, p, 0);
    release_probe(a->t, p);
}

static void probe(const struct arrival *a, uint64_t at, struct view octets, bool final)
{
    struct talk *k = a->k;
    struct probe *p = k->probe[a->dir];
    if (p == NULL) {
        p = k->probe[a->dir] = probe_new();
        if (p == NULL) {
            tcp_ignore(a->f);
            return;
        }
        a->t->n.held += probe_memory(p);
    }
    if (octets.len > 0)
        a->t->n.held += (uint64_t)probe_add(p, at, octets, a->stamp, a->acked);
    bool whole = (a->f->dir[a->dir].flags & STREAM_FROM_SYN) && p->gap == 0 && p->dropped == 0;
    enum guess g = guess(a->t, a->f, a->dir, view_of(p->octets, p->len), p->segments, whole, final);
    if (g == GUESS_MORE && a->t->n.held > a->t->options.total_limit)
        g = GUESS_OTHER;
    if (g == GUESS_OTHER) {
        drop_talk(a->t, a->f);
        tcp_ignore(a->f);
    } else if (g == GUESS_MQTT) {
        k->decided = true;
        decide(a, a->dir);
        decide(a, !a->dir);
    }
}

/* ---- events of TCP ---- */

/* Octets of the other direction that the sender had acknowledged with this segment; 0: not known. */
static uint64_t acked_by(const struct talks *t, const struct flow *f, unsigned dir, const struct stamp *stamp)
{
    const struct stream *other = &f->dir[!dir];
    uint8_t needed = STREAM_KNOWN | STREAM_ACKED | STREAM_FROM_SYN;
    if (stamp->frame != t->current_frame || (other->flags & needed) != needed)
        return 0;
    int32_t behind = (int32_t)(other->next - other->acked);
    if (behind < 0) /* it has octets that have not come this far: lost, or captured out of order */
        return other->at + (uint32_t)-behind;
    return (uint64_t)behind > other->at ? 0 : other->at - (uint32_t)behind;
}

static void on_data(void *ctx, struct flow *f, unsigned dir, uint64_t at, struct view octets, const struct stamp *stamp)
{
    struct talks *t = ctx;
    if (t->stopped)
        return;
    struct arrival a = { t, f, f->upper, dir, stamp, acked_by(t, f, dir, stamp) };
    if (a.k == NULL) {
        bool whole = f->dir[dir].flags & STREAM_FROM_SYN;
        enum guess g = guess(t, f, dir, octets, 1, whole, false);
        if (g == GUESS_OTHER) { /* most of what is no MQTT needs no memory */
            tcp_ignore(f);
            return;
        }
        a.k = make_talk(t, f);
        if (a.k == NULL)
            return;
        if (g == GUESS_MQTT && whole) { /* nor does the usual beginning need a probe */
            a.k->decided = true;
            a.k->state[dir] = STATE_FRAMING;
            decide(&a, !dir);
        }
    }
    if (!a.k->decided) {
        probe(&a, at, octets, false);
    } else if (a.k->state[dir] == STATE_FRAMING) {
        frame_octets(&a, at, octets);
    } else if (a.k->state[dir] == STATE_SEARCHING) {
        t->n.held += (uint64_t)probe_add(a.k->probe[dir], at, octets, stamp, a.acked);
        search(&a, false);
    }
}

static const char *reason_of(enum stream_gap why)
{
    switch (why) {
    case STREAM_SNAPLEN:
        return "snaplen";
    case STREAM_EVICTED:
        return "out-of-order budget";
    default:
        return "lost segment";
    }
}

static void gap_while_framing(const struct arrival *a, uint64_t at, uint64_t len, enum stream_gap why)
{
    struct partial *p = a->k->partial[a->dir];
    struct mqtt_frame out;
    bool complete;
    if (p == NULL) { /* between two packets: nobody knows how many are lost */
        begin_search(a, len, 0, reason_of(why));
        return;
    }
    uint64_t begun = p->framer.total == 0 ? p->framer.seen : 0; /* of a header that stays incomplete */
    uint64_t rest = p->framer.total - p->framer.seen;
    bool bridged = mqtt_framer_hole(&p->framer, len, &out, &complete);
    if (bridged && why != STREAM_SNAPLEN) /* octets that the snaplen cut show in the packet itself */
        give_gap(a, len, 0, reason_of(why));
    if (complete)
        give_packet(a, &out, &p->first, at + rest);
    if (!bridged)
        begin_search(a, len, begun, reason_of(why));
    else if (complete)
        drop_partial(a->t, a->k, a->dir);
}

static void on_gap(void *ctx, struct flow *f, unsigned dir, uint64_t at, uint64_t len, enum stream_gap why,
                   const struct stamp *stamp)
{
    struct talks *t = ctx;
    struct arrival a = { t, f, f->upper, dir, stamp, 0 };
    if (t->stopped)
        return;
    if (a.k == NULL) {
        a.k = make_talk(t, f);
        if (a.k == NULL)
            return;
    }
    struct probe *p = a.k->probe[dir];
    if (a.k->decided && a.k->state[dir] == STATE_FRAMING) {
        gap_while_framing(&a, at, len, why);
    } else if (p != NULL || !a.k->decided) { /* what was not understood before the hole will not be behind it */
        if (p != NULL && p->len > 0) {
            if (a.k->decided)
                search(&a, true);
            if (a.k->state[dir] == STATE_FRAMING) {
                gap_while_framing(&a, at, len, why);
                return;
            }
            p = a.k->probe[dir];
            probe_drop(p, p->len);
        }
        uint8_t state = a.k->state[dir];
        if (begin_search(&a, len, 0, reason_of(why)))
            a.k->state[dir] = state;
    }
}

/* The end of one direction: what is still undecided is decided by what there is. */
static void settle(const struct arrival *a, enum tcp_end how)
{
    struct talk *k = a->k;
    struct probe *p = k->probe[a->dir];
    if (!k->decided) {
        if (p != NULL && p->len > 0)
            probe(a, 0, view_of(NULL, 0), true);
        if (a->f->upper == NULL || !k->decided)
            return;
        p = k->probe[a->dir];
    }
    if (k->state[a->dir] == STATE_SEARCHING && p != NULL) {
        search(a, true);
        if (k->state[a->dir] == STATE_SEARCHING) {
            uint32_t left = p->len;
            probe_drop(p, left);
            give_probe_gap(a, p);
            p->gap = p->dropped = 0;
        }
    }
    struct partial *partial = k->partial[a->dir];
    if (k->state[a->dir] == STATE_FRAMING && partial != NULL && how != TCP_END_INPUT)
        give_gap(a, 0, partial->framer.seen - partial->framer.missing, "packet cut off by the end of the connection");
    k->state[a->dir] = STATE_OVER;
}

static void close_connection(const struct arrival *a, enum tcp_end how, unsigned dir)
{
    static const enum pipeline_link links[] = { [TCP_END_FIN] = PIPELINE_CLOSED_FIN,
                                                [TCP_END_RST] = PIPELINE_CLOSED_RST,
                                                [TCP_END_INPUT] = PIPELINE_CLOSED_END,
                                                [TCP_END_EVICTED] = PIPELINE_CLOSED_END };
    static const enum track_close_how hows[] = { [TCP_END_FIN] = TRACK_CLOSE_FIN,
                                                 [TCP_END_RST] = TRACK_CLOSE_RST,
                                                 [TCP_END_INPUT] = TRACK_CLOSE_END,
                                                 [TCP_END_EVICTED] = TRACK_CLOSE_EVICTED };
    if (!a->k->opened || a->k->closed)
        return;
    a->k->closed = true;
    give_link(a, links[how], dir);
    if (a->t->options.track != NULL)
        track_close(a->t->options.track, a->k->track, hows[how], how == TCP_END_FIN || how == TCP_END_RST ? dir : 2,
                    a->stamp->time_ns, a->stamp->frame);
}

static void on_end(void *ctx, struct flow *f, unsigned dir, enum tcp_end how, const struct stamp *stamp)
{
    struct talks *t = ctx;
    struct arrival a = { t, f, f->upper, dir, stamp, 0 };
    if (t->stopped || a.k == NULL || a.k->state[dir] == STATE_OVER)
        return;
    settle(&a, how);
    if (f->upper != NULL)
        close_connection(&a, how, dir);
}

static void on_release(void *ctx, struct flow *f, enum tcp_end how, const struct stamp *stamp)
{
    struct talks *t = ctx;
    struct arrival a = { t, f, f->upper, 0, stamp, 0 };
    if (t->row_flow == f)
        t->row_flow = NULL;
    if (a.k == NULL)
        return;
    if (t->stopped) { /* nobody is told any more, but the memory goes back */
        drop_talk(t, f);
        return;
    }
    close_connection(&a, how, f->client < 2 ? f->client : 0);
    if (t->options.track != NULL && a.k->opened)
        track_forget(t->options.track, a.k->track);
    drop_talk(t, f);
}

const struct tcp_events talks_tcp_events = { .data = on_data, .gap = on_gap, .end = on_end, .release = on_release };
