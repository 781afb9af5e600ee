/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/target/filter.c -- the display filter: any text, asked about a handful of rows. Claims: what is no filter is
 * refused with a place inside the text and a printable message; the same text gives the same answers; !(text) answers
 * the opposite; memory that is too small is refused, not overrun, and what is enough stays enough. */
#include "fuzz/target/target.h"

#include <stdlib.h>
#include <string.h>

#include "decoder/filter/filter.h"
#include "fuzz/engine/output.h"
#include "fuzz/engine/rows.h"

const struct fuzz_target fuzz_target = { "filter", FUZZ_TEXT };

/* One packet a line, all by the client, whoever may send them. */
#define BEGINNING                                                                                                      \
    "\x10\x2f\0\4MQTT\5\xc6\0\x3c\5\x11\0\0\0\x0a\0\5Sen-1\0\0\4will\0\3bye\0\4user\0\4pass" /* CONNECT with a Will */ \
    "\x82\x0d\0\1\2\x0b\7\0\5a/+/#\2"                            /* SUBSCRIBE with a Subscription Identifier */        \
    "\x32\x1b\0\3a/b\0\7\x0c\x26\0\1n\0\1v\x23\0\5\1\1{\"v\":1}" /* PUBLISH with properties, a Topic Alias among them  \
                                                                  */                                                   \
    "\x30\x07\0\0\3\x23\0\5x"                                    /* PUBLISH by that alias */                           \
    "\x30\x26\0\1m\0aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"          /* a payload that some regular expressions dislike */ \
    "\x36\x06\0\1#\0\2\0"                                        /* PUBLISH that breaks rules */                       \
    "\x20\x03\1\x87\0\x90\5\0\1\0\x80\1\xb0\4\0\2\0\x11"         /* CONNACK, SUBACK, UNSUBACK */                       \
    "\x40\3\0\7\x10\x50\3\0\7\x10\x62\3\0\7\x92\x70\2\0\7"       /* PUBACK, PUBREC, PUBREL, PUBCOMP */                 \
    "\xf0\2\x18\0"                                               /* AUTH */
#define END "\xe0\2\x8e\0\xff\xff\xff\xff\xff"                   /* DISCONNECT, and no packet */

enum { MANY = 260, ROWS = 17 }; /* filters of a SUBSCRIBE: more values than a row keeps */

/* The rows of most inputs; with `many`, a SUBSCRIBE with that many filters stands before the end. */
static struct view stream_of(bool many)
{
    static const char usual[] = BEGINNING END;
    static char wide[sizeof BEGINNING + sizeof END + 6 + 4 * MANY] = BEGINNING;
    static const char head[] = { '\x82', '\x93', '\x08', 0, 9, 0 }; /* 3 + 4 * 260 octets */
    if (!many)
        return view_of(usual, sizeof usual - 1);
    char *at = wide + sizeof BEGINNING - 1;
    memcpy(at, head, sizeof head);
    at += sizeof head;
    for (unsigned i = 0; i < MANY; i++, at += 4) {
        const char filter[4] = { 0, 1, (char)('a' + i % 26), (char)(i % 3) };
        memcpy(at, filter, sizeof filter);
    }
    memcpy(at, END, sizeof END - 1);
    return view_of(wide, (size_t)(at - wide) + sizeof END - 1);
}

enum { ROOM = FILTER_MEMORY };

struct asked {
    struct filter *a, *b, *not_a;
    unsigned rows;
};

static void ask(void *ctx, const struct row *row)
{
    struct asked *q = ctx;
    bool yes = filter_match(q->a, row);
    HOLDS(filter_match(q->a, row) == yes);
    HOLDS(filter_match(q->b, row) == yes);
    if (q->not_a != NULL) {
        bool no = filter_match(q->not_a, row);
        HOLDS(no != yes || filter_gave_up(q->a) || filter_gave_up(q->not_a));
    }
    q->rows++;
}

static struct filter *compile(const char *text, size_t len, size_t memory_size, void **memory,
                              struct filter_error *error)
{
    *memory = malloc(memory_size > 0 ? memory_size : 1);
    HOLDS(*memory != NULL);
    memset(error, 0, sizeof *error);
    return filter_compile(text, len, *memory, memory_size, error);
}

static void check_error(const struct filter_error *e, const char *text, size_t len)
{
    char out[200];
    HOLDS(e->at <= len && e->len <= len - e->at);
    HOLDS(e->message[0] != '\0' && memchr(e->message, '\0', sizeof e->message) != NULL);
    HOLDS(output_is_text(view_of(e->message, strlen(e->message)), ""));
    size_t n = filter_error_text(e, text, len, out, sizeof out);
    HOLDS(n < sizeof out && out[n] == '\0' && strlen(out) == n && output_is_text(view_of(out, n), "\n"));
}

/* From almost nothing up to what suffices, in small steps: each piece of memory is refused once. */
static void check_memory(const char *text, size_t len)
{
    struct filter_error error;
    void *memory;
    bool enough = false;
    for (size_t room = 0; room <= ROOM && !enough; room += room < 64 << 10 ? 64 : 4096) {
        enough = compile(text, len, room, &memory, &error) != NULL;
        free(memory);
        if (!enough)
            check_error(&error, text, len);
    }
    HOLDS(enough);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    void *memory[3] = { NULL };
    struct filter_error error;
    struct asked q = { .a = compile(text, size, ROOM, &memory[0], &error) };
    if (q.a == NULL) {
        check_error(&error, text, size);
        free(memory[0]);
        return 0;
    }
    q.b = compile(text, size, ROOM, &memory[1], &error);
    HOLDS(q.b != NULL);
    char *opposite = malloc(size + 3);
    HOLDS(opposite != NULL);
    memcpy(opposite, "!(", 2);
    memcpy(opposite + 2, text, size);
    opposite[size + 2] = ')';
    q.not_a = compile(opposite, size + 3, ROOM, &memory[2], &error);
    bool many = size % 4 == 1;
    rows_of(stream_of(many), (struct fuzz_scene){ 0, MQTT_CLIENT, 0 }, ask, &q);
    HOLDS(q.rows == ROWS + (unsigned)many);
    if (size % 8 == 0)
        check_memory(text, size);
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        free(memory[i]);
    free(opposite);
    return 0;
}
