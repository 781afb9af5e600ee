#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What make does around the fuzz targets.

fuzz/run.py fuzz TARGET SECONDS [OPTION...]   one target in libFuzzer
fuzz/run.py all SECONDS [SEED] every target in turn, and a table: executions per second, coverage, new inputs, findings;
                              the same SEED and corpus begin alike, 0 is a new one each time
fuzz/run.py corpus [TARGETS]  makes the seeds anew and minimises corpus/
fuzz/run.py coverage          a table of lines and branches per file, and of the goals, from the profiles of replaying corpus/
fuzz/run.py planted [NAMES]   plants each bug of tests/fuzz/planted/, one at a time, and sees it found
fuzz/run.py options TARGET    what libFuzzer is told of it; shape TARGET: what its inputs are

The engines and targets are built before by make (fuzz/fuzz.mk). Exit status 0, or 3 when something was found or not found."""
import glob
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time

BUILD = "build-fuzz"
MERGE = "build-corpus"  # without optimization, where each condition is an edge of its own
SOURCES = ("decoder", "capture", "fuzz", "tui", "tests/target")
# What libFuzzer is told of a target, as in the .options file of ClusterFuzz.
OPTIONS = {"capture": {"max_len": 16384}, "stream": {"max_len": 1024}, "filter": {"max_len": 512},
           "decode": {"use_counters": 0, "entropic": 0}} # the same edges at five times the speed


def targets():
    return sorted(os.path.basename(path)[:-2] for path in glob.glob("fuzz/target/*.c") + glob.glob("tests/target/*.c"))


def dictionary(target):
    path = f"corpus/{target}.dict"
    return path if os.path.exists(path) else "corpus/mqtt.dict"


def options_of(target):
    return {"max_len": 4096, "timeout": 10, **OPTIONS.get(target, {})}


def shape_of(target):
    """What an input is: the word that the target itself gives (fuzz/target/target.h)."""
    source = next(f"{folder}/target/{target}.c" for folder in ("fuzz", "tests") if os.path.exists(f"{folder}/target/{target}.c"))
    return re.search(r"fuzz_target = { .*FUZZ_(\w+) };", open(source, encoding="utf-8").read()).group(1).lower()


def fuzzer(target, *options):
    """What libFuzzer leaves behind goes below build-fuzz/, whatever it is asked to do."""
    os.makedirs(f"{BUILD}/left/{target}", exist_ok=True)
    return [f"{BUILD}/fuzzer/{target}", *(f"-{name}={value}" for name, value in options_of(target).items()), "-rss_limit_mb=1024",
            f"-artifact_prefix={BUILD}/left/{target}/", *options]


def number(pattern, text, default=0):
    found = re.findall(pattern, text)
    return int(found[-1]) if found else default


def name_of(log, path):
    """A finding is named by what it shows: the property, the sanitizer's word, or the signal."""
    for pattern in (r"does not hold: (.*)", r"runtime error: (.*)", r"ERROR: \w+Sanitizer: ([\w-]+)", r"ERROR: libFuzzer: (.*)"):
        found = re.search(pattern, log)
        if found:
            words = re.sub(r"[^A-Za-z0-9]+", "-", found.group(1))[:50].strip("-")
            return f"{words}-{os.path.basename(path)[-8:]}"
    return os.path.basename(path)


def minimise(target, path):
    """Smaller, and under a name that says what it is. Returns the new path."""
    small = path + ".min"
    log = subprocess.run(fuzzer(target, path), capture_output=True, text=True, errors="replace").stderr
    subprocess.run(fuzzer(target, "-minimize_crash=1", "-max_total_time=20", f"-exact_artifact_path={small}", path),
                   capture_output=True)
    named = os.path.join(os.path.dirname(path), name_of(log, path))
    os.replace(small if os.path.exists(small) else path, named)
    if os.path.exists(path):
        os.remove(path)
    return named


def fuzz(target, seconds, options):
    """Until the time is over or something is found; its output is the user's."""
    found_dir, grown = f"{BUILD}/found/{target}/", f"{BUILD}/corpus/{target}"
    for folder in (found_dir, grown, f"corpus/{target}"):
        os.makedirs(folder, exist_ok=True)
    return subprocess.run(fuzzer(target, f"-max_total_time={seconds}", "-print_final_stats=1", f"-dict={dictionary(target)}",
                                 f"-artifact_prefix={found_dir}", *options, grown, f"corpus/{target}"), check=False).returncode


def run_target(target, seconds, seed):
    found_dir, grown = f"{BUILD}/found/{target}/", f"{BUILD}/corpus/{target}"
    for folder in (found_dir, grown, f"corpus/{target}"):
        os.makedirs(folder, exist_ok=True)
    before, known = len(os.listdir(grown)), set(os.listdir(found_dir))
    done = subprocess.run(
        fuzzer(target, f"-max_total_time={seconds}", f"-seed={seed}", "-print_final_stats=1", f"-dict={dictionary(target)}",
               f"-artifact_prefix={found_dir}", grown, f"corpus/{target}"), capture_output=True, text=True, errors="replace")
    findings = [minimise(target, found_dir + name) for name in set(os.listdir(found_dir)) - known]
    return {"target": target, "runs": number(r"number_of_executed_units: (\d+)", done.stderr),
            "speed": number(r"average_exec_per_sec: +(\d+)", done.stderr), "edges": number(r"cov: (\d+)", done.stderr),
            "new": len(os.listdir(grown)) - before, "findings": findings, "status": done.returncode}


def fuzz_all(seconds, seed=0):
    rows, status = [], 0
    print(f"{'target':<12} {'runs':>10} {'runs/s':>8} {'edges':>6} {'new':>5}  findings", flush=True)
    for target in targets():
        row = run_target(target, seconds, seed)
        rows.append(row)
        print(f"{target:<12} {row['runs']:>10} {row['speed']:>8} {row['edges']:>6} {row['new']:>5}  "
              f"{len(row['findings']) or '-'}", flush=True)
        if row["findings"] or row["status"] != 0:
            status = 3
    for row in rows:
        for path in row["findings"]:
            print(f"found: {BUILD}/replay/{row['target']} '{path}'")
    return status


def write_unique(folder, octets):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, hashlib.sha1(octets).hexdigest()), "wb") as out:
        out.write(octets)


def make_seeds(target, folder, every=True):
    """every: also the variants that only make a difference to what is reached, such as each length of an input."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    if shape_of(target) in ("packet", "stream", "talk"):
        scripts = [path for path in (f"corpus/seeds/{target}.talk",) if every and os.path.exists(path)]
        subprocess.run([f"{BUILD}/seeds", shape_of(target), folder, *scripts], check=True)
        if every and target == "track":
            subprocess.run([f"{BUILD}/track_seeds", folder], check=True)
    elif target == "filter":
        for line in open("corpus/seeds/filters.txt", encoding="utf-8"):
            text = line.rstrip("\n").encode()
            for length in {len(text), -len(text) // 8 * -8, -len(text) // 8 * -8 + 1} if every else {len(text)}:
                write_unique(folder, text.ljust(length))
        if every:
            write_unique(folder, b"mqtt or " * 1100)
    elif target == "config":
        for path in sorted(glob.glob("corpus/seeds/config/*")):
            write_unique(folder, open(path, "rb").read())
    elif target == "websocket":
        subprocess.run(["corpus/seeds/websockets.py", folder], check=True)
    elif target == "capture":
        subprocess.run(["corpus/seeds/captures.py", folder, "13" if every else "1"], check=True)
        for path in sorted(glob.glob("tests/captures/*.pcap*")):
            if os.path.getsize(path) <= (60000 if "_dsb" in path else options_of(target)["max_len"]) and not path.endswith((".tsv", ".txt")):
                write_unique(folder, open(path, "rb").read())


def make_corpus(chosen):
    with open("corpus/mqtt.dict", "w", encoding="ascii") as out:
        subprocess.run([f"{BUILD}/seeds", "dictionary"], check=True, stdout=out)
    with open("corpus/filter.dict", "w", encoding="ascii") as out:
        subprocess.run([f"{BUILD}/seeds", "filter-dictionary"], check=True, stdout=out)
    for target in chosen or targets():
        seeds, grown, merged = f"{BUILD}/seed/{target}", f"{BUILD}/corpus/{target}", f"{BUILD}/merged/{target}"
        make_seeds(target, seeds)
        os.makedirs(f"corpus/{target}", exist_ok=True)
        os.makedirs(grown, exist_ok=True)
        shutil.rmtree(merged, ignore_errors=True)
        os.makedirs(merged)
        subprocess.run([f"{MERGE}/fuzzer/{target}", "-max_len=1000000", "-timeout=10", "-set_cover_merge=1", "-use_counters=0",
                        merged, seeds, f"corpus/{target}", grown], check=True, capture_output=True)
        for name in os.listdir(f"corpus/{target}"):
            if not name.startswith("found-"):
                os.remove(f"corpus/{target}/{name}")
        for name in os.listdir(merged):
            shutil.copy(f"{merged}/{name}", f"corpus/{target}/{name}")
        sizes = [os.path.getsize(f"corpus/{target}/{name}") for name in os.listdir(f"corpus/{target}")]
        print(f"{target:<12} {len(sizes):>5} inputs, {sum(sizes):>8} octets", flush=True)
    return 0


# What the corpus alone has to reach: lines and branches in percent, and of which files. What is no part of them lives from devices,
# sockets and the file system, and has its tests in tests/program.
GOALS = (("decoder", 98, 95, r"decoder/"), ("display filter", 90, 85, r"decoder/filter/"),
         ("streams", 90, 85, r"capture/(frames/capfile|stream/\w+|talk/\w+)\.c"),
         ("broker core", 90, 85, r"fuzz/broker/(?!mqbroker|server|log)"))


def share(total):
    lc, ln, bc, bn = total
    return 100 * lc / max(ln, 1), 100 * bc / max(bn, 1)


def print_goals(rows):
    for name, lines_goal, branches_goal, files in GOALS:
        total = [0, 0, 0, 0]
        for path, lines, branches in rows:
            if re.match(files, path):
                for i, value in enumerate((lines["covered"], lines["count"], branches["covered"], branches["count"])):
                    total[i] += value
        lines_reached, branches_reached = share(total)
        reached = lines_reached >= lines_goal and branches_reached >= branches_goal
        print(f"{name:<20} lines {lines_reached:>5.1f} % of {lines_goal} %  branches {branches_reached:>5.1f} % of {branches_goal} %  "
              f"{'reached' if reached else 'NOT REACHED'}")


def coverage():
    """Reads what llvm-cov exported and prints one line a file, worst first, one a folder, and how far the goals are."""
    data = json.load(open("build-coverage/coverage.json", encoding="utf-8"))["data"][0]
    rows, folders = [], {}
    for entry in data["files"]:
        path = os.path.relpath(entry["filename"])
        if path.startswith(("fuzz/target", "fuzz/engine", "tests", "..")) or not path.endswith(".c"):
            continue
        lines, branches = entry["summary"]["lines"], entry["summary"]["branches"]
        rows.append((path, lines, branches))
        for folder in {os.path.dirname(path), path.split("/")[0]}:
            total = folders.setdefault(folder, [0, 0, 0, 0])
            for i, value in enumerate((lines["covered"], lines["count"], branches["covered"], branches["count"])):
                total[i] += value
    print(f"{'file':<32} {'lines':>15} {'branches':>17}")
    for path, lines, branches in sorted(rows, key=lambda row: row[1]["percent"]):
        print(f"{path:<32} {lines['covered']:>5}/{lines['count']:<5} {lines['percent']:>4.0f}% "
              f"{branches['covered']:>5}/{branches['count']:<5} {branches['percent']:>4.0f}%")
    for folder, total in sorted(folders.items()):
        lines_reached, branches_reached = share(total)
        print(f"{folder + '/':<32} {total[0]:>5}/{total[1]:<5} {lines_reached:>4.1f}% {total[2]:>5}/{total[3]:<5} {branches_reached:>4.1f}%")
    print_goals(rows)
    return 0


def planted(names="*"):
    """Each patch names its target in its first line: `target: decode`. It is applied to a copy, which is then fuzzed."""
    status = 0
    shutil.rmtree(f"{BUILD}/planted-objects", ignore_errors=True)
    for folder in SOURCES: # what is built already is built from the same sources
        if os.path.isdir(f"{BUILD}/{folder}"):
            shutil.copytree(f"{BUILD}/{folder}", f"{BUILD}/planted-objects/{folder}")
    for patch in sorted(glob.glob(f"tests/fuzz/planted/{names}.patch")):
        target = re.match(r"target: (\w+)", open(patch, encoding="utf-8").read()).group(1)
        copy = f"{BUILD}/planted"
        shutil.rmtree(copy, ignore_errors=True)
        os.makedirs(copy)
        for folder in SOURCES:
            shutil.copytree(folder, f"{copy}/{folder}")
        shutil.copy("Makefile", copy)
        shutil.copytree(f"{BUILD}/planted-objects", f"{copy}/{BUILD}")
        if subprocess.run(["patch", "-s", "-p1", "-d", copy, "-i", os.path.abspath(patch)], check=False).returncode != 0:
            print(f"{os.path.basename(patch)}: does not apply")
            status = 3
            continue
        build = subprocess.run(["make", "-s", "-C", copy, f"fuzz-build-{target}"], capture_output=True, text=True)
        if build.returncode != 0:
            print(f"{os.path.basename(patch)}: does not build\n{build.stderr[-2000:]}")
            status = 3
            continue
        seeds = f"{BUILD}/seed/{target}-planted"
        make_seeds(target, seeds, every=False)
        if not os.listdir(seeds) or shape_of(target) == "octets": # few are made of tables: the small inputs of the corpus
            seeds = f"corpus/{target}"
        began = time.monotonic()
        os.makedirs(f"{copy}/found", exist_ok=True)
        binary, *options = fuzzer(target, "-max_total_time=60", f"-artifact_prefix={copy}/found/", f"-dict={dictionary(target)}")
        subprocess.run([f"{copy}/{binary}", *options, f"{copy}/found", seeds], capture_output=True)
        found = any(name.startswith(("crash", "timeout", "oom", "leak")) for name in os.listdir(f"{copy}/found"))
        print(f"{os.path.basename(patch):<40} {target:<10} {'found' if found else 'NOT FOUND'} in {time.monotonic() - began:.1f} s",
              flush=True)
        status = status if found else 3
    shutil.rmtree(f"{BUILD}/planted", ignore_errors=True)
    shutil.rmtree(f"{BUILD}/planted-objects", ignore_errors=True)
    return status


if __name__ == "__main__":
    os.chdir(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    arguments = sys.argv[2:]
    if command == "fuzz" and len(arguments) >= 2:
        sys.exit(fuzz(arguments[0], arguments[1], arguments[2:]))
    if command == "all" and len(arguments) in (1, 2):
        sys.exit(fuzz_all(*map(int, arguments)))
    if command == "planted" and len(arguments) < 2:
        sys.exit(planted(*arguments))
    if command == "corpus":
        sys.exit(make_corpus(arguments))
    if command == "coverage" and not arguments:
        sys.exit(coverage())
    if command in ("options", "shape") and len(arguments) == 1:
        print(shape_of(*arguments) if command == "shape" else "\n".join(f"{name} = {value}" for name, value in options_of(*arguments).items()))
        sys.exit(0)
    print(__doc__, file=sys.stderr)
    sys.exit(1)
