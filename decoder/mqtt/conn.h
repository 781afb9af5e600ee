/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/mqtt/conn.h -- what one TCP connection tells of its packets: version and roles, known or not.
 *
 * Version and roles come from CONNECT and from nothing else with certainty. Where no CONNECT was seen, every packet
 * rules out the versions in which its form would be wrong; what is left is the version by inference, or unknown. A
 * verdict that only holds for one of several possible versions is not given. */
#pragma once
#include "decoder/mqtt/packet.h"

enum mqtt_version_source { MQTT_SOURCE_UNKNOWN, MQTT_SOURCE_INFERRED, MQTT_SOURCE_CONNECT };

struct mqtt_conn {
    uint8_t version;    /* enum mqtt_version to decode by: the CONNECT's, else the likeliest; 0: no packet yet */
    uint8_t source;     /* enum mqtt_version_source */
    uint8_t possible;   /* bit set of 1 << version */
    uint8_t client_dir; /* direction (0, 1) in which the client sends; 2: not known */
    bool roles_sure; /* SYN or CONNECT told client_dir; when only types hint at it, the rules of direction are silent */
};

void mqtt_conn_init(struct mqtt_conn *c);

/* The direction in which the client sends, when TCP tells (who sent the SYN). Without it, the first CONNECT tells. */
void mqtt_conn_client(struct mqtt_conn *c, unsigned dir);

/* Who sends in this direction: MQTT_CLIENT, MQTT_SERVER, MQTT_NOBODY when not known. */
static inline enum mqtt_side mqtt_conn_sender(const struct mqtt_conn *c, unsigned dir)
{
    if (c->client_dir > 1)
        return MQTT_NOBODY;
    return dir == c->client_dir ? MQTT_CLIENT : MQTT_SERVER;
}

/* mqtt_conn_packet() of a CONNECT, or of a connection whose CONNECT was not seen. */
RARELY void mqtt_conn_learn(struct mqtt_conn *c, unsigned dir, struct view octets, struct mqtt_packet *p,
                            struct mqtt_verdicts *v);

/* Decodes and judges one packet of direction dir (0 or 1), and learns from it. Only verdicts that hold for every
 * version still possible are added. */
static inline void mqtt_conn_packet(struct mqtt_conn *c, unsigned dir, struct view octets, struct mqtt_packet *p,
                                    struct mqtt_verdicts *v)
{
    if (c->source != MQTT_SOURCE_CONNECT || octets.len == 0 || octets.ptr[0] >> 4 == MQTT_CONNECT)
        mqtt_conn_learn(c, dir, octets, p, v);
    else
        mqtt_decode(octets, (struct mqtt_context){ c->version, (uint8_t)mqtt_conn_sender(c, dir) }, p, v);
}
