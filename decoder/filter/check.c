/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/filter/check.c -- types: every operand gets one, literals take that of the other side, what makes no sense is
 * refused with the words at fault. Recursion follows the operands, whose depth the parser bounds. */
#include "decoder/filter/parts.h"
#include <string.h>

struct checker {
    struct filter *f;
    struct test *t;
    struct filter_error *error;
};

static const char *type_name(unsigned type)
{
    switch (type) {
    case FIELD_NONE:
        return "only there or not";
    case FIELD_UINT:
        return "a number";
    case FIELD_BOOL:
        return "true or false";
    case FIELD_STRING:
    case FIELD_TEXT:
        return "text";
    case FIELD_BYTES:
        return "octets";
    case FIELD_IPV4:
        return "an IPv4 address";
    case FIELD_IPV6:
        return "an IPv6 address";
    case FIELD_TIME:
        return "a time";
    default:
        return "unknown";
    }
}

static bool is_text(unsigned type)
{
    return type == FIELD_STRING || type == FIELD_TEXT;
}

static bool is_number(unsigned type)
{
    return type == FIELD_UINT || type == FIELD_BOOL || type == FIELD_TIME;
}

static bool is_octets(unsigned type)
{
    return is_text(type) || type == FIELD_BYTES || type == FIELD_IPV4 || type == FIELD_IPV6;
}

static bool wrong(struct checker *c, const struct operand *o, const char *message)
{
    return filter_fail(c->error, o->at, o->len, "%s", message);
}

static bool needs(struct checker *c, bool met, const struct operand *o, const char *message)
{
    if (!met)
        wrong(c, o, message);
    return met;
}

/* Does every leaf of the operand stand for itself, so that the other side has to give its type? */
static bool is_literal(const struct operand *o)
{
    switch (o->kind) {
    case OPERAND_LITERAL:
        return true;
    case OPERAND_NEGATE:
        return is_literal(o->left);
    case OPERAND_ADD:
    case OPERAND_SUB:
    case OPERAND_MUL:
    case OPERAND_DIV:
    case OPERAND_MOD:
    case OPERAND_BITS:
        return is_literal(o->left) && is_literal(o->right);
    default:
        return false;
    }
}

static bool unknown_word(struct checker *c, const struct operand *o)
{
    const char *word = (const char *)o->literal.text.ptr;
    size_t len = o->literal.text.len < 60 ? o->literal.text.len : 60;
    const char *near = o->token == TOKEN_WORD ? field_nearest(word, o->literal.text.len) : NULL;
    if (o->token != TOKEN_WORD)
        return wrong(c, o, "the left side must be a field or function, not a value");
    if (near != NULL)
        return filter_fail(c->error, o->at, o->len, "\"%.*s\" is no field; did you mean %s?", (int)len, word, near);
    return filter_fail(c->error, o->at, o->len, "\"%.*s\" is no field (-G fields lists them all)", (int)len, word);
}

static bool check_field(struct checker *c, struct operand *o)
{
    if (c->t->n_leaves == FILTER_LEAVES_MAX)
        return wrong(c, o, "too many fields in one comparison");
    o->type = field_info((enum field)o->field)->type;
    o->leaf = c->t->n_leaves++;
    c->t->leaves[o->leaf] = o->field;
    values_want(c->f, o->field);
    return true;
}

static bool check_operand(struct checker *c, struct operand *o, unsigned wanted, int field);

/* count() max() min(): over all values of the fields they are given, which are no leaves of the comparison. */
static bool check_gather(struct checker *c, struct operand *o)
{
    for (struct operand *a = o->left; a != NULL; a = a->next) {
        if (a->kind == OPERAND_LITERAL && o->kind == OPERAND_COUNT)
            return unknown_word(c, a);
        if (a->kind == OPERAND_LITERAL) {
            if (!literal_convert(a, FIELD_UINT, -1, &c->f->arena, c->error))
                return false;
            continue;
        }
        if (a->kind != OPERAND_FIELD)
            return wrong(
                c, a, o->kind == OPERAND_COUNT ? "count() takes a field" : "max() and min() take fields and numbers");
        a->type = field_info((enum field)a->field)->type;
        if (o->kind != OPERAND_COUNT && a->type != FIELD_UINT)
            return wrong(c, a, "not a number");
        values_want(c->f, a->field);
    }
    o->type = FIELD_UINT;
    return true;
}

static bool check_call(struct checker *c, struct operand *o)
{
    struct operand *a = o->left;
    if (is_literal(a))
        return a->kind == OPERAND_LITERAL && a->token == TOKEN_WORD ? unknown_word(c, a) : wrong(c, a, "not a field");
    if (!check_operand(c, a, FIELD_NONE, -1))
        return false;
    o->type = FIELD_UINT;
    switch (o->kind) {
    case OPERAND_LOWER:
    case OPERAND_UPPER:
        o->type = FIELD_STRING;
        return needs(c, is_text(a->type), a, "lower() and upper() take text");
    case OPERAND_LEN:
        return needs(c, is_text(a->type) || a->type == FIELD_BYTES, a, "len() takes text or octets");
    case OPERAND_ABS:
        return needs(c, a->type == FIELD_UINT, a, "abs() takes a number");
    default: /* STRING */
        o->type = FIELD_STRING;
        o->scratch_size = 64;
        o->scratch = arena_take(&c->f->arena, o->scratch_size);
        if (o->scratch == NULL)
            return wrong(c, o, "the filter is too large");
        return needs(c, is_number(a->type) || a->type == FIELD_IPV4 || a->type == FIELD_IPV6, a,
                     "string() takes a number or an address");
    }
}

static bool check_arithmetic(struct checker *c, struct operand *o, unsigned wanted, int field)
{
    unsigned type = is_number(wanted) ? wanted : FIELD_UINT;
    if (o->right != NULL && is_literal(o->left) && !is_literal(o->right)) {
        if (!check_operand(c, o->right, FIELD_NONE, -1))
            return false;
        type = o->right->type;
    }
    if (!check_operand(c, o->left, type, field))
        return false;
    if (o->right != NULL && o->right->type == FIELD_NONE && !check_operand(c, o->right, o->left->type, field))
        return false;
    o->type = o->left->type;
    if (o->left->type != FIELD_UINT && o->left->type != FIELD_TIME)
        return wrong(c, o->left, "arithmetic takes numbers");
    if (o->right != NULL && o->right->type != FIELD_UINT && o->right->type != FIELD_TIME)
        return wrong(c, o->right, "arithmetic takes numbers");
    return true;
}

/* Gives the operand and all below it their types; literals become `wanted`, with the value names of `field`. */
static bool check_operand(struct checker *c, struct operand *o, unsigned wanted, int field)
{
    switch (o->kind) {
    case OPERAND_LITERAL:
        return literal_convert(o, wanted, field, &c->f->arena, c->error);
    case OPERAND_FIELD:
        return check_field(c, o);
    case OPERAND_SLICE:
        if (is_literal(o->left))
            return unknown_word(c, o->left);
        o->type = FIELD_BYTES;
        if (!check_operand(c, o->left, FIELD_NONE, -1))
            return false;
        if (!is_octets(o->left->type))
            return filter_fail(c->error, o->left->at, o->left->len, "%s has no octets to slice",
                               type_name(o->left->type));
        return true;
    case OPERAND_COUNT:
    case OPERAND_MAX:
    case OPERAND_MIN:
        return check_gather(c, o);
    case OPERAND_LOWER:
    case OPERAND_UPPER:
    case OPERAND_LEN:
    case OPERAND_STRING:
    case OPERAND_ABS:
        return check_call(c, o);
    default:
        return check_arithmetic(c, o, wanted, field);
    }
}

static bool compatible(unsigned a, unsigned b)
{
    if (is_number(a) && is_number(b))
        return (a == FIELD_TIME) == (b == FIELD_TIME);
    return a == b || (is_text(a) && is_text(b));
}

/* The other side of a comparison: a literal takes the type of the left one, anything else must have a fitting one. */
static bool check_right(struct checker *c, struct operand *right)
{
    const struct operand *left = c->t->left;
    int field = left->kind == OPERAND_FIELD ? left->field : -1;
    if (!check_operand(c, right, left->type, field))
        return false;
    if (right->type == FIELD_NONE)
        return wrong(c, right, "this field is only there or not; it has no value");
    if (c->t->compare == COMPARE_CONTAINS && is_octets(right->type)) /* the left side has octets, too */
        return true;
    if (!compatible(left->type, right->type))
        return filter_fail(c->error, right->at, right->len, "cannot compare: the left side is %s, this is %s",
                           type_name(left->type), type_name(right->type));
    return true;
}

static bool check_presence(struct checker *c)
{
    struct test *t = c->t;
    struct operand *o = t->left;
    if (o->kind == OPERAND_LITERAL)
        return unknown_word(c, o);
    if (!check_operand(c, o, FIELD_NONE, -1))
        return false;
    if (o->kind == OPERAND_BITS)
        t->compare = COMPARE_TRUE;
    return needs(c, o->kind == OPERAND_FIELD || o->kind == OPERAND_SLICE || o->kind == OPERAND_BITS, o,
                 "a comparison should follow: functions and sums are always there");
}

static bool check_members(struct checker *c)
{
    for (unsigned i = 0; i < c->t->n_members; i++) {
        const struct member *m = &c->t->members[i];
        if (!check_right(c, m->low) || (m->high != NULL && !check_right(c, m->high)))
            return false;
        if (m->high != NULL && (m->low->literal.bits != 0 || m->high->literal.bits != 0))
            return wrong(c, m->low, "a range of networks is not a range");
    }
    return true;
}

static bool check_text_operator(struct checker *c)
{
    struct test *t = c->t;
    struct operand *left = t->left;
    bool octets = is_text(left->type) || left->type == FIELD_BYTES;
    if (t->compare == COMPARE_TOPIC && !is_text(left->type))
        return wrong(c, left, "mqtt_match takes a field with topics");
    if (!octets)
        return filter_fail(c->error, left->at, left->len, "\"%s\" looks into text and octets; this is %s",
                           t->compare == COMPARE_MATCHES ? "matches" : "contains", type_name(left->type));
    if (t->compare == COMPARE_CONTAINS)
        return check_right(c, t->right);
    if (left->kind == OPERAND_LOWER || left->kind == OPERAND_UPPER || left->kind == OPERAND_SLICE) {
        t->subject = arena_take(&c->f->arena, SUBJECT_MAX);
        return needs(c, t->subject != NULL, left, "the filter is too large");
    }
    return true;
}

bool test_check(struct filter *f, struct test *t, struct filter_error *error)
{
    struct checker c = { .f = f, .t = t, .error = error };
    if (t->compare == COMPARE_PRESENT)
        return check_presence(&c);
    if (is_literal(t->left))
        return unknown_word(&c, t->left);
    if (!check_operand(&c, t->left, FIELD_NONE, -1))
        return false;
    if (t->left->type == FIELD_NONE)
        return wrong(&c, t->left, "this field is only there or not; it has no value");
    if (t->compare == COMPARE_CONTAINS || t->compare == COMPARE_MATCHES || t->compare == COMPARE_TOPIC)
        return check_text_operator(&c);
    return t->compare == COMPARE_IN ? check_members(&c) : check_right(&c, t->right);
}
