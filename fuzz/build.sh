#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# fuzz/build.sh -- every fuzz target, as OSS-Fuzz and ClusterFuzzLite ask for them: into $OUT, each with a zip of its seeds, the
# dictionary and its options. Honours CC CXX CFLAGS CXXFLAGS LIB_FUZZING_ENGINE SANITIZER OUT SRC WORK; without them it builds with
# clang and libFuzzer under AddressSanitizer into ./build-fuzz/out. FUZZ_ONLY names a few targets instead of all.
set -eu
cd "${SRC:-$(dirname "$0")/..}"
[ -f fuzz/build.sh ] || cd mqshark
: "${CC:=clang}" "${CXX:=clang++}" "${SANITIZER:=address}" "${LIB_FUZZING_ENGINE:=-fsanitize=fuzzer}"
: "${OUT:=$PWD/build-fuzz/out}" "${WORK:=$PWD/build-fuzz/work}"
: "${CFLAGS:=-O1 -g -fno-omit-frame-pointer -fsanitize=$SANITIZER,fuzzer-no-link}" "${CXXFLAGS:=-O1 -g -fsanitize=$SANITIZER}"
mkdir -p "$OUT/lib" "$WORK"

targets=()
for file in fuzz/target/*.c tests/target/*.c; do targets+=("$(basename "$file" .c)"); done
# MemorySanitizer wants every library built with it: these need none but the C library.
[ "$SANITIZER" = memory ] && targets=(decode roundtrip framing stream render track)
[ -n "${FUZZ_ONLY:-}" ] && read -ra targets <<<"$FUZZ_ONLY"

make -j"$(nproc)" B="$WORK" CC="$CC" LINK="$CXX" CFLAGS="$CFLAGS" LDFLAGS="$CXXFLAGS -Wl,-rpath,\\\$\$ORIGIN/lib" \
    ENGINE="$LIB_FUZZING_ENGINE" "${targets[@]/#/$WORK/fuzzer/}"

for target in "${targets[@]}"; do
    cp "$WORK/fuzzer/$target" "$OUT/"
    # the machine that runs it may have none of our libraries
    ldd "$OUT/$target" | awk '/pcap|pcre2|seccomp|libcap|libcrypto|ncurses|tinfo|dbus|libz\./ { print $3 }' | while read -r library; do
        [ -f "$library" ] && cp -n "$library" "$OUT/lib/"
    done
    dictionary=corpus/$target.dict
    [ -f "$dictionary" ] || dictionary=corpus/mqtt.dict
    cp "$dictionary" "$OUT/$target.dict"
    { echo '[libfuzzer]'; fuzz/run.py options "$target"; } >"$OUT/$target.options"
    rm -f "$OUT/${target}_seed_corpus.zip"
    python3 - "$OUT/${target}_seed_corpus.zip" "corpus/$target" <<'END'
import os
import sys
import zipfile

with zipfile.ZipFile(sys.argv[1], "w", zipfile.ZIP_DEFLATED) as out:
    for name in sorted(os.listdir(sys.argv[2])):
        out.write(os.path.join(sys.argv[2], name), name)
END
done
