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

static struct wheel_chunk **place_of(struct track *t, int64_t tick)
{
    return &t->wheel[(uint64_t)tick % WHEEL];
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

/* The next but one: what lies between is looked at before this one is worked off. */
static void prefetch_chunks(const struct wheel_chunk *top)
{
    if (top != NULL && top->below != NULL)
        prefetch_record(top->below->below, sizeof *top);
}

static struct wheel_entry pop(struct track *t, struct wheel_chunk **place)
{
    struct wheel_chunk *top = *place;
    struct wheel_entry e = top->entry[--top->n];
    t->n_entries--;
    if (top->n == 0) {
        *place = top->below;
        prefetch_chunks(*place);
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

struct turn {
    int64_t now;
    bool whole; /* more time has passed than there are places */
};

/* Most come up a little before their time. They go on to the next place, where they would be set to, with no look at
 * the timer, which may be far away in memory. */
static bool is_early(const struct wheel_entry *e, const struct turn *u)
{
    return !u->whole && (int32_t)(e->due - (uint32_t)(u->now >> WHEEL_FINE)) > 0;
}

static const struct wheel_entry *due_ahead(const struct wheel_chunk *top, uint32_t turns, const struct turn *u)
{
    const struct wheel_entry *e = entry_ahead(top, turns);
    return e != NULL && !is_early(e, u) ? e : NULL;
}

static void prefetch_timer(const struct track *t, const struct wheel_entry *e)
{
    if (e != NULL)
        prefetch_line(timer_of(t, e->owner));
}

/* What a look at it will touch, if there is to be one. */
static void prefetch_owner(const struct track *t, const struct wheel_entry *e, unsigned step)
{
    if (e != NULL && (e->owner & AFTER_OWNER) == 0 && is_live(t, e))
        track_prefetch(t, e->owner, step);
}

/* Drops what has no meaning any more; the others keep their order. */
static void sweep(struct track *t)
{
    for (unsigned i = 0; i < WHEEL; i++) {
        struct wheel_chunk *old = NULL;
        while (t->wheel[i] != NULL) { /* turned round */
            prefetch_timer(t, entry_ahead(t->wheel[i], 6 * AHEAD));
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
    if (t->n_entries >= 3 * owners + SPARE_ENTRIES)
        sweep(t);
    int64_t tick = due >> WHEEL_SHIFT, first = t->tick + 1, last = t->tick + WHEEL - 1;
    uint32_t fine = (uint32_t)(due >> WHEEL_FINE);
    if (tick < first ||
        tick > last) { /* long gone: the next turn looks at it; far off: looked at in between, set again */
        tick = tick < first ? first : last;
        fine = (uint32_t)tick << (WHEEL_SHIFT - WHEEL_FINE);
    }
    if (++t->serial == 0)
        t->serial = 1;
    if (!push(t, place_of(t, tick), (struct wheel_entry){ owner, t->serial, fine }))
        return;
    r->due = due;
    r->serial = t->serial;
}

static void defer(struct track *t, const struct wheel_entry *e)
{
    if (!push(t, place_of(t, t->tick + 1), *e) && is_live(t, e))
        timer_stop(timer_of(t, e->owner));
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

static void work_off(struct track *t, struct wheel_chunk **place, const struct turn *u)
{
    prefetch_chunks(*place);
    while (*place != NULL) {
        prefetch_timer(t, due_ahead(*place, 6 * AHEAD, u));
        for (unsigned step = 0; step < 3; step++)
            prefetch_owner(t, due_ahead(*place, (3 - step) * AHEAD, u), step);
        struct wheel_entry e = pop(t, place);
        if (is_early(&e, u))
            defer(t, &e);
        else
            look(t, &e, u->now);
    }
}

/* Looks at everything that stands in the places up to `now`, the latest first. A timer that is set while a place is
 * being worked off goes to a later one, so this ends. */
void wheel_turn(struct track *t, int64_t now)
{
    int64_t goal = now >> WHEEL_SHIFT;
    struct turn u = { .now = now, .whole = goal - t->tick > WHEEL };
    for (int64_t tick = u.whole ? goal - WHEEL + 1 : t->tick + 1; tick <= goal; tick++) {
        t->tick = tick;
        work_off(t, place_of(t, tick), &u);
    }
}
