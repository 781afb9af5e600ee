/* SPDX-License-Identifier: Apache-2.0
 *
 * While the reader keeps up it takes frames off the devices itself: a thread that wakes up for every block of frames,
 * and frames that travel from one core to another, cost more than what is done with them. A second thread stands by.
 * When the reader is busy for long (a slow terminal, a slow disk), a timer that it has set wakes that one, which then
 * empties the kernel's rings into ours. Whoever does it holds the lock, and all frames go through our ring, so they
 * stay in order. */
#include "capture/frames/live.h"
#include "capture/frames/ring.h"
#include <errno.h>
#include <net/if.h>
#include <pcap/pcap.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum {
    READ_TIMEOUT_MS = 50, /* the kernel hands on a block that is not full after this time */
    LAST_LOOK_MS = 100,   /* so what came before the end has arrived after this one */
    STATS_MS = 500,
    MIB_MS = 10,       /* in which a gigabit a second fills a MiB */
    LATE_MS = 20,      /* after which somebody takes frames off at the latest */
    GATHER_MS = 150,   /* the reader looks no more often than this, unless frames come too fast for that */
    HELP_NS = 4000000, /* a reader that is busy for longer is helped */
    FRAME_COST = 128,  /* octets of the kernel's buffer for a frame beside its own */
    RING_MIB_MIN = 16,
    LINK_RAW_FILE = 101, /* LINKTYPE_RAW, where libpcap says DLT_RAW */
};

struct device {
    struct live *live;
    const char *name;
    char found[64]; /* the name, where a number stood for it */
    pcap_t *pcap;
    uint32_t id, link_type, snaplen;
    int64_t to_ns; /* factor of the fraction of its timestamps */
    int fd;
    atomic_bool gone;
    bool told;
    char why[PCAP_ERRBUF_SIZE];
};

struct live {
    uint32_t n;
    struct device *device;
    struct ring ring;
    pthread_mutex_t lock; /* of the devices, and of writing to the ring */
    bool keeps_up;        /* who holds the lock is the reader: it cannot wait for itself */
    struct pollfd *fds;   /* of the devices and the ring, for the reader */
    pthread_t thread;
    bool started;
    int wake;                     /* eventfd: ends the wait of the thread */
    int timer;                    /* timerfd: set while the reader is busy */
    bool empty;                   /* the reader found the devices empty, and waits next */
    int64_t woken_ns;             /* when it last had something to do */
    double taken;                 /* octets it took off the devices since then */
    int64_t oldest_ns, newest_ns; /* capture time of the first and the last of them */
    uint32_t buffer_mib;
    atomic_bool busy; /* it does not wait */
    atomic_bool stop, abandon, over;
    atomic_uint left; /* devices that still deliver */
    int64_t stop_ns;
    int64_t next_stats_ns;
    atomic_ullong received, kernel_drops, interface_drops;
    char error[LIVE_ERROR_MAX];
};

static void signal_event(int fd)
{
    uint64_t one = 1;
    ssize_t n = write(fd, &one, sizeof one);
    (void)n; /* it fails only when the counter is full: then the other side is awake anyway */
}

static void take_event(int fd)
{
    uint64_t count;
    ssize_t n = read(fd, &count, sizeof count);
    (void)n;
}

static int64_t clock_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- opening ---- */

static void explain(const struct device *d, int status, char *error)
{
    const char *detail = pcap_geterr(d->pcap);
    switch (status) {
    case PCAP_ERROR_PERM_DENIED:
    case PCAP_ERROR_PROMISC_PERM_DENIED:
        snprintf(error, LIVE_ERROR_MAX,
                 "%s: no permission to capture. Run it as root, give it the capability (setcap "
                 "cap_net_raw,cap_net_admin=eip PROGRAM), or let dumpcap capture: dumpcap -i %s -w - | mqdump -r -",
                 d->name, d->name);
        break;
    case PCAP_ERROR_NO_SUCH_DEVICE:
        snprintf(error, LIVE_ERROR_MAX, "%s: no such interface (-D lists them)", d->name);
        break;
    case PCAP_ERROR_IFACE_NOT_UP:
        snprintf(error, LIVE_ERROR_MAX, "%s: the interface is down (ip link set %s up)", d->name, d->name);
        break;
    default:
        snprintf(error, LIVE_ERROR_MAX, "%s: %s", d->name, detail[0] != '\0' ? detail : pcap_statustostr(status));
    }
}

static bool set_filter(const struct device *d, const char *filter, char *error, bool *usage)
{
    struct bpf_program code;
    if (filter == NULL || filter[0] == '\0')
        return true;
    if (pcap_compile(d->pcap, &code, filter, 1, PCAP_NETMASK_UNKNOWN) != 0) {
        snprintf(error, LIVE_ERROR_MAX, "capture filter '%s': %s", filter, pcap_geterr(d->pcap));
        *usage = true;
        return false;
    }
    bool set = pcap_setfilter(d->pcap, &code) == 0;
    if (!set)
        snprintf(error, LIVE_ERROR_MAX, "%s: %s", d->name, pcap_geterr(d->pcap));
    pcap_freecode(&code);
    return set;
}

/* The number that -D shows, as other programs take it; an interface that is called so comes first. */
static void find_by_number(struct device *d)
{
    char *end, text[PCAP_ERRBUF_SIZE];
    unsigned long number = strtoul(d->name, &end, 10);
    pcap_if_t *all;
    if (number == 0 || *end != '\0' || if_nametoindex(d->name) != 0 || pcap_findalldevs(&all, text) != 0)
        return;
    const pcap_if_t *at = all;
    while (at != NULL && --number > 0)
        at = at->next;
    if (at != NULL) {
        snprintf(d->found, sizeof d->found, "%s", at->name);
        d->name = d->found;
    }
    pcap_freealldevs(all);
}

static bool open_device(struct device *d, const struct live_options *o, char *error, bool *usage)
{
    char text[PCAP_ERRBUF_SIZE] = "";
    find_by_number(d);
    d->pcap = pcap_create(d->name, text);
    if (d->pcap == NULL) {
        snprintf(error, LIVE_ERROR_MAX, "%s: %s", d->name, text);
        return false;
    }
    pcap_set_snaplen(d->pcap, (int)o->snaplen);
    pcap_set_promisc(d->pcap, o->promiscuous);
    pcap_set_timeout(d->pcap, READ_TIMEOUT_MS);
    pcap_set_buffer_size(d->pcap, (int)(o->buffer_mib * 1024 * 1024));
    pcap_set_tstamp_precision(d->pcap, PCAP_TSTAMP_PRECISION_NANO);
    int status = pcap_activate(d->pcap);
    if (status < 0) {
        explain(d, status, error);
        return false;
    }
    d->to_ns = pcap_get_tstamp_precision(d->pcap) == PCAP_TSTAMP_PRECISION_NANO ? 1 : 1000;
    int link = pcap_datalink(d->pcap);
    d->link_type = link == DLT_RAW ? LINK_RAW_FILE : (uint32_t)link;
    d->snaplen = o->snaplen;
    if (pcap_setnonblock(d->pcap, 1, text) != 0) {
        snprintf(error, LIVE_ERROR_MAX, "%s: %s", d->name, text);
        return false;
    }
    d->fd = pcap_get_selectable_fd(d->pcap);
    return set_filter(d, o->filter, error, usage);
}

struct live *live_open(const struct live_options *o, char *error, bool *usage)
{
    struct live *l = calloc(1, sizeof *l);
    struct device *devices = calloc(o->n_interfaces, sizeof *devices);
    struct pollfd *fds = calloc(o->n_interfaces + 1, sizeof *fds);
    if (l == NULL || devices == NULL || fds == NULL) {
        snprintf(error, LIVE_ERROR_MAX, "no memory");
        free(fds);
        free(devices);
        free(l);
        return NULL;
    }
    l->device = devices;
    l->fds = fds;
    l->buffer_mib = o->buffer_mib;
    pthread_mutex_init(&l->lock, NULL);
    l->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    l->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    for (uint32_t i = 0; i < o->n_interfaces; i++) {
        l->device[i] = (struct device){ .live = l, .name = o->interfaces[i], .id = i };
        l->n++;
        if (!open_device(&l->device[i], o, error, usage)) {
            live_close(l);
            return NULL;
        }
    }
    atomic_store(&l->left, l->n);
    size_t mib = o->buffer_mib * 2 > RING_MIB_MIN ? o->buffer_mib * 2 : RING_MIB_MIN;
    if (l->wake < 0 || l->timer < 0 || !ring_init(&l->ring, mib << 20)) {
        snprintf(error, LIVE_ERROR_MAX, "no memory for a ring of %zu MiB", mib);
        live_close(l);
        return NULL;
    }
    return l;
}

void live_close(struct live *l)
{
    if (l == NULL)
        return;
    atomic_store(&l->abandon, true);
    live_stop(l);
    if (l->started)
        pthread_join(l->thread, NULL);
    for (uint32_t i = 0; i < l->n; i++)
        if (l->device[i].pcap != NULL)
            pcap_close(l->device[i].pcap);
    ring_done(&l->ring);
    if (l->wake >= 0)
        close(l->wake);
    if (l->timer >= 0)
        close(l->timer);
    pthread_mutex_destroy(&l->lock);
    free(l->fds);
    free(l->device);
    free(l);
}

/* ---- off the devices ---- */

static void on_frame(u_char *user, const struct pcap_pkthdr *h, const u_char *octets)
{
    struct device *d = (struct device *)user;
    struct live *l = d->live;
    struct frame f = { .octets = view_of(octets, h->caplen),
                       .wire_len = h->len,
                       .interface_id = d->id,
                       .link_type = d->link_type,
                       .time_ns = (int64_t)h->ts.tv_sec * 1000000000 + (int64_t)h->ts.tv_usec * d->to_ns };
    bool late = atomic_load_explicit(&l->stop, memory_order_acquire) && f.time_ns > l->stop_ns;
    if (late || !ring_put(&l->ring, &f, &l->abandon) || (l->keeps_up && ring_is_filling(&l->ring)))
        pcap_breakloop(d->pcap);
    if (!l->keeps_up)
        return;
    l->oldest_ns = l->taken > 0 ? l->oldest_ns : f.time_ns;
    l->newest_ns = f.time_ns;
    l->taken += h->caplen + FRAME_COST;
}

static void drain_device(struct live *l, struct device *d)
{
    if (atomic_load(&d->gone) || pcap_dispatch(d->pcap, -1, on_frame, (u_char *)d) != PCAP_ERROR)
        return;
    snprintf(d->why, sizeof d->why, "%s", pcap_geterr(d->pcap));
    atomic_store(&d->gone, true);
    atomic_fetch_sub(&l->left, 1);
    signal_event(l->wake); /* the thread ends with the last one */
}

static void drain(struct live *l)
{
    for (uint32_t i = 0; i < l->n; i++)
        drain_device(l, &l->device[i]);
}

static void read_stats(struct live *l)
{
    uint64_t received = 0, kernel = 0, interface = 0;
    for (uint32_t i = 0; i < l->n; i++) {
        struct pcap_stat s;
        if (pcap_stats(l->device[i].pcap, &s) != 0)
            continue;
        received += s.ps_recv;
        kernel += s.ps_drop;
        interface += s.ps_ifdrop;
    }
    atomic_store(&l->received, received);
    atomic_store(&l->kernel_drops, kernel);
    atomic_store(&l->interface_drops, interface);
}

/* ---- the thread that stands by ---- */

/* Until the timer runs out: the reader is busy, or does not come though there should be frames. */
static void stand_by(struct live *l)
{
    struct pollfd fds[] = { { .fd = l->wake, .events = POLLIN }, { .fd = l->timer, .events = POLLIN } };
    poll(fds, 2, -1);
    if (fds[0].revents != 0)
        take_event(l->wake);
    if (fds[1].revents != 0)
        take_event(l->timer);
}

static void set_timer(struct live *l, int64_t ns)
{
    timerfd_settime(l->timer, 0, &(struct itimerspec){ .it_value = { .tv_nsec = ns } }, NULL); /* 0: it stops */
}

/* False: there was nothing to take. */
static bool help(struct live *l)
{
    pthread_mutex_lock(&l->lock);
    size_t before = atomic_load(&l->ring.head);
    drain(l);
    bool any = atomic_load(&l->ring.head) != before;
    pthread_mutex_unlock(&l->lock);
    ring_wake(&l->ring);
    return any;
}

static void last_look(struct live *l)
{
    struct timespec pause = { .tv_nsec = LAST_LOOK_MS * 1000000L }; /* the kernel's unfinished block */
    if (!atomic_load(&l->abandon) && atomic_load(&l->left) > 0) {
        nanosleep(&pause, NULL);
        help(l);
    }
    pthread_mutex_lock(&l->lock);
    read_stats(l);
    atomic_store(&l->over, true);
    pthread_mutex_unlock(&l->lock);
}

static void *run(void *arg)
{
    struct live *l = arg;
    while (!atomic_load(&l->stop) && atomic_load(&l->left) > 0) {
        stand_by(l);
        if (help(l) || atomic_load(&l->busy))
            set_timer(l, HELP_NS);
    }
    last_look(l);
    atomic_store(&l->ring.reader_waits, true); /* wake it in any case */
    ring_wake(&l->ring);
    return NULL;
}

bool live_start(struct live *l, char *error)
{
    sigset_t all, before; /* signals are for the thread that steps the pipeline */
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int status = pthread_create(&l->thread, NULL, run, l);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    l->started = status == 0;
    atomic_store(&l->busy, true);
    set_timer(l, HELP_NS);
    if (!l->started)
        snprintf(error, LIVE_ERROR_MAX, "no thread to capture on: %s", strerror(status));
    return l->started;
}

/* ---- the reader ---- */

static enum source_status at_end(struct live *l)
{
    if (atomic_load(&l->left) > 0)
        return SOURCE_END;
    const struct device *last = &l->device[l->n - 1];
    snprintf(l->error, sizeof l->error, "%s: %s", last->name, last->why);
    return SOURCE_ERROR;
}

/* What the ring did not have. */
static void take(struct live *l)
{
    l->empty = true;
    if (atomic_load(&l->stop) || pthread_mutex_trylock(&l->lock) != 0)
        return; /* the thread does it */
    if (!atomic_load(&l->over) && ring_is_empty(&l->ring)) {
        l->keeps_up = true;
        ring_rewind(&l->ring);
        drain(l);
        l->keeps_up = false;
        l->empty = ring_is_empty(&l->ring);
    }
    pthread_mutex_unlock(&l->lock);
}

enum source_status live_next(struct live *l, struct frame *out)
{
    bool over = atomic_load(&l->over); /* before the ring is looked at: nothing comes after it */
    if (ring_get(&l->ring, out))
        return SOURCE_FRAME;
    if (over)
        return at_end(l);
    take(l);
    return ring_get(&l->ring, out) ? SOURCE_FRAME : SOURCE_IDLE;
}

void live_release(struct live *l)
{
    ring_release(&l->ring);
}

/* Frames that come all the time are let gather: to wake up with cold caches costs more than what is done with some
 * frames. At the rate of late they must not fill more than a quarter of the kernel's buffer; nor may a network of a
 * gigabit that gets busy just now fill it before the reader, or the thread, is there. */
static int64_t pause_of(const struct live *l, int timeout_ms)
{
    const int64_t ms = 1000000, took = l->newest_ns - l->oldest_ns;
    double quarter = (double)l->buffer_mib * 1024 * 1024 / 4;
    double fills_ns = quarter / l->taken * (double)(took > ms ? took : ms);
    int64_t pause_ms = (int64_t)l->buffer_mib * MIB_MS - LATE_MS;
    pause_ms = pause_ms < GATHER_MS ? pause_ms : GATHER_MS;
    int64_t pause = fills_ns < (double)(pause_ms * ms) ? (int64_t)fills_ns : pause_ms * ms;
    pause -= clock_ns(CLOCK_MONOTONIC) - l->woken_ns;
    if (timeout_ms >= 0 && pause > timeout_ms * ms)
        pause = timeout_ms * ms;
    return pause > 0 ? pause : 0;
}

bool live_wait(struct live *l, int timeout_ms)
{
    if (atomic_load(&l->over) || !ring_is_empty(&l->ring) || !l->empty)
        return true;
    atomic_store(&l->busy, false);
    int64_t pause = l->taken > 0 ? pause_of(l, timeout_ms) : 0;
    set_timer(l, l->taken > 0 ? pause + LATE_MS * INT64_C(1000000) : 0);
    if (pause > 0)
        nanosleep(&(struct timespec){ .tv_nsec = pause }, NULL);
    uint32_t n = atomic_load(&l->stop) ? 0 : l->n; /* the thread takes the last ones */
    for (uint32_t i = 0; i < n; i++)
        l->fds[i] = (struct pollfd){ .fd = atomic_load(&l->device[i].gone) ? -1 : l->device[i].fd, .events = POLLIN };
    bool ready = ring_wait(&l->ring, l->fds, n, timeout_ms);
    atomic_store(&l->busy, true);
    set_timer(l, HELP_NS);
    l->empty = !ready;
    l->taken = 0;
    l->woken_ns = clock_ns(CLOCK_MONOTONIC);
    return ready || atomic_load(&l->over);
}

void live_stop(struct live *l)
{
    if (atomic_load(&l->stop))
        return;
    l->stop_ns = clock_ns(CLOCK_REALTIME);
    atomic_store(&l->stop, true);
    signal_event(l->wake);
}

const char *live_error(const struct live *l)
{
    return l->error;
}

bool live_warning(struct live *l, char *text)
{
    if (atomic_load(&l->left) == l->n || atomic_load(&l->left) == 0)
        return false;
    for (uint32_t i = 0; i < l->n; i++) {
        struct device *d = &l->device[i];
        if (!atomic_load(&d->gone) || d->told)
            continue;
        d->told = true;
        snprintf(text, LIVE_ERROR_MAX, "%s: %s; the other interfaces go on", d->name, d->why);
        return true;
    }
    return false;
}

struct live_counters live_count(struct live *l)
{
    int64_t now = clock_ns(CLOCK_MONOTONIC);
    if (now >= l->next_stats_ns && pthread_mutex_trylock(&l->lock) == 0) {
        l->next_stats_ns = now + STATS_MS * INT64_C(1000000);
        if (!atomic_load(&l->over))
            read_stats(l);
        pthread_mutex_unlock(&l->lock);
    }
    return (struct live_counters){ .received = atomic_load(&l->received),
                                   .kernel_drops = atomic_load(&l->kernel_drops),
                                   .interface_drops = atomic_load(&l->interface_drops) };
}

uint32_t live_interfaces(const struct live *l)
{
    return l->n;
}

struct capfile_interface live_interface(const struct live *l, uint32_t id)
{
    if (id >= l->n)
        return (struct capfile_interface){ .name = "" };
    const struct device *d = &l->device[id];
    return (struct capfile_interface){ .name = d->name, .link_type = d->link_type, .snaplen = d->snaplen };
}

bool live_list(void (*each)(void *ctx, const char *name, const char *description), void *ctx, char *error)
{
    char text[PCAP_ERRBUF_SIZE];
    pcap_if_t *all;
    if (pcap_findalldevs(&all, text) != 0) {
        snprintf(error, LIVE_ERROR_MAX, "the interfaces cannot be listed: %s", text);
        return false;
    }
    for (pcap_if_t *i = all; i != NULL; i = i->next)
        each(ctx, i->name, i->description != NULL ? i->description : "");
    pcap_freealldevs(all);
    return true;
}
