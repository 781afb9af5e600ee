/* SPDX-License-Identifier: Apache-2.0 */
#include "decoder/mqtt/codec.h"

#include <string.h>

#include "decoder/mqtt/topic.h"

const struct rule3 RULE_SURPLUS = { MQTT_S3_2_1_D, MQTT_S4_2_2_3_B, MQTT_S5_2_1_4_A };
const struct rule3 RULE_TEXT_NUL = { MQTT_S3_2_5_A, MQTT_R4_1_5_3_2, MQTT_R5_1_5_4_2 };
const struct rule3 RULE_TOPIC_NUL = { MQTT_S3_2_5_A, MQTT_R4_4_7_3_2, MQTT_R5_4_7_3_2 };
static const struct rule3 PAST_END = { MQTT_S3_2_1_E, MQTT_S4_1_5_3_B, MQTT_S5_1_5_X_A };
static const struct rule3 DISCOURAGED = { MQTT_RULE_NONE, MQTT_S4_1_5_3_A, MQTT_S5_1_5_4_A };

void mqtt_verdict_add(struct mqtt_verdicts *v, enum mqtt_rule rule, enum mqtt_severity severity, unsigned side,
                      size_t offset, size_t length)
{
    if (v == NULL || rule == MQTT_RULE_NONE)
        return;
    if (v->n >= v->cap) {
        v->lost++;
        return;
    }
    v->at[v->n++] = (struct mqtt_verdict){
        .rule = (uint16_t)rule,
        .side = (uint8_t)side,
        .severity = severity != MQTT_SEVERITY_NONE ? (uint8_t)severity : mqtt_rule_info(rule)->severity,
        .offset = (uint32_t)offset,
        .length = (uint32_t)length,
    };
}

/* A field may be declared longer than it is at hand: the verdict covers what is there. */
static void add(struct reader *r, unsigned rule, enum mqtt_severity severity, size_t offset, size_t length)
{
    size_t at = offset < r->held ? offset : r->held;
    size_t len = length < r->held - at ? length : r->held - at;
    mqtt_verdict_add(r->v, (enum mqtt_rule)rule, severity, r->sender, at, len);
}

void rd_fault(struct reader *r, struct rule3 rules, size_t offset, size_t length)
{
    unsigned rule = r->version == MQTT_V5 ? rules.v5 : r->version == MQTT_V311 ? rules.v311 : rules.v31;
    if (r->version == MQTT_VERSION_UNKNOWN) /* cut before the octet that tells it */
        return;
    add(r, rule, MQTT_SEVERITY_NONE, offset, length);
}

void rd_rule(struct reader *r, enum mqtt_rule rule, size_t offset, size_t length)
{
    add(r, rule, MQTT_SEVERITY_NONE, offset, length);
}

void rd_lower(struct reader *r, enum mqtt_rule rule, enum mqtt_severity severity, size_t offset, size_t length)
{
    add(r, rule, severity, offset, length);
}

bool rd_short(struct reader *r, size_t n)
{
    if (r->over)
        return false;
    r->over = true;
    if (n <= r->stop - r->pos)
        r->p->cut = true;
    else
        rd_fault(r, RULE_SURPLUS, r->pos, r->stop - r->pos);
    return false;
}

struct view rd_short_string(struct reader *r, size_t len)
{
    r->over = true;
    if (len > r->stop - r->pos - 2)
        rd_fault(r, PAST_END, r->pos, r->stop - r->pos);
    else
        r->p->cut = true;
    return (struct view){ NULL, 0 };
}

void rd_check_text(struct reader *r, struct view text, struct rule3 ill_formed, struct rule3 nul)
{
    if (utf8_is_plain(text))
        return;
    struct utf8_result bad = utf8_check(text);
    if (bad.worst == UTF8_OK)
        return;
    size_t base = rd_offset(r, text);
    if (bad.worst == UTF8_DISCOURAGED) {
        rd_fault(r, DISCOURAGED, base + bad.offset, bad.len);
        return;
    }
    if (bad.worst == UTF8_ILL_FORMED)
        rd_fault(r, ill_formed, base + bad.offset, bad.len);
    const uint8_t *zero = memchr(text.ptr, 0, text.len);
    if (zero != NULL && r->version != MQTT_V31)
        rd_fault(r, nul, (size_t)(zero - r->octets), 1);
}

void rd_check_name(struct reader *r, struct view name, struct rule3 ill_formed, struct rule3 wildcard)
{
    if (rd_is_plain_name(name))
        return;
    rd_check_text(r, name, ill_formed, RULE_TOPIC_NUL);
    struct topic_result bad = topic_check_name(name);
    if (bad.fault == TOPIC_WILDCARD)
        rd_fault(r, wildcard, rd_offset(r, name) + bad.offset, bad.len);
}

bool rd_is_good_name(struct view name)
{
    return name.len > 0 && utf8_check(name).worst == UTF8_OK && topic_check_name(name).fault == TOPIC_OK;
}

void rd_zero_id(struct reader *r, bool request)
{
    static const struct rule3 from_client = { MQTT_S3_2_3_A, MQTT_R4_2_3_1_1, MQTT_R5_2_2_1_3 };
    static const struct rule3 from_server = { MQTT_S3_2_3_A, MQTT_R4_2_3_1_1, MQTT_R5_2_2_1_4 };
    static const struct rule3 of_answer = { MQTT_S3_2_3_B, MQTT_S4_2_3_1_A, MQTT_S5_2_2_1_A };
    rd_fault(r, !request ? of_answer : r->sender == MQTT_SERVER ? from_server : from_client, r->pos - 2, 2);
}

void wr_octets(struct writer *w, struct view v)
{
    if (w->buf != NULL && v.len > 0)
        memcpy(w->buf + w->n, v.ptr, v.len);
    w->n += v.len;
}

void wr_u8(struct writer *w, unsigned value)
{
    uint8_t octet = (uint8_t)value;
    wr_octets(w, view_of(&octet, 1));
}

void wr_u16(struct writer *w, unsigned value)
{
    uint8_t octets[2] = { (uint8_t)(value >> 8), (uint8_t)value };
    wr_octets(w, view_of(octets, 2));
}

void wr_u32(struct writer *w, uint32_t value)
{
    wr_u16(w, value >> 16);
    wr_u16(w, value & 0xffff);
}

void wr_vbi(struct writer *w, uint32_t value)
{
    uint8_t octets[4];
    wr_octets(w, view_of(octets, mqtt_vbi_write(value, octets)));
}

void wr_str16(struct writer *w, struct view v)
{
    if (v.len > UINT16_MAX)
        w->too_long = true;
    wr_u16(w, (unsigned)v.len);
    wr_octets(w, v);
}

void wr_props(struct writer *w, const struct mqtt_props *props)
{
    if (props->block.len > MQTT_REMAINING_MAX)
        w->too_long = true;
    wr_vbi(w, (uint32_t)props->block.len);
    wr_octets(w, props->block);
}
