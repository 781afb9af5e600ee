/* SPDX-License-Identifier: Apache-2.0
 *
 * Sequences: what happens to the records of a conversation. */
#include "fuzz/records.h"

#include <string.h>

enum { SWELL_SELDOM = 48 };

void records_read(struct view talk, struct records *r)
{
    size_t pos = 0;
    r->n = 0;
    while (r->n < RECORDS_MAX && talk_next(talk, &pos, &r->at[r->n]))
        r->n++;
}

bool records_replace(uint8_t *buf, size_t *len, size_t cap, size_t at, size_t old, struct view with)
{
    if (*len - old + with.len > cap)
        return false;
    memmove(buf + at + with.len, buf + at + old, *len - at - old);
    if (with.len > 0)
        memcpy(buf + at, with.ptr, with.len);
    *len = *len - old + with.len;
    return true;
}

bool records_put(uint8_t *buf, size_t *len, size_t cap, size_t at, size_t old, const struct talk_record *record)
{
    uint8_t room[PACKET_ROOM + TALK_HEAD_MAX];
    size_t n = talk_write(room, 0, sizeof room, record);
    return n > 0 && records_replace(buf, len, cap, at, old, view_of(room, n));
}

static struct mutator_scene scene_of(const struct talk_record *record, unsigned version)
{
    return (struct mutator_scene){ (uint8_t)version, record->by_server ? MQTT_SERVER : MQTT_CLIENT };
}

/* The packets of one record, mutated. */
static bool mutate_octets(struct mutator *m, unsigned version, uint8_t *buf, size_t *len, size_t cap,
                          const struct talk_record *record)
{
    uint8_t room[PACKET_ROOM];
    struct talk_record changed = *record;
    if (record->octets.len > sizeof room)
        return false;
    size_t n = record->octets.len;
    if (n > 0)
        memcpy(room, record->octets.ptr, n);
    n = mutator_stream(m, scene_of(record, version), room, n, sizeof room);
    changed.octets = view_of(room, n);
    return records_put(buf, len, cap, record->offset, record->len, &changed);
}

static bool swell(struct mutator *m, unsigned version, uint8_t *buf, size_t *len, size_t cap,
                  const struct talk_record *record)
{
    uint8_t room[PACKET_ROOM];
    struct talk_record changed = *record;
    if (record->octets.len == 0 || record->octets.len > sizeof room)
        return false;
    memcpy(room, record->octets.ptr, record->octets.len);
    size_t n = mutator_swell(m, scene_of(record, version), room, record->octets.len, sizeof room);
    changed.octets = view_of(room, n);
    return n != record->octets.len && records_put(buf, len, cap, record->offset, record->len, &changed);
}

static void break_rule(struct mutator *m, uint8_t *buf, size_t *len, size_t cap, const struct talk_record *record)
{
    uint8_t room[PACKET_ROOM], sender;
    for (unsigned tries = 0; tries < 8; tries++) {
        enum mqtt_rule rule = (enum mqtt_rule)(1 + mutator_below(m, MQTT_RULE_COUNT - 1));
        size_t n = mutator_break(m, rule, room, 0, sizeof room, &sender);
        if (n == 0)
            continue;
        struct talk_record sent = { TALK_SEND, record->client, sender == MQTT_SERVER, 0, view_of(room, n), 0, 0 };
        records_put(buf, len, cap, record->offset, 0, &sent);
        return;
    }
}

static void insert_fresh(struct mutator *m, unsigned version, uint8_t *buf, size_t *len, size_t cap,
                         const struct talk_record *near)
{
    uint8_t room[PACKET_ROOM];
    struct talk_record sent = *near;
    sent.op = TALK_SEND;
    sent.by_server = mutator_below(m, 3) == 0 ? !near->by_server : near->by_server;
    sent.octets = view_of(room, mutator_fresh_any(m, scene_of(&sent, version), room, sizeof room));
    records_put(buf, len, cap, near->offset + (mutator_below(m, 2) ? near->len : 0), 0, &sent);
}

static void insert_event(struct mutator *m, uint8_t *buf, size_t *len, size_t cap, const struct talk_record *near)
{
    static const enum talk_op events[] = { TALK_OPEN, TALK_CLOSE, TALK_RESET, TALK_WAIT, TALK_LONG_WAIT, TALK_GAP };
    struct talk_record event = { .op = events[mutator_below(m, sizeof events / sizeof *events)],
                                 .client = near->client,
                                 .by_server = mutator_below(m, 2) != 0 };
    event.number = mutator_below(m, event.op == TALK_GAP ? 64 : 1000);
    records_put(buf, len, cap, near->offset + near->len, 0, &event);
}

/* One more copy of a record somewhere else; with `move`, the old one goes. */
static void copy_record(struct mutator *m, uint8_t *buf, size_t *len, size_t cap, const struct records *r,
                        const struct talk_record *record, bool move)
{
    uint8_t room[PACKET_ROOM];
    const struct talk_record *to = &r->at[mutator_below(m, r->n)];
    if (record->len > sizeof room)
        return;
    memcpy(room, buf + record->offset, record->len);
    size_t at = to->offset;
    if (move) {
        records_replace(buf, len, cap, record->offset, record->len, view_of(room, 0));
        at -= at > record->offset ? record->len : 0;
    }
    records_replace(buf, len, cap, at, 0, view_of(room, record->len));
}

/* The Packet Identifier of the first packet in the record, where its type has one. */
static void change_id(struct mutator *m, uint8_t *buf, const struct talk_record *record)
{
    struct mqtt_packet p;
    if (record->octets.len < 4)
        return;
    mqtt_decode(record->octets, (struct mqtt_context){ MQTT_V311, MQTT_NOBODY }, &p, NULL);
    size_t base = (size_t)(record->octets.ptr - buf), at = p.header_len;
    if (p.type == MQTT_PUBLISH)
        at += p.publish.topic.ptr != NULL ? 2 + p.publish.topic.len : 0;
    if (p.has_id && at + 2 <= record->octets.len) {
        buf[base + at] = 0;
        buf[base + at + 1] = (uint8_t)mutator_below(m, 5);
    }
}

size_t talk_mutate(struct mutator *m, unsigned version, uint8_t *buf, size_t len, size_t cap)
{
    struct records r;
    records_read(view_of(buf, len), &r);
    if (r.n == 0) {
        struct talk_record start = { .op = TALK_OPEN };
        len = 0;
        insert_fresh(m, version, buf, &len, cap, &start);
        return len > 0 ? len : mutator_havoc(m, buf, 0, cap);
    }
    const struct talk_record *record = &r.at[mutator_below(m, r.n)];
    if (mutator_below(m, SWELL_SELDOM) == 0 && swell(m, version, buf, &len, cap, record))
        return len;
    switch (mutator_below(m, 16)) {
    case 0:
    case 1:
    case 2:
        if (mutate_octets(m, version, buf, &len, cap, record))
            break;
        len = mutator_havoc(m, buf, len, cap);
        break;
    case 3:
        break_rule(m, buf, &len, cap, record);
        break;
    case 4:
        insert_fresh(m, version, buf, &len, cap, record);
        break;
    case 5:
        insert_event(m, buf, &len, cap, record);
        break;
    case 6:
        copy_record(m, buf, &len, cap, &r, record, false);
        break;
    case 7:
        copy_record(m, buf, &len, cap, &r, record, true);
        break;
    case 8:
        records_replace(buf, &len, cap, record->offset, record->len, view_of(NULL, 0));
        break;
    case 9:
        change_id(m, buf, record);
        break;
    case 10:
        buf[record->offset] =
            (uint8_t)(buf[record->offset] ^ (mutator_below(m, 2) ? 0x08u : 0x10u << mutator_below(m, 3)));
        break;
    case 11:
        buf[record->offset] = (uint8_t)(buf[record->offset] ^ (TALK_SEND ^ TALK_SPLIT));
        break;
    default:
        conduct_mutate(m, version, buf, &len, cap, &r);
        break;
    }
    return len > 0 ? len : mutator_havoc(m, buf, 0, cap);
}
