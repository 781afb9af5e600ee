/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/talk/tls_keys.h -- secrets of TLS connections from NSS key logs: a file (which may grow while it is read) and
 * the Decryption Secrets Blocks of pcapng. */
#pragma once
#include "decoder/base/cursor.h"

enum tls_label {
    TLS_MASTER,       /* CLIENT_RANDOM: the master secret of TLS 1.2 */
    TLS_CLIENT_EARLY, /* CLIENT_EARLY_TRAFFIC_SECRET and so on: TLS 1.3 */
    TLS_CLIENT_HANDSHAKE,
    TLS_SERVER_HANDSHAKE,
    TLS_CLIENT_TRAFFIC,
    TLS_SERVER_TRAFFIC,
    TLS_LABELS
};

enum {
    TLS_RANDOM = 32,
    TLS_SECRET_MAX = 48,
    TLS_KEYS_MAX = 1 << 18, /* secrets kept; what comes later is counted and let go */
};

struct tls_keys;

struct tls_keys *tls_keys_new(void);    /* NULL: no memory */
void tls_keys_free(struct tls_keys *k); /* NULL is fine */

/* Reads the file, which stays open: a look-up that finds nothing reads what was added. False: errno. Once a process. */
bool tls_keys_file(struct tls_keys *k, const char *path);
void tls_keys_text(struct tls_keys *k, struct view lines); /* as of a file */

/* Octets of the secret, 0: not known. */
size_t tls_keys_find(struct tls_keys *k, enum tls_label label, const uint8_t client_random[TLS_RANDOM],
                     uint8_t secret[TLS_SECRET_MAX]);
/* Could a secret be found, now or later? */
bool tls_keys_hopeful(const struct tls_keys *k);
uint32_t tls_keys_count(const struct tls_keys *k);
uint64_t tls_keys_refused(const struct tls_keys *k); /* for lack of room */
