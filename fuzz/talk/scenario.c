/* SPDX-License-Identifier: Apache-2.0
 *
 * Conversations that can be foretold, with neighbours that cannot. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/talk/conversation.h"
#include "fuzz/talk/talk.h"

static const struct {
    const char *versions, *text;
    unsigned seconds;
} scenarios[] = {
#define SCENARIO(versions, seconds, text) { versions, text, seconds },
#include "fuzz/talk/scenarios.def"
};

enum { TEXT_MAX = 8192, SLOW_SELDOM = 24, NEIGHBOUR = TALK_CLIENTS / 2 };
enum { WORDY = sizeof scenarios / sizeof *scenarios - 2 }; /* the one with the most words */

static void append(char *out, size_t *n, const char *text, size_t len)
{
    if (len < TEXT_MAX - *n) {
        memcpy(out + *n, text, len);
        *n += len;
    }
    out[*n] = '\0';
}

/* One alternative of "{a|b}" at text; *len: all of it. Braces do not nest. */
static void choose(struct mutator *m, struct words *words, const char *text, size_t len, char *out, size_t *n)
{
    if (len == 0) {
        const char *word = words_any(words, m);
        append(out, n, word, strlen(word));
        return;
    }
    unsigned choices = 1;
    for (size_t i = 0; i < len; i++)
        choices += text[i] == '|';
    const char *end = text + len;
    for (unsigned skip = mutator_below(m, choices); skip > 0; skip--)
        text = (const char *)memchr(text, '|', (size_t)(end - text)) + 1;
    const char *bar = memchr(text, '|', (size_t)(end - text));
    append(out, n, text, (size_t)((bar != NULL ? bar : end) - text));
}

static void spell_out(struct mutator *m, struct words *words, const char *text, char *out)
{
    size_t n = 0;
    while (*text != '\0') {
        size_t plain = strcspn(text, "{");
        append(out, &n, text, plain);
        text += plain;
        size_t len = strcspn(text, "}");
        if (*text == '\0' || text[len] == '\0')
            return;
        choose(m, words, text + 1, len - 1, out, &n);
        text += len + 1;
    }
}

static bool offered(unsigned i, unsigned version)
{
    return strchr(scenarios[i].versions, (char)('0' + version)) != NULL;
}

/* Records of b among those of a, each in its order, b's clients behind a's. */
static size_t mingle(struct mutator *m, const struct talk *a, const struct talk *b, uint8_t *out, size_t cap)
{
    struct talk_record ra, rb;
    size_t pa = 0, pb = 0, len = 0;
    bool more_a = talk_next(view_of(a->octets, a->len), &pa, &ra);
    bool more_b = talk_next(view_of(b->octets, b->len), &pb, &rb);
    while (more_a || more_b) {
        bool take_b = more_b && (!more_a || mutator_below(m, 2) == 0);
        rb.client = NEIGHBOUR + rb.client % NEIGHBOUR;
        size_t more = talk_write(out, len, cap, take_b ? &rb : &ra);
        if (more == 0)
            return len;
        len = more;
        if (take_b)
            more_b = talk_next(view_of(b->octets, b->len), &pb, &rb);
        else
            more_a = talk_next(view_of(a->octets, a->len), &pa, &ra);
    }
    return len;
}

static size_t with_neighbours(struct mutator *m, struct talk *talk, size_t cap)
{
    struct talk other = { .octets = malloc(TALK_MAX), .version = talk->version }, copy = *talk;
    copy.octets = malloc(talk->len > 0 ? talk->len : 1);
    if (other.octets != NULL && copy.octets != NULL) {
        memcpy(copy.octets, talk->octets, talk->len);
        other.len = (uint32_t)talk_fresh(m, talk->version, other.octets, TALK_MAX / 4);
        for (unsigned n = mutator_below(m, 8); n > 0; n--)
            other.len = (uint32_t)talk_mutate(m, talk->version, other.octets, other.len, TALK_MAX / 4);
        talk_give_names(&other, TALK_MAX / 4);
        talk->len = (uint32_t)mingle(m, &copy, &other, talk->octets, cap);
    }
    free(other.octets);
    free(copy.octets);
    return talk->len;
}

size_t talk_scenario(struct mutator *m, struct words *words, unsigned version, bool slow, uint8_t *out, size_t cap)
{
    char text[TEXT_MAX];
    struct plan plan;
    struct talk talk = { .octets = out, .version = (uint8_t)version };
    unsigned i;
    do
        i = words_left(words) && mutator_below(m, 2) ? WORDY : mutator_below(m, sizeof scenarios / sizeof *scenarios);
    while (!offered(i, version) || (scenarios[i].seconds > 0 && (!slow || mutator_below(m, SLOW_SELDOM) != 0)));
    spell_out(m, words, scenarios[i].text, text);
    if (!plan_parse(&plan, view_of(text, strlen(text)), TALK_PREFIX, version) || !talk_of_plan(&plan, &talk, cap)) {
        fprintf(stderr, "mqfuzz: scenario '%s': %s\n", text, plan.error); /* a fault of ours: a test looks for it */
        talk.len = 0;
    }
    plan_free(&plan);
    if (talk.len > 0 && mutator_below(m, 2) == 0)
        with_neighbours(m, &talk, cap);
    return talk.len;
}

enum { FEW = 32, DATA = 6000 };

static const struct {
    const char *text, *what; /* %1$c: the client, %2$u: a number of its own, %3$s: much data */
    unsigned connections;
    bool v5;
} crowds[TALK_CROWDS] = {
    { "%1$c > connect id=~%2$u; %1$c > disconnect; %1$c close", "connect and say DISCONNECT", TALK_CROWD, false },
    { "%1$c raw 10 2a 00 04 4d 51 54 54 04 02 00 3c 00 1e 61 62; %1$c close", "leave in the middle of their CONNECT",
      TALK_CROWD, false },
    { "%1$c > connect id=~%2$u; %1$c raw 00 00; %1$c close", "send what is no packet", TALK_CROWD, false },
    { "%1$c > connect id=~%2$u; %1$c > subscribe id=1 sub=1:~/%2$u/+/\\x23; %1$c > publish qos=2 id=2 topic=~/%2$u "
      "payload=x; %1$c reset",
      "subscribe, publish with QoS 2 and are gone", TALK_CROWD, false },
    { "%1$c > connect id=~%2$u will_topic=~/%2$u will_payload=x; %1$c reset", "leave a will", TALK_CROWD, false },
    { "%1$c > connect id=~%2$u flags=0x1e will_topic=~/w will_payload=%3$s; %1$c close", "ask for a will of QoS 3", FEW,
      false },
    { "%1$c > connect id=~%2$u; %1$c > publish qos=2 id=1 topic=~/t payload=%3$s; "
      "%1$c > publish qos=2 dup=1 id=1 topic=~/t payload=%3$s; %1$c close",
      "send a QoS 2 message again and are gone", FEW, false },
    { "%1$c > connect id=~%2$u; %1$c > publish retain=1 topic=~/r payload=%3$s; %1$c close",
      "retain a message in place of the one before", FEW, false },
    { "%1$c > connect id=~%2$u will_topic=~/w will_payload=%3$s; %1$c > disconnect; %1$c close",
      "say DISCONNECT, so that their will is not sent", FEW, false },
    { "%1$c > connect id=~%2$u; %1$c > publish topic=~/1%3$s topic_alias=1 payload=x; "
      "%1$c > publish topic=~/2%3$s topic_alias=1 payload=x; %1$c close",
      "give a Topic Alias to another topic", FEW, true },
};

const char *talk_crowd_does(unsigned kind)
{
    return crowds[kind].what;
}

unsigned talk_crowd_size(unsigned kind)
{
    return crowds[kind].connections;
}

size_t talk_crowd(unsigned kind, unsigned version, uint8_t *out, size_t cap)
{
    struct talk talk = { .octets = out };
    size_t len = 0;
    char text[2 * DATA + 512], data[DATA + 1];
    memset(data, 'x', DATA);
    data[DATA] = '\0';
    for (unsigned i = 0; i < crowds[kind].connections && (!crowds[kind].v5 || version == MQTT_V5); i++) {
        struct plan plan;
        snprintf(text, sizeof text, crowds[kind].text, 'a' + i % TALK_CLIENTS, i, data);
        talk.octets = out + len;
        if (plan_parse(&plan, view_of(text, strlen(text)), TALK_PREFIX, version) &&
            talk_of_plan(&plan, &talk, cap - len))
            len += talk.len;
        plan_free(&plan);
    }
    return len;
}
