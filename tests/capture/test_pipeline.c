/* SPDX-License-Identifier: Apache-2.0
 *
 * However the network cut, delayed, doubled or lost the octets, the rows are those of the conversation; what was lost
 * is named, and nothing is made up (capture/pipeline.h, capture/talk/talk.h). */
#include "capture/pipeline.h"

#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "capture/frames/source.h"
#include "capture/stream/ip.h"
#include "capture/stream/tcp.h"
#include "tests/capture/build.h"

enum { SIDES = 512 }; /* directions of one capture: 256 connections */

/* ---- rows, boiled down to what may not depend on the network ---- */

struct row_list {
    uint64_t *hash;  /* of each packet row, in the order given */
    uint64_t *plain; /* the same of its octets alone */
    uint32_t *side;  /* stream * 2 + direction */
    size_t n, cap;
    unsigned gaps;
    uint64_t gap_octets, skipped;
    char reason[64]; /* of the last gap */
    uint32_t type[16];
    uint32_t last_len, last_stream, last_held;
    uint64_t last_frame, last_first;
    char client[32];
    unsigned verdicts;
};

static uint64_t mix(uint64_t hash, const void *octets, size_t len)
{
    const uint8_t *at = octets;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static uint64_t row_hash(const struct row *r)
{
    uint64_t h = mix(UINT64_C(0xcbf29ce484222325), r->packet->octets, r->packet->held);
    uint8_t facts[] = { r->sender, r->version, r->version_source, r->packet->type, (uint8_t)r->packet->cut };
    h = mix(h, facts, sizeof facts);
    h = mix(h, &r->stream, sizeof r->stream);
    h = mix(h, r->client_id.ptr, r->client_id.len);
    h = mix(h, r->alias_topic.ptr, r->alias_topic.len);
    for (uint32_t i = 0; i < r->n_verdicts; i++)
        h = mix(h, &r->verdicts[i].rule, sizeof r->verdicts[i].rule);
    return h;
}

static unsigned on_row(void *ctx, const struct row *r)
{
    struct row_list *list = ctx;
    assert_true(r->frame_first >= 1 && r->frame_first <= r->frame && r->time_first_ns <= r->time_ns);
    if (r->kind == ROW_GAP) {
        list->gaps++;
        list->gap_octets += r->gap_octets;
        list->skipped += r->skipped_octets;
        snprintf(list->reason, sizeof list->reason, "%s", r->gap_reason);
        return PIPELINE_GO_ON;
    }
    if (list->n == list->cap) {
        list->cap = list->cap > 0 ? list->cap * 2 : 64;
        list->hash = realloc(list->hash, list->cap * sizeof *list->hash);
        list->plain = realloc(list->plain, list->cap * sizeof *list->plain);
        list->side = realloc(list->side, list->cap * sizeof *list->side);
    }
    list->hash[list->n] = row_hash(r);
    list->plain[list->n] = mix(r->stream, r->packet->octets, r->packet->held);
    list->side[list->n++] = r->stream * 2 + (r->src.port == 1883);
    list->type[r->packet->type]++;
    list->last_len = r->packet->remaining;
    list->last_held = r->packet->held;
    list->last_stream = r->stream;
    list->last_frame = r->frame;
    list->last_first = r->frame_first;
    list->verdicts += r->n_verdicts;
    snprintf(list->client, sizeof list->client, "%.*s", (int)r->client_id.len, (const char *)r->client_id.ptr);
    return PIPELINE_GO_ON;
}

static void list_free(struct row_list *list)
{
    free(list->hash);
    free(list->plain);
    free(list->side);
    *list = (struct row_list){ 0 };
}

static struct pipeline_counters run_options(struct pipeline_options *o, struct row_list *list)
{
    char error[PIPELINE_ERROR_MAX];
    bool usage;
    struct pipeline_events events = { .row = on_row };
    struct pipeline *p = pipeline_open(o, &events, list, error, &usage);
    if (p == NULL)
        fail_msg("%s", error);
    while (pipeline_step(p, 1000, -1) == PIPELINE_MORE)
        ;
    struct pipeline_counters n;
    pipeline_counters(p, &n);
    assert_string_equal(pipeline_error(p), "");
    assert_int_equal(n.packet_octets_held, 0); /* everything under way was given back */
    pipeline_close(p);
    return n;
}

static const char *key_log; /* of the captures at hand; NULL: none */

static struct pipeline_counters run_image(const struct image *i, bool track, struct row_list *list)
{
    struct pipeline_options o = { .image = view_of(i->octets, i->len), .no_tracker = !track, .key_log = key_log };
    return run_options(&o, list);
}

/* ---- a conversation taken out of a capture: chunks in order, each of one direction of one connection ---- */

struct chunk {
    uint32_t flow;
    unsigned dir;
    uint8_t *octets;
    size_t len;
};

struct talk_list {
    struct chunk *at;
    size_t n, cap, octets;
    uint32_t flows;
};

static void on_data(void *ctx, struct flow *f, unsigned dir, uint64_t at, struct view octets, const struct stamp *stamp)
{
    struct talk_list *t = ctx;
    (void)at;
    (void)stamp;
    if (t->n == t->cap) {
        t->cap = t->cap > 0 ? t->cap * 2 : 64;
        t->at = realloc(t->at, t->cap * sizeof *t->at);
    }
    struct chunk *c = &t->at[t->n++];
    *c = (struct chunk){
        .flow = f->number, .dir = dir ^ (f->client == 1), .octets = malloc(octets.len), .len = octets.len
    };
    memcpy(c->octets, octets.ptr, octets.len);
    t->octets += octets.len;
    if (f->number >= t->flows)
        t->flows = f->number + 1;
}

static void on_gap(void *ctx, struct flow *f, unsigned dir, uint64_t at, uint64_t len, enum stream_gap why,
                   const struct stamp *stamp)
{
    (void)ctx, (void)f, (void)dir, (void)at, (void)len, (void)why, (void)stamp;
    fail_msg("a golden capture has a hole");
}

static void on_end(void *ctx, struct flow *f, unsigned dir, enum tcp_end how, const struct stamp *stamp)
{
    (void)ctx, (void)f, (void)dir, (void)how, (void)stamp;
}

static void on_release(void *ctx, struct flow *f, enum tcp_end how, const struct stamp *stamp)
{
    (void)ctx, (void)f, (void)how, (void)stamp;
}

static void read_talk(const char *path, struct talk_list *t)
{
    static const struct tcp_events events = { on_data, on_gap, on_end, on_release, NULL, NULL, 0 };
    struct tcp_limits limits = { 10000, 1 << 20, 1 << 20, INT64_MAX / 2 };
    char error[CAPFILE_ERROR_MAX];
    struct capfile *c = capfile_open(path, view_of(NULL, 0), error);
    struct tcp *tcp = tcp_new(&limits, 1, &events, t);
    struct frame f;
    struct stamp stamp = { 0 };
    if (c == NULL)
        fail_msg("%s", error);
    while (capfile_next(c, &f) == SOURCE_FRAME) {
        struct segment g;
        stamp.frame++;
        stamp.time_ns = f.time_ns;
        if (ip_segment(f.link_type, f.octets, f.wire_len, f.time_ns, NULL, &g) == IP_TCP)
            tcp_segment(tcp, &g, tcp_hash(tcp, &g), NULL, &stamp);
    }
    tcp_finish(tcp, &stamp);
    tcp_free(tcp);
    capfile_close(c);
    assert_true(t->n > 0 && t->flows <= SIDES / 2);
}

static void talk_free(struct talk_list *t)
{
    for (size_t i = 0; i < t->n; i++)
        free(t->at[i].octets);
    free(t->at);
    *t = (struct talk_list){ 0 };
}

/* ---- the same conversation over other networks ---- */

struct wire {
    struct made_segment *at;
    size_t n, cap;
    uint32_t next[SIDES]; /* sequence numbers */
};

static uint32_t first_seq(uint32_t flow, unsigned dir)
{
    return 0xfffff800u + flow * 7919 + dir * 104729; /* some wrap on the way */
}

static void send_segment(struct wire *w, uint32_t flow, unsigned dir, unsigned flags, const uint8_t *octets, size_t len)
{
    if (w->n == w->cap) {
        w->cap = w->cap > 0 ? w->cap * 2 : 256;
        w->at = realloc(w->at, w->cap * sizeof *w->at);
    }
    w->at[w->n++] = (struct made_segment){ .flow = flow,
                                           .dir = dir,
                                           .flags = flags,
                                           .port = 1883,
                                           .seq = w->next[flow * 2 + dir],
                                           .ack = flags & TCP_ACK ? w->next[flow * 2 + !dir] : 0,
                                           .payload = octets,
                                           .len = len,
                                           .keep = SIZE_MAX };
    w->next[flow * 2 + dir] += (uint32_t)len + (flags & (TCP_SYN | TCP_FIN) ? 1 : 0);
}

static void handshakes(struct wire *w, uint32_t flows)
{
    w->n = 0;
    for (uint32_t f = 0; f < flows; f++) {
        w->next[f * 2] = first_seq(f, 0);
        w->next[f * 2 + 1] = first_seq(f, 1);
        send_segment(w, f, 0, TCP_SYN, NULL, 0);
        send_segment(w, f, 1, TCP_SYN | TCP_ACK, NULL, 0);
        send_segment(w, f, 0, TCP_ACK, NULL, 0);
    }
}

/* The last segment once more, from some octets before it on: a retransmission with other borders. */
static void send_overlapping(struct wire *w, size_t before)
{
    struct made_segment s = w->at[w->n - 1];
    send_segment(w, s.flow, s.dir, s.flags, s.payload - before, s.len + before);
    w->at[w->n - 1].seq = s.seq - (uint32_t)before;
    w->next[s.flow * 2 + s.dir] = s.seq + (uint32_t)s.len;
}

/* Each chunk in segments of at most `most` octets; cut once more behind octet `cut` of all. */
static void over_the_wire(struct wire *w, const struct talk_list *t, size_t most, size_t cut)
{
    size_t total = 0;
    handshakes(w, t->flows);
    for (size_t i = 0; i < t->n; i++) {
        const struct chunk *c = &t->at[i];
        for (size_t done = 0; done < c->len;) {
            size_t n = c->len - done < most ? c->len - done : most;
            if (cut > total && cut - total < n)
                n = cut - total;
            send_segment(w, c->flow, c->dir, TCP_ACK, c->octets + done, n);
            if (done > 0 && (total + done) % 5 == 0)
                send_overlapping(w, done < 7 ? done : 7);
            done += n;
            total += n;
        }
    }
    for (uint32_t f = 0; f < t->flows; f++) {
        send_segment(w, f, 0, TCP_ACK | TCP_FIN, NULL, 0);
        send_segment(w, f, 1, TCP_ACK | TCP_FIN, NULL, 0);
    }
}

static void to_image(const struct wire *w, struct image *i)
{
    image_begin(i, 1);
    for (size_t n = 0; n < w->n; n++)
        image_segment(i, &w->at[n]);
}

static void same_rows(const struct row_list *want, const struct row_list *got)
{
    assert_int_equal(got->gaps, 0);
    assert_int_equal(got->n, want->n);
    for (size_t i = 0; i < want->n; i++) {
        assert_int_equal(got->side[i], want->side[i]);
        assert_true(got->hash[i] == want->hash[i]);
    }
}

/* Each direction by itself, and its octets alone: what both sides said may be in another order between them, and so may
 * be known of a packet what an answer tells. */
static void same_rows_of_each_side(const struct row_list *want, const struct row_list *got)
{
    static size_t next[SIDES];
    memset(next, 0, sizeof next);
    assert_int_equal(got->gaps, 0);
    assert_int_equal(got->n, want->n);
    for (size_t i = 0; i < got->n; i++) {
        size_t *at = &next[got->side[i]];
        while (*at < want->n && want->side[*at] != got->side[i])
            ++*at;
        assert_true(*at < want->n);
        assert_true(want->plain[*at] == got->plain[i]);
        ++*at;
    }
}

/* Moves segments by up to `window` places and doubles some; the handshakes and the ends stay. */
static void shuffle(struct wire *w, uint32_t flows, size_t window, uint64_t *random)
{
    size_t first = 3 * (size_t)flows, last = w->n - 2 * (size_t)flows;
    size_t cap = 2 * w->n, n = 0;
    struct made_segment *out = malloc(cap * sizeof *out);
    for (size_t i = first; i + 1 < last; i++) {
        size_t j = i + next_random(random) % (window + 1);
        if (j >= last)
            continue;
        struct made_segment moved = w->at[j];
        memmove(w->at + i + 1, w->at + i, (j - i) * sizeof *w->at);
        w->at[i] = moved;
    }
    for (size_t i = 0; i < w->n; i++) {
        out[n++] = w->at[i];
        if (next_random(random) % 4 == 0)
            out[n++] = w->at[i];
    }
    free(w->at);
    w->at = out;
    w->n = n;
    w->cap = cap;
}

/* Captures that lack nothing. Of those in TLS or WebSocket one direction waits for the other to begin: they are cut,
 * but not shuffled. */
static const char *const golden[] = { "mqtt*.pcap",      "mqtt*.pcapng",    "founding_*.pcap", "suricata*.pcap",
                                      "zeek__mqtt.pcap", "peafowl*.pcapng", "nDPI__mqtt.pcap", "ipfixprobe*.pcap",
                                      "dist_sys*.pcap",  "arkime*.pcap" };
static const char *const lacking[] = { "midstream", "snaplen", "_dsb" };

static bool has_word(const char *name, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strstr(name, words[i]) != NULL)
            return true;
    return false;
}

static void any_network_gives_the_same_rows(void **state)
{
    (void)state;
    static const char *const wrapping[] = { "tls", "websocket" };
    glob_t files = { 0 };
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++) {
        char pattern[64];
        snprintf(pattern, sizeof pattern, "tests/captures/%s", golden[i]);
        assert_int_equal(glob(pattern, i > 0 ? GLOB_APPEND : 0, NULL, &files), 0);
    }
    assert_true(files.gl_pathc > 40);
    uint64_t shuffled = 0;
    for (size_t g = 0; g < files.gl_pathc; g++) {
        const char *capture = files.gl_pathv[g];
        bool wrapped = has_word(capture, wrapping, 2);
        if (has_word(capture, lacking, sizeof lacking / sizeof *lacking))
            continue;
        char keys[256];
        snprintf(keys, sizeof keys, "%.*s.keylog", (int)(strrchr(capture, '.') - capture), capture);
        struct talk_list talk = { 0 };
        struct wire wire = { 0 };
        struct image image = { 0 };
        struct row_list want = { 0 }, want_alone = { 0 }, got = { 0 };
        key_log = access(keys, R_OK) == 0 ? keys : NULL;
        read_talk(capture, &talk);
        over_the_wire(&wire, &talk, SIZE_MAX, 0);
        to_image(&wire, &image);
        run_image(&image, true, &want);
        run_image(&image, false, &want_alone);
        bool errors = strstr(capture, "errors") != NULL; /* holds a length of five octets: a gap that belongs to it */
        assert_true(want.n > 0 && (want.gaps == 0 || errors));
        want.gaps = want_alone.gaps = 0;

        over_the_wire(&wire, &talk, 1, 0); /* single octets */
        to_image(&wire, &image);
        run_image(&image, true, &got);
        got.gaps = errors ? 0 : got.gaps;
        same_rows(&want, &got);
        list_free(&got);

        size_t step = getenv("EVERY") != NULL ? 1 : talk.octets / 1000 + 1; /* EVERY=1: really everywhere */
        for (size_t cut = 1; cut < talk.octets; cut += step) {
            over_the_wire(&wire, &talk, SIZE_MAX, cut);
            to_image(&wire, &image);
            run_image(&image, true, &got);
            got.gaps = errors ? 0 : got.gaps;
            same_rows(&want, &got);
            list_free(&got);
        }

        uint64_t random = g + 1;
        for (unsigned round = 0; round < 60 && !wrapped; round++) {
            over_the_wire(&wire, &talk, 1 + next_random(&random) % 200, 0);
            shuffle(&wire, talk.flows, 1 + round % 12, &random);
            to_image(&wire, &image);
            struct pipeline_counters n = run_image(&image, false, &got);
            shuffled += n.retransmitted + n.reordered;
            got.gaps = errors ? 0 : got.gaps;
            same_rows_of_each_side(&want_alone, &got);
            list_free(&got);
        }
        list_free(&want);
        list_free(&want_alone);
        image_free(&image);
        free(wire.at);
        talk_free(&talk);
    }
    assert_true(shuffled > 100000);
    key_log = NULL;
    globfree(&files);
}

/* ---- single cases ---- */

static const uint8_t connect[] = { 0x10, 0x0d, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 60, 0, 1, 'c' };
static const uint8_t connack[] = { 0x20, 2, 0, 0 };
static const uint8_t pingreq[] = { 0xc0, 0 };
static const uint8_t pingresp[] = { 0xd0, 0 };

struct case_wire {
    struct wire wire;
    struct image image;
    struct row_list rows;
};

static void begin_case(struct case_wire *c)
{
    memset(c, 0, sizeof *c);
    handshakes(&c->wire, 1);
}

static void say(struct case_wire *c, unsigned dir, const uint8_t *octets, size_t len)
{
    send_segment(&c->wire, 0, dir, TCP_ACK, octets, len);
}

static struct pipeline_counters end_case(struct case_wire *c)
{
    to_image(&c->wire, &c->image);
    return run_image(&c->image, true, &c->rows);
}

static void free_case(struct case_wire *c)
{
    list_free(&c->rows);
    image_free(&c->image);
    free(c->wire.at);
}

/* A PUBLISH with the topic "sensors/NNNN/value" and `payload` octets that look like nothing. */
static size_t make_publish(uint8_t *at, unsigned number, size_t payload)
{
    char topic[32];
    size_t topic_len = (size_t)snprintf(topic, sizeof topic, "sensors/%04u/value", number),
           remaining = 2 + topic_len + payload;
    uint8_t *start = at;
    *at++ = 0x30;
    for (size_t rest = remaining;; rest /= 128) {
        *at++ = (uint8_t)(rest % 128 | (rest >= 128 ? 128 : 0));
        if (rest < 128)
            break;
    }
    put_u16(at, (uint32_t)topic_len);
    memcpy(at + 2, topic, topic_len);
    at += 2 + topic_len;
    uint64_t random = number;
    for (size_t i = 0; i < payload; i++)
        *at++ = (uint8_t)next_random(&random);
    return (size_t)(at - start);
}

static void a_lost_segment_is_a_gap_and_framing_goes_on(void **state)
{
    (void)state;
    for (unsigned lost = 0; lost < 12; lost++) { /* each of the twelve segments once */
        struct case_wire c;
        static uint8_t publish[12][400];
        begin_case(&c);
        say(&c, 0, connect, sizeof connect);
        say(&c, 1, connack, sizeof connack);
        for (unsigned i = 0; i < 12; i++)
            say(&c, 0, publish[i], make_publish(publish[i], i, 20 + 25 * i));
        send_segment(&c.wire, 0, 1, TCP_ACK, NULL, 0);
        size_t missing = 5 + lost;
        memmove(c.wire.at + missing, c.wire.at + missing + 1, (c.wire.n - missing - 1) * sizeof *c.wire.at);
        c.wire.n--;
        struct pipeline_counters n = end_case(&c);
        assert_int_equal(c.rows.type[3], 11);
        assert_int_equal(c.rows.gaps, 1);
        assert_int_equal(c.rows.skipped, 0);
        assert_string_equal(c.rows.reason, "lost segment");
        assert_int_equal(n.gap_octets, make_publish(publish[lost], lost, 20 + 25 * lost));
        free_case(&c);
    }
}

static void a_hole_inside_a_payload_is_bridged(void **state)
{
    (void)state;
    struct case_wire c;
    uint8_t publish[3000];
    size_t len = make_publish(publish, 1, 2500);
    begin_case(&c);
    say(&c, 0, connect, sizeof connect);
    say(&c, 0, publish, 1000);
    say(&c, 0, publish + 1000, 700);
    say(&c, 0, publish + 1700, len - 1700);
    say(&c, 0, pingreq, sizeof pingreq);
    send_segment(&c.wire, 0, 1, TCP_ACK, NULL, 0);
    c.wire.at[5].len = 0; /* the middle was not captured */
    end_case(&c);
    assert_int_equal(c.rows.type[3], 1);
    assert_int_equal(c.rows.type[12], 1);
    assert_int_equal(c.rows.gap_octets, 700);
    assert_int_equal(c.rows.gaps, 1);
    free_case(&c);
}

/* The capture begins anywhere in the middle of a large payload of random octets: nothing but the packets behind it. */
static void a_start_in_the_middle_of_a_payload_invents_nothing(void **state)
{
    (void)state;
    static uint8_t publish[60000], after[8][200];
    for (unsigned seed = 0; seed < 200; seed++) {
        struct case_wire c;
        size_t len = make_publish(publish, seed, 40000), from = 100 + seed * 97;
        begin_case(&c);
        c.wire.n = 0; /* without the handshake */
        for (size_t at = from; at < len; at += 1448)
            say(&c, 0, publish + at, len - at < 1448 ? len - at : 1448);
        for (unsigned i = 0; i < 8; i++)
            say(&c, 0, after[i], make_publish(after[i], 5000 + i, 60));
        end_case(&c);
        assert_int_equal(c.rows.n, 8);
        assert_int_equal(c.rows.type[3], 8);
        assert_int_equal(c.rows.skipped, len - from);
        assert_string_equal(c.rows.reason, "start in mid-stream");
        free_case(&c);
    }
}

static void a_lone_ping_in_midstream(void **state)
{
    (void)state;
    struct case_wire c;
    begin_case(&c);
    c.wire.n = 0;
    say(&c, 0, pingreq, sizeof pingreq);
    say(&c, 1, pingresp, sizeof pingresp);
    end_case(&c);
    assert_int_equal(c.rows.type[12], 1);
    assert_int_equal(c.rows.type[13], 1);
    assert_int_equal(c.rows.gaps, 0);
    free_case(&c);
}

static void wrong_beginnings_on_the_port_of_mqtt_are_shown(void **state)
{
    (void)state;
    static const uint8_t mqtx[] = { 0x10, 0x0d, 0, 4, 'M', 'Q', 'T', 'X', 4, 2, 0, 60, 0, 1, 'c' };
    static const uint8_t publish[] = { 0x30, 5, 0, 1, 'x', 'h', 'i' };
    static const uint8_t reserved[] = { 0x00, 0x00, 0xc0, 0x00, 0xc0, 0x00 };
    static const uint8_t five[] = { 0x30, 0xff, 0xff, 0xff, 0xff, 0x7f };
    static const struct {
        const uint8_t *octets;
        size_t len;
        unsigned type, rows;
    } cases[] = { { mqtx, sizeof mqtx, 1, 1 },
                  { publish, sizeof publish, 3, 1 },
                  { reserved, sizeof reserved, 0, 3 },
                  { five, sizeof five, 3, 1 } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct case_wire c;
        begin_case(&c);
        say(&c, 0, cases[i].octets, cases[i].len);
        send_segment(&c.wire, 0, 0, TCP_ACK | TCP_FIN, NULL, 0);
        end_case(&c);
        assert_int_equal(c.rows.n, cases[i].rows);
        assert_int_equal(c.rows.type[cases[i].type], 1);
        assert_true(c.rows.verdicts > 0);
        free_case(&c);
    }
}

#define OCTETS(text)                                                                                                   \
    {                                                                                                                  \
        text, sizeof(text) - 1                                                                                         \
    }

static void other_protocols_give_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *octets;
        size_t len;
    } cases[] = {
        OCTETS("GET / HTTP/1.1\r\nHost: broker\r\n\r\n"),
        OCTETS("CONNECT\naccept-version:1.2\nhost:x\n\n"),
        OCTETS("AMQP\0\0\x09\x01"),
        OCTETS("\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03"),
        OCTETS("\xff\0\0\0\0\0\0\0\x01\x7f\x03\0NULL"),
        { "\0\0\x01\x25\x01"
          "ActiveMQ",
          13 },
        OCTETS("SSH-2.0-OpenSSH_9.2\r\n"),
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (unsigned port = 0; port < 2; port++) {
            struct case_wire c;
            begin_case(&c);
            for (size_t at = 0; at < cases[i].len; at++)
                say(&c, 0, (const uint8_t *)cases[i].octets + at, 1);
            say(&c, 1, (const uint8_t *)"\x30\x05\x00\x01xhi", 7);
            for (size_t n = 0; n < c.wire.n; n++)
                c.wire.at[n].port = port == 0 ? 1883 : 5555;
            struct pipeline_counters n = end_case(&c);
            assert_int_equal(c.rows.n, 0);
            assert_int_equal(c.rows.gaps, 0);
            assert_int_equal(n.mqtt_connections, 0);
            assert_int_equal(n.connections, 1);
            free_case(&c);
        }
    }
}

static void mqtt_is_found_on_any_port_and_forced_on_one(void **state)
{
    (void)state;
    static const uint8_t publish[] = { 0x30, 5, 0, 1, 'x', 'h', 'i' };
    uint16_t forced = 4711;
    for (unsigned force = 0; force < 3; force++) { /* CONNECT; PUBLISH alone; the same, forced */
        struct case_wire c;
        begin_case(&c);
        say(&c, 0, force == 0 ? connect : publish, force == 0 ? sizeof connect : sizeof publish);
        for (size_t n = 0; n < c.wire.n; n++)
            c.wire.at[n].port = 4711;
        to_image(&c.wire, &c.image);
        struct pipeline_options o = { .image = view_of(c.image.octets, c.image.len),
                                      .mqtt_ports = &forced,
                                      .n_mqtt_ports = force == 2 };
        run_options(&o, &c.rows);
        assert_int_equal(c.rows.n, force == 1 ? 0 : 1);
        free_case(&c);
    }
}

static void ports_that_are_used_again_begin_another_stream(void **state)
{
    (void)state;
    struct case_wire c;
    begin_case(&c);
    say(&c, 0, connect, sizeof connect);
    for (unsigned again = 1; again < 4; again++) {
        c.wire.next[0] = 1000000 * again;
        c.wire.next[1] = 2000000 * again;
        send_segment(&c.wire, 0, 0, TCP_SYN, NULL, 0);
        send_segment(&c.wire, 0, 1, TCP_SYN | TCP_ACK, NULL, 0);
        c.wire.at[c.wire.n] = c.wire.at[c.wire.n - 1]; /* retransmitted: the same connection */
        c.wire.n++;
        say(&c, 0, connect, sizeof connect);
        assert_true(c.wire.n < c.wire.cap);
    }
    struct pipeline_counters n = end_case(&c);
    assert_int_equal(n.connections, 4);
    assert_int_equal(n.mqtt_connections, 4);
    assert_int_equal(c.rows.n, 4);
    assert_int_equal(c.rows.last_stream, 3);
    free_case(&c);
}

static void the_snaplen_cuts_packets_but_not_their_borders(void **state)
{
    (void)state;
    struct case_wire c;
    static uint8_t publish[4][2000];
    begin_case(&c);
    say(&c, 0, connect, sizeof connect);
    for (unsigned i = 0; i < 4; i++)
        say(&c, 0, publish[i], make_publish(publish[i], i, 1000));
    for (size_t i = 0; i < c.wire.n; i++)
        c.wire.at[i].keep = 42;
    struct pipeline_counters n = end_case(&c);
    assert_int_equal(c.rows.type[3], 4);
    assert_int_equal(c.rows.gaps, 0);
    assert_int_equal(c.rows.last_held, 42);
    assert_int_equal(c.rows.last_len, 1020);
    assert_int_equal(n.malformed_frames, 0);
    free_case(&c);
}

/* 256 MiB in one packet, of which no more than the budget is kept. */
static void the_largest_packet_is_followed_and_not_held(void **state)
{
    (void)state;
    enum { REMAINING = 268435455, STEP = 65000 };
    struct case_wire c;
    uint8_t *block = calloc(1, STEP + 64);
    static const uint8_t head[] = { 0x30, 0xff, 0xff, 0xff, 0x7f, 0, 1, 't' };
    begin_case(&c);
    say(&c, 0, connect, sizeof connect);
    say(&c, 0, head, sizeof head);
    uint64_t left = REMAINING - 3;
    while (left > 0) {
        size_t n = left < STEP ? (size_t)left : STEP;
        say(&c, 0, block, n);
        left -= n;
    }
    say(&c, 0, pingreq, sizeof pingreq);
    image_begin(&c.image, 101);
    for (size_t i = 0; i < c.wire.n; i++) { /* captured with a snaplen, or the image would be as large */
        uint8_t *frame = malloc(40 + c.wire.at[i].len);
        size_t len = make_ipv4_tcp(frame, &c.wire.at[i]);
        image_frame(&c.image, frame, len < 200 ? len : 200, len);
        free(frame);
    }
    struct pipeline_options o = { .image = view_of(c.image.octets, c.image.len), .budget = { .packet = 4096 } };
    struct pipeline_counters n = run_options(&o, &c.rows);
    assert_int_equal(c.rows.type[3], 1);
    assert_int_equal(c.rows.type[12], 1);
    assert_int_equal(c.rows.gaps, 0);
    assert_int_equal(n.packets, 3);
    assert_int_equal(n.packet_octets, sizeof connect + REMAINING + 5 + 2);
    free(block);
    free_case(&c);
}

static void a_packet_over_segments_has_two_frames(void **state)
{
    (void)state;
    struct case_wire c;
    uint8_t publish[400];
    size_t len = make_publish(publish, 1, 200);
    begin_case(&c);
    say(&c, 0, connect, sizeof connect);
    say(&c, 0, publish, 1); /* frame 5 */
    say(&c, 0, publish + 1, 100);
    say(&c, 0, publish + 101, len - 101);
    end_case(&c);
    assert_int_equal(c.rows.last_first, 5);
    assert_int_equal(c.rows.last_frame, 7);
    assert_string_equal(c.rows.client, "c");
    free_case(&c);
    /* the next one begins in the segment that ends the first, and has a first frame of its own */
    uint8_t two[800];
    size_t end = make_publish(two, 1, 200), both = end + make_publish(two + end, 2, 200);
    begin_case(&c);
    say(&c, 0, connect, sizeof connect);
    say(&c, 0, two, 10); /* frame 5 */
    say(&c, 0, two + 10, end);
    say(&c, 0, two + 10 + end, both - end - 10);
    end_case(&c);
    assert_int_equal(c.rows.last_first, 6);
    assert_int_equal(c.rows.last_frame, 7);
    free_case(&c);
}

/* A CONNECT of which the end was not captured asked for nobody knows what: CONNACK and what the server sends use the
 * Topic Alias, the Response Information and the Authentication Method that it may have had. */
static void nothing_is_held_against_what_a_cut_connect_may_have_asked_for(void **state)
{
    (void)state;
    static const uint8_t ask[] = { 0x10, 0x17, 0,  4,    'M', 'Q',  'T', 'T', 5,   2, 0, 60, 9,
                                   0x22, 0,    10, 0x19, 1,   0x15, 0,   1,   'a', 0, 1, 'c' };
    static const uint8_t accept[] = { 0x20, 0x0b, 0, 0, 8, 0x1a, 0, 1, 'r', 0x15, 0, 1, 'a' };
    static const uint8_t publish[] = { 0x30, 0x07, 0, 1, 't', 3, 0x23, 0, 10 };
    for (size_t keep = sizeof ask + 1; keep-- > 13;) {
        struct case_wire c;
        begin_case(&c);
        say(&c, 0, ask, sizeof ask);
        c.wire.at[c.wire.n - 1].keep = keep;
        say(&c, 1, accept, sizeof accept);
        say(&c, 1, publish, sizeof publish);
        end_case(&c);
        assert_int_equal(c.rows.n, 3);
        assert_int_equal(c.rows.verdicts, 0);
        free_case(&c);
    }
}

static void budgets_evict_and_count(void **state)
{
    (void)state;
    struct case_wire c = { 0 };
    handshakes(&c.wire, 100);
    for (uint32_t f = 0; f < 100; f++)
        send_segment(&c.wire, f, 0, TCP_ACK, connect, sizeof connect);
    to_image(&c.wire, &c.image);
    struct pipeline_options o = { .image = view_of(c.image.octets, c.image.len), .budget = { .flows = 10 } };
    struct pipeline_counters n = run_options(&o, &c.rows);
    assert_int_equal(n.flows, 10);
    assert_true(n.evicted_flows >= 90);
    assert_int_equal(c.rows.n, 100); /* in mid-stream then: a CONNECT is plain enough */
    free_case(&c);
}

static unsigned stop_at_first(void *ctx, const struct row *r)
{
    on_row(ctx, r);
    return PIPELINE_STOP;
}

static void a_row_can_end_the_run(void **state)
{
    (void)state;
    struct case_wire c;
    char error[PIPELINE_ERROR_MAX];
    bool usage;
    begin_case(&c);
    say(&c, 0, connect, sizeof connect);
    say(&c, 0, pingreq, sizeof pingreq);
    to_image(&c.wire, &c.image);
    struct pipeline_options o = { .image = view_of(c.image.octets, c.image.len) };
    struct pipeline_events events = { .row = stop_at_first };
    struct pipeline *p = pipeline_open(&o, &events, &c.rows, error, &usage);
    assert_int_equal(pipeline_step(p, 1000, -1), PIPELINE_END);
    assert_int_equal(pipeline_step(p, 1000, -1), PIPELINE_END);
    assert_int_equal(c.rows.n, 1);
    pipeline_close(p);
    free_case(&c);
}

static void capture_filters_work_on_files_and_say_what_is_wrong(void **state)
{
    (void)state;
    struct case_wire c;
    char error[PIPELINE_ERROR_MAX];
    bool usage;
    begin_case(&c);
    say(&c, 0, connect, sizeof connect);
    to_image(&c.wire, &c.image);
    struct pipeline_options o = { .image = view_of(c.image.octets, c.image.len), .capture_filter = "tcp port 1884" };
    struct pipeline_counters n = run_options(&o, &c.rows);
    assert_int_equal(n.frames, 0);
    o.capture_filter = "tcp port 1883";
    n = run_options(&o, &c.rows);
    assert_int_equal(n.frames, 4);
    o.capture_filter = "tcp prot 1883";
    struct pipeline_events events = { .row = on_row };
    assert_null(pipeline_open(&o, &events, &c.rows, error, &usage));
    assert_true(usage);
    assert_non_null(strstr(error, "capture filter 'tcp prot 1883'"));
    free_case(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_network_gives_the_same_rows),
        cmocka_unit_test(a_lost_segment_is_a_gap_and_framing_goes_on),
        cmocka_unit_test(a_hole_inside_a_payload_is_bridged),
        cmocka_unit_test(a_start_in_the_middle_of_a_payload_invents_nothing),
        cmocka_unit_test(a_lone_ping_in_midstream),
        cmocka_unit_test(wrong_beginnings_on_the_port_of_mqtt_are_shown),
        cmocka_unit_test(other_protocols_give_nothing),
        cmocka_unit_test(mqtt_is_found_on_any_port_and_forced_on_one),
        cmocka_unit_test(ports_that_are_used_again_begin_another_stream),
        cmocka_unit_test(the_snaplen_cuts_packets_but_not_their_borders),
        cmocka_unit_test(the_largest_packet_is_followed_and_not_held),
        cmocka_unit_test(a_packet_over_segments_has_two_frames),
        cmocka_unit_test(nothing_is_held_against_what_a_cut_connect_may_have_asked_for),
        cmocka_unit_test(budgets_evict_and_count),
        cmocka_unit_test(a_row_can_end_the_run),
        cmocka_unit_test(capture_filters_work_on_files_and_say_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
