/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/target/config.c -- what users write: command lines, settings, password and ACL files of the broker, plans. The
 * first octet chooses. Claims: what is wrong is refused with a printable line, and a bad line has its number; what is
 * accepted stays inside its bounds. */
#include "fuzz/target/target.h"

#include <stdlib.h>
#include <string.h>

#include "capture/options.h"
#include "fuzz/broker/broker.h"
#include "fuzz/engine/output.h"
#include "fuzz/plan/plan.h"
#include "tui/config.h"

const struct fuzz_target fuzz_target = { "config", FUZZ_OCTETS };

enum { ARGS_MAX = 60 };

/* Cuts `text` (ends in NUL) at every `between`; returns the parts. */
static int cut(char *text, char between, char **parts, int max)
{
    int n = 0;
    while (n < max) {
        parts[n++] = text;
        text = strchr(text, between);
        if (text == NULL)
            break;
        *text++ = '\0';
    }
    return n;
}

static bool printable(const char *text)
{
    return output_is_text(view_of(text, strlen(text)), "");
}

static void command_line(char *text, unsigned program)
{
    static struct options options;
    char *argv[ARGS_MAX + 2], error[OPTIONS_ERROR];
    memset(error, 0x5a, sizeof error);
    argv[0] = (char *)"program";
    int argc = 1 + cut(text, '\n', argv + 1, ARGS_MAX);
    argv[argc] = NULL;
    if (!options_parse(&options, program, argc, argv, error)) {
        HOLDS(memchr(error, '\0', sizeof error) != NULL && error[0] != '\0' && printable(error));
        return;
    }
    HOLDS(options.columns.n <= SHOW_COLUMNS_MAX && options.n_statistics <= OPTIONS_STATISTICS);
    HOLDS(options.input.n_interfaces <= OPTIONS_INTERFACES && options.input.n_mqtt_ports <= OPTIONS_PORTS);
    HOLDS(memchr(options.bpf, '\0', sizeof options.bpf) != NULL);
}

static void settings(char *text)
{
    struct config config;
    char *lines[ARGS_MAX], value[200];
    config_defaults(&config);
    int n = cut(text, '\n', lines, ARGS_MAX);
    for (int i = 0; i < n; i++) {
        char *pair[2] = { NULL, NULL };
        if (cut(lines[i], ' ', pair, 2) != 2)
            continue;
        const char *wrong = config_set(&config, pair[0], pair[1]);
        HOLDS(wrong == NULL || printable(wrong));
    }
    for (int key = 0; key < CONFIG_COUNT; key++) {
        config_value(&config, (enum config_key)key, value, sizeof value);
        HOLDS(memchr(value, '\0', sizeof value) != NULL);
        HOLDS(config_set(&config, config_name((enum config_key)key), value) == NULL || value[0] == '\0');
    }
}

static void *resize(void *ctx, void *memory, size_t old_len, size_t new_len)
{
    size_t *held = ctx;
    *held = *held - old_len + new_len;
    if (new_len > 0)
        return realloc(memory, new_len);
    free(memory);
    return NULL;
}

static void no_random(void *ctx, uint8_t *out, size_t len)
{
    (void)ctx;
    memset(out, 7, len);
}

static void no_ready(void *ctx, void *user)
{
    (void)ctx;
    (void)user;
}

static void broker_files(struct view text, bool acl)
{
    size_t held = 0, lines = 1;
    struct broker_host host = { .ctx = &held, .resize = resize, .random = no_random, .ready = no_ready };
    struct broker_config config = broker_defaults();
    struct broker *b = broker_new(&config, &host, 1000);
    HOLDS(b != NULL);
    for (size_t i = 0; i < text.len; i++)
        lines += text.ptr[i] == '\n';
    int bad = acl ? broker_acl(b, text) : broker_passwords(b, text);
    HOLDS(bad >= -1 && (bad <= 0 || (size_t)bad <= lines));
    HOLDS((acl ? broker_acl(b, text) : broker_passwords(b, text)) == bad);
    broker_free(b);
    HOLDS(held == 0);
}

static void plan(struct view text)
{
    struct plan p;
    if (!plan_parse(&p, text, "prefix", MQTT_V5)) {
        HOLDS(memchr(p.error, '\0', sizeof p.error) != NULL && p.error[0] != '\0');
        HOLDS(output_is_text(view_of(p.error, strlen(p.error)), ""));
    } else {
        for (uint32_t i = 0; i < p.n; i++)
            HOLDS(p.step[i].client < PLAN_CLIENTS && p.step[i].n_match <= PLAN_MATCHES && p.step[i].var < PLAN_VARS);
    }
    plan_free(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    char *text = malloc(size);
    HOLDS(text != NULL);
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    switch (data[0] % 6) {
    case 0:
        command_line(text, OPTIONS_D);
        break;
    case 1:
        command_line(text, OPTIONS_S);
        break;
    case 2:
        settings(text);
        break;
    case 3:
    case 4:
        broker_files(view_of(data + 1, size - 1), data[0] % 6 == 4);
        break;
    default:
        plan(view_of(data + 1, size - 1));
        break;
    }
    free(text);
    return 0;
}
