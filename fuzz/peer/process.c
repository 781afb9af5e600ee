/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "fuzz/peer/last_words.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { OUTPUT_PIPE = 1 << 20, HEAR_EVERY_NS = 10000000 };

static struct sockaddr_in loopback(uint16_t port)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return a;
}

/* One that nobody listens on, below those that the system hands out to whoever connects. */
static uint16_t free_port(void)
{
    enum { FIRST = 12000, PORTS = 20000, TRIES = 100 };
    uint64_t dice = (uint64_t)runner_now_ns() * 0x9e3779b97f4a7c15u ^ (uint64_t)getpid() << 40;
    for (unsigned i = 0; i < TRIES; i++, dice = dice * 0xd1342543de82ef95u + 1) {
        uint16_t port = (uint16_t)(FIRST + (dice >> 33) % PORTS);
        struct sockaddr_in a = loopback(port);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bool ok = fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0;
        if (fd >= 0)
            close(fd);
        if (ok)
            return port;
    }
    return 0;
}

/* One program and its arguments, so that the shell can become it. What is more than that says exec where it wants. */
static bool is_plain(const char *command)
{
    size_t word = strcspn(command, " ");
    const char *assignment = strchr(command, '=');
    return strpbrk(command, ";&|()<>\n") == NULL && (assignment == NULL || assignment > command + word);
}

/* The command with its port; false when it is too long. */
static bool fill_in(char *out, size_t cap, const char *command, uint16_t port)
{
    size_t n = (size_t)snprintf(out, cap, "%s", is_plain(command) ? "exec " : "");
    while (*command != '\0' && n + 8 < cap) {
        if (strncmp(command, "{port}", 6) == 0) {
            n += (size_t)snprintf(out + n, cap - n, "%u", port);
            command += 6;
        } else {
            out[n++] = *command++;
        }
    }
    out[n] = '\0';
    return *command == '\0';
}

static bool listens(uint16_t port)
{
    struct sockaddr_in a = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0;
    if (fd >= 0)
        close(fd);
    return ok;
}

static void run_child(struct process *p, int output)
{
    int null = open("/dev/null", O_RDONLY);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(null, STDIN_FILENO);
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
    signal(SIGPIPE, SIG_DFL);
    execl("/bin/sh", "sh", "-c", p->command, (char *)NULL);
    _exit(127);
}

bool process_start(struct process *p, const char *command, int wait_ms, char *error)
{
    uint16_t port = p->port != 0 ? p->port : free_port();
    int ends[2];
    *p = (struct process){ .output = -1, .port = port };
    if (port == 0 || !fill_in(p->command, sizeof p->command, command, port) ||
        pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
        snprintf(error, PROCESS_ERROR, "the broker cannot be started: %s",
                 port == 0 ? "no free port" : strerror(errno));
        return false;
    }
    if (listens(port)) {
        snprintf(error, PROCESS_ERROR, "port %u is in use by somebody else", port);
        close(ends[0]);
        close(ends[1]);
        return false;
    }
    fcntl(ends[1], F_SETFL, 0);                /* the broker's end blocks as a pipe does */
    fcntl(ends[1], F_SETPIPE_SZ, OUTPUT_PIPE); /* large, where that is allowed */
    p->pid = fork();
    if (p->pid == 0)
        run_child(p, ends[1]);
    close(ends[1]);
    p->output = ends[0];
    if (p->pid < 0) {
        snprintf(error, PROCESS_ERROR, "fork: %s", strerror(errno));
        p->pid = 0;
        return false;
    }
    int pause_ms = 1;
    for (int64_t until = runner_now_ns() + (int64_t)wait_ms * 1000000; runner_now_ns() < until;) {
        if (!process_watch(p)) {
            char end[96];
            process_end_text(p, end, sizeof end);
            snprintf(error, PROCESS_ERROR, "the broker %s before it listened on port %u", end, port);
            return false;
        }
        if (listens(port))
            return true;
        poll(NULL, 0, pause_ms);
        pause_ms += pause_ms < 20;
    }
    process_stop(p, 500);
    snprintf(error, PROCESS_ERROR, "the broker did not listen on port %u within %d ms", port, wait_ms);
    return false;
}

static void keep(struct process *p, const char *octets, size_t n)
{
    if (n >= PROCESS_TAIL) {
        octets += n - PROCESS_TAIL + 1;
        n = PROCESS_TAIL - 1;
    }
    if (p->n_tail + n >= PROCESS_TAIL) {
        size_t drop = p->n_tail + n - PROCESS_TAIL + 1;
        memmove(p->tail, p->tail + drop, p->n_tail - drop);
        p->n_tail -= drop;
    }
    memcpy(p->tail + p->n_tail, octets, n);
    p->n_tail += n;
    p->tail[p->n_tail] = '\0';
    p->sanitizer = p->sanitizer || words_report(p->tail) != NULL;
}

bool process_watch(struct process *p)
{
    char octets[4096];
    ssize_t n;
    while (p->output >= 0 && (n = read(p->output, octets, sizeof octets)) > 0)
        keep(p, octets, (size_t)n);
    if (p->pid > 0 && !p->ended && waitpid(p->pid, &p->status, WNOHANG) == p->pid) {
        p->ended = true;
        while (p->output >= 0 && (n = read(p->output, octets, sizeof octets)) > 0)
            keep(p, octets, (size_t)n);
    }
    return p->pid > 0 && !p->ended;
}

void process_stop(struct process *p, int wait_ms)
{
    p->stopping = true;
    if (process_watch(p))
        kill(-p->pid, SIGTERM);
    for (int64_t until = runner_now_ns() + (int64_t)wait_ms * 1000000; process_watch(p) && runner_now_ns() < until;)
        poll(NULL, 0, 1);
    if (process_watch(p)) {
        kill(-p->pid, SIGKILL);
        waitpid(p->pid, &p->status, 0);
        p->ended = true;
        process_watch(p);
    }
    if (p->pid > 0)
        kill(-p->pid, SIGKILL); /* what it may have left behind */
    if (p->output >= 0)
        close(p->output);
    p->output = -1;
    p->pid = 0;
}

static uint32_t count_entries(const char *path)
{
    DIR *d = opendir(path);
    uint32_t n = 0;
    while (d != NULL && readdir(d) != NULL)
        n++;
    if (d != NULL)
        closedir(d);
    return n > 2 ? n - 2 : 0;
}

bool process_usage(const struct process *p, struct process_usage *out)
{
    char path[64], line[1024];
    *out = (struct process_usage){ 0 };
    if (p->pid <= 0 || p->ended)
        return false;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)p->pid);
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return false;
    bool ok = fgets(line, sizeof line, f) != NULL;
    fclose(f);
    const char *behind = ok ? strrchr(line, ')') : NULL;
    unsigned long user = 0, system = 0, threads = 0, octets = 0;
    long pages = 0;
    if (behind == NULL ||
        sscanf(behind, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d %lu %*d %*u %lu %ld",
               &user, &system, &threads, &octets, &pages) != 5)
        return false;
    long hz = sysconf(_SC_CLK_TCK), page = sysconf(_SC_PAGESIZE);
    out->cpu_ms = (user + system) * 1000u / (unsigned long)(hz > 0 ? hz : 100);
    clockid_t clock;
    struct timespec used;
    if (clock_getcpuclockid(p->pid, &clock) == 0 && clock_gettime(clock, &used) == 0) /* ticks are 10 ms */
        out->cpu_ms = (uint64_t)used.tv_sec * 1000 + (uint64_t)used.tv_nsec / 1000000;
    out->rss_kib = (uint64_t)pages * (uint64_t)page / 1024u;
    out->virtual_kib = octets / 1024u;
    out->threads = (uint32_t)threads;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)p->pid);
    out->fds = count_entries(path);
    return true;
}

static uint64_t thread_sleeps(const char *path)
{
    char line[256];
    unsigned long long n = 0;
    FILE *f = fopen(path, "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL && sscanf(line, "voluntary_ctxt_switches: %llu", &n) != 1)
        ;
    if (f != NULL)
        fclose(f);
    return n;
}

uint64_t process_sleeps(const struct process *p)
{
    char path[64];
    uint64_t n = 0;
    snprintf(path, sizeof path, "/proc/%d/task", (int)p->pid);
    DIR *d = opendir(path);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        snprintf(path, sizeof path, "/proc/%d/task/%.20s/status", (int)p->pid, e->d_name);
        n += thread_sleeps(path);
    }
    if (d != NULL)
        closedir(d);
    return n;
}

static void hear(void *process)
{
    struct process *p = process;
    int64_t now = runner_now_ns();
    if (now - p->heard_ns < HEAR_EVERY_NS)
        return;
    p->heard_ns = now;
    process_watch(p);
}

void process_target(struct process *p, struct runner_target *out)
{
    out->hear = hear;
    out->hear_ctx = p;
    struct sockaddr_in a = loopback(p->port);
    memcpy(&out->addr, &a, sizeof a);
    out->addr_len = sizeof a;
}

void process_end_text(const struct process *p, char *out, size_t cap)
{
    if (!p->ended)
        snprintf(out, cap, "runs");
    else if (WIFSIGNALED(p->status))
        snprintf(out, cap, "ended by signal %d (%s)", WTERMSIG(p->status), strsignal(WTERMSIG(p->status)));
    else
        snprintf(out, cap, "ended with status %d", WEXITSTATUS(p->status));
}
