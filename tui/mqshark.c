/* SPDX-License-Identifier: Apache-2.0
 *
 * mqshark -- MQTT sessions on a screen: the main loop between terminal, model and capturing thread. */
#include "capture/options.h"
#include "tui/feed.h"
#include "tui/save.h"
#include "tui/term.h"
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum {
    FRAME_MS = 50 /* 20 times a second at most */,
    LIVE_TICK_MS = 1000,
    WORK_MS = 8,
    EXIT_USAGE = 1,
    EXIT_INPUT = 2
};

struct program {
    struct options options;
    struct config config;
    struct store *store;
    struct app app;
    struct feed *feed;
    struct grid grid;
    struct redact redact;
    bool no_config, dump_config, print_keys, print_keys_scdoc, print_settings_scdoc, text;
};

static struct program program; /* large, and there is one of it */

/* ---- command line ----------------------------------------------------------------------------------------------- */

/* Takes what is ours alone off the command line. */
static int own_options(struct program *p, int argc, char **argv)
{
    int kept = 1;
    for (int i = 1; i < argc; i++) {
        bool *own = strcmp(argv[i], "--no-config") == 0        ? &p->no_config
                    : strcmp(argv[i], "--dump-config") == 0    ? &p->dump_config
                    : strcmp(argv[i], "--keys") == 0           ? &p->print_keys
                    : strcmp(argv[i], "--keys-scdoc") == 0     ? &p->print_keys_scdoc
                    : strcmp(argv[i], "--settings-scdoc") == 0 ? &p->print_settings_scdoc
                    : strcmp(argv[i], "--no-ui") == 0 || strcmp(argv[i], "-N") == 0 || strncmp(argv[i], "-T", 2) == 0
                        ? &p->text
                        : NULL;
        if (own == NULL || own == &p->text) /* mqdump understands -T */
            argv[kept++] = argv[i];
        if (own != NULL)
            *own = true;
        if (own == &p->text && strncmp(argv[i], "-T", 2) != 0)
            kept--;
    }
    argv[kept] = NULL;
    return kept;
}

/* Full screen is not possible or not wanted: mqdump takes the same options. It lies beside this program or in PATH. */
static int become_mqdump(char **argv, const char *why)
{
    char path[4096];
    const char *slash = strrchr(argv[0], '/');
    int n = slash != NULL ? snprintf(path, sizeof path, "%.*s/mqdump", (int)(slash - argv[0]), argv[0]) : -1;
    if (n > 0 && (size_t)n < sizeof path && access(path, X_OK) == 0)
        execv(path, argv);
    execvp("mqdump", argv);
    fprintf(stderr, "mqshark: %s, and mqdump cannot be started: %s\n", why, strerror(errno));
    return EXIT_INPUT;
}

static bool read_settings(struct program *p)
{
    char path[1024];
    config_defaults(&p->config);
    if (p->no_config)
        return true;
    bool good = config_read(&p->config, "/etc/mqshark.conf", stderr);
    if (config_user_path(path, sizeof path))
        good = config_read(&p->config, path, stderr) && good;
    return good;
}

static void apply_options(struct program *p)
{
    const struct options *o = &p->options;
    if (o->color != OPTIONS_COLOR_AUTO)
        strcpy(p->config.word[CONFIG_COLOUR], o->color == OPTIONS_COLOR_ALWAYS ? "always" : "never");
    if (o->style.secrets)
        p->config.number[CONFIG_PASSWORDS] = true;
    if (o->style.time == SHOW_TIME_RELATIVE)
        strcpy(p->config.word[CONFIG_TIME], "relative");
    if (o->style.time == SHOW_TIME_DELTA || o->style.time == SHOW_TIME_DELTA_SHOWN)
        strcpy(p->config.word[CONFIG_TIME], "delta");
}

/* ---- the loop --------------------------------------------------------------------------------------------------- */

static int64_t clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int64_t wall_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static bool draw(struct program *p)
{
    int rows, cols;
    term_size(&rows, &cols);
    if ((rows != p->grid.rows || cols != p->grid.cols) && !grid_resize(&p->grid, rows, cols))
        return false;
    p->grid.unicode = term_unicode() && !p->app.config.number[CONFIG_ASCII];
    feed_seen(p->feed);
    store_lock(p->store);
    p->app.now_ms = clock_ms();
    p->app.wall_ns = wall_ns();
    app_draw(&p->app, &p->grid);
    store_unlock(p->store);
    term_show(&p->grid);
    return true;
}

static void store_settings(struct program *p)
{
    char path[1024];
    if (p->no_config)
        app_say(&p->app, true, "settings are not stored with --no-config");
    else if (!config_user_path(path, sizeof path) || !config_write(&p->app.config, path))
        app_say(&p->app, true, "settings are not stored: %s", strerror(errno));
    else
        app_say(&p->app, false, "settings are in %s", path);
}

/* What the model wished for; false: the end. */
static bool fulfil(struct program *p)
{
    unsigned wish = p->app.wish;
    p->app.wish = WISH_NONE;
    if (wish & WISH_CLEAR) {
        store_lock(p->store);
        store_clear(p->store);
        app_cleared(&p->app);
        store_unlock(p->store);
    }
    if (wish & WISH_SAVE) {
        app_say(&p->app, false, "saving");
        draw(p);
        save_rows(&p->app, &p->options.input);
    }
    if (wish & WISH_STORE_SETTINGS)
        store_settings(p);
    if (wish & WISH_SUSPEND)
        term_suspend();
    if (wish & WISH_REDRAW)
        term_redraw();
    if (wish & WISH_COLOUR)
        term_set_colour(p->app.colour);
    if (wish & WISH_MOUSE)
        term_set_mouse(p->app.mouse);
    return !(wish & WISH_QUIT);
}

/* A few milliseconds of filtering; true: there is more. */
static bool work(struct program *p)
{
    int64_t until = clock_ms() + WORK_MS;
    bool more;
    do {
        store_lock(p->store);
        more = app_work(&p->app);
        store_unlock(p->store);
    } while (more && clock_ms() < until);
    return more;
}

static int timeout_of(const struct program *p, bool dirty, bool more, int64_t next_draw)
{
    int64_t now = clock_ms();
    if (more)
        return 0;
    if (dirty)
        return next_draw > now ? (int)(next_draw - now) : 0;
    return p->app.source.live && !p->app.source.ended ? LIVE_TICK_MS : -1;
}

static void loop(struct program *p)
{
    bool dirty = !draw(p), more = false;
    int64_t next_draw = 0;
    for (;;) {
        struct key_event key;
        enum term_event event = term_wait(timeout_of(p, dirty, more, next_draw), &key);
        if (event == TERM_GONE || event == TERM_STOP)
            return;
        if (event == TERM_KEY) {
            store_lock(p->store);
            p->app.now_ms = clock_ms();
            app_key(&p->app, &key);
            app_draw(&p->app, &p->grid); /* so that the next key finds lists as long as they will be shown */
            store_unlock(p->store);
            if (!fulfil(p))
                return;
        }
        bool quiet = event == TERM_TIMEOUT && !dirty && !more;
        bool had_more = more;
        more = work(p);
        dirty = dirty || event == TERM_KEY || event == TERM_WAKE || quiet || more || had_more;
        if (dirty && clock_ms() >= next_draw) {
            draw(p);
            dirty = false;
            next_draw = clock_ms() + FRAME_MS;
        }
    }
}

/* ---- begin and end ---------------------------------------------------------------------------------------------- */

static int finish(struct program *p)
{
    struct pipeline_counters c;
    feed_stop(p->feed);
    feed_counters(p->feed, &c);
    int status = feed_failed(p->feed) ? EXIT_INPUT : 0;
    term_end();
    if (feed_error(p->feed)[0] != 0)
        fprintf(stderr, "mqshark: %s\n", feed_error(p->feed));
    if (p->app.source.live)
        fprintf(stderr, "%llu frames captured, %llu received by filter, %llu dropped\n", (unsigned long long)c.frames,
                (unsigned long long)c.received,
                (unsigned long long)(c.kernel_drops + c.interface_drops + c.ring_drops));
    feed_close(p->feed);
    app_done(&p->app);
    grid_done(&p->grid);
    store_free(p->store);
    free(p->redact.memory);
    return status;
}

static bool prepare_redact(struct program *p)
{
    if (p->options.redact == 0)
        return true;
    p->redact = (struct redact){ .kinds = p->options.redact, .memory = malloc(REDACT_MEMORY), .size = REDACT_MEMORY };
    p->app.redact = &p->redact;
    return p->redact.memory != NULL &&
           getrandom(p->redact.key, sizeof p->redact.key, 0) == (ssize_t)sizeof p->redact.key;
}

static int run(struct program *p)
{
    char error[PIPELINE_ERROR_MAX] = "";
    const char *why = "";
    bool usage = false;
    p->store = store_new(p->config.number[CONFIG_MEMORY] << 20);
    if (p->store == NULL || !app_init(&p->app, p->store, &p->config) || !grid_init(&p->grid, 24, 80, true)) {
        fputs("mqshark: out of memory\n", stderr);
        return EXIT_INPUT;
    }
    if (!prepare_redact(p)) {
        fputs("mqshark: --redact is not possible: no memory, or no random numbers\n", stderr);
        return EXIT_INPUT;
    }
    if (p->options.display_filter != NULL && !app_set_filter(&p->app, p->options.display_filter)) {
        struct filter_error at;
        size_t len = strlen(p->options.display_filter);
        filter_compile(p->options.display_filter, len, p->app.prompt_memory, FILTER_MEMORY, &at);
        filter_error_text(&at, p->options.display_filter, len, error, sizeof error);
        fprintf(stderr, "mqshark: %s", error);
        return EXIT_USAGE;
    }
    p->feed = feed_open(&p->app, &p->options.input, term_wake, error, &usage);
    if (p->feed == NULL) {
        fprintf(stderr, "mqshark: %s\n", error);
        return usage ? EXIT_USAGE : EXIT_INPUT;
    }
    const char *colour = p->config.word[CONFIG_COLOUR];
    enum term_colour wanted = strcmp(colour, "always") == 0  ? TERM_COLOUR_ALWAYS
                              : strcmp(colour, "never") == 0 ? TERM_COLOUR_NEVER
                                                             : TERM_COLOUR_AUTO;
    if (!term_start(wanted, p->config.number[CONFIG_MOUSE] != 0, &why)) {
        fprintf(stderr, "mqshark: %s\n", why);
        return EXIT_INPUT;
    }
    atexit(term_end);
    p->app.colour = term_has_colour();
    p->app.mouse = p->config.number[CONFIG_MOUSE] != 0;
    if (!feed_start(p->feed)) {
        term_end();
        fputs("mqshark: no thread can be started\n", stderr);
        return EXIT_INPUT;
    }
    loop(p);
    return finish(p);
}

int main(int argc, char **argv)
{
    struct program *p = &program;
    char error[OPTIONS_ERROR];
    bool is_pipe;
    setlocale(LC_ALL, "");
    argc = own_options(p, argc, argv);
    if (p->print_keys || p->print_keys_scdoc) {
        keys_print(stdout, p->print_keys_scdoc);
        return 0;
    }
    if (p->print_settings_scdoc) {
        config_print_scdoc(stdout);
        return 0;
    }
    if (p->text)
        return become_mqdump(argv, "text is asked for");
    if (!options_parse(&p->options, OPTIONS_S, argc, argv, error)) {
        fprintf(stderr, "mqshark: %s\n", error);
        return EXIT_USAGE;
    }
    if (p->options.action == OPTIONS_HELP) {
        options_help(stdout, OPTIONS_S);
        fputs("\nScreen:\n  -N, --no-ui          print text instead, as mqdump does (so does -T FORMAT)\n"
              "      --no-config      read no settings file\n      --dump-config    print the settings, and end\n"
              "      --keys           print every key, and end\n",
              stdout);
        return 0;
    }
    if (p->options.action == OPTIONS_VERSION || p->options.action == OPTIONS_COMPLETION) {
        if (p->options.action == OPTIONS_VERSION)
            options_version(stdout, OPTIONS_S);
        else
            options_completion(stdout, OPTIONS_S, p->options.shell);
        return 0;
    }
    bool settings = read_settings(p);
    apply_options(p);
    if (p->dump_config) {
        config_dump(&p->config, stdout);
        return settings ? 0 : EXIT_USAGE;
    }
    if (p->options.action == OPTIONS_VERSION)
        options_version(stdout, OPTIONS_S);
    else if (p->options.action == OPTIONS_COMPLETION)
        options_completion(stdout, OPTIONS_S, p->options.shell);
    else if (p->options.action == OPTIONS_LIST_FIELDS)
        options_fields(stdout);
    else if (p->options.action != OPTIONS_RUN)
        return become_mqdump(argv, "mqdump does this");
    if (p->options.action != OPTIONS_RUN)
        return 0;
    const char *file = p->options.input.record.file;
    if (file != NULL && strcmp(file, "-") == 0) {
        fputs("mqshark: -w -: standard output shows the screen; name a file, or use mqdump\n", stderr);
        return EXIT_USAGE;
    }
    if (file != NULL && p->options.redact != 0) {
        fputs("mqshark: -w records what was captured, unmasked; with --redact use mqdump\n", stderr);
        return EXIT_USAGE;
    }
    const char *refusal = term_refusal(&is_pipe);
    if (refusal != NULL && is_pipe && !isatty(STDOUT_FILENO))
        return become_mqdump(argv, refusal);
    if (refusal != NULL) {
        fprintf(stderr, "mqshark: %s: no screen can be shown; try -T text\n", refusal);
        return EXIT_INPUT;
    }
    return run(p);
}
