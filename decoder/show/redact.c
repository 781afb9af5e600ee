/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/show/redact.c -- masks, and where in a packet they go. */
#include "decoder/show/redact.h"
#include "decoder/base/siphash.h"
#include "decoder/base/utf8.h"
#include <string.h>

enum { TEXT_MAX = 65536 };

/* --- masks --- */

/* Letters and digits from a keyed hash of kind and value, spread by the steps of a generator (SplitMix64). */
struct stream {
    uint64_t seed, word;
};

static struct stream stream_of(const struct redact *r, unsigned kind, const uint8_t *octets, size_t len)
{
    uint8_t key[REDACT_KEY];
    memcpy(key, r->key, REDACT_KEY);
    key[0] ^= (uint8_t)kind;
    return (struct stream){ .seed = siphash(key, view_of(octets, len)) };
}

static uint8_t letter(struct stream *s, size_t at)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    if (at % 8 == 0) {
        s->seed += 0x9e3779b97f4a7c15u;
        s->word = (s->seed ^ s->seed >> 30) * 0xbf58476d1ce4e5b9u;
        s->word = (s->word ^ s->word >> 27) * 0x94d049bb133111ebu;
        s->word ^= s->word >> 31;
    }
    return (uint8_t)letters[(s->word >> (8 * (at % 8)) & 0xff) % (sizeof letters - 1)];
}

/* Linear in len, as the next. */
static void mask_whole(const struct redact *r, unsigned kind, uint8_t *octets, size_t len)
{
    struct stream s = stream_of(r, kind, octets, len);
    for (size_t at = 0; at < len; at++)
        octets[at] = letter(&s, at);
}

/* Characters become letters, as many as they have octets; what no text should hold (ill-formed octets, controls, a
 * wildcard where it has no place) stays, so that the packet goes on breaking the rule that it breaks. */
static void mask_text(const struct redact *r, unsigned kind, uint8_t *octets, size_t len)
{
    struct stream s = stream_of(r, kind, octets, len);
    for (size_t at = 0; at < len;) {
        uint32_t code = 0;
        size_t n = utf8_next(view_of(octets + at, len - at), &code), end = at + (n > 0 ? n : 1);
        bool odd = n == 0 || utf8_check(view_of(octets + at, n)).worst != UTF8_OK;
        bool wildcard = kind == REDACT_TOPICS && (code == '+' || code == '#');
        for (; at < end; at++) {
            uint8_t c = letter(&s, at);
            if (!odd && !wildcard)
                octets[at] = c;
        }
    }
}

static bool keeps(const uint8_t *level, size_t len)
{
    return len == 0 || level[0] == '$' || (len == 1 && (level[0] == '+' || level[0] == '#'));
}

static void mask_topic(const struct redact *r, uint8_t *topic, size_t len)
{
    for (size_t at = 0; at < len;) {
        const uint8_t *slash = memchr(topic + at, '/', len - at);
        size_t level = slash != NULL ? (size_t)(slash - (topic + at)) : len - at;
        if (!keeps(topic + at, level))
            mask_text(r, REDACT_TOPICS, topic + at, level);
        at += level + 1;
    }
}

void redact_octets(const struct redact *r, unsigned kind, uint8_t *octets, size_t len)
{
    if ((r->kinds & kind) == 0 || len == 0)
        return;
    if (kind == REDACT_TOPICS)
        mask_topic(r, octets, len);
    else if (kind == REDACT_CLIENTS || kind == REDACT_USERS)
        mask_text(r, kind, octets, len);
    else
        mask_whole(r, kind, octets, len);
}

/* --- a packet --- */

struct copy {
    const struct redact *r;
    const struct mqtt_packet *p;
    uint8_t *octets;
    size_t len;
};

/* The octets of the view, in the copy; a view that is not of this packet stays. */
static void cover(const struct copy *c, unsigned kind, struct view v)
{
    if (v.ptr == NULL || v.ptr < c->p->octets)
        return;
    size_t at = (size_t)(v.ptr - c->p->octets);
    if (at < c->len)
        redact_octets(c->r, kind, c->octets + at, v.len < c->len - at ? v.len : c->len - at);
}

static void cover_props(const struct copy *c, const struct mqtt_props *props)
{
    struct mqtt_prop_walk walk = mqtt_props_walk(props);
    struct mqtt_prop p;
    while (mqtt_props_next(&walk, &p)) {
        switch (p.id) {
        case MQTT_PROP_ASSIGNED_CLIENT_IDENTIFIER:
            cover(c, REDACT_CLIENTS, p.text);
            break;
        case MQTT_PROP_AUTHENTICATION_DATA:
            cover(c, REDACT_PASSWORDS, p.text);
            break;
        case MQTT_PROP_RESPONSE_TOPIC:
        case MQTT_PROP_RESPONSE_INFORMATION:
            cover(c, REDACT_TOPICS, p.text);
            break;
        case MQTT_PROP_CORRELATION_DATA:
        case MQTT_PROP_REASON_STRING:
            cover(c, REDACT_PAYLOADS, p.text);
            break;
        case MQTT_PROP_USER_PROPERTY:
            cover(c, REDACT_PAYLOADS, p.value);
            break;
        default:
            break;
        }
    }
}

/* A payload; one that is not UTF-8 although its Payload Format Indicator says so stays so. */
static void cover_payload(const struct copy *c, struct view v, const struct mqtt_props *props)
{
    cover(c, REDACT_PAYLOADS, v);
    if (v.ptr == NULL || (c->r->kinds & REDACT_PAYLOADS) == 0 ||
        mqtt_props_number(props, MQTT_PROP_PAYLOAD_FORMAT_INDICATOR, 0) != 1)
        return;
    struct utf8_result text = utf8_check(v);
    size_t at = (size_t)(v.ptr - c->p->octets) + text.offset;
    if (text.worst == UTF8_ILL_FORMED && at < c->len)
        c->octets[at] = 0xff;
}

static void cover_connect(const struct copy *c, const struct mqtt_connect *m)
{
    cover(c, REDACT_CLIENTS, m->client_id);
    cover_props(c, &m->will_props);
    cover(c, REDACT_TOPICS, m->will_topic);
    cover_payload(c, m->will_payload, &m->will_props);
    cover(c, REDACT_USERS, m->username);
    cover(c, REDACT_PASSWORDS, m->password);
}

static void cover_filters(const struct copy *c)
{
    struct mqtt_filter f;
    size_t pos = 0;
    while (mqtt_list_next(c->p, &pos, &f))
        cover(c, REDACT_TOPICS, f.filter);
}

void redact_packet(const struct redact *r, const struct mqtt_packet *p, uint8_t *copy, size_t copy_len)
{
    const struct copy c = { .r = r, .p = p, .octets = copy, .len = copy_len };
    if (p->header_len == 0)
        return;
    cover_props(&c, &p->props);
    switch (p->type) {
    case MQTT_CONNECT:
        cover_connect(&c, &p->connect);
        break;
    case MQTT_PUBLISH:
        cover(&c, REDACT_TOPICS, p->publish.topic);
        cover_payload(&c, p->publish.payload, &p->props);
        break;
    case MQTT_SUBSCRIBE:
    case MQTT_UNSUBSCRIBE:
        cover_filters(&c);
        break;
    default:
        break;
    }
}

/* --- rows and events --- */

/* A masked copy of a single value. */
static struct view text(struct redact *r, unsigned kind, struct view v)
{
    if (v.ptr == NULL || (r->kinds & kind) == 0)
        return v;
    size_t room = REDACT_TEXTS - r->texts_used, len = v.len < TEXT_MAX ? v.len : TEXT_MAX - 1;
    uint8_t *at = r->memory + r->texts_used;
    if (len > room)
        len = room;
    if (len > 0)
        memcpy(at, v.ptr, len);
    redact_octets(r, kind, at, len);
    r->texts_used += len;
    return view_of(at, len);
}

static const struct mqtt_packet *packet_of(struct redact *r, const struct row *row)
{
    const struct mqtt_packet *p = row->packet;
    uint8_t *copy = r->memory + REDACT_TEXTS;
    size_t room = r->size - REDACT_TEXTS, len = p->held < room ? p->held : room;
    if (p->octets == NULL || len == 0)
        return p;
    memcpy(copy, p->octets, len);
    redact_packet(r, p, copy, len);
    struct mqtt_context context = { .version = p->version, .sender = row->sender };
    mqtt_decode(view_of(copy, len), context, &r->packet, NULL);
    return &r->packet;
}

const struct row *redact_row(struct redact *r, const struct row *row)
{
    r->texts_used = 0;
    r->row = *row;
    r->row.client_id = text(r, REDACT_CLIENTS, row->client_id);
    r->row.alias_topic = text(r, REDACT_TOPICS, row->alias_topic);
    if (row->packet != NULL)
        r->row.packet = packet_of(r, row);
    if (row->note != NULL) {
        r->note = *row->note;
        r->note.client_id = r->row.client_id;
        if (row->note->client_id.ptr != row->client_id.ptr)
            r->note.client_id = text(r, REDACT_CLIENTS, row->note->client_id);
        r->note.topic = text(r, REDACT_TOPICS, row->note->topic);
        r->note.alias_topic = r->row.alias_topic;
        if (row->note->alias_topic.ptr != row->alias_topic.ptr)
            r->note.alias_topic = text(r, REDACT_TOPICS, row->note->alias_topic);
        r->row.note = &r->note;
    }
    return &r->row;
}

struct track_exchange redact_exchange(struct redact *r, const struct track_exchange *x)
{
    struct track_exchange masked = *x;
    r->texts_used = 0;
    masked.client_id = text(r, REDACT_CLIENTS, x->client_id);
    masked.topic = text(r, REDACT_TOPICS, x->topic);
    return masked;
}

struct track_finding redact_finding(struct redact *r, const struct track_finding *f)
{
    struct track_finding masked = *f;
    r->texts_used = 0;
    masked.client_id = text(r, REDACT_CLIENTS, f->client_id);
    masked.topic = text(r, REDACT_TOPICS, f->topic);
    return masked;
}

struct track_session_event redact_session(struct redact *r, const struct track_session_event *e)
{
    struct track_session_event masked = *e;
    r->texts_used = 0;
    masked.client_id = text(r, REDACT_CLIENTS, e->client_id);
    return masked;
}

struct view redact_client(struct redact *r, struct view client_id)
{
    r->texts_used = 0;
    return text(r, REDACT_CLIENTS, client_id);
}

/* --- option --- */

unsigned redact_kinds(const char *list)
{
    static const struct {
        const char *name;
        unsigned kind;
    } names[] = { { "passwords", REDACT_PASSWORDS }, { "usernames", REDACT_USERS },   { "clientids", REDACT_CLIENTS },
                  { "topics", REDACT_TOPICS },       { "payloads", REDACT_PAYLOADS }, { "all", REDACT_ALL } };
    unsigned kinds = 0;
    for (const char *at = list;; at++) {
        size_t len = strcspn(at, ","), i = 0;
        while (i < 6 && (strlen(names[i].name) != len || memcmp(names[i].name, at, len) != 0))
            i++;
        if (i == 6)
            return 0;
        kinds |= names[i].kind;
        at += len;
        if (*at == '\0')
            return kinds;
    }
}
