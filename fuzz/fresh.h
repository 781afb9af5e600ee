/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/fresh.h -- valid packets out of nothing; private to fuzz/. */
#pragma once
#include "fuzz/mutator.h"

/* A packet under construction and the memory behind its views. */
struct draft {
    struct mqtt_packet p;
    struct mutator_scene scene;
    uint8_t props[2048], will_props[1024], list[2048];
};

bool draft_fresh(struct mutator *m, struct draft *d, struct mutator_scene scene, unsigned type);
/* Takes a whole packet apart, so that its fields can be changed: strings then point into `source`, lists into *d. False
 * when it is no whole packet, or its lists are too long. */
bool draft_take_apart(struct draft *d, struct mutator_scene scene, struct view source);
/* Adds a property to the block of the packet, or with `will` of its Will. False when it does not fit. */
bool draft_property(struct draft *d, bool will, const struct mqtt_prop *prop);
/* A valid value for property `id`; PUBLISH and WILL alike. */
struct mqtt_prop draft_value(struct mutator *m, unsigned id);
bool draft_filter(struct draft *d, struct view filter, unsigned options);
void draft_will(struct mutator *m, struct draft *d); /* gives a CONNECT a Will */
