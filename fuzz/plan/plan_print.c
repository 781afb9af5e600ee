/* SPDX-License-Identifier: Apache-2.0
 *
 * Plans the other way: a packet as a statement, and a packet against an expectation. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/plan/plan.h"

static const char *const type_words[16] = {
#define WORD(type, word) [MQTT_##type] = word,
#include "fuzz/plan/plan_words.def"
};

static const char *const field_words[] = {
#define FIELD(sym, word) [PLAN_F_##sym] = word,
#include "fuzz/plan/plan_words.def"
};

struct text {
    char *at;
    size_t n, cap;
    const char *prefix; /* printed as ~; NULL: none */
};

/* The prefix stands at the front of these octets: its length, else 0. */
static size_t prefix_at(const struct text *t, struct view v)
{
    size_t n = t->prefix != NULL ? strlen(t->prefix) : 0;
    return n > 0 && n <= v.len && memcmp(v.ptr, t->prefix, n) == 0 ? n : 0;
}

__attribute__((format(printf, 2, 3))) static void put(struct text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(t->at + t->n, t->cap - t->n, format, args);
    va_end(args);
    size_t left = t->cap - t->n - 1;
    t->n += n < 0 ? 0 : (size_t)n < left ? (size_t)n : left;
}

static void put_octet(struct text *t, uint8_t c)
{
    if (c > 0x20 && c < 0x7f && strchr("\"\\~#;:", c) == NULL)
        put(t, "%c", c);
    else if (c == ' ')
        put(t, " ");
    else
        put(t, "\\x%02x", c);
}

enum { RUN_LEAST = 64 };

/* How many octets from v[i] on are the first one or two of them again and again; 0: too few to say so. */
static size_t run_at(const struct text *t, struct view v, size_t i, size_t *period)
{
    for (*period = 1; *period <= 2; *period += 1) {
        size_t end = i + *period;
        while (end < v.len && v.ptr[end] == v.ptr[end - *period] &&
               prefix_at(t, view_of(v.ptr + end, v.len - end)) == 0)
            end++;
        if (end <= v.len && end - i >= RUN_LEAST)
            return end - i;
    }
    return 0;
}

static void put_run(struct text *t, struct view piece, size_t size)
{
    put(t, "\\{%zu:", size);
    for (size_t i = 0; i < piece.len; i++)
        if (piece.ptr[i] == '}')
            put(t, "\\x7d");
        else
            put_octet(t, piece.ptr[i]);
    put(t, "}");
}

static void put_octets(struct text *t, struct view v)
{
    for (size_t i = 0, period; i < v.len;) {
        size_t skip = prefix_at(t, view_of(v.ptr + i, v.len - i));
        size_t run = skip == 0 ? run_at(t, v, i, &period) : 0;
        if (skip > 0)
            put(t, "~");
        else if (run > 0)
            put_run(t, view_of(v.ptr + i, period), i + run);
        else
            put_octet(t, v.ptr[i]);
        i += skip > 0 ? skip : run > 0 ? run : 1;
    }
}

/* Quoted when it has to be; escapes read back as the same octets. */
static void put_text(struct text *t, const char *name, struct view v)
{
    put(t, " %s=\"", name);
    put_octets(t, v);
    put(t, "\"");
}

static void put_props(struct text *t, const struct mqtt_props *props, const char *prefix)
{
    struct mqtt_prop_walk walk = mqtt_props_walk(props);
    struct mqtt_prop prop;
    while (mqtt_props_next(&walk, &prop)) {
        put(t, " %s%s=", prefix, mqtt_prop_info(prop.id)->snake);
        if (prop.wire <= MQTT_WIRE_VBI) {
            put(t, "%u", prop.number);
            continue;
        }
        put(t, "\"");
        put_octets(t, prop.text);
        if (prop.wire == MQTT_WIRE_PAIR) {
            put(t, ":");
            put_octets(t, prop.value);
        }
        put(t, "\"");
    }
}

static void put_connect(struct text *t, const struct mqtt_connect *c)
{
    if (c->protocol_name.len != 4 || memcmp(c->protocol_name.ptr, "MQTT", 4) != 0)
        put_text(t, "name", c->protocol_name);
    put(t, " level=%u keepalive=%u", c->level, c->keep_alive_s);
    put_text(t, "id", c->client_id);
    put_props(t, &c->will_props, "will.");
    if (c->will_topic.ptr != NULL)
        put_text(t, "will_topic", c->will_topic);
    if (c->will_payload.ptr != NULL)
        put_text(t, "will_payload", c->will_payload);
    if (c->username.ptr != NULL)
        put_text(t, "user", c->username);
    if (c->password.ptr != NULL)
        put_text(t, "pass", c->password);
    put(t, " flags=0x%02x", c->flags);
}

static void put_list(struct text *t, const struct mqtt_packet *p)
{
    struct mqtt_filter entry;
    size_t pos = 0;
    if (p->type == MQTT_SUBACK || p->type == MQTT_UNSUBACK) {
        for (size_t i = 0; i < p->list.payload.len; i++)
            put(t, "%s0x%02x", i == 0 ? " codes=" : ",", p->list.payload.ptr[i]);
        return;
    }
    while (mqtt_list_next(p, &pos, &entry)) {
        if (entry.has_options)
            put(t, " sub=\"%u:", entry.options);
        else
            put(t, " unsub=\"");
        put_octets(t, entry.filter);
        put(t, "\"");
    }
}

static void put_packet(struct text *t, const struct mqtt_packet *p)
{
    put(t, "%s", type_words[p->type]);
    if (p->type == MQTT_PUBLISH) {
        put_text(t, "topic", p->publish.topic);
        put(t, " header=%u%s", p->flags, p->has_id ? "" : " id=none");
    } else if (p->flags != mqtt_type_flags(p->type)) {
        put(t, " header=%u", p->flags);
    }
    if (p->has_id)
        put(t, " id=%u", p->id);
    if (p->has_reason || p->type == MQTT_CONNACK)
        put(t, " reason=0x%02x", p->reason);
    if (p->type == MQTT_CONNECT)
        put_connect(t, &p->connect);
    if (p->type >= MQTT_SUBSCRIBE && p->type <= MQTT_UNSUBACK)
        put_list(t, p);
    put_props(t, &p->props, "");
    if (p->type == MQTT_PUBLISH)
        put_text(t, "payload", p->publish.payload);
}

enum { RAW_NAMES = 3 }; /* prefixes told in raw octets: a statement has few words */

/* In words of sixteen octets, or of more where those would be more words than a statement may have. */
static void put_raw(struct text *t, struct view octets)
{
    size_t word = octets.len > 32 * 16 ? (octets.len + 31) / 32 : 16;
    put(t, "raw");
    bool space = true;
    unsigned names = 0;
    for (size_t i = 0, group = 0; i < octets.len; i++) {
        size_t skip = names < RAW_NAMES ? prefix_at(t, view_of(octets.ptr + i, octets.len - i)) : 0;
        if (skip > 0)
            put(t, " ~");
        else
            put(t, space || group % word == 0 ? " %02x" : "%02x", octets.ptr[i]);
        space = skip > 0;
        names += space;
        group = space ? 0 : group + 1;
        i += space ? skip - 1 : 0;
    }
}

/* The statement, read back, gives the same octets. */
static bool reads_back(const char *statement, struct view octets, unsigned version, const char *prefix)
{
    size_t n = strlen(statement);
    char *text = malloc(n + 5);
    if (text == NULL)
        return false;
    memcpy(text, "a > ", 4);
    memcpy(text + 4, statement, n + 1);
    struct plan plan;
    bool same = plan_parse(&plan, view_of(text, n + 4), prefix, version) && plan.n == 1 &&
                plan.step[0].octets.len == octets.len && memcmp(plan.step[0].octets.ptr, octets.ptr, octets.len) == 0;
    plan_free(&plan);
    free(text);
    return same;
}

size_t plan_print_packet(struct view octets, unsigned version, const char *prefix, char *out, size_t cap)
{
    struct text t = { out, 0, cap, prefix };
    struct mqtt_packet p;
    if (cap == 0)
        return 0;
    out[0] = '\0';
    mqtt_decode(octets, (struct mqtt_context){ (uint8_t)version, MQTT_CLIENT }, &p, NULL);
    if (p.header_len != 0 && !p.cut && type_words[p.type] != NULL && p.header_len + (size_t)p.remaining == octets.len &&
        octets.len < cap / 4) {
        put_packet(&t, &p);
        if (reads_back(out, octets, version, prefix))
            return t.n;
    }
    t.n = 0;
    put_raw(&t, octets);
    return t.n;
}

static void put_expect(struct text *t, const struct plan_step *s)
{
    put(t, "%s ", s->judged ? "<!" : s->soft ? "<?" : "<");
    if (s->want == PLAN_ALIVE || s->want == PLAN_CLOSED || s->want == PLAN_REFUSED)
        put(t, "%s", s->want == PLAN_ALIVE ? "alive" : s->want == PLAN_CLOSED ? "closed" : "refused");
    else
        put(t, "%s%s%s", s->next ? "next " : "", s->want == PLAN_NO_PACKET ? "no " : "", type_words[s->type]);
    if (s->ms != 0)
        put(t, " %ums", s->ms);
}

/* Comparisons of an expectation are not printed: plans that are printed are made by the campaign, which has none. */
static void put_step(struct text *t, const struct plan_step *s)
{
    static const char *const words[] = {
        [PLAN_OPEN] = "open", [PLAN_CLOSE] = "close", [PLAN_RESET] = "reset", [PLAN_MANUAL] = "manual",
        [PLAN_AUTO] = "auto", [PLAN_DEAF] = "deaf",   [PLAN_HEAR] = "hear"
    };
    if (s->op == PLAN_WAIT) {
        put(t, "wait %ums\n", s->ms);
        return;
    }
    put(t, "%c ", 'a' + s->client);
    if (s->op == PLAN_SEND) {
        size_t arrow = t->n;
        put(t, "%s ", s->octetwise ? ">>" : s->soft ? ">?" : ">");
        size_t start = t->n;
        t->n += plan_print_packet(s->octets, s->version, t->prefix, t->at + t->n, t->cap - t->n);
        if (strncmp(t->at + start, "raw", 3) == 0) { /* "a raw ..", without the arrow */
            memmove(t->at + arrow, t->at + start, t->n - start + 1);
            t->n -= start - arrow;
        }
    } else if (s->op == PLAN_EXPECT) {
        put_expect(t, s);
    } else if (s->op < sizeof words / sizeof *words && words[s->op] != NULL) {
        put(t, "%s", words[s->op]);
    }
    put(t, "\n");
}

char *plan_print(const struct plan *plan)
{
    size_t cap = 65536;
    uint8_t version = 0;
    for (uint32_t i = 0; i < plan->n; i++)
        cap += plan->step[i].octets.len * 5 + 512;
    struct text t = { malloc(cap), 0, cap, plan->prefix[0] != '\0' ? plan->prefix : NULL };
    if (t.at == NULL)
        return NULL;
    t.at[0] = '\0';
    for (uint32_t i = 0; i < plan->n; i++) {
        const struct plan_step *s = &plan->step[i];
        bool matters = s->op == PLAN_SEND || s->op == PLAN_EXPECT;
        if (matters && s->version != version) {
            put(&t, "version %s\n", s->version == MQTT_V5 ? "5" : mqtt_version_name(s->version));
            version = s->version;
        }
        put_step(&t, s);
    }
    return t.at;
}

/* ---- matching ---- */

static bool same_text(struct view a, struct view b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static bool same_number(const struct plan_match *m, uint32_t number)
{
    return m->present || (m->least ? number >= m->number : m->most ? number <= m->number : number == m->number);
}

static bool same_codes(const struct plan_match *m, struct view codes)
{
    size_t at = 0;
    for (size_t i = 0; i < codes.len; i++) {
        char *end;
        char digits[8] = { 0 };
        memcpy(digits, m->text.ptr + at, m->text.len - at < 7 ? m->text.len - at : 7);
        bool failure = digits[0] == '!', any = digits[0] == '*'; /* "!": any failure code; "*": any at all */
        unsigned long code = failure || any ? 0 : strtoul(digits, &end, 0);
        size_t used = failure || any ? 1 : (size_t)(end - digits);
        if (used == 0 || (failure ? codes.ptr[i] < 0x80 : !any && codes.ptr[i] != code))
            return false;
        at += used;
        if (at < m->text.len && m->text.ptr[at] == ',')
            at++;
    }
    return at >= m->text.len;
}

/* The properties wanted up to this match, one behind the other: User Properties keep their order. */
static bool in_order(const struct plan_step *step, const struct plan_match *last, const struct mqtt_props *props)
{
    struct mqtt_prop_walk walk = mqtt_props_walk(props);
    struct mqtt_prop prop;
    for (const struct plan_match *m = step->match; m <= last; m++) {
        bool found = m->field != PLAN_F_PROP || m->prop != last->prop;
        while (!found && mqtt_props_next(&walk, &prop))
            found = prop.id == m->prop && same_text(m->text, prop.text) && same_text(m->value, prop.value);
        if (!found)
            return false;
    }
    return true;
}

static bool same_prop(const struct plan_step *step, const struct plan_match *m, const struct mqtt_props *props)
{
    struct mqtt_prop prop;
    if (!mqtt_props_find(props, m->prop, &prop))
        return m->absent;
    if (m->absent || m->present)
        return m->present;
    if (prop.wire == MQTT_WIRE_PAIR)
        return in_order(step, m, props);
    struct mqtt_prop_walk walk = mqtt_props_walk(props);
    while (mqtt_props_next(&walk, &prop)) {
        if (prop.id != m->prop)
            continue;
        bool number = prop.wire <= MQTT_WIRE_VBI;
        if (number ? same_number(m, prop.number) : same_text(m->text, prop.text) && same_text(m->value, prop.value))
            return true;
    }
    return false;
}

static bool same_field(const struct plan_step *step, const struct plan_match *m, const struct mqtt_packet *p)
{
    bool publish = p->type == MQTT_PUBLISH;
    switch ((enum plan_field)m->field) {
    case PLAN_F_REASON:
        return same_number(m, p->reason);
    case PLAN_F_ID:
        return p->has_id ? same_number(m, p->id) : m->absent;
    case PLAN_F_QOS:
        return publish && same_number(m, p->publish.qos);
    case PLAN_F_DUP:
        return publish && same_number(m, p->publish.dup);
    case PLAN_F_RETAIN:
        return publish && same_number(m, p->publish.retain);
    case PLAN_F_TOPIC:
        return publish && same_text(m->text, p->publish.topic);
    case PLAN_F_PAYLOAD:
        return publish && (m->present || same_text(m->text, p->publish.payload));
    case PLAN_F_SP:
        return p->type == MQTT_CONNACK && same_number(m, p->connack.session_present);
    case PLAN_F_CODES:
        return same_codes(m, p->list.payload);
    case PLAN_F_PROP:
        return same_prop(step, m, &p->props);
    }
    return false;
}

bool plan_matches(const struct plan_step *step, const struct mqtt_packet *p, const uint16_t *vars, bool *candidate,
                  const char **why)
{
    *candidate = p->type == step->type;
    *why = NULL;
    if (!*candidate)
        return false;
    (void)vars;
    for (unsigned i = 0; i < step->n_match; i++) {
        const struct plan_match *m = &step->match[i];
        if (same_field(step, m, p))
            continue;
        if (m->field == PLAN_F_TOPIC || m->field == PLAN_F_ID)
            *candidate = false; /* another message, another exchange */
        *why = m->field == PLAN_F_PROP ? mqtt_prop_info(m->prop)->snake : field_words[m->field];
        return false;
    }
    return true;
}

static void tell_octets(struct view v, char *out, size_t cap)
{
    size_t at = 0;
    out[0] = '\0';
    for (size_t i = 0; i < v.len && i < 24 && at + 8 < cap; i++)
        at += (size_t)snprintf(out + at, cap - at, i == 0 ? "%02x" : " %02x", v.ptr[i]);
    if (v.len > 24 && at + 4 < cap)
        snprintf(out + at, cap - at, " ...");
}

static void tell_prop(const struct mqtt_props *props, uint32_t id, char *out, size_t cap)
{
    struct mqtt_prop prop;
    if (!mqtt_props_find(props, id, &prop))
        snprintf(out, cap, "not there");
    else if (prop.wire <= MQTT_WIRE_VBI)
        snprintf(out, cap, "%u", prop.number);
    else
        tell_octets(prop.text, out, cap);
}

void plan_tell(const struct plan_step *step, const struct mqtt_packet *p, const char *why, char *out, size_t cap)
{
    const struct plan_match *m = NULL;
    for (unsigned i = 0; i < step->n_match && m == NULL; i++)
        if (why == (step->match[i].field == PLAN_F_PROP ? mqtt_prop_info(step->match[i].prop)->snake
                                                        : field_words[step->match[i].field]))
            m = &step->match[i];
    out[0] = '\0';
    if (m == NULL)
        return;
    switch ((enum plan_field)m->field) {
    case PLAN_F_REASON:
        snprintf(out, cap, "0x%02x", p->reason);
        break;
    case PLAN_F_ID:
        snprintf(out, cap, "%u", p->id);
        break;
    case PLAN_F_QOS:
        snprintf(out, cap, "%u", p->publish.qos);
        break;
    case PLAN_F_DUP:
        snprintf(out, cap, "%u", p->publish.dup);
        break;
    case PLAN_F_RETAIN:
        snprintf(out, cap, "%u", p->publish.retain);
        break;
    case PLAN_F_SP:
        snprintf(out, cap, "%u", p->connack.session_present);
        break;
    case PLAN_F_CODES:
        tell_octets(p->list.payload, out, cap);
        break;
    case PLAN_F_PROP:
        tell_prop(&p->props, m->prop, out, cap);
        break;
    case PLAN_F_TOPIC:
        tell_octets(p->publish.topic, out, cap);
        break;
    case PLAN_F_PAYLOAD:
        tell_octets(p->publish.payload, out, cap);
        break;
    }
}
