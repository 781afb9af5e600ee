/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/options_print.c -- what the programs say of themselves: --help, --version, -G fields. */
#include "capture/options.h"
#include "decoder/base/version.h"

#include <pcap/pcap.h>
#include <string.h>

enum { NAME_COLUMN = 31, LINE_COLUMNS = 80 };

static void usage(FILE *to, unsigned program)
{
    if (program == OPTIONS_S) {
        fprintf(to, "Usage: mqshark [options] [FILE | capture filter]\n"
                    "MQTT sessions, exchanges and packets on a screen, from a file or a live capture.\n");
        return;
    }
    fprintf(to, "Usage: mqdump [options] [FILE | capture filter]\n"
                "Prints each MQTT packet of a file or a live capture, and what is wrong with it.\n"
                "  mqdump -i lo                           watch the loopback, any port\n"
                "  mqdump -r capture.pcap -V              every field of every packet\n"
                "  mqdump -r capture.pcap -T json | jq .  for programs\n"
                "  mqdump -q -r capture.pcap --fail-on error && echo clean\n");
}

/* Text in lines that begin at `column`; the first is already there. */
static void flow(FILE *to, const char *text, int column)
{
    int at = column;
    while (*text != '\0') {
        int len = (int)strcspn(text, " ");
        if (at > column && at + 1 + len > LINE_COLUMNS) {
            fprintf(to, "\n%*s", column, "");
            at = column;
        } else if (at > column) {
            fputc(' ', to);
            at++;
        }
        fprintf(to, "%.*s", len, text);
        at += len;
        text += len + (text[len] == ' ');
    }
    fputc('\n', to);
}

static void option_line(FILE *to, const struct option_info *info)
{
    char letter[] = { '-', info->letter, ',', ' ', '\0' };
    int used = fprintf(to, "  %s--%s%s%s", info->letter != '\0' ? letter : "    ", info->name,
                       info->argument != NULL ? " " : "", info->argument != NULL ? info->argument : "");
    if (used >= NAME_COLUMN) {
        fputc('\n', to);
        used = 0;
    }
    fprintf(to, "%*s", NAME_COLUMN - used, "");
    flow(to, info->help, NAME_COLUMN);
}

void options_help(FILE *to, unsigned program)
{
    static const char *const titles[OPTIONS_GROUPS] = { "Where frames come from", "Which packets", "How they are shown",
                                                        "Recording", "Other" };
    usage(to, program);
    for (unsigned group = 0; group < OPTIONS_GROUPS; group++) {
        fprintf(to, "\n%s\n", titles[group]);
        for (int i = 0; i < OPTION_COUNT; i++)
            if (option_table[i].group == group && (option_table[i].programs & program) != 0)
                option_line(to, &option_table[i]);
    }
    fprintf(to, "\nExit status: 0 done, 1 wrong usage, 2 input or output fails (what was read so\nfar is shown)");
    fprintf(to, program == OPTIONS_D ? ", 3 with --fail-on: findings of that severity.\n" : ".\n");
}

void options_version(FILE *to, unsigned program)
{
    fprintf(to, "%s %s\nMQTT 3.1, 3.1.1 and 5.0\n%s\n", options_program(program), MQSHARK_VERSION, pcap_lib_version());
}

void options_fields(FILE *to)
{
    static const char *const types[] = { "presence", "number", "boolean", "string", "octets",
                                         "IPv4",     "IPv6",   "time",    "string" };
    for (int f = 0; f < FIELD_COUNT; f++) {
        const char *meaning = field_table[f].meaning;
        struct view label = field_label((enum field)f);
        const char *rest = meaning + label.len;
        fprintf(to, "F\t%.*s\t%s\t%s\t%s\n", (int)label.len, meaning, field_table[f].name, types[field_table[f].type],
                rest[0] != '\0' ? rest + 2 : "");
    }
}
