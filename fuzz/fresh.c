/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/fresh.h"

#include <string.h>

static struct view text(const char *s)
{
    return view_of(s, strlen(s));
}

static struct view pick(struct mutator *m, const char *const *pool, size_t n)
{
    return text(pool[mutator_below(m, (uint32_t)n)]);
}
#define PICK(m, pool) pick(m, pool, sizeof(pool) / sizeof *(pool))

static const char *const names[] = { "a",      "a/b",  "a/b/c",       "t/1",   "/",
                                     "$SYS/x", "b//c", "say \"x\"\\", "a.b/*", "gr\xc3\xbc\xc3\x9f/\xf0\x9f\x98\x80" };
static const char *const filters[] = { "a", "a/b", "#", "+", "a/+", "a/#", "+/b/+", "$SYS/#", "t/1" };
static const char *const filters_v5[] = { "a/#", "$share/g/a/#", "$share/h/t/1", "+/+", "a/b" };
static const char *const payloads[] = { "", "x", "{\"n\":1}", "on", "0123456789abcdef0123456789abcdef" };
static const char *const ids[] = { "c1", "c2", "c3", "sensor-17" };

bool draft_property(struct draft *d, bool will, const struct mqtt_prop *prop)
{
    struct mqtt_props *props = will ? &d->p.connect.will_props : &d->p.props;
    uint8_t *block = will ? d->will_props : d->props;
    size_t cap = will ? sizeof d->will_props : sizeof d->props;
    if (props->block.ptr == NULL)
        props->block = view_of(block, 0);
    size_t len = mqtt_prop_write(block, props->block.len, cap, prop);
    if (len == 0)
        return false;
    props->block.len = len;
    return true;
}

struct mqtt_prop draft_value(struct mutator *m, unsigned id)
{
    static const char *const texts[] = { "", "text", "k\xc3\xbc", "challenge" };
    static const uint32_t limits[] = { UINT32_MAX, UINT32_MAX - 1, 1u << 31, INT32_MAX, UINT32_MAX / 1000 + 1 };
    bool limit = mutator_below(m, 8) == 0; /* the most that it can be, or what overflows where it is counted */
    struct mqtt_prop prop = { .id = id, .wire = (uint8_t)mqtt_prop_info(id)->wire };
    switch ((enum mqtt_wire)prop.wire) {
    case MQTT_WIRE_BYTE:
        prop.number = mutator_below(m, 2);
        break;
    case MQTT_WIRE_U16:
        prop.number = limit ? UINT16_MAX : 1 + mutator_below(m, 5);
        break;
    case MQTT_WIRE_VBI:
        prop.number = limit ? MQTT_REMAINING_MAX : 1 + mutator_below(m, 5);
        break;
    case MQTT_WIRE_U32:
        prop.number = mutator_below(m, 2) ? 1 + mutator_below(m, 100) : 100000;
        prop.number = limit ? limits[mutator_below(m, 5)] : prop.number;
        break;
    default:
        prop.text = id == MQTT_PROP_RESPONSE_TOPIC ? PICK(m, names) : PICK(m, texts);
        prop.value = PICK(m, texts);
        break;
    }
    if (id == MQTT_PROP_AUTHENTICATION_METHOD)
        prop.text = text("SIMPLE");
    return prop;
}

static bool allowed_here(const struct draft *d, unsigned id, unsigned where)
{
    const struct mqtt_prop_info *info = mqtt_prop_info(id);
    bool by_server = d->scene.sender == MQTT_SERVER;
    if (info->name == NULL || (info->allowed & MQTT_IN(where)) == 0)
        return false;
    if (where == MQTT_PUBLISH && id == MQTT_PROP_SUBSCRIPTION_IDENTIFIER)
        return by_server;
    if (where == MQTT_DISCONNECT && id == MQTT_PROP_SESSION_EXPIRY_INTERVAL)
        return !by_server;
    if (where == MQTT_DISCONNECT && id == MQTT_PROP_SERVER_REFERENCE)
        return by_server;
    return id != MQTT_PROP_AUTHENTICATION_METHOD && id != MQTT_PROP_AUTHENTICATION_DATA;
}

static void random_props(struct mutator *m, struct draft *d, bool will, unsigned where)
{
    for (unsigned id = 1; id < MQTT_PROP_LIMIT; id++) {
        if (!allowed_here(d, id, where) || mutator_below(m, 5) != 0)
            continue;
        struct mqtt_prop prop = draft_value(m, id);
        draft_property(d, will, &prop);
    }
    if (where == MQTT_AUTH || ((where == MQTT_CONNECT || where == MQTT_CONNACK) && mutator_below(m, 12) == 0)) {
        struct mqtt_prop method = draft_value(m, MQTT_PROP_AUTHENTICATION_METHOD);
        draft_property(d, will, &method);
    }
}

void draft_will(struct mutator *m, struct draft *d)
{
    struct mqtt_connect *c = &d->p.connect;
    c->will = true;
    c->flags = (uint8_t)((c->flags & 0xc3) | 0x04 | mutator_below(m, 3) << 3 | mutator_below(m, 2) << 5);
    c->will_topic = PICK(m, names);
    c->will_payload = PICK(m, payloads);
    if (d->scene.version == MQTT_V5)
        random_props(m, d, true, MQTT_RESERVED);
}

static void fresh_connect(struct mutator *m, struct draft *d)
{
    struct mqtt_connect *c = &d->p.connect;
    *c = (struct mqtt_connect){ 0 };
    c->protocol_name = text(d->scene.version == MQTT_V31 ? "MQIsdp" : "MQTT");
    c->level = d->scene.version;
    c->flags = mutator_below(m, 4) != 0 ? 0x02 : 0;
    c->keep_alive_s = (uint16_t)(mutator_below(m, 2) ? 60 : mutator_below(m, 10));
    c->client_id = PICK(m, ids);
    if (mutator_below(m, 4) == 0)
        draft_will(m, d);
    if (mutator_below(m, 4) == 0) {
        c->flags |= 0x80;
        c->username = text("user");
        if (mutator_below(m, 2)) {
            c->flags |= 0x40;
            c->password = text("pass");
        }
    }
}

static uint8_t random_reason(struct mutator *m, const struct draft *d)
{
    bool client = d->scene.sender == MQTT_CLIENT;
    if (mutator_below(m, 3) != 0 && d->p.type != MQTT_AUTH)
        return 0;
    for (unsigned tries = 0; tries < 2000; tries++) {
        unsigned code = mutator_below(m, 256);
        bool sender_may = d->p.type != MQTT_DISCONNECT || (mqtt_disconnect_sender(code) & d->scene.sender) != 0;
        bool wrong_side = (code == 0x10 && client) || (d->p.type == MQTT_AUTH && code == (client ? 0x00 : 0x19));
        if (mqtt_reason_name(d->p.type, code) != NULL && sender_may && !wrong_side)
            return (uint8_t)code;
    }
    return d->p.type == MQTT_AUTH ? 0x18 : 0;
}

bool draft_filter(struct draft *d, struct view filter, unsigned options)
{
    struct mqtt_list *list = &d->p.list;
    struct mqtt_filter entry = { .filter = filter,
                                 .options = (uint8_t)options,
                                 .has_options = d->p.type == MQTT_SUBSCRIBE };
    if (list->payload.ptr == NULL)
        list->payload = view_of(d->list, 0);
    size_t len = mqtt_filter_write(d->list, list->payload.len, sizeof d->list, &entry);
    if (len > 0)
        list->payload.len = len;
    return len > 0;
}

static void fresh_filters(struct mutator *m, struct draft *d)
{
    d->p.list = (struct mqtt_list){ 0 };
    for (unsigned n = 1 + mutator_below(m, 3); n > 0; n--) {
        bool v5 = d->scene.version == MQTT_V5;
        struct view filter = v5 && mutator_below(m, 2) ? PICK(m, filters_v5) : PICK(m, filters);
        unsigned options = mutator_below(m, 3);
        bool shared = filter.len > 7 && memcmp(filter.ptr, "$share/", 7) == 0;
        if (v5)
            options |= mutator_below(m, 2) << 3 | mutator_below(m, 3) << 4 | (shared ? 0 : mutator_below(m, 2) << 2);
        draft_filter(d, filter, options);
    }
}

static void fresh_codes(struct mutator *m, struct draft *d)
{
    size_t n = d->p.type == MQTT_UNSUBACK && d->scene.version != MQTT_V5 ? 0 : 1 + mutator_below(m, 3);
    for (size_t i = 0; i < n; i++)
        d->list[i] = d->p.type == MQTT_SUBACK ? (uint8_t)mutator_below(m, 3) : mutator_below(m, 2) ? 0x11 : 0;
    d->p.list = (struct mqtt_list){ view_of(d->list, n), (uint32_t)n };
}

static void fresh_publish(struct mutator *m, struct draft *d)
{
    unsigned qos = mutator_below(m, 3);
    d->p.flags = (uint8_t)(qos << 1 | mutator_below(m, 4) / 3);
    d->p.publish = (struct mqtt_publish){ .topic = PICK(m, names), .payload = PICK(m, payloads) };
    d->p.has_id = qos > 0;
}

bool draft_fresh(struct mutator *m, struct draft *d, struct mutator_scene scene, unsigned type)
{
    if (type > 15 || (mqtt_type_sender(type, scene.version) & scene.sender) == 0)
        return false;
    struct mqtt_packet *p = &d->p;
    memset(p, 0, sizeof *p);
    d->scene = scene;
    p->type = (uint8_t)type;
    p->version = scene.version;
    p->flags = mqtt_type_flags(type);
    p->id = (uint16_t)(1 + mutator_below(m, 4));
    p->has_id = (type >= MQTT_PUBACK && type <= MQTT_UNSUBACK);
    bool v5 = scene.version == MQTT_V5;
    switch ((enum mqtt_type)type) {
    case MQTT_CONNECT:
        fresh_connect(m, d);
        break;
    case MQTT_PUBLISH:
        fresh_publish(m, d);
        break;
    case MQTT_SUBSCRIBE:
    case MQTT_UNSUBSCRIBE:
        fresh_filters(m, d);
        break;
    case MQTT_SUBACK:
    case MQTT_UNSUBACK:
        fresh_codes(m, d);
        break;
    case MQTT_CONNACK:
        p->reason = v5 ? random_reason(m, d) : (uint8_t)(mutator_below(m, 4) ? 0 : mutator_below(m, 6));
        p->connack.flags = p->reason == 0 ? (uint8_t)mutator_below(m, 2) : 0;
        break;
    default:
        p->has_reason = v5 && (type == MQTT_AUTH || mutator_below(m, 2) != 0);
        p->reason = p->has_reason ? random_reason(m, d) : 0;
        break;
    }
    bool short_form = type == MQTT_DISCONNECT || (type >= MQTT_PUBACK && type <= MQTT_PUBCOMP);
    if (v5 && type != MQTT_PINGREQ && type != MQTT_PINGRESP && (!short_form || p->has_reason))
        random_props(m, d, false, type);
    return true;
}

bool draft_take_apart(struct draft *d, struct mutator_scene scene, struct view source)
{
    mqtt_decode(source, (struct mqtt_context){ scene.version, scene.sender }, &d->p, NULL);
    d->scene = scene;
    if (d->p.header_len == 0 || d->p.cut || d->p.header_len + (size_t)d->p.remaining != source.len)
        return false;
    bool listed = d->p.type >= MQTT_SUBSCRIBE && d->p.type <= MQTT_UNSUBACK;
    struct view *views[] = { &d->p.props.block, d->p.type == MQTT_CONNECT ? &d->p.connect.will_props.block : NULL,
                             listed ? &d->p.list.payload : NULL };
    uint8_t *homes[] = { d->props, d->will_props, d->list };
    const size_t caps[] = { sizeof d->props, sizeof d->will_props, sizeof d->list };
    for (unsigned i = 0; i < 3; i++) {
        if (views[i] == NULL || views[i]->ptr == NULL)
            continue;
        if (views[i]->len > caps[i])
            return false;
        if (views[i]->len > 0)
            memcpy(homes[i], views[i]->ptr, views[i]->len);
        views[i]->ptr = homes[i];
    }
    return true;
}

size_t mutator_fresh(struct mutator *m, struct mutator_scene scene, unsigned type, uint8_t *out, size_t cap)
{
    struct draft d;
    if (!draft_fresh(m, &d, scene, type))
        return 0;
    size_t n = mqtt_encode(&d.p, out, cap);
    return n <= cap ? n : 0;
}

size_t mutator_fresh_any(struct mutator *m, struct mutator_scene scene, uint8_t *out, size_t cap)
{
    for (unsigned tries = 0; tries < 64; tries++) {
        size_t n = mutator_fresh(m, scene, 1 + mutator_below(m, 15), out, cap);
        if (n > 0)
            return n;
    }
    return 0;
}
