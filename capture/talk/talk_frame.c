/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/talk/talk_parts.h"
#include <stdlib.h>

enum {
    SPARE_PARTIALS = 64,
    SCAN_ALWAYS = 8192,          /* octets still to be judged up to which every segment starts a search through them */
    SCAN_STEP = 16,              /* beyond: every so many segments */
    RECENT_PIECES = 16,          /* starts of segments that are looked at first */
    BITS_FIRST = 15,             /* evidence asked for: of the first segment after the hole, if it ends with a packet */
    BITS_EXACT = 24,             /* of a later one, likewise */
    BITS_LAST = 17,              /* of the first segment, with a whole packet, when nothing more comes */
    BITS_FIN = 20,               /* of a segment that ends with a packet and the stream with it */
    BITS_OPEN = 26,              /* of any segment */
    BITS_ANYWHERE = 32,          /* of an offset inside a segment */
    BITS_LINKED = 26,            /* of one from which the packets lead up to a border that is found already */
    WAIT_FOR = PROBE_OCTETS / 2, /* octets of a packet whose end is waited for, which tells whether it is one */
};

static const int64_t LONG_NS = 1000000000; /* a packet that takes longer is told of before it is there */

/* ---- framing ---- */

/* Memory for a packet that does not lie whole in a segment. Over the budget it keeps no more than it has. */
static bool lend(const struct arrival *a, struct mqtt_framer *fr)
{
    struct talks *t = a->t;
    uint32_t want = fr->want;
    if (fr->lent_cap > 0 && t->n.held + want - fr->lent_cap > t->options.total_limit) {
        fr->limit = fr->lent_cap;
        return true;
    }
    uint8_t *memory = realloc(fr->lent, want);
    if (memory == NULL)
        return false;
    t->n.held += want - fr->lent_cap;
    mqtt_framer_lend(fr, memory, want);
    return true;
}

static void take_back(struct talks *t, struct mqtt_framer *fr)
{
    if (fr->lent == NULL)
        return;
    t->n.held -= fr->lent_cap;
    free(fr->lent);
    mqtt_framer_lend(fr, NULL, 0);
}

/* The packet under way is to be gone on with later. False: no memory. */
static bool suspend(struct talks *t, struct talk *k, unsigned dir, const struct mqtt_framer *fr,
                    const struct first_octet *first)
{
    if (talk_more(t, k) == NULL)
        return false;
    struct partial *p = t->spare_partial;
    if (p != NULL) {
        t->spare_partial = p->next;
        t->n_spare_partial--;
    } else {
        p = malloc(sizeof *p);
    }
    if (p == NULL)
        return false;
    *p = (struct partial){ .framer = *fr, .first = *first };
    t->n.memory += sizeof *p;
    k->more->partial[dir] = p;
    return true;
}

/* No packet is under way any more. */
void talk_drop_partial(struct talks *t, struct talk *k, unsigned dir)
{
    struct partial *p = talk_partial(k, dir);
    if (p == NULL)
        return;
    k->more->partial[dir] = NULL;
    take_back(t, &p->framer);
    t->n.memory -= sizeof *p;
    if (t->n_spare_partial == SPARE_PARTIALS) {
        free(p);
        return;
    }
    p->next = t->spare_partial;
    t->spare_partial = p;
    t->n_spare_partial++;
}

bool talk_begin_search(const struct arrival *a, uint64_t gap, uint64_t skipped, const char *why)
{
    struct talk *k = a->k;
    struct talk_more *m = talk_more(a->t, k);
    struct probe *p = m == NULL ? NULL : m->probe[a->dir] != NULL ? m->probe[a->dir] : probe_new();
    talk_drop_partial(a->t, k, a->dir);
    if (p == NULL) {
        talk_give_gap(a, gap, skipped, why);
        k->state[a->dir] = STATE_OVER;
        return false;
    }
    if (m->probe[a->dir] == NULL)
        a->t->n.held += probe_memory(p);
    m->probe[a->dir] = p;
    k->state[a->dir] = STATE_SEARCHING;
    p->gap += gap;
    p->dropped += skipped;
    if (why != NULL && p->why == NULL) {
        p->why = why;
        p->since = *a->stamp;
    }
    return true;
}

/* Framing is lost at `at`: the rest of the segment is where the search begins. */
static void lose_framing(const struct arrival *a, uint64_t at, struct view rest)
{
    if (!talk_begin_search(a, 0, 0, "framing lost") || rest.len == 0)
        return;
    a->t->n.held += (uint64_t)probe_add(talk_probe(a->k, a->dir), at, rest, a->stamp, a->acked);
    talk_search(a, SEARCH_ON);
}

/* Said once of each packet: who sends it is not silent meanwhile. */
static void watch_partial(const struct arrival *a, struct partial *p)
{
    if (p->told || a->stamp->time_ns - p->first.stamp.time_ns < LONG_NS)
        return;
    p->told = true;
    talk_give_under_way(a);
}

void talk_frame(const struct arrival *a, uint64_t at, struct view octets)
{
    struct partial *partial = talk_partial(a->k, a->dir);
    struct first_octet here = { *a->stamp, a->acked };
    const struct first_octet *first = partial != NULL ? &partial->first : &here;
    struct mqtt_framer usual, *fr = &usual;
    struct cursor in = cur_over(octets.ptr, octets.len);
    struct mqtt_frame out;
    enum mqtt_frame_status status;
    if (partial != NULL)
        fr = &partial->framer;
    else
        mqtt_framer_init(fr, a->t->options.packet_limit);
    while ((status = mqtt_framer_next(fr, &in, &out)) != MQTT_FRAME_MORE) {
        if (status == MQTT_FRAME_MEMORY && lend(a, fr))
            continue;
        if (status != MQTT_FRAME_MEMORY)
            talk_give_packet(a, &out, first, at + in.pos);
        if (status != MQTT_FRAME_PACKET || a->t->stopped)
            break;
        first = &here;
    }
    bool lost = status == MQTT_FRAME_BAD || status == MQTT_FRAME_MEMORY;
    bool under_way = status == MQTT_FRAME_MORE && mqtt_framer_under_way(fr);
    if (partial != NULL && first == &here) { /* the next packet has begun behind the one that was under way */
        partial->first = here;
        partial->told = false;
    }
    if (partial == NULL && under_way && !suspend(a->t, a->k, a->dir, fr, first)) {
        under_way = false;
        lost = true;
    }
    if (!under_way) {
        talk_drop_partial(a->t, a->k, a->dir);
        if (partial == NULL)
            take_back(a->t, fr);
    }
    if (lost)
        lose_framing(a, at + in.pos, view_of(in.base + in.pos, cur_left(&in)));
    else if (partial != NULL && under_way)
        watch_partial(a, partial);
}

/* ---- searching for a border ---- */

static unsigned versions_of(const struct talk *k)
{
    return k->conn.possible != 0 ? k->conn.possible : 1u << MQTT_V31 | 1u << MQTT_V311 | 1u << MQTT_V5;
}

/* The port tells it where TCP and the packets do not. */
static enum mqtt_side sender_of(const struct talk *k, unsigned dir)
{
    enum mqtt_side sender = mqtt_conn_sender(&k->conn, dir);
    return sender != MQTT_NOBODY ? sender : talk_likely_sender(&k->flow, dir);
}

static struct view from(const struct probe *p, uint32_t at)
{
    return view_of(p->octets + at, p->len - at);
}

/* A short packet over several segments: behind a hole, the octets of a payload may well look like it. */
static bool is_split(const struct probe *p, uint32_t i, struct mqtt_run run)
{
    bool first = i == 0 && p->dropped == 0 && p->gap == 0; /* of the stream, which may begin with a packet */
    return !first && run.first > probe_piece_octets(p, i).len && run.first_bits < BITS_OPEN;
}

/* May a packet begin at the start of this segment? What is not whole is waited for, unless more of it cannot come. */
static bool is_border(const struct probe *p, uint32_t i, struct mqtt_run run, enum search_end end)
{
    uint8_t octet = p->octets[p->piece[i].at];
    bool first = i == 0 && p->dropped == 0;
    if (run.whole == 0)
        return run.bits >= BITS_OPEN && mqtt_run_stands_alone(octet, run, end == SEARCH_SNAPLEN ? 0 : WAIT_FOR);
    if (is_split(p, i, run) && run.whole == 1) /* what comes behind it speaks for itself */
        return false;
    uint32_t exact = first ? BITS_FIRST : end == SEARCH_FIN ? BITS_FIN : BITS_EXACT;
    return run.bits >= BITS_OPEN || (run.exact && run.bits >= exact) ||
           (end != SEARCH_ON && first && run.bits >= BITS_LAST);
}

/* Octets of a payload may look like a short packet in front of the first true one: that one is not trusted. */
static uint32_t trusted(uint32_t at, struct mqtt_run run)
{
    return run.whole > 0 && run.first_bits < BITS_LINKED ? at + run.first : at;
}

/* A border at the start of a segment; UINT32_MAX: none. */
static uint32_t search_pieces(const struct talk *k, unsigned dir, enum search_end end)
{
    const struct probe *p = talk_probe(k, dir);
    uint32_t i = p->n > RECENT_PIECES ? p->n - RECENT_PIECES : 0;
    for (; i < p->n; i++) {
        uint32_t at = p->piece[i].at;
        struct mqtt_run run = mqtt_run_at(from(p, at), versions_of(k), sender_of(k, dir));
        if (is_border(p, i, run, end))
            return is_split(p, i, run) ? at + run.first : at;
    }
    return UINT32_MAX;
}

/* The earliest offset from which packets lead exactly up to this border. */
static uint32_t search_back(const struct talk *k, unsigned dir, uint32_t border)
{
    const struct probe *p = talk_probe(k, dir);
    struct mqtt_run run;
    uint32_t at = 0;
    while (at < border) {
        struct view before = view_of(p->octets + at, border - at);
        at += (uint32_t)mqtt_resync(before, versions_of(k), sender_of(k, dir), BITS_LINKED, 0, &run);
        if (at < border && run.exact)
            return trusted(at, run);
        at++;
    }
    return border;
}

static uint32_t find_border(const struct talk *k, unsigned dir, enum search_end end)
{
    struct probe *p = talk_probe(k, dir);
    uint32_t at = search_pieces(k, dir, end);
    if (at != UINT32_MAX)
        return at > 0 ? search_back(k, dir, at) : 0;
    if (end == SEARCH_ON && p->len - p->alive > SCAN_ALWAYS && p->segments % SCAN_STEP != 0)
        return UINT32_MAX;
    enum mqtt_side sender = sender_of(k, dir);
    struct mqtt_run run;
    size_t found = p->alive + mqtt_resync(from(p, p->alive), versions_of(k), sender, BITS_ANYWHERE, WAIT_FOR, &run);
    if (found < p->len)
        return trusted((uint32_t)found, run);
    p->alive += (uint32_t)mqtt_resync_alive(from(p, p->alive), versions_of(k), sender);
    return end != SEARCH_ON ? search_back(k, dir, p->len) : UINT32_MAX;
}

/* Hands the pieces from octet `start` on to the framer. */
void talk_feed_probe(const struct arrival *a, struct probe *p, uint32_t start)
{
    for (uint32_t i = 0; i < p->n; i++) {
        struct view octets = probe_piece_octets(p, i);
        uint32_t at = p->piece[i].at;
        if (at + octets.len <= start)
            continue;
        uint32_t skip = start > at ? start - at : 0;
        struct arrival then = *a;
        then.stamp = &p->piece[i].stamp;
        then.acked = p->piece[i].acked;
        struct view rest = view_of(octets.ptr + skip, octets.len - skip);
        struct talk *k = a->k;
        if (k->state[a->dir] == STATE_FRAMING) {
            talk_frame(&then, p->first_at + at + skip, rest);
        } else if (k->state[a->dir] == STATE_SEARCHING) { /* framing was lost in an earlier piece */
            a->t->n.held +=
                (uint64_t)probe_add(talk_probe(k, a->dir), p->first_at + at + skip, rest, then.stamp, then.acked);
            talk_search(&then, SEARCH_ON);
        }
    }
}

void talk_release_probe(struct talks *t, struct probe *p)
{
    if (p == NULL)
        return;
    t->n.held -= probe_memory(p);
    probe_free(p);
}

/* Tells what was lost and skipped, if anything was. */
void talk_give_probe_gap(const struct arrival *a, struct probe *p)
{
    if (p->gap + p->dropped == 0)
        return;
    struct arrival then = *a;
    then.stamp = p->why != NULL ? &p->since : a->stamp;
    talk_give_gap(&then, p->gap, p->dropped, p->why != NULL ? p->why : "start in mid-stream");
}

void talk_search(const struct arrival *a, enum search_end end)
{
    struct talk *k = a->k;
    struct probe *p = talk_probe(k, a->dir);
    if (p->len == 0)
        return;
    uint32_t border = find_border(k, a->dir, end);
    if (border == UINT32_MAX || border >= p->len) {
        if (a->t->n.held > a->t->options.total_limit) /* what cannot be kept is skipped */
            probe_drop(p, p->len);
        return;
    }
    p->dropped += border;
    k->more->probe[a->dir] = NULL;
    k->state[a->dir] = STATE_FRAMING;
    talk_give_probe_gap(a, p);
    talk_feed_probe(a, p, border);
    talk_release_probe(a->t, p);
}
