/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/bench/gen.h -- a deterministic generator of large captures of MQTT over TCP, with the counts that are true of
 * them.
 *
 * Every capture holds correct TCP conversations (sequence numbers, acknowledgements, checksums, SYN and FIN) that carry
 * valid MQTT 3.1.1 and 5.0: a strict decoder reports nothing malformed and exactly these counts. Same options and seed:
 * the same octets. It writes packets with code of its own and not with decoder/, so that a fault there cannot hide
 * here. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct gen_options {
    const char *out, *truth, *raw, *packets, *preset;
    uint32_t flows, active; /* connections in all, at once */
    uint64_t messages;
    uint32_t payload_min, payload_max, qos[3] /* weights */, burst_min, burst_max;
    uint32_t v5, ipv6, coalesce, split, down, midstream, reuse, rst, alias, utf8, props, auth; /* percent */
    uint32_t reorder, resend, overlap, spurious, keepalive, loss, incomplete, pings;           /* parts per million */
    uint32_t mss, run, pps, port;
    bool timestamps, binary, idle, header_cut;
    uint64_t seed;
};

struct gen_truth {
    uint64_t type[16], publish_qos[3], qos1, qos2, qos1_open, qos2_open, packets, octets, payload;
    uint64_t v5_packets, flows, v5_flows, ipv6_flows, midstream_flows, rst_flows, reused;
    uint64_t frames, segments, resent, overlaps, reordered, keepalives, lost, syn, fin, file_octets, tcp_octets;
    uint64_t by_side[2], alias_publishes, most_active;
};

struct segment {
    uint32_t seq, ack, off, len; /* off: of its octets in flow.buf */
    uint8_t dir, flags, kind;    /* kind 1: sent again, 2: keepalive probe */
};

enum { SIDE_CLIENT, SIDE_SERVER };
enum { TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4, TCP_PSH = 8, TCP_ACK = 16 };
enum { PACKETS_OF_GROUP = 4096, OPEN_IDS = 8 };

struct flow {
    uint32_t id, tuple;
    uint32_t next[2]; /* sequence number of each side */
    uint64_t left;    /* messages still to send */
    uint16_t packet_id[2];
    uint8_t phase;
    bool v5, ipv6, midstream, utf8, alias, rst, done;
    uint32_t aliased; /* bit set of the topics that have an alias */
    uint8_t n_open[2];
    uint16_t open[2][OPEN_IDS]; /* ids of exchanges left unfinished */
    bool seen[2];               /* a mid-stream flow starts in order, else its first octet is undefined */
    uint8_t *buf;
    uint32_t len, cap;
    struct segment *segments;
    uint32_t n_segments, sent, cap_segments;
    uint32_t group; /* the group under way starts here in buf; it has one direction */
    uint8_t group_dir;
    uint32_t ends[PACKETS_OF_GROUP], n_ends; /* where its packets end */
};

extern struct gen_options options;
extern struct gen_truth truth;
extern FILE *raw_output;     /* --raw: the packets alone; NULL: not wanted */
extern FILE *packets_output; /* --packets: where each packet lies; NULL: not wanted */

/* Deterministic random numbers. */
void random_seed(uint64_t seed);
uint64_t random_u64(void);
uint32_t random_below(uint32_t n); /* 0 for n 0 */
uint32_t random_between(uint32_t least, uint32_t most);
bool percent(uint32_t p);
bool per_million(uint32_t p);

/* gen_mqtt.c: the next group of packets of a conversation, as segments of f. */
void conversation_step(struct flow *f);

/* gen_tcp.c: packets of one direction to segments, segments to records of the capture. */
uint8_t *flow_room(struct flow *f, uint32_t n);
void flow_control(struct flow *f, uint8_t dir, uint8_t flags); /* a segment without data */
void flow_send_group(struct flow *f, bool coalesced);          /* cuts, reorders, repeats and acknowledges the group */
bool capture_open(const char *path);
void capture_frame(const struct flow *f, const struct segment *s);
bool capture_close(void);

static inline uint8_t *put16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
    return p + 2;
}

static inline uint8_t *put32(uint8_t *p, uint32_t v)
{
    return put16(put16(p, v >> 16), v);
}
