/* SPDX-License-Identifier: Apache-2.0
 *
 * Variable Byte Integer: 7 bits an octet, least significant group first (5.0 section 1.5.5, 3.1.1 section 2.2.3). */
#include "decoder/mqtt/packet.h"

int mqtt_vbi_read(struct view octets, uint32_t *value)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < 4; i++) {
        if (i >= octets.len)
            return 0;
        sum |= (uint32_t)(octets.ptr[i] & 0x7f) << (7 * i);
        if (octets.ptr[i] < 0x80) {
            *value = sum;
            return (int)i + 1;
        }
    }
    return -1;
}

size_t mqtt_vbi_size(uint32_t value)
{
    return value < 1u << 7 ? 1 : value < 1u << 14 ? 2 : value < 1u << 21 ? 3 : 4;
}

size_t mqtt_vbi_write(uint32_t value, uint8_t out[4])
{
    size_t n = mqtt_vbi_size(value);
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)((value >> (7 * i) & 0x7f) | (i + 1 < n ? 0x80 : 0));
    return n;
}
