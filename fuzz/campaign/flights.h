/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/campaign/flights.h -- plans under way beside each other. They are begun in order, looked at as soon as they end,
 * and learned from in order again, so many plans later that chance does not decide what comes next. */
#pragma once
#include "fuzz/campaign/campaign.h"

enum { FLIGHTS = 2048 };

/* What the caller is asked. */
struct flights_host {
    void *ctx;
    /* It ended, and this is what the broker's answers show. */
    void (*ended)(void *ctx, struct flight *f, const struct outcome *o);
    /* Its turn has come. news: its answers are of a kind that was not seen before. */
    void (*learned)(void *ctx, const struct flight *f, bool news);
};

struct flights {
    struct stage *stage;
    struct flights_host host;
    struct flight at[FLIGHTS];
    uint64_t due[FLIGHTS]; /* the plan before which it is learned from; 0: a free place */
    uint32_t next_free;    /* a place that may be */
    uint64_t begun;
    uint16_t waiting[FLIGHTS]; /* places of those that go alone and wait for each other, in turn */
    uint32_t first_waiting, n_waiting;
    const struct flight *lone; /* the one that goes alone now */
    uint32_t limit;            /* of quick ones at a time: fewer where the broker is slow or ends often */
};

void flights_init(struct flights *fs, struct stage *stage, const struct flights_host *host);
/* Waits until there is room, then begins. look: patient tries that are left, 0: it is no second look at a kind. own: it
 * was made here. number: of the plan. False: no memory. */
bool flights_begin(struct flights *fs, const struct talk *talk, uint64_t number, unsigned look, unsigned kind,
                   bool own);
void flights_look(struct flights *fs);                   /* at those that ended since */
void flights_learn(struct flights *fs, uint64_t number); /* from those whose turn has come before this plan */
/* Until the quick ones have ended, or all. */
void flights_drain(struct flights *fs, bool all);
bool flights_any(const struct flights *fs);
void flights_fewer(struct flights *fs); /* side by side, from now on */
/* Those that may have done what the broker shows now, the likeliest first. Returns how many. */
unsigned flights_suspects(const struct flights *fs, const struct flight *out[FLIGHTS]);
void flight_clear(struct flight *f);
void flights_free(struct flights *fs);
