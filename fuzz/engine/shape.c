/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/engine/shape.h"

#include <string.h>

#include "fuzz/mutator.h"
#include "fuzz/talk/talk.h"

/* Of the octet of scene, or one of the three and two where it leaves them open. */
static struct mutator_scene scene_of(struct mutator *m, uint8_t octet)
{
    struct fuzz_scene scene = fuzz_scene(octet);
    if (scene.version == MQTT_VERSION_UNKNOWN)
        scene.version = (uint8_t)(MQTT_V31 + mutator_below(m, 3));
    if (scene.sender == MQTT_NOBODY)
        scene.sender = mutator_below(m, 2) ? MQTT_CLIENT : MQTT_SERVER;
    return (struct mutator_scene){ scene.version, scene.sender };
}

static size_t mutate_body(struct mutator *m, enum fuzz_shape shape, uint8_t octet, uint8_t *buf, size_t len, size_t cap)
{
    switch (shape) {
    case FUZZ_PACKET:
        return mutator_packet(m, scene_of(m, octet), buf, len, cap);
    case FUZZ_STREAM:
        return mutator_stream(m, scene_of(m, octet), buf, len, cap);
    case FUZZ_TALK:
        return talk_mutate(m, scene_of(m, octet).version, buf, len, cap);
    default:
        return mutator_havoc(m, buf, len, cap);
    }
}

size_t shape_mutate(enum fuzz_shape shape, uint8_t *buf, size_t len, size_t cap, uint64_t seed)
{
    struct mutator m = mutator_seeded(seed);
    if (shape == FUZZ_OCTETS || shape == FUZZ_TEXT || cap < 2)
        return mutator_havoc(&m, buf, len, cap);
    if (len == 0)
        buf[len++] = (uint8_t)mutator_random(&m);
    if (mutator_below(&m, 16) == 0) { /* another scene */
        buf[0] = (uint8_t)mutator_random(&m);
        return len;
    }
    return 1 + mutate_body(&m, shape, buf[0], buf + 1, len - 1, cap - 1);
}

/* A border of packets or records near the middle of an input: a cut there keeps both halves meaningful. */
static size_t border(struct mutator *m, enum fuzz_shape shape, struct view in)
{
    size_t pos = 1, chosen = 1, n = 1;
    while (pos < in.len) {
        if (shape == FUZZ_TALK) {
            struct talk_record record;
            size_t at = 0;
            if (!talk_next(view_of(in.ptr + pos, in.len - pos), &at, &record))
                break;
            pos += at;
        } else if (shape == FUZZ_STREAM) {
            uint32_t remaining = 0;
            int used = mqtt_vbi_read(view_of(in.ptr + pos + 1, in.len - pos - 1), &remaining);
            if (used <= 0 || remaining > in.len - pos - 1 - (size_t)used)
                break;
            pos += 1 + (size_t)used + remaining;
        } else {
            return 1 + mutator_below(m, (uint32_t)in.len);
        }
        if (mutator_below(m, (uint32_t)++n) == 0)
            chosen = pos;
    }
    return chosen < in.len ? chosen : in.len;
}

size_t shape_cross(enum fuzz_shape shape, const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len, uint8_t *out,
                   size_t cap, uint64_t seed)
{
    struct mutator m = mutator_seeded(seed);
    size_t head = a_len > 0 ? border(&m, shape, view_of(a, a_len)) : 0;
    size_t skip = b_len > 0 ? border(&m, shape, view_of(b, b_len)) : 0;
    head = head < cap ? head : cap;
    size_t tail = b_len - skip < cap - head ? b_len - skip : cap - head;
    if (head > 0)
        memcpy(out, a, head);
    if (tail > 0)
        memcpy(out + head, b + skip, tail);
    if (head + tail == 0)
        out[head++] = 0;
    return head + tail;
}
