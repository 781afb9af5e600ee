/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/frames/bpf.h"
#include "capture/stream/link.h"
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROGRAMS = 8, SNAPLEN = 262144 };

struct program {
    uint32_t link_type;
    bool valid; /* false: the expression has no meaning for this link type, so nothing of it matches */
    struct bpf_program code;
};

struct bpf {
    char *expression;
    uint32_t n;
    struct program at[PROGRAMS];
};

static bool compile(struct bpf *b, uint32_t link_type, char *error, size_t error_len)
{
    struct program *p = &b->at[b->n];
    *p = (struct program){ .link_type = link_type };
    int dlt = link_type == LINK_RAW ? DLT_RAW : (int)link_type; /* the one link type that differs on Linux */
    pcap_t *dead = pcap_open_dead(dlt, SNAPLEN);
    if (dead == NULL)
        return false;
    p->valid = pcap_compile(dead, &p->code, b->expression, 1, PCAP_NETMASK_UNKNOWN) == 0;
    if (!p->valid && error != NULL)
        snprintf(error, error_len, "capture filter '%s': %s", b->expression, pcap_geterr(dead));
    pcap_close(dead);
    b->n++;
    return p->valid;
}

struct bpf *bpf_new(const char *expression, uint32_t link_type, char *error, size_t error_len)
{
    struct bpf *b = calloc(1, sizeof *b);
    if (b == NULL || (b->expression = strdup(expression)) == NULL) {
        snprintf(error, error_len, "no memory for the capture filter");
        free(b);
        return NULL;
    }
    if (compile(b, link_type, error, error_len))
        return b;
    bpf_free(b);
    return NULL;
}

bool bpf_matches(struct bpf *b, const struct frame *f)
{
    uint32_t i = 0;
    while (i < b->n && b->at[i].link_type != f->link_type)
        i++;
    if (i == b->n) {
        if (b->n == PROGRAMS)
            return false;
        compile(b, f->link_type, NULL, 0);
    }
    struct pcap_pkthdr header = { .caplen = (bpf_u_int32)f->octets.len, .len = f->wire_len };
    return b->at[i].valid && pcap_offline_filter(&b->at[i].code, &header, f->octets.ptr) != 0;
}

void bpf_free(struct bpf *b)
{
    if (b == NULL)
        return;
    for (uint32_t i = 0; i < b->n; i++)
        if (b->at[i].valid)
            pcap_freecode(&b->at[i].code);
    free(b->expression);
    free(b);
}
