/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/engine/shape.h -- the shared mutator applied to the input of a target of this shape. */
#pragma once
#include "fuzz/target/target.h"

/* buf[0..len) becomes another input; returns its length, 1..cap (cap > 0). Deterministic from seed. */
size_t shape_mutate(enum fuzz_shape shape, uint8_t *buf, size_t len, size_t cap, uint64_t seed);
/* Two inputs become one in out[0..cap). */
size_t shape_cross(enum fuzz_shape shape, const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len, uint8_t *out,
                   size_t cap, uint64_t seed);
