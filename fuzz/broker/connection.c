/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/broker/connection.c -- one transport: its octets cut into packets, its deadlines, its end; and the broker as a
 * whole. */
#include "fuzz/broker/internal.h"
#include <string.h>

enum { CONNECT_ROOM = 64 }; /* connections beyond the limit that are told so */

void conn_log(struct broker_conn *c, enum broker_level level, const char *event, const char *detail, int reason,
              enum mqtt_rule rule)
{
    struct broker *b = c->broker;
    if (b->host.log == NULL)
        return;
    struct broker_log log = { .level = level,
                              .event = event,
                              .detail = detail,
                              .peer = c->peer,
                              .version = c->version,
                              .reason = reason,
                              .rule = rule };
    if (c->session != NULL)
        log.client_id = session_client(c->session);
    b->host.log(b->host.ctx, &log);
}

/* ---- the end of a connection ---- */

void conn_done(struct broker_conn *c, bool keep_will)
{
    struct broker *b = c->broker;
    if (c->state == CONN_DONE)
        return;
    c->state = CONN_DONE;
    timers_stop(&b->timers, &c->timer);
    buffer_done(&c->in, &b->memory);
    auth_done(c);
    struct session *s = c->session;
    c->session = NULL;
    output_ready(c);
    if (s != NULL && s->conn == c)
        broker_session_detach(b, s, keep_will);
}

void conn_close(struct broker_conn *c, uint8_t reason, enum mqtt_rule rule, const char *detail)
{
    struct broker *b = c->broker;
    if (c->state == CONN_DONE)
        return;
    conn_log(c, rule != MQTT_RULE_NONE ? BROKER_NOTICE : BROKER_INFO, "close", detail, reason, rule);
    if (c->state == CONN_UP && c->version == MQTT_V5 && reason >= 0x80 && !FAULTY(b, NO_DISCONNECT)) {
        struct mqtt_packet p = { .type = MQTT_DISCONNECT, .version = MQTT_V5, .has_reason = true, .reason = reason };
        if (FAULTY(b, WRONG_REASON))
            p.reason = 0x80;
        uint8_t block[300];
        if (reason == 0x8b && b->config.server_reference.ptr != NULL) {
            struct mqtt_prop prop = { .id = MQTT_PROP_SERVER_REFERENCE,
                                      .wire = MQTT_WIRE_UTF8,
                                      .text = b->config.server_reference };
            p.props.block = view_of(block, mqtt_prop_write(block, 0, sizeof block, &prop));
            p.reason = 0x9c; /* use another server */
        }
        send_reasoned(c, &p, rule);
    }
    conn_done(c, true);
}

void conn_violation(struct broker_conn *c, enum mqtt_rule rule, uint8_t reason, const char *detail)
{
    c->broker->stats.violations++;
    if (!FAULTY(c->broker, ACCEPT_ALL) || c->state != CONN_UP)
        conn_close(c, reason, rule, detail);
}

/* ---- deadlines ---- */

void conn_keep_alive(struct broker_conn *c, uint32_t keep_alive_s)
{
    struct broker *b = c->broker;
    c->keep_alive_ms =
        FAULTY(b, NO_KEEP_ALIVE) ? 0 : keep_alive_s * 1500; /* [MQTT-3.1.2-22]; [MQTT-3.1.2-24] of 3.1.1 */
    timers_stop(&b->timers, &c->timer);
    if (c->keep_alive_ms > 0 && !timers_set(&b->timers, &b->memory, &c->timer, b->now_ms + c->keep_alive_ms))
        conn_close(c, 0x97, MQTT_RULE_NONE, "no memory");
}

void conn_due(struct broker_conn *c)
{
    struct broker *b = c->broker;
    if (c->state != CONN_UP) {
        conn_close(c, 0, c->state == CONN_NEW ? MQTT_S5_3_1_4_A : MQTT_RULE_NONE, "no CONNECT in time");
        return;
    }
    /* Packets only note the time; the timer is moved when it fires. */
    if (c->heard_ms + c->keep_alive_ms > b->now_ms)
        timers_set(&b->timers, &b->memory, &c->timer, c->heard_ms + c->keep_alive_ms);
    else
        conn_close(c, 0x8d, MQTT_RULE_NONE, "Keep Alive timeout");
}

/* ---- octets in ---- */

enum cut { CUT_MORE, CUT_PACKET, CUT_BAD };

/* Is there a whole packet at the front? *total is its length, 0 while that is not known. */
static enum cut cut(struct view octets, size_t *total)
{
    uint32_t remaining;
    *total = 0;
    if (octets.len < 2)
        return CUT_MORE;
    int len = mqtt_vbi_read(view_of(octets.ptr + 1, octets.len - 1), &remaining);
    if (len < 0)
        return CUT_BAD;
    if (len == 0)
        return CUT_MORE;
    *total = 1 + (size_t)len + remaining;
    return *total <= octets.len ? CUT_PACKET : CUT_MORE;
}

static void too_large(struct broker_conn *c)
{
    conn_violation(c, c->version == MQTT_V5 ? MQTT_R5_3_2_2_15 : MQTT_RULE_NONE, 0x95, "packet larger than the limit");
    conn_done(c, true);
}

static void bad_length(struct broker_conn *c)
{
    static const uint16_t rules[] = { MQTT_S3_2_1_C, MQTT_S4_2_2_3_A, MQTT_S5_1_5_5_A };
    int v = c->version >= MQTT_V31 ? c->version - MQTT_V31 : 1;
    conn_violation(c, rules[v], 0x81, "Remaining Length of more than four octets");
    conn_done(c, true);
}

/* Takes whole packets off the front of `octets`; returns how many octets it took. */
static size_t take_packets(struct broker_conn *c, struct view octets)
{
    size_t pos = 0, total;
    while (c->state != CONN_DONE) {
        struct view rest = view_of(octets.ptr + pos, octets.len - pos);
        enum cut found = cut(rest, &total);
        if (found == CUT_BAD)
            bad_length(c);
        else if (total > c->broker->config.max_packet)
            too_large(c);
        else if (found == CUT_MORE)
            return pos;
        else
            conn_packet(c, view_of(rest.ptr, total));
        pos += total;
    }
    return octets.len;
}

static void keep_rest(struct broker_conn *c, struct view rest)
{
    struct broker *b = c->broker;
    if (rest.len == 0 || c->state == CONN_DONE)
        return;
    uint8_t *room =
        mem_has_room(&b->memory, rest.len, MEMORY_QUARTER) ? buffer_reserve(&c->in, &b->memory, rest.len) : NULL;
    if (room == NULL) {
        conn_close(c, 0x97, MQTT_RULE_NONE, "no memory for this packet");
        return;
    }
    memcpy(room, rest.ptr, rest.len);
    c->in.len += (uint32_t)rest.len;
}

/* Adds what completes the packet that has begun; returns how many octets of `octets` belong to it. */
static size_t complete(struct broker_conn *c, struct view octets)
{
    size_t used = 0, total;
    while (c->state != CONN_DONE && c->in.len > 0 && used < octets.len) {
        struct view held = view_of(c->in.at + c->in.start, c->in.len);
        cut(held, &total);
        size_t want = total > held.len ? total - held.len : 1; /* the header comes octet by octet */
        if (want > octets.len - used)
            want = octets.len - used;
        keep_rest(c, view_of(octets.ptr + used, want));
        used += want;
        if (c->state == CONN_DONE)
            break;
        struct buffer whole = c->in;
        c->in = (struct buffer){ NULL, 0, 0, 0 };
        size_t taken = take_packets(c, view_of(whole.at + whole.start, whole.len));
        if (taken == 0 && c->state != CONN_DONE)
            c->in = whole;
        else
            buffer_done(&whole, &c->broker->memory);
    }
    return used;
}

void broker_input(struct broker_conn *c, struct view octets, uint64_t now_ms)
{
    struct broker *b = c->broker;
    b->now_ms = now_ms;
    b->stats.octets_in += octets.len;
    if (c->state == CONN_DONE)
        return;
    size_t used = complete(c, octets);
    if (c->state == CONN_DONE || used == octets.len)
        return;
    struct view rest = view_of(octets.ptr + used, octets.len - used);
    used = take_packets(c, rest);
    keep_rest(c, view_of(rest.ptr + used, rest.len - used));
}

/* ---- octets out ---- */

struct view broker_output(const struct broker_conn *c)
{
    return c->out.at == NULL ? (struct view){ NULL, 0 } : view_of(c->out.at + c->out.start, c->out.len);
}

void broker_sent(struct broker_conn *c, size_t len, uint64_t now_ms)
{
    struct broker *b = c->broker;
    b->now_ms = now_ms;
    b->stats.octets_out += len;
    bool full = output_full(c);
    buffer_drop(&c->out, &b->memory, len);
    if (c->out.len == 0)
        c->told = false;
    if (c->session != NULL && c->session->queue.head != NULL && (!full || c->out.len < b->config.max_output / 2))
        deliver_pump(b, c->session);
}

bool broker_done(const struct broker_conn *c)
{
    return c->state == CONN_DONE;
}

bool broker_wants_input(const struct broker_conn *c)
{
    return c->state != CONN_DONE && !output_full(c);
}

/* ---- opening and closing ---- */

struct broker_conn *broker_open(struct broker *b, void *user, uint64_t peer, uint64_t now_ms)
{
    b->now_ms = now_ms;
    if (b->shutting_down || b->stats.connections >= b->config.max_connections + CONNECT_ROOM)
        return NULL;
    struct broker_conn *c = mem_zero(&b->memory, sizeof *c);
    if (c == NULL)
        return NULL;
    *c = (struct broker_conn){ .broker = b,
                               .user = user,
                               .peer = peer,
                               .heard_ms = now_ms,
                               .max_packet = UINT32_MAX,
                               .serial = ++b->conn_serial,
                               .problem_information = true };
    c->timer.kind = TIMER_CONN;
    uint64_t timeout_ms = FAULTY(b, NO_CONNECT_TIMEOUT) ? UINT32_MAX : b->config.connect_timeout_ms;
    if (!timers_set(&b->timers, &b->memory, &c->timer, now_ms + timeout_ms)) {
        mem_free(&b->memory, c, sizeof *c);
        return NULL;
    }
    c->over_limit = b->stats.connections >= b->config.max_connections;
    c->next = b->conns;
    c->at = &b->conns;
    if (c->next != NULL)
        c->next->at = &c->next;
    b->conns = c;
    b->stats.connections++;
    b->stats.connections_total++;
    if (FAULTY(b, LEAK_CONNECTION))
        mem_zero(&b->memory, 4096);
    return c;
}

static void aliases_done(struct broker_conn *c)
{
    struct memory *m = &c->broker->memory;
    for (unsigned i = 0; c->alias_in != NULL && i < c->broker->config.alias_maximum; i++)
        mem_free(m, c->alias_in[i].topic, c->alias_in[i].len);
    mem_free(m, c->alias_in, c->broker->config.alias_maximum * sizeof *c->alias_in);
    for (unsigned i = 0; i < c->nalias_out; i++)
        mem_free(m, c->alias_out[i].topic, c->alias_out[i].len);
    mem_free(m, c->alias_out, c->alias_out_max * sizeof *c->alias_out);
}

void broker_closed(struct broker_conn *c, uint64_t now_ms)
{
    struct broker *b = c->broker;
    b->now_ms = now_ms;
    if (c->state != CONN_DONE) {
        c->told = true; /* the host knows */
        conn_log(c, BROKER_INFO, "close", "connection closed by the client", -1, MQTT_RULE_NONE);
        conn_done(c, true);
    }
    *c->at = c->next;
    if (c->next != NULL)
        c->next->at = c->at;
    aliases_done(c);
    buffer_done(&c->out, &b->memory);
    b->stats.connections--;
    mem_free(&b->memory, c, sizeof *c);
}
