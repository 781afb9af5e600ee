/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/engine/libfuzzer.c -- the shared mutator as libFuzzer's. Every fourth time libFuzzer's own has its turn: it
 * knows the dictionary and the comparisons that failed. */
#include "fuzz/engine/shape.h"

__attribute__((weak)) size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t cap); /* other engines have none */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t cap, unsigned seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len, uint8_t *out,
                                 size_t cap, unsigned seed);

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t cap, unsigned seed)
{
    bool its_turn = seed % 4 == 0 || fuzz_target.shape == FUZZ_OCTETS || fuzz_target.shape == FUZZ_TEXT;
    if (its_turn && LLVMFuzzerMutate != NULL)
        return LLVMFuzzerMutate(data, size, cap);
    return shape_mutate(fuzz_target.shape, data, size, cap, seed);
}

size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len, uint8_t *out,
                                 size_t cap, unsigned seed)
{
    return shape_cross(fuzz_target.shape, a, a_len, b, b_len, out, cap, seed);
}
