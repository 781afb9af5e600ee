/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/decoder/test_docs_rules.c -- docs/rules.md: every rule of the standards, where it is checked and which test
 * shows it, or why it is not. Printed from the tables and from what the sources name; `make docs-tables` writes it,
 * tests/program/documents.py compares. */
#include "decoder/mqtt/tables.h"
#include "decoder/track/track.h"

#include <ctype.h>
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const symbols[MQTT_RULE_COUNT] = {
    "",
#define RULE(sym, version, id, who, level, severity, where, reason, also, statement, fault) #sym,
#include "decoder/mqtt/rules.def"
};

static const char *const remarks[MQTT_RULE_COUNT] = {
#define REMARK(sym, text) [MQTT_##sym] = text,
#define WHY_NOT(sym, text)
#include "decoder/mqtt/remarks.def"
};

static const char *const why_not[MQTT_RULE_COUNT] = {
    [MQTT_RULE_NONE] = "",
#define REMARK(sym, text)
#define WHY_NOT(sym, text) [MQTT_##sym] = text,
#include "decoder/mqtt/remarks.def"
};

static const struct example {
    enum mqtt_rule rule;
    enum mqtt_side sender;
    const char *octets;
    unsigned offset, length;
} examples[] = {
#define CASE(rule, sender, bad, offset, length, neighbour_sender, neighbour)                                           \
    { MQTT_##rule, MQTT_##sender, bad, offset, length },
#include "tests/decoder/rule_cases.def"
};

/* What each written probe of `mqfuzz conform` answers for, in 3.1.1 and in 5.0. */
static const struct {
    const char *v311, *v5;
} probes[] = {
#define PROBE(rule311, rule5, in31, title, script) { rule311, rule5 },
#include "fuzz/campaign/probes.def"
};

static unsigned probes_of(enum mqtt_rule rule)
{
    const struct mqtt_rule_info *info = mqtt_rule_info(rule);
    unsigned n = 0;
    for (size_t i = 0; i < sizeof probes / sizeof *probes; i++)
        n += (info->version == MQTT_V311 && strcmp(probes[i].v311, info->id) == 0) ||
             (info->version == MQTT_V5 && strcmp(probes[i].v5, info->id) == 0);
    return n;
}

/* Which sources name a rule. Files are told by their index; a rule keeps a few. */
enum { FILES_MAX = 200, NAMED_MAX = 6 };

struct naming {
    char *files[FILES_MAX];
    unsigned n;
    struct {
        unsigned char file[NAMED_MAX], n;
    } rules[MQTT_RULE_COUNT];
};

static unsigned rule_of_word(const char *word, size_t len)
{
    static const char prefix[] = "MQTT_";
    if (len > sizeof prefix - 1 && memcmp(word, prefix, sizeof prefix - 1) == 0) {
        word += sizeof prefix - 1;
        len -= sizeof prefix - 1;
    }
    if (len < 5 || (word[0] != 'R' && word[0] != 'S') || !isdigit((unsigned char)word[1]) || word[2] != '_')
        return MQTT_RULE_NONE;
    for (unsigned r = 1; r < MQTT_RULE_COUNT; r++)
        if (strlen(symbols[r]) == len && memcmp(symbols[r], word, len) == 0)
            return r;
    return MQTT_RULE_NONE;
}

static char *read_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        return NULL;
    char *text = NULL;
    size_t len = 0, cap = 0;
    for (;;) {
        if (len + 1 >= cap) {
            cap = cap > 0 ? 2 * cap : 65536;
            char *grown = realloc(text, cap);
            assert_non_null(grown);
            text = grown;
        }
        size_t got = fread(text + len, 1, cap - len - 1, f);
        if (got == 0)
            break;
        len += got;
    }
    fclose(f);
    text[len] = '\0';
    return text;
}

static void name_rule(struct naming *n, unsigned rule, unsigned file)
{
    unsigned named = n->rules[rule].n;
    if (rule == MQTT_RULE_NONE || named == NAMED_MAX || (named > 0 && n->rules[rule].file[named - 1] == file))
        return;
    n->rules[rule].file[named] = (unsigned char)file;
    n->rules[rule].n++;
}

static void scan(struct naming *n, const char *path)
{
    char *text = read_file(path);
    if (text == NULL || n->n == FILES_MAX) {
        free(text);
        return;
    }
    n->files[n->n] = strdup(path);
    for (const char *at = text; *at != '\0';) {
        size_t len = strspn(at, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_abcdefghijklmnopqrstuvwxyz");
        if (len > 0)
            name_rule(n, rule_of_word(at, len), n->n);
        at += len > 0 ? len : 1;
    }
    n->n++;
    free(text);
}

static void scan_all(struct naming *n, const char *const *patterns)
{
    memset(n, 0, sizeof *n);
    for (; *patterns != NULL; patterns++) {
        glob_t found;
        if (glob(*patterns, 0, NULL, &found) == 0)
            for (size_t i = 0; i < found.gl_pathc; i++)
                scan(n, found.gl_pathv[i]);
        globfree(&found);
    }
}

static void naming_done(struct naming *n)
{
    for (unsigned i = 0; i < n->n; i++)
        free(n->files[i]);
}

static const struct example *example_of(unsigned rule)
{
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++)
        if (examples[i].rule == rule)
            return &examples[i];
    return NULL;
}

/* The rule whose verdict names this one as its umbrella, if that one is checked. */
static unsigned told_by(const struct naming *code, unsigned rule)
{
    const struct mqtt_rule_info *info = mqtt_rule_info((enum mqtt_rule)rule);
    for (unsigned r = 1; r < MQTT_RULE_COUNT; r++) {
        const struct mqtt_rule_info *other = mqtt_rule_info((enum mqtt_rule)r);
        if (other->version == info->version && strcmp(other->also, info->id) == 0 && code->rules[r].n > 0)
            return r;
    }
    return MQTT_RULE_NONE;
}

static const char *class_name(unsigned where)
{
    static const char *const names[] = { "packet", "session", "broker probe", "client probe", "not visible" };
    return names[where];
}

static void print_files(FILE *out, const struct naming *n, unsigned rule)
{
    for (unsigned i = 0; i < n->rules[rule].n; i++)
        fprintf(out, "%s`%s`", i > 0 ? ", " : "", n->files[n->rules[rule].file[i]]);
}

static void print_example(FILE *out, const struct example *e)
{
    fprintf(out, "%s sends `%.71s%s`, wrong at %u", mqtt_side_name(e->sender), e->octets,
            strlen(e->octets) > 71 ? "..." : "", e->offset);
    if (e->length > 0)
        fprintf(out, "+%u", e->length);
    else
        fprintf(out, " (missing)");
}

/* Where it is checked, or why not. */
static void print_check(FILE *out, const struct naming *code, unsigned rule)
{
    const struct mqtt_rule_info *info = mqtt_rule_info((enum mqtt_rule)rule);
    unsigned umbrella_of = told_by(code, rule), asked = probes_of((enum mqtt_rule)rule);
    if (asked > 0)
        fprintf(out, "`mqfuzz conform` (%u)%s", asked, code->rules[rule].n > 0 ? ", " : "");
    if (code->rules[rule].n > 0)
        print_files(out, code, rule);
    else if (umbrella_of != MQTT_RULE_NONE)
        fprintf(out, "%stold with `%s`", asked > 0 ? ", " : "", mqtt_rule_info((enum mqtt_rule)umbrella_of)->id);
    else if (why_not[rule] != NULL)
        fprintf(out, "%snot checked: %s", asked > 0 ? ", " : "", why_not[rule]);
    else if (asked > 0)
        return;
    else if (info->where == MQTT_WHERE_PROBE || info->where == MQTT_WHERE_CLIENT_PROBE)
        fprintf(out, "needs an active tester");
    else if (info->where == MQTT_WHERE_NONE)
        fprintf(out, "cannot be seen from outside");
    else
        fprintf(out, "not checked");
}

static void print_row(FILE *out, const struct naming *code, const struct naming *tests, unsigned rule)
{
    const struct mqtt_rule_info *info = mqtt_rule_info((enum mqtt_rule)rule);
    const struct example *example = example_of(rule);
    fprintf(out, "| `%s` | %s", info->id, info->statement);
    if (remarks[rule] != NULL)
        fprintf(out, ". *%s.*", remarks[rule]);
    fprintf(out, " | %s | ", class_name(info->where));
    if (info->where <= MQTT_WHERE_SESSION || code->rules[rule].n > 0) {
        fprintf(out, "%s", mqtt_severity_name(info->severity));
        if (info->reason != 0)
            fprintf(out, ", 0x%02X", info->reason);
    }
    fprintf(out, " | ");
    print_check(out, code, rule);
    fprintf(out, " | ");
    if (example != NULL)
        print_example(out, example);
    else
        print_files(out, tests, rule);
    fprintf(out, " |\n");
}

static void print_section(FILE *out, const struct naming *code, const struct naming *tests, unsigned version,
                          const char *prefix, const char *title)
{
    fprintf(out, "\n## %s\n\n", title);
    fprintf(out, "| rule | what it asks | class | severity, reason | checked in | shown by |\n");
    fprintf(out, "|---|---|---|---|---|---|\n");
    for (unsigned r = 1; r < MQTT_RULE_COUNT; r++) {
        const struct mqtt_rule_info *info = mqtt_rule_info((enum mqtt_rule)r);
        if (info->version == version && strncmp(info->id, prefix, strlen(prefix)) == 0)
            print_row(out, code, tests, r);
    }
}

static void print_counts(FILE *out, const struct naming *code)
{
    static const unsigned versions[] = { MQTT_V31, MQTT_V311, MQTT_V5 };
    fprintf(out, "| version | rules | packet | checked | session | checked | probe | not visible |\n");
    fprintf(out, "|---|---|---|---|---|---|---|---|\n");
    for (size_t v = 0; v < sizeof versions / sizeof *versions; v++) {
        unsigned all = 0, of[5] = { 0 }, checked[5] = { 0 };
        for (unsigned r = 1; r < MQTT_RULE_COUNT; r++) {
            const struct mqtt_rule_info *info = mqtt_rule_info((enum mqtt_rule)r);
            if (info->version != versions[v])
                continue;
            all++;
            of[info->where]++;
            checked[info->where] += code->rules[r].n > 0 || told_by(code, r) != MQTT_RULE_NONE;
        }
        fprintf(out, "| %s | %u | %u | %u | %u | %u | %u | %u |\n", mqtt_version_name(versions[v]), all, of[0],
                checked[0], of[1], checked[1], of[2] + of[3], of[4]);
    }
}

static const char introduction[] =
    "<!-- Printed by `make docs-tables`; a test compares. Edit decoder/mqtt/rules.def and remarks.def instead. -->\n"
    "# Rules\n"
    "\n"
    "Every statement of MQTT 3.1.1 and 5.0, the rules the two standards state without a number (ids `S4-`, `S5-`), and "
    "what is\n"
    "particular to MQTT 3.1 (`S3-`), all in our words. The same number means different things in the two standards, so "
    "a\n"
    "verdict always names the version.\n"
    "\n"
    "- **packet**: one packet, its direction and its version decide. *Shown by* is a packet that breaks the rule; the "
    "tests\n"
    "  hold it (`tests/decoder/rule_cases.def`) with a neighbour that does not, and more of them for most rules.\n"
    "- **session**: needs other packets of the connection or session, times or the closing.\n"
    "- **broker probe**, **client probe**: needs an active tester, because it concerns other clients, stored state or "
    "the\n"
    "  reaction to an illegal stimulus. `mqdump` judges the part of them that a capture happens to show.\n"
    "  `mqfuzz conform` asks a broker; the number is that of the probes written by hand. For most rules of class "
    "packet\n"
    "  the mutator makes one more (`mqfuzz conform --list`).\n"
    "- **not visible**: storage or capability that no octet on the wire tells of.\n"
    "- *Told with* another rule: one octet can break several statements; the verdict is given once, under the most "
    "specific\n"
    "  one, and names this one beside it.\n"
    "- The reason is the 5.0 reason code for the side that broke the rule: the one the standard names, else 0x81 where "
    "the\n"
    "  packet cannot be parsed and 0x82 where it can.\n"
    "- In *italics*: what keeps a passive checker from a false accusation.\n"
    "\n";

/* What -z findings, -T eve and the screen name beside the statements. */
static void print_diagnoses(FILE *out)
{
    fprintf(out, "## Findings that are no statement's\n\nWhat the course of a connection shows, right or wrong; `-z "
                 "findings`, `mqtt_finding.name` of "
                 "`-T eve` and `--fail-on` know them by these\nnames. The severity is the usual one.\n\n| name | "
                 "severity | what it means |\n|---|---|---|\n");
    for (unsigned d = TRACK_DIAG_NONE + 1; d < TRACK_DIAG_COUNT; d++) {
        const struct track_diag_info *info = track_diag_info(d);
        fprintf(out, "| `%s` | %s | %s |\n", info->name, mqtt_severity_name(info->severity), info->meaning);
    }
}

static char *render(void)
{
    static const char *const code_patterns[] = { "decoder/mqtt/*.c", "decoder/mqtt/prop_rules.def", "decoder/track/*.c",
                                                 "decoder/track/*.def", NULL };
    static const char *const test_patterns[] = { "tests/decoder/test_*.c", "tests/decoder/*.def",
                                                 "tests/capture/test_*.c", NULL };
    static struct naming code, tests;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    scan_all(&code, code_patterns);
    scan_all(&tests, test_patterns);
    fputs(introduction, out);
    print_counts(out, &code);
    print_section(out, &code, &tests, MQTT_V31, "S3", "MQTT 3.1");
    print_section(out, &code, &tests, MQTT_V311, "MQTT", "MQTT 3.1.1, numbered statements");
    print_section(out, &code, &tests, MQTT_V311, "S4", "MQTT 3.1.1, rules without a number");
    print_section(out, &code, &tests, MQTT_V5, "MQTT", "MQTT 5.0, numbered statements");
    print_section(out, &code, &tests, MQTT_V5, "S5", "MQTT 5.0, rules without a number");
    print_diagnoses(out);
    fclose(out);
    naming_done(&code);
    naming_done(&tests);
    return text;
}

/* What one packet shows must be checked; what is left out of the rest has a reason. */
static void no_packet_rule_is_unchecked(void **state)
{
    (void)state;
    static const char *const patterns[] = { "decoder/mqtt/*.c", "decoder/mqtt/prop_rules.def", NULL };
    static struct naming code;
    unsigned missing = 0;
    scan_all(&code, patterns);
    for (unsigned r = 1; r < MQTT_RULE_COUNT; r++)
        if (mqtt_rule_info((enum mqtt_rule)r)->where == MQTT_WHERE_PACKET && code.rules[r].n == 0 &&
            told_by(&code, r) == MQTT_RULE_NONE) {
            print_error("%s is checked nowhere\n", symbols[r]);
            missing++;
        }
    naming_done(&code);
    assert_int_equal(missing, 0);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--print") == 0) {
        char *text = render();
        int failed = fputs(text, stdout) == EOF || fflush(stdout) == EOF;
        free(text);
        return failed;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_packet_rule_is_unchecked),
    };
    return cmocka_run_group_tests_name("docs/rules.md", tests, NULL, NULL);
}
