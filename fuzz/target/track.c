/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/target/track.c -- a conversation of several clients with a server, into the tracker. Claims: what it hands out
 * is whole and points at frames that were; every exchange that was opened is handed out once; memory is what it says,
 * within the limits, and comes back; the same conversation gives the same judgement twice; what is
 * written of it as EVE is one valid object a line.
 *
 * Of the octet of scene, bit 4 makes the limits small, bit 5 has all written, bit 7 leaves out what TCP acknowledged;
 * bit 6 without 4 and 5 refuses memory after a while, earlier or later by the length of the input. A gap of 0 to 3
 * octets is none: it stands for a fault of the WebSocket around the packets. */
#include "fuzz/target/target.h"

#include <stdlib.h>

#include "fuzz/engine/watch.h"
#include "fuzz/talk/talk.h"

const struct fuzz_target fuzz_target = { "track", FUZZ_TALK };

enum { RECORDS_MAX = 300, REFUSALS = 64 };

struct sum {
    uint64_t hash, judgements;
};

static void judged(void *ctx, const struct watch_judgement *j)
{
    struct sum *s = ctx;
    s->judgements++;
    s->hash = (s->hash ^ (j->rule << 8 | j->severity << 4 | j->side)) * 1099511628211u;
    for (const char *c = j->sentence; c != NULL && *c != '\0'; c++)
        s->hash = (s->hash ^ (uint8_t)*c) * 1099511628211u;
}

static void run(struct view talk, unsigned rest, struct sum *sum)
{
    struct watch *w = calloc(1, sizeof *w);
    struct track_config config;
    struct talk_record record;
    size_t pos = 0;
    HOLDS(w != NULL);
    track_defaults(&config);
    if (rest & 1) { /* so little that it has to forget */
        config.max_connections = config.max_sessions = 3;
        config.max_exchanges = 6;
        config.max_topics = config.max_subscriptions = 4;
        config.max_text = 256;
    }
    if ((rest & 7) == 4)
        w->refuse_after = 1 + (uint32_t)(talk.len % REFUSALS);
    config.judge = rest != 14;
    w->judged = judged;
    w->skewed = true;
    w->no_acks = (rest & 8) != 0;
    w->written = (rest & 2) != 0;
    w->ctx = sum;
    bool started = watch_start(w, &config);
    for (unsigned n = 0; started && n < RECORDS_MAX && talk_next(talk, &pos, &record); n++)
        watch_record(w, &record);
    if (started)
        watch_end(w);
    free(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sum first = { 0 }, second = { 0 };
    if (size < 2)
        return 0;
    unsigned rest = fuzz_scene(data[0]).rest;
    run(view_of(data + 1, size - 1), rest, &first);
    if (size % 8 == 0) {
        run(view_of(data + 1, size - 1), rest, &second);
        HOLDS(first.hash == second.hash && first.judgements == second.judgements);
    }
    HOLDS(rest != 14 || first.judgements < 10000);
    return 0;
}
