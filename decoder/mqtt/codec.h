/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/mqtt/codec.h -- what the readers and writers of the packet types share; private to decoder/mqtt/.
 *
 * A reader works on the octets at hand of one packet. `stop` is where the enclosing form ends (the packet, or its
 * property block) and may lie behind what is at hand: a field that needs octets between the two is cut (unknown), one
 * that reaches past `stop` is wrong. Either way `over` is set, and nothing further is read at this level. */
#pragma once
#include "decoder/base/utf8.h"
#include "decoder/mqtt/packet.h"

struct reader {
    const uint8_t *octets;  /* of the packet */
    size_t pos, held, stop; /* pos <= held; pos <= stop */
    size_t end;             /* the lower of held and stop */
    bool over;
    bool props_whole; /* the property block read last was walked to its end: what it lacks is not there */
    uint8_t version, sender;
    uint8_t payload_format; /* Payload Format Indicator of the property block read last, 0 without one */
    struct mqtt_packet *p;
    struct mqtt_verdicts *v;
};

/* One breach, told in the terms of each version: 3.1, 3.1.1, 5.0. MQTT_RULE_NONE: that version does not mind. */
struct rule3 {
    uint16_t v31, v311, v5;
};

extern const struct rule3 RULE_SURPLUS; /* content shorter or longer than the packet's form */

void rd_fault(struct reader *r, struct rule3 rules, size_t offset, size_t length);
void rd_rule(struct reader *r, enum mqtt_rule rule, size_t offset, size_t length);
void rd_lower(struct reader *r, enum mqtt_rule rule, enum mqtt_severity severity, size_t offset, size_t length);

static inline size_t rd_left(const struct reader *r) /* octets up to the end of the form, at hand or not */
{
    return r->stop - r->pos;
}

/* n octets are not at hand: cut or wrong. Sets `over`; false. */
bool rd_short(struct reader *r, size_t n);
/* A string of `len` octets (length field at r->pos) is not whole at hand: likewise. */
struct view rd_short_string(struct reader *r, size_t len);

/* Fields. They yield 0 or a view with ptr NULL when there is no such field at hand. */
static inline bool rd_need(struct reader *r, size_t n)
{
    return !r->over && n <= r->end - r->pos ? true : rd_short(r, n);
}

static inline uint8_t rd_u8(struct reader *r)
{
    return rd_need(r, 1) ? r->octets[r->pos++] : 0;
}

static inline uint16_t rd_u16(struct reader *r)
{
    if (!rd_need(r, 2))
        return 0;
    const uint8_t *at = r->octets + r->pos;
    r->pos += 2;
    return (uint16_t)(at[0] << 8 | at[1]);
}

static inline struct view rd_str16(struct reader *r)
{
    if (!rd_need(r, 2))
        return (struct view){ NULL, 0 };
    const uint8_t *at = r->octets + r->pos;
    size_t len = (size_t)(at[0] << 8 | at[1]);
    if (len > r->end - r->pos - 2)
        return rd_short_string(r, len);
    r->pos += 2 + len;
    return (struct view){ at + 2, len };
}

static inline struct view rd_rest(struct reader *r) /* what is at hand up to `stop` */
{
    if (r->over)
        return (struct view){ NULL, 0 };
    struct view v = { r->octets + r->pos, r->end - r->pos };
    if (r->end < r->stop)
        r->p->cut = true;
    r->pos = r->end;
    return v;
}

/* UTF-8 of a field. ill_formed and nul name the rules of this field; discouraged code points have one rule a version.
 */
void rd_check_text(struct reader *r, struct view text, struct rule3 ill_formed, struct rule3 nul);
extern const struct rule3 RULE_TEXT_NUL;  /* U+0000 in a string that is no topic */
extern const struct rule3 RULE_TOPIC_NUL; /* U+0000 in a topic name or filter */
void rd_check_name(struct reader *r, struct view name, struct rule3 ill_formed, struct rule3 wildcard); /* not: empty */

/* '+' and '#', which differ in one bit, among eight octets of ASCII, as 0x80 in their place. */
static inline uint64_t rd_wildcard8(uint64_t w)
{
    const uint64_t ones = 0x0101010101010101u;
    return ((w | ones * ('+' ^ '#')) ^ ones * ('+' | '#')) - ones;
}

/* Printable ASCII without wildcards: one look at eight octets instead of two at each. False only means: look closer,
 * with rd_is_good_name() or rd_check_name(). */
static inline bool rd_is_plain_name(struct view name)
{
    const uint8_t *p = name.ptr;
    size_t n = name.len;
    if (n < 8)
        return n > 0 && utf8_is_plain(name) && memchr(p, '+', n) == NULL && memchr(p, '#', n) == NULL;
    uint64_t last = utf8_load(p + n - 8, 8), marks = rd_wildcard8(last) | utf8_special8(last);
    for (size_t i = 0; i + 8 < n; i += 8) {
        uint64_t w = utf8_load(p + i, 8);
        marks |= rd_wildcard8(w) | utf8_special8(w);
    }
    return (marks & 0x8080808080808080u) == 0;
}

/* A name that no rule has anything against. */
bool rd_is_good_name(struct view name);

static inline size_t rd_offset(const struct reader *r, struct view v)
{
    return (size_t)(v.ptr - r->octets);
}

/* The Packet Identifier of a request (PUBLISH, SUBSCRIBE, UNSUBSCRIBE) or of an acknowledgement. */
void rd_zero_id(struct reader *r, bool request); /* of the two octets just read */
static inline void rd_id(struct reader *r, bool request)
{
    r->p->id = rd_u16(r);
    r->p->has_id = !r->over;
    if (r->p->id == 0 && !r->over)
        rd_zero_id(r, request);
}

void rd_props(struct reader *r, struct mqtt_props *props, unsigned where); /* where: packet type, 0 for the Will */
static inline void rd_end(struct reader *r)                                /* nothing may follow */
{
    if (!r->over && r->pos < r->stop)
        rd_fault(r, RULE_SURPLUS, r->pos, r->stop - r->pos);
}

/* Counts always; writes while it fits. */
struct writer {
    uint8_t *buf; /* NULL: count only */
    size_t cap, n;
    bool too_long; /* a string above 65,535 octets */
};

void wr_octets(struct writer *w, struct view v);
void wr_u8(struct writer *w, unsigned value);
void wr_u16(struct writer *w, unsigned value);
void wr_u32(struct writer *w, uint32_t value);
void wr_vbi(struct writer *w, uint32_t value);
void wr_str16(struct writer *w, struct view v);
void wr_props(struct writer *w, const struct mqtt_props *props); /* length 0 when the block is absent */

/* Reader and writer of each packet type stand side by side in their file. */
void read_connect(struct reader *r);
void write_connect(struct writer *w, const struct mqtt_packet *p);
void read_connack(struct reader *r);
void write_connack(struct writer *w, const struct mqtt_packet *p);
void read_publish(struct reader *r);
void write_publish(struct writer *w, const struct mqtt_packet *p);
void read_puback(struct reader *r); /* PUBACK, PUBREC, PUBREL, PUBCOMP */
void write_puback(struct writer *w, const struct mqtt_packet *p);
void read_subscribe(struct reader *r);
void write_subscribe(struct writer *w, const struct mqtt_packet *p);
void read_suback(struct reader *r);
void write_suback(struct writer *w, const struct mqtt_packet *p);
void read_unsubscribe(struct reader *r);
void write_unsubscribe(struct writer *w, const struct mqtt_packet *p);
void read_unsuback(struct reader *r);
void write_unsuback(struct writer *w, const struct mqtt_packet *p);
void read_disconnect(struct reader *r);
void write_disconnect(struct writer *w, const struct mqtt_packet *p);
void read_auth(struct reader *r);
void write_auth(struct writer *w, const struct mqtt_packet *p);
