/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/talk/guess.h -- is this stream MQTT? By content, on any port.
 *
 * A verdict depends on the octets from the beginning alone, never on where segments cut them. */
#pragma once
#include "decoder/mqtt/framer.h"

enum guess { GUESS_MORE /* octets */, GUESS_MQTT, GUESS_OTHER };

enum { GUESS_MQTT_PORT = 1883 };

/* The first octets of a client, from behind its SYN. A CONNECT is MQTT on any port; on an MQTT port (`expected`) so is
 * all that is not plainly something else: TLS, HTTP, ZMTP, AMQP, text. final: nothing more will come. */
enum guess guess_client(struct view octets, bool expected, bool final);

/* The octets so far of a server, or of either side in mid-stream, where only a run of plausible packets can tell.
 * `segments`: how many segments these octets came in; after some of them without a run, it is something else. Where
 * MQTT is expected there is no end to the search unless another protocol shows itself. */
/* *alive, 0 at first, keeps the place before which no packet can begin any more, so that a long search stays linear. */
enum guess guess_run(struct view octets, bool expected, enum mqtt_side sender, unsigned segments, bool final,
                     uint32_t *alive);
