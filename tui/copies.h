/* SPDX-License-Identifier: Apache-2.0
 *
 * tui/copies.h -- which messages to other clients are copies of what a client published: same topic and payload, soon
 * after.
 *
 * A fixed table; when it is full the oldest entries make room. */
#pragma once
#include "decoder/mqtt/packet.h"

struct copies;

struct copies *copies_new(void);
void copies_free(struct copies *c);
void copies_clear(struct copies *c);
/* A PUBLISH of the client we look at. */
void copies_published(struct copies *c, struct view topic, struct view payload, int64_t time_ns);
/* A PUBLISH to another client: is it such a copy? Then its exchange (0: none) is remembered. */
bool copies_delivered(struct copies *c, struct view topic, struct view payload, int64_t time_ns, uint32_t exchange);
bool copies_exchange(const struct copies *c, uint32_t exchange);
