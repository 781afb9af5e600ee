/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/mqtt/usual.h -- packets in their usual form that break no rule: nearly all there are. That is seen at once,
 * without a reader that knows how to judge; private to decoder/mqtt/. Each false means: look closer. */
#pragma once
#include "decoder/mqtt/codec.h"

/* mqtt_decode() of any packet, right or wrong. What is told of a usual one is the same. */
void mqtt_decode_closely(struct view octets, struct mqtt_context context, struct mqtt_packet *p,
                         struct mqtt_verdicts *v);

/* The property block at octets[pos] of a PUBLISH that is whole. */
struct usual_props {
    uint32_t end; /* behind it; 0: look closer */
    bool text;    /* the payload says that it is UTF-8 */
};
struct usual_props usual_props(struct mqtt_packet *p, uint32_t pos);

/* The fixed header of a packet that is there whole, its length in the shortest form of one or two octets. */
static inline bool usual_header(struct view octets, struct mqtt_packet *p)
{
    if (octets.len < 4)
        return false;
    const uint8_t *at = octets.ptr;
    uint32_t remaining = at[1];
    p->header_len = 2;
    if (remaining >= 0x80) {
        if (at[2] == 0 || at[2] >= 0x80)
            return false;
        remaining = (remaining & 0x7f) | (uint32_t)at[2] << 7;
        p->header_len = 3;
    }
    p->octets = at;
    p->held = p->header_len + remaining;
    p->remaining = remaining;
    p->type = at[0] >> 4;
    p->flags = at[0] & 0x0f;
    return p->held <= octets.len;
}

static inline bool usual_puback(struct mqtt_packet *p)
{
    const uint8_t *at = p->octets + p->header_len;
    if (p->remaining != 2)
        return false;
    p->id = (uint16_t)(at[0] << 8 | at[1]);
    p->has_id = true;
    return p->id != 0;
}

static inline bool usual_publish(struct mqtt_packet *p)
{
    struct mqtt_publish *m = &p->publish;
    const uint8_t *at = p->octets + p->header_len;
    unsigned qos = p->flags >> 1 & 3;
    bool dup = (p->flags & 8) != 0;
    uint32_t name_len = (uint32_t)(at[0] << 8 | at[1]), pos = 2 + name_len; /* behind what is read, in the body */
    if (qos == 3 || (dup && qos == 0) || pos + 2 > p->remaining || name_len > 32767)
        return false;
    if (!rd_is_plain_name(view_of(at + 2, name_len)) && !rd_is_good_name(view_of(at + 2, name_len)))
        return false;
    if (qos > 0) {
        p->id = (uint16_t)(at[pos] << 8 | at[pos + 1]);
        p->has_id = true;
        pos += 2;
        if (p->id == 0)
            return false;
    }
    struct usual_props props = { .end = pos };
    if (p->version == MQTT_V5 && (props = usual_props(p, pos)).end == 0)
        return false;
    m->topic = view_of(at + 2, name_len);
    m->dup = dup;
    m->qos = (uint8_t)qos;
    m->retain = (p->flags & 1) != 0;
    m->payload_len = p->remaining - props.end;
    m->payload = view_of(at + props.end, m->payload_len);
    return !props.text || utf8_is_plain(m->payload);
}
