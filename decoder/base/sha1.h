/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/base/sha1.h -- SHA-1 (FIPS 180-4) of short messages, for identifiers that are defined by it: Community ID and
 * the WebSocket handshake. Not for anything that has to withstand an attacker. */
#pragma once
#include "decoder/base/cursor.h"

enum { SHA1_OCTETS = 20 };

/* Linear in message.len. */
void sha1(struct view message, uint8_t digest[SHA1_OCTETS]);
