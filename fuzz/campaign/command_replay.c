/* SPDX-License-Identifier: Apache-2.0
 *
 * mqfuzz --replay and --minimize: one plan, read from its file. */
#include <stdlib.h>
#include <string.h>

#include "fuzz/campaign/campaign.h"
#include "fuzz/talk.h"

enum { TALK_ROOM = 1 << 20 };

/* keep_prefix: for a talk, whose names are made anew in each run. */
static bool load(const char *path, struct plan *plan, const struct command *c, bool keep_prefix)
{
    size_t n;
    char prefix[24], *text = plan_file(path, &n);
    unsigned version = c->versions == 1u << MQTT_V5 ? MQTT_V5 : c->versions == 1u << MQTT_V31 ? MQTT_V31 : MQTT_V311;
    if (text == NULL)
        return false;
    if (keep_prefix)
        snprintf(prefix, sizeof prefix, TALK_PREFIX);
    else
        snprintf(prefix, sizeof prefix, "m%04xr", (unsigned)(c->seed & 0xffff));
    bool ok = plan_parse(plan, view_of(text, n), prefix, version);
    if (!ok)
        fprintf(stderr, "mqfuzz: %s: %s\n", path, plan->error);
    free(text);
    return ok;
}

int command_replay(const struct command *c)
{
    struct bench bench = { .command = c };
    struct stage stage = { .canary = CANARY_NONE };
    struct plan plan = { 0 };
    struct outcome o = { 0 };
    struct run *run = NULL;
    int status = EXIT_TROUBLE;
    if (!load(c->replay, &plan, c, false)) {
        plan_free(&plan);
        return EXIT_TROUBLE;
    }
    bool news;
    if (stage_open(&stage, &bench, c->deadline_ms) && stage_perform(&stage, &plan, true, &o, &news, &run)) {
        status = o.found ? EXIT_FINDINGS : EXIT_CLEAN;
        char *trace = run != NULL ? run_trace(run) : NULL;
        if (trace != NULL)
            fputs(trace, stdout);
        free(trace);
        if (o.found)
            printf("FINDING  %s %s%s%s: %s\n", o.oracle, o.version, o.version[0] != '\0' ? " " : "", o.title, o.why);
        else
            printf("nothing wrong\n");
        if (bench.process.pid > 0 && (o.found && strcmp(o.oracle, "crash") == 0) && bench.process.n_tail > 0)
            printf("the broker's last words:\n%s\n", bench.process.tail);
    }
    run_free(run);
    stage_close(&stage);
    plan_free(&plan);
    return fflush(stdout) == 0 ? status : EXIT_TROUBLE;
}

int command_minimize(const struct command *c)
{
    struct bench bench = { .command = c };
    struct stage stage = { .canary = CANARY_NONE };
    struct plan plan = { 0 }, whole = { 0 };
    struct talk talk = { 0 };
    struct outcome o = { 0 };
    struct run *run = NULL;
    int status = EXIT_TROUBLE;
    bool news;
    if (load(c->minimize, &plan, c, true) && (talk.octets = malloc(TALK_ROOM)) != NULL &&
        talk_of_plan(&plan, &talk, TALK_ROOM) && stage_open(&stage, &bench, c->deadline_ms) &&
        stage_play(&stage, &talk, &whole, &o, &news, &run)) {
        bool ended = strcmp(o.oracle, "crash") == 0 || strcmp(o.oracle, "hang") == 0;
        if (!o.found) {
            fprintf(stderr, "mqfuzz: %s: the plan shows nothing wrong\n", c->minimize);
            status = EXIT_CLEAN;
        } else if (!ended || stage_restart(&stage)) {
            unsigned tries, shown = talk_minimise(&stage, &talk, &o, 50, &tries);
            char *text = talk_text(&talk, &o);
            printf("# %s: %s\n# replays %u of %u\n%s", o.title, o.why, shown, tries, text != NULL ? text : "");
            free(text);
            status = EXIT_FINDINGS;
        }
    }
    run_free(run);
    stage_close(&stage);
    plan_free(&plan);
    plan_free(&whole);
    free(talk.octets);
    return fflush(stdout) == 0 ? status : EXIT_TROUBLE;
}
