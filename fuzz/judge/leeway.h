/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/judge/leeway.h -- what the standards leave to a broker, and a run met: a right it did not grant, a feature it
 * says it lacks, a limit of its own. What was expected of it then proves nothing. */
#pragma once
#include "fuzz/judge/ledger.h"

enum { LEEWAY_WHY = 160, FORGETFUL_S = 10 }; /* who keeps sessions for less loses them within a run */

/* Writes a sentence about it and returns true; false: the run met none. */
bool leeway_met(const struct ledger *l, char *why, size_t cap);
/* A reason code of CONNACK or DISCONNECT that the broker alone can know the truth of. */
bool leeway_is_its_own(unsigned code);
