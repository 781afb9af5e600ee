/* SPDX-License-Identifier: Apache-2.0
 *
 * Simpler forms of what a client sends in one go, for making findings small: fewer packets, levels, filters and
 * properties, shorter strings, no payload, no will, no credentials; of what is no packet, fewer octets. */
#include <string.h>

#include "fuzz/talk/conversation.h"

enum { BLOCK_MAX = 16384, LONG = 32 };

/* A count that forms take their turns from: true for the one whose turn it is. */
struct turn {
    unsigned n;
};

static bool mine(struct turn *t)
{
    return t->n-- == 0;
}

/* All but octets [from, from + n). */
static size_t without(struct view v, size_t from, size_t n, uint8_t *out)
{
    memcpy(out, v.ptr, from);
    memcpy(out + from, v.ptr + from + n, v.len - from - n);
    return v.len - n;
}

/* Pieces of `count` things, halves first, then quarters, down to single ones. */
static bool piece(struct turn *t, size_t count, size_t *from, size_t *n)
{
    for (size_t size = (count + 1) / 2; size >= 1 && count > 1; size /= 2)
        for (size_t at = 0; at + size <= count; at += size)
            if (mine(t)) {
                *from = at;
                *n = size;
                return true;
            }
    return false;
}

/* The topic without some of its levels. */
static bool fewer_levels(struct turn *t, struct view topic, uint8_t *out, struct view *shorter)
{
    size_t levels = 1, from, n, level = 0, used = 0;
    for (size_t i = 0; i < topic.len; i++)
        levels += topic.ptr[i] == '/';
    if (topic.len > BLOCK_MAX || !piece(t, levels, &from, &n))
        return false;
    for (size_t i = 0; i < topic.len; i++) {
        bool slash = topic.ptr[i] == '/';
        level += slash;
        if (level >= from && level < from + n)
            continue;
        if (used > 0 || !slash)
            out[used++] = topic.ptr[i];
    }
    *shorter = view_of(out, used);
    return true;
}

/* A long string without its last half, or quarter, down to one octet: it may have to be so long. */
static bool shorter(struct turn *t, struct view *string)
{
    for (size_t n = string->len > LONG ? string->len / 2 : 0; n > 0; n /= 2)
        if (mine(t)) {
            string->len -= n;
            return true;
        }
    return false;
}

static bool fewer_props(struct turn *t, struct mqtt_props *props, uint8_t *out)
{
    struct mqtt_prop_walk walk = mqtt_props_walk(props);
    struct mqtt_prop prop;
    size_t count = 0, from, n, at = 0, start = 0, end = 0;
    if (props->block.ptr == NULL || props->block.len == 0 || props->block.len > BLOCK_MAX)
        return false;
    if (mine(t)) {
        props->block.len = 0;
        return true;
    }
    while (mqtt_props_next(&walk, &prop))
        count++;
    if (!piece(t, count, &from, &n))
        return false;
    for (walk = mqtt_props_walk(props); at < from + n && mqtt_props_next(&walk, &prop); at++) {
        start = at == from ? prop.offset : start;
        end = prop.offset + prop.len;
    }
    props->block = view_of(out, without(props->block, start, end - start, out));
    return true;
}

static bool fewer_filters(struct turn *t, struct mqtt_packet *p, uint8_t *out)
{
    struct mqtt_filter entry;
    size_t pos = 0, from, n, start = 0;
    if (p->list.payload.len > BLOCK_MAX)
        return false;
    if (p->list.count == 1 && mqtt_list_next(p, &pos, &entry) && shorter(t, &entry.filter)) {
        p->list.payload = view_of(out, mqtt_filter_write(out, 0, BLOCK_MAX, &entry));
        return true;
    }
    if (!piece(t, p->list.count, &from, &n))
        return false;
    pos = 0;
    for (size_t at = 0; at < from + n && mqtt_list_next(p, &pos, &entry); at++)
        start = at == from ? entry.offset : start;
    p->list.payload = view_of(out, without(p->list.payload, start, entry.offset + entry.len - start, out));
    return true;
}

static bool less_connect(struct turn *t, struct mqtt_connect *c, uint8_t *out)
{
    if (c->will_topic.ptr != NULL && mine(t)) {
        c->will_topic = c->will_payload = c->will_props.block = view_of(NULL, 0);
        c->flags &= 0xc3;
        return true;
    }
    if (c->username.ptr != NULL && mine(t)) {
        c->username = c->password = view_of(NULL, 0);
        c->flags &= 0x3f;
        return true;
    }
    return shorter(t, &c->client_id) || shorter(t, &c->will_topic) || shorter(t, &c->will_payload) ||
           shorter(t, &c->username) || shorter(t, &c->password) || fewer_props(t, &c->will_props, out);
}

static bool simpler_packet(struct turn *t, struct mqtt_packet *p, uint8_t *out)
{
    if (p->type == MQTT_PUBLISH && p->publish.payload.len > 0 && mine(t)) {
        p->publish.payload = view_of("", 0);
        return true;
    }
    if (p->type == MQTT_PUBLISH && (shorter(t, &p->publish.payload) || shorter(t, &p->publish.topic) ||
                                    fewer_levels(t, p->publish.topic, out, &p->publish.topic)))
        return true;
    if (p->type == MQTT_CONNECT && less_connect(t, &p->connect, out))
        return true;
    if ((p->type == MQTT_SUBSCRIBE || p->type == MQTT_UNSUBSCRIBE) && fewer_filters(t, p, out))
        return true;
    return fewer_props(t, &p->props, out);
}

/* Where the packets of a run end: their number, 0 when the octets are not whole packets. */
static size_t packets_of(struct view octets, size_t *ends, size_t cap)
{
    size_t n = 0;
    for (size_t at = 0; at < octets.len && n < cap;) {
        uint32_t remaining = 0;
        int used = mqtt_vbi_read(view_of(octets.ptr + at + 1, octets.len - at - 1), &remaining);
        if (used <= 0 || remaining > octets.len - at - 1 - (size_t)used)
            return 0;
        at += 1 + (size_t)used + remaining;
        ends[n++] = at;
    }
    return n;
}

size_t simpler_octets(struct view octets, unsigned version, unsigned n, uint8_t *out, size_t cap)
{
    uint8_t block[BLOCK_MAX];
    size_t ends[64], from, count, packets = packets_of(octets, ends, 64);
    struct turn t = { n };
    struct mqtt_packet p;
    if (octets.len > cap)
        return 0;
    if (packets > 1) {
        if (!piece(&t, packets, &from, &count))
            return 0;
        size_t start = from == 0 ? 0 : ends[from - 1];
        return without(octets, start, ends[from + count - 1] - start, out);
    }
    mqtt_decode(octets, (struct mqtt_context){ (uint8_t)version, MQTT_CLIENT }, &p, NULL);
    if (packets == 1 && p.header_len > 0 && !p.cut && mqtt_encode(&p, out, cap) == octets.len &&
        memcmp(out, octets.ptr, octets.len) == 0) {
        size_t len = simpler_packet(&t, &p, block) ? mqtt_encode(&p, out, cap) : 0;
        return len <= cap ? len : 0;
    }
    return piece(&t, octets.len, &from, &count) ? without(octets, from, count, out) : 0;
}
