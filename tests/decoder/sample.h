/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/decoder/sample.h -- a packet as a row, for the tests of decoder/show/. */
#pragma once
#include "decoder/mqtt/conn.h"
#include "decoder/show/row.h"

#include <stdlib.h>
#include <string.h>

struct sample {
    struct mqtt_packet packet;
    struct mqtt_verdict at[16];
    struct row row;
    uint8_t *octets; /* an allocation of the exact size, so that AddressSanitizer sees a read too far */
};

static inline void sample_of(struct sample *s, const void *octets, size_t len, unsigned version, unsigned sender)
{
    struct mqtt_verdicts v = { .at = s->at, .cap = 16 };
    s->octets = malloc(len > 0 ? len : 1);
    memcpy(s->octets, octets, len);
    mqtt_decode(view_of(s->octets, len),
                (struct mqtt_context){ .version = (uint8_t)version, .sender = (uint8_t)sender }, &s->packet, &v);
    s->row = (struct row){ .kind = ROW_PACKET,
                           .frame = 7,
                           .frame_first = 5,
                           .time_ns = 1500000000,
                           .packet = &s->packet,
                           .verdicts = s->at,
                           .n_verdicts = v.n,
                           .version = (uint8_t)version,
                           .version_source = MQTT_SOURCE_CONNECT,
                           .sender = (uint8_t)sender,
                           .src = { .addr = { 4, { 10, 0, 0, 7 } }, .port = 50001 },
                           .dst = { .addr = { 4, { 10, 0, 0, 2 } }, .port = 1883 } };
}
