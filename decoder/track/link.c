/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/track/link.c -- CONNECT, CONNACK, DISCONNECT and PING (session.md sections 1, 7 to 10). */
#include "decoder/track/state.h"

enum {
    CODE_BAD_CLIENT_ID = 2,
    REASON_BAD_CLIENT_ID = 0x85,
    REASON_BAD_VERSION = 0x84,
    REASON_BAD_METHOD = 0x8c,
    REASON_KEEP_ALIVE = 0x8d,
    REASON_FAILURE = 0x80
};

static bool has_prop(const struct mqtt_props *props, unsigned id)
{
    return (props->seen >> id & 1) != 0;
}

/* A fault that obliges the server to refuse; two of the will's properties it may leave unchecked (5.0
 * section 3.1.3.2.3). */
static bool has_error(const struct mqtt_verdicts *v)
{
    for (uint32_t i = 0; v != NULL && i < v->n; i++)
        if (v->at[i].severity == MQTT_SEVERITY_ERROR && v->at[i].rule != MQTT_S5_3_1_3_2_3_B &&
            v->at[i].rule != MQTT_S5_3_1_3_2_3_C)
            return true;
    return false;
}

/* A CONNECT that a server may take for another protocol, or for a version it does not know. */
static bool is_odd(const struct mqtt_connect *k)
{
    unsigned level = k->level; /* with the private bit of bridges set it is another one, too */
    if (k->protocol_name.len == 4 && (level == MQTT_V311 || level == MQTT_V5))
        return k->protocol_name.ptr[0] != 'M' || k->protocol_name.ptr[1] != 'Q' || k->protocol_name.ptr[2] != 'T' ||
               k->protocol_name.ptr[3] != 'T';
    return k->protocol_name.len != 6 || level != MQTT_V31;
}

static void take_limits(struct track *t, struct conn *c, struct session *s, const struct mqtt_packet *p)
{
    const struct mqtt_props *props = &p->props;
    if (c->version != MQTT_V5) {
        s->expiry_s = p->connect.clean ? 0 : UINT32_MAX;
        return;
    }
    s->expiry_s = mqtt_props_number(props, MQTT_PROP_SESSION_EXPIRY_INTERVAL, 0);
    c->no_expiry = s->expiry_s == 0;
    struct bounds *b = bounds_make(t, c);
    b->window[1] = (uint16_t)mqtt_props_number(props, MQTT_PROP_RECEIVE_MAXIMUM, 65535);
    b->quota[1] = b->window[1];
    b->alias_max[1] = (uint16_t)mqtt_props_number(props, MQTT_PROP_TOPIC_ALIAS_MAXIMUM, 0);
    if ((c->flags & C_ODD_NAME) == 0) /* who does not know that version does not look into its properties */
        b->packet_max[1] = mqtt_props_number(props, MQTT_PROP_MAXIMUM_PACKET_SIZE, 0);
    c->flags |= mqtt_props_number(props, MQTT_PROP_REQUEST_PROBLEM_INFORMATION, 1) == 0 ? C_NO_PROBLEM : 0;
    c->flags |= mqtt_props_number(props, MQTT_PROP_REQUEST_RESPONSE_INFORMATION, 0) == 1 ? C_WANT_RESPONSE : 0;
    struct mqtt_prop method;
    if (mqtt_props_find(props, MQTT_PROP_AUTHENTICATION_METHOD, &method)) {
        c->flags |= C_METHOD;
        b->method = print_of(method.text, 3);
    }
}

static void take_will(struct track *t, struct conn *c, struct session *s, const struct mqtt_connect *k, uint64_t frame)
{
    if (!k->will || k->will_topic.ptr == NULL || k->will_payload.ptr == NULL)
        return;
    c->flags |= C_WILL | (k->will_retain ? C_WILL_RETAIN : 0);
    c->will_qos = k->will_qos;
    struct after *after = after_make(t, s);
    if (after != NULL)
        after->will = (struct will){ .frame = frame,
                                     .topic = print_of(k->will_topic, 0),
                                     .payload = print_of(k->will_payload, 1),
                                     .delay_s = mqtt_props_number(&k->will_props, MQTT_PROP_WILL_DELAY_INTERVAL, 0) };
}

/* The direction of a CONNECT is that of the client, whatever was thought before. */
static void settle_roles(struct track *t, struct conn *c, const struct track_input *in)
{
    if (c->flip != in->dir)
        conn_turn(t, c);
    c->flags |= C_ROLES;
}

void on_connect(struct track *t, struct conn *c, const struct track_input *in)
{
    const struct mqtt_packet *p = in->packet;
    const struct mqtt_connect *k = &p->connect;
    if ((c->flags & C_CONNECT) != 0) {
        judge(t, c, by_version(c, MQTT_R4_3_1_0_2, MQTT_R5_3_1_0_2), MQTT_SEVERITY_NONE, MQTT_CLIENT);
        close_is_due(t, c, by_version(c, MQTT_R4_3_1_0_2, MQTT_R5_3_1_0_2), TRACK_DIAG_STAYS_OPEN, MQTT_SERVER,
                     in->frame, t->now);
        return;
    }
    settle_roles(t, c, in);
    if ((c->flags & C_CONNACK) != 0) /* its answer was captured before it */
        conn_hole(t, c);
    if (p->cut) /* who knows what it asked for */
        c->flags |= C_HOLE;
    if (c->last_ns[0] == INT64_MIN && c->last_ns[1] == INT64_MIN && (c->flags & C_HOLE) == 0)
        c->flags |= C_START; /* nothing came before it */
    c->version = p->version;
    c->connect_frame = in->frame;
    c->keep_alive_s = k->keep_alive_s;
    c->flags |= C_CONNECT | (k->clean ? C_CLEAN : 0) | (has_error(t->v) ? C_BAD_CONNECT : 0) |
                (is_odd(k) ? C_ODD_NAME : 0) | (k->client_id.ptr != NULL && k->client_id.len == 0 ? C_EMPTY_ID : 0);
    c->link = TRACK_LINK_CONNECTING;
    session_attach(t, c, k->client_id);
    struct session *s = c->session;
    s->version = c->version & 7u;
    s->stream = c->stream;
    s->flags = (s->flags & ~(uint32_t)S_CLEAN) | (k->clean ? S_CLEAN : 0);
    take_limits(t, c, s, p);
    take_will(t, c, s, k, in->frame);
    struct exch *x = exch_open(t, c, TRACK_CONNECT, 0, 0, in);
    if (x == NULL)
        return;
    c->opening = x;
    x->stage = 1;
    exch_step(t, x, c, 0, 0, in);
    exch_owes(t, x, 1, MQTT_CONNACK);
    exch_note(t, x);
}

static bool plain_client_id(const struct session *s)
{
    if (s->client_id == NULL || s->client_id_len < 1 || s->client_id_len > 23)
        return false;
    for (uint32_t i = 0; i < s->client_id_len; i++) {
        char ch = s->client_id[i];
        if (!((ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z')))
            return false;
    }
    return true;
}

/* What obliges the server to close after this refusal. */
static enum mqtt_rule refusal_rule(const struct conn *c, unsigned code)
{
    if (c->version != MQTT_V5) {
        if (code == CODE_BAD_CLIENT_ID)
            return by_version(c, (c->flags & C_EMPTY_ID) != 0 ? MQTT_R4_3_1_3_8 : MQTT_R4_3_1_3_9, MQTT_RULE_NONE);
        return by_version(c, code == 1 ? MQTT_R4_3_1_2_2 : MQTT_R4_3_2_2_5, MQTT_RULE_NONE);
    }
    if (code == REASON_BAD_CLIENT_ID)
        return MQTT_R5_3_1_3_8;
    if (code == REASON_BAD_VERSION || code == 1)
        return MQTT_R5_3_1_2_2;
    if (code == REASON_BAD_METHOD)
        return MQTT_R5_4_12_0_1;
    return (c->flags & C_AUTH_DONE) != 0 ? MQTT_R5_4_12_0_4 : MQTT_R5_3_2_2_7;
}

static void refused(struct track *t, struct conn *c, struct exch *x, const struct track_input *in)
{
    unsigned code = in->packet->reason;
    bool id_refused = code == (c->version == MQTT_V5 ? REASON_BAD_CLIENT_ID : CODE_BAD_CLIENT_ID);
    if (id_refused && plain_client_id(c->session) && (c->flags & C_BAD_CONNECT) == 0)
        judge(t, c, by_version(c, MQTT_R4_3_1_3_5, MQTT_R5_3_1_3_5), MQTT_SEVERITY_WARNING, MQTT_SERVER);
    if (c->version == MQTT_V311 && (c->flags & (C_BAD_CONNECT | C_ODD_NAME)) == C_BAD_CONNECT &&
        code > CODE_BAD_CLIENT_ID && code != REASON_BAD_VERSION)
        judge(t, c, MQTT_R4_3_1_4_1, MQTT_SEVERITY_NONE, MQTT_SERVER);
    const char *name =
        c->version == MQTT_V5 && code >= REASON_FAILURE ? mqtt_reason_name(MQTT_CONNACK, code) : mqtt_return_name(code);
    found(t,
          &(struct found){ .diag = (c->flags & C_AUTH_DONE) != 0 ? TRACK_DIAG_AUTH_FAILED : TRACK_DIAG_CONNECT_REFUSED,
                           .side = MQTT_SERVER,
                           .conn = c,
                           .exch = x,
                           .time_ns = in->time_ns,
                           .frame = { c->connect_frame, in->frame } },
          "The server refuses the connection with code 0x%02x (%s)", code, name != NULL ? name : "not in the standard");
    close_is_due(t, c, refusal_rule(c, code), TRACK_DIAG_STAYS_OPEN, MQTT_SERVER, in->frame, t->now);
    session_refuse(t, c, in->frame);
    c->link = TRACK_LINK_CLOSING;
}

static void judge_assigned(struct track *t, struct conn *c, const struct mqtt_packet *p)
{
    struct session *s = c->session;
    struct mqtt_prop assigned;
    if (!mqtt_props_find(&p->props, MQTT_PROP_ASSIGNED_CLIENT_IDENTIFIER, &assigned)) {
        if ((c->flags & C_EMPTY_ID) != 0 && !p->cut)
            judge(t, c, MQTT_R5_3_2_2_16, MQTT_SEVERITY_NONE, MQTT_SERVER);
        return;
    }
    if ((c->flags & C_EMPTY_ID) == 0)
        return;
    struct row_endpoint broker = session_endpoint(s, 1);
    const struct session *other = key_find(t, &broker, assigned.text);
    if (other != NULL && other->conn != NULL && other->conn != c)
        judge(t, c, MQTT_R5_3_1_3_6, MQTT_SEVERITY_NONE, MQTT_SERVER);
    if (p->connack.session_present)
        judge(t, c, MQTT_R5_3_2_2_3, MQTT_SEVERITY_NONE, MQTT_SERVER);
    s->flags |= S_ASSIGNED;
    name_set(t, s, assigned.text);
}

static void judge_accepted(struct track *t, struct conn *c, const struct mqtt_packet *p)
{
    if (!conn_sure(c))
        return;
    if ((c->flags & (C_EMPTY_ID | C_CLEAN)) == C_EMPTY_ID && c->version == MQTT_V311)
        judge(t, c, MQTT_R4_3_1_3_8, MQTT_SEVERITY_NONE, MQTT_SERVER);
    else if ((c->flags & C_BAD_CONNECT) != 0)
        judge(t, c, by_version(c, MQTT_R4_3_1_4_1, MQTT_R5_3_1_4_1), MQTT_SEVERITY_NONE, MQTT_SERVER);
    if ((c->flags & C_CLEAN) != 0 && p->connack.session_present)
        judge(t, c, by_version(c, MQTT_R4_3_2_2_1, MQTT_R5_3_2_2_2), MQTT_SEVERITY_NONE, MQTT_SERVER);
    if (c->version != MQTT_V5)
        return;
    judge_assigned(t, c, p);
    if (has_prop(&p->props, MQTT_PROP_RESPONSE_INFORMATION) && (c->flags & C_WANT_RESPONSE) == 0)
        judge(t, c, MQTT_R5_3_1_2_28, MQTT_SEVERITY_NONE, MQTT_SERVER);
    if ((c->flags & C_WILL) != 0 && c->will_qos > c->max_qos && c->will_qos < 3) /* 3 is malformed, whatever it says */
        judge(t, c, MQTT_R5_3_2_2_12, MQTT_SEVERITY_NONE, MQTT_SERVER);
    if ((c->flags & (C_WILL_RETAIN | C_NO_RETAIN)) == (C_WILL_RETAIN | C_NO_RETAIN))
        judge(t, c, MQTT_R5_3_2_2_13, MQTT_SEVERITY_NONE, MQTT_SERVER);
}

static void take_server_limits(struct track *t, struct conn *c, const struct mqtt_props *props)
{
    if (c->version != MQTT_V5)
        return;
    struct bounds *b = bounds_make(t, c);
    int32_t spent = b->quota[0]; /* what was sent before CONNACK counts too */
    b->window[0] = (uint16_t)mqtt_props_number(props, MQTT_PROP_RECEIVE_MAXIMUM, 65535);
    b->quota[0] = b->window[0] + spent;
    b->alias_max[0] = (uint16_t)mqtt_props_number(props, MQTT_PROP_TOPIC_ALIAS_MAXIMUM, 0);
    b->packet_max[0] = mqtt_props_number(props, MQTT_PROP_MAXIMUM_PACKET_SIZE, 0);
    c->max_qos = (uint8_t)mqtt_props_number(props, MQTT_PROP_MAXIMUM_QOS, 2);
    c->flags |= mqtt_props_number(props, MQTT_PROP_RETAIN_AVAILABLE, 1) == 0 ? C_NO_RETAIN : 0;
    c->flags |= mqtt_props_number(props, MQTT_PROP_WILDCARD_SUBSCRIPTION_AVAILABLE, 1) == 0 ? C_NO_WILDCARD : 0;
    c->flags |= mqtt_props_number(props, MQTT_PROP_SUBSCRIPTION_IDENTIFIER_AVAILABLE, 1) == 0 ? C_NO_SUBID : 0;
    c->flags |= mqtt_props_number(props, MQTT_PROP_SHARED_SUBSCRIPTION_AVAILABLE, 1) == 0 ? C_NO_SHARED : 0;
    if (has_prop(props, MQTT_PROP_SERVER_KEEP_ALIVE)) {
        c->keep_alive_s = (uint16_t)mqtt_props_number(props, MQTT_PROP_SERVER_KEEP_ALIVE, c->keep_alive_s);
        c->server_ka = true;
    }
    c->session->expiry_s = mqtt_props_number(props, MQTT_PROP_SESSION_EXPIRY_INTERVAL, c->session->expiry_s);
}

static void second_connack(struct track *t, struct conn *c, const struct track_input *in)
{
    if (c->version == MQTT_V5)
        judge(t, c, MQTT_R5_3_2_0_2, MQTT_SEVERITY_NONE, MQTT_SERVER);
    else
        judge(t, c, by_version(c, MQTT_R4_4_8_0_1, MQTT_RULE_NONE), MQTT_SEVERITY_NOTE, MQTT_SERVER);
    if (in->packet->reason == 0)
        return;
    struct exch *x = rare_of(c)->auth;
    if (x != NULL) {
        found(t,
              &(struct found){ .diag = TRACK_DIAG_AUTH_FAILED,
                               .side = MQTT_SERVER,
                               .conn = c,
                               .exch = x,
                               .time_ns = in->time_ns,
                               .frame = { x->last_frame, in->frame } },
              "The server ends the re-authentication with CONNACK 0x%02x instead of DISCONNECT", in->packet->reason);
        x->reason = in->packet->reason;
        exch_step(t, x, c, 3, TRACK_OUT_OF_PLACE, in);
        exch_note(t, x);
        exch_finish(t, x, TRACK_REFUSED);
    }
    close_is_due(t, c, by_version(c, MQTT_R4_3_2_2_5, MQTT_R5_4_13_2_1), TRACK_DIAG_STAYS_OPEN, MQTT_SERVER, in->frame,
                 t->now);
    c->link = TRACK_LINK_CLOSING;
}

void on_connack(struct track *t, struct conn *c, const struct track_input *in)
{
    const struct mqtt_packet *p = in->packet;
    if ((c->flags & C_CONNACK) != 0) {
        second_connack(t, c, in);
        return;
    }
    struct session *s = c->session;
    struct exch *x = c->opening;
    c->flags |= C_CONNACK;
    c->connack_frame = in->frame;
    c->connack_ns = in->time_ns;
    c->connack_end = in->end <= UINT32_MAX ? (uint32_t)in->end : 0;
    if (x != NULL) {
        exch_step(t, x, c, 3, 0, in);
        exch_owes(t, x, 0, 0);
        x->reason = p->reason;
        exch_note(t, x);
    }
    bool accepted = p->reason == 0 && (c->flags & C_CLOSED) == 0;
    if ((c->flags & C_CONNECT) == 0) { /* CONNECT was not captured: version and client are not known */
        if (accepted)
            c->flags |= C_UP;
        return;
    }
    s->return_code = p->reason;
    if (p->cut)
        c->flags |= C_HOLE;
    if (accepted) {
        take_server_limits(t, c, &p->props);
        auth_connack(t, c, in);
        judge_accepted(t, c, p);
        c->flags |= C_UP;
        c->link = TRACK_LINK_UP;
        session_start(t, c, p->connack.session_present, in->frame);
        c->session->return_code = p->reason;
        if (c->keep_alive_s > 0)
            timer_set(t, c->index, in->time_ns + (int64_t)c->keep_alive_s * 1500000000 + t->cfg.keep_alive_slack_ns);
    } else if (p->reason != 0) {
        if (c->version == MQTT_V5)
            auth_connack(t, c, in);
        refused(t, c, x, in);
    }
    if (x != NULL)
        exch_finish(t, x, p->reason == 0 ? TRACK_COMPLETE : TRACK_REFUSED);
}

static void end_of_session(struct track *t, struct conn *c, const struct mqtt_packet *p)
{
    struct session *s = c->session;
    if (!has_prop(&p->props, MQTT_PROP_SESSION_EXPIRY_INTERVAL))
        return;
    uint32_t expiry = mqtt_props_number(&p->props, MQTT_PROP_SESSION_EXPIRY_INTERVAL, 0);
    if (expiry != 0 && c->no_expiry && (c->flags & C_CONNECT) != 0 && conn_sure(c))
        judge(t, c, MQTT_S5_3_14_2_2_2_B, MQTT_SEVERITY_NONE, MQTT_CLIENT);
    else
        s->expiry_s = expiry;
}

/* A server that gives up a client for its Keep Alive before the client's own value has passed uses another one. */
static void judge_timeout(struct track *t, struct conn *c, const struct track_input *in)
{
    int64_t last = c->last_ns[0] > c->connack_ns ? c->last_ns[0] : c->connack_ns;
    if (in->packet->reason != REASON_KEEP_ALIVE || c->server_ka || !conn_sure(c) || (c->flags & C_UP) == 0)
        return;
    if (c->keep_alive_s == 0 || in->time_ns - last < (int64_t)c->keep_alive_s * 900000000)
        judge(t, c, MQTT_R5_3_2_2_22, MQTT_SEVERITY_NONE, MQTT_SERVER);
}

void on_disconnect(struct track *t, struct conn *c, unsigned slot, const struct track_input *in)
{
    const struct mqtt_packet *p = in->packet;
    unsigned side = slot_side(c, slot);
    struct rare *r = rare_make(t, c);
    r->bye |= (uint8_t)side;
    r->bye_frame[slot] = in->frame;
    r->bye_reason[slot] = p->reason;
    c->link = TRACK_LINK_CLOSING;
    if (c->version != MQTT_V5) {
        if (slot == 0)
            close_is_due(t, c, by_version(c, MQTT_R4_3_14_4_1, MQTT_RULE_NONE), TRACK_DIAG_STAYS_OPEN, side, in->frame,
                         t->now);
        return;
    }
    enum mqtt_rule rule = p->reason >= REASON_FAILURE ? MQTT_R5_4_13_2_1 : MQTT_R5_3_14_4_2;
    if (slot == 0) {
        end_of_session(t, c, p);
    } else {
        if ((c->flags & C_UP) == 0 && conn_sure(c))
            judge(t, c, MQTT_R5_3_14_0_1, MQTT_SEVERITY_NONE, MQTT_SERVER);
        judge_timeout(t, c, in);
    }
    struct exch *x = r->auth;
    if (x != NULL && p->reason >= REASON_FAILURE) {
        rule = MQTT_R5_4_12_1_2;
        x->reason = p->reason;
        exch_step(t, x, c, 3, 0, in);
        exch_note(t, x);
        exch_finish(t, x, TRACK_REFUSED);
    }
    close_is_due(t, c, rule, TRACK_DIAG_STAYS_OPEN, side, in->frame, t->now);
}

void on_ping(struct track *t, struct conn *c, unsigned slot, const struct track_input *in)
{
    struct exch *x = c->ping != NULL ? c->ping->chain : NULL;
    if (in->packet->type == MQTT_PINGREQ && slot == 0) {
        x = exch_open(t, c, TRACK_PING, slot, 0, in);
        if (x == NULL)
            return;
        struct exch *latest = c->ping != NULL ? c->ping : x;
        x->chain = c->ping != NULL ? latest->chain : x;
        latest->chain = x;
        c->ping = x;
        exch_step(t, x, c, 0, 0, in);
        exch_owes(t, x, 1, MQTT_PINGRESP);
        exch_note(t, x);
        return;
    }
    if (in->packet->type != MQTT_PINGRESP || slot != 1)
        return;
    if (x == NULL) {
        t->note->flags |= TRACK_NO_START;
        if (c->ahead)
            conn_hole(t, c);
        if (conn_sure(c))
            found(t,
                  &(struct found){ .diag = TRACK_DIAG_PINGRESP_UNASKED,
                                   .side = MQTT_SERVER,
                                   .conn = c,
                                   .time_ns = in->time_ns,
                                   .frame = { in->frame } },
                  "PINGRESP without a PINGREQ under way");
        return;
    }
    exch_last_step(t, x, c, 1, in);
    exch_owes(t, x, 0, 0);
    exch_note(t, x);
    exch_finish(t, x, TRACK_COMPLETE);
}
