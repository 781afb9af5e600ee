/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/options_values.c -- the arguments of options. */
#include "capture/options_parts.h"

#include <string.h>

bool options_fault(struct parsing *p, const char *what, const char *word)
{
    struct out o = out_over(p->error, OPTIONS_ERROR - 1);
    out_text(&o, what);
    if (word[0] != '\0') {
        out_text(&o, " '");
        out_terminal_cut(&o, view_of(word, strlen(word)), 80);
        out_char(&o, '\'');
    }
    p->error[o.len] = '\0';
    return false;
}

/* Digits alone; false when there are none, others, or too many. */
static bool digits(const char *text, size_t len, uint64_t *number)
{
    uint64_t n = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned digit = (unsigned)(unsigned char)text[i] - '0';
        if (digit > 9 || n > (UINT64_MAX - digit) / 10)
            return false;
        n = 10 * n + digit;
    }
    *number = n;
    return len > 0;
}

bool options_number(struct parsing *p, const char *option, const char *value, uint64_t least, uint64_t most,
                    uint64_t *number)
{
    char what[160];
    struct out o = out_over(what, sizeof what - 1);
    if (digits(value, strlen(value), number) && *number >= least && *number <= most)
        return true;
    out_text(&o, option);
    out_text(&o, " wants a number from ");
    out_uint(&o, least);
    if (most != UINT64_MAX) {
        out_text(&o, " to ");
        out_uint(&o, most);
    } else {
        out_text(&o, " on");
    }
    out_text(&o, ", not");
    what[o.len] = '\0';
    return options_fault(p, what, value);
}

/* tcp.port==1883,mqtt and tcp.port==1883-1890,mqtt */
bool options_decode_as(struct parsing *p, const char *value)
{
    static const char head[] = "tcp.port==";
    struct options *o = p->o;
    uint64_t from, to;
    const char *comma = strchr(value, ',');
    if (strncmp(value, head, sizeof head - 1) != 0 || comma == NULL || strcmp(comma, ",mqtt") != 0)
        return options_fault(p, "-d wants tcp.port==N,mqtt or tcp.port==N-M,mqtt, not", value);
    const char *ports = value + sizeof head - 1, *dash = memchr(ports, '-', (size_t)(comma - ports));
    const char *first_end = dash != NULL ? dash : comma, *last = dash != NULL ? dash + 1 : ports;
    if (!digits(ports, (size_t)(first_end - ports), &from) || !digits(last, (size_t)(comma - last), &to) || from < 1 ||
        to > 65535 || from > to)
        return options_fault(p, "-d: ports are numbers from 1 to 65535, not", value);
    if (to - from >= OPTIONS_PORTS - o->input.n_mqtt_ports)
        return options_fault(p, "-d: more than 1024 ports", value);
    for (; from <= to; from++)
        o->ports[o->input.n_mqtt_ports++] = (uint16_t)from;
    return true;
}

/* tls.keylog_file:FILE */
bool options_preference(struct parsing *p, const char *value)
{
    static const char key_log[] = "tls.keylog_file:";
    size_t n = sizeof key_log - 1;
    if (strncmp(value, key_log, n) != 0 || value[n] == '\0')
        return options_fault(p, "-o wants tls.keylog_file:FILE, not", value);
    p->o->input.key_log = value + n;
    return true;
}

/* A number of octets, K, M or G behind it allowed. */
static bool size_of(const char *text, uint64_t *size)
{
    size_t len = strlen(text);
    uint64_t unit = 1;
    if (len > 0 && strchr("KkMmGg", text[len - 1]) != NULL) {
        unit = text[len - 1] == 'K' || text[len - 1] == 'k'   ? 1024
               : text[len - 1] == 'M' || text[len - 1] == 'm' ? 1048576
                                                              : 1073741824;
        len--;
    }
    if (!digits(text, len, size) || *size > UINT64_MAX / unit)
        return false;
    *size *= unit;
    return true;
}

bool options_memory(struct parsing *p, const char *value)
{
    uint64_t size = 0;
    if (!size_of(value, &size) || size < 8 * 1048576)
        return options_fault(p, "--max-memory wants a size of at least 8M, as in 512M or 2G, not", value);
    p->o->input.budget = pipeline_budget_of(size);
    return true;
}

/* KEY:NUMBER of --budget: the number, K, M or G behind it allowed, if the key is this one. */
static bool share(const char *value, const char *key, uint64_t most, uint64_t *number)
{
    size_t len = strlen(key);
    return strncmp(value, key, len) == 0 && value[len] == ':' && size_of(value + len + 1, number) && *number > 0 &&
           *number <= most;
}

bool options_budget(struct parsing *p, const char *value)
{
    struct pipeline_budget *b = &p->o->budget;
    uint64_t n;
    if (share(value, "connections", UINT32_MAX, &n))
        b->flows = (uint32_t)n;
    else if (share(value, "flow-order", UINT32_MAX, &n))
        b->flow_order = (uint32_t)n;
    else if (share(value, "order", UINT64_MAX, &n))
        b->total_order = n;
    else if (share(value, "packet", UINT32_MAX, &n))
        b->packet = (uint32_t)n;
    else if (share(value, "packets", UINT64_MAX, &n))
        b->total_packet = n;
    else if (share(value, "tracker", UINT64_MAX, &n))
        b->tracker = n;
    else if (share(value, "idle", UINT32_MAX, &n))
        b->idle_s = (uint32_t)n;
    else
        return options_fault(p,
                             "--budget wants connections:N, order:SIZE, flow-order:SIZE, packet:SIZE, packets:SIZE, "
                             "tracker:SIZE or idle:SECONDS, not",
                             value);
    return true;
}

/* What --budget names stands, whatever --max-memory makes of the rest. */
void options_merge_budget(struct options *o)
{
    const struct pipeline_budget *b = &o->budget;
    struct pipeline_budget *to = &o->input.budget;
    to->flows = b->flows > 0 ? b->flows : to->flows;
    to->flow_order = b->flow_order > 0 ? b->flow_order : to->flow_order;
    to->total_order = b->total_order > 0 ? b->total_order : to->total_order;
    to->packet = b->packet > 0 ? b->packet : to->packet;
    to->total_packet = b->total_packet > 0 ? b->total_packet : to->total_packet;
    to->tracker = b->tracker > 0 ? b->tracker : to->tracker;
    to->idle_s = b->idle_s > 0 ? b->idle_s : to->idle_s;
}

/* KEY:NUMBER of -a and -b: the number, if the key is this one. */
static bool condition(const char *value, const char *key, uint64_t *number)
{
    size_t len = strlen(key);
    return strncmp(value, key, len) == 0 && value[len] == ':' &&
           digits(value + len + 1, strlen(value + len + 1), number) && *number > 0 && *number <= UINT32_MAX;
}

bool options_ring(struct parsing *p, const char *value)
{
    struct pipeline_record *r = &p->o->input.record;
    uint64_t n;
    if (condition(value, "filesize", &n))
        r->ring_kb = n;
    else if (condition(value, "duration", &n))
        r->ring_s = (uint32_t)n;
    else if (condition(value, "files", &n))
        r->ring_files = (uint32_t)n;
    else if (condition(value, "packets", &n))
        r->ring_packets = (uint32_t)n;
    else
        return options_fault(p, "-b wants filesize:KB, duration:SECONDS, packets:FRAMES or files:N, not", value);
    return true;
}

bool options_autostop(struct parsing *p, const char *value)
{
    struct pipeline_options *input = &p->o->input;
    uint64_t n;
    if (condition(value, "duration", &n))
        input->stop_after_s = (uint32_t)n;
    else if (condition(value, "packets", &n))
        input->stop_after_frames = n;
    else if (condition(value, "filesize", &n))
        input->record.stop_kb = n;
    else if (condition(value, "files", &n))
        input->record.stop_files = (uint32_t)n;
    else
        return options_fault(p, "-a wants duration:SECONDS, filesize:KB, files:N or packets:FRAMES, not", value);
    return true;
}

const char *options_choices(enum option_id option)
{
    switch (option) {
    case OPTION_FORMAT:
        return "text fields json eve";
    case OPTION_TIME:
        return "a ad d dd e r u ud"; /* in the order of enum show_time */
    case OPTION_COLOR:
        return "auto always never";
    case OPTION_FAIL_ON:
        return "note warning error";
    case OPTION_LIST_FIELDS:
        return "fields";
    case OPTION_COMPLETION:
        return "bash zsh fish";
    default:
        return NULL;
    }
}

/* Place of the value among the choices of its option; -1, with the error set, if it is none of them. */
static int place(struct parsing *p, enum option_id option, const char *value)
{
    const char *choices = options_choices(option);
    size_t len = strlen(value);
    int at = 0;
    for (const char *word = choices; *word != '\0'; at++) {
        size_t word_len = strcspn(word, " ");
        if (word_len == len && memcmp(word, value, len) == 0)
            return at;
        word += word_len + (word[word_len] == ' ');
    }
    char what[160];
    snprintf(what, sizeof what, "%s%s%s wants one of %s, not", option_table[option].letter != '\0' ? "-" : "--",
             option_table[option].letter != '\0' ? (char[]){ option_table[option].letter, '\0' }
                                                 : option_table[option].name,
             "", choices);
    options_fault(p, what, value);
    return -1;
}

bool options_format(struct parsing *p, const char *value)
{
    int at = place(p, OPTION_FORMAT, value);
    p->o->format = (enum options_format)(at > 0 ? at : 0);
    return at >= 0;
}

bool options_field(struct parsing *p, const char *value)
{
    int field = field_find(value, strlen(value));
    char what[160];
    struct out o = out_over(what, sizeof what - 1);
    if (field >= 0)
        return show_columns_add(&p->o->columns, (enum field)field) || options_fault(p, "-e: too many fields at", value);
    const char *near = field_nearest(value, strlen(value));
    out_text(&o, "-e: ");
    if (near != NULL) {
        out_text(&o, "did you mean ");
        out_text(&o, near);
        out_text(&o, "? ");
    }
    out_text(&o, "-G fields lists all fields; there is no");
    what[o.len] = '\0';
    return options_fault(p, what, value);
}

/* One character, or /t, /s, // as tshark spells tab, space and slash. */
static bool character(const char *value, size_t len, char *to)
{
    if (len == 2 && value[0] == '/') {
        *to = value[1] == 't' ? '\t' : value[1] == 's' ? ' ' : value[1];
        return value[1] == 't' || value[1] == 's' || value[1] == '/';
    }
    *to = value[0];
    return len == 1 && value[0] >= ' ' && value[0] != 0x7f;
}

static bool one_of(const char *value, size_t len, const char *letters)
{
    return len == 1 && strchr(letters, value[0]) != NULL;
}

static bool column_setting(struct show_columns *c, const char *key, size_t key_len, const char *value, size_t len)
{
    char letter = len > 0 ? value[0] : '\0';
    if (key_len == 6 && memcmp(key, "header", 6) == 0 && one_of(value, len, "yn"))
        c->header = letter == 'y';
    else if (key_len == 9 && memcmp(key, "separator", 9) == 0)
        return len > 0 && character(value, len, &c->separator);
    else if (key_len == 10 && memcmp(key, "aggregator", 10) == 0)
        return len > 0 && character(value, len, &c->aggregator);
    else if (key_len == 10 && memcmp(key, "occurrence", 10) == 0 && one_of(value, len, "fla"))
        c->occurrence = letter;
    else if (key_len == 5 && memcmp(key, "quote", 5) == 0 && one_of(value, len, "dsn"))
        c->quote = letter == 'd' ? '"' : letter == 's' ? '\'' : '\0';
    else
        return false;
    return true;
}

/* KEY=VALUE,KEY=VALUE: a comma right behind = is a value itself (separator=,). */
bool options_columns(struct parsing *p, const char *value)
{
    const char *at = value;
    while (*at != '\0') {
        size_t key = strcspn(at, "="), len;
        if (at[key] != '=')
            break;
        const char *from = at + key + 1;
        len = *from == ',' ? 1 : strcspn(from, ",");
        if (!column_setting(&p->o->columns, at, key, from, len))
            break;
        at = from + len;
        if (*at == ',')
            at++;
    }
    if (*at == '\0' && at != value)
        return true;
    return options_fault(p, "-E wants header=y|n, separator=C, occurrence=f|l|a, aggregator=C, quote=d|s|n; not", at);
}

bool options_time(struct parsing *p, const char *value)
{
    int at = place(p, OPTION_TIME, value);
    p->o->style.time = (uint8_t)(at > 0 ? at : 0);
    return at >= 0;
}

bool options_color(struct parsing *p, const char *value)
{
    int at = place(p, OPTION_COLOR, value);
    p->o->color = (enum options_color)(at > 0 ? at : 0);
    return at >= 0;
}

bool options_severity(struct parsing *p, const char *value)
{
    int at = place(p, OPTION_FAIL_ON, strcmp(value, "warn") == 0 ? "warning" : value);
    p->o->fail_on = (uint8_t)(at >= 0 ? MQTT_SEVERITY_NOTE + at : MQTT_SEVERITY_NONE);
    return at >= 0;
}

bool options_shell(struct parsing *p, const char *value)
{
    p->o->shell = value;
    return place(p, OPTION_COMPLETION, value) >= 0;
}
