/* SPDX-License-Identifier: Apache-2.0
 *
 * The settings, and saving: two forms. */
#include "tui/prompt.h"
#include <string.h>

/* ---- settings --------------------------------------------------------------------------------------------------- */

static void draw_settings(struct app *a, struct grid *g, struct rect body)
{
    list_settle(&a->settings.list, CONFIG_COUNT, body.h - 4);
    grid_text(g, body.y, 1, body.w - 2, STYLE_HEAD, "settings");
    for (int i = 0; i < body.h - 4 && a->settings.list.top + (uint64_t)i < CONFIG_COUNT; i++) {
        enum config_key key = (enum config_key)(a->settings.list.top + (uint64_t)i);
        char value[160];
        config_value(&a->config, key, value, sizeof value);
        grid_text(g, body.y + 1 + i, 2, 18, STYLE_NORMAL, config_name(key));
        grid_text(g, body.y + 1 + i, 21, body.w - 22, STYLE_HEAD, value);
        if (key == a->settings.list.at)
            grid_mark(g, body.y + 1 + i, 0, body.w, GRID_SELECTED);
    }
    grid_text(g, body.y + body.h - 2, 2, body.w - 4, STYLE_DIM, config_text((enum config_key)a->settings.list.at));
    grid_text(g, body.y + body.h - 1, 2, body.w - 4, STYLE_DIM,
              "s stores them in the settings file; memory and color count from the next start");
}

static bool settings_action(struct app *a, enum action action, unsigned count)
{
    struct list *l = &a->settings.list;
    enum config_key key = (enum config_key)l->at;
    if (list_action(l, action, count, CONFIG_COUNT))
        return true;
    if (action == ACTION_SAVE) {
        a->wish |= WISH_STORE_SETTINGS;
        return true;
    }
    if (action != ACTION_OPEN && action != ACTION_RIGHT && action != ACTION_LEFT)
        return false;
    if (config_type(key) == CONFIG_BOOL) {
        a->config.number[key] = !a->config.number[key];
        return true;
    }
    char value[160];
    config_value(&a->config, key, value, sizeof value);
    a->settings.choice[0] = (int)key;
    prompt_open(a, PROMPT_VALUE, value);
    return true;
}

const struct screen screen_settings = { .draw = draw_settings, .action = settings_action };

/* ---- saving ----------------------------------------------------------------------------------------------------- */

enum field { WHAT, FORMAT, FILE_NAME, SAVE_FIELDS };

static const char *const formats[SAVE_FORMATS] = { "pcapng", "text", "NDJSON" };
static const char *const whats[SAVE_WHATS] = { "all", "filtered", "selected", "session" };
static const char *const what_texts[SAVE_WHATS] = { "all rows that are held", "rows that pass the filter",
                                                    "packets selected with Space",
                                                    "the session or streams of the ladder" };

static void draw_save(struct app *a, struct grid *g, struct rect body)
{
    static const char *const names[SAVE_FIELDS] = { "what", "format", "file" };
    list_settle(&a->save.list, SAVE_FIELDS, SAVE_FIELDS);
    grid_text(g, body.y, 1, body.w - 2, STYLE_HEAD, "save");
    for (int i = 0; i < SAVE_FIELDS; i++) {
        int y = body.y + 2 + i;
        grid_text(g, y, 2, 8, STYLE_NORMAL, names[i]);
        if (i == WHAT)
            grid_printf(g, y, 11, body.w - 12, STYLE_HEAD, "< %s >  %s", whats[a->save.choice[WHAT]],
                        what_texts[a->save.choice[WHAT]]);
        else if (i == FORMAT)
            grid_printf(g, y, 11, body.w - 12, STYLE_HEAD, "< %s >", formats[a->save.choice[FORMAT]]);
        else
            grid_text(g, y, 11, body.w - 12, STYLE_HEAD,
                      a->save.text[0] != 0 ? a->save.text : "(none: Right types its name)");
        if ((uint64_t)i == a->save.list.at)
            grid_mark(g, y, 0, body.w, GRID_SELECTED);
    }
    static const char *const remarks[SAVE_FORMATS] = {
        "pcapng holds whole connections: frames of the file, or rebuilt ones if live.",
        "text holds a line for each packet, as mqdump prints it.",
        "NDJSON holds an object for each packet, as mqdump -T json prints it.",
    };
    grid_text(g, body.y + 6, 2, body.w - 4, STYLE_DIM, remarks[a->save.choice[FORMAT]]);
    grid_text(g, body.y + 7, 2, body.w - 4, STYLE_DIM, "A file that exists already is not written over.");
}

static void change(struct app *a, int step)
{
    int i = (int)a->save.list.at;
    if (i == FILE_NAME) {
        prompt_open(a, PROMPT_FILE, a->save.text);
        return;
    }
    int n = i == WHAT ? SAVE_WHATS : SAVE_FORMATS;
    a->save.choice[i] = (a->save.choice[i] + n + step) % n;
}

static bool save_action(struct app *a, enum action action, unsigned count)
{
    if (list_action(&a->save.list, action, count, SAVE_FIELDS))
        return true;
    switch (action) {
    case ACTION_LEFT:
        change(a, -1);
        return true;
    case ACTION_RIGHT:
    case ACTION_SELECT:
        change(a, 1);
        return true;
    case ACTION_OPEN:
    case ACTION_SAVE:
        if (a->save.text[0] == 0) {
            a->save.list.at = FILE_NAME;
            prompt_open(a, PROMPT_FILE, "");
        } else {
            a->wish |= WISH_SAVE;
        }
        return true;
    default:
        return false;
    }
}

const struct screen screen_save = { .draw = draw_save, .action = save_action };
