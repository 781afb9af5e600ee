/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/show/item_body.c -- variable header and payload of each packet type as items, in wire order.
 *
 * w->pos is the offset in the packet of what comes next. A field that is not at hand (cut, or beyond its block) ends
 * the body, because what would follow it has no place. */
#include "decoder/base/utf8.h"
#include "decoder/show/item_parts.h"

/* A number of `len` octets at w->pos. */
static enum walked number_here(struct item_walk *w, struct item *out, enum field f, unsigned depth, uint64_t number,
                               size_t len)
{
    if (len > item_end(w->row->packet) - w->pos)
        return WALK_END;
    item_number(out, f, depth, number, w->pos, len);
    w->pos += len;
    return WALK_ITEM;
}

/* Bits of the octet just read, shown below it. */
static enum walked bits(struct item_walk *w, struct item *out, enum field f, unsigned number)
{
    return item_number(out, f, 2, number, w->pos - 1, 1);
}

/* A string with its length in front. */
static enum walked string16(struct item_walk *w, struct item *out, unsigned depth, struct view v, enum field length,
                            enum field f)
{
    const struct mqtt_packet *p = w->row->packet;
    if (w->inner++ == 0) {
        if (item_end(p) - w->pos < 2)
            return WALK_END;
        const uint8_t *at = p->octets + w->pos;
        item_number(out, length, depth, (unsigned)(at[0] << 8 | at[1]), w->pos, 2);
        w->pos += 2;
        return WALK_MORE;
    }
    if (v.ptr == NULL)
        return WALK_END;
    item_octets(out, f, depth, p, v);
    w->pos += v.len;
    return WALK_ITEM;
}

/* The same octets once more as text, if text they are. */
static enum walked text_again(struct item_walk *w, struct item *out, enum field f, struct view v)
{
    if (v.ptr == NULL || v.len == 0 || !item_wanted(w, f) || utf8_check(v).worst > UTF8_DISCOURAGED)
        return WALK_SKIP;
    return item_again(out, item_octets(out, f, 1, w->row->packet, v));
}

static enum walked packet_id(struct item_walk *w, struct item *out)
{
    const struct mqtt_packet *p = w->row->packet;
    return p->has_id ? number_here(w, out, FIELD_MQTT_MSGID, 1, p->id, 2) : WALK_SKIP;
}

/* Some bits of an octet. */
struct part {
    uint16_t field;
    uint8_t shift, mask;
};

static enum walked part_of(struct item_walk *w, struct item *out, const struct part *part, unsigned octet)
{
    return bits(w, out, (enum field)part->field, octet >> part->shift & part->mask);
}

static enum walked connect_flags(struct item_walk *w, struct item *out, const struct mqtt_connect *c)
{
    static const struct part parts[] = { { FIELD_MQTT_CONFLAG_UNAME, 7, 1 },    { FIELD_MQTT_CONFLAG_PASSWD, 6, 1 },
                                         { FIELD_MQTT_CONFLAG_RETAIN, 5, 1 },   { FIELD_MQTT_CONFLAG_QOS, 3, 3 },
                                         { FIELD_MQTT_CONFLAG_WILLFLAG, 2, 1 }, { FIELD_MQTT_CONFLAG_CLEANSESS, 1, 1 },
                                         { FIELD_MQTT_CONFLAG_RESERVED, 0, 1 } };
    enum { PARTS = sizeof parts / sizeof parts[0] };
    uint32_t n = w->inner++;
    enum walked did =
        n == 0 ? number_here(w, out, FIELD_MQTT_CONFLAGS, 1, c->flags, 1) : part_of(w, out, &parts[n - 1], c->flags);
    return did == WALK_ITEM && n < PARTS ? WALK_MORE : did;
}

static enum walked connect_will(struct item_walk *w, struct item *out, const struct mqtt_connect *c)
{
    switch (w->step) {
    case 6:
        return item_walk_props(w, out, &c->will_props, true);
    case 7:
        return string16(w, out, 1, c->will_topic, FIELD_MQTT_WILLTOPIC_LEN, FIELD_MQTT_WILLTOPIC);
    case 8:
        return string16(w, out, 1, c->will_payload, FIELD_MQTT_WILLMSG_LEN, FIELD_MQTT_WILLMSG);
    default:
        return text_again(w, out, FIELD_MQTT_WILLMSG_TEXT, c->will_payload);
    }
}

/* The form behind a level that no standard knows is unknown: what follows is not read. */
static bool known_level(unsigned level)
{
    return (level & 0x7f) >= MQTT_V31 && (level & 0x7f) <= MQTT_V5; /* 0x80: bridges mark themselves with it */
}

static enum walked connect(struct item_walk *w, struct item *out)
{
    const struct mqtt_packet *p = w->row->packet;
    const struct mqtt_connect *c = &p->connect;
    switch (w->step) {
    case 0:
        return string16(w, out, 1, c->protocol_name, FIELD_MQTT_PROTO_LEN, FIELD_MQTT_PROTONAME);
    case 1:
        return number_here(w, out, FIELD_MQTT_VER, 1, c->level, 1);
    case 2:
        return known_level(c->level) ? connect_flags(w, out, c) : WALK_END;
    case 3:
        return number_here(w, out, FIELD_MQTT_KALIVE, 1, c->keep_alive_s, 2);
    case 4:
        return item_walk_props(w, out, &p->props, false);
    case 5:
        return string16(w, out, 1, c->client_id, FIELD_MQTT_CLIENTID_LEN, FIELD_MQTT_CLIENTID);
    case 6:
    case 7:
    case 8:
    case 9:
        return c->will ? connect_will(w, out, c) : WALK_SKIP;
    case 10:
        return c->has_username ? string16(w, out, 1, c->username, FIELD_MQTT_USERNAME_LEN, FIELD_MQTT_USERNAME)
                               : WALK_SKIP;
    case 11:
        return c->has_password ? string16(w, out, 1, c->password, FIELD_MQTT_PASSWD_LEN, FIELD_MQTT_PASSWD) : WALK_SKIP;
    default:
        return WALK_END;
    }
}

static enum walked connack(struct item_walk *w, struct item *out)
{
    const struct mqtt_packet *p = w->row->packet;
    unsigned flags = p->connack.flags;
    bool old = p->version == MQTT_V31; /* the octet has no flags there */
    switch (w->step) {
    case 0:
        if (old)
            return number_here(w, out, FIELD_MQTT_CONACK_FLAGS_RESERVED, 1, flags != 0, 1);
        return number_here(w, out, FIELD_MQTT_CONACK_FLAGS, 1, flags, 1);
    case 1:
        return old ? WALK_SKIP : bits(w, out, FIELD_MQTT_CONACK_FLAGS_RESERVED, flags >> 1 != 0);
    case 2:
        return old ? WALK_SKIP : bits(w, out, FIELD_MQTT_CONACK_FLAGS_SP, flags & 1);
    case 3:
        return number_here(w, out, p->version == MQTT_V5 ? FIELD_MQTT_CONNACK_REASON_CODE : FIELD_MQTT_CONACK_VAL, 1,
                           p->reason, 1);
    case 4:
        return item_walk_props(w, out, &p->props, false);
    default:
        return WALK_END;
    }
}

static const char *payload_form(struct view v)
{
    if (v.len == 0 || utf8_check(v).worst > UTF8_DISCOURAGED)
        return "bytes";
    uint8_t first = v.ptr[0], last = v.ptr[v.len - 1];
    return (first == '{' && last == '}') || (first == '[' && last == ']') ? "json" : "text";
}

/* The Topic Name; an empty one gives the topic of its Topic Alias, as far as that is known, at the same place. */
static enum walked publish_topic(struct item_walk *w, struct item *out)
{
    const struct row *r = w->row;
    struct view topic = r->packet->publish.topic;
    bool resolved = w->inner == 1 && topic.ptr != NULL && topic.len == 0 && r->alias_topic.ptr != NULL;
    enum walked did = string16(w, out, 1, topic, FIELD_MQTT_TOPIC_LEN, FIELD_MQTT_TOPIC);
    if (resolved && did == WALK_ITEM)
        out->text = r->alias_topic;
    return did;
}

static enum walked publish_marks(struct item_walk *w, struct item *out)
{
    const struct mqtt_packet *p = w->row->packet;
    bool empty = p->publish.topic.ptr != NULL && p->publish.topic.len == 0;
    bool alias = p->props.block.ptr != NULL && (p->props.seen >> MQTT_PROP_TOPIC_ALIAS & 1) != 0;
    if (w->step == 1)
        return empty && !alias ? item_number(out, FIELD_MQTT_ILLEGAL_TOPIC_LENGTH, 1, 1, w->pos - 2, 2) : WALK_SKIP;
    return empty && alias && w->row->alias_topic.ptr == NULL
               ? item_number(out, FIELD_MQTT_UNKNOWN_TOPIC_ALIAS, 1, 1, 0, 0)
               : WALK_SKIP;
}

static enum walked publish(struct item_walk *w, struct item *out)
{
    const struct mqtt_packet *p = w->row->packet;
    const struct mqtt_publish *m = &p->publish;
    switch (w->step) {
    case 0:
        return publish_topic(w, out);
    case 1:
    case 2:
        return publish_marks(w, out);
    case 3:
        return packet_id(w, out);
    case 4:
        return item_walk_props(w, out, &p->props, false);
    case 5:
        if (m->payload.ptr == NULL)
            return WALK_END;
        return item_number(out, FIELD_MQTT_MSG_LEN, 1, m->payload_len, (size_t)(m->payload.ptr - p->octets), 0);
    case 6:
        return item_octets(out, FIELD_MQTT_MSG, 1, p, m->payload);
    case 7:
        return text_again(w, out, FIELD_MQTT_MSG_TEXT, m->payload);
    case 8:
        if (!item_wanted(w, FIELD_MQTT_MSG_DECODED_AS) || m->payload.len == 0)
            return WALK_SKIP;
        return item_again(out, item_static(out, FIELD_MQTT_MSG_DECODED_AS, 1, payload_form(m->payload)));
    default:
        return WALK_END;
    }
}

/* PUBACK to PUBCOMP, DISCONNECT and AUTH: an id perhaps, a reason code perhaps, properties perhaps. */
static enum walked answer(struct item_walk *w, struct item *out, enum field reason)
{
    const struct mqtt_packet *p = w->row->packet;
    switch (w->step) {
    case 0:
        return packet_id(w, out);
    case 1:
        return p->has_reason ? number_here(w, out, reason, 1, p->reason, 1) : WALK_SKIP;
    case 2:
        return item_walk_props(w, out, &p->props, false);
    default:
        return WALK_END;
    }
}

static enum walked options(struct item_walk *w, struct item *out)
{
    static const struct part parts[] = { { FIELD_MQTT_SUBSCRIPTION_OPTIONS_RESERVED, 6, 3 },
                                         { FIELD_MQTT_SUBSCRIPTION_OPTIONS_RETAIN, 4, 3 },
                                         { FIELD_MQTT_SUBSCRIPTION_OPTIONS_RAP, 3, 1 },
                                         { FIELD_MQTT_SUBSCRIPTION_OPTIONS_NL, 2, 1 },
                                         { FIELD_MQTT_SUBSCRIPTION_OPTIONS_QOS, 0, 3 } };
    enum { FIRST = 4, PARTS = sizeof parts / sizeof parts[0] };
    uint32_t n = w->inner++;
    if (n < FIRST)
        number_here(w, out, FIELD_MQTT_SUBSCRIPTION_OPTIONS, 1, w->filter.options, 1);
    else
        part_of(w, out, &parts[n - FIRST], w->filter.options);
    w->inner = n + 1 < FIRST + PARTS ? n + 1 : 0;
    return WALK_MORE;
}

/* The entries of SUBSCRIBE and UNSUBSCRIBE: inner 0 and 1 are length and filter, 2 the empty filter, 3 and on the
 * options. */
static enum walked filters(struct item_walk *w, struct item *out)
{
    const struct mqtt_packet *p = w->row->packet;
    if (w->inner == 0 && !mqtt_list_next(p, &w->list_pos, &w->filter))
        return WALK_END;
    if (w->inner < 2) {
        enum walked did = string16(w, out, 1, w->filter.filter, FIELD_MQTT_TOPIC_LEN, FIELD_MQTT_TOPIC);
        if (w->inner == 2 && w->filter.filter.len > 0)
            w->inner = w->filter.has_options ? 3 : 0;
        return did == WALK_ITEM ? WALK_MORE : did;
    }
    if (w->inner == 2) {
        w->inner = w->filter.has_options ? 3 : 0;
        item_number(out, FIELD_MQTT_ILLEGAL_TOPIC_LENGTH, 1, 1, w->pos - 2, 2);
        return WALK_MORE;
    }
    if (p->version == MQTT_V5)
        return options(w, out);
    w->inner = 0;
    return number_here(w, out, FIELD_MQTT_SUB_QOS, 1, w->filter.options, 1) == WALK_END ? WALK_END : WALK_MORE;
}

static enum walked request(struct item_walk *w, struct item *out)
{
    switch (w->step) {
    case 0:
        return packet_id(w, out);
    case 1:
        return item_walk_props(w, out, &w->row->packet->props, false);
    case 2:
        return filters(w, out);
    default:
        return WALK_END;
    }
}

static enum walked codes(struct item_walk *w, struct item *out, enum field f)
{
    const struct mqtt_packet *p = w->row->packet;
    struct view payload = p->list.payload;
    if (payload.ptr == NULL || w->list_pos >= payload.len)
        return WALK_END;
    enum walked did = number_here(w, out, f, 1, payload.ptr[w->list_pos++], 1);
    return did == WALK_ITEM ? WALK_MORE : did;
}

static enum walked grants(struct item_walk *w, struct item *out, enum field f)
{
    switch (w->step) {
    case 0:
        return packet_id(w, out);
    case 1:
        return item_walk_props(w, out, &w->row->packet->props, false);
    case 2:
        return codes(w, out, f);
    default:
        return WALK_END;
    }
}

enum walked item_walk_body(struct item_walk *w, struct item *out)
{
    const struct mqtt_packet *p = w->row->packet;
    switch (p->type) {
    case MQTT_CONNECT:
        return connect(w, out);
    case MQTT_CONNACK:
        return connack(w, out);
    case MQTT_PUBLISH:
        return publish(w, out);
    case MQTT_PUBACK:
        return answer(w, out, FIELD_MQTT_PUBACK_REASON_CODE);
    case MQTT_PUBREC:
        return answer(w, out, FIELD_MQTT_PUBREC_REASON_CODE);
    case MQTT_PUBREL:
        return answer(w, out, FIELD_MQTT_PUBREL_REASON_CODE);
    case MQTT_PUBCOMP:
        return answer(w, out, FIELD_MQTT_PUBCOMP_REASON_CODE);
    case MQTT_SUBSCRIBE:
    case MQTT_UNSUBSCRIBE:
        return request(w, out);
    case MQTT_SUBACK:
        return grants(w, out, p->version == MQTT_V5 ? FIELD_MQTT_SUBACK_REASON_CODE : FIELD_MQTT_SUBACK_QOS);
    case MQTT_UNSUBACK:
        return grants(w, out, FIELD_MQTT_UNSUBACK_REASON_CODE);
    case MQTT_DISCONNECT:
        return answer(w, out, FIELD_MQTT_DISCONNECT_REASON_CODE);
    case MQTT_AUTH:
        return answer(w, out, FIELD_MQTT_AUTH_REASON_CODE);
    default:
        return WALK_END;
    }
}
