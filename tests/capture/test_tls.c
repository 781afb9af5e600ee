/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/talk/tls.h against OpenSSL's own TLS: two ends talk through memory, their octets go to the onlooker together
 * with the key log that the client writes, and what it reads has to be what they said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "capture/talk/tls.h"

enum { TEXT_MAX = 1 << 17, SPEECH = 20000 };

struct ends {
    SSL_CTX *ctx[2]; /* 0 client, 1 server */
    SSL *ssl[2];
    char key_log[8192];
};

/* What the onlooker has seen. */
struct seen {
    uint8_t text[2][TEXT_MAX];
    size_t len[2];
    unsigned gaps, others;
};

static struct ends *current;

static void on_key(const SSL *ssl, const char *line)
{
    (void)ssl;
    size_t at = strlen(current->key_log);
    snprintf(current->key_log + at, sizeof current->key_log - at, "%s\n", line);
}

/* An RSA and an EC key for all tests: they take a while to make. */
static EVP_PKEY *keys[2];

static int make_keys(void **state)
{
    (void)state;
    keys[0] = EVP_EC_gen("P-256");
    keys[1] = EVP_RSA_gen(2048);
    return keys[0] != NULL && keys[1] != NULL ? 0 : -1;
}

static int free_keys(void **state)
{
    (void)state;
    EVP_PKEY_free(keys[0]);
    EVP_PKEY_free(keys[1]);
    return 0;
}

static void certify(SSL_CTX *ctx, bool rsa)
{
    EVP_PKEY *key = keys[rsa];
    X509 *cert = X509_new();
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), 0);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_set_pubkey(cert, key);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    assert_int_equal(SSL_CTX_use_certificate(ctx, cert), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(ctx, key), 1);
    X509_free(cert);
}

static void open_ends(struct ends *e, int version, const char *suite, bool etm)
{
    *e = (struct ends){ .ctx = { SSL_CTX_new(TLS_client_method()), SSL_CTX_new(TLS_server_method()) } };
    current = e;
    certify(e->ctx[1], strstr(suite, "ECDSA") == NULL);
    SSL_CTX_set_keylog_callback(e->ctx[0], on_key);
    SSL_CTX_set_dh_auto(e->ctx[1], 1);
    for (unsigned i = 0; i < 2; i++) {
        SSL_CTX_set_security_level(e->ctx[i], 0);
        SSL_CTX_set_min_proto_version(e->ctx[i], version);
        SSL_CTX_set_max_proto_version(e->ctx[i], version);
        if (!etm)
            SSL_CTX_set_options(e->ctx[i], SSL_OP_NO_ENCRYPT_THEN_MAC);
        assert_int_equal(version == TLS1_3_VERSION ? SSL_CTX_set_ciphersuites(e->ctx[i], suite)
                                                   : SSL_CTX_set_cipher_list(e->ctx[i], suite),
                         1);
        e->ssl[i] = SSL_new(e->ctx[i]);
        SSL_set_bio(e->ssl[i], BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    }
    SSL_set_connect_state(e->ssl[0]);
    SSL_set_accept_state(e->ssl[1]);
}

static void close_ends(struct ends *e)
{
    for (unsigned i = 0; i < 2; i++) {
        SSL_free(e->ssl[i]);
        SSL_CTX_free(e->ctx[i]);
    }
}

/* ---- the onlooker ---- */

static void on_data(void *ctx, unsigned dir, struct view octets)
{
    struct seen *s = ctx;
    assert_true(s->len[dir] + octets.len <= TEXT_MAX);
    memcpy(s->text[dir] + s->len[dir], octets.ptr, octets.len);
    s->len[dir] += octets.len;
}

static void on_gap(void *ctx, unsigned dir, uint64_t octets, bool captured, const char *why)
{
    (void)dir, (void)octets, (void)captured, (void)why;
    ((struct seen *)ctx)->gaps++;
}

static void on_other(void *ctx)
{
    ((struct seen *)ctx)->others++;
}

static const struct tls_events events = { on_data, on_gap, on_other };

/* What one end has to send goes to the other, and in pieces to the onlooker; `drop` octets at the front are kept from
 * it as if they were never captured. */
static size_t carry(struct ends *e, unsigned from, size_t piece, size_t drop, struct tls *t, struct tls_keys *k,
                    struct seen *s)
{
    static uint8_t wire[1 << 16];
    int n = BIO_read(SSL_get_wbio(e->ssl[from]), wire, sizeof wire);
    if (n <= 0)
        return 0;
    BIO_write(SSL_get_rbio(e->ssl[!from]), wire, n);
    tls_keys_text(k, view_of(e->key_log, strlen(e->key_log)));
    if (drop > 0)
        tls_lose(t, from, drop, "lost segment", &events, s);
    for (size_t at = drop; at < (size_t)n; at += piece)
        tls_take(t, from, view_of(wire + at, (size_t)n - at < piece ? (size_t)n - at : piece), &events, s);
    return (size_t)n;
}

static void shake_hands(struct ends *e, size_t piece, struct tls *t, struct tls_keys *k, struct seen *s)
{
    for (unsigned round = 0; round < 10; round++)
        for (unsigned end = 0; end < 2; end++) {
            SSL_do_handshake(e->ssl[end]);
            carry(e, end, piece, 0, t, k, s);
        }
    if (!SSL_is_init_finished(e->ssl[0]) || !SSL_is_init_finished(e->ssl[1]))
        fail_msg("no handshake");
}

static void say(struct ends *e, unsigned end, const uint8_t *text, size_t len)
{
    assert_int_equal(SSL_write(e->ssl[end], text, (int)len), (int)len);
}

static const struct {
    int version;
    const char *suite;
    bool etm;
} talks[] = {
    { TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256", true },
    { TLS1_3_VERSION, "TLS_AES_256_GCM_SHA384", true },
    { TLS1_3_VERSION, "TLS_CHACHA20_POLY1305_SHA256", true },
    { TLS1_3_VERSION, "TLS_AES_128_CCM_SHA256", true },
    { TLS1_3_VERSION, "TLS_AES_128_CCM_8_SHA256", true },
    { TLS1_2_VERSION, "ECDHE-RSA-AES128-GCM-SHA256", true },
    { TLS1_2_VERSION, "ECDHE-RSA-AES256-GCM-SHA384", true },
    { TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256", true },
    { TLS1_2_VERSION, "ECDHE-ECDSA-AES256-GCM-SHA384", true },
    { TLS1_2_VERSION, "ECDHE-RSA-CHACHA20-POLY1305", true },
    { TLS1_2_VERSION, "DHE-RSA-CHACHA20-POLY1305", true },
    { TLS1_2_VERSION, "ECDHE-ECDSA-CHACHA20-POLY1305", true },
    { TLS1_2_VERSION, "ECDHE-ECDSA-AES128-CCM", true },
    { TLS1_2_VERSION, "ECDHE-ECDSA-AES128-CCM8", true },
    { TLS1_2_VERSION, "ECDHE-ECDSA-AES256-CCM8", true },
    { TLS1_2_VERSION, "AES128-GCM-SHA256", true },
    { TLS1_2_VERSION, "AES256-GCM-SHA384", true },
    { TLS1_2_VERSION, "AES128-CCM", true },
    { TLS1_2_VERSION, "AES256-CCM8", true },
    { TLS1_2_VERSION, "DHE-RSA-AES128-GCM-SHA256", true },
    { TLS1_2_VERSION, "DHE-RSA-AES256-GCM-SHA384", true },
    { TLS1_2_VERSION, "ECDHE-RSA-AES128-SHA256", true },
    { TLS1_2_VERSION, "ECDHE-RSA-AES128-SHA256", false },
    { TLS1_2_VERSION, "ECDHE-RSA-AES256-SHA384", true },
    { TLS1_2_VERSION, "ECDHE-RSA-AES256-SHA384", false },
    { TLS1_2_VERSION, "ECDHE-RSA-AES128-SHA", true },
    { TLS1_2_VERSION, "ECDHE-RSA-AES256-SHA", false },
    { TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA", true },
    { TLS1_2_VERSION, "ECDHE-ECDSA-AES256-SHA384", false },
    { TLS1_2_VERSION, "AES128-SHA", true },
    { TLS1_2_VERSION, "AES256-SHA", false },
    { TLS1_2_VERSION, "AES128-SHA256", false },
    { TLS1_2_VERSION, "AES256-SHA256", true },
    { TLS1_2_VERSION, "DHE-RSA-AES128-SHA256", true },
    { TLS1_2_VERSION, "DHE-RSA-AES256-SHA", true },
};

static void fill(uint8_t *text, size_t len, unsigned salt)
{
    for (size_t i = 0; i < len; i++)
        text[i] = (uint8_t)(i * 7 + i / 251 + salt);
}

static void check_text(const struct seen *s, unsigned dir, const uint8_t *text, size_t len)
{
    assert_int_equal(s->len[dir], len);
    assert_memory_equal(s->text[dir], text, len);
}

/* Every suite; whole and in single octets; long texts over several records; both directions. */
static void every_suite_is_read(void **state)
{
    (void)state;
    static struct seen s;
    static uint8_t up[SPEECH], down[SPEECH];
    fill(up, sizeof up, 1);
    fill(down, sizeof down, 2);
    for (size_t i = 0; i < sizeof talks / sizeof *talks; i++) {
        struct ends e;
        struct tls_keys *k = tls_keys_new();
        struct tls *t = tls_new(0, k);
        size_t piece = i % 2 == 0 ? SIZE_MAX / 2 : 1;
        memset(&s, 0, sizeof s);
        print_message("%s\n", talks[i].suite);
        open_ends(&e, talks[i].version, talks[i].suite, talks[i].etm);
        shake_hands(&e, piece, t, k, &s);
        say(&e, 0, up, sizeof up);
        carry(&e, 0, piece, 0, t, k, &s);
        say(&e, 1, down, sizeof down);
        carry(&e, 1, piece, 0, t, k, &s);
        check_text(&s, 0, up, sizeof up);
        check_text(&s, 1, down, sizeof down);
        assert_int_equal(tls_fate(t), TLS_OPENED);
        assert_int_equal(s.gaps + s.others, 0);
        tls_free(t);
        tls_keys_free(k);
        close_ends(&e);
    }
}

/* The keys of a direction change as often as its sender likes. */
static void a_key_update_is_followed(void **state)
{
    (void)state;
    static struct seen s;
    struct ends e;
    struct tls_keys *k = tls_keys_new();
    struct tls *t = tls_new(0, k);
    uint8_t text[50], scratch[100];
    memset(&s, 0, sizeof s);
    fill(text, sizeof text, 3);
    open_ends(&e, TLS1_3_VERSION, "TLS_AES_256_GCM_SHA384", true);
    shake_hands(&e, 100, t, k, &s);
    for (unsigned i = 0; i < 5; i++) {
        say(&e, 0, text + 10 * i, 10);
        carry(&e, 0, 100, 0, t, k, &s);
        assert_int_equal(SSL_read(e.ssl[1], scratch, sizeof scratch), 10);
        assert_int_equal(SSL_key_update(e.ssl[0], SSL_KEY_UPDATE_REQUESTED), 1);
        SSL_do_handshake(e.ssl[0]);
        carry(&e, 0, 100, 0, t, k, &s);
        SSL_read(e.ssl[1], scratch, sizeof scratch);
        say(&e, 1, text + 10 * i, 10); /* with the update that was asked for before it */
        carry(&e, 1, 100, 0, t, k, &s);
        SSL_read(e.ssl[0], scratch, sizeof scratch);
    }
    check_text(&s, 0, text, sizeof text);
    check_text(&s, 1, text, sizeof text);
    assert_int_equal(s.gaps, 0);
    tls_free(t);
    tls_keys_free(k);
    close_ends(&e);
}

/* Records go missing: a part of one, whole ones, several; what comes behind is read. */
static void behind_a_hole_it_goes_on(void **state)
{
    (void)state;
    static struct seen s;
    static const struct {
        int version;
        const char *suite;
    } with[] = { { TLS1_3_VERSION, "TLS_CHACHA20_POLY1305_SHA256" },
                 { TLS1_2_VERSION, "ECDHE-RSA-AES128-GCM-SHA256" },
                 { TLS1_2_VERSION, "ECDHE-RSA-CHACHA20-POLY1305" },
                 { TLS1_2_VERSION, "ECDHE-RSA-AES128-SHA256" } };
    for (size_t w = 0; w < sizeof with / sizeof *with; w++) {
        struct ends e;
        struct tls_keys *k = tls_keys_new();
        struct tls *t = tls_new(0, k);
        uint8_t text[1000];
        memset(&s, 0, sizeof s);
        open_ends(&e, with[w].version, with[w].suite, true);
        shake_hands(&e, 100, t, k, &s);
        say(&e, 0, (const uint8_t *)"before", 6);
        carry(&e, 0, 100, 0, t, k, &s);
        for (size_t lost = 1; lost < 12; lost++) {
            fill(text, sizeof text, (unsigned)lost);
            for (size_t i = 0; i < lost; i++)
                say(&e, 0, text, sizeof text);
            size_t all = (size_t)BIO_pending(SSL_get_wbio(e.ssl[0]));
            carry(&e, 0, 100, lost == 1 ? 40 : all - 3, t, k, &s); /* from the front on; once to within the last one */
            say(&e, 0, (const uint8_t *)"behind", 6);
            carry(&e, 0, 100, 0, t, k, &s);
            assert_true(s.len[0] >= 6 && memcmp(s.text[0] + s.len[0] - 6, "behind", 6) == 0);
            assert_int_equal(s.gaps, lost);
        }
        assert_int_equal(s.len[0], 6 + 11 * 6);
        tls_free(t);
        tls_keys_free(k);
        close_ends(&e);
    }
}

static void without_a_key_it_says_so(void **state)
{
    (void)state;
    static struct seen s;
    struct ends e;
    struct tls_keys *k = tls_keys_new(), *none = tls_keys_new();
    struct tls *t = tls_new(0, none);
    memset(&s, 0, sizeof s);
    open_ends(&e, TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256", true);
    shake_hands(&e, 100, t, k, &s);
    for (unsigned i = 0; i < 40; i++) {
        say(&e, 0, (const uint8_t *)"secret", 6);
        carry(&e, 0, 100, 0, t, k, &s);
    }
    assert_int_equal(tls_fate(t), TLS_NO_KEY);
    assert_true(s.others > 0 && s.len[0] == 0);
    tls_free(t);
    tls_keys_free(none);
    tls_keys_free(k);
    close_ends(&e);
}

/* The secrets of one direction open that one; the other is told to be missing. */
static void one_direction_alone_is_read(void **state)
{
    (void)state;
    static struct seen s;
    struct ends e;
    struct tls_keys *all = tls_keys_new(), *k = tls_keys_new();
    struct tls *t = tls_new(0, k);
    memset(&s, 0, sizeof s);
    open_ends(&e, TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256", true);
    shake_hands(&e, 100, t, all, &s);
    const char *line = strstr(e.key_log, "CLIENT_TRAFFIC_SECRET_0");
    assert_non_null(line);
    tls_keys_text(k, view_of(line, strcspn(line, "\n")));
    for (unsigned i = 0; i < 40; i++)
        for (unsigned end = 0; end < 2; end++) {
            say(&e, end, (const uint8_t *)"word", 4);
            carry(&e, end, 100, 0, t, all, &s);
        }
    assert_int_equal(s.len[0], 160);
    assert_int_equal(s.len[1], 0);
    assert_int_equal(tls_fate(t), TLS_OPENED);
    assert_true(s.gaps >= 40 && s.others == 0);
    tls_free(t);
    tls_keys_free(all);
    tls_keys_free(k);
    close_ends(&e);
}

/* A forged record is not taken for text, and a wrong key opens nothing. */
static void a_changed_octet_is_seen(void **state)
{
    (void)state;
    static struct seen s;
    static uint8_t wire[4096];
    for (size_t i = 0; i < sizeof talks / sizeof *talks; i++) {
        struct ends e;
        struct tls_keys *k = tls_keys_new();
        struct tls *t = tls_new(0, k);
        memset(&s, 0, sizeof s);
        open_ends(&e, talks[i].version, talks[i].suite, talks[i].etm);
        shake_hands(&e, 100, t, k, &s);
        say(&e, 0, (const uint8_t *)"something", 9);
        int n = BIO_read(SSL_get_wbio(e.ssl[0]), wire, sizeof wire);
        wire[n - 20] ^= 1;
        tls_take(t, 0, view_of(wire, (size_t)n), &events, &s);
        assert_int_equal(s.len[0], 0);
        tls_free(t);
        tls_keys_free(k);
        close_ends(&e);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_suite_is_read),         cmocka_unit_test(a_key_update_is_followed),
        cmocka_unit_test(behind_a_hole_it_goes_on),    cmocka_unit_test(without_a_key_it_says_so),
        cmocka_unit_test(one_direction_alone_is_read), cmocka_unit_test(a_changed_octet_is_seen),
    };
    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
