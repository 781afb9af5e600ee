/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/filter/operand.c -- one side of a comparison for one choice of field values: slices, functions, arithmetic.
 * Recursion follows the operands, whose depth the parser bounds. */
#include "decoder/filter/parts.h"
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>

/* --- slices --- */

/* The octets a range takes of `len`. False: it reaches beyond them. */
static bool range_place(const struct range *r, size_t len, size_t *from, size_t *n)
{
    int64_t all = (int64_t)len;
    int64_t first = r->from < 0 ? all + r->from : r->from;
    int64_t last = r->to < 0 ? all + r->to : r->to;
    int64_t count = r->form == RANGE_OPEN ? all - first : r->form == RANGE_LAST ? last - first + 1 : r->to;
    if (first < 0 || first >= all || count <= 0 || count > all - first)
        return false;
    *from = (size_t)first;
    *n = (size_t)count;
    return true;
}

static bool slice(const struct operand *o, const struct value *v, struct value *out)
{
    size_t from, n, used = 0;
    *out = (struct value){ .type = FIELD_BYTES, .fold = v->fold };
    if (o->n_ranges == 1) {
        if (!range_place(&o->ranges[0], v->text.len, &from, &n))
            return false;
        out->text = view_of(v->text.ptr + from, n);
        return true;
    }
    for (unsigned i = 0; i < o->n_ranges; i++) {
        if (!range_place(&o->ranges[i], v->text.len, &from, &n) || n > o->scratch_size - used)
            return false;
        value_write_folded(v, from, n, o->scratch + used);
        used += n;
    }
    out->fold = FOLD_NONE;
    out->text = view_of(o->scratch, used);
    return true;
}

/* --- functions --- */

static bool as_string(const struct operand *o, const struct value *v, struct value *out)
{
    char *text = (char *)o->scratch;
    int n = 0;
    if (v->type == FIELD_IPV4 || v->type == FIELD_IPV6)
        n = inet_ntop(v->type == FIELD_IPV4 ? AF_INET : AF_INET6, v->text.ptr, text, 64) != NULL ? (int)strlen(text)
                                                                                                 : 0;
    else if (v->type == FIELD_TIME)
        n = snprintf(text, 64, "%s%lld.%09lld", v->number < 0 ? "-" : "",
                     (long long)(v->number / 1000000000) * (v->number < 0 ? -1 : 1),
                     (long long)(v->number % 1000000000) * (v->number < 0 ? -1 : 1));
    else
        n = snprintf(text, 64, "%lld", (long long)v->number);
    *out = (struct value){ .type = FIELD_STRING, .text = view_of(text, (size_t)n) };
    return true;
}

/* count() max() min(): over all values of the fields. A field that is not there adds nothing. */
static bool gather(struct filter *f, const struct row *row, const struct operand *o, struct value *out)
{
    int64_t count = 0, best = 0;
    for (const struct operand *a = o->left; a != NULL; a = a->next) {
        struct value_cursor c;
        struct value v;
        bool literal = a->kind == OPERAND_LITERAL;
        if (!literal)
            values_start(&c, f, row, a->field);
        for (bool more = literal || values_next(&c, &v); more; more = !literal && values_next(&c, &v)) {
            int64_t n = literal ? a->literal.number : v.number;
            if (count++ == 0 || (o->kind == OPERAND_MAX ? n > best : n < best))
                best = n;
        }
    }
    *out = (struct value){ .type = FIELD_UINT, .number = o->kind == OPERAND_COUNT ? count : best };
    return count > 0;
}

/* --- arithmetic on 64 bits; what does not fit has no value --- */

static bool arithmetic(unsigned kind, int64_t a, int64_t b, int64_t *out)
{
    switch (kind) {
    case OPERAND_ADD:
        return !__builtin_add_overflow(a, b, out);
    case OPERAND_SUB:
        return !__builtin_sub_overflow(a, b, out);
    case OPERAND_MUL:
        return !__builtin_mul_overflow(a, b, out);
    case OPERAND_BITS:
        *out = (int64_t)((uint64_t)a & (uint64_t)b);
        return true;
    default:
        if (b == 0 || (a == INT64_MIN && b == -1))
            return false;
        *out = kind == OPERAND_DIV ? a / b : a % b;
        return true;
    }
}

bool operand_value(struct filter *f, const struct row *row, const struct operand *o, const struct value *leaves,
                   struct value *out)
{
    struct value left, right;
    switch (o->kind) {
    case OPERAND_LITERAL:
        *out = o->literal;
        return true;
    case OPERAND_FIELD:
        *out = leaves[o->leaf];
        return true;
    case OPERAND_COUNT:
    case OPERAND_MAX:
    case OPERAND_MIN:
        return gather(f, row, o, out);
    default:
        break;
    }
    if (!operand_value(f, row, o->left, leaves, &left))
        return false;
    *out = left;
    switch (o->kind) {
    case OPERAND_SLICE:
        return slice(o, &left, out);
    case OPERAND_LOWER:
        out->fold = FOLD_LOWER;
        return true;
    case OPERAND_UPPER:
        out->fold = FOLD_UPPER;
        return true;
    case OPERAND_LEN:
        *out = (struct value){ .type = FIELD_UINT, .number = (int64_t)left.text.len };
        return true;
    case OPERAND_STRING:
        return as_string(o, &left, out);
    case OPERAND_ABS:
        out->number = left.number < 0 ? -left.number : left.number;
        return left.number != INT64_MIN;
    case OPERAND_NEGATE:
        out->number = -left.number;
        return left.number != INT64_MIN;
    default:
        return operand_value(f, row, o->right, leaves, &right) &&
               arithmetic(o->kind, left.number, right.number, &out->number);
    }
}
