/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/filter/values.c -- the values of a field in a row: what the row holds at hand directly, all else from one
 * walk over the items that yields only what the filter asks for. */
#include "decoder/filter/parts.h"

static bool number(struct value *out, unsigned type, int64_t n)
{
    *out = (struct value){ .type = (uint8_t)type, .number = n };
    return true;
}

static bool address(struct value *out, const struct row_endpoint *e, unsigned family)
{
    if (e->addr.family != family)
        return false;
    *out = (struct value){ .type = family == 4 ? FIELD_IPV4 : FIELD_IPV6,
                           .text = view_of(e->addr.octets, family == 4 ? 4 : 16) };
    return true;
}

/* Fields of the envelope; `step` counts the values of the field. False: no such value. */
static bool envelope_value(const struct row *r, unsigned field, unsigned step, struct value *out)
{
    const struct row_endpoint *either = step == 0 ? &r->src : &r->dst;
    if (step > 1 || (step == 1 && field != FIELD_IP_ADDR && field != FIELD_IPV6_ADDR && field != FIELD_TCP_PORT))
        return false;
    switch (field) {
    case FIELD_FRAME_NUMBER:
        return number(out, FIELD_UINT, (int64_t)r->frame);
    case FIELD_FRAME_TIME_EPOCH:
    case FIELD_FRAME_TIME:
        return number(out, FIELD_TIME, r->time_ns);
    case FIELD_FRAME_TIME_RELATIVE:
        return number(out, FIELD_TIME, r->time_ns - r->time_start_ns);
    case FIELD_FRAME_TIME_DELTA:
        return number(out, FIELD_TIME, r->time_ns - r->time_before_ns);
    case FIELD_FRAME_LEN:
        return number(out, FIELD_UINT, r->frame_len);
    case FIELD_FRAME_INTERFACE_ID:
        return number(out, FIELD_UINT, r->interface_id);
    case FIELD_IP_SRC:
        return address(out, &r->src, 4);
    case FIELD_IP_DST:
        return address(out, &r->dst, 4);
    case FIELD_IP_ADDR:
        return address(out, either, 4);
    case FIELD_IPV6_SRC:
        return address(out, &r->src, 6);
    case FIELD_IPV6_DST:
        return address(out, &r->dst, 6);
    case FIELD_IPV6_ADDR:
        return address(out, either, 6);
    case FIELD_TCP_SRCPORT:
        return number(out, FIELD_UINT, r->src.port);
    case FIELD_TCP_DSTPORT:
        return number(out, FIELD_UINT, r->dst.port);
    case FIELD_TCP_PORT:
        return number(out, FIELD_UINT, either->port);
    case FIELD_TCP_STREAM:
        return number(out, FIELD_UINT, r->stream);
    default:
        return false;
    }
}

/* Fields that the decoded packet holds at hand. */
static bool packet_value(const struct row *r, unsigned field, unsigned step, struct value *out)
{
    const struct mqtt_packet *p = r->packet;
    if (step > 0 || r->kind != ROW_PACKET || p->held == 0)
        return false;
    switch (field) {
    case FIELD_MQTT_HDRFLAGS:
        return number(out, FIELD_UINT, p->octets[0]);
    case FIELD_MQTT_MSGTYPE:
        return number(out, FIELD_UINT, p->type);
    case FIELD_MQTT_LEN:
        return p->header_len > 1 && number(out, FIELD_UINT, p->remaining);
    case FIELD_MQTT_RETAIN:
        return p->type == MQTT_PUBLISH && number(out, FIELD_BOOL, p->flags & 1);
    case FIELD_MQTT_QOS:
        return number(out, FIELD_UINT, p->flags >> 1 & 3);
    case FIELD_MQTT_DUPFLAG:
        return number(out, FIELD_BOOL, p->flags >> 3);
    default: /* FIELD_MQTT_TOPIC of a PUBLISH */
        *out = (struct value){ .type = FIELD_STRING, .text = p->publish.topic };
        if (p->publish.topic.len == 0 && p->publish.topic.ptr != NULL && r->alias_topic.ptr != NULL)
            out->text = r->alias_topic;
        return p->publish.topic.ptr != NULL;
    }
}

/* PLACE_PUBLISH: at hand in a PUBLISH, by a walk elsewhere. */
enum place { PLACE_WALK, PLACE_ENVELOPE, PLACE_PACKET, PLACE_PUBLISH };

static enum place place_of(unsigned field)
{
    switch (field) {
    case FIELD_FRAME_NUMBER:
    case FIELD_FRAME_TIME_EPOCH:
    case FIELD_FRAME_TIME:
    case FIELD_FRAME_TIME_RELATIVE:
    case FIELD_FRAME_TIME_DELTA:
    case FIELD_FRAME_LEN:
    case FIELD_FRAME_INTERFACE_ID:
    case FIELD_IP_SRC:
    case FIELD_IP_DST:
    case FIELD_IP_ADDR:
    case FIELD_IPV6_SRC:
    case FIELD_IPV6_DST:
    case FIELD_IPV6_ADDR:
    case FIELD_TCP_SRCPORT:
    case FIELD_TCP_DSTPORT:
    case FIELD_TCP_PORT:
    case FIELD_TCP_STREAM:
        return PLACE_ENVELOPE;
    case FIELD_MQTT_HDRFLAGS:
    case FIELD_MQTT_MSGTYPE:
    case FIELD_MQTT_LEN:
    case FIELD_MQTT_RETAIN:
        return PLACE_PACKET;
    case FIELD_MQTT_TOPIC:
    case FIELD_MQTT_QOS:
    case FIELD_MQTT_DUPFLAG:
        return PLACE_PUBLISH;
    default:
        return PLACE_WALK;
    }
}

static bool is_publish(const struct row *r)
{
    return r->kind == ROW_PACKET && r->packet->type == MQTT_PUBLISH && r->packet->header_len > 0;
}

enum { ALL_TYPES = 0xffff };

#define IN(type) (1u << MQTT_##type)

/* The packet types that a walk could find the field in: the others are not walked for it. */
static unsigned types_of(unsigned field)
{
    if ((field >= FIELD_MQTT_PROTO_LEN && field <= FIELD_MQTT_PASSWD) && field != FIELD_MQTT_VER &&
        field != FIELD_MQTT_VER_SOURCE && field != FIELD_MQTT_CLIENTID)
        return IN(CONNECT);
    if (field >= FIELD_MQTT_CONACK_FLAGS && field <= FIELD_MQTT_CONACK_VAL)
        return IN(CONNACK);
    switch (field) {
    case FIELD_MQTT_QOS:
    case FIELD_MQTT_DUPFLAG:
    case FIELD_MQTT_RETAIN_RESERVED:
        return IN(PUBLISH) | IN(PUBREL) | IN(SUBSCRIBE) | IN(UNSUBSCRIBE);
    case FIELD_MQTT_TOPIC:
    case FIELD_MQTT_TOPIC_LEN:
        return IN(PUBLISH) | IN(SUBSCRIBE) | IN(UNSUBSCRIBE);
    case FIELD_MQTT_MSG:
    case FIELD_MQTT_MSG_TEXT:
    case FIELD_MQTT_MSG_LEN:
    case FIELD_MQTT_MSG_DECODED_AS:
        return IN(PUBLISH);
    case FIELD_MQTT_SUB_QOS:
    case FIELD_MQTT_SUBSCRIPTION_OPTIONS:
        return IN(SUBSCRIBE);
    case FIELD_MQTT_SUBACK_QOS:
    case FIELD_MQTT_SUBACK_REASON_CODE:
        return IN(SUBACK);
    case FIELD_MQTT_CONNACK_REASON_CODE:
        return IN(CONNACK);
    case FIELD_MQTT_DISCONNECT_REASON_CODE:
        return IN(DISCONNECT);
    default:
        return ALL_TYPES;
    }
}

static bool may_have(const struct row *r, unsigned field)
{
    return r->kind != ROW_PACKET || (types_of(field) >> (r->packet->type & 15) & 1) != 0;
}

void values_want(struct filter *f, unsigned field)
{
    enum place place = place_of(field);
    if (place == PLACE_WALK || place == PLACE_PUBLISH)
        field_set_add(&f->want, (enum field)field);
}

static struct value of_item(const struct item *i)
{
    return (struct value){ .type = i->type, .number = (int64_t)i->number, .text = i->text };
}

static void keep(struct filter *f, const struct item *i)
{
    struct slot *s = &f->slots[i->field];
    if (f->n_kept == POOL_SIZE) {
        s->spilled = true;
        return;
    }
    uint16_t at = f->n_kept++;
    f->pool[at] = (struct kept){ .value = of_item(i), .next = SLOT_NONE };
    if (s->first == SLOT_NONE)
        s->first = at;
    else
        f->pool[s->last].next = at;
    s->last = at;
}

/* Once a row: the values of every field the filter mentions. */
static void walk_row(struct filter *f, const struct row *row)
{
    struct item i;
    for (unsigned field = 0; field < FIELD_COUNT; field++)
        if (field_set_has(&f->want, (enum field)field))
            f->slots[field] = (struct slot){ .first = SLOT_NONE, .last = SLOT_NONE };
    f->n_kept = 0;
    f->walked = true;
    f->walk = item_walk_of(row, &f->want);
    while (item_next(&f->walk, &i))
        keep(f, &i);
}

void values_start(struct value_cursor *c, struct filter *f, const struct row *row, unsigned field)
{
    enum place place = place_of(field);
    c->filter = f;
    c->row = row;
    c->field = (uint16_t)field;
    c->step = 0;
    c->source = VALUES_DIRECT;
    if (place == PLACE_ENVELOPE || place == PLACE_PACKET || (place == PLACE_PUBLISH && is_publish(row)))
        return;
    c->source = VALUES_POOL;
    c->step = SLOT_NONE;
    if (!may_have(row, field))
        return;
    if (!f->walked)
        walk_row(f, row);
    c->step = f->slots[field].first;
    if (!f->slots[field].spilled)
        return;
    c->source = VALUES_WALK;
    c->only = (struct field_set){ { 0 } };
    field_set_add(&c->only, (enum field)field);
    c->walk = item_walk_of(row, &c->only);
}

bool values_next(struct value_cursor *c, struct value *out)
{
    struct item i;
    if (c->source == VALUES_DIRECT) {
        unsigned step = c->step++;
        return place_of(c->field) == PLACE_ENVELOPE ? envelope_value(c->row, c->field, step, out)
                                                    : packet_value(c->row, c->field, step, out);
    }
    if (c->source == VALUES_POOL) {
        if (c->step == SLOT_NONE)
            return false;
        const struct kept *k = &c->filter->pool[c->step];
        *out = k->value;
        c->step = k->next;
        return true;
    }
    if (!item_next(&c->walk, &i))
        return false;
    *out = of_item(&i);
    return true;
}
