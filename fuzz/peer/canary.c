/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/peer/canary.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int wait_of(const struct canary *c)
{
    return c->wait_ms != 0 ? (int)c->wait_ms : CANARY_MS;
}

/* Octets of the packet at the front; 0: it is not whole yet. */
static size_t first_packet(const uint8_t *in, size_t held)
{
    size_t len = 0, at = 1;
    for (unsigned shift = 0; at < held && shift < 28; shift += 7) {
        len |= (size_t)(in[at] & 0x7f) << shift;
        if (in[at++] < 0x80)
            return held - at >= len ? at + len : 0;
    }
    return 0;
}

/* Is the packet that is waited for among what came? Others are passed over. */
static bool came(struct canary *c, uint8_t *in, size_t *held, uint8_t expected)
{
    for (size_t n; (n = first_packet(in, *held)) > 0;) {
        bool it = in[0] >> 4 == expected;
        size_t code = in[1] < 0x80 ? 3 : 4;
        if (it && expected == MQTT_CONNACK)
            c->refused = code < n ? in[code] : 0;
        memmove(in, in + n, *held -= n);
        if (it)
            return true;
    }
    return false;
}

/* Everything out and a packet of this type back in, before the time is over: as much of it as this process ran, not
 * what it was stopped for. */
static bool exchange(struct canary *c, const struct runner_target *target, const uint8_t *out, size_t n,
                     uint8_t expected)
{
    enum { TURN_MS = 100 };
    const int64_t turn_max = 2 * TURN_MS * INT64_C(1000000);
    uint8_t in[1024]; /* CONNACK of 5.0 may be long */
    size_t sent = 0, held = 0;
    int64_t left = (int64_t)wait_of(c) * 1000000, before = runner_now_ns();
    while (left > 0) {
        ssize_t taken = sent < n ? wire_send(c->wire, c->fd, out + sent, n - sent) : 0;
        bool broken = taken < 0 && errno != EAGAIN;
        sent += taken > 0 ? (size_t)taken : 0;
        wire_flush(c->wire);
        ssize_t got = wire_recv(c->wire, c->fd, in + held, sizeof in - held);
        bool ended = got == 0 || (got < 0 && errno != EAGAIN);
        held += got > 0 ? (size_t)got : 0;
        if (c->n_first == 0 && got > 0)
            memcpy(c->first, in, c->n_first = (uint8_t)(held < sizeof c->first ? held : sizeof c->first));
        if (came(c, in, &held, expected))
            return c->refused == 0;
        c->closed = ended || broken;
        if (c->closed || held == sizeof in)
            return false;
        if (got < 0)
            poll(&(struct pollfd){ .fd = c->fd, .events = POLLIN }, 1, TURN_MS);
        runner_hear(target);
        if (c->meanwhile != NULL && !c->meanwhile(c->ctx))
            return false;
        int64_t now = runner_now_ns(), turn = now - before;
        left -= turn < turn_max ? turn : turn_max;
        before = now;
    }
    return false;
}

/* Begins to connect, without blocking then or later, and waits no longer than wait_ms. */
static bool try_socket(struct canary *c, const struct runner_target *target, int wait_ms)
{
    int error = 0;
    socklen_t len = sizeof error;
    c->fd = socket(target->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    c->error = c->fd < 0 ? errno : 0;
    if (c->fd < 0)
        return false;
    bool ok = connect(c->fd, (const struct sockaddr *)&target->addr, target->addr_len) == 0 ||
              (errno == EINPROGRESS && poll(&(struct pollfd){ .fd = c->fd, .events = POLLOUT }, 1, wait_ms) > 0 &&
               getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == 0);
    c->error = ok ? 0 : error != 0 ? error : errno == EINPROGRESS ? ETIMEDOUT : errno;
    return ok;
}

/* When the broker's queue of connections is full for a moment, the kernel drops the SYN and tries again after 1 s and
 * 3 s only: that is not the broker's doing. So a new socket every RETRY_MS. */
static bool open_socket(struct canary *c, const struct runner_target *target)
{
    enum { RETRY_MS = 200 };
    for (int left = wait_of(c); !try_socket(c, target, left < RETRY_MS ? left : RETRY_MS);) {
        left -= RETRY_MS;
        if (c->error != ETIMEDOUT || left <= 0)
            return false;
        canary_close(c);
        runner_hear(target);
        if (c->meanwhile != NULL && !c->meanwhile(c->ctx))
            return false;
    }
    c->wire = wire_is_plain(&target->wire) ? NULL : wire_begin(&target->wire, c->fd);
    return wire_is_plain(&target->wire) || c->wire != NULL;
}

bool canary_connect(struct canary *c, const struct runner_target *target)
{
    static const uint8_t v31[] = { 0x10, 20, 0, 6, 'M', 'Q', 'I', 's', 'd', 'p', 3,
                                   2,    0,  0, 0, 6,   'c', 'a', 'n', 'a', 'r', 'y' };
    static const uint8_t v311[] = {
        0x10, 18, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0, 0, 6, 'c', 'a', 'n', 'a', 'r', 'y'
    };
    static const uint8_t v5[] = {
        0x10, 19, 0, 4, 'M', 'Q', 'T', 'T', 5, 2, 0, 0, 0, 0, 6, 'c', 'a', 'n', 'a', 'r', 'y'
    };
    struct view plain = c->version == MQTT_V31  ? view_of(v31, sizeof v31)
                        : c->version == MQTT_V5 ? view_of(v5, sizeof v5)
                                                : view_of(v311, sizeof v311);
    uint8_t room[1024];
    size_t n = login_add(&target->login, plain, room, sizeof room);
    canary_close(c);
    c->refused = c->n_first = 0;
    c->closed = false;
    if (open_socket(c, target) && exchange(c, target, n > 0 ? room : plain.ptr, n > 0 ? n : plain.len, MQTT_CONNACK))
        return true;
    canary_close(c); /* an answer that comes late is not for the next question */
    return false;
}

bool canary_lives(struct canary *c, const struct runner_target *target)
{
    static const uint8_t ping[] = { MQTT_PINGREQ << 4, 0 };
    if (c->fd >= 0 && exchange(c, target, ping, sizeof ping, MQTT_PINGRESP))
        return true;
    return canary_connect(c, target); /* it may have been taken over by a client of the same name */
}

bool canary_helpless(const struct canary *c)
{
    return c->error == EADDRNOTAVAIL || c->error == EMFILE || c->error == ENFILE || c->error == ENOBUFS ||
           c->error == ENOMEM;
}

static bool wants_login(const struct canary *c)
{
    return c->version == MQTT_V5 ? c->refused == 0x86 || c->refused == 0x87 : c->refused == 4 || c->refused == 5;
}

void canary_why(const struct canary *c, char *out, size_t cap)
{
    const char *v = mqtt_version_name(c->version);
    const char *name = c->refused < 0x80 ? mqtt_return_name(c->refused) : mqtt_reason_name(MQTT_CONNACK, c->refused);
    char octets[3 * sizeof c->first + 1] = "";
    for (unsigned i = 0; i < c->n_first; i++)
        snprintf(octets + 3 * (size_t)i, 4, " %02x", c->first[i]);
    if (c->error != 0)
        snprintf(out, cap, "the broker does not accept connections: %s", strerror(c->error));
    else if (c->refused != 0)
        snprintf(out, cap, "the broker refuses a plain MQTT %s client (return code %u, %s)", v, c->refused,
                 name != NULL ? name : "unknown");
    else if (c->n_first > 0)
        snprintf(out, cap,
                 "the broker does not let a plain MQTT %s client in: it answers CONNECT with%s%s, which is no CONNACK",
                 v, octets, c->n_first == sizeof c->first ? " ..." : "");
    else
        snprintf(out, cap, "the broker does not let a plain MQTT %s client in: it %s", v,
                 c->closed ? "closes the connection" : "sends no CONNACK in time");
}

void canary_complain(const struct canary *c)
{
    char why[CANARY_WHY];
    canary_why(c, why, sizeof why);
    fprintf(stderr, "mqfuzz: %s%s\n", why, c->error == 0 && wants_login(c) ? "; --user and --password log in" : "");
}

void canary_close(struct canary *c)
{
    wire_end(c->wire, false);
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    c->wire = NULL;
}
