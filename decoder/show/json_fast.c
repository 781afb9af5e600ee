/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/show/json_fast.c -- the object of -T json for the packets that make up nearly all traffic, in one go.
 *
 * A PUBLISH or an acknowledgement without properties and verdicts, with strings that need little escaping, has no field
 * twice and needs none of the bookkeeping of json.c. What is written is the same to the octet
 * (tests/decoder/test_json.c); whatever does not fit the pattern is left to json.c, with nothing written. Room for the
 * longest outcome is made before the first octet, so nothing is checked on the way. */
#include "decoder/base/utf8.h"
#include "decoder/mqtt/conn.h"
#include "decoder/show/json_parts.h"
#include "decoder/track/track.h"

enum { FIXED_ROOM = 2048, ESCAPED = 6, HEX = 3 };

/* ,"name": of every field, as constants of known size. */
#define FIELD(sym, name, type, base, meaning) static const char KEY_##sym[] __attribute__((unused)) = ",\"" name "\":";
#include "decoder/show/fields.def"

#define PUT(p, text) (memcpy(p, text, sizeof text - 1), (p) + sizeof text - 1)
#define PUT_BOOL(p, value) ((value) ? PUT(p, "true") : PUT(p, "false"))

/* "00" to "99" */
#define ROW(tens) tens "0" tens "1" tens "2" tens "3" tens "4" tens "5" tens "6" tens "7" tens "8" tens "9"
static const char pairs[] = ROW("0") ROW("1") ROW("2") ROW("3") ROW("4") ROW("5") ROW("6") ROW("7") ROW("8") ROW("9");

static inline char *put_pair(char *p, uint32_t n) /* n < 100 */
{
    memcpy(p, pairs + 2 * (size_t)n, 2);
    return p + 2;
}

static inline char *put_small(char *p, uint32_t n) /* n < 100 */
{
    if (n >= 10)
        return put_pair(p, n);
    *p = (char)('0' + n);
    return p + 1;
}

static char *put_large(char *p, uint64_t n) /* n >= 10,000 */
{
    char digits[20];
    size_t at = sizeof digits;
    while (n >= 100) {
        at -= 2;
        put_pair(digits + at, (uint32_t)(n % 100));
        n /= 100;
    }
    p = put_small(p, (uint32_t)n);
    memcpy(p, digits + at, sizeof digits - at);
    return p + (sizeof digits - at);
}

static inline char *put_uint(char *p, uint64_t n)
{
    if (n < 100)
        return put_small(p, (uint32_t)n);
    if (n < 10000)
        return put_pair(put_small(p, (uint32_t)n / 100), (uint32_t)n % 100);
    return put_large(p, n);
}

static char *put_seconds(char *p, int64_t ns) /* ns >= 0, nine digits behind the point */
{
    uint32_t fraction = (uint32_t)(ns % 1000000000), high = fraction / 10000, low = fraction % 10000;
    p = put_uint(p, (uint64_t)ns / 1000000000);
    p[0] = '.';
    p[1] = (char)('0' + high / 10000);
    p = put_pair(p + 2, high % 10000 / 100);
    p = put_pair(p, high % 100);
    p = put_pair(p, low / 100);
    return put_pair(p, low % 100);
}

static inline char *put_octet(char *p, uint8_t n, char behind)
{
    p = n >= 100 ? put_pair(put_small(p, n / 100u), n % 100u) : put_small(p, n);
    *p = behind;
    return p + 1;
}

static char *put_address(char *p, const struct net_addr *a)
{
    *p++ = '"';
    if (a->family == 4) {
        for (unsigned i = 0; i < 3; i++)
            p = put_octet(p, a->octets[i], '.');
        return put_octet(p, a->octets[3], '"');
    }
    struct out o = out_over(p, 64);
    out_ip(&o, view_of(a->octets, 16));
    p[o.len] = '"';
    return p + o.len + 1;
}

/* "00:" to "ff:", four characters each so that one store writes them */
#define HEX_ROW(h)                                                                                                     \
    h "0: " h "1: " h "2: " h "3: " h "4: " h "5: " h "6: " h "7: " h "8: " h "9: " h "a: " h "b: " h "c: " h "d: " h  \
      "e: " h "f: "
static const char hex_octets[] =
    HEX_ROW("0") HEX_ROW("1") HEX_ROW("2") HEX_ROW("3") HEX_ROW("4") HEX_ROW("5") HEX_ROW("6") HEX_ROW("7") HEX_ROW("8")
        HEX_ROW("9") HEX_ROW("a") HEX_ROW("b") HEX_ROW("c") HEX_ROW("d") HEX_ROW("e") HEX_ROW("f");

static char *put_hex(char *p, struct view v)
{
    *p++ = '"';
    for (size_t i = 0; i < v.len; i++, p += HEX)
        memcpy(p, hex_octets + 4 * (size_t)v.ptr[i], 4);
    p -= v.len > 0; /* the last colon */
    *p = '"';
    return p + 1;
}

/* All eight octets printable ASCII without quote and backslash: they are their own JSON. */
static bool plain8(uint64_t w)
{
    const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;
    uint64_t quote = w ^ ones * '"', backslash = w ^ ones * '\\', del = w ^ ones * 0x7f;
    uint64_t zero = ((quote - ones) & ~quote) | ((backslash - ones) & ~backslash) | ((del - ones) & ~del);
    return ((w | (w - ones * 0x20) | zero) & high) == 0;
}

static char *put_ascii(char *p, uint8_t octet)
{
    static const char short_forms[] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r', ['"'] = '"', ['\\'] = '\\'
    };
    if (octet >= 0x20 && octet != '"' && octet != '\\' && octet != 0x7f) {
        *p = (char)octet;
        return p + 1;
    }
    *p++ = '\\';
    if (octet < sizeof short_forms && short_forms[octet] != '\0') {
        *p = short_forms[octet];
        return p + 1;
    }
    p = PUT(p, "u00");
    *p++ = "0123456789abcdef"[octet >> 4];
    *p++ = "0123456789abcdef"[octet & 15];
    return p;
}

/* One character above ASCII as it is; *len 0 when it is ill-formed or better escaped. */
static char *put_wide(char *p, struct view v, size_t *len)
{
    uint32_t code;
    *len = utf8_next(v, &code);
    if (*len > 0 && out_steers(code))
        *len = 0;
    memcpy(p, v.ptr, *len);
    return p + *len;
}

/* NULL when there is a character that put_wide() refuses. */
static char *put_string(char *p, struct view v)
{
    size_t i = 0;
    *p++ = '"';
    while (i < v.len) {
        uint64_t w;
        size_t step = 1;
        if (v.len - i >= sizeof w && (memcpy(&w, v.ptr + i, sizeof w), plain8(w))) {
            memcpy(p, &w, sizeof w);
            p += sizeof w;
            step = sizeof w;
        } else if (v.ptr[i] < 0x80) {
            p = put_ascii(p, v.ptr[i]);
        } else {
            p = put_wide(p, view_of(v.ptr + i, v.len - i), &step);
            if (step == 0)
                return NULL;
        }
        i += step;
    }
    *p = '"';
    return p + 1;
}

static char *put_static(char *p, const char *text) /* ours: needs no escaping */
{
    size_t len = strlen(text);
    *p = '"';
    memcpy(p + 1, text, len);
    p[len + 1] = '"';
    return p + len + 2;
}

#define PUT_UINT(p, field, n) put_uint(PUT(p, KEY_##field), n)
#define PUT_TIME(p, field, ns) put_seconds(PUT(p, KEY_##field), ns)

static char *put_envelope(char *p, const struct row *r)
{
    bool v4 = r->src.addr.family == 4;
    char *start = p;
    p = PUT_UINT(p, FRAME_NUMBER, r->frame);
    *start = '{'; /* in place of the comma of the first key */
    p = PUT_TIME(p, FRAME_TIME_EPOCH, r->time_ns);
    p = PUT_UINT(p, FRAME_LEN, r->frame_len);
    p = PUT_UINT(p, FRAME_INTERFACE_ID, r->interface_id);
    if (r->frame_first != r->frame) {
        p = PUT_UINT(p, FIRST_FRAME, r->frame_first);
        p = PUT_TIME(p, FIRST_TIME_EPOCH, r->time_first_ns);
    }
    p = put_address(v4 ? PUT(p, KEY_IP_SRC) : PUT(p, KEY_IPV6_SRC), &r->src.addr);
    p = put_address(v4 ? PUT(p, KEY_IP_DST) : PUT(p, KEY_IPV6_DST), &r->dst.addr);
    p = PUT_UINT(p, TCP_SRCPORT, r->src.port);
    p = PUT_UINT(p, TCP_DSTPORT, r->dst.port);
    return PUT_UINT(p, TCP_STREAM, r->stream);
}

static char *put_header(char *p, const struct mqtt_packet *k)
{
    p = PUT_UINT(p, MQTT_HDRFLAGS, k->octets[0]);
    p = PUT_UINT(p, MQTT_MSGTYPE, k->type);
    if (k->type == MQTT_PUBLISH) {
        p = PUT(p, KEY_MQTT_DUPFLAG);
        p = PUT_BOOL(p, k->publish.dup);
        p = PUT_UINT(p, MQTT_QOS, k->flags >> 1 & 3u);
        p = PUT(p, KEY_MQTT_RETAIN);
        p = PUT_BOOL(p, k->publish.retain);
    } else {
        p = PUT_UINT(p, MQTT_HDR_RESERVED, k->flags);
    }
    return PUT_UINT(p, MQTT_LEN, k->remaining);
}

static char *put_empty_properties(char *p, const struct mqtt_packet *k)
{
    if (k->props.block.ptr == NULL)
        return p;
    p = PUT(p, KEY_MQTT_PROPERTIES);
    p = PUT(p, "true");
    return PUT_UINT(p, MQTT_PROPERTY_LEN, 0);
}

/* The payload as text, if text it is: UTF-8 without U+0000. */
static char *put_payload_text(char *p, struct view payload)
{
    if (payload.len == 0 || memchr(payload.ptr, 0, payload.len) != NULL)
        return p;
    char *end = put_string(PUT(p, KEY_MQTT_MSG_TEXT), payload);
    return end == NULL && utf8_check(payload).worst == UTF8_ILL_FORMED ? p : end;
}

static char *put_publish(char *p, const struct mqtt_packet *k)
{
    const struct mqtt_publish *m = &k->publish;
    p = PUT_UINT(p, MQTT_TOPIC_LEN, m->topic.len);
    p = put_string(PUT(p, KEY_MQTT_TOPIC), m->topic);
    if (p == NULL)
        return NULL;
    if (k->has_id)
        p = PUT_UINT(p, MQTT_MSGID, k->id);
    p = put_empty_properties(p, k);
    p = PUT_UINT(p, MQTT_MSG_LEN, m->payload_len);
    p = put_hex(PUT(p, KEY_MQTT_MSG), m->payload);
    return put_payload_text(p, m->payload);
}

static char *put_answer(char *p, const struct mqtt_packet *k)
{
    if (k->has_id)
        p = PUT_UINT(p, MQTT_MSGID, k->id);
    if (k->has_reason) {
        p = k->type == MQTT_PUBACK   ? PUT(p, KEY_MQTT_PUBACK_REASON_CODE)
            : k->type == MQTT_PUBREC ? PUT(p, KEY_MQTT_PUBREC_REASON_CODE)
            : k->type == MQTT_PUBREL ? PUT(p, KEY_MQTT_PUBREL_REASON_CODE)
                                     : PUT(p, KEY_MQTT_PUBCOMP_REASON_CODE);
        p = put_uint(p, k->reason);
    }
    return put_empty_properties(p, k);
}

static char *put_connection(char *p, const struct row *r)
{
    p = PUT_UINT(p, MQTT_VER, r->version);
    p = PUT(p, KEY_MQTT_VER_SOURCE);
    p = PUT(p, "\"connect\"");
    return r->client_id.ptr != NULL ? put_string(PUT(p, KEY_MQTT_CLIENTID), r->client_id) : p;
}

static char *put_flow(char *p, const struct track_note *n)
{
    p = PUT_UINT(p, FLOW_ID, n->exchange);
    p = put_static(PUT(p, KEY_FLOW_KIND), track_kind_name(n->kind));
    p = put_static(PUT(p, KEY_FLOW_STATE), track_outcome_name(n->outcome));
    if (n->step != 0)
        p = PUT_UINT(p, FLOW_STEP, n->step);
    if (n->latency_ns >= 0)
        p = PUT_TIME(p, FLOW_LATENCY, n->latency_ns);
    if (n->step_ns >= 0)
        p = PUT_TIME(p, FLOW_DELTA, n->step_ns);
    if (n->owed_by != MQTT_NOBODY) {
        p = put_static(PUT(p, KEY_FLOW_OWED_BY), mqtt_side_name(n->owed_by));
        p = put_static(PUT(p, KEY_FLOW_OWED), mqtt_type_name(n->owed_type));
    }
    if (n->first_frame != 0)
        p = PUT_UINT(p, FLOW_FIRST_FRAME, n->first_frame);
    if (n->answers_frame != 0)
        p = PUT_UINT(p, FLOW_ANSWERS, n->answers_frame);
    if (n->topic.ptr != NULL && (p = put_string(PUT(p, KEY_FLOW_TOPIC), n->topic)) == NULL)
        return NULL;
    return n->resent != 0 ? PUT_UINT(p, FLOW_RESENT, n->resent) : p;
}

static char *put_note(char *p, const struct track_note *n)
{
    if (n->exchange != 0 && (p = put_flow(p, n)) == NULL)
        return NULL;
    if (n->session == 0)
        return p;
    p = PUT_UINT(p, SESSION_ID, n->session);
    if (n->kind == TRACK_QOS1 || n->kind == TRACK_QOS2)
        p = PUT_UINT(p, SESSION_INFLIGHT, n->inflight);
    return n->window != 0 ? PUT_UINT(p, SESSION_WINDOW, n->window) : p;
}

static bool is_usual(const struct row *r)
{
    const struct mqtt_packet *k = r->packet;
    enum { RARE = TRACK_RETRANSMITTED | TRACK_RESUMED | TRACK_TAKEOVER };
    if (r->kind != ROW_PACKET || r->n_verdicts > 0 || r->version_source != MQTT_SOURCE_CONNECT || k->cut ||
        k->header_len == 0 || k->props.block.len > 0 || r->time_ns < 0 || r->time_first_ns < 0 ||
        r->src.addr.family == 0 || r->src.addr.family != r->dst.addr.family)
        return false;
    if (r->note != NULL && (r->note->flags & RARE) != 0)
        return false;
    switch (k->type) {
    case MQTT_PUBLISH:
        return k->publish.topic.len > 0 && k->publish.payload.ptr != NULL;
    case MQTT_PUBACK:
    case MQTT_PUBREC:
    case MQTT_PUBREL:
    case MQTT_PUBCOMP:
    case MQTT_PINGREQ:
    case MQTT_PINGRESP:
        return (k->version != MQTT_V31 || k->type != MQTT_PUBREL) &&
               item_end(k) >= k->header_len + 2u * k->has_id + k->has_reason;
    default:
        return false;
    }
}

static size_t room_for(const struct row *r)
{
    const struct mqtt_packet *k = r->packet;
    size_t text = r->client_id.len + (r->note != NULL ? r->note->topic.len : 0);
    if (k->type != MQTT_PUBLISH)
        return FIXED_ROOM + ESCAPED * text;
    return FIXED_ROOM + ESCAPED * (text + k->publish.topic.len) + (ESCAPED + HEX) * k->publish.payload.len;
}

bool json_fast(struct out *o, const struct row *r)
{
    if (!is_usual(r))
        return false;
    size_t room = room_for(r);
    if (room > o->cap - o->len && o->drain != NULL)
        o->drain(o);
    if (room > o->cap - o->len)
        return false;
    char *start = o->at + o->len, *p = put_envelope(start, r);
    p = put_header(p, r->packet);
    p = r->packet->type == MQTT_PUBLISH ? put_publish(p, r->packet) : put_answer(p, r->packet);
    if (p != NULL)
        p = put_connection(p, r);
    if (p != NULL && r->note != NULL)
        p = put_note(p, r->note);
    if (p == NULL)
        return false;
    p = PUT(p, "}\n");
    o->len += (size_t)(p - start);
    return true;
}
