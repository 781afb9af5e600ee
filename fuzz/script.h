/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/script.h -- a conversation (fuzz/talk/talk.h) as text. Statements stand in lines or between semicolons:
 *     version 5             3.1, 3.1.1 or 5; for the packets that follow (5 unless said)
 *     a > connect id=x      a packet of client a (a to h), as plans write it (fuzz/plan/plan.h)
 *     a < connack reason=0  a packet of the server to it; >> and << deliver octet by octet
 *     a > raw 30 00         octets; likewise <
 *     a > open              a connection; < was open before the capture began
 *     a > close             or reset, by this side
 *     a > gap 7             octets of this side that were never captured
 *     a > websocket none    what the WebSocket below did wrong: none or other sub-protocol, text
 *     wait 100ms            or 30s */
#pragma once
#include "fuzz/talk/talk.h"

struct script {
    unsigned version; /* of the next packet */
    char why[200];    /* what is wrong with the statement that was refused */
};

/* Appends one statement at buf[*len]. False: s->why tells. */
bool script_statement(struct script *s, const char *text, uint8_t *buf, size_t *len, size_t cap);
/* All of them, from buf[0] on. Returns the length; 0: one of them is wrong, or they are too long. */
size_t script_write(const char *text, uint8_t *buf, size_t cap);
