/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/mqtt/tables.c -- see tables.h. Every fact comes from a .def file; what packets ask for is indexed, not
 * searched. */
#include "decoder/mqtt/tables.h"

#include <stddef.h>
#include <string.h>

#define IN(type) MQTT_IN(MQTT_##type)
#define IN_WILL MQTT_IN_WILL
/* every packet with a property block, and the Will */
#define IN_ALL                                                                                                         \
    (IN_WILL | IN(CONNECT) | IN(CONNACK) | IN(PUBLISH) | IN(PUBACK) | IN(PUBREC) | IN(PUBREL) | IN(PUBCOMP) |          \
     IN(SUBSCRIBE) | IN(SUBACK) | IN(UNSUBSCRIBE) | IN(UNSUBACK) | IN(DISCONNECT) | IN(AUTH))

static const struct {
    const char *name;
    uint8_t sender_v4, sender_v5, flags;
} types[16] = {
#define TYPE(value, sym, name, v4, v5, flags) [value] = { name, MQTT_##v4, MQTT_##v5, flags },
#include "decoder/mqtt/types.def"
};

const struct mqtt_prop_info mqtt_properties[MQTT_PROP_LIMIT] = {
#define PROP(id, sym, wire, allowed, repeat, name, snake)                                                              \
    [id] = { name, snake, MQTT_WIRE_##wire, (uint16_t)(allowed), (uint16_t)(repeat) },
#include "decoder/mqtt/properties.def"
};

/* 0x00 has one name in DISCONNECT, one in SUBACK and one elsewhere: the first two have slots behind the 256 codes. */
enum { SLOT_DISCONNECT = 256, SLOT_SUBACK, SLOTS };
#define SLOT(code, packets)                                                                                            \
    ((code) != 0 ? (code) : (packets) == IN(DISCONNECT) ? SLOT_DISCONNECT : (packets) == IN(SUBACK) ? SLOT_SUBACK : 0)

static const struct {
    const char *name;
    uint16_t packets;
} reasons[SLOTS] = {
#define DISCONNECT_FROM(code, sender)
#define REASON(code, name, packets) [SLOT(code, packets)] = { name, (uint16_t)(packets) },
#include "decoder/mqtt/reasons.def"
};

static const uint8_t disconnect_senders[256] = {
#define DISCONNECT_FROM(code, sender) [code] = MQTT_##sender,
#define REASON(code, name, packets)
#include "decoder/mqtt/reasons.def"
};

static const struct mqtt_rule_info rules[MQTT_RULE_COUNT] = {
    { "", "", "no rule is broken", "nothing is wrong", 0, 0, 0, MQTT_WHERE_NONE, 0, 0 },
#define RULE(sym, version, id, who, level, severity, where, reason, also, statement, fault)                            \
    [MQTT_##sym] = { id,                                                                                               \
                     also,                                                                                             \
                     statement,                                                                                        \
                     fault,                                                                                            \
                     MQTT_##version,                                                                                   \
                     MQTT_SEVERITY_##severity,                                                                         \
                     MQTT_LEVEL_##level,                                                                               \
                     MQTT_WHERE_##where,                                                                               \
                     MQTT_WHO_##who,                                                                                   \
                     reason },
#include "decoder/mqtt/rules.def"
};

const char *mqtt_type_name(unsigned type)
{
    return type < 16 ? types[type].name : "?";
}

enum mqtt_side mqtt_type_sender(unsigned type, unsigned version)
{
    if (type >= 16)
        return MQTT_NOBODY;
    return (enum mqtt_side)(version == MQTT_V5 ? types[type].sender_v5 : types[type].sender_v4);
}

uint8_t mqtt_type_flags(unsigned type)
{
    return type < 16 ? types[type].flags : 0;
}

const struct mqtt_rule_info *mqtt_rule_info(enum mqtt_rule rule)
{
    return &rules[(unsigned)rule < MQTT_RULE_COUNT ? (unsigned)rule : MQTT_RULE_NONE];
}

enum mqtt_rule mqtt_rule_by_id(const char *id, unsigned version)
{
    for (unsigned rule = 1; rule < MQTT_RULE_COUNT; rule++)
        if (rules[rule].version == version && strcmp(rules[rule].id, id) == 0)
            return (enum mqtt_rule)rule;
    return MQTT_RULE_NONE;
}

const char *mqtt_version_name(unsigned version)
{
    switch (version) {
    case MQTT_V31:
        return "3.1";
    case MQTT_V311:
        return "3.1.1";
    case MQTT_V5:
        return "5.0";
    default:
        return "?";
    }
}

const char *mqtt_severity_name(unsigned severity)
{
    static const char *const names[] = { "", "note", "warning", "error" };
    return severity < sizeof names / sizeof *names ? names[severity] : "";
}

const char *mqtt_side_name(unsigned side)
{
    static const char *const names[] = { "?", "client", "server", "both" };
    return side < sizeof names / sizeof *names ? names[side] : "?";
}

const char *mqtt_reason_name(unsigned type, unsigned code)
{
    if (type >= 16 || code > 0xff)
        return NULL;
    unsigned slot = code != 0                 ? code
                    : type == MQTT_DISCONNECT ? SLOT_DISCONNECT
                    : type == MQTT_SUBACK     ? SLOT_SUBACK
                                              : 0;
    return reasons[slot].packets & MQTT_IN(type) ? reasons[slot].name : NULL;
}

enum mqtt_side mqtt_disconnect_sender(unsigned code)
{
    return (enum mqtt_side)(code <= 0xff ? disconnect_senders[code] : MQTT_NOBODY);
}

const char *mqtt_return_name(unsigned code)
{
    static const char *const names[] = { "Connection Accepted",
                                         "Connection Refused: unacceptable protocol version",
                                         "Connection Refused: identifier rejected",
                                         "Connection Refused: server unavailable",
                                         "Connection Refused: bad user name or password",
                                         "Connection Refused: not authorized" };
    return code < sizeof names / sizeof *names ? names[code] : NULL;
}
