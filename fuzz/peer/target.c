/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the broker is. */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "fuzz/peer/runner.h"

bool runner_is_near(const struct runner_target *target)
{
    const struct sockaddr *a = (const struct sockaddr *)&target->addr;
    if (a->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)a)->sin_addr.s_addr) >> 24 == 127;
    return a->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)a)->sin6_addr);
}

bool runner_resolve(const char *text, bool allow_remote, struct runner_target *out, char *error, size_t cap)
{
    char host[256];
    const char *colon = strrchr(text, ':');
    const char *port = colon != NULL ? colon + 1 : text;
    size_t n = colon != NULL ? (size_t)(colon - text) : 0;
    if (n >= sizeof host || *port == '\0' || strspn(port, "0123456789") != strlen(port)) {
        snprintf(error, cap, "'%s' is not HOST:PORT", text);
        return false;
    }
    bool bracketed = n >= 2 && text[0] == '[' && text[n - 1] == ']';
    memcpy(host, text + bracketed, n - 2 * bracketed);
    host[n - 2 * bracketed] = '\0';
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV }, *list = NULL;
    int code = getaddrinfo(n > 0 ? host : "127.0.0.1", port, &hints, &list);
    if (code != 0) {
        snprintf(error, cap, "%s: %s", text, gai_strerror(code));
        return false;
    }
    memcpy(&out->addr, list->ai_addr, list->ai_addrlen);
    out->addr_len = list->ai_addrlen;
    bool ok = allow_remote || runner_is_near(out);
    if (!ok) {
        snprintf(error, cap, "%s is not on this machine; --allow-remote permits it", text);
    }
    freeaddrinfo(list);
    return ok;
}

void runner_hear(const struct runner_target *target)
{
    if (target->hear != NULL)
        target->hear(target->hear_ctx);
}
