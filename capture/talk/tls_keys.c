/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/talk/tls_keys.h"
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct entry {
    uint8_t random[TLS_RANDOM];
    uint8_t label, len; /* len 0: free */
    uint8_t secret[TLS_SECRET_MAX];
};

enum { KEY_LINE_MAX = 256 };

/* A line under way. */
struct line {
    char text[KEY_LINE_MAX];
    size_t len; /* more than KEY_LINE_MAX: too long, its rest is passed over */
};

struct tls_keys {
    struct entry *table; /* open addressing */
    uint32_t n, cap;
    uint64_t refused;
    int fd; /* of the key log, -1: none */
    struct line line;
};

struct tls_keys *tls_keys_new(void)
{
    struct tls_keys *k = calloc(1, sizeof *k);
    if (k != NULL)
        k->fd = -1;
    return k;
}

void tls_keys_free(struct tls_keys *k)
{
    if (k == NULL)
        return;
    if (k->fd >= 0)
        close(k->fd);
    if (k->table != NULL)
        OPENSSL_cleanse(k->table, k->cap * sizeof *k->table);
    free(k->table);
    free(k);
}

/* ---- the table ---- */

static uint32_t slot_of(const struct tls_keys *k, unsigned label, const uint8_t *random)
{
    uint32_t hash = 2166136261u ^ label;
    for (size_t i = 0; i < TLS_RANDOM; i++)
        hash = (hash ^ random[i]) * 16777619u;
    uint32_t at = hash & (k->cap - 1);
    while (k->table[at].len > 0 &&
           (k->table[at].label != label || memcmp(k->table[at].random, random, TLS_RANDOM) != 0))
        at = (at + 1) & (k->cap - 1);
    return at;
}

static bool grow(struct tls_keys *k)
{
    struct tls_keys bigger = *k;
    bigger.cap = k->cap > 0 ? k->cap * 2 : 64;
    bigger.table = calloc(bigger.cap, sizeof *bigger.table);
    if (bigger.table == NULL)
        return false;
    for (uint32_t i = 0; i < k->cap; i++)
        if (k->table[i].len > 0)
            bigger.table[slot_of(&bigger, k->table[i].label, k->table[i].random)] = k->table[i];
    free(k->table);
    k->table = bigger.table;
    k->cap = bigger.cap;
    return true;
}

static void put(struct tls_keys *k, const struct entry *e)
{
    if (k->n >= TLS_KEYS_MAX || (k->n >= k->cap / 2 && !grow(k))) {
        k->refused++;
        return;
    }
    uint32_t at = slot_of(k, e->label, e->random);
    k->n += k->table[at].len == 0;
    k->table[at] = *e;
}

/* ---- key logs ---- */

static int nibble(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Hexadecimal digits up to the next blank or the end; octets read, 0: none, odd, or more than fit. */
static size_t hex(const char **at, const char *end, uint8_t *out, size_t cap)
{
    size_t n = 0;
    while (end - *at >= 2 && nibble((*at)[0]) >= 0 && nibble((*at)[1]) >= 0) {
        if (n == cap)
            return 0;
        out[n++] = (uint8_t)(nibble((*at)[0]) << 4 | nibble((*at)[1]));
        *at += 2;
    }
    return *at == end || **at == ' ' ? n : 0;
}

/* LABEL <client random> <secret>; comments, other labels and what is damaged are passed over. */
static void take_line(struct tls_keys *k, const char *line, size_t len)
{
    static const char *const labels[TLS_LABELS] = {
        [TLS_MASTER] = "CLIENT_RANDOM ",
        [TLS_CLIENT_EARLY] = "CLIENT_EARLY_TRAFFIC_SECRET ",
        [TLS_CLIENT_HANDSHAKE] = "CLIENT_HANDSHAKE_TRAFFIC_SECRET ",
        [TLS_SERVER_HANDSHAKE] = "SERVER_HANDSHAKE_TRAFFIC_SECRET ",
        [TLS_CLIENT_TRAFFIC] = "CLIENT_TRAFFIC_SECRET_0 ",
        [TLS_SERVER_TRAFFIC] = "SERVER_TRAFFIC_SECRET_0 ",
    };
    while (len > 0 && (line[len - 1] == '\r' || line[len - 1] == ' '))
        len--;
    for (unsigned label = 0; label < TLS_LABELS; label++) {
        size_t n = strlen(labels[label]);
        if (len <= n || memcmp(line, labels[label], n) != 0)
            continue;
        struct entry e = { .label = (uint8_t)label };
        const char *at = line + n, *end = line + len;
        if (hex(&at, end, e.random, TLS_RANDOM) != TLS_RANDOM || at == end)
            return;
        at++;
        e.len = (uint8_t)hex(&at, end, e.secret, TLS_SECRET_MAX);
        if (at == end && (e.len == 32 || e.len == 48))
            put(k, &e);
    }
}

static void end_line(struct tls_keys *k, struct line *line)
{
    if (line->len <= KEY_LINE_MAX)
        take_line(k, line->text, line->len);
    line->len = 0;
}

static void take_text(struct tls_keys *k, struct line *line, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\n') {
            end_line(k, line);
            continue;
        }
        if (line->len < KEY_LINE_MAX)
            line->text[line->len] = text[i];
        line->len += line->len <= KEY_LINE_MAX;
    }
}

void tls_keys_text(struct tls_keys *k, struct view lines)
{
    struct line line = { .len = 0 };
    take_text(k, &line, (const char *)lines.ptr, lines.len);
    end_line(k, &line);
}

/* False: nothing was added to the file since. */
static bool read_on(struct tls_keys *k)
{
    char text[16384];
    bool any = false;
    for (ssize_t n; k->fd >= 0 && (n = read(k->fd, text, sizeof text)) > 0; any = true)
        take_text(k, &k->line, text, (size_t)n);
    return any;
}

bool tls_keys_file(struct tls_keys *k, const char *path)
{
    k->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (k->fd < 0)
        return false;
    read_on(k);
    if (k->line.len <=
        KEY_LINE_MAX) /* the last line may lack its end; if it is only half of one, the whole replaces it */
        take_line(k, k->line.text, k->line.len);
    return true;
}

size_t tls_keys_find(struct tls_keys *k, enum tls_label label, const uint8_t client_random[TLS_RANDOM],
                     uint8_t secret[TLS_SECRET_MAX])
{
    for (bool again = true; again; again = read_on(k)) {
        const struct entry *e = k->cap > 0 ? &k->table[slot_of(k, label, client_random)] : NULL;
        if (e != NULL && e->len > 0) {
            memcpy(secret, e->secret, e->len);
            return e->len;
        }
    }
    return 0;
}

bool tls_keys_hopeful(const struct tls_keys *k)
{
    return k->fd >= 0 || k->n > 0;
}

uint32_t tls_keys_count(const struct tls_keys *k)
{
    return k->n;
}

uint64_t tls_keys_refused(const struct tls_keys *k)
{
    return k->refused;
}
