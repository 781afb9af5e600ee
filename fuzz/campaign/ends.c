/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/campaign/ends.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/peer/last_words.h"

/* A table that is full passes over the rest. */
static bool note(struct ends *e, const char *title)
{
    unsigned i = 0;
    while (i < e->n && strcmp(e->report[i].title, title) != 0)
        i++;
    if (i == ENDS_REPORTS)
        return false;
    if (i == e->n)
        snprintf(e->report[e->n++].title, ENDS_TITLE, "%s", title);
    e->report[i].here = !e->report[i].told;
    return e->report[i].here;
}

static bool reports_news(struct ends *e, struct process *p)
{
    char title[ENDS_TITLE];
    bool news = false, any = false;
    for (unsigned i = 0; i < e->n; i++)
        e->report[i].here = false;
    for (int waited = 0; process_watch(p) && waited < words_wait_ms(p); waited += 10)
        poll(NULL, 0, 10);
    if (!process_watch(p) || !p->sanitizer)
        return false;
    for (const char *at = p->tail; words_next(&at, title, sizeof title); any = true)
        news = note(e, title) || news;
    if (!any && words_title(p, title, sizeof title)) /* summaries are switched off */
        news = note(e, title);
    if (!news)
        words_forget(p);
    return news;
}

bool ends_lives(struct ends *e, struct process *p)
{
    bool news = reports_news(e, p);
    if (!news && process_watch(p))
        return true;
    e->goes_on = news;
    e->ended = e->ended || !news;
    e->said[0] = '\0';
    if (!news) {
        process_end_text(p, e->how, sizeof e->how);
        if (words_title(p, e->said + 2, sizeof e->said - 2))
            memcpy(e->said, ": ", 2);
    }
    free(e->tail);
    e->tail = strdup(p->tail);
    return false;
}

const char *ends_tell(struct ends *e, bool any)
{
    for (unsigned i = 0; i < e->n; i++)
        if (!e->report[i].told && (any || e->report[i].here)) {
            e->report[i].told = true;
            return e->report[i].title;
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
    free(e->tail);
    e->tail = NULL;
}
