/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/engine/seeds.h -- what the two halves of the maker of seeds share. */
#pragma once
#include "fuzz/talk/talk.h"

enum { SEEDS_ROOM = 65536 };

/* The octet of scene, as fuzz/target/target.h lays it out. */
static inline uint8_t seeds_scene(unsigned version, unsigned sender, unsigned rest)
{
    return (uint8_t)((version - 2) | sender << 2 | rest << 4);
}

void seeds_write(const char *name, const uint8_t *octets, size_t len);

void seeds_of_talks(void);
/* One seed for each conversation of the file, of its packets alone unless `talk`; ends the process when a line of it
 * makes no sense. */
void seeds_of_scripts(const char *path, bool talk);
