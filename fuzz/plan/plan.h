/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/plan/plan.h -- a plan: what several clients do to a broker and what must come back, as short readable text.
 *
 * One statement a line (or between semicolons), # starts a comment:
 *     version 5                          3.1, 3.1.1 or 5; for the packets that follow
 *     need shared                        retain, wildcard, shared, identifier, qos1, qos2, alias, aliases, sessions,
 *                                        window: else not applicable
 *     need no shared                     applicable only to a broker that says it lacks it
 *     a > connect clean=1 session_expiry_interval=60
 *     a > publish topic=~/t qos=1 id=7 payload="hi" user_property=k:v
 *     a >> publish topic=t               the same, octet by octet
 *     a >? publish topic=t               the same, but the plan goes on when the broker does not take it
 *     a > publish topic=t cut=1,5        the same in parts, 20 ms between: the first octet, the next four, the rest
 *     a >& publish topic=t               held back: it goes out in one piece with the next packet of its client
 *     a > subscribe id=1 sub*100=0:~/\i  a word that stands for many (10000 at most); \i: the number of each
 *     a raw 30 05 00 01 74 68 69         octets as they are
 *     a < puback id=7 reason=0           wait for this packet; others are passed over
 *     a <! publish topic=~/t payload=hi  the same, and the plan is judged by it
 *     a <! closed                        the broker closes (5.0: DISCONNECT or a refusing CONNACK may come first)
 *     a <! refused                       closed, or an acknowledgement that says failure
 *     a < alive                          a PINGREQ is answered
 *     a <! no publish topic=~/t 200ms    nothing like it within that time
 *     a <! next publish payload=1        the first of its kind that nobody waited for yet has to be this one
 *     a <? suback                        the same as <, but the plan goes on without it
 *     a open | a close | a reset         TCP; "a > connect" opens by itself when needed
 *     a manual | a auto                  auto: acknowledgements are sent by themselves (the default)
 *     a deaf | a hear                    deaf: what the broker sends is not read, and soon it can send no more
 *     wait 100ms
 * Clients are single letters. ~ in a value stands for a prefix of this run, so that runs do not meet; "\~" is a tilde,
 * \xNN an octet; between the octets of raw, ~ stands for the prefix, too. \{65535:ab} is "ab" again and again, cut
 * where there are 65535 octets from the = or : in front of it on, the prefix among them: topic=~/\{65535:t} has the
 * longest name there is. id=$1 in an expectation takes the Packet Identifier of the broker, in a packet to send it puts
 * it in. codes=0,!,* are those of SUBACK and UNSUBACK: ! is any failure, * any code.
 */
#pragma once
#include "decoder/mqtt/packet.h"

enum { PLAN_CLIENTS = 26, PLAN_VARS = 8, PLAN_MATCHES = 12, PLAN_ERROR = 160, PLAN_PREFIX = 24, PLAN_WINDOW_SIZE = 60 };

enum plan_op {
    PLAN_OPEN,
    PLAN_SEND,
    PLAN_EXPECT,
    PLAN_WAIT,
    PLAN_CLOSE,
    PLAN_RESET,
    PLAN_MANUAL,
    PLAN_AUTO,
    PLAN_DEAF,
    PLAN_HEAR,
    PLAN_NEED
};
enum plan_want { PLAN_PACKET, PLAN_NO_PACKET, PLAN_CLOSED, PLAN_REFUSED, PLAN_ALIVE };
enum plan_need {
    PLAN_RETAIN,
    PLAN_WILDCARD,
    PLAN_SHARED,
    PLAN_IDENTIFIER,
    PLAN_QOS1,
    PLAN_QOS2,
    PLAN_ALIAS,
    PLAN_SESSIONS, /* that are kept for more than ten seconds */
    PLAN_ALIASES,  /* all that there can be */
    PLAN_WINDOW,   /* a Receive Maximum of PLAN_WINDOW_SIZE */
    PLAN_NEEDS
};

enum plan_field {
    PLAN_F_REASON,
    PLAN_F_ID,
    PLAN_F_QOS,
    PLAN_F_DUP,
    PLAN_F_RETAIN,
    PLAN_F_TOPIC,
    PLAN_F_PAYLOAD,
    PLAN_F_SP,
    PLAN_F_CODES,
    PLAN_F_PROP
};

struct plan_match {
    uint8_t field; /* enum plan_field */
    uint8_t prop;  /* of PLAN_F_PROP */
    bool absent;   /* the property must not be there (value "none"); with `present`, any value will do */
    bool present;  /* value "*" */
    bool most;     /* \"NAME<=N\": at most */
    bool least;    /* "NAME>=N": at least; reason>=0x80 */
    uint32_t number;
    struct view text, value;
};

struct plan_step {
    uint8_t op;      /* enum plan_op */
    uint8_t client;  /* 0: a */
    uint8_t version; /* of the packets of this step */
    uint8_t want;    /* EXPECT: enum plan_want; NEED: enum plan_need */
    uint8_t type;    /* EXPECT: enum mqtt_type */
    bool judged;
    bool soft;    /* EXPECT: goes on without; SEND: goes on when it is not taken */
    bool next;    /* EXPECT: the first of its kind */
    bool lacking; /* NEED: it must not be there */
    bool octetwise;
    bool part;          /* SEND: not the first part of its packet */
    uint8_t var;        /* 1..7: Packet Identifier variable, 0: none */
    uint16_t id_at;     /* SEND with a variable: where in the octets it goes */
    uint32_t ms;        /* WAIT; the time of NO_PACKET; the deadline of others, 0: the default */
    struct view octets; /* SEND */
    struct plan_match match[PLAN_MATCHES];
    uint8_t n_match;
    uint32_t line;
};

struct plan {
    struct plan_step *step;
    uint32_t n, cap;
    struct plan_block *memory; /* behind the views */
    size_t memory_left;        /* it may still ask for so much */
    char error[PLAN_ERROR];
    char prefix[PLAN_PREFIX]; /* what ~ stood for: names that hold it belong to this run alone; "": none do */
};

/* Parses text. prefix replaces ~ in values; version is that of the packets until a "version" says otherwise. False:
 * plan->error says line and reason. Free it in either case. */
bool plan_parse(struct plan *plan, struct view text, const char *prefix, unsigned version);
void plan_free(struct plan *plan);
/* What a CONNACK of 5.0 says that the broker lacks, by enum plan_need. */
void plan_learn(bool lacks[PLAN_NEEDS], const struct mqtt_packet *connack);
uint8_t *plan_take(struct plan *plan, size_t n); /* octets that live as long as the plan, out of memory_left; or NULL */

/* One packet as a statement without client ("publish topic=a qos=1 ..."), or "raw 30 .." when fields cannot say it all.
 * prefix: printed as ~ where it occurs; NULL: none. Returns the length, cut at cap. */
size_t plan_print_packet(struct view octets, unsigned version, const char *prefix, char *out, size_t cap);
/* All of it, with ~ for its prefix; free() it. NULL: no memory. */
char *plan_print(const struct plan *plan);

/* Does this packet answer the expectation? candidate: it is of the kind waited for (type, and topic or identifier), so
 * that a mismatch in the rest is a wrong answer and no other packet. *why names the first field that differs. */
bool plan_matches(const struct plan_step *step, const struct mqtt_packet *p, const uint16_t *vars, bool *candidate,
                  const char **why);
/* What this packet has in the field that differs (*why), as text: "0x05", "1", "41", "not there". */
void plan_tell(const struct plan_step *step, const struct mqtt_packet *p, const char *why, char *out, size_t cap);
