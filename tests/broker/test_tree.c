/* SPDX-License-Identifier: Apache-2.0
 *
 * The topic tree against topic_matches(), which knows no tree: the same filters match the same topics, for
 * subscriptions and for retained messages, and nothing is left when all are gone. */
#include "decoder/mqtt/topic.h"
#include "fuzz/broker/internal.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/broker/host.h"

enum { FILTERS = 60, TOPICS = 400, TEXT_MAX = 24 };

static void give_random(void *ctx, uint8_t *out, size_t len)
{
    (void)ctx;
    memset(out, 9, len);
}

static void ready(void *ctx, void *user)
{
    (void)ctx;
    (void)user;
}

static const struct broker_host host = { NULL, heap_resize, give_random, ready, NULL };

static struct broker *make(void)
{
    struct broker_config config = broker_defaults();
    struct broker *b = broker_new(&config, &host, 0);
    assert_non_null(b);
    return b;
}

/* Levels out of very few names, empty ones and $ among them, so that much matches. */
static size_t some_text(char *out, bool filter)
{
    static const char *const names[] = { "a", "b", "", "$s", "ab" };
    size_t len = 0;
    unsigned levels = 1 + rnd(4);
    for (unsigned i = 0; i < levels; i++) {
        uint32_t kind = rnd(10);
        const char *name = filter && kind < 3 ? "+" : filter && kind == 3 ? "#" : names[rnd(5)];
        if (i > 0)
            out[len++] = '/';
        memcpy(out + len, name, strlen(name));
        len += strlen(name);
        if (name[0] == '#')
            break;
    }
    if (len == 0)
        out[len++] = 'a';
    return len;
}

static bool matched[FILTERS];
static struct node *nodes[FILTERS];

static void mark(void *ctx, struct subscription *s)
{
    (void)ctx;
    assert_false(matched[s->id - 1]); /* each once */
    matched[s->id - 1] = true;
}

static void no_group(void *ctx, struct group *g)
{
    (void)ctx;
    (void)g;
    fail();
}

static void test_match(void **state)
{
    (void)state;
    static const struct match_events events = { mark, no_group };
    for (int round = 0; round < 200; round++) {
        struct broker *b = make();
        static char filters[FILTERS][TEXT_MAX];
        static struct subscription subs[FILTERS];
        size_t lens[FILTERS];
        uint64_t before = b->memory.used;
        for (uint32_t i = 0; i < FILTERS; i++) {
            lens[i] = some_text(filters[i], true);
            nodes[i] = tree_node(b, view_of(filters[i], lens[i]), true);
            assert_non_null(nodes[i]);
            subs[i] = (struct subscription){ .node = nodes[i], .id = i + 1, .next = nodes[i]->subs };
            nodes[i]->subs = &subs[i];
        }
        for (int t = 0; t < TOPICS / 10; t++) {
            char topic[TEXT_MAX];
            struct view name = view_of(topic, some_text(topic, false));
            memset(matched, 0, sizeof matched);
            tree_match(b, name, &events, NULL);
            for (uint32_t i = 0; i < FILTERS; i++)
                assert_int_equal(matched[i], topic_matches(view_of(filters[i], lens[i]), name));
        }
        for (uint32_t i = 0; i < FILTERS; i++)
            nodes[i]->subs = NULL;
        for (uint32_t i = 0; i < FILTERS; i++) {
            struct node *n = tree_node(b, view_of(filters[i], lens[i]), false);
            if (n != NULL)
                tree_prune(b, n);
        }
        assert_int_equal(b->tree.n, 0);
        assert_true(b->memory.used <= before + b->tree.cap * sizeof(void *) + sizeof(struct node));
        broker_free(b);
    }
}

struct found {
    struct view filter;
    unsigned n;
};

static bool check_retained(void *ctx, struct node *n)
{
    struct found *f = ctx;
    assert_true(topic_matches(f->filter, message_view(n->retained).topic));
    f->n++;
    return true;
}

static void test_retained(void **state)
{
    (void)state;
    for (int round = 0; round < 100; round++) {
        struct broker *b = make();
        static char topics[TOPICS][TEXT_MAX];
        size_t lens[TOPICS];
        unsigned different = 0;
        for (int i = 0; i < TOPICS; i++) {
            lens[i] = some_text(topics[i], false);
            struct publication pub = { .topic = view_of(topics[i], lens[i]),
                                       .payload = view_of("x", 1),
                                       .deadline = UINT64_MAX };
            assert_true(retained_store(b, &pub));
            bool again = false;
            for (int k = 0; k < i; k++)
                again |= lens[k] == lens[i] && memcmp(topics[k], topics[i], lens[i]) == 0;
            if (again)
                lens[i] = 0;
            different += !again;
        }
        assert_int_equal(b->stats.retained, different);
        for (int t = 0; t < 50; t++) {
            char text[TEXT_MAX];
            struct found f = { .filter = view_of(text, some_text(text, true)) };
            unsigned want = 0;
            for (int i = 0; i < TOPICS; i++)
                want += lens[i] > 0 && topic_matches(f.filter, view_of(topics[i], lens[i]));
            tree_retained(b, f.filter, check_retained, &f);
            assert_int_equal(f.n, want);
        }
        for (int i = 0; i < TOPICS; i++) {
            struct publication erase = { .topic = view_of(topics[i], lens[i]), .deadline = UINT64_MAX };
            if (lens[i] > 0)
                assert_true(retained_store(b, &erase));
        }
        assert_int_equal(b->stats.retained, 0);
        assert_int_equal(b->tree.n, 0);
        broker_free(b);
    }
}

/* A topic of 32,768 levels costs no stack: the tree is only as deep as what was put into it. */
static void test_deep_topic(void **state)
{
    (void)state;
    static uint8_t deep[65535];
    static const struct match_events events = { mark, no_group };
    struct broker *b = make();
    memset(deep, '/', sizeof deep);
    struct subscription sub = { .id = 1 };
    struct node *n = tree_node(b, view_of("+/#", 3), true);
    n->subs = &sub;
    memset(matched, 0, sizeof matched);
    tree_match(b, view_of(deep, sizeof deep), &events, NULL);
    assert_true(matched[0]);
    assert_null(tree_node(b, view_of(deep, sizeof deep), true));
    n->subs = NULL;
    tree_prune(b, n);
    assert_int_equal(b->tree.n, 0);
    broker_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_match), cmocka_unit_test(test_retained),
                                        cmocka_unit_test(test_deep_topic) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
