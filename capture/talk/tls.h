/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/talk/tls.h -- an onlooker's view of one TLS connection (1.2: RFC 5246; 1.3: RFC 8446) whose secrets a key log
 * tells: octets of both directions in, application data out.
 *
 * No message of the handshake is needed but the two hellos: whether a key fits is told by the record itself, which is
 * authenticated. So a key change, a KeyUpdate and records that were lost are found by trying. Memory: this struct and
 * one record a direction. */
#pragma once
#include "capture/talk/tls_keys.h"

/* Everything borrowed for the call. */
struct tls_events {
    void (*data)(void *ctx, unsigned dir, struct view octets);
    /* About so many octets are missing; captured: they are there, but cannot be read. */
    void (*gap)(void *ctx, unsigned dir, uint64_t octets, bool captured, const char *why);
    void (*other)(void *ctx); /* it cannot be read, and nothing more will come: tls_fate() says why */
};

enum tls_fate {
    TLS_WAITING, /* no record was opened, and none had to be */
    TLS_OPENED,  /* application data came out */
    TLS_NO_KEY,  /* the key log does not know it */
    TLS_UNKNOWN, /* a version or cipher suite that is not known here, or no TLS */
};

struct tls;

struct tls *tls_new(unsigned client_dir, struct tls_keys *keys); /* keys are borrowed; NULL: no memory */
void tls_free(struct tls *t);                                    /* NULL is fine */
uint64_t tls_memory(const struct tls *t);                        /* octets; 0 for NULL */
enum tls_fate tls_fate(const struct tls *t);

void tls_take(struct tls *t, unsigned dir, struct view octets, const struct tls_events *events, void *ctx);
/* So many octets of this direction were never seen. */
void tls_lose(struct tls *t, unsigned dir, uint64_t octets, const char *why, const struct tls_events *events,
              void *ctx);
