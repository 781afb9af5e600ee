/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/target/judge.c -- our broker with our tracker as the judge. Claims: whatever the clients do, the broker breaks
 * no rule. Either the broker misbehaves or the tracker accuses the innocent; both are bugs. */
#include <stdio.h>
#include <stdlib.h>

#include "fuzz/engine/bench.h"
#include "fuzz/engine/watch.h"

const struct fuzz_target fuzz_target = { "judge", FUZZ_TALK };

static void on_opened(void *ctx, unsigned client)
{
    watch_open(ctx, client, true);
}

static void on_octets(void *ctx, unsigned client, bool by_server, struct view octets)
{
    struct watch *w = ctx;
    w->time_ns += 1000000; /* a client that is answered has received what came before */
    watch_octets(w, client, by_server, octets);
}

static void on_closed(void *ctx, unsigned client, bool by_server, bool reset)
{
    watch_close(ctx, client, reset ? TRACK_CLOSE_RST : TRACK_CLOSE_FIN, by_server);
}

static void on_waited(void *ctx, uint64_t ms)
{
    watch_wait(ctx, (int64_t)ms * 1000000);
}

static void judged(void *ctx, const struct watch_judgement *j)
{
    (void)ctx;
    if (j->side != MQTT_SERVER || j->severity < MQTT_SEVERITY_ERROR)
        return;
    const struct mqtt_rule_info *rule = mqtt_rule_info((enum mqtt_rule)j->rule);
    fprintf(stderr, "judge: %s (%s): %s\n", rule->id, mqtt_version_name(rule->version),
            j->sentence != NULL ? j->sentence : rule->fault);
    bool server_breaks_no_rule = false;
    HOLDS(server_breaks_no_rule);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct watch *w = calloc(1, sizeof *w);
    struct track_config config;
    struct bench_events events = { on_opened, on_octets, on_closed, on_waited, w };
    HOLDS(w != NULL);
    track_defaults(&config);
    config.max_connections = config.max_sessions = 256; /* more than a conversation can have, and tables soon made */
    config.max_exchanges = config.max_topics = config.max_subscriptions = 4096;
    w->judged = judged;
    HOLDS(watch_start(w, &config));
    bench_run(view_of(data + 1, size - 1), bench_kind(data[0]) == BENCH_FILES ? BENCH_FILES : BENCH_OPEN,
              fuzz_scene(data[0]).rest, &events);
    watch_end(w);
    free(w);
    return 0;
}
