/* SPDX-License-Identifier: Apache-2.0 */
#include "tui/config.h"
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const struct {
    const char *name, *value, *text;
    enum config_type type;
} settings[CONFIG_COUNT] = {
#define SETTING(sym, name, type, value, text) [CONFIG_##sym] = { name, value, text, type },
#include "tui/settings.def"
};

const char *config_name(enum config_key key)
{
    return settings[key].name;
}

const char *config_text(enum config_key key)
{
    return settings[key].text;
}

enum config_type config_type(enum config_key key)
{
    return settings[key].type;
}

static const char *set_bool(uint64_t *out, const char *value)
{
    static const char *const yes[] = { "yes", "true", "on", "1" }, *const no[] = { "no", "false", "off", "0" };
    for (int i = 0; i < 4; i++) {
        if (strcmp(value, yes[i]) == 0 || strcmp(value, no[i]) == 0) {
            *out = strcmp(value, yes[i]) == 0;
            return NULL;
        }
    }
    return "yes or no is expected";
}

static const char *set_number(uint64_t *out, const char *value)
{
    char *end;
    errno = 0;
    unsigned long long n = strtoull(value, &end, 10);
    if (!isdigit((unsigned char)*value) || *end != 0 || errno != 0)
        return "a number is expected";
    *out = n;
    return NULL;
}

static bool one_of(const char *value, const char *words)
{
    size_t len = strlen(value);
    for (; *words != 0; words += strcspn(words, " "), words += strspn(words, " "))
        if (strcspn(words, " ") == len && memcmp(words, value, len) == 0)
            return true;
    return false;
}

static const char *check_word(enum config_key key, const char *value)
{
    if (key == CONFIG_COLOUR && !one_of(value, "auto always never"))
        return "auto, always or never is expected";
    if (key == CONFIG_TIME && !one_of(value, "absolute relative delta"))
        return "absolute, relative or delta is expected";
    if (key == CONFIG_LAYOUT && !one_of(value, "auto beside below"))
        return "auto, beside or below is expected";
    for (const char *c = value; *c != 0; c++)
        if (iscntrl((unsigned char)*c))
            return "a control character is in it";
    return NULL;
}

const char *config_set(struct config *c, const char *name, const char *value)
{
    for (unsigned k = 0; k < CONFIG_COUNT; k++) {
        if (strcmp(settings[k].name, name) != 0)
            continue;
        if (settings[k].type == CONFIG_BOOL)
            return set_bool(&c->number[k], value);
        if (settings[k].type == CONFIG_NUMBER)
            return set_number(&c->number[k], value);
        const char *wrong =
            strlen(value) >= sizeof c->word[k] ? "it is too long" : check_word((enum config_key)k, value);
        if (wrong == NULL)
            strcpy(c->word[k], value);
        return wrong;
    }
    return "there is no such setting";
}

void config_defaults(struct config *c)
{
    memset(c, 0, sizeof *c);
    for (unsigned k = 0; k < CONFIG_COUNT; k++)
        config_set(c, settings[k].name, settings[k].value);
}

void config_value(const struct config *c, enum config_key key, char *out, size_t cap)
{
    if (settings[key].type == CONFIG_BOOL)
        snprintf(out, cap, "%s", c->number[key] ? "yes" : "no");
    else if (settings[key].type == CONFIG_NUMBER)
        snprintf(out, cap, "%" PRIu64, c->number[key]);
    else
        snprintf(out, cap, "%s", c->word[key]);
}

/* "key value # comment" -> key, value; false: nothing in this line. */
static bool split(char *line, char **key, char **value)
{
    line[strcspn(line, "#\r\n")] = 0;
    *key = line + strspn(line, " \t");
    if (**key == 0)
        return false;
    *value = *key + strcspn(*key, " \t");
    if (**value != 0)
        *(*value)++ = 0;
    *value += strspn(*value, " \t");
    size_t len = strlen(*value);
    while (len > 0 && isspace((unsigned char)(*value)[len - 1]))
        (*value)[--len] = 0;
    return true;
}

bool config_read(struct config *c, const char *path, FILE *err)
{
    char line[512], *key, *value;
    bool good = true;
    FILE *in = fopen(path, "r");
    if (in == NULL) {
        if (errno == ENOENT || errno == ENOTDIR)
            return true;
        fprintf(err, "%s: %s\n", path, strerror(errno));
        return false;
    }
    for (unsigned number = 1; fgets(line, sizeof line, in) != NULL; number++) {
        if (!split(line, &key, &value))
            continue;
        const char *wrong = config_set(c, key, value);
        if (wrong == NULL)
            continue;
        for (char *k = key; *k != 0; k++)
            if (!isprint((unsigned char)*k))
                *k = '?';
        fprintf(err, "%s:%u: %s: %s\n", path, number, key, wrong);
        good = false;
    }
    fclose(in);
    return good;
}

bool config_user_path(char *out, size_t cap)
{
    const char *base = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    int n = -1;
    if (base != NULL && base[0] == '/')
        n = snprintf(out, cap, "%s/mqshark/config", base);
    else if (home != NULL && *home != 0)
        n = snprintf(out, cap, "%s/.config/mqshark/config", home);
    return n > 0 && (size_t)n < cap;
}

static void make_parents(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(path, 0700);
        *slash = '/';
    }
}

bool config_write(const struct config *c, const char *path)
{
    char copy[1024];
    if (strlen(path) >= sizeof copy) {
        errno = ENAMETOOLONG;
        return false;
    }
    strcpy(copy, path);
    make_parents(copy);
    FILE *out = fopen(path, "w");
    if (out == NULL)
        return false;
    config_dump(c, out);
    return fclose(out) == 0;
}

void config_dump(const struct config *c, FILE *out)
{
    char value[160];
    for (unsigned k = 0; k < CONFIG_COUNT; k++) {
        config_value(c, (enum config_key)k, value, sizeof value);
        fprintf(out, "# %s\n%s %s\n", settings[k].text, settings[k].name, value);
    }
}

void config_print_scdoc(FILE *out)
{
    for (unsigned k = 0; k < CONFIG_COUNT; k++)
        fprintf(out, "*%s*\n\t%s. Usually: %s\n\n", settings[k].name, settings[k].text, settings[k].value);
}
