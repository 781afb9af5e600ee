/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/target/filter.c -- the display filter: any text, asked about a handful of rows. Claims: what is no filter is
 * refused with a place inside the text and a printable message; the same text gives the same answers; !(text) answers
 * the opposite; memory that is too small is refused, not overrun. */
#include "fuzz/target/target.h"

#include <stdlib.h>
#include <string.h>

#include "decoder/filter/filter.h"
#include "fuzz/engine/output.h"
#include "fuzz/engine/rows.h"

const struct fuzz_target fuzz_target = { "filter", FUZZ_TEXT };

/* CONNECT with will and properties, SUBSCRIBE, PUBLISH with properties, a broken PUBLISH, DISCONNECT, and no packet. */
static const uint8_t stream[] = {
    0x10, 0x2f, 0x00, 0x04, 0x4d, 0x51, 0x54, 0x54, 0x05, 0xc6, 0x00, 0x3c, 0x05, 0x11, 0x00, 0x00, 0x00, 0x0a, 0x00,
    0x05, 0x73, 0x65, 0x6e, 0x2d, 0x31, 0x00, 0x00, 0x04, 0x77, 0x69, 0x6c, 0x6c, 0x00, 0x03, 0x62, 0x79, 0x65, 0x00,
    0x04, 0x75, 0x73, 0x65, 0x72, 0x00, 0x04, 0x70, 0x61, 0x73, 0x73, 0x82, 0x0d, 0x00, 0x01, 0x02, 0x0b, 0x07, 0x00,
    0x05, 0x61, 0x2f, 0x2b, 0x2f, 0x23, 0x02, 0x32, 0x1b, 0x00, 0x03, 0x61, 0x2f, 0x62, 0x00, 0x07, 0x0c, 0x26, 0x00,
    0x01, 0x6e, 0x00, 0x01, 0x76, 0x23, 0x00, 0x05, 0x01, 0x01, 0x7b, 0x22, 0x76, 0x22, 0x3a, 0x31, 0x7d, 0x36, 0x06,
    0x00, 0x01, 0x23, 0x00, 0x02, 0x00, 0xe0, 0x02, 0x8e, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff,
};

enum { ROOM = 64 << 10 };

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
    *memory = malloc(memory_size);
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    void *memory[4] = { NULL };
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
    rows_of(view_of(stream, sizeof stream), (struct fuzz_scene){ 0, MQTT_CLIENT, 0 }, ask, &q);
    HOLDS(q.rows == 6);
    compile(text, size, 64 * (size % 256), &memory[3], &error); /* refused or not, but within its bounds */
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        free(memory[i]);
    free(opposite);
    return 0;
}
