/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/target/plan.c -- a packet as a statement of a plan. Claims: what is printed of any packet, right or wrong, is
 * parsed again into the same octets, and holds no control character. */
#include "fuzz/plan/plan.h"

#include <stdlib.h>
#include <string.h>

#include "fuzz/engine/output.h"
#include "fuzz/target/target.h"

const struct fuzz_target fuzz_target = { "plan", FUZZ_PACKET };

enum { ROOM = 1 << 20 };

static char room[ROOM];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    unsigned version = fuzz_scene(data[0]).version;
    version = version == MQTT_VERSION_UNKNOWN ? MQTT_V311 : version;
    struct view octets = view_of(data + 1, size - 1);
    memcpy(room, "a > ", 4);
    size_t n = plan_print_packet(octets, version, NULL, room + 4, ROOM - 4);
    HOLDS(n > 0 && n < ROOM - 4);
    if (strncmp(room + 4, "raw", 3) == 0) {
        memmove(room + 2, room + 4, n);
        n -= 2;
    }
    HOLDS(output_is_text(view_of(room, n + 4), ""));
    struct plan p;
    bool parsed = plan_parse(&p, view_of(room, n + 4), "prefix", version);
    HOLDS(parsed && p.n == 1 && p.step[0].op == PLAN_SEND);
    HOLDS(p.step[0].octets.len == octets.len && memcmp(p.step[0].octets.ptr, octets.ptr, octets.len) == 0);
    plan_free(&p);
    return 0;
}
