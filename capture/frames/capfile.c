/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/frames/capfile.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum {
    BLOCK = 256 * 1024,           /* octets read at once */
    FRAME_MAX = 16 * 1024 * 1024, /* a longer one is damage, not a frame */
    INTERFACES_MAX = 4096,
    NAME_MAX_LEN = 64,
};

static const uint32_t PCAP_US = 0xa1b2c3d4, PCAP_NS = 0xa1b23c4d;
static const uint32_t PCAP_KUZNETZOV = 0xa1b2cd34; /* eight more octets a record */

enum {
    NG_SECTION = 0x0a0d0d0a,
    NG_ORDER = 0x1a2b3c4d,
    NG_INTERFACE = 1,
    NG_PACKET_OLD = 2,
    NG_SIMPLE = 3,
    NG_ENHANCED = 6,
    NG_SECRETS = 10,
    OPT_IF_NAME = 2,
    OPT_IF_TSRESOL = 9,
    OPT_IF_TSOFFSET = 14,
};

struct interface {
    char name[NAME_MAX_LEN];
    uint32_t link_type, snaplen;
    uint8_t resolution; /* if_tsresol */
    int64_t offset_s;
};

struct capfile {
    char path[160]; /* for messages */
    char error[CAPFILE_ERROR_MAX];
    int fd;       /* -1: memory */
    bool opening; /* the header of the file is still awaited */
    bool regular, at_end, failed, swapped, ng;
    uint32_t record_len; /* of a pcap record's header */
    int64_t frac_ns;     /* of one unit of a pcap record's fraction */
    uint8_t *block;      /* NULL: memory */
    size_t block_cap;
    const uint8_t *data; /* block, or the image */
    size_t pos, end;
    z_stream *z;
    uint8_t *raw; /* what zlib reads from */
    bool z_done;  /* at the end of a member */
    struct interface *interface;
    uint32_t n_interfaces, section; /* section: id of its first interface */
    int64_t last_ns;
    struct capfile_blocks lent; /* .ctx is NULL: `block` is our own */
    capfile_secrets *secrets;   /* NULL: nobody wants them */
    void *secrets_ctx;
};

static void fail(struct capfile *c, const char *what)
{
    if (c->failed)
        return;
    c->failed = true;
    snprintf(c->error, sizeof c->error, "%s: %s", c->path, what);
}

/* ---- octets ---- */

/* A pipe is only read when it has something: a read that waits would keep rows from being shown and could miss a signal
 * that came right before it. Waiting is for poll(2) on capfile_fd(). */
static bool readable(const struct capfile *c)
{
    struct pollfd p = { .fd = c->fd, .events = POLLIN };
    return c->regular || c->opening || poll(&p, 1, 0) != 0;
}

static void note_error(struct capfile *c, ssize_t got)
{
    if (got >= 0 || errno == EINTR || errno == EAGAIN)
        return;
    fail(c, strerror(errno));
    c->at_end = true;
}

static ssize_t read_raw(struct capfile *c, uint8_t *to, size_t n)
{
    if (!readable(c)) {
        errno = EAGAIN;
        return -1;
    }
    ssize_t got = read(c->fd, to, n);
    note_error(c, got);
    return got;
}

/* Appends to the block what zlib makes of the next raw octets. False: nothing came. */
static bool inflate_more(struct capfile *c)
{
    z_stream *z = c->z;
    for (;;) {
        if (z->avail_in == 0) {
            ssize_t got = read_raw(c, c->raw, BLOCK);
            if (got < 0)
                return false;
            if (got == 0) {
                c->at_end = true;
                if (!c->z_done)
                    fail(c, "the compressed file is cut short");
                return false;
            }
            z->next_in = c->raw;
            z->avail_in = (uInt)got;
        }
        if (c->z_done) { /* another member follows, or padding */
            if (z->next_in[0] != 0x1f) {
                c->at_end = true;
                return false;
            }
            inflateReset(z);
            c->z_done = false;
        }
        size_t room = c->block_cap - c->end;
        z->next_out = c->block + c->end;
        z->avail_out = (uInt)room;
        int r = inflate(z, Z_NO_FLUSH);
        c->end += room - z->avail_out;
        if (r == Z_STREAM_END) {
            c->z_done = true;
        } else if (r != Z_OK && r != Z_BUF_ERROR) {
            fail(c, "the compressed data is damaged");
            c->at_end = true;
            return room > z->avail_out;
        }
        if (room > z->avail_out)
            return true;
    }
}

/* What is not used up goes to a block that is lent, and n octets of the file with it. */
static ssize_t read_lent(struct capfile *c, size_t n)
{
    struct view left = view_of(c->block + c->pos, c->end - c->pos);
    uint8_t *block = c->block;
    ssize_t got = c->lent.read(c->lent.ctx, c->fd, left, n, &block);
    if (block != c->block) {
        c->data = c->block = block;
        c->pos = 0;
        c->end = left.len;
    }
    note_error(c, got);
    return got;
}

/* Until there are n octets from c->pos on, if it can. False: nothing came. */
static bool fill(struct capfile *c, size_t n)
{
    if (c->at_end)
        return false;
    if (c->z != NULL)
        return inflate_more(c);
    ssize_t got = c->lent.ctx != NULL ? read_lent(c, n) : read_raw(c, c->block + c->end, c->block_cap - c->end);
    if (got > 0)
        c->end += (size_t)got;
    if (got == 0)
        c->at_end = true;
    return got > 0;
}

enum have { HAVE, HAVE_NOT /* nothing now */, HAVE_END };

/* What is not used up goes to a block that is lent, with room for n octets. */
static bool change_block(struct capfile *c, size_t n)
{
    size_t left = c->end - c->pos, cap;
    uint8_t *block = c->lent.room(c->lent.ctx, n > BLOCK ? n + BLOCK : BLOCK, &cap);
    if (block == NULL)
        return false;
    memcpy(block, c->block + c->pos, left);
    c->data = c->block = block;
    c->block_cap = cap;
    c->pos = 0;
    c->end = left;
    return true;
}

/* Room for n octets from c->pos on. */
static bool make_room(struct capfile *c, size_t n)
{
    if (c->lent.ctx != NULL)
        return (c->pos == 0 && n <= c->block_cap) || change_block(c, n);
    if (c->pos > 0) {
        memmove(c->block, c->block + c->pos, c->end - c->pos);
        c->end -= c->pos;
        c->pos = 0;
    }
    if (n <= c->block_cap)
        return true;
    uint8_t *block = realloc(c->block, n + BLOCK);
    if (block == NULL)
        return false;
    c->data = c->block = block;
    c->block_cap = n + BLOCK;
    return true;
}

RARELY static enum have read_more(struct capfile *c, size_t n)
{
    if (c->block == NULL)
        return HAVE_END;
    bool aside = c->lent.ctx != NULL && c->z == NULL; /* read_lent() sees to it */
    if (!aside && !make_room(c, n)) {
        fail(c, "no memory for a record of this length");
        c->at_end = true;
        return HAVE_END;
    }
    while (c->end - c->pos < n)
        if (!fill(c, n))
            return c->at_end ? HAVE_END : HAVE_NOT;
    return HAVE;
}

/* n octets from c->pos on in one piece. */
static inline enum have need(struct capfile *c, size_t n)
{
    return c->end - c->pos >= n ? HAVE : read_more(c, n);
}

static uint32_t word(const uint8_t *at, bool swapped)
{
    uint32_t v;
    memcpy(&v, at, 4);
    return swapped ? __builtin_bswap32(v) : v;
}

static uint32_t u32_at(const struct capfile *c, size_t at)
{
    return word(c->data + c->pos + at, c->swapped);
}

static uint16_t u16_at(const struct capfile *c, size_t at)
{
    uint16_t v;
    memcpy(&v, c->data + c->pos + at, 2);
    return c->swapped ? __builtin_bswap16(v) : v;
}

/* ---- interfaces ---- */

static struct interface *add_interface(struct capfile *c, uint32_t link_type, uint32_t snaplen)
{
    if (c->n_interfaces == INTERFACES_MAX) {
        fail(c, "more interfaces than a capture has");
        return NULL;
    }
    if ((c->n_interfaces & (c->n_interfaces - 1)) == 0) { /* room for a power of two */
        uint32_t cap = c->n_interfaces > 0 ? c->n_interfaces * 2 : 1;
        struct interface *grown = realloc(c->interface, cap * sizeof *grown);
        if (grown == NULL) {
            fail(c, strerror(ENOMEM));
            return NULL;
        }
        c->interface = grown;
    }
    struct interface *i = &c->interface[c->n_interfaces++];
    *i = (struct interface){ .link_type = link_type, .snaplen = snaplen, .resolution = 6 };
    return i;
}

/* A pcapng timestamp in the units of its interface (if_tsresol: a power of ten, or of two with the high bit). */
static int64_t time_of(const struct interface *i, uint64_t units)
{
    unsigned exponent = i->resolution & 0x7f;
    uint64_t seconds, ns;
    if (i->resolution & 0x80) {
        if (exponent > 63)
            exponent = 63;
        uint64_t rest = units & ((UINT64_C(1) << exponent) - 1);
        seconds = units >> exponent;
        ns = exponent <= 32 ? rest * 1000000000 >> exponent : (rest >> (exponent - 32)) * 1000000000 >> 32;
    } else {
        uint64_t second = 1, unit = 1;
        for (unsigned e = 0; e < exponent && e < 19; e++)
            second *= 10;
        seconds = units / second;
        ns = units % second;
        for (unsigned e = exponent; e < 9; e++)
            unit *= 10;
        for (unsigned e = 9; e < exponent && e < 19; e++)
            ns /= 10;
        ns *= unit;
    }
    int64_t whole = (int64_t)(seconds % 4000000000) + i->offset_s % 4000000000; /* until 2096, and no overflow */
    return whole * 1000000000 + (int64_t)ns;
}

/* ---- pcap ---- */

static const char cut_short[] = "the file is cut short in the middle of a packet";

static enum source_status end_of(struct capfile *c, enum have have, const char *what)
{
    if (have == HAVE_NOT)
        return SOURCE_IDLE;
    if (c->end > c->pos)
        fail(c, what);
    return c->failed ? SOURCE_ERROR : SOURCE_END;
}

static enum source_status next_pcap(struct capfile *c, struct frame *out)
{
    enum have have = need(c, c->record_len);
    if (have != HAVE)
        return end_of(c, have, cut_short);
    uint32_t seconds = u32_at(c, 0), fraction = u32_at(c, 4), captured = u32_at(c, 8), wire = u32_at(c, 12);
    if (captured > FRAME_MAX) {
        fail(c, "damaged: a packet of impossible length");
        return SOURCE_ERROR;
    }
    have = need(c, c->record_len + (size_t)captured);
    if (have != HAVE)
        return end_of(c, have, cut_short);
    *out = (struct frame){ .octets = view_of(c->data + c->pos + c->record_len, captured),
                           .wire_len = wire > captured ? wire : captured,
                           .link_type = c->interface[0].link_type,
                           .time_ns = (int64_t)seconds * 1000000000 + (int64_t)fraction * c->frac_ns };
    c->pos += c->record_len + captured;
    return SOURCE_FRAME;
}

static bool begin_pcap(struct capfile *c, uint32_t magic)
{
    if (need(c, 24) != HAVE) {
        fail(c, "the file is cut short in its header");
        return false;
    }
    c->record_len = magic == PCAP_KUZNETZOV ? 24 : 16;
    c->frac_ns = magic == PCAP_NS ? 1 : 1000;
    uint32_t link = u32_at(c, 20) & 0x03ffffff; /* above: the length of a frame check sequence */
    struct interface *i = add_interface(c, link, u32_at(c, 16));
    c->pos += 24;
    return i != NULL;
}

/* ---- pcapng ---- */

static bool begin_section(struct capfile *c)
{
    if (need(c, 28) != HAVE) {
        fail(c, "the file is cut short in its header");
        return false;
    }
    c->swapped = false;
    uint32_t order = u32_at(c, 8);
    c->swapped = order == __builtin_bswap32(NG_ORDER);
    if (!c->swapped && order != NG_ORDER) {
        fail(c, "damaged: a section of no known byte order");
        return false;
    }
    c->section = c->n_interfaces;
    return true;
}

/* Options of an interface: code, length, value padded to four octets. */
static void read_options(struct capfile *c, struct interface *i, size_t at, size_t end)
{
    while (end - at >= 4) {
        uint16_t code = u16_at(c, at), len = u16_at(c, at + 2);
        at += 4;
        if (code == 0 || len > end - at)
            return;
        const uint8_t *value = c->data + c->pos + at;
        if (code == OPT_IF_NAME) {
            size_t n = len < NAME_MAX_LEN - 1 ? len : NAME_MAX_LEN - 1;
            memcpy(i->name, value, n);
            i->name[n] = '\0';
        } else if (code == OPT_IF_TSRESOL && len == 1) {
            i->resolution = value[0];
        } else if (code == OPT_IF_TSOFFSET && len == 8) {
            uint64_t high = u32_at(c, at + (c->swapped == (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__) ? 0 : 4));
            uint64_t low = u32_at(c, at + (c->swapped == (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__) ? 4 : 0));
            i->offset_s = (int64_t)(high << 32 | low);
        }
        size_t padded = ((size_t)len + 3) & ~(size_t)3;
        at += padded < end - at ? padded : end - at;
    }
}

static void read_interface(struct capfile *c, uint32_t len)
{
    struct interface *i = len >= 20 ? add_interface(c, u16_at(c, 8), u32_at(c, 12)) : NULL;
    if (i != NULL)
        read_options(c, i, 16, len - 4);
}

/* The frame of an enhanced (or old) packet block at c->pos, `len` octets with its trailer. */
static bool read_packet(struct capfile *c, uint32_t type, uint32_t len, struct frame *out)
{
    if (len < 32)
        return false;
    uint32_t local = type == NG_ENHANCED ? u32_at(c, 8) : u16_at(c, 8), captured = u32_at(c, 20), wire = u32_at(c, 24);
    if (local >= c->n_interfaces - c->section || captured > len - 32)
        return false;
    uint32_t id = c->section + local;
    uint64_t units = (uint64_t)u32_at(c, 12) << 32 | u32_at(c, 16);
    *out = (struct frame){ .octets = view_of(c->data + c->pos + 28, captured),
                           .wire_len = wire > captured ? wire : captured,
                           .interface_id = id,
                           .link_type = c->interface[id].link_type,
                           .time_ns = time_of(&c->interface[id], units) };
    c->last_ns = out->time_ns;
    return true;
}

/* A simple packet block: no time of its own, always of the first interface. */
static bool read_simple(struct capfile *c, uint32_t len, struct frame *out)
{
    if (len < 16 || c->n_interfaces == c->section)
        return false;
    const struct interface *i = &c->interface[c->section];
    uint32_t wire = u32_at(c, 8), captured = len - 16;
    captured = wire < captured ? wire : captured;
    if (i->snaplen > 0 && i->snaplen < captured)
        captured = i->snaplen;
    *out = (struct frame){ .octets = view_of(c->data + c->pos + 12, captured),
                           .wire_len = wire > captured ? wire : captured,
                           .interface_id = c->section,
                           .link_type = i->link_type,
                           .time_ns = c->last_ns };
    return true;
}

static void read_secrets(const struct capfile *c, uint32_t len)
{
    if (c->secrets == NULL || len < 20)
        return;
    uint32_t n = u32_at(c, 12), there = len - 20;
    c->secrets(c->secrets_ctx, u32_at(c, 8), view_of(c->data + c->pos + 16, n < there ? n : there));
}

void capfile_on_secrets(struct capfile *c, capfile_secrets *secrets, void *ctx)
{
    c->secrets = secrets;
    c->secrets_ctx = ctx;
}

static bool is_frame(uint32_t type)
{
    return type == NG_ENHANCED || type == NG_PACKET_OLD || type == NG_SIMPLE;
}

static enum source_status next_block(struct capfile *c, struct frame *out)
{
    for (;;) {
        enum have have = need(c, 12);
        if (have != HAVE)
            return end_of(c, have, cut_short);
        uint32_t type = u32_at(c, 0);
        if (type == NG_SECTION && !begin_section(c))
            return SOURCE_ERROR;
        uint32_t len = u32_at(c, 4);
        if (len < 12 || len % 4 != 0 || len > FRAME_MAX + 4096) {
            fail(c, "damaged: a block of impossible length");
            return SOURCE_ERROR;
        }
        have = need(c, len);
        if (have != HAVE)
            return end_of(c, have, cut_short);
        bool frame = is_frame(type), good = true;
        if (type == NG_INTERFACE)
            read_interface(c, len);
        else if (type == NG_SECRETS)
            read_secrets(c, len);
        else if (frame)
            good = type == NG_SIMPLE ? read_simple(c, len, out) : read_packet(c, type, len, out);
        if (!good)
            fail(c, "damaged: a packet block that contradicts itself");
        if (c->failed)
            return SOURCE_ERROR;
        c->pos += len;
        if (frame)
            return SOURCE_FRAME;
    }
}

/* ---- opening ---- */

static bool begin_gz(struct capfile *c)
{
    c->z = calloc(1, sizeof *c->z);
    c->raw = malloc(BLOCK);
    if (c->z == NULL || c->raw == NULL || inflateInit2(c->z, 15 + 32) != Z_OK) {
        fail(c, strerror(ENOMEM));
        return false;
    }
    memcpy(c->raw, c->block, c->end);
    c->z->next_in = c->raw;
    c->z->avail_in = (uInt)c->end;
    c->end = 0;
    return true;
}

static enum have wait_for(struct capfile *c, size_t n)
{
    enum have have;
    while ((have = need(c, n)) == HAVE_NOT) {
        if (errno == EINTR) {
            fail(c, "interrupted before the file's header came");
            return HAVE_END;
        }
    }
    return have;
}

/* A file that another program has to unpack first is told from one that is no capture. */
static bool refuse(struct capfile *c)
{
    static const struct {
        const char *magic, *program;
    } packed[] = {
        { "\x28\xb5\x2f\xfd", "zstd" }, { "\xfd\x37zX", "xz" }, { "\x04\x22\x4d\x18", "lz4" }, { "BZh", "bzip2" }
    };
    char text[CAPFILE_ERROR_MAX] = "no capture file (neither pcap nor pcapng)";
    for (size_t i = 0; i < sizeof packed / sizeof *packed; i++)
        if (c->end >= 4 && memcmp(c->data, packed[i].magic, strlen(packed[i].magic)) == 0)
            snprintf(text, sizeof text,
                     "it is compressed with %s; of compressed files only gz is read: %s -dc FILE | mqdump -r -",
                     packed[i].program, packed[i].program);
    fail(c, text);
    return false;
}

static bool begin(struct capfile *c)
{
    if (wait_for(c, 4) != HAVE) {
        if (c->end > 0)
            return refuse(c);
        fail(c, "the file is empty");
        return false;
    }
    if (c->block != NULL && c->z == NULL && c->data[0] == 0x1f && c->data[1] == 0x8b)
        return begin_gz(c) && begin(c);
    uint32_t magic = u32_at(c, 0);
    if (magic == NG_SECTION) {
        c->ng = true;
        return true;
    }
    c->swapped = magic == __builtin_bswap32(PCAP_US) || magic == __builtin_bswap32(PCAP_NS) ||
                 magic == __builtin_bswap32(PCAP_KUZNETZOV);
    magic = u32_at(c, 0);
    if (magic != PCAP_US && magic != PCAP_NS && magic != PCAP_KUZNETZOV)
        return refuse(c);
    wait_for(c, 24);
    return begin_pcap(c, magic);
}

static bool open_path(struct capfile *c, const char *path)
{
    bool input = strcmp(path, "-") == 0;
    snprintf(c->path, sizeof c->path, "%s", input ? "standard input" : path);
    c->fd = input ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    if (c->fd < 0) {
        fail(c, strerror(errno));
        return false;
    }
    struct stat st;
    c->regular = fstat(c->fd, &st) == 0 && S_ISREG(st.st_mode);
    c->block = malloc(BLOCK);
    c->block_cap = BLOCK;
    c->data = c->block;
    if (c->block == NULL)
        fail(c, strerror(ENOMEM));
    return c->block != NULL;
}

struct capfile *capfile_open(const char *path, struct view image, char *error)
{
    struct capfile *c = calloc(1, sizeof *c);
    if (c == NULL) {
        snprintf(error, CAPFILE_ERROR_MAX, "%s", strerror(ENOMEM));
        return NULL;
    }
    c->fd = -1;
    c->data = image.ptr;
    if (path == NULL) {
        c->end = image.len;
        c->at_end = true;
        snprintf(c->path, sizeof c->path, "memory");
    }
    c->opening = true;
    if ((path == NULL || open_path(c, path)) && begin(c)) {
        c->opening = false;
        return c;
    }
    snprintf(error, CAPFILE_ERROR_MAX, "%s", c->error);
    capfile_close(c);
    return NULL;
}

void capfile_close(struct capfile *c)
{
    if (c == NULL)
        return;
    if (c->fd >= 0)
        close(c->fd);
    if (c->z != NULL)
        inflateEnd(c->z);
    free(c->z);
    free(c->raw);
    if (c->lent.ctx == NULL)
        free(c->block);
    free(c->interface);
    free(c);
}

bool capfile_lend(struct capfile *c, const struct capfile_blocks *blocks)
{
    uint8_t *own = c->block;
    if (c->at_end)
        return true;
    c->lent = *blocks;
    if (c->z != NULL)
        change_block(c, c->end - c->pos);
    else
        fill(c, 0);
    if (c->block != own) {
        free(own);
        return true;
    }
    c->lent.ctx = NULL;
    return false;
}

enum source_status capfile_next(struct capfile *c, struct frame *out)
{
    if (c->failed && c->block == NULL)
        return SOURCE_ERROR;
    return c->ng ? next_block(c, out) : next_pcap(c, out);
}

const char *capfile_error(const struct capfile *c)
{
    return c->error;
}

int capfile_fd(const struct capfile *c)
{
    return c->regular || c->fd < 0 || c->at_end ? -1 : c->fd;
}

bool capfile_progress(const struct capfile *c, uint64_t *done, uint64_t *total)
{
    struct stat status;
    if (!c->regular || c->fd < 0 || fstat(c->fd, &status) != 0)
        return false;
    off_t at = lseek(c->fd, 0, SEEK_CUR);
    *done = at > 0 ? (uint64_t)at : 0;
    *total = (uint64_t)status.st_size;
    return at >= 0;
}

/* Blocks without a frame may lie before it. When it is not whole, reading it moves the octets of those that came. */
static bool has_frame_block(const struct capfile *c)
{
    bool swapped = c->swapped;
    const uint8_t *at = c->data + c->pos;
    for (size_t left = c->end - c->pos, len; left >= 12; left -= len, at += len) {
        uint32_t type = word(at, swapped);
        if (type == NG_SECTION) {
            if (left < 28)
                return false;
            swapped = word(at + 8, false) != NG_ORDER;
        }
        len = word(at + 4, swapped);
        if (len < 12 || len > left)
            return false;
        if (is_frame(type))
            return true;
    }
    return false;
}

bool capfile_has_frame(const struct capfile *c)
{
    size_t left = c->end - c->pos;
    if (c->ng)
        return has_frame_block(c);
    return left >= c->record_len && left - c->record_len >= u32_at(c, 8);
}

uint32_t capfile_interfaces(const struct capfile *c)
{
    return c->n_interfaces;
}

struct capfile_interface capfile_interface(const struct capfile *c, uint32_t id)
{
    if (id >= c->n_interfaces)
        return (struct capfile_interface){ .name = "" };
    const struct interface *i = &c->interface[id];
    return (struct capfile_interface){ .name = i->name, .link_type = i->link_type, .snaplen = i->snaplen };
}
