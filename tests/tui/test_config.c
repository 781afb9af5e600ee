/* SPDX-License-Identifier: Apache-2.0 */
#include "tui/config.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void file_is_read_and_faults_are_named(void **state)
{
    char path[] = "/tmp/mqshark-config-XXXXXX", *said = NULL;
    size_t len;
    struct config c;
    (void)state;
    assert_true(mkstemp(path) >= 0);
    write_file(path,
               "# all of it\ncolor never # why not\n\n  memory\t64  \nascii yes\nnonsense 1\nmouse perhaps\nmemory -5\n"
               "session-columns client owed\ntime sometimes\n");
    FILE *err = open_memstream(&said, &len);
    config_defaults(&c);
    assert_false(config_read(&c, path, err));
    fclose(err);
    char want[512];
    snprintf(want, sizeof want,
             "%s:6: nonsense: there is no such setting\n%s:7: mouse: yes or no is expected\n"
             "%s:8: memory: a number is expected\n%s:10: time: absolute, relative or delta is expected\n",
             path, path, path, path);
    assert_string_equal(said, want);
    assert_string_equal(c.word[CONFIG_COLOUR], "never");
    assert_int_equal(c.number[CONFIG_MEMORY], 64);
    assert_true(c.number[CONFIG_ASCII]);
    assert_false(c.number[CONFIG_MOUSE]);
    assert_string_equal(c.word[CONFIG_SESSION_COLUMNS], "client owed");
    free(said);
    unlink(path);
}

static void what_is_dumped_reads_back(void **state)
{
    char path[] = "/tmp/mqshark-config-XXXXXX";
    struct config c, back;
    (void)state;
    assert_true(mkstemp(path) >= 0);
    config_defaults(&c);
    assert_null(config_set(&c, "memory", "17"));
    assert_null(config_set(&c, "session-columns", "client will"));
    assert_true(config_write(&c, path));
    config_defaults(&back);
    assert_true(config_read(&back, path, stderr));
    assert_memory_equal(c.number, back.number, sizeof c.number);
    for (int k = 0; k < CONFIG_COUNT; k++)
        assert_string_equal(c.word[k], back.word[k]);
    unlink(path);
}

static void a_missing_file_is_fine(void **state)
{
    struct config c;
    (void)state;
    config_defaults(&c);
    assert_true(config_read(&c, "/nonexistent/mqshark/config", stderr));
}

static void the_path_follows_xdg(void **state)
{
    char path[256];
    (void)state;
    setenv("HOME", "/home/x", 1);
    setenv("XDG_CONFIG_HOME", "/cfg", 1);
    assert_true(config_user_path(path, sizeof path));
    assert_string_equal(path, "/cfg/mqshark/config");
    setenv("XDG_CONFIG_HOME", "relative", 1); /* to be ignored, says the XDG specification */
    assert_true(config_user_path(path, sizeof path));
    assert_string_equal(path, "/home/x/.config/mqshark/config");
    unsetenv("XDG_CONFIG_HOME");
    unsetenv("HOME");
    assert_false(config_user_path(path, sizeof path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(file_is_read_and_faults_are_named),
        cmocka_unit_test(what_is_dumped_reads_back),
        cmocka_unit_test(a_missing_file_is_fine),
        cmocka_unit_test(the_path_follows_xdg),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
