/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* O_TMPFILE */
#include "capture/frames/spool.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct spool {
    FILE *file;
    uint8_t *octets; /* one frame, on the way back */
    size_t cap;
    char error[RECORD_ERROR_MAX];
};

struct header {
    int64_t time_ns;
    uint32_t len, wire_len, interface_id, link_type, connection;
};

static bool fail(struct spool *s, int why)
{
    snprintf(s->error, sizeof s->error, "the file that holds frames back until they match: %s", strerror(why));
    return false;
}

static int open_nameless(const char *folder)
{
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        return fd;
    char name[PATH_MAX + 16];
    snprintf(name, sizeof name, "%s/mqshark.XXXXXX", folder);
    fd = mkstemp(name);
    if (fd >= 0)
        unlink(name);
    return fd;
}

FILE *spool_nameless(const char *beside, char *error, size_t error_len)
{
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s", beside);
    char *slash = strrchr(folder, '/');
    if (strcmp(beside, "-") == 0)
        snprintf(folder, sizeof folder, "/tmp");
    else if (slash == NULL)
        snprintf(folder, sizeof folder, ".");
    else
        slash[slash == folder ? 1 : 0] = '\0';
    int fd = open_nameless(folder);
    FILE *file = fd >= 0 ? fdopen(fd, "w+") : NULL;
    if (file != NULL)
        return file;
    snprintf(error, error_len, "%.200s: no file to hold frames back in: %s", folder, strerror(errno));
    if (fd >= 0)
        close(fd);
    return NULL;
}

struct spool *spool_open(const char *beside, char *error)
{
    struct spool *s = calloc(1, sizeof *s);
    if (s == NULL) {
        snprintf(error, RECORD_ERROR_MAX, "%s", strerror(ENOMEM));
        return NULL;
    }
    s->file = spool_nameless(beside, error, RECORD_ERROR_MAX);
    if (s->file != NULL)
        return s;
    free(s);
    return NULL;
}

bool spool_put(struct spool *s, const struct frame *f, uint32_t connection)
{
    struct header h = { .time_ns = f->time_ns,
                        .len = (uint32_t)f->octets.len,
                        .wire_len = f->wire_len,
                        .interface_id = f->interface_id,
                        .link_type = f->link_type,
                        .connection = connection };
    if (s->error[0] != '\0')
        return false;
    if (fwrite(&h, sizeof h, 1, s->file) != 1 || fwrite(f->octets.ptr, 1, h.len, s->file) != h.len)
        return fail(s, errno);
    return true;
}

static bool read_back(struct spool *s, const struct header *h, struct frame *out)
{
    if (h->len > s->cap) {
        uint8_t *grown = realloc(s->octets, h->len);
        if (grown == NULL)
            return fail(s, ENOMEM);
        s->octets = grown;
        s->cap = h->len;
    }
    if (fread(s->octets, 1, h->len, s->file) != h->len)
        return fail(s, EIO);
    *out = (struct frame){ .octets = view_of(s->octets, h->len),
                           .wire_len = h->wire_len,
                           .interface_id = h->interface_id,
                           .link_type = h->link_type,
                           .time_ns = h->time_ns };
    return true;
}

bool spool_record(struct spool *s, struct recorder *r, bool (*kept)(const void *ctx, uint32_t connection),
                  const void *ctx, const struct pipeline_record *options)
{
    struct header h;
    if (fflush(s->file) != 0)
        return fail(s, errno);
    rewind(s->file);
    while (fread(&h, sizeof h, 1, s->file) == 1) {
        struct frame f;
        if (!read_back(s, &h, &f))
            return false;
        if (h.connection != SPOOL_ALWAYS && !kept(ctx, h.connection))
            continue;
        if (options->mask != NULL &&
            !options->mask(options->mask_ctx, s->octets, h.len, h.wire_len, h.link_type, h.connection))
            continue;
        if (!record_frame(r, &f))
            return false;
    }
    return true;
}

const char *spool_error(const struct spool *s)
{
    return s->error;
}

void spool_close(struct spool *s)
{
    if (s == NULL)
        return;
    fclose(s->file);
    free(s->octets);
    free(s);
}
