/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/show/eve.c -- the envelope of an event, and the events that a row gives. */
#include "decoder/show/eve.h"
#include "decoder/show/civil.h"
#include "decoder/show/eve_parts.h"

/* --- values --- */

void eve_string(struct eve_line *l, const char *key, struct view text)
{
    if (text.ptr == NULL)
        return;
    json_key(&l->j, key);
    if (!json_view(&l->j, text) && l->n_escaped < EVE_ESCAPED_MAX)
        l->escaped[l->n_escaped++] = key;
}

void eve_uint(struct eve_line *l, const char *key, uint64_t number)
{
    json_key(&l->j, key);
    json_uint(&l->j, number);
}

void eve_bool(struct eve_line *l, const char *key, bool value)
{
    json_key(&l->j, key);
    json_bool(&l->j, value);
}

void eve_text(struct eve_line *l, const char *key, const char *text)
{
    if (text == NULL)
        return;
    json_key(&l->j, key);
    json_text(&l->j, text);
}

void eve_microseconds(struct eve_line *l, const char *key, int64_t ns)
{
    eve_uint(l, key, ns > 0 ? (uint64_t)ns / 1000 : 0);
}

/* The longest piece of the text, at most `limit` octets, that ends at a character. The text is well-formed. */
static size_t whole_characters(struct view text, size_t limit)
{
    size_t n = text.len < limit ? text.len : limit;
    while (n > 0 && n < text.len && (text.ptr[n] & 0xc0) == 0x80)
        n--;
    return n;
}

static void put_key(struct eve_line *l, const char *key, const char *suffix)
{
    json_separate(&l->j);
    out_char(l->j.o, '"');
    out_text(l->j.o, key);
    out_text(l->j.o, suffix);
    out_octets(l->j.o, "\":", 2);
    l->j.comma = false;
}

void eve_payload(struct eve_line *l, const char *key, struct view octets, uint64_t len)
{
    if (octets.ptr == NULL)
        return;
    put_key(l, key, "_len");
    json_uint(&l->j, len);
    bool text = octets.len == 0 || utf8_check(octets).worst <= UTF8_DISCOURAGED;
    size_t limit = l->e->payload_limit;
    size_t n = text ? whole_characters(octets, limit) : octets.len < limit ? octets.len : limit;
    if (l->e->payload_limit > 0 && text) {
        put_key(l, key, "");
        json_view(&l->j, view_of(octets.ptr, n));
    } else if (l->e->payload_limit > 0) {
        put_key(l, key, "_b64");
        json_separate(&l->j);
        out_char(l->j.o, '"');
        out_base64(l->j.o, view_of(octets.ptr, n));
        out_char(l->j.o, '"');
    }
    if (n < len) {
        put_key(l, key, "_truncated");
        json_bool(&l->j, true);
    }
}

/* --- envelope --- */

void eve_time(struct out *o, int64_t ns)
{
    struct civil c = civil_of(ns, NULL);
    const unsigned parts[] = { c.month, c.day, c.hour, c.minute, c.second };
    out_uint_wide(o, (uint64_t)c.year, 4);
    for (unsigned i = 0; i < 5; i++) {
        out_char(o, "--T::"[i]);
        out_uint_wide(o, parts[i], 2);
    }
    out_char(o, '.');
    out_uint_wide(o, c.ns / 1000, 6);
    out_text(o, "+0000");
}

static const struct eve_connection_slot *find_connection(const struct eve *e, uint32_t stream)
{
    const struct eve_connection_slot *s = &e->connections[stream % EVE_CONNECTIONS];
    return s->used && s->stream == stream ? s : NULL;
}

void eve_connection(struct eve *e, uint32_t stream, uint32_t interface_id, const struct row_endpoint *src,
                    const struct row_endpoint *dst)
{
    struct eve_connection_slot *s = &e->connections[stream % EVE_CONNECTIONS];
    if (s->used && s->stream == stream)
        return;
    *s = (struct eve_connection_slot){
        .used = true, .stream = stream, .interface_id = interface_id, .src = *src, .dst = *dst
    };
    size_t len = src->addr.family == 4 ? 4 : 16;
    if (src->addr.family != 0 && src->addr.family == dst->addr.family)
        community_tcp(src->addr.octets, dst->addr.octets, len, src->port, dst->port, e->community_seed,
                      s->community_id);
}

/* A number below 2^53 that stays with the connection: every JSON reader keeps it whole. */
static uint64_t flow_id(const struct eve_connection_slot *s)
{
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */
    for (const char *c = s->community_id; *c != '\0'; c++)
        hash = (hash ^ (uint8_t)*c) * 0x100000001b3u;
    for (unsigned i = 0; i < 4; i++)
        hash = (hash ^ (s->stream >> (8 * i) & 0xff)) * 0x100000001b3u;
    return hash >> 11;
}

static void put_endpoint(struct eve_line *l, const struct row_endpoint *end, const char *ip, const char *port)
{
    if (end->addr.family != 0) {
        json_key(&l->j, ip);
        json_separate(&l->j);
        out_char(l->j.o, '"');
        out_ip(l->j.o, view_of(end->addr.octets, end->addr.family == 4 ? 4 : 16));
        out_char(l->j.o, '"');
    }
    eve_uint(l, port, end->port);
}

struct envelope {
    const char *event_type;
    int64_t time_ns;
    uint64_t frame; /* 0: no packet */
    uint32_t stream;
    bool has_stream, reversed; /* reversed: from dst of the connection to its src */
    struct view client_id;
    unsigned version;
};

static void put_connection(struct eve_line *l, const struct envelope *v)
{
    const struct eve_connection_slot *s = find_connection(l->e, v->stream);
    if (v->frame > 0 && l->e->interface_name == NULL)
        eve_uint(l, "pcap_cnt", v->frame);
    if (s == NULL) {
        eve_uint(l, "tcp_stream", v->stream);
        return;
    }
    if (l->e->interface_name != NULL)
        eve_text(l, "in_iface", l->e->interface_name(l->e->interface_ctx, s->interface_id));
    put_endpoint(l, v->reversed ? &s->dst : &s->src, "src_ip", "src_port");
    put_endpoint(l, v->reversed ? &s->src : &s->dst, "dest_ip", "dest_port");
    eve_text(l, "proto", "TCP");
    eve_text(l, "app_proto", "mqtt");
    eve_uint(l, "flow_id", flow_id(s));
    if (s->community_id[0] != '\0')
        eve_text(l, "community_id", s->community_id);
    eve_uint(l, "tcp_stream", v->stream);
}

static void put_version(struct eve_line *l, unsigned version)
{
    json_key(&l->j, "mqtt_version");
    if (version == MQTT_VERSION_UNKNOWN)
        json_null(&l->j);
    else
        json_text(&l->j, mqtt_version_name(version));
}

static struct eve_line begin(const struct eve *e, struct out *o, const struct envelope *v)
{
    struct eve_line l = { .j = json_on(o), .e = e };
    json_line_begin(&l.j);
    json_key(&l.j, "timestamp");
    out_char(o, '"');
    eve_time(o, v->time_ns);
    out_char(o, '"');
    l.j.comma = true;
    eve_text(&l, "event_type", v->event_type);
    eve_uint(&l, "schema", EVE_SCHEMA);
    eve_text(&l, "sensor", e->sensor);
    if (!v->has_stream)
        return l;
    put_connection(&l, v);
    if (v->client_id.ptr != NULL) {
        eve_string(&l, "client_id", v->client_id);
    } else {
        json_key(&l.j, "client_id");
        json_null(&l.j);
    }
    put_version(&l, v->version);
    return l;
}

static void end(struct eve_line *l)
{
    if (l->n_escaped > 0) {
        json_key(&l->j, "invalid_utf8");
        json_open(&l->j, '[');
        for (unsigned i = 0; i < l->n_escaped; i++)
            json_text(&l->j, l->escaped[i]);
        json_close(&l->j, ']');
    }
    json_line_end(&l->j);
}

static void open_object(struct eve_line *l, const char *key)
{
    json_key(&l->j, key);
    json_open(&l->j, '{');
}

/* --- events of a row --- */

static bool same_endpoint(const struct row_endpoint *a, const struct row_endpoint *b)
{
    return a->port == b->port && a->addr.family == b->addr.family && memcmp(a->addr.octets, b->addr.octets, 16) == 0;
}

static struct envelope of_row(const struct eve *e, const struct row *row, const char *event_type)
{
    const struct eve_connection_slot *s = find_connection(e, row->stream);
    return (struct envelope){ .event_type = event_type,
                              .time_ns = row->time_ns,
                              .frame = row->frame,
                              .stream = row->stream,
                              .has_stream = true,
                              .reversed = s != NULL && !same_endpoint(&s->src, &row->src),
                              .client_id = row->client_id,
                              .version = row->version };
}

static void put_verdict(struct eve *e, struct out *o, const struct row *row, const struct mqtt_verdict *v)
{
    const struct mqtt_rule_info *rule = mqtt_rule_info((enum mqtt_rule)v->rule);
    struct envelope envelope = of_row(e, row, "mqtt_finding");
    struct eve_line l = begin(e, o, &envelope);
    open_object(&l, "mqtt_finding");
    eve_text(&l, "name", rule->id);
    eve_text(&l, "rule", rule->id);
    eve_text(&l, "severity", mqtt_severity_name(v->severity));
    eve_text(&l, "side", mqtt_side_name(v->side));
    eve_text(&l, "message", rule->fault[0] != '\0' ? rule->fault : rule->statement);
    eve_text(&l, "packet", eve_type(row->packet->type));
    eve_uint(&l, "offset", v->offset);
    eve_uint(&l, "length", v->length);
    if (row->note != NULL && row->note->session != 0)
        eve_uint(&l, "session", row->note->session);
    if (row->note != NULL && row->note->exchange != 0)
        eve_uint(&l, "exchange", row->note->exchange);
    json_key(&l.j, "frames");
    json_open(&l.j, '[');
    json_uint(&l.j, row->frame);
    json_close(&l.j, ']');
    json_close(&l.j, '}');
    end(&l);
}

static void put_rules(struct eve_line *l, const struct row *row)
{
    if (row->n_verdicts == 0)
        return;
    json_key(&l->j, "violations");
    json_open(&l->j, '[');
    for (uint32_t i = 0; i < row->n_verdicts; i++)
        json_text(&l->j, mqtt_rule_info((enum mqtt_rule)row->verdicts[i].rule)->id);
    json_close(&l->j, ']');
}

static void put_note(struct eve_line *l, const struct track_note *n)
{
    if (n == NULL)
        return;
    if (n->session != 0)
        eve_uint(l, "session", n->session);
    if (n->exchange == 0)
        return;
    eve_uint(l, "exchange", n->exchange);
    if (n->latency_ns >= 0)
        eve_microseconds(l, "latency_us", n->latency_ns);
}

static void put_gap(struct eve *e, struct out *o, const struct row *row)
{
    struct envelope envelope = of_row(e, row, "mqtt_gap");
    struct eve_line l = begin(e, o, &envelope);
    open_object(&l, "mqtt_gap");
    eve_uint(&l, "octets", row->gap_octets);
    eve_uint(&l, "skipped", row->skipped_octets);
    eve_text(&l, "reason", row->gap_reason);
    json_close(&l.j, '}');
    end(&l);
}

void eve_row(struct eve *e, struct out *o, const struct row *row)
{
    eve_connection(e, row->stream, row->interface_id, &row->src, &row->dst);
    if (row->kind == ROW_GAP || row->packet == NULL) {
        put_gap(e, o, row);
        return;
    }
    struct envelope envelope = of_row(e, row, "mqtt");
    struct eve_line l = begin(e, o, &envelope);
    open_object(&l, "mqtt");
    eve_text(&l, "type", eve_type(row->packet->type));
    eve_text(&l, "sender", row->sender == MQTT_NOBODY ? NULL : mqtt_side_name(row->sender));
    eve_uint(&l, "length", row->packet->remaining);
    if (row->packet->cut)
        eve_bool(&l, "cut", true);
    put_note(&l, row->note);
    put_rules(&l, row);
    eve_packet(&l, row);
    json_close(&l.j, '}');
    end(&l);
    for (uint32_t i = 0; i < row->n_verdicts; i++)
        put_verdict(e, o, row, &row->verdicts[i]);
}

/* --- events of the tracker --- */

static struct envelope of_stream(const char *event_type, int64_t time_ns, uint64_t frame, uint32_t stream,
                                 struct view client_id, unsigned version)
{
    return (struct envelope){ .event_type = event_type,
                              .time_ns = time_ns,
                              .frame = frame,
                              .stream = stream,
                              .has_stream = true,
                              .client_id = client_id,
                              .version = version };
}

static void put_steps(struct eve_line *l, const struct track_exchange *x)
{
    json_key(&l->j, "steps");
    json_open(&l->j, '[');
    for (unsigned i = 0; i < TRACK_STEPS; i++) {
        const struct track_step *s = &x->step[i];
        if (s->type == 0)
            continue;
        json_open(&l->j, '{');
        eve_text(l, "type", eve_type(s->type));
        eve_text(l, "sender", s->sender == MQTT_NOBODY ? NULL : mqtt_side_name(s->sender));
        eve_uint(l, "frame", s->frame);
        eve_microseconds(l, "after_us", s->time_ns - x->began_ns);
        json_close(&l->j, '}');
    }
    json_close(&l->j, ']');
}

void eve_exchange(struct eve *e, struct out *o, const struct track_exchange *x)
{
    struct envelope envelope =
        of_stream("mqtt_exchange", x->last_ns, x->last_frame, x->stream, x->client_id, x->version);
    struct eve_line l = begin(e, o, &envelope);
    open_object(&l, "mqtt_exchange");
    eve_uint(&l, "exchange", x->number);
    if (x->session != 0)
        eve_uint(&l, "session", x->session);
    eve_text(&l, "kind", track_kind_name(x->kind));
    eve_text(&l, "outcome", track_outcome_name(x->outcome));
    eve_text(&l, "starter", x->starter == MQTT_NOBODY ? NULL : mqtt_side_name(x->starter));
    if (x->id != 0)
        eve_uint(&l, "message_id", x->id);
    if (x->kind == TRACK_QOS1 || x->kind == TRACK_QOS2) {
        eve_uint(&l, "qos", x->qos);
        eve_uint(&l, "payload_len", x->payload_len);
    }
    eve_uint(&l, "reason_code", x->reason);
    eve_string(&l, "topic", x->topic);
    if (x->kind == TRACK_SUBSCRIBE || x->kind == TRACK_UNSUBSCRIBE)
        eve_uint(&l, "filters", x->filters);
    eve_microseconds(&l, "latency_us", x->last_ns - x->began_ns);
    if (x->owed_by != MQTT_NOBODY) {
        eve_text(&l, "owed_by", mqtt_side_name(x->owed_by));
        eve_text(&l, "owed", eve_type(x->owed_type));
    }
    eve_uint(&l, "packets", x->n_steps);
    eve_uint(&l, "resent", x->resent);
    eve_uint(&l, "connections", x->connections);
    put_steps(&l, x);
    json_close(&l.j, '}');
    end(&l);
}

static void put_session(struct eve_line *l, const struct track_session *s)
{
    eve_bool(l, "clean_start", s->clean);
    eve_bool(l, "session_present", s->present);
    eve_uint(l, "connections", s->connections);
    eve_uint(l, "resumed", s->resumed);
    eve_uint(l, "taken_over", s->taken_over);
    eve_uint(l, "keep_alive_s", s->keep_alive_s);
    eve_uint(l, "subscriptions", s->subscriptions);
    eve_uint(l, "open_exchanges", s->open);
    eve_uint(l, "packets_from_client", s->packets[0]);
    eve_uint(l, "packets_from_server", s->packets[1]);
    eve_uint(l, "octets_from_client", s->octets[0]);
    eve_uint(l, "octets_from_server", s->octets[1]);
    eve_uint(l, "published_by_client", s->published[0][0] + s->published[0][1] + s->published[0][2]);
    eve_uint(l, "published_by_server", s->published[1][0] + s->published[1][1] + s->published[1][2]);
}

/* "taken over" as a word of JSON: taken_over */
static void put_change(struct eve_line *l, const char *name)
{
    json_key(&l->j, "change");
    json_separate(&l->j);
    out_char(l->j.o, '"');
    for (; *name != '\0'; name++)
        out_char(l->j.o, *name == ' ' ? '_' : *name);
    out_char(l->j.o, '"');
}

void eve_session(struct eve *e, struct out *o, const struct track_session_event *change, const struct track *t)
{
    struct track_session s;
    struct envelope envelope =
        of_stream("mqtt_session", change->time_ns, change->frame, change->stream, change->client_id, change->version);
    struct eve_line l = begin(e, o, &envelope);
    open_object(&l, "mqtt_session");
    eve_uint(&l, "session", change->session);
    put_change(&l, track_change_name(change->change));
    if (t != NULL && track_session_find(t, change->session, &s))
        put_session(&l, &s);
    json_close(&l.j, '}');
    end(&l);
}

void eve_finding(struct eve *e, struct out *o, const struct track_finding *f)
{
    struct envelope envelope = of_stream("mqtt_finding", f->time_ns, 0, f->stream, f->client_id, f->version);
    struct eve_line l = begin(e, o, &envelope);
    open_object(&l, "mqtt_finding");
    eve_text(&l, "name", f->name);
    if (f->rule != MQTT_RULE_NONE)
        eve_text(&l, "rule", mqtt_rule_info((enum mqtt_rule)f->rule)->id);
    eve_text(&l, "severity", mqtt_severity_name(f->severity));
    eve_text(&l, "side", mqtt_side_name(f->side));
    eve_text(&l, "message", f->sentence);
    eve_string(&l, "topic", f->topic);
    if (f->session != 0)
        eve_uint(&l, "session", f->session);
    if (f->exchange != 0)
        eve_uint(&l, "exchange", f->exchange);
    json_key(&l.j, "frames");
    json_open(&l.j, '[');
    for (unsigned i = 0; i < TRACK_EVIDENCE; i++)
        if (f->frame[i] != 0)
            json_uint(&l.j, f->frame[i]);
    json_close(&l.j, ']');
    json_close(&l.j, '}');
    end(&l);
}

void eve_stats(struct eve *e, struct out *o, int64_t time_ns, const struct eve_counter *counters, unsigned n)
{
    struct envelope envelope = { .event_type = "stats", .time_ns = time_ns };
    struct eve_line l = begin(e, o, &envelope);
    open_object(&l, "stats");
    for (unsigned i = 0; i < n; i++)
        eve_uint(&l, counters[i].name, counters[i].value);
    json_close(&l.j, '}');
    end(&l);
}
