/* SPDX-License-Identifier: Apache-2.0
 *
 * tui/text.h -- figures and packets as short texts for narrow columns. */
#pragma once
#include "tui/grid.h"
#include "tui/store.h"

enum time_mode { TIME_OF_DAY, TIME_SINCE_START, TIME_DELTA, TIME_MODES };
enum { TEXT_CAP = 48 };

const char *text_time(char out[TEXT_CAP], int64_t time_ns); /* "12:00:01.2031" local time */
const char *text_seconds(char out[TEXT_CAP], int64_t ns);   /* "5.001200", at most 9 columns with its sign */
const char *text_delta(char out[TEXT_CAP], int64_t ns);     /* "+5.001200" */
const char *text_duration(char out[TEXT_CAP],
                          int64_t ns);                   /* "312 us", "4.2 ms", "6.203 s", "3 min 20 s", "2 h 3 min" */
const char *text_count(char out[TEXT_CAP], uint64_t n);  /* at most 5 columns: "99999", "1.2M" */
const char *text_mib(char out[TEXT_CAP], uint64_t n);    /* "12M" */
const char *text_octets(char out[TEXT_CAP], uint64_t n); /* at most 6 columns: "43 B", "1.2 kB" */
const char *text_address(char out[64], const struct net_addr *a);      /* "10.0.0.7", "::1", "" */
const char *text_endpoint(char out[72], const struct row_endpoint *e); /* "10.0.0.7:51422", "[::1]:1883" */

/* A packet in one line: "PUBLISH q2 #7 " + topic + " 43B". When room is scarce the text in the middle gives way. */
struct label {
    char head[64];
    struct view text; /* octets of the wire; borrowed */
    char tail[40];
};
void label_of(struct label *out, const struct store_entry *e);
int label_width(const struct label *l, bool unicode);
int label_draw(struct grid *g, int y, int x, int w, uint8_t style,
               const struct label *l); /* returns the columns used */

uint8_t text_style(const struct store_row *m); /* of a row: severity, retransmitted, request, answer */
char text_sign(const struct store_row *m);     /* '!', 'w', 'i', '~' retransmitted, '?' unknown, ' ' */
uint8_t text_severity_style(unsigned severity);
char text_severity_sign(unsigned severity);
const char *text_side(unsigned side); /* "client", "broker", "?" */
/* Client id, or where the connection comes from when there is none. */
struct view text_client(char out[72], struct view client_id, const struct row_endpoint *client);
