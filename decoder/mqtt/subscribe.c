/* SPDX-License-Identifier: Apache-2.0
 *
 * SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK: sections 3.8 to 3.11 of both standards. */
#include "decoder/mqtt/codec.h"
#include "decoder/mqtt/topic.h"

static void check_filter(struct reader *r, struct view filter, size_t at, struct rule3 ill_formed)
{
    static const struct rule3 faults[] = {
        [TOPIC_EMPTY] = { MQTT_S3_3_3_B, MQTT_R4_4_7_3_1, MQTT_R5_4_7_3_1 },
        [TOPIC_HASH] = { MQTT_S3_A_A, MQTT_R4_4_7_1_2, MQTT_R5_4_7_1_1 },
        [TOPIC_PLUS] = { MQTT_S3_A_B, MQTT_R4_4_7_1_3, MQTT_R5_4_7_1_2 },
        [TOPIC_SHARE_NAME] = { .v5 = MQTT_R5_4_8_2_1 },
        [TOPIC_SHARE_FORM] = { .v5 = MQTT_R5_4_8_2_2 },
    };
    rd_check_text(r, filter, ill_formed, RULE_TOPIC_NUL);
    struct topic_result bad = topic_check_filter(filter, r->version == MQTT_V5);
    if (bad.fault == TOPIC_EMPTY)
        rd_fault(r, faults[TOPIC_EMPTY], at, 2);
    else if (bad.fault != TOPIC_OK)
        rd_fault(r, faults[bad.fault], rd_offset(r, filter) + bad.offset, bad.len);
}

static void check_options(struct reader *r, struct view filter, uint8_t options, size_t at)
{
    static const struct rule3 reserved = { .v311 = MQTT_R4_3_8_3_4, .v5 = MQTT_R5_3_8_3_5 };
    static const struct rule3 qos_3 = { MQTT_S3_3_8_B, MQTT_R4_3_8_3_4, MQTT_S5_3_8_3_1_A };
    uint8_t reserved_bits = r->version == MQTT_V5 ? 0xc0 : 0xfc;
    bool reserved_set = (options & reserved_bits) != 0;
    if (reserved_set)
        rd_fault(r, reserved, at, 1);
    if ((options & 3) == 3 && !(reserved_set && r->version == MQTT_V311)) /* 3.1.1: one statement covers both */
        rd_fault(r, qos_3, at, 1);
    if (r->version != MQTT_V5)
        return;
    if ((options & 0x30) == 0x30)
        rd_rule(r, MQTT_S5_3_8_3_1_B, at, 1);
    if ((options & 0x04) != 0 && topic_is_shared(filter))
        rd_rule(r, MQTT_R5_3_8_3_4, at, 1);
}

/* Topic Filters, each with its option octet in SUBSCRIBE, to the end of the packet. */
static void read_filters(struct reader *r, bool with_options, struct rule3 none, struct rule3 ill_formed)
{
    struct mqtt_list *list = &r->p->list;
    if (r->over)
        return;
    if (rd_left(r) == 0)
        rd_fault(r, none, r->pos, 0);
    struct reader rest = *r;
    list->payload = rd_rest(&rest);
    while (!r->over && rd_left(r) > 0) {
        size_t at = r->pos;
        struct view filter = rd_str16(r);
        if (filter.ptr == NULL)
            return;
        check_filter(r, filter, at, ill_formed);
        if (with_options) {
            size_t options_at = r->pos;
            uint8_t options = rd_u8(r);
            if (r->over)
                return;
            check_options(r, filter, options, options_at);
        }
        list->count++;
    }
}

void read_subscribe(struct reader *r)
{
    static const struct rule3 none = { MQTT_S3_3_8_A, MQTT_R4_3_8_3_3, MQTT_R5_3_8_3_2 };
    static const struct rule3 ill_formed = { MQTT_S3_2_5_A, MQTT_R4_3_8_3_1, MQTT_R5_3_8_3_1 };
    r->p->list = (struct mqtt_list){ 0 };
    rd_id(r, true);
    if (r->version == MQTT_V5)
        rd_props(r, &r->p->props, MQTT_SUBSCRIBE);
    read_filters(r, true, none, ill_formed);
}

void read_unsubscribe(struct reader *r)
{
    static const struct rule3 none = { MQTT_S3_3_10_A, MQTT_R4_3_10_3_2, MQTT_R5_3_10_3_2 };
    static const struct rule3 ill_formed = { MQTT_S3_2_5_A, MQTT_R4_3_10_3_1, MQTT_R5_3_10_3_1 };
    r->p->list = (struct mqtt_list){ 0 };
    rd_id(r, true);
    if (r->version == MQTT_V5)
        rd_props(r, &r->p->props, MQTT_UNSUBSCRIBE);
    read_filters(r, false, none, ill_formed);
}

bool mqtt_list_next(const struct mqtt_packet *p, size_t *pos, struct mqtt_filter *out)
{
    struct cursor c = cur_over(p->list.payload.ptr, p->list.payload.len);
    if (*pos >= c.end)
        return false;
    c.pos = *pos;
    *out = (struct mqtt_filter){ .offset = *pos, .has_options = p->type == MQTT_SUBSCRIBE };
    out->filter = cur_str16(&c);
    if (out->has_options)
        out->options = cur_u8(&c);
    if (c.truncated)
        return false;
    out->len = c.pos - *pos;
    *pos = c.pos;
    return true;
}

size_t mqtt_filter_write(uint8_t *buf, size_t len, size_t cap, const struct mqtt_filter *filter)
{
    size_t need = 2 + filter->filter.len + (filter->has_options ? 1 : 0);
    if (filter->filter.len > UINT16_MAX || len > cap || need > cap - len)
        return 0;
    struct writer w = { buf, cap, len, false };
    wr_str16(&w, filter->filter);
    if (filter->has_options)
        wr_u8(&w, filter->options);
    return w.n;
}

static void write_list(struct writer *w, const struct mqtt_packet *p)
{
    if (p->has_id)
        wr_u16(w, p->id);
    if (p->version == MQTT_V5)
        wr_props(w, &p->props);
    wr_octets(w, p->list.payload);
}

void write_subscribe(struct writer *w, const struct mqtt_packet *p)
{
    write_list(w, p);
}

void write_unsubscribe(struct writer *w, const struct mqtt_packet *p)
{
    write_list(w, p);
}

static void check_granted(struct reader *r, uint8_t code, size_t at)
{
    if (r->version == MQTT_V5) {
        if (mqtt_reason_name(MQTT_SUBACK, code) == NULL)
            rd_rule(r, MQTT_R5_3_9_3_2, at, 1);
    } else if (r->version == MQTT_V311) {
        if (code > 2 && code != 0x80)
            rd_rule(r, MQTT_R4_3_9_3_2, at, 1);
    } else if ((code & 3) == 3) {
        rd_rule(r, MQTT_S3_3_9_A, at, 1);
    } else if (code > 2) {
        rd_rule(r, MQTT_S3_3_9_B, at, 1);
    }
}

static void read_codes(struct reader *r)
{
    if (r->over)
        return;
    r->p->list.payload = rd_rest(r);
    r->p->list.count = (uint32_t)r->p->list.payload.len;
}

void read_suback(struct reader *r)
{
    static const struct rule3 none = { MQTT_S3_2_1_D, MQTT_R4_3_8_4_5, MQTT_R5_3_8_4_6 };
    struct mqtt_list *list = &r->p->list;
    *list = (struct mqtt_list){ 0 };
    rd_id(r, false);
    if (r->version == MQTT_V5)
        rd_props(r, &r->p->props, MQTT_SUBACK);
    if (!r->over && rd_left(r) == 0)
        rd_fault(r, none, r->pos, 0);
    read_codes(r);
    for (size_t i = 0; i < list->payload.len; i++)
        check_granted(r, list->payload.ptr[i], rd_offset(r, list->payload) + i);
}

void write_suback(struct writer *w, const struct mqtt_packet *p)
{
    write_list(w, p);
}

void read_unsuback(struct reader *r)
{
    struct mqtt_list *list = &r->p->list;
    *list = (struct mqtt_list){ 0 };
    rd_id(r, false);
    if (r->version != MQTT_V5) {
        rd_end(r);
        return;
    }
    rd_props(r, &r->p->props, MQTT_UNSUBACK);
    if (!r->over && rd_left(r) == 0)
        rd_rule(r, MQTT_S5_3_11_3_A, r->pos, 0);
    read_codes(r);
    for (size_t i = 0; i < list->payload.len; i++)
        if (mqtt_reason_name(MQTT_UNSUBACK, list->payload.ptr[i]) == NULL)
            rd_rule(r, MQTT_R5_3_11_3_2, rd_offset(r, list->payload) + i, 1);
}

void write_unsuback(struct writer *w, const struct mqtt_packet *p)
{
    write_list(w, p);
}
