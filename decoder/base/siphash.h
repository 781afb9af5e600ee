/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/base/siphash.h -- SipHash-2-4 (Aumasson and Bernstein, 2012): a keyed hash of 64 bits that is quick for short
 * messages; without the key nobody can tell values from hashes. */
#pragma once
#include "decoder/base/cursor.h"

enum { SIPHASH_KEY = 16 };

uint64_t siphash(const uint8_t key[SIPHASH_KEY], struct view message);
