/* SPDX-License-Identifier: Apache-2.0
 *
 * Links the pipeline while decoder/track has no objects: follows nothing. */
#include "decoder/track/track.h"

#define WEAK __attribute__((weak))

WEAK void track_defaults(struct track_config *c)
{
    *c = (struct track_config){ 0 };
}
WEAK struct track *track_new(const struct track_config *c, struct track_memory m, struct track_events e)
{
    (void)c;
    (void)m;
    (void)e;
    return (void *)1;
}
WEAK void track_free(struct track *t)
{
    (void)t;
}
WEAK track_conn track_open(struct track *t, const struct track_opening *o)
{
    (void)t;
    (void)o;
    return 1;
}
WEAK void track_packet(struct track *t, track_conn c, const struct track_input *in, struct mqtt_verdicts *v,
                       struct track_note *note)
{
    (void)t;
    (void)c;
    (void)in;
    (void)v;
    *note = (struct track_note){ 0 };
}
WEAK void track_gap(struct track *t, track_conn c, unsigned dir, uint64_t octets, int64_t time_ns, uint64_t frame)
{
    (void)t;
    (void)c;
    (void)dir;
    (void)octets;
    (void)time_ns;
    (void)frame;
}
WEAK void track_close(struct track *t, track_conn c, enum track_close_how how, unsigned dir, int64_t time_ns,
                      uint64_t frame)
{
    (void)t;
    (void)c;
    (void)how;
    (void)dir;
    (void)time_ns;
    (void)frame;
}
WEAK void track_forget(struct track *t, track_conn c)
{
    (void)t;
    (void)c;
}
WEAK void track_advance(struct track *t, int64_t n)
{
    (void)t;
    (void)n;
}
WEAK void track_finish(struct track *t, int64_t n)
{
    (void)t;
    (void)n;
}
WEAK uint64_t track_session_of(const struct track *t, track_conn c)
{
    (void)t;
    (void)c;
    return 0;
}
