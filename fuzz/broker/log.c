/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/broker/log.h"
#include "decoder/base/out.h"
#include "decoder/base/utf8.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

uint64_t log_peer(const struct sockaddr *address)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    if (address->sa_family == AF_INET) {
        memcpy(&v4, address, sizeof v4);
        return (uint64_t)ntohl(v4.sin_addr.s_addr) << 16 | ntohs(v4.sin_port);
    }
    if (address->sa_family != AF_INET6)
        return 0;
    memcpy(&v6, address, sizeof v6);
    uint32_t tail;
    memcpy(&tail, v6.sin6_addr.s6_addr + 12, sizeof tail);
    return UINT64_C(1) << 48 | (uint64_t)ntohl(tail) << 16 | ntohs(v6.sin6_port);
}

static void write_peer(struct out *o, uint64_t peer)
{
    uint8_t address[4] = { (uint8_t)(peer >> 40), (uint8_t)(peer >> 32), (uint8_t)(peer >> 24), (uint8_t)(peer >> 16) };
    if (peer >> 48 != 0) {
        out_text(o, "[..:");
        out_hex(o, view_of(address, 2), '\0');
        out_char(o, ':');
        out_hex(o, view_of(address + 2, 2), '\0');
        out_char(o, ']');
    } else {
        out_ip(o, view_of(address, 4));
    }
    out_char(o, ':');
    out_uint(o, peer & 0xffff);
}

static void write_time(struct out *o)
{
    struct timespec now;
    struct tm tm;
    char text[32];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S.", &tm);
    out_text(o, text);
    out_uint_wide(o, (uint64_t)now.tv_nsec / 1000, 6);
    out_text(o, "Z");
}

static const char *const levels[] = { "debug", "info", "notice", "warning" };

static void write_text(struct out *o, const struct broker_log *log)
{
    write_time(o);
    out_char(o, ' ');
    out_text(o, levels[log->level]);
    out_char(o, ' ');
    out_text(o, log->event);
    if (log->peer != 0) {
        out_text(o, " peer=");
        write_peer(o, log->peer);
    }
    if (log->client_id.ptr != NULL) {
        out_text(o, " client=\"");
        out_terminal_cut(o, log->client_id, 64);
        out_char(o, '"');
    }
    if (log->version != 0) {
        out_text(o, " version=");
        out_text(o, mqtt_version_name(log->version));
    }
    if (log->reason >= 0) {
        out_text(o, " reason=");
        out_hex_uint(o, (uint64_t)log->reason, 2);
    }
    if (log->rule != MQTT_RULE_NONE) {
        out_text(o, " rule=");
        out_text(o, mqtt_rule_info(log->rule)->id);
    }
    out_text(o, ": ");
    out_text(o, log->detail);
    out_char(o, '\n');
}

static void write_string(struct out *o, const char *name, const char *text)
{
    out_text(o, ",\"");
    out_text(o, name);
    out_text(o, "\":");
    out_json_string(o, view_of(text, strlen(text)));
}

static void write_client(struct out *o, struct view id)
{
    struct view cut = view_of(id.ptr, id.len < 256 ? id.len : 256);
    out_text(o, ",\"client_id\":");
    if (cut.len == id.len && utf8_check(id).worst != UTF8_ILL_FORMED) {
        out_json_string(o, id);
        return;
    }
    out_json_escaped(o, cut);
    out_text(o, ",\"client_id_escaped\":true");
}

static void write_json(struct out *o, const struct broker_log *log)
{
    out_text(o, "{\"timestamp\":\"");
    write_time(o);
    out_char(o, '"');
    write_string(o, "level", levels[log->level]);
    write_string(o, "event", log->event);
    if (log->peer != 0) {
        out_text(o, ",\"peer\":\"");
        write_peer(o, log->peer);
        out_char(o, '"');
    }
    if (log->client_id.ptr != NULL)
        write_client(o, log->client_id);
    if (log->version != 0)
        write_string(o, "version", mqtt_version_name(log->version));
    if (log->reason >= 0) {
        out_text(o, ",\"reason\":");
        out_uint(o, (uint64_t)log->reason);
    }
    if (log->rule != MQTT_RULE_NONE)
        write_string(o, "rule", mqtt_rule_info(log->rule)->id);
    write_string(o, "detail", log->detail);
    out_text(o, "}\n");
}

void log_write(const struct log_options *options, const struct broker_log *log)
{
    char room[4096];
    struct out o = out_over(room, sizeof room);
    if (options->format == LOG_NONE || log->level < options->least)
        return;
    if (options->format == LOG_JSON)
        write_json(&o, log);
    else
        write_text(&o, log);
    if (write(STDERR_FILENO, room, o.len) < 0) /* nobody reads: nothing to be done about it */
        return;
}
