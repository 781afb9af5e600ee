/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/target.h -- where results go instead of standard output: a file, a fifo, or a unix stream socket. */
#pragma once

enum { TARGET_ERROR = 256 };

/* A descriptor to write to, or -1 with one line in error (TARGET_ERROR octets). "unix:PATH" connects to a stream
 * socket; any other name is opened for appending, and made (mode 0640) when it is not there. A fifo is waited for until
 * it is read. */
int target_open(const char *name, char *error);
