/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/target/target.h"

#include <stdio.h>
#include <stdlib.h>

void fuzz_broken(const char *property, const char *file, int line)
{
    fprintf(stderr, "%s: %s:%d: does not hold: %s\n", fuzz_target.name, file, line, property);
    abort();
}
