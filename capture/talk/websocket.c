/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/talk/websocket.h"
#include <stdlib.h>
#include <string.h>

enum side_state {
    SIDE_HEAD, /* of the HTTP handshake */
    SIDE_FRAMES,
    SIDE_LOST, /* where the next frame begins is not known */
    SIDE_OVER  /* a close frame was seen */
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
    free(w->side[0].head);
    free(w->side[1].head);
    free(w);
}

uint64_t web_memory(const struct web *w)
{
    if (w == NULL)
        return 0;
    return sizeof *w + (w->side[0].head != NULL ? WEB_HEAD_MAX : 0) + (w->side[1].head != NULL ? WEB_HEAD_MAX : 0);
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

void web_take(struct web *w, unsigned dir, struct view octets, const struct web_events *events, void *ctx)
{
    struct hand h = { w, &w->side[dir], dir, events, ctx };
    size_t used = 0;
    while (used < octets.len && h.s->state < SIDE_LOST) {
        struct view rest = view_of(octets.ptr + used, octets.len - used);
        if (h.s->state == SIDE_HEAD)
            used += take_head(&h, rest);
        else
            used += h.s->in_frame ? take_payload(&h, rest) : take_header(&h, rest);
    }
    if (h.s->state == SIDE_LOST && used < octets.len)
        events->gap(ctx, dir, octets.len - used, WEB_UNREADABLE, "WebSocket framing lost");
}

void web_gap(struct web *w, unsigned dir, uint64_t octets, enum web_loss loss, const char *why,
             const struct web_events *events, void *ctx)
{
    struct side *s = &w->side[dir];
    struct hand h = { w, s, dir, events, ctx };
    if (s->state == SIDE_HEAD) {
        events->other(ctx);
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
