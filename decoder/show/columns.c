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

static void values(struct out *o, const struct row *row, const struct show_style *style, const struct show_columns *c,
                   enum field f)
{
    struct field_set one = { { 0 } };
    struct item it, last = { 0 };
    bool any = false;
    field_set_add(&one, f);
    struct item_walk walk = item_walk_of(row, &one);
    while (item_next(&walk, &it)) {
        last = it;
        if (c->occurrence == 'l') {
            any = true;
            continue;
        }
        if (any)
            out_char(o, c->aggregator);
        any = true;
        show_value(o, &it, style);
        if (c->occurrence == 'f')
            return;
    }
    if (c->occurrence == 'l' && any)
        show_value(o, &last, style);
}

void show_columns(struct out *o, const struct row *row, const struct show_style *style, const struct show_columns *c)
{
    struct field_set present = { { 0 } };
    struct item it;
    struct item_walk walk = item_walk_of(row, &c->set);
    while (item_next(&walk, &it))
        field_set_add(&present, (enum field)it.field);
    for (uint32_t i = 0; i < c->n; i++) {
        enum field f = (enum field)c->fields[i];
        if (i > 0)
            out_char(o, c->separator);
        if (!field_set_has(&present, f))
            continue;
        if (c->quote != 0)
            out_char(o, c->quote);
        values(o, row, style, c, f);
        if (c->quote != 0)
            out_char(o, c->quote);
    }
    out_char(o, '\n');
}
