/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/target.c -- opening the output. */
#include "capture/target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int fail(char *error, const char *name, const char *why)
{
    snprintf(error, TARGET_ERROR, "%.100s: %s", name, why);
    return -1;
}

static int connect_socket(const char *path, char *error)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof address.sun_path)
        return fail(error, path, "the path of the socket is too long");
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fail(error, path, strerror(errno));
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    int why = errno;
    close(fd);
    return fail(error, path, strerror(why));
}

int target_open(const char *name, char *error)
{
    static const char unix_prefix[] = "unix:";
    if (strncmp(name, unix_prefix, sizeof unix_prefix - 1) == 0)
        return connect_socket(name + sizeof unix_prefix - 1, error);
    int fd = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    return fd >= 0 ? fd : fail(error, name, strerror(errno));
}
