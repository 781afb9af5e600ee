/* SPDX-License-Identifier: Apache-2.0
 *
 * Statistics: packet types, rates, answer times with percentiles and histogram, losses, memory against the budgets. */
#include "tui/app.h"
#include <string.h>

enum { LINES_MOST = 120 };

struct page { /* draws only the lines that are seen */
    struct app *a;
    struct grid *g;
    struct rect r;
    int line, top;
};

static bool seen(const struct page *p)
{
    return p->line >= p->top && p->line < p->top + p->r.h;
}

static int row(const struct page *p)
{
    return p->r.y + p->line - p->top;
}

static void head(struct page *p, const char *text)
{
    if (p->line > 0)
        p->line++;
    if (seen(p))
        grid_text(p->g, row(p), 1, p->r.w - 2, STYLE_HEAD, text);
    p->line++;
}

static uint32_t bar_char(const struct grid *g, int eighths)
{
    static const char ascii[] = " .:-=+*#@";
    return g->unicode ? (eighths == 0 ? ' ' : 0x2580u + (uint32_t)eighths) : (uint8_t)ascii[eighths];
}

/* The newest seconds on the right; a column is as many seconds as need be to show all of them. */
static void sparkline(struct page *p, const char *name, bool octets)
{
    const struct stats *s = p->a->stats;
    const struct store_totals *t = store_totals(p->a->store);
    int width = p->r.w - 26;
    char text[TEXT_CAP];
    int64_t first = t->first_ns / 1000000000, seconds = s->second - first + 1;
    seconds = seconds < 1 ? 1 : seconds > STATS_SECONDS ? STATS_SECONDS : seconds;
    int64_t per = (seconds + width - 1) / width, columns = (seconds + per - 1) / per;
    uint64_t most = 1, last = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int64_t c = 0; c < columns; c++) {
            uint64_t sum = 0;
            for (int64_t i = 0; i < per; i++)
                sum += stats_rate(s, s->second - (columns - 1 - c) * per - i, octets);
            most = sum > most ? sum : most;
            last = sum;
            int eighths = (int)((sum * 8 + most - 1) / most);
            if (pass == 1 && seen(p))
                grid_put(p->g, row(p), 12 + (int)c, bar_char(p->g, eighths > 8 ? 8 : eighths), STYLE_REQUEST);
        }
    (void)last;
    if (seen(p)) {
        grid_text(p->g, row(p), 1, 10, STYLE_NORMAL, name);
        grid_printf(p->g, row(p), 12 + (int)columns + 1, 13, STYLE_DIM, "top %s",
                    octets ? text_octets(text, most) : text_count(text, most));
    }
    p->line++;
    if (octets && per > 1 && seen(p))
        grid_printf(p->g, row(p), 12, p->r.w - 13, STYLE_DIM, "a column is %lld seconds", (long long)per);
    if (octets && per > 1)
        p->line++;
}

static void types(struct page *p)
{
    const struct store_totals *t = store_totals(p->a->store);
    char up[TEXT_CAP], down[TEXT_CAP];
    int columns = p->r.w >= 110 ? 3 : 2, width = (p->r.w - 2) / columns, n = 0;
    for (int type = 0; type < 16; type++) {
        uint64_t all = t->by_type[type][0] + t->by_type[type][1] + t->by_type[type][2];
        if (all == 0)
            continue;
        int x = 1 + n % columns * width;
        if (seen(p)) {
            grid_text(p->g, row(p), x, 12, STYLE_NORMAL, mqtt_type_name((unsigned)type));
            grid_right(p->g, row(p), x + 12, 7, STYLE_REQUEST, text_count(up, t->by_type[type][1]));
            grid_put(p->g, row(p), x + 20, '>', STYLE_DIM);
            grid_right(p->g, row(p), x + 21, 7, STYLE_ANSWER, text_count(down, t->by_type[type][2]));
            grid_put(p->g, row(p), x + 29, '<', STYLE_DIM);
            if (t->by_type[type][0] > 0)
                grid_printf(p->g, row(p), x + 31, width - 31, STYLE_DIM, "%s ?", text_count(up, t->by_type[type][0]));
        }
        p->line += ++n % columns == 0;
    }
    p->line += n % columns != 0;
}

static void answers(struct page *p)
{
    char text[TEXT_CAP];
    static const double percentiles[] = { 0.5, 0.9, 0.99 };
    if (seen(p)) {
        static const char *const heads[] = { "n", "p50", "p90", "p99", "most" };
        for (int i = 0; i < 5; i++)
            grid_right(p->g, row(p), 25 + 10 * i, 9, STYLE_HEAD, heads[i]);
    }
    p->line++;
    for (int a = 0; a < ANSWER_COUNT; a++) {
        const struct stats_histogram *h = &p->a->stats->answers[a];
        if (h->n == 0)
            continue;
        if (seen(p)) {
            grid_text(p->g, row(p), 1, 24, STYLE_NORMAL, stats_answer_name((enum stats_answer)a));
            grid_right(p->g, row(p), 25, 9, STYLE_NORMAL, text_count(text, h->n));
            for (int i = 0; i < 3; i++)
                grid_right(p->g, row(p), 35 + 10 * i, 9, STYLE_NORMAL,
                           text_duration(text, stats_percentile(h, percentiles[i])));
            grid_right(p->g, row(p), 65, 9, STYLE_NORMAL, text_duration(text, h->most_ns));
        }
        p->line++;
    }
}

static void histogram(struct page *p)
{
    int shown = -1, first = STATS_BUCKETS, last = 0;
    for (int a = 0; a < ANSWER_COUNT; a++)
        if (p->a->stats->answers[a].n > 0 && (shown < 0 || p->a->stats->answers[a].n > p->a->stats->answers[shown].n))
            shown = a;
    if (shown < 0)
        return;
    const struct stats_histogram *h = &p->a->stats->answers[shown];
    uint64_t most = 1;
    char text[TEXT_CAP], title[80];
    for (int i = 0; i < STATS_BUCKETS; i++)
        if (h->bucket[i] > 0) {
            first = i < first ? i : first;
            last = i;
            most = h->bucket[i] > most ? h->bucket[i] : most;
        }
    snprintf(title, sizeof title, "%s, up to", stats_answer_name((enum stats_answer)shown));
    head(p, title);
    for (int i = first; i <= last; i++, p->line++) {
        int width = (int)(h->bucket[i] * (uint64_t)(p->r.w - 24) / most);
        if (!seen(p))
            continue;
        grid_right(p->g, row(p), 1, 9, STYLE_NORMAL, text_duration(text, stats_bucket_ns((unsigned)i)));
        grid_right(p->g, row(p), 11, 7, STYLE_DIM, text_count(text, h->bucket[i]));
        grid_fill(p->g, (struct rect){ row(p), 20, 1, h->bucket[i] > 0 && width == 0 ? 1 : width }, bar_char(p->g, 8),
                  STYLE_REQUEST);
    }
}

static void pair(struct page *p, int column, const char *name, const char *value, uint8_t style)
{
    int x = 1 + column * ((p->r.w - 2) / 2);
    if (seen(p)) {
        grid_text(p->g, row(p), x, 22, STYLE_NORMAL, name);
        grid_right(p->g, row(p), x + 17, 19, style, value);
    }
    p->line += column;
}

static void count(struct page *p, int column, const char *name, uint64_t n, bool bad)
{
    char text[TEXT_CAP];
    pair(p, column, name, text_count(text, n), bad && n > 0 ? STYLE_WARNING : STYLE_NORMAL);
}

static void losses(struct page *p)
{
    const struct store_totals *t = store_totals(p->a->store);
    const struct source *s = &p->a->source;
    char a[TEXT_CAP], b[TEXT_CAP], text[2 * TEXT_CAP + 4];
    count(p, 0, "frames", s->frames, false);
    count(p, 1, "frames dropped", s->drops, true);
    count(p, 0, "packets", t->packets, false);
    pair(p, 1, "octets lost in streams", text_octets(a, s->lost_octets),
         s->lost_octets > 0 ? STYLE_WARNING : STYLE_NORMAL);
    pair(p, 0, "octets of packets", text_octets(a, t->octets), STYLE_NORMAL);
    count(p, 1, "rows evicted", t->evicted_rows, true);
    count(p, 0, "findings", t->by_severity[1] + t->by_severity[2] + t->by_severity[3], false);
    count(p, 1, "findings evicted", t->evicted_findings, true);
    count(p, 0, "topics", topics_count(p->a->topics), false);
    count(p, 1, "followed no longer", s->evicted, true);
    snprintf(text, sizeof text, "%s of %s", text_mib(a, t->memory), text_mib(b, t->budget));
    pair(p, 0, "memory, rows", text, STYLE_NORMAL);
    count(p, 1, "packets cut", t->cut_packets, false);
    snprintf(text, sizeof text, "%s of %s", text_mib(a, s->memory), text_mib(b, s->budget));
    pair(p, 0, "memory, tracking", text, STYLE_NORMAL);
    p->line++;
}

static void draw(struct app *a, struct grid *g, struct rect body)
{
    struct page p = { .a = a, .g = g, .r = body, .top = (int)a->statistics.list.top };
    head(&p, "packets, from clients > and from brokers <");
    types(&p);
    head(&p, "rates");
    sparkline(&p, "packets/s", false);
    sparkline(&p, "octets/s", true);
    head(&p, "answer times");
    answers(&p);
    head(&p, "capture");
    losses(&p);
    histogram(&p);
    int over = p.line - body.h;
    a->statistics.list.page = body.h;
    if ((int)a->statistics.list.top > (over > 0 ? over : 0))
        a->statistics.list.top = (uint64_t)(over > 0 ? over : 0);
    if (over > (int)a->statistics.list.top)
        grid_right(g, body.y + body.h - 1, body.w - 8, 7, STYLE_DIM, "more");
}

/* The page scrolls, it has no cursor. */
static bool action(struct app *a, enum action action, unsigned n)
{
    struct list *l = &a->statistics.list;
    l->at = l->top;
    if (!list_action(l, action, n, LINES_MOST))
        return false;
    l->top = l->at;
    return true;
}

const struct screen screen_statistics = { .draw = draw, .action = action };
