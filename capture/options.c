/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/options.c -- from argv to struct options, by the table. */
#include "capture/options.h"
#include "capture/options_parts.h"
#include "decoder/show/eve.h"
#include "decoder/show/redact.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { D = OPTIONS_D, S = OPTIONS_S, LONG_BASE = 256 };

const struct option_info option_table[OPTION_COUNT] = {
#define OPTION(sym, letter, name, argument, group, programs, help)                                                     \
    { name, argument, help, letter, OPTIONS_##group, programs },
#include "capture/options.def"
};

const char *options_program(unsigned program)
{
    return program == OPTIONS_S ? "mqshark" : "mqdump";
}

/* The table in the two forms that getopt_long() wants. Every option is known to it by LONG_BASE and its number. */
struct forms {
    char letters[3 * OPTION_COUNT + 2];
    struct option longs[OPTION_COUNT + 1];
};

static void forms_of(struct forms *f, unsigned program)
{
    size_t letters = 0, longs = 0;
    f->letters[letters++] = ':'; /* tell a missing argument from an unknown option */
    for (int i = 0; i < OPTION_COUNT; i++) {
        const struct option_info *info = &option_table[i];
        if ((info->programs & program) == 0)
            continue;
        if (info->letter != '\0') {
            f->letters[letters++] = info->letter;
            if (info->argument != NULL)
                f->letters[letters++] = ':';
        }
        if (info->name[0] != '\0')
            f->longs[longs++] = (struct option){ info->name, info->argument != NULL, NULL, LONG_BASE + i };
    }
    f->letters[letters] = '\0';
    f->longs[longs] = (struct option){ 0 };
}

static int option_of(int code)
{
    if (code >= LONG_BASE)
        return code - LONG_BASE;
    for (int i = 0; i < OPTION_COUNT; i++)
        if (option_table[i].letter == code)
            return i;
    return OPTION_COUNT;
}

static bool one_input(struct parsing *p, const char *value)
{
    struct options *o = p->o;
    if (o->input.file != NULL)
        return options_fault(p, "only one file can be read", value);
    o->input.file = value;
    return true;
}

static bool interface(struct parsing *p, const char *value)
{
    struct options *o = p->o;
    if (o->input.n_interfaces == OPTIONS_INTERFACES)
        return options_fault(p, "too many interfaces", value);
    o->interfaces[o->input.n_interfaces++] = value;
    return true;
}

static bool input_option(struct parsing *p, enum option_id option, const char *value)
{
    struct options *o = p->o;
    switch (option) {
    case OPTION_INTERFACE:
        return interface(p, value);
    case OPTION_READ:
        return one_input(p, value);
    case OPTION_CAPTURE_FILTER:
        o->input.capture_filter = value;
        return true;
    case OPTION_DECODE_AS:
        return options_decode_as(p, value);
    case OPTION_PREFERENCE:
        return options_preference(p, value);
    case OPTION_SNAPLEN:
        return options_number(p, "-s", value, 0, 262144, &p->number) && (o->input.snaplen = (uint32_t)p->number, true);
    case OPTION_BUFFER:
        return options_number(p, "-B", value, 1, 2047, &p->number) && (o->input.buffer_mib = (uint32_t)p->number, true);
    case OPTION_NO_PROMISCUOUS:
        o->input.no_promiscuous = true;
        return true;
    case OPTION_USER:
        o->input.user = value;
        return true;
    case OPTION_THREADS:
        return options_number(p, "--threads", value, 1, 2, &p->number) &&
               (o->input.threads = (uint32_t)p->number, true);
    case OPTION_MAX_MEMORY:
        return options_memory(p, value);
    case OPTION_BUDGET:
        return options_budget(p, value);
    case OPTION_WRITE:
        o->input.record.file = value;
        return true;
    case OPTION_RING:
        return options_ring(p, value);
    case OPTION_AUTOSTOP:
        return options_autostop(p, value);
    default:
        return false;
    }
}

static bool statistic(struct parsing *p, const char *value)
{
    struct options *o = p->o;
    if (strcmp(value, "help") == 0) {
        o->action = OPTIONS_LIST_STATISTICS;
        return true;
    }
    if (o->n_statistics == OPTIONS_STATISTICS)
        return options_fault(p, "-z: too many tables at", value);
    o->statistics[o->n_statistics++] = value;
    return true;
}

static bool output_option(struct parsing *p, enum option_id option, const char *value)
{
    struct options *o = p->o;
    switch (option) {
    case OPTION_DISPLAY_FILTER:
        o->display_filter = value;
        return true;
    case OPTION_PACKETS:
        return options_number(p, "-c", value, 1, UINT64_MAX, &o->count);
    case OPTION_FORMAT:
        return options_format(p, value);
    case OPTION_FIELD:
        return options_field(p, value);
    case OPTION_COLUMNS:
        return options_columns(p, value);
    case OPTION_TIME:
        return options_time(p, value);
    case OPTION_STATISTIC:
        return statistic(p, value);
    case OPTION_COLOR:
        return options_color(p, value);
    case OPTION_FAIL_ON:
        return options_severity(p, value);
    case OPTION_REDACT:
        o->redact = redact_kinds(value);
        return o->redact != 0 ||
               options_fault(p, "--redact wants passwords, usernames, clientids, topics, payloads or all, not", value);
    case OPTION_PAYLOAD_LIMIT:
        return options_number(p, "--payload-limit", value, 0, MQTT_REMAINING_MAX, &p->number) &&
               (o->payload_limit = (uint32_t)p->number, true);
    case OPTION_SENSOR:
        o->sensor = value;
        return true;
    case OPTION_OUTPUT:
        o->output = value;
        return true;
    case OPTION_TREE:
        o->tree = true;
        return true;
    case OPTION_HEX:
        o->hex = true;
        return true;
    case OPTION_QUIET:
        o->quiet = true;
        return true;
    case OPTION_LINE:
        o->line_buffered = true;
        return true;
    case OPTION_SECRETS:
        o->style.secrets = true;
        return true;
    default:
        return true; /* -n */
    }
}

/* What the program is asked to do instead of its work; the first such option counts. */
static enum options_action action_of(enum option_id option)
{
    switch (option) {
    case OPTION_HELP:
        return OPTIONS_HELP;
    case OPTION_VERSION:
        return OPTIONS_VERSION;
    case OPTION_LIST_INTERFACES:
        return OPTIONS_LIST_INTERFACES;
    case OPTION_LIST_FIELDS:
        return OPTIONS_LIST_FIELDS;
    case OPTION_COMPLETION:
        return OPTIONS_COMPLETION;
    default:
        return OPTIONS_RUN;
    }
}

static bool take(struct parsing *p, enum option_id option, const char *value)
{
    enum options_action action = action_of(option);
    if (option == OPTION_LIST_FIELDS && strcmp(value, "fields") != 0)
        return options_fault(p, "-G: only fields can be listed, not", value);
    if (option == OPTION_COMPLETION && !options_shell(p, value))
        return false;
    if (action != OPTIONS_RUN) {
        if (p->o->action == OPTIONS_RUN)
            p->o->action = action;
        return true;
    }
    if (option_table[option].group == OPTIONS_INPUT || option_table[option].group == OPTIONS_RECORD ||
        option == OPTION_AUTOSTOP)
        return input_option(p, option, value);
    return output_option(p, option, value);
}

/* A bare argument: a file that can be read, or what is named like one, is read; else it is a word of the capture
 * filter. */
static bool bare(struct parsing *p, const char *word)
{
    struct options *o = p->o;
    size_t used = strlen(o->bpf), len = strlen(word);
    bool named_so = strchr(word, '/') != NULL || strstr(word, ".pcap") != NULL;
    if (o->input.file == NULL && o->input.n_interfaces == 0 && (named_so || access(word, R_OK) == 0)) {
        o->input.file = word;
        return true;
    }
    if (o->input.capture_filter != NULL)
        return options_fault(p, "the capture filter is given by -f: what is", word);
    if (used + len + 2 > sizeof o->bpf)
        return options_fault(p, "the capture filter is too long", "");
    if (used > 0)
        o->bpf[used++] = ' ';
    memcpy(o->bpf + used, word, len + 1);
    return true;
}

static bool one_code(struct parsing *p, int code, const char *word)
{
    char letter[] = { '-', (char)optopt, '\0' };
    if (code == ':')
        return options_fault(p, "argument missing behind", optopt >= LONG_BASE || optopt == 0 ? word : letter);
    if (code == '?' && optopt >= LONG_BASE)
        return options_fault(p, "no argument belongs behind", word);
    if (code == '?')
        return options_fault(p, "unknown option", optopt != 0 ? letter : word);
    return take(p, (enum option_id)option_of(code), optarg);
}

/* Conditions of -b and -a that speak of the files of -w. */
static bool has_file_limits(const struct pipeline_record *r)
{
    return r->ring_kb > 0 || r->ring_s > 0 || r->ring_files > 0 || r->ring_packets > 0 || r->stop_kb > 0 ||
           r->stop_files > 0;
}

static bool recording_agrees(struct parsing *p)
{
    const struct pipeline_record *r = &p->o->input.record;
    bool ring = r->ring_kb > 0 || r->ring_s > 0 || r->ring_packets > 0;
    if (r->file == NULL && has_file_limits(r))
        return options_fault(p, "-b, -a filesize and -a files need -w FILE", "");
    if (!ring && (r->ring_files > 0 || r->stop_files > 0))
        return options_fault(
            p, "files:N needs -b filesize:KB, duration:SECONDS or packets:FRAMES: when the next file begins", "");
    if (ring && strcmp(r->file, "-") == 0)
        return options_fault(p, "-b makes files, and -w - is standard output", "");
    return true;
}

/* What does not go together, once all is read. */
static bool agree(struct parsing *p)
{
    struct options *o = p->o;
    if (o->input.file != NULL && o->input.n_interfaces > 0)
        return options_fault(p, "read a file or capture on an interface, not both:", o->input.file);
    if (o->format == OPTIONS_FIELDS && o->columns.n == 0)
        return options_fault(p, "-T fields needs at least one -e FIELD", "");
    if (o->columns.n > 0 && o->format != OPTIONS_FIELDS && o->format != OPTIONS_JSON)
        return options_fault(p, "-e needs -T fields or -T json", "");
    if ((o->tree || o->hex) && o->format != OPTIONS_TEXT)
        return options_fault(p, "-V and -x go with -T text", "");
    if (!recording_agrees(p))
        return false;
    if (o->bpf[0] != '\0')
        o->input.capture_filter = o->bpf;
    if (o->input.file == NULL && o->input.n_interfaces == 0)
        o->interfaces[o->input.n_interfaces++] = "any";
    if (o->count > 0) /* its rows end the run: nothing is to be read ahead */
        o->input.threads = 1;
    o->input.interfaces = o->interfaces;
    o->input.mqtt_ports = o->ports;
    return true;
}

bool options_parse(struct options *o, unsigned program, int argc, char **argv, char *error)
{
    struct parsing p = { .o = o, .error = error };
    struct forms forms;
    int code;
    *o = (struct options){ .columns = show_columns_default(), .payload_limit = EVE_PAYLOAD_LIMIT };
    error[0] = '\0';
    forms_of(&forms, program);
    opterr = 0;
    optind = 0; /* begin anew */
    for (;;) {
        int at = optind > 0 ? optind : 1;
        const char *word = at < argc ? argv[at] : "";
        code = getopt_long(argc, argv, forms.letters, forms.longs, NULL);
        if (code == -1)
            break;
        if (!one_code(&p, code, word))
            return false;
    }
    for (int i = optind; i < argc && o->action == OPTIONS_RUN; i++)
        if (!bare(&p, argv[i]))
            return false;
    options_merge_budget(o);
    return o->action != OPTIONS_RUN || agree(&p);
}

bool options_use_color(const struct options *o, FILE *stream)
{
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    if (o->color != OPTIONS_COLOR_AUTO)
        return o->color == OPTIONS_COLOR_ALWAYS;
    if (no_color != NULL && no_color[0] != '\0')
        return false;
    return term != NULL && term[0] != '\0' && strcmp(term, "dumb") != 0 && isatty(fileno(stream)) == 1;
}
