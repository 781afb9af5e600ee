/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/engine/afl.c -- the shared mutator as AFL++'s: AFL_CUSTOM_MUTATOR_LIBRARY=build-afl/mutator.so, and FUZZ_SHAPE
 * says what the inputs are (octets, text, packet, stream, talk). AFL++ has its own havoc beside it unless
 * AFL_CUSTOM_MUTATOR_ONLY. */
#include <stdlib.h>
#include <string.h>

#include "fuzz/engine/shape.h"

enum { ROOM = 1 << 20 };

struct afl_mutator {
    enum fuzz_shape shape;
    uint64_t seed;
    size_t trim_len, trim_step; /* of the input that is being trimmed */
    uint8_t room[ROOM], trim[ROOM];
};

/* AFL++ looks these up by name (its custom_mutators API). */
void *afl_custom_init(void *afl, unsigned seed);
void afl_custom_deinit(void *data);
size_t afl_custom_fuzz(void *data, uint8_t *buf, size_t len, uint8_t **out, uint8_t *add, size_t add_len, size_t max);
size_t afl_custom_post_process(void *data, uint8_t *buf, size_t len, uint8_t **out);
int32_t afl_custom_init_trim(void *data, uint8_t *buf, size_t len);
size_t afl_custom_trim(void *data, uint8_t **out);
int32_t afl_custom_post_trim(void *data, uint8_t success);

static enum fuzz_shape shape_named(const char *name)
{
    static const char *const names[] = {
        [FUZZ_OCTETS] = "octets", [FUZZ_TEXT] = "text", [FUZZ_PACKET] = "packet",
        [FUZZ_STREAM] = "stream", [FUZZ_TALK] = "talk",
    };
    for (unsigned i = 0; name != NULL && i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return (enum fuzz_shape)i;
    return FUZZ_OCTETS;
}

void *afl_custom_init(void *afl, unsigned seed)
{
    (void)afl;
    struct afl_mutator *m = calloc(1, sizeof *m);
    if (m == NULL)
        return NULL;
    m->shape = shape_named(getenv("FUZZ_SHAPE"));
    m->seed = seed;
    return m;
}

void afl_custom_deinit(void *data)
{
    free(data);
}

size_t afl_custom_fuzz(void *data, uint8_t *buf, size_t len, uint8_t **out, uint8_t *add, size_t add_len, size_t max)
{
    struct afl_mutator *m = data;
    size_t cap = max < ROOM ? max : ROOM;
    uint64_t seed = m->seed++;
    *out = m->room;
    if (cap == 0)
        return 0;
    if (add != NULL && add_len > 0 && seed % 16 == 0)
        return shape_cross(m->shape, buf, len, add, add_len, m->room, cap, seed);
    len = len < cap ? len : cap;
    memcpy(m->room, buf, len);
    return shape_mutate(m->shape, m->room, len, cap, seed);
}

/* Nothing has to be repaired behind other mutators: a wrong length is an input like any other. */
size_t afl_custom_post_process(void *data, uint8_t *buf, size_t len, uint8_t **out)
{
    (void)data;
    *out = buf;
    return len;
}

/* Trims from the end, halving the piece that is cut off: what stands before the cut keeps its lengths and its borders.
 */
int32_t afl_custom_init_trim(void *data, uint8_t *buf, size_t len)
{
    struct afl_mutator *m = data;
    m->trim_len = len < ROOM ? len : ROOM;
    m->trim_step = m->trim_len / 2;
    memcpy(m->trim, buf, m->trim_len);
    return m->trim_step > 0 ? 16 : 0;
}

size_t afl_custom_trim(void *data, uint8_t **out)
{
    struct afl_mutator *m = data;
    *out = m->trim;
    return m->trim_len - m->trim_step;
}

int32_t afl_custom_post_trim(void *data, uint8_t success)
{
    struct afl_mutator *m = data;
    if (success)
        m->trim_len -= m->trim_step;
    m->trim_step /= 2;
    return m->trim_step > 0 && m->trim_len > m->trim_step ? 0 : 16;
}
