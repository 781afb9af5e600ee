/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/show/tree.c -- -V: every field of a row with the octets it was read from, and each verdict below the field it
 * names.
 *
 * Items come in wire order, so a verdict goes out before the first item that begins behind the verdict's offset. */
#include "decoder/base/utf8.h"
#include "decoder/show/show.h"

enum { PLACE_COLUMNS = 13, LINE_COLUMNS = 110, OCTETS_SHOWN = 64, CHARACTERS_SHOWN = 240 };

struct tree {
    struct out *o;
    const struct row *row;
    const struct show_style *style;
    uint32_t told; /* verdicts with a lower offset are out */
    bool in_packet;
};

/* "  12-15  " of the octets, or blanks. */
static void place(struct out *o, uint32_t offset, uint32_t len)
{
    char room[PLACE_COLUMNS + 16];
    struct out c = out_over(room, sizeof room);
    if (len > 0) {
        out_uint(&c, offset);
        if (len > 1) {
            out_char(&c, '-');
            out_uint(&c, offset + len - 1);
        }
    }
    out_fill(o, ' ', c.len < PLACE_COLUMNS ? PLACE_COLUMNS - c.len : 0);
    out_octets(o, room, c.len);
    out_text(o, "  ");
}

static void flow_text(struct out *o, const char *text, size_t indent)
{
    size_t column = indent;
    while (*text != '\0') {
        size_t len = strcspn(text, " ");
        if (column > indent && column + 1 + len > LINE_COLUMNS) {
            out_char(o, '\n');
            out_fill(o, ' ', indent);
            column = indent;
        } else if (column > indent) {
            out_char(o, ' ');
            column++;
        }
        out_octets(o, text, len);
        column += len;
        text += len + (text[len] == ' ');
    }
}

static void labelled(struct out *o, const char *label, const char *text)
{
    out_fill(o, ' ', PLACE_COLUMNS + 4);
    out_text(o, label);
    flow_text(o, text, PLACE_COLUMNS + 4 + strlen(label));
    out_char(o, '\n');
}

/* What the standard asks of the one who receives such a packet: 5.0 section 4.13, 3.1.1 section 4.8. */
static void remedy(struct out *o, const struct mqtt_verdict *v, const struct mqtt_rule_info *rule,
                   const struct mqtt_packet *p)
{
    char room[200];
    struct out c = out_over(room, sizeof room - 1);
    bool by_client = v->side == MQTT_CLIENT;
    const char *who = by_client ? "server" : v->side == MQTT_SERVER ? "client" : "receiver";
    if (v->severity != MQTT_SEVERITY_ERROR || (rule->version == MQTT_V5 && rule->reason == 0))
        return;
    out_text(&c, "the ");
    out_text(&c, who);
    if (rule->version == MQTT_V5) {
        out_text(&c, p->type == MQTT_CONNECT ? " may answer CONNACK " : " should send DISCONNECT ");
        out_hex_uint(&c, rule->reason, 2);
        const char *name = mqtt_reason_name(p->type == MQTT_CONNECT ? MQTT_CONNACK : MQTT_DISCONNECT, rule->reason);
        if (name != NULL) {
            out_text(&c, " (");
            out_text(&c, name);
            out_char(&c, ')');
        }
        out_text(&c, by_client ? " and has to close the connection" : " and close the connection");
    } else {
        out_text(&c, " has to close the connection");
    }
    room[c.len] = '\0';
    labelled(o, "then:   ", room);
}

static void verdict(struct tree *t, const struct mqtt_verdict *v)
{
    const struct mqtt_rule_info *rule = mqtt_rule_info(v->rule);
    struct out *o = t->o;
    out_text(o, show_color(t->style, v->severity));
    place(o, v->offset, v->length);
    out_text(o, v->severity == MQTT_SEVERITY_ERROR ? "! " : "* ");
    out_text(o, mqtt_severity_name(v->severity));
    out_char(o, ' ');
    out_text(o, rule->id);
    out_text(o, show_color_end(t->style));
    out_text(o, " of MQTT ");
    out_text(o, mqtt_version_name(rule->version));
    out_text(o, v->side == MQTT_NOBODY ? ", by a sender not known" : ", by the ");
    if (v->side != MQTT_NOBODY)
        out_text(o, mqtt_side_name(v->side));
    if (rule->also[0] != '\0') {
        out_text(o, ", also ");
        out_text(o, rule->also);
    }
    out_char(o, '\n');
    if (rule->fault[0] != '\0')
        labelled(o, "wrong:  ", rule->fault);
    labelled(o, "rule:   ", rule->statement);
    remedy(o, v, rule, t->row->packet);
}

/* Verdicts with told <= offset < limit. */
static void verdicts_before(struct tree *t, uint32_t limit)
{
    if (limit <= t->told)
        return;
    for (uint32_t i = 0; i < t->row->n_verdicts; i++)
        if (t->row->verdicts[i].offset >= t->told && t->row->verdicts[i].offset < limit)
            verdict(t, &t->row->verdicts[i]);
    t->told = limit;
}

static void value(struct tree *t, const struct item *it)
{
    struct out *o = t->o;
    const char *name = show_value_name(t->row, it);
    out_text(o, ": ");
    if (it->type == FIELD_BOOL) {
        out_text(o, it->number != 0 ? "set" : "not set");
    } else if (it->type == FIELD_STRING && (t->style->secrets || !show_secret(it->field))) {
        out_char(o, '"');
        out_terminal_cut(o, it->text, CHARACTERS_SHOWN);
        out_char(o, '"');
    } else if (it->type == FIELD_BYTES && it->text.len > OCTETS_SHOWN) {
        out_hex(o, view_of(it->text.ptr, OCTETS_SHOWN), '\0');
        out_text(o, "...");
    } else {
        show_value(o, it, t->style);
    }
    if (name != NULL) {
        out_text(o, " (");
        out_text(o, name);
        out_char(o, ')');
    }
}

static void item(struct tree *t, const struct item *it)
{
    struct view label = field_label((enum field)it->field);
    place(t->o, it->offset, it->len);
    out_fill(t->o, ' ', 2 * (it->depth > 0 ? it->depth - 1u : 0));
    out_octets(t->o, label.ptr, label.len);
    if (it->type != FIELD_NONE)
        value(t, it);
    if (it->field == FIELD_MQTT_TOPIC && it->len < it->text.len)
        out_text(t->o, " (of its Topic Alias)");
    out_char(t->o, '\n');
}

static void packet_head(struct tree *t)
{
    const struct mqtt_packet *p = t->row->packet;
    struct out *o = t->o;
    t->in_packet = true;
    out_text(o, "MQTT ");
    out_text(o, mqtt_type_name(p->type));
    out_text(o, ", ");
    out_uint(o, (uint64_t)p->header_len + p->remaining);
    out_text(o, " octets");
    if (p->held < (uint64_t)p->header_len + p->remaining) {
        out_text(o, ", ");
        out_uint(o, p->held);
        out_text(o, " at hand");
    }
    out_char(o, '\n');
}

static bool is_violation(unsigned field)
{
    return field >= FIELD_WS_MALFORMED && field <= FIELD_VIOLATION_ALSO;
}

/* A payload is shown as text where it is text, else as octets; where a packet began, when that is not where it ended.
 */
static bool is_shown(const struct row *row, const struct item *it)
{
    if (it->field == FIELD_FIRST_FRAME || it->field == FIELD_FIRST_TIME_EPOCH)
        return row->frame_first != row->frame;
    if (it->field == FIELD_MQTT_MSG || it->field == FIELD_MQTT_WILLMSG)
        return it->text.len == 0 || utf8_check(it->text).worst > UTF8_DISCOURAGED;
    if (it->field == FIELD_MQTT_MSG_TEXT || it->field == FIELD_MQTT_WILLMSG_TEXT)
        return true;
    return !it->alias && !is_violation(it->field);
}

void show_tree(struct out *o, const struct row *row, const struct show_style *style)
{
    struct tree t = { .o = o, .row = row, .style = style };
    struct item_walk walk = item_walk_of(row, NULL);
    struct item it;
    while (item_next(&walk, &it)) {
        if (it.field == FIELD_MQTT_HDRFLAGS)
            packet_head(&t);
        if (!is_shown(row, &it))
            continue;
        if (t.in_packet && it.offset > 0)
            verdicts_before(&t, it.offset);
        else if (t.in_packet && (it.field == FIELD_MQTT_VER || it.field == FIELD_MQTT_VER_SOURCE))
            verdicts_before(&t, UINT32_MAX); /* the octets are over */
        item(&t, &it);
    }
    if (row->kind == ROW_PACKET)
        verdicts_before(&t, UINT32_MAX);
    out_char(o, '\n');
}
