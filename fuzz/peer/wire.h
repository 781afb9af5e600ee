/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/peer/wire.h -- what carries the octets of one connection: TCP, TLS, and WebSocket (RFC 6455) over either, as
 * a client with the subprotocol mqtt (section 6 of both standards).
 *
 * The handshakes happen with the first octets that are sent; the socket stays the caller's and does not block. */
#pragma once
#include "fuzz/peer/login.h"

struct wire_kind {
    struct tls_context *tls; /* NULL: none; borrowed */
    bool websocket;
    char host[256], path[256]; /* of WebSocket's request */
};

struct wire; /* NULL: plain TCP, to all below */

static inline bool wire_is_plain(const struct wire_kind *kind)
{
    return kind->tls == NULL && !kind->websocket;
}

/* For a connection of a kind that is not plain. NULL: no memory. */
struct wire *wire_begin(const struct wire_kind *kind, int fd);
/* As send(2) and recv(2) on a socket that does not block: -1 with EAGAIN means later, with EPROTO that the other side
 * breaks the rules of the carrier (wire_trouble() says how), another error the end. What was taken may still wait. */
ssize_t wire_send(struct wire *wire, int fd, const void *octets, size_t n);
ssize_t wire_recv(struct wire *wire, int fd, void *octets, size_t cap);
void wire_flush(struct wire *wire);
bool wire_waits(const struct wire *wire);      /* something was taken and waits until the socket takes it */
void wire_end(struct wire *wire, bool say_so); /* say_so: with the goodbyes of its layers */
const char *wire_trouble(void);                /* why the latest call failed, for people */
