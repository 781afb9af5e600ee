/* SPDX-License-Identifier: Apache-2.0 */
#include "decoder/mqtt/framer.h"

#include <string.h>

#include "decoder/mqtt/packet.h"

enum { FIRST_LOAN = 512 }; /* octets asked for at first; then twice as many each time */

void mqtt_framer_init(struct mqtt_framer *f, uint32_t limit)
{
    *f = (struct mqtt_framer){ .limit = limit > MQTT_HEADER_MAX ? limit : MQTT_HEADER_MAX };
}

void mqtt_framer_lend(struct mqtt_framer *f, uint8_t *memory, uint32_t cap)
{
    f->lent = memory;
    f->lent_cap = cap;
}

void mqtt_framer_restart(struct mqtt_framer *f)
{
    f->kept = f->seen = f->total = f->missing = 0;
    f->lost = false;
}

static enum mqtt_frame_status bad_length(struct mqtt_framer *f, struct view octets, struct mqtt_frame *out)
{
    *out = (struct mqtt_frame){ .octets = octets };
    mqtt_framer_restart(f);
    f->lost = true;
    return MQTT_FRAME_BAD;
}

/* Room for `more` further octets of the packet under way, up to the limit? Asks for memory if not. */
static bool has_room(struct mqtt_framer *f, uint32_t more)
{
    uint32_t ceiling = f->total != 0 && f->total < f->limit ? f->total : f->limit;
    uint32_t need = more < ceiling - f->kept ? f->kept + more : ceiling;
    if (need <= f->lent_cap)
        return true;
    uint32_t want = f->lent_cap < FIRST_LOAN / 2 ? FIRST_LOAN : f->lent_cap <= ceiling / 2 ? f->lent_cap * 2 : ceiling;
    want = want < ceiling ? want : ceiling;
    f->want = want > need ? want : need;
    return false;
}

/* Passes n octets of the packet under way, keeping them while they are contiguous and below the limit. */
static void pass(struct mqtt_framer *f, struct cursor *in, uint32_t n)
{
    if (f->kept == f->seen && f->kept < f->limit) {
        uint32_t keep = n < f->limit - f->kept ? n : f->limit - f->kept;
        memcpy(f->lent + f->kept, in->base + in->pos, keep);
        f->kept += keep;
    }
    f->seen += n;
    in->pos += n;
}

static void hand_over(struct mqtt_framer *f, struct mqtt_frame *out)
{
    *out = (struct mqtt_frame){ view_of(f->lent, f->kept), f->total, f->missing };
    f->kept = f->seen = f->total = f->missing = 0;
}

/* The fixed header of the packet under way, octet by octet: it was cut by the border of a chunk. */
static enum mqtt_frame_status finish_header(struct mqtt_framer *f, struct cursor *in, struct mqtt_frame *out)
{
    while (f->total == 0) {
        if (cur_left(in) == 0)
            return MQTT_FRAME_MORE;
        pass(f, in, 1);
        uint32_t remaining = 0;
        int used = mqtt_vbi_read(view_of(f->lent + 1, f->kept - 1), &remaining);
        if (used < 0)
            return bad_length(f, view_of(f->lent, f->kept), out);
        if (used > 0)
            f->total = 1 + (uint32_t)used + remaining;
    }
    return MQTT_FRAME_PACKET;
}

static enum mqtt_frame_status continue_packet(struct mqtt_framer *f, struct cursor *in, struct mqtt_frame *out)
{
    if (f->total == 0) {
        enum mqtt_frame_status status = finish_header(f, in, out);
        if (status != MQTT_FRAME_PACKET)
            return status;
    }
    uint32_t rest = f->total - f->seen;
    uint32_t n = cur_left(in) < rest ? (uint32_t)cur_left(in) : rest;
    if (f->kept == f->seen && !has_room(f, n))
        return MQTT_FRAME_MEMORY;
    pass(f, in, n);
    if (f->seen < f->total)
        return MQTT_FRAME_MORE;
    hand_over(f, out);
    return MQTT_FRAME_PACKET;
}

/* A packet that begins here, with a long length or not whole in the chunk. */
static enum mqtt_frame_status begin_packet(struct mqtt_framer *f, struct cursor *in, struct mqtt_frame *out)
{
    const uint8_t *at = in->base + in->pos;
    size_t left = cur_left(in);
    uint32_t remaining = 0;
    int used = mqtt_vbi_read(view_of(at + 1, left - 1), &remaining);
    if (used < 0) {
        in->pos += MQTT_HEADER_MAX;
        return bad_length(f, view_of(at, MQTT_HEADER_MAX), out);
    }
    uint32_t total = used > 0 ? 1 + (uint32_t)used + remaining : 0;
    if (used > 0 && total <= left) {
        in->pos += total;
        *out = (struct mqtt_frame){ view_of(at, total), total, 0 };
        return MQTT_FRAME_PACKET;
    }
    f->total = total;
    if (!has_room(f, used > 0 ? (uint32_t)left : MQTT_HEADER_MAX)) {
        f->total = 0;
        return MQTT_FRAME_MEMORY;
    }
    pass(f, in, (uint32_t)left);
    return MQTT_FRAME_MORE;
}

enum mqtt_frame_status mqtt_framer_closely(struct mqtt_framer *f, struct cursor *in, struct mqtt_frame *out)
{
    if (f->lost)
        in->pos = in->end;
    if (cur_left(in) == 0)
        return MQTT_FRAME_MORE;
    return f->seen > 0 ? continue_packet(f, in, out) : begin_packet(f, in, out);
}

bool mqtt_framer_hole(struct mqtt_framer *f, uint64_t len, struct mqtt_frame *out, bool *complete)
{
    *complete = false;
    if (len == 0 || f->lost)
        return !f->lost;
    uint32_t rest = f->total - f->seen;
    bool bridged = f->total != 0 && len <= rest;
    if (f->total != 0 && len >= rest) { /* it ends in the hole */
        f->missing += rest;
        hand_over(f, out);
        *complete = true;
    } else if (bridged) {
        f->missing += (uint32_t)len;
        f->seen += (uint32_t)len;
    }
    if (!bridged) {
        mqtt_framer_restart(f);
        f->lost = true;
    }
    return bridged;
}
