/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/base/community.h -- Community ID version 1 of a TCP connection: the key by which Zeek, Suricata and Wireshark
 * name the same flow. "1:" and the Base 64 of SHA-1 over seed, addresses, protocol and ports, the lower endpoint first.
 */
#pragma once
#include "decoder/base/cursor.h"

enum { COMMUNITY_SIZE = 31 }; /* "1:", 28 characters, NUL */

/* Addresses in network order, both of `address_len` octets (4 or 16); ports as numbers. Both directions give the same.
 */
void community_tcp(const uint8_t *src, const uint8_t *dst, size_t address_len, uint16_t src_port, uint16_t dst_port,
                   uint16_t seed, char out[COMMUNITY_SIZE]);
