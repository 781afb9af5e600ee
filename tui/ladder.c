/* SPDX-License-Identifier: Apache-2.0 */
#include "tui/ladder.h"
#include <stdio.h>
#include <string.h>

static const char *kind_text(unsigned kind)
{
    static const char *const names[TRACK_KINDS] = { "",          "CONNECT",     "QoS 1", "QoS 2",
                                                    "SUBSCRIBE", "UNSUBSCRIBE", "PING",  "AUTH" };
    return kind < TRACK_KINDS ? names[kind] : "";
}

static uint8_t note_of_close(const struct store_entry *e, uint32_t connections, bool brief, char out[160])
{
    const struct store_row *m = e->meta;
    char age[TEXT_CAP];
    if (m->owed_by == MQTT_NOBODY) { /* of which connection, when there are several */
        if (connections > 1 && m->sender != MQTT_NOBODY)
            snprintf(out, 160, "of port %u", m->sender == MQTT_SERVER ? e->row.dst.port : e->row.src.port);
        return STYLE_DIM;
    }
    int n = snprintf(out, 160, "%s owed by %s", mqtt_type_name(m->owed_type & 15), text_side(m->owed_by));
    if (brief)
        return STYLE_OWED;
    if (m->owed_more > 0)
        n += snprintf(out + n, 160 - (size_t)n, " +%u", m->owed_more);
    if (m->id != 0)
        n += snprintf(out + n, 160 - (size_t)n, ", #%u", m->id);
    if (m->latency_ns >= 0)
        snprintf(out + n, 160 - (size_t)n, ", for %s", text_duration(age, m->latency_ns));
    return STYLE_OWED;
}

static bool note_of_verdict(const struct store_entry *e, char out[160])
{
    const struct mqtt_verdict *worst = NULL;
    for (uint32_t i = 0; i < e->row.n_verdicts; i++)
        if (worst == NULL || e->row.verdicts[i].severity > worst->severity)
            worst = &e->row.verdicts[i];
    if (worst == NULL || worst->severity < MQTT_SEVERITY_WARNING)
        return false;
    const struct mqtt_rule_info *rule = mqtt_rule_info((enum mqtt_rule)worst->rule);
    int n = snprintf(out, 160, "%s", rule->id);
    if (e->row.n_verdicts > 1)
        n += snprintf(out + n, 160 - (size_t)n, " +%u", e->row.n_verdicts - 1);
    snprintf(out + n, 160 - (size_t)n, " %s", rule->fault[0] != 0 ? rule->fault : rule->statement);
    return true;
}

/* What came before on this exchange: sent again, resumed, taken over. */
static uint8_t note_of_flags(const struct store_row *m, uint32_t connections, const struct store_entry *e,
                             char out[160])
{
    unsigned type = m->first_octet >> 4;
    if ((m->flags & TRACK_TAKEOVER) && (type == MQTT_CONNECT || type == MQTT_CONNACK)) {
        snprintf(out, 160, "takes the session over");
        return STYLE_WARNING;
    }
    if (type == MQTT_CONNECT) {
        unsigned port = m->sender == MQTT_SERVER ? e->row.dst.port : e->row.src.port;
        snprintf(out, 160, connections > 1 ? "from port %u" : "port %u", port);
        return STYLE_DIM;
    }
    if (type == MQTT_CONNACK && e->packet.reason == 0) {
        snprintf(out, 160, e->packet.connack.session_present ? "session goes on" : "new session");
        return STYLE_DIM;
    }
    if (m->flags & TRACK_RETRANSMITTED) {
        snprintf(out, 160, m->flags & TRACK_RESUMED ? "sent again, resumed" : "sent again");
        return STYLE_WARNING;
    }
    if (m->flags & TRACK_RESUMED) {
        snprintf(out, 160, "resumed");
        return STYLE_NOTE;
    }
    if (m->flags & TRACK_LOOPED) {
        snprintf(out, 160, "its own message");
        return STYLE_WARNING;
    }
    if (m->flags & TRACK_NO_START) {
        snprintf(out, 160, "start not captured");
        return STYLE_DIM;
    }
    if (m->flags & TRACK_OUT_OF_PLACE) {
        snprintf(out, 160, "not what comes next");
        return STYLE_WARNING;
    }
    out[0] = 0;
    return STYLE_DIM;
}

static void note_of_end(const struct store_row *m, char out[160])
{
    char time[TEXT_CAP];
    size_t n = strlen(out);
    unsigned type = m->first_octet >> 4;
    if ((m->x_kind == TRACK_QOS1 || m->x_kind == TRACK_QOS2) && m->x_outcome == TRACK_COMPLETE && m->latency_ns >= 0)
        snprintf(out + n, 160 - n, "%stotal %s", n > 0 ? ", " : "", text_duration(time, m->latency_ns));
    else if (n == 0 && m->step_ns > 0 && type != MQTT_CONNACK)
        snprintf(out, 160, "after %s", text_duration(time, m->step_ns));
}

uint8_t ladder_note(const struct store_entry *e, bool latest, uint32_t connections, int64_t end_ns, bool brief,
                    char out[160])
{
    const struct store_row *m = e->meta;
    char age[TEXT_CAP];
    out[0] = 0;
    if (m->kind == STORE_CLOSE)
        return note_of_close(e, connections, brief, out);
    if (m->kind != STORE_PACKET) {
        if (m->kind == STORE_GAP && e->row.gap_reason != NULL)
            snprintf(out, 160, "%s", e->row.gap_reason);
        return STYLE_WARNING;
    }
    if (note_of_verdict(e, out))
        return text_severity_style(m->severity);
    if (m->x_outcome == TRACK_REFUSED && e->packet.reason >= 0x80) {
        const char *name = mqtt_reason_name(e->packet.type, e->packet.reason);
        snprintf(out, 160, "refused: %s", name != NULL ? name : "unknown reason");
        return STYLE_WARNING;
    }
    uint8_t style = note_of_flags(m, connections, e, out);
    if (latest && m->owed_by != MQTT_NOBODY && m->x_outcome == TRACK_OPEN && m->x_kind != TRACK_NONE) {
        size_t n = brief ? 0 : strlen(out);
        int len = snprintf(out + n, 160 - n, "%s%s owed by %s", n > 0 ? ", " : "", mqtt_type_name(m->owed_type & 15),
                           text_side(m->owed_by));
        if (!brief)
            snprintf(out + n + len, 160 - n - (size_t)len, ", %s", text_duration(age, end_ns - m->time_ns));
        return STYLE_OWED;
    }
    note_of_end(m, out);
    return style;
}

/* ---- the sentence ----------------------------------------------------------------------------------------------- */

static uint8_t sentence_of_verdict(const struct store_entry *e, char out[512])
{
    const struct mqtt_verdict *v = &e->row.verdicts[0];
    for (uint32_t i = 1; i < e->row.n_verdicts; i++)
        if (e->row.verdicts[i].severity > v->severity)
            v = &e->row.verdicts[i];
    const struct mqtt_rule_info *rule = mqtt_rule_info((enum mqtt_rule)v->rule);
    snprintf(out, 512, "%s %s by %s: %s", mqtt_severity_name(v->severity), rule->id, text_side(v->side),
             rule->fault[0] != 0 ? rule->fault : rule->statement);
    return text_severity_style(v->severity);
}

uint8_t ladder_sentence(const struct store_entry *e, const struct store_row *last, int64_t end_ns, char out[512])
{
    const struct store_row *m = e->meta;
    char age[TEXT_CAP], id[24] = "";
    out[0] = 0;
    if (e->row.n_verdicts > 0)
        return sentence_of_verdict(e, out);
    if (m->id != 0)
        snprintf(id, sizeof id, " #%u", m->id);
    if (m->kind == STORE_CLOSE && m->owed_by != MQTT_NOBODY) {
        snprintf(out, 512, "%s%s is interrupted: %s is owed by the %s since %s%s", kind_text(m->x_kind), id,
                 mqtt_type_name(m->owed_type & 15), text_side(m->owed_by), text_duration(age, m->latency_ns),
                 m->owed_more > 0 ? "; others wait too" : "");
        return STYLE_OWED;
    }
    if (m->kind == STORE_CLOSE) {
        snprintf(out, 512, "nothing is owed");
        return STYLE_DIM;
    }
    if (m->kind != STORE_PACKET || m->x_kind == TRACK_NONE)
        return STYLE_DIM;
    int n = snprintf(out, 512, "%s%s, step %u", kind_text(m->x_kind), id, m->x_step);
    if (last->x_outcome == TRACK_OPEN && last->owed_by != MQTT_NOBODY)
        n += snprintf(out + n, 512 - (size_t)n, ", open: %s is owed by the %s for %s",
                      mqtt_type_name(last->owed_type & 15), text_side(last->owed_by),
                      text_duration(age, end_ns - last->time_ns));
    else
        n += snprintf(out + n, 512 - (size_t)n, last->latency_ns >= 0 ? ", %s in %s" : ", %s",
                      track_outcome_name(last->x_outcome), text_duration(age, last->latency_ns));
    m = last;
    if (m->resent > 0)
        n += snprintf(out + n, 512 - (size_t)n, ", %u sent again", m->resent);
    if (m->flags & TRACK_RESUMED)
        n += snprintf(out + n, 512 - (size_t)n, ", resumed on a new connection");
    if (m->window > 0)
        snprintf(out + n, 512 - (size_t)n, ", %u of %u in flight", m->inflight, m->window);
    return m->x_outcome == TRACK_OPEN ? STYLE_OWED : STYLE_DIM;
}
