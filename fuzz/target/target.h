/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/target/target.h -- what every fuzz target is: one LLVMFuzzerTestOneInput in a file of its own, a name, and the
 * shape of its input, so that the shared mutator knows what it mutates. Targets are leaves of the project: each
 * includes what it fuzzes, and nobody includes a target. They are deterministic and keep nothing from one input to the
 * next. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fuzz_shape {
    FUZZ_OCTETS, /* anything */
    FUZZ_TEXT,   /* a line of text, such as a display filter */
    FUZZ_PACKET, /* an octet of scene, then one control packet */
    FUZZ_STREAM, /* an octet of scene, then control packets of one side */
    FUZZ_TALK,   /* an octet of scene, then a conversation (fuzz/talk/talk.h) */
};

struct fuzz_target {
    const char *name;
    enum fuzz_shape shape;
};

extern const struct fuzz_target fuzz_target;
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The octet of scene: bits 0-1 version (unknown, 3.1, 3.1.1, 5.0), bits 2-3 sender (unknown, client, server, unknown);
 * the rest is for the target. */
struct fuzz_scene {
    uint8_t version, sender; /* as in struct mqtt_context */
    uint8_t rest;            /* 0..15 */
};

static inline struct fuzz_scene fuzz_scene(uint8_t octet)
{
    static const uint8_t versions[] = { 0, 3, 4, 5 }, senders[] = { 0, 1, 2, 0 };
    return (struct fuzz_scene){ versions[octet & 3], senders[octet >> 2 & 3], octet >> 4 };
}

/* Ends the process with the property that did not hold: this is what a finding is named by. */
_Noreturn void fuzz_broken(const char *property, const char *file, int line);
#define HOLDS(property) ((property) ? (void)0 : fuzz_broken(#property, __FILE__, __LINE__))
