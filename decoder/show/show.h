/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/show/show.h -- a row as people and programs read it: a line of text, a tree, octets, JSON, columns.
 *
 * All of them write into a struct out of the caller and keep nothing. What comes from the wire is escaped, whatever the
 * output; passwords and user names are masked unless style.secrets. */
#pragma once
#include "decoder/base/out.h"
#include "decoder/show/item.h"

enum show_time {                        /* tshark's -t */
                 SHOW_TIME_DAY,         /* a: time of day */
                 SHOW_TIME_DATE,        /* ad: with date */
                 SHOW_TIME_DELTA,       /* d: since the frame before */
                 SHOW_TIME_DELTA_SHOWN, /* dd: since the row shown before */
                 SHOW_TIME_EPOCH,       /* e */
                 SHOW_TIME_RELATIVE,    /* r: since the first frame */
                 SHOW_TIME_UTC,         /* u: time of day in UTC */
                 SHOW_TIME_UTC_DATE,    /* ud */
};

struct show_style {
    bool secrets;                             /* passwords and user names as they are */
    bool color;                               /* SGR sequences by severity */
    uint8_t time;                             /* enum show_time */
    int32_t (*utc_offset_s)(int64_t epoch_s); /* of the local time zone at that moment; NULL: UTC */
    int64_t shown_before_ns;                  /* time of the row shown before; kept by show_text(), 0 at the start */
};

/* One line: time, stream, endpoints, client id, version, packet with its main fields, rules it breaks. */
void show_text(struct out *o, const struct row *row, struct show_style *style);
/* -V: every field with its octets and the name of its value; verdicts at the field they name. */
void show_tree(struct out *o, const struct row *row, const struct show_style *style);
/* -x: the octets of the packet, as far as they are at hand. */
void show_hex(struct out *o, const struct row *row, const struct show_style *style);
/* -T json: one object and a newline. only NULL: the fields of show_json_fields(); else exactly these. mqtt.ver is null
 * while the version is unknown. Strings that are no UTF-8 come in the form of out_json_escaped(), and mqtt.invalid_utf8
 * then lists their fields. */
void show_json(struct out *o, const struct row *row, const struct show_style *style, const struct field_set *only);

/* Every field but those that say a thing twice or follow from the rows before: ip.addr, ipv6.addr, tcp.port,
 * frame.time, frame.time_relative, frame.time_delta, mqtt.msg_decoded_as, _ws.expert*, communityid; and
 * mqtt.first_frame and mqtt.first_time_epoch where the packet lies in one frame. All of them can be asked for. */
struct field_set show_json_fields(const struct row *row);

/* -T fields */
enum { SHOW_COLUMNS_MAX = 128 };
struct show_columns {
    uint16_t fields[SHOW_COLUMNS_MAX]; /* enum field */
    uint32_t n;
    struct field_set set; /* the same */
    char separator;       /* '\t' */
    char occurrence;      /* f: first, l: last, a: all */
    char aggregator;      /* ',' between values of one field */
    char quote;           /* '"', '\'' or 0: none */
    bool header;          /* a first line of names */
};
struct show_columns show_columns_default(void);
bool show_columns_add(struct show_columns *c, enum field f); /* false: SHOW_COLUMNS_MAX reached */
void show_columns_header(struct out *o, const struct show_columns *c);
void show_columns(struct out *o, const struct row *row, const struct show_style *style, const struct show_columns *c);

/* The value of an item as text, without its name (as tshark's -T fields writes it); masked if need be. */
void show_value(struct out *o, const struct item *it, const struct show_style *style);
/* What a number means there ("Session taken over", "PUBLISH", "3.1.1"), NULL if nothing more. */
const char *show_value_name(const struct row *row, const struct item *it);
/* A time stamp in the form asked for, with six digits behind the point. */
void show_time(struct out *o, const struct row *row, const struct show_style *style);

/* Fields that hold secrets: user name and password. */
static inline bool show_secret(unsigned field)
{
    return field == FIELD_MQTT_PASSWD || field == FIELD_MQTT_USERNAME;
}

#define SHOW_MASK "***"

/* SGR sequence by severity (enum mqtt_severity), and the one that ends it; both "" without color. */
const char *show_color(const struct show_style *style, unsigned severity);
const char *show_color_end(const struct show_style *style);
