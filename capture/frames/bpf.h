/* SPDX-License-Identifier: Apache-2.0
 *
 * capture/frames/bpf.h -- a capture filter for frames that did not come from a device, one program for each link type.
 */
#pragma once
#include "capture/frames/capfile.h"

struct bpf;

/* NULL: the expression is wrong (it is compiled for link_type at once); error says where. */
struct bpf *bpf_new(const char *expression, uint32_t link_type, char *error, size_t error_len);
bool bpf_matches(struct bpf *b, const struct frame *f);
void bpf_free(struct bpf *b); /* NULL is fine */
