/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/fuzz/probe/probe_packet.h -- packets from the words of a probe, and packets compared with them. */
#pragma once
#include "decoder/mqtt/packet.h"

enum { PROBE_WORDS = 32, PROBE_ROOM = 4096 };

struct probe_words { /* KEY=VALUE, values as octets */
    struct {
        char key[16];
        struct view value;
    } at[PROBE_WORDS];
    unsigned n;
    uint8_t room[PROBE_ROOM * 2]; /* under the values */
    size_t used;
};

/* Reads one KEY=VALUE (or KEY alone: the value is "1"). False: too long. */
bool probe_word(struct probe_words *w, struct view text, const char *prefix);
const struct view *probe_find(const struct probe_words *w, const char *key);
uint32_t probe_number(const struct probe_words *w, const char *key, uint32_t otherwise);

/* Encodes the packet; 0: a word does not belong to it, or no room. */
size_t probe_encode(uint8_t type, unsigned version, const struct probe_words *w, uint8_t *out, size_t cap);

/* Does the packet say what the words want? Else `key` is the word that it does not fit. */
bool probe_matches(const struct mqtt_packet *p, const struct probe_words *w, const char **key);
int probe_type(struct view name); /* -1: no packet is called so, in lower case */
