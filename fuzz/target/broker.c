/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/target/broker.c -- the broker's step function under several clients and its timers. Claims: everything it sends
 * is framed and breaks no rule of form in the version of its client; memory stays below the limit and all of it comes
 * back, also when it is refused at any moment; deadlines lie ahead; what it logs is printable. The octet of scene
 * chooses the kind of broker (fuzz/engine/bench.h). */
#include "fuzz/engine/bench.h"

#include "decoder/mqtt/packet.h"

const struct fuzz_target fuzz_target = { "broker", FUZZ_TALK };

struct versions {
    bool begun[TALK_CLIENTS];
    uint8_t of[TALK_CLIENTS]; /* of the CONNECT, when it was the first thing sent and came in one piece; else 0 */
};

static void on_opened(void *ctx, unsigned client)
{
    struct versions *v = ctx;
    v->of[client] = 0;
    v->begun[client] = false;
}

static void learn_version(struct versions *v, unsigned client, struct view octets)
{
    struct mqtt_packet p;
    if (v->begun[client])
        return;
    v->begun[client] = true;
    if (octets.ptr[0] >> 4 != MQTT_CONNECT)
        return;
    mqtt_decode(octets, (struct mqtt_context){ 0, MQTT_CLIENT }, &p, NULL);
    unsigned level = p.header_len > 0 ? p.connect.level & 0x7fu : 0;
    if (!p.cut && p.held == p.header_len + p.remaining && level >= MQTT_V31 && level <= MQTT_V5)
        v->of[client] = p.version;
}

/* One whole packet from the server: no verdict of form. */
static void check_packet(struct view octets, unsigned version)
{
    struct mqtt_verdict at[4];
    struct mqtt_verdicts v = { at, 4, 0, 0 };
    struct mqtt_packet p;
    mqtt_decode(octets, (struct mqtt_context){ (uint8_t)version, MQTT_SERVER }, &p, &v);
    HOLDS(!p.cut && p.header_len > 0);
    for (uint32_t i = 0; i < v.n; i++)
        HOLDS(at[i].severity < MQTT_SEVERITY_ERROR);
}

static void on_octets(void *ctx, unsigned client, bool by_server, struct view octets)
{
    struct versions *v = ctx;
    if (!by_server) {
        learn_version(v, client, octets);
        return;
    }
    for (size_t pos = 0; pos < octets.len;) {
        uint32_t remaining = 0;
        int used = mqtt_vbi_read(view_of(octets.ptr + pos + 1, octets.len - pos - 1), &remaining);
        HOLDS(used > 0 && remaining <= octets.len - pos - 1 - (size_t)used);
        size_t len = 1 + (size_t)used + remaining;
        if (v->of[client] != 0)
            check_packet(view_of(octets.ptr + pos, len), v->of[client]);
        pos += len;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct versions versions = { .of = { 0 } };
    struct bench_events events = { .opened = on_opened, .octets = on_octets, .ctx = &versions };
    if (size < 2)
        return 0;
    if (bench_kind(data[0]) == BENCH_FAULTS)
        events.octets = NULL; /* what it sends may be anything */
    bench_run(view_of(data + 1, size - 1), bench_kind(data[0]), fuzz_scene(data[0]).rest, &events);
    return 0;
}
