/* SPDX-License-Identifier: Apache-2.0
 *
 * CONNECT and CONNACK: section 3.1 and 3.2 of both standards; 3.1 where it differs. */
#include <string.h>

#include "decoder/mqtt/codec.h"
#include "decoder/mqtt/topic.h"

enum { BRIDGE_BIT = 0x80 }; /* set in the level by bridges of mosquitto and others: a private extension */

static bool is_text(struct view v, const char *text)
{
    return v.len == strlen(text) && memcmp(v.ptr, text, v.len) == 0;
}

static void read_protocol(struct reader *r, struct mqtt_connect *c)
{
    size_t name_at = r->pos;
    c->protocol_name = rd_str16(r);
    size_t level_at = r->pos;
    c->level = rd_u8(r);
    if (r->over) {
        if (r->p->cut) /* what broke here broke it in a version that is not known */
            r->version = MQTT_VERSION_UNKNOWN;
        return;
    }
    unsigned level = c->level & (BRIDGE_BIT - 1u);
    if (level >= MQTT_V31 && level <= MQTT_V5)
        r->version = (uint8_t)level;
    else
        r->version = level < MQTT_V31 ? MQTT_V311 : MQTT_V5;
    r->p->version = r->version;

    size_t name_len = c->protocol_name.len + 2;
    if (r->version == MQTT_V5 && !is_text(c->protocol_name, "MQTT"))
        rd_rule(r, MQTT_R5_3_1_2_1, name_at, name_len);
    else if (r->version == MQTT_V31 && !is_text(c->protocol_name, "MQIsdp"))
        rd_rule(r, MQTT_S3_3_1_G, name_at, name_len);
    else if (r->version == MQTT_V311 && !is_text(c->protocol_name, "MQTT")) /* binds the server; maybe no MQTT at all */
        rd_lower(r, MQTT_R4_3_1_2_1, MQTT_SEVERITY_NOTE, name_at, name_len);
    if (level < MQTT_V31 || level > MQTT_V5) {
        rd_lower(r, level < MQTT_V31 ? MQTT_R4_3_1_2_2 : MQTT_R5_3_1_2_2, MQTT_SEVERITY_WARNING, level_at, 1);
        r->over = true; /* the form of an unknown level is unknown */
    } else if (c->level & BRIDGE_BIT) {
        rd_lower(r, r->version == MQTT_V5 ? MQTT_R5_3_1_2_2 : MQTT_R4_3_1_2_2, MQTT_SEVERITY_NOTE, level_at, 1);
    }
}

static void read_connect_flags(struct reader *r, struct mqtt_connect *c)
{
    static const struct rule3 reserved = { .v311 = MQTT_R4_3_1_2_3, .v5 = MQTT_R5_3_1_2_3 };
    static const struct rule3 qos_3 = { MQTT_S3_3_1_C, MQTT_R4_3_1_2_14, MQTT_R5_3_1_2_12 };
    static const struct rule3 qos_without_will = { .v311 = MQTT_R4_3_1_2_13, .v5 = MQTT_R5_3_1_2_11 };
    static const struct rule3 retain_without_will = { .v311 = MQTT_R4_3_1_2_15, .v5 = MQTT_R5_3_1_2_13 };
    static const struct rule3 password_alone = { .v311 = MQTT_R4_3_1_2_22 };
    size_t at = r->pos;
    c->flags = rd_u8(r);
    if (r->over)
        return;
    c->has_username = (c->flags & 0x80) != 0;
    c->has_password = (c->flags & 0x40) != 0;
    c->will_retain = (c->flags & 0x20) != 0;
    c->will_qos = c->flags >> 3 & 3;
    c->will = (c->flags & 0x04) != 0;
    c->clean = (c->flags & 0x02) != 0;
    if (c->flags & 0x01)
        rd_fault(r, reserved, at, 1);
    if (c->will && c->will_qos == 3)
        rd_fault(r, qos_3, at, 1);
    if (!c->will && c->will_qos != 0)
        rd_fault(r, qos_without_will, at, 1);
    if (!c->will && c->will_retain)
        rd_fault(r, retain_without_will, at, 1);
    if (c->has_password && !c->has_username)
        rd_fault(r, password_alone, at, 1);
}

/* A payload field that its flag promises: when the packet ends before it, `missing` says so. */
static struct view promised(struct reader *r, struct rule3 missing)
{
    if (!r->over && rd_left(r) == 0) {
        rd_fault(r, missing, r->pos, 0);
        r->over = true;
    }
    return rd_str16(r);
}

static void read_client_id(struct reader *r, struct mqtt_connect *c)
{
    static const struct rule3 missing = { MQTT_S3_3_1_D, MQTT_R4_3_1_3_3, MQTT_R5_3_1_3_3 };
    static const struct rule3 ill_formed = { MQTT_S3_2_5_A, MQTT_R4_3_1_3_4, MQTT_R5_3_1_3_4 };
    static const struct rule3 too_long = { .v31 = MQTT_S3_3_1_B };
    static const struct rule3 empty = { .v31 = MQTT_S3_3_1_A },
                              empty_kept = { .v31 = MQTT_S3_3_1_A, .v311 = MQTT_R4_3_1_3_7 };
    size_t at = r->pos;
    c->client_id = promised(r, missing);
    if (c->client_id.ptr == NULL)
        return;
    rd_check_text(r, c->client_id, ill_formed, RULE_TEXT_NUL);
    if (c->client_id.len == 0)
        rd_fault(r, c->clean ? empty : empty_kept, at, 2);
    if (r->version == MQTT_V31 && utf8_characters(c->client_id) > 23)
        rd_fault(r, too_long, at + 2, c->client_id.len);
}

/* Payload Format Indicator 1: the payload is UTF-8. U+0000 is fine in a payload, so are discouraged code points. */
static void check_will_format(struct reader *r, const struct mqtt_connect *c)
{
    if (r->payload_format != 1 || utf8_is_plain(c->will_payload))
        return;
    struct utf8_result bad = utf8_check(c->will_payload);
    if (bad.worst == UTF8_ILL_FORMED)
        rd_rule(r, MQTT_S5_3_1_3_2_3_C, rd_offset(r, c->will_payload) + bad.offset, bad.len);
}

static void read_will(struct reader *r, struct mqtt_connect *c)
{
    static const struct rule3 missing = { MQTT_S3_3_1_E, MQTT_R4_3_1_2_9, MQTT_R5_3_1_2_9 };
    static const struct rule3 ill_formed = { MQTT_S3_2_5_A, MQTT_R4_3_1_3_10, MQTT_R5_3_1_3_11 };
    static const struct rule3 wildcard = { MQTT_S3_3_3_A, MQTT_R4_4_7_1_1, MQTT_R5_4_7_0_1 };
    static const struct rule3 empty = { MQTT_S3_3_3_B, MQTT_R4_4_7_3_1, MQTT_R5_4_7_3_1 };
    if (r->version == MQTT_V5 && !r->over && rd_left(r) == 0) {
        rd_fault(r, missing, r->pos, 0);
        r->over = true;
    }
    if (r->version == MQTT_V5)
        rd_props(r, &c->will_props, 0);
    size_t at = r->pos;
    c->will_topic = promised(r, missing);
    if (c->will_topic.ptr != NULL) {
        rd_check_name(r, c->will_topic, ill_formed, wildcard);
        if (c->will_topic.len == 0)
            rd_fault(r, empty, at, 2);
    }
    c->will_payload = promised(r, missing);
    check_will_format(r, c);
}

static void read_credentials(struct reader *r, struct mqtt_connect *c)
{
    static const struct rule3 no_username = { .v311 = MQTT_R4_3_1_2_19, .v5 = MQTT_R5_3_1_2_17 };
    static const struct rule3 no_password = { .v311 = MQTT_R4_3_1_2_21, .v5 = MQTT_R5_3_1_2_19 };
    static const struct rule3 ill_formed = { MQTT_S3_2_5_A, MQTT_R4_3_1_3_11, MQTT_R5_3_1_3_12 };
    static const struct rule3 long_name = { .v31 = MQTT_S3_3_1_F };
    if (c->has_username) { /* 3.1: Remaining Length wins over the flags, a promised field may be missing */
        c->username = promised(r, no_username);
        rd_check_text(r, c->username, ill_formed, RULE_TEXT_NUL);
        if (c->username.len > 0 && r->version == MQTT_V31 && utf8_characters(c->username) > 12)
            rd_fault(r, long_name, rd_offset(r, c->username), c->username.len);
    }
    if (c->has_password)
        c->password = promised(r, no_password);
}

/* How many length-prefixed fields, 1 or 2, fill the octets to the end exactly; 0 if they do not. */
static unsigned fields_left(const struct reader *r)
{
    struct cursor c = cur_over(r->octets + r->pos, rd_left(r));
    for (unsigned n = 1; n <= 2; n++) {
        cur_str16(&c);
        if (c.truncated)
            return 0;
        if (cur_left(&c) == 0)
            return n;
    }
    return 0;
}

/* Surplus octets that look like a field whose flag is 0 are told as that [3.1.1 MQTT-3.1.2-11, -18, -20; 5.0 -16, -18].
 */
static void judge_surplus(struct reader *r, const struct mqtt_connect *c)
{
    static const struct rule3 username = { .v311 = MQTT_R4_3_1_2_18, .v5 = MQTT_R5_3_1_2_16 };
    static const struct rule3 password = { .v311 = MQTT_R4_3_1_2_20, .v5 = MQTT_R5_3_1_2_18 };
    static const struct rule3 will = { .v311 = MQTT_R4_3_1_2_11 };
    if (r->over || rd_left(r) == 0)
        return;
    if (r->held < r->stop) { /* surplus for certain, but which rule it breaks shows at its end */
        r->p->cut = true;
        return;
    }
    unsigned n = r->version == MQTT_V31 ? 0 : fields_left(r);
    size_t at = r->pos, len = rd_left(r);
    size_t first = n == 2 ? (size_t)(r->octets[at] << 8 | r->octets[at + 1]) + 2 : len;
    if (n == 1 && c->has_username && !c->has_password) {
        rd_fault(r, password, at, len);
    } else if (n == 2 && c->has_username && c->has_password && !c->will && r->version == MQTT_V311) {
        rd_fault(r, will, at, len);
    } else if (n > 0 && !c->has_username && (n == 1 || !c->has_password)) {
        rd_fault(r, username, at, first);
        if (n == 2)
            rd_fault(r, password, at + first, len - first);
    } else {
        rd_end(r);
    }
}

void read_connect(struct reader *r)
{
    static const struct rule3 data_alone = { .v5 = MQTT_S5_3_1_2_11_10_A };
    struct mqtt_connect *c = &r->p->connect;
    memset(c, 0, sizeof *c);
    read_protocol(r, c);
    read_connect_flags(r, c);
    c->keep_alive_s = rd_u16(r);
    if (r->version == MQTT_V5) {
        struct mqtt_prop data;
        rd_props(r, &r->p->props, MQTT_CONNECT);
        bool method = (r->p->props.seen >> MQTT_PROP_AUTHENTICATION_METHOD & 1) != 0;
        if (!method && r->props_whole && mqtt_props_find(&r->p->props, MQTT_PROP_AUTHENTICATION_DATA, &data))
            rd_fault(r, data_alone, (size_t)(r->p->props.block.ptr - r->octets) + data.offset, data.len);
    }
    read_client_id(r, c);
    if (c->will)
        read_will(r, c);
    read_credentials(r, c);
    judge_surplus(r, c);
}

static void write_promised(struct writer *w, struct view v)
{
    if (v.ptr != NULL)
        wr_str16(w, v);
}

void write_connect(struct writer *w, const struct mqtt_packet *p)
{
    const struct mqtt_connect *c = &p->connect;
    wr_str16(w, c->protocol_name);
    wr_u8(w, c->level);
    wr_u8(w, c->flags);
    wr_u16(w, c->keep_alive_s);
    if (p->version == MQTT_V5)
        wr_props(w, &p->props);
    write_promised(w, c->client_id);
    if (p->version == MQTT_V5 && (c->will_props.block.ptr != NULL || c->will_topic.ptr != NULL))
        wr_props(w, &c->will_props);
    write_promised(w, c->will_topic);
    write_promised(w, c->will_payload);
    write_promised(w, c->username);
    write_promised(w, c->password);
}

enum answer { NO, YES, CUT /* it cannot be told */ };

/* A server that does not speak the client's version may refuse in the form of its own: 20 02 00 01 to a 5.0 CONNECT, or
 * 20 03 00 84 00 to a 3.1.1 one. That is a refusal, not a broken packet. */
static enum answer refusal_of_other_version(const struct reader *r)
{
    size_t len = rd_left(r), held = r->end - r->pos;
    const uint8_t *at = r->octets + r->pos;
    bool two = len == 2, v5 = r->version == MQTT_V5;
    if (v5 != two || len < 2 || (held > 0 && at[0] != 0))
        return NO;
    if (held < 2)
        return CUT;
    if (v5)
        return at[1] >= 1 && at[1] <= 5 ? YES : NO;
    if (at[1] < 0x80 || mqtt_reason_name(MQTT_CONNACK, at[1]) == NULL)
        return NO;
    uint32_t props = 0;
    int used = mqtt_vbi_read(view_of(at + 2, held - 2), &props);
    if (used == 0)
        return held < len ? CUT : NO;
    return used > 0 && (size_t)used + props == len - 2 ? YES : NO;
}

void read_connack(struct reader *r)
{
    static const struct rule3 reserved = { .v311 = MQTT_S4_3_2_2_1_A, .v5 = MQTT_R5_3_2_2_1 };
    static const struct rule3 present = { .v311 = MQTT_R4_3_2_2_4, .v5 = MQTT_R5_3_2_2_6 };
    static const struct rule3 unlisted = { MQTT_S3_3_2_A, MQTT_S4_3_2_2_3_A, MQTT_R5_3_2_2_8 };
    struct mqtt_connack *c = &r->p->connack;
    *c = (struct mqtt_connack){ 0 };
    enum answer other = refusal_of_other_version(r);
    if (other == YES)
        r->version = r->p->version = r->version == MQTT_V5 ? MQTT_V311 : MQTT_V5;
    if (other == CUT) {
        r->version = MQTT_VERSION_UNKNOWN;
        r->p->cut = true;
    }
    size_t at = r->pos;
    c->flags = rd_u8(r);
    c->session_present = (c->flags & 1) != 0;
    if (!r->over && (c->flags & 0xfe) != 0)
        rd_fault(r, reserved, at, 1);
    r->p->reason = rd_u8(r);
    r->p->has_reason = !r->over;
    if (r->p->has_reason) {
        bool listed = r->version == MQTT_V5 ? mqtt_reason_name(MQTT_CONNACK, r->p->reason) != NULL
                                            : mqtt_return_name(r->p->reason) != NULL;
        if (!listed)
            rd_fault(r, unlisted, at + 1, 1);
        if (r->p->reason != 0 && c->session_present)
            rd_fault(r, present, at, 1);
    }
    if (r->version == MQTT_V5)
        rd_props(r, &r->p->props, MQTT_CONNACK);
    rd_end(r);
}

void write_connack(struct writer *w, const struct mqtt_packet *p)
{
    wr_u8(w, p->connack.flags);
    wr_u8(w, p->reason);
    if (p->version == MQTT_V5)
        wr_props(w, &p->props);
}
