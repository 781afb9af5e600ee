/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/fuzz/track_seeds.c -- the conversations of tests/decoder/track_cases.def as inputs of fuzz/target/track.c:
 * track_seeds DIRECTORY. Each rule of conduct is broken once, and its neighbour breaks it not. */
#include "tests/decoder/talk.h"

#include "fuzz/talk/talk.h"

static uint8_t seed[1 << 18];
static size_t seed_len;

static void add(const struct talk_record *record)
{
    seed_len = talk_write(seed, seed_len, sizeof seed, record);
}

/* The connection's event, as an op of a conversation; a gap stands for the faults of a WebSocket, too. */
static struct talk_record event_of(const char *word, size_t len, unsigned client)
{
    struct talk_record r = { .op = TALK_GAP, .client = client, .by_server = word[len - 1] == '<', .number = 100 };
    if (strncmp(word, "open", 4) == 0 || strncmp(word, "mid", 3) == 0)
        r = (struct talk_record){ .op = TALK_OPEN, .client = client, .by_server = word[0] == 'm' };
    else if (strncmp(word, "fin", 3) == 0 || strncmp(word, "rst", 3) == 0)
        r.op = word[0] == 'f' ? TALK_CLOSE : TALK_RESET;
    else if (strncmp(word, "ws", 2) == 0)
        r.number = word[2] == 'n' ? TRACK_WS_NOT_OFFERED : word[2] == 'o' ? TRACK_WS_NOT_SELECTED : TRACK_WS_TEXT;
    return r;
}

static void add_wait(const char *p)
{
    char *unit;
    long n = strtol(p, &unit, 10);
    bool seconds = *unit == 's';
    add(&(struct talk_record){ .op = seconds ? TALK_LONG_WAIT : TALK_WAIT,
                               .number = (uint32_t)(seconds ? n : (n + 9) / 10) });
}

static void add_step(struct talk *k, const char *p, const char *end)
{
    if (*p == '+') {
        add_wait(p + 1);
        return;
    }
    struct talk_conn *c = &k->conn[*p - '0'];
    unsigned client = (unsigned)(*p++ - '1');
    bool packet = *p == '>' || *p == '<', by_server = *p == '<';
    p += packet;
    p += strspn(p, " ");
    const char *word = p;
    while (p < end && *p != ' ')
        p++;
    if (!packet) {
        struct talk_record event = event_of(word, (size_t)(p - word), client);
        c->version = event.op == TALK_OPEN ? MQTT_V5 : c->version;
        add(&event);
        return;
    }
    struct talk_args a = { p, end };
    unsigned type = talk_type(word, (size_t)(p - word));
    if (type == MQTT_CONNECT)
        c->version = (uint8_t)talk_number(a, "v", 5);
    size_t len = talk_encode(k, type, (uint8_t)talk_number(a, "v", c->version), a);
    add(&(struct talk_record){ TALK_SEND, client, by_server, 0, view_of(k->octets, len), 0, 0 });
}

static void write_seed(const char *directory, const char *name, const char *text)
{
    char path[1024];
    struct talk *k = talk_new(NULL);
    seed[0] = 2 << 4 | 3; /* with all that is written */
    seed_len = 1;
    for (text += *text == '!'; *text != '\0' && seed_len > 0;) {
        text += strspn(text, " ;\n");
        size_t len = strcspn(text, ";\n");
        if (len > 0)
            add_step(k, text, text + len);
        text += len;
    }
    talk_free(k);
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *f = fopen(path, "wb");
    if (seed_len == 0 || f == NULL || fwrite(seed, 1, seed_len, f) != seed_len || fclose(f) != 0) {
        fprintf(stderr, "track_seeds: %s\n", path);
        exit(2);
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *symbol, *broken, *neighbour;
    } cases[] = {
#define CASE(sym, severity, broken, neighbour) { #sym, broken, neighbour },
#include "tests/decoder/track_cases.def"
    };
    char name[64];
    for (size_t i = 0; argc == 2 && i < sizeof cases / sizeof *cases; i++) {
        snprintf(name, sizeof name, "%s-%zu", cases[i].symbol, i);
        write_seed(argv[1], name, cases[i].broken);
        snprintf(name, sizeof name, "%s-%zu-neighbour", cases[i].symbol, i);
        write_seed(argv[1], name, cases[i].neighbour);
    }
    return argc == 2 ? 0 : 1;
}
