/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/track/finding.c -- verdicts of conduct, findings, and the names of what the tracker says. */
#include "decoder/track/state.h"

#include <stdarg.h>
#include <stdio.h>

static const struct track_diag_info diags[] = {
    { "", "", MQTT_SEVERITY_NONE },
#define DIAG(sym, name, severity, meaning) { name, meaning, MQTT_SEVERITY_##severity },
#include "decoder/track/diagnoses.def"
};

const struct track_diag_info *track_diag_info(unsigned diagnosis)
{
    return &diags[diagnosis < TRACK_DIAG_COUNT ? diagnosis : 0];
}

void judge(struct track *t, const struct conn *c, enum mqtt_rule rule, unsigned severity, unsigned side)
{
    if (rule == MQTT_RULE_NONE || !t->cfg.judge)
        return;
    if (severity == MQTT_SEVERITY_NONE)
        severity = mqtt_rule_info(rule)->severity;
    mqtt_verdict_add(t->v, rule, (enum mqtt_severity)severity, side, 0, 0);
    t->counts.verdicts[severity & 3]++;
    if (c->session != NULL)
        tally_add(t, c->session, TALLY_VIOLATIONS + (severity & 3), 1);
}

static unsigned severity_of(const struct found *f)
{
    if (f->severity != MQTT_SEVERITY_NONE)
        return f->severity;
    return f->diag != TRACK_DIAG_NONE ? track_diag_info(f->diag)->severity : mqtt_rule_info(f->rule)->severity;
}

void found(struct track *t, const struct found *f, const char *sentence, ...)
{
    if (!t->cfg.judge || (f->rule == MQTT_RULE_NONE && f->diag == TRACK_DIAG_NONE))
        return;
    unsigned severity = severity_of(f);
    struct session *s = f->session != NULL ? f->session : f->conn != NULL ? f->conn->session : NULL;
    t->next_finding++;
    t->counts.findings[severity & 3]++;
    if (s != NULL)
        tally_add(t, s, TALLY_VIOLATIONS + (severity & 3), 1);
    if (t->on.finding == NULL)
        return;
    struct track_finding out = {
        .number = t->next_finding,
        .session = s != NULL ? s->number : 0,
        .exchange = f->exch != NULL ? f->exch->number : 0,
        .frame = { f->frame[0], f->frame[1], f->frame[2], f->frame[3] },
        .time_ns = f->time_ns,
        .stream = f->conn != NULL ? f->conn->stream
                  : s != NULL     ? s->stream
                                  : 0,
        .rule = (uint16_t)f->rule,
        .diagnosis = (uint16_t)f->diag,
        .severity = (uint8_t)severity,
        .side = (uint8_t)f->side,
        .version = f->conn != NULL ? f->conn->version
                   : s != NULL     ? s->version
                                   : 0,
        .name = f->diag != TRACK_DIAG_NONE ? track_diag_info(f->diag)->name : mqtt_rule_info(f->rule)->id,
        .client_id = s != NULL && s->client_id != NULL ? view_of(s->client_id, s->client_id_len) : (struct view){ 0 },
        .topic = f->topic.ptr != NULL ? f->topic : topic_view(f->exch != NULL ? f->exch->topic : NULL),
    };
    if (!t->cfg.terse) {
        va_list args;
        va_start(args, sentence);
        vsnprintf(out.sentence, sizeof out.sentence, sentence, args);
        va_end(args);
    }
    t->on.finding(t->on.ctx, &out);
}

#define NAME_OF(function, names)                                                                                       \
    const char *function(unsigned at)                                                                                  \
    {                                                                                                                  \
        return at < sizeof(names) / sizeof(names)[0] ? (names)[at] : "";                                               \
    }

static const char *const kinds[] = { "", "connect", "qos1", "qos2", "subscribe", "unsubscribe", "ping", "auth" };
static const char *const outcomes[] = { "open", "complete", "refused", "abandoned", "replaced", "unknown" };
static const char *const links[] = { "", "connecting", "authenticating", "up", "closing", "closed", "midstream" };
static const char *const wills[] = { "", "armed", "dropped", "due", "sent" };
static const char *const changes[] = { "started",      "resumed",  "restarted",  "taken over",   "detached",
                                       "ended",        "refused",  "subscribed", "unsubscribed", "will armed",
                                       "will dropped", "will due", "will sent",  "evicted" };
_Static_assert(sizeof kinds / sizeof kinds[0] == TRACK_KINDS, "a name for each kind");
_Static_assert(sizeof outcomes / sizeof outcomes[0] == TRACK_OUTCOMES, "a name for each outcome");
_Static_assert(sizeof links / sizeof links[0] == TRACK_LINKS, "a name for each state of a connection");
_Static_assert(sizeof wills / sizeof wills[0] == TRACK_WILLS, "a name for each state of a will");
_Static_assert(sizeof changes / sizeof changes[0] == TRACK_SESSION_CHANGES, "a name for each event");

NAME_OF(track_kind_name, kinds)
NAME_OF(track_outcome_name, outcomes)
NAME_OF(track_link_name, links)
NAME_OF(track_will_name, wills)
NAME_OF(track_change_name, changes)
