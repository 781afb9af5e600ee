/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/fuzz/own.h -- the rows of tests/fuzz/mqbroker.def. */
#pragma once
#include <stddef.h>

static const struct own {
    const char *versions, *rules, *title, *options, *script;
} own[] = {
#define OWN(versions, rules, title, options, script) { versions, rules, title, options, script },
#include "tests/fuzz/mqbroker.def"
};

enum { own_count = sizeof own / sizeof *own };
