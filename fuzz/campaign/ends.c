/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/campaign/ends.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/peer/last_words.h"

enum { DYING_MS = 50 /* from the end of a report to that of the process, if it is to end */, KILLED_MS = 5000 };

static void wait_for_end(struct process *p, int ms)
{
    for (int waited = 0; process_watch(p) && waited < ms; waited += 10)
        poll(NULL, 0, 10);
}

/* The same; or one of the two is the first line of a report that was not all there yet. */
static bool is_like(const struct ends_report *r, const char *title)
{
    size_t n = strlen(title), m = strlen(r->title);
    return strncmp(r->title, title, n < m ? n : m) == 0 && (n <= m || !r->told);
}

/* News, unless it was told. While it goes on, that is: with an end, it belongs to that. */
static bool note(struct ends *e, const char *title, const struct process *p)
{
    unsigned i = 0;
    while (i < e->n && !is_like(&e->report[i], title))
        i++;
    if (i == ENDS_REPORTS || (i == e->n && p->ended))
        return false;
    struct ends_report *r = &e->report[i];
    if (i == e->n) {
        r->tail = strdup(p->tail);
        e->n++;
    }
    if (strlen(title) > strlen(r->title))
        snprintf(r->title, ENDS_TITLE, "%s", title);
    r->here = !r->told;
    return r->here;
}

static bool note_all(struct ends *e, const struct process *p)
{
    char title[ENDS_TITLE];
    bool news = false, any = false;
    for (unsigned i = 0; i < e->n; i++)
        e->report[i].here = false;
    for (const char *at = p->tail; words_next(&at, title, sizeof title); any = true)
        news = note(e, title, p) || news;
    if (!any && p->sanitizer) /* what it printed since has pushed it out */
        news = note(e, "a sanitizer reported", p);
    return news;
}

static void note_end(struct ends *e, const struct process *p)
{
    e->ended = true;
    e->hung = false;
    e->said[0] = '\0';
    process_end_text(p, e->how, sizeof e->how);
    if (words_title(p, e->said + 2, sizeof e->said - 2))
        memcpy(e->said, ": ", 2);
    free(e->tail);
    e->tail = strdup(p->tail);
}

enum broker_is ends_look(struct ends *e, struct process *p)
{
    bool news = false;
    if (process_watch(p) && p->sanitizer) {
        wait_for_end(p, words_wait_ms(p));
        news = note_all(e, p);
        if (news)
            wait_for_end(p, DYING_MS);
    }
    if (!process_watch(p)) {
        note_all(e, p);
        note_end(e, p);
        return BROKER_ENDED;
    }
    if (p->sanitizer)
        words_forget(p);
    return news ? BROKER_REPORTED : BROKER_RUNS;
}

void ends_hung(struct ends *e, struct process *p)
{
    if (p->pid > 0)
        kill(-p->pid, SIGKILL);
    wait_for_end(p, KILLED_MS);
    note_all(e, p);
    note_end(e, p);
    e->hung = true;
    snprintf(e->how, sizeof e->how, "serves nobody any more");
}

const struct ends_report *ends_tell(struct ends *e, bool any)
{
    for (struct ends_report *r = e->report; r < e->report + e->n; r++)
        if (!r->told && (any || r->here)) {
            r->told = true;
            return r;
        }
    return NULL;
}

bool ends_settled(const struct ends *e)
{
    bool all = !e->ended;
    for (unsigned i = 0; i < e->n; i++)
        all = all && e->report[i].told;
    return all;
}

void ends_free(struct ends *e)
{
    for (unsigned i = 0; i < e->n; i++)
        free(e->report[i].tail);
    free(e->tail);
}
