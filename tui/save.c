/* SPDX-License-Identifier: Apache-2.0 */
#include "tui/save.h"
#include "decoder/show/show.h"
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
        return input->record.file != NULL && strcmp(input->record.file, "-") != 0 && input->record.ring_files == 0
                   ? input->record.file
                   : NULL;
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
    if (input->n_interfaces > 0)
        o.capture_filter = NULL;
    if (o.file == NULL) {
        snprintf(error, PIPELINE_ERROR_MAX,
                 "the frames are gone: only a file can be read again, and a live capture needs -w FILE");
        return false;
    }
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
    return status == PIPELINE_END || input->n_interfaces > 0; /* a recording that still grows ends in the middle */
}

/* ---- */

static bool save_lines(struct app *a, const struct choice *c, uint64_t *written, char *error)
{
    int fd = open(a->save.text, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    struct file f = { .to = fd >= 0 ? fdopen(fd, "w") : NULL };
    if (f.to == NULL) {
        snprintf(error, PIPELINE_ERROR_MAX, "%s", strerror(errno));
        return false;
    }
    *written = write_rows(a, c, &f);
    bool good = fclose(f.to) == 0 && !f.failed;
    if (!good)
        snprintf(error, PIPELINE_ERROR_MAX, "it could not be written whole: %s", strerror(errno));
    return good;
}

void save_rows(struct app *a, const struct pipeline_options *input)
{
    struct choice c = { 0 };
    char error[PIPELINE_ERROR_MAX] = "";
    uint64_t written = 0;
    store_lock(a->store);
    bool good = choose(a, &c);
    store_unlock(a->store);
    if (!good) {
        snprintf(error, sizeof error, "out of memory");
    } else if (access(a->save.text, F_OK) == 0) {
        good = false;
        snprintf(error, sizeof error, "it exists already");
    } else if (a->save.choice[1] == SAVE_PCAPNG && a->redact != NULL) {
        good = false;
        snprintf(error, sizeof error, "with --redact only text and NDJSON are masked; frames are not");
    } else if (a->save.choice[1] == SAVE_PCAPNG) {
        written = c.n;
        good = save_frames(a, input, &c, error);
    } else {
        good = save_lines(a, &c, &written, error);
    }
    free(c.seqs);
    if (good)
        app_say(a, false, "%llu rows are in %s", (unsigned long long)written, a->save.text);
    else
        app_say(a, true, "%s is not saved: %s", a->save.text, error);
    if (good && a->save.choice[0] == SAVE_ALL)
        a->source.unsaved = false;
}
