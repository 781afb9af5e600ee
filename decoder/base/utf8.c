/* SPDX-License-Identifier: Apache-2.0 */
#include "decoder/base/utf8.h"

/* Length of the well-formed sequence at p (n > 0 octets at hand), 0 if ill-formed. Unicode 15, table 3-7. */
static size_t sequence(const uint8_t *p, size_t n, uint32_t *code)
{
    uint8_t lead = p[0];
    if (lead < 0x80) {
        *code = lead;
        return 1;
    }
    size_t len = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || n < len)
        return 0;
    uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;  /* over-long below this */
    uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf; /* surrogates, above U+10FFFF */
    if (p[1] < low || p[1] > high)
        return 0;
    uint32_t value = (uint32_t)(lead & (0x7f >> len)) << 6 | (p[1] & 0x3f);
    for (size_t i = 2; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        value = value << 6 | (p[i] & 0x3f);
    }
    *code = value;
    return len;
}

size_t utf8_next(struct view text, uint32_t *code)
{
    return text.len > 0 ? sequence(text.ptr, text.len, code) : 0;
}

size_t utf8_characters(struct view text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++)
        n += (text.ptr[i] & 0xc0) != 0x80;
    return n;
}

static enum utf8_class classify(uint32_t code)
{
    if (code == 0)
        return UTF8_NUL;
    bool control = code < 0x20 || (code >= 0x7f && code <= 0x9f);
    bool non_character = (code >= 0xfdd0 && code <= 0xfdef) || (code & 0xfffe) == 0xfffe;
    return control || non_character ? UTF8_DISCOURAGED : UTF8_OK;
}

/* Length of a code point from a range that holds nothing but good ones: printable ASCII, U+00C0..07FF, U+1000..CFFF,
 * U+E000..EFFF. 0: look closer. */
static size_t usual_len(const uint8_t *p, size_t n)
{
    uint8_t lead = p[0];
    if (lead < 0x80)
        return lead >= 0x20 && lead != 0x7f;
    if (lead < 0xe0)
        return lead >= 0xc3 && n >= 2 && (p[1] & 0xc0) == 0x80 ? 2 : 0;
    bool good = lead != 0xe0 && lead != 0xed && lead < 0xef;
    return good && n >= 3 && (p[1] & 0xc0) == 0x80 && (p[2] & 0xc0) == 0x80 ? 3 : 0;
}

struct utf8_result utf8_check(struct view text)
{
    struct utf8_result r = { UTF8_OK, 0, 0 };
    const uint8_t *p = text.ptr;
    size_t i = 0, n = text.len;
    while (i < n) {
        if (n - i >= 8) {
            uint64_t special = utf8_special8(utf8_load(p + i, 8));
            i += special == 0 ? 8 : utf8_before(special);
            if (special == 0)
                continue;
        }
        size_t usual = usual_len(p + i, n - i);
        if (usual > 0) {
            i += usual;
            continue;
        }
        uint32_t code = 0;
        size_t len = sequence(p + i, n - i, &code);
        if (len == 0)
            return (struct utf8_result){ UTF8_ILL_FORMED, i, 1 };
        enum utf8_class class = classify(code);
        if (class > r.worst)
            r = (struct utf8_result){ class, i, len };
        i += len;
    }
    return r;
}
