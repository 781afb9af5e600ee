/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/bench/decode.c -- decode FILE VERSION [PASSES]: the decoder alone, on packets in memory (generate --raw),
 * beside a copy of the same packets. VERSION: 4 for 3.1.1, 5 for 5.0.
 *
 * Prints "memcpy-ns decode-ns packets verdicts": CPU time a packet, the medians of the passes, of which each copies
 * everything and then decodes everything. */
#include "decoder/mqtt/packet.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PASSES_MAX = 1001, VERDICTS = 16, COPY_MAX = 1 << 22 };

struct figures {
    double ns;
    unsigned long packets, verdicts;
};

typedef unsigned (*packet_work)(struct view octets, struct mqtt_context context);

static inline unsigned copy_packet(struct view octets, struct mqtt_context context)
{
    static uint8_t copy[COPY_MAX];
    (void)context;
    memcpy(copy, octets.ptr, octets.len < COPY_MAX ? octets.len : COPY_MAX);
    __asm__ volatile("" ::"r"(copy) : "memory"); /* it is used */
    return 0;
}

static inline unsigned decode_packet(struct view octets, struct mqtt_context context)
{
    static struct mqtt_packet packet;
    static struct mqtt_verdict at[VERDICTS];
    struct mqtt_verdicts v = { .at = at, .cap = VERDICTS };
    mqtt_decode(octets, context, &packet, &v);
    return v.n + v.lost;
}

static double cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Octets of the packet at the front, by its fixed header; what the generator writes is well-formed. */
static inline size_t packet_len(const uint8_t *p)
{
    if (p[1] < 128)
        return 2u + p[1];
    uint32_t remaining = 0;
    int used = mqtt_vbi_read(view_of(p + 1, 4), &remaining);
    return 1u + (unsigned)used + remaining;
}

/* Finds the packets in the same way for both kinds of work; inlined into both, so that the copy is a floor. */
__attribute__((always_inline)) static inline struct figures walk(struct view all, struct mqtt_context context,
                                                                 packet_work work)
{
    struct figures f = { 0 };
    double begin = cpu_ns();
    for (const uint8_t *at = all.ptr, *end = at + all.len; at < end; f.packets++) {
        size_t total = packet_len(at);
        f.verdicts += work(view_of(at, total), context);
        at += total;
    }
    f.ns = (cpu_ns() - begin) / (double)(f.packets > 0 ? f.packets : 1);
    return f;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *figures, int n)
{
    qsort(figures, (size_t)n, sizeof *figures, by_size);
    return figures[n / 2];
}

static struct view read_all(const char *path)
{
    FILE *in = fopen(path, "rb");
    struct view all = { NULL, 0 };
    long len = in != NULL && fseek(in, 0, SEEK_END) == 0 ? ftell(in) : -1;
    uint8_t *octets = len > 0 ? calloc(1, (size_t)len + MQTT_HEADER_MAX) : NULL;
    if (octets != NULL) {
        rewind(in);
        all = view_of(octets, fread(octets, 1, (size_t)len, in));
    }
    if (in != NULL)
        fclose(in);
    return all;
}

int main(int argc, char **argv)
{
    static double copied[PASSES_MAX], decoded[PASSES_MAX];
    struct view all = argc > 2 ? read_all(argv[1]) : view_of(NULL, 0);
    int passes = argc > 3 ? atoi(argv[3]) : 21;
    if (all.len == 0 || passes < 1 || passes > PASSES_MAX) {
        fprintf(stderr, "usage: decode FILE 4|5 [PASSES]\n");
        return 2;
    }
    struct mqtt_context context = { (uint8_t)atoi(argv[2]), MQTT_NOBODY };
    struct figures f = { 0 };
    for (int i = 0; i < passes; i++) {
        copied[i] = walk(all, context, copy_packet).ns;
        f = walk(all, context, decode_packet);
        decoded[i] = f.ns;
    }
    printf("%.2f %.2f %lu %lu\n", median(copied, passes), median(decoded, passes), f.packets, f.verdicts);
    free((void *)all.ptr);
    return 0;
}
