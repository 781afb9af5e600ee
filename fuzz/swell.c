/* SPDX-License-Identifier: Apache-2.0
 *
 * One part of a packet made long: what is counted, copied, searched or gone through level by level. */
#include "fuzz/mutator.h"

#include <string.h>

#include "fuzz/fresh.h"

enum { SWELL_MAX = 7900, FILTER_MORE = 3, SOURCE_MAX = 4096, FILTERS_MAX = 300 }; /* with its packet in 8192 octets */

static struct view text(const char *s)
{
    return view_of(s, strlen(s));
}

/* Around the borders of counts and buffers. */
static size_t length(struct mutator *m)
{
    static const uint16_t lengths[] = { 24, 64, 127, 128, 129, 255, 256, 257, 512, 1024, 2048, 4096, 6000, SWELL_MAX };
    return mutator_below(m, 2) ? SWELL_MAX : lengths[mutator_below(m, sizeof lengths / sizeof *lengths)];
}

/* What was there, and whole units behind it, as many as fit n octets. */
static struct view repeat(struct view was, struct view unit, size_t n, uint8_t *out)
{
    size_t len = was.len;
    if (len > 0)
        memcpy(out, was.ptr, len);
    for (; unit.len > 0 && len + unit.len <= n; len += unit.len)
        memcpy(out + len, unit.ptr, unit.len);
    return view_of(out, len);
}

static void swell_string(struct mutator *m, struct view *string, uint8_t *out)
{
    static const char *const units[] = { "x", "/", "/a", "/+", "\xc3\xa4" };
    if (string->ptr != NULL)
        *string = repeat(*string, text(units[mutator_below(m, 5)]), length(m), out);
}

static void swell_props(struct mutator *m, struct draft *d, struct mqtt_props *props, uint8_t *out)
{
    static const uint8_t empty[] = { 0x26, 0, 0, 0, 0 }, pair[] = { 0x26, 0, 1, 'k', 0, 1, 'v' };
    struct view was = props->block.ptr != NULL ? props->block : view_of(out, 0);
    struct view unit = mutator_below(m, 2) ? view_of(empty, sizeof empty) : view_of(pair, sizeof pair);
    if (d->scene.version == MQTT_V5)
        props->block = repeat(was, unit, length(m), out);
}

/* More entries, or one that is long. */
static void swell_list(struct mutator *m, struct draft *d, uint8_t *out)
{
    struct mqtt_list *list = &d->p.list;
    uint8_t long_one[SWELL_MAX];
    struct mqtt_filter first;
    size_t pos = 0;
    if (!mqtt_list_next(&d->p, &pos, &first) || list->count == 0)
        return;
    if (mutator_below(m, 2)) {
        size_t n = length(m), most = list->payload.len * (FILTERS_MAX / list->count);
        list->payload = repeat(list->payload, list->payload, n < most ? n : most, out);
        return;
    }
    swell_string(m, &first.filter, long_one);
    list->payload = view_of(out, mqtt_filter_write(out, 0, SWELL_MAX + FILTER_MORE, &first));
}

static void swell_connect(struct mutator *m, struct draft *d, uint8_t *out)
{
    struct mqtt_connect *c = &d->p.connect;
    struct view *const strings[] = { &c->client_id, &c->will_topic, &c->will_payload, &c->username, &c->password };
    unsigned i = mutator_below(m, 7);
    if (i < 5)
        swell_string(m, strings[i], out);
    else if (i == 5 && c->will_topic.ptr != NULL)
        swell_props(m, d, &c->will_props, out);
    else
        swell_props(m, d, &d->p.props, out);
}

size_t mutator_swell(struct mutator *m, struct mutator_scene scene, uint8_t *buf, size_t len, size_t cap)
{
    uint8_t source[SOURCE_MAX], room[SWELL_MAX + FILTER_MORE], whole[2 * SOURCE_MAX + SWELL_MAX];
    struct draft d;
    if (len == 0 || len > sizeof source)
        return len;
    memcpy(source, buf, len);
    if (!draft_take_apart(&d, scene, view_of(source, len)))
        return len;
    unsigned kind = mutator_below(m, 3);
    if (d.p.type == MQTT_CONNECT)
        swell_connect(m, &d, room);
    else if (d.p.type == MQTT_PUBLISH && kind < 2)
        swell_string(m, kind == 0 ? &d.p.publish.topic : &d.p.publish.payload, room);
    else if ((d.p.type == MQTT_SUBSCRIBE || d.p.type == MQTT_UNSUBSCRIBE) && kind < 2)
        swell_list(m, &d, room);
    else if (d.p.type != MQTT_PINGREQ && d.p.type != MQTT_PINGRESP)
        swell_props(m, &d, &d.p.props, room);
    size_t n = mqtt_encode(&d.p, whole, sizeof whole);
    if (n == 0 || n > sizeof whole || n > cap)
        return len;
    memcpy(buf, whole, n);
    return n;
}
