/* SPDX-License-Identifier: Apache-2.0
 *
 * A capture is read, its rows are rebuilt into a pcapng file, and that is read again: the packets have to be the same.
 */
#include "capture/pipeline.h"
#include "tests/tui/rows.h"
#include "tui/rebuild.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static unsigned on_row(void *ctx, const struct row *row)
{
    store_add(ctx, row);
    return PIPELINE_GO_ON;
}

static void on_connection(void *ctx, const struct pipeline_connection *c)
{
    struct store_link link = { .open = c->what == PIPELINE_OPENED,
                               .from_syn = c->from_syn,
                               .close = c->what == PIPELINE_CLOSED_RST   ? STORE_RST
                                        : c->what == PIPELINE_CLOSED_FIN ? STORE_FIN
                                                                         : STORE_ENDED,
                               .stream = c->stream,
                               .src = c->src,
                               .dst = c->dst,
                               .sender = c->sender,
                               .time_ns = c->time_ns,
                               .frame = c->frame };
    store_add_link(ctx, &link, NULL);
}

static struct store *read_capture(const char *path, struct view image)
{
    static const struct pipeline_events events = { .connection = on_connection, .row = on_row };
    struct pipeline_options options = { .file = path, .image = image, .budget = pipeline_budget_default() };
    struct store *s = store_new(STORE_BUDGET);
    char error[PIPELINE_ERROR_MAX];
    bool usage;
    struct pipeline *p = pipeline_open(&options, &events, s, error, &usage);
    if (p == NULL)
        fail_msg("%s", error);
    while (pipeline_step(p, 1000, 0) == PIPELINE_MORE)
        ;
    if (path == NULL)
        assert_string_equal(pipeline_error(p), "");
    pipeline_close(p);
    return s;
}

static char *rebuild(struct store *s, size_t *len)
{
    char *image = NULL;
    FILE *to = open_memstream(&image, len);
    struct rebuild *r = rebuild_new(to);
    struct store_entry e;
    for (uint64_t seq = store_first(s); seq < store_end(s); seq++)
        if (store_get(s, seq, &e))
            assert_true(rebuild_row(r, &e));
    assert_true(rebuild_free(r));
    fclose(to);
    return image;
}

static bool next_packet(struct store *s, uint64_t *seq, struct store_entry *e)
{
    while (*seq < store_end(s))
        if (store_get(s, (*seq)++, e) && e->meta->kind == STORE_PACKET)
            return true;
    return false;
}

static void same_packets(struct store *was, struct store *is)
{
    struct store_entry a, b;
    uint64_t i = 0, k = 0, n = 0;
    for (; next_packet(was, &i, &a); n++) {
        if (!next_packet(is, &k, &b))
            fail_msg("packet %llu is missing", (unsigned long long)n);
        assert_int_equal(a.meta->total, b.meta->total);
        assert_int_equal(a.meta->held, b.meta->held);
        assert_memory_equal(a.packet.octets, b.packet.octets, a.meta->held);
        assert_int_equal(a.row.time_ns, b.row.time_ns);
        assert_int_equal(a.row.src.port, b.row.src.port);
        assert_memory_equal(a.row.src.addr.octets, b.row.src.addr.octets, 16);
        assert_int_equal(a.row.dst.port, b.row.dst.port);
        assert_int_equal(a.row.sender, b.row.sender);
    }
    assert_false(next_packet(is, &k, &b));
    assert_true(n > 0);
}

static void rebuilt_frames_hold_the_same_packets(void **state)
{
    static const char *const captures[] = { "mqtt311_qos2_killed.pcap", "mqtt5_everything_mosquitto.pcap",
                                            "mqtt5_basics_ipv6.pcap", "arkime__mqtt_big.pcap",
                                            "founding_same_clientid_takeover.pcap" };
    (void)state;
    for (size_t i = 0; i < sizeof captures / sizeof *captures; i++) {
        char path[128];
        size_t len;
        snprintf(path, sizeof path, "tests/captures/%s", captures[i]);
        struct store *was = read_capture(path, (struct view){ 0 });
        char *image = rebuild(was, &len);
        struct store *is = read_capture(NULL, view_of(image, len));
        same_packets(was, is);
        store_free(was);
        store_free(is);
        free(image);
    }
}

/* A packet that the store has cut: the rest is not captured, and what follows is still found. */
static void a_cut_packet_stays_cut(void **state)
{
    size_t len;
    struct store *was = read_capture("tests/captures/mqtt311_publish_1200000.pcap.gz", (struct view){ 0 });
    char *image = rebuild(was, &len);
    struct store *is = read_capture(NULL, view_of(image, len));
    struct store_entry e;
    uint64_t seq = 0, large = 0, after = 0;
    (void)state;
    while (next_packet(is, &seq, &e)) {
        large += e.meta->total > 1200000;
        after += e.packet.type == MQTT_PUBLISH && e.packet.id == 78;
    }
    assert_int_equal(large, 1);
    assert_int_equal(after, 1);
    assert_true(len < 200000);
    store_free(was);
    store_free(is);
    free(image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rebuilt_frames_hold_the_same_packets),
        cmocka_unit_test(a_cut_packet_stays_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
