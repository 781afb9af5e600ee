/* SPDX-License-Identifier: Apache-2.0
 *
 * Capture files of every kind give the same frames, and bad ones a clear word (capture/frames/capfile.h). */
#include "capture/frames/capfile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

#include "tests/capture/build.h"

struct bytes {
    uint8_t at[4096];
    size_t len;
    bool big; /* the byte order of the writer */
};

static void u16(struct bytes *b, unsigned v)
{
    b->at[b->len] = (uint8_t)(b->big ? v >> 8 : v);
    b->at[b->len + 1] = (uint8_t)(b->big ? v : v >> 8);
    b->len += 2;
}

static void u32(struct bytes *b, uint32_t v)
{
    u16(b, b->big ? v >> 16 : v & 0xffff);
    u16(b, b->big ? v & 0xffff : v >> 16);
}

static void octets(struct bytes *b, const char *text, size_t len)
{
    memcpy(b->at + b->len, text, len);
    b->len += len;
    while (b->len % 4 != 0)
        b->at[b->len++] = 0;
}

static struct capfile *open_image(const struct bytes *b, char *error)
{
    return capfile_open(NULL, view_of(b->at, b->len), error);
}

static void pcap_of_both_orders_and_units(void **state)
{
    (void)state;
    static const uint32_t magics[] = { 0xa1b2c3d4, 0xa1b23c4d, 0xa1b2cd34 };
    for (unsigned i = 0; i < 6; i++) {
        char error[CAPFILE_ERROR_MAX];
        struct bytes b = { .big = i % 2 };
        u32(&b, magics[i / 2]);
        u16(&b, 2), u16(&b, 4), u32(&b, 0), u32(&b, 0), u32(&b, 96), u32(&b, 101);
        for (unsigned n = 0; n < 2; n++) {
            u32(&b, 1700000000), u32(&b, 5), u32(&b, 4), u32(&b, 40 + n);
            if (i / 2 == 2)
                u32(&b, 0), u32(&b, 0);
            octets(&b, n == 0 ? "abcd" : "efgh", 4);
        }
        struct capfile *c = open_image(&b, error);
        struct frame f;
        assert_non_null(c);
        assert_int_equal(capfile_next(c, &f), SOURCE_FRAME);
        assert_int_equal(f.time_ns, INT64_C(1700000000000000000) + (i / 2 == 1 ? 5 : 5000));
        assert_int_equal(f.wire_len, 40);
        assert_int_equal(f.link_type, 101);
        assert_int_equal(f.octets.len, 4);
        assert_memory_equal(f.octets.ptr, "abcd", 4);
        assert_int_equal(capfile_next(c, &f), SOURCE_FRAME);
        assert_memory_equal(f.octets.ptr, "efgh", 4);
        assert_int_equal(capfile_next(c, &f), SOURCE_END);
        assert_string_equal(capfile_error(c), "");
        capfile_close(c);
    }
}

static void section(struct bytes *b)
{
    u32(b, 0x0a0d0d0a), u32(b, 28), u32(b, 0x1a2b3c4d), u16(b, 1), u16(b, 0), u32(b, ~0u), u32(b, ~0u), u32(b, 28);
}

static void interface(struct bytes *b, unsigned link, unsigned resolution, uint32_t offset_s)
{
    u32(b, 1), u32(b, 48), u16(b, link), u16(b, 0), u32(b, 0);
    u16(b, 2), u16(b, 4), octets(b, "eth7", 4);
    u16(b, 9), u16(b, 1), octets(b, (const char[]){ (char)resolution }, 1);
    u16(b, 14), u16(b, 8);
    if (b->big)
        u32(b, 0), u32(b, offset_s);
    else
        u32(b, offset_s), u32(b, 0);
    u32(b, 48);
}

static void packet(struct bytes *b, uint32_t id, uint64_t units, const char *text)
{
    uint32_t len = (uint32_t)strlen(text), padded = (len + 3) & ~3u;
    u32(b, 6), u32(b, 32 + padded), u32(b, id), u32(b, (uint32_t)(units >> 32)), u32(b, (uint32_t)units);
    u32(b, len), u32(b, len), octets(b, text, len), u32(b, 32 + padded);
}

static void pcapng_interfaces_have_their_own_clocks(void **state)
{
    (void)state;
    for (unsigned big = 0; big < 2; big++) {
        char error[CAPFILE_ERROR_MAX];
        struct bytes b = { .big = big };
        section(&b);
        interface(&b, 1, 6, 0);           /* microseconds */
        interface(&b, 276, 9, 100);       /* nanoseconds, 100 s late */
        interface(&b, 113, 0x80 | 10, 0); /* 1/1024 s */
        interface(&b, 113, 3, 0);         /* milliseconds */
        packet(&b, 0, 1700000000000001, "one");
        packet(&b, 1, 5000000007, "two.");
        u32(&b, 0xbad), u32(&b, 12), u32(&b, 12); /* a block of no known type */
        packet(&b, 2, 1024 * 3 + 512, "three");
        packet(&b, 3, 1500, "four");
        section(&b); /* interfaces are numbered anew */
        interface(&b, 1, 6, 0);
        packet(&b, 0, 2000000, "five");
        static const struct {
            uint32_t id, link;
            int64_t time;
            const char *text;
        } want[] = {
            { 0, 1, INT64_C(1700000000000001000), "one" }, { 1, 276, INT64_C(105000000007), "two." },
            { 2, 113, INT64_C(3500000000), "three" },      { 3, 113, INT64_C(1500000000), "four" },
            { 4, 1, INT64_C(2000000000), "five" },
        };
        struct capfile *c = open_image(&b, error);
        assert_non_null(c);
        for (size_t i = 0; i < 5; i++) {
            struct frame f;
            assert_true(capfile_has_frame(c));
            assert_int_equal(capfile_next(c, &f), SOURCE_FRAME);
            assert_int_equal(f.interface_id, want[i].id);
            assert_int_equal(f.link_type, want[i].link);
            assert_int_equal(f.time_ns, want[i].time);
            assert_int_equal(f.octets.len, strlen(want[i].text));
            assert_memory_equal(f.octets.ptr, want[i].text, f.octets.len);
        }
        struct frame f;
        assert_int_equal(capfile_next(c, &f), SOURCE_END);
        assert_int_equal(capfile_interfaces(c), 5);
        assert_string_equal(capfile_interface(c, 1).name, "eth7");
        capfile_close(c);
    }
}

/* Cut anywhere, a file gives the frames that are whole and then says that it is cut. */
/* A whole block is no whole frame: to read on moves the octets of the frames before. */
static void a_block_without_a_frame_is_none(void **state)
{
    (void)state;
    char error[CAPFILE_ERROR_MAX];
    struct bytes b = { 0 };
    struct frame f;
    section(&b);
    interface(&b, 1, 6, 0);
    packet(&b, 0, 1, "one");
    u32(&b, 0xbad), u32(&b, 12), u32(&b, 12);
    packet(&b, 0, 2, "two");
    b.len -= 4;
    struct capfile *c = open_image(&b, error);
    assert_non_null(c);
    assert_true(capfile_has_frame(c));
    assert_int_equal(capfile_next(c, &f), SOURCE_FRAME);
    assert_false(capfile_has_frame(c));
    capfile_close(c);
}

static void cut_anywhere(void **state)
{
    (void)state;
    for (unsigned ng = 0; ng < 2; ng++) {
        struct bytes b = { 0 };
        size_t ends[4], header;
        if (ng) {
            section(&b);
            interface(&b, 1, 6, 0);
            header = b.len;
            for (unsigned i = 0; i < 4; i++)
                packet(&b, 0, i, "frame"), ends[i] = b.len;
        } else {
            u32(&b, 0xa1b2c3d4), u16(&b, 2), u16(&b, 4), u32(&b, 0), u32(&b, 0), u32(&b, 96), u32(&b, 1);
            header = b.len;
            for (unsigned i = 0; i < 4; i++)
                u32(&b, i), u32(&b, 0), u32(&b, 8), u32(&b, 8), octets(&b, "frame678", 8), ends[i] = b.len;
        }
        for (size_t n = 0; n <= b.len; n++) {
            char error[CAPFILE_ERROR_MAX] = "";
            uint8_t *exact = malloc(n > 0 ? n : 1);
            memcpy(exact, b.at, n);
            struct capfile *c = capfile_open(NULL, view_of(exact, n), error);
            unsigned whole = 0, got = 0;
            while (whole < 4 && ends[whole] <= n)
                whole++;
            if (c == NULL) {
                assert_true(n < header);
                assert_non_null(strstr(error, n == 0 ? "empty" : n < 4 ? "no capture file" : "cut short"));
            } else {
                struct frame f;
                enum source_status status;
                while ((status = capfile_next(c, &f)) == SOURCE_FRAME)
                    got++;
                assert_int_equal(got, whole);
                bool clean = n == header || (whole > 0 && ends[whole - 1] == n) || (ng && n == 28);
                assert_int_equal(status, clean ? SOURCE_END : SOURCE_ERROR);
                if (!clean)
                    assert_non_null(strstr(capfile_error(c), "cut short"));
            }
            capfile_close(c);
            free(exact);
        }
    }
}

static void no_capture_files(void **state)
{
    (void)state;
    char error[CAPFILE_ERROR_MAX];
    static const uint8_t text[] = "<html><body>no capture</body></html>";
    assert_null(capfile_open(NULL, view_of(text, sizeof text), error));
    assert_non_null(strstr(error, "no capture file"));
    assert_null(capfile_open("/nonexistent/file.pcap", view_of(NULL, 0), error));
    assert_string_equal(error, "/nonexistent/file.pcap: No such file or directory");
    assert_null(capfile_open("/", view_of(NULL, 0), error));
    assert_string_equal(error, "/: Is a directory");
}

static void damage_is_named(void **state)
{
    (void)state;
    char error[CAPFILE_ERROR_MAX];
    struct bytes b = { 0 };
    struct frame f;
    section(&b);
    packet(&b, 0, 0, "of no interface");
    struct capfile *c = open_image(&b, error);
    assert_int_equal(capfile_next(c, &f), SOURCE_ERROR);
    assert_non_null(strstr(capfile_error(c), "damaged"));
    assert_int_equal(capfile_next(c, &f), SOURCE_ERROR);
    capfile_close(c);
    b = (struct bytes){ 0 };
    u32(&b, 0xa1b2c3d4), u16(&b, 2), u16(&b, 4), u32(&b, 0), u32(&b, 0), u32(&b, 96), u32(&b, 1);
    u32(&b, 0), u32(&b, 0), u32(&b, 0x7fffffff), u32(&b, 0x7fffffff);
    c = open_image(&b, error);
    assert_int_equal(capfile_next(c, &f), SOURCE_ERROR);
    assert_non_null(strstr(capfile_error(c), "impossible length"));
    capfile_close(c);
}

/* Longer than what is read at once, plain and in two gz members, one of them cut. */
static void long_files_and_gz(void **state)
{
    (void)state;
    enum { FRAMES = 9000, LEN = 100 };
    struct image i = { 0 };
    char error[CAPFILE_ERROR_MAX], plain[] = "/tmp/test_capfile.XXXXXX", packed[] = "/tmp/test_capfile.XXXXXX";
    uint8_t frame[LEN];
    image_begin(&i, 1);
    for (unsigned n = 0; n < FRAMES; n++) {
        memset(frame, (int)(n % 251), LEN);
        image_frame(&i, frame, LEN, LEN);
    }
    int fd = mkstemp(plain);
    assert_int_equal(write(fd, i.octets, i.len), (ssize_t)i.len);
    close(fd);
    close(mkstemp(packed));
    for (unsigned part = 0; part < 2; part++) {
        gzFile z = gzopen(packed, part == 0 ? "wb" : "ab");
        unsigned half = (unsigned)(i.len / 2);
        gzwrite(z, i.octets + part * half, part == 0 ? half : (unsigned)(i.len - half));
        gzclose(z);
    }
    for (unsigned kind = 0; kind < 3; kind++) {
        if (kind == 2)
            assert_int_equal(truncate(packed, 800), 0);
        struct capfile *c = capfile_open(kind == 0 ? plain : packed, view_of(NULL, 0), error);
        struct frame f;
        enum source_status status;
        unsigned n = 0;
        assert_non_null(c);
        for (; (status = capfile_next(c, &f)) == SOURCE_FRAME; n++) {
            assert_int_equal(f.octets.len, LEN);
            assert_int_equal(f.octets.ptr[LEN - 1], n % 251);
        }
        assert_int_equal(status, kind == 2 ? SOURCE_ERROR : SOURCE_END);
        assert_true(kind == 2 ? n < FRAMES : n == FRAMES);
        if (kind == 2)
            assert_non_null(strstr(capfile_error(c), "cut short"));
        capfile_close(c);
    }
    unlink(plain);
    unlink(packed);
    image_free(&i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pcap_of_both_orders_and_units),
        cmocka_unit_test(pcapng_interfaces_have_their_own_clocks),
        cmocka_unit_test(a_block_without_a_frame_is_none),
        cmocka_unit_test(cut_anywhere),
        cmocka_unit_test(no_capture_files),
        cmocka_unit_test(damage_is_named),
        cmocka_unit_test(long_files_and_gz),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
