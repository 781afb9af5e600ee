/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/talk/rows.h"
#include "capture/talk/names.h"
#include <stdlib.h>
#include <string.h>

enum { ROWS_VERDICTS = 64 };

struct rows {
    struct rows_options options;
    bool stopped;
    unsigned dir;   /* of `row` */
    struct row row; /* of a packet; what does not change from one to the next stays, here and in `input` */
    struct track_input input;
    struct mqtt_packet packet;
    struct track_note note;
    struct mqtt_verdict verdicts[ROWS_VERDICTS];
    struct names names;
    uint8_t *kept;     /* bit set of the connections with a row that was answered with PIPELINE_KEEP */
    uint32_t kept_len; /* octets */
};

struct rows *rows_new(const struct rows_options *options)
{
    struct rows *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->options = *options;
    s->names.limit = options->names_limit;
    s->input.packet = &s->packet;
    s->row = (struct row){ .kind = ROW_PACKET,
                           .packet = &s->packet,
                           .verdicts = s->verdicts,
                           .note = options->track != NULL && !options->brief ? &s->note : NULL,
                           .plain = true };
    return s;
}

void rows_free(struct rows *s)
{
    if (s == NULL)
        return;
    names_free(&s->names);
    free(s->kept);
    free(s);
}

bool rows_stopped(const struct rows *s)
{
    return s->stopped;
}

void rows_first_time(struct rows *s, int64_t time_ns)
{
    s->row.time_start_ns = time_ns;
}

bool rows_keep(const struct rows *s, uint32_t connection)
{
    return connection / 8 < s->kept_len && s->kept[connection / 8] >> connection % 8 & 1;
}

uint64_t rows_names(const struct rows *s)
{
    return s->names.octets;
}

void rows_prefetch(const struct rows *s, uint64_t handle, unsigned step)
{
    if (s->options.track != NULL)
        track_prefetch(s->options.track, handle, step);
}

/* ---- rows ---- */

/* What stays the same from row to row of a frame, until a packet tells more of its connection. */
RARELY static void turn(struct rows *s, const struct report *r)
{
    struct row *row = &s->row;
    struct track_input *in = &s->input;
    if (row->stream != r->stream || s->dir != r->dir || row->src.addr.family == 0) {
        row->src = r->side[r->dir];
        row->dst = r->side[!r->dir];
        row->stream = r->stream;
        s->dir = r->dir;
    }
    row->frame = in->frame = r->stamp.frame;
    row->time_ns = in->time_ns = r->stamp.time_ns;
    row->time_before_ns = r->stamp.before_ns;
    row->frame_len = r->stamp.frame_len;
    row->interface_id = r->stamp.interface_id;
    in->dir = r->dir;
    row->sender = in->sender = (uint8_t)mqtt_conn_sender(&r->conn, r->dir);
    row->version = in->version = r->conn.version;
    row->version_source = in->version_source = r->conn.source;
    in->roles_sure = r->conn.roles_sure;
}

/* told: more of the connection is known than with the last one. */
static inline struct row *begin_row(struct rows *s, const struct report *r, bool told)
{
    struct row *row = &s->row;
    if (told || row->frame != r->stamp.frame || row->time_ns != r->stamp.time_ns || row->stream != r->stream ||
        s->dir != r->dir)
        turn(s, r);
    row->number++;
    return row;
}

static void keep(struct rows *s, uint32_t connection)
{
    if (connection / 8 >= s->kept_len) {
        uint32_t len = (connection / 8 + 1) * 2;
        uint8_t *grown = realloc(s->kept, len);
        if (grown == NULL)
            return;
        memset(grown + s->kept_len, 0, len - s->kept_len);
        s->kept = grown;
        s->kept_len = len;
    }
    s->kept[connection / 8] |= (uint8_t)(1u << connection % 8);
}

RARELY static void take_answer(struct rows *s, unsigned answer, uint32_t connection)
{
    if (answer & PIPELINE_STOP)
        s->stopped = true;
    if (answer & PIPELINE_KEEP)
        keep(s, connection);
}

static inline void give_row(struct rows *s, const struct row *row)
{
    const struct pipeline_events *e = s->options.events;
    unsigned answer = e->row != NULL ? e->row(s->options.ctx, row) : PIPELINE_GO_ON;
    if (answer != PIPELINE_GO_ON)
        take_answer(s, answer, row->stream);
}

/* ---- life of a connection ---- */

static void give_link(const struct rows *s, const struct report *r, enum pipeline_link what)
{
    if (s->options.events->connection == NULL)
        return;
    bool opened = what == PIPELINE_OPENED;
    struct pipeline_connection c = {
        .what = what,
        .stream = r->stream,
        .interface_id = r->stamp.interface_id,
        .src = r->side[r->dir],
        .dst = r->side[!r->dir],
        .sender = (uint8_t)mqtt_conn_sender(&r->conn, r->dir),
        .from_syn = opened ? r->opened.from_syn[r->dir] : r->closed.from_syn,
        .time_ns = opened ? r->opened.time_ns : r->stamp.time_ns,
        .frame = opened ? r->opened.frame : r->stamp.frame,
        .session = opened || s->options.track == NULL ? 0 : track_session_of(s->options.track, r->handle),
    };
    s->options.events->connection(s->options.ctx, &c);
}

static void take_opened(const struct rows *s, struct report *r)
{
    give_link(s, r, PIPELINE_OPENED);
    struct track_opening o = { .side = { r->side[0], r->side[1] },
                               .stream = r->stream,
                               .client_dir = r->opened.client,
                               .from_syn = r->opened.from_syn[0] && r->opened.from_syn[1],
                               .time_ns = r->opened.time_ns,
                               .frame = r->opened.frame };
    if (s->options.track != NULL)
        r->handle = track_open(s->options.track, &o);
}

static void take_closed(const struct rows *s, const struct report *r)
{
    static const enum pipeline_link links[] = { [TCP_END_FIN] = PIPELINE_CLOSED_FIN,
                                                [TCP_END_RST] = PIPELINE_CLOSED_RST,
                                                [TCP_END_INPUT] = PIPELINE_CLOSED_END,
                                                [TCP_END_EVICTED] = PIPELINE_CLOSED_END };
    static const enum track_close_how hows[] = { [TCP_END_FIN] = TRACK_CLOSE_FIN,
                                                 [TCP_END_RST] = TRACK_CLOSE_RST,
                                                 [TCP_END_INPUT] = TRACK_CLOSE_END,
                                                 [TCP_END_EVICTED] = TRACK_CLOSE_EVICTED };
    unsigned how = r->closed.how, closer = how == TCP_END_FIN || how == TCP_END_RST ? r->dir : 2;
    give_link(s, r, links[how]);
    if (s->options.track != NULL)
        track_close(s->options.track, r->handle, hows[how], closer, r->stamp.time_ns, r->stamp.frame);
}

static void take_forgotten(struct rows *s, const struct report *r)
{
    if (s->options.track != NULL)
        track_forget(s->options.track, r->handle);
    names_drop(&s->names, r->stream);
}

/* ---- client identifiers ---- */

static struct view tracked_name(const struct rows *s, const struct report *r)
{
    return s->options.track != NULL ? track_client_of(s->options.track, r->handle) : view_of(NULL, 0);
}

static struct view name_of(const struct rows *s, const struct report *r)
{
    struct view own = names_find(&s->names, r->stream);
    return own.ptr != NULL ? own : tracked_name(s, r);
}

static bool is_same(struct view a, struct view b)
{
    return a.ptr != NULL && b.ptr != NULL && a.len == b.len && memcmp(a.ptr, b.ptr, a.len) == 0;
}

/* CONNECT names the client; with 5.0 CONNACK may do so instead. The tracker's copy is enough where it has the same. */
RARELY static void learn_name(struct rows *s, const struct report *r)
{
    const struct mqtt_packet *p = &s->packet;
    struct mqtt_prop assigned;
    struct view id = view_of(NULL, 0);
    if (p->header_len == 0)
        return;
    if (p->type == MQTT_CONNECT)
        id = p->connect.client_id;
    else if (p->type == MQTT_CONNACK && mqtt_props_find(&p->props, MQTT_PROP_ASSIGNED_CLIENT_IDENTIFIER, &assigned))
        id = assigned.text;
    if (id.ptr == NULL || id.len == 0)
        return;
    if (is_same(tracked_name(s, r), id))
        names_drop(&s->names, r->stream);
    else if (!is_same(names_find(&s->names, r->stream), id))
        names_set(&s->names, r->stream, id);
}

/* ---- gaps ---- */

static void give_gap_row(struct rows *s, const struct report *r, uint64_t gap, uint64_t skipped, const char *why)
{
    struct row row = *begin_row(s, r, true);
    row.client_id = name_of(s, r);
    row.frame_first = row.frame;
    row.time_first_ns = row.time_ns;
    row.kind = ROW_GAP;
    row.packet = NULL;
    row.verdicts = NULL;
    row.n_verdicts = 0;
    row.alias_topic = view_of(NULL, 0);
    row.note = NULL;
    row.gap_octets = gap;
    row.skipped_octets = skipped;
    row.gap_reason = why;
    give_row(s, &row);
}

static void take_gap(struct rows *s, const struct report *r)
{
    if (s->options.track != NULL)
        track_gap(s->options.track, r->handle, r->dir, r->gap.octets + r->gap.skipped, r->stamp.time_ns,
                  r->stamp.frame);
    give_gap_row(s, r, r->gap.octets, r->gap.skipped, r->gap.why);
}

static void take_difference(struct rows *s, const struct report *r)
{
    if (s->options.track != NULL)
        track_differ(s->options.track, r->handle,
                     &(struct track_difference){ .dir = r->dir,
                                                 .at = r->difference.at,
                                                 .octets = r->difference.octets,
                                                 .time_ns = r->stamp.time_ns,
                                                 .first_frame = r->difference.first_frame,
                                                 .frame = r->stamp.frame });
    give_gap_row(s, r, 0, 0, "later copy with other octets");
}

/* ---- packets ---- */

/* What was wrong with the WebSocket around it; told once the version is known, for 3.1 has a name of its own. */
RARELY static void tell_faults(const struct rows *s, const struct report *r)
{
    for (uint32_t i = 0; i < r->packet.n_faults; i++) {
        const struct transport_fault *w = &r->packet.faults[i];
        bool fits_31 = r->conn.version == MQTT_V31 && w->offers_31;
        if (s->options.track != NULL && (w->fault == TRACK_WS_TEXT || !fits_31))
            track_websocket(s->options.track, r->handle, w->fault, w->dir, w->time_ns, w->frame);
    }
}

/* Its row, but for what the tracker adds. */
static inline struct row *packet_row(struct rows *s, const struct report *r, bool told)
{
    struct row *row = begin_row(s, r, told);
    row->plain = !r->wrapped;
    row->frame_first = r->packet.frame_first;
    row->time_first_ns = r->packet.time_first_ns;
    row->seq_end = r->packet.seq_end;
    return row;
}

/* Sessions and exchanges; adds the verdicts of conduct. */
static inline void track(struct rows *s, const struct report *r, struct mqtt_verdicts *v)
{
    s->input.frame_first = r->packet.frame_first;
    s->input.time_first_ns = r->packet.time_first_ns;
    s->input.end = r->packet.end;
    s->input.acked = r->packet.acked;
    track_packet(s->options.track, r->handle, &s->input, v, &s->note);
}

static void take_packet(struct rows *s, struct report *r)
{
    struct mqtt_verdicts v = { .at = s->verdicts, .cap = ROWS_VERDICTS };
    mqtt_conn_packet(&r->conn, r->dir, view_of(r->packet.octets, r->packet.held), &s->packet, &v);
    bool names = s->packet.type <= MQTT_CONNACK;
    struct row *row = packet_row(s, r, names || r->conn.source != MQTT_SOURCE_CONNECT);
    if (s->options.track != NULL)
        track(s, r, &v);
    if (names)
        learn_name(s, r);
    if (r->packet.n_faults > 0)
        tell_faults(s, r);
    struct view name = s->names.n == 0 ? s->note.client_id : name_of(s, r);
    if (row->client_id.ptr != name.ptr || row->client_id.len != name.len)
        row->client_id = name;
    row->n_verdicts = v.n;
    row->alias_topic = s->note.alias_topic;
    give_row(s, row);
}

/* ---- all of it ---- */

RARELY static void take_other(struct rows *s, struct report *r)
{
    switch ((enum report_kind)r->kind) {
    case REPORT_OPENED:
        take_opened(s, r);
        break;
    case REPORT_PACKET:
        break;
    case REPORT_GAP:
        take_gap(s, r);
        break;
    case REPORT_DIFFERENCE:
        take_difference(s, r);
        break;
    case REPORT_UNSEEN:
        if (s->options.track != NULL)
            track_unseen(s->options.track, r->handle, r->dir);
        break;
    case REPORT_UNDER_WAY:
        if (s->options.track != NULL)
            track_under_way(s->options.track, r->handle, r->dir);
        break;
    case REPORT_CLOSED:
        take_closed(s, r);
        break;
    case REPORT_FORGOTTEN:
        take_forgotten(s, r);
        break;
    }
}

bool rows_take(struct rows *s, struct report *r)
{
    if (s->stopped)
        return false;
    if (r->kind == REPORT_PACKET)
        take_packet(s, r);
    else
        take_other(s, r);
    return !s->stopped;
}
