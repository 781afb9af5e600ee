/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/mqtt/topic.h -- topic names and topic filters (section 4.7 of both standards, 4.8.2 of 5.0). */
#pragma once
#include "decoder/base/cursor.h"

enum topic_fault {
    TOPIC_OK,
    TOPIC_EMPTY,
    TOPIC_WILDCARD,   /* in a name */
    TOPIC_HASH,       /* # misplaced */
    TOPIC_PLUS,       /* + misplaced */
    TOPIC_SHARE_NAME, /* $share/ without a ShareName */
    TOPIC_SHARE_FORM, /* ShareName with + or #, or no filter behind it */
};

struct topic_result {
    enum topic_fault fault;
    size_t offset, len; /* of the octets at fault */
};

/* UTF-8 and U+0000 are not looked at here (decoder/base/utf8.h). */
struct topic_result topic_check_name(struct view name);
/* shared: the 5.0 form $share/NAME/FILTER counts */
struct topic_result topic_check_filter(struct view filter, bool shared);

bool topic_is_shared(struct view filter);           /* starts with $share/ */
struct view topic_share_name(struct view filter);   /* of a well-formed shared filter */
struct view topic_share_filter(struct view filter); /* the inner filter of a well-formed shared one, else the filter */

/* Does the filter (not shared: strip it first) match the name? Section 4.7.1 to 4.7.3, $-topics included. Linear. */
bool topic_matches(struct view filter, struct view name);
