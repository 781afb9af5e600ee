/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/peer/login.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "decoder/mqtt/packet.h"

/* Wrong in its client identifier alone: what the broker makes of that is asked of a client that is let in. */
static bool only_nameless(const struct mqtt_verdicts *v)
{
    unsigned rule = v->n == 1 ? v->at[0].rule : MQTT_RULE_NONE;
    return rule == MQTT_R4_3_1_3_7 || rule == MQTT_R4_3_1_3_8 || rule == MQTT_S3_3_1_A || rule == MQTT_S3_3_1_B;
}

size_t login_add(const struct login *login, struct view packet, uint8_t *out, size_t cap)
{
    struct mqtt_packet p;
    struct mqtt_verdict room[2];
    struct mqtt_verdicts v = { room, 2, 0, 0 };
    if (login->user == NULL || packet.len < 2 || packet.ptr[0] >> 4 != MQTT_CONNECT)
        return 0;
    mqtt_decode(packet, (struct mqtt_context){ MQTT_VERSION_UNKNOWN, MQTT_CLIENT }, &p, &v);
    if ((v.n > 0 && !only_nameless(&v)) || p.cut || p.header_len == 0 ||
        p.header_len + (size_t)p.remaining != packet.len || p.connect.has_username || p.connect.has_password)
        return 0;
    p.connect.username = view_of(login->user, strlen(login->user));
    p.connect.has_username = true;
    p.connect.flags |= 0x80;
    if (login->password != NULL) {
        p.connect.password = view_of(login->password, strlen(login->password));
        p.connect.has_password = true;
        p.connect.flags |= 0x40;
    }
    size_t n = mqtt_encode(&p, out, cap);
    return n <= cap ? n : 0;
}

/* ---- TLS: the names of this file for OpenSSL's ---- */

static const char *trouble = "";

const char *tls_trouble(void)
{
    return trouble;
}

static SSL_CTX *context_of(struct tls_context *c)
{
    return (SSL_CTX *)(void *)c;
}

static SSL *ssl_of(struct tls *tls)
{
    return (SSL *)(void *)tls;
}

static const char *latest_error(void)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
    return reason != NULL ? reason : code != 0 ? "unknown fault" : "the other side ended it";
}

struct tls_context *tls_context_new(const char *cafile, bool insecure, const char *host, char *error, size_t cap)
{
    SSL_CTX *c = SSL_CTX_new(TLS_client_method());
    bool ok = c != NULL && (cafile != NULL ? SSL_CTX_load_verify_locations(c, cafile, NULL)
                                           : SSL_CTX_set_default_verify_paths(c)) == 1;
    X509_VERIFY_PARAM *wanted = c != NULL ? SSL_CTX_get0_param(c) : NULL;
    uint8_t address[16];
    bool is_address = inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
    ok = ok && (insecure || (is_address ? X509_VERIFY_PARAM_set1_ip_asc(wanted, host)
                                        : X509_VERIFY_PARAM_set1_host(wanted, host, 0)) == 1);
    if (!ok) {
        snprintf(error, cap, "TLS: %s%s%s", cafile != NULL ? cafile : "", cafile != NULL ? ": " : "", latest_error());
        SSL_CTX_free(c);
        return NULL;
    }
    SSL_CTX_set_verify(c, insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return (struct tls_context *)(void *)c;
}

void tls_context_free(struct tls_context *context)
{
    SSL_CTX_free(context_of(context));
}

struct tls *tls_begin(struct tls_context *context, int fd)
{
    SSL *ssl = SSL_new(context_of(context));
    if (ssl == NULL || SSL_set_fd(ssl, fd) != 1) {
        SSL_free(ssl);
        return NULL;
    }
    SSL_set_connect_state(ssl);
    return (struct tls *)(void *)ssl;
}

/* What OpenSSL returned, as the calls of sockets say it. */
static ssize_t as_socket(SSL *ssl, int result)
{
    if (result > 0)
        return result;
    int kind = SSL_get_error(ssl, result);
    if (kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE) {
        errno = EAGAIN;
        return -1;
    }
    long verified = SSL_get_verify_result(ssl);
    trouble = verified != X509_V_OK ? X509_verify_cert_error_string(verified) : latest_error();
    if (kind == SSL_ERROR_ZERO_RETURN)
        return 0;
    errno = ECONNRESET;
    return -1;
}

ssize_t tls_send(struct tls *tls, const void *octets, size_t n)
{
    ERR_clear_error();
    return n == 0 ? 0 : as_socket(ssl_of(tls), SSL_write(ssl_of(tls), octets, n > INT32_MAX ? INT32_MAX : (int)n));
}

ssize_t tls_recv(struct tls *tls, void *octets, size_t cap)
{
    ERR_clear_error();
    return as_socket(ssl_of(tls), SSL_read(ssl_of(tls), octets, cap > INT32_MAX ? INT32_MAX : (int)cap));
}

void tls_end(struct tls *tls, bool say_so)
{
    ERR_clear_error();
    if (tls != NULL && say_so && SSL_is_init_finished(ssl_of(tls)))
        SSL_shutdown(ssl_of(tls));
    SSL_free(ssl_of(tls));
}
