/* SPDX-License-Identifier: Apache-2.0
 *
 * Plans from files. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/campaign/command.h"

char *plan_file(const char *path, size_t *len)
{
    FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    size_t cap = 1 << 16, n = 0;
    char *text = malloc(cap);
    if (f == NULL || text == NULL) {
        fprintf(stderr, "mqfuzz: %s: %s\n", path, strerror(errno));
        free(text);
        return NULL;
    }
    for (size_t got; (got = fread(text + n, 1, cap - n - 1, f)) > 0;) {
        n += got;
        if (n + 1 == cap) {
            char *more = cap < (64u << 20) ? realloc(text, cap * 2) : NULL;
            if (more == NULL)
                break;
            text = more;
            cap *= 2;
        }
    }
    if (f != stdin)
        fclose(f);
    text[n] = '\0';
    *len = n;
    return text;
}

bool plan_read(struct plan *plan, const char *path, const char *prefix, unsigned version)
{
    size_t n;
    char *text = plan_file(path, &n);
    *plan = (struct plan){ 0 };
    if (text == NULL)
        return false;
    bool ok = plan_parse(plan, view_of(text, n), prefix, version);
    if (!ok)
        fprintf(stderr, "mqfuzz: %s: %s\n", path, plan->error);
    free(text);
    return ok;
}
