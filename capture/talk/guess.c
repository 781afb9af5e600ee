/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/talk/guess.h"
#include "decoder/mqtt/packet.h"
#include <string.h>

enum {
    TEXT_LEN = 4,      /* so many printable octets at the beginning are text */
    RUN_SEGMENTS = 6,  /* a stream of unknown port that shows no run in so many segments is something else */
    RUN_ALWAYS = 8192, /* octets still to be judged up to which every segment starts a search through them */
    RUN_STEP = 16,     /* beyond: every so many segments */
    RUN_BITS = 44,     /* evidence asked for where nothing speaks for MQTT but the octets */
    RUN_WHOLE = 2,
    EXPECTED_LARGE = 26, /* where it is expected, of the beginning of a packet of which the end will not be kept */
    LARGE = 32 * 1024,
    EXPECTED_RUN = 32,  /* where it is expected, of octets anywhere */
    EXPECTED_BITS = 16, /* where it is expected, or goes on; of octets that begin with a segment */
};

static const uint8_t all_versions = 1 << MQTT_V31 | 1 << MQTT_V311 | 1 << MQTT_V5;

static bool is_text(uint8_t c)
{
    return (c >= 0x20 && c < 0x7f) || c == '\r' || c == '\n' || c == '\t';
}

/* Does `octets` begin with a CONNECT? Names beginning with "MQ" pass: a wrong one is worth showing. */
static enum guess guess_connect(struct view octets)
{
    static const uint8_t name[] = { 0, 0 /* 4 or 6 */, 'M', 'Q' };
    if (octets.len == 0)
        return GUESS_MORE;
    if (octets.ptr[0] != MQTT_CONNECT << 4)
        return GUESS_OTHER;
    uint32_t remaining;
    int used = mqtt_vbi_read(view_of(octets.ptr + 1, octets.len - 1), &remaining);
    if (used <= 0)
        return used == 0 ? GUESS_MORE : GUESS_OTHER;
    if (remaining < 10)
        return GUESS_OTHER;
    for (size_t i = 0; i < sizeof name; i++) {
        size_t at = 1 + (size_t)used + i;
        if (at >= octets.len)
            return GUESS_MORE;
        uint8_t c = octets.ptr[at];
        if (i == 1 ? c != 4 && c != 6 : c != name[i])
            return GUESS_OTHER;
    }
    return GUESS_MQTT;
}

/* What the beginning of another protocol looks like. */
static enum guess guess_other(struct view octets, bool final)
{
    const uint8_t *p = octets.ptr;
    if (octets.len == 0)
        return GUESS_MORE;
    if (p[0] == 0xff) /* the signature of ZMTP; AUTH with flags that no version has */
        return GUESS_OTHER;
    if ((p[0] >= 0x14 && p[0] <= 0x17) || p[0] == 0) { /* TLS records; OpenWire's length, or the reserved type 0 */
        if (octets.len < 2)
            return final ? GUESS_MQTT : GUESS_MORE;
        if (p[0] != 0)
            return p[1] == 3 ? GUESS_OTHER : GUESS_MQTT;
        if (p[1] == 0 && octets.len < 4)
            return final ? GUESS_MQTT : GUESS_MORE;
        if (p[1] == 0 && p[2] < 2 &&
            p[3] != 0) { /* OpenWire: a command of some hundred octets, its type 1 comes next */
            if (octets.len < 5)
                return final ? GUESS_MQTT : GUESS_MORE;
            return p[4] == 1 ? GUESS_OTHER : GUESS_MQTT;
        }
        return GUESS_MQTT;
    }
    size_t n = 0;
    while (n < octets.len && n < TEXT_LEN && is_text(p[n]))
        n++;
    if (n == TEXT_LEN || (final && n == octets.len))
        return GUESS_OTHER;
    return n < octets.len || final ? GUESS_MQTT : GUESS_MORE;
}

enum guess guess_client(struct view octets, bool expected, bool final)
{
    enum guess g = guess_connect(octets);
    if (g == GUESS_MORE && final)
        g = GUESS_OTHER;
    if (g != GUESS_OTHER || !expected)
        return g;
    return guess_other(octets, final);
}

enum guess guess_run(struct view octets, bool expected, enum mqtt_side sender, unsigned segments, bool final,
                     uint32_t *alive)
{
    enum guess g = guess_connect(octets);
    if (g == GUESS_MQTT && sender != MQTT_SERVER)
        return g;
    bool tls =
        octets.len >= 3 && octets.ptr[0] >= 0x14 && octets.ptr[0] <= 0x17 && octets.ptr[1] == 3 && octets.ptr[2] <= 4;
    if (tls || octets.len == 0)
        return octets.len > 0 || final ? GUESS_OTHER : GUESS_MORE;
    struct mqtt_run run = mqtt_run_at(octets, all_versions, sender);
    if (expected) {
        bool large = run.bits >= EXPECTED_LARGE && mqtt_run_stands_alone(octets.ptr[0], run, LARGE);
        if (large || (run.whole > 0 && run.bits >= EXPECTED_BITS))
            return GUESS_MQTT;
        if (octets.len >= TEXT_LEN + 4 && run.bits == 0) {
            size_t n = 0;
            while (n < TEXT_LEN + 4 && is_text(octets.ptr[n]))
                n++;
            if (n == TEXT_LEN + 4 && memchr("GPHDCOTS", octets.ptr[0], 8) != NULL) /* a method, a status line, SSH */
                return GUESS_OTHER;
        }
        struct view rest = view_of(octets.ptr + *alive, octets.len - *alive);
        if (rest.len > RUN_ALWAYS && !final && segments % RUN_STEP != 0)
            return GUESS_MORE;
        struct mqtt_run later;
        if (mqtt_resync(rest, all_versions, sender, EXPECTED_RUN, UINT32_MAX, &later) < rest.len &&
            later.whole >= RUN_WHOLE)
            return GUESS_MQTT;
        *alive += (uint32_t)mqtt_resync_alive(rest, all_versions, sender);
        return GUESS_MORE;
    }
    if (run.bits >= RUN_BITS && run.whole >= RUN_WHOLE)
        return GUESS_MQTT;
    return run.bits == 0 || segments >= RUN_SEGMENTS || final ? GUESS_OTHER : GUESS_MORE;
}
