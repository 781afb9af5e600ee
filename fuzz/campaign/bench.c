/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/campaign/command.h"

enum { START_MS = 20000, STOP_MS = 5000 };

static bool start(struct bench *b)
{
    char error[PROCESS_ERROR];
    if (process_start(&b->process, b->command->spawn, START_MS, error)) {
        process_target(&b->process, &b->target);
        return true;
    }
    fprintf(stderr, "mqfuzz: %s\n", error);
    if (b->process.n_tail > 0)
        fprintf(stderr, "mqfuzz: its last words:\n%s\n", b->process.tail);
    return false;
}

bool bench_open(struct bench *b, const struct command *c)
{
    char error[PROCESS_ERROR];
    *b = (struct bench){ .command = c };
    if (c->spawn != NULL)
        return start(b);
    if (runner_resolve(c->target, c->allow_remote, &b->target, error, sizeof error))
        return true;
    fprintf(stderr, "mqfuzz: %s\n", error);
    return false;
}

bool bench_restart(struct bench *b)
{
    uint16_t port = b->process.port;
    process_stop(&b->process, STOP_MS);
    b->process.port = port;
    return start(b);
}

void bench_close(struct bench *b)
{
    if (b->process.pid > 0)
        process_stop(&b->process, STOP_MS);
}

bool baseline_read(struct baseline *b, const char *path)
{
    char line[512];
    *b = (struct baseline){ 0 };
    if (path == NULL)
        return true;
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        fprintf(stderr, "mqfuzz: %s: %s\n", path, strerror(errno));
        return false;
    }
    while (fgets(line, sizeof line, f) != NULL) {
        line[strcspn(line, "#\r\n")] = '\0';
        size_t n = strlen(line);
        while (n > 0 && line[n - 1] == ' ')
            line[--n] = '\0';
        char **more = n > 0 ? realloc(b->line, (b->n + 1) * sizeof *more) : NULL;
        if (more != NULL) {
            b->line = more;
            b->line[b->n] = strdup(line);
            b->n += b->line[b->n] != NULL;
        }
    }
    fclose(f);
    return true;
}

/* A line is a rule id, a rule id with version ("MQTT-3.1.0-2 5.0"), or a title. */
bool baseline_has(const struct baseline *b, const struct report_entry *e)
{
    char both[64];
    snprintf(both, sizeof both, "%s %s", e->rule, e->version);
    for (uint32_t i = 0; i < b->n; i++)
        if (strcmp(b->line[i], e->rule) == 0 || strcmp(b->line[i], both) == 0 || strcmp(b->line[i], e->title) == 0)
            return true;
    return false;
}

void baseline_free(struct baseline *b)
{
    for (uint32_t i = 0; i < b->n; i++)
        free(b->line[i]);
    free(b->line);
    *b = (struct baseline){ 0 };
}

static bool written(bool ok, const char *path)
{
    if (!ok)
        fprintf(stderr, "mqfuzz: %s: %s\n", path, strerror(errno));
    return ok;
}

int command_reports(const struct command *c, const struct report *r)
{
    bool ok = c->junit == NULL || written(report_junit(r, c->junit), c->junit);
    ok = (c->sarif == NULL || written(report_sarif(r, c->sarif), c->sarif)) && ok;
    bool found = false;
    for (uint32_t i = 0; i < r->n; i++)
        found = found || report_is_finding(&r->at[i]);
    return !ok ? EXIT_TROUBLE : found ? EXIT_FINDINGS : EXIT_CLEAN;
}
