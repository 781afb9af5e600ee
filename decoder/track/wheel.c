/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/track/wheel.c -- deadlines of connections and sessions on a wheel of about a quarter of a second a place.
 *
 * One timer each, standing at the earliest thing to look at; a look decides what is due and where the timer goes next.
 * A deadline that moves away costs nothing until the old one comes round. A place is a list of owners and not of
 * pointers, so that what is looked at next can be on its way; an entry whose timer was stopped or moved stays until its
 * place is worked off, or until there are too many of these. */
#include "decoder/base/prefetch.h"
#include "decoder/track/state.h"

enum { AHEAD = 4, SPARE_ENTRIES = 1024 };

static struct timer *timer_of(const struct track *t, uint32_t owner)
{
    if ((owner & AFTER_OWNER) != 0)
        return &((struct after *)slab_at(&t->afters, (owner & ~AFTER_OWNER) - 1))->timer;
    return &conn_at(t, owner)->timer;
}

void timer_stop(struct timer *r)
{
    r->due = INT64_MAX;
    r->serial = 0;
}

static bool is_live(const struct track *t, const struct wheel_entry *e)
{
    return timer_of(t, e->owner)->serial == e->serial;
}

static struct wheel_entry pop(struct track *t, struct wheel_chunk **place)
{
    struct wheel_chunk *top = *place;
    struct wheel_entry e = top->entry[--top->n];
    t->n_entries--;
    if (top->n == 0) {
        *place = top->below;
        slab_give(&t->chunks, top);
    }
    return e;
}

static bool push(struct track *t, struct wheel_chunk **place, struct wheel_entry e)
{
    struct wheel_chunk *top = *place;
    if (top == NULL || top->n == sizeof top->entry / sizeof top->entry[0]) {
        top = slab_take(t, &t->chunks);
        if (top == NULL)
            return false;
        top->below = *place;
        *place = top;
    }
    top->entry[top->n++] = e;
    t->n_entries++;
    return true;
}

/* The entry that comes up so many turns later; NULL: none near. */
static const struct wheel_entry *entry_ahead(const struct wheel_chunk *top, uint32_t turns)
{
    if (top != NULL && top->n <= turns) {
        turns -= top->n;
        top = top->below;
    }
    return top != NULL && top->n > turns ? &top->entry[top->n - 1 - turns] : NULL;
}

static void prefetch_timer(const struct track *t, const struct wheel_chunk *top)
{
    const struct wheel_entry *e = entry_ahead(top, 4 * AHEAD);
    if (e != NULL)
        prefetch_line(timer_of(t, e->owner));
}

/* What a look at it will touch, if there is to be one. */
static void prefetch(const struct track *t, const struct wheel_chunk *top, unsigned step)
{
    const struct wheel_entry *e = entry_ahead(top, (3 - step) * AHEAD);
    if (e != NULL && (e->owner & AFTER_OWNER) == 0 && is_live(t, e))
        track_prefetch(t, e->owner, step);
}

/* Drops what has no meaning any more; the others keep their order. */
static void sweep(struct track *t)
{
    for (unsigned i = 0; i < WHEEL; i++) {
        struct wheel_chunk *old = NULL;
        while (t->wheel[i] != NULL) { /* turned round */
            prefetch_timer(t, t->wheel[i]);
            struct wheel_entry e = pop(t, &t->wheel[i]);
            if (is_live(t, &e))
                push(t, &old, e);
        }
        while (old != NULL)
            push(t, &t->wheel[i], pop(t, &old));
    }
}

void timer_set(struct track *t, uint32_t owner, int64_t due)
{
    struct timer *r = timer_of(t, owner);
    if (due >= r->due)
        return;
    timer_stop(r);
    uint32_t owners = t->conns.used + t->afters.used;
    if (t->n_entries >= owners + owners / 2 + SPARE_ENTRIES)
        sweep(t);
    int64_t tick = due >> WHEEL_SHIFT;
    if (tick <= t->tick)
        tick = t->tick + 1; /* the next turn looks at it */
    if (tick >= t->tick + WHEEL)
        tick = t->tick + WHEEL - 1; /* looked at in between, and set again */
    if (++t->serial == 0)
        t->serial = 1;
    if (!push(t, &t->wheel[(uint64_t)tick % WHEEL], (struct wheel_entry){ owner, t->serial }))
        return;
    r->due = due;
    r->serial = t->serial;
}

static void look(struct track *t, const struct wheel_entry *e, int64_t now)
{
    struct timer *r = timer_of(t, e->owner);
    if (r->serial != e->serial)
        return;
    int64_t due = r->due;
    timer_stop(r);
    if (due > now)
        timer_set(t, e->owner, due);
    else if ((e->owner & AFTER_OWNER) != 0)
        due = session_check(t, ((struct after *)slab_at(&t->afters, (e->owner & ~AFTER_OWNER) - 1))->session, now);
    else
        due = conn_check(t, conn_at(t, e->owner), now);
    if (due != INT64_MAX)
        timer_set(t, e->owner, due);
}

/* Looks at everything that stands in the places up to `now`, the latest first. A timer that is set while a place is
 * being worked off goes to a later one, so this ends. */
void wheel_turn(struct track *t, int64_t now)
{
    int64_t goal = now >> WHEEL_SHIFT;
    int64_t from = t->tick + 1;
    if (goal - t->tick > WHEEL)
        from = goal - WHEEL + 1;
    for (int64_t tick = from; tick <= goal; tick++) {
        t->tick = tick;
        struct wheel_chunk **place = &t->wheel[(uint64_t)tick % WHEEL];
        while (*place != NULL) {
            prefetch_timer(t, *place);
            for (unsigned step = 0; step < 3; step++)
                prefetch(t, *place, step);
            struct wheel_entry e = pop(t, place);
            look(t, &e, now);
        }
    }
    t->tick = goal;
}
