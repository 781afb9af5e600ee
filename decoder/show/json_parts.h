/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/show/json_parts.h -- what json.c and json_fast.c share; nobody else includes this. */
#pragma once
#include "decoder/show/item_parts.h"
#include "decoder/show/show.h"

/* Writes the row's object with its usual fields and secrets masked, if it is one of the frequent kind. False: it is
 * not, or the buffer is too small; nothing is written. */
bool json_fast(struct out *o, const struct row *row);
