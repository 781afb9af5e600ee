/* SPDX-License-Identifier: Apache-2.0
 *
 * mqfuzz --replay and --minimize: one plan, read from its file. */
#include <stdlib.h>
#include <string.h>

#include "fuzz/campaign/campaign.h"
#include "fuzz/talk/talk.h"

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
        make_name(c->seed, prefix, RUN_NAME);
    bool ok = plan_parse(plan, view_of(text, n), prefix, version);
    if (!ok)
        fprintf(stderr, "mqfuzz: %s: %s\n", path, plan->error);
    free(text);
    return ok;
}

/* The plan, and the broker's end when it is ours to end. */
static bool replay_once(struct stage *s, const struct plan *plan, struct outcome *o, struct run **run)
{
    bool news;
    if (!stage_perform(s, plan, true, o, &news, run))
        return false;
    if (o->found && o->hasty) /* perhaps it was only late: a plan that proves it gives more time */
        *o = (struct outcome){ 0 };
    if (!o->found)
        stage_second_look(s, o);
    if (!o->found)
        stage_farewell(s, o);
    return true;
}

/* As often as --runs says, each time on a fresh broker where it is ours to start. */
static int replay_more(struct stage *s, const struct plan *plan, struct outcome *first, uint64_t runs)
{
    uint64_t shown = first->found, done = 1;
    for (; done < runs && !mqfuzz_stop; done++) {
        struct outcome o;
        struct run *run = NULL;
        bool ok = (s->bench->command->spawn == NULL || stage_restart(s)) && replay_once(s, plan, &o, &run);
        run_free(run);
        if (!ok)
            return EXIT_TROUBLE;
        if (!first->found)
            *first = o;
        shown += o.found && outcome_same(&o, first);
    }
    printf("shown %llu of %llu times\n", (unsigned long long)shown, (unsigned long long)done);
    return shown > 0 ? EXIT_FINDINGS : EXIT_CLEAN;
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
    if (stage_open(&stage, &bench, c->deadline_ms) && replay_once(&stage, &plan, &o, &run)) {
        status = o.found ? EXIT_FINDINGS : EXIT_CLEAN;
        char *trace = run != NULL ? run_trace(run) : NULL;
        if (trace != NULL)
            fputs(trace, stdout);
        free(trace);
        if (o.found)
            printf("FINDING  %s %s%s%s: %s\n", o.oracle, o.version, o.version[0] != '\0' ? " " : "", o.title, o.why);
        else
            printf("nothing wrong\n");
        if (strcmp(o.oracle, "crash") == 0 && bench.process.n_tail > 0)
            printf("the broker's last words:\n%s\n", bench.process.tail);
        if (c->runs > 1)
            status = replay_more(&stage, &plan, &o, c->runs);
    }
    run_free(run);
    stage_close(&stage);
    plan_free(&plan);
    return fflush(stdout) == 0 ? status : EXIT_TROUBLE;
}

int command_minimize(const struct command *c)
{
    struct bench bench = { .command = c };
    struct stage stage = { .canary = CANARY_NONE, .seed = c->seed };
    struct plan plan = { 0 }, whole = { 0 };
    struct talk talk = { 0 };
    struct outcome o = { 0 };
    struct run *run = NULL;
    int status = EXIT_TROUBLE;
    bool news;
    if (load(c->minimize, &plan, c, true) && (talk.octets = malloc(TALK_ROOM)) != NULL &&
        talk_of_plan(&plan, &talk, TALK_ROOM) && stage_open(&stage, &bench, c->deadline_ms) &&
        stage_play(&stage, &talk, false, &whole, &o, &news, &run)) {
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
