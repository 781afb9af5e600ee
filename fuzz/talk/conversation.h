/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/talk/conversation.h -- whole conversations of several clients with a server: made, named, and as plans. */
#pragma once
#include "fuzz/mutator.h"
#include "fuzz/plan/plan.h"

enum { TALK_MAX = 32768 };

/* One conversation: records of fuzz/talk/talk.h, sent in the forms of one version. */
struct talk {
    uint8_t *octets;
    uint32_t len;
    uint8_t version;
    bool calm; /* time enough between what different clients do, for chance to have no part in it */
};

size_t talk_fresh(struct mutator *m, unsigned version, uint8_t *out, size_t cap); /* several clients, mostly valid */
bool talk_copy(struct talk *to, const struct talk *from);                         /* owned; false: no memory */
/* Words of the programs that a command names; command NULL: none. free() it. */
struct words;
struct words *words_of_command(const char *command);
const char *words_any(struct words *w, struct mutator *m); /* w may be NULL; each once, then any */
bool words_left(const struct words *w);                    /* not all were told yet */
/* One of scenarios.def, alone or with neighbours that do anything; slow: it may take seconds. 0: it does not fit. */
size_t talk_scenario(struct mutator *m, struct words *words, unsigned version, bool slow, uint8_t *out, size_t cap);
void talk_hurry(struct talk *talk); /* its long waits are short ones from now on */
enum { TALK_CROWD = 256, TALK_CROWDS = 10, TALK_CROWD_MAX = 1 << 19 };
/* Many connections one after the other, TALK_CROWD at most, whose sessions end with them: what they cost must not stay.
 * kind: below TALK_CROWDS, what each of them does. cap: TALK_CROWD_MAX is enough. 0: not in this version. */
size_t talk_crowd(unsigned kind, unsigned version, uint8_t *out, size_t cap);
const char *talk_crowd_does(unsigned kind);
unsigned talk_crowd_size(unsigned kind); /* connections */
/* The steps of a plan as records; judged expectations and conditions have none. False: said on stderr. */
bool talk_of_plan(const struct plan *plan, struct talk *out, size_t cap);
/* Stands in a talk for what makes the names of a run its own; ~ in a plan. */
#define TALK_PREFIX "~~~~~~"
enum { TALK_PREFIX_LEN = sizeof TALK_PREFIX - 1 };
/* The prefix in every client identifier, topic and filter that has room for it. */
void talk_give_names(struct talk *talk, size_t cap);
bool talk_has_names(const struct talk *talk);       /* in every client identifier: no other run has the same */
bool talk_keeps_to_itself(const struct talk *talk); /* neither hears others nor is heard by them */
uint8_t talk_version_from(struct view octets, uint8_t before); /* what a client speaks from here on: CONNECT names it */
/* A plan of its own: prefix, as long as TALK_PREFIX, stands for it. What the server would have sent is waited for a
 * little; patient: long, and at the end everybody gets time to receive what is due. False: no memory. */
bool talk_plan(const struct talk *talk, const char *prefix, bool patient, struct plan *out);
/* The nth simpler form of what a client sends in one go; 0: there are no more, or it does not fit. */
size_t simpler_octets(struct view octets, unsigned version, unsigned n, uint8_t *out, size_t cap);
