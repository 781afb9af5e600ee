# SPDX-License-Identifier: Apache-2.0
#
# make fuzz TARGET=decode TIME=60      libFuzzer on one target; what it finds lies in build-fuzz/found/TARGET
# make fuzz-all TIME=300               all targets in turn, and a table
# make afl TARGET=decode TIME=60       AFL++ likewise
# make coverage                        lines and branches that the corpus reaches: build-coverage/
# make corpus                          makes the seeds anew and minimises corpus/
# The targets are fuzz/target/NAME.c, the engines around them fuzz/engine/.
FUZZ_TARGETS  = $(basename $(notdir $(wildcard fuzz/target/*.c)))
TARGET       ?= decode
TIME         ?= 60
# what runs the targets: an object or option that has main(); build.sh hands in its own
ENGINE       ?= -fsanitize=fuzzer
FUZZ_LIBS     = $B/libfuzz.a $B/libbroker.a $B/libtui.a $B/libcapture.a $(LIB)
FUZZ_SYSTEM   = $(CAPTURE_LIBS)
SHELL_OBJECTS = $(patsubst %,$B/fuzz/engine/%.o,broken shape rows output watch)

# Replays files without an engine.
$B/replay/%: $B/fuzz/target/%.o $B/fuzz/engine/replay.o $(SHELL_OBJECTS) $(FUZZ_LIBS)
	@$(say) LD $@; mkdir -p $(@D)
	$Q$(CC) $(LDFLAGS) -o $@ $^ $(FUZZ_SYSTEM)
$B/fuzzer/%: $B/fuzz/target/%.o $B/fuzz/engine/libfuzzer.o $(SHELL_OBJECTS) $(FUZZ_LIBS)
	@$(say) LD $@; mkdir -p $(@D)
	$Q$(CC) $(LDFLAGS) $(ENGINE) -o $@ $^ $(FUZZ_SYSTEM)

replays: $(patsubst %,$B/replay/%,$(FUZZ_TARGETS))
fuzzers: $(patsubst %,$B/fuzzer/%,$(FUZZ_TARGETS))

FUZZ_SAN = -fsanitize=address,undefined,integer -fno-sanitize=unsigned-integer-overflow,unsigned-shift-base,implicit-conversion \
	-fno-sanitize-recover=all
in_fuzz  = $(MAKE) --no-print-directory CC=clang B=build-fuzz CFLAGS='-O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link $(FUZZ_SAN)' \
	LDFLAGS='$(FUZZ_SAN)'

fuzz:
	+@$(in_fuzz) build-fuzz/fuzzer/$(TARGET)
	@mkdir -p build-fuzz/corpus/$(TARGET) build-fuzz/found/$(TARGET) corpus/$(TARGET)
	build-fuzz/fuzzer/$(TARGET) -max_total_time=$(TIME) -timeout=10 -rss_limit_mb=1024 -max_len=8192 -print_final_stats=1 \
		$(if $(wildcard corpus/mqtt.dict),-dict=corpus/mqtt.dict) -artifact_prefix=build-fuzz/found/$(TARGET)/ \
		$(FUZZ_OPTIONS) build-fuzz/corpus/$(TARGET) corpus/$(TARGET)

.PHONY: replays fuzzers fuzz
