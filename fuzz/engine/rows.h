/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/engine/rows.h -- octets of one side, made into rows without the help of capture/: for the targets of what stands
 * behind the rows. */
#pragma once
#include "decoder/mqtt/conn.h"
#include "decoder/show/row.h"
#include "fuzz/target/target.h"

/* Calls `each` for every packet in `stream`, and for a gap where framing is lost. Everything is borrowed for the call.
 * The scene tells whether the version and the sender are known. */
void rows_of(struct view stream, struct fuzz_scene scene, void (*each)(void *ctx, const struct row *row), void *ctx);
