/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz/campaign/command.h"

enum { START_MS = 60000, STOP_MS = 5000, GREET_MS = 10000, ADDRESS = 300 };

/* A PINGREQ through all layers, refused or not. */
static bool shake_hands(struct wire *wire, int fd)
{
    char octets[64];
    for (int64_t until = runner_now_ns() + (int64_t)GREET_MS * 1000000; runner_now_ns() < until;) {
        if (wire_send(wire, fd, "\xc0\x00", 2) == 2)
            return true;
        if (errno != EAGAIN || wire_recv(wire, fd, octets, sizeof octets) >= 0 || errno != EAGAIN)
            return false;
        poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 100);
    }
    return false;
}

/* Connects without waiting for ever; errno says why not. */
static bool reach(int fd, const struct runner_target *target)
{
    int error = 0;
    socklen_t len = sizeof error;
    if (connect(fd, (const struct sockaddr *)&target->addr, target->addr_len) == 0)
        return true;
    if (errno != EINPROGRESS)
        return false;
    if (poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, GREET_MS) > 0)
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
    else
        error = ETIMEDOUT;
    errno = error;
    return error == 0;
}

/* One connection before the first: what is wrong with addresses, certificates and paths is said now. */
static bool greet(const struct bench *b, const char *address)
{
    const struct wire_kind *kind = &b->target.wire;
    int fd = socket(b->target.addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool ok = fd >= 0 && reach(fd, &b->target);
    if (!ok) {
        fprintf(stderr, "mqfuzz: no broker at %s: %s\n", address, strerror(errno));
    } else if (!wire_is_plain(kind)) {
        struct wire *wire = wire_begin(kind, fd);
        ok = wire != NULL && shake_hands(wire, fd);
        if (!ok)
            fprintf(stderr, "mqfuzz: no %s with the broker at %s: %s\n", kind->websocket ? "WebSocket" : "TLS", address,
                    wire == NULL ? "no memory" : wire_trouble());
        wire_end(wire, true);
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

static bool ready(struct bench *b, const char *address)
{
    b->target.login = (struct login){ b->command->user, b->command->password };
    return greet(b, address) && set_up(b);
}

static bool start(struct bench *b)
{
    char error[PROCESS_ERROR], address[32];
    int64_t began = runner_now_ns();
    if (process_start(&b->process, b->command->spawn, START_MS, error)) {
        b->start_ns = runner_now_ns() - began;
        process_target(&b->process, &b->target);
        snprintf(address, sizeof address, "127.0.0.1:%u", b->process.port);
        return ready(b, address);
    }
    fprintf(stderr, "mqfuzz: %s\n", error);
    if (b->process.n_tail > 0)
        fprintf(stderr, "mqfuzz: its last words:\n%s\n", b->process.tail);
    return false;
}

/* ws://HOST[:PORT][/PATH] and wss://: what that says of the wire; the address is left as HOST:PORT. */
static bool take_url(struct wire_kind *kind, bool *tls, const char *target, char *address)
{
    bool secure = strncmp(target, "wss://", 6) == 0;
    if (!secure && strncmp(target, "ws://", 5) != 0)
        return snprintf(address, ADDRESS, "%s", target) < ADDRESS;
    const char *host = target + (secure ? 6 : 5);
    size_t n = strcspn(host, "/?#"), behind = strcspn(host, "]") < n ? strcspn(host, "]") : 0;
    bool has_port = memchr(host + behind, ':', n - behind) != NULL;
    int len = snprintf(address, ADDRESS, "%.*s%s", (int)n, host, has_port ? "" : secure ? ":443" : ":80");
    *tls = *tls || secure;
    kind->websocket = true;
    return n > 0 && len < ADDRESS &&
           snprintf(kind->path, sizeof kind->path, "%s", host[n] == '/' ? host + n : "/") < (int)sizeof kind->path;
}

static bool make_tls(struct bench *b, const struct command *c, const char *address)
{
    char host[ADDRESS] = "localhost", error[PROCESS_ERROR];
    const char *colon = strrchr(address, ':');
    if (colon != NULL && colon > address) {
        bool bracketed = address[0] == '[';
        snprintf(host, sizeof host, "%.*s", (int)(colon - address) - 2 * bracketed, address + bracketed);
    }
    b->tls = tls_context_new(c->cafile, c->insecure, host, error, sizeof error);
    if (b->tls == NULL)
        fprintf(stderr, "mqfuzz: %s\n", error);
    return b->tls != NULL;
}

/* What carries the octets, and where to. False: said on stderr. */
static bool read_target(struct bench *b, const struct command *c, char *address)
{
    struct wire_kind *kind = &b->target.wire;
    bool tls = c->tls;
    if (!take_url(kind, &tls, c->target != NULL ? c->target : "", address)) {
        fprintf(stderr, "mqfuzz: '%s' is not ws://HOST:PORT/PATH\n", c->target);
        return false;
    }
    if (tls && !make_tls(b, c, address))
        return false;
    kind->tls = b->tls;
    kind->websocket = kind->websocket || c->websocket != NULL;
    if (c->websocket != NULL)
        snprintf(kind->path, sizeof kind->path, "%s", c->websocket);
    snprintf(kind->host, sizeof kind->host, "%.255s", address[0] != '\0' ? address : "localhost");
    return true;
}

bool bench_open(struct bench *b, const struct command *c)
{
    char error[PROCESS_ERROR], address[ADDRESS];
    *b = (struct bench){ .command = c };
    if (!read_target(b, c, address))
        return false;
    if (c->spawn != NULL)
        return start(b);
    if (runner_resolve(address, c->allow_remote, &b->target, error, sizeof error))
        return ready(b, address);
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
    ok = (c->sarif == NULL || written(report_sarif(r, c->sarif, c->out), c->sarif)) && ok;
    bool found = false;
    for (uint32_t i = 0; i < r->n; i++)
        found = found || report_is_finding(&r->at[i]);
    return !ok ? EXIT_TROUBLE : found ? EXIT_FINDINGS : EXIT_CLEAN;
}
