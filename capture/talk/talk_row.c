/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/talk/talk_parts.h"
#include <stdlib.h>
#include <string.h>

static void set_endpoint(struct row_endpoint *e, const struct flow *f, unsigned side)
{
    e->addr.family = f->family;
    memset(e->addr.octets, 0, sizeof e->addr.octets);
    memcpy(e->addr.octets, flow_addr(f, side), f->family == 4 ? 4 : 16);
    e->port = f->port[side];
}

static struct view name_of(const struct talks *t, const struct talk *k)
{
    if (k->named)
        return track_client_of(t->options.track, k->track);
    return k->more != NULL ? view_of(k->more->client_id, k->more->client_id_len) : view_of(NULL, 0);
}

/* What stays the same from row to row of a direction. */
static void turn_row(const struct arrival *a)
{
    struct talks *t = a->t;
    struct row *r = &t->row;
    set_endpoint(&r->src, a->f, a->dir);
    set_endpoint(&r->dst, a->f, !a->dir);
    r->stream = a->f->number;
    t->row_flow = a->f;
    t->row_dir = a->dir;
}

/* And from row to row of a frame, until a packet tells more of its connection. */
RARELY static void turn_frame(const struct arrival *a)
{
    struct talks *t = a->t;
    const struct mqtt_conn *c = &a->k->conn;
    const struct stamp *stamp = a->stamp;
    struct row *r = &t->row;
    struct track_input *in = &t->input;
    if (t->row_flow != a->f || t->row_dir != a->dir)
        turn_row(a);
    r->frame = in->frame = stamp->frame;
    r->time_ns = in->time_ns = stamp->time_ns;
    r->time_before_ns = stamp->before_ns;
    r->frame_len = stamp->frame_len;
    r->interface_id = stamp->interface_id;
    in->dir = (uint8_t)a->dir;
    r->sender = in->sender = (uint8_t)mqtt_conn_sender(c, a->dir);
    r->version = in->version = c->version;
    r->version_source = in->version_source = c->source;
    in->roles_sure = c->roles_sure;
}

/* The parts of a row that hold for packets and gaps. told: more of the connection is known than with the last one. */
static inline struct row *begin_row(const struct arrival *a, bool told)
{
    struct talks *t = a->t;
    struct row *r = &t->row;
    if (told || r->frame != a->stamp->frame || t->row_flow != a->f || t->row_dir != a->dir)
        turn_frame(a);
    r->number = ++t->n.rows;
    return r;
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

RARELY static void take_answer(const struct arrival *a, unsigned answer)
{
    if (answer & PIPELINE_STOP)
        a->t->stopped = true;
    if (answer & PIPELINE_KEEP)
        keep(a->t, a->f->number);
}

static inline void give_row(const struct arrival *a, const struct row *r)
{
    const struct talks_options *o = &a->t->options;
    unsigned answer = o->events->row != NULL ? o->events->row(o->ctx, r) : PIPELINE_GO_ON;
    if (answer != PIPELINE_GO_ON)
        take_answer(a, answer);
}

/* Of its connection, which is not opened yet. */
static struct flow_extra first_of(const struct arrival *a)
{
    if (a->f->extra != NULL)
        return *a->f->extra;
    return (struct flow_extra){ .first_ns = a->stamp->time_ns, .first_frame = a->stamp->frame };
}

void talk_give_link(const struct arrival *a, enum pipeline_link what, unsigned dir)
{
    if (a->t->options.events->connection == NULL || a->t->stopped)
        return;
    struct flow_extra begun = first_of(a);
    struct pipeline_connection c = {
        .what = what,
        .stream = a->f->number,
        .interface_id = a->stamp->interface_id,
        .sender = (uint8_t)mqtt_conn_sender(&a->k->conn, dir),
        .from_syn = a->f->dir[dir].flags & STREAM_FROM_SYN,
        .time_ns = what == PIPELINE_OPENED ? begun.first_ns : a->stamp->time_ns,
        .frame = what == PIPELINE_OPENED ? begun.first_frame : a->stamp->frame,
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
void talk_open(const struct arrival *a)
{
    struct talk *k = a->k;
    if (k->opened)
        return;
    k->opened = true;
    a->t->n.connections++;
    talk_give_link(a, PIPELINE_OPENED, a->f->client < 2 ? a->f->client : a->dir);
    a->f->flags |= TCP_FLOW_KNOWN;
    if (a->t->options.track == NULL)
        return;
    struct flow_extra begun = first_of(a);
    struct track_opening o = { .stream = a->f->number,
                               .client_dir = a->f->client,
                               .from_syn = is_from_syn(a->f),
                               .time_ns = begun.first_ns,
                               .frame = begun.first_frame };
    set_endpoint(&o.side[0], a->f, 0);
    set_endpoint(&o.side[1], a->f, 1);
    k->track = track_open(a->t->options.track, &o);
}

static void give_gap_row(const struct arrival *a, uint64_t gap, uint64_t skipped, const char *why)
{
    struct row r = *begin_row(a, true);
    r.client_id = name_of(a->t, a->k);
    r.frame_first = r.frame;
    r.time_first_ns = r.time_ns;
    r.kind = ROW_GAP;
    r.packet = NULL;
    r.verdicts = NULL;
    r.n_verdicts = 0;
    r.alias_topic = view_of(NULL, 0);
    r.note = NULL;
    r.gap_octets = gap;
    r.skipped_octets = skipped;
    r.gap_reason = why;
    give_row(a, &r);
}

void talk_give_gap(const struct arrival *a, uint64_t gap, uint64_t skipped, const char *why)
{
    if (a->t->stopped)
        return;
    talk_open(a);
    if (a->t->options.track != NULL)
        track_gap(a->t->options.track, a->k->track, a->dir, gap + skipped, a->stamp->time_ns, a->stamp->frame);
    a->t->n.gaps++;
    a->t->n.gap_octets += gap;
    a->t->n.skipped_octets += skipped;
    give_gap_row(a, gap, skipped, why);
}

void talk_give_difference(const struct arrival *a, uint64_t at, uint64_t len, uint64_t first_frame)
{
    talk_open(a);
    if (a->t->options.track != NULL)
        track_differ(a->t->options.track, a->k->track,
                     &(struct track_difference){ .dir = a->dir,
                                                 .at = at,
                                                 .octets = len,
                                                 .time_ns = a->stamp->time_ns,
                                                 .first_frame = first_frame,
                                                 .frame = a->stamp->frame });
    give_gap_row(a, 0, 0, "later copy with other octets");
}

static void set_client_id(const struct arrival *a, struct view id)
{
    struct talk *k = a->k;
    struct view known = name_of(a->t, k);
    if (id.ptr == NULL || id.len == 0 || (known.len == id.len && memcmp(known.ptr, id.ptr, id.len) == 0))
        return;
    if (a->t->n.held + id.len > a->t->options.total_limit)
        return;
    struct talk_more *m = talk_more(a->t, k);
    uint8_t *copy = m != NULL ? realloc(m->client_id, id.len) : NULL;
    if (copy == NULL)
        return;
    a->t->n.held += id.len;
    a->t->n.held -= m->client_id_len;
    memcpy(copy, id.ptr, id.len);
    k->named = false;
    m->client_id = copy;
    m->client_id_len = (uint32_t)id.len;
}

/* One copy is enough: the tracker's, where it has the same. */
RARELY static void share_client_id(struct talks *t, struct talk *k)
{
    struct view same = t->options.track != NULL ? track_client_of(t->options.track, k->track) : view_of(NULL, 0);
    struct talk_more *m = k->more;
    if (same.len != m->client_id_len || same.ptr == NULL || memcmp(same.ptr, m->client_id, same.len) != 0)
        return;
    t->n.held -= m->client_id_len;
    free(m->client_id);
    m->client_id = NULL;
    m->client_id_len = 0;
    k->named = true;
}

/* CONNECT names the client; with 5.0 CONNACK may do so instead. */
RARELY static void learn_client_id(const struct arrival *a, const struct mqtt_packet *p)
{
    struct mqtt_prop assigned;
    if (p->header_len == 0)
        return;
    if (p->type == MQTT_CONNECT)
        set_client_id(a, p->connect.client_id);
    else if (p->type == MQTT_CONNACK && mqtt_props_find(&p->props, MQTT_PROP_ASSIGNED_CLIENT_IDENTIFIER, &assigned))
        set_client_id(a, assigned.text);
}

/* What was wrong with the WebSocket around it; told once the version is known, for 3.1 has a name of its own. */
RARELY static void tell_faults(const struct arrival *a)
{
    struct transport_fault w;
    while (transport_fault(flow_transport(a->f), &w)) {
        bool fits_31 = a->k->conn.version == MQTT_V31 && w.offers_31;
        if (a->t->options.track != NULL && (w.fault == TRACK_WS_TEXT || !fits_31))
            track_websocket(a->t->options.track, a->k->track, w.fault, w.dir, w.time_ns, w.frame);
    }
}

/* Its row, but for what the tracker adds. */
static inline struct row *packet_row(const struct arrival *a, const struct first_octet *first, uint64_t end, bool told)
{
    struct row *r = begin_row(a, told);
    const struct stream *stream = &a->f->dir[a->dir];
    r->plain = !(a->f->flags & TALK_WRAPPED);
    r->frame_first = first->stamp.frame;
    r->time_first_ns = first->stamp.time_ns;
    r->seq_end = stream->next - (uint32_t)stream->at + (uint32_t)end;
    return r;
}

/* Sessions and exchanges; adds the verdicts of conduct. */
static inline void track(const struct arrival *a, const struct row *r, uint64_t acked, uint64_t end,
                         struct mqtt_verdicts *v)
{
    struct talks *t = a->t;
    t->input.frame_first = r->frame_first;
    t->input.time_first_ns = r->time_first_ns;
    t->input.end = r->plain ? end : 0;
    t->input.acked = r->plain ? acked : 0;
    track_packet(t->options.track, a->k->track, &t->input, v, &t->note);
}

static void give_packet(const struct arrival *a, const struct mqtt_frame *frame, const struct first_octet *first,
                        uint64_t end)
{
    struct talks *t = a->t;
    if (t->stopped)
        return;
    if (!a->k->opened)
        talk_open(a);
    struct mqtt_verdicts v = { .at = t->verdicts, .cap = TALK_VERDICTS };
    mqtt_conn_packet(&a->k->conn, a->dir, frame->octets, &t->packet, &v);
    bool names = t->packet.type <= MQTT_CONNACK;
    if (names)
        learn_client_id(a, &t->packet);
    struct row *r = packet_row(a, first, end, names || a->k->conn.source != MQTT_SOURCE_CONNECT);
    if (t->options.track != NULL)
        track(a, r, first->acked, end, &v);
    if (names && a->k->more != NULL && a->k->more->client_id != NULL)
        share_client_id(t, a->k);
    if (!r->plain)
        tell_faults(a);
    r->client_id = a->k->named ? t->note.client_id : name_of(t, a->k);
    r->n_verdicts = v.n;
    r->alias_topic = t->note.alias_topic;
    t->n.packets++;
    t->n.packet_octets += frame->total;
    if (frame->octets.len + frame->missing < frame->total)
        t->n.cut_packets++;
    give_row(a, r);
}

void talk_give_packet(const struct arrival *a, const struct mqtt_frame *frame, const struct first_octet *first,
                      uint64_t end)
{
    if (first->stamp.frame <= a->stamp->frame) {
        give_packet(a, frame, first, end);
        return;
    }
    /* out of order: what came last completes the packet, though it holds its beginning */
    struct arrival completed = *a;
    completed.stamp = &first->stamp;
    give_packet(&completed, frame, &(struct first_octet){ *a->stamp, first->acked }, end);
}
