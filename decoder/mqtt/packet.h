/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/mqtt/packet.h -- MQTT Control Packets: octets in, views and verdicts out, and back.
 *
 * Pure: no I/O, clock, allocation, globals or recursion; linear in the octets; total on every input. Everything a
 * packet holds borrows the caller's octets and lives as long as they do. A view with ptr NULL is a field that is not
 * there (absent in this form, or beyond what was captured). */
#pragma once
#include "decoder/base/cursor.h"
#include "decoder/mqtt/tables.h"

enum { MQTT_REMAINING_MAX = 268435455, MQTT_HEADER_MAX = 5 };

/* Who says what about a packet; the caller knows this from the connection (decoder/mqtt/conn.h). */
struct mqtt_context {
    uint8_t version; /* enum mqtt_version; UNKNOWN decodes as 3.1.1. A CONNECT names its own */
    uint8_t sender;  /* MQTT_CLIENT or MQTT_SERVER; MQTT_NOBODY: not known, rules of direction stay silent */
};

/* One broken rule. Offsets count from the first octet of the packet; offset + length <= octets at hand. */
struct mqtt_verdict {
    uint16_t rule;    /* enum mqtt_rule */
    uint8_t side;     /* who broke it: MQTT_CLIENT, MQTT_SERVER or MQTT_NOBODY when the sender is not known */
    uint8_t severity; /* enum mqtt_severity: the rule's, or lower where the standard leaves room */
    uint32_t offset, length;
};

/* All the rules a packet breaks, in the order met. The caller lends the array; what does not fit is counted. */
struct mqtt_verdicts {
    struct mqtt_verdict *at;
    uint32_t cap, n, lost;
};

/* v may be NULL; MQTT_RULE_NONE adds nothing. severity MQTT_SEVERITY_NONE: the rule's own. */
void mqtt_verdict_add(struct mqtt_verdicts *v, enum mqtt_rule rule, enum mqtt_severity severity, unsigned side,
                      size_t offset, size_t length);

/* A block of 5.0 properties, walked on demand. */
struct mqtt_props {
    struct view block; /* the properties without their Property Length; ptr NULL: the packet has no such block */
    uint64_t seen;     /* bit n: property n is in the block, well-formed */
};

struct mqtt_prop {
    uint32_t id;        /* of the Property Identifier; unknown ones end the walk */
    uint8_t wire;       /* enum mqtt_wire; for writing it rules, so that a wrong form can be built */
    uint32_t number;    /* BYTE, U16, U32, VBI */
    struct view text;   /* UTF8, BINARY; the name of a PAIR */
    struct view value;  /* the value of a PAIR */
    size_t offset, len; /* in the block, identifier included */
};

struct mqtt_prop_walk {
    struct cursor c;
};

static inline struct mqtt_prop_walk mqtt_props_walk(const struct mqtt_props *props)
{
    const struct view b = props->block;
    return (struct mqtt_prop_walk){ { .base = b.len > 0 ? b.ptr : (const uint8_t *)"", .end = b.len } };
}

bool mqtt_props_next(struct mqtt_prop_walk *walk, struct mqtt_prop *out); /* false at the end or at the first bad one */
bool mqtt_props_find(const struct mqtt_props *props, uint32_t id, struct mqtt_prop *out); /* the first with this id */
uint32_t mqtt_props_number(const struct mqtt_props *props, uint32_t id, uint32_t otherwise);

struct mqtt_connect {
    struct view protocol_name;
    uint8_t level; /* as sent, bridge bit 0x80 included */
    uint8_t flags;
    bool clean, will, will_retain, has_username, has_password; /* from the flags */
    uint8_t will_qos;
    uint16_t keep_alive_s;
    struct view client_id;
    struct mqtt_props will_props;
    struct view will_topic, will_payload, username, password;
};

struct mqtt_connack {
    uint8_t flags; /* Connect Acknowledge Flags */
    bool session_present;
};

struct mqtt_publish {
    bool dup, retain;
    uint8_t qos;
    struct view topic;
    struct view payload;  /* what is at hand of it */
    uint32_t payload_len; /* as the lengths say */
};

/* SUBSCRIBE, UNSUBSCRIBE: the list of filters; SUBACK and UNSUBACK: the codes, one octet each. */
struct mqtt_list {
    struct view payload;
    uint32_t count; /* whole entries at hand */
};

struct mqtt_filter {
    struct view filter;
    uint8_t options; /* SUBSCRIBE: requested QoS or Subscription Options; UNSUBSCRIBE: 0 */
    bool has_options;
    size_t offset, len; /* in list.payload, length field included */
};

struct mqtt_packet {
    const uint8_t *octets; /* first octet of the fixed header */
    uint32_t held; /* octets at hand; fewer than header_len + remaining when the capture cut it or nobody kept it */
    uint32_t remaining;  /* Remaining Length */
    uint8_t header_len;  /* 2..5 */
    uint8_t type, flags; /* high and low nibble of the first octet */
    uint8_t version;     /* decoded by the rules of this one: 3, 4 or 5 */
    bool cut;            /* a field lies (partly) beyond what is at hand: unknown, not wrong */
    bool has_id, has_reason;
    uint8_t reason; /* 5.0 reason code, or the return code of a 3.x CONNACK; 0 when left out */
    uint16_t id;    /* Packet Identifier */
    struct mqtt_props props;
    union {
        struct mqtt_connect connect;
        struct mqtt_connack connack;
        struct mqtt_publish publish;
        struct mqtt_list list; /* SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK */
    };
};

/* Decodes one packet: `octets` starts at its fixed header and holds the whole packet, or less of it when the rest was
 * not captured or not kept (then p->cut tells whether that mattered). A fixed header that cannot be read whole gives
 * header_len 0 and the verdict on its Remaining Length, if any. Octets behind the packet are not looked at.
 * Every rule of class PACKET that the packet breaks is added to *v (v may be NULL: decode only). */
void mqtt_decode(struct view octets, struct mqtt_context context, struct mqtt_packet *p, struct mqtt_verdicts *v);

/* The entries of a SUBSCRIBE or UNSUBSCRIBE. *pos starts at 0; false at the end or where an entry is cut or malformed.
 */
bool mqtt_list_next(const struct mqtt_packet *p, size_t *pos, struct mqtt_filter *out);

/* Writes what *p says, right or wrong: type, flags and every field as they stand, so that broken packets can be built
 * too; octets, held, remaining, header_len and cut are ignored; lengths are computed. A 5.0 packet with props.block.ptr
 * NULL leaves the property block (and, with !has_reason, the reason code) out where the short forms allow, else writes
 * length 0. Returns the octets the packet takes; nothing is written when that is more than cap. 0: some field is too
 * long to be expressed (65,535 for strings, MQTT_REMAINING_MAX in all). */
size_t mqtt_encode(const struct mqtt_packet *p, uint8_t *out, size_t cap);

/* Appends one property to a block under construction: buf[0..len) holds what is there, returns the new length, or 0
 * when cap does not suffice, a text is too long, or wire is NONE. prop.offset and .len are ignored. */
size_t mqtt_prop_write(uint8_t *buf, size_t len, size_t cap, const struct mqtt_prop *prop);
/* Likewise one entry of a SUBSCRIBE (with options) or UNSUBSCRIBE (without). */
size_t mqtt_filter_write(uint8_t *buf, size_t len, size_t cap, const struct mqtt_filter *filter);

/* Variable Byte Integer (section 1.5.5; 3.1.1 section 2.2.3). Returns the octets used (1..4), 0 when more are needed,
 * -1 when the fourth octet continues. */
int mqtt_vbi_read(struct view octets, uint32_t *value);
size_t mqtt_vbi_write(uint32_t value, uint8_t out[4]); /* shortest form; value <= MQTT_REMAINING_MAX */
size_t mqtt_vbi_size(uint32_t value);
