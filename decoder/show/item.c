/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/show/item.c -- the item walk: envelope, packet or gap, verdicts, what connection and tracker know. */
#include "decoder/show/item.h"
#include "decoder/base/community.h"
#include "decoder/mqtt/conn.h"
#include "decoder/show/item_parts.h"
#include "decoder/track/track.h"

enum stage {
    STAGE_ENVELOPE,
    STAGE_ENDPOINTS,
    STAGE_GAP,
    STAGE_HEADER,
    STAGE_BODY,
    STAGE_CONNECTION,
    STAGE_VERDICTS,
    STAGE_EXCHANGE,
    STAGE_SESSION,
    STAGE_COUNT
};

static enum walked envelope(struct item_walk *w, struct item *out)
{
    const struct row *r = w->row;
    switch (w->step) {
    case 0:
        return item_number(out, FIELD_FRAME_NUMBER, 0, r->frame, 0, 0);
    case 1:
        return item_number(out, FIELD_FRAME_TIME_EPOCH, 0, (uint64_t)r->time_ns, 0, 0);
    case 2:
        return item_again(out, item_number(out, FIELD_FRAME_TIME, 0, (uint64_t)r->time_ns, 0, 0));
    case 3:
        return item_number(out, FIELD_FRAME_TIME_RELATIVE, 0, (uint64_t)(r->time_ns - r->time_start_ns), 0, 0);
    case 4:
        return item_number(out, FIELD_FRAME_TIME_DELTA, 0, (uint64_t)(r->time_ns - r->time_before_ns), 0, 0);
    case 5:
        return item_number(out, FIELD_FRAME_LEN, 0, r->frame_len, 0, 0);
    case 6:
        return item_number(out, FIELD_FRAME_INTERFACE_ID, 0, r->interface_id, 0, 0);
    case 7:
        return item_number(out, FIELD_FIRST_FRAME, 0, r->frame_first, 0, 0);
    case 8:
        return item_number(out, FIELD_FIRST_TIME_EPOCH, 0, (uint64_t)r->time_first_ns, 0, 0);
    default:
        return WALK_END;
    }
}

static struct view address(const struct row_endpoint *e)
{
    return view_of(e->addr.octets, e->addr.family == 4 ? 4 : 16);
}

static enum walked ip(struct item *out, const struct row_endpoint *e, enum field v4, enum field v6)
{
    return e->addr.family == 0 ? WALK_SKIP : item_text(out, e->addr.family == 4 ? v4 : v6, 0, address(e), 0, 0);
}

static enum walked community(struct item_walk *w, struct item *out)
{
    const struct row *r = w->row;
    unsigned family = r->src.addr.family;
    if (w->want == NULL || !item_wanted(w, FIELD_COMMUNITYID) || family == 0 || family != r->dst.addr.family)
        return WALK_SKIP;
    community_tcp(r->src.addr.octets, r->dst.addr.octets, family == 4 ? 4 : 16, r->src.port, r->dst.port, 0,
                  w->scratch);
    return item_text(out, FIELD_COMMUNITYID, 0, view_of(w->scratch, COMMUNITY_SIZE - 1), 0, 0);
}

static enum walked endpoints(struct item_walk *w, struct item *out)
{
    const struct row *r = w->row;
    switch (w->step) {
    case 0:
        return ip(out, &r->src, FIELD_IP_SRC, FIELD_IPV6_SRC);
    case 1:
        return ip(out, &r->dst, FIELD_IP_DST, FIELD_IPV6_DST);
    case 2:
        return item_again(out, ip(out, &r->src, FIELD_IP_ADDR, FIELD_IPV6_ADDR));
    case 3:
        return item_again(out, ip(out, &r->dst, FIELD_IP_ADDR, FIELD_IPV6_ADDR));
    case 4:
        return item_number(out, FIELD_TCP_SRCPORT, 0, r->src.port, 0, 0);
    case 5:
        return item_number(out, FIELD_TCP_DSTPORT, 0, r->dst.port, 0, 0);
    case 6:
        return item_again(out, item_number(out, FIELD_TCP_PORT, 0, r->src.port, 0, 0));
    case 7:
        return item_again(out, item_number(out, FIELD_TCP_PORT, 0, r->dst.port, 0, 0));
    case 8:
        return item_number(out, FIELD_TCP_STREAM, 0, r->stream, 0, 0);
    case 9:
        return community(w, out);
    default:
        return WALK_END;
    }
}

static enum walked gap(struct item_walk *w, struct item *out)
{
    const struct row *r = w->row;
    if (r->kind != ROW_GAP)
        return WALK_END;
    switch (w->step) {
    case 0:
        return item_number(out, FIELD_MQTT_GAP, 0, r->gap_octets, 0, 0);
    case 1:
        return item_number(out, FIELD_MQTT_GAP_SKIPPED, 0, r->skipped_octets, 0, 0);
    case 2:
        return r->gap_reason != NULL ? item_static(out, FIELD_MQTT_GAP_REASON, 0, r->gap_reason) : WALK_SKIP;
    default:
        return WALK_END;
    }
}

/* The low nibble of the first octet, by what it means for the type (3.1: section 2.1; 3.1.1 and 5.0:
 * sections 2.2.2, 2.1.3). */
static enum walked header_flags(struct item_walk *w, struct item *out)
{
    const struct mqtt_packet *p = w->row->packet;
    bool old =
        p->version == MQTT_V31 && (p->type == MQTT_PUBREL || p->type == MQTT_SUBSCRIBE || p->type == MQTT_UNSUBSCRIBE);
    if (p->type != MQTT_PUBLISH && !old) {
        item_number(out, FIELD_MQTT_HDR_RESERVED, 2, p->flags, 0, 1);
        return WALK_ITEM;
    }
    switch (w->inner++) {
    case 0:
        item_number(out, FIELD_MQTT_DUPFLAG, 2, p->flags >> 3, 0, 1);
        return WALK_MORE;
    case 1:
        item_number(out, FIELD_MQTT_QOS, 2, p->flags >> 1 & 3, 0, 1);
        return WALK_MORE;
    default:
        return item_number(out, old ? FIELD_MQTT_RETAIN_RESERVED : FIELD_MQTT_RETAIN, 2, p->flags & 1, 0, 1);
    }
}

static enum walked header(struct item_walk *w, struct item *out)
{
    const struct row *r = w->row;
    const struct mqtt_packet *p = r->packet;
    if (r->kind != ROW_PACKET || p->held == 0)
        return WALK_END;
    switch (w->step) {
    case 0:
        return item_number(out, FIELD_MQTT_HDRFLAGS, 1, p->octets[0], 0, 1);
    case 1:
        return item_number(out, FIELD_MQTT_MSGTYPE, 2, p->type, 0, 1);
    case 2:
        return header_flags(w, out);
    case 3:
        w->pos = p->header_len;
        return p->header_len > 1 ? item_number(out, FIELD_MQTT_LEN, 1, p->remaining, 1, p->header_len - 1u) : WALK_SKIP;
    default:
        return WALK_END;
    }
}

static enum walked body(struct item_walk *w, struct item *out)
{
    const struct row *r = w->row;
    if (r->kind != ROW_PACKET || r->packet->header_len == 0 || w->pos > item_end(r->packet))
        return WALK_END;
    return item_walk_body(w, out);
}

static enum walked connection(struct item_walk *w, struct item *out)
{
    static const char *const sources[] = { "unknown", "inferred", "connect" };
    const struct row *r = w->row;
    bool connect = r->kind == ROW_PACKET && r->packet->type == MQTT_CONNECT;
    switch (w->step) {
    case 0: /* a CONNECT has its own */
        return connect || r->version == MQTT_VERSION_UNKNOWN ? WALK_SKIP
                                                             : item_number(out, FIELD_MQTT_VER, 1, r->version, 0, 0);
    case 1:
        return item_static(out, FIELD_MQTT_VER_SOURCE, 1, sources[r->version_source <= 2 ? r->version_source : 0]);
    case 2:
        return connect || r->client_id.ptr == NULL ? WALK_SKIP
                                                   : item_text(out, FIELD_MQTT_CLIENTID, 1, r->client_id, 0, 0);
    case 3:
        return r->version_source != MQTT_SOURCE_CONNECT ? item_number(out, FIELD_MQTT_UNKNOWN_VERSION, 1, 1, 0, 0)
                                                        : WALK_SKIP;
    case 4:
        return r->kind == ROW_PACKET && r->packet->cut ? item_number(out, FIELD_MQTT_CUT, 1, 1, 0, 0) : WALK_SKIP;
    default:
        return WALK_END;
    }
}

static uint64_t expert_severity(unsigned severity)
{
    static const uint64_t numbers[] = { 0, 0x400000, 0x600000, 0x800000 }; /* Wireshark's PI_NOTE, PI_WARN, PI_ERROR */
    return numbers[severity < 4 ? severity : 0];
}

static const char *fault(const struct mqtt_rule_info *rule)
{
    return rule->fault[0] != '\0' ? rule->fault : rule->statement;
}

static enum walked verdict(struct item_walk *w, struct item *out, const struct mqtt_verdict *v)
{
    const struct mqtt_rule_info *rule = mqtt_rule_info(v->rule);
    switch (w->inner++) {
    case 0:
        return item_static(out, FIELD_VIOLATION_RULE, 1, rule->id);
    case 1:
        return item_static(out, FIELD_VIOLATION_VERSION, 2, mqtt_version_name(rule->version));
    case 2:
        return item_static(out, FIELD_VIOLATION_SEVERITY, 2, mqtt_severity_name(v->severity));
    case 3:
        return item_static(out, FIELD_VIOLATION_SIDE, 2, mqtt_side_name(v->side));
    case 4:
        return item_number(out, FIELD_VIOLATION_OFFSET, 2, v->offset, v->offset, v->length);
    case 5:
        return item_number(out, FIELD_VIOLATION_LENGTH, 2, v->length, v->offset, v->length);
    case 6:
        return item_static(out, FIELD_VIOLATION_MESSAGE, 2, fault(rule));
    case 7:
        return item_static(out, FIELD_VIOLATION_ALSO, 2, rule->also);
    case 8:
        return item_again(out, item_static(out, FIELD_WS_EXPERT_MESSAGE, 2, fault(rule)));
    default:
        w->inner = 0;
        w->list_pos++;
        return item_again(out, item_number(out, FIELD_WS_EXPERT_SEVERITY, 2, expert_severity(v->severity), 0, 0));
    }
}

static bool malformed(const struct row *r)
{
    for (uint32_t i = 0; i < r->n_verdicts; i++) {
        const struct mqtt_rule_info *rule = mqtt_rule_info(r->verdicts[i].rule);
        if (rule->level == MQTT_LEVEL_MALFORMED || rule->reason == 0x81) /* Malformed Packet */
            return true;
    }
    return false;
}

static enum walked verdicts(struct item_walk *w, struct item *out)
{
    const struct row *r = w->row;
    if (r->n_verdicts == 0)
        return WALK_END;
    switch (w->step) {
    case 0:
        w->list_pos = 0;
        return item_again(out, item_number(out, FIELD_WS_EXPERT, 1, 1, 0, 0));
    case 1:
        return malformed(r) ? item_again(out, item_number(out, FIELD_WS_MALFORMED, 1, 1, 0, 0)) : WALK_SKIP;
    default:
        if (w->list_pos >= r->n_verdicts)
            return WALK_END;
        verdict(w, out, &r->verdicts[w->list_pos]);
        return WALK_MORE;
    }
}

static enum walked flag(struct item *out, enum field f, const struct track_note *n, unsigned bit)
{
    return (n->flags & bit) != 0 ? item_number(out, f, 1, 1, 0, 0) : WALK_SKIP;
}

static enum walked since(struct item *out, enum field f, int64_t ns)
{
    return ns >= 0 ? item_number(out, f, 1, (uint64_t)ns, 0, 0) : WALK_SKIP;
}

static enum walked exchange(struct item_walk *w, struct item *out)
{
    const struct track_note *n = w->row->note;
    if (n == NULL || n->exchange == 0)
        return WALK_END;
    switch (w->step) {
    case 0:
        return item_number(out, FIELD_FLOW_ID, 1, n->exchange, 0, 0);
    case 1:
        return item_static(out, FIELD_FLOW_KIND, 1, track_kind_name(n->kind));
    case 2:
        return item_static(out, FIELD_FLOW_STATE, 1, track_outcome_name(n->outcome));
    case 3:
        return n->step != 0 ? item_number(out, FIELD_FLOW_STEP, 1, n->step, 0, 0) : WALK_SKIP;
    case 4:
        return since(out, FIELD_FLOW_LATENCY, n->latency_ns);
    case 5:
        return since(out, FIELD_FLOW_DELTA, n->step_ns);
    case 6:
        return n->owed_by != MQTT_NOBODY ? item_static(out, FIELD_FLOW_OWED_BY, 1, mqtt_side_name(n->owed_by))
                                         : WALK_SKIP;
    case 7:
        return n->owed_by != MQTT_NOBODY ? item_static(out, FIELD_FLOW_OWED, 1, mqtt_type_name(n->owed_type))
                                         : WALK_SKIP;
    case 8:
        return n->first_frame != 0 ? item_number(out, FIELD_FLOW_FIRST_FRAME, 1, n->first_frame, 0, 0) : WALK_SKIP;
    case 9:
        return n->answers_frame != 0 ? item_number(out, FIELD_FLOW_ANSWERS, 1, n->answers_frame, 0, 0) : WALK_SKIP;
    case 10:
        return n->topic.ptr != NULL ? item_text(out, FIELD_FLOW_TOPIC, 1, n->topic, 0, 0) : WALK_SKIP;
    case 11:
        return n->resent != 0 ? item_number(out, FIELD_FLOW_RESENT, 1, n->resent, 0, 0) : WALK_SKIP;
    case 12:
        return flag(out, FIELD_FLOW_RETRANSMITTED, n, TRACK_RETRANSMITTED);
    case 13:
        return flag(out, FIELD_FLOW_RESUMED, n, TRACK_RESUMED);
    default:
        return WALK_END;
    }
}

static enum walked session(struct item_walk *w, struct item *out)
{
    const struct track_note *n = w->row->note;
    if (n == NULL || n->session == 0)
        return WALK_END;
    switch (w->step) {
    case 0:
        return item_number(out, FIELD_SESSION_ID, 1, n->session, 0, 0);
    case 1:
        return flag(out, FIELD_SESSION_TAKEOVER, n, TRACK_TAKEOVER);
    case 2:
        return n->kind == TRACK_QOS1 || n->kind == TRACK_QOS2
                   ? item_number(out, FIELD_SESSION_INFLIGHT, 1, n->inflight, 0, 0)
                   : WALK_SKIP;
    case 3:
        return n->window != 0 ? item_number(out, FIELD_SESSION_WINDOW, 1, n->window, 0, 0) : WALK_SKIP;
    default:
        return WALK_END;
    }
}

static enum walked one_step(struct item_walk *w, struct item *out)
{
    switch ((enum stage)w->stage) {
    case STAGE_ENVELOPE:
        return envelope(w, out);
    case STAGE_ENDPOINTS:
        return endpoints(w, out);
    case STAGE_GAP:
        return gap(w, out);
    case STAGE_HEADER:
        return header(w, out);
    case STAGE_BODY:
        return body(w, out);
    case STAGE_CONNECTION:
        return connection(w, out);
    case STAGE_VERDICTS:
        return verdicts(w, out);
    case STAGE_EXCHANGE:
        return exchange(w, out);
    case STAGE_SESSION:
        return session(w, out);
    default:
        return WALK_END;
    }
}

/* Which fields a stage may yield: first and last, in the order of fields.def. */
static const struct {
    uint8_t stage;
    uint16_t first, last;
} yields[] = {
    { STAGE_ENVELOPE, FIELD_FRAME_NUMBER, FIELD_FIRST_TIME_EPOCH },
    { STAGE_ENDPOINTS, FIELD_IP_SRC, FIELD_COMMUNITYID },
    { STAGE_GAP, FIELD_MQTT_GAP, FIELD_MQTT_GAP_REASON },
    { STAGE_HEADER, FIELD_MQTT_HDRFLAGS, FIELD_MQTT_LEN },
    { STAGE_BODY, FIELD_MQTT_PROTO_LEN, FIELD_MQTT_UNKNOWN_TOPIC_ALIAS },
    { STAGE_CONNECTION, FIELD_MQTT_VER, FIELD_MQTT_VER_SOURCE },
    { STAGE_CONNECTION, FIELD_MQTT_CLIENTID, FIELD_MQTT_CLIENTID },
    { STAGE_CONNECTION, FIELD_MQTT_UNKNOWN_VERSION, FIELD_MQTT_UNKNOWN_VERSION },
    { STAGE_CONNECTION, FIELD_MQTT_CUT, FIELD_MQTT_CUT },
    { STAGE_VERDICTS, FIELD_WS_MALFORMED, FIELD_VIOLATION_ALSO },
    { STAGE_EXCHANGE, FIELD_FLOW_ID, FIELD_FLOW_RESUMED },
    { STAGE_SESSION, FIELD_SESSION_ID, FIELD_SESSION_WINDOW },
};

static bool has_any(const struct field_set *set, unsigned first, unsigned last)
{
    for (unsigned word = first / 64; word <= last / 64; word++) {
        uint64_t bits = set->bits[word];
        if (word == first / 64)
            bits &= ~0ull << first % 64;
        if (word == last / 64)
            bits &= ~0ull >> (63 - last % 64);
        if (bits != 0)
            return true;
    }
    return false;
}

static uint32_t stages_of(const struct field_set *want)
{
    uint32_t stages = 1u << STAGE_COUNT; /* never none */
    for (unsigned i = 0; i < sizeof yields / sizeof *yields; i++)
        if (want == NULL || has_any(want, yields[i].first, yields[i].last))
            stages |= 1u << yields[i].stage;
    return stages;
}

/* Over the stages that yield nothing of what is wanted. */
static void skip_stages(struct item_walk *w)
{
    if (w->stages == 0)
        w->stages = stages_of(w->want);
    while (w->stage < STAGE_COUNT && (w->stages >> w->stage & 1) == 0) {
        if (w->stage == STAGE_HEADER && w->row->kind == ROW_PACKET)
            w->pos = w->row->packet->header_len;
        w->stage++;
    }
}

bool item_next(struct item_walk *w, struct item *out)
{
    for (;;) {
        if (w->step == 0)
            skip_stages(w);
        if (w->stage == STAGE_COUNT)
            return false;
        enum walked did = one_step(w, out);
        if (did != WALK_MORE) {
            w->step++;
            w->inner = 0;
        }
        if (did == WALK_END) {
            w->stage++;
            w->step = 0;
        } else if (did != WALK_SKIP && item_wanted(w, (enum field)out->field)) {
            return true;
        }
    }
}
