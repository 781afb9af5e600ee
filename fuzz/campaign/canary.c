/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/campaign/canary.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int wait_of(const struct canary *c)
{
    return c->wait_ms != 0 ? (int)c->wait_ms : CANARY_MS;
}

/* Everything out and a packet of this type back in, before the time is over. */
static bool exchange(struct canary *c, const uint8_t *out, size_t n, uint8_t expected)
{
    uint8_t in[64];
    size_t sent = 0, held = 0, wanted = expected == MQTT_CONNACK ? 4 : 2;
    int64_t until = runner_now_ns() + (int64_t)wait_of(c) * 1000000;
    while (runner_now_ns() < until) {
        ssize_t taken = sent < n ? wire_send(c->wire, c->fd, out + sent, n - sent) : 0;
        if (taken < 0 && errno != EAGAIN)
            return false;
        sent += taken > 0 ? (size_t)taken : 0;
        wire_flush(c->wire);
        ssize_t got = wire_recv(c->wire, c->fd, in + held, sizeof in - held);
        held += got > 0 ? (size_t)got : 0;
        if (held >= wanted && in[0] >> 4 == expected) {
            c->refused = expected == MQTT_CONNACK ? in[3] : 0;
            return c->refused == 0;
        }
        if (held == sizeof in)
            return false; /* nobody asked for that */
        if (got == 0 || (got < 0 && errno != EAGAIN))
            return false;
        if (got < 0)
            poll(&(struct pollfd){ .fd = c->fd, .events = POLLIN }, 1, 100);
    }
    return false;
}

/* Begins to connect, without blocking then or later, and waits no longer than wait_ms. */
static bool try_socket(struct canary *c, const struct runner_target *target, int wait_ms)
{
    int error = 0;
    socklen_t len = sizeof error;
    c->fd = socket(target->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
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
    }
    c->wire = wire_is_plain(&target->wire) ? NULL : wire_begin(&target->wire, c->fd);
    return wire_is_plain(&target->wire) || c->wire != NULL;
}

bool canary_connect(struct canary *c, const struct runner_target *target)
{
    static const uint8_t plain[] = {
        0x10, 18, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0, 0, 6, 'c', 'a', 'n', 'a', 'r', 'y'
    };
    uint8_t room[1024];
    size_t n = login_add(&target->login, view_of(plain, sizeof plain), room, sizeof room);
    canary_close(c);
    return open_socket(c, target) && exchange(c, n > 0 ? room : plain, n > 0 ? n : sizeof plain, MQTT_CONNACK);
}

bool canary_lives(struct canary *c, const struct runner_target *target)
{
    static const uint8_t ping[] = { MQTT_PINGREQ << 4, 0 };
    if (c->fd >= 0 && exchange(c, ping, sizeof ping, MQTT_PINGRESP))
        return true;
    return canary_connect(c, target); /* it may have been taken over by a client of the same name */
}

void canary_complain(const struct canary *c)
{
    if (c->error != 0)
        fprintf(stderr, "mqfuzz: the broker does not accept connections: %s\n", strerror(c->error));
    else if (c->refused != 0)
        fprintf(stderr, "mqfuzz: the broker refuses a plain MQTT 3.1.1 client (return code %u)%s\n", c->refused,
                c->refused == 4 || c->refused == 5 ? "; --user and --password log in" : "");
    else
        fprintf(stderr,
                "mqfuzz: the broker does not let a plain MQTT 3.1.1 client in: it closes, or sends no CONNACK within "
                "%d s\n",
                CANARY_MS / 1000);
}

void canary_close(struct canary *c)
{
    wire_end(c->wire, false);
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    c->wire = NULL;
}
