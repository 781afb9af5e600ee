#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What CI takes from mqfuzz: SARIF and JUnit as they are defined, and the steps of action.yml and of docs/your-broker.md."""
import json
import os
import pathlib
import re
import subprocess
import xml.etree.ElementTree as xml

from harness import ROOT, case, check, equal, main, program, run
from toys import scratch

BROKER = f"{program('mqbroker')} -q -p {{port}}"

# SARIF 2.1.0 (OASIS), what of it mqfuzz uses: "name!" is required; no object there may have other members than its own, of which
# these are some. A list holds objects of its one element.
TEXT = {"text!": str}
SARIF = {"$schema": "uri", "version!": ("2.1.0",), "runs!": [{
    "tool!": {"driver!": {"name!": str, "version": str, "informationUri": "uri", "rules": [{"id!": str, "shortDescription": TEXT}]}},
    "results": [{
        "ruleId": str, "level": ("none", "note", "warning", "error"), "message!": TEXT,
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": "uri-reference"}, "region": {"startLine": 1}},
                       "logicalLocations": [{"fullyQualifiedName": str}]}],
        "partialFingerprints": {"primaryLocationLineHash": str}}]}]}


def fits(value, schema, where="log"):
    if isinstance(schema, dict):
        check(isinstance(value, dict), f"{where} is an object: {value}")
        names = {name.rstrip("!"): of for name, of in schema.items()}
        check(set(value) <= set(names), f"{where}: {set(value) - set(names)} is unknown")
        check(all(n[:-1] in value for n in schema if n[-1] == "!"), f"{where} lacks something: {value}")
        for name, member in value.items():
            fits(member, names[name], f"{where}.{name}")
    elif isinstance(schema, list):
        check(isinstance(value, list), f"{where} is a list: {value}")
        for n, element in enumerate(value):
            fits(element, schema[0], f"{where}[{n}]")
    elif isinstance(schema, tuple):
        check(value in schema, f"{where}: {value}")
    elif schema == 1:
        check(isinstance(value, int) and value >= 1, f"{where}: {value}")
    else:
        check(isinstance(value, str) and value, f"{where}: {value!r}")
        check(schema != "uri" or re.fullmatch(r"[a-z]+:[!-~]+", value), f"{where}: {value}")
        check(schema != "uri-reference" or re.fullmatch(r"(?:%[0-9A-F]{2}|[A-Za-z0-9/._~:-])+", value), f"{where}: {value}")


def sarif(path, folder):
    """The findings of a log that is as it has to be: rule -> fingerprint."""
    log = json.loads(path.read_text())
    fits(log, SARIF)
    (one,) = log["runs"]
    rules = [rule["id"] for rule in one["tool"]["driver"]["rules"]]
    equal(len(set(rules)), len(rules), "each rule once")
    for result in one["results"]:
        check(result["ruleId"] in rules, f"{result['ruleId']} is described")
        uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        check((folder / uri.replace("%20", " ")).is_file(), f"{uri} is there")
    marks = [result["partialFingerprints"]["primaryLocationLineHash"] for result in one["results"]]
    equal(len(set(marks)), len(marks), "fingerprints differ")
    return marks


def junit(path):
    """Failures of a report whose counts are right."""
    suites = xml.parse(path).getroot()
    equal(suites.tag, "testsuites", "root")
    (suite,) = suites
    cases = suite.findall("testcase")
    equal(len(cases), int(suite.get("tests")), "tests")
    equal(len(suite), len(cases), "nothing else")
    for kind, count in (("failure", "failures"), ("skipped", "skipped"), ("error", "errors")):
        equal(sum(len(c.findall(kind)) for c in cases), int(suite.get(count)), count)
    for c in cases:
        check(c.get("name") and c.get("classname") is not None and float(c.get("time")) >= 0 and len(c) <= 1, xml.tostring(c))
    return int(suite.get("failures"))


@case("SARIF 2.1.0 and JUnit are what they are defined to be, and the same finding has the same fingerprint")
def _():
    with scratch() as folder:
        marks = []
        for _ in range(2):
            done = run("mqfuzz", "conform", "--spawn", f"{BROKER} --fault no-pubcomp", "--version", "3.1.1", "--rule", "PUB", "--out",
                       "out here", "--sarif", "s", "--junit", "j", cwd=folder)
            equal(done.status, 3, f"{done}")
            marks.append(sarif(folder / "s", folder))
            equal(junit(folder / "j"), len(marks[-1]), "as many failures")
        equal(sorted(marks[0]), sorted(marks[1]), "fingerprints")
        done = run("mqfuzz", "run", "--spawn", f"{BROKER} --fault connack-flags", "--seed", "1", "--runs", "5", "--out", folder / "o", "--sarif",
                   folder / "s", "--junit", folder / "j")
        equal(done.status, 3, f"{done}")
        log = json.loads((folder / "s").read_text())
        fits(log, SARIF)
        uri = log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        check(uri.startswith("file:///") and pathlib.Path(uri[7:]).is_file(), uri)
        equal(junit(folder / "j"), len(log["runs"][0]["results"]), "as many failures")
        crash = run("mqfuzz", "conform", "--spawn", f"{BROKER} --fault crash-takeover", "--sarif", folder / "s", "--junit", folder / "j")
        equal(crash.status, 3, f"{crash}")
        fits(json.loads((folder / "s").read_text()), SARIF)
        check(junit(folder / "j") >= 1, "the crash is a failure")


def indented(text, behind, column):
    """The lines behind one that are indented so far, without it."""
    lines = text.split(behind + "\n", 1)[1].split("\n")
    block = []
    for line in lines:
        if line.strip() and not line.startswith(" " * column):
            break
        block.append(line[column:])
    return "\n".join(block)


def bash(script, folder, **environment):
    """As GitHub and GitLab run the lines of a step."""
    return subprocess.run(["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script], cwd=folder, env={**os.environ, **environment},
                          capture_output=True, timeout=200, check=False)


def action(folder, **given):
    """The last step of action.yml with these inputs."""
    text = (ROOT / "action.yml").read_text()
    inputs = dict(re.findall(r"^  (\w+):\n    description: .*\n    default: \"?(.*?)\"?$", text, re.M)) | given
    step = text.split("- name: run mqfuzz\n")[1]
    names = dict(re.findall(r"^        (\w+): \$\{\{ inputs\.(\w+) \}\}$", step, re.M))
    check(set(names.values()) == set(inputs) and len(inputs) == 9, f"every input is used: {names} {inputs}")
    (folder / "build").unlink(missing_ok=True)
    (folder / "build").symlink_to(pathlib.Path(program("mqfuzz")).parent)
    return bash(indented(step, "      run: |", 8), folder, GITHUB_ACTION_PATH=str(folder), **{n: inputs[i] for n, i in names.items()})


@case("the step of action.yml")
def _():
    with scratch() as folder:
        clean = action(folder, spawn=BROKER, time="2s", versions="3.1.1", corpus="corpus", jobs="1")
        equal(clean.returncode, 0, f"{clean}")
        for name in ("conform.xml", "run.xml"):
            equal(junit(folder / "mqfuzz-out" / name), 0, name)
        for name in ("conform.sarif", "run.sarif"):
            equal(sarif(folder / "mqfuzz-out" / name, folder), [], name)
        check(list((folder / "corpus").glob("*/queue/id*")), "the corpus was kept")
        found = action(folder, spawn=f"{BROKER} --fault connack-flags", time="0s", versions="3.1.1", options="--rule MQTT-3.2.2-1", out="o")
        equal(found.returncode, 3, f"{found}")
        check(sarif(folder / "o/conform.sarif", folder) and not (folder / "o/run.xml").exists(), "conform alone")
        (folder / "known").write_text("S4-3.2.2.1-a\nMQTT-3.2.2-1\n")  # of a client that speaks 5.0 all the same, too
        known = action(folder, spawn=f"{BROKER} --fault connack-flags", time="2s", versions="3.1.1", conform="false", baseline="known",
                       jobs="1", options="--seed 1 --runs 20")
        equal(known.returncode, 0, f"{known}")
        equal(action(folder, spawn="false {port}", time="2s").returncode, 2, "no broker")


@case("the snippet for GitLab")
def _():
    snippet = indented((ROOT / "docs/your-broker.md").read_text(), "    mqfuzz:", 4)
    lines = [line.strip()[2:] for line in indented("\n" + snippet, "  script:", 4).split("\n")]
    script = "\n".join(line for line in lines if line).replace("--time 120s", "--time 1s").replace("conform --", "conform --rule assigned --")
    equal(script.count("./broker --port {port}"), 2, "the broker of the reader")
    with scratch() as folder:
        (folder / "mqshark").mkdir()
        (folder / "mqshark/build").symlink_to(pathlib.Path(program("mqfuzz")).parent)
        (folder / "ci").mkdir()
        for baseline, status in (("", 3), ("MQTT-3.2.2-16 5.0\n", 0)):
            (folder / "ci/mqfuzz-known").write_text(baseline)
            faulty = f"{BROKER} --fault no-assigned-id"
            done = bash(script.replace("./broker --port {port}", faulty), folder)
            equal(done.returncode, status, f"{done}")
            check((junit(folder / "conform.xml") > 0) == (status == 3), "what was found is in the report")
            check(status == 3 or junit(folder / "run.xml") == 0, "run goes on after conform")


main()
