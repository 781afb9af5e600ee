/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/show/fields.c -- look-ups in the table of fields. */
#include "decoder/show/item.h"
#include <string.h>

const struct field_info field_table[FIELD_COUNT] = {
#define FIELD(sym, name, type, base, meaning) { name, meaning, sizeof name - 1, FIELD_##type, base },
#include "decoder/show/fields.def"
};

struct view field_label(enum field f)
{
    const char *meaning = field_info(f)->meaning;
    return view_of(meaning, strcspn(meaning, ","));
}

int field_find(const char *name, size_t len)
{
    for (unsigned f = 0; f < FIELD_COUNT; f++)
        if (field_table[f].name_len == len && memcmp(field_table[f].name, name, len) == 0)
            return (int)f;
    return -1;
}

enum { NEAR_NAME_MAX = 64, NEAR_MAX = 3 };

/* Levenshtein distance of two names, both under NEAR_NAME_MAX octets. */
static unsigned distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    unsigned row[NEAR_NAME_MAX + 1];
    for (unsigned j = 0; j <= b_len; j++)
        row[j] = j;
    for (unsigned i = 1; i <= a_len; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= b_len; j++) {
            unsigned above = row[j];
            unsigned best = diagonal + (a[i - 1] != b[j - 1]);
            if (above + 1 < best)
                best = above + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = above;
            row[j] = best;
        }
    }
    return row[b_len];
}

const char *field_nearest(const char *name, size_t len)
{
    const char *nearest = NULL;
    unsigned least = NEAR_MAX + 1;
    if (len == 0 || len > NEAR_NAME_MAX)
        return NULL;
    for (unsigned f = 0; f < FIELD_COUNT; f++) {
        size_t field_len = field_table[f].name_len;
        if (field_len > NEAR_NAME_MAX || field_len > len + NEAR_MAX || len > field_len + NEAR_MAX)
            continue;
        unsigned d = distance(name, len, field_table[f].name, field_len);
        if (d < least && d * 2 < len) {
            least = d;
            nearest = field_table[f].name;
        }
    }
    if (nearest == NULL) /* a name left unfinished at its front: "topic" for "mqtt.topic" */
        for (unsigned f = 0; f < FIELD_COUNT && nearest == NULL; f++) {
            const char *dot = strchr(field_table[f].name, '.');
            if (dot != NULL && strlen(dot + 1) == len && memcmp(dot + 1, name, len) == 0)
                nearest = field_table[f].name;
        }
    return nearest;
}
