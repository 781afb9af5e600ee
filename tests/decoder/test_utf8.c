/* SPDX-License-Identifier: Apache-2.0
 *
 * UTF-8 as 3.1.1 section 1.5.3 and 5.0 section 1.5.4 ask for it. */
#include "decoder/base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define CASE(text, class, offset)                                                                                      \
    {                                                                                                                  \
        text, sizeof(text) - 1, class, offset                                                                          \
    }

static const struct {
    const char *text;
    size_t len;
    enum utf8_class class;
    size_t offset;
} cases[] = {
    CASE("", UTF8_OK, 0),
    CASE("plain ascii, longer than eight octets ~", UTF8_OK, 0),
    CASE("\xef\xbb\xbf"
         "bom is kept",
         UTF8_OK, 0), /* U+FEFF is legal anywhere */
    CASE("gr\xc3\xbc\xc3\x9f"
         "e \xe2\x82\xac \xf0\x9f\x98\x80",
         UTF8_OK, 0),
    CASE("\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbd\xf4\x8f\xbf\xbd", UTF8_OK,
         0), /* around the surrogates, U+FFFD, U+10FFFD */
    CASE("12345678\x01", UTF8_DISCOURAGED, 8),
    CASE("1234\x1f"
         "5678",
         UTF8_DISCOURAGED, 4),
    CASE("1234\x7f"
         "567",
         UTF8_DISCOURAGED, 4),
    CASE("1234567\xc2\x80", UTF8_DISCOURAGED, 7),
    CASE("\xc2\x9f", UTF8_DISCOURAGED, 0),
    CASE("\xc2\xa0", UTF8_OK, 0),
    CASE("\xef\xb7\x90", UTF8_DISCOURAGED, 0),     /* U+FDD0 */
    CASE("\xef\xb7\xaf", UTF8_DISCOURAGED, 0),     /* U+FDEF */
    CASE("\xef\xb7\xb0", UTF8_OK, 0),              /* U+FDF0 */
    CASE("\xef\xbf\xbe", UTF8_DISCOURAGED, 0),     /* U+FFFE */
    CASE("\xf4\x8f\xbf\xbf", UTF8_DISCOURAGED, 0), /* U+10FFFF */
    CASE("\xf0\x9f\xbf\xbe", UTF8_DISCOURAGED, 0), /* U+1FFFE */
    CASE("abc\0def", UTF8_NUL, 3),
    CASE("\x01\0", UTF8_NUL, 1),
    CASE("abcdefgh\0", UTF8_NUL, 8),
    CASE("a\xc0\x80", UTF8_ILL_FORMED, 1), /* U+0000 of Java */
    CASE("\xc1\xbf", UTF8_ILL_FORMED, 0),
    CASE("\xe0\x9f\xbf", UTF8_ILL_FORMED, 0),
    CASE("\xf0\x8f\xbf\xbf", UTF8_ILL_FORMED, 0),
    CASE("\xed\xa0\x80", UTF8_ILL_FORMED, 0), /* U+D800 */
    CASE("\xed\xbf\xbf", UTF8_ILL_FORMED, 0), /* U+DFFF */
    CASE("\xf4\x90\x80\x80", UTF8_ILL_FORMED, 0),
    CASE("\xf5\x80\x80\x80", UTF8_ILL_FORMED, 0),
    CASE("\xff", UTF8_ILL_FORMED, 0),
    CASE("ab\x80", UTF8_ILL_FORMED, 2),
    CASE("ab\xc3", UTF8_ILL_FORMED, 2),
    CASE("ab\xe2\x82", UTF8_ILL_FORMED, 2),
    CASE("ab\xf0\x9f\x98", UTF8_ILL_FORMED, 2),
    CASE("\xc3(", UTF8_ILL_FORMED, 0),
    CASE("\0\xff", UTF8_ILL_FORMED, 1), /* the worst class counts */
};

static void classes_and_places(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct utf8_result r = utf8_check(view_of(cases[i].text, cases[i].len));
        if (r.worst != cases[i].class || (r.worst != UTF8_OK && r.offset != cases[i].offset))
            fail_msg("case %zu: class %d at %zu", i, (int)r.worst, r.offset);
        assert_true(r.offset + r.len <= cases[i].len);
    }
}

/* Every two- and three-octet string: the check agrees with the definition by code point. */
static void agrees_with_next(void **state)
{
    (void)state;
    for (uint32_t n = 0; n < 1u << 24; n += n < 1u << 16 ? 1 : 97) {
        uint8_t s[3] = { (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n };
        size_t i = 0;
        bool well_formed = true;
        while (i < 3 && well_formed) {
            uint32_t code = 0;
            size_t len = utf8_next(view_of(s + i, 3 - i), &code);
            well_formed = len > 0 && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff);
            static const uint32_t least[5] = { 0, 0, 0x80, 0x800, 0x10000 };
            well_formed = well_formed && code >= least[len];
            i += len;
        }
        assert_int_equal(utf8_check(view_of(s, 3)).worst != UTF8_ILL_FORMED, well_formed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(classes_and_places), cmocka_unit_test(agrees_with_next) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
