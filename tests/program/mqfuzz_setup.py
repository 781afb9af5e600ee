#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a broker wants before mqfuzz can test it: a user, TLS, a set-up plan."""
import contextlib
import pathlib
import subprocess
import tempfile

from harness import case, check, equal, free_port, main, program, run


@contextlib.contextmanager
def scratch():
    with tempfile.TemporaryDirectory(prefix="mqfuzz-") as path:
        yield pathlib.Path(path)


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
        wrong = run("mqfuzz", "run", "--spawn", broker, "--runs", "5", "--user", "joe", "--password", "guess")
        equal(wrong.status, 2, f"wrong password: {wrong}")
        right = run("mqfuzz", "run", "--spawn", broker, "--runs", "200", "--seed", "1", "--user", "joe", "--password", "secret")
        equal(right.status, 0, f"with the password: {right}")
        env = run("mqfuzz", "conform", "--spawn", broker, "--user", "joe", "--rule", "MQTT-3.12.4-1", "--verbose",
                  env={"MQFUZZ_PASSWORD": "secret"})
        equal(env.status, 0, f"conform: {env}")
        check(b"pass " in env.out and b" 0 unknown" in env.out, env.out.decode())


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
            done = run("mqfuzz", "conform", "--spawn", broker, *options, "--rule", "MQTT-3.12.4-1", "--verbose")
            equal(done.status, 0, f"{options}: {done}")
            check(b"pass " in done.out and b" 0 unknown" in done.out, done.out.decode())
        fuzzed = run("mqfuzz", "run", "--spawn", broker, "--cafile", cert, "--runs", "50", "--seed", "1")
        check(b"50 plans" in fuzzed.out, f"{fuzzed}")
        plain = run("mqfuzz", "run", "--spawn", f"{program('mqbroker')} -q -p {{port}}", "--tls", "--runs", "5")
        equal(plain.status, 2, f"TLS with a broker that has none: {plain}")
        check(b"no TLS with the broker" in plain.err, plain.err.decode())
        equal(run("mqfuzz", "run", "--target", str(free_port()), "--cafile", "/no/such").status, 2, "no such file")


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
