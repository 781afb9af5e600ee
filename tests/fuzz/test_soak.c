/* SPDX-License-Identifier: Apache-2.0
 *
 * A soak in miniature: 500 clients of 3.1.1 and 5.0 with kept sessions publish to each other at every QoS, lose their
 * connections at random moments and return, re-sending as the standards ask. Every QoS 1 message arrives at least once,
 * every QoS 2 message exactly once, by count and by content; the broker's memory after the second run is what it was
 * after the first. SOAK_SECONDS sets the length of each of the two runs (3). */
#include "decoder/mqtt/packet.h"
#include "tests/fuzz/server.h"
#include <setjmp.h>
#include <stdarg.h>
#include <sys/epoll.h>

#include <cmocka.h>

enum { CLIENTS = 500, INFLIGHT = 8, MESSAGES = 400000, ROOM = 16384, CONTENT_MAX = 200, DRAIN_MS = 60000 };

struct message {
    uint16_t to;
    uint8_t qos;
    bool finished;    /* the publisher has its last acknowledgement */
    uint8_t received; /* counts to 255 */
};

struct exchange { /* an own message under way */
    uint32_t message;
    uint16_t id; /* 0: free */
    bool pubrel;
};

struct client {
    int fd;
    unsigned number, version;
    bool up, subscribed;
    uint8_t in[ROOM], out[ROOM];
    size_t have, waiting;
    struct exchange open[INFLIGHT];
    uint16_t next_id;
    uint8_t in2[65536 / 8]; /* QoS 2 identifiers received and not released */
};

static struct client *clients;
static struct message *messages;
static uint32_t nmessages, unfinished;
static uint64_t drops, random_state = 42;
static int epoll;
static uint16_t port;
static bool publishing;

static uint32_t rnd(uint32_t below)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % below;
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* The content of a message follows from its number. */
static size_t content(uint32_t number, uint8_t out[CONTENT_MAX])
{
    size_t len = 4 + number * 2654435761u % (CONTENT_MAX - 4);
    memcpy(out, &number, 4);
    for (size_t i = 4; i < len; i++)
        out[i] = (uint8_t)(number * 31 + i * 7);
    return len;
}

/* ---- sending ---- */

static bool fits(const struct client *c)
{
    return c->waiting + 512 < ROOM;
}

static void put(struct client *c, const struct mqtt_packet *p)
{
    size_t len = mqtt_encode(p, c->out + c->waiting, ROOM - c->waiting);
    assert_true(len > 0 && len <= ROOM - c->waiting);
    c->waiting += len;
}

static void put_ack(struct client *c, uint8_t type, uint16_t id)
{
    put(c,
        &(struct mqtt_packet){
            .type = type, .flags = mqtt_type_flags(type), .version = (uint8_t)c->version, .has_id = true, .id = id });
}

static size_t topic_of(unsigned number, char out[16])
{
    return (size_t)snprintf(out, 16, "soak/%u", number);
}

static void put_publish(struct client *c, const struct exchange *x, bool dup)
{
    uint8_t text[CONTENT_MAX];
    char topic[16];
    const struct message *m = &messages[x->message];
    struct mqtt_packet p = { .type = MQTT_PUBLISH, .version = (uint8_t)c->version, .has_id = m->qos > 0, .id = x->id };
    p.publish.dup = dup;
    p.publish.qos = m->qos;
    p.publish.topic = view_of(topic, topic_of(m->to, topic));
    p.publish.payload = view_of(text, content(x->message, text));
    p.publish.payload_len = (uint32_t)p.publish.payload.len;
    p.flags = (uint8_t)(dup << 3 | m->qos << 1);
    put(c, &p);
}

static void flush(struct client *c)
{
    ssize_t n = c->waiting > 0 ? send(c->fd, c->out, c->waiting, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;
    if (n > 0) {
        memmove(c->out, c->out + n, c->waiting - (size_t)n);
        c->waiting -= (size_t)n;
    }
    struct epoll_event e = { .events = EPOLLIN | (c->waiting > 0 ? (uint32_t)EPOLLOUT : 0), .data.ptr = c };
    epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &e);
}

static void come(struct client *c, bool clean)
{
    char id[16];
    uint8_t block[8];
    struct mqtt_packet p = { .type = MQTT_CONNECT, .version = (uint8_t)c->version };
    struct mqtt_prop expiry = { .id = MQTT_PROP_SESSION_EXPIRY_INTERVAL, .wire = MQTT_WIRE_U32, .number = 600 };
    c->fd = socket_to(port);
    assert_true(c->fd >= 0);
    c->have = c->waiting = 0;
    c->up = false;
    p.connect = (struct mqtt_connect){ .protocol_name = view_of("MQTT", 4),
                                       .level = (uint8_t)c->version,
                                       .clean = clean,
                                       .flags = (uint8_t)(clean << 1) };
    p.connect.client_id = view_of(id, (size_t)snprintf(id, sizeof id, "soak%u", c->number));
    if (c->version == MQTT_V5 && !clean)
        p.props.block = view_of(block, mqtt_prop_write(block, 0, sizeof block, &expiry));
    put(c, &p);
    struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };
    epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &e);
    flush(c);
}

static void drop(struct client *c)
{
    struct linger now = { .l_onoff = 1 };
    if (rnd(2) == 0)
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(c->fd);
    drops++;
    come(c, false);
}

/* ---- receiving ---- */

static struct exchange *find(struct client *c, uint16_t id)
{
    for (int i = 0; i < INFLIGHT; i++)
        if (c->open[i].id == id && id != 0)
            return &c->open[i];
    return NULL;
}

static void finish(struct exchange *x)
{
    messages[x->message].finished = true;
    unfinished--;
    x->id = 0;
}

static void take(const struct client *c, const struct mqtt_publish *p)
{
    uint8_t want[CONTENT_MAX];
    uint32_t number;
    assert_true(p->payload.len >= 4);
    memcpy(&number, p->payload.ptr, 4);
    assert_true(number < nmessages);
    struct message *m = &messages[number];
    assert_int_equal(p->payload.len, content(number, want));
    assert_memory_equal(p->payload.ptr, want, p->payload.len);
    assert_int_equal(m->to, c->number);
    assert_int_equal(p->qos, m->qos);
    if (m->received < 255)
        m->received++;
}

static void on_publish(struct client *c, const struct mqtt_packet *p)
{
    bool known = p->id != 0 && (c->in2[p->id / 8] & 1 << p->id % 8) != 0;
    if (p->publish.qos < 2 || !known)
        take(c, &p->publish);
    if (p->publish.qos == 1)
        put_ack(c, MQTT_PUBACK, p->id);
    if (p->publish.qos == 2) {
        c->in2[p->id / 8] |= (uint8_t)(1 << p->id % 8);
        put_ack(c, MQTT_PUBREC, p->id);
    }
}

/* 3.1.1: re-send whatever Session Present says; 5.0: it is always 1 here but for the first time. */
static void on_connack(struct client *c, const struct mqtt_packet *p)
{
    assert_int_equal(p->reason, 0);
    c->up = true;
    for (int i = 0; i < INFLIGHT; i++) {
        if (c->open[i].id != 0 && c->open[i].pubrel)
            put_ack(c, MQTT_PUBREL, c->open[i].id);
        else if (c->open[i].id != 0)
            put_publish(c, &c->open[i], true);
    }
    if (c->subscribed)
        return;
    uint8_t list[64];
    char topic[16];
    struct mqtt_filter f = { .options = 2, .has_options = true };
    f.filter = view_of(topic, topic_of(c->number, topic));
    struct mqtt_packet s = {
        .type = MQTT_SUBSCRIBE, .flags = 2, .version = (uint8_t)c->version, .has_id = true, .id = 60000
    };
    s.list.payload = view_of(list, mqtt_filter_write(list, 0, sizeof list, &f));
    s.list.count = 1;
    put(c, &s);
}

static void on_packet(struct client *c, struct view octets)
{
    struct mqtt_verdict at[4];
    struct mqtt_verdicts v = { .at = at, .cap = 4 };
    struct mqtt_packet p;
    mqtt_decode(octets, (struct mqtt_context){ (uint8_t)c->version, MQTT_SERVER }, &p, &v);
    assert_int_equal(v.n, 0);
    struct exchange *x = find(c, p.id);
    switch (p.type) {
    case MQTT_CONNACK:
        on_connack(c, &p);
        break;
    case MQTT_SUBACK:
        c->subscribed = true;
        break;
    case MQTT_PUBLISH:
        on_publish(c, &p);
        break;
    case MQTT_PUBACK:
    case MQTT_PUBCOMP:
        if (x != NULL)
            finish(x);
        break;
    case MQTT_PUBREC:
        assert_true(p.reason < 0x80);
        if (x != NULL)
            x->pubrel = true;
        put_ack(c, MQTT_PUBREL, p.id);
        break;
    case MQTT_PUBREL:
        c->in2[p.id / 8] &= (uint8_t) ~(1 << p.id % 8);
        put_ack(c, MQTT_PUBCOMP, p.id);
        break;
    default:
        fail_msg("packet of type %u", p.type);
    }
}

/* False: the broker closed, which it must not. */
static bool receive(struct client *c)
{
    ssize_t n = recv(c->fd, c->in + c->have, ROOM - c->have, MSG_DONTWAIT);
    if (n <= 0)
        return n < 0 && errno == EAGAIN;
    c->have += (size_t)n;
    size_t pos = 0;
    while (fits(c) && c->have - pos >= 2) {
        uint32_t remaining;
        int len = mqtt_vbi_read(view_of(c->in + pos + 1, c->have - pos - 1), &remaining);
        size_t total = len > 0 ? 1 + (size_t)len + remaining : SIZE_MAX;
        if (total > c->have - pos)
            break;
        on_packet(c, view_of(c->in + pos, total));
        pos += total;
    }
    memmove(c->in, c->in + pos, c->have - pos);
    c->have -= pos;
    return true;
}

/* ---- the life of a client ---- */

static void publish(struct client *c)
{
    for (int i = 0; i < INFLIGHT && fits(c) && nmessages < MESSAGES; i++) {
        if (c->open[i].id != 0)
            continue;
        messages[nmessages] = (struct message){ .to = (uint16_t)rnd(CLIENTS), .qos = (uint8_t)rnd(3) };
        c->next_id = (uint16_t)(c->next_id % 50000 + 1);
        struct exchange x = { .message = nmessages++, .id = c->next_id };
        put_publish(c, &x, false);
        if (messages[x.message].qos == 0)
            continue;
        unfinished++;
        c->open[i] = x;
        return;
    }
}

static void turn(void)
{
    struct epoll_event events[128];
    int n = epoll_wait(epoll, events, 128, publishing ? 1 : 1000);
    for (int i = 0; i < n; i++) {
        struct client *c = events[i].data.ptr;
        if ((events[i].events & ~(uint32_t)EPOLLOUT) != 0)
            assert_true(receive(c));
        if (publishing && c->up && c->subscribed)
            publish(c);
        if (publishing && rnd(60) == 0)
            drop(c);
        flush(c);
    }
    for (int i = 0; publishing && i < 8; i++) { /* somebody may have nothing to wait for */
        struct client *c = &clients[rnd(CLIENTS)];
        if (c->up && c->subscribed)
            publish(c);
        flush(c);
    }
}

static uint32_t missing(void)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < nmessages; i++)
        n += messages[i].qos > 0 && messages[i].received == 0;
    return n;
}

static void judge(void)
{
    unsigned twice = 0, lost = 0, counts[3] = { 0 };
    for (uint32_t i = 0; i < nmessages; i++) {
        counts[messages[i].qos]++;
        lost += messages[i].qos > 0 && messages[i].received == 0;
        twice += messages[i].qos == 2 && messages[i].received > 1;
    }
    print_message("%u messages (%u, %u, %u at QoS 0, 1, 2), %llu connections dropped\n", nmessages, counts[0],
                  counts[1], counts[2], (unsigned long long)drops);
    assert_int_equal(lost, 0);
    assert_int_equal(twice, 0);
    assert_true(nmessages > 1000 && drops > 50);
}

static void soak(int seconds)
{
    nmessages = unfinished = 0;
    drops = 0;
    epoll = epoll_create1(EPOLL_CLOEXEC);
    for (unsigned i = 0; i < CLIENTS; i++) {
        memset(&clients[i], 0, sizeof clients[i]);
        clients[i].number = i;
        clients[i].version = i % 2 == 0 ? MQTT_V311 : MQTT_V5;
        come(&clients[i], false);
    }
    for (unsigned ready = 0;
         ready < CLIENTS;) { /* a message to a topic without its subscriber would be lost, rightly */
        publishing = false;
        turn();
        ready = 0;
        for (unsigned i = 0; i < CLIENTS; i++)
            ready += clients[i].subscribed;
    }
    publishing = true;
    for (int64_t end = now_ms() + seconds * 1000; now_ms() < end && nmessages < MESSAGES;)
        turn();
    publishing = false;
    for (int64_t end = now_ms() + DRAIN_MS; (unfinished > 0 || missing() > 0) && now_ms() < end;)
        turn();
    judge();
    for (unsigned i = 0; i < CLIENTS; i++) { /* the sessions end */
        close(clients[i].fd);
        come(&clients[i], true);
        clients[i].subscribed = true;
    }
    for (unsigned ready = 0; ready < CLIENTS;) {
        turn();
        ready = 0;
        for (unsigned i = 0; i < CLIENTS; i++)
            ready += clients[i].up;
    }
    for (unsigned i = 0; i < CLIENTS; i++)
        close(clients[i].fd);
    close(epoll);
}

/* What the broker says of its memory once nobody is there but us: two reports in a row that agree. */
static long memory(void)
{
    static const uint8_t connect[] = { 0x10, 15, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0, 0, 3, 'm', 'e', 'm' };
    static const char topic[] = "$SYS/broker/heap/current", clients_topic[] = "$SYS/broker/clients/total";
    uint8_t subscribe[80] = { 0x82, 0, 0, 1, 0, sizeof topic - 1 }, got[4096];
    size_t at = 6, have = 0;
    memcpy(subscribe + at, topic, sizeof topic - 1);
    at += sizeof topic; /* the QoS octet is 0 */
    subscribe[at++] = 0;
    subscribe[at++] = sizeof clients_topic - 1;
    memcpy(subscribe + at, clients_topic, sizeof clients_topic - 1);
    at += sizeof clients_topic;
    subscribe[1] = (uint8_t)(at - 2);
    int fd = socket_to(port);
    assert_int_equal(send(fd, connect, sizeof connect, 0), sizeof connect);
    assert_int_equal(send(fd, subscribe, at, 0), at);
    bool alone = false;
    long answer = -1;
    while (answer < 0) {
        ssize_t n = recv(fd, got + have, sizeof got - have, 0);
        assert_true(n > 0);
        have += (size_t)n;
        size_t pos = 0;
        while (have - pos >= 2 && have - pos >= 2u + got[pos + 1]) {
            char text[100] = "";
            size_t skip = 4 + (size_t)got[pos + 3], len = 2u + got[pos + 1];
            bool publish_packet = got[pos] >> 4 == MQTT_PUBLISH;
            if (publish_packet)
                memcpy(text, got + pos + skip, len - skip);
            if (publish_packet && got[pos + 3] == sizeof clients_topic - 1)
                alone = atol(text) == 1;
            else if (publish_packet && alone)
                answer = atol(text);
            pos += len;
        }
        memmove(got, got + pos, have - pos);
        have -= pos;
    }
    close(fd);
    return answer;
}

static void test_soak(void **state)
{
    (void)state;
    struct server s;
    const char *seconds = getenv("SOAK_SECONDS");
    assert_true(server_start(&s, "--max-queued 100000 --sys-interval 1"));
    port = s.port;
    clients = calloc(CLIENTS, sizeof *clients);
    messages = calloc(MESSAGES, sizeof *messages);
    soak(seconds != NULL ? atoi(seconds) : 3);
    long before = memory();
    soak(seconds != NULL ? atoi(seconds) : 3);
    long after = memory();
    print_message("memory of the broker: %ld octets after the first run, %ld after the second\n", before, after);
    assert_true(labs(after - before) < 4096); /* digits of $SYS, buffers of the moment; a leak per drop is far more */
    assert_int_equal(server_stop(&s), 0);
    free(clients);
    free(messages);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_soak) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
