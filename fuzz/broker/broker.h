/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/broker/broker.h -- an MQTT 3.1, 3.1.1 and 5.0 broker as a step function.
 *
 * Octets, openings, closings and the time go in; octets, wishes to close and the next deadline come out. No socket,
 * clock, randomness or heap of its own: struct broker_host lends them, so the same code serves the program mqbroker and
 * a fuzz target at full speed. One thread; the functions are not re-entered from the callbacks.
 *
 * Everything an input can grow is bounded by struct broker_config. A limit that is reached refuses the one who asks,
 * with the reason code the standard has for it, and leaves everybody else served. */
#pragma once
#include "decoder/mqtt/packet.h"
#include "fuzz/broker/fault.h"

struct broker;
struct broker_conn;

enum broker_level { BROKER_DEBUG, BROKER_INFO, BROKER_NOTICE, BROKER_WARNING };

/* One thing worth telling. Views and strings live during the call only; octets from the wire are unescaped. */
struct broker_log {
    enum broker_level level;
    const char *event;     /* "connect", "refuse", "disconnect", "close", "publish", "subscribe", "limit", "will" ... */
    const char *detail;    /* one line, never NULL */
    struct view client_id; /* ptr NULL: not known yet */
    struct view topic;     /* ptr NULL: none */
    uint64_t peer;         /* the number the host gave in broker_open(), 0: none */
    uint8_t version;       /* of the connection, 0: not known */
    int reason;            /* reason or return code, -1: none */
    enum mqtt_rule rule;   /* the rule broken, MQTT_RULE_NONE: none */
};

struct broker_host {
    void *ctx;
    /* realloc with sizes: (NULL, 0, n) allocates, (p, n, 0) frees and returns NULL, NULL: refused (p stays). */
    void *(*resize)(void *ctx, void *memory, size_t old_len, size_t new_len);
    void (*random)(void *ctx, uint8_t *out, size_t len);
    /* This connection has octets to send or wishes to be closed: look at broker_output() and broker_done() when the
     * step is over. Called when that becomes true, not again before the output was drained. */
    void (*ready)(void *ctx, void *user);
    void (*log)(void *ctx, const struct broker_log *log); /* may be NULL */
};

struct broker_config {
    uint32_t max_connections;      /* more are refused with 0x97 (3.x: 0x03) */
    uint32_t max_sessions;         /* connected or not */
    uint32_t max_queued;           /* messages waiting for one session; more are dropped and counted */
    uint32_t max_inflight;         /* QoS 1/2 deliveries open at once to one client, whatever it allows */
    uint32_t max_retained;         /* messages */
    uint32_t max_subscriptions;    /* of one session */
    uint32_t max_levels;           /* of a topic filter or a retained topic */
    uint32_t max_packet;           /* octets, announced when below the 268,435,460 of the encoding */
    uint32_t max_output;           /* octets waiting for one reader before it is throttled */
    uint32_t max_session_expiry_s; /* UINT32_MAX: no limit */
    uint64_t max_memory;           /* octets in all */
    uint16_t receive_maximum;      /* announced to 5.0 clients; held against 3.x clients too, as max_queued */
    uint16_t alias_maximum;        /* Topic Alias Maximum announced */
    uint16_t max_keep_alive_s;     /* Server Keep Alive for 5.0 clients that ask for more, 0: none */
    uint8_t max_qos;               /* 0, 1 or 2 */
    bool retain_available, wildcard_available, shared_available, subscription_id_available;
    bool allow_anonymous;             /* no user name needed although there is a password file */
    bool queue_qos0;                  /* keep QoS 0 messages for clients that are away */
    bool reason_strings;              /* tell 5.0 clients the rule they broke */
    uint32_t connect_timeout_ms;      /* a connection without CONNECT is closed after this */
    uint32_t sys_interval_s;          /* of $SYS, 0: none */
    struct view deny_subscribe;       /* this filter is refused with 0x80, ptr NULL: none */
    struct view response_information; /* told to 5.0 clients that ask, ptr NULL: none */
    struct view server_reference;     /* sent with the DISCONNECT of a shutdown, ptr NULL: none */
    struct view auth_secret;          /* ptr NULL: no enhanced authentication (fuzz/broker/auth.c) */
    bool faults[FAULT_COUNT];
};

/* The defaults of mqbroker. */
struct broker_config broker_defaults(void);

/* NULL: no memory. The views of the config are borrowed for the broker's life. */
struct broker *broker_new(const struct broker_config *config, const struct broker_host *host, uint64_t now_ms);
void broker_free(struct broker *b); /* NULL is fine; connections are gone without a word */

/* Text of a password file (`name:$6$salt$hash` or `name:$7$iterations$salt$hash`, as mosquitto_passwd writes it) or of
 * an ACL file in mosquitto's format; replaces what was there. Returns 0, or the number of the first bad line (then
 * nothing changes), or -1: no memory. */
int broker_passwords(struct broker *b, struct view text);
int broker_acl(struct broker *b, struct view text);

/* A connection was made. peer: a number for the log. NULL: refused, close it. */
struct broker_conn *broker_open(struct broker *b, void *user, uint64_t peer, uint64_t now_ms);
void broker_input(struct broker_conn *c, struct view octets, uint64_t now_ms);
/* The transport is gone, by the peer's doing or because broker_done() said so; the connection ends here. */
void broker_closed(struct broker_conn *c, uint64_t now_ms);

/* Octets that wait to be sent; valid until the next call of any function. */
struct view broker_output(const struct broker_conn *c);
void broker_sent(struct broker_conn *c, size_t len, uint64_t now_ms);
bool broker_done(const struct broker_conn *c); /* send what is waiting, then close */
bool broker_wants_input(
    const struct broker_conn *c); /* false: it reads too slowly; do not read from it until it does */

/* Fires what is due. Returns the time of the next deadline, UINT64_MAX if there is none. */
uint64_t broker_advance(struct broker *b, uint64_t now_ms);

/* The end: DISCONNECT 0x8B to 5.0 clients, every connection is done. */
void broker_shutdown(struct broker *b, uint64_t now_ms);

struct broker_stats {
    uint64_t connections_total, connects_accepted, connects_refused;
    uint64_t octets_in, octets_out, packets_in, packets_out, publish_in, publish_out, dropped, expired, violations;
    uint64_t memory, memory_peak; /* octets handed out by the host now, and at most */
    uint32_t connections, sessions, subscriptions, retained, queued;
};

void broker_stats(const struct broker *b, struct broker_stats *out);
