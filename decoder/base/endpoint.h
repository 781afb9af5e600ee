/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/base/endpoint.h -- where a stream begins or ends: an address and a port. */
#pragma once
#include <stdint.h>

struct net_addr {
    uint8_t family;     /* 4 or 6; 0: none */
    uint8_t octets[16]; /* network order; the first 4 for family 4, the others zero */
};

struct row_endpoint {
    struct net_addr addr;
    uint16_t port;
};
