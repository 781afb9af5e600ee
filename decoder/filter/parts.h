/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/filter/parts.h -- what the parts of the display filter share; not for use outside this folder. */
#pragma once
#include "decoder/filter/filter.h"
#include "decoder/show/item.h"

/* --- memory (arena.c) --- */
struct arena {
    uint8_t *base;
    size_t size, used;
};

void *arena_take(struct arena *a, size_t size); /* zeroed, aligned for any type; NULL when the memory is used up */
void arena_trim(struct arena *a, const void *last,
                size_t size); /* gives back what the last piece taken has over size */

/* --- words (lex.c) --- */
enum token_kind {
    TOKEN_END,
    TOKEN_WORD,
    TOKEN_STRING,
    TOKEN_CHAR,
    TOKEN_SLICE,
    TOKEN_OPEN,
    TOKEN_CLOSE,
    TOKEN_BRACE,
    TOKEN_UNBRACE,
    TOKEN_COMMA,
    TOKEN_RANGE,
    TOKEN_AND,
    TOKEN_OR,
    TOKEN_NOT,
    TOKEN_ANY,
    TOKEN_ALL,
    TOKEN_COMPARE,
    TOKEN_IN,
    TOKEN_NOT_IN,
    TOKEN_PLUS,
    TOKEN_MINUS,
    TOKEN_STAR,
    TOKEN_SLASH,
    TOKEN_PERCENT,
    TOKEN_BITS,
    TOKEN_BAD,
};

enum compare {
    COMPARE_PRESENT,
    COMPARE_TRUE,
    COMPARE_EQ,
    COMPARE_NE,
    COMPARE_GT,
    COMPARE_GE,
    COMPARE_LT,
    COMPARE_LE,
    COMPARE_CONTAINS,
    COMPARE_MATCHES,
    COMPARE_TOPIC,
    COMPARE_IN
};

struct token {
    uint8_t kind;
    uint8_t compare;      /* COMPARE */
    bool all, quantified; /* COMPARE: holds for all values; said so in the operator (=== !== ~=) */
    size_t at, len;       /* in the text */
    struct view text;     /* WORD; STRING and CHAR with escapes resolved; SLICE without brackets */
};

struct lexer {
    const char *text;
    size_t len, pos;
    struct arena *arena;
    struct filter_error *error;
};

struct token lex_next(struct lexer *l); /* TOKEN_BAD: the error is set */

/* --- values and operands (values.c, operand.c) --- */
enum fold { FOLD_NONE, FOLD_LOWER, FOLD_UPPER };

struct value {
    uint8_t type; /* enum field_type */
    uint8_t fold; /* enum fold: how its octets count in comparisons */
    uint8_t bits; /* of a network literal, and 1; 0: a single address */
    bool ranked;  /* number holds the rank of a text like "warning" */
    int64_t number;
    struct view text;
};

enum operand_kind {
    OPERAND_LITERAL,
    OPERAND_FIELD,
    OPERAND_SLICE,
    OPERAND_LOWER,
    OPERAND_UPPER,
    OPERAND_LEN,
    OPERAND_COUNT,
    OPERAND_STRING,
    OPERAND_ABS,
    OPERAND_MAX,
    OPERAND_MIN,
    OPERAND_NEGATE,
    OPERAND_ADD,
    OPERAND_SUB,
    OPERAND_MUL,
    OPERAND_DIV,
    OPERAND_MOD,
    OPERAND_BITS
};

struct range {
    int64_t from; /* negative: from the end */
    int64_t to;   /* exclusive */
    uint8_t form; /* enum range_form */
};

enum range_form {
    RANGE_LENGTH /* to is a length */,
    RANGE_LAST /* to is the last octet */,
    RANGE_OPEN /* to the end */
};

struct operand {
    uint8_t kind, type; /* enum operand_kind; enum field_type of its values */
    uint8_t leaf;       /* FIELD: place in test.leaves */
    bool plain;         /* LITERAL: a word or string whose type the other side decides */
    uint8_t token;      /* LITERAL: enum token_kind it was written as */
    uint16_t field;     /* FIELD, COUNT */
    uint16_t n_ranges;
    size_t at, len;
    struct operand *left, *right, *next; /* next: the argument behind this one */
    struct value literal;
    struct range *ranges;
    uint8_t *scratch; /* for what has to be written down: several ranges, numbers as strings */
    size_t scratch_size;
};

struct member {                 /* of a set */
    struct operand *low, *high; /* high NULL: one value */
};

struct regex;

struct test {
    uint8_t compare;
    bool all; /* every combination of values has to do, else any */
    uint8_t n_leaves;
    uint16_t leaves[FILTER_LEAVES_MAX]; /* fields whose values are combined */
    uint16_t n_members;
    struct field_set *branch; /* PRESENT of a branch of names */
    struct operand *left, *right;
    struct member *members;
    struct regex *regex;
    uint8_t *subject; /* MATCHES and TOPIC on lower() or upper(): the folded text */
};

/* One step of the program: ask the test, go on at next[result]. */
struct step {
    struct test test;
    uint16_t next[2];
};

enum { STEP_ACCEPT = 0xfffe, STEP_REJECT = 0xffff, POOL_SIZE = 256, SLOT_NONE = 0xffff, SUBJECT_MAX = 65536 };

struct kept { /* a value of this row */
    struct value value;
    uint16_t next; /* of the same field; SLOT_NONE: last */
};

struct slot { /* the values of one field in the row being asked */
    uint16_t first, last;
    bool spilled; /* there are more than the pool holds: walk again */
};

struct filter {
    struct arena arena;
    struct step *steps;
    uint16_t n_steps, entry;
    bool gave_up;
    struct regex_memory *regex_memory;
    /* fields that only a walk over the items tells, and their values in the row being asked */
    struct field_set want;
    bool walked;
    uint16_t n_kept;
    struct item_walk walk;
    struct slot slots[FIELD_COUNT];
    struct kept pool[POOL_SIZE];
};

enum value_source { VALUES_DIRECT, VALUES_POOL, VALUES_WALK };

/* The values of one field in one row, one after another. */
struct value_cursor {
    const struct filter *filter;
    const struct row *row;
    uint16_t field;
    uint16_t step;
    uint8_t source; /* enum value_source */
    struct field_set only;
    struct item_walk walk;
};

void values_want(struct filter *f, unsigned field); /* at compile time: keep this field's values */
/* Starts a cursor in place: some of them are large and seldom needed, so nothing is copied or cleared for them. */
void values_start(struct value_cursor *c, struct filter *f, const struct row *row, unsigned field);
bool values_next(struct value_cursor *c, struct value *out);

/* The operand's value for one choice of leaf values. False: it has none (a slice beyond the end, division by zero). */
bool operand_value(struct filter *f, const struct row *row, const struct operand *o, const struct value *leaves,
                   struct value *out);

/* --- comparing (compare.c) --- */
int value_order(const struct value *a, const struct value *b);
bool value_equal(const struct value *a, const struct value *b);
bool value_contains(const struct value *whole, const struct value *part);
/* n of its octets, from there on, with their letter case folded as the value says. */
void value_write_folded(const struct value *v, size_t from, size_t n, uint8_t *out);

/* --- literals (literal.c, names.c) --- */
/* Gives a plain literal the type (and the value names) of field; field -1: of no field. False: error set. */
bool literal_convert(struct operand *o, unsigned type, int field, struct arena *arena, struct filter_error *error);
/* The number that this name stands for in this field. */
bool name_value(int field, struct view name, int64_t *number);
bool name_rank(int field, struct view text, int64_t *rank); /* of texts that have an order of their own: severities */

/* --- regular expressions (regex.c) --- */
struct regex *regex_compile(struct filter *f, const struct token *pattern, struct filter_error *error);
enum regex_result { REGEX_NO, REGEX_YES, REGEX_GAVE_UP };
enum regex_result regex_match(struct regex *r, struct view subject);

/* --- parser (parse.c) --- */
bool parse_filter(struct filter *f, const char *text, size_t len, struct filter_error *error);
bool test_check(struct filter *f, struct test *t, struct filter_error *error); /* check.c: types, literals, leaves */

/* Sets the error once: the first one is the one that counts. Always false. */
bool filter_fail(struct filter_error *error, size_t at, size_t len, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
