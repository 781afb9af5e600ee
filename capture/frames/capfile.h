/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/frames/capfile.h -- capture files to frames: pcap (both byte orders, micro- and nanoseconds, Kuznetzov's
 * variant) and pcapng (several sections and interfaces, each with its own link type, resolution and offset), plain or
 * gz, from a file, a pipe or memory.
 *
 * Files are read in large blocks, frames are views into them: no copy, and no more memory for a large file than for a
 * small one. libpcap is not used here: it refuses pcapng files with more than one link type and cannot be fed from
 * memory. */
#pragma once
#include "decoder/base/cursor.h"
#include <sys/types.h>

enum source_status {
    SOURCE_FRAME,
    SOURCE_IDLE, /* nothing now (interrupted, or nothing came within the time) */
    SOURCE_END,
    SOURCE_ERROR, /* what came before is good */
};

struct frame {
    struct view octets; /* captured; borrowed until the next call */
    uint32_t wire_len;
    uint32_t interface_id; /* 0-based over all sections */
    uint32_t link_type;    /* LINKTYPE_* */
    int64_t time_ns;
};

struct capfile_interface {
    const char *name; /* "" if the file does not tell */
    uint32_t link_type;
    uint32_t snaplen; /* 0: none */
};

struct capfile;

enum { CAPFILE_ERROR_MAX = 400 };

/* path "-": standard input; path NULL: the image, which is borrowed. NULL: error (CAPFILE_ERROR_MAX octets) says why.
 */
struct capfile *capfile_open(const char *path, struct view image, char *error);
void capfile_close(struct capfile *c); /* NULL is fine */

/* Called from capfile_next() for each Decryption Secrets Block of pcapng; type 0x544c534b is an NSS key log. */
typedef void capfile_secrets(void *ctx, uint32_t type, struct view secrets);
void capfile_on_secrets(struct capfile *c, capfile_secrets *secrets, void *ctx);

/* Where a file is read to, so that frames stay where they are for as long as it leaves them. */
struct capfile_blocks {
    void *ctx;
    uint8_t *(*room)(void *ctx, size_t size, size_t *cap); /* of at least `size` octets; NULL: no memory */
    /* *octets: those that are left, and behind them what read(2) gives of fd next, so that there are n if the file has
     * them. As read(2) says; with an error *octets holds what is left, but with ENOMEM it stays what it is. */
    ssize_t (*read)(void *ctx, int fd, struct view left, size_t n, uint8_t **octets);
};

/* The file is read into these blocks from now on, and not into one of its own. Not for memory or a pipe. False: no
 * memory, and nothing changed. */
bool capfile_lend(struct capfile *c, const struct capfile_blocks *blocks);

enum source_status capfile_next(struct capfile *c, struct frame *out);
const char *capfile_error(const struct capfile *c); /* "" when there is none */

/* For a pipe, the descriptor to poll; -1 for files and memory, which never make one wait. */
int capfile_fd(const struct capfile *c);
/* Octets of the file read so far, and its size (both compressed where it is). False: a pipe or memory. */
bool capfile_progress(const struct capfile *c, uint64_t *done, uint64_t *total);
/* True when the next frame is at hand without reading: then those before it stay where they are. */
bool capfile_has_frame(const struct capfile *c);

uint32_t capfile_interfaces(const struct capfile *c);
struct capfile_interface capfile_interface(const struct capfile *c, uint32_t id);
