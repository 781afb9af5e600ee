# SPDX-License-Identifier: Apache-2.0
#
# make fuzz TARGET=decode TIME=60      libFuzzer on one target; what it finds lies in build-fuzz/found/TARGET
# make fuzz-all TIME=300               all targets in turn, and a table; SEED=N begins as the last time with N
# make afl TARGET=decode TIME=60       AFL++ likewise
# make fuzz-mosquitto TIME=60         mqfuzz against Debian's source package of mosquitto, built with coverage and sanitizers
# make fuzz-speed                      executions a second, beside a target that does nothing
# make coverage                        lines and branches that the corpus reaches: build-coverage/
# make corpus                          makes the seeds anew and minimises corpus/
# The targets are fuzz/target/NAME.c, those of what stands above decoder/ tests/target/NAME.c; the engines around them fuzz/engine/.
FUZZ_TARGETS  = $(sort $(basename $(notdir $(wildcard fuzz/target/*.c tests/target/*.c))))
TARGET       ?= decode
TIME         ?= 60
# what runs the targets: an object or option that has main(); build.sh hands in its own
ENGINE       ?= -fsanitize=fuzzer
LINK         ?= $(CC)
FUZZ_LIBS     = $B/libfuzz.a $B/libbroker.a $(LIB)
FUZZ_SYSTEM   = -lpcre2-8 -lcrypto
# of the targets in tests/
ABOVE_LIBS    = $B/libfuzz.a $B/libbroker.a $B/libtui.a $B/libcapture.a $(LIB)
ENGINE_LIB    = $B/libengine.a
$(ENGINE_LIB): $(patsubst %,$B/fuzz/engine/%.o,broken shape rows output watch bench)
	@$(say) AR $@; rm -f $@
	$Q$(AR) rcs $@ $^

# Coverage guides where it teaches something: not in targets, engines and mutator, and comparisons are not traced where the mutator
# speaks the language itself.
BLIND = -fno-sanitize-coverage=trace-cmp,indirect-calls,stack-depth,inline-8bit-counters,pc-table
$B/fuzz/target/%.o $B/tests/target/%.o $B/fuzz/engine/%.o $(patsubst %,$B/fuzz/%.o,mutator fresh swell breaker talk/talk talk/talk_mutate conduct script): \
	COVER = $(if $(findstring fuzzer-no-link,$(CFLAGS)),$(BLIND))
$B/decoder/base/%.o $B/decoder/mqtt/%.o $B/decoder/track/%.o: \
	COVER = $(if $(findstring fuzzer-no-link,$(CFLAGS)),-fno-sanitize-coverage=trace-cmp)

# Replays files without an engine.
$B/replay/%: $B/fuzz/target/%.o $B/fuzz/engine/replay.o $(ENGINE_LIB) $(FUZZ_LIBS)
	@$(say) LD $@; mkdir -p $(@D)
	$Q$(CC) $(LDFLAGS) -o $@ $^ $(FUZZ_SYSTEM)
$B/replay/%: $B/tests/target/%.o $B/fuzz/engine/replay.o $(ENGINE_LIB) $(ABOVE_LIBS)
	@$(say) LD $@; mkdir -p $(@D)
	$Q$(CC) $(LDFLAGS) -o $@ $^ $(CAPTURE_LIBS)
$B/fuzzer/%: $B/fuzz/target/%.o $B/fuzz/engine/libfuzzer.o $(ENGINE_LIB) $(FUZZ_LIBS)
	@$(say) LD $@; mkdir -p $(@D)
	$Q$(LINK) $(LDFLAGS) $(ENGINE) -o $@ $^ $(FUZZ_SYSTEM)
$B/fuzzer/%: $B/tests/target/%.o $B/fuzz/engine/libfuzzer.o $(ENGINE_LIB) $(ABOVE_LIBS)
	@$(say) LD $@; mkdir -p $(@D)
	$Q$(LINK) $(LDFLAGS) $(ENGINE) -o $@ $^ $(CAPTURE_LIBS)

replays: $(patsubst %,$B/replay/%,$(FUZZ_TARGETS))
fuzzers: $(patsubst %,$B/fuzzer/%,$(FUZZ_TARGETS))

FUZZ_SAN = -fsanitize=address,undefined,integer -fno-sanitize=unsigned-integer-overflow,unsigned-shift-base,implicit-conversion \
	-fno-sanitize-recover=all
in_fuzz  = $(MAKE) --no-print-directory CC=clang B=build-fuzz CFLAGS='-O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link $(FUZZ_SAN)' \
	LDFLAGS='$(FUZZ_SAN)'

fuzz-build-%:
	+@$(in_fuzz) build-fuzz/fuzzer/$*
fuzz: fuzz-build-$(TARGET)
	@fuzz/run.py fuzz $(TARGET) $(TIME) $(FUZZ_OPTIONS)
fuzz-all:
	+@$(in_fuzz) fuzzers replays
	@fuzz/run.py all $(TIME) $(SEED)
corpus:
	+@$(in_fuzz) build-fuzz/seeds build-fuzz/track_seeds
	+@$(MAKE) --no-print-directory CC=clang B=build-corpus CFLAGS='-O0 -g -fsanitize=fuzzer-no-link' fuzzers
	@fuzz/run.py corpus
# Each planted bug of tests/fuzz/planted must be found within a minute.
test-fuzzers:
	+@$(in_fuzz) fuzzers build-fuzz/seeds
	@fuzz/run.py planted

# Executions a second, beside a target that does nothing: the figures of docs/fuzzing.md.
$B/fuzzer-empty: $B/fuzz/engine/empty.o $B/fuzz/engine/libfuzzer.o $(ENGINE_LIB) $(FUZZ_LIBS)
	@$(say) LD $@
	$Q$(LINK) $(LDFLAGS) $(ENGINE) -o $@ $^ $(FUZZ_SYSTEM)
$B/afl-empty: $B/fuzz/engine/empty.o $(ENGINE_LIB) $(FUZZ_LIBS)
	@$(say) LD $@
	$Q$(CC) $(LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(FUZZ_SYSTEM)
in_speed = $(MAKE) --no-print-directory CC=clang B=build-fuzz/plain CFLAGS='-O2 -g -fsanitize=fuzzer-no-link'
fuzz-speed: TARGET = decode
fuzz-speed: TIME = 10
fuzz-speed:
	+@$(in_fuzz) build-fuzz/fuzzer/decode build-fuzz/fuzzer-empty build-fuzz/fuzzer/broker
	+@$(in_speed) $(addprefix build-fuzz/plain/fuzzer,/decode -empty /broker)
	+@$(in_afl) build-afl/afl/decode build-afl/afl/broker build-afl/afl-empty build-afl/mutator.so
	@AFL='$(AFL_RUN)' fuzz/speed.py

# How soon mutation shows each rule, beside plain havoc: make reach TIME=60 prints the tables of docs/fuzzing.md.
$B/reach: $B/fuzz/engine/reach.o $(ENGINE_LIB) $(FUZZ_LIBS)
	@$(say) LD $@
	$Q$(CC) $(LDFLAGS) -o $@ $^ $(FUZZ_SYSTEM)
reach: $B/reach
	@$B/reach $(TIME)

# What the corpus alone reaches. LLVM_COV and LLVM_PROFDATA name the tools of the compiler in use.
LLVM_COV      ?= llvm-cov
LLVM_PROFDATA ?= llvm-profdata
coverage:
	+@$(MAKE) --no-print-directory CC=clang B=build-coverage CFLAGS='-O0 -g -fprofile-instr-generate -fcoverage-mapping' \
		LDFLAGS=-fprofile-instr-generate replays
	@rm -f build-coverage/*.profraw
	@for t in $(FUZZ_TARGETS); do LLVM_PROFILE_FILE=build-coverage/$$t.profraw build-coverage/replay/$$t corpus/$$t || exit 2; done
	@$(LLVM_PROFDATA) merge -o build-coverage/all.profdata build-coverage/*.profraw
	@$(LLVM_COV) export -summary-only -instr-profile=build-coverage/all.profdata $(patsubst %,-object build-coverage/replay/%,$(FUZZ_TARGETS)) \
		build-coverage/replay/decode >build-coverage/coverage.json
	@$(LLVM_COV) show -format=html -output-dir=build-coverage/html -instr-profile=build-coverage/all.profdata \
		$(patsubst %,-object build-coverage/replay/%,$(FUZZ_TARGETS)) build-coverage/replay/decode >/dev/null
	@fuzz/run.py coverage | tee build-coverage/coverage.txt

# ---- AFL++: persistent mode with input in shared memory, by its driver for libFuzzer's entry point ----

JOBS ?= 1
in_afl = AFL_QUIET=1 $(MAKE) --no-print-directory CC=afl-clang-fast B=build-afl CFLAGS='-O2 -g'
$B/afl/%: $B/fuzz/target/%.o $(ENGINE_LIB) $(FUZZ_LIBS)
	@$(say) LD $@; mkdir -p $(@D)
	$Q$(CC) $(LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(FUZZ_SYSTEM)
$B/afl/%: $B/tests/target/%.o $(ENGINE_LIB) $(ABOVE_LIBS)
	@$(say) LD $@; mkdir -p $(@D)
	$Q$(CC) $(LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(CAPTURE_LIBS)
$B/mutator.so: fuzz/engine/afl.c fuzz/engine/shape.c $(patsubst %,fuzz/%.c,mutator fresh swell breaker talk/talk talk/talk_mutate conduct script plan/plan) $(wildcard decoder/mqtt/*.c decoder/base/*.c)
	@$(say) LD $@; mkdir -p $(@D)
	$Qclang -std=c11 -D_DEFAULT_SOURCE $(WARN) -I. $(CFLAGS) -fPIC -shared -o $@ $(filter %.c,$^)
afl:
	+@$(in_afl) build-afl/afl/$(TARGET) build-afl/mutator.so
	@mkdir -p build-afl/found/$(TARGET)
	@for job in $$(seq 2 $(JOBS)); do \
		AFL_NO_UI=1 $(AFL_RUN) -S job$$job -- build-afl/afl/$(TARGET) >build-afl/found/$(TARGET).job$$job.log 2>&1 & done; \
	AFL_NO_UI=1 $(AFL_RUN) -M job1 -- build-afl/afl/$(TARGET); wait; \
	grep -HE '^(execs_done|execs_per_sec|edges_found|bitmap_cvg|saved_crashes)' build-afl/found/$(TARGET)/*/fuzzer_stats; \
	! ls build-afl/found/$(TARGET)/*/crashes/id* 2>/dev/null
# AFL++ wants a quiet machine and a core file in its own way; neither matters to what it finds.
AFL_RUN = AFL_SKIP_CPUFREQ=1 AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 AFL_NO_AFFINITY=1 FUZZ_SHAPE=$(shell fuzz/run.py shape $(TARGET)) \
	AFL_CUSTOM_MUTATOR_LIBRARY=build-afl/mutator.so afl-fuzz -V $(TIME) -i corpus/$(TARGET) -o build-afl/found/$(TARGET) \
	-x $(firstword $(wildcard corpus/$(TARGET).dict) corpus/mqtt.dict)

# ---- corpus ----

$B/seeds: $B/fuzz/engine/seeds.o $B/fuzz/engine/seeds_talk.o $B/libfuzz.a $(LIB)
	@$(say) LD $@
	$Q$(CC) $(LDFLAGS) -o $@ $^ -lpcre2-8
$B/track_seeds: $B/tests/fuzz/track_seeds.o $B/libfuzz.a $(LIB)
	@$(say) LD $@
	$Q$(CC) $(LDFLAGS) -o $@ $^ -lpcre2-8
.PHONY: afl reach fuzz-speed replays fuzzers fuzz fuzz-all corpus coverage test-fuzzers

fuzz-mosquitto: $B/mqfuzz
	@$(call deps,build fuzz)
	@B=$B TIME=$(TIME) tests/fuzz-mosquitto || [ $$? = 3 ] # findings are what it is for
.PHONY: fuzz-mosquitto
