/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/probe/probe.h"
#include "decoder/base/out.h"
#include "tests/fuzz/probe/probe_packet.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TIMEOUT_MS = 4000, IN_ROOM = 70000 };

struct client {
    uint8_t in[IN_ROOM];
    size_t have;
    unsigned version;
    uint16_t next_id, last_id; /* last_id: of the last PUBLISH received */
    bool open, closed;
};

struct run {
    const struct probe_wire *wire;
    const char *prefix;
    unsigned version;
    bool strict;
    struct probe_result *result;
    struct client *clients;
    struct client *c; /* of this line */
    unsigned n;       /* its number */
    struct probe_words words;
};

/* ---- failing ---- */

static bool fail(struct run *r, const char *format, const char *detail)
{
    if (r->result->what[0] == '\0')
        snprintf(r->result->what, sizeof r->result->what, format, detail);
    return false;
}

static bool fail_packet(struct run *r, const char *what, const struct mqtt_packet *p)
{
    char hex[100];
    struct out o = out_over(hex, sizeof hex - 1);
    out_hex(&o, view_of(p->octets, p->held < 40 ? p->held : 40), '\0');
    hex[o.len] = '\0';
    if (r->result->what[0] == '\0')
        snprintf(r->result->what, sizeof r->result->what, "%s: %s %s", what, mqtt_type_name(p->type), hex);
    return false;
}

/* ---- receiving ---- */

enum got { GOT_PACKET, GOT_END, GOT_NOTHING };

static size_t packet_len(const struct client *c)
{
    uint32_t remaining;
    if (c->have < 2)
        return 0;
    int len = mqtt_vbi_read(view_of(c->in + 1, c->have - 1), &remaining);
    size_t total = len > 0 ? 1 + (size_t)len + remaining : 0;
    return total <= c->have ? total : 0;
}

/* The next packet, in `octets` (IN_ROOM), decoded. */
static enum got next_packet(struct run *r, uint8_t *octets, struct mqtt_packet *p)
{
    struct client *c = r->c;
    size_t len;
    while ((len = packet_len(c)) == 0) {
        int n = c->closed || c->have == sizeof c->in
                    ? 0
                    : r->wire->receive(r->wire->ctx, r->n, c->in + c->have, sizeof c->in - c->have, TIMEOUT_MS);
        if (n < 0)
            return GOT_NOTHING;
        c->closed |= n == 0;
        if (n == 0)
            return GOT_END;
        c->have += (size_t)n;
    }
    memcpy(octets, c->in, len);
    memmove(c->in, c->in + len, c->have - len);
    c->have -= len;
    struct mqtt_verdict at[8];
    struct mqtt_verdicts v = { .at = at, .cap = 8 };
    mqtt_decode(view_of(octets, len), (struct mqtt_context){ (uint8_t)c->version, MQTT_SERVER }, p, &v);
    for (uint32_t i = 0; i < v.n; i++)
        if (mqtt_rule_info(at[i].rule)->severity == MQTT_SEVERITY_ERROR)
            fail(r, "the broker breaks %s", mqtt_rule_info(at[i].rule)->id);
    return GOT_PACKET;
}

static bool send_packet(struct run *r, uint8_t type, const struct probe_words *w)
{
    uint8_t octets[PROBE_ROOM * 2];
    size_t len = probe_encode(type, r->c->version, w, octets, sizeof octets);
    if (len == 0)
        return fail(r, "this %s cannot be built", mqtt_type_name(type));
    if (!r->wire->send(r->wire->ctx, r->n, view_of(octets, len)))
        return fail(r, "cannot send %s", mqtt_type_name(type));
    return true;
}

static bool send_ack(struct run *r, uint8_t type, uint16_t id)
{
    struct probe_words w = { .n = 0 };
    char text[16];
    snprintf(text, sizeof text, "id=%u", id);
    return probe_word(&w, view_of(text, strlen(text)), "") && send_packet(r, type, &w);
}

/* The next packet has this type and fits the words. */
static bool expect(struct run *r, uint8_t type, const struct probe_words *w)
{
    uint8_t octets[IN_ROOM];
    struct mqtt_packet p;
    const char *key;
    enum got got = next_packet(r, octets, &p);
    if (r->result->what[0] != '\0')
        return false;
    if (got != GOT_PACKET)
        return fail(r, got == GOT_END ? "closed, %s wanted" : "no %s in time", mqtt_type_name(type));
    if (p.type != type)
        return fail_packet(r, "another packet was wanted", &p);
    if (!probe_matches(&p, w, &key))
        return fail_packet(r, key, &p);
    if (type == MQTT_PUBLISH)
        r->c->last_id = p.id;
    return true;
}

static bool expect_ack(struct run *r, uint8_t type, uint16_t id, const struct probe_words *with)
{
    struct probe_words w = { .n = 0 };
    char text[16];
    snprintf(text, sizeof text, "id=%u", id);
    probe_word(&w, view_of(text, strlen(text)), "");
    const struct view *reason = with != NULL ? probe_find(with, "reason") : NULL;
    if (reason != NULL) {
        memcpy(w.at[w.n].key, "reason", 7);
        w.at[w.n++].value = *reason;
    }
    return expect(r, type, &w);
}

/* ---- what a line does ---- */

static bool do_open(struct run *r)
{
    struct client *c = r->c;
    if (c->open)
        r->wire->close(r->wire->ctx, r->n, false);
    *c = (struct client){ .version = probe_number(&r->words, "v", r->version), .open = true, .next_id = 100 };
    return r->wire->open(r->wire->ctx, r->n) || fail(r, "%s", "cannot connect");
}

static bool is_expectation(const char *key)
{
    static const char *const keys[] = { "present", "reason", "aid", "ska", "ri" };
    for (unsigned i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (strcmp(keys[i], key) == 0)
            return true;
    return false;
}

/* The client identifier is prefix and letter unless said; words for CONNACK are taken out into *wanted. */
static bool connect_words(struct run *r, struct probe_words *wanted)
{
    struct probe_words *w = &r->words;
    unsigned kept = 0;
    wanted->n = 0;
    for (unsigned i = 0; i < w->n; i++) {
        if (is_expectation(w->at[i].key))
            wanted->at[wanted->n++] = w->at[i];
        else
            w->at[kept++] = w->at[i];
    }
    w->n = kept;
    char id[40];
    snprintf(id, sizeof id, "id=%s%c", r->prefix, 'a' + (char)r->n);
    if (probe_find(w, "id") == NULL && !probe_word(w, view_of(id, strlen(id)), ""))
        return false;
    if (probe_find(wanted, "reason") == NULL) {
        memcpy(wanted->at[wanted->n].key, "reason", 7);
        wanted->at[wanted->n++].value = view_of("0", 1);
    }
    return true;
}

static bool do_up(struct run *r)
{
    static struct probe_words wanted; /* large; runs do not nest */
    return do_open(r) && connect_words(r, &wanted) && send_packet(r, MQTT_CONNECT, &r->words) &&
           expect(r, MQTT_CONNACK, &wanted);
}

static bool add_id(struct run *r)
{
    char text[16];
    if (probe_find(&r->words, "id") != NULL)
        return true;
    snprintf(text, sizeof text, "id=%u", ++r->c->next_id);
    return probe_word(&r->words, view_of(text, strlen(text)), "");
}

static bool do_list(struct run *r, uint8_t type)
{
    static struct probe_words wanted;
    wanted.n = 0;
    const struct view *codes = probe_find(&r->words, "codes");
    if (codes != NULL) {
        memcpy(wanted.at[0].key, "codes", 6);
        wanted.at[wanted.n++].value = *codes;
    }
    if (!add_id(r))
        return false;
    memcpy(wanted.at[wanted.n].key, "id", 3);
    wanted.at[wanted.n++].value = *probe_find(&r->words, "id");
    return send_packet(r, type, &r->words) && expect(r, (uint8_t)(type + 1), &wanted);
}

static bool fence(struct run *r)
{
    static const struct probe_words nothing;
    return send_packet(r, MQTT_PINGREQ, &nothing) && expect(r, MQTT_PINGRESP, &nothing);
}

static bool do_pub(struct run *r)
{
    static const struct probe_words nothing;
    static struct probe_words sent; /* without the reason wanted */
    if (!add_id(r))
        return false;
    unsigned qos = probe_number(&r->words, "q", 0);
    uint16_t id = (uint16_t)probe_number(&r->words, "id", 0);
    sent.n = 0;
    for (unsigned i = 0; i < r->words.n; i++)
        if (strcmp(r->words.at[i].key, "reason") != 0)
            sent.at[sent.n++] = r->words.at[i];
    if (!send_packet(r, MQTT_PUBLISH, &sent))
        return false;
    if (qos == 0)
        return fence(r);
    if (qos == 1)
        return expect_ack(r, MQTT_PUBACK, id, &r->words);
    const struct view *reason = probe_find(&r->words, "reason");
    if (!expect_ack(r, MQTT_PUBREC, id, &r->words))
        return false;
    if (reason != NULL && probe_number(&r->words, "reason", 0) >= 0x80)
        return true;
    return send_ack(r, MQTT_PUBREL, id) && expect_ack(r, MQTT_PUBCOMP, id, &nothing);
}

static bool do_got(struct run *r)
{
    if (!expect(r, MQTT_PUBLISH, &r->words))
        return false;
    uint16_t id = r->c->last_id;
    unsigned qos = probe_number(&r->words, "q", 0);
    if (probe_find(&r->words, "q") == NULL && id != 0)
        return fail(r, "%s", "a QoS 0 message was wanted");
    if (qos == 1)
        return send_ack(r, MQTT_PUBACK, id);
    if (qos == 2)
        return send_ack(r, MQTT_PUBREC, id) && expect_ack(r, MQTT_PUBREL, id, NULL) && send_ack(r, MQTT_PUBCOMP, id);
    return true;
}

/* The end of the connection, whatever DISCONNECT or CONNACK (type) goes before it. */
static bool do_end(struct run *r, uint8_t type)
{
    uint8_t octets[IN_ROOM];
    struct mqtt_packet p;
    enum got got = next_packet(r, octets, &p);
    bool said = got == GOT_PACKET && p.type == type;
    const struct view *reason = r->words.n > 0 ? probe_find(&r->words, "reason") : NULL;
    const char *key;
    if (got == GOT_PACKET && !said)
        return fail_packet(r, "closing was wanted", &p);
    if (said && reason != NULL && !probe_matches(&p, &r->words, &key))
        return fail_packet(r, "another reason was wanted", &p);
    if (said)
        got = next_packet(r, octets, &p);
    if (got == GOT_PACKET)
        return fail_packet(r, "something after the last packet", &p);
    if (got == GOT_NOTHING)
        return fail(r, "%s", "the broker does not close");
    bool due = type == MQTT_CONNACK || r->c->version == MQTT_V5;
    if (r->strict && reason != NULL && due && !said)
        return fail(r, "%s", "closed without a word");
    r->wire->close(r->wire->ctx, r->n, false);
    r->c->open = false;
    return true;
}

static bool do_close(struct run *r, bool reset)
{
    r->wire->close(r->wire->ctx, r->n, reset);
    r->c->open = false;
    return true;
}

static bool do_bye(struct run *r)
{
    if (!send_packet(r, MQTT_DISCONNECT, &r->words))
        return false;
    r->words.n = 0;
    return do_end(r, MQTT_DISCONNECT);
}

/* ---- reading lines ---- */

static struct view next_word(struct view *line)
{
    while (line->len > 0 && *line->ptr == ' ')
        *line = view_of(line->ptr + 1, line->len - 1);
    size_t len = 0;
    while (len < line->len && line->ptr[len] != ' ')
        len++;
    struct view word = view_of(line->ptr, len);
    *line = view_of(line->ptr + len, line->len - len);
    return word;
}

static bool is(struct view word, const char *text)
{
    return word.len == strlen(text) && memcmp(word.ptr, text, word.len) == 0;
}

static bool read_words(struct run *r, struct view line, const char *bare)
{
    r->words.n = 0;
    r->words.used = 0;
    for (struct view word; (word = next_word(&line)).len > 0;) {
        char text[400];
        if (bare != NULL && memchr(word.ptr, '=', word.len) == NULL && word.len < 300) {
            int len = snprintf(text, sizeof text, "%s=%.*s", bare, (int)word.len, (const char *)word.ptr);
            word = view_of(text, (size_t)len);
        }
        if (!probe_word(&r->words, word, r->prefix))
            return fail(r, "%s", "the script has a word too many");
    }
    const struct view *id = probe_find(&r->words, "id");
    if (id != NULL && is(*id, "last")) {
        char text[16];
        snprintf(text, sizeof text, "id=%u", r->c->last_id);
        for (unsigned i = 0; i < r->words.n; i++)
            if (strcmp(r->words.at[i].key, "id") == 0)
                memcpy(r->words.at[i].key, "was", 4);
        probe_word(&r->words, view_of(text, strlen(text)), "");
    }
    return true;
}

static bool do_raw(struct run *r, struct view hex)
{
    uint8_t octets[PROBE_ROOM];
    size_t n = 0;
    for (size_t i = 0; i < hex.len && n < sizeof octets; i++) {
        if (hex.ptr[i] == ' ')
            continue;
        char pair[3] = { (char)hex.ptr[i], i + 1 < hex.len ? (char)hex.ptr[i + 1] : '0', '\0' };
        octets[n++] = (uint8_t)strtoul(pair, NULL, 16);
        i++;
    }
    return r->wire->send(r->wire->ctx, r->n, view_of(octets, n)) || fail(r, "%s", "cannot send");
}

static bool do_packet(struct run *r, struct view line, bool send)
{
    struct view name = next_word(&line);
    if (send && is(name, "raw"))
        return do_raw(r, line);
    int type = probe_type(name);
    if (type < 0)
        return fail(r, "%s", "the script names no packet");
    if (!read_words(r, line, type == MQTT_SUBSCRIBE || type == MQTT_UNSUBSCRIBE ? "f" : NULL))
        return false;
    if (send && type == MQTT_CONNECT && probe_find(&r->words, "id") == NULL) {
        static struct probe_words unused;
        return connect_words(r, &unused) && send_packet(r, MQTT_CONNECT, &r->words);
    }
    return send ? send_packet(r, (uint8_t)type, &r->words) : expect(r, (uint8_t)type, &r->words);
}

static const struct {
    const char *verb, *bare; /* bare: the key of words without one */
} verbs[] = { { "open", NULL },        { "up", NULL },  { "sub", "f" },   { "unsub", "f" },
              { "pub", NULL },         { "got", NULL }, { "none", NULL }, { "gone", "reason" },
              { "refused", "reason" }, { "bye", NULL }, { "cut", NULL },  { "fin", NULL } };

static bool do_verb(struct run *r, unsigned verb)
{
    switch (verb) {
    case 0:
        return do_open(r);
    case 1:
        return do_up(r);
    case 2:
        return do_list(r, MQTT_SUBSCRIBE);
    case 3:
        return do_list(r, MQTT_UNSUBSCRIBE);
    case 4:
        return do_pub(r);
    case 5:
        return do_got(r);
    case 6:
        return fence(r);
    case 7:
        return do_end(r, MQTT_DISCONNECT);
    case 8:
        return do_end(r, MQTT_CONNACK);
    case 9:
        return do_bye(r);
    default:
        return do_close(r, verb == 10);
    }
}

static bool do_line(struct run *r, struct view line)
{
    struct view first = next_word(&line);
    if (first.len == 0)
        return true;
    if (is(first, "wait")) {
        r->wire->wait(r->wire->ctx, (unsigned)strtoul((const char *)next_word(&line).ptr, NULL, 10));
        return true;
    }
    if (first.len != 1 || first.ptr[0] < 'a' || first.ptr[0] >= 'a' + PROBE_CLIENTS)
        return fail(r, "%s", "the script names no client");
    r->n = (unsigned)(first.ptr[0] - 'a');
    r->c = &r->clients[r->n];
    struct view verb = next_word(&line);
    if (is(verb, ">") || is(verb, "<"))
        return do_packet(r, line, verb.ptr[0] == '>');
    for (unsigned i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (is(verb, verbs[i].verb))
            return read_words(r, line, verbs[i].bare) && do_verb(r, i);
    return fail(r, "%s", "the script has an unknown verb");
}

bool probe_run(const struct probe *probe, unsigned version, const char *prefix, bool strict,
               const struct probe_wire *wire, struct probe_result *result)
{
    *result = (struct probe_result){ .passed = false };
    struct run *r = calloc(1, sizeof *r);
    struct client *clients = calloc(PROBE_CLIENTS, sizeof *clients);
    bool fine = r != NULL && clients != NULL;
    const char *at = probe->script;
    if (fine)
        *r = (struct run){
            .wire = wire, .prefix = prefix, .version = version, .strict = strict, .result = result, .clients = clients
        };
    while (fine && *at != '\0') {
        size_t len = strcspn(at, "\n");
        result->line++;
        fine = do_line(r, view_of(at, len)) && result->what[0] == '\0';
        at += len + (at[len] == '\n');
    }
    for (unsigned i = 0; clients != NULL && i < PROBE_CLIENTS; i++)
        if (clients[i].open)
            wire->close(wire->ctx, i, false);
    free(clients);
    free(r);
    result->passed = fine;
    return fine;
}
