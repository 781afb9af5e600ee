/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/privilege.h -- give up what capturing needed, before the first octet of a stranger is looked at. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define PRIVILEGE_USER "nobody"

/* Root becomes `user` (NULL: PRIVILEGE_USER) with no further groups; whoever it is loses all capabilities and can gain
 * none again; a seccomp filter leaves file and terminal I/O, local sockets and threads, and no new programs, network or
 * tracing. Threads started later are bound as well. False: error says why, and nothing must be parsed. */
bool privilege_drop(const char *user, char *error, size_t error_len);

/* Whom privilege_drop() would make of root. False: it would leave the user as it is, or fail. */
bool privilege_target(const char *user, uid_t *uid, gid_t *gid);
