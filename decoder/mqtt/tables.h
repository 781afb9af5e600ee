/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/mqtt/tables.h -- the facts of the standards as enumerators and look-ups; the facts themselves are in the .def
 * files beside this one. All look-ups are total: an unknown value gives NULL, 0 or false. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum mqtt_type {
#define TYPE(value, sym, name, v4, v5, flags) MQTT_##sym = value,
#include "decoder/mqtt/types.def"
};

/* A bit set: BOTH is CLIENT and SERVER. */
enum mqtt_side {
    MQTT_NOBODY = 0, /* as the sender of a packet: not known */
    MQTT_CLIENT = 1,
    MQTT_SERVER = 2,
    MQTT_BOTH = 3,
};

enum mqtt_version { MQTT_VERSION_UNKNOWN = 0, MQTT_V31 = 3, MQTT_V311 = 4, MQTT_V5 = 5 };

enum mqtt_prop_id {
#define PROP(id, sym, wire, allowed, repeat, name, snake) MQTT_PROP_##sym = id,
#include "decoder/mqtt/properties.def"
};
enum { MQTT_PROP_LIMIT = 0x2b }; /* one more than the highest identifier */

enum mqtt_wire {
    MQTT_WIRE_NONE,
    MQTT_WIRE_BYTE,
    MQTT_WIRE_U16,
    MQTT_WIRE_U32,
    MQTT_WIRE_VBI,
    MQTT_WIRE_UTF8,
    MQTT_WIRE_BINARY,
    MQTT_WIRE_PAIR
};

/* Where a property or a reason code may stand: one bit a packet type; bit 0 (the reserved type) is the Will. */
#define MQTT_IN(type) (1u << (type))
#define MQTT_IN_WILL 1u

struct mqtt_prop_info {
    const char *name, *snake; /* NULL: no such property */
    enum mqtt_wire wire;
    uint16_t allowed, repeats; /* MQTT_IN bits */
};

enum mqtt_severity { MQTT_SEVERITY_NONE, MQTT_SEVERITY_NOTE, MQTT_SEVERITY_WARNING, MQTT_SEVERITY_ERROR };
enum mqtt_level {
    MQTT_LEVEL_NONE,
    MQTT_LEVEL_MUST,
    MQTT_LEVEL_MUST_NOT,
    MQTT_LEVEL_MALFORMED,
    MQTT_LEVEL_PROTOCOL_ERROR,
    MQTT_LEVEL_PROTOCOL_VIOLATION,
    MQTT_LEVEL_SHOULD,
    MQTT_LEVEL_SHOULD_NOT,
    MQTT_LEVEL_NOTE
};
enum mqtt_where { MQTT_WHERE_PACKET, MQTT_WHERE_SESSION, MQTT_WHERE_PROBE, MQTT_WHERE_CLIENT_PROBE, MQTT_WHERE_NONE };
enum mqtt_who { MQTT_WHO_CLIENT, MQTT_WHO_SERVER, MQTT_WHO_BOTH, MQTT_WHO_SENDER, MQTT_WHO_RECEIVER };

/* R4_ (3.1.1), R5_: numbered statements; S3_, S4_, S5_: our ids for rules that the standards state without a number. */
enum mqtt_rule {
    MQTT_RULE_NONE,
#define RULE(sym, version, id, who, level, severity, where, reason, also, statement, fault) MQTT_##sym,
#include "decoder/mqtt/rules.def"
    MQTT_RULE_COUNT
};

struct mqtt_rule_info {
    const char *id;        /* "MQTT-3.3.1-4", "S5-2.1.4-a"; the same id means different things in 3.1.1 and 5.0 */
    const char *also;      /* umbrella statement that falls with it, "" if none */
    const char *statement; /* what the standard asks, in our words, without observer remarks */
    const char *fault;     /* what is wrong with a packet that breaks it */
    uint8_t version;       /* enum mqtt_version */
    uint8_t severity, level, where, who;
    uint8_t reason; /* 5.0 reason code the standard asks the receiver for, 0: none */
};

const char *mqtt_type_name(unsigned type);                        /* "PUBLISH"; "Reserved" for 0; type < 16 */
enum mqtt_side mqtt_type_sender(unsigned type, unsigned version); /* who may send it */
uint8_t mqtt_type_flags(unsigned type);                           /* the fixed-header flags the standard asks for */
extern const struct mqtt_prop_info mqtt_properties[MQTT_PROP_LIMIT];
static inline const struct mqtt_prop_info *mqtt_prop_info(uint32_t id) /* never NULL; .name NULL when unknown */
{
    return &mqtt_properties[id < MQTT_PROP_LIMIT ? id : 0]; /* 0 is no property */
}
const struct mqtt_rule_info *mqtt_rule_info(enum mqtt_rule rule); /* never NULL */
enum mqtt_rule mqtt_rule_by_id(const char *id, unsigned version); /* MQTT_RULE_NONE when unknown */
const char *mqtt_version_name(unsigned version);                  /* "3.1", "3.1.1", "5.0", "?" */
const char *mqtt_severity_name(unsigned severity);                /* "note", "warning", "error", "" */
const char *mqtt_side_name(unsigned side);                        /* "client", "server", "both", "?" */

/* Name of a 5.0 reason code in this packet type, NULL if the table does not list it there. */
const char *mqtt_reason_name(unsigned type, unsigned code);
/* Who may send this code in DISCONNECT. */
enum mqtt_side mqtt_disconnect_sender(unsigned code);
/* Name of a 3.1 / 3.1.1 CONNACK return code, NULL above 5. */
const char *mqtt_return_name(unsigned code);
