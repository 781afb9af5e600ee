/* SPDX-License-Identifier: Apache-2.0
 *
 * tui/app.h -- the model behind the screens: what is shown, where the cursors are, what a key changes.
 *
 * Nothing here touches a terminal, a file or a clock: keys, sizes, time and rows come in, a grid comes out, and wishes
 * that need the outside (save, suspend, clear) are left in app.wish for the main loop. All calls need the lock of the
 * store. */
#pragma once
#include "decoder/filter/filter.h"
#include "decoder/show/redact.h"
#include "tui/config.h"
#include "tui/grid.h"
#include "tui/keys.h"
#include "tui/rowset.h"
#include "tui/stats.h"
#include "tui/store.h"
#include "tui/text.h"
#include "tui/topics.h"

/* A list with a cursor: lines 0..n-1, of which `page` are seen. */
struct list {
    uint64_t at, top;
    int left;    /* columns scrolled to the right */
    int page;    /* set by drawing */
    bool follow; /* stay on the last line */
};
bool list_action(struct list *l, enum action a, unsigned count, uint64_t n); /* false: not a movement */
void list_settle(struct list *l, uint64_t n, int page); /* before drawing: cursor and top into bounds, cursor in view */

enum { APP_STACK = 12, APP_INPUT = 512, APP_SELECTED = 64, APP_SESSIONS_CHOSEN = 6, APP_ITEMS = 2048 };

struct source { /* where rows come from, as the capturing thread last said */
    char name[256];
    bool live, ended, recording, unsaved;
    char trouble[512]; /* error or warning, "" none */
    uint64_t frames, drops, lost_octets;
    uint64_t memory, budget; /* of capture and tracker */
    uint64_t evicted;        /* by capture and tracker */
};

enum prompt_kind {
    PROMPT_NONE,
    PROMPT_FILTER,
    PROMPT_FIND,
    PROMPT_COMMAND,
    PROMPT_MARK,
    PROMPT_GO_MARK,
    PROMPT_CLEAR,
    PROMPT_QUIT,
    PROMPT_FILE,
    PROMPT_VALUE
};

struct prompt {
    enum prompt_kind kind;
    char text[APP_INPUT];
    size_t len, at; /* octets; the cursor is between characters */
    bool wrong;     /* FILTER: does not compile as it stands */
    struct filter_error error;
    char history[8][APP_INPUT];
    int n_history, history_at;
    size_t complete_from, complete_len; /* what Tab put in last */
    int complete_next;
};

/* ---- one struct a screen ---------------------------------------------------------------------------------------- */

struct session_line {
    uint64_t number;
    uint64_t key;
};

struct sessions_screen {
    struct list list;
    struct session_line *lines; /* owned; sorted */
    uint32_t n, cap;
    uint64_t selected;     /* number of the session under the cursor */
    uint64_t seen_changes; /* of the store when lines was made */
    int64_t made_ms;
    int sort; /* enum of screen_sessions.c; -1: as they appeared */
    bool reverse;
    bool columns_open; /* choosing columns */
    struct list columns;
    uint32_t chosen[APP_SESSIONS_CHOSEN];
    int n_chosen;
};

enum { LADDER_TAILS = 4096 };
struct ladder_tail { /* the latest row of an exchange, so that only the last packet says what is owed */
    uint32_t exchange;
    uint64_t seq;
};

struct ladder_screen {
    struct list list;
    struct rowset rows;
    uint32_t sessions[APP_SESSIONS_CHOSEN]; /* 0 only in [0]: no session, a stream */
    int n_sessions;
    uint32_t stream;
    uint32_t exchange;         /* only this one and the connection around it; 0: all */
    bool started, over;        /* of the exchange, while searching */
    bool subscriber;           /* third lifeline */
    struct ladder_tail *tails; /* owned, LADDER_TAILS, by exchange */
    struct copies *copies;     /* owned: what this session published, to know the copies */
};

struct packet_line { /* one field of the chosen packet */
    uint16_t field;
    uint8_t depth, style;
    bool parent, closed;
    uint32_t offset, len;
    char label[48];
    char value[160]; /* escaped for the screen already */
};

enum packets_pane { PANE_LIST, PANE_FIELDS, PANE_OCTETS, PANE_COUNT };

struct packets_screen {
    struct list list;
    struct rowset rows;
    uint32_t session, stream; /* 0, UINT32_MAX: all */
    enum packets_pane pane;
    bool zoom;
    struct list fields, octets; /* octets: lines of the dump; cursor below */
    uint32_t octet;             /* cursor in the octets */
    uint64_t shown;             /* row whose fields are in lines[]; UINT64_MAX none */
    int n_lines;
    struct packet_line *lines; /* owned, APP_ITEMS */
    uint64_t closed_fields[4]; /* fields the user folded, a small set by field % 256 */
    int format;                /* payload: 0 text, 1 JSON, 2 octets */
};

struct findings_screen {
    struct list list;
    uint32_t *order; /* owned: indices into the findings, sorted */
    uint32_t n, cap;
    uint64_t seen_changes;
    int sort;
    bool reverse;
};

struct topics_screen {
    struct list list, value;
    bool zoom, value_pane;
    int format;
    int sort;
    bool reverse;
};

struct compare_screen {
    struct list list;
    uint64_t left, right;
};

struct plain_screen { /* help, statistics, settings, save */
    struct list list;
    int choice[4];
    char text[256];
    enum screen_id of;
};

/* What the main loop has to do. */
enum wish {
    WISH_NONE = 0,
    WISH_QUIT = 1,
    WISH_SAVE = 2,
    WISH_CLEAR = 4,
    WISH_SUSPEND = 8,
    WISH_REDRAW = 16,
    WISH_COLOUR = 32,
    WISH_MOUSE = 64,
    WISH_STORE_SETTINGS = 128
};
enum save_format { SAVE_PCAPNG, SAVE_TEXT, SAVE_NDJSON, SAVE_FORMATS };
enum save_what { SAVE_ALL, SAVE_FILTERED, SAVE_SELECTED, SAVE_SESSION, SAVE_WHATS };

struct app {
    struct store *store;
    const struct track *tracker; /* may be NULL */
    struct redact *redact;       /* NULL: nothing is masked; lent */
    struct topics *topics;
    struct stats *stats;
    struct source source;
    struct config config;
    int64_t now_ms;  /* of a steady clock, set by the caller */
    int64_t wall_ns; /* time of day; live: ages count to it */

    enum screen_id stack[APP_STACK];
    int depth; /* stack[depth - 1] is shown */
    struct prompt prompt;
    unsigned count;    /* typed before a command */
    char message[256]; /* one line for the user, "" none */
    bool message_bad;
    bool paused;
    uint64_t paused_end;
    bool colour, mouse;
    enum time_mode time_mode;
    unsigned wish;

    char filter_text[APP_INPUT];
    struct filter *filter;               /* NULL: none; in filter_memory */
    void *filter_memory, *prompt_memory; /* FILTER_MEMORY each, owned */
    struct rowset matching;              /* rows that pass, when there is a filter */
    uint64_t *match_sessions;            /* owned: bit set of sessions with a row that passes */
    uint32_t match_sessions_cap;         /* bits */

    char find_text[APP_INPUT];
    struct {
        bool active, forward;
        enum screen_id screen;
        uint64_t line, left; /* the next line to look at, and how many after it */
    } search;
    uint64_t selected[APP_SELECTED];
    int n_selected;
    struct {
        uint64_t seq; /* + 1; 0: not set */
        uint64_t session;
    } marks[26];

    struct sessions_screen sessions;
    struct ladder_screen ladder;
    struct packets_screen packets;
    struct findings_screen findings;
    struct topics_screen topic_list;
    struct compare_screen compare;
    struct plain_screen help, statistics, settings, save;
};

bool app_init(struct app *a, struct store *store, const struct config *config); /* false: no memory */
void app_done(struct app *a);
void app_key(struct app *a, const struct key_event *key);
void app_draw(struct app *a, struct grid *g);
/* Does a slice of what is to be done in the background (filters); true: there is more. */
bool app_work(struct app *a);
/* Makes what can change at once follow app.config. */
void app_settings_changed(struct app *a);
bool app_set_filter(struct app *a, const char *text); /* false: it does not compile; the message says why */
void app_say(struct app *a, bool bad, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* ---- between the screens ---------------------------------------------------------------------------------------- */

enum screen_id app_screen(const struct app *a);
void app_push(struct app *a, enum screen_id screen);
void app_pop(struct app *a);
void app_cleared(struct app *a); /* the store was cleared */

struct screen {
    void (*draw)(struct app *a, struct grid *g, struct rect body);
    bool (*action)(struct app *a, enum action action, unsigned count); /* false: not known here */
    struct list *(*list)(struct app *a, uint64_t *lines);              /* what is searched; NULL: nothing is */
    bool (*line_has)(struct app *a, uint64_t line);                    /* the text of a->find_text */
    void (*click)(struct app *a, int y, int x);                        /* y, x in the body; NULL: nothing */
    bool (*work)(struct app *a);                                       /* true: more to do; NULL: nothing */
};
extern const struct screen screen_sessions, screen_ladder, screen_packets, screen_findings, screen_topics,
    screen_statistics, screen_compare, screen_help, screen_save, screen_settings;

/* A session of the tracker, masked if need be; false: there is no such session. Views live until the next call. */
bool app_session(const struct app *a, uint64_t number, struct track_session *out);

void sessions_sort_by(struct app *a, const char *column); /* a name that is none: as they appeared */
void ladder_open(struct app *a, const uint32_t *sessions, int n, uint32_t stream);
void ladder_go(struct app *a, uint64_t seq);
void packets_open(struct app *a, uint32_t session, uint32_t stream, uint64_t seq); /* seq UINT64_MAX: stay */
void compare_open(struct app *a, uint64_t left, uint64_t right);
/* The keys that select the packet of a line (UINT64_MAX: none) and compare it with the one selected last. False:
 * another key. */
bool compare_act(struct app *a, enum action action, uint64_t seq);
bool app_is_selected(const struct app *a, uint64_t seq);
void app_select(struct app *a, uint64_t seq); /* or deselect */
/* Sets the mark of a letter to the line under the cursor, or goes there. */
void app_mark(struct app *a, bool set, uint32_t letter);
bool app_session_matches(const struct app *a, uint64_t session);
/* Case-insensitive (ASCII) search. */
bool app_contains(struct view text, const char *what);
/* Time column of a row in `mode`, before: the row above (for the delta). */
void app_time(const struct app *a, char out[TEXT_CAP], int64_t ns, int64_t before_ns);
