/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/fuzz/server.h -- the program mqbroker as a child of a test, and plain sockets to it. */
#pragma once
#include "decoder/base/cursor.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct server {
    pid_t pid;
    uint16_t port, web_port; /* web_port 0: none */
    int said;                /* its standard output and error */
};

/* build/tests/fuzz/test_x -> build/mqbroker */
static void server_path(char *path, size_t cap)
{
    ssize_t n = readlink("/proc/self/exe", path, cap - 32);
    path[n > 0 ? n : 0] = '\0';
    for (int i = 0; i < 3; i++) {
        char *slash = strrchr(path, '/');
        if (slash != NULL)
            *slash = '\0';
    }
    strcat(path, "/mqbroker");
}

static void server_exec(const char *options, int out)
{
    char path[4096], words[1000];
    char *argv[40] = { path, "-p", "0", "--sys-interval", "3600" }, *rest;
    int n = 5;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nothing behind */
    server_path(path, sizeof path);
    snprintf(words, sizeof words, "%s", options);
    for (char *word = strtok_r(words, " ", &rest); word != NULL && n < 38; word = strtok_r(NULL, " ", &rest))
        argv[n++] = word;
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    execv(path, argv);
    _exit(127);
}

/* Reads what the server says up to a line that begins so; false: it ended, or said nothing for ten seconds. */
static bool server_await(struct server *s, const char *start, char *line, size_t cap)
{
    size_t len = 0;
    for (;;) {
        struct pollfd p = { .fd = s->said, .events = POLLIN };
        char c;
        if (poll(&p, 1, 10000) <= 0 || read(s->said, &c, 1) != 1)
            return false;
        if (c != '\n') {
            if (len + 1 < cap)
                line[len++] = c;
            continue;
        }
        line[len] = '\0';
        len = 0;
        if (strncmp(line, start, strlen(start)) == 0)
            return true;
    }
}

static bool server_start(struct server *s, const char *options)
{
    int pipes[2];
    char line[300];
    *s = (struct server){ .pid = -1 };
    if (pipe(pipes) != 0 || (s->pid = fork()) < 0)
        return false;
    if (s->pid == 0)
        server_exec(options, pipes[1]);
    close(pipes[1]);
    s->said = pipes[0];
    if (!server_await(s, "mqbroker: listening on ", line, sizeof line))
        return false;
    s->port = (uint16_t)atoi(strrchr(line, ':') + 1);
    if (strstr(options, "--websocket-port") != NULL) {
        if (!server_await(s, "mqbroker: listening on ", line, sizeof line))
            return false;
        s->web_port = (uint16_t)atoi(strrchr(line, ':') + 1);
    }
    return true;
}

/* SIGTERM; returns the exit status, -1 when it died of a signal. */
static int server_stop(struct server *s)
{
    int status;
    kill(s->pid, SIGTERM);
    waitpid(s->pid, &status, 0);
    close(s->said);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static inline int socket_to(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port = htons(port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static inline bool socket_send(int fd, struct view octets)
{
    ssize_t n = send(fd, octets.ptr, octets.len, MSG_NOSIGNAL);
    return n == (ssize_t)octets.len || (n < 0 && (errno == EPIPE || errno == ECONNRESET));
}

/* How many octets came within four seconds; 0: closed; -1: none. */
static inline int socket_receive(int fd, uint8_t *buf, size_t cap)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    if (poll(&p, 1, 4000) <= 0)
        return -1;
    ssize_t n = recv(fd, buf, cap, 0);
    return n > 0 ? (int)n : 0;
}
