/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/filter/names.c -- names that stand for numbers (mqtt.msgtype == PUBLISH), Wireshark's words beside those of
 * the standards, and the order of severities. Letter case does not count. */
#include "decoder/filter/parts.h"
#include <string.h>

struct name {
    uint16_t field;
    uint8_t value;
    const char *text;
};

/* Wireshark's words where they differ from the standards'. */
static const struct name names[] = {
    { FIELD_MQTT_MSGTYPE, 1, "Connect Command" },
    { FIELD_MQTT_MSGTYPE, 2, "Connect Ack" },
    { FIELD_MQTT_MSGTYPE, 3, "Publish Message" },
    { FIELD_MQTT_MSGTYPE, 4, "Publish Ack" },
    { FIELD_MQTT_MSGTYPE, 5, "Publish Received" },
    { FIELD_MQTT_MSGTYPE, 6, "Publish Release" },
    { FIELD_MQTT_MSGTYPE, 7, "Publish Complete" },
    { FIELD_MQTT_MSGTYPE, 8, "Subscribe Request" },
    { FIELD_MQTT_MSGTYPE, 9, "Subscribe Ack" },
    { FIELD_MQTT_MSGTYPE, 10, "Unsubscribe Request" },
    { FIELD_MQTT_MSGTYPE, 11, "Unsubscribe Ack" },
    { FIELD_MQTT_MSGTYPE, 12, "Ping Request" },
    { FIELD_MQTT_MSGTYPE, 13, "Ping Response" },
    { FIELD_MQTT_MSGTYPE, 14, "Disconnect Req" },
    { FIELD_MQTT_MSGTYPE, 15, "Authentication Exchange" },
    { FIELD_MQTT_VER, 3, "MQTT v3.1" },
    { FIELD_MQTT_VER, 4, "MQTT v3.1.1" },
    { FIELD_MQTT_VER, 5, "MQTT v5.0" },
    { FIELD_MQTT_VER, 3, "3.1" },
    { FIELD_MQTT_VER, 4, "3.1.1" },
    { FIELD_MQTT_VER, 5, "5.0" },
    { FIELD_MQTT_SUBACK_QOS, 128, "Failure" },
    { FIELD_MQTT_CONACK_VAL, 0, "Connection Accepted" },
    { FIELD_MQTT_CONACK_VAL, 1, "Connection Refused: unacceptable protocol version" },
    { FIELD_MQTT_CONACK_VAL, 2, "Connection Refused: identifier rejected" },
    { FIELD_MQTT_CONACK_VAL, 3, "Connection Refused: server unavailable" },
    { FIELD_MQTT_CONACK_VAL, 4, "Connection Refused: bad user name or password" },
    { FIELD_MQTT_CONACK_VAL, 5, "Connection Refused: not authorized" },
};

static const char *const qos_names[] = { "At most once delivery (Fire and Forget)",
                                         "At least once delivery (Acknowledged deliver)",
                                         "Exactly once delivery (Assured Delivery)", "Reserved" };

static const char *const retain_handling[] = { "Send msgs at subscription time",
                                               "Send msgs if subscription does not exist",
                                               "Do not send msgs at subscription time", "Reserved" };

static char small(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : (char)c;
}

static bool same(struct view text, const char *name)
{
    if (name == NULL || strlen(name) != text.len)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (small(text.ptr[i]) != small((uint8_t)name[i]))
            return false;
    return true;
}

/* The packet type whose reason codes the field holds; 0: none. */
static unsigned reason_type(int field)
{
    switch (field) {
    case FIELD_MQTT_CONNACK_REASON_CODE:
        return MQTT_CONNACK;
    case FIELD_MQTT_PUBACK_REASON_CODE:
        return MQTT_PUBACK;
    case FIELD_MQTT_PUBREC_REASON_CODE:
        return MQTT_PUBREC;
    case FIELD_MQTT_PUBREL_REASON_CODE:
        return MQTT_PUBREL;
    case FIELD_MQTT_PUBCOMP_REASON_CODE:
        return MQTT_PUBCOMP;
    case FIELD_MQTT_SUBACK_REASON_CODE:
        return MQTT_SUBACK;
    case FIELD_MQTT_UNSUBACK_REASON_CODE:
        return MQTT_UNSUBACK;
    case FIELD_MQTT_DISCONNECT_REASON_CODE:
        return MQTT_DISCONNECT;
    case FIELD_MQTT_AUTH_REASON_CODE:
        return MQTT_AUTH;
    default:
        return 0;
    }
}

static const char *const *small_table(int field, unsigned *n)
{
    *n = 4;
    switch (field) {
    case FIELD_MQTT_QOS:
    case FIELD_MQTT_SUB_QOS:
    case FIELD_MQTT_SUBACK_QOS:
    case FIELD_MQTT_CONFLAG_QOS:
    case FIELD_MQTT_SUBSCRIPTION_OPTIONS_QOS:
        return qos_names;
    case FIELD_MQTT_SUBSCRIPTION_OPTIONS_RETAIN:
        return retain_handling;
    default:
        *n = 0;
        return NULL;
    }
}

/* The name of a value by the tables of the standards, NULL if it has none. */
static const char *standard_name(int field, unsigned value)
{
    if (field == FIELD_MQTT_MSGTYPE)
        return value < 16 ? mqtt_type_name(value) : NULL;
    if (field == FIELD_MQTT_CONACK_VAL)
        return mqtt_return_name(value);
    unsigned type = reason_type(field);
    return type != 0 ? mqtt_reason_name(type, value) : NULL;
}

static bool severity_value(struct view name, int64_t *number)
{
    static const struct name severities[] = {
        { 0, 2, "chat" }, { 0, 4, "note" }, { 0, 6, "warn" }, { 0, 6, "warning" }, { 0, 8, "error" }
    };
    for (size_t i = 0; i < sizeof severities / sizeof severities[0]; i++)
        if (same(name, severities[i].text)) {
            *number = (int64_t)severities[i].value << 20;
            return true;
        }
    return false;
}

bool name_value(int field, struct view name, int64_t *number)
{
    unsigned n = 0;
    if (field < 0)
        return false;
    if (field == FIELD_WS_EXPERT_SEVERITY)
        return severity_value(name, number);
    for (unsigned value = 0; value < 256; value++)
        if (same(name, standard_name(field, value))) {
            *number = value;
            return true;
        }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].field == field && same(name, names[i].text)) {
            *number = names[i].value;
            return true;
        }
    const char *const *table = small_table(field, &n);
    for (unsigned value = 0; value < n; value++)
        if (same(name, table[value])) {
            *number = value;
            return true;
        }
    return false;
}

bool name_rank(int field, struct view text, int64_t *rank)
{
    if (field != FIELD_VIOLATION_SEVERITY)
        return false;
    return severity_value(text, rank);
}
