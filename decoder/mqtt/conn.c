/* SPDX-License-Identifier: Apache-2.0 */
#include "decoder/mqtt/conn.h"

enum { ANY_VERSION = 1 << MQTT_V31 | 1 << MQTT_V311 | 1 << MQTT_V5, VERDICTS_HELD = 32 };

void mqtt_conn_init(struct mqtt_conn *c)
{
    *c = (struct mqtt_conn){ .possible = ANY_VERSION, .client_dir = 2 };
}

void mqtt_conn_client(struct mqtt_conn *c, unsigned dir)
{
    c->client_dir = (uint8_t)dir;
    c->roles_sure = true;
}

/* Packet types that one side alone sends in every version tell the roles, though a faulty peer may fool us: not sure.
 */
static void infer_roles(struct mqtt_conn *c, unsigned dir, unsigned type)
{
    if (c->client_dir <= 1)
        return;
    enum mqtt_side v4 = mqtt_type_sender(type, MQTT_V311), v5 = mqtt_type_sender(type, MQTT_V5);
    if (v4 != v5 || v4 == MQTT_BOTH || v4 == MQTT_NOBODY)
        return;
    c->client_dir = (uint8_t)(v4 == MQTT_CLIENT ? dir : 1 - dir);
}

static unsigned errors(const struct mqtt_verdicts *v)
{
    unsigned n = v->lost;
    for (uint32_t i = 0; i < v->n; i++)
        n += v->at[i].severity == MQTT_SEVERITY_ERROR;
    return n;
}

/* Does the packet break no rule of form when read as this version? */
static bool fits(struct view octets, uint8_t version)
{
    struct mqtt_packet p;
    struct mqtt_verdict at[VERDICTS_HELD];
    struct mqtt_verdicts v = { at, VERDICTS_HELD, 0, 0 };
    mqtt_decode(octets, (struct mqtt_context){ version, MQTT_NOBODY }, &p, &v);
    return errors(&v) == 0;
}

/* 3.1.1 first: 3.1 is read alike, and 5.0 shows itself soon. */
static uint8_t likeliest(unsigned possible)
{
    return possible & 1 << MQTT_V311 ? MQTT_V311 : possible & 1 << MQTT_V5 ? MQTT_V5 : MQTT_V31;
}

/* No CONNECT seen: each packet rules out the versions it does not fit, unless it fits none that is left. */
static void narrow(struct mqtt_conn *c, struct view octets)
{
    unsigned left = 0;
    for (uint8_t version = MQTT_V31; version <= MQTT_V5; version++)
        if ((c->possible & 1u << version) != 0 && fits(octets, version))
            left |= 1u << version;
    if (left != 0)
        c->possible = (uint8_t)left;
    c->version = likeliest(c->possible);
    bool all_but_5 = (c->possible & 1 << MQTT_V5) == 0;
    c->source = c->possible == 1 << MQTT_V5 || all_but_5 ? MQTT_SOURCE_INFERRED : MQTT_SOURCE_UNKNOWN;
}

static bool breaks_at(struct view octets, uint8_t version, const struct mqtt_verdict *like)
{
    struct mqtt_packet p;
    struct mqtt_verdict at[VERDICTS_HELD];
    struct mqtt_verdicts v = { at, VERDICTS_HELD, 0, 0 };
    mqtt_decode(octets, (struct mqtt_context){ version, MQTT_NOBODY }, &p, &v);
    for (uint32_t i = 0; i < v.n; i++)
        if (at[i].offset == like->offset && at[i].severity >= like->severity)
            return true;
    return false;
}

/* Keeps the verdicts from `first` on that every version still possible gives at the same place. */
static void keep_common(const struct mqtt_conn *c, struct view octets, struct mqtt_verdicts *v, uint32_t first)
{
    uint32_t kept = first;
    for (uint32_t i = first; i < v->n; i++) {
        bool common = true;
        for (uint8_t version = MQTT_V31; version <= MQTT_V5 && common; version++)
            if (version != c->version && (c->possible & 1u << version) != 0)
                common = breaks_at(octets, version, &v->at[i]);
        if (common)
            v->at[kept++] = v->at[i];
    }
    v->n = kept;
    v->lost = 0;
}

static void learn_connect(struct mqtt_conn *c, unsigned dir, const struct mqtt_packet *p)
{
    if (!c->roles_sure)
        mqtt_conn_client(c, dir);
    unsigned level = p->connect.level & 0x7fu;
    if (c->source == MQTT_SOURCE_CONNECT || level < MQTT_V31 || level > MQTT_V5)
        return;
    c->source = MQTT_SOURCE_CONNECT;
    c->version = p->version;
    c->possible = (uint8_t)(1u << p->version);
}

void mqtt_conn_learn(struct mqtt_conn *c, unsigned dir, struct view octets, struct mqtt_packet *p,
                     struct mqtt_verdicts *v)
{
    unsigned type = octets.len > 0 ? octets.ptr[0] >> 4 : 0;
    bool is_connect = type == MQTT_CONNECT;
    if (is_connect && !c->roles_sure && c->source != MQTT_SOURCE_CONNECT)
        mqtt_conn_client(c, dir);
    if (c->source != MQTT_SOURCE_CONNECT && !is_connect)
        narrow(c, octets);
    uint32_t first = v != NULL ? v->n : 0;
    uint8_t sender = c->roles_sure ? (uint8_t)mqtt_conn_sender(c, dir) : (uint8_t)MQTT_NOBODY;
    mqtt_decode(octets, (struct mqtt_context){ c->version, sender }, p, v);
    if (is_connect)
        learn_connect(c, dir, p);
    else
        infer_roles(c, dir, type);
    if (v != NULL && v->n > first && c->source != MQTT_SOURCE_CONNECT && !is_connect)
        keep_common(c, octets, v, first);
}
