/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/track/track.h -- exchanges, sessions and the rules of conduct: what more than one packet shows.
 *
 * Pure: octets, time and memory come from the caller; no I/O, clock or globals. Time never runs backwards inside: a
 * packet with an earlier time stamp than one before it counts as simultaneous. Nothing is claimed that the packets do
 * not prove: after a start in mid-stream, a gap or an eviction what depends on the missing part is unknown (session.md,
 * section 20).
 *
 * Order of calls for a connection: track_open, then track_packet / track_gap in the order of capture, then track_close.
 * Events come out of these calls and of track_advance, in the order of becoming certain.
 *
 * Memory: everything is taken from the allocator in slabs and bounded by the limits. A plain connection that is up and
 * its session take less than 592 octets, texts and one subscription included; what only some have (bounds of 5.0, a
 * will, a broken rule, counts beyond 16 bits...) is made when they have it, and enum track_cost says what one of each
 * kind costs with all of that. A client that opens 65,535 exchanges costs 16 MiB, and no more than max_exchanges allow
 * in all. Once a subscription was seen: 128 KiB for the latest 2,048 messages that clients published, by which their
 * deliveries are known. Reaching a limit evicts the oldest of the kind (the outcome of its exchanges is TRACK_UNKNOWN)
 * and counts it. */
#pragma once
#include "decoder/base/endpoint.h"
#include "decoder/mqtt/conn.h"
#include "decoder/mqtt/packet.h"

struct track;

/* old NULL: take; size 0: give back. NULL: no memory; the tracker then behaves as at the limit. Contents are kept. */
struct track_memory {
    void *(*resize)(void *ctx, void *old, size_t old_size, size_t size);
    void *ctx;
    bool zeroed; /* what it gives is all zero, but for contents that it keeps */
};

/* ---- exchanges -------------------------------------------------------------------------------------------------- */

enum track_kind {
    TRACK_NONE,
    TRACK_CONNECT, /* CONNECT [AUTH...] CONNACK */
    TRACK_QOS1,    /* PUBLISH PUBACK */
    TRACK_QOS2,    /* PUBLISH PUBREC PUBREL PUBCOMP */
    TRACK_SUBSCRIBE,
    TRACK_UNSUBSCRIBE,
    TRACK_PING,
    TRACK_REAUTH, /* AUTH 0x19 [AUTH 0x18...] AUTH 0x00 */
    TRACK_KINDS
};

enum track_outcome {
    TRACK_OPEN,
    TRACK_COMPLETE,
    TRACK_REFUSED,   /* CONNACK, PUBACK, PUBREC of 0x80 or above, or all SUBACK codes failures */
    TRACK_ABANDONED, /* the connection (or the session) ended first */
    TRACK_REPLACED,  /* the same identifier was used for another exchange, or a clean start dropped it */
    TRACK_UNKNOWN,   /* a gap, a start in mid-stream, an eviction */
    TRACK_OUTCOMES
};

enum track_flag {
    TRACK_DUP = 1,           /* the packet has DUP 1 */
    TRACK_RETRANSMITTED = 2, /* the same packet was seen before (on this or an earlier connection of the session) */
    TRACK_RESUMED = 4,       /* belongs to an exchange begun on an earlier connection of the session */
    TRACK_TAKEOVER =
        8, /* CONNECT or CONNACK that takes the session from another connection; a packet on the one taken */
    TRACK_NO_START = 16,     /* the first packet of its exchange was not seen */
    TRACK_OUT_OF_PLACE = 32, /* not what the exchange asks for next */
    TRACK_GAPPED = 64,       /* octets of this connection were never captured before this packet */
    TRACK_MIDSTREAM = 128,   /* the connection was already under way when the capture began */
    TRACK_LOOPED = 256,      /* this PUBLISH is a copy of one that the same client sent */
};

struct track_step {
    int64_t time_ns;
    uint64_t frame;
    uint8_t type;   /* enum mqtt_type */
    uint8_t sender; /* enum mqtt_side */
    uint16_t flags; /* enum track_flag bits of that packet */
};

enum { TRACK_STEPS = 4 };

/* An exchange, open or finished. Views are valid during the call that hands it out. */
struct track_exchange {
    uint64_t number;       /* from 1, in order of opening */
    uint64_t session;      /* number of the session, 0: none */
    uint32_t stream;       /* of its latest packet */
    uint32_t first_stream; /* of its first packet */
    uint8_t kind;          /* enum track_kind */
    uint8_t outcome;       /* enum track_outcome */
    uint8_t starter;       /* enum mqtt_side: who sent the first packet */
    uint8_t owed_by;       /* enum mqtt_side: who has to send the next packet; NOBODY when finished */
    uint8_t owed_type;     /* enum mqtt_type of it */
    uint8_t qos;
    uint8_t reason; /* the code that ended it (CONNACK, PUBACK, PUBREC, PUBCOMP, the worst of SUBACK / UNSUBACK) */
    uint8_t version;
    uint16_t id;          /* Packet Identifier, 0: the kind has none */
    uint16_t resent;      /* packets of it that were sent again */
    uint16_t connections; /* how many connections it went over */
    uint16_t flags;       /* enum track_flag bits met in it */
    uint32_t n_steps;     /* packets in all, re-sent ones included */
    struct track_step
        step[TRACK_STEPS];     /* one a kind of packet, in the order of the exchange (PUBLISH, PUBREC, PUBREL,
                                * PUBCOMP): its first sending; type 0 where it was not seen. CONNECT and REAUTH:
                                * first packet, first AUTH 0x18 of the server, latest AUTH of the client, end */
    int64_t began_ns, last_ns; /* first and latest packet */
    int64_t owed_since_ns;     /* when the packet that asks for the next one was seen */
    uint64_t last_frame;
    struct view topic; /* of PUBLISH, or the first filter; ptr NULL: not known, or the topic budget is spent */
    struct view client_id;
    uint32_t payload_len; /* PUBLISH */
    uint32_t filters;     /* SUBSCRIBE, UNSUBSCRIBE */
};

/* ---- what a packet row gets ------------------------------------------------------------------------------------- */

struct track_note {
    uint64_t session;         /* number of the session, 0: none known */
    uint64_t exchange;        /* number of the exchange, 0: none */
    uint64_t first_frame;     /* frame of the first packet of the exchange */
    uint64_t answers_frame;   /* frame of the packet that this one answers, 0: none */
    int64_t latency_ns;       /* since the first packet of the exchange; -1: no exchange or this is the first */
    int64_t step_ns;          /* since the packet that this one answers; -1: answers none */
    int64_t forward_ns;       /* PUBLISH of the server: since the client's PUBLISH that it forwards; -1: not known */
    uint64_t published_frame; /* frame of that one, 0: not known */
    uint8_t kind;             /* enum track_kind */
    uint8_t outcome;          /* enum track_outcome after this packet */
    uint8_t step;             /* place of this packet in its exchange: 1, 2, 3, 4; 0: no exchange */
    uint8_t starter;          /* enum mqtt_side */
    uint8_t owed_by;          /* enum mqtt_side who has to send the next packet of the exchange */
    uint8_t owed_type;        /* enum mqtt_type of it */
    uint16_t resent;          /* packets of the exchange that were sent again so far */
    uint16_t flags;           /* enum track_flag bits */
    uint16_t inflight;        /* QoS 1/2 exchanges that the starter of this one has open after this packet */
    uint16_t window;          /* Receive Maximum that bounds them; 0: none known (or 3.1.1) */
    struct view client_id;    /* of the session; ptr NULL until known */
    struct view topic;        /* of the exchange, so that PUBACK and its like can show it; ptr NULL: not known */
    struct view
        alias_topic; /* a PUBLISH with Topic Alias and empty topic: what it stands for; ptr NULL: none or unknown */
};

/* ---- findings and events ---------------------------------------------------------------------------------------- */

enum track_diagnosis {
    TRACK_DIAG_NONE,
#define DIAG(sym, name, severity, meaning) TRACK_DIAG_##sym,
#include "decoder/track/diagnoses.def"
    TRACK_DIAG_COUNT
};

struct track_diag_info {
    const char *name, *meaning;
    uint8_t severity; /* enum mqtt_severity */
};

const struct track_diag_info *track_diag_info(unsigned diagnosis); /* never NULL */

enum { TRACK_EVIDENCE = 4, TRACK_SENTENCE = 224 };

/* What no single packet carries: a rule of conduct broken by silence or by a closing, or a named diagnosis. */
struct track_finding {
    uint64_t number;                /* from 1 */
    uint64_t session, exchange;     /* 0: none */
    uint64_t frame[TRACK_EVIDENCE]; /* evidence in order of time, 0: none */
    int64_t time_ns;                /* when it was certain */
    uint32_t stream;
    uint16_t rule;      /* enum mqtt_rule, or MQTT_RULE_NONE */
    uint16_t diagnosis; /* enum track_diagnosis, or TRACK_DIAG_NONE */
    uint8_t severity;   /* enum mqtt_severity */
    uint8_t side;       /* enum mqtt_side: who is at fault, or whom it concerns */
    uint8_t version;
    const char *name;              /* of the diagnosis, else the id of the rule; static */
    char sentence[TRACK_SENTENCE]; /* plain text, no octets of the wire in it */
    struct view client_id, topic;  /* octets of the wire: escape before showing */
};

enum track_session_change {
    TRACK_SESSION_STARTED,    /* CONNACK accepted, no earlier state */
    TRACK_SESSION_RESUMED,    /* CONNACK accepted with Session Present 1 */
    TRACK_SESSION_RESTARTED,  /* CONNACK accepted, earlier state dropped (clean start, or the server had none) */
    TRACK_SESSION_TAKEN_OVER, /* another connection has it now */
    TRACK_SESSION_DETACHED,   /* the connection ended, the state lives on */
    TRACK_SESSION_ENDED,      /* the connection ended and the state with it, or it expired */
    TRACK_SESSION_REFUSED,    /* CONNACK refused */
    TRACK_SESSION_SUBSCRIBED,
    TRACK_SESSION_UNSUBSCRIBED,
    TRACK_SESSION_WILL_ARMED,
    TRACK_SESSION_WILL_DROPPED, /* orderly DISCONNECT, or resumed within the Will Delay */
    TRACK_SESSION_WILL_DUE,     /* the server has to publish it */
    TRACK_SESSION_WILL_SENT,    /* a PUBLISH with its topic and payload was seen after that */
    TRACK_SESSION_EVICTED,
    TRACK_SESSION_CHANGES
};

struct track_session_event {
    enum track_session_change change;
    uint64_t session;
    uint64_t frame; /* 0: none (time, end of capture) */
    int64_t time_ns;
    uint32_t stream;
    uint8_t version;
    struct view client_id;
};

struct track_events { /* any may be NULL */
    void (*finding)(void *ctx, const struct track_finding *f);
    void (*exchange)(void *ctx, const struct track_exchange *x); /* finished */
    void (*session)(void *ctx, const struct track_session_event *e);
    void *ctx;
};

/* ---- set up ----------------------------------------------------------------------------------------------------- */

/* Octets of one at most, with all it may come to have and its places in tables; texts come on top. */
enum track_cost {
    TRACK_COST_CONNECTION = 488,
    TRACK_COST_SESSION = 672,
    TRACK_COST_EXCHANGE = 224,
    TRACK_COST_TOPIC = 16,
    TRACK_COST_SUBSCRIPTION = 156
};

struct track_config {
    uint32_t max_connections, max_sessions, max_exchanges;
    uint32_t max_topics; /* topics of exchanges and Topic Aliases kept as text */
    uint32_t max_subscriptions;
    uint32_t max_text; /* octets of client identifiers, topics and filters together, and of tables of Topic Aliases */
    int64_t answer_ns; /* an answer that takes longer is a finding (the standards give no deadline); CONNECT: 4 times */
    int64_t close_ns;  /* a close that is due and takes longer is a finding */
    int64_t reach_ns;  /* after this much silence CONNACK has surely reached the client */
    int64_t keep_alive_slack_ns; /* beyond 1.5 times Keep Alive; at least half of that time is allowed in any case */
    bool judge;                  /* false: follow only, no rules and no findings */
    bool terse;                  /* findings are handed out without a sentence */
    bool brief;                  /* nobody asks for more of an exchange than number, starter and steps */
};

void track_defaults(struct track_config *c);
struct track *track_new(const struct track_config *c, struct track_memory m,
                        struct track_events e); /* NULL: no memory */
void track_free(struct track *t);               /* NULL is fine; no events */

/* ---- feeding ---------------------------------------------------------------------------------------------------- */

typedef uint64_t track_conn; /* 0: none. Stays valid after close or eviction: calls with it then do nothing */

struct track_opening {
    struct row_endpoint side[2]; /* of direction 0 (its sender) and 1 */
    uint32_t stream;             /* tcp.stream */
    uint8_t client_dir;          /* who sent the SYN: 0, 1; 2 not known. CONNECT overrules it */
    bool from_syn;               /* the first octet of both directions is in the capture */
    int64_t time_ns;
    uint64_t frame;
};

track_conn track_open(struct track *t, const struct track_opening *o);

/* A packet of this connection comes soon; nothing but time is gained. Steps 0 to 3 some time apart: each needs
 * what the one before asked for. */
enum { TRACK_PREFETCH_STEPS = 4 };
void track_prefetch(const struct track *t, track_conn c, unsigned step);

struct track_input {
    const struct mqtt_packet *packet;
    uint8_t dir;            /* 0, 1: direction of the stream */
    uint8_t sender;         /* enum mqtt_side, as mqtt_conn_sender() says */
    uint8_t version;        /* enum mqtt_version */
    uint8_t version_source; /* enum mqtt_version_source */
    bool roles_sure;        /* struct mqtt_conn */
    uint64_t frame, frame_first;
    int64_t time_ns, time_first_ns; /* of the last and of the first octet */
    uint64_t end;   /* octets of this direction up to and with this packet, counted from its SYN or from the first that
                     * was captured; 0: not known */
    uint64_t acked; /* octets of the other direction that the sender's TCP had acknowledged in the segment with the
                     * packet's first octet, counted as `end` is; 0: not known. Proves that CONNACK had arrived */
};

/* One packet. *v holds the packet's own verdicts; those of conduct are added. *note is filled whole; its views live
 * until the next call of any track_ function. */
void track_packet(struct track *t, track_conn c, const struct track_input *in, struct mqtt_verdicts *v,
                  struct track_note *note);

/* Octets of direction dir have arrived at the other side and were not captured so far: until a packet of it comes
 * nothing is claimed that rests on not having seen one. */
void track_unseen(struct track *t, track_conn c, unsigned dir);

/* A packet of direction dir has been coming for a while and is not complete: until it is, its sender is neither silent
 * nor late with what may come behind it. */
void track_under_way(struct track *t, track_conn c, unsigned dir);

/* Octets of direction dir that were never captured, or skipped because framing was lost. */
void track_gap(struct track *t, track_conn c, unsigned dir, uint64_t octets, int64_t time_ns, uint64_t frame);

/* Octets of the stream came once more in a later segment and are not the same; the first ones count. */
struct track_difference {
    unsigned dir;
    uint64_t at, octets;         /* place in the stream of the first one that differs; octets compared from there on */
    int64_t time_ns;             /* of the later segment */
    uint64_t first_frame, frame; /* of the first one, 0: not known; of the later one */
};
void track_differ(struct track *t, track_conn c, const struct track_difference *d);

enum track_close_how {
    TRACK_CLOSE_FIN,
    TRACK_CLOSE_RST,
    TRACK_CLOSE_END /* of the capture */,
    TRACK_CLOSE_EVICTED /* by the caller */
};
/* The first FIN or RST (the other side may still send: packets after it are taken), or the end. dir: who closed, 2:
 * nobody. */
void track_close(struct track *t, track_conn c, enum track_close_how how, unsigned dir, int64_t time_ns,
                 uint64_t frame);
/* No more packets of this connection will come. Implied by END and EVICTED. */
void track_forget(struct track *t, track_conn c);

enum track_websocket_fault {
    TRACK_WS_NOT_OFFERED /* the client offers no sub-protocol mqtt */,
    TRACK_WS_NOT_SELECTED /* the server
did not choose it although offered */
    ,
    TRACK_WS_TEXT /* a data frame that is not binary */
};
void track_websocket(struct track *t, track_conn c, enum track_websocket_fault fault, unsigned dir, int64_t time_ns,
                     uint64_t frame);

/* Time passes: deadlines up to time_ns fire. The calls above do this by themselves. */
void track_advance(struct track *t, int64_t time_ns);
/* The end of the capture: closes every connection (TRACK_CLOSE_END) and hands out every open exchange. */
void track_finish(struct track *t, int64_t time_ns);

/* ---- looking ---------------------------------------------------------------------------------------------------- */

enum track_link {
    TRACK_LINK_NONE,
    TRACK_LINK_CONNECTING,
    TRACK_LINK_AUTH,
    TRACK_LINK_UP,
    TRACK_LINK_CLOSING,
    TRACK_LINK_CLOSED,
    TRACK_LINK_MIDSTREAM,
    TRACK_LINKS
};
enum track_will { TRACK_WILL_NONE, TRACK_WILL_ARMED, TRACK_WILL_DROPPED, TRACK_WILL_DUE, TRACK_WILL_SENT, TRACK_WILLS };

/* A session: what a client identifier has at one broker, over all its connections, or one connection whose client is
 * unknown. */
struct track_session {
    uint64_t number;
    struct view client_id; /* ptr NULL: not known */
    bool assigned;         /* the server chose the client identifier */
    bool whole;            /* followed from its beginning without a hole */
    bool clean, present;   /* of the latest CONNECT and CONNACK */
    bool connected;
    uint8_t version;
    uint8_t link;        /* enum track_link of the latest connection */
    uint8_t will;        /* enum track_will */
    uint8_t return_code; /* of the latest CONNACK */
    uint32_t stream;     /* latest connection */
    struct row_endpoint client, broker;
    uint32_t connections, resumed, restarted, taken_over, refused, abnormal_ends;
    uint32_t expiry_s;     /* Session Expiry Interval in force; UINT32_MAX: never */
    uint32_t keep_alive_s; /* in force; 0: off */
    bool keep_alive_by_server;
    int64_t first_ns, last_ns; /* first and latest packet */
    int64_t connected_ns;      /* CONNACK of the latest connection; INT64_MIN: none */
    int64_t silence_ns;        /* longest silence of the client while connected */
    int64_t last_sent_ns[2];   /* latest packet of [0] client, [1] server; INT64_MIN: none */
    /* [0] sent by the client, [1] by the server */
    uint64_t packets[2], octets[2], published[2][3], published_octets[2];
    uint32_t inflight[2];     /* QoS 1/2 exchanges begun by that side and open */
    uint32_t inflight_max[2]; /* most at once */
    uint32_t window[2];       /* Receive Maximum that bounds them; 0: not known */
    uint32_t alias_max[2];    /* Topic Alias Maximum that bounds the aliases of that side */
    uint32_t packet_max[2];   /* Maximum Packet Size that bounds that side; 0: none */
    uint32_t subscriptions;
    uint32_t open; /* exchanges of all kinds */
    uint32_t finished[TRACK_OUTCOMES];
    uint32_t violations[4];     /* verdicts and findings, by enum mqtt_severity */
    uint8_t owed_by, owed_type; /* of the exchange that has waited longest */
    int64_t owed_since_ns;      /* INT64_MIN: none */
};

struct track_subscription {
    struct view filter;
    uint8_t options;     /* as requested */
    uint8_t granted;     /* code of SUBACK; 0xff: not answered yet */
    uint32_t identifier; /* Subscription Identifier, 0: none */
    uint64_t frame;      /* of the SUBSCRIBE */
    uint64_t matched;    /* PUBLISH packets to the client that it matches */
};

/* Live walks: *pos starts at 0; false at the end. Sessions come oldest first, exchanges in no certain order. */
bool track_session_next(const struct track *t, uint32_t *pos, struct track_session *out);
bool track_session_find(const struct track *t, uint64_t number, struct track_session *out);
bool track_exchange_next(const struct track *t, uint32_t *pos, struct track_exchange *out); /* open ones */
bool track_exchange_of(const struct track *t, uint64_t session, uint32_t *pos,
                       struct track_exchange *out); /* open, of a session */
bool track_subscription_next(const struct track *t, uint64_t session, uint32_t *pos, struct track_subscription *out);
/* The client identifier of the session a connection belongs to, ptr NULL: not known. */
struct view track_client_of(const struct track *t, track_conn c);
/* The number of that session, 0: none. */
uint64_t track_session_of(const struct track *t, track_conn c);

struct track_counts {
    uint64_t exchanges[TRACK_KINDS][TRACK_OUTCOMES];             /* [kind][TRACK_OPEN] counts the open ones of now */
    uint64_t findings[4];                                        /* by enum mqtt_severity */
    uint64_t verdicts[4];                                        /* added to packets by the tracker, by severity */
    uint64_t packets, late;                                      /* late: with an earlier time stamp than one before */
    uint32_t connections, sessions, open, topics, subscriptions; /* held now */
    uint64_t evicted_connections, evicted_sessions, evicted_exchanges, topics_lost, subscriptions_lost;
    uint64_t memory;  /* octets taken from the allocator now */
    uint64_t refused; /* times that it had none: what it was for is not known */
};
void track_count(const struct track *t, struct track_counts *out);

const char *track_kind_name(unsigned kind); /* "qos1", "subscribe"...; "" for NONE */
const char *track_outcome_name(
    unsigned outcome);                          /* "open", "complete", "refused", "abandoned", "replaced", "unknown" */
const char *track_link_name(unsigned link);     /* "connecting", "up"...; "" for NONE */
const char *track_will_name(unsigned will);     /* "armed"...; "" for NONE */
const char *track_change_name(unsigned change); /* "started", "resumed"... */
