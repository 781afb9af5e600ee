/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/frames/spool.h -- frames put aside with the number of their connection, until it is known which ones are
 * wanted: a recording of the connections that carry a matching packet begins with their handshakes. Kept in a file
 * without a name. */
#pragma once
#include "capture/frames/record.h"
#include <stdio.h>

struct spool;

#define SPOOL_ALWAYS UINT32_MAX /* number of frames that go with any connection: fragments */

struct spool *spool_open(const char *beside,
                         char *error); /* a path in the folder to use; RECORD_ERROR_MAX; NULL: error */
bool spool_put(struct spool *s, const struct frame *f, uint32_t connection);
/* Records the frames of connections for which kept() says so, in their order, under the mask of `options` if it has
 * one. False: it failed, or the recorder is over. */
bool spool_record(struct spool *s, struct recorder *r, bool (*kept)(const void *ctx, uint32_t connection),
                  const void *ctx, const struct pipeline_record *options);
/* A file without a name in the folder of this path ("-": in /tmp), open for both. NULL: error (error_len octets). */
FILE *spool_nameless(const char *beside, char *error, size_t error_len);
const char *spool_error(const struct spool *s);
void spool_close(struct spool *s); /* NULL is fine */
