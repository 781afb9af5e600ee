/* SPDX-License-Identifier: Apache-2.0
 *
 * mqfuzz: fuzz-test and conformance-test any MQTT broker. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "decoder/base/version.h"
#include "fuzz/campaign/command.h"

volatile sig_atomic_t mqfuzz_stop;

static void on_signal(int number)
{
    static volatile sig_atomic_t before;
    if (before)
        _exit(128 + number);
    before = mqfuzz_stop = 1;
}

static const char help[] =
    "Usage: mqfuzz [conform|run] --target HOST:PORT | --spawn 'COMMAND with {port}' [option]...\n"
    "Tests an MQTT broker and says what it does wrong.\n"
    "\n"
    "  conform   a deterministic probe for every rule a broker can be held to from outside\n"
    "  run       stateful fuzzing (the default)\n"
    "\n"
    "Broker\n"
    "  --target HOST:PORT   a broker that runs already; on this machine unless --allow-remote is given;\n"
    "                       ws://HOST:PORT/PATH and wss:// connect by WebSocket\n"
    "  --spawn COMMAND      starts the broker itself; {port} becomes a free port of 127.0.0.1\n"
    "  --allow-remote       permit a target that is not on this machine\n"
    "  --user NAME          log in as this user: with every CONNECT that is valid and names none\n"
    "  --password WORD      its password; MQFUZZ_PASSWORD in the environment will do, too\n"
    "  --setup FILE         a plan to carry out each time before anything else\n"
    "  --tls                connect by TLS\n"
    "  --cafile FILE        with --tls: trust these certificates, not the system's\n"
    "  --insecure           with --tls: trust anybody\n"
    "  --websocket PATH     connect by WebSocket, as to ws://HOST:PORT/PATH; for --spawn\n"
    "  --version V          3.1, 3.1.1 or 5; may be repeated (default: all three)\n"
    "\n"
    "conform\n"
    "  --list               print the probes and stop\n"
    "  --rule ID|TEXT       only the probes of this rule, or with this text in their title\n"
    "  --deadline MS        how long an answer may take (default 1500)\n"
    "  --jobs N             probes under way at once (default 24)\n"
    "  --verbose            print the probes that pass, too\n"
    "\n"
    "run\n"
    "  --seed N             start from this seed (default: a new one; it is printed)\n"
    "  --runs N             end after N plans\n"
    "  --time 60s           end after this time (s, m, h; default 60s)\n"
    "  --jobs N             so many at once, each with a broker of its own (--spawn; default 1)\n"
    "  --from FILE          begin with what recorded clients sent: pcap, pcapng\n"
    "  --corpus DIR         keep what gave something new, and begin with it: laid out as AFL++ does it\n"
    "  --replay FILE        carry out one plan and say how it ended; with --runs N so often\n"
    "  --minimize FILE      make the plan of a finding as small as it gets\n"
    "\n"
    "Reports\n"
    "  --out DIR            files for each finding: NAME.plan, NAME.pcapng, NAME.md\n"
    "  --junit FILE         JUnit XML\n"
    "  --sarif FILE         SARIF 2.1.0\n"
    "  --baseline FILE      findings named there (one a line, # comments) do not count\n"
    "\n"
    "  --help, --version\n"
    "\n"
    "Exit status: 0 nothing found; 1 usage; 2 could not run (no broker, file not written); 3 findings.\n";

static int usage(const char *what, const char *value)
{
    fprintf(stderr, "mqfuzz: %s%s%s\nTry 'mqfuzz --help'.\n", what, value != NULL ? ": " : "",
            value != NULL ? value : "");
    return EXIT_USAGE;
}

enum {
    OPT_TARGET = 256,
    OPT_SPAWN,
    OPT_REMOTE,
    OPT_VERSION,
    OPT_LIST,
    OPT_RULE,
    OPT_DEADLINE,
    OPT_JOBS,
    OPT_VERBOSE,
    OPT_SEED,
    OPT_RUNS,
    OPT_TIME,
    OPT_REPLAY,
    OPT_MINIMIZE,
    OPT_OUT,
    OPT_JUNIT,
    OPT_SARIF,
    OPT_BASELINE,
    OPT_USER,
    OPT_PASSWORD,
    OPT_SETUP,
    OPT_TLS,
    OPT_CAFILE,
    OPT_INSECURE,
    OPT_WEBSOCKET,
    OPT_FROM,
    OPT_CORPUS,
    OPT_HELP
};

static const struct option long_options[] = {
    { "target", required_argument, NULL, OPT_TARGET },
    { "spawn", required_argument, NULL, OPT_SPAWN },
    { "allow-remote", no_argument, NULL, OPT_REMOTE },
    { "version", optional_argument, NULL, OPT_VERSION },
    { "list", no_argument, NULL, OPT_LIST },
    { "rule", required_argument, NULL, OPT_RULE },
    { "deadline", required_argument, NULL, OPT_DEADLINE },
    { "jobs", required_argument, NULL, OPT_JOBS },
    { "verbose", no_argument, NULL, OPT_VERBOSE },
    { "seed", required_argument, NULL, OPT_SEED },
    { "runs", required_argument, NULL, OPT_RUNS },
    { "time", required_argument, NULL, OPT_TIME },
    { "replay", required_argument, NULL, OPT_REPLAY },
    { "minimize", required_argument, NULL, OPT_MINIMIZE },
    { "out", required_argument, NULL, OPT_OUT },
    { "junit", required_argument, NULL, OPT_JUNIT },
    { "sarif", required_argument, NULL, OPT_SARIF },
    { "baseline", required_argument, NULL, OPT_BASELINE },
    { "user", required_argument, NULL, OPT_USER },
    { "password", required_argument, NULL, OPT_PASSWORD },
    { "setup", required_argument, NULL, OPT_SETUP },
    { "tls", no_argument, NULL, OPT_TLS },
    { "cafile", required_argument, NULL, OPT_CAFILE },
    { "insecure", no_argument, NULL, OPT_INSECURE },
    { "websocket", required_argument, NULL, OPT_WEBSOCKET },
    { "from", required_argument, NULL, OPT_FROM },
    { "corpus", required_argument, NULL, OPT_CORPUS },
    { "help", no_argument, NULL, OPT_HELP },
    { NULL, 0, NULL, 0 },
};

static bool number(const char *text, uint64_t most, uint64_t *out)
{
    char *end;
    errno = 0;
    *out = strtoull(text, &end, 0);
    return *text != '\0' && *text != '-' && *end == '\0' && errno == 0 && *out <= most;
}

static bool duration(const char *text, uint64_t *seconds)
{
    char digits[24];
    size_t n = strlen(text);
    uint64_t unit = 1;
    if (n == 0 || n >= sizeof digits)
        return false;
    memcpy(digits, text, n + 1);
    switch (text[n - 1]) {
    case 'h':
        unit = 3600;
        break;
    case 'm':
        unit = 60;
        break;
    case 's':
        break;
    default:
        return number(text, 1000000, seconds);
    }
    digits[n - 1] = '\0';
    if (!number(digits, 1000000, seconds))
        return false;
    *seconds *= unit;
    return true;
}

static unsigned version_bit(const char *text)
{
    if (strcmp(text, "3.1") == 0)
        return 1u << MQTT_V31;
    if (strcmp(text, "3.1.1") == 0)
        return 1u << MQTT_V311;
    return strcmp(text, "5") == 0 || strcmp(text, "5.0") == 0 ? 1u << MQTT_V5 : 0;
}

/* One option; 0: go on, else the exit status plus 1. */
static int take(struct command *c, int option, char *const *argv)
{
    uint64_t n = 0;
    switch (option) {
    case OPT_TARGET:
        c->target = optarg;
        return 0;
    case OPT_SPAWN:
        c->spawn = optarg;
        return 0;
    case OPT_REMOTE:
        c->allow_remote = true;
        return 0;
    case OPT_LIST:
        c->list = true;
        return 0;
    case OPT_RULE:
        c->rule = optarg;
        return 0;
    case OPT_VERBOSE:
        c->verbose = true;
        return 0;
    case OPT_REPLAY:
        c->replay = optarg;
        return 0;
    case OPT_MINIMIZE:
        c->minimize = optarg;
        return 0;
    case OPT_OUT:
        c->out = optarg;
        return 0;
    case OPT_JUNIT:
        c->junit = optarg;
        return 0;
    case OPT_SARIF:
        c->sarif = optarg;
        return 0;
    case OPT_BASELINE:
        c->baseline = optarg;
        return 0;
    case OPT_USER:
        c->user = optarg;
        return 0;
    case OPT_PASSWORD:
        c->password = optarg;
        return 0;
    case OPT_FROM:
        c->from = optarg;
        return 0;
    case OPT_CORPUS:
        c->corpus = optarg;
        return 0;
    case OPT_SETUP:
        c->setup = optarg;
        return 0;
    case OPT_TLS:
        c->tls = true;
        return 0;
    case OPT_CAFILE:
        c->tls = true;
        c->cafile = optarg;
        return 0;
    case OPT_INSECURE:
        c->tls = c->insecure = true;
        return 0;
    case OPT_WEBSOCKET:
        c->websocket = optarg;
        return *optarg == '/' && strlen(optarg) < 250 ? 0
                                                      : 1 + usage("--websocket wants a path like /mqtt, not", optarg);
    case OPT_VERSION: { /* with a value: of MQTT; alone: ours */
        const char *value = optarg;
        if (value == NULL && argv[optind] != NULL && argv[optind][0] >= '0' && argv[optind][0] <= '9')
            value = argv[optind++];
        if (value == NULL) {
            printf("mqfuzz %s\n", MQSHARK_VERSION);
            return 1;
        }
        c->versions |= version_bit(value);
        return version_bit(value) != 0 ? 0 : 1 + usage("versions are 3.1, 3.1.1 and 5, not", value);
    }
    case OPT_DEADLINE:
        if (!number(optarg, 600000, &n) || n == 0)
            return 1 + usage("--deadline wants milliseconds, not", optarg);
        c->deadline_ms = (uint32_t)n;
        return 0;
    case OPT_JOBS:
        if (!number(optarg, 64, &n) || n == 0)
            return 1 + usage("--jobs wants a number from 1 to 64, not", optarg);
        c->jobs = (uint32_t)n;
        return 0;
    case OPT_SEED:
        c->has_seed = number(optarg, UINT64_MAX, &c->seed);
        return c->has_seed ? 0 : 1 + usage("--seed wants a number, not", optarg);
    case OPT_RUNS:
        return number(optarg, UINT64_MAX, &c->runs) ? 0 : 1 + usage("--runs wants a number, not", optarg);
    case OPT_TIME:
        return duration(optarg, &c->time_s) ? 0 : 1 + usage("--time wants something like 60s, not", optarg);
    case OPT_HELP:
        fputs(help, stdout);
        return 1;
    default:
        fprintf(stderr, "Try 'mqfuzz --help'.\n");
        return 1 + EXIT_USAGE;
    }
}

int main(int argc, char **argv)
{
    struct command c = { .deadline_ms = 1500, .password = getenv("MQFUZZ_PASSWORD") };
    bool conform = false;
    int option;
    while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
        int end = take(&c, option == 'h' ? OPT_HELP : option, argv);
        if (end != 0)
            return end - 1;
    }
    for (; optind < argc; optind++) {
        if (strcmp(argv[optind], "conform") == 0)
            conform = true;
        else if (strcmp(argv[optind], "run") != 0)
            return usage("there is no command", argv[optind]);
    }
    if (c.user != NULL && strlen(c.user) + (c.password != NULL ? strlen(c.password) : 0) > 900)
        return usage("--user and --password are too long", NULL);
    if (c.versions == 0)
        c.versions = 1u << MQTT_V31 | 1u << MQTT_V311 | 1u << MQTT_V5;
    if (c.list)
        return command_list(&c);
    if ((c.target == NULL) == (c.spawn == NULL))
        return usage("one of --target and --spawn says what is tested", NULL);
    if (c.spawn != NULL && strstr(c.spawn, "{port}") == NULL)
        return usage("--spawn wants {port} where the port belongs", NULL);
    if (!c.has_seed)
        c.seed = fresh_seed();
    if (c.out != NULL && mkdir(c.out, 0777) != 0 && errno != EEXIST) {
        fprintf(stderr, "mqfuzz: %s: %s\n", c.out, strerror(errno));
        return EXIT_TROUBLE;
    }
    struct sigaction stop = { .sa_handler = on_signal };
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a limit of the shell is an error like a full disk */
    if (c.replay != NULL)
        return command_replay(&c);
    if (c.minimize != NULL)
        return command_minimize(&c);
    return conform ? command_conform(&c) : command_run(&c);
}
