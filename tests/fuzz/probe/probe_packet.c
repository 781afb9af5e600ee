/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/probe/probe_packet.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- words ---- */

static int hex(uint8_t octet)
{
    if (octet >= '0' && octet <= '9')
        return octet - '0';
    return octet >= 'a' && octet <= 'f' ? octet - 'a' + 10 : -1;
}

static bool put(struct probe_words *w, const void *octets, size_t len)
{
    if (len > sizeof w->room - w->used)
        return false;
    memcpy(w->room + w->used, octets, len);
    w->used += len;
    return true;
}

/* `%` is the prefix, \xNN an octet, @N at the front N times the letter x. */
static bool expand(struct probe_words *w, struct view text, const char *prefix)
{
    if (text.len > 1 && text.ptr[0] == '@') {
        int n = atoi((const char *)text.ptr + 1);
        bool fits = n >= 0 && (size_t)n <= sizeof w->room - w->used;
        if (fits)
            memset(w->room + w->used, 'x', (size_t)n);
        w->used += fits ? (size_t)n : 0;
        return fits;
    }
    for (size_t i = 0; i < text.len; i++) {
        uint8_t octet = text.ptr[i];
        if (octet == '%') {
            if (!put(w, prefix, strlen(prefix)))
                return false;
            continue;
        }
        if (octet == '\\' && i + 3 < text.len && text.ptr[i + 1] == 'x') {
            octet = (uint8_t)(hex(text.ptr[i + 2]) << 4 | hex(text.ptr[i + 3]));
            i += 3;
        }
        if (!put(w, &octet, 1))
            return false;
    }
    return true;
}

bool probe_word(struct probe_words *w, struct view text, const char *prefix)
{
    const uint8_t *equals = memchr(text.ptr, '=', text.len);
    size_t key = equals != NULL ? (size_t)(equals - text.ptr) : text.len, start = w->used;
    if (w->n == PROBE_WORDS || key >= sizeof w->at[0].key)
        return false;
    memcpy(w->at[w->n].key, text.ptr, key);
    w->at[w->n].key[key] = '\0';
    bool fine = equals != NULL ? expand(w, view_of(equals + 1, text.len - key - 1), prefix) : put(w, "1", 1);
    w->at[w->n++].value = view_of(w->room + start, w->used - start);
    return fine;
}

const struct view *probe_find(const struct probe_words *w, const char *key)
{
    for (unsigned i = 0; i < w->n; i++)
        if (strcmp(w->at[i].key, key) == 0)
            return &w->at[i].value;
    return NULL;
}

static uint32_t to_number(struct view v)
{
    char text[16] = "";
    memcpy(text, v.ptr, v.len < sizeof text - 1 ? v.len : sizeof text - 1);
    return (uint32_t)strtoul(text, NULL, 0);
}

uint32_t probe_number(const struct probe_words *w, const char *key, uint32_t otherwise)
{
    const struct view *v = probe_find(w, key);
    return v != NULL ? to_number(*v) : otherwise;
}

static struct view text_or(const struct probe_words *w, const char *key, struct view otherwise)
{
    const struct view *v = probe_find(w, key);
    return v != NULL ? *v : otherwise;
}

int probe_type(struct view name)
{
    for (unsigned type = 1; type < 16; type++) {
        const char *known = mqtt_type_name(type);
        size_t i = 0;
        while (i < name.len && known[i] != '\0' && tolower((unsigned char)known[i]) == name.ptr[i])
            i++;
        if (i == name.len && known[i] == '\0')
            return (int)type;
    }
    return -1;
}

/* ---- properties ---- */

static const struct {
    const char *key;
    uint8_t id;
} short_names[] = {
    { "pfi", 0x01 },   { "expiry", 0x02 }, { "ct", 0x03 },     { "rt", 0x08 },   { "cd", 0x09 },   { "subid", 0x0b },
    { "sei", 0x11 },   { "aid", 0x12 },    { "ska", 0x13 },    { "am", 0x15 },   { "ad", 0x16 },   { "rpi", 0x17 },
    { "delay", 0x18 }, { "rri", 0x19 },    { "ri", 0x1a },     { "sref", 0x1c }, { "rstr", 0x1f }, { "rm", 0x21 },
    { "tam", 0x22 },   { "alias", 0x23 },  { "mqos", 0x24 },   { "ra", 0x25 },   { "user", 0x26 }, { "mps", 0x27 },
    { "wild", 0x28 },  { "sida", 0x29 },   { "shared", 0x2a },
};

static uint8_t prop_id(const char *key)
{
    for (size_t i = 0; i < sizeof short_names / sizeof short_names[0]; i++)
        if (strcmp(short_names[i].key, key) == 0)
            return short_names[i].id;
    return 0;
}

static size_t add_prop(uint8_t *block, size_t len, size_t cap, uint8_t id, struct view value)
{
    struct mqtt_prop prop = { .id = id, .wire = (uint8_t)mqtt_prop_info(id)->wire };
    if (prop.wire == MQTT_WIRE_UTF8 || prop.wire == MQTT_WIRE_BINARY) {
        prop.text = value;
    } else if (prop.wire == MQTT_WIRE_PAIR) {
        const uint8_t *colon = memchr(value.ptr, ':', value.len);
        size_t name = colon != NULL ? (size_t)(colon - value.ptr) : value.len;
        prop.text = view_of(value.ptr, name);
        prop.value = colon != NULL ? view_of(colon + 1, value.len - name - 1) : view_of("", 0);
    } else {
        prop.number = to_number(value);
    }
    return mqtt_prop_write(block, len, cap, &prop);
}

/* The properties among the words; those of the Will have a w in front of their name. */
static struct view props_of(const struct probe_words *w, bool will, uint8_t *block, size_t cap)
{
    size_t len = 0;
    for (unsigned i = 0; i < w->n; i++) {
        const char *key = w->at[i].key;
        bool of_will = key[0] == 'w' && prop_id(key) == 0 && prop_id(key + 1) != 0;
        uint8_t id = will ? (of_will ? prop_id(key + 1) : 0) : prop_id(key);
        if (id != 0)
            len = add_prop(block, len, cap, id, w->at[i].value);
    }
    return view_of(block, len);
}

/* ---- building ---- */

static void build_connect(struct mqtt_packet *p, unsigned version, const struct probe_words *w, uint8_t *will_block,
                          size_t cap)
{
    struct mqtt_connect *c = &p->connect;
    const struct view *will = probe_find(w, "will"), *user = probe_find(w, "username"),
                      *password = probe_find(w, "password");
    c->protocol_name = text_or(w, "name", version == MQTT_V31 ? view_of("MQIsdp", 6) : view_of("MQTT", 4));
    c->level = (uint8_t)probe_number(w, "level", version);
    c->clean = probe_number(w, "clean", 1) != 0;
    c->keep_alive_s = (uint16_t)probe_number(w, "ka", 0);
    c->client_id = text_or(w, "id", view_of("", 0));
    c->will = will != NULL;
    c->will_qos = (uint8_t)probe_number(w, "wq", 0);
    c->will_retain = probe_number(w, "wr", 0) != 0;
    c->has_username = user != NULL;
    c->has_password = password != NULL;
    if (will != NULL) {
        c->will_topic = *will;
        c->will_payload = text_or(w, "wp", view_of("", 0));
        if (version == MQTT_V5)
            c->will_props.block = props_of(w, true, will_block, cap);
    }
    c->username = user != NULL ? *user : view_of(NULL, 0);
    c->password = password != NULL ? *password : view_of(NULL, 0);
    c->flags = (uint8_t)(c->has_username << 7 | c->has_password << 6 | c->will_retain << 5 | c->will_qos << 3 |
                         c->will << 2 | c->clean << 1);
}

static void build_publish(struct mqtt_packet *p, const struct probe_words *w)
{
    struct mqtt_publish *m = &p->publish;
    m->qos = (uint8_t)probe_number(w, "q", 0);
    m->dup = probe_number(w, "dup", 0) != 0;
    m->retain = probe_number(w, "r", 0) != 0;
    m->topic = text_or(w, "t", view_of("", 0));
    m->payload = text_or(w, "p", view_of("", 0));
    m->payload_len = (uint32_t)m->payload.len;
    p->flags = (uint8_t)(m->dup << 3 | m->qos << 1 | m->retain);
    p->has_id = m->qos > 0;
}

/* Every f= is a filter; the options behind it (q, nl, rap, rh) hold for all of them unless f=FILTER is followed by o=.
 */
static bool build_list(struct mqtt_packet *p, const struct probe_words *w, uint8_t *list, size_t cap)
{
    size_t len = 0;
    uint8_t options = (uint8_t)(probe_number(w, "q", 0) | probe_number(w, "nl", 0) << 2 |
                                probe_number(w, "rap", 0) << 3 | probe_number(w, "rh", 0) << 4);
    for (unsigned i = 0; i < w->n; i++) {
        if (strcmp(w->at[i].key, "f") != 0)
            continue;
        struct mqtt_filter f = { .filter = w->at[i].value,
                                 .options = options,
                                 .has_options = p->type == MQTT_SUBSCRIBE };
        if (i + 1 < w->n && strcmp(w->at[i + 1].key, "o") == 0)
            f.options = (uint8_t)to_number(w->at[i + 1].value);
        if ((len = mqtt_filter_write(list, len, cap, &f)) == 0)
            return false;
        p->list.count++;
    }
    p->list.payload = view_of(list, len);
    return true;
}

size_t probe_encode(uint8_t type, unsigned version, const struct probe_words *w, uint8_t *out, size_t cap)
{
    uint8_t block[PROBE_ROOM], will_block[PROBE_ROOM], list[PROBE_ROOM];
    struct mqtt_packet p = { .type = type, .flags = mqtt_type_flags(type), .version = (uint8_t)version };
    p.id = (uint16_t)probe_number(w, "id", 1);
    p.has_id = (type >= MQTT_PUBACK && type <= MQTT_UNSUBACK);
    p.reason = (uint8_t)probe_number(w, "reason", 0);
    p.has_reason = version == MQTT_V5 && (probe_find(w, "reason") != NULL || type == MQTT_AUTH);
    if (version == MQTT_V5)
        p.props.block = props_of(w, false, block, sizeof block);
    if (version == MQTT_V5 && p.props.block.len == 0 && type != MQTT_AUTH)
        p.props.block.ptr = NULL;
    p.has_reason |= p.props.block.len > 0 && type >= MQTT_PUBACK && type <= MQTT_PUBCOMP;
    p.has_reason |= p.props.block.len > 0 && type == MQTT_DISCONNECT;
    if (type == MQTT_CONNECT)
        build_connect(&p, version, w, will_block, sizeof will_block);
    else if (type == MQTT_PUBLISH)
        build_publish(&p, w);
    else if ((type == MQTT_SUBSCRIBE || type == MQTT_UNSUBSCRIBE) && !build_list(&p, w, list, sizeof list))
        return 0;
    p.flags = (uint8_t)probe_number(w, "flags", p.flags);
    size_t len = mqtt_encode(&p, out, cap);
    return len <= cap ? len : 0;
}

/* ---- comparing ---- */

static bool octets_are(struct view have, struct view want)
{
    return have.len == want.len && (want.len == 0 || memcmp(have.ptr, want.ptr, want.len) == 0);
}

/* want: N, LOW..HIGH or alternatives N|M. */
static bool number_is(uint32_t have, struct view want)
{
    char text[64] = "", *rest;
    memcpy(text, want.ptr, want.len < sizeof text - 1 ? want.len : sizeof text - 1);
    char *range = strstr(text, "..");
    if (range != NULL)
        return have >= strtoul(text, NULL, 0) && have <= strtoul(range + 2, NULL, 0);
    for (char *one = strtok_r(text, "|", &rest); one != NULL; one = strtok_r(NULL, "|", &rest))
        if (have == strtoul(one, NULL, 0))
            return true;
    return false;
}

static bool pair_is(const struct mqtt_prop *have, struct view want)
{
    const uint8_t *colon = memchr(want.ptr, ':', want.len);
    size_t name = colon != NULL ? (size_t)(colon - want.ptr) : want.len;
    return octets_are(have->text, view_of(want.ptr, name)) &&
           octets_are(have->value, colon != NULL ? view_of(colon + 1, want.len - name - 1) : view_of("", 0));
}

/* The nth property with this id. */
static bool nth_prop(const struct mqtt_packet *p, uint8_t id, unsigned nth, struct mqtt_prop *out)
{
    struct mqtt_prop_walk walk = mqtt_props_walk(&p->props);
    while (mqtt_props_next(&walk, out))
        if (out->id == id && nth-- == 0)
            return true;
    return false;
}

static bool one_prop_is(const struct mqtt_prop *have, struct view want)
{
    if (have->wire == MQTT_WIRE_PAIR)
        return pair_is(have, want);
    if (have->wire == MQTT_WIRE_UTF8 || have->wire == MQTT_WIRE_BINARY)
        return octets_are(have->text, want) || octets_are(want, view_of("*", 1));
    return number_is(have->number, want);
}

/* Words with one key want the properties with that id in this order; Subscription Identifiers may come in any. */
static bool prop_is(const struct mqtt_packet *p, uint8_t id, unsigned nth, struct view want)
{
    struct mqtt_prop have;
    if (octets_are(want, view_of("-", 1)))
        return !nth_prop(p, id, 0, &have);
    if (id != MQTT_PROP_SUBSCRIPTION_IDENTIFIER)
        return nth_prop(p, id, nth, &have) && one_prop_is(&have, want);
    for (unsigned i = 0; nth_prop(p, id, i, &have); i++)
        if (number_is(have.number, want))
            return true;
    return false;
}

static bool codes_are(const struct mqtt_packet *p, struct view want)
{
    char text[128] = "", *rest;
    unsigned i = 0;
    memcpy(text, want.ptr, want.len < sizeof text - 1 ? want.len : sizeof text - 1);
    for (char *one = strtok_r(text, ",", &rest); one != NULL; one = strtok_r(NULL, ",", &rest), i++)
        if (i >= p->list.payload.len || !number_is(p->list.payload.ptr[i], view_of(one, strlen(one))))
            return false;
    return i == p->list.payload.len;
}

static bool word_fits(const struct mqtt_packet *p, const char *key, struct view want, unsigned nth)
{
    const struct mqtt_publish *m = &p->publish;
    uint8_t id = prop_id(key);
    if (id != 0)
        return prop_is(p, id, nth, want);
    if (strcmp(key, "was") == 0) /* id=last, since resolved */
        return true;
    if (strcmp(key, "id") == 0)
        return number_is(p->id, want);
    if (strcmp(key, "reason") == 0)
        return number_is(p->reason, want);
    if (strcmp(key, "present") == 0)
        return p->type == MQTT_CONNACK && number_is(p->connack.session_present, want);
    if (strcmp(key, "codes") == 0)
        return codes_are(p, want);
    if (p->type != MQTT_PUBLISH)
        return false;
    if (strcmp(key, "t") == 0)
        return octets_are(m->topic, want);
    if (strcmp(key, "p") == 0)
        return octets_are(m->payload, want);
    if (strcmp(key, "q") == 0)
        return number_is(m->qos, want);
    if (strcmp(key, "r") == 0)
        return number_is(m->retain, want);
    return strcmp(key, "dup") == 0 && number_is(m->dup, want);
}

/* As many Subscription Identifiers and User Properties as wanted, if any are. */
static bool none_too_many(const struct mqtt_packet *p, const struct probe_words *w, const char *key, uint8_t id)
{
    unsigned want = 0, have = 0;
    struct mqtt_prop prop;
    for (unsigned i = 0; i < w->n; i++)
        want += strcmp(w->at[i].key, key) == 0;
    while (nth_prop(p, id, have, &prop))
        have++;
    return want == 0 || have <= want;
}

bool probe_matches(const struct mqtt_packet *p, const struct probe_words *w, const char **key)
{
    for (unsigned i = 0; i < w->n; i++) {
        unsigned nth = 0;
        for (unsigned k = 0; k < i; k++)
            nth += strcmp(w->at[k].key, w->at[i].key) == 0;
        *key = w->at[i].key;
        if (!word_fits(p, *key, w->at[i].value, nth))
            return false;
    }
    *key = "subid";
    if (!none_too_many(p, w, "subid", MQTT_PROP_SUBSCRIPTION_IDENTIFIER))
        return false;
    *key = "user";
    return none_too_many(p, w, "user", MQTT_PROP_USER_PROPERTY);
}
