#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a broker wants before mqfuzz can test it: a user, TLS, a set-up plan."""
import re
import subprocess

from harness import Stream, case, check, equal, free_port, main, program, run
from toys import scratch, toy


def guarded(folder):
    """A broker that lets nobody in but joe."""
    passwords = folder / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "joe", "secret"], check=True, capture_output=True)
    return f"{program('mqbroker')} -q -p {{port}} --password-file {passwords}"


@case("user and password go with every CONNECT that is valid, in run and in conform")
def _():
    with scratch() as folder:
        broker = guarded(folder)
        refused = run("mqfuzz", "run", "--spawn", broker, "--runs", "5")
        equal(refused.status, 2, f"without a user: {refused}")
        check(b"return code 5" in refused.err and b"--user" in refused.err, refused.err.decode())
        outside = run("mqfuzz", "conform", "--spawn", broker)
        check(outside.status == 2 and outside.out == b"" and b"--user" in outside.err, f"nothing is held against it: {outside}")
        wrong = run("mqfuzz", "run", "--spawn", broker, "--runs", "5", "--user", "joe", "--password", "guess")
        equal(wrong.status, 2, f"wrong password: {wrong}")
        right = run("mqfuzz", "run", "--spawn", broker, "--runs", "200", "--seed", "1", "--user", "joe", "--password", "secret")
        equal(right.status, 0, f"with the password: {right}")
        env = run("mqfuzz", "conform", "--spawn", broker, "--user", "joe", "--rule", "PINGREQ is answered", "--verbose",
                  env={"MQFUZZ_PASSWORD": "secret"})
        equal(env.status, 0, f"conform: {env}")
        check(b"pass " in env.out and b" 0 unknown" in env.out, env.out.decode())


@case("what a broker says it lacks is held against nobody, in no version")
def _():
    mean = ("--max-qos 1 --no-retain --no-wildcards --no-shared --no-subscription-ids --receive-maximum 1 --topic-alias-maximum 0 "
            "--max-session-expiry 0 --max-keep-alive 2 --max-packet-size 2000")
    done = run("mqfuzz", "conform", "--spawn", f"{program('mqbroker')} -q -p {{port}} {mean}")
    equal(done.status, 0, done.out.decode()[-1500:])
    _, passed, failed, _, unknown, lacking = map(int, re.findall(r"(\d+)", done.out.decode().splitlines()[-1])[:6])
    check(passed > 350 and failed == 0 and unknown == 0 and lacking > 100, done.out.decode()[-300:])
    why = re.findall(r"^n/a .*\n +(.*)$", done.out.decode(), re.M)
    check(any("Retain Available 0, and client a published with RETAIN 1" in line for line in why), f"{why[:20]}")
    deny = run("mqfuzz", "conform", "--spawn", f"{program('mqbroker')} -q -p {{port}} --acl-file /dev/null")
    check(deny.status == 2 and b"FAIL" not in deny.out and b"the right to topics like that?" in deny.err, f"denies everything: {deny}")
    with scratch() as folder:  # as mosquitto does it: granted, acknowledged, and never delivered
        folder.chmod(0o755)
        (folder / "acl").touch()
        silent = run("mqfuzz", "conform", "--version", "3.1.1", "--rule", "reaches every subscriber", "--spawn",
                     f"sh -c 'printf \"listener {{port}} 127.0.0.1\\nallow_anonymous true\\nacl_file {folder}/acl\\n\" "
                     f">{folder}/conf; exec mosquitto -c {folder}/conf'")
        check(silent.status == 2 and b" 0 fail" in silent.out and b"the right to topics like that?" in silent.err, f"{silent}")


@case("TLS: trusted by its certificate, or by --insecure, else refused with the reason")
def _():
    with scratch() as folder:
        cert, key, conf = folder / "cert.pem", folder / "key.pem", folder / "conf"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2",
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True)
        for file in (cert, key):
            file.chmod(0o644)
        folder.chmod(0o755)
        # mosquitto takes no {port} within its file: the shell writes the file first
        conf_text = (f"listener {{port}} 127.0.0.1\\ncertfile {cert}\\nkeyfile {key}\\nallow_anonymous true\\n")
        broker = f"sh -c 'printf \"{conf_text}\" >{conf}; exec mosquitto -c {conf}'"
        doubtful = run("mqfuzz", "run", "--spawn", broker, "--runs", "5", "--tls")
        equal(doubtful.status, 2, f"{doubtful}")
        check(b"self-signed" in doubtful.err, doubtful.err.decode())
        for options in (["--insecure"], ["--cafile", cert]):
            done = run("mqfuzz", "conform", "--spawn", broker, *options, "--rule", "PINGREQ is answered", "--verbose")
            equal(done.status, 0, f"{options}: {done}")
            check(b"pass " in done.out and b" 0 unknown" in done.out, done.out.decode())
        fuzzed = run("mqfuzz", "run", "--spawn", broker, "--cafile", cert, "--runs", "50", "--seed", "1")
        check(b"50 plans" in fuzzed.out, f"{fuzzed}")
        plain = run("mqfuzz", "run", "--spawn", f"{program('mqbroker')} -q -p {{port}}", "--tls", "--runs", "5")
        equal(plain.status, 2, f"TLS with a broker that has none: {plain}")
        check(b"no TLS with the broker" in plain.err, plain.err.decode())
        equal(run("mqfuzz", "run", "--target", str(free_port()), "--cafile", "/no/such").status, 2, "no such file")


@case("WebSocket: every probe as over TCP, fuzzing, and by TLS")
def _():
    broker = f"{program('mqbroker')} -q -p 0 --websocket-port {{port}}"
    done = run("mqfuzz", "conform", "--spawn", broker, "--websocket", "/mqtt")
    equal(done.status, 0, f"{done}")
    probes, passed, failed, _hints, unknown, _na = map(int, re.findall(r"(\d+)", done.out.decode().splitlines()[-1])[:6])
    check(probes >= 450 and passed > 450 and failed == 0 and unknown == 0, done.out.decode()[-300:])
    fuzzed = run("mqfuzz", "run", "--spawn", broker, "--websocket", "/mqtt", "--runs", "100", "--seed", "1")
    check(fuzzed.status == 0 and b"100 plans" in fuzzed.out, f"{fuzzed}")
    with scratch() as folder:
        cert, key = folder / "cert.pem", folder / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2",
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True)
        under, port = free_port(), free_port()
        with Stream([program("mqbroker"), "-q", "-p", "0", "--websocket-port", str(under)]) as plain, \
                Stream(toy("tls", port, under, cert, key).split()):
            plain.line("listening", err=False)
            for _ in range(100):
                secure = run("mqfuzz", "conform", "--target", f"wss://localhost:{port}/mqtt", "--cafile", cert, "--rule", "PINGREQ is answered")
                if b"no broker at" not in secure.err:
                    break
            equal(secure.status, 0, f"{secure}")
            check(b"3 pass" in secure.out, secure.out.decode())


@case("WebSocket: what is wrong with it is told")
def _():
    with scratch() as folder:
        for mode, told in (("missing", b"404 Not Found"), ("nameless", b"[MQTT-6.0.0-4]")):
            done = run("mqfuzz", "run", "--spawn", toy(mode), "--websocket", "/x", "--runs", "5")
            equal(done.status, 2, f"{mode}: {done}")
            check(b"no WebSocket with the broker" in done.err and told in done.err, f"{mode}: {done}")
        text = run("mqfuzz", "conform", "--spawn", toy("text"), "--websocket", "/x", "--rule", "PINGREQ is answered")
        check(text.status == 3 and b"text frame [MQTT-6.0.0-1]" in text.out, f"{text}")
        cut = folder / "cut.plan"  # a packet in two frames, a ping and an empty frame between them; for the pong, goodbye
        cut.write_text("version 3.1.1\na > connect\na <! connack reason=0\na <! closed\n")
        whole = run("mqfuzz", "--replay", cut, "--spawn", toy("ping"), "--websocket", "/x")
        equal(whole.status, 0, f"{whole}")
    plain = run("mqfuzz", "run", "--spawn", f"{program('mqbroker')} -q -p {{port}}", "--websocket", "/mqtt", "--runs", "5")
    equal(plain.status, 2, f"WebSocket with a broker that has none: {plain}")
    check(b"no WebSocket with the broker" in plain.err, plain.err.decode())
    for url in ("ws://", "ws:///mqtt", "ws://127.0.0.1:x/", "ws://192.0.2.1/"):
        done = run("mqfuzz", "run", "--target", url, "--runs", "1")
        check(done.status == 2 and done.err.startswith(b"mqfuzz: "), f"{url}: {done}")
    equal(run("mqfuzz", "run", "--target", "1883", "--websocket", "mqtt").status, 1, "no path")


@case("a set-up plan is carried out first, and has to succeed")
def _():
    with scratch() as folder:
        good, bad = folder / "good.plan", folder / "bad.plan"
        good.write_text("a > connect\na < connack reason=0\na > publish topic=setup/done qos=1 id=1 payload=x retain=1\na < puback id=1\n")
        bad.write_text("a > connect\na < connack reason=5 200ms\n")
        broker = f"{program('mqbroker')} -q -p {{port}}"
        equal(run("mqfuzz", "run", "--spawn", broker, "--runs", "5", "--seed", "1", "--setup", good).status, 0, "good")
        failed = run("mqfuzz", "run", "--spawn", broker, "--runs", "5", "--setup", bad)
        equal(failed.status, 2, f"bad: {failed}")
        check(b"the set-up does not succeed" in failed.err, failed.err.decode())
        check_plan = folder / "check.plan"  # what the set-up left behind is there
        check_plan.write_text("a > connect\na < connack\na > subscribe id=1 sub=0:setup/#\na <! publish topic=setup/done payload=x\n")
        done = run("mqfuzz", "--replay", check_plan, "--spawn", broker, "--setup", good)
        equal(done.status, 0, f"{done}")
        equal(run("mqfuzz", "--replay", check_plan, "--spawn", broker).status, 3, "and without it is not")


main()
