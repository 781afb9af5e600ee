/* SPDX-License-Identifier: Apache-2.0
 *
 * The findings: broken rules and diagnoses, worst first; Enter goes to the evidence in the ladder. */
#include "tui/app.h"
#include <stdlib.h>
#include <string.h>

enum order { BY_SEVERITY, BY_TIME, BY_RULE, BY_CLIENT, ORDERS };
static const char *const order_names[ORDERS] = { "severity", "time", "rule", "client" };

static const char *rule_name(const struct store_finding *f)
{
    if (f->diagnosis != TRACK_DIAG_NONE)
        return track_diag_info(f->diagnosis)->name;
    return mqtt_rule_info((enum mqtt_rule)f->rule)->id;
}

static const char *sentence(const struct store_finding *f)
{
    const struct mqtt_rule_info *rule = mqtt_rule_info((enum mqtt_rule)f->rule);
    if (f->sentence != NULL && f->sentence[0] != 0)
        return f->sentence;
    if (f->diagnosis != TRACK_DIAG_NONE)
        return track_diag_info(f->diagnosis)->meaning;
    return rule->fault[0] != 0 ? rule->fault : rule->statement;
}

static bool goes_before(const struct app *a, uint32_t x, uint32_t y)
{
    const struct store_finding *f = store_finding(a->store, x), *h = store_finding(a->store, y);
    int order = 0;
    if (a->findings.sort == BY_SEVERITY)
        order = (int)h->severity - (int)f->severity;
    if (a->findings.sort == BY_RULE)
        order = strcmp(rule_name(f), rule_name(h));
    if (a->findings.sort == BY_CLIENT) {
        uint8_t least = f->client_len < h->client_len ? f->client_len : h->client_len;
        order = memcmp(f->client, h->client, least);
        order = order != 0 ? order : (int)f->client_len - (int)h->client_len;
    }
    if (order == 0)
        order = (f->time_ns > h->time_ns) - (f->time_ns < h->time_ns);
    if (order == 0)
        order = (x > y) - (x < y);
    return (a->findings.reverse ? -order : order) < 0;
}

static void sift_down(const struct app *a, uint32_t *v, uint32_t root, uint32_t n)
{
    for (uint32_t child; (child = 2 * root + 1) < n; root = child) {
        if (child + 1 < n && goes_before(a, v[child], v[child + 1]))
            child++;
        if (!goes_before(a, v[root], v[child]))
            return;
        uint32_t swap = v[root];
        v[root] = v[child];
        v[child] = swap;
    }
}

static void sort(const struct app *a, uint32_t *v, uint32_t n)
{
    for (uint32_t i = n / 2; i-- > 0;)
        sift_down(a, v, i, n);
    for (uint32_t i = n; i-- > 1;) {
        uint32_t swap = v[0];
        v[0] = v[i];
        v[i] = swap;
        sift_down(a, v, 0, i);
    }
}

static bool passes(const struct app *a, const struct store_finding *f)
{
    return f->session == 0 ? a->filter == NULL : app_session_matches(a, f->session);
}

static void refresh(struct app *a)
{
    struct findings_screen *s = &a->findings;
    uint32_t n = store_findings(a->store);
    uint64_t changes = n + store_totals(a->store)->evicted_findings + (a->matching.n << 32);
    if (changes == s->seen_changes || (a->paused && s->seen_changes != UINT64_MAX))
        return;
    if (n > s->cap) {
        uint32_t *grown = realloc(s->order, n * sizeof *grown);
        if (grown == NULL)
            return;
        s->order = grown;
        s->cap = n;
    }
    s->n = 0;
    for (uint32_t i = 0; i < n; i++)
        if (passes(a, store_finding(a->store, i)))
            s->order[s->n++] = i;
    sort(a, s->order, s->n);
    s->seen_changes = changes;
}

static const struct store_finding *current(const struct app *a)
{
    const struct findings_screen *s = &a->findings;
    return s->list.at < s->n ? store_finding(a->store, s->order[s->list.at]) : NULL;
}

static void draw_line(struct app *a, struct grid *g, int y, int w, const struct store_finding *f, int64_t before_ns)
{
    char text[TEXT_CAP];
    uint8_t style = text_severity_style(f->severity);
    int client_w = w < 100 ? 14 : 24, x = 17;
    grid_put(g, y, 1, (uint8_t)text_severity_sign(f->severity), style);
    app_time(a, text, f->time_ns, before_ns);
    grid_text(g, y, 3, 13, STYLE_NORMAL, text);
    struct track_session s;
    char buffer[72];
    bool known = f->client_len > 0 || !app_session(a, f->session, &s);
    grid_view(g, y, x, client_w, known ? STYLE_HEAD : STYLE_DIM,
              known ? view_of(f->client, f->client_len) : text_client(buffer, s.client_id, &s.client));
    x += client_w + 1;
    grid_text(g, y, x, 18, style, rule_name(f));
    grid_text(g, y, x + 19, 6, STYLE_DIM, f->side == MQTT_NOBODY ? "" : text_side(f->side));
    grid_text(g, y, x + 26, w - x - 26, STYLE_NORMAL, sentence(f));
}

/* Words broken into lines of w columns; returns the lines used. */
static int draw_wrapped(struct grid *g, int y, int x, int w, int h, uint8_t style, const char *text)
{
    int line = 0;
    while (*text != 0 && line < h && w > 0) {
        size_t len = strlen(text);
        if (len > (size_t)w) {
            len = (size_t)w;
            while (len > 0 && text[len] != ' ')
                len--;
            len = len == 0 ? (size_t)w : len;
        }
        grid_plain(g, y + line++, x, w, style, view_of(text, len));
        text += len;
        text += strspn(text, " ");
    }
    return line;
}

static void draw_below(struct app *a, struct grid *g, struct rect r)
{
    const struct store_finding *f = current(a);
    int used;
    if (f == NULL)
        return;
    const struct mqtt_rule_info *rule = mqtt_rule_info((enum mqtt_rule)f->rule);
    grid_hline(g, r.y, 0, r.w, STYLE_DIM);
    grid_printf(g, r.y, 2, r.w - 4, text_severity_style(f->severity), " %s %s, %s ", mqtt_severity_name(f->severity),
                rule_name(f), f->side == MQTT_NOBODY ? "nobody at fault" : text_side(f->side));
    used = draw_wrapped(g, r.y + 1, 1, r.w - 2, r.h - 2, STYLE_NORMAL, sentence(f));
    if (f->rule != MQTT_RULE_NONE && used < r.h - 2 && strcmp(sentence(f), rule->statement) != 0)
        used += draw_wrapped(g, r.y + 1 + used, 1, r.w - 2, r.h - 2 - used, STYLE_DIM, rule->statement);
    int x = 1;
    for (int i = 0; i < TRACK_EVIDENCE; i++)
        if (f->frame[i] != 0)
            x += grid_printf(g, r.y + r.h - 1, x, r.w - x, STYLE_DIM, x == 1 ? "frame %llu" : ", %llu",
                             (unsigned long long)f->frame[i]);
}

static void draw(struct app *a, struct grid *g, struct rect body)
{
    struct findings_screen *s = &a->findings;
    int below = body.h >= 16 ? 6 : 0, client_w = body.w < 100 ? 14 : 24;
    const struct store_totals *t = store_totals(a->store);
    refresh(a);
    list_settle(&s->list, s->n, body.h - 1 - below);
    const char *up = s->reverse ? "v" : "^";
    grid_printf(g, body.y, 1, 15, STYLE_HEAD, "%s%stime%s", s->sort == BY_SEVERITY ? up : " ", " ",
                s->sort == BY_TIME ? up : "");
    grid_printf(g, body.y, 17, client_w, STYLE_HEAD, "client%s", s->sort == BY_CLIENT ? up : "");
    grid_printf(g, body.y, 18 + client_w, 18, STYLE_HEAD, "rule%s", s->sort == BY_RULE ? up : "");
    grid_text(g, body.y, 37 + client_w, 6, STYLE_HEAD, "by");
    char counts[120];
    snprintf(counts, sizeof counts, "%llu ! %llu w %llu i", (unsigned long long)t->by_severity[3],
             (unsigned long long)t->by_severity[2], (unsigned long long)t->by_severity[1]);
    grid_right(g, body.y, 44 + client_w, body.w - 45 - client_w, STYLE_HEAD, counts);
    if (s->n == 0)
        grid_text(g, body.y + 2, 2, body.w - 4, STYLE_DIM, "nothing found");
    int64_t before = t->first_ns;
    for (int i = 0; i < s->list.page && s->list.top + (uint64_t)i < s->n; i++) {
        uint64_t line = s->list.top + (uint64_t)i;
        const struct store_finding *f = store_finding(a->store, s->order[line]);
        draw_line(a, g, body.y + 1 + i, body.w, f, before);
        before = f->time_ns;
        if (line == s->list.at)
            grid_mark(g, body.y + 1 + i, 0, body.w, GRID_SELECTED);
    }
    if (below > 0)
        draw_below(a, g, (struct rect){ body.y + body.h - below, 0, below, body.w });
}

static void open_evidence(struct app *a, bool packet)
{
    const struct store_finding *f = current(a);
    uint64_t seq = f != NULL ? store_finding_seq(a->store, f) : UINT64_MAX;
    const struct store_row *m = seq != UINT64_MAX ? store_meta(a->store, seq) : NULL;
    if (f == NULL)
        return;
    if (m == NULL) {
        app_say(a, true, "the evidence is no longer held, or no packet carries it");
        return;
    }
    uint32_t session = f->session != 0 ? f->session : m->session;
    if (packet) {
        app_push(a, SCREEN_PACKETS);
        packets_open(a, session, session != 0 ? UINT32_MAX : m->stream, seq);
        a->packets.pane = PANE_FIELDS;
        return;
    }
    a->ladder.exchange = 0;
    ladder_open(a, &session, 1, session != 0 ? 0 : m->stream);
    app_push(a, SCREEN_LADDER);
    ladder_go(a, seq);
}

static bool action(struct app *a, enum action action, unsigned count)
{
    struct findings_screen *s = &a->findings;
    refresh(a);
    if (list_action(&s->list, action, count, s->n))
        return true;
    switch (action) {
    case ACTION_OPEN:
        open_evidence(a, false);
        return true;
    case ACTION_DETAIL:
        open_evidence(a, true);
        return true;
    case ACTION_SORT_LEFT:
        s->sort = (s->sort + ORDERS - 1) % ORDERS;
        break;
    case ACTION_SORT_RIGHT:
        s->sort = (s->sort + 1) % ORDERS;
        break;
    case ACTION_SORT_REVERSE:
        s->reverse = !s->reverse;
        break;
    default:
        return false;
    }
    s->seen_changes = UINT64_MAX;
    app_say(a, false, "sorted by %s", order_names[s->sort]);
    return true;
}

static struct list *listed(struct app *a, uint64_t *lines)
{
    refresh(a);
    *lines = a->findings.n;
    return &a->findings.list;
}

static bool line_has(struct app *a, uint64_t line)
{
    const struct store_finding *f = store_finding(a->store, a->findings.order[line]);
    const char *texts[2] = { rule_name(f), sentence(f) };
    return app_contains(view_of(f->client, f->client_len), a->find_text) ||
           app_contains(view_of(texts[0], strlen(texts[0])), a->find_text) ||
           app_contains(view_of(texts[1], strlen(texts[1])), a->find_text);
}

static void click(struct app *a, int y, int x)
{
    (void)x;
    uint64_t line = a->findings.list.top + (uint64_t)(y > 0 ? y - 1 : 0);
    if (y >= 1 && y <= a->findings.list.page && line < a->findings.n)
        a->findings.list.at = line;
}

const struct screen screen_findings = {
    .draw = draw, .action = action, .list = listed, .line_has = line_has, .click = click
};
