/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/frames/record.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    BUFFER = 256 * 1024,
    NG_SECTION = 0x0a0d0d0a,
    NG_ORDER = 0x1a2b3c4d,
    NG_INTERFACE = 1,
    NG_ENHANCED = 6,
    OPT_USER_APPLICATION = 4,
    OPT_IF_NAME = 2,
    OPT_IF_TSRESOL = 9,
    NANOSECONDS = 9, /* if_tsresol: units of 10^-9 s */
    KB = 1000,       /* as tshark counts -b and -a filesize */
};

struct recorder {
    struct pipeline_record options;
    const struct source *source;
    int fd;
    bool ring, pipe, over;
    uint8_t *buffer;
    size_t used, cap;
    uint64_t file_octets, file_frames; /* of the file under way, the buffer included */
    int64_t file_first_ns;             /* capture time of its first frame */
    uint32_t files, interfaces;        /* files begun; interfaces described in this one */
    char path[PATH_MAX];
    char (*names)[PATH_MAX]; /* of the newest ring_files */
    char error[RECORD_ERROR_MAX];
};

/* ---- octets ---- */

static bool fail(struct recorder *r, int why)
{
    if (r->error[0] == '\0')
        snprintf(r->error, sizeof r->error, "%.300s: %s", r->pipe ? "standard output" : r->path, strerror(why));
    r->over = true;
    return false;
}

/* Takes back the part of the buffer's blocks that did not fit whole: `written` octets of it are in the file. */
static void cut_back(struct recorder *r, size_t written)
{
    size_t whole = 0;
    for (uint32_t len; whole + 8 <= written; whole += len) {
        memcpy(&len, r->buffer + whole + 4, sizeof len);
        if (whole + len > written)
            break;
    }
    off_t end = lseek(r->fd, 0, SEEK_CUR);
    if (end >= 0 && ftruncate(r->fd, end - (off_t)(written - whole)) != 0)
        return; /* nothing better is left to do; the first error is the one to tell */
}

bool record_flush(struct recorder *r)
{
    size_t done = 0;
    while (done < r->used) {
        ssize_t n = write(r->fd, r->buffer + done, r->used - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            int why = errno;
            if (!r->pipe)
                cut_back(r, done);
            r->used = 0;
            return fail(r, why);
        }
        done += (size_t)n;
    }
    r->used = 0;
    return true;
}

/* Room for one whole block. */
static uint8_t *reserve(struct recorder *r, size_t n)
{
    if (r->cap - r->used < n && !record_flush(r))
        return NULL;
    if (r->cap < n) {
        uint8_t *grown = realloc(r->buffer, n);
        if (grown == NULL) {
            fail(r, ENOMEM);
            return NULL;
        }
        r->buffer = grown;
        r->cap = n;
    }
    uint8_t *at = r->buffer + r->used;
    r->used += n;
    r->file_octets += n;
    return at;
}

static uint8_t *put_u32(uint8_t *at, uint32_t v)
{
    memcpy(at, &v, sizeof v);
    return at + sizeof v;
}

static uint8_t *put_option(uint8_t *at, uint16_t code, const void *value, uint16_t len)
{
    memcpy(at, &code, 2);
    memcpy(at + 2, &len, 2);
    memset(at + 4, 0, (size_t)(len + 3) & ~(size_t)3);
    memcpy(at + 4, value, len);
    return at + 4 + ((size_t)(len + 3) & ~(size_t)3);
}

static size_t option_size(size_t len)
{
    return 4 + ((len + 3) & ~(size_t)3);
}

/* ---- blocks ---- */

static bool put_section(struct recorder *r)
{
    static const char program[] = "mqshark";
    uint32_t len = (uint32_t)(28 + option_size(sizeof program - 1) + 4);
    uint8_t *at = reserve(r, len);
    if (at == NULL)
        return false;
    at = put_u32(put_u32(put_u32(at, NG_SECTION), len), NG_ORDER);
    at = put_u32(at, 1);          /* version 1.0, in two halves */
    at = put_u32(at, UINT32_MAX); /* length of the section: not known */
    at = put_u32(at, UINT32_MAX);
    at = put_option(at, OPT_USER_APPLICATION, program, sizeof program - 1);
    put_u32(put_u32(at, 0), len);
    r->interfaces = 0;
    return true;
}

static bool put_interface(struct recorder *r, uint32_t id)
{
    struct capfile_interface i = source_interface(r->source, id);
    uint8_t resolution = NANOSECONDS;
    size_t name_len = strlen(i.name);
    uint32_t len = (uint32_t)(20 + (name_len > 0 ? option_size(name_len) : 0) + option_size(1) + 4);
    uint8_t *at = reserve(r, len);
    if (at == NULL)
        return false;
    at = put_u32(put_u32(put_u32(put_u32(at, NG_INTERFACE), len), i.link_type & 0xffff), i.snaplen);
    if (name_len > 0)
        at = put_option(at, OPT_IF_NAME, i.name, (uint16_t)name_len);
    at = put_option(at, OPT_IF_TSRESOL, &resolution, 1);
    put_u32(put_u32(at, 0), len);
    r->interfaces++;
    return true;
}

static bool put_frame(struct recorder *r, const struct frame *f)
{
    size_t captured = f->octets.len, padded = (captured + 3) & ~(size_t)3;
    uint32_t len = (uint32_t)(32 + padded);
    uint64_t time = (uint64_t)f->time_ns;
    uint8_t *at = reserve(r, len);
    if (at == NULL)
        return false;
    at = put_u32(put_u32(put_u32(at, NG_ENHANCED), len), f->interface_id);
    at = put_u32(put_u32(at, (uint32_t)(time >> 32)), (uint32_t)time);
    at = put_u32(put_u32(at, (uint32_t)captured), f->wire_len);
    memset(at + captured - captured % 4, 0, padded - (captured - captured % 4));
    memcpy(at, f->octets.ptr, captured);
    put_u32(at + padded, len);
    return true;
}

/* ---- files ---- */

/* dir/name.ext -> dir/name_00001_20260102030405.ext */
static void ring_path(struct recorder *r, char *out)
{
    const char *file = r->options.file, *slash = strrchr(file, '/'), *dot = strrchr(slash != NULL ? slash : file, '.');
    int stem = (int)(dot != NULL ? (size_t)(dot - file) : strlen(file));
    char stamp[32];
    time_t now = time(NULL);
    struct tm tm;
    localtime_r(&now, &tm);
    strftime(stamp, sizeof stamp, "%Y%m%d%H%M%S", &tm);
    snprintf(out, PATH_MAX, "%.*s_%05u_%s%s", stem, file, r->files + 1, stamp, dot != NULL ? dot : "");
}

static void drop_oldest(struct recorder *r)
{
    if (r->options.ring_files == 0)
        return;
    char *name = r->names[r->files % r->options.ring_files];
    if (name[0] != '\0')
        unlink(name);
    snprintf(name, PATH_MAX, "%s", r->path);
}

static bool open_next(struct recorder *r)
{
    if (r->pipe)
        r->fd = dup(STDOUT_FILENO);
    else if (r->ring)
        ring_path(r, r->path);
    else
        snprintf(r->path, sizeof r->path, "%s", r->options.file);
    if (!r->pipe)
        r->fd = open(r->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600); /* captures hold secrets */
    if (r->fd < 0)
        return fail(r, errno);
    if (r->ring)
        drop_oldest(r);
    r->files++;
    r->file_octets = r->file_frames = 0;
    return put_section(r);
}

static bool close_file(struct recorder *r)
{
    bool good = record_flush(r);
    if (r->fd >= 0 && close(r->fd) != 0 && good)
        good = fail(r, errno);
    r->fd = -1;
    return good;
}

static bool is_full(const struct recorder *r, int64_t now_ns)
{
    const struct pipeline_record *o = &r->options;
    return r->file_frames > 0 && ((o->ring_kb > 0 && r->file_octets >= o->ring_kb * KB) ||
                                  (o->ring_packets > 0 && r->file_frames >= o->ring_packets) ||
                                  (o->ring_s > 0 && now_ns - r->file_first_ns >= (int64_t)o->ring_s * 1000000000));
}

struct recorder *record_open(const struct pipeline_record *o, const struct source *source, char *error)
{
    struct recorder *r = calloc(1, sizeof *r);
    uint8_t *buffer = malloc(BUFFER);
    char(*names)[PATH_MAX] = calloc(o->ring_files > 0 ? o->ring_files : 1, PATH_MAX);
    if (r == NULL || buffer == NULL || names == NULL) {
        snprintf(error, RECORD_ERROR_MAX, "no memory to record with");
        free(names);
        free(buffer);
        free(r);
        return NULL;
    }
    r->options = *o;
    r->source = source;
    r->fd = -1;
    r->buffer = buffer;
    r->cap = BUFFER;
    r->names = names;
    r->pipe = strcmp(o->file, "-") == 0;
    r->ring = !r->pipe && (o->ring_kb > 0 || o->ring_s > 0 || o->ring_packets > 0);
    if (r->ring || (open_next(r) && record_flush(r)))
        return r;
    snprintf(error, RECORD_ERROR_MAX, "%s", r->error);
    record_close(r, NULL);
    return NULL;
}

bool record_begin(struct recorder *r, char *error)
{
    if (!r->ring || (open_next(r) && record_flush(r)))
        return true;
    snprintf(error, RECORD_ERROR_MAX, "%.320s%s", r->error,
             geteuid() != 0 ? " (who captures makes the files of a ring; -Z chooses the user)" : "");
    return false;
}

bool record_frame(struct recorder *r, const struct frame *f)
{
    if (r->over)
        return false;
    if (r->ring && is_full(r, f->time_ns)) {
        if (r->options.stop_files > 0 && r->files >= r->options.stop_files) {
            r->over = true;
            return false;
        }
        if (!close_file(r) || !open_next(r))
            return false;
    }
    while (r->interfaces <= f->interface_id)
        if (!put_interface(r, r->interfaces))
            return false;
    if (r->file_frames == 0)
        r->file_first_ns = f->time_ns;
    if (!put_frame(r, f))
        return false;
    r->file_frames++;
    if (!r->ring && r->options.stop_kb > 0 && r->file_octets >= r->options.stop_kb * KB) {
        r->over = true;
        return false;
    }
    return true;
}

const char *record_error(const struct recorder *r)
{
    return r->error;
}

bool record_close(struct recorder *r, char *error)
{
    if (r == NULL)
        return true;
    bool good = (r->fd < 0 || close_file(r)) && r->error[0] == '\0';
    if (!good && error != NULL)
        snprintf(error, RECORD_ERROR_MAX, "%s", r->error);
    free(r->names);
    free(r->buffer);
    free(r);
    return good;
}
