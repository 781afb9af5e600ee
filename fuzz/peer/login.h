/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/peer/login.h -- what a broker wants before it listens to anybody: a user, TLS. */
#pragma once
#include <sys/types.h>

#include "decoder/base/cursor.h"

struct login {
    const char *user, *password; /* NULL: none */
};

/* A CONNECT that breaks no rule and names no user, with user and password added. Returns its length; 0: send the packet
 * as it is. */
size_t login_add(const struct login *login, struct view packet, uint8_t *out, size_t cap);

/* TLS of one side that connects: a context for all, then one of these for each connection. */
struct tls;
struct tls_context;
/* cafile NULL: what the system trusts; insecure: any certificate will do. NULL: error says why. */
struct tls_context *tls_context_new(const char *cafile, bool insecure, const char *host, char *error, size_t cap);
void tls_context_free(struct tls_context *context); /* NULL is fine */
/* The handshake happens with the first octets; fd stays the caller's. NULL: no memory. */
struct tls *tls_begin(struct tls_context *context, int fd);
/* As send(2) and recv(2) on a socket that does not block: -1 with EAGAIN means later, another error the end. */
ssize_t tls_send(struct tls *tls, const void *octets, size_t n);
ssize_t tls_recv(struct tls *tls, void *octets, size_t cap);
void tls_end(struct tls *tls, bool say_so); /* say_so: with close_notify */
const char *tls_trouble(void);              /* why the latest call failed, for people */
