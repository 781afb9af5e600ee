/* SPDX-License-Identifier: Apache-2.0
 *
 * tui/store.h -- the rows that the screens show: filled by the capturing thread, read by the screen, bounded by a
 * budget.
 *
 * Rows have sequence numbers from 0 that never change; [store_first, store_end) are held. When the budget is reached
 * the oldest rows go, a chunk at a time, and are counted. Rows keep their own copy of the octets (up to a limit for
 * each packet), of the verdicts and of the tracker's note, and are decoded again when they are shown.
 *
 * One lock guards store and tracker: the capturing thread holds it while it takes a batch of frames, the screen while
 * it draws or filters a slice. It is fair: whoever waits is next. What the look-ups hand out is borrowed until the
 * unlock. */
#pragma once
#include "decoder/show/row.h"
#include "decoder/track/track.h"

enum store_kind { STORE_PACKET, STORE_GAP, STORE_OPEN, STORE_CLOSE };
enum store_close { STORE_FIN, STORE_RST, STORE_ENDED };

/* What is kept of a row, without its octets: enough to choose rows by. */
struct store_row {
    int64_t time_ns, time_first_ns, time_before_ns;
    int64_t latency_ns, step_ns; /* of the note; -1: none */
    uint64_t frame, number;      /* struct row; number 0 for OPEN and CLOSE */
    uint32_t frame_back;         /* frame - frame_first */
    uint32_t answers_back;       /* frame - note.answers_frame; 0: none */
    uint32_t first_back;         /* frame - note.first_frame */
    uint32_t session, exchange;  /* of the tracker; 0: none */
    uint32_t stream;
    uint32_t blob;                   /* place in the octets of the chunk */
    uint32_t held, total, frame_len; /* octets kept of the packet; on the wire (GAP: octets missing); last frame */
    uint32_t skipped;                /* GAP */
    uint16_t conn;                   /* in the chunk */
    uint16_t id;                     /* Packet Identifier, 0: none */
    uint16_t n_verdicts, alias_len, topic_len; /* behind the octets in the blob */
    uint16_t resent, flags, inflight, window;  /* of the note */
    uint8_t kind;                              /* enum store_kind */
    uint8_t first_octet;                       /* type and flags */
    uint8_t sender, version, version_source, severity /* worst verdict */;
    uint8_t x_kind, x_outcome, x_step, x_starter, owed_by, owed_type; /* of the note */
    uint8_t close;                                                    /* CLOSE: enum store_close */
    uint8_t gap_reason;                                               /* index into a table of static texts */
    uint16_t owed_more; /* CLOSE: exchanges open beside the one in `exchange` */
    bool from_syn;
};

/* A row as the decoder sees it. Borrowed: valid until the lock is given back or the entry is reused. */
struct store_entry {
    uint64_t seq;
    const struct store_row *meta;
    struct row row;
    struct mqtt_packet packet;
    struct track_note note;
};

struct store_finding {
    uint64_t seq; /* of the evidence: the row at fault, or the last one named; UINT64_MAX: none held */
    uint64_t frame[TRACK_EVIDENCE];
    int64_t time_ns;
    uint32_t session, exchange, stream;
    uint16_t rule, diagnosis;
    uint8_t severity, side, version;
    bool of_packet;  /* a verdict on one packet */
    char *sentence;  /* owned; NULL: the rule says it */
    char client[64]; /* octets of the wire, cut */
    uint8_t client_len;
};

struct store_totals {
    uint64_t rows, packets, octets, held /* packets and gaps that are held */, evicted_rows, evicted_findings,
        cut_packets;
    uint64_t memory, budget;
    uint64_t by_type[16][3]; /* [type][enum mqtt_side of the sender] */
    uint64_t by_severity[4];
    int64_t first_ns, last_ns; /* 0, 0: no row yet */
    uint64_t changes;          /* goes up with every change: nothing to draw while it stays */
};

enum { STORE_PACKET_LIMIT = 65536, STORE_FINDINGS = 50000, STORE_BUDGET = 256 << 20, STORE_BUDGET_LEAST = 4 << 20 };

struct store *store_new(uint64_t budget); /* octets; NULL: no memory */
void store_free(struct store *s);
void store_clear(struct store *s); /* forgets all rows and findings; sequence numbers go on */

void store_lock(struct store *s);
void store_unlock(struct store *s);

/* Filling; with the lock held. The tracker may be NULL. */
void store_add(struct store *s, const struct row *row);
struct store_link {
    bool open, from_syn;
    enum store_close close;
    uint32_t stream, session;
    struct row_endpoint src, dst;
    uint8_t sender;
    int64_t time_ns;
    uint64_t frame;
};
void store_add_link(struct store *s, const struct store_link *link, const struct track *tracker);
void store_add_finding(struct store *s, const struct track_finding *f);

/* Looking; with the lock held. */
uint64_t store_first(const struct store *s);
uint64_t store_end(const struct store *s);
const struct store_row *store_meta(struct store *s, uint64_t seq); /* NULL when it is not held */
bool store_get(struct store *s, uint64_t seq, struct store_entry *out);
uint64_t store_at_frame(struct store *s, uint64_t frame); /* the first row completed in that frame or later */
const struct store_totals *store_totals(const struct store *s);
/* Who this row's connection belongs to; len 0: not known. */
struct view store_client(struct store *s, const struct store_row *meta, uint64_t seq);
bool store_endpoints(struct store *s, uint64_t seq, struct row_endpoint *src, struct row_endpoint *dst);

/* A CONNECT for a session in use is of no session until CONNACK says that it takes it; then its row is relabelled. The
 * lowest row relabelled since the last call, UINT64_MAX: none. */
uint64_t store_take_relabelled(struct store *s);

uint32_t store_findings(const struct store *s);
const struct store_finding *store_finding(const struct store *s, uint32_t index); /* oldest first */
uint64_t store_finding_seq(struct store *s, const struct store_finding *f);       /* UINT64_MAX: no longer held */
