/* SPDX-License-Identifier: Apache-2.0 */
#include "tui/detail.h"
#include "decoder/base/utf8.h"
#include "decoder/show/show.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

struct build {
    struct packet_line *lines;
    int n, cap;
    const struct store_entry *e;
    const struct detail_options *options;
};

static struct packet_line *new_line(struct build *b, unsigned depth, uint8_t style)
{
    static struct packet_line spare; /* written when the list is full, shown never */
    struct packet_line *line = b->n < b->cap ? &b->lines[b->n++] : &spare;
    *line = (struct packet_line){ .depth = (uint8_t)(depth < 12 ? depth : 12), .style = style, .field = UINT16_MAX };
    return line;
}

static void copy_label(struct packet_line *line, unsigned field)
{
    struct view label = field_label((enum field)field);
    size_t n = label.len < sizeof line->label - 1 ? label.len : sizeof line->label - 1;
    memcpy(line->label, label.ptr, n);
    line->label[n] = 0;
}

static void add_item(struct build *b, const struct item *it)
{
    struct packet_line *line = new_line(b, it->depth > 0 ? it->depth : 1, STYLE_NORMAL);
    struct show_style style = { .secrets = b->options->secrets };
    struct out o = out_over(line->value, sizeof line->value - 4);
    line->field = it->field;
    line->offset = it->offset;
    line->len = it->len;
    copy_label(line, it->field);
    if (it->type != FIELD_NONE)
        show_value(&o, it, &style);
    const char *name = show_value_name(&b->e->row, it);
    if (name != NULL) {
        out_text(&o, " (");
        out_text(&o, name);
        out_text(&o, ")");
    }
    if (o.lost > 0)
        memcpy(line->value + o.len, "...", 4);
    else
        line->value[o.len] = 0;
}

/* ---- violations ------------------------------------------------------------------------------------------------- */

static void add_verdict(struct build *b, const struct mqtt_verdict *v, unsigned depth)
{
    const struct mqtt_rule_info *rule = mqtt_rule_info((enum mqtt_rule)v->rule);
    struct packet_line *line = new_line(b, depth + 1, text_severity_style(v->severity));
    line->offset = v->offset;
    line->len = v->length;
    snprintf(line->label, sizeof line->label, "%c %s", text_severity_sign(v->severity), rule->id);
    snprintf(line->value, sizeof line->value, "by %s: %s", text_side(v->side),
             rule->fault[0] != 0 ? rule->fault : rule->statement);
    if (rule->fault[0] != 0) {
        line = new_line(b, depth + 2, STYLE_DIM);
        snprintf(line->label, sizeof line->label, "%s asks", mqtt_version_name(rule->version));
        snprintf(line->value, sizeof line->value, "%s", rule->statement);
    }
    if (rule->version == MQTT_V5 && rule->reason != 0) {
        const char *name = mqtt_reason_name(MQTT_DISCONNECT, rule->reason);
        line = new_line(b, depth + 2, STYLE_DIM);
        snprintf(line->label, sizeof line->label, "answer due");
        snprintf(line->value, sizeof line->value, "reason code 0x%02x%s%s", rule->reason, name != NULL ? " " : "",
                 name != NULL ? name : "");
    }
}

static void verdicts_up_to(struct build *b, uint32_t from, uint32_t to, unsigned depth)
{
    for (uint32_t i = 0; i < b->e->row.n_verdicts; i++) {
        const struct mqtt_verdict *v = &b->e->row.verdicts[i];
        if (v->offset >= from && v->offset < to)
            add_verdict(b, v, depth);
    }
}

/* ---- payloads --------------------------------------------------------------------------------------------------- */

static bool is_text(struct view v)
{
    return v.len > 0 && utf8_check(v).worst <= UTF8_DISCOURAGED;
}

static bool looks_like_json(struct view v)
{
    size_t i = 0;
    while (i < v.len && isspace(v.ptr[i]))
        i++;
    return i < v.len && (v.ptr[i] == '{' || v.ptr[i] == '[') && is_text(v);
}

struct pretty {
    uint8_t line[256];
    size_t len;
    int indent, lines, max;
    detail_text each;
    void *ctx;
};

static void flush(struct pretty *p, int indent)
{
    if (p->len > 0 && p->lines < p->max) {
        p->each(p->ctx, view_of(p->line, p->len), indent);
        p->lines++;
    }
    p->len = 0;
}

static void put(struct pretty *p, uint8_t octet)
{
    if (p->len == sizeof p->line)
        flush(p, p->indent);
    p->line[p->len++] = octet;
}

/* Lays JSON out by its braces and commas; what is no JSON comes out as it is, only broken into lines. */
static void pretty_json(struct pretty *p, struct view v)
{
    bool string = false, escape = false;
    int line_indent = 0;
    for (size_t i = 0; i < v.len && p->lines < p->max; i++) {
        uint8_t c = v.ptr[i];
        if (string) {
            put(p, c);
            string = escape || c != '"';
            escape = !escape && c == '\\';
            continue;
        }
        if (isspace(c))
            continue;
        if (c == '}' || c == ']') {
            flush(p, line_indent);
            p->indent -= p->indent > 0;
            line_indent = p->indent;
        }
        put(p, c);
        string = c == '"';
        if (c == ':')
            put(p, ' ');
        if (c == '{' || c == '[' || c == ',') {
            flush(p, line_indent);
            p->indent += c != ',';
            line_indent = p->indent;
        }
    }
    flush(p, line_indent);
}

static void plain_text(struct pretty *p, struct view v)
{
    size_t from = 0;
    while (from < v.len && p->lines < p->max) {
        const uint8_t *end = memchr(v.ptr + from, '\n', v.len - from);
        size_t len = end != NULL ? (size_t)(end - v.ptr) - from : v.len - from;
        p->each(p->ctx, view_of(v.ptr + from, len), 0);
        p->lines++;
        from += len + 1;
    }
}

static void octet_lines(struct pretty *p, struct view v)
{
    char line[80];
    for (size_t at = 0; at < v.len && p->lines < p->max; at += 16, p->lines++) {
        int n = snprintf(line, sizeof line, "%04zx ", at);
        for (size_t i = at; i < at + 16 && i < v.len; i++)
            n += snprintf(line + n, sizeof line - (size_t)n, " %02x", v.ptr[i]);
        p->each(p->ctx, view_of(line, (size_t)n), 0);
    }
}

void detail_payload(struct view payload, int format, int max_lines, detail_text each, void *ctx)
{
    struct pretty p = { .max = max_lines, .each = each, .ctx = ctx };
    if (format == 2 || !is_text(payload))
        octet_lines(&p, payload);
    else if (format == 1 && looks_like_json(payload))
        pretty_json(&p, payload);
    else
        plain_text(&p, payload);
}

static void payload_line(void *ctx, struct view text, int indent)
{
    struct build *b = ctx;
    struct packet_line *line = new_line(b, 3, STYLE_NORMAL);
    struct out o = out_over(line->value, sizeof line->value - 1);
    out_fill(&o, ' ', (size_t)(2 * (indent < 20 ? indent : 20)));
    out_terminal_cut(&o, text, 100);
    line->value[o.len] = 0;
    line->field = FIELD_MQTT_MSG;
    line->offset = (uint32_t)(b->e->packet.publish.payload.ptr - b->e->packet.octets);
    line->len = (uint32_t)b->e->packet.publish.payload.len;
}

/* ---- all of it -------------------------------------------------------------------------------------------------- */

static void mark_parents(struct build *b)
{
    for (int i = 0; i + 1 < b->n; i++)
        b->lines[i].parent = b->lines[i + 1].depth > b->lines[i].depth;
}

enum part { PART_FRAME, PART_PACKET, PART_EXCHANGE };

static enum part part_of(enum part before, const struct item *it)
{
    if (it->field == FIELD_MQTT_HDRFLAGS)
        return PART_PACKET;
    bool over = it->field == FIELD_MQTT_VER_SOURCE || (it->field == FIELD_MQTT_VER && it->len == 0);
    return before == PART_PACKET && over ? PART_EXCHANGE : before;
}

/* Verdicts have lines of their own; a payload is shown as text where it is text. */
static bool is_shown(const struct build *b, const struct item *it)
{
    if (it->field >= FIELD_WS_MALFORMED && it->field <= FIELD_VIOLATION_ALSO)
        return false;
    if (it->field == FIELD_FIRST_FRAME || it->field == FIELD_FIRST_TIME_EPOCH)
        return b->e->row.frame_first != b->e->row.frame;
    if (it->field == FIELD_MQTT_MSG)
        return b->options->format == 2 || !is_text(it->text);
    if (it->field == FIELD_MQTT_MSG_TEXT)
        return b->options->format != 2;
    if (it->field == FIELD_MQTT_WILLMSG)
        return !is_text(it->text);
    return !it->alias || it->field == FIELD_MQTT_WILLMSG_TEXT;
}

static void add_head(struct build *b, enum part part)
{
    const struct mqtt_packet *p = &b->e->packet;
    struct packet_line *line = new_line(b, 0, STYLE_HEAD);
    line->field = (uint16_t)(FIELD_COUNT + part);
    if (part == PART_FRAME) {
        snprintf(line->label, sizeof line->label, "Frame and addresses");
    } else if (part == PART_EXCHANGE) {
        snprintf(line->label, sizeof line->label, "Connection and exchange");
    } else {
        uint32_t whole = p->header_len + p->remaining;
        int n = snprintf(line->label, sizeof line->label, "MQTT %s, %u octets", mqtt_type_name(p->type), whole);
        if (p->held < whole)
            snprintf(line->label + n, sizeof line->label - (size_t)n, ", %u at hand", p->held);
        line->len = p->held;
    }
}

static bool is_payload(const struct item *it)
{
    return it->field == FIELD_MQTT_MSG || it->field == FIELD_MQTT_MSG_TEXT;
}

/* The packet itself with each verdict below the field it names; items come in wire order. */
static void add_part(struct build *b, enum part wanted)
{
    struct item_walk walk = item_walk_of(&b->e->row, NULL);
    struct item it;
    enum part part = PART_FRAME;
    uint32_t told = 0;
    bool head = false;
    while (item_next(&walk, &it)) {
        part = part_of(part, &it);
        if (part != wanted || !is_shown(b, &it))
            continue;
        if (!head)
            add_head(b, wanted);
        head = true;
        if (wanted == PART_PACKET && it.offset > told) {
            verdicts_up_to(b, told, it.offset, 1);
            told = it.offset;
        }
        bool lines = is_payload(&it) && b->options->format < 2 && it.text.len > 0;
        if (lines)
            it.type = FIELD_NONE; /* its lines follow */
        add_item(b, &it);
        if (lines)
            detail_payload(it.text, b->options->format, 200, payload_line, b);
    }
    if (wanted == PART_PACKET)
        verdicts_up_to(b, told, UINT32_MAX, 1);
}

int detail_lines(const struct store_entry *e, const struct detail_options *options, struct packet_line *lines, int cap)
{
    struct build b = { .lines = lines, .cap = cap, .e = e, .options = options };
    if (e->meta->kind != STORE_PACKET && e->meta->kind != STORE_GAP)
        return 0;
    add_part(&b, PART_PACKET);
    add_part(&b, PART_EXCHANGE);
    add_part(&b, PART_FRAME);
    mark_parents(&b);
    return b.n;
}

int detail_line_at(const struct packet_line *lines, int n, uint32_t octet)
{
    int best = -1;
    for (int i = 0; i < n; i++) {
        bool covers = lines[i].len > 0 && octet >= lines[i].offset && octet - lines[i].offset < lines[i].len;
        if (covers && lines[i].field != UINT16_MAX && (best < 0 || lines[i].len < lines[best].len))
            best = i;
    }
    return best;
}

bool detail_masked(const struct store_entry *e, const struct detail_options *options, uint32_t octet)
{
    const struct mqtt_packet *p = &e->packet;
    if (options->secrets || e->meta->kind != STORE_PACKET || p->type != MQTT_CONNECT)
        return false;
    const struct view secrets[2] = { p->connect.username, p->connect.password };
    for (int i = 0; i < 2; i++)
        if (secrets[i].ptr != NULL && p->octets + octet >= secrets[i].ptr &&
            p->octets + octet < secrets[i].ptr + secrets[i].len)
            return true;
    return false;
}
