/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/tui/rows.h -- rows made by hand. */
#pragma once
#include "tui/store.h"
#include <string.h>

struct made { /* what a row borrows from */
    uint8_t octets[512];
    struct mqtt_packet packet;
    struct track_note note;
    struct row row;
};

/* PUBLISH of QoS 1 to `topic`; number, frame and time from n. */
static inline const struct row *make_publish(struct made *m, uint64_t n, const char *topic, uint16_t id)
{
    size_t len = strlen(topic), at = 0;
    m->octets[at++] = 0x32;
    m->octets[at++] = (uint8_t)(len + 2 + 2 + 3);
    m->octets[at++] = (uint8_t)(len >> 8);
    m->octets[at++] = (uint8_t)len;
    memcpy(m->octets + at, topic, len);
    at += len;
    m->octets[at++] = (uint8_t)(id >> 8);
    m->octets[at++] = (uint8_t)id;
    memcpy(m->octets + at, "abc", 3);
    at += 3;
    struct mqtt_context context = { .version = MQTT_V311, .sender = MQTT_CLIENT };
    mqtt_decode(view_of(m->octets, at), context, &m->packet, NULL);
    m->note = (struct track_note){ .session = 1 + n % 3,
                                   .exchange = n + 1,
                                   .first_frame = n + 1,
                                   .latency_ns = -1,
                                   .step_ns = -1,
                                   .kind = TRACK_QOS1,
                                   .step = 1,
                                   .owed_by = MQTT_SERVER,
                                   .owed_type = MQTT_PUBACK };
    m->row = (struct row){
        .kind = ROW_PACKET,
        .number = n + 1,
        .frame = n + 1,
        .frame_first = n + 1,
        .time_ns = 1000000000 + (int64_t)n * 1000,
        .time_first_ns = 1000000000 + (int64_t)n * 1000,
        .frame_len = 60,
        .stream = (uint32_t)(n % 3),
        .src = { .addr = { 4, { 10, 0, 0, (uint8_t)(1 + n % 3) } }, .port = 50000 },
        .dst = { .addr = { 4, { 10, 0, 0, 9 } }, .port = 1883 },
        .sender = MQTT_CLIENT,
        .version = MQTT_V311,
        .client_id = view_of(n % 3 == 0   ? "zero"
                             : n % 3 == 1 ? "one"
                                          : "two",
                             n % 3 == 0 ? 4 : 3),
        .packet = &m->packet,
        .note = &m->note,
    };
    return &m->row;
}
