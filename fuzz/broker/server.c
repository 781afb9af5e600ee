/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* accept4 */
#include "fuzz/broker/server.h"
#include "fuzz/broker/websocket.h"
#include "fuzz/heap.h"
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    READ_CHUNK = 64 * 1024,
    EVENTS = 256,
    ACCEPTS = 64,       /* taken at one time, so that a flood of them does not stall the others */
    LINGER_MS = 2000,   /* a connection that is done may still take what we said */
    FAREWELL_MS = 1000, /* all of them, at the end */
    WEB_ROOM = 16 * 1024
};

struct web { /* what a WebSocket connection has beside */
    struct websocket socket;
    uint8_t out[WEB_ROOM + WEBSOCKET_ANSWER_MAX]; /* framed, to be sent */
    size_t start, len;
    bool closing;
};

struct link {
    struct broker_conn *conn; /* NULL: lingering, the broker knows it no more */
    struct link *next_dirty;
    struct link *next, **at; /* of the list it is in: alive, lingering */
    uint64_t until_ms;       /* lingering: not longer */
    struct web *web;         /* NULL: plain TCP */
    int fd;
    uint32_t events; /* epoll watches for these */
    bool dirty, eof;
};

struct server {
    const struct server_options *options;
    struct broker *broker;
    struct link *dirty, *alive, *lingering, *dead;
    struct link listeners[SERVER_BINDS * 2], signals;
    bool web_listener[SERVER_BINDS * 2];
    unsigned nlisteners;
    int epoll, spare_fd;
    bool stopping;
    uint64_t until_ms; /* stopping: not longer */
    uint8_t chunk[READ_CHUNK];
};

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- the host of the step function ---- */

static void host_random(void *ctx, uint8_t *out, size_t len)
{
    (void)ctx;
    if (getrandom(out, len, 0) != (ssize_t)len)
        abort(); /* 256 octets at a time cannot fail on a running system */
}

static void host_ready(void *ctx, void *user)
{
    struct server *s = ctx;
    struct link *l = user;
    if (l->dirty)
        return;
    l->dirty = true;
    l->next_dirty = s->dirty;
    s->dirty = l;
}

static void host_log(void *ctx, const struct broker_log *log)
{
    const struct server *s = ctx;
    log_write(&s->options->log, log);
}

static void say(const struct server *s, enum broker_level level, const char *event, const char *detail)
{
    log_write(&s->options->log, &(struct broker_log){ .level = level, .event = event, .detail = detail, .reason = -1 });
}

/* ---- one socket ---- */

static void watch(struct server *s, struct link *l, uint32_t events)
{
    if (l->events == events)
        return;
    struct epoll_event e = { .events = events, .data.ptr = l };
    epoll_ctl(s->epoll, l->events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, l->fd, &e);
    l->events = events;
}

static void enlist(struct link **list, struct link *l)
{
    if (l->at != NULL) {
        *l->at = l->next;
        if (l->next != NULL)
            l->next->at = l->at;
    }
    l->next = *list;
    l->at = list;
    if (l->next != NULL)
        l->next->at = &l->next;
    *list = l;
}

/* Freed when the round is over: events of this round may still point to it. */
static void bury(struct server *s, struct link *l)
{
    close(l->fd);
    l->fd = -1;
    enlist(&s->dead, l);
}

static void lose(struct server *s, struct link *l)
{
    if (l->conn != NULL)
        broker_closed(l->conn, now_ms());
    l->conn = NULL;
    if (!l->dirty)
        bury(s, l);
    else
        l->eof = true; /* flush() finds it */
}

static void last_word(struct server *s, struct link *l)
{
    if (l->until_ms != 0)
        return;
    l->until_ms = now_ms() + LINGER_MS;
    enlist(&s->lingering, l);
}

/* Everything is said. The other side gets the end of the stream, and time to read before a reset could take it away. */
static void linger(struct server *s, struct link *l)
{
    broker_closed(l->conn, now_ms());
    l->conn = NULL;
    if (l->eof || shutdown(l->fd, SHUT_WR) != 0) {
        bury(s, l);
        return;
    }
    watch(s, l, EPOLLIN);
    last_word(s, l);
}

static bool send_failed(void)
{
    return errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR;
}

static bool web_room(const struct web *web, size_t len)
{
    return web->len + len <= sizeof web->out;
}

static void web_put(struct web *web, struct view v)
{
    memcpy(web->out + web->len, v.ptr, v.len);
    web->len += v.len;
}

static bool web_waits(const struct link *l)
{
    return l->web != NULL && l->web->start < l->web->len;
}

/* Frames what the broker has to say, a buffer full at a time, and sends it. False: the connection is lost. */
static bool web_drain(struct link *l)
{
    struct web *web = l->web;
    for (;;) {
        if (web->start == web->len) {
            web->start = web->len = 0;
            struct view v = broker_output(l->conn);
            if (v.len > WEB_ROOM)
                v.len = WEB_ROOM;
            if (v.len > 0) {
                web->len = websocket_header(v.len, web->out);
                web_put(web, v);
                broker_sent(l->conn, v.len, now_ms());
            }
        }
        if (web->start == web->len)
            return true;
        ssize_t n = send(l->fd, web->out + web->start, web->len - web->start, MSG_NOSIGNAL);
        if (n < 0)
            return !send_failed();
        web->start += (size_t)n;
    }
}

/* Sends what waits. False: the connection is lost. */
static bool drain(struct link *l)
{
    if (l->web != NULL)
        return web_drain(l);
    for (struct view v; (v = broker_output(l->conn)).len > 0;) {
        ssize_t n = send(l->fd, v.ptr, v.len, MSG_NOSIGNAL);
        if (n < 0)
            return !send_failed();
        broker_sent(l->conn, (size_t)n, now_ms());
        if ((size_t)n < v.len)
            return true;
    }
    return true;
}

/* False: the connection is lost. */
static bool say_web_close(struct link *l)
{
    static const uint8_t close_frame[] = { 0x88, 0 };
    if (l->web == NULL || l->web->closing || broker_output(l->conn).len > 0 || web_waits(l))
        return true;
    l->web->closing = true;
    web_put(l->web, view_of(close_frame, sizeof close_frame));
    return web_drain(l);
}

static void settle(struct server *s, struct link *l)
{
    if (!drain(l)) {
        lose(s, l);
        return;
    }
    if (broker_done(l->conn) && !say_web_close(l)) {
        lose(s, l);
        return;
    }
    bool waiting = broker_output(l->conn).len > 0 || web_waits(l);
    if (!waiting && broker_done(l->conn)) {
        linger(s, l);
        return;
    }
    if (!waiting && l->web != NULL && l->web->closing) {
        lose(s, l);
        return;
    }
    if (broker_done(l->conn))
        last_word(s, l);
    uint32_t in = broker_wants_input(l->conn) ? EPOLLIN : 0;
    watch(s, l, in | (waiting ? (uint32_t)EPOLLOUT : 0) | EPOLLRDHUP);
}

static void flush(struct server *s)
{
    while (s->dirty != NULL) {
        struct link *l = s->dirty;
        s->dirty = l->next_dirty;
        l->dirty = false;
        if (l->conn != NULL)
            settle(s, l);
        else if (l->eof)
            bury(s, l);
    }
}

static void discard(struct server *s, struct link *l)
{
    ssize_t n;
    for (int i = 0; i < 16; i++)
        if ((n = recv(l->fd, s->chunk, sizeof s->chunk, 0)) <= 0)
            break;
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        bury(s, l);
}

/* Octets of a WebSocket connection: of MQTT to the broker, answers into the way out. */
static void web_input(struct server *s, struct link *l, size_t len)
{
    size_t used = 0;
    struct view v;
    for (enum websocket_status status = WEBSOCKET_DATA; status != WEBSOCKET_MORE && !l->web->closing;) {
        status = websocket_take(&l->web->socket, s->chunk, len, &used, &v);
        if (status == WEBSOCKET_DATA) {
            broker_input(l->conn, v, now_ms());
            continue;
        }
        if (v.len > 0 && web_room(l->web, v.len)) /* else it pings without reading the answers */
            web_put(l->web, v);
        l->web->closing = status == WEBSOCKET_CLOSE;
        if (status != WEBSOCKET_MORE)
            host_ready(s, l);
    }
}

static void receive(struct server *s, struct link *l)
{
    ssize_t n = recv(l->fd, s->chunk, sizeof s->chunk, 0);
    if (n > 0) {
        if (l->web != NULL)
            web_input(s, l, (size_t)n);
        else
            broker_input(l->conn, view_of(s->chunk, (size_t)n), now_ms());
        if (!broker_wants_input(l->conn))
            host_ready(s, l);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        lose(s, l);
    }
}

static void on_link(struct server *s, struct link *l, uint32_t events)
{
    if (l->fd < 0)
        return;
    if (l->conn == NULL) {
        if (!l->dirty)
            discard(s, l);
        return;
    }
    if ((events & EPOLLIN) != 0 && !broker_done(l->conn))
        receive(s, l);
    else if ((events & (EPOLLERR | EPOLLHUP)) != 0 || ((events & EPOLLRDHUP) != 0 && !broker_wants_input(l->conn)))
        lose(s, l);
    if (l->fd >= 0 && l->conn != NULL && (events & EPOLLOUT) != 0)
        host_ready(s, l);
}

/* ---- listening ---- */

static void free_link(struct link *l)
{
    free(l->web);
    free(l);
}

static struct link *new_link(bool web)
{
    struct link *l = calloc(1, sizeof *l);
    if (l == NULL || !web)
        return l;
    if ((l->web = malloc(sizeof *l->web)) == NULL) {
        free(l);
        return NULL;
    }
    websocket_init(&l->web->socket);
    l->web->start = l->web->len = 0;
    l->web->closing = false;
    return l;
}

static void welcome(struct server *s, int fd, const struct sockaddr *peer, bool web)
{
    int on = 1;
    struct link *l = new_link(web);
    if (l == NULL) {
        close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    l->fd = fd;
    l->conn = broker_open(s->broker, l, log_peer(peer), now_ms());
    if (l->conn == NULL) {
        say(s, BROKER_WARNING, "limit", "a connection was refused: too many, or no memory");
        close(fd);
        free_link(l);
        return;
    }
    enlist(&s->alive, l);
    watch(s, l, EPOLLIN | EPOLLRDHUP);
}

/* Out of descriptors: give up the spare one to take the connection and close it, so that it does not wait for ever. */
static void turn_away(struct server *s, int listener)
{
    close(s->spare_fd);
    int fd = accept(listener, NULL, NULL);
    if (fd >= 0)
        close(fd);
    s->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    say(s, BROKER_WARNING, "limit", "a connection was refused: no file descriptors left");
}

static void accept_some(struct server *s, int listener, bool web)
{
    for (int i = 0; i < ACCEPTS; i++) {
        struct sockaddr_storage peer;
        socklen_t len = sizeof peer;
        int fd = accept4(listener, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            welcome(s, fd, (struct sockaddr *)&peer, web);
        } else {
            if (errno == EMFILE || errno == ENFILE)
                turn_away(s, listener);
            return;
        }
    }
}

static void announce(int fd, bool web)
{
    struct sockaddr_storage bound;
    socklen_t len = sizeof bound;
    char host[64] = "?", port[16] = "?";
    getsockname(fd, (struct sockaddr *)&bound, &len);
    getnameinfo((struct sockaddr *)&bound, len, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV);
    bool v6 = bound.ss_family == AF_INET6;
    printf("mqbroker: listening on %s%s%s%s:%s\n", web ? "ws://" : "", v6 ? "[" : "", host, v6 ? "]" : "", port);
    fflush(stdout);
}

static bool listen_at(struct server *s, const struct addrinfo *at, bool web)
{
    int on = 1;
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (at->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(fd, at->ai_addr, at->ai_addrlen) != 0 || listen(fd, SOMAXCONN) != 0) {
        close(fd);
        return false;
    }
    s->web_listener[s->nlisteners] = web;
    struct link *l = &s->listeners[s->nlisteners++];
    *l = (struct link){ .fd = fd };
    watch(s, l, EPOLLIN);
    announce(fd, web);
    return true;
}

static bool listen_on(struct server *s, const char *address, const char *port, bool web)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV }, *found = NULL;
    int error = getaddrinfo(address, port, &hints, &found);
    if (error != 0) {
        fprintf(stderr, "mqbroker: %s port %s: %s\n", address, port, gai_strerror(error));
        return false;
    }
    bool fine = s->nlisteners < sizeof s->listeners / sizeof s->listeners[0] && listen_at(s, found, web);
    if (!fine)
        fprintf(stderr, "mqbroker: cannot listen on %s port %s: %s\n", address, port, strerror(errno));
    freeaddrinfo(found);
    return fine;
}

/* ---- files ---- */

/* The whole file, to be freed; NULL: cannot be read. */
static uint8_t *slurp(const char *path, size_t *len)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    uint8_t *text = NULL;
    *len = 0;
    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size >= 0 && st.st_size < 64 * 1024 * 1024 &&
        (text = malloc((size_t)st.st_size + 1)) != NULL) {
        for (ssize_t n; *len < (size_t)st.st_size && (n = read(fd, text + *len, (size_t)st.st_size - *len)) > 0;)
            *len += (size_t)n;
    } else {
        fprintf(stderr, "mqbroker: %s: %s\n", path, errno != 0 ? strerror(errno) : "too large");
    }
    if (fd >= 0)
        close(fd);
    return text;
}

static bool load(struct broker *b, const char *path, int (*take)(struct broker *, struct view))
{
    size_t len;
    if (path == NULL)
        return true;
    uint8_t *text = slurp(path, &len);
    int bad = text == NULL ? 1 : take(b, view_of(text, len));
    if (text != NULL && bad > 0)
        fprintf(stderr, "mqbroker: %s:%d: not a line of this kind of file\n", path, bad);
    else if (bad < 0)
        fprintf(stderr, "mqbroker: %s: no memory\n", path);
    free(text);
    return bad == 0;
}

static bool load_files(struct server *s)
{
    return load(s->broker, s->options->password_file, broker_passwords) &&
           load(s->broker, s->options->acl_file, broker_acl);
}

/* ---- running ---- */

static void stop(struct server *s)
{
    s->stopping = true;
    s->until_ms = now_ms() + FAREWELL_MS;
    for (unsigned i = 0; i < s->nlisteners; i++)
        close(s->listeners[i].fd);
    s->nlisteners = 0;
    broker_shutdown(s->broker, now_ms());
}

static void on_signal(struct server *s)
{
    struct signalfd_siginfo info;
    while (read(s->signals.fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGHUP)
            say(s, BROKER_NOTICE, "reload",
                load_files(s) ? "files read again" : "the files are bad, the old ones stay");
        else if (!s->stopping)
            stop(s);
    }
}

static void on_event(struct server *s, struct link *l, uint32_t events)
{
    if (l == &s->signals) {
        on_signal(s);
        return;
    }
    for (unsigned i = 0; i < s->nlisteners; i++) {
        if (l == &s->listeners[i]) {
            accept_some(s, l->fd, s->web_listener[i]);
            return;
        }
    }
    if (l < s->listeners || l >= s->listeners + sizeof s->listeners / sizeof s->listeners[0])
        on_link(s, l, events);
}

static void free_dead(struct server *s)
{
    while (s->dead != NULL) {
        struct link *l = s->dead;
        s->dead = l->next;
        free_link(l);
    }
}

/* After flush(): nothing is dirty. */
static void bury_old(struct server *s, uint64_t now)
{
    for (struct link *l = s->lingering, *next; l != NULL; l = next) {
        next = l->next;
        if (l->until_ms <= now)
            lose(s, l);
    }
    free_dead(s);
}

static int timeout_of(const struct server *s, uint64_t due, uint64_t now)
{
    if (s->lingering != NULL && due > now + LINGER_MS)
        due = now + LINGER_MS;
    if (s->stopping && due > s->until_ms)
        due = s->until_ms;
    if (due <= now)
        return 0;
    return due - now > 60000 ? 60000 : (int)(due - now);
}

static bool finished(const struct server *s, uint64_t now)
{
    struct broker_stats stats;
    if (!s->stopping)
        return false;
    broker_stats(s->broker, &stats);
    return now >= s->until_ms || (stats.connections == 0 && s->lingering == NULL);
}

static void run(struct server *s)
{
    struct epoll_event events[EVENTS];
    for (;;) {
        uint64_t now = now_ms(), due = broker_advance(s->broker, now);
        flush(s);
        bury_old(s, now);
        if (finished(s, now))
            return;
        int n = epoll_wait(s->epoll, events, EVENTS, timeout_of(s, due, now));
        for (int i = 0; i < n; i++)
            on_event(s, events[i].data.ptr, events[i].events);
        flush(s);
    }
}

static void raise_limits(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static bool catch_signals(struct server *s)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0 || (s->signals.fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)) < 0)
        return false;
    watch(s, &s->signals, EPOLLIN);
    return true;
}

static bool start(struct server *s)
{
    static const char *const loopback[] = { "127.0.0.1" };
    const struct server_options *options = s->options;
    const char *const *binds = options->nbinds > 0 ? options->binds : loopback;
    unsigned n = options->nbinds > 0 ? options->nbinds : 1;
    if (!load_files(s) || !catch_signals(s))
        return false;
    for (unsigned i = 0; i < n; i++)
        if (!listen_on(s, binds[i], options->port, false))
            return false;
    for (unsigned i = 0; i < n && options->web_port != NULL; i++)
        if (!listen_on(s, binds[i], options->web_port, true))
            return false;
    return true;
}

int server_run(const struct server_options *options, const struct broker_config *config)
{
    struct server *s = calloc(1, sizeof *s);
    if (s == NULL)
        return 2;
    raise_limits();
    *s = (struct server){ .options = options, .epoll = epoll_create1(EPOLL_CLOEXEC), .signals = { .fd = -1 } };
    s->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct broker_host host = { s, heap_resize, host_random, host_ready, host_log };
    s->broker = broker_new(config, &host, now_ms());
    bool fine = s->broker != NULL && s->epoll >= 0 && start(s);
    if (fine)
        run(s);
    for (unsigned i = 0; i < s->nlisteners; i++)
        close(s->listeners[i].fd);
    for (struct link *l; (l = s->lingering != NULL ? s->lingering : s->alive) != NULL;)
        bury(s, l);
    free_dead(s);
    broker_free(s->broker);
    close(s->spare_fd);
    close(s->signals.fd);
    close(s->epoll);
    free(s);
    return fine ? 0 : 2;
}
