/* SPDX-License-Identifier: Apache-2.0
 *
 * tui/stats.h -- figures of the statistics screen: rates by the second and answer times by kind, in fixed memory. */
#pragma once
#include "decoder/show/row.h"
#include "decoder/track/track.h"

enum { STATS_SECONDS = 600, STATS_BUCKETS = 40 /* half powers of two from 1 us */ };

enum stats_answer {
    ANSWER_CONNACK,
    ANSWER_PUBACK,
    ANSWER_PUBREC,
    ANSWER_PUBREL,
    ANSWER_PUBCOMP,
    ANSWER_QOS2,
    ANSWER_SUBACK,
    ANSWER_UNSUBACK,
    ANSWER_PINGRESP,
    ANSWER_COUNT
};

struct stats_histogram {
    uint64_t n, bucket[STATS_BUCKETS];
    int64_t least_ns, most_ns, sum_ns;
};

struct stats {
    int64_t second;                  /* of the newest entry, since the epoch; 0: none */
    uint32_t packets[STATS_SECONDS]; /* by second % STATS_SECONDS */
    uint32_t octets[STATS_SECONDS];
    struct stats_histogram answers[ANSWER_COUNT];
    uint32_t *rtt_us; /* latest answer of the broker, by session number; owned */
    uint32_t rtt_cap;
};

struct stats *stats_new(void);
void stats_free(struct stats *s);
void stats_clear(struct stats *s);
void stats_add(struct stats *s, const struct row *row);
uint32_t stats_rate(const struct stats *s, int64_t second, bool octets); /* 0 outside what is kept */
int64_t stats_percentile(const struct stats_histogram *h, double p);     /* ns, to about a third; -1: none */
int64_t stats_bucket_ns(unsigned bucket);                                /* its upper edge */
const char *stats_answer_name(enum stats_answer a);                      /* "PUBACK after PUBLISH" */
uint32_t stats_rtt_us(const struct stats *s, uint64_t session);          /* 0: none */
