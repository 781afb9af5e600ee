/* SPDX-License-Identifier: Apache-2.0
 *
 * Words of the broker's program, as AFL++ makes a dictionary of a target: what it compares topics, names and payloads
 * with stands in its file. The files are those that the command names, program or script. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/talk/conversation.h"

enum { WORD_MIN = 3, WORD_MAX = 16, WORDS_MAX = 4096, TABLE = WORDS_MAX * 4, FILE_MAX = 32 << 20 };

struct words {
    char word[WORDS_MAX][WORD_MAX + 1];
    uint16_t table[TABLE]; /* index plus one */
    uint32_t n, told;      /* told: each word once, before chance takes over */
};

static bool is_letter(int c)
{
    return isalnum(c) || c == '_';
}

static void add(struct words *w, const char *text, size_t len)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)text[i]) * 16777619u;
    for (h %= TABLE; w->table[h] != 0; h = (h + 1) % TABLE) {
        const char *old = w->word[w->table[h] - 1];
        if (strlen(old) == len && memcmp(old, text, len) == 0)
            return;
    }
    if (w->n == WORDS_MAX)
        return;
    memcpy(w->word[w->n], text, len);
    w->table[h] = (uint16_t)++w->n;
}

/* Words of plain text; in a program only those of strings, which end with a zero or stand among printable octets. */
static void read_words(struct words *w, FILE *f)
{
    char word[WORD_MAX];
    size_t len = 0, read = 0;
    for (int c; read < FILE_MAX && (c = getc(f)) != EOF; read++) {
        if (is_letter(c)) {
            if (len < WORD_MAX)
                word[len] = (char)c;
            len++;
            continue;
        }
        bool in_text = c == 0 || (c >= 0x20 && c < 0x7f) || c == '\n';
        bool digits = len > 0 && isdigit((unsigned char)word[0]);
        if (in_text && !digits && len >= WORD_MIN && len <= WORD_MAX)
            add(w, word, len);
        len = 0;
    }
}

static void read_program(struct words *w, const char *name)
{
    char path[512];
    const char *dirs = getenv("PATH");
    FILE *f = fopen(name, "re");
    while (f == NULL && strchr(name, '/') == NULL && dirs != NULL && *dirs != '\0') {
        int n = (int)strcspn(dirs, ":");
        snprintf(path, sizeof path, "%.*s/%s", n, dirs, name);
        f = fopen(path, "re");
        dirs += n;
        dirs += *dirs == ':';
    }
    if (f == NULL)
        return;
    read_words(w, f);
    fclose(f);
}

struct words *words_of_command(const char *command)
{
    struct words *w = calloc(1, sizeof *w);
    for (const char *at = command; w != NULL && at != NULL && *at != '\0';) {
        char name[256];
        size_t len = strcspn(at, " \t'\"");
        if (len > 0 && len < sizeof name && at[0] != '-' && at[0] != '{') {
            memcpy(name, at, len);
            name[len] = '\0';
            read_program(w, name);
        }
        at += len + (at[len] != '\0');
    }
    return w;
}

const char *words_any(struct words *w, struct mutator *m)
{
    if (w == NULL || w->n == 0)
        return "word";
    return w->word[w->told < w->n ? w->told++ : mutator_below(m, w->n)];
}

bool words_left(const struct words *w)
{
    return w != NULL && w->told < w->n;
}
