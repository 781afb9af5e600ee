/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/talk/websocket.h"
#include "decoder/mqtt/framer.h"
#include <stdlib.h>
#include <string.h>

enum side_state {
    SIDE_HEAD, /* of the HTTP handshake */
    SIDE_FRAMES,
    SIDE_LOST, /* where the next frame begins is not known */
    SIDE_OVER  /* a close frame was seen */
};

enum {
    LOOK_MAX = 512,  /* octets of a payload that are looked at for a packet */
    HELD_MAX = 512,  /* octets that are kept until the segment behind them tells what they are */
    BITS_EXACT = 12, /* what has to speak for a packet: in a frame that ends with its segment */
    BITS_OPEN = 24   /* in a longer one */
};

struct side {
    uint8_t state;
    uint8_t n_header, header[WS_HEADER_MAX];
    struct ws_header frame;
    bool in_frame;
    uint8_t message; /* opcode that the message under way began with */
    bool compressed; /* the message under way is (RFC 7692) */
    bool told_text;
    uint64_t at; /* octets of the payload so far */
    uint8_t *head;
    uint32_t n_head;
    uint8_t *held; /* behind a hole: a segment that may be frames; NULL: none */
    uint32_t n_held;
};

struct web {
    unsigned client;
    bool offered, offers_31;
    struct side side[2];
};

/* Where events go, and whose octets are at hand. */
struct hand {
    struct web *w;
    struct side *s;
    unsigned dir;
    const struct web_events *events;
    void *ctx;
};

struct web *web_new(unsigned client_dir)
{
    struct web *w = calloc(1, sizeof *w);
    if (w != NULL)
        w->client = client_dir;
    return w;
}

void web_free(struct web *w)
{
    if (w == NULL)
        return;
    for (unsigned dir = 0; dir < 2; dir++) {
        free(w->side[dir].head);
        free(w->side[dir].held);
    }
    free(w);
}

uint64_t web_memory(const struct web *w)
{
    if (w == NULL)
        return 0;
    uint64_t octets = sizeof *w;
    for (unsigned dir = 0; dir < 2; dir++)
        octets += (w->side[dir].head != NULL ? WEB_HEAD_MAX : 0u) + (w->side[dir].held != NULL ? HELD_MAX : 0u);
    return octets;
}

bool web_offers_31(const struct web *w)
{
    return w->offers_31;
}

/* ---- the handshake ---- */

static bool begins(struct view head, const char *text)
{
    size_t len = strlen(text);
    return head.len >= len && memcmp(head.ptr, text, len) == 0;
}

static bool request(const struct hand *h, struct view head)
{
    struct view offer = http_field(head, "Sec-WebSocket-Protocol");
    if (!begins(head, "GET ") || !http_lists(http_field(head, "Upgrade"), "websocket"))
        return false;
    h->w->offered = http_lists(offer, "mqtt");
    h->w->offers_31 = http_lists(offer, "mqttv3.1");
    if (!h->w->offered)
        h->events->fault(h->ctx, h->dir, TRACK_WS_NOT_OFFERED);
    return true;
}

static bool response(const struct hand *h, struct view head)
{
    if (!begins(head, "HTTP/1.1 101"))
        return false;
    if (h->w->offered && !http_lists(http_field(head, "Sec-WebSocket-Protocol"), "mqtt"))
        h->events->fault(h->ctx, h->dir, TRACK_WS_NOT_SELECTED);
    return true;
}

/* Octets of `octets` that belong to the head; all of them unless it ends here. */
static size_t take_head(const struct hand *h, struct view octets)
{
    struct side *s = h->s;
    if (s->head == NULL)
        s->head = malloc(WEB_HEAD_MAX);
    if (s->head == NULL) {
        h->events->other(h->ctx);
        return octets.len;
    }
    size_t room = WEB_HEAD_MAX - s->n_head, n = octets.len < room ? octets.len : room;
    size_t from = s->n_head > 3 ? s->n_head - 3 : 0; /* its end may have begun before */
    memcpy(s->head + s->n_head, octets.ptr, n);
    size_t end = http_head_len(view_of(s->head + from, s->n_head + n - from));
    if (end == 0) {
        s->n_head += (uint32_t)n;
        if (s->n_head == WEB_HEAD_MAX)
            h->events->other(h->ctx);
        return octets.len;
    }
    size_t used = from + end - s->n_head;
    struct view head = view_of(s->head, from + end);
    bool good = h->dir == h->w->client ? request(h, head) : response(h, head);
    free(s->head);
    s->head = NULL;
    s->state = SIDE_FRAMES;
    if (!good)
        h->events->other(h->ctx);
    return good ? used : octets.len;
}

/* ---- frames ---- */

static bool is_data(const struct side *s)
{
    return s->frame.opcode < WS_CLOSE;
}

static void begin_frame(const struct hand *h)
{
    struct side *s = h->s;
    s->frame = ws_header_read(view_of(s->header, s->n_header));
    s->n_header = 0;
    s->at = 0;
    s->in_frame = true;
    if (!ws_header_plausible(&s->frame)) {
        s->state = SIDE_LOST;
        return;
    }
    if (!is_data(s))
        return;
    if (s->frame.opcode != WS_CONTINUATION) {
        s->message = s->frame.opcode;
        s->compressed = s->frame.reserved & 4;
    }
    if (s->message == WS_TEXT && !s->told_text) {
        s->told_text = true;
        h->events->fault(h->ctx, h->dir, TRACK_WS_TEXT);
    }
}

static void end_frame(const struct hand *h)
{
    struct side *s = h->s;
    s->in_frame = false;
    if (is_data(s) && s->compressed && s->frame.fin)
        h->events->gap(h->ctx, h->dir, s->at, WEB_UNREADABLE, "compressed WebSocket message");
    if (s->frame.opcode == WS_CLOSE)
        s->state = SIDE_OVER;
}

/* The payload at the front of `octets`; those of clients are masked, so they need a copy. */
static size_t take_payload(const struct hand *h, struct view octets)
{
    struct side *s = h->s;
    uint8_t plain[4096];
    uint64_t left = s->frame.len - s->at;
    size_t n = octets.len < left ? octets.len : (size_t)left;
    if (is_data(s) && !s->compressed && !s->frame.masked && n > 0) {
        h->events->data(h->ctx, h->dir, view_of(octets.ptr, n));
    } else if (is_data(s) && !s->compressed && n > 0) {
        n = n < sizeof plain ? n : sizeof plain;
        ws_unmask(plain, octets.ptr, n, s->frame.mask, s->at);
        h->events->data(h->ctx, h->dir, view_of(plain, n));
    }
    s->at += n;
    if (s->at == s->frame.len)
        end_frame(h);
    return n;
}

static size_t take_header(const struct hand *h, struct view octets)
{
    struct side *s = h->s;
    size_t n = 0;
    while (n < octets.len && s->n_header < ws_header_size(view_of(s->header, s->n_header)))
        s->header[s->n_header++] = octets.ptr[n++];
    if (s->n_header < 2 || s->n_header < ws_header_size(view_of(s->header, s->n_header)))
        return n;
    begin_frame(h);
    if (s->state == SIDE_FRAMES && s->frame.len == 0)
        end_frame(h);
    return n;
}

/* ---- behind a hole ---- */

/* What speaks for a packet at the beginning of a frame's payload, of which not all may be there. */
static uint32_t packet_bits(const struct hand *h, const struct ws_header *frame, struct view payload)
{
    static const unsigned versions = 1U << MQTT_V31 | 1U << MQTT_V311 | 1U << MQTT_V5;
    uint8_t plain[LOOK_MAX];
    size_t n = payload.len < LOOK_MAX ? payload.len : LOOK_MAX;
    memcpy(plain, payload.ptr, n);
    if (frame->masked)
        ws_unmask(plain, plain, n, frame->mask, 0);
    return mqtt_run_at(view_of(plain, n), versions, h->dir == h->w->client ? MQTT_CLIENT : MQTT_SERVER).bits;
}

enum begins { BEGINS_NOT, BEGINS_PERHAPS, BEGINS_SURELY };

/* Does a frame begin at the beginning of this segment? Perhaps: frames reach exactly to its end. */
static enum begins frames_begin(const struct hand *h, struct view octets)
{
    uint32_t bits = 0;
    for (size_t at = 0; at < octets.len;) {
        struct view rest = view_of(octets.ptr + at, octets.len - at);
        size_t size = ws_header_size(rest);
        if (rest.len < size)
            return BEGINS_NOT;
        struct ws_header frame = ws_header_read(rest);
        if (!ws_header_plausible(&frame) || frame.masked != (h->dir == h->w->client) || (frame.reserved & 3) != 0)
            return BEGINS_NOT;
        bool whole = frame.len <= rest.len - size;
        if (at == 0 && (frame.opcode == WS_BINARY || frame.opcode == WS_TEXT))
            bits = packet_bits(h, &frame, view_of(rest.ptr + size, whole ? (size_t)frame.len : rest.len - size));
        if (!whole)
            return bits >= BITS_OPEN ? BEGINS_SURELY : BEGINS_NOT;
        at += size + (size_t)frame.len;
    }
    return bits >= BITS_EXACT ? BEGINS_SURELY : BEGINS_PERHAPS;
}

static void frames(const struct hand *h, struct view octets)
{
    size_t used = 0;
    while (used < octets.len && h->s->state < SIDE_LOST) {
        struct view rest = view_of(octets.ptr + used, octets.len - used);
        if (h->s->state == SIDE_HEAD)
            used += take_head(h, rest);
        else
            used += h->s->in_frame ? take_payload(h, rest) : take_header(h, rest);
    }
    if (h->s->state == SIDE_LOST && used < octets.len)
        h->events->gap(h->ctx, h->dir, octets.len - used, WEB_UNREADABLE, "WebSocket framing lost");
}

/* Two segments, one behind the other, that may be frames are. */
static void search(const struct hand *h, struct view octets)
{
    struct side *s = h->s;
    enum begins begins = frames_begin(h, octets);
    uint8_t *held = s->held;
    bool found = begins == BEGINS_SURELY || (begins == BEGINS_PERHAPS && held != NULL);
    s->held = NULL;
    if (begins == BEGINS_PERHAPS && !found && octets.len <= HELD_MAX && (s->held = malloc(HELD_MAX)) != NULL) {
        memcpy(s->held, octets.ptr, octets.len);
        s->n_held = (uint32_t)octets.len;
        return;
    }
    if (found) {
        s->state = SIDE_FRAMES;
        s->in_frame = false;
        s->n_header = 0;
    }
    if (held != NULL && begins != BEGINS_NOT)
        frames(h, view_of(held, s->n_held));
    else if (held != NULL)
        h->events->gap(h->ctx, h->dir, s->n_held, WEB_UNREADABLE, "WebSocket framing lost");
    free(held);
    frames(h, octets);
}

void web_take(struct web *w, unsigned dir, struct view octets, const struct web_events *events, void *ctx)
{
    struct hand h = { w, &w->side[dir], dir, events, ctx };
    if (h.s->state == SIDE_LOST)
        search(&h, octets);
    else
        frames(&h, octets);
}

void web_gap(struct web *w, unsigned dir, uint64_t octets, enum web_loss loss, const char *why,
             const struct web_events *events, void *ctx)
{
    struct side *s = &w->side[dir];
    struct hand h = { w, s, dir, events, ctx };
    if (s->state == SIDE_HEAD && (dir == w->client || w->side[w->client].state == SIDE_HEAD)) {
        events->other(ctx);
    } else if (s->state == SIDE_HEAD) { /* the answer to a good request was lost, or a part of it */
        s->state = SIDE_LOST;
        events->gap(ctx, dir, octets, WEB_HOLE_ABOUT, why);
    } else if (s->state == SIDE_FRAMES && s->in_frame && loss == WEB_HOLE && octets <= s->frame.len - s->at) {
        s->at += octets;
        if (is_data(s))
            events->gap(ctx, dir, octets, s->compressed ? WEB_HOLE_ABOUT : WEB_HOLE, why);
        if (s->at == s->frame.len)
            end_frame(&h);
    } else if (s->state == SIDE_FRAMES) {
        s->state = SIDE_LOST;
        events->gap(ctx, dir, octets, loss == WEB_HOLE ? WEB_HOLE_ABOUT : loss, why);
    }
}
