/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/campaign/jobs.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define STOP_SIGNAL SIGUSR1

bool shared_claim(struct shared *s, const char *text)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *text != '\0'; text++)
        hash = (hash ^ (uint8_t)*text) * 0x100000001b3u;
    hash |= hash == 0;
    for (uint32_t i = 0, at = (uint32_t)hash % CLAIMS; i < CLAIMS; i++, at = (at + 1) % CLAIMS) {
        uint64_t none = 0;
        if (atomic_compare_exchange_strong(&s->claimed[at], &none, hash))
            return true;
        if (none == hash)
            return false;
    }
    return true;
}

struct tally campaign_tally(const struct shared *s, unsigned jobs)
{
    struct tally t = { 0 };
    for (unsigned i = 0; i < jobs; i++) {
        t.plans += s->job[i].plans;
        t.packets += s->job[i].packets;
        t.connections += s->job[i].connections;
        t.states = s->job[i].states > t.states ? s->job[i].states : t.states;
        t.edges = s->job[i].edges > t.edges ? s->job[i].edges : t.edges;
        t.findings += s->job[i].findings;
        t.seconds += (double)s->job[i].fuzzed_ms / 1000 / jobs;
    }
    t.seconds = t.seconds > 0.001 ? t.seconds : 0.001;
    return t;
}

void campaign_progress(const struct shared *s, unsigned jobs, int64_t began_ns, int64_t *said_ns, bool last)
{
    int64_t now = runner_now_ns();
    bool terminal = isatty(2) == 1;
    if (!last && now - *said_ns < (terminal ? 1000000000 : 30000000000))
        return;
    struct tally t = campaign_tally(s, jobs);
    fprintf(stderr,
            "%smqfuzz: %.0f s, %llu plans, %.0f plans/s, %.0f packets/s, %.0f connections/s, %llu states, %llu edges, "
            "%llu findings%s",
            terminal ? "\r\033[K" : "", (double)(now - began_ns) / 1e9, t.plans, (double)t.plans / t.seconds,
            (double)t.packets / t.seconds, (double)t.connections / t.seconds, t.states, t.edges, t.findings,
            terminal && !last ? "" : "\n");
    *said_ns = now;
}

/* ---- what a job hands to its parent: entries with their texts, then its status ---- */

struct parcel {
    struct report_entry entry; /* its pointers mean nothing here */
    uint32_t n_plan, n_trace;
    int32_t status; /* -1: an entry; else the end */
};

static bool put(int fd, const void *octets, size_t n)
{
    const uint8_t *at = octets;
    for (ssize_t taken; n > 0; at += taken, n -= (size_t)taken)
        if ((taken = write(fd, at, n)) < 0) {
            if (errno != EINTR)
                return false;
            taken = 0;
        }
    return true;
}

static bool get(int fd, void *octets, size_t n)
{
    uint8_t *at = octets;
    for (ssize_t got; n > 0; at += got, n -= (size_t)got)
        if ((got = read(fd, at, n)) <= 0) {
            if (got == 0 || errno != EINTR)
                return false;
            got = 0;
        }
    return true;
}

static void hand_over(int fd, const struct report *report, int status)
{
    bool ok = true;
    for (uint32_t i = 0; ok && i < report->n; i++) {
        const struct report_entry *e = &report->at[i];
        struct parcel parcel = { .entry = *e, .status = -1 };
        parcel.n_plan = e->plan != NULL ? (uint32_t)strlen(e->plan) + 1 : 0;
        parcel.n_trace = e->trace != NULL ? (uint32_t)strlen(e->trace) + 1 : 0;
        ok = put(fd, &parcel, sizeof parcel) && put(fd, e->plan, parcel.n_plan) && put(fd, e->trace, parcel.n_trace);
    }
    struct parcel end = { .status = status };
    put(fd, &end, sizeof end);
}

static char *get_text(int fd, uint32_t n)
{
    char *text = n > 0 ? malloc(n) : NULL;
    if (text != NULL && !get(fd, text, n)) {
        free(text);
        text = NULL;
    }
    return text;
}

/* Everything a job has to say; its status, EXIT_TROUBLE when it could not. */
static int take_over(int fd, struct report *report)
{
    struct parcel parcel;
    while (get(fd, &parcel, sizeof parcel)) {
        if (parcel.status >= 0)
            return parcel.status;
        struct report_entry *e = report_add(report);
        if (e == NULL)
            return EXIT_TROUBLE;
        *e = parcel.entry;
        e->plan = get_text(fd, parcel.n_plan);
        e->trace = get_text(fd, parcel.n_trace);
    }
    return EXIT_TROUBLE;
}

/* ---- the processes ---- */

/* From the parent. A Ctrl-C on a terminal reaches the jobs as well, and then must not count twice: twice is at once. */
static void on_stop(int number)
{
    (void)number;
    mqfuzz_stop = 1;
}

static pid_t begin_job(const struct command *command, struct shared *shared, unsigned job, int *out)
{
    int ends[2];
    if (pipe(ends) != 0)
        return -1;
    fflush(NULL);
    signal(STOP_SIGNAL, SIG_IGN); /* until the job listens: it looks at mqfuzz_stop itself */
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        struct report report = { 0 };
        close(ends[0]);
        sigaction(STOP_SIGNAL, &(struct sigaction){ .sa_handler = on_stop }, NULL);
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != parent)
            _exit(EXIT_TROUBLE);
        int status = campaign_run(command, shared, job, &report);
        fflush(NULL);
        hand_over(ends[1], &report, status);
        _exit(status);
    }
    close(ends[1]);
    *out = ends[0];
    if (pid < 0)
        close(ends[0]);
    return pid;
}

static int run_jobs(const struct command *command, struct shared *shared, struct report *report, unsigned jobs)
{
    pid_t pid[JOBS_MAX];
    struct pollfd from[JOBS_MAX];
    unsigned begun = 0, left;
    int status = EXIT_CLEAN;
    bool told = false;
    int64_t began = runner_now_ns(), said = began;
    for (; begun < jobs; begun++) {
        pid[begun] = begin_job(command, shared, begun, &from[begun].fd);
        from[begun].events = POLLIN;
        if (pid[begun] < 0) {
            fprintf(stderr, "mqfuzz: a job cannot be started: %s\n", strerror(errno));
            status = EXIT_TROUBLE;
            break;
        }
    }
    for (left = begun; left > 0;) {
        int ready = poll(from, begun, 500);
        for (unsigned i = 0; mqfuzz_stop && !told && i < begun; i++)
            kill(pid[i], STOP_SIGNAL);
        told = told || mqfuzz_stop;
        for (unsigned i = 0; ready > 0 && i < begun; i++) {
            if (from[i].fd < 0 || from[i].revents == 0)
                continue;
            int ended = 0, its = take_over(from[i].fd, report);
            close(from[i].fd);
            from[i].fd = -1;
            left--;
            waitpid(pid[i], &ended, 0);
            if (WIFSIGNALED(ended))
                fprintf(stderr, "mqfuzz: job %u was ended by signal %d\n", i + 1, WTERMSIG(ended));
            status = its != EXIT_CLEAN ? EXIT_TROUBLE : status;
        }
        campaign_progress(shared, begun, began, &said, false);
    }
    campaign_progress(shared, begun, began, &said, true);
    return status;
}

int command_run(const struct command *command)
{
    unsigned jobs = command->jobs < 1 ? 1 : command->jobs;
    struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        fprintf(stderr, "mqfuzz: no memory\n");
        return EXIT_TROUBLE;
    }
    if (jobs > 1 && command->spawn == NULL) {
        fprintf(stderr, "mqfuzz: --jobs starts a broker for each, so it wants --spawn\n");
        return EXIT_USAGE;
    }
    struct report report = { .seed = command->seed };
    snprintf(report.target, sizeof report.target, "%s", command->spawn != NULL ? command->spawn : command->target);
    fprintf(stderr, "mqfuzz: seed %llu\n", (unsigned long long)command->seed);
    int trouble = jobs == 1 ? campaign_run(command, shared, 0, &report) : run_jobs(command, shared, &report, jobs);
    struct tally t = campaign_tally(shared, jobs);
    int status = EXIT_TROUBLE;
    if (trouble == EXIT_CLEAN || report.n > 0 || t.plans > 0) {
        status = command_reports(command, &report);
        printf("%llu plans, %llu packets, %llu connections, %u findings (seed %llu)\n"
               "%.0f plans, %.0f packets and %.0f connections a second for %.0f s\n",
               t.plans, t.packets, t.connections, report.n, (unsigned long long)command->seed,
               (double)t.plans / t.seconds, (double)t.packets / t.seconds, (double)t.connections / t.seconds,
               t.seconds);
    }
    if (trouble != EXIT_CLEAN || fflush(stdout) != 0)
        status = EXIT_TROUBLE;
    report_free(&report);
    munmap(shared, sizeof *shared);
    return status;
}
