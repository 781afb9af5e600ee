/* SPDX-License-Identifier: Apache-2.0
 *
 * PUBLISH: section 3.3 of both standards. PUBACK, PUBREC, PUBREL, PUBCOMP: sections 3.4 to 3.7. */
#include "decoder/mqtt/codec.h"
#include "decoder/mqtt/topic.h"

static void read_publish_flags(struct reader *r, struct mqtt_publish *m)
{
    static const struct rule3 qos_3 = { MQTT_S3_2_1_F, MQTT_R4_3_3_1_4, MQTT_R5_3_3_1_4 };
    static const struct rule3 dup_qos_0 = { MQTT_S3_3_3_D, MQTT_R4_3_3_1_2, MQTT_R5_3_3_1_2 };
    m->dup = (r->p->flags & 8) != 0;
    m->qos = r->p->flags >> 1 & 3;
    m->retain = (r->p->flags & 1) != 0;
    if (m->qos == 3)
        rd_fault(r, qos_3, 0, 1);
    if (m->dup && m->qos == 0)
        rd_fault(r, dup_qos_0, 0, 1);
}

RARELY static void check_topic(struct reader *r, struct view topic)
{
    static const struct rule3 ill_formed = { MQTT_S3_2_5_A, MQTT_R4_3_3_2_1, MQTT_R5_3_3_2_1 };
    static const struct rule3 wildcard = { MQTT_S3_3_3_A, MQTT_R4_3_3_2_2, MQTT_R5_3_3_2_2 };
    static const struct rule3 too_long = { .v31 = MQTT_S3_3_3_C };
    if (topic.ptr == NULL)
        return;
    rd_check_name(r, topic, ill_formed, wildcard);
    if (r->version == MQTT_V31 && topic.len > 32767 && utf8_characters(topic) > 32767)
        rd_fault(r, too_long, rd_offset(r, topic), topic.len);
}

static void check_payload_format(struct reader *r, const struct mqtt_publish *m)
{
    if (r->payload_format != 1 || r->p->cut || utf8_is_plain(m->payload))
        return;
    struct utf8_result bad = utf8_check(m->payload);
    if (bad.worst == UTF8_ILL_FORMED)
        rd_rule(r, MQTT_S5_3_3_2_3_2_C, rd_offset(r, m->payload) + bad.offset, bad.len);
}

void read_publish(struct reader *r)
{
    static const struct rule3 empty = { MQTT_S3_3_3_B, MQTT_R4_4_7_3_1, MQTT_RULE_NONE };
    struct mqtt_publish *m = &r->p->publish;
    *m = (struct mqtt_publish){ 0 };
    read_publish_flags(r, m);
    size_t topic_at = r->pos;
    m->topic = rd_str16(r);
    if (m->topic.ptr != NULL && (!rd_is_plain_name(m->topic) || m->topic.len > 32767))
        check_topic(r, m->topic);
    bool topic_empty = m->topic.ptr != NULL && m->topic.len == 0;
    if (topic_empty)
        rd_fault(r, empty, topic_at, 2);
    if (m->qos == 3) { /* no form says where the payload begins */
        r->p->id = rd_left(r) >= 2 ? rd_u16(r) : 0;
        r->p->has_id = false;
    } else if (m->qos > 0) {
        rd_id(r, true);
    }
    if (r->version == MQTT_V5) {
        rd_props(r, &r->p->props, MQTT_PUBLISH);
        if (topic_empty && r->props_whole && (r->p->props.seen >> MQTT_PROP_TOPIC_ALIAS & 1) == 0)
            rd_rule(r, MQTT_S5_3_3_2_1_A, topic_at, 2);
    }
    if (r->over)
        return;
    m->payload_len = (uint32_t)rd_left(r);
    m->payload = rd_rest(r);
    if (r->version == MQTT_V5)
        check_payload_format(r, m);
}

void write_publish(struct writer *w, const struct mqtt_packet *p)
{
    wr_str16(w, p->publish.topic);
    if (p->has_id)
        wr_u16(w, p->id);
    if (p->version == MQTT_V5)
        wr_props(w, &p->props);
    wr_octets(w, p->publish.payload);
}

/* 5.0: Remaining Length 2 leaves the reason code 0x00 and the properties out, 3 the properties. */
void read_puback(struct reader *r)
{
    static const uint16_t unlisted[] = { MQTT_R5_3_4_2_1, MQTT_R5_3_5_2_1, MQTT_R5_3_6_2_1, MQTT_R5_3_7_2_1 };
    unsigned type = r->p->type;
    rd_id(r, false);
    if (r->version != MQTT_V5 || rd_left(r) == 0) {
        rd_end(r);
        return;
    }
    size_t at = r->pos;
    r->p->reason = rd_u8(r);
    r->p->has_reason = !r->over;
    if (r->p->has_reason && mqtt_reason_name(type, r->p->reason) == NULL)
        rd_rule(r, (enum mqtt_rule)unlisted[type - MQTT_PUBACK], at, 1);
    if (r->p->reason == 0x10 && type <= MQTT_PUBREC && r->sender == MQTT_CLIENT)
        rd_rule(r, MQTT_S5_3_4_2_B, at, 1);
    if (rd_left(r) > 0)
        rd_props(r, &r->p->props, type);
    rd_end(r);
}

void write_puback(struct writer *w, const struct mqtt_packet *p)
{
    if (p->has_id)
        wr_u16(w, p->id);
    if (p->version != MQTT_V5)
        return;
    if (p->has_reason || p->props.block.ptr != NULL)
        wr_u8(w, p->reason);
    if (p->props.block.ptr != NULL)
        wr_props(w, &p->props);
}
