/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/frames/privilege.h -- give up what capturing needed, before the first octet of a stranger is looked at. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#define PRIVILEGE_USER "nobody"

/* Root becomes `user` (NULL: PRIVILEGE_USER) with no further groups; whoever it is loses all capabilities and can gain
 * none again; a seccomp filter leaves file and terminal I/O, local sockets and threads, and no new programs, network or
 * tracing. Threads started later are bound as well. False: error says why, and nothing must be parsed. */
bool privilege_drop(const char *user, char *error, size_t error_len);

/* Is there somebody to become? For those who want to know before they begin a file. */
bool privilege_user_exists(const char *user, char *error, size_t error_len);
