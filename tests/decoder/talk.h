/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/decoder/talk.h -- conversations as text, played into the tracker.
 *
 *     "1 open; 1> connect id=a; 1< connack; 1> pub q=1 id=1 t=x; +3s; 1< puback id=1; 1> disc; 1 fin>"
 *
 * Connections are 0 to 9 and a to f. Steps are separated by ';'. A step is a time ("+3s", "+200ms"), an event of a
 * connection ("1 open", "1 mid", "1 gap>", "1 part>", "1 fin>", "1 rst<", "1 forget", "1 wstext<", "1 wsnone>",
 * "1 wsother<") or a packet: connection, direction ('>' from the client), type and its fields. Version 5.0 unless the
 * connection's CONNECT says v=4 or v=3. Each step is 1 ms after the one before. A sender's TCP has acknowledged all
 * that came before, unless the packet says "cross": then it was sent before the latest packet of the other side
 * arrived. */
#pragma once
#include "decoder/track/track.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TALK_CONNS = 16, TALK_ROWS = 256, TALK_FOUND = 1024, TALK_PACKET = 1 << 17 };

struct talk_conn {
    track_conn handle;
    struct mqtt_conn conn;
    uint64_t sent[2], acked[2];
    uint8_t version;
    bool open;
};

struct talk {
    struct track *track;
    struct talk_conn conn[TALK_CONNS];
    int64_t now;
    uint64_t frame;
    uint32_t n_found, n_exchanges, n_events, n_notes;
    struct {
        uint16_t rule, diag;
        uint8_t severity, side;
        uint64_t frame; /* of the step that brought it */
        char text[TRACK_SENTENCE];
    } found[TALK_FOUND];
    struct track_exchange exchanges[TALK_ROWS];
    struct {
        enum track_session_change change;
        uint64_t session;
    } events[TALK_ROWS];
    struct track_note notes[TALK_ROWS];
    uint64_t allocated; /* octets now */
    uint8_t octets[TALK_PACKET];
    bool bad;
};

static inline void *talk_resize(void *ctx, void *old, size_t old_size, size_t size)
{
    struct talk *k = ctx;
    k->allocated += size;
    k->allocated -= old_size;
    if (size > 0)
        return realloc(old, size);
    free(old);
    return NULL;
}

static inline void talk_found(struct talk *k, unsigned rule, unsigned diag, unsigned severity, unsigned side,
                              const char *text)
{
    if (k->n_found == TALK_FOUND || (k->n_found >= TALK_FOUND / 2 && severity <= MQTT_SEVERITY_NOTE))
        return; /* a long conversation has many notes */
    k->found[k->n_found].rule = (uint16_t)rule;
    k->found[k->n_found].diag = (uint16_t)diag;
    k->found[k->n_found].severity = (uint8_t)severity;
    k->found[k->n_found].side = (uint8_t)side;
    k->found[k->n_found].frame = k->frame;
    snprintf(k->found[k->n_found].text, sizeof k->found[0].text, "%s", text);
    k->n_found++;
}

static inline void talk_on_finding(void *ctx, const struct track_finding *f)
{
    talk_found(ctx, f->rule, f->diagnosis, f->severity, f->side, f->sentence);
}

static inline void talk_on_exchange(void *ctx, const struct track_exchange *x)
{
    struct talk *k = ctx;
    if (k->n_exchanges < TALK_ROWS) {
        k->exchanges[k->n_exchanges] = *x;
        k->exchanges[k->n_exchanges].topic.ptr = k->exchanges[k->n_exchanges].client_id.ptr = NULL;
        k->n_exchanges++;
    }
}

static inline void talk_on_session(void *ctx, const struct track_session_event *e)
{
    struct talk *k = ctx;
    if (k->n_events < TALK_ROWS) {
        k->events[k->n_events].change = e->change;
        k->events[k->n_events++].session = e->session;
    }
}

static inline struct talk *talk_new(const struct track_config *config)
{
    struct talk *k = calloc(1, sizeof *k);
    struct track_config c;
    track_defaults(&c);
    if (config != NULL)
        c = *config;
    k->now = 1000000000000;
    k->track = track_new(&c, (struct track_memory){ .resize = talk_resize, .ctx = k },
                         (struct track_events){ talk_on_finding, talk_on_exchange, talk_on_session, k });
    return k;
}

static inline void talk_free(struct talk *k)
{
    track_free(k->track);
    free(k);
}

/* ---- fields: "name=value" or "name" ---- */

struct talk_args {
    const char *at, *end;
};

/* The nth (from 0) value of a field; *len 0 and an empty text when it stands alone. NULL: not there. */
static inline const char *talk_arg(struct talk_args a, const char *name, unsigned nth, size_t *len)
{
    size_t n = strlen(name);
    const char *p = a.at;
    while (p < a.end) {
        while (p < a.end && *p == ' ')
            p++;
        const char *word = p;
        while (p < a.end && *p != ' ')
            p++;
        if ((size_t)(p - word) < n || memcmp(word, name, n) != 0 || (word + n < p && word[n] != '='))
            continue;
        if (nth-- > 0)
            continue;
        *len = word + n < p ? (size_t)(p - word) - n - 1 : 0;
        return word + n + (word + n < p);
    }
    return NULL;
}

static inline bool talk_has(struct talk_args a, const char *name)
{
    size_t len;
    return talk_arg(a, name, 0, &len) != NULL;
}

static inline uint32_t talk_number(struct talk_args a, const char *name, uint32_t otherwise)
{
    size_t len;
    const char *p = talk_arg(a, name, 0, &len);
    return p != NULL && len > 0 ? (uint32_t)strtoul(p, NULL, 0) : otherwise;
}

static inline struct view talk_text(struct talk_args a, const char *name, const char *otherwise)
{
    size_t len;
    const char *p = talk_arg(a, name, 0, &len);
    if (p == NULL)
        return otherwise != NULL ? view_of(otherwise, strlen(otherwise)) : (struct view){ 0 };
    return view_of(p, len);
}

/* ---- properties ---- */

struct talk_props {
    uint8_t block[8192];
    size_t len;
};

static inline void talk_prop_number(struct talk_props *b, struct talk_args a, const char *name, uint32_t id)
{
    size_t len;
    for (unsigned nth = 0;; nth++) {
        const char *p = talk_arg(a, name, nth, &len);
        if (p == NULL)
            return;
        struct mqtt_prop prop = { .id = id,
                                  .number = (uint32_t)strtoul(p, NULL, 0),
                                  .wire = (uint8_t)mqtt_prop_info(id)->wire };
        b->len = mqtt_prop_write(b->block, b->len, sizeof b->block, &prop);
    }
}

static inline void talk_prop_text(struct talk_props *b, struct talk_args a, const char *name, uint32_t id)
{
    size_t len;
    const char *p = talk_arg(a, name, 0, &len);
    if (p == NULL)
        return;
    struct mqtt_prop prop = { .id = id, .text = view_of(p, len), .wire = (uint8_t)mqtt_prop_info(id)->wire };
    b->len = mqtt_prop_write(b->block, b->len, sizeof b->block, &prop);
}

/* u=TEXT: User Properties with the name n. */
static inline void talk_prop_pairs(struct talk_props *b, struct talk_args a)
{
    size_t len;
    const char *p;
    for (unsigned nth = 0; (p = talk_arg(a, "u", nth, &len)) != NULL; nth++) {
        struct mqtt_prop prop = { .id = MQTT_PROP_USER_PROPERTY,
                                  .text = view_of("n", 1),
                                  .value = view_of(p, len),
                                  .wire = (uint8_t)mqtt_prop_info(MQTT_PROP_USER_PROPERTY)->wire };
        b->len = mqtt_prop_write(b->block, b->len, sizeof b->block, &prop);
    }
}

/* up=N, rs=N: a User Property or Reason String with N octets of text. */
static inline void talk_prop_filler(struct talk_props *b, struct talk_args a, const char *name, uint32_t id)
{
    static uint8_t filler[2000];
    if (!talk_has(a, name))
        return;
    memset(filler, 'f', sizeof filler);
    struct mqtt_prop prop = { .id = id, .wire = (uint8_t)mqtt_prop_info(id)->wire };
    prop.text = view_of(filler, id == MQTT_PROP_USER_PROPERTY ? 1 : talk_number(a, name, 0));
    prop.value = view_of(filler, talk_number(a, name, 0));
    b->len = mqtt_prop_write(b->block, b->len, sizeof b->block, &prop);
}

static inline void talk_props(struct talk_props *b, struct talk_args a, unsigned type)
{
    static const struct {
        const char *name;
        uint8_t id;
    } numbers[] = {
        { "expiry", MQTT_PROP_SESSION_EXPIRY_INTERVAL },
        { "rm", MQTT_PROP_RECEIVE_MAXIMUM },
        { "am", MQTT_PROP_TOPIC_ALIAS_MAXIMUM },
        { "mps", MQTT_PROP_MAXIMUM_PACKET_SIZE },
        { "rpi", MQTT_PROP_REQUEST_PROBLEM_INFORMATION },
        { "rri", MQTT_PROP_REQUEST_RESPONSE_INFORMATION },
        { "mq", MQTT_PROP_MAXIMUM_QOS },
        { "ra", MQTT_PROP_RETAIN_AVAILABLE },
        { "wild", MQTT_PROP_WILDCARD_SUBSCRIPTION_AVAILABLE },
        { "subid", MQTT_PROP_SUBSCRIPTION_IDENTIFIER_AVAILABLE },
        { "shared", MQTT_PROP_SHARED_SUBSCRIPTION_AVAILABLE },
        { "ska", MQTT_PROP_SERVER_KEEP_ALIVE },
        { "alias", MQTT_PROP_TOPIC_ALIAS },
        { "sid", MQTT_PROP_SUBSCRIPTION_IDENTIFIER },
        { "pfi", MQTT_PROP_PAYLOAD_FORMAT_INDICATOR },
        { "mei", MQTT_PROP_MESSAGE_EXPIRY_INTERVAL },
    };
    b->len = 0;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        talk_prop_number(b, a, numbers[i].name, numbers[i].id);
    talk_prop_text(b, a, "method", MQTT_PROP_AUTHENTICATION_METHOD);
    talk_prop_text(b, a, "aid", MQTT_PROP_ASSIGNED_CLIENT_IDENTIFIER);
    talk_prop_text(b, a, "ri", MQTT_PROP_RESPONSE_INFORMATION);
    talk_prop_text(b, a, "rt", MQTT_PROP_RESPONSE_TOPIC);
    talk_prop_text(b, a, "cd", MQTT_PROP_CORRELATION_DATA);
    talk_prop_text(b, a, "ct", MQTT_PROP_CONTENT_TYPE);
    talk_prop_pairs(b, a);
    talk_prop_filler(b, a, "rs", MQTT_PROP_REASON_STRING);
    talk_prop_filler(b, a, "up", MQTT_PROP_USER_PROPERTY);
    (void)type;
}

/* ---- packets ---- */

static inline void talk_connect(struct mqtt_packet *p, struct talk_args a, struct talk_props *will)
{
    struct mqtt_connect *k = &p->connect;
    *k = (struct mqtt_connect){ .protocol_name = p->version == 3 ? view_of("MQIsdp", 6) : view_of("MQTT", 4),
                                .level = p->version };
    if (talk_has(a, "level"))
        k->level = (uint8_t)talk_number(a, "level", 0);
    k->client_id = talk_text(a, "id", "");
    k->keep_alive_s = (uint16_t)talk_number(a, "ka", 0);
    k->clean = talk_number(a, "clean", 1) != 0;
    k->flags = (uint8_t)(k->clean ? 2 : 0);
    k->flags = (uint8_t)(k->flags | talk_number(a, "flags", 0));
    if (!talk_has(a, "will"))
        return;
    k->will = true;
    k->will_topic = talk_text(a, "will", "");
    k->will_payload = talk_text(a, "wp", "gone");
    k->will_qos = (uint8_t)talk_number(a, "wq", 0);
    k->will_retain = talk_number(a, "wr", 0) != 0;
    k->flags = (uint8_t)(k->flags | 4 | k->will_qos << 3 | (k->will_retain ? 32 : 0));
    will->len = 0;
    talk_prop_number(will, a, "wdelay", MQTT_PROP_WILL_DELAY_INTERVAL);
    k->will_props.block = view_of(will->block, will->len);
}

static inline void talk_publish(struct mqtt_packet *p, struct talk_args a)
{
    static uint8_t big[TALK_PACKET / 2];
    struct mqtt_publish *m = &p->publish;
    *m = (struct mqtt_publish){ .dup = talk_has(a, "dup"),
                                .retain = talk_has(a, "retain"),
                                .qos = (uint8_t)talk_number(a, "q", 0) };
    m->topic = talk_text(a, "t", "t");
    m->payload = talk_text(a, "p", "payload");
    if (talk_has(a, "big")) {
        memset(big, 'b', sizeof big);
        m->payload = view_of(big, talk_number(a, "big", 0));
    }
    m->payload_len = (uint32_t)m->payload.len;
    p->flags = (uint8_t)((m->dup ? 8 : 0) | m->qos << 1 | (m->retain ? 1 : 0));
}

/* f=FILTER:OPTIONS ... or c=CODE ... */
static inline void talk_list(struct mqtt_packet *p, struct talk_args a, uint8_t *payload, size_t cap)
{
    size_t len = 0, n;
    bool filters = p->type == MQTT_SUBSCRIBE || p->type == MQTT_UNSUBSCRIBE;
    for (unsigned nth = 0;; nth++) {
        const char *v = talk_arg(a, filters ? "f" : "c", nth, &n);
        if (v == NULL)
            break;
        if (!filters) {
            payload[len++] = (uint8_t)strtoul(v, NULL, 0);
            continue;
        }
        const char *colon = memchr(v, ':', n);
        struct mqtt_filter f = { .filter = view_of(v, colon != NULL ? (size_t)(colon - v) : n),
                                 .has_options = p->type == MQTT_SUBSCRIBE };
        f.options = colon != NULL ? (uint8_t)strtoul(colon + 1, NULL, 0) : 0;
        len = mqtt_filter_write(payload, len, cap, &f);
    }
    p->list.payload = view_of(payload, len);
}

static inline unsigned talk_type(const char *word, size_t len)
{
    static const struct {
        const char *name;
        uint8_t type;
    } types[] = { { "connect", MQTT_CONNECT },   { "connack", MQTT_CONNACK },   { "pub", MQTT_PUBLISH },
                  { "puback", MQTT_PUBACK },     { "pubrec", MQTT_PUBREC },     { "pubrel", MQTT_PUBREL },
                  { "pubcomp", MQTT_PUBCOMP },   { "sub", MQTT_SUBSCRIBE },     { "suback", MQTT_SUBACK },
                  { "unsub", MQTT_UNSUBSCRIBE }, { "unsuback", MQTT_UNSUBACK }, { "ping", MQTT_PINGREQ },
                  { "pong", MQTT_PINGRESP },     { "disc", MQTT_DISCONNECT },   { "auth", MQTT_AUTH } };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strlen(types[i].name) == len && memcmp(types[i].name, word, len) == 0)
            return types[i].type;
    return 0;
}

static inline size_t talk_encode(struct talk *k, unsigned type, uint8_t version, struct talk_args a)
{
    static uint8_t payload[TALK_PACKET / 2];
    static struct talk_props props, will;
    struct mqtt_packet p = { .type = (uint8_t)type, .version = version };
    p.flags = (uint8_t)talk_number(a, "flags", mqtt_type_flags(type));
    p.has_id = talk_has(a, "id");
    p.id = (uint16_t)talk_number(a, "id", 0);
    p.reason = (uint8_t)talk_number(a, "code", 0);
    p.has_reason = true;
    if (version == MQTT_V5) {
        talk_props(&props, a, type);
        p.props.block = view_of(props.block, props.len);
    }
    switch (type) {
    case MQTT_CONNECT:
        p.has_id = false;
        p.flags = 0;
        talk_connect(&p, a, &will);
        break;
    case MQTT_CONNACK:
        p.connack.session_present = talk_number(a, "sp", 0) != 0;
        p.connack.flags = p.connack.session_present;
        break;
    case MQTT_PUBLISH:
        talk_publish(&p, a);
        break;
    case MQTT_SUBSCRIBE:
    case MQTT_SUBACK:
    case MQTT_UNSUBSCRIBE:
    case MQTT_UNSUBACK:
        talk_list(&p, a, payload, sizeof payload);
        break;
    default:
        break;
    }
    return mqtt_encode(&p, k->octets, sizeof k->octets);
}

/* One packet, in k->octets, into the tracker. acked: octets of the other side that its sender had. */
static inline void talk_octets(struct talk *k, struct talk_conn *c, unsigned dir, size_t len, uint64_t acked)
{
    struct mqtt_verdict at[32];
    struct mqtt_verdicts v = { .at = at, .cap = 32 };
    struct mqtt_packet p;
    struct track_note note;
    mqtt_conn_packet(&c->conn, dir, view_of(k->octets, len), &p, &v);
    c->acked[dir] = acked;
    c->sent[dir] += len;
    struct track_input in = { .packet = &p,
                              .dir = (uint8_t)dir,
                              .sender = (uint8_t)mqtt_conn_sender(&c->conn, dir),
                              .version = c->conn.version,
                              .version_source = c->conn.source,
                              .roles_sure = c->conn.roles_sure,
                              .frame = k->frame,
                              .frame_first = k->frame,
                              .time_ns = k->now,
                              .time_first_ns = k->now,
                              .end = c->sent[dir],
                              .acked = c->acked[dir] };
    track_packet(k->track, c->handle, &in, &v, &note);
    for (uint32_t i = 0; i < v.n; i++)
        talk_found(k, v.at[i].rule, 0, v.at[i].severity, v.at[i].side, "");
    note.client_id.ptr = note.topic.ptr = note.alias_topic.ptr = NULL; /* lengths tell enough; the octets may go */
    if (k->n_notes < TALK_ROWS)
        k->notes[k->n_notes++] = note;
}

static inline void talk_event(struct talk *k, struct talk_conn *c, unsigned number, const char *word, size_t len)
{
    unsigned dir = word[len - 1] == '<' ? 1 : 0;
    struct track_opening o = {
        .stream = (uint32_t)k->frame, .client_dir = 0, .from_syn = true, .time_ns = k->now, .frame = k->frame
    };
    o.side[0] = (struct row_endpoint){ { 4, { 10, 0, 0, (uint8_t)number } }, 40000 };
    o.side[1] = (struct row_endpoint){ { 4, { 10, 0, 0, 99 } }, 1883 };
    if (strncmp(word, "open", 4) == 0 || strncmp(word, "mid", 3) == 0) {
        bool mid = word[0] == 'm';
        *c = (struct talk_conn){ .version = MQTT_V5, .open = true };
        mqtt_conn_init(&c->conn);
        if (mid) {
            o.client_dir = 2;
            o.from_syn = false;
        } else {
            mqtt_conn_client(&c->conn, 0);
        }
        c->handle = track_open(k->track, &o);
    } else if (strncmp(word, "fin", 3) == 0) {
        track_close(k->track, c->handle, TRACK_CLOSE_FIN, dir, k->now, k->frame);
    } else if (strncmp(word, "rst", 3) == 0) {
        track_close(k->track, c->handle, TRACK_CLOSE_RST, dir, k->now, k->frame);
    } else if (strncmp(word, "gap", 3) == 0) {
        track_gap(k->track, c->handle, dir, 100, k->now, k->frame);
    } else if (strncmp(word, "part", 4) == 0) {
        track_under_way(k->track, c->handle, dir);
    } else if (strncmp(word, "forget", 6) == 0) {
        track_forget(k->track, c->handle);
    } else if (strncmp(word, "wsnone", 6) == 0) {
        track_websocket(k->track, c->handle, TRACK_WS_NOT_OFFERED, dir, k->now, k->frame);
    } else if (strncmp(word, "wsother", 7) == 0) {
        track_websocket(k->track, c->handle, TRACK_WS_NOT_SELECTED, dir, k->now, k->frame);
    } else if (strncmp(word, "wstext", 6) == 0) {
        track_websocket(k->track, c->handle, TRACK_WS_TEXT, dir, k->now, k->frame);
    } else {
        k->bad = true;
    }
}

static inline void talk_step(struct talk *k, const char *p, const char *end)
{
    if (*p == '+') {
        char *unit;
        long n = strtol(p + 1, &unit, 10);
        k->now += n * (*unit == 's' ? 1000000000 : 1000000);
        track_advance(k->track, k->now);
        return;
    }
    if (!isxdigit((unsigned char)*p)) {
        k->bad = true;
        return;
    }
    unsigned number = (unsigned)(isdigit((unsigned char)*p) ? *p - '0' : *p - 'a' + 10), dir = 2;
    struct talk_conn *c = &k->conn[number];
    p++;
    if (p < end && (*p == '>' || *p == '<'))
        dir = *p++ == '<';
    while (p < end && *p == ' ')
        p++;
    const char *word = p;
    while (p < end && *p != ' ')
        p++;
    k->now += 1000000;
    k->frame++;
    if (dir == 2) {
        talk_event(k, c, number, word, (size_t)(p - word));
        return;
    }
    struct talk_args a = { p, end };
    unsigned type = talk_type(word, (size_t)(p - word));
    if (type == MQTT_CONNECT)
        c->version = (uint8_t)talk_number(a, "v", 5);
    size_t len = type != 0 && c->open ? talk_encode(k, type, (uint8_t)talk_number(a, "v", c->version), a) : 0;
    if (len == 0) {
        k->bad = true;
        fprintf(stderr, "talk: cannot say '%.*s'\n", (int)(end - word), word);
        return;
    }
    talk_octets(k, c, dir, len, talk_has(a, "cross") ? c->acked[dir] : c->sent[1 - dir]);
}

/* Plays the steps; the capture goes on after them. */
static inline void talk_play(struct talk *k, const char *text)
{
    while (*text != '\0') {
        text += strspn(text, " ;\n");
        size_t len = strcspn(text, ";\n");
        if (len > 0)
            talk_step(k, text, text + len);
        text += len;
    }
}

static inline void talk_finish(struct talk *k)
{
    k->now += 1000000;
    track_finish(k->track, k->now);
}

/* How many verdicts and findings name this rule with at least this severity. */
static inline unsigned talk_says(const struct talk *k, unsigned rule, unsigned severity)
{
    unsigned n = 0;
    for (uint32_t i = 0; i < k->n_found; i++)
        n += k->found[i].rule == rule && k->found[i].severity >= severity;
    return n;
}

static inline unsigned talk_tells(const struct talk *k, unsigned diag)
{
    unsigned n = 0;
    for (uint32_t i = 0; i < k->n_found; i++)
        n += k->found[i].diag == diag;
    return n;
}

static inline unsigned talk_worst(const struct talk *k)
{
    unsigned worst = 0;
    for (uint32_t i = 0; i < k->n_found; i++)
        worst = k->found[i].severity > worst ? k->found[i].severity : worst;
    return worst;
}

static inline void talk_print_from(const struct talk *k, unsigned least)
{
    for (uint32_t i = 0; i < k->n_found; i++)
        if (k->found[i].severity >= least)
            fprintf(stderr, "    frame %llu: %s %s %s %s %s\n", (unsigned long long)k->found[i].frame,
                    mqtt_severity_name(k->found[i].severity), mqtt_rule_info(k->found[i].rule)->id,
                    track_diag_info(k->found[i].diag)->name, mqtt_side_name(k->found[i].side), k->found[i].text);
}

static inline void talk_print(const struct talk *k)
{
    talk_print_from(k, 0);
}

static inline void talk_print_loud(const struct talk *k)
{
    talk_print_from(k, MQTT_SEVERITY_NOTE + 1);
}
