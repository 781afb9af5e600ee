/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/show/civil.h -- the date and time of a moment, in the Gregorian calendar. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct civil {
    int64_t year;
    unsigned month, day, hour, minute, second, ns;
};

/* ns since the epoch; what 64 bits hold is the years 1677 to 2262. The offset of the time zone at that moment, NULL:
 * UTC. */
struct civil civil_of(int64_t ns, int32_t (*utc_offset_s)(int64_t epoch_s));
