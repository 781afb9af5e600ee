/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/engine/empty.c -- a target that does nothing: what an execution costs before there is one (make fuzz-speed). */
#include "fuzz/target/target.h"

const struct fuzz_target fuzz_target = { "empty", FUZZ_PACKET };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    (void)data;
    (void)size;
    return 0;
}
