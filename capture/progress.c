/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/progress.h"
#include "decoder/base/out.h"

#include <time.h>
#include <unistd.h>

enum { NS = 1000000000, FIRST_NS = NS, EVERY_NS = NS / 4, LINE_MAX_LEN = 160 };

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * NS + t.tv_nsec;
}

void progress_begin(struct progress *p, const struct pipeline *pipeline, int rows_fd)
{
    uint64_t done, total;
    *p = (struct progress){ .on = isatty(STDERR_FILENO) == 1 && isatty(rows_fd) != 1 &&
                                  pipeline_progress(pipeline, &done, &total) };
    if (!p->on)
        return;
    p->began_ns = now_ns();
    p->next_ns = p->began_ns + FIRST_NS; /* a short file needs no line */
}

static void duration(struct out *o, uint64_t s)
{
    if (s >= 3600) {
        out_uint(o, s / 3600);
        out_text(o, " h ");
        s %= 3600;
    }
    if (s >= 60) {
        out_uint(o, s / 60);
        out_text(o, " min ");
        s %= 60;
    }
    out_uint(o, s);
    out_text(o, " s");
}

void progress_line(struct out *o, uint64_t done, uint64_t total, int64_t elapsed_ns, uint64_t packets,
                   uint64_t findings)
{
    double seconds = (double)elapsed_ns / NS;
    uint64_t share = total > 0 && done < total ? (uint64_t)(100.0 * (double)done / (double)total) : 100;
    out_uint(o, share);
    out_text(o, " %, ");
    out_uint(o, (uint64_t)((double)done / 1e6 / seconds));
    out_text(o, " MB/s, ");
    out_uint(o, packets);
    out_text(o, " packets (");
    out_uint(o, (uint64_t)((double)packets / seconds));
    out_text(o, "/s), ");
    out_uint(o, findings);
    out_text(o, findings == 1 ? " finding" : " findings");
    if (done > 0 && done < total) {
        out_text(o, ", ");
        duration(o, (uint64_t)(seconds * (double)(total - done) / (double)done + 0.5));
        out_text(o, " left");
    }
}

static void write_line(const struct out *o)
{
    ssize_t ignored = write(STDERR_FILENO, o->at, o->len);
    (void)ignored;
}

void progress_step(struct progress *p, const struct pipeline *pipeline, uint64_t findings)
{
    char text[LINE_MAX_LEN];
    struct out o = out_over(text, sizeof text);
    struct pipeline_counters counters;
    uint64_t done, total;
    int64_t now;
    if (!p->on || (now = now_ns()) < p->next_ns || !pipeline_progress(pipeline, &done, &total))
        return;
    pipeline_counters(pipeline, &counters);
    out_text(&o, "\rmqdump: ");
    progress_line(&o, done, total, now - p->began_ns, counters.packets, findings);
    out_text(&o, "\033[K");
    write_line(&o);
    p->shown = true;
    p->next_ns = now + EVERY_NS;
}

void progress_end(struct progress *p)
{
    static char clear[] = "\r\033[K";
    struct out o = { .at = clear, .len = sizeof clear - 1 };
    if (p->shown)
        write_line(&o);
    p->on = p->shown = false;
}
