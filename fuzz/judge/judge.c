/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/judge/judge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decoder/mqtt/framer.h"
#include "decoder/track/track.h"
#include "fuzz/heap.h"
#include "fuzz/judge/ledger.h"

enum { CONNECTIONS_MAX = 64, KEEP = 6 << 20, VERDICTS = 16 };
/* The standards say what a server does after one and a half times Keep Alive, not how often it has to look. */
#define KEEP_ALIVE_SLACK_NS INT64_C(6500000000)

/* One TCP connection of the log. Direction 0 is the client's. */
struct connection {
    uint8_t client;
    uint16_t number;
    struct mqtt_conn conn;
    struct mqtt_framer framer[2];
    track_conn track;
    bool closed;
    bool unclear;   /* its client has begun a packet of type 0, or speaks another level: its answers prove nothing */
    bool zero_id;   /* a packet of the client had Packet Identifier 0 */
    bool miscount;  /* a SUBSCRIBE or UNSUBSCRIBE of the client named nothing, or ended within an entry */
    uint64_t shape; /* of what the broker sent on it */
};

struct judge {
    const struct run *run;
    enum mqtt_severity least;
    struct judge_result *out;
    struct track *track;
    struct ledger *ledger; /* NULL: no memory */
    uint32_t at;           /* place in the log */
    struct connection connection[CONNECTIONS_MAX];
    unsigned n;
};

static void add_fault(struct judge *j, const struct judge_fault *fault)
{
    for (uint32_t i = 0; i < j->out->n; i++) {
        struct judge_fault *old = &j->out->fault[i];
        if (strcmp(old->name, fault->name) != 0 || strcmp(old->title, fault->title) != 0)
            continue;
        if (old->hasty && !fault->hasty)
            *old = *fault;
        return;
    }
    if (j->out->n < JUDGE_FAULTS)
        j->out->fault[j->out->n++] = *fault;
    else
        j->out->lost++;
}

static void on_finding(void *ctx, const struct track_finding *f)
{
    struct judge *j = ctx;
    if (f->side == MQTT_CLIENT && f->severity >= MQTT_SEVERITY_ERROR && j->ledger != NULL)
        ledger_fault(j->ledger, f->stream, MQTT_RULE_NONE, NULL, j->at);
    if (f->side != MQTT_SERVER || f->severity < j->least || j->connection[f->stream].unclear)
        return;
    struct judge_fault fault = {
        .rule = f->rule, .severity = f->severity, .version = f->version, .oracle = "violation", .connection = f->stream
    };
    snprintf(fault.name, sizeof fault.name, "%s", f->name);
    snprintf(fault.sentence, sizeof fault.sentence, "%s", f->sentence);
    add_fault(j, &fault);
}

/* The publisher's fault, that a broker hands on as it came: it has to pass Payload Format Indicator and Response Topic
 * on unaltered [MQTT-3.3.2-4, MQTT-3.3.2-15] and need not look into the payload. That it took them is another matter.
 */
static bool hands_on(const struct mqtt_rule_info *info, const struct mqtt_packet *p)
{
    return p->type == MQTT_PUBLISH && info->version == MQTT_V5 && info->where == MQTT_WHERE_PACKET &&
           (!rule_forces_refusal(info) || strcmp(info->id, "MQTT-3.3.2-14") == 0 ||
            strcmp(info->id, "MQTT-4.7.3-1") == 0);
}

/* An answer with the client's fault in it, an identifier 0 or the codes for what is no list of filters: what there is
 * to blame is that the broker took the request. */
static bool gives_back(const struct connection *c, unsigned rule, const struct mqtt_packet *p)
{
    switch (rule) {
    case MQTT_S3_2_3_B:
    case MQTT_S4_2_3_1_A:
    case MQTT_S5_2_2_1_A:
        return c->zero_id;
    case MQTT_S4_3_9_3_A:
    case MQTT_R4_3_8_4_5:
    case MQTT_R5_3_8_4_6:
    case MQTT_S5_3_11_3_A:
        return c->miscount;
    case MQTT_S3_2_1_D:
        return c->miscount && p->type == MQTT_SUBACK && p->remaining == 2;
    default:
        return false;
    }
}

static void on_verdict(struct judge *j, uint32_t connection, const struct mqtt_verdict *v, const struct mqtt_packet *p,
                       struct view octets)
{
    const struct mqtt_rule_info *info = mqtt_rule_info((enum mqtt_rule)v->rule);
    bool unsure = j->connection[connection].unclear && info->where != MQTT_WHERE_PACKET;
    if (v->side != MQTT_SERVER || v->severity < j->least || hands_on(info, p) || unsure ||
        gives_back(&j->connection[connection], v->rule, p))
        return;
    size_t at = octets.len > 0 && octets.ptr >= j->run->octets && octets.ptr < j->run->octets + j->run->n_octets
                    ? octets.len
                    : 0;
    struct judge_fault fault = { .rule = v->rule,
                                 .severity = v->severity,
                                 .version = info->version,
                                 .oracle = "violation",
                                 .connection = connection };
    fault.octets = view_of(octets.ptr, at);
    snprintf(fault.name, sizeof fault.name, "%s", info->id);
    snprintf(fault.sentence, sizeof fault.sentence, "%s: %s", mqtt_type_name(p->type),
             info->fault[0] != '\0' ? info->fault : info->statement);
    add_fault(j, &fault);
}

/* What kind of answers came: two runs with the same sequences of these showed the same behaviour. One hash a
 * connection, since their order among each other is chance. */
static void note_state(struct connection *c, const struct mqtt_packet *p, const struct track_note *note)
{
    uint64_t shape = (uint64_t)p->type << 56 | (uint64_t)p->reason << 48 | (uint64_t)(p->flags & 0x0f) << 44 |
                     (uint64_t)note->kind << 36 | (uint64_t)note->outcome << 28 | (uint64_t)note->step << 20 |
                     (p->props.seen & 0xfffff);
    c->shape = (c->shape ^ shape) * 0x9e3779b97f4a7c15u;
    c->shape ^= c->shape >> 29;
}

static bool is_whole_list(const struct mqtt_packet *p)
{
    struct mqtt_filter filter;
    size_t at = 0;
    while (mqtt_list_next(p, &at, &filter))
        continue;
    return at > 0 && at == p->list.payload.len;
}

/* What an answer may give back. */
static void note_request(struct connection *c, unsigned dir, const struct mqtt_packet *p)
{
    if (dir != 0)
        return;
    c->zero_id = c->zero_id || (p->has_id && p->id == 0);
    if (p->type == MQTT_SUBSCRIBE || p->type == MQTT_UNSUBSCRIBE)
        c->miscount = c->miscount || !is_whole_list(p);
}

static void on_packet(struct judge *j, struct connection *c, unsigned dir, struct view octets,
                      const struct log_entry *entry)
{
    struct mqtt_packet p;
    struct mqtt_verdict at[VERDICTS];
    struct mqtt_verdicts v = { at, VERDICTS, 0, 0 };
    struct track_note note = { 0 };
    mqtt_conn_packet(&c->conn, dir, octets, &p, &v);
    if (dir == 0 && p.type == MQTT_CONNECT && p.header_len > 0 && (p.connect.level == 0x83 || p.connect.level == 0x84))
        c->unclear = true; /* bridges, to some brokers */
    note_request(c, dir, &p);
    uint64_t frame = (uint64_t)(entry - j->run->log) + 1;
    struct track_input in = { .packet = &p,
                              .dir = (uint8_t)dir,
                              .sender = (uint8_t)mqtt_conn_sender(&c->conn, dir),
                              .version = c->conn.version,
                              .version_source = c->conn.source,
                              .roles_sure = true,
                              .frame = frame,
                              .frame_first = frame,
                              .time_ns = entry->time_ns,
                              .time_first_ns = entry->time_ns };
    if (j->track != NULL)
        track_packet(j->track, c->track, &in, &v, &note);
    for (uint32_t i = 0; i < v.n; i++) {
        on_verdict(j, (uint32_t)(c - j->connection), &at[i], &p, octets);
        if (at[i].side == MQTT_CLIENT && at[i].severity >= MQTT_SEVERITY_WARNING && j->ledger != NULL)
            ledger_fault(j->ledger, (unsigned)(c - j->connection), at[i].rule, &p, j->at);
    }
    struct view topic = p.type != MQTT_PUBLISH         ? view_of("", 0)
                        : note.alias_topic.ptr != NULL ? note.alias_topic
                                                       : p.publish.topic;
    if (j->ledger != NULL)
        ledger_packet(j->ledger, (unsigned)(c - j->connection), dir == 1, &p, topic, j->at);
    if (dir == 1)
        note_state(c, &p, &note);
}

static void on_octets(struct judge *j, struct connection *c, unsigned dir, const struct log_entry *entry)
{
    struct mqtt_framer *f = &c->framer[dir];
    struct cursor in = cur_over(j->run->octets + entry->at, entry->len);
    for (;;) {
        struct mqtt_frame frame;
        enum mqtt_frame_status status = mqtt_framer_next(f, &in, &frame);
        if (status == MQTT_FRAME_MORE) {
            c->unclear = c->unclear || (dir == 0 && mqtt_framer_under_way(f) && f->kept > 0 && f->lent[0] < 0x10);
            return;
        }
        if (status == MQTT_FRAME_MEMORY) {
            uint8_t *more = realloc(f->lent, f->want);
            if (more == NULL)
                return;
            mqtt_framer_lend(f, more, f->want);
        } else {
            c->unclear = c->unclear || (dir == 0 && frame.octets.ptr[0] < 0x10);
            on_packet(j, c, dir, frame.octets, entry);
        }
    }
}

static struct connection *connection_of(struct judge *j, const struct log_entry *entry)
{
    for (unsigned i = j->n; i-- > 0;)
        if (j->connection[i].client == entry->client && j->connection[i].number == entry->connection)
            return &j->connection[i];
    if (j->n == CONNECTIONS_MAX)
        return NULL;
    struct connection *c = &j->connection[j->n];
    *c = (struct connection){ .client = entry->client, .number = entry->connection };
    mqtt_conn_init(&c->conn);
    mqtt_conn_client(&c->conn, 0);
    mqtt_framer_init(&c->framer[0], KEEP);
    mqtt_framer_init(&c->framer[1], KEEP);
    struct track_opening opening = { .stream = j->n, .client_dir = 0, .from_syn = true, .time_ns = entry->time_ns };
    opening.side[0] = (struct row_endpoint){ { 4, { 127, 0, 0, 1 } }, entry->port };
    opening.side[1] = (struct row_endpoint){ { 4, { 127, 0, 0, 1 } }, 1883 };
    opening.frame = (uint64_t)(entry - j->run->log) + 1;
    if (j->track != NULL)
        c->track = track_open(j->track, &opening);
    j->n++;
    return c;
}

static void on_close(struct judge *j, struct connection *c, const struct log_entry *entry)
{
    bool by_broker = entry->what == LOG_CLOSED_BY_BROKER || entry->what == LOG_RESET_BY_BROKER;
    bool reset = entry->what == LOG_RESET_BY_US || entry->what == LOG_RESET_BY_BROKER;
    if (j->track != NULL && !c->closed)
        track_close(j->track, c->track, reset ? TRACK_CLOSE_RST : TRACK_CLOSE_FIN, by_broker, entry->time_ns,
                    (uint64_t)(entry - j->run->log) + 1);
    if (j->ledger != NULL)
        ledger_close(j->ledger, (unsigned)(c - j->connection), (enum log_what)entry->what, j->at);
    c->closed = true;
}

static void on_accusation(void *ctx, const struct accusation *a)
{
    struct judge *j = ctx;
    const struct guarantee_info *info = guarantee_info(a->what);
    struct judge_fault fault = { .rule = (uint16_t)mqtt_rule_by_id(a->rule, a->version),
                                 .severity = MQTT_SEVERITY_ERROR,
                                 .version = a->version,
                                 .oracle = info->oracle,
                                 .hasty = a->hasty };
    snprintf(fault.name, sizeof fault.name, "%s", a->rule);
    snprintf(fault.title, sizeof fault.title, "%s", info->title);
    snprintf(fault.sentence, sizeof fault.sentence, "%s", a->why);
    add_fault(j, &fault);
}

/* Connections of one client identifier that were opened at the same time: which came first only the broker knows, so
 * what the tracker says of their session is not certain. */
static void drop_raced(struct judge *j)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < j->out->n; i++) {
        const struct judge_fault *f = &j->out->fault[i];
        bool alone = mqtt_rule_info((enum mqtt_rule)f->rule)->where == MQTT_WHERE_PACKET && f->rule != MQTT_RULE_NONE;
        if (alone || !ledger_raced(j->ledger, f->connection))
            j->out->fault[kept++] = *f;
    }
    j->out->n = kept;
}

/* A client whose octets end in the middle of a packet, or cannot be framed, is no witness. */
static void weigh_ledger(struct judge *j)
{
    if (j->ledger == NULL || j->run->n_log == 0)
        return;
    j->at = j->run->n_log - 1;
    for (unsigned i = 0; i < j->n; i++)
        if (mqtt_framer_under_way(&j->connection[i].framer[0]) || j->connection[i].framer[0].lost)
            ledger_cut(j->ledger, i);
    drop_raced(j);
    ledger_judge(j->ledger, on_accusation, j);
    if (j->run->end == RUN_FAILED || j->run->end == RUN_UNKNOWN)
        leeway_met(j->ledger, j->out->leeway, sizeof j->out->leeway);
}

void judge_run(const struct run *run, enum mqtt_severity least, struct judge_result *out)
{
    struct judge *j = calloc(1, sizeof *j);
    *out = (struct judge_result){ .states = 1 };
    if (j == NULL)
        return;
    struct track_config config;
    track_defaults(&config);
    config.max_connections = CONNECTIONS_MAX;
    config.max_sessions = CONNECTIONS_MAX;
    config.keep_alive_slack_ns = KEEP_ALIVE_SLACK_NS;
    j->run = run;
    j->least = least;
    j->out = out;
    j->ledger = ledger_new(run);
    j->track = track_new(&config, (struct track_memory){ .resize = heap_resize },
                         (struct track_events){ .finding = on_finding, .ctx = j });
    for (uint32_t i = 0; i < run->n_log; i++) {
        const struct log_entry *entry = &run->log[i];
        j->at = i;
        struct connection *c = entry->what == LOG_REFUSED ? NULL : connection_of(j, entry);
        if (c == NULL)
            continue;
        if (entry->what == LOG_SENT || entry->what == LOG_RECEIVED)
            on_octets(j, c, entry->what == LOG_RECEIVED, entry);
        else if (entry->what != LOG_OPENED)
            on_close(j, c, entry);
    }
    weigh_ledger(j);
    ledger_free(j->ledger);
    track_free(j->track);
    for (unsigned i = 0; i < j->n; i++) {
        out->states += j->connection[i].shape;
        for (unsigned dir = 0; dir < 2; dir++)
            free(j->connection[i].framer[dir].lent);
    }
    free(j);
}
