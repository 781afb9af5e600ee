/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/base/base64.h -- Base 64 with padding (RFC 4648 section 4). */
#pragma once
#include "decoder/base/cursor.h"

static inline size_t base64_size(size_t octets)
{
    return (octets + 2) / 3 * 4;
}

/* Writes base64_size(octets.len) characters, no NUL; returns that number. */
size_t base64_write(struct view octets, char *out);
