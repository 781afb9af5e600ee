/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/peer/link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { READ_CHUNK = 65536, OCTETS_MAX = 6 << 20, IMPATIENT_MS = 100, ANSWER_US = 10000, HEAR_MS = 50 };
#define AGAIN_NS 3000000

int64_t runner_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t wall_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

const char *run_end_name(enum run_end end)
{
    static const char *const names[] = { "going", "pass", "fail", "unknown", "n/a", "no broker" };
    return names[end];
}

void runner_init(struct runner *e, const struct runner_target *target, uint32_t deadline_ms)
{
    *e = (struct runner){
        .target = *target, .deadline_ms = deadline_ms, .octets_max = OCTETS_MAX, .answer_us = ANSWER_US
    };
    e->poll_fd = epoll_create1(EPOLL_CLOEXEC);
    e->open = e->poll_fd >= 0;
    e->room = malloc(READ_CHUNK);
}

void runner_done(struct runner *e)
{
    for (uint32_t i = 0; i < e->n; i++)
        run_free(e->runs[i]);
    free(e->runs);
    free(e->room);
    if (e->open)
        close(e->poll_fd);
    e->open = false;
    e->room = NULL;
    e->runs = NULL;
    e->n = e->cap = 0;
}

/* Grows an array to hold `need` elements. */
static bool reserve(void *array, uint32_t *cap, uint32_t need, size_t element)
{
    void **at = array;
    if (need <= *cap)
        return true;
    uint32_t more = *cap < 16 ? 16 : *cap * 2;
    more = more < need ? need : more;
    void *p = realloc(*at, more * element);
    if (p == NULL)
        return false;
    *at = p;
    *cap = more;
    return true;
}

void run_finish(struct run *r, enum run_end end, const char *why, ...)
{
    if (r->end != RUN_GOING)
        return;
    va_list args;
    va_start(args, why);
    vsnprintf(r->why, sizeof r->why, why, args);
    va_end(args);
    r->end = end;
}

static void log_event(struct run *r, struct link *l, enum log_what what, const uint8_t *octets, uint32_t n)
{
    if (!reserve(&r->log, &r->log_cap, r->n_log + 1, sizeof *r->log) ||
        !reserve(&r->octets, &r->octets_cap, r->n_octets + n, 1)) {
        run_finish(r, RUN_UNKNOWN, "no memory for the log");
        return;
    }
    r->log[r->n_log++] = (struct log_entry){ .what = (uint8_t)what,
                                             .client = (uint8_t)(l - r->link),
                                             .connection = (uint16_t)(l->opened - 1),
                                             .port = l->port,
                                             .step = r->step,
                                             .time_ns = wall_ns(),
                                             .at = r->n_octets,
                                             .len = n };
    if (n > 0)
        memcpy(r->octets + r->n_octets, octets, n);
    r->n_octets += n;
}

struct run *runner_start(struct runner *e, const struct plan *plan, void *tag, bool lenient)
{
    struct run *r = calloc(1, sizeof *r);
    if (r == NULL || !e->open || e->room == NULL || !reserve(&e->runs, &e->cap, e->n + 1, sizeof *e->runs) ||
        (r->link = calloc(PLAN_CLIENTS, sizeof *r->link)) == NULL) {
        free(r);
        return NULL;
    }
    for (unsigned i = 0; i < PLAN_CLIENTS; i++)
        r->link[i] = (struct link){ .run = r, .fd = -1 };
    r->ready = true;
    r->plan = plan;
    r->tag = tag;
    r->lenient = lenient;
    memcpy(r->lacks, e->lacks, sizeof r->lacks);
    r->began_ns = runner_now_ns();
    e->runs[e->n++] = r;
    return r;
}

static void drop_link(struct link *l)
{
    wire_end(l->wire, false);
    l->wire = NULL;
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
    l->watched = 0;
    l->connecting = l->deaf = false;
    l->ended = true;
}

void run_free(struct run *r)
{
    if (r == NULL)
        return;
    for (unsigned i = 0; i < PLAN_CLIENTS; i++) {
        drop_link(&r->link[i]);
        free(r->link[i].in);
        free(r->link[i].arrival);
    }
    free(r->link);
    free(r->log);
    free(r->octets);
    free(r->logged_in);
    free(r);
}

/* ---- connections ---- */

/* From now on this link's events come from epoll. What it waits to write is asked for only while it does. */
static bool watch(const struct runner *e, struct link *l, uint32_t events)
{
    struct epoll_event wanted = { .events = events, .data.ptr = l };
    if (l->fd < 0 || l->watched == events)
        return true;
    bool ok = epoll_ctl(e->poll_fd, l->watched == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, l->fd, &wanted) == 0;
    l->watched = events;
    return ok;
}

static bool watch_as_needed(const struct runner *e, struct link *l, bool sending)
{
    bool out = l->connecting || l->n_out > 0 || sending || wire_waits(l->wire);
    uint32_t in = l->deaf ? EPOLLPRI : EPOLLIN; /* which does not come */
    return watch(e, l, l->connecting ? EPOLLOUT : out ? in | EPOLLOUT : in);
}

/* A socket on its way to the broker, or there already. False: the run is over. */
static bool open_socket(struct runner *e, struct run *r, struct link *l)
{
    l->fd = socket(e->target.addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;
    if (l->fd < 0 || setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0) {
        run_finish(r, RUN_UNKNOWN, "socket: %s", strerror(errno));
        return false;
    }
    if (!wire_is_plain(&e->target.wire) && (l->wire = wire_begin(&e->target.wire, l->fd)) == NULL) {
        run_finish(r, RUN_UNKNOWN, "no memory for a connection");
        return false;
    }
    const struct sockaddr *to = (const struct sockaddr *)&e->target.addr;
    bool open = connect(l->fd, to, e->target.addr_len) == 0;
    if (!open && errno == EINPROGRESS) /* on loopback it has come, or was refused, by now */
        open = connect(l->fd, to, e->target.addr_len) == 0;
    if (!open && errno != EALREADY && errno != EINPROGRESS) {
        log_event(r, l, LOG_REFUSED, NULL, 0);
        drop_link(l);
        run_finish(r, RUN_NO_BROKER, "connect: %s", strerror(errno));
        return false;
    }
    l->connecting = !open;
    /* Still none: more wait to be accepted than the broker has room for. TCP would try again after a second. */
    r->again_ns = !open && runner_is_near(&e->target) ? runner_now_ns() + AGAIN_NS : 0;
    if (watch_as_needed(e, l, false))
        return true;
    run_finish(r, RUN_UNKNOWN, "epoll: %s", strerror(errno));
    return false;
}

static bool open_link(struct runner *e, struct run *r, struct link *l)
{
    drop_link(l);
    l->n_in = l->parsed = l->n_arrival = l->n_out = l->pings = 0;
    l->closed_by_broker = l->ended = l->silent = false;
    l->opened++;
    r->connections++;
    if (!open_socket(e, r, l))
        return false;
    struct sockaddr_storage own;
    socklen_t len = sizeof own;
    if (getsockname(l->fd, (struct sockaddr *)&own, &len) == 0)
        l->port = ntohs(own.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&own)->sin6_port
                                                  : ((struct sockaddr_in *)&own)->sin_port);
    if (!l->connecting)
        log_event(r, l, LOG_OPENED, NULL, 0);
    return true;
}

/* The connection is there. False: not yet, or the run is over. */
static bool is_open(struct runner *e, struct run *r, struct link *l)
{
    if (!l->connecting || r->again_ns == 0 || runner_now_ns() < r->again_ns)
        return !l->connecting;
    drop_link(l);
    l->ended = false;
    if (!open_socket(e, r, l) || l->connecting)
        return false;
    log_event(r, l, LOG_OPENED, NULL, 0);
    return true;
}

/* Writes what the socket takes. Returns the octets taken. */
uint32_t link_send(struct run *r, struct link *l, const uint8_t *octets, uint32_t n)
{
    ssize_t taken = wire_send(l->wire, l->fd, octets, n);
    if (taken > 0) {
        log_event(r, l, LOG_SENT, octets, (uint32_t)taken);
        return (uint32_t)taken;
    }
    return 0; /* a broken connection shows when it is read */
}

static void answer(struct run *r, struct link *l, unsigned type, unsigned id)
{
    uint8_t packet[4] = { (uint8_t)(type << 4 | mqtt_type_flags(type)), 2, (uint8_t)(id >> 8), (uint8_t)id };
    r->sent_packets++;
    if (l->n_out == 0 && link_send(r, l, packet, sizeof packet) == sizeof packet)
        return;
    if (l->n_out + sizeof packet <= sizeof l->out) {
        memcpy(l->out + l->n_out, packet, sizeof packet);
        l->n_out += (uint32_t)sizeof packet;
    }
}

void link_decode(const struct link *l, const struct arrival *a, struct mqtt_packet *p)
{
    mqtt_decode(view_of(l->in + a->at, a->len), (struct mqtt_context){ l->version, MQTT_SERVER }, p, NULL);
}

/* A whole packet came: answer it like a client that does its duty, unless the plan does so itself. */
static void arrived(struct run *r, struct link *l, const struct arrival *a)
{
    struct mqtt_packet p;
    link_decode(l, a, &p);
    r->received_packets++;
    if (p.type == MQTT_CONNACK)
        plan_learn(r->lacks, &p);
    if (l->manual || !p.has_id)
        return;
    if (p.type == MQTT_PUBLISH)
        answer(r, l, p.publish.qos == 1 ? MQTT_PUBACK : MQTT_PUBREC, p.id);
    else if (p.type == MQTT_PUBREL)
        answer(r, l, MQTT_PUBCOMP, p.id);
    else if (p.type == MQTT_PUBREC && p.reason < 0x80)
        answer(r, l, MQTT_PUBREL, p.id);
}

static void parse_arrivals(struct run *r, struct link *l)
{
    for (;;) {
        uint32_t left = l->n_in - l->parsed, remaining = 0;
        if (left < 2)
            return;
        int used = mqtt_vbi_read(view_of(l->in + l->parsed + 1, left - 1), &remaining);
        if (used < 0) {
            run_finish(r, RUN_FAILED, "the broker sent a Remaining Length of five octets");
            return;
        }
        if (used == 0 || left < 1 + (uint32_t)used + remaining)
            return;
        if (!reserve(&l->arrival, &l->arrival_cap, l->n_arrival + 1, sizeof *l->arrival)) {
            run_finish(r, RUN_UNKNOWN, "no memory");
            return;
        }
        struct arrival *a = &l->arrival[l->n_arrival++];
        *a = (struct arrival){ l->parsed, 1 + (uint32_t)used + remaining, false };
        l->parsed += a->len;
        arrived(r, l, a);
    }
}

static void broker_closed(struct run *r, struct link *l, bool reset)
{
    log_event(r, l, reset ? LOG_RESET_BY_BROKER : LOG_CLOSED_BY_BROKER, NULL, 0);
    l->closed_by_broker = true;
    for (uint32_t i = l->n_arrival; i-- > 0;) {
        struct mqtt_packet p;
        link_decode(l, &l->arrival[i], &p);
        if (p.type == MQTT_DISCONNECT || p.type == MQTT_CONNACK) {
            r->code = p.reason;
            break;
        }
    }
    drop_link(l);
}

/* True: there may be more that no poll() shows, since the wire has unwrapped it already. */
static bool read_link(struct runner *e, struct run *r, struct link *l)
{
    ssize_t n = wire_recv(l->wire, l->fd, e->room, READ_CHUNK);
    if (n > 0 && !reserve(&l->in, &l->in_cap, l->n_in + (uint32_t)n, 1)) {
        run_finish(r, RUN_UNKNOWN, "no memory");
        return false;
    }
    if (n > 0) {
        memcpy(l->in + l->n_in, e->room, (size_t)n);
        int one = 1; /* a broker that leaves Nagle's algorithm on waits for this acknowledgement, 40 ms by default */
        setsockopt(l->fd, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof one);
        log_event(r, l, LOG_RECEIVED, l->in + l->n_in, (uint32_t)n);
        l->n_in += (uint32_t)n;
        r->received += (uint32_t)n;
        parse_arrivals(r, l);
        if (r->received > e->octets_max)
            run_finish(r, RUN_FAILED, "the broker sent more than %u octets", e->octets_max);
        return l->wire != NULL && r->end == RUN_GOING;
    }
    int error = n < 0 ? errno : 0;
    if (error == EPROTO)
        run_finish(r, RUN_FAILED, "%s", wire_trouble());
    if (error != EAGAIN && error != EINTR)
        broker_closed(r, l, n < 0);
    return false;
}

static void service_link(struct runner *e, struct run *r, struct link *l, uint32_t events)
{
    if (l->connecting && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0) {
        int error = 0;
        socklen_t len = sizeof error;
        getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &error, &len);
        l->connecting = false;
        r->again_ns = 0;
        log_event(r, l, error == 0 ? LOG_OPENED : LOG_REFUSED, NULL, 0);
        if (error != 0) {
            drop_link(l);
            run_finish(r, RUN_NO_BROKER, "connect: %s", strerror(error));
        }
        return;
    }
    if ((events & EPOLLOUT) != 0)
        wire_flush(l->wire);
    if (l->n_out > 0 && (events & EPOLLOUT) != 0) {
        uint32_t n = link_send(r, l, l->out, l->n_out);
        memmove(l->out, l->out + n, l->n_out - n);
        l->n_out -= n;
    }
    if (!l->connecting && (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0)
        while (read_link(e, r, l))
            ;
}

/* ---- steps ---- */

static char letter(const struct plan_step *s)
{
    return (char)('a' + s->client);
}

void run_next_step(struct run *r)
{
    r->step++;
    r->deadline_ns = 0;
    r->sent_part = 0;
    r->alive_sent = false;
}

/* A step of this link is sent, whole. */
static void sent(struct run *r, struct link *l)
{
    const struct plan_step *s = &r->plan->step[r->step];
    l->pings += s->octets.len > 0 && !s->part && s->octets.ptr[0] >> 4 == MQTT_PINGREQ;
    r->sent_packets++;
    run_next_step(r);
}

static bool is_connect(const struct plan_step *s)
{
    return s->octets.len > 0 && !s->part && s->octets.ptr[0] >> 4 == MQTT_CONNECT;
}

/* What a step sends: its octets, or the same CONNECT with a user in it. */
static struct view octets_of(const struct runner *e, struct run *r, const struct plan_step *s)
{
    if (e->target.login.user == NULL || !is_connect(s))
        return s->octets;
    if (r->logged_in == NULL || r->logged_in_step != r->step) {
        size_t cap = s->octets.len + 1024;
        uint8_t *room = realloc(r->logged_in, cap);
        if (room == NULL)
            return s->octets;
        r->logged_in = room;
        r->logged_in_step = r->step;
        r->n_logged_in = (uint32_t)login_add(&e->target.login, s->octets, room, cap);
    }
    return r->n_logged_in > 0 ? view_of(r->logged_in, r->n_logged_in) : s->octets;
}

/* Makes sure of a connection before something is sent. False: not yet, or the run is over, or the step was left out. */
static bool connected(struct runner *e, struct run *r, struct link *l, const struct plan_step *s)
{
    if (l->fd < 0 && (!l->ended || (is_connect(s) && r->sent_part == 0)))
        return open_link(e, r, l) && !l->connecting;
    if (l->fd >= 0)
        return is_open(e, r, l);
    if (r->lenient || s->soft)
        run_next_step(r);
    else
        run_finish(r, RUN_UNKNOWN, "line %u: the connection of %c is closed before something is sent", s->line,
                   letter(s));
    return false;
}

/* While fuzzing, consecutive packets of one client go out in one piece: how the broker reads them is chance anyway, and
 * a call costs more than the packets in it. True when a step was finished. */
static bool send_together(const struct runner *e, struct run *r, struct link *l)
{
    enum { TOGETHER = 16 };
    struct iovec part[TOGETHER];
    const struct plan_step *first = &r->plan->step[r->step];
    int n = 0;
    for (uint32_t i = r->step; i < r->plan->n && n < TOGETHER; i++) {
        const struct plan_step *s = &r->plan->step[i];
        bool fits = s->op == PLAN_SEND && s->client == first->client && !s->octetwise && s->var == 0;
        if (!fits || (n > 0 && is_connect(s)))
            break;
        uint32_t sent = n == 0 ? r->sent_part : 0;
        struct view octets = n == 0 ? octets_of(e, r, s) : s->octets;
        part[n++] = (struct iovec){ (void *)(uintptr_t)(octets.ptr + sent), octets.len - sent };
    }
    struct msghdr message = { .msg_iov = part, .msg_iovlen = (size_t)n };
    ssize_t taken = l->wire != NULL ? wire_send(l->wire, l->fd, part[0].iov_base, part[0].iov_len)
                                    : sendmsg(l->fd, &message, MSG_NOSIGNAL);
    uint32_t before = r->step;
    for (int i = 0; i < n && taken >= 0 && r->end == RUN_GOING; i++) {
        size_t of_this = (size_t)taken < part[i].iov_len ? (size_t)taken : part[i].iov_len;
        if (of_this > 0 || part[i].iov_len == 0)
            log_event(r, l, LOG_SENT, part[i].iov_base, (uint32_t)of_this);
        taken -= (ssize_t)of_this;
        if (of_this < part[i].iov_len) {
            r->sent_part += (uint32_t)of_this;
            break;
        }
        sent(r, l);
    }
    return r->step != before;
}

/* True when something was done, so that the next step may be tried at once. */
static bool do_send(struct runner *e, struct run *r, struct link *l, const struct plan_step *s)
{
    uint32_t before = r->step;
    if (!connected(e, r, l, s))
        return r->step != before;
    uint8_t patched[2] = { (uint8_t)(r->vars[s->var] >> 8), (uint8_t)r->vars[s->var] };
    struct view octets = octets_of(e, r, s);
    uint32_t total = (uint32_t)octets.len;
    if (r->sent_part == 0 && is_connect(s))
        l->version = s->version;
    if (r->lenient && !s->octetwise && s->var == 0)
        return send_together(e, r, l);
    while (r->sent_part < total) {
        uint32_t n = s->octetwise ? 1 : total - r->sent_part;
        const uint8_t *from = octets.ptr + r->sent_part;
        if (s->var != 0) { /* the identifier octets come from the variable */
            uint32_t behind = r->sent_part >= s->id_at ? r->sent_part - s->id_at : 2;
            from = behind < 2 ? patched + behind : from;
            uint32_t border = r->sent_part < s->id_at ? s->id_at - r->sent_part : behind < 2 ? 2 - behind : n;
            n = n < border ? n : border;
        }
        uint32_t taken = link_send(r, l, from, n);
        r->sent_part += taken;
        if (taken < n)
            return false;
    }
    sent(r, l);
    return true;
}

/* An expectation that may be left out and is not waited for in patience: as long as this broker takes, and some. */
static uint32_t wait_of(const struct runner *e, const struct run *r, const struct plan_step *s)
{
    if (s->soft && r->link[s->client].silent)
        return 1;
    if (s->soft && s->ms != 0 && s->ms <= IMPATIENT_MS) {
        uint32_t usual = 4 + 4 * e->answer_us / 1000;
        return usual < s->ms ? usual : s->ms;
    }
    if (s->ms != 0 || s->op == PLAN_WAIT)
        return s->ms;
    return s->op == PLAN_EXPECT && s->want == PLAN_NO_PACKET ? 200 : e->deadline_ms;
}

/* The slowest answer of late, forgotten little by little. */
static void learn_pace(struct runner *e, int64_t took_us)
{
    uint32_t us = took_us < 0 ? 0 : took_us < 1000000 ? (uint32_t)took_us : 1000000;
    e->mean_us = e->mean_us - e->mean_us / 64 + us / 64;
    e->answer_us -= e->answer_us / 64;
    if (took_us > (int64_t)e->answer_us)
        e->answer_us = took_us < 100000 ? (uint32_t)took_us : 100000;
}

static bool do_expect(struct runner *e, struct run *r, struct link *l, const struct plan_step *s, bool late,
                      int64_t now)
{
    uint32_t before = r->step;
    int64_t since = r->since_ns;
    bool met = link_expect(r, l, s, late);
    if (met && s->soft && !late)
        learn_pace(e, (now - since) / 1000);
    return met || r->step != before; /* a soft one that was missed goes on, too */
}

static bool deadline_passed(struct runner *e, struct run *r, const struct plan_step *s, int64_t now)
{
    if (r->deadline_ns == 0) {
        r->since_ns = now;
        r->deadline_ns = now + (int64_t)wait_of(e, r, s) * 1000000;
    }
    return now >= r->deadline_ns;
}

static void close_by_plan(struct run *r, struct link *l, bool reset)
{
    if (l->fd < 0)
        return;
    struct linger hard = { 1, 0 };
    if (reset) {
        setsockopt(l->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    } else {
        wire_end(l->wire, true);
        l->wire = NULL;
    }
    log_event(r, l, reset ? LOG_RESET_BY_US : LOG_CLOSED_BY_US, NULL, 0);
    drop_link(l);
}

/* Deaf: what comes stays in the kernel, which has little room for it. */
static void listen_or_not(const struct runner *e, struct link *l, bool deaf)
{
    enum { LITTLE = 4096 };
    int room = LITTLE;
    l->deaf = deaf;
    if (deaf && l->fd >= 0)
        setsockopt(l->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    watch_as_needed(e, l, false);
}

/* One step as far as it goes now. True: go on with the next. */
static bool do_step(struct runner *e, struct run *r, int64_t now)
{
    const struct plan_step *s = &r->plan->step[r->step];
    struct link *l = &r->link[s->client];
    bool late = s->op != PLAN_OPEN && deadline_passed(e, r, s, now);
    switch ((enum plan_op)s->op) {
    case PLAN_OPEN:
        if (l->fd < 0 || (!l->connecting && r->sent_part == 0)) {
            r->sent_part = 1; /* this opening */
            return open_link(e, r, l) && !l->connecting;
        }
        if (!is_open(e, r, l))
            return false;
        run_next_step(r);
        return true;
    case PLAN_SEND:
        if (late && s->soft)
            run_next_step(r);
        else if (late)
            run_finish(r, RUN_UNKNOWN, "line %u: the broker takes no more octets from %c", s->line, letter(s));
        if (late)
            return s->soft;
        return do_send(e, r, l, s);
    case PLAN_EXPECT:
        return do_expect(e, r, l, s, late, now);
    case PLAN_WAIT:
        if (late)
            run_next_step(r);
        return late;
    case PLAN_CLOSE:
    case PLAN_RESET:
        close_by_plan(r, l, s->op == PLAN_RESET);
        break;
    case PLAN_MANUAL:
    case PLAN_AUTO:
        l->manual = s->op == PLAN_MANUAL;
        break;
    case PLAN_DEAF:
    case PLAN_HEAR:
        listen_or_not(e, l, s->op == PLAN_DEAF);
        break;
    case PLAN_NEED:
        if (r->lacks[s->want] != s->lacking)
            run_finish(r, RUN_NOT_APPLICABLE,
                       s->lacking ? "for brokers that say they lack it, and this one does not"
                                  : "the broker's CONNACK says it is not available");
        break;
    }
    run_next_step(r);
    return true;
}

static void advance(struct runner *e, struct run *r, int64_t now)
{
    while (r->end == RUN_GOING && r->step < r->plan->n && do_step(e, r, now))
        ;
    if (r->end == RUN_GOING && r->step >= r->plan->n)
        run_finish(r, RUN_PASSED, "%s", "");
}

/* When it wants its turn though nothing happened. */
static int64_t due_ns(const struct run *r)
{
    int64_t deadline = r->deadline_ns != 0 ? r->deadline_ns : INT64_MAX;
    return r->again_ns != 0 && r->again_ns < deadline ? r->again_ns : deadline;
}

static int wait_ms(const struct runner *e, int timeout_ms, int64_t now)
{
    int64_t wait = timeout_ms < 0 ? INT64_MAX : (int64_t)timeout_ms * 1000000;
    for (uint32_t i = 0; i < e->n; i++)
        if (due_ns(e->runs[i]) - now < wait)
            wait = due_ns(e->runs[i]) - now;
    return wait == INT64_MAX ? 1000 : wait <= 0 ? 0 : (int)((wait + 999999) / 1000000);
}

/* Waits for sockets and serves them. What came is seen before anything is called late. */
static void serve(struct runner *e, int wait)
{
    enum { AT_ONCE = 256 };
    struct epoll_event event[AT_ONCE];
    int n = epoll_wait(e->poll_fd, event, AT_ONCE, wait);
    for (int i = 0; i < n; i++) {
        struct link *l = event[i].data.ptr;
        struct run *r = l->run;
        if (l->fd < 0 || r->end != RUN_GOING)
            continue;
        service_link(e, r, l, event[i].events);
        r->ready = true;
    }
}

/* After its turn: which of its links still have something to write? */
static void watch_links(const struct runner *e, struct run *r)
{
    const struct plan_step *s = r->step < r->plan->n ? &r->plan->step[r->step] : NULL;
    for (struct link *l = r->link; l < r->link + PLAN_CLIENTS; l++)
        if (l->fd >= 0)
            watch_as_needed(e, l, s != NULL && s->op == PLAN_SEND && r->link + s->client == l && r->sent_part > 0);
}

/* Those that something happened to, and those whose time is over. */
static void advance_all(struct runner *e)
{
    int64_t now = runner_now_ns();
    for (uint32_t i = 0; i < e->n; i++) {
        struct run *r = e->runs[i];
        if (r->end != RUN_GOING || (!r->ready && due_ns(r) > now))
            continue;
        r->ready = false;
        advance(e, r, now);
        watch_links(e, r);
    }
}

static struct run *take_ended(struct runner *e)
{
    for (uint32_t i = 0; i < e->n; i++) {
        struct run *r = e->runs[i];
        if (r->end == RUN_GOING)
            continue;
        e->runs[i] = e->runs[--e->n];
        for (unsigned c = 0; c < PLAN_CLIENTS; c++)
            close_by_plan(r, &r->link[c], false);
        return r;
    }
    return NULL;
}

struct run *runner_step(struct runner *e, int timeout_ms)
{
    int64_t until = runner_now_ns() + (int64_t)(timeout_ms < 0 ? 0 : timeout_ms) * 1000000;
    for (bool first = true;; first = false) {
        struct run *ended = take_ended(e);
        int64_t now = runner_now_ns();
        if (ended != NULL || (timeout_ms >= 0 && now >= until && !first) || e->n == 0)
            return ended;
        bool busy = false; /* some have not had their first turn */
        for (uint32_t i = 0; i < e->n && !busy; i++)
            busy = e->runs[i]->ready;
        runner_hear(&e->target);
        int left = timeout_ms < 0 ? HEAR_MS : now >= until ? 0 : (int)((until - now + 999999) / 1000000);
        left = left < HEAR_MS ? left : HEAR_MS;
        serve(e, busy ? 0 : wait_ms(e, left, now));
        advance_all(e);
    }
}

void runner_abort(struct runner *e, const char *why)
{
    for (uint32_t i = 0; i < e->n; i++)
        run_finish(e->runs[i], RUN_UNKNOWN, "%s", why);
}

uint32_t runner_open(const struct runner *e)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < e->n; i++)
        for (unsigned c = 0; c < PLAN_CLIENTS; c++)
            n += e->runs[i]->link[c].fd >= 0;
    return n;
}
