/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/track/wheel.c -- deadlines of connections and sessions on a wheel of about a quarter of a second a place.
 *
 * One timer each, standing at the earliest thing to look at; a look decides what is due and where the timer goes next.
 * A deadline that moves away costs nothing until the old one comes round. */
#include "decoder/track/state.h"

void timer_stop(struct track *t, struct timer *r)
{
    if (r->place == WHEEL)
        return;
    if (r->prev != NULL)
        r->prev->next = r->next;
    else
        t->wheel[r->place] = r->next;
    if (r->next != NULL)
        r->next->prev = r->prev;
    r->place = WHEEL;
    r->due = INT64_MAX;
}

void timer_set(struct track *t, struct timer *r, int64_t due)
{
    if (due >= r->due)
        return;
    timer_stop(t, r);
    int64_t tick = due >> WHEEL_SHIFT;
    if (tick <= t->tick)
        tick = t->tick + 1; /* the next turn looks at it */
    if (tick >= t->tick + WHEEL)
        tick = t->tick + WHEEL - 1; /* looked at in between, and set again */
    r->due = due;
    r->place = (uint16_t)((uint64_t)tick % WHEEL);
    r->prev = NULL;
    r->next = t->wheel[r->place];
    if (r->next != NULL)
        r->next->prev = r;
    t->wheel[r->place] = r;
}

static void look(struct track *t, struct timer *r, int64_t now)
{
    int64_t due = r->due;
    timer_stop(t, r);
    if (due <= now)
        due = r->of_session ? session_check(t, ((struct after *)(void *)r)->session, now)
                            : conn_check(t, (struct conn *)(void *)r, now);
    if (due != INT64_MAX)
        timer_set(t, r, due);
}

/* Looks at everything that stands in the places up to `now`. A timer that is set while a place is being worked off goes
 * to a later one, so this ends. */
void wheel_turn(struct track *t, int64_t now)
{
    int64_t goal = now >> WHEEL_SHIFT;
    int64_t from = t->tick + 1;
    if (goal - t->tick > WHEEL)
        from = goal - WHEEL + 1;
    for (int64_t tick = from; tick <= goal; tick++) {
        t->tick = tick;
        struct timer *r;
        while ((r = t->wheel[(uint64_t)tick % WHEEL]) != NULL)
            look(t, r, now);
    }
    t->tick = goal;
}
