/* SPDX-License-Identifier: Apache-2.0
 *
 * Where does the next packet begin? After a hole, or in a capture that starts in mid-stream, only the octets can tell.
 * Each packet that would begin somewhere is weighed: how many bits of its octets are as the standards want them, where
 * they could have been otherwise. Two octets C0 00 weigh 16; a PUBLISH with a topic of twenty characters about 40. What
 * cannot be a packet ends the run and weighs nothing. */
#include "decoder/base/utf8.h"
#include "decoder/mqtt/framer.h"
#include "decoder/mqtt/packet.h"

enum {
    LOOK_MAX = 512, /* octets of one packet that are looked at: bounds the work for each offset */
    TEXT_MAX = 96,  /* octets of a string that are looked at */
    VERDICTS = 8,
    BITS_PROPS = 8,  /* a Property Length that reaches exactly to the end of its packet */
    BITS_LONG = 12,  /* against: a string of 512 octets and more */
    BITS_LENGTH = 6, /* a string's length with a high octet of 0 or 1 that fits into its packet */
    BITS_EMPTY = 18, /* an empty topic, with what stands for it */
    BITS_EXACT = 4,  /* the run ends where the octets end */
    BITS_LOOSE = 8,  /* against: flags that only 3.1 has, and hardly anyone uses */
    BITS_TEXT = 16,  /* at most, of a header that is text: the end of a string and one behind it look like a PUBLISH */
    BITS_NAME = 40,  /* the beginning of a CONNECT */
};

static bool is_version(unsigned versions, unsigned version)
{
    return versions >> version & 1;
}

/* The first octets of a character of which the rest is missing. */
static bool is_cut_character(struct view tail)
{
    uint8_t lead = tail.ptr[0];
    if (lead < 0xc2 || lead > 0xf4 || tail.len >= (lead >= 0xf0 ? 4u : lead >= 0xe0 ? 3u : 2u))
        return false;
    for (size_t i = 1; i < tail.len; i++)
        if ((tail.ptr[i] & 0xc0) != 0x80)
            return false;
    return true;
}

/* A string of printable characters: about 1.4 bits an octet. 0: it cannot be a topic. */
static uint32_t weigh_text(struct view text)
{
    size_t n = text.len < TEXT_MAX ? text.len : TEXT_MAX;
    for (size_t i = 0; i < n; i++)
        if (text.ptr[i] < 0x20 || text.ptr[i] == 0x7f)
            return 0;
    struct utf8_result utf8 = utf8_check(view_of(text.ptr, n));
    if (utf8.worst == UTF8_ILL_FORMED && !is_cut_character(view_of(text.ptr + utf8.offset, n - utf8.offset)))
        return 0;
    return 1 + (uint32_t)(n * 7 / 5);
}

/* The string behind its length field, of which only `have` may be at hand. 0: it cannot be one. */
static uint32_t weigh_string(struct view body, size_t at, size_t remaining, bool may_be_empty)
{
    if (body.len < at + 2) /* cut before it says anything */
        return remaining >= at + 2 ? 1 : 0;
    size_t len = (size_t)body.ptr[at] << 8 | body.ptr[at + 1];
    if (at + 2 + len > remaining || (len == 0 && !may_be_empty))
        return 0;
    size_t have = body.len - at - 2 < len ? body.len - at - 2 : len;
    uint32_t bits = weigh_text(view_of(body.ptr + at + 2, have));
    if (bits == 0)
        return 0;
    if (len >= 512) /* hardly any is so long: that speaks against it */
        return bits > BITS_LONG ? bits - BITS_LONG : 1;
    return bits + (len < 256 ? BITS_LENGTH + 2 : BITS_LENGTH);
}

static uint32_t weigh_publish(uint8_t flags, struct view body, size_t remaining)
{
    unsigned qos = flags >> 1 & 3;
    if (qos == 3 || (qos == 0 && flags & 8) || remaining < (qos > 0 ? 4u : 2u))
        return 0;
    uint32_t bits = weigh_string(body, 0, remaining, true);
    if (bits == 0)
        return 0;
    if (body.len >= 2 && body.ptr[0] == 0 && body.ptr[1] == 0) /* its form asks for a Topic Alias */
        bits = body.len >= (qos > 0 ? 8u : 6u) ? BITS_EMPTY : BITS_EMPTY / 2;
    size_t topic = body.len >= 2 ? (size_t)body.ptr[0] << 8 | body.ptr[1] : 0;
    for (size_t i = 2; i < 2 + topic && i < body.len && i < TEXT_MAX; i++)
        if (body.ptr[i] == '#' || body.ptr[i] == '+')
            return 0;
    if (qos > 0 && body.len >= topic + 4 && body.ptr[2 + topic] == 0 && body.ptr[3 + topic] == 0)
        return 0; /* Packet Identifier 0 */
    return bits + 4;
}

static bool is_id(struct view body)
{
    return body.len < 2 || body.ptr[0] != 0 || body.ptr[1] != 0;
}

/* 5.0's properties, from octet `at` on to the end of the packet; that they are well-formed is seen elsewhere. */
static uint32_t weigh_props(struct view body, size_t at, size_t remaining)
{
    return remaining > at && remaining < 128 && body.len > at && body.ptr[at] == remaining - at - 1 ? BITS_PROPS : 0;
}

/* PUBACK and its like: identifier alone, or with 5.0's reason code and properties. */
static uint32_t weigh_ack(unsigned type, struct view body, size_t remaining, unsigned versions)
{
    if (!is_id(body))
        return 0;
    if (remaining == 2)
        return 16;
    if (!is_version(versions, MQTT_V5) || remaining < 3 ||
        (body.len > 2 && mqtt_reason_name(type, body.ptr[2]) == NULL))
        return 0;
    return remaining >= 128 ? 8 : (body.len > 2 ? 18 : 14) + weigh_props(body, 3, remaining);
}

static uint32_t weigh_request(struct view body, size_t remaining, unsigned versions)
{
    if (!is_id(body) || remaining < 5)
        return 0;
    uint32_t three = (versions & ~(1u << MQTT_V5)) != 0 ? weigh_string(body, 2, remaining, false) : 0, five = 0;
    if (is_version(versions, MQTT_V5) && body.len > 2 && body.ptr[2] < 128)
        five = weigh_string(body, 3 + (size_t)body.ptr[2], remaining, false);
    uint32_t best = three > five ? three : five;
    return best == 0 ? 0 : best + 8;
}

static uint32_t weigh_codes(struct view body, size_t remaining)
{
    return is_id(body) && remaining >= 3 ? 12 : 0;
}

static uint32_t weigh_connack(struct view body, size_t remaining, unsigned versions)
{
    if (body.len >= 1 && body.ptr[0] > 1)
        return 0;
    if (remaining == 2 && (versions & ~(1u << MQTT_V5)) != 0)
        return body.len < 2 || body.ptr[1] <= 5 ? 24 : 0;
    if (!is_version(versions, MQTT_V5) || remaining < 3)
        return 0;
    return body.len < 2 || mqtt_reason_name(MQTT_CONNACK, body.ptr[1]) != NULL ? 20 + weigh_props(body, 2, remaining)
                                                                               : 0;
}

static uint32_t weigh_connect(struct view body, size_t remaining)
{
    if (remaining < 10 || body.len < 4 || body.ptr[0] != 0 || (body.ptr[1] != 4 && body.ptr[1] != 6))
        return body.len < 4 && remaining >= 10 ? 8 : 0;
    return body.ptr[2] == 'M' && body.ptr[3] == 'Q' ? BITS_NAME : 0;
}

static uint32_t weigh_disconnect(uint8_t type, struct view body, size_t remaining, unsigned versions)
{
    if (remaining == 0)
        return type == MQTT_DISCONNECT || is_version(versions, MQTT_V5) ? 16 : 0;
    if (!is_version(versions, MQTT_V5) || (body.len > 0 && mqtt_reason_name(type, body.ptr[0]) == NULL))
        return 0;
    return remaining >= 128 ? 6 : (body.len > 0 ? 16 : 12) + weigh_props(body, 1, remaining);
}

/* "7x" and a string: the end of one string and the whole of the next, as in CONNECT. */
static bool is_text_header(uint8_t first, uint32_t remaining)
{
    return first >> 4 == MQTT_PUBLISH && remaining >= 0x20 && remaining < 0x7f;
}

/* By type; the flags are right already. */
static uint32_t weigh_body(uint8_t first, struct view body, size_t remaining, unsigned versions)
{
    unsigned type = first >> 4;
    switch (type) {
    case MQTT_CONNECT:
        return weigh_connect(body, remaining);
    case MQTT_CONNACK:
        return weigh_connack(body, remaining, versions);
    case MQTT_PUBLISH:
        return weigh_publish(first & 15, body, remaining);
    case MQTT_PUBACK:
    case MQTT_PUBREC:
    case MQTT_PUBREL:
    case MQTT_PUBCOMP:
        return weigh_ack(type, body, remaining, versions);
    case MQTT_SUBSCRIBE:
    case MQTT_UNSUBSCRIBE:
        return weigh_request(body, remaining, versions);
    case MQTT_SUBACK:
        return weigh_codes(body, remaining);
    case MQTT_UNSUBACK:
        return remaining == 2                  ? (is_id(body) ? 16 : 0)
               : is_version(versions, MQTT_V5) ? weigh_codes(body, remaining)
                                               : 0;
    case MQTT_PINGREQ:
    case MQTT_PINGRESP:
        return remaining == 0 ? 16 : 0;
    case MQTT_DISCONNECT:
    case MQTT_AUTH:
        return weigh_disconnect((uint8_t)type, body, remaining, versions);
    default:
        return 0;
    }
}

/* 3.1 has DUP and QoS in SUBSCRIBE, UNSUBSCRIBE and PUBREL. */
static bool is_loose(uint8_t first)
{
    return mqtt_type_flags(first >> 4) == 2 && (first & 15) != 2 && (first & 6) == 2;
}

/* May this octet open a packet of this sender? */
static bool is_first_octet(uint8_t first, unsigned versions, enum mqtt_side sender)
{
    unsigned type = first >> 4, flags = first & 15;
    if (type == 0 || (type == MQTT_AUTH && !is_version(versions, MQTT_V5)))
        return false;
    enum mqtt_side may = mqtt_type_sender(type, is_version(versions, MQTT_V5) ? MQTT_V5 : MQTT_V311);
    if (sender != MQTT_NOBODY && (may & sender) == 0)
        return false;
    return type == MQTT_PUBLISH || flags == mqtt_type_flags(type) ||
           (is_version(versions, MQTT_V31) && is_loose(first));
}

/* No version still possible finds an error in it, as far as it is at hand. */
static bool is_well_formed(struct view packet, unsigned versions, enum mqtt_side sender)
{
    size_t look = packet.len < LOOK_MAX ? packet.len : LOOK_MAX;
    for (unsigned version = MQTT_V31; version <= MQTT_V5; version++) {
        if (!is_version(versions, version))
            continue;
        struct mqtt_verdict at[VERDICTS];
        struct mqtt_verdicts v = { .at = at, .cap = VERDICTS };
        struct mqtt_packet p;
        mqtt_decode(view_of(packet.ptr, look), (struct mqtt_context){ (uint8_t)version, (uint8_t)sender }, &p, &v);
        bool clean = v.lost == 0;
        size_t form = p.type == MQTT_PUBLISH && p.publish.payload.ptr != NULL
                          ? (size_t)(p.publish.payload.ptr - packet.ptr)
                          : look; /* a payload has no form */
        for (uint32_t i = 0; i < v.n; i++)
            clean = clean && (at[i].severity < MQTT_SEVERITY_ERROR || at[i].offset >= form);
        if (clean)
            return true;
    }
    return false;
}

/* Long packets are rare, those without a payload even more so, and a random length is long: that speaks against a
 * packet. */
static uint32_t weigh_length(unsigned type, uint32_t remaining)
{
    if (type != MQTT_PUBLISH)
        return remaining < 1 << 9 ? 0 : remaining < 1 << 14 ? 8 : 24;
    return remaining < 1 << 14 ? 0 : remaining < 1 << 16 ? 4 : remaining < 1 << 20 ? 8 : 16;
}

/* One packet at the front. Returns its weight (0: none) and sets *total, which may lie behind the octets; 0: unknown.
 */
static uint32_t weigh(struct view octets, unsigned versions, enum mqtt_side sender, size_t *total)
{
    *total = 0;
    uint8_t first = octets.ptr[0];
    if (!is_first_octet(first, versions, sender))
        return 0;
    uint32_t remaining = 0;
    int used = mqtt_vbi_read(view_of(octets.ptr + 1, octets.len - 1), &remaining);
    if (used < 0 || (used > 1 && mqtt_vbi_size(remaining) != (size_t)used))
        return 0;
    if (used == 0)
        return 1; /* cut inside its header */
    size_t header = 1 + (size_t)used;
    *total = header + remaining;
    size_t have = *total < octets.len ? *total : octets.len;
    size_t look = have - header < LOOK_MAX ? have - header : LOOK_MAX;
    uint32_t bits = weigh_body(first, view_of(octets.ptr + header, look), remaining, versions);
    if (bits == 0 || !is_well_formed(view_of(octets.ptr, have), versions, sender))
        return 0;
    if (is_text_header(first, remaining) && bits > BITS_TEXT)
        bits = BITS_TEXT;
    uint32_t rare = weigh_length(first >> 4, remaining) + (is_loose(first) ? BITS_LOOSE : 0);
    return bits > rare ? bits - rare : 1;
}

struct mqtt_run mqtt_run_at(struct view octets, unsigned versions, enum mqtt_side sender)
{
    struct mqtt_run run = { 0 };
    size_t at = 0;
    for (unsigned i = 0; i < MQTT_RUN_MAX && at < octets.len; i++) {
        size_t total;
        uint32_t bits = weigh(view_of(octets.ptr + at, octets.len - at), versions, sender, &total);
        if (bits == 0)
            return (struct mqtt_run){ 0 };
        run.bits += bits;
        if (i == 0) {
            run.first = (uint32_t)total;
            run.first_bits = bits;
        }
        if (total == 0 || total > octets.len - at)
            return run;
        run.whole++;
        at += total;
    }
    run.exact = at == octets.len && run.whole > 0;
    if (run.exact)
        run.bits += BITS_EXACT;
    return run;
}

bool mqtt_run_stands_alone(uint8_t first, struct mqtt_run run, uint32_t wait)
{
    return first >> 4 == MQTT_CONNECT ? run.first_bits >= BITS_NAME : first >> 4 == MQTT_PUBLISH && run.first > wait;
}

size_t mqtt_resync(struct view octets, unsigned versions, enum mqtt_side sender, uint32_t bits, uint32_t wait,
                   struct mqtt_run *run)
{
    size_t found = octets.len, until = octets.len;
    *run = (struct mqtt_run){ 0 };
    for (size_t i = 0; i < until; i++) {
        if (!is_first_octet(octets.ptr[i], versions, sender))
            continue;
        struct mqtt_run here = mqtt_run_at(view_of(octets.ptr + i, octets.len - i), versions, sender);
        if (here.bits < bits || here.bits <= run->bits ||
            (here.whole == 0 && !mqtt_run_stands_alone(octets.ptr[i], here, wait)))
            continue;
        if (found == octets.len && octets.len - i > MQTT_RUN_RIVALS)
            until = i + MQTT_RUN_RIVALS; /* they share the octets that speak for it */
        found = i;
        *run = here;
    }
    return found;
}

size_t mqtt_resync_alive(struct view octets, unsigned versions, enum mqtt_side sender)
{
    size_t i = 0;
    while (i < octets.len && (!is_first_octet(octets.ptr[i], versions, sender) ||
                              mqtt_run_at(view_of(octets.ptr + i, octets.len - i), versions, sender).bits == 0))
        i++;
    return i;
}
