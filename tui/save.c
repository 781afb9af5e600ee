/* SPDX-License-Identifier: Apache-2.0 */
#include "tui/save.h"
#include "decoder/show/show.h"
#include "tui/rebuild.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SLICE = 2000, BUFFER = 65536 };

/* ---- which rows ------------------------------------------------------------------------------------------------- */

struct choice { /* a copy of what was chosen, so that the lock can be given back between slices */
    uint64_t *seqs;
    uint64_t n;
};

static bool take(struct choice *c, const struct rowset *r, const struct store *s)
{
    uint64_t n = rowset_lines(r, s);
    c->seqs = malloc((n > 0 ? n : 1) * sizeof *c->seqs);
    for (uint64_t i = 0; c->seqs != NULL && i < n; i++)
        c->seqs[c->n++] = rowset_seq(r, s, i);
    return c->seqs != NULL;
}

static bool choose(struct app *a, struct choice *c)
{
    struct rowset all;
    rowset_init(&all);
    all.next = store_end(a->store);
    switch ((enum save_what)a->save.choice[0]) {
    case SAVE_FILTERED:
        return take(c, a->filter != NULL ? &a->matching : &all, a->store);
    case SAVE_SESSION:
        return take(c, &a->ladder.rows, a->store);
    case SAVE_SELECTED:
        c->seqs = malloc(sizeof a->selected);
        if (c->seqs != NULL)
            memcpy(c->seqs, a->selected, sizeof a->selected);
        c->n = (uint64_t)a->n_selected;
        return c->seqs != NULL;
    default:
        return take(c, &all, a->store);
    }
}

/* ---- text and NDJSON -------------------------------------------------------------------------------------------- */

struct file {
    FILE *to;
    bool failed;
};

static void drain(struct out *o)
{
    struct file *f = o->owner;
    f->failed = f->failed || fwrite(o->at, 1, o->len, f->to) != o->len;
    o->len = 0;
}

static int32_t utc_offset(int64_t epoch_s)
{
    time_t t = (time_t)epoch_s;
    struct tm tm;
    return localtime_r(&t, &tm) != NULL ? (int32_t)tm.tm_gmtoff : 0;
}

static uint64_t write_rows(struct app *a, const struct choice *c, struct file *f)
{
    char *buffer = malloc(BUFFER);
    struct out o = { .at = buffer, .cap = BUFFER, .drain = drain, .owner = f };
    struct show_style style = { .secrets = a->config.number[CONFIG_PASSWORDS] != 0, .utc_offset_s = utc_offset };
    uint64_t written = 0;
    for (uint64_t i = 0; buffer != NULL && i < c->n && !f->failed;) {
        store_lock(a->store);
        for (uint64_t end = i + SLICE; i < end && i < c->n; i++) {
            struct store_entry e;
            if (!store_get(a->store, c->seqs[i], &e) || (e.meta->kind != STORE_PACKET && e.meta->kind != STORE_GAP))
                continue;
            if (a->save.choice[1] == SAVE_TEXT)
                show_text(&o, &e.row, &style);
            else
                show_json(&o, &e.row, &style, NULL);
            written++;
        }
        store_unlock(a->store);
    }
    if (buffer != NULL)
        drain(&o);
    free(buffer);
    return written;
}

/* ---- pcapng: the input once more, keeping the connections of the chosen rows --------------------------------------
 */

struct again {
    uint64_t *numbers; /* of rows, ascending */
    uint64_t n, at, kept;
};

static unsigned on_row(void *ctx, const struct row *row)
{
    struct again *g = ctx;
    while (g->at < g->n && g->numbers[g->at] < row->number)
        g->at++;
    if (g->at == g->n || g->numbers[g->at] != row->number)
        return PIPELINE_GO_ON;
    g->kept++;
    return PIPELINE_KEEP;
}

static int by_number(const void *x, const void *y)
{
    uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;
    return (a > b) - (a < b);
}

static void numbers_of(struct app *a, struct choice *c)
{
    uint64_t n = 0;
    store_lock(a->store);
    for (uint64_t i = 0; i < c->n; i++) {
        const struct store_row *m = store_meta(a->store, c->seqs[i]);
        if (m != NULL && m->number != 0)
            c->seqs[n++] = m->number;
    }
    store_unlock(a->store);
    c->n = n;
    qsort(c->seqs, n, sizeof *c->seqs, by_number);
}

static const char *source_of(const struct pipeline_options *input)
{
    if (input->n_interfaces > 0)
        return NULL;
    return input->file != NULL && strcmp(input->file, "-") != 0 ? input->file : NULL;
}

static bool save_frames(struct app *a, const struct pipeline_options *input, struct choice *c, char *error)
{
    static const struct pipeline_events events = { .row = on_row };
    struct pipeline_options o = *input;
    bool usage;
    o.interfaces = NULL;
    o.n_interfaces = 0;
    o.file = source_of(input);
    o.keep_privileges = o.no_tracker = true;
    o.stop_after_frames = o.stop_after_s = 0;
    o.record = (struct pipeline_record){ .file = a->save.text, .matching_only = true };
    numbers_of(a, c);
    struct again again = { .numbers = c->seqs, .n = c->n };
    struct pipeline *p = pipeline_open(&o, &events, &again, error, &usage);
    if (p == NULL)
        return false;
    enum pipeline_status status;
    do
        status = pipeline_step(p, 4096, 0);
    while (status == PIPELINE_MORE || status == PIPELINE_IDLE);
    snprintf(error, PIPELINE_ERROR_MAX, "%s", pipeline_error(p));
    pipeline_close(p);
    return status == PIPELINE_END;
}

/* ---- pcapng of what is held: for live captures and pipes, whose frames are gone ---------------------------------- */

static int by_stream(const void *x, const void *y)
{
    uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;
    return (a > b) - (a < b);
}

/* The connections of the chosen rows, ascending, each once. */
static void streams_of(struct app *a, struct choice *c)
{
    uint64_t n = 0, once = 0;
    store_lock(a->store);
    for (uint64_t i = 0; i < c->n; i++) {
        const struct store_row *m = store_meta(a->store, c->seqs[i]);
        if (m != NULL)
            c->seqs[n++] = m->stream;
    }
    store_unlock(a->store);
    qsort(c->seqs, n, sizeof *c->seqs, by_stream);
    for (uint64_t i = 0; i < n; i++)
        if (i == 0 || c->seqs[i] != c->seqs[once - 1])
            c->seqs[once++] = c->seqs[i];
    c->n = once;
}

static bool rebuild_rows(struct app *a, const struct choice *streams, struct rebuild *r)
{
    bool good = r != NULL;
    store_lock(a->store);
    uint64_t at = store_first(a->store), end = store_end(a->store);
    store_unlock(a->store);
    while (good && at < end) {
        store_lock(a->store);
        for (uint64_t stop = at + SLICE; good && at < stop && at < end; at++) {
            struct store_entry e;
            uint64_t stream;
            if (!store_get(a->store, at, &e))
                continue;
            stream = e.row.stream;
            if (bsearch(&stream, streams->seqs, streams->n, sizeof stream, by_stream) != NULL)
                good = rebuild_row(r, &e);
        }
        store_unlock(a->store);
    }
    return rebuild_free(r) && good;
}

/* ---- all of it -------------------------------------------------------------------------------------------------- */

static FILE *create(const char *path, char *error)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    FILE *out = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (out == NULL)
        snprintf(error, PIPELINE_ERROR_MAX, "%s", strerror(errno));
    return out;
}

static bool close_file(FILE *f, bool good, char *error)
{
    good = fclose(f) == 0 && good;
    if (!good)
        snprintf(error, PIPELINE_ERROR_MAX, "it could not be written whole: %s", strerror(errno));
    return good;
}

static bool save_rebuilt(struct app *a, struct choice *c, char *error)
{
    FILE *out = create(a->save.text, error);
    if (out == NULL)
        return false;
    streams_of(a, c);
    return close_file(out, rebuild_rows(a, c, rebuild_new(out)), error);
}

static bool save_lines(struct app *a, const struct choice *c, uint64_t *written, char *error)
{
    struct file f = { .to = create(a->save.text, error) };
    if (f.to == NULL)
        return false;
    *written = write_rows(a, c, &f);
    return close_file(f.to, !f.failed, error);
}

static const char *said_of(struct app *a, const struct pipeline_options *input, char *error, uint64_t *written)
{
    struct choice c = { 0 };
    const char *how = "";
    bool good;
    store_lock(a->store);
    good = choose(a, &c);
    store_unlock(a->store);
    if (!good) {
        snprintf(error, PIPELINE_ERROR_MAX, "out of memory");
    } else if (access(a->save.text, F_OK) == 0) {
        good = false;
        snprintf(error, PIPELINE_ERROR_MAX, "it exists already");
    } else if (a->save.choice[1] != SAVE_PCAPNG) {
        good = save_lines(a, &c, written, error);
    } else if (source_of(input) != NULL && a->redact == NULL) {
        *written = c.n;
        how = ": the frames of their connections";
        good = save_frames(a, input, &c, error);
    } else {
        *written = c.n;
        how = ": rebuilt frames of their connections";
        good = save_rebuilt(a, &c, error);
    }
    free(c.seqs);
    return good ? how : NULL;
}

void save_rows(struct app *a, const struct pipeline_options *input)
{
    char error[PIPELINE_ERROR_MAX] = "";
    uint64_t written = 0;
    const char *how = said_of(a, input, error, &written);
    if (how == NULL) {
        app_say(a, true, "%s is not saved: %s", a->save.text, error);
        return;
    }
    app_say(a, false, "%llu rows are in %s%s", (unsigned long long)written, a->save.text, how);
    if (a->save.choice[0] == SAVE_ALL)
        a->source.unsaved = false;
}
