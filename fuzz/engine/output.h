/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/engine/output.h -- what every output of ours must be, whatever the input: checked without any code of the
 * outputs. */
#pragma once
#include "decoder/base/cursor.h"

/* Well-formed UTF-8 (shortest form, no surrogates) without control characters, but for those listed in `allowed`. */
bool output_is_text(struct view text, const char *allowed);
/* Lines, each of them one JSON object (RFC 8259) and a newline. */
bool output_is_json_lines(struct view text);
