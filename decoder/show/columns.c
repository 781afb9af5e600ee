/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/show/columns.c -- -T fields: chosen fields of a row in columns, as tshark writes them but one line a packet.
 */
#include "decoder/show/show.h"

struct show_columns show_columns_default(void)
{
    return (struct show_columns){ .separator = '\t', .occurrence = 'a', .aggregator = ',' };
}

bool show_columns_add(struct show_columns *c, enum field f)
{
    if (c->n == SHOW_COLUMNS_MAX)
        return false;
    c->fields[c->n++] = (uint16_t)f;
    field_set_add(&c->set, f);
    return true;
}

void show_columns_header(struct out *o, const struct show_columns *c)
{
    for (uint32_t i = 0; i < c->n; i++) {
        if (i > 0)
            out_char(o, c->separator);
        out_text(o, field_info((enum field)c->fields[i])->name);
    }
    out_char(o, '\n');
}

enum { KEPT_MAX = 64 };

/* The chosen items of a row; a row with more of them than are kept is walked once for each column. */
struct chosen {
    const struct row *row;
    struct item_walk walk; /* holds the text of a communityid */
    struct item kept[KEPT_MAX];
    uint32_t n;
    bool all;
};

static void choose(struct chosen *c, const struct row *row, const struct field_set *set)
{
    struct item more;
    c->row = row;
    c->walk = item_walk_of(row, set);
    c->n = 0;
    while (c->n < KEPT_MAX && item_next(&c->walk, &c->kept[c->n]))
        c->n++;
    c->all = c->n < KEPT_MAX || !item_next(&c->walk, &more);
}

/* Values of one field, one after the other. */
struct column {
    const struct chosen *c;
    enum field f;
    uint32_t at;
    struct field_set one;
    struct item_walk walk;
};

static struct column column_of(const struct chosen *c, enum field f)
{
    struct column column;
    column.c = c;
    column.f = f;
    column.at = 0;
    if (!c->all) {
        column.one = (struct field_set){ { 0 } };
        field_set_add(&column.one, f);
        column.walk.row = NULL;
    }
    return column;
}

static bool column_next(struct column *column, struct item *out)
{
    const struct chosen *c = column->c;
    if (!c->all) {
        if (column->walk.row == NULL)
            column->walk = item_walk_of(c->row, &column->one);
        return item_next(&column->walk, out);
    }
    while (column->at < c->n) {
        *out = c->kept[column->at++];
        if (out->field == column->f)
            return true;
    }
    return false;
}

static void values(struct out *o, const struct show_style *style, const struct show_columns *c, struct column *column)
{
    struct item it;
    bool any = column_next(column, &it);
    if (!any)
        return;
    if (c->quote != 0)
        out_char(o, c->quote);
    if (c->occurrence == 'l') {
        struct item later;
        while (column_next(column, &later))
            it = later;
    }
    show_value(o, &it, style);
    while (c->occurrence == 'a' && column_next(column, &it)) {
        out_char(o, c->aggregator);
        show_value(o, &it, style);
    }
    if (c->quote != 0)
        out_char(o, c->quote);
}

void show_columns(struct out *o, const struct row *row, const struct show_style *style, const struct show_columns *c)
{
    struct chosen chosen;
    choose(&chosen, row, &c->set);
    for (uint32_t i = 0; i < c->n; i++) {
        struct column column = column_of(&chosen, (enum field)c->fields[i]);
        if (i > 0)
            out_char(o, c->separator);
        values(o, style, c, &column);
    }
    out_char(o, '\n');
}
