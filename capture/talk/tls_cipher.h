/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/talk/tls_cipher.h -- records of TLS 1.2 (RFC 5246, 5288, 6655, 7366, 7905) and 1.3 (RFC 8446) with their
 * secrets to plaintext. The primitives are libcrypto's. */
#pragma once
#include "decoder/base/cursor.h"

enum { TLS_PLAIN_MAX = 16384 + 2048 };

struct tls_suite;

/* By the number in ServerHello; NULL: not known. */
const struct tls_suite *tls_suite_of(uint16_t number);
bool tls_suite_is_13(const struct tls_suite *s);
size_t tls_suite_hash(const struct tls_suite *s); /* octets of its digest, and of a traffic secret */

/* The protection of one direction. */
struct tls_cipher;

/* 1.3: from a traffic secret. NULL: no memory. */
struct tls_cipher *tls_cipher_13(const struct tls_suite *s, struct view secret);
/* 1.3: the next one after a KeyUpdate. */
struct tls_cipher *tls_cipher_updated(const struct tls_cipher *c);
/* 1.2: of the client (server false) or the server; etm: encrypt_then_mac was agreed on. */
struct tls_cipher *tls_cipher_12(const struct tls_suite *s, struct view master, const uint8_t client_random[32],
                                 const uint8_t server_random[32], bool server, bool etm);
void tls_cipher_free(struct tls_cipher *c); /* NULL is fine */

/* The record with this sequence number: its header (5 octets, borrowed with the body behind it) and what is in it, of
 * which *type is the content type. ptr NULL: it is not that record, or is forged. */
struct view tls_cipher_open(struct tls_cipher *c, uint64_t sequence, struct view record, uint8_t plain[TLS_PLAIN_MAX],
                            uint8_t *type);
