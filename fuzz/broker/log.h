/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/broker/log.h -- what mqbroker tells: a line of text or one JSON object an event, on standard error. */
#pragma once
#include "fuzz/broker/broker.h"

enum log_format { LOG_TEXT, LOG_JSON, LOG_NONE };

struct log_options {
    enum log_format format;
    enum broker_level least; /* quieter things are left out */
};

/* ctx of the broker's log callback: a struct log_options. Peers are as log_peer() made them. */
void log_write(const struct log_options *options, const struct broker_log *log);

/* Address and port in one number, for struct broker_log: IPv4 whole, IPv6 by its last four octets. */
struct sockaddr;
uint64_t log_peer(const struct sockaddr *address);
