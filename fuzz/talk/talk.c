/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/talk/talk.h"

#include <string.h>

bool talk_next(struct view talk, size_t *pos, struct talk_record *out)
{
    struct cursor c = cur_over(talk.ptr, talk.len);
    if (*pos >= c.end)
        return false;
    c.pos = *pos;
    uint8_t head = cur_u8(&c);
    *out = (struct talk_record){
        .op = (enum talk_op)(head & 7), .by_server = (head & 8) != 0, .client = head >> 4 & 7, .offset = *pos
    };
    bool has_octets = out->op == TALK_SEND || out->op == TALK_SPLIT;
    bool has_number = out->op == TALK_WAIT || out->op == TALK_GAP || out->op == TALK_LONG_WAIT;
    if (has_octets || has_number) {
        size_t number = cur_u16(&c);
        if (c.truncated) {
            c.pos = c.end;
        } else if (has_octets) {
            out->octets = cur_take(&c, number < cur_left(&c) ? number : cur_left(&c));
        } else {
            out->number = (uint32_t)number;
        }
    }
    out->len = c.pos - *pos;
    *pos = c.pos;
    return true;
}

size_t talk_write(uint8_t *buf, size_t len, size_t cap, const struct talk_record *record)
{
    bool has_octets = record->op == TALK_SEND || record->op == TALK_SPLIT;
    bool has_number = record->op == TALK_WAIT || record->op == TALK_GAP || record->op == TALK_LONG_WAIT;
    size_t number = has_octets ? record->octets.len : record->number;
    size_t need = 1u + (has_octets || has_number ? 2u : 0u) + (has_octets ? number : 0u);
    if (number > UINT16_MAX || len > cap || need > cap - len)
        return 0;
    buf[len++] = (uint8_t)((unsigned)record->op | (record->by_server ? 8u : 0u) | (record->client & 7u) << 4);
    if (has_octets || has_number) {
        buf[len++] = (uint8_t)(number >> 8);
        buf[len++] = (uint8_t)number;
    }
    if (has_octets && number > 0)
        memmove(buf + len, record->octets.ptr, number);
    return len + (has_octets ? number : 0);
}
