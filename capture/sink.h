/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/sink.h -- a struct out in front of a file descriptor: written out when full and when asked, errors kept. */
#pragma once
#include "decoder/base/out.h"

enum { SINK_BUFFER = 1 << 16 };

struct sink {
    struct out out; /* write here; its owner is the sink: do not move it */
    int fd;
    int error; /* errno of the first write that failed; what comes later is dropped */
    char buffer[SINK_BUFFER];
};

void sink_init(struct sink *s, int fd);
void sink_flush(struct sink *s);
bool sink_reader_gone(const struct sink *s); /* the reader closed the pipe: no error to speak of */
