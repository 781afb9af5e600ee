/* SPDX-License-Identifier: Apache-2.0 */
#include "tui/keys.h"
#include <string.h>

#define ON(screen) (1u << SCREEN_##screen)
#define EVERYWHERE ((1u << SCREEN_COUNT) - 1)

static const struct binding {
    const char *keys, *text;
    unsigned screens;
} bindings[ACTION_COUNT] = {
    [ACTION_NONE] = { "", "", 0 },
#define KEY(sym, screens, keys, text) [ACTION_##sym] = { keys, text, screens },
#include "tui/keys.def"
};

uint32_t keys_parse(const char *name, size_t len)
{
    static const struct {
        const char *name;
        uint32_t key;
    } names[] = {
        { "Up", KEYC_UP },      { "Down", KEYC_DOWN }, { "Left", KEYC_LEFT }, { "Right", KEYC_RIGHT },
        { "PgUp", KEYC_PGUP },  { "PgDn", KEYC_PGDN }, { "Home", KEYC_HOME }, { "End", KEYC_END },
        { "Enter", '\r' },      { "Esc", 27 },         { "Space", ' ' },      { "Tab", '\t' },
        { "Del", KEYC_DELETE },
    };
    if (len == 1)
        return (uint8_t)name[0];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i].name) == len && memcmp(names[i].name, name, len) == 0)
            return names[i].key;
    if (len == 6 && memcmp(name, "Ctrl-", 5) == 0 && name[5] >= 'A' && name[5] <= 'Z')
        return (uint32_t)(name[5] - 'A' + 1);
    if ((len == 2 || len == 3) && name[0] == 'F') {
        unsigned number = 0;
        for (size_t i = 1; i < len; i++)
            number = number * 10 + (unsigned)(name[i] - '0');
        return number >= 1 && number <= 12 ? KEYC_F0 + number : KEYC_NONE;
    }
    return KEYC_NONE;
}

static bool names_key(const char *names, uint32_t key)
{
    while (*names != 0) {
        size_t len = strcspn(names, " ");
        if (keys_parse(names, len) == key)
            return true;
        names += len + (names[len] == ' ');
    }
    return false;
}

enum action keys_action(uint32_t key, enum screen_id screen)
{
    if (key == KEYC_NONE)
        return ACTION_NONE;
    for (unsigned a = ACTION_NONE + 1; a < ACTION_COUNT; a++)
        if ((bindings[a].screens & 1u << screen) && names_key(bindings[a].keys, key))
            return (enum action)a;
    return ACTION_NONE;
}

bool keys_active(enum action action, enum screen_id screen)
{
    return action < ACTION_COUNT && (bindings[action].screens & 1u << screen);
}

const char *keys_names(enum action action)
{
    return action < ACTION_COUNT ? bindings[action].keys : "";
}

const char *keys_text(enum action action)
{
    return action < ACTION_COUNT ? bindings[action].text : "";
}

void keys_first(enum action action, char out[16])
{
    const char *names = keys_names(action);
    size_t len = strcspn(names, " ");
    len = len < 15 ? len : 15;
    memcpy(out, names, len);
    out[len] = 0;
}

const char *screen_name(enum screen_id screen)
{
    static const char *const names[SCREEN_COUNT] = { "sessions",   "ladder",  "packets", "findings", "topics",
                                                     "statistics", "compare", "help",    "save",     "settings" };
    return screen < SCREEN_COUNT ? names[screen] : "";
}

static void print_screens(FILE *out, unsigned screens)
{
    const char *between = " (";
    if (screens == EVERYWHERE)
        return;
    for (unsigned s = 0; s < SCREEN_COUNT; s++)
        if (screens & 1u << s) {
            fprintf(out, "%s%s", between, screen_name((enum screen_id)s));
            between = ", ";
        }
    fputs(")", out);
}

static void print_scdoc_names(FILE *out, const char *names)
{
    fputs("*", out);
    for (; *names != 0; names++) {
        if (*names == ' ')
            fputs("*, *", out);
        else if (strchr("\\_*[]<>|~#`", *names) != NULL)
            fprintf(out, "\\%c", *names);
        else
            fputc(*names, out);
    }
    fputs("*", out);
}

void keys_print(FILE *out, bool scdoc)
{
    for (unsigned a = ACTION_NONE + 1; a < ACTION_COUNT; a++) {
        if (scdoc)
            print_scdoc_names(out, bindings[a].keys);
        else
            fprintf(out, "%-14s", bindings[a].keys);
        fprintf(out, "%s%s", scdoc ? "\n\t" : " ", bindings[a].text);
        print_screens(out, bindings[a].screens);
        fputs(scdoc ? "\n\n" : "\n", out);
    }
}
