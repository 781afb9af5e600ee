/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/frames/ring.h"
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

/* Before each frame, aligned to its size; len SKIP: go on at the beginning of the memory. */
struct header {
    int64_t time_ns;
    uint32_t len, wire_len, interface_id, link_type;
};

enum { ALIGN = 8 };
static const uint32_t SKIP = UINT32_MAX;

bool ring_init(struct ring *r, size_t size)
{
    *r = (struct ring){ .size = 1 << 20, .filled = -1, .space = -1 };
    while (r->size < size)
        r->size *= 2;
    void *memory = mmap(NULL, r->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return false;
    r->memory = memory;
    r->filled = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    r->space = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return r->filled >= 0 && r->space >= 0;
}

void ring_done(struct ring *r)
{
    if (r->memory != NULL)
        munmap(r->memory, r->size);
    if (r->filled >= 0)
        close(r->filled);
    if (r->space >= 0)
        close(r->space);
    *r = (struct ring){ .filled = -1, .space = -1 };
}

static void signal_event(int fd)
{
    uint64_t one = 1;
    ssize_t n = write(fd, &one, sizeof one);
    (void)n; /* it fails only when the counter is full, and then the other side is awake anyway */
}

static bool take_event(int fd)
{
    uint64_t count;
    return read(fd, &count, sizeof count) == sizeof count;
}

static bool wait_event(int fd, int timeout_ms)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    return poll(&p, 1, timeout_ms) > 0 && take_event(fd);
}

static size_t padded(size_t len)
{
    return (len + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

static bool wait_for_room(struct ring *r, size_t head, size_t n, const atomic_bool *stop)
{
    while (r->size - (head - atomic_load_explicit(&r->tail, memory_order_acquire)) < n) {
        ring_wake(r);
        atomic_store(&r->writer_waits, true);
        if (r->size - (head - atomic_load(&r->tail)) < n)
            wait_event(r->space, 100);
        atomic_store(&r->writer_waits, false);
        if (atomic_load(stop))
            return false;
    }
    return true;
}

bool ring_put(struct ring *r, const struct frame *f, const atomic_bool *stop)
{
    size_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    size_t n = sizeof(struct header) + padded(f->octets.len), at = head & (r->size - 1), to_end = r->size - at;
    if (n > r->size / 2)
        return true; /* longer than any device's frame */
    size_t skip = to_end < n ? to_end : 0;
    if (!wait_for_room(r, head, n + skip, stop))
        return false;
    if (skip >= sizeof(struct header))
        memcpy(r->memory + at, &(struct header){ .len = SKIP }, sizeof(struct header));
    at = (at + skip) & (r->size - 1);
    struct header h = { .time_ns = f->time_ns,
                        .len = (uint32_t)f->octets.len,
                        .wire_len = f->wire_len,
                        .interface_id = f->interface_id,
                        .link_type = f->link_type };
    memcpy(r->memory + at, &h, sizeof h);
    memcpy(r->memory + at + sizeof h, f->octets.ptr, f->octets.len);
    atomic_store_explicit(&r->head, head + skip + n, memory_order_release);
    return true;
}

void ring_wake(struct ring *r)
{
    if (atomic_exchange(&r->reader_waits, false))
        signal_event(r->filled);
}

bool ring_get(struct ring *r, struct frame *out)
{
    size_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed) + r->taken;
    size_t head = atomic_load_explicit(&r->head, memory_order_acquire);
    if (tail == head)
        return false;
    size_t at = tail & (r->size - 1), to_end = r->size - at;
    struct header h = { .len = SKIP };
    if (to_end >= sizeof h)
        memcpy(&h, r->memory + at, sizeof h);
    if (h.len == SKIP) {
        r->taken += to_end;
        at = 0;
        memcpy(&h, r->memory, sizeof h);
    }
    *out = (struct frame){ .octets = view_of(r->memory + at + sizeof h, h.len),
                           .wire_len = h.wire_len,
                           .interface_id = h.interface_id,
                           .link_type = h.link_type,
                           .time_ns = h.time_ns };
    r->taken += sizeof h + padded(h.len);
    return true;
}

void ring_release(struct ring *r)
{
    if (r->taken == 0)
        return;
    atomic_fetch_add(&r->tail, r->taken);
    r->taken = 0;
    if (atomic_load(&r->writer_waits))
        signal_event(r->space);
}

bool ring_is_empty(const struct ring *r)
{
    return atomic_load(&r->head) == atomic_load(&r->tail) + r->taken;
}

void ring_rewind(struct ring *r)
{
    if (r->taken > 0 || !ring_is_empty(r))
        return;
    atomic_store(&r->head, 0);
    atomic_store(&r->tail, 0);
}

bool ring_is_filling(const struct ring *r)
{
    return atomic_load(&r->head) - atomic_load(&r->tail) >= r->size / 4;
}

bool ring_wait(struct ring *r, struct pollfd *fds, uint32_t n, int timeout_ms)
{
    fds[n] = (struct pollfd){ .fd = r->filled, .events = POLLIN };
    atomic_store(&r->reader_waits, true);
    if (!ring_is_empty(r))
        return true;
    bool ready = poll(fds, n + 1, timeout_ms) > 0;
    if (ready && fds[n].revents != 0)
        take_event(r->filled);
    return ready;
}
