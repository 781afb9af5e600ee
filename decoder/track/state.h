/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/track/state.h -- what the tracker keeps; private to decoder/track.
 *
 * A slot is a side of a connection: 0 the client's, 1 the server's (where the roles are not known: directions).
 * Exchanges hang on the session they belong to, are found by (session, slot, id), and wait either in the list of a
 * connection, in the order in which their next packet became due, or parked in the session: left over from an earlier
 * connection, or reported as late already. */
#pragma once
#include "decoder/track/track.h"

enum {
    EVICT_LOOK = 32,
    DELIVERY_MS = 100, /* a delivery that takes longer is missed at the end of the connection */
    LINGER_MS = 1000,  /* how long answers may cross a FIN */
    LATE_SAID = 8,     /* findings of unanswered packets a connection */
    CODES_SAID = 16,   /* and of reason codes */
    STRAYS_SAID = 4,   /* and notes of deliveries that nothing matches */
    SLAB = 64,
    WHEEL = 512,
    WHEEL_SHIFT = 28,
    WHEEL_FINE = 16, /* as an entry tells it */
    PREV_ALIASES = 64,
    DUE_WILLS = 32,
    DUP_RING = 8,
    CLOSED_HELD = 256
};

#define NUMBER_MAX ((1ull << 48) - 1) /* of frames and records, where these are kept in 48 bits */

struct slabs { /* records of one size with addresses that stay */
    void **slab;
    uint32_t n_slabs, cap_slabs, size, used, held;
    void *free;
};

struct __attribute__((packed, aligned(4))) timer {
    int64_t due;     /* INT64_MAX: none */
    uint32_t serial; /* of its entry in the wheel; 0: it stands nowhere */
};

struct wheel_entry { /* of no meaning any more when its timer has another serial */
    uint32_t owner;  /* index of a connection, or of what comes after one with AFTER_OWNER */
    uint32_t serial;
    uint32_t due; /* or when it is to be looked at, in WHEEL_FINE, modulo 2^32 */
};

struct wheel_chunk { /* a place is a stack of them */
    struct wheel_chunk *below;
    uint32_t n;
    struct wheel_entry entry[41];
};

#define AFTER_OWNER 0x80000000u

/* Records that end in a text, by size: a bump of the newest chunk, or one that was given back. */
enum { POOL_UNIT = 8, POOL_CLASSES = 33, POOL_CHUNK = 16384 };

struct pool {
    struct pool_chunk *chunks;
    struct pool_large *large; /* records beyond these sizes */
    char *free[POOL_CLASSES];
    uint32_t used; /* of the newest chunk */
    uint64_t taken, limit;
};

struct topic { /* one text that several may hold: an exchange, a Topic Alias, the note of the row under way */
    uint32_t refs;
    uint16_t len;
    char text[];
};

struct sub {
    struct sub *next;
    struct ask *asked;        /* a request under way asks for it; NULL: none */
    uint64_t frame : 48;      /* of the latest SUBSCRIBE */
    uint64_t len : 16;        /* of its filter */
    uint64_t matched : 40;    /* PUBLISH packets */
    uint64_t options : 8;     /* as asked for */
    uint64_t granted : 8;     /* code of SUBACK, 0xff: not answered */
    uint64_t best : 8;        /* highest QoS ever granted, likewise */
    uint64_t identifier : 28; /* Subscription Identifier */
    uint64_t identifier_was : 28;
    uint64_t gone : 1;    /* unsubscribed, but PUBLISH packets for it may still come */
    uint64_t changed : 1; /* its identifier changed more than once */
    uint64_t unsure : 1;  /* a SUBACK for it was not seen: any QoS may have been granted */
    uint32_t hash;
    char filter[];
};

struct ask { /* a subscription that a SUBSCRIBE or UNSUBSCRIBE under way asks for */
    struct ask *prev, *next;
    struct exch *exch;
    struct sub *sub;
    uint32_t at; /* place of the filter in the request */
};

struct xstep {
    int64_t time_ns;
    uint64_t frame : 48;
    uint64_t type : 4;
    uint64_t flags : 11;
    uint64_t slot : 1;
};

struct later {
    struct xstep step[TRACK_STEPS - 1];
};

enum exch_mark {
    X_COUNTED = 1,    /* takes one of the send quota of its connection */
    X_REPORTED = 2,   /* late: said so already */
    X_WRONG = 4,      /* was answered with a packet of another QoS */
    X_PARKED = 8,     /* waits in the session's list */
    X_BAD = 16,       /* one of its packets breaks a rule of form */
    X_EARLY = 32,     /* the answer was captured before what it answers */
    X_PRINTED = 64,   /* print is known */
    X_RESUMED = 128,  /* goes on here without a PUBLISH: cost no quota */
    X_RECEIVED = 256, /* a PUBREC was seen at some time */
    X_FEW = 512,      /* found by the list of its session, not by the hash table */
    X_OLD = 1024,     /* may have gone on unseen, or been dropped */
    X_EXPIRES = 2048, /* the message has a Message Expiry Interval */
};

struct exch {
    struct exch *chain, *prev, *next;
    struct session *session;
    struct conn *conn; /* of its latest packet, NULL when that has ended */
    struct topic *topic;
    struct ask *asks; /* SUBSCRIBE, UNSUBSCRIBE: for what */
    uint64_t number : 48;
    uint64_t id : 16;
    uint64_t last_frame : 48;
    uint64_t resent : 16;
    int64_t last_ns; /* of its latest packet: since then the next one is owed */
    struct xstep first;
    struct later *later; /* NULL: none of the other steps was seen */
    uint32_t print;      /* of topic and payload */
    union {
        uint32_t payload_len; /* PUBLISH */
        uint32_t filters;     /* SUBSCRIBE, UNSUBSCRIBE */
    };
    union {
        uint32_t seq;        /* PUBLISH: the place of its answer among those of the client */
        uint32_t subscribed; /* UNSUBSCRIBE: of its filters */
    };
    uint32_t n_steps, stream, first_stream;
    uint16_t connections, flags, marks;
    uint8_t kind, slot, stage, qos, reason, version, owed_slot, owed_type, last_type;
};

enum session_flag {
    S_KEYED = 1, /* found by client identifier */
    S_WHOLE = 2, /* followed from its beginning without a hole */
    S_CLEAN = 4,
    S_PRESENT = 8,
    S_ASSIGNED = 16,
    S_LIVE = 32,   /* has state at the server: begun and not ended */
    S_ECHOED = 64, /* said so already */
    S_LOOPED = 128,
    S_SUBS_LOST = 256, /* a subscription is not in the table */
    S_KEEP_SERVER = 512,
    S_EXPIRES = 1024,     /* the timer stands for the end of the session */
    S_WILL_WAITS = 2048,  /* the timer stands for the end of the Will Delay */
    S_UNDELIVERED = 8192, /* said so already */
    S_CLIENT_OLD = 4096,  /* 3.1.1: the client may go on with messages of before the server's state began */
};

struct refusal { /* a PUBLISH that was refused, per slot */
    int64_t time_ns;
    uint32_t print;
    uint16_t id;
};

struct will { /* as CONNECT announced it */
    uint64_t frame;
    uint32_t topic, payload, delay_s; /* prints */
};

/* A PUBLISH of the client that its own subscription matches, not yet delivered. */
struct own {
    uint64_t frame;
    int64_t ns;
    uint32_t print;
    uint16_t id;
};

/* IPv6 addresses of the client and the server. */
struct six {
    uint8_t addr[2][16];
};

/* What only some sessions ever have: a will, or a time when they end. */
struct after {
    struct session *session;
    struct timer timer;
    uint32_t index; /* of its record + 1 */
    struct will will;
};

/* And what is left of troubles: with acknowledgements, other connections, messages that come back. */
struct past {
    int64_t takeover_ns[3], echo_ns;
    struct refusal refused_msg[2];
    uint64_t prev_aliases[2];
    struct sub **sub_table;                         /* by filter, once there are many; NULL: few */
    uint32_t n_held, sub_places, echo_print, loops; /* n_held: subscriptions in the table */
    uint64_t taint;                                 /* exchanges up to this number may have gone on unseen */
    struct tallies *tallies;                        /* NULL: all are small */
    uint32_t finished[TRACK_OUTCOMES];              /* but those complete */
    uint32_t resumed, restarted, taken_over, refused, abnormal_ends;
};

/* The counts of a session: 16 bits of each lie in the session, the rest here once there is one. */
enum tally {
    TALLY_PACKETS,                                /* + slot */
    TALLY_OCTETS = TALLY_PACKETS + 2,             /* + slot */
    TALLY_PUBLISHED_OCTETS = TALLY_OCTETS + 2,    /* + slot */
    TALLY_PUBLISHED = TALLY_PUBLISHED_OCTETS + 2, /* + 3 * slot + QoS */
    TALLY_COMPLETE = TALLY_PUBLISHED + 6,         /* exchanges */
    TALLY_VIOLATIONS,                             /* + severity */
    TALLIES = TALLY_VIOLATIONS + 4
};

struct tallies {
    uint64_t rest[TALLIES];
};

struct session {
    /* what every packet touches comes first; but a record not in use has a pointer where this one has the name */
    char *client_id;
    uint64_t number : 48; /* 0: not in use */
    uint64_t client_id_len : 16;
    struct sub *subs;
    uint16_t id_high[2]; /* no open exchange has an identifier above this, by slot */
    struct exch *few;    /* the first of those with an identifier, chained; the others are in the hash table */
    struct conn *conn;
    int64_t last_sent_ns[2];
    uint16_t tally[TALLIES]; /* enum tally */
    uint8_t family, return_code;
    uint32_t flags;
    uint16_t inflight[2], inflight_max[2];
    uint16_t n_few : 4, version : 3, will : 3, link : 3, low_grant : 2;
    uint16_t keep_alive_s;
    uint32_t open, print, n_hashed; /* n_hashed: exchanges in the table */
    int64_t silence_ns;
    struct own *own;     /* NULL: none */
    struct after *after; /* NULL: nothing of it */
    struct past *past;   /* likewise */
    union {              /* addresses of the client, [0], and the server */
        uint8_t v4[2][4];
        struct six *v6;
    };
    uint16_t port[2];
    uint32_t n_subs; /* subscriptions in force */
    /* the rest */
    struct exch *parked;          /* the first; its prev is the last */
    uint32_t index, older, newer; /* index of its record + 1; the others by theirs, 0: none */
    uint32_t conns;               /* index of one of those that belong to it, 0: none; the others by their mates */
    int64_t first_ns, connected_ns, closed_ns;
    uint32_t hash, stream, expiry_s;
    uint32_t connections;
};

struct key {                /* a place of the table that finds sessions by client identifier */
    uint32_t hash, session; /* its index; 0: empty */
};

enum conn_flag {
    C_START = 1 << 0, /* the first packet of the client is in the capture */
    C_FROM_SYN = 1 << 1,
    C_ROLES = 1 << 2,   /* slot 0 is the client for sure */
    C_HOLE = 1 << 3,    /* octets are missing */
    C_CONNECT = 1 << 4, /* CONNECT seen */
    C_CONNACK = 1 << 5, /* CONNACK seen */
    C_UP = 1 << 6,      /* accepted */
    C_REACHED = 1 << 7, /* CONNACK has reached the client */
    C_TAKEN = 1 << 8,   /* another connection has the session now */
    C_CLOSED = 1 << 9,
    C_METHOD = 1 << 10,     /* CONNECT had an Authentication Method */
    C_NO_PROBLEM = 1 << 11, /* Request Problem Information 0 */
    C_WANT_RESPONSE = 1 << 12,
    C_CLEAN = 1 << 13,
    C_EMPTY_ID = 1 << 14,
    C_BAD_CONNECT = 1 << 15,
    C_WILL = 1 << 16,
    C_WILL_RETAIN = 1 << 17,
    C_RESENT = 1 << 18, /* a packet was sent again on this connection */
    C_RESUMED = 1 << 19,
    C_KA_SAID = 1 << 20,
    C_KA_RULE = 1 << 21,
    C_SPOKE = 1 << 22,    /* a packet of the client was seen */
    C_ANSWERED = 1 << 23, /* a packet of the server was seen */
    C_ODD_NAME = 1 << 24, /* the CONNECT may be of another protocol */
    C_NO_WILDCARD = 1 << 25,
    C_NO_SUBID = 1 << 26,
    C_NO_SHARED = 1 << 27,
    C_NO_RETAIN = 1 << 28,
    C_SAID_CONNECT = 1 << 29, /* unanswered CONNECT reported */
    C_AUTH_DONE = 1 << 30,    /* an AUTH of the first authentication was seen */
};
#define C_RIVAL (1u << 31) /* another connection asked for its session before either was answered */

/* What only some connections ever have: those that 5.0 sets bounds for. */
struct bounds {
    uint32_t packet_max[2];           /* of that side; 0: none */
    uint16_t window[2], alias_max[2]; /* likewise */
    int32_t quota[2];                 /* PUBLISH packets that side may still send */
    struct topic **alias[2];
    uint32_t alias_cap[2];
    uint32_t method; /* print of the Authentication Method */
};

/* And those that break a rule, authenticate anew, are taken over or come to their end. */
struct rare {
    struct conn *taker, *taking; /* a take-over under way: who takes this one, whom this one takes */
    struct exch *auth;           /* re-authentication under way */
    uint64_t bye_frame[2], bad_frame, bad_exchange, due_frame, close_frame;
    int64_t bad_ns, closed_ns, close_due; /* close_due: INT64_MAX: none */
    uint64_t odd[2][2]; /* [by][whose] identifiers, modulo 64, that were misused here: what belongs to what is open */
    uint64_t resent_number; /* exchange of the latest PUBLISH that the client sent again here */
    uint16_t due_rule, bad_rule;
    uint8_t bye, bye_reason[2], due_side, due_diag, closer; /* bye: sides that sent DISCONNECT */
};

/* Of the client; of the server, shifted by one. */
enum pending {
    P_UNSEEN = 1,    /* octets of it arrived that were not captured so far */
    P_UNDER_WAY = 4, /* a packet of it has been coming for a while */
    P_OF_CLIENT = 5,
    P_UNSEEN_ANY = 3,
};

struct conn {
    /* what every packet touches comes first */
    struct session *session;
    uint32_t index, gen, flags, stream;
    struct timer timer;
    uint32_t seen_end[2];  /* octets of that side that have come as packets, modulo 2^32; 0: not known */
    uint32_t broker_print; /* of its endpoint; 0: not computed */
    int64_t last_ns[2], connack_ns;
    uint64_t last_frame[2];
    struct exch *wait;     /* exchanges that wait for a packet, oldest first; its prev is the last */
    struct bounds *bounds; /* NULL: none */
    struct rare *rare;     /* NULL: nothing of it */
    uint8_t version, source, flip, link;
    uint16_t keep_alive_s;
    uint16_t sub_done, unsub_done;       /* ids answered last */
    uint16_t n_subscribe, n_unsubscribe; /* under way */
    uint8_t max_qos, will_qos;
    uint8_t said_late, said_codes, said_stray; /* unanswered packets, reason codes, stray deliveries told so far */
    bool ahead;   /* the sender of the packet under way had octets that were not seen here yet */
    bool lingers; /* closed, but what the other side still sends is taken */
    bool early_said, server_ka, unsubscribed, no_expiry;
    uint8_t pending;                  /* enum pending */
    bool alias_lost[2];               /* a mapping of that side was not captured, or found no room */
    uint32_t connack_end;             /* 0: not known */
    uint64_t ids[2];                  /* which Packet Identifiers, modulo 64, were used here by that side */
    uint32_t arrived[3], answered[3]; /* order of the client's PUBACK, PUBREC, PUBREL */
    /* the rest */
    uint32_t prev, next;        /* index of open ones by opening, or of closed ones by closing; 0: none */
    uint32_t mate_before, mate; /* of the same session, likewise */
    struct exch *opening;       /* CONNECT under way */
    struct exch *ping;          /* the latest PINGREQ under way; chained in a ring, so the oldest comes after it */
    uint64_t connect_frame, connack_frame;
    int64_t asked_ns; /* latest SUBSCRIBE, SUBACK */
};

struct dup_seen {
    uint32_t print;
    int64_t time_ns;
};

/* What a PUBLISH of a client hands on unchanged (5.0); prints, 0: none or not known. */
enum sent_fact { SENT_FORMAT, SENT_RESPONSE, SENT_CORRELATION, SENT_USER, SENT_USER_SET, SENT_TYPE, SENT_FACTS };

enum sent_mark {
    SENT_PLAIN = 1,  /* was sent without RETAIN */
    SENT_RETAIN = 2, /* with RETAIN */
    SENT_CLEAR = 4,  /* the one before is more than answer_ns older */
    SENT_SAME = 8,   /* the facts were the same each time, of 5.0 clients */
};

struct sent { /* a PUBLISH of a client, found by topic, payload and broker */
    int64_t time_ns;
    uint64_t session, frame;
    uint32_t print, broker;
    uint32_t fact[SENT_FACTS];
    uint32_t expiry_s; /* UINT32_MAX: none */
    uint16_t times;    /* how often; 0: the place is empty */
    uint8_t qos;       /* highest */
    uint8_t marks;     /* enum sent_mark */
};

struct track {
    struct track_config cfg;
    struct track_memory mem;
    struct track_events on;
    struct slabs conns, bounds, rares, sessions, afters, pasts, owns, sixes, tallies, exchs, later, asks, chunks;
    struct bounds no_bounds; /* where there is no memory for one: what is written here is lost */
    struct rare no_rare;
    struct past no_past;
    struct later no_later;
    struct pool texts;
    uint32_t n_topics, n_subs;
    struct exch **ids;
    struct key *keys;
    uint32_t n_ids, n_keys;                                    /* places, powers of two */
    uint32_t n_hashed, n_keyed;                                /* exchanges in `ids`, sessions in `keys` */
    uint32_t open_first, open_last, closed_first, closed_last; /* connections */
    uint32_t session_first, session_last;                      /* oldest CONNECT first */
    uint32_t hand;                                             /* where the search for an old exchange goes on */
    struct topic *shown; /* of a finished exchange: what the latest note tells lives until the next one */
    struct wheel_chunk *wheel[WHEEL];
    uint32_t n_entries, serial;
    int64_t now, tick; /* tick: wheel turns done */
    uint64_t next_exchange, next_session, next_finding, text;
    struct session *due_will[DUE_WILLS];
    uint32_t n_due_wills, n_closed;
    uint32_t conn_gen;
    struct conn *latest; /* whose packet came last; NULL: none yet */
    struct dup_seen dup[DUP_RING];
    uint32_t dup_at;
    struct sent_book *sent; /* NULL: none yet */
    struct track_counts counts;
    struct mqtt_verdicts *v; /* of the packet under way */
    struct track_note *note;
};

/* memory.c */
void *mem_take(struct track *t, size_t size);
void mem_give(struct track *t, void *p, size_t size);
void *slab_take(struct track *t, struct slabs *s); /* zeroed; NULL: no memory */
void slab_give(struct slabs *s, void *p);
void slab_free(struct track *t, struct slabs *s);
static inline void *slab_at(const struct slabs *s, uint32_t index) /* index < s->held */
{
    return (char *)s->slab[index / SLAB] + (size_t)(index % SLAB) * s->size;
}
void *pool_take(struct track *t, struct pool *p, size_t size); /* NULL: no memory, or the budget is spent */
void pool_give(struct track *t, struct pool *p, void *record, size_t size);
void pool_free(struct track *t, struct pool *p); /* with all that was not given back */

/* table.c */
uint32_t print_of(struct view octets, uint32_t seed); /* a short hash; bounded in time for long payloads */
bool tables_init(struct track *t);
void tables_free(struct track *t);
/* A session's first few exchanges are a list of its own: most have one open, and no table is as near as that. */
struct exch *id_find(const struct track *t, const struct session *s, unsigned slot, uint16_t id);
/* For a packet of this connection: never one that still waits on an earlier connection of the session. */
struct exch *id_open(struct track *t, const struct conn *c, unsigned slot, uint16_t id);
/* The same for an answer, which most often is the one that has been awaited longest. */
struct exch *id_answered(struct track *t, const struct conn *c, unsigned slot, uint16_t id);
void id_add(struct track *t, struct exch *x);
void id_remove(struct track *t, struct exch *x);
struct session *key_find(const struct track *t, const struct row_endpoint *broker, struct view client_id);
struct session *key_find_like(const struct track *t, const struct session *s); /* of the same name */
void key_prefetch(const struct track *t, const struct session *s);             /* a look for its name is near */
bool name_set(struct track *t, struct session *s,
              struct view client_id);             /* its client identifier, not yet found by it */
void key_put(struct track *t, struct session *s); /* found by it from now on */
void key_remove(struct track *t, struct session *s);
struct topic *topic_hold(struct track *t, struct view text); /* NULL: the budget is spent */
struct topic *topic_share(struct topic *w);                  /* once more; NULL is fine */
void topic_drop(struct track *t, struct topic *w);           /* NULL is fine */

/* subs.c */
struct sub *sub_find(const struct session *s, struct view filter);
struct sub *sub_add(struct track *t, struct session *s, struct view filter); /* NULL: the budget is spent */
void sub_grant(struct session *s, struct sub *b, uint8_t granted, bool gone);
bool sub_ask(struct track *t, struct exch *x, struct sub *b, uint32_t at); /* false: no memory */
void asks_clear(struct track *t, struct exch *x);
void subs_clear(struct track *t, struct session *s,
                const struct conn *asker); /* all but what this connection asked for */
void subs_move(struct track *t, struct session *from, struct session *to);

static inline struct view sub_filter(const struct sub *b)
{
    return view_of(b->filter, b->len);
}

static inline struct view topic_view(const struct topic *w)
{
    return w != NULL ? view_of(w->text, w->len) : (struct view){ 0 };
}

/* wheel.c */
/* Moves it only when that is earlier, or it stands nowhere. */
void timer_set(struct track *t, uint32_t owner, int64_t due);
void timer_stop(struct timer *r);
void wheel_turn(struct track *t, int64_t now);

/* deadline.c: return the next deadline, INT64_MAX for none */
int64_t conn_check(struct track *t, struct conn *c, int64_t now);
int64_t session_check(struct track *t, struct session *s, int64_t now);

/* exchange.c */
struct exch *exch_open(struct track *t, struct conn *c, unsigned kind, unsigned slot, uint16_t id,
                       const struct track_input *in);
/* Its packet at place 0..3; one of type 0: it was not seen. */
const struct xstep *exch_at(const struct exch *x, unsigned place);
void exch_unstep(struct exch *x, unsigned place); /* as if it had not been seen */
/* One more packet of the exchange: place 0..3 in it. Sets what the row's note says of it. */
void exch_step(struct track *t, struct exch *x, struct conn *c, unsigned place, unsigned flags,
               const struct track_input *in);
/* The same for a packet behind which the exchange is finished at once: it need not wait, nor its steps be kept. */
void exch_last_step(struct track *t, struct exch *x, struct conn *c, unsigned place, const struct track_input *in);
void exch_owes(struct track *t, struct exch *x, unsigned slot, unsigned type);
void exch_finish(struct track *t, struct exch *x, enum track_outcome outcome);
void exch_park(struct exch *x); /* out of its connection's list, into its session's */
void exch_note(struct track *t, const struct exch *x);
void exch_fill(const struct exch *x, struct track_exchange *out);
bool exch_tainted(const struct exch *x);
void exch_evict(struct track *t);
void exch_rekey(struct track *t, struct exch *x, struct session *s);

/* session.c */
extern const struct after after_none;
extern const struct past past_none;
struct after *after_make(struct track *t, struct session *s); /* NULL: no memory */
struct past *past_make(struct track *t, struct session *s);   /* never NULL; without memory it forgets */
struct session *session_new(struct track *t, const struct conn *c);
struct row_endpoint session_endpoint(const struct session *s, unsigned slot);
void session_locate(struct track *t, struct session *s, unsigned slot, const struct row_endpoint *e);
void session_turn(struct session *s); /* client and server change places */
void own_forget(struct track *t, struct session *s);
void session_start(struct track *t, struct conn *c, bool present, uint64_t frame);
void session_refuse(struct track *t, struct conn *c, uint64_t frame);
void session_attach(struct track *t, struct conn *c, struct view client_id);
void session_detach(struct track *t, struct conn *c, bool orderly, uint64_t frame); /* its connection has ended */
void session_end(struct track *t, struct session *s, uint64_t frame);
void session_event(struct track *t, const struct session *s, enum track_session_change change, uint64_t frame);
void session_free(struct track *t, struct session *s);
void will_due(struct track *t, struct session *s, uint64_t frame);
void will_forget(struct track *t, struct session *s);
void will_match(struct track *t, struct conn *c, const struct track_input *in, uint32_t topic_print);
void takeover_confirm(struct track *t, struct conn *taker, int64_t time_ns, uint64_t frame);

/* link.c: CONNECT, CONNACK, AUTH, DISCONNECT, PING */
void on_connect(struct track *t, struct conn *c, const struct track_input *in);
void on_connack(struct track *t, struct conn *c, const struct track_input *in);
void on_disconnect(struct track *t, struct conn *c, unsigned slot, const struct track_input *in);
void on_ping(struct track *t, struct conn *c, unsigned slot, const struct track_input *in);
/* auth.c */
void on_auth(struct track *t, struct conn *c, unsigned slot, const struct track_input *in);
void auth_connack(struct track *t, struct conn *c, const struct track_input *in);
/* publish.c, ack.c */
/* How bad it is that an identifier of an earlier connection is used for something else. A QoS 1 message may be dropped
 * without a packet where it has expired or is too large for its receiver now. */
static inline unsigned reuse_severity(const struct exch *x)
{
    return x->version == MQTT_V5 && x->kind == TRACK_QOS1 ? MQTT_SEVERITY_NOTE : MQTT_SEVERITY_NONE;
}
void on_publish(struct track *t, struct conn *c, unsigned slot, const struct track_input *in);
void on_ack(struct track *t, struct conn *c, unsigned slot, const struct track_input *in);
/* subscribe.c */
void on_request(struct track *t, struct conn *c, unsigned slot, const struct track_input *in);
void on_granted(struct track *t, struct conn *c, unsigned slot, const struct track_input *in);
void expect_own(struct track *t, struct conn *c, const struct track_input *in, struct view topic, uint32_t print);
void tell_own(struct track *t, struct conn *c, int64_t waited_ns, uint64_t frame); /* it has not come */
void judge_stray(struct track *t, struct conn *c, struct view topic);
void judge_delivery(struct track *t, struct conn *c, const struct track_input *in, struct view topic,
                    const struct sent *from);
/* forward.c */
void sent_free(struct track *t);
void sent_keep(struct track *t, struct conn *c, const struct track_input *in, uint32_t print);
/* The PUBLISH that this one of the server hands on, as far as likeness tells; NULL: not known. */
const struct sent *sent_find(struct track *t, struct conn *c, const struct track_input *in, uint32_t print);
struct reach {                          /* the subscriptions of a client that a delivery matches */
    unsigned matches, published, local; /* published: with Retain As Published; local: with No Local */
    bool open, settled, above; /* settled: all were answered well before the PUBLISH was sent; above: every grant */
};
void judge_forwarded(struct track *t, struct conn *c, const struct track_input *in, const struct sent *from,
                     const struct reach *r);
/* limits.c */
void judge_size(struct track *t, struct conn *c, unsigned slot, const struct track_input *in);
struct topic *resolve_alias(struct track *t, struct conn *c, unsigned slot, const struct track_input *in, bool *known);
void judge_publish_limits(struct track *t, struct conn *c, unsigned slot, const struct track_input *in);
void quota_take(struct track *t, struct conn *c, struct exch *x, const struct track_input *in);
void quota_give(struct track *t, struct conn *c, struct exch *x);
bool connack_reached(const struct track *t, struct conn *c, const struct track_input *in);
void aliases_free(struct track *t, struct bounds *b);
/* conn.c */
void conn_end(struct track *t, struct conn *c, enum track_close_how how, unsigned dir, uint64_t frame);
void conn_free(struct track *t, struct conn *c);
void conn_settle(struct track *t, struct conn *c); /* nothing more is awaited after its closing */
void conn_hole(struct track *t, struct conn *c);   /* something of it was not seen */
void conn_turn(struct track *t, struct conn *c);
struct rare *rare_make(struct track *t, struct conn *c);     /* never NULL; without memory it has a hole and forgets */
struct bounds *bounds_make(struct track *t, struct conn *c); /* likewise */
void conn_join(struct track *t, struct conn *c, struct session *s); /* NULL: none */
void conn_release(struct track *t, struct conn *c, bool lives);     /* its exchanges no longer wait here */
void close_is_due(struct track *t, struct conn *c, enum mqtt_rule rule, enum track_diagnosis diag, unsigned side,
                  uint64_t frame, int64_t now);

/* finding.c */
struct found {
    enum mqtt_rule rule;
    enum track_diagnosis diag;
    unsigned severity, side; /* severity 0: that of the diagnosis, else of the rule */
    uint64_t frame[TRACK_EVIDENCE];
    int64_t time_ns;
    const struct exch *exch;
    const struct conn *conn;
    struct session *session;
    struct view topic; /* ptr NULL: that of the exchange */
};
__attribute__((format(printf, 3, 4))) void found(struct track *t, const struct found *f, const char *sentence, ...);
/* A verdict of conduct on the packet under way. severity NONE: the rule's own. */
void judge(struct track *t, const struct conn *c, enum mqtt_rule rule, unsigned severity, unsigned side);

/* How long an answer may take. CONNECT gets more: a server asks others before it answers. */
static inline int64_t exch_patience(const struct track *t, const struct exch *x)
{
    return x->kind == TRACK_CONNECT ? 4 * t->cfg.answer_ns : t->cfg.answer_ns;
}

static inline unsigned slot_side(const struct conn *c, unsigned slot)
{
    return (c->flags & C_ROLES) == 0 ? MQTT_NOBODY : slot == 0 ? MQTT_CLIENT : MQTT_SERVER;
}

/* The rule of the connection's version; 3.1 has none of its own. */
static inline enum mqtt_rule by_version(const struct conn *c, enum mqtt_rule v311, enum mqtt_rule v5)
{
    return c->version == MQTT_V5 ? v5 : c->version == MQTT_V311 ? v311 : MQTT_RULE_NONE;
}

extern const struct bounds bounds_none;
extern const struct rare rare_none;

static inline const struct bounds *bounds_of(const struct conn *c)
{
    return c->bounds != NULL ? c->bounds : &bounds_none;
}

static inline const struct rare *rare_of(const struct conn *c)
{
    return c->rare != NULL ? c->rare : &rare_none;
}

/* Nothing of this side was seen, not even its SYN: perhaps only the other direction is captured. */
static inline bool is_blind(const struct conn *c, unsigned slot)
{
    return (c->flags & C_FROM_SYN) == 0 && c->last_ns[slot] == INT64_MIN;
}

static inline bool is_under_way(const struct conn *c, unsigned slot)
{
    return (c->pending & P_UNDER_WAY << slot) != 0;
}

/* Was every packet of this connection seen, so that the absence of one proves something? */
static inline bool conn_sure(const struct conn *c)
{
    const struct rare *r = rare_of(c);
    bool contested =
        r->taker != NULL || (r->taking != NULL && (c->flags & C_UP) == 0); /* two connections, one session */
    return (c->flags & (C_START | C_ROLES | C_HOLE | C_TAKEN | C_RIVAL)) == (C_START | C_ROLES) && !c->ahead &&
           (c->pending & P_UNSEEN_ANY) == 0 && !contested;
}

/* `by` used an identifier of `slot` against the rules: nothing is held against anyone for it any more here. */
static inline void misuse(struct track *t, struct conn *c, unsigned slot, uint16_t id, unsigned by)
{
    rare_make(t, c)->odd[by][slot] |= 1ull << (id & 63);
}

static inline bool misused_by(const struct conn *c, unsigned slot, uint16_t id, unsigned by)
{
    return (rare_of(c)->odd[by][slot] >> (id & 63) & 1) != 0;
}

static inline bool is_sane(const struct conn *c, unsigned slot, uint16_t id)
{
    return !misused_by(c, slot, id, 0) && !misused_by(c, slot, id, 1);
}

static inline const struct after *after_of(const struct session *s)
{
    return s->after != NULL ? s->after : &after_none;
}

static inline const struct past *past_of(const struct session *s)
{
    return s->past != NULL ? s->past : &past_none;
}

RARELY void tally_carry(struct track *t, struct session *s, unsigned which, uint64_t n);

static inline void tally_add(struct track *t, struct session *s, unsigned which, uint64_t n)
{
    n += s->tally[which];
    s->tally[which] = (uint16_t)n;
    if (n > UINT16_MAX)
        tally_carry(t, s, which, n >> 16 << 16);
}

static inline uint64_t tally_of(const struct session *s, unsigned which)
{
    const struct tallies *rest = past_of(s)->tallies;
    return s->tally[which] + (rest != NULL ? rest->rest[which] : 0);
}

static inline struct conn *conn_at(const struct track *t, uint32_t index)
{
    return index != 0 ? slab_at(&t->conns, index - 1) : NULL;
}

static inline struct conn *conn_of(const struct track *t, track_conn h)
{
    uint32_t index = (uint32_t)h;
    if (index == 0 || index > t->conns.held)
        return NULL;
    struct conn *c = slab_at(&t->conns, index - 1);
    return c->gen == (uint32_t)(h >> 32) && c->index == index ? c : NULL;
}

/* The same, which most often is the one of the packet before. */
static inline struct conn *conn_again(struct track *t, track_conn h)
{
    const struct conn *c = t->latest;
    if (c == NULL || c->index != (uint32_t)h || c->gen != (uint32_t)(h >> 32))
        t->latest = conn_of(t, h);
    return t->latest;
}

static inline struct session *session_at(const struct track *t, uint32_t index)
{
    return index != 0 ? slab_at(&t->sessions, index - 1) : NULL;
}

static inline bool session_sure(const struct conn *c)
{
    return conn_sure(c) && c->session != NULL && (c->session->flags & S_WHOLE) != 0;
}
