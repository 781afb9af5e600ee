/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/engine/rows.h"

#include <string.h>

#include "decoder/track/track.h"

enum { VERDICTS = 32, ROWS_MAX = 64, PAIRS = 3 };

/* Server and client: IPv4, IPv6 (one of them a mapped address), and one whose address is not known. */
static const struct row_endpoint ends[PAIRS][2] = {
    { { { 4, { 192, 0, 2, 1 } }, 1883 }, { { 4, { 198, 51, 100, 200 } }, 49152 } },
    { { { 6, { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1 } }, 8883 },
      { { 6, { 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7 } }, 49152 } },
    { { { 0, { 0 } }, 0 }, { { 6, { 0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 7 } }, 65535 } },
};

static struct row row_number(uint64_t n, bool by_client, bool old)
{
    int64_t start_ns = old ? INT64_C(-5000000123) : INT64_C(1700000000000000000);
    int64_t time_ns = start_ns + (int64_t)n * INT64_C(1234567);
    uint64_t frame = n < 32 ? 2 * n : n * n * n * n * 1234567; /* from two to thirteen digits */
    return (struct row){ .number = n,
                         .frame = frame,
                         .frame_first = frame - n % 2,
                         .time_ns = time_ns,
                         .time_first_ns = time_ns - 1000,
                         .time_start_ns = start_ns,
                         .time_before_ns = time_ns + (n % 8 == 7 ? 1000 : -5), /* stamps may run backwards */
                         .frame_len = 60,
                         .interface_id = (uint32_t)n % 2,
                         .stream = n < 32 ? (uint32_t)n % PAIRS : (uint32_t)(n * 7),
                         .src = ends[n % PAIRS][by_client],
                         .dst = ends[n % PAIRS][!by_client] };
}

/* The same text somewhere else: a tracker keeps its own. */
static struct view copy_of(struct view text)
{
    static uint8_t copy[64];
    size_t len = text.len < sizeof copy ? text.len : sizeof copy;
    if (len > 0)
        memcpy(copy, text.ptr, len);
    return text.ptr != NULL ? view_of(copy, len) : text;
}

/* What a tracker might say of row n: every kind, outcome and flag in turn. */
static struct track_note note_number(uint64_t n, const struct row *row, struct view topic)
{
    struct track_note note = { .session = n % 5,
                               .client_id = row->client_id,
                               .alias_topic = row->alias_topic,
                               .latency_ns = -1,
                               .step_ns = -1,
                               .flags = (uint16_t)(n % 4 == 3 ? 1u << n / 4 % 9 : 0) };
    if (n % 5 == 3)
        note.client_id = copy_of(row->client_id);
    if (n % 5 == 2)
        note.alias_topic = copy_of(row->alias_topic);
    if (n % 5 == 4)
        return note;
    note.exchange = n;
    note.kind = (uint8_t)(TRACK_CONNECT + n % (TRACK_KINDS - 1));
    note.outcome = (uint8_t)(n % TRACK_OUTCOMES);
    note.step = (uint8_t)(1 + n % TRACK_STEPS);
    note.starter = (uint8_t)(1 + n % 2);
    note.inflight = (uint16_t)n;
    note.window = (uint16_t)(n % 3 * 10);
    note.resent = (uint16_t)(n % 6 == 5);
    note.topic = n % 2 ? topic : (struct view){ NULL, 0 };
    if (note.outcome == TRACK_OPEN) {
        note.owed_by = (uint8_t)(1 + n % 2);
        note.owed_type = (uint8_t)(1 + n % 15);
    }
    if (note.step > 1) {
        note.first_frame = note.answers_frame = row->frame - 1;
        note.latency_ns = note.step_ns = (int64_t)(n * n * n * n * n * 1000);
    }
    return note;
}

static void give_gap(struct row *row, uint64_t octets, void (*each)(void *ctx, const struct row *row), void *ctx)
{
    static const char *const reasons[] = { "lost segment", "snaplen", "start in mid-stream", "framing lost" };
    row->kind = ROW_GAP;
    row->gap_octets = row->number % 3 == 2 ? 0 : row->number % 3 == 1 ? 1 : octets;
    row->skipped_octets = row->number % 3 == 1 ? 0 : row->number % 4 == 3 ? 1 : octets;
    row->gap_reason = reasons[row->number % 4];
    each(ctx, row);
}

static size_t packet_len(struct view at)
{
    uint32_t remaining = 0;
    int used = mqtt_vbi_read(view_of(at.ptr + 1, at.len - 1), &remaining);
    size_t total = used > 0 ? 1 + (size_t)used + remaining : used < 0 ? 5 : at.len;
    return total < at.len ? total : at.len;
}

void rows_of(struct view stream, struct fuzz_scene scene, void (*each)(void *ctx, const struct row *row), void *ctx)
{
    struct mqtt_verdict at[VERDICTS];
    struct mqtt_conn conn;
    struct mqtt_packet packet;
    struct view client_id = { NULL, 0 }, topic = { NULL, 0 };
    unsigned dir = scene.sender == MQTT_SERVER;
    mqtt_conn_init(&conn);
    if (scene.sender != MQTT_NOBODY)
        mqtt_conn_client(&conn, 0);
    if (scene.version != MQTT_VERSION_UNKNOWN)
        conn = (struct mqtt_conn){ scene.version, MQTT_SOURCE_CONNECT, (uint8_t)(1u << scene.version), conn.client_dir,
                                   conn.roles_sure };
    size_t pos = 0;
    for (uint64_t n = 1; n <= ROWS_MAX && pos < stream.len; n++) {
        struct view rest = view_of(stream.ptr + pos, stream.len - pos);
        struct row row = row_number(n, dir == 0, scene.rest & 8);
        struct mqtt_verdicts v = { at, VERDICTS, 0, 0 };
        size_t len = packet_len(rest);
        mqtt_conn_packet(&conn, dir, view_of(rest.ptr, len), &packet, &v);
        row.sender = (uint8_t)mqtt_conn_sender(&conn, dir);
        row.version = conn.version;
        row.version_source = conn.source;
        if (packet.type == MQTT_CONNECT && packet.header_len > 0)
            client_id = packet.connect.client_id;
        if (packet.type == MQTT_PUBLISH && packet.publish.topic.len > 0)
            topic = packet.publish.topic;
        row.client_id = client_id;
        row.alias_topic =
            packet.type == MQTT_PUBLISH && packet.publish.topic.len == 0 ? topic : (struct view){ NULL, 0 };
        row.packet = &packet;
        row.verdicts = at;
        row.n_verdicts = v.n;
        struct track_note note = note_number(n, &row, topic);
        row.note = n % 7 == 6 ? NULL : &note;
        each(ctx, &row);
        pos += len;
        if (packet.header_len == 0) { /* no Remaining Length: nobody knows where the next packet begins */
            row = row_number(n + 1, dir == 0, scene.rest & 8);
            give_gap(&row, rest.len - len, each, ctx);
            return;
        }
    }
}
