/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/campaign/queue.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_ROOM = 1024 };

static bool make_dir(const char *path)
{
    return mkdir(path, 0777) == 0 || errno == EEXIST;
}

/* "id:000123,..." to 123; false for other names. */
static bool number_of(const char *name, uint32_t *out)
{
    char *end;
    if (strncmp(name, "id:", 3) != 0 || name[3] < '0' || name[3] > '9')
        return false;
    unsigned long n = strtoul(name + 3, &end, 10);
    *out = (uint32_t)n;
    return (*end == ',' || *end == '\0') && n < UINT32_MAX;
}

static uint32_t next_number(const char *path)
{
    DIR *d = opendir(path);
    uint32_t next = 0, number;
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
        if (number_of(e->d_name, &number) && number >= next)
            next = number + 1;
    if (d != NULL)
        closedir(d);
    return next;
}

bool queue_open(struct queue *q, const char *dir, const char *name)
{
    char path[PATH_ROOM];
    *q = (struct queue){ 0 };
    if (strlen(dir) >= sizeof q->dir || strlen(name) >= sizeof q->name) {
        errno = ENAMETOOLONG;
        return false;
    }
    snprintf(q->dir, sizeof q->dir, "%s", dir);
    snprintf(q->name, sizeof q->name, "%s", name);
    snprintf(path, sizeof path, "%s/%s", dir, name);
    if (!make_dir(dir) || !make_dir(path))
        return false;
    snprintf(path, sizeof path, "%s/%s/crashes", dir, name);
    q->next_crash = next_number(path);
    if (!make_dir(path))
        return false;
    snprintf(path, sizeof path, "%s/%s/queue", dir, name);
    q->next = next_number(path);
    return make_dir(path);
}

static void read_one(const char *path, queue_each *each, void *ctx)
{
    static uint8_t room[TALK_MAX + 2];
    struct stat s;
    FILE *f = stat(path, &s) == 0 && S_ISREG(s.st_mode) ? fopen(path, "re") : NULL;
    size_t n = f != NULL ? fread(room, 1, sizeof room, f) : 0;
    if (f != NULL)
        fclose(f);
    if (n < 2 || n > TALK_MAX + 1)
        return;
    unsigned version = room[0] & 3u;
    struct talk talk = { .octets = room + 1, .len = (uint32_t)n - 1 };
    talk.version = (uint8_t)(version == 0 ? MQTT_V311 : MQTT_V31 + version - 1);
    each(ctx, &talk);
}

/* Files of a folder in the order of their names: ids from `from` on, or, plain, those that are no ids. */
static void read_folder(const char *path, bool plain, uint32_t *from, queue_each *each, void *ctx)
{
    struct dirent **entry;
    int n = scandir(path, &entry, NULL, alphasort);
    uint32_t number = 0, first = *from;
    char file[PATH_ROOM + 256];
    for (int i = 0; i < n; i++) {
        bool is_id = number_of(entry[i]->d_name, &number);
        if (entry[i]->d_name[0] != '.' && is_id != plain && (plain || number >= first)) {
            snprintf(file, sizeof file, "%s/%s", path, entry[i]->d_name);
            read_one(file, each, ctx);
            *from = !plain && number >= *from ? number + 1 : *from;
        }
        free(entry[i]);
    }
    if (n >= 0)
        free(entry);
}

void queue_load(struct queue *q, queue_each *each, void *ctx)
{
    char path[PATH_ROOM];
    uint32_t from = 0;
    read_folder(q->dir, true, &from, each, ctx);
    snprintf(path, sizeof path, "%s/%s/queue", q->dir, q->name);
    read_folder(path, false, &from, each, ctx);
    queue_sync(q, each, ctx);
}

static uint32_t *place_of(struct queue *q, const char *name)
{
    for (uint32_t i = 0; i < q->n_peers; i++)
        if (strcmp(q->peer[i].name, name) == 0)
            return &q->peer[i].next;
    size_t len = strlen(name);
    if (q->n_peers == QUEUE_PEERS || len >= QUEUE_NAME)
        return NULL;
    memcpy(q->peer[q->n_peers].name, name, len + 1);
    return &q->peer[q->n_peers++].next;
}

void queue_sync(struct queue *q, queue_each *each, void *ctx)
{
    char path[PATH_ROOM];
    struct dirent **entry;
    int n = scandir(q->dir, &entry, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        const char *name = entry[i]->d_name;
        uint32_t *from = name[0] != '.' && strcmp(name, q->name) != 0 ? place_of(q, name) : NULL;
        snprintf(path, sizeof path, "%s/%.255s/queue", q->dir, name);
        if (from != NULL)
            read_folder(path, false, from, each, ctx);
        free(entry[i]);
    }
    if (n >= 0)
        free(entry);
}

bool queue_add(struct queue *q, const struct talk *talk, bool crash, uint64_t ms, uint64_t plans)
{
    char part[PATH_ROOM], path[PATH_ROOM + 128];
    uint32_t *number = crash ? &q->next_crash : &q->next;
    snprintf(part, sizeof part, "%s/%s/.part", q->dir, q->name);
    snprintf(path, sizeof path, "%s/%s/%s/id:%06u,time:%llu,execs:%llu,op:mqfuzz", q->dir, q->name,
             crash ? "crashes" : "queue", *number, (unsigned long long)ms, (unsigned long long)plans);
    FILE *f = fopen(part, "we");
    if (f == NULL)
        return false;
    bool ok = fputc(talk->version - MQTT_V31 + 1, f) != EOF && fwrite(talk->octets, 1, talk->len, f) == talk->len;
    ok = fclose(f) == 0 && ok && rename(part, path) == 0;
    if (!ok) {
        int error = errno;
        unlink(part);
        errno = error;
    }
    *number += ok;
    return ok;
}
