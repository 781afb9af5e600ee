/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/target/screen.c -- keys, sizes and packets to the model behind the screens. Claims: no cell holds a control
 * character, whatever a client calls itself and whatever it publishes; a wide character has both its columns; cursors
 * stay in their lists; the store keeps its budget.
 *
 * After the octet of scene comes a list of steps: below 0x80 a key; 0x80.. a special key; 0xa0.. a new size from two
 * octets; 0xb0.. a packet of the length that follows; 0xe0.. what happens to a connection or a finding; 0xf0.. work on
 * filters. */
#include "fuzz/target/target.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/heap.h"
#include "tui/app.h"

const struct fuzz_target fuzz_target = { "screen", FUZZ_OCTETS };

enum { STREAMS = 4, STEPS_MAX = 120, PACKET_MAX = 300 };

struct scene {
    struct app app;
    struct grid grid;
    struct store *store;
    struct track *track;
    track_conn conn[STREAMS];
    uint64_t frame;
    int64_t now;
};

static struct scene scene;

static void on_finding(void *ctx, const struct track_finding *f)
{
    store_add_finding(((struct scene *)ctx)->store, f);
}

static void begin(struct scene *s)
{
    struct config config;
    struct track_config track;
    memset(s, 0, sizeof *s);
    config_defaults(&config);
    track_defaults(&track);
    s->store = store_new(STORE_BUDGET_LEAST);
    s->track = track_new(&track, (struct track_memory){ .resize = heap_resize },
                         (struct track_events){ .finding = on_finding, .ctx = s });
    s->now = 1000000000;
    HOLDS(s->store != NULL && s->track != NULL && app_init(&s->app, s->store, &config) &&
          grid_init(&s->grid, 24, 80, true));
    s->app.tracker = s->track;
}

static void end(struct scene *s)
{
    app_done(&s->app);
    grid_done(&s->grid);
    track_free(s->track);
    store_free(s->store);
}

static void check_cells(const struct grid *g)
{
    for (int y = 0; y < g->rows; y++)
        for (int x = 0; x < g->cols; x++) {
            const struct cell *c = grid_at(g, y, x);
            bool tail = (c->flags & GRID_WIDE_TAIL) != 0;
            HOLDS(tail ? c->ch == 0 && x > 0 : c->ch >= 0x20 && !(c->ch >= 0x7f && c->ch < 0xa0));
            HOLDS(c->style < STYLE_COUNT);
        }
}

static struct row row_of(struct scene *s, unsigned stream, bool client)
{
    struct row_endpoint a = { .addr = { 4, { 10, 0, 0, (uint8_t)stream } }, .port = 50000 },
                        b = { .addr = { 4, { 10, 0, 0, 99 } }, .port = 1883 };
    s->frame++;
    s->now += 1000000;
    return (struct row){ .number = s->frame,
                         .frame = s->frame,
                         .frame_first = s->frame,
                         .time_ns = s->now,
                         .time_first_ns = s->now,
                         .time_start_ns = 1000000000,
                         .time_before_ns = s->now - 1000000,
                         .stream = stream,
                         .src = client ? a : b,
                         .dst = client ? b : a,
                         .sender = client ? MQTT_CLIENT : MQTT_SERVER };
}

static void open_stream(struct scene *s, unsigned stream)
{
    struct row r = row_of(s, stream, true);
    struct track_opening o = {
        .side = { r.src, r.dst }, .stream = stream, .from_syn = true, .time_ns = s->now, .frame = s->frame
    };
    if (s->conn[stream] == 0)
        s->conn[stream] = track_open(s->track, &o);
}

static void add_packet(struct scene *s, unsigned kind, struct view octets)
{
    unsigned stream = kind % STREAMS;
    bool client = (kind & 4) == 0;
    struct mqtt_packet p;
    struct mqtt_verdict at[8];
    struct mqtt_verdicts v = { at, 8, 0, 0 };
    struct track_note note = { 0 };
    struct row r = row_of(s, stream, client);
    open_stream(s, stream);
    r.version = kind & 8 ? MQTT_V5 : MQTT_V311;
    mqtt_decode(octets, (struct mqtt_context){ .version = r.version, .sender = r.sender }, &p, &v);
    if (p.header_len == 0)
        return;
    r.version = p.version;
    struct track_input in = { .packet = &p,
                              .dir = !client,
                              .sender = r.sender,
                              .version = r.version,
                              .version_source = MQTT_SOURCE_CONNECT,
                              .roles_sure = true,
                              .frame = r.frame,
                              .frame_first = r.frame,
                              .time_ns = s->now,
                              .time_first_ns = s->now };
    track_packet(s->track, s->conn[stream], &in, &v, &note);
    r.packet = &p;
    r.verdicts = at;
    r.n_verdicts = v.n;
    r.note = &note;
    r.client_id = note.client_id;
    r.alias_topic = note.alias_topic;
    store_add(s->store, &r);
    topics_add(s->app.topics, &r);
    stats_add(s->app.stats, &r);
}

static void add_gap(struct scene *s, unsigned kind)
{
    struct row r = row_of(s, kind % STREAMS, (kind & 4) != 0);
    r.kind = ROW_GAP;
    r.gap_octets = kind * 1000;
    r.skipped_octets = kind;
    r.gap_reason = "lost segment";
    store_add(s->store, &r);
}

static void add_event(struct scene *s, unsigned kind)
{
    unsigned stream = kind % STREAMS;
    struct row r = row_of(s, stream, true);
    if (kind < 4) {
        add_gap(s, kind);
        return;
    }
    open_stream(s, stream);
    bool open = kind < 8;
    struct store_link link = { .open = open,
                               .from_syn = kind & 1,
                               .close = open ? STORE_FIN : (enum store_close)(kind % 3),
                               .stream = stream,
                               .session = (uint32_t)track_session_of(s->track, s->conn[stream]),
                               .src = r.src,
                               .dst = r.dst,
                               .sender = MQTT_CLIENT,
                               .time_ns = s->now,
                               .frame = s->frame };
    store_add_link(s->store, &link, s->track);
    if (open)
        return;
    track_close(s->track, s->conn[stream], kind & 1 ? TRACK_CLOSE_RST : TRACK_CLOSE_FIN, 0, s->now, s->frame);
    track_forget(s->track, s->conn[stream]);
    s->conn[stream] = 0;
}

/* Takes one step off the front; false: the input is over. */
static bool step(struct scene *s, struct cursor *c)
{
    uint8_t octet = cur_u8(c);
    struct key_event key = { .key = octet };
    if (c->truncated)
        return false;
    if (octet >= 0x80 && octet < 0xa0)
        key = (struct key_event){ .key = KEYC_BACKTAB + octet - 0x80u, .y = (int)(s->frame % 30), .x = 3 };
    if (octet < 0xa0) {
        app_key(&s->app, &key);
    } else if (octet < 0xb0) {
        int rows = cur_u8(c) % 60 + 1, cols = cur_u8(c) % 210 + 1;
        HOLDS(grid_resize(&s->grid, rows, cols));
    } else if (octet < 0xe0) {
        size_t len = cur_u8(c);
        len = len < cur_left(c) ? len : cur_left(c);
        add_packet(s, octet - 0xb0u, cur_take(c, len));
    } else if (octet < 0xf0) {
        add_event(s, octet - 0xe0u);
    } else {
        app_work(&s->app);
    }
    return true;
}

/* What the main loop would do. */
static bool fulfil(struct scene *s)
{
    unsigned wish = s->app.wish;
    s->app.wish = WISH_NONE;
    if (wish & WISH_CLEAR) {
        store_clear(s->store);
        app_cleared(&s->app);
    }
    return !(wish & WISH_QUIT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct scene *s = &scene;
    struct cursor c = cur_over(data, size);
    unsigned rest = cur_u8(&c);
    setlocale(LC_CTYPE, "C.UTF-8");
    begin(s);
    s->grid.unicode = rest & 1;
    s->app.source.live = rest & 2;
    s->app.source.ended = rest & 4;
    for (int i = 0; i < STEPS_MAX && step(s, &c) && fulfil(s); i++) {
        s->app.now_ms += 1000;
        s->app.wall_ns = s->now;
        app_draw(&s->app, &s->grid);
        check_cells(&s->grid);
        HOLDS(store_totals(s->store)->memory <= STORE_BUDGET_LEAST + (4u << 20));
        HOLDS(s->app.depth >= 1 && s->app.depth <= APP_STACK);
    }
    end(s);
    return 0;
}
