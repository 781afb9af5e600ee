/* SPDX-License-Identifier: Apache-2.0
 *
 * Sequences directed at rules of conduct. */
#include <string.h>

#include "fuzz/fresh.h"
#include "fuzz/records.h"
#include "fuzz/script.h"

struct stage {
    struct mutator *m;
    uint8_t *buf;
    size_t *len, cap;
    const struct records *r;
    unsigned version; /* where no CONNECT tells it */
    struct draft d;
    uint8_t packet[PACKET_ROOM];
};

static bool sends(const struct talk_record *record)
{
    return (record->op == TALK_SEND || record->op == TALK_SPLIT) && record->octets.len >= 2;
}

/* What the latest CONNECT of this client before the record says. */
static struct mutator_scene scene_of(const struct stage *g, uint32_t index, bool by_server)
{
    struct mutator_scene scene = { (uint8_t)g->version, by_server ? MQTT_SERVER : MQTT_CLIENT };
    for (uint32_t i = index + 1; i-- > 0;) {
        const struct talk_record *one = &g->r->at[i];
        struct mqtt_packet p;
        if (one->client != g->r->at[index].client || one->by_server || !sends(one) || one->octets.ptr[0] != 0x10)
            continue;
        mqtt_decode(one->octets, (struct mqtt_context){ 0, MQTT_CLIENT }, &p, NULL);
        if (p.version != MQTT_VERSION_UNKNOWN)
            scene.version = p.version;
        break;
    }
    return scene;
}

/* Puts the packet under construction behind a record; later ones by chance, in a third of all cases. */
static void put_behind(struct stage *g, uint32_t index, unsigned client, bool by_server)
{
    struct talk_record sent = { .op = TALK_SEND, .client = client, .by_server = by_server };
    size_t n = mqtt_encode(&g->d.p, g->packet, sizeof g->packet);
    if (n == 0 || n > sizeof g->packet)
        return;
    sent.octets = view_of(g->packet, n);
    if (mutator_below(g->m, 3) == 0)
        index += mutator_below(g->m, g->r->n - index);
    records_put(g->buf, g->len, g->cap, g->r->at[index].offset + g->r->at[index].len, 0, &sent);
}

/* Only what has to be there: no reason, no properties. */
static void plain(struct stage *g)
{
    g->d.p.reason = 0;
    g->d.p.has_reason = g->d.p.type == MQTT_CONNACK;
    g->d.p.props.block = (struct view){ NULL, 0 };
    if (g->d.p.type == MQTT_CONNACK)
        g->d.p.connack.flags = 0;
}

/* One code for each filter: what was asked for, or less. */
static void codes_for(struct stage *g, const struct mqtt_packet *asked)
{
    struct mqtt_filter filter;
    size_t pos = 0, n = 0;
    bool has_codes = g->d.p.type == MQTT_SUBACK || g->d.p.version == MQTT_V5;
    while (has_codes && n < sizeof g->d.list && mqtt_list_next(asked, &pos, &filter))
        g->d.list[n++] = (uint8_t)(filter.options & 3);
    g->d.p.list = (struct mqtt_list){ view_of(g->d.list, n), (uint32_t)n };
}

static unsigned answer_to(const struct mqtt_packet *p)
{
    static const uint8_t answers[16] = {
        [MQTT_CONNECT] = MQTT_CONNACK,  [MQTT_PUBREC] = MQTT_PUBREL,        [MQTT_PUBREL] = MQTT_PUBCOMP,
        [MQTT_SUBSCRIBE] = MQTT_SUBACK, [MQTT_UNSUBSCRIBE] = MQTT_UNSUBACK, [MQTT_PINGREQ] = MQTT_PINGRESP,
        [MQTT_AUTH] = MQTT_AUTH
    };
    if (p->type == MQTT_PUBLISH)
        return p->publish.qos == 1 ? MQTT_PUBACK : p->publish.qos == 2 ? MQTT_PUBREC : 0;
    return answers[p->type & 15];
}

/* The packet that a packet asks for, with its identifier. */
static void answer(struct stage *g, uint32_t index)
{
    const struct talk_record *asks = &g->r->at[index];
    struct mqtt_packet p;
    struct mutator_scene scene = scene_of(g, index, !asks->by_server);
    mqtt_decode(asks->octets, (struct mqtt_context){ scene.version, asks->by_server ? MQTT_SERVER : MQTT_CLIENT }, &p,
                NULL);
    if (p.header_len == 0 || p.cut || answer_to(&p) == 0 || !draft_fresh(g->m, &g->d, scene, answer_to(&p)))
        return;
    if (mutator_below(g->m, 4) != 0)
        plain(g);
    if (p.has_id)
        g->d.p.id = p.id;
    if (p.type == MQTT_SUBSCRIBE || p.type == MQTT_UNSUBSCRIBE)
        codes_for(g, &p);
    put_behind(g, index, asks->client, !asks->by_server);
}

/* Takes the packet of a record apart; false when it is none. */
static bool take(struct stage *g, uint32_t index)
{
    const struct talk_record *record = &g->r->at[index];
    return draft_take_apart(&g->d, scene_of(g, index, record->by_server), record->octets);
}

/* The same with the next identifier behind it, or once more at the end with DUP. */
static void once_more(struct stage *g, uint32_t index, bool next)
{
    const struct talk_record *record = &g->r->at[index];
    if (!take(g, index) || !g->d.p.has_id)
        return;
    if (next)
        g->d.p.id++;
    else if (g->d.p.type == MQTT_PUBLISH)
        g->d.p.flags |= 0x08;
    put_behind(g, next ? index : g->r->n - 1, record->client, record->by_server);
}

/* The client keeps its session, loses the connection and comes back. */
static void come_back(struct stage *g, uint32_t index)
{
    const struct talk_record *first = &g->r->at[index];
    const struct talk_record *last = &g->r->at[g->r->n - 1];
    struct talk_record lost = { .op = TALK_RESET, .client = first->client };
    struct mqtt_prop expiry = { .id = MQTT_PROP_SESSION_EXPIRY_INTERVAL, .wire = MQTT_WIRE_U32, .number = 300 };
    struct mqtt_prop found;
    if (first->by_server || !take(g, index) || g->d.p.type != MQTT_CONNECT)
        return;
    struct mutator_scene scene = { g->d.p.version, MQTT_SERVER };
    g->d.p.connect.flags &= 0xfd;
    if (scene.version == MQTT_V5 && !mqtt_props_find(&g->d.p.props, expiry.id, &found))
        draft_property(&g->d, false, &expiry);
    size_t n = mqtt_encode(&g->d.p, g->packet, sizeof g->packet), end = last->offset + last->len, before;
    struct talk_record connect = { .op = TALK_SEND, .client = first->client, .octets = { g->packet, n } };
    if (n == 0 || n > sizeof g->packet)
        return;
    records_put(g->buf, g->len, g->cap, end, 0, &connect);
    records_put(g->buf, g->len, g->cap, end, 0, &lost);
    before = *g->len;
    records_put(g->buf, g->len, g->cap, first->offset, first->len, &connect);
    end += *g->len - before;
    if (!draft_fresh(g->m, &g->d, scene, MQTT_CONNACK))
        return;
    plain(g);
    g->d.p.connack.flags = 1;
    n = mqtt_encode(&g->d.p, g->packet, sizeof g->packet);
    struct talk_record accepted = {
        .op = TALK_SEND, .client = first->client, .by_server = true, .octets = { g->packet, n }
    };
    if (end < *g->len)
        records_put(g->buf, g->len, g->cap, *g->len, 0, &accepted);
}

/* A limit on the size of packets, where one is agreed on; elsewhere words that exceed it. */
static void limit_size(struct stage *g, uint32_t index)
{
    static const uint8_t words[100] = { 'w' };
    static const uint8_t ids[] = { MQTT_PROP_MAXIMUM_PACKET_SIZE, MQTT_PROP_REASON_STRING, MQTT_PROP_USER_PROPERTY };
    const struct talk_record *record = &g->r->at[index];
    if (!take(g, index) || g->d.p.version != MQTT_V5)
        return;
    unsigned id = ids[mutator_below(g->m, 3)];
    const struct mqtt_prop_info *info = mqtt_prop_info(id);
    struct mqtt_prop prop = { .id = id,
                              .wire = (uint8_t)info->wire,
                              .number = 20 + mutator_below(g->m, 60),
                              .text = view_of(words, sizeof words),
                              .value = view_of(words, 1) };
    if ((info->allowed & MQTT_IN(g->d.p.type)) == 0 || !draft_property(&g->d, false, &prop))
        return;
    g->d.p.has_reason = true;
    size_t n = mqtt_encode(&g->d.p, g->packet, sizeof g->packet);
    struct talk_record changed = *record;
    changed.octets = view_of(g->packet, n);
    if (n > 0 && n <= sizeof g->packet)
        records_put(g->buf, g->len, g->cap, record->offset, record->len, &changed);
}

/* ---- recipes ---- */

static const struct {
    enum mqtt_rule rule;
    const char *script;
} recipes[] = {
#define CONDUCT(rule, script) { MQTT_##rule, script },
#include "fuzz/conduct.def"
};

enum { RECIPES = sizeof recipes / sizeof *recipes, RECIPE_ROOM = 1024 };

/* A conversation that breaks one rule, at the end; its clients by chance. */
static void follow_recipe(struct stage *g)
{
    unsigned which = mutator_below(g->m, RECIPES), shift = mutator_below(g->m, TALK_CLIENTS);
    struct talk_record record;
    size_t n = script_write(recipes[which].script, g->packet, RECIPE_ROOM), pos = 0;
    while (talk_next(view_of(g->packet, n), &pos, &record)) {
        record.client = (record.client + shift) % TALK_CLIENTS;
        records_put(g->buf, g->len, g->cap, *g->len, 0, &record);
    }
}

void conduct_mutate(struct mutator *m, unsigned version, uint8_t *buf, size_t *len, size_t cap, const struct records *r)
{
    struct stage g = { .m = m, .buf = buf, .len = len, .cap = cap, .r = r, .version = version };
    uint32_t index = mutator_below(m, r->n);
    unsigned what = mutator_below(m, 14);
    if (what == 0)
        follow_recipe(&g);
    else if (!sends(&r->at[index]))
        return;
    else if (what < 6)
        answer(&g, index);
    else if (what > 11)
        limit_size(&g, index);
    else if (what < 8)
        come_back(&g, index);
    else
        once_more(&g, index, what % 2 == 0);
}
