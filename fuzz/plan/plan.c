/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/plan/plan.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TOKENS_MAX = 40,
    BLOCK_MAX = 70000,
    BLOCK_LEAST = 16384,
    VALUE_MAX = 8 << 20,
    TIMES_MAX = 10000,
    CUTS_MAX = 8,
    CUT_MS = 20
};

static const char *const type_words[16] = {
#define WORD(type, word) [MQTT_##type] = word,
#include "fuzz/plan/plan_words.def"
};

static const char *const need_words[PLAN_NEEDS] = {
#define NEED(sym, word) [PLAN_##sym] = word,
#include "fuzz/plan/plan_words.def"
};

static const char *const field_words[] = {
#define FIELD(sym, word) [PLAN_F_##sym] = word,
#include "fuzz/plan/plan_words.def"
};

/* key=value, or a bare word in key. A value with '=' inside keeps it. */
struct token {
    struct view key, value;
    bool has_value, least, most;
    struct view spelled; /* as it stands in the plan */
};

struct parser {
    struct plan *plan;
    const char *prefix;
    uint8_t version;
    uint32_t line;
    struct token token[TOKENS_MAX];
    unsigned n;
    uint32_t turn; /* of a word that stands for many; from 1 */
    uint32_t cut[CUTS_MAX], n_cuts;
    bool holds;                     /* the packet of this statement waits for the next one of its client */
    struct view held[PLAN_CLIENTS]; /* those that wait */
    uint8_t props[BLOCK_MAX], will_props[BLOCK_MAX], list[BLOCK_MAX]; /* of the packet under construction */
};

__attribute__((format(printf, 2, 3))) static bool fail(struct parser *ps, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = snprintf(ps->plan->error, PLAN_ERROR, "line %u: ", ps->line);
    vsnprintf(ps->plan->error + n, (size_t)(PLAN_ERROR - n), format, args);
    for (char *c = ps->plan->error; *c != '\0'; c++) /* it quotes the plan, which may hold anything */
        if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f)
            *c = '?';
    va_end(args);
    return false;
}

/* Memory of a plan, the latest block first. */
struct plan_block {
    struct plan_block *next;
    size_t used, cap;
    uint8_t octets[];
};

uint8_t *plan_take(struct plan *plan, size_t n)
{
    struct plan_block *block = plan->memory;
    if (n > plan->memory_left)
        return NULL;
    if (block == NULL || n > block->cap - block->used) {
        size_t cap = n > BLOCK_LEAST ? n : BLOCK_LEAST;
        block = malloc(sizeof *block + cap);
        if (block == NULL)
            return NULL;
        *block = (struct plan_block){ .next = plan->memory, .cap = cap };
        plan->memory = block;
    }
    uint8_t *at = block->octets + block->used;
    block->used += n;
    plan->memory_left -= n;
    return at;
}

/* What was taken last, from here on, is not needed after all. */
static void give_back(struct plan *plan, const uint8_t *from)
{
    size_t used = (size_t)(from - plan->memory->octets);
    plan->memory_left += plan->memory->used - used;
    plan->memory->used = used;
}

static bool is(struct view v, const char *word)
{
    return v.len == strlen(word) && memcmp(v.ptr, word, v.len) == 0;
}

static bool number_of(struct view text, uint32_t *out)
{
    char digits[24];
    char *end;
    if (text.len == 0 || text.len >= sizeof digits || !isdigit(text.ptr[0]))
        return false;
    memcpy(digits, text.ptr, text.len);
    digits[text.len] = '\0';
    errno = 0;
    unsigned long value = strtoul(digits, &end, 0);
    *out = (uint32_t)value;
    return *end == '\0' && errno == 0 && value <= UINT32_MAX;
}

static int hex_digit(unsigned char c)
{
    return isdigit(c) ? c - '0' : isxdigit(c) ? tolower(c) - 'a' + 10 : -1;
}

/* One escape or plain character of a word at text[*i]; ~ gives the prefix. Appends to out. */
static size_t unescape(const struct parser *ps, struct view text, size_t *i, uint8_t *out)
{
    unsigned char c = text.ptr[(*i)++];
    if (c == '~' && ps->prefix != NULL) {
        size_t n = strlen(ps->prefix);
        memcpy(out, ps->prefix, n);
        return n;
    }
    if (c == '\\' && *i < text.len) {
        c = text.ptr[(*i)++];
        if (c == 'x' && *i + 1 < text.len && hex_digit(text.ptr[*i]) >= 0 && hex_digit(text.ptr[*i + 1]) >= 0) {
            c = (unsigned char)(hex_digit(text.ptr[*i]) << 4 | hex_digit(text.ptr[*i + 1]));
            *i += 2;
        } else if (c == 'n') {
            c = '\n';
        } else if (c == 'i') {
            return (size_t)sprintf((char *)out, "%u", ps->turn);
        }
    }
    *out = c;
    return 1;
}

/* N of "{N:text}" behind text[i]; behind: where the text begins. False: it is none, or too much. */
static bool fill_size(struct view text, size_t i, uint32_t *size, size_t *behind)
{
    size_t colon = i;
    while (colon < text.len && isdigit(text.ptr[colon]))
        colon++;
    *behind = colon + 1;
    return colon < text.len && text.ptr[colon] == ':' && number_of(view_of(text.ptr + i, colon - i), size) &&
           *size <= VALUE_MAX;
}

/* "\{N:text}" at text[*i], behind the brace: the text again and again until there are N octets from start on. */
static bool fill(struct parser *ps, struct view text, size_t *i, const uint8_t *start, uint8_t **at)
{
    uint32_t size = 0;
    uint8_t *first = *at;
    if (!fill_size(text, *i, &size, i))
        return fail(ps, "a long value looks like \\{65535:x} and has at most %d octets", VALUE_MAX);
    while (*i < text.len && text.ptr[*i] != '}')
        *at += unescape(ps, text, i, *at);
    size_t n = (size_t)(*at - first), before = (size_t)(first - start), wanted = size > before ? size - before : 0;
    if (*i >= text.len || n == 0)
        return fail(ps, "nothing to fill a long value with");
    for (size_t k = n; k < wanted; k++)
        first[k] = first[k - n];
    *at = first + wanted;
    *i += 1;
    return true;
}

/* What a word at text[i] may need: it grows by the prefix, by turns and by what is filled. */
static size_t room_for(const struct parser *ps, struct view text, size_t i)
{
    size_t each = 1 + (ps->prefix != NULL && strlen(ps->prefix) > 4 ? strlen(ps->prefix) : 4), behind;
    size_t room = (text.len - i) * each;
    uint32_t size;
    for (; i + 1 < text.len; i++)
        if (text.ptr[i] == '\\' && text.ptr[i + 1] == '{' && fill_size(text, i + 2, &size, &behind))
            room += size;
    return room;
}

/* One word at text[*i]. Its octets move to the plan's memory. */
static bool cut_word(struct parser *ps, struct view text, size_t *at_text, struct token *t)
{
    size_t i = *at_text;
    uint8_t *start = plan_take(ps->plan, room_for(ps, text, i)), *at = start, *part = start;
    bool quoted = false;
    *t = (struct token){ 0 };
    if (start == NULL)
        return fail(ps, "no memory");
    while (i < text.len && (quoted || !isspace(text.ptr[i]))) {
        uint8_t c = text.ptr[i];
        if (c == '"') {
            quoted = !quoted;
            i++;
        } else if (c == '=' && !t->has_value && !quoted) {
            t->least = at > start && at[-1] == '>';
            t->most = at > start && at[-1] == '<';
            t->key = view_of(start, (size_t)(at - start) - (t->least || t->most));
            t->has_value = at > start;
            if (at == start)
                return fail(ps, "a value without a name");
            start = part = at;
            i++;
        } else if (c == '\\' && i + 1 < text.len && text.ptr[i + 1] == '{') {
            i += 2;
            if (!fill(ps, text, &i, part, &at))
                return false;
        } else {
            at += unescape(ps, text, &i, at);
            part = c == ':' ? at : part;
        }
    }
    if (quoted)
        return fail(ps, "a quotation mark is missing");
    *(t->has_value ? &t->value : &t->key) = view_of(start, (size_t)(at - start));
    t->spelled = view_of(text.ptr + *at_text, i - *at_text);
    *at_text = i;
    give_back(ps->plan, at);
    return true;
}

/* Cuts one statement into tokens. */
static bool cut_tokens(struct parser *ps, struct view text)
{
    size_t i = 0;
    ps->n = 0;
    for (;;) {
        while (i < text.len && isspace(text.ptr[i]))
            i++;
        if (i >= text.len || text.ptr[i] == '#')
            return true;
        if (ps->n == TOKENS_MAX)
            return fail(ps, "more than %d words", TOKENS_MAX);
        ps->turn = 1;
        if (!cut_word(ps, text, &i, &ps->token[ps->n++]))
            return false;
    }
}

static bool want_number(struct parser *ps, const struct token *t, uint32_t most, uint32_t *out)
{
    if (number_of(t->value, out) && *out <= most)
        return true;
    return fail(ps, "%.*s wants a number of at most %u", (int)t->key.len, (const char *)t->key.ptr, most);
}

static bool milliseconds(struct view text, uint32_t *ms)
{
    if (text.len > 2 && memcmp(text.ptr + text.len - 2, "ms", 2) == 0)
        return number_of(view_of(text.ptr, text.len - 2), ms);
    if (text.len > 1 && text.ptr[text.len - 1] == 's' && number_of(view_of(text.ptr, text.len - 1), ms) &&
        *ms < 100000) {
        *ms *= 1000;
        return true;
    }
    return false;
}

static unsigned prop_by_name(struct view name)
{
    for (unsigned id = 1; id < MQTT_PROP_LIMIT; id++)
        if (mqtt_prop_info(id)->snake != NULL && is(name, mqtt_prop_info(id)->snake))
            return id;
    return 0;
}

/* The value of a property; a PAIR is "name:value". */
static bool prop_value(struct parser *ps, const struct token *t, unsigned id, struct mqtt_prop *prop)
{
    *prop = (struct mqtt_prop){ .id = id, .wire = (uint8_t)mqtt_prop_info(id)->wire };
    if (prop->wire <= MQTT_WIRE_VBI)
        return want_number(ps, t, UINT32_MAX, &prop->number);
    prop->text = t->value;
    if (prop->wire != MQTT_WIRE_PAIR)
        return true;
    const uint8_t *colon = memchr(t->value.ptr, ':', t->value.len);
    if (colon == NULL)
        return fail(ps, "user_property wants name:value");
    prop->text.len = (size_t)(colon - t->value.ptr);
    prop->value = view_of(colon + 1, t->value.len - prop->text.len - 1);
    return true;
}

static bool add_prop(struct parser *ps, struct mqtt_packet *p, const struct token *t, unsigned id, bool will)
{
    struct mqtt_props *props = will ? &p->connect.will_props : &p->props;
    uint8_t *block = will ? ps->will_props : ps->props;
    struct mqtt_prop prop;
    if (!prop_value(ps, t, id, &prop))
        return false;
    if (props->block.ptr == NULL)
        props->block = view_of(block, 0);
    size_t len = mqtt_prop_write(block, props->block.len, BLOCK_MAX, &prop);
    if (len == 0)
        return fail(ps, "the properties are too long");
    props->block.len = len;
    return true;
}

/* ---- packets to send ---- */

static void defaults(struct parser *ps, struct mqtt_packet *p, unsigned type, unsigned client)
{
    static char ids[PLAN_CLIENTS][40];
    memset(p, 0, sizeof *p);
    p->type = (uint8_t)type;
    p->version = ps->version;
    p->flags = mqtt_type_flags(type);
    p->has_id = type >= MQTT_PUBACK && type <= MQTT_UNSUBACK;
    p->id = 1;
    if (type == MQTT_CONNECT) {
        snprintf(ids[client], sizeof ids[client], "%.20s%c", ps->prefix != NULL ? ps->prefix : "",
                 (char)('a' + client));
        p->connect.protocol_name = ps->version == MQTT_V31 ? view_of("MQIsdp", 6) : view_of("MQTT", 4);
        p->connect.level = ps->version;
        p->connect.flags = 0x02;
        p->connect.keep_alive_s = 60;
        p->connect.client_id = view_of(ids[client], strlen(ids[client]));
    } else if (type == MQTT_PUBLISH) {
        p->publish.topic = p->publish.payload = view_of("", 0);
    } else if (type >= MQTT_SUBSCRIBE && type <= MQTT_UNSUBACK) {
        p->list.payload = view_of(ps->list, 0);
    }
}

static bool connect_field(struct parser *ps, struct mqtt_packet *p, const struct token *t, bool *known)
{
    struct mqtt_connect *c = &p->connect;
    uint32_t n = 0;
    *known = true;
    if (is(t->key, "id")) {
        c->client_id = t->value;
    } else if (is(t->key, "name")) {
        c->protocol_name = t->value;
    } else if (is(t->key, "user") || is(t->key, "pass")) {
        bool user = is(t->key, "user");
        *(user ? &c->username : &c->password) = t->value;
        c->flags |= user ? 0x80 : 0x40;
    } else if (is(t->key, "will_topic") || is(t->key, "will_payload")) {
        *(is(t->key, "will_topic") ? &c->will_topic : &c->will_payload) = t->value;
        c->flags |= 0x04;
    } else if (is(t->key, "clean")) {
        if (!want_number(ps, t, 1, &n))
            return false;
        c->flags = (uint8_t)((c->flags & 0xfd) | n << 1);
    } else if (is(t->key, "will_qos") || is(t->key, "will_retain")) {
        bool qos = is(t->key, "will_qos");
        if (!want_number(ps, t, qos ? 3 : 1, &n))
            return false;
        c->flags |= (uint8_t)(n << (qos ? 3 : 5));
    } else if (is(t->key, "keep")) { /* a session that outlives the connection, said in each version's way */
        struct token expiry = { .key = view_of("session_expiry_interval", 23), .value = t->value, .has_value = true };
        c->flags &= 0xfd;
        return ps->version != MQTT_V5 || add_prop(ps, p, &expiry, MQTT_PROP_SESSION_EXPIRY_INTERVAL, false);
    } else if (is(t->key, "keepalive")) {
        if (!want_number(ps, t, UINT16_MAX, &n))
            return false;
        c->keep_alive_s = (uint16_t)n;
    } else if (is(t->key, "level") || is(t->key, "flags")) {
        if (!want_number(ps, t, UINT8_MAX, &n))
            return false;
        *(is(t->key, "level") ? &c->level : &c->flags) = (uint8_t)n;
    } else {
        *known = false;
    }
    return true;
}

static bool publish_field(struct parser *ps, struct mqtt_packet *p, const struct token *t, bool *known)
{
    uint32_t n = 0;
    *known = true;
    if (is(t->key, "topic")) {
        p->publish.topic = t->value;
    } else if (is(t->key, "payload")) {
        p->publish.payload = t->value;
    } else if (is(t->key, "size")) {
        uint8_t *x = NULL;
        if (!want_number(ps, t, VALUE_MAX, &n) || (x = plan_take(ps->plan, n)) == NULL)
            return ps->plan->error[0] != '\0' ? false : fail(ps, "the payload is too large");
        memset(x, 'x', n);
        p->publish.payload = view_of(x, n);
    } else if (is(t->key, "qos") || is(t->key, "dup") || is(t->key, "retain")) {
        bool qos = is(t->key, "qos"), dup = is(t->key, "dup");
        if (!want_number(ps, t, qos ? 3 : 1, &n))
            return false;
        p->flags = (uint8_t)(p->flags | n << (qos ? 1 : dup ? 3 : 0));
        p->has_id = p->has_id || (qos && n > 0);
    } else {
        *known = false;
    }
    return true;
}

/* sub=OPTIONS:FILTER, unsub=FILTER, codes=0,1,0x80 */
static bool list_field(struct parser *ps, struct mqtt_packet *p, const struct token *t, bool *known)
{
    struct mqtt_filter entry = { .filter = t->value };
    size_t len = p->list.payload.len;
    *known = true;
    if (is(t->key, "sub")) {
        const uint8_t *colon = memchr(t->value.ptr, ':', t->value.len);
        uint32_t options = 0;
        size_t digits = colon != NULL ? (size_t)(colon - t->value.ptr) : 0;
        if (colon == NULL || !number_of(view_of(t->value.ptr, digits), &options) || options > 255)
            return fail(ps, "sub wants OPTIONS:FILTER");
        entry = (struct mqtt_filter){ .filter = view_of(colon + 1, t->value.len - digits - 1),
                                      .options = (uint8_t)options,
                                      .has_options = true };
    } else if (is(t->key, "codes")) {
        for (size_t i = 0; i < t->value.len;) {
            size_t end = i;
            uint32_t code = 0;
            while (end < t->value.len && t->value.ptr[end] != ',')
                end++;
            if (!number_of(view_of(t->value.ptr + i, end - i), &code) || code > 255 || len >= sizeof ps->list)
                return fail(ps, "codes wants numbers with commas");
            ps->list[len++] = (uint8_t)code;
            i = end + 1;
        }
        p->list.payload.len = len;
        return true;
    } else if (!is(t->key, "unsub")) {
        *known = false;
        return true;
    }
    p->list.payload.len = mqtt_filter_write(ps->list, len, sizeof ps->list, &entry);
    return p->list.payload.len > 0 || fail(ps, "the filters are too long");
}

static bool packet_field(struct parser *ps, struct plan_step *step, struct mqtt_packet *p, const struct token *t)
{
    uint32_t n = 0;
    bool known = false;
    if (!t->has_value)
        return fail(ps, "'%.*s' has no value", (int)t->key.len, (const char *)t->key.ptr);
    if (is(t->key, "id") && p->type != MQTT_CONNECT) {
        if (t->value.len == 2 && t->value.ptr[0] == '$' && t->value.ptr[1] >= '1' &&
            t->value.ptr[1] < '1' + PLAN_VARS - 1) {
            step->var = (uint8_t)(t->value.ptr[1] - '0');
            n = 1;
        } else if (is(t->value, "none")) {
            p->has_id = false;
            return true;
        } else if (!want_number(ps, t, UINT16_MAX, &n)) {
            return false;
        }
        p->id = (uint16_t)n;
        p->has_id = true;
        return true;
    }
    if (is(t->key, "header")) { /* the flags of the fixed header */
        if (!want_number(ps, t, 15, &n))
            return false;
        p->flags = (uint8_t)n;
        return true;
    }
    if (is(t->key, "reason")) {
        if (!want_number(ps, t, UINT8_MAX, &n))
            return false;
        p->reason = (uint8_t)n;
        return p->has_reason = true;
    }
    if (p->type == MQTT_CONNECT && !connect_field(ps, p, t, &known))
        return false;
    if (p->type == MQTT_PUBLISH && !publish_field(ps, p, t, &known))
        return false;
    if (p->type >= MQTT_SUBSCRIBE && p->type <= MQTT_UNSUBACK && !list_field(ps, p, t, &known))
        return false;
    if (known)
        return true;
    bool will = t->key.len > 5 && memcmp(t->key.ptr, "will.", 5) == 0;
    unsigned id = prop_by_name(will ? view_of(t->key.ptr + 5, t->key.len - 5) : t->key);
    if (id == 0)
        return fail(ps, "%s has no field '%.*s'", type_words[p->type], (int)t->key.len, (const char *)t->key.ptr);
    return add_prop(ps, p, t, id, will);
}

/* "sub*100=0:~/\\i": so many filters, one behind the other; \\i is the number of each. */
static bool packet_fields(struct parser *ps, struct plan_step *step, struct mqtt_packet *p, const struct token *t)
{
    const uint8_t *star = t->key.len > 0 ? memchr(t->key.ptr, '*', t->key.len) : NULL;
    size_t name = star != NULL ? (size_t)(star - t->key.ptr) : 0;
    uint32_t times = 0;
    if (star == NULL)
        return packet_field(ps, step, p, t);
    if (!number_of(view_of(star + 1, t->key.len - name - 1), &times) || times > TIMES_MAX)
        return fail(ps, "a word stands for at most %d, as in sub*100=0:t", TIMES_MAX);
    for (ps->turn = 1; ps->turn <= times; ps->turn++) {
        struct token again;
        size_t i = 0;
        if (!cut_word(ps, t->spelled, &i, &again))
            return false;
        again.key.len = name;
        if (!packet_field(ps, step, p, &again))
            return false;
    }
    return true;
}

/* cut=1,2: where the packet is cut; its parts are sent with a pause between them. */
static bool cuts(struct parser *ps, const struct token *t)
{
    for (size_t i = 0, end; i < t->value.len; i = end + 1) {
        uint32_t *cut = &ps->cut[ps->n_cuts];
        for (end = i; end < t->value.len && t->value.ptr[end] != ',';)
            end++;
        if (ps->n_cuts == CUTS_MAX || !number_of(view_of(t->value.ptr + i, end - i), cut) || *cut == 0 ||
            (ps->n_cuts > 0 && *cut <= cut[-1]))
            return fail(ps, "cut wants up to %d rising numbers with commas", CUTS_MAX);
        ps->n_cuts++;
    }
    return true;
}

static int type_by_word(struct view word)
{
    for (unsigned type = 1; type < 16; type++)
        if (is(word, type_words[type]))
            return (int)type;
    return -1;
}

static bool parse_packet(struct parser *ps, struct plan_step *step, unsigned first)
{
    struct mqtt_packet p;
    int type = first < ps->n ? type_by_word(ps->token[first].key) : -1;
    if (type < 0)
        return fail(ps, "what packet is to be sent?");
    defaults(ps, &p, (unsigned)type, step->client);
    for (unsigned i = first + 1; i < ps->n; i++) {
        const struct token *t = &ps->token[i];
        if (is(t->key, "cut") && t->has_value ? !cuts(ps, t) : !packet_fields(ps, step, &p, t))
            return false;
    }
    if (type == MQTT_CONNECT && p.connect.will_topic.ptr != NULL && p.connect.will_payload.ptr == NULL)
        p.connect.will_payload = view_of("", 0);
    size_t n = mqtt_encode(&p, NULL, 0);
    uint8_t *octets = n > 0 ? plan_take(ps->plan, n) : NULL;
    if (octets == NULL)
        return fail(ps, "the packet is too long");
    mqtt_encode(&p, octets, n);
    step->octets = view_of(octets, n);
    uint32_t remaining = 0;
    size_t header = 1 + (size_t)mqtt_vbi_read(view_of(octets + 1, n - 1), &remaining);
    step->id_at = (uint16_t)(header + (type == MQTT_PUBLISH ? 2 + p.publish.topic.len : 0));
    return true;
}

static bool parse_raw(struct parser *ps, struct plan_step *step)
{
    uint8_t *octets = plan_take(ps->plan, TOKENS_MAX * 16 + 65536);
    size_t n = 0;
    if (octets == NULL)
        return fail(ps, "no memory");
    for (unsigned i = 2; i < ps->n; i++) {
        struct view hex = ps->token[i].key;
        if (ps->prefix != NULL && ps->prefix[0] != '\0' && !ps->token[i].has_value && is(hex, ps->prefix)) {
            memcpy(octets + n, hex.ptr, hex.len);
            n += hex.len;
            continue;
        }
        if (ps->token[i].has_value || hex.len % 2 != 0 || n + hex.len / 2 > 65536)
            return fail(ps, "raw wants pairs of hexadecimal digits");
        for (size_t k = 0; k < hex.len; k += 2) {
            int high = hex_digit(hex.ptr[k]), low = hex_digit(hex.ptr[k + 1]);
            if (high < 0 || low < 0)
                return fail(ps, "raw wants pairs of hexadecimal digits");
            octets[n++] = (uint8_t)(high << 4 | low);
        }
    }
    give_back(ps->plan, octets + n);
    step->octets = view_of(octets, n);
    return true;
}

/* ---- expectations ---- */

static bool parse_match(struct parser *ps, struct plan_step *step, const struct token *t)
{
    if (step->n_match == PLAN_MATCHES)
        return fail(ps, "more than %d fields to compare", PLAN_MATCHES);
    struct plan_match *m = &step->match[step->n_match++];
    *m = (struct plan_match){ .least = t->least,
                              .most = t->most,
                              .absent = is(t->value, "none"),
                              .present = is(t->value, "*"),
                              .text = t->value };
    for (unsigned f = 0; f < PLAN_F_PROP; f++) {
        if (!is(t->key, field_words[f]))
            continue;
        m->field = (uint8_t)f;
        if (f == PLAN_F_ID && t->value.len == 2 && t->value.ptr[0] == '$') {
            step->var = (uint8_t)(t->value.ptr[1] - '0');
            step->n_match--;
            return step->var > 0 && step->var < PLAN_VARS ? true : fail(ps, "variables are $1 to $7");
        }
        bool text = f == PLAN_F_TOPIC || f == PLAN_F_PAYLOAD || f == PLAN_F_CODES;
        return text || want_number(ps, t, UINT32_MAX, &m->number);
    }
    struct mqtt_prop prop;
    m->field = PLAN_F_PROP;
    m->prop = (uint8_t)prop_by_name(t->key);
    if (m->prop == 0)
        return fail(ps, "nothing to compare is called '%.*s'", (int)t->key.len, (const char *)t->key.ptr);
    if (m->absent || m->present)
        return true;
    if (!prop_value(ps, t, m->prop, &prop))
        return false;
    m->number = prop.number;
    m->text = prop.text;
    m->value = prop.value;
    return true;
}

static bool parse_expect(struct parser *ps, struct plan_step *step)
{
    unsigned i = 2;
    step->op = PLAN_EXPECT;
    step->judged = is(ps->token[1].key, "<!");
    step->soft = is(ps->token[1].key, "<?");
    if (i >= ps->n)
        return fail(ps, "what is expected?");
    if (is(ps->token[i].key, "closed") || is(ps->token[i].key, "refused") || is(ps->token[i].key, "alive")) {
        step->want = is(ps->token[i].key, "closed")  ? PLAN_CLOSED
                     : is(ps->token[i].key, "alive") ? PLAN_ALIVE
                                                     : PLAN_REFUSED;
        i++;
    } else {
        step->want = PLAN_PACKET;
        step->next = is(ps->token[i].key, "next");
        if (is(ps->token[i].key, "no"))
            step->want = PLAN_NO_PACKET;
        i += step->next || step->want == PLAN_NO_PACKET;
        int type = i < ps->n ? type_by_word(ps->token[i].key) : -1;
        if (type < 0)
            return fail(ps, "expected is a packet, 'closed', 'refused' or 'alive'");
        step->type = (uint8_t)type;
        i++;
    }
    for (; i < ps->n; i++) {
        if (ps->token[i].has_value ? !parse_match(ps, step, &ps->token[i]) : !milliseconds(ps->token[i].key, &step->ms))
            return ps->plan->error[0] != '\0' ? false : fail(ps, "a time looks like 200ms or 2s");
    }
    return true;
}

/* ---- statements ---- */

static bool parse_global(struct parser *ps, struct plan_step *step, bool *is_step)
{
    struct view word = ps->token[0].key;
    *is_step = true;
    if (is(word, "version") && ps->n == 2) {
        struct view v = ps->token[1].key;
        *is_step = false;
        ps->version = is(v, "3.1") ? MQTT_V31 : is(v, "3.1.1") ? MQTT_V311 : is(v, "5") || is(v, "5.0") ? MQTT_V5 : 0;
        return ps->version != 0 || fail(ps, "versions are 3.1, 3.1.1 and 5");
    }
    if (is(word, "wait") && ps->n == 2) {
        step->op = PLAN_WAIT;
        return milliseconds(ps->token[1].key, &step->ms) || fail(ps, "a time looks like 200ms or 2s");
    }
    if (is(word, "need") && (ps->n == 2 || (ps->n == 3 && is(ps->token[1].key, "no")))) {
        step->op = PLAN_NEED;
        step->lacking = ps->n == 3;
        for (unsigned need = 0; need < PLAN_NEEDS; need++)
            if (is(ps->token[ps->n - 1].key, need_words[need])) {
                step->want = (uint8_t)need;
                return true;
            }
    }
    return fail(ps, "'%.*s' is no statement", (int)word.len, (const char *)word.ptr);
}

/* What was held back goes out with this packet, in one piece. */
static bool join(struct parser *ps, struct plan_step *step)
{
    struct view *held = &ps->held[step->client], own = step->octets;
    if (held->len > 0) {
        uint8_t *octets = plan_take(ps->plan, held->len + own.len);
        if (octets == NULL)
            return fail(ps, "no memory");
        memcpy(octets, held->ptr, held->len);
        memcpy(octets + held->len, own.ptr, own.len);
        step->octets = view_of(octets, held->len + own.len);
    }
    bool alone = held->len == 0 && !ps->holds;
    *held = ps->holds ? step->octets : view_of(NULL, 0);
    return alone || step->var == 0 || fail(ps, "packets that go out together name no variable");
}

static bool parse_client(struct parser *ps, struct plan_step *step)
{
    static const struct {
        const char *word;
        enum plan_op op;
    } plain[] = { { "open", PLAN_OPEN }, { "close", PLAN_CLOSE }, { "reset", PLAN_RESET }, { "manual", PLAN_MANUAL },
                  { "auto", PLAN_AUTO }, { "deaf", PLAN_DEAF },   { "hear", PLAN_HEAR } };
    struct view verb = ps->n > 1 ? ps->token[1].key : view_of("", 0);
    step->client = (uint8_t)(ps->token[0].key.ptr[0] - 'a');
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (ps->n == 2 && is(verb, plain[i].word)) {
            step->op = (uint8_t)plain[i].op;
            return true;
        }
    step->op = PLAN_SEND;
    if (is(verb, "raw"))
        return parse_raw(ps, step);
    if (is(verb, ">") || is(verb, ">>") || is(verb, ">?") || is(verb, ">&")) {
        step->octetwise = is(verb, ">>");
        step->soft = is(verb, ">?");
        ps->holds = is(verb, ">&");
        return parse_packet(ps, step, 2) && join(ps, step);
    }
    if (is(verb, "<") || is(verb, "<!") || is(verb, "<?"))
        return parse_expect(ps, step);
    return fail(ps, "'%.*s': a client does open, close, reset, manual, auto, raw, >, >>, >?, >&, <, <!, <?",
                (int)verb.len, (const char *)verb.ptr);
}

static bool add_step(struct parser *ps, const struct plan_step *step)
{
    struct plan *plan = ps->plan;
    if (plan->n == plan->cap) {
        uint32_t cap = plan->cap == 0 ? 16 : plan->cap * 2;
        struct plan_step *more = realloc(plan->step, cap * sizeof *more);
        if (more == NULL)
            return fail(ps, "no memory");
        plan->step = more;
        plan->cap = cap;
    }
    plan->step[plan->n++] = *step;
    return true;
}

/* A packet that is cut: its parts, and a pause behind each but the last. */
static bool add_parts(struct parser *ps, const struct plan_step *whole)
{
    struct plan_step pause = { .op = PLAN_WAIT, .version = whole->version, .ms = CUT_MS, .line = ps->line };
    size_t from = 0;
    if (ps->n_cuts > 0 && (ps->cut[ps->n_cuts - 1] >= whole->octets.len || whole->var != 0))
        return fail(ps, "cut wants places inside the packet, which names no variable");
    for (unsigned i = 0; i < ps->n_cuts; from = ps->cut[i++]) {
        struct plan_step part = *whole;
        part.part = i > 0;
        part.octets = view_of(whole->octets.ptr + from, ps->cut[i] - from);
        if (!add_step(ps, &part) || !add_step(ps, &pause))
            return false;
    }
    struct plan_step last = *whole;
    last.part = true;
    last.octets = view_of(whole->octets.ptr + from, whole->octets.len - from);
    return add_step(ps, &last);
}

static bool parse_statement(struct parser *ps, struct view text)
{
    if (!cut_tokens(ps, text))
        return false;
    if (ps->n == 0)
        return true;
    struct plan_step step = { .version = ps->version, .line = ps->line };
    struct view first = ps->token[0].key;
    bool is_step = true;
    bool client = first.len == 1 && first.ptr[0] >= 'a' && first.ptr[0] <= 'z' && !ps->token[0].has_value;
    ps->n_cuts = 0;
    ps->holds = false;
    if (client ? !parse_client(ps, &step) : !parse_global(ps, &step, &is_step))
        return false;
    step.version = ps->version;
    return !is_step || ps->holds || (ps->n_cuts > 0 ? add_parts(ps, &step) : add_step(ps, &step));
}

bool plan_parse(struct plan *plan, struct view text, const char *prefix, unsigned version)
{
    struct parser *ps = malloc(sizeof *ps);
    *plan = (struct plan){ 0 };
    /* Values grow by the prefix at most; long ones and raw octets need room of their own. */
    plan->memory_left = text.len * (2 + (prefix != NULL ? strlen(prefix) : 0)) + (16u << 20);
    if (ps == NULL) {
        snprintf(plan->error, sizeof plan->error, "no memory");
        return false;
    }
    snprintf(plan->prefix, sizeof plan->prefix, "%s", prefix != NULL ? prefix : "");
    ps->plan = plan;
    ps->prefix = prefix;
    ps->version = (uint8_t)version;
    ps->line = 1;
    memset(ps->held, 0, sizeof ps->held);
    bool ok = true;
    for (size_t i = 0; ok && i < text.len;) {
        size_t end = i;
        bool quoted = false, comment = false;
        for (; end < text.len && text.ptr[end] != '\n' && (quoted || comment || text.ptr[end] != ';'); end++) {
            quoted ^= text.ptr[end] == '"' && !comment;
            comment = comment || (text.ptr[end] == '#' && !quoted && (end == i || isspace(text.ptr[end - 1])));
            end += text.ptr[end] == '\\' && end + 1 < text.len && text.ptr[end + 1] != '\n';
        }
        end = end < text.len ? end : text.len;
        ok = parse_statement(ps, view_of(text.ptr + i, end - i));
        ps->line += end < text.len && text.ptr[end] == '\n';
        i = end + 1;
    }
    for (unsigned c = 0; ok && c < PLAN_CLIENTS; c++)
        ok = ps->held[c].len == 0 || fail(ps, "%c holds back what it never sends", (char)('a' + c));
    free(ps);
    return ok;
}

void plan_free(struct plan *plan)
{
    free(plan->step);
    for (struct plan_block *next, *block = plan->memory; block != NULL; block = next) {
        next = block->next;
        free(block);
    }
    plan->step = NULL;
    plan->memory = NULL;
    plan->n = plan->cap = 0;
}

void plan_learn(bool lacks[PLAN_NEEDS], const struct mqtt_packet *connack)
{
    const struct mqtt_props *props = &connack->props;
    if (connack->version != MQTT_V5 || connack->reason != 0)
        return;
    lacks[PLAN_RETAIN] = mqtt_props_number(props, MQTT_PROP_RETAIN_AVAILABLE, 1) == 0;
    lacks[PLAN_WILDCARD] = mqtt_props_number(props, MQTT_PROP_WILDCARD_SUBSCRIPTION_AVAILABLE, 1) == 0;
    lacks[PLAN_SHARED] = mqtt_props_number(props, MQTT_PROP_SHARED_SUBSCRIPTION_AVAILABLE, 1) == 0;
    lacks[PLAN_IDENTIFIER] = mqtt_props_number(props, MQTT_PROP_SUBSCRIPTION_IDENTIFIER_AVAILABLE, 1) == 0;
    lacks[PLAN_QOS1] = mqtt_props_number(props, MQTT_PROP_MAXIMUM_QOS, 2) < 1;
    lacks[PLAN_QOS2] = mqtt_props_number(props, MQTT_PROP_MAXIMUM_QOS, 2) < 2;
    lacks[PLAN_ALIAS] = mqtt_props_number(props, MQTT_PROP_TOPIC_ALIAS_MAXIMUM, 0) == 0;
    lacks[PLAN_ALIASES] = mqtt_props_number(props, MQTT_PROP_TOPIC_ALIAS_MAXIMUM, 0) < UINT16_MAX;
    lacks[PLAN_WINDOW] = mqtt_props_number(props, MQTT_PROP_RECEIVE_MAXIMUM, UINT16_MAX) < PLAN_WINDOW_SIZE;
}
