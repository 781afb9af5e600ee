/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/decoder/test_track_model.c -- random legal conversations: nobody is accused, every exchange is accounted for;
 * and the same with one planted fault: it is told by the right rule. */
#include "tests/decoder/model_faults.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { RUNS = 600, STEPS = 1500, FAULT_SEEDS = 6 };

static uint64_t all_exchanges(const struct talk *k)
{
    struct track_counts n;
    uint64_t sum = 0;
    track_count(k->track, &n);
    for (unsigned kind = 0; kind < TRACK_KINDS; kind++)
        for (unsigned o = 0; o < TRACK_OUTCOMES; o++)
            sum += n.exchanges[kind][o];
    return sum;
}

static struct talk *patient(void)
{
    struct track_config c;
    track_defaults(&c);
    c.answer_ns = 3600 * 1000000000ll; /* the model takes its time */
    return talk_new(&c);
}

static void nobody_is_accused(void **state)
{
    (void)state;
    struct model seen = { 0 };
    for (unsigned seed = 1; seed <= RUNS; seed++) {
        struct talk *k = patient();
        struct model *m = model_new(k, seed, false);
        for (unsigned i = 0; i < STEPS; i++) {
            m_step(m);
            if (m_one_in(m, 300))
                m_rest(m);
        }
        m_drain(m);
        talk_finish(k);
        if (talk_worst(k) > MQTT_SEVERITY_NOTE) {
            print_error("seed %u\n", seed);
            talk_print(k);
            fail();
        }
        struct track_counts n;
        track_count(k->track, &n);
        assert_true(n.packets > STEPS / 8);
        assert_int_equal(n.open, 0);
        seen.takeovers += m->takeovers;
        seen.wills += m->wills;
        seen.forwards += m->forwards;
        seen.aliases += m->aliases;
        seen.endings += m->endings;
        free(m);
        talk_free(k);
    }
    assert_true(seen.takeovers > RUNS / 2 && seen.wills > RUNS / 2 && seen.endings > RUNS / 30);
    assert_true(seen.forwards > 10 * RUNS && seen.aliases > 4 * RUNS);
}

/* Numbers are given one by one; each ends in exactly one outcome. */
static void every_exchange_is_accounted_for(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= RUNS / 3; seed++) {
        struct talk *k = patient();
        struct model *m = model_new(k, seed + 1000, false);
        uint64_t last = 0;
        for (unsigned i = 0; i < STEPS; i++) {
            m_step(m);
            for (uint32_t r = 0; r < k->n_notes; r++)
                last = k->notes[r].exchange > last ? k->notes[r].exchange : last;
            k->n_notes = 0;
            assert_int_equal(all_exchanges(k), last);
        }
        talk_finish(k);
        assert_int_equal(all_exchanges(k), last);
        free(m);
        talk_free(k);
    }
}

/* Without closings and repeats the counts are those of the model. */
static void calm_counts_are_exact(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= RUNS / 3; seed++) {
        struct talk *k = patient();
        struct model *m = model_new(k, seed + 5000, true);
        for (unsigned i = 0; i < STEPS; i++)
            m_step(m);
        for (unsigned i = 0; i < M_CLIENTS; i++) /* what was sent passes the capture */
            for (unsigned n = 0; n < M_QUEUE; n++) {
                m_capture(m, &m->client[i], 0);
                m_capture(m, &m->client[i], 1);
            }
        struct track_counts n;
        talk_finish(k);
        track_count(k->track, &n);
        uint64_t done = 0, rest = 0;
        for (unsigned kind = TRACK_QOS1; kind <= TRACK_QOS2; kind++) {
            done += n.exchanges[kind][TRACK_COMPLETE] + n.exchanges[kind][TRACK_REFUSED];
            rest += n.exchanges[kind][TRACK_ABANDONED] + n.exchanges[kind][TRACK_REPLACED] +
                    n.exchanges[kind][TRACK_UNKNOWN];
        }
        if (done != m->finished || rest != 0 || talk_worst(k) > MQTT_SEVERITY_NOTE) {
            print_error("seed %u: %u done of %u, %u lost\n", seed, (unsigned)done, m->finished, (unsigned)rest);
            talk_print(k);
            fail();
        }
        free(m);
        talk_free(k);
    }
}

/* ---- one fault in the model's own conversation ---- */

/* Told once, of the right side and at the right frame, and nothing louder than a note beside it. */
static bool is_told(const struct talk *k, enum mqtt_rule rule, unsigned side, uint64_t frame)
{
    unsigned right = 0, others = 0;
    for (uint32_t i = 0; i < k->n_found; i++) {
        if (k->found[i].severity <= MQTT_SEVERITY_NOTE)
            continue;
        bool it = k->found[i].rule == rule && k->found[i].side == side && k->found[i].frame == frame;
        right += it;
        others += !it;
    }
    return right == 1 && others == 0;
}

static void one_fault_is_told(void **state)
{
    (void)state;
    unsigned kinds = 0, failed = 0;
    for (size_t i = 0; i < sizeof m_faults / sizeof m_faults[0]; i++)
        for (unsigned way = 0; way < 4; way++) {
            const struct m_fault *f = &m_faults[i];
            unsigned side = way & 1;
            uint8_t version = way < 2 ? MQTT_V311 : MQTT_V5;
            enum mqtt_rule rule = version == MQTT_V5 ? f->v5[side] : f->v311[side];
            kinds += rule != MQTT_RULE_NONE;
            for (unsigned seed = 1; seed <= FAULT_SEEDS && rule != MQTT_RULE_NONE; seed++) {
                struct talk *k = patient();
                struct model *m = model_new(k, seed * 1000 + i * 4 + way, false);
                m_prepare(m, f, version);
                for (unsigned s = m_random(m, 600); s > 0; s--)
                    m_step(m);
                uint64_t frame = m_plant(m, f, side, version);
                talk_finish(k);
                if (frame == 0 || k->bad || !is_told(k, rule, side == 0 ? MQTT_CLIENT : MQTT_SERVER, frame)) {
                    print_error("%s, by the %s, version %u, seed %u: frame %u\n", f->name,
                                side == 0 ? "client" : "server", version, seed, (unsigned)frame);
                    talk_print_loud(k);
                    failed++;
                }
                free(m);
                talk_free(k);
            }
        }
    assert_true(kinds >= 60);
    assert_int_equal(failed, 0);
}

/* ---- planted faults: every case of every rule, played among the model's clients ---- */

static const struct planted {
    enum mqtt_rule rule;
    const char *symbol;
    enum mqtt_severity severity;
    const char *text;
} planted[] = {
#define CASE(sym, severity, broken, neighbour) { MQTT_##sym, #sym, MQTT_SEVERITY_##severity, broken },
#include "tests/decoder/track_cases.def"
};

static void play_among(struct talk *k, struct model *m, const char *text)
{
    while (*text != '\0') {
        text += strspn(text, " ;");
        size_t len = strcspn(text, ";");
        if (len == 0)
            continue;
        if (*text == '+')
            m_drain(m); /* nothing of the model waits while time passes */
        else
            for (unsigned i = m_random(m, 40); i > 0; i--)
                m_step(m);
        talk_step(k, text, text + len);
        text += len;
    }
}

/* What the case alone brings, and nothing more. */
static unsigned loud(const struct talk *k)
{
    unsigned n = 0;
    for (uint32_t i = 0; i < k->n_found; i++)
        n += k->found[i].severity > MQTT_SEVERITY_NOTE;
    return n;
}

static void planted_faults_are_told(void **state)
{
    (void)state;
    unsigned failed = 0, kinds = 0;
    for (size_t i = 0; i < sizeof planted / sizeof planted[0]; i++) {
        struct talk *alone = talk_new(NULL);
        talk_play(alone, planted[i].text);
        talk_finish(alone);
        kinds++;
        for (unsigned seed = 1; seed <= 3; seed++) {
            struct talk *k = talk_new(NULL);
            struct model *m = model_new(k, seed + 77 * (uint64_t)i, false);
            for (unsigned s = m_random(m, 300); s > 0; s--)
                m_step(m);
            play_among(k, m, planted[i].text);
            m_drain(m);
            talk_finish(k);
            if (talk_says(k, planted[i].rule, planted[i].severity) == 0 || loud(k) != loud(alone)) {
                print_error("%s, seed %u: %u against %u\n", planted[i].symbol, seed, loud(k), loud(alone));
                talk_print(k);
                failed++;
            }
            free(m);
            talk_free(k);
        }
        talk_free(alone);
    }
    assert_true(kinds >= 60);
    assert_int_equal(failed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_is_accused),       cmocka_unit_test(every_exchange_is_accounted_for),
        cmocka_unit_test(calm_counts_are_exact),   cmocka_unit_test(one_fault_is_told),
        cmocka_unit_test(planted_faults_are_told),
    };
    return cmocka_run_group_tests_name("model of clients and broker", tests, NULL, NULL);
}
