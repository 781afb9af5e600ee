#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mqfuzz as its users meet it: conformance, fuzzing, reports, exit statuses."""
import json
import os
import pathlib
import re
import signal
import xml.etree.ElementTree as xml

from harness import Stream, case, check, equal, free_port, main, program, run
from toys import scratch, toy

BROKER = f"{program('mqbroker')} -p {{port}}"


@case("the reference broker passes every probe that is judged")
def _():
    done = run("mqfuzz", "conform", "--spawn", BROKER)
    summary = done.out.decode().splitlines()[-1]
    equal(done.status, 0, f"status; {done.out.decode()[-1500:]}")
    probes, passed, failed, _hints, unknown, _na = map(int, re.findall(r"(\d+)", summary)[:6])
    check(probes >= 450 and failed == 0 and unknown == 0 and passed > 450, summary)


@case("a broker that leaves PUBCOMP out is found, with files that replay")
def _():
    with scratch() as out:
        junit, sarif = os.path.join(out, "junit.xml"), os.path.join(out, "report.sarif")
        faulty = f"{BROKER} --fault no-pubcomp"
        done = run("mqfuzz", "conform", "--spawn", faulty, "--version", "3.1.1", "--rule", "PUBCOMP", "--out", out,
                   "--junit", junit, "--sarif", sarif)
        equal(done.status, 3, f"status; {done.out.decode()[-1500:]} {done.err.decode()[-500:]}")
        suite = xml.parse(junit).getroot().find("testsuite")
        check(int(suite.get("failures")) >= 1, "JUnit counts the failure")
        equal(len(suite.findall("testcase/failure")), int(suite.get("failures")), "JUnit failures")
        with open(sarif, encoding="utf-8") as f:
            log = json.load(f)
        equal(log["version"], "2.1.0", "SARIF version")
        results = log["runs"][0]["results"]
        rules = {r["id"] for r in log["runs"][0]["tool"]["driver"]["rules"]}
        check(results and all(r["ruleId"] in rules and r["message"]["text"] for r in results), "SARIF results name their rules")
        plans = sorted(pathlib.Path(out).glob("*.plan"))
        check(plans, "a plan was written")
        again = run("mqfuzz", "--replay", plans[0], "--spawn", faulty, "--version", "3.1.1")
        equal(again.status, 3, f"replay; {again.out.decode()} {again.err.decode()}")
        well = run("mqfuzz", "--replay", plans[0], "--spawn", BROKER, "--version", "3.1.1")
        equal(well.status, 0, f"replay on a broker without the fault; {well.out.decode()} {well.err.decode()}")
        rows = run("mqdump", "-r", str(plans[0])[:-5] + ".pcapng")
        equal(rows.status, 0, f"mqdump reads the capture; {rows.err.decode()}")
        check(b"PUBREL" in rows.out, rows.out.decode())


@case("a broker that ends is started again, all is asked, and which probe it was is said")
def _():
    with scratch() as out:
        done = run("mqfuzz", "conform", "--spawn", f"{BROKER} --fault crash-subscribe", "--version", "3.1.1", "--rule", "wildcard",
                   "--verbose", "--out", out)
        text = done.out.decode()
        equal(done.status, 3, f"{text} {done.err.decode()}")
        ends = re.findall(r"^FAIL +broker +the broker ended by signal 6 .* during '(.*)'(.*)", text, re.M)
        equal(ends, [("a wildcard subscription gets them too", "")], "one probe does it, and that alone")
        listed = run("mqfuzz", "--list", "--version", "3.1.1", "--rule", "wildcard").out.decode().splitlines()
        check(len(listed) > 3 and text.splitlines()[-1].startswith(f"{len(listed)} probes: "), "the others were asked, too")
        plan = next(pathlib.Path(out).glob("crash-3.1.1-*.plan"))
        equal(run("mqfuzz", "--replay", plan, "--spawn", f"{BROKER} --fault crash-subscribe").status, 3, "its plan replays")
        report = plan.with_suffix(".md").read_text()
        check(re.search(r"The broker's last words:\n.*listening", report, re.S), report)


@case("a broker that serves nobody any more is started again, and which probe it was is said")
def _():
    with scratch() as out:
        done = run("mqfuzz", "conform", "--spawn", toy("freezes", "{port}", program("mqbroker")), "--version", "3.1.1", "--rule", "refused",
                   "--out", out)
        text = done.out.decode()
        equal(done.status, 3, f"{done}")
        told = re.findall(r"^FAIL +broker +the broker serves nobody any more during '(.*)'(.*)", text, re.M)
        equal(told, [("an unknown protocol level is refused and closed", "")], f"{done}")
        check("\n6 probes: 3 pass, 1 fail, 0 hints, 0 unknown, 2 not applicable" in text, f"{done}")
        check(list(pathlib.Path(out).glob("hang-3.1.1-*.plan")), "its plan")


@case("conform tells what a sanitizer reported of a broker that goes on: each place once, and which probe it was")
def _():
    with scratch() as out:
        grumbling = toy("grumbles", "{port}", program("mqbroker"))
        done = run("mqfuzz", "conform", "--spawn", grumbling, "--version", "3.1.1", "--rule", "refused", "--out", out)
        text = done.out.decode()
        equal(done.status, 3, f"{text} {done.err.decode()}")
        told = re.findall(r"^FAIL +sanitizer +UndefinedBehaviorSanitizer: undefined-behavior x.c:(\d):1 during '(.*)'(.*)", text, re.M)
        equal(sorted(place for place, _, _ in told), ["2", "4", "5"], text)
        check(all("refused" in title and beside == "" for _, title, beside in told), f"{told}")
        listed = run("mqfuzz", "--list", "--version", "3.1.1", "--rule", "refused").out.decode().splitlines()
        check(text.splitlines()[-1].startswith(f"{len(listed)} probes: "), f"all of {len(listed)} were asked: {text}")
        report = sorted(pathlib.Path(out).glob("sanitizer*.md"))[0].read_text()
        check("the broker goes on" in report and "runtime error: no good" in report, report)


@case("a report that waits for another's is told of the probe that does it, though that has had its answer")
def _():
    done = run("mqfuzz", "conform", "--spawn", toy("mumbles", "{port}", program("mqbroker")), "--jobs", "2", "--version", "3.1.1",
               "--rule", "refused")
    told = re.findall(rb"^FAIL +sanitizer .* x.c:(\d):1 during '(.*)'(.*)", done.out, re.M)
    equal(sorted(told), [(b"4", b"an unknown protocol level is refused and closed", b""),
                         (b"5", b"an empty client identifier with CleanSession 0 is refused with 0x02", b"")], f"{done}")


@case("what a sanitizer reports before the first probe and behind the last one is told, too")
def _():
    done = run("mqfuzz", "conform", "--spawn", toy("sighs", "{port}", program("mqbroker")), "--version", "3.1.1", "--rule", "PINGREQ is answered")
    equal(done.status, 3, f"{done}")
    told = re.findall(rb"^FAIL +sanitizer +UndefinedBehaviorSanitizer: undefined-behavior (x.c:\d:1) (with no probe under way|during .*)$", done.out, re.M)
    # the second comes when the last client has left: whether conform has gone, too, is chance
    check([place for place, _ in told] == [b"x.c:7:1", b"x.c:8:1"] and told[0][1] == b"with no probe under way", f"{done}")
    check(b"1 probes: 1 pass, 0 fail, " in done.out and b"2 reports of sanitizers" in done.out, f"{done}")


@case("a report of a broker that cannot be started again is told, and that the rest is left out")
def _():
    with scratch() as out:
        grumbling = toy("grumbles", "{port}", program("mqbroker"), out / "there")
        done = run("mqfuzz", "conform", "--spawn", grumbling, "--version", "3.1.1", "--rule", "refused")
        equal(done.status, 3, f"{done}")
        check(re.search(rb"^FAIL +sanitizer .* x.c:[245]:1 during '.*' .or a probe beside it", done.out, re.M), f"{done}")
        check(b"does not start again; the other probes are left out" in done.err, f"{done}")


@case("a baseline silences what is known")
def _():
    with scratch() as out:
        known = pathlib.Path(out, "baseline")
        first = run("mqfuzz", "conform", "--spawn", f"{BROKER} --fault no-pubcomp", "--version", "3.1.1")
        rules = set(re.findall(r"^FAIL +3\.1\.1 +(\S+)", first.out.decode(), re.M))
        check(rules, "findings without a baseline")
        known.write_text("# known\n" + "\n".join(f"{r} 3.1.1" for r in rules) + "\n")
        done = run("mqfuzz", "conform", "--spawn", f"{BROKER} --fault no-pubcomp", "--version", "3.1.1", "--baseline", known)
        equal(done.status, 0, done.out.decode()[-800:])


@case("a crash is found, named and made small")
def _():
    with scratch() as out:
        crasher = f"{program('mqbroker')} -p {{port}} --fault crash-on-connect"
        listed = run("mqbroker", "--help")
        faults = re.findall(r"\bcrash-[a-z0-9-]+", listed.out.decode() + run("mqbroker", "--fault", "help").out.decode())
        check(faults, "mqbroker names its crash faults")
        crasher = f"{program('mqbroker')} -p {{port}} --fault {sorted(set(faults))[0]}"
        done = run("mqfuzz", "run", "--spawn", crasher, "--seed", "1", "--time", "40s", "--runs", "4000", "--out", out)
        equal(done.status, 3, f"status; {done.out.decode()[-800:]} {done.err.decode()[-800:]}")
        check(re.search(r"^FINDING +crash ", done.out.decode(), re.M), done.out.decode())
        check(list(pathlib.Path(out).glob("crash*.plan")), "its plan was written")


@case("a long plan of four clients becomes small, and its finding replays")
def _():
    with scratch() as out:
        lines = ["version 5"] + [f"{c} > connect id=~{c}\n{c} <? connack" for c in "abcd"]
        for n in range(1, 61):
            extra = " content_type=x correlation_data=y" if n == 41 else ""
            lines.append(f"{'abcd'[n % 4]} > publish qos=1 id={n} topic=~/{n}/t/u payload=~.{n} user_property=a:b{extra}")
        plan = pathlib.Path(out, "long.plan")
        plan.write_text("\n".join(lines) + "\n")
        crasher = f"{BROKER} --fault crash-property"
        done = run("mqfuzz", "--minimize", plan, "--spawn", crasher)
        equal(done.status, 3, f"status; {done.out.decode()} {done.err.decode()}")
        small = done.out.decode()
        sent = [line for line in small.splitlines() if re.match(r"[a-h] >", line)]
        check(len(sent) == 2 and "connect" in sent[0] and "publish" in sent[1], small)
        check("user_property" not in small and "/t/u" not in small, f"simpler: {small}")
        shown, tries = map(int, re.search(r"replays (\d+) of (\d+)", small).groups())
        check(shown == tries and tries >= 5, small)
        plan.write_text(small)
        equal(run("mqfuzz", "--replay", plan, "--spawn", crasher).status, 3, "replay of what is left")


@case("a message that goes astray is named by its guarantee")
def _():
    with scratch() as out:
        done = run("mqfuzz", "run", "--spawn", f"{BROKER} --fault swap-order", "--seed", "1", "--time", "60s", "--runs", "3000",
                   "--version", "3.1.1", "--out", out)
        equal(done.status, 3, f"status; {done.out.decode()} {done.err.decode()}")
        check(re.search(r"^FINDING +guarantee .*order.*\[MQTT-4\.6\.0-6\]$", done.out.decode(), re.M), done.out.decode())
        plan = next(pathlib.Path(out).glob("*4.6.0-6*.plan"))
        faulty = run("mqfuzz", "--replay", plan, "--spawn", f"{BROKER} --fault swap-order")
        equal(faulty.status, 3, f"replay; {faulty.out.decode()}")
        equal(run("mqfuzz", "--replay", plan, "--spawn", BROKER).status, 0, "the same plan at a broker without the fault")


@case("the same seed says the same to a broker that answers the same")
def _():
    with scratch() as out:
        heard = []
        for n in "ab":
            log = os.path.join(out, n)
            done = run("mqfuzz", "run", "--spawn", toy("mute", "{port}", log), "--seed", "7", "--runs", "30")
            check(b"seed 7" in done.err and b"30 plans" in done.out, f"{done.out.decode()} {done.err.decode()}")
            heard.append(sorted(pathlib.Path(log).read_bytes().split(b"\n--\n")))
        check(len(heard[0]) > 30, f"{len(heard[0])} connections")
        equal(heard[0], heard[1], "octets of all connections")


@case("usage errors are one line and status 1")
def _():
    for argv in ([], ["--target", "127.0.0.1:1", "--spawn", "x {port}"], ["--spawn", "no port"], ["--seed", "x"], ["jump"],
                 ["--time", "soon", "--target", "1"], ["--version", "6", "--target", "1", "--no-such"], ["--jobs", "0"]):
        done = run("mqfuzz", *argv)
        equal(done.status, 1, f"{argv}: {done.err.decode()}")
        check(done.out == b"" and b"--help" in done.err, f"{argv}: {done.err.decode()}")
    equal(run("mqfuzz", "--version").out.split()[0], b"mqfuzz", "--version")
    equal(run("mqfuzz", "--help").status, 0, "--help")


@case("what cannot run is status 2 and says why")
def _():
    port = free_port()
    nobody = run("mqfuzz", "conform", "--target", f"127.0.0.1:{port}", "--rule", "MQTT-3.1.0-2")
    equal(nobody.status, 2, "nobody listens")
    check(b"no broker at 127.0.0.1:" in nobody.err, nobody.err.decode())
    equal(run("mqfuzz", "run", "--target", f"127.0.0.1:{port}").status, 2, "run without a broker")
    for command in ("conform", "run"):  # a port that is open and nobody who speaks MQTT behind it
        for mode in ("silent", "missing"):
            strange = run("mqfuzz", command, "--spawn", toy(mode), "--time", "5s")
            check(strange.status == 2 and re.search(rb"lets? (no|a) plain (MQTT 3.1.1 )?client in", strange.err), f"{command} {mode}: {strange}")
    nothing = run("mqfuzz", "conform", "--spawn", BROKER, "--rule", "MQTT-9")
    check(nothing.status == 2 and b"--list" in nothing.err, f"no such rule: {nothing}")
    no_port = run("mqfuzz", "run", "--target", "localhost")
    check(no_port.status == 2 and b"not HOST:PORT" in no_port.err, f"{no_port}")
    remote = run("mqfuzz", "run", "--target", "192.0.2.1:1883")
    equal(remote.status, 2, "remote")
    check(b"--allow-remote" in remote.err, remote.err.decode())
    missing = run("mqfuzz", "run", "--spawn", "/no/such/broker {port}")
    equal(missing.status, 2, "no such program")
    check(b"ended with status" in missing.err, missing.err.decode())
    early = run("mqfuzz", "run", "--spawn", "true {port}")
    equal(early.status, 2, "a broker that ends at once")
    full = run("mqfuzz", "conform", "--spawn", BROKER, "--rule", "PINGREQ is answered", "--junit", "/dev/full/x")
    equal(full.status, 2, "a report that cannot be written")
    nodir = run("mqfuzz", "conform", "--spawn", BROKER, "--out", "/proc/nothing")
    equal(nodir.status, 2, "no directory")
    plan = run("mqfuzz", "--replay", "/no/such.plan", "--spawn", BROKER)
    equal(plan.status, 2, "no plan")


@case("a version that is not spoken is left out, and by which answer is said")
def _():
    with scratch() as out:
        junit = os.path.join(out, "junit.xml")
        done = run("mqfuzz", "conform", "--spawn", toy("old"), "--rule", "PINGREQ is answered", "--verbose", "--junit", junit)
        equal(done.status, 0, f"{done}")
        text = done.out.decode()
        check(re.search(r"^n/a +3\.1 +- +not tested: CONNECT was answered with return code 1 \(", text, re.M), text)
        check(re.search(r"^n/a +5\.0 +- +not tested: CONNECT was answered with a close$", text, re.M), text)
        check(re.search(r"^pass +3\.1\.1 +MQTT-3\.12\.4-1 ", text, re.M) and "\n1 probes: 1 pass" in text, text)
        names = [case.get("name") for case in xml.parse(junit).iter("testcase")]
        equal(sum("not tested" in name for name in names), 2, f"JUnit says it, too: {names}")


@case("a message may come once for each Subscription Identifier, one behind the other")
def _():
    done = run("mqfuzz", "conform", "--spawn", toy("copies"), "--version", "5", "--rule", "MQTT-3.3.4-4", "--verbose")
    check(done.status == 0 and b"1 pass, 0 fail" in done.out, f"{done}")


@case("Ctrl-C ends a run with its report")
def _():
    with scratch() as out:
        junit = os.path.join(out, "junit.xml")
        with Stream([program("mqfuzz"), "run", "--spawn", BROKER, "--time", "60s", "--seed", "5", "--junit", junit]) as child:
            child.line("seed 5", err=True)
            child.child.send_signal(signal.SIGINT)
            done = child.finish(deadline_s=40)
        check(done.status in (0, 3), f"{done.status} {done.err.decode()}")
        check(b" plans, " in done.out, done.out.decode())
        check(xml.parse(junit).getroot().tag == "testsuites", "JUnit")


main()
