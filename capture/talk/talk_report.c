/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/talk/talk_parts.h"
#include <string.h>

static void set_endpoint(struct row_endpoint *e, const struct flow *f, unsigned side)
{
    e->addr.family = f->family;
    memset(e->addr.octets, 0, sizeof e->addr.octets);
    memcpy(e->addr.octets, flow_addr(f, side), f->family == 4 ? 4 : 16);
    e->port = f->port[side];
}

/* What stays the same from report to report of a frame. */
static void turn(const struct arrival *a, unsigned dir)
{
    struct talks *t = a->t;
    struct report *r = &t->report;
    if (t->report_flow != a->f) {
        set_endpoint(&r->side[0], a->f, 0);
        set_endpoint(&r->side[1], a->f, 1);
        r->stream = a->f->number;
        r->handle = a->k->handle;
        t->report_flow = a->f;
    }
    r->dir = (uint8_t)dir;
    r->stamp = *a->stamp;
}

static inline struct report *begin(const struct arrival *a, enum report_kind kind, unsigned dir)
{
    struct talks *t = a->t;
    struct report *r = &t->report;
    if (r->stamp.frame != a->stamp->frame || r->stamp.time_ns != a->stamp->time_ns || t->report_flow != a->f ||
        r->dir != dir)
        turn(a, dir);
    r->kind = (uint8_t)kind;
    r->wrapped = (a->f->flags & TALK_WRAPPED) != 0;
    r->conn = a->k->conn;
    return r;
}

static void tell(struct talks *t)
{
    if (!t->options.tell(t->options.ctx, &t->report))
        t->stopped = true;
}

/* Right before the first row. */
void talk_open(const struct arrival *a)
{
    struct flow *f = a->f;
    if (a->k->opened)
        return;
    a->k->opened = true;
    a->t->n.connections++;
    f->flags |= TCP_FLOW_KNOWN;
    struct report *r = begin(a, REPORT_OPENED, f->client < 2 ? f->client : a->dir);
    r->opened.from_syn[0] = f->dir[0].flags & STREAM_FROM_SYN;
    r->opened.from_syn[1] = f->dir[1].flags & STREAM_FROM_SYN;
    r->opened.client = f->client;
    r->opened.time_ns = f->extra != NULL ? f->extra->first_ns : a->stamp->time_ns;
    r->opened.frame = f->extra != NULL ? f->extra->first_frame : a->stamp->frame;
    tell(a->t);
    a->k->handle = r->handle;
}

void talk_give_gap(const struct arrival *a, uint64_t gap, uint64_t skipped, const char *why)
{
    struct talks *t = a->t;
    if (t->stopped)
        return;
    talk_open(a);
    t->n.rows++;
    t->n.gaps++;
    t->n.gap_octets += gap;
    t->n.skipped_octets += skipped;
    struct report *r = begin(a, REPORT_GAP, a->dir);
    r->gap.octets = gap;
    r->gap.skipped = skipped;
    r->gap.why = why;
    tell(t);
}

void talk_give_difference(const struct arrival *a, uint64_t at, uint64_t len, uint64_t first_frame)
{
    talk_open(a);
    a->t->n.rows++;
    struct report *r = begin(a, REPORT_DIFFERENCE, a->dir);
    r->difference.at = at;
    r->difference.octets = len;
    r->difference.first_frame = first_frame;
    tell(a->t);
}

RARELY static void tell_wrapped(const struct arrival *a)
{
    struct transport_fault faults[TRANSPORT_FAULTS];
    struct report *r = &a->t->report;
    while (r->packet.n_faults < TRANSPORT_FAULTS && transport_fault(flow_transport(a->f), &faults[r->packet.n_faults]))
        r->packet.n_faults++;
    r->packet.faults = faults;
    r->packet.end = r->packet.acked = 0;
    tell(a->t);
    r->packet.faults = NULL;
}

static void give_packet(const struct arrival *a, const struct mqtt_frame *frame, const struct first_octet *first,
                        uint64_t end)
{
    struct talks *t = a->t;
    if (t->stopped)
        return;
    if (!a->k->opened)
        talk_open(a);
    t->n.rows++;
    t->n.packets++;
    t->n.packet_octets += frame->total;
    if (frame->missing == 0 && frame->octets.len < frame->total) /* there was no room for more */
        t->n.cut_packets++;
    const struct stream *stream = &a->f->dir[a->dir];
    struct report *r = begin(a, REPORT_PACKET, a->dir);
    r->packet.octets = frame->octets.ptr;
    r->packet.held = (uint32_t)frame->octets.len;
    r->packet.frame_first = first->stamp.frame;
    r->packet.time_first_ns = first->stamp.time_ns;
    r->packet.end = end;
    r->packet.acked = first->acked;
    r->packet.seq_end = stream->next - stream->at_low + (uint32_t)end;
    r->packet.n_faults = 0;
    if (r->wrapped)
        tell_wrapped(a);
    else
        tell(t);
    a->k->conn = r->conn;
}

void talk_give_packet(const struct arrival *a, const struct mqtt_frame *frame, const struct first_octet *first,
                      uint64_t end)
{
    if (first->stamp.frame <= a->stamp->frame) {
        give_packet(a, frame, first, end);
        return;
    }
    /* out of order: what came last completes the packet, though it holds its beginning */
    struct arrival completed = *a;
    completed.stamp = &first->stamp;
    give_packet(&completed, frame, &(struct first_octet){ *a->stamp, first->acked }, end);
}

void talk_give_unseen(const struct arrival *a)
{
    if (!a->k->opened)
        return;
    begin(a, REPORT_UNSEEN, a->dir);
    tell(a->t);
}

void talk_give_under_way(const struct arrival *a)
{
    if (!a->k->opened || a->t->stopped)
        return;
    begin(a, REPORT_UNDER_WAY, a->dir);
    tell(a->t);
}

void talk_give_close(const struct arrival *a, enum tcp_end how, unsigned dir)
{
    if (!a->k->opened || a->k->closed)
        return;
    a->k->closed = true;
    struct report *r = begin(a, REPORT_CLOSED, dir);
    r->closed.how = (uint8_t)how;
    r->closed.from_syn = a->f->dir[dir].flags & STREAM_FROM_SYN;
    tell(a->t);
}

void talk_give_up(const struct arrival *a)
{
    if (!a->k->opened)
        return;
    begin(a, REPORT_FORGOTTEN, a->dir);
    tell(a->t);
}
