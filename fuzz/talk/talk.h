/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/talk/talk.h -- a conversation as octets: what several clients and a server do, in order, with time. The input of
 * the fuzz targets of tracker and broker, and the binary form of a plan.
 *
 * A record is one octet of op (bits 0-2), side (bit 3: the server sends) and client (bits 4-6), then what the op needs:
 *   TALK_OPEN, TALK_CLOSE (FIN), TALK_RESET   nothing
 *   TALK_SEND, TALK_SPLIT                     u16 length, octets (SPLIT: delivered octet by octet)
 *   TALK_WAIT                                 u16 of 10 ms
 *   TALK_GAP                                  u16 octets that were never captured; 0 to 3: what the WebSocket around
 *                                             the octets does wrong (enum track_websocket_fault, and
 *                                             one that does not exist)
 *   TALK_LONG_WAIT                            u16 seconds
 * Total: every octet string is a conversation; a record cut by the end holds what is left. */
#pragma once
#include "decoder/base/cursor.h"

enum talk_op { TALK_OPEN, TALK_SEND, TALK_SPLIT, TALK_CLOSE, TALK_RESET, TALK_WAIT, TALK_GAP, TALK_LONG_WAIT };
enum { TALK_CLIENTS = 8, TALK_HEAD_MAX = 3, TALK_WEBSOCKET_FAULTS = 4 };

struct talk_record {
    enum talk_op op;
    unsigned client; /* 0..7 */
    bool by_server;
    uint32_t number;    /* WAIT, GAP, LONG_WAIT */
    struct view octets; /* SEND, SPLIT */
    size_t offset, len; /* of the record */
};

bool talk_next(struct view talk, size_t *pos, struct talk_record *out); /* *pos starts at 0; false at the end */
/* Appends at buf[len]; returns the new length, 0 when cap does not suffice or octets are longer than 65,535. */
size_t talk_write(uint8_t *buf, size_t len, size_t cap, const struct talk_record *record);

struct mutator;
/* Mutates a conversation: a packet in it (field, rule), or its sequence: duplicate, drop, move, reconnect, change of
 * Packet Identifier, client or side, split, wait, gap. Returns the new length, at least 1. */
size_t talk_mutate(struct mutator *m, unsigned version, uint8_t *buf, size_t len, size_t cap);
