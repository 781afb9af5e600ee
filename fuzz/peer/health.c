/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/peer/health.h"

#include <poll.h>
#include <stdio.h>
#include <unistd.h>

enum {
    FD_SLACK = 64,
    THREAD_SLACK = 64,
    RSS_SLACK_KIB = 128 * 1024,  /* and as much as at the start */
    SMALL_KIB = 24 * 1024,       /* resident at the start: a heap that is collected takes more */
    COLLECTED_KIB = 1024 * 1024, /* and a quarter of the machine: so much may go before it is */
    RSS_PER_KIB_SENT = 20,
    QUARANTINE_KIB = 512 * 1024, /* freed memory that AddressSanitizer keeps: 256 MiB, with what surrounds it */
    SECOND_LOOK_MS = 1000,
    LOOKS = 30,
    LOOKS_ALIKE = 3,
    REST_EVERY_MS = 5000,
    REST_MS = 60,
    SPIN_MS = 2000, /* with nothing to do */
    SPIN_PERCENT = 80,
    SUSPECT_PERCENT = 30, /* of the short first look */
    STARVED = 10          /* so many times longer a look may take where others hold the processors */
};

void health_begin(struct health *h, const struct process *p, uint64_t octets_sent)
{
    *h = (struct health){ .sent_at_first = octets_sent, .rested_ns = runner_now_ns() };
    process_usage(p, &h->first);
}

/* AddressSanitizer maps terabytes for its shadow; nobody else comes near. */
static uint64_t quarantine_kib(const struct process_usage *first)
{
    return first->virtual_kib > UINT64_C(1) << 30 ? QUARANTINE_KIB : 0;
}

bool health_lazy(const struct health *h)
{
    return h->first.rss_kib >= SMALL_KIB || quarantine_kib(&h->first) > 0;
}

/* What freed memory may take. */
static uint64_t free_kib(const struct process_usage *first)
{
    uint64_t quarantine = quarantine_kib(first);
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    if (quarantine > 0 || first->rss_kib < SMALL_KIB || pages <= 0 || page <= 0)
        return quarantine;
    return COLLECTED_KIB + (uint64_t)pages / 1024 * (uint64_t)page / 4;
}

static bool too_much(const struct health *h, const struct process_usage *now, uint64_t sent_kib, uint32_t open,
                     struct ailment *out)
{
    const struct process_usage *first = &h->first;
    *out = (struct ailment){ 0 };
    if (now->fds > first->fds + 2 * open + FD_SLACK) {
        snprintf(out->name, sizeof out->name, "descriptors");
        snprintf(out->title, sizeof out->title, "file descriptors are not given back");
        snprintf(out->why, sizeof out->why, "%u descriptors, %u at the start, with %u connections open", now->fds,
                 first->fds, open);
    } else if (now->threads > first->threads + 2 * open + THREAD_SLACK) {
        snprintf(out->name, sizeof out->name, "threads");
        snprintf(out->title, sizeof out->title, "threads are not given back");
        snprintf(out->why, sizeof out->why, "%u threads, %u at the start, with %u connections open", now->threads,
                 first->threads, open);
    } else if (now->rss_kib > 2 * first->rss_kib + RSS_SLACK_KIB + free_kib(first) + RSS_PER_KIB_SENT * sent_kib) {
        snprintf(out->name, sizeof out->name, "memory");
        snprintf(out->title, sizeof out->title, "memory grows out of proportion");
        snprintf(out->why, sizeof out->why, "%llu KiB resident, %llu at the start, after %llu KiB were sent",
                 (unsigned long long)now->rss_kib, (unsigned long long)first->rss_kib, (unsigned long long)sent_kib);
    }
    return out->name[0] != '\0';
}

/* Processor time used within so long, in percent of one processor. It may get less than it wants on a busy machine:
 * while none of its threads sleeps, the look goes on, and as much work as that of a free processor counts for all of
 * it. */
static unsigned busy(const struct process *p, uint64_t ms)
{
    struct process_usage before, after;
    uint64_t sleeps = process_sleeps(p), enough_ms = ms * SPIN_PERCENT / 100, used_ms, took_ms;
    int64_t began = runner_now_ns();
    bool restless;
    if (!process_usage(p, &before))
        return 0;
    do {
        poll(NULL, 0, (int)ms);
        if (!process_usage(p, &after))
            return 0;
        used_ms = after.cpu_ms - before.cpu_ms;
        took_ms = (uint64_t)(runner_now_ns() - began) / 1000000;
        restless = used_ms > 0 && process_sleeps(p) == sleeps;
    } while (restless && used_ms < enough_ms && took_ms < ms * STARVED);
    unsigned percent = took_ms > 0 ? (unsigned)(used_ms * 100 / took_ms) : 0;
    return restless && used_ms >= enough_ms && percent < 100 ? 100 : percent;
}

bool health_tired(const struct health *h)
{
    return runner_now_ns() - h->rested_ns >= (int64_t)REST_EVERY_MS * 1000000;
}

/* Nobody talks to it, and yet it works, longer than tidying up takes. */
static bool spins(struct health *h, const struct process *p, struct ailment *out)
{
    if (!health_tired(h))
        return false;
    bool suspect = busy(p, REST_MS) >= SUSPECT_PERCENT && busy(p, SPIN_MS) >= SPIN_PERCENT;
    unsigned percent = suspect ? busy(p, SPIN_MS) : 0;
    h->rested_ns = runner_now_ns();
    if (percent < SPIN_PERCENT)
        return false;
    snprintf(out->name, sizeof out->name, "processor");
    snprintf(out->title, sizeof out->title, "the broker spins");
    snprintf(out->why, sizeof out->why, "at work %u%% of %d s, though nobody sends anything", percent,
             2 * SPIN_MS / 1000);
    return true;
}

/* It may not have noticed yet that the clients are gone, or give back by and by what they had: as long as that becomes
 * less, there is nothing to say. */
static bool stays(const struct health *h, const struct process *p, struct process_usage now, uint64_t sent_kib,
                  uint32_t open, struct ailment *out)
{
    unsigned same = 0;
    for (unsigned looks = 0; looks < LOOKS && same < LOOKS_ALIKE; looks++) {
        struct process_usage before = now;
        poll(NULL, 0, SECOND_LOOK_MS);
        if (!process_usage(p, &now) || !too_much(h, &now, sent_kib, open, out))
            return false;
        bool less = now.fds < before.fds || now.threads < before.threads || now.rss_kib < before.rss_kib;
        same = less ? 0 : same + 1;
    }
    return true;
}

bool health_check(struct health *h, const struct process *p, uint64_t octets_sent, uint32_t open, struct ailment *out)
{
    struct process_usage now;
    uint64_t sent_kib = (octets_sent - h->sent_at_first) / 1024;
    if (!process_usage(p, &now))
        return false;
    if (too_much(h, &now, sent_kib, open, out) && stays(h, p, now, sent_kib, open, out))
        return true;
    return spins(h, p, out);
}
