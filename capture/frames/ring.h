/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/frames/ring.h -- frames from the thread that takes them off the devices to the one that takes them apart.
 *
 * One writer, one reader, no lock. A frame lies in one piece, so the reader uses it where it is. When the ring is full
 * the writer waits: the kernel's ring then holds more, and it alone drops and counts. */
#pragma once
#include "capture/frames/capfile.h"
#include <poll.h>
#include <stdatomic.h>

struct ring {
    uint8_t *memory;
    size_t size;        /* a power of two */
    int filled, space;  /* eventfd: the reader waits for frames, the writer for room */
    atomic_size_t head; /* octets ever written */
    atomic_size_t tail; /* octets ever read */
    atomic_bool reader_waits, writer_waits;
    size_t taken; /* by the reader: handed out, not yet released */
};

bool ring_init(struct ring *r, size_t size); /* at least size octets */
void ring_done(struct ring *r);

/* Writer. False: *stop became true while it waited for room. */
bool ring_put(struct ring *r, const struct frame *f, const atomic_bool *stop);
void ring_wake(struct ring *r);             /* tells a waiting reader to look */
bool ring_is_filling(const struct ring *r); /* for a writer that may not wait: a quarter of it is taken */

/* Reader. ring_get() hands out the next frame, which stays where it is until ring_release(). */
bool ring_get(struct ring *r, struct frame *out);
void ring_release(struct ring *r); /* all that was handed out */
bool ring_is_empty(const struct ring *r);
/* Begins anew at the front of the memory, which is in the cache and has its pages, if nothing is in the ring. For a
 * reader while nobody else writes. */
void ring_rewind(struct ring *r);
/* Until there is a frame, or one of the n others is ready; fds has room for one more. False: nothing came. */
bool ring_wait(struct ring *r, struct pollfd *fds, uint32_t n, int timeout_ms);
