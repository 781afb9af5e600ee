/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/engine/replay.c -- runs a target over files, without any engine: replay FILE|DIRECTORY...
 *
 * Each input is handed over in an allocation of its exact size. Exit status 0 when all of them ran, 2 when one cannot
 * be read; a finding ends the process the way the target ends it. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz/target/target.h"

enum { INPUT_MAX = 16 << 20 };

static size_t ran;

static int run_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    uint8_t *octets = malloc(INPUT_MAX);
    if (f == NULL || octets == NULL) {
        fprintf(stderr, "%s: %s: %s\n", fuzz_target.name, path, strerror(errno));
        if (f != NULL)
            fclose(f);
        free(octets);
        return 2;
    }
    size_t len = fread(octets, 1, INPUT_MAX, f);
    fclose(f);
    uint8_t *exact = realloc(octets, len > 0 ? len : 1);
    if (getenv("REPLAY_VERBOSE") != NULL)
        fprintf(stderr, "%s %s\n", fuzz_target.name, path);
    LLVMFuzzerTestOneInput(exact, len);
    free(exact);
    ran++;
    return 0;
}

static int run_path(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
        return run_file(path);
    struct dirent **names;
    int n = scandir(path, &names, NULL, alphasort), status = 0;
    for (int i = 0; i < n; i++) {
        char inside[4096];
        snprintf(inside, sizeof inside, "%s/%s", path, names[i]->d_name);
        if (names[i]->d_name[0] != '.' && run_path(inside) != 0)
            status = 2;
        free(names[i]);
    }
    if (n >= 0)
        free(names);
    return status;
}

int main(int argc, char **argv)
{
    int status = 0;
    for (int i = 1; i < argc; i++)
        if (run_path(argv[i]) != 0)
            status = 2;
    printf("%s: %zu inputs\n", fuzz_target.name, ran);
    return status;
}
