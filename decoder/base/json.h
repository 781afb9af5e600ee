/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/base/json.h -- one JSON object a line (NDJSON), written straight into the output buffer.
 *
 * Keys are text of ours and need no escaping. Nested objects and arrays open and close by hand. */
#pragma once
#include "decoder/base/out.h"
#include "decoder/base/utf8.h"

struct json {
    struct out *o;
    bool comma; /* something stands before the next key or value */
};

static inline struct json json_on(struct out *o)
{
    return (struct json){ .o = o };
}

static inline void json_separate(struct json *j)
{
    if (j->comma)
        out_char(j->o, ',');
    j->comma = true;
}

static inline void json_open(struct json *j, char bracket) /* '{' or '[' */
{
    json_separate(j);
    out_char(j->o, bracket);
    j->comma = false;
}

static inline void json_close(struct json *j, char bracket) /* '}' or ']' */
{
    out_char(j->o, bracket);
    j->comma = true;
}

static inline void json_key(struct json *j, const char *key)
{
    json_separate(j);
    out_char(j->o, '"');
    out_text(j->o, key);
    out_octets(j->o, "\":", 2);
    j->comma = false;
}

static inline void json_uint(struct json *j, uint64_t number)
{
    json_separate(j);
    out_uint(j->o, number);
}

static inline void json_bool(struct json *j, bool value)
{
    json_separate(j);
    out_text(j->o, value ? "true" : "false");
}

static inline void json_null(struct json *j)
{
    json_separate(j);
    out_text(j->o, "null");
}

/* A string of the wire. False: it was not well-formed UTF-8 and stands in the lossless form of out_json_escaped(). */
static inline bool json_view(struct json *j, struct view text)
{
    bool well_formed = text.len == 0 || utf8_check(text).worst < UTF8_ILL_FORMED;
    json_separate(j);
    if (well_formed)
        out_json_string(j->o, text);
    else
        out_json_escaped(j->o, text);
    return well_formed;
}

static inline void json_text(struct json *j, const char *text) /* of ours, or of the machine's configuration */
{
    json_view(j, view_of(text, strlen(text)));
}

/* A line is an object; two calls around its keys. */
static inline void json_line_begin(struct json *j)
{
    j->comma = false;
    json_open(j, '{');
}

static inline void json_line_end(struct json *j)
{
    out_octets(j->o, "}\n", 2);
    j->comma = false;
}
