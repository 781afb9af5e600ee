/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/stats/rows.c -- -z types, conv, clients and stats: counts over packets. */
#include "decoder/stats/parts.h"
#include <string.h>

#define COUNT(columns) (sizeof(columns) / sizeof(columns)[0])

/* --- types --- */

struct type_count {
    uint64_t packets, octets, from[3]; /* from: by enum mqtt_side */
    uint64_t least, most;
};

static bool open_types(struct stats *s, const char *arguments, char *error)
{
    (void)arguments;
    s->state = keep_take(&s->keep, 16 * sizeof(struct type_count));
    return stats_enough(s->state != NULL, error);
}

static void row_types(struct stats *s, const struct row *row)
{
    if (!stats_is_packet(row))
        return;
    struct type_count *c = (struct type_count *)s->state + (row->packet->type & 15);
    uint64_t octets = stats_octets(row);
    if (c->packets == 0 || octets < c->least)
        c->least = octets;
    if (octets > c->most)
        c->most = octets;
    c->packets++;
    c->octets += octets;
    c->from[row->sender]++;
}

static void type_cells(struct table *t, const char *name, const struct type_count *c, const struct type_count *all,
                       int64_t span)
{
    table_row(t);
    table_text(t, name);
    table_count(t, c->packets);
    table_share(t, c->packets, all->packets);
    table_rate(t, c->packets, span);
    table_count(t, c->octets);
    table_share(t, c->octets, all->octets);
    table_count(t, c->least);
    table_count(t, c->packets > 0 ? c->octets / c->packets : 0);
    table_count(t, c->most);
    table_count(t, c->from[MQTT_CLIENT]);
    table_count(t, c->from[MQTT_SERVER]);
    table_row_end(t);
}

static void print_types(struct stats *s, struct out *o, bool json, const struct track *track)
{
    static const struct column columns[] = {
        { "type", "type", 11, true },          { "packets", "packets", 9, false },
        { "%", "packets_percent", 6, false },  { "per s", "packets_per_s", 8, false },
        { "octets", "octets", 8, false },      { "%", "octets_percent", 6, false },
        { "least", "octets_min", 6, false },   { "mean", "octets_mean", 8, false },
        { "most", "octets_max", 9, false },    { "client", "from_client", 8, false },
        { "server", "from_server", 8, false },
    };
    (void)track;
    const struct type_count *c = s->state;
    struct type_count all = { .least = UINT64_MAX };
    for (unsigned i = 0; i < 16; i++) {
        all.packets += c[i].packets;
        all.octets += c[i].octets;
        for (unsigned side = 0; side < 3; side++)
            all.from[side] += c[i].from[side];
        if (c[i].packets > 0 && c[i].least < all.least)
            all.least = c[i].least;
        if (c[i].most > all.most)
            all.most = c[i].most;
    }
    if (all.packets == 0)
        all.least = 0;
    struct table t = table_begin(o, json, "types", "Control packets by type", columns, COUNT(columns));
    for (unsigned i = 0; i < 16; i++)
        if (c[i].packets > 0)
            type_cells(&t, mqtt_type_name(i), &c[i], &all, s->last_ns - s->first_ns);
    if (!json)
        type_cells(&t, "all", &all, &all, s->last_ns - s->first_ns);
}

const struct stats_kind stats_types = { "types",    "",         "control packets by type: number, size, sender",
                                        open_types, row_types,  NULL,
                                        NULL,       print_types };

/* --- conv --- */

struct conversation {
    struct keep_key key; /* number: stream */
    struct row_endpoint client, server;
    struct view client_id;
    int64_t first_ns, last_ns;
    uint64_t packets[2], octets[2]; /* [0] from the client */
    uint64_t gaps, verdicts;
    uint8_t version;
    bool roles; /* client is the client; else the sender of the first packet */
};

struct conv_state {
    struct keep_table table;
    struct conversation others;
};

static bool open_conv(struct stats *s, const char *arguments, char *error)
{
    (void)arguments;
    struct conv_state *c = s->state = keep_take(&s->keep, sizeof *c);
    uint32_t cap = (uint32_t)(s->keep.size / 2 / sizeof(struct conversation));
    return stats_enough(c != NULL && keep_table_init(&c->table, &s->keep, sizeof(struct conversation), cap), error);
}

static bool same_endpoint(const struct row_endpoint *a, const struct row_endpoint *b)
{
    return a->port == b->port && memcmp(&a->addr, &b->addr, sizeof a->addr) == 0;
}

static void begin_conversation(struct conversation *c, const struct row *row)
{
    bool from_server = row->sender == MQTT_SERVER;
    c->client = from_server ? row->dst : row->src;
    c->server = from_server ? row->src : row->dst;
    c->first_ns = row->time_ns;
    c->roles = row->sender != MQTT_NOBODY;
}

static void row_conv(struct stats *s, const struct row *row)
{
    struct conv_state *state = s->state;
    bool added;
    uint32_t at = keep_find(&state->table, (struct view){ 0 }, row->stream, &added);
    struct conversation *c = at == KEEP_NONE ? &state->others : keep_at(&state->table, at);
    if (added)
        begin_conversation(c, row);
    if (at != KEEP_NONE && c->client_id.ptr == NULL && row->client_id.ptr != NULL)
        c->client_id = keep_text(s, row->client_id);
    if (row->version != MQTT_VERSION_UNKNOWN)
        c->version = row->version;
    c->last_ns = row->time_ns;
    c->verdicts += row->n_verdicts;
    c->gaps += row->kind == ROW_GAP && row->gap_octets + row->skipped_octets > 0;
    if (!stats_is_packet(row))
        return;
    unsigned dir = at == KEEP_NONE ? row->sender == MQTT_SERVER : !same_endpoint(&c->client, &row->src);
    c->packets[dir]++;
    c->octets[dir] += stats_octets(row);
}

static void conv_cells(struct stats *s, struct table *t, const struct conversation *c, bool others)
{
    table_row(t);
    if (others)
        table_text(t, NULL);
    else
        table_uint(t, c->key.number);
    if (others) {
        table_text(t, t->json ? NULL : "(others)");
        table_text(t, NULL);
    } else {
        table_endpoint(t, &c->client);
        table_endpoint(t, &c->server);
    }
    table_wire(t, c->client_id, 0);
    table_text(t, c->version != 0 ? mqtt_version_name(c->version) : NULL);
    table_count(t, c->packets[0]);
    table_count(t, c->octets[0]);
    table_count(t, c->packets[1]);
    table_count(t, c->octets[1]);
    table_seconds(t, others ? 0 : c->first_ns - s->start_ns);
    table_seconds(t, others ? 0 : c->last_ns - c->first_ns);
    table_count(t, c->gaps);
    table_count(t, c->verdicts);
    table_row_end(t);
}

static void print_conv(struct stats *s, struct out *o, bool json, const struct track *track)
{
    static const struct column columns[] = {
        { "tcp", "tcp.stream", 6, false },      { "client", "client", 20, true },
        { "server", "server", 20, true },       { "client id", "client_id", 9, true },
        { "ver", "mqtt.ver", 5, true },         { "pkts >", "client_packets", 6, false },
        { "oct >", "client_octets", 6, false }, { "< pkts", "server_packets", 6, false },
        { "< oct", "server_octets", 6, false }, { NULL, "start_s", 0, false },
        { "secs", "duration_s", 7, false },     { NULL, "gaps", 0, false },
        { NULL, "violations", 0, false },
    };
    (void)track;
    const struct conv_state *state = s->state;
    struct table t = table_begin(o, json, "conv", "MQTT connections (> from the client, < from the server)", columns,
                                 COUNT(columns));
    for (uint32_t i = 0; i < state->table.n; i++)
        conv_cells(s, &t, keep_at(&state->table, i), false);
    if (state->others.last_ns != 0)
        conv_cells(s, &t, &state->others, true);
}

const struct stats_kind stats_conv = { "conv",    "",        "TCP connections: endpoints, client id, traffic each way",
                                       open_conv, row_conv,  NULL,
                                       NULL,      print_conv };

/* --- clients --- */

struct client {
    struct keep_key key;
    uint64_t packets[2], octets[2], published[2][3], payload[2];
    uint64_t subscribes, pings, violations[4], connects;
    uint32_t last_stream;
    uint8_t version;
};

struct clients_state {
    struct keep_table table;
    struct client others;
};

static bool open_clients(struct stats *s, const char *arguments, char *error)
{
    (void)arguments;
    struct clients_state *c = s->state = keep_take(&s->keep, sizeof *c);
    uint32_t cap = (uint32_t)(s->keep.size / 2 / sizeof(struct client));
    return stats_enough(c != NULL && keep_table_init(&c->table, &s->keep, sizeof(struct client), cap), error);
}

static void count_packet(struct client *c, const struct row *row)
{
    const struct mqtt_packet *p = row->packet;
    unsigned dir = row->sender == MQTT_SERVER;
    c->packets[dir]++;
    c->octets[dir] += stats_octets(row);
    if (p->type == MQTT_PUBLISH && p->publish.qos < 3) {
        c->published[dir][p->publish.qos]++;
        c->payload[dir] += p->publish.payload_len;
    }
    c->subscribes += p->type == MQTT_SUBSCRIBE;
    c->pings += p->type == MQTT_PINGREQ;
    c->connects += p->type == MQTT_CONNECT;
}

static void row_clients(struct stats *s, const struct row *row)
{
    struct clients_state *state = s->state;
    struct stats_client_key key = stats_client_of(row);
    bool added;
    uint32_t at = keep_find(&state->table, key.text, key.number, &added);
    struct client *c = at == KEEP_NONE ? &state->others : keep_at(&state->table, at);
    if (row->version != MQTT_VERSION_UNKNOWN)
        c->version = row->version;
    for (uint32_t i = 0; i < row->n_verdicts; i++)
        c->violations[row->verdicts[i].severity & 3]++;
    if (stats_is_packet(row))
        count_packet(c, row);
}

static void client_cells(struct table *t, const struct client *c, bool others)
{
    char buffer[32];
    table_row(t);
    if (t->json)
        table_wire(t, c->key.text, 0);
    else
        table_wire(t, others ? view_of("(others)", 8) : stats_client_name(c->key.text, c->key.number, buffer), 0);
    if (c->key.number > 0)
        table_uint(t, c->key.number - 1);
    else
        table_text(t, NULL);
    table_text(t, c->version != 0 ? mqtt_version_name(c->version) : NULL);
    table_count(t, c->connects);
    for (unsigned dir = 0; dir < 2; dir++) {
        table_count(t, c->packets[dir]);
        table_count(t, c->octets[dir]);
        table_count(t, c->published[dir][0] + c->published[dir][1] + c->published[dir][2]);
        for (unsigned qos = 0; qos < 3; qos++)
            table_count(t, c->published[dir][qos]);
        table_count(t, c->payload[dir]);
    }
    table_count(t, c->subscribes);
    table_count(t, c->pings);
    for (unsigned severity = MQTT_SEVERITY_ERROR; severity > MQTT_SEVERITY_NONE; severity--)
        table_count(t, c->violations[severity]);
    table_row_end(t);
}

static void print_clients(struct stats *s, struct out *o, bool json, const struct track *track)
{
    static const struct column columns[] = {
        { "client id", "client_id", 22, true },
        { NULL, "tcp.stream", 0, false },
        { "ver", "mqtt.ver", 5, true },
        { "conn", "connects", 4, false },
        { "pkts >", "client_packets", 7, false },
        { "oct >", "client_octets", 7, false },
        { "pub >", "client_published", 7, false },
        { NULL, "client_published_qos0", 0, false },
        { NULL, "client_published_qos1", 0, false },
        { NULL, "client_published_qos2", 0, false },
        { NULL, "client_payload_octets", 0, false },
        { "< pkts", "server_packets", 7, false },
        { "< oct", "server_octets", 7, false },
        { "< pub", "server_published", 7, false },
        { NULL, "server_published_qos0", 0, false },
        { NULL, "server_published_qos1", 0, false },
        { NULL, "server_published_qos2", 0, false },
        { NULL, "server_payload_octets", 0, false },
        { "sub", "subscribes", 4, false },
        { "ping", "pings", 4, false },
        { "err", "errors", 4, false },
        { NULL, "warnings", 0, false },
        { NULL, "notes", 0, false },
    };
    (void)track;
    const struct clients_state *state = s->state;
    struct table t =
        table_begin(o, json, "clients", "Clients (> from the client, < from the server)", columns, COUNT(columns));
    for (uint32_t i = 0; i < state->table.n; i++)
        client_cells(&t, keep_at(&state->table, i), false);
    if (state->others.packets[0] + state->others.packets[1] > 0)
        client_cells(&t, &state->others, true);
}

const struct stats_kind stats_clients = {
    "clients",    "",           "clients by identifier: traffic, messages, subscriptions, violations",
    open_clients, row_clients,  NULL,
    NULL,         print_clients
};

/* --- stats --- */

struct totals {
    uint8_t *seen, *named; /* bit sets by the number of the stream: its connection is counted, and its client's name */
    uint32_t streams, streams_max;
    struct keep_set clients;
    uint64_t streams_lost, clients_lost;
    uint64_t packets[6][3]; /* by version and sender */
    uint64_t published[16]; /* by DUP, QoS and RETAIN, as in the first octet */
    uint64_t octets, payload, gaps, gap_octets, skipped, cut;
    uint64_t verdicts[4], findings[4];
};

static bool open_totals(struct stats *s, const char *arguments, char *error)
{
    (void)arguments;
    struct totals *c = s->state = keep_take(&s->keep, sizeof *c);
    bool ok = c != NULL && keep_set_init(&c->clients, &s->keep, s->keep.size / 4);
    if (ok) {
        c->streams_max = (uint32_t)(s->keep.size / 8);
        c->seen = keep_take(&s->keep, c->streams_max / 8 + 1);
        c->named = keep_take(&s->keep, c->streams_max / 8 + 1);
    }
    return stats_enough(ok && c->seen != NULL && c->named != NULL, error);
}

static bool is_in(const uint8_t *set, uint32_t at)
{
    return (set[at / 8] >> at % 8 & 1) != 0;
}

static void put_in(uint8_t *set, uint32_t at, bool in)
{
    set[at / 8] = (uint8_t)((set[at / 8] & ~(1u << at % 8)) | (unsigned)in << at % 8);
}

RARELY static void total_connection(struct totals *c, const struct row *row)
{
    bool known = row->stream < c->streams_max, named = row->client_id.ptr != NULL;
    bool counted = named && keep_count(&c->clients, row->client_id);
    c->clients_lost += named && !counted;
    c->streams_lost += !known;
    if (!known)
        return;
    c->streams += !is_in(c->seen, row->stream);
    put_in(c->seen, row->stream, true);
    put_in(c->named, row->stream, counted);
}

static bool assigns_name(const struct mqtt_packet *p)
{
    return p->type == MQTT_CONNACK && (p->props.seen >> MQTT_PROP_ASSIGNED_CLIENT_IDENTIFIER & 1) != 0;
}

static void total_gap(struct totals *c, const struct row *row)
{
    c->gaps++;
    c->gap_octets += row->gap_octets;
    c->skipped += row->skipped_octets;
}

static void row_totals(struct stats *s, const struct row *row)
{
    struct totals *c = s->state;
    const struct mqtt_packet *p = row->packet;
    bool packet = stats_is_packet(row);
    bool names = packet && p->type <= MQTT_CONNACK && (p->type == MQTT_CONNECT || assigns_name(p));
    /* a client is looked up once a connection, and again where it can be told another name */
    if (names || row->stream >= c->streams_max || !is_in(c->named, row->stream))
        total_connection(c, row);
    for (uint32_t i = 0; i < row->n_verdicts; i++)
        c->verdicts[row->verdicts[i].severity & 3]++;
    if (!packet) {
        if (row->kind == ROW_GAP)
            total_gap(c, row);
        return;
    }
    c->packets[row->version][row->sender]++;
    c->octets += (uint64_t)p->header_len + p->remaining;
    c->cut += p->cut;
    if (p->type == MQTT_PUBLISH) {
        c->published[p->flags & 15]++;
        c->payload += p->publish.payload_len;
    }
}

static void finding_totals(struct stats *s, const struct track_finding *f)
{
    struct totals *c = s->state;
    c->findings[f->severity & 3]++;
}

/* Packets of this version, or from this sender; ANY: of all. */
enum { ANY = -1 };
static uint64_t packets_of(const struct totals *c, int version, int sender)
{
    uint64_t n = 0;
    for (int v = 0; v < 6; v++)
        for (int s = 0; s < 3; s++)
            if ((version == ANY || v == version) && (sender == ANY || s == sender))
                n += c->packets[v][s];
    return n;
}

/* PUBLISH packets that have these bits of the first octet, of those in the mask. */
static uint64_t published_with(const struct totals *c, unsigned mask, unsigned bits)
{
    uint64_t n = 0;
    for (unsigned flags = 0; flags < 16; flags++)
        n += (flags & mask) == bits ? c->published[flags] : 0;
    return n;
}

static void print_figures(struct table *t, bool json, const struct stats_figure *figures, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        table_row(t);
        table_text(t, json ? figures[i].key : figures[i].name);
        table_count(t, figures[i].value);
        table_row_end(t);
    }
}

static void print_totals(struct stats *s, struct out *o, bool json, const struct track *track)
{
    static const struct column columns[] = { { "figure", "figure", 44, true }, { "value", "value", 16, false } };
    (void)track;
    struct totals *c = s->state;
    const struct stats_figure figures[] = {
        { "control packets", "packets", packets_of(c, ANY, ANY) },
        { "octets of them", "octets", c->octets },
        { "from clients", "from_client", packets_of(c, ANY, MQTT_CLIENT) },
        { "from servers", "from_server", packets_of(c, ANY, MQTT_SERVER) },
        { "from a sender not known", "from_unknown", packets_of(c, ANY, MQTT_NOBODY) },
        { "MQTT 3.1", "mqtt_3_1", packets_of(c, 3, ANY) },
        { "MQTT 3.1.1", "mqtt_3_1_1", packets_of(c, 4, ANY) },
        { "MQTT 5.0", "mqtt_5_0", packets_of(c, 5, ANY) },
        { "version not known", "version_unknown", packets_of(c, 0, ANY) },
        { "connections", "connections", c->streams },
        { "client identifiers", "clients", keep_counted(&c->clients) },
        { "PUBLISH QoS 0", "publish_qos0", published_with(c, 6, 0) },
        { "PUBLISH QoS 1", "publish_qos1", published_with(c, 6, 2) },
        { "PUBLISH QoS 2", "publish_qos2", published_with(c, 6, 4) },
        { "PUBLISH with both QoS bits", "publish_qos3", published_with(c, 6, 6) },
        { "PUBLISH with RETAIN", "publish_retained", published_with(c, 1, 1) },
        { "PUBLISH with DUP", "publish_dup", published_with(c, 8, 8) },
        { "octets of payload", "payload_octets", c->payload },
        { "violations: errors", "violations_error", c->verdicts[MQTT_SEVERITY_ERROR] },
        { "violations: warnings", "violations_warning", c->verdicts[MQTT_SEVERITY_WARNING] },
        { "violations: notes", "violations_note", c->verdicts[MQTT_SEVERITY_NOTE] },
        { "findings: errors", "findings_error", c->findings[MQTT_SEVERITY_ERROR] },
        { "findings: warnings", "findings_warning", c->findings[MQTT_SEVERITY_WARNING] },
        { "findings: notes", "findings_note", c->findings[MQTT_SEVERITY_NOTE] },
        { "gaps", "gaps", c->gaps },
        { "octets never captured", "gap_octets", c->gap_octets },
        { "octets skipped to find packets again", "skipped_octets", c->skipped },
        { "packets decoded only in part", "cut_packets", c->cut },
    };
    struct table t = table_begin(o, json, "stats", "Totals", columns, COUNT(columns));
    print_figures(&t, json, figures, COUNT(figures));
    print_figures(&t, json, s->figures, s->n_figures);
    table_row(&t);
    table_text(&t, json ? "seconds" : "seconds from the first packet to the last");
    table_seconds(&t, s->rows > 0 ? s->last_ns - s->first_ns : 0);
    table_row_end(&t);
    if (c->streams_lost + c->clients_lost > 0)
        table_remark(&t, "packets belong to connections or clients beyond those counted",
                     c->streams_lost + c->clients_lost);
}

const struct stats_kind stats_totals = {
    "stats",        "",          "totals: packets, versions, messages, violations, gaps", open_totals, row_totals, NULL,
    finding_totals, print_totals
};
