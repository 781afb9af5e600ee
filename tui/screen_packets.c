/* SPDX-License-Identifier: Apache-2.0
 *
 * The packets: a list, the fields of the one under the cursor, and its octets; the octets of the chosen field are lit,
 * and the field of the chosen octet. */
#include "tui/detail.h"
#include <stdio.h>
#include <string.h>

enum { WORK_ROWS = 4000, BESIDE_WIDTH = 76, LEAST_FIELDS = 14 };

/* ---- which rows ------------------------------------------------------------------------------------------------- */

static bool keep(void *ctx, struct store *s, uint64_t seq, const struct store_row *m)
{
    struct app *a = ctx;
    struct packets_screen *p = &a->packets;
    struct store_entry e;
    if (m->kind != STORE_PACKET && m->kind != STORE_GAP)
        return false;
    if (p->session != 0 && m->session != p->session)
        return false;
    if (p->stream != UINT32_MAX && m->stream != p->stream)
        return false;
    return a->filter == NULL || (store_get(s, seq, &e) && filter_match(a->filter, &e.row));
}

void packets_open(struct app *a, uint32_t session, uint32_t stream, uint64_t seq)
{
    struct packets_screen *p = &a->packets;
    if (session != p->session || stream != p->stream)
        p->list.follow = a->source.live && !a->source.ended && a->config.number[CONFIG_FOLLOW];
    p->session = session;
    p->stream = stream;
    rowset_start(&p->rows, a->store, keep, a);
    if (seq == UINT64_MAX)
        return;
    p->list.follow = false;
    while (p->rows.next <= seq && a->filter == NULL && rowset_step(&p->rows, a->store, WORK_ROWS))
        ;
    p->list.at = rowset_line(&p->rows, a->store, seq);
}

static bool work(struct app *a)
{
    return rowset_step(&a->packets.rows, a->store, a->filter != NULL ? WORK_ROWS : 8 * WORK_ROWS);
}

static uint64_t current(const struct app *a)
{
    return rowset_seq(&a->packets.rows, a->store, a->packets.list.at);
}

/* ---- the list --------------------------------------------------------------------------------------------------- */

static void draw_row(struct app *a, struct grid *g, int y, int x, int w, uint64_t seq, int64_t before_ns)
{
    struct store_entry e;
    struct label label;
    char text[TEXT_CAP], buffer[72], note[200] = "";
    if (!store_get(a->store, seq, &e))
        return;
    const struct store_row *m = e.meta;
    label_of(&label, &e);
    char sign = text_sign(m);
    grid_put(g, y, x, app_is_selected(a, seq) ? '*' : ' ', STYLE_HEAD);
    grid_put(g, y, x + 1, (uint8_t)sign, sign == '~' ? STYLE_WARNING : text_severity_style(m->severity));
    grid_right(g, y, x + 2, 6, STYLE_DIM, text_count(text, m->number));
    app_time(a, text, m->time_ns, before_ns);
    grid_text(g, y, x + 9, 13, STYLE_NORMAL, text);
    int client_w = w < 100 ? 14 : 24, at = x + 23;
    const struct row_endpoint *client = m->sender == MQTT_SERVER ? &e.row.dst : &e.row.src;
    grid_view(g, y, at, client_w, e.row.client_id.len > 0 ? STYLE_HEAD : STYLE_DIM,
              text_client(buffer, e.row.client_id, client));
    at += client_w + 1;
    grid_put(g, y, at,
             m->kind == STORE_GAP       ? '?'
             : m->sender == MQTT_SERVER ? '<'
             : m->sender == MQTT_CLIENT ? '>'
                                        : '?',
             STYLE_DIM);
    at += 2;
    int room = x + w - at, note_w = room > 64 ? room - 44 : 0;
    label_draw(g, y, at, room - note_w, text_style(m), &label);
    if (m->n_verdicts > 0) {
        const struct mqtt_rule_info *rule = mqtt_rule_info((enum mqtt_rule)e.row.verdicts[0].rule);
        snprintf(note, sizeof note, "%s %s", rule->id, rule->fault[0] != 0 ? rule->fault : rule->statement);
    } else if (m->kind == STORE_GAP) {
        snprintf(note, sizeof note, "%s", e.row.gap_reason);
    }
    if (note_w > 0)
        grid_text(g, y, at + room - note_w + 1, note_w - 1, text_severity_style(m->severity), note);
}

static void draw_list(struct app *a, struct grid *g, struct rect r)
{
    struct packets_screen *p = &a->packets;
    uint64_t n = rowset_lines(&p->rows, a->store);
    char buffer[72], count[TEXT_CAP], all[TEXT_CAP];
    struct track_session s;
    list_settle(&p->list, n, r.h - 1);
    grid_text(g, r.y, r.x + 4, 5, STYLE_HEAD, "  no");
    grid_text(g, r.y, r.x + 9, 13, STYLE_HEAD,
              a->time_mode == TIME_OF_DAY  ? "time"
              : a->time_mode == TIME_DELTA ? "delta"
                                           : "since start");
    grid_text(g, r.y, r.x + 23, 14, STYLE_HEAD, "client");
    int at = r.x + 23 + (r.w < 100 ? 17 : 27);
    at += grid_text(g, r.y, at, 10, STYLE_HEAD, "packet") + 2;
    if (p->session != 0 && app_session(a, p->session, &s)) {
        at += grid_text(g, r.y, at, 10, STYLE_DIM, "only ");
        at += grid_view(g, r.y, at, r.x + r.w - at - 14, STYLE_DIM, text_client(buffer, s.client_id, &s.client));
    } else if (p->stream != UINT32_MAX) {
        at += grid_printf(g, r.y, at, 20, STYLE_DIM, "only stream %u", p->stream);
    }
    char right[120];
    snprintf(right, sizeof right, "%s/%s%s", text_count(count, n > 0 ? p->list.at + 1 : 0), text_count(all, n),
             p->list.follow ? " A" : "");
    grid_right(g, r.y, r.x + r.w - 14, 13, STYLE_HEAD, right);
    int64_t before = store_totals(a->store)->first_ns;
    for (int i = -1; i < r.h - 1; i++) {
        uint64_t line = p->list.top + (uint64_t)i, seq = rowset_seq(&p->rows, a->store, line);
        const struct store_row *m = seq == UINT64_MAX ? NULL : store_meta(a->store, seq);
        if (m == NULL)
            continue;
        if (i >= 0)
            draw_row(a, g, r.y + 1 + i, r.x, r.w, seq, before);
        if (i >= 0 && line == p->list.at)
            grid_mark(g, r.y + 1 + i, r.x, r.w, GRID_SELECTED);
        before = m->time_ns;
    }
    if (n == 0)
        grid_text(g, r.y + 1, r.x + 2, r.w - 4, STYLE_DIM,
                  rowset_percent(&p->rows, a->store) < 100 ? "searching"
                  : a->filter != NULL                      ? "no packet passes the filter"
                                                           : "no packets");
}

/* ---- fields ----------------------------------------------------------------------------------------------------- */

static bool is_closed(const struct packets_screen *p, unsigned field)
{
    return p->closed_fields[field % 256 / 64] >> field % 64 & 1;
}

static void set_closed(struct packets_screen *p, unsigned field, bool closed)
{
    uint64_t bit = 1ull << field % 64, *word = &p->closed_fields[field % 256 / 64];
    *word = closed ? *word | bit : *word & ~bit;
}

static struct detail_options options_of(const struct app *a)
{
    return (struct detail_options){ .secrets = a->config.number[CONFIG_PASSWORDS] != 0, .format = a->packets.format };
}

static void load(struct app *a, struct store_entry *e)
{
    struct packets_screen *p = &a->packets;
    struct detail_options options = options_of(a);
    p->n_lines = detail_lines(e, &options, p->lines, APP_ITEMS);
    if (p->shown != e->seq) {
        p->fields = (struct list){ .at = p->fields.at };
        p->octets = (struct list){ 0 };
        p->octet = 0;
    }
    p->shown = e->seq;
}

/* The lines that are not inside a closed one; returns how many, out[] their indices (at most APP_ITEMS). */
static int visible_lines(const struct packets_screen *p, int out[APP_ITEMS])
{
    int n = 0, hidden = -1; /* depth of the closed line above */
    for (int i = 0; i < p->n_lines; i++) {
        if (hidden >= 0 && p->lines[i].depth > hidden)
            continue;
        hidden = p->lines[i].parent && is_closed(p, p->lines[i].field) ? p->lines[i].depth : -1;
        out[n++] = i;
    }
    return n;
}

static void draw_field(struct grid *g, int y, int x, int w, const struct packet_line *l, bool closed)
{
    int at = x + 2 * l->depth;
    char sign = !l->parent ? ' ' : closed ? '+' : '-';
    grid_put(g, y, at, (uint8_t)sign, STYLE_KEY);
    at += 2;
    at += grid_text(g, y, at, x + w - at, l->style == STYLE_NORMAL ? STYLE_HEAD : l->style, l->label);
    if (l->value[0] != 0 && l->label[0] != 0)
        at += grid_text(g, y, at, x + w - at, l->style, ": ");
    if (l->value[0] != 0)
        grid_text(g, y, at, x + w - at, l->style, l->value);
}

static void draw_fields(struct app *a, struct grid *g, struct rect r)
{
    struct packets_screen *p = &a->packets;
    static int shown[APP_ITEMS];
    int n = visible_lines(p, shown);
    list_settle(&p->fields, (uint64_t)n, r.h);
    for (int i = 0; i < r.h && p->fields.top + (uint64_t)i < (uint64_t)n; i++) {
        uint64_t line = p->fields.top + (uint64_t)i;
        const struct packet_line *l = &p->lines[shown[line]];
        draw_field(g, r.y + i, r.x, r.w, l, is_closed(p, l->field));
        if (line == p->fields.at)
            grid_mark(g, r.y + i, r.x, r.w, p->pane == PANE_FIELDS ? GRID_SELECTED : GRID_BOLD);
    }
}

static const struct packet_line *chosen_field(const struct packets_screen *p)
{
    static int shown[APP_ITEMS];
    int n = visible_lines(p, shown);
    return p->fields.at < (uint64_t)n ? &p->lines[shown[p->fields.at]] : NULL;
}

/* The field cursor follows the octet cursor. */
static void choose_field_of_octet(struct packets_screen *p)
{
    static int shown[APP_ITEMS];
    int n = visible_lines(p, shown), line = detail_line_at(p->lines, p->n_lines, p->octet);
    for (int i = 0; i < n && line >= 0; i++)
        if (shown[i] <= line)
            p->fields.at = (uint64_t)i;
}

/* ---- octets ----------------------------------------------------------------------------------------------------- */

static int octets_per_line(int w)
{
    return w >= 74 ? 16 : w >= 40 ? 8 : 4;
}

static void draw_octet_line(struct grid *g, int y, struct rect r, int per, const struct store_entry *e,
                            const struct detail_options *options, uint32_t at, uint32_t from, uint32_t len,
                            int64_t cursor)
{
    static const char digits[] = "0123456789abcdef";
    grid_printf(g, y, r.x, 5, STYLE_DIM, "%04x", at);
    for (int i = 0; i < per && at + (uint32_t)i < e->packet.held; i++) {
        uint32_t octet = at + (uint32_t)i;
        uint8_t c = e->packet.octets[octet];
        bool masked = detail_masked(e, options, octet), lit = octet >= from && octet - from < len;
        uint8_t style = lit ? STYLE_LIT : STYLE_NORMAL;
        int x = r.x + 6 + 3 * i + (i >= 8), text = r.x + 6 + 3 * per + (per > 8) + 1 + i;
        grid_put(g, y, x, masked ? '*' : (uint8_t)digits[c >> 4], style);
        grid_put(g, y, x + 1, masked ? '*' : (uint8_t)digits[c & 15], style);
        if (lit && octet + 1 < e->packet.held && octet + 1 - from < len && i + 1 < per)
            grid_restyle(g, y, x + 2, i == 7 ? 2 : 1, STYLE_LIT);
        grid_put(g, y, text, masked ? '*' : c >= 0x20 && c < 0x7f ? c : '.', style);
        if (octet == (uint64_t)cursor) {
            grid_mark(g, y, x, 2, GRID_SELECTED);
            grid_mark(g, y, text, 1, GRID_SELECTED);
        }
    }
}

static void draw_octets(struct app *a, struct grid *g, struct rect r, const struct store_entry *e)
{
    struct packets_screen *p = &a->packets;
    struct detail_options options = options_of(a);
    const struct packet_line *field = chosen_field(p);
    uint32_t from = 0, len = 0;
    if (e->meta->kind != STORE_PACKET)
        return;
    if (field != NULL && field->len > 0 && (field->depth > 0 || p->pane == PANE_FIELDS)) {
        from = field->offset;
        len = field->len;
    }
    int per = octets_per_line(r.w);
    uint64_t lines = (e->packet.held + (uint32_t)per - 1) / (uint32_t)per;
    p->octets.at = p->pane == PANE_OCTETS ? p->octet / (uint32_t)per : from / (uint32_t)per;
    list_settle(&p->octets, lines, r.h);
    for (int i = 0; i < r.h && p->octets.top + (uint64_t)i < lines; i++) {
        uint32_t at = (uint32_t)(p->octets.top + (uint64_t)i) * (uint32_t)per;
        draw_octet_line(g, r.y + i, r, per, e, &options, at, from, len,
                        p->pane == PANE_OCTETS ? (int64_t)p->octet : -1);
    }
    if (e->packet.held == 0)
        grid_text(g, r.y, r.x, r.w, STYLE_DIM, "no octets at hand");
}

/* ---- all of it -------------------------------------------------------------------------------------------------- */

struct panes {
    struct rect list, fields, octets;
};

static struct panes panes_of(const struct app *a, struct rect body)
{
    const struct packets_screen *p = &a->packets;
    struct panes out = { 0 };
    const char *layout = a->config.word[CONFIG_LAYOUT];
    if (p->zoom) {
        *(p->pane == PANE_LIST ? &out.list : p->pane == PANE_FIELDS ? &out.fields : &out.octets) = body;
        return out;
    }
    bool beside = strcmp(layout, "beside") == 0 || (strcmp(layout, "auto") == 0 && body.w >= BESIDE_WIDTH);
    int list_h = body.h < 14 ? body.h / 2 : body.h * 2 / 5;
    out.list = (struct rect){ body.y, body.x, list_h, body.w };
    struct rect below = { body.y + list_h + 1, body.x, body.h - list_h - 1, body.w };
    if (below.h < 4) { /* no room: the list alone */
        out.list = body;
        return out;
    }
    if (beside) {
        int octets_w = body.w >= 140 ? 76 : body.w >= 118 ? 74 : 40;
        out.fields = (struct rect){ below.y, below.x, below.h, below.w - octets_w - 1 };
        out.octets = (struct rect){ below.y, below.x + below.w - octets_w, below.h, octets_w };
    } else if (below.h >= LEAST_FIELDS) {
        int octets_h = below.h / 3;
        out.fields = (struct rect){ below.y, below.x, below.h - octets_h - 1, below.w };
        out.octets = (struct rect){ below.y + below.h - octets_h, below.x, octets_h, below.w };
    } else {
        out.fields = below;
    }
    return out;
}

static void draw_borders(struct app *a, struct grid *g, const struct panes *panes)
{
    static const char *const formats[] = { "text", "JSON", "octets" };
    const struct rect *f = &panes->fields, *o = &panes->octets;
    if (panes->list.h > 0 && f->h > 0) {
        grid_hline(g, f->y - 1, 0, g->cols, STYLE_DIM);
        grid_printf(g, f->y - 1, 2, 30, a->packets.pane == PANE_FIELDS ? STYLE_HEAD : STYLE_DIM,
                    " fields, payload as %s ", formats[a->packets.format]);
    }
    if (f->h > 0 && o->h > 0 && o->y == f->y) {
        grid_vline(g, f->y, o->x - 1, f->h, STYLE_DIM);
        grid_text(g, f->y - 1, o->x + 1, 10, a->packets.pane == PANE_OCTETS ? STYLE_HEAD : STYLE_DIM, " octets ");
    } else if (f->h > 0 && o->h > 0) {
        grid_hline(g, o->y - 1, 0, g->cols, STYLE_DIM);
    }
}

static void draw(struct app *a, struct grid *g, struct rect body)
{
    struct packets_screen *p = &a->packets;
    struct panes panes = panes_of(a, body);
    struct store_entry e;
    work(a);
    if (panes.list.h > 0)
        draw_list(a, g, panes.list);
    draw_borders(a, g, &panes);
    uint64_t seq = current(a);
    if (seq == UINT64_MAX || !store_get(a->store, seq, &e)) {
        p->n_lines = 0;
        return;
    }
    load(a, &e);
    if (panes.fields.h > 0)
        draw_fields(a, g, panes.fields);
    if (panes.octets.h > 0)
        draw_octets(a, g, panes.octets, &e);
}

/* ---- keys ------------------------------------------------------------------------------------------------------- */

static bool fields_action(struct app *a, enum action action, unsigned count)
{
    struct packets_screen *p = &a->packets;
    static int shown[APP_ITEMS];
    int n = visible_lines(p, shown);
    if (list_action(&p->fields, action, count, (uint64_t)n))
        return true;
    if (action != ACTION_LEFT && action != ACTION_RIGHT && action != ACTION_OPEN)
        return false;
    const struct packet_line *l = chosen_field(p);
    if (l != NULL && l->parent)
        set_closed(p, l->field, action == ACTION_LEFT || (action == ACTION_OPEN && !is_closed(p, l->field)));
    return true;
}

static bool octets_action(struct app *a, enum action action, unsigned count, const struct store_entry *e)
{
    struct packets_screen *p = &a->packets;
    int64_t at = p->octet, step = count > 0 ? count : 1, per = a->packets.octets.page > 0 ? 8 : 8,
            last = (int64_t)e->packet.held - 1;
    per = p->zoom ? 16 : per;
    switch (action) {
    case ACTION_LEFT:
        at -= step;
        break;
    case ACTION_RIGHT:
        at += step;
        break;
    case ACTION_UP:
        at -= per * step;
        break;
    case ACTION_DOWN:
        at += per * step;
        break;
    case ACTION_PAGE_UP:
        at -= per * p->octets.page;
        break;
    case ACTION_PAGE_DOWN:
        at += per * p->octets.page;
        break;
    case ACTION_TOP:
        at = 0;
        break;
    case ACTION_BOTTOM:
        at = last;
        break;
    default:
        return false;
    }
    p->octet = (uint32_t)(at > last ? (last > 0 ? last : 0) : at < 0 ? 0 : at);
    choose_field_of_octet(p);
    return true;
}

static void cycle_pane(struct packets_screen *p)
{
    p->pane = (enum packets_pane)((p->pane + 1) % PANE_COUNT);
    if (p->pane == PANE_OCTETS) {
        const struct packet_line *l = chosen_field(p);
        p->octet = l != NULL && l->len > 0 ? l->offset : 0;
    }
}

static void next_trouble(struct app *a, bool forward)
{
    struct packets_screen *p = &a->packets;
    uint64_t n = rowset_lines(&p->rows, a->store);
    for (uint64_t i = 1; i < n; i++) {
        uint64_t line = forward ? p->list.at + i : p->list.at - i;
        uint64_t seq = rowset_seq(&p->rows, a->store, line);
        const struct store_row *m = seq == UINT64_MAX ? NULL : store_meta(a->store, seq);
        if (m == NULL)
            break;
        if (m->severity > 0 || m->kind == STORE_GAP) {
            p->list.at = line;
            p->list.follow = false;
            return;
        }
    }
    app_say(a, false, "no more findings that way");
}

static void open_row(struct app *a, uint64_t seq)
{
    struct packets_screen *p = &a->packets;
    if (a->n_selected == 2) {
        compare_open(a, a->selected[0], a->selected[1]);
        return;
    }
    (void)seq;
    p->pane = p->pane == PANE_LIST ? PANE_FIELDS : PANE_LIST;
}

static bool pane_action(struct app *a, enum action action, unsigned count, uint64_t seq)
{
    struct packets_screen *p = &a->packets;
    struct store_entry e;
    if (p->pane == PANE_LIST || (p->pane == PANE_FIELDS && p->n_lines == 0))
        return list_action(&p->list, action, count, rowset_lines(&p->rows, a->store));
    if (p->pane == PANE_FIELDS)
        return fields_action(a, action, count);
    return seq != UINT64_MAX && store_get(a->store, seq, &e) && octets_action(a, action, count, &e);
}

static void change_layout(struct app *a)
{
    char *layout = a->config.word[CONFIG_LAYOUT];
    strcpy(layout, strcmp(layout, "below") == 0 ? "beside" : "below");
}

static bool action(struct app *a, enum action action, unsigned count)
{
    struct packets_screen *p = &a->packets;
    work(a);
    uint64_t seq = current(a);
    struct store_entry e;
    if (seq != p->shown && seq != UINT64_MAX && store_get(a->store, seq, &e)) /* keys may come faster than frames */
        load(a, &e);
    if (pane_action(a, action, count, seq))
        return true;
    switch (action) {
    case ACTION_BACK:
        if (p->zoom || p->pane != PANE_LIST) {
            bool came_deep = a->depth > 1 && a->stack[a->depth - 2] == SCREEN_LADDER && !p->zoom;
            p->zoom = false;
            p->pane = PANE_LIST;
            return !came_deep;
        }
        return false;
    case ACTION_OPEN:
        open_row(a, seq);
        return true;
    case ACTION_PANE:
        cycle_pane(p);
        return true;
    case ACTION_ZOOM:
        p->zoom = !p->zoom;
        return true;
    case ACTION_LAYOUT:
        change_layout(a);
        return true;
    case ACTION_RAW:
        p->zoom = !(p->zoom && p->pane == PANE_OCTETS);
        p->pane = p->zoom ? PANE_OCTETS : PANE_LIST;
        return true;
    case ACTION_FORMAT:
        p->format = (p->format + 1) % 3;
        return true;
    case ACTION_TROUBLE_NEXT:
        next_trouble(a, true);
        return true;
    case ACTION_TROUBLE_PREVIOUS:
        next_trouble(a, false);
        return true;
    default:
        return compare_act(a, action, seq);
    }
}

static bool line_has(struct app *a, uint64_t line)
{
    uint64_t seq = rowset_seq(&a->packets.rows, a->store, line);
    struct store_entry e;
    struct label label;
    if (seq == UINT64_MAX || !store_get(a->store, seq, &e))
        return false;
    if (e.row.packet != NULL && app_contains(view_of(e.packet.octets, e.packet.held), a->find_text))
        return true;
    label_of(&label, &e);
    return app_contains(view_of(label.head, strlen(label.head)), a->find_text) ||
           app_contains(e.row.client_id, a->find_text);
}

static struct list *listed(struct app *a, uint64_t *lines)
{
    *lines = rowset_lines(&a->packets.rows, a->store);
    return &a->packets.list;
}

static void click(struct app *a, int y, int x)
{
    struct packets_screen *p = &a->packets;
    uint64_t line = p->list.top + (uint64_t)(y > 0 ? y - 1 : 0);
    (void)x;
    if (y >= 1 && y <= p->list.page && line < rowset_lines(&p->rows, a->store)) {
        p->pane = PANE_LIST;
        p->list.at = line;
        p->list.follow = false;
    }
}

const struct screen screen_packets = {
    .draw = draw, .action = action, .list = listed, .line_has = line_has, .click = click, .work = work
};
