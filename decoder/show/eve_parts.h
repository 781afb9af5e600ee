/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/show/eve_parts.h -- what the writers of EVE share; not for use outside decoder/show/eve*.c. */
#pragma once
#include "decoder/base/json.h"
#include "decoder/show/eve.h"

enum { EVE_ESCAPED_MAX = 16 };

/* One line under construction. */
struct eve_line {
    struct json j;
    const struct eve *e;
    const char *escaped[EVE_ESCAPED_MAX]; /* keys whose values are in the escaped form */
    unsigned n_escaped;
};

/* Key and string of the wire; what is not UTF-8 goes out escaped, and the key is remembered. ptr NULL writes nothing.
 */
void eve_string(struct eve_line *l, const char *key, struct view text);
void eve_uint(struct eve_line *l, const char *key, uint64_t number);
void eve_bool(struct eve_line *l, const char *key, bool value);
void eve_text(struct eve_line *l, const char *key, const char *text); /* of ours; NULL writes nothing */
void eve_microseconds(struct eve_line *l, const char *key, int64_t ns);
/* KEY_len, and KEY or KEY_b64 up to the limit, and KEY_truncated. `len` octets are on the wire. */
void eve_payload(struct eve_line *l, const char *key, struct view octets, uint64_t len);
void eve_time(struct out *o, int64_t ns); /* 2024-03-01T12:00:00.000000+0000 */

/* The members of "mqtt": what the packet says (eve_packet.c). */
void eve_packet(struct eve_line *l, const struct row *row);
const char *eve_type(unsigned type); /* "publish" */
