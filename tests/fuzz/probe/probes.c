/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/probe/probe.h"

const struct probe probes[] = {
#define PROBE(versions, rules, title, needs, script) { versions, rules, title, needs, script },
#include "tests/fuzz/probe/probes.def"
};

const size_t probe_count = sizeof probes / sizeof probes[0];
