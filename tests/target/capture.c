/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/target/capture.c -- a capture file in memory, to rows. Claims: every row is whole and points into what it
 * borrows; what is counted fits together; memory stays within what the budget says; the file is read to an end or to an
 * error that is told in one printable line. */
#include "fuzz/target/target.h"

#include <string.h>

#include "capture/pipeline.h"
#include "fuzz/engine/output.h"

const struct fuzz_target fuzz_target = { "capture", FUZZ_OCTETS };

struct tally {
    uint64_t rows, packets, differences;
};

static unsigned on_row(void *ctx, const struct row *row)
{
    struct tally *t = ctx;
    HOLDS(row->number == ++t->rows);
    HOLDS(row->frame >= 1 && row->frame_first <= row->frame);
    if (row->kind == ROW_GAP) {
        HOLDS(row->gap_reason != NULL);
        t->differences += row->gap_octets + row->skipped_octets == 0;
        HOLDS(row->gap_octets + row->skipped_octets > 0 ||
              strcmp(row->gap_reason, "later copy with other octets") == 0);
        return PIPELINE_GO_ON;
    }
    t->packets++;
    const struct mqtt_packet *p = row->packet;
    HOLDS(p != NULL &&
          (p->header_len == 0 || p->held <= p->header_len + p->remaining)); /* 0: a fifth octet of length */
    for (uint32_t i = 0; i < row->n_verdicts; i++)
        HOLDS((uint64_t)row->verdicts[i].offset + row->verdicts[i].length <= p->held);
    return PIPELINE_GO_ON;
}

static void check_counters(const struct pipeline *p, const struct tally *t)
{
    struct pipeline_counters c;
    pipeline_counters(p, &c);
    HOLDS(c.rows == t->rows && c.packets == t->packets && c.gaps == t->rows - t->packets - t->differences);
    HOLDS(c.frames >= c.segments && (c.mqtt_connections == 0 || c.connections > 0));
    HOLDS(c.memory < 64u << 20);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct pipeline_events events = { .row = on_row };
    struct pipeline_options options = { .image = view_of(data, size),
                                        .budget = pipeline_budget_of(8u << 20),
                                        .keep_privileges = true };
    struct tally tally = { 0 };
    char error[PIPELINE_ERROR_MAX];
    bool usage = false;
    struct pipeline *p = pipeline_open(&options, &events, &tally, error, &usage);
    if (p == NULL) {
        HOLDS(!usage && error[0] != '\0' && memchr(error, '\0', sizeof error) != NULL);
        HOLDS(output_is_text(view_of(error, strlen(error)), ""));
        return 0;
    }
    enum pipeline_status status;
    do
        status = pipeline_step(p, 64, 0);
    while (status == PIPELINE_MORE);
    HOLDS(status == PIPELINE_END || status == PIPELINE_ERROR);
    HOLDS((status == PIPELINE_ERROR) == (pipeline_error(p)[0] != '\0'));
    HOLDS(output_is_text(view_of(pipeline_error(p), strlen(pipeline_error(p))), ""));
    check_counters(p, &tally);
    pipeline_close(p);
    return 0;
}
