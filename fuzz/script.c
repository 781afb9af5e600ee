/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/script.h"

#include <stdio.h>
#include <string.h>

#include "fuzz/plan/plan.h"

struct writer {
    struct script *s;
    uint8_t *buf;
    size_t len, cap;
};

static bool refuse(struct writer *w, const char *why)
{
    snprintf(w->s->why, sizeof w->s->why, "%s", why);
    return false;
}

static bool add(struct writer *w, const struct talk_record *record)
{
    size_t len = talk_write(w->buf, w->len, w->cap, record);
    if (len == 0)
        return refuse(w, "the conversation is too long");
    w->len = len;
    return true;
}

static bool event(struct writer *w, enum talk_op op, unsigned client, bool by_server, unsigned number)
{
    struct talk_record r = { .op = op, .client = client, .by_server = by_server, .number = number };
    return add(w, &r);
}

static bool version(struct writer *w, const char *word)
{
    unsigned v = strcmp(word, "3.1") == 0 ? MQTT_V31 : strcmp(word, "3.1.1") == 0 ? MQTT_V311 : MQTT_V5;
    if (v == MQTT_V5 && strcmp(word, "5") != 0)
        return refuse(w, "no such version");
    w->s->version = v;
    return true;
}

/* The octets of a packet, as plans write it. */
static bool octets(struct writer *w, const char *packet, unsigned client, bool by_server, bool split)
{
    struct plan plan;
    char text[4096];
    bool raw = strncmp(packet, "raw ", 4) == 0;
    snprintf(text, sizeof text, "%c %s%s", 'a' + (int)client, raw ? "" : "> ", packet);
    bool parsed = plan_parse(&plan, view_of(text, strlen(text)), "p", w->s->version);
    bool fine;
    if (!parsed || plan.n != 1 || plan.step[0].op != PLAN_SEND) {
        fine = refuse(w, parsed ? "one packet should stand here" : plan.error);
    } else {
        struct talk_record r = { .op = split ? TALK_SPLIT : TALK_SEND,
                                 .client = client,
                                 .by_server = by_server,
                                 .octets = plan.step[0].octets };
        fine = add(w, &r);
    }
    plan_free(&plan);
    return fine;
}

static bool of_client(struct writer *w, const char *line)
{
    char client, arrow[3];
    unsigned number;
    int at = 0;
    if (sscanf(line, "%c %2[<>] %n", &client, arrow, &at) < 2 || at == 0 || client < 'a' || client > 'h')
        return refuse(w, "this is no statement");
    const char *what = line + at;
    bool by_server = arrow[0] == '<';
    unsigned n = (unsigned)(client - 'a');
    if (strcmp(what, "open") == 0)
        return event(w, TALK_OPEN, n, by_server, 0);
    if (strcmp(what, "close") == 0)
        return event(w, TALK_CLOSE, n, by_server, 0);
    if (strcmp(what, "reset") == 0)
        return event(w, TALK_RESET, n, by_server, 0);
    if (sscanf(what, "gap %u", &number) == 1)
        return event(w, TALK_GAP, n, by_server, number);
    static const char *const faults[] = { "websocket none", "websocket other", "websocket text" };
    for (unsigned i = 0; i < sizeof faults / sizeof *faults; i++)
        if (strcmp(what, faults[i]) == 0)
            return event(w, TALK_GAP, n, by_server, i);
    return octets(w, what, n, by_server, arrow[1] != '\0');
}

static bool statement(struct writer *w, const char *text)
{
    unsigned number;
    char unit[3], word[8];
    if (w->s->version == MQTT_VERSION_UNKNOWN)
        w->s->version = MQTT_V5;
    if (sscanf(text, "version %7s", word) == 1)
        return version(w, word);
    if (sscanf(text, "wait %u%2s", &number, unit) != 2)
        return of_client(w, text);
    bool long_wait = strcmp(unit, "s") == 0;
    return event(w, long_wait ? TALK_LONG_WAIT : TALK_WAIT, 0, false, long_wait ? number : number / 10);
}

bool script_statement(struct script *s, const char *text, uint8_t *buf, size_t *len, size_t cap)
{
    struct writer w = { s, buf, *len, cap };
    bool fine = statement(&w, text);
    *len = w.len;
    return fine;
}

size_t script_write(const char *text, uint8_t *buf, size_t cap)
{
    struct script s = { .version = MQTT_V5 };
    char one[1024];
    size_t len = 0;
    for (;;) {
        text += strspn(text, "; \n");
        size_t n = strcspn(text, ";\n");
        if (n == 0)
            return len;
        if (n >= sizeof one)
            return 0;
        memcpy(one, text, n);
        one[n] = '\0';
        text += n;
        if (!script_statement(&s, one, buf, &len, cap))
            return 0;
    }
}
