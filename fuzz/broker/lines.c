/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/broker/lines.c -- a file of the user's, read line by line into a list: passwords and access rules. */
#include "fuzz/broker/internal.h"
#include <openssl/crypto.h>
#include <string.h>

static size_t count(struct view text)
{
    size_t n = 1;
    for (size_t i = 0; i < text.len; i++)
        n += text.ptr[i] == '\n';
    return n;
}

/* The number of the line that is wrong, or 0. */
static int read_all(struct lines *l, lines_reader *reader, void *ctx)
{
    size_t pos = 0, len = l->len - 1; /* a copy is one octet longer than its text */
    for (int number = 1; pos < len; number++) {
        const uint8_t *start = l->text + pos, *end = memchr(start, '\n', len - pos);
        struct view line = view_of(start, end == NULL ? len - pos : (size_t)(end - start));
        pos += line.len + 1;
        if (line.len > 0 && line.ptr[line.len - 1] == '\r')
            line.len--;
        enum line what = reader(ctx, line, (uint8_t *)l->entries + l->n * l->size);
        if (what == LINE_WRONG)
            return number;
        l->n += what == LINE_ENTRY;
    }
    return 0;
}

int lines_read(struct lines *l, struct memory *m, struct view text, size_t size, lines_reader *reader, void *ctx)
{
    struct lines new = { .len = text.len + 1, .cap = count(text), .size = size, .given = true };
    new.text = mem_resize(m, NULL, 0, new.len);
    new.entries = mem_zero(m, new.cap *size);
    int bad = new.text == NULL || new.entries == NULL ? -1 : 0;
    if (bad == 0 && text.len > 0) {
        memcpy(new.text, text.ptr, text.len);
        bad = read_all(&new, reader, ctx);
    }
    lines_done(bad == 0 ? l : &new, m);
    if (bad == 0)
        *l = new;
    return bad;
}

void lines_done(struct lines *l, struct memory *m)
{
    if (l->text != NULL)
        OPENSSL_cleanse(l->text, l->len);
    mem_free(m, l->text, l->len);
    mem_free(m, l->entries, l->cap * l->size);
    *l = (struct lines){ .given = false };
}
