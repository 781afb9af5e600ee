# SPDX-License-Identifier: Apache-2.0
#
# make              the programs: build/mqdump and so on       make test         everything that proves them
# make demo         twenty seconds of what mqdump does         make unit         the quick unit tests
# make check-asan   make test under ASan and UBSan             make check-clang  make test with clang
# make check-tsan   what has two threads, under TSan
# make lint         layout, static analysis, house rules       make golden       write the golden files anew
# make check-instructions  small workloads under callgrind, beside the record   make instructions  writes the record anew
# make bench        the figures of docs/performance.md, beside libpcap alone and tshark: SCALE=1 ROUNDS=5
# make exact        every count of the generator at full size, and bounded memory
# make install      programs, man pages, completions: PREFIX=/usr/local DESTDIR=
# make deps         install what is missing (Debian 12); the targets above that need it do so themselves, DEPS=no leaves it
PREFIX  ?= /usr/local
CFLAGS  ?= -O3 -g
B       ?= build
WARN     = -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes
SAN      = -fsanitize=address,undefined -fno-sanitize-recover=all
TSAN     = -fsanitize=thread
PKGS     = libpcap ncursesw libcrypto libpcre2-8 zlib
# gcc for x86 clears and copies a struct with `rep stos` and `rep movs`, which take thirty cycles to start: a sixth of the time of
# mqdump -q. Plain stores instead, where the compiler knows how.
STORES  := -mmemset-strategy=vector_loop:256:noalign,libcall:-1:noalign -mmemcpy-strategy=unrolled_loop:256:noalign,libcall:-1:noalign
STORES  := $(shell $(CC) $(STORES) -E -x c /dev/null >/dev/null 2>&1 && echo '$(STORES)')
# Functions at the beginning of a line of the cache, loops of half of one: two to four per cent of the time of mqdump -q.
PLACES  := -falign-functions=64 -falign-loops=32
PLACES  := $(shell $(CC) -Werror $(PLACES) -S -o /dev/null -x c /dev/null >/dev/null 2>&1 && echo '$(PLACES)')
# mqdump is optimised as one whole, which takes up to a tenth of its instructions away: by gcc, and under no sanitizer.
WHOLE   := $(if $(findstring -fsanitize,$(CFLAGS)),,$(shell $(CC) --version | grep -q 'Free Software' && echo -flto))
# pcap.h needs u_char, which strict c11 hides: hence _DEFAULT_SOURCE
FLAGS    = -std=c11 -D_DEFAULT_SOURCE $(WARN) $(STORES) $(PLACES) -I. -MMD -MP $(CPPFLAGS) $(CFLAGS) $(COVER)

CAPTURE_LIBS = -lpcap -lcap -lseccomp -lpcre2-8 -lcrypto -lz -pthread
MQFUZZ_LIBS  = -lpcap -lpcre2-8 -lssl -lcrypto

# One short line a step; V=1 shows the commands.
Q   = $(if $(V),,@)
say = $(if $(V),:,printf '  %-5s %s\n')

# sources of a list of folders -> objects
objs      = $(patsubst %.c,$B/%.o,$(foreach d,$(1),$(wildcard $(d)/*.c)))
# objects without the ones that hold a main()
MAINS     = $B/capture/mqdump.o $B/tui/mqshark.o $B/fuzz/mqfuzz.o $B/fuzz/broker/mqbroker.o
parts     = $(filter-out $(MAINS),$(call objs,$(1)))
DECODER   = decoder/base decoder/mqtt decoder/show decoder/track decoder/filter decoder/stats
CAPTURE   = capture capture/frames capture/stream capture/talk capture/handover
PROGRAMS  = $(patsubst %,$B/%,$(notdir $(basename $(wildcard capture/mqdump.c tui/mqshark.c fuzz/mqfuzz.c fuzz/broker/mqbroker.c))))
TESTS     = $(patsubst %.c,$B/%,$(wildcard tests/*/test_*.c))
LIB       = $B/libdecoder.a

all: $(PROGRAMS)

$B/libdecoder.a: $(call objs,$(DECODER))
	@$(say) AR $@; rm -f $@
	$Q$(AR) rcs $@ $^
$B/libcapture.a: $(call parts,$(CAPTURE))
	@$(say) AR $@; rm -f $@
	$Q$(AR) rcs $@ $^
$B/libbroker.a: $(call parts,fuzz/broker)
	@$(say) AR $@; rm -f $@
	$Q$(AR) rcs $@ $^
$B/libtui.a: $(call parts,tui)
	@$(say) AR $@; rm -f $@
	$Q$(AR) rcs $@ $^
$B/libfuzz.a: $(call parts,fuzz $(addprefix fuzz/,talk plan peer judge campaign))
	@$(say) AR $@; rm -f $@
	$Q$(AR) rcs $@ $^

$B/mqdump: $(if $(WHOLE),$(patsubst $B/%,$B/whole/%,$(call objs,$(CAPTURE) $(DECODER))),$B/capture/mqdump.o $B/libcapture.a $(LIB))
	@$(say) LD $@
	$Q$(CC) $(if $(WHOLE),$(CFLAGS) $(PLACES) -flto=auto) $(LDFLAGS) -o $@ $^ $(CAPTURE_LIBS)
$B/mqshark: $B/tui/mqshark.o $B/libtui.a $B/libcapture.a $(LIB)
	@$(say) LD $@
	$Q$(CC) $(LDFLAGS) -o $@ $^ -lncursesw -ltinfo $(CAPTURE_LIBS)
$B/mqbroker: $B/fuzz/broker/mqbroker.o $B/libbroker.a $(LIB)
	@$(say) LD $@
	$Q$(CC) $(LDFLAGS) -o $@ $^ -lpcre2-8 -lcrypto
$B/generate: $(patsubst %,$B/tests/bench/%.o,generate gen_mqtt gen_tcp)
	@$(say) LD $@
	$Q$(CC) $(LDFLAGS) -o $@ $^
$B/noop: $B/tests/bench/noop.o
	@$(say) LD $@
	$Q$(CC) $(LDFLAGS) -o $@ $^ -lpcap
$B/measure: $B/tests/bench/measure.o
	@$(say) LD $@
	$Q$(CC) $(LDFLAGS) -o $@ $^
$B/send: $B/tests/bench/send.o
	@$(say) LD $@
	$Q$(CC) $(LDFLAGS) -o $@ $^
$B/decode: $B/tests/bench/decode.o $(LIB)
	@$(say) LD $@
	$Q$(CC) $(LDFLAGS) -o $@ $^
$B/mqfuzz: $B/fuzz/mqfuzz.o $B/libfuzz.a $B/libbroker.a $(LIB)
	@$(say) LD $@
	$Q$(CC) $(LDFLAGS) -o $@ $^ $(MQFUZZ_LIBS)

# A test links only the folder it tests, so a wrong dependency also fails at link time.
$B/tests/decoder/%: $B/tests/decoder/%.o $(LIB)
	@$(say) LD $@
	$Q$(CC) $(LDFLAGS) -o $@ $^ -lcmocka -lpcre2-8
$B/tests/capture/%: $B/tests/capture/%.o $B/libcapture.a $(LIB)
	@$(say) LD $@
	$Q$(CC) $(LDFLAGS) -o $@ $^ -lcmocka $(CAPTURE_LIBS) $(if $(filter %/test_tls,$@),-lssl)
$B/tests/broker/%: $B/tests/broker/%.o $B/libbroker.a $(LIB)
	@$(say) LD $@
	$Q$(CC) $(LDFLAGS) -o $@ $^ -lcmocka -lpcre2-8 -lcrypto
$B/tests/tui/%: $B/tests/tui/%.o $B/libtui.a $B/libcapture.a $(LIB)
	@$(say) LD $@
	$Q$(CC) $(LDFLAGS) -o $@ $^ -lcmocka -lncursesw -ltinfo $(CAPTURE_LIBS)
$B/tests/fuzz/%: $B/tests/fuzz/%.o $B/libengine.a $B/libfuzz.a $B/libbroker.a $(LIB)
	@$(say) LD $@
	$Q$(CC) $(LDFLAGS) -o $@ $^ -lcmocka $(MQFUZZ_LIBS)

$B/whole/%.o: %.c
	@$(say) CC $@; mkdir -p $(@D)
	$Q$(CC) $(FLAGS) $(WHOLE) -c -o $@ $<
$B/%.o: %.c
	@$(say) CC $@; mkdir -p $(@D)
	$Q$(CC) $(FLAGS) -c -o $@ $<

# The quick ones; those that take seconds (a soak, servers, streams cut everywhere) run in `make test`.
SECONDS_EACH = %/test_soak %/test_server %/test_rules_packet %/test_pipeline %/test_track_model
unit: $(PROGRAMS) $(TESTS)
	@set -e; for t in $(filter-out $(SECONDS_EACH),$(TESTS)); do CMOCKA_MESSAGE_OUTPUT=STDOUT $$t; done

# Tests of the built programs, once there is one.
PROGRAM_TESTS = $(if $(wildcard capture/mqdump.c),$(filter-out %/harness.py %/packets.py %/screens_terminal.py %/toys.py,$(wildcard tests/program/*.py)))
MANUALS       = $(patsubst docs/%.scd,$B/%,$(wildcard docs/*.scd))
DEPS         ?= yes
deps          = $(if $(filter yes,$(DEPS)),tests/install-deps.sh $(1))

# Each of these looks for what it needs first and then builds in a make of its own, on all processors unless told otherwise.
again         = $(MAKE) --no-print-directory $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc 2>/dev/null || echo 2))
test:
	@$(call deps,build test)
	+@$(again) run-tests
run-tests: $(PROGRAMS) $(TESTS) $(MANUALS) $B/generate $B/noop replays
	@B=$B tests/run $(TESTS) $(PROGRAM_TESTS)

check-asan:
	@ASAN_OPTIONS=exitcode=99:detect_stack_use_after_return=1 UBSAN_OPTIONS=exitcode=99:print_stacktrace=1 \
	$(MAKE) --no-print-directory B=build-asan CFLAGS='-O1 -g -fno-omit-frame-pointer $(SAN)' LDFLAGS='$(SAN)' test
# What has two threads, under TSan, which cannot start where some random places of memory are taken.
check-tsan:
	@$(MAKE) --no-print-directory B=build-tsan CFLAGS='-O1 -g $(TSAN)' LDFLAGS='$(TSAN)' build-tsan/mqdump build-tsan/generate \
	    build-tsan/tests/capture/test_threads build-tsan/tests/capture/test_handover
	@B=build-tsan TSAN_OPTIONS=exitcode=99 $$(setarch -R true 2>/dev/null && echo setarch -R) tests/run build-tsan/tests/capture/test_threads build-tsan/tests/capture/test_handover tests/program/threads.py
check-clang:
	@$(call deps,build lint)
	@$(MAKE) --no-print-directory CC=clang B=build-clang CFLAGS='-O2 -g -Werror' test

# mqfuzz against every fault of mqbroker: about twenty minutes, a minute each at most by run and by conform. Not part of make test.
check-faults: $B/mqfuzz $B/mqbroker
	@B=$B tests/check-faults
.PHONY: check-faults

# Twenty seconds of each fuzz target (fuzz/fuzz.mk). One seed, so that a change is held against the same inputs as the one before it.
check-fuzz:
	@$(call deps,build fuzz)
	+@$(again) fuzz-all TIME=20 SEED=1

lint:
	@$(call deps,build test lint)
	@tests/lint

golden: all
	@B=$B tests/program/golden.py --rewrite

# Reference tables that are printed from the .def files.
docs-tables: $B/tests/decoder/test_docs_rules $B/tests/decoder/test_docs_fields
	@$B/tests/decoder/test_docs_rules --print >docs/rules.md.new && mv docs/rules.md.new docs/rules.md
	@$B/tests/decoder/test_docs_fields --write

# Faults put into copies of the tracker, one by one: its tests have to fail. Some four minutes; not part of CI.
test-planted: $(addprefix $B/tests/decoder/,test_track test_track_rules test_track_model test_stats)
	@tests/decoder/planted.py

# Pictures of the screen for README.md and docs/, from the real program.
screenshots: $B/mqshark
	@B=$B tests/screenshots

bench: $(patsubst %,$B/%,mqdump generate noop measure decode send)
	@B=$B PYTHONDONTWRITEBYTECODE=1 tests/bench/bench

# Every count of the generator at full size, and memory that stays where it is: a minute or two, no timing.
exact: $(patsubst %,$B/%,mqdump generate measure)
	@B=$B tests/bench/exact

# Instructions of small workloads under callgrind, beside those on record (tests/bench/instructions.txt); built with fixed
# options in a folder of its own. make instructions records them anew.
COUNTS = CFLAGS=-O3 B=build-counts
check-instructions instructions:
	@$(call deps,build count)
	+@$(again) $(COUNTS) build-counts/mqdump build-counts/generate build-counts/decode
	@B=build-counts CC='$(CC)' tests/bench/instructions $(if $(filter instructions,$@),--record)

demo:
	@$(call deps,build test)
	+@$(again) all
	@B=$B tests/demo.sh

deps:
	@tests/install-deps.sh build test lint

# Keys and settings come from the tables of the program.
$B/mqshark.1: docs/mqshark.1.scd $B/mqshark
	@$(say) MAN $@; $B/mqshark --keys-scdoc >$B/keys.scd && $B/mqshark --settings-scdoc >$B/settings.scd
	$Qsed -e '/^@KEYS@$$/{r $B/keys.scd' -e 'd}' -e '/^@SETTINGS@$$/{r $B/settings.scd' -e 'd}' $< | scdoc >$@.new && mv $@.new $@
$B/%.1: docs/%.1.scd
	@$(say) MAN $@; mkdir -p $(@D)
	$Qscdoc <$< >$@.new && mv $@.new $@
$B/%.7: docs/%.7.scd
	@$(say) MAN $@; mkdir -p $(@D)
	$Qscdoc <$< >$@.new && mv $@.new $@

# Completions of mqdump and mqshark are printed by themselves, from the table their options are parsed with.
BASH_COMPLETION = $(DESTDIR)$(PREFIX)/share/bash-completion/completions
ZSH_COMPLETION  = $(DESTDIR)$(PREFIX)/share/zsh/site-functions
FISH_COMPLETION = $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
install: $(PROGRAMS) $(MANUALS)
	install -d '$(DESTDIR)$(PREFIX)/bin' '$(BASH_COMPLETION)' '$(ZSH_COMPLETION)' '$(FISH_COMPLETION)'
	install -m 755 $(PROGRAMS) '$(DESTDIR)$(PREFIX)/bin'
	for p in mqdump mqshark; do \
	    $B/$$p --completion bash >'$(BASH_COMPLETION)'/$$p && $B/$$p --completion zsh >'$(ZSH_COMPLETION)'/_$$p && \
	    $B/$$p --completion fish >'$(FISH_COMPLETION)'/$$p.fish || exit 1; done
	for p in mqbroker mqfuzz; do install -m 644 docs/completion.bash '$(BASH_COMPLETION)'/$$p || exit 1; done
	for m in $(notdir $(MANUALS)); do \
	    install -D -m 644 $B/$$m '$(DESTDIR)$(PREFIX)/share/man/man'$${m##*.}/$$m || exit 1; done

clean:
	rm -rf $B build-counts build-asan build-tsan build-clang build-fuzz build-coverage build-corpus build-afl

include fuzz/fuzz.mk

.PHONY: all unit test run-tests check-asan check-tsan check-clang check-fuzz lint golden docs-tables test-planted bench exact check-instructions instructions \
        demo deps install clean
.SECONDARY:
-include $(shell find $B -name '*.d' 2>/dev/null)
