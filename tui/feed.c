/* SPDX-License-Identifier: Apache-2.0 */
#include "tui/feed.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { FRAMES_A_STEP = 400, LIVE_WAIT_MS = 100 };

struct feed {
    struct app *app;
    struct pipeline *pipeline;
    void (*wake)(void);
    pthread_t thread;
    bool started, failed;
    atomic_bool stop, told; /* told: the screen knows that there is news */
    char error[PIPELINE_ERROR_MAX];
};

/* ---- what the pipeline gives; all with the lock held ------------------------------------------------------------- */

static unsigned on_row(void *ctx, const struct row *row)
{
    struct app *a = ((struct feed *)ctx)->app;
    if (a->redact != NULL)
        row = redact_row(a->redact, row);
    store_add(a->store, row);
    topics_add(a->topics, row);
    stats_add(a->stats, row);
    return PIPELINE_GO_ON;
}

static void on_connection(void *ctx, const struct pipeline_connection *c)
{
    struct feed *f = ctx;
    struct store_link link = {
        .open = c->what == PIPELINE_OPENED,
        .from_syn = c->from_syn,
        .close = c->what == PIPELINE_CLOSED_RST   ? STORE_RST
                 : c->what == PIPELINE_CLOSED_FIN ? STORE_FIN
                                                  : STORE_ENDED,
        .stream = c->stream,
        .session = (uint32_t)c->session,
        .src = c->src,
        .dst = c->dst,
        .sender = c->sender,
        .time_ns = c->time_ns,
        .frame = c->frame,
    };
    store_add_link(f->app->store, &link, pipeline_tracker(f->pipeline));
}

static void on_finding(void *ctx, const struct track_finding *finding)
{
    struct app *a = ((struct feed *)ctx)->app;
    struct track_finding masked;
    if (a->redact != NULL) {
        masked = redact_finding(a->redact, finding);
        finding = &masked;
    }
    store_add_finding(a->store, finding);
}

static void publish_counters(struct feed *f)
{
    struct source *s = &f->app->source;
    struct pipeline_counters c;
    struct track_counts t = { 0 };
    pipeline_counters(f->pipeline, &c);
    if (pipeline_tracker(f->pipeline) != NULL)
        track_count(pipeline_tracker(f->pipeline), &t);
    s->frames = c.frames;
    s->drops = c.kernel_drops + c.interface_drops + c.ring_drops;
    s->lost_octets = c.gap_octets + c.skipped_octets;
    s->memory = c.memory + t.memory;
    s->evicted = c.evicted_flows + t.evicted_connections + t.evicted_sessions + t.evicted_exchanges;
    s->unsaved = s->live && !s->recording && c.rows > 0;
    const char *warning = pipeline_warning(f->pipeline);
    if (warning != NULL)
        snprintf(s->trouble, sizeof s->trouble, "%s", warning);
}

static void publish_end(struct feed *f, enum pipeline_status status)
{
    struct source *s = &f->app->source;
    s->ended = true;
    f->failed = status == PIPELINE_ERROR;
    snprintf(f->error, sizeof f->error, "%s", pipeline_error(f->pipeline));
    if (f->failed)
        snprintf(s->trouble, sizeof s->trouble, "%s", f->error);
}

static void tell(struct feed *f)
{
    if (f->wake != NULL && !atomic_exchange(&f->told, true))
        f->wake();
}

/* One batch under the lock. */
static bool step(struct feed *f)
{
    store_lock(f->app->store);
    uint64_t before = store_totals(f->app->store)->changes;
    enum pipeline_status status = pipeline_step(f->pipeline, FRAMES_A_STEP, 0);
    publish_counters(f);
    bool over = status == PIPELINE_END || status == PIPELINE_ERROR;
    if (over)
        publish_end(f, status);
    bool news = over || store_totals(f->app->store)->changes != before;
    store_unlock(f->app->store);
    if (news)
        tell(f);
    return !over;
}

static void *run(void *ctx)
{
    struct feed *f = ctx;
    bool stopping = false;
    do {
        if (atomic_load(&f->stop) && !stopping) {
            pipeline_stop(f->pipeline);
            stopping = true;
        }
        if (!stopping)
            pipeline_wait(f->pipeline, LIVE_WAIT_MS);
    } while (step(f));
    return NULL;
}

/* ---- life ------------------------------------------------------------------------------------------------------- */

static void name_source(struct source *s, const struct pipeline_options *o, const struct pipeline *p)
{
    size_t n = 0;
    s->live = o->n_interfaces > 0;
    s->recording = o->record.file != NULL;
    for (uint32_t i = 0; i < o->n_interfaces && n < sizeof s->name; i++)
        n += (size_t)snprintf(s->name + n, sizeof s->name - n, "%s%s", i > 0 ? "," : "", pipeline_interface(p, i));
    if (!s->live && o->file != NULL) {
        const char *slash = strrchr(o->file, '/');
        snprintf(s->name, sizeof s->name, "%s",
                 strcmp(o->file, "-") == 0 ? "stdin"
                 : slash != NULL           ? slash + 1
                                           : o->file);
    }
    if (s->live && o->capture_filter != NULL && *o->capture_filter != 0 && n < sizeof s->name)
        snprintf(s->name + n, sizeof s->name - n, " (%s)", o->capture_filter);
}

/* Of all that the pipeline may hold. */
static uint64_t budget_of(const struct pipeline_budget *b)
{
    struct pipeline_budget usual = pipeline_budget_default();
    return (b->tracker > 0 ? b->tracker : usual.tracker) + (b->total_order > 0 ? b->total_order : usual.total_order) +
           (b->total_packet > 0 ? b->total_packet : usual.total_packet);
}

struct feed *feed_open(struct app *app, const struct pipeline_options *options, void (*wake)(void), char *error,
                       bool *usage)
{
    static const struct pipeline_events events = { .connection = on_connection, .row = on_row, .finding = on_finding };
    struct feed *f = calloc(1, sizeof *f);
    if (f == NULL) {
        snprintf(error, PIPELINE_ERROR_MAX, "out of memory");
        return NULL;
    }
    f->app = app;
    f->wake = wake;
    f->pipeline = pipeline_open(options, &events, f, error, usage);
    if (f->pipeline == NULL) {
        free(f);
        return NULL;
    }
    name_source(&app->source, options, f->pipeline);
    app->tracker = pipeline_tracker(f->pipeline);
    app->source.budget = budget_of(&options->budget);
    return f;
}

bool feed_start(struct feed *f)
{
    f->started = pthread_create(&f->thread, NULL, run, f) == 0;
    return f->started;
}

void feed_run(struct feed *f)
{
    while (step(f))
        ;
}

void feed_seen(struct feed *f)
{
    atomic_store(&f->told, false);
}

bool feed_failed(const struct feed *f)
{
    return f->failed;
}

const char *feed_error(const struct feed *f)
{
    return f->error;
}

void feed_counters(struct feed *f, struct pipeline_counters *out)
{
    pipeline_counters(f->pipeline, out);
}

void feed_stop(struct feed *f)
{
    atomic_store(&f->stop, true);
    if (f->started)
        pthread_join(f->thread, NULL);
    f->started = false;
}

void feed_close(struct feed *f)
{
    if (f == NULL)
        return;
    feed_stop(f);
    f->app->tracker = NULL;
    pipeline_close(f->pipeline);
    free(f);
}
