/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/broker/load.c -- load for a broker, and what it costs the broker: processor time per message and resident
 * memory per connection, read from /proc. Works with any broker on this machine; tests/broker/compare.sh puts two side
 * by side.
 *
 *     load PORT PID idle CONNECTIONS
 *     load PORT PID flow QOS PAIRS MESSAGES PAYLOAD WINDOW     each pair: a publisher and a subscriber of its own topic
 *     load PORT PID fan QOS SUBSCRIBERS MESSAGES PAYLOAD WINDOW one publisher, all subscribe */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ROOM = 256 * 1024 };

struct peer {
    int fd;
    bool publisher, connected;
    unsigned number;
    uint8_t *in, *out;
    size_t have, waiting;
    uint64_t published, answered, received;
    uint16_t next_id;
};

static int epoll;
static struct peer *peers;
static unsigned npeers, ready;
static unsigned qos, payload, window;
static uint64_t messages, wanted, got;
static bool fan;

static void die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(2);
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Processor seconds the broker has used. */
static double cpu_of(int pid)
{
    char path[64], text[1024];
    unsigned long user, system;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *f = fopen(path, "r");
    if (f == NULL)
        die(path);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    sscanf(strrchr(text, ')') + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static double resident_of(int pid)
{
    char path[64];
    long pages = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", pid);
    FILE *f = fopen(path, "r");
    if (f == NULL || fscanf(f, "%*d %ld", &pages) != 1)
        die(path);
    fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static void put(struct peer *p, const void *octets, size_t len)
{
    if (p->waiting + len > ROOM)
        die("too much to send");
    memcpy(p->out + p->waiting, octets, len);
    p->waiting += len;
}

static void flush(struct peer *p)
{
    if (p->waiting == 0)
        return;
    ssize_t n = send(p->fd, p->out, p->waiting, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno != EAGAIN)
        die("send");
    if (n > 0) {
        memmove(p->out, p->out + n, p->waiting - (size_t)n);
        p->waiting -= (size_t)n;
    }
    struct epoll_event e = { .events = EPOLLIN | (p->waiting > 0 ? (uint32_t)EPOLLOUT : 0), .data.ptr = p };
    epoll_ctl(epoll, EPOLL_CTL_MOD, p->fd, &e);
}

static void say_connect(struct peer *p)
{
    uint8_t packet[64] = { 0x10, 0, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0 };
    int n = snprintf((char *)packet + 14, 40, "load-%u", p->number);
    packet[1] = (uint8_t)(12 + n);
    packet[12] = 0;
    packet[13] = (uint8_t)n;
    put(p, packet, (size_t)(14 + n));
}

static size_t topic_of(const struct peer *p, uint8_t *out)
{
    int n = snprintf((char *)out + 2, 40, "load/topic/%u", fan ? 0 : p->number / 2);
    out[0] = 0;
    out[1] = (uint8_t)n;
    return (size_t)(n + 2);
}

static void say_subscribe(struct peer *p)
{
    uint8_t packet[80] = { 0x82, 0, 0, 1 };
    size_t n = topic_of(p, packet + 4);
    packet[4 + n] = (uint8_t)qos;
    packet[1] = (uint8_t)(2 + n + 1);
    put(p, packet, 4 + n + 1);
}

static void say_publish(struct peer *p)
{
    uint8_t packet[70000] = { 0 }, body[64];
    size_t n = topic_of(p, body), remaining, at = 1;
    if (qos > 0) {
        p->next_id = (uint16_t)(p->next_id == UINT16_MAX ? 1 : p->next_id + 1);
        body[n++] = (uint8_t)(p->next_id >> 8);
        body[n++] = (uint8_t)p->next_id;
    }
    packet[0] = (uint8_t)(0x30 | qos << 1);
    for (remaining = n + payload; remaining > 127; remaining >>= 7)
        packet[at++] = (uint8_t)(remaining | 0x80);
    packet[at++] = (uint8_t)remaining;
    memcpy(packet + at, body, n);
    put(p, packet, at + n + payload);
    p->published++;
}

/* QoS 0 has no answers: what the subscriber has got stands for them, so that no broker has to drop. */
static struct peer *other(const struct peer *p)
{
    return fan ? &peers[p->publisher ? 0 : npeers - 1] : &peers[p->number ^ 1];
}

static void publish_some(struct peer *p)
{
    if (qos == 0 && p->publisher)
        p->answered = other(p)->received;
    while (p->connected && p->publisher && p->published < messages && p->published - p->answered < window &&
           p->waiting < ROOM / 2 - payload)
        say_publish(p);
}

static void answer(struct peer *p, uint8_t type, const uint8_t *id)
{
    uint8_t packet[4] = { type, 2, id[0], id[1] };
    put(p, packet, 4);
}

static void on_packet(struct peer *p, const uint8_t *body, uint8_t first)
{
    size_t topic;
    switch (first >> 4) {
    case 2:
        if (p->publisher) {
            p->connected = true;
            ready++;
        } else if (qos <= 2) {
            say_subscribe(p);
        }
        break;
    case 9:
        p->connected = true;
        ready++;
        break;
    case 3:
        topic = 2 + (size_t)(body[0] << 8 | body[1]);
        p->received++;
        got++;
        if ((first & 6) == 2)
            answer(p, 0x40, body + topic);
        else if ((first & 6) == 4)
            answer(p, 0x50, body + topic);
        break;
    case 4:
    case 7:
        p->answered++;
        break;
    case 5:
        answer(p, 0x62, body);
        break;
    case 6:
        answer(p, 0x70, body);
        break;
    default:
        break;
    }
}

static void on_octets(struct peer *p)
{
    ssize_t n = recv(p->fd, p->in + p->have, ROOM - p->have, MSG_DONTWAIT);
    if (n <= 0) {
        if (n < 0 && errno == EAGAIN)
            return;
        die("the broker closed a connection");
    }
    p->have += (size_t)n;
    size_t pos = 0;
    for (;;) {
        size_t len = 0, at = 1, shift = 0;
        bool whole = false;
        while (pos + at < p->have && at < 5) {
            uint8_t octet = p->in[pos + at++];
            len |= (size_t)(octet & 127) << shift;
            shift += 7;
            if (octet < 128) {
                whole = true;
                break;
            }
        }
        if (!whole || pos + at + len > p->have)
            break;
        on_packet(p, p->in + pos + at, p->in[pos]);
        pos += at + len;
    }
    memmove(p->in, p->in + pos, p->have - pos);
    p->have -= pos;
}

static void turn(void)
{
    struct epoll_event events[256];
    int n = epoll_wait(epoll, events, 256, 10000);
    if (n <= 0)
        die("the broker is silent");
    for (int i = 0; i < n; i++) {
        struct peer *p = events[i].data.ptr;
        if ((events[i].events & ~(uint32_t)EPOLLOUT) != 0)
            on_octets(p);
        publish_some(p);
        flush(p);
        if (qos == 0 && !p->publisher) {
            publish_some(other(p));
            flush(other(p));
        }
    }
}

static void open_peer(struct peer *p, unsigned number, bool publisher, uint16_t port, bool buffers)
{
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port = htons(port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK + (number / 20000) * 256) };
    int on = 1;
    *p = (struct peer){ .fd = socket(AF_INET, SOCK_STREAM, 0), .publisher = publisher, .number = number };
    if (p->fd < 0 || connect(p->fd, (struct sockaddr *)&to, sizeof to) != 0)
        die("connect");
    setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    size_t room = buffers ? ROOM : 512;
    p->in = malloc(room);
    p->out = malloc(room);
    struct epoll_event e = { .events = EPOLLIN, .data.ptr = p };
    epoll_ctl(epoll, EPOLL_CTL_ADD, p->fd, &e);
    say_connect(p);
    flush(p);
}

static void idle(uint16_t port, int pid, unsigned n)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    peers = calloc(n, sizeof *peers);
    double memory = resident_of(pid), cpu = cpu_of(pid), start = seconds();
    for (unsigned i = 0; i < n; i++) {
        open_peer(&peers[i], i, true, port, false);
        char connack[4];
        if (recv(peers[i].fd, connack, 4, MSG_WAITALL) != 4)
            die("no CONNACK");
    }
    printf("idle %u: %.0f octets resident per connection, %.1f us processor per connection, %.0f connections/s\n", n,
           (resident_of(pid) - memory) / n, (cpu_of(pid) - cpu) / n * 1e6, n / (seconds() - start));
}

static void flow(uint16_t port, int pid, char **argv)
{
    qos = (unsigned)atoi(argv[0]);
    unsigned pairs = (unsigned)atoi(argv[1]);
    messages = strtoull(argv[2], NULL, 10);
    payload = (unsigned)atoi(argv[3]);
    window = (unsigned)atoi(argv[4]);
    npeers = fan ? pairs + 1 : pairs * 2;
    wanted = messages * pairs;
    peers = calloc(npeers, sizeof *peers);
    for (unsigned i = 0; i < npeers; i++)
        open_peer(&peers[i], i, fan ? i == pairs : i % 2 == 1, port, true);
    while (ready < npeers) {
        /* nobody publishes before all are there */
        struct epoll_event e;
        if (epoll_wait(epoll, &e, 1, 10000) != 1)
            die("not all connect");
        on_octets(e.data.ptr);
        flush(e.data.ptr);
    }
    double cpu = cpu_of(pid), start = seconds();
    for (unsigned i = 0; i < npeers; i++) {
        publish_some(&peers[i]);
        flush(&peers[i]);
    }
    while (got < wanted)
        turn();
    double spent = seconds() - start, used = cpu_of(pid) - cpu;
    printf("%s qos %u, %u %s, payload %u: %.0f messages/s, broker %.2f us processor per delivery, %.0f deliveries per "
           "processor second\n",
           fan ? "fan" : "flow", qos, pairs, fan ? "subscribers" : "pairs", payload, (double)wanted / spent,
           used / (double)wanted * 1e6, (double)wanted / used);
}

int main(int argc, char **argv)
{
    epoll = epoll_create1(0);
    if (argc == 5 && strcmp(argv[3], "idle") == 0) {
        idle((uint16_t)atoi(argv[1]), atoi(argv[2]), (unsigned)atoi(argv[4]));
    } else if (argc == 9 && (strcmp(argv[3], "flow") == 0 || strcmp(argv[3], "fan") == 0)) {
        fan = argv[3][1] == 'a';
        flow((uint16_t)atoi(argv[1]), atoi(argv[2]), argv + 4);
    } else {
        fprintf(stderr, "usage: load PORT PID idle CONNECTIONS | (flow|fan) QOS PAIRS MESSAGES PAYLOAD WINDOW\n");
        return 1;
    }
    return 0;
}
