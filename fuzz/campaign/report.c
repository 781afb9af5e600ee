/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/campaign/report.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "decoder/base/version.h"

struct report_entry *report_add(struct report *r)
{
    if (r->n == r->cap) {
        uint32_t cap = r->cap == 0 ? 64 : r->cap * 2;
        struct report_entry *more = realloc(r->at, cap * sizeof *more);
        if (more == NULL)
            return NULL;
        r->at = more;
        r->cap = cap;
    }
    r->at[r->n] = (struct report_entry){ 0 };
    return &r->at[r->n++];
}

void report_free(struct report *r)
{
    for (uint32_t i = 0; i < r->n; i++) {
        free(r->at[i].plan);
        free(r->at[i].trace);
    }
    free(r->at);
    *r = (struct report){ 0 };
}

bool report_is_finding(const struct report_entry *e)
{
    return e->end == RUN_FAILED && !e->hint;
}

/* Our texts and escaped octets only, yet written as if hostile. */
static void put_xml(FILE *f, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '&')
            fputs("&amp;", f);
        else if (c == '<')
            fputs("&lt;", f);
        else if (c == '>')
            fputs("&gt;", f);
        else if (c == '"')
            fputs("&quot;", f);
        else if (c >= 0x80 || (c < 0x20 && c != '\n'))
            fprintf(f, "\\x%02x", c);
        else
            fputc(c, f);
    }
}

static void put_json(FILE *f, const char *text)
{
    fputc('"', f);
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            fprintf(f, "\\%c", c);
        else if (c < 0x20)
            fprintf(f, "\\u%04x", c);
        else if (c >= 0x80)
            fprintf(f, "\\\\x%02x", c);
        else
            fputc(c, f);
    }
    fputc('"', f);
}

/* Complete, or not there at all: the file gets its name when it is whole. */
static FILE *begin(const char *path, char *part, size_t cap)
{
    if (strcmp(path, "-") == 0)
        return stdout;
    snprintf(part, cap, "%s.part", path);
    return fopen(part, "we");
}

static bool commit(FILE *f, const char *part, const char *path)
{
    bool ok = !ferror(f) && fflush(f) == 0;
    if (f == stdout)
        return ok;
    int error = errno;
    ok = fclose(f) == 0 && ok && rename(part, path) == 0;
    if (!ok) {
        error = errno != 0 ? errno : error;
        remove(part);
        errno = error;
    }
    return ok;
}

static bool is_skipped(const struct report_entry *e)
{
    return e->end == RUN_UNKNOWN || e->end == RUN_NOT_APPLICABLE || e->end == RUN_NO_BROKER || e->hint;
}

bool report_junit(const struct report *r, const char *path)
{
    char part[4200];
    FILE *f = begin(path, part, sizeof part);
    uint32_t failures = 0, skipped = 0;
    if (f == NULL)
        return false;
    for (uint32_t i = 0; i < r->n; i++) {
        failures += report_is_finding(&r->at[i]);
        skipped += is_skipped(&r->at[i]);
    }
    fprintf(f,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n<testsuite name=\"mqfuzz\" tests=\"%u\" "
            "failures=\"%u\" "
            "errors=\"0\" skipped=\"%u\" hostname=\"",
            r->n, failures, skipped);
    put_xml(f, r->target);
    fputs("\">\n", f);
    for (uint32_t i = 0; i < r->n; i++) {
        const struct report_entry *e = &r->at[i];
        fputs("<testcase classname=\"", f);
        put_xml(f, e->rule);
        fputs(e->version[0] != '\0' ? " (" : "", f);
        put_xml(f, e->version);
        fputs(e->version[0] != '\0' ? ")" : "", f);
        fputs("\" name=\"", f);
        put_xml(f, e->title);
        fprintf(f, "\" time=\"%u.%03u\">", e->took_ms / 1000, e->took_ms % 1000);
        bool skip = is_skipped(e);
        if (skip || report_is_finding(e)) {
            fputs(skip ? "<skipped message=\"" : "<failure message=\"", f);
            put_xml(f, e->why);
            fputs("\">", f);
            put_xml(f, !skip && e->trace != NULL ? e->trace : "");
            fputs(skip ? "</skipped>" : "</failure>", f);
        }
        fputs("</testcase>\n", f);
    }
    fputs("</testsuite>\n</testsuites>\n", f);
    return commit(f, part, path);
}

static const char *sarif_level(const struct report_entry *e)
{
    return e->severity == MQTT_SEVERITY_ERROR ? "error" : e->severity == MQTT_SEVERITY_WARNING ? "warning" : "note";
}

static bool first_of_rule(const struct report *r, uint32_t i)
{
    for (uint32_t k = 0; k < i; k++)
        if (report_is_finding(&r->at[k]) && strcmp(r->at[k].rule, r->at[i].rule) == 0)
            return false;
    return report_is_finding(&r->at[i]);
}

/* Its plan, as a URI: what is below the folder that mqfuzz runs in is relative to it. */
static void put_uri(FILE *f, const char *dir, const char *name)
{
    fputs(dir[0] == '/' ? "\"file://" : "\"", f);
    for (const char *c = dir; *c != '\0'; c++)
        fprintf(f, isalnum((unsigned char)*c) || strchr("/.-_~", *c) != NULL ? "%c" : "%%%02X", (unsigned char)*c);
    fprintf(f, "/%s.plan\"", name);
}

/* The same for the same finding: what tells a new one from an old one. FNV-1a. */
static uint64_t fingerprint(const struct report_entry *e)
{
    uint64_t hash = 0xcbf29ce484222325u;
    const char *parts[] = { e->rule, e->version, e->title };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        for (const char *c = parts[i]; c == parts[i] || c[-1] != '\0'; c++) /* the NUL, too */
            hash = (hash ^ (unsigned char)*c) * 0x100000001b3u;
    return hash;
}

bool report_sarif(const struct report *r, const char *path, const char *dir)
{
    char part[4200];
    FILE *f = begin(path, part, sizeof part);
    const char *comma = "";
    if (f == NULL)
        return false;
    fputs("{\"$schema\":\"https://json.schemastore.org/"
          "sarif-2.1.0.json\",\"version\":\"2.1.0\",\"runs\":[{\"tool\":{\"driver\":"
          "{\"name\":\"mqfuzz\",\"version\":\"" MQSHARK_VERSION
          "\",\"informationUri\":\"https://docs.oasis-open.org/mqtt/\",\"rules\":[",
          f);
    for (uint32_t i = 0; i < r->n; i++) {
        if (!first_of_rule(r, i))
            continue;
        fprintf(f, "%s{\"id\":", comma);
        put_json(f, r->at[i].rule);
        fputs(",\"shortDescription\":{\"text\":", f);
        put_json(f, r->at[i].title);
        fputs("}}", f);
        comma = ",";
    }
    fputs("]}},\"results\":[", f);
    comma = "";
    for (uint32_t i = 0; i < r->n; i++) {
        const struct report_entry *e = &r->at[i];
        char text[600];
        if (!report_is_finding(e))
            continue;
        snprintf(text, sizeof text, "%s%s%s: %s", e->version, e->version[0] != '\0' ? " " : "", e->title, e->why);
        fprintf(f, "%s{\"ruleId\":", comma);
        put_json(f, e->rule);
        fprintf(f, ",\"level\":\"%s\",\"message\":{\"text\":", sarif_level(e));
        put_json(f, text);
        fputs("},\"locations\":[{", f);
        if (e->file[0] != '\0' && dir != NULL) {
            fputs("\"physicalLocation\":{\"artifactLocation\":{\"uri\":", f);
            put_uri(f, dir, e->file);
            fputs("},\"region\":{\"startLine\":1}},", f);
        }
        fputs("\"logicalLocations\":[{\"fullyQualifiedName\":", f);
        put_json(f, r->target);
        fprintf(f, "}]}],\"partialFingerprints\":{\"primaryLocationLineHash\":\"%016llx:1\"}}",
                (unsigned long long)fingerprint(e));
        comma = ",";
    }
    fputs("]}]}\n", f);
    return commit(f, part, path);
}

/* ---- files of a finding ---- */

static bool name_is_taken(const struct report *r, const struct report_entry *e)
{
    for (uint32_t i = 0; i < r->n; i++)
        if (&r->at[i] != e && strcmp(r->at[i].file, e->file) == 0)
            return true;
    return r->claim != NULL && !r->claim(r->claim_ctx, e->file);
}

static void base_name(const struct report *r, struct report_entry *e)
{
    size_t n = 0, room = sizeof e->file - 8; /* for a number */
    char text[300];
    snprintf(text, sizeof text, "%s-%s-%s", e->rule, e->version, e->title);
    for (const char *c = text; *c != '\0' && n < room; c++) {
        if (isalnum((unsigned char)*c) || *c == '.')
            e->file[n++] = (char)tolower((unsigned char)*c);
        else if (n > 0 && e->file[n - 1] != '-')
            e->file[n++] = '-';
    }
    while (n > 0 && (e->file[n - 1] == '-' || e->file[n - 1] == '.'))
        n--;
    e->file[n] = '\0';
    for (unsigned number = 2; number < 10000 && name_is_taken(r, e); number++)
        snprintf(e->file + n, sizeof e->file - n, "-%u", number);
}

static bool write_report(const struct report_entry *e, const char *dir, const char *path)
{
    char part[4200], capture[4200];
    FILE *f = begin(path, part, sizeof part);
    if (f == NULL)
        return false;
    fprintf(f, "# %s\n\n", e->title);
    fprintf(f, "| | |\n|---|---|\n| rule | %s%s%s |\n| severity | %s |\n| found by | %s |\n| what is wrong | %s |\n\n",
            e->rule, e->version[0] != '\0' ? " of MQTT " : "", e->version, mqtt_severity_name(e->severity), e->oracle,
            e->why);
    fprintf(f, "Replay: `mqfuzz --replay %s.plan --target HOST:PORT`.", e->file);
    snprintf(capture, sizeof capture, "%s/%s.pcapng", dir, e->file);
    if (access(capture, F_OK) == 0)
        fprintf(f, " The conversation: `%s.pcapng`.", e->file);
    fprintf(f, "\n\n");
    fprintf(f, "## Plan\n\n```\n%s\n```\n\n## What was sent (>) and received (<)\n\n```\n%s```\n",
            e->plan != NULL ? e->plan : "", e->trace != NULL ? e->trace : "");
    return commit(f, part, path);
}

bool report_files(const struct report *r, struct report_entry *e, const char *dir, const struct run *run)
{
    char path[4096], part[4200];
    if (e->file[0] == '\0')
        base_name(r, e);
    snprintf(path, sizeof path, "%s/%s.plan", dir, e->file);
    FILE *f = begin(path, part, sizeof part);
    if (f == NULL)
        return false;
    fprintf(f, "# %s\n# %s\n", e->title, e->why);
    if (e->plan == NULL || strncmp(e->plan, "version ", 8) != 0)
        fprintf(f, "version %s\n", e->version[0] != '\0' ? e->version : "3.1.1");
    fprintf(f, "%s\n", e->plan != NULL ? e->plan : "");
    if (!commit(f, part, path))
        return false;
    if (run != NULL) {
        snprintf(path, sizeof path, "%s/%s.pcapng", dir, e->file);
        f = begin(path, part, sizeof part);
        if (f == NULL || !report_pcapng(run, f) || !commit(f, part, path))
            return false;
    }
    snprintf(path, sizeof path, "%s/%s.md", dir, e->file);
    return write_report(e, dir, path);
}
