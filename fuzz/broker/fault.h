/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/broker/fault.h -- misbehaviours on purpose (fault.def). They are what proves that an analyzer or a fuzzer sees
 * such things; none is ever on unless asked for. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum broker_fault {
#define FAULT(sym, name, text) FAULT_##sym,
#include "fuzz/broker/fault.def"
    FAULT_COUNT
};

const char *broker_fault_name(enum broker_fault fault); /* "no-puback"; NULL out of range */
const char *broker_fault_text(enum broker_fault fault);

/* Turns on the faults of a comma-separated list. Returns NULL, or the first name that is not known. */
const char *broker_fault_parse(const char *list, bool faults[FAULT_COUNT]);
