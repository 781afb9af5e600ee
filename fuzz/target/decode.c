/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/target/decode.c -- one packet through the codec. Claims: every view and every verdict lies inside the octets; no
 * verdict is lost uncounted; a packet that the capture cut is not accused of anything that the whole one is not; a
 * verdict given while the version is unknown holds in every version that is possible; what is told of a usual packet at
 * once is what a close look tells. */
#include "fuzz/target/target.h"

#include "decoder/mqtt/conn.h"
#include "decoder/mqtt/packet.h"
#include "decoder/mqtt/usual.h"

const struct fuzz_target fuzz_target = { "decode", FUZZ_PACKET };

enum { VERDICTS = 64 };

static bool inside(struct view v, struct view octets)
{
    return v.ptr == NULL || (v.ptr >= octets.ptr && v.len <= octets.len && v.ptr + v.len <= octets.ptr + octets.len);
}

static void check_props(const struct mqtt_props *props, struct view octets)
{
    struct mqtt_prop_walk walk = mqtt_props_walk(props);
    struct mqtt_prop prop, found;
    size_t at = 0;
    HOLDS(inside(props->block, octets));
    while (mqtt_props_next(&walk, &prop)) {
        HOLDS(prop.offset == at && prop.len > 0 && prop.len <= props->block.len - at);
        HOLDS(inside(prop.text, octets) && inside(prop.value, octets));
        HOLDS(mqtt_prop_info(prop.id)->name != NULL && mqtt_props_find(props, prop.id, &found));
        at += prop.len;
    }
}

static void check_list(const struct mqtt_packet *p, struct view octets)
{
    struct mqtt_filter filter;
    uint32_t n = 0;
    size_t pos = 0;
    HOLDS(inside(p->list.payload, octets));
    if (p->type != MQTT_SUBSCRIBE && p->type != MQTT_UNSUBSCRIBE)
        return;
    while (mqtt_list_next(p, &pos, &filter)) {
        HOLDS(inside(filter.filter, octets) && filter.offset + filter.len <= p->list.payload.len);
        n++;
    }
    HOLDS(n == p->list.count);
}

static void check_fields(const struct mqtt_packet *p, struct view octets)
{
    if (p->header_len == 0)
        return;
    HOLDS(p->held <= octets.len && (p->cut || p->held == p->header_len + p->remaining || p->held == octets.len));
    check_props(&p->props, octets);
    switch ((enum mqtt_type)p->type) {
    case MQTT_CONNECT:
        check_props(&p->connect.will_props, octets);
        HOLDS(inside(p->connect.protocol_name, octets) && inside(p->connect.client_id, octets));
        HOLDS(inside(p->connect.will_topic, octets) && inside(p->connect.will_payload, octets));
        HOLDS(inside(p->connect.username, octets) && inside(p->connect.password, octets));
        break;
    case MQTT_PUBLISH:
        HOLDS(inside(p->publish.topic, octets) && inside(p->publish.payload, octets));
        HOLDS(p->publish.payload.len <= p->publish.payload_len || p->publish.payload.ptr == NULL);
        break;
    case MQTT_SUBSCRIBE:
    case MQTT_SUBACK:
    case MQTT_UNSUBSCRIBE:
    case MQTT_UNSUBACK:
        check_list(p, octets);
        break;
    default:
        break;
    }
}

static void check_verdicts(const struct mqtt_verdicts *v, size_t len, unsigned sender)
{
    for (uint32_t i = 0; i < v->n; i++) {
        HOLDS((uint64_t)v->at[i].offset + v->at[i].length <= len);
        HOLDS(v->at[i].rule > MQTT_RULE_NONE && v->at[i].rule < MQTT_RULE_COUNT);
        HOLDS(v->at[i].severity >= MQTT_SEVERITY_NOTE && v->at[i].severity <= MQTT_SEVERITY_ERROR);
        HOLDS(v->at[i].side == sender);
        HOLDS(mqtt_rule_info(v->at[i].rule)->fault[0] != '\0');
    }
}

static bool has(const struct mqtt_verdicts *v, const struct mqtt_verdict *one)
{
    for (uint32_t i = 0; i < v->n; i++)
        if (v->at[i].rule == one->rule && v->at[i].offset == one->offset)
            return true;
    return false;
}

/* A packet of which the capture has only the beginning. */
static void check_cut(struct view octets, struct mqtt_context context, const struct mqtt_verdicts *whole, size_t len)
{
    struct mqtt_verdict at[VERDICTS];
    struct mqtt_verdicts v = { at, VERDICTS, 0, 0 };
    struct mqtt_packet p;
    struct view part = view_of(octets.ptr, len);
    mqtt_decode(part, context, &p, &v);
    check_fields(&p, part);
    check_verdicts(&v, part.len, context.sender);
    for (uint32_t k = 0; k < v.n && whole->lost == 0; k++)
        HOLDS(has(whole, &v.at[k]));
}

static bool same(struct view a, struct view b)
{
    return a.ptr == b.ptr && a.len == b.len;
}

/* Only PUBLISH and its acknowledgements have a usual form; of the others the close look was the only one. */
static void check_closely(struct view octets, struct mqtt_context context, const struct mqtt_packet *p,
                          const struct mqtt_verdicts *v)
{
    struct mqtt_verdicts count = { NULL, 0, 0, 0 };
    struct mqtt_packet close;
    mqtt_decode_closely(octets, context, &close, &count);
    HOLDS(v->n + v->lost == count.lost);
    HOLDS(p->octets == close.octets && p->held == close.held && p->remaining == close.remaining);
    HOLDS(p->header_len == close.header_len && p->type == close.type && p->flags == close.flags);
    HOLDS(p->version == close.version && p->cut == close.cut);
    HOLDS(p->has_id == close.has_id && p->id == close.id);
    HOLDS(p->has_reason == close.has_reason && p->reason == close.reason);
    HOLDS(same(p->props.block, close.props.block) && p->props.seen == close.props.seen);
    if (p->type != MQTT_PUBLISH || p->header_len == 0)
        return;
    HOLDS(p->publish.dup == close.publish.dup && p->publish.retain == close.publish.retain);
    HOLDS(p->publish.qos == close.publish.qos && same(p->publish.topic, close.publish.topic));
    HOLDS(same(p->publish.payload, close.publish.payload) && p->publish.payload_len == close.publish.payload_len);
}

/* No room for verdicts: all of them are counted. */
static void check_count(struct view octets, struct mqtt_context context, const struct mqtt_verdicts *whole)
{
    struct mqtt_verdicts count = { NULL, 0, 0, 0 };
    struct mqtt_packet p;
    mqtt_decode(octets, context, &p, &count);
    HOLDS(whole->n + whole->lost == count.lost);
}

/* The first packet of a connection of which nothing is known; `version` is one that it might have (0: not asked). */
static void check_unknown(struct view octets, unsigned version)
{
    struct mqtt_verdict at[VERDICTS];
    struct mqtt_verdicts v = { at, VERDICTS, 0, 0 }, count = { NULL, 0, 0, 0 };
    struct mqtt_conn conn;
    struct mqtt_packet p;
    mqtt_conn_init(&conn);
    mqtt_conn_packet(&conn, 0, octets, &p, &v);
    check_fields(&p, octets);
    if (v.n == 0 || conn.source == MQTT_SOURCE_CONNECT || (conn.possible >> version & 1) == 0 || version == 0)
        return;
    mqtt_decode(octets, (struct mqtt_context){ (uint8_t)version, MQTT_NOBODY }, &p, &count);
    HOLDS(count.lost > 0);
}

/* One claim an execution, chosen by the scene: what is decoded five times is fuzzed at a fifth of the speed. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct fuzz_scene scene = fuzz_scene(data[0]);
    struct mqtt_context context = { scene.version, scene.sender };
    struct mqtt_verdict at[VERDICTS];
    struct mqtt_verdicts v = { at, VERDICTS, 0, 0 };
    struct view octets = view_of(data + 1, size - 1);
    size_t cuts[] = { octets.len / 4, octets.len / 2, octets.len - (octets.len > 9 ? 9 : octets.len),
                      octets.len - (octets.len > 0) };
    struct mqtt_packet p;
    if (scene.rest >= 14) {
        check_unknown(octets, scene.version);
        return 0;
    }
    mqtt_decode(octets, context, &p, &v);
    check_fields(&p, octets);
    check_verdicts(&v, octets.len, context.sender);
    if (scene.rest >= 12)
        check_count(octets, context, &v);
    else if (scene.rest >= 8)
        check_cut(octets, context, &v, cuts[scene.rest - 8]);
    else if (scene.rest >= 4)
        check_closely(octets, context, &p, &v);
    return 0;
}
