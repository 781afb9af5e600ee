/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/mutator.h -- the one mutator: it speaks MQTT.
 *
 * Deterministic from its seed, driven by the tables of decoder/mqtt/. Three levels: octets (havoc), fields and rules of
 * one packet, and sequences over clients and time (fuzz/talk/talk.h). libFuzzer, AFL++ and mqfuzz are thin shells
 * around it. Everything works in a buffer of the caller, never past `cap`, in time linear in it. */
#pragma once
#include "decoder/mqtt/packet.h"

struct mutator {
    uint64_t state; /* splitmix64 */
};

static inline struct mutator mutator_seeded(uint64_t seed)
{
    return (struct mutator){ seed };
}

uint64_t mutator_random(struct mutator *m);
uint32_t mutator_below(struct mutator *m, uint32_t n); /* 0..n-1; 0 for n = 0 */

/* What a packet is made for. */
struct mutator_scene {
    uint8_t version; /* MQTT_V31, MQTT_V311, MQTT_V5 */
    uint8_t sender;  /* MQTT_CLIENT, MQTT_SERVER */
};

/* A valid packet of this type, with random fields of a small pool, so that packets of one run refer to each other.
 * Returns its length; 0 when the type does not exist in the version, the sender may not send it, or cap is too small
 * (4096 is always enough). */
size_t mutator_fresh(struct mutator *m, struct mutator_scene scene, unsigned type, uint8_t *out, size_t cap);
/* Of a random type that this side may send. */
size_t mutator_fresh_any(struct mutator *m, struct mutator_scene scene, uint8_t *out, size_t cap);

/* One packet in buf[0..len): changes a field, a property, a length, a flag, or breaks one rule. Returns the new length,
 * at least 1. Not a packet: havoc. */
size_t mutator_packet(struct mutator *m, struct mutator_scene scene, uint8_t *buf, size_t len, size_t cap);

/* One packet in buf[0..len) with a string, its list or its properties made long, at most 8 KiB. Unchanged when it is no
 * packet, or has nothing to make long, or there is no room. */
size_t mutator_swell(struct mutator *m, struct mutator_scene scene, uint8_t *buf, size_t len, size_t cap);

/* A packet that breaks this rule (class PACKET), made of buf[0..len) when that is a packet the rule speaks of, else of
 * a fresh one. *sender is set to the side that has to send it. Returns its length, 0 when no recipe knows the rule. */
size_t mutator_break(struct mutator *m, enum mqtt_rule rule, uint8_t *buf, size_t len, size_t cap, uint8_t *sender);
bool mutator_can_break(enum mqtt_rule rule);

/* Plain octets: flips, interesting values, insertions, deletions, repetitions, dictionary words. */
size_t mutator_havoc(struct mutator *m, uint8_t *buf, size_t len, size_t cap);

/* A run of packets of one side in buf[0..len): mutates one, or duplicates, drops, swaps, inserts or splices packets. */
size_t mutator_stream(struct mutator *m, struct mutator_scene scene, uint8_t *buf, size_t len, size_t cap);
