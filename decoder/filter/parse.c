/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/filter/parse.c -- from words to a program of tests with two exits each.
 *
 *   filter   = and {or and}            and = not {and not}          not = {not} (( filter ) | relation)
 *   relation = [any|all] sum [compare sum | in set]
 *   sum      = part {& part}           part = product {+- product}  product = factor {* / % factor}
 *   factor   = -factor | { sum } | name(sum, ...) | field | literal, each with slices behind it
 *
 * Recursion is bounded by FILTER_DEPTH_MAX. The program only jumps forward, so asking it ends. */
#include "decoder/filter/parts.h"
#include "decoder/mqtt/topic.h"
#include <string.h>

struct parser {
    struct filter *f;
    struct lexer lexer;
    struct token token; /* the one ahead */
    struct filter_error *error;
    unsigned depth;
    size_t steps_cap;
};

/* A piece of program: where it begins, and its exits not yet led anywhere, as lists through the exits themselves. An
 * exit is 2 * step + result. */
struct piece {
    uint16_t entry;
    uint16_t exits[2];
};

enum { EXIT_NONE = 0xffff, STEPS_MAX = FILTER_TEXT_MAX / 2, ARGUMENTS_MAX = 16, RANGES_MAX = 16 };

static bool fail_at(struct parser *p, const struct token *t, const char *message)
{
    return filter_fail(p->error, t->at, t->len, "%s", message);
}

static bool too_large(struct parser *p)
{
    return fail_at(p, &p->token, "the filter is too large");
}

static bool advance(struct parser *p)
{
    p->token = lex_next(&p->lexer);
    return p->token.kind != TOKEN_BAD;
}

/* The token ahead fits nowhere. */
static bool unexpected(struct parser *p, const char *wanted)
{
    const struct token *t = &p->token;
    if (t->kind == TOKEN_BAD)
        return false;
    if (t->kind == TOKEN_END)
        return filter_fail(p->error, t->at, 0, "the filter ends where %s should stand", wanted);
    return filter_fail(p->error, t->at, t->len, "\"%.*s\" stands where %s should", (int)(t->len < 60 ? t->len : 60),
                       p->lexer.text + t->at, wanted);
}

static bool deeper(struct parser *p)
{
    if (++p->depth > FILTER_DEPTH_MAX)
        return filter_fail(p->error, p->token.at, p->token.len, "nested deeper than %d", FILTER_DEPTH_MAX);
    return true;
}

static struct operand *new_operand(struct parser *p, enum operand_kind kind)
{
    struct operand *o = arena_take(&p->f->arena, sizeof *o);
    if (o == NULL) {
        too_large(p);
        return NULL;
    }
    o->kind = (uint8_t)kind;
    o->at = p->token.at;
    o->len = p->token.len;
    return o;
}

static void stretch(struct operand *o, const struct operand *left, const struct operand *right)
{
    o->at = left->at;
    o->len = right->at + right->len - left->at;
}

/* --- slices --- */

static bool read_number(struct cursor *c, int64_t *number)
{
    bool negative = c->pos < c->end && c->base[c->pos] == '-';
    size_t digits = 0;
    *number = 0;
    for (c->pos += negative; c->pos < c->end && c->base[c->pos] >= '0' && c->base[c->pos] <= '9' && digits < 9;
         digits++)
        *number = *number * 10 + (c->base[c->pos++] - '0');
    if (negative)
        *number = -*number;
    return digits > 0;
}

static void skip_spaces(struct cursor *c)
{
    while (c->pos < c->end && c->base[c->pos] == ' ')
        c->pos++;
}

static bool take_sign(struct cursor *c, char sign)
{
    skip_spaces(c);
    if (c->pos >= c->end || c->base[c->pos] != (uint8_t)sign)
        return false;
    c->pos++;
    skip_spaces(c);
    return true;
}

/* i:n  i-j  i  :n  i: */
static bool read_range(struct cursor *c, struct range *r)
{
    *r = (struct range){ .form = RANGE_LENGTH, .to = 1 };
    skip_spaces(c);
    bool start = read_number(c, &r->from);
    if (take_sign(c, ':')) {
        if (!read_number(c, &r->to)) {
            r->form = RANGE_OPEN;
            return start;
        }
        return r->to > 0;
    }
    if (!start)
        return false;
    if (take_sign(c, '-')) {
        r->form = RANGE_LAST;
        return read_number(c, &r->to) && (r->from < 0) == (r->to < 0) && r->from <= r->to;
    }
    return true;
}

static struct operand *parse_slice(struct parser *p, struct operand *inner)
{
    struct operand *o = new_operand(p, OPERAND_SLICE);
    struct cursor c = cur_over(p->token.text.ptr, p->token.text.len);
    size_t wide = 0;
    if (o == NULL || (o->ranges = arena_take(&p->f->arena, RANGES_MAX * sizeof *o->ranges)) == NULL)
        return too_large(p), NULL;
    do {
        struct range *r = &o->ranges[o->n_ranges];
        if (o->n_ranges == RANGES_MAX || !read_range(&c, r))
            return fail_at(p, &p->token, "not a slice: [i:length] [first-last] [i] [:length] [i:] with commas between"),
                   NULL;
        o->n_ranges++;
        wide += r->form == RANGE_LENGTH ? (size_t)r->to
                : r->form == RANGE_LAST ? (size_t)(r->to - r->from + 1)
                                        : SUBJECT_MAX;
    } while (take_sign(&c, ','));
    skip_spaces(&c);
    if (c.pos < c.end)
        return fail_at(p, &p->token, "not a slice: [i:length] [first-last] [i] [:length] [i:] with commas between"),
               NULL;
    o->left = inner;
    if (o->n_ranges > 1) {
        o->scratch_size = wide < SUBJECT_MAX ? wide : SUBJECT_MAX;
        if ((o->scratch = arena_take(&p->f->arena, o->scratch_size)) == NULL)
            return too_large(p), NULL;
    }
    o->len += o->at - inner->at;
    o->at = inner->at;
    return advance(p) ? o : NULL;
}

/* --- operands --- */

static struct operand *parse_sum(struct parser *p);

struct function {
    const char *name;
    uint8_t kind;
    uint8_t least, most; /* arguments */
};

static const struct function functions[] = {
    { "lower", OPERAND_LOWER, 1, 1 },         { "upper", OPERAND_UPPER, 1, 1 },         { "len", OPERAND_LEN, 1, 1 },
    { "count", OPERAND_COUNT, 1, 1 },         { "string", OPERAND_STRING, 1, 1 },       { "abs", OPERAND_ABS, 1, 1 },
    { "max", OPERAND_MAX, 1, ARGUMENTS_MAX }, { "min", OPERAND_MIN, 1, ARGUMENTS_MAX },
};

static const struct function *find_function(struct view name)
{
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++)
        if (strlen(functions[i].name) == name.len && memcmp(functions[i].name, name.ptr, name.len) == 0)
            return &functions[i];
    return NULL;
}

static struct operand *parse_call(struct parser *p, struct token name)
{
    const struct function *function = find_function(name.text);
    unsigned n = 0;
    if (function == NULL)
        return fail_at(p, &name, "no such function; there are lower upper len count string abs max min"), NULL;
    struct operand *o = new_operand(p, function->kind);
    if (o == NULL || !advance(p))
        return NULL;
    for (struct operand **end = &o->left; p->token.kind != TOKEN_CLOSE; n++) {
        if (n > 0 && (p->token.kind != TOKEN_COMMA || !advance(p)))
            return unexpected(p, "a comma or \")\""), NULL;
        if (n == ARGUMENTS_MAX)
            return fail_at(p, &p->token, "too many arguments"), NULL;
        if ((*end = parse_sum(p)) == NULL)
            return NULL;
        end = &(*end)->next;
    }
    o->at = name.at;
    o->len = p->token.at + p->token.len - name.at;
    if (n < function->least || n > function->most)
        return filter_fail(p->error, o->at, o->len, "%s() takes %s", function->name,
                           function->most == 1 ? "one argument" : "one argument or more"),
               NULL;
    return advance(p) ? o : NULL;
}

/* A field if the table has it, else a literal whose type the other side of the comparison gives. */
static struct operand *parse_word(struct parser *p)
{
    struct token t = p->token;
    if (t.kind == TOKEN_WORD) {
        if (!advance(p))
            return NULL;
        if (p->token.kind == TOKEN_OPEN)
            return parse_call(p, t);
    }
    struct operand *o = new_operand(p, OPERAND_LITERAL);
    if (o == NULL)
        return NULL;
    o->at = t.at;
    o->len = t.len;
    int field = t.kind == TOKEN_WORD ? field_find((const char *)t.text.ptr, t.text.len) : -1;
    if (field >= 0) {
        o->kind = OPERAND_FIELD;
        o->field = (uint16_t)field;
        return o;
    }
    o->plain = true;
    o->token = t.kind;
    o->literal.text = t.text;
    return t.kind == TOKEN_WORD || advance(p) ? o : NULL;
}

static struct operand *parse_factor(struct parser *p)
{
    struct operand *o = NULL;
    if (!deeper(p))
        return NULL;
    if (p->token.kind == TOKEN_MINUS) {
        o = new_operand(p, OPERAND_NEGATE);
        if (o == NULL || !advance(p) || (o->left = parse_factor(p)) == NULL)
            return NULL;
        o->len = o->left->at + o->left->len - o->at;
    } else if (p->token.kind == TOKEN_BRACE) {
        if (!advance(p) || (o = parse_sum(p)) == NULL)
            return NULL;
        if (p->token.kind != TOKEN_UNBRACE || !advance(p))
            return unexpected(p, "\"}\""), NULL;
    } else if (p->token.kind == TOKEN_WORD || p->token.kind == TOKEN_STRING || p->token.kind == TOKEN_CHAR) {
        o = parse_word(p);
    } else {
        return unexpected(p, "a field or value"), NULL;
    }
    while (o != NULL && p->token.kind == TOKEN_SLICE)
        o = parse_slice(p, o);
    p->depth--;
    return o;
}

static struct operand *join(struct parser *p, enum operand_kind kind, struct operand *left, struct operand *right)
{
    struct operand *o = left != NULL && right != NULL ? new_operand(p, kind) : NULL;
    if (o == NULL)
        return NULL;
    o->left = left;
    o->right = right;
    stretch(o, left, right);
    return o;
}

static enum operand_kind sum_kind(enum token_kind kind)
{
    switch (kind) {
    case TOKEN_STAR:
        return OPERAND_MUL;
    case TOKEN_SLASH:
        return OPERAND_DIV;
    case TOKEN_PERCENT:
        return OPERAND_MOD;
    case TOKEN_PLUS:
        return OPERAND_ADD;
    case TOKEN_MINUS:
        return OPERAND_SUB;
    case TOKEN_BITS:
        return OPERAND_BITS;
    default:
        return OPERAND_LITERAL;
    }
}

/* 3: * / %   2: + -   1: &   0: no sign of arithmetic */
static unsigned binding(enum token_kind kind)
{
    switch (sum_kind(kind)) {
    case OPERAND_MUL:
    case OPERAND_DIV:
    case OPERAND_MOD:
        return 3;
    case OPERAND_ADD:
    case OPERAND_SUB:
        return 2;
    case OPERAND_BITS:
        return 1;
    default:
        return 0;
    }
}

/* Operands joined by signs that bind at least as close as `least`. */
static struct operand *parse_level(struct parser *p, unsigned least)
{
    struct operand *left = least > 3 ? parse_factor(p) : parse_level(p, least + 1);
    unsigned joined = 0;
    while (left != NULL && least <= 3 && binding(p->token.kind) == least) {
        enum operand_kind kind = sum_kind(p->token.kind);
        if (p->depth + ++joined > FILTER_DEPTH_MAX) /* a chain is a tree as deep as it is long */
            return fail_at(p, &p->token, "a sum of too many terms"), NULL;
        if (!advance(p))
            return NULL;
        left = join(p, kind, left, parse_level(p, least + 1));
    }
    return left;
}

static struct operand *parse_sum(struct parser *p)
{
    return parse_level(p, 1);
}

/* --- program --- */

static uint16_t *exit_at(struct parser *p, uint16_t exit)
{
    return &p->f->steps[exit / 2].next[exit % 2];
}

static void lead(struct parser *p, uint16_t exits, uint16_t to)
{
    while (exits != EXIT_NONE) {
        uint16_t next = *exit_at(p, exits);
        *exit_at(p, exits) = to;
        exits = next;
    }
}

static uint16_t join_exits(struct parser *p, uint16_t a, uint16_t b)
{
    uint16_t last = a;
    if (a == EXIT_NONE)
        return b;
    while (*exit_at(p, last) != EXIT_NONE)
        last = *exit_at(p, last);
    *exit_at(p, last) = b;
    return a;
}

/* a and b (b decides when a is `on`). The shorter list goes in front, so that long chains stay linear. */
static struct piece chain(struct parser *p, struct piece a, struct piece b, unsigned on)
{
    lead(p, a.exits[on], b.entry);
    struct piece both = { .entry = a.entry };
    both.exits[on] = b.exits[on];
    both.exits[!on] = join_exits(p, b.exits[!on], a.exits[!on]);
    return both;
}

static struct test *new_step(struct parser *p, struct piece *out)
{
    struct filter *f = p->f;
    if (f->n_steps >= p->steps_cap) {
        too_large(p);
        return NULL;
    }
    struct step *s = &f->steps[f->n_steps];
    s->next[0] = s->next[1] = EXIT_NONE;
    out->entry = f->n_steps++;
    out->exits[0] = (uint16_t)(2 * out->entry);
    out->exits[1] = (uint16_t)(2 * out->entry + 1);
    return &s->test;
}

static struct piece negate(struct piece a)
{
    return (struct piece){ .entry = a.entry, .exits = { a.exits[1], a.exits[0] } };
}

/* --- relations --- */

static bool parse_members(struct parser *p, struct test *t)
{
    size_t cap = 0;
    if (p->token.kind != TOKEN_BRACE)
        return unexpected(p, "\"{\"");
    for (size_t i = p->lexer.pos; i < p->lexer.len && p->lexer.text[i] != '}';
         i++) /* no more members than commas and one */
        cap += p->lexer.text[i] == ',';
    if ((t->members = arena_take(&p->f->arena, (cap + 1) * sizeof *t->members)) == NULL)
        return too_large(p);
    do {
        struct member *m = &t->members[t->n_members];
        if (!advance(p) || (m->low = parse_sum(p)) == NULL)
            return unexpected(p, "a value");
        if (p->token.kind == TOKEN_RANGE && (!advance(p) || (m->high = parse_sum(p)) == NULL))
            return unexpected(p, "the end of the range");
        if (t->n_members++ == cap)
            break;
    } while (p->token.kind == TOKEN_COMMA);
    if (p->token.kind != TOKEN_UNBRACE)
        return unexpected(p, "a comma or \"}\"");
    return advance(p);
}

static bool parse_pattern(struct parser *p, struct test *t)
{
    struct token pattern = p->token;
    if (pattern.kind != TOKEN_STRING)
        return unexpected(p,
                          t->compare == COMPARE_TOPIC ? "a topic filter in quotes" : "a regular expression in quotes");
    if (!advance(p))
        return false;
    if (t->compare == COMPARE_MATCHES) {
        t->regex = regex_compile(p->f, &pattern, p->error);
        return t->regex != NULL;
    }
    struct operand *o = new_operand(p, OPERAND_LITERAL);
    if (o == NULL)
        return false;
    o->at = pattern.at;
    o->len = pattern.len;
    o->literal = (struct value){ .type = FIELD_STRING, .text = pattern.text };
    o->type = FIELD_STRING;
    if (topic_check_filter(pattern.text, true).fault != TOPIC_OK)
        return fail_at(p, &pattern, "not a well-formed topic filter");
    if (topic_is_shared(pattern.text))
        o->literal.text = topic_share_filter(pattern.text);
    t->right = o;
    return true;
}

/* A bare word that begins names of fields ("mqtt.violation", "tcp"): present when any of them is. */
static bool is_branch(struct parser *p, struct test *t)
{
    struct operand *o = t->left;
    size_t found = 0;
    if (o->kind != OPERAND_LITERAL || o->token != TOKEN_WORD)
        return false;
    struct field_set *set = arena_take(&p->f->arena, sizeof *set);
    for (unsigned f = 0; set != NULL && f < FIELD_COUNT; f++) {
        const char *name = field_info((enum field)f)->name;
        if (strlen(name) > o->len && memcmp(name, o->literal.text.ptr, o->len) == 0 && name[o->len] == '.') {
            field_set_add(set, (enum field)f);
            found++;
        }
    }
    t->branch = set;
    return found > 0;
}

static bool parse_presence(struct parser *p, struct test *t, bool quantified)
{
    if (quantified)
        return unexpected(p, "a comparison");
    t->compare = COMPARE_PRESENT;
    if (t->left->kind == OPERAND_LITERAL && is_branch(p, t))
        return true;
    return test_check(p->f, t, p->error);
}

static bool parse_relation(struct parser *p, struct piece *out)
{
    bool quantified = p->token.kind == TOKEN_ANY || p->token.kind == TOKEN_ALL;
    bool all = p->token.kind == TOKEN_ALL;
    struct test *t = new_step(p, out);
    if (t == NULL || (quantified && !advance(p)) || (t->left = parse_sum(p)) == NULL)
        return false;
    struct token op = p->token;
    if (op.kind != TOKEN_COMPARE && op.kind != TOKEN_IN && op.kind != TOKEN_NOT_IN)
        return parse_presence(p, t, quantified);
    if (!advance(p))
        return false;
    t->compare = op.compare;
    t->all = quantified ? all : op.all;
    if (quantified && op.quantified)
        return fail_at(p, &op, "any or all is said twice");
    if (op.kind == TOKEN_NOT_IN)
        *out = negate(*out);
    bool ok = t->compare == COMPARE_IN                                       ? parse_members(p, t)
              : t->compare == COMPARE_MATCHES || t->compare == COMPARE_TOPIC ? parse_pattern(p, t)
                                                                             : (t->right = parse_sum(p)) != NULL;
    return ok && test_check(p->f, t, p->error);
}

static bool parse_or(struct parser *p, struct piece *out);

static bool parse_not(struct parser *p, struct piece *out)
{
    bool negated = false;
    for (; p->token.kind == TOKEN_NOT; negated = !negated)
        if (!advance(p))
            return false;
    if (p->token.kind == TOKEN_OPEN) {
        if (!deeper(p) || !advance(p) || !parse_or(p, out))
            return false;
        if (p->token.kind != TOKEN_CLOSE)
            return unexpected(p, "\")\", \"and\" or \"or\"");
        p->depth--;
        if (!advance(p))
            return false;
    } else if (!parse_relation(p, out)) {
        return false;
    }
    if (negated)
        *out = negate(*out);
    return true;
}

static bool parse_and(struct parser *p, struct piece *out)
{
    if (!parse_not(p, out))
        return false;
    while (p->token.kind == TOKEN_AND) {
        struct piece right;
        if (!advance(p) || !parse_not(p, &right))
            return false;
        *out = chain(p, *out, right, 1);
    }
    return true;
}

static bool parse_or(struct parser *p, struct piece *out)
{
    if (!parse_and(p, out))
        return false;
    while (p->token.kind == TOKEN_OR) {
        struct piece right;
        if (!advance(p) || !parse_and(p, &right))
            return false;
        *out = chain(p, *out, right, 0);
    }
    return true;
}

/* Every step needs a word of its own, and every word but the last a space, sign or bracket behind it. */
static size_t count_words(const char *text, size_t len)
{
    size_t n = 1;
    for (size_t i = 0; i + 1 < len; i++)
        n += strchr(" \t\r\n|&()\"", text[i]) != NULL;
    return n < STEPS_MAX ? n : STEPS_MAX;
}

bool parse_filter(struct filter *f, const char *text, size_t len, struct filter_error *error)
{
    struct parser p = { .f = f,
                        .error = error,
                        .lexer = { .text = text, .len = len, .arena = &f->arena, .error = error } };
    struct piece whole;
    f->entry = STEP_ACCEPT;
    if (!advance(&p))
        return false;
    if (p.token.kind == TOKEN_END)
        return true;
    p.steps_cap = count_words(text, len);
    if ((f->steps = arena_take(&f->arena, p.steps_cap * sizeof *f->steps)) == NULL)
        return too_large(&p);
    if (!parse_or(&p, &whole))
        return false;
    if (p.token.kind != TOKEN_END)
        return unexpected(&p, "\"and\", \"or\" or the end");
    lead(&p, whole.exits[1], STEP_ACCEPT);
    lead(&p, whole.exits[0], STEP_REJECT);
    f->entry = whole.entry;
    return true;
}
