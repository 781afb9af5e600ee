/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/broker/auth.c -- who may connect: the password file, and one method of enhanced authentication (5.0
 * section 4.12).
 *
 * The password file is the one that mosquitto_passwd writes: name:$6$salt$hash is SHA-512 of password and salt, and
 * name:$7$iterations$salt$hash is PBKDF2 with HMAC-SHA-512; salt and hash in Base64.
 *
 * The method CHALLENGE-SHA256 is for tests: the server sends 16 random octets, the client answers with the HMAC-SHA-256
 * of them under a shared secret. */
#include "fuzz/broker/internal.h"
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

static const char method_name[] = "CHALLENGE-SHA256";

struct password {
    struct view name;    /* in broker.passwords.text */
    uint32_t iterations; /* 0: plain SHA-512 */
    uint8_t salt[64], hash[64];
    uint8_t salt_len;
};

/* ---- the password file ---- */

static struct view take_until(struct view *text, uint8_t stop)
{
    const uint8_t *end = memchr(text->ptr, stop, text->len);
    size_t len = end == NULL ? text->len : (size_t)(end - text->ptr);
    struct view taken = view_of(text->ptr, len);
    size_t skip = end == NULL ? len : len + 1;
    *text = view_of(text->ptr + skip, text->len - skip);
    return taken;
}

/* Base64 into at most cap octets; -1 if it is none or too long. */
static int base64(struct view text, uint8_t *out, size_t cap)
{
    uint8_t room[200];
    if (text.len == 0 || text.len % 4 != 0 || text.len / 4 * 3 > sizeof room)
        return -1;
    int len = EVP_DecodeBlock(room, text.ptr, (int)text.len);
    for (size_t i = text.len; i > text.len - 2 && text.ptr[i - 1] == '='; i--)
        len--;
    if (len < 0 || (size_t)len > cap)
        return -1;
    memcpy(out, room, (size_t)len);
    return len;
}

static bool number(struct view text, uint32_t *out)
{
    *out = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9' || *out > 100000000)
            return false;
        *out = *out * 10 + (uint32_t)(text.ptr[i] - '0');
    }
    return text.len > 0;
}

static enum line password_line(void *ctx, struct view line, void *entry)
{
    struct password *out = entry;
    (void)ctx;
    if (line.len == 0 || line.ptr[0] == '#')
        return LINE_EMPTY;
    *out = (struct password){ .name = take_until(&line, ':') };
    if (out->name.len == 0 || take_until(&line, '$').len != 0)
        return LINE_WRONG;
    struct view kind = take_until(&line, '$');
    bool stretched = kind.len == 1 && kind.ptr[0] == '7';
    if (!stretched && !(kind.len == 1 && kind.ptr[0] == '6'))
        return LINE_WRONG;
    if (stretched && (!number(take_until(&line, '$'), &out->iterations) || out->iterations == 0))
        return LINE_WRONG;
    int salt = base64(take_until(&line, '$'), out->salt, sizeof out->salt);
    out->salt_len = (uint8_t)(salt > 0 ? salt : 0);
    return salt > 0 && base64(line, out->hash, sizeof out->hash) == sizeof out->hash ? LINE_ENTRY : LINE_WRONG;
}

int broker_passwords(struct broker *b, struct view text)
{
    return lines_read(&b->passwords, &b->memory, text, sizeof(struct password), password_line, NULL);
}

static bool hash_of(const struct password *p, struct view password, uint8_t out[64])
{
    if (p->iterations > 0)
        return PKCS5_PBKDF2_HMAC((const char *)password.ptr, (int)password.len, p->salt, p->salt_len,
                                 (int)p->iterations, EVP_sha512(), 64, out) == 1;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool fine = md != NULL && EVP_DigestInit_ex(md, EVP_sha512(), NULL) == 1 &&
                EVP_DigestUpdate(md, password.ptr, password.len) == 1 &&
                EVP_DigestUpdate(md, p->salt, p->salt_len) == 1 && EVP_DigestFinal_ex(md, out, NULL) == 1;
    EVP_MD_CTX_free(md);
    return fine;
}

bool auth_password(const struct broker *b, struct view user, struct view password)
{
    uint8_t hash[64];
    for (size_t i = 0; i < b->passwords.n; i++) {
        const struct password *p = (const struct password *)b->passwords.entries + i;
        if (p->name.len == user.len && user.len > 0 && memcmp(p->name.ptr, user.ptr, user.len) == 0)
            return hash_of(p, password, hash) && CRYPTO_memcmp(hash, p->hash, sizeof hash) == 0;
    }
    return false;
}

/* ---- enhanced authentication ---- */

static bool same(struct view a, struct view b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static struct view method_of(const struct mqtt_packet *p)
{
    struct mqtt_prop prop;
    return mqtt_props_find(&p->props, MQTT_PROP_AUTHENTICATION_METHOD, &prop) ? prop.text : view_of(NULL, 0);
}

static bool send_auth(struct broker_conn *c, uint8_t reason, struct view data)
{
    uint8_t block[100];
    struct mqtt_prop method = { .id = MQTT_PROP_AUTHENTICATION_METHOD,
                                .wire = MQTT_WIRE_UTF8,
                                .text = view_of(method_name, sizeof method_name - 1) };
    struct mqtt_prop challenge = { .id = MQTT_PROP_AUTHENTICATION_DATA, .wire = MQTT_WIRE_BINARY, .text = data };
    size_t len = mqtt_prop_write(block, 0, sizeof block, &method);
    if (data.ptr != NULL)
        len = mqtt_prop_write(block, len, sizeof block, &challenge);
    struct mqtt_packet p = { .type = MQTT_AUTH, .version = MQTT_V5, .has_reason = true, .reason = reason };
    p.props.block = view_of(block, len);
    return send_packet(c, &p);
}

static void challenge(struct broker_conn *c)
{
    struct broker *b = c->broker;
    struct enhanced *e = c->enhanced;
    b->host.random(b->host.ctx, e->nonce, sizeof e->nonce);
    e->under_way = true;
    if (!send_auth(c, 0x18, view_of(e->nonce, sizeof e->nonce))) /* [MQTT-4.12.0-2] */
        conn_close(c, 0x97, MQTT_RULE_NONE, "no memory for AUTH");
}

void auth_begin(struct broker_conn *c, const struct mqtt_packet *p)
{
    struct broker *b = c->broker;
    struct view known = view_of(method_name, sizeof method_name - 1);
    if (b->config.auth_secret.ptr == NULL || !same(method_of(p), known)) {
        connect_refuse(c, 0x8c, MQTT_RULE_NONE, "this Authentication Method is not supported"); /* [MQTT-4.12.0-1] */
        return;
    }
    struct enhanced *e = mem_zero(&b->memory, sizeof *e);
    if (e != NULL && (e->octets = mem_resize(&b->memory, NULL, 0, p->held)) != NULL) {
        memcpy(e->octets, p->octets, p->held);
        e->len = p->held;
        c->enhanced = e;
        c->state = CONN_AUTH;
        challenge(c);
        return;
    }
    mem_free(&b->memory, e, sizeof *e);
    connect_refuse(c, 0x97, MQTT_RULE_NONE, "no memory for another session");
}

void auth_done(struct broker_conn *c)
{
    struct enhanced *e = c->enhanced;
    c->enhanced = NULL;
    if (e != NULL)
        mem_free(&c->broker->memory, e->octets, e->len);
    mem_free(&c->broker->memory, e, sizeof *e);
}

static bool right_answer(const struct broker_conn *c, const struct mqtt_packet *p)
{
    struct view secret = c->broker->config.auth_secret;
    struct mqtt_prop data;
    uint8_t want[32];
    unsigned len = 0;
    if (!mqtt_props_find(&p->props, MQTT_PROP_AUTHENTICATION_DATA, &data) || data.text.len != sizeof want)
        return false;
    HMAC(EVP_sha256(), secret.ptr, (int)secret.len, c->enhanced->nonce, sizeof c->enhanced->nonce, want, &len);
    return len == sizeof want && CRYPTO_memcmp(want, data.text.ptr, sizeof want) == 0;
}

/* The answer to the challenge of a CONNECT. */
static void answer_connect(struct broker_conn *c, const struct mqtt_packet *p)
{
    if (p->reason != 0x18) {
        connect_refuse(c, 0x82, MQTT_R5_4_12_0_3, "AUTH without Continue Authentication before CONNACK");
        return;
    }
    if (!right_answer(c, p)) {
        connect_refuse(c, 0x87, MQTT_RULE_NONE, "enhanced authentication failed"); /* [MQTT-4.12.0-4] */
        return;
    }
    c->enhanced->under_way = false;
    struct mqtt_packet connect;
    mqtt_decode(view_of(c->enhanced->octets, c->enhanced->len), (struct mqtt_context){ MQTT_V5, MQTT_CLIENT }, &connect,
                NULL);
    connect_accept(c, &connect, view_of(NULL, 0));
}

/* Re-authentication, section 4.12.1. */
static void answer_again(struct broker_conn *c, const struct mqtt_packet *p)
{
    struct enhanced *e = c->enhanced;
    if (p->reason == 0x19) {
        challenge(c);
    } else if (!e->under_way) {
        conn_violation(c, MQTT_R5_4_12_0_3, 0x82, "AUTH that nobody asked for");
    } else if (!right_answer(c, p)) {
        conn_close(c, 0x87, MQTT_RULE_NONE, "re-authentication failed"); /* [MQTT-4.12.1-2] */
    } else {
        e->under_way = false;
        send_auth(c, 0x00, view_of(NULL, 0));
    }
}

void handle_auth(struct broker_conn *c, const struct mqtt_packet *p)
{
    struct view known = view_of(method_name, sizeof method_name - 1);
    bool connecting = c->state == CONN_AUTH;
    enum mqtt_rule broken = MQTT_RULE_NONE;
    if (c->enhanced == NULL)
        broken = MQTT_R5_4_12_0_7;
    else if (!same(method_of(p), known))
        broken = MQTT_R5_4_12_0_5;
    else if (connecting && p->reason == 0x19)
        broken = MQTT_R5_4_12_1_1;
    if (broken != MQTT_RULE_NONE && connecting)
        connect_refuse(c, 0x82, broken, mqtt_rule_info(broken)->statement);
    else if (broken != MQTT_RULE_NONE)
        conn_violation(c, broken, 0x82, mqtt_rule_info(broken)->statement);
    else if (connecting)
        answer_connect(c, p);
    else
        answer_again(c, p);
}
