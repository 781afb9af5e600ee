/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/show/text.c -- one line a packet (or gap), for people. */
#include "decoder/base/utf8.h"
#include "decoder/mqtt/conn.h"
#include "decoder/show/show.h"

enum {
    CLIENT_COLUMNS = 40,
    TOPIC_COLUMNS = 100,
    PAYLOAD_COLUMNS = 40,
    PAYLOAD_LOOKED = 64,
    LIST_MAX = 6,
    VERDICTS_MAX = 8
};

/* A column under construction: rendered beside the line, then padded. */
struct column {
    char room[4 * CLIENT_COLUMNS + 64];
    struct out o;
};

static void column_begin(struct column *c)
{
    c->o = out_over(c->room, sizeof c->room);
}

static void column_end(struct out *o, const struct column *c, size_t width)
{
    size_t columns = 0;
    for (size_t i = 0; i < c->o.len; i++)
        columns += ((unsigned char)c->room[i] & 0xc0) != 0x80;
    out_octets(o, c->room, c->o.len);
    out_fill(o, ' ', columns < width ? width - columns : 0);
    out_char(o, ' ');
}

static void endpoint(struct out *o, const struct row_endpoint *e)
{
    if (e->addr.family == 6)
        out_char(o, '[');
    if (e->addr.family == 0)
        out_char(o, '?');
    else
        out_ip(o, view_of(e->addr.octets, e->addr.family == 4 ? 4 : 16));
    out_text(o, e->addr.family == 6 ? "]:" : ":");
    out_uint(o, e->port);
}

static void envelope(struct out *o, const struct row *row, const struct show_style *style)
{
    struct column c;
    show_time(o, row, style);
    out_char(o, ' ');
    column_begin(&c);
    if (row->stream < 100)
        out_char(&c.o, ' ');
    if (row->stream < 10)
        out_char(&c.o, ' ');
    out_uint(&c.o, row->stream);
    column_end(o, &c, 3);
    column_begin(&c);
    endpoint(&c.o, &row->src);
    out_text(&c.o, " > ");
    endpoint(&c.o, &row->dst);
    column_end(o, &c, 36);
}

static void connection(struct out *o, const struct row *row)
{
    struct column c;
    column_begin(&c);
    if (row->client_id.ptr == NULL)
        out_char(&c.o, '-');
    else
        out_terminal_word(&c.o, row->client_id, CLIENT_COLUMNS);
    column_end(o, &c, 12);
    column_begin(&c);
    out_text(&c.o, mqtt_version_name(row->version));
    if (row->version != MQTT_VERSION_UNKNOWN && row->version_source != MQTT_SOURCE_CONNECT)
        out_char(&c.o, '?');
    column_end(o, &c, 5);
}

static void number(struct out *o, const char *before, uint64_t value)
{
    out_text(o, before);
    out_uint(o, value);
}

static void word(struct out *o, const char *before, struct view text)
{
    out_text(o, before);
    if (text.ptr != NULL)
        out_terminal_word(o, text, TOPIC_COLUMNS);
    else
        out_char(o, '?'); /* not at hand */
}

static void code(struct out *o, unsigned value, const char *name)
{
    out_char(o, ' ');
    out_hex_uint(o, value, 2);
    if (name != NULL) {
        out_char(o, ' ');
        out_text(o, name);
    }
}

/* A property with a string, if the packet has it. */
static void prop_text(struct out *o, const struct mqtt_packet *p, uint32_t id, const char *before)
{
    struct mqtt_prop prop;
    if ((p->props.seen >> id & 1) != 0 && mqtt_props_find(&p->props, id, &prop))
        word(o, before, prop.text);
}

static void prop_number(struct out *o, const struct mqtt_packet *p, uint32_t id, const char *before)
{
    if ((p->props.seen >> id & 1) != 0)
        number(o, before, mqtt_props_number(&p->props, id, 0));
}

static void secret(struct out *o, const char *before, struct view text, const struct show_style *style)
{
    if (style->secrets)
        word(o, before, text);
    else {
        out_text(o, before);
        out_text(o, SHOW_MASK);
    }
}

static void connect(struct out *o, const struct mqtt_packet *p, const struct show_style *style)
{
    const struct mqtt_connect *c = &p->connect;
    size_t flags_at = p->header_len + 2 + c->protocol_name.len + 1;
    unsigned level = c->level & 0x7f; /* without the mark of bridges */
    if (c->protocol_name.ptr == NULL || p->held < flags_at + 3)
        return;
    if (level < MQTT_V31 || level > MQTT_V5) {
        number(o, " level=", c->level);
        return;
    }
    number(o, " clean=", c->clean);
    number(o, " keepalive=", c->keep_alive_s);
    prop_number(o, p, MQTT_PROP_SESSION_EXPIRY_INTERVAL, " expiry=");
    prop_number(o, p, MQTT_PROP_RECEIVE_MAXIMUM, " receive-max=");
    prop_text(o, p, MQTT_PROP_AUTHENTICATION_METHOD, " auth=");
    if (c->will) {
        word(o, " will=", c->will_topic);
        number(o, " will-qos=", c->will_qos);
        out_text(o, c->will_retain ? " will-retain" : "");
    }
    if (c->has_username)
        secret(o, " user=", c->username, style);
    if (c->has_password)
        secret(o, " password=", c->password, style);
}

static void connack(struct out *o, const struct mqtt_packet *p)
{
    number(o, " present=", p->connack.session_present);
    code(o, p->reason, p->version == MQTT_V5 ? mqtt_reason_name(MQTT_CONNACK, p->reason) : mqtt_return_name(p->reason));
    prop_text(o, p, MQTT_PROP_ASSIGNED_CLIENT_IDENTIFIER, " assigned=");
    prop_number(o, p, MQTT_PROP_SERVER_KEEP_ALIVE, " keepalive=");
    prop_number(o, p, MQTT_PROP_RECEIVE_MAXIMUM, " receive-max=");
    prop_number(o, p, MQTT_PROP_MAXIMUM_QOS, " max-qos=");
}

/* The part that is shown: UTF-8 (but for a character cut at its end) without controls other than tab and line ends. */
static bool is_text(struct view payload)
{
    struct view part = view_of(payload.ptr, payload.len < PAYLOAD_LOOKED ? payload.len : PAYLOAD_LOOKED);
    struct utf8_result utf8 = utf8_check(part);
    if (utf8.worst == UTF8_ILL_FORMED && (part.len == payload.len || utf8.offset + 3 < part.len))
        return false;
    for (size_t i = 0; i < part.len; i++)
        if (part.ptr[i] < 0x20 && part.ptr[i] != '\t' && part.ptr[i] != '\n' && part.ptr[i] != '\r')
            return false;
    return payload.len > 0;
}

static void publish(struct out *o, const struct row *row)
{
    const struct mqtt_packet *p = row->packet;
    const struct mqtt_publish *m = &p->publish;
    number(o, " q", m->qos);
    if (p->has_id)
        number(o, " #", p->id);
    out_text(o, m->dup ? " dup" : "");
    out_text(o, m->retain ? " retain" : "");
    if (m->topic.len > 0 || row->alias_topic.ptr == NULL)
        word(o, " ", m->topic);
    else
        word(o, " =", row->alias_topic);
    prop_number(o, p, MQTT_PROP_TOPIC_ALIAS, " alias=");
    number(o, " ", m->payload_len);
    out_char(o, 'B');
    if (is_text(m->payload)) {
        out_text(o, " \"");
        out_terminal_cut(o, m->payload, PAYLOAD_COLUMNS);
        out_char(o, '"');
    }
}

static void filters(struct out *o, const struct mqtt_packet *p)
{
    struct mqtt_filter f;
    size_t pos = 0, n = 0;
    for (; n < LIST_MAX && mqtt_list_next(p, &pos, &f); n++) {
        word(o, n == 0 ? " " : ", ", f.filter);
        if (!f.has_options)
            continue;
        number(o, " q", f.options & 3);
        if (p->version != MQTT_V5)
            continue;
        out_text(o, (f.options & 4) != 0 ? " no-local" : "");
        out_text(o, (f.options & 8) != 0 ? " retain-as-published" : "");
        if ((f.options & 0x30) != 0)
            number(o, " retain-handling=", f.options >> 4 & 3);
    }
    if (p->list.count > n) {
        number(o, ", and ", p->list.count - n);
        out_text(o, " more");
    }
}

static void grants(struct out *o, const struct mqtt_packet *p)
{
    struct view codes = p->list.payload;
    for (size_t i = 0; i < codes.len && i < LIST_MAX; i++) {
        out_text(o, i > 0 ? "," : "");
        if (p->type == MQTT_SUBACK && codes.ptr[i] <= 2)
            number(o, " q", codes.ptr[i]);
        else
            code(o, codes.ptr[i], p->version == MQTT_V5 ? mqtt_reason_name(p->type, codes.ptr[i]) : "failure");
    }
    if (codes.len > LIST_MAX) {
        number(o, ", and ", codes.len - LIST_MAX);
        out_text(o, " more");
    }
}

static void packet(struct out *o, const struct row *row, const struct show_style *style)
{
    const struct mqtt_packet *p = row->packet;
    out_text(o, mqtt_type_name(p->type));
    if (p->header_len == 0) {
        out_text(o, p->cut ? " (cut)" : " of a length that cannot be");
        return;
    }
    if (p->has_id && p->type != MQTT_PUBLISH)
        number(o, " #", p->id);
    switch (p->type) {
    case MQTT_CONNECT:
        connect(o, p, style);
        break;
    case MQTT_CONNACK:
        connack(o, p);
        break;
    case MQTT_PUBLISH:
        publish(o, row);
        break;
    case MQTT_SUBSCRIBE:
    case MQTT_UNSUBSCRIBE:
        filters(o, p);
        break;
    case MQTT_SUBACK:
    case MQTT_UNSUBACK:
        grants(o, p);
        break;
    default:
        if (p->has_reason)
            code(o, p->reason, mqtt_reason_name(p->type, p->reason));
    }
    if (p->type == MQTT_AUTH)
        prop_text(o, p, MQTT_PROP_AUTHENTICATION_METHOD, " auth=");
    prop_text(o, p, MQTT_PROP_REASON_STRING, " reason=");
    out_text(o, p->cut ? " (cut)" : "");
}

static void verdicts(struct out *o, const struct row *row, const struct show_style *style)
{
    uint32_t shown = row->n_verdicts < VERDICTS_MAX ? row->n_verdicts : VERDICTS_MAX;
    for (uint32_t i = 0; i < shown; i++) {
        const struct mqtt_verdict *v = &row->verdicts[i];
        out_char(o, ' ');
        out_text(o, show_color(style, v->severity));
        out_char(o, '[');
        out_text(o, mqtt_severity_name(v->severity));
        out_char(o, ' ');
        out_text(o, mqtt_rule_info(v->rule)->id);
        out_char(o, ']');
        out_text(o, show_color_end(style));
    }
    if (row->n_verdicts > shown) {
        number(o, " [and ", row->n_verdicts - shown);
        out_text(o, " more]");
    }
}

static void gap(struct out *o, const struct row *row, const struct show_style *style)
{
    out_text(o, show_color(style, MQTT_SEVERITY_WARNING));
    out_text(o, "-- ");
    if (row->gap_octets > 0) {
        number(o, "gap of ", row->gap_octets);
        out_text(o, row->gap_octets == 1 ? " octet" : " octets");
    }
    if (row->skipped_octets > 0) {
        number(o, row->gap_octets > 0 ? ", skipped " : "skipped ", row->skipped_octets);
        out_text(o, row->skipped_octets == 1 ? " octet" : " octets");
    }
    if (row->gap_reason != NULL) {
        out_text(o, row->gap_octets + row->skipped_octets > 0 ? ": " : "");
        out_text(o, row->gap_reason);
    }
    out_text(o, " --");
    out_text(o, show_color_end(style));
}

void show_text(struct out *o, const struct row *row, struct show_style *style)
{
    envelope(o, row, style);
    connection(o, row);
    if (row->kind == ROW_GAP)
        gap(o, row, style);
    else
        packet(o, row, style);
    verdicts(o, row, style);
    out_char(o, '\n');
    style->shown_before_ns = row->time_ns;
}
