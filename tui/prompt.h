/* SPDX-License-Identifier: Apache-2.0
 *
 * tui/prompt.h -- the line in which filters, texts, commands and answers are typed. */
#pragma once
#include "tui/app.h"

void prompt_open(struct app *a, enum prompt_kind kind, const char *text);
void prompt_key(struct app *a, uint32_t key);
void prompt_draw(struct app *a, struct grid *g, int y);
/* Searches the shown screen for a->find_text from the cursor on. */
void app_find(struct app *a);
