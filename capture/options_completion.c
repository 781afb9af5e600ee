/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/options_completion.c -- completion scripts for bash, zsh and fish, printed from the option table. */
#include "capture/options.h"

#include <string.h>

/* What completes an argument that is no choice of fixed words. */
enum kind { FREE, FILES, INTERFACES, FIELDS, STATISTICS, USERS };

static enum kind kind_of(int option)
{
    switch (option) {
    case OPTION_READ:
    case OPTION_WRITE:
    case OPTION_OUTPUT:
        return FILES;
    case OPTION_INTERFACE:
        return INTERFACES;
    case OPTION_FIELD:
        return FIELDS;
    case OPTION_STATISTIC:
        return STATISTICS;
    case OPTION_USER:
        return USERS;
    default:
        return FREE;
    }
}

static bool has(int option, unsigned program)
{
    return (option_table[option].programs & program) != 0;
}

/* A command whose output is the list of words, for any shell. */
static void word_command(FILE *to, enum kind kind, const char *name)
{
    if (kind == INTERFACES)
        fprintf(to, "echo any; ls /sys/class/net 2>/dev/null");
    else if (kind == FIELDS)
        fprintf(to, "%s -G fields | cut -f3", name);
    else if (kind == STATISTICS)
        fprintf(to, "%s -z help | sed 's/^ *//; s/[ ,].*//'", name);
}

static void bash_case(FILE *to, int option, const char *name)
{
    const struct option_info *info = &option_table[option];
    const char *choices = options_choices((enum option_id)option);
    enum kind kind = kind_of(option);
    fprintf(to, "    ");
    if (info->letter != '\0')
        fprintf(to, "-%c | ", info->letter);
    fprintf(to, "--%s) ", info->name);
    if (choices != NULL) {
        fprintf(to, "COMPREPLY=($(compgen -W '%s' -- \"$cur\"))", choices);
    } else if (kind == FILES) {
        fprintf(to, "compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")");
    } else if (kind == USERS) {
        fprintf(to, "COMPREPLY=($(compgen -u -- \"$cur\"))");
    } else if (kind != FREE) {
        fprintf(to, "COMPREPLY=($(compgen -W \"$(");
        word_command(to, kind, name);
        fprintf(to, ")\" -- \"$cur\"))");
    }
    fprintf(to, " ;;\n");
}

static void bash(FILE *to, unsigned program, const char *name)
{
    fprintf(to, "# bash completion of %s, printed by %s --completion bash\n", name, name);
    fprintf(to, "_%s()\n{\n    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n", name);
    fprintf(to, "    COMPREPLY=()\n    case $prev in\n");
    for (int i = 0; i < OPTION_COUNT; i++)
        if (has(i, program) && option_table[i].argument != NULL)
            bash_case(to, i, name);
    fprintf(to, "    *)\n        if [[ $cur == -* ]]; then\n            COMPREPLY=($(compgen -W '");
    for (int i = 0; i < OPTION_COUNT; i++) {
        if (has(i, program) && option_table[i].letter != '\0')
            fprintf(to, "-%c ", option_table[i].letter);
        if (has(i, program))
            fprintf(to, "--%s ", option_table[i].name);
    }
    fprintf(to, "' -- \"$cur\"))\n        else\n            compopt -o filenames\n"
                "            mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n        fi\n        ;;\n    esac\n}\n");
    fprintf(to, "complete -F _%s %s\n", name, name);
}

/* Help text inside '[...]' of _arguments: what would end it is quoted. */
static void zsh_text(FILE *to, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            fprintf(to, "'\\'");
        else if (strchr("[]:\\", *text) != NULL)
            fputc('\\', to);
        fputc(*text, to);
    }
}

static void zsh_argument(FILE *to, int option, const char *name)
{
    const struct option_info *info = &option_table[option];
    const char *choices = options_choices((enum option_id)option);
    enum kind kind = kind_of(option);
    fputc(':', to);
    zsh_text(to, info->argument);
    fputc(':', to);
    if (choices != NULL) {
        fprintf(to, "(%s)", choices);
    } else if (kind == FILES) {
        fprintf(to, "_files");
    } else if (kind == USERS) {
        fprintf(to, "_users");
    } else if (kind != FREE) { /* the command stands between single quotes */
        fprintf(to, "($(");
        if (kind == STATISTICS)
            fprintf(to, "%s -z help | sed \"s/^ *//; s/[ ,].*//\"", name);
        else
            word_command(to, kind, name);
        fprintf(to, "))");
    }
}

static bool repeats(int option)
{
    return option == OPTION_INTERFACE || option == OPTION_FIELD || option == OPTION_STATISTIC ||
           option == OPTION_COLUMNS || option == OPTION_DECODE_AS || option == OPTION_AUTOSTOP || option == OPTION_RING;
}

static void zsh_option(FILE *to, int option, const char *name)
{
    const struct option_info *info = &option_table[option];
    fprintf(to, "    ");
    if (info->letter != '\0' && repeats(option))
        fprintf(to, "'*'{-%c,--%s}'", info->letter, info->name);
    else if (info->letter != '\0')
        fprintf(to, "'(-%c --%s)'{-%c,--%s}'", info->letter, info->name, info->letter, info->name);
    else
        fprintf(to, "'--%s", info->name);
    fputc('[', to);
    zsh_text(to, info->help);
    fputc(']', to);
    if (info->argument != NULL)
        zsh_argument(to, option, name);
    fprintf(to, "' \\\n");
}

static void zsh(FILE *to, unsigned program, const char *name)
{
    fprintf(to, "#compdef %s\n# zsh completion of %s, printed by %s --completion zsh\n_arguments -s \\\n", name, name,
            name);
    for (int i = 0; i < OPTION_COUNT; i++)
        if (has(i, program))
            zsh_option(to, i, name);
    fprintf(to, "    '*:file or capture filter:_files'\n");
}

static void fish_text(FILE *to, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'' || *text == '\\')
            fputc('\\', to);
        fputc(*text, to);
    }
}

static void fish_option(FILE *to, int option, const char *name)
{
    const struct option_info *info = &option_table[option];
    const char *choices = options_choices((enum option_id)option);
    enum kind kind = kind_of(option);
    fprintf(to, "complete -c %s", name);
    if (info->letter != '\0')
        fprintf(to, " -s %c", info->letter);
    fprintf(to, " -l %s", info->name);
    if (info->argument != NULL)
        fprintf(to, kind == FILES ? " -r -F" : " -x");
    if (choices != NULL) {
        fprintf(to, " -a '%s'", choices);
    } else if (kind == USERS) {
        fprintf(to, " -a '(__fish_complete_users)'");
    } else if (kind != FREE && kind != FILES) {
        fprintf(to, " -a \"(");
        word_command(to, kind, name);
        fprintf(to, ")\"");
    }
    fprintf(to, " -d '");
    fish_text(to, info->help);
    fprintf(to, "'\n");
}

static void fish(FILE *to, unsigned program, const char *name)
{
    fprintf(to, "# fish completion of %s, printed by %s --completion fish\n", name, name);
    for (int i = 0; i < OPTION_COUNT; i++)
        if (has(i, program))
            fish_option(to, i, name);
}

void options_completion(FILE *to, unsigned program, const char *shell)
{
    const char *name = options_program(program);
    if (strcmp(shell, "bash") == 0)
        bash(to, program, name);
    else if (strcmp(shell, "zsh") == 0)
        zsh(to, program, name);
    else
        fish(to, program, name);
}
