# make | make test | make demo | make check-asan | make install PREFIX= DESTDIR= | make clean
PREFIX  ?= /usr/local
CFLAGS  ?= -O2 -g
B       ?= build
WARN     = -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes
SAN      = -fsanitize=address,undefined -fno-sanitize-recover=all
PKGS     = libpcap ncursesw libcrypto libpcre2-8 zlib
# pcap.h needs u_char, which strict c11 hides: hence _DEFAULT_SOURCE
FLAGS    = -std=c11 -D_DEFAULT_SOURCE $(WARN) -I. -MMD -MP $(CPPFLAGS) $(CFLAGS)

# sources of a list of folders -> objects
objs      = $(patsubst %.c,$B/%.o,$(foreach d,$(1),$(wildcard $(d)/*.c)))
# objects without the ones that hold a main()
MAINS     = $B/capture/mqdump.o $B/tui/mqshark.o $B/fuzz/mqfuzz.o $B/fuzz/broker/mqbroker.o
parts     = $(filter-out $(MAINS),$(call objs,$(1)))
DECODER   = decoder/base decoder/mqtt decoder/show decoder/track decoder/filter
PROGRAMS  = $(patsubst %,$B/%,$(notdir $(basename $(wildcard capture/mqdump.c tui/mqshark.c fuzz/mqfuzz.c fuzz/broker/mqbroker.c))))
TESTS     = $(patsubst %.c,$B/%,$(wildcard tests/*/test_*.c))
LIB       = $B/libdecoder.a

all: $(PROGRAMS)

$B/libdecoder.a: $(call objs,$(DECODER))
	@rm -f $@
	$(AR) rcs $@ $^
$B/libcapture.a: $(call parts,capture)
	@rm -f $@
	$(AR) rcs $@ $^
$B/libbroker.a: $(call parts,fuzz/broker)
	@rm -f $@
	$(AR) rcs $@ $^
$B/libtui.a: $(call parts,tui)
	@rm -f $@
	$(AR) rcs $@ $^
$B/libfuzz.a: $(call parts,fuzz)
	@rm -f $@
	$(AR) rcs $@ $^

$B/mqdump: $B/capture/mqdump.o $B/libcapture.a $(LIB)
	$(CC) $(LDFLAGS) -o $@ $^ -lpcap -lpcre2-8 -lcrypto -lz -pthread
$B/mqshark: $B/tui/mqshark.o $B/libtui.a $B/libcapture.a $(LIB)
	$(CC) $(LDFLAGS) -o $@ $^ -lncursesw -ltinfo -lpcap -lpcre2-8 -lcrypto -lz -pthread
$B/mqbroker: $B/fuzz/broker/mqbroker.o $B/libbroker.a $(LIB)
	$(CC) $(LDFLAGS) -o $@ $^ -lpcre2-8 -lcrypto
$B/mqfuzz: $B/fuzz/mqfuzz.o $B/libfuzz.a $B/libbroker.a $(LIB)
	$(CC) $(LDFLAGS) -o $@ $^ -lpcre2-8 -lcrypto

# A test links only the folder it tests, so a wrong dependency also fails at link time.
$B/tests/decoder/%: $B/tests/decoder/%.o $(LIB)
	$(CC) $(LDFLAGS) -o $@ $^ -lcmocka -lpcre2-8
$B/tests/capture/%: $B/tests/capture/%.o $B/libcapture.a $(LIB)
	$(CC) $(LDFLAGS) -o $@ $^ -lcmocka -lpcap -lpcre2-8 -lcrypto -lz -pthread
$B/tests/broker/%: $B/tests/broker/%.o $B/libbroker.a $(LIB)
	$(CC) $(LDFLAGS) -o $@ $^ -lcmocka -lpcre2-8 -lcrypto
$B/tests/tui/%: $B/tests/tui/%.o $B/libtui.a $B/libcapture.a $(LIB)
	$(CC) $(LDFLAGS) -o $@ $^ -lcmocka -lncursesw -ltinfo -lpcap -lpcre2-8 -lcrypto -lz -pthread
$B/tests/fuzz/%: $B/tests/fuzz/%.o $B/libfuzz.a $B/libbroker.a $(LIB)
	$(CC) $(LDFLAGS) -o $@ $^ -lcmocka -lpcre2-8 -lcrypto

$B/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(FLAGS) -c -o $@ $<

unit: $(PROGRAMS) $(TESTS)
	@set -e; for t in $(TESTS); do CMOCKA_MESSAGE_OUTPUT=STDOUT $$t; done

clean:
	rm -rf $B

.PHONY: all unit clean
.SECONDARY:
-include $(shell find $B -name '*.d' 2>/dev/null)
