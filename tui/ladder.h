/* SPDX-License-Identifier: Apache-2.0
 *
 * tui/ladder.h -- what a line of the ladder says beside its arrow; used by screen_ladder.c and the text that is saved.
 */
#pragma once
#include "tui/app.h"

/* The remark of a row: what is owed, resumed, refused, broken. `latest`: no later packet of its exchange was seen.
 * Returns the style. end_ns: now, or the end of the capture; brief: what does not fit into 22 columns is left out. */
uint8_t ladder_note(const struct store_entry *e, bool latest, uint32_t connections, int64_t end_ns, bool brief,
                    char out[160]);
/* One sentence about a row, for the line under the ladder. last: the latest row of its exchange (the row itself when
 * there is no other). */
uint8_t ladder_sentence(const struct store_entry *e, const struct store_row *last, int64_t end_ns, char out[512]);
