/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/judge/weighing.h -- what guarantee.c and reaction.c share while they weigh a ledger; private to them. */
#pragma once
#include <string.h>

#include "decoder/mqtt/topic.h"
#include "fuzz/judge/ledger.h"

enum {
    ENOUGH_MS = 800, /* after this time, with a PING answered at its end, what has not come does not come */
    SETTLED_MS = 40  /* between an acknowledgement and what builds on it */
};
enum { NO_LOCAL = 4, AS_PUBLISHED = 8 };

struct weighing {
    const struct ledger *l;
    uint32_t tail_at;           /* from here on the log only says that the runner closed what was left */
    bool faulty;                /* some client was unclear, and spoke of what is this run's own */
    bool nameless;              /* some message has a topic that is not known */
    bool raced[LEDGER_PARTIES]; /* connected while another of its client identifier did: only the broker knows the order
                                 */
    void (*accuse)(void *ctx, const struct accusation *a);
    void *ctx;
};

__attribute__((format(printf, 5, 6))) void accuse(const struct weighing *w, enum guarantee what, unsigned version,
                                                  bool hasty, const char *why, ...);
void weigh_reactions(const struct weighing *w);

bool ours(const struct weighing *w, struct view name); /* it begins with what belongs to this run alone */
/* Accepted, clear, and there to the end. */
bool lived(const struct weighing *w, const struct ledger_party *p);
/* Its subscriptions are known: it began in this run, and every connection was clear. */
bool known(const struct weighing *w, const struct ledger_session *s);

static inline bool same(struct view a, struct view b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline int64_t ms(int64_t ns)
{
    return ns / 1000000;
}

static inline int64_t time_of(const struct weighing *w, uint32_t at)
{
    return w->l->run->log[at].time_ns;
}

static inline bool shared(const struct ledger_sub *s)
{
    return topic_is_shared(s->filter);
}

static inline bool matches(const struct ledger_sub *s, struct view topic)
{
    return topic_matches(shared(s) ? topic_share_filter(s->filter) : s->filter, topic);
}

static inline bool v5_option(const struct weighing *w, const struct ledger_sub *s, unsigned bits)
{
    return w->l->party[s->party].version == MQTT_V5 && (s->options & bits) != 0;
}

/* Was the filter asked for with No Local, by this SUBSCRIBE or by one that took its place, or may have? */
static inline bool asked_no_local(const struct weighing *w, const struct ledger_sub *s)
{
    bool any = false;
    for (const struct ledger_sub *o = w->l->sub; o < w->l->sub + w->l->n_subs; o++)
        any = any || (o->session == s->session && v5_option(w, o, NO_LOCAL) && same(o->filter, s->filter));
    return any;
}
