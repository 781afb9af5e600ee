/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/mutator.h"

#include <string.h>

#include "fuzz/fresh.h"

uint64_t mutator_random(struct mutator *m)
{
    uint64_t z = (m->state += 0x9e3779b97f4a7c15u);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

uint32_t mutator_below(struct mutator *m, uint32_t n)
{
    return (uint32_t)((mutator_random(m) >> 32) * n >> 32);
}

/* Opens a hole of n octets at `at`, or closes one; the octets of a new hole are as they were. */
static size_t shift(uint8_t *buf, size_t len, size_t cap, size_t at, size_t n, bool open)
{
    if (open) {
        n = n < cap - len ? n : cap - len;
        memmove(buf + at + n, buf + at, len - at);
        if (at + n > len)
            memset(buf + len, 0, at + n - len); /* what lay behind the octets is no part of them */
        return len + n;
    }
    n = n < len - at ? n : len - at;
    memmove(buf + at, buf + at + n, len - at - n);
    return len - n;
}

static const struct {
    const char *octets;
    uint8_t len;
} words[] = {
    { "\xff\xff\xff\xff", 4 },
    { "\xff\xff\xff\x7f", 4 },
    { "\x80\x80\x80\x01", 4 },
    { "\x80\x00", 2 },
    { "\x00\x00", 2 },
    { "\xff\xff", 2 },
    { "\x00\x04MQTT\x05", 7 },
    { "\x00\x04MQTT\x04", 7 },
    { "\x00\x06MQIsdp\x03", 9 },
    { "\xc0\x00", 2 },
    { "\xe0\x00", 2 },
    { "\xed\xa0\x80", 3 },
    { "\xc0\x80", 2 },
    { "\xef\xbf\xbe", 3 },
    { "#", 1 },
    { "+", 1 },
    { "/", 1 },
    { "$share/", 7 },
    { "\x26\x00\x00\x00\x00", 5 },
};

static size_t havoc_once(struct mutator *m, uint8_t *buf, size_t len, size_t cap)
{
    static const uint8_t interesting[] = { 0x00, 0x01, 0x7f, 0x80, 0xff, 0x0f, 0xf0, 0x10, 0x20, 0x40 };
    size_t at = mutator_below(m, (uint32_t)len);
    switch (mutator_below(m, 8)) {
    case 0:
        buf[at] ^= (uint8_t)(1u << mutator_below(m, 8));
        return len;
    case 1:
        buf[at] = (uint8_t)mutator_random(m);
        return len;
    case 2:
        buf[at] = interesting[mutator_below(m, sizeof interesting)];
        return len;
    case 3:
        buf[at] = (uint8_t)(buf[at] + mutator_below(m, 17) - 8);
        return len;
    case 4:
        return len > 1 ? shift(buf, len, cap, at, 1 + mutator_below(m, 8), false) : len;
    case 5:
        return shift(buf, len, cap, at, 1 + mutator_below(m, 8), true);
    case 6: { /* a dictionary word over what is there, or between */
        unsigned word = mutator_below(m, sizeof words / sizeof *words);
        if (mutator_below(m, 2))
            len = shift(buf, len, cap, at, words[word].len, true);
        if (len - at >= words[word].len)
            memcpy(buf + at, words[word].octets, words[word].len);
        return len;
    }
    default: { /* a part once more, elsewhere */
        size_t to = mutator_below(m, (uint32_t)len), n = 1 + mutator_below(m, 16);
        n = n < len - at ? n : len - at;
        n = n < len - to ? n : len - to;
        memmove(buf + to, buf + at, n);
        return len;
    }
    }
}

size_t mutator_havoc(struct mutator *m, uint8_t *buf, size_t len, size_t cap)
{
    if (len == 0 && cap > 0)
        buf[len++] = (uint8_t)mutator_random(m);
    for (unsigned n = 1 + mutator_below(m, 4); n > 0 && len > 0; n--) {
        size_t left = havoc_once(m, buf, len, cap);
        len = left > 0 ? left : 1;
    }
    return len;
}

/* ---- fields ---- */

static struct view odd_text(struct mutator *m)
{
    static const struct {
        const char *text;
        uint8_t len;
    } texts[] = { { "", 0 },
                  { "#", 1 },
                  { "a/#/b", 5 },
                  { "a+", 2 },
                  { "\0", 1 },
                  { "\xff", 1 },
                  { "\xed\xa0\x80", 3 },
                  { "\x01", 1 },
                  { "$share/g/x", 10 },
                  { "$share//x", 9 },
                  { "\xef\xbb\xbfx", 4 },
                  { "a/b", 3 },
                  { "c1", 2 },
                  { "\xf0\x9f\x98\x80", 4 } };
    unsigned i = mutator_below(m, sizeof texts / sizeof *texts);
    return view_of(texts[i].text, texts[i].len);
}

static void change_connect(struct mutator *m, struct mqtt_connect *c)
{
    switch (mutator_below(m, 9)) {
    case 0:
        c->level = (uint8_t)(mutator_below(m, 2) ? mutator_below(m, 10) : c->level ^ 0x80u);
        break;
    case 1:
        c->flags ^= (uint8_t)(1u << mutator_below(m, 8));
        break;
    case 2:
        c->keep_alive_s = (uint16_t)mutator_below(m, 3);
        break;
    case 3:
        c->client_id = odd_text(m);
        break;
    case 4:
        c->will_topic = odd_text(m);
        break;
    case 5:
        c->username = odd_text(m);
        break;
    case 6:
        c->password = mutator_below(m, 2) ? odd_text(m) : (struct view){ NULL, 0 };
        break;
    case 7:
        c->protocol_name = odd_text(m);
        break;
    default:
        c->client_id = (struct view){ NULL, 0 };
        break;
    }
}

static void change_property(struct mutator *m, struct draft *d)
{
    bool will = d->p.type == MQTT_CONNECT && d->p.connect.will_topic.ptr != NULL && mutator_below(m, 3) == 0;
    unsigned id = 1 + mutator_below(m, MQTT_PROP_LIMIT - 1);
    struct mqtt_prop prop = draft_value(m, id);
    if (mutator_below(m, 3) == 0)
        prop.number = mutator_below(m, 2) ? 0 : (uint32_t)mutator_random(m) & MQTT_REMAINING_MAX;
    if (mutator_below(m, 4) == 0)
        prop.text = odd_text(m);
    if (mutator_below(m, 4) == 0)
        (will ? &d->p.connect.will_props : &d->p.props)->block = (struct view){ NULL, 0 };
    for (unsigned n = 1 + mutator_below(m, 4) / 3; n > 0; n--)
        draft_property(d, will, &prop);
}

static void change_list(struct mutator *m, struct draft *d)
{
    if (d->p.type == MQTT_SUBSCRIBE || d->p.type == MQTT_UNSUBSCRIBE) {
        if (mutator_below(m, 4) == 0)
            d->p.list.payload.len = 0;
        draft_filter(d, odd_text(m), mutator_below(m, 2) ? mutator_below(m, 256) : mutator_below(m, 3));
    } else if (d->p.list.payload.len < sizeof d->list) {
        d->list[d->p.list.payload.len] = (uint8_t)mutator_random(m);
        d->p.list.payload = view_of(d->list, d->p.list.payload.len + 1);
    }
}

static void change_field(struct mutator *m, struct draft *d)
{
    struct mqtt_packet *p = &d->p;
    switch (mutator_below(m, 6)) {
    case 0:
        p->flags ^= (uint8_t)(1u << mutator_below(m, 4));
        return;
    case 1:
        p->id = (uint16_t)mutator_below(m, 6);
        return;
    case 2:
        if (p->version == MQTT_V5)
            change_property(m, d);
        return;
    case 3:
        p->reason = (uint8_t)mutator_random(m);
        p->has_reason = true;
        return;
    default:
        break;
    }
    switch ((enum mqtt_type)p->type) {
    case MQTT_CONNECT:
        change_connect(m, &p->connect);
        break;
    case MQTT_CONNACK:
        p->connack.flags ^= (uint8_t)(1u << mutator_below(m, 2) * 3);
        break;
    case MQTT_PUBLISH:
        if (mutator_below(m, 2))
            p->publish.topic = odd_text(m);
        else
            p->publish.payload = odd_text(m);
        break;
    case MQTT_SUBSCRIBE:
    case MQTT_UNSUBSCRIBE:
    case MQTT_SUBACK:
    case MQTT_UNSUBACK:
        change_list(m, d);
        break;
    default:
        break;
    }
}

/* A length that lies: the Remaining Length or, behind it, the first length field. */
static size_t wrong_length(struct mutator *m, uint8_t *buf, size_t len)
{
    size_t at = mutator_below(m, 2) && len > 3 ? 2 + mutator_below(m, 2) : len > 1 ? 1 : 0;
    static const int delta[] = { -2, -1, 1, 2, 16 };
    buf[at] = (uint8_t)(buf[at] + delta[mutator_below(m, 5)]);
    return len;
}

enum { PACKET_MAX = 16384 };

size_t mutator_packet(struct mutator *m, struct mutator_scene scene, uint8_t *buf, size_t len, size_t cap)
{
    uint8_t copy[PACKET_MAX];
    struct draft d;
    uint8_t sender;
    if (len == 0 || len > sizeof copy || mutator_below(m, 8) == 0)
        return mutator_havoc(m, buf, len, cap);
    if (mutator_below(m, 8) == 0)
        return wrong_length(m, buf, len);
    if (mutator_below(m, 4) == 0) {
        size_t n =
            mutator_break(m, (enum mqtt_rule)(1 + mutator_below(m, MQTT_RULE_COUNT - 1)), buf, len, cap, &sender);
        if (n > 0)
            return n;
    }
    memcpy(copy, buf, len);
    if (!draft_take_apart(&d, scene, view_of(copy, len)))
        return mutator_havoc(m, buf, len, cap);
    for (unsigned n = 1 + mutator_below(m, 3) / 2; n > 0; n--)
        change_field(m, &d);
    size_t n = mqtt_encode(&d.p, buf, cap);
    return n > 0 && n <= cap ? n : mutator_havoc(m, buf, len, cap);
}

/* ---- streams ---- */

struct span {
    size_t at, len;
};

enum { SPANS_MAX = 64 };

/* The whole packets in buf; what does not frame is the last span. */
static unsigned spans(const uint8_t *buf, size_t len, struct span *out)
{
    unsigned n = 0;
    for (size_t at = 0; at < len && n < SPANS_MAX; n++) {
        uint32_t remaining = 0;
        int used = mqtt_vbi_read(view_of(buf + at + 1, len - at - 1), &remaining);
        size_t total = used > 0 ? 1 + (size_t)used + remaining : len - at;
        out[n] = (struct span){ at, total < len - at ? total : len - at };
        at += out[n].len;
    }
    return n;
}

static size_t insert(uint8_t *buf, size_t len, size_t cap, size_t at, struct view octets)
{
    if (octets.len > cap - len)
        return len;
    memmove(buf + at + octets.len, buf + at, len - at);
    memcpy(buf + at, octets.ptr, octets.len);
    return len + octets.len;
}

size_t mutator_stream(struct mutator *m, struct mutator_scene scene, uint8_t *buf, size_t len, size_t cap)
{
    uint8_t room[PACKET_MAX];
    struct span at[SPANS_MAX];
    unsigned n = spans(buf, len, at);
    if (n == 0) {
        size_t fresh = mutator_fresh_any(m, scene, buf, cap);
        return fresh > 0 ? fresh : mutator_havoc(m, buf, len, cap);
    }
    struct span one = at[mutator_below(m, n)];
    size_t border = mutator_below(m, 2) ? one.at : one.at + one.len;
    if (one.len > sizeof room / 2)
        return mutator_havoc(m, buf, len, cap);
    switch (mutator_below(m, 8)) {
    case 0: { /* a new packet between */
        size_t fresh = mutator_fresh_any(m, scene, room, sizeof room);
        return fresh > 0 ? insert(buf, len, cap, border, view_of(room, fresh)) : len;
    }
    case 1: /* once more */
        memcpy(room, buf + one.at, one.len);
        return insert(buf, len, cap, border, view_of(room, one.len));
    case 2: /* away */
        return n > 1 ? shift(buf, len, cap, one.at, one.len, false) : len;
    case 3: { /* moved to another border */
        memcpy(room, buf + one.at, one.len);
        len = shift(buf, len, cap, one.at, one.len, false);
        struct span to = at[mutator_below(m, n)];
        return insert(buf, len, cap, to.at < one.at ? to.at : one.at, view_of(room, one.len));
    }
    default: { /* changed, what follows kept */
        memcpy(room, buf + one.at, one.len);
        size_t changed = mutator_packet(m, scene, room, one.len, sizeof room);
        if (len - one.len + changed > cap)
            return len;
        len = shift(buf, len, cap, one.at, one.len, false);
        return insert(buf, len, cap, one.at, view_of(room, changed));
    }
    }
}
