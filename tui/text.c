/* SPDX-License-Identifier: Apache-2.0 */
#define _XOPEN_SOURCE 700
#include "tui/text.h"
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const int64_t SECOND = 1000000000;

const char *text_time(char out[TEXT_CAP], int64_t time_ns)
{
    int64_t seconds = time_ns / SECOND, rest = time_ns % SECOND;
    if (rest < 0) {
        rest += SECOND;
        seconds--;
    }
    time_t t = (time_t)seconds;
    struct tm tm;
    if (localtime_r(&t, &tm) == NULL)
        snprintf(out, TEXT_CAP, "%" PRId64, seconds);
    else
        snprintf(out, TEXT_CAP, "%02d:%02d:%02d.%04d", tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(rest / 100000));
    return out;
}

static const char *seconds_with(char out[TEXT_CAP], int64_t ns, const char *sign)
{
    uint64_t n = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns, second = (uint64_t)SECOND;
    const char *minus = ns < 0 ? "-" : sign;
    uint64_t whole = n / second, rest = n % second;
    if (whole < 10) /* as many digits as fit into 9 columns */
        snprintf(out, TEXT_CAP, "%s%" PRIu64 ".%06" PRIu64, minus, whole, rest / 1000);
    else if (whole < 1000)
        snprintf(out, TEXT_CAP, "%s%" PRIu64 ".%04" PRIu64, minus, whole, rest / 100000);
    else if (whole < 100000)
        snprintf(out, TEXT_CAP, "%s%" PRIu64 ".%02" PRIu64, minus, whole, rest / 10000000);
    else
        snprintf(out, TEXT_CAP, "%s%" PRIu64 "s", minus, whole);
    return out;
}

const char *text_seconds(char out[TEXT_CAP], int64_t ns)
{
    return seconds_with(out, ns, "");
}

const char *text_delta(char out[TEXT_CAP], int64_t ns)
{
    return seconds_with(out, ns, "+");
}

const char *text_duration(char out[TEXT_CAP], int64_t ns)
{
    int64_t n = ns < 0 ? 0 : ns, s = n / SECOND;
    if (n < 1000000)
        snprintf(out, TEXT_CAP, "%" PRId64 " us", n / 1000);
    else if (n < SECOND)
        snprintf(out, TEXT_CAP, "%.3g ms", (double)n / 1e6);
    else if (s < 100)
        snprintf(out, TEXT_CAP, "%.3f s", (double)n / 1e9);
    else if (s < 6000)
        snprintf(out, TEXT_CAP, "%" PRId64 " min %" PRId64 " s", s / 60, s % 60);
    else
        snprintf(out, TEXT_CAP, "%" PRId64 " h %" PRId64 " min", s / 3600, s / 60 % 60);
    return out;
}

static void scaled(char out[TEXT_CAP], uint64_t n, const char *unit)
{
    static const char prefix[] = "kMGTPE";
    double value = (double)n / 1000;
    int p = 0;
    while (value >= 999.5 && prefix[p + 1] != 0) {
        value /= 1000;
        p++;
    }
    snprintf(out, TEXT_CAP, value < 9.95 ? "%.1f%s%c%s" : "%.0f%s%c%s", value, *unit != 0 ? " " : "", prefix[p], unit);
}

const char *text_count(char out[TEXT_CAP], uint64_t n)
{
    if (n < 100000)
        snprintf(out, TEXT_CAP, "%" PRIu64, n);
    else
        scaled(out, n, "");
    return out;
}

const char *text_octets(char out[TEXT_CAP], uint64_t n)
{
    if (n < 1000)
        snprintf(out, TEXT_CAP, "%" PRIu64 " B", n);
    else
        scaled(out, n, "B");
    return out;
}

const char *text_mib(char out[TEXT_CAP], uint64_t n)
{
    snprintf(out, TEXT_CAP, "%" PRIu64 "M", (n + (1 << 20) - 1) >> 20);
    return out;
}

const char *text_address(char out[64], const struct net_addr *a)
{
    out[0] = 0;
    if (a->family == 4)
        inet_ntop(AF_INET, a->octets, out, 64);
    else if (a->family == 6)
        inet_ntop(AF_INET6, a->octets, out, 64);
    return out;
}

const char *text_endpoint(char out[72], const struct row_endpoint *e)
{
    char address[64];
    text_address(address, &e->addr);
    snprintf(out, 72, e->addr.family == 6 ? "[%s]:%u" : "%s:%u", address, e->port);
    return out;
}

struct view text_client(char out[72], struct view client_id, const struct row_endpoint *client)
{
    if (client_id.len > 0)
        return client_id;
    if (client->addr.family == 0)
        snprintf(out, 72, "?");
    else
        text_endpoint(out, client);
    return view_of(out, strlen(out));
}

const char *text_side(unsigned side)
{
    return side == MQTT_CLIENT ? "client" : side == MQTT_SERVER ? "broker" : "?";
}

/* ---- labels ----------------------------------------------------------------------------------------------------- */

static void label_publish(struct label *out, const struct store_entry *e)
{
    const struct mqtt_packet *p = &e->packet;
    char size[TEXT_CAP];
    int n = snprintf(out->head, sizeof out->head, "PUBLISH %s%sq%u ", p->publish.dup ? "D " : "",
                     p->publish.retain ? "R " : "", p->publish.qos);
    if (p->has_id)
        snprintf(out->head + n, sizeof out->head - (size_t)n, "#%u ", p->id);
    out->text = p->publish.topic.len > 0 ? p->publish.topic : e->row.alias_topic;
    text_octets(size, p->publish.payload_len);
    char *space = strchr(size, ' ');
    if (space != NULL)
        memmove(space, space + 1, strlen(space));
    snprintf(out->tail, sizeof out->tail, " %.16s", size);
}

static void label_connect(struct label *out, const struct store_entry *e)
{
    const struct mqtt_connect *c = &e->packet.connect;
    snprintf(out->head, sizeof out->head, "CONNECT clean=%d", c->clean);
    snprintf(out->tail, sizeof out->tail, "%s ka=%us", c->will ? " will" : "", c->keep_alive_s);
}

static void label_connack(struct label *out, const struct store_entry *e)
{
    const struct mqtt_packet *p = &e->packet;
    if (p->reason == 0) {
        snprintf(out->head, sizeof out->head, "CONNACK present=%d", p->connack.session_present);
        return;
    }
    const char *name = p->version == MQTT_V5 ? mqtt_reason_name(MQTT_CONNACK, p->reason) : mqtt_return_name(p->reason);
    snprintf(out->head, sizeof out->head, "CONNACK 0x%02x ", p->reason);
    out->text = view_of(name != NULL ? name : "", name != NULL ? strlen(name) : 0);
}

static void label_filters(struct label *out, const struct store_entry *e)
{
    const struct mqtt_packet *p = &e->packet;
    struct mqtt_filter f;
    size_t pos = 0;
    int n = 0;
    snprintf(out->head, sizeof out->head, "%s #%u ", mqtt_type_name(p->type), p->id);
    if (mqtt_list_next(p, &pos, &f)) {
        out->text = f.filter;
        if (f.has_options)
            n = snprintf(out->tail, sizeof out->tail, " q%u", f.options & 3);
    }
    if (p->list.count > 1)
        snprintf(out->tail + n, sizeof out->tail - (size_t)n, " +%u", p->list.count - 1);
}

static void label_codes(struct label *out, const struct store_entry *e)
{
    const struct mqtt_packet *p = &e->packet;
    size_t room = sizeof out->tail;
    char *at = out->tail;
    snprintf(out->head, sizeof out->head, "%s #%u", mqtt_type_name(p->type), p->id);
    if (p->list.payload.ptr == NULL)
        return;
    for (size_t i = 0; i < p->list.payload.len && i < 4; i++) {
        unsigned code = p->list.payload.ptr[i];
        bool qos = p->type == MQTT_SUBACK && code <= 2;
        int n = snprintf(at, room, qos ? " q%u" : " 0x%02x", code);
        at += n;
        room -= (size_t)n;
    }
    if (p->list.payload.len > 4)
        snprintf(at, room, " +%zu", p->list.payload.len - 4);
}

static void label_other(struct label *out, const struct store_entry *e)
{
    const struct mqtt_packet *p = &e->packet;
    int n = snprintf(out->head, sizeof out->head, "%s", mqtt_type_name(p->type));
    if (p->has_id)
        n += snprintf(out->head + n, sizeof out->head - (size_t)n, " #%u", p->id);
    if (p->reason == 0 && p->type != MQTT_AUTH)
        return;
    if (!p->has_reason && p->reason == 0)
        return;
    const char *name = mqtt_reason_name(p->type, p->reason);
    snprintf(out->head + n, sizeof out->head - (size_t)n, " 0x%02x ", p->reason);
    out->text = view_of(name != NULL ? name : "", name != NULL ? strlen(name) : 0);
}

static void label_link(struct label *out, const struct store_entry *e)
{
    const struct store_row *m = e->meta;
    const char *who = m->sender == MQTT_NOBODY ? "" : m->sender == MQTT_CLIENT ? " by client" : " by broker";
    if (m->kind == STORE_OPEN)
        snprintf(out->head, sizeof out->head, m->from_syn ? "TCP opened%s" : "TCP was open already",
                 m->from_syn ? who : "");
    else if (m->close == STORE_ENDED)
        snprintf(out->head, sizeof out->head, "capture ends");
    else
        snprintf(out->head, sizeof out->head, m->close == STORE_RST ? "TCP reset%s" : "TCP closed%s", who);
}

void label_of(struct label *out, const struct store_entry *e)
{
    *out = (struct label){ .text = { NULL, 0 } };
    if (e->meta->kind == STORE_GAP) {
        snprintf(out->head, sizeof out->head, "gap: %u octets not captured", e->meta->total);
        if (e->meta->total == 0)
            snprintf(out->head, sizeof out->head, "gap");
        if (e->meta->skipped > 0)
            snprintf(out->tail, sizeof out->tail, ", %u skipped", e->meta->skipped);
        return;
    }
    if (e->meta->kind != STORE_PACKET) {
        label_link(out, e);
        return;
    }
    switch (e->packet.header_len == 0 ? 0 : e->packet.type) {
    case MQTT_PUBLISH:
        label_publish(out, e);
        break;
    case MQTT_CONNECT:
        label_connect(out, e);
        break;
    case MQTT_CONNACK:
        label_connack(out, e);
        break;
    case MQTT_SUBSCRIBE:
    case MQTT_UNSUBSCRIBE:
        label_filters(out, e);
        break;
    case MQTT_SUBACK:
    case MQTT_UNSUBACK:
        label_codes(out, e);
        break;
    default:
        label_other(out, e);
    }
}

static struct view whole(const char *s)
{
    return view_of(s, strlen(s));
}

int label_width(const struct label *l, bool unicode)
{
    return grid_plain_width(whole(l->head), unicode) + grid_width(l->text, unicode) +
           grid_plain_width(whole(l->tail), unicode);
}

int label_draw(struct grid *g, int y, int x, int w, uint8_t style, const struct label *l)
{
    int tail = grid_plain_width(whole(l->tail), g->unicode);
    int head = grid_plain_width(whole(l->head), g->unicode);
    int text = grid_width(l->text, g->unicode);
    if (head + tail + (text > 6 ? 6 : text) > w) /* no room for the tail */
        tail = 0;
    int used = grid_text(g, y, x, w - tail < head ? w : w - tail, style, l->head);
    used += grid_view(g, y, x + used, w - tail - used, style, l->text);
    if (tail > 0)
        used += grid_text(g, y, x + used, w - used, style, l->tail);
    return used;
}

/* ---- signs and styles ------------------------------------------------------------------------------------------- */

uint8_t text_severity_style(unsigned severity)
{
    static const uint8_t styles[] = { STYLE_NORMAL, STYLE_NOTE, STYLE_WARNING, STYLE_ERROR };
    return styles[severity < 4 ? severity : 0];
}

char text_severity_sign(unsigned severity)
{
    return " iw!"[severity < 4 ? severity : 0];
}

char text_sign(const struct store_row *m)
{
    if (m->kind == STORE_GAP)
        return '?';
    if (m->kind == STORE_CLOSE && m->owed_by != MQTT_NOBODY)
        return '!';
    if (m->severity > MQTT_SEVERITY_NONE)
        return text_severity_sign(m->severity);
    if (m->flags & TRACK_RETRANSMITTED)
        return '~';
    return m->flags & (TRACK_NO_START | TRACK_OUT_OF_PLACE) ? '?' : ' ';
}

uint8_t text_style(const struct store_row *m)
{
    if (m->kind == STORE_GAP)
        return STYLE_WARNING;
    if (m->kind == STORE_CLOSE)
        return m->close == STORE_RST || m->owed_by != MQTT_NOBODY ? STYLE_RESET : STYLE_DIM;
    if (m->severity > MQTT_SEVERITY_NOTE)
        return text_severity_style(m->severity);
    unsigned type = m->first_octet >> 4;
    bool request = type == MQTT_CONNECT || type == MQTT_PUBLISH || type == MQTT_SUBSCRIBE || type == MQTT_UNSUBSCRIBE ||
                   type == MQTT_PUBREL;
    if (m->x_outcome == TRACK_REFUSED)
        return STYLE_WARNING;
    return request ? STYLE_REQUEST : STYLE_ANSWER;
}
