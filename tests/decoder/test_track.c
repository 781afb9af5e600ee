/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/decoder/test_track.c -- what rows, tables and the screen get; limits, evictions, and memory that runs out. */
#include "tests/decoder/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct track_note *last_note(const struct talk *k)
{
    assert_true(k->n_notes > 0);
    return &k->notes[k->n_notes - 1];
}

static void a_qos2_exchange_step_by_step(void **state)
{
    (void)state;
    struct talk *k = talk_new(NULL);
    talk_play(k, "1 open; 1> connect id=a; 1< connack rm=7; 1> pub q=2 id=9 t=x/y");
    assert_int_equal(last_note(k)->kind, TRACK_QOS2);
    assert_int_equal(last_note(k)->step, 1);
    assert_int_equal(last_note(k)->latency_ns, -1);
    assert_int_equal(last_note(k)->owed_by, MQTT_SERVER);
    assert_int_equal(last_note(k)->owed_type, MQTT_PUBREC);
    assert_int_equal(last_note(k)->inflight, 1);
    assert_int_equal(last_note(k)->window, 7);
    talk_play(k, "1< pubrec id=9");
    assert_int_equal(last_note(k)->step_ns, 1000000);
    assert_int_equal(last_note(k)->owed_by, MQTT_CLIENT);
    assert_int_equal(last_note(k)->answers_frame, 4);
    talk_play(k, "1> pubrel id=9; 1< pubcomp id=9");
    assert_int_equal(last_note(k)->step, 4);
    assert_int_equal(last_note(k)->outcome, TRACK_COMPLETE);
    assert_int_equal(last_note(k)->latency_ns, 3000000);
    assert_int_equal(last_note(k)->first_frame, 4);
    assert_int_equal(last_note(k)->owed_by, MQTT_NOBODY);
    assert_int_equal(last_note(k)->inflight, 0);
    const struct track_exchange *x = &k->exchanges[k->n_exchanges - 1];
    assert_int_equal(x->n_steps, 4);
    assert_int_equal(x->step[1].type, MQTT_PUBREC);
    assert_int_equal(x->step[1].sender, MQTT_SERVER);
    assert_int_equal(x->step[3].frame, 7);
    talk_free(k);
}

static void the_same_id_up_and_down_is_two(void **state)
{
    (void)state;
    struct talk *k = talk_new(NULL);
    talk_play(k, "1 open; 1> connect id=a; 1< connack; 1> sub id=9 f=t:1; 1< suback id=9 c=1; 1> pub q=1 id=1 p=a; "
                 "1< pub q=1 id=1 p=b; 1> puback id=1");
    assert_int_equal(last_note(k)->starter, MQTT_SERVER);
    talk_play(k, "1< puback id=1");
    assert_int_equal(last_note(k)->starter, MQTT_CLIENT);
    assert_int_equal(talk_worst(k), 0);
    talk_free(k);
}

static void an_exchange_over_two_connections(void **state)
{
    (void)state;
    struct talk *k = talk_new(NULL);
    talk_play(k, "1 open; 1> connect id=a clean=0 expiry=60; 1< connack; 1> pub q=1 id=5; 1 rst>; +1s; "
                 "2 open; 2> connect id=a clean=0 expiry=60; 2< connack sp=1; 2> pub q=1 id=5 dup");
    assert_int_equal(last_note(k)->flags & (TRACK_RESUMED | TRACK_RETRANSMITTED | TRACK_DUP),
                     TRACK_RESUMED | TRACK_RETRANSMITTED | TRACK_DUP);
    talk_play(k, "2< puback id=5");
    const struct track_exchange *x = &k->exchanges[k->n_exchanges - 1];
    assert_int_equal(x->connections, 2);
    assert_int_equal(x->resent, 1);
    assert_int_equal(x->outcome, TRACK_COMPLETE);
    struct track_session s;
    assert_true(track_session_find(k->track, x->session, &s));
    assert_int_equal(s.connections, 2);
    assert_int_equal(s.resumed, 1);
    assert_int_equal(s.open, 0);
    talk_free(k);
}

static bool saw(const struct talk *k, enum track_session_change change)
{
    for (uint32_t i = 0; i < k->n_events; i++)
        if (k->events[i].change == change)
            return true;
    return false;
}

/* 3.1.1, Session Present 0: the client may send again what it has, or drop it and begin with the same identifiers. */
static void a_client_goes_on_without_a_session(void **state)
{
    (void)state;
    static const char before[] = "1 open; 1> connect v=4 id=a clean=0; 1< connack; 1> pub q=1 id=1 p=a; "
                                 "1> pub q=2 id=2 p=b; 1 rst>; 2 open; 2> connect v=4 id=a clean=0; 2< connack sp=0; ";
    struct talk *k = talk_new(NULL);
    talk_play(k, before);
    talk_play(k, "2> pub q=1 id=1 p=a dup; 2< puback id=1; 2> pub q=2 id=2 p=b dup; 2< pubrec id=2; 2> pubrel id=2; "
                 "2< pubcomp id=2");
    assert_true(talk_worst(k) <= MQTT_SEVERITY_NOTE);
    assert_int_equal(k->n_exchanges, 4); /* two CONNECT */
    assert_int_equal(k->exchanges[2].outcome, TRACK_COMPLETE);
    assert_int_equal(k->exchanges[2].connections, 2);
    assert_int_equal(k->exchanges[3].outcome, TRACK_COMPLETE);
    assert_int_equal(k->exchanges[3].connections, 2);
    talk_free(k);
    k = talk_new(NULL);
    talk_play(k, before);
    talk_play(k, "2> pub q=1 id=1 p=c; 2< puback id=1; 2> sub id=2 f=x:0; 2< suback id=2 c=0");
    talk_finish(k);
    assert_true(talk_worst(k) <= MQTT_SEVERITY_NOTE);
    assert_int_equal(k->exchanges[2].outcome, TRACK_UNKNOWN);
    talk_free(k);
}

static unsigned outcome_of(const char *text)
{
    struct talk *k = talk_new(NULL);
    talk_play(k, "1 open; 1> connect id=a expiry=60 clean=0; 1< connack; ");
    talk_play(k, text);
    talk_finish(k);
    assert_true(talk_worst(k) <= MQTT_SEVERITY_NOTE);
    unsigned outcome = k->exchanges[1].outcome;
    talk_free(k);
    return outcome;
}

static void outcomes(void **state)
{
    (void)state;
    assert_int_equal(outcome_of("1> pub q=1 id=1; 1< puback id=1"), TRACK_COMPLETE);
    assert_int_equal(outcome_of("1> pub q=1 id=1; 1< puback id=1 code=0x10"), TRACK_COMPLETE);
    assert_int_equal(outcome_of("1> pub q=1 id=1; 1< puback id=1 code=0x87"), TRACK_REFUSED);
    assert_int_equal(outcome_of("1> pub q=2 id=1; 1< pubrec id=1 code=0x97"), TRACK_REFUSED);
    assert_int_equal(outcome_of("1> pub q=1 id=1; 1 fin>; 1< puback id=1"), TRACK_COMPLETE); /* they crossed */
    assert_int_equal(outcome_of("1> sub id=1 f=x:0; 1 fin>; +2s; "), TRACK_ABANDONED);
    assert_int_equal(outcome_of("1> sub id=1 f=x:0; 1< suback id=1 c=0x87"), TRACK_REFUSED);
    assert_int_equal(outcome_of("1> pub q=1 id=1; 1 gap<; 1 fin<; 2 open; 2> connect id=a clean=0; 2< connack; "),
                     TRACK_UNKNOWN);
}

/* One direction alone, and a CONNACK that was captured before its CONNECT. */
static void half_a_capture(void **state)
{
    (void)state;
    static const char *const halves[] = {
        "1 mid; 1> connect v=4 id=a cross; 1> pub q=2 id=1 p=a; 1> pubrel id=1; +20s; 1> pub q=1 id=1 p=b; 1 fin>",
        "1 mid; 1< connack; 1< pub q=2 id=1 p=a; 1< pubrel id=1; 1< puback id=9; +20s; 1< pong; 1 fin<",
        "1 open; 1< connack; 1> connect v=4 id=a; +20s; 1 fin<",
    };
    for (size_t i = 0; i < sizeof halves / sizeof halves[0]; i++) {
        struct talk *k = talk_new(NULL);
        talk_play(k, halves[i]);
        talk_finish(k);
        if (k->bad || talk_worst(k) > MQTT_SEVERITY_NOTE) {
            talk_print(k);
            fail_msg("%s", halves[i]);
        }
        talk_free(k);
    }
    /* what arrived and was not captured may be the answer */
    for (unsigned lost = 0; lost < 2; lost++) {
        struct talk *k = talk_new(NULL);
        talk_play(k, "1 open; 1> connect v=4 id=a; 1< connack; 1> ping; 1> sub id=1 f=x:0");
        if (lost)
            track_unseen(k->track, k->conn[1].handle, 1);
        talk_play(k, "+9s");
        assert_int_equal(talk_says(k, MQTT_R4_3_8_4_1, MQTT_SEVERITY_WARNING), lost ? 0 : 1);
        talk_play(k, "1< pong; 1> ping; +9s");
        assert_int_equal(talk_says(k, MQTT_R4_3_12_4_1, MQTT_SEVERITY_WARNING), lost ? 1 : 2);
        talk_free(k);
    }
}

/* Which PUBLISH a delivery hands on, among many; one whose place was taken is not known. */
static void deliveries_are_told(void **state)
{
    (void)state;
    enum { MANY = 3000, LAST = 200 };
    uint64_t frames[MANY];
    unsigned known = 0;
    struct talk *k = talk_new(NULL);
    char step[64];
    talk_play(k, "1 open; 1> connect id=a; 1< connack; 1> sub id=1 f=#:0; 1< suback id=1 c=0; 2 open; 2> connect id=b; "
                 "2< connack");
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(step, sizeof step, "2> pub t=t/%u p=%u", i % 7, i);
        talk_play(k, step);
        frames[i] = k->frame;
        if (i < LAST)
            continue;
        k->n_notes = 0;
        snprintf(step, sizeof step, "1< pub t=t/%u p=%u", (i - LAST) % 7, i - LAST);
        talk_play(k, step);
        uint64_t told = last_note(k)->published_frame;
        assert_true(told == 0 || told == frames[i - LAST]);
        assert_int_equal(last_note(k)->forward_ns, told == 0 ? -1 : (int64_t)(k->frame - told) * 1000000);
        known += told != 0;
    }
    assert_true(known > (MANY - LAST) * 9 / 10);
    k->n_notes = 0;
    talk_play(k, "1< pub t=t/1 p=never");
    assert_int_equal(last_note(k)->published_frame, 0);
    /* sent twice at once: either may be meant; long apart: the latest, if soon */
    talk_play(k, "2> pub t=u p=x; 2> pub t=u p=x; 1< pub t=u p=x");
    assert_int_equal(last_note(k)->published_frame, 0);
    talk_play(k, "+9s; 2> pub t=u p=x; 1< pub t=u p=x");
    assert_int_equal(last_note(k)->published_frame, k->frame - 1);
    talk_play(k, "1< pub t=u p=x retain");
    assert_int_equal(last_note(k)->forward_ns, -1);
    talk_free(k);
}

static void publish_each(struct talk *k, unsigned n)
{
    char step[64];
    for (unsigned i = 0; i < n; i++) {
        snprintf(step, sizeof step, "2> pub t=again/%u p=x", i);
        talk_play(k, step);
    }
}

/* What is sent again stays known as long as what is sent for the first time then. */
static void a_message_sent_again_is_young(void **state)
{
    (void)state;
    enum { FEW = 16, KEPT = 2048 };
    unsigned known = 0;
    struct talk *k = talk_new(NULL);
    char step[64];
    talk_play(k, "1 open; 1> connect id=a; 1< connack; 1> sub id=1 f=#:0; 1< suback id=1 c=0; 2 open; 2> connect id=b; "
                 "2< connack");
    publish_each(k, FEW);
    for (unsigned i = 0; i < KEPT; i++) {
        if (i == KEPT * 5 / 8) {
            talk_play(k, "+9s");
            publish_each(k, FEW);
        }
        snprintf(step, sizeof step, "2> pub t=t p=%u", i);
        talk_play(k, step);
    }
    for (unsigned i = 0; i < FEW; i++) {
        k->n_notes = 0;
        snprintf(step, sizeof step, "1< pub t=again/%u p=x", i);
        talk_play(k, step);
        known += last_note(k)->published_frame != 0;
    }
    assert_true(known > FEW * 2 / 3); /* a few gave their place to others */
    talk_free(k);
}

static void wills(void **state)
{
    (void)state;
    struct talk *k = talk_new(NULL);
    talk_play(k, "1 open; 1> connect id=a will=w/a wp=gone; 1< connack; 2 open; 2> connect id=b; 2< connack; 1 fin>; "
                 "2< pub t=w/a p=gone");
    assert_true(saw(k, TRACK_SESSION_WILL_ARMED) && saw(k, TRACK_SESSION_WILL_DUE) && saw(k, TRACK_SESSION_WILL_SENT));
    talk_free(k);
    k = talk_new(NULL);
    talk_play(k, "1 open; 1> connect id=a will=w/a wp=gone; 1< connack; 2 open; 2> connect id=b; 2< connack; 1> disc; "
                 "1 fin>; 2< pub t=w/a p=gone");
    assert_true(saw(k, TRACK_SESSION_WILL_DROPPED) && !saw(k, TRACK_SESSION_WILL_DUE) &&
                !saw(k, TRACK_SESSION_WILL_SENT));
    talk_free(k);
    k = talk_new(NULL); /* the Will Delay runs; coming back in time drops the will */
    talk_play(k, "1 open; 1> connect id=a clean=0 expiry=60 will=w/a wdelay=5; 1< connack; 1 fin>; +2s; 2 open; 2> "
                 "connect id=a clean=0 expiry=60; 2< connack sp=1; +9s");
    assert_true(saw(k, TRACK_SESSION_WILL_DROPPED) && !saw(k, TRACK_SESSION_WILL_DUE));
    talk_free(k);
    k = talk_new(NULL);
    talk_play(k, "1 open; 1> connect id=a clean=0 expiry=60 will=w/a wdelay=5; 1< connack; 1 fin>; +9s");
    assert_true(saw(k, TRACK_SESSION_WILL_DUE));
    talk_free(k);
}

static void sessions_expire(void **state)
{
    (void)state;
    struct talk *k = talk_new(NULL);
    talk_play(k, "1 open; 1> connect id=a clean=0 expiry=10; 1< connack; 1> pub q=1 id=1; 1 fin>; +5s");
    assert_true(saw(k, TRACK_SESSION_DETACHED) && !saw(k, TRACK_SESSION_ENDED));
    talk_play(k, "+6s");
    assert_true(saw(k, TRACK_SESSION_ENDED));
    assert_int_equal(k->exchanges[k->n_exchanges - 1].outcome, TRACK_ABANDONED);
    talk_free(k);
}

/* Who still has to answer when the capture ends is told with the exchange, and of none that is over. */
/* The wheel of deadlines counts in steps that come round after 78 hours. */
static void a_long_pause(void **state)
{
    (void)state;
    static const char *const pauses[] = { "+40s", "+200000s", "+281475s" };
    for (size_t i = 0; i < sizeof pauses / sizeof pauses[0]; i++) {
        struct talk *k = talk_new(NULL);
        talk_play(k, "1 open; 1> connect v=4 id=a ka=10; 1< connack");
        talk_play(k, pauses[i]);
        assert_int_equal(talk_says(k, MQTT_R4_3_1_2_24, MQTT_SEVERITY_ERROR), 1);
        talk_free(k);
    }
}

static void the_end_tells_who_owes(void **state)
{
    (void)state;
    struct talk *k = talk_new(NULL);
    talk_play(k,
              "1 open; 1> connect id=a; 1< connack; 1> pub q=2 id=1; 1< pubrec id=1; 1> pub q=1 id=2; 1< puback id=2");
    talk_finish(k);
    const struct track_exchange *over = &k->exchanges[k->n_exchanges - 2], *open = over + 1;
    assert_int_equal(over->outcome, TRACK_COMPLETE);
    assert_int_equal(over->owed_by, MQTT_NOBODY);
    assert_int_equal(open->outcome, TRACK_OPEN);
    assert_int_equal(open->owed_by, MQTT_CLIENT);
    assert_int_equal(open->owed_type, MQTT_PUBREL);
    talk_free(k);
}

static void a_gap_makes_unknown(void **state)
{
    (void)state;
    struct talk *k = talk_new(NULL);
    talk_play(k, "1 open; 1> connect id=a; 1< connack; 1> pub q=1 id=1; 1 gap<; +60s; 1> puback id=77; 1> pub q=1 id=1 "
                 "p=other; 1< suback id=4 c=0; 1 fin>");
    talk_finish(k);
    assert_true(talk_worst(k) <= MQTT_SEVERITY_NOTE);
    struct track_counts n;
    track_count(k->track, &n);
    assert_true(n.exchanges[TRACK_QOS1][TRACK_UNKNOWN] > 0);
    talk_free(k);
}

static void the_tables(void **state)
{
    (void)state;
    struct talk *k = talk_new(NULL);
    talk_play(k, "1 open; 1> connect id=a ka=30; 1< connack ska=20 rm=9; 1> sub id=1 f=a/+:1 f=b:2; 1< suback id=1 c=1 "
                 "c=0x87; 1< pub t=a/x; 1> pub q=1 id=2");
    uint32_t pos = 0;
    struct track_session s;
    assert_true(track_session_next(k->track, &pos, &s));
    assert_int_equal(s.keep_alive_s, 20);
    assert_true(s.keep_alive_by_server && s.connected && s.whole);
    assert_int_equal(s.window[0], 9);
    assert_int_equal(s.subscriptions, 1);
    assert_int_equal(s.published[1][0], 1);
    assert_int_equal(s.owed_by, MQTT_SERVER);
    assert_int_equal(s.owed_type, MQTT_PUBACK);
    assert_int_equal(s.inflight[0], 1);
    assert_false(track_session_next(k->track, &pos, &s));
    struct track_subscription b;
    pos = 0;
    assert_true(track_subscription_next(k->track, s.number, &pos, &b));
    assert_memory_equal(b.filter.ptr, "a/+", 3);
    assert_int_equal(b.matched, 1);
    assert_false(track_subscription_next(k->track, s.number, &pos, &b));
    struct track_exchange x;
    pos = 0;
    assert_true(track_exchange_of(k->track, s.number, &pos, &x));
    assert_int_equal(x.id, 2);
    talk_free(k);
}

/* A client that opens 65,535 exchanges costs what the header says. */
static void many_exchanges(void **state)
{
    (void)state;
    static const char topic[] = "a/topic/of/thirty/two/octets/abc";
    struct talk *k = talk_new(NULL);
    talk_play(k, "1 open; 1> connect v=4 id=a; 1< connack");
    uint64_t before = k->allocated;
    char text[96];
    for (unsigned id = 1; id <= 65535; id++) {
        snprintf(text, sizeof text, "1> pub q=2 id=%u t=%s; 1< pubrec id=%u", id, topic, id);
        talk_play(k, text);
    }
    struct track_counts n;
    track_count(k->track, &n);
    assert_int_equal(n.open, 65535);
    uint64_t cost = (k->allocated - before) / 65535;
    assert_in_range(cost, TRACK_COST_EXCHANGE / 2, TRACK_COST_EXCHANGE + TRACK_COST_TOPIC + sizeof topic);
    assert_true(k->allocated - before < (16u << 20) + 65535 * sizeof topic);
    assert_int_equal(n.memory, k->allocated);
    talk_finish(k);
    talk_free(k);
}

/* So many connections that are up, each with its session, and how many octets each takes. */
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static uint64_t octets_each(unsigned n, const char *each)
{
    struct talk *k = talk_new(NULL);
    char text[256];
    talk_play(k, "1 open; 1> connect v=4 id=a; 1< connack");
    uint64_t before = k->allocated;
    for (unsigned i = 0; i < n; i++) {
        snprintf(text, sizeof text, each, i, i);
        talk_play(k, text);
    }
    struct track_counts counts;
    track_count(k->track, &counts);
    assert_int_equal(counts.sessions, n + 1);
    assert_int_equal(counts.evicted_connections + counts.evicted_sessions, 0);
    uint64_t cost = (k->allocated - before) / n;
    talk_finish(k);
    talk_free(k);
    return cost;
}

/* Growth of what a fleet of idle clients takes is seen here; the figures are those of the header. */
static void a_live_connection_is_small(void **state)
{
    (void)state;
    uint64_t plain = octets_each(4000, "1 open; 1> connect v=4 id=dev-%06u; 1< connack; 1> sub id=1 "
                                       "f=site/12/dev-%06u/#:1; 1< suback id=1 c=1");
    uint64_t busy = octets_each(4000, "1 open; 1> connect id=dev-%06u rm=9; 1< connack rm=9; 1> sub id=1 "
                                      "f=site/12/dev-%06u/#:1; 1< suback id=1 c=1; 1< pub q=1 id=1 t=site/12/a; 1> "
                                      "puback id=1; 1> pub q=2 id=2 t=b; 1< pubrec id=2; 1> connect");
    assert_in_range(plain, 400, 592);
    assert_in_range(busy, plain,
                    TRACK_COST_CONNECTION + TRACK_COST_SESSION + TRACK_COST_EXCHANGE + TRACK_COST_SUBSCRIPTION + 64);
}

static void limits_hold(void **state)
{
    (void)state;
    struct track_config c;
    track_defaults(&c);
    c.max_connections = 3;
    c.max_sessions = 3;
    c.max_exchanges = 10;
    c.max_topics = 4;
    c.max_subscriptions = 3;
    c.max_text = 64;
    c.answer_ns = 3600 * 1000000000ll;
    uint64_t connections = 0, sessions = 0, exchanges = 0;
    for (unsigned seed = 1; seed <= 60; seed++) {
        struct talk *k = talk_new(&c);
        struct model *m = model_new(k, seed, false);
        for (unsigned i = 0; i < 800; i++) {
            m_step(m);
            struct track_counts n;
            track_count(k->track, &n);
            assert_true(n.connections <= 3 && n.sessions <= 3 && n.open <= 10 && n.topics <= 4 && n.subscriptions <= 3);
        }
        struct track_counts n;
        track_count(k->track, &n);
        connections += n.evicted_connections;
        sessions += n.evicted_sessions;
        exchanges += n.evicted_exchanges;
        if (talk_worst(k) > MQTT_SEVERITY_NOTE) { /* what was evicted is unknown, not wrong */
            print_error("seed %u\n", seed);
            talk_print(k);
            fail();
        }
        talk_finish(k);
        free(m);
        talk_free(k);
    }
    assert_true(connections > 0 && sessions > 0 && exchanges > 0);
}

/* ---- memory that runs out ---- */

struct scarce {
    uint64_t left, held, refused;
};

static void *scarce_resize(void *ctx, void *old, size_t old_size, size_t size)
{
    struct scarce *s = ctx;
    if (size == 0) {
        s->held -= old_size;
        free(old);
        return NULL;
    }
    if (size > s->left) {
        s->refused++;
        return NULL;
    }
    s->left -= size;
    s->held += size - old_size;
    return realloc(old, size);
}

static void no_memory(void **state)
{
    (void)state;
    for (uint64_t budget = 0; budget < 300000; budget += 3001) {
        struct scarce scarce = { .left = budget };
        struct talk *k = talk_new(NULL);
        struct track *own = k->track;
        struct track_config c;
        track_defaults(&c);
        k->track = track_new(&c, (struct track_memory){ .resize = scarce_resize, .ctx = &scarce },
                             (struct track_events){ talk_on_finding, NULL, NULL, k });
        if (k->track != NULL) {
            struct model *m = model_new(k, budget + 1, false);
            for (unsigned i = 0; i < 1500; i++)
                m_step(m);
            talk_finish(k);
            struct track_counts counts;
            track_count(k->track, &counts);
            assert_int_equal(counts.refused, scarce.refused);
            track_free(k->track);
            free(m);
        }
        assert_int_equal(scarce.held, 0);
        k->track = own;
        talk_free(k);
    }
}

static void nothing_is_left(void **state)
{
    (void)state;
    struct talk *k = talk_new(NULL);
    struct model *m = model_new(k, 4, false);
    for (unsigned i = 0; i < 3000; i++)
        m_step(m);
    track_free(k->track);
    assert_int_equal(k->allocated, 0);
    k->track = NULL;
    free(m);
    talk_free(k);
}

/* A session that is gone is handed out by no table, also when others went before it. */
static void gone_sessions_are_gone(void **state)
{
    (void)state;
    struct talk *k = talk_new(NULL);
    struct track_counts counts;
    struct track_session s;
    uint32_t pos = 0, found = 0;
    talk_play(k, "1 open; 2 open; 3 open; 4 open; 1 forget; 2 forget; 3 forget");
    track_count(k->track, &counts);
    assert_int_equal(counts.sessions, 1);
    while (track_session_next(k->track, &pos, &s))
        found++;
    assert_int_equal(found, 1);
    talk_free(k);
}

/* Handles of connections that are gone do nothing. */
static void stale_handles(void **state)
{
    (void)state;
    struct talk *k = talk_new(NULL);
    talk_play(k, "1 open; 1> connect id=a; 1< connack; 1> pub q=1 id=1; 1 forget; 1> ping; 1 fin>; 1 gap>; 2 open; 1< "
                 "pong; 1 forget");
    assert_int_equal(last_note(k)->exchange, 0);
    assert_int_equal(track_session_of(k->track, k->conn[1].handle), 0);
    assert_int_equal(talk_worst(k), 0);
    talk_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_qos2_exchange_step_by_step),
        cmocka_unit_test(the_same_id_up_and_down_is_two),
        cmocka_unit_test(an_exchange_over_two_connections),
        cmocka_unit_test(a_client_goes_on_without_a_session),
        cmocka_unit_test(outcomes),
        cmocka_unit_test(half_a_capture),
        cmocka_unit_test(deliveries_are_told),
        cmocka_unit_test(a_message_sent_again_is_young),
        cmocka_unit_test(wills),
        cmocka_unit_test(sessions_expire),
        cmocka_unit_test(a_long_pause),
        cmocka_unit_test(the_end_tells_who_owes),
        cmocka_unit_test(a_gap_makes_unknown),
        cmocka_unit_test(the_tables),
        cmocka_unit_test(many_exchanges),
        cmocka_unit_test(a_live_connection_is_small),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(no_memory),
        cmocka_unit_test(nothing_is_left),
        cmocka_unit_test(gone_sessions_are_gone),
        cmocka_unit_test(stale_handles),
    };
    return cmocka_run_group_tests_name("tracker", tests, NULL, NULL);
}
