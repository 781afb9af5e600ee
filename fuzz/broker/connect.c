/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/broker/connect.c -- CONNECT and CONNACK, DISCONNECT of the client (sections 3.1, 3.2, 3.14). */
#include "decoder/base/utf8.h"
#include "fuzz/broker/internal.h"
#include <stdlib.h>
#include <string.h>

/* ---- refusing ---- */

/* 3.1 and 3.1.1 have five codes; 0: none fits, close without a CONNACK. */
static uint8_t return_code(uint8_t reason)
{
    switch (reason) {
    case 0x84:
        return 1;
    case 0x85:
        return 2;
    case 0x88:
    case 0x89:
    case 0x97:
    case 0x9f:
        return 3;
    case 0x86:
        return 4;
    case 0x87:
    case 0x8a:
    case 0x90:
    case 0x9a:
    case 0x9b:
        return 5;
    default:
        return 0;
    }
}

void connect_refuse(struct broker_conn *c, uint8_t reason, enum mqtt_rule rule, const char *detail)
{
    struct broker *b = c->broker;
    b->stats.connects_refused++;
    b->stats.violations += rule != MQTT_RULE_NONE;
    conn_log(c, BROKER_NOTICE, "refuse", detail, reason, rule);
    struct mqtt_packet p = { .type = MQTT_CONNACK, .version = c->version, .has_reason = true, .reason = reason };
    if (c->version != MQTT_V5)
        p.reason = return_code(reason);
    else if (FAULTY(b, WRONG_REASON))
        p.reason = 0x80;
    if (p.reason == 0 && c->version == MQTT_V311 && FAULTY(b, REFUSE_ALWAYS))
        p.reason = 5;
    if (c->version == MQTT_V5 && FAULTY(b, REFUSE_DISCONNECT))
        p.type = MQTT_DISCONNECT;
    if (p.reason != 0)
        send_reasoned(c, &p, rule);
    if (p.reason == 0 || !FAULTY(b, REFUSE_OPEN))
        conn_done(c, false);
}

static bool name_is(const struct mqtt_packet *p, const char *name)
{
    return p->connect.protocol_name.len == strlen(name) &&
           memcmp(p->connect.protocol_name.ptr, name, strlen(name)) == 0;
}

/* False: not a protocol we speak, and it was told so where that can be. */
static bool check_version(struct broker_conn *c, const struct mqtt_packet *p)
{
    bool mqtt = p->connect.protocol_name.ptr != NULL && name_is(p, "MQTT");
    bool old = p->connect.protocol_name.ptr != NULL && name_is(p, "MQIsdp");
    uint8_t level = p->connect.level;
    if ((mqtt && (level == 4 || level == 5)) || (old && level == 3)) {
        c->version = level;
        return true;
    }
    c->version = MQTT_V311;
    if (!mqtt && !old) {
        conn_violation(c, MQTT_R4_3_1_2_1, 0, "not an MQTT protocol name"); /* [MQTT-3.1.2-1] */
        return false;
    }
    c->version = mqtt && level > 5 ? MQTT_V5 : MQTT_V311;
    connect_refuse(c, 0x84, c->version == MQTT_V5 ? MQTT_R5_3_1_2_2 : MQTT_R4_3_1_2_2, "unsupported protocol level");
    return false;
}

static bool about_client_id(enum mqtt_rule rule)
{
    return rule == MQTT_R4_3_1_3_7 || rule == MQTT_R4_3_1_3_8 || rule == MQTT_S3_3_1_A || rule == MQTT_S3_3_1_B;
}

/* ---- accepting ---- */

static bool will_allowed(struct broker_conn *c, const struct mqtt_packet *p)
{
    const struct mqtt_connect *in = &p->connect;
    const struct broker_config *config = &c->broker->config;
    if (!in->will)
        return true;
    if (in->will_qos > (FAULTY(c->broker, SUBSCRIBE_MAXIMUM) ? 1 : config->max_qos)) /* [MQTT-3.2.2-12] */
        connect_refuse(c, 0x9b, MQTT_RULE_NONE, "Will QoS is not supported");
    else if (in->will_retain && !config->retain_available) /* [MQTT-3.2.2-13] */
        connect_refuse(c, 0x9a, MQTT_RULE_NONE, "retained wills are not supported");
    else if (c->version == MQTT_V31 && utf8_check(in->will_topic).worst >= UTF8_NUL)
        connect_refuse(c, 0x90, MQTT_RULE_NONE, "the Will Topic is not well-formed UTF-8");
    else if (in->will_topic.len > 0 && in->will_topic.ptr[0] == '$')
        connect_refuse(c, 0x90, MQTT_RULE_NONE, "clients do not publish to topics that start with $");
    else
        return true;
    return false;
}

static bool login(struct broker_conn *c, const struct mqtt_packet *p)
{
    struct broker *b = c->broker;
    if (!b->passwords.given || (b->config.allow_anonymous && !p->connect.has_username))
        return true;
    if (!p->connect.has_username)
        connect_refuse(c, 0x87, MQTT_RULE_NONE, "a user name is needed");
    else if (!p->connect.has_password || !auth_password(b, p->connect.username, p->connect.password))
        connect_refuse(c, 0x86, MQTT_RULE_NONE, "bad user name or password");
    else
        return true;
    return false;
}

void handle_connect(struct broker_conn *c, struct mqtt_packet *p, const struct mqtt_verdicts *v)
{
    if (!check_version(c, p))
        return;
    uint8_t reason;
    enum mqtt_rule rule = reaction(c->broker, v, &reason);
    c->max_packet = mqtt_props_number(&p->props, MQTT_PROP_MAXIMUM_PACKET_SIZE, UINT32_MAX);
    if (c->max_packet == 0) /* an error, and no limit for the answer that says so */
        c->max_packet = UINT32_MAX;
    if (rule != MQTT_RULE_NONE) {
        connect_refuse(c, c->version != MQTT_V5 && about_client_id(rule) ? 0x85 : reason, rule,
                       mqtt_rule_info(rule)->statement);
        return;
    }
    if (c->over_limit)
        connect_refuse(c, 0x97, MQTT_RULE_NONE, "too many connections");
    else if (!mem_has_room(&c->broker->memory, p->held + 4096, MEMORY_EIGHTH))
        connect_refuse(c, 0x97, MQTT_RULE_NONE, "no memory for another session");
    else if (!will_allowed(c, p))
        return;
    else if ((p->props.seen & UINT64_C(1) << MQTT_PROP_AUTHENTICATION_METHOD) != 0)
        auth_begin(c, p);
    else if (login(c, p))
        connect_accept(c, p, view_of(NULL, 0));
}

static void take_parameters(struct broker_conn *c, const struct mqtt_packet *p)
{
    const struct broker_config *config = &c->broker->config;
    uint32_t window = mqtt_props_number(&p->props, MQTT_PROP_RECEIVE_MAXIMUM, UINT16_MAX);
    uint32_t aliases = mqtt_props_number(&p->props, MQTT_PROP_TOPIC_ALIAS_MAXIMUM, 0);
    c->quota = c->quota_max = (uint16_t)(window < config->max_inflight ? window : config->max_inflight);
    c->alias_out_max = (uint16_t)(aliases < config->alias_maximum ? aliases : config->alias_maximum);
    c->problem_information = mqtt_props_number(&p->props, MQTT_PROP_REQUEST_PROBLEM_INFORMATION, 1) != 0;
    if (c->version == MQTT_V5)
        c->expiry_s = mqtt_props_number(&p->props, MQTT_PROP_SESSION_EXPIRY_INTERVAL, 0);
    else
        c->expiry_s = p->connect.clean ? 0 : UINT32_MAX;
    if (c->expiry_s > config->max_session_expiry_s)
        c->expiry_s = config->max_session_expiry_s;
}

enum { ASSIGNED_LEN = 22 };

/* 1 to 23 of 0-9a-zA-Z, as every server accepts. */
static void assign_id(struct broker *b, uint8_t out[ASSIGNED_LEN])
{
    static const char letters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    do {
        b->host.random(b->host.ctx, out, ASSIGNED_LEN);
        for (int i = 0; i < ASSIGNED_LEN; i++)
            out[i] = (uint8_t)letters[out[i] % 62];
    } while (session_find(b, view_of(out, ASSIGNED_LEN)) != NULL);
}

/* The fault leaves the older connection open, with a session of its own that nobody can find. */
static void ignore_takeover(struct broker *b, struct broker_conn *old)
{
    uint8_t id[ASSIGNED_LEN];
    assign_id(b, id);
    struct session *s = broker_session_new(b, view_of(id, ASSIGNED_LEN));
    if (s == NULL) {
        conn_close(old, 0x8e, MQTT_RULE_NONE, "session taken over");
        return;
    }
    old->session->conn = NULL;
    old->session = s;
    s->conn = old;
}

/* The session to resume, NULL if a new one is due: take-over [MQTT-3.1.4-3] and Clean Start [MQTT-3.1.4-4]. */
static struct session *resume(struct broker_conn *c, struct view id, bool clean)
{
    struct broker *b = c->broker;
    struct session *s = session_find(b, id);
    if (s != NULL && s->conn != NULL) {
        if (FAULTY(b, CRASH_TAKEOVER))
            abort();
        if (FAULTY(b, IGNORE_TAKEOVER))
            ignore_takeover(b, s->conn);
        else
            conn_close(s->conn, 0x8e, MQTT_RULE_NONE, "session taken over");
        s = session_find(b, id);
    }
    if (s != NULL && clean) {
        broker_session_end(s, b);
        s = NULL;
    }
    if (s != NULL) {
        session_will_cancel(b, s); /* the delay was still running [MQTT-3.1.3-9] */
        s->expiry_due = UINT64_MAX;
        timers_stop(&b->timers, &s->timer);
        if (FAULTY(b, SESSION_LOST))
            session_forget(b, s);
    }
    return s;
}

static bool take_will(struct broker *b, struct session *s, const struct mqtt_packet *p)
{
    const struct mqtt_connect *in = &p->connect;
    if (!in->will)
        return true;
    struct publication will = {
        .topic = in->will_topic, .payload = in->will_payload, .qos = in->will_qos, .retain = in->will_retain
    };
    if (!message_props(b, &in->will_props, &will))
        return false;
    s->will.delay_s = mqtt_props_number(&in->will_props, MQTT_PROP_WILL_DELAY_INTERVAL, 0);
    s->will.message = message_keep(b, &will);
    return s->will.message != NULL;
}

/* ---- CONNACK ---- */

struct block {
    uint8_t octets[1024];
    size_t len;
};

static void add_number(struct block *block, uint32_t id, enum mqtt_wire wire, uint32_t number)
{
    struct mqtt_prop prop = { .id = id, .wire = (uint8_t)wire, .number = number };
    block->len = mqtt_prop_write(block->octets, block->len, sizeof block->octets, &prop);
}

static void add_text(struct block *block, uint32_t id, enum mqtt_wire wire, struct view text)
{
    struct mqtt_prop prop = { .id = id, .wire = (uint8_t)wire, .text = text };
    size_t len = mqtt_prop_write(block->octets, block->len, sizeof block->octets, &prop);
    block->len = len > 0 ? len : block->len; /* a text that does not fit is left out */
}

static void add_limits(struct block *block, const struct broker_conn *c, const struct mqtt_packet *p)
{
    const struct broker_config *config = &c->broker->config;
    if (c->expiry_s != mqtt_props_number(&p->props, MQTT_PROP_SESSION_EXPIRY_INTERVAL, 0))
        add_number(block, MQTT_PROP_SESSION_EXPIRY_INTERVAL, MQTT_WIRE_U32, c->expiry_s);
    if (!config->retain_available || FAULTY(c->broker, LIMITS_IGNORED))
        add_number(block, MQTT_PROP_RETAIN_AVAILABLE, MQTT_WIRE_BYTE, 0);
    if (config->max_packet < MQTT_REMAINING_MAX + MQTT_HEADER_MAX)
        add_number(block, MQTT_PROP_MAXIMUM_PACKET_SIZE, MQTT_WIRE_U32, config->max_packet);
    if (config->receive_maximum != UINT16_MAX)
        add_number(block, MQTT_PROP_RECEIVE_MAXIMUM, MQTT_WIRE_U16, config->receive_maximum);
    if (FAULTY(c->broker, LIMITS_IGNORED) || FAULTY(c->broker, SUBSCRIBE_MAXIMUM))
        add_number(block, MQTT_PROP_MAXIMUM_QOS, MQTT_WIRE_BYTE, 1);
    else if (config->max_qos < 2)
        add_number(block, MQTT_PROP_MAXIMUM_QOS, MQTT_WIRE_BYTE, config->max_qos); /* [MQTT-3.2.2-9] */
    if (!config->wildcard_available || FAULTY(c->broker, LIMITS_IGNORED))
        add_number(block, MQTT_PROP_WILDCARD_SUBSCRIPTION_AVAILABLE, MQTT_WIRE_BYTE, 0);
    if (!config->subscription_id_available || FAULTY(c->broker, LIMITS_IGNORED))
        add_number(block, MQTT_PROP_SUBSCRIPTION_IDENTIFIER_AVAILABLE, MQTT_WIRE_BYTE, 0);
    if (!config->shared_available || FAULTY(c->broker, LIMITS_IGNORED))
        add_number(block, MQTT_PROP_SHARED_SUBSCRIPTION_AVAILABLE, MQTT_WIRE_BYTE, 0);
    if (config->response_information.ptr != NULL &&
        mqtt_props_number(&p->props, MQTT_PROP_REQUEST_RESPONSE_INFORMATION, 0) == 1)
        add_text(block, MQTT_PROP_RESPONSE_INFORMATION, MQTT_WIRE_UTF8, config->response_information);
}

static bool send_connack(struct broker_conn *c, const struct mqtt_packet *p, bool present, bool assigned,
                         uint32_t keep_alive_s, struct view auth_data)
{
    struct broker *b = c->broker;
    struct mqtt_packet out = { .type = MQTT_CONNACK, .version = c->version, .has_reason = true };
    out.connack.session_present = (present && c->version != MQTT_V31) || FAULTY(b, SESSION_PRESENT);
    out.connack.flags = (uint8_t)(out.connack.session_present | (FAULTY(b, CONNACK_FLAGS) ? 0x80 : 0));
    struct block block = { .len = 0 };
    if (c->version == MQTT_V5) {
        struct mqtt_prop method;
        if (keep_alive_s != p->connect.keep_alive_s)
            add_number(&block, MQTT_PROP_SERVER_KEEP_ALIVE, MQTT_WIRE_U16, keep_alive_s);
        if (b->config.alias_maximum > 0)
            add_number(&block, MQTT_PROP_TOPIC_ALIAS_MAXIMUM, MQTT_WIRE_U16, b->config.alias_maximum);
        if (assigned && !FAULTY(b, NO_ASSIGNED_ID)) /* [MQTT-3.2.2-16] */
            add_text(&block, MQTT_PROP_ASSIGNED_CLIENT_IDENTIFIER, MQTT_WIRE_UTF8, session_client(c->session));
        if (mqtt_props_find(&p->props, MQTT_PROP_AUTHENTICATION_METHOD, &method)) /* [MQTT-4.12.0-5] */
            add_text(&block, MQTT_PROP_AUTHENTICATION_METHOD, MQTT_WIRE_UTF8, method.text);
        if (auth_data.ptr != NULL)
            add_text(&block, MQTT_PROP_AUTHENTICATION_DATA, MQTT_WIRE_BINARY, auth_data);
        add_limits(&block, c, p);
        out.props.block = view_of(block.octets, block.len);
    }
    return send_packet(c, &out);
}

/* Nobody was connected after all: no will, and a session that this CONNECT made ends with its connection. */
static void give_up_session(struct broker *b, struct session *s, bool present)
{
    session_will_cancel(b, s);
    if (!present)
        s->expiry_s = 0;
}

void connect_accept(struct broker_conn *c, const struct mqtt_packet *p, struct view auth_data)
{
    struct broker *b = c->broker;
    uint8_t assigned[ASSIGNED_LEN];
    struct view id = p->connect.client_id;
    if (id.len == 0) {
        assign_id(b, assigned);
        id = view_of(assigned, ASSIGNED_LEN);
    }
    take_parameters(c, p);
    struct session *s = resume(c, id, p->connect.clean);
    bool present = s != NULL;
    if (s == NULL && (s = broker_session_new(b, id)) == NULL) {
        connect_refuse(c, 0x97, MQTT_RULE_NONE, "too many sessions, or no memory for another");
        return;
    }
    s->conn = c;
    c->session = s;
    s->expiry_s = c->expiry_s;
    if (!session_set_user(b, s, p->connect.has_username ? p->connect.username : view_of(NULL, 0)) ||
        !take_will(b, s, p)) {
        give_up_session(b, s, present);
        connect_refuse(c, 0x97, MQTT_RULE_NONE, "no memory for this session");
        return;
    }
    uint32_t keep_alive_s = p->connect.keep_alive_s;
    if (c->version == MQTT_V5 && b->config.max_keep_alive_s > 0 && keep_alive_s > b->config.max_keep_alive_s)
        keep_alive_s = b->config.max_keep_alive_s;
    if (!send_connack(c, p, present, p->connect.client_id.len == 0, keep_alive_s, auth_data)) {
        give_up_session(b, s, present);
        conn_close(c, 0x95, MQTT_RULE_NONE, "CONNACK does not fit the client's Maximum Packet Size");
        return;
    }
    c->state = CONN_UP;
    b->stats.connects_accepted++;
    conn_log(c, BROKER_INFO, "connect", present ? "session resumed" : "session created", 0, MQTT_RULE_NONE);
    conn_keep_alive(c, keep_alive_s);
    if (c->state == CONN_UP)
        deliver_resume(b, s);
}

/* ---- DISCONNECT ---- */

void handle_disconnect(struct broker_conn *c, const struct mqtt_packet *p)
{
    struct broker *b = c->broker;
    uint32_t expiry_s = mqtt_props_number(&p->props, MQTT_PROP_SESSION_EXPIRY_INTERVAL, c->expiry_s);
    if (c->expiry_s == 0 && expiry_s != 0) {
        conn_violation(c, MQTT_S5_3_14_2_2_2_B, 0x82, "Session Expiry Interval in DISCONNECT after 0 in CONNECT");
        return;
    }
    if (c->session != NULL)
        c->session->expiry_s = expiry_s < b->config.max_session_expiry_s ? expiry_s : b->config.max_session_expiry_s;
    conn_log(c, BROKER_INFO, "disconnect", "DISCONNECT from the client", p->reason, MQTT_RULE_NONE);
    conn_done(c, p->reason != 0 || FAULTY(b, WILL_AFTER_DISCONNECT)); /* [MQTT-3.14.4-3] */
}
