/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/stats/tracked.c -- -z sessions, exchanges and findings: what the tracker follows. */
#include "decoder/stats/parts.h"
#include <string.h>

#define COUNT(columns) (sizeof(columns) / sizeof(columns)[0])

static void no_tracker(struct out *o, bool json)
{
    if (!json)
        out_text(o, "sessions are not followed in this run\n");
}

/* --- sessions --- */

static bool open_nothing(struct stats *s, const char *arguments, char *error)
{
    (void)s, (void)arguments, (void)error;
    return true;
}

static void session_cells(struct table *t, const struct track_session *s)
{
    table_row(t);
    table_uint(t, s->number);
    table_wire(t, s->client_id, 0);
    table_text(t, s->version != 0 ? mqtt_version_name(s->version) : NULL);
    table_text(t, track_link_name(s->link));
    table_endpoint(t, &s->client);
    table_endpoint(t, &s->broker);
    table_count(t, s->connections);
    table_count(t, s->resumed);
    table_count(t, s->taken_over);
    table_count(t, s->refused);
    table_count(t, s->abnormal_ends);
    table_count(t, s->packets[0]);
    table_count(t, s->packets[1]);
    table_count(t, s->published[0][0] + s->published[0][1] + s->published[0][2]);
    table_count(t, s->published[1][0] + s->published[1][1] + s->published[1][2]);
    table_count(t, s->inflight_max[0]);
    table_count(t, s->inflight_max[1]);
    table_count(t, s->open);
    table_count(t, s->subscriptions);
    table_count(t, s->keep_alive_s);
    table_seconds(t, s->silence_ns);
    table_text(t, track_will_name(s->will));
    table_count(t, s->violations[MQTT_SEVERITY_ERROR]);
    table_count(t, s->violations[MQTT_SEVERITY_WARNING]);
    table_count(t, s->violations[MQTT_SEVERITY_NOTE]);
    table_row_end(t);
}

static void print_sessions(struct stats *s, struct out *o, bool json, const struct track *track)
{
    static const struct column columns[] = {
        { "id", "session", 5, false },
        { "client id", "client_id", 12, true },
        { "ver", "mqtt.ver", 5, true },
        { "link", "link", 9, true },
        { NULL, "client", 0, true },
        { NULL, "server", 0, true },
        { "conn", "connections", 4, false },
        { "res", "resumed", 4, false },
        { "tkn", "taken_over", 4, false },
        { NULL, "refused", 0, false },
        { NULL, "abnormal_ends", 0, false },
        { "pkts >", "client_packets", 6, false },
        { "< pkts", "server_packets", 6, false },
        { "pub >", "client_published", 6, false },
        { "< pub", "server_published", 6, false },
        { NULL, "client_inflight_max", 0, false },
        { NULL, "server_inflight_max", 0, false },
        { "open", "open_exchanges", 4, false },
        { "sub", "subscriptions", 4, false },
        { NULL, "keep_alive_s", 0, false },
        { NULL, "longest_silence_s", 0, false },
        { "will", "will", 7, true },
        { "err", "errors", 4, false },
        { NULL, "warnings", 0, false },
        { NULL, "notes", 0, false },
    };
    struct track_session session;
    uint32_t pos = 0;
    if (track == NULL) {
        no_tracker(o, json);
        return;
    }
    struct table t =
        table_begin(o, json, "sessions", "Sessions (> from the client, < from the server)", columns, COUNT(columns));
    while (track_session_next(track, &pos, &session)) {
        if (s->redact != NULL)
            session.client_id = redact_client(s->redact, session.client_id);
        session_cells(&t, &session);
    }
    struct track_counts counts;
    track_count(track, &counts);
    if (counts.evicted_sessions > 0)
        table_remark(&t, "sessions more were followed and let go: the budget was reached", counts.evicted_sessions);
}

const struct stats_kind stats_sessions = {
    "sessions",    "", "sessions: connections, take-overs, traffic, open exchanges", open_nothing, NULL, NULL, NULL,
    print_sessions
};

/* --- exchanges --- */

struct kept_exchange {
    uint64_t number, session, first_frame, last_frame;
    int64_t began_ns, took_ns;
    struct view client_id, topic;
    uint32_t stream, payload_len;
    uint16_t id, resent, connections;
    uint8_t kind, outcome, starter, owed_by, owed_type, reason, qos;
};

struct exchanges {
    struct kept_exchange *at;
    uint32_t n, cap;
    uint64_t lost, counts[TRACK_KINDS][TRACK_OUTCOMES];
};

static bool open_exchanges(struct stats *s, const char *arguments, char *error)
{
    (void)arguments;
    struct exchanges *e = s->state = keep_take(&s->keep, sizeof *e);
    if (e == NULL)
        return stats_fail(error, "too little memory for a statistic");
    e->cap = (uint32_t)(s->keep.size / 4 * 3 / sizeof *e->at);
    e->at = keep_take(&s->keep, e->cap * sizeof *e->at);
    return stats_enough(e->at != NULL, error);
}

static uint64_t first_frame(const struct track_exchange *x)
{
    for (unsigned i = 0; i < TRACK_STEPS; i++)
        if (x->step[i].type != 0)
            return x->step[i].frame;
    return x->last_frame;
}

static void add_exchange(struct stats *s, const struct track_exchange *x)
{
    struct exchanges *e = s->state;
    e->counts[x->kind][x->outcome]++;
    if (e->n == e->cap) {
        e->lost++;
        return;
    }
    e->at[e->n++] = (struct kept_exchange){ .number = x->number,
                                            .session = x->session,
                                            .first_frame = first_frame(x),
                                            .last_frame = x->last_frame,
                                            .began_ns = x->began_ns,
                                            .took_ns = x->last_ns - x->began_ns,
                                            .client_id = keep_text(s, x->client_id),
                                            .topic = keep_text(s, x->topic),
                                            .stream = x->stream,
                                            .payload_len = x->payload_len,
                                            .id = x->id,
                                            .resent = x->resent,
                                            .connections = x->connections,
                                            .kind = x->kind,
                                            .outcome = x->outcome,
                                            .starter = x->starter,
                                            .owed_by = x->owed_by,
                                            .owed_type = x->owed_type,
                                            .reason = x->reason,
                                            .qos = x->qos };
}

static void exchange_cells(struct stats *s, struct table *t, const struct kept_exchange *x)
{
    table_row(t);
    table_uint(t, x->number);
    table_uint(t, x->first_frame);
    table_uint(t, x->last_frame);
    table_uint(t, x->stream);
    table_uint(t, x->session);
    table_wire(t, x->client_id, 0);
    table_text(t, track_kind_name(x->kind));
    table_text(t, x->starter == MQTT_NOBODY ? NULL : mqtt_side_name(x->starter));
    table_uint(t, x->id);
    table_text(t, track_outcome_name(x->outcome));
    table_duration(t, x->took_ns);
    table_text(t, x->owed_by == MQTT_NOBODY ? NULL : mqtt_type_name(x->owed_type));
    table_text(t, x->owed_by == MQTT_NOBODY ? NULL : mqtt_side_name(x->owed_by));
    table_count(t, x->reason);
    table_count(t, x->resent);
    table_count(t, x->connections);
    table_wire(t, x->topic, 0);
    table_seconds(t, x->began_ns - s->start_ns);
    table_row_end(t);
}

static void print_exchange_counts(const struct exchanges *e, struct out *o)
{
    static const struct column columns[] = { { "exchange", NULL, 12, true },  { "complete", NULL, 10, false },
                                             { "refused", NULL, 10, false },  { "abandoned", NULL, 10, false },
                                             { "replaced", NULL, 10, false }, { "unknown", NULL, 10, false },
                                             { "open", NULL, 10, false } };
    static const uint8_t outcomes[] = { TRACK_COMPLETE, TRACK_REFUSED, TRACK_ABANDONED,
                                        TRACK_REPLACED, TRACK_UNKNOWN, TRACK_OPEN };
    struct table t = table_begin(o, false, "exchanges", "Exchanges by outcome", columns, COUNT(columns));
    for (unsigned kind = TRACK_NONE + 1; kind < TRACK_KINDS; kind++) {
        table_row(&t);
        table_text(&t, track_kind_name(kind));
        for (unsigned i = 0; i < COUNT(outcomes); i++)
            table_count(&t, e->counts[kind][outcomes[i]]);
        table_row_end(&t);
    }
    out_char(o, '\n');
}

static void print_exchanges(struct stats *s, struct out *o, bool json, const struct track *track)
{
    static const struct column columns[] = {
        { NULL, "exchange", 0, false },    { "frame", "first_frame", 7, false }, { NULL, "last_frame", 0, false },
        { "tcp", "tcp.stream", 5, false }, { NULL, "session", 0, false },        { "client id", "client_id", 14, true },
        { "exchange", "kind", 11, true },  { "by", "starter", 6, true },         { "id", "mqtt.msgid", 5, false },
        { "outcome", "outcome", 9, true }, { "took", "latency_us", 8, false },   { "owed", "owed", 8, true },
        { NULL, "owed_by", 0, true },      { NULL, "reason_code", 0, false },    { "rs", "resent", 2, false },
        { NULL, "connections", 0, false }, { "topic", "topic", 13, true },       { NULL, "start_s", 0, false },
    };
    const struct exchanges *e = s->state;
    (void)track;
    if (!json)
        print_exchange_counts(e, o);
    struct table t = table_begin(o, json, "exchanges", "Exchanges in the order of their end", columns, COUNT(columns));
    for (uint32_t i = 0; i < e->n; i++)
        exchange_cells(s, &t, &e->at[i]);
    if (e->lost > 0)
        table_remark(&t, "exchanges more are only in the sums above: the list is full", e->lost);
}

const struct stats_kind stats_exchanges = { "exchanges",
                                            "",
                                            "exchanges (connect, qos1, qos2, subscribe...): outcome, time taken, owed",
                                            open_exchanges,
                                            NULL,
                                            add_exchange,
                                            NULL,
                                            print_exchanges };

/* --- findings --- */

struct kept_finding {
    int64_t time_ns;
    uint64_t frame[TRACK_EVIDENCE], session, exchange;
    struct view client_id, message;
    const char *name; /* static */
    uint32_t stream, offset, length;
    uint16_t rule;
    uint8_t severity, side, version;
    bool of_packet;
};

struct findings {
    struct kept_finding *at;
    uint32_t n, cap;
    uint64_t lost, counts[4];
};

static bool open_findings(struct stats *s, const char *arguments, char *error)
{
    (void)arguments;
    struct findings *f = s->state = keep_take(&s->keep, sizeof *f);
    if (f == NULL)
        return stats_fail(error, "too little memory for a statistic");
    f->cap = (uint32_t)(s->keep.size / 2 / sizeof *f->at);
    f->at = keep_take(&s->keep, f->cap * sizeof *f->at);
    return stats_enough(f->at != NULL, error);
}

static struct kept_finding *new_finding(struct stats *s, unsigned severity)
{
    struct findings *f = s->state;
    f->counts[severity & 3]++;
    if (f->n < f->cap)
        return &f->at[f->n++];
    f->lost++;
    return NULL;
}

static void row_findings(struct stats *s, const struct row *row)
{
    struct view client_id = { 0 };
    for (uint32_t i = 0; i < row->n_verdicts; i++) {
        const struct mqtt_verdict *v = &row->verdicts[i];
        const struct mqtt_rule_info *rule = mqtt_rule_info((enum mqtt_rule)v->rule);
        const char *message = rule->fault[0] != '\0' ? rule->fault : rule->statement;
        struct kept_finding *f = new_finding(s, v->severity);
        if (f == NULL)
            continue;
        if (client_id.ptr == NULL)
            client_id = keep_text(s, row->client_id);
        *f = (struct kept_finding){ .time_ns = row->time_ns,
                                    .frame = { row->frame },
                                    .session = row->note != NULL ? row->note->session : 0,
                                    .exchange = row->note != NULL ? row->note->exchange : 0,
                                    .client_id = client_id,
                                    .message = view_of(message, strlen(message)),
                                    .name = rule->id,
                                    .stream = row->stream,
                                    .offset = v->offset,
                                    .length = v->length,
                                    .rule = v->rule,
                                    .severity = v->severity,
                                    .side = v->side,
                                    .version = row->version,
                                    .of_packet = true };
    }
}

static void add_finding(struct stats *s, const struct track_finding *x)
{
    struct kept_finding *f = new_finding(s, x->severity);
    if (f == NULL)
        return;
    *f = (struct kept_finding){ .time_ns = x->time_ns,
                                .session = x->session,
                                .exchange = x->exchange,
                                .client_id = keep_text(s, x->client_id),
                                .message = keep_text(s, view_of(x->sentence, strlen(x->sentence))),
                                .name = x->name,
                                .stream = x->stream,
                                .rule = x->rule,
                                .severity = x->severity,
                                .side = x->side,
                                .version = x->version };
    memcpy(f->frame, x->frame, sizeof f->frame);
}

static void finding_cells(struct table *t, const struct kept_finding *f, int64_t start_ns)
{
    table_row(t);
    table_seconds(t, f->time_ns - start_ns);
    table_uint(t, f->frame[0]);
    table_uint(t, f->stream);
    table_uint(t, f->session);
    table_uint(t, f->exchange);
    table_text(t, mqtt_severity_name(f->severity));
    table_text(t, f->side == MQTT_NOBODY ? "?" : mqtt_side_name(f->side));
    table_text(t, f->name);
    table_text(t, f->rule != MQTT_RULE_NONE ? mqtt_rule_info((enum mqtt_rule)f->rule)->id : NULL);
    table_text(t, f->version != 0 ? mqtt_version_name(f->version) : NULL);
    table_wire(t, f->client_id, 0);
    if (f->of_packet) {
        table_count(t, f->offset);
        table_count(t, f->length);
    } else {
        table_text(t, NULL);
        table_text(t, NULL);
    }
    table_wire(t, f->message.ptr != NULL ? f->message : view_of("", 0), 0);
    table_row_end(t);
    table_sentence(t, f->message.ptr != NULL ? f->message : view_of("", 0), 13);
}

static void print_findings(struct stats *s, struct out *o, bool json, const struct track *track)
{
    static const struct column columns[] = {
        { "time s", "time_s", 12, false }, { "frame", "frame", 8, false },         { "tcp", "tcp.stream", 6, false },
        { NULL, "session", 0, false },     { NULL, "exchange", 0, false },         { "severity", "severity", 8, true },
        { "side", "side", 6, true },       { "finding", "name", 24, true },        { NULL, "rule", 0, true },
        { "ver", "mqtt.ver", 5, true },    { "client id", "client_id", 24, true }, { NULL, "offset", 0, false },
        { NULL, "length", 0, false },      { NULL, "message", 0, true },
    };
    const struct findings *f = s->state;
    (void)track;
    struct table t = table_begin(o, json, "findings", "Findings", columns, COUNT(columns));
    for (uint32_t i = 0; i < f->n; i++)
        finding_cells(&t, &f->at[i], s->start_ns);
    table_remark(&t, "errors", f->counts[MQTT_SEVERITY_ERROR]);
    table_remark(&t, "warnings", f->counts[MQTT_SEVERITY_WARNING]);
    table_remark(&t, "notes", f->counts[MQTT_SEVERITY_NOTE]);
    if (f->lost > 0)
        table_remark(&t, "of them are not listed: the list is full", f->lost);
}

const struct stats_kind stats_findings = { "findings",
                                           "",
                                           "every rule broken and every finding, with its evidence",
                                           open_findings,
                                           row_findings,
                                           NULL,
                                           add_finding,
                                           print_findings };
