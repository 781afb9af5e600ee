/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/broker/mqbroker.c -- the program: options in, a served broker out. */
#include "decoder/base/version.h"
#include "fuzz/broker/server.h"
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_USAGE = 1 };

/* What an option sets: a number of the config, a switch, or something of its own. */
enum kind { KIND_U16, KIND_U32, KIND_U64, KIND_ON, KIND_OFF, KIND_TEXT, KIND_OWN };

static struct broker_config config;
static struct server_options options = { .port = "1883", .log = { LOG_TEXT, BROKER_NOTICE } };

struct option_row {
    const char *name, *argument; /* argument NULL: none */
    const char *help;
    enum kind kind;
    void *target;
    uint64_t least, most;
    char letter; /* 0: none */
};

static const struct option_row rows[] = {
    { "port", "PORT", "listen on this TCP port, 0: any free one (1883)", KIND_OWN, NULL, 0, 0, 'p' },
    { "bind", "ADDRESS", "listen on this address instead of loopback; may be repeated", KIND_OWN, NULL, 0, 0, 0 },
    { "websocket-port", "PORT", "serve WebSocket too, on this port, 0: any free one", KIND_OWN, NULL, 0, 0, 0 },
    { "allow-anonymous", NULL, "no user name needed; required to listen beyond loopback without a password file",
      KIND_ON, &config.allow_anonymous, 0, 0, 0 },
    { "password-file", "FILE", "users and hashes, as mosquitto_passwd writes them", KIND_OWN, NULL, 0, 0, 0 },
    { "acl-file", "FILE", "who may read and write what, in mosquitto's format", KIND_OWN, NULL, 0, 0, 0 },
    { "auth-secret", "TEXT", "offer the Authentication Method CHALLENGE-SHA256 with this secret", KIND_TEXT,
      &config.auth_secret, 0, 0, 0 },
    { "max-connections", "N", "more are refused (50000)", KIND_U32, &config.max_connections, 1, 10000000, 0 },
    { "max-sessions", "N", "connected or not (100000)", KIND_U32, &config.max_sessions, 1, 100000000, 0 },
    { "max-queued", "N", "messages waiting for one session (1000)", KIND_U32, &config.max_queued, 1, 100000000, 0 },
    { "max-inflight", "N", "QoS 1 and 2 messages on their way to one client (100)", KIND_U32, &config.max_inflight, 1,
      16384, 0 },
    { "max-retained", "N", "retained messages (100000)", KIND_U32, &config.max_retained, 0, 100000000, 0 },
    { "max-subscriptions", "N", "of one session (10000)", KIND_U32, &config.max_subscriptions, 1, 100000000, 0 },
    { "max-packet-size", "OCTETS", "larger packets are refused with 0x95 (268435460)", KIND_U32, &config.max_packet,
      128, 268435460, 0 },
    { "max-output", "OCTETS", "waiting for one reader before it is throttled (262144)", KIND_U32, &config.max_output,
      1024, 1u << 30, 0 },
    { "max-memory", "MIB", "of everything together (1024)", KIND_OWN, NULL, 1, 1u << 24, 0 },
    { "max-keep-alive", "SECONDS", "Server Keep Alive for 5.0 clients that want more, 0: none (60)", KIND_U16,
      &config.max_keep_alive_s, 0, 65535, 0 },
    { "max-session-expiry", "SECONDS", "sessions are kept no longer (never ends)", KIND_U32,
      &config.max_session_expiry_s, 0, UINT32_MAX, 0 },
    { "max-qos", "QOS", "highest QoS: 0, 1 or 2 (2)", KIND_OWN, NULL, 0, 2, 0 },
    { "receive-maximum", "N", "QoS 2 messages a client may have open (20)", KIND_U16, &config.receive_maximum, 1, 65535,
      0 },
    { "topic-alias-maximum", "N", "Topic Aliases of each direction (10)", KIND_U16, &config.alias_maximum, 0, 65535,
      0 },
    { "connect-timeout", "SECONDS", "for the CONNECT to come (10)", KIND_OWN, NULL, 1, 86400, 0 },
    { "sys-interval", "SECONDS", "between $SYS messages, 0: none (10)", KIND_U32, &config.sys_interval_s, 0, 86400, 0 },
    { "no-retain", NULL, "retained messages are not available", KIND_OFF, &config.retain_available, 0, 0, 0 },
    { "no-wildcards", NULL, "wildcard subscriptions are not available", KIND_OFF, &config.wildcard_available, 0, 0, 0 },
    { "no-shared", NULL, "shared subscriptions are not available", KIND_OFF, &config.shared_available, 0, 0, 0 },
    { "no-subscription-ids", NULL, "Subscription Identifiers are not available", KIND_OFF,
      &config.subscription_id_available, 0, 0, 0 },
    { "queue-qos0", NULL, "keep QoS 0 messages too for clients that are away", KIND_ON, &config.queue_qos0, 0, 0, 0 },
    { "reason-strings", NULL, "tell 5.0 clients which rule they broke", KIND_ON, &config.reason_strings, 0, 0, 0 },
    { "deny-subscribe", "FILTER", "refuse this filter with 0x80, empty: none (test/nosubscribe)", KIND_TEXT,
      &config.deny_subscribe, 0, 0, 0 },
    { "response-information", "TEXT", "for 5.0 clients that ask for it", KIND_TEXT, &config.response_information, 0, 0,
      0 },
    { "server-reference", "TEXT", "where to go when this server shuts down", KIND_TEXT, &config.server_reference, 0, 0,
      0 },
    { "log", "FORMAT", "text, json or none, on standard error (text)", KIND_OWN, NULL, 0, 0, 0 },
    { "verbose", NULL, "tell more; twice: everything", KIND_OWN, NULL, 0, 0, 'v' },
    { "quiet", NULL, "tell warnings only", KIND_OWN, NULL, 0, 0, 'q' },
    { "fault", "NAME[,NAME]", "misbehave on purpose; `--fault help` lists the names", KIND_OWN, NULL, 0, 0, 0 },
    { "help", NULL, "this text", KIND_OWN, NULL, 0, 0, 'h' },
    { "version", NULL, "the version", KIND_OWN, NULL, 0, 0, 'V' },
};

enum { ROWS = sizeof rows / sizeof rows[0] };

static void help(void)
{
    printf(
        "Usage: mqbroker [options]\n\n"
        "A small, strict MQTT 3.1, 3.1.1 and 5.0 broker for tests, in memory. It listens on loopback and prints\n"
        "`mqbroker: listening on ADDRESS:PORT` when it is ready. SIGTERM ends it, SIGHUP reads its files again.\n\n");
    for (int i = 0; i < ROWS; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s%s%s", rows[i].name, rows[i].argument != NULL ? " " : "",
                 rows[i].argument != NULL ? rows[i].argument : "");
        printf("  %c%c%c --%-28s %s\n", rows[i].letter != 0 ? '-' : ' ', rows[i].letter != 0 ? rows[i].letter : ' ',
               rows[i].letter != 0 ? ',' : ' ', name, rows[i].help);
    }
    printf("\nExit status: 0 ended by a signal, 1 wrong usage, 2 an address or a file cannot be used.\n");
}

static void list_faults(void)
{
    for (enum broker_fault i = 0; i < FAULT_COUNT; i++)
        printf("%-24s %s\n", broker_fault_name(i), broker_fault_text(i));
}

static int usage(const char *what, const char *text)
{
    fprintf(stderr, "mqbroker: %s%s%s\nTry `mqbroker --help`.\n", what, text != NULL ? ": " : "",
            text != NULL ? text : "");
    return EXIT_USAGE;
}

static bool parse_number(const char *text, uint64_t least, uint64_t most, uint64_t *out)
{
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    *out = n;
    return errno == 0 && end != text && *end == '\0' && strchr(text, '-') == NULL && n >= least && n <= most;
}

static bool set_number(const struct option_row *row, const char *text)
{
    uint64_t n;
    if (!parse_number(text, row->least, row->most, &n))
        return false;
    if (row->kind == KIND_U16)
        *(uint16_t *)row->target = (uint16_t)n;
    else if (row->kind == KIND_U32)
        *(uint32_t *)row->target = (uint32_t)n;
    else
        *(uint64_t *)row->target = n;
    return true;
}

static bool set_log(const char *text)
{
    static const char *const names[] = { "text", "json", "none" };
    for (unsigned i = 0; i < 3; i++) {
        if (strcmp(text, names[i]) == 0) {
            options.log.format = (enum log_format)i;
            return true;
        }
    }
    return false;
}

/* The options that are more than a value. False: the argument is wrong. */
static bool set_own(const struct option_row *row, const char *text)
{
    uint64_t n;
    const char *name = row->name;
    if (strcmp(name, "port") == 0) {
        options.port = text;
        return parse_number(text, 0, 65535, &n);
    }
    if (strcmp(name, "websocket-port") == 0) {
        options.web_port = text;
        return parse_number(text, 0, 65535, &n);
    }
    if (strcmp(name, "bind") == 0) {
        bool room = options.nbinds < SERVER_BINDS;
        if (room)
            options.binds[options.nbinds++] = text;
        return room;
    }
    if (strcmp(name, "password-file") == 0)
        options.password_file = text;
    else if (strcmp(name, "acl-file") == 0)
        options.acl_file = text;
    else if (strcmp(name, "log") == 0)
        return set_log(text);
    else if (strcmp(name, "verbose") == 0)
        options.log.least = options.log.least > BROKER_DEBUG ? options.log.least - 1 : BROKER_DEBUG;
    else if (strcmp(name, "quiet") == 0)
        options.log.least = BROKER_WARNING;
    else if (strcmp(name, "fault") == 0)
        return broker_fault_parse(text, config.faults) == NULL;
    else if (!parse_number(text, row->least, row->most, &n))
        return false;
    else if (strcmp(name, "max-memory") == 0)
        config.max_memory = n << 20;
    else if (strcmp(name, "max-qos") == 0)
        config.max_qos = (uint8_t)n;
    else
        config.connect_timeout_ms = (uint32_t)n * 1000;
    return true;
}

static bool set(const struct option_row *row, const char *text)
{
    switch (row->kind) {
    case KIND_ON:
    case KIND_OFF:
        *(bool *)row->target = row->kind == KIND_ON;
        return true;
    case KIND_TEXT:
        *(struct view *)row->target = text[0] != '\0' ? view_of(text, strlen(text)) : view_of(NULL, 0);
        return strlen(text) <= 250;
    case KIND_OWN:
        return set_own(row, text);
    default:
        return set_number(row, text);
    }
}

static bool loopback(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0 || strcmp(address, "localhost") == 0;
}

static const char *check(void)
{
    for (unsigned i = 0; i < options.nbinds; i++)
        if (!loopback(options.binds[i]) && options.password_file == NULL && !config.allow_anonymous)
            return "listening beyond loopback needs --password-file or --allow-anonymous";
    return NULL;
}

static void announce_faults(void)
{
    for (enum broker_fault i = 0; i < FAULT_COUNT; i++)
        if (config.faults[i])
            fprintf(stderr, "mqbroker: FAULT %s: this broker %s, on purpose\n", broker_fault_name(i),
                    broker_fault_text(i));
}

static const struct option_row *find_letter(int letter)
{
    for (int i = 0; i < ROWS; i++)
        if (rows[i].letter == letter)
            return &rows[i];
    return NULL;
}

/* -1: go on; else the exit status. */
static int parse(int argc, char **argv)
{
    struct option table[ROWS + 1] = { 0 };
    for (int i = 0; i < ROWS; i++)
        table[i] =
            (struct option){ rows[i].name, rows[i].argument != NULL ? required_argument : no_argument, NULL, 256 + i };
    for (int c; (c = getopt_long(argc, argv, "p:vqhV", table, NULL)) != -1;) {
        if (c == '?')
            return usage("unknown option, or one without its argument", NULL);
        const struct option_row *row = c >= 256 ? &rows[c - 256] : find_letter(c);
        if (row->letter == 'h') {
            help();
            return 0;
        }
        if (row->letter == 'V') {
            printf("mqbroker %s\n", MQSHARK_VERSION);
            return 0;
        }
        if (strcmp(row->name, "fault") == 0 && strcmp(optarg, "help") == 0) {
            list_faults();
            return 0;
        }
        if (!set(row, optarg)) {
            fprintf(stderr, "mqbroker: --%s: `%s` is not what it takes\n", row->name, optarg);
            return EXIT_USAGE;
        }
    }
    if (optind < argc)
        return usage("what is this", argv[optind]);
    const char *wrong = check();
    return wrong != NULL ? usage(wrong, NULL) : -1;
}

int main(int argc, char **argv)
{
    config = broker_defaults();
    int status = parse(argc, argv);
    if (status >= 0)
        return status;
    announce_faults();
    return server_run(&options, &config);
}
