/* SPDX-License-Identifier: Apache-2.0
 *
 * What a whole conversation proves: logs written by hand, each with a neighbour that proves nothing.
 *
 * A log is lines of "TIME CLIENT WHAT": > and a packet of the client, < and one of the broker, open, close, reset, gone
 * (the broker closes). ~ belongs to this run alone. */
#include "fuzz/judge/judge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { LINES = 64, OCTETS = 8192 };

struct made {
    struct plan plan; /* for its prefix only */
    struct run run;
    struct log_entry log[LINES * 2];
    uint8_t octets[OCTETS];
    uint16_t connections[26];
};

static void add(struct made *m, enum log_what what, unsigned client, int64_t ms, struct view octets)
{
    struct log_entry *e = &m->log[m->run.n_log++];
    *e = (struct log_entry){ .what = (uint8_t)what,
                             .client = (uint8_t)client,
                             .connection = (uint16_t)(m->connections[client] - 1),
                             .port = (uint16_t)(5000 + client),
                             .time_ns = 1700000000000000000 + ms * 1000000,
                             .at = m->run.n_octets,
                             .len = (uint32_t)octets.len };
    assert_true(m->run.n_log < LINES * 2 && m->run.n_octets + octets.len <= OCTETS);
    if (octets.len > 0)
        memcpy(m->octets + m->run.n_octets, octets.ptr, octets.len);
    m->run.n_octets += (uint32_t)octets.len;
}

static void add_line(struct made *m, const char *line, unsigned version)
{
    long ms;
    char client, word[16], text[400];
    int at = 0;
    struct plan packet;
    if (sscanf(line, "%ld %c %15s %n", &ms, &client, word, &at) < 3)
        fail_msg("'%s' is no line of a log", line);
    unsigned c = (unsigned)(client - 'a');
    if (strcmp(word, "open") == 0) {
        m->connections[c]++;
        add(m, LOG_OPENED, c, ms, view_of(NULL, 0));
    } else if (strcmp(word, ">") == 0 || strcmp(word, "<") == 0) {
        bool raw = strncmp(line + at, "raw", 3) == 0;
        snprintf(text, sizeof text, "%c %s%s", client, raw ? "" : "> ", line + at);
        if (!plan_parse(&packet, view_of(text, strlen(text)), m->plan.prefix, version))
            fail_msg("%s: %s", line, packet.error);
        add(m, word[0] == '>' ? LOG_SENT : LOG_RECEIVED, c, ms, packet.step[0].octets);
        plan_free(&packet);
    } else {
        add(m,
            word[0] == 'c'   ? LOG_CLOSED_BY_US
            : word[0] == 'r' ? LOG_RESET_BY_US
                             : LOG_CLOSED_BY_BROKER,
            c, ms, view_of(NULL, 0));
    }
}

/* Judges a log; in the end the runner closes a, b and c. expected: "" nothing, "RULE", or "RULE?" when it is hasty. */
static void judged(const char *log, unsigned version, const char *expected)
{
    struct made *m = calloc(1, sizeof *m);
    struct judge_result result;
    char line[400], told[400] = "";
    assert_non_null(m);
    snprintf(m->plan.prefix, sizeof m->plan.prefix, "mzzzz1");
    m->run = (struct run){ .plan = &m->plan, .log = m->log, .octets = m->octets };
    int64_t end = 0;
    for (const char *at = log; *at != '\0';) {
        size_t n = strcspn(at, "\n");
        snprintf(line, sizeof line, "%.*s", (int)n, at);
        add_line(m, line, version);
        end = strtol(line, NULL, 10);
        at += n + (at[n] == '\n');
    }
    for (unsigned c = 0; c < 3; c++)
        if (m->connections[c] > 0)
            add(m, LOG_CLOSED_BY_US, c, end, view_of(NULL, 0));
    judge_run(&m->run, MQTT_SEVERITY_ERROR, &result);
    for (uint32_t i = 0; i < result.n; i++)
        snprintf(told + strlen(told), sizeof told - strlen(told), "%s%s%s", i > 0 ? " " : "", result.fault[i].name,
                 result.fault[i].hasty ? "?" : "");
    if (strcmp(told, expected) != 0)
        fail_msg("told '%s' instead of '%s' (%s) of\n%s", told, expected, result.n > 0 ? result.fault[0].sentence : "",
                 log);
    free(m);
}

#define UP(c) "0 " c " open\n0 " c " > connect\n1 " c " < connack reason=0\n"
#define SUB(c, qos) "2 " c " > subscribe id=1 sub=" qos ":~/t\n3 " c " < suback id=1 codes=" qos "\n"
#define PUB(c, t, id, payload)                                                                                         \
    t " " c " > publish qos=1 id=" id " topic=~/t payload=" payload "\n" t " " c " < puback id=" id "\n"
#define GOT(c, t, id, payload)                                                                                         \
    t " " c " < publish qos=1 id=" id " topic=~/t payload=" payload "\n" t " " c " > puback id=" id "\n"
#define PING(c, t) t " " c " > pingreq\n" t " " c " < pingresp\n"

static void lost(void **state)
{
    (void)state;
    for (unsigned v = MQTT_V311; v <= MQTT_V5; v++) {
        judged(UP("a") SUB("a", "1") UP("b") PUB("b", "60", "7", "x") PING("a", "1500"), v, "MQTT-4.5.0-1");
        judged(UP("a") SUB("a", "1") UP("b") PUB("b", "60", "7", "x") PING("a", "300"), v, "MQTT-4.5.0-1?");
        judged(UP("a") SUB("a", "1") UP("b") PUB("b", "60", "7", "x") GOT("a", "61", "1", "x") PING("a", "1500"), v,
               "");
        judged(UP("a") SUB("a", "0") UP("b") PUB("b", "60", "7", "x") PING("a", "1500"), v, "");
        judged(UP("a") UP("b") PUB("b", "60", "7", "x") SUB("a", "1") PING("a", "1500"), v, "");    /* too late */
        judged(UP("a") SUB("a", "1") UP("b") PUB("b", "60", "7", "x") "1500 a > pingreq\n", v, ""); /* not heard of */
        judged(UP("a") SUB("a", "1") UP("b") "60 b > publish qos=1 id=7 topic=~/t payload=x\n" PING("a", "1500"), v,
               "");
        judged(UP("a") SUB("a", "1") UP("b") PUB("b", "60", "7", "x") "70 a > pingreq header=3\n" PING("a", "1500"), v,
               v == MQTT_V5 ? "MQTT-2.1.3-1"
                            : "MQTT-2.2.2-1"); /* a client that breaks rules is no witness, but served */
    }
}

/* A broker that is not reached leaves an empty log. */
static void nothing_happened(void **state)
{
    (void)state;
    judged("", MQTT_V5, "");
}

/* Levels 0x83 and 0x84 are no version of the standard: to some brokers they are bridges, which do not hear themselves.
 */
static void bridge(void **state)
{
    (void)state;
#define UP_AS(level)                                                                                                   \
    "0 a open\n0 a > connect level=" level "\n1 a < connack reason=0\n" SUB("a", "1") PUB("a", "60", "7", "x")         \
        PING("a", "1500")
    judged(UP_AS("4"), MQTT_V311, "MQTT-4.5.0-1");
    judged(UP_AS("132"), MQTT_V311, "");
    judged(UP_AS("3 name=MQIsdp"), MQTT_V31, "MQTT-4.5.0-1");
    judged(UP_AS("131 name=MQIsdp"), MQTT_V31, "");
}

/* An acknowledgement of 0 is the broker's fault where nobody sent it one; else what it took is. */
static void identifier_0(void **state)
{
    (void)state;
    judged(UP("a") "2 a > raw 32 06 00 01 74 00 00 78\n2 a < raw 40 02 00 00\n" PING("a", "1500"), MQTT_V311,
           "MQTT-2.3.1-1");
    judged(UP("a") "2 a > raw 82 06 00 00 00 01 74 00\n2 a < raw 90 03 00 00 00\n" PING("a", "1500"), MQTT_V311,
           "MQTT-2.3.1-1");
    judged(UP("a") "2 a > raw 32 06 00 01 74 00 01 78\n2 a < raw 40 02 00 00\n" PING("a", "1500"), MQTT_V311,
           "S4-2.3.1-a MQTT-4.3.2-2");
}

/* One code for each Topic Filter, where there were none or half of one. */
static void no_filters(void **state)
{
    (void)state;
#define LISTED(request, answer) UP("a") "2 a > raw " request "\n2 a < raw " answer "\n" PING("a", "1500")
    judged(LISTED("82 02 00 05", "90 03 00 05 00"), MQTT_V311, "MQTT-3.8.3-3");
    judged(LISTED("82 09 00 05 00 01 74 00 00 05 75", "90 04 00 05 00 00"), MQTT_V311, "S4-1.5.3-b");
    judged(LISTED("a2 03 00 05 00", "b0 03 00 05 00"), MQTT_V5, "MQTT-3.10.3-2");
    judged(LISTED("82 03 00 05 00", "90 04 00 05 00 00"), MQTT_V5, "MQTT-3.8.3-2");
    judged(LISTED("82 02 00 05", "90 02 00 05"), MQTT_V31, "");
    judged(LISTED("82 06 00 05 00 01 74 00", "90 02 00 05"), MQTT_V31, "S3-2.1-d");
    judged(LISTED("82 06 00 05 00 01 74 00", "90 04 00 05 00 00"), MQTT_V311, "S4-3.9.3-a");
    judged(LISTED("82 0a 00 05 00 01 74 00 00 01 75 00", "90 03 00 05 00"), MQTT_V311, "MQTT-3.8.4-5");
}

/* A Response Topic goes on as it came, and nothing says what is to become of an empty one. */
static void empty_response_topic(void **state)
{
    (void)state;
    judged(UP("a") SUB("a", "0") UP("b") "60 b > publish topic=~/t payload=x response_topic=\"\"\n"
                                         "61 a < publish topic=~/t payload=x response_topic=\"\"\n" PING("b", "1500"),
           MQTT_V5, "");
    judged(UP("b") "60 b > publish topic=\"\" payload=x\n" PING("b", "1500"), MQTT_V311, "MQTT-4.7.3-1");
    judged(UP("b") "60 b > subscribe id=1 sub=0:\n61 b < suback id=1 codes=0\n" PING("b", "1500"), MQTT_V5,
           "MQTT-4.7.3-1");
}

static void away(void **state)
{
    (void)state;
#define KEPT                                                                                                           \
    "0 a open\n0 a > connect keep=60\n1 a < connack reason=0\n" SUB("a", "1") "4 a > disconnect\n4 a close\n" UP("b")  \
        PUB("b", "60", "7", "x")
#define BACK "100 a open\n100 a > connect keep=60\n"
    judged(KEPT BACK "101 a < raw 20 02 01 00\n" PING("a", "1500"), MQTT_V311, "MQTT-3.1.2-5");
    judged(KEPT BACK "101 a < raw 20 02 01 00\n" GOT("a", "102", "1", "x") PING("a", "1500"), MQTT_V311, "");
    judged(KEPT BACK "101 a < raw 20 02 00 00\n" PING("a", "1500"), MQTT_V311, "MQTT-3.2.2-2");
    /* some brokers keep sessions by user and client identifier */
#define TWICE(first, second)                                                                                           \
    "0 a open\n0 a > connect keep=60" first                                                                            \
    "\n1 a < connack reason=0\n" SUB("a", "1") "4 a > disconnect\n4 a close\n"                                         \
                                               "100 a open\n100 a > connect keep=60" second                            \
                                               "\n101 a < raw 20 02 00 00\n" PING("a", "1500")
    judged(TWICE(" user=joe", " user=joe"), MQTT_V311, "MQTT-3.2.2-2");
    judged(TWICE(" user=joe", " user=jim"), MQTT_V311, "");
    judged(TWICE(" user=joe", ""), MQTT_V311, "");
    judged(TWICE("", " user=joe"), MQTT_V311, "");
    judged(KEPT BACK "101 a < raw 20 03 01 00 00\n" PING("a", "1500"), MQTT_V5, "MQTT-3.1.2-23");
    judged(KEPT BACK "101 a < raw 20 03 01 00 00\n" PING("a", "400"), MQTT_V5, "MQTT-3.1.2-23?");
    judged("0 a open\n0 a > connect keep=60\n1 a < raw 20 02 01 00\n" PING("a", "1500"), MQTT_V311, "MQTT-3.2.2-3");
    /* two messages of one identifier, of which nobody knows which one the broker holds */
#define MUDDLED(id)                                                                                                    \
    UP("a")                                                                                                            \
    SUB("a", "1")                                                                                                      \
    "10 b open\n10 b > connect keep=60\n11 b < connack reason=0\n12 b > publish qos=2 id=" id " topic=~/t payload=p\n" \
    "12 b > publish qos=2 id=" id " topic=~/t payload=q\n13 b reset\n50 b open\n50 b > connect keep=60\n"              \
    "51 b < raw 20 03 01 00 00\n60 b > publish qos=2 dup=1 id=7 topic=~/t payload=x\n61 b < pubrec id=7\n"             \
    "62 b > pubrel id=7\n63 b < pubcomp id=7\n64 a < publish qos=1 id=1 topic=~/t payload=p\n64 a > puback "           \
    "id=1\n" PING("a", "1500")
    judged(MUDDLED("7"), MQTT_V5, "");
    /* too large for the connection in between: as if it had been delivered */
#define BETWEEN(limit)                                                                                                 \
    "70 a open\n70 a > connect keep=60" limit "\n71 a < raw 20 03 01 00 00\n80 a reset\n" BACK                         \
    "101 a < raw 20 03 01 00 00\n" PING("a", "1500")
    judged(KEPT BETWEEN(" maximum_packet_size=12"), MQTT_V5, "");
    judged(KEPT BETWEEN(""), MQTT_V5, "MQTT-3.1.2-23");
}

static void copies_order_and_qos(void **state)
{
    (void)state;
#define SENT2                                                                                                          \
    "60 b > publish qos=2 id=7 topic=~/t payload=x\n60 b < pubrec id=7\n61 b > pubrel id=7\n61 b < pubcomp id=7\n"
#define GOT2(t, id)                                                                                                    \
    t " a < publish qos=2 id=" id " topic=~/t payload=x\n" t " a > pubrec id=" id "\n" t " a < pubrel id=" id "\n" t   \
      " a > pubcomp id=" id "\n"
    judged(UP("a") SUB("a", "2") UP("b") SENT2 GOT2("62", "1") GOT2("63", "2"), MQTT_V311, "MQTT-4.3.3-2");
    judged(UP("a") SUB("a", "2") UP("b") SENT2 GOT2("62", "1"), MQTT_V311, "");
    judged(UP("a") SUB("a", "2") "4 a > subscribe id=2 sub=2:~/#\n5 a < suback id=2 codes=2\n" UP("b")
               SENT2 GOT2("62", "1") GOT2("63", "2"),
           MQTT_V311, "");
    judged(UP("a") SUB("a", "1") UP("b") PUB("b", "60", "7", "x") PUB("b", "61", "8", "y") GOT("a", "62", "1", "y")
               GOT("a", "63", "2", "x"),
           MQTT_V5, "MQTT-4.6.0-5");
    judged(UP("a") SUB("a", "1") UP("b") PUB("b", "60", "7", "x") PUB("b", "61", "8", "y") GOT("a", "62", "1", "x")
               GOT("a", "63", "2", "y"),
           MQTT_V5, "");
    judged(UP("a") SUB("a", "2") UP("b") PUB("b", "60", "7", "x") "62 a < publish topic=~/t payload=x\n", MQTT_V5,
           "MQTT-3.8.4-8");
    judged(UP("a") SUB("a", "0") UP("b") PUB("b", "60", "7", "x") "62 a < publish topic=~/t payload=x\n", MQTT_V5, "");
    judged(UP("a") SUB("a", "1") UP("b") PUB("b", "60", "7", "x") GOT("a", "62", "1", "z"), MQTT_V5, "MQTT-3.3.2-3");
}

static void unsubscribed(void **state)
{
    (void)state;
#define UNSUB(t) t " a > unsubscribe id=2 unsub=~/t\n" t " a < raw b0 02 00 02\n"
    judged(UP("a") SUB("a", "1") UNSUB("10") UP("b") PUB("b", "60", "7", "x") GOT("a", "62", "1", "x"), MQTT_V311,
           "MQTT-3.10.4-2");
    judged(UP("a") SUB("a", "1") UP("b") PUB("b", "60", "7", "x") UNSUB("61") GOT("a", "62", "1", "x"), MQTT_V311, "");
    judged(UP("a") SUB("a", "1") UP("b") PUB("b", "60", "7", "x") UNSUB("61") PING("a", "1500"), MQTT_V311, "");
    judged(UP("a") SUB("a", "1") UNSUB("59") UP("b") PUB("b", "60", "7", "x") GOT("a", "62", "1", "x"), MQTT_V311,
           "MQTT-3.10.4-2?");
}

static void retained(void **state)
{
    (void)state;
#define KEEP(t, id, payload)                                                                                           \
    t " b > publish qos=1 id=" id " retain=1 topic=~/t payload=" payload "\n" t " b < puback id=" id "\n"
#define LATE_SUB(c) "200 " c " > subscribe id=1 sub=1:~/t\n201 " c " < suback id=1 codes=1\n"
#define GOT_KEPT(t, payload, flag)                                                                                     \
    t " a < publish qos=1 retain=" flag " id=9 topic=~/t payload=" payload "\n" t " a > puback id=9\n"
    judged(UP("b") KEEP("60", "7", "x") UP("a") LATE_SUB("a") PING("a", "1500"), MQTT_V311, "MQTT-3.3.1-6");
    judged(UP("b") KEEP("60", "7", "x") UP("a") LATE_SUB("a") GOT_KEPT("202", "x", "1") PING("a", "1500"), MQTT_V311,
           "");
    judged(UP("b") KEEP("60", "7", "x") UP("a") LATE_SUB("a") GOT_KEPT("202", "x", "0") PING("a", "1500"), MQTT_V311,
           "MQTT-3.3.1-8");
    judged(UP("b") KEEP("60", "7", "x") KEEP("61", "8", "y") UP("a") LATE_SUB("a") GOT_KEPT("202", "x", "1"), MQTT_V311,
           "MQTT-3.3.1-5");
    judged(UP("b") KEEP("60", "7", "x") KEEP("61", "8", "\"\"") UP("a") LATE_SUB("a") GOT_KEPT("202", "x", "1"),
           MQTT_V311, "MQTT-3.3.1-10");
    judged(UP("a") SUB("a", "1") UP("b") KEEP("60", "7", "x") GOT_KEPT("62", "x", "1"), MQTT_V311, "MQTT-3.3.1-9");
    judged(UP("a") SUB("a", "1") UP("b") KEEP("60", "7", "x") GOT_KEPT("62", "x", "0"), MQTT_V311, "");
}

static void wills(void **state)
{
    (void)state;
#define SUB_LATE(c) "12 " c " > subscribe id=1 sub=1:a\n13 " c " < suback id=1 codes=1\n"
#define WILLED "10 b open\n10 b > connect will_topic=~/t will_payload=w will_qos=1\n11 b < connack reason=0\n"
    judged(UP("a") SUB("a", "1") WILLED "90 b reset\n" PING("a", "1500"), MQTT_V311, "MQTT-3.1.2-8");
    judged(UP("a") SUB("a", "1") WILLED "90 b reset\n" GOT("a", "91", "1", "w") PING("a", "1500"), MQTT_V311, "");
    judged(UP("a") SUB("a", "1") WILLED "90 b > disconnect\n90 b close\n" PING("a", "1500"), MQTT_V311, "");
#define WILLED_0                                                                                                       \
    "10 b open\n10 b > connect will_topic=~/t will_payload=w will_qos=0\n11 b < connack reason=0\n90 b reset\n"
    judged(UP("a") SUB("a", "1") WILLED_0 "91 a < publish topic=~/t payload=w\n", MQTT_V311, "");
    judged(UP("a") SUB("a", "1") WILLED_0 "91 a < publish topic=~/t payload=w\n"
                                          "92 a < publish topic=~/t payload=w\n",
           MQTT_V311, "MQTT-3.1.2-10");
    judged(UP("a") SUB("a", "1") WILLED "90 b reset\n" GOT("a", "91", "1", "w") GOT("a", "92", "2", "w"), MQTT_V311,
           ""); /* at least once */
    judged(UP("a") SUB("a", "1") WILLED "90 b > disconnect\n90 b close\n" GOT("a", "91", "1", "w"), MQTT_V311,
           "MQTT-3.1.2-10");
    /* one that is closed while something is on its way to it may be gone before DISCONNECT is read */
    judged(UP("a") SUB("a", "1") WILLED SUB_LATE("b") "90 b > disconnect\n90 b close\n" GOT("a", "91", "1", "w"),
           MQTT_V311, "");
    judged(UP("a") SUB("a", "1") WILLED SUB_LATE("b") "90 b > disconnect\n90 b gone\n" GOT("a", "91", "1", "w"),
           MQTT_V311, "MQTT-3.1.2-10");
    /* a PUBLISH that the broker may have refused by closing */
    judged(UP("a") SUB("a", "1") WILLED
           "80 b > publish qos=0 topic=~/u payload=y\n90 b > disconnect\n90 b close\n" GOT("a", "91", "1", "w"),
           MQTT_V311, "");
    judged(UP("a") SUB("a", "1") WILLED "80 b > publish qos=0 topic=~/u payload=y\n" PING(
               "b", "85") "90 b > disconnect\n90 b close\n" GOT("a", "91", "1", "w"),
           MQTT_V311, "MQTT-3.1.2-10");
    /* or an UNSUBSCRIBE, with a filter that is no UTF-8: 3.1 has no rule for that */
#define BYE_LATER "90 b > disconnect\n90 b gone\n" GOT("a", "91", "1", "w")
    judged(UP("a") SUB("a", "1") WILLED "80 b > unsubscribe id=3 unsub=u\n" BYE_LATER, MQTT_V31, "");
    judged(UP("a") SUB("a", "1") WILLED "80 b > unsubscribe id=3 unsub=u\n81 b < unsuback id=3\n" BYE_LATER, MQTT_V31,
           "MQTT-3.1.2-10");
    judged(UP("a") SUB("a", "1") WILLED "80 b > subscribe id=3 sub=0:u\n" BYE_LATER, MQTT_V31, "");
    /* whoever said AUTH out of turn is let go before DISCONNECT is read */
    judged(UP("a") SUB("a", "1") WILLED
           "80 b > auth reason=0x19 authentication_method=x\n90 b > disconnect\n90 b close\n" GOT("a", "91", "1", "w"),
           MQTT_V5, "");
}

/* SUBSCRIBE in one piece with a CONNECT whose name the broker gives. */
static void named_by_broker(void **state)
{
    (void)state;
#define NAMED(t, c)                                                                                                    \
    t " " c " open\n" t " " c " > connect id=\"\"\n" t " " c " > subscribe id=1 sub=1:~/t\n" t " " c                   \
      " < connack reason=0 assigned_client_identifier=auto-" t "\n" t " " c " < suback id=1 codes=1\n"
    judged(NAMED("0", "a") UP("b") PUB("b", "60", "7", "x") GOT("a", "61", "1", "x") PING("a", "1500"), MQTT_V5, "");
    judged(NAMED("0", "a") UP("b") PUB("b", "60", "7", "x") PING("a", "1500"), MQTT_V5, "MQTT-4.5.0-1");
}

static void no_pubrel(void **state)
{
    (void)state;
#define WANTS "2 a > subscribe id=1 sub=2:~/t\n3 a < suback id=1 codes=2\n"
#define TOOK "10 a < publish qos=2 id=5 topic=~/t payload=x\n11 a > pubrec id=5\n"
    for (unsigned v = MQTT_V311; v <= MQTT_V5; v++) {
        const char *rule = v == MQTT_V5 ? "MQTT-4.3.3-4" : "MQTT-4.3.3-1";
        judged(UP("a") WANTS UP("b") "8 b > publish qos=2 id=7 topic=~/t payload=x\n" TOOK PING("a", "1500"), v, rule);
        judged(UP("a") WANTS UP("b") "8 b > publish qos=2 id=7 topic=~/t payload=x\n" TOOK
                                     "12 a < pubrel id=5\n12 a > pubcomp id=5\n" PING("a", "1500"),
               v, "");
        judged(UP("a") WANTS UP("b") "8 b > publish qos=2 id=7 topic=~/t payload=x\n" TOOK, v, "");
    }
}

/* A broker that passes over a packet of type 0 is told of that alone, not of each answer to what it takes for packets
 * behind it. */
static void reserved_type(void **state)
{
    (void)state;
    judged(UP("a") "10 a > raw 000140\n"
                   "20 a > raw c000\n20 a < pingresp\n" PING("a", "1500"),
           MQTT_V311, "S4-2.2.1-a");
    judged(UP("a") "10 a > raw 000140\n20 a > raw 00\n30 a > unsubscribe id=2 unsub=~/t\n31 a < unsuback id=2\n",
           MQTT_V311, "");
    judged(UP("a") "20 a > raw 00\n30 a > unsubscribe id=2 unsub=~/t\n31 a < unsuback id=2 codes=0\n", MQTT_V5, "");
    judged(UP("a") "31 a < unsuback id=2\n", MQTT_V311, "MQTT-2.3.1-7");
}

static void shared_and_local(void **state)
{
    (void)state;
#define PUB_KEPT(c, t, id)                                                                                             \
    t " " c " > publish qos=1 retain=1 id=" id " topic=~/t payload=x\n" t " " c " < puback id=" id "\n"
#define SHARE(c) "2 " c " > subscribe id=1 sub=1:$share/g/~/t\n3 " c " < suback id=1 codes=1\n"
    judged(UP("a") SHARE("a") UP("c") SHARE("c") UP("b") PUB("b", "60", "7", "x") GOT("a", "61", "1", "x")
               GOT("c", "61", "1", "x"),
           MQTT_V5, "S5-4.8.2-a");
    judged(UP("a") SHARE("a") UP("c") SHARE("c") UP("b") PUB("b", "60", "7", "x") GOT("a", "61", "1", "x"), MQTT_V5,
           "");
    /* one that subscribed later got the stored one: not it, but that is wrong */
    judged(UP("a") SHARE("a") UP("b") PUB_KEPT("b", "60", "7") GOT("a", "61", "1", "x")
               UP("c") "80 c > subscribe id=1 sub=1:$share/g/~/t\n81 c < suback id=1 codes=1\n"
                       "82 c < publish qos=1 retain=1 id=9 topic=~/t payload=x\n82 c > puback id=9\n" PING("c", "1500"),
           MQTT_V5, "MQTT-3.3.1-9");
    judged(UP("a") "2 a > subscribe id=1 sub=5:~/t\n3 a < suback id=1 codes=1\n" PUB("a", "60", "7", "x")
               GOT("a", "61", "1", "x"),
           MQTT_V5, "MQTT-3.8.3-3");
    /* a later SUBSCRIBE for the same filter asks for No Local: then it need not come back */
    judged(UP("a") "2 a > subscribe id=1 sub=1:~/t\n3 a < suback id=1 codes=1\n" PUB("a", "60", "7", "x")
               PING("a", "1500"),
           MQTT_V5, "MQTT-4.5.0-1");
    judged(UP("a") "2 a > subscribe id=1 sub=1:~/t\n3 a < suback id=1 codes=1\n"
                   "4 a > subscribe id=2 sub=5:~/t\n5 a < suback id=2 codes=1\n" PUB("a", "60", "7", "x")
                       PING("a", "1500"),
           MQTT_V5, "");
    /* what was stored comes to its publisher, too: the standard is silent */
    judged(UP("a")
               PUB_KEPT("a", "60", "7") "62 a > subscribe id=1 sub=5:~/t\n63 a < suback id=1 codes=1\n"
                                        "64 a < publish qos=1 retain=1 id=9 topic=~/t payload=x\n64 a > puback id=9\n",
           MQTT_V5, "");
    /* sent once more after the session was lost: another message to the broker */
    judged(UP("a") SHARE("a") UP("c") SHARE("c") UP("b") "60 b > publish qos=1 dup=1 id=7 topic=~/t payload=x\n"
                                                         "60 b < puback id=7\n" GOT("a", "61", "1", "x")
                                                             GOT("c", "61", "1", "x"),
           MQTT_V5, "");
}

static void reactions(void **state)
{
    (void)state;
    judged(UP("b") "60 b > publish qos=1 id=7 topic=~/t payload=x\n" PING("b", "1500"), MQTT_V311, "MQTT-4.3.2-2");
    judged(UP("b") "60 b > publish qos=1 id=7 topic=~/t payload=x\n" PING("b", "100"), MQTT_V311, "MQTT-4.3.2-2?");
    judged(UP("a") "10 a > subscribe id=1 sub=1:~/t\n" PING("a", "1500"), MQTT_V5, "MQTT-3.8.4-1");
    judged(UP("a") "10 a > subscribe id=1 sub=1:~/t\n20 a gone\n", MQTT_V5, "");
    judged(UP("a") "10 a > pingreq header=4\n10 a < pingresp\n20 a gone\n", MQTT_V311, "");
}

/* Answered after all, and a PINGREQ that was sent later was answered long before. */
static void late(void **state)
{
    (void)state;
#define ASKED "60 b > publish qos=1 id=7 topic=~/t payload=x\n"
    judged(UP("b") ASKED PING("b", "100") "1500 b < puback id=7\n", MQTT_V311, "MQTT-4.3.2-2");
    judged(UP("b") ASKED PING("b", "100") "1500 b < puback id=7\n", MQTT_V31, "MQTT-4.3.2-2");
    judged(UP("b") ASKED PING("b", "100") "900 b < puback id=7\n", MQTT_V311, "");
    judged(UP("b") ASKED "100 b > pingreq\n1490 b < pingresp\n1500 b < puback id=7\n", MQTT_V311, ""); /* busy */
    judged(UP("b") ASKED "1500 b < puback id=7\n" PING("b", "1600"), MQTT_V5, "");
    judged(UP("b") "60 b > publish qos=2 id=7 topic=~/t payload=x\n61 b < pubrec id=7\n62 b > pubrel id=7\n" PING(
               "b", "70") "1900 b < pubcomp id=7\n",
           MQTT_V5, "MQTT-4.3.3-11");
    judged(UP("a") "10 a > subscribe id=1 sub=1:~/t\n" PING("a", "20") "1200 a < suback id=1 codes=1\n", MQTT_V311,
           "MQTT-3.8.4-1");
}

/* How a connection ends: the code tells what did not happen, or it did. */
static void wrong_closings(void **state)
{
    (void)state;
#define TOLD(code) "20 a < disconnect reason=" code "\n20 a gone\n"
    static const struct {
        const char *code, *rule, *deed; /* deed: what makes it true */
    } claims[] = {
        { "0x93", "S5-3.3.4-d", NULL },
        { "0x94", "S5-3.3.4-b", "10 a > publish topic=~/t topic_alias=1 payload=x\n" },
        { "0x95", "MQTT-3.2.2-15", NULL },
        { "0x99", "S5-3.3.2.3.2-c", "10 a > publish topic=~/t payload_format_indicator=1 payload=x\n" },
        { "0x9a", "MQTT-3.2.2-14", "10 a > publish topic=~/t retain=1 payload=x\n" },
        { "0x9b", "MQTT-3.2.2-11", "10 a > publish qos=1 id=1 topic=~/t payload=x\n" },
        { "0x9e", "S5-3.2.2.3.13-c", "10 a > subscribe id=1 sub=0:$share/g/~/t\n" },
        { "0xa1", "S5-3.2.2.3.12-c", "10 a > subscribe id=1 sub=0:~/t subscription_identifier=1\n" },
        { "0xa2", "S5-3.2.2.3.11-c", "10 a > subscribe id=1 sub=0:~/+\n" },
        { "0x97", "", NULL }, /* its own affair */
    };
    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++) {
        char log[400];
        const char *parts[] = { UP("a"), "", claims[i].deed };
        for (unsigned k = 1; k < (claims[i].deed != NULL ? 3 : 2); k++) {
            snprintf(log, sizeof log, "%s%s20 a < disconnect reason=%s\n20 a gone\n", parts[0], parts[k],
                     claims[i].code);
            judged(log, MQTT_V5, k == 1 ? claims[i].rule : "");
        }
    }
    judged(
        "0 a open\n0 a > connect keepalive=1\n1 a < connack reason=0\n1600 a < disconnect reason=0x8d\n1600 a gone\n",
        MQTT_V5, "");
    judged("0 a open\n0 a > connect maximum_packet_size=20\n1 a < connack reason=0\n" TOLD("0x95"), MQTT_V5, "");
    judged("0 a open\n0 a > connect\n1 a < connack reason=0 receive_maximum=1\n10 a > publish qos=1 id=1 topic=~/t "
           "payload=x\n"
           "10 a > publish qos=1 id=2 topic=~/t payload=x\n" TOLD("0x93"),
           MQTT_V5, "");
}

static void wrong_take_over(void **state)
{
    (void)state;
#define TAKEN(code)                                                                                                    \
    "0 a open\n0 a > connect id=~x\n1 a < connack reason=0\n10 b open\n10 b > connect id=~x\n"                         \
    "11 a < disconnect reason=" code "\n11 a gone\n11 b < connack reason=0\n"
    judged(TAKEN("0x8e"), MQTT_V5, "");
    judged(TAKEN("0x80"), MQTT_V5, "MQTT-3.1.4-3");
    judged(TAKEN("0x97"), MQTT_V5, "");
    judged(TAKEN("0x82"), MQTT_V5, ""); /* of something that crossed it */
    judged("0 a open\n0 a > connect id=~x\n1 a < connack reason=0\n11 a < disconnect reason=0x8e\n11 a gone\n", MQTT_V5,
           "MQTT-3.1.4-3");
    judged("0 a open\n0 a > connect id=x\n1 a < connack reason=0\n11 a < disconnect reason=0x8e\n11 a gone\n", MQTT_V5,
           ""); /* others may have this name */
}

static void wrong_refusals(void **state)
{
    (void)state;
#define REFUSED(id, code) "0 a open\n0 a > connect id=" id "\n1 a < connack reason=" code "\n1 a gone\n"
    judged(REFUSED("abcXYZ019", "2"), MQTT_V311, "MQTT-3.1.3-5");
    judged(REFUSED("abc-XYZ", "2"), MQTT_V311, "");
    judged(REFUSED("abcXYZ019", "0x85"), MQTT_V5, "MQTT-3.1.3-5");
    judged(REFUSED("abcXYZ019", "0x87"), MQTT_V5, "");
    judged(REFUSED("abc", "1"), MQTT_V311, "");
    judged(UP("b") REFUSED("abc", "1"), MQTT_V311, "MQTT-3.1.2-2");
    judged(UP("b") "0 a open\n0 a > connect name=MQIsdp\n1 a < connack reason=1\n1 a gone\n", MQTT_V311, "");
    judged(UP("b") "0 a open\n0 a > connect level=133\n1 a < connack reason=0x84\n1 a gone\n", MQTT_V5, "");
}

static void wrong_acknowledgements(void **state)
{
    (void)state;
#define SAID(code) "60 b > publish qos=1 id=7 topic=~/t payload=x\n60 b < puback id=7 reason=" code "\n"
    judged(UP("a") SUB("a", "1") UP("b") SAID("0x10") GOT("a", "61", "1", "x"), MQTT_V5, "MQTT-3.4.2-1");
    judged(UP("a") UP("b") SAID("0x10"), MQTT_V5, "");
    judged(UP("a") SUB("a", "1") "4 a reset\n" UP("b") SAID("0x10"), MQTT_V5, "");
    judged(UP("b") SAID("0x91"), MQTT_V5, "MQTT-2.2.1-3");
    judged(UP("b") SAID("0x99"), MQTT_V5, "S5-3.3.2.3.2-c");
    judged(UP("b") SAID("0x97"), MQTT_V5, "");
#define TAKEN2(code)                                                                                                   \
    UP("b")                                                                                                            \
    "60 b > publish qos=2 id=7 topic=~/t payload=x\n60 b < pubrec id=7\n61 b > pubrel id=7\n61 b < pubcomp id=7" code  \
    "\n"
    judged(TAKEN2(" reason=0x92"), MQTT_V5, "MQTT-4.3.3-11");
    judged(TAKEN2(""), MQTT_V5, "");
    judged("0 a open\n0 a > connect id=~x\n1 a < connack reason=0\n2 a > publish qos=2 id=7 topic=~/t payload=x\n"
           "3 a < pubrec id=7\n10 b open\n10 b > connect id=~x\n11 b < connack reason=0\n"
           "12 a > pubrel id=7\n13 a gone\n13 b > pubrel id=7\n14 b < pubcomp id=7 reason=0x92\n",
           MQTT_V5, "");                  /* of the session before */
    judged(UP("b") "50 b > pubrel id=7\n" /* the answer to this comes late */
                   "60 b > publish qos=2 id=7 topic=~/t payload=x\n60 b < pubrec id=7\n61 b > pubrel id=7\n"
                   "61 b < pubcomp id=7 reason=0x92\n62 b < pubcomp id=7\n",
           MQTT_V5, "");
    judged(UP("b") "60 b > publish qos=2 id=7 topic=~/t payload=x\n60 b > publish qos=2 id=7 topic=~/u payload=x\n"
                   "60 b < pubrec id=7\n61 b > pubrel id=7\n61 b < pubrec id=7 reason=0x87\n61 b < pubcomp id=7 "
                   "reason=0x92\n",
           MQTT_V5, "");
    judged(UP("b") "61 b > pubrel id=7\n61 b < pubcomp id=7 reason=0x92\n", MQTT_V5, "");
}

static void wrong_lists(void **state)
{
    (void)state;
#define ASK(filter, code) UP("a") "2 a > subscribe id=1 sub=1:" filter "\n3 a < suback id=1 codes=" code "\n"
    judged(ASK("~/t", "0x9e"), MQTT_V5, "MQTT-3.9.3-2");
    judged(ASK("~/t", "0xa1"), MQTT_V5, "MQTT-3.9.3-2");
    judged(ASK("~/t", "0xa2"), MQTT_V5, "MQTT-3.9.3-2");
    judged(ASK("~/#", "0xa2"), MQTT_V5, "");
    judged(ASK("$share/g/~/t", "0x9e"), MQTT_V5, "");
    /* two codes for three filters: which of them is refused? Only the number is wrong */
    judged(ASK("~/t sub=1:~/t sub=1:$share/g/~/t", "1,0x9e"), MQTT_V5, "MQTT-3.8.4-6");
    judged(ASK("~/t", "0x91"), MQTT_V5, "MQTT-2.2.1-3");
    judged(ASK("~/t", "0x87"), MQTT_V5, "");
#define LEAVE(filter, code) "60 a > unsubscribe id=2 unsub=" filter "\n61 a < unsuback id=2 codes=" code "\n"
    judged(ASK("~/t", "1") LEAVE("~/t", "0x11"), MQTT_V5, "MQTT-3.11.3-2");
    judged(ASK("~/t", "1") LEAVE("~/t", "0"), MQTT_V5, "");
    judged(ASK("~/t", "1") LEAVE("~/u", "0"), MQTT_V5, "MQTT-3.11.3-2");
    judged(ASK("~/t", "1") LEAVE("~/u", "0x11"), MQTT_V5, "");
    judged(ASK("~/t", "0x87") LEAVE("~/t", "0x11"), MQTT_V5, "");
    /* Two under way with one identifier, which an odd PUBREL makes nobody's fault: which answer is for which? */
    judged(
        "0 a open\n0 a > connect\n0 a > subscribe id=3 sub=1:~/t\n0 a > pubrel id=3\n0 a > unsubscribe id=3 unsub=~/t\n"
        "0 a > unsubscribe id=3 unsub=~/u\n1 a < connack reason=0\n1 a < suback id=3 codes=1\n1 a < pubcomp id=3\n"
        "1 a < unsuback id=3 codes=0\n1 a < unsuback id=3 codes=0x11\n",
        MQTT_V5, "");
}

/* 3.1 promises the same where it has a sentence for it, and cannot tell whether a session is there. */
static void version_31(void **state)
{
    (void)state;
    const unsigned v = MQTT_V31;
#define KEPT31 "0 a open\n0 a > connect clean=0\n1 a < raw 20 02 00 00\n" SUB("a", "1") "4 a > disconnect\n4 a close\n"
#define BACK31 "100 a open\n100 a > connect clean=0\n101 a < raw 20 02 00 00\n"
    judged(UP("a") SUB("a", "1") UP("b") PUB("b", "60", "7", "x") PING("a", "1500"), v, "MQTT-4.5.0-1");
    judged(UP("a") SUB("a", "1") UP("b") PUB("b", "60", "7", "x") GOT("a", "61", "1", "x") PING("a", "1500"), v, "");
    judged(KEPT31 UP("b") PUB("b", "60", "7", "x") BACK31 PING("a", "1500"), v, "MQTT-3.1.2-5");
    judged(KEPT31 UP("b") PUB("b", "60", "7", "x") BACK31 GOT("a", "102", "1", "x") PING("a", "1500"), v, "");
    judged("0 a open\n0 a > connect clean=1\n1 a < raw 20 02 00 00\n" SUB("a", "1") "4 a close\n" UP("b")
               PUB("b", "60", "7", "x") BACK31 PING("a", "1500"),
           v, "");
    judged(UP("a") SUB("a", "2") UP("b") SENT2 GOT2("62", "1") GOT2("63", "2"), v, "MQTT-4.3.3-2");
    judged(UP("a") SUB("a", "2") UP("b")
               SENT2 UP("c") "61 c > raw 00\n62 c > raw 3c0f0008 ~ 2f7400057800\n" GOT2("62", "1") GOT2("63", "2"),
           v, ""); /* what c says behind the type 0 may be the second one */
    judged(UP("a") SUB("a", "1") UP("b") "60 b > pubrel id=7\n60 b > publish qos=2 id=7 topic=~/t payload=x\n"
                                         "61 b < pubcomp id=7\n" PING("a", "1500"),
           v, ""); /* another PUBREL's answer */
    judged(UP("a") SUB("a", "1") UP("b") "59 b > disconnect\n" PUB("b", "60", "7", "x") PING("a", "1500"), v, "");
    judged(UP("a") SUB("a", "1") WILLED "90 b reset\n" PING("a", "1500"), v, "MQTT-3.1.2-8");
    judged(UP("b") KEEP("60", "7", "x") UP("a") LATE_SUB("a") PING("a", "1500"), v, "MQTT-3.3.1-6");
    judged(UP("b") KEEP("60", "7", "x") KEEP("61", "8", "\"\"") UP("a") LATE_SUB("a") GOT_KEPT("202", "x", "1"), v, "");
    judged(UP("a") SUB("a", "1") UP("b") PUB("b", "60", "7", "x") PUB("b", "61", "8", "y") GOT("a", "62", "1", "y")
               GOT("a", "63", "2", "x"),
           v, ""); /* the order is not promised */
    judged(UP("a") "2 a > subscribe id=1 sub=1:~/t+\n3 a < suback id=1 codes=1\n" UP(
               "b") "60 b > publish qos=1 id=7 topic=~/t/x payload=x\n60 b < puback id=7\n61 a < publish topic=~/t/x "
                    "payload=x\n",
           v, ""); /* nor what this filter means */
}

/* The reference broker is asked about the same octets: here it would go on, there it would not. */
static void refusals(void **state)
{
    (void)state;
    judged(UP("a") PUB("a", "10", "7", "x") "20 a < disconnect reason=0x82\n20 a gone\n", MQTT_V5, "MQTT-4.13.1-1");
    judged(UP("a") PUB("a", "10", "7", "x") "20 a < disconnect reason=0x97\n20 a gone\n", MQTT_V5, "");
    judged(
        UP("a") "10 a > publish topic=~/t topic_alias=3 payload=x\n11 a > publish topic=\"\" topic_alias=2 payload=x\n"
                "20 a < disconnect reason=0x82\n20 a gone\n",
        MQTT_V5, "");
    judged(UP("a") SUB("a", "1") GOT("a", "10", "7", "x") "20 a < disconnect reason=0x82\n20 a gone\n", MQTT_V5,
           "MQTT-3.3.2-3"); /* that nobody sent it is another matter */
    judged("0 a open\n0 a > connect receive_maximum=9\n1 a < connack reason=0x81\n2 a gone\n", MQTT_V5,
           "MQTT-4.13.1-1");
    judged("0 a open\n0 a > connect receive_maximum=0\n1 a < connack reason=0x82\n2 a gone\n", MQTT_V5, "");
}

/* Two connections of one client identifier at once: the broker may have taken the second first. */
static void raced(void **state)
{
    (void)state;
#define TWO(first, second)                                                                                             \
    "0 a open\n0 b open\n0 a > connect id=~x\n" first "1 b > connect id=~x\n" second                                   \
    "2 b < connack reason=0\n3 b < suback id=9 codes=0\n"
    judged(TWO("0 a < connack reason=0\n", ""), MQTT_V311, "MQTT-2.3.1-7");
    judged(TWO("", "2 a < connack reason=0\n"), MQTT_V311, "");
    /* nor is it sure whose session is there afterwards */
#define BACK_AGAIN "10 b reset\n20 b open\n20 b > connect id=~x keep=60\n21 b < connack reason=0\n"
    judged("0 b open\n0 b > connect id=~x keep=60\n2 b < connack reason=0\n" BACK_AGAIN, MQTT_V5, "MQTT-3.2.2-3");
    judged("0 a open\n0 b open\n0 a > connect id=~x\n1 b > connect id=~x keep=60\n2 a < connack reason=0\n"
           "2 b < connack reason=0\n" BACK_AGAIN,
           MQTT_V5, "");
}

/* Two requests under one Packet Identifier at once: which answer is for which? */
static void one_identifier_twice(void **state)
{
    (void)state;
    judged(UP("a") "2 a > subscribe id=1 sub=1:~/u\n2 a > subscribe id=1 sub=0:~/t\n3 a < suback id=1 codes=1\n"
                   "3 a < suback id=1 codes=0\n" UP("b")
                       PUB("b", "60", "7", "x") "61 a < publish topic=~/t payload=x\n",
           MQTT_V5, "");
}

/* Every name that can be told stands in the rule tables of its version. */
static void names(void **state)
{
    (void)state;
    static const char *const closings[] = {
#define REASON(code, needs, rule, why) rule,
#include "fuzz/judge/reasons.def"
    };
    for (size_t i = 0; i < sizeof closings / sizeof *closings; i++)
        if (mqtt_rule_by_id(closings[i], MQTT_V5) == MQTT_RULE_NONE)
            fail_msg("%s is no rule of 5.0", closings[i]);
    const char *ids[][2] = {
#define GUARANTEE(sym, oracle, in31, id311, id5, slow, title) { id311, id5 },
#include "fuzz/judge/guarantees.def"
    };
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        for (unsigned v = 0; v < 2; v++)
            if (ids[i][v][0] != '-' && mqtt_rule_by_id(ids[i][v], MQTT_V311 + v) == MQTT_RULE_NONE)
                fail_msg("%s is no rule of %s", ids[i][v], mqtt_version_name(MQTT_V311 + v));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_identifier_twice),
        cmocka_unit_test(nothing_happened),
        cmocka_unit_test(lost),
        cmocka_unit_test(bridge),
        cmocka_unit_test(identifier_0),
        cmocka_unit_test(no_filters),
        cmocka_unit_test(empty_response_topic),
        cmocka_unit_test(away),
        cmocka_unit_test(unsubscribed),
        cmocka_unit_test(copies_order_and_qos),
        cmocka_unit_test(retained),
        cmocka_unit_test(wills),
        cmocka_unit_test(named_by_broker),
        cmocka_unit_test(no_pubrel),
        cmocka_unit_test(reserved_type),
        cmocka_unit_test(reactions),
        cmocka_unit_test(shared_and_local),
        cmocka_unit_test(names),
        cmocka_unit_test(refusals),
        cmocka_unit_test(raced),
        cmocka_unit_test(late),
        cmocka_unit_test(wrong_closings),
        cmocka_unit_test(wrong_take_over),
        cmocka_unit_test(wrong_refusals),
        cmocka_unit_test(wrong_acknowledgements),
        cmocka_unit_test(wrong_lists),
        cmocka_unit_test(version_31),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
