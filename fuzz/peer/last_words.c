/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/peer/last_words.h"

#include <stdio.h>
#include <string.h>

const char *words_report(const char *text)
{
    static const char *const marks[] = { "runtime error: ", "ERROR: AddressSanitizer", "ERROR: LeakSanitizer",
                                         "WARNING: ThreadSanitizer", "WARNING: MemorySanitizer" };
    const char *first = NULL;
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        const char *at = strstr(text, marks[i]);
        first = at != NULL && (first == NULL || at < first) ? at : first;
    }
    return first;
}

/* The function that a sanitizer saw allocate what was lost: the first below those that allocate for everybody. */
static bool leak(const struct process *p, char *out, size_t cap)
{
    static const char *const allocators[] = { "malloc", "calloc",      "realloc",     "strdup",
                                              "alloc",  "interceptor", "operator new" };
    const char *at = strstr(p->tail, "leak of ");
    at = at != NULL ? strstr(at, "#0 ") : NULL; /* its stack */
    while (at != NULL && (at = strstr(at, " in ")) != NULL) {
        size_t n = strcspn(at += 4, " (\n");
        char name[80];
        bool allocates = false;
        snprintf(name, sizeof name, "%.*s", (int)n, at);
        for (size_t i = 0; i < sizeof allocators / sizeof *allocators; i++)
            allocates = allocates || strstr(name, allocators[i]) != NULL;
        if (allocates)
            continue;
        snprintf(out, cap, "memory is leaked that %s asked for", name);
        return true;
    }
    return false;
}

/* What runtimes say of an error that nobody caught: the line itself, and the first of its places that is no inner one.
 */
static bool uncaught(const struct process *p, char *out, size_t cap)
{
    static const char *const words[] = {
        "Error: ", "Error [", "panic: ", "panicked at ", "Exception in thread ", "terminate called "
    };
    const char *at = NULL;
    for (size_t i = 0; at == NULL && i < sizeof words / sizeof *words; i++)
        at = strstr(p->tail, words[i]);
    if (at == NULL)
        return false;
    const char *place = strstr(at, "\n    at ");
    while (place != NULL && strstr(place, "(node:") != NULL &&
           strcspn(place + 1, "\n") > (size_t)(strstr(place, "(node:") - place))
        place = strstr(place + 1, "\n    at ");
    while (at > p->tail && at[-1] != '\n')
        at--;
    int n = (int)strcspn(at, "\n"), where = place != NULL ? (int)strcspn(place + 8, "(\n") : 0;
    while (where > 0 && place[8 + where - 1] == ' ')
        where--;
    snprintf(out, cap, "%.*s%s%.*s", n < 120 ? n : 120, at, where > 0 ? " at " : "", where < 60 ? where : 60,
             where > 0 ? place + 8 : "");
    return true;
}

static void take_summary(const char *line, char *out, size_t cap)
{
    line += strlen("SUMMARY: ");
    size_t n = strcspn(line, "\n");
    n -= n > 4 && memcmp(line + n - 4, " in ", 4) == 0 ? 4 : 0; /* UBSan names no function without symbols */
    snprintf(out, cap, "%.*s", (int)n, line);
}

/* A report without a summary, as GCC's UBSan writes it, in the words of one: without values, which change. */
static void take_beginning(const char *text, const char *mark, char *out, size_t cap)
{
    if (mark[0] == 'r') {
        const char *place = mark;
        while (place > text && place[-1] != '\n')
            place--;
        size_t n = (size_t)(mark - place);
        snprintf(out, cap, "UndefinedBehaviorSanitizer: undefined-behavior %.*s", n > 2 ? (int)n - 2 : 0, place);
        return;
    }
    mark = strchr(mark, ' ') + 1;
    size_t n = strcspn(mark, "\n(");
    for (size_t i = 0; i + 4 <= n; i++)
        if (memcmp(mark + i, " on ", 4) == 0)
            n = i;
    n -= n > 0 && mark[n - 1] == ' ';
    snprintf(out, cap, "%.*s", (int)n, mark);
}

bool words_next(const char **at, char *out, size_t cap)
{
    const char *mark = words_report(*at), *summary = strstr(*at, "SUMMARY: ");
    const char *after = mark != NULL ? words_report(mark + 1) : NULL, *taken = summary;
    if (mark == NULL && summary == NULL)
        return false;
    if (summary == NULL || (mark != NULL && after != NULL && after < summary)) {
        take_beginning(*at, mark, out, cap);
        taken = mark;
    } else {
        take_summary(summary, out, cap);
    }
    *at = taken + strcspn(taken, "\n");
    return true;
}

bool words_title(const struct process *p, char *out, size_t cap)
{
    bool any = false;
    for (const char *at = p->tail; words_next(&at, out, cap);)
        any = true;
    if (!any)
        return uncaught(p, out, cap);
    if (strstr(out, "leaked in") != NULL)
        leak(p, out, cap);
    return true;
}

void words_detail(const struct process *p, char *out, size_t cap)
{
    static const char mark[] = "runtime error: ";
    const char *said = NULL;
    for (const char *at = p->tail; (at = strstr(at, mark)) != NULL; at++)
        said = at + sizeof mark - 1;
    snprintf(out, cap, "%.*s", said != NULL ? (int)strcspn(said, "\n") : 0, said != NULL ? said : "");
}

int words_wait_ms(const struct process *p)
{
    if (!p->sanitizer)
        return 0;
    bool deadly = strstr(p->tail, "ERROR: ") != NULL;
    return deadly ? 1000 : strstr(p->tail, "SUMMARY: ") == NULL ? 200 : 0;
}

void words_forget(struct process *p)
{
    p->sanitizer = false;
    p->n_tail = 0;
    p->tail[0] = '\0';
}
