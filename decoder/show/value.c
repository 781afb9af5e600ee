/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/show/value.c -- one value as text, the name of a value, a time stamp, colours. */
#include "decoder/show/civil.h"
#include "decoder/show/show.h"

enum { NS = 1000000000, DAY_S = 86400 };

/* Days since 1970-01-01 to year, month, day, by eras of 400 years that begin on 1 March. */
static void civil_date(int64_t days, struct civil *c)
{
    int64_t shifted = days + 719468; /* above 0 from the year 0 on */
    int64_t era = shifted / 146097;
    unsigned of_era = (unsigned)(shifted - era * 146097);
    unsigned year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    unsigned of_year = of_era - (365 * year + year / 4 - year / 100);
    unsigned month = (5 * of_year + 2) / 153;
    c->day = of_year - (153 * month + 2) / 5 + 1;
    c->month = month < 10 ? month + 3 : month - 9;
    c->year = (int64_t)year + era * 400 + (c->month <= 2);
}

struct civil civil_of(int64_t ns, int32_t (*utc_offset_s)(int64_t epoch_s))
{
    struct civil c;
    int64_t s = ns / NS - (ns % NS < 0);
    if (utc_offset_s != NULL)
        s += utc_offset_s(s);
    int64_t days = s / DAY_S - (s % DAY_S < 0);
    unsigned of_day = (unsigned)(s - days * DAY_S);
    civil_date(days, &c);
    c.hour = of_day / 3600;
    c.minute = of_day / 60 % 60;
    c.second = of_day % 60;
    c.ns = (unsigned)((ns % NS + NS) % NS);
    return c;
}

static void time_of_day(struct out *o, const struct civil *c, unsigned digits)
{
    out_uint_wide(o, c->hour, 2);
    out_char(o, ':');
    out_uint_wide(o, c->minute, 2);
    out_char(o, ':');
    out_uint_wide(o, c->second, 2);
    out_char(o, '.');
    out_uint_wide(o, digits == 9 ? c->ns : c->ns / 1000, digits);
}

static void date(struct out *o, const struct civil *c)
{
    out_uint_wide(o, (uint64_t)c->year, 4);
    out_char(o, '-');
    out_uint_wide(o, c->month, 2);
    out_char(o, '-');
    out_uint_wide(o, c->day, 2);
    out_char(o, ' ');
}

/* Seconds in a column of 11: up to 9,999 s line up. */
static void duration(struct out *o, int64_t ns)
{
    int64_t size = ns < 0 ? -ns : ns;
    for (int64_t limit = 1000; limit > 1; limit /= 10)
        if (size / NS < limit)
            out_char(o, ' ');
    if (ns >= 0)
        out_char(o, ' ');
    out_seconds(o, ns, 6);
}

void show_time(struct out *o, const struct row *row, const struct show_style *style)
{
    bool utc = style->time == SHOW_TIME_UTC || style->time == SHOW_TIME_UTC_DATE;
    struct civil c;
    switch ((enum show_time)style->time) {
    case SHOW_TIME_DELTA:
        duration(o, row->time_ns - row->time_before_ns);
        return;
    case SHOW_TIME_DELTA_SHOWN:
        duration(o, style->shown_before_ns != 0 ? row->time_ns - style->shown_before_ns : 0);
        return;
    case SHOW_TIME_RELATIVE:
        duration(o, row->time_ns - row->time_start_ns);
        return;
    case SHOW_TIME_EPOCH:
        out_seconds(o, row->time_ns, 6);
        return;
    default:
        c = civil_of(row->time_ns, utc ? NULL : style->utc_offset_s);
        if (style->time == SHOW_TIME_DATE || style->time == SHOW_TIME_UTC_DATE)
            date(o, &c);
        time_of_day(o, &c, 6);
    }
}

/* As Wireshark writes frame.time, always in UTC. */
static void arrival_time(struct out *o, int64_t ns)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct civil c = civil_of(ns, NULL);
    out_octets(o, months + 3 * (c.month - 1), 3);
    out_text(o, c.day < 10 ? "  " : " ");
    out_uint(o, c.day);
    out_text(o, ", ");
    out_uint(o, (uint64_t)c.year);
    out_char(o, ' ');
    time_of_day(o, &c, 9);
    out_text(o, " UTC");
}

/* Hexadecimal digits of a number in base 16: all of those fields are single octets, as in "0x0a". */
enum { HEX_DIGITS = 2 };

void show_value(struct out *o, const struct item *it, const struct show_style *style)
{
    const struct field_info *info = field_info((enum field)it->field);
    if (show_secret(it->field) && !style->secrets) {
        out_text(o, SHOW_MASK);
        return;
    }
    switch ((enum field_type)it->type) {
    case FIELD_NONE:
        out_char(o, '1');
        break;
    case FIELD_UINT:
    case FIELD_BOOL:
        if (info->base == 16)
            out_hex_uint(o, it->number, HEX_DIGITS);
        else
            out_uint(o, it->number);
        break;
    case FIELD_STRING:
    case FIELD_TEXT:
        out_terminal(o, it->text);
        break;
    case FIELD_BYTES:
        out_hex(o, it->text, '\0');
        break;
    case FIELD_IPV4:
    case FIELD_IPV6:
        out_ip(o, it->text);
        break;
    case FIELD_TIME:
        if (it->field == FIELD_FRAME_TIME)
            arrival_time(o, (int64_t)it->number);
        else
            out_seconds(o, (int64_t)it->number, 9);
        break;
    }
}

static const char *qos_name(uint64_t qos)
{
    static const char *const names[] = { "at most once", "at least once", "exactly once", "reserved" };
    return qos < 4 ? names[qos] : NULL;
}

static const char *retain_handling_name(uint64_t value)
{
    static const char *const names[] = { "send retained messages", "send them if the subscription is new",
                                         "do not send retained messages", "reserved" };
    return value < 4 ? names[value] : NULL;
}

const char *show_value_name(const struct row *row, const struct item *it)
{
    uint64_t number = it->number;
    switch (it->field) {
    case FIELD_MQTT_MSGTYPE:
        return mqtt_type_name((unsigned)number);
    case FIELD_MQTT_VER:
        return number >= 3 && number <= 5 ? mqtt_version_name((unsigned)number) : NULL;
    case FIELD_MQTT_QOS:
    case FIELD_MQTT_CONFLAG_QOS:
    case FIELD_MQTT_SUB_QOS:
    case FIELD_MQTT_SUBSCRIPTION_OPTIONS_QOS:
    case FIELD_PROPERTY_MAXIMUM_QOS:
        return qos_name(number);
    case FIELD_MQTT_SUBACK_QOS:
        return number == 0x80 ? "failure" : qos_name(number);
    case FIELD_MQTT_SUBSCRIPTION_OPTIONS_RETAIN:
        return retain_handling_name(number);
    case FIELD_MQTT_CONACK_VAL:
        return mqtt_return_name((unsigned)number);
    case FIELD_MQTT_PROPERTY_ID:
        return mqtt_prop_info((uint32_t)number)->name;
    default:
        if (it->field >= FIELD_MQTT_CONNACK_REASON_CODE && it->field <= FIELD_MQTT_AUTH_REASON_CODE)
            return mqtt_reason_name(row->packet->type, (unsigned)number);
        return NULL;
    }
}

const char *show_color(const struct show_style *style, unsigned severity)
{
    static const char *const colors[] = { "", "\033[36m", "\033[33m", "\033[1;37;41m" };
    return style->color && severity < 4 ? colors[severity] : "";
}

const char *show_color_end(const struct show_style *style)
{
    return style->color ? "\033[0m" : "";
}
