/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/track/track.c -- the way of a packet through the tracker. */
#include "decoder/base/prefetch.h"
#include "decoder/track/state.h"

#include <string.h>

static const int64_t second = 1000000000;

/* What the header promises. A hash table has at most four places for each record when it has just grown, that of
 * the sessions three, and the wheel three entries for each connection or session that ends. */
enum { WHEEL_PLACE = 40 };
_Static_assert(sizeof(struct conn) + sizeof(struct bounds) + sizeof(struct rare) + WHEEL_PLACE <= TRACK_COST_CONNECTION,
               "enum track_cost");
_Static_assert(sizeof(struct session) + sizeof(struct after) + sizeof(struct past) + sizeof(struct tallies) +
                       sizeof(struct own) + sizeof(struct six) + 3 * sizeof(struct key) <=
                   TRACK_COST_SESSION,
               "enum track_cost");
_Static_assert(sizeof(struct exch) + sizeof(struct later) + 4 * sizeof(void *) <= TRACK_COST_EXCHANGE,
               "enum track_cost");
_Static_assert(sizeof(struct topic) + POOL_UNIT <= TRACK_COST_TOPIC, "enum track_cost");
_Static_assert(offsetof(struct sub, filter) + POOL_UNIT + sizeof(struct ask) + 8 * sizeof(void *) <=
                   TRACK_COST_SUBSCRIPTION,
               "enum track_cost");

void track_defaults(struct track_config *c)
{
    *c = (struct track_config){ .max_connections = 131072,
                                .max_sessions = 131072,
                                .max_exchanges = 262144,
                                .max_topics = 262144,
                                .max_subscriptions = 262144,
                                .max_text = 64u << 20,
                                .answer_ns = 5 * second / 2,
                                .close_ns = 30 * second,
                                .reach_ns = second,
                                .keep_alive_slack_ns = second,
                                .judge = true };
}

struct track *track_new(const struct track_config *c, struct track_memory m, struct track_events e)
{
    struct track *t = m.resize(m.ctx, NULL, 0, sizeof *t);
    if (t == NULL)
        return NULL;
    memset(t, 0, sizeof *t);
    t->cfg = *c;
    t->mem = m;
    t->on = e;
    t->now = INT64_MIN;
    t->counts.memory = sizeof *t;
    t->conns.size = sizeof(struct conn);
    t->bounds.size = sizeof(struct bounds);
    t->rares.size = sizeof(struct rare);
    t->sessions.size = sizeof(struct session);
    t->afters.size = sizeof(struct after);
    t->pasts.size = sizeof(struct past);
    t->owns.size = sizeof(struct own);
    t->sixes.size = sizeof(struct six);
    t->exchs.size = sizeof(struct exch);
    t->later.size = sizeof(struct later);
    t->tallies.size = sizeof(struct tallies);
    t->asks.size = sizeof(struct ask);
    t->chunks.size = sizeof(struct wheel_chunk);
    t->texts.limit = 2 * (uint64_t)c->max_text + 32 * (uint64_t)c->max_topics + 64 * (uint64_t)c->max_subscriptions +
                     8 * (uint64_t)c->max_sessions + 2 * POOL_CHUNK;
    if (!tables_init(t)) {
        track_free(t);
        return NULL;
    }
    return t;
}

void track_free(struct track *t)
{
    if (t == NULL)
        return;
    for (uint32_t i = 0; i < t->bounds.held; i++)
        aliases_free(t, slab_at(&t->bounds, i));
    for (uint32_t i = 0; i < t->pasts.held; i++) {
        const struct past *p = slab_at(&t->pasts, i);
        mem_give(t, p->sub_table, p->sub_places * sizeof *p->sub_table);
    }
    tables_free(t);
    sent_free(t);
    slab_free(t, &t->conns);
    slab_free(t, &t->bounds);
    slab_free(t, &t->rares);
    slab_free(t, &t->sessions);
    slab_free(t, &t->afters);
    slab_free(t, &t->pasts);
    slab_free(t, &t->owns);
    slab_free(t, &t->sixes);
    slab_free(t, &t->exchs);
    slab_free(t, &t->later);
    slab_free(t, &t->tallies);
    slab_free(t, &t->asks);
    slab_free(t, &t->chunks);
    pool_free(t, &t->texts);
    t->mem.resize(t->mem.ctx, t, sizeof *t, 0);
}

void track_advance(struct track *t, int64_t time_ns)
{
    if (t->now == INT64_MIN) {
        t->now = time_ns;
        t->tick = time_ns >> WHEEL_SHIFT;
        return;
    }
    if (time_ns <= t->now) {
        t->counts.late += time_ns < t->now;
        return;
    }
    t->now = time_ns;
    if (time_ns >> WHEEL_SHIFT > t->tick)
        wheel_turn(t, time_ns);
}

void track_finish(struct track *t, int64_t time_ns)
{
    track_advance(t, time_ns);
    while (t->open_first != 0) {
        struct conn *c = conn_at(t, t->open_first);
        conn_end(t, c, TRACK_CLOSE_END, 2, 0);
    }
    for (struct conn *c = conn_at(t, t->closed_first); c != NULL; c = conn_at(t, c->next))
        conn_settle(t, c);
    for (uint32_t i = 0; i < t->exchs.held; i++) { /* what sessions without a connection still hold */
        struct exch *x = slab_at(&t->exchs, i);
        if (x->number != 0)
            exch_finish(t, x, TRACK_OPEN);
    }
}

/* Roles that were not known when the connection opened. */
static void learn(struct track *t, struct conn *c, const struct track_input *in)
{
    c->version = in->version;
    c->source = in->version_source;
    if (in->sender != MQTT_CLIENT && in->sender != MQTT_SERVER)
        return;
    unsigned client = in->sender == MQTT_CLIENT ? in->dir : 1u - in->dir;
    if (c->flip != client)
        conn_turn(t, c);
    if (in->roles_sure)
        c->flags |= C_ROLES;
}

RARELY static void judge_client_phase(struct track *t, struct conn *c, const struct track_input *in)
{
    unsigned type = in->packet->type;
    bool sure = conn_sure(c);
    if ((c->flags & C_SPOKE) == 0 && type != MQTT_CONNECT && sure)
        judge(t, c, c->version == MQTT_V5 ? MQTT_R5_3_1_0_1 : MQTT_R4_3_1_0_1, MQTT_SEVERITY_NONE, MQTT_CLIENT);
    if ((c->flags & (C_METHOD | C_CONNACK)) == C_METHOD && type != MQTT_AUTH && type != MQTT_DISCONNECT &&
        type != MQTT_CONNECT && sure)
        judge(t, c, MQTT_R5_3_1_2_30, MQTT_SEVERITY_NONE, MQTT_CLIENT);
    c->flags |= C_SPOKE;
}

RARELY static void judge_server_phase(struct track *t, struct conn *c, const struct track_input *in)
{
    unsigned type = in->packet->type;
    if (conn_sure(c) && !c->early_said) {
        bool first = (c->flags & C_CONNACK) == 0;
        bool legal = type == MQTT_CONNACK || (c->version == MQTT_V5 && (type == MQTT_AUTH || type == MQTT_DISCONNECT));
        if (first && !legal && (c->version == MQTT_V5 || (c->flags & C_ANSWERED) == 0)) {
            judge(t, c,
                  c->version == MQTT_V31  ? MQTT_RULE_NONE
                  : c->version == MQTT_V5 ? MQTT_R5_3_2_0_1
                                          : MQTT_R4_3_2_0_1,
                  MQTT_SEVERITY_NONE, MQTT_SERVER);
            c->early_said = true;
        } else if (!first && (c->flags & (C_UP | C_CONNECT)) == C_CONNECT && !legal) {
            judge(t, c, by_version(c, MQTT_R4_3_1_4_5, MQTT_R5_3_1_4_6), MQTT_SEVERITY_NONE, MQTT_SERVER);
            c->early_said = true;
        }
    }
    if ((c->flags & C_NO_PROBLEM) != 0 && type != MQTT_PUBLISH && type != MQTT_CONNACK && type != MQTT_DISCONNECT &&
        (in->packet->props.seen & (1ull << MQTT_PROP_REASON_STRING | 1ull << MQTT_PROP_USER_PROPERTY)) != 0)
        judge(t, c, MQTT_R5_3_1_2_29, MQTT_SEVERITY_NONE, MQTT_SERVER);
    c->flags |= C_ANSWERED;
}

RARELY static void judge_pause(struct track *t, struct conn *c, int64_t silence)
{
    int64_t interval = (int64_t)c->keep_alive_s * second;
    int64_t slack = t->cfg.keep_alive_slack_ns > interval / 2 ? t->cfg.keep_alive_slack_ns : interval / 2;
    if (silence <= interval + slack || !conn_sure(c))
        return;
    judge(t, c, by_version(c, MQTT_R4_3_1_2_23, c->server_ka ? MQTT_R5_3_1_2_21 : MQTT_R5_3_1_2_20), MQTT_SEVERITY_NONE,
          MQTT_CLIENT);
    c->flags &= ~(uint32_t)(C_KA_SAID | C_KA_RULE);
}

/* The silence that this packet of the client ends. */
static inline void judge_silence(struct track *t, struct conn *c, const struct track_input *in)
{
    struct session *s = c->session;
    int64_t last = c->last_ns[0] > c->connack_ns ? c->last_ns[0] : c->connack_ns;
    if ((c->flags & C_UP) == 0 || last == INT64_MIN)
        return;
    int64_t silence = in->time_first_ns - last;
    if (silence > s->silence_ns)
        s->silence_ns = silence;
    if (silence > (int64_t)c->keep_alive_s * second)
        judge_pause(t, c, silence);
}

static inline void dispatch(struct track *t, struct conn *c, unsigned slot, const struct track_input *in)
{
    switch (in->packet->header_len > 0 ? in->packet->type : MQTT_RESERVED) {
    case MQTT_CONNECT:
        on_connect(t, c, in);
        break;
    case MQTT_CONNACK:
        if (slot == 1)
            on_connack(t, c, in);
        break;
    case MQTT_PUBLISH:
        on_publish(t, c, slot, in);
        break;
    case MQTT_PUBACK:
    case MQTT_PUBREC:
    case MQTT_PUBREL:
    case MQTT_PUBCOMP:
        on_ack(t, c, slot, in);
        break;
    case MQTT_SUBSCRIBE:
    case MQTT_UNSUBSCRIBE:
        on_request(t, c, slot, in);
        break;
    case MQTT_SUBACK:
    case MQTT_UNSUBACK:
        on_granted(t, c, slot, in);
        break;
    case MQTT_PINGREQ:
    case MQTT_PINGRESP:
        on_ping(t, c, slot, in);
        break;
    case MQTT_DISCONNECT:
        on_disconnect(t, c, slot, in);
        break;
    case MQTT_AUTH:
        if (c->version == MQTT_V5)
            on_auth(t, c, slot, in);
        break;
    default:
        break;
    }
}

/* Conduct that no receiver takes for an illegal packet: silence, and the order of acknowledgements. */
static bool is_habit(unsigned rule)
{
    return rule == MQTT_R4_3_1_2_23 || rule == MQTT_R5_3_1_2_20 || rule == MQTT_R5_3_1_2_21 ||
           rule == MQTT_R4_4_6_0_1 || rule == MQTT_R4_4_6_0_2 || rule == MQTT_R4_4_6_0_3 || rule == MQTT_R4_4_6_0_4 ||
           rule == MQTT_R5_4_6_0_1 || rule == MQTT_R5_4_6_0_2 || rule == MQTT_R5_4_6_0_3 || rule == MQTT_R5_4_6_0_4;
}

/* The client's packet is illegal: what the server does next is worth a look. */
static void remember_bad(struct track *t, struct conn *c, const struct track_input *in)
{
    const struct mqtt_verdicts *v = t->v;
    uint32_t i = 0;
    while (i < v->n &&
           (v->at[i].severity != MQTT_SEVERITY_ERROR || v->at[i].side == MQTT_SERVER || is_habit(v->at[i].rule)))
        i++;
    if (rare_of(c)->bad_frame != 0 || i == v->n)
        return;
    struct rare *r = rare_make(t, c);
    r->bad_frame = in->frame;
    r->bad_ns = in->time_ns;
    r->bad_rule = v->at[i].rule;
    r->bad_exchange = t->note->exchange;
}

static bool is_flags_rule(unsigned rule)
{
    return rule == MQTT_R4_2_2_2_1 || rule == MQTT_R4_3_6_1_1 || rule == MQTT_R4_3_8_1_1 || rule == MQTT_R4_3_10_1_1 ||
           rule == MQTT_R4_3_14_1_1;
}

/* The server answers the illegal packet, or one that came after it. */
static void tell_tolerated(struct track *t, struct conn *c, const struct track_input *in)
{
    const struct track_note *n = t->note;
    const struct rare *r = rare_of(c);
    if (n->exchange == 0 || in->packet->type == MQTT_CONNACK || in->packet->type == MQTT_PUBLISH)
        return;
    if (n->exchange != r->bad_exchange && (n->starter != MQTT_CLIENT || n->answers_frame <= r->bad_frame))
        return;
    enum mqtt_rule rule =
        is_flags_rule(r->bad_rule) ? MQTT_R4_2_2_2_2 : by_version(c, MQTT_R4_4_8_0_1, MQTT_R5_4_13_1_1);
    found(t,
          &(struct found){ .diag = TRACK_DIAG_TOLERATED,
                           .rule = rule,
                           .severity = MQTT_SEVERITY_NOTE,
                           .side = MQTT_SERVER,
                           .conn = c,
                           .time_ns = in->time_ns,
                           .frame = { r->bad_frame, in->frame } },
          "The server goes on after the illegal packet in frame %llu: it answers with %s",
          (unsigned long long)r->bad_frame, mqtt_type_name(in->packet->type));
    c->rare->bad_frame = 0;
}

static inline void count(struct track *t, struct conn *c, unsigned slot, const struct track_input *in)
{
    struct session *s = c->session;
    tally_add(t, s, TALLY_PACKETS + slot, 1);
    tally_add(t, s, TALLY_OCTETS + slot, in->packet->header_len + (uint64_t)in->packet->remaining);
    s->last_sent_ns[slot] = c->last_ns[slot] = in->time_ns;
    c->last_frame[slot] = in->frame;
    t->counts.packets++;
}

static bool has_error(const struct mqtt_verdicts *v)
{
    uint32_t i = 0;
    while (i < v->n && v->at[i].severity != MQTT_SEVERITY_ERROR)
        i++;
    return i < v->n;
}

/* The connection has come so far that its phase forbids nothing to this side any more. */
static bool is_settled(const struct conn *c, unsigned slot)
{
    if (slot == 0)
        return (c->flags & (C_SPOKE | C_METHOD)) == C_SPOKE;
    return (c->flags & (C_ANSWERED | C_CONNACK | C_UP | C_NO_PROBLEM)) == (C_ANSWERED | C_CONNACK | C_UP);
}

/* What its connection and those who announced limits have against the packet, whatever it says. */
static inline void judge_frame(struct track *t, struct conn *c, unsigned slot, const struct track_input *in)
{
    if (slot == 0 && c->keep_alive_s > 0)
        judge_silence(t, c, in);
    if (c->bounds != NULL && c->bounds->packet_max[slot] != 0)
        judge_size(t, c, slot, in);
}

static void follow(struct track *t, struct conn *c, unsigned slot, const struct track_input *in)
{
    bool after_bye = rare_of(c)->bye_frame[slot] != 0;
    bool broken = t->v->n > 0 && has_error(t->v);
    if (!is_settled(c, slot)) {
        if (slot == 0)
            judge_client_phase(t, c, in);
        else
            judge_server_phase(t, c, in);
    }
    if (after_bye)
        judge(t, c,
              slot == 0 ? by_version(c, MQTT_R4_3_14_4_2, MQTT_R5_3_14_4_1)
                        : by_version(c, MQTT_RULE_NONE, MQTT_R5_3_14_4_1),
              MQTT_SEVERITY_NONE, slot_side(c, slot));
    judge_frame(t, c, slot, in);
    if (broken)
        c->ahead = true; /* what is wrong with the packet is said; its consequences are not said again */
    if (!after_bye)
        dispatch(t, c, slot, in);
    if (slot == 0 && t->v->n > 0)
        remember_bad(t, c, in);
    else if (slot == 1 && c->rare != NULL && c->rare->bad_frame != 0)
        tell_tolerated(t, c, in);
}

/* A packet of which the capture kept too little to tell what it belongs to or what it announces. */
static bool misses_id(const struct mqtt_packet *p)
{
    if (!p->cut)
        return p->header_len == 0;
    return p->type == MQTT_CONNECT || p->type == MQTT_CONNACK ||
           (!p->has_id && (p->type != MQTT_PUBLISH || p->publish.qos > 0));
}

/* An answer that crossed the FIN of the side it is for. */
RARELY static void late_answer(struct track *t, struct conn *c, unsigned slot, const struct track_input *in)
{
    static const unsigned answers = MQTT_IN(MQTT_CONNACK) | MQTT_IN(MQTT_PUBACK) | MQTT_IN(MQTT_PUBREC) |
                                    MQTT_IN(MQTT_PUBCOMP) | MQTT_IN(MQTT_SUBACK) | MQTT_IN(MQTT_UNSUBACK) |
                                    MQTT_IN(MQTT_PINGRESP);
    c->ahead = true; /* nothing is held against anyone any more */
    if ((answers >> in->packet->type & 1) != 0)
        dispatch(t, c, slot, in);
}

/* A packet of a connection that is closed, or whose session another one has taken. */
RARELY static void outlive(struct track *t, struct conn *c, unsigned slot, const struct track_input *in)
{
    t->note->flags |= (c->flags & C_TAKEN) != 0 ? TRACK_TAKEOVER : 0;
    if ((c->flags & C_CLOSED) == 0 && in->packet->type == MQTT_DISCONNECT)
        on_disconnect(t, c, slot, in);
    else if (c->lingers)
        late_answer(t, c, slot, in);
}

/* May the other side have sent what was not seen here yet? */
static bool is_ahead(const struct conn *c, unsigned other, const struct track_input *in)
{
    if (is_blind(c, other))
        return true;
    uint32_t seen = c->seen_end[other];
    return in->end != 0 && (in->acked != 0 ? (int32_t)((uint32_t)in->acked - seen) > 0 : seen != 0);
}

static void tally_verdicts(struct track *t, struct session *s, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        tally_add(t, s, TALLY_VIOLATIONS + (t->v->at[i].severity & 3), 1);
}

/* Nearly every packet is whole and right, and of a connection that is up, with nothing said against anyone and nothing
 * missing: none of what is rare has to be asked for one by one. */
static inline bool is_calm(const struct conn *c, const struct mqtt_packet *p, const struct mqtt_verdicts *v)
{
    const uint32_t up = C_START | C_ROLES | C_CONNECT | C_CONNACK | C_UP | C_SPOKE | C_ANSWERED;
    const uint32_t uneasy = C_HOLE | C_TAKEN | C_CLOSED | C_NO_PROBLEM;
    return (c->flags & (up | uneasy)) == up && c->rare == NULL && v->n == 0 && !p->cut && p->header_len > 0;
}

/* follow() of such a packet. */
static inline void follow_calm(struct track *t, struct conn *c, unsigned slot, const struct track_input *in)
{
    judge_frame(t, c, slot, in);
    dispatch(t, c, slot, in);
    if (t->v->n > 0 && slot == 0)
        remember_bad(t, c, in);
}

/* Any other packet. */
RARELY static void follow_closely(struct track *t, struct conn *c, unsigned slot, const struct track_input *in)
{
    struct track_note *note = t->note;
    uint32_t had = t->v->n;
    note->flags =
        (uint16_t)(((c->flags & C_START) == 0 ? TRACK_MIDSTREAM : 0) | ((c->flags & C_HOLE) != 0 ? TRACK_GAPPED : 0));
    if (misses_id(in->packet))
        conn_hole(t, c);
    if ((c->flags & (C_CLOSED | C_TAKEN)) != 0) {
        outlive(t, c, slot, in);
        return;
    }
    follow(t, c, slot, in);
    if (in->packet->type == MQTT_CONNECT && (c->flags & C_START) != 0)
        note->flags &= (uint16_t)~TRACK_MIDSTREAM;
    tally_verdicts(t, c->session, had);
}

void track_packet(struct track *t, track_conn h, const struct track_input *in, struct mqtt_verdicts *v,
                  struct track_note *note)
{
    static const struct track_note nothing = { .latency_ns = -1, .step_ns = -1, .forward_ns = -1 };
    if (in->time_ns != t->now)
        track_advance(t, in->time_ns);
    *note = nothing;
    struct conn *c = conn_again(t, h);
    if (c == NULL || c->session == NULL) /* time may have ended it */
        return;
    prefetch_line(c->session);
    prefetch_line(&c->last_ns);
    prefetch_line(&c->wait);
    struct track_input late;
    if (in->time_ns < t->now || in->time_first_ns > in->time_ns) { /* time never runs backwards in here */
        late = *in;
        late.time_ns = t->now;
        late.time_first_ns = in->time_first_ns < t->now ? in->time_first_ns : t->now;
        in = &late;
    }
    t->v = v;
    t->note = note;
    if ((c->flags & (C_ROLES | C_CONNECT)) != (C_ROLES | C_CONNECT))
        learn(t, c, in);
    unsigned slot = (in->dir ^ c->flip) & 1u;
    if (c->pending != 0)
        c->pending &= (uint8_t) ~(P_OF_CLIENT << slot);
    c->ahead = is_ahead(c, 1 - slot, in);
    c->seen_end[slot] = (uint32_t)in->end;
    if (is_calm(c, in->packet, v))
        follow_calm(t, c, slot, in);
    else
        follow_closely(t, c, slot, in);
    count(t, c, slot, in);
    const struct session *s = c->session;
    note->session = s->number;
    if (s->client_id != NULL)
        note->client_id = view_of(s->client_id, s->client_id_len);
    t->v = NULL;
    t->note = NULL;
}
