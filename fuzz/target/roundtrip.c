/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/target/roundtrip.c -- decode, encode, decode. Claims: a packet without a verdict is written exactly as it was
 * read; what is written of any packet, right or wrong, is read and written again as the same octets; nothing is written
 * past the capacity. */
#include "fuzz/target/target.h"

#include <stdlib.h>
#include <string.h>

#include "decoder/mqtt/packet.h"

const struct fuzz_target fuzz_target = { "roundtrip", FUZZ_PACKET };

/* Encodes into memory of the exact size; *out is to be freed. */
static size_t encode(const struct mqtt_packet *p, uint8_t **out)
{
    size_t need = mqtt_encode(p, NULL, 0);
    *out = malloc(need > 0 ? need : 1);
    HOLDS(*out != NULL);
    HOLDS(mqtt_encode(p, *out, need) == need);
    return need;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct fuzz_scene scene = fuzz_scene(data[0]);
    struct mqtt_context context = { scene.version, scene.sender };
    struct mqtt_verdicts first = { NULL, 0, 0, 0 };
    struct mqtt_packet p, again;
    uint8_t *once, *twice;
    mqtt_decode(view_of(data + 1, size - 1), context, &p, &first);
    if (p.header_len == 0)
        return 0;
    size_t n = encode(&p, &once);
    if (first.lost == 0 && !p.cut)
        HOLDS(n == p.held && memcmp(once, data + 1, n) == 0);
    bool form_known = p.type != MQTT_PUBLISH || p.publish.qos != 3; /* QoS 3: nothing says where the payload begins */
    if (n > 0 && form_known) {
        context.version = p.version;
        mqtt_decode(view_of(once, n), context, &again, NULL);
        size_t m = encode(&again, &twice);
        HOLDS(again.version != p.version || (m == n && memcmp(once, twice, n) == 0));
        free(twice);
    }
    free(once);
    return 0;
}
