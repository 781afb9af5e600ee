/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/talk/tls_cipher.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

enum mode { MODE_GCM, MODE_CCM, MODE_CCM8, MODE_CHACHA, MODE_CBC };

struct tls_suite {
    uint16_t number;
    bool is_13;
    uint8_t mode, key;
    uint8_t mac; /* octets of the MAC, MODE_CBC */
    uint8_t hash;
};

enum { HEADER = 5, KEY_MAX = 32, IV = 12, BLOCK = 16, HASH_MAX = 48, TAG_MAX = 16 };

#define AEAD(number, mode, key, hash)                                                                                  \
    {                                                                                                                  \
        number, (number) >> 8 == 0x13, mode, key, 0, hash                                                              \
    }
#define CBC(number, key, mac, hash)                                                                                    \
    {                                                                                                                  \
        number, false, MODE_CBC, key, mac, hash                                                                        \
    }
static const struct tls_suite suites[] = {
    AEAD(0x1301, MODE_GCM, 16, 32),    AEAD(0x1302, MODE_GCM, 32, 48),    AEAD(0x1303, MODE_CHACHA, 32, 32),
    AEAD(0x1304, MODE_CCM, 16, 32),    AEAD(0x1305, MODE_CCM8, 16, 32),   AEAD(0x009c, MODE_GCM, 16, 32),
    AEAD(0x009d, MODE_GCM, 32, 48),    AEAD(0x009e, MODE_GCM, 16, 32),    AEAD(0x009f, MODE_GCM, 32, 48),
    AEAD(0x00a8, MODE_GCM, 16, 32),    AEAD(0x00a9, MODE_GCM, 32, 48),    AEAD(0xc02b, MODE_GCM, 16, 32),
    AEAD(0xc02c, MODE_GCM, 32, 48),    AEAD(0xc02f, MODE_GCM, 16, 32),    AEAD(0xc030, MODE_GCM, 32, 48),
    AEAD(0xcca8, MODE_CHACHA, 32, 32), AEAD(0xcca9, MODE_CHACHA, 32, 32), AEAD(0xccaa, MODE_CHACHA, 32, 32),
    AEAD(0xccab, MODE_CHACHA, 32, 32), AEAD(0xccac, MODE_CHACHA, 32, 32), AEAD(0xc09c, MODE_CCM, 16, 32),
    AEAD(0xc09d, MODE_CCM, 32, 32),    AEAD(0xc0a0, MODE_CCM8, 16, 32),   AEAD(0xc0a1, MODE_CCM8, 32, 32),
    AEAD(0xc0a4, MODE_CCM, 16, 32),    AEAD(0xc0a8, MODE_CCM8, 16, 32),   AEAD(0xc0ac, MODE_CCM, 16, 32),
    AEAD(0xc0ad, MODE_CCM, 32, 32),    AEAD(0xc0ae, MODE_CCM8, 16, 32),   AEAD(0xc0af, MODE_CCM8, 32, 32),
    CBC(0x002f, 16, 20, 32),           CBC(0x0035, 32, 20, 32),           CBC(0x003c, 16, 32, 32),
    CBC(0x003d, 32, 32, 32),           CBC(0x0033, 16, 20, 32),           CBC(0x0039, 32, 20, 32),
    CBC(0x0067, 16, 32, 32),           CBC(0x006b, 32, 32, 32),           CBC(0x008c, 16, 20, 32),
    CBC(0x008d, 32, 20, 32),           CBC(0xc009, 16, 20, 32),           CBC(0xc00a, 32, 20, 32),
    CBC(0xc013, 16, 20, 32),           CBC(0xc014, 32, 20, 32),           CBC(0xc023, 16, 32, 32),
    CBC(0xc024, 32, 48, 48),           CBC(0xc027, 16, 32, 32),           CBC(0xc028, 32, 48, 48),
    CBC(0x00ae, 16, 32, 32),           CBC(0x00af, 32, 48, 48),
};

struct tls_cipher {
    const struct tls_suite *suite;
    EVP_CIPHER_CTX *evp;
    bool etm;
    uint8_t key[KEY_MAX], iv[IV], mac_key[HASH_MAX], secret[HASH_MAX];
};

const struct tls_suite *tls_suite_of(uint16_t number)
{
    for (size_t i = 0; i < sizeof suites / sizeof *suites; i++)
        if (suites[i].number == number)
            return &suites[i];
    return NULL;
}

bool tls_suite_is_13(const struct tls_suite *s)
{
    return s->is_13;
}

size_t tls_suite_hash(const struct tls_suite *s)
{
    return s->hash;
}

static const EVP_MD *digest_of(size_t octets)
{
    return octets == 20 ? EVP_sha1() : octets == 48 ? EVP_sha384() : EVP_sha256();
}

static const EVP_CIPHER *cipher_of(const struct tls_suite *s)
{
    switch (s->mode) {
    case MODE_GCM:
        return s->key == 16 ? EVP_aes_128_gcm() : EVP_aes_256_gcm();
    case MODE_CHACHA:
        return EVP_chacha20_poly1305();
    case MODE_CBC:
        return s->key == 16 ? EVP_aes_128_cbc() : EVP_aes_256_cbc();
    default:
        return s->key == 16 ? EVP_aes_128_ccm() : EVP_aes_256_ccm();
    }
}

static struct tls_cipher *new_cipher(const struct tls_suite *s)
{
    struct tls_cipher *c = calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    c->suite = s;
    c->evp = EVP_CIPHER_CTX_new();
    if (c->evp != NULL)
        return c;
    free(c);
    return NULL;
}

void tls_cipher_free(struct tls_cipher *c)
{
    if (c == NULL)
        return;
    EVP_CIPHER_CTX_free(c->evp);
    OPENSSL_cleanse(c, sizeof *c);
    free(c);
}

/* ---- keys ---- */

/* HKDF-Expand-Label of RFC 8446 section 7.1 with an empty context; one block of HMAC gives all that is asked for. */
static void expand(const struct tls_suite *s, const uint8_t *secret, const char *label, uint8_t *out, size_t n)
{
    uint8_t info[64] = { 0 }, block[EVP_MAX_MD_SIZE];
    size_t len = strlen(label), at = 0;
    info[at++] = (uint8_t)(n >> 8);
    info[at++] = (uint8_t)n;
    info[at++] = (uint8_t)(6 + len);
    memcpy(info + at, "tls13 ", 6);
    memcpy(info + at + 6, label, len);
    at += 6 + len;
    info[at++] = 0;
    info[at++] = 1; /* number of the block */
    unsigned got = 0;
    HMAC(digest_of(s->hash), secret, s->hash, info, at, block, &got);
    memcpy(out, block, n);
}

struct tls_cipher *tls_cipher_13(const struct tls_suite *s, struct view secret)
{
    struct tls_cipher *c = secret.len == s->hash ? new_cipher(s) : NULL;
    if (c == NULL)
        return NULL;
    memcpy(c->secret, secret.ptr, secret.len);
    expand(s, c->secret, "key", c->key, s->key);
    expand(s, c->secret, "iv", c->iv, IV);
    return c;
}

struct tls_cipher *tls_cipher_updated(const struct tls_cipher *c)
{
    uint8_t next[HASH_MAX];
    expand(c->suite, c->secret, "traffic upd", next, c->suite->hash);
    return tls_cipher_13(c->suite, view_of(next, c->suite->hash));
}

/* PRF of RFC 5246 section 5 for "key expansion". */
static void key_block(const struct tls_suite *s, struct view master, const uint8_t *seed, size_t seed_len, uint8_t *out,
                      size_t n)
{
    uint8_t a[EVP_MAX_MD_SIZE + 128], block[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    const EVP_MD *md = digest_of(s->hash);
    HMAC(md, master.ptr, (int)master.len, seed, seed_len, a, &len);
    for (size_t at = 0; at < n; at += len) {
        memcpy(a + len, seed, seed_len);
        HMAC(md, master.ptr, (int)master.len, a, len + seed_len, block, &len);
        memcpy(out + at, block, n - at < len ? n - at : len);
        HMAC(md, master.ptr, (int)master.len, a, len, block, &len);
        memcpy(a, block, len);
    }
}

/* Octets of the IV that come from the key block. */
static size_t fixed_iv(const struct tls_suite *s)
{
    return s->mode == MODE_CBC ? 0 : s->mode == MODE_CHACHA ? IV : 4;
}

struct tls_cipher *tls_cipher_12(const struct tls_suite *s, struct view master, const uint8_t client_random[32],
                                 const uint8_t server_random[32], bool server, bool etm)
{
    uint8_t seed[77] = "key expansion", block[2 * (HASH_MAX + KEY_MAX + IV)];
    size_t iv = fixed_iv(s), all = 2 * (s->mac + s->key + iv), side = server;
    struct tls_cipher *c = master.len == 48 ? new_cipher(s) : NULL;
    if (c == NULL)
        return NULL;
    memcpy(seed + 13, server_random, 32);
    memcpy(seed + 45, client_random, 32);
    key_block(s, master, seed, sizeof seed, block, all);
    memcpy(c->mac_key, block + side * s->mac, s->mac);
    memcpy(c->key, block + 2 * s->mac + side * s->key, s->key);
    memcpy(c->iv, block + 2 * (s->mac + s->key) + side * iv, iv);
    c->etm = etm;
    return c;
}

/* ---- records ---- */

static void put64(uint8_t *out, uint64_t n)
{
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(n >> (56 - 8 * i));
}

/* What is authenticated beside the text in TLS 1.2. */
static void pseudo_header(uint8_t out[13], uint64_t sequence, const uint8_t *header, size_t len)
{
    put64(out, sequence);
    memcpy(out + 8, header, 3);
    out[11] = (uint8_t)(len >> 8);
    out[12] = (uint8_t)len;
}

static bool open_aead(struct tls_cipher *c, const uint8_t nonce[IV], struct view aad, struct view text,
                      const uint8_t *tag, size_t tag_len, uint8_t *plain)
{
    EVP_CIPHER_CTX *e = c->evp;
    bool ccm = c->suite->mode == MODE_CCM || c->suite->mode == MODE_CCM8;
    uint8_t copy[TAG_MAX];
    int n = 0;
    memcpy(copy, tag, tag_len);
    return EVP_DecryptInit_ex(e, cipher_of(c->suite), NULL, NULL, NULL) == 1 &&
           EVP_CIPHER_CTX_ctrl(e, EVP_CTRL_AEAD_SET_IVLEN, IV, NULL) == 1 &&
           EVP_CIPHER_CTX_ctrl(e, EVP_CTRL_AEAD_SET_TAG, (int)tag_len, copy) == 1 &&
           EVP_DecryptInit_ex(e, NULL, NULL, c->key, nonce) == 1 &&
           (!ccm || EVP_DecryptUpdate(e, NULL, &n, NULL, (int)text.len) == 1) &&
           EVP_DecryptUpdate(e, NULL, &n, aad.ptr, (int)aad.len) == 1 &&
           EVP_DecryptUpdate(e, plain, &n, text.ptr, (int)text.len) == 1 &&
           (ccm || EVP_DecryptFinal_ex(e, plain + n, &n) == 1);
}

static struct view open_record_aead(struct tls_cipher *c, uint64_t sequence, struct view record, uint8_t *plain)
{
    const struct tls_suite *s = c->suite;
    size_t tag = s->mode == MODE_CCM8 ? 8 : 16, explicit_nonce = s->is_13 || s->mode == MODE_CHACHA ? 0 : 8;
    uint8_t nonce[IV], aad[13];
    if (record.len < HEADER + explicit_nonce + tag)
        return view_of(NULL, 0);
    struct view text = view_of(record.ptr + HEADER + explicit_nonce, record.len - HEADER - explicit_nonce - tag);
    struct view beside = view_of(record.ptr, HEADER);
    memcpy(nonce, c->iv, IV);
    if (explicit_nonce > 0)
        memcpy(nonce + 4, record.ptr + HEADER, 8);
    for (int i = 0; i < 8 && explicit_nonce == 0; i++)
        nonce[4 + i] ^= (uint8_t)(sequence >> (56 - 8 * i));
    if (!s->is_13) {
        pseudo_header(aad, sequence, record.ptr, text.len);
        beside = view_of(aad, sizeof aad);
    }
    if (!open_aead(c, nonce, beside, text, text.ptr + text.len, tag, plain))
        return view_of(NULL, 0);
    return view_of(plain, text.len);
}

static bool mac_fits(const struct tls_cipher *c, uint64_t sequence, const uint8_t *header, struct view text,
                     const uint8_t *mac)
{
    uint8_t octets[13 + TLS_PLAIN_MAX], expected[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    pseudo_header(octets, sequence, header, text.len);
    memcpy(octets + 13, text.ptr, text.len);
    return HMAC(digest_of(c->suite->mac), c->mac_key, c->suite->mac, octets, 13 + text.len, expected, &n) != NULL &&
           memcmp(expected, mac, c->suite->mac) == 0;
}

static struct view open_record_cbc(struct tls_cipher *c, uint64_t sequence, struct view record, uint8_t *plain)
{
    size_t mac = c->suite->mac, trailer = c->etm ? mac : 0;
    struct view body = view_of(record.ptr + HEADER, record.len - HEADER);
    int n = 0;
    if (body.len < BLOCK + BLOCK + trailer || (body.len - trailer) % BLOCK != 0)
        return view_of(NULL, 0);
    body.len -= trailer;
    if (c->etm && !mac_fits(c, sequence, record.ptr, body, body.ptr + body.len))
        return view_of(NULL, 0);
    if (EVP_DecryptInit_ex(c->evp, cipher_of(c->suite), NULL, c->key, body.ptr) != 1 ||
        EVP_CIPHER_CTX_set_padding(c->evp, 0) != 1 ||
        EVP_DecryptUpdate(c->evp, plain, &n, body.ptr + BLOCK, (int)(body.len - BLOCK)) != 1)
        return view_of(NULL, 0);
    size_t len = (size_t)n, cut = (size_t)plain[len - 1] + 1 + (c->etm ? 0 : mac);
    if (cut > len)
        return view_of(NULL, 0);
    struct view text = view_of(plain, len - cut);
    return c->etm || mac_fits(c, sequence, record.ptr, text, plain + text.len) ? text : view_of(NULL, 0);
}

struct view tls_cipher_open(struct tls_cipher *c, uint64_t sequence, struct view record, uint8_t plain[TLS_PLAIN_MAX],
                            uint8_t *type)
{
    if (record.len > HEADER + TLS_PLAIN_MAX)
        return view_of(NULL, 0);
    *type = record.ptr[0];
    if (c->suite->mode == MODE_CBC)
        return open_record_cbc(c, sequence, record, plain);
    struct view text = open_record_aead(c, sequence, record, plain);
    if (text.ptr == NULL || !c->suite->is_13)
        return text;
    while (text.len > 0 && text.ptr[text.len - 1] == 0) /* padding, then the content type: RFC 8446 section 5.4 */
        text.len--;
    if (text.len == 0)
        return view_of(NULL, 0);
    *type = text.ptr[--text.len];
    return text;
}
