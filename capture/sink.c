/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/sink.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

/* Writes all of it, waiting where the descriptor is of the kind that does not. */
static int write_all(int fd, const char *octets, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, octets, len);
        if (n >= 0) {
            octets += n;
            len -= (size_t)n;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            struct pollfd ready = { .fd = fd, .events = POLLOUT };
            poll(&ready, 1, -1);
        } else if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

void sink_flush(struct sink *s)
{
    if (s->error == 0)
        s->error = write_all(s->fd, s->out.at, s->out.len);
    s->out.len = 0;
}

static void drain(struct out *o)
{
    sink_flush(o->owner);
}

void sink_init(struct sink *s, int fd)
{
    s->out = out_over(s->buffer, sizeof s->buffer);
    s->out.drain = drain;
    s->out.owner = s;
    s->fd = fd;
    s->error = 0;
}

bool sink_reader_gone(const struct sink *s)
{
    return s->error == EPIPE || s->error == ECONNRESET;
}
