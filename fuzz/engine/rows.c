/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/engine/rows.h"

enum { VERDICTS = 32, ROWS_MAX = 64 };

static const struct row_endpoint ends[2] = {
    { { 4, { 192, 0, 2, 1 } }, 1883 },
    { { 6, { 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7 } }, 49152 },
};

static struct row row_number(uint64_t n, bool by_client)
{
    int64_t time_ns = INT64_C(1700000000123456789) + (int64_t)n * INT64_C(1234567);
    return (struct row){ .number = n,
                         .frame = 2 * n,
                         .frame_first = 2 * n - n % 2,
                         .time_ns = time_ns,
                         .time_first_ns = time_ns - 1000,
                         .time_start_ns = INT64_C(1700000000000000000),
                         .time_before_ns = time_ns - 5,
                         .frame_len = 60,
                         .stream = (uint32_t)n % 3,
                         .src = ends[by_client],
                         .dst = ends[!by_client] };
}

static size_t packet_len(struct view at)
{
    uint32_t remaining = 0;
    int used = mqtt_vbi_read(view_of(at.ptr + 1, at.len - 1), &remaining);
    size_t total = used > 0 ? 1 + (size_t)used + remaining : 0;
    return used < 0 ? 0 : used == 0 || total > at.len ? at.len : total;
}

void rows_of(struct view stream, struct fuzz_scene scene, void (*each)(void *ctx, const struct row *row), void *ctx)
{
    struct mqtt_verdict at[VERDICTS];
    struct mqtt_conn conn;
    struct mqtt_packet packet;
    struct view client_id = { NULL, 0 };
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
        size_t len = packet_len(rest);
        struct row row = row_number(n, dir == 0);
        if (len == 0) {
            row.kind = ROW_GAP;
            row.gap_octets = n % 2 ? rest.len : 0;
            row.skipped_octets = rest.len;
            row.gap_reason = "framing lost";
            each(ctx, &row);
            return;
        }
        struct mqtt_verdicts v = { at, VERDICTS, 0, 0 };
        mqtt_conn_packet(&conn, dir, view_of(rest.ptr, len), &packet, &v);
        row.sender = (uint8_t)mqtt_conn_sender(&conn, dir);
        row.version = conn.version;
        row.version_source = conn.source;
        if (packet.type == MQTT_CONNECT && packet.header_len > 0)
            client_id = packet.connect.client_id;
        row.client_id = client_id;
        row.packet = &packet;
        row.verdicts = at;
        row.n_verdicts = v.n;
        if (packet.header_len > 0)
            each(ctx, &row);
        pos += len;
    }
}
