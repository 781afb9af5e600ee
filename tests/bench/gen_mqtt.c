/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/bench/gen_mqtt.c -- the packets of a conversation: connect, subscribe, bursts of messages, goodbye. */
#include "tests/bench/gen.h"
#include <inttypes.h>
#include <string.h>

enum { BODY_MAX = 4 << 20, NOISE = 4 << 20 };
enum {
    CONNECT = 1,
    CONNACK,
    PUBLISH,
    PUBACK,
    PUBREC,
    PUBREL,
    PUBCOMP,
    SUBSCRIBE,
    SUBACK,
    UNSUBSCRIBE,
    UNSUBACK,
    PINGREQ,
    PINGRESP,
    DISCONNECT,
    AUTH
};

FILE *raw_output;

static uint8_t body[BODY_MAX]; /* of the packet under construction */
static uint32_t body_len;

static void add8(uint32_t v)
{
    body[body_len++] = (uint8_t)v;
}

static void add16(uint32_t v)
{
    put16(body + body_len, v);
    body_len += 2;
}

static void add32(uint32_t v)
{
    put32(body + body_len, v);
    body_len += 4;
}

static void add_octets(const void *p, uint32_t n)
{
    memcpy(body + body_len, p, n);
    body_len += n;
}

static void add_string(const char *s)
{
    uint32_t n = (uint32_t)strlen(s);
    add16(n);
    add_octets(s, n);
}

static uint32_t put_length(uint8_t *p, uint32_t v)
{
    uint32_t n = 0;
    do {
        p[n] = (uint8_t)(v & 0x7f);
        v >>= 7;
        if (v > 0)
            p[n] |= 0x80;
        n++;
    } while (v > 0);
    return n;
}

/* The body becomes a packet of the group under way. */
static void send(struct flow *f, uint8_t dir, unsigned type, unsigned flags)
{
    if (f->len == f->group) {
        f->group_dir = dir;
        f->n_ends = 0;
    }
    uint8_t *p = flow_room(f, 5 + body_len);
    p[0] = (uint8_t)(type << 4 | flags);
    uint32_t n = 1 + put_length(p + 1, body_len);
    memcpy(p + n, body, body_len);
    n += body_len;
    if (raw_output != NULL)
        fwrite(p, 1, n, raw_output);
    f->len += n;
    if (f->n_ends < PACKETS_OF_GROUP)
        f->ends[f->n_ends++] = f->len - f->group;
    truth.octets += n;
    truth.type[type]++;
    truth.packets++;
    truth.v5_packets += f->v5;
    truth.by_side[dir]++;
    body_len = 0;
}

static void send_alone(struct flow *f, uint8_t dir, unsigned type, unsigned flags)
{
    send(f, dir, type, flags);
    flow_send_group(f, true);
}

static void name_topic(const struct flow *f, char text[80], uint32_t which)
{
    if (f->utf8)
        snprintf(text, 80, "werk/%02u/geb\xc3\xa4ude/%u/\xe6\xb8\xa9\xe5\xba\xa6/%u", f->id % 31, f->id % 7, which);
    else
        snprintf(text, 80, "site/%02u/dev-%06u/s%u", f->id % 31, f->id, which);
}

static void acknowledge(struct flow *f, uint8_t dir, unsigned type, uint16_t id)
{
    add16(id);
    if (f->v5 && type != PUBREL && percent(15)) {
        bool nobody = dir == SIDE_SERVER && (type == PUBACK || type == PUBREC) && percent(50);
        add8(nobody ? 0x10 : 0); /* No matching subscribers: servers alone may say so */
        if (percent(30)) {
            add8(1 + 2 + 6);
            add8(0x1f);
            add_string("queued");
        } else {
            add8(0);
        }
    }
    send(f, dir, type, type == PUBREL ? 2 : 0);
}

static void add_auth_properties(const char *data)
{
    add8(0x15);
    add_string("SCRAM");
    if (data != NULL) {
        add8(0x16);
        add_string(data);
    }
}

static void authenticate(struct flow *f, uint8_t dir, const char *data)
{
    add8(0x18);
    add8(8 + 3 + 4);
    add_auth_properties(data);
    send_alone(f, dir, AUTH, 0);
}

static void connect_properties(const struct flow *f, bool auth)
{
    add8(5 + 3 + 3 + (auth ? 8 : 0));
    add8(0x11);
    add32(3600);
    add8(0x21);
    add16(65535 - f->id % 100);
    add8(0x22);
    add16(16);
    if (auth)
        add_auth_properties(NULL);
}

static void add_will(const struct flow *f)
{
    char topic[80];
    if (f->v5) {
        add8(5);
        add8(0x18);
        add32(30);
    }
    name_topic(f, topic, 99);
    add_string(topic);
    add_string("offline");
}

static void connect(struct flow *f)
{
    char id[40];
    bool will = percent(20), user = percent(50), auth = f->v5 && percent(options.auth);
    snprintf(id, sizeof id, "dev-%06u", f->id);
    add_string("MQTT");
    add8(f->v5 ? 5 : 4);
    add8((user ? 0xc0u : 0) | (will ? 0x0cu : 0) | 0x02);
    add16(60);
    if (f->v5)
        connect_properties(f, auth);
    add_string(id);
    if (will)
        add_will(f);
    if (user) {
        add_string("sensor");
        add_string("s3cret-token");
    }
    send_alone(f, SIDE_CLIENT, CONNECT, 0);
    if (auth) {
        authenticate(f, SIDE_SERVER, "r=ab");
        authenticate(f, SIDE_CLIENT, "r=cd");
    }
    add16(0);
    if (f->v5) {
        add8(3 + 3 + (auth ? 8 : 0));
        add8(0x21);
        add16(1000);
        add8(0x22);
        add16(16);
        if (auth)
            add_auth_properties(NULL);
    }
    send_alone(f, SIDE_SERVER, CONNACK, 0);
}

/* One to three filters, the last of them on all topics of the device at QoS 2, so that all that follows is granted. */
static void subscribe(struct flow *f)
{
    uint32_t filters = 1 + random_below(3), asked[3];
    add16(++f->packet_id[SIDE_CLIENT]);
    if (f->v5 && percent(30)) {
        add8(2);
        add8(0x0b);
        add8(7);
    } else if (f->v5) {
        add8(0);
    }
    for (uint32_t i = 0; i < filters; i++) {
        char topic[80];
        name_topic(f, topic, i);
        if (i == filters - 1)
            strcpy(strrchr(topic, '/'), "/#");
        asked[i] = i == filters - 1 ? 2 : random_below(3);
        add_string(topic);
        add8(asked[i]);
    }
    send_alone(f, SIDE_CLIENT, SUBSCRIBE, 2);
    add16(f->packet_id[SIDE_CLIENT]);
    if (f->v5)
        add8(0);
    for (uint32_t i = 0; i < filters; i++)
        add8(i == filters - 1 ? 2 : random_below(asked[i] + 1));
    send_alone(f, SIDE_SERVER, SUBACK, 0);
}

static uint16_t fresh_id(struct flow *f, uint8_t dir)
{
    for (;;) {
        uint16_t id = ++f->packet_id[dir];
        bool used = id == 0;
        for (unsigned i = 0; i < f->n_open[dir]; i++)
            used = used || f->open[dir][i] == id;
        if (!used)
            return id;
    }
}

static void unsubscribe(struct flow *f)
{
    char topic[80];
    uint16_t id = fresh_id(f, SIDE_CLIENT);
    add16(id);
    if (f->v5)
        add8(0);
    name_topic(f, topic, 0);
    add_string(topic);
    send_alone(f, SIDE_CLIENT, UNSUBSCRIBE, 2);
    add16(id);
    if (f->v5)
        add16(0);
    send_alone(f, SIDE_SERVER, UNSUBACK, 0);
}

static void publish_properties(struct flow *f, bool aliased, uint32_t which)
{
    uint8_t block[64], *p = block;
    if (aliased) {
        *p++ = 0x23;
        p = put16(p, which + 1);
        f->aliased |= 1u << which;
    }
    if (percent(options.props) && !options.binary) {
        *p++ = 0x01;
        *p++ = 1;
        *p++ = 0x02;
        p = put32(p, 600);
    }
    if (percent(options.props)) {
        memcpy(p, "\x26\x00\x04unit\x00\x02\xc2\xb0", 11);
        p += 11;
    }
    add8((uint32_t)(p - block));
    add_octets(block, (uint32_t)(p - block));
}

static void add_payload(const struct flow *f)
{
    static uint8_t noise[NOISE];
    uint32_t len = random_between(options.payload_min, options.payload_max);
    if (options.binary) {
        if (noise[0] == 0 && noise[1] == 0)
            for (size_t i = 0; i < NOISE; i += 8)
                memcpy(noise + i, &(uint64_t){ random_u64() }, 8);
        add_octets(noise + random_below(NOISE - len), len);
    } else {
        char text[64];
        uint32_t whole = random_below(40), hundredths = random_below(100); /* in this order with every compiler */
        int n = snprintf(text, sizeof text, "{\"t\":%u.%02u,\"n\":%" PRIu64 "}", whole, hundredths, f->left);
        uint32_t used = (uint32_t)n < len ? (uint32_t)n : len;
        add_octets(text, used);
        memset(body + body_len, ' ', len - used);
        body_len += len - used;
    }
    truth.payload += len;
}

/* Returns the id; *qos is what was drawn. */
static uint16_t publish(struct flow *f, uint8_t dir, uint8_t *qos)
{
    char topic[80];
    uint32_t drawn = random_below(options.qos[0] + options.qos[1] + options.qos[2]), which = random_below(8);
    *qos = drawn < options.qos[0] ? 0 : drawn < options.qos[0] + options.qos[1] ? 1 : 2;
    bool aliased = f->v5 && f->alias && dir == SIDE_CLIENT;
    name_topic(f, topic, which);
    if (aliased && (f->aliased >> which & 1)) {
        add16(0);
        truth.alias_publishes++;
    } else {
        add_string(topic);
    }
    uint16_t id = *qos > 0 ? fresh_id(f, dir) : 0;
    if (*qos > 0)
        add16(id);
    if (f->v5)
        publish_properties(f, aliased, which);
    add_payload(f);
    truth.publish_qos[*qos]++;
    send(f, dir, PUBLISH, (unsigned)*qos << 1);
    return id;
}

/* The answers to a burst, one group each: PUBACK and PUBREC, PUBREL, PUBCOMP. */
static void answer(struct flow *f, uint8_t dir, const uint16_t *ids, uint8_t *qos, uint32_t n, bool coalesced)
{
    for (uint32_t i = 0; i < n; i++) {
        bool left_open = f->n_open[dir] < OPEN_IDS && per_million(options.incomplete);
        if (left_open) {
            f->open[dir][f->n_open[dir]++] = ids[i];
            *(qos[i] == 1 ? &truth.qos1_open : &truth.qos2_open) += 1;
            qos[i] = 0;
        } else {
            acknowledge(f, !dir, qos[i] == 1 ? PUBACK : PUBREC, ids[i]);
            truth.qos1 += qos[i] == 1;
        }
    }
    flow_send_group(f, coalesced);
    for (unsigned type = PUBREL; type <= PUBCOMP; type++) {
        for (uint32_t i = 0; i < n; i++) {
            if (qos[i] != 2)
                continue;
            acknowledge(f, type == PUBREL ? dir : !dir, type, ids[i]);
            truth.qos2 += type == PUBCOMP;
        }
        flow_send_group(f, coalesced);
    }
}

static void burst(struct flow *f)
{
    static uint16_t ids[PACKETS_OF_GROUP];
    static uint8_t qos[PACKETS_OF_GROUP];
    uint32_t n = random_between(options.burst_min, options.burst_max), waiting = 0;
    uint8_t dir = percent(options.down) ? SIDE_SERVER : SIDE_CLIENT;
    bool coalesced = percent(options.coalesce);
    n = n < f->left ? n : (uint32_t)f->left;
    f->left -= n;
    if (per_million(options.pings)) {
        send_alone(f, SIDE_CLIENT, PINGREQ, 0);
        send_alone(f, SIDE_SERVER, PINGRESP, 0);
    }
    for (uint32_t i = 0; i < n; i++) {
        ids[waiting] = publish(f, dir, &qos[waiting]);
        waiting += qos[waiting] > 0;
    }
    flow_send_group(f, coalesced);
    if (waiting > 0)
        answer(f, dir, ids, qos, waiting, coalesced);
}

static void open_connection(struct flow *f)
{
    flow_control(f, SIDE_CLIENT, TCP_SYN);
    flow_control(f, SIDE_SERVER, TCP_SYN | TCP_ACK);
    flow_control(f, SIDE_CLIENT, TCP_ACK);
}

static void close_connection(struct flow *f)
{
    if (f->rst) {
        flow_control(f, SIDE_CLIENT, TCP_RST | TCP_ACK);
        truth.rst_flows++;
        return;
    }
    flow_control(f, SIDE_CLIENT, TCP_FIN | TCP_ACK);
    flow_control(f, SIDE_SERVER, TCP_FIN | TCP_ACK);
    flow_control(f, SIDE_CLIENT, TCP_ACK);
}

static void goodbye(struct flow *f)
{
    if (f->v5 && percent(30))
        add16(0);
    send_alone(f, SIDE_CLIENT, DISCONNECT, 0);
}

void conversation_step(struct flow *f)
{
    enum { OPEN, GREET, ASK, TALK, RETRACT, LEAVE, CLOSE };
    f->len = f->group = 0;
    f->n_segments = f->sent = 0;
    switch (f->phase) {
    case OPEN:
        open_connection(f);
        break;
    case GREET:
        connect(f);
        break;
    case ASK:
        subscribe(f);
        break;
    case TALK:
        if (f->left > 0)
            burst(f);
        if (f->left > 0)
            return;
        break;
    case RETRACT:
        if (percent(20))
            unsubscribe(f);
        break;
    case LEAVE:
        if (options.idle) {
            f->done = true;
            return;
        }
        goodbye(f);
        break;
    case CLOSE:
        close_connection(f);
        break;
    default:
        f->done = true;
        return;
    }
    f->phase++;
}
