#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""fuzz/build.sh as OSS-Fuzz runs it, with an engine of our own in place of libFuzzer, so that it cannot rot."""
import os
import subprocess
import tempfile
import zipfile

import harness
from harness import case, check, equal

ROOT = harness.ROOT
TARGETS = "decode track"


@case("fuzz/build.sh builds targets, seeds, dictionaries and options for a foreign engine")
def _():
    with tempfile.TemporaryDirectory() as folder:
        engine = os.path.join(folder, "engine.o")
        subprocess.run(["cc", "-std=c11", "-D_DEFAULT_SOURCE", f"-I{ROOT}", "-c", "-o", engine, ROOT / "fuzz/engine/replay.c"], check=True)
        env = dict(os.environ, CC="cc", CXX="cc", CFLAGS="-O0", CXXFLAGS="-O0", SANITIZER="none", LIB_FUZZING_ENGINE=engine,
                   OUT=f"{folder}/out", WORK=f"{folder}/work", SRC=str(ROOT), FUZZ_ONLY=TARGETS)
        env.pop("MAKEFLAGS", None)
        done = subprocess.run([ROOT / "fuzz/build.sh"], env=env, capture_output=True, text=True, check=False)
        equal(done.returncode, 0, f"status of build.sh: {done.stderr[-800:]}")
        for target in TARGETS.split():
            with zipfile.ZipFile(f"{folder}/out/{target}_seed_corpus.zip") as seeds:
                seeds.extractall(f"{folder}/seeds/{target}")
            check(os.path.exists(f"{folder}/out/{target}.dict"), f"no dictionary for {target}")
            check("max_len" in open(f"{folder}/out/{target}.options", encoding="ascii").read(), f"no options for {target}")
            ran = subprocess.run([f"{folder}/out/{target}", f"{folder}/seeds/{target}"], capture_output=True, text=True, check=False)
            inputs = len(os.listdir(ROOT / "corpus" / target))
            equal((ran.returncode, ran.stdout), (0, f"{target}: {inputs} inputs\n"), f"the built {target}")


harness.main()
