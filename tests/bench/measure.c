/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/bench/measure.c -- measure FILE PROGRAM ARGUMENT...: runs a program and writes "CPU-seconds peak-KiB
 * wall-seconds" to a file.
 *
 * A process of its own because the peak memory of a child counts from the fork: that of a large parent would be told.
 */
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    int status;
    double begin = now();
    struct rusage usage;
    pid_t child = argc > 2 ? fork() : -1;
    if (child == 0) {
        execvp(argv[2], argv + 2);
        perror(argv[2]);
        _exit(127);
    }
    if (child < 0 || wait4(child, &status, 0, &usage) != child)
        return 126;
    double wall = now() - begin;
    FILE *out = fopen(argv[1], "w");
    if (out == NULL)
        return 126;
    fprintf(out, "%.6f %ld %.6f\n", seconds(usage.ru_utime) + seconds(usage.ru_stime), usage.ru_maxrss, wall);
    return fclose(out) == 0 && WIFEXITED(status) ? WEXITSTATUS(status) : 126;
}
