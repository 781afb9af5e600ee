/* SPDX-License-Identifier: Apache-2.0
 *
 * The fixed header (3.1.1 section 2.2, 5.0 section 2.1) and the way to each packet type's reader and writer. */
#include "decoder/mqtt/packet.h"

#include "decoder/mqtt/usual.h"

static void check_direction(struct reader *r)
{
    static const struct rule3 wrong_way = { MQTT_S3_2_1_B, MQTT_S4_2_2_1_B, MQTT_S5_2_1_2_B };
    enum mqtt_side may_send = mqtt_type_sender(r->p->type, r->version);
    if (r->sender != MQTT_NOBODY && may_send != MQTT_NOBODY && (may_send & r->sender) == 0)
        rd_fault(r, wrong_way, 0, 1);
}

static void check_flags(struct reader *r)
{
    static const struct rule3 reserved = { MQTT_RULE_NONE, MQTT_R4_2_2_2_1, MQTT_R5_2_1_3_1 };
    static const struct rule3 own[16] = {
        /* the types with a statement of their own */
        [MQTT_PUBREL] = { MQTT_S3_2_1_G, MQTT_R4_3_6_1_1, MQTT_R5_3_6_1_1 },
        [MQTT_SUBSCRIBE] = { MQTT_S3_2_1_G, MQTT_R4_3_8_1_1, MQTT_R5_3_8_1_1 },
        [MQTT_UNSUBSCRIBE] = { MQTT_S3_2_1_G, MQTT_R4_3_10_1_1, MQTT_R5_3_10_1_1 },
        [MQTT_DISCONNECT] = { MQTT_RULE_NONE, MQTT_R4_3_14_1_1, MQTT_R5_3_14_1_1 },
        [MQTT_AUTH] = { .v5 = MQTT_R5_3_15_1_1 },
    };
    unsigned type = r->p->type, flags = r->p->flags;
    if (type == MQTT_PUBLISH)
        return;
    if (r->version ==
        MQTT_V31) /* DUP, QoS and RETAIN are in every header; only the QoS of these three means something */
        flags &= own[type].v31 != MQTT_RULE_NONE ? 6u : 0u;
    if (flags != (r->version == MQTT_V31 && own[type].v31 == MQTT_RULE_NONE ? 0 : mqtt_type_flags(type)))
        rd_fault(r, own[type].v5 != MQTT_RULE_NONE ? own[type] : reserved, 0, 1);
}

static inline void read_body(struct reader *r)
{
    switch ((enum mqtt_type)r->p->type) {
    case MQTT_CONNECT:
        read_connect(r);
        break;
    case MQTT_CONNACK:
        read_connack(r);
        break;
    case MQTT_PUBLISH:
        read_publish(r);
        break;
    case MQTT_PUBACK:
    case MQTT_PUBREC:
    case MQTT_PUBREL:
    case MQTT_PUBCOMP:
        read_puback(r);
        break;
    case MQTT_SUBSCRIBE:
        read_subscribe(r);
        break;
    case MQTT_SUBACK:
        read_suback(r);
        break;
    case MQTT_UNSUBSCRIBE:
        read_unsubscribe(r);
        break;
    case MQTT_UNSUBACK:
        read_unsuback(r);
        break;
    case MQTT_PINGREQ:
    case MQTT_PINGRESP:
        rd_end(r);
        break;
    case MQTT_DISCONNECT:
        read_disconnect(r);
        break;
    case MQTT_AUTH:
        read_auth(r);
        break;
    case MQTT_RESERVED:
        break;
    }
}

/* What nearly every packet's first octet is: its type's own flags, sent by a side that may. Spares the two checks. */
static bool is_usual_octet(const struct reader *r)
{
    static const struct {
        uint8_t senders[2], flags; /* senders in 3.x and 5.0 */
    } usual[16] = {
#define TYPE(value, sym, name, v4, v5, flags) [value] = { { MQTT_##v4, MQTT_##v5 }, flags },
#include "decoder/mqtt/types.def"
    };
    unsigned type = r->p->type;
    bool may_send = (usual[type].senders[r->version == MQTT_V5] & r->sender) == r->sender;
    return may_send &&
           (type == MQTT_PUBLISH || (r->p->flags == usual[type].flags && type != MQTT_RESERVED && type != MQTT_AUTH));
}

RARELY static void judge_header(struct reader *r)
{
    static const struct rule3 reserved_type = { MQTT_S3_2_1_A, MQTT_S4_2_2_1_A, MQTT_S5_2_1_2_A };
    struct mqtt_packet *p = r->p;
    if (p->type == MQTT_CONNECT) { /* its version is known only behind its level: read first, judge the header then */
        read_body(r);
        check_direction(r);
        check_flags(r);
    } else if (mqtt_type_sender(p->type, r->version) == MQTT_NOBODY) {
        rd_fault(r, reserved_type, 0, 1);
    } else {
        check_direction(r);
        check_flags(r);
        read_body(r);
    }
}

__attribute__((noinline)) void mqtt_decode_closely(struct view octets, struct mqtt_context context,
                                                   struct mqtt_packet *p, struct mqtt_verdicts *v)
{
    static const struct rule3 padded = { MQTT_S3_2_1_H, MQTT_S4_2_2_3_C, MQTT_R5_1_5_5_1 };
    static const struct rule3 length_5 = { MQTT_S3_2_1_C, MQTT_S4_2_2_3_A, MQTT_S5_1_5_5_A };
    p->octets = octets.ptr;
    p->held = (uint32_t)octets.len;
    p->remaining = 0;
    p->header_len = 0;
    p->type = p->flags = 0;
    p->version = context.version >= MQTT_V31 && context.version <= MQTT_V5 ? context.version : MQTT_V311;
    p->cut = p->has_id = p->has_reason = false;
    p->reason = 0;
    p->id = 0;
    p->props = (struct mqtt_props){ { NULL, 0 }, 0 };
    struct reader r = { .octets = octets.ptr,
                        .held = octets.len,
                        .stop = octets.len,
                        .version = p->version,
                        .sender = context.sender,
                        .p = p,
                        .v = v };
    if (octets.len < 2) {
        p->cut = true;
        p->connect = (struct mqtt_connect){ .level = 0 }; /* the largest of the union: nothing in it is left unset */
        return;
    }
    p->type = octets.ptr[0] >> 4;
    p->flags = octets.ptr[0] & 0x0f;
    int used = 1;
    if (octets.ptr[1] < 0x80)
        p->remaining = octets.ptr[1];
    else
        used = mqtt_vbi_read(view_of(octets.ptr + 1, octets.len - 1), &p->remaining);
    if (used <= 0) {
        p->remaining = 0;
        p->cut = used == 0;
        p->connect = (struct mqtt_connect){ .level = 0 };
        if (used < 0)
            rd_fault(&r, length_5, 1, 4);
        return;
    }
    p->header_len = (uint8_t)(1 + used);
    r.pos = p->header_len;
    r.stop = (size_t)p->header_len + p->remaining;
    if (r.held > r.stop)
        p->held = (uint32_t)(r.held = r.stop);
    r.end = r.held;
    if (p->type != MQTT_CONNECT && is_usual_octet(&r))
        read_body(&r);
    else
        judge_header(&r);
    if (used > 1 && mqtt_vbi_size(p->remaining) != (size_t)used)
        rd_fault(&r, padded, 1, (size_t)used);
}

/* PUBLISH and its acknowledgements are nearly all there is. False: look closer; *p is of no meaning. */
static inline bool decode_usual(struct view octets, struct mqtt_context context, struct mqtt_packet *p)
{
    if (context.version < MQTT_V31 || context.version > MQTT_V5 || !usual_header(octets, p))
        return false;
    p->version = context.version;
    p->cut = p->has_id = p->has_reason = false;
    p->reason = 0;
    p->id = 0;
    p->props = (struct mqtt_props){ { NULL, 0 }, 0 };
    if (p->type == MQTT_PUBLISH)
        return usual_publish(p);
    bool acknowledges = p->type >= MQTT_PUBACK && p->type <= MQTT_PUBCOMP;
    return acknowledges && p->flags == (p->type == MQTT_PUBREL ? 2 : 0) && usual_puback(p);
}

void mqtt_decode(struct view octets, struct mqtt_context context, struct mqtt_packet *p, struct mqtt_verdicts *v)
{
    if (!decode_usual(octets, context, p))
        mqtt_decode_closely(octets, context, p, v);
}

static void write_body(struct writer *w, const struct mqtt_packet *p)
{
    switch ((enum mqtt_type)p->type) {
    case MQTT_CONNECT:
        write_connect(w, p);
        break;
    case MQTT_CONNACK:
        write_connack(w, p);
        break;
    case MQTT_PUBLISH:
        write_publish(w, p);
        break;
    case MQTT_PUBACK:
    case MQTT_PUBREC:
    case MQTT_PUBREL:
    case MQTT_PUBCOMP:
        write_puback(w, p);
        break;
    case MQTT_SUBSCRIBE:
        write_subscribe(w, p);
        break;
    case MQTT_SUBACK:
        write_suback(w, p);
        break;
    case MQTT_UNSUBSCRIBE:
        write_unsubscribe(w, p);
        break;
    case MQTT_UNSUBACK:
        write_unsuback(w, p);
        break;
    case MQTT_DISCONNECT:
        write_disconnect(w, p);
        break;
    case MQTT_AUTH:
        write_auth(w, p);
        break;
    case MQTT_PINGREQ:
    case MQTT_PINGRESP:
    case MQTT_RESERVED:
        break;
    }
}

size_t mqtt_encode(const struct mqtt_packet *p, uint8_t *out, size_t cap)
{
    struct writer count = { NULL, 0, 0, false };
    write_body(&count, p);
    if (count.too_long || count.n > MQTT_REMAINING_MAX)
        return 0;
    size_t total = 1 + mqtt_vbi_size((uint32_t)count.n) + count.n;
    if (total > cap)
        return total;
    struct writer w = { out, cap, 0, false };
    wr_u8(&w, (unsigned)p->type << 4 | (p->flags & 0x0fu));
    wr_vbi(&w, (uint32_t)count.n);
    write_body(&w, p);
    return total;
}
