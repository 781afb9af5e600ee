/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/broker/server.h -- sockets, time and signals around the step function: one thread, epoll. */
#pragma once
#include "fuzz/broker/broker.h"
#include "fuzz/broker/log.h"

enum { SERVER_BINDS = 8 };

struct server_options {
    const char *binds[SERVER_BINDS]; /* addresses; none: 127.0.0.1 */
    unsigned nbinds;
    const char *port;
    const char *web_port;                 /* for WebSocket, NULL: none */
    const char *password_file, *acl_file; /* NULL: none; read again on SIGHUP */
    struct log_options log;
};

/* Serves until SIGTERM or SIGINT. Returns the exit status: 0, or 2 when an address or a file cannot be used. */
int server_run(const struct server_options *options, const struct broker_config *config);
