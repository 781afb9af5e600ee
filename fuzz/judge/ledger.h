/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/judge/ledger.h -- who promised what in a run: connections, sessions, subscriptions, publications, deliveries,
 * each with its place in the log. Kept by ledger.c while the judge walks through the log, weighed by guarantee.c.
 *
 * A place is the index of an entry of the log: a lower one was before a higher one, as the clients saw it. What a
 * client received was sent by the broker before; what it sent, the broker got after. LEDGER_NEVER: did not happen. */
#pragma once
#include "decoder/mqtt/packet.h"
#include "fuzz/peer/runner.h"

enum { LEDGER_PARTIES = 64, LEDGER_SUBS = 128, LEDGER_PUBS = 256, LEDGER_DELIVERIES = 512, LEDGER_TEXT = 1 << 19 };
#define LEDGER_NEVER UINT32_MAX

/* What a client did that a reason code can speak of (reasons.def). */
enum ledger_did {
    DID_METHOD = 1,
    DID_MEET = 2,
    DID_EXCEED = 4,
    DID_ALIAS = 8,
    DID_LARGE = 16,
    DID_FORMAT = 32,
    DID_RETAIN = 64,
    DID_QOS = 128,
    DID_SHARE = 256,
    DID_IDENTIFY = 512,
    DID_WILDCARD = 1024,
    DID_FAR = 2048 /* names or properties beyond what many a broker takes */
};

struct ledger_will {
    struct view topic;
    uint64_t payload; /* hash */
    uint32_t delay_s;
    bool there, retain;
    uint8_t qos;
};

/* One connection, as soon as it said CONNECT. A session is the chain of connections with one client identifier. */
struct ledger_party {
    uint8_t client; /* of the plan, and which of its connections this is */
    uint16_t number;
    uint8_t version;
    bool there, clean, accepted, present, faulty, taken; /* faulty: broke a rule, or spoke unclearly */
    bool ours;                                           /* its client identifier belongs to this run alone */
    bool closed_here, reset_here, closed_there, left,
        left_strange; /* left: said DISCONNECT; strange: not 0x00, or a new expiry */
    uint8_t told;     /* reason of the broker's DISCONNECT, or of a CONNACK that refuses; 0: none */
    uint32_t told_at;
    uint16_t did;                                 /* bits of enum ledger_did */
    bool known_level;                             /* CONNECT names a version by its own name and number */
    bool stray_release;                           /* sent PUBREL where no PUBREC asked for it, or twice */
    bool plain_id;                                /* 1 to 23 letters and digits: every server takes it */
    uint32_t promises;                            /* PUBLISH packets above QoS 0 that it sent */
    uint32_t largest;                             /* packet that it sent, octets */
    uint32_t their_max_packet, their_receive_max; /* as CONNACK says */
    uint32_t asked_expiry_s;                      /* of CONNECT; expiry_s is what CONNACK made of it */
    uint32_t server_keep_alive_s;                 /* 0: none told */
    struct view user;                             /* as CONNECT says; ptr NULL: nobody */
    int16_t session, previous;                    /* of the same session; -1: none */
    bool answers;                                 /* said PUBACK, PUBREC, PUBREL, PUBCOMP or AUTH */
    uint32_t connect_at, accepted_at, end_at, left_at;
    uint32_t ping_at, pings, pongs, pong_for; /* pong_for: the latest PINGREQ that surely was answered */
    int64_t connect_ns, end_ns, pong_ns;
    uint32_t expiry_s, max_packet;
    uint16_t keep_alive_s, receive_max;
    struct ledger_will will;
    uint16_t bad_rule; /* the first rule of form that its client broke; what the broker made of it: */
    uint8_t bad_type;
    uint16_t bad_id;
    uint32_t bad_at, pings_before, served_at; /* served: an answer proves that it was taken as if it were right */
    bool bad_refused, bad_connect;            /* connect: in its first CONNECT */
};

struct ledger_session {
    struct view id;
    int16_t first, last; /* parties */
};

struct ledger_sub {
    int16_t session, party;
    struct view filter; /* whole */
    uint8_t options, code;
    bool dropped; /* with its session */
    bool identified, served;
    uint16_t id, place;
    uint32_t sent_at, granted_at, remove_at, removed_at;
    uint16_t remove_id;
};

struct ledger_pub {
    int16_t party;
    struct view topic;
    uint64_t payload;
    uint32_t payload_len;
    uint8_t qos;
    bool retain, will, again, refused, expires; /* again: sent more than once */
    bool formatted;                             /* names its payload format */
    bool served, comp_served;    /* a PINGREQ sent after it, or after PUBREL, was answered well before it was itself */
    uint8_t reason, comp_reason; /* of PUBACK or PUBREC, of PUBCOMP */
    int16_t released_by;         /* party; -1: none */
    uint16_t id;
    uint32_t expiry_s;
    uint32_t sent_at, received_at, released_at, acked_at; /* received: PUBREC; acked: PUBACK, PUBCOMP */
    int64_t sent_ns, acked_ns;
};

struct ledger_delivery {
    int16_t party, session;
    struct view topic;
    uint64_t payload;
    uint8_t qos;
    bool dup, retain, again; /* again: the same packet as one before, sent again */
    bool expires;
    uint32_t expiry_s;
    uint16_t id;
    uint32_t at, answered_at; /* PUBACK, PUBREC of ours */
    bool received, released;  /* PUBREC took it on this connection; PUBREL came */
    int64_t ns;
};

struct ledger_request { /* one filter of an UNSUBSCRIBE; SUBSCRIBE is in its subs */
    int16_t party;
    uint16_t id, place;
    struct view filter;
    uint8_t code;
    bool served;
    uint32_t sent_at, answered_at;
};

struct ledger {
    const struct run *run;
    struct ledger_party party[LEDGER_PARTIES];
    struct ledger_session session[2 * LEDGER_PARTIES]; /* one that the broker gives a name has had another before */
    struct ledger_sub sub[LEDGER_SUBS];
    struct ledger_pub pub[LEDGER_PUBS];
    struct ledger_delivery delivery[LEDGER_DELIVERIES];
    struct ledger_request unsub[LEDGER_SUBS];
    uint32_t n_parties, n_sessions, n_subs, n_pubs, n_deliveries, n_unsubs;
    size_t used;
    bool full; /* something did not fit: nothing can be proved */
    int64_t end_ns;
    char text[LEDGER_TEXT];
};

bool ledger_wild(struct view filter);             /* it has a wildcard */
struct ledger *ledger_new(const struct run *run); /* NULL: no memory */
void ledger_free(struct ledger *l);
/* Connection `conn` (0, 1, ... as they were opened) says or hears this packet. topic: of a PUBLISH, its alias put in.
 */
void ledger_packet(struct ledger *l, unsigned conn, bool by_broker, const struct mqtt_packet *p, struct view topic,
                   uint32_t at);
/* rule: the broken one of class PACKET, or MQTT_RULE_NONE; p: the packet that broke it, or NULL. */
void ledger_fault(struct ledger *l, unsigned conn, uint16_t rule, const struct mqtt_packet *p, uint32_t at);
/* Was another connection of the same client identifier opened before it was known what became of this one? */
bool ledger_raced(const struct ledger *l, unsigned conn);
void ledger_cut(struct ledger *l, unsigned conn); /* its client's octets end in the middle of a packet */
void ledger_close(struct ledger *l, unsigned conn, enum log_what what, uint32_t at);

enum guarantee {
#define GUARANTEE(sym, oracle, in31, id311, id5, slow, title) GUARANTEE_##sym,
#include "fuzz/judge/guarantees.def"
    GUARANTEE_COUNT
};

struct guarantee_info {
    const char *oracle, *id311, *id5, *title;
    bool slow; /* something stayed away: time must have been given */
    bool in31; /* also promised by 3.1 */
};
const struct guarantee_info *guarantee_info(enum guarantee g);

enum { ACCUSATION_WHY = 200 };
struct accusation {
    enum guarantee what;
    const char *rule; /* static */
    uint8_t version;
    bool hasty; /* it may only be late: the run was too short to tell */
    char why[ACCUSATION_WHY];
};

/* Everything that the run proves against the broker. */
void ledger_judge(const struct ledger *l, void (*accuse)(void *ctx, const struct accusation *a), void *ctx);
/* The reference broker gets the octets of the run, too: had it this connection still when the broker closed it? */
bool model_goes_on(const struct run *run, unsigned client, unsigned number);
bool rule_forces_refusal(const struct mqtt_rule_info *info); /* a server that sees it broken has no choice */
