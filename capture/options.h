/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/options.h -- the command line of mqdump and mqshark, from the table in capture/options.def.
 *
 * Everything parsed borrows argv; the structure itself owns nothing. */
#pragma once
#include "capture/pipeline.h"
#include "decoder/show/show.h"
#include <stdio.h>

enum { OPTIONS_D = 1, OPTIONS_S = 2 }; /* programs: mqdump, mqshark */

enum option_id {
#define OPTION(sym, letter, name, argument, group, programs, help) OPTION_##sym,
#include "capture/options.def"
    OPTION_COUNT
};

enum option_group { OPTIONS_INPUT, OPTIONS_CHOICE, OPTIONS_OUTPUT, OPTIONS_RECORD, OPTIONS_OTHER, OPTIONS_GROUPS };

struct option_info {
    const char *name, *argument, *help; /* argument NULL: takes none */
    char letter;                        /* '\0': none */
    uint8_t group, programs;
};

extern const struct option_info option_table[OPTION_COUNT];

enum options_action {
    OPTIONS_RUN,
    OPTIONS_HELP,
    OPTIONS_VERSION,
    OPTIONS_LIST_INTERFACES,
    OPTIONS_LIST_FIELDS,
    OPTIONS_LIST_STATISTICS,
    OPTIONS_COMPLETION
};
enum options_format { OPTIONS_TEXT, OPTIONS_FIELDS, OPTIONS_JSON, OPTIONS_EVE };
enum options_color { OPTIONS_COLOR_AUTO, OPTIONS_COLOR_ALWAYS, OPTIONS_COLOR_NEVER };
enum {
    OPTIONS_INTERFACES = 64,
    OPTIONS_PORTS = 1024,
    OPTIONS_BPF = 4096,
    OPTIONS_STATISTICS = 16,
    OPTIONS_ERROR = 2048 /* with 80 characters of a user's word, each octet of which may be escaped */
};

struct options {
    enum options_action action;
    struct pipeline_budget budget; /* what --budget names; 0: not named */
    struct pipeline_options input; /* its pointers lead into this structure and argv: do not copy it before use */
    const char *interfaces[OPTIONS_INTERFACES];
    uint16_t ports[OPTIONS_PORTS];
    char bpf[OPTIONS_BPF]; /* words of the command line joined */
    const char *display_filter;
    const char *shell; /* --completion */
    uint64_t count;    /* -c; 0: no end */
    enum options_format format;
    struct show_columns columns;                /* -e, -E */
    const char *statistics[OPTIONS_STATISTICS]; /* -z */
    uint32_t n_statistics;
    struct show_style style; /* time, secrets; color is options_use_color()'s */
    bool tree, hex, quiet, line_buffered;
    enum options_color color;
    const char *output, *sensor; /* NULL: standard output; no name */
    uint32_t payload_limit;      /* of EVE */
    unsigned redact;             /* bit set of enum redact_kind */
    uint8_t fail_on;             /* enum mqtt_severity, NONE: never */
};

/* False: `error` (OPTIONS_ERROR octets) says in one line what is wrong, without the program's name. */
bool options_parse(struct options *o, unsigned program, int argc, char **argv, char *error);

/* For this stream and environment: --color, NO_COLOR, TERM, terminal or not. */
bool options_use_color(const struct options *o, FILE *stream);

/* The words an option's argument is one of, with spaces between; NULL: it is free. */
const char *options_choices(enum option_id option);

void options_help(FILE *to, unsigned program);
void options_version(FILE *to, unsigned program);
void options_completion(FILE *to, unsigned program, const char *shell); /* script for bash, zsh or fish */
void options_fields(FILE *to);                 /* -G fields: F, label, name, type, meaning; tab separated */
const char *options_program(unsigned program); /* "mqdump" */
