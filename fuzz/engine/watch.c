/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/engine/watch.h"

#include <stdlib.h>
#include <string.h>

#include "fuzz/engine/output.h"
#include "fuzz/target/target.h"

enum { VERDICTS = 64, WRITTEN_ROOM = 1 << 20 };

static void *resize(void *ctx, void *old, size_t old_size, size_t size)
{
    struct watch *w = ctx;
    HOLDS(w->memory >= old_size);
    if (size > 0 && w->refuse_after > 0 && ++w->taken > w->refuse_after)
        return NULL;
    w->memory = w->memory - old_size + size;
    if (size == 0) {
        free(old);
        return NULL;
    }
    return realloc(old, size);
}

static void tell(struct watch *w, unsigned rule, unsigned severity, unsigned side, const char *sentence,
                 bool of_conduct)
{
    struct watch_judgement j = { rule, severity, side, sentence, of_conduct };
    HOLDS(severity >= MQTT_SEVERITY_NOTE && severity <= MQTT_SEVERITY_ERROR && side <= MQTT_BOTH);
    if (w->judged != NULL)
        w->judged(w->ctx, &j);
}

/* What an event looks like in EVE: one valid object a line. */
static void check_written(const struct out *o)
{
    HOLDS(o->lost == 0 && o->len > 0 && output_is_json_lines(view_of(o->at, o->len)));
    HOLDS(output_is_text(view_of(o->at, o->len), "\n"));
}

static char written[WRITTEN_ROOM];

static void on_finding(void *ctx, const struct track_finding *f)
{
    struct watch *w = ctx;
    HOLDS(memchr(f->sentence, '\0', sizeof f->sentence) != NULL && f->sentence[0] != '\0');
    HOLDS(output_is_text(view_of(f->sentence, strlen(f->sentence)), ""));
    HOLDS(f->name != NULL && f->rule < MQTT_RULE_COUNT);
    for (unsigned i = 0; i < TRACK_EVIDENCE; i++)
        HOLDS(f->frame[i] <= w->frame);
    tell(w, f->rule, f->severity, f->side, f->sentence, true);
    if (w->finding != NULL)
        w->finding(w->ctx, f);
    struct out o = out_over(written, sizeof written);
    if (w->written) {
        eve_finding(&w->eve, &o, f);
        check_written(&o);
    }
}

static void on_exchange(void *ctx, const struct track_exchange *x)
{
    struct watch *w = ctx;
    HOLDS(x->kind > TRACK_NONE && x->kind < TRACK_KINDS && x->outcome < TRACK_OUTCOMES);
    HOLDS(x->outcome != TRACK_OPEN || w->ending);
    HOLDS(x->began_ns <= x->last_ns && x->n_steps >= 1 && x->last_frame <= w->frame && x->connections >= 1);
    HOLDS(x->starter <= MQTT_SERVER && x->owed_by <= MQTT_SERVER); /* NOBODY: the roles are not known */
    for (unsigned i = 0; i < TRACK_STEPS; i++)
        HOLDS(x->step[i].type == 0 || (x->step[i].frame >= 1 && x->step[i].frame <= w->frame));
    w->finished += x->outcome != TRACK_OPEN;
    if (w->exchange != NULL)
        w->exchange(w->ctx, x);
    struct out o = out_over(written, sizeof written);
    if (w->written) {
        eve_exchange(&w->eve, &o, x);
        check_written(&o);
    }
}

static void on_session(void *ctx, const struct track_session_event *e)
{
    struct watch *w = ctx;
    HOLDS(e->change < TRACK_SESSION_CHANGES && e->session >= 1 && e->frame <= w->frame);
    if (w->session != NULL)
        w->session(w->ctx, e);
    struct out o = out_over(written, sizeof written);
    if (w->written) {
        eve_session(&w->eve, &o, e, w->track);
        check_written(&o);
    }
}

/* Every table that the tracker lets one look at: what is in it fits together. */
static void walk_tables(const struct watch *w)
{
    struct track_session s, again;
    struct track_exchange x;
    struct track_subscription sub;
    struct track_counts counts;
    uint32_t sessions = 0, open = 0, pos = 0, at;
    track_count(w->track, &counts);
    while (track_session_next(w->track, &pos, &s)) {
        uint32_t subscriptions = 0, exchanges = 0;
        HOLDS(s.link < TRACK_LINKS && s.will < TRACK_WILLS && track_session_find(w->track, s.number, &again));
        HOLDS(again.number == s.number && again.open == s.open);
        for (at = 0; track_subscription_next(w->track, s.number, &at, &sub);)
            HOLDS(sub.frame <= w->frame && ++subscriptions > 0);
        for (at = 0; track_exchange_of(w->track, s.number, &at, &x);)
            exchanges++;
        HOLDS(exchanges == s.open && subscriptions >= s.subscriptions);
        sessions++;
    }
    for (at = 0; track_exchange_next(w->track, &at, &x);)
        open++;
    HOLDS(sessions == counts.sessions && open == counts.open);
}

bool watch_start(struct watch *w, const struct track_config *config)
{
    struct track_memory memory = { .resize = resize, .ctx = w };
    struct track_events events = { on_finding, on_exchange, on_session, w };
    w->time_ns = WATCH_START_NS;
    if (w->written) {
        w->eve.connections = calloc(EVE_CONNECTIONS, sizeof *w->eve.connections);
        HOLDS(w->eve.connections != NULL);
    }
    w->track = track_new(config, memory, events);
    HOLDS(w->track != NULL || w->refuse_after > 0);
    if (w->track == NULL)
        free(w->eve.connections);
    return w->track != NULL;
}

void watch_open(struct watch *w, unsigned client, bool from_syn)
{
    struct watched *c = &w->conns[client];
    struct track_opening *o = &c->opening;
    if (c->conn != 0)
        watch_close(w, client, TRACK_CLOSE_EVICTED, false);
    *o = (struct track_opening){ .stream = (uint32_t)w->frame,
                                 .client_dir = from_syn ? 0 : 2,
                                 .from_syn = from_syn,
                                 .time_ns = w->time_ns,
                                 .frame = ++w->frame };
    o->side[0] =
        (struct row_endpoint){ { 4, { 192, 0, 2, (uint8_t)(10 + client) } }, (uint16_t)(40000 + w->frame % 1000) };
    o->side[1] = (struct row_endpoint){ { 4, { 192, 0, 2, 1 } }, 1883 };
    if (client >= WATCH_OTHER) /* of another server */
        o->side[0].addr.family = o->side[1].addr.family = 6;
    c->octets[0] = c->octets[1] = 0;
    c->ended[0] = c->ended[1] = false;
    if (w->written && client != WATCH_PUSHED)
        eve_connection(&w->eve, o->stream, 0, &o->side[0], &o->side[1]);
    mqtt_conn_init(&c->mqtt);
    if (from_syn)
        mqtt_conn_client(&c->mqtt, 0);
    for (unsigned dir = 0; dir < 2; dir++) {
        mqtt_framer_init(&c->framer[dir], WATCH_ROOM);
        mqtt_framer_lend(&c->framer[dir], c->room[dir], WATCH_ROOM);
    }
    c->conn = track_open(w->track, o);
}

static void check_note(const struct track_note *n, uint64_t frame)
{
    HOLDS(n->kind < TRACK_KINDS && n->outcome < TRACK_OUTCOMES && n->step <= TRACK_STEPS);
    HOLDS((n->exchange == 0) == (n->step == 0) || n->exchange != 0);
    HOLDS(n->first_frame <= frame && n->answers_frame <= frame && n->latency_ns >= -1 && n->step_ns >= -1);
    HOLDS(n->owed_by <= MQTT_SERVER && n->owed_type < 16);
}

static struct row row_of(struct watch *w, const struct watched *c, unsigned dir)
{
    return (struct row){ .number = ++w->rows,
                         .frame = w->frame,
                         .frame_first = w->frame,
                         .time_ns = w->time_ns,
                         .time_first_ns = w->time_ns,
                         .time_start_ns = WATCH_START_NS,
                         .time_before_ns = w->time_ns,
                         .frame_len = 60,
                         .stream = c->opening.stream,
                         .src = c->opening.side[dir],
                         .dst = c->opening.side[!dir],
                         .sender = (uint8_t)mqtt_conn_sender(&c->mqtt, dir),
                         .version = c->mqtt.version,
                         .version_source = c->mqtt.source };
}

static void tell_packet(struct watch *w, const struct watched *c, const struct track_input *in,
                        const struct mqtt_verdicts *v, const struct track_note *note)
{
    struct row row = row_of(w, c, in->dir);
    row.packet = in->packet;
    row.verdicts = v->at;
    row.n_verdicts = v->n;
    row.note = note;
    row.client_id = note->client_id;
    row.alias_topic = note->alias_topic;
    w->row(w->ctx, &row);
}

static void tell_gap(struct watch *w, const struct watched *c, unsigned dir, uint64_t missing, uint64_t skipped)
{
    struct row row = row_of(w, c, dir);
    row.kind = ROW_GAP;
    row.gap_octets = missing;
    row.skipped_octets = skipped;
    row.gap_reason = missing > 0 ? "lost segment" : "framing lost";
    if (w->row != NULL)
        w->row(w->ctx, &row);
}

static void judge_packet(struct watch *w, struct watched *c, unsigned dir, const struct mqtt_frame *f)
{
    struct mqtt_verdict at[VERDICTS];
    struct mqtt_verdicts v = { at, VERDICTS, 0, 0 };
    struct mqtt_packet p;
    struct track_note note;
    memset(&note, 0xaa, sizeof note);
    mqtt_conn_packet(&c->mqtt, dir, f->octets, &p, &v);
    c->octets[dir] += f->octets.len;
    uint32_t own = v.n;
    struct track_input in = { .packet = &p,
                              .dir = (uint8_t)dir,
                              .sender = (uint8_t)mqtt_conn_sender(&c->mqtt, dir),
                              .version = c->mqtt.version,
                              .version_source = c->mqtt.source,
                              .roles_sure = c->mqtt.roles_sure,
                              .frame = w->frame,
                              .frame_first = w->frame,
                              .time_ns = w->time_ns + w->skew_ns,
                              .time_first_ns = w->time_ns,
                              .end = w->no_acks ? 0 : c->octets[dir],
                              .acked = w->no_acks ? 0 : c->octets[!dir] + (w->skew_ns != 0) };
    track_packet(w->track, c->conn, &in, &v, &note);
    w->packets++;
    w->late += c->ended[0] || c->ended[1];
    check_note(&note, w->frame);
    for (uint32_t i = 0; i < v.n; i++) {
        HOLDS(at[i].rule > MQTT_RULE_NONE && at[i].rule < MQTT_RULE_COUNT);
        HOLDS((uint64_t)at[i].offset + at[i].length <= p.held);
        tell(w, at[i].rule, at[i].severity, at[i].side, NULL, i >= own);
    }
    if (w->row != NULL)
        tell_packet(w, c, &in, &v, &note);
}

static void lose_framing(struct watch *w, struct watched *c, unsigned dir, const struct mqtt_frame *f, size_t left)
{
    track_gap(w->track, c->conn, dir, left + f->octets.len, w->time_ns, w->frame);
    tell_gap(w, c, dir, 0, left + f->octets.len);
}

void watch_octets(struct watch *w, unsigned client, bool by_server, struct view octets)
{
    struct watched *c = &w->conns[client];
    struct cursor in = cur_over(octets.ptr, octets.len);
    struct mqtt_frame frame;
    enum mqtt_frame_status status;
    if (c->conn == 0 || c->ended[by_server])
        watch_open(w, client, true);
    w->frame++;
    for (unsigned step = 0; step < 3; step++)
        track_prefetch(w->track, c->conn, step);
    while ((status = mqtt_framer_next(&c->framer[by_server], &in, &frame)) != MQTT_FRAME_MORE) {
        HOLDS(status != MQTT_FRAME_MEMORY);
        if (status == MQTT_FRAME_PACKET)
            judge_packet(w, c, by_server, &frame);
        else
            lose_framing(w, c, by_server, &frame, cur_left(&in));
    }
}

void watch_gap(struct watch *w, unsigned client, bool by_server, uint32_t octets)
{
    struct watched *c = &w->conns[client];
    struct mqtt_frame frame;
    bool complete;
    if (c->conn == 0 || octets == 0)
        return;
    w->frame++;
    bool bridged = mqtt_framer_hole(&c->framer[by_server], octets, &frame, &complete);
    if (complete)
        judge_packet(w, c, by_server, &frame);
    track_gap(w->track, c->conn, by_server, octets, w->time_ns, w->frame);
    tell_gap(w, c, by_server, octets, 0);
    c->octets[by_server] += octets;
    if (!bridged)
        mqtt_framer_restart(&c->framer[by_server]);
}

void watch_websocket(struct watch *w, unsigned client, bool by_server, enum track_websocket_fault fault)
{
    if (w->conns[client].conn != 0)
        track_websocket(w->track, w->conns[client].conn, fault, by_server, w->time_ns, ++w->frame);
}

void watch_close(struct watch *w, unsigned client, enum track_close_how how, bool by_server)
{
    struct watched *c = &w->conns[client];
    if (c->conn == 0)
        return;
    track_close(w->track, c->conn, how, by_server, w->time_ns, ++w->frame);
    c->ended[by_server] = true;
    if (how == TRACK_CLOSE_FIN && !c->ended[!by_server])
        return;
    track_forget(w->track, c->conn);
    c->conn = 0;
}

/* Packets that are not whole after a second, as capture/talk tells of them. */
static void tell_under_way(struct watch *w)
{
    for (unsigned i = 0; i < 2 * WATCH_CLIENTS; i++)
        if (w->conns[i / 2].conn != 0 && mqtt_framer_under_way(&w->conns[i / 2].framer[i & 1]))
            track_under_way(w->track, w->conns[i / 2].conn, i & 1);
}

void watch_wait(struct watch *w, int64_t ns)
{
    if (ns >= 1000000000)
        tell_under_way(w);
    w->time_ns += ns;
    track_advance(w->track, w->time_ns);
    if (w->written)
        walk_tables(w);
}

void watch_end(struct watch *w)
{
    struct track_counts counts;
    uint64_t finished = 0;
    if (w->written)
        walk_tables(w);
    w->ending = true;
    track_finish(w->track, w->time_ns);
    track_count(w->track, &counts);
    for (unsigned kind = 0; kind < TRACK_KINDS; kind++)
        for (unsigned outcome = TRACK_OPEN + 1; outcome < TRACK_OUTCOMES; outcome++)
            finished += counts.exchanges[kind][outcome];
    HOLDS(finished == w->finished);
    HOLDS(counts.packets <= w->packets);
    HOLDS(counts.packets + w->late >= w->packets || counts.evicted_connections + counts.evicted_sessions > 0 ||
          w->refuse_after > 0);
    HOLDS(counts.memory == w->memory);
    track_free(w->track);
    free(w->eve.connections);
    HOLDS(w->memory == 0);
}

void watch_record(struct watch *w, const struct talk_record *r)
{
    w->time_ns += 1000000;
    switch (r->op) {
    case TALK_OPEN:
        watch_open(w, r->client, !r->by_server); /* by the server: begun before the capture */
        break;
    case TALK_SEND:
        watch_octets(w, r->client, r->by_server, r->octets);
        break;
    case TALK_SPLIT:
        w->skew_ns = w->skewed ? -2000000 : 0;
        for (size_t i = 0; i < r->octets.len; i++)
            watch_octets(w, r->client, r->by_server, view_of(r->octets.ptr + i, 1));
        w->skew_ns = 0;
        break;
    case TALK_CLOSE:
    case TALK_RESET:
        watch_close(w, r->client, r->op == TALK_CLOSE ? TRACK_CLOSE_FIN : TRACK_CLOSE_RST, r->by_server);
        break;
    case TALK_WAIT:
    case TALK_LONG_WAIT:
        watch_wait(w, r->number * (r->op == TALK_WAIT ? INT64_C(10000000) : INT64_C(1000000000)));
        break;
    case TALK_GAP:
        if (r->number < TALK_WEBSOCKET_FAULTS)
            watch_websocket(w, r->client, r->by_server, (enum track_websocket_fault)r->number);
        else
            watch_gap(w, r->client, r->by_server, r->number);
        break;
    }
}
