#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Faults planted in the tracker: each is put into a copy of decoder/, and the tests of the tracker have to fail.

    make test-planted        all of them, some four minutes: prints which tests caught what
    tests/decoder/planted.py NAME...

A fault whose text is no longer in the file counts as not caught: it has to be written anew.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import time

TESTS = ["test_track", "test_track_rules", "test_track_model", "test_stats"]
COPY = pathlib.Path("build/planted")

# name: (file of decoder/, what it says, what it says with the fault)
FAULTS = {
    # exchanges
    "PUBREC of 0x80 or above goes on": ("track/ack.c", "bool failed = c->version == MQTT_V5 && in->packet->reason >= FAILURE;\n    bool again", "bool failed = false;\n    bool again"),
    "PUBACK of 0x80 or above is complete": ("track/ack.c", "exch_finish(t, x, failed ? TRACK_REFUSED : TRACK_COMPLETE);", "exch_finish(t, x, TRACK_COMPLETE);"),
    "PUBACK ends QoS 2": ("track/ack.c", "else if ((type == MQTT_PUBACK) != (x->kind == TRACK_QOS1))", "else if (type == MQTT_PUBREC && x->kind == TRACK_QOS1)"),
    "both sides share the identifiers": ("track/ack.c", "unsigned type = p->type, starter = type == MQTT_PUBREL ? slot : 1 - slot;", "unsigned type = p->type, starter = type == MQTT_PUBREL ? slot : 0;"),
    "PUBCOMP is not awaited": ("track/ack.c", "exch_owes(t, x, 1 - slot, MQTT_PUBCOMP);\n    if (in->packet->reason != 0)", "exch_owes(t, x, 0, 0);\n    if (in->packet->reason != 0)"),
    "the order of acknowledgements binds servers, too": ("track/ack.c", "if (slot == 0 && !again)\n        judge_order(t, c, x, 1);", "if (!again)\n        judge_order(t, c, x, 1);"),
    "the order of PUBRELs goes unseen": ("track/ack.c", "if (slot == 0 && !again)\n        judge_order(t, c, x, 2);", ""),
    "a repeated PUBREL is fine in 5.0": ("track/ack.c", "by_version(c, MQTT_S4_4_4_A, MQTT_R5_4_4_0_1)", "by_version(c, MQTT_S4_4_4_A, MQTT_RULE_NONE)"),
    "PUBREL 0x92 in recovery is held against its sender": ("track/ack.c", "return !recovery || (!resumes && p->reason != NOT_FOUND);", "return true;"),
    "an acknowledgement that closes nothing is fine": ("track/ack.c", "} else if (unknown_is_wrong(c, p, starter) && is_sane(c, starter, p->id)) {", "} else if (false) {"),
    # sending again
    "DUP 1 at first sight is always wrong": ("track/publish.c", "if (!anew)\n        return false;", ""),
    "DUP 1 at first sight is never wrong": ("track/publish.c", "if (!anew)\n        return false;", "return false;"),
    "3.1.1 may not send again on a live connection": ("track/publish.c", "return by_version(c, MQTT_S4_4_4_A, MQTT_RULE_NONE);", "return by_version(c, MQTT_R4_2_3_1_2, MQTT_RULE_NONE);"),
    "a refusal is never done with": ("track/publish.c", "past_make(t, c->session)->refused_msg[m->slot] = (struct refusal){ 0 };", ";"),
    "a lost refusal is held against the sender": ("track/session.c", "    doubt_refusals(t, s);\n    const struct bounds", "    const struct bounds"),
    "a refusal lost at a take-over is held against the sender": ("track/session.c", "before it */\n    doubt_refusals(t, s);\n", "before it */\n"),
    "who comes back at once repeats on a live connection": ("track/table.c", "return x == NULL || x->conn == c || x->conn == NULL ? x : id_settled(t, c->session, x);", "return id_settled == NULL ? NULL : x;"),
    "acknowledgements are ordered over connections": ("track/ack.c", "x->seq == 0 || x->conn != c ||", "x->seq == 0 ||"),
    "a PUBREL before CONNACK belongs to nothing": ("track/ack.c", " || (c->flags & (C_CONNACK | C_CLEAN)) == 0; /* or hopes to */", ";"),
    "a PUBREL that crosses its PUBCOMP is accused": ("track/ack.c", "p->type == MQTT_PUBREL && c->version != MQTT_V5 &&", "p->type == MQTT_PUBREL && c->version == 99 &&"),
    "what is owed from before is answered to nothing": ("track/ack.c", "return answer && (again || dropped) ?", "return answer && (again && dropped) ?"),
    "an answer from before makes a repeat": ("track/publish.c", "else if (comes_from_before(c, x, m))", "else if (x->conn == NULL)"),
    "an answer from before gives nothing back": ("track/ack.c", "x->marks |= x->conn == NULL ? X_RESUMED : 0;\n    exch_last_step", "exch_last_step"),
    "what comes again is in the order": ("track/publish.c", "x->seq = m->p->dup ? 0 : ++c->arrived", "x->seq = ++c->arrived"),
    "an expired message is missed": ("track/publish.c", "(x->marks & X_EXPIRES) != 0 ? reuse_severity(x)", "(x->marks & X_EXPIRES) == 99 ? reuse_severity(x)"),
    "a slow packet is silence": ("track/deadline.c", "    if (is_under_way(c, 0))\n        return now + budget;\n", ""),
    "what comes behind a slow packet is late": ("track/deadline.c", "if (is_under_way(c, x->owed_slot))", "if (false)"),
    "the order of what is sent again goes unseen": ("track/publish.c", "if (x->number < rare_of(c)->resent_number)", "if (false)"),
    "PUBLISH after PUBREL on another connection is fine": ("track/publish.c", "else if (sure && released)", "else if (false && released)"),
    # sessions
    "Session Present 0 drops what a 3.1.1 client has": ("track/session.c", "finish_parked(t, s, TRACK_REPLACED, may_go_on ? 2 : 3);", "finish_parked(t, s, TRACK_REPLACED, 3);"),
    "what a 3.1.1 client may have dropped is held against it": ("track/session.c", "doubt_parked(s);\n    if (s->past", "if (s->past"),
    "Session Present 0 keeps the subscriptions": ("track/session.c", "finish_parked(t, s, TRACK_REPLACED, may_go_on ? 2 : 3);\n    subs_clear(t, s, c);", "finish_parked(t, s, TRACK_REPLACED, may_go_on ? 2 : 3);"),
    "a session that the capture joined late counts as whole": ("track/session.c", "judge_ended(t, c, s);\n            s->flags &= ~(uint32_t)S_WHOLE;", "judge_ended(t, c, s);"),
    "DISCONNECT does not drop the will": ("track/session.c", "if (orderly && ", "if (false && "),
    "the Will Delay is not waited for": ("track/session.c", "if (c->version == MQTT_V5 && delay_s > 0", "if (false && delay_s > 0"),
    "a take-over closes nothing": ("track/session.c", "if ((old->flags & C_CLOSED) == 0)\n        close_is_due(", "if (false)\n        close_is_due("),
    "answers may not cross a FIN": ("track/conn.c", "if (how == TRACK_CLOSE_FIN)\n        timer_set(", "if (false)\n        timer_set("),
    "QoS 1 and 2 do not outlive their connection": ("track/conn.c", "if (publish && lives)", "if (false && publish && lives)"),
    "one direction alone is the whole": ("track/state.h", "return (c->flags & C_FROM_SYN) == 0 && c->last_ns[slot] == INT64_MIN;", "(void)c, (void)slot;\n    return false;"),
    "what was not captured is held against its sender": ("track/conn.c", "c->pending |= (uint8_t)(P_UNSEEN <<", "c->pending |= (uint8_t)(0 <<"),
    "a session that had ended may go on": ("track/session.c", "judge_ended(t, c, s);", ";"),
    "what a take-over cut short is held against the server": ("track/session.c", "conn_release(t, old, true);\n    doubt_parked(s);", "conn_release(t, old, true);"),
    # limits
    "PUBREC gives the quota back": ("track/ack.c", "x->marks |= X_RECEIVED;\n", "x->marks |= X_RECEIVED;\n    quota_give(t, c, x);\n"),
    "PUBACK does not give the quota back": ("track/ack.c", "x->reason = in->packet->reason;\n    quota_give(t, c, x);\n", "x->reason = in->packet->reason;\n"),
    "the limits of CONNACK bind at once": ("track/limits.c", "bool proved = slot == 1 || connack_reached(t, c, in);", "bool proved = true;"),
    "the limits of CONNACK never bind": ("track/limits.c", "bool proved = slot == 1 || connack_reached(t, c, in);", "bool proved = slot == 1;"),
    "the greatest Topic Alias is too great": ("track/limits.c", "alias <= max || !conn_sure(c))", "alias < max || !conn_sure(c))"),
    "a mapping without room is held against the sender": ("track/limits.c", " || c->alias_lost[slot])", ")"),
    "the client's Topic Aliases are those of the server": ("track/limits.c", "[slot][alias] = topic_share(w);", "[0][alias] = topic_share(w);"),
    # subscriptions
    "a subscription that was never answered was refused": ("track/subscribe.c", "|| b->unsure;", ";"),
    "a shared subscription is like another": ("track/subscribe.c", "shared == r.matches ? MQTT_R5_4_8_2_3 : MQTT_R5_3_8_4_8", "MQTT_R5_3_8_4_8"),
    "UNSUBACK needs no codes": ("track/subscribe.c", "judge(t, c, MQTT_S5_3_11_3_A,", "judge(t, c, MQTT_RULE_NONE,"),
    "the latest grant counts, not the highest": ("track/subscribe.c", "b->best == NOT_ANSWERED || code > b->best", "true"),
    # from publisher to subscriber
    "any message comes from the latest PUBLISH": ("track/forward.c", "if (k->print == print && message_of(b, k)->print == print &&", "if ("),
    "RETAIN of an answer to SUBSCRIBE is held against the server": ("track/forward.c", "if (retain && r->published == 0 && r->settled)", "if (retain && r->published == 0)"),
    "User Properties may be in any order": ("track/forward.c", "(i != SENT_USER || fact[SENT_USER_SET] == from->fact[SENT_USER_SET])", "i != SENT_USER"),
    # time
    "the Keep Alive is the limit of the server": ("track/deadline.c", "int64_t budget = (int64_t)c->keep_alive_s * 1500000000;", "int64_t budget = (int64_t)c->keep_alive_s * 500000000;"),
    "the Keep Alive has no end": ("track/deadline.c", "int64_t budget = (int64_t)c->keep_alive_s * 1500000000;", "int64_t budget = (int64_t)c->keep_alive_s * 150000000000;"),
    "Server Keep Alive is not heeded": ("track/link.c", "c->server_ka = true;", ";"),
    "nobody waits for an answer": ("track/deadline.c", "if (say)\n            tell_late(", "if (false && say)\n            tell_late("),
    "a gap proves nothing": ("track/conn.c", "c->flags |= C_HOLE;\n    if (c->session != NULL) {", "if (c->session != NULL) {"),
    # latency
    "a percentile is one rank too low": ("stats/latency.c", "sorted[rank - 1]", "sorted[rank > 1 ? rank - 2 : 0]"),
    "a bucket is told by its upper end": ("stats/latency.c", "* 1000 + 500) << exponent", "* 1000 + 1500) << exponent"),
}


def copy_tree():
    shutil.rmtree(COPY, ignore_errors=True)
    for tree in ("decoder", "tests/decoder", "build/decoder", "build/tests/decoder"):
        shutil.copytree(tree, COPY / tree)
    for file in ("Makefile", "build/libdecoder.a", *map(str, pathlib.Path("fuzz").glob("*.mk")), *map(str, pathlib.Path("tests").glob("*.mk"))):
        (COPY / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, COPY / file)


def build():
    targets = [f"build/tests/decoder/{test}" for test in TESTS]
    return subprocess.run(["make", "-s", "-C", str(COPY), "DEPS=no", *targets], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)


def failing():
    """The tests that fail, each with the names of what in it failed."""
    caught = []
    for test in TESTS:
        try:
            done = subprocess.run([str(COPY / "build/tests/decoder" / test)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120, check=False,
                                  env={**os.environ, "CMOCKA_MESSAGE_OUTPUT": "TAP"})
        except subprocess.TimeoutExpired:
            caught.append(f"{test} (hangs)")
            continue
        if done.returncode != 0:
            caught.append(test)
    return caught


def plant(name):
    file, old, new = FAULTS[name]
    path = COPY / "decoder" / file
    text = pathlib.Path("decoder", file).read_text(encoding="utf-8")
    if text.count(old) != 1 or old == new:
        return None, f"its place is not in {file} ({text.count(old)} times)"
    path.write_text(text.replace(old, new), encoding="utf-8")
    done = build()
    caught = failing() if done.returncode == 0 else None
    path.write_text(text, encoding="utf-8")
    return caught, "" if done.returncode == 0 else "does not build: " + done.stdout[-800:]


def main():
    names = sys.argv[1:] or list(FAULTS)
    copy_tree()
    done = build()
    if done.returncode != 0 or failing():
        print("the tests fail without a fault", done.stdout[-2000:])
        return 1
    missed = 0
    began = time.monotonic()
    for name in names:
        caught, why = plant(name)
        missed += not caught
        print(f"{'caught' if caught else 'MISSED':<7} {name:<62} {why or ', '.join(caught)}", flush=True)
    shutil.rmtree(COPY, ignore_errors=True)
    print(f"{len(names) - missed} caught, {missed} missed, {time.monotonic() - began:.0f} s")
    return 1 if missed else 0


sys.exit(main())
