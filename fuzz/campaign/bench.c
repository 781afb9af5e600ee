/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "fuzz/campaign/command.h"

enum { START_MS = 60000, STOP_MS = 5000 };

/* One connection before the first: what is wrong with certificates is said now. */
static bool greet_tls(const struct bench *b)
{
    struct timeval patience = { START_MS / 1000, 0 };
    char octet;
    int fd = socket(b->target.addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = fd >= 0 && connect(fd, (const struct sockaddr *)&b->target.addr, b->target.addr_len) == 0;
    if (!ok) {
        fprintf(stderr, "mqfuzz: the broker does not accept connections: %s\n", strerror(errno));
    } else {
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        struct tls *tls = tls_begin(b->tls, fd);
        ok = tls != NULL && tls_send(tls, "\xc0\x00", 2) == 2; /* a PINGREQ, refused or not */
        if (!ok)
            fprintf(stderr, "mqfuzz: no TLS with the broker: %s\n", tls == NULL ? "no memory" : tls_trouble());
        if (ok)
            (void)tls_recv(tls, &octet, 0);
        tls_end(tls, true);
    }
    if (fd >= 0)
        close(fd);
    return ok;
}

/* The plan of --setup, strictly: every expectation has to be met. */
static bool set_up(const struct bench *b)
{
    struct plan plan = { 0 };
    struct runner runner;
    if (b->command->setup == NULL)
        return true;
    if (!plan_read(&plan, b->command->setup, "setup", MQTT_V311)) {
        plan_free(&plan);
        return false;
    }
    runner_init(&runner, &b->target, b->command->deadline_ms);
    struct run *run = runner_start(&runner, &plan, NULL, false) != NULL ? runner_step(&runner, -1) : NULL;
    bool ok = run != NULL && run->end == RUN_PASSED;
    if (!ok)
        fprintf(stderr, "mqfuzz: %s: the set-up does not succeed: %s\n", b->command->setup,
                run != NULL ? run->why : "no memory");
    run_free(run);
    runner_done(&runner);
    plan_free(&plan);
    return ok;
}

static bool ready(struct bench *b)
{
    b->target.login = (struct login){ b->command->user, b->command->password };
    b->target.tls = b->tls;
    return (b->tls == NULL || greet_tls(b)) && set_up(b);
}

static bool start(struct bench *b)
{
    char error[PROCESS_ERROR];
    int64_t began = runner_now_ns();
    if (process_start(&b->process, b->command->spawn, START_MS, error)) {
        b->start_ns = runner_now_ns() - began;
        process_target(&b->process, &b->target);
        return ready(b);
    }
    fprintf(stderr, "mqfuzz: %s\n", error);
    if (b->process.n_tail > 0)
        fprintf(stderr, "mqfuzz: its last words:\n%s\n", b->process.tail);
    return false;
}

static bool make_tls(struct bench *b, const struct command *c)
{
    char host[256] = "localhost", error[PROCESS_ERROR];
    const char *colon = c->target != NULL ? strrchr(c->target, ':') : NULL;
    if (colon != NULL && colon > c->target && (size_t)(colon - c->target) < sizeof host) {
        bool bracketed = c->target[0] == '[';
        snprintf(host, sizeof host, "%.*s", (int)(colon - c->target) - 2 * bracketed, c->target + bracketed);
    }
    b->tls = tls_context_new(c->cafile, c->insecure, host, error, sizeof error);
    if (b->tls == NULL)
        fprintf(stderr, "mqfuzz: %s\n", error);
    return b->tls != NULL;
}

bool bench_open(struct bench *b, const struct command *c)
{
    char error[PROCESS_ERROR];
    *b = (struct bench){ .command = c };
    if (c->tls && !make_tls(b, c))
        return false;
    if (c->spawn != NULL)
        return start(b);
    if (runner_resolve(c->target, c->allow_remote, &b->target, error, sizeof error))
        return ready(b);
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
    tls_context_free(b->tls);
    b->tls = NULL;
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
