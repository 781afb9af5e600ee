/* SPDX-License-Identifier: Apache-2.0
 *
 * SHA-1 by the examples of FIPS 180, Base 64 by those of RFC 4648, Community ID by the baseline of its specification.
 */
#include "decoder/base/base64.h"
#include "decoder/base/community.h"
#include "decoder/base/sha1.h"
#include "decoder/base/siphash.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void check_sha1(const char *message, size_t len, const char *hex)
{
    uint8_t digest[SHA1_OCTETS];
    char text[2 * SHA1_OCTETS + 1];
    sha1(view_of(message, len), digest);
    for (unsigned i = 0; i < SHA1_OCTETS; i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
    assert_string_equal(text, hex);
}

static void test_sha1(void **state)
{
    (void)state;
    static char million[1000000];
    memset(million, 'a', sizeof million);
    check_sha1("abc", 3, "a9993e364706816aba3e25717850c26c9cd0d89d");
    check_sha1("", 0, "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    check_sha1("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
               "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    check_sha1(million, sizeof million, "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
}

/* the example of the SipHash paper, appendix A, and the first of its authors' test vectors */
static void test_siphash(void **state)
{
    (void)state;
    uint8_t key[SIPHASH_KEY], message[15];
    for (unsigned i = 0; i < SIPHASH_KEY; i++)
        key[i] = (uint8_t)i;
    for (unsigned i = 0; i < sizeof message; i++)
        message[i] = (uint8_t)i;
    assert_true(siphash(key, view_of(message, sizeof message)) == 0xa129ca6149be45e5u);
    assert_true(siphash(key, view_of(message, 0)) == 0x726fdb47dd0e0e31u);
}

static void check_base64(const char *text, const char *expected)
{
    char out[32] = { 0 };
    size_t n = base64_write(view_of(text, strlen(text)), out);
    assert_int_equal(n, base64_size(strlen(text)));
    assert_string_equal(out, expected);
}

static void test_base64(void **state)
{
    (void)state;
    check_base64("", "");
    check_base64("f", "Zg==");
    check_base64("fo", "Zm8=");
    check_base64("foo", "Zm9v");
    check_base64("foob", "Zm9vYg==");
    check_base64("fooba", "Zm9vYmE=");
    check_base64("foobar", "Zm9vYmFy");
}

/* https://github.com/corelight/community-id-spec, baseline/baseline_deflt.json: tcp.pcap and its seed 1 twin */
static void test_community(void **state)
{
    (void)state;
    static const uint8_t a[] = { 128, 232, 110, 120 }, b[] = { 66, 35, 250, 204 };
    char id[COMMUNITY_SIZE];
    community_tcp(a, b, 4, 34855, 80, 0, id);
    assert_string_equal(id, "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
    community_tcp(b, a, 4, 80, 34855, 0, id);
    assert_string_equal(id, "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
    community_tcp(a, b, 4, 34855, 80, 1, id);
    assert_string_equal(id, "1:3V71V58M3Ksw/yuFALMcW0LAHvc=");
}

/* as tshark 4.0.17 prints it for mqtt5_basics_ipv6.pcap: equal addresses, so the ports decide */
static void test_community_ipv6(void **state)
{
    (void)state;
    static const uint8_t loopback[16] = { [15] = 1 };
    char id[COMMUNITY_SIZE];
    community_tcp(loopback, loopback, 16, 37878, 1883, 0, id);
    assert_string_equal(id, "1:w/C2hrEXICLqGGwGrVdMwFzIWdk=");
    community_tcp(loopback, loopback, 16, 1883, 37878, 0, id);
    assert_string_equal(id, "1:w/C2hrEXICLqGGwGrVdMwFzIWdk=");
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_sha1), cmocka_unit_test(test_base64),
                                        cmocka_unit_test(test_siphash), cmocka_unit_test(test_community),
                                        cmocka_unit_test(test_community_ipv6) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
