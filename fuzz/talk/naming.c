/* SPDX-License-Identifier: Apache-2.0
 *
 * Clients and topics of a conversation get names that belong to its runs alone, so that it can go on beside others.
 * Octets are put in where a name begins, and the lengths around it grow: what is broken stays as broken as it was. */
#include <stdlib.h>
#include <string.h>

#include "decoder/mqtt/topic.h"
#include "fuzz/talk/conversation.h"
#include "fuzz/talk/talk.h"

enum { PLACES = 512, ID_MAX = 23 /* of a client identifier that every server takes */ };

/* What is put before a client identifier, and before a topic. A topic whose very first octets are the prefix is one of
 * a scenario: its messages are counted (guarantee.c). Those of random conversations are only kept apart. */
static const char id_front[] = TALK_PREFIX, topic_front[] = "n/" TALK_PREFIX "/";

/* Where names of one packet begin, in order. */
struct places {
    size_t string[PLACES]; /* its length field */
    size_t at[PLACES];
    const char *front[PLACES];
    unsigned n;
};

static bool starts(struct view name, const char *front)
{
    return name.len >= strlen(front) && memcmp(name.ptr, front, strlen(front)) == 0;
}

static bool own(struct view name)
{
    return starts(name, id_front) || starts(name, topic_front);
}

static void note(struct places *places, struct view octets, struct view name, size_t skip, const char *front)
{
    if (name.ptr == NULL || name.len <= skip || name.ptr < octets.ptr + 2 || places->n == PLACES ||
        own(view_of(name.ptr + skip, name.len - skip)) || name.len + strlen(front) > UINT16_MAX)
        return;
    places->string[places->n] = (size_t)(name.ptr - octets.ptr) - 2;
    places->at[places->n] = (size_t)(name.ptr - octets.ptr) + skip;
    places->front[places->n++] = front;
}

/* Topics that start with $ are the broker's, but for the filter inside a shared one. */
static void note_topic(struct places *places, struct view octets, struct view topic)
{
    size_t skip = 0;
    if (topic.ptr != NULL && topic_is_shared(topic)) {
        const uint8_t *slash = memchr(topic.ptr + 7, '/', topic.len - 7);
        skip = slash != NULL ? (size_t)(slash - topic.ptr) + 1 : topic.len;
    } else if (topic.len > 0 && topic.ptr[0] == '$') {
        return;
    }
    note(places, octets, topic, skip, topic_front);
}

static void note_filters(struct places *places, const struct mqtt_packet *p, struct view octets)
{
    struct mqtt_filter f;
    for (size_t pos = 0; mqtt_list_next(p, &pos, &f);)
        note_topic(places, octets, f.filter);
}

static void find_places(const struct mqtt_packet *p, struct view octets, struct places *places)
{
    places->n = 0;
    switch ((enum mqtt_type)p->type) {
    case MQTT_CONNECT:
        if (p->connect.client_id.len <= ID_MAX - TALK_PREFIX_LEN)
            note(places, octets, p->connect.client_id, 0, id_front);
        note_topic(places, octets, p->connect.will_topic);
        break;
    case MQTT_PUBLISH:
        note_topic(places, octets, p->publish.topic);
        break;
    case MQTT_SUBSCRIBE:
    case MQTT_UNSUBSCRIBE:
        note_filters(places, p, octets);
        break;
    default:
        break;
    }
}

static void lengthen(uint8_t *out, size_t string_at, unsigned more)
{
    unsigned len = ((unsigned)out[string_at] << 8 | out[string_at + 1]) + more;
    out[string_at] = (uint8_t)(len >> 8);
    out[string_at + 1] = (uint8_t)len;
}

/* One whole packet with the prefix in its names. 0: it stays as it is. */
static size_t name_packet(struct view octets, unsigned version, uint8_t *out, size_t cap)
{
    struct mqtt_packet p;
    struct places places;
    mqtt_decode(octets, (struct mqtt_context){ (uint8_t)version, MQTT_CLIENT }, &p, NULL);
    if (p.header_len == 0 || p.header_len + (size_t)p.remaining != octets.len)
        return 0;
    find_places(&p, octets, &places);
    size_t more = 0;
    for (unsigned i = 0; i < places.n; i++)
        more += strlen(places.front[i]);
    if (places.n == 0 || octets.len + more + 4 > cap)
        return 0;
    out[0] = octets.ptr[0];
    size_t n = 1 + mqtt_vbi_write(p.remaining + (uint32_t)more, out + 1), from = p.header_len;
    for (unsigned i = 0; i < places.n; i++) {
        size_t string = places.string[i];
        memcpy(out + n, octets.ptr + from, places.at[i] - from);
        size_t len = strlen(places.front[i]);
        lengthen(out, n + string - from, (unsigned)len);
        n += places.at[i] - from;
        memcpy(out + n, places.front[i], len);
        n += len;
        from = places.at[i];
    }
    memcpy(out + n, octets.ptr + from, octets.len - from);
    return n + octets.len - from;
}

void talk_give_names(struct talk *talk, size_t cap)
{
    uint8_t version[TALK_CLIENTS], *out = malloc(cap), *room = malloc(UINT16_MAX);
    struct talk_record record;
    size_t pos = 0, len = 0;
    bool ok = out != NULL && room != NULL;
    memset(version, talk->version, sizeof version);
    while (ok && talk_next(view_of(talk->octets, talk->len), &pos, &record)) {
        bool said = (record.op == TALK_SEND || record.op == TALK_SPLIT) && !record.by_server;
        unsigned c = record.client;
        version[c] = said ? talk_version_from(record.octets, version[c]) : version[c];
        size_t n = said && record.octets.len >= 2 ? name_packet(record.octets, version[c], room, UINT16_MAX) : 0;
        if (n > 0)
            record.octets = view_of(room, n);
        len = talk_write(out, len, cap, &record);
        ok = len > 0;
    }
    if (ok) {
        memcpy(talk->octets, out, len);
        talk->len = (uint32_t)len;
    }
    free(out);
    free(room);
}

bool talk_has_names(const struct talk *talk)
{
    struct talk_record record;
    for (size_t pos = 0; talk_next(view_of(talk->octets, talk->len), &pos, &record);) {
        struct mqtt_packet p;
        bool said = (record.op == TALK_SEND || record.op == TALK_SPLIT) && !record.by_server;
        if (!said || record.octets.len < 2 || record.octets.ptr[0] >> 4 != MQTT_CONNECT)
            continue;
        mqtt_decode(record.octets, (struct mqtt_context){ MQTT_VERSION_UNKNOWN, MQTT_CLIENT }, &p, NULL);
        if (p.header_len > 0 && p.connect.client_id.len > 0 && !own(p.connect.client_id))
            return false;
    }
    return true;
}

/* Topics of the broker's own, wildcards that take in the whole tree, and names that others may have. */
static bool reaches_out(struct view name)
{
    if (name.len == 0)
        return false;
    struct view inner = topic_is_shared(name) ? topic_share_filter(name) : name;
    return !own(inner);
}

static bool packet_reaches_out(struct view octets, unsigned version)
{
    struct mqtt_packet p;
    struct mqtt_filter f;
    bool out = false;
    mqtt_decode(octets, (struct mqtt_context){ (uint8_t)version, MQTT_CLIENT }, &p, NULL);
    if (p.header_len == 0)
        return false;
    if (p.type == MQTT_PUBLISH)
        return reaches_out(p.publish.topic);
    if (p.type == MQTT_CONNECT)
        return reaches_out(p.connect.client_id) || reaches_out(p.connect.will_topic);
    bool list = p.type == MQTT_SUBSCRIBE || p.type == MQTT_UNSUBSCRIBE;
    for (size_t pos = 0; list && !out && mqtt_list_next(&p, &pos, &f);)
        out = reaches_out(f.filter);
    return out;
}

bool talk_keeps_to_itself(const struct talk *talk)
{
    uint8_t version[TALK_CLIENTS];
    struct talk_record record;
    memset(version, talk->version, sizeof version);
    for (size_t pos = 0; talk_next(view_of(talk->octets, talk->len), &pos, &record);) {
        unsigned c = record.client;
        if ((record.op != TALK_SEND && record.op != TALK_SPLIT) || record.by_server)
            continue;
        version[c] = talk_version_from(record.octets, version[c]);
        if (packet_reaches_out(record.octets, version[c]))
            return false;
    }
    return true;
}
