/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/broker/internal.h -- what the broker's files share. Nobody outside fuzz/broker/ includes it.
 *
 * A connection (one transport) has at most one session (one client identifier); a session outlives its connections.
 * Sessions hang on the topic tree by their subscriptions. A message is stored once, counted by those who refer to it.
 */
#pragma once
#include "fuzz/broker/memory.h"

#define FAULTY(b, name) ((b)->config.faults[FAULT_##name])

/* ---- messages (message.c) ---- */

/* An application message as it goes through the broker; everything borrowed. */
struct publication {
    struct view topic, payload;
    struct view
        props; /* 5.0 properties that are passed on, neither Topic Alias nor Subscription Identifier among them */
    uint64_t deadline;  /* of the Message Expiry Interval, ms; UINT64_MAX: none */
    uint32_t expiry_at; /* where in props its four octets are; meaningless without a deadline */
    uint8_t qos;
    bool retain;
    const struct session *from; /* NULL: the broker itself */
    struct message *stored;     /* the same, kept; NULL: not yet */
};

struct message {
    uint32_t refs, topic_len, props_len, payload_len, expiry_at;
    uint8_t qos;
    bool retain;
    uint64_t deadline;
    uint8_t octets[]; /* topic, properties, payload */
};

struct message *message_keep(struct broker *b, struct publication *pub); /* a reference more; NULL: no memory */
void message_drop(struct broker *b, struct message *m);                  /* one less; NULL is fine */
struct publication message_view(struct message *m);
size_t message_size(const struct message *m);
/* The properties of a PUBLISH (or Will) that are passed on, and what *pub tells of them. They borrow the packet, or
 * broker.passed (until the next call) when some of them are not passed on. False: no memory. */
bool message_props(struct broker *b, const struct mqtt_props *props, struct publication *pub);

/* ---- the topic tree (tree.c): subscriptions and retained messages ---- */

struct subscription {
    struct node *node;
    struct group *group; /* NULL: not shared */
    struct session *session;
    struct subscription *next, **at;      /* of the node or the group */
    struct subscription *mine, **mine_at; /* of the session */
    uint32_t id;                          /* Subscription Identifier, 0: none */
    uint8_t options;                      /* as in SUBSCRIBE: QoS, No Local, Retain As Published, Retain Handling */
};

struct group { /* members of one ShareName on one filter */
    struct node *node;
    struct group *next, **at;
    struct subscription *members, *turn; /* turn: who is asked next, NULL: the first */
    uint16_t name_len;
    uint8_t name[];
};

struct node {                                 /* one level of a filter or of a retained topic */
    struct node *parent, *child, *next, **at; /* children of one parent */
    struct node *plus, *hash;                 /* the children named + and # */
    struct node *chain;                       /* of the hash table */
    struct subscription *subs;
    struct group *groups;
    struct message *retained;
    uint32_t key;
    uint16_t name_len, depth;
    uint8_t name[];
};

struct tree {
    struct node *root, **table;
    uint32_t cap, n;
};

enum { OPTION_QOS = 3, OPTION_NO_LOCAL = 4, OPTION_AS_PUBLISHED = 8, OPTION_HANDLING = 0x30 };

/* The node of a filter or topic name, made if asked for. NULL: none, too deep or no memory. */
struct node *tree_node(struct broker *b, struct view path, bool make);
void tree_prune(struct broker *b, struct node *n); /* removes it and its parents as far as nobody needs them */
unsigned tree_levels(struct view path);
void tree_done(struct broker *b);
uint32_t tree_hash(const struct broker *b, const void *octets, size_t len, uint64_t salt);

/* Calls each() for every subscription and group whose filter matches the topic. */
struct match_events {
    void (*subscription)(void *ctx, struct subscription *s);
    void (*group)(void *ctx, struct group *g);
};
void tree_match(struct broker *b, struct view topic, const struct match_events *events, void *ctx);
/* Calls each() for every retained message whose topic matches the filter, until it returns false. */
void tree_retained(struct broker *b, struct view filter, bool (*each)(void *ctx, struct node *n), void *ctx);

/* ---- sessions (session.c) ---- */

enum delivery_state { DELIVERY_QUEUED, DELIVERY_PUBACK, DELIVERY_PUBREC, DELIVERY_PUBCOMP };

struct delivery { /* one message on its way to one session */
    struct delivery *next, *prev;
    struct message *message; /* NULL in DELIVERY_PUBCOMP */
    uint32_t *ids;           /* Subscription Identifiers beyond the first */
    uint32_t first_id, more; /* 0: none */
    uint16_t id;             /* Packet Identifier, 0: none yet */
    uint8_t qos, state;
    bool retain, sent; /* sent: was transmitted before, on this or an earlier connection */
};

struct delivery_list {
    struct delivery *head, *tail;
    uint32_t n;
};

struct will {
    struct message *message;
    uint32_t delay_s;
};

struct inbound {             /* a QoS 2 message taken over, waiting for PUBREL */
    struct message *message; /* NULL: forwarded already */
    uint32_t connection;     /* serial of the connection whose Receive Maximum it counts against */
    uint16_t id;
};

struct session {
    struct session *chain; /* of the table */
    struct broker_conn *conn;
    struct timer timer;            /* of the expiry or of the will delay, whichever is sooner */
    uint64_t expiry_due, will_due; /* UINT64_MAX: not running */
    uint32_t expiry_s;
    uint32_t key;
    struct will will; /* message NULL: none */
    struct subscription *subs;
    uint32_t nsubs, dropped;
    struct idmap out, in; /* struct delivery, struct inbound by Packet Identifier */
    struct delivery_list sent, queue;
    /* how a publication matches, while it is being forwarded (deliver.c) */
    uint64_t match_serial;
    struct session *match_next;
    uint32_t match_ids; /* index into broker.ids plus one, 0: none */
    uint8_t match_qos;
    bool match_as_published;
    bool skip; /* SWAP_ORDER */
    uint16_t last_id;
    uint16_t id_len, user_len;
    uint8_t *user;
    uint8_t text[]; /* client identifier */
};

struct session *session_find(struct broker *b, struct view client_id);
struct session *broker_session_new(struct broker *b, struct view client_id); /* NULL: limit or no memory */
bool session_set_user(struct broker *b, struct session *s, struct view user);
void broker_session_end(struct session *s, struct broker *b); /* publishes its will, forgets everything */
void broker_session_detach(struct broker *b, struct session *s, bool keep_will); /* its connection is gone */
void session_due(struct broker *b, struct session *s);                           /* its timer fired */
void session_will_cancel(struct broker *b, struct session *s);
void session_will_publish(struct broker *b, struct session *s);
void session_forget(struct broker *b, struct session *s); /* subscriptions and messages, not the session itself */
static inline struct view session_client(const struct session *s)
{
    return view_of(s->text, s->id_len);
}
static inline struct view session_user(const struct session *s)
{
    return view_of(s->user, s->user_len);
}

/* ---- connections (connection.c, output.c) ---- */

enum conn_state { CONN_NEW, CONN_AUTH, CONN_UP, CONN_DONE };

struct alias {
    uint8_t *topic;
    uint16_t len;
};

struct enhanced { /* an enhanced authentication under way (auth.c) */
    uint8_t nonce[16];
    bool under_way;  /* a challenge is out */
    uint8_t *octets; /* the CONNECT, kept for its Authentication Method and for the moment of success */
    size_t len;
};

struct broker_conn {
    struct broker *broker;
    void *user;
    uint64_t peer;
    struct session *session;
    struct broker_conn *next, **at; /* of all */
    struct timer timer;             /* CONNECT must have come, Keep Alive */
    uint64_t heard_ms;
    struct buffer in, out;
    struct alias *alias_in, *alias_out; /* config.alias_maximum; nalias_out */
    struct enhanced *enhanced;
    uint32_t serial;
    uint32_t max_packet; /* the client's, UINT32_MAX: none */
    uint32_t keep_alive_ms;
    uint32_t expiry_s;         /* Session Expiry Interval of the CONNECT */
    uint16_t quota, quota_max; /* QoS 1/2 PUBLISH packets we may still send */
    uint16_t receive_used;     /* of our Receive Maximum */
    uint16_t alias_out_max, nalias_out;
    uint8_t state, version;
    bool problem_information, told, over_limit, throttled;
};

void conn_log(struct broker_conn *c, enum broker_level level, const char *event, const char *detail, int reason,
              enum mqtt_rule rule);
/* Ends it: DISCONNECT to a 5.0 client that is up (reason 0x80 and above), then the host closes. */
void conn_close(struct broker_conn *c, uint8_t reason, enum mqtt_rule rule, const char *detail);
void conn_violation(struct broker_conn *c, enum mqtt_rule rule, uint8_t reason,
                    const char *detail);               /* likewise, counted */
void conn_done(struct broker_conn *c, bool keep_will); /* without a word */
void conn_packet(struct broker_conn *c, struct view octets);
void conn_due(struct broker_conn *c);
void conn_keep_alive(struct broker_conn *c, uint32_t keep_alive_s);

bool send_packet(struct broker_conn *c, const struct mqtt_packet *p); /* false: no memory or too large for the client */
bool send_ack(struct broker_conn *c, uint8_t type, uint16_t id, uint8_t reason);
/* A packet with a reason, and a Reason String where the client and its packet size allow it. */
bool send_reasoned(struct broker_conn *c, struct mqtt_packet *p, enum mqtt_rule rule);
enum send_result { SEND_DONE, SEND_TOO_LARGE, SEND_NO_MEMORY };
enum send_result send_publish(struct broker_conn *c, const struct publication *pub, const struct delivery *d);
bool output_full(const struct broker_conn *c);
void output_ready(struct broker_conn *c);

/* ---- what packets do (connect.c, publish.c, subscribe.c, deliver.c, auth.c, acl.c) ---- */

void handle_connect(struct broker_conn *c, struct mqtt_packet *p, const struct mqtt_verdicts *v);
void connect_accept(struct broker_conn *c, const struct mqtt_packet *p, struct view auth_data);
void connect_refuse(struct broker_conn *c, uint8_t reason, enum mqtt_rule rule, const char *detail);
void handle_publish(struct broker_conn *c, struct mqtt_packet *p);
void handle_ack(struct broker_conn *c, const struct mqtt_packet *p); /* PUBACK, PUBREC, PUBREL, PUBCOMP */
void on_subscribe(struct broker_conn *c, const struct mqtt_packet *p);
void on_unsubscribe(struct broker_conn *c, const struct mqtt_packet *p);
void handle_auth(struct broker_conn *c, const struct mqtt_packet *p);
void handle_disconnect(struct broker_conn *c, const struct mqtt_packet *p);

/* The verdict to act on: rule and 5.0 reason code. MQTT_RULE_NONE: none that closes. */
enum mqtt_rule reaction(const struct broker *b, const struct mqtt_verdicts *v, uint8_t *reason);

/* Gives the message to every matching session. Returns how many there were. */
unsigned deliver_all(struct broker *b, struct publication *pub);
/* False: its queue is full, no use in going on. */
bool deliver_retained(struct broker *b, struct session *s, struct node *n, const struct subscription *sub);
void deliver_pump(struct broker *b, struct session *s);   /* sends what waits and may be sent */
void deliver_resume(struct broker *b, struct session *s); /* a new connection: re-sends what was open */
void deliver_done(struct broker *b, struct session *s, struct delivery *d);  /* forgets it */
void deliver_adopt(struct broker *b, struct session *s, struct delivery *d); /* queued for a re-send -> sent */
void deliver_forget(struct broker *b, struct session *s);                    /* all of them */
bool retained_store(struct broker *b, struct publication *pub);              /* false: a limit forbids it */
void retained_sweep(struct broker *b);                                       /* drops the expired ones */
void unsubscribe(struct broker *b, struct subscription *s);

/* Starts the exchange of a CONNECT with an Authentication Method. */
void auth_begin(struct broker_conn *c, const struct mqtt_packet *p);
void auth_done(struct broker_conn *c); /* frees it */
bool auth_password(const struct broker *b, struct view user, struct view password);

enum acl_access { ACL_READ = 1, ACL_WRITE = 2 };
bool acl_allows(const struct broker *b, const struct session *s, struct view topic, enum acl_access access);
bool acl_may_subscribe(const struct broker *b, const struct session *s, struct view filter);

void sys_publish(struct broker *b);
void sys_due(struct broker *b); /* once in a while: $SYS, housekeeping */

/* A file of the user's as a list (lines.c); the entries point into `text`. Zeroed is none. */
struct lines {
    uint8_t *text;
    void *entries;
    size_t len, n, cap, size; /* of text; entries, room for them, octets of one */
    bool given;
};
enum line { LINE_WRONG, LINE_EMPTY, LINE_ENTRY };
typedef enum line lines_reader(void *ctx, struct view line, void *entry);
/* In place of what *l held. Returns 0, or -1 without memory, or the number of the line that is wrong: *l stays. */
int lines_read(struct lines *l, struct memory *m, struct view text, size_t size, lines_reader *reader, void *ctx);
void lines_done(struct lines *l, struct memory *m);

struct broker {
    struct broker_config config;
    struct broker_host host;
    struct memory memory;
    struct timers timers;
    struct timer sys_timer;
    struct tree tree;
    struct session **sessions;
    uint32_t sessions_cap;
    struct broker_conn *conns;
    uint64_t now_ms, start_ms, seed[2], match_serial;
    uint32_t conn_serial, fault_turn;
    struct {
        uint32_t id, next;
    } * ids; /* Subscription Identifiers of the matches under way */
    uint32_t ids_cap, ids_n;
    struct buffer scratch, passed;
    struct lines passwords, acl;
    bool shutting_down;
    struct broker_stats stats;
};

enum { TIMER_SYS, TIMER_CONN, TIMER_SESSION };
