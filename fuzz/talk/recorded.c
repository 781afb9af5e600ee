/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/talk/recorded.h"

#include <stdlib.h>
#include <string.h>

#include <pcap/pcap.h>

#include "fuzz/talk/talk.h"

enum { HELD_MAX = 65535, FIN = 1, SYN = 2, RST = 4, TALK_FULL = TALK_MAX / 2 };
enum { ETHER_IPV4 = 0x0800, ETHER_IPV6 = 0x86dd, ETHER_VLAN = 0x8100, ETHER_QINQ = 0x88a8, IP_TCP = 6 };

/* One direction of TCP; those that turn out to be a broker's are left out. */
struct flow {
    uint8_t key[36]; /* from, to: addresses and ports */
    uint32_t next;   /* sequence number of the octet that comes next */
    bool begun, over;
    uint32_t talk; /* index + 1; 0: in none yet */
    uint8_t client;
    uint8_t *held; /* octets of a packet that is not whole yet */
    uint32_t n_held;
};

struct reader {
    struct recorded *out;
    struct flow flow[RECORDED_CONNECTIONS];
    uint32_t n;
    unsigned clients; /* of the latest talk */
};

/* ---- link and network: the IP packet in a frame ---- */

static bool behind_ether_type(struct cursor *c, unsigned type)
{
    for (unsigned tags = 0; (type == ETHER_VLAN || type == ETHER_QINQ) && tags < 4; tags++) {
        cur_u16(c);
        type = cur_u16(c);
    }
    return type == ETHER_IPV4 || type == ETHER_IPV6;
}

static bool find_ip(int link, struct cursor *c)
{
    switch (link) {
    case DLT_EN10MB:
        cur_take(c, 12);
        return behind_ether_type(c, cur_u16(c));
    case DLT_LINUX_SLL:
        cur_take(c, 14);
        return behind_ether_type(c, cur_u16(c));
    case DLT_LINUX_SLL2: {
        unsigned type = cur_u16(c);
        cur_take(c, 18);
        return behind_ether_type(c, type);
    }
    case DLT_NULL:
    case DLT_LOOP:
        cur_take(c, 4);
        return true;
    case DLT_RAW:
    case DLT_IPV4:
    case DLT_IPV6:
        return true;
    default:
        return false;
    }
}

/* The TCP segment in an IP packet, and its addresses. */
static bool find_tcp(struct cursor *c, struct cursor *tcp, struct view *from, struct view *to)
{
    struct cursor ip = *c;
    uint8_t first = cur_u8(&ip);
    if (first >> 4 == 4) {
        cur_u8(&ip);
        size_t total = cur_u16(&ip), header = (size_t)(first & 15) * 4;
        cur_u16(&ip);
        bool fragment = (cur_u16(&ip) & 0x3fff) != 0;
        cur_u8(&ip);
        bool is_tcp = cur_u8(&ip) == IP_TCP;
        cur_u16(&ip);
        *from = cur_take(&ip, 4);
        *to = cur_take(&ip, 4);
        total = total == 0 ? cur_left(c) : total; /* left to the network card */
        if (ip.truncated || header < 20 || total < header || fragment || !is_tcp)
            return false;
        cur_take(c, header);
        total -= header;
        *tcp = cur_sub(c, total < cur_left(c) ? total : cur_left(c));
        return !c->truncated;
    }
    cur_take(&ip, 3);
    size_t length = cur_u16(&ip);
    bool is_tcp = cur_u8(&ip) == IP_TCP;
    cur_u8(&ip);
    *from = cur_take(&ip, 16);
    *to = cur_take(&ip, 16);
    if (ip.truncated || first >> 4 != 6 || !is_tcp)
        return false;
    *tcp = cur_sub(&ip, length > 0 && length < cur_left(&ip) ? length : cur_left(&ip));
    return true;
}

/* ---- octets to conversations ---- */

static struct talk *new_talk(struct reader *r, unsigned version)
{
    if (r->out->n == RECORDED_TALKS)
        return NULL;
    struct talk *talk = &r->out->talk[r->out->n];
    *talk = (struct talk){ .octets = malloc(TALK_MAX), .version = (uint8_t)version };
    if (talk->octets == NULL)
        return NULL;
    r->out->n++;
    r->clients = 0;
    return talk;
}

static void leave(struct reader *r, struct flow *f)
{
    r->out->left_out += f->talk != 0 && !f->over;
    f->over = true;
    free(f->held);
    f->held = NULL;
}

static void write_record(struct reader *r, struct flow *f, const struct talk_record *record)
{
    struct talk *talk = &r->out->talk[f->talk - 1];
    size_t len = talk_write(talk->octets, talk->len, TALK_MAX, record);
    if (len == 0)
        leave(r, f);
    else
        talk->len = (uint32_t)len;
}

/* The conversation a CONNECT goes into: the latest one, while it has room and speaks the same version. */
static bool join_talk(struct reader *r, struct flow *f, struct view packet)
{
    struct mqtt_packet p;
    mqtt_decode(packet, (struct mqtt_context){ MQTT_VERSION_UNKNOWN, MQTT_CLIENT }, &p, NULL);
    bool named = p.header_len > 0 && p.type == MQTT_CONNECT && p.connect.protocol_name.len > 1 &&
                 memcmp(p.connect.protocol_name.ptr, "MQ", 2) == 0;
    if (!named || p.version < MQTT_V31 || p.version > MQTT_V5)
        return false;
    struct talk *talk = r->out->n > 0 ? &r->out->talk[r->out->n - 1] : NULL;
    if (talk == NULL || talk->version != p.version || r->clients == TALK_CLIENTS || talk->len > TALK_FULL)
        talk = new_talk(r, p.version);
    if (talk == NULL)
        return false;
    f->talk = (uint32_t)(talk - r->out->talk) + 1;
    f->client = (uint8_t)r->clients++;
    return true;
}

static void on_packet(struct reader *r, struct flow *f, struct view packet)
{
    if (f->talk == 0 && !join_talk(r, f, packet)) {
        leave(r, f);
        return;
    }
    struct talk_record record = { .op = TALK_SEND, .client = f->client, .octets = packet };
    write_record(r, f, &record);
}

static void on_octets(struct reader *r, struct flow *f, struct view octets)
{
    if (octets.len > HELD_MAX - f->n_held) {
        leave(r, f);
        return;
    }
    uint8_t *more = realloc(f->held, f->n_held + octets.len);
    if (more == NULL) {
        leave(r, f);
        return;
    }
    memcpy(more + f->n_held, octets.ptr, octets.len);
    f->held = more;
    f->n_held += (uint32_t)octets.len;
    uint32_t at = 0;
    while (!f->over && f->n_held - at >= 2) {
        uint32_t remaining = 0;
        int used = mqtt_vbi_read(view_of(f->held + at + 1, f->n_held - at - 1), &remaining);
        if (used < 0 || (f->talk == 0 && f->held[at] >> 4 != MQTT_CONNECT)) {
            leave(r, f);
            return;
        }
        if (used == 0 || remaining > f->n_held - at - 1 - (uint32_t)used)
            break;
        uint32_t total = 1 + (uint32_t)used + remaining;
        on_packet(r, f, view_of(f->held + at, total));
        at += total;
    }
    if (f->over)
        return;
    memmove(f->held, f->held + at, f->n_held - at);
    f->n_held -= at;
}

static void end_flow(struct reader *r, struct flow *f, bool reset)
{
    struct talk_record end = { .op = reset ? TALK_RESET : TALK_CLOSE, .client = f->client };
    if (!f->over && f->talk != 0)
        write_record(r, f, &end);
    f->over = true;
    free(f->held);
    f->held = NULL;
    f->n_held = 0;
}

static struct flow *flow_of(struct reader *r, const uint8_t key[36], bool syn)
{
    for (uint32_t i = r->n; i-- > 0;)
        if (memcmp(r->flow[i].key, key, 36) == 0 && !(syn && r->flow[i].over))
            return &r->flow[i];
    if (r->n == RECORDED_CONNECTIONS) {
        r->out->left_out++;
        return NULL;
    }
    struct flow *f = &r->flow[r->n++];
    memcpy(f->key, key, 36);
    return f;
}

static void on_segment(struct reader *r, const uint8_t key[36], uint32_t sequence, unsigned flags, struct view payload)
{
    struct flow *f = flow_of(r, key, (flags & SYN) != 0);
    if (f == NULL || f->over)
        return;
    if ((flags & SYN) != 0 || !f->begun)
        f->next = sequence + ((flags & SYN) != 0);
    f->begun = true;
    sequence += (flags & SYN) != 0;
    uint32_t again = f->next - sequence; /* octets that were here already, in the arithmetic of sequence numbers */
    if (again > 1u << 30) {
        leave(r, f); /* something is missing */
        return;
    }
    if (again < payload.len) {
        f->next += (uint32_t)payload.len - again;
        on_octets(r, f, view_of(payload.ptr + again, payload.len - again));
    }
    if ((flags & (FIN | RST)) != 0)
        end_flow(r, f, (flags & RST) != 0);
}

static void on_frame(struct reader *r, int link, struct view frame)
{
    struct cursor c = cur_over(frame.ptr, frame.len), tcp;
    struct view from, to;
    uint8_t key[36] = { 0 };
    if (!find_ip(link, &c) || c.truncated || !find_tcp(&c, &tcp, &from, &to))
        return;
    struct view ports = cur_take(&tcp, 4);
    uint32_t sequence = (uint32_t)cur_u16(&tcp) << 16;
    sequence |= cur_u16(&tcp);
    cur_take(&tcp, 4);
    size_t header = (size_t)(cur_u8(&tcp) >> 4) * 4;
    unsigned flags = cur_u8(&tcp);
    if (tcp.truncated || header < 20)
        return;
    cur_take(&tcp, header - 14);
    if (tcp.truncated)
        return;
    memcpy(key, from.ptr, from.len);
    memcpy(key + 16, to.ptr, to.len);
    memcpy(key + 32, ports.ptr, 4);
    on_segment(r, key, sequence, flags, cur_take(&tcp, cur_left(&tcp)));
}

bool recorded_read(struct recorded *out, FILE *f, char *error, size_t cap)
{
    char why[PCAP_ERRBUF_SIZE] = "";
    *out = (struct recorded){ 0 };
    struct reader *r = calloc(1, sizeof *r);
    pcap_t *pcap = r != NULL ? pcap_fopen_offline(f, why) : NULL;
    if (pcap == NULL) {
        snprintf(error, cap, "%s", r == NULL ? "no memory" : why);
        fclose(f);
        free(r);
        return false;
    }
    r->out = out;
    struct pcap_pkthdr *header;
    const u_char *octets;
    int got;
    while ((got = pcap_next_ex(pcap, &header, &octets)) == 1)
        on_frame(r, pcap_datalink(pcap), view_of(octets, header->caplen));
    bool ok = got == PCAP_ERROR_BREAK; /* the end of the file; with less, what was there will do */
    snprintf(error, cap, "%s", ok ? "" : pcap_geterr(pcap));
    for (uint32_t i = 0; i < r->n; i++)
        free(r->flow[i].held);
    pcap_close(pcap);
    free(r);
    return ok || out->n > 0;
}

void recorded_free(struct recorded *r)
{
    for (uint32_t i = 0; i < r->n; i++)
        free(r->talk[i].octets);
    r->n = 0;
}
