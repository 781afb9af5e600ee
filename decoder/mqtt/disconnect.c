/* SPDX-License-Identifier: Apache-2.0
 *
 * DISCONNECT: section 3.14 of both standards. AUTH: 5.0 section 3.15. */
#include "decoder/mqtt/codec.h"

void read_disconnect(struct reader *r)
{
    if (r->version != MQTT_V5 || rd_left(r) == 0) {
        rd_end(r);
        return;
    }
    size_t at = r->pos;
    unsigned code = r->p->reason = rd_u8(r);
    r->p->has_reason = !r->over;
    if (r->p->has_reason && mqtt_reason_name(MQTT_DISCONNECT, code) == NULL)
        rd_rule(r, MQTT_R5_3_14_2_1, at, 1);
    else if (r->p->has_reason && r->sender != MQTT_NOBODY && (mqtt_disconnect_sender(code) & r->sender) == 0)
        rd_rule(r, MQTT_S5_3_14_2_1_A, at, 1);
    if (rd_left(r) > 0)
        rd_props(r, &r->p->props, MQTT_DISCONNECT);
    rd_end(r);
}

void write_disconnect(struct writer *w, const struct mqtt_packet *p)
{
    if (p->version != MQTT_V5)
        return;
    if (p->has_reason || p->props.block.ptr != NULL)
        wr_u8(w, p->reason);
    if (p->props.block.ptr != NULL)
        wr_props(w, &p->props);
}

/* Remaining Length 0 leaves everything out (3.15.2.1), though the method is mandatory (3.15.2.2.2): decodable, warned
 * of. */
void read_auth(struct reader *r)
{
    if (rd_left(r) == 0) {
        rd_lower(r, MQTT_S5_3_15_2_2_2_A, MQTT_SEVERITY_WARNING, 0, r->pos);
        return;
    }
    size_t at = r->pos;
    unsigned code = r->p->reason = rd_u8(r);
    r->p->has_reason = !r->over;
    if (r->over)
        return;
    if (mqtt_reason_name(MQTT_AUTH, code) == NULL)
        rd_rule(r, MQTT_R5_3_15_2_1, at, 1);
    if ((code == 0x00 && r->sender == MQTT_CLIENT) || (code == 0x19 && r->sender == MQTT_SERVER))
        rd_rule(r, MQTT_S5_3_15_2_1_A, at, 1);
    if (rd_left(r) == 0) { /* a reason code alone has no basis in the text */
        rd_fault(r, RULE_SURPLUS, at, 1);
        return;
    }
    size_t props_at = r->pos;
    rd_props(r, &r->p->props, MQTT_AUTH);
    if (r->props_whole && (r->p->props.seen >> MQTT_PROP_AUTHENTICATION_METHOD & 1) == 0)
        rd_rule(r, MQTT_S5_3_15_2_2_2_A, props_at, r->pos - props_at);
    rd_end(r);
}

void write_auth(struct writer *w, const struct mqtt_packet *p)
{
    if (!p->has_reason && p->props.block.ptr == NULL)
        return;
    wr_u8(w, p->reason);
    if (p->props.block.ptr != NULL)
        wr_props(w, &p->props);
}
