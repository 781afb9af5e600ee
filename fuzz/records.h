/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/records.h -- the records of a conversation while it is mutated; private to fuzz/. */
#pragma once
#include "fuzz/mutator.h"
#include "fuzz/talk/talk.h"

enum { RECORDS_MAX = 256, PACKET_ROOM = 8192 };

struct records {
    struct talk_record at[RECORDS_MAX];
    uint32_t n;
};

void records_read(struct view talk, struct records *r);
/* Replaces buf[at..at+old) by `with`; false when it does not fit. `with` lies outside buf. */
bool records_replace(uint8_t *buf, size_t *len, size_t cap, size_t at, size_t old, struct view with);
bool records_put(uint8_t *buf, size_t *len, size_t cap, size_t at, size_t old, const struct talk_record *record);

/* What rules of conduct speak of: answers, sessions that are taken up again, what is sent once more, and the recipes of
 * fuzz/conduct.def. */
void conduct_mutate(struct mutator *m, unsigned version, uint8_t *buf, size_t *len, size_t cap,
                    const struct records *r);
