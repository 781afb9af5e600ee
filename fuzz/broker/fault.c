/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/broker/fault.h"
#include <string.h>

static const struct {
    const char *name, *text;
} table[] = {
#define FAULT(sym, name, text) { name, text },
#include "fuzz/broker/fault.def"
};

const char *broker_fault_name(enum broker_fault fault)
{
    return fault < FAULT_COUNT ? table[fault].name : NULL;
}

const char *broker_fault_text(enum broker_fault fault)
{
    return fault < FAULT_COUNT ? table[fault].text : NULL;
}

static int find(const char *name, size_t len)
{
    for (int i = 0; i < FAULT_COUNT; i++)
        if (strlen(table[i].name) == len && memcmp(table[i].name, name, len) == 0)
            return i;
    return -1;
}

const char *broker_fault_parse(const char *list, bool faults[FAULT_COUNT])
{
    while (*list != '\0') {
        size_t len = strcspn(list, ",");
        int fault = find(list, len);
        if (fault < 0)
            return list;
        faults[fault] = true;
        list += len;
        list += *list == ',';
    }
    return NULL;
}
